"""The devices of a group as ends of cables: what they, their ports, boxes and racks are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid
from fabric.blueprint.model import DeviceGroup
from fabric.blueprint.site_names import PORT_FIELDS
from fabric.errors import QuestionError
from fabric.graph.expanded import group_names
from fabric.sizing.boxes import box_pattern
from fabric.sizing.cables import CableEnds, Rows
from fabric.sizing.floor import Enclosure, RackLayout, Stands, stands
from fabric.sizing.shelves import groups_beside, inner_axes, servers_in_rack, stack_of, switch_stack
from fabric.text.patterns import NamePattern, read_pattern

_SWITCH_PORT = "swp{n}s{lane}"
_OTHER_PORT = "port{n}s{lane}"


class Side:
    """The devices of one group as ends of cables; lists and arrays are by row of the full grid."""

    def __init__(
        self,
        grid: Grid,
        group: DeviceGroup,
        box: Enclosure | None,
        layout: RackLayout,
        network_racks: NetworkRacks,
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
            self.rack, self._units = network_racks.of(self)
        else:
            self.place = self.rack = np.full(len(self.present), -1, dtype=np.int32)
            self._units = np.zeros_like

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
            each(rows, self.node_names),
            self.port_names(rows, number, lane),
            each(rows, self.rack_names),
            each(self._units(rows), lambda few: [unit or None for unit in few.tolist()]),
            each(rows, lambda few: group_names(self._grid, self.group.name, few)),
        )

    def rack_names(self, rows: Ints) -> list[str]:
        """Return the racks of devices; empty where they are not known."""
        return [self._network_racks.name(n) for n in self.rack[rows].tolist()]

    def node_names(self, rows: Ints) -> list[str]:
        """Return the boxes of devices, or the devices that are in none."""
        blueprint = self._grid.blueprint
        pattern = box_pattern(blueprint, self.box) if self.box else blueprint.site_names.get(self.group.name)
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


UnitsOf = Callable[[Ints], Ints]
"""Says the lowest rack unit of devices by their rows, 0 where it is not known."""
_Text = TypeVar("_Text")
_Values = TypeVar("_Values", Ints, Floats)


def each(values: _Values, named: Callable[[_Values], list[_Text]]) -> list[_Text]:
    """Return what each value is called, equal ones once asked for."""
    few, which = np.unique(values, return_inverse=True)
    return _spread(named(few), which)


def _spread(few: list[_Text], which: Ints) -> list[_Text]:
    array = np.empty(len(few), dtype=object)
    array[:] = few
    spread: list[_Text] = array[which].tolist()
    return spread


class NetworkRacks:
    """Racks of what stands in none with endpoints, filled place by place in the order of the groups."""

    def __init__(self, layout: RackLayout) -> None:
        self._layout = layout
        self._filled: dict[tuple[object, ...], int] = {}
        self._number: dict[tuple[object, ...], int] = {}
        self._first = 1 + max((int(rack.max(initial=0)) for rack in layout.racks), default=0)

    def of(self, side: Side) -> tuple[Rows, UnitsOf]:
        """Return the number of the rack of each device of a group, and who says at which unit some stand.

        Network racks come after the others. A unit is the lowest that a device takes; 0 where it is not
        known, as of switches that stand with servers.
        """
        rack = side.stands.rack.astype(np.int32)[side.place]
        plan = self._layout.plan
        at = np.flatnonzero((rack < 0) & side.present)
        position = []
        for row in at.tolist():
            place = (side.stands.axes, side.stands.served, int(side.place[row]))
            n = self._filled.get(place, 0)
            self._filled[place] = n + 1
            number, stood = divmod(n, plan.switches_per_rack)
            rack[row] = self._first + self._number.setdefault((*place, number), len(self._number))
            position.append(stood)
        blueprint, kinds = self._layout.grid.blueprint, self._layout.enclosures
        kind = next((kind for kind in kinds if side.group.name in kind.groups), None)
        if kind is not None:
            return rack, self._units_inside(side, kind)
        unit = np.zeros(len(rack), dtype=np.int64)
        if all(group.kind == "switch" for group in groups_beside(blueprint, kinds)):
            unit[at] = switch_stack(blueprint, kinds, plan).units(0, np.array(position, dtype=np.int64))
        return rack, lambda rows: unit[rows]

    def _units_inside(self, side: Side, kind: Enclosure) -> UnitsOf:
        """Return who says the rack units of devices in enclosures: of trays in a rack, or of servers."""
        blueprint, plan = self._layout.grid.blueprint, self._layout.plan
        stack = stack_of(blueprint, kind, plan)
        if kind.n_rack_axes != len(kind.axes):
            n = servers_in_rack(blueprint, kind, plan)
            return lambda rows: stack.units(0, side.place[rows].astype(np.int64) % n)
        axis = next(iter(inner_axes(side.group.primitives, kind)), "")
        shelf = [s.axis for s in stack.shelves].index(axis)
        return lambda rows: stack.units(shelf, side.index(axis, rows) if axis else np.zeros_like(rows))

    def name(self, number: int) -> str:
        """Return what a rack is called; nothing where it is not known."""
        if number < 0:
            return ""
        return f"rack{number}" if number < self._first else f"net{number - self._first}"
