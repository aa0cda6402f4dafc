"""The flows of classes, brought back to every device and link of the expanded form and checked there.

The flow of a class of sources is that of one of them. For each of the others the links are put into classes
as seen from it, and every cable of a class carries its part. What is checked: that so many devices are
alike, that what all sources together put on each link fits, and, from the sources one by one, that each
device passes on what it takes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.certificate import GAP
from fabric.flow.commodities import Commodities, Commodity, LinkView, Solution
from fabric.flow.held import Reading
from fabric.graph import Expanded

BALANCED = 600_000
"""Sources times links up to which every source is checked for balance; above that a sample of them."""


@dataclass(frozen=True, slots=True)
class OnLinks:
    """What a solution is on real links.

    Parameters
    ----------
    faults : list of str
        What is wrong.
    overload : float
        The largest load over capacity, at least 1.
    upper_gbps : float
        What the prices prove there.
    """

    faults: list[str]
    overload: float = 1.0
    upper_gbps: float = np.inf


def check_lifted(work: Commodities, views: Sequence[LinkView], answer: Solution, seed: int) -> OnLinks:
    """Hold a solution to real devices and links.

    Parameters
    ----------
    work : Commodities
    views : sequence of LinkView
        One for each commodity.
    answer : Solution
    seed : int
        Of the sample of sources.
    """
    for view, commodity in zip(views, work.commodities, strict=True):
        if len(view.sources) != commodity.n_alike:
            what = f"{len(view.sources):,} sources are alike, {commodity.n_alike:,.0f} stand in the program"
            return OnLinks([what])
    e = views[0].expanded
    # What all sources together put on every real link.
    load = np.zeros(2 * e.n_bundles)
    for view, commodity, flow in zip(views, work.commodities, answer.flow, strict=True):
        load += view.total(per_cable(commodity, flow))
    use = np.divide(load, np.repeat(e.rate_gbps, 2), out=np.zeros(len(load)), where=load > 0)
    worst = int(use.argmax()) if len(use) else 0
    overload = float(use.max(initial=1.0))
    if overload > 1 + GAP:
        rule, cables = e.rules[int(e.rule[worst // 2])].name, int(e.alive[worst // 2])
        capacity = float(e.rate_gbps[worst // 2]) * cables
        return OnLinks([f"a {rule} link carries {load[worst] * cables:.6g} of {capacity:.6g} Gb/s"], overload)
    faults, upper = _balance_faults(work, views, answer, seed)
    return OnLinks(faults, overload, upper)


def per_cable(commodity: Commodity, flow: Floats) -> Floats:
    """Return what one source puts on each cable of every directed link of its view [Gb/s]."""
    on = commodity.moves.link >= 0
    carried = np.bincount(commodity.moves.link[on], flow[on], minlength=len(commodity.view.base))
    return np.asarray(carried / np.repeat(np.maximum(commodity.view.classes.count, 1), 2))


def singles(commodity: Commodity) -> list[int]:
    """Return the class of the one source of a commodity and that of its one target, whichever there are."""
    ends = (np.flatnonzero(side) for side in (commodity.supply > 0, commodity.supply < 0))
    return [int(commodity.moves.device[states[0]]) for states in ends if len(states) == 1]


def _balance_faults(
    work: Commodities, views: Sequence[LinkView], answer: Solution, seed: int
) -> tuple[list[str], float]:
    """Return what is wrong as seen from all sources or a sample of them, and what prices prove from these."""
    e = views[0].expanded
    rng = np.random.default_rng(seed)
    pairs = [(number, s) for number, view in enumerate(views) for s in view.sources.tolist()]
    # As many sources as the work allows; the sample is seeded, so that two runs say the same.
    n = max(1, BALANCED // max(1, 2 * e.n_bundles))
    if len(pairs) > n:
        # Of every commodity at least one.
        chosen = {(number, int(rng.choice(view.sources))) for number, view in enumerate(views)}
        order = rng.permutation(len(pairs))[: max(n - len(chosen), 0)]
        pairs = sorted(chosen | {pairs[i] for i in order.tolist()})
    sends = np.zeros(e.n_devices, dtype=np.bool_)
    for view in views:
        sends[view.sources] = True
    reading = Reading(work, e, _kept(work, e, sends))
    if fault := reading.left_out(sends):
        return [fault], np.inf
    cost, paid, last, lift, base = 0.0, 0.0, -1, None, None
    for number, source in pairs:
        commodity, seen = work.commodities[number], views[number].seen(source)
        if lift is None or number != last:
            lift = Lifted(commodity, answer.flow[number], answer.rate_gbps)
        of, fault = lift.classes(e, seen, source)
        fault = (
            fault or lift.lost(e, of, seen) or reading.fault(commodity, answer.flow[number], seen, of, source)
        )
        own = np.where(seen >= 0, commodity.view.base[seen], -1)
        if base is None:
            base = own
            fault = fault or reading.capacity_fault(base)
            cost = float(reading.capacity @ np.append(answer.price, 0.0)[base])
        elif not np.array_equal(base, own):
            fault = fault or "links that sources see in different classes"
        if fault:
            return [fault], np.inf
        if number != last:
            price = answer.price[commodity.view.base]
            paid += commodity.n_alike * reading.paid(commodity, price, seen, of, source)
        last = number
    return [], cost / paid if paid > 0 else np.inf


def _kept(work: Commodities, e: Expanded, sends: Bools) -> Bools:
    """Return which devices exchange traffic: those that the question means, less those left out."""
    if work.owed is None:
        return np.zeros(e.n_devices, dtype=np.bool_)
    members = work.owed.members(e)
    return members if work.owed.has_one_way else members & sends


def check_listed(work: Commodities, answer: Solution) -> OnLinks:
    """Hold a solution on real links to the file: their classes are the links themselves.

    Parameters
    ----------
    work, answer
        As in `check_lifted`.
    """
    e = work.base.classes
    if work.owed is not None and work.owed.listed is not None:
        e = work.owed.listed
    sends = np.zeros(e.n_devices, dtype=np.bool_)
    sends[[commodity.origin for commodity in work.commodities]] = True
    reading = Reading(work, e, _kept(work, e, sends))
    if fault := reading.left_out(sends):
        return OnLinks([fault])
    seen = np.where(reading.is_up, np.arange(2 * e.n_bundles), -1)
    of = np.arange(e.n_devices)
    fault, paid = reading.capacity_fault(seen), 0.0
    for commodity, flow in zip(work.commodities, answer.flow, strict=True):
        fault = fault or reading.fault(commodity, flow, seen, of, commodity.origin)
        if fault:
            return OnLinks([fault])
        paid += commodity.n_alike * reading.paid(commodity, answer.price, seen, of, commodity.origin)
    cost = float(reading.capacity @ answer.price)
    return OnLinks([], upper_gbps=cost / paid if paid > 0 else np.inf)


class Lifted:
    """The flow of a commodity on real links, from any of the sources it stands for."""

    def __init__(self, commodity: Commodity, flow: Floats, rate_gbps: float) -> None:
        self._commodity, self._rate_gbps = commodity, rate_gbps
        moves, view = commodity.moves, commodity.view
        names = sorted(set(moves.role))
        role = np.array([names.index(r) for r in moves.role], dtype=np.int64)
        self._n_roles = len(names)
        # Moves by link: each link of a class carries them all.
        on = np.flatnonzero((moves.link >= 0) & (flow > 0))
        on = on[np.argsort(moves.link[on], kind="stable")]
        self._first = np.searchsorted(moves.link[on], np.arange(len(view.base) + 1))
        self._tail, self._head = role[moves.tail[on]], role[moves.head[on]]
        self._amount = flow[on] / np.maximum(view.classes.count, 1)[moves.link[on] // 2]
        # Turns and demands of one device of each class, by role.
        state = moves.device * self._n_roles + role
        inside = moves.link < 0
        size = len(view.size) * self._n_roles
        out, into = (
            np.bincount(state[x[inside]], flow[inside], minlength=size) for x in (moves.tail, moves.head)
        )
        wanted = np.bincount(state, commodity.supply * rate_gbps, minlength=size)
        n_devices = np.repeat(view.size, self._n_roles)
        self._net = ((out - into - wanted) / n_devices).reshape(-1, self._n_roles)
        self._through = ((out + into) / n_devices).reshape(-1, self._n_roles)
        self._ends = singles(commodity)

    def classes(self, e: Expanded, link_class: Ints, source: int) -> tuple[Ints, str]:
        """Return the class of every device as seen from `source`, -1 for none, and what is wrong there."""
        classes, size = self._commodity.view.classes, self._commodity.view.size
        on = np.flatnonzero(link_class >= 0)
        ends = np.column_stack([e.tail, e.head]).ravel()
        # A link leads from the first of its bundle to the second; the way back is its neighbour.
        tail, head = ends[on], ends[on ^ 1]
        class_ends = np.column_stack([classes.tail, classes.head]).ravel()
        # Every link says in which class its two ends are; they must agree.
        of = np.full(e.n_devices, -1, dtype=np.int64)
        of[tail], of[head] = class_ends[link_class[on]], class_ends[link_class[on] ^ 1]
        if (of[tail] != class_ends[link_class[on]]).any() or (
            of[head] != class_ends[link_class[on] ^ 1]
        ).any():
            return of, "a device that is in two classes"
        joined = np.zeros(len(size), dtype=np.bool_)
        joined[class_ends] = True
        # So many devices are alike as the class says.
        n_each = np.bincount(of[of >= 0], minlength=len(size))
        if (n_each != size)[joined].any():
            at = int(np.flatnonzero((n_each != size) & joined)[0])
            what = (
                f"{n_each[at]:,} devices are like {classes.names[at]}, {size[at]:,.0f} stand in the program"
            )
            return of, what
        # A source without a cable that is up is in no class, which is sound where nothing flows.
        is_own = of[source] in self._ends or (of[source] < 0 and self._rate_gbps == 0)
        return of, "" if is_own else f"{e.names[source]} is no source of its own flow"

    def lost(self, e: Expanded, of: Ints, link_class: Ints) -> str:
        """Return whether some device does not pass on what it takes in, or nothing."""
        on = np.flatnonzero(link_class >= 0)
        ends = np.column_stack([e.tail, e.head]).ravel()
        tail, head, link_class, cables = ends[on], ends[on ^ 1], link_class[on], e.alive[on // 2]
        # Each link repeated for every move that its class carries: one row a flow on a real link.
        n_moves = self._first[link_class + 1] - self._first[link_class]
        row = np.repeat(np.arange(len(link_class)), n_moves)
        move = (
            np.arange(len(row))
            - np.repeat(np.cumsum(n_moves) - n_moves, n_moves)
            + self._first[link_class][row]
        )
        amount = self._amount[move] * cables[row]
        n = e.n_devices * self._n_roles
        out = np.bincount(tail[row] * self._n_roles + self._tail[move], amount, minlength=n)
        into = np.bincount(head[row] * self._n_roles + self._head[move], amount, minlength=n)
        # On real links, then the turns and demands inside the devices, which only their class knows.
        net, through = (
            np.reshape(x, (-1, self._n_roles)).astype(np.float64) for x in (out - into, out + into)
        )
        in_class = of >= 0
        net[in_class] += self._net[of[in_class]]
        through[in_class] += self._through[of[in_class]]
        least = np.ones(e.n_devices)
        least[in_class] = 1 / self._commodity.view.size[of[in_class]]
        is_wrong = is_lost(np.abs(net), through, least[:, None], self._commodity.supply, self._rate_gbps)
        return "flow lost or made at a device" if is_wrong else ""


def is_lost(wrong: Floats, through: Floats, share: Floats, supply: Floats, rate_gbps: float) -> bool:
    """Return whether what is out of balance is more than rounding.

    Parameters
    ----------
    wrong, through : ndarray of float64
        What is lost or made at each place, and what passes there [Gb/s].
    share : ndarray of float64
        Part of its class that each place is.
    supply : ndarray of float64
        Of all classes, at unit rate.
    rate_gbps : float
    """
    # All that is wrong takes at most as much from the least demand; else each must be rounding.
    least = float(np.abs(supply[supply != 0]).min()) * rate_gbps
    floor = 1e-6 * rate_gbps * share
    return bool(wrong.sum() > GAP * least and (wrong > 1e-7 * np.maximum(through, floor)).any())
