"""Proof that every rank can be fed at a rate, and that one can at no more: without any solver.

A flow to a rank is checked state by state and arc by arc; a cut by prices on its links, on the moves of the
path rule as they are before states are merged.
"""

from __future__ import annotations

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.flow.certificate import GAP, distances
from fabric.graph import Forwarding


def is_fed(tail: Ints, head: Ints, flow: Floats, capacity: Floats, supply: Floats, state: int) -> bool:
    """Return whether a flow brings all that is supplied to one state.

    Parameters
    ----------
    tail, head : ndarray of int64, shape (k,)
    flow, capacity : ndarray of float64, shape (k,)
    supply : ndarray of float64, shape (n,)
        What starts at every state, in the same unit.
    state : int
    """
    n = len(supply)
    lost = supply + np.bincount(head, flow, minlength=n) - np.bincount(tail, flow, minlength=n)
    lost[state] = 0.0
    fits = bool(((flow >= 0) & (flow <= capacity * (1 + GAP))).all())
    return fits and float(np.abs(lost).sum()) <= GAP * float(supply.sum())


def most_fed(moves: Forwarding, links: Ints, roots: Ints, rank: int, *, is_inward: bool) -> float:
    """Return the rate that one rank cannot be fed beyond, by a price of 1 on some links.

    Parameters
    ----------
    moves : Forwarding
    links : ndarray of int64
    roots : ndarray of int64
        Devices that hold an equal part each.
    rank : int
        Device.
    is_inward : bool
        Whether it sends to the roots instead.
    """
    capacity = moves.link_capacity()
    price = np.zeros(len(capacity) + 1)
    price[links] = 1.0
    tail, head = (moves.tail, moves.head) if is_inward else (moves.head, moves.tail)
    near, far = (moves.source, moves.target) if is_inward else (moves.target, moves.source)
    starts = np.zeros(moves.n_states, dtype=np.bool_)
    starts[near[rank]] = True
    distance = distances(tail, head, price[moves.link], starts)
    others = roots[roots != rank]
    paid = float(distance[far[others]].sum()) / len(roots)
    return float(capacity[links].sum()) / paid if 0 < paid < np.inf else np.inf
