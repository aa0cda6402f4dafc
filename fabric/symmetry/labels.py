"""What automorphisms tell apart: labels of devices and links, equal where one is mapped to the other.

On a plain axis an index is that of a mark, or in a cell of the axis; on a ring or line it is the least image
under the permutations that keep the marks in place. On every axis only marks count whose device is the same
on all axes above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.grid import Grid, listed_counts, term_cuts
from fabric.blueprint.model import Blueprint, Rule, Selector, Term
from fabric.blueprint.rule_axes import relation_axes
from fabric.symmetry.nesting import Nesting, TiedRange

Mark = tuple[tuple[str, int], ...]
"""Index on some primitive axes, all axes above each of them included."""

Values = Mapping[str, Ints]
"""Index of devices on each primitive axis of their group."""

Known = Mapping[str, int | tuple[int, int]]
"""Index of a mark on its axes, or the first and the last of several that are alike."""

Marks = Sequence[Values | Known]
"""Index of each mark on its axes: a number, a range, or one number for each device or link."""


def as_mark(blueprint: Blueprint, selector: Selector, nest: Nesting) -> Mark | None:
    """Return `selector` as a mark, or None where it is not one index on axes with all above them."""
    index: dict[str, int] = {}
    for term in selector.terms:
        if term.lo != term.hi:
            return None
        flat = term.lo
        for p in reversed(blueprint.primitives(term.axis)):
            flat, index[p] = divmod(flat, blueprint.axes[p].size)
    if any(a not in index for p in index for a in nest.above[p]):
        return None
    return tuple(sorted(index.items()))


def box_of(mark: Known) -> Selector:
    """Return a mark as a selector."""
    ends = {axis: at if isinstance(at, tuple) else (at, at) for axis, at in mark.items()}
    return Selector("", None, tuple(Term(axis, lo, hi) for axis, (lo, hi) in ends.items()))


def keep_cells(blueprint: Blueprint, nest: Nesting, cells: tuple[Selector, ...]) -> Nesting:
    """Return `nest` with only those permutations that keep every selection and count list."""
    sides = [s for r in blueprint.rules for s in (r.left, r.right)]
    # Every first index of a selected range cuts its axis; between two cuts all indices are alike.
    cuts: dict[str, set[int]] = {axis: {0} for axis in blueprint.axes}
    for term in (t for s in (*cells, *sides) for t in s.terms):
        for axis, points in term_cuts(blueprint, term):
            cuts[axis] |= points
    counts: dict[str, list[Ints]] = {}
    for axis, of_index in listed_counts(blueprint):
        counts.setdefault(axis, []).append(of_index)
    stabilisers = {}
    for axis, permutations in nest.permutations.items():
        n = blueprint.axes[axis].size
        cell = np.searchsorted(np.array(sorted(cuts[axis])), np.arange(n), side="right")
        # The subgroup that maps each cell onto itself, and each index to one with the same counts.
        kept = (cell[permutations] == cell).all(axis=1)
        for of_index in counts.get(axis, []):
            kept &= (of_index[permutations] == of_index).all(axis=(1, 2))
        stabilisers[axis] = permutations[kept]
    return Nesting(nest.order, nest.above, stabilisers, nest.tied)


def link_keys(
    rule: Rule, number: int, label: Ints, pattern: Ints, speed: Ints | int, *, is_turned: bool
) -> Ints:
    """Return what tells the classes of links apart: rule, side of the tail, pattern, speed, labels.

    Within one group an automorphism may turn a cable between peers round; between two groups none does. The
    speed says which of the parts of its rate a cable has: of two between one pair of devices one may be slow.
    """
    n = len(pattern)
    keys = np.empty((n, 4 + label.shape[1]), dtype=np.int64)
    keys[:, 0] = number
    keys[:, 1] = is_turned and rule.left.group != rule.right.group
    keys[:, 2] = pattern
    keys[:, 3] = speed
    keys[:, 4:] = label[:n]
    return keys


def pattern_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the axes of a mesh over a product of axes.

    No automorphism maps a pair that differs on one of them to a pair that differs on two, so classes of links
    have a bit for each, set where the two devices differ.
    """
    axes = relation_axes(blueprint, rule) if rule.relation and rule.relation.kind == "mesh" else ()
    return axes if len(axes) > 1 else ()


