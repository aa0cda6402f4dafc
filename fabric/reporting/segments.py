"""The segment curve: how much of the nodes segments of each size can use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fabric.reporting.chart import PALETTE
from fabric.reporting.plot import PlotAxis, linear, plot
from fabric.reporting.sheet import svg
from fabric.workload.placements import Placements

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    title = (
        f"{placements.fabric} {down}: segments of {best.segment} nodes can use {100 * best.expected:.3g} %"
    )
    # One size is no comparison, nor are sizes that lose as much.
    if worst.expected == best.expected:
        return title
    return f"{title}, of {worst.segment} only {100 * worst.expected:.3g} %"


def segment_figure(placements: Placements) -> Figure:
    """Return the figure of `segment_curve`; call it with the settings of `svg` in force."""
    rows = placements.curve
    most = max(row.segment for row in rows)
    made = plot(
        segment_title(placements),
        PlotAxis("Nodes of a segment", 1, most, [(row.segment, str(row.segment)) for row in rows]),
        linear("Part of all nodes that segments can use [%]", 0.0, 100.0),
        note="A segment may not leave a block. On average: nodes are down for that part of the time, each by "
        "itself.",
        legend=[
            f"on average, {100 * placements.unavailability:.3g} % of nodes down",
            f"now, {placements.n_up:,} of {placements.n_nodes:,} nodes up",
        ],
    )
    # The average last, so that it is seen where both are one.
    for kind, values in ((1, [row.now for row in rows]), (0, [row.expected for row in rows])):
        points = [(row.segment, 100 * value) for row, value in zip(rows, values, strict=True)]
        made.line(points, color=PALETTE[kind], lw=1.2)
        for point in points:
            made.mark(*point, kind, 4.5)
    return made.figure
