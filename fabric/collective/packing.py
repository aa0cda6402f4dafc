"""The linear program of a collective's bound: weights of roots, envelopes of capacity, a flow for every rank.

Every group of ranks has an envelope: what its data takes of every class of links, outward from the roots and
inward to them. Groups that automorphisms map onto each other are alike, so one of them is in the program for
all::

    maximize   rate
    outward    roots --weights--> rank takes in rate - its own weight      a flow within the envelope, for
    every rank inward     rank sends rate - its own weight --> roots links      sum over group classes of
    groups * (outward + inward)  <=  capacity
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.errors import QuestionError
from fabric.flow.program import capacities, maximize
from fabric.flow.traffic import Question
from fabric.graph import Forwarding, Paths, forwarding
from fabric.parts import catalogue
from fabric.symmetry import Mark, Quotient, quotient

Entries = tuple[list[Ints], list[Ints], list[Floats]]
"""Rows, columns and values of a part of the program."""


@dataclass(frozen=True, eq=False)
class Trees:
    """Flow between the roots and one rank, on the classes that keep that rank in place.

    Parameters
    ----------
    view : Quotient
        With the group and the rank marked; ``base`` and ``origin`` refer to the classes of the group.
    moves : Forwarding
    rank : int
        State in which the rank sends (inward) or receives (outward).
    rank_class : int
        Class of the rank among the classes of the group.
    root : ndarray of int64
        State in which each device class of the view takes part as a root, or -1.
    is_inward : bool
    """

    view: Quotient
    moves: Forwarding
    rank: int
    rank_class: int
    root: Ints
    is_inward: bool


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
    """

    rate_gbps: float
    binding: tuple[str, ...]
    n_ranks: int
    n_variables: int


@dataclass(frozen=True, eq=False)
class Task:
    """A collective on a blueprint.

    Parameters
    ----------
    blueprint : Blueprint
    question : Question
        All-to-all among the ranks, over the axes of a group.
    operation : str
    root : Mark or None
        For broadcast and reduce, the root; with several groups its indices on their axes count.
    paths : {"rules", "no-relay", "any"}
    reducing : tuple of str
        Device groups whose switches reduce, and may be roots.
    """

    blueprint: Blueprint
    question: Question
    operation: str
    root: Mark | None
    paths: Paths
    reducing: tuple[str, ...]

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


def reducing_groups(blueprint: Blueprint) -> tuple[str, ...]:
    """Return the device groups of switches whose part reduces."""
    parts = catalogue().parts
    groups = blueprint.groups.values()
    return tuple(
        g.name for g in groups if g.kind == "switch" and g.part and parts[g.part.id].in_network_reduction
    )


