"""Back from classes to devices and cables: real links of a blueprint, drawn at random, and the class of each.

Nothing here solves anything; a certificate uses it to look at real links.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import class_grid
from fabric.blueprint.model import Blueprint, MarkedCables, Rule, Selector
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes
from fabric.blueprint.selector import fits, selected_groups
from fabric.blueprint.slowing import by_part, parts_of
from fabric.symmetry.damage import Sides
from fabric.symmetry.labels import (
    Mark,
    Marks,
    Values,
    alike,
    box_of,
    labels,
    link_keys,
    pattern_axes,
)
from fabric.symmetry.marked import marked
from fabric.symmetry.nesting import Tie
from fabric.symmetry.quotient import Quotient


@dataclass(frozen=True, slots=True)
class RealLink:
    """One directed link between two real devices.

    Parameters
    ----------
    rule : int
        Position of its rule in the blueprint.
    tail, head : Mark
        The two devices; for a rule with a lower and an upper side in that order, whatever the direction.
    is_back : bool
        Whether the link leads from the upper to the lower device.
    is_turned : bool
        Whether the tail, of a link between peers, is of the right side of the rule.
    speed : int
        Which of the parts of its rate its cables have, see `fabric.blueprint.slowing.parts_of`.
    """

    rule: int
    tail: Mark
    head: Mark
    is_back: bool
    is_turned: bool = False
    speed: int = 0


@dataclass(frozen=True, slots=True)
class Around:
    """Classes of devices of one group that keep links in place, those of one link after another.

    Parameters
    ----------
    link : ndarray of int64, shape (n,)
        Position of the link that each class keeps in place.
    size : ndarray of float64, shape (n,)
    index : mapping of str to ndarray of int64, shape (n,)
        One device of each, by its index on every primitive axis.
    origin : ndarray of int64, shape (n,)
        Class of the base that it is part of.
    """

    link: Ints
    size: Floats
    index: Values
    origin: Ints

    def of(self, links: Sequence[int]) -> Around:
        """Return the classes around some of the links, which are numbered anew."""
        number = np.full(max(int(self.link.max(initial=-1)), *links) + 1, -1, dtype=np.int64)
        number[links] = np.arange(len(links))
        kept = number[self.link] >= 0
        index = {axis: column[kept] for axis, column in self.index.items()}
        return Around(number[self.link[kept]], self.size[kept], index, self.origin[kept])


def columns(marks: Sequence[Mark]) -> dict[str, Ints]:
    """Return some marks as one array for each axis, shape (len(marks),); -1 where one is not on the axis."""
    rows = [dict(mark) for mark in marks]
    axes = dict.fromkeys(axis for row in rows for axis in row)
    return {axis: np.array([row.get(axis, -1) for row in rows], dtype=np.int64) for axis in axes}


def _slots(start: Ints, size: Floats, marks: Sequence[Ints], n: int) -> tuple[Ints, Floats, Ints]:
    """Return indices of an axis that stand for all of them, for each of some links.

    Parameters
    ----------
    start : ndarray of int64, shape (k,)
        First index of each cell.
    size : ndarray of float64, shape (k,)
    marks : sequence of ndarray of int64, shape (n,)
        j of them; -1 for none.

    Returns
    -------
    index, weight, cell : ndarray, shape (n, k + j)
        One that is not marked of each cell, then the marks; weight 0 where there is none.
    """
    link = np.arange(n)
    index, weight = np.tile(start, (n, 1)), np.tile(size, (n, 1))
    cell = np.tile(np.arange(len(start)), (n, 1))
    at = np.sort(np.column_stack([np.zeros((n, 0), dtype=np.int64), *marks]), axis=1)
    is_new = (at >= 0) & (np.diff(at, axis=1, prepend=-1) != 0)
    home = np.searchsorted(start, at, side="right") - 1
    # Ascending, so that the first index of a cell moves on past all that are marked.
    for mark, new, own in zip(at.T, is_new.T, home.T, strict=True):
        index[link, own] += new & (index[link, own] == mark)
        weight[link, own] -= new
    return np.hstack([index, at]), np.hstack([weight, is_new]), np.hstack([cell, home])


class Lift:
    """Find the class of real links, for any device in the place of the marked one.

    Parameters
    ----------
    blueprint : Blueprint
    apart, ties, sides
        As given to `quotient`.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        apart: tuple[Selector, ...] = (),
        ties: tuple[Tie, ...] = (),
        sides: Sides = (),
    ) -> None:
        self.blueprint = blueprint
        self.marked = marked(blueprint, apart, ties, sides)
        self.nest, self.plain = self.marked.nest, self.marked.plain
        self.failed = list(self.marked.marks)
        # With what is marked of the fabric in rows of its own, but no link.
        cuts = map(box_of, (*self.failed, *self.marked.cuts))
        self.base = class_grid(self.marked.blueprint, (*self.marked.cells, *cuts))
        self.number = self._number_classes()

    def _up(self, group: str) -> dict[str, Ints]:
        """Return the index in the file, on each of its axes, of the rows of a group that are up."""
        rows = np.flatnonzero(~self._down(group)).astype(np.int64)
        primitives = self.blueprint.groups[group].primitives
        grid = self.base
        return dict(self.marked.of_file({p: grid.reps[p][grid.digit(group, rows, p)] for p in primitives}))

    def _down(self, group: str) -> Bools:
        """Return which rows of a group are absent or have failed."""
        return self.base.mask(group, (*self.marked.blueprint.absent, *self.marked.blueprint.failed))

    def _labels(self, marks: Marks, values: Values, n: int) -> Ints:
        return labels(self.plain, self.nest, marks, [self.marked.moved(values)])[:n]

    def _number_classes(self) -> dict[str, dict[bytes, int]]:
        """Return the number of every base class of devices by its label, as `quotient` numbers them."""
        numbers: dict[str, dict[bytes, int]] = {}
        n = 0
        for group in self.blueprint.groups:
            values = self._up(group)
            # Sorted by label, group by group: the order in which `device_classes` numbers them.
            n_rows = self.base.n_rows(group) - int(self._down(group).sum())
            label_rows = np.unique(self._labels(self.failed, values, n_rows), axis=0)
            numbers[group] = {row.tobytes(): n + i for i, row in enumerate(label_rows)}
            n += len(label_rows)
        return numbers

    def endpoints_around(
        self, links: Sequence[RealLink], shift: tuple[str, int, int] | None = None
    ) -> list[Around]:
        """Return the classes of endpoints that keep each of some links in place, of one group after another.

        Where every source has one target, some places on along an axis, those whose target lies where the
        link does are classes of their own.
        """
        sides = [[link.tail for link in links], [link.head for link in links]]
        if shift is not None:
            axis, by, n = shift
            sides += [
                [tuple((p, (i - by) % n if p == axis else i) for p, i in mark) for mark in side]
                for side in sides
            ]
        marks = [columns([self.marked.moved_mark(mark) for mark in side]) for side in sides]
        around = []
        for group in self.blueprint.groups.values():
            if not group.is_endpoint:
                continue
            of, values, weight = self._rows_around(group.name, marks, len(links))
            # Orbits of the stabiliser of each link's two ends, and below the orbit of each without the link.
            ends = [{p: x[of] for p, x in mark.items()} for mark in marks]
            fine = labels(self.plain, self.nest, [*self.failed, *ends], [values])[: len(of)]
            # A group without axes is one device, whatever the link: nothing tells rows of it apart.
            fine = fine if values else np.zeros((len(of), 1), dtype=np.int64)
            first, which = alike(np.column_stack([of, fine]))
            size = np.bincount(which, weight, minlength=len(first)).astype(np.float64)
            index = self.marked.of_file({p: column[first] for p, column in values.items()})
            around.append(Around(of[first], size, index, self._origin(group.name, index, len(first))))
        return around

    def _origin(self, group: str, index: Values, n: int) -> Ints:
        """Return the base class of `n` devices of a group."""
        number = self.number[group]
        # All of one class, as mostly: no label tells them apart.
        if len(number) == 1:
            return np.full(n, next(iter(number.values())), dtype=np.int64)
        rows = self._labels(self.failed, index, n)
        return np.array([number[row.tobytes()] for row in rows], dtype=np.int64)

    def _rows_around(
        self, group: str, marks: Sequence[Values], n: int
    ) -> tuple[Ints, dict[str, Ints], Floats]:
        """Return devices of a group that stand for all of them, anew for each of `n` links.

        On every axis these are the indices that are marked for the link, and one more of each cell.

        Returns
        -------
        of : ndarray of int64
            The link that each row is for.
        values : dict of str to ndarray of int64
            Index on every axis of the group, where marks have been moved to.
        weight : ndarray of float64
            Devices that it stands for.
        """
        of, weight, values = np.arange(n), np.ones(n), dict[str, Ints]()
        row = np.zeros(n, dtype=np.int64)
        for axis, stride in self.base.strides(group).items():
            marked = [mark[axis] for mark in marks if axis in mark]
            index, size, cell = _slots(self.base.reps[axis], self.base.weights[axis], marked, n)
            at, slot = np.nonzero(size[of] > 0)
            of, row = of[at], row[at]
            values = {p: x[at] for p, x in values.items()} | {axis: index[of, slot]}
            weight = weight[at] * size[of, slot]
            row += stride * cell[of, slot]
        up = ~self._down(group)[row]
        return of[up], {p: x[up] for p, x in values.items()}, weight[up]

    def cables(self, link: RealLink) -> Floats:
        """Return the cables of the bundle of `link` that are up, by the part that they have of their rate."""
        rule, parts = self.blueprint.rules[link.rule], parts_of(self.blueprint)
        ends = [(cast(str, s.group), dict(m)) for s, m in ((rule.left, link.tail), (rule.right, link.head))]
        # The tail of a turned link is on the right side of its rule: put each end to its own side.
        if link.is_turned:
            ends = [(ends[0][0], ends[1][1]), (ends[1][0], ends[0][1])]
        for group, index in ends:
            down = (*self.blueprint.absent, *self.blueprint.failed)
            if any(_is_of(self.blueprint, group, index, s) for s in down):
                return np.zeros(len(parts))
        count = rule.count
        if not isinstance(count, int):
            index = next(m for _, m in ends if set(self.blueprint.primitives(rule.count_axis)) <= set(m))
            count = count[self.blueprint.flat(rule.count_axis, index)]
        slow: list[tuple[MarkedCables, Bools]] = []
        for cables in self.blueprint.marked_cables:
            sides = (cables.left, cables.right)
            # A mark names its two ends in no order.
            hit = cables.may_be_of(rule.name) and any(
                _is_of(self.blueprint, *ends[0], a) and _is_of(self.blueprint, *ends[1], b)
                for a, b in (sides, sides[::-1])
            )
            if hit and cables.part:
                slow.append((cables, np.ones(1, dtype=np.bool_)))
            elif hit:
                count = 0 if cables.n is None else max(count - cables.n, 0)
        return by_part(np.array([float(count)]), np.ones(1), slow, parts).ravel()

    def rate_gbps(self, link: RealLink) -> float:
        """Return the rate of the cables of `link` [Gb/s]."""
        return self.blueprint.rules[link.rule].rate_gbps * parts_of(self.blueprint)[link.speed]

    def at_speeds(self, link: RealLink) -> Iterator[tuple[RealLink, float]]:
        """Yield `link` once for each speed that cables of its bundle have, with how many have it."""
        for speed, n in enumerate(self.cables(link).tolist()):
            if n > 0:
                yield (link if speed == link.speed else replace(link, speed=speed)), n

    def link_class(
        self, view: Quotient, links: Sequence[RealLink], of: Ints, places: Sequence[Values]
    ) -> Ints:
        """Return the directed link of ``view.classes`` that links belong to, for each choice of marks.

        Parameters
        ----------
        view : Quotient
            Made with other devices of the same classes marked.
        links : sequence of RealLink
            Of one rule, their tails on one side of it.
        of : ndarray of int64, shape (n,)
            The link that each choice is for.
        places : sequence of mapping
            Devices to take the place of each of the marked ones, by their index on each axis, shape (n,).

        Returns
        -------
        ndarray of int64, shape (n,)
            -1 where it belongs to none.
        """
        ends = [columns([link.tail for link in links]), columns([link.head for link in links])]
        sides = [{a: index[of] for a, index in end.items()} for end in ends]
        moved = self.marked.moved
        label = labels(self.plain, self.nest, [*self.failed, *map(moved, places)], [*map(moved, sides)])
        pattern = np.array([self._pattern(link) for link in links], dtype=np.int64)[of]
        rule, is_turned = links[0].rule, links[0].is_turned
        # Rules with fewer labels have shorter keys; the view fills them with -1.
        key = np.full((len(of), view.keys.shape[1]), -1, dtype=np.int64)
        speed = np.array([link.speed for link in links], dtype=np.int64)[of]
        known = link_keys(self.blueprint.rules[rule], rule, label, pattern, speed, is_turned=is_turned)
        key[:, : known.shape[1]] = known
        # Rows of the view and of the links that are equal are one set.
        _, which = alike(np.concatenate([view.keys, key]))
        row_of_set = np.full(len(which), -1, dtype=np.int64)
        row_of_set[which[: len(view.keys)]] = np.arange(len(view.keys))
        row_of = row_of_set[which[len(view.keys) :]]
        is_back = np.array([link.is_back for link in links], dtype=np.int64)[of]
        return np.where(row_of >= 0, 2 * row_of + is_back, -1)

    def _pattern(self, link: RealLink) -> int:
        tail, head = dict(link.tail), dict(link.head)
        axes = pattern_axes(self.blueprint, self.blueprint.rules[link.rule])
        # The pattern of `pattern_axes`: a bit for each axis on which the two ends differ.
        return sum(1 << i for i, p in enumerate(axes) if tail[p] != head[p])


