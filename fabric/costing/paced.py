"""A collective as one of several of a job: what it costs, and what it does to every link meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Floats
from fabric.costing.answer import AlgorithmCost
from fabric.costing.cost import schedules_of
from fabric.costing.run import CostRun, cost_algorithm, fastest_first
from fabric.costing.spread import slowdowns
from fabric.errors import NoPathError, QuestionError
from fabric.job.ranks import Job
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
