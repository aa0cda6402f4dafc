"""Predict points that nothing was fitted to yet, and keep what was said.

``python -m tools.evidence.blind FILE BATCH`` takes a table such as ``points.csv``. Points are predicted here
first and become evidence afterwards, so that ``blind.csv`` holds how near the program came to runs that it
did not know, with the interval of that day.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import fabric
from fabric.costing import cost
from fabric.evidence import Point, fabric_text
from fabric.evidence.points import points_of
from fabric.graph import Fabric, loads
from fabric.text.writing import write_file

FILE = Path(fabric.__file__).parent / "evidence" / "data" / "blind.csv"
_KEYS = ("batch", "system", "collective", "ranks", "domains", "size_bytes")
COLUMNS = (*_KEYS, "ratio", "low", "high", "standing", "source")


@dataclass(frozen=True, slots=True)
class Blind:
    """One point, and what was said of it before it was known.

    Parameters
    ----------
    batch : str
        Points that were looked up together.
    system, collective : str
    ranks, domains, size_bytes : int
    ratio : float
        Predicted over measured time, which is measured over predicted busbw.
    low, high : float
        Interval of that ratio that was stated for 80 %.
    standing : str
    source : str
    """

    batch: str
    system: str
    collective: str
    ranks: int
    domains: int
    size_bytes: int
    ratio: float
    low: float
    high: float
    standing: str
    source: str

    @property
    def is_inside(self) -> bool:
        """Whether the interval held the measured value."""
        return self.low <= self.ratio <= self.high


def blind() -> tuple[Blind, ...]:
    """Return all points that were ever predicted before they were known."""
    rows = csv.DictReader(FILE.read_text(encoding="utf-8").splitlines())
    return tuple(
        Blind(
            batch=row["batch"],
            system=row["system"],
            collective=row["collective"],
            ranks=int(row["ranks"]),
            domains=int(row["domains"]),
            size_bytes=int(row["size_bytes"]),
            ratio=float(row["ratio"]),
            low=float(row["low"]),
            high=float(row["high"]),
            standing=row["standing"],
            source=row["source"],
        )
        for row in rows
    )


@cache
def _fabric_of(text: str) -> Fabric:
    return loads(text)


def said_of(point: Point, batch: str) -> Blind:
    """Return what the program says of a point."""
    answer = cost(
        _fabric_of(fabric_text(point)),
        point.collective,
        point.size_bytes,
        among=point.among or None,
        calibration="measured",
        in_place=point.is_in_place,
        is_bounded=False,
        reduces=("scale-up",) if point.is_added_in_switches else (),
    )
    support = answer.support
    assert support is not None
    return Blind(
        batch=batch,
        system=point.system,
        collective=point.collective,
        ranks=point.ranks,
        domains=point.domains,
        size_bytes=point.size_bytes,
        ratio=answer.time_s / point.time_s,
        low=support.low_gbps / answer.busbw_gbps,
        high=support.high_gbps / answer.busbw_gbps,
        standing=support.standing,
        source=point.source,
    )


def text_of(known: Sequence[Blind]) -> str:
    """Return the table."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for b in known:
        start = (b.batch, b.system, b.collective, b.ranks, b.domains, b.size_bytes)
        rows.writerow((*start, f"{b.ratio:.4f}", f"{b.low:.4f}", f"{b.high:.4f}", b.standing, b.source))
    return out.getvalue()


def main() -> None:
    """Predict the points of a file, say how near that was, and keep it."""
    file, batch = sys.argv[1:]
    told = [said_of(point, batch) for point in points_of(Path(file).read_text(encoding="utf-8"))]
    for curve in dict.fromkeys((b.system, b.collective) for b in told):
        own = [b for b in told if (b.system, b.collective) == curve]
        ratios = sorted(b.ratio for b in own)
        inside = sum(b.is_inside for b in own)
        ratio = f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {ratios[len(ratios) // 2]:.2f}"
        print(f"{', '.join(curve)}: {ratio}; {inside} of {len(own)} inside")
    print(f"{sum(b.is_inside for b in told)} of {len(told)} points inside the interval of 80 %")
    write_file(FILE, text_of([*blind(), *told] if FILE.exists() else told), force=True)


if __name__ == "__main__":
    main()
