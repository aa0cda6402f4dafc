"""Execution traces of a collective, of its algorithm, or of a job: a file a rank, for simulators."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Ints
from fabric.costing.run import job_of
from fabric.errors import LimitError, QuestionError, nearest
from fabric.graph import Fabric
from fabric.interop.export.chakra import COLLECTIVES, TraceNode, encode
from fabric.job.question import JobQuestion
from fabric.results import HIDDEN, Result
from fabric.schedule.algorithms import Shape, schedules
from fabric.schedule.tree import Par, Phase, Schedule
from fabric.units import parse_bytes
from fabric.workload.job_file import load_job
from fabric.workload.layout import GROUPS, Layout
from fabric.workload.on_fabric import Site, site
from fabric.workload.steps_of_rank import Program, programs
from fabric.workload.workload import Workload

MAX_NODES = 5_000_000
"""Nodes of all files of a trace."""
_GROUPS_FILE = "comm_group.json"


@dataclass(frozen=True, slots=True)
class ExecutionTrace(Result):
    """Answer of `trace`.

    Parameters
    ----------
    name : str
        What is traced.
    n_npus, n_nodes : int
        Files, and nodes of all of them.
    losses : tuple of str
        What a trace cannot hold.
    files : mapping of str to bytes
        ``trace.0.et`` and so on, and for a job the communicators.
    """

    name: str
    n_npus: int
    n_nodes: int
    losses: tuple[str, ...]
    files: dict[str, bytes] = field(repr=False, metadata=HIDDEN)

    shown: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        """Return what was written."""
        lines = [f"{self.name}: {self.n_nodes:,} nodes on {self.n_npus:,} NPUs"]
        return "\n".join([*lines, *(f"  lost: {loss}" for loss in self.losses)])


@checked
def trace(
    fabric: Fabric,
    what: str | Path | Workload,
    size: int | str = "1GiB",
    *,
    algorithm: str = "",
) -> ExecutionTrace:
    """Return the Chakra execution trace of a collective or of a training step.

    Parameters
    ----------
    fabric : Fabric
    what : str, Path or Workload
        A collective of all ranks, or a job file (``*.job.yaml``).
    size : int or str
        Of the collective, as nccl-tests counts it.
    algorithm : str
        Write every message of an algorithm; else the collective is one node, and a simulator chooses.

    Returns
    -------
    ExecutionTrace
        NPUs are numbered as ASTRA-sim's network file numbers them: endpoints in the order of the file. Those
        of a collective, and of a job on a part of the endpoints, are ranks.

    Raises
    ------
    QuestionError
        If there is no such collective or algorithm, its switches reduce, or the job does not fit.
    LimitError
        If there are more nodes than `MAX_NODES`.
    ExtraError
        If protobuf is not installed.

    Notes
    -----
    Of a job every stage runs one forward, one backward (1F1B). Each pass is cut into as many parts as its
    most frequent transfer has, computing and sending in turn. A transfer that may overlap by half or more
    holds up nothing but the end of the step.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> answer = trace(loads(text), "all-reduce", "1MB", algorithm="ring")
    >>> answer.n_nodes, list(answer.files)[0]
    (48, 'trace.0.et')
    """
    if isinstance(what, Workload) or Path(what).suffix:
        return _of_job(fabric, what if isinstance(what, Workload) else load_job(what))
    collective = str(what)
    if collective not in COLLECTIVES and not (collective == "send-recv" and algorithm):
        hint = nearest(collective, COLLECTIVES) or f"known are {', '.join(COLLECTIVES)}, and files of jobs"
        msg = f"no collective {collective!r} in a trace; {hint}"
        raise QuestionError(msg)
    shape = job_of(fabric, JobQuestion()).shape
    size_bytes = parse_bytes(size)
    name = f"{collective} of {fabric.name}"
    if algorithm:
        messages = _messages(collective, shape, size_bytes, algorithm)
        losses = (
            "pipelines: messages of trees and chains are whole, phases that overlap follow one another",
        )
        return _answer(f"{name} by {algorithm}", messages, losses)
    own = size_bytes // shape.n if collective == "all-gather" else size_bytes
    node = TraceNode(collective, "collective", collective=collective, size_bytes=own)
    return _answer(name, [[node]] * shape.n, ("the algorithm, and which rank is the root",))


def _answer(
    name: str,
    nodes: list[list[TraceNode]],
    losses: tuple[str, ...],
    groups: dict[str, list[int]] | None = None,
) -> ExecutionTrace:
    files = {f"trace.{npu}.et": encode(own, npu) for npu, own in enumerate(nodes)}
    if groups is not None:
        files[_GROUPS_FILE] = (json.dumps(groups, indent=1) + "\n").encode()
    return ExecutionTrace(name, len(nodes), sum(map(len, nodes)), losses, files)


def _refuse_many(n: int) -> None:
    if n > MAX_NODES:
        msg = f"a trace of more than {MAX_NODES:,} nodes; ask about fewer ranks, or leave the algorithm out"
        raise LimitError(msg)


def _messages(collective: str, shape: Shape, size_bytes: float, algorithm: str) -> list[list[TraceNode]]:
    """Return the messages of an algorithm by rank."""
    known = schedules(collective, shape, size_bytes)
    if algorithm not in known:
        hint = nearest(algorithm, known) or f"those that can run here are {', '.join(known)}"
        msg = f"algorithm {algorithm!r}: {hint}"
        raise QuestionError(msg)
    listing = _Listing(shape.n, algorithm)
    listing.add(known[algorithm], [()] * shape.n)
    return listing.nodes


class _Listing:
    """Messages of a schedule, step by step."""

    def __init__(self, n: int, algorithm: str) -> None:
        self.nodes: list[list[TraceNode]] = [[] for _ in range(n)]
        self._n, self._algorithm = n, algorithm
        self._tag = self._n_nodes = 0

    def add(self, schedule: Schedule, after: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Add what a schedule sends after some nodes of each rank, and return the last ones."""
        if isinstance(schedule, Phase):
            return self._phase(schedule, after)
        if isinstance(schedule, Par):
            each = [self.add(part, after) for part in schedule.parts]
            return [tuple(sorted({*sum(own, ())})) for own in zip(*each, strict=True)]
        for part in schedule.parts:
            after = self.add(part, after)
        return after

    def _phase(self, phase: Phase, after: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        steps: list[dict[tuple[int, int], int]] = []
        for step in range(phase.steps):
            chunks: dict[tuple[int, int], int] = defaultdict(int)
            for source, target, _ in phase.moves(self._n, step):
                if min(source, target) < 0:
                    msg = f"algorithm {self._algorithm!r}: its switches reduce, and a trace has only ranks"
                    raise QuestionError(msg)
                chunks[source, target] += 1
            self._n_nodes += 2 * len(chunks)
            _refuse_many(self._n_nodes)
            steps.append(chunks)
        sent, heard = np.zeros(self._n), np.zeros(self._n)
        for chunks in steps:
            for (source, target), n in chunks.items():
                sent[source] += n
                heard[target] += n
        # Chunks of a phase are alike: the busiest rank sends, or receives, the bytes of the phase.
        chunk_bytes = phase.bytes_per_endpoint / max(sent.max(), heard.max(), 1)
        for chunks in steps:
            after = self._step(phase.name, chunks, chunk_bytes, after)
        return after

    def _step(
        self,
        name: str,
        chunks: dict[tuple[int, int], int],
        chunk_bytes: float,
        after: list[tuple[int, ...]],
    ) -> list[tuple[int, ...]]:
        last: dict[int, list[int]] = defaultdict(list)
        for (source, target), n in sorted(chunks.items()):
            size, self._tag = max(1, round(n * chunk_bytes)), self._tag + 1
            for npu, peer, kind in ((source, target, "send"), (target, source, "receive")):
                own = self.nodes[npu]
                last[npu].append(len(own))
                node = TraceNode(name, "send", after[npu], size_bytes=size, peer=peer, tag=self._tag)
                own.append(node if kind == "send" else _received(node))
        return [tuple(last[npu]) if npu in last else after[npu] for npu in range(self._n)]


def _received(sent: TraceNode) -> TraceNode:
    return TraceNode(
        sent.name, "receive", sent.after, size_bytes=sent.size_bytes, peer=sent.peer, tag=sent.tag
    )


def _of_job(fabric: Fabric, work: Workload) -> ExecutionTrace:
    at = site(fabric, work, "wire", "ecmp")
    layout = at.lay_out()
    stages = list(programs(at.work, at.peak_tflops, layout.sizes))
    n_ranks = at.work.parallel.n_ranks
    _refuse_many(sum(len(stage.nodes) for stage in stages) * n_ranks // len(stages))
    npu = _npus(at)
    groups, group_of = _groups(layout, npu)
    peers = _peers(layout, npu)
    nodes: list[list[TraceNode]] = [[] for _ in range(n_ranks)]
    for rank, own in enumerate(npu.tolist()):
        stage, before, behind = peers[rank]
        nodes[own] = list(_placed(stages[stage], group_of, rank, before, behind))
    losses = [
        "calibration: a simulator has its own",
        "part of a transfer that may overlap: all of it, or none",
    ]
    if at.work.parallel.vpp > 1:
        losses.append("interleaving: chunks of a stage are one")
    return _answer(f"a step of {work.name}", nodes, tuple(losses), groups)


def _npus(at: Site) -> Ints:
    """Return the NPU of each rank: the place of its endpoint in the file where all endpoints are ranks."""
    n = at.work.parallel.n_ranks
    blueprint = at.fabric.axes_or_refuse("a trace")
    ends = [g for g in blueprint.groups.values() if g.is_endpoint]
    axes = [p for axis in at.left.split() if axis in blueprint.axes for p in blueprint.primitives(axis)]
    if at.work.among or len(ends) != 1 or sorted(axes) != sorted(ends[0].primitives):
        return np.arange(n, dtype=np.int64)
    place = np.arange(n, dtype=np.int64).reshape([blueprint.axes[p].size for p in ends[0].primitives])
    return place.transpose([ends[0].primitives.index(p) for p in axes]).ravel()


def _pieces(layout: Layout) -> dict[str, int]:
    right = layout.order.partition("->")[2].strip(" ()")
    return {name: int(size) for name, _, size in (word.partition("=") for word in right.split())}


def _rows(layout: Layout, over: tuple[str, ...]) -> Ints:
    """Return the ranks of each group, a row a group."""
    pieces = _pieces(layout)
    names = list(pieces)
    ranks = np.arange(int(np.prod(list(pieces.values()))), dtype=np.int64).reshape(list(pieces.values()))
    apart = [k for k, name in enumerate(names) if name not in over]
    inside = [names.index(name) for name in over]
    n = int(np.prod([pieces[name] for name in over]))
    return ranks.transpose([*apart, *inside]).reshape(-1, n)


def _groups(layout: Layout, npu: Ints) -> tuple[dict[str, list[int]], dict[str, Ints]]:
    """Return communicators by number, as ASTRA-sim reads them, and that of each rank for each sort."""
    groups: dict[str, list[int]] = {}
    group_of: dict[str, Ints] = {}
    for sort in GROUPS:
        over = layout.over[sort]
        if not over or sort == "pp":
            continue
        rows = _rows(layout, over)
        own = np.zeros(len(npu), dtype=np.int64)
        for row in rows:
            own[row] = len(groups) + 1
            groups[str(len(groups) + 1)] = npu[row].tolist()
        group_of[sort] = own
    return groups, group_of


def _peers(layout: Layout, npu: Ints) -> list[tuple[int, int, int]]:
    """Return stage, and the NPUs of the stages before and behind, of each rank."""
    rows = _rows(layout, layout.over["pp"])
    peers = [(0, -1, -1)] * len(npu)
    for row in rows.tolist():
        for stage, rank in enumerate(row):
            before = int(npu[row[stage - 1]]) if stage else -1
            behind = int(npu[row[stage + 1]]) if stage + 1 < len(row) else -1
            peers[rank] = stage, before, behind
    return peers


def _placed(
    stage: Program, group_of: dict[str, Ints], rank: int, before: int, behind: int
) -> Iterator[TraceNode]:
    """Yield the nodes of a stage with the groups and peers of a rank."""
    for node, sort in stage.nodes:
        if node.kind == "collective":
            group = int(group_of[sort][rank])
        else:
            group = 0
        peer = {"before": before, "behind": behind}.get(sort, 0)
        yield TraceNode(
            node.name,
            node.kind,
            node.after,
            node.duration_us,
            node.collective,
            node.size_bytes,
            group,
            peer,
            node.tag,
        )
