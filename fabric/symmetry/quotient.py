"""The quotient: classes of devices and of directed links, with sizes and rates.

Classes are orbits of true automorphisms of the blueprint, which is never expanded. Devices that are marked (a
source, what has failed) are told apart, with what is near them::

    pod 0  rack 0  gpu 0   <- marked       1 device
                   others of rack 0        71
           other racks                     1,080
    other pods                             ...

so the number of classes grows with the marks, not with the size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.remembered import remembered
from fabric.graph import Expanded, GroupInfo, RuleInfo
from fabric.symmetry.damage import Sides
from fabric.symmetry.ground import lay_ground, link_rows, link_ways, way_keys
from fabric.symmetry.labels import Mark, alike
from fabric.symmetry.nesting import Tie

KEPT = 64
"""Quotients that are kept for the next question of the same fabric."""


@dataclass(frozen=True, eq=False)
class Quotient:
    """Classes of a blueprint under the automorphisms that keep its marks.

    Parameters
    ----------
    classes : Expanded
        The classes as a fabric of their own: a device is a class of devices, a bundle a class of cables, and
        ``count`` how many cables that are up it holds. Cables between peers are listed once for each
        direction, as one-way cables, because an automorphism may turn them round.
    size : ndarray of float64, shape (c,)
        Devices in each class.
    places : mapping of str to ndarray of int64, shape (c,)
        Index of one device of each class on every primitive axis; -1 where it is not on it.
    base : ndarray of int64, shape (2 * m,)
        For each directed link of `classes`, its class when only failures are marked.
    origin : ndarray of int64, shape (c,)
        For each class of devices, its class when only failures are marked.
    keys : ndarray of int64, shape (m, w)
        Rule and labels of every bundle of `classes`, ascending; -1 fills short rows.
    """

    classes: Expanded
    size: Floats
    places: Mapping[str, Ints]
    base: Ints
    origin: Ints
    keys: Ints

    @cached_property
    def index(self) -> tuple[Mark, ...]:
        """One device of each class, by its index on every primitive axis."""
        return marks_of(self.places, len(self.size))

    def mark(self, one: int) -> Mark:
        """Return one device of one class, as `index` does of all."""
        return marks_of({axis: at[one : one + 1] for axis, at in self.places.items()}, 1)[0]

    def is_at(self, mark: Mark) -> Bools:
        """Return which classes are told by one device at some indices, and on no other axis, shape (c,)."""
        at = dict(mark)
        found: Bools = np.full(len(self.size), at.keys() <= self.places.keys())
        for axis, places in self.places.items():
            found &= places == at.get(axis, -1)
        return found


def marks_of(places: Mapping[str, Ints], n: int) -> tuple[Mark, ...]:
    """Return devices, given by their index on each axis, -1 where one is not on it; `n` of them."""
    axes = sorted(places)
    if not axes:
        return ((),) * n
    rows = zip(*(places[axis].tolist() for axis in axes), strict=True)
    return tuple(tuple((axis, i) for axis, i in zip(axes, at, strict=True) if i >= 0) for at in rows)


def quotient(
    blueprint: Blueprint,
    sources: tuple[Mark, ...] = (),
    *,
    apart: tuple[Selector, ...] = (),
    ties: tuple[Tie, ...] = (),
    fixed: tuple[Mark, ...] = (),
    sides: Sides = (),
) -> Quotient:
    """Return the quotient of `blueprint` with its failures and `sources` marked.

    Parameters
    ----------
    blueprint : Blueprint
    sources : tuple of Mark
        Devices that are told apart from all others.
    apart : tuple of Selector
        Selections that a question tells apart; devices inside and outside are never of one class.
    ties : tuple of Tie
        What the traffic asks permutations to respect.
    fixed : tuple of Mark
        Marked in the base too, as failures are.
    sides : tuple of tuple of Selector
        What a question selects, such as sources and targets: a colour each, as failures are.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """
    return _quotient(blueprint, sources, apart, ties, fixed, sides)


@remembered(KEPT)
def _quotient(
    blueprint: Blueprint,
    sources: tuple[Mark, ...],
    apart: tuple[Selector, ...],
    ties: tuple[Tie, ...],
    fixed: tuple[Mark, ...],
    sides: Sides,
) -> Quotient:
    # Rows of the class grid refine the orbits: rows whose labels are equal are one class.
    ground = lay_ground(blueprint, sources, apart=apart, ties=ties, fixed=fixed, sides=sides)
    group, size, places, origin = ground.classes
    ways = link_ways(ground)
    rows, fine = link_rows(ground, ways), way_keys(ground, ways)
    first, fine_id = alike(fine)
    base = np.arange(len(first))
    if sources:
        # Fine keys know the sources too, base keys only the failures: those of one row of a class tell of it.
        some, starts = np.sort(first), np.cumsum([0, *(len(way.pattern) for way in ways)])
        own = [
            way.of(some[(some >= a) & (some < b)] - a)
            for way, a, b in zip(ways, starts[:-1], starts[1:], strict=True)
        ]
        base = alike(way_keys(ground, own, in_base=True))[1][np.searchsorted(some, first)]
    # Directed links are numbered 2 * bundle + way, in the base as in the view.
    base_of = 2 * base
    sample = rows[first]
    groups, rules = _infos(blueprint)
    view = Quotient(
        Expanded(
            name=blueprint.name,
            groups=groups,
            rules=rules,
            group=group.astype(np.int32),
            tail=sample[:, 0].astype(np.int64),
            head=sample[:, 1].astype(np.int64),
            rule=fine[first, 0].astype(np.int32),
            rate_gbps=sample[:, 3].copy(),
            count=np.bincount(fine_id, rows[:, 2], minlength=len(first)).astype(np.int64),
            failed_count=np.zeros(len(first), dtype=np.int64),
            failed=np.zeros(len(group), dtype=np.bool_),
            names=device_names(blueprint, group, places),
            coordinates={},
        ),
        size,
        places,
        np.column_stack([base_of, base_of + 1]).ravel(),
        origin,
        fine[first],
    )
    # It is cached and handed to many: nobody may write into it.
    for array in (view.size, view.base, view.origin, view.keys, *places.values()):
        array.setflags(write=False)
    return view


@remembered(KEPT)
def _infos(blueprint: Blueprint) -> tuple[tuple[GroupInfo, ...], tuple[RuleInfo, ...]]:
    """Return what all devices of a group and all cables of a rule have in common, peers one-way."""
    groups = (
        GroupInfo(g.name, g.kind, g.part.id if g.part else "", g.transit, g.is_endpoint, g.axes)
        for g in blueprint.groups.values()
    )
    rules = (
        RuleInfo(r.name, r.net, r.is_peer, r.is_oneway or r.is_peer, r.medium, r.protocol, r.length_m, r.name)
        for r in blueprint.rules
    )
    return tuple(groups), tuple(rules)


def device_names(blueprint: Blueprint, group: Ints, places: Mapping[str, Ints]) -> Sequence[str]:
    """Return the names of devices by their groups and their indices in the file."""
    return _Names(blueprint, group, places)


class _Names(Sequence[str]):
    """Name of one device of each class, such as ``rack3/tray7/gpu1``, made when it is asked for."""

    def __init__(self, blueprint: Blueprint, group: Ints, places: Mapping[str, Ints]) -> None:
        self._blueprint, self._group, self._places = blueprint, group, places
        self._groups = tuple(blueprint.groups.values())

    def __len__(self) -> int:
        return len(self._group)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        group = self._groups[self._group[number]]
        at = {p: int(self._places[p][number]) for p in group.primitives}
        index = [self._blueprint.flat(axis, at) for axis in group.axes]
        words = [f"{a}{i}" for a, i in zip(group.axes[:-1], index[:-1], strict=False)]
        return "/".join([*words, group.name + "".join(map(str, index[-1:]))])
