"""Who takes part in a question and who sends to whom, read off the file device by device.

A program has its demands on classes, and their sizes are part of what a proof doubts. So what a source owes
is worked out here once more, from the indices of real devices, by code that knows no class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.flow.traffic import Traffic
from fabric.graph.expanded import Expanded
from fabric.symmetry.counting import devices_up

Place = Mapping[str, Ints]
"""Index of devices on each primitive axis of their group."""


def is_selected(blueprint: Blueprint, chosen: Selector, group: str, at: Place, n: int) -> Bools:
    """Return which of some devices of a group a selector names, shape (n,); of any group if it names none.

    Parameters
    ----------
    blueprint : Blueprint
    chosen : Selector
    group : str
    at : mapping of str to ndarray of int64, shape (n,)
    n : int
    """
    axes = {p for term in chosen.terms for p in blueprint.primitives(term.axis)}
    if chosen.group not in (None, group) or not axes <= set(at):
        return np.zeros(n, dtype=np.bool_)
    found = np.ones(n, dtype=np.bool_)
    for term in chosen.terms:
        index = np.zeros(n, dtype=np.int64)
        for p in blueprint.primitives(term.axis):
            index = index * blueprint.axes[p].size + at[p]
        found &= (term.lo <= index) & (index <= term.hi)
    return found


@dataclass(frozen=True, eq=False)
class Owed:
    """What a traffic pattern asks of devices.

    Parameters
    ----------
    traffic : Traffic
    blueprint : Blueprint or None
        None of a fabric read from a graph.
    among : Selector or None
        Of the endpoints that take part; None for all.
    ends : ndarray of bool, shape (n,), or None
        Of a graph: the nodes that take part.
    is_holding : bool
        Whether those that take part pass on anything.
    listed : Expanded or None
        All devices and links, where the program is on these.
    """

    traffic: Traffic
    blueprint: Blueprint | None = None
    among: Selector | None = None
    ends: Bools | None = None
    is_holding: bool = False
    listed: Expanded | None = None

    @property
    def has_root(self) -> bool:
        """Whether all traffic is of one endpoint; the rate is then that of each of the others."""
        return self.traffic.pattern in ("one-to-all", "all-to-one")

    @property
    def has_one_way(self) -> bool:
        """Whether some may receive and not send, or the other way round."""
        return self.has_root or self.traffic.pattern == "shift"

    def takes_part(self, group: str, at: Place, n: int) -> Bools:
        """Return which of some devices of a group take part, shape (n,), if they are up.

        Parameters
        ----------
        group : str
        at : mapping of str to ndarray of int64, shape (n,)
        n : int
        """
        blueprint = self._blueprint
        if not blueprint.groups[group].is_endpoint:
            return np.zeros(n, dtype=np.bool_)
        if self.among is None:
            return np.ones(n, dtype=np.bool_)
        return is_selected(blueprint, self.among, group, at, n)

    def is_target(self, source: tuple[str, Mapping[str, int]], group: str, at: Place, n: int) -> Bools:
        """Return which of some devices of a group a source sends to, if they take part, shape (n,).

        Parameters
        ----------
        source : (str, mapping of str to int)
            Its group and its index on every primitive axis.
        group, at, n
            As in `takes_part`.
        """
        own, home = source
        pattern = self.traffic.pattern
        found = np.full(n, pattern != "shift" or own == group)
        spans = {p for axis in self.traffic.over for p in self._blueprint.primitives(axis)}
        if pattern == "halves":
            (axis,) = spans
            half = self._blueprint.axes[axis].size // 2
            found &= (at[axis] < half) != (home[axis] < half) if axis in at else False
        elif spans:
            for axis, i in home.items():
                place = i
                if axis in spans and pattern != "shift":
                    continue
                if axis in spans:
                    place = (i + self.traffic.by) % self._blueprint.axes[axis].size
                found &= at[axis] == place if axis in at else False
        is_own = np.full(n, own == group and not self.has_root)
        for axis, i in home.items():
            is_own &= at[axis] == i if axis in at else False
        return np.asarray(found & ~is_own)

    def n_targets(self, source: tuple[str, Mapping[str, int]]) -> int:
        """Return how many devices a source sends to, counted as boxes of the file."""
        blueprint, (own, home) = self._blueprint, source
        pattern = self.traffic.pattern
        spans = {p for axis in self.traffic.over for p in blueprint.primitives(axis)}
        terms = []
        if pattern == "halves":
            (axis,) = spans
            half, size = blueprint.axes[axis].size // 2, blueprint.axes[axis].size
            terms.append(Term(axis, half, size - 1) if home[axis] < half else Term(axis, 0, half - 1))
        elif spans:
            for axis, i in home.items():
                if axis in spans and pattern != "shift":
                    continue
                place = (i + self.traffic.by) % blueprint.axes[axis].size if axis in spans else i
                terms.append(Term(axis, place, place))
        group = own if pattern == "shift" else None if self.among is None else self.among.group
        chosen = Selector("", group, (*terms, *(() if self.among is None else self.among.terms)))
        ends = (g.name for g in blueprint.groups.values() if g.is_endpoint)
        n = sum(devices_up(blueprint, g, chosen) for g in ends if chosen.group in (None, g))
        return n - (pattern not in ("halves", "shift") and not self.has_root)

    def members(self, e: Expanded) -> Bools:
        """Return which devices take part, shape (n,): they are up."""
        if self.ends is not None:
            return self.ends & ~e.failed
        found = np.zeros(e.n_devices, dtype=np.bool_)
        for group, rows, at in self._by_group(e):
            found[rows] = self.takes_part(group, at, len(rows))
        return found & ~e.failed

    def amounts(self, e: Expanded, source: int, kept: Bools) -> Floats:
        """Return what a device sends to every device at unit rate, or takes in from them, shape (n,).

        Parameters
        ----------
        e : Expanded
        source : int
        kept : ndarray of bool, shape (n,)
            Those that are left of the members.
        """
        found = kept.copy()
        if self.ends is None:
            group = e.groups[int(e.group[source])].name
            own = self._blueprint.groups[group].primitives
            home = {p: int(e.coordinates[p][source]) for p in own}
            for name, rows, at in self._by_group(e):
                found[rows] &= self.is_target((group, home), name, at, len(rows))
        found[source] = False
        return found / (1 if self.has_root else max(int(found.sum()), 1))

    def _by_group(self, e: Expanded) -> list[tuple[str, Ints, dict[str, Ints]]]:
        """Return every group of endpoints with its devices and their places."""
        found = []
        for number, group in enumerate(e.groups):
            if group.is_endpoint:
                rows = np.flatnonzero(e.group == number)
                axes = self._blueprint.groups[group.name].primitives
                found.append((group.name, rows, {p: e.coordinates[p][rows] for p in axes}))
        return found

    @property
    def _blueprint(self) -> Blueprint:
        if self.blueprint is None:
            msg = "a graph has no axes"
            raise ValueError(msg)
        return self.blueprint
