"""Points and lines over two axes, of which each says what it is: sizes, designs, segments, time.

::

    title, one or two lines
    o what a mark is    s what another is
    what goes up, unit and direction
    100 |-----------------------
     50 |-----------------------
      0 |-----------------------
        72      576     4,608
        what goes across, unit
    note
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fabric.reporting.chart import PALETTE, WIDTH, ticks
from fabric.reporting.sheet import (
    GRID,
    INK,
    NOTE_PITCH,
    SOFT,
    put_line,
    put_notes,
    put_text,
    put_title,
    sheet,
    text_width,
    wrap,
    wrap_notes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _HIGH = 0.9, 0.4, 2.6
_MARKS = "osD^vP*X"


class PlotAxis(NamedTuple):
    """An axis: what is on it with its unit, its ends, the values with their numbers, and if it is log."""

    label: str
    least: float
    most: float
    ticks: Sequence[tuple[float, str]]
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return where a value is, 0 at one end and 1 at the other."""
        least, most = (math.log(self.least), math.log(self.most)) if self.is_log else (self.least, self.most)
        at = math.log(value) if self.is_log else value
        return (at - least) / ((most - least) or 1.0)


def linear(label: str, least: float, most: float, tick: str = "{:,.12g}") -> PlotAxis:
    """Return a linear axis with round numbers on it."""
    return PlotAxis(label, least, most, [(value, tick.format(value)) for value in ticks(least, most)])


@dataclass(frozen=True, slots=True)
class Plot:
    """A sheet with two axes.

    Parameters
    ----------
    figure : Figure
    axes : Axes
    left, bottom, right, top : float
        Edges of what is drawn on [inches].
    across, up : PlotAxis
    """

    figure: Figure
    axes: Axes
    left: float
    bottom: float
    right: float
    top: float
    across: PlotAxis
    up: PlotAxis

    def x(self, value: float) -> float:
        """Return the place of a value across [inches]."""
        return self.left + (self.right - self.left) * self.across.place(value)

    def y(self, value: float) -> float:
        """Return the place of a value upwards [inches]."""
        return self.bottom + (self.top - self.bottom) * self.up.place(value)

    def line(self, points: Sequence[tuple[float, float]], **style: object) -> None:
        """Draw a line through values."""
        put_line(self.axes, [self.x(one) for one, _ in points], [self.y(two) for _, two in points], **style)

    def mark(self, across: float, up: float, kind: int, size: float = 6.5) -> None:
        """Draw the mark of a kind at two values."""
        _put_mark(self.axes, self.x(across), self.y(up), kind, size)


def plot(
    title: str, across: PlotAxis, up: PlotAxis, *, note: str, legend: Sequence[str] = (), room: float = 0.0
) -> Plot:
    """Return two axes with nothing on them yet.

    Parameters
    ----------
    title : str
        The finding.
    across, up : PlotAxis
    note : str
        Below them.
    legend : sequence of str
        What the mark of each kind stands for, in the order of kinds.
    room : float
        What is kept free right of them [inches].
    """
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    small = wrap_notes([note], WIDTH)
    places = _legend_places(legend)
    rows = 1 + max((row for _, row in places), default=-1)
    bottom = 0.66 + NOTE_PITCH * len(small)
    top = bottom + _HIGH
    height = top + 0.34 + 0.22 * rows + 0.2 + 0.24 * len(lines)
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)
    made = Plot(figure, axes, _LEFT, bottom, WIDTH - _RIGHT - room, top, across, up)
    for kind, (left, row) in enumerate(places):
        at = top + 0.42 + 0.22 * (rows - 1 - row)
        _put_mark(axes, left + 0.1, at, kind, 6.5)
        put_text(axes, left + 0.25, at, legend[kind])
    put_text(axes, 0.2, top + 0.18, up.label)
    put_text(axes, _LEFT, bottom - 0.38, across.label)
    _put_grid(made)
    put_notes(axes, small, bottom - 0.62)
    return made


def _legend_places(legend: Sequence[str]) -> list[tuple[float, int]]:
    """Return for each name where it begins [inches] and on which line it stands."""
    places, left, row = list[tuple[float, int]](), 0.2, 0
    for name in legend:
        wide = 0.55 + text_width(name, 8.5)
        if left + wide > WIDTH - 0.2 and left > 0.2:
            left, row = 0.2, row + 1
        places.append((left, row))
        left += wide
    return places


def _put_grid(made: Plot) -> None:
    """Draw a line for each number upwards and a stroke for each across; numbers do not touch."""
    axes = made.axes
    for value, shown in made.up.ticks:
        y = made.y(value)
        put_line(axes, [made.left, made.right], [y, y], color=GRID, lw=0.8, zorder=0)
        put_text(axes, made.left - 0.08, y, shown, fontsize=8, color=SOFT, ha="right")
    free = math.inf
    # From the last one, which is the whole.
    for value, shown in sorted(made.across.ticks, reverse=True):
        x, half = made.x(value), 0.5 * text_width(shown, 8)
        put_line(axes, [x, x], [made.bottom - 0.05, made.bottom], color=SOFT, lw=0.8)
        if x + half < free:
            put_text(axes, x, made.bottom - 0.16, shown, fontsize=8, color=SOFT, ha="center")
            free = x - half - 0.06


def _put_mark(axes: Axes, x: float, y: float, kind: int, size: float) -> None:
    sign, colour = _MARKS[kind % len(_MARKS)], PALETTE[kind % len(PALETTE)]
    axes.plot([x], [y], marker=sign, ms=size, color=colour, mec="white", zorder=3)


def put_dotted(made: Plot, across: float, words: Sequence[str]) -> None:
    """Draw a dotted line up from a value, with words beside its upper end."""
    x = made.x(across)
    put_line(made.axes, [x, x], [made.bottom, made.top], color=INK, lw=0.9, ls=(0, (1, 2)))
    for i, line in enumerate(words):
        put_text(made.axes, x + 0.05, made.top - 0.06 - 0.13 * i, line, fontsize=7, color=SOFT)
