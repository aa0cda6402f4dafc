"""A sheet to draw on in inches from the bottom left, and its SVG text.

The only module that imports matplotlib, and only when something is drawn or measured. The text is the same on
every run: no date, ids from a fixed salt, no setting of the user's, text as text. The background is opaque
white, so that nothing vanishes in dark mode; colours are those of Okabe and Ito, darkened, so that every kind
of colour vision tells them apart, and what they mean is also said in words.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fabric.errors import ExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTE_PITCH = 0.15
"""From line to line of the notes below a picture [inches]."""
COLOURS = {"scale-up": "#0072b2", "host": "#7a5c99", "scale-out": "#c44e00"}
INK, SOFT, PALE, GRID = "#1a1a1a", "#595959", "#8c8c8c", "#e0e0e0"
_SETTINGS: dict[str, object] = {
    "font.family": "sans-serif",
    # Verdana is as wide as DejaVu Sans, by which the text is measured; others are narrower.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "svg.fonttype": "none",
    "svg.hashsalt": "fabtopo",
}


def require_pen() -> None:
    """Raise if there is nothing to draw with.

    Raises
    ------
    ExtraError
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        msg = "a report needs matplotlib, which is not installed here; run: pip install 'fabtopo[report]'"
        raise ExtraError(msg)


def svg(draw: Callable[[], Figure], title: str) -> str:
    """Return what `draw` draws as SVG text; `draw` runs with the settings of every figure in force."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)  # type: ignore[arg-type]
        sink = io.StringIO()
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": title}
        draw().savefig(sink, format="svg", metadata=metadata)
    return sink.getvalue()


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty white sheet of `width` and `height` [inches]."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=72, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


@lru_cache(maxsize=4096)  # the same labels are measured in every picture
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text [inches]."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def put_text(axes: Axes, x: float, y: float, text: str, **style: object) -> None:
    """Write `text`, its left end and its middle at the given place [inches]."""
    style = {"fontsize": 8.5, "color": INK, "va": "center", "ha": "left", **style}
    axes.text(x, y, text, parse_math=False, **style)  # type: ignore[arg-type]


def put_box(axes: Axes, x: float, y: float, width: float, height: float, **style: object) -> None:
    """Draw a rectangle from its lower left corner."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), width, height, **style))  # type: ignore[arg-type]


def put_row(
    axes: Axes,
    corner: tuple[float, float],
    box: tuple[float, float],
    n: int,
    pitch: float,
    **style: object,
) -> None:
    """Draw so many boxes of one width and height side by side, as one path, which is a fifth of the bytes."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (x, y), (width, height) = corner, box
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height), (0.0, 0.0)]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    points = [(x + pitch * k + dx, y + dy) for k in range(n) for dx, dy in corners]
    axes.add_patch(PathPatch(Path(points, codes * n), **style))


def put_line(axes: Axes, xs: Sequence[float], ys: Sequence[float], **style: object) -> None:
    """Draw a line through points."""
    axes.plot(xs, ys, solid_capstyle="butt", **style)  # type: ignore[arg-type]


def wrap(
    words: Sequence[str], width: float, size: float, weight: str = "normal", mark: str = " "
) -> list[str]:
    """Return lines of `words` that fit into `width`, a longer word on a line of its own.

    A number stays with its unit.
    """
    lines: list[str] = []
    for word in _with_units(words):
        longer = f"{lines[-1]}{mark}{word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _with_units(words: Sequence[str]) -> list[str]:
    """Return words of which a unit is part of the number before it."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1][-1:].isdigit() and word.rstrip(".,;:)") in _UNITS:
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


_UNITS = frozenset({"%", "GB/s", "TB/s", "GB", "MB", "TB", "KiB", "MiB", "GiB", "ms", "us", "s", "h", "d",
                    "days", "W", "kW", "MW", "m", "million", "billion", "Gb/s", "Tb/s", "U"})  # fmt: skip


def put_title(axes: Axes, title: Sequence[str], top: float) -> None:
    """Write the lines of a title below `top`."""
    for i, line in enumerate(title):
        put_text(axes, 0.2, top - 0.28 - 0.24 * i, line, fontsize=12, fontweight="bold")


def wrap_notes(notes: Sequence[str], width: float) -> list[str]:
    """Return the lines of the notes below a picture, each note beginning one."""
    return [line for note in notes for line in wrap(note.split(), width - 0.4, 7.5)]


def put_notes(axes: Axes, lines: Sequence[str], top: float) -> None:
    """Write the lines of `wrap_notes` from `top` down."""
    for i, line in enumerate(lines):
        put_text(axes, 0.2, top - NOTE_PITCH * i, line, fontsize=7.5, color=SOFT)
