"""What a collective costs: time, algbw, busbw, what binds, and how far from the best possible."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from fabric.arguments import checked
from fabric.costing.answer import AlgorithmCost, Cost, GroupKind
from fabric.costing.beside import add_bound, add_wires
from fabric.costing.calibration import Calibration
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.channels import CHANNELS
from fabric.costing.notes import WORTH, card_notes, chip_notes, numbering_notes, route_notes, split_notes
from fabric.costing.paced import Paced, beside, schedules_of, slowest_first
from fabric.costing.run import (
    CostRun,
    answer_of,
    cost_algorithm,
    cut_off_answer,
    fastest_first,
    jobs_of,
    of_kinds,
    rest_of,
    say_dropped,
)
from fabric.costing.spread import Spread
from fabric.costing.support import support
from fabric.errors import NoPathError, QuestionError
from fabric.evidence.residuals import residuals
from fabric.graph import Fabric
from fabric.job import Job
from fabric.job.question import JobOptions, JobQuestion, ranks_group
from fabric.nccl import ABOUT, Timed, machine, node_of, predict
from fabric.results import Refused
from fabric.routing import Progress
from fabric.schedule.algorithms import (
    busbw_factor,
    schedules,
)
from fabric.schedule.tree import Schedule, phases
from fabric.units import (
    gbytes_per_second,
    gbytes_to_gbps,
    parse_bytes,
    seconds,
)


class CostOptions(JobOptions, total=False):
    """Keywords of a `cost` at one size, which a `fabric.costing.sweep.sweep` hands on; see there."""

    algorithm: str
    calibration: str | Path | Calibration
    spread: Spread | None
    in_place: bool
    progress: Progress | None


@checked
def cost(
    fabric: Fabric,
    collective: str,
    size: int | str,
    *,
    algorithm: str = "auto",
    calibration: str | Path | Calibration = "measured",
    spread: Spread | None = None,
    in_place: bool = False,
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
        ``"measured"`` for what a run will show; ``"nccl"`` for what NCCL's own model expects; ``"wire"`` for
        wire rates and zero latency, which no run reaches; or the path of a file.
    spread : Spread, optional
        Queue pairs of hashed routing, efficiency of adaptive routing.
    in_place : bool
        Whether the result is written over the buffer; out of place a rank also copies its own part.
    is_bounded : bool
        Whether to work out the rate on the wires and the bound beside the cost.
    progress : callable, optional
        Called with the part that is routed so far and the whole, where that takes long.
    **asked
        Which ranks and how they are routed, see `fabric.job.question.JobQuestion`: ``over``, ``among``,
        ``ranks``, ``order``, ``routing``, ``reduces``, ``method``, ``limit``, ``drop_unreachable``.

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
    >>> answer = cost(loads(text), "all-reduce", "1GB", calibration="wire")
    >>> round(answer.time_s, 9), round(answer.busbw_gbps, 6), answer.binding
    (0.03, 400.0, 'gpu-leaf')
    """
    question = JobQuestion.of(asked)
    whole = fabric
    fabric, dropped = rest_of(fabric, question)
    if calibration == "nccl":
        asked_size = parse_bytes(size)
        nccl = _as_nccl(fabric, question, collective, asked_size, algorithm, is_bounded=is_bounded)
        return say_dropped(nccl, question, whole, dropped)
    known = read_calibration(calibration)
    size_bytes = parse_bytes(size)
    runs = [
        CostRun(fabric, question, one, collective, size_bytes, 1.0, known, spread or Spread(), in_place)
        for one in jobs_of(fabric, question)
    ]
    try:
        run, others, kinds = slowest_first(runs, algorithm=algorithm)
    except NoPathError as error:
        return cut_off_answer(runs[0], error)
    work = run.job
    runnable, refused = schedules_of(collective, work.shape, size_bytes, algorithm, known)
    if progress:
        # What has no path is told below, algorithm by algorithm.
        with contextlib.suppress(QuestionError):
            work.prepare([p.pattern for schedule in runnable.values() for p in phases(schedule)], progress)
    try:
        costs, unroutable = _all_costs(run, runnable)
    except NoPathError as error:
        return cut_off_answer(run, error)
    refused += unroutable
    costs = [beside(Paced(run, runnable[one.algorithm], one), others) for one in costs] if others else costs
    answer = of_kinds(answer_of(run, fastest_first(costs)), kinds)
    notes = _routing_notes(run, runnable[answer.chosen.algorithm])
    answer = replace(answer, refused=refused, notes=notes)
    if known.name != "wire":
        notes = (*_default_notes(run, answer.binding), *_protocol_notes(run, answer.chosen), *notes)
        answer = replace(answer, notes=notes, support=support(fabric, question, answer, known))
    answer = say_dropped(answer, question, whole, dropped)
    if not is_bounded:
        return replace(answer, no_bound="not asked for")
    if known.name != "wire":
        answer = add_wires(run, answer, runnable)
    return add_bound(fabric, answer, question, runnable)


