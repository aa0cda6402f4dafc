"""Permutations along the axes of the endpoints, which can be worse than a longest matching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.flow.traffic import FittedTraffic, Traffic
from fabric.symmetry.counting import devices_up

FEW_ENDPOINTS = 64
"""Endpoints up to which every number of places along an axis is tried, not only half of it."""
MANY_DISTANCES = 8
"""Distances between what is told apart on an axis of more endpoints, of which the most frequent are tried."""


def permutations_along(blueprint: Blueprint, among: str | None) -> Iterator[tuple[Traffic, float]]:
    """Yield what may be worse than a longest matching: along each axis of the endpoints, by half of it.

    Where something tells places apart, also by fewer places: between those, or among few endpoints by any.
    Of two halves also the mean of all permutations between them: where one has more endpoints, those of the
    other receive more than they send, and a permutation gets at most so many times the rate.

    Yields
    ------
    traffic : Traffic
    times : float
        Some permutation gets at most so many times the rate of the traffic.

    Notes
    -----
    Along an axis whose places nothing tells apart all shifts get the same rate: by averaging over all orders
    of the places, what a source puts on its own place, on that of its target and on any other are three
    loads, and every place is once each for every source.
    """
    fitted = FittedTraffic(blueprint, Traffic(), among)
    ends = fitted.groups
    shared = frozenset.intersection(*(frozenset(blueprint.groups[g].primitives) for g in ends))
    n_up = sum(devices_up(blueprint, g, *fitted.chosen) for g in ends)
    is_sound = among is None and not (blueprint.absent or blueprint.failed or blueprint.marked_cables)
    for axis in (a for a in blueprint.axes if a in shared and blueprint.axes[a].size > 1):
        if is_sound and _stays_below(blueprint, ends, axis):
            continue
        most, odd = divmod(blueprint.axes[axis].size, 2)
        yield Traffic("shift", (axis,), by=most), 1.0
        first = Selector("", None, (Term(axis, 0, most - 1),))
        n_first = sum(devices_up(blueprint, g, *_within(first, fitted.chosen)) for g in ends)
        # Of an odd axis with nothing down, the shift crosses the middle as often for each endpoint.
        if 0 < n_first < n_up and not (odd and is_sound):
            yield Traffic("halves", (axis,)), max(n_first, n_up - n_first) / min(n_first, n_up - n_first)
        fewer = range(most - 1, 0, -1) if n_up <= FEW_ENDPOINTS else _distances(fitted, axis)
        for by in (n for n in fewer if n != most):
            yield Traffic("shift", (axis,), by=by), 1.0


def _within(first: Selector, chosen: Sequence[Selector]) -> list[Selector]:
    """Return the part of what is chosen, or of all, that `first` names."""
    return [replace(one, terms=one.terms + first.terms) for one in chosen] or [first]


def _distances(fitted: FittedTraffic, axis: str) -> list[int]:
    """Return how far apart places are that the file, a choice or a failure tells apart, and a single step.

    Between two of them traffic may meet two faults at once, as by no other number of places.
    """
    blueprint, size = fitted.blueprint, fitted.blueprint.axes[axis].size
    named = [*blueprint.absent, *blueprint.failed, *fitted.chosen]
    named += [side for rule in blueprint.rules for side in (rule.left, rule.right)]
    named += [side for cables in blueprint.marked_cables for side in (cables.left, cables.right)]
    # Of a range its two ends: nothing within tells places apart.
    places = sorted(
        {_place(blueprint, t, axis, i) for s in named for t in s.terms for i in (t.lo, t.hi)} - {-1}
    )
    if not places:
        return []
    apart = Counter(min(a - b, size - a + b) for i, a in enumerate(places) for b in places[:i])
    return list(dict.fromkeys([*(n for n, _ in apart.most_common(MANY_DISTANCES)), 1]))


def _place(blueprint: Blueprint, term: Term, axis: str, index: int) -> int:
    """Return the place on a plain axis that an index of a term has, -1 where it says none."""
    place = -1
    # The last primitive of a composed axis counts fastest.
    for p in reversed(blueprint.primitives(term.axis)):
        index, at = divmod(index, blueprint.axes[p].size)
        place = at if p == axis else place
    return place


def _stays_below(blueprint: Blueprint, ends: tuple[str, ...], axis: str) -> bool:
    """Return whether endpoints along an axis have all neighbours in common.

    Then each can send there whatever its own links carry, and no traffic gets more.
    """
    for rule in blueprint.rules:
        if set(ends).isdisjoint(rule.groups):
            continue
        others = [g for g in rule.groups if g not in ends]
        is_plain = not (rule.left.terms or rule.right.terms or rule.is_oneway) and isinstance(rule.count, int)
        turns = len(others) == 1 and blueprint.groups[others[0]].transit in ("turn", "all")
        if not (is_plain and turns) or axis in blueprint.groups[others[0]].primitives:
            return False
    return True
