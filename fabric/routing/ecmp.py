"""Link loads under ECMP: equal split per hop over the cables of all shortest permitted paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import Expanded, forwarding

# Destinations routed at once: dense blocks of (states x destinations) that stay in the cache.
_BLOCK = 64
_FAR = np.iinfo(np.int16).max


@dataclass(frozen=True, eq=False)
class Demands:
    """Traffic between devices.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
        Devices; a pair may appear more than once.
    amount : ndarray of float64, shape (k,)
        In any unit; loads come out in the same.
    """

    source: Ints
    target: Ints
    amount: Floats


@dataclass(frozen=True, eq=False)
class Router:
    """The permitted moves of a job, ready to be routed on.

    Parameters
    ----------
    expanded : Expanded
    source, target : ndarray of int64, shape (n,)
        State in which device v sends and receives, or -1.
    tail, head, link : ndarray of int64, shape (k,)
        Moves with turns folded in, so that every move is one hop.
    cables : ndarray of float64, shape (k,)
        Cables that are up on the link of each move: the weight of the split.
    hops : scipy.sparse.csr_array, shape (n_states, n_states)
        Cables from each state to each next state.
    """

    expanded: Expanded
    source: Ints
    target: Ints
    tail: Ints
    head: Ints
    link: Ints
    cables: Floats
    hops: sparse.csr_array


def router(expanded: Expanded, ranks: Bools) -> Router:
    """Return a router for traffic among `ranks`, shape (n,); endpoints outside do not forward."""
    moves = forwarding(expanded, ranks, ranks, bystanders=False)
    inner = moves.link < 0
    tail, head, link = moves.tail[~inner], moves.head[~inner], moves.link[~inner]
    # A turn is no hop: what leaves the downward half may leave the upward half as well.
    order = np.argsort(tail, kind="stable")
    first = np.searchsorted(tail[order], moves.head[inner], side="left")
    n = np.searchsorted(tail[order], moves.head[inner], side="right") - first
    within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    again = order[np.repeat(first, n) + within]
    tail = np.concatenate([tail, np.repeat(moves.tail[inner], n)])
    head, link = np.concatenate([head, head[again]]), np.concatenate([link, link[again]])
    cables = expanded.alive[link // 2].astype(np.float64)
    hops = sparse.csr_array((cables, (tail, head)), shape=(moves.n_states, moves.n_states))
    return Router(expanded, moves.source, moves.target, tail, head, link, cables, hops)


def link_loads(route: Router, demands: Demands) -> Floats:
    """Return what `demands` put on every link, shape (2 * m,).

    Parameters
    ----------
    route : Router
    demands : Demands

    Returns
    -------
    ndarray of float64
        Link ``2 * b`` is bundle b from tail to head, ``2 * b + 1`` the way back.

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.
    """
    order = np.argsort(demands.target, kind="stable")
    source, target, amount = demands.source[order], demands.target[order], demands.amount[order]
    loads = np.zeros(2 * route.expanded.n_bundles)
    unique, start = np.unique(target, return_index=True)
    back = route.hops.T.tocsr()
    for begin in range(0, len(unique), _BLOCK):
        block = unique[begin : begin + _BLOCK]
        lo = start[begin]
        hi = start[begin + _BLOCK] if begin + _BLOCK < len(start) else len(target)
        column = np.searchsorted(block, target[lo:hi])
        _route_block(route, back, block, source[lo:hi], column, amount[lo:hi], loads)
    return loads


def _route_block(
    route: Router, back: sparse.csr_array, block: Ints, source: Ints, column: Ints, amount: Floats, loads: Floats
) -> None:
    """Add the loads of all demands towards the devices of `block` to `loads`."""
    starts = route.source[source]
    distance, ways = _distances(route, block, starts, column)
    reached = distance[starts, column] < _FAR
    if not reached.all():
        i = int(np.flatnonzero(~reached)[0])
        names = route.expanded.names
        msg = f"no permitted path from {names[int(source[i])]} to {names[int(block[column[i]])]}"
        raise QuestionError(msg)
    flow = np.zeros(distance.shape)
    np.add.at(flow, (starts, column), amount)
    share = np.zeros(distance.shape)
    for level in range(int(distance[starts, column].max(initial=0)), 0, -1):
        here = distance == level
        share[here] = flow[here] / ways[here]
        flow += np.where(distance == level - 1, back @ np.where(here, share, 0.0), 0.0)
    used = np.flatnonzero(share.any(axis=1)[route.tail])
    tail, head = route.tail[used], route.head[used]
    closer = distance[head] == distance[tail] - 1
    np.add.at(loads, route.link[used], route.cables[used] * np.einsum("ij,ij->i", share[tail], closer))


def _distances(
    route: Router, block: Ints, starts: Ints, column: Ints
) -> tuple[npt.NDArray[np.int16], Floats]:
    """Return hops to each target and cables towards it, both of shape (n_states, len(block)).

    The search ends once every source of the block is reached.
    """
    shape = (route.hops.shape[0], len(block))
    distance = np.full(shape, _FAR, dtype=np.int16)
    ways = np.zeros(shape)
    front = np.zeros(shape)
    ends = route.target[block]
    front[ends, np.arange(len(block))] = 1.0
    distance[ends, np.arange(len(block))] = 0
    level = 0
    while front.any() and (distance[starts, column] == _FAR).any():
        level += 1
        cables = route.hops @ front
        new = (cables > 0) & (distance == _FAR)
        distance[new] = level
        ways[new] = cables[new]
        front = new.astype(np.float64)
    return distance, ways
