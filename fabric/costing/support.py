"""How sure a prediction is: its interval, the nearest measured point, and where it leaves the evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from fabric.blueprint.remembered import remembered
from fabric.costing.answer import AlgorithmCost, Cost
from fabric.costing.calibration import Calibration
from fabric.costing.standing import Standing, Support
from fabric.errors import QuestionError
from fabric.evidence import Point, points
from fabric.evidence.residuals import BANDS, Residual, ResidualClass, residual_class, residuals
from fabric.graph import Fabric
from fabric.job.question import JobQuestion, ranks_group
from fabric.schedule.algorithms import busbw_factor
from fabric.units import (
    format_bytes,
    format_rate_gbyte,
    gbytes_per_second,
    gbytes_to_gbps,
)

_SIZE_REACH = 4
"""Beyond the last measured size times this, and below the first over it, a size is none of the evidence."""
_SAME = 2
"""Sizes within this factor are of one measured point."""
_KEPT = 256
"""Questions whose evidence is kept with a calibration."""


def support(fabric: Fabric, question: JobQuestion, answer: Cost, known: Calibration) -> Support:
    """Return what the prediction of an answer rests on.

    Parameters
    ----------
    fabric : Fabric
    question : JobQuestion
    answer : Cost
        By a calibration that predicts.
    known : Calibration
        That it is by, with its residuals.
    """
    of_collective = _runs_of(known, answer.collective)
    part = part_of(fabric, question)
    beyond = dict(_leaves(of_collective, part, answer))
    leaves = tuple(beyond)
    near = min(of_collective, key=lambda p: _distance(p, part, answer), default=None)
    is_measured = near is not None and (near.gpu, near.ranks, near.domains) == (
        part,
        answer.n_ranks,
        answer.n_domains,
    )
    is_measured = is_measured and near is not None and _ratio(near.size_bytes, answer.size_bytes) <= _SAME
    standing: Standing = "extrapolated" if leaves else "measured" if is_measured else "interpolated"
    asked = (answer.collective, answer.chosen.algorithm, _last_of_band(answer.size_bytes), answer.n_domains)
    found = _class_of(known, *asked, is_outside=bool(leaves), doublings=sum(beyond.values()))
    low, high = (found.low, found.high) if found else (0.0, 0.0)
    low_gbps, high_gbps = low * answer.busbw_gbps, high * answer.busbw_gbps
    told = _says(found) if found else ""
    if found and standing != "measured":
        # A library may choose what none was seen to choose, or stay with what was seen.
        seen = max((a for a in answer.algorithms if a.is_seen), key=_busbw, default=answer.chosen)
        best = max(answer.algorithms, key=_hoped)
        if low * seen.busbw_gbps < low_gbps:
            low_gbps = max(low * seen.busbw_gbps, low_gbps / answer.chosen.doubt)
            told += f"; the lower end is what {seen.algorithm} gives if a library stays with it"
        if not best.is_seen and best.hoped_gbps > high_gbps:
            high_gbps = best.hoped_gbps
            told += f"; the upper end is what {best.algorithm} gives if a library chooses it"
    like = (part, answer.n_ranks, answer.n_domains, answer.size_bytes)
    least = None if found is None or leaves else found.least(*like) * answer.busbw_gbps
    return Support(
        standing=standing,
        leaves=leaves,
        nearest=_words(near, known) if near is not None else "",
        low_gbps=low_gbps,
        high_gbps=high_gbps,
        pass_gbps=least,
        residuals=told,
    )


def _says(found: ResidualClass) -> str:
    """Return what an interval is of, in words."""
    of_sites = f" of {found.sites} sites" if found.sites else ""
    return f"{found.name}: {found.n} points{of_sites}"


def _busbw(run: AlgorithmCost) -> float:
    return run.busbw_gbps


def _hoped(run: AlgorithmCost) -> float:
    return run.hoped_gbps


Run = Point | Residual
"""A measured run: of the evidence, or of the logs that a calibration was fitted to."""


@remembered(_KEPT)
def _runs_of(known: Calibration, collective: str) -> tuple[Run, ...]:
    """Return the runs of a collective that a calibration was held against."""
    own = tuple(r for r in known.residuals if r.time_s)
    return tuple(p for p in own or _free() if p.collective == collective)


@cache
def _free() -> tuple[Point, ...]:
    """Return the measured points whose library chose for itself."""
    return tuple(p for p in points() if not p.forced)


@remembered(_KEPT)
def _class_of(
    known: Calibration,
    collective: str,
    algorithm: str,
    size_bytes: int,
    domains: int,
    *,
    is_outside: bool,
    doublings: float,
) -> ResidualClass | None:
    """Return the residuals that speak for a question; where a fit has few, those of its parent `measured`."""
    asked = (collective, algorithm, size_bytes, domains)
    own = residual_class(known.residuals, *asked, is_outside=is_outside, doublings=doublings)
    if own is not None or not known.residuals:
        return own
    parent = residual_class(residuals("measured"), *asked, is_outside=is_outside, doublings=doublings)
    if parent is None:
        return None
    # What it was made from passes, however few points those are.
    own_rows = tuple(r for r in known.residuals if r.collective == collective)
    name = f"of calibration measured, {parent.name}"
    return replace(parent, name=name, rows=(*parent.rows, *own_rows))


def _last_of_band(size_bytes: int) -> int:
    """Return one size for all of a band."""
    return next((last for last, _ in BANDS if size_bytes <= last), BANDS[-1][0] + 1)


def part_of(fabric: Fabric, question: JobQuestion) -> str:
    """Return the part of the ranks; empty where the file does not say."""
    if fabric.blueprint is None:
        return ""
    try:
        part = fabric.blueprint.groups[ranks_group(fabric, question)].part
    except QuestionError:
        return ""
    return part.id if part else ""


def _leaves(known: Sequence[Run], part: str, answer: Cost) -> Iterator[tuple[str, float]]:
    """Yield the dimensions in which a question leaves what was measured, and by how many doublings."""
    own = [p for p in known if p.gpu == part]
    if not known:
        yield "collective", 0.0
        return
    if not answer.chosen.is_seen:
        yield "algorithm", 0.0
    if not own:
        yield "hardware", 0.0
        own = list(known)
    # Inside one domain ranks count, beyond it domains, and ranks in each.
    several = answer.n_domains > 1
    near = [p for p in own if (p.domains > 1) == several]
    if not near:
        most = max(p.domains for p in own)
        yield ("domains", math.log2(_ratio(answer.n_domains, most))) if several else ("ranks", 0.0)
        return
    per_domain = answer.n_ranks / answer.n_domains
    asked: dict[str, tuple[float, Sequence[float], Sequence[float], int]] = {
        "domains": (answer.n_domains, *2 * ([p.domains for p in near],), 1),
        "ranks": (per_domain, *2 * ([p.ranks / p.domains for p in near],), 1),
        # What a size does, runs of other GPUs tell too.
        "size": (answer.size_bytes, [p.size_bytes for p in near], [p.size_bytes for p in known], _SIZE_REACH),
    }
    for name, (value, measured, alike, reach) in asked.items():
        if value > reach * max(measured):
            yield name, math.log2(max(value / max(alike), 1))
        elif value * reach < min(measured):
            yield name, math.log2(max(min(alike) / max(value, 1), 1))


def _ratio(one: float, other: float) -> float:
    return max(one / other, other / one)


def _distance(point: Run, part: str, answer: Cost) -> float:
    """Return how unlike a point and a question are: doublings, of domains and ranks twice; own GPUs first."""
    doublings = abs(math.log2(point.size_bytes / max(answer.size_bytes, 1)))
    doublings += 2 * abs(math.log2(point.ranks / answer.n_ranks))
    doublings += 2 * abs(math.log2(point.domains / answer.n_domains))
    return doublings + (1_000 if point.gpu != part else 0)


def _words(run: Run, known: Calibration) -> str:
    rate = gbytes_to_gbps(gbytes_per_second(run.size_bytes, run.time_s))
    busbw = format_rate_gbyte(rate * busbw_factor(run.collective, run.ranks))
    shown = f"({run.ranks:,} GPUs), {busbw} at {format_bytes(run.size_bytes)}"
    if isinstance(run, Residual):
        return f"the run that calibration {known.name} was made from {shown}"
    place = "in place, " if run.is_in_place else ""
    return f"{run.system} {shown}, {place}{run.library} [{run.source}]"
