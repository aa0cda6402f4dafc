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
from dataclasses import replace

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.errors import LimitError
from fabric.flow.certificate import GAP, Verdict, distances
from fabric.flow.commodities import Commodities, Commodity, LinkView, Solution
from fabric.flow.held import check_on_classes
from fabric.flow.lifted import OnLinks, check_lifted, check_listed, is_lost, per_cable, singles
from fabric.flow.posed import posed_faults
from fabric.flow.walks import TRANSITS, Walks, path_rule, relays
from fabric.graph.expanded import expand
from fabric.symmetry import Lift, Mark, RealLink, sample_links
from fabric.symmetry.lifting import Around, columns
from fabric.symmetry.unfolding import AxisView, Unfolding

SEED = 20261121
_PROVEN = 1e-7
"""Relative excess of what prices prove on real links beyond rounding."""
MANY_ENDPOINTS, MANY_BUNDLES, MANY_PAIRS = 4_000, 500_000, 32_000_000
"""Endpoints, joined pairs of devices, and sources times kinds of links, above which a sample is looked at."""
SAMPLED, SAMPLED_BRIEF = 64, 8
"""Links at least that are looked at in a sample, of every rule as many; fewer for one question of many, which
together look at thousands."""

MANY_ROWS = 1 << 14
"""Rows of endpoints up to which links of a sample are looked at together."""


def check_concurrent(work: Commodities, answer: Solution, *, is_drawn: bool = False) -> Verdict:
    """Check the solution of a class program.

    Parameters
    ----------
    work : Commodities
    answer : Solution
    is_drawn : bool
        Whether links are drawn where axes say the classes, though all could be looked at.

    Returns
    -------
    Verdict
        ``lower_gbps`` is the rate if the flows are sound, else 0.
    """
    upper = price_bound(work, answer.price)
    if not all(np.isfinite(part).all() for part in (*answer.flow, np.array([answer.rate_gbps]))):
        return Verdict(0.0, upper, ("a flow that is no number",))
    faults, overload = _class_faults(work, answer)
    scope = ""
    # From the cheap to the dear: sound on classes, posed as asked, sound on real links.
    if not faults:
        faults = posed_faults(work)
    if not faults:
        found, scope = _on_links(work, answer, is_drawn=is_drawn)
        faults, overload = found.faults, max(overload, found.overload)
        if not faults and found.upper_gbps > upper * (1 + _PROVEN):
            # What prices prove is what they prove on the links and paths of the file.
            faults, upper = ["prices that prove less on the links of the file"], found.upper_gbps
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
        # Conservation at every state of every commodity, with its supply.
        wrong = np.abs(out - into - answer.rate_gbps * commodity.supply)
        through = np.asarray(out + into, dtype=np.float64)
        if is_lost(wrong, through, np.ones(n), commodity.supply, answer.rate_gbps):
            faults.append("flow lost or made inside a class")
    used = load > 0
    overload = float((load[used] / np.maximum(work.capacity[used], 1e-300)).max(initial=1.0))
    if overload > 1 + GAP:
        faults.append("a class of links above its capacity")
    return faults, overload


def price_bound(work: Commodities, price: Floats) -> float:
    """Return the bound on the rate that `price`, on every base class of links, proves [Gb/s]."""
    if not (np.isfinite(price).all() and (price >= 0).all()):
        return float("inf")
    least, cost = toll(work, price), float((work.capacity * price).sum())
    # A demand without a path: no rate above 0 meets it.
    if not np.isfinite(least):
        return 0.0
    return cost / least if least > 0 else float("inf")


def toll(work: Commodities, price: Floats) -> float:
    """Return what all demands together pay at rate 1 where each goes its cheapest way; infinite without one.

    Parameters
    ----------
    work : Commodities
    price : ndarray of float64
        Of every base class of links, none negative.
    """
    paid = 0.0
    for commodity in work.commodities:
        moves = commodity.moves
        length = np.where(moves.link >= 0, price[commodity.view.base[moves.link]], 0.0)
        starts, ends = commodity.supply > 0, commodity.supply < 0
        # One search from the end that is single gives all distances; against the arrows where it is the
        # target.
        is_one_source = int(starts.sum()) == 1
        tail, head = (moves.tail, moves.head) if is_one_source else (moves.head, moves.tail)
        near, far = (starts, ends) if is_one_source else (ends, starts)
        distance = distances(tail, head, length, near)
        if not np.isfinite(distance[far]).all():
            return float("inf")
        # Weak duality: at rate 1 every demand pays at least its shortest way, all together at most the cost.
        paid += commodity.n_alike * float((np.abs(commodity.supply[far]) * distance[far]).sum())
    return paid


