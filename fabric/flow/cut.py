"""A cut: how many cables of which rule, and by name, as ranges of the axes.

Devices that are joined are boxes: a range on every axis of the one, and on every axis of the other on which
the rule does not make them agree. Boxes side by side are one box, and a million devices fit on a few lines::

    rack0/tray0/nic0 - leaf0    rack0/tray0/nic1 - leaf1
    rack0/tray1/nic0 - leaf0    rack0/tray1/nic1 - leaf1    ->   rack0/tray0-1/nic0-1 -> leaf0-1: 4 cables
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid
from fabric.blueprint.join import partners
from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.rule_axes import agreeing_axes, twist_axes
from fabric.blueprint.selector import range_word
from fabric.graph import Expanded
from fabric.results import DeviceText, Result
from fabric.symmetry import Ground
from fabric.units import format_count, format_rate

MAX_NAMED = 20
"""Ranges of devices that are named for one rule of a cut."""
MAX_MERGED = 200_000
"""Joined pairs, or boxes of them, of one rule of a cut that are looked at; the others are only counted."""


@dataclass(frozen=True, slots=True)
class CutCables:
    """Cables of a cut between two ranges of devices, joined as the rule says.

    Parameters
    ----------
    tail, head : str
        Devices on the side of the source and on that of the target: names, or selectors.
    n_cables : int
    """

    tail: DeviceText
    head: DeviceText
    n_cables: int

    def __str__(self) -> str:
        """Return such as ``rack0/tray0-17/nic0-3 -> leaf0-3: 72 cables``."""
        return f"{self.tail} -> {self.head}: {_cables(self.n_cables)}"


@dataclass(frozen=True, slots=True)
class CutClass(Result):
    """Cables of one rule in a cut.

    Parameters
    ----------
    link : str
        Name of the rule.
    n_cables : int
        Cables that cross.
    capacity_gbps : float
        Together, in the direction of the question [Gb/s]. Where a link shares its capacity between climbing
        and descending traffic, what the certificate counts of it.
    devices : tuple of CutCables
        The cables by name, where that was asked for; at most `MAX_NAMED` ranges.
    """

    link: str
    n_cables: int
    capacity_gbps: float
    devices: tuple[CutCables, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("n_more",)

    def __str__(self) -> str:
        """Return such as ``144 nic-leaf cables, 57.6 Tb/s (7.2 TB/s)``, and a line for each range."""
        lines = [f"{_cables(self.n_cables, self.link)}, {format_rate(self.capacity_gbps)}"]
        lines += [str(cables) for cables in self.devices]
        if self.devices and self.n_more:
            lines.append(f"and {_cables(self.n_more)} more")
        return "\n    ".join(lines)

    @property
    def n_more(self) -> int:
        """Cables that `devices` leaves out."""
        return self.n_cables - sum(cables.n_cables for cables in self.devices) if self.devices else 0


def _cables(n: int, link: str = "") -> str:
    return " ".join(filter(None, [format_count(n), link, "cable" if n == 1 else "cables"]))


def name_links(blueprint: Blueprint | None, expanded: Expanded, links: Ints) -> tuple[CutCables, ...]:
    """Name links of the expanded form.

    Parameters
    ----------
    blueprint : Blueprint or None
        None for a graph, whose links are named one by one.
    expanded : Expanded
    links : ndarray of int64
        ``2 * bundle``, or ``2 * bundle + 1`` for the way back.

    Returns
    -------
    tuple of CutCables
        The first `MAX_NAMED`.
    """
    # A cable can be cut in both directions; it is named once.
    _, first = np.unique(links // 2, return_index=True)
    links = links[first][: MAX_NAMED if blueprint is None else MAX_MERGED]
    bundle, is_back = links // 2, links % 2 == 1
    ends = expanded.tail[bundle], expanded.head[bundle]
    tail, head = np.where(is_back, ends[1], ends[0]), np.where(is_back, ends[0], ends[1])
    n_cables = expanded.alive[bundle]
    if blueprint is None:
        return tuple(
            CutCables(str(expanded.names[t]), str(expanded.names[h]), n)
            for t, h, n in zip(tail.tolist(), head.tolist(), n_cables.tolist(), strict=True)
        )
    names = [g.name for g in expanded.groups]
    ranges: list[CutCables] = []
    # Pairs of one rule between the same two groups have the same axes, and can be merged.
    kind = np.column_stack([expanded.rule[bundle], expanded.group[tail], expanded.group[head]])
    for rule, *groups in np.unique(kind, axis=0).tolist():
        of_kind = np.flatnonzero((kind == [rule, *groups]).all(axis=1))
        boxes = _Boxes(blueprint, blueprint.rules[rule], (names[groups[0]], names[groups[1]]))
        at = [
            {p: expanded.coordinates[p][v[of_kind]] for p in blueprint.groups[names[g]].primitives}
            for v, g in zip((tail, head), groups, strict=True)
        ]
        # A real pair is a box of one.
        lo = boxes.columns_of(at)
        ranges += boxes.name(lo, lo, n_cables[of_kind].astype(np.float64))
    return tuple(ranges[:MAX_NAMED])


def name_classes(ground: Ground, classes: Expanded, links: Ints) -> tuple[CutCables, ...]:
    """Name links of a quotient, without expanding them.

    Parameters
    ----------
    ground : Ground
        What `classes` were made from.
    classes : Expanded
        The quotient.
    links : ndarray of int64
        ``2 * class``, or ``2 * class + 1`` for the way back.

    Returns
    -------
    tuple of CutCables
        The first `MAX_NAMED`.
    """
    ranges: list[CutCables] = []
    blueprint = ground.grid.blueprint
    for number in np.unique(classes.rule[links // 2]).tolist():
        crossed = links[classes.rule[links // 2] == number]
        rule = blueprint.rules[number]
        left_group, right_group = rule.left_group, rule.right_group
        ahead, back = _crossing(ground, classes, number, crossed)
        blocks = [((left_group, right_group), ahead), ((right_group, left_group), back)]
        # Between peers of one group the two ways name the same pairs: one list.
        if left_group == right_group:
            x, y, n = (np.concatenate(ways) for ways in zip(ahead, back, strict=True))
            blocks = [((left_group, right_group), (x, y, n))]
        for groups, (tail, head, n_cables) in blocks:
            boxes = _Boxes(blueprint, rule, groups)
            ends = [_ranges(ground.grid, g, r) for g, r in zip(groups, (tail, head), strict=True)]
            lo, hi = (boxes.columns_of([end[i] for end in ends])[:MAX_MERGED] for i in (0, 1))
            ranges += boxes.name(lo, hi, n_cables[:MAX_MERGED])
    return tuple(ranges[:MAX_NAMED])


_Way = tuple[Ints, Ints, Floats]


def _crossing(ground: Ground, classes: Expanded, number: int, links: Ints) -> tuple[_Way, _Way]:
    """Return the pairs of rows of a rule that `links` cross from left to right, and from right to left.

    Returns
    -------
    (tail, head, n_cables) of each way
        Rows of the class grid, and the cables that are up between all their devices.
    """
    rule, pairs = ground.grid.blueprint.rules[number], ground.joined[number]
    alive = ground.alive[number].sum(axis=1)
    left_group, right_group = rule.left_group, rule.right_group
    # Classes of both ends of every joined pair of rows; a pair of classes as one number.
    x, y = ground.device[left_group][pairs.left], ground.device[right_group][pairs.right]
    n = classes.n_devices
    ahead_keys, back_keys = (
        np.unique(classes.tail[b] * n + classes.head[b]) for b in (links[links % 2 == i] // 2 for i in (0, 1))
    )
    is_up = (x >= 0) & (y >= 0) & (alive > 0)
    ahead = is_up & np.isin(x * n + y, ahead_keys)
    # Between peers a quotient lists either direction as a class of its own.
    is_turned = rule.is_peer and not rule.is_oneway
    back = np.isin(y * n + x, ahead_keys) if is_turned else np.isin(x * n + y, back_keys)
    back &= is_up & ~ahead
    _, n_right = partners(ground.grid, rule, pairs)
    primitives = ground.grid.blueprint.groups[left_group].primitives
    # Cables of a pair of rows: of one pair of devices, times the devices near, times the partners of each.
    n_cables = alive * ground.grid.weight(left_group, pairs.left, primitives) * n_right
    return (
        (pairs.left[ahead], pairs.right[ahead], n_cables[ahead]),
        (pairs.right[back], pairs.left[back], n_cables[back]),
    )


def _ranges(grid: Grid, group: str, rows: Ints) -> tuple[dict[str, Ints], dict[str, Ints]]:
    """Return the first and the last index of rows of the class grid on every primitive axis."""
    digit = {p: grid.digit(group, rows, p) for p in grid.blueprint.groups[group].primitives}
    # A row of the grid stands for the indices that follow its first one, as many as its weight.
    lo = {p: grid.reps[p][d] for p, d in digit.items()}
    return lo, {p: lo[p] + grid.weights[p][d].astype(np.int64) - 1 for p, d in digit.items()}


class _Boxes:
    """Boxes of joined pairs of one rule, with the tails in one group and the heads in the other."""

    def __init__(self, blueprint: Blueprint, rule: Rule, groups: tuple[str, str]) -> None:
        self._blueprint, self._groups = blueprint, groups
        # On these an end has the index of the other, so one column is enough.
        shared = set(agreeing_axes(blueprint, rule)) - set(twist_axes(blueprint, rule))
        tail, head = (blueprint.groups[g].primitives for g in groups)
        self._columns = [(0, p) for p in tail] + [(1, p) for p in head if p not in shared]
        self._at = tuple(
            {p: self._columns.index((side if (side, p) in self._columns else 0, p)) for p in primitives}
            for side, primitives in enumerate((tail, head))
        )

    def columns_of(self, ends: Sequence[Mapping[str, Ints]]) -> Ints:
        """Return the columns of pairs, shape (k, w), from the indices of both ends."""
        columns = [ends[side][p] for side, p in self._columns]
        return np.column_stack(columns) if columns else np.zeros((1, 0), dtype=np.int64)

    def name(self, lo: Ints, hi: Ints, n_cables: Floats) -> list[CutCables]:
        """Return up to `MAX_NAMED` ranges that hold the boxes, in the order of the axes."""
        lo, hi, n_cables = _merge(lo, hi, n_cables)
        order = np.lexsort(lo.T[::-1])[:MAX_NAMED] if lo.shape[1] else np.arange(len(n_cables))
        ranges = []
        for a, b, n in zip(lo[order].tolist(), hi[order].tolist(), n_cables[order].tolist(), strict=True):
            tail, head = (
                _name(self._blueprint, group, {p: (a[c], b[c]) for p, c in at.items()})
                for group, at in zip(self._groups, self._at, strict=True)
            )
            ranges.append(CutCables(tail, head, round(n)))
        return ranges


def _merge(lo: Ints, hi: Ints, n_cables: Floats) -> tuple[Ints, Ints, Floats]:
    """Join boxes that are alike on all columns but one and side by side there, as long as there are some."""
    n_before = -1
    # Until no axis merges any more: each pass runs over all columns, the last first.
    while len(n_cables) not in (0, n_before):
        n_before = len(n_cables)
        for c in reversed(range(lo.shape[1])):
            # Boxes that agree on every other column, sorted along this one.
            keys = np.delete(np.column_stack([lo, hi]), [c, lo.shape[1] + c], axis=1)
            order = np.lexsort([lo[:, c], *keys.T])
            keys, lo, hi, n_cables = keys[order], lo[order], hi[order], n_cables[order]
            # A run begins where another column differs, or where the ranges leave a gap.
            starts: Bools = np.append(
                True, (keys[1:] != keys[:-1]).any(axis=1) | (lo[1:, c] != hi[:-1, c] + 1)
            )
            first = np.flatnonzero(starts)
            last = np.append(first[1:], len(n_cables)) - 1
            end = hi[last, c]
            lo, hi, n_cables = lo[first], hi[first], np.add.reduceat(n_cables, first)
            hi[:, c] = end
    return lo, hi, n_cables


def _name(blueprint: Blueprint, group: str, at: Mapping[str, tuple[int, int]]) -> str:
    """Return a range of devices as a selector; a composed axis is split where its range has gaps."""
    words: list[str] = []
    last = ""
    axes = blueprint.groups[group].axes
    for place, axis in enumerate(axes):
        primitives = blueprint.primitives(axis)
        lo, hi = (blueprint.flat(axis, {p: at[p][i] for p in primitives}) for i in (0, 1))
        # The range of the composed axis holds more than the box: its primitives are named one by one.
        if hi - lo + 1 != math.prod(at[p][1] - at[p][0] + 1 for p in primitives):
            words += [range_word(p, *at[p]) for p in primitives]
        elif place == len(axes) - 1:
            last = range_word(group, lo, hi)
        else:
            words.append(range_word(axis, lo, hi))
    return "/".join([*words, last or group])
