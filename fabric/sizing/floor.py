"""From a floor plan to cable lengths.

::

    row 0   [0] [1] [2] [3] [4] [5] [6] [7]      racks in the order of the file's axes, row after row
    row 1   [8] [9] ...  N  ...                  N: switches stand in the middle of what they serve
    ...                                          after so many rows, a column of rows further on

    length = rise + metres along a row + metres across the rows + rise       between racks
    length = in_rack                                                         within one

An *enclosure* is what boards and backplanes hold together: with a backplane a rack, else a server. A device
that serves the enclosures of one rack only stands in it; network racks take no place of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.census import Census, RuleCensus, census_on
from fabric.blueprint.grid import MAX_CLASS_ROWS, Grid, class_grid
from fabric.blueprint.model import Blueprint, DeviceGroup
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.errors import QuestionError
from fabric.sizing.fittings import fittings, is_inside

MAX_RACKS = 1_000_000
"""Most racks in a row, rows in a column, and devices in a rack."""
MAX_PITCH_M = 100_000
"""Longest distance between neighbours."""
MAX_ENCLOSURES = 1_000_000
"""Racks or servers that are put on the floor one by one."""
_NAMES = {"rack": True, "node": False, "server": False}


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """Where racks stand. All defaults are assumptions; a bill prints those that it used.

    Parameters
    ----------
    racks_per_row, rows_per_column : int
        A floor is filled row by row, column of rows by column.
    rack_pitch_m : float
        From rack to rack along a row [m].
    row_pitch_m : float
        From row to row, with the aisle [m].
    column_gap_m : float
        Aisle between two columns of rows [m].
    rise_m : float
        From a port up to the tray over the racks, slack included, at each end of a cable [m].
    in_rack_m : float
        Length of a cable within a rack [m].
    servers_per_rack : int
        For servers that no axis called ``rack`` puts in racks.
    switches_per_rack : int
        In the network racks.
    network_racks : {"middle", "end"}
        In the middle of the servers or racks that they serve, or at the end of the row.

    Raises
    ------
    QuestionError
        If a length is negative or not finite, or a number below 1.
    """

    racks_per_row: int = 16
    rows_per_column: int = 32
    rack_pitch_m: float = 0.6
    row_pitch_m: float = 3.0
    column_gap_m: float = 3.0
    rise_m: float = 2.5
    in_rack_m: float = 2.0
    servers_per_rack: int = 4
    switches_per_rack: int = 16
    network_racks: Literal["middle", "end"] = "middle"

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be built."""
        for name in ("racks_per_row", "rows_per_column", "servers_per_rack", "switches_per_rack"):
            if not 1 <= getattr(self, name) <= MAX_RACKS:
                msg = (
                    f"floor plan: {name} is {getattr(self, name)}; expected at least 1, at most {MAX_RACKS:,}"
                )
                raise QuestionError(msg)
        for name in ("rack_pitch_m", "row_pitch_m", "column_gap_m", "rise_m", "in_rack_m"):
            if not 0 <= getattr(self, name) <= MAX_PITCH_M:
                msg = (
                    f"floor plan: {name} is {getattr(self, name)}; expected metres, from 0 to {MAX_PITCH_M:,}"
                )
                raise QuestionError(msg)
        if self.network_racks not in ("middle", "end"):
            msg = f"floor plan: network_racks is {self.network_racks!r}; expected 'middle' or 'end'"
            raise QuestionError(msg)

    def __str__(self) -> str:
        """Return the plan in words."""
        where = "in the middle" if self.network_racks == "middle" else "at the end of the row"
        return (
            f"{self.racks_per_row} racks a row, {self.rack_pitch_m:g} m apart; {self.rows_per_column} rows a "
            f"column, {self.row_pitch_m:g} m apart; {self.column_gap_m:g} m between columns; "
            f"{self.rise_m:g} m up to the tray at each end, {self.in_rack_m:g} m within a rack; "
            f"{self.servers_per_rack} servers a rack; {self.switches_per_rack} switches a network rack, "
            f"{where} of what they serve"
        )


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Servers or racks of one kind: one for each index on `axes`.

    Parameters
    ----------
    groups : frozenset of str
        Device groups within.
    axes : tuple of str
        Primitive axes, outermost first.
    n_rack_axes : int or None
        How many of them number the racks; None puts `FloorPlan.servers_per_rack` of them in each.
    """

    groups: frozenset[str]
    axes: tuple[str, ...]
    n_rack_axes: int | None


@dataclass(frozen=True, eq=False)
class RackLayout:
    """The devices of a fabric on a floor.

    Parameters
    ----------
    plan : FloorPlan
    grid : Grid
        Classes of devices, of which all of one stand in one place.
    enclosures : tuple of Enclosure
        Empty where the racks are not known.
    racks : tuple of ndarray of int64
        Number of the rack of every enclosure, kind by kind, in the order of the axes.
    why : str
        Why they are not.
    """

    plan: FloorPlan
    grid: Grid
    enclosures: tuple[Enclosure, ...]
    racks: tuple[Ints, ...] = ()
    why: str = ""


def enclosures(blueprint: Blueprint) -> tuple[Enclosure, ...]:
    """Return what holds endpoints: groups that boards and backplanes join, and the axes that they share.

    Without any, an endpoint's axis called ``rack``, ``node`` or ``server`` is one.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> blueprint = loads_blueprint("{fabric: a, include: {fabric: hgx-h100, over: {su: 4, node: 32}}}")
    >>> [(e.axes, e.n_rack_axes) for e in enclosures(blueprint)]
    [(('su', 'node'), None)]
    """
    parts: list[tuple[set[str], set[str], bool]] = []
    for rule in filter(is_inside, blueprint.rules):
        ends = {rule.left_group, rule.right_group}
        axes = set(agreeing_axes(blueprint, rule))
        is_rack = bool(rule.medium) and fittings()[rule.medium].form == "backplane"
        # Union of components: what shares a group is one enclosure, on the axes that all its rules agree on.
        for part in [p for p in parts if p[0] & ends]:
            parts.remove(part)
            ends, axes, is_rack = ends | part[0], axes & part[1], is_rack or part[2]
        parts.append((ends, axes, is_rack))
    endpoints = [g for g in blueprint.groups.values() if g.is_endpoint]
    kinds = [_enclosure(blueprint, g, p) for p in parts for g in endpoints if g.name in p[0]]
    kinds = kinds or [e for g in endpoints for e in _find_by_name(blueprint, g)]
    return tuple({kind.axes: kind for kind in kinds}.values())


def _enclosure(blueprint: Blueprint, group: DeviceGroup, part: tuple[set[str], set[str], bool]) -> Enclosure:
    groups, shared, is_rack = part
    axes = tuple(p for p in group.primitives if p in shared)
    if is_rack:
        return Enclosure(frozenset(groups), axes, len(axes))
    racks = [a for a in group.axes if _word(a) == "rack" and set(blueprint.primitives(a)) <= shared]
    n = axes.index(blueprint.primitives(racks[-1])[-1]) + 1 if racks else None
    return Enclosure(frozenset(groups), axes, n)


def _find_by_name(blueprint: Blueprint, group: DeviceGroup) -> Iterator[Enclosure]:
    """Yield the enclosure that an axis of an endpoint is called by."""
    for axis in group.axes:
        if (is_rack := _NAMES.get(_word(axis))) is not None:
            axes = group.primitives[: group.primitives.index(blueprint.primitives(axis)[-1]) + 1]
            yield Enclosure(frozenset({group.name}), axes, len(axes) if is_rack else None)
            return


def _word(axis: str) -> str:
    """Return the name of an axis without the prefix of its include."""
    return axis.rpartition(".")[2]


def lay_out(blueprint: Blueprint, plan: FloorPlan) -> RackLayout:
    """Put the devices of a blueprint on the floor.

    Parameters
    ----------
    blueprint : Blueprint
    plan : FloorPlan

    Returns
    -------
    RackLayout

    Notes
    -----
    Cost is linear in the enclosures, whatever is in them.
    """
    grid = class_grid(blueprint)
    kinds = enclosures(blueprint)
    if not kinds:
        return RackLayout(
            plan, grid, (), why="no board or backplane holds endpoints, no axis is called rack or node"
        )
    # Refused before anything is listed.
    n = sum(math.prod(blueprint.axes[p].size for p in kind.axes) for kind in kinds)
    if n > MAX_ENCLOSURES:
        return RackLayout(plan, grid, (), why=f"{n:,} racks or servers are more than {MAX_ENCLOSURES:,}")
    # Every place differs from the next, so the axes of enclosures are listed index by index.
    listed = {p: blueprint.axes[p].size for kind in kinds for p in kind.axes}
    reps = {**grid.reps, **{p: np.arange(size, dtype=np.int64) for p, size in listed.items()}}
    listed_grid = Grid(blueprint, reps, {**grid.weights, **{p: np.ones(size) for p, size in listed.items()}})
    if (rows := max(listed_grid.n_rows(g) for g in blueprint.groups)) > MAX_CLASS_ROWS:
        return RackLayout(plan, grid, (), why=f"{rows:,} classes of devices by place are too many")
    return RackLayout(plan, listed_grid, kinds, tuple(_racks(blueprint, plan, kinds)))


def count_racks(layout: RackLayout) -> tuple[int, int] | None:
    """Return the racks with endpoints and the network racks, populated ones; None where not known."""
    if not layout.enclosures:
        return None
    counts = census_on(layout.grid, ())
    n_racks = 0
    for kind, rack in zip(layout.enclosures, layout.racks, strict=True):
        # A rack counts where any group has a device in it that is not absent.
        is_present = np.zeros(len(rack), dtype=np.bool_)
        for group in kind.groups:
            rows = np.flatnonzero(~counts.absent[group])
            is_present[_keys(layout.grid, group, rows, kind.axes)] = True
        n_racks += len(np.unique(rack[is_present]))
    return n_racks, _count_network_racks(layout, counts)


def _count_network_racks(layout: RackLayout, counts: Census) -> int:
    inside = frozenset().union(*(kind.groups for kind in layout.enclosures))
    # Groups that stand in the same places share network racks.
    at: dict[tuple[tuple[str, ...], tuple[int, ...]], Floats] = {}
    for group in layout.grid.blueprint.groups.values():
        if group.name in inside or group.kind not in ("switch", "host"):
            continue
        axes, served = _share_axes(layout, group)
        rows = np.arange(layout.grid.n_rows(group.name), dtype=np.int64)
        _, _, rack = places(layout, group.name)
        # Devices that stand in a rack with endpoints take none.
        n = np.where(counts.absent[group.name] | (rack >= 0), 0.0, counts.n_devices[group.name])
        total = np.bincount(_keys(layout.grid, group.name, rows, axes), n, minlength=_n_keys(layout, axes))
        at[axes, served] = np.asarray(at.get((axes, served), 0.0) + total, dtype=np.float64)
    return int(sum(np.ceil(n / layout.plan.switches_per_rack).sum() for n in at.values()))


@dataclass(frozen=True, eq=False)
class Stands:
    """Where the devices of a group stand, by their place on the axes that they share with enclosures.

    Parameters
    ----------
    axes : tuple of str
        Primitive axes; a place on them is one number, the first axis coarsest.
    served : tuple of int
        Kinds of enclosures that the group serves.
    x_m, y_m : ndarray of float64, shape (n_places,)
        Along the row and across the rows [m].
    rack : ndarray of int64, shape (n_places,)
        Number of the rack with endpoints that it stands in; -1 for a network rack.
    """

    axes: tuple[str, ...]
    served: tuple[int, ...]
    x_m: Floats
    y_m: Floats
    rack: Ints


def places(layout: RackLayout, group: str) -> tuple[Floats, Floats, Ints]:
    """Return where the devices of each row of `group` stand.

    Parameters
    ----------
    layout : RackLayout
        With enclosures.
    group : str

    Returns
    -------
    x_m, y_m : ndarray of float64, shape (n_rows,)
        Along the row and across the rows [m].
    rack : ndarray of int64, shape (n_rows,)
        Number of the rack with endpoints that it stands in; -1 for a network rack.
    """
    at = stands(layout, group)
    own_key = _keys(layout.grid, group, np.arange(layout.grid.n_rows(group), dtype=np.int64), at.axes)
    return at.x_m[own_key], at.y_m[own_key], at.rack[own_key]


def stands(layout: RackLayout, group: str) -> Stands:
    """Return where the devices of `group` stand, by place; the layout has enclosures."""
    axes, served = _share_axes(layout, layout.grid.blueprint.groups[group])
    n = _n_keys(layout, axes)
    rack = np.concatenate([layout.racks[i] for i in served])
    key = np.concatenate([_enclosure_keys(layout, layout.enclosures[i], axes) for i in served])
    plan = layout.plan
    # Racks fill a row, rows fill a column of rows, columns stand side by side.
    row, at = np.divmod(rack, plan.racks_per_row)
    column, row = np.divmod(row, plan.rows_per_column)
    start_m = column * (plan.racks_per_row * plan.rack_pitch_m + plan.column_gap_m)
    # Mean of the racks served: their middle.
    number = np.bincount(key, minlength=n)
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, key, rack)
    np.maximum.at(high, key, rack)
    # What endpoints of several racks share stands at their middle, or at the end of the row.
    is_apart = low != high
    x_m = np.bincount(key, start_m + at * plan.rack_pitch_m, minlength=n) / number
    y_m = np.bincount(key, row * plan.row_pitch_m, minlength=n) / number
    if plan.network_racks == "end":
        last = np.full(n, 0.0)
        np.maximum.at(last, key, start_m + plan.racks_per_row * plan.rack_pitch_m)
        x_m = np.where(is_apart, last, x_m)
    return Stands(axes, served, x_m, y_m, np.where(is_apart, -1, low))


def lengths(layout: RackLayout, joined: RuleCensus) -> Floats:
    """Return the cable length of each pair of classes that one rule joins [m]; NaN where not known.

    Parameters
    ----------
    layout : RackLayout
    joined : RuleCensus
        Counted on the grid of `layout`.
    """
    rule = joined.rule
    if rule.length_m is not None or not layout.enclosures:
        return np.full(len(joined.left), np.nan if rule.length_m is None else rule.length_m)
    plan = layout.plan
    x_m, y_m, rack = zip(*(places(layout, group) for group in rule.groups), strict=True)
    # Cables run along trays at right angles: Manhattan distance, and up and down at both ends.
    along = np.abs(x_m[0][joined.left] - x_m[1][joined.right])
    across = np.abs(y_m[0][joined.left] - y_m[1][joined.right])
    left_rack, right_rack = rack[0][joined.left], rack[1][joined.right]
    return _length(plan, left_rack, right_rack, along + across)


def _length(plan: FloorPlan, left_rack: Ints, right_rack: Ints, way_m: Floats) -> Floats:
    is_within = (left_rack == right_rack) & (left_rack >= 0)
    return np.where(is_within, plan.in_rack_m, 2 * plan.rise_m + way_m)


def lengths_between(plan: FloorPlan, left: tuple[Stands, Ints], right: tuple[Stands, Ints]) -> Floats:
    """Return the length of cables between devices, each given by its place [m]."""
    (one, at), (other, to) = left, right
    way_m = np.abs(one.x_m[at] - other.x_m[to]) + np.abs(one.y_m[at] - other.y_m[to])
    return _length(plan, one.rack[at], other.rack[to], way_m)


def _share_axes(layout: RackLayout, group: DeviceGroup) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the axes that a group shares with enclosures, and the kinds that it shares most with."""
    shared = [tuple(p for p in kind.axes if p in group.primitives) for kind in layout.enclosures]
    inside = [i for i, kind in enumerate(layout.enclosures) if group.name in kind.groups]
    # A group within an enclosure has its axes; another stands by those that it shares most of.
    most = shared[inside[0]] if inside else max(shared, key=len)
    return most, tuple(i for i, axes in enumerate(shared) if axes == most)


