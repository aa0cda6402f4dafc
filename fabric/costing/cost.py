"""What a collective costs: time, algbw, busbw, what binds, and how far from the best possible."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np

from fabric.arguments import checked
from fabric.blueprint.remembered import remembered
from fabric.costing.answer import AlgorithmCost, Cost, HashedTime
from fabric.costing.beside import bounded
from fabric.costing.calibration import Calibration, ProtocolCost
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.channels import CHANNELS, channel_limit_gb_s
from fabric.costing.evaluate import DIGITS, Overheads, Timing, evaluate, first_largest, peaks, steps_of
from fabric.costing.notes import card_notes, chip_notes, split_notes
from fabric.costing.spread import Slowdown, Spread, slowdowns
from fabric.errors import QuestionError, nearest
from fabric.graph import Fabric
from fabric.job.jobs import job
from fabric.job.question import JobOptions, JobQuestion, ranks_group
from fabric.job.ranks import Job
from fabric.nccl import ABOUT, machine, node_of, predict
from fabric.results import Refused, Slack
from fabric.routing import Progress
from fabric.schedule.algorithms import (
    ALGORITHMS,
    Moe,
    Shape,
    busbw_factor,
    moe_combine,
    moe_dispatch,
    moe_logical_bytes,
    moe_reach,
    schedules,
)
from fabric.schedule.tree import Schedule, phases
from fabric.units import (
    format_rate,
    format_time,
    gbytes_per_second,
    gbytes_to_gbps,
    parse_bytes,
    seconds,
    seconds_to_send,
)

FEW_RANKS = 4_096
"""Ranks up to which an answer at wire rates also says what to expect, where every cable is listed."""


@checked
def cost(
    fabric: Fabric,
    collective: str,
    size: int | str,
    *,
    algorithm: str = "auto",
    calibration: str | Path | Calibration = "wire",
    spread: Spread | None = None,
    is_bounded: bool = True,
    progress: Progress | None = None,
    **asked: Unpack[JobOptions],
) -> Cost:
    """Return what a collective costs on a fabric.

    Parameters
    ----------
    fabric : Fabric
    collective : str
        One of `fabric.schedule.COLLECTIVES`.
    size : int or str
        Bytes, or text such as ``"1GiB"``, as nccl-tests counts them.
    algorithm : str
        ``"auto"`` for the fastest of those that the calibration names as usual, ``"all"`` to cost every one
        that can run, or a name.
    calibration : str, Path or Calibration
        ``"wire"`` for wire rates and zero latency; ``"measured"``; ``"nccl"`` for what NCCL's own model
        expects; or the path of a file.
    spread : Spread, optional
        Queue pairs of hashed routing, efficiency of adaptive routing.
    is_bounded : bool
        Whether to work out the bound, and at wire rates what to expect, beside the cost.
    progress : callable, optional
        Called with the part that is routed so far and the whole, where that takes long.
    **asked
        Which ranks and how they are routed, see `fabric.job.question.JobQuestion`: ``over``, ``among``,
        ``ranks``, ``order``, ``routing``, ``reduces``, ``method``, ``limit``.

    Returns
    -------
    Cost

    Raises
    ------
    QuestionError
        If the question does not fit the fabric.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> answer = cost(loads(text), "all-reduce", "1GB")
    >>> round(answer.time_s, 9), round(answer.busbw_gbps, 6), answer.binding
    (0.03, 400.0, 'gpu-leaf')
    """
    question = JobQuestion.of(asked)
    if calibration == "nccl":
        return _as_nccl(fabric, question, collective, parse_bytes(size), algorithm)
    work = _job(fabric, question)
    known = read_calibration(calibration)
    size_bytes = parse_bytes(size)
    found, refused = _schedules(collective, work.shape, size_bytes, algorithm, known)
    if progress:
        # What has no path is told below, algorithm by algorithm.
        with contextlib.suppress(QuestionError):
            work.prepare([p.pattern for schedule in found.values() for p in phases(schedule)], progress)
    factor = busbw_factor(collective, work.shape.n)
    run = _CostRun(fabric, question, work, collective, size_bytes, factor, known, spread or Spread())
    costs, unroutable = _all_costs(run, found)
    refused += unroutable
    answer = _answer(run, _fastest_first(costs))
    notes = _routing_notes(fabric, question, run, found, answer.chosen.algorithm)
    answer = replace(answer, refused=refused, notes=notes)
    if not is_bounded:
        return replace(answer, no_bound="not asked for")
    is_quick = work.method == "axes" or work.shape.n <= FEW_RANKS
    if known.name == "wire" and algorithm == "auto" and is_quick:
        answer = replace(answer, notes=(*answer.notes, _expected(run)))
    return bounded(fabric, answer, question, found)


def _routing_notes(
    fabric: Fabric, question: JobQuestion, run: _CostRun, found: dict[str, Schedule], chosen: str
) -> tuple[str, ...]:
    """Return what an answer says about its routing."""

    def slower() -> float:
        other = replace(run, job=_job(fabric, replace(question, routing="adaptive")))
        own, adaptive = (
            r.timing(found[chosen], r.calibration.protocols[-1], None).transfer_s for r in (run, other)
        )
        return own / adaptive if adaptive > 0 else 1.0

    return (
        *chip_notes(fabric, question.routing),
        *card_notes(run.job, question.routing),
        *split_notes(fabric, question.routing, slower),
    )


def _all_costs(run: _CostRun, found: dict[str, Schedule]) -> tuple[list[AlgorithmCost], tuple[Refused, ...]]:
    """Return the costs of the algorithms that have paths, and which have none.

    Raises
    ------
    QuestionError
        If none has.
    """
    costs, refused = [], []
    for name, schedule in found.items():
        try:
            costs.append(_cost(run, name, schedule))
        except QuestionError as error:
            if len(found) == 1:
                raise
            refused.append(Refused(name, str(error)))
    if not costs:
        raise QuestionError(refused[0].why)
    return costs, tuple(refused)


def _expected(run: _CostRun) -> str:
    """Return in words what published measurements let expect."""
    run = replace(run, calibration=read_calibration("measured"))
    found, _ = _schedules(run.collective, run.job.shape, run.size_bytes, "auto", run.calibration)
    best = min(_all_costs(run, found)[0], key=lambda c: c.time_s)
    name = f"{best.algorithm} ({best.protocol})" if best.protocol else best.algorithm
    return (
        f"expected by calibration measured: {format_time(best.time_s)}, busbw {format_rate(best.busbw_gbps)} "
        f"by {name}" + ("" if _is_measured(run, best.binding) else _DEFAULT)
    )


_DEFAULT = ", by the default of measured networks, not measured on this hardware"


def _is_measured(run: _CostRun, binding: str) -> bool:
    """Return whether the measurements of a calibration are of what binds, or of its NICs beside such GPUs."""
    if binding == CHANNELS:
        return True
    known = (run.calibration.links or {}).keys()
    keys = dict(zip(run.job.links.rules, run.job.links.keys, strict=True))
    *own, net = keys[binding]
    has_such_gpus = any(k[-1] == "scale-up" and not known.isdisjoint(k[:-1]) for k in keys.values())
    return not known.isdisjoint(own) or (net != "scale-up" and has_such_gpus)


@checked
def moe_cost(
    fabric: Fabric,
    way: str,
    moe: Moe,
    *,
    algorithm: str = "auto",
    calibration: str | Path | Calibration = "wire",
    spread: Spread | None = None,
    **asked: Unpack[JobOptions],
) -> Cost:
    """Return what the all-to-all of a mixture of experts costs.

    Parameters
    ----------
    fabric : Fabric
    way : {"dispatch", "combine"}
        Tokens to their experts, or the results back.
    moe : Moe
        Tokens, experts, and how a token chooses.
    algorithm : str
        ``"hierarchical"``: once to each other domain by the rail, and on over the scale-up network;
        ``"pairwise"``: to every expert by itself; ``"auto"`` for the faster one.
    calibration, spread, **asked
        As for `cost`.

    Returns
    -------
    Cost
        Its size is logical, as DeepEP counts: a token for every domain that it goes to, its own included, or
        for every rank where there is one domain; algbw and busbw are that over the time.

    Raises
    ------
    QuestionError
        If the question does not fit the fabric.

    References
    ----------
    DeepSeek-AI, DeepEP (github.com/deepseek-ai/DeepEP), README.
    """
    question = JobQuestion.of(asked)
    work = _job(fabric, question)
    known = read_calibration(calibration)
    ways = {"dispatch": moe_dispatch, "combine": moe_combine}
    if way not in ways:
        msg = f"a mixture of experts has dispatch and combine; got {way!r}"
        raise QuestionError(msg)
    found = ways[way](work.shape, moe)
    if algorithm != "auto" and algorithm not in found:
        msg = f"no algorithm {algorithm!r} for {way}; known here are auto, {', '.join(found)}"
        raise QuestionError(msg)
    chosen = {n: s for n, s in found.items() if algorithm in ("auto", n)}
    logical = moe_logical_bytes(work.shape, moe)
    size = logical.to_ranks if work.shape.n_domains == 1 else logical.between_domains
    run = _CostRun(fabric, question, work, way, round(size), 1.0, known, spread or Spread())
    answer = _answer(run, _fastest_first([_cost(run, name, schedule) for name, schedule in chosen.items()]))
    reach = moe_reach(work.shape, moe)
    note = (
        f"a token goes to {reach.domains:.4g} domains and {reach.ranks:.4g} ranks; size and rates are logical"
    )
    return replace(
        answer, no_bound=f"no bound for {way}", notes=(note, *chip_notes(fabric, question.routing))
    )


def _fastest_first(costs: list[AlgorithmCost]) -> list[AlgorithmCost]:
    return sorted(costs, key=lambda c: float(f"{c.time_s:.{DIGITS}g}"))


def _answer(run: _CostRun, costs: list[AlgorithmCost]) -> Cost:
    """Return the answer; the first of its costs is chosen."""
    work = run.job
    return Cost(
        collective=run.collective,
        size_bytes=run.size_bytes,
        n_ranks=work.shape.n,
        n_domains=work.shape.n_domains,
        chosen=costs[0],
        algorithms=tuple(costs),
        routing=run.routing,
        calibration=run.calibration.name,
        n_instances=work.n_instances,
        method=work.method,
        why=work.why,
        about=run.calibration.about,
    )


def _as_nccl(fabric: Fabric, question: JobQuestion, collective: str, size_bytes: int, algorithm: str) -> Cost:
    """Return the times that NCCL's own model expects, with what binds on the wires.

    Raises
    ------
    QuestionError
        If NCCL has no model of the collective or of the fabric.
    """
    blueprint = fabric.axes_or_refuse("NCCL's model, which reads parts and protocols,")
    work = _job(fabric, question)
    node, n_nodes = node_of(blueprint, ranks_group(fabric, question), work.shape, among=question.among)
    predicted = predict(machine(node, n_nodes), collective, size_bytes)
    known = replace(read_calibration("wire"), name="nccl", about=ABOUT)
    found = schedules(collective, work.shape, size_bytes)
    factor = busbw_factor(collective, work.shape.n)
    run = _CostRun(fabric, question, work, collective, size_bytes, factor, known, Spread())
    costs, chosen = [], {}
    rows = sorted(predicted.rows, key=lambda row: row.time_us)
    for name in dict.fromkeys(row.algorithm for row in rows if row.algorithm in found):
        if algorithm in ("auto", "all", name):
            row = predicted.of(name)
            chosen[name] = found[name]
            costs.append(
                _retimed(run, _cost(run, name, found[name]), row.protocol, row.latency_us, row.time_us)
            )
    if not costs:
        names = ", ".join(dict.fromkeys(row.algorithm for row in predicted.rows))
        msg = f"NCCL does not run {algorithm!r} for {collective} here; it chooses from {names}"
        raise QuestionError(msg)
    answer = replace(_answer(run, costs), notes=tuple(str(predicted).split("\n")))
    return bounded(fabric, answer, question, chosen)


def _retimed(
    run: _CostRun, one: AlgorithmCost, protocol: str, latency_us: float, time_us: float
) -> AlgorithmCost:
    """Return a cost on the wires with times of NCCL's model."""
    # NCCL knows no cables: what wires without other latency take is their flight.
    flight_s = one.latency_s
    time_s = seconds(time_us) + flight_s
    algbw = gbytes_to_gbps(gbytes_per_second(run.size_bytes, time_s))
    return replace(
        one,
        protocol=protocol,
        time_s=time_s,
        latency_s=seconds(latency_us) + flight_s,
        transfer_s=seconds(time_us - latency_us),
        algbw_gbps=algbw,
        busbw_gbps=algbw * run.factor,
        wire_gbps=one.wire_gbps * one.time_s / time_s,
    )