def _routing_notes(run: CostRun, chosen: Schedule) -> tuple[str, ...]:
    """Return what an answer says about its routing."""

    def slower() -> float:
        protocol = run.calibration.protocols[-1]
        plain = run.timing(chosen, protocol, None)
        # Routes that follow what capacity is left are looked at where they may be faster at all.
        if plain.transfer_s < (1 + WORTH) * plain.held_s[run.job.links.is_own].sum():
            return 1.0
        # The same schedule on the same ranks.
        works = jobs_of(run.fabric, replace(run.question, routing="adaptive"))
        adaptive = replace(run, job=next(one for one in works if one.shape == run.job.shape))
        adaptive_s = adaptive.timing(chosen, protocol, None).transfer_s
        return plain.transfer_s / adaptive_s if adaptive_s > 0 else 1.0

    return (
        *chip_notes(run.fabric, run.routing),
        *card_notes(run.job, run.routing),
        *route_notes(run.job, run.routing, chosen),
        *split_notes(run.fabric, run.routing, slower),
        *numbering_notes(run.fabric, run.job, chosen),
    )


def _all_costs(
    run: CostRun, runnable: dict[str, Schedule]
) -> tuple[list[AlgorithmCost], tuple[Refused, ...]]:
    """Return the costs of the algorithms that have paths, and which have none.

    Raises
    ------
    QuestionError
        If none has.
    """
    costs: list[AlgorithmCost] = []
    refused: list[Refused] = []
    errors: list[QuestionError] = []
    for name, schedule in runnable.items():
        try:
            costs.append(cost_algorithm(run, name, schedule))
        except QuestionError as error:
            if len(runnable) == 1:  # what was asked for by name: its own error says most
                raise
            errors.append(error)
            refused.append(Refused(name, str(error)))
    if not costs:
        raise next((error for error in errors if isinstance(error, NoPathError)), errors[0])
    return costs, tuple(refused)


def _default_notes(run: CostRun, binding: str) -> tuple[str, ...]:
    """Return that what binds is counted by a default, where no one measured such links."""
    if _is_measured(run, binding):
        return ()
    return (f"{binding} is counted by the default of measured networks: no run on such links was measured",)


def _protocol_notes(run: CostRun, chosen: AlgorithmCost) -> tuple[str, ...]:
    """Return that links bind by what a protocol moves over them, where no step's latency takes longer."""
    protocol = next((p for p in run.calibration.protocols if p.name == chosen.protocol), None)
    if protocol is None or chosen.binding == CHANNELS or chosen.latency_s > chosen.transfer_s:
        return ()
    keys = dict(zip(run.job.links.rules, run.job.links.keys, strict=True))[chosen.binding]
    plain = run.calibration.overhead(keys, "copy").rate
    moved = run.calibration.overhead_by(keys, "copy", protocol).rate
    if moved >= plain:
        return ()
    told = f"{protocol.name} moves {100 * moved:.3g} % of the wire rate of {chosen.binding}"
    return (f"{told}, {run.calibration.protocols[-1].name} {100 * plain:.3g} %: the protocol binds there",)


def _is_measured(run: CostRun, binding: str) -> bool:
    """Return whether the measurements of a calibration are of what binds, or of its NICs beside such GPUs."""
    if binding == CHANNELS:
        return True
    known = (run.calibration.links or {}).keys()
    keys = dict(zip(run.job.links.rules, run.job.links.keys, strict=True))
    # The last key is the kind of network, which every calibration has: it measures no hardware.
    *names, net = keys[binding]
    has_such_gpus = any(k[-1] == "scale-up" and not known.isdisjoint(k[:-1]) for k in keys.values())
    return not known.isdisjoint(names) or (net != "scale-up" and has_such_gpus)


