"""Bounds of collectives that know whole chunks and latency: no schedule is faster.

A rank must get chunks from others, and `fabric.bounds.cut_in_time` says how soon that can be. What is
looked at are different chunks, which nothing can merge on the way:

- all-gather: those of all ranks from which a chunk is at least so long on its way, for every such time. The
  least time stands for all other ranks: whole chunks at the ports of a rank.
- reduce-scatter: what a rank holds for each of the others leaves it as parts of different sums, so the same
  with time running backwards on reversed links.
- all-to-all: what each of the others holds for a rank, and what it holds for each of them, by both of the
  above; and what all links together carry of it, whatever the chunks (`fabric.bounds.bound`).
- broadcast, reduce: all pieces from the root, or to it backwards.
- all-reduce: every piece of the buffer must get from each rank to each other, whatever is added on the way.
  Where ranks alone add, a piece takes 2 (n - 1) messages: n - 1 until some rank has heard of all, since they
  join all ranks, and one more to each of the others (Harary and Schwenk, "The communication problem on graphs
  and digraphs", Journal of the Franklin Institute 297, 1974). All ports together must take them in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import ClassVar

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Bools, Floats, Ints
from fabric.bounds.bound import bound
from fabric.bounds.cut_in_time import (
    ChunkTiming,
    Latency,
    Ways,
    at_ports,
    earliest,
    latencies,
    minimum_cut,
    past_cut,
    remaining,
    ways,
    windows,
)
from fabric.bounds.targets import TargetView, target_views
from fabric.errors import QuestionError, nearest
from fabric.graph import Fabric, Paths
from fabric.parts import catalogue
from fabric.results import Result
from fabric.schedule.algorithms import busbw_factor
from fabric.units import (
    format_bytes,
    format_count,
    format_rate,
    format_time,
    gbytes_per_second,
    gbytes_to_gbps,
    parse_bytes,
)

CHUNKED = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "broadcast", "reduce")
MAX_TARGETS = 128
"""Ranks, or classes of ranks, that are looked at with all that is on the way to them."""
MAX_CHUNKS = 2**20
"""Most chunks of the part of a rank."""
MAX_WORK = 20_000_000
"""Bundles of cables passed for them, once for each distance, after which no more are begun; some seconds."""
_BACKWARDS = ("reduce-scatter", "reduce")
# Collectives of which a rank has a part of its own already.
_PARTS = ("all-gather", "reduce-scatter", "all-to-all")
_BOTH_WAYS = ("all-reduce", "all-to-all")
_ROOTED = ("broadcast", "reduce")
# Times nearer to each other than this part of them count as one.
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class ChunkBound(Result):
    """Answer of `chunk_bound`.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks : int
    n_chunks : int
        Of the part of each rank; of the whole for broadcast and reduce.
    chunk_bytes : float
    time_s : float
        No schedule of whole chunks is faster [s].
    algbw_gbps, busbw_gbps : float
        None exceeds them [Gb/s].
    ports_s : float
        What whole chunks at the ports of the worst rank say alone [s].
    target : str
        Rank with the least time, one of its class; empty where all ranks together give the bound.
    is_out : bool
        Whether the chunks must leave the target; else they must come in.
    n_sources, away_s : int, float
        Ranks they come from or go to, and how long one of them is on its way at least [s].
    binding : tuple of str
        Rules of the links that the chunks must cross.
    pipelined : bool
    paths : str
    n_targets, n_classes : int
        Classes of ranks that were looked at with what is on the way to them, and all.
    """

    collective: str
    size_bytes: int
    n_ranks: int
    n_chunks: int
    chunk_bytes: float
    time_s: float
    algbw_gbps: float
    busbw_gbps: float
    ports_s: float
    target: str
    is_out: bool
    n_sources: int
    away_s: float
    binding: tuple[str, ...]
    pipelined: bool
    paths: Paths
    n_targets: int
    n_classes: int

    shown: ClassVar[tuple[str, ...]] = ("status",)
    status: ClassVar[str] = "upper bound"

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        way = "out of" if self.is_out else "into"
        ranks = "1 rank" if self.n_sources == 1 else f"{format_count(self.n_sources)} ranks"
        where = f"{way} {self.target}, {ranks}" if self.target else "all ranks"
        away = f" at least {format_time(self.away_s)} away" if self.away_s else ""
        link = (
            "takes its next chunk while the last is under way" if self.pipelined else "carries one at a time"
        )
        lines = [
            f"{self.collective} of {format_bytes(self.size_bytes)} among {format_count(self.n_ranks)} ranks "
            f"in whole chunks of {format_bytes(self.chunk_bytes)}: at least {format_time(self.time_s)}",
            f"  algbw at most {format_rate(self.algbw_gbps)}, busbw at most {format_rate(self.busbw_gbps)}",
            f"  binding: {', '.join(self.binding)} ({where}{away})",
            f"  the ports of a rank alone: {format_time(self.ports_s)}; a link {link}",
        ]
        if self.n_targets < self.n_classes:
            n, of = format_count(self.n_targets), format_count(self.n_classes)
            lines.append(f"  the ports of all ranks, and the way to {n} of {of} classes of them")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Task:
    """A collective in chunks, `n_chunks` of the part of each rank, or of the whole where there is a root."""

    collective: str
    n_ranks: int
    n_chunks: int
    timing: ChunkTiming
    is_out: bool

    @property
    def n_all(self) -> int:
        """Chunks of the whole buffer."""
        return self.n_chunks * (1 if self.collective in _ROOTED else self.n_ranks)

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
class _Found:
    """A bound: its time, to or from which target, by which ranks how far away, on links of which rules."""

    time_s: float
    target: str
    is_out: bool
    n_sources: int
    away_s: float
    binding: tuple[str, ...]


@checked
def chunk_bound(
    fabric: Fabric,
    collective: str,
    size: int | str = "1GiB",
    *,
    n_chunks: int = 1,
    latency: Latency = 0.0,
    pipelined: bool = True,
    among: str | None = None,
    root: str = "",
    paths: Paths = "rules",
    limit: int = MAX_TARGETS,
) -> ChunkBound:
    """Return the least time of a collective in whole chunks over links with latency.

    Parameters
    ----------
    fabric : Fabric
    collective : {"all-gather", "reduce-scatter", "all-reduce", "all-to-all", "broadcast", "reduce"}
    size : int or str
        Bytes by the convention of nccl-tests.
    n_chunks : int
        Of the part of each rank, so that a chunk is ``size / (n_ranks * n_chunks)``, in all-to-all of what a
        rank has for another; of the whole for
        broadcast and reduce.
    latency : float, str, mapping or callable
        Of every link [s] or with a unit; by the name of the rule, 0 for those not named; or a function of the
        `fabric.graph.RuleInfo`. The flight through cables whose length the file says comes on top.
    pipelined : bool
        Whether a link takes the next chunk while the last is under way. If not, a chunk holds a link for its
        latency too, as where a message of n bytes costs alpha + n beta; bounds with True hold then as well.
    among : str, optional
        Selector of the ranks.
    root : str
        For broadcast and reduce: selector of one rank.
    paths : {"rules", "no-relay", "any"}
        Path rule of the devices between; endpoints always pass data on, because they hold it.
    limit : int
        Classes of ranks that are looked at with all that is on the way to them, those with the worst ports
        first; fewer on a large and irregular fabric. The ports of every rank are looked at in any case.

    Returns
    -------
    ChunkBound

    Raises
    ------
    QuestionError, SelectorError, UnitError
        If the question does not fit the fabric.
    LimitError
        If the axes do not say the symmetry, and the fabric is too large to be expanded.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 8}, devices: {gpu: {kind: gpu, axes: [i], transit: all}},"
    >>> text += " links: [{between: [gpu, gpu], ring: i, rate: 50GB/s}]}"
    >>> found = chunk_bound(loads(text), "all-gather", "8MB", latency="1us")  # 7 chunks by 2 links: 4 rounds
    >>> print(found)
    all-gather of 8 MB among 8 ranks in whole chunks of 1 MB: at least 84 us
      algbw at most 761.9 Gb/s (95.24 GB/s), busbw at most 666.7 Gb/s (83.33 GB/s)
      binding: gpu-gpu (into gpu0, 1 rank at least 84 us away)
      the ports of a rank alone: 81 us; a link takes its next chunk while the last is under way
    """
    size_bytes = parse_bytes(size)
    if collective not in CHUNKED:
        hint = nearest(collective, CHUNKED) or f"bounds of chunks are known for {', '.join(CHUNKED)}"
        msg = f"unknown collective {collective!r}; {hint}"
        raise QuestionError(msg)
    if root and collective not in _ROOTED:
        msg = f"root: {collective} has none; leave it out"
        raise QuestionError(msg)
    base, view_of = target_views(fabric, collective in _ROOTED, among, root, paths)
    n = round(float(base.size[base.ranks].sum()))
    whole = size_bytes if collective in _ROOTED else size_bytes / n
    most = max(1, min(MAX_CHUNKS, int(whole)))  # a chunk is a byte or more
    if not 1 <= n_chunks <= most:
        msg = f"n_chunks: got {n_chunks}; expected 1 to {most:,} chunks of {format_bytes(whole)}"
        raise QuestionError(msg)
    chunk_bytes = whole / n_chunks
    timing = ChunkTiming(chunk_bytes, latencies(base.classes.rules, latency), pipelined, paths)
    ports: list[_Found] = []
    more: list[list[_Found]] = []
    for is_out in (False, True) if collective in _BOTH_WAYS else (collective in _BACKWARDS,):
        task = _Task(collective, n, n_chunks, timing, is_out)
        targets, worst = _by_ports(task, base)
        ports.append(worst)
        more.append(list(_for_targets(task, view_of, targets[:limit])))
    together = [*_together(task, base), *_shared(fabric, task, size_bytes, among)]
    best = _slowest([*ports, *together, *chain.from_iterable(more)])
    algbw = gbytes_to_gbps(gbytes_per_second(size_bytes, best.time_s))
    return ChunkBound(
        collective=collective,
        size_bytes=size_bytes,
        n_ranks=n,
        n_chunks=n_chunks,
        chunk_bytes=chunk_bytes,
        time_s=best.time_s,
        algbw_gbps=algbw,
        busbw_gbps=algbw * (1.0 if collective in _ROOTED else busbw_factor(collective, n)),
        ports_s=max(found.time_s for found in ports),
        target=best.target,
        is_out=best.is_out,
        n_sources=best.n_sources,
        away_s=best.away_s,
        binding=best.binding,
        pipelined=pipelined,
        paths=paths,
        n_targets=min(map(len, more)),
        n_classes=len(targets),
    )


def _slowest(finds: list[_Found]) -> _Found:
    """Return the first of those with the largest time."""
    best, *others = finds
    for found in others:
        if found.time_s > best.time_s * (1 + _SAME):
            best = found
    return best


def _by_ports(task: _Task, base: TargetView) -> tuple[Ints, _Found]:
    """Return the classes of ranks, those with the worst ports first, and what whole chunks there say."""
    net = task.ways(base)
    soon = earliest(net, _states(net, net.start[net.start >= 0]))
    targets = np.flatnonzero(net.end >= 0)
    order = np.argsort(net.head, kind="stable")
    first = np.searchsorted(net.head[order], net.end[targets])
    last = np.searchsorted(net.head[order], net.end[targets], side="right")
    known: dict[bytes, float] = {}
    times, rules = np.zeros(len(targets)), []
    for i, one in enumerate(targets.tolist()):
        rows = order[first[i] : last[i]]
        ports = windows(net, rows, soon[net.tail[rows]])
        ports = replace(ports, count=ports.count / base.size[one])
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
    return targets[order], _Found(float(times[worst]), name, task.is_out, n_others, 0.0, binding)


def _together(task: _Task, base: TargetView) -> Iterator[_Found]:
    """Yield what all ports together must take in of an all-reduce, where only ranks add."""
    parts = catalogue().parts
    adding = [
        g.kind == "switch" and g.part in parts and parts[g.part].in_network_reduction
        for g in base.classes.groups
    ]
    others = base.classes.is_endpoint & ~base.classes.failed & ~base.ranks
    if task.collective != "all-reduce" or any(adding) or others.any():
        return
    net = replace(task, is_out=False).ways(base)
    soon = earliest(net, _states(net, net.start[net.start >= 0]))
    rows = np.flatnonzero(_states(net, net.end[net.end >= 0])[net.head])
    ports = windows(net, rows, soon[net.tail[rows]])
    time = ports.full_by(2 * (task.n_ranks - 1) * task.n_all)
    yield _Found(time, "", False, task.n_ranks, 0.0, _names(base, ports.link))


def _shared(fabric: Fabric, task: _Task, size_bytes: int, among: str | None) -> Iterator[_Found]:
    """Yield how long all links together need for the bytes of an all-to-all."""
    if task.collective != "all-to-all":
        return
    found = bound(fabric, task.collective, size_bytes, among=among, paths=task.timing.paths)
    yield _Found(found.time_s, "", False, task.n_ranks, 0.0, found.binding)


def _for_targets(task: _Task, view_of: Callable[[int], TargetView], targets: Ints) -> Iterator[_Found]:
    """Yield the largest bound for each target, in turn until they have been work enough."""
    spent = 0
    for one in targets.tolist():
        if spent > MAX_WORK:
            return
        view = view_of(one)
        net = task.ways(view)
        end = int(net.end[view.target])
        left = remaining(net, end)
        name = str(view.classes.names[view.target])
        best = _Found(0.0, name, task.is_out, 0, 0.0, ())
        is_narrow = True
        for sources, n in _demands(task, view, left, net.start):
            spent += view.classes.n_bundles
            states = net.start[sources]
            starts = _states(net, states)
            soon = earliest(net, starts)
            least = at_ports(net, end, soon, n)
            # More sources make no narrower cut.
            if is_narrow and math.isfinite(least.time_s):
                side, is_narrow = minimum_cut(net, end, starts, soon)
                if not side[end]:
                    cut = past_cut(net, end, side, soon, left, n)
                    least = max(least, cut, key=lambda one: one.time_s)
            if least.time_s > best.time_s * (1 + _SAME):
                n_sources = round(float(view.size[sources].sum()))
                away = float(left[states].min())
                best = _Found(least.time_s, name, task.is_out, n_sources, away, _names(view, least.link))
        yield best


def _demands(task: _Task, view: TargetView, left: Floats, start: Ints) -> Iterator[tuple[Ints, float]]:
    """Yield classes of sources, farthest first, and how many different chunks the target must get of them."""
    if view.root >= 0:
        yield np.array([view.root]), task.n_all
        return
    others = np.flatnonzero(view.ranks & (np.arange(len(view.size)) != view.target))
    away = left[start[others]]
    levels = np.unique(away)
    # Sums of the same times in another order.
    levels = levels[np.concatenate([[True], levels[1:] > levels[:-1] * (1 + _SAME)])]
    for level in levels[::-1].tolist():
        far = others[away >= level]
        n_each = view.size[far].sum() * task.n_chunks
        yield far, task.n_all if task.collective == "all-reduce" else float(n_each)


def _states(net: Ways, states: Ints) -> Bools:
    found = np.zeros(net.moves.n_states, dtype=np.bool_)
    found[states] = True
    return found


def _names(view: TargetView, links: Ints) -> tuple[str, ...]:
    """Return the rules of some links, in the order of the file."""
    numbers = np.unique(view.classes.rule[links // 2]).tolist()
    return tuple(dict.fromkeys(view.classes.rules[i].name for i in numbers))
