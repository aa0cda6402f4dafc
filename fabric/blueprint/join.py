"""The one rule: two devices are joined exactly when they agree on every axis that both groups have.

The same join runs on two grids (`fabric.blueprint.grid`): on the full one it lists every cable of the fabric,
on that of classes it counts cables and degrees of a fabric of any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid, row_sums
from fabric.blueprint.model import Relation, Rule
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes
from fabric.errors import LimitError

# Pairs that `join_parts` yields at a time: few enough to stay in the cache, enough to make calls cheap.
_PART = 1 << 17


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
    base = row_sums(grid.shape(groups[0]), [step[p] if p in apart else 0 for p in grid.strides(groups[0])])
    free = [p for p in step if p not in apart]
    offset = row_sums(tuple(len(grid.reps[p]) for p in free), [step[p] for p in free])
    _refuse_pairs(rule.name, len(rows) * len(offset), limit)
    # In batches of left rows, so that pairs stay in the cache.
    per = max(1, _PART // len(offset))
    for start in range(0, max(1, len(rows)), per):
        batch = rows[start : start + per]
        yield np.repeat(batch, len(offset)), np.add.outer(base[batch], offset).ravel()


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
