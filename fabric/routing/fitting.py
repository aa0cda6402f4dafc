r"""Splits that follow what capacity is left, as packet spraying with adaptive routing does.

Every device tells those before it how much of their share it can pass on to a destination: its capacity
onwards over its width when nothing is down, beside the best of its kind as many hops away. ::

           spine a    spine b         to leaf 2: a has 4 cables of 4, b has 3 of 4
            //|\\       //|            a device before them sends on by 4 : 3
          leaf 1       leaf 2         and not by 1 : 1, which would load the three by 4/3

A move takes what of it is up, and not more than what follows fits. Weights of this kind are known as WCMP
(Zhou et al., "WCMP: weighted cost multipathing for improved fairness in data centers", EuroSys 2014).
"""

from __future__ import annotations

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.routing.moves import Router

# Moves whose rows are gathered at once, so that they stay in the cache.
_GATHER = 1_024


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
    return np.minimum(route.room[moves][:, None], route.built[moves][:, None] * fit)


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
