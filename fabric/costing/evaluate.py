"""How long a schedule takes on a job, under a calibration.

``Seq`` adds the times of its parts. ``Pipe`` and ``Par`` add the loads of their parts on every link and take
the slowest link; the latencies of a pipe, which has to fill, add, and those of parts side by side do not::

    time = launch  +  steps x latency of what a message passes  +  bytes / rate of the slowest link

What a message passes is a mean over the messages of the steps, as everyone has far and near ones in turn; if
all are posted in one step, it is the way of the farthest.

The latency of a link is that of the calibration and the flight through its cable, where the file says how
long that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Floats
from fabric.costing.calibration import Calibration, ProtocolCost
from fabric.job.ranks import Job
from fabric.schedule.tree import Par, Pattern, Phase, Pipe, Schedule, Seq, Transfer, phases
from fabric.units import CABLE_S_PER_M, seconds_to_send

# Values equal to so many digits are equal: rounding does not choose between them, the order of the file does.
DIGITS = 9


@dataclass(frozen=True, eq=False)
class Timing:
    """How long a schedule takes.

    Parameters
    ----------
    latency_s, transfer_s : float
        Steps times latency, launch not included, and bytes over rate; the time is their sum [s].
    busy_s : ndarray of float64, shape (l,)
        How long every link is busy.
    held_s : ndarray of float64, shape (number of rules,)
        For how long each rule sets the pace.
    """

    latency_s: float
    transfer_s: float
    busy_s: Floats
    held_s: Floats

    @property
    def time_s(self) -> float:
        """Latency and transfer together [s]."""
        return self.latency_s + self.transfer_s


@dataclass(frozen=True, eq=False)
class Overheads:
    """What is between the wire and the buffer, for one evaluation.

    Parameters
    ----------
    calibration : Calibration
    protocol : ProtocolCost
    slowdown : callable
        ``slowdown(pattern, load)`` returns how much longer each link takes than under an equal split, where
        the busiest rank sends one byte and links carry ``load``.
    is_ideal : bool
        Whether routes are the best there are, instead of those of the job.
    """

    calibration: Calibration
    protocol: ProtocolCost
    slowdown: Callable[[Pattern, Floats], Floats] | None = None
    is_ideal: bool = False


def evaluate(job: Job, schedule: Schedule, over: Overheads) -> Timing:
    """Return how long `schedule` takes on `job`.

    Notes
    -----
    Part of a pipe that is a sequence, and takes longer than any link, sets the time of the pipe. Where routes
    may be chosen they are also those of the job, if that is faster: a sequence within a pipe, and sums in
    switches, are not part of one program.
    """
    if not over.is_ideal or isinstance(schedule, Seq):
        return _by_parts(job, schedule, over)
    # One linear program for all phases at once, where they are such; else part by part.
    is_one = _is_flat(schedule) and _is_one_program(schedule)
    best = (_ideal if is_one else _by_parts)(job, schedule, over)
    given = _by_parts(job, schedule, replace(over, is_ideal=False))
    return best if best.transfer_s <= given.transfer_s else given


def _by_parts(job: Job, schedule: Schedule, over: Overheads) -> Timing:
    """Return the timing of a phase, or of parts that are timed each by itself."""
    if isinstance(schedule, Phase):
        return _pace(job, _latency(job, schedule, over), _busy(job, schedule, over))
    # Parts that overlap load links together: a rank that is busy in one need not be so in the next.
    is_together = not isinstance(schedule, Seq) and (not over.is_ideal or _is_one_program(schedule))
    if is_together and not over.is_ideal and all(isinstance(part, Phase) for part in schedule.parts):
        # No phase takes longer than all of them: none need be timed by itself.
        fills = [_latency(job, phase, over) for phase in phases(schedule)]
        fill = sum(fills) if isinstance(schedule, Pipe) else max(fills)
        return _pace(job, fill, _busy_together(job, schedule, over))
    parts = [evaluate(job, part, over) for part in schedule.parts]
    if is_together:
        together_s = _ideal_busy if over.is_ideal else _busy_together
        busy = together_s(job, schedule, over)
    else:
        busy = np.sum([part.busy_s for part in parts], axis=0)
    if isinstance(schedule, Seq):
        held = np.sum([part.held_s for part in parts], axis=0)
        return Timing(sum(p.latency_s for p in parts), sum(p.transfer_s for p in parts), busy, held)
    # A pipe has to fill, part by part; parts side by side start at once.
    latencies = [part.latency_s for part in parts]
    latency = sum(latencies) if isinstance(schedule, Pipe) else max(latencies)
    slowest = max(parts, key=lambda part: part.transfer_s)
    together = _pace(job, latency, busy)
    # A sequence inside a pipe may take longer than any link is busy: then it sets the pace.
    if slowest.transfer_s > together.transfer_s:
        return Timing(latency, slowest.transfer_s, busy, slowest.held_s)
    return together


def steps_of(schedule: Schedule) -> int:
    """Return the messages one after the other on the longest chain."""
    if isinstance(schedule, Phase):
        return schedule.steps
    parts = [steps_of(part) for part in schedule.parts]
    return max(parts) if isinstance(schedule, Par) else sum(parts)


def first_largest(values: Floats) -> int:
    """Return the place of the largest value; of those equal to nine digits, the first."""
    return int(np.argmax(values >= values.max() * (1 - 10.0**-DIGITS)))


def peaks(job: Job, busy: Floats) -> Floats:
    """Return how long the busiest link of each rule is busy, shape (number of rules,)."""
    peak = np.zeros(len(job.links.rules))
    np.maximum.at(peak, job.links.rule, busy)
    return peak


def _pace(job: Job, latency: float, busy: Floats) -> Timing:
    held = np.zeros(len(job.links.rules))
    transfer = float(busy.max(initial=0.0))
    held[first_largest(peaks(job, busy))] = transfer
    return Timing(latency, transfer, busy, held)


def _latency(job: Job, phase: Phase, over: Overheads) -> float:
    link_latency = _by_rule(job, over, phase.transfer)[1]
    if phase.is_at_once:
        return job.farthest_s(phase.pattern, link_latency)
    if not link_latency.any():
        return 0.0
    return phase.steps * float(job.loads(phase.pattern).hops @ link_latency)


def _busy(job: Job, phase: Phase, over: Overheads) -> Floats:
    load = job.loads(phase.pattern).on_link
    rate = job.links.capacity_gbps * _by_rule(job, over, phase.transfer)[0][job.links.rule]
    busy = np.zeros(len(load))
    np.divide(load * seconds_to_send(phase.bytes_per_endpoint, 1.0), rate, out=busy, where=rate > 0)
    return busy * over.slowdown(phase.pattern, load) if over.slowdown else busy


def carried(job: Job, schedule: Schedule) -> Floats:
    """Return the bytes on every link of all phases of a schedule, those that overlap together."""
    if isinstance(schedule, Seq):
        return np.asarray(np.sum([carried(job, part) for part in schedule.parts], axis=0))
    if isinstance(schedule, Phase):
        return np.asarray(schedule.bytes_per_endpoint * job.loads(schedule.pattern).on_link)
    load = np.zeros(len(job.links.rule))
    for mix in _mixes(schedule).values():
        load += job.together(mix)
    return load


def _mixes(schedule: Schedule) -> dict[Transfer, list[tuple[Pattern, float]]]:
    """Return the patterns of a schedule with their bytes, by kind of transfer."""
    mixes: dict[Transfer, list[tuple[Pattern, float]]] = {}
    for phase in (p for p in phases(schedule) if p.bytes_per_endpoint):
        mixes.setdefault(phase.transfer, []).append((phase.pattern, phase.bytes_per_endpoint))
    return mixes


def _busy_together(job: Job, schedule: Schedule, over: Overheads) -> Floats:
    """Return how long links are busy with all phases of a schedule."""
    busy = np.zeros(len(job.links.rule))
    # One kind of transfer after the other, as each gets its own part of the wire rate.
    for transfer, mix in _mixes(schedule).items():
        load = job.together(mix)
        rate = job.links.capacity_gbps * _by_rule(job, over, transfer)[0][job.links.rule]
        own_s = np.divide(seconds_to_send(1.0, 1.0) * load, rate, out=np.zeros(len(load)), where=rate > 0)
        busy += own_s * _slower(job, mix, over)
    return busy


def _slower(job: Job, mix: Sequence[tuple[Pattern, float]], over: Overheads) -> Floats:
    """Return how much longer each link takes than under an equal split: the mean over its bytes."""
    n = len(job.links.rule)
    if over.slowdown is None:
        return np.ones(n)
    spread, even = np.zeros(n), np.zeros(n)
    for pattern, amount in mix:
        load = job.loads(pattern).on_link
        even += amount * load
        spread += amount * load * over.slowdown(pattern, load)
    return np.divide(spread, even, out=np.ones(n), where=even > 0)


def _by_rule(job: Job, over: Overheads, transfer: Transfer) -> tuple[Floats, Floats]:
    """Return the part of the wire rate, and the latency of a link with its cable, of every rule."""
    overheads = [over.calibration.overhead_by(keys, transfer, over.protocol) for keys in job.links.keys]
    gpu = over.calibration.gpu(job.links.keys, transfer)
    crowding = gpu.crowding(transfer, max(job.shape.sizes)) if gpu else 1.0
    inside = np.array([keys[-1] == "scale-up" for keys in job.links.keys], dtype=np.bool_)
    return (
        np.array([o.rate for o in overheads]) / np.where(inside, crowding, 1.0),
        np.array([o.latency_s for o in overheads]) + CABLE_S_PER_M * job.links.length_m,
    )


def _is_flat(schedule: Schedule) -> bool:
    """Return whether a schedule is one set of phases at once."""
    parts = () if isinstance(schedule, Phase) else schedule.parts
    return all(isinstance(p, Phase) for p in parts)


def _is_one_program(schedule: Schedule) -> bool:
    """Return whether one program has the routes of all phases: between ranks, of one kind of transfer."""
    kinds = {p.transfer for p in phases(schedule) if p.bytes_per_endpoint}
    return len(kinds) == 1 and "in-switch" not in kinds


def _ideal(job: Job, schedule: Schedule, over: Overheads) -> Timing:
    """Return the timing of phases whose routes are chosen together, for the least time at wire rates."""
    latencies = [_latency(job, p, over) for p in phases(schedule) if p.bytes_per_endpoint > 0]
    latency = max(latencies) if isinstance(schedule, Par) else sum(latencies)
    return _pace(job, latency, _ideal_busy(job, schedule, over))


def _ideal_busy(job: Job, schedule: Schedule, over: Overheads) -> Floats:
    """Return how long links are busy with all phases of a schedule, by the best routes for them together."""
    sending = [p for p in phases(schedule) if p.bytes_per_endpoint > 0]
    best = job.best([(p.pattern, p.bytes_per_endpoint) for p in sending])
    # The program counts at wire rates; all phases of it are of one kind of transfer.
    return np.asarray(best.busy_s / _by_rule(job, over, sending[0].transfer)[0][job.links.rule])
