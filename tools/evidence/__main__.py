"""Fit the calibration ``measured`` and its residuals to the evidence: ``python -m tools.evidence``."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import fabric
from fabric.costing import Calibration, calibration
from fabric.costing.calibration import calibration_text
from fabric.costing.overheads import GpuOverhead, Overhead
from fabric.evidence import Point, points
from fabric.schedule.tree import Transfer
from fabric.text.writing import write_file
from tools.evidence.features import run_of
from tools.evidence.fit import BETWEEN, GENERATIONS, calibration_of, fit, predicted

FOLDS = 5
_PACKAGE = Path(fabric.__file__).parent
_OTHER_NETWORKS = {"a3mega": 256 << 20, "aws-nccl-tests": 128 << 20}
"""Sources whose sizes below these are of networks that are neither InfiniBand nor RoCE."""


def generation_of(point: Point) -> str:
    """Return the first key of the generation of a point."""
    keys = [key for rule in run_of(point).keys if rule[-1] == "scale-up" for key in rule]
    return next(g.keys[0] for key in keys for g in GENERATIONS if key in g.keys)


def is_fitted(point: Point) -> bool:
    """Return whether the calibration is made from a point; see `_OTHER_NETWORKS`.

    For judging only are two nodes of MI300X whose smallest message takes 220 us, five times what others take;
    an all-to-all between racks of GB300 at a third of what their cards carry, with no cause told; and the
    all-gathers of a simulator's table, which are a fit themselves.
    """
    if (point.source, point.collective, point.domains) == ("oci-gb300", "all-to-all", 2):
        return False
    if point.domains > 1 and point.size_bytes < _OTHER_NETWORKS.get(point.source, 0):
        return False
    if point.system == "MI300X, 2 nodes" and point.size_bytes < 256 << 20:
        return False
    return not (point.source == "simai" and point.collective == "all-gather")


def fit_all(known: Sequence[Point], start: Mapping[str, float], base: Calibration) -> dict[str, float]:
    """Return all values, fitted to some points."""
    values = dict(start)
    for generation in GENERATIONS:
        name = generation.keys[0]
        # Twenty racks tell the steps of a ring inside them better than any one does.
        own = [p for p in known if (p.domains == 1 or p.domains == 20) and generation_of(p) == name]
        values = fit(own, list(generation.start()), values, base)
    return fit([p for p in known if p.domains > 1 and is_fitted(p)], list(BETWEEN), values, base)


def fold_of(point: Point) -> int:
    """Return the fold of a point: one run is in one fold, whatever its sizes."""
    return zlib.crc32("/".join(point.curve).encode()) % FOLDS


def with_sources(known: Calibration, every: Sequence[Point]) -> Calibration:
    """Return a calibration whose values name the points that they rest on."""
    said: dict[str, str] = {}
    for generation in GENERATIONS:
        own = [p for p in every if p.domains == 1 and generation_of(p) == generation.keys[0]]
        systems = ", ".join(dict.fromkeys(p.source for p in own))
        for key in generation.keys:
            said[key] = f"{len(own)} points inside one domain of {generation.keys[0]}: {systems}"
    between = [p for p in every if p.domains > 1 and is_fitted(p)]
    net = f"{len(between)} points between domains: " + ", ".join(dict.fromkeys(p.source for p in between))

    def sourced(key: str, kinds: Mapping[Transfer, Overhead]) -> dict[Transfer, Overhead]:
        return {k: replace(o, source=said.get(key, "") or o.source or net) for k, o in kinds.items()}

    links = {key: sourced(key, kinds) for key, kinds in (known.links or {}).items()}
    gpus: dict[str, dict[Transfer, GpuOverhead]] = {
        key: {k: replace(g, source=said[key]) for k, g in kinds.items()} for key, kinds in known.gpus.items()
    }
    counts = {
        key: {n: replace(c, source=c.source or net) for n, c in row.items()}
        for key, row in known.channel_counts.items()
    }
    return replace(known, links=links, gpus=gpus, channel_counts=counts)


def residual_rows(every: Sequence[Point], values: Mapping[str, float], base: Calibration) -> str:
    """Return the residual of every point against a fit to the runs of the other folds, as CSV."""
    ratio, by = np.zeros(len(every)), [""] * len(every)
    for fold in range(FOLDS):
        places = [i for i, p in enumerate(every) if fold_of(p) == fold]
        rest = [p for p in every if fold_of(p) != fold]
        without = calibration_of(fit_all(rest, values, base), base)
        times, names = predicted(without, [every[i] for i in places])
        for i, time_s, name in zip(places, times, names, strict=True):
            ratio[i], by[i] = time_s / every[i].time_s, name
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(
        (
            "system",
            "collective",
            "dtype",
            "algorithm",
            "ranks",
            "domains",
            "size_bytes",
            "ratio",
            "fitted",
            "source",
        )
    )
    for p, r, name in zip(every, ratio, by, strict=True):
        fitted = "yes" if is_fitted(p) else "no"
        rows.writerow(
            (
                p.system,
                p.collective,
                p.dtype,
                name,
                p.ranks,
                p.domains,
                p.size_bytes,
                f"{r:.4f}",
                fitted,
                p.source,
            )
        )
    return out.getvalue()


def main() -> None:
    """Write the calibration and its residuals."""
    every = points()
    base = calibration("measured")
    start = dict(BETWEEN)
    for generation in GENERATIONS:
        start |= generation.start()
    values = fit_all(every, start, base)
    known = with_sources(calibration_of(values, base), every)
    head = "# Made by python -m tools.evidence; what is stated, not fitted, is HELD in its fit.py.\n"
    write_file(
        _PACKAGE / "costing" / "calibrations" / "measured.calibration.yaml",
        head + calibration_text(known),
        force=True,
    )
    text = residual_rows(every, values, base)
    write_file(_PACKAGE / "evidence" / "data" / "measured.residuals.csv", text, force=True)


if __name__ == "__main__":
    main()
