"""An interval for programs that are too large: what one routing carries, and what prices of links forbid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Bools, Floats, Ints
from fabric.graph import Expanded, Forwarding, Paths, forwarding
from fabric.routing.ecmp import Demands, link_loads
from fabric.routing.moves import router

# Sources whose distances are worked out at once, so that memory stays bounded.
_SOURCES = 128
# A move of no length would be no move; bounds are widened by more than what this adds up to.
_NO_LENGTH, _WIDENED = 1e-13, 1 + 1e-10


@dataclass(frozen=True, eq=False)
class Interval:
    """What is known of the largest rate of some demands.

    Parameters
    ----------
    lower_gbps, upper_gbps : float
    use : ndarray of float64, shape (2 * m,)
        Load over capacity of every link under the routing, at the lower rate.
    price : ndarray of float64, shape (2 * m,)
        Of every link, in the bound that proves the upper rate.
    n_states : int
    """

    lower_gbps: float
    upper_gbps: float
    use: Floats
    price: Floats
    n_states: int


def interval(expanded: Expanded, demand: Demands, *, paths: Paths = "rules") -> Interval:
    """Return the interval of the rate of `demand`.

    Parameters
    ----------
    expanded : Expanded
    demand : Demands
        Between devices that can reach each other.
    paths : {"rules", "no-relay", "any"}

    Returns
    -------
    Interval

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.

    Notes
    -----
    The routing is an equal split per hop over all shortest permitted paths. By weak duality any prices bound
    the rate by the sum of capacity times price over the sum of demand times distance; those tried are equal
    prices, the links at the endpoints, and the links that the routing loads most.
    """
    ends = np.zeros(expanded.n_devices, dtype=np.bool_)
    ends[demand.source] = ends[demand.target] = True
    moves = forwarding(expanded, ends, ends, paths=paths)
    capacity = moves.link_capacity()
    # Lower bound: the routing, scaled until its busiest link is full.
    loads = link_loads(router(_with_paths(expanded, paths), ends), demand)
    use = np.divide(loads, capacity, out=np.zeros(len(loads)), where=capacity > 0)
    peak = float(use.max())
    # Upper bound: the best of some prices, each by weak duality.
    tried = []
    for price in _prices(expanded, ends, use / peak, capacity):
        paid = _paid(moves, price, demand)
        tried.append((float(capacity @ price) / paid * _WIDENED if paid else np.inf, price))
    upper, price = min(tried, key=lambda pair: pair[0])
    return Interval(1 / peak, upper, use / peak, price, moves.n_states)


def _with_paths(expanded: Expanded, paths: Paths) -> Expanded:
    """Return `expanded` with the path rule in the transits of its groups."""
    if paths == "any":
        groups = tuple(replace(g, transit="all") for g in expanded.groups)
    elif paths == "no-relay":
        groups = tuple(replace(g, transit="end") if g.transit == "relay" else g for g in expanded.groups)
    else:
        return expanded
    return replace(expanded, groups=groups)


def _prices(expanded: Expanded, ends: Bools, use: Floats, capacity: Floats) -> list[Floats]:
    """Return some prices of links, in which the largest is 1."""
    carries = capacity > 0
    out = np.column_stack([ends[expanded.tail], ends[expanded.head]]).ravel()
    # A high power prices the busiest links and lets the others count a little.
    busy = use**8 / np.where(carries, capacity, 1.0)
    candidates = [
        carries.astype(np.float64),
        (carries & out).astype(np.float64),
        (carries & (use > 1 - 1e-9)).astype(np.float64),
        np.where(carries, busy, 0.0),
    ]
    return [price / price.max() for price in candidates if price.max() > 0]


def _paid(moves: Forwarding, price: Floats, demand: Demands) -> float:
    """Return the sum of demand times distance."""
    n = moves.n_states
    length = np.append(price, 0.0)[moves.link] + _NO_LENGTH
    # Parallel moves in order of length, so that the first of each pair is the shortest.
    order = np.lexsort((length, moves.head, moves.tail))
    tail, head, length = moves.tail[order], moves.head[order], length[order]
    first = np.ones(len(tail), dtype=np.bool_)
    first[1:] = (tail[1:] != tail[:-1]) | (head[1:] != head[:-1])
    graph = sparse.csr_matrix((length[first], (tail[first], head[first])), shape=(n, n))
    sources, row = np.unique(demand.source, return_inverse=True)
    total = 0.0
    # The distances of a part of the sources at a time.
    for begin in range(0, len(sources), _SOURCES):
        part = sources[begin : begin + _SOURCES]
        distance = csgraph.dijkstra(graph, indices=moves.source[part])
        in_part = np.flatnonzero((row >= begin) & (row < begin + _SOURCES))
        total += float(
            distance[row[in_part] - begin, moves.target[demand.target[in_part]]] @ demand.amount[in_part]
        )
    return total


def cut_off(expanded: Expanded, ends: Bools, *, paths: Paths = "rules") -> Ints:
    """Return the endpoints that exchange traffic with no majority of `ends`, themselves included."""
    moves = forwarding(expanded, ends, ends, paths=paths)
    ones = np.ones(len(moves.tail))
    shape = (moves.n_states, moves.n_states)
    graph = sparse.csr_matrix((ones, (moves.tail, moves.head)), shape=shape)
    endpoints = np.flatnonzero(ends)
    is_reached = np.zeros((len(endpoints), len(endpoints)), dtype=np.bool_)
    for begin in range(0, len(endpoints), _SOURCES):
        part = endpoints[begin : begin + _SOURCES]
        hops = csgraph.dijkstra(graph, indices=moves.source[part], unweighted=True)
        is_reached[begin : begin + len(part)] = np.isfinite(hops[:, moves.target[endpoints]])
    np.fill_diagonal(is_reached, True)
    # Cut off is whoever exchanges traffic, both ways, with no more than half of all.
    return np.asarray(endpoints[2 * (is_reached & is_reached.T).sum(axis=1) <= len(endpoints)])
