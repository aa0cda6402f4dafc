"""Racks as they stand: what is in one, and the rows of the floor plan.

A rack is drawn tray by tray where one backplane holds it, server by server else, all of one height: the
catalogue has no heights. Network racks take no place of their own in the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fabric.blueprint import Blueprint
from fabric.graph import Fabric
from fabric.reporting.chart import WIDTH, clipped
from fabric.reporting.document import Picture
from fabric.reporting.sheet import COLOURS, INK, PALE, SOFT, put_box, put_text, put_title, sheet, svg, wrap
from fabric.sizing.bill import Bom
from fabric.sizing.floor import Enclosure, FloorPlan, enclosures
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words, noun
from fabric.units import format_count, format_power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAY, _RACK_WIDTH, _MOST_TRAYS = 0.115, 2.3, 40
_ROWS, _SPOT, _PITCH = 12, 0.13, 0.24
"""Rows of racks that are drawn; the others are counted."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is in a rack so many times.

    Parameters
    ----------
    what : str
        Such as ``tray: 4 GPUs, 2 graces``.
    n : int
    is_switch : bool
        Whether it holds nothing but switches.
    """

    what: str
    n: int
    is_switch: bool


@dataclass(frozen=True, slots=True)
class RackRow:
    """Racks of one kind.

    Parameters
    ----------
    name : str
    n : int or None
        None where not known.
    shelves : tuple of Shelf
    power_w : float or None
        Of one [W].
    """

    name: str
    n: int | None
    shelves: tuple[Shelf, ...]
    power_w: float | None


def rack_rows(fabric: Fabric, bill: Bom) -> list[RackRow]:
    """Return the kinds of racks of a fabric; empty where none is known."""
    blueprint = fabric.axes_or_refuse("racks").whole
    plan = bill.floor
    kinds = enclosures(blueprint)
    if not kinds or not bill.count("rack"):
        return []
    rows = []
    for kind in kinds:
        shelves, n_boxes = _shelves(blueprint, kind, plan)
        is_one = len(kinds) == 1
        rows.append(
            RackRow("rack", bill.count("rack") if is_one else None, shelves, _power(bill, kind, n_boxes))
        )
    if bill.count("network rack"):
        inside = frozenset().union(*(kind.groups for kind in kinds))
        beside = [g for g in blueprint.groups.values() if g.kind == "switch" and g.name not in inside]
        names = join_words([noun(g.name, 2) for g in beside])
        shelf = Shelf(f"switch of the {names}", plan.switches_per_rack, is_switch=True)
        rows.append(RackRow("network rack", bill.count("network rack"), (shelf,), _switch_power(bill, plan)))
    return rows


def _shelves(blueprint: Blueprint, kind: Enclosure, plan: FloorPlan) -> tuple[tuple[Shelf, ...], int]:
    """Return what is in a rack, and the enclosures that it holds."""
    sizes = [blueprint.axes[axis].size for axis in kind.axes]
    groups = [g for g in blueprint.groups.values() if g.name in kind.groups]
    if kind.n_rack_axes == len(kind.axes):
        # One backplane: its trays are the places on the first axis inside the rack.
        by_axis: dict[str, list[str]] = {}
        switches: dict[str, bool] = {}
        for group in groups:
            inner = [axis for axis in group.primitives if axis not in kind.axes]
            first = inner[0] if inner else ""
            n = math.prod(blueprint.axes[axis].size for axis in inner[1:])
            by_axis.setdefault(first, []).append(counted(n, group.name))
            switches[first] = switches.get(first, True) and group.kind == "switch"
        return tuple(
            Shelf(
                f"{axis or 'rack'}: {join_words(what)}",
                blueprint.axes[axis].size if axis else 1,
                switches[axis],
            )
            for axis, what in by_axis.items()
        ), 1
    n_boxes = plan.servers_per_rack if kind.n_rack_axes is None else math.prod(sizes[kind.n_rack_axes :])
    held = [
        counted(math.prod(blueprint.axes[a].size for a in g.primitives if a not in kind.axes), g.name)
        for g in groups
    ]
    return (Shelf(f"server: {join_words(held)}", n_boxes, is_switch=False),), n_boxes


def _power(bill: Bom, kind: Enclosure, n_boxes: int) -> float | None:
    """Return the power of one rack: of its chassis, or of all devices in it, where it is known."""
    chassis = [item for item in bill.items if item.kind == "chassis" and item.power_w and item.n]
    if len(chassis) == 1 and len(kind.groups):
        return n_boxes * (chassis[0].power_w or 0.0) / chassis[0].n
    items = [item for item in bill.items if item.where in kind.groups and not item.power_in]
    if not items or any(item.power_w is None for item in items):
        return None
    return sum(item.power_w or 0.0 for item in items) / max(bill.count("rack"), 1)


def _switch_power(bill: Bom, plan: FloorPlan) -> float | None:
    switches = [item for item in bill.items if item.kind == "switch"]
    if not switches or any(item.power_w is None for item in switches):
        return None
    n = sum(item.n for item in switches)
    return plan.switches_per_rack * sum(item.power_w or 0.0 for item in switches) / n


def racks_title(rows: Sequence[RackRow]) -> str:
    """Return how many racks there are, and what one draws."""
    told = [counted(row.n, row.name) for row in rows if row.n]
    power = f"; one draws {format_power(rows[0].power_w)}" if rows[0].power_w else ""
    return f"{join_words(told)}{power}" if told else "Racks of several kinds"


def racks(name: str, fabric: Fabric, bill: Bom) -> Picture:
    """Return the picture of the racks and their rows."""
    rows = rack_rows(fabric, bill)
    title = racks_title(rows)
    return Picture(name, title, svg(lambda: _figure(title, rows, bill), title))


def _figure(title: str, rows: Sequence[RackRow], bill: Bom) -> Figure:
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    plan = bill.floor
    small = wrap(f"Floor plan, assumed: {plan}. Heights of trays are not to scale.".split(), WIDTH - 0.4, 7.5)
    n_high = max(min(sum(s.n for s in row.shelves), _MOST_TRAYS) + len(row.shelves) for row in rows)
    n_racks = bill.count("rack")
    n_rows = min(math.ceil(n_racks / plan.racks_per_row), _ROWS)
    body = max(n_high * _TRAY + 0.75, n_rows * _PITCH + 0.7)
    foot = 0.3 + 0.15 * len(small)
    height = 0.24 * len(lines) + 0.4 + body + foot
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)
    top = foot + body
    x = 0.2
    for row in rows[:2]:
        _rack(axes, row, x, top)
        x += _RACK_WIDTH + 0.35
    _floor(axes, (x, top), n_racks, plan)
    for i, line in enumerate(small):
        put_text(axes, 0.2, foot - 0.2 - 0.15 * i, line, fontsize=7.5, color=SOFT)
    return figure


def _rack(axes: Axes, row: RackRow, x: float, top: float) -> None:
    """Draw one rack, its shelves from the top, and what it draws below it."""
    number = "" if row.n is None else f" × {row.n:,}"
    put_text(axes, x, top, f"{row.name}{number}", fontweight="bold", fontsize=9.5)
    y = top - 0.18
    bottom = y - _TRAY * (sum(min(s.n, _MOST_TRAYS) for s in row.shelves) + len(row.shelves))
    put_box(
        axes, x, bottom - 0.05, _RACK_WIDTH, y - bottom + 0.05, facecolor="#f7f7f7", edgecolor=INK, lw=1.0
    )
    for shelf in row.shelves:
        colour = COLOURS["scale-up"] if shelf.is_switch else COLOURS["scale-out"]
        told = f"{shelf.n} × {shelf.what}"
        put_text(axes, x + 0.06, y - 0.07, clipped(told, _RACK_WIDTH - 0.1, 6.5), fontsize=6.5, color=INK)
        y -= _TRAY
        for _ in range(min(shelf.n, _MOST_TRAYS)):
            put_box(
                axes, x + 0.06, y - _TRAY + 0.015, _RACK_WIDTH - 0.12, _TRAY - 0.03, facecolor=colour, lw=0
            )
            y -= _TRAY
    power = f"{format_power(row.power_w)} each" if row.power_w else "power not known"
    put_text(axes, x, bottom - 0.18, power, fontsize=8.5, fontweight="bold")


def _floor(axes: Axes, corner: tuple[float, float], n_racks: int, plan: FloorPlan) -> None:
    """Draw the rows of racks as they are filled."""
    x, top = corner
    room = WIDTH - 0.2 - x
    spot = min(_SPOT, room / plan.racks_per_row)
    put_text(axes, x, top, "Rows of the floor", fontweight="bold", fontsize=9.5)
    n_rows = math.ceil(n_racks / plan.racks_per_row)
    y = top - 0.3
    for i in range(min(n_rows, _ROWS)):
        n = min(plan.racks_per_row, n_racks - i * plan.racks_per_row)
        shown = min(n, int(room / spot))
        for k in range(shown):
            style = {"facecolor": COLOURS["scale-out"], "edgecolor": "white", "lw": 0.5}
            put_box(axes, x + k * spot, y - spot / 2, spot * 0.9, spot, **style)
        y -= _PITCH
    if n_rows > _ROWS:
        left = f"and {format_count(n_rows - _ROWS)} rows more, {plan.rows_per_column} in a column of rows"
        put_text(axes, x, y, left, fontsize=8, color=PALE)
        y -= _PITCH
    put_text(
        axes, x, y, f"{plan.racks_per_row} racks a row, {plan.rack_pitch_m:g} m apart", fontsize=8, color=SOFT
    )


def racks_table(rows: Sequence[RackRow]) -> str:
    """Return the kinds of racks, what is in one, and its power."""
    cells = [
        [
            row.name,
            "" if row.n is None else format_count(row.n),
            format_power(row.power_w) if row.power_w else "not known",
        ]
        for row in rows
    ]
    held = bullets(escape(f"{r.name}: {'; '.join(f'{s.n} × {s.what}' for s in r.shelves)}") for r in rows)
    return f"{table(['Racks', '>Number', '>Power of one'], cells)}\n\n{held}"


def orders_table(bill: Bom) -> str:
    """Return how many cables to order of each medium and length, whatever they join."""
    sums: dict[tuple[str, float], int] = {}
    for run in bill.cables:
        if not run.is_inside:
            key = run.medium or "", math.inf if run.reach_m is None else run.reach_m
            sums[key] = sums.get(key, 0) + run.n_cables
    rows = [
        [
            code(medium) if medium else "not given",
            "not known" if reach_m == math.inf else f"{reach_m:g} m",
            format_count(n),
        ]
        for (medium, reach_m), n in sorted(sums.items())
    ]
    if not rows:
        return ""
    told = (
        f"{counted(sum(sums.values()), 'cable')} to order, by the floor plan that is assumed. `fabtopo "
        "cables` lists every one: rack, node and port at both ends, medium, length and label, as CSV."
    )
    return f"{told}\n\n{table(['Medium', '>Length to order', '>Cables'], rows)}"


def lengths_table(bill: Bom) -> str:
    """Return how many cables of each length class have to be ordered, by rule and medium."""
    rows = [
        [
            code(run.rule),
            code(run.medium) if run.medium else "unknown",
            "not known" if run.reach_m is None else f"{run.reach_m:g} m",
            format_count(run.n_cables),
        ]
        for run in bill.cables
        if not run.is_inside
    ]
    return table(["Rule", "Medium", ">Length to order", ">Cables"], rows) if rows else ""
