"""The exchanges of a job on a fabric: the ranks, their groups, and the pace of each."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from fabric.arguments import Method
from fabric.costing.calibration import Calibration
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.paced import pace_groups
from fabric.costing.run import CostRun, jobs_of
from fabric.costing.spread import Spread
from fabric.errors import FabricError, NoPathError, QuestionError, setting
from fabric.graph import Fabric
from fabric.job.in_order import LISTED, ranks_in_order
from fabric.job.question import JobQuestion, ranks_group
from fabric.job.ranks import Routing
from fabric.symmetry import NoSymmetryError
from fabric.workload.exchanges import exchanges
from fabric.workload.layout import Layout, lay_out, read_dimensions
from fabric.workload.step import TimedExchange
from fabric.workload.workload import Workload

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


def site(fabric: Fabric, work: Workload, calibration: str | Path | Calibration, routing: Routing) -> Site:
    """Return where a job runs.

    Raises
    ------
    QuestionError
        If the ranks do not fit the layout, or the peak of their GPU is not known.
    """
    blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
    first = work.among[0] if work.among else None
    group = blueprint.groups[ranks_group(fabric, JobQuestion(among=first))]
    sized = work.on(_count(fabric, work.among))
    # Ranks of several selectors are numbered as these are listed.
    axes = group.axes if len(work.among) < 2 else (LISTED,)
    left, dimensions = read_dimensions(work.order, sized.parallel, axes)
    part = group.part
    peak = work.peak.value
    if not peak:
        known = part.figures.get(f"{work.precision.compute}_dense_tflops") if part else None
        if not known:
            name = part.id if part else f"{group.name}, which has no part"
            msg = (
                f"job {work.name}: no {work.precision.compute} FLOPs are known of {name}; give "
                "assume: {peak: ...} in TFLOPS"
            )
            raise QuestionError(msg)
        peak = known
    if routing not in TRAIN_ROUTINGS:
        known_ways = ", ".join(TRAIN_ROUTINGS)
        msg = f"{setting('routing', routing)}: transfers that overlap are added up for {known_ways}"
        raise QuestionError(msg)
    known_calibration = read_calibration(calibration)
    name = part.id if part else ""
    return Site(fabric, sized, left, dimensions, peak, name, known_calibration, routing)


def _count(fabric: Fabric, among: tuple[str, ...]) -> int:
    """Return the ranks."""
    blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
    with contextlib.suppress(NoSymmetryError):
        return ranks_in_order(blueprint, asked_ranks(among)).n
    return sum(job.shape.n * job.n_instances for job in jobs_of(fabric, asked_ranks(among)))


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
    layout = lay_out(at.left, at.dimensions, at.work.parallel)
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
