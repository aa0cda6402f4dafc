"""Cables within one class as a product: a HyperX is complete graphs, a torus is rings, side by side.

::

    a - b        two cables at v that are sides of exactly one square without diagonals run along two
    |   |        axes, and the opposite side of a square runs along the same axis; all others at v run
    v - c        along one (Imrich, Klavzar, Rall, "Topics in Graph Theory", 2008, chapter 15)

A ring of four is two axes of two, which is the same graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fabric.arrays import Ints

MAX_CORNERS = 4_000_000
"""Pairs of cables at one device that are looked at."""

Shape = Literal["mesh", "ring", "line"]


@dataclass(frozen=True, eq=False)
class Factor:
    """One axis that cables within a class run along.

    Parameters
    ----------
    shape : {"mesh", "ring", "line"}
    index : ndarray of int64, shape (n,)
        Index of each device along it, 0 for the first; in the order of the ring or the line.
    edges : ndarray of int64, shape (k,)
        Numbers of the cable bundles.
    """

    shape: Shape
    index: Ints
    edges: Ints


def factors(u: Ints, v: Ints, n: int) -> list[Factor] | None:
    """Return the axes that edges among n devices run along; None where they are no such product.

    Parameters
    ----------
    u, v : ndarray of int64, shape (m,)
        Ends, each pair once.
    n : int

    Examples
    --------
    >>> side = np.array([0, 1, 2, 0, 1, 2, 3, 4, 5]), np.array([1, 2, 0, 3, 4, 5, 4, 5, 3])
    >>> [(factor.shape, factor.index.tolist()) for factor in factors(*side, 6)]
    [('line', [0, 0, 0, 1, 1, 1]), ('mesh', [0, 1, 2, 0, 1, 2])]
    """
    _, part = connected_components(csr_array((np.ones(len(u)), (u, v)), shape=(n, n)), directed=False)
    sizes = np.bincount(part)
    n_edges = np.bincount(part[u], minlength=len(sizes))
    if (n_edges == sizes * (sizes - 1) // 2).all():
        colour = np.zeros(len(u), dtype=np.int64)
    else:
        found = _directions(u, v, n)
        if found is None:
            return None
        colour = _aligned(found, part[u])
    made = [_factor(u, v, n, np.flatnonzero(colour == c), colour != c) for c in range(int(colour.max()) + 1)]
    return None if any(one is None for one in made) else [one for one in made if one is not None]


def _directions(u: Ints, v: Ints, n: int) -> Ints | None:
    """Return a number for each edge that is equal for those along one axis of one component."""
    degree = np.bincount(np.concatenate([u, v]), minlength=n)
    if int((degree * (degree - 1) // 2).sum()) > MAX_CORNERS:
        return None
    keys = np.minimum(u, v) * n + np.maximum(u, v)
    order = np.argsort(keys)

    def edge(a: Ints, b: Ints) -> Ints:
        return np.asarray(order[np.searchsorted(keys[order], np.minimum(a, b) * n + np.maximum(a, b))])

    a, w, b = _corners(u, v, degree)
    pair, which, n_common = np.unique(a * n + b, return_inverse=True, return_counts=True)
    which = which.ravel()
    # Of two common neighbours, the other one is what their sum leaves.
    far = np.bincount(which, weights=w).astype(np.int64)[which] - w
    is_square = (n_common == 2)[which] & ~np.isin(pair, keys)[which]
    a, b, w, far, flat = a[is_square], b[is_square], w[is_square], far[is_square], (a, b, w)
    bent = [ends[~is_square] for ends in flat]
    one = np.concatenate([edge(bent[2], bent[0]), edge(w, a), edge(w, b)])
    other = np.concatenate([edge(bent[2], bent[1]), edge(far, b), edge(far, a)])
    graph = csr_array((np.ones(len(one)), (one, other)), shape=(len(u), len(u)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _corners(u: Ints, v: Ints, degree: Ints) -> tuple[Ints, Ints, Ints]:
    """Return every two neighbours a < b of every device w, as arrays a, w, b."""
    at, near = np.concatenate([u, v]), np.concatenate([v, u])
    near = near[np.lexsort((near, at))]
    start = np.cumsum(degree) - degree
    # Neighbour number k of a device, counted from 0, is the larger end of k corners.
    rank = np.arange(len(near)) - np.repeat(start, degree)
    b = np.repeat(near, rank)
    first = np.repeat(np.repeat(start, degree), rank)
    a = near[first + np.arange(len(b)) - np.repeat(np.cumsum(rank) - rank, rank)]
    return a, np.repeat(np.repeat(np.arange(len(degree)), degree), rank), b


def _aligned(direction: Ints, part: Ints) -> Ints:
    """Return directions numbered from 0 in every component: those of as many edges are one axis."""
    pairs = np.unique(np.stack([part, direction], axis=1), axis=0)
    n_edges = np.bincount(direction)
    order = np.lexsort((pairs[:, 1], n_edges[pairs[:, 1]], pairs[:, 0]))
    place = np.empty(len(n_edges), dtype=np.int64)
    first = np.flatnonzero(np.diff(pairs[order, 0], prepend=-1))
    start = np.repeat(first, np.diff(np.append(first, len(order))))
    place[pairs[order, 1]] = np.arange(len(order)) - start
    return place[direction]


def _factor(u: Ints, v: Ints, n: int, edges: Ints, others: np.ndarray) -> Factor | None:
    """Return what the edges of one direction are; None if no mesh, ring or line."""
    rest = csr_array((np.ones(int(others.sum())), (u[others], v[others])), shape=(n, n))
    _, layer = connected_components(rest, directed=False)
    # Devices of one layer have one index: the graph of layers is the axis, once in each component.
    a, b = layer[u[edges]], layer[v[edges]]
    pairs = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0)
    size = int(layer.max()) + 1
    graph = csr_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    n_axes, of = connected_components(graph, directed=False)
    index = np.zeros(size, dtype=np.int64)
    shapes = set()
    around = csr_array(graph + graph.T)
    for axis in range(n_axes):
        members = np.flatnonzero(of == axis)
        shape, order = _walk(members, around)
        if len(members) > 1:
            shapes.add((shape, len(members)))
        index[order] = np.arange(len(order))
    if len({shape for shape, _ in shapes}) != 1 or "" in {shape for shape, _ in shapes}:
        return None
    ((shape, _),) = tuple(shapes)[:1] if len(shapes) == 1 else (max(shapes, key=lambda s: s[1]),)
    return Factor(shape, index[layer], edges)  # type: ignore[arg-type]


def _walk(members: Ints, around: csr_array) -> tuple[str, list[int]]:
    """Return the shape of a small graph and its nodes in order; an empty shape if it has none."""
    n = len(members)
    degree = np.diff(around.indptr)[members]
    if (degree == n - 1).all():
        return ("line" if n == 2 else "mesh"), members.tolist()
    if n < 3 or degree.max() > 2 or degree.sum() not in (2 * n, 2 * n - 2):
        return "", members.tolist()
    shape = "ring" if degree.sum() == 2 * n else "line"
    at = int(members[0] if shape == "ring" else members[degree == 1][0])
    order, seen = [at], {at}
    while True:
        ahead = [
            w for w in around.indices[around.indptr[at] : around.indptr[at + 1]].tolist() if w not in seen
        ]
        if not ahead:
            return shape, order
        at = min(ahead)
        order.append(at)
        seen.add(at)