def _on_links(work: Commodities, answer: Solution, *, is_drawn: bool) -> tuple[OnLinks, str]:
    """Return what a solution is on real links, and which were looked at."""
    views: Sequence[LinkView] | None = work.views
    if work.blueprint is not None:
        lift = Lift(work.blueprint, work.apart, work.ties)
        views = None if is_drawn else link_views(work, work.blueprint, lift)
        if views is None:
            fault, upper = check_on_classes(work, answer)
            n_drawn = SAMPLED_BRIEF if is_drawn else SAMPLED
            faults, n_links = ([fault], 0) if fault else _sample_faults(work, answer, lift, n_drawn)
            return OnLinks(faults, upper_gbps=upper), f"on a sample of {n_links:,} links"
    e = views[0].expanded if views else work.base.classes
    n_ways = np.array([1 if rule.is_oneway else 2 for rule in e.rules], dtype=np.int64)
    n_links = int(n_ways[e.rule[e.alive > 0]].sum())
    found = check_lifted(work, views, answer, SEED) if views else check_listed(work, answer)
    return found, f"on all {n_links:,} links"


def link_views(work: Commodities, blueprint: Blueprint, lift: Lift) -> list[LinkView] | None:
    """Return all links as seen from the sources of each commodity, or None where they are too many."""
    if work.n_endpoints > MANY_ENDPOINTS:
        return None
    try:
        expanded = expand(blueprint, limit=MANY_BUNDLES)
    except LimitError:
        return None
    unfolding = Unfolding(lift, expanded)
    views: list[LinkView] = []
    n_pairs = 0
    for commodity in work.commodities:
        end = _marked_class(work, commodity)
        group = int(commodity.view.classes.group[end])
        # A single commodity has one source; of another every device of its base class is one.
        if commodity.origin < 0:
            sources = np.array([unfolding.device(group, commodity.view.index[end])])
        else:
            sources = np.flatnonzero(unfolding.origin() == commodity.origin)
        marks = work.places(unfolding.places(sources, tuple(blueprint.groups.values())[group].primitives))
        view = AxisView(unfolding, commodity.view, sources, marks)
        # Memory is this sum; beyond it a sample has to do.
        n_pairs += view.n_pairs
        if n_pairs > MANY_PAIRS:
            return None
        views.append(view)
    return views


def _marked_class(work: Commodities, commodity: Commodity) -> int:
    """Return the class that is marked in the view of a commodity: its source, or the root of all traffic."""
    ends = singles(commodity)
    return ends[0] if work.root is None else next(c for c in ends if commodity.view.index[c] == work.root)


