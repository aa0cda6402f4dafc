"""Whether the ranks of a placement are a product of axes, and how they then lie."""

from __future__ import annotations

import math

import numpy as np

from fabric.flow.by_axes import ClassTraffic
from fabric.graph import components
from fabric.job.differences import Difference, RankPlaces
from fabric.job.placement import Placement, ring_axes
from fabric.job.views import RankView
from fabric.symmetry import NoSymmetryError, Tie


class ProductTraffic(ClassTraffic):
    """A question whose permutations keep all axes of the ranks apart: patterns along axes are invariant.

    A ring is turned, but not turned over: a pattern may go one way round.
    """

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        primitives = {g: self.blueprint.groups[g].primitives for g in groups}
        return tuple(Tie(g, frozenset(), ring_axes(self.blueprint, axes)) for g, axes in primitives.items())


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
