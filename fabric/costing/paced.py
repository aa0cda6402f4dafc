"""A collective as one of several of a job: what it costs, and what it does to every link meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Floats
from fabric.costing.answer import AlgorithmCost, GroupKind
from fabric.costing.calibration import Calibration
from fabric.costing.run import CostRun, cost_algorithm, fastest_first
from fabric.costing.spread import slowdowns
from fabric.errors import NoPathError, QuestionError, nearest
from fabric.job.ranks import Job, Links, load_of_kinds
from fabric.results import Refused
from fabric.schedule.algorithms import (
    ALGORITHMS,
    Moe,
    Shape,
    busbw_factor,
    moe_combine,
    moe_dispatch,
    moe_logical_bytes,
    schedules,
)
from fabric.schedule.tree import Pattern, Schedule, phases


@dataclass(frozen=True, eq=False)
class Paced:
    """A collective on a job.

    Parameters
    ----------
    run : CostRun
    schedule : Schedule
        The one that is chosen.
    cost : AlgorithmCost
    """

    run: CostRun
    schedule: Schedule
    cost: AlgorithmCost

    @property
    def job(self) -> Job:
        """The ranks."""
        return self.run.job

    @cached_property
    def busy_s(self) -> Floats:
        """How long every link is busy [s], shape (l,)."""
        transfers = {p.transfer for p in phases(self.schedule)}
        transfer = next(kind for kind in _ORDER if kind in transfers)
        every = self.run.calibration.protocols_of(transfer, self.job.links.keys)
        protocol = next((p for p in every if p.name == self.cost.protocol), every[0])
        slowdown = slowdowns(self.job, self.run.routing, self.run.spread)[0][1]
        return self.run.timing(self.schedule, protocol, slowdown).busy_s

    @property
    def mix(self) -> list[tuple[Pattern, float]]:
        """All patterns, with the bytes of the busiest rank in each."""
        return [(p.pattern, p.bytes_per_endpoint) for p in phases(self.schedule) if p.bytes_per_endpoint]

    @cached_property
    def on_rule(self) -> Floats:
        """Bytes that a rank puts on the links of every rule on average, both ways, shape (rules,)."""
        total = np.zeros(len(self.job.links.rules))
        for phase in phases(self.schedule):
            loads = self.job.loads(phase.pattern)
            total += phase.bytes_per_endpoint * loads.mean * loads.hops
        return total

    @property
    def sent_bytes(self) -> float:
        """Bytes that a rank sends on average, those that it sends on for others included."""
        return sum(p.bytes_per_endpoint * self.job.loads(p.pattern).mean for p in phases(self.schedule))

    def faster(self, rule: int, factor: float) -> Paced:
        """Return the same, by the same algorithm, where the links of a rule have so many times their rate."""
        links = self.job.links
        capacity = np.where(links.rule == rule, factor, 1.0) * links.capacity_gbps
        run = replace(self.run, job=replace(self.job, links=replace(links, capacity_gbps=capacity)))
        return replace(self, run=run, cost=cost_algorithm(run, self.cost.algorithm, self.schedule))


# Of several kinds of transfer the switches, else the all-to-all, say how a collective starts.
_ORDER = ("in-switch", "all-to-all", "tokens", "copy")

# Times that differ by less are equal.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class PacedGroups:
    """A collective in all groups of a dimension at once.

    Parameters
    ----------
    parts : tuple of Paced
        One for each kind of groups, each by the algorithm that is fastest for it.
    """

    parts: tuple[Paced, ...]

    @cached_property
    def slowest(self) -> Paced:
        """The groups that take longest by themselves."""
        return max(self.parts, key=lambda part: part.cost.time_s)

    @property
    def job(self) -> Job:
        """The ranks of the groups that take longest."""
        return self.slowest.job

    @property
    def links(self) -> Links:
        """The links, the same for all groups."""
        return self.slowest.job.links

    @property
    def n_ranks(self) -> int:
        """Ranks of all groups."""
        return sum(part.job.shape.n * part.job.n_instances for part in self.parts)

    @property
    def n_domains(self) -> int:
        """Scale-up domains of a group, of those that lie in most."""
        return max(part.job.shape.n_domains for part in self.parts)

    @cached_property
    def busy_s(self) -> Floats:
        """How long every link is busy with all groups [s], shape (l,)."""
        each = [part.busy_s for part in self.parts]
        if len(each) == 1:
            return each[0]
        # The busiest ranks of each kind are others: of what each puts on a link as much as fits together.
        loads = [part.job.together(part.mix) for part in self.parts]
        alone, most = np.sum(loads, axis=0), load_of_kinds([(part.job, part.mix) for part in self.parts])
        both = np.divide(most, alone, out=np.ones(len(alone)), where=alone > 0) * np.sum(each, axis=0)
        return np.asarray(np.maximum(both, np.max(each, axis=0)))

    @cached_property
    def on_rule(self) -> Floats:
        """Bytes that a rank puts on the links of every rule on average, both ways, shape (rules,)."""
        return np.asarray(sum(self._share(part) * part.on_rule for part in self.parts))

    @cached_property
    def sent_bytes(self) -> float:
        """Bytes that a rank sends on average, those that it sends on for others included."""
        return sum(self._share(part) * part.sent_bytes for part in self.parts)

    @cached_property
    def cost(self) -> AlgorithmCost:
        """What it costs: what the slowest groups take, or longer where all of them keep a link busy."""
        cost = self.slowest.cost
        busiest = int(np.argmax(self.busy_s))
        time_s = cost.latency_s + cost.own_s + float(self.busy_s[busiest])
        if len(self.parts) == 1 or time_s <= cost.time_s * (1 + _SAME):
            return cost
        pace_of = cost.time_s / time_s
        return replace(
            cost,
            time_s=time_s,
            transfer_s=float(self.busy_s[busiest]),
            algbw_gbps=cost.algbw_gbps * pace_of,
            busbw_gbps=cost.busbw_gbps * pace_of,
            wire_gbps=cost.wire_gbps * pace_of,
            binding=self.links.rules[self.links.rule[busiest]],
        )

    def faster(self, rule: int, factor: float) -> PacedGroups:
        """Return the same, by the same algorithms, where a rule's links have so many times their rate."""
        return PacedGroups(tuple(part.faster(rule, factor) for part in self.parts))

    def _share(self, part: Paced) -> float:
        return part.job.shape.n * part.job.n_instances / self.n_ranks


