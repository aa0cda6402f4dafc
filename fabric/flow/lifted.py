"""The flows of classes, brought back to every device and link of the expanded form and checked there.

The flow of a class of sources is that of one of them. For each of the others the links are put into classes
as seen from it, and every cable of a class carries its part. What is checked: that so many devices are
alike, that what all sources together put on each link fits, and, from the sources one by one, that each
device passes on what it takes in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.flow.certificate import GAP
from fabric.flow.commodities import Commodity, LinkView, Solution
from fabric.graph import Expanded

BALANCED = 600_000
"""Sources times links up to which every source is checked for balance; above that a sample of them."""


def check_lifted(
    views: Sequence[LinkView], commodities: Sequence[Commodity], answer: Solution, seed: int
) -> tuple[list[str], float]:
    """Return what is wrong on real devices and links, and the largest load over capacity.

    Parameters
    ----------
    views : sequence of LinkView
        One for each commodity.
    commodities : sequence of Commodity
    answer : Solution
    seed : int
        Of the sample of sources.
    """
    for view, commodity in zip(views, commodities, strict=True):
        if len(view.sources) != commodity.n_alike:
            return [
                f"{len(view.sources):,} sources are alike, {commodity.n_alike:,.0f} stand in the program"
            ], 1.0
    e = views[0].expanded
    # What all sources together put on every real link.
    load = np.zeros(2 * e.n_bundles)
    for view, commodity, flow in zip(views, commodities, answer.flow, strict=True):
        load += view.total(per_cable(commodity, flow))
    use = np.divide(load, np.repeat(e.rate_gbps, 2), out=np.zeros(len(load)), where=load > 0)
    worst = int(use.argmax()) if len(use) else 0
    overload = float(use.max(initial=1.0))
    if overload > 1 + GAP:
        rule, cables = e.rules[int(e.rule[worst // 2])].name, int(e.alive[worst // 2])
        capacity = float(e.rate_gbps[worst // 2]) * cables
        return [f"a {rule} link carries {load[worst] * cables:.6g} of {capacity:.6g} Gb/s"], overload
    return _balance_fault(views, commodities, answer, seed), overload


def per_cable(commodity: Commodity, flow: Floats) -> Floats:
    """Return what one source puts on each cable of every directed link of its view [Gb/s]."""
    on = commodity.moves.link >= 0
    carried = np.bincount(commodity.moves.link[on], flow[on], minlength=len(commodity.view.base))
    return np.asarray(carried / np.repeat(np.maximum(commodity.view.classes.count, 1), 2))


def singles(commodity: Commodity) -> list[int]:
    """Return the class of the one source of a commodity and that of its one target, whichever there are."""
    ends = (np.flatnonzero(side) for side in (commodity.supply > 0, commodity.supply < 0))
    return [int(commodity.moves.device[states[0]]) for states in ends if len(states) == 1]


def _balance_fault(
    views: Sequence[LinkView], commodities: Sequence[Commodity], answer: Solution, seed: int
) -> list[str]:
    """Return what devices do not pass on, as seen from all sources or a sample of them."""
    pairs = [(number, s) for number, view in enumerate(views) for s in view.sources.tolist()]
    # As many sources as the work allows; the sample is seeded, so that two runs say the same.
    n = max(1, BALANCED // max(1, 2 * views[0].expanded.n_bundles))
    if len(pairs) > n:
        chosen = np.random.default_rng(seed).permutation(len(pairs))[:n]
        pairs = [pairs[i] for i in np.sort(chosen).tolist()]
    last, lift = -1, None
    for number, source in pairs:
        if lift is None or number != last:
            last, lift = number, _Lifted(commodities[number], answer.flow[number], answer.rate_gbps)
        fault = lift.fault(views[number].expanded, views[number].seen(source), source)
        if fault:
            return [fault]
    return []


class _Lifted:
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

    def fault(self, e: Expanded, link_class: Ints, source: int) -> str:
        """Return what is wrong as seen from `source`, or nothing."""
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
            return "a device that is in two classes"
        joined = np.zeros(len(size), dtype=np.bool_)
        joined[class_ends] = True
        # So many devices are alike as the class says.
        n_each = np.bincount(of[of >= 0], minlength=len(size))
        if (n_each != size)[joined].any():
            at = int(np.flatnonzero((n_each != size) & joined)[0])
            return (
                f"{n_each[at]:,} devices are like {classes.names[at]}, {size[at]:,.0f} stand in the program"
            )
        if of[source] not in self._ends:
            return f"{e.names[source]} is no source of its own flow"
        return self._state_fault(e, of, (tail, head, link_class[on], e.alive[on // 2]))

    def _state_fault(self, e: Expanded, of: Ints, links: tuple[Ints, Ints, Ints, Ints]) -> str:
        tail, head, link_class, cables = links
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
        net, through = (np.reshape(x, (-1, self._n_roles)) for x in (out - into, out + into))
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
