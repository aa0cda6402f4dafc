"""A step of training on a fabric: its time, what binds it, and where its bytes go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fabric.arguments import Method, checked
from fabric.costing.calibration import Calibration
from fabric.errors import FabricError, QuestionError
from fabric.graph import Fabric, load
from fabric.job.ranks import Routing
from fabric.units import gbytes_per_second, gbytes_to_gbps
from fabric.workload.job_file import load_job
from fabric.workload.layout import Layout, all_orders
from fabric.workload.on_fabric import Site, site, timed_exchanges
from fabric.workload.step import StepTime, TimedExchange, micro_compute_s, step_time
from fabric.workload.tiers import link_uses, places, scale_up_turns, turns
from fabric.workload.training import (
    COMPUTE,
    AssumedValue,
    DimensionOrder,
    DimensionTraffic,
    Gain,
    Training,
    TurnedBytes,
)
from fabric.workload.workload import Workload
from fabric.workload.written import fabric_file

MORE = 1.1
"""By how much more of something its gain is told."""


@checked
def train(
    job: str | Path | Workload,
    fabric: Fabric | None = None,
    *,
    order: str = "",
    calibration: str | Path | Calibration = "measured",
    routing: Routing = "ecmp",
    method: Method = "auto",
) -> Training:
    """Return what a step of training takes, and what binds it.

    Parameters
    ----------
    job : str, Path or Workload
        A job file, or what one says.
    fabric : Fabric, optional
        Instead of the one that the job names.
    order : str
        Of the ranks, instead of that of the job; ``"all"`` for the best of all orders of its dimensions.
    calibration : str, Path or Calibration
        As for `fabric.costing.cost.cost`.
    routing : str
        ``"ecmp"``, ``"hashed"``, ``"adaptive"``, ``"rail"`` or ``"rail-direct"``.
    method : {"auto", "axes", "links"}
        On classes, or on every cable.

    Returns
    -------
    Training

    Raises
    ------
    QuestionError
        If the job does not fit the fabric.
    TopologyError
        With every problem of a file at its line and column.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.workload import parse_job
    >>> f = loads("{fabric: a, include: {fabric: hgx-h100}}")
    >>> text = "{job: small, model: llama3-8b, batch: {sequences: 64, length: 8192}, parallel: {tp: 8}}"
    >>> answer = train(parse_job(text), f)
    >>> answer.binding, [row.group for row in answer.dimensions], answer.dimensions[0].where
    ('compute', ['tp'], 'nvswitch')
    """
    work = job if isinstance(job, Workload) else load_job(job)
    if fabric is None:
        fabric = load(fabric_file(work))
    if order not in ("", "all"):
        work = replace(work, order=order)
    at = replace(site(fabric, work, calibration, routing), method=method)
    if order != "all":
        return _answer(at)
    # Orders along axes, where any is: of the others each is a step of its own on all ranks.
    products = replace(at, method="axes", is_product=True)
    for by in (products, at) if method == "auto" else (at,):
        each = [_ordered(by, one) for one in all_orders(at.work.parallel)]
        found = sorted(each, key=_rank)
        best = found[0]
        if not best.why:
            break
    else:
        msg = f"job {work.name}: no order of the dimensions fits: {best.why}"
        raise QuestionError(msg)
    return replace(_answer(replace(at, dimensions=tuple(best.order.split()))), orders=tuple(found))


def _rank(found: DimensionOrder) -> float:
    # Rounding does not choose between orders, the one that comes first does.
    return float(f"{found.step_s:.9g}")


def _ordered(at: Site, dimensions: tuple[str, ...]) -> DimensionOrder:
    """Return what an order makes of the step."""
    try:
        moved = replace(at, dimensions=dimensions)
        _, timed = timed_exchanges(moved)
    except FabricError as error:
        return DimensionOrder(" ".join(dimensions), float("inf"), "", str(error).partition("\n")[0])
    compute_s = micro_compute_s(at.work, at.peak_tflops)
    step = step_time(at.work, compute_s, timed)
    worst = max(step.exposed_s, key=lambda name: step.exposed_s[name], default="")
    slowest = max(
        (one for one in timed if one.exchange.group == worst), key=lambda one: one.time_s, default=None
    )
    binding = slowest.paced.cost.binding if slowest and step.exposed_s[worst] > 0 else COMPUTE
    return DimensionOrder(" ".join(dimensions), step.total_s, binding)


def _answer(at: Site) -> Training:
    """Return the answer for one order."""
    work = at.work
    layout, timed = timed_exchanges(at)
    compute_s = micro_compute_s(work, at.peak_tflops)
    step = step_time(work, compute_s, timed)
    times = {"micro-batch": float(work.n_micro), "first forward": 1.0, "last backward": 1.0}
    flops = work.model.flops_per_token(work.batch.length) * work.batch.tokens
    n = work.parallel.n_ranks
    tflops = flops / step.total_s / n / 1e12
    gains = _gains(work, compute_s, timed, step)
    inside = scale_up_turns(timed[0].paced.links) if timed else frozenset()
    turned = [
        TurnedBytes(group, place, n_bytes, place in inside)
        for group in dict.fromkeys(one.exchange.group for one in timed)
        for place, n_bytes in _turned(group, timed, times).items()
    ]
    return Training(
        job=work.name,
        fabric=at.fabric.name,
        model=work.model.name,
        gpu=at.part,
        n_ranks=n,
        n_micro=work.n_micro,
        order=layout.order,
        step_s=step.total_s,
        compute_s=step.compute_s,
        bubble_s=step.bubble_s,
        exposed_s=sum(step.exposed_s.values()),
        tokens_per_s=work.batch.tokens / step.total_s,
        tflops=tflops,
        mfu=tflops / at.peak_tflops,
        dimensions=_rows(layout, timed, times, step),
        turned=tuple(turned),
        links=link_uses(timed, times, step.total_s),
        binding=gains[0].of,
        gains=gains,
        assumed=_assumed(at),
        routing=at.routing,
        calibration=at.calibration.name,
        method=timed[0].paced.job.method if timed else "axes",
        notes=tuple(dict.fromkeys(one.paced.job.why for one in timed if one.paced.job.why)),
    )


def _rows(
    layout: Layout, timed: Sequence[TimedExchange], times: dict[str, float], step: StepTime
) -> tuple[DimensionTraffic, ...]:
    rows = []
    for group in dict.fromkeys(one.exchange.group for one in timed):
        own = [one for one in timed if one.exchange.group == group]
        # Times in a step, not in a span.
        n = [times[one.exchange.span] for one in own]
        time_s = sum(k * one.time_s for k, one in zip(n, own, strict=True))
        sent = sum(k * one.sent_bytes for k, one in zip(n, own, strict=True))
        exposed_s = step.exposed_s.get(group, 0.0)
        longest = max(zip(n, own, strict=True), key=lambda pair: pair[0] * pair[1].time_s)[1]
        reached = {place for one in own for place in turns(one.paced)}
        rows.append(
            DimensionTraffic(
                group=group,
                n_ranks=layout.sizes[group],
                n_domains=longest.paced.n_domains,
                where=next((p for p in reversed(places(timed)) if p in reached), ""),
                what=", ".join(dict.fromkeys(one.exchange.what for one in own)),
                sent_bytes=sent,
                busbw_gbps=gbytes_to_gbps(gbytes_per_second(sent, time_s)),
                time_s=time_s,
                hidden_s=max(time_s - exposed_s, 0.0),
                exposed_s=exposed_s,
                binding=longest.paced.cost.binding,
                algorithm=", ".join(dict.fromkeys(one.paced.cost.name for one in own)),
            )
        )
    return tuple(rows)


def _turned(group: str, timed: Sequence[TimedExchange], times: dict[str, float]) -> dict[str, float]:
    """Return the bytes of a GPU and step of one sort of groups, by where they turn."""
    total: dict[str, float] = {}
    for one in timed:
        if one.exchange.group != group:
            continue
        n = times[one.exchange.span] * one.exchange.times
        for place, n_bytes in turns(one.paced).items():
            total[place] = total.get(place, 0.0) + n * n_bytes
    return {place: total.get(place, 0.0) for place in places(timed)}


def _gains(
    work: Workload, compute_s: float, timed: Sequence[TimedExchange], step: StepTime
) -> tuple[Gain, ...]:
    """Return what a tenth more of the compute, and of each class of links, saves of the step; most first."""
    gains = [Gain(COMPUTE, 1 - step_time(work, compute_s / MORE, timed).total_s / step.total_s)]
    links = timed[0].paced.links if timed else None
    for rule, name in enumerate(links.rules if links else ()):
        # By the same algorithms: only what the links carry gets faster.
        faster = [
            replace(one, paced=one.paced.faster(rule, MORE)) if one.paced.on_rule[rule] > 0 else one
            for one in timed
        ]
        if any(one is not before for one, before in zip(faster, timed, strict=True)):
            saved = 1 - step_time(work, compute_s, faster).total_s / step.total_s
            gains.append(Gain(name, max(saved, 0.0)))
    return tuple(sorted(gains, key=lambda gain: -round(gain.saves, 9)))


def _assumed(at: Site) -> tuple[AssumedValue, ...]:
    work = at.work
    peak = work.peak.source if work.peak.value else f"catalogue of parts, {at.part}, {work.precision.compute}"
    used: tuple[Literal["tp", "cp", "ep", "pp", "dp"], ...] = ("tp", "cp", "ep", "pp", "dp")
    return (
        AssumedValue("part of the peak FLOPs", work.achieved.value, work.achieved.source),
        AssumedValue("peak TFLOPS", at.peak_tflops, peak),
        *(
            AssumedValue(f"part of {name} beside the compute", *work.overlap[name])
            for name in used
            if work.parallel.size(name) > 1
        ),
    )
