"""The algorithms of one question: each timed on the job by the protocol that is fastest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fabric.blueprint.remembered import remembered
from fabric.costing.answer import AlgorithmCost, Cost, GroupKind, HashedTime, never
from fabric.costing.calibration import Calibration, ProtocolCost
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.channels import CHANNELS, channel_limit_gb_s
from fabric.costing.evaluate import (
    DIGITS,
    Overheads,
    Timing,
    carried,
    evaluate,
    first_largest,
    peaks,
    steps_of,
)
from fabric.costing.spread import Slowdown, Spread, slowdowns
from fabric.errors import NoPathError
from fabric.flow.lost import count_failed, find_cut_off, leave_out
from fabric.flow.problem import select_parts
from fabric.graph import Fabric, failures
from fabric.job.jobs import job, jobs
from fabric.job.question import JobQuestion
from fabric.job.ranks import Job
from fabric.results import CutOff, Slack
from fabric.schedule.tree import Schedule, Transfer, phases
from fabric.symmetry.marked import count_damage
from fabric.units import gbytes_per_second, gbytes_to_gbps, seconds_to_send

# A rank of these keeps a part of what it has; of an all-reduce the part that it adds up.
_HAS_OWN_PART = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")


@remembered(16)
def job_of(fabric: Fabric, asked: JobQuestion) -> Job:
    """Return the job of a question, with the patterns that it has routed for other sizes and algorithms."""
    return job(fabric, asked)


@remembered(16)
def jobs_of(fabric: Fabric, asked: JobQuestion) -> tuple[Job, ...]:
    """Return the jobs of a question, one for each kind of its groups."""
    return jobs(fabric, asked)


@dataclass(frozen=True, eq=False)
class CostRun:
    """What the algorithms of one question have in common.

    Parameters
    ----------
    fabric : Fabric
    question : JobQuestion
    job : Job
    collective : str
    size_bytes : int
    factor : float
        Busbw over algbw.
    calibration : Calibration
    spread : Spread
    in_place : bool
        Whether the result is written over the buffer, so that nobody copies a part of his own.
    """

    fabric: Fabric
    question: JobQuestion
    job: Job
    collective: str
    size_bytes: int
    factor: float
    calibration: Calibration
    spread: Spread
    in_place: bool = False

    @property
    def routing(self) -> str:
        """How the job is routed."""
        return self.question.routing

    def timing(self, schedule: Schedule, protocol: ProtocolCost, slowdown: Slowdown | None) -> Timing:
        """Return how long a schedule takes with a protocol, when flows are spread unevenly by `slowdown`."""
        is_ideal = self.routing == "ideal"
        return evaluate(self.job, schedule, Overheads(self.calibration, protocol, slowdown, is_ideal))

    def start_s(self, transfer: Transfer, protocol: ProtocolCost) -> float:
        """Return how long the GPUs, and between domains the network, need to start a transfer [s]."""
        keys, shape = self.job.links.keys, self.job.shape
        once_s = self.calibration.once_s(keys, transfer) if shape.n_domains > 1 else 0.0
        gpu = self.calibration.gpu(keys, transfer)
        if gpu is None:
            return self.calibration.launch_s + once_s
        launch_s = gpu.launch_s.get(protocol.name, self.calibration.launch_s)
        return launch_s + gpu.rank_s * max(shape.sizes) + once_s

    def own_s(self, transfer: Transfer) -> float:
        """Return how long a rank copies its own part of the buffer, out of place [s]."""
        gpu = self.calibration.gpu(self.job.links.keys, transfer)
        if self.in_place or gpu is None or not gpu.own_gbps or self.collective not in _HAS_OWN_PART:
            return 0.0
        return seconds_to_send(self.size_bytes / self.job.shape.n, gpu.own_gbps)

    def channels_s(self, algorithm: str, transfer: Transfer, protocol: ProtocolCost) -> float:
        """Return how long the channels of the library need for the bytes; 0 where they are no limit."""
        gpu = self.calibration.gpu(self.job.links.keys, transfer)
        if transfer == "all-to-all" and gpu is not None and gpu.message_gbps:
            return seconds_to_send(self.size_bytes / self.job.shape.n, gpu.message_gbps)
        count = self.calibration.channel_count(self.job.links.keys, algorithm)
        if count is not None and self.job.shape.n_domains > 1:
            busbw = count.n * count.rate_gbps * protocol.rate
            return seconds_to_send(self.size_bytes * self.factor, busbw)
        if not self.calibration.channels:
            return 0.0
        limit = channel_limit_gb_s(self.fabric, self.question, self.job.shape, self.collective, algorithm)
        return seconds_to_send(self.size_bytes, gbytes_to_gbps(limit)) if limit else 0.0


def cost_algorithm(run: CostRun, name: str, schedule: Schedule) -> AlgorithmCost:
    """Return the cost of an algorithm, with the protocol that is fastest."""
    mean, *others = slowdowns(run.job, run.routing, run.spread)
    # Of several kinds of transfer the switches, else the all-to-all, say how it starts.
    kinds = {p.transfer for p in phases(schedule)}
    transfer = next(kind for kind in ("in-switch", "all-to-all", "tokens", "copy") if kind in kinds)
    protocols = run.calibration.protocols_of(transfer, run.job.links.keys)
    own_s = run.own_s(transfer)

    # Bytes of what nobody was seen to choose take as long as the choice of others reveals.
    doubt = run.calibration.doubt(name, run.job.shape.sizes, run.size_bytes)
    slower = doubt if math.isfinite(doubt) else 1.0

    def time_with(protocol: ProtocolCost, slowdown: Slowdown | None) -> Timing:
        timing = run.timing(schedule, protocol, slowdown)
        # A tree of two nodes leaves cards idle where its channels move less.
        transfer_s = slower * max(timing.transfer_s, run.channels_s(name, transfer, protocol))
        start_s = run.start_s(transfer, protocol)
        return replace(timing, transfer_s=transfer_s, latency_s=timing.latency_s + start_s)

    timings = [(time_with(protocol, mean[1]), protocol) for protocol in protocols]
    timing, protocol = min(timings, key=lambda t: float(f"{t[0].time_s:.{DIGITS}g}"))
    time_s = timing.time_s + own_s
    algbw = gbytes_to_gbps(gbytes_per_second(run.size_bytes, time_s))
    links = run.job.links
    # What binds holds the pace longest; where links hold it for less than the transfer, the channels do.
    peak = peaks(run.job, timing.busy_s)
    binding = first_largest(timing.held_s)
    is_by_links = slower * timing.held_s.sum() >= timing.transfer_s * (1 - 10.0**-DIGITS)
    # Slack: the part of the transfer in which the busiest link of a rule has nothing to send.
    slack = [
        (round(max(1 - peak[r] / timing.transfer_s, 0.0), DIGITS), r)
        for r in np.flatnonzero(peak).tolist()
        if r != binding or not is_by_links
    ]
    return AlgorithmCost(
        algorithm=name,
        protocol=protocol.name if len(protocols) > 1 else "",
        time_s=time_s,
        latency_s=timing.latency_s,
        transfer_s=timing.transfer_s,
        algbw_gbps=algbw,
        busbw_gbps=algbw * run.factor,
        wire_gbps=_wire_rate(run, schedule, binding, time_s),
        steps=steps_of(schedule),
        binding=links.rules[binding] if is_by_links else CHANNELS,
        slack=tuple(Slack(links.rules[r], float(idle)) for idle, r in sorted(slack)),
        spread=tuple(HashedTime(n, own_s + time_with(protocol, slowdown).time_s) for n, slowdown in others),
        own_s=own_s,
        is_seen=doubt == 1,
        doubt=doubt,
    )


def _wire_rate(run: CostRun, schedule: Schedule, binding: int, time_s: float) -> float:
    """Return what the busiest cable of a rule carries on average over the whole time [Gb/s]."""
    links = run.job.links
    on = (links.rule == binding) & (links.n_cables > 0)
    if run.routing == "ideal":
        # Loads come from the linear program: how long links are busy at wire rates, times their rates.
        wire = Overheads(read_calibration("wire"), ProtocolCost(""), None, is_ideal=True)
        busy = evaluate(run.job, schedule, wire).busy_s
        return float((busy[on] * links.capacity_gbps[on] / links.n_cables[on]).max()) / time_s
    # All bytes of all phases on the cable, by the second: what a counter on it would show.
    load = carried(run.job, schedule)
    return float((seconds_to_send(1.0, 1.0) * load[on] / links.n_cables[on]).max()) / time_s


def fastest_first(costs: list[AlgorithmCost]) -> list[AlgorithmCost]:
    """Return costs in the order in which a library would choose them; rounding leaves them as they are.

    By time; what no library is taken to choose comes last.
    """
    if len(costs) == 1:  # there is nothing else to choose
        return [replace(costs[0], is_seen=True)]
    return sorted(costs, key=lambda c: (not math.isfinite(c.doubt), float(f"{c.time_s:.{DIGITS}g}")))


def answer_of(run: CostRun, costs: list[AlgorithmCost]) -> Cost:
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
        n_failed=0 if run.question.ranks else count_failed(run.fabric, run.question.among),
        damage=count_damage(run.fabric.blueprint),
    )


def of_kinds(answer: Cost, kinds: tuple[GroupKind, ...]) -> Cost:
    """Return an answer of the slowest of several kinds of groups as that of all of them."""
    if not kinds:
        return answer
    return replace(answer, n_instances=sum(kind.n_groups for kind in kinds), kinds=kinds)


def rest_of(fabric: Fabric, question: JobQuestion) -> tuple[Fabric, tuple[CutOff, ...]]:
    """Return the fabric without the ranks that failures cut off, where they are to be left out, and these."""
    return leave_out(fabric, question.among) if question.drop_unreachable else (fabric, ())


def say_dropped(answer: Cost, question: JobQuestion, whole: Fabric, dropped: tuple[CutOff, ...]) -> Cost:
    """Return an answer of `rest_of` a fabric as one of the whole: who was left out has not failed."""
    if not question.drop_unreachable:
        return answer
    n_failed, damage = count_failed(whole, question.among), count_damage(whole.blueprint)
    lost = answer.cut_off or dropped
    return replace(answer, cut_off=lost, is_dropped=not answer.cut_off, n_failed=n_failed, damage=damage)


def cut_off_answer(run: CostRun, error: NoPathError) -> Cost:
    """Return the answer where failures or islands leave no algorithm a path: who is cut off, and no time.

    Raises
    ------
    NoPathError
        If nothing has failed and the file has one island: then it is the routing that has no path.
    """
    fabric, asked = run.fabric, run.question
    is_apart = fabric.blueprint is not None and fabric.blueprint.islands > 1
    if not failures(fabric) and not is_apart:
        raise error
    members = select_parts(fabric, tuple(asked.ranks), limit=asked.limit) if asked.ranks else None
    lost = find_cut_off(fabric, asked.among, members=members, paths=asked.paths, limit=asked.limit)
    if not lost and error.rank and failures(fabric):
        lost = (CutOff(error.rank, 1),)
    if not lost:
        raise error
    return replace(answer_of(run, [never()]), algorithms=(), cut_off=lost, no_bound="ranks are cut off")
