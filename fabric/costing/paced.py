"""A collective as one of several of a job: what it costs, and what it does to every link meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Floats
from fabric.costing.answer import AlgorithmCost
from fabric.costing.cost import schedules_of
from fabric.costing.run import CostRun, cost_algorithm, fastest_first
from fabric.costing.spread import slowdowns
from fabric.errors import NoPathError, QuestionError
from fabric.job.ranks import Job, Links
from fabric.schedule.algorithms import Moe, busbw_factor, moe_combine, moe_dispatch, moe_logical_bytes
from fabric.schedule.tree import Schedule, phases


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
        One for each way in which groups lie in domains, each by the algorithm that is fastest for it.
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
        return np.asarray(np.sum([part.busy_s for part in self.parts], axis=0))

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
    """Return a collective in groups that lie in different ways, each run by itself as `pace` has it.

    Raises
    ------
    QuestionError
        If none can run.
    """
    return PacedGroups(tuple(pace(run, moe) for run in runs))


def pace(run: CostRun, moe: Moe | None = None) -> Paced:
    """Return the collective of a run, by the algorithm that `fabric.costing.cost.cost` chooses.

    Parameters
    ----------
    run : CostRun
        Its size and factor count where `moe` is none; else those of the tokens do.
    moe : Moe, optional
        For ``dispatch`` and ``combine``.

    Raises
    ------
    QuestionError
        If none can run.
    """
    shape = run.job.shape
    if moe is None:
        run = replace(run, factor=busbw_factor(run.collective, shape.n))
        runnable, _ = schedules_of(run.collective, shape, run.size_bytes, "auto", run.calibration)
    else:
        logical = moe_logical_bytes(shape, moe)
        size = logical.to_ranks if shape.n_domains == 1 else logical.between_domains
        run = replace(run, size_bytes=round(size), factor=1.0)
        runnable = {"dispatch": moe_dispatch, "combine": moe_combine}[run.collective](shape, moe)
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
