"""The segment curve: how much of the nodes segments of each size can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fabric.reporting.sheet import (
    COLOURS,
    GRID,
    INK,
    SOFT,
    put_line,
    put_text,
    put_title,
    sheet,
    svg,
    text_width,
    wrap,
)
from fabric.workload.placements import Placements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 8.0, 4.2
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.9, 7.6, 0.75, 2.9


def segment_curve(placements: Placements) -> str:
    """Draw what part of the nodes segments of each size can use, on average and now.

    Parameters
    ----------
    placements : Placements

    Returns
    -------
    str
        SVG. Its numbers are those of `Placements.curve`.
    """
    return svg(lambda: segment_figure(placements), segment_title(placements))


def segment_title(placements: Placements) -> str:
    """Return the finding of the curve in one sentence: the largest segment that loses least."""
    rows = [row for row in placements.curve if row.segment > 1]
    if not rows:
        return f"Blocks of {placements.fabric} have one node each"
    best = max(rows, key=lambda row: (row.expected, row.segment))
    worst = min(rows, key=lambda row: (row.expected, -row.segment))
    down = f"with {100 * placements.unavailability:.3g} % of nodes down"
    return (
        f"{placements.fabric} {down}: segments of {best.segment} nodes can use {100 * best.expected:.3g} %, "
        f"of {worst.segment} only {100 * worst.expected:.3g} %"
    )


def segment_figure(placements: Placements) -> Figure:
    """Return the figure of `segment_curve`; call it with the settings of `svg` in force."""
    figure, axes = sheet(_WIDTH, _HEIGHT)
    put_title(axes, wrap(segment_title(placements).split(), _WIDTH - 0.4, 12, "bold"), _HEIGHT)
    rows = placements.curve
    most = max(row.segment for row in rows)

    def x(segment: int) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (segment - 1) / max(most - 1, 1)

    def y(part: float) -> float:
        return _BOTTOM + (_TOP - _BOTTOM) * part

    for percent in range(0, 101, 20):
        put_line(axes, [_LEFT, _RIGHT], [y(percent / 100)] * 2, color=GRID, lw=0.8, zorder=0)
        put_text(axes, _LEFT - 0.1, y(percent / 100), f"{percent} %", fontsize=8, color=SOFT, ha="right")
    end = _RIGHT + 1.0
    for row in reversed(rows):
        # From the last one, so that the whole block has its number; one that would touch the next has none.
        half = 0.5 * text_width(str(row.segment), 8)
        if x(row.segment) + half < end:
            put_text(
                axes, x(row.segment), _BOTTOM - 0.16, f"{row.segment}", fontsize=8, color=SOFT, ha="center"
            )
            end = x(row.segment) - half - 0.06
    for name, colour, values, mark in (
        ("now", COLOURS["scale-out"], [row.now for row in rows], "s"),
        ("on average", COLOURS["scale-up"], [row.expected for row in rows], "o"),
    ):
        places = [x(row.segment) for row in rows], [y(value) for value in values]
        axes.plot(*places, color=colour, marker=mark, ms=3.5, lw=1.2, label=name)
    legend = [
        ("●", "scale-up", f"on average, {100 * placements.unavailability:.3g} % of nodes down"),
        ("■", "scale-out", f"now, {placements.n_up:,} of {placements.n_nodes:,} nodes up"),
    ]
    for i, (sign, colour, text) in enumerate(legend):
        put_text(axes, _LEFT + 3.4 * i, _TOP + 0.22, sign, color=COLOURS[colour], fontsize=9)
        put_text(axes, _LEFT + 0.2 + 3.4 * i, _TOP + 0.22, text, fontsize=8.5)
    put_text(
        axes,
        _LEFT,
        _BOTTOM - 0.42,
        "Nodes of a segment, which may not leave a block; usable of all nodes [%]",
        color=INK,
    )
    return figure
