"""The times that `fabric.bounds.chunks` takes the largest of: by ports, by cuts before a rank, by links."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.bounds.bound import bound
from fabric.bounds.cut_in_time import (
    ChunkTiming,
    Ways,
    at_ports,
    earliest,
    minimum_cut,
    past_cut,
    remaining,
    ways,
    windows,
)
from fabric.bounds.targets import TargetView
from fabric.graph import Fabric
from fabric.parts import catalogue

MAX_WORK = 20_000_000
"""Bundles of cables passed, once for each target and distance, after which no more begin: some seconds."""
ROOTED = ("broadcast", "reduce")
# Collectives of which a rank has a part of its own already.
_PARTS = ("all-gather", "reduce-scatter", "all-to-all")
# Times nearer to each other than this part of them count as one.
_SAME = 1e-12


@dataclass(frozen=True, eq=False)
class ChunkTask:
    """A collective in chunks, `n_chunks` of the part of each rank, or of the whole where there is a root."""

    collective: str
    n_ranks: int
    n_chunks: int
    timing: ChunkTiming
    is_out: bool

    @property
    def n_all(self) -> int:
        """Chunks of the whole buffer."""
        return self.n_chunks * (1 if self.collective in ROOTED else self.n_ranks)

    @property
    def n_in(self) -> int:
        """Chunks that each rank but the root must get from the others."""
        return self.n_all - (self.n_chunks if self.collective in _PARTS else 0)

    def ways(self, view: TargetView) -> Ways:
        """Return the ways into the target of `view`, or into all ranks; out of them where time runs back."""
        number = np.arange(len(view.size))
        targets = view.ranks & (number != view.root) if view.target < 0 else number == view.target
        sources = view.ranks & (number != view.target) if view.root < 0 else number == view.root
        return ways(view.classes, sources, targets, self.timing, backwards=self.is_out)


@dataclass(frozen=True, eq=False)
class TimeBound:
    """A bound: its time, to or from which target, by which ranks how far away, on links of which rules."""

    time_s: float
    target: str
    is_out: bool
    n_sources: int
    away_s: float
    binding: tuple[str, ...]


def slowest(times: list[TimeBound]) -> TimeBound:
    """Return the first of those with the largest time."""
    # Every one of them holds, so the largest does.
    best, *candidates = times
    for candidate in candidates:
        if candidate.time_s > best.time_s * (1 + _SAME):
            best = candidate
    return best


def by_ports(task: ChunkTask, base: TargetView) -> tuple[Ints, TimeBound]:
    """Return the classes of ranks, those with the worst ports first, and what whole chunks there say."""
    net = task.ways(base)
    # When a chunk of any other rank can be at each state.
    soon = earliest(net, _is_among(net, net.start[net.start >= 0]))
    targets = np.flatnonzero(net.end >= 0)
    order = np.argsort(net.head, kind="stable")
    first = np.searchsorted(net.head[order], net.end[targets])
    last = np.searchsorted(net.head[order], net.end[targets], side="right")
    known: dict[bytes, float] = {}
    times, rules = np.zeros(len(targets)), []
    for i, target in enumerate(targets.tolist()):
        rows = order[first[i] : last[i]]
        ports = windows(net, rows, soon[net.tail[rows]])
        # The class has so many targets; the ports of one of them count.
        ports = replace(ports, count=ports.count / base.size[target])
        # On a large fabric most ranks have ports like those of others.
        key = np.concatenate([ports.begin_s, ports.hold_s, ports.count]).tobytes()
        if key not in known:
            known[key] = ports.full_by(task.n_in)
        times[i] = known[key]
        rules.append(ports.link)
    order = np.argsort(-times, kind="stable")
    worst = int(order[0])
    name = str(base.classes.names[int(targets[worst])])
    n_others = task.n_ranks - 1 if base.root < 0 else 1
    binding = _names(base, rules[worst])
    return targets[order], TimeBound(float(times[worst]), name, task.is_out, n_others, 0.0, binding)


def by_all_ports(task: ChunkTask, base: TargetView) -> Iterator[TimeBound]:
    """Yield what all ports together must take in of an all-reduce, where only ranks add."""
    parts = catalogue().parts
    adding = [
        g.kind == "switch" and g.part in parts and parts[g.part].in_network_reduction
        for g in base.classes.groups
    ]
    idle = base.classes.is_endpoint & ~base.classes.failed & ~base.ranks
    if task.collective != "all-reduce" or any(adding) or idle.any():
        return
    # Forward in time: every chunk is taken in, 2 (n - 1) messages for each of the buffer.
    net = replace(task, is_out=False).ways(base)
    soon = earliest(net, _is_among(net, net.start[net.start >= 0]))
    rows = np.flatnonzero(_is_among(net, net.end[net.end >= 0])[net.head])
    ports = windows(net, rows, soon[net.tail[rows]])
    time = ports.full_by(2 * (task.n_ranks - 1) * task.n_all)
    yield TimeBound(time, "", False, task.n_ranks, 0.0, _names(base, ports.link))


def by_all_links(fabric: Fabric, task: ChunkTask, size_bytes: int, among: str | None) -> Iterator[TimeBound]:
    """Yield how long all links together need for the bytes of an all-to-all."""
    if task.collective != "all-to-all":
        return
    by_bytes = bound(fabric, task.collective, size_bytes, among=among, paths=task.timing.paths)
    yield TimeBound(by_bytes.time_s, "", False, task.n_ranks, 0.0, by_bytes.binding)


def by_targets(task: ChunkTask, view_of: Callable[[int], TargetView], targets: Ints) -> Iterator[TimeBound]:
    """Yield the largest bound for each target, in turn until they have been work enough."""
    spent = 0
    for number in targets.tolist():
        if spent > MAX_WORK:
            return
        # The rank is marked: classes now say how far each other rank is from it.
        view = view_of(number)
        net = task.ways(view)
        end = int(net.end[view.target])
        remaining_s = remaining(net, end)
        name = str(view.classes.names[view.target])
        # Of several bounds of one rank the largest.
        best = TimeBound(0.0, name, task.is_out, 0, 0.0, ())
        is_narrow = True
        for sources, n in _demands(task, view, remaining_s, net.start):
            spent += view.classes.n_bundles
            states = net.start[sources]
            starts = _is_among(net, states)
            # When a chunk of these sources can be at each state.
            soon = earliest(net, starts)
            least = at_ports(net, end, soon, n)
            # More sources make no narrower cut.
            if is_narrow and math.isfinite(least.time_s):
                side, is_narrow = minimum_cut(net, end, starts, soon)
                if not side[end]:
                    cut = past_cut(net, end, side, soon, remaining_s, n)
                    least = max(least, cut, key=lambda timed: timed.time_s)
            if least.time_s > best.time_s * (1 + _SAME):
                n_sources = round(float(view.size[sources].sum()))
                away = float(remaining_s[states].min())
                best = TimeBound(least.time_s, name, task.is_out, n_sources, away, _names(view, least.link))
        yield best


def _demands(
    task: ChunkTask, view: TargetView, remaining_s: Floats, start: Ints
) -> Iterator[tuple[Ints, float]]:
    """Yield classes of sources, farthest first, and how many different chunks the target must get of them."""
    if view.root >= 0:
        yield np.array([view.root]), task.n_all
        return
    sources = np.flatnonzero(view.ranks & (np.arange(len(view.size)) != view.target))
    away = remaining_s[start[sources]]
    levels = np.unique(away)
    # Sums of the same times in another order.
    levels = levels[np.concatenate([[True], levels[1:] > levels[:-1] * (1 + _SAME)])]
    for level in levels[::-1].tolist():
        far = sources[away >= level]
        n_each = view.size[far].sum() * task.n_chunks
        yield far, task.n_all if task.collective == "all-reduce" else float(n_each)


def _is_among(net: Ways, states: Ints) -> Bools:
    is_among = np.zeros(net.moves.n_states, dtype=np.bool_)
    is_among[states] = True
    return is_among


def _names(view: TargetView, links: Ints) -> tuple[str, ...]:
    """Return the rules of some links, in the order of the file."""
    numbers = np.unique(view.classes.rule[links // 2]).tolist()
    return tuple(dict.fromkeys(view.classes.rules[i].name for i in numbers))
