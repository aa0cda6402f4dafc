"""One question as a network: from sources to targets over the permitted moves."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import (
    EXPAND_LIMIT,
    Expanded,
    Fabric,
    Forwarding,
    Paths,
    expand,
    forwarding,
    reachable,
    select,
)

Selection = str | Hashable | Iterable[Hashable]
"""A selector, or a node of a graph, or several of them."""


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


def parts_of(fabric: Fabric, selection: Selection) -> tuple[object, ...]:
    """Return the selectors, or the nodes, that `selection` lists.

    A text is one selector. A node of a graph can itself be a tuple or a frozenset: what names a device is
    one part.
    """
    if isinstance(selection, str):
        return (selection,)
    if fabric.graph is not None and isinstance(selection, Hashable):
        try:
            # A node first: a tuple that names a device is no list of devices.
            if selection in fabric.graph.names or not isinstance(selection, Iterable):
                return (selection,)
        except TypeError:  # a tuple that holds a list
            pass
    return tuple(selection) if isinstance(selection, Iterable) else (str(selection),)


def select_parts(fabric: Fabric, parts: tuple[object, ...], *, limit: int = EXPAND_LIMIT) -> Bools:
    """Return the devices of a side of a question, shape (n,).

    Raises
    ------
    QuestionError
        If there are no parts.
    SelectorError
        If one of them matches no device.
    """
    if not parts:
        msg = "an empty selection; name at least one device"
        raise QuestionError(msg)
    expanded = expand(fabric, limit=limit)
    chosen = np.zeros(expanded.n_devices, dtype=np.bool_)
    # A part that is a node of the graph is that device; any other is read as a selector.
    number = {name: i for i, name in enumerate(expanded.names)} if fabric.graph is not None else {}
    for part in parts:
        try:
            index = number.get(part)
        except TypeError:  # a list in a list
            index = None
        if index is not None:
            chosen[index] = True
        else:
            chosen |= select(fabric, str(part), limit=limit)
    return chosen


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
    sources = select_parts(fabric, parts_of(fabric, source), limit=limit)
    targets = select_parts(fabric, parts_of(fabric, target), limit=limit)
    shared = np.flatnonzero(sources & targets)
    if len(shared):
        devices = "device" if len(shared) == 1 else "devices"
        msg = f"source and target share {len(shared):,} {devices}, such as {expanded.names[int(shared[0])]}"
        raise QuestionError(msg)
    return problem_of(expanded, sources, targets, paths)


def problem_of(expanded: Expanded, sources: Bools, targets: Bools, paths: Paths) -> FlowProblem:
    """Return the useful moves from `sources` to `targets`, shape (n,) each."""
    moves = forwarding(expanded, sources, targets, paths=paths, through=False)
    starts, ends = np.zeros(moves.n_states, np.bool_), np.zeros(moves.n_states, np.bool_)
    starts[moves.source[sources & ~expanded.failed]] = True
    ends[moves.target[targets & ~expanded.failed]] = True
    # Only moves on some way from a source to a target: the others carry nothing in any flow.
    useful = reachable(moves.n_states, moves.tail, moves.head, starts)
    useful &= reachable(moves.n_states, moves.head, moves.tail, ends)
    kept = useful[moves.tail] & useful[moves.head]
    return FlowProblem(
        moves, starts, ends, moves.tail[kept], moves.head[kept], moves.link[kept], moves.link_capacity()
    )


@dataclass(frozen=True, eq=False)
class Network:
    """A `FlowProblem` with one source, one target, and a node after the states for most shared links.

    ::

        a --+                 a --+                        the capacity of the link is on the
            +--> c    ==>         +--> (link) --> c        arc between (link) and c
        b --+                 b --+

    Parameters
    ----------
    n_nodes : int
        States, nodes of shared links, then the source and the target.
    tail, head : ndarray of int64, shape (k,)
    capacity : ndarray of float64, shape (k,)
        Infinite where only the neighbours limit.
    link : ndarray of int64, shape (k,)
        Link whose capacity the arc has; -1 where it is infinite.
    move : ndarray of int64, shape (k,)
        The move of the problem whose flow this arc carries, or -1.
    joint : ndarray of int64
        Links that several arcs have, and share, because no node can stand for them: their moves differ in
        tails and in heads, as where a peer link carries climbing and descending traffic.
    """

    n_nodes: int
    tail: Ints
    head: Ints
    capacity: Floats
    link: Ints
    move: Ints
    joint: Ints

    @property
    def source(self) -> int:
        """The node where all flow starts."""
        return self.n_nodes - 2

    @property
    def target(self) -> int:
        """The node where all flow ends."""
        return self.n_nodes - 1


def network(problem: FlowProblem) -> Network:
    """Return `problem` as arcs with capacities of their own, as far as that can be."""
    tail, head, link = problem.tail.copy(), problem.head.copy(), problem.link.copy()
    # Moves of one link are a run; what they share an end of decides where the node of the link goes.
    run, run_of = _runs(link)
    same_head, same_tail = _alike(head, run, run_of), _alike(tail, run, run_of)
    several = np.bincount(run_of[link >= 0], minlength=len(run))[: len(run)] > 1
    # One head for all: the node stands before it. One tail for all: it stands behind that.
    merging, fanning = several & same_head, several & same_tail & ~same_head
    made = np.flatnonzero(merging | fanning)
    node = np.full(len(run), -1, dtype=np.int64)
    node[made] = problem.moves.n_states + np.arange(len(made))
    first = run[made]
    extra_tail = np.where(merging[made], node[made], tail[first])
    extra_head = np.where(merging[made], head[first], node[made])
    own_link = link[first]
    into, out = merging[run_of], fanning[run_of]
    head[into] = node[run_of[into]]
    tail[out] = node[run_of[out]]
    # Neither: no node can stand for the link.
    joint = problem.link[run[several & ~same_head & ~same_tail]]
    # The capacity is now on the arc of the node.
    link[into | out] = -1
    # One source before all sources, one target behind all targets, without limits.
    starts, ends = np.flatnonzero(problem.sources), np.flatnonzero(problem.targets)
    n = problem.moves.n_states + len(made)
    none = np.full(len(starts) + len(ends), -1, dtype=np.int64)
    link = np.concatenate([link, own_link, none])
    return Network(
        n_nodes=n + 2,
        tail=np.concatenate([tail, extra_tail, np.full(len(starts), n), ends]),
        head=np.concatenate([head, extra_head, starts, np.full(len(ends), n + 1)]),
        capacity=np.append(problem.capacity, np.inf)[link],
        link=link,
        move=np.concatenate([np.arange(len(tail)), np.full(len(made), -1), none]),
        joint=joint,
    )


def _runs(link: Ints) -> tuple[Ints, Ints]:
    """Return the first move of every link, and the index into these for every move."""
    _, first, inverse = np.unique(link, return_index=True, return_inverse=True)
    return first, inverse.ravel()


def _alike(values: Ints, first: Ints, run_of: Ints) -> Bools:
    """Return for which runs all `values` are that of their first."""
    differ = np.bincount(run_of, values != values[first][run_of], minlength=len(first))
    return np.asarray(differ[: len(first)] == 0)
