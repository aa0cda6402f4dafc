"""A commodity held to the file: what its source owes and where its paths may go, on real devices and links.

The program is asked for two things only, how much it sends over a class of links and what it says a link is
worth. Whether that may be so, and what it proves, is worked out from the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.flow.certificate import distances
from fabric.flow.commodities import Commodities, Commodity, Solution
from fabric.flow.owed import Owed
from fabric.flow.walks import ROLES, TRANSITS, PathRule, Walks, path_rule, relays, states
from fabric.graph.expanded import Expanded
from fabric.symmetry.quotient import Quotient

_ALL, _END, _TURN = (TRANSITS.index(name) for name in ("all", "end", "turn"))
_ROUNDING = 1e-9
_IDLE = 64
"""Endpoints without traffic that are asked whether they have a target."""


@dataclass(frozen=True, eq=False)
class Reading:
    """The real devices and links of a question, read off the expanded form once for all commodities.

    Parameters
    ----------
    work : Commodities
    e : Expanded
        n devices, m bundles.
    kept : ndarray of bool, shape (n,)
        Endpoints that exchange traffic, as the file says, without those that were left out.
    blueprint : Blueprint or None
        The file, where `e` holds classes and not what the file says.
    free : tuple of str
        Groups of switches that add, and so send on whatever they take in.
    """

    work: Commodities
    e: Expanded
    kept: Bools
    blueprint: Blueprint | None = None
    free: tuple[str, ...] = ()

    @cached_property
    def ends(self) -> tuple[Ints, Ints]:
        """Device at the tail and at the head of every directed link, shape (2 * m,)."""
        tail = np.column_stack([self.e.tail, self.e.head]).ravel()
        return tail, np.column_stack([self.e.head, self.e.tail]).ravel()

    @cached_property
    def is_up(self) -> Bools:
        """Which directed links carry traffic, shape (2 * m,)."""
        two_way = np.array([not r.is_oneway for r in self.e.rules], dtype=np.bool_)[self.e.rule]
        up = self.e.alive > 0
        return np.asarray(np.column_stack([up, up & two_way]).ravel())

    @cached_property
    def capacity(self) -> Floats:
        """Capacity of every directed link [Gb/s], shape (2 * m,)."""
        return np.where(self.is_up, np.repeat(self.e.alive * self.e.rate_gbps, 2), 0.0)

    @cached_property
    def transit(self) -> Ints:
        """Number of the transit of every device under the path rule of the question, shape (n,)."""
        # What has failed is on no path: a relay that is down makes no legs.
        found = np.where(self.e.failed, _END, self._rule.transit[self.e.group])
        adds = np.array([g.name in self.free for g in self.e.groups], dtype=np.bool_)[self.e.group]
        found = np.where(adds & ~self.e.failed, _ALL, found)
        holds = self.work.owed is not None and self.work.owed.is_holding
        return np.where(self.kept, _ALL, found) if holds else found

    @cached_property
    def _rule(self) -> PathRule:
        paths = self.work.asked.paths if self.work.asked is not None else "rules"
        if self.blueprint is None:
            return path_rule(self.e.rules, (g.transit for g in self.e.groups), paths)
        return path_rule(self.blueprint.rules, (g.transit for g in self.blueprint.groups.values()), paths)

    def walks(self, seen: Ints, *, has_relay: bool) -> Walks:
        """Return the kinds of the real links of each class, as a source sees them."""
        e, on = self.e, np.flatnonzero(seen >= 0)
        tail, head = self.ends
        way = 2 * e.rule[on // 2].astype(np.int64) + on % 2
        return Walks.of(
            self._rule, seen[on], way, self.transit[tail[on]], self.transit[head[on]], has_relay=has_relay
        )

    def left_out(self, sends: Bools) -> str:
        """Return whether some endpoint that has a target is no source and is not said to be left out.

        Parameters
        ----------
        sends : ndarray of bool, shape (n,)
        """
        owed, cut_off = self.work.owed, self.work.cut_off
        if owed is None or owed.has_root:
            return ""
        members = owed.members(self.e)
        idle = np.flatnonzero(members & ~sends)
        if cut_off:
            n = sum(n for _, n in cut_off)
            is_known = len(idle) <= n or bool(owed.traffic.over)
            return "" if is_known else f"{len(idle):,} endpoints do not send, {n:,.0f} are left out"
        some = (v for v in idle[:_IDLE].tolist() if owed.amounts(self.e, v, members).any())
        return next((f"{self.e.names[v]} is in no class of sources" for v in some), "")

    def capacity_fault(self, base: Ints) -> str:
        """Return whether classes of links have another capacity in the program than their links in the file.

        Parameters
        ----------
        base : ndarray of int64, shape (2 * m,)
            Base class of every directed link; -1 for none.
        """
        some = base >= 0
        whole = np.bincount(base[some], self.capacity[some], minlength=len(self.work.capacity))
        found = np.unique(base[some & self.is_up])
        if len(whole) != len(self.work.capacity) or not np.allclose(
            whole[found], self.work.capacity[found], rtol=_ROUNDING, atol=0.0
        ):
            return "capacities that are not those of the file"
        return ""

    def fault(self, commodity: Commodity, flow: Floats, seen: Ints, of: Ints, source: int) -> str:
        """Return what is wrong with a commodity as a source sees it, or nothing.

        Parameters
        ----------
        commodity : Commodity
        flow : ndarray of float64
            On each of its moves.
        seen : ndarray of int64, shape (2 * m,)
            Class of every directed link; -1 for none.
        of : ndarray of int64, shape (n,)
            Class of every device; -1 for none.
        source : int
        """
        if (self.is_up & (seen < 0)).any():
            return "links that are in no class"
        moves = commodity.moves
        used = moves.link[(flow > 0) & (moves.link >= 0)]
        real = np.zeros(2 * commodity.view.classes.n_bundles, dtype=np.bool_)
        real[seen[self.is_up]] = True
        if not real[used].all():
            return "flow on links that are not in the file"
        wrong = self.path_fault(commodity, flow, seen, of)
        if wrong or self.work.owed is None:
            return wrong
        return self._demand_fault(self.work.owed, commodity, of, source)

    def path_fault(self, commodity: Commodity, flow: Floats, seen: Ints, of: Ints) -> str:
        """Return whether a commodity goes where the file permits no path, or nothing; see `fault`."""
        moves, classes = commodity.moves, commodity.view.classes
        on = np.flatnonzero((flow > 0) & (moves.link >= 0))
        ends = np.column_stack([classes.tail, classes.head]).ravel()
        link = moves.link[on]
        is_led = (moves.device[moves.tail[on]] == ends[link]) & (
            moves.device[moves.head[on]] == ends[link ^ 1]
        )
        if not is_led.all():
            return "a move beside its link"
        turning, others = self._turning(commodity, of)
        return self._walks(commodity, seen).fault(commodity.moves, flow, turning & ~others)

    def paid(self, commodity: Commodity, price: Floats, seen: Ints, of: Ints, source: int) -> float:
        """Return the sum of demand times distance of one source, by paths that the file permits.

        Parameters
        ----------
        commodity, seen, of, source
            As in `fault`.
        price : ndarray of float64
            Of every directed link of the view.
        """
        ends = np.column_stack([commodity.view.classes.tail, commodity.view.classes.head]).ravel()
        tail, head, link = self._graph(ends, self._walks(commodity, seen), self._turning(commodity, of)[0])
        if not (np.isfinite(price).all() and (price >= 0).all()):
            return 0.0
        due = self.asked(commodity)
        own = np.zeros(len(due), dtype=np.bool_)
        own[of[source]] = True
        near, far = ("source", "target") if self.sign > 0 else ("target", "source")
        starts = np.zeros(len(due) * len(ROLES), dtype=np.bool_)
        starts[states(near, np.flatnonzero(own))] = True
        if self.sign < 0:
            tail, head = head, tail
        reached = distances(tail, head, np.append(price, 0.0)[link], starts)
        some = np.flatnonzero(due)
        return float(due[some] @ reached[states(far, some)])

    @property
    def sign(self) -> int:
        """1 where the one class of a commodity sends, -1 where it receives."""
        return 1 if self.work.asked is None or self.work.asked.is_out else -1

    def _walks(self, commodity: Commodity, seen: Ints) -> Walks:
        has_relay = relays(commodity.moves.role, self.transit)
        # Programs on real links see them alike from every source.
        if self._last.get("seen") is not seen or self._last["walks"].has_relay != has_relay:
            self._last.clear()
            self._last.update(seen=seen, walks=self.walks(seen, has_relay=has_relay))
        walks: Walks = self._last["walks"]
        return walks

    def _graph(self, ends: Ints, walks: Walks, turning: Bools) -> tuple[Ints, Ints, Ints]:
        if "graph" not in self._last:
            self._last["graph"] = walks.graph(ends, turning)
        graph: tuple[Ints, Ints, Ints] = self._last["graph"]
        return graph

    @cached_property
    def _last(self) -> dict[str, Any]:
        return {}

    def _turning(self, commodity: Commodity, of: Ints) -> tuple[Bools, Bools]:
        """Return which classes have devices that turn, and which have others."""
        some = of >= 0
        found = np.zeros((2, len(commodity.view.size)), dtype=np.bool_)
        found[0, of[some & (self.transit == _TURN)]] = True
        found[1, of[some & (self.transit != _TURN)]] = True
        return found[0], found[1]

    def _demand_fault(self, owed: Owed, commodity: Commodity, of: Ints, source: int) -> str:
        """Return whether a program asks for other demands than the file, or nothing."""
        amount = owed.amounts(self.e, source, self.kept)
        # What is left out here sends nothing in any case: the program alone knows it, by class.
        is_short = owed.has_one_way and bool(self.work.cut_off)
        if not is_short and (of[amount > 0] < 0).any():
            return "targets that are in no class"
        some = np.flatnonzero((amount > 0) & (of >= 0))
        due = np.bincount(of[some], amount[some], minlength=len(commodity.view.size)).astype(np.float64)
        asked = self.asked(commodity)
        if is_short:
            left = amount.sum() - sum(n for _, n in self.work.cut_off)
            due = np.where(asked > 0, due, 0.0)
            if owed.has_root and due.sum() != left:
                return f"{due.sum():,.0f} targets in the program, {left:,.0f} in the file"
        is_met = np.allclose(asked, due, rtol=_ROUNDING, atol=0.0)
        return "" if is_met else "demands that are not those of the file"

    def asked(self, commodity: Commodity) -> Floats:
        """Return what a commodity asks of every class at unit rate."""
        found = np.zeros(len(commodity.view.size))
        np.add.at(found, commodity.moves.device, np.maximum(-self.sign * commodity.supply, 0.0))
        return found


def check_on_classes(work: Commodities, answer: Solution) -> tuple[str, float]:
    """Hold the classes of a program to the file, where its links are too many to be listed.

    Returns
    -------
    fault : str
        What is wrong, or nothing.
    upper_gbps : float
        What the prices prove by the paths that rules and transits permit between classes.

    Notes
    -----
    What a source owes is worked out from the indices of one device of each class, and counted in boxes.
    """
    paid = 0.0
    for commodity, flow in zip(work.commodities, answer.flow, strict=True):
        view = commodity.view
        inside = _inside(work.owed, view) if work.owed is not None else np.zeros(len(view.size), np.bool_)
        reading = Reading(work, view.classes, inside, work.blueprint)
        seen = np.where(reading.is_up, np.arange(2 * view.classes.n_bundles), -1)
        of = np.arange(len(view.size))
        own = int(commodity.moves.device[np.flatnonzero(commodity.supply * reading.sign > 0)[0]])
        fault = reading.path_fault(commodity, flow, seen, of)
        if not fault and work.owed is not None:
            fault = _due_fault(work, work.owed, reading, commodity, own)
        if fault:
            return fault, np.inf
        paid += commodity.n_alike * reading.paid(commodity, answer.price[view.base], seen, of, own)
    cost = float(work.capacity @ answer.price)
    return "", cost / paid if paid > 0 else np.inf


def _by_group(view: Quotient) -> Iterator[tuple[str, Ints, dict[str, Ints]]]:
    """Yield every group of endpoints with its classes and the index of one device of each on every axis."""
    for number, group in enumerate(view.classes.groups):
        rows = np.flatnonzero(view.classes.group == number)
        if group.is_endpoint and len(rows):
            yield group.name, rows, {p: at[rows] for p, at in view.places.items() if at[rows[0]] >= 0}


def _inside(owed: Owed, view: Quotient) -> Bools:
    """Return which classes take part."""
    found = np.zeros(len(view.size), dtype=np.bool_)
    for group, rows, at in _by_group(view):
        found[rows] = owed.takes_part(group, at, len(rows))
    return found


def _due_fault(work: Commodities, owed: Owed, reading: Reading, commodity: Commodity, own: int) -> str:
    """Return whether a program asks a source for other demands than the file, or nothing."""
    view, asked = commodity.view, reading.asked(commodity)
    home = view.classes.groups[int(view.classes.group[own])].name, dict(view.index[own])
    due = np.zeros(len(asked))
    for group, rows, at in _by_group(view):
        is_due = owed.is_target(home, group, at, len(rows)) & reading.kept[rows]
        due[rows] = np.where(is_due, view.size[rows], 0.0)
    if owed.has_root:
        due[own] = 0.0
    n = owed.n_targets(home) - (owed.has_root and bool(owed.takes_part(*_one(home))[0]))
    if work.cut_off:
        # Those that are left out are known by class alone.
        due = np.where(asked > 0, due, 0.0)
        if not n - sum(n for _, n in work.cut_off) <= due.sum() <= n:
            return f"{due.sum():,.0f} targets in the program, {n:,.0f} in the file"
        n = int(due.sum())
    elif due.sum() != n:
        return f"{due.sum():,.0f} targets in the classes, {n:,} in the file"
    is_met = np.allclose(asked, due / (1 if owed.has_root else max(n, 1)), rtol=_ROUNDING, atol=0.0)
    return "" if is_met else "demands that are not those of the file"


def _one(home: tuple[str, dict[str, int]]) -> tuple[str, dict[str, Ints], int]:
    """Return one device as `Owed.takes_part` wants it."""
    return home[0], {p: np.array([i]) for p, i in home[1].items()}, 1
