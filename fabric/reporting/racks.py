"""Racks as they stand: what is in one, and the rows of the floor plan.

A rack is drawn tray by tray where one backplane holds it, server by server else, by rack unit where all of
their heights are known, and else all of one height, which is said. What stands above what no file tells.
Network racks take no place of their own in the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fabric.blueprint import Blueprint
from fabric.graph import Fabric
from fabric.reporting.chart import WIDTH
from fabric.reporting.document import Picture
from fabric.reporting.sheet import (
    COLOURS,
    INK,
    NOTE_PITCH,
    SOFT,
    put_box,
    put_notes,
    put_row,
    put_text,
    put_title,
    sheet,
    svg,
    wrap,
    wrap_notes,
)
from fabric.sizing.bill import Bom
from fabric.sizing.floor import Enclosure, FloorPlan, enclosures
from fabric.sizing.shelves import Shelf, Stack, groups_beside, stack_of, switch_stack, template_of
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words
from fabric.units import format_count, format_power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNIT, _RACK_WIDTH, _LABEL_WIDTH, _MOST_UNITS = 0.1, 1.05, 1.75, 60
_ROWS, _SPOT, _PITCH = 12, 0.13, 0.24
"""Rows of racks that are drawn; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RackRow(Stack):
    """Racks of one kind, each with the same in it.

    Parameters
    ----------
    name : str
    n : int or None
        None where not known.
    power_w : float or None
        Of one [W].
    is_full : bool
        Whether every one of them holds all of that.
    """

    name: str
    n: int | None
    power_w: float | None
    is_full: bool = True

    @property
    def power(self) -> str:
        """What one draws, in words."""
        if not self.power_w:
            return "not known"
        return f"{'' if self.is_full else 'at most '}{format_power(self.power_w)}"


def rack_rows(fabric: Fabric, bill: Bom) -> list[RackRow]:
    """Return the kinds of racks of a fabric; empty where none is known."""
    blueprint = fabric.axes_or_refuse("racks").whole
    plan = bill.floor
    kinds = enclosures(blueprint)
    if not kinds or not bill.count("rack"):
        return []
    rows = []
    for kind in kinds:
        stack = stack_of(blueprint, kind, plan)
        n = bill.count("rack") if len(kinds) == 1 else None
        n_boxes = 1 if kind.n_rack_axes == len(kind.axes) else stack.shelves[0].n
        power_w = _power(blueprint, bill, kind, n_boxes)
        rows.append(RackRow(stack.shelves, stack.whole, name="rack", n=n, power_w=power_w))
    if bill.count("network rack"):
        (shelf,) = switch_stack(blueprint, kinds, plan).shelves
        beside = [g.name for g in groups_beside(blueprint, kinds) if g.kind == "switch"]
        n_all = sum(map(blueprint.n_devices, beside))
        n_racks = bill.count("network rack")
        is_full = shelf.n * n_racks <= n_all
        shelf = replace(shelf, what=f"{shelf.what}{'' if is_full else ', at most'}")
        power_w = _switch_power(bill, shelf.n)
        rows.append(RackRow((shelf,), name="network rack", n=n_racks, power_w=power_w, is_full=is_full))
    return rows


def _power(blueprint: Blueprint, bill: Bom, kind: Enclosure, n_boxes: int) -> float | None:
    """Return the power of one rack: of its chassis, or of all devices in it, where it is known."""
    template = template_of(blueprint, kind)
    chassis = [item for item in bill.items if item.kind == "chassis" and item.item == template]
    items = chassis or [item for item in bill.items if item.where in kind.groups and not item.power_in]
    if not items or any(item.power_w is None for item in items):
        return None
    n_all = math.prod(blueprint.axes[axis].size for axis in kind.axes)
    n = sum(item.n for item in chassis) or n_all
    return n_boxes * sum(item.power_w or 0.0 for item in items) / n


def _switch_power(bill: Bom, n_switches: int) -> float | None:
    switches = [item for item in bill.items if item.kind == "switch"]
    if not switches or any(item.power_w is None for item in switches):
        return None
    n = sum(item.n for item in switches)
    return n_switches * sum(item.power_w or 0.0 for item in switches) / n


def racks_title(rows: Sequence[RackRow]) -> str:
    """Return how many racks there are, and what one draws."""
    told = [counted(row.n, row.name) for row in rows if row.n]
    several = sum(row.n is None for row in rows)
    known = [row.power_w for row in rows if row.name == "rack" and row.power_w]
    power = f"; one draws {'up to ' * (several > 1)}{format_power(max(known))}" if known else ""
    kinds = [f"{several} kinds of racks"] if several else []
    return f"{join_words([*kinds, *told])}{power}"


def racks(name: str, fabric: Fabric, bill: Bom) -> Picture:
    """Return the picture of the racks and their rows."""
    rows = rack_rows(fabric, bill)
    title = racks_title(rows)
    return Picture(name, title, svg(lambda: _figure(title, rows, bill), title))


def _scale_note(rows: Sequence[RackRow]) -> str:
    """Return in words what is to scale, and what no file tells."""
    known = [row for row in rows if row.is_to_scale]
    if not known:
        return "Heights are not known: trays and servers are drawn all alike."
    other = [row.name for row in rows if not row.is_to_scale]
    part = f" but in the {join_words(other)}, where they are not known" if other else ""
    blank = (
        " White: units for power shelves, management and blanks." if any(row.whole for row in known) else ""
    )
    return f"Heights by rack unit (U){part}; what stands above what is not in the file.{blank}"


