"""Small pictures of answers, as SVG in the page: no script, no font, the colours of the page around them."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fabric.errors import printable

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8a8a8a"
"""Of Okabe and Ito's palette, which colour-blind people tell apart."""

_WIDTH, _ROW, _LABEL, _CHAR, _SHOWN = 640, 22, 22, 6.8, 130
_AXES = (64, 16, 40, 44)
"""Room left, right, below and above the field of a curve."""

_HEIGHT = 240
_MOST = 24
"""Bars that are drawn."""


class ChartBar(NamedTuple):
    """A bar: what it is of, how long, what is written at its end, and whether the answer is about it."""

    label: str
    value: float
    shown: str
    is_marked: bool = False


def bars(title: str, rows: Sequence[ChartBar]) -> str:
    """Return bars beneath a title that says what was found; an empty text where there is nothing to draw.

    Parameters
    ----------
    title : str
    rows : sequence of ChartBar
        Values not negative; what is infinite is as long as nothing. The first 24 are drawn.

    Examples
    --------
    >>> bars("nothing", [])
    ''
    >>> rows = [ChartBar("b", 2.0, "2 Gb/s", is_marked=True), ChartBar("c", 1.0, "1 Gb/s")]
    >>> bars("b has twice what c has", rows).count("<rect")
    2
    """
    if not rows:
        return ""
    drawn = rows[:_MOST]
    most = max((bar.value for bar in drawn if math.isfinite(bar.value)), default=0) or 1
    room = min(_LABEL, max(len(bar.label) for bar in drawn)) * _CHAR + 8
    length = _WIDTH - room - _SHOWN
    parts = []
    for i, bar in enumerate(drawn):
        y = 30 + i * _ROW
        wide = max(length * bar.value / most if math.isfinite(bar.value) else 0, 0.5)
        colour = ORANGE if bar.is_marked else BLUE
        label = bar.label if len(bar.label) <= _LABEL else f"{bar.label[: _LABEL - 1]}…"
        parts += [
            _text(room - 6, y + 14, label, "end"),
            f'<rect x="{room:.1f}" y="{y + 3}" width="{wide:.1f}" height="{_ROW - 6}" fill="{colour}"/>',
            _text(room + wide + 6, y + 14, bar.shown),
        ]
    if len(rows) > _MOST:
        parts.append(_text(room, 30 + len(drawn) * _ROW + 14, f"and {len(rows) - _MOST} more"))
    return _svg(title, 36 + (len(drawn) + (len(rows) > _MOST)) * _ROW, parts)


def curve(title: str, unit: str, places: Sequence[str], lines: Mapping[str, Sequence[float | None]]) -> str:
    """Return lines over places that are evenly spaced, such as sizes that double; from zero up.

    Parameters
    ----------
    title : str
    unit : str
        Of all lines.
    places : sequence of str
        What stands beneath each place.
    lines : mapping of str to sequence of float
        Values of each line, by its name; None where there is none.

    Examples
    --------
    >>> curve("busbw by size", "GB/s", ["1 KiB", "2 KiB"], {"expected": [1.0, 2.0]}).count("<polyline")
    1
    """
    known = [v for values in lines.values() for v in values if v is not None and math.isfinite(v)]
    if len(places) < 2 or not known:
        return ""
    left, right, below, above = _AXES
    most = _round_up(max(known))
    wide, high = _WIDTH - left - right, _HEIGHT - below - above
    xs = [left + wide * i / (len(places) - 1) for i in range(len(places))]
    parts = []
    for part in range(5):
        y = above + high * (1 - part / 4)
        parts.append(f'<path d="M{left} {y:.1f}H{_WIDTH - right}" stroke="{GREY}" stroke-width="0.5"/>')
        parts.append(_text(left - 6, y + 4, f"{most * part / 4:g}", "end"))
    step = math.ceil(len(places) / 7)
    parts += [_text(xs[i], _HEIGHT - below + 16, places[i], "middle") for i in range(0, len(places), step)]
    parts.append(_text(left, above - 6, unit, "end"))
    for (name, values), colour in zip(lines.items(), (BLUE, ORANGE, GREY), strict=False):
        for run in _runs(xs, values):
            points = " ".join(f"{x:.1f},{above + high * (1 - v / most):.1f}" for x, v in run)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last = next((i for i in range(len(values) - 1, -1, -1) if values[i] is not None), None)
        if last is not None:
            y = above + high * (1 - (values[last] or 0) / most)
            parts.append(_text(xs[last] - 4, y - 6, name, "end", colour))
    return _svg(title, _HEIGHT, parts)


def _runs(xs: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((x, value))
    return [run for run in runs if run]


def _round_up(value: float) -> float:
    """Return the next round number, of which a quarter is round too.

    Examples
    --------
    >>> _round_up(371.0), _round_up(0.9), _round_up(12.0)
    (400.0, 1.0, 20.0)
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(power * step for step in (1, 2, 4, 8, 10) if value <= power * step * (1 + 1e-12)))


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "currentColor") -> str:
    words = html.escape(printable(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    words = html.escape(printable(title))
    style = "max-width:100%;font:12px sans-serif"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" '
    name = f'<title>{words}</title><text x="0" y="15" fill="currentColor" font-weight="bold">{words}</text>'
    return f'{head}role="img" style="{style}">{name}{"".join(parts)}</svg>'