def _as_nccl(
    fabric: Fabric,
    question: JobQuestion,
    collective: str,
    size_bytes: int,
    algorithm: str,
    *,
    is_bounded: bool,
) -> Cost:
    """Return the times that NCCL's own model expects, with what binds on the wires.

    Raises
    ------
    QuestionError
        If NCCL has no model of the collective or of the fabric.
    """
    # A communicator tunes itself and knows no other one: groups of each kind have their own times.
    found = [
        _nccl_of(fabric, question, collective, size_bytes, algorithm, work=work)
        for work in _kinds(fabric, question)
    ]
    if lost := next((answer for _, answer, _ in found if answer.cut_off), None):
        return lost
    found.sort(key=lambda one: -one[1].time_s)
    run, answer, chosen = found[0]
    if len(found) > 1:
        answer = of_kinds(answer, tuple(_as_kind(one.job, told) for one, told, _ in found))
    answer = replace(answer, support=support(fabric, question, answer, run.calibration))
    if not is_bounded:
        return replace(answer, no_bound="not asked for")
    return add_bound(fabric, add_wires(run, answer, chosen), question, chosen)


def _kinds(fabric: Fabric, question: JobQuestion) -> list[Job]:
    """Return the job of each kind of groups in which somebody sends; all where nobody does."""
    works = jobs_of(fabric, question)
    return [work for work in works if work.shape.n > 1] or list(works)


def _as_kind(work: Job, answer: Cost) -> GroupKind:
    best = answer.chosen
    return GroupKind(work.n_instances, work.shape.sizes, best.name, best.time_s, best.binding)


def _nccl_of(
    fabric: Fabric, question: JobQuestion, collective: str, size_bytes: int, algorithm: str, *, work: Job
) -> tuple[CostRun, Cost, dict[str, Schedule]]:
    """Return what NCCL expects of groups of one kind: the run, the answer, and the schedules it chose from.

    Raises
    ------
    QuestionError
        If NCCL has no model of the collective or of the fabric.
    """
    blueprint = fabric.axes_or_refuse("NCCL's model, which reads parts and protocols,")
    node, n_nodes = node_of(blueprint, ranks_group(fabric, question), work.shape, among=question.among)
    predicted = predict(machine(node, n_nodes), collective, size_bytes)
    known = replace(read_calibration("wire"), name="nccl", about=ABOUT, residuals=residuals("nccl"))
    runnable = schedules(collective, work.shape, size_bytes)
    factor = busbw_factor(collective, work.shape.n)
    run = CostRun(fabric, question, work, collective, size_bytes, factor, known, Spread())
    costs, chosen = [], {}
    # Of every algorithm its fastest protocol, in the order of NCCL's preference.
    rows = sorted(predicted.rows, key=lambda row: row.time_us)
    for name in dict.fromkeys(row.algorithm for row in rows if row.algorithm in runnable):
        if algorithm in ("auto", "all", name):
            chosen[name] = runnable[name]
            try:
                on_wires = cost_algorithm(run, name, runnable[name])
            except NoPathError as error:
                return run, cut_off_answer(run, error), {}
            costs.append(_retime(run, on_wires, predicted.of(name)))
    if not costs:
        names = ", ".join(dict.fromkeys(row.algorithm for row in predicted.rows))
        msg = f"NCCL does not run {algorithm!r} for {collective} here; it chooses from {names}"
        raise QuestionError(msg)
    return run, replace(answer_of(run, costs), notes=tuple(str(predicted).split("\n"))), chosen


def _retime(run: CostRun, on_wires: AlgorithmCost, row: Timed) -> AlgorithmCost:
    """Return a cost on the wires with times of NCCL's model."""
    # NCCL knows no cables: what wires without other latency take is their flight.
    flight_s = on_wires.latency_s
    time_s = seconds(row.time_us) + flight_s
    algbw = gbytes_to_gbps(gbytes_per_second(run.size_bytes, time_s))
    return replace(
        on_wires,
        protocol=row.protocol,
        time_s=time_s,
        latency_s=seconds(row.latency_us) + flight_s,
        transfer_s=seconds(row.time_us - row.latency_us),
        algbw_gbps=algbw,
        busbw_gbps=algbw * run.factor,
        # The same bytes on the same cables, over the longer time.
        wire_gbps=on_wires.wire_gbps * on_wires.time_s / time_s,
    )
