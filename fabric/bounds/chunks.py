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
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal

from fabric.arguments import checked
from fabric.bounds.bound import bound
from fabric.bounds.chunk_times import (
    ROOTED,
    ChunkTask,
    TimeBound,
    by_all_links,
    by_all_ports,
    by_ports,
    by_targets,
    slowest,
)
from fabric.bounds.cut_in_time import ChunkTiming, Latency, latencies
from fabric.bounds.targets import target_views
from fabric.errors import QuestionError, argument_name, nearest, setting
from fabric.flow.lost import count_failed
from fabric.graph import Fabric, Paths
from fabric.results import CutOff, DeviceText, Result, say_lost
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
_BACKWARDS = ("reduce-scatter", "reduce")
_BOTH_WAYS = ("all-reduce", "all-to-all")


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
    cut_off : tuple of CutOff
        Ranks that no chunk can reach, or leave, one of each class; the bound is then 0.
    n_failed : int
        Endpoints of the question that have failed themselves: they are no ranks.
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
    target: DeviceText
    is_out: bool
    n_sources: int
    away_s: float
    binding: tuple[str, ...]
    pipelined: bool
    paths: Paths
    n_targets: int
    n_classes: int
    cut_off: tuple[CutOff, ...] = ()
    n_failed: int = 0

    shown: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Literal["upper bound", "cut off"]:
        """``cut off`` where some ranks are."""
        return "cut off" if self.cut_off else "upper bound"

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        question = (
            f"{self.collective} of {format_bytes(self.size_bytes)} among {format_count(self.n_ranks)} ranks "
            f"in whole chunks of {format_bytes(self.chunk_bytes)}"
        )
        lost = say_lost(self.cut_off, self.n_failed, setting("among"), kind="ranks")
        if self.cut_off:
            return "\n".join(
                [f"{question}: never, for some ranks are cut off from most of the others", *lost]
            )
        way = "out of" if self.is_out else "into"
        ranks = "1 rank" if self.n_sources == 1 else f"{format_count(self.n_sources)} ranks"
        where = f"{way} {self.target}, {ranks}" if self.target else "all ranks"
        away = f" at least {format_time(self.away_s)} away" if self.away_s else ""
        link = (
            "takes its next chunk while the last is under way" if self.pipelined else "carries one at a time"
        )
        lines = [
            f"{question}: at least {format_time(self.time_s)}",
            f"  algbw at most {format_rate(self.algbw_gbps)}, busbw at most {format_rate(self.busbw_gbps)}",
            f"  binding: {', '.join(self.binding)} ({where}{away})",
            f"  the ports of a rank alone: {format_time(self.ports_s)}; a link {link}",
        ]
        if self.n_targets < self.n_classes:
            n, of = format_count(self.n_targets), format_count(self.n_classes)
            lines.append(f"  the ports of all ranks, and the way to {n} of {of} classes of them")
        return "\n".join([*lines, *lost])


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
    >>> answer = chunk_bound(loads(text), "all-gather", "8MB", latency="1us")  # 7 chunks by 2 links: 4 rounds
    >>> print(answer)
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
    if root and collective not in ROOTED:
        msg = f"root: {collective} has none; leave it out"
        raise QuestionError(msg)
    base, view_of = target_views(fabric, collective in ROOTED, among, root, paths)
    # The class sizes of the ranks say how many there are.
    n = round(float(base.size[base.ranks].sum()))
    # The part of each rank, or the whole where there is a root.
    part_bytes = size_bytes if collective in ROOTED else size_bytes / n
    most = max(1, min(MAX_CHUNKS, int(part_bytes)))  # a chunk is a byte or more
    if not 1 <= n_chunks <= most:
        name = argument_name("chunk_bound", "n_chunks")
        msg = f"{name}: got {n_chunks}; expected 1 to {most:,} chunks of {format_bytes(part_bytes)}"
        raise QuestionError(msg)
    chunk_bytes = part_bytes / n_chunks
    timing = ChunkTiming(chunk_bytes, latencies(base.classes.rules, latency), pipelined, paths)
    ports: list[TimeBound] = []
    more: list[list[TimeBound]] = []
    # All-reduce and all-to-all bind both ways; a reduce-scatter and a reduce in backward time.
    for is_out in (False, True) if collective in _BOTH_WAYS else (collective in _BACKWARDS,):
        task = ChunkTask(collective, n, n_chunks, timing, is_out)
        targets, worst = by_ports(task, base)
        ports.append(worst)
        more.append(list(by_targets(task, view_of, targets[:limit])))
    # What no single rank shows: all ports, or all links, at once.
    together = [*by_all_ports(task, base), *by_all_links(fabric, task, size_bytes, among)]
    best = slowest([*ports, *together, *chain.from_iterable(more)])
    is_met = math.isfinite(best.time_s)
    algbw = gbytes_to_gbps(gbytes_per_second(size_bytes, best.time_s)) if is_met else 0.0
    return ChunkBound(
        collective=collective,
        size_bytes=size_bytes,
        n_ranks=n,
        n_chunks=n_chunks,
        chunk_bytes=chunk_bytes,
        time_s=best.time_s,
        algbw_gbps=algbw,
        busbw_gbps=algbw * (1.0 if collective in ROOTED else busbw_factor(collective, n)),
        ports_s=max(least.time_s for least in ports),
        target=best.target,
        is_out=best.is_out,
        n_sources=best.n_sources,
        away_s=best.away_s,
        binding=best.binding,
        pipelined=pipelined,
        paths=paths,
        n_targets=min(map(len, more)),
        n_classes=len(targets),
        cut_off=()
        if is_met
        else bound(fabric, collective, size_bytes, among=among, root=root, paths=paths).cut_off
        or (CutOff(best.target, 1),),
        n_failed=count_failed(fabric, among),
    )
