r"""Flows hashed onto links as balls thrown into bins: how many links are idle, how slow is the slowest flow.

n flows of one size each pick one of m links alike, independently of one another. The links together carry
just what the flows offer, so that a link with its even share of n / m flows runs each of them at full rate::

    flows   1   2   3   4   5   6   7   8
            |   |    \  |  /    |    \  |         8 flows on 8 links: a link stays idle with
    links   1   2   3   4   5   6   7   8         probability (1 - 1/8)^8, 34 %
    load    1   1   0   3   0   1   0   2         slowest flow: a third of its rate

With as many links as flows a share of 1 - 1/e of the links is busy, 63 %: the "about 60 %" of plain Ethernet
in NVIDIA's talk of effective bandwidth. A collective waits for its slowest flow, which is much slower. More
queue pairs help: 16 for each pair of GPUs are in use (Gangidi et al., "RDMA over Ethernet for Distributed AI
Training at Meta Scale", SIGCOMM 2024).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.errors import QuestionError

EXACT_FLOWS = 100_000
"""Up to so many flows the distribution of the largest load is exact, beyond it links count as independent."""

# Loads that are told apart, at most; of more, each is rounded up to the next that is.
_LOADS = 4_096
# Probability that is left out at either end.
_REST = 1e-13


@dataclass(frozen=True, slots=True)
class SlowestFlow:
    """The slowest of some hashed flows beside an equal split of every flow over all links.

    Parameters
    ----------
    expected : float
        Mean rate, as a share of the rate under an equal split.
    p50, p99 : float
        Rate, as such a share, that half and 99 % of all draws reach.
    slowdown : float
        Mean time to finish, as a multiple of the time under an equal split.
    """

    expected: float
    p50: float
    p99: float
    slowdown: float

    @classmethod
    def of(cls, slowdown: Floats, share: Floats) -> SlowestFlow:
        """Return the figures of a distribution.

        Parameters
        ----------
        slowdown : ndarray of float64, shape (k,)
            Times that are possible, ascending, as multiples of the time under an equal split.
        share : ndarray of float64, shape (k,)
            Their probabilities.
        """
        # A flow is never faster than its own rate, however idle its link.
        rate = 1.0 / np.maximum(slowdown, 1.0)
        upto = np.cumsum(share)
        # The sum may fall short of 1 by its rounding.
        p50, p99 = (rate[min(int(np.searchsorted(upto, p - 1e-12)), len(rate) - 1)] for p in (0.5, 0.99))
        return cls(float(rate @ share), float(p50), float(p99), float(slowdown @ share))


def busy_share(n_flows: int, n_links: int) -> float:
    """Return the expected share of links that carry some flow.

    Notes
    -----
    1 - (1 - 1/m)^n: a link is idle when all n flows pick others.

    Examples
    --------
    >>> round(busy_share(64, 64), 4)
    0.635
    """
    _check(n_flows, n_links)
    return 1.0 - (1.0 - 1.0 / n_links) ** n_flows


def delivered_share(n_flows: int, n_links: int) -> float:
    """Return the expected share of the offered traffic that goes through at once.

    Parameters
    ----------
    n_flows, n_links : int
        A link carries n / m flows at full rate; what exceeds that waits.

    Notes
    -----
    E[min(X, n/m)] over n/m, where X, the load of one link, is binomial. As j C(n, j) = n C(n-1, j-1), the
    part of the loads up to n/m is a distribution function of one flow less.

    Examples
    --------
    >>> round(delivered_share(64, 32), 3)
    0.734
    """
    _check(n_flows, n_links)
    full = n_flows // n_links
    # Flows of links that are not full, then all that the full ones carry.
    below = 1.0 - _above(full - 1, n_flows - 1, n_links) if full else 0.0
    return float(below + _above(full, n_flows, n_links))


def max_load(n_flows: int, n_links: int, *, n_groups: int = 1) -> tuple[Ints, Floats]:
    """Return the distribution of the largest load of any link.

    Parameters
    ----------
    n_flows, n_links : int
        Of each group.
    n_groups : int
        Groups of links with flows of their own, independent of one another; the largest load of all counts.

    Returns
    -------
    load : ndarray of int64, shape (k,)
        Flows on the fullest link, ascending.
    share : ndarray of float64, shape (k,)
        Probability of each; the sum is 1, loads less likely than 1e-13 in all left out.

    Raises
    ------
    QuestionError
        If a number is below 1.

    Notes
    -----
    Loads are independent Poisson variables of mean n/m, given that they add up to n [1]_. So P(max <= k) is
    the n-th coefficient of the m-th power of the Poisson probabilities cut off after k, over that of the
    Poisson variable of mean n at n. The coefficient is read off a discrete Fourier transform of a length that
    folds only totals 10 deviations away onto n: O(sqrt(n)) for each k, exact but for rounding, 1e-9 at most.

    Above `EXACT_FLOWS` links count as independent, P(max <= k) = P(X <= k)^m with X binomial. As loads are
    negatively associated [2]_ that is too much, and the mean too low, by less than one in a thousand.

    References
    ----------
    .. [1] Levin, "A representation for multinomial cumulative distribution functions", Annals of Statistics
       9(5), 1981.
    .. [2] Joag-Dev, Proschan, "Negative association of random variables", Annals of Statistics 11(1), 1983.

    Examples
    --------
    >>> load, share = max_load(2, 2)
    >>> load.tolist(), share.round(12).tolist()
    ([1, 2], [0.5, 0.5])
    """
    _check(n_flows, n_links, n_groups)
    load = _likely(n_flows, n_links, n_groups)
    upto = _upto_exact if n_flows <= EXACT_FLOWS else _upto_independent
    # Groups are independent: their probabilities multiply. Rounding must not let them fall.
    below = np.maximum.accumulate(np.clip(upto(n_flows, n_links, load), 0.0, 1.0)) ** n_groups
    below[-1] = 1.0
    return load, np.diff(below, prepend=0.0)


def hashed_factor(n_flows: int, n_links: int, *, n_groups: int = 1) -> SlowestFlow:
    """Return how slow the slowest of n flows is that are hashed onto m links, beside an equal split.

    Parameters
    ----------
    n_flows : int
        Flows of one size that share the choice: for each pair as many as it has queue pairs.
    n_links : int
        Cables of equal cost. Planes are told apart by their cables, so each counts.
    n_groups : int
        Groups of links with flows of their own; the slowest flow of all groups counts.

    Notes
    -----
    The fullest link, with k flows, gives each of them n/m/k of what an equal split gives.

    Examples
    --------
    One queue pair for each of 32 NICs on the uplinks of their leaf, and sixteen:

    >>> round(hashed_factor(32, 32).expected, 3), round(hashed_factor(512, 32).expected, 2)
    (0.295, 0.65)
    """
    load, share = max_load(n_flows, n_links, n_groups=n_groups)
    return SlowestFlow.of(load / np.float64(n_flows / n_links), share)


def _check(*numbers: int) -> None:
    """Raise where a number of flows, links or groups is below 1."""
    if min(numbers) < 1:
        msg = f"hashing needs 1 flow, 1 link and 1 group or more, not {min(numbers)}"
        raise QuestionError(msg)


def _likely(n: int, m: int, groups: int) -> Ints:
    """Return the largest loads that are not too unlikely, `_LOADS` of them at most, the greatest included.

    Notes
    -----
    P(max > k) is at most m P(X > k), and P(max <= k) at most P(X <= k)^m; see `max_load`.
    """
    from scipy import special  # here and below where it is needed: a tenth of a second of any command

    even = -(-n // m)
    loads, log_rest = range(even, n + 1), math.log(_REST)

    def is_surely_more(k: int) -> bool:
        return bool(special.xlogy(groups * m, 1.0 - _above(k, n, m)) < log_rest)

    # From here on a load is not surely exceeded; up to there it may be.
    low = bisect_left(loads, True, key=lambda k: not is_surely_more(k))
    high = bisect_left(loads, True, key=lambda k: bool(groups * m * _above(k, n, m) < _REST))
    high = max(low, min(high, len(loads) - 1))
    # From the greatest down, so that a load that is left out is rounded up.
    step = -(-(high - low + 1) // _LOADS)
    return np.arange(loads[high], loads[low] - 1, -step, dtype=np.int64)[::-1]


def _upto_exact(n: int, m: int, loads: Ints) -> Floats:
    """Return P(max <= k) for each k of `loads`, ascending."""
    from scipy import special

    period = 10 * math.isqrt(n) + 100
    count = np.arange(int(loads[-1]) + 1)
    mean = n / m
    chance = np.exp(count * math.log(mean) - mean - special.gammaln(count + 1))
    # Transforms are taken about the mean, where the power of their phase is not rounded away.
    turn = np.exp(2j * np.pi / period * mean * np.arange(period // 2 + 1))
    weight = np.full(len(turn), 2.0)
    # The first and the last coefficient of a real transform of even length stand for themselves alone.
    weight[[0, -1]] = 1.0
    # Probabilities of the loads up to k, folded onto the period; every k adds its own.
    folded = np.zeros(period)
    upto = np.zeros(len(loads))
    begin = 0
    for i, end in enumerate((loads + 1).tolist()):
        folded += np.bincount(count[begin:end] % period, chance[begin:end], minlength=period)
        begin = end
        # The power of the transform is the transform of the sum of m loads; n is read off it.
        upto[i] = weight @ ((np.fft.rfft(folded) * turn) ** m).real / period
    # Given that the loads add up to n: over the probability of that.
    return upto / math.exp(n * math.log(n) - n - special.gammaln(n + 1))


def _upto_independent(n: int, m: int, loads: Ints) -> Floats:
    return np.asarray((1.0 - _above(loads, n, m)) ** m)


def _above(k: int | Ints, n: int, m: int) -> Floats:
    """Return P(X > k) for X binomial: n flows, each with chance 1/m; 0 <= k <= n.

    Notes
    -----
    An incomplete beta function; scipy's own binomial ones take n below 2**31 only.
    """
    from scipy import special

    tail = special.betainc(np.add(k, 1.0), np.maximum(np.subtract(n, k), 1.0), 1.0 / m)
    return np.where(np.less(k, n), tail, 0.0)
