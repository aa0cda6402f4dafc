"""The one rule: two devices are joined exactly when they agree on every axis that both groups have.

The same join runs on two grids. On the *full* grid it lists every cable of the fabric. On the *class* grid,
where the indices of an axis that nothing tells apart are one class with a weight, it counts cables and
degrees of a fabric of any size::

    axis rack: 16, and a side rack3/gpu      full grid   0 1 2 3 4 ... 15
                                             class grid  0 (weight 3), 3 (weight 1), 4 (weight 12)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from fabric.blueprint.model import Blueprint, Relation, Rule, Selector
from fabric.blueprint.selector import pinned, selected_groups
from fabric.errors import LimitError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_CLASS_ROWS = 4_000_000


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

    def shape(self, group: str) -> tuple[int, ...]:
        """Return the classes per primitive axis of `group`, outermost first."""
        return tuple(len(self.reps[p]) for p in self.blueprint.groups[group].primitives)

    def n_rows(self, group: str) -> int:
        """Return the rows of `group`: devices on the full grid, classes of devices on the class grid."""
        return math.prod(self.shape(group))

    def digit(self, group: str, rows: Ints, primitive: str) -> Ints:
        """Return the position on `primitive` of each of `rows`, shape (len(rows),)."""
        names, shape = self.blueprint.groups[group].primitives, self.shape(group)
        at = names.index(primitive)
        stride = math.prod(shape[at + 1 :])
        return np.asarray((rows // stride) % shape[at], dtype=np.int64)

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
        return "/".join([f"{a}{i}" for a, i in zip(axes[:-1], index[:-1], strict=True)] + [group + "".join(map(str, index[-1:]))])

    def rows(self, group: str, selector: Selector | None = None) -> Ints:
        """Return the rows of `group` that `selector` matches, ascending."""
        rows = np.arange(self.n_rows(group), dtype=np.int64)
        for term in selector.terms if selector else ():
            index = self.index(group, rows, term.axis)
            rows = rows[(index >= term.lo) & (index <= term.hi)]
        return rows

    def mask(self, group: str, selectors: tuple[Selector, ...]) -> Bools:
        """Return which rows of `group` any of `selectors` matches, shape (n_rows,)."""
        found = np.zeros(self.n_rows(group), dtype=np.bool_)
        for selector in selectors:
            if group in selected_groups(self.blueprint, selector):
                found[self.rows(group, selector)] = True
        return found


def full_grid(blueprint: Blueprint) -> Grid:
    """Return the grid on which every index stands for itself."""
    reps = {a.name: np.arange(a.size, dtype=np.int64) for a in blueprint.axes.values() if not a.parts}
    return Grid(blueprint, reps, {name: np.ones(len(r)) for name, r in reps.items()})


def class_grid(blueprint: Blueprint, extra: tuple[Selector, ...] = ()) -> Grid:
    """Return the grid of the index classes that the rules, the absent devices and `extra` tell apart.

    Raises
    ------
    LimitError
        If a relation, a twist or a count list runs over an axis too large to be listed.
    """
    cuts: dict[str, set[int]] = {a.name: {0, a.size} for a in blueprint.axes.values() if not a.parts}
    listed: set[str] = set()
    selectors = [*blueprint.absent, *extra]
    for rule in blueprint.rules:
        selectors += [rule.left, rule.right]
        if rule.relation:
            listed |= {p for a in rule.relation.axes for p in blueprint.primitives(a)}
            listed |= {a for a, _ in rule.relation.twist}
        if rule.count_axis:
            listed |= set(blueprint.primitives(rule.count_axis))
    for term in (t for s in selectors for t in s.terms):
        # Membership in lo..hi depends on each digit only through its order against the digits of lo and hi.
        lo, hi = term.lo, term.hi
        for p in reversed(blueprint.primitives(term.axis)):
            size = blueprint.axes[p].size
            lo, a = divmod(lo, size)
            hi, b = divmod(hi, size)
            cuts[p] |= {a, a + 1, b, b + 1}
    reps, weights = {}, {}
    for name, points in cuts.items():
        size = blueprint.axes[name].size
        if name in listed and size > MAX_CLASS_ROWS:
            msg = f"axis {name} has {size:,} indices; a relation or a count list runs over at most {MAX_CLASS_ROWS:,}"
            raise LimitError(msg)
        edges = np.arange(size + 1) if name in listed else np.array(sorted(points))
        reps[name], weights[name] = edges[:-1].astype(np.int64), np.diff(edges).astype(np.float64)
    grid = Grid(blueprint, reps, weights)
    for group in blueprint.groups:
        if grid.n_rows(group) > MAX_CLASS_ROWS:
            msg = f"{group} has {grid.n_rows(group):,} classes of devices; at most {MAX_CLASS_ROWS:,} are counted"
            raise LimitError(msg)
    return grid


@dataclass(frozen=True, slots=True)
class Joined:
    """Pairs that one rule joins.

    Parameters
    ----------
    left, right : ndarray of int64, shape (m,)
        Rows of the two groups on the grid.
    count : ndarray of int64, shape (m,)
        Parallel cables of each pair, at least 1.
    """

    left: Ints
    right: Ints
    count: Ints


def agreeing(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes on which both devices of a pair must agree."""
    left, right = (blueprint.groups[cast(str, s.group)].primitives for s in (rule.left, rule.right))
    free = pinned(blueprint, rule.left) & pinned(blueprint, rule.right)
    if rule.relation:
        free |= {p for a in rule.relation.axes for p in blueprint.primitives(a)}
    return tuple(p for p in left if p in right and p not in free)