class Group:
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
        self.members = self._members(self.view)
        self.n_ranks = round(float(self.view.size[self.members].sum()))
        alike = self.members & (self.base_device == base.origin[one])
        self.n_groups = float(base.size[one]) / float(self.view.size[alike].sum())
        self.n_root = int(self.view.origin.max()) + 1
        self.n_link = int(self.view.base.max(initial=-1)) + 1
        if self.n_ranks < 2:
            msg = f"{task.operation} needs at least 2 ranks; a group has {self.n_ranks}"
            raise QuestionError(msg)
        self.trees = self._trees()

    def _members(self, view: Quotient) -> Bools:
        """Return the device classes of the ranks."""
        found = self.task.question.inside(view)
        for i in np.flatnonzero(found).tolist() if self.mark else []:
            at = dict(view.index[i])
            found[i] = all(at.get(p) == k for p, k in self.mark)
        return found

    def _trees(self) -> list[Trees]:
        """Return the flows that the operation needs: outward, inward, or both, for every class of ranks."""
        inward = {
            "all-gather": (False,),
            "broadcast": (False,),
            "reduce-scatter": (True,),
            "reduce": (True,),
        }.get(self.task.operation, (False, True))
        found = []
        for one in np.flatnonzero(self.members).tolist():
            mark = self.view.index[one]
            if mark == self.root:
                continue
            view = self.task.quotient((mark,), fixed=self.fixed)
            group = int(self.view.classes.group[one])
            hits = (view.index[i] == mark for i in np.flatnonzero(view.classes.group == group))
            own = int(np.flatnonzero(view.classes.group == group)[list(hits).index(True)])
            found += [self._tree(view, own, is_inward=way) for way in inward]
        return found

    def _tree(self, view: Quotient, own: int, *, is_inward: bool) -> Trees:
        # Endpoints hold the data, so they pass it on whatever their transit.
        free = tuple(replace(g, transit="all") if g.is_endpoint else g for g in view.classes.groups)
        classes = replace(view.classes, groups=free)
        roots = self.roots(view)
        rank = np.zeros(len(view.size), dtype=np.bool_)
        rank[own] = True
        roots[own] = False
        sides = (rank, roots) if is_inward else (roots, rank)
        moves = forwarding(classes, *sides, paths=self.task.paths)
        at = moves.source if is_inward else moves.target
        root = moves.target if is_inward else moves.source
        return Trees(view, moves, int(at[own]), int(view.origin[own]), np.where(roots, root, -1), is_inward)

    def roots(self, view: Quotient) -> Bools:
        """Return the device classes of a view that may be roots."""
        found = self._members(view)
        if self.root is not None:
            return found & np.array([index == self.root for index in view.index], dtype=np.bool_)
        names = list(self.task.blueprint.groups)
        return found | np.isin(view.classes.group, [names.index(g) for g in self.task.reducing])

    @property
    def n_columns(self) -> int:
        """Columns of the program: weights of root classes, envelopes outward and inward, flows."""
        return self.n_root + 2 * self.n_link + sum(len(t.moves.tail) for t in self.trees)

    def equal(self, first: int, n: int) -> list[sparse.coo_matrix]:
        """Return the rows that are 0: columns of the group begin at `first`, the rate is column ``n - 1``."""
        found = [self._weights(first, n), self._carried(first + self.n_root, n)]
        at = first + self.n_root + 2 * self.n_link
        for tree in self.trees:
            found.append(self._balance(tree, at, first, n))
            at += len(tree.moves.tail)
        return found

    def within(self, first: int, n: int) -> list[sparse.coo_matrix]:
        """Return the rows that are at most 0: flows stay within their part of the envelope."""
        found = []
        at = first + self.n_root + 2 * self.n_link
        for tree in self.trees:
            envelope = first + self.n_root + (self.n_link if tree.is_inward else 0)
            found.append(_inside(tree, at, envelope, n))
            at += len(tree.moves.tail)
        return found

    def shared(self, first: int, n: int, row_of: Ints, n_rows: int) -> sparse.coo_matrix:
        """Return what the group, with all like it, takes of every base class of links."""
        to_base = np.full(self.n_link, -1, dtype=np.int64)
        to_base[self.view.base] = self.base_link
        ids = np.flatnonzero(to_base >= 0)
        ids = ids[row_of[to_base[ids]] >= 0]
        rows = row_of[to_base[ids]]
        columns = first + self.n_root + np.concatenate([ids, self.n_link + ids])
        values = np.full(2 * len(ids), self.n_groups)
        return sparse.coo_matrix((values, (np.tile(rows, 2), columns)), shape=(n_rows, n))

    def _balance(self, tree: Trees, at: int, first: int, n: int) -> sparse.coo_matrix:
        """Return: what leaves a state beyond what enters is the weight of its roots, or the rate."""
        moves = tree.moves
        k = len(moves.tail)
        sign = -1.0 if tree.is_inward else 1.0
        roots = np.flatnonzero(tree.root >= 0)
        # The part of which the rank is itself the root stays where it is.
        own = 1.0 if self.roots(self.view)[self.view.origin == tree.rank_class].any() else 0.0
        rows = [moves.tail, moves.head, tree.root[roots], np.array([tree.rank, tree.rank])]
        columns = [
            at + np.arange(k),
            at + np.arange(k),
            first + tree.view.origin[roots],
            np.array([n - 1, first + tree.rank_class]),
        ]
        values = [np.ones(k), -np.ones(k), -sign * tree.view.size[roots], np.array([sign, -sign * own])]
        return _matrix((rows, columns, values), moves.n_states, n)

    def _weights(self, first: int, n: int) -> sparse.coo_matrix:
        """Return: the weights of the roots add up to the rate; equal where each rank holds a part."""
        roots = self.roots(self.view)
        size = np.bincount(self.view.origin[roots], self.view.size[roots], minlength=self.n_root)
        used, unused = np.flatnonzero(size), np.flatnonzero(size == 0)
        rows = [np.zeros(len(used) + 1, np.int64), 1 + np.arange(len(unused))]
        columns = [np.append(first + used, n - 1), first + unused]
        values = [np.append(size[used], -1.0), np.ones(len(unused))]
        n_rows = 1 + len(unused)
        if self.task.operation in ("all-gather", "reduce-scatter"):
            rest = used[1:]
            rows.append(n_rows + np.repeat(np.arange(len(rest)), 2))
            columns.append(first + np.column_stack([rest, np.full(len(rest), used[0])]).ravel())
            values.append(np.tile([1.0, -1.0], len(rest)))
            n_rows += len(rest)
        return _matrix((rows, columns, values), n_rows, n)

    def _carried(self, first: int, n: int) -> sparse.coo_matrix:
        """Return: what neither holds data nor reduces sends on as much as it takes in, in either envelope."""
        e = self.view.classes
        names = list(self.task.blueprint.groups)
        held = e.is_endpoint | np.isin(e.group, [names.index(g) for g in self.task.reducing])
        tail = np.column_stack([e.tail, e.head]).ravel()
        head = np.column_stack([e.head, e.tail]).ravel()
        # One-way cables have no way back; peers are listed once for each direction, one-way.
        oneway = np.array([r.is_oneway for r in e.rules], dtype=np.bool_)[e.rule]
        real = np.column_stack([np.ones(e.n_bundles, np.bool_), ~oneway]).ravel()
        rows, columns, values = [], [], []
        for at, sign in ((tail, 1.0), (head, -1.0)):
            own = np.flatnonzero(real & ~held[at])
            for number in (0, 1):
                rows.append(2 * at[own] + number)
                columns.append(first + number * self.n_link + self.view.base[own])
                values.append(np.full(len(own), sign))
        return _matrix((rows, columns, values), 2 * e.n_devices, n)


