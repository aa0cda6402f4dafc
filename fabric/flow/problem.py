"""One question as a network: from sources to targets over the permitted moves."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import EXPAND_LIMIT, Fabric, Forwarding, Paths, expand, forwarding, reachable, select

Selection = str | Hashable | Iterable[Hashable]


@dataclass(frozen=True, eq=False)
class FlowProblem:
    """Single-commodity flow on the states of a fabric.

    Parameters
    ----------
    moves : Forwarding
    sources, targets : ndarray of bool, shape (n_states,)
        States where flow starts and ends.
    tail, head : ndarray of int64, shape (k,)
        States of each useful move: reachable from a source and leading to a target.
    link : ndarray of int64, shape (k,)
        Link of each move, -1 for a turn inside a device. Moves on one link share its capacity.
    capacity : ndarray of float64, shape (2 * m,)
        Capacity of every link [Gb/s].
    """

    moves: Forwarding
    sources: Bools
    targets: Bools
    tail: Ints
    head: Ints
    link: Ints
    capacity: Floats


def selected(fabric: Fabric, selection: Selection, *, limit: int = EXPAND_LIMIT) -> Bools:
    """Return the devices of a question's side, shape (n,): a selector, or several."""
    if isinstance(selection, str) or not isinstance(selection, list | set | frozenset):
        return select(fabric, selection, limit=limit)  # type: ignore[arg-type]
    found = [select(fabric, one, limit=limit) for one in selection]  # type: ignore[arg-type]
    if not found:
        msg = "an empty selection"
        raise QuestionError(msg)
    return np.logical_or.reduce(found)


def flow_problem(
    fabric: Fabric, source: Selection, target: Selection, *, paths: Paths = "rules", limit: int = EXPAND_LIMIT
) -> FlowProblem:
    """Return the network of the question "how much can go from `source` to `target`?".

    Raises
    ------
    SelectorError
        If a selector matches nothing.
    QuestionError
        If the two sides share a device.
    """
    expanded = expand(fabric, limit=limit)
    sources, targets = selected(fabric, source, limit=limit), selected(fabric, target, limit=limit)
    both = np.flatnonzero(sources & targets)
    if len(both):
        msg = f"source and target share {len(both):,} devices, such as {expanded.names[int(both[0])]}"
        raise QuestionError(msg)
    moves = forwarding(expanded, sources, targets, paths=paths, through=False)
    starts, ends = np.zeros(moves.n_states, np.bool_), np.zeros(moves.n_states, np.bool_)
    starts[moves.source[sources & ~expanded.failed]] = True
    ends[moves.target[targets & ~expanded.failed]] = True
    useful = reachable(moves.n_states, moves.tail, moves.head, starts)
    useful &= reachable(moves.n_states, moves.head, moves.tail, ends)
    kept = useful[moves.tail] & useful[moves.head]
    return FlowProblem(
        moves, starts, ends, moves.tail[kept], moves.head[kept], moves.link[kept], moves.link_capacity()
    )


@dataclass(frozen=True, eq=False)
class Network:
    """A `FlowProblem` with shared capacities made explicit, one node after the states for each shared link.

    ::

        a --+                 a --+                        the capacity of the link is on the
            +--> c    ==>         +--> (link) --> c        arc between (link) and c
        b --+                 b --+

    Parameters
    ----------
    n_nodes : int
        States, shared links, then one source and one target.
    tail, head : ndarray of int64, shape (k,)
    capacity : ndarray of float64, shape (k,)
        Infinite where only the neighbours limit.
    move : ndarray of int64, shape (k,)
        The move of the problem whose flow this arc carries, or -1.
    shared : tuple of (ndarray of int64, float)
        Sets of arcs with one capacity that no node can express: different tails and different heads.
    """

    n_nodes: int
    tail: Ints
    head: Ints
    capacity: Floats
    move: Ints
    shared: tuple[tuple[Ints, float], ...]

    @property
    def source(self) -> int:
        """The node where all flow starts."""
        return self.n_nodes - 2

    @property
    def target(self) -> int:
        """The node where all flow ends."""
        return self.n_nodes - 1


def network(problem: FlowProblem) -> Network:
    """Return `problem` as arcs with capacities of their own."""
    n = problem.moves.n_states
    k = len(problem.link)
    capacity = np.where(problem.link >= 0, problem.capacity[problem.link], np.inf)
    tail, head = problem.tail.copy(), problem.head.copy()
    extra: list[tuple[int, int, float]] = []
    shared: list[tuple[Ints, float]] = []
    for arcs in _sharing(problem.link):
        limit = float(capacity[arcs[0]])
        capacity[arcs] = np.inf
        if (head[arcs] == head[arcs[0]]).all():
            extra.append((n, int(head[arcs[0]]), limit))
            head[arcs] = n
        elif (tail[arcs] == tail[arcs[0]]).all():
            extra.append((int(tail[arcs[0]]), n, limit))
            tail[arcs] = n
        else:
            shared.append((arcs, limit))
            continue
        n += 1
    starts, ends = np.flatnonzero(problem.sources), np.flatnonzero(problem.targets)
    more = np.array(extra, dtype=np.float64).reshape(-1, 3)
    n_more = len(more) + len(starts) + len(ends)
    return Network(
        n + 2,
        np.concatenate([tail, more[:, 0].astype(np.int64), np.full(len(starts), n), ends]),
        np.concatenate([head, more[:, 1].astype(np.int64), starts, np.full(len(ends), n + 1)]),
        np.concatenate([capacity, more[:, 2], np.full(len(starts) + len(ends), np.inf)]),
        np.concatenate([np.arange(k), np.full(n_more, -1)]),
        tuple(shared),
    )


def _sharing(link: Ints) -> list[Ints]:
    """Return the moves of every link that has several."""
    order = np.argsort(link, kind="stable")
    ranked = link[order]
    edges = np.flatnonzero(np.diff(ranked)) + 1
    runs = np.split(order, edges)
    return [np.sort(run) for run in runs if len(run) > 1 and link[run[0]] >= 0]
