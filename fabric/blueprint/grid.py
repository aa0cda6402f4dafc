"""The devices of a fabric as rows: all of them, or classes of those whose indices nothing tells apart.

On the *full* grid every index stands for itself. On the *class* grid the indices of an axis that nothing
tells apart are one class with a weight, so that a fabric of any size has few rows::

    axis rack: 16, and a side rack3/gpu      full grid   0 1 2 3 4 ... 15
                                             class grid  0 (weight 3), 3 (weight 1), 4 (weight 12)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.blueprint.rule_axes import relation_axes, twist_axes
from fabric.blueprint.selector import selected_groups
from fabric.errors import LimitError

MAX_MARKED = 20_000_000
"""Classes of devices that are compared with ranges of composed axes of absent devices."""
MAX_CLASS_ROWS = 1_000_000
"""Classes of devices that are counted."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The primitive axes as they are enumerated.

    Parameters
    ----------
    blueprint : Blueprint
    reps : mapping of str to ndarray of int64
        The index that stands for each class of an axis, ascending.
    weights : mapping of str to ndarray of float64
        How many indices each class holds; sums to the size of the axis.
    """

    blueprint: Blueprint
    reps: Mapping[str, Ints]
    weights: Mapping[str, Floats]
    # Every digit of every row is asked for by its stride; found once a group.
    _strides: dict[str, dict[str, int]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def shape(self, group: str) -> tuple[int, ...]:
        """Return the classes per primitive axis of `group`, outermost first."""
        return tuple(len(self.reps[p]) for p in self.blueprint.groups[group].primitives)

    def n_rows(self, group: str) -> int:
        """Return the rows of `group`: devices on the full grid, classes of devices on the class grid."""
        return math.prod(self.shape(group))

    def digit(self, group: str, rows: Ints, primitive: str) -> Ints:
        """Return the position on `primitive` of each of `rows`, shape (len(rows),)."""
        stride = self.strides(group)[primitive]
        return np.asarray((rows // stride) % len(self.reps[primitive]), dtype=np.int64)

    def strides(self, group: str) -> dict[str, int]:
        """Return how many rows one step on each primitive axis of `group` is, outermost first."""
        if group not in self._strides:
            shape = self.shape(group)
            names = self.blueprint.groups[group].primitives
            self._strides[group] = {p: math.prod(shape[at + 1 :]) for at, p in enumerate(names)}
        return self._strides[group]

    def index(self, group: str, rows: Ints, axis: str) -> Ints:
        """Return the index on `axis`, which may be composed, of each of `rows`."""
        flat = np.zeros(len(rows), dtype=np.int64)
        for p in self.blueprint.primitives(axis):
            flat = flat * self.blueprint.axes[p].size + self.reps[p][self.digit(group, rows, p)]
        return flat

    def weight(self, group: str, rows: Ints, primitives: tuple[str, ...]) -> Floats:
        """Return the product of the weights of `rows` on `primitives`."""
        product = np.ones(len(rows))
        for p in primitives:
            product *= self.weights[p][self.digit(group, rows, p)]
        return product

    def name(self, group: str, row: int) -> str:
        """Return the name of one device, such as ``rack3/tray7/gpu1``."""
        axes = self.blueprint.groups[group].axes
        index = [int(self.index(group, np.array([row]), a)[0]) for a in axes]
        return "/".join(
            [f"{a}{i}" for a, i in zip(axes[:-1], index[:-1], strict=True)]
            + [group + "".join(map(str, index[-1:]))]
        )

    def rows(self, group: str, selector: Selector | None = None) -> Ints:
        """Return the rows of `group` that `selector` matches, ascending."""
        box, ranges = self._box(group, selector.terms if selector else ())
        strides = self.strides(group)
        # Rows of the box as if it began at row 0, then moved to its corner.
        rows = row_sums([hi - lo for lo, hi in box.values()], list(strides.values()))
        rows += sum(lo * strides[p] for p, (lo, _) in box.items())
        for term in ranges:
            index = self.index(group, rows, term.axis)
            rows = rows[(index >= term.lo) & (index <= term.hi)]
        return rows

    def is_compared(self, selector: Selector) -> bool:
        """Return whether rows must be compared with a term: a range of a composed axis is no box of rows."""
        return any(t.lo < t.hi and self.blueprint.axes[t.axis].parts for t in selector.terms)

    def _box(self, group: str, terms: tuple[Term, ...]) -> tuple[dict[str, tuple[int, int]], list[Term]]:
        """Return a range of positions on each primitive axis, which holds all matches, and the terms left."""
        # An index, or a range of a primitive axis, is an interval on each axis; their product is a box.
        box = {p: (0, len(self.reps[p])) for p in self.blueprint.groups[group].primitives}
        ranges = []
        for term in terms:
            primitives = self.blueprint.primitives(term.axis)
            if term.lo < term.hi and len(primitives) > 1:
                ranges.append(term)
                continue
            lo, n = term.lo, term.hi + 1 - term.lo
            for p in reversed(primitives):
                # Mixed radix, fastest axis first.
                lo, digit = divmod(lo, self.blueprint.axes[p].size)
                first, last = np.searchsorted(self.reps[p], (digit, digit + n))
                box[p] = max(box[p][0], int(first)), min(box[p][1], int(last))
        return {p: (lo, max(lo, hi)) for p, (lo, hi) in box.items()}, ranges

    def mask(self, group: str, selectors: tuple[Selector, ...]) -> Bools:
        """Return which rows of `group` any of `selectors` matches, shape (n_rows,)."""
        matched = np.zeros(self.shape(group), dtype=np.bool_)
        for selector in selectors:
            if selector.group is not None and selector.group != group:
                continue
            if group in selected_groups(self.blueprint, selector):
                box, ranges = self._box(group, selector.terms)
                if ranges:
                    matched.reshape(-1)[self.rows(group, selector)] = True
                else:
                    matched[tuple(slice(lo, hi) for lo, hi in box.values())] = True
        return matched.reshape(-1)


def full_grid(blueprint: Blueprint) -> Grid:
    """Return the grid on which every index stands for itself."""
    used = {p for group in blueprint.groups.values() for p in group.primitives}
    reps = {p: np.arange(blueprint.axes[p].size, dtype=np.int64) for p in used}
    return Grid(blueprint, reps, {name: np.ones(len(r)) for name, r in reps.items()})


def class_grid(blueprint: Blueprint, extra: tuple[Selector, ...] = ()) -> Grid:
    """Return the grid of the index classes that the rules, the absent devices and `extra` tell apart.

    Parameters
    ----------
    blueprint : Blueprint
    extra : tuple of Selector

    Returns
    -------
    Grid

    Raises
    ------
    LimitError
        If there are more classes than `MAX_CLASS_ROWS`.
    """
    edges = _class_edges(blueprint, extra)
    reps = {name: points[:-1] for name, points in edges.items()}
    weights = {name: np.diff(points).astype(np.float64) for name, points in edges.items()}
    return _limit(Grid(blueprint, reps, weights))


def sample_grid(blueprint: Blueprint) -> Grid:
    """Return the grid of a few indices of every class: as many as a path between two devices may need.

    Returns
    -------
    Grid
        Of weights 1: every row is a device of the fabric, and rows are joined as those devices are.

    Raises
    ------
    LimitError
        As `class_grid`.

    Notes
    -----
    Rules join devices that are equal on an axis, or, in a mesh, unequal. So whatever joins two devices by a
    path of any length does so by one that meets two indices of a class, where only equality is asked: send
    those of neither end to one of them. In a mesh neighbours must stay unequal, which three indices allow,
    as the vertices of a triangle can be walked in any number of steps but one from each to each. Indices
    that a ring, a line, pairs or a count list tell apart are all there.
    """
    meshed = {
        p
        for rule in blueprint.rules
        if rule.relation and rule.relation.kind == "mesh"
        for p in relation_axes(blueprint, rule)
    }
    reps = {}
    for name, edges in _class_edges(blueprint).items():
        lo, hi = edges[:-1], edges[1:]
        # The first two or three indices of each class, as far as it has them.
        rows = np.add.outer(lo, np.arange(3 if name in meshed else 2))
        reps[name] = rows[rows < hi[:, None]]
    return _limit(Grid(blueprint, reps, {name: np.ones(len(r)) for name, r in reps.items()}))


def _class_edges(blueprint: Blueprint, extra: tuple[Selector, ...] = ()) -> dict[str, Ints]:
    """Return the first index of every class of each plain axis, and the size of the axis."""
    cuts: dict[str, set[int]] = {a.name: {0, a.size} for a in blueprint.axes.values() if not a.parts}
    sides = [side for rule in blueprint.rules for side in (rule.left, rule.right)]
    # Every selector cuts the axes of its terms; between two cuts nothing tells indices apart.
    for term in (t for s in (*blueprint.absent, *extra, *sides) for t in s.terms):
        for p, points in term_cuts(blueprint, term):
            cuts[p] |= points
    # Neighbours with equal counts are alike as well.
    for p, counts in listed_counts(blueprint):
        cuts[p] |= set((1 + np.flatnonzero((counts[1:] != counts[:-1]).any(axis=1))).tolist())
    listed = _listed_axes(blueprint)
    if (n := sum(blueprint.axes[name].size for name in listed)) > MAX_CLASS_ROWS:
        several = (
            f"axis {min(listed)} has" if len(listed) == 1 else f"axes {', '.join(sorted(listed)[:3])} have"
        )
        msg = f"{several} {n:,} indices; a ring, a line, or pairs are counted over at most {MAX_CLASS_ROWS:,}"
        raise LimitError(msg)
    return {
        name: np.arange(blueprint.axes[name].size + 1) if name in listed else np.array(sorted(points))
        for name, points in cuts.items()
    }


def _limit(grid: Grid) -> Grid:
    """Return `grid` if it has no more rows than are counted."""
    n_rows = {group: grid.n_rows(group) for group in grid.blueprint.groups}
    if sum(n_rows.values()) > MAX_CLASS_ROWS:
        most = max(n_rows, key=lambda group: n_rows[group])
        msg = f"{most} has {n_rows[most]:,} classes of devices; at most {MAX_CLASS_ROWS:,} are counted in all"
        raise LimitError(msg)
    ranges = sum(map(grid.is_compared, grid.blueprint.absent))
    if ranges * sum(n_rows.values()) > MAX_MARKED:
        amount = (
            f"{ranges:,} ranges of composed axes in absent, on {sum(n_rows.values()):,} classes of devices,"
        )
        msg = f"{amount} are too many; expected at most {MAX_MARKED:,} in their product"
        raise LimitError(msg)
    return grid


def term_cuts(blueprint: Blueprint, term: Term) -> Iterator[tuple[str, set[int]]]:
    """Yield the primitive axes of `term` and where it cuts them: indices between two cuts are alike.

    Membership in lo..hi depends on each digit only through its order against the digits of lo and hi, and on
    no digit below those that the range holds whole.
    """
    lo, hi, is_whole = term.lo, term.hi, True
    for p in reversed(blueprint.primitives(term.axis)):
        size = blueprint.axes[p].size
        lo, a = divmod(lo, size)
        hi, b = divmod(hi, size)
        yield p, {a, b + 1} if is_whole else {a, a + 1, b, b + 1}
        is_whole = is_whole and a == 0 and b == size - 1


def listed_counts(blueprint: Blueprint) -> Iterator[tuple[str, Ints]]:
    """Yield the primitive axes of lists of counts, with the counts of each index, shape (size, k)."""
    for rule in blueprint.rules:
        if not isinstance(rule.count, int):
            axes = blueprint.primitives(rule.count_axis)
            counts = np.reshape(np.array(rule.count), [blueprint.axes[p].size for p in axes])
            for at, p in enumerate(axes):
                yield p, np.moveaxis(counts, at, 0).reshape(counts.shape[at], -1)


def _listed_axes(blueprint: Blueprint) -> set[str]:
    """Return the primitive axes whose indices are all told apart; in a mesh they are alike."""
    listed: set[str] = set()
    for rule in blueprint.rules:
        if rule.relation and rule.relation.kind != "mesh":
            listed |= {*relation_axes(blueprint, rule), *twist_axes(blueprint, rule)}
    return listed


def row_sums(shape: Sequence[int], steps: Sequence[int]) -> Ints:
    """Return the sum of digit times step over the axes of every row of a grid."""
    flat = np.zeros(1, dtype=np.int64)
    for size, step in zip(shape, steps, strict=True):
        flat = np.add.outer(flat, np.arange(size, dtype=np.int64) * step).ravel()
    return flat
