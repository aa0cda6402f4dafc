"""What is alike when it fails: orbits of the devices and of the cables that are up, with one of each.

By axes an orbit is a class of the quotient: devices, or pairs of devices, that a permutation of the file maps
to one another. The one of a class of cables is a real pair, drawn from the rows of the class grid::

    leaf row 0 (4 leaves)  x  spine row 2 (8 spines)      32 cables, one of them leaf0 - spine4

Where axes say nothing, `fabric.symmetry.searched` finds permutations and checks each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.rule_axes import relation_axes
from fabric.graph import EXPAND_LIMIT, Fabric, expand
from fabric.symmetry.ground import Ground, cable_rows, lay_ground
from fabric.symmetry.labels import Values, alike, link_keys, pattern_axes
from fabric.symmetry.nesting import NoSymmetryError
from fabric.symmetry.quotient import device_names
from fabric.symmetry.searched import search_orbits


@dataclass(frozen=True, slots=True)
class Orbit:
    """Devices, or cables, that are alike.

    Parameters
    ----------
    kind : {"device", "cable"}
    of : str
        Their group, or their rule.
    n : int
        How many that are up.
    ends : tuple
        One device, or the two of one cable, by their names.
    places : tuple of int
        Their classes in the quotient; in a graph, the devices themselves.
    """

    kind: Literal["device", "cable"]
    of: str
    n: int
    ends: tuple[object, ...]
    places: tuple[int, ...]


def orbits(fabric: Fabric, *, limit: int = EXPAND_LIMIT) -> tuple[Orbit, ...]:
    """Return the orbits of what is up in a fabric, devices first, in the order of groups and rules.

    Parameters
    ----------
    fabric : Fabric
    limit : int
        Of the expanded form, where axes do not say the symmetry.

    Raises
    ------
    LimitError
        If that is needed and too large.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4, s: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: [s]}}, links: [{between: [gpu, leaf], rate: 1Gb/s, count: 3}], failed: [leaf1]}"
    >>> [(o.of, o.n, o.ends) for o in orbits(loads(text))]
    [('gpu', 4, ('gpu0',)), ('leaf', 1, ('leaf0',)), ('gpu-leaf', 12, ('gpu0', 'leaf0'))]
    """
    if fabric.blueprint is not None:
        try:
            ground = lay_ground(fabric.blueprint)
        except NoSymmetryError:
            pass
        else:
            return (*_devices(ground), *_cables(ground))
    e = expand(fabric, limit=limit)
    found = search_orbits(e)
    devices = (
        Orbit("device", e.groups[e.group[one]].name, n, (e.names[one],), (one,)) for one, n in found.devices
    )
    cables = (
        Orbit(
            "cable",
            e.rules[e.rule[one]].name,
            n,
            (e.names[e.tail[one]], e.names[e.head[one]]),
            (int(e.tail[one]), int(e.head[one])),
        )
        for one, n in found.cables
    )
    return (*devices, *cables)


def _devices(ground: Ground) -> Iterator[Orbit]:
    group, size, places, _ = ground.classes
    names = device_names(ground.grid.blueprint, group, places)
    groups = list(ground.grid.blueprint.groups)
    for at, n in enumerate(size.tolist()):
        yield Orbit("device", groups[group[at]], round(n), (names[at],), (at,))


def _cables(ground: Ground) -> Iterator[Orbit]:
    """Yield the classes of cables, whichever of two peers is named first."""
    blueprint = ground.grid.blueprint
    for number, rule in enumerate(blueprint.rules):
        left, right, pattern, speed, n_cables = cable_rows(ground, number)
        groups = rule.left_group, rule.right_group
        ends = [(groups[0], left), (groups[1], right)]
        keys = _keys(ground, rule, number, ends, (pattern, speed))
        first, which = alike(keys)
        total = np.bincount(which, n_cables, minlength=len(first))
        sides = _one_of_each(ground, rule, (left[first], right[first]), pattern[first])
        names = [
            _names(ground, group, values, len(first)) for group, values in zip(groups, sides, strict=True)
        ]
        for at, n in enumerate(total.tolist()):
            places = tuple(int(ground.device[g][own[first[at]]]) for g, own in ends)
            yield Orbit("cable", rule.name, round(n), (names[0][at], names[1][at]), places)


def _names(ground: Ground, group: str, values: Values, n: int) -> Sequence[str]:
    blueprint = ground.grid.blueprint
    number = list(blueprint.groups).index(group)
    return device_names(blueprint, np.full(n, number), ground.places.of_file(values))


def _keys(
    ground: Ground, rule: Rule, number: int, ends: list[tuple[str, Ints]], told: tuple[Ints, Ints]
) -> Ints:
    """Return what tells cables apart; of the two directions between peers the lesser key is that of both."""
    key = link_keys(rule, number, ground.places.labels(ends, in_base=True), *told, is_turned=False)
    if not rule.is_peer or rule.is_oneway or rule.left_group != rule.right_group:
        return key
    back = link_keys(rule, number, ground.places.labels(ends[::-1], in_base=True), *told, is_turned=True)
    return np.where(_is_less(back, key)[:, None], back, key)


def _is_less(a: Ints, b: Ints) -> Bools:
    """Return which rows of `a` are before those of `b`."""
    differ = a != b
    at = differ.argmax(axis=1)
    rows = np.arange(len(a))
    return np.asarray(differ.any(axis=1) & (a[rows, at] < b[rows, at]), dtype=np.bool_)


def _one_of_each(ground: Ground, rule: Rule, rows: tuple[Ints, Ints], pattern: Ints) -> tuple[Values, Values]:
    """Return one joined pair of devices of each pair of rows, by the indices where marks were moved to."""
    grid: Blueprint = ground.grid.blueprint
    left, right = (
        dict(ground.places.values(group, own))
        for group, own in zip((rule.left_group, rule.right_group), rows, strict=True)
    )
    if rule.relation is not None and rule.relation.kind == "mesh":
        axes = relation_axes(grid, rule)
        of_product = pattern_axes(grid, rule)
        for p in axes:
            # Two devices of one row differ by an index of the cell; its first is that of the row.
            bit = pattern >> of_product.index(p) & 1 if of_product else 1
            right[p] = right[p] + np.where(left[p] == right[p], bit, 0)
    return left, right
