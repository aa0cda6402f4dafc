"""The devices of a fabric by the server or tray that they stand in, for formats that have boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint
from fabric.graph import Expanded, Fabric
from fabric.graph.expanded import expand
from fabric.sizing.cable_plan import CablePlan


@dataclass(frozen=True, eq=False)
class Boxes:
    """A fabric as arrays, and what its devices stand in.

    Parameters
    ----------
    blueprint : Blueprint
        With whole boxes.
    expanded : Expanded
    names : sequence of str
        What each box is called at the site, in the order of their first devices.
    of : ndarray of int64, shape (n,)
        The box of each device; -1 for a device in none.
    inner : mapping of str to tuple of str
        Of each group in a box, the axes that tell its devices in one box apart.
    plan : CablePlan
    """

    blueprint: Blueprint
    expanded: Expanded
    names: Sequence[str]
    of: Ints
    inner: dict[str, tuple[str, ...]]
    plan: CablePlan

    @cached_property
    def node_of(self) -> dict[str, str]:
        """What the plan calls the node of a device; see `CablePlan.nodes_of_devices`."""
        return self.plan.nodes_of_devices()

    @cached_property
    def devices(self) -> list[list[int]]:
        """Devices of each box, ascending."""
        devices: list[list[int]] = [[] for _ in self.names]
        for v, box in enumerate(self.of.tolist()):
            if box >= 0:
                devices[box].append(v)
        return devices

    @cached_property
    def bundles(self) -> list[list[int]]:
        """Cable bundles inside each box, ascending."""
        e = self.expanded
        tail, head = self.of[e.tail], self.of[e.head]
        bundles: list[list[int]] = [[] for _ in self.names]
        for k in np.flatnonzero((tail == head) & (tail >= 0) & (e.alive > 0)).tolist():
            bundles[tail[k]].append(k)
        return bundles


def boxes_of(fabric: Fabric, purpose: str) -> Boxes:
    """Return a fabric by its boxes.

    Raises
    ------
    QuestionError
        If the fabric was read from a graph.
    LimitError
        If it is too large to be listed.
    """
    plan = CablePlan(fabric.axes_or_refuse(purpose))
    blueprint = plan.blueprint
    e = expand(blueprint)
    of = np.full(e.n_devices, -1, dtype=np.int64)
    number: dict[str, int] = {}
    inner: dict[str, tuple[str, ...]] = {}
    for g, info in enumerate(e.groups):
        side = plan.side(info.name)
        if side.box is None:
            continue
        own = np.flatnonzero(e.group == g)
        primitives = blueprint.groups[info.name].primitives
        inner[info.name] = tuple(p for p in primitives if p not in side.box.axes)
        rows = np.zeros(len(own), dtype=np.int64)
        for p in primitives:
            rows = rows * blueprint.axes[p].size + e.coordinates[p][own]
        names = side.node_names(rows)
        of[own] = [number.setdefault(name, len(number)) for name in names]
    return Boxes(blueprint, e, list(number), of, inner, plan)