def _figure(title: str, rows: Sequence[RackRow], bill: Bom) -> Figure:
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    plan = bill.floor
    drawn = rows[:2]
    more = f" {counted(len(rows) - 2, 'more kind')} in the table." if len(rows) > 2 else ""
    small = wrap_notes([f"{_scale_note(drawn)}{more} Floor plan, assumed: {plan}."], WIDTH)
    n_high = max(min(row.most_u, _MOST_UNITS) for row in drawn)
    n_racks = bill.count("rack")
    n_rows = min(math.ceil(n_racks / plan.racks_per_row), _ROWS)
    labels = max(sum(len(_label(shelf)) for shelf in row.shelves) for row in drawn)
    body = max(n_high * _UNIT + 0.55, n_rows * _PITCH + 0.85, labels * 0.13 + 0.55)
    foot = 0.3 + NOTE_PITCH * len(small)
    height = 0.24 * len(lines) + 0.4 + body + foot
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)
    top = foot + body
    x = 0.45
    for row in drawn:
        _rack(axes, row, x, top)
        x += _RACK_WIDTH + _LABEL_WIDTH + 0.45
    _floor(axes, (x - 0.2, top), n_racks, plan)
    put_notes(axes, small, foot - 0.2)
    return figure


def _label(shelf: Shelf) -> list[str]:
    """Return the lines that tell what a shelf is."""
    high = f" ({shelf.height.height_u} U)" if shelf.height else ""
    name, _, held = shelf.what.partition(": ")
    return wrap(f"{shelf.n} × {name}{high}{': ' * bool(held)}{held}".split(), _LABEL_WIDTH, 7.5)


def _rack(axes: Axes, row: RackRow, x: float, top: float) -> None:
    """Draw one rack, its shelves from the top, with rack units beside it and what it draws below it."""
    number = "" if row.n is None else f" × {row.n:,}"
    put_text(axes, x, top, f"{row.name}{number}", fontweight="bold", fontsize=9.5)
    shown_u = min(row.most_u, _MOST_UNITS)
    y = top - 0.18
    bottom = y - _UNIT * shown_u
    put_box(axes, x, bottom, _RACK_WIDTH, y - bottom, facecolor="white", edgecolor=INK, lw=1.0)
    if row.is_to_scale:
        for u in range(shown_u - shown_u % 6, 0, -6):
            put_text(axes, x - 0.05, bottom + _UNIT * (u - 0.5), str(u), fontsize=6.5, color=SOFT, ha="right")
    used, at = 0, y
    for shelf in row.shelves:
        colour = COLOURS["scale-up"] if shelf.is_switch else COLOURS["scale-out"]
        begin = y
        for _ in range(shelf.n):
            if used + shelf.each_u > shown_u:
                break
            used += shelf.each_u
            y -= _UNIT * shelf.each_u
            style = {"facecolor": colour, "lw": 0}
            put_box(axes, x + 0.05, y + 0.012, _RACK_WIDTH - 0.1, _UNIT * shelf.each_u - 0.024, **style)
        # A label stands where its shelf begins, and below the one before it.
        at = min(begin - 0.07, at)
        for line in _label(shelf):
            put_text(axes, x + _RACK_WIDTH + 0.08, at, line, fontsize=7.5, color=INK)
            at -= 0.13
    power = f"{row.power} each" if row.power_w else "power not known"
    units = f"{row.used_u} of {row.most_u} U" if row.whole else f"{row.used_u} U"
    told = f"{power}, {units}" if row.is_to_scale else power
    put_text(axes, x, min(bottom, at) - 0.14, told, fontsize=8.5, fontweight="bold")


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
        put_row(
            axes, (x, y - spot / 2), (spot * 0.9, spot), shown, spot, facecolor=COLOURS["scale-out"], lw=0
        )
        y -= _PITCH
    if n_rows > _ROWS:
        left = [
            f"and {format_count(n_rows - _ROWS)} rows more,",
            f"{plan.rows_per_column} in a column of rows",
        ]
        for line in left:
            put_text(axes, x, y, line, fontsize=8, color=SOFT)
            y -= 0.15
        y -= 0.06
    put_text(
        axes, x, y, f"{plan.racks_per_row} racks a row, {plan.rack_pitch_m:g} m apart", fontsize=8, color=SOFT
    )


def racks_table(rows: Sequence[RackRow]) -> str:
    """Return the kinds of racks, what is in one with its height, and its power."""
    cells = [
        [
            row.name,
            "" if row.n is None else format_count(row.n),
            row.power,
            f"{row.used_u} U" if row.is_to_scale else "not known",
        ]
        for row in rows
    ]
    held = bullets(
        escape(f"{row.name}: {'; '.join(f'{s.n} × {s.what}' for s in row.shelves)}") for row in rows
    )
    heights = [shelf.height for row in rows for shelf in row.shelves] + [row.whole for row in rows]
    told = [
        f"Height of {code(h.of)}, {h.height_u} U: {h.evidence.confidence} ({', '.join(h.evidence.source)}; "
        f"{escape(h.note)})."
        for h in dict.fromkeys(h for h in heights if h)
    ]
    head = ["Racks", ">Number", ">Power of one", ">Filled"]
    return "\n\n".join([table(head, cells), held, *([bullets(told)] if told else [])])


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
