"""The topology to click through: classes, one rack, one tray; laid out here, drawn by ``explorer.js``.

A view never has more than `MOST` things on it, whatever the size of the fabric: a rack or tray is that of
index 0, and what lies outside of it stays a class.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fabric.blueprint import Blueprint, Rule
from fabric.blueprint.model import DeviceGroup, Selector
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.graph import Fabric
from fabric.reporting.answers import Answers
from fabric.reporting.layout import layout
from fabric.reporting.tables import each
from fabric.reporting.ways import ways
from fabric.sizing.floor import enclosures
from fabric.sizing.summary import LinkSummary, Summary
from fabric.text.words import counted, join_words
from fabric.units import format_rate

MOST = 2000
"""Boxes and lines of a view."""
_MOST_DEVICES = 60
"""Devices in a rack above which its trays are shown in their place."""
_COLUMN, _ROW, _HIGH, _PAD = 230, 120, 50, 20
_SMALL, _LETTER = 70, 6.2

Item = dict[str, object]


@dataclass(frozen=True, slots=True)
class Unit:
    """A box of a view inside a rack: devices of some groups at some place, and the group's row."""

    name: str
    groups: tuple[str, ...]
    at: Mapping[str, int]
    n: int
    row: int
    opens: str


def topology(fabric: Fabric, summary: Summary, answers: Answers) -> dict[str, object]:
    """Return the views and loads that ``explorer.js`` draws, in plain data.

    Parameters
    ----------
    fabric : Fabric
    summary : Summary
    answers : Answers
        For how busy each class is.
    """
    blueprint = fabric.axes_or_refuse("a topology to explore").whole
    inner = list(_inner(blueprint))
    views = [_classes(summary, inner[0][0] if inner else "", _inside(blueprint, inner))]
    links = {link.name: link for link in summary.links}
    for name, title, fixed in inner:
        units = list(_units(blueprint, summary, fixed, inner))
        views.append(_view(blueprint, links, (name, title, fixed), units))
    shown = [view for view in views if _size(view) <= MOST]
    return {"views": shown, "loads": _loads(answers, links)}


def _size(view: Item) -> int:
    return len(view["boxes"]) + len(view["links"])  # type: ignore[arg-type]


def _inside(blueprint: Blueprint, inner: Sequence[tuple[str, str, frozenset[str]]]) -> frozenset[str]:
    """Return the groups of which some stand in the rack that can be opened."""
    if not inner:
        return frozenset()
    return frozenset(g.name for g in blueprint.groups.values() if inner[0][2] <= set(g.primitives))


