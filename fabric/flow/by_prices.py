"""Prices of links and the routings that they make, for demands too many to be a program.

The best rate is the least, over all prices, of capacity times price over demand times distance, and the most,
over all routings, of the rate at which the busiest link is full. Prices that make traffic avoid what is busy
bring the two together, in two stages::

    every link rises with its load, extrapolated        many links bind: random graphs, in some ten routings
    prices half way to what the best mix would pay      few links bind: failures, uneven networks

and all the while the last routings are mixed as well as can be, and what is then busy is priced. Some groups
of sinks have mixes of their own: where prices bind on few links the ways of most traffic cost nothing, and no
price says how they are to be spread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.flow.logit import Logit, Routing
from fabric.flow.lp import assemble, maximize

MOST_ROUTINGS = 60
"""Routings that are tried at most."""
_FIRST = 24
"""Routings of the first stage."""
_MIXED = 24
"""Routings that are mixed: the last one, and those that had most of the mix before."""
_GROUPS, _CELLS = 32, 1 << 15
"""Groups of sinks that have a mix of their own at most, and links times groups."""
_EVERY = 4
"""Routings from one mix to the next in the first stage; in the second each is mixed at once."""
_REMEMBERED = 6
"""Steps that the next is extrapolated from."""
_FLOOR = 1e-7
"""Least worth of a link beside the mean: a price of 0 would be no length, and could never rise again."""
_LEAST_SHARP, _MOST_SHARP = 30.0, 1e5
"""Sharpness times the mean distance, by which a split takes longer ways; one over the gap between these."""
_UNEVEN = 2.0
"""Where the busiest link is so much busier than the mean, prices have far to go, and sharpness begins low."""
_STEEPEST = 10.0
"""Most logarithm of a price for how much busier its link is: dearer ones send traffic far round others."""
_LOADED = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Links whose load is within one of these of the busiest share all of the price."""
_STEEP = 100.0
"""Or prices rise with the load by this power of e."""
_ROWS = 500
"""Links of a mix that are looked at first."""


@dataclass(eq=False)
class Found:
    """The best prices and the best mix of routings so far.

    Parameters
    ----------
    upper_gbps, lower_gbps : float
        What they prove, or will when they are checked [Gb/s].
    length : ndarray of float64, shape (2 * m,)
        Price of every link; empty where one without choice bounds more.
    mix : list of (ndarray of float64, shape (t,), Routing)
        The part that each routing has of the traffic towards every sink, which sum to 1.
    n_routings : int
    """

    upper_gbps: float = np.inf
    lower_gbps: float = 0.0
    length: Floats = field(default_factory=lambda: np.zeros(0))
    mix: list[tuple[Floats, Routing]] = field(default_factory=list)
    n_routings: int = 0

    @property
    def gap(self) -> float:
        """Relative distance of the bounds."""
        return 1 - self.lower_gbps / self.upper_gbps


