"""Mirrors of the expanded form: permutations of devices about what is down, each tried on every cable.

Axes keep what failures leave of a permutation of one axis. A chip or cable that is down in a torus is in the
middle of more of them::

    . . . . .      . . . . .
    . . x . .      . . x-x .      x -> s - x   on any axis, or on all at once, as in a twisted torus
    . . . . .      . . . . .      x <-> y      where both axes are alike

Nothing is taken for granted: a mirror that does not map cables onto cables is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.graph import Expanded

MANY_AXES, MANY_CENTRES = 6, 2
"""Axes beyond which nothing is tried, and centres on each."""


def mirrors(e: Expanded) -> list[Ints]:
    """Return permutations of devices that map what is up onto itself, shape (n,) each.

    Examples
    --------
    A square with one corner down: its diagonal is left.

    >>> from fabric.graph import expand, loads
    >>> text = "{fabric: a, axes: {x: 2, y: 2}, devices: {gpu: {kind: gpu, transit: all, "
    >>> text += "axes: [x, y]}}, links: [{between: [gpu, gpu], name: a, line: x, rate: 1Gb/s}, "
    >>> text += "{between: [gpu, gpu], name: b, line: y, rate: 1Gb/s}], failed: [x0/y0/gpu]}"
    >>> [found.tolist() for found in mirrors(expand(loads(text)))]
    [[0, 2, 1, 3]]
    """
    axes = list(dict.fromkeys(axis for group in e.groups for axis in group.axes))
    if len(axes) > MANY_AXES:
        return []
    places = {axis: e.coordinates[axis] for axis in axes}
    size = {axis: int(at.max(initial=0)) + 1 for axis, at in places.items()}
    key = _key(e, places, size)
    order = np.argsort(key, kind="stable")
    before = _cables(e, np.arange(e.n_devices))
    found: list[Ints] = []
    for moved in _tried(e, places, size):
        new = _key(e, moved, size)
        to = order[np.searchsorted(key, new, sorter=order).clip(max=len(order) - 1)]
        is_map = np.array_equal(key[to], new) and not np.array_equal(to, np.arange(len(to)))
        if is_map and np.array_equal(e.failed, e.failed[to]) and np.array_equal(before, _cables(e, to)):
            found.append(to)
    return found


def _key(e: Expanded, places: Mapping[str, Ints], size: Mapping[str, int]) -> Ints:
    """Return a number of each device, by its group and place."""
    key = e.group.astype(np.int64)
    for axis, at in places.items():
        key = key * (size[axis] + 1) + at + 1
    return key


def _tried(e: Expanded, places: Mapping[str, Ints], size: Mapping[str, int]) -> Iterator[Mapping[str, Ints]]:
    """Yield where devices are after each permutation that may be one of the fabric."""
    devices = np.flatnonzero(e.failed)
    cables = np.flatnonzero((e.failed_count > 0) & ~e.failed[e.tail] & ~e.failed[e.head])
    # What is down is its own image: a device on the mirror, a cable across it.
    ends = np.append(devices, e.tail[cables]), np.append(devices, e.head[cables])
    if not len(ends[0]):
        return
    centres = {axis: at[ends[0]] + at[ends[1]] for axis, at in places.items()}

    def mirrored(axis: str, centre: int) -> Ints:
        at = places[axis]
        return np.where(at >= 0, (centre - at) % size[axis], at)

    for axis in places:
        for centre in dict.fromkeys(centres[axis].tolist()[:MANY_CENTRES]):
            yield {**places, axis: mirrored(axis, centre)}
    yield {axis: mirrored(axis, int(centres[axis][0])) for axis in places}
    for one, other in combinations(places, 2):
        if size[one] == size[other]:
            shift = int(places[one][ends[0][0]] - places[other][ends[0][0]])
            new = (places[other] + shift) % size[one], (places[one] - shift) % size[one]
            both = (places[one] >= 0) & (places[other] >= 0)
            yield {
                **places,
                one: np.where(both, new[0], places[one]),
                other: np.where(both, new[1], places[other]),
            }


def _cables(e: Expanded, to: Ints) -> Ints:
    """Return all that is up with its devices mapped, in an order that does not depend on that."""
    up = e.alive > 0
    kinds = sorted({(rule.net, rule.is_peer, rule.is_oneway) for rule in e.rules})
    number = [kinds.index((rule.net, rule.is_peer, rule.is_oneway)) for rule in e.rules]
    kind = np.array(number, dtype=np.int64)[e.rule[up]]
    is_even: Bools = np.array([peer and not oneway for _, peer, oneway in kinds], dtype=np.bool_)[kind]
    tail, head = to[e.tail[up]], to[e.head[up]]
    low, high = (
        np.where(is_even, np.minimum(tail, head), tail),
        np.where(is_even, np.maximum(tail, head), head),
    )
    # Rates as bits: equal or not.
    rows = [kind, low, high, e.rate_gbps[up].view(np.int64), e.alive[up]]
    return np.array(rows)[:, np.lexsort(rows[::-1])]
