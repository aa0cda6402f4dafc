"""The one rule: two devices are joined exactly when they agree on every axis that both groups have.

The same join runs on two grids. On the *full* grid it lists every cable of the fabric. On the *class* grid,
where the indices of an axis that nothing tells apart are one class with a weight, it counts cables and
degrees of a fabric of any size::

    axis rack: 16, and a side rack3/gpu      full grid   0 1 2 3 4 ... 15
                                             class grid  0 (weight 3), 3 (weight 1), 4 (weight 12)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Relation, Rule, Selector, Term
from fabric.blueprint.selector import pinned_axes, selected_groups
from fabric.errors import LimitError

MAX_MARKED = 20_000_000
"""Classes of devices that are compared with ranges of composed axes of absent devices."""
MAX_CLASS_ROWS = 1_000_000
"""Classes of devices that are counted."""

# Pairs that `join_parts` yields at a time: few enough to stay in the cache, enough to make calls cheap.
_PART = 1 << 17


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
        rows = _row_sums([hi - lo for lo, hi in box.values()], list(strides.values()))
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
    listed = _listed_axes(blueprint)
    if (n := sum(blueprint.axes[name].size for name in listed)) > MAX_CLASS_ROWS:
        several = (
            f"axis {min(listed)} has" if len(listed) == 1 else f"axes {', '.join(sorted(listed)[:3])} have"
        )
        msg = (
            f"{several} {n:,} indices; a ring, a line, pairs and a count list are counted "
            f"over at most {MAX_CLASS_ROWS:,}"
        )
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


def _listed_axes(blueprint: Blueprint) -> set[str]:
    """Return the primitive axes whose indices are all told apart; in a mesh they are alike."""
    listed: set[str] = set()
    for rule in blueprint.rules:
        if rule.relation and rule.relation.kind != "mesh":
            listed |= {*relation_axes(blueprint, rule), *twist_axes(blueprint, rule)}
        if rule.count_axis:
            listed |= set(blueprint.primitives(rule.count_axis))
    return listed


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


def relation_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes of the relation of `rule`, last one fastest; empty without a relation."""
    axes = rule.relation.axes if rule.relation else ()
    return tuple(p for a in axes for p in blueprint.primitives(a))


def twist_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes that the twist of `rule` shifts."""
    twist = rule.relation.twist if rule.relation else ()
    return tuple(p for a, _ in twist for p in blueprint.primitives(a))


def agreeing_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the primitive axes on which both devices of a pair must agree, up to a twist."""
    left, right = (blueprint.groups[group].primitives for group in rule.groups)
    free = {
        *relation_axes(blueprint, rule),
        *(pinned_axes(blueprint, rule.left) & pinned_axes(blueprint, rule.right)),
    }
    return tuple(p for p in left if p in right and p not in free)


def join(grid: Grid, rule: Rule, *, limit: int | None = None) -> Joined:
    """Return the pairs that `rule` joins on `grid`.

    Parameters
    ----------
    grid : Grid
    rule : Rule
    limit : int, optional
        Refuse to list more pairs than this.

    Returns
    -------
    Joined
        Each pair of rows once; a row with itself where a mesh joins the devices of one class.

    Raises
    ------
    LimitError
        If there are more pairs than `limit`.
    """
    parts = list(join_parts(grid, rule, limit=limit))
    if len(parts) == 1:
        return parts[0]
    columns = (np.concatenate([getattr(p, c) for p in parts]) for c in ("left", "right", "count"))
    return Joined(*columns)


def join_parts(grid: Grid, rule: Rule, *, limit: int | None = None) -> Iterator[Joined]:
    """Yield what `join` returns some pairs at a time, at least one part, for those who would only copy it.

    Raises
    ------
    LimitError
        As `join`.
    """
    groups = rule.left_group, rule.right_group
    candidates = _candidates(grid, rule, groups, limit)
    if groups[0] == groups[1]:
        candidates = iter([_once(grid, rule, *_whole(candidates))])
    for left, right in candidates:
        yield _count(grid, rule, groups, left, right)


