"""Random wiring that is the same for ever: seeded, and made of nothing that a version may change.

All chance comes from ``random.Random(seed).random()``, the one sequence that Python promises to keep, and all
shuffling from stable sorts by its values.
"""

from __future__ import annotations

import math
import random

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.wiring.misfit import refuse, refuse_many


def jellyfish(sizes: tuple[int, ...], *, degree: int, seed: int = 0) -> Ints:
    r"""Return a random regular graph.

    ::

        0 o---.  .---o 1        join two random free ports, as long as any two may be joined;
           \   \/   /           where only such are left whose switches are joined already:
            \  /\  /
        2 o--'   '--o 3         u o    x o----o y    o v      ->      u o----o x    y o----o v

    Parameters
    ----------
    sizes : tuple of int
        Their product is the number n of switches.
    degree : int
        Cables of each switch, below n; n * degree is even.
    seed : int

    Returns
    -------
    ndarray of int64, shape (n * degree / 2, 2)
        Pairs of flat indices, lower first, ascending.

    Raises
    ------
    MisfitError
        If no graph has such degrees, or there are too many pairs.

    Notes
    -----
    Ports are first joined all at once in a random order, again and again while that joins any, then one by
    one. A graph of more than half of all pairs is what a sparse one leaves out: in a sparse one, of at least
    2 * degree + 1 switches, there always is a cable to take out, as fewer than 2 * degree**2 of its
    n * degree ends are at u, v or a neighbour.

    References
    ----------
    Singla, Hong, Popa, Godfrey, "Jellyfish: networking data centers randomly", NSDI 2012, section 3; Steger,
    Wormald, "Generating random regular graphs quickly", Combinatorics, Probability and Computing 8, 1999.

    Examples
    --------
    >>> jellyfish((6,), degree=2, seed=1).tolist()
    [[0, 1], [0, 5], [1, 3], [2, 3], [2, 4], [4, 5]]
    """
    n = math.prod(sizes)
    if degree >= n or n * degree % 2:
        fault = f"no graph has {n} switches of degree {degree}"
        refuse(fault, expected="a degree below their number, and one of the two even")
    refuse_many(n * degree // 2)
    if degree <= (n - 1) // 2:
        return _sparse(n, degree, random.Random(seed))
    # A dense graph is the complement of a sparse one.
    low, high = np.triu_indices(n, 1)
    missing = _sparse(n, n - 1 - degree, random.Random(seed))
    joined = ~_among(low * n + high, missing[:, 0] * n + missing[:, 1])
    return np.stack([low[joined], high[joined]], axis=-1)


def _sparse(n: int, degree: int, rng: random.Random) -> Ints:
    """Return a random graph of `n` switches of `degree`, which is at most (n - 1) / 2."""
    # A pair is the number low * n + high; those made are kept in their order.
    free, pairs = np.repeat(np.arange(n, dtype=np.int64), degree), np.zeros(0, dtype=np.int64)
    while True:
        # Shuffle the free ports and join neighbours; loops, doubles and pairs made before are given back.
        free = free[np.argsort(_draw(rng, len(free)), kind="stable")]
        ends = np.sort(free.reshape(-1, 2), axis=1)
        key = ends[:, 0] * n + ends[:, 1]
        _, first = np.unique(key, return_index=True)
        good = np.zeros(len(key), dtype=np.bool_)
        good[first] = True
        good &= (ends[:, 0] != ends[:, 1]) & ~_among(key, pairs)
        pairs = np.sort(np.concatenate([pairs, key[good]]))
        free = ends[~good].ravel()
        if not good.any():
            pairs = np.sort(_finish(n, pairs, free.tolist(), rng))
            return np.stack([pairs // n, pairs % n], axis=-1)


def _finish(n: int, pairs: Ints, free: list[int], rng: random.Random) -> Ints:
    """Join the ports that are still free one pair at a time, taking out a cable where none can be."""

    def joined(switch: int) -> Ints:
        """Return the switch itself and those it has cables to."""
        return np.concatenate([[switch], low[high == switch], high[low == switch]])

    while free:
        low, high = np.divmod(pairs, n)
        choice = [(u, v) for u in free for v in free if u < v and v not in joined(u)]
        if choice:
            u, v = choice[_index(rng, len(choice))]
            pairs = np.append(pairs, u * n + v)
        else:
            u, v = free[0], free[1]
            # Swap: take out a cable x - y with x no neighbour of u, and y none of v; join u - x and v - y.
            ends = np.concatenate([np.stack([low, high]), np.stack([high, low])], axis=1)
            fits = ends[:, ~np.isin(ends[0], joined(u)) & ~np.isin(ends[1], joined(v))]
            x, y = fits[:, _index(rng, fits.shape[1])].tolist()
            pairs = pairs[pairs != min(x, y) * n + max(x, y)]
            pairs = np.append(pairs, [min(u, x) * n + max(u, x), min(v, y) * n + max(v, y)])
        free.remove(u)
        free.remove(v)
    return pairs


def xpander(sizes: tuple[int, ...], *, seed: int = 0) -> Ints:
    r"""Join the switches of every two metas by a random perfect matching.

    ::

        meta 0   o o o        one cable from each switch to every other meta,
                 |\|/         whatever the switches there
                 | X
                 |/|\
        meta 1   o o o

    Parameters
    ----------
    sizes : (int, int)
        Metas, and switches in each: the degree is the number of metas less one.
    seed : int

    Returns
    -------
    ndarray of int64, shape (metas * (metas - 1) / 2 * switches, 2)
        Pairs of flat indices, each pair once.

    Raises
    ------
    MisfitError
        If there are too many pairs.

    Notes
    -----
    A random lift of the complete graph of the metas, which is nearly the best expander with high probability.

    References
    ----------
    Valadarsky, Shahaf, Dinitz, Schapira, "Xpander: towards optimal-performance datacenters", CoNEXT 2016,
    section 3.

    Examples
    --------
    >>> xpander((3, 2), seed=1).tolist()
    [[0, 2], [1, 3], [0, 5], [1, 4], [2, 5], [3, 4]]
    """
    n_metas, n_switches = sizes
    n_matchings = n_metas * (n_metas - 1) // 2
    refuse_many(n_matchings * n_switches)
    low, high = np.triu_indices(n_metas, 1)
    drawn = _draw(random.Random(seed), n_matchings * n_switches).reshape(n_matchings, n_switches)
    # A random permutation for every two metas.
    partner = np.argsort(drawn, axis=1, kind="stable")
    ends = [low[:, None] * n_switches + np.arange(n_switches), high[:, None] * n_switches + partner]
    return np.stack(ends, axis=-1).reshape(-1, 2)


def _among(keys: Ints, ranked: Ints) -> Bools:
    return np.searchsorted(ranked, keys, side="right") > np.searchsorted(ranked, keys, side="left")


def _draw(rng: random.Random, n: int) -> Floats:
    return np.array([rng.random() for _ in range(n)])


def _index(rng: random.Random, n: int) -> int:
    return int(rng.random() * n)
