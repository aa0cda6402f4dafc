"""What a quotient is made from: rows of the class grid, the class of each, and the pairs that rules join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid, class_grid
from fabric.blueprint.join import Joined, join, partners
from fabric.blueprint.model import Blueprint, MarkedCables, Rule, Selector
from fabric.blueprint.slowing import by_part, parts_of
from fabric.symmetry.damage import Sides
from fabric.symmetry.labels import (
    Known,
    Mark,
    Values,
    alike,
    box_of,
    join_labels,
    label_by_first,
    link_keys,
    pattern_axes,
)
from fabric.symmetry.marked import Marked, marked
from fabric.symmetry.nesting import NoSymmetryError, Tie


class RowPlaces:
    """The rows of a class grid, with what labels tell of each on plain axes.

    Parameters
    ----------
    grid : Grid
        With the marks.
    found : Marked
        The fabric that it is of.
    marks : tuple of sequence of mapping
        Those of the base and, where there are more, all; where they have been moved to.
    in_file : bool
        Whether the grid is of the file; else of what is moved.

    Attributes
    ----------
    weight : dict of str to ndarray of float64
        For every group, the devices of each row.
    """

    def __init__(
        self, grid: Grid, found: Marked, marks: tuple[Sequence[Known], ...], *, in_file: bool = False
    ) -> None:
        self.grid, self._found, self._marks = grid, found, marks
        self.weight: dict[str, Floats] = {}
        self._values: dict[str, Values] = {}
        self._plain_labels: list[dict[str, Values]] = [{} for _ in marks]
        for name, group in grid.blueprint.groups.items():
            # A row is a product of cells, one of each axis, and holds the product of their sizes in devices.
            rows = np.arange(grid.n_rows(name), dtype=np.int64)
            digits = {p: grid.digit(name, rows, p) for p in group.primitives}
            self.weight[name] = np.ones(len(rows))
            for p, digit in digits.items():
                self.weight[name] *= grid.weights[p][digit]
            values = {p: grid.reps[p][digit] for p, digit in digits.items()}
            self._values[name] = found.moved(values) if in_file else values
            # The marks of the base come first.
            n_marks = [len(chosen) for chosen in marks]
            told = label_by_first(found.plain, found.nest, marks[-1], self._values[name], n_marks)
            for by_group, by_axis in zip(self._plain_labels, told, strict=True):
                by_group[name] = by_axis

    def labels(self, ends: Sequence[tuple[str, Ints]], *, in_base: bool = False) -> Ints:
        """Return labels of rows of a group, or of pairs of rows, by all marks or by those of the base."""
        number, nest = 0 if in_base else -1, self._found.nest
        every = [(self._plain_labels[number][group], rows) for group, rows in ends]
        plain_labels = [{p: index[rows] for p, index in told.items()} for told, rows in every]
        # Of plain axes all is known; of others it is asked where each is.
        is_known = not (nest.permutations or nest.tied)
        sides = [] if is_known else [self.values(group, rows) for group, rows in ends]
        label = join_labels(self._found.plain, nest, self._marks[number], sides, plain_labels)
        # Where no label depends on the row, one line stands for all: cut to the number of rows either way.
        return label[: len(ends[0][1])]

    @property
    def has_sources(self) -> bool:
        """Whether there are more marks than those of the base."""
        return len(self._marks) > 1

    def in_file(self, group: str, rows: Ints) -> Values:
        """Return one device of each row, by its indices in the file."""
        return self.of_file(self.values(group, rows))

    def values(self, group: str, rows: Ints) -> Values:
        """Return one device of each row, by its indices where marks have been moved to."""
        return {p: index[rows] for p, index in self._values[group].items()}

    def of_file(self, values: Values) -> Values:
        """Return devices by their indices in the file."""
        return self._found.of_file(values)


@dataclass(frozen=True, eq=False)
class Ground:
    """What a quotient is made from: the class grid, the class of each of its rows, and the pairs it joins.

    Parameters
    ----------
    places : RowPlaces
    device : mapping of str to ndarray of int64
        For every group, the class of each row of `grid`; -1 where it is down.
    classes : (ndarray of int64, ndarray of float64, mapping of str to ndarray, ndarray of int64)
        Group, size, one device (see `Quotient.places`), and class in the base of each class.
    joined : tuple of Joined
        Pairs of rows that each rule joins.
    alive : tuple of ndarray of float64, shape (k, p)
        Cables of each pair of devices there that are up, by the part that they have of their rate.
    parts : tuple of float, length p
        As `fabric.blueprint.slowing.parts_of`.
    """

    places: RowPlaces
    device: dict[str, Ints]
    classes: tuple[Ints, Floats, Values, Ints]
    joined: tuple[Joined, ...]
    alive: tuple[Floats, ...]
    parts: tuple[float, ...]

    @property
    def grid(self) -> Grid:
        """The class grid."""
        return self.places.grid


def lay_ground(
    blueprint: Blueprint,
    sources: tuple[Mark, ...] = (),
    *,
    apart: tuple[Selector, ...] = (),
    ties: tuple[Tie, ...] = (),
    fixed: tuple[Mark, ...] = (),
    sides: Sides = (),
    in_file: bool = False,
) -> Ground:
    """Return what `quotient` of the same makes its classes from; classes are numbered as there.

    Parameters
    ----------
    blueprint, sources, apart, ties, fixed, sides
        As in `quotient`.
    in_file : bool
        Whether rows are devices as the file numbers them; else alike damage is side by side, in fewer rows.

    Raises
    ------
    NoSymmetryError
        As `quotient`.
    """
    found = marked(blueprint, apart, ties, sides)
    drawn = blueprint if in_file else found.blueprint
    base_marks = (*found.marks, *(dict(found.moved_mark(m)) for m in fixed))
    marks = (base_marks, (*base_marks, *(dict(found.moved_mark(m)) for m in sources)))[: 1 + bool(sources)]
    # A mark cuts its axes at its index, so that every device that is marked has a row of its own.
    cuts = (*found.written, *map(dict, (*fixed, *sources))) if in_file else (*marks[-1], *found.cuts)
    grid = class_grid(drawn, (*found.cells, *map(box_of, cuts)))
    up = {g: ~grid.mask(g, (*drawn.absent, *drawn.failed)) for g in drawn.groups}
    # What has failed is in no class; its cables fall away with it.
    places = RowPlaces(grid, found, marks, in_file=in_file)
    device, classes = device_classes(places, up)
    joined = [join(grid, rule) for rule in drawn.rules]
    ground = Ground(places, device, classes, tuple(joined), tuple(_alive(places, joined)), parts_of(drawn))
    if any(cables.n is not None and not cables.is_each for cables in drawn.marked_cables):
        _refuse_uneven(ground)
    return ground


def device_classes(
    places: RowPlaces, up: dict[str, Bools]
) -> tuple[dict[str, Ints], tuple[Ints, Floats, Values, Ints]]:
    """Return the class of every row of every group (-1 where it is down), and what is known of each class."""
    rows = {name: np.flatnonzero(up[name]) for name in places.grid.blueprint.groups}
    # The groups below one another, so that one sort numbers the classes of all of them.
    starts = np.cumsum([0, *(len(group_rows) for group_rows in rows.values())])
    group = np.repeat(np.arange(len(rows)), np.diff(starts))
    label = np.column_stack([group, stack_keys([places.labels([item]) for item in rows.items()])])
    first, inverse = alike(label)
    base = np.arange(len(first))
    if places.has_sources:
        # A class without sources is the union of those with: its number is found at any of its rows.
        some = np.sort(first)
        own = [
            (name, group_rows[some[(some >= start) & (some < stop)] - start])
            for (name, group_rows), start, stop in zip(rows.items(), starts[:-1], starts[1:], strict=True)
        ]
        told = stack_keys([places.labels([item], in_base=True) for item in own])
        base = alike(np.column_stack([group[some], told]))[1][np.searchsorted(some, first)]
    weight = np.concatenate(
        [np.zeros(0), *(places.weight[name][group_rows] for name, group_rows in rows.items())]
    )
    device: dict[str, Ints] = {}
    axes = {p for own in places.grid.blueprint.groups.values() for p in own.primitives}
    one_of_each = {p: np.full(len(first), -1, dtype=np.int64) for p in sorted(axes)}
    for (name, group_rows), start, stop in zip(rows.items(), starts[:-1], starts[1:], strict=True):
        device[name] = np.full(places.grid.n_rows(name), -1, dtype=np.int64)
        device[name][group_rows] = inverse[start:stop]
        # Classes ascend with their group: those of this one have their first row in its span.
        at = np.flatnonzero((first >= start) & (first < stop))
        for p, index in places.in_file(name, group_rows[first[at] - start]).items():
            one_of_each[p][at] = index
    size = np.bincount(inverse, weight, minlength=len(first)).astype(np.float64)
    return device, (group[first], size, one_of_each, base)


@dataclass(frozen=True, slots=True)
class RuleWay:
    """Links of a rule in one direction: of each row the links between two rows of the class grid.

    Parameters
    ----------
    rule : int
    tail, head : (str, ndarray of int64, shape (k,))
        Group and rows of both ends.
    pattern, speed : ndarray of int64, shape (k,)
        As `cable_rows`.
    n_links : ndarray of float64, shape (k,)
    is_turned : bool
        Whether the tail is on the right side of the rule.
    """

    rule: int
    tail: tuple[str, Ints]
    head: tuple[str, Ints]
    pattern: Ints
    speed: Ints
    n_links: Floats
    is_turned: bool

    def of(self, rows: Ints) -> RuleWay:
        """Return some of the rows."""
        tail, head = ((group, own[rows]) for group, own in (self.tail, self.head))
        told = self.pattern[rows], self.speed[rows], self.n_links[rows]
        return RuleWay(self.rule, tail, head, *told, self.is_turned)


def link_ways(ground: Ground) -> list[RuleWay]:
    """Return the links of all rules that are up, both directions of peers apart."""
    ways = []
    for number, rule in enumerate(ground.grid.blueprint.rules):
        left, right, pattern, speed, n_links = cable_rows(ground, number)
        ends = (rule.left_group, left), (rule.right_group, right)
        ways.append(RuleWay(number, *ends, pattern, speed, n_links, False))
        # An automorphism may swap the ends of a cable between peers, so each direction is a class of its own.
        if rule.is_peer and not rule.is_oneway:
            ways.append(RuleWay(number, *ends[::-1], pattern, speed, n_links, True))
    return ways


def link_rows(ground: Ground, ways: Sequence[RuleWay]) -> Floats:
    """Return links as rows (tail, head, links, rate)."""
    rows = [np.zeros((0, 4))]
    for way in ways:
        tail, head = (ground.device[group][own] for group, own in (way.tail, way.head))
        rule = ground.grid.blueprint.rules[way.rule]
        rate_gbps = rule.rate_gbps * np.array(ground.parts)[way.speed]
        rows.append(np.column_stack([tail, head, way.n_links, rate_gbps]))
    return np.concatenate(rows)


def way_keys(ground: Ground, ways: Sequence[RuleWay], *, in_base: bool = False) -> Ints:
    """Return what tells links apart, by all marks or by those of the base; see `link_keys`."""
    keys = []
    for way in ways:
        label = ground.places.labels([way.tail, way.head], in_base=in_base)
        rule = ground.grid.blueprint.rules[way.rule]
        keys.append(link_keys(rule, way.rule, label, way.pattern, way.speed, is_turned=way.is_turned))
    return stack_keys(keys)


def cable_rows(ground: Ground, number: int) -> tuple[Ints, Ints, Ints, Ints, Floats]:
    """Return the cables of a rule that are up: those between two rows that no axis and no rate tells apart.

    Returns
    -------
    left, right, pattern, speed : ndarray of int64, shape (k,)
        Rows of the two ends; as `split_pairs`; and which of the parts of its rate each cable has.
    n_cables : ndarray of float64, shape (k,)
    """
    pairs, alive = ground.joined[number], ground.alive[number]
    rule = ground.grid.blueprint.rules[number]
    row, pattern, n_pairs = split_pairs(ground.places, rule, pairs)
    # A cable is up where both its ends are.
    ends = (rule.left_group, pairs.left[row]), (rule.right_group, pairs.right[row])
    is_up = (ground.device[ends[0][0]][ends[0][1]] >= 0) & (ground.device[ends[1][0]][ends[1][1]] >= 0)
    n_cables = alive[row] * n_pairs[:, None]
    at, speed = np.nonzero((n_cables > 0) & is_up[:, None])
    return ends[0][1][at], ends[1][1][at], pattern[at], speed, n_cables[at, speed]


def split_pairs(places: RowPlaces, rule: Rule, pairs: Joined) -> tuple[Ints, Ints, Floats]:
    """Split pairs of rows by the axes of `pattern_axes` on which the two devices differ.

    Returns
    -------
    row : ndarray of int64, shape (k,)
        Pair of rows.
    pattern : ndarray of int64, shape (k,)
        One bit for each axis; 0 where there is nothing to tell apart.
    n_pairs : ndarray of float64, shape (k,)
        Pairs of devices.
    """
    grid, left, right = places.grid, rule.left_group, rule.right_group
    # Orbit counting: pairs of devices = devices of the left row x partners of each in the right row.
    _, n_right = partners(grid, rule, pairs)
    n_pairs = places.weight[left][pairs.left] * n_right
    all_pairs = np.arange(len(pairs.left), dtype=np.int64)
    axes = pattern_axes(grid.blueprint, rule)
    if not axes or not len(all_pairs):
        return all_pairs, np.zeros_like(all_pairs), n_pairs
    ends = [(grid.digit(left, pairs.left, p), grid.digit(right, pairs.right, p)) for p in axes]
    same = [np.asarray(x == y, dtype=np.float64) for x, y in ends]
    weight = [grid.weights[p][y] for p, (_, y) in zip(axes, ends, strict=True)]
    # In a mesh over a product, partners are all index tuples but the equal one: prod(w) - prod(s).
    share = n_pairs / (np.prod(weight, axis=0) - np.prod(same, axis=0))
    parts = []
    for pattern in range(1, 2 ** len(axes)):
        factors = [
            w - s if pattern >> i & 1 else s for i, (w, s) in enumerate(zip(weight, same, strict=True))
        ]
        # Those that differ exactly on the axes of `pattern`: w - s indices where they differ, s elsewhere.
        n = share * np.prod(factors, axis=0)
        exists = n > 0
        parts.append((all_pairs[exists], np.full(int(exists.sum()), pattern, dtype=np.int64), n[exists]))
    row, bits, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, bits, number


def _alive(places: RowPlaces, joined: list[Joined]) -> list[Floats]:
    """Return the cables that are up of each bundle of every rule, by the part that they have of their rate.

    Raises
    ------
    NoSymmetryError
        If some but not all cables between two selectors are marked, and one class holds several bundles.
    """
    blueprint = places.grid.blueprint
    rules, marks = blueprint.rules, blueprint.marked_cables
    if not marks:
        return [pairs.count.astype(np.float64)[:, None] for pairs in joined]
    starts = np.cumsum([0, *(len(pairs.left) for pairs in joined)]).tolist()
    alive = np.concatenate([np.zeros(0), *(pairs.count for pairs in joined)])
    # How many bundles each pair of rows stands for; only a limited number of marked cables asks.
    n_pairs = np.zeros(len(alive))
    if any(cables.n is not None for cables in marks):
        for start, rule, pairs in zip(starts[:-1], rules, joined, strict=True):
            row, _, n = split_pairs(places, rule, pairs)
            np.add.at(n_pairs, start + row, n)

    def hit(cables: MarkedCables) -> Bools:
        hits = (_hit(places.grid, rule, pairs, cables) for rule, pairs in zip(rules, joined, strict=True))
        own = np.concatenate([np.zeros(0, np.bool_), *hits])
        _refuse_some(cables, np.where(own, alive * n_pairs, 0.0), n_pairs)
        return own

    for failure in blueprint.cables_down:
        down = hit(failure)
        if failure.n is None or failure.is_each:
            alive[down] = np.maximum(alive[down] - failure.n, 0.0) if failure.n else 0.0
            continue
        # As in the expanded form: the first of them all, in the order of rules and devices.
        room = np.where(down, alive * n_pairs, 0.0)
        lost = np.clip(failure.n - (np.cumsum(room) - room), 0, room)
        alive[down] -= lost[down] / n_pairs[down]
    table = by_part(
        alive, n_pairs, [(slow, hit(slow)) for slow in blueprint.cables_slow], parts_of(blueprint)
    )
    return [table[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]


def _refuse_some(cables: MarkedCables, room: Floats, n_pairs: Floats) -> None:
    """Raise where only some of alike bundles would be marked; `room` are the cables that may be."""
    if cables.n is None or cables.is_each or cables.n >= room.sum():
        return
    taken = np.clip(cables.n - (np.cumsum(room) - room), 0, room)
    if ((n_pairs > 1) & (taken > 0)).any():
        between = f"{cables.left.text} and {cables.right.text}"
        # Taking some of the cables of one bundle only would split the class; the axes cannot say which.
        msg = f"{cables.n} of the cables between {between} are not alike; name two devices"
        raise NoSymmetryError(msg)


def _refuse_uneven(ground: Ground) -> None:
    """Raise where the first of some cables are of one class with others, which no mark tells from them."""
    for number, (rule, pairs) in enumerate(zip(ground.grid.blueprint.rules, ground.joined, strict=True)):
        row, pattern, _ = split_pairs(ground.places, rule, pairs)
        ends = (rule.left_group, pairs.left[row]), (rule.right_group, pairs.right[row])
        up = np.flatnonzero(np.all([ground.device[group][rows] >= 0 for group, rows in ends], axis=0))
        sides = [(group, rows[up]) for group, rows in ends]
        # On a line the first cable is alike to the last one turned round.
        ways = [False, True] if rule.is_peer and not rule.is_oneway else [False]
        labels = [ground.places.labels(sides[::-1] if way else sides, in_base=True) for way in ways]
        keys = [
            link_keys(rule, number, label, pattern[up], 0, is_turned=way)
            for way, label in zip(ways, labels, strict=True)
        ]
        first, which = alike(np.concatenate(keys))
        alive = np.tile(ground.alive[number][row[up]], (len(ways), 1))
        if (alive != alive[first][which]).any():
            some = f"some of the cables of {rule.name} are marked"
            msg = f"{some}, and the axes cannot say which; name two devices"
            raise NoSymmetryError(msg)


def _hit(grid: Grid, rule: Rule, pairs: Joined, cables: MarkedCables) -> Bools:
    """Return which pairs of rows are between the two selectors of a mark, absent devices left out."""
    if not cables.may_be_of(rule.name):
        return np.zeros(len(pairs.left), dtype=np.bool_)
    ends = []
    for side, rows in ((rule.left, pairs.left), (rule.right, pairs.right)):
        group = cast(str, side.group)
        present = ~grid.mask(group, grid.blueprint.absent)[rows]
        ends.append([grid.mask(group, (s,))[rows] & present for s in (cables.left, cables.right)])
    (a, b), (c, d) = ends
    return np.asarray((a & d) | (b & c), dtype=np.bool_)


def stack_keys(keys: list[Ints]) -> Ints:
    """Return `keys` below one another; -1 fills short rows."""
    width = max((part.shape[1] for part in keys), default=1)
    table = np.full((sum(len(part) for part in keys), width), -1, dtype=np.int64)
    at = 0
    for part in keys:
        table[at : at + len(part), : part.shape[1]] = part
        at += len(part)
    return table