def join(grid: Grid, rule: Rule, *, limit: int | None = None) -> Joined:
    """Return the pairs that `rule` joins on `grid`.

    Parameters
    ----------
    grid : Grid
    rule : Rule
    limit : int, optional
        Refuse to list more pairs than this.

    Raises
    ------
    LimitError
        If there are more pairs than `limit`.
    """
    groups = cast(str, rule.left.group), cast(str, rule.right.group)
    rows = grid.rows(groups[0], rule.left), grid.rows(groups[1], rule.right)
    relation = rule.relation
    if relation is not None and relation.kind != "mesh":
        own = [_relation_index(grid, relation, g, r) for g, r in zip(groups, rows, strict=True)]
        kept, target = _targets(relation, own[0])
        shift = dict(relation.twist)
        wrapped = target == 0 if relation.kind == "ring" else np.zeros(len(target), dtype=np.bool_)
        key = _keys(grid, rule, groups, (rows[0][kept], rows[1]), shift, wrapped)
        lkey, rkey = key[0] * relation.size + target, key[1] * relation.size + own[1]
        li, ri = _equijoin(lkey, rkey, limit, rule.name)
        left, right = rows[0][kept][li], rows[1][ri]
    else:
        li, ri = _equijoin(*_keys(grid, rule, groups, rows), limit, rule.name)
        left, right = rows[0][li], rows[1][ri]
        if relation is not None:
            unequal = _relation_index(grid, relation, groups[0], left) != _relation_index(
                grid, relation, groups[1], right
            )
            left, right = left[unequal], right[unequal]
    if groups[0] == groups[1]:
        left, right = _once(left, right, grid.n_rows(groups[0]), is_oneway=rule.is_oneway)
    return _counted(grid, rule, groups, left, right)


def _keys(
    grid: Grid,
    rule: Rule,
    groups: tuple[str, str],
    rows: tuple[Ints, Ints],
    shift: Mapping[str, int] | None = None,
    wrapped: Bools | None = None,
) -> tuple[Ints, Ints]:
    """Return one number per row that is equal where the agreeing axes are; `shift` twists wrapped left rows."""
    keys = [np.zeros(len(r), dtype=np.int64) for r in rows]
    for p in agreeing(grid.blueprint, rule):
        n = len(grid.reps[p])
        for side in (0, 1):
            digit = grid.digit(groups[side], rows[side], p)
            if side == 0 and shift and wrapped is not None and p in shift:
                digit = np.where(wrapped, (digit + shift[p]) % n, digit)
            keys[side] = keys[side] * n + digit
    return keys[0], keys[1]


def _relation_index(grid: Grid, relation: Relation, group: str, rows: Ints) -> Ints:
    flat = np.zeros(len(rows), dtype=np.int64)
    for axis in relation.axes:
        flat = flat * grid.blueprint.axes[axis].size + grid.index(group, rows, axis)
    return flat


def _targets(relation: Relation, own: Ints) -> tuple[Ints, Ints]:
    """Return positions of the left rows that have a partner, and the relation index of that partner."""
    n = relation.size
    if relation.kind == "pairs":
        pairs = np.array(relation.pairs, dtype=np.int64)
        at, found = _equijoin(own, pairs[:, 0], None, "pairs")
        return at, pairs[found, 1]
    kept = np.arange(len(own), dtype=np.int64)
    if relation.kind == "line":
        kept = kept[own < n - 1]
    elif n == 1:
        kept = kept[:0]
    return kept, (own[kept] + 1) % n


def _equijoin(left: Ints, right: Ints, limit: int | None, name: str) -> tuple[Ints, Ints]:
    """Return the positions (i, j) of all equal keys ``left[i] == right[j]``, ordered by i."""
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    first = np.searchsorted(ranked, left, side="left")
    n = np.searchsorted(ranked, left, side="right") - first
    total = int(n.sum())
    if limit is not None and total > limit:
        msg = f"{name} alone has {total:,} cable bundles; the limit of the expanded form is {limit:,}"
        raise LimitError(msg)
    starts = np.cumsum(n) - n
    within = np.arange(total, dtype=np.int64) - np.repeat(starts, n)
    return np.repeat(np.arange(len(left), dtype=np.int64), n), order[np.repeat(first, n) + within]


def _once(left: Ints, right: Ints, n_rows: int, *, is_oneway: bool) -> tuple[Ints, Ints]:
    """Drop a device joined with itself and keep each pair once (each ordered pair, if one-way)."""
    other = left != right
    left, right = left[other], right[other]
    low, high = (left, right) if is_oneway else (np.minimum(left, right), np.maximum(left, right))
    _, first = np.unique(low * n_rows + high, return_index=True)
    first.sort()
    return left[first], right[first]


def _counted(grid: Grid, rule: Rule, groups: tuple[str, str], left: Ints, right: Ints) -> Joined:
    if isinstance(rule.count, int):
        return Joined(left, right, np.full(len(left), rule.count, dtype=np.int64))
    own = set(grid.blueprint.primitives(rule.count_axis))
    on_left = own <= set(grid.blueprint.groups[groups[0]].primitives)
    index = grid.index(groups[0] if on_left else groups[1], left if on_left else right, rule.count_axis)
    count = np.array(rule.count, dtype=np.int64)[index]
    some = count > 0
    return Joined(left[some], right[some], count[some])
