"""Proof of a concurrent flow, checked without any solver.

Upper bound: with prices on links, the rate is at most sum(capacity * price) / sum(demand * distance), because
every unit of a demand pays at least its distance. Lower bound: the flows, checked state by state on the
classes, and on real links: for links drawn at random from the blueprint the load is added up over all
sources, one by one class of sources seen from that link. Classes that were merged wrongly carry unequal loads
there and are found out.
"""

from __future__ import annotations

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.program import Solution
from fabric.flow.traffic import Commodities
from fabric.symmetry import Lift, Mark, RealLink, sample_links

SEED = 20261121
MANY = 4_000
"""Endpoints above which fewer real links are looked at."""

Around = tuple[Floats, tuple[Mark, ...], Ints]
"""Classes of endpoints that keep a link in place: their sizes, one of each, and their classes in the base."""


def check_concurrent(work: Commodities, answer: Solution) -> Verdict:
    """Check the solution of a class program.

    Parameters
    ----------
    work : Commodities
    answer : Solution

    Returns
    -------
    Verdict
        ``lower_gbps`` is the rate if the flows are sound, else 0.
    """
    upper = _upper(work, answer.price)
    if not all(np.isfinite(part).all() for part in (*answer.flow, np.array([answer.rate_gbps]))):
        return Verdict(0.0, upper, ("a flow that is no number",))
    faults, overload = _class_faults(work, answer)
    if not faults and answer.rate_gbps > 0:
        faults += _link_faults(work, answer)
    # Rounding is paid for: what overloads a class is scaled down until it fits.
    return Verdict(0.0 if faults else answer.rate_gbps / overload, upper, tuple(faults))


def _class_faults(work: Commodities, answer: Solution) -> tuple[list[str], float]:
    """Return what is wrong on the classes, and the largest load over capacity, at least 1."""
    load = np.zeros(len(work.capacity))
    faults = []
    for block, flow in zip(work.blocks, answer.flow, strict=True):
        moves = block.moves
        n = moves.n_states
        net = np.bincount(moves.tail, flow, minlength=n) - np.bincount(moves.head, flow, minlength=n)
        through = np.bincount(moves.tail, flow, minlength=n) + np.bincount(moves.head, flow, minlength=n)
        if (flow < 0).any():
            faults.append("a negative flow")
        wrong = np.abs(net - answer.rate_gbps * block.supply)
        # All that is wrong takes at most as much from the least demand; else each must be rounding.
        least = float(np.abs(block.supply[block.supply != 0]).min()) * answer.rate_gbps
        floor = 1e-6 * answer.rate_gbps
        if wrong.sum() > GAP * least and (wrong > 1e-7 * np.maximum(through, floor)).any():
            faults.append("flow lost or made inside a class")
        on = moves.link >= 0
        load += np.bincount(block.view.base[moves.link[on]], block.n_alike * flow[on], minlength=len(load))
    used = load > 0
    overload = float((load[used] / np.maximum(work.capacity[used], 1e-300)).max(initial=1.0))
    if overload > 1 + GAP:
        faults.append("a class of links above its capacity")
    return faults, overload


def _upper(work: Commodities, price: Floats) -> float:
    """Return the bound that `price` proves."""
    if not (np.isfinite(price).all() and (price >= 0).all()):
        return float("inf")
    paid = 0.0
    for block in work.blocks:
        moves = block.moves
        length = np.where(moves.link >= 0, price[block.view.base[moves.link]], 0.0)
        starts, ends = block.supply > 0, block.supply < 0
        is_one_source = int(starts.sum()) == 1
        tail, head = (moves.tail, moves.head) if is_one_source else (moves.head, moves.tail)
        near, far = (starts, ends) if is_one_source else (ends, starts)
        distance = _distances(moves.n_states, tail, head, length, near)
        if not np.isfinite(distance[far]).all():
            return 0.0
        paid += block.n_alike * float((np.abs(block.supply[far]) * distance[far]).sum())
    cost = float((work.capacity * price).sum())
    return cost / paid if paid > 0 else float("inf")


def _distances(n: int, tail: Ints, head: Ints, length: Floats, start: Bools) -> Floats:
    distance = np.where(start, 0.0, np.inf)
    for _ in range(n):
        reached = distance[tail] + length
        if not (reached < distance[head]).any():
            break
        np.minimum.at(distance, head, reached)
    return distance


def _link_faults(work: Commodities, answer: Solution) -> list[str]:
    """Add up the load of real links over all sources and compare it with what they can carry."""
    if work.blueprint is None or not work.is_averaged:
        return []
    lift = Lift(work.blueprint, work.apart, work.ties)
    # Few where the fabric is large: each link is seen with all its sources.
    n_per_rule = 1 if work.n_endpoints > MANY else 4
    pairs: dict[tuple[int, frozenset[Mark]], list[RealLink]] = {}
    for link in sample_links(work.blueprint, n_per_rule, SEED):
        pairs.setdefault((link.rule, frozenset((link.tail, link.head))), []).append(link)
    for links in pairs.values():
        cables = lift.cables(links[0])
        if not cables:
            continue
        around = lift.endpoints_around(links[0])
        rate = work.blueprint.rules[links[0].rule].rate_gbps
        for block in work.blocks:
            n = float(around[0][around[2] == block.origin].sum())
            if n != block.n_alike:
                return [f"{n:,.0f} sources are alike, {block.n_alike:,.0f} stand in the program"]
        for link in links:
            load = _load_of_a_cable(work, answer, lift, link, around)
            if load > rate * (1 + 1e-6):
                name = work.blueprint.rules[link.rule].name
                return [f"a {name} link carries {load * cables:.6g} of {rate * cables:.6g} Gb/s"]
    return []


def _load_of_a_cable(
    work: Commodities, answer: Solution, lift: Lift, link: RealLink, around: Around
) -> float:
    """Return what all sources together put on one cable of a real link."""
    size, index, origin = around
    total = 0.0
    for block, flow in zip(work.blocks, answer.flow, strict=True):
        alike = np.flatnonzero(origin == block.origin)
        if not len(alike):
            continue
        at = lift.link_class(block.view, link, [work.marks(index[i]) for i in alike.tolist()])
        on = block.moves.link >= 0
        carried = np.bincount(block.moves.link[on], flow[on], minlength=len(block.view.base))
        per_cable = carried / np.repeat(np.maximum(block.view.classes.count, 1), 2)
        total += float((size[alike] * np.where(at >= 0, per_cable[at], 0.0)).sum())
    return total
