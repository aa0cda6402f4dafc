"""The wiring diagram: device groups as boxes, link rules as bundles, with every count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fabric.reporting.layout import Bar, Bundle, Diagram, layout
from fabric.reporting.sheet import (
    COLOURS,
    INK,
    NOTE_PITCH,
    PALE,
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
from fabric.reporting.ways import Way, steps, ways
from fabric.sizing.summary import GroupSummary, LinkSummary, Summary
from fabric.text.words import counted, join_words, span
from fabric.units import format_count, format_rate_gbit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLS = {"scale-up": "#dcebf5", "host": "#ece6f2", "scale-out": "#fae6d9", "end": "#ffffff", "": "#f2f2f2"}
_WIDTH, _PAD = 8.0, 0.12
_GAP = 1.12
_SHORT = 36
"""Letters of a relation up to which it stands beside its bundle."""


def wiring_title(summary: Summary) -> str:
    """Return the finding of the wiring diagram in one sentence.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
    """
    path = steps(summary)
    if summary.links and not path:
        total = sum(link.n_cables for link in summary.links)
        return f"{counted(total, 'cable')} carry no traffic between endpoints"
    net = next((n for n in ("scale-out", "scale-up", "host") if any(link.net == n for link in path)), "")
    links = [link for link in path if link.net == net]
    if not links:
        return f"{summary.name}: no cable joins two endpoints"
    numbers = {g.name: g.n_devices for g in summary.groups}
    names = dict.fromkeys(name for link in links for name in (link.lower, link.upper))
    cables = " + ".join(format_count(link.n_cables) for link in links)
    return f"{cables} {net} cables join {join_words([counted(numbers[n], n) for n in names])}"


def wiring_figure(summary: Summary) -> Figure:
    """Return the figure of `wiring`; call it with the settings of `_svg` in force."""
    roles = ways(summary)
    plan = layout(summary, roles)
    links = {link.name: link for link in summary.links}
    groups = {g.name: g for g in summary.groups}
    lefts = _columns(plan, links, groups)
    width = lefts[-1] + 0.1
    labels = {name: _group_label(groups[name], bar, lefts) for name, bar in plan.bars.items()}
    title = wrap(wiring_title(summary).split(), width - 0.4, 12, "bold")
    heights = [0.34] * plan.n_rows
    for name, bar in plan.bars.items():
        heights[bar.row] = max(heights[bar.row], 0.34 + 0.16 * len(labels[name]))
    notes = wrap_notes([_NOTE], width)
    has_loop = any(b.low == b.high == plan.n_rows - 1 for b in plan.bundles)
    bottoms = [0.3 + NOTE_PITCH * len(notes)]
    for row_height in heights:
        bottoms.append(bottoms[-1] + row_height + _GAP)
    height = bottoms[-1] - _GAP * (not has_loop) + 0.24 * len(title) + 0.3
    figure, axes = sheet(width, height)
    put_title(axes, title, height)
    put_notes(axes, notes, 0.05 + NOTE_PITCH * len(notes))
    ends = [(bottom, bottom + row_height) for bottom, row_height in zip(bottoms, heights, strict=False)]
    for bundle in plan.bundles:
        _bundle(axes, bundle, links[bundle.name], roles[bundle.name], lefts[bundle.column], ends)
    for name, bar in plan.bars.items():
        sides = (lefts[bar.first], lefts[bar.last + 1] - _PAD)
        fill = _fill(summary, roles, groups[name])
        _group(axes, groups[name], fill, labels[name], sides, ends[bar.row])
    return figure


_NOTE = (
    "Box: device group, devices × part, and its axes. Line: all cables of one rule, with the cables of one "
    "device at either end; blue scale-up, violet host, orange scale-out. Dashed: only on longer ways between "
    "endpoints. Dotted, grey: no traffic between endpoints."
)


def _columns(plan: Diagram, links: dict[str, LinkSummary], groups: dict[str, GroupSummary]) -> list[float]:
    """Return the left edge of every column and the right edge of the last [inches]."""
    widths = [1.3] * plan.n_columns
    for bundle in plan.bundles:
        link = links[bundle.name]
        width = max(text_width(text, 8.5, "bold") for text in [*_label(link), *_ends(link, bundle)])
        widths[bundle.column] = max(widths[bundle.column], width + 0.55)
    for name, bar in plan.bars.items():
        group = groups[name]
        words = [text_width(f"{a} × {n:,},", 8) for a, n in group.axes] or [0.0]
        needed = max(text_width(_group_name(group), 9.5, "bold"), *words) + 3 * _PAD
        short = needed - sum(widths[bar.first : bar.last + 1])
        widths[bar.last] += max(short, 0.0)
    spare = max(_WIDTH - 0.3 - sum(widths), 0.0) / plan.n_columns
    widths = [width + spare for width in widths]
    lefts = [0.2]
    for width in widths:
        lefts.append(lefts[-1] + width)
    return lefts


def _group_name(group: GroupSummary) -> str:
    return f"{group.name}: {group.n_devices:,} × {group.part or group.kind}"


def _group_label(group: GroupSummary, bar: Bar, lefts: Sequence[float]) -> list[str]:
    words = [f"{axis} × {size:,}" for axis, size in group.axes]
    words = [f"{w}," for w in words[:-1]] + words[-1:]
    if group.n_absent:
        words[-1:] = [f"{words[-1]};", f"{group.n_absent:,} absent"]
    return wrap(words, lefts[bar.last + 1] - lefts[bar.first] - 3 * _PAD, 8)


def _fill(summary: Summary, roles: dict[str, Way], group: GroupSummary) -> str:
    if group.is_endpoint:
        return "end"
    nets = [link.net for link in summary.links if link.upper == group.name and roles[link.name] == "step"]
    return nets[-1] if nets else ""


def _group(
    axes: Axes,
    group: GroupSummary,
    fill: str,
    label: Sequence[str],
    sides: tuple[float, float],
    ends: tuple[float, float],
) -> None:
    """Draw a box between its left and right side, and between its lower and upper end."""
    left, right = sides
    edge = COLOURS.get(fill, INK if fill else PALE)
    style = {"facecolor": _FILLS[fill], "edgecolor": edge, "lw": 1.8 if fill == "end" else 1.1}
    put_box(axes, left, ends[0], right - left, ends[1] - ends[0], zorder=3, **style)
    top = (ends[0] + ends[1]) / 2 + 0.08 * len(label)
    put_text(axes, left + _PAD, top, _group_name(group), fontsize=9.5, fontweight="bold", zorder=4)
    for i, line in enumerate(label):
        put_text(axes, left + _PAD, top - 0.17 - 0.16 * i, line, fontsize=8, color=SOFT, zorder=4)


def _ends(link: LinkSummary, bundle: Bundle) -> list[str]:
    """Return what stands at the lower end of a bundle, and at its upper one unless that is the same."""
    per = {link.lower: link.per_lower, link.upper: link.per_upper}
    return [f"{span(per[name])} per {name}" for name in dict.fromkeys((bundle.lower, bundle.upper))]


def _label(link: LinkSummary) -> list[str]:
    """Return the lines beside a bundle, of which the first two are bold."""
    lines = [link.name, counted(link.n_cables, "cable"), f"{format_rate_gbit(link.rate_gbps)} each"]
    return lines + [link.relation] * (0 < len(link.relation) <= _SHORT)


def _bundle(
    axes: Axes, bundle: Bundle, link: LinkSummary, way: Way, left: float, ends: Sequence[tuple[float, float]]
) -> None:
    x = left + 0.25
    bottom = ends[bundle.low][1]
    colour = PALE if way == "none" else COLOURS[link.net]
    dashes = {"step": "-", "detour": (0, (5, 2.5)), "none": (0, (1.2, 1.8))}[way]
    style = {"color": colour, "lw": 2.6 if way == "step" else 1.8, "ls": dashes, "zorder": 1}
    if bundle.lower == bundle.upper:
        top = bottom + 0.88 * _GAP
        put_line(axes, [x - 0.14, x - 0.14, x, x], [bottom, top, top, bottom], **style)
    else:
        top = ends[bundle.high][0]
        put_line(axes, [x, x], [bottom, top], **style)
    for text, y in zip(_ends(link, bundle), (bottom + 0.14, top - 0.14), strict=False):
        put_text(axes, x + 0.12, y, text, color=SOFT)
    lines = _label(link)
    y = bottom + _GAP / 2 + 0.08 * (len(lines) - 1) + 0.06 * (bundle.lower == bundle.upper)
    inks = [SOFT if way == "none" else COLOURS[link.net], INK, INK, SOFT]
    for i, text in enumerate(lines):
        weight = "bold" if i < 2 else "normal"
        put_text(axes, x + 0.12, y - 0.16 * i, text, fontweight=weight, color=inks[i])
