"""The cable plan: every cable that is bought, with both ends, ports, racks, medium and length.

::

    a: node0 nic3     rack 0        z: su0-leaf3 swp17s0    rack net0      400 Gb/s   opt_800_sm   30 m

What a board or a backplane holds together is not cabled: its cards are ports of one *box*, a server or tray.
Ports are numbered by a rule that never changes: the cables of a device in the order of the link rules of the
file, of the devices at their other ends, and of parallel cables. Cables that share a port take its lanes in
turn, and a rule starts at a new port.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.census import census
from fabric.blueprint.grid import full_grid
from fabric.blueprint.join import join_parts
from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.errors import LimitError
from fabric.graph.expanded import group_names
from fabric.sizing.boxes import boxes
from fabric.sizing.cable_sides import NetworkRacks, Side, each
from fabric.sizing.cables import CableBatch, CabledNode, PlannedCable, Rows
from fabric.sizing.cabling import media
from fabric.sizing.fittings import is_inside
from fabric.sizing.floor import FloorPlan, lay_out, lengths_between
from fabric.sizing.port_numbers import number_ports

MAX_CABLES = 20_000_000
"""Cables that are listed unless a caller allows more."""
_CHUNK = 20_000  # cables


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
        self._boxes = boxes(self.blueprint)
        self._sides: dict[str, Side] = {}
        self._network_racks = NetworkRacks(self._layout)

    @property
    def n_cables(self) -> int:
        """Cables that `cables` yields."""
        counted = zip(self.blueprint.rules, census(self.blueprint).rules, strict=True)
        return int(sum(tally.total for rule, tally in counted if not is_inside(rule)))

    def side(self, group: str) -> Side:
        """Return the devices of a group as ends of cables."""
        if group not in self._sides:
            box = next((b for b in self._boxes if group in b.groups), None)
            own = self.blueprint.groups[group]
            self._sides[group] = Side(self._grid, own, box, self._layout, self._network_racks)
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

    def _ends(self, rule: Rule, sides: tuple[Side, Side], limit: int) -> tuple[Rows, Rows]:
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
        self, rule: Rule, sides: tuple[Side, Side], rows: tuple[Rows, Rows], numbers: dict[str, Ints]
    ) -> Iterator[CableBatch]:
        if not len(rows[0]):
            return
        taken = number_ports(rule, sides, rows, numbers)
        order = np.lexsort((*taken[0][::-1], rows[0], sides[0].rack[rows[0]]))
        for start in range(0, len(order), _CHUNK):
            at = order[start : start + _CHUNK]
            length_m = self._lengths(rule, sides, (rows[0][at], rows[1][at]))
            names, to_order = media(rule, (sides[0].group, sides[1].group), length_m)
            a, z = (
                side.ends(*(column[at].astype(np.int64) for column in (own, number, lane)))
                for side, own, (number, lane) in zip(sides, rows, taken, strict=True)
            )
            length = each(to_order, lambda few: [None if m != m else m for m in few.tolist()])  # noqa: PLR0124 - NaN
            yield CableBatch(a, z, rule.name, rule.rate_gbps, names, length)

    def _lengths(self, rule: Rule, sides: tuple[Side, Side], rows: tuple[Rows, Rows]) -> Floats:
        if rule.length_m is not None or not self._layout.enclosures:
            return np.full(len(rows[0]), np.nan if rule.length_m is None else rule.length_m)
        left, right = (
            (side.stands, side.place[own].astype(np.int64)) for side, own in zip(sides, rows, strict=True)
        )
        return lengths_between(self._layout.plan, left, right)
