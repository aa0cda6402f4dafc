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
from scipy import sparse

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.bounds.partitions import RanksSeen, least_by_parts
from fabric.bounds.trees import Tree, fed, tree_of
from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.commodities import capacities
from fabric.flow.lp import assemble, balance_entries, maximize, unit_of
from fabric.graph import Paths
from fabric.symmetry import Mark, Quotient, nesting, quotient

_NEAR = 1e-9

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
    """

    rate_gbps: float
    binding: tuple[str, ...]
    n_ranks: int
    n_variables: int
    why: str


@dataclass(frozen=True, eq=False)
class Task:
    """A collective on a blueprint.

    Parameters
    ----------
    blueprint : Blueprint
    question : ClassTraffic
        All-to-all among the ranks, over the axes of a group.
    collective : str
    root : Mark or None
        For broadcast and reduce, the root; with several groups its indices on their axes count.
    paths : {"rules", "no-relay", "any"}
    reducing : tuple of str
        Device groups whose switches reduce, and may be roots.
    """

    blueprint: Blueprint
    question: ClassTraffic
    collective: str
    root: Mark | None
    paths: Paths
    reducing: tuple[str, ...]

    @property
    def is_even(self) -> bool:
        """Whether all cables carry as much both ways."""
        return not any(r.is_oneway for r in self.blueprint.rules)

    @property
    def is_mirrored(self) -> bool:
        """Whether inward flows are outward flows turned round; peers have no number for the way back."""
        both = self.collective == "all-reduce"
        return both and self.is_even and not any(r.is_peer for r in self.blueprint.rules)

    @property
    def ways(self) -> tuple[bool, ...]:
        """The flows of a rank that are in the program: False for outward, True for inward."""
        if self.collective == "all-reduce":
            return (False,) if self.is_mirrored else (False, True)
        return (self.collective in ("reduce-scatter", "reduce"),)

    @property
    def apart(self) -> tuple[Selector, ...]:
        """What is told apart: the job, and in every group its root."""
        if self.root is None or not self.question.spans:
            return self.question.apart
        terms = tuple(Term(p, i, i) for p, i in self.root if p in self.question.spans)
        return (*self.question.apart, Selector("", None, terms))

    def quotient(self, sources: tuple[Mark, ...] = (), fixed: tuple[Mark, ...] = ()) -> Quotient:
        """Return the quotient with some devices marked."""
        ties = self.question.ties
        return quotient(self.blueprint, sources, apart=self.apart, ties=ties, fixed=fixed)


class RankGroup:
    """One group of ranks, for all that are like it.

    Parameters
    ----------
    task : Task
    base : Quotient
        On which all groups share links.
    one : int
        Base class of some rank of the group.
    """

    def __init__(self, task: Task, base: Quotient, one: int) -> None:
        self.task = task
        home = dict(base.index[one])
        spans = task.question.spans
        self.mark = tuple((p, i) for p, i in sorted(home.items()) if p not in spans) if spans else ()
        self.root: Mark | None = None
        if task.root is not None:
            own = dict(task.root)
            self.root = tuple((p, own[p] if not spans or p in spans else i) for p, i in sorted(home.items()))
        fixed = (*((self.mark,) if self.mark else ()), *((self.root,) if self.root is not None else ()))
        self.fixed = fixed
        self.view = base
        # Both quotients have the same marks, so their classes come in the same order.
        self.base_link, self.base_device = base.base, base.origin
        if spans and fixed:
            self.view = task.quotient(fixed=fixed)
            marked = task.quotient(fixed)
            self.base_link, self.base_device = marked.base, marked.origin
        self.members = self.members_of(self.view)
        self.n_ranks = round(float(self.view.size[self.members].sum()))
        alike = self.members & (self.base_device == base.origin[one])
        self.n_groups = float(base.size[one]) / float(self.view.size[alike].sum())
        self.n_root = int(self.view.origin.max()) + 1
        self.n_link = int(self.view.base.max(initial=-1)) + 1
        if self.n_ranks < 2:
            msg = f"{task.collective} needs at least 2 ranks; a group has {self.n_ranks}"
            raise QuestionError(msg)
        self.trees = self._trees()

    def members_of(self, view: Quotient) -> Bools:
        """Return the device classes of the ranks."""
        found = self.task.question.inside(view)
        for i in np.flatnonzero(found).tolist() if self.mark else []:
            at = dict(view.index[i])
            found[i] = all(at.get(p) == k for p, k in self.mark)
        return found

    def _trees(self) -> list[Tree]:
        """Return the flows that the collective needs, for every class of ranks."""
        found = []
        for one in np.flatnonzero(self.members).tolist():
            mark = self.view.index[one]
            if mark == self.root:
                continue
            view = self.task.quotient((mark,), fixed=self.fixed)
            group = int(self.view.classes.group[one])
            hits = (view.index[i] == mark for i in np.flatnonzero(view.classes.group == group))
            own = int(np.flatnonzero(view.classes.group == group)[list(hits).index(True)])
            roots, paths = self.roots(view), self.task.paths
            members = self.task.question.inside(view)
            found += [
                tree_of(view, own, roots, members, paths=paths, is_inward=way) for way in self.task.ways
            ]
        return found

    def roots(self, view: Quotient) -> Bools:
        """Return the device classes of a view that may be roots."""
        found = self.members_of(view)
        if self.root is not None:
            return found & np.array([index == self.root for index in view.index], dtype=np.bool_)
        names = list(self.task.blueprint.groups)
        return found | np.isin(view.classes.group, [names.index(g) for g in self.task.reducing])

    @property
    def n_columns(self) -> int:
        """Columns of the program: weights of root classes, an envelope for each way, flows."""
        return self._first_flow + sum(len(t.moves.tail) for t in self.trees)

    @property
    def _first_flow(self) -> int:
        return self.n_root + len(self.task.ways) * self.n_link

    def equal(self, first: int, n: int) -> list[sparse.csr_matrix]:
        """Return the rows that are 0: columns of the group begin at `first`, the rate is column ``n - 1``."""
        found = [self._weights(first, n), self._carried(first + self.n_root, n)]
        at = first + self._first_flow
        for tree in self.trees:
            found.append(self._balance(tree, at, first, n))
            at += len(tree.moves.tail)
        return found

    def within(self, first: int, n: int) -> list[sparse.csr_matrix]:
        """Return the rows that are at most 0: flows stay within their part of the envelope."""
        found = []
        at = first + self._first_flow
        for tree in self.trees:
            envelope = first + self.n_root + self.n_link * self.task.ways.index(tree.is_inward)
            found.append(_inside(tree, at, envelope, n))
            at += len(tree.moves.tail)
        return found

    def to_base(self) -> Ints:
        """Return the base class of every class of links of the group, or -1."""
        found = np.full(self.n_link, -1, dtype=np.int64)
        found[self.view.base] = self.base_link
        return found

    def shared(self, first: int, n: int, row_of: Ints, n_rows: int) -> sparse.csr_matrix:
        """Return what the group, with all like it, takes of every base class of links."""
        to_base = self.to_base()
        ids = np.flatnonzero(to_base >= 0)
        ids = ids[row_of[to_base[ids]] >= 0]
        rows = row_of[to_base[ids]]
        ways = [self.n_link * number + ids for number in range(len(self.task.ways))]
        if self.task.is_mirrored:
            ways.append(ids ^ 1)
        columns = first + self.n_root + np.concatenate(ways)
        part = np.tile(rows, len(ways)), columns, np.full(len(columns), self.n_groups)
        return assemble([part], n_rows, n)

    def _balance(self, tree: Tree, at: int, first: int, n: int) -> sparse.csr_matrix:
        """Return: what leaves a state beyond what enters is the weight of its roots, or the rate."""
        moves = tree.moves
        sign = -1.0 if tree.is_inward else 1.0
        roots = np.flatnonzero(tree.root >= 0)
        # The part of which the rank is itself the root stays where it is; that of no root weighs nothing.
        rate, own = n - 1, first + tree.rank_class
        here = np.array([tree.rank, tree.rank]), np.array([rate, own]), np.array([sign, -sign])
        there = tree.root[roots], first + tree.view.origin[roots], -sign * tree.view.size[roots]
        return assemble([*balance_entries(moves.tail, moves.head, at), there, here], moves.n_states, n)

    def _weights(self, first: int, n: int) -> sparse.csr_matrix:
        """Return: the weights of the roots add up to the rate; equal where each rank holds a part."""
        roots = self.roots(self.view)
        size = np.bincount(self.view.origin[roots], self.view.size[roots], minlength=self.n_root)
        used, unused = np.flatnonzero(size), np.flatnonzero(size == 0)
        rows = [np.zeros(len(used) + 1, np.int64), 1 + np.arange(len(unused))]
        columns = [np.append(first + used, n - 1), first + unused]
        values = [np.append(size[used], -1.0), np.ones(len(unused))]
        n_rows = 1 + len(unused)
        if self.task.collective in ("all-gather", "reduce-scatter"):
            rest = used[1:]
            rows.append(n_rows + np.repeat(np.arange(len(rest)), 2))
            columns.append(first + np.column_stack([rest, np.full(len(rest), used[0])]).ravel())
            values.append(np.tile([1.0, -1.0], len(rest)))
            n_rows += len(rest)
        return assemble(zip(rows, columns, values, strict=True), n_rows, n)

    def _carried(self, first: int, n: int) -> sparse.csr_matrix:
        """Return: what neither holds data nor reduces sends on as much as it takes in, in either envelope."""
        e, n_ways = self.view.classes, len(self.task.ways)
        names = list(self.task.blueprint.groups)
        held = self.task.question.inside(self.view) | np.isin(
            e.group, [names.index(g) for g in self.task.reducing]
        )
        tail = np.column_stack([e.tail, e.head]).ravel()
        head = np.column_stack([e.head, e.tail]).ravel()
        # One-way cables have no way back; peers are listed once for each direction, one-way.
        oneway = np.array([r.is_oneway for r in e.rules], dtype=np.bool_)[e.rule]
        real = np.column_stack([np.ones(e.n_bundles, np.bool_), ~oneway]).ravel()
        rows, columns, values = [], [], []
        for at, sign in ((tail, 1.0), (head, -1.0)):
            own = np.flatnonzero(real & ~held[at])
            for number in range(n_ways):
                rows.append(n_ways * at[own] + number)
                columns.append(first + number * self.n_link + self.view.base[own])
                values.append(np.full(len(own), sign))
        return assemble(zip(rows, columns, values, strict=True), n_ways * e.n_devices, n)


def _inside(tree: Tree, at: int, envelope: int, n: int) -> sparse.csr_matrix:
    """Return: the flow on every class of links stays within its part of the envelope."""
    moves, view = tree.moves, tree.view
    on = np.flatnonzero(moves.link >= 0)
    links, row = np.unique(moves.link[on], return_inverse=True)
    flow = row.ravel(), at + on, np.ones(len(on))
    part = np.arange(len(links)), envelope + view.base[links], -tree.part[links]
    return assemble([flow, part], len(links), n)


def pack(task: Task) -> Packing:
    """Return the best rate of a collective, by all groups at once.

    Raises
    ------
    QuestionError
        If a group has a single rank, or the program is not solved.
    """
    base = task.question.base
    if task.root is not None:
        base = task.quotient(fixed=() if task.question.spans else (task.root,))
    groups = _groups(task, base)
    is_single = task.is_even and len(task.ways) == 1 and not task.is_mirrored and not task.question.spans
    n_columns, why = sum(g.n_columns for g in groups), ""
    if is_single:
        rate, bound, n = _by_rank(groups[0], base)
    elif task.collective != "all-reduce":
        rate, bound, n = _by_program(groups, base)
    else:
        rate, bound, n = _by_parts(groups[0])
        why = "by what parts of the ranks must take in"
        if n_columns > MANY_COLUMNS:
            why += f": its program has {n_columns:,} variables, more than {MANY_COLUMNS:,}"
        else:
            # Both bounds hold; the tighter one counts.
            solved = _by_program(groups, base)
            n, why = solved[2], why if rate < solved[0] * (1 - _NEAR) else ""
            rate, bound = (rate, bound) if why else solved[:2]
    rows = np.isin(base.base.reshape(-1, 2), bound).any(axis=1)
    rules = sorted({int(r) for r in base.classes.rule[rows]})
    names = tuple(base.classes.rules[r].name for r in rules)
    return Packing(rate, names, max(g.n_ranks for g in groups), n, why)


def _by_rank(group: RankGroup, base: Quotient) -> tuple[float, Ints, int]:
    """Return the least rate at which a rank is fed, the base links that limit it, and the moves looked at."""
    capacity = capacities(base)
    n_roots = float(group.view.size[group.roots(group.view)].sum())
    own = 0.0 if group.root is not None else 1.0 / n_roots
    rate, binding = np.inf, np.zeros(0, dtype=np.int64)
    for tree in group.trees:
        weight = np.where(tree.root >= 0, tree.view.size / n_roots, 0.0)
        one, links = fed(tree, capacity, weight, own, rate)
        if one < rate:
            rate, binding = one, tree.view.base[links]
    return rate, binding, sum(len(t.moves.tail) for t in group.trees)


def _by_parts(group: RankGroup) -> tuple[float, Ints, int]:
    """Return the bound by partitions of one group, the base links that limit it, and the moves looked at.

    All other groups leave it all links.
    """
    task, n_ways = group.task, len(group.task.ways)
    ranks, axes = [], set()
    for tree in group.trees[::n_ways]:
        own = int(tree.moves.device[tree.rank])
        n_alike = float(group.view.size[tree.rank_class])
        holding = task.question.inside(tree.view)
        ranks.append(RanksSeen(tree.view, own, group.members_of(tree.view), holding, n_alike))
        axes |= {p for p, _ in tree.view.index[own]}
    order = tuple(p for p in nesting(task.blueprint, task.question.ties).order if p in axes)
    rate, links, n = least_by_parts(ranks, order, task.reducing, paths=task.paths)
    return rate, np.unique(group.to_base()[links]), n


def _by_program(groups: list[RankGroup], base: Quotient) -> tuple[float, Ints, int]:
    """Return the optimum of the linear program, the base links with a price, and its variables."""
    capacity = capacities(base)
    at = np.cumsum([0, *(g.n_columns for g in groups)]).tolist()
    n = at[-1] + 1
    used = np.flatnonzero(capacity > 0)
    row_of = np.full(len(capacity), -1, dtype=np.int64)
    row_of[used] = np.arange(len(used))
    equal = [m for g, first in zip(groups, at, strict=False) for m in g.equal(first, n)]
    within = [m for g, first in zip(groups, at, strict=False) for m in g.within(first, n)]
    shared = sum(g.shared(first, n, row_of, len(used)) for g, first in zip(groups, at, strict=False))
    unit = unit_of(base.classes.rate_gbps)
    limit = np.concatenate([*(np.zeros(m.shape[0]) for m in within), capacity[used] / unit])
    x, dual = maximize(sparse.vstack(equal).tocsr(), sparse.vstack([*within, shared]).tocsr(), limit)
    paid = dual[-len(used) :] if len(used) else dual[:0]
    bound = used[paid > 1e-9 * max(float(paid.max(initial=0.0)), 1e-300)]
    return float(x[-1]) * unit, bound, n


def _groups(task: Task, base: Quotient) -> list[RankGroup]:
    """Return one group of every class of groups.

    Two groups that both have a rank of some base class are images of one another, so every base class of
    ranks belongs to one class of groups.
    """
    left = np.flatnonzero(task.question.inside(base)).tolist()
    found = []
    while left:
        group = RankGroup(task, base, left[0])
        own = set(group.base_device[group.members].tolist())
        left = [i for i in left if int(base.origin[i]) not in own]
        found.append(group)
    return found
