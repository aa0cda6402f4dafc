"""Back from classes to devices and cables: real links of a blueprint, drawn at random, and the class of each.

Nothing here solves anything; a certificate uses it to look at real links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.join import Grid, agreeing_axes, class_grid, relation_axes
from fabric.blueprint.model import Blueprint, Rule, Selector, Term
from fabric.blueprint.selector import fits, selected_groups
from fabric.symmetry.labels import (
    Mark,
    failure_marks,
    keep_cells,
    labels,
    link_keys,
    pattern_axes,
    plain_grid,
)
from fabric.symmetry.nesting import Tie, nesting
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
    """

    rule: int
    tail: Mark
    head: Mark
    is_back: bool
    is_turned: bool = False


class Lift:
    """Find the class of real links, for any device in the place of the marked one.

    Parameters
    ----------
    blueprint : Blueprint
    apart, ties
        As given to `quotient`.
    """

    def __init__(
        self, blueprint: Blueprint, apart: tuple[Selector, ...] = (), ties: tuple[Tie, ...] = ()
    ) -> None:
        self.blueprint = blueprint
        nest = nesting(blueprint, ties)
        failed, cells = failure_marks(blueprint, nest)
        self.nest = keep_cells(blueprint, nest, (*cells, *apart))
        self.marks = failed
        self.failed = [dict(m) for m in failed]
        self.cells = (*cells, *apart)
        self.plain = plain_grid(blueprint, self.cells)
        self.number = self._number_classes()
        self._rows: dict[int, dict[bytes, int]] = {}

    def _grid(self, marks: tuple[Mark, ...]) -> Grid:
        selectors = (Selector("", None, tuple(Term(a, i, i) for a, i in m)) for m in (*self.marks, *marks))
        return class_grid(self.blueprint, (*self.cells, *selectors))

    def _labels(self, grid: Grid, group: str, marks: list[dict[str, int]]) -> tuple[Ints, Ints]:
        """Return the rows of a group that are up, and their labels."""
        down = (*self.blueprint.absent, *self.blueprint.failed)
        rows = np.flatnonzero(~grid.mask(group, down)).astype(np.int64)
        primitives = self.blueprint.groups[group].primitives
        values = {p: grid.reps[p][grid.digit(group, rows, p)] for p in primitives}
        return rows, labels(self.plain, self.nest, marks, [values])[: len(rows)]

    def _number_classes(self) -> dict[str, dict[bytes, int]]:
        """Return the number of every base class of devices by its label, as `quotient` numbers them."""
        grid = self._grid(())
        numbers: dict[str, dict[bytes, int]] = {}
        n = 0
        for group in self.blueprint.groups:
            # Sorted by label, group by group: the order in which `device_classes` numbers them.
            label_rows = np.unique(self._labels(grid, group, self.failed)[1], axis=0)
            numbers[group] = {row.tobytes(): n + i for i, row in enumerate(label_rows)}
            n += len(label_rows)
        return numbers

    def endpoints_around(self, link: RealLink) -> tuple[Floats, tuple[Mark, ...], Ints]:
        """Return the classes of endpoints that keep `link` in place: size, a device, base class."""
        grid = self._grid((link.tail, link.head))
        ends = [dict(link.tail), dict(link.head)]
        size: list[float] = []
        index: list[Mark] = []
        origin: list[int] = []
        for group in self.blueprint.groups.values():
            if not group.is_endpoint:
                continue
            rows, fine = self._labels(grid, group.name, [*self.failed, *ends])
            # Orbits of the stabiliser of the link's two ends, and the orbit of each without the link.
            _, base = self._labels(grid, group.name, self.failed)
            _, first, inverse = np.unique(fine, axis=0, return_index=True, return_inverse=True)
            weight = grid.weight(group.name, rows, group.primitives)
            size += np.bincount(inverse.ravel(), weight, minlength=len(first)).tolist()
            values = {
                p: grid.reps[p][grid.digit(group.name, rows[first], p)].tolist() for p in group.primitives
            }
            index += [tuple(sorted((p, v[i]) for p, v in values.items())) for i in range(len(first))]
            origin += [self.number[group.name][row.tobytes()] for row in base[first]]
        return np.array(size), tuple(index), np.array(origin, dtype=np.int64)

    def cables(self, link: RealLink) -> float:
        """Return the cables of the bundle of `link` that are up."""
        rule = self.blueprint.rules[link.rule]
        ends = [(cast(str, s.group), dict(m)) for s, m in ((rule.left, link.tail), (rule.right, link.head))]
        # The tail of a turned link is on the right side of its rule: put each end to its own side.
        if link.is_turned:
            ends = [(ends[0][0], ends[1][1]), (ends[1][0], ends[0][1])]
        for group, index in ends:
            down = (*self.blueprint.absent, *self.blueprint.failed)
            if any(_is_of(self.blueprint, group, index, s) for s in down):
                return 0.0
        count = rule.count
        if not isinstance(count, int):
            index = next(m for _, m in ends if set(self.blueprint.primitives(rule.count_axis)) <= set(m))
            count = count[self.blueprint.flat(rule.count_axis, index)]
        for failure in self.blueprint.failed_cables:
            sides = (failure.left, failure.right)
            # A failure names its two ends in no order.
            hit = any(
                _is_of(self.blueprint, *ends[0], a) and _is_of(self.blueprint, *ends[1], b)
                for a, b in (sides, sides[::-1])
            )
            if hit:
                count = 0 if failure.n is None else max(count - failure.n, 0)
        return float(count)

    def link_class(self, view: Quotient, link: RealLink, sources: list[tuple[Mark, ...]]) -> Ints:
        """Return the directed link of ``view.classes`` that `link` belongs to, for each choice of marks.

        Parameters
        ----------
        view : Quotient
            Made with other devices of the same classes marked.
        link : RealLink
        sources : list of tuple of Mark
            Devices to take the place of the marked ones, n choices.

        Returns
        -------
        ndarray of int64, shape (n,)
            -1 where it belongs to none.
        """
        n = len(sources)
        marks: list[Mapping[str, int | Ints]] = [*self.failed]
        for place in range(len(sources[0])):
            axes = dict(sources[0][place])
            # One column for each choice of sources: all choices are labelled in one pass.
            marks.append({a: np.array([dict(s[place])[a] for s in sources], dtype=np.int64) for a in axes})
        sides = [{a: np.full(n, i, dtype=np.int64) for a, i in mark} for mark in (link.tail, link.head)]
        label = labels(self.plain, self.nest, cast(list[Mapping[str, Ints]], marks), sides)
        pattern = np.full(n, self._pattern(link), dtype=np.int64)
        key = link_keys(self.blueprint.rules[link.rule], link.rule, label, pattern, is_turned=link.is_turned)
        # Rules with fewer labels have shorter keys; the view fills them with -1.
        key = np.pad(key, ((0, 0), (0, view.keys.shape[1] - key.shape[1])), constant_values=-1)
        # Views live as long as the question that is being checked.
        table = self._rows.get(id(view))
        if table is None:
            table = {row.tobytes(): i for i, row in enumerate(np.ascontiguousarray(view.keys))}
            self._rows[id(view)] = table
        rows = [table.get(row.tobytes(), -1) for row in np.ascontiguousarray(key)]
        return np.array([2 * i + link.is_back if i >= 0 else -1 for i in rows], dtype=np.int64)

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
    links: dict[RealLink, None] = {}
    for number, rule in enumerate(blueprint.rules):
        # Rejection sampling: a draw may hit the end of a line, or two equal ends.
        for _ in range(20 * n_per_rule):
            pair = _draw(blueprint, rule, rng)
            if pair is None:
                continue
            tail, head = pair
            links[RealLink(number, tail, head, False)] = None
            if rule.is_peer and not rule.is_oneway:
                links[RealLink(number, head, tail, False, True)] = None
            elif not rule.is_oneway:
                links[RealLink(number, tail, head, True)] = None
            if sum(link.rule == number for link in links) >= 2 * n_per_rule:
                break
    return list(links)


