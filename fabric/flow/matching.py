"""The longest matching: the permutation of the endpoints whose traffic takes up most of the network."""

from __future__ import annotations

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import LimitError
from fabric.graph import Expanded, Paths, forwarding

_TURN, _STEPS = 1e-9, 1e6

MAX_MATCHED = 6_000
"""Devices in a matching: some 40 seconds and 0.3 GB for each distance matrix."""


def longest_matching(expanded: Expanded, ends: Bools, *, paths: Paths = "rules") -> tuple[Ints, Ints]:
    """Return sources and targets of the permutation of `ends` whose shortest ways take up most capacity.

    A hop counts by the part of all cables of its rule that it takes, so that one over NVLink is next to
    nothing beside one over few spines. Where all rules carry alike these are hops.

    Raises
    ------
    LimitError
        If there are more than `MAX_MATCHED` endpoints.
    """
    from scipy import optimize, sparse  # the slowest of all to load
    from scipy.sparse import csgraph

    refuse_many(int(ends.sum()))
    moves = forwarding(expanded, ends, ends, paths=paths)
    length = np.append(_parts(expanded), 0.0)[np.where(moves.link >= 0, moves.link // 2, -1)]
    # A turn inside a device is no hop; a length of zero would be no move at all.
    length = np.maximum(length, _TURN * length.max(initial=0.0))
    # Of parallel moves between two states the shortest: a sparse matrix would add them up.
    key = moves.tail * moves.n_states + moves.head
    order = np.lexsort((length, key))
    key, first = np.unique(key[order], return_index=True)
    shape = (moves.n_states, moves.n_states)
    graph = sparse.csr_matrix((length[order][first], np.divmod(key, moves.n_states)), shape=shape)
    endpoints = np.flatnonzero(ends)
    far = csgraph.dijkstra(graph, indices=moves.source[endpoints])[:, moves.target[endpoints]]
    # What cannot be reached is shorter than anything that can.
    is_met = np.isfinite(far)
    unit = float(far[is_met].max(initial=0.0)) or 1.0
    # Ways that are alike are exactly alike: what rounding tells apart must not choose the pairs.
    far = np.where(is_met, np.rint(np.where(is_met, far, 0.0) / unit * _STEPS), -1.0)
    # So short that no longest matching has a device send to itself.
    np.fill_diagonal(far, -2.0 * _STEPS * len(endpoints))
    # The assignment problem: of all permutations that with the largest sum of lengths.
    source, target = optimize.linear_sum_assignment(far, maximize=True)
    return endpoints[source], endpoints[target]


def _parts(expanded: Expanded) -> Floats:
    """Return the part of its rule's capacity that 1 Gb/s takes on each bundle, shape (m,) [1 / (Gb/s)]."""
    bundle_gbps = expanded.alive * expanded.rate_gbps
    rule_gbps = np.bincount(expanded.rule, bundle_gbps, minlength=len(expanded.rules))[expanded.rule]
    return np.divide(1.0, rule_gbps, out=np.zeros(len(rule_gbps)), where=rule_gbps > 0)


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
