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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.blueprint.join import Bools, Floats, Grid, Ints, class_grid, join, partners
from fabric.blueprint.model import Blueprint, Rule, Selector, Term
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
        ``count`` how many cables that are up it holds. Cables between peers are listed once for each direction, as
        one-way cables, because an automorphism may turn them round.
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
    """Return what has failed as marks, and the selectors that only cells of axes can tell apart."""
    marks, cells = [], []
    selectors = [*blueprint.failed, *(s for c in blueprint.failed_cables for s in (c.left, c.right))]
    for selector in selectors:
        mark = _as_mark(blueprint, selector, nest)
        if mark is None:
            cells.append(selector)
        else:
            marks.append(mark)
    return tuple(dict.fromkeys(marks)), tuple(cells)


def _as_mark(blueprint: Blueprint, selector: Selector, nest: Nesting) -> Mark | None:
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
    nest = nesting(blueprint, ties)
    failed, cells = failure_marks(blueprint, nest)
    failed, cells = (*failed, *fixed), (*cells, *apart)
    nest = keep_cells(blueprint, nest, cells)
    known = tuple(dict(m) for m in failed)
    marks = (*known, *(dict(m) for m in sources))
    selectors = tuple(
        Selector("", None, tuple(Term(axis, i, i) for axis, i in mark)) for mark in (*failed, *sources)
    )
    plain = class_grid(blueprint, cells)
    grid = class_grid(blueprint, (*cells, *selectors))
    names = tuple(blueprint.groups)
    up = {g: ~grid.mask(g, (*blueprint.absent, *blueprint.failed)) for g in names}
    device, group, size, index, origin = device_classes(grid, plain, nest, (known, marks), up)
    links = [
        _link_rows(grid, plain, nest, (known, marks), number, rule, device, up)
        for number, rule in enumerate(blueprint.rules)
    ]
    width = max((keys.shape[1] for one in links for keys in one[1]), default=1)
    rows = np.concatenate([np.zeros((0, 4)), *(r for r, _ in links)])
    base, fine = (
        np.concatenate([np.zeros((0, width), np.int64), *(_padded(keys[i], width) for _, keys in links)]) for i in (0, 1)
    )
    _, first, fine_id = np.unique(fine, axis=0, return_index=True, return_inverse=True)
    _, base_id = np.unique(base, axis=0, return_inverse=True)
    one = rows[first]
    number = fine[first, 0]
    n_links = np.bincount(fine_id.ravel(), rows[:, 2], minlength=len(first))
    base_of = 2 * base_id.ravel()[first]
    return Quotient(
        Expanded(
            name=blueprint.name,
            groups=tuple(
                GroupInfo(g.name, g.kind, g.part.id if g.part else "", g.transit, g.is_endpoint, g.axes)
                for g in blueprint.groups.values()
            ),
            rules=tuple(
                RuleInfo(r.name, r.net, r.is_peer, r.is_oneway or r.is_peer, r.medium, r.protocol, r.length_m, r.name)
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
            names=tuple(device_name(blueprint, names[g], mark) for g, mark in zip(group.tolist(), index, strict=True)),
            coordinates={},
        ),
        size,
        index,
        np.column_stack([base_of, base_of + 1]).ravel(),
        origin,
        fine[first],
    )


def device_name(blueprint: Blueprint, group: str, mark: Mark) -> str:
    """Return the name of the device of `group` at `mark`, such as ``rack3/tray7/gpu1``."""
    at = dict(mark)
    index = []
    for axis in blueprint.groups[group].axes:
        flat = 0
        for p in blueprint.primitives(axis):
            flat = flat * blueprint.axes[p].size + at[p]
        index.append(flat)
    words = [f"{a}{i}" for a, i in zip(blueprint.groups[group].axes[:-1], index[:-1], strict=False)]
    return "/".join([*words, group + "".join(map(str, index[-1:]))])


def _padded(keys: Ints, width: int) -> Ints:
    return np.pad(keys, ((0, 0), (0, width - keys.shape[1])), constant_values=-1)


def device_classes(
    grid: Grid, plain: Grid, nest: Nesting, marks: tuple[Sequence[Mapping[str, int]], Sequence[Mapping[str, int]]], up: dict[str, Bools]
) -> tuple[dict[str, Ints], Ints, Floats, tuple[Mark, ...], Ints]:
    """Return the class of every row of every group (-1 where it is down), and what is known of each class."""
    device: dict[str, Ints] = {}
    groups, sizes, index, origin = [], [], [], []
    n_base = 0
    for number, (name, group) in enumerate(grid.blueprint.groups.items()):
        rows = np.flatnonzero(up[name])
        coarse, own = (labels(plain, nest, those, [_values(grid, name, rows)]) for those in marks)
        _, base = np.unique(coarse, axis=0, return_inverse=True)
        _, first, inverse = np.unique(own, axis=0, return_index=True, return_inverse=True)
        weight = grid.weight(name, rows, group.primitives)
        device[name] = np.full(grid.n_rows(name), -1, dtype=np.int64)
        device[name][rows] = inverse.ravel() + len(groups)
        sizes += np.bincount(inverse.ravel(), weight, minlength=len(first)).tolist()
        groups += [number] * len(first)
        origin += (base.ravel()[first] + n_base).tolist()
        n_base += int(base.max(initial=-1)) + 1
        values = {p: grid.reps[p][grid.digit(name, rows[first], p)].tolist() for p in group.primitives}
        index += [tuple(sorted((p, v[i]) for p, v in values.items())) for i in range(len(first))]
    return device, np.array(groups, dtype=np.int64), np.array(sizes), tuple(index), np.array(origin, dtype=np.int64)


def _link_rows(
    grid: Grid,
    plain: Grid,
    nest: Nesting,
    marks: tuple[Sequence[Mapping[str, int]], Sequence[Mapping[str, int]]],
    number: int,
    rule: Rule,
    device: dict[str, Ints],
    up: dict[str, Bools],
) -> tuple[Floats, tuple[Ints, Ints]]:
    """Return the links of one rule as rows (tail, head, links, rate), and their labels without and with sources."""
    groups = cast(str, rule.left.group), cast(str, rule.right.group)
    pairs = join(grid, rule)
    kept = up[groups[0]][pairs.left] & up[groups[1]][pairs.right]
    _, n_right = partners(grid, rule, pairs)
    n_left = grid.weight(groups[0], pairs.left, grid.blueprint.groups[groups[0]].primitives)
    n_links = _alive(grid, rule, pairs.left, pairs.right, pairs.count) * n_right * n_left
    kept &= n_links > 0
    left, right, n_links = pairs.left[kept], pairs.right[kept], n_links[kept]
    ways = [(groups, (left, right))]
    if rule.is_peer and not rule.is_oneway:
        ways.append((groups[::-1], (right, left)))
    rows, keys = [], ([], [])
    for (a, b), (x, y) in ways:
        rows.append(np.column_stack([device[a][x], device[b][y], n_links, np.full(len(x), rule.rate_gbps)]))
        for known, those in zip(keys, marks, strict=True):
            label = labels(plain, nest, those, [_values(grid, a, x), _values(grid, b, y)])
            known.append(np.column_stack([np.full(len(x), number), label]))
    return np.concatenate(rows), (np.concatenate(keys[0]), np.concatenate(keys[1]))


def _alive(grid: Grid, rule: Rule, left: Ints, right: Ints, count: Ints) -> Floats:
    """Return the cables of each bundle that are up."""
    alive = count.astype(np.float64)
    groups = cast(str, rule.left.group), cast(str, rule.right.group)
    for failure in grid.blueprint.failed_cables:
        masks = [[grid.mask(g, (s,)) for s in (failure.left, failure.right)] for g in groups]
        hit = (masks[0][0][left] & masks[1][1][right]) | (masks[0][1][left] & masks[1][0][right])
        if failure.n is None:
            alive[hit] = 0.0
        elif hit.sum() > 1 or failure.n > alive[hit].sum():
            msg = f"{failure.n} of the cables between {failure.left.text} and {failure.right.text} are not alike"
            raise NoSymmetryError(msg)
        else:
            alive[hit] -= failure.n
    return alive


Values = Mapping[str, Ints]
"""Index of devices on each primitive axis of their group."""


def _values(grid: Grid, group: str, rows: Ints) -> dict[str, Ints]:
    primitives = grid.blueprint.groups[group].primitives
    return {p: grid.reps[p][grid.digit(group, rows, p)] for p in primitives}


def labels(plain: Grid, nest: Nesting, marks: Sequence[Values | Mapping[str, int]], sides: list[Values]) -> Ints:
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
    known, which = np.unique(np.column_stack(fixed), axis=0, return_inverse=True)
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
    """Return `nest` with only those permutations of rings and lines that keep every selection and count list."""
    sides = [s for r in blueprint.rules for s in (r.left, r.right)]
    terms = [t for s in (*blueprint.absent, *cells, *sides) for t in s.terms]
    kept = {}
    for axis, permutations in nest.permutations.items():
        n = blueprint.axes[axis].size
        cuts = {0}
        for term in terms:
            lo, hi = term.lo, term.hi
            for p in reversed(blueprint.primitives(term.axis)):
                lo, a = divmod(lo, blueprint.axes[p].size)
                hi, b = divmod(hi, blueprint.axes[p].size)
                cuts |= {a, a + 1, b, b + 1} if p == axis else set()
        if any(r.count_axis and axis in blueprint.primitives(r.count_axis) for r in blueprint.rules):
            cuts |= set(range(n))
        cell = np.searchsorted(np.array(sorted(cuts)), np.arange(n), side="right")
        kept[axis] = permutations[(cell[permutations] == cell).all(axis=1)]
    return Nesting(nest.order, nest.above, kept)