def _draw(blueprint: Blueprint, rule: Rule, rng: np.random.Generator) -> tuple[Mark, Mark] | None:
    """Return one joined pair of a rule, or None if the draw did not fit."""
    left, right = (blueprint.groups[group].primitives for group in rule.groups)
    size = {p: blueprint.axes[p].size for p in {*left, *right}}
    tail = {p: int(rng.integers(size[p])) for p in left}
    head = {p: int(rng.integers(size[p])) for p in right}
    head |= {p: tail[p] for p in agreeing_axes(blueprint, rule)}
    for index, side in ((tail, rule.left), (head, rule.right)):
        index |= _pins(blueprint, side)
    head |= {p: tail[p] for p in agreeing_axes(blueprint, rule)}
    axes = relation_axes(blueprint, rule)
    if rule.relation and rule.relation.kind in ("ring", "line"):
        (axis,) = axes
        if size[axis] == 1 or (rule.relation.kind == "line" and tail[axis] == size[axis] - 1):
            return None
        # The right side of a ring or line is the next index up.
        head[axis] = (tail[axis] + 1) % size[axis]
    elif rule.relation and all(tail[p] == head[p] for p in axes):
        return None
    is_pair = fits(blueprint, rule.left, tail) and fits(blueprint, rule.right, head)
    return (tuple(sorted(tail.items())), tuple(sorted(head.items()))) if is_pair else None


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
