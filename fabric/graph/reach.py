"""Islands and reachability: whether endpoints can reach one another in the file without its failures.

Both are asked of a few devices of every class that the file tells apart, which `sample_grid` lists, so that a
fabric of a million GPUs is checked as fast as a rack. What is found is then weighed::

    axis rack: 16        sampled   rack 0   rack 1
    seen from rack 0               1        15 alike
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid, class_grid, sample_grid
from fabric.blueprint.model import Blueprint
from fabric.errors import LimitError, Problem
from fabric.graph.expanded import expand_sample
from fabric.graph.forwarding import AWAY, HOME, Forwarding, components, forwarding

CHECK_LIMIT = 240_000
"""Sampled devices, and joined pairs of them, up to which islands and reachability are checked."""
STEPS_LIMIT = 20_000_000
"""Steps of traffic that are followed in all, those of 64 sources at once."""

Words = npt.NDArray[np.uint64]
_N_BITS = 64


def reach_problems(blueprint: Blueprint) -> tuple[list[Problem], tuple[str, ...]]:
    """Return what is wrong with islands and reachability, and which of the two was not checked and why.

    Parameters
    ----------
    blueprint : Blueprint

    Returns
    -------
    problems : list of Problem
    skipped : tuple of str
    """
    # What the file means, not what is left of it today.
    nominal = replace(blueprint.whole, failed=(), marked_cables=())
    if not any(g.is_endpoint for g in nominal.groups.values()):
        return _island_problems(nominal, 0), ()
    try:
        sample = _Sample(nominal)
    except LimitError as error:
        return [], (f"islands and reachability: {error}",)
    problems = sample.island_problems()
    if problems:
        return problems, ()
    try:
        return list(sample.lost_problems()), ()
    except LimitError as error:
        return [], (f"reachability: {error}",)


def _island_problems(blueprint: Blueprint, n_islands: int, examples: str = "") -> list[Problem]:
    """Return that the endpoints are in more or fewer islands than the file says, if they are."""
    if n_islands == blueprint.islands:
        return []
    if not n_islands:
        return [_endless(blueprint)]
    if n_islands > blueprint.islands:
        fault = "endpoints in more islands than the file says"
        todo = f"one endpoint of each: {examples}; join them, or say islands: {n_islands}"
    else:
        fault = "endpoints in fewer islands than the file says"
        todo = f"say islands: {n_islands}, or check what joins them"
    got, expected = str(n_islands), str(blueprint.islands)
    return [blueprint.origin.problem(fault, key="islands", got=got, expected=expected, todo=todo)]


def _endless(blueprint: Blueprint) -> Problem:
    """Return that nothing sends or receives: a slip, unless the file says that none is meant to."""
    if any(g.is_endpoint for g in blueprint.groups.values()):
        fault = "every endpoint is absent, so that nothing sends or receives"
        todo = "take some out of absent, or say islands: 0 where none is meant"
        return blueprint.origin.problem(fault, key="absent", todo=todo)
    fault = "no device is an endpoint, so that nothing sends or receives"
    todo = "give a group kind: gpu, or endpoint: true; or say islands: 0 where none is meant"
    return blueprint.origin.problem(fault, key="devices", todo=todo)


class _Sample:
    """A few devices of every class of a blueprint, with the island of each."""

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._classes, self._grid = class_grid(blueprint), sample_grid(blueprint)
        self._expanded = e = expand_sample(self._grid, limit=CHECK_LIMIT)
        self._island = components(e.n_devices, e.tail, e.head)
        used = dict.fromkeys(p for g in blueprint.groups.values() for p in g.primitives)
        # Index of every device on each plain axis, -1 where it has none, and its class there.
        self._places = {p: (e.coordinates[p], _class_of(self._classes, p, e.coordinates[p])) for p in used}

    def island_problems(self) -> list[Problem]:
        """Return that the endpoints are in more or fewer islands than the file says, if they are."""
        e = self._expanded
        ends = np.flatnonzero(e.is_endpoint)
        _, first, island_of = np.unique(self._island[ends], return_index=True, return_inverse=True)
        seen_from = np.arange(e.n_devices)
        seen_from[ends] = ends[first][island_of]
        size = np.bincount(island_of, self._alike(seen_from)[ends])
        # Every endpoint is its share of an island.
        n_islands = round(float((self._alike()[ends] / size[island_of]).sum()))
        examples = ", ".join(str(e.names[int(ends[i])]) for i in first[:3])
        return _island_problems(self._blueprint, n_islands, examples)

    def lost_problems(self) -> Iterator[Problem]:
        """Yield one endpoint of each group that cannot reach others of its group and island.

        Raises
        ------
        LimitError
            If there are more sources to follow than `STEPS_LIMIT` allows.
        """
        e = self._expanded
        ends = np.flatnonzero(e.is_endpoint)
        ends = ends[np.lexsort((self._island[ends], e.group[ends]))]
        kinds = np.column_stack([e.group[ends], self._island[ends]])
        is_next = np.concatenate([[True], (kinds[1:] != kinds[:-1]).any(axis=1)])
        first, kind_of = np.flatnonzero(is_next), np.cumsum(is_next) - 1
        sources = np.flatnonzero(self._is_first()[ends])
        reported: set[int] = set()
        for batch, bit, arrived in _follow(forwarding(e, e.is_endpoint, e.is_endpoint), ends, sources):
            # Bits that arrive at all of a group and island; a source whose bit does not may lose some.
            by_all = np.bitwise_and.reduceat(arrived, first)
            missed: dict[tuple[int, int], Ints] = {}
            for at in np.flatnonzero(by_all[kind_of[batch]] & bit == 0).tolist():
                source, kind = int(batch[at]), int(kind_of[batch[at]])
                group = int(e.group[ends[source]])
                if group in reported:
                    continue
                key = int(bit[at]), kind
                if key not in missed:
                    missed[key] = np.flatnonzero((kind_of == kind) & (arrived & bit[at] == 0))
                # Whether its traffic comes back to itself says nothing.
                lost = missed[key][missed[key] != source]
                if len(lost):
                    reported.add(group)
                    yield self._lost_problem(int(ends[source]), ends[lost])

    def _lost_problem(self, source: int, lost: Ints) -> Problem:
        e, blueprint = self._expanded, self._blueprint
        group = blueprint.groups[e.groups[int(e.group[source])].name]
        fault = f"{e.names[source]} cannot reach {e.names[int(lost.min())]} under the path rules"
        n_lost = self._alike(np.full(e.n_devices, source))[lost].sum()
        got = f"{round(float(n_lost)):,} {group.name} out of reach"
        todo = "check which side of each rule stands first (lower, upper), and the transit of what is between"
        if group.origin.path == blueprint.path:
            return group.origin.problem(fault, got=got, todo=todo)
        # A template is rarely at fault; point at where it is included.
        return blueprint.origin.problem(fault, key="include", got=got, todo=todo)

    def _alike(self, seen_from: Ints | None = None) -> Floats:
        """Return how many devices each sampled one stands for, shape (n,).

        Parameters
        ----------
        seen_from : ndarray of int64, shape (n,), optional
            A device for each: those are alike that have the same indices in common with it.
        """
        total = np.ones(self._expanded.n_devices)
        for p, (index, number) in self._places.items():
            shown = np.bincount(_class_of(self._classes, p, self._grid.reps[p]))[number]
            weight = self._classes.weights[p][number]
            share = weight / shown
            if seen_from is not None:
                reference = index[seen_from]
                # The reference's own index stands for itself, the others sampled for the rest of the class.
                among = np.where(index == reference, 1.0, (weight - 1) / np.maximum(shown - 1, 1))
                share = np.where((reference >= 0) & (number == number[seen_from]), among, share)
            total *= np.where(index < 0, 1.0, share)
        return total

    def _is_first(self) -> Bools:
        """Return which devices are the first of their class, shape (n,)."""
        is_first = np.ones(self._expanded.n_devices, dtype=np.bool_)
        for p, (index, number) in self._places.items():
            is_first &= (index < 0) | (index == self._classes.reps[p][number])
        return is_first


def _class_of(classes: Grid, primitive: str, index: Ints) -> Ints:
    """Return the class of each index of a plain axis."""
    return np.searchsorted(classes.reps[primitive], index, side="right").astype(np.int64) - 1


def _follow(moves: Forwarding, ends: Ints, sources: Ints) -> Iterator[tuple[Ints, Words, Words]]:
    """Follow traffic from sources, those of 64 starts at once.

    Parameters
    ----------
    moves : Forwarding
    ends : ndarray of int64, shape (n,)
        Devices that send and receive.
    sources : ndarray of int64
        Positions in `ends`.

    Yields
    ------
    batch : ndarray of int64, shape (k,)
        Sources that are followed at once.
    bit : ndarray of uint64, shape (k,)
        The bit of each, which it may share with others that reach the same.
    arrived : ndarray of uint64, shape (n,)
        The bits that arrive at each of `ends`.
    """
    # Contract states that reach each other, sort moves by head, and spread 64 bits at once.
    label = _merge(moves)
    key = np.sort(label[moves.head] * moves.n_states + label[moves.tail])
    head, tail = np.divmod(key[np.diff(key, prepend=-1) > 0], moves.n_states)
    head, tail = head[head != tail], tail[head != tail]
    first = np.flatnonzero(np.diff(head, prepend=-1))
    begin = _onward(label[_start(moves)[ends[sources]]], tail, head)
    starts, start_of = np.unique(begin, return_inverse=True)
    target = label[moves.target[ends]]
    n_steps = 0
    for at in range(0, len(starts), _N_BITS):
        word = starts[at : at + _N_BITS]
        bits = np.zeros(moves.n_states, dtype=np.uint64)
        bits[word] = np.uint64(1) << np.arange(len(word), dtype=np.uint64)
        is_new = True
        while is_new and len(first):
            n_steps += len(tail)
            if n_steps > STEPS_LIMIT:
                fault = f"{len(starts):,} classes of endpoints on {len(tail):,} moves"
                msg = f"{fault} are too many; {STEPS_LIMIT:,} steps are followed at most"
                raise LimitError(msg)
            # One sweep: every state takes up the bits of all states that move to it.
            before = bits[head[first]]
            after = before | np.bitwise_or.reduceat(bits[tail], first)
            bits[head[first]] = after
            is_new = bool((before != after).any())
        batch = np.flatnonzero((start_of >= at) & (start_of < at + _N_BITS))
        bit = np.uint64(1) << (start_of[batch] - at).astype(np.uint64)
        yield sources[batch], bit, bits[target]


def _merge(moves: Forwarding) -> Ints:
    """Return a number for each state, the same for those that moves lead to and from, one step each way."""
    forth, back = (x * moves.n_states + y for x, y in ((moves.tail, moves.head), (moves.head, moves.tail)))
    ranked = np.sort(forth)
    both = (
        ranked[np.searchsorted(ranked, back).clip(max=len(ranked) - 1)] == back if len(ranked) else forth > 0
    )
    return components(moves.n_states, moves.tail[both], moves.head[both])


def _onward(starts: Ints, tail: Ints, head: Ints) -> Ints:
    """Return where sources may as well start: those with one way on at its end, so that many start alike."""
    n = int(max(head.max(initial=0), tail.max(initial=0), starts.max(initial=0))) + 1
    onward = np.arange(n)
    is_only = np.bincount(tail, minlength=n)[tail] == 1
    onward[tail[is_only]] = head[is_only]
    # By twice as far in each round; where single ways lead round in a ring, any of it will do.
    for _ in range(n.bit_length()):
        onward = onward[onward]
    return np.asarray(onward[starts])


def _start(moves: Forwarding) -> Ints:
    """Return a state of each device from which traffic reaches what it does from its source, shape (n,).

    What forwards anything may as well start where it forwards: inside its scale-up network if it has one.
    """
    start = moves.source.copy()
    for stage in (AWAY, HOME):
        state = np.flatnonzero([role == ("free", stage) for role in moves.role])
        start[moves.device[state]] = state
    return start