def labels(plain: Grid, nest: Nesting, marks: Marks, sides: Sequence[Values]) -> Ints:
    """Return one row of labels per device or pair, equal where an automorphism maps one to the other.

    Parameters
    ----------
    plain : Grid
        Class grid of the blueprint without marks; it holds the cells of plain axes.
    nest : Nesting
    marks : sequence of mapping
        Index of each mark on its axes: a number, or one per row.
    sides : list of mapping
        Devices, or the two ends of links, by their index on every primitive axis, shape (n,) each.

    Returns
    -------
    ndarray of int64, shape (n, w)
        The same for images of one another, whichever device of a class is marked.
    """
    return join_labels(
        plain, nest, marks, sides, [label_plain_axes(plain, nest, marks, values) for values in sides]
    )


def join_labels(
    plain: Grid, nest: Nesting, marks: Marks, sides: Sequence[Values], plain_of_sides: Sequence[Values]
) -> Ints:
    """Return `labels`, where `plain_of_sides` are those of `label_plain_axes` for each side."""
    columns: list[Ints] = []
    for axis in nest.order:
        on_axis = [values for values in sides if axis in values]
        if axis not in nest.permutations:
            # Plain axes are labelled for each side alone; a ring moves both ends of a link at once.
            columns += [side[axis] for side in plain_of_sides if axis in side]
        elif on_axis:
            size = plain.blueprint.axes[axis].size
            # Both sides of a pair agree on all axes above a ring: the first says which marks are near.
            near = _Near(marks, on_axis[0], nest)
            columns += _label_ring(
                size, nest.permutations[axis], axis, marks, [v[axis] for v in on_axis], near
            )
    for tied in nest.tied:
        columns += label_tied(tied, marks, sides)
    if columns:
        return np.column_stack(columns)
    n = max((len(column) for values in sides for column in values.values()), default=1)
    return np.zeros((n, 1), dtype=np.int64)


class _Near:
    """Which devices are those of a mark as far as some axes say, shape (number of marks, n)."""

    def __init__(self, marks: Marks, values: Values, nest: Nesting) -> None:
        self._marks, self._values, self._nest = marks, values, nest
        self._is_near: dict[tuple[str, ...], Bools] = {}

    def on(self, axes: tuple[str, ...]) -> Bools:
        """Return which devices have the index of each mark on all of `axes`, at least one."""
        if axes not in self._is_near:
            axis = axes[-1]
            value = self._values[axis]
            # No index is below 0: a mark that is not on the axis is nowhere near.
            same = _meet(value, [mark.get(axis, -1) for mark in self._marks])
            self._is_near[axes] = same & self.on(axes[:-1]) if len(axes) > 1 else same
        return self._is_near[axes]

    def above(self, axis: str) -> Bools:
        """Return which devices have the index of each mark on all axes above `axis`, if it is on that."""
        near = np.array([axis in mark for mark in self._marks], dtype=np.bool_)[:, None]
        above = self._nest.above[axis]
        return near & self.on(above) if above else np.repeat(near, len(self._values[axis]), axis=1)


def _meet(index: Ints, every: Sequence[Ints | int | tuple[int, int]]) -> Bools:
    """Return which indices are those of each of some marks, shape (number of marks, n)."""
    if any(isinstance(at, np.ndarray) for at in every):
        return np.array([_meets(index, at) for at in every], dtype=np.bool_)
    ends = np.array([at if isinstance(at, tuple) else (at, at) for at in every], dtype=np.int64)
    first, last = ends.reshape(-1, 2, 1).swapaxes(0, 1)
    return np.asarray((index >= first) & (index <= last))


def _meets(index: Ints, at: Ints | int | tuple[int, int]) -> Bools:
    return (index >= at[0]) & (index <= at[1]) if isinstance(at, tuple) else np.equal(index, at)


