"""The heat map of a job: what each dimension sends in a step, by where it turns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fabric.reporting.sheet import COLOURS, GRID, INK, SOFT, put_box, put_text, put_title, sheet, svg, wrap
from fabric.units import format_gbytes, format_time
from fabric.workload.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEFT, _CELL_WIDTH, _CELL_HEIGHT, _FOOT = 1.25, 1.35, 0.42, 0.85
# What leaves the scale-up domain: as light as the orange of networks, so that letters are read on it.
_LEAVES = "#dd3322"
# The palest colour that is told from white, and the darkest that black letters are read on.
_PALEST, _DARKEST = 0.12, 0.7


def heat_map(training: Training) -> str:
    """Draw what a GPU sends in a step, a row a dimension and a column a place where bytes turn.

    Parameters
    ----------
    training : Training

    Returns
    -------
    str
        SVG. Its numbers are those of `Training.turned`; red is what leaves the scale-up domain, and darker
        is more, on a log scale.
    """
    return svg(lambda: heat_figure(training), heat_title(training))


def heat_title(training: Training) -> str:
    """Return the finding of the map in one sentence.

    Parameters
    ----------
    training : Training
    """
    every = sum(cell.n_bytes for cell in training.turned)
    out = sum(cell.n_bytes for cell in training.turned if not cell.is_inside)
    if not every:
        return f"{training.job}: a GPU sends nothing"
    return (
        f"{training.job}: of {format_gbytes(every)} that a GPU sends in a step of "
        f"{format_time(training.step_s)}, {format_gbytes(out)} ({100 * out / every:.3g} %) leave the "
        "scale-up domain"
    )


def heat_figure(training: Training) -> Figure:
    """Return the figure of `heat_map`; call it with the settings of `svg` in force."""
    places = list(dict.fromkeys(cell.place for cell in training.turned))
    groups = [row.group for row in training.dimensions]
    width = max(_LEFT + _CELL_WIDTH * len(places) + 0.3, 7.0)
    title = wrap(heat_title(training).split(), width - 0.4, 12, "bold")
    height = 0.24 * len(title) + 0.75 + _CELL_HEIGHT * len(groups) + _FOOT
    figure, axes = sheet(width, height)
    put_title(axes, title, height)
    top = height - 0.24 * len(title) - 0.75
    inside = {cell.place for cell in training.turned if cell.is_inside}
    sent = {(cell.group, cell.place): cell.n_bytes for cell in training.turned}
    most = max(sent.values(), default=1.0)
    for column, place in enumerate(places):
        middle = _LEFT + _CELL_WIDTH * (column + 0.5)
        colour = COLOURS["scale-up"] if place in inside else _LEAVES
        put_text(axes, middle, top + 0.18, place, ha="center", color=colour, fontweight="bold")
    for i, group in enumerate(groups):
        y = top - _CELL_HEIGHT * (i + 1)
        n = training.dimensions[i].n_ranks
        put_text(axes, _LEFT - 0.15, y + _CELL_HEIGHT / 2, f"{group}, {n:,} ranks", ha="right")
        for column, place in enumerate(places):
            n_bytes = sent.get((group, place), 0.0)
            style: dict[str, object] = {"facecolor": "white", "edgecolor": GRID, "lw": 0.8}
            if n_bytes:
                style["facecolor"] = COLOURS["scale-up"] if place in inside else _LEAVES
                style["alpha"] = _shade(n_bytes, most)
            put_box(axes, _LEFT + _CELL_WIDTH * column, y, _CELL_WIDTH, _CELL_HEIGHT, **style)
            text = format_gbytes(n_bytes) if n_bytes else "0"
            colour = INK if n_bytes else SOFT
            middle = _LEFT + _CELL_WIDTH * (column + 0.5)
            put_text(axes, middle, y + _CELL_HEIGHT / 2, text, ha="center", color=colour)
    put_text(
        axes, 0.2, 0.5, "Bytes that a GPU sends in a step, by the switches at which they turn.", color=SOFT
    )
    put_text(axes, 0.2, 0.28, "Blue stays in the scale-up domain, red leaves it; darker is more.", color=SOFT)
    return figure


def _shade(n_bytes: float, most: float) -> float:
    """Return how dark a cell is: a decade below the most is a quarter of the way to white."""
    return max(_PALEST, _DARKEST * (1 + math.log10(n_bytes / most) / 4))
