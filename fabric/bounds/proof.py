"""Proof of a bound: its cut counted on links of the file, and flows below it where an optimum is said.

A cut is prices on links. Whatever the prices, what passes from the roots to a rank pays at least the distance
that it goes, so that a rank takes in no more than their worth allows::

    rate * sum over roots (what one holds * its distance to the rank)  <=  sum(capacity * price)

Links, paths and ranks are those of the file: of a small fabric all of them are listed, of a large one its
classes are walked by the path rule as `fabric.graph.permitted` states it, their cables are counted as boxes,
and links drawn at random are held to them. Where a flow feeds every rank at the rate, trees that carry it can
be packed (Edmonds, "Edge-disjoint branchings", 1973).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.bounds.groups import RankGroup, Task
from fabric.bounds.partitions import Partition
from fabric.bounds.toll import Toll
from fabric.bounds.trees import Fed, Tree
from fabric.errors import LimitError
from fabric.flow.certificate import GAP, Verdict, distances
from fabric.flow.commodities import Asked, Commodities, Commodity, capacities
from fabric.flow.held import Reading
from fabric.flow.lifted import Lifted, is_lost
from fabric.flow.owed import Owed
from fabric.flow.posed import cable_faults
from fabric.flow.traffic import Traffic
from fabric.flow.walks import ROLES, relays, states
from fabric.graph.expanded import Expanded
from fabric.graph.expanded import expand as expand_blueprint
from fabric.symmetry import AxisView, Lift, Mark, Quotient, Unfolding
from fabric.symmetry.lifting import columns

FEW_BUNDLES = 20_000
"""Joined pairs of devices up to which all links are listed for the proof of a bound."""

_ROUNDING = 1e-7
"""Of what a program's prices leave open, relative to the largest of them."""


