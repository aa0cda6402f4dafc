"""The cable plan: every cable that is bought, with both ends, ports, racks, medium and length.

::

    a: node0 nic3     rack 0        z: su0-leaf3 swp17s0    rack net0      400 Gb/s   opt_800_sm   30 m

What a board or a backplane holds together is not cabled: its cards are ports of one *box*, a server or tray.
Ports are numbered by a rule that never changes: the cables of a device in the order of the link rules of the
file, of the devices at their other ends, and of parallel cables. Cables that share a port take its lanes in
turn, and a rule starts at a new port.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.census import census
from fabric.blueprint.grid import Grid, full_grid
from fabric.blueprint.join import join_parts
from fabric.blueprint.model import Blueprint, DeviceGroup, Rule
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.blueprint.site_names import PORT_FIELDS
from fabric.errors import LimitError, QuestionError
from fabric.graph.expanded import group_names
from fabric.parts import cables_per_port
from fabric.sizing.cabling import media
from fabric.sizing.fittings import fittings, is_inside
from fabric.sizing.floor import (
    Enclosure,
    FloorPlan,
    RackLayout,
    Stands,
    enclosures,
    lay_out,
    lengths_between,
    stands,
)
from fabric.text.patterns import NamePattern, read_pattern

MAX_CABLES = 20_000_000
"""Cables that are listed unless a caller allows more."""
Rows = npt.NDArray[np.int32]
"""As `Ints`, of which the cables of a rule have several for each of millions."""
_SWITCH_PORT = "swp{n}s{lane}"
_OTHER_PORT = "port{n}s{lane}"
_CHUNK = 20_000  # cables
_BOX_AXES = ("node", "server", "tray", "host")
"""Axes whose indices are boxes, whatever boards are in them."""


class CableEnd(NamedTuple):
    """One end of a cable.

    Parameters
    ----------
    node : str
        The box or the device, as it is called at the site or, without names, as in the file.
    port : str
    rack : str
        Empty where racks are not known.
    device : str
        The device in the words of the file.
    """

    node: str
    port: str
    rack: str
    device: str


class PlannedCable(NamedTuple):
    """One cable.

    Parameters
    ----------
    a, z : CableEnd
        The lower and the upper side of the rule.
    rule : str
    rate_gbps : float
        Per direction [Gb/s].
    medium : str
        Empty where not known.
    length_m : float or None
        To order [m].
    """

    a: CableEnd
    z: CableEnd
    rule: str
    rate_gbps: float
    medium: str
    length_m: float | None

    @property
    def label(self) -> str:
        """What stands on both ends of the cable."""
        return f"{self.a.node}:{self.a.port} - {self.z.node}:{self.z.port}"


class CableEnds(NamedTuple):
    """The same end of many cables, as columns; see `CableEnd`."""

    node: list[str]
    port: list[str]
    rack: list[str]
    device: list[str]


class CableBatch(NamedTuple):
    """Many cables of one rule, as columns; see `PlannedCable`.

    Equal texts of a column are one object, so that what is done to each can be done once.
    """

    a: CableEnds
    z: CableEnds
    rule: str
    rate_gbps: float
    medium: list[str]
    length_m: list[float | None]

    def labels(self) -> list[str]:
        """Return what stands on both ends of each cable; see `PlannedCable.label`."""
        sides = zip(self.a.node, self.a.port, self.z.node, self.z.port, strict=True)
        return [f"{a}:{p} - {z}:{q}" for a, p, z, q in sides]

    def cables(self) -> Iterator[PlannedCable]:
        """Yield the cables one by one."""
        ends = (itertools.starmap(CableEnd, zip(*side, strict=True)) for side in (self.a, self.z))
        for a, z, medium, length_m in zip(*ends, self.medium, self.length_m, strict=True):
            yield PlannedCable(a, z, self.rule, self.rate_gbps, medium, length_m)


class CabledNode(NamedTuple):
    """A box, or a device in none, that cables end at.

    Parameters
    ----------
    name : str
    group : str
        Its device group; of a box the first of those in it that are cabled.
    is_switch : bool
    part : str
        Empty for a box, and where not known.
    rack : str
    level : int
        Steps above the lowest nodes, along the link rules.
    """

    name: str
    group: str
    is_switch: bool
    part: str
    rack: str
    level: int


class CablePlan:
    """The cables of a fabric, listed rule by rule when they are asked for.

    Parameters
    ----------
    blueprint : Blueprint
        With whole boxes.
    floor : FloorPlan
    limit : int
        Refuse to list more cables than this.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 2, s: 2}, devices: {node: {kind: host, axes: [i], endpoint: true}, "
    >>> text += "leaf: {kind: switch, axes: [s]}}, links: [{between: [node, leaf], rate: 400Gb/s}]}"
    >>> [cable.label for cable in CablePlan(loads_blueprint(text)).cables()][:2]
    ['node0:port1 - leaf0:swp1', 'node0:port2 - leaf1:swp1']
    """

    def __init__(
        self, blueprint: Blueprint, floor: FloorPlan | None = None, *, limit: int = MAX_CABLES
    ) -> None:
        self.blueprint = blueprint.whole
        self.limit = limit
        self.n_listed = 0
        """Cables that the last listing has yielded so far."""
        self.rules = tuple(rule for rule in self.blueprint.rules if not is_inside(rule))
        self._layout = lay_out(self.blueprint, floor or FloorPlan())
        self._grid = full_grid(self.blueprint)
        self._boxes = _boxes(self.blueprint)
        self._sides: dict[str, _Side] = {}
        self._network_racks = _NetworkRacks(self._layout)

    @property
    def n_cables(self) -> int:
        """Cables that `cables` yields."""
        counted = zip(self.blueprint.rules, census(self.blueprint).rules, strict=True)
        return int(sum(tally.total for rule, tally in counted if not is_inside(rule)))

    def side(self, group: str) -> _Side:
        """Return the devices of a group as ends of cables."""
        if group not in self._sides:
            box = next((b for b in self._boxes if group in b.groups), None)
            own = self.blueprint.groups[group]
            self._sides[group] = _Side(self._grid, own, box, self._layout, self._network_racks)
        return self._sides[group]

    def cables(self) -> Iterator[PlannedCable]:
        """Yield the cables, by rule, and of a rule in the order of the racks and devices of its lower side.

        Raises
        ------
        LimitError
            If there are more than `limit`.
        """
        for batch in self.batches():
            yield from batch.cables()

    def batches(self) -> Iterator[CableBatch]:
        """Yield the cables in the same order, many at a time.

        Raises
        ------
        LimitError
            If there are more than `limit`.
        """
        numbers = {
            group: np.zeros(self._grid.n_rows(group), dtype=np.int64) for group in self.blueprint.groups
        }
        n_due = self.n_listed = 0
        for rule in self.rules:
            sides = self.side(rule.left_group), self.side(rule.right_group)
            rows = self._ends(rule, sides, self.limit - n_due)
            n_due += len(rows[0])
            for batch in self._of_rule(rule, sides, rows, numbers):
                self.n_listed += len(batch.medium)
                yield batch
            # Those of the next rule need the room.
            del rows

    def nodes(self) -> Iterator[CabledNode]:
        """Yield the boxes and devices that cables end at, the lowest first; without cables, endpoints."""
        levels = self._levels()
        seen: set[str] = set()
        for group in sorted(levels, key=lambda name: levels[name]):
            side = self.side(group)
            own = side.group
            part = own.part.id if own.part and side.box is None else ""
            rows = np.flatnonzero(side.present)
            for name, rack in zip(side.node_names(rows), side.rack_names(rows), strict=True):
                if name not in seen:
                    seen.add(name)
                    yield CabledNode(name, group, own.kind == "switch", part, rack, levels[group])

    def nodes_of_devices(self) -> dict[str, str]:
        """Return the node of every device of the file that is in a box, or that cables end at."""
        node_of: dict[str, str] = {}
        cabled = self._cabled()
        for group in self.blueprint.groups:
            side = self.side(group)
            if side.box is None and group not in cabled:
                continue
            rows = np.flatnonzero(side.present)
            node_of |= zip(group_names(self._grid, group, rows), side.node_names(rows), strict=True)
        return node_of

    def domains(self) -> dict[str, str]:
        """Return the scale-up domain of every node that is no switch; a node in none is its own."""
        domain: dict[str, str] = {}
        rules = [rule for rule in self.blueprint.rules if rule.net == "scale-up"]
        for group in self._cabled():
            side = self.side(group)
            if side.group.kind == "switch":
                continue
            inside = side.box.groups if side.box else {group}
            shared = [set(agreeing_axes(self.blueprint, rule)) for rule in rules if inside & set(rule.groups)]
            axes = set.intersection(set(side.group.primitives), *shared) if shared else set()
            # What is as wide as the box, or wider than it, is a domain of the box alone.
            whole = set(side.box.axes) if side.box else set(side.group.primitives)
            rows = np.flatnonzero(side.present)
            nodes = side.node_names(rows)
            names = nodes if not shared or axes >= whole else side.names_on(axes, rows)
            for node, name in zip(nodes, names, strict=True):
                domain.setdefault(node, name)
        return domain

    def _cabled(self) -> list[str]:
        """Return the groups that cables end at; where there are no cables, those of endpoints."""
        ends = [group for rule in self.rules for group in rule.groups]
        return list(dict.fromkeys(ends)) or [g.name for g in self.blueprint.groups.values() if g.is_endpoint]

    def _levels(self) -> dict[str, int]:
        """Return how far above the lowest the groups are that cables end at."""
        oriented = [r for r in self.rules if not r.is_peer]
        levels = dict.fromkeys(self._cabled(), 0)
        # One round per group settles the longest chain; orientation that runs in a circle stops there too.
        for _ in levels:
            for rule in oriented:
                levels[rule.right_group] = max(levels[rule.right_group], levels[rule.left_group] + 1)
            if max(levels.values(), default=0) > len(levels):
                break
        return levels

    def _ends(self, rule: Rule, sides: tuple[_Side, _Side], limit: int) -> tuple[Rows, Rows]:
        """Return the rows of the devices at both ends of each cable of a rule."""
        ends: tuple[list[Rows], list[Rows]] = ([], [])
        n = 0
        for part in join_parts(self._grid, rule):
            is_present = sides[0].present[part.left] & sides[1].present[part.right]
            count = part.count[is_present]
            n += int(count.sum())
            if n > limit:
                msg = f"{self.blueprint.name} has more than {self.limit:,} cables; list a part of it"
                raise LimitError(msg)
            for own, rows in zip(ends, (part.left, part.right), strict=True):
                own.append(np.repeat(rows[is_present].astype(np.int32), count))
        return np.concatenate(ends[0]), np.concatenate(ends[1])

    def _of_rule(
        self, rule: Rule, sides: tuple[_Side, _Side], rows: tuple[Rows, Rows], numbers: dict[str, Ints]
    ) -> Iterator[CableBatch]:
        if not len(rows[0]):
            return
        taken = _number_ports(rule, sides, rows, numbers)
        order = np.lexsort((*taken[0][::-1], rows[0], sides[0].rack[rows[0]]))
        for start in range(0, len(order), _CHUNK):
            at = order[start : start + _CHUNK]
            length_m = self._lengths(rule, sides, (rows[0][at], rows[1][at]))
            names, to_order = media(rule, (sides[0].group, sides[1].group), length_m)
            a, z = (
                side.ends(*(column[at].astype(np.int64) for column in (own, number, lane)))
                for side, own, (number, lane) in zip(sides, rows, taken, strict=True)
            )
            length = _each(to_order, lambda few: [None if m != m else m for m in few.tolist()])  # noqa: PLR0124 - NaN
            yield CableBatch(a, z, rule.name, rule.rate_gbps, names, length)

    def _lengths(self, rule: Rule, sides: tuple[_Side, _Side], rows: tuple[Rows, Rows]) -> Floats:
        if rule.length_m is not None or not self._layout.enclosures:
            return np.full(len(rows[0]), np.nan if rule.length_m is None else rule.length_m)
        left, right = (
            (side.stands, side.place[own].astype(np.int64)) for side, own in zip(sides, rows, strict=True)
        )
        return lengths_between(self._layout.plan, left, right)


class _Side:
    """The devices of one group as ends of cables; lists and arrays are by row of the full grid."""

    def __init__(
        self,
        grid: Grid,
        group: DeviceGroup,
        box: Enclosure | None,
        layout: RackLayout,
        network_racks: _NetworkRacks,
    ) -> None:
        blueprint = grid.blueprint
        self.group, self.box = group, box
        self._grid = grid
        self.present: Bools = ~grid.mask(group.name, blueprint.absent)
        self._port_pattern = blueprint.port_names.get(group.name)
        self._network_racks = network_racks
        if layout.enclosures:
            self.stands: Stands = stands(layout, group.name)
            self.place = self._key(self.stands.axes)
            self.rack = network_racks.of(self)
        else:
            self.place = self.rack = np.full(len(self.present), -1, dtype=np.int32)

    def index(self, axis: str, rows: Ints) -> Ints:
        """Return the index of devices on one of the axes of their group."""
        return self._grid.index(self.group.name, rows, axis)

    def _key(self, axes: Sequence[str]) -> Rows:
        rows = np.arange(len(self.present), dtype=np.int64)
        key = np.zeros(len(rows), dtype=np.int64)
        for p in axes:
            key = key * self._grid.blueprint.axes[p].size + self.index(p, rows)
        return key.astype(np.int32)

    def ends(self, rows: Ints, number: Ints, lane: Ints) -> CableEnds:
        """Return ends of cables, each by the row of its device, its port, and its lane, -1 for all of it."""
        return CableEnds(
            _each(rows, self.node_names),
            self.port_names(rows, number, lane),
            _each(rows, self.rack_names),
            _each(rows, lambda few: group_names(self._grid, self.group.name, few)),
        )

    def rack_names(self, rows: Ints) -> list[str]:
        """Return the racks of devices; empty where they are not known."""
        return [self._network_racks.name(n) for n in self.rack[rows].tolist()]

    def node_names(self, rows: Ints) -> list[str]:
        """Return the boxes of devices, or the devices that are in none."""
        blueprint = self._grid.blueprint
        pattern = _box_pattern(blueprint, self.box) if self.box else blueprint.site_names.get(self.group.name)
        if pattern is not None:
            return self._show(pattern, list(dict.fromkeys(pattern.fields)), [], rows)
        if self.box is not None:
            return self.names_on(set(self.box.axes), rows)
        return [name.replace("/", "-") for name in group_names(self._grid, self.group.name, rows)]

    def names_on(self, primitives: set[str], rows: Ints) -> list[str]:
        """Return what devices share by some of their axes, such as ``su0-rack3``; else the fabric."""
        blueprint, names = self._grid.blueprint, []
        left = set(primitives)
        for axis in (*self.group.axes, *self.group.primitives):
            if set(blueprint.primitives(axis)) <= left:
                names.append(axis)
                left -= set(blueprint.primitives(axis))
        columns = [[f"{axis}{i}" for i in self.index(axis, rows).tolist()] for axis in names]
        return ["-".join(at) for at in zip(*columns, strict=True)] if names else [blueprint.name] * len(rows)

    def _show(self, pattern: NamePattern, own: list[str], given: list[Ints], rows: Ints) -> list[str]:
        """Return the names by a pattern: at the indices on the axes `own`, after the columns `given`."""
        fields = (*(PORT_FIELDS if given else ()), *own)
        columns = [*given, *(self.index(name, rows) for name in own)]
        if not columns:
            return [pattern.text] * len(rows)
        # A port that no cables share is named without its lane.
        whole = pattern.without("lane")

        def shown(at: tuple[int, ...]) -> str:
            told = whole if given and at[1] < 0 else pattern
            return told.show(dict(zip(fields, at, strict=True)))

        # Few combinations stand for many rows: each has a number, and is shown once.
        code = np.zeros(len(rows), dtype=np.int64)
        for column in columns:
            code = code * (int(column.max(initial=0)) + 2) + column + 1
        _, first, which = np.unique(code, return_index=True, return_inverse=True)
        few = zip(*(column[first].tolist() for column in columns), strict=True)
        return _spread([shown(at) for at in few], which)

    def port_names(self, rows: Ints, number: Ints, lane: Ints) -> list[str]:
        """Return the names of ports.

        Raises
        ------
        QuestionError
            If two ports of a node would have the same.
        """
        pattern = self._port_pattern or self._default_ports()
        self._check(pattern, number, lane)
        own = [name for name in dict.fromkeys(pattern.fields) if name not in PORT_FIELDS]
        return self._show(pattern, own, [number, lane], rows)

    def _default_ports(self) -> NamePattern:
        if self.box is None:
            return read_pattern(_SWITCH_PORT if self.group.kind == "switch" else _OTHER_PORT, PORT_FIELDS)
        # A card has one name in its box, whatever axes number it there.
        card = "x".join(f"{{{axis}}}" for axis in self._inner)
        return read_pattern(f"{self.group.name}{card}p{{n}}s{{lane}}", [*PORT_FIELDS, *self._inner])

    @property
    def _inner(self) -> list[str]:
        """Axes that tell the cards of one box apart: as the group is placed on them, where they are whole."""
        assert self.box is not None
        inside = [p for p in self.group.primitives if p not in self.box.axes]
        primitives = self._grid.blueprint.primitives
        return [a for a in self.group.axes if set(primitives(a)) <= set(inside)] or inside

    def _check(self, pattern: NamePattern, number: Ints, lane: Ints) -> None:
        """Refuse names by which two ports of one node cannot be told apart."""
        fields = set(pattern.fields)
        missing = []
        if number.max(initial=1) > 1 and "n" not in fields:
            missing.append("n")
        if lane.max(initial=-1) >= 0 and "lane" not in fields:
            missing.append("lane")
        primitives = self._grid.blueprint.primitives
        told = {p for name in fields if name not in PORT_FIELDS for p in primitives(name)}
        sizes = self._grid.blueprint.axes
        if self.box is not None:
            missing += [
                a for a in self._inner if any(sizes[p].size > 1 and p not in told for p in primitives(a))
            ]
        if missing:
            where = f"ports of {self.group.name}"
            msg = f"{where}: {pattern.text!r} is the same for several; add {{{missing[0]}}}"
            raise QuestionError(msg)


_Text = TypeVar("_Text")
_Values = TypeVar("_Values", Ints, Floats)


def _each(values: _Values, named: Callable[[_Values], list[_Text]]) -> list[_Text]:
    """Return what each value is called, equal ones once asked for."""
    few, which = np.unique(values, return_inverse=True)
    return _spread(named(few), which)


def _spread(few: list[_Text], which: Ints) -> list[_Text]:
    array = np.empty(len(few), dtype=object)
    array[:] = few
    spread: list[_Text] = array[which].tolist()
    return spread


class _NetworkRacks:
    """Racks of what stands in none with endpoints, filled place by place in the order of the groups."""

    def __init__(self, layout: RackLayout) -> None:
        self._layout = layout
        self._filled: dict[tuple[object, ...], int] = {}
        self._number: dict[tuple[object, ...], int] = {}
        self._first = 1 + max((int(rack.max(initial=0)) for rack in layout.racks), default=0)

    def of(self, side: _Side) -> Rows:
        """Return the number of the rack of each device of a group; network racks come after the others."""
        rack = side.stands.rack.astype(np.int32)[side.place]
        for row in np.flatnonzero((rack < 0) & side.present).tolist():
            place = (side.stands.axes, side.stands.served, int(side.place[row]))
            n = self._filled[place] = self._filled.get(place, 0) + 1
            key = (*place, (n - 1) // self._layout.plan.switches_per_rack)
            rack[row] = self._first + self._number.setdefault(key, len(self._number))
        return rack

    def name(self, number: int) -> str:
        """Return what a rack is called; nothing where it is not known."""
        if number < 0:
            return ""
        return f"rack{number}" if number < self._first else f"net{number - self._first}"


def _boxes(blueprint: Blueprint) -> tuple[Enclosure, ...]:
    """Return the servers and trays: what boards hold together, or else what an axis is called by."""
    boards = tuple(rule for rule in blueprint.rules if not _is_backplane(rule))
    boxes = (_as_called(blueprint, box) for box in enclosures(replace(blueprint, rules=boards)))
    return tuple(
        box
        for box in boxes
        # A rack is no box, and neither is a device alone.
        if box.n_rack_axes is None or box.n_rack_axes < len(box.axes)
        if len(box.groups) > 1 or any(set(blueprint.groups[g].primitives) > set(box.axes) for g in box.groups)
    )


def _as_called(blueprint: Blueprint, box: Enclosure) -> Enclosure:
    """Return a box that is all of a node or tray where the file has one: boards of one server are one box."""
    for axis in blueprint.axes if len(box.groups) > 1 else ():
        primitives = blueprint.primitives(axis)
        if axis.rpartition(".")[2] not in _BOX_AXES or not set(primitives) <= set(box.axes):
            continue
        axes = box.axes[: box.axes.index(primitives[-1]) + 1]
        if axes != box.axes and (box.n_rack_axes or 0) < len(axes):
            return replace(box, axes=axes)
    return box


def _is_backplane(rule: Rule) -> bool:
    return bool(rule.medium) and fittings()[rule.medium].form == "backplane"


def _box_pattern(blueprint: Blueprint, box: Enclosure) -> NamePattern | None:
    """Return what boxes are called: by the axis that they are along, or as a group that each has one of.

    Raises
    ------
    QuestionError
        If the names do not tell them apart.
    """
    along = [axis for axis in blueprint.site_names if axis in blueprint.axes]
    for axis in along:
        primitives = set(blueprint.primitives(axis))
        if box.axes and box.axes[-1] in primitives and primitives <= set(box.axes):
            pattern = blueprint.site_names[axis]
            told = {p for name in pattern.fields for p in blueprint.primitives(name)}
            apart = [p for p in box.axes if blueprint.axes[p].size > 1 and p not in told]
            if apart or not told <= set(box.axes):
                wrong = apart[0] if apart else sorted(told - set(box.axes))[0]
                todo = f"add {{{wrong}}}" if apart else f"they are not on the axis {wrong}"
                msg = f"names of {axis}: {pattern.text!r} is no name of servers; {todo}"
                raise QuestionError(msg)
            return pattern
    for group in blueprint.groups.values():
        if group.name in box.groups and set(group.primitives) == set(box.axes):
            if group.name in blueprint.site_names:
                return blueprint.site_names[group.name]
    return None


def _number_ports(
    rule: Rule, sides: tuple[_Side, _Side], rows: tuple[Rows, Rows], numbers: dict[str, Ints]
) -> list[tuple[Rows, Rows]]:
    """Return port and lane of each cable at its two ends, and count up `numbers`, the ports taken so far."""
    tail, head = rows
    if sides[0] is not sides[1]:
        return [
            _take_ports(rule, sides[0], tail, head, numbers),
            _take_ports(rule, sides[1], head, tail, numbers),
        ]
    # A device of one group is at the lower end of some cables and at the upper end of others.
    ends = np.concatenate([tail, head]), np.concatenate([head, tail])
    number, lane = _take_ports(rule, sides[0], *ends, numbers)
    n = len(tail)
    return [(number[:n], lane[:n]), (number[n:], lane[n:])]


def _take_ports(
    rule: Rule, side: _Side, rows: Rows, partner: Rows, numbers: dict[str, Ints]
) -> tuple[Rows, Rows]:
    lanes = _lanes(rule, side.group)
    order = np.lexsort((partner, rows))  # stable, so that parallel cables keep their order
    n_cables = np.bincount(rows, minlength=len(numbers[side.group.name]))
    start = (np.cumsum(n_cables) - n_cables).astype(np.int32)
    rank = np.empty(len(rows), dtype=np.int32)
    rank[order] = np.arange(len(rows), dtype=np.int32)
    del order
    rank -= start[rows]
    lane = rank % np.int32(lanes) if lanes > 1 else np.broadcast_to(np.int32(-1), len(rows))
    rank //= np.int32(lanes)
    rank += (numbers[side.group.name] + 1).astype(np.int32)[rows]
    numbers[side.group.name] += -(-n_cables // lanes)
    return rank, lane


def _lanes(rule: Rule, group: DeviceGroup) -> int:
    """Return how many cables of a rule share a port of a device."""
    port = next((p for p in group.part.ports if p.name == rule.port_class), None) if group.part else None
    return int(cables_per_port(port, rule.rate_gbps) + 1e-9) if port is not None and port.modes else 1