def _whole(parts: Iterable[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    left, right = zip(*parts, strict=True)
    return np.concatenate(left), np.concatenate(right)


def _candidates(
    grid: Grid, rule: Rule, groups: tuple[str, str], limit: int | None
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of rows that agree, a device with itself and both orders of a pair included."""
    relation = rule.relation
    if relation is None or relation.kind == "mesh":
        for left, right in _agreeing_pairs(grid, rule, groups, limit):
            if relation is None:
                yield left, right
                continue
            # In a mesh ends must differ on its axis; two devices of one class do where it holds several.
            apart = ~_is_equal(grid, rule, left, right)
            apart |= grid.weight(groups[1], right, relation_axes(grid.blueprint, rule)) > 1
            yield left[apart], right[apart]
        return
    # Ring, line and pairs: each left row names the relation index of its partner; then one equi-join.
    rows = grid.rows(groups[0], rule.left), grid.rows(groups[1], rule.right)
    indices = [_relation_index(grid, relation, g, r) for g, r in zip(groups, rows, strict=True)]
    partnered, target = _targets(relation, indices[0])
    wrapped = target == 0 if relation.kind == "ring" else np.zeros(len(target), dtype=np.bool_)
    key = _keys(grid, rule, groups, (rows[0][partnered], rows[1]), wrapped)
    lkey, rkey = key[0] * relation.size + target, key[1] * relation.size + indices[1]
    li, ri = _equijoin(lkey, rkey, limit, rule.name)
    yield rows[0][partnered][li], rows[1][ri]


def _agreeing_pairs(
    grid: Grid, rule: Rule, groups: tuple[str, str], limit: int | None
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of rows that are equal on the agreeing axes, in the order of the left rows."""
    rows = grid.rows(groups[0], rule.left)
    if rule.right.terms:
        right_rows = grid.rows(groups[1], rule.right)
        li, ri = _equijoin(*_keys(grid, rule, groups, (rows, right_rows)), limit, rule.name)
        yield rows[li], right_rows[ri]
        return
    # Without a selector the right rows are a full product of digits: those that left row i meets are
    # base[i] + offset, the agreeing digits taken from the left and the others free.
    step = grid.strides(groups[1])
    apart = agreeing_axes(grid.blueprint, rule)
    base = _row_sums(grid.shape(groups[0]), [step[p] if p in apart else 0 for p in grid.strides(groups[0])])
    free = [p for p in step if p not in apart]
    offset = _row_sums(tuple(len(grid.reps[p]) for p in free), [step[p] for p in free])
    _refuse_pairs(rule.name, len(rows) * len(offset), limit)
    # In batches of left rows, so that pairs stay in the cache.
    per = max(1, _PART // len(offset))
    for start in range(0, max(1, len(rows)), per):
        batch = rows[start : start + per]
        yield np.repeat(batch, len(offset)), np.add.outer(base[batch], offset).ravel()


def _row_sums(shape: Sequence[int], steps: Sequence[int]) -> Ints:
    """Return the sum of digit times step over the axes of every row of a grid."""
    flat = np.zeros(1, dtype=np.int64)
    for size, step in zip(shape, steps, strict=True):
        flat = np.add.outer(flat, np.arange(size, dtype=np.int64) * step).ravel()
    return flat


def partners(grid: Grid, rule: Rule, pairs: Joined) -> tuple[Floats, Floats]:
    """Return how many devices of the other side each device of a pair of rows is joined with.

    Parameters
    ----------
    grid : Grid
    rule : Rule
    pairs : Joined
        What `join` returns for both.

    Returns
    -------
    n_left, n_right : ndarray of float64, shape (m,)
        Left devices for one right device, and right devices for one left device. Where a mesh joins the
        devices of one row with one another, each is half of the others, so that n_left + n_right is right.
    """
    groups = rule.left_group, rule.right_group
    mesh = relation_axes(grid.blueprint, rule) if rule.relation and rule.relation.kind == "mesh" else ()
    apart = {*agreeing_axes(grid.blueprint, rule), *mesh}
    equal = (
        _is_equal(grid, rule, pairs.left, pairs.right) if mesh else np.zeros(len(pairs.left), dtype=np.bool_)
    )
    n_partners = []
    for group, rows in zip(groups, (pairs.left, pairs.right), strict=True):
        # Where nothing need agree all devices of the class are partners; in a mesh, all but the one itself.
        free = tuple(p for p in grid.blueprint.groups[group].primitives if p not in apart)
        n_partners.append(grid.weight(group, rows, free) * (grid.weight(group, rows, mesh) - equal))
    if groups[0] == groups[1] and not rule.is_oneway:
        # A pair within one class is met from both of its ends.
        half = np.where(pairs.left == pairs.right, 0.5, 1.0)
        n_partners = [number * half for number in n_partners]
    return n_partners[0], n_partners[1]


def _is_equal(grid: Grid, rule: Rule, left: Ints, right: Ints) -> Bools:
    """Return which pairs of rows are alike on the axis of a mesh."""
    relation = cast(Relation, rule.relation)
    indices = [
        _relation_index(grid, relation, cast(str, s.group), r)
        for s, r in ((rule.left, left), (rule.right, right))
    ]
    return np.asarray(indices[0] == indices[1], dtype=np.bool_)


def _keys(
    grid: Grid, rule: Rule, groups: tuple[str, str], rows: tuple[Ints, Ints], wrapped: Bools | None = None
) -> tuple[Ints, Ints]:
    """Return one number per row that is equal where the agreeing axes are, `wrapped` left rows twisted."""
    axes = agreeing_axes(grid.blueprint, rule)
    digits = [{p: grid.digit(g, r, p) for p in axes} for g, r in zip(groups, rows, strict=True)]
    if rule.relation and wrapped is not None:
        digits[0] |= _shift(grid, rule.relation, groups[0], rows[0], wrapped)
    keys = [np.zeros(len(r), dtype=np.int64) for r in rows]
    # Mixed-radix number of the agreeing digits.
    for p in axes:
        keys = [key * len(grid.reps[p]) + digit[p] for key, digit in zip(keys, digits, strict=True)]
    return keys[0], keys[1]


def _shift(grid: Grid, relation: Relation, group: str, rows: Ints, wrapped: Bools) -> dict[str, Ints]:
    """Return the digits of `rows` on the axes of the twist, moved where the cable wraps."""
    digits: dict[str, Ints] = {}
    for axis, shift in relation.twist:
        size = grid.blueprint.axes[axis].size
        index = grid.index(group, rows, axis)
        # The axes of a twist are listed, so that an index is made of digits.
        shifted = np.where(wrapped, (index + shift % size) % size, index)
        for p in reversed(grid.blueprint.primitives(axis)):
            shifted, digits[p] = np.divmod(shifted, grid.blueprint.axes[p].size)
    return digits


def _relation_index(grid: Grid, relation: Relation, group: str, rows: Ints) -> Ints:
    flat = np.zeros(len(rows), dtype=np.int64)
    for axis in relation.axes:
        flat = flat * grid.blueprint.axes[axis].size + grid.index(group, rows, axis)
    return flat


def _targets(relation: Relation, index: Ints) -> tuple[Ints, Ints]:
    """Return positions of the left rows that have a partner, and the relation index of that partner."""
    n = relation.size
    if relation.kind == "pairs":
        at, pair = _equijoin(index, relation.pairs[:, 0], None, "pairs")
        return at, relation.pairs[pair, 1]
    partnered = np.arange(len(index), dtype=np.int64)
    if relation.kind == "line":
        partnered = partnered[index < n - 1]
    elif n == 1:
        partnered = partnered[:0]
    return partnered, (index[partnered] + 1) % n


def _equijoin(left: Ints, right: Ints, limit: int | None, name: str) -> tuple[Ints, Ints]:
    """Return the positions (i, j) of all equal keys ``left[i] == right[j]``, ordered by i."""
    # Keys often come ascending: the agreeing axes of the right group are mostly its outermost.
    order = None if (right[1:] >= right[:-1]).all() else np.argsort(right, kind="stable")
    ranked = right if order is None else right[order]
    # Sort-merge join: the equal keys of left[i] are ranked[first[i] : first[i] + n[i]].
    first = np.searchsorted(ranked, left, side="left")
    n = np.searchsorted(ranked, left, side="right") - first
    total = int(n.sum())
    _refuse_pairs(name, total, limit)
    starts = np.cumsum(n) - n
    # Concatenated ranges without a loop: first[i], first[i] + 1, ... for each i in turn.
    at = np.repeat(first - starts, n)
    at += np.arange(total, dtype=np.int64)
    return np.repeat(np.arange(len(left), dtype=np.int64), n), at if order is None else order[at]


def _refuse_pairs(name: str, total: int, limit: int | None) -> None:
    if limit is not None and total > limit:
        msg = f"{name} joins {total:,} pairs; at most {limit:,} more are listed"
        raise LimitError(msg)


def _once(grid: Grid, rule: Rule, left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """Drop a device joined with itself and keep each pair once (each ordered pair, if one-way)."""
    if rule.relation is None or rule.relation.kind != "mesh":
        apart = left != right
        left, right = left[apart], right[apart]
    low, high = (left, right) if rule.is_oneway else (np.minimum(left, right), np.maximum(left, right))
    # First occurrence of each pair, in the order in which they came.
    _, first = np.unique(low * grid.n_rows(rule.left_group) + high, return_index=True)
    first.sort()
    return left[first], right[first]


def _count(grid: Grid, rule: Rule, groups: tuple[str, str], left: Ints, right: Ints) -> Joined:
    if isinstance(rule.count, int):
        return Joined(left, right, np.full(len(left), rule.count, dtype=np.int64))
    primitives = set(grid.blueprint.primitives(rule.count_axis))
    on_left = primitives <= set(grid.blueprint.groups[groups[0]].primitives)
    index = grid.index(groups[0] if on_left else groups[1], left if on_left else right, rule.count_axis)
    count = np.array(rule.count, dtype=np.int64)[index]
    joined = count > 0
    return Joined(left[joined], right[joined], count[joined])
