"""The program of a collective's bound: weights of roots, envelopes of capacity, a flow for every rank.

Every group of ranks has an envelope: what its data takes of every class of links, outward from the roots and
inward to them. Groups that automorphisms map onto each other are alike, so one of them is in the program for
all::

    maximize   rate
    outward    roots --weights--> rank takes in rate - its own weight      a flow within the envelope, for
    inward     rank sends rate - its own weight --> roots                  every rank
    links      sum over group classes of  groups * (outward + inward)  <=  capacity

Where all cables carry as much both ways, one group whose data flows one way has all capacity for its envelope
and fixed weights, so every rank is a flow of its own, and no linear program is needed. And where data flows
both ways, turning every path round turns outward flows into inward ones. The mean of a solution and its
mirror image is its own mirror image: what flows inward over a link is what flows outward over its way back,
so that the outward flows are enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.bounds.groups import RankGroup, Task
from fabric.bounds.partitions import RanksSeen, least_by_parts
from fabric.bounds.proof import prove_by_parts, prove_by_program, prove_by_rank
from fabric.bounds.trees import Fed, Tree, feed
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import capacities
from fabric.flow.lp import assemble, maximize, stack, unit_of
from fabric.flow.span import FAR_APART, NEVER_FULL
from fabric.symmetry import Quotient, nesting

_NEAR = 1e-9
PROVEN = 1e-6
"""Relative distance of a bound to what its prices and flows prove that is rounding of programs."""

MANY_COLUMNS = 8_000
"""Variables of a program for an all-reduce that is solved: about a third of a second of HiGHS."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Answer of a program.

    Parameters
    ----------
    rate_gbps : float
    binding : tuple of str
        Rules with a price.
    n_ranks : int
        Of the largest group.
    n_variables : int
    why : str
        Why the bound is by partitions of the ranks, where it is.
    proof : Verdict
        What cuts prove on links of the file, and what flows below them.
    """

    rate_gbps: float
    binding: tuple[str, ...]
    n_ranks: int
    n_variables: int
    why: str
    proof: Verdict

    def meets(self, less: Packing) -> bool:
        """Return whether the rate is the same with less damage."""
        return self.rate_gbps >= less.rate_gbps * (1 - _NEAR)

    def held_by(self, less: Packing) -> Packing:
        """Return the answer between this one and one with less damage that it meets."""
        proof = Verdict(
            self.proof.lower_gbps,
            less.proof.upper_gbps,
            (*self.proof.faults, *less.proof.faults),
            less.proof.scope,
        )
        n = self.n_variables + less.n_variables
        why = "no more with less down, and no less with more"
        return Packing(less.rate_gbps, less.binding, less.n_ranks, n, why, proof)


def pack(task: Task, *, is_brief: bool = False) -> Packing:
    """Return the best rate of a collective, by all groups at once.

    Parameters
    ----------
    task : Task
    is_brief : bool
        Whether an all-reduce is bounded by partitions of the ranks alone, without a program.

    Raises
    ------
    QuestionError
        If a group has a single rank, or the program is not solved.
    """
    base = task.question.base
    if task.root is not None:
        base = task.quotient(fixed=() if task.question.spans else (task.root,))
    groups = _groups(task, base)
    # One envelope that is all capacity: a flow problem for each rank, no program.
    is_single = task.is_even and len(task.ways) == 1 and not task.is_mirrored and not task.question.spans
    n_columns, why = sum(g.n_columns for g in groups), ""
    if is_single:
        rate, bound, n, proof = _by_rank(groups[0], base)
    elif task.collective != "all-reduce":
        rate, bound, n, proof = _by_program(groups, base)
    else:
        rate, bound, n, proof = _by_parts(groups[0])
        why = "by what parts of the ranks must take in"
        many = f": its program has {n_columns:,} variables, more than {MANY_COLUMNS:,}"
        many = many if n_columns > MANY_COLUMNS else ""
        some = [] if is_brief else _largest(groups) if many else groups
        why += many
        # Both bounds hold; the tighter one counts. A program of some ranks alone is one that holds too.
        if some:
            solved = _by_program(some, base, rate)
            n = solved[2]
            # A solver may lose small capacities beside large ones: what parts take in is proven without one.
            is_lost = _are_far_apart(base) and solved[3].upper_gbps > solved[0] * (1 + PROVEN)
            if rate >= solved[0] * (1 - _NEAR) and not is_lost:
                rate, bound, n, proof = solved
                n_some, n_all = (sum(len(g.trees) for g in own) for own in (some, groups))
                why = f"by {n_some:,} of {n_all:,} flows of ranks{many}" if many else ""
    rows = np.isin(base.base.reshape(-1, 2), bound).any(axis=1)
    rules = sorted({int(r) for r in base.classes.rule[rows]})
    names = tuple(base.classes.rules[r].name for r in rules)
    return Packing(rate, names, max(g.n_ranks for g in groups), n, why, proof)


def _largest(groups: list[RankGroup]) -> list[RankGroup]:
    """Return the groups with the flows of their largest classes of ranks, as many as can be solved.

    None where not one flow fits. Fewer flows ask for less, so that their program bounds the whole one.
    """
    n_ways = len(groups[0].task.ways)
    # Every group keeps its weights and envelopes; ranks of the largest classes come first.
    room = MANY_COLUMNS - sum(g.n_columns - sum(len(t.moves.tail) for t in g.trees) for g in groups)
    ranks = [(g, at) for g in groups for at in range(0, len(g.trees), n_ways)]
    ranks.sort(key=lambda rank: -float(rank[0].view.size[rank[0].trees[rank[1]].rank_class]))
    kept: dict[int, list[Tree]] = {id(g): [] for g in groups}
    for group, at in ranks:
        trees = group.trees[at : at + n_ways]
        n = sum(len(tree.moves.tail) for tree in trees)
        if n <= room:
            kept[id(group)] += trees
            room -= n
    return [g.with_trees(kept[id(g)]) for g in groups] if any(kept.values()) else []


def _by_rank(group: RankGroup, base: Quotient) -> tuple[float, Ints, int, Verdict]:
    """Return the least rate at which a rank is fed, the base links that limit it, moves, and proof."""
    capacity = capacities(base)
    n_roots = float(group.view.size[group.roots(group.view)].sum())
    # A rank that is a root itself holds its own part already.
    own_weight = 0.0 if group.root is not None else 1.0 / n_roots
    slowest: tuple[Tree, Fed] | None = None
    known: list[tuple[Tree, Fed]] = []
    for tree in group.trees:
        weight = np.where(tree.root >= 0, tree.view.size / n_roots, 0.0)
        # No rank faster than the slowest so far is of interest.
        most = np.inf if slowest is None else slowest[1].rate_gbps
        fed = feed(tree, capacity, weight, own_weight, most)
        known.append((tree, fed))
        if fed.rate_gbps < most:
            slowest = tree, fed
    assert slowest is not None
    tree, fed = slowest
    proof = prove_by_rank(group, slowest, known, 0.0 if group.root is not None else 1.0 / n_roots)
    n_moves = sum(len(t.moves.tail) for t in group.trees)
    return fed.rate_gbps, tree.view.base[fed.links], n_moves, proof


def _by_parts(group: RankGroup) -> tuple[float, Ints, int, Verdict]:
    """Return the bound by partitions of one group, the base links that limit it, the moves, and its proof.

    All other groups leave it all links.
    """
    task, n_ways = group.task, len(group.task.ways)
    ranks, axes = [], set()
    # One tree of each rank says what its view is; the other way has the same.
    for tree in group.trees[::n_ways]:
        marked = int(tree.moves.device[tree.rank])
        n_alike = float(group.view.size[tree.rank_class])
        holding = task.question.inside(tree.view)
        marks = group.marks(tree)
        ranks.append(RanksSeen(tree.view, marked, group.members_of(tree.view), holding, n_alike, marks))
        axes |= {p for p, _ in tree.view.index[marked]}
    order = tuple(p for p in nesting(task.blueprint, task.question.ties).order if p in axes)
    rate, links, n, partition = least_by_parts(ranks, order, task.reducing, paths=task.paths)
    return rate, np.unique(group.to_base()[links]), n, prove_by_parts(group, partition)


def _are_far_apart(base: Quotient) -> bool:
    rates = base.classes.rate_gbps
    return bool(rates.max(initial=0.0) > FAR_APART * rates.min(initial=np.inf))


def _by_program(
    groups: list[RankGroup], base: Quotient, most_gbps: float = np.inf
) -> tuple[float, Ints, int, Verdict]:
    """Return the optimum of the linear program, the base links with a price, its variables, and its proof.

    No rate above `most_gbps` is possible.
    """
    capacity = capacities(base)
    is_far_apart = _are_far_apart(base)
    at = np.cumsum([0, *(g.n_columns for g in groups)]).tolist()
    n = at[-1] + 1
    used = np.flatnonzero(capacity > 0)
    # Links without capacity carry nothing and have no row.
    row_of = np.full(len(capacity), -1, dtype=np.int64)
    row_of[used] = np.arange(len(used))
    equal = [m for g, first in zip(groups, at, strict=False) for m in g.equal(first, n)]
    within = [m for g, first in zip(groups, at, strict=False) for m in g.within(first, n)]
    parts = [g.shared(first, row_of) for g, first in zip(groups, at, strict=False)]
    shared = assemble(parts, len(used), n)
    largest = most_gbps * sum(g.n_groups * g.n_ranks for g in groups)
    unit = unit_of(np.minimum(base.classes.rate_gbps, largest))
    # Of a link that is never full no more than there can be on it, so that a solver sees the others.
    n_links = np.bincount(base.base, np.repeat(base.classes.count, 2), minlength=len(capacity))
    room = np.minimum(capacity, NEVER_FULL * largest * n_links) if is_far_apart else capacity
    # Rows within an envelope end at 0, those of shared links at their capacity.
    limit = np.concatenate([*(np.zeros(m.shape[0]) for m in within), room[used] / unit])
    x, dual = maximize(stack(equal), stack([*within, shared]), limit, is_far_apart=is_far_apart)
    # The last duals are those of the links: what has a price binds.
    paid = dual[-len(used) :] if len(used) else dual[:0]
    bound = used[paid > 1e-9 * max(float(paid.max(initial=0.0)), 1e-300)]
    price = np.zeros(len(capacity))
    price[used] = paid
    tolls = np.split(dual[: len(dual) - len(used)], np.cumsum([m.shape[0] for m in within])[:-1])
    return float(x[-1]) * unit, bound, n, prove_by_program(groups, capacity, price, tolls)


def _groups(task: Task, base: Quotient) -> list[RankGroup]:
    """Return one group of every class of groups.

    Two groups that both have a rank of some base class are images of one another, so every base class of
    ranks belongs to one class of groups.
    """
    remaining = np.flatnonzero(task.question.inside(base)).tolist()
    groups = []
    while remaining:
        group = RankGroup(task, base, remaining[0])
        # All base classes of ranks that this group has: other groups with one of them are its images.
        in_group = set(group.base_device[group.members].tolist())
        remaining = [i for i in remaining if int(base.origin[i]) not in in_group]
        groups.append(group)
    return groups
