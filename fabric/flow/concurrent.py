"""Proof of a concurrent flow, checked without any solver.

Upper bound: with prices on links, the rate is at most sum(capacity * price) / sum(demand * distance), because
every unit of a demand pays at least its distance. Lower bound: the flows, checked state by state on the
classes, and on real links. Up to some thousand endpoints these are all links: the flow of each source is
brought back to them and added up over all sources. Above that they are drawn at random from the blueprint,
and the load is added up over the classes of sources as seen from that link. Classes that were merged wrongly
carry unequal loads there and are found out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.errors import LimitError
from fabric.flow.certificate import GAP, Verdict, distances
from fabric.flow.commodities import Commodities, Commodity, LinkView, Solution
from fabric.flow.lifted import check_lifted, is_lost, per_cable, singles
from fabric.flow.posed import posed_faults
from fabric.graph.expanded import expand
from fabric.symmetry import Lift, Mark, RealLink, sample_links
from fabric.symmetry.unfolding import AxisView, Unfolding

SEED = 20261121
MANY_ENDPOINTS, MANY_BUNDLES, MANY_PAIRS = 4_000, 500_000, 32_000_000
"""Endpoints, joined pairs of devices, and sources times kinds of links, above which a sample is looked at."""
SAMPLED = 64
"""Links at least that are looked at in a sample, of every rule as many."""

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
    scope = ""
    if not faults:
        faults = posed_faults(work)
    if not faults and answer.rate_gbps > 0:
        faults, worst, scope = _link_faults(work, answer)
        overload = max(overload, worst)
    # Rounding is paid for: what overloads a class or a link is scaled down until it fits.
    return Verdict(0.0 if faults else answer.rate_gbps / overload, upper, tuple(faults), scope)


def _class_faults(work: Commodities, answer: Solution) -> tuple[list[str], float]:
    """Return what is wrong on the classes, and the largest load over capacity, at least 1."""
    load = work.load(answer.flow)
    faults = []
    for commodity, flow in zip(work.commodities, answer.flow, strict=True):
        moves = commodity.moves
        n = moves.n_states
        out, into = (np.bincount(end, flow, minlength=n) for end in (moves.tail, moves.head))
        if (flow < 0).any():
            faults.append("a negative flow")
        wrong = np.abs(out - into - answer.rate_gbps * commodity.supply)
        through = np.asarray(out + into, dtype=np.float64)
        if is_lost(wrong, through, np.ones(n), commodity.supply, answer.rate_gbps):
            faults.append("flow lost or made inside a class")
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
    for commodity in work.commodities:
        moves = commodity.moves
        length = np.where(moves.link >= 0, price[commodity.view.base[moves.link]], 0.0)
        starts, ends = commodity.supply > 0, commodity.supply < 0
        is_one_source = int(starts.sum()) == 1
        tail, head = (moves.tail, moves.head) if is_one_source else (moves.head, moves.tail)
        near, far = (starts, ends) if is_one_source else (ends, starts)
        distance = distances(tail, head, length, near)
        if not np.isfinite(distance[far]).all():
            return 0.0
        paid += commodity.n_alike * float((np.abs(commodity.supply[far]) * distance[far]).sum())
    cost = float((work.capacity * price).sum())
    return cost / paid if paid > 0 else float("inf")


def _link_faults(work: Commodities, answer: Solution) -> tuple[list[str], float, str]:
    """Return what is wrong on real links, the largest load over capacity there, and which were looked at."""
    views: Sequence[LinkView] | None = work.views
    if work.blueprint is not None:
        lift = Lift(work.blueprint, work.apart, work.ties)
        views = link_views(work, work.blueprint, lift)
        if views is None:
            faults, n_links = _sample_faults(work, answer, lift)
            return faults, 1.0, f"on a sample of {n_links:,} links"
    e = views[0].expanded if views else work.base.classes
    n_ways = np.array([1 if rule.is_oneway else 2 for rule in e.rules], dtype=np.int64)
    n_links = int(n_ways[e.rule[e.alive > 0]].sum())
    # Without views classes are real links, and have been looked at.
    faults, overload = check_lifted(views, work.commodities, answer, SEED) if views else ([], 1.0)
    return faults, overload, f"on all {n_links:,} links"


def link_views(work: Commodities, blueprint: Blueprint, lift: Lift) -> list[LinkView] | None:
    """Return all links as seen from the sources of each commodity, or None where they are too many."""
    if work.n_endpoints > MANY_ENDPOINTS:
        return None
    try:
        expanded = expand(blueprint, limit=MANY_BUNDLES)
    except LimitError:
        return None
    unfolding = Unfolding(lift, expanded)
    found: list[LinkView] = []
    n_pairs = 0
    for commodity in work.commodities:
        own = _single(work, commodity)
        group = int(commodity.view.classes.group[own])
        if commodity.origin < 0:
            sources = np.array([unfolding.device(group, commodity.view.index[own])])
        else:
            sources = np.flatnonzero(unfolding.origin() == commodity.origin)
        marks = [unfolding.places(sources, tuple(blueprint.groups.values())[group].primitives)]
        if work.shift is not None:
            axis, by, size = work.shift
            marks.append({p: (i + by) % size if p == axis else i for p, i in marks[0].items()})
        view = AxisView(unfolding, commodity.view, sources, tuple(marks))
        n_pairs += view.n_pairs
        if n_pairs > MANY_PAIRS:
            return None
        found.append(view)
    return found


def _single(work: Commodities, commodity: Commodity) -> int:
    """Return the class that is marked in the view of a commodity: its source, or the root of all traffic."""
    own = singles(commodity)
    return own[0] if work.root is None else next(c for c in own if commodity.view.index[c] == work.root)


def _sample_faults(work: Commodities, answer: Solution, lift: Lift) -> tuple[list[str], int]:
    """Return what is wrong on real links drawn at random, and how many have been looked at."""
    # Each way of a cable is a link.
    n_per_rule = max(4, -(-SAMPLED // (2 * len(lift.blueprint.rules))))
    pairs: dict[tuple[int, frozenset[Mark]], list[RealLink]] = {}
    for link in sample_links(lift.blueprint, n_per_rule, SEED):
        pairs.setdefault((link.rule, frozenset((link.tail, link.head))), []).append(link)
    loads = [
        per_cable(commodity, flow) for commodity, flow in zip(work.commodities, answer.flow, strict=True)
    ]
    n_links = 0
    for links in pairs.values():
        cables = lift.cables(links[0])
        if not cables:
            continue
        around = lift.endpoints_around(links[0])
        for commodity in work.commodities:
            n = 1.0 if commodity.origin < 0 else float(around[0][around[2] == commodity.origin].sum())
            if n != commodity.n_alike:
                what = f"{n:,.0f} sources are alike, {commodity.n_alike:,.0f} stand in the program"
                return [what], n_links
        rule = lift.blueprint.rules[links[0].rule]
        for link in links:
            n_links += 1
            load = _load_of_a_cable(work, loads, lift, link, around)
            if load > rule.rate_gbps * (1 + 1e-6):
                carried, whole = load * cables, rule.rate_gbps * cables
                return [f"a {rule.name} link carries {carried:.6g} of {whole:.6g} Gb/s"], n_links
    return [], n_links


def _load_of_a_cable(
    work: Commodities, loads: Sequence[Floats], lift: Lift, link: RealLink, around: Around
) -> float:
    """Return what all sources together put on one cable of a real link."""
    size, index, origin = around
    total = 0.0
    for commodity, load in zip(work.commodities, loads, strict=True):
        if commodity.origin < 0:
            sources, n_each = [commodity.view.index[_single(work, commodity)]], np.ones(1)
        else:
            alike = np.flatnonzero(origin == commodity.origin)
            sources, n_each = [index[i] for i in alike.tolist()], size[alike]
        if sources:
            at = lift.link_class(commodity.view, link, [work.marks(s) for s in sources])
            total += float((n_each * np.where(at >= 0, load[at], 0.0)).sum())
    return total
