"""What stands in a rack from the top down, by rack units, and at which unit each device stands.

::

    U48  tray0      shelves in the order of the groups of the file, each index of their axis in turn;
    U47  tray1      a device is at the lowest unit that it takes
    ...
    U1              what no file tells (power shelves, management, blanks) is below
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint, DeviceGroup
from fabric.sizing.floor import Enclosure, FloorPlan
from fabric.sizing.heights import Height, all_heights
from fabric.text.words import counted, join_words, noun


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
    height : Height or None
        Of one; None where not known.
    axis : str
        Primitive axis whose indices they are; empty where it is not one axis.
    """

    what: str
    n: int
    is_switch: bool
    height: Height | None = None
    axis: str = ""

    @property
    def each_u(self) -> int:
        """Rack units that one takes in the picture."""
        return self.height.height_u if self.height else 1


@dataclass(frozen=True, slots=True)
class Stack:
    """What stands in a rack, from the top down.

    Parameters
    ----------
    shelves : tuple of Shelf
    whole : Height or None
        Of the rack itself.
    """

    shelves: tuple[Shelf, ...]
    whole: Height | None = None

    @property
    def is_to_scale(self) -> bool:
        """Whether the height of everything in it is known."""
        return all(shelf.height for shelf in self.shelves)

    @property
    def used_u(self) -> int:
        """Rack units that are taken in the picture."""
        return sum(shelf.n * shelf.each_u for shelf in self.shelves)

    @property
    def most_u(self) -> int:
        """Rack units of the picture, those that are free among them."""
        return max(self.used_u, self.whole.height_u if self.whole and self.is_to_scale else 0)

    def units(self, shelf: int, index: Ints) -> Ints:
        """Return the lowest rack unit of those at some indices of a shelf; 0 where heights are not known."""
        if not self.is_to_scale:
            return np.zeros_like(index)
        above = sum(s.n * s.each_u for s in self.shelves[:shelf])
        return self.most_u - above - (index + 1) * self.shelves[shelf].each_u + 1


def stack_of(blueprint: Blueprint, kind: Enclosure, plan: FloorPlan) -> Stack:
    """Return what is in a rack with enclosures of a kind: the trays of one, or so many servers."""
    groups = [g for g in blueprint.groups.values() if g.name in kind.groups]
    template = template_of(blueprint, kind)
    if kind.n_rack_axes == len(kind.axes):
        # One backplane: its trays are the places on the first axis inside the rack.
        by_axis: dict[str, list[str]] = {}
        switches: dict[str, bool] = {}
        for group in groups:
            first, *inner = inner_axes(group.primitives, kind) or ("",)
            n = math.prod(blueprint.axes[axis].size for axis in inner)
            by_axis.setdefault(first, []).append(counted(n, group.name))
            switches[first] = switches.get(first, True) and group.kind == "switch"
        shelves = tuple(
            Shelf(
                f"{axis or 'rack'}: {join_words(what)}",
                blueprint.axes[axis].size if axis else 1,
                switches[axis],
                all_heights().get(f"{template}/{axis}"),
                axis,
            )
            for axis, what in by_axis.items()
        )
        return Stack(shelves, all_heights().get(template))
    held = [
        counted(math.prod(blueprint.axes[a].size for a in inner_axes(g.primitives, kind)), g.name)
        for g in groups
    ]
    n_all = math.prod(blueprint.axes[axis].size for axis in kind.axes)
    n = min(servers_in_rack(blueprint, kind, plan), n_all)
    return Stack(
        (Shelf(f"server: {join_words(held)}", n, is_switch=False, height=all_heights().get(template)),)
    )


def switch_stack(blueprint: Blueprint, kinds: tuple[Enclosure, ...], plan: FloorPlan) -> Stack:
    """Return what is in a network rack: switches, of a height where all have one."""
    beside = [g for g in groups_beside(blueprint, kinds) if g.kind == "switch"]
    found = {all_heights().get(g.part.id) if g.part else None for g in beside}
    # Switches of several heights stand in one rack: which, nobody said.
    height = found.pop() if len(found) == 1 else None
    n_all = sum(blueprint.n_devices(g.name) for g in beside)
    names = join_words([noun(g.name, 2) for g in beside])
    n = min(plan.switches_per_rack, n_all)
    return Stack((Shelf(f"switch of the {names}", n, is_switch=True, height=height),))


def groups_beside(blueprint: Blueprint, kinds: tuple[Enclosure, ...]) -> list[DeviceGroup]:
    """Return the device groups that are in no enclosure."""
    inside = frozenset().union(*(kind.groups for kind in kinds))
    return [group for group in blueprint.groups.values() if group.name not in inside]


def servers_in_rack(blueprint: Blueprint, kind: Enclosure, plan: FloorPlan) -> int:
    """Return how many enclosures of a kind a rack has room for."""
    if kind.n_rack_axes is None:
        return plan.servers_per_rack
    return math.prod(blueprint.axes[axis].size for axis in kind.axes[kind.n_rack_axes :])


def inner_axes(primitives: tuple[str, ...], kind: Enclosure) -> tuple[str, ...]:
    """Return the axes of a group that tell apart what is in one enclosure."""
    return tuple(axis for axis in primitives if axis not in kind.axes)


def template_of(blueprint: Blueprint, kind: Enclosure) -> str:
    """Return the template that an enclosure is of; empty where there are several, or none."""
    names = {blueprint.groups[name].template for name in kind.groups}
    return names.pop() if len(names) == 1 else ""
