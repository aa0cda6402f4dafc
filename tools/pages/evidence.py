"""The page's part on the evidence: every measured run beside a prediction that did not know it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fabric.costing import calibration
from fabric.evidence import points, sources, token_points
from fabric.evidence.residuals import BANDS, band_of
from fabric.schedule.algorithms import busbw_factor
from fabric.text.markdown import table
from fabric.units import format_bytes
from tools.evidence.held import batches, coverage, demands, is_judged, residual_rows
from tools.evidence.tokens import predicted
from tools.pages.pictures import picture

_INTRO = """\
## Measured runs, each against a fit that did not know it

{n:,} points of {runs} runs, of which {between} are between domains ({simulated} more are of a
simulator's table, and judge nothing), are the [evidence](../fabric/evidence/data/points.csv) that the
calibration `measured` is fitted to (`python -m tools.evidence`). A run is one system, number of GPUs,
collective and type, over its sizes. Ratios are predicted over measured time: of each band of sizes the
median, and the lowest and the highest in brackets. A run is predicted by a fit to the runs of the other nine
tenths; where it says so by one to all other sites, which is held to half as much again. Of the interval that
is stated for 80 %, made from all other sites, {inside:.0f} % of all points and {of_curves:.0f} % of a curve
lie inside (`python -m tools.evidence.held` prints what is asked and what is reached).

| what | points | within | of them | where the generation remains | within | of them |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
{bands}

Side by side: all-reduce of 1 GiB on 96 H100, measured {measured:.1f} GB/s; by a fit that did not know the run
{ours:.1f}; AIConfigurator 0.12 says 49.4.

### Predicted before they were known

Points looked up outside the repository, predicted first (`python -m tools.evidence.blind`) and added to the
evidence afterwards, the last batch not yet; the interval is that of the day. Between two batches the fit came
to know the one before, and from the second on an interval tells how sites differ.

{told}

### Tokens of a mixture of experts

One launch, one part of the wire rate and one number of ranks, fitted to all of these.

{tokens}
"""
_NAMES = (*(name for _, name in BANDS), "above 64 MiB")


def evidence_section() -> str:
    """Return the section as Markdown: how near all are, a table for every source, and the misses."""
    rows = residual_rows()
    runs: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for point, row in zip(points(), rows, strict=True):
        runs.setdefault((row["source"], *point.curve), []).append(row)
    covered = coverage()
    several = [of_run[0] for of_run in runs.values() if int(of_run[0]["domains"]) > 1]
    place = next(
        i for i, p in enumerate(points()) if (p.source, p.ranks, p.size_bytes) == ("coreweave", 96, 1 << 30)
    )
    nodes = points()[place]
    busbw = busbw_factor("all-reduce", 96) * nodes.size_bytes / nodes.time_s / 1e9
    intro = _INTRO.format(
        n=len(rows),
        runs=len(runs),
        between=sum(is_judged(row) for row in several),
        simulated=sum(not is_judged(row) for row in several),
        inside=100 * covered["points"],
        of_curves=100 * covered["curves"],
        told=_batches(),
        bands="\n".join(f"| {' | '.join(cells)} |" for cells in figures(rows)),
        measured=busbw,
        ours=busbw / float(rows[place]["ratio"]),
        tokens=_tokens(),
    )
    parts = [intro]
    for source in dict.fromkeys(p.source for p in points()):
        parts += ["", *_of_source(source, [r for key, r in runs.items() if key[0] == source])]
    return "\n".join(parts) + "\n"


def pictures() -> dict[str, str]:
    """Return a picture of every source, by its name: predicted against measured times, by size."""
    rows = list(zip(points(), residual_rows(), strict=True))
    return {
        source: picture(
            sources()[source].title,
            [(p.time_s, p.time_s * float(r["ratio"]), p.size_bytes) for p, r in rows if p.source == source],
        )
        for source in dict.fromkeys(p.source for p in points())
    }


def _tokens() -> str:
    rows = []
    for p in token_points():
        ours = predicted(calibration("measured"), p)
        cells = [
            p.system,
            str(p.ranks),
            p.way,
            f"{p.tokens:,}",
            f"{p.time_s * 1e6:,.1f}",
            f"{ours * 1e6:,.1f}",
        ]
        rows.append([*cells, f"{ours / p.time_s:.3f}"])
    return table(["system", ">GPUs", "way", ">tokens", ">measured us", ">ours us", ">ratio"], rows)


def figures(rows: Sequence[Mapping[str, str]]) -> Iterator[list[str]]:
    """Yield how many points of each band are within what it is held to, without the run and the site."""
    known = list(demands(rows))
    for run, site in zip(known[::2], known[1::2], strict=True):
        cells = [run.what]
        for d in (run, site):
            cells += [f"{d.n:,}", f"{100 * d.within:.3g} %", f"{100 * d.reached:.1f} %"]
        yield cells


def _batches() -> str:
    """Return how near predictions came to points that nothing was fitted to yet, by batch and run."""
    cells = []
    for batch, told in batches().items():
        for run in dict.fromkeys((b.system, b.collective) for b in told):
            own = [b for b in told if (b.system, b.collective) == run]
            inside = f"{sum(b.is_inside for b in own)} of {len(own)}"
            cells.append([batch, *run, _shown([b.ratio for b in own]), inside])
    return table([">batch", "run", "collective", ">predicted over measured", ">inside"], cells)


def _of_source(source: str, runs: Sequence[Sequence[Mapping[str, str]]]) -> Iterator[str]:
    """Yield the table of one source, and the points that are off by more than a third."""
    said = sources()[source]
    yield f"### {said.title}"
    yield ""
    yield ", ".join(filter(None, [said.url, said.licence, said.note])) + "."
    yield ""
    yield f"![predicted against measured times](accuracy/{source}.svg)"
    yield ""
    cells, missed = [], []
    above = _NAMES[-1]
    for run in runs:
        first = run[0]
        row = [first["system"], first["ranks"], first["collective"], first["dtype"]]
        for band in _NAMES:
            row.append(_shown([float(r["ratio"]) for r in run if band_of(int(r["size_bytes"])) == band]))
        row.append(_shown([float(r["ratio_site"]) for r in run if band_of(int(r["size_bytes"])) == above]))
        cells.append([*row, first["fitted"]])
        missed += [r for r in run if not 0.75 <= float(r["ratio"]) <= 4 / 3]
    head = ["run", ">GPUs", "collective", "type", *(f">{name}" for name in _NAMES)]
    head += [f">{above}, without the site", "fitted"]
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