def label_plain_axes(plain: Grid, nest: Nesting, marks: Marks, values: Values) -> dict[str, Ints]:
    """Return labels of devices on plain axes: the first mark that an index belongs to, else its cell.

    A mark that is one index comes before those that are ranges: a source is no longer like its range.
    """
    return label_by_first(plain, nest, marks, values, (len(marks),))[0]


def label_by_first(
    plain: Grid, nest: Nesting, marks: Marks, values: Values, numbers: Sequence[int]
) -> list[dict[str, Ints]]:
    """Return `label_plain_axes` by the first few marks, for each of some numbers of them."""
    near, found = _Near(marks, values, nest), [dict[str, Ints]() for _ in numbers]
    for axis in nest.order:
        if axis not in values or axis in nest.permutations:
            continue
        # Cells are numbered from 1, marks from -1 down: no cell has the label of a mark.
        cell = np.searchsorted(plain.reps[axis], values[axis], side="right")
        for by_axis in found:
            by_axis[axis] = cell
        on = [number for number, mark in enumerate(marks) if axis in mark]
        if not on:
            continue
        hit = near.on((*nest.above[axis], axis))
        # Of several that an index belongs to the first is written last: ranges before all others.
        wide_last = sorted(on, key=lambda number: isinstance(marks[number][axis], tuple))
        order = np.array(wide_last)[::-1]
        which, row = np.nonzero(hit[order])
        for n, by_axis in zip(numbers, found, strict=True):
            if on[0] < n:
                by_axis[axis] = np.array(np.broadcast_to(cell, (hit.shape[1],)))
                is_known = order[which] < n
                by_axis[axis][row[is_known]] = -1 - order[which[is_known]]
    return found


