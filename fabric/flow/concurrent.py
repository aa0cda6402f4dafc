"""Proof of a concurrent flow, checked without any solver.

Upper bound: with prices on links, the rate is at most sum(capacity * price) / sum(demand * distance), because every
unit of a demand pays at least its distance. Lower bound: the flows, checked state by state on the classes, and on
real links: for links drawn at random from the blueprint the load is added up over all sources, one by one class of
sources seen from that link. Classes that were merged wrongly carry unequal loads there and are found out.
"""

from __future__ import annotations

import numpy as np

from fabric.blueprint.join import Bools, Floats
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.program import Solution
from fabric.flow.traffic import Commodities
from fabric.symmetry import Lift, RealLink, sample_links

SEED = 20261121


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
    faults = _class_faults(work, answer)
    if not faults and answer.rate_gbps > 0:
        faults += _link_faults(work, answer)
    lower = 0.0 if faults else answer.rate_gbps
    return Verdict(lower, _upper(work, answer.price), tuple(faults))


def _class_faults(work: Commodities, answer: Solution) -> list[str]:
    load = np.zeros(len(work.capacity))
    faults = []
    for block, flow in zip(work.blocks, answer.flow, strict=True):
        moves = block.moves
        n = moves.n_states
        net = np.bincount(moves.tail, flow, minlength=n) - np.bincount(moves.head, flow, minlength=n)
        through = np.bincount(moves.tail, flow, minlength=n) + np.bincount(moves.head, flow, minlength=n)
        if (flow < 0).any():
            faults.append("a negative flow")
        floor = 1e-6 * answer.rate_gbps
        if (np.abs(net - answer.rate_gbps * block.supply) > 1e-7 * np.maximum(through, floor)).any():
            faults.append("flow lost or made inside a class")
        on = moves.link >= 0
        load += np.bincount(block.view.base[moves.link[on]], block.n_alike * flow[on], minlength=len(load))
    if (load > work.capacity * (1 + GAP)).any():
        faults.append("a class of links above its capacity")
    return faults


def _upper(work: Commodities, price: Floats) -> float:
    """Return the bound that `price` proves."""
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


def _distances(n: int, tail: np.ndarray, head: np.ndarray, length: Floats, start: Bools) -> Floats:
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
    for link in sample_links(work.blueprint, 1, SEED):
        cables = lift.cables(link)
        if not cables:
            continue
        rule = work.blueprint.rules[link.rule]
        load = cables * _load_of_a_cable(work, answer, lift, link)
        if load > cables * rule.rate_gbps * (1 + 1e-6):
            return [f"a {rule.name} link carries {load:.6g} of {cables * rule.rate_gbps:.6g} Gb/s"]
    return []


def _load_of_a_cable(work: Commodities, answer: Solution, lift: Lift, link: RealLink) -> float:
    """Return what all sources together put on one cable of a real link."""
    size, index, origin = lift.endpoints_around(link)
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