def _inner(blueprint: Blueprint) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield name, title and fixed axes of a rack or server, and of the tray in it where there are many."""
    kinds = enclosures(blueprint)
    if not kinds:
        return
    kind = kinds[0]
    fixed = frozenset(kind.axes)
    groups = [blueprint.groups[name] for name in sorted(kind.groups)]
    n = sum(_n_of(blueprint, g, fixed) for g in groups)
    title = "one rack" if kind.n_rack_axes == len(kind.axes) else "one server"
    yield title.replace(" ", "-"), title, fixed
    if n <= _MOST_DEVICES:
        return
    ends = [g for g in groups if g.is_endpoint]
    first = next((axis for g in ends for axis in g.primitives if axis not in fixed), "")
    if first:
        yield "one-tray", f"one {first}", fixed | {first}


def _n_of(blueprint: Blueprint, group: DeviceGroup, fixed: frozenset[str]) -> int:
    """Return the devices of a group at one place on `fixed`."""
    return math.prod(blueprint.axes[axis].size for axis in group.primitives if axis not in fixed)


def _loads(answers: Answers, links: Mapping[str, LinkSummary]) -> dict[str, dict[str, Item]]:
    """Return by collective and rule how busy its busiest link is, and what a cable of it carries."""
    loads: dict[str, dict[str, Item]] = {}
    for job in answers.jobs:
        among = f" ({job.among})" if job.among else ""
        if job.prices is not None:
            used = (*job.prices.throughput.binding, *job.prices.throughput.slack)
            loads[f"all-to-all at its best{among}"] = {
                one.link: _load(one.load, one.load * links[one.link].rate_gbps) for one in used
            }
        for name in job.costs:
            cost = job.at_reference(name)
            if cost is None or cost.status == "cut off":
                continue
            run = cost.chosen
            of_time = run.transfer_s / cost.time_s
            parts = {rule: (1 - idle) * of_time for rule, idle in run.slack} | {run.binding: of_time}
            carried = {run.binding: run.wire_gbps}
            loads[f"{name} by {run.name}{among}"] = {
                rule: _load(part, carried.get(rule, 0.0)) for rule, part in parts.items()
            }
    return loads


def _load(part: float, rate_gbps: float) -> Item:
    told = f"busy {100 * part:.3g} % of the time"
    if rate_gbps:
        told += f", {format_rate(rate_gbps)} on a cable"
    return {"part": round(min(part, 1.0), 4), "told": told}


def _told(link: LinkSummary) -> list[str]:
    return [
        f"{link.name}, {link.net}",
        f"{counted(link.n_cables, 'cable')} of {format_rate(link.rate_gbps)}, one direction",
        ", ".join(each(link)),
        f"capacity of all: {format_rate(link.capacity_gbps)}",
        *([link.relation] if link.relation else []),
    ]


def _classes(summary: Summary, opens: str, inside: frozenset[str]) -> Item:
    """Return the view of all classes: a box for each group, a line for each rule."""
    plan = layout(summary, ways(summary))
    links = {link.name: link for link in summary.links}
    boxes, lines = [], []
    high = plan.n_rows * _ROW

    def y(row: int) -> float:
        return high - (row + 1) * _ROW + (_ROW - _HIGH) / 2 + _PAD

    for group in summary.groups:
        bar = plan.bars[group.name]
        axes = ", ".join(f"{axis} × {size:,}" for axis, size in group.axes) or "one device"
        boxes.append(
            {
                "x": bar.first * _COLUMN + _PAD,
                "y": y(bar.row),
                "w": (bar.last - bar.first + 1) * _COLUMN - 30,
                "h": _HIGH,
                "kind": "end" if group.is_endpoint else group.kind,
                "lines": [f"{group.name}: {group.n_devices:,} × {group.part or group.kind}", axes],
                "told": [
                    f"{group.name}: {counted(group.n_devices, group.name)}",
                    axes,
                    f"transit: {group.transit}",
                ],
                "opens": opens if group.name in inside else "",
            }
        )
    for bundle in plan.bundles:
        link = links[bundle.name]
        x = bundle.column * _COLUMN + _PAD + 30
        top = y(bundle.high) + _HIGH if bundle.low != bundle.high else y(bundle.low) - 0.5 * (_ROW - _HIGH)
        lines.append(
            {
                "x1": x, "x2": x, "y1": y(bundle.low), "y2": top,
                "x": x + 8, "y": (y(bundle.low) + top) / 2 + 4,
                "label": f"{link.name}: {link.n_cables:,} × {format_rate(link.rate_gbps).partition(' (')[0]}",
                "rule": link.name, "net": link.net, "told": _told(link),
            }
        )  # fmt: skip
    return {
        "name": "classes",
        "title": "all classes",
        "about": "Every device group and link rule of the fabric. Boxes with dashes open.",
        "width": plan.n_columns * _COLUMN + _PAD,
        "height": high + 2 * _PAD,
        "boxes": boxes,
        "links": lines,
    }


def _units(
    blueprint: Blueprint,
    summary: Summary,
    fixed: frozenset[str],
    inner: Sequence[tuple[str, str, frozenset[str]]],
) -> Iterator[Unit]:
    """Yield what stands in one rack or tray: its trays where it holds many devices, else its devices."""
    levels = {g.name: g.level for g in summary.groups}
    groups = [g for g in blueprint.groups.values() if fixed <= set(g.primitives)]
    zero = dict.fromkeys(fixed, 0)
    if sum(_n_of(blueprint, g, fixed) for g in groups) <= _MOST_DEVICES:
        for group in groups:
            free = [axis for axis in group.primitives if axis not in fixed]
            for place in itertools.product(*(range(blueprint.axes[axis].size) for axis in free)):
                at = {**zero, **dict(zip(free, place, strict=True))}
                yield Unit(_name(blueprint, group, at), (group.name,), at, 1, levels[group.name], "")
        return
    opened = next((name for name, _, axes in inner if len(axes) == len(fixed) + 1), "")
    on_axis: dict[str, list[DeviceGroup]] = {}
    for group in groups:
        first = next((axis for axis in group.primitives if axis not in fixed), "")
        on_axis.setdefault(first, []).append(group)
    for axis, held in on_axis.items():
        for i in range(blueprint.axes[axis].size if axis else 1):
            at = {**zero, axis: i} if axis else zero
            row = min(levels[g.name] for g in held)
            n = sum(_n_of(blueprint, g, frozenset(at)) for g in held)
            opens = opened if any(g.is_endpoint for g in held) else ""
            yield Unit(f"{axis}{i}" if axis else held[0].name, tuple(g.name for g in held), at, n, row, opens)


def _name(blueprint: Blueprint, group: DeviceGroup, at: Mapping[str, int]) -> str:
    """Return the last part of the name of a device: its group and index."""
    if not group.axes:
        return group.name
    index = 0
    for axis in blueprint.primitives(group.axes[-1]):
        index = index * blueprint.axes[axis].size + at[axis]
    return f"{group.name}{index}"


def _view(
    blueprint: Blueprint,
    links: Mapping[str, LinkSummary],
    about: tuple[str, str, frozenset[str]],
    units: Sequence[Unit],
) -> Item:
    """Return the view of one rack or tray, with the classes that it is cabled to above it."""
    name, title, _ = about
    inside = {g for unit in units for g in unit.groups}
    rules = [rule for rule in blueprint.rules if inside & set(rule.groups)]
    outside = list(dict.fromkeys(g for rule in rules for g in rule.groups if g not in inside))
    rows = sorted({unit.row for unit in units})
    wide = max(len(list(u)) for _, u in itertools.groupby(sorted(units, key=_row), key=_row))
    width = max(wide * _SMALL + 2 * _PAD, 760)
    height = (len(rows) + bool(outside)) * _ROW + 2 * _PAD
    boxes: list[Item] = []
    at_box: dict[str, list[tuple[Unit | None, float, float]]] = {}
    for k, row in enumerate(rows):
        own = [unit for unit in units if unit.row == row]
        y = height - _PAD - (k + 1) * _ROW + (_ROW - _HIGH) / 2
        step = (width - 2 * _PAD) / len(own)
        for i, unit in enumerate(own):
            x = _PAD + i * step
            boxes.append(_box(blueprint, unit, (x, y, min(step - 6, 170))))
            for group in unit.groups:
                at_box.setdefault(group, []).append((unit, x + min(step - 6, 170) / 2, y))
    for i, group in enumerate(outside):
        step = (width - 2 * _PAD) / len(outside)
        w = min(step - 10, 220)
        x = _PAD + (i + 0.5) * step - w / 2
        n = blueprint.n_devices(group)
        boxes.append(
            {"x": x, "y": _PAD, "w": w, "h": _HIGH, "kind": "outside", "opens": "classes",
             "lines": [group, f"all {n:,} of them"], "told": [f"{group}: outside, {n:,} in all"]}
        )  # fmt: skip
        at_box[group] = [(None, x + w / 2, _PAD)]
    lines = [line for rule in rules for line in _lines(blueprint, rule, links[rule.name], at_box)]
    told = f"{title}, that of index 0, and the classes that it is cabled to; boxes with dashes open"
    return {"name": name, "title": title, "about": told, "width": width, "height": height,
            "boxes": boxes, "links": lines}  # fmt: skip


def _row(unit: Unit) -> int:
    return unit.row


def _box(blueprint: Blueprint, unit: Unit, place: tuple[float, float, float]) -> Item:
    x, y, width = place
    groups = [blueprint.groups[name] for name in unit.groups]
    held = join_words([counted(_n_of(blueprint, g, frozenset(unit.at)), g.name) for g in groups])
    part = groups[0].part.id if groups[0].part else groups[0].kind
    room = max(int((width - 8) / _LETTER), 3)
    kind = "end" if any(g.is_endpoint for g in groups) else groups[0].kind
    second = part if unit.n == 1 else f"{unit.n} devices"
    return {"x": x, "y": y, "w": width, "h": _HIGH, "kind": kind, "opens": unit.opens,
            "lines": [unit.name[:room], second[:room]], "told": [unit.name, held, part]}  # fmt: skip


def _lines(
    blueprint: Blueprint,
    rule: Rule,
    link: LinkSummary,
    at_box: Mapping[str, Sequence[tuple[Unit | None, float, float]]],
) -> Iterator[Item]:
    """Yield a line for each two boxes that a rule joins; one between alike devices stays with the classes."""
    if rule.relation is not None:
        return
    shared = agreeing_axes(blueprint, rule)
    for (low, x1, y1), (high, x2, y2) in itertools.product(at_box[rule.left_group], at_box[rule.right_group]):
        if low is high or not _is_joined(blueprint, rule, shared, low, high):
            continue
        begin, end = (
            (y1, y2 + _HIGH) if y1 > y2 else (y1 + _HIGH, y2) if y1 < y2 else (y1 + _HIGH / 2, y2 + _HIGH / 2)
        )
        yield {"x1": x1, "y1": begin, "x2": x2, "y2": end, "label": "", "rule": link.name,
               "net": link.net, "told": _told(link)}  # fmt: skip


def _is_joined(
    blueprint: Blueprint, rule: Rule, shared: Sequence[str], low: Unit | None, high: Unit | None
) -> bool:
    """Return whether a rule joins devices of two boxes: they agree where both have an axis that tells."""
    for unit, side in ((low, rule.left), (high, rule.right)):
        if unit is not None and not _is_meant(blueprint, side, unit.at):
            return False
    if low is None or high is None:
        return True
    return all(low.at[a] == high.at[a] for a in shared if a in low.at and a in high.at)


def _is_meant(blueprint: Blueprint, side: Selector, at: Mapping[str, int]) -> bool:
    """Return whether a side of a rule names devices at a place, as far as the place is known."""
    for term in side.terms:
        parts = blueprint.primitives(term.axis)
        if not all(part in at for part in parts):
            continue
        index = 0
        for part in parts:
            index = index * blueprint.axes[part].size + at[part]
        if not term.lo <= index <= term.hi:
            return False
    return True