@remembered(16)
def _job(fabric: Fabric, asked: JobQuestion) -> Job:
    return job(fabric, asked)


def _schedules(
    collective: str, shape: Shape, size_bytes: int, algorithm: str, known: Calibration
) -> tuple[dict[str, Schedule], tuple[Refused, ...]]:
    """Return the schedules that were asked for, and which cannot run."""
    found = schedules(collective, shape, size_bytes)
    serving = {a.name: a for a in ALGORITHMS if collective in a.collectives}
    if algorithm == "all":
        refused = tuple(
            Refused(n, a.refuses(collective, shape)) for n, a in serving.items() if n not in found
        )
        return found, refused
    if algorithm == "auto":
        usual = {n: s for n, s in found.items() if n in known.algorithms}
        return usual or found, ()
    if algorithm not in serving:
        hint = nearest(algorithm, serving) or f"known are auto, all, {', '.join(serving)}"
        msg = f"no algorithm {algorithm!r} for {collective}; {hint}"
        raise QuestionError(msg)
    if algorithm not in found:
        msg = f"{algorithm} cannot run: {serving[algorithm].refuses(collective, shape)}"
        raise QuestionError(msg)
    return {algorithm: found[algorithm]}, ()


@dataclass(frozen=True, eq=False)
class _CostRun:
    """What the algorithms of one question have in common."""

    fabric: Fabric
    question: JobQuestion
    job: Job
    collective: str
    size_bytes: int
    factor: float
    calibration: Calibration
    spread: Spread

    @property
    def routing(self) -> str:
        """How the job is routed."""
        return self.question.routing

    def timing(self, schedule: Schedule, protocol: ProtocolCost, slowdown: Slowdown | None) -> Timing:
        """Return how long a schedule takes with a protocol, when flows are spread unevenly by `slowdown`."""
        is_ideal = self.routing == "ideal"
        return evaluate(self.job, schedule, Overheads(self.calibration, protocol, slowdown, is_ideal))

    def channels_s(self, algorithm: str) -> float:
        """Return how long the channels of the library need for the bytes; 0 where they are no limit."""
        if not self.calibration.channels:
            return 0.0
        limit = channel_limit_gb_s(self.fabric, self.question, self.job.shape, self.collective, algorithm)
        return seconds_to_send(self.size_bytes, gbytes_to_gbps(limit)) if limit else 0.0


