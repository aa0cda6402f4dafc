"""The ranks of a job, domain by domain: what is alike in many domains is said once.

Scale-up domains of one *sort* have the same places, with ranks of the same classes. So a million ranks in
racks are fourteen thousand domains and, for each sort of them, some places::

    pods of 4 racks, the last rack of the last pod half full
    sort 0    places 0 ... 71    racks of full pods
    sort 1    places 0 ... 71    the full racks of the last pod
    sort 2    places 0 ... 35    its last rack

Where ranks are missing here and there, each domain is a sort of its own, and nothing is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint
from fabric.flow.by_axes import ClassTraffic
from fabric.job.numbering import UnlikeGroupsError
from fabric.job.placement import Placement, ring_axes, torus_of
from fabric.schedule.algorithms import Shape
from fabric.symmetry import NoSymmetryError, lay_ground
from fabric.symmetry.labels import alike
from fabric.symmetry.marked import Marked, marked

MAX_RANKS = 8_000_000
"""Places of ranks that are looked at."""

Digits = Mapping[str, Ints]
"""Index on each primitive axis, where alike damage has been put side by side."""


class Agreement:
    """On which axes pairs of devices agree; on a ring, where they are.

    Parameters
    ----------
    digits : mapping of str to ndarray of int64, shape (n,)
        Index of each device on each axis.
    sizes : mapping of str to int
        Indices of each axis.
    rings : set of str
        Axes on which places count.
    """

    def __init__(self, digits: Digits, sizes: Mapping[str, int], rings: Set[str]) -> None:
        self._places = [(digits[axis], sizes[axis]) for axis in digits if axis in rings]
        # All other indices of a device in one number, with the bits of each axis there.
        self._packed, self._fields, width = np.zeros(1, dtype=np.int64), list[int](), 0
        for axis in (a for a in digits if a not in rings):
            n_bits = max(sizes[axis] - 1, 1).bit_length()
            self._packed = self._packed | digits[axis] << width
            self._fields.append(((1 << n_bits) - 1) << width)
            width += n_bits
        self.radix = 2 ** len(self._fields) * math.prod(n * n for _, n in self._places)

    def code(self, source: Ints, target: Ints) -> Ints:
        """Return a number below `radix` for each pair, equal where they agree alike."""
        code = np.zeros(len(source), dtype=np.int64)
        if self._fields:
            differs = self._packed[source] ^ self._packed[target]
            for bits in self._fields:
                code = 2 * code + ((differs & bits) == 0)
        for index, n in self._places:
            code = (code * n + index[source]) * n + index[target]
        return code


@dataclass(frozen=True, eq=False)
class PlacesInFile:
    """Where domains, and places in them, are in the file.

    Parameters
    ----------
    outer, inner : mapping of str to int
        Sizes of the axes that tell domains apart, and of those along which ranks of a domain differ.
    domain : ndarray of int64, shape (number of domains,)
        Number of each domain on the first.
    place : ndarray of int64, shape (number of places,)
        Number of each place, of all sorts, on the second.
    """

    outer: Mapping[str, int]
    inner: Mapping[str, int]
    domain: Ints
    place: Ints

    @property
    def n_places(self) -> int:
        """Places that a domain may have."""
        return math.prod(self.inner.values())

    def keys(self, index: Digits) -> Ints:
        """Return a number of each of some indices on all axes."""
        key = np.zeros(1, dtype=np.int64)
        for axis, size in (*self.outer.items(), *self.inner.items()):
            key = key * size + index[axis]
        return key


@dataclass(frozen=True, eq=False)
class NumberedRanks:
    """The ranks of a job: instance by instance, domain by domain, place by place.

    Parameters
    ----------
    shape : Shape
        Of one instance.
    lies : PlacesInFile
        Where domains and places are in the file.
    sort : ndarray of int64, shape (number of domains of all instances,)
        Sort of each domain.
    digits : mapping of str to ndarray of int64, shape (number of domains,)
        Index of each domain on the axes that tell domains of one instance, and instances, apart.
    begin : ndarray of int64, shape (number of sorts + 1,)
        First place of each sort, and the number of all places.
    place_digits : mapping of str to ndarray of int64, shape (number of places,)
        Index of each place on the axes along which ranks of one domain differ.
    kind : ndarray of int64, shape (number of places,)
        Position of the class of the rank at each place among the classes of ranks.
    sizes : mapping of str to int
        Indices of each of these axes.
    rings : frozenset of str
        Axes on which places count.
    number : ndarray of int64, shape (n,), optional
        Where instances are cut by number: their ranks as they lie, instance by instance. Ranks that are not
        there do nothing.
    whole : NumberedRanks, optional
        The same in one instance, which then knows the domain and the place of every rank.
    """

    shape: Shape
    lies: PlacesInFile
    sort: Ints
    digits: Digits
    begin: Ints
    place_digits: Digits
    kind: Ints
    sizes: Mapping[str, int]
    rings: frozenset[str]
    number: Ints | None = None
    whole: NumberedRanks | None = None

    @property
    def n_domains(self) -> int:
        """Domains of all ranks."""
        return len(self.sort)

    @property
    def n_instances(self) -> int:
        """Groups that run at the same time."""
        if self.number is not None:
            return len(self.number) // self.shape.n
        return self.n_domains // self.shape.n_domains

    def lying(self, number: Ints) -> Ints:
        """Return ranks as they lie, domain by domain, for their numbers, instance by instance."""
        return number if self.number is None else self.number[number]

    def at(self, index: Digits) -> Ints:
        """Return ranks as they lie at some indices on the axes, as in the file."""
        own = self.lies.domain[self.domain_of] * self.lies.n_places + self.lies.place[self.place_of]
        order = np.argsort(own)
        return np.asarray(order[np.searchsorted(own[order], self.lies.keys(index))])

    @cached_property
    def size(self) -> Ints:
        """Places of each sort."""
        return np.diff(self.begin)

    @cached_property
    def first_rank(self) -> Ints:
        """Number of the first rank of each domain, and the number of all ranks."""
        return np.cumsum([0, *self.size[self.sort].tolist()])

    @property
    def n_ranks(self) -> int:
        """Ranks of all instances."""
        return int(self.first_rank[-1])

    @cached_property
    def of_domains(self) -> Agreement:
        """On which axes domains agree."""
        return Agreement(self.digits, self.sizes, self.rings)

    @cached_property
    def of_places(self) -> Agreement:
        """On which axes places agree."""
        return Agreement(self.place_digits, self.sizes, self.rings)

    def domain_pairs(self, source: Ints, target: Ints) -> tuple[Ints, int]:
        """Return one number for every pair of domains, equal where they are alike, and what is above all."""
        n = len(self.size)
        code = (self.sort[source] * n + self.sort[target]) * self.of_domains.radix
        return code + self.of_domains.code(source, target), n * n * self.of_domains.radix

    @cached_property
    def domain_of(self) -> Ints:
        """The domain of every rank, shape (n_ranks,)."""
        if self.whole is not None:
            return self.whole.domain_of
        return np.repeat(np.arange(self.n_domains), self.size[self.sort])

    @cached_property
    def place_of(self) -> Ints:
        """The place of every rank, shape (n_ranks,)."""
        if self.whole is not None:
            return self.whole.place_of
        domain = self.domain_of
        return np.arange(self.n_ranks) - self.first_rank[domain] + self.begin[self.sort[domain]]

    @cached_property
    def a_domain(self) -> Ints:
        """One domain of each sort."""
        found = np.empty(len(self.size), dtype=np.int64)
        found[self.sort] = np.arange(self.n_domains)
        return found


def number_ranks(question: ClassTraffic, place: Placement, domain: frozenset[str]) -> NumberedRanks:
    """Return the ranks of a placement.

    Parameters
    ----------
    question : ClassTraffic
        All-to-all among the ranks.
    place : Placement
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ.

    Raises
    ------
    NoSymmetryError
        If they are more than `MAX_RANKS`, or permutations do not move domains as a whole.
    UnlikeGroupsError
        If instances are of unequal size, or lie in domains in different ways.
    """
    blueprint = place.blueprint
    size = {axis: blueprint.axes[axis].size for axis in place.order}
    if math.prod(size.values()) > MAX_RANKS:
        msg = f"{math.prod(size.values()):,} places of ranks, which are looked at up to {MAX_RANKS:,}"
        raise NoSymmetryError(msg)
    # Ranks of one instance are mates.
    inner = tuple(a for a in place.order if a in domain & place.spans)
    outer = tuple(a for a in place.order if a not in inner)
    found = marked(blueprint, question.apart, question.ties, question.sides)
    telling = {a for a in inner if size[a] > 1}
    if any(telling & set(found.nest.above[a]) for a in outer if size[a] > 1):
        msg = "what tells domains apart is not the same for all their ranks"
        raise NoSymmetryError(msg)
    in_file, at_place = (every_place({a: size[a] for a in axes}) for axes in (outer, inner))
    sort, kinds, place_digits = _sorts(question, place, found, in_file, at_place)
    is_rank = kinds >= 0
    n_ranks = is_rank.sum(axis=1)
    # Domains come in the order of their first ranks.
    first = is_rank.argmax(axis=1)[sort]
    at = in_file | {axis: index[first] for axis, index in at_place.items()}
    number, instance = (
        _flat(blueprint, [a for a in place.order if (a in place.spans) is is_in], at, len(sort))
        for is_in in (True, False)
    )
    order = np.lexsort((number, instance))
    order = order[n_ranks[sort[order]] > 0]
    shape = _shape(place, instance[order], n_ranks[sort[order]])
    # Sorts of domains that have ranks, numbered anew.
    used, number_of = np.unique(sort[order], return_inverse=True)
    moved = _moved(found, in_file, inner)
    lies = PlacesInFile(
        {a: size[a] for a in outer}, {a: size[a] for a in inner}, order, np.nonzero(is_rank[used])[1]
    )
    return NumberedRanks(
        shape,
        lies,
        number_of.ravel(),
        {axis: moved[axis][order] for axis in outer},
        np.cumsum([0, *n_ranks[used].tolist()]),
        {axis: index[used][is_rank[used]] for axis, index in place_digits.items()},
        kinds[used][is_rank[used]],
        size,
        found.nest.listed,
    )


def side_by_side(parts: Sequence[NumberedRanks]) -> NumberedRanks:
    """Return the ranks of several groups as those of one instance: the domains of one after those of another.

    On an axis that a group lacks its ranks have the index after the last one.

    Raises
    ------
    NoSymmetryError
        If a group lies on rings, where places count.
    """
    if any(part.rings & part.sizes.keys() for part in parts):
        msg = "ranks of several groups lie on rings"
        raise NoSymmetryError(msg)
    size = {axis: n + 1 for part in parts for axis, n in part.sizes.items()}
    first_sort = np.cumsum([0, *(len(part.size) for part in parts)])
    first_place = np.cumsum([0, *(int(part.begin[-1]) for part in parts)])
    begins = [part.begin[:-1] + at for part, at in zip(parts, first_place, strict=False)]
    return NumberedRanks(
        Shape(tuple(n for part in parts for n in part.shape.sizes)),
        # Axes of several groups say no single place in the file.
        PlacesInFile({}, {}, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)),
        np.concatenate([part.sort + at for part, at in zip(parts, first_sort, strict=False)]),
        _one_below_another([part.digits for part in parts], [part.n_domains for part in parts], size),
        np.concatenate([*begins, first_place[-1:]]),
        _one_below_another([part.place_digits for part in parts], np.diff(first_place).tolist(), size),
        np.concatenate([part.kind for part in parts]),
        size,
        frozenset(),
    )


def _one_below_another(parts: Sequence[Digits], n: Sequence[int], size: Mapping[str, int]) -> Digits:
    """Return the indices of some things after those of others, so many of each, on the axes of any."""
    axes = dict.fromkeys(axis for part in parts for axis in part)
    return {
        axis: np.concatenate(
            [part.get(axis, np.full(k, size[axis] - 1)) for part, k in zip(parts, n, strict=True)]
        )
        for axis in axes
    }


def every_place(size: Mapping[str, int]) -> dict[str, Ints]:
    """Return the index of all places on some axes, the last one fastest."""
    n = math.prod(size.values())
    found, step = {}, n
    for axis, own in size.items():
        step //= own
        found[axis] = np.arange(n) // step % own
    return found


def _flat(blueprint: Blueprint, axes: Sequence[str], at: Digits, n: int) -> Ints:
    """Return one number for the places on some axes, the last one fastest, shape (n,)."""
    flat = np.zeros(n, dtype=np.int64)
    for axis in axes:
        flat = flat * blueprint.axes[axis].size + at[axis]
    return flat


def _moved(found: Marked, domains: Digits, inner: Iterable[str]) -> Digits:
    """Return where domains have been moved to: as a whole, so that any of their places tells it."""
    n = len(next(iter(domains.values()), [0]))
    moved = found.moved({**domains, **{axis: np.zeros(n, dtype=np.int64) for axis in inner}})
    return {axis: moved[axis] for axis in domains}


def _sorts(
    question: ClassTraffic, place: Placement, found: Marked, domains: Digits, places: Digits
) -> tuple[Ints, Ints, dict[str, Ints]]:
    """Return the sort of every domain, the kinds of its places, and where these are.

    Returns
    -------
    ndarray of int64, shape (n,)
        Of each domain.
    ndarray of int64, shape (number of sorts, m)
        Position of the class of each place among the classes of ranks; -1 where no rank is.
    dict of str to ndarray of int64, shape (number of sorts, m)
        Index of each place on each axis.
    """
    kept = question.apart, question.ties, question.sides
    ground = lay_ground(question.blueprint, apart=kept[0], ties=kept[1], sides=kept[2])
    strides, reps = ground.grid.strides(place.group), ground.grid.reps
    n, m = (len(next(iter(digits.values()), [0])) for digits in (domains, places))

    def rows(digits: Digits, axes: Digits) -> Ints:
        """Return what some axes add to the row of the class grid."""
        parts = [strides[a] * (np.searchsorted(reps[a], digits[a], side="right") - 1) for a in axes]
        return np.sum(parts, axis=0, dtype=np.int64) if parts else np.zeros(1, dtype=np.int64)

    # Places are moved the same way in all domains for which the same moves are listed.
    moves = found.relabelling.contexts(places, domains, n) if found.relabelling else np.zeros(n, np.int64)
    row = np.broadcast_to(rows(_moved(found, domains, places), domains), n)
    at, cell = alike(np.column_stack([row, moves]))
    flat = {a: np.repeat(index[at], m) for a, index in domains.items()}
    flat |= {a: np.tile(index, len(at)) for a, index in places.items()}
    inside = {a: found.moved(flat)[a].reshape(len(at), m) for a in places}
    class_of = ground.device[place.group][row[at][:, None] + rows(inside, places)]
    # Classes of ranks; the last entry is of what is down.
    kind_of = np.full(len(question.ends) + 1, -1, dtype=np.int64)
    kind_of[np.flatnonzero(question.ends)] = np.arange(int(question.ends.sum()))
    kind = kind_of[class_of].reshape(len(at), m)
    first, sort = _same_rows(np.column_stack([kind, *inside.values()]) if moves.any() else kind)
    return sort[cell], kind[first], {a: index[first] for a, index in inside.items()}


def _same_rows(table: Ints) -> tuple[Ints, Ints]:
    """Return the first of each set of equal rows, and the set of every row."""
    number: dict[bytes, int] = {}
    sets = [number.setdefault(row.tobytes(), len(number)) for row in np.ascontiguousarray(table)]
    first = np.unique(sets, return_index=True)[1]
    return first.astype(np.int64), np.array(sets, dtype=np.int64)


def _shape(place: Placement, instance: Ints, n_ranks: Ints) -> Shape:
    """Return the shape of each instance, for the instance of domains, ascending, and their ranks.

    Raises
    ------
    UnlikeGroupsError
        If they differ.
    """
    _, first = np.unique(instance, return_index=True)
    n_domains = np.diff([*first.tolist(), len(instance)])
    sizes = n_ranks.reshape(len(first), -1) if n_domains.min() == n_domains.max() else None
    if sizes is None or (sizes != sizes[0]).any():
        kinds = {Shape(tuple(own.tolist())) for own in np.split(n_ranks, first[1:])}
        raise UnlikeGroupsError(tuple(kinds), [a for a in place.order if a in place.spans])
    shape = Shape(tuple(sizes[0].tolist()))
    if place.among is None:
        size = {a: place.blueprint.axes[a].size for a in place.spans}
        torus = torus_of(place, size, ring_axes(place.blueprint, place.order))
        if math.prod(n for _, n in torus) == shape.n:
            return replace(shape, torus=torus)
    return shape