def label_tied(tied: TiedRange, marks: Marks, sides: Sequence[Values]) -> list[Ints]:
    """Return labels of devices, or pairs, by the parts of a tied range that they are in.

    Whatever is in the same part as something before it, a mark or another index, is told as that; what is in
    a part of its own, only as that.
    """
    ends = [(side, axis) for side in sides for axis in tied.starts if axis in side]
    if not ends:
        return []
    home = ends[0][0]
    seen, places = [], []
    for side, axis in ends:
        index, n = side[axis] - tied.starts[axis], tied.widths[axis] * tied.n_parts
        is_in = (index >= 0) & (index < n)
        for a, (lo, hi) in tied.above.items():
            is_in &= (side[a] >= lo) & (side[a] <= hi)
        part = index // tied.widths[axis]
        # Under other indices of the axes above it is another range.
        is_same = _agree(side, home, tied)
        seen.append(np.where(is_in, np.where(is_same, part, part + tied.n_parts), -1))
        # Indices of one range inside the part are alike, and one row stands for them.
        place = np.searchsorted(tied.cells[axis], index % tied.widths[axis], side="right")
        places.append(np.where(is_in, place, -1))
    known = []
    for side in {id(side): side for side, _ in ends}.values():
        shift = np.where(_agree(side, home, tied), 0, tied.n_parts)
        for mark in marks:
            for axis in tied.starts:
                at = mark.get(axis)
                if at is None or isinstance(at, tuple) or any(a not in mark for a in tied.above):
                    continue
                index = np.asarray(at) - tied.starts[axis]
                is_near = (index >= 0) & (index < tied.widths[axis] * tied.n_parts)
                for a, (lo, hi) in tied.above.items():
                    is_near = is_near & _meets(side[a], mark[a]) & (side[a] >= lo) & (side[a] <= hi)
                known.append(np.where(is_near, index // tied.widths[axis] + shift, -1))
    row = np.stack([np.broadcast_to(x, seen[0].shape) for x in (*known, *seen)])
    # The first that is in the same part says which it is.
    first = (row[:, None] == row[None]).argmax(axis=1)
    told = np.where(row >= 0, first, -1)[len(known) :]
    return [*told, *places] if max(tied.widths.values()) > 1 else list(told)


def _agree(side: Values, home: Values, tied: TiedRange) -> Bools:
    same = np.ones(1, dtype=np.bool_)
    for axis in tied.above:
        same = same & (side[axis] == home[axis])
    return same


def _label_ring(
    n: int, permutations: Ints, axis: str, marks: Marks, values: list[Ints], near: _Near
) -> list[Ints]:
    """Label indices of a ring or line: the least image under the permutations that move its marks least."""
    is_near = near.above(axis)
    fixed = [
        np.where(is_near[m], np.broadcast_to(mark[axis], len(values[0])), -1)
        for m, mark in enumerate(marks)
        if axis in mark
    ]
    # Which marks are near is said first; where they are is told by the image alone.
    pattern = [(f >= 0).astype(np.int64) for f in fixed]
    if not fixed:
        fixed = [np.full(len(values[0]), -1)]
    held_at = np.column_stack(fixed)
    first, choice = alike(held_at)
    # Many rows are at the same indices.
    place = values[0] if len(values) == 1 else values[0] * n + values[1]
    code = np.zeros(len(place), dtype=np.int64)
    for i, at in enumerate(held_at[first]):
        rows = choice == i
        held = at[at >= 0]
        # The coset that moves the held marks least: a canonical form, as in the minimal image problem
        # (Linton, "Finding the smallest image of a set", ISSAC 2004).
        keep = permutations[_least(permutations[:, held])] if len(held) else permutations
        places, inverse = _distinct(place[rows], n ** len(values))
        # For a link both ends move by the same permutation: its image is the pair of images.
        images = keep[:, places] if len(values) == 1 else keep[:, places // n] * n + keep[:, places % n]
        code[rows] = images.min(axis=0)[inverse]
    return [*pattern, code]


def _distinct(values: Ints, n: int) -> tuple[Ints, Ints]:
    """Return the distinct `values`, all below `n`, and the position there of each."""
    first, which = equal_sets(values, n)
    return values[first], which


def _least(images: Ints) -> Bools:
    """Return which rows of `images` are the lexicographically least one."""
    # The first column decides: lexsort takes the last key as the primary one.
    order = np.lexsort(images.T[::-1])
    return np.asarray((images == images[order[0]]).all(axis=1), dtype=np.bool_)


def alike(keys: Ints) -> tuple[Ints, Ints]:
    """Return the first of each set of equal rows, and the set of every row; sets ascend with their rows."""
    return equal_sets(*pack(keys))


def equal_sets(code: Ints, span: int) -> tuple[Ints, Ints]:
    """Return the first of each set of equal numbers from 0 below `span`, and the set of each, as `alike`."""
    n = len(code)
    # Sorting costs by how many there are, counting by the span: whichever is smaller.
    if span <= 4 * n:
        at = np.full(span, -1, dtype=np.int64)
        # Of several the first is written last.
        at[code[::-1]] = np.arange(n - 1, -1, -1)
        known = np.flatnonzero(at >= 0)
        number = np.empty(span, dtype=np.int64)
        number[known] = np.arange(len(known))
        return at[known], number[code]
    order = code.argsort()
    ascending = code[order]
    is_new = np.ones(n, dtype=np.bool_)
    is_new[1:] = ascending[1:] != ascending[:-1]
    which = np.empty(n, dtype=np.int64)
    which[order] = np.cumsum(is_new) - 1
    starts = np.flatnonzero(is_new)
    return np.minimum.reduceat(order, starts) if n else starts, which


def pack(keys: Ints) -> tuple[Ints, int]:
    """Return one number for each row, in the order of the rows, and what all of them are below."""
    code, span = np.zeros(len(keys), dtype=np.int64), 1
    if not len(keys):
        return code, span
    columns = np.ascontiguousarray(keys.T)
    low = columns.min(axis=1)
    widths = columns.max(axis=1) - low + 1
    # Mixed radix with the first column on top keeps the order of rows; 62 bits hold some columns at a time.
    for at in np.flatnonzero(widths > 1).tolist():
        n = int(widths[at])
        if span * n >= 2**62:
            first, code = equal_sets(code, span)
            span = len(first)
        code, span = code * n + (columns[at] - low[at]), span * n
    return code, span
