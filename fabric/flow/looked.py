"""The links and devices of a view as the file has them, for proofs of one flow or of one cut.

All of them are listed in a small fabric. In a large one the classes stand for them: their devices and cables
are counted as boxes of the file, and paths are those that its rules and transits permit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.remembered import remembered
from fabric.errors import LimitError
from fabric.flow.certificate import GAP, distances
from fabric.flow.commodities import Asked, Commodities, Commodity, trivial
from fabric.flow.held import Reading
from fabric.flow.lifted import Lifted
from fabric.flow.owed import Owed
from fabric.flow.posed import cable_faults
from fabric.flow.walks import ROLES, relays, states
from fabric.graph.expanded import Expanded, expand
from fabric.graph.forwarding import Paths
from fabric.symmetry import AxisView, Lift, Mark, Quotient, Sides, Tie, Unfolding, quotient
from fabric.symmetry.lifting import columns
from fabric.symmetry.neighbours import Looked, look_at_devices

FEW_BUNDLES = 20_000
"""Joined pairs of devices up to which all links are listed."""
SEED = 1
"""Of the devices that are looked at beyond that."""


class FileGround:
    """The file under a question, to hold its cuts and flows to.

    Parameters
    ----------
    blueprint : Blueprint
    paths : {"rules", "no-relay", "any"}
    owed : Owed or None
        Who holds the data and passes on anything; nobody where it is None.
    apart, ties, sides
        As given to `fabric.symmetry.quotient`.
    free : tuple of str
        Groups of switches that add.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        paths: Paths,
        owed: Owed | None,
        apart: tuple[Selector, ...] = (),
        ties: tuple[Tie, ...] = (),
        sides: Sides = (),
        *,
        free: tuple[str, ...] = (),
    ) -> None:
        self._blueprint, self._owed, self._free = blueprint, owed, free
        self._told = apart, ties, sides
        self._asked = Asked(lambda view, _: np.zeros(len(view.size)), paths, lambda view: view.classes)

    @cached_property
    def expanded(self) -> Expanded | None:
        """All devices and links, or None where they are too many."""
        try:
            return expand(self._blueprint, limit=FEW_BUNDLES)
        except LimitError:
            return None

    @cached_property
    def scope(self) -> str:
        """Which links are looked at, in words."""
        e = self.expanded
        if e is None:
            return "on classes whose cables are counted in the file"
        return _all_links(e)

    @cached_property
    def _unfolding(self) -> Unfolding:
        assert self.expanded is not None
        return Unfolding(Lift(self._blueprint, *self._told), self.expanded)

    def look(self, view: Quotient, marks: tuple[Mark, ...]) -> Look:
        """Return the links of a view as the file has them; `marks` are all that it tells apart."""
        e = self.expanded
        work = Commodities(view, np.zeros(0), [], 0.0, (), asked=self._asked, owed=self._owed)
        if e is None:
            reading = Reading(work, view.classes, self._inside(view), self._blueprint, self._free)
            seen = np.where(reading.is_up, np.arange(2 * view.classes.n_bundles), -1)
            fault = next(cable_faults(view, self._blueprint), "") or self._group_fault(view)
            return Look(view, reading, seen, np.arange(len(view.size)), fault)
        kept = np.zeros(e.n_devices, np.bool_) if self._owed is None else self._owed.members(e)
        reading = Reading(work, e, kept, None, self._free)
        # Any device will do as the name of the one choice of marks.
        places = tuple(columns([mark]) for mark in marks)
        seen = AxisView(self._unfolding, view, np.zeros(1, np.int64), places).seen(0)
        on = np.flatnonzero(seen >= 0)
        tail, head = reading.ends
        ends = np.column_stack([view.classes.tail, view.classes.head]).ravel()
        of = np.full(e.n_devices, -1, dtype=np.int64)
        of[tail[on]] = ends[seen[on]]
        # Every link says in which class its two ends are; they must agree.
        is_torn = (of[tail[on]] != ends[seen[on]]).any() or (of[head[on]] != ends[seen[on] ^ 1]).any()
        fault = "a device that is in two classes" if is_torn else ""
        fault = fault or ("links that are in no class" if (reading.is_up & (seen < 0)).any() else "")
        n_each = np.bincount(of[of >= 0], minlength=len(view.size))
        joined = np.zeros(len(view.size), dtype=np.bool_)
        joined[ends] = True
        if not fault and (n_each != view.size)[joined].any():
            fault = "devices that are not as many as their class says"
        return Look(view, reading, seen, of, fault)

    def look_at_devices(self) -> tuple[str, str]:
        """Return whether devices of the file have other cables than their classes, and how many, in words.

        Where not all links are listed.
        """
        if self.expanded is not None:
            return "", ""
        found = _looked(self._blueprint, *self._told)
        return found.fault, f" and on all cables of {found.n_devices:,} devices"

    def _group_fault(self, view: Quotient) -> str:
        """Return whether classes of links join other groups than their rules do."""
        e, names = view.classes, list(self._blueprint.groups)
        every = [[names.index(g) for g in rule.groups] for rule in self._blueprint.rules]
        wanted = np.array(every, dtype=np.int64).reshape(-1, 2)
        joined = np.sort(np.column_stack([e.group[e.tail], e.group[e.head]]), axis=1)
        return "links between other groups" if (joined != np.sort(wanted, axis=1)[e.rule]).any() else ""

    def _inside(self, view: Quotient) -> Bools:
        """Return which classes hold the data."""
        inside = np.zeros(len(view.size), dtype=np.bool_)
        for number, group in enumerate(view.classes.groups):
            rows = np.flatnonzero(view.classes.group == number)
            if self._owed is not None and group.is_endpoint and len(rows):
                at = {p: index[rows] for p, index in view.places.items() if index[rows[0]] >= 0}
                inside[rows] = self._owed.takes_part(group.name, at, len(rows))
        return inside