def _inside(tree: Trees, at: int, envelope: int, n: int) -> sparse.coo_matrix:
    """Return: the flow on every class of links stays within its part of the envelope."""
    moves, view = tree.moves, tree.view
    on = np.flatnonzero(moves.link >= 0)
    links, row = np.unique(moves.link[on], return_inverse=True)
    whole = np.zeros(int(view.base.max()) + 1)
    own = np.repeat(view.classes.count.astype(np.float64), 2)
    np.add.at(whole, view.base, own)
    part = own[links] / whole[view.base[links]]
    rows = [row.ravel(), np.arange(len(links))]
    columns = [at + on, envelope + view.base[links]]
    return _matrix((rows, columns, [np.ones(len(on)), -part]), len(links), n)


def _matrix(entries: Entries, n_rows: int, n: int) -> sparse.coo_matrix:
    rows, columns, values = (np.concatenate(part) for part in entries)
    return sparse.coo_matrix((values, (rows, columns)), shape=(n_rows, n))


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
    capacity = capacities(base)
    groups = _groups(task, base)
    at = np.cumsum([0, *(g.n_columns for g in groups)]).tolist()
    n = at[-1] + 1
    used = np.flatnonzero(capacity > 0)
    row_of = np.full(len(capacity), -1, dtype=np.int64)
    row_of[used] = np.arange(len(used))
    equal = [m for g, first in zip(groups, at, strict=False) for m in g.equal(first, n)]
    within = [m for g, first in zip(groups, at, strict=False) for m in g.within(first, n)]
    shared = sum(g.shared(first, n, row_of, len(used)).tocsr() for g, first in zip(groups, at, strict=False))
    limit = np.concatenate([*(np.zeros(m.shape[0]) for m in within), capacity[used]])
    x, dual = maximize(sparse.vstack(equal).tocsr(), sparse.vstack([*within, shared]).tocsr(), limit)
    paid = dual[-len(used) :]
    bound = used[paid > 1e-9 * max(float(paid.max(initial=0.0)), 1e-300)]
    rows = np.isin(base.base.reshape(-1, 2), bound).any(axis=1)
    rules = sorted({int(r) for r in base.classes.rule[rows]})
    names = tuple(base.classes.rules[r].name for r in rules)
    return Packing(float(x[-1]), names, max(g.n_ranks for g in groups), n)


def _groups(task: Task, base: Quotient) -> list[Group]:
    """Return one group of every class of groups.

    Two groups that both have a rank of some base class are images of one another, so every base class of
    ranks belongs to one class of groups.
    """
    left = np.flatnonzero(task.question.inside(base)).tolist()
    found = []
    while left:
        group = Group(task, base, left[0])
        own = set(group.base_device[group.members].tolist())
        left = [i for i in left if int(base.origin[i]) not in own]
        found.append(group)
    return found