class Prices:
    """The search for prices.

    A price is kept as what the whole capacity of the link is worth; over all links that sums to 1.

    Parameters
    ----------
    logit : Logit
        Of demands that all have a way.
    capacity, forced : ndarray of float64, shape (2 * m,)
        Of every link, and its load at unit rate where there is no choice [Gb/s].
    kind : ndarray of int64, shape (2 * m,), optional
        Links of one kind share a price and carry the mean of their loads; every link by itself if left out.
    """

    def __init__(self, logit: Logit, capacity: Floats, forced: Floats, kind: Ints | None = None) -> None:
        self._logit, self._net = logit, logit.net
        self._n_links = len(capacity)
        self._link = np.unique(self._net.link[self._net.link >= 0])
        own = self._link if kind is None else kind[self._link]
        self._kind = np.unique(own, return_inverse=True)[1].ravel()
        # What links of one kind have together.
        self._capacity, self._forced = (
            np.bincount(self._kind, x[self._link]).astype(np.float64) for x in (capacity, forced)
        )
        row = np.full(len(capacity) + 1, -1, dtype=np.int64)
        row[self._link] = self._kind
        self._row = row[self._net.link]
        self._sent = float(self._net.amount.sum())
        n_groups = max(1, min(_GROUPS, len(self._net.sink), _CELLS // max(len(self._capacity), 1)))
        self._group = np.arange(len(self._net.sink)) % n_groups
        self._routings: list[Routing] = []
        self._uses: list[Floats] = []
        self._share = np.zeros(0)
        # All links are worth as much, so that wide ones, to hosts, do not outweigh the narrow ones that bind.
        self._even = _lift(np.bincount(self._kind).astype(np.float64))
        # What all demands pay at the best prices so far, and these.
        self._paid, self._best = 0.0, self._even
        busiest = float((forced[capacity > 0] / capacity[capacity > 0]).max(initial=0.0))
        self._most_gbps = 1.0 / busiest if busiest > 0 else np.inf
        self.found = Found(self._most_gbps)

    def narrow(self, gap: float) -> Found:
        """Return bounds that are at most `gap` apart, or the best that were found."""
        worth = self._even
        mean = self._logit.paid(self._lengths(worth)) / self._sent
        if not mean > 0:  # all that is left of the way is a turn
            self._take(self._whole(), [Routing(np.zeros(self._n_links), 1.0)], 0.0)
            return self.found
        sharp = float(np.clip(1.0 / gap, _LEAST_SHARP, _MOST_SHARP))
        mean = self._rise(worth, mean, sharp, gap)
        while self.found.gap > gap and self.found.n_routings < MOST_ROUTINGS:
            dearest = self._combine(gap, by_group=True)
            # Half way from the best prices to those of the mix: what is between cuts off more than either
            # (Wentges, "Weighted Dantzig-Wolfe decomposition", Int. Trans. Operational Research 4, 1997).
            worth = _lift((self._best + dearest) / 2)
            _, paid = self._route(worth, sharp / mean)
            mean = paid / self._sent
        return self.found

    def _rise(self, worth: Floats, mean: float, finest: float, gap: float) -> float:
        """Let prices rise with loads, and return the mean distance at the last ones."""
        found, steps, sharp, even = self.found, _Steps(), finest, worth
        while True:
            use, paid = self._route(worth, sharp / mean)
            if found.gap > gap and found.n_routings % _EVERY == 0:
                self._combine(gap, by_group=False)
            spent, mean = float(worth @ use), paid / self._sent
            if found.gap <= gap or found.n_routings >= _FIRST:
                return mean
            if found.n_routings == 1 and float(use.max()) > _UNEVEN * spent:
                sharp = _LEAST_SHARP
            if sharp < finest and found.gap < 2 / sharp:
                sharp, steps = min(3 * sharp, finest), _Steps()
            # Where a link is one of the hops of a way, its price moves the length of that by so much less.
            hops = float((use * self._capacity).sum()) / self._sent
            risen = np.log(worth / even)
            pull = (risen - float(worth @ risen)) / _STEEPEST
            worth = steps.next(worth, 2 * hops / sharp * (use / spent - 1 - pull))

    def _lengths(self, worth: Floats) -> Floats:
        """Return the price of every link."""
        length = np.zeros(self._n_links)
        length[self._link] = (worth / self._capacity)[self._kind]
        return length

    def _route(self, worth: Floats, sharpness: float) -> tuple[Floats, float]:
        """Return load over capacity of the links at unit rate, and what all demands pay."""
        routing = Routing(self._lengths(worth), sharpness)
        n_groups = len(self._whole())
        load = np.zeros((len(self._capacity) + 1) * n_groups)
        paid = float(self._forced @ (worth / self._capacity))
        for part in self._logit.flows(routing):
            sink, move = np.divmod(part.cell, self._net.n_moves)
            at = (self._row[move] + 1) * n_groups + self._group[part.block.start + sink]
            load += np.bincount(at, part.flow, minlength=len(load))
            paid += self._net.paid(part.distance, part.block)
        own = load.reshape(-1, n_groups)[1:] / self._capacity[:, None]
        use = own.sum(axis=1) + self._forced / self._capacity
        self.found.n_routings += 1
        self._bound(worth, paid)
        self._take(self._whole(), [routing], float(use.max()))
        # What had least of the last mix makes room for the new one.
        kept = np.sort(np.argsort(-self._share, kind="stable")[: _MIXED - 1])
        self._routings = [*(self._routings[i] for i in kept.tolist()), routing]
        self._uses = [*(self._uses[i] for i in kept.tolist()), own]
        self._share = np.append(self._share[kept], np.inf)
        return use, paid

    def _whole(self) -> Floats:
        """Return the parts of one routing that has all: 1 of every group."""
        return np.ones((int(self._group.max(initial=0)) + 1, 1))

    def _bound(self, worth: Floats, paid: float | None = None) -> None:
        """Take prices if they prove a lower rate than those before."""
        length = self._lengths(worth)
        if paid is None:
            paid = float(self._forced @ (worth / self._capacity)) + self._logit.paid(length)
        if paid > self._paid:
            self._paid, self._best = paid, worth
        if 1.0 < paid * self.found.upper_gbps:
            self.found.upper_gbps, self.found.length = 1.0 / paid, length

    def _take(self, parts: Floats, routings: list[Routing], busiest: float) -> None:
        """Take a mix of routings, shape (groups, routings), if it proves a higher rate than those before."""
        rate = min(1.0 / busiest, self._most_gbps) if busiest > 0 else self._most_gbps
        if rate > self.found.lower_gbps:
            self.found.lower_gbps = rate
            each = zip(parts.T, routings, strict=True)
            self.found.mix = [(part[self._group], one) for part, one in each if part.any()]

    def _combine(self, gap: float, *, by_group: bool) -> Floats:
        """Mix the last routings as well as can be, price what is then busy, and return what the mix pays."""
        uses, forced = np.stack(self._uses, axis=2), self._forced / self._capacity
        # One mix for all sinks leaves few links busy, which says where the prices are.
        mixed = [uses.sum(axis=1, keepdims=True)]
        for own in [*mixed, uses] if by_group and uses.shape[1] > 1 else mixed:
            parts, use, dearest = best_mix(own, forced)
            busiest = float(use.max())
            self._take(np.broadcast_to(parts, (uses.shape[1], uses.shape[2])), self._routings, busiest)
            self._share = parts.sum(axis=0)
            tried = [dearest, np.exp(_STEEP * (use / busiest - 1))]
            tried += [(use >= busiest * (1 - near)).astype(np.float64) for near in _LOADED]
            for worth in tried:
                if self.found.gap <= gap:
                    break
                self._bound(_lift(worth))
        return dearest


class _Steps:
    """Steps of prices, extrapolated from those before.

    Notes
    -----
    The next logarithms of prices are those of which the steps would vanish if they depended on them linearly
    (D. G. Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12, 1965).
    """

    def __init__(self) -> None:
        self._at: list[Floats] = []
        self._step: list[Floats] = []

    def next(self, worth: Floats, step: Floats) -> Floats:
        """Return the next worth of all links.

        Parameters
        ----------
        worth : ndarray of float64
            Sums to 1.
        step : ndarray of float64
            Of its logarithm.
        """
        at = np.log(worth)
        is_lowest = worth <= 1.01 * _FLOOR * float(worth.mean())
        step = np.where(is_lowest & (step < 0), 0.0, np.clip(step, -1.0, 1.0))
        self._at, self._step = [*self._at, at][-_REMEMBERED:], [*self._step, step][-_REMEMBERED:]
        move = step
        if len(self._at) > 1:
            weight = np.sqrt(worth)
            ahead = np.column_stack(self._step[:-1]) - step[:, None]
            gone = np.column_stack(self._at[:-1]) - at[:, None]
            seen = ahead * weight[:, None]
            normal = seen.T @ seen
            normal[np.diag_indices(len(normal))] += 1e-10 * np.trace(normal) + 1e-300
            part = np.linalg.solve(normal, seen.T @ (step * weight))
            move = step - (gone + ahead) @ part
        return _lift(np.exp(at + np.clip(move, -2.0, 2.0) - at.max()))


def _lift(worth: Floats) -> Floats:
    """Return some worth with a floor, summing to 1."""
    worth = np.maximum(worth, _FLOOR * float(worth.mean()))
    return np.asarray(worth / worth.sum())


def best_mix(uses: Floats, forced: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the parts of some routings with which the busiest link is least busy, and what links then pay.

    Parameters
    ----------
    uses : ndarray of float64, shape (l, g, r)
        Load over capacity of every link by each group of sinks under each routing.
    forced : ndarray of float64, shape (l,)
        The same of what has no choice.

    Returns
    -------
    parts : ndarray of float64, shape (g, r)
        Those of a group sum to 1.
    use : ndarray of float64, shape (l,)
        Load over capacity of every link under the mix.
    worth : ndarray of float64, shape (l,)
        Of the links that bind the mix; sums to 1.
    """
    n_links, n_groups, n_routings = uses.shape
    flat, n = uses.reshape(n_links, -1), n_groups * n_routings
    rows: Ints = np.zeros(0, dtype=np.int64)
    worth = np.zeros(n_links)
    group = np.repeat(np.arange(n_groups), n_routings)
    whole = np.arange(n_groups), np.full(n_groups, n), -np.ones(n_groups)
    balance = assemble([(group, np.arange(n), np.ones(n)), whole], n_groups, n + 1)
    parts = np.full(n, 1.0 / n_routings)
    best, least = parts, flat @ parts + forced
    use = least
    # Few links bind a mix: those that it fills too much are added until none is left.
    for _ in range(4):
        if len(rows) and use.max() <= use[rows].max() * (1 + 1e-6):
            break
        rows = np.union1d(rows, np.argsort(use)[-_ROWS:])
        entry = np.column_stack([flat[rows], forced[rows]])
        at, column = np.nonzero(entry)
        # In this unit the rate is near 1.
        unit = float(use.max())
        load = assemble([(at, column, entry[at, column] / unit)], len(rows), n + 1)
        x, dual = maximize(balance, load)
        share = x[:-1].reshape(n_groups, n_routings)
        parts = (share / share.sum(axis=1, keepdims=True)).ravel()
        use = flat @ parts + forced
        if use.max() < least.max():
            best, least = parts, use
        worth = np.zeros(n_links)
        worth[rows] = dual / dual.sum()
    return best.reshape(n_groups, n_routings), least, worth
