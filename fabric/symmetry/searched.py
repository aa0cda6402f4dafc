"""Orbits of any graph: permutations are looked for by colours, and believed once checked on every cable.

A device is told apart from all others, the colours are refined, and so on until every device has a colour of
its own. The same from another device of its colour gives the same colours if some permutation maps one to the
other: devices of equal colours are put on each other, and every cable must be there again. What one checked
permutation joins is one orbit, devices and cables alike. (Individualisation and refinement: McKay and
Piperno, "Practical graph isomorphism, II", J. Symbolic Computation 60, 2014.) What is alike and not found to
be is told apart, which costs rows and is never wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.graph import Expanded
from fabric.symmetry.colouring import bundle_labels, mix, refine_colours

MANY_DEVICES = 20_000
"""Devices up to which permutations are looked for."""
MANY_STEPS = 20_000_000
"""Devices and bundles that are coloured in all, times rounds of individualising: some tens of seconds."""
_APART = np.uint64(0x5DEECE66D1234567)


@dataclass(frozen=True, slots=True)
class FoundOrbits:
    """One of each orbit, and how many are alike.

    Parameters
    ----------
    devices : tuple of (int, int)
        Device, and devices.
    cables : tuple of (int, int)
        Bundle, and cables that are up.
    """

    devices: tuple[tuple[int, int], ...]
    cables: tuple[tuple[int, int], ...]


def search_orbits(expanded: Expanded) -> FoundOrbits:
    """Return orbits of the devices and the cables of a graph that are up.

    Parameters
    ----------
    expanded : Expanded
    """
    search = _Search(expanded)
    if expanded.n_devices <= MANY_DEVICES:
        search.swap_twins()
        search.look_for_devices()
        search.look_for_bundles()
    devices = np.flatnonzero(~expanded.failed)
    bundles = np.flatnonzero(search.label >= 0)
    of = _roots(search.bundle, bundles)
    cables = np.bincount(of, expanded.alive[bundles], minlength=expanded.n_bundles)
    n = np.bincount(_roots(search.device, devices), minlength=expanded.n_devices)
    return FoundOrbits(
        tuple((int(v), int(n[v])) for v in np.flatnonzero(n)),
        tuple((int(b), int(cables[b])) for b in np.flatnonzero(cables)),
    )


def _roots(parent: list[int], of: Ints) -> Ints:
    return np.array([_root(parent, v) for v in of.tolist()], dtype=np.int64)


def _root(parent: list[int], v: int) -> int:
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


def _join(parent: list[int], a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    # The first of an orbit stands for it.
    parent[max(a, b)] = min(a, b)


class _Search:
    """The orbits that are known so far, of devices and of bundles, each as a forest."""

    def __init__(self, e: Expanded) -> None:
        self._e = e
        self.label = bundle_labels(e)
        self.device, self.bundle = list(range(e.n_devices)), list(range(e.n_bundles))
        self._up = np.flatnonzero(self.label >= 0)
        rule = e.rule[self._up]
        self._is_turning = np.array([r.is_peer and not r.is_oneway for r in e.rules], dtype=np.bool_)[rule]
        start = e.group.astype(np.uint64) * np.uint64(2) + e.failed.astype(np.uint64)
        self._colour = refine_colours(e, self.label, mix(start))
        self._steps = 0

    def _key(self, place: Ints) -> Ints:
        """Return a row (label, lower end, upper end) for each bundle that is up, devices put at `place`."""
        tail, head = place[self._e.tail[self._up]], place[self._e.head[self._up]]
        low = np.where(self._is_turning, np.minimum(tail, head), tail)
        high = np.where(self._is_turning, np.maximum(tail, head), head)
        return np.column_stack([self.label[self._up], low, high])

    def swap_twins(self) -> None:
        """Join devices that have the same cables to the same devices: any two of them may be swapped."""
        e = self._e
        near: list[list[tuple[int, int, int, int]]] = [[] for _ in range(e.n_devices)]
        keys = self._key(np.arange(e.n_devices)).tolist()
        bundles = zip(keys, self._up.tolist(), self._is_turning.tolist(), strict=True)
        for (label, low, high), bundle, turns in bundles:
            near[low].append((label, high, 0, bundle))
            near[high].append((label, low, 0 if turns else 1, bundle))
        alike: dict[tuple[object, ...], list[int]] = {}
        for v in np.flatnonzero(~e.failed).tolist():
            near[v].sort()
            key = (int(e.group[v]), *(row[:3] for row in near[v]))
            alike.setdefault(key, []).append(v)
        rank = np.zeros(e.n_devices, dtype=np.uint64)
        for twins in alike.values():
            for number, v in enumerate(twins[1:], start=1):
                rank[v] = number
                _join(self.device, twins[0], v)
                for one, other in zip(near[twins[0]], near[v], strict=True):
                    _join(self.bundle, one[3], other[3])
        # Whole sets of twins are then mapped onto each other in their order.
        self._colour = refine_colours(e, self.label, mix(self._colour + mix(rank)))

    def look_for_devices(self) -> None:
        """Join devices of one colour where a permutation maps one to the other."""
        self._look([(v,) for v in np.flatnonzero(~self._e.failed).tolist()], self.device, lambda one: one[0])

    def look_for_bundles(self) -> None:
        """Join bundles whose ends have the same colours where a permutation maps one to the other."""
        tail, head = self._e.tail, self._e.head
        number: dict[tuple[int, ...], int] = {}
        starts: list[tuple[int, ...]] = []
        for b in self._up.tolist():
            start = (int(tail[b]), int(head[b]), b)
            number[start] = b
            starts.append(start)
        self._look(starts, self.bundle, lambda one: number[one])

    def _look(
        self, starts: Sequence[tuple[int, ...]], parent: list[int], of: Callable[[tuple[int, ...]], int]
    ) -> None:
        known: dict[tuple[int, ...], list[tuple[tuple[int, ...], tuple[Ints, ...]]]] = {}
        for start in starts:
            item = of(start)
            if _root(parent, item) != item or self._steps > MANY_STEPS:
                continue
            for way in self._ways(start):
                colours = tuple(int(self._colour[v]) for v in way)
                label = int(self.label[start[2]]) if len(start) > 2 else -1
                rivals = known.setdefault((label, *colours), [])
                own = self._discrete(way)
                if any(own is not None and self._try(found, own) for _, found in rivals):
                    break
            else:
                if own is not None:
                    rivals.append((start, own))

    def _ways(self, start: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the devices to tell apart, for a bundle of peers both ways round."""
        if len(start) == 1:
            return [start]
        rule = self._e.rules[self._e.rule[start[2]]]
        both = [start[:2]] if rule.is_oneway or not rule.is_peer else [start[1::-1], start[:2]]
        return both

    def _discrete(self, first: Sequence[int]) -> tuple[Ints, ...] | None:
        """Return the devices in the order of their colours when `first` and then others are told apart."""
        colour, seen = self._colour, []
        left = list(first)
        while True:
            for v in left[:1]:
                colour = colour.copy()
                colour[v] = mix(colour[v : v + 1] ^ _APART)[0]
                colour = refine_colours(self._e, self.label, colour)
                self._steps += len(colour) + len(self._up)
            left = left[1:]
            values, counts = np.unique(colour, return_counts=True)
            seen.append(values.view(np.int64))
            if left:
                continue
            several = np.flatnonzero(counts > 1)
            if not len(several):
                return (np.argsort(colour).astype(np.int64), *seen)
            if self._steps > MANY_STEPS:
                return None
            # The first cell of several, by a colour that both sides of a comparison share.
            left = [int(np.flatnonzero(colour == values[several[0]])[0])]

    def _try(self, one: tuple[Ints, ...], other: tuple[Ints, ...]) -> bool:
        """Join what the permutation joins that puts devices of equal colours on each other, if it is one."""
        if len(one) != len(other):
            return False
        if not all(np.array_equal(a, b) for a, b in zip(one[1:], other[1:], strict=True)):
            return False
        place = np.empty(self._e.n_devices, dtype=np.int64)
        place[one[0]] = other[0]
        e = self._e
        if (e.group[place] != e.group).any() or (e.failed[place] != e.failed).any():
            return False
        before, after = self._key(np.arange(e.n_devices)), self._key(place)
        order = [np.lexsort(rows.T[::-1]) for rows in (before, after)]
        if not np.array_equal(before[order[0]], after[order[1]]):
            return False
        for v, w in enumerate(place.tolist()):
            _join(self.device, v, w)
        # The bundle at a place afterwards is the image of the one whose row has become that of the place.
        for a, b in zip(self._up[order[0]].tolist(), self._up[order[1]].tolist(), strict=True):
            _join(self.bundle, a, b)
        return True
