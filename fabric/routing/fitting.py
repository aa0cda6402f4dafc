r"""Splits that follow what capacity is left, as packet spraying with adaptive routing does.

Every device tells those before it how much of their share it can pass on to a destination: its capacity
onwards over its width when nothing is down, beside the best of its kind as many hops away. ::

           spine a    spine b         to leaf 2: a has 4 cables of 4, b has 3 of 4
            //|\\       //|            a device before them sends on by 4 : 3
          leaf 1       leaf 2         and not by 1 : 1, which would load the three by 4/3

A move takes what of it is up, and not more than what follows fits. Weights of this kind are known as WCMP
(Zhou et al., "WCMP: weighted cost multipathing for improved fairness in data centers", EuroSys 2014).

Capacity alone does not say which way is busy: `adapt` moves traffic from the busiest links to free ones, as
switches do that look at their queues.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.routing.moves import Router

# Moves whose rows are gathered at once, so that they stay in the cache.
_GATHER = 1_024
ROUNDS = 32
"""Rounds of adaptive routing at most."""
PATIENCE = 6
"""Rounds without gain after which it stops."""
SHARES = tuple(i / 8 for i in range(9))
"""Of the traffic that one round moves over."""
STRIDE = 1.5
"""Most by which one round changes how two links count beside one another."""
# A gain by less is none, loads that differ by less are the same, and the least part that a link counts with.
_WORTH, _SAME, _LEAST = 1e-3, 1e-9, 1e-9
# Rounds in which nothing moves after which it stops.
_STILL = 2


def room_of(route: Router, moves: Ints, fit: Floats) -> Floats:
    """Return the capacity of moves that what follows can pass on [Gb/s], shape (k, columns).

    Parameters
    ----------
    route : Router
    moves : ndarray of int64, shape (k,)
    fit : ndarray of float64, shape (k, columns)
        Of their heads, as `fits` returns it.
    """
    # Neither more than what is up of the move, nor more than what follows takes of it.
    room = np.minimum(route.room[moves][:, None], route.built[moves][:, None] * fit)
    return room if route.pull is None else np.asarray(room * route.pull[route.link[moves]][:, None])


def fits(route: Router, states: Ints, ways: Floats, width: Floats) -> Floats:
    """Return how much of its share each of some states can pass on, beside the best of its kind, 0 to 1.

    Parameters
    ----------
    route : Router
    states : ndarray of int64, shape (k,)
        As many hops away.
    ways : ndarray of float64, shape (k, columns)
        Capacity onwards, infinite at a destination; 0 in the columns for which a state does not count.
    width : ndarray of float64, shape (n,)
        Capacity of every device when nothing is down; see `Router.width`.
    """
    # A destination takes whatever comes.
    is_end = np.isinf(ways)
    device = route.device[states]
    kind = route.expanded.group[device]
    # Of its width when all is up: what a state has lost it passes back.
    part = np.where(is_end, 0.0, ways) / width[device][:, None]
    # Beside the best of its kind: what all have lost changes no split.
    best = np.zeros((int(kind.max(initial=-1)) + 1, ways.shape[1]))
    np.maximum.at(best, kind, part)
    best = best[kind]
    fit = np.divide(part, best, out=np.zeros(ways.shape), where=best > 0)
    fit[is_end] = 1.0
    return fit


def fitting_ways(
    route: Router, taken: tuple[Ints, Ints, Ints], level: tuple[Ints, Floats], is_wanted: Bools
) -> tuple[Floats, Floats]:
    """Return the capacity that leads on from states before a level, and how much each of the level fits.

    Parameters
    ----------
    route : Router
    taken : tuple of ndarray of int64, shape (k,)
        Moves, the places of their heads in the level, and of their tails among the states before it.
    level : (ndarray of int64, ndarray of float64)
        States, and what leads on from them, shape (n, columns).
    is_wanted : ndarray of bool, shape (m, columns)
        Which states before it count.
    """
    states, onward = level
    ways = np.zeros(is_wanted.shape)
    fit = fits(route, states, onward, route.width)
    # In slices, for the cache; see `_GATHER`.
    for i in range(0, len(taken[0]), _GATHER):
        moves, place, tail = (column[i : i + _GATHER] for column in taken)
        np.add.at(ways, tail, room_of(route, moves, fit[place]))
    return ways, fit


def carry_fitting(
    route: Router, taken: tuple[Ints, Ints, Ints], fit: Floats, share: Floats, loads: Floats
) -> Floats:
    """Add what goes one hop on to `loads`, and return what comes to the states there, shape (n, columns).

    Parameters
    ----------
    route : Router
    taken : tuple of ndarray of int64, shape (k,)
        Moves, and the places of their tails and heads.
    fit : ndarray of float64, shape (n, columns)
        Of the states that they lead to.
    share : ndarray of float64, shape (m, columns)
        What is in each state before them, for each Gb/s that leads on.
    loads : ndarray of float64
        Of all links.
    """
    flow = np.zeros(fit.shape)
    for i in range(0, len(taken[0]), _GATHER):
        moves, tail, head = (column[i : i + _GATHER] for column in taken)
        # Share for each Gb/s of room, times the room of the move.
        carried = share[tail] * room_of(route, moves, fit[head])
        np.add.at(flow, head, carried)
        np.add.at(loads, route.link[moves], carried.sum(axis=1))
    return flow


def adapt(loads_of: Callable[[Floats | None], Floats], capacity_gbps: Floats) -> Floats:
    """Return the loads of links once queues have moved traffic from busy ways to others.

    Parameters
    ----------
    loads_of : callable
        ``loads_of(pull)`` returns the loads where links count with parts of what is left of them, shape (l,);
        of None those of an equal split.
    capacity_gbps : ndarray of float64, shape (l,)

    Notes
    -----
    Round by round, links count the less the busier they are, and as much moves over as makes the busiest link
    least busy. So it is never slower than the equal split: nothing leaves a way that is free.
    """
    busy, n_missed, n_still = _busy(loads_of(None), capacity_gbps), 0, 0
    pull = np.ones(len(capacity_gbps))
    for _ in range(ROUNDS if busy.any() else 0):
        other = _busy(loads_of(pull), capacity_gbps)
        mixes = [(1 - share) * busy + share * other for share in SHARES]
        mixed = min(mixes, key=lambda mix: float(mix.max(initial=0.0)))
        most = float(busy.max(initial=0.0))
        is_still = np.abs(other - busy).max(initial=0.0) <= _SAME * most
        n_still = n_still + 1 if is_still else 0
        n_missed = 0 if mixed.max(initial=0.0) < most * (1 - _WORTH) else n_missed + 1
        busy = mixed
        # Where all is alike, nothing moves whatever links count with.
        if n_missed == PATIENCE or n_still == _STILL:
            break
        pull = pull * np.minimum(most / np.maximum(busy, most / STRIDE), STRIDE)
        pull = np.maximum(pull / pull.max(), _LEAST)
    return np.asarray(busy * capacity_gbps)


def _busy(load: Floats, capacity_gbps: Floats) -> Floats:
    return np.divide(load, capacity_gbps, out=np.zeros(len(load)), where=capacity_gbps > 0)