def pace_groups(runs: Sequence[CostRun], moe: Moe | None = None) -> PacedGroups:
    """Return a collective in groups of several kinds, each run by itself as `pace` has it.

    Raises
    ------
    QuestionError
        If none can run.
    """
    return PacedGroups(tuple(pace(run, moe) for run in _sending(runs)))


def _sending(runs: Sequence[CostRun]) -> list[CostRun]:
    """Return the runs of groups in which there is somebody to send to; all where there is none."""
    return [run for run in runs if run.job.shape.n > 1] or list(runs)


def slowest_first(
    runs: Sequence[CostRun], moe: Moe | None = None, *, algorithm: str = "auto"
) -> tuple[CostRun, tuple[Paced, ...], tuple[GroupKind, ...]]:
    """Return the run of the kind of groups that takes longest, the others, and what each takes by itself.

    Others and kinds are empty where all groups are of one kind, which is then not run.

    Parameters
    ----------
    runs : sequence of CostRun
        One for each kind.
    moe, algorithm
        As for `pace`; where all algorithms are asked for, others run the fastest.

    Raises
    ------
    QuestionError
        If a kind cannot run, or several are to have the best routes.
    """
    if len(runs) == 1:
        return for_tokens(runs[0], moe), (), ()
    if runs[0].routing == "ideal":
        msg = (
            f"groups are of {len(runs)} kinds, each with steps of its own, so that no one program has the "
            "best routes of all at once; ask ecmp, adaptive or rail, or choose ranks of one kind"
        )
        raise QuestionError(msg)
    by = "auto" if algorithm == "all" else algorithm
    parts = sorted(
        (pace(run, moe, algorithm=by) for run in _sending(runs)), key=lambda part: -part.cost.time_s
    )
    kinds = tuple(
        GroupKind(p.job.n_instances, p.job.shape.sizes, p.cost.name, p.cost.time_s, p.cost.binding)
        for p in parts
    )
    return parts[0].run, tuple(parts[1:]), kinds


