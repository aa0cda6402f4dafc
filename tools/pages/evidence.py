"""The page's part on the evidence: every measured run beside a prediction that did not know it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

import numpy as np

from fabric.evidence import points, sources
from fabric.evidence.residuals import BANDS, band_of, residual_class, residuals
from fabric.text.markdown import table
from fabric.units import format_bytes

_INTRO = """\
## Measured runs, each against a fit that did not know it

{n:,} points of {runs} runs, of which {between} are between domains, are the
[evidence](../fabric/evidence/data/points.csv) that the calibration `measured` is fitted to
(`python -m tools.evidence`). Ratios are predicted over measured time: of each band of sizes the median, and
the lowest and the highest in brackets. A run is predicted by a fit to the runs of the other four fifths.
 {inside:.0f} % of all points lie inside the interval that is stated for 80 %.

| what | points | within | of them |
| --- | ---: | ---: | ---: |
{bands}

Side by side: all-reduce of 1 GiB on 96 H100, measured 365.9 GB/s; ours stands under *Several nodes* above;
AIConfigurator 0.12 says 49.4."""
_NAMES = (*(name for _, name in BANDS), "above 64 MiB")


def evidence_section() -> str:
    """Return the section as Markdown: how near all are, a table for every source, and the misses."""
    text = (resources.files("fabric.evidence") / "data" / "measured.residuals.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    runs: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in rows:
        runs.setdefault(
            (row["source"], row["system"], row["collective"], row["dtype"], row["ranks"]), []
        ).append(row)
    known = residuals("measured")
    inside = np.mean(
        [
            (found := residual_class(known, r.collective, r.algorithm, r.size_bytes, r.domains)) is not None
            and found.low <= r.ratio <= found.high
            for r in known
        ]
    )
    between = sum(int(of_run[0]["domains"]) > 1 for of_run in runs.values())
    bands = "\n".join(f"| {' | '.join(cells)} |" for cells in _bands(rows))
    intro = _INTRO.format(n=len(rows), runs=len(runs), between=between, inside=100 * inside, bands=bands)
    parts = [intro]
    for source in dict.fromkeys(p.source for p in points()):
        parts += ["", *_of_source(source, [r for key, r in runs.items() if key[0] == source])]
    return "\n".join(parts) + "\n"


def _bands(rows: Sequence[Mapping[str, str]]) -> Iterator[list[str]]:
    """Yield how many points of each band are within what it is held to."""
    one = [r for r in rows if r["domains"] == "1"]
    mib = 1 << 20
    chosen = (
        ("one domain, 128 MiB and above", 0.10, [r for r in one if int(r["size_bytes"]) >= 128 * mib]),
        ("one domain, 1 to 64 MiB", 0.20, [r for r in one if mib <= int(r["size_bytes"]) <= 64 * mib]),
        ("one domain, up to 64 KiB", 0.25, [r for r in one if int(r["size_bytes"]) <= 65536]),
        (
            "several domains, above 64 MiB",
            0.15,
            [r for r in rows if r["domains"] != "1" and int(r["size_bytes"]) > 64 * mib],
        ),
    )
    for name, within, of_band in chosen:
        near = np.mean([abs(float(r["ratio"]) - 1) <= within for r in of_band])
        yield [name, f"{len(of_band):,}", f"{100 * within:.0f} %", f"{100 * near:.1f} %"]


def _of_source(source: str, runs: Sequence[Sequence[Mapping[str, str]]]) -> Iterator[str]:
    """Yield the table of one source, and the points that are off by more than a third."""
    said = sources()[source]
    yield f"### {said.title}"
    yield ""
    yield ", ".join(filter(None, [said.url, said.licence, said.note])) + "."
    yield ""
    cells, missed = [], []
    for run in runs:
        first = run[0]
        row = [first["system"], first["ranks"], first["collective"], first["dtype"]]
        for band in _NAMES:
            row.append(_shown([float(r["ratio"]) for r in run if band_of(int(r["size_bytes"])) == band]))
        cells.append([*row, first["fitted"]])
        missed += [r for r in run if not 0.75 <= float(r["ratio"]) <= 4 / 3]
    head = ["run", ">GPUs", "collective", "type", *(f">{name}" for name in _NAMES), "fitted"]
    yield table(head, cells)
    if missed:
        words = (
            f"{r['system']}, {r['collective']} of {format_bytes(int(r['size_bytes']))}: "
            f"{float(r['ratio']):.2f}"
            for r in missed
        )
        yield ""
        yield "Off by more than a third: " + "; ".join(words) + "."


def _shown(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    return f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
