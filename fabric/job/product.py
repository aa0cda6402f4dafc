"""Pairs of ranks that are a product of axes, all alike: by the axes on which they differ, at any size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.by_axes import ClassTraffic
from fabric.graph import components
from fabric.job.differences import Difference, Mix, RankPlaces
from fabric.job.placement import Placement, ring_axes, torus_of
from fabric.job.shared import Shared
from fabric.job.views import RankView
from fabric.schedule.algorithms import Shape
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import NoSymmetryError, Tie


@dataclass(frozen=True, eq=False)
class ProductPairs:
    """What ranks do as `fabric.job.pairs.RankPairs` says it; a column of rows stands for a difference.

    Parameters
    ----------
    places : RankPlaces
    by_rail : RankPlaces
        With what goes to the right rail first.
    views : sequence of RankView
    place : Placement
    """

    places: RankPlaces
    by_rail: RankPlaces
    views: Sequence[RankView]
    place: Placement

    @cached_property
    def by_own_cards(self) -> ProductPairs:
        """The same with messages straight from rank to rank."""
        return replace(self, by_rail=self.places)

    @property
    def order(self) -> tuple[str, ...]:
        """Primitive axes of the ranks, outermost first."""
        return self.places.order

    @property
    def above(self) -> Mapping[str, tuple[str, ...]]:
        """The axes that each axis is under: here axes are permuted in one way everywhere."""
        return dict.fromkeys(self.order, ())

    @property
    def has_rails(self) -> bool:
        """Whether all domains are of one size."""
        return True

    @property
    def n_instances(self) -> int:
        """Groups that run at the same time."""
        return self.places.n_ranks // math.prod(self.places.size[a] for a in self.place.spans)

    @property
    def n_members(self) -> Ints:
        """Ranks of each view, all of which are in an instance."""
        return np.array([round(view.n_alike) for view in self.views])

    @property
    def shape(self) -> Shape:
        """Ranks of one instance: k domains of g ranks."""
        sizes = {a: self.places.size[a] for a in self.place.spans}
        g = math.prod(n for a, n in sizes.items() if a in self.places.domain)
        k = math.prod(n for a, n in sizes.items() if a not in self.places.domain)
        return Shape((g,) * k, torus_of(self.place, sizes, self.places.rings))

    def others(self, number: int, *, is_sent: bool) -> sparse.csr_array:
        """Return where a byte to, or from, each column ends, shape (classes, columns)."""
        view, places = self.views[number], self.places
        size = view.quotient.size
        columns = []
        for i, difference in enumerate(places.differences):
            ends = view.sources[places.opposite(difference) if is_sent else difference]
            columns.append((ends, np.full(len(ends), i), size[ends] / size[ends].sum()))
        row, column, part = (np.concatenate(c) for c in zip(*columns, strict=True))
        return sparse.csr_array((part, (row, column)), shape=(len(size), len(columns)))

    def in_group(self, number: int, pattern: Pattern) -> Bools:
        """Return which columns are of ranks of the rank's group in a pattern."""
        return np.asarray(self.places.alike(self.places.axes(pattern)) > 0)

    def each(self, number: int, is_in: Bools) -> tuple[sparse.csr_array, Bools]:
        """Return where a byte of each class of ranks at some columns starts, and which are mates."""
        view, places = self.views[number], self.places
        pairs = [
            (i, c)
            for i, (d, is_of) in enumerate(zip(places.differences, is_in, strict=True))
            if is_of
            for c in view.sources[d].tolist()
        ]
        columns, classes = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        shape = (len(view.inside), len(classes))
        others = sparse.csr_array((np.ones(len(classes)), (classes, np.arange(len(classes)))), shape=shape)
        return others, places.mates[columns]

    def mates(self, number: int) -> Bools:
        """Return which columns are of ranks of one scale-up domain."""
        return self.places.mates

    def group(self, number: int, over: Over) -> Floats:
        """Return how many others of the rank's group, of a domain or a rail, are in each class of a view."""
        view, axes = self.views[number], self.places.axes(Pattern("to-switches", over))
        alike = zip(self.places.differences, self.places.alike(axes).tolist(), strict=True)
        n = np.zeros(len(view.inside))
        for difference in (d for d, n_alike in alike if n_alike):
            n[view.sources[difference]] = view.quotient.size[view.sources[difference]]
        return n

    def n_groups(self, over: Over) -> float:
        """Return the domains, or the rails, of all instances."""
        axes = self.places.axes(Pattern("to-switches", over))
        return self.places.n_ranks / math.prod(self.places.size[a] for a in axes)

    def is_alone(self, over: Over) -> bool:
        """Return whether no rank has others in its domain, or on its rail."""
        return all(self.places.size[a] == 1 for a in self.places.axes(Pattern("to-switches", over)))

    def far(self, number: int) -> Floats:
        """Return on how many axes ranks of each column differ from the rank of a view."""
        return np.array([sum(places > 0 for places in d) for d in self.places.differences], dtype=np.float64)

    def legs(self, number: int, is_in: Bools) -> Floats:
        """Return the legs of messages of some columns, as rows."""
        return np.asarray(self.by_rail.legs.toarray()[is_in])

    def n_bytes(self, pattern: Pattern) -> float:
        """Return what all ranks send of a pattern, one byte from the busiest."""
        return float(self.places.mean([(pattern, 1.0)]).sum()) * self.places.n_ranks

    def means(self, mix: Mix, *, is_sent: bool) -> Floats:
        """Return what a rank of each view does on average, shape (columns,): it sends what it receives."""
        return np.tile(self.by_rail.mean(mix), len(self.views))

    def kinds(self, mix: Mix, *, is_sent: bool) -> tuple[sparse.csr_array, Ints]:
        """Return the different rows of ranks, shape (k, columns), view by view, and where each begins."""
        rows, n = self.by_rail.kinds(mix, is_sent=is_sent), len(self.views)
        row, column = np.nonzero(rows)
        ends = np.cumsum(np.bincount(row, minlength=len(rows)))
        # The same block for every view, each on columns of its own.
        columns = (column + rows.shape[1] * np.arange(n)[:, None]).ravel()
        starts = np.concatenate(([0], (ends + len(row) * np.arange(n)[:, None]).ravel()))
        shape = (n * len(rows), n * rows.shape[1])
        every = sparse.csr_array((np.tile(rows[row, column], n), columns, starts), shape=shape)
        return every, np.arange(n + 1) * len(rows)

    @cached_property
    def starts(self) -> Ints:
        """The first column of every view, and the number of all columns."""
        return np.arange(len(self.views) + 1) * len(self.places.differences)

    def telling(self, mix: Mix) -> tuple[ProductPairs, Mix]:
        """Return the patterns that tell which links are near to ranks: all ranks are alike in each."""
        return self, tuple(mix)

    def part_of(self, number: int) -> int:
        """Return what tells views apart whose ranks do not share a block: of each it is told by itself."""
        return number

    def block_sizes(self, numbers: tuple[int, ...], pinned: frozenset[str]) -> list[float]:
        """Return how many ranks agree on some axes."""
        return [self.places.n_ranks / math.prod(self.places.size[a] for a in pinned)] * len(numbers)

    def busiest(self, mix: Mix, shared: Shared) -> Floats:
        """Return what the busiest block puts on links that are near to it; see `RankPairs.busiest`."""
        # The links are those of one view; see `part_of`.
        rows = np.tile(self.by_rail.blocks(mix, shared.pinned, is_sent=shared.is_sent), len(self.views))
        return shared.together(sparse.csr_array(rows @ shared.on_cable))