def _sample_faults(work: Commodities, answer: Solution, lift: Lift, n_drawn: int) -> tuple[list[str], int]:
    """Return what is wrong on real links drawn at random, and how many have been looked at."""
    blueprint = lift.blueprint
    # Each way of a cable is a link.
    # At least so many of each rule, however many rules there are.
    n_per_rule = max(n_drawn // 16, -(-n_drawn // (2 * len(blueprint.rules))))
    sides: dict[tuple[int, bool], dict[tuple[Mark, Mark], list[RealLink]]] = {}
    for link in sample_links(blueprint, n_per_rule, SEED):
        pairs = sides.setdefault((link.rule, link.is_turned), {})
        pairs.setdefault((link.tail, link.head), []).append(link)
    loads = [
        per_cable(commodity, flow) for commodity, flow in zip(work.commodities, answer.flow, strict=True)
    ]
    # A pair whose cables are all down carries nothing.
    up = [
        (side, [replace(link, speed=one.speed) for link in links])
        for side, pairs in sides.items()
        for links in pairs.values()
        for one, _ in lift.at_speeds(links[0])
    ]
    n_rows = sum(lift.plain.n_rows(g.name) for g in blueprint.groups.values() if g.is_endpoint)
    n_at_once = max(MANY_ROWS // n_rows, 1)
    n_links = 0
    for at in range(0, len(up), n_at_once):
        some = up[at : at + n_at_once]
        around = lift.endpoints_around([links[0] for _, links in some], work.shift)
        for side in dict.fromkeys(side for side, _ in some):
            rows = [row for row, (its_side, _) in enumerate(some) if its_side == side]
            part = [some[row][1] for row in rows]
            n_links += sum(len(links) for links in part)
            faults = _cable_faults(work, (answer, loads), lift, part, [near.of(rows) for near in around])
            if faults:
                return faults, n_links
    return [], n_links


def _cable_faults(
    work: Commodities,
    solved: tuple[Solution, Sequence[Floats]],
    lift: Lift,
    pairs: Sequence[list[RealLink]],
    around: Sequence[Around],
) -> list[str]:
    """Return what is wrong on real links of one side of a rule, those between the same devices together.

    Around each pair are the classes of endpoints that keep it in place.
    """
    # All drawn links in one array; `pair` says between which devices each is.
    links = [link for alike in pairs for link in alike]
    pair = np.repeat(np.arange(len(pairs)), [len(alike) for alike in pairs])
    total = np.zeros(len(links))
    kinds = _PathKinds(work, lift.blueprint, links)
    for commodity, flow, load in zip(work.commodities, solved[0].flow, solved[1], strict=True):
        if commodity.origin < 0:
            of, size = np.arange(len(links)), np.ones(len(links))
            n: Floats = np.ones(len(pairs))
            source_index = columns([commodity.view.index[_marked_class(work, commodity)]])
            source = {axis: np.repeat(index, len(links)) for axis, index in source_index.items()}
        else:
            # Classes of the base are of one group.
            near = next(
                (group for group in around if (group.origin == commodity.origin).any()),
                around[0],
            )
            is_alike = near.origin == commodity.origin
            counted = np.bincount(near.link[is_alike], near.size[is_alike], minlength=len(pairs))
            n = counted.astype(np.float64)
            # Every drawn link against every class of sources around its pair: what each of them puts there.
            of, rows = np.nonzero((near.link == pair[:, None]) & is_alike)
            size = near.size[rows]
            source = {axis: index[rows] for axis, index in near.index.items()}
        if (n != commodity.n_alike).any():
            wrong = n[n != commodity.n_alike][0]
            return [f"{wrong:,.0f} sources are alike, {commodity.n_alike:,.0f} stand in the program"]
        # The class that a link is in as seen from each source; -1 where its flow does not pass.
        at = lift.link_class(commodity.view, links, of, work.places(source))
        total += np.bincount(of, size * np.where(at >= 0, load[at], 0.0), minlength=len(links))
        if fault := kinds.fault(commodity, flow, at, of):
            return [fault]
    rate_gbps = np.array([lift.rate_gbps(link) for link in links])
    over = np.flatnonzero(total > rate_gbps * (1 + 1e-6))
    if not len(over):
        return []
    link = links[over[0]]
    cables = float(lift.cables(link)[link.speed])
    carried, capacity = total[over[0]] * cables, rate_gbps[over[0]] * cables
    return [f"a {lift.blueprint.rules[link.rule].name} link carries {carried:.6g} of {capacity:.6g} Gb/s"]


class _PathKinds:
    """What the file says of real links of one side of a rule, for the paths over them.

    Parameters
    ----------
    work : Commodities
    blueprint : Blueprint
    links : sequence of RealLink
    """

    def __init__(self, work: Commodities, blueprint: Blueprint, links: Sequence[RealLink]) -> None:
        groups = list(blueprint.groups.values())
        paths = work.asked.paths if work.asked is not None else "rules"
        self._rule = path_rule(blueprint.rules, (g.transit for g in groups), paths)
        number, is_turned = links[0].rule, links[0].is_turned
        ends = [
            next(i for i, g in enumerate(groups) if g.name == name) for name in blueprint.rules[number].groups
        ]
        sides = [columns([link.tail for link in links]), columns([link.head for link in links])]
        transits = []
        for group, at in zip(ends[::-1] if is_turned else ends, sides, strict=True):
            found = np.full(len(links), self._rule.transit[group])
            if work.owed is not None and work.owed.is_holding:
                found[work.owed.takes_part(groups[group].name, at, len(links))] = TRANSITS.index("all")
            transits.append(found)
        is_back = np.array([link.is_back for link in links], dtype=np.bool_)
        self._way = 2 * number + (is_back | is_turned)
        self._tail, self._head = (np.where(is_back, transits[1 - i], transits[i]) for i in (0, 1))

    def fault(self, commodity: Commodity, flow: Floats, at: Ints, of: Ints) -> str:
        """Return whether flow on the classes of some links goes where the file permits no path, or nothing.

        Parameters
        ----------
        commodity : Commodity
        flow : ndarray of float64
        at, of : ndarray of int64, shape (k,)
            Directed link of the view, -1 for none, and which of the real links.
        """
        on = at >= 0
        row = of[on]
        way, tail, head = self._way[row], self._tail[row], self._head[row]
        has_relay = relays(commodity.moves.role, np.concatenate([tail, head]))
        walks = Walks.of(self._rule, at[on], way, tail, head, has_relay=has_relay)
        inside = commodity.moves.link < 0
        return walks.fault(commodity.moves, np.where(inside, 0.0, flow), np.zeros(0, dtype=np.bool_))
