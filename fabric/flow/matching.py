"""The longest matching: the permutation of the endpoints whose traffic goes farthest."""

from __future__ import annotations

import numpy as np
from scipy import optimize, sparse
from scipy.sparse import csgraph

from fabric.arrays import Bools, Ints
from fabric.errors import LimitError
from fabric.graph import Expanded, Paths, forwarding

MAX_MATCHED = 6_000
"""Devices in a matching: some 40 seconds and 0.3 GB for each distance matrix."""


def longest_matching(expanded: Expanded, ends: Bools, *, paths: Paths = "rules") -> tuple[Ints, Ints]:
    """Return sources and targets of the permutation of `ends` with the most hops in all.

    Raises
    ------
    LimitError
        If there are more than `MAX_MATCHED` endpoints.
    """
    refuse_many(int(ends.sum()))
    moves = forwarding(expanded, ends, ends, paths=paths)
    # A turn inside a device is no hop; a length of zero would be no move at all.
    length = np.where(moves.link >= 0, 1.0, 1e-6)
    key, first = np.unique(moves.tail * moves.n_states + moves.head, return_index=True)
    shape = (moves.n_states, moves.n_states)
    graph = sparse.csr_matrix((length[first], np.divmod(key, moves.n_states)), shape=shape)
    own = np.flatnonzero(ends)
    hops = np.rint(csgraph.dijkstra(graph, indices=moves.source[own])[:, moves.target[own]])
    # What cannot be reached is shorter than anything that can.
    hops[~np.isfinite(hops)] = -1.0
    np.fill_diagonal(hops, -2.0 * len(own))
    left, right = optimize.linear_sum_assignment(hops, maximize=True)
    return own[left], own[right]


def refuse_many(n: int) -> None:
    """Refuse a matching of so many devices that their distances fill the memory.

    Raises
    ------
    LimitError
        If there are more than `MAX_MATCHED`.
    """
    if n > MAX_MATCHED:
        msg = f"a matching of {n:,} devices; at most {MAX_MATCHED:,} are matched: choose fewer with among"
        raise LimitError(msg)
