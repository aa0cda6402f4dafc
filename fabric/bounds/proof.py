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

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.bounds.groups import RankGroup, Task
from fabric.bounds.partitions import Partition
from fabric.bounds.toll import Toll
from fabric.bounds.trees import Fed, Tree
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import Commodity
from fabric.flow.lifted import is_lost
from fabric.flow.looked import FileGround, Look
from fabric.flow.owed import Owed
from fabric.flow.posed import cable_faults
from fabric.flow.traffic import Traffic
from fabric.symmetry import Mark

_ROUNDING = 1e-7
"""Of what a program's prices leave open, relative to the largest of them."""


def ground_of(task: Task) -> FileGround:
    """Return the file under the question of a bound."""
    among = next(iter(task.question.chosen), None)
    owed = Owed(Traffic(), task.blueprint, among, is_holding=True)
    told = task.apart, task.question.ties
    return FileGround(task.blueprint, task.paths, owed, *told, free=task.reducing)


def _distances(look: Look, toll: Toll) -> Floats:
    """Return how far every class is from those that are fed, by what the toll says of links."""
    return look.distances(toll.near, toll.price, is_inward=toll.is_inward)


def enters_at_most(ground: FileGround, toll: Toll) -> tuple[float, float, str]:
    """Return what a toll lets into a part of the ranks [Gb/s], how many ranks it has, and what is wrong."""
    look = ground.look(toll.view, toll.marks)
    if look.fault:
        return np.inf, 0.0, look.fault
    least = float(_distances(look, toll)[toll.far].min(initial=np.inf))
    n = float(look.members()[toll.near].sum())
    return look.worth(toll.price) / least if least > 0 else np.inf, n, ""


def fed_at_most(ground: FileGround, toll: Toll, part_of_rank: float = 0.0) -> tuple[float, str]:
    """Return the rate that a toll allows, and in what its classes differ from the file.

    Parameters
    ----------
    ground : FileGround
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
    needed = float(far[some] @ _distances(look, toll)[some]) * (part_of_rank or 1.0)
    return look.worth(toll.price) / needed if needed > 0 else np.inf, ""


def flow_fault(ground: FileGround, tree: Tree, marks: tuple[Mark, ...], fed: Fed) -> str:
    """Return what is wrong with the flow that feeds a rank, or nothing.

    Parameters
    ----------
    ground : FileGround
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
    return look.flow_fault(commodity, flow, rate)


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
    ground, (tree, fed) = ground_of(group.task), slowest
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
    ground = ground_of(group.task)
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
    ground, at, distance = ground_of(groups[0].task), 0, 0.0
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


def _root_distance(ground: FileGround, group: RankGroup, tolls: list[Floats]) -> tuple[float, str]:
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
        far = np.where(toll.far, _distances(look, toll), 0.0)
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
