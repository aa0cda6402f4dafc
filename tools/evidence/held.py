"""What predictions are held to, and what they reach: ``python -m tools.evidence.held``; 1 where one fails.

Every figure is of the residuals beside the points, which are of fits that did not know the run or the site.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from fabric.evidence import Point, points
from fabric.evidence.residuals import Residual, ResidualClass, band_of, reach_of, residual_class, residuals
from fabric.text.columns import columns
from tools.evidence.blind import Blind, blind

Row = Mapping[str, str]
MIB = 1 << 20


class Demand(NamedTuple):
    """One demand: of so many points a part within so much, asked and reached."""

    what: str
    n: int
    within: float
    asked: float
    reached: float

    @property
    def is_met(self) -> bool:
        """Whether it is reached."""
        return self.reached >= self.asked


def is_judged(row: Row) -> bool:
    """Return whether a row is a measurement; a simulator's table is a model itself."""
    return row["source"] != "simai"


def residual_rows() -> list[dict[str, str]]:
    """Return how far every point is from a fit without it, in the order of the points."""
    text = (resources.files("fabric.evidence") / "data" / "measured.residuals.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def bands(rows: Sequence[Row]) -> Iterator[tuple[str, float, float, list[Row]]]:
    """Yield every band of sizes, what its points are held to, how many of them, and its rows."""
    one = [r for r in rows if r["domains"] == "1"]
    several = [r for r in rows if r["domains"] != "1" and int(r["size_bytes"]) > 64 * MIB]
    sizes = [int(r["size_bytes"]) for r in one]
    large = [r for r, size in zip(one, sizes, strict=True) if size >= 128 * MIB]
    middle = [r for r, size in zip(one, sizes, strict=True) if MIB <= size <= 64 * MIB]
    small = [r for r, size in zip(one, sizes, strict=True) if size <= 65536]
    yield "one domain, 128 MiB and above", 0.10, 0.9, large
    yield "one domain, 1 to 64 MiB", 0.20, 0.8, middle
    yield "one domain, up to 64 KiB", 0.25, 0.8, small
    yield "several domains, above 64 MiB", 0.15, 0.8, [r for r in several if is_judged(r)]


def demands(rows: Sequence[Row]) -> Iterator[Demand]:
    """Yield every band without the run, and where its generation remains, without the site."""
    for name, within, asked, of_band in bands(rows):
        remains = [r for r in of_band if r["generation_remains"] == "yes"]
        cases = ((name, within, of_band, "ratio"), (f"{name}, no site", 1.5 * within, remains, "ratio_site"))
        for what, part, own, column in cases:
            near = float(np.mean([abs(float(r[column]) - 1) <= part for r in own]))
            yield Demand(what, len(own), part, asked, near)


def inside_by_curve() -> dict[tuple[str, ...], list[bool]]:
    """Return for every curve which points lie in the interval that all other sites give it."""
    by_band: dict[tuple[bool, str], list[tuple[Point, Residual]]] = {}
    for point, row in zip(points(), residuals("measured"), strict=True):
        if not point.forced and point.source != "simai":
            by_band.setdefault((point.domains > 1, band_of(point.size_bytes)), []).append((point, row))
    of_curve: dict[tuple[str, ...], list[bool]] = {}
    for own in by_band.values():
        for site in sorted({p.site for p, _ in own}):
            others = [r for p, r in own if p.site != site]
            known: dict[tuple[str, str, str], ResidualClass | None] = {}
            for point, row in (pair for pair in own if pair[0].site == site):
                kind = (row.collective, row.algorithm, reach_of(row.domains))
                if kind not in known:
                    asked = (row.collective, row.algorithm, row.size_bytes, row.domains)
                    known[kind] = residual_class(others, *asked)
                found = known[kind]
                is_inside = found is not None and found.low <= row.unknown <= found.high
                of_curve.setdefault((*point.curve, str(point.domains)), []).append(is_inside)
    return of_curve


def coverage() -> dict[str, float]:
    """Return the part of points and of curves inside the interval of 80 % that other sites give."""
    of_curve = inside_by_curve()
    parts = {curve: float(np.mean(yes)) for curve, yes in of_curve.items()}
    return {
        "points": float(np.mean([yes for curve in of_curve.values() for yes in curve])),
        "curves": float(np.mean(list(parts.values()))),
        "curves between domains": float(np.mean([p for curve, p in parts.items() if curve[-1] != "1"])),
    }


def batches() -> dict[str, list[Blind]]:
    """Return what was said of points before they were known, by the batch that they were looked up in."""
    told = blind()
    return {b.batch: [one for one in told if one.batch == b.batch] for b in told}


def main() -> None:
    """Print what is asked and what is reached."""
    known = list(demands(residual_rows()))
    cells = [
        [
            d.what,
            f"{d.n:,}",
            f"{d.within:.3g}",
            f"{d.asked:.0%}",
            f"{d.reached:.1%}",
            "" if d.is_met else "FAIL",
        ]
        for d in known
    ]
    covered = coverage()
    for what, part in covered.items():
        is_met = 0.7 <= part <= 0.9
        cells.append(
            [f"{what} in the interval, no site", "", "", "70-90%", f"{part:.1%}", "" if is_met else "FAIL"]
        )
    print(columns(["", ">points", ">within", ">asked", ">reached", ""], cells))
    for batch, own in batches().items():
        inside = sum(b.is_inside for b in own)
        print(f"batch {batch}: {inside} of {len(own)} points inside, predicted before they were known")
    sys.exit(0 if all(d.is_met for d in known) and all(0.7 <= p <= 0.9 for p in covered.values()) else 1)


if __name__ == "__main__":
    main()