def _racks(blueprint: Blueprint, plan: FloorPlan, kinds: tuple[Enclosure, ...]) -> Iterator[Ints]:
    """Yield the racks of each kind of enclosure; kinds stand one after another."""
    first = 0
    for kind in kinds:
        sizes = [blueprint.axes[p].size for p in kind.axes]
        in_rack = plan.servers_per_rack if kind.n_rack_axes is None else math.prod(sizes[kind.n_rack_axes :])
        rack = first + np.arange(math.prod(sizes), dtype=np.int64) // in_rack
        first = int(rack[-1]) + 1
        yield rack


def _n_keys(layout: RackLayout, axes: tuple[str, ...]) -> int:
    return math.prod(layout.grid.blueprint.axes[p].size for p in axes)


def _keys(grid: Grid, group: str, rows: Ints, axes: tuple[str, ...]) -> Ints:
    """Return one number for each row by its place on `axes`, all of them listed on the grid."""
    # Mixed radix: a place on the axes as one number, the first axis coarsest.
    key = np.zeros(len(rows), dtype=np.int64)
    for p in axes:
        key = key * grid.blueprint.axes[p].size + grid.digit(group, rows, p)
    return key


def _enclosure_keys(layout: RackLayout, kind: Enclosure, axes: tuple[str, ...]) -> Ints:
    sizes = {p: layout.grid.blueprint.axes[p].size for p in kind.axes}
    index = np.arange(math.prod(sizes.values()), dtype=np.int64)
    digit = {}
    # The number of an enclosure taken apart into its digits, the last axis first.
    for p in reversed(kind.axes):
        index, digit[p] = np.divmod(index, sizes[p])
    key = np.zeros(len(index), dtype=np.int64)
    for p in axes:
        key = key * sizes[p] + digit[p]
    return key