def beside(paced: Paced, others: Sequence[Paced]) -> AlgorithmCost:
    """Return what a collective costs while other groups run on the same links."""
    own, whole = paced.cost, PacedGroups((paced, *others)).cost
    pace_of = own.time_s / whole.time_s
    if pace_of >= 1 - _SAME:
        return own
    return replace(
        own,
        time_s=whole.time_s,
        transfer_s=whole.time_s - own.latency_s - own.own_s,
        algbw_gbps=own.algbw_gbps * pace_of,
        busbw_gbps=own.busbw_gbps * pace_of,
        wire_gbps=own.wire_gbps * pace_of,
        binding=whole.binding,
    )


def for_tokens(run: CostRun, moe: Moe | None) -> CostRun:
    """Return a run with the factor of its collective, or with the size of its tokens."""
    shape = run.job.shape
    if moe is None:
        return replace(run, factor=busbw_factor(run.collective, shape.n))
    logical = moe_logical_bytes(shape, moe)
    # DeepEP counts copies by domain between them, and by rank inside one.
    size = logical.to_ranks if shape.n_domains == 1 else logical.between_domains
    return replace(run, size_bytes=round(size), factor=1.0)


def pace(run: CostRun, moe: Moe | None = None, *, algorithm: str = "auto") -> Paced:
    """Return the collective of a run, by the algorithm that `fabric.costing.cost.cost` chooses.

    Parameters
    ----------
    run : CostRun
        Its size and factor count where `moe` is none; else those of the tokens do.
    moe : Moe, optional
        For ``dispatch`` and ``combine``.
    algorithm : str
        As there; not ``"all"``.

    Raises
    ------
    QuestionError
        If none can run.
    """
    run = for_tokens(run, moe)
    if moe is None:
        runnable, _ = schedules_of(run.collective, run.job.shape, run.size_bytes, algorithm, run.calibration)
    else:
        runnable = moe_schedules(run.collective, run.job.shape, moe, algorithm)
    costs, errors = [], list[QuestionError]()
    for name, schedule in runnable.items():
        try:
            costs.append(cost_algorithm(run, name, schedule))
        except QuestionError as error:
            errors.append(error)
    if not costs:
        raise next((error for error in errors if isinstance(error, NoPathError)), errors[0])
    best = fastest_first(costs)[0]
    return Paced(run, runnable[best.algorithm], best)


def moe_schedules(way: str, shape: Shape, moe: Moe, algorithm: str) -> dict[str, Schedule]:
    """Return the schedules of tokens that were asked for.

    Raises
    ------
    QuestionError
        If there is no such way or algorithm.
    """
    # A combine is the dispatch backwards: other patterns, the same bytes.
    ways = {"dispatch": moe_dispatch, "combine": moe_combine}
    if way not in ways:
        msg = f"a mixture of experts has dispatch and combine; got {way!r}"
        raise QuestionError(msg)
    runnable = ways[way](shape, moe)
    if algorithm != "auto" and algorithm not in runnable:
        msg = f"no algorithm {algorithm!r} for {way}; known here are auto, {', '.join(runnable)}"
        raise QuestionError(msg)
    return {n: s for n, s in runnable.items() if algorithm in ("auto", n)}


def schedules_of(
    collective: str, shape: Shape, size_bytes: int, algorithm: str, known: Calibration
) -> tuple[dict[str, Schedule], tuple[Refused, ...]]:
    """Return the schedules that were asked for, and which cannot run.

    Raises
    ------
    QuestionError
        If there is no such algorithm, or it cannot run.
    """
    runnable = schedules(collective, shape, size_bytes)
    serving = {a.name: a for a in ALGORITHMS if collective in a.collectives}
    if algorithm == "all":
        refused = tuple(
            Refused(n, a.refuses(collective, shape)) for n, a in serving.items() if n not in runnable
        )
        return runnable, refused
    if algorithm == "auto":
        # What libraries run unasked; where none of that can run, whatever can.
        usual = {n: s for n, s in runnable.items() if n in known.algorithms}
        return usual or runnable, ()
    if algorithm not in serving:
        hint = nearest(algorithm, serving) or f"known are auto, all, {', '.join(serving)}"
        msg = f"no algorithm {algorithm!r} for {collective}; {hint}"
        raise QuestionError(msg)
    if algorithm not in runnable:
        msg = f"{algorithm} cannot run: {serving[algorithm].refuses(collective, shape)}"
        raise QuestionError(msg)
    return {algorithm: runnable[algorithm]}, ()