class BoundGround:
    """The file under the question of a bound, to hold its cuts and flows to.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        question = task.question
        base = question.base
        asked = Asked(lambda view, _: np.zeros(len(view.size)), task.paths, lambda view: view.classes)
        owed = Owed(Traffic(), task.blueprint, question.among, is_holding=True)
        self._work = Commodities(base, capacities(base), [], 0.0, (), task.blueprint, asked=asked, owed=owed)
        self._owed = owed

    @cached_property
    def expanded(self) -> Expanded | None:
        """All devices and links, or None where they are too many."""
        try:
            return expand_blueprint(self.task.blueprint, limit=FEW_BUNDLES)
        except LimitError:
            return None

    @cached_property
    def scope(self) -> str:
        """Which links are looked at, in words."""
        e = self.expanded
        if e is None:
            return "on classes whose cables are counted in the file"
        n_ways = np.array([1 if rule.is_oneway else 2 for rule in e.rules], dtype=np.int64)
        return f"on all {int(n_ways[e.rule[e.alive > 0]].sum()):,} links"

    @cached_property
    def _unfolding(self) -> Unfolding:
        assert self.expanded is not None
        task = self.task
        return Unfolding(Lift(task.blueprint, task.apart, task.question.ties), self.expanded)

    def look(self, view: Quotient, marks: tuple[Mark, ...]) -> Look:
        """Return the links of a view as the file has them."""
        e, free = self.expanded, self.task.reducing
        if e is None:
            reading = Reading(self._work, view.classes, self._inside(view), self.task.blueprint, free)
            seen = np.where(reading.is_up, np.arange(2 * view.classes.n_bundles), -1)
            fault = next(cable_faults(view, self.task.blueprint), "")
            return Look(view, reading, seen, np.arange(len(view.size)), fault)
        reading = Reading(self._work, e, self._owed.members(e), None, free)
        # Any device will do as the name of the one choice of marks.
        places = tuple(columns([mark]) for mark in marks)
        seen = AxisView(self._unfolding, view, np.zeros(1, np.int64), places).seen(0)
        on = np.flatnonzero(seen >= 0)
        tail, _ = reading.ends
        ends = np.column_stack([view.classes.tail, view.classes.head]).ravel()
        of = np.full(e.n_devices, -1, dtype=np.int64)
        of[tail[on]] = ends[seen[on]]
        fault = "a device that is in two classes" if (of[tail[on]] != ends[seen[on]]).any() else ""
        fault = fault or ("links that are in no class" if (reading.is_up & (seen < 0)).any() else "")
        n_each = np.bincount(of[of >= 0], minlength=len(view.size))
        joined = np.zeros(len(view.size), dtype=np.bool_)
        joined[ends] = True
        if not fault and (n_each != view.size)[joined].any():
            fault = "devices that are not as many as their class says"
        return Look(view, reading, seen, of, fault)

    def _inside(self, view: Quotient) -> Bools:
        found = np.zeros(len(view.size), dtype=np.bool_)
        for number, group in enumerate(view.classes.groups):
            rows = np.flatnonzero(view.classes.group == number)
            if group.is_endpoint and len(rows):
                at = columns([view.index[i] for i in rows.tolist()])
                found[rows] = self._owed.takes_part(group.name, at, len(rows))
        return found


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

    def distances(self, toll: Toll) -> Floats:
        """Return the least price of a way between each class and those that are fed, shape (c,)."""
        classes, n = self.view.classes, len(self.view.size)
        transit = self.reading.transit
        turning = np.zeros(n, dtype=np.bool_)
        turning[self.of[(self.of >= 0) & (transit == 0)]] = True
        walks = self.reading.walks(self.seen, has_relay=relays((), transit))
        ends = np.column_stack([classes.tail, classes.head]).ravel()
        tail, head, link = walks.graph(ends, turning)
        near, far = ("source", "target") if toll.is_inward else ("target", "source")
        starts = np.zeros(n * len(ROLES), dtype=np.bool_)
        starts[states(near, np.flatnonzero(toll.near))] = True
        if not toll.is_inward:
            tail, head = head, tail
        reached = distances(tail, head, np.append(toll.price, 0.0)[link], starts)
        return reached[states(far, np.arange(n))]


def enters_at_most(ground: BoundGround, toll: Toll) -> tuple[float, float, str]:
    """Return what a toll lets into a part of the ranks [Gb/s], how many ranks it has, and what is wrong."""
    look = ground.look(toll.view, toll.marks)
    if look.fault:
        return np.inf, 0.0, look.fault
    least = float(look.distances(toll)[toll.far].min(initial=np.inf))
    n = float(look.members()[toll.near].sum())
    return look.worth(toll.price) / least if least > 0 else np.inf, n, ""


def fed_at_most(ground: BoundGround, toll: Toll, part_of_rank: float = 0.0) -> tuple[float, str]:
    """Return the rate that a toll allows, and in what its classes differ from the file.

    Parameters
    ----------
    ground : BoundGround
    toll : Toll
    part_of_rank : float
        What every rank holds, for a rate of 1; 0 where one of the far devices holds all of it.
    """
    look = ground.look(toll.view, toll.marks)
    if look.fault:
        return np.inf, look.fault
    far = np.where(toll.far, look.members() if part_of_rank else 1.0, 0.0)
    # What is on the near side needs no link.
    some = np.flatnonzero(far * ~toll.near)
    needed = float(far[some] @ look.distances(toll)[some]) * (part_of_rank or 1.0)
    return look.worth(toll.price) / needed if needed > 0 else np.inf, ""


def flow_fault(ground: BoundGround, tree: Tree, marks: tuple[Mark, ...], fed: Fed) -> str:
    """Return what is wrong with the flow that feeds a rank, or nothing.

    Parameters
    ----------
    ground : BoundGround
    tree : Tree
    marks : tuple of Mark
        Of its view.
    fed : Fed
    """
    flow, supply, rate = fed.flow, fed.supply, fed.rate_gbps
    look = ground.look(tree.view, marks)
    if look.fault:
        return look.fault
    commodity = Commodity(1.0, tree.view, tree.moves, supply)
    n = tree.moves.n_states
    out, into = (np.bincount(end, flow, minlength=n) for end in (tree.moves.tail, tree.moves.head))
    through = np.asarray(out + into, dtype=np.float64)
    if (flow < 0).any() or is_lost(np.abs(out - into - rate * supply), through, np.ones(n), supply, rate):
        return "flow lost or made inside a class"
    if fault := look.reading.path_fault(commodity, flow, look.seen, look.of):
        return fault
    on = tree.moves.link >= 0
    load = np.bincount(tree.moves.link[on], flow[on], minlength=2 * tree.view.classes.n_bundles)
    up = look.seen >= 0
    capacity = np.bincount(look.seen[up], look.reading.capacity[up], minlength=len(load))
    if (load > capacity * (1 + GAP)).any():
        return "a class of links above its capacity"
    if look.reading.blueprint is not None:
        return ""
    return Lifted(commodity, flow, rate).lost(look.reading.e, look.of, look.seen)


def prove_by_rank(
    group: RankGroup, slowest: tuple[Tree, Fed], known: list[tuple[Tree, Fed]], part_of_rank: float
) -> Verdict:
    """Return what is proven of the slowest rank: its cut, and flows that feed all ranks as fast.

    Parameters
    ----------
    group : RankGroup
    slowest : (Tree, Fed)
    known : list of (Tree, Fed)
        Of one rank of every class.
    part_of_rank : float
        As in `fed_at_most`.
    """
    ground, (tree, fed) = BoundGround(group.task), slowest
    price = np.zeros(2 * tree.view.classes.n_bundles)
    price[fed.links] = fed.price
    near = np.arange(len(tree.view.size)) == int(tree.moves.device[tree.rank])
    toll = Toll(tree.view, group.marks(tree), price, near, tree.root >= 0, tree.is_inward)
    upper, fault = fed_at_most(ground, toll, part_of_rank)
    for one, own in known:
        if fault or not fed.rate_gbps:
            break
        fault = flow_fault(ground, one, group.marks(one), own)
    lower = 0.0 if fault else fed.rate_gbps
    return Verdict(lower, upper, (fault,) if fault else (), ground.scope)


def prove_by_parts(group: RankGroup, partition: Partition) -> Verdict:
    """Return what is proven of a bound by parts of the ranks: what each takes in, by its cut."""
    ground = BoundGround(group.task)
    entering = 0.0
    for part in partition.parts:
        gbps, n_ranks, fault = (np.inf, 0.0, "") if part.toll is None else enters_at_most(ground, part.toll)
        if fault:
            return Verdict(0.0, np.inf, (fault,), ground.scope)
        entering += gbps * (1.0 if partition.n_messages == 1.0 else part.n_alike)
    return Verdict(0.0, entering / partition.n_messages, (), ground.scope)


def prove_by_program(
    groups: list[RankGroup], capacity: Floats, price: Floats, tolls: list[Floats]
) -> Verdict:
    """Return what the prices of a program prove.

    Parameters
    ----------
    groups : list of RankGroup
    capacity, price : ndarray of float64
        Of every base class of links [Gb/s], and what each Gb/s of it is worth.
    tolls : list of ndarray of float64
        For every tree of every group, what its flow pays on each class of links that it may use.

    Notes
    -----
    The tolls of all ranks together are no more than the price of a link, but for potentials of what passes on
    what it takes in::

        sum over trees (toll * part)  <=  groups * price + potential(tail) - potential(head)

    so that rate * sum over groups (least, or mean, distance of a root to all ranks) <= sum(capacity * price).
    """
    ground, at, distance = BoundGround(groups[0].task), 0, 0.0
    if fault := next(cable_faults(groups[0].task.question.base, groups[0].task.blueprint), ""):
        return Verdict(0.0, np.inf, (fault,), ground.scope)
    for group in groups:
        own = tolls[at : at + len(group.trees)]
        at += len(group.trees)
        gone, fault = _root_distance(ground, group, own)
        if not fault and not _is_paid(group, price, own):
            fault = "tolls beyond the price of their links"
        if fault:
            return Verdict(0.0, np.inf, (fault,), ground.scope)
        distance += gone
    upper = float(capacity @ price) / distance if distance > 0 else np.inf
    return Verdict(0.0, upper, (), ground.scope)


def _root_distance(ground: BoundGround, group: RankGroup, tolls: list[Floats]) -> tuple[float, str]:
    """Return how far the nearest root is from all ranks together, or roots on average, and what is wrong."""
    task = group.task
    total = np.zeros(group.n_root)
    for tree, own in zip(group.trees, tolls, strict=True):
        price = np.zeros(2 * tree.view.classes.n_bundles)
        price[_links(tree)] = own
        near = np.arange(len(tree.view.size)) == int(tree.moves.device[tree.rank])
        toll = Toll(tree.view, group.marks(tree), price, near, tree.root >= 0, tree.is_inward)
        look = ground.look(toll.view, toll.marks)
        if look.fault:
            return 0.0, look.fault
        far = np.where(toll.far, look.distances(toll), 0.0)
        size, of = tree.view.size * toll.far, tree.view.origin
        # A rank that is a root itself is no way off.
        n = np.bincount(of, tree.view.size, minlength=group.n_root)
        way = np.bincount(of[size > 0], (size * far)[size > 0], minlength=group.n_root)
        total += way / np.maximum(n, 1)
    roots = group.roots(group.view)
    of, size = group.view.origin[roots], group.view.size[roots]
    if task.collective in ("all-gather", "reduce-scatter"):
        return float(size @ total[of]) / float(size.sum()), ""
    return float(total[of].min()), ""


def _links(tree: Tree) -> Ints:
    """Return the classes of links that the flow of a tree may use, as the rows of its program have them."""
    return np.unique(tree.moves.link[tree.moves.link >= 0])


def _is_paid(group: RankGroup, price: Floats, tolls: list[Floats]) -> bool:
    """Return whether the tolls of all ranks are paid by prices of links, but for potentials."""
    task, view = group.task, group.view
    to_base, n_ways = group.to_base(), len(task.ways)
    ids = np.flatnonzero(to_base >= 0)
    paid = np.zeros(group.n_link)
    paid[ids] = group.n_groups * price[to_base[ids]]
    if task.is_mirrored:
        # What flows outward over a link takes as much of its way back, turned round.
        paid[ids] += group.n_groups * price[to_base[ids ^ 1]]
    for way in range(n_ways):
        owed = np.zeros(group.n_link)
        for tree, own in list(zip(group.trees, tolls, strict=True))[way::n_ways]:
            links = _links(tree)
            np.add.at(owed, tree.view.base[links], own * tree.part[links])
        if not _has_potentials(group, (paid - owed)[view.base], float(paid.max(initial=0.0))):
            return False
    return True


def _has_potentials(group: RankGroup, left: Floats, most: float) -> bool:
    """Return whether potentials make up for all links that are left with less than nothing.

    Devices that hold data or add have none; of the others the potential is the shortest way from these
    (Bellman-Ford), and no way back to them may be shorter than nothing.
    """
    task, e = group.task, group.view.classes
    names = list(task.blueprint.groups)
    held = task.question.inside(group.view) | np.isin(e.group, [names.index(g) for g in task.reducing])
    two_way = np.array([not r.is_oneway for r in e.rules], dtype=np.bool_)[e.rule]
    some = np.flatnonzero(np.column_stack([np.ones(e.n_bundles, np.bool_), two_way]).ravel())
    ends = np.column_stack([e.tail, e.head]).ravel()
    tail, head, left = ends[some], ends[some ^ 1], left[some]
    potential = np.where(held, 0.0, np.inf)
    for _ in range(len(held) + 1):
        reached = potential[tail] + left
        if (reached[held[head]] < -_ROUNDING * most).any():
            return False
        if not (reached < potential[head] - _ROUNDING * most)[~held[head]].any():
            return True
        np.minimum.at(potential, head[~held[head]], reached[~held[head]])
    return False
