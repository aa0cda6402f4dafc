"""Which algorithm is to be expected at which size of message and of group: a map, and its thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from fabric.costing import Cost
from fabric.reporting.answers import JobAnswers
from fabric.reporting.chart import PALETTE, WIDTH, clipped
from fabric.reporting.document import Picture
from fabric.reporting.sheet import (
    NOTE_PITCH,
    SOFT,
    put_box,
    put_notes,
    put_text,
    put_title,
    sheet,
    svg,
    wrap,
    wrap_notes,
)
from fabric.text.markdown import code, table
from fabric.text.words import number
from fabric.units import format_bytes, gbps_to_gbytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEFT, _PITCH = 2.1, 0.5


def _rows(job: JobAnswers) -> list[tuple[str, str, Sequence[Cost]]]:
    """Return what is costed over sizes: collectives of all ranks, then all-reduce of groups."""
    rows = [(name, f"{costs[0].n_ranks:,} ranks", costs) for name, costs in job.costs.items()]
    rows += [("all-reduce", f"{g.cost.n_ranks:,}: {g.what}", g.costs) for g in job.groups if g.over]
    return [row for row in rows if row[2][0].status != "cut off"]


def regimes(costs: Sequence[Cost]) -> Iterator[list[Cost]]:
    """Yield neighbouring sizes with one algorithm, protocol and class that binds."""
    for _, alike in groupby(costs, key=lambda c: (c.chosen.name, c.binding)):
        yield list(alike)


def map_title(job: JobAnswers) -> str:
    """Return from which size on which algorithm is expected of the first collective."""
    name, ranks, costs = _rows(job)[0]
    runs = [list(alike) for _, alike in groupby(costs, key=lambda c: c.chosen.algorithm)]
    first = runs[0][0].chosen.algorithm
    if len(runs) == 1:
        return f"{name.capitalize()} of {ranks} is by {first} at every size"
    later = [f"{run[0].chosen.algorithm} from {format_bytes(run[0].size_bytes)} on" for run in runs[1:]]
    return f"{name.capitalize()} of {ranks} is by {first}, and by {', '.join(later)}"


def algorithm_map(name: str, job: JobAnswers) -> Picture:
    """Return the picture of the expected algorithm and busbw of each size."""
    title = map_title(job)
    return Picture(name, title, svg(lambda: _figure(title, job), title))


def _figure(title: str, job: JobAnswers) -> Figure:
    rows = _rows(job)
    names = list(dict.fromkeys(c.chosen.algorithm for _, _, costs in rows for c in costs))
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    note = (
        "In each cell the expected algorithm with its protocol, and busbw [GB/s, one direction, as "
        "nccl-tests "
        "counts it]. Pale: more than half of the time goes to steps, so that latency counts more than "
        "bandwidth."
    )
    small = wrap_notes([note], WIDTH)
    foot = 0.56 + NOTE_PITCH * len(small)
    height = 0.24 * len(lines) + 0.34 + _PITCH * len(rows) + foot
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)
    sizes = [c.size_bytes for c in rows[0][2]]
    wide = (WIDTH - _LEFT - 0.2) / len(sizes)
    for i, (what, ranks, costs) in enumerate(rows):
        y = foot + _PITCH * (len(rows) - i - 0.5)
        put_text(axes, 0.2, y + 0.09, what, fontweight="bold", fontsize=9.5)
        put_text(axes, 0.2, y - 0.09, clipped(ranks, _LEFT - 0.25, 7.5), fontsize=7.5, color=SOFT)
        for k, cost in enumerate(costs):
            is_steps = 2 * cost.chosen.latency_s > cost.chosen.time_s
            colour = PALETTE[names.index(cost.chosen.algorithm) % len(PALETTE)]
            x = _LEFT + k * wide
            style = {"facecolor": "white" if is_steps else colour, "edgecolor": colour, "lw": 1.3}
            put_box(axes, x + 0.02, y - 0.2, wide - 0.04, 0.4, **style)
            ink = colour if is_steps else "white"
            told = clipped(cost.chosen.name.replace("Simple", "S"), wide - 0.08, 6.5)
            put_text(axes, x + wide / 2, y + 0.09, told, fontsize=6.5, color=ink, ha="center")
            busbw = number(gbps_to_gbytes(cost.busbw_gbps))
            put_text(
                axes, x + wide / 2, y - 0.08, busbw, fontsize=8, color=ink, ha="center", fontweight="bold"
            )
    for k, size in enumerate(sizes):
        x = _LEFT + (k + 0.5) * wide
        put_text(axes, x, foot - 0.12, format_bytes(size), fontsize=8, color=SOFT, ha="center")
    put_text(axes, 0.2, foot - 0.12, "Size of the buffer")
    put_notes(axes, small, foot - 0.48)
    return figure


def regime_table(job: JobAnswers) -> str:
    """Return one row for neighbouring sizes with the same algorithm and class that binds."""
    rows = []
    for what, _, costs in _rows(job):
        for run in regimes(costs):
            low, high = run[0], run[-1]
            rows.append(
                [
                    f"{what}, {costs[0].n_ranks:,} ranks",
                    _span(format_bytes(low.size_bytes), format_bytes(high.size_bytes)),
                    low.chosen.name + ("" if low.chosen.is_seen else " ?"),
                    _span(*(number(gbps_to_gbytes(c.busbw_gbps)) for c in (low, high))),
                    code(low.binding),
                ]
            )
    groups = [
        f"{g.cost.n_ranks:,} ranks: {g.what}, over {', '.join(map(code, g.over))}"
        for g in job.groups
        if g.over
    ]
    words = f"Groups run all at once; {'; '.join(groups)}." if groups else ""
    shown = table(["Collective", ">Sizes", "Algorithm", ">busbw [GB/s]", "Binds"], rows)
    return "\n\n".join(filter(None, [shown, words]))


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
