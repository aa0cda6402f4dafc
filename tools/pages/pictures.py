"""Predicted against measured times as a picture, one circle for every point, by size.

Its title says how many lie near, and by how much the middle one is off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from statistics import median
from textwrap import shorten

from fabric.evidence.residuals import BANDS, band_of

_COLOURS = ("#4477aa", "#228833", "#ccbb44", "#ee6677")
"""Of the bands of sizes, from the smallest: Tol's bright scheme, apart for all eyes."""
_NAMES = (*(name for _, name in BANDS), "above 64 MiB")
_SIDE, _LEFT, _TOP = 320, 60, 58
_NEAR = 0.2
"""Part of the measured time that is shaded round it."""
_MOST = 72
"""Letters of a title that the width holds."""


def picture(title: str, points: Sequence[tuple[float, float, int]]) -> str:
    """Return a picture as SVG: measured time to the right, predicted upwards, both by decades.

    Parameters
    ----------
    title : str
        Where the runs are from.
    points : sequence of (float, float, int)
        Measured and predicted time [s], and the size [B].
    """
    times = [t for measured, predicted, _ in points for t in (measured, predicted)]
    first = math.floor(math.log10(min(times)))
    last = max(math.ceil(math.log10(max(times))), first + 1)
    return "\n".join(_lines(title, points, first, last)) + "\n"


def _lines(title: str, points: Sequence[tuple[float, float, int]], first: int, last: int) -> Iterator[str]:
    def at(time_s: float) -> float:
        return _SIDE * (math.log10(time_s) - first) / (last - first)

    bottom, right = _TOP + _SIDE, _LEFT + _SIDE
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right + 130} {bottom + 44}" '
        'font-family="sans-serif" font-size="11">'
    )
    finding = _finding(points)
    yield f"<title>{escape(finding)}: {escape(title)}</title>"
    yield '<rect width="100%" height="100%" fill="#fff"/>'
    source = escape(shorten(title, _MOST, placeholder=" ..."))
    yield f'<text x="10" y="17" font-size="12" font-weight="bold">{escape(finding)}</text>'
    yield f'<text x="10" y="33" fill="#555">{source}</text>'
    above, below = at(10.0**first * (1 + _NEAR)), at(10.0**first / (1 - _NEAR))
    edge = f"V{bottom - above:.1f}L{right - above:.1f} {_TOP}H{right}V{_TOP + below:.1f}"
    yield f'<path d="M{_LEFT} {bottom}{edge}L{_LEFT + below:.1f} {bottom}Z" fill="#eee"/>'
    for power in range(first, last + 1):
        x, y = _LEFT + at(10.0**power), bottom - at(10.0**power)
        yield f'<path d="M{x:.1f} {_TOP}V{bottom}M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{_shown(power)}</text>'
        yield f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_shown(power)}</text>'
    yield f'<path d="M{_LEFT} {bottom}L{right} {_TOP}" stroke="#888"/>'
    yield f'<text x="{_LEFT + _SIDE // 2}" y="{bottom + 34}" text-anchor="middle">Measured time</text>'
    yield f'<text x="10" y="{_TOP - 8}">Predicted time, by a fit that does not know the run</text>'
    under = _TOP + 20 + 18 * len(_NAMES) + 4
    yield f'<text x="{right + 8}" y="{under}">shaded: within {100 * _NEAR:g} %</text>'
    for i, (name, colour) in enumerate(zip(_NAMES, _COLOURS, strict=True)):
        own = [p for p in points if band_of(p[2]) == name]
        y = _TOP + 20 + 18 * i
        yield f'<g fill="{colour}"><circle cx="{right + 14}" cy="{y}" r="4"/>'
        for measured, predicted, _ in own:
            yield f'<circle cx="{_LEFT + at(measured):.1f}" cy="{bottom - at(predicted):.1f}" r="2.5"/>'
        yield f'</g><text x="{right + 24}" y="{y + 4}">{name}</text>'
    yield "</svg>"


def _finding(points: Sequence[tuple[float, float, int]]) -> str:
    """Return how many predictions are near, and how far the middle one is off.

    Examples
    --------
    >>> _finding([(1.0, 1.1, 8), (1.0, 0.9, 8), (1.0, 1.3, 8)])
    '2 of 3 predicted within 20 %; the median is 10 % too long'
    >>> _finding([(1.0, 1.001, 8)])
    '1 of 1 predicted within 20 %; the median is 0.1 % too long'
    """
    off = [predicted / measured - 1 for measured, predicted, _ in points]
    n_near, middle = sum(abs(part) <= _NEAR for part in off), median(off)
    much = f"{100 * abs(middle):.2g} % too {'long' if middle > 0 else 'short'}"
    return f"{n_near:,} of {len(off):,} predicted within {100 * _NEAR:g} %; the median is {much}"


def _shown(power: int) -> str:
    """Return a power of ten of seconds, in words."""
    unit, scale = next((u, s) for u, s in (("us", -6), ("ms", -3), ("s", 0)) if power < s + 3 or u == "s")
    return f"{10.0 ** (power - scale):g} {unit}"
