"""Rows of bars on a linear axis from zero, which most pictures of a report are.

::

    title, one or two lines
    name            |=========            900 GB/s
    what it is      |
    name            |===                  100 GB/s
                    0    200   400
                    what is on the axis, unit and direction
    note
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fabric.reporting.sheet import (
    GRID,
    INK,
    NOTE_PITCH,
    SOFT,
    put_box,
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

WIDTH = 8.8
PALETTE = ("#0072b2", "#c44e00", "#00745a", "#7a5c99", "#8a6d00", "#a3325f", "#3f6f8f", "#595959")
"""Colours of kinds in a picture, in their order; what each is also stands in words."""
LEFT = 2.75
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Chart:
    """A sheet with a linear axis.

    Parameters
    ----------
    figure : Figure
    axes : Axes
    top, pitch : float
        Upper edge of the first row, and height of a row [inches].
    left, unit, least : float
        Place of `least` [inches], and inches for one unit.
    """

    figure: Figure
    axes: Axes
    top: float
    pitch: float
    left: float
    unit: float
    least: float

    def x(self, value: float) -> float:
        """Return the place of a value [inches]."""
        return self.left + self.unit * (value - self.least)

    def y(self, row: float) -> float:
        """Return the middle of a row [inches]."""
        return self.top - (row + 0.5) * self.pitch

    def name(self, row: float, name: str, detail: str = "", colour: str = SOFT) -> None:
        """Write what a row is, and below it what more there is to say."""
        y = self.y(row)
        up = 0.09 if detail else 0.0
        put_text(
            self.axes,
            0.2,
            y + up,
            clipped(name, self.left - 0.3, 9.5, "bold"),
            fontweight="bold",
            fontsize=9.5,
        )
        if detail:
            put_text(self.axes, 0.2, y - up, clipped(detail, self.left - 0.3, 8), fontsize=8, color=colour)

    def bar(self, row: float, begin: float, end: float, *, height: float = 0.0, **style: object) -> None:
        """Draw a bar from one value to another."""
        left, right = sorted((self.x(begin), self.x(end)))
        style = {"lw": 0, "facecolor": SOFT, **style}
        height = height or 0.54 * self.pitch
        put_box(self.axes, left, self.y(row) - height / 2, right - left, height, **style)

    def say(self, row: float, value: float, text: str, **style: object) -> None:
        """Write a text at the right end of what reaches to `value`, as far right as the sheet is wide."""
        clear = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.0}}
        wide = text_width(text, 8.5, str(style.get("fontweight", "normal")))
        at = min(self.x(value) + 0.08, WIDTH - 0.1 - wide)
        put_text(self.axes, at, self.y(row), text, **{**clear, **style})


def clipped(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Return a text that fits into `width` [inches], its end cut off if need be."""
    if text_width(text, size, weight) <= width:
        return text
    while text and text_width(f"{text}…", size, weight) > width:
        text = text[: max(len(text) - 2, 0)]
    return f"{text}…"


def chart(
    title: str,
    n_rows: int,
    *,
    span: tuple[float, float],
    label: str,
    notes: Sequence[str] = (),
    pitch: float = 0.42,
    left: float = LEFT,
    room: float = 1.9,
    tick: str = "{:,.12g}",
) -> Chart:
    """Return an empty chart.

    Parameters
    ----------
    title : str
        The finding.
    n_rows : int
    span : tuple of float
        Least and most value on the axis.
    label : str
        What is on the axis, its unit and direction.
    notes : sequence of str
        Below it.
    pitch, left, room : float
        Height of a row, where the axis begins, and what is kept free right of the most [inches].
    tick : str
        Format of a value on the axis.
    """
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    small = wrap_notes(notes, WIDTH)
    foot = 0.66 + NOTE_PITCH * len(small)
    height = 0.24 * len(lines) + 0.34 + pitch * n_rows + foot
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)
    least, most = span
    unit = (WIDTH - left - room) / max(most - least, 1e-12)
    made = Chart(figure, axes, foot + pitch * n_rows, pitch, left, unit, least)
    for value in ticks(least, most):
        x = made.x(value)
        put_line(
            axes,
            [x, x],
            [foot, made.top],
            color=INK if not value else GRID,
            lw=1.0 if not value else 0.8,
            zorder=0,
        )
        shown = tick.format(value)
        put_text(axes, x, foot - 0.13, shown, fontsize=8, color=SOFT, ha="center")
    put_text(axes, min(left, made.x(0) if least < 0 else left), foot - 0.36, label)
    put_notes(axes, small, foot - 0.62)
    return made


def ticks(least: float, most: float) -> list[float]:
    """Return round values from `least` to `most`, zero among them where it lies between.

    Examples
    --------
    >>> ticks(0, 900), ticks(-10, 10), ticks(0, 0.31)
    ([0.0, 200.0, 400.0, 600.0, 800.0], [-10.0, -5.0, 0.0, 5.0, 10.0], [0.0, 0.1, 0.2, 0.3])
    """
    wide = max(most - least, 1e-12)
    power = 10.0 ** math.floor(math.log10(wide / _MOST_TICKS))
    step = next(s * power for s in (1, 2, 5, 10) if wide / (s * power) <= _MOST_TICKS)
    first = math.ceil(least / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(most / step + 1e-9) + 1)]
