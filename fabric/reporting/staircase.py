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
    put_box,
    put_line,
    put_text,
    put_title,
    sheet,
    wrap,
)
from fabric.reporting.ways import steps, ways
from fabric.sizing.summary import LinkSummary, Summary
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
    path = steps(summary)
    up = [step for step in path if step.net == "scale-up"]
    out = [step for step in path if step.net != "scale-up"]
    fabric = [step for step in out if step.net == "scale-out"]
    if not summary.n_endpoints:
        return f"{summary.name} has no endpoint: capacity of each tier as a whole"
    who = _endpoint(summary)
    if not path:
        return f"No link joins the {noun(who, 2)} of {summary.name}"
    if all(step.lower == step.upper for step in path):
        shares = [f"{_gbytes(step.per_endpoint_gbps)} of {step.name}" for step in path]
        total = _gbytes(sum(step.per_endpoint_gbps for step in path))
        in_all = f", {total} in all" if len(path) > 1 else ""
        return f"Each {noun(who)} has {join_words(shares)}{in_all}, with no switch between"
    if not fabric:
        return (
            f"Each {noun(who)} has {_gbytes(_least(up or out))} into its scale-up domain, and "
            "nothing leads out of it"
        )
    fabric = _onward(fabric)
    into = _least([*(step for step in out if step.net == "host"), fabric[0]])
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
    least: dict[str, float] = {}
    for link in links:
        least[link.lower] = least.get(link.lower, 0.0) + link.per_endpoint_gbps
    return min(least.values())


def _onward(fabric: Sequence[LinkSummary]) -> list[LinkSummary]:
    """Return the first rule and those above it: a network beside them is another way out."""
    path, reached = [fabric[0]], {fabric[0].upper}
    for link in fabric[1:]:
        if link.lower in reached:
            path.append(link)
            reached.add(link.upper)
    return path


def _gbytes(gbps: float) -> str:
    return f"{gbps_to_gbytes(gbps):,.4g} GB/s"


def staircase_figure(summary: Summary) -> Figure:
    """Return the figure of `staircase`; call it with the settings of `_svg` in force."""
    roles = ways(summary)
    path = steps(summary)
    following = [i for i in range(1, len(path)) if _follows(path, i)]
    beside = [link for link in summary.links if roles[link.name] != "step"]
    title = wrap(staircase_title(summary).split(), _WIDTH - 0.4, 12, "bold")
    body = _PITCH * len(summary.links) + (0.34 if beside else 0)
    foot = 0.92
    height = 0.24 * len(title) + 0.3 + body + foot
    figure, axes = sheet(_WIDTH, height)
    put_title(axes, title, height)
    y = height - 0.24 * len(title) - 0.3
    place = _scale(axes, summary, (foot, y))
    for i, link in enumerate(path):
        _step(axes, summary, link, y - _PITCH / 2, place(_value(summary, link)))
        if i in following:
            if i == following[0]:
                put_text(axes, _RATIO - 0.12, y + _PITCH / 2 + 0.1, "Step to next", fontsize=8, color=SOFT)
            _ratio(axes, _value(summary, path[i - 1]), _value(summary, link), y + _PITCH / 2, y - _PITCH / 2)
        y -= _PITCH
    if beside:
        y -= 0.34
        put_text(axes, 0.2, y + 0.14, "Off the shortest way out", fontsize=8.5, style="italic", color=SOFT)
        put_line(axes, (0.2, _WIDTH - 0.2), (y + 0.29, y + 0.29), color=PALE, lw=0.6)
    for link in beside:
        note = "longer ways only" if roles[link.name] == "detour" else "no traffic between endpoints"
        _step(axes, summary, link, y - _PITCH / 2, place(_value(summary, link)), note)
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
        and sum((link.lower, link.net) == (before.lower, before.net) for link in path) == 1
    )


def _value(summary: Summary, link: LinkSummary) -> float:
    return gbps_to_gbytes(link.per_endpoint_gbps if summary.n_endpoints else link.capacity_gbps)


def _scale(axes: Axes, summary: Summary, ends: tuple[float, float]) -> Callable[[float], float]:
    """Draw the axis and return the place of a value in GB/s on it."""
    values = [v for link in summary.links if (v := _value(summary, link)) > 0] or [1.0]
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
    title = f"Capacity per {noun(_endpoint(summary))}" if summary.n_endpoints else "Capacity of the tier"
    put_text(axes, _BARS_LEFT, bottom - 0.36, f"{title}, one direction [GB/s, log scale]")
    return place


def _ticks(low: float, most: float, inches_per_decade: float) -> list[float]:
    """Return the values to mark from `low` to the first one that reaches `most`."""
    digits = (1, 2, 5) if inches_per_decade > 1.4 else (1,)
    skip = max(1, math.ceil(0.6 / inches_per_decade))
    decades = range(round(math.log10(low)), math.ceil(math.log10(most)) + skip, skip)
    values = [digit * 10.0**decade for decade in decades for digit in digits]
    return [v for i, v in enumerate(values) if i == 0 or values[i - 1] < most]


def _step(axes: Axes, summary: Summary, link: LinkSummary, y: float, end: float, note: str = "") -> None:
    """Draw one bar; a `note` says why it is no step of the way out."""
    is_step = not note
    colour = COLOURS[link.net] if is_step else PALE
    put_text(axes, 0.2, y + 0.09, link.name, fontweight="bold" if is_step else "normal", fontsize=9.5)
    detail = f"{link.net}: {span(link.per_lower)} × {format_rate_gbit(link.rate_gbps)} per {link.lower}"
    put_text(axes, 0.2, y - 0.09, detail, fontsize=8, color=colour if is_step else SOFT)
    put_box(
        axes, _BARS_LEFT, y - 0.15, end - _BARS_LEFT, 0.3, facecolor=colour if is_step else "#d9d9d9", lw=0
    )
    rate = link.per_endpoint_gbps if summary.n_endpoints else link.capacity_gbps
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
    alike = [link.name for link in summary.links if per and link.lower == link.upper]
    twice = " (cables between two of one group count twice)" if alike else ""
    text = f"{summary.name}: rate × cables of the rule{per}{twice}; wire rate, failures not deducted."
    put_text(axes, 0.2, 0.2, text, fontsize=7.5, color=SOFT)
