"""The quotient: classes of devices and of directed links, with sizes and rates.

Classes are orbits of true automorphisms of the blueprint, which is never expanded. Devices that are marked (a
source, what has failed) are told apart, with what is near them::

    pod 0  rack 0  gpu 0   <- marked       1 device
                   others of rack 0        71
           other racks                     1,080
    other pods                             ...

so the number of classes grows with the marks, not with the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from fabric.blueprint.join import (
    Bools,
    Floats,
    Grid,
    Ints,
    Joined,
    class_grid,
    join,
    partners,
    relation_axes,
    term_cuts,
)
from fabric.blueprint.model import Blueprint, FailedCables, Rule, Selector, Term
from fabric.graph import Expanded, GroupInfo, RuleInfo
from fabric.symmetry.nesting import Nesting, NoSymmetryError, Tie, nesting

Mark = tuple[tuple[str, int], ...]
"""Index on some primitive axes, all axes above each of them included."""


@dataclass(frozen=True, eq=False)
class Quotient:
    """Classes of a blueprint under the automorphisms that keep its marks.

    Parameters
    ----------
    classes : Expanded
        The classes as a fabric of their own: a device is a class of devices, a bundle a class of cables, and
        ``count`` how many cables that are up it holds. Cables between peers are listed once for each
        direction, as one-way cables, because an automorphism may turn them round.
    size : ndarray of float64, shape (c,)
        Devices in each class.
    index : tuple of Mark
        One device of each class, by its index on every primitive axis.
    base : ndarray of int64, shape (2 * m,)
        For each directed link of `classes`, its class when only failures are marked.
    origin : ndarray of int64, shape (c,)
        For each class of devices, its class when only failures are marked.
    keys : ndarray of int64, shape (m, w)
        Rule and labels of every bundle of `classes`, ascending; -1 fills short rows.
    """

    classes: Expanded
    size: Floats
    index: tuple[Mark, ...]
    base: Ints
    origin: Ints
    keys: Ints


def failure_marks(blueprint: Blueprint, nest: Nesting) -> tuple[tuple[Mark, ...], tuple[Selector, ...]]:
    """Return what is absent or has failed as marks, and the selectors that only cells of axes can tell apart."""
    marks, cells = [], []
    selectors = [*blueprint.absent, *blueprint.failed]
    selectors += [s for c in blueprint.failed_cables for s in (c.left, c.right)]
    for selector in selectors:
        mark = as_mark(blueprint, selector, nest)
        if mark is None:
            cells.append(selector)
        else:
            marks.append(mark)
    # The first cables of a range are at its first device.
    some = (s for c in blueprint.failed_cables if c.n is not None for s in (c.left, c.right))
    ends = (Term(t.axis, i, i) for s in some for t in s.terms if t.lo < t.hi for i in (t.lo, t.hi))
    cells += [Selector("", None, (term,)) for term in ends]
    return tuple(dict.fromkeys(marks)), tuple(cells)


def plain_grid(blueprint: Blueprint, cells: tuple[Selector, ...]) -> Grid:
    """Return the class grid without marks; what is absent is a mark, or one of `cells`."""
    return class_grid(replace(blueprint, absent=()), cells)


def as_mark(blueprint: Blueprint, selector: Selector, nest: Nesting) -> Mark | None:
    """Return `selector` as a mark, or None where it is not one index on axes with all above them."""
    found: dict[str, int] = {}
    for term in selector.terms:
        if term.lo != term.hi:
            return None
        rest = term.lo
        for p in reversed(blueprint.primitives(term.axis)):
            rest, found[p] = divmod(rest, blueprint.axes[p].size)
    if any(a not in found for p in found for a in nest.above[p]):
        return None
    return tuple(sorted(found.items()))


def quotient(
    blueprint: Blueprint,
    sources: tuple[Mark, ...] = (),
    *,
    apart: tuple[Selector, ...] = (),
    ties: tuple[Tie, ...] = (),
    fixed: tuple[Mark, ...] = (),
) -> Quotient:
    """Return the quotient of `blueprint` with its failures and `sources` marked.

    Parameters
    ----------
    blueprint : Blueprint
    sources : tuple of Mark
        Devices that are told apart from all others.
    apart : tuple of Selector
        Selections that a question tells apart; devices inside and outside are never of one class.
    ties : tuple of Tie
        What the traffic asks permutations to respect.
    fixed : tuple of Mark
        Marked in the base too, as failures are.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """
    ground = grounded(blueprint, sources, apart=apart, ties=ties, fixed=fixed)
    names = tuple(blueprint.groups)
    group, size, index, origin = ground.classes
    links = [_link_rows(ground, number) for number in range(len(blueprint.rules))]
    width = max((keys.shape[1] for one in links for keys in one[1]), default=1)
    rows = np.concatenate([np.zeros((0, 4)), *(r for r, _ in links)])
    base, fine = (
        np.concatenate([np.zeros((0, width), np.int64), *(_padded(keys[i], width) for _, keys in links)])
        for i in (0, 1)
    )
    first, fine_id = _alike(fine)
    _, base_id = _alike(base)
    one = rows[first]
    number = fine[first, 0]
    n_links = np.bincount(fine_id, rows[:, 2], minlength=len(first))
    base_of = 2 * base_id[first]
    return Quotient(
        Expanded(
            name=blueprint.name,
            groups=tuple(
                GroupInfo(g.name, g.kind, g.part.id if g.part else "", g.transit, g.is_endpoint, g.axes)
                for g in blueprint.groups.values()
            ),
            rules=tuple(
                RuleInfo(
                    r.name,
                    r.net,
                    r.is_peer,
                    r.is_oneway or r.is_peer,
                    r.medium,
                    r.protocol,
                    r.length_m,
                    r.name,
                )
                for r in blueprint.rules
            ),
            group=group.astype(np.int32),
            tail=one[:, 0].astype(np.int64),
            head=one[:, 1].astype(np.int64),
            rule=number.astype(np.int32),
            rate_gbps=one[:, 3].copy(),
            count=n_links.astype(np.int64),
            failed_count=np.zeros(len(first), dtype=np.int64),
            failed=np.zeros(len(group), dtype=np.bool_),
            names=tuple(
                device_name(blueprint, names[g], mark) for g, mark in zip(group.tolist(), index, strict=True)
            ),
            coordinates={},
        ),
        size,
        index,
        np.column_stack([base_of, base_of + 1]).ravel(),
        origin,
        fine[first],
    )


@dataclass(frozen=True, eq=False)
class Ground:
    """What a quotient is made from: the class grid, the class of each of its rows, and the pairs it joins.

    Parameters
    ----------
    grid, plain : Grid
        With the marks and without them.
    nest : Nesting
    marks : (sequence of mapping, sequence of mapping)
        Those of the base, and all.
    device : mapping of str to ndarray of int64
        For every group, the class of each row of `grid`; -1 where it is down.
    classes : (ndarray of int64, ndarray of float64, tuple of Mark, ndarray of int64)
        Group, size, one device, and class in the base of each class.
    joined : tuple of Joined
        Pairs of rows that each rule joins.
    alive : tuple of ndarray of float64
        Cables of each pair of devices there that are up.
    """

    grid: Grid
    plain: Grid
    nest: Nesting
    marks: tuple[Sequence[Mapping[str, int]], Sequence[Mapping[str, int]]]
    device: dict[str, Ints]
    classes: tuple[Ints, Floats, tuple[Mark, ...], Ints]
    joined: tuple[Joined, ...]
    alive: tuple[Floats, ...]


def grounded(
    blueprint: Blueprint,
    sources: tuple[Mark, ...] = (),
    *,
    apart: tuple[Selector, ...] = (),
    ties: tuple[Tie, ...] = (),
    fixed: tuple[Mark, ...] = (),
) -> Ground:
    """Return what `quotient` of the same makes its classes from; classes are numbered as there.

    Raises
    ------
    NoSymmetryError
        As `quotient`.
    """
    nest = nesting(blueprint, ties)
    failed, cells = failure_marks(blueprint, nest)
    failed, cells = (*failed, *fixed), (*cells, *apart)
    nest = keep_cells(blueprint, nest, cells)
    known = tuple(dict(m) for m in failed)
    marks = (known, (*known, *(dict(m) for m in sources)))
    selectors = tuple(
        Selector("", None, tuple(Term(axis, i, i) for axis, i in mark)) for mark in (*failed, *sources)
    )
    plain = plain_grid(blueprint, cells)
    grid = class_grid(blueprint, (*cells, *selectors))
    up = {g: ~grid.mask(g, (*blueprint.absent, *blueprint.failed)) for g in blueprint.groups}
    device, group, size, index, origin = device_classes(grid, plain, nest, marks, up)
    joined = [join(grid, rule) for rule in blueprint.rules]
    alive = tuple(_alive(grid, joined))
    return Ground(grid, plain, nest, marks, device, (group, size, index, origin), tuple(joined), alive)


def device_name(blueprint: Blueprint, group: str, mark: Mark) -> str:
    """Return the name of the device of `group` at `mark`, such as ``rack3/tray7/gpu1``."""
    at = dict(mark)
    index = [blueprint.flat(axis, at) for axis in blueprint.groups[group].axes]
    words = [f"{a}{i}" for a, i in zip(blueprint.groups[group].axes[:-1], index[:-1], strict=False)]
    return "/".join([*words, group + "".join(map(str, index[-1:]))])


def _alike(keys: Ints) -> tuple[Ints, Ints]:
    """Return the first of each set of equal rows, and the set of every row."""
    if not len(keys):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    _, first, inverse = np.unique(_packed(keys), axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), inverse.ravel().astype(np.int64)


def _packed(keys: Ints) -> Ints:
    """Return one number for each row, in the order of the rows, or `keys` where that would not fit."""
    low = keys.min(axis=0)
    span = [int(n) for n in keys.max(axis=0) - low + 1]
    if math.prod(span) >= 2**62:
        return keys
    code = np.zeros(len(keys), dtype=np.int64)
    for column, n in zip((keys - low).T, span, strict=True):
        code = code * n + column
    return code


def _padded(keys: Ints, width: int) -> Ints:
    return np.pad(keys, ((0, 0), (0, width - keys.shape[1])), constant_values=-1)


def device_classes(
    grid: Grid,
    plain: Grid,
    nest: Nesting,
    marks: tuple[Sequence[Mapping[str, int]], Sequence[Mapping[str, int]]],
    up: dict[str, Bools],
) -> tuple[dict[str, Ints], Ints, Floats, tuple[Mark, ...], Ints]:
    """Return the class of every row of every group (-1 where it is down), and what is known of each class."""
    device: dict[str, Ints] = {}
    groups: list[int] = []
    sizes: list[float] = []
    index: list[Mark] = []
    origin: list[int] = []
    n_base = 0
    for number, (name, group) in enumerate(grid.blueprint.groups.items()):
        rows = np.flatnonzero(up[name])
        coarse, own = (
            labels(plain, nest, those, [_values(grid, name, rows)])[: len(rows)] for those in marks
        )
        _, base = _alike(coarse)
        first, inverse = _alike(own)
        weight = grid.weight(name, rows, group.primitives)
        device[name] = np.full(grid.n_rows(name), -1, dtype=np.int64)
        device[name][rows] = inverse + len(groups)
        sizes += np.bincount(inverse, weight, minlength=len(first)).tolist()
        groups += [number] * len(first)
        origin += (base[first] + n_base).tolist()
        n_base += int(base.max(initial=-1)) + 1
        values = {p: grid.reps[p][grid.digit(name, rows[first], p)].tolist() for p in group.primitives}
        index += [tuple(sorted((p, v[i]) for p, v in values.items())) for i in range(len(first))]
    return (
        device,
        np.array(groups, dtype=np.int64),
        np.array(sizes),
        tuple(index),
        np.array(origin, dtype=np.int64),
    )


def _link_rows(ground: Ground, number: int) -> tuple[Floats, tuple[Ints, Ints]]:
    """Return links of a rule as rows (tail, head, links, rate), and their keys without and with sources."""
    grid, device, pairs, alive = ground.grid, ground.device, ground.joined[number], ground.alive[number]
    rule = grid.blueprint.rules[number]
    groups = cast(str, rule.left.group), cast(str, rule.right.group)
    row, pattern, n_pairs = _patterns(grid, rule, pairs)
    left, right, n_links = pairs.left[row], pairs.right[row], alive[row] * n_pairs
    kept = (device[groups[0]][left] >= 0) & (device[groups[1]][right] >= 0) & (n_links > 0)
    left, right, pattern, n_links = left[kept], right[kept], pattern[kept], n_links[kept]
    ways = [(groups, (left, right), False)]
    if rule.is_peer and not rule.is_oneway:
        ways.append((groups[::-1], (right, left), True))
    rows: list[Floats] = []
    keys: tuple[list[Ints], list[Ints]] = ([], [])
    for (a, b), (x, y), is_turned in ways:
        rows.append(np.column_stack([device[a][x], device[b][y], n_links, np.full(len(x), rule.rate_gbps)]))
        for known, those in zip(keys, ground.marks, strict=True):
            ends = [_values(grid, a, x), _values(grid, b, y)]
            label = labels(ground.plain, ground.nest, those, ends)
            known.append(link_keys(rule, number, label, pattern, is_turned=is_turned))
    return np.concatenate(rows), (np.concatenate(keys[0]), np.concatenate(keys[1]))


def link_keys(rule: Rule, number: int, label: Ints, pattern: Ints, *, is_turned: bool) -> Ints:
    """Return what tells the classes of links apart: rule, which side the tail is of, pattern, labels.

    Within one group an automorphism may turn a cable between peers round; between two groups none does.
    """
    n = len(pattern)
    way = int(is_turned and rule.left.group != rule.right.group)
    return np.column_stack([np.full(n, number), np.full(n, way), pattern, label[:n]])


def pattern_axes(blueprint: Blueprint, rule: Rule) -> tuple[str, ...]:
    """Return the axes of a mesh over a product of axes.

    No automorphism maps a pair that differs on one of them to a pair that differs on two, so classes of links
    have a bit for each, set where the two devices differ.
    """
    axes = relation_axes(blueprint, rule) if rule.relation and rule.relation.kind == "mesh" else ()
    return axes if len(axes) > 1 else ()


def _patterns(grid: Grid, rule: Rule, pairs: Joined) -> tuple[Ints, Ints, Floats]:
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
    left, right = cast(str, rule.left.group), cast(str, rule.right.group)
    _, n_right = partners(grid, rule, pairs)
    n_pairs = grid.weight(left, pairs.left, grid.blueprint.groups[left].primitives) * n_right
    every = np.arange(len(pairs.left), dtype=np.int64)
    axes = pattern_axes(grid.blueprint, rule)
    if not axes or not len(every):
        return every, np.zeros_like(every), n_pairs
    ends = [(grid.digit(left, pairs.left, p), grid.digit(right, pairs.right, p)) for p in axes]
    same = [np.asarray(x == y, dtype=np.float64) for x, y in ends]
    weight = [grid.weights[p][y] for p, (_, y) in zip(axes, ends, strict=True)]
    share = n_pairs / (np.prod(weight, axis=0) - np.prod(same, axis=0))
    found = []
    for pattern in range(1, 2 ** len(axes)):
        factors = [
            w - s if pattern >> i & 1 else s for i, (w, s) in enumerate(zip(weight, same, strict=True))
        ]
        n = share * np.prod(factors, axis=0)
        some = n > 0
        found.append((every[some], np.full(int(some.sum()), pattern, dtype=np.int64), n[some]))
    row, bits, number = (np.concatenate(column) for column in zip(*found, strict=True))
    return row, bits, number


def _alive(grid: Grid, joined: list[Joined]) -> list[Floats]:
    """Return the cables that are up of each bundle of every rule.

    Raises
    ------
    NoSymmetryError
        If some but not all cables between two selectors have failed, and one class holds several bundles.
    """
    rules = grid.blueprint.rules
    starts = np.cumsum([0, *(len(pairs.left) for pairs in joined)]).tolist()
    alive = np.concatenate([np.zeros(0), *(pairs.count for pairs in joined)])
    n_pairs = np.zeros(len(alive))
    if any(failure.n is not None for failure in grid.blueprint.failed_cables):
        for start, rule, pairs in zip(starts[:-1], rules, joined, strict=True):
            row, _, n = _patterns(grid, rule, pairs)
            np.add.at(n_pairs, start + row, n)
    for failure in grid.blueprint.failed_cables:
        hits = [_hit(grid, rule, pairs, failure) for rule, pairs in zip(rules, joined, strict=True)]
        hit = np.concatenate([np.zeros(0, np.bool_), *hits])
        if failure.n is None:
            alive[hit] = 0.0
            continue
        # As in the expanded form: the first of them all, in the order of rules and devices.
        room = np.where(hit, alive * n_pairs, 0.0)
        down = np.clip(failure.n - (np.cumsum(room) - room), 0, room)
        if ((n_pairs > 1) & (down > 0) & (failure.n < room.sum())).any():
            between = f"{failure.left.text} and {failure.right.text}"
            msg = f"{failure.n} of the cables between {between} are not alike; name two devices"
            raise NoSymmetryError(msg)
        alive[hit] -= down[hit] / n_pairs[hit]
    return [alive[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]


def _hit(grid: Grid, rule: Rule, pairs: Joined, failure: FailedCables) -> Bools:
    """Return which pairs of rows are between the two selectors of a failure, absent devices left out."""
    ends = []
    for side, rows in ((rule.left, pairs.left), (rule.right, pairs.right)):
        group = cast(str, side.group)
        present = ~grid.mask(group, grid.blueprint.absent)[rows]
        ends.append([grid.mask(group, (s,))[rows] & present for s in (failure.left, failure.right)])
    (a, b), (c, d) = ends
    return np.asarray((a & d) | (b & c), dtype=np.bool_)


Values = Mapping[str, Ints]
"""Index of devices on each primitive axis of their group."""


def _values(grid: Grid, group: str, rows: Ints) -> dict[str, Ints]:
    primitives = grid.blueprint.groups[group].primitives
    return {p: grid.reps[p][grid.digit(group, rows, p)] for p in primitives}


def labels(
    plain: Grid, nest: Nesting, marks: Sequence[Values | Mapping[str, int]], sides: Sequence[Values]
) -> Ints:
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
    n = max((len(column) for values in sides for column in values.values()), default=1)
    columns: list[Ints] = []
    for axis in nest.order:
        here = [values for values in sides if axis in values]
        if not here:
            continue
        agree = [_consistent(values, marks, axis, nest) for values in here]
        if axis in nest.permutations:
            size = plain.blueprint.axes[axis].size
            columns += _moved(size, nest.permutations[axis], axis, marks, [v[axis] for v in here], agree)
        else:
            for values, near in zip(here, agree, strict=True):
                columns.append(_told(plain, axis, marks, values[axis], near))
    return np.column_stack(columns) if columns else np.zeros((n, 1), dtype=np.int64)


def _consistent(
    values: Values, marks: Sequence[Values | Mapping[str, int]], axis: str, nest: Nesting
) -> list[Bools]:
    """Return, for each mark, which rows have its index on every axis above `axis`."""
    found = []
    for mark in marks:
        near = np.full(len(values[axis]), axis in mark)
        if axis in mark:
            for a in nest.above[axis]:
                near &= values[a] == mark[a]
        found.append(near)
    return found


def _told(
    plain: Grid, axis: str, marks: Sequence[Values | Mapping[str, int]], value: Ints, near: list[Bools]
) -> Ints:
    """Label indices of a plain axis: the first mark that an index belongs to, else its cell."""
    label = np.searchsorted(plain.reps[axis], value, side="right").astype(np.int64)
    for number in reversed(range(len(marks))):
        if axis in marks[number]:
            label = np.where(near[number] & (value == marks[number][axis]), -1 - number, label)
    return label


def _moved(
    n: int,
    permutations: Ints,
    axis: str,
    marks: Sequence[Values | Mapping[str, int]],
    values: list[Ints],
    near: list[list[Bools]],
) -> list[Ints]:
    """Label indices of a ring or line: the least image under the permutations that move its marks least."""
    # Both sides of a pair agree on all axes above a ring, so the first side says which marks are near.
    fixed = [
        np.where(near[0][m], np.broadcast_to(mark[axis], len(values[0])), -1)
        for m, mark in enumerate(marks)
        if axis in mark
    ]
    pattern = [(f >= 0).astype(np.int64) for f in fixed]
    if not fixed:
        fixed = [np.full(len(values[0]), -1)]
    found = np.column_stack(fixed)
    first, which = _alike(found)
    known = found[first]
    code = np.zeros(len(values[0]), dtype=np.int64)
    for number, at in enumerate(known):
        rows = which.ravel() == number
        held = at[at >= 0]
        keep = permutations[_least(permutations[:, held])] if len(held) else permutations
        images = keep[:, values[0][rows]]
        if len(values) > 1:
            images = images * n + keep[:, values[1][rows]]
        code[rows] = images.min(axis=0)
    return [*pattern, code]


def _least(images: Ints) -> Bools:
    """Return which rows of `images` are the lexicographically least one."""
    order = np.lexsort(images.T[::-1])
    return np.asarray((images == images[order[0]]).all(axis=1), dtype=np.bool_)


def keep_cells(blueprint: Blueprint, nest: Nesting, cells: tuple[Selector, ...]) -> Nesting:
    """Return `nest` with only those permutations that keep every selection and count list."""
    sides = [s for r in blueprint.rules for s in (r.left, r.right)]
    cuts: dict[str, set[int]] = {axis: {0} for axis in blueprint.axes}
    for term in (t for s in (*cells, *sides) for t in s.terms):
        for axis, points in term_cuts(blueprint, term):
            cuts[axis] |= points
    kept = {}
    for axis, permutations in nest.permutations.items():
        n = blueprint.axes[axis].size
        if any(r.count_axis and axis in blueprint.primitives(r.count_axis) for r in blueprint.rules):
            cuts[axis] |= set(range(n))
        cell = np.searchsorted(np.array(sorted(cuts[axis])), np.arange(n), side="right")
        kept[axis] = permutations[(cell[permutations] == cell).all(axis=1)]
    return Nesting(nest.order, nest.above, kept)