@remembered(4)
def _looked(blueprint: Blueprint, apart: tuple[Selector, ...], ties: tuple[Tie, ...], sides: Sides) -> Looked:
    """Return what devices of the file say of the classes of a question, whatever its path rule."""
    view = quotient(blueprint, apart=apart, ties=ties, sides=sides)
    return look_at_devices(Lift(blueprint, apart, ties, sides), view, SEED)


def look_at_links(expanded: Expanded, paths: Paths) -> tuple[Look, str]:
    """Return the links of a question that was asked of them one by one, and which they are, in words."""
    view = trivial(expanded)
    asked = Asked(lambda view, _: np.zeros(len(view.size)), paths, lambda view: view.classes)
    work = Commodities(view, np.zeros(0), [], 0.0, (), asked=asked)
    reading = Reading(work, expanded, np.zeros(expanded.n_devices, dtype=np.bool_))
    seen = np.where(reading.is_up, np.arange(2 * expanded.n_bundles), -1)
    return Look(view, reading, seen, np.arange(expanded.n_devices), ""), _all_links(expanded)


def _all_links(expanded: Expanded) -> str:
    n_ways = np.array([1 if rule.is_oneway else 2 for rule in expanded.rules], dtype=np.int64)
    return f"on all {int(n_ways[expanded.rule[expanded.alive > 0]].sum()):,} links"


@dataclass(frozen=True, eq=False)
class Look:
    """The links and devices of a view as the file has them.

    Parameters
    ----------
    view : Quotient
    reading : Reading
    seen, of : ndarray of int64
        Class of every directed link and of every device; -1 for none.
    fault : str
        In what the classes differ from the file, or nothing.
    """

    view: Quotient
    reading: Reading
    seen: Ints
    of: Ints
    fault: str

    def members(self) -> Floats:
        """Return how many ranks of the file are in each class."""
        e, kept = self.reading.e, self.reading.kept
        n_each = np.ones(e.n_devices) if self.reading.blueprint is None else self.view.size
        some = kept & (self.of >= 0)
        return np.bincount(self.of[some], n_each[some], minlength=len(self.view.size)).astype(np.float64)

    def worth(self, price: Floats) -> float:
        """Return the capacity times the price of all links [Gb/s]."""
        up = self.seen >= 0
        return float(self.reading.capacity[up] @ price[self.seen[up]])

    def distances(self, ends_at: Bools, price: Floats, *, is_inward: bool = False) -> Floats:
        """Return the least price of a way from each class to some, or from these to each, shape (c,).

        Parameters
        ----------
        ends_at : ndarray of bool, shape (c,)
            Classes where ways end, or begin if `is_inward`.
        price : ndarray of float64
            Of every directed link of the view.
        is_inward : bool
        """
        classes, n = self.view.classes, len(self.view.size)
        transit = self.reading.transit
        turning = np.zeros(n, dtype=np.bool_)
        turning[self.of[(self.of >= 0) & (transit == 0)]] = True
        walks = self.reading.walks(self.seen, has_relay=relays((), transit))
        ends = np.column_stack([classes.tail, classes.head]).ravel()
        tail, head, link = walks.graph(ends, turning)
        near, far = ("source", "target") if is_inward else ("target", "source")
        starts = np.zeros(n * len(ROLES), dtype=np.bool_)
        starts[states(near, np.flatnonzero(ends_at))] = True
        if not is_inward:
            tail, head = head, tail
        reached = distances(tail, head, np.append(price, 0.0)[link], starts)
        return reached[states(far, np.arange(n))]

    def flow_fault(self, commodity: Commodity, flow: Floats, rate: float) -> str:
        """Return what is wrong with a flow of the view on links of the file, or nothing."""
        if fault := self.reading.path_fault(commodity, flow, self.seen, self.of):
            return fault
        link = commodity.moves.link
        load = np.bincount(link[link >= 0], flow[link >= 0], minlength=2 * self.view.classes.n_bundles)
        # Every real link carries what each cable of its class does.
        up = self.seen >= 0
        cables = np.repeat(self.reading.e.alive, 2)[up]
        n_cables = np.bincount(self.seen[up], cables, minlength=len(load))
        carried = (
            np.divide(load, n_cables, out=np.zeros(len(load)), where=n_cables > 0)[self.seen[up]] * cables
        )
        if (carried > self.reading.capacity[up] * (1 + GAP)).any():
            return "a link above its capacity"
        if self.reading.blueprint is not None:
            return ""
        return Lifted(commodity, flow, rate).lost(self.reading.e, self.of, self.seen)
