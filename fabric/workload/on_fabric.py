"""The exchanges of a job on a fabric: the ranks, their groups, and the pace of each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from fabric.arguments import Method
from fabric.blueprint.model import Blueprint, DeviceGroup, Selector
from fabric.blueprint.selector import quote, selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.costing.calibration import Calibration
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.paced import pace_groups
from fabric.costing.run import CostRun, jobs_of
from fabric.costing.spread import Spread
from fabric.errors import FabricError, NoPathError, QuestionError, setting
from fabric.graph import Fabric
from fabric.job.in_order import LISTED, ranks_in_order
from fabric.job.placement import left_axes
from fabric.job.question import JobQuestion, ranks_group
from fabric.job.ranks import Routing
from fabric.symmetry import NoSymmetryError, devices_up
from fabric.workload.exchanges import exchanges
from fabric.workload.layout import Layout, lay_out, read_dimensions
from fabric.workload.step import TimedExchange
from fabric.workload.workload import Parallel, Workload
from fabric.workload.written import JobFaults

TRAIN_ROUTINGS = ("ecmp", "hashed", "adaptive", "rail", "rail-direct")
"""Routings by which transfers that overlap can be added up; ideal routes are chosen for each by itself."""


@dataclass(frozen=True, eq=False)
class Site:
    """Where a job runs.

    Parameters
    ----------
    fabric : Fabric
    work : Workload
        With the size of dp.
    left : str
        Axes of the ranks in their order.
    dimensions : tuple of str
        Order of the parallel dimensions, the last one fastest.
    peak_tflops : float
        Of a GPU.
    part : str
        The GPU, or empty.
    calibration : Calibration
    routing : str
    method : {"auto", "axes", "links"}
        On classes, or on every cable.
    beside : tuple of tuple of str
        Selectors of each of several jobs that are told apart, this one among them.
    is_product : bool
        Whether groups have to be a product of axes.
    """

    fabric: Fabric
    work: Workload
    left: str
    dimensions: tuple[str, ...]
    peak_tflops: float
    part: str
    calibration: Calibration
    routing: Routing
    method: Method = "auto"
    beside: tuple[tuple[str, ...], ...] = ()
    is_product: bool = False

    def lay_out(self) -> Layout:
        """Return the groups of the order.

        Raises
        ------
        TopologyError, QuestionError
            If groups of experts straddle a dimension.
        """
        try:
            return lay_out(self.left, self.dimensions, self.work.parallel)
        except QuestionError as error:
            faults = JobFaults(self.work)
            faults.say(("order",), str(error))
            raise faults.error() from None


def site(fabric: Fabric, work: Workload, calibration: str | Path | Calibration, routing: Routing) -> Site:
    """Return where a job runs.

    Raises
    ------
    QuestionError
        If the ranks do not fit the layout, or the peak of their GPU is not known.
    """
    if routing not in TRAIN_ROUTINGS:
        known_ways = ", ".join(TRAIN_ROUTINGS)
        msg = f"{setting('routing', routing)}: transfers that overlap are added up for {known_ways}"
        raise QuestionError(msg)
    known_calibration = read_calibration(calibration)
    faults = JobFaults(work)
    group, n_ranks = _ranks(fabric, work, faults)
    unfit = list(work.unfit(n_ranks)) if n_ranks else []
    for fault in unfit:
        faults.say(*fault)
    left, peak, part = "", 0.0, group.part if group else None
    dimensions: tuple[str, ...] = ()
    if group:
        parallel = work.parallel if unfit or not n_ranks else work.parallel.on(n_ranks)
        with faults.at("order"):
            left, dimensions = _order(fabric, work, group, parallel)
        with faults.at("assume", "peak"):
            peak = _peak_tflops(work, group)
    faults.check()
    name = part.id if part else ""
    return Site(fabric, work.on(n_ranks), left, dimensions, peak, name, known_calibration, routing)


def _ranks(fabric: Fabric, work: Workload, faults: JobFaults) -> tuple[DeviceGroup | None, int]:
    """Return the group of endpoints that the ranks are of, and how many they are; None and 0 if not known."""
    blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
    groups = [g for g in blueprint.groups.values() if g.is_endpoint]
    for number, text in enumerate(work.among):
        with faults.at("among", number):
            selected_endpoints(blueprint, text)
    group = groups[0] if len(groups) == 1 else None
    n_ranks = 0
    if not faults:
        with faults.at("among"):
            first = work.among[0] if work.among else None
            group = blueprint.groups[ranks_group(fabric, JobQuestion(among=first))]
            n_ranks = _count(fabric, work.among)
    return group, n_ranks


def selected_endpoints(blueprint: Blueprint, text: str) -> tuple[Selector, tuple[str, ...]]:
    """Return a selector, and the groups of endpoints that it speaks of.

    Raises
    ------
    QuestionError, SelectorError
        If it cannot be read, or selects no endpoint that is there.
    """
    selector = read_selector(blueprint, text, needs_group=False)
    named = selected_groups(blueprint, selector)
    groups = tuple(name for name in named if blueprint.groups[name].is_endpoint)
    if not groups:
        ends = ", ".join(g.name for g in blueprint.groups.values() if g.is_endpoint)
        msg = f"selector {quote(text)} selects {', '.join(named)}, and no endpoint; endpoints are {ends}"
        raise QuestionError(msg)
    if not any(devices_up(blueprint, name, selector) for name in groups):
        msg = f"selector {quote(text)} selects no endpoint of {blueprint.name} that is up"
        raise QuestionError(msg)
    return selector, groups


def _count(fabric: Fabric, among: tuple[str, ...]) -> int:
    """Return the ranks."""
    blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
    with contextlib.suppress(NoSymmetryError):
        return ranks_in_order(blueprint, asked_ranks(among)).n
    return sum(job.shape.n * job.n_instances for job in jobs_of(fabric, asked_ranks(among)))


def _order(
    fabric: Fabric, work: Workload, group: DeviceGroup, parallel: Parallel
) -> tuple[str, tuple[str, ...]]:
    """Return the axes by which ranks are numbered, and the dimensions.

    Raises
    ------
    QuestionError
        If the order fits neither the endpoints nor the layout.
    """
    is_listed = len(work.among) > 1
    # Ranks of several selectors are numbered as these are listed.
    left, dimensions = read_dimensions(work.order, parallel, (LISTED,) if is_listed else group.axes)
    if is_listed and left != LISTED:
        msg = f"order: ranks of several selectors are numbered as listed: ({LISTED}) -> (...), not ({left})"
        raise QuestionError(msg)
    if not is_listed:
        blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
        left_axes(blueprint, group.name, left.split(), work.order)
    return left, dimensions


def _peak_tflops(work: Workload, group: DeviceGroup) -> float:
    """Return the dense peak of a GPU.

    Raises
    ------
    QuestionError
        If neither the job nor the catalogue of parts has it.
    """
    number, part = work.precision.compute, group.part
    known = part.figures.get(f"{number}_dense_tflops") if part else None
    if not (peak := work.peak.value or known):
        name = part.id if part else f"{group.name}, which has no part"
        msg = f"no {number} FLOPs are known of {name}; give assume: {{peak: ...}} in TFLOPS"
        raise QuestionError(msg)
    return peak


def asked_ranks(among: tuple[str, ...]) -> JobQuestion:
    """Return the question about ranks of one selector, of several in their order, or about all."""
    return JobQuestion(ranks=among) if len(among) > 1 else JobQuestion(among=among[0] if among else None)


def timed_exchanges(at: Site) -> tuple[Layout, list[TimedExchange]]:
    """Return the groups of a job, and all that they send, each by its pace.

    Raises
    ------
    QuestionError
        If groups do not fit the fabric.
    """
    layout = at.lay_out()
    timed = []
    for exchange in exchanges(at.work):
        question = replace(
            asked_ranks(at.work.among),
            over=layout.over[exchange.group],
            order=layout.order,
            routing=at.routing,
            method=at.method,
            beside=at.beside,
            is_product=at.is_product,
        )
        try:
            sent = exchange.collective, max(exchange.size_bytes, 1), 1.0, at.calibration, Spread()
            runs = [CostRun(at.fabric, question, job, *sent) for job in jobs_of(at.fabric, question)]
            paced = pace_groups(runs, exchange.moe)
        except NoPathError as error:
            msg = f"job {at.work.name}: {exchange.group}: {error}"
            raise NoPathError(msg, error.rank) from None
        except FabricError as error:
            msg = f"job {at.work.name}: {exchange.group}: {error}"
            raise QuestionError(msg) from None
        timed.append(TimedExchange(exchange, paced, at.work.overlap[exchange.dimension].value))
    return layout, timed
