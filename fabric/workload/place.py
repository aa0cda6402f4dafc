"""Where jobs may stand: who fits beside whom, and what the best and the worst placement is worth.

Nodes are chosen by block: near, in the smallest part of the fabric with room, or far, all over it; and
packed, as many segments into a block as it holds, or spread, one into each::

    blocks      A B | C D | E F       near, packed    A A A . . .     far, packed    A . A . A .
    3 segments                        near, spread    A A A . . .     far, spread    A . A . A .
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Ints
from fabric.costing.calibration import Calibration
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.cost import cost
from fabric.errors import FabricError, QuestionError
from fabric.flow.lost import find_cut_off, leave_out
from fabric.graph import Fabric, failures, unnamed
from fabric.interop.export.schedulers import hostlist
from fabric.job.in_order import FEW
from fabric.results import CutOff
from fabric.routing import Progress
from fabric.units import parse_bytes
from fabric.workload.nodes import ClusterNodes, nodes_of
from fabric.workload.placements import JobRoom, PlacedJob, Placements, SegmentRow
from fabric.workload.room import FreeNodes, NodeJob
from fabric.workload.segments import blocks_for, chance_of_room, usable_part
from fabric.workload.train import train
from fabric.workload.workload import Workload

MAX_JOBS = 1_000
_JOB = re.compile(
    r"(?:(?P<name>[^=\s]{1,60})=)?(?P<nodes>[1-9]\d{0,8})(?:/(?P<segment>[1-9]\d{0,8}))?", re.ASCII
)
_ALL_SEGMENTS = 36
"""Nodes of a block up to which every size of segment has a row."""


@checked
def place(
    fabric: Fabric,
    jobs: Sequence[str] = (),
    *,
    down: Sequence[str] = (),
    segment: int = 1,
    unavailability: float = 0.01,
    availability: float = 0.999,
    among: str | None = None,
    node: Sequence[str] = (),
    block: Sequence[str] = (),
    collective: str = "all-reduce",
    size: int | str = "1GiB",
    calibration: str | Path | Calibration = "measured",
    workload: Workload | None = None,
    progress: Progress | None = None,
) -> Placements:
    """Return which jobs fit into a fabric with nodes down, and what their best and worst placement is worth.

    Parameters
    ----------
    fabric : Fabric
        With what has failed; a node is down where any of its endpoints is, or is cut off from most others.
    jobs : sequence of str
        ``"NODES"``, ``"NODES/SEGMENT"`` or ``"NAME=NODES/SEGMENT"``, the first ones first. The nodes of a
        segment are in one block; where the segment does not divide the nodes, the last one is smaller.
    down : sequence of str
        Selectors of what is down beside; the nodes there are.
    segment : int
        Of the jobs that say none.
    unavailability : float
        Part of the time that a node is down, independently of the others.
    availability : float
        Part of the time that spares are to suffice.
    among : str, optional
        Selector of the endpoints; needed where there are several groups of them.
    node, block : sequence of str
        Axes that say them; boxes and scale-up domains if left out.
    collective, size, calibration
        Of the `cost` by which placements are ranked, among all endpoints of the job.
    workload : Workload, optional
        What every job trains, such as `load_job` returns it: the step of each placement is timed too, with as
        many replicas as its endpoints are.
    progress : callable, optional
        Called with the placements that are costed so far and all.

    Returns
    -------
    Placements

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {rack: 2, i: 4}, devices: {gpu: {kind: gpu, axes: [rack, i]}, leaf: "
    >>> text += "{kind: switch, axes: [rack]}, top: {kind: switch, axes: []}}, links: [{between: "
    >>> text += "[gpu, leaf], rate: 400Gb/s}, {between: [leaf, top], rate: 200Gb/s}]}"
    >>> answer = place(loads(text), ["4/2"], down=["rack0/gpu0"], calibration="wire", size="1GB")
    >>> job = answer.jobs[0]
    >>> job.best.nodelist, round(job.best.busbw_gbps), job.worst.nodelist, round(job.worst.busbw_gbps)
    ('rack1-gpu[0-3]', 400, 'rack0-gpu[1-2],rack1-gpu[0-1]', 200)
    """
    reaching, cut_off = _reaching(fabric, among)
    nodes = nodes_of(reaching, among=among, node=node, block=block, down=down)
    for name, part in (("unavailability", unavailability), ("availability", availability)):
        if not 0 <= part <= 1 or (name == "availability" and part in (0, 1)):
            msg = f"{name}: got {part:g}; expected a part of the time between 0 and 1"
            raise QuestionError(msg)
    wanted = _read_jobs(jobs, segment)
    size_bytes, known = parse_bytes(size), read_calibration(calibration)
    blocks = Counter(n for n in nodes.count(nodes.is_there).tolist() if n)
    if not blocks:
        msg = f"{fabric.name} has no node to place a job on"
        raise QuestionError(msg)
    room = FreeNodes(nodes, wanted)

    def costed(places: Ints, way: str) -> PlacedJob:
        answer = cost(
            nodes.alone(places), collective, size_bytes, among=among, calibration=known, is_bounded=False
        )
        n_blocks = len(np.unique(nodes.block[places]))
        listed = hostlist(nodes.names(places))
        step_s, step_why = _step(nodes, places, workload, known)
        return PlacedJob(
            way, listed, n_blocks, answer.busbw_gbps, answer.time_s, answer.binding, step_s, step_why
        )

    rooms = []
    usual = max(blocks, key=lambda n: (blocks[n] * n, n))
    for at, job in enumerate(wanted):
        options = room.options(at)
        tried = [costed(places, way) for way, places in options]
        if tried:
            room.take(at, options[_best(tried)][1])
        n_segments = sum(job.segments.values())
        rooms.append(
            JobRoom(
                job.name,
                job.n_nodes,
                job.segment,
                bool(tried),
                room.why_not(at),
                tried[_best(tried)] if tried else None,
                min(tried, key=lambda one: one.busbw_gbps, default=None),
                len(tried),
                chance_of_room(n_segments, blocks, unavailability, job.segment),
                *_spares(job, usual, unavailability, availability),
            )
        )
        if progress:
            progress(at + 1, len(wanted))
    return Placements(
        fabric=fabric.name,
        node=", ".join(nodes.axes) or "one",
        block=", ".join(nodes.block_axes) or "one",
        n_nodes=int(nodes.is_there.sum()),
        n_up=int(nodes.is_up.sum()),
        n_blocks=sum(blocks.values()),
        unavailability=unavailability,
        availability=availability,
        curve=tuple(_curve(nodes, blocks, unavailability, {job.segment for job in wanted})),
        jobs=tuple(rooms),
        collective=collective,
        size_bytes=size_bytes,
        calibration=known.name,
        cut_off=cut_off,
    )


def _reaching(fabric: Fabric, among: str | None) -> tuple[Fabric, tuple[CutOff, ...]]:
    """Return a fabric in which what failures cut off has failed too, and who that is.

    Where all are cut off, as between halves that do not meet, jobs may still stand in one of them.
    """
    if not failures(fabric) or not (found := find_cut_off(fabric, among)):
        return fabric, ()
    try:
        return leave_out(fabric, among)[0], found
    except QuestionError:  # nobody is left
        return fabric, ()


def _step(
    nodes: ClusterNodes, places: Ints, workload: Workload | None, known: Calibration
) -> tuple[float | None, str]:
    """Return how long a step of training takes on some nodes [s], or why that is not known."""
    if workload is None:
        return None, ""
    among = nodes.selectors(places)
    if len(among) > FEW:
        return None, f"its nodes are {len(among)} ranges of axes; up to {FEW} are told apart"
    # What the ranks leave of the layout are replicas; ranks of several ranges are numbered as these come.
    order = workload.order if len(among) == 1 else workload.order.rpartition("->")[2].strip(" ()")
    sized = replace(workload, among=among, order=order, parallel=replace(workload.parallel, dp=0))
    try:
        return train(sized, unnamed(nodes.fabric), calibration=known).step_s, ""
    except FabricError as error:
        return None, str(error)


def _best(tried: Sequence[PlacedJob]) -> int:
    """Return which placement is the fastest; of several the first."""
    return max(range(len(tried)), key=lambda at: tried[at].busbw_gbps)


def _read_jobs(jobs: Sequence[str], segment: int) -> list[NodeJob]:
    """Return the jobs that texts say.

    Raises
    ------
    QuestionError
        If one cannot be read, or two have one name.
    """
    if segment < 1:
        msg = f"segment: got {segment:,}; expected a number of nodes"
        raise QuestionError(msg)
    if len(jobs) > MAX_JOBS:
        msg = f"jobs: {len(jobs):,}; at most {MAX_JOBS:,} are placed"
        raise QuestionError(msg)
    wanted: dict[str, NodeJob] = {}
    for number, text in enumerate(jobs):
        match = _JOB.fullmatch(text.strip())
        if match is None:
            msg = (
                f"jobs: cannot read {text[:80]!r}; write NODES/SEGMENT or NAME=NODES/SEGMENT, such as a=32/16"
            )
            raise QuestionError(msg)
        name, n_nodes = match["name"] or f"job{number}", int(match["nodes"])
        if name in wanted:
            msg = f"jobs: {name!r} is there twice"
            raise QuestionError(msg)
        # A job smaller than its segment is one segment.
        wanted[name] = NodeJob(name, n_nodes, min(int(match["segment"] or segment), n_nodes))
    return list(wanted.values())


def _spares(
    job: NodeJob, usual: int, unavailability: float, availability: float
) -> tuple[int | None, int | None]:
    """Return the usual blocks that have room for a job often enough, and their nodes beyond its own."""
    if job.segment > usual:
        return None, None
    n = blocks_for(
        sum(job.segments.values()), usual, unavailability, segment=job.segment, availability=availability
    )
    return n, None if n is None else n * usual - job.n_nodes


def _curve(
    nodes: ClusterNodes, blocks: Counter[int], unavailability: float, asked: set[int]
) -> Iterator[SegmentRow]:
    """Yield the usable part of the nodes for every size of segment, or for powers of two in large blocks."""
    most, n_nodes = max(blocks), sum(n * count for n, count in blocks.items())
    sizes = (
        set(range(1, most + 1))
        if most <= _ALL_SEGMENTS
        else {most, *(1 << i for i in range(most.bit_length()))}
    )
    up = nodes.count(nodes.is_up)
    for size in sorted(sizes | {size for size in asked if size <= most}):
        expected = sum(usable_part(n, unavailability, size) * n * count for n, count in blocks.items())
        yield SegmentRow(size, expected / n_nodes, int((up // size).sum()) * size / n_nodes)