def _cost(run: _CostRun, name: str, schedule: Schedule) -> AlgorithmCost:
    """Return the cost of an algorithm, with the protocol that is fastest."""
    mean, *others = slowdowns(run.job, run.routing, run.spread)
    # Switches reduce, and all-to-all sends, by one protocol: the last, of full rate.
    has_copy = all(p.transfer == "copy" for p in phases(schedule))
    protocols = run.calibration.protocols if has_copy else run.calibration.protocols[-1:]
    # A tree of two nodes leaves cards idle where its channels move less.
    channels_s = run.channels_s(name)

    def timed(protocol: ProtocolCost, slowdown: Slowdown | None) -> Timing:
        found = run.timing(schedule, protocol, slowdown)
        return replace(found, transfer_s=max(found.transfer_s, channels_s))

    timings = [(timed(protocol, mean[1]), protocol) for protocol in protocols]
    timing, protocol = min(timings, key=lambda t: float(f"{t[0].time_s:.{DIGITS}g}"))
    launch = run.calibration.launch_s
    time_s = launch + timing.time_s
    algbw = gbytes_to_gbps(gbytes_per_second(run.size_bytes, time_s))
    links = run.job.links
    peak = peaks(run.job, timing.busy_s)
    binding = first_largest(timing.held_s)
    is_by_links = timing.held_s.sum() >= timing.transfer_s * (1 - 10.0**-DIGITS)
    slack = [
        (round(max(1 - peak[r] / timing.transfer_s, 0.0), DIGITS), r)
        for r in np.flatnonzero(peak).tolist()
        if r != binding or not is_by_links
    ]
    return AlgorithmCost(
        algorithm=name,
        protocol=protocol.name if has_copy and len(protocols) > 1 else "",
        time_s=time_s,
        latency_s=launch + timing.latency_s,
        transfer_s=timing.transfer_s,
        algbw_gbps=algbw,
        busbw_gbps=algbw * run.factor,
        wire_gbps=_wire_rate(run, schedule, binding, time_s),
        steps=steps_of(schedule),
        binding=links.rules[binding] if is_by_links else CHANNELS,
        slack=tuple(Slack(links.rules[r], float(idle)) for idle, r in sorted(slack)),
        spread=tuple(HashedTime(n, launch + timed(protocol, slowdown).time_s) for n, slowdown in others),
    )


def _wire_rate(run: _CostRun, schedule: Schedule, binding: int, time_s: float) -> float:
    """Return what the busiest cable of a rule carries on average over the whole time [Gb/s]."""
    links = run.job.links
    on = (links.rule == binding) & (links.n_cables > 0)
    if run.routing == "ideal":
        wire = Overheads(read_calibration("wire"), ProtocolCost(""), None, is_ideal=True)
        busy = evaluate(run.job, schedule, wire).busy_s
        return float((busy[on] * links.capacity_gbps[on] / links.n_cables[on]).max()) / time_s
    load = np.zeros(len(links.rule))
    for phase in phases(schedule):
        load += phase.bytes_per_endpoint * run.job.loads(phase.pattern).on_link
    return float((seconds_to_send(1.0, 1.0) * load[on] / links.n_cables[on]).max()) / time_s