class ProductTraffic(ClassTraffic):
    """A question whose permutations keep all axes of the ranks apart: patterns along axes are invariant.

    A ring is turned, but not turned over: a pattern may go one way round.
    """

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        primitives = {g: self.blueprint.groups[g].primitives for g in groups}
        return tuple(
            Tie(g, frozenset(), ring_axes(self.blueprint, axes), apart=frozenset(axes))
            for g, axes in primitives.items()
        )


def sizes_on_axes(
    place: Placement, views: tuple[RankView, ...], rings: frozenset[str]
) -> tuple[dict[str, int], dict[Difference, int]]:
    """Return the ranks along every axis, and how many differ from one on which axes.

    Raises
    ------
    NoSymmetryError
        If they are no product of axes.
    """
    counted = [{d: round(float(v.quotient.size[c].sum())) for d, c in v.sources.items()} for v in views]
    size: dict[str, int] = {}
    # Ranks that differ from one along an axis alone, and itself, are the size of that axis.
    for i, axis in enumerate(place.order):
        along = [
            sum(n for d, n in counts.items() if d[i] and not any(d[:i] + d[i + 1 :])) for counts in counted
        ]
        size[axis] = along[0] + 1
        if len(set(along)) > 1:
            msg = f"the ranks along {axis} are not the same everywhere"
            raise NoSymmetryError(msg)
        if axis in rings and 1 < size[axis] < place.blueprint.axes[axis].size:
            msg = f"the ranks are a part of the ring along {axis}, where places differ"
            raise NoSymmetryError(msg)
    n_ranks = sum(counted[0].values())
    if any(counts != counted[0] for counts in counted[1:]) or n_ranks != math.prod(size.values()):
        msg = "the ranks are no product of axes"
        raise NoSymmetryError(msg)
    return size, counted[0]


def places_on_axes(place: Placement, views: tuple[RankView, ...], rings: frozenset[str]) -> RankPlaces:
    """Return how the ranks lie on axes.

    Raises
    ------
    NoSymmetryError
        If they are no product of axes, or their domains are not.
    """
    size, counted = sizes_on_axes(place, views, rings)
    n_alike = {d: float(n) for d, n in counted.items()}
    return RankPlaces(place.order, size, rings, place.spans, _domain(place, views), n_alike)


def _domain(place: Placement, views: tuple[RankView, ...]) -> frozenset[str]:
    """Return the axes along which ranks of one scale-up domain differ.

    Raises
    ------
    NoSymmetryError
        If domains are no product of axes.
    """
    domain: frozenset[str] | None = None
    for view in views:
        e = view.quotient.classes
        rules = np.array([r.net == "scale-up" for r in e.rules], dtype=np.bool_)
        rows = rules[e.rule] & (e.alive > 0) if len(rules) else np.zeros(0, np.bool_)
        part = components(e.n_devices, e.tail[rows], e.head[rows])
        # Which ranks are joined to the rank by scale-up cables alone, by how they differ.
        near = {d: part[classes] == part[view.rank] for d, classes in view.sources.items()}
        mates = [d for d, is_near in near.items() if is_near.any()]
        axes = frozenset(a for d in mates for a, places in zip(place.order, d, strict=True) if places)
        within = [
            d
            for d in view.sources
            if all(a in axes for a, places in zip(place.order, d, strict=True) if places)
        ]
        # A domain is a product of axes if all that differ along those axes alone are mates.
        is_whole = len(within) == len(mates) and all(near[d].all() for d in mates)
        if not is_whole or domain not in (None, axes):
            msg = "the scale-up domains are not alike"
            raise NoSymmetryError(msg)
        domain = axes
    return domain or frozenset()
