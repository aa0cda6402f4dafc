"""The bandwidth staircase: what each endpoint has on each tier of the way out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fabric.reporting.sheet import (
    COLOURS,
    GRID,
    INK,
    PALE,
    SOFT,
    headed,
    put_box,
    put_line,
    put_text,
    sheet,
    wrapped,
)
from fabric.reporting.summary import LinkSummary, Summary
from fabric.reporting.ways import steps, ways
from fabric.text.words import counted, join_words, noun, ratio, span
from fabric.units import format_rate_gbit, gbps_to_gbytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 8.8
_PITCH = 0.56
_BARS_LEFT, _BARS_RIGHT, _RATIO = 2.75, 7.65, 7.85


def staircase_title(summary: Summary) -> str:
    """Return the finding of the staircase in one sentence.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
    """
    found = steps(summary)
    up = [one for one in found if one.net == "scale-up"]
    out = [one for one in found if one.net != "scale-up"]
    fabric = [one for one in out if one.net == "scale-out"]
    if not summary.n_endpoints:
        return f"{summary.name} has no endpoint: capacity of each tier as a whole"
    who = _endpoint(summary)
    if not found:
        return f"No link joins the {noun(who, 2)} of {summary.name}"
    if all(one.lower == one.upper for one in found):
        shares = [f"{_gbytes(one.per_endpoint_gbps)} of {one.name}" for one in found]
        total = _gbytes(sum(one.per_endpoint_gbps for one in found))
        whole = f", {total} in all" if len(found) > 1 else ""
        return f"Each {noun(who)} has {join_words(shares)}{whole}, with no switch between"
    if not fabric:
        return (
            f"Each {noun(who)} has {_gbytes(_least(up or out))} into its scale-up domain, and "
            "nothing leads out of it"
        )
    fabric = _onward(fabric)
    into = _least([*(one for one in out if one.net == "host"), fabric[0]])
    if not up:
        top = fabric[-1:]
        return (
            f"Each {noun(who)} has {_gbytes(into)} into the fabric and {_gbytes(_least(top))} at its top: "
            f"{ratio(into / _least(top))}"
        )
    inside = _least(up)
    text = f"Each {noun(who)} has {_gbytes(inside)} into its scale-up domain"
    text += f" and {_gbytes(into)} into the fabric: {ratio(inside / into)}"
    if _least(fabric) < 0.99 * into:
        text += f", then {_gbytes(_least(fabric))}"
    return text


def _endpoint(summary: Summary) -> str:
    names = [g.name for g in summary.groups if g.is_endpoint]
    return names[0] if len(names) == 1 else "endpoint"


def _least(links: Sequence[LinkSummary]) -> float:
    """Return what an endpoint has of the narrowest tier [Gb/s]: of all rules out of one group together."""
    found: dict[str, float] = {}
    for one in links:
        found[one.lower] = found.get(one.lower, 0.0) + one.per_endpoint_gbps
    return min(found.values())


def _onward(fabric: Sequence[LinkSummary]) -> list[LinkSummary]:
    """Return the first rule and those above it: a network beside them is another way out."""
    found, reached = [fabric[0]], {fabric[0].upper}
    for one in fabric[1:]:
        if one.lower in reached:
            found.append(one)
            reached.add(one.upper)
    return found


def _gbytes(gbps: float) -> str:
    return f"{gbps_to_gbytes(gbps):,.4g} GB/s"


def staircase_figure(summary: Summary) -> Figure:
    """Return the figure of `staircase`; call it with the settings of `_svg` in force."""
    roles = ways(summary)
    path = steps(summary)
    following = [i for i in range(1, len(path)) if _follows(path, i)]
    others = [one for one in summary.links if roles[one.name] != "step"]
    title = wrapped(staircase_title(summary).split(), _WIDTH - 0.4, 12, "bold")
    body = _PITCH * len(summary.links) + (0.34 if others else 0)
    foot = 0.92
    height = 0.24 * len(title) + 0.3 + body + foot
    figure, axes = sheet(_WIDTH, height)
    headed(axes, title, height)
    y = height - 0.24 * len(title) - 0.3
    place = _scale(axes, summary, (foot, y))
    for i, one in enumerate(path):
        _step(axes, summary, one, y - _PITCH / 2, place(_value(summary, one)))
        if i in following:
            if i == following[0]:
                put_text(axes, _RATIO - 0.12, y + _PITCH / 2 + 0.1, "Step to next", fontsize=8, color=SOFT)
            _ratio(axes, _value(summary, path[i - 1]), _value(summary, one), y + _PITCH / 2, y - _PITCH / 2)
        y -= _PITCH
    if others:
        y -= 0.34
        put_text(axes, 0.2, y + 0.14, "Off the shortest way out", fontsize=8.5, style="italic", color=SOFT)
        put_line(axes, (0.2, _WIDTH - 0.2), (y + 0.29, y + 0.29), color=PALE, lw=0.6)
    for one in others:
        note = "longer ways only" if roles[one.name] == "detour" else "no traffic between endpoints"
        _step(axes, summary, one, y - _PITCH / 2, place(_value(summary, one)), note)
        y -= _PITCH
    _foot(axes, summary)
    return figure


def _follows(path: Sequence[LinkSummary], i: int) -> bool:
    """Return whether rule `i` is the next step after the one before it, not another way beside it."""
    before, after = path[i - 1], path[i]
    if before.lower != after.lower:
        return before.upper == after.lower
    return (
        before.net != after.net
        and sum((one.lower, one.net) == (before.lower, before.net) for one in path) == 1
    )


def _value(summary: Summary, one: LinkSummary) -> float:
    return gbps_to_gbytes(one.per_endpoint_gbps if summary.n_endpoints else one.capacity_gbps)


def _scale(axes: Axes, summary: Summary, ends: tuple[float, float]) -> Callable[[float], float]:
    """Draw the axis and return the place of a value in GB/s on it."""
    values = [v for one in summary.links if (v := _value(summary, one)) > 0] or [1.0]
    low = 10.0 ** math.floor(math.log10(min(values) / 1.5))
    room = _BARS_RIGHT - _BARS_LEFT
    unit = (room - 1.75) / max(math.log10(max(values) / low), 1e-9)

    def place(value: float) -> float:
        return _BARS_LEFT + unit * math.log10(max(value, low) / low)

    bottom, top = ends
    for value in _ticks(low, max(values), unit):
        put_line(axes, [place(value)] * 2, [bottom, top], color=GRID, lw=0.8, zorder=0)
        put_text(axes, place(value), bottom - 0.13, f"{value:,.12g}", fontsize=8, color=SOFT, ha="center")
    put_line(axes, [_BARS_LEFT] * 2, [bottom, top], color=INK, lw=1.0)
    what = f"Capacity per {noun(_endpoint(summary))}" if summary.n_endpoints else "Capacity of the tier"
    put_text(axes, _BARS_LEFT, bottom - 0.36, f"{what}, one direction [GB/s, log scale]")
    return place


def _ticks(low: float, most: float, inches_per_decade: float) -> list[float]:
    """Return the values to mark from `low` to the first one that reaches `most`."""
    digits = (1, 2, 5) if inches_per_decade > 1.4 else (1,)
    skip = max(1, math.ceil(0.6 / inches_per_decade))
    decades = range(round(math.log10(low)), math.ceil(math.log10(most)) + skip, skip)
    values = [digit * 10.0**decade for decade in decades for digit in digits]
    return [v for i, v in enumerate(values) if i == 0 or values[i - 1] < most]


def _step(axes: Axes, summary: Summary, one: LinkSummary, y: float, end: float, note: str = "") -> None:
    """Draw one bar; a `note` says why it is no step of the way out."""
    is_step = not note
    colour = COLOURS[one.net] if is_step else PALE
    put_text(axes, 0.2, y + 0.09, one.name, fontweight="bold" if is_step else "normal", fontsize=9.5)
    detail = f"{one.net}: {span(one.per_lower)} × {format_rate_gbit(one.rate_gbps)} per {one.lower}"
    put_text(axes, 0.2, y - 0.09, detail, fontsize=8, color=colour if is_step else SOFT)
    put_box(
        axes, _BARS_LEFT, y - 0.15, end - _BARS_LEFT, 0.3, facecolor=colour if is_step else "#d9d9d9", lw=0
    )
    rate = one.per_endpoint_gbps if summary.n_endpoints else one.capacity_gbps
    value = f"{gbps_to_gbytes(rate):,.4g} GB/s ({format_rate_gbit(rate)})"
    clear = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.2}}
    if note:
        put_text(axes, end + 0.08, y + 0.08, value, color=SOFT, **clear)
        put_text(axes, end + 0.08, y - 0.09, note, fontsize=8, color=SOFT, style="italic", **clear)
    else:
        put_text(axes, end + 0.08, y, value, fontweight="bold", **clear)


def _ratio(axes: Axes, before: float, after: float, top: float, bottom: float) -> None:
    style = {"color": SOFT, "lw": 0.9}
    put_line(
        axes,
        [_RATIO - 0.12, _RATIO, _RATIO, _RATIO - 0.12],
        [top - 0.04, top - 0.04, bottom + 0.04, bottom + 0.04],
        **style,
    )
    if after > 0:
        put_text(
            axes, _RATIO + 0.08, (top + bottom) / 2, ratio(before / after), fontsize=9, fontweight="bold"
        )


def _foot(axes: Axes, summary: Summary) -> None:
    per = f" / {counted(summary.n_endpoints, _endpoint(summary))}" if summary.n_endpoints else ""
    alike = [one.name for one in summary.links if per and one.lower == one.upper]
    both = " (cables between two of one group count twice)" if alike else ""
    text = f"{summary.name}: rate × cables of the rule{per}{both}; wire rate, failures not deducted."
    put_text(axes, 0.2, 0.2, text, fontsize=7.5, color=SOFT)
