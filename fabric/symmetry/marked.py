"""What is absent or has failed, put side by side: a mark is a colour, not a name.

Two pods with one failed NIC each are alike, and so are a hundred. A permutation of the blueprint without its
marks (see `Relabelling`) moves alike damage to alike indices that are neighbours; there it is a range::

    failed    pod3/rack1/nic2, pod7/rack4/nic0, pod9/rack0/nic5
    moved     pod0/rack0/nic0, pod1/rack0/nic0, pod2/rack0/nic0   =   pod0-2/rack0/nic0

What a range holds is interchangeable, as every one of its indices has the same marks. So nothing is believed
of equal codes: what the permutation makes of the marks is a product of ranges or it is not, and where it is
not the marks are told apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.grid import Grid, class_grid
from fabric.blueprint.model import Blueprint, MarkedCables, Selector, Term
from fabric.blueprint.remembered import remembered
from fabric.blueprint.selector import range_word
from fabric.results import DamageCount
from fabric.symmetry.canonical import Incidence, canonical_order
from fabric.symmetry.damage import MANY_MARKS, Damage, Side, Sides, Tag, damage_of, may_move
from fabric.symmetry.labels import Known, Mark, keep_cells
from fabric.symmetry.nesting import Nesting, NoSymmetryError, Tie, nesting
from fabric.symmetry.relabelling import Relabelling
from fabric.symmetry.tied import Part, Range, tied_ranges, widened

Box = tuple[Tag, tuple[tuple[Range, ...], ...]]
"""Alike damage side by side: its ranges, of cables those of both ends."""


@dataclass(frozen=True, eq=False)
class Marked:
    """A fabric with alike damage side by side, and the permutations that keep it all in place.

    Parameters
    ----------
    blueprint : Blueprint
        With its damage moved.
    nest : Nesting
    marks : tuple of mapping
        The damage there: an index, or a first and a last one, on axes with all above them.
    cells : tuple of Selector
        What only cells of axes can tell apart.
    plain : Grid
        Class grid without marks.
    written : tuple of mapping
        The damage where the file says.
    relabelling : Relabelling or None
        What has moved it, or None where all is where the file says.
    cuts : tuple of mapping
        The damage there without what ties several axes: every index of a tied range is told from the others.
    n_marks : int
        What is absent, has failed or is of a side, as far as it is told one by one.
    n_kinds : int
        Parts of it that hang together, alike ones once.
    """

    blueprint: Blueprint
    nest: Nesting
    marks: tuple[Known, ...]
    cells: tuple[Selector, ...]
    plain: Grid
    written: tuple[Known, ...]
    relabelling: Relabelling | None = None
    cuts: tuple[Known, ...] = ()
    n_marks: int = 0
    n_kinds: int = 0

    def moved(self, values: Mapping[str, Ints]) -> Mapping[str, Ints]:
        """Return where devices of the file are, by their indices there; on axes with all above them."""
        return self.relabelling.apply(values) if self.relabelling else values

    def moved_mark(self, mark: Mark) -> Mark:
        """Return where one device of the file is."""
        at = self.moved({axis: np.array([i]) for axis, i in mark})
        return tuple((axis, int(i[0])) for axis, i in at.items())

    def of_file(self, values: Mapping[str, Ints]) -> Mapping[str, Ints]:
        """Return the indices in the file of devices, by where they are."""
        return self.relabelling.undo(values) if self.relabelling else values


@remembered(64)
def marked(
    blueprint: Blueprint,
    apart: tuple[Selector, ...] = (),
    ties: tuple[Tie, ...] = (),
    sides: Sides = (),
    *,
    is_in_front: bool = False,
) -> Marked:
    """Return a blueprint with alike damage side by side.

    Parameters
    ----------
    blueprint : Blueprint
    apart, ties, sides
        As given to `quotient`.
    is_in_front : bool
        Whether damage is at the first indices even where none is alike; else it is then where the file says.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """
    nest = nesting(blueprint, ties)
    damage, cells = damage_of(blueprint, nest, sides)
    # A question's selections restrict the group as cells do: a permutation must map each onto itself.
    cells = (*cells, *apart)
    nest = keep_cells(blueprint, nest, cells)
    plain = class_grid(replace(blueprint, absent=()), cells)
    known = [end for end in dict.fromkeys(end for one in damage for end in one.ends) if end]
    written = tuple(map(dict, known))
    # Where nothing is compared each is a kind of its own.
    as_written = Marked(
        blueprint, nest, written, cells, plain, written, n_marks=len(damage), n_kinds=len(damage)
    )
    fewest = 1 if is_in_front else 2
    if not fewest <= len(known) <= MANY_MARKS or not may_move(blueprint):
        return as_written
    moved, relabelling, alike, n_kinds = _put_in_order(damage, nest, plain)
    n_kinds += sum(not any(one.ends) for one in damage)
    boxes = _side_by_side(moved, nest, plain)
    ranges = [end for end in dict.fromkeys(end for _, ends in boxes for end in ends) if end]
    tied = tied_ranges(moved, ranges, alike, nest)
    if len(boxes) == len(damage) and not tied and not is_in_front:
        return replace(as_written, n_kinds=n_kinds)
    marks = tuple(map(_known, dict.fromkeys(widened(end, tied) for end in ranges)))
    nest = replace(nest, tied=tied)
    # Each index of a tied range is in a row of its own: which go together is between the rows.
    cuts = tuple(map(_known, ranges)) if tied else ()
    return Marked(
        _drawn(blueprint, boxes), nest, marks, cells, plain, written, relabelling, cuts, len(damage), n_kinds
    )


def form_of_damage(
    blueprint: Blueprint, apart: tuple[Selector, ...] = (), ties: tuple[Tie, ...] = ()
) -> Hashable:
    """Return what is down, moved to the first indices in a canonical order.

    Equal forms of one fabric are the same but for a permutation that keeps all else in place: each is the
    image of its damage under one. States that are alike may have two forms, where `canonical_order` says so.

    Parameters
    ----------
    blueprint, apart, ties
        As given to `quotient`.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry of a construct.

    Examples
    --------
    >>> from fabric.blueprint.load import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], failed: [%s]}"
    >>> one, other = (form_of_damage(loads_blueprint(text % gpu)) for gpu in ("gpu1", "gpu3"))
    >>> one == other, one == form_of_damage(loads_blueprint(text % "gpu1, gpu3"))
    (True, False)
    """
    nest = nesting(blueprint, ties)
    damage, cells = damage_of(blueprint, nest)
    cells = (*cells, *apart)
    nest = keep_cells(blueprint, nest, cells)
    if damage and len(damage) <= MANY_MARKS and may_move(blueprint):
        plain = class_grid(replace(blueprint, absent=()), cells)
        damage = tuple(_put_in_order(damage, nest, plain)[0])
    return frozenset((one.tag, one.ends) for one in damage), cells


def _put_in_order(
    damage: Sequence[Damage], nest: Nesting, plain: Grid
) -> tuple[list[Damage], Relabelling, list[list[Part]], int]:
    """Return the damage with its indices moved to the front of their cells in a canonical order, and how.

    The others are sets of parts that look alike, each by its indices there, and the number of kinds of parts.
    """
    places: dict[tuple[str, Mark, int], int] = {}
    columns: dict[tuple[int, str], int] = {}
    rows = []
    for one in damage:
        row = {}
        for number, end in enumerate(one.ends):
            for axis, place in _places(end, nest).items():
                column = columns.setdefault((number, axis), len(columns))
                row[column] = places.setdefault(place, len(places))
        rows.append(row)
    of_cell = [
        (nest.order.index(axis), i if axis in nest.permutations else _cell(plain, axis, i))
        for axis, _, i in places
    ]
    colours = {key: number for number, key in enumerate(sorted(set(of_cell)))}
    tags = {tag: number for number, tag in enumerate(dict.fromkeys(one.tag for one in damage))}
    incidence = Incidence(
        [colours[key] for key in of_cell],
        [tags[one.tag] for one in damage],
        [tuple(row.get(column, -1) for column in range(len(columns))) for row in rows],
    )
    known = list(places)
    siblings: dict[tuple[str, Mark, int], list[int]] = {}
    order, n_kinds = canonical_order(incidence)
    for axis, above, i in (known[at] for at in order):
        # What a ring joins stays where it is.
        if axis not in nest.permutations:
            siblings.setdefault((axis, above, int(plain.reps[axis][_cell(plain, axis, i)])), []).append(i)
    new: dict[str, dict[Mark, dict[int, int]]] = {axis: {} for axis in nest.order}
    for (axis, above, first), own in siblings.items():
        new[axis].setdefault(above, {}).update({i: first + rank for rank, i in enumerate(own)})
    moved = [
        replace(
            one,
            ends=tuple(
                tuple(
                    sorted(
                        (axis, new[axis].get(above, {}).get(i, i))
                        for axis, above, i in _places(end, nest).values()
                    )
                )
                for end in one.ends
            ),
        )
        for one in damage
    ]

    def there(place: tuple[str, Mark, int]) -> tuple[str, Mark, int]:
        axis, above, i = place
        # The axes above an axis have all that are above them beside them.
        context = tuple((a, new[a].get(above[:n], {}).get(k, k)) for n, (a, k) in enumerate(above))
        return axis, context, new[axis].get(above, {}).get(i, i)

    alike = [[[there(known[at]) for at in part] for part in parts] for parts in incidence.alike]
    moves = {
        axis: {tuple(i for _, i in above): own for above, own in listed.items()}
        for axis, listed in new.items()
        if listed
    }
    sizes = {axis: plain.blueprint.axes[axis].size for axis in nest.order}
    return moved, Relabelling(nest.above, sizes, plain.reps, moves), alike, n_kinds


def _places(end: Mark, nest: Nesting) -> dict[str, tuple[str, Mark, int]]:
    """Return the axis, the indices on the axes above and the index of a mark, by axis."""
    at = dict(end)
    return {
        axis: (axis, tuple((a, at[a]) for a in nest.above[axis]), at[axis])
        for axis in nest.order
        if axis in at
    }


def _cell(plain: Grid, axis: str, index: int) -> int:
    return int(np.searchsorted(plain.reps[axis], index, side="right")) - 1


def _side_by_side(damage: Sequence[Damage], nest: Nesting, plain: Grid) -> list[Box]:
    """Return the damage as products of ranges; on each axis, under the same ones, equal or disjoint."""
    boxes = dict.fromkeys(
        (one.tag, tuple(tuple((axis, i, i) for axis, i in end) for end in one.ends)) for one in damage
    )
    # Below first: what is under two indices is compared when it has been put together.
    for axis in reversed(nest.order):
        if axis not in nest.permutations:
            boxes = _joined(boxes, axis, nest.above[axis], plain.reps[axis])
    return list(boxes)


Place = tuple[tuple[Range, ...], Range]
"""Ranges of the axes above, and one of an axis."""


def _joined(boxes: Iterable[Box], axis: str, above: Sequence[str], cells: Ints) -> dict[Box, None]:
    """Return `boxes` with those ranges of an axis that are neighbours and hold the same as one."""
    held: dict[Place, set[object]] = {}
    for tag, ends in boxes:
        places = [_place(end, axis, above) for end in ends]
        for place in dict.fromkeys(p for p in places if p is not None):
            # Cables between indices of a range are between equal ones, or the range tells less than they do.
            is_told = places.count(place) > 1 and axis not in tag[3]
            rest = tuple(
                tuple(r for r in end if r[0] != axis) if own == place else end
                for end, own in zip(ends, places, strict=True)
            )
            which = tuple(own == place for own in places)
            held.setdefault(place, set()).add((tag, rest, which, place if is_told else None))
    whole: dict[Place, Range] = {}
    runs: list[tuple[Place, ...]] = []
    for place in sorted(held):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last[0] == place[0]
            and last[1][2] + 1 == place[1][1]
            and not (cells == place[1][1]).any()
            and held[last] == held[place]
        ):
            runs[-1] = (*runs[-1], place)
        else:
            runs.append((place,))
    for run in runs:
        for place in run:
            whole[place] = (axis, run[0][1][1], run[-1][1][2])

    def widened(end: tuple[Range, ...]) -> tuple[Range, ...]:
        place = _place(end, axis, above)
        return end if place is None else tuple(whole[place] if r[0] == axis else r for r in end)

    return dict.fromkeys((tag, tuple(map(widened, ends))) for tag, ends in boxes)


def _place(end: tuple[Range, ...], axis: str, above: Sequence[str]) -> Place | None:
    at = {r[0]: r for r in end}
    return (tuple(at[a] for a in above), at[axis]) if axis in at else None


def _drawn(blueprint: Blueprint, boxes: Sequence[Box]) -> Blueprint:
    """Return `blueprint` with `boxes` as its damage."""
    selectors: dict[str, list[Selector]] = {"absent": [], "failed": []}
    cables = []
    for (word, n, sides, _, rule, part), ends in boxes:
        own = list(map(_selector, sides, ends))
        if word == "cables":
            mark = MarkedCables(own[0], own[1], n or None, blueprint.origin, n > 0, rule, part)
            cables.append(mark)
        elif word in selectors:
            selectors[word] += own
    return replace(
        blueprint,
        absent=tuple(selectors["absent"]),
        failed=tuple(selectors["failed"]),
        marked_cables=tuple(cables),
    )


def _selector(side: Side, ranges: Sequence[Range]) -> Selector:
    group, terms = side
    words = [range_word(axis, lo, hi) for axis, lo, hi in ranges]
    return Selector("/".join([*words, group or "*"]), group, (*terms, *(Term(*r) for r in ranges)))


def _known(ranges: Sequence[Range]) -> Known:
    return {axis: lo if lo == hi else (lo, hi) for axis, lo, hi in ranges}


def count_damage(blueprint: Blueprint | None) -> DamageCount | None:
    """Return how much is absent or down, and of how many kinds; None if nothing is, or no axes say it."""
    if blueprint is None or not (blueprint.absent or blueprint.failed or blueprint.marked_cables):
        return None
    try:
        found = marked(blueprint)
    except NoSymmetryError:
        return None
    return DamageCount(found.n_marks, found.n_kinds)
