"""What stands beside a cost: the rate on the wires, and the bound that no algorithm can beat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from fabric.blueprint.remembered import remembered
from fabric.bounds.answer import Bound
from fabric.bounds.bound import OPERATIONS, bound
from fabric.costing.answer import Cost, WireRate
from fabric.costing.calibration import calibration
from fabric.costing.evaluate import first_largest
from fabric.costing.run import CostRun
from fabric.errors import FabricError
from fabric.graph import Fabric
from fabric.job.question import JobQuestion
from fabric.schedule.tree import Schedule, phases
from fabric.symmetry import lopsided_axes
from fabric.units import gbytes_per_second, gbytes_to_gbps, seconds_to_send

MANY_PLACES, MANY_MATRIX_PLACES = 400, 80
"""Places that wiring without axis symmetry tells apart up to which a bound is worked out beside a cost, of
all-to-all fewer: some 10 s each."""


def add_wires(run: CostRun, answer: Cost, schedules: Mapping[str, Schedule]) -> Cost:
    """Return a prediction with the rates of its algorithms at wire rates and zero latency."""
    wire = replace(run, calibration=calibration("wire"))
    most: dict[str, WireRate] = {}
    for name, schedule in schedules.items():
        timing = wire.timing(schedule, wire.calibration.protocols[-1], None)
        if timing.transfer_s > 0:
            algbw = gbytes_to_gbps(gbytes_per_second(run.size_bytes, timing.transfer_s))
            binding = run.job.links.rules[first_largest(timing.held_s)]
            most[name] = WireRate(algbw * run.factor, name, binding)
    costs = tuple(
        replace(cost, most_gbps=most[cost.algorithm].busbw_gbps) if cost.algorithm in most else cost
        for cost in answer.algorithms
    )
    support = answer.support
    if support is not None and len(most) == len(costs):
        # What residuals allow, no run reaches where it is more than all wires carry.
        fastest = max(rate.busbw_gbps for rate in most.values())
        support = replace(support, high_gbps=min(support.high_gbps, fastest))
    own = most.get(costs[0].algorithm)
    return replace(answer, algorithms=costs, chosen=costs[0], wire=own, support=support)


def add_bound(fabric: Fabric, answer: Cost, asked: JobQuestion, schedules: dict[str, Schedule]) -> Cost:
    """Return an answer with the bound of its collective, or why there is none.

    An algorithm is held against the bound with the path rule of its routing, and with switches that reduce
    only if it lets them.
    """
    # First what no bound is known for: other collectives, ranks by a list or an order, very uneven wiring.
    if answer.collective not in OPERATIONS:
        return replace(answer, no_bound=f"no bound for {answer.collective}")
    if fabric.blueprint is None or asked.ranks or asked.order:
        return replace(answer, no_bound="the ranks are no product of the axes of the file")
    b = fabric.blueprint
    n_places = math.prod(b.axes[axis].size for axis in lopsided_axes(b))
    if n_places > (MANY_MATRIX_PLACES if answer.collective == "all-to-all" else MANY_PLACES):
        why = f"its wiring tells {n_places:,} places apart; fabtopo bound takes its time for them"
        return replace(answer, no_bound=why)
    # Algorithms differ in what they may use: switches that reduce or not. Their bounds differ so.
    known: dict[str, Bound] = {}
    try:
        for name, schedule in schedules.items():
            is_in = any(p.transfer == "in-switch" for p in phases(schedule))
            known[name] = _bound(fabric, answer.collective, asked, is_in=is_in)
    except FabricError as error:
        return replace(answer, no_bound=str(error))
    ratios = []
    for cost in answer.algorithms:
        most = known[cost.algorithm].algbw_gbps
        ratios.append(replace(cost, bound_ratio=cost.algbw_gbps / most if most > 0 else 0.0))
    best = known[answer.chosen.algorithm]
    time_s = seconds_to_send(answer.size_bytes, best.algbw_gbps) if best.algbw_gbps > 0 else float("inf")
    # The rate of a bound holds at any size; its time is worked out for this one.
    best = replace(best, size_bytes=answer.size_bytes, time_s=time_s)
    return replace(answer, bound=best, chosen=ratios[0], algorithms=tuple(ratios))


@remembered(64)
def _bound(fabric: Fabric, collective: str, asked: JobQuestion, *, is_in: bool) -> Bound:
    """Return a bound; its rate does not depend on the size."""
    return bound(
        fabric,
        collective,
        "1GiB",
        over=asked.over,
        among=asked.among,
        paths=asked.paths,
        reduces=asked.reduces if is_in else (),
    )
