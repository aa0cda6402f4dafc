"""Hold NCCL's own model against the evidence: ``python -m tools.evidence.nccl``.

Nothing is fitted, so that every point is one that the model did not know. Left out are the points that it
says nothing about: collectives and machines that it does not know.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import fabric
from fabric.costing import cost
from fabric.errors import FabricError
from fabric.evidence import Point, fabric_text, points
from fabric.graph import loads
from fabric.text.writing import write_file
from tools.evidence.features import by_run

COLUMNS = ("system", "collective", "dtype", "algorithm", "ranks", "domains", "size_bytes", "ratio", "fitted")


def rows() -> list[tuple[object, ...]]:
    """Return a row for every point that NCCL's model says something about, run by run."""
    every = points()
    found: list[tuple[object, ...]] = []
    for places in by_run(every).values():
        run = [every[i] for i in places]
        text = fabric_text(run[0])
        machine = loads(text)
        for point in run:
            try:
                answer = cost(
                    machine,
                    point.collective,
                    point.size_bytes,
                    calibration="nccl",
                    among=point.among or None,
                    is_bounded=False,
                )
            # NCCL's model knows neither this machine nor the next size on it.
            except FabricError:
                break
            found.append((*_start(point), answer.chosen.algorithm, *_end(point, answer.time_s)))
    return found


def _start(point: Point) -> tuple[object, ...]:
    return point.system, point.collective, point.dtype


def _end(point: Point, time_s: float) -> tuple[object, ...]:
    ratio = f"{time_s / point.time_s:.4f}"
    return point.ranks, point.domains, point.size_bytes, ratio, "yes", point.source


def main() -> None:
    """Write the residuals."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow((*COLUMNS, "source"))
    table.writerows(rows())
    file = Path(fabric.__file__).parent / "evidence" / "data" / "nccl.residuals.csv"
    write_file(file, out.getvalue(), force=True)


if __name__ == "__main__":
    main()