def sample_links(blueprint: Blueprint, n_per_rule: int, seed: int) -> list[RealLink]:
    """Return real links of every rule, drawn at random: neighbours are worked out from the rule itself.

    Links of absent or failed devices and failed cables may be among them; a certificate skips them.
    """
    rng = np.random.default_rng(seed)
    links: list[RealLink] = []
    for number, rule in enumerate(blueprint.rules):
        of_rule: dict[RealLink, None] = {}
        # Rejection sampling: a draw may hit the end of a line, or two equal ends.
        for tail, head in _draws(blueprint, rule, rng, 20 * n_per_rule):
            of_rule[RealLink(number, tail, head, False)] = None
            if rule.is_peer and not rule.is_oneway:
                of_rule[RealLink(number, head, tail, False, True)] = None
            elif not rule.is_oneway:
                of_rule[RealLink(number, tail, head, True)] = None
            if len(of_rule) >= 2 * n_per_rule:
                break
        links += of_rule
    return links


def _draws(blueprint: Blueprint, rule: Rule, rng: np.random.Generator, n: int) -> Iterator[tuple[Mark, Mark]]:
    """Yield joined pairs of a rule, those of `n` draws that fit."""
    left, right = (blueprint.groups[group].primitives for group in rule.groups)
    size = {p: blueprint.axes[p].size for p in {*left, *right}}
    drawn = [{p: rng.integers(size[p], size=n).tolist() for p in side} for side in (left, right)]
    agreeing, axes = agreeing_axes(blueprint, rule), relation_axes(blueprint, rule)
    pins = [_pins(blueprint, side) for side in (rule.left, rule.right)]
    for draw in range(n):
        tail, head = ({p: x[draw] for p, x in columns.items()} for columns in drawn)
        head |= {p: tail[p] for p in agreeing}
        tail, head = tail | pins[0], head | pins[1]
        head |= {p: tail[p] for p in agreeing}
        if rule.relation and rule.relation.kind in ("ring", "line"):
            (axis,) = axes
            if size[axis] == 1 or (rule.relation.kind == "line" and tail[axis] == size[axis] - 1):
                continue
            # The right side of a ring or line is the next index up.
            head[axis] = (tail[axis] + 1) % size[axis]
        elif rule.relation and all(tail[p] == head[p] for p in axes):
            continue
        if fits(blueprint, rule.left, tail) and fits(blueprint, rule.right, head):
            yield tuple(sorted(tail.items())), tuple(sorted(head.items()))


def _pins(blueprint: Blueprint, selector: Selector) -> dict[str, int]:
    pins: dict[str, int] = {}
    for term in selector.terms:
        # A composed index in mixed radix: its last primitive axis is the lowest digit.
        flat = term.lo
        for p in reversed(blueprint.primitives(term.axis)):
            flat, digit = divmod(flat, blueprint.axes[p].size)
            if term.lo == term.hi:
                pins[p] = digit
    return pins


def _is_of(blueprint: Blueprint, group: str, index: Mapping[str, int], selector: Selector) -> bool:
    return group in selected_groups(blueprint, selector) and fits(blueprint, selector, index)
