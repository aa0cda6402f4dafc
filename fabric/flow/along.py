"""Permutations along the axes of the endpoints, which can be worse than a longest matching."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.blueprint.model import Blueprint
from fabric.flow.traffic import FittedTraffic, Traffic
from fabric.symmetry.counting import devices_up

FEW_ENDPOINTS = 64
"""Endpoints up to which every number of places along an axis is tried, not only half of it."""


def permutations_along(blueprint: Blueprint, among: str | None) -> Iterator[Traffic]:
    """Yield what may be worse than a longest matching: along each axis of the endpoints, by half of it.

    Of equal halves also the mean of all permutations between them; among few endpoints also by fewer places,
    which what is down can make worse.
    """
    ends = FittedTraffic(blueprint, Traffic(), among).groups
    shared = frozenset.intersection(*(frozenset(blueprint.groups[g].primitives) for g in ends))
    n_up = sum(devices_up(blueprint, g) for g in ends)
    # Only where both halves have as many endpoints is their mean that of permutations.
    is_whole = among is None and n_up == sum(blueprint.n_devices(g) for g in ends)
    is_sound = is_whole and not (blueprint.absent or blueprint.failed or blueprint.marked_cables)
    for axis in (a for a in blueprint.axes if a in shared and blueprint.axes[a].size > 1):
        if is_sound and _stays_below(blueprint, ends, axis):
            continue
        most, odd = divmod(blueprint.axes[axis].size, 2)
        for by in range(most, 0 if n_up <= FEW_ENDPOINTS else most - 1, -1):
            yield Traffic("shift", (axis,), by=by)
        if is_whole and not odd:
            yield Traffic("halves", (axis,))


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
