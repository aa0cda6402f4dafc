"""A collective on a blueprint, and one of its groups of ranks: columns and rows in the program of its bound.

What the rows say stands in `fabric.bounds.packing`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.bounds.trees import Tree, tree_of
from fabric.errors import QuestionError, setting
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.lp import Entries, Rows, assemble, balance_entries
from fabric.graph import Paths
from fabric.symmetry import Mark, Quotient, quotient


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
        has_both_ways = self.collective == "all-reduce"
        return has_both_ways and self.is_even and not any(r.is_peer for r in self.blueprint.rules)

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
    rank_class : int
        Base class of some rank of the group.
    """

    def __init__(self, task: Task, base: Quotient, rank_class: int) -> None:
        self.task = task
        # A group is where its ranks agree: the axes that it does not span, marked as one.
        home = dict(base.index[rank_class])
        spans = task.question.spans
        self.mark = tuple((p, i) for p, i in sorted(home.items()) if p not in spans) if spans else ()
        self.root: Mark | None = None
        if task.root is not None:
            root_index = dict(task.root)
            self.root = tuple(
                (p, root_index[p] if not spans or p in spans else i) for p, i in sorted(home.items())
            )
        fixed = (*((self.mark,) if self.mark else ()), *((self.root,) if self.root is not None else ()))
        self.fixed = fixed
        self.view = base
        # Both quotients have the same marks, so their classes come in the same order.
        self.base_link, self.base_device = base.base, base.origin
        # The view tells this group from those like it; its classes are still those of the base.
        if spans and fixed:
            self.view = task.quotient(fixed=fixed)
            marked = task.quotient(fixed)
            self.base_link, self.base_device = marked.base, marked.origin
        self.members = self.members_of(self.view)
        self.n_ranks = round(float(self.view.size[self.members].sum()))
        alike = self.members & (self.base_device == base.origin[rank_class])
        # Ranks of the base class, over those of them that are in this one group.
        self.n_groups = float(base.size[rank_class]) / float(self.view.size[alike].sum())
        self.n_root = int(self.view.origin.max()) + 1
        self.n_link = int(self.view.base.max(initial=-1)) + 1
        if self.n_ranks < 2:
            msg = f"{task.collective} needs at least 2 ranks; a group has {self.n_ranks}"
            raise QuestionError(msg)
        if self.root is not None and not self.roots(self.view).any():
            where = "/".join(f"{axis}{i}" for axis, i in self.root)
            msg = f"the root of a group, at {where}, is down or absent; choose another with {setting('root')}"
            raise QuestionError(msg)
        self.trees = self._trees()

    def with_trees(self, trees: list[Tree]) -> RankGroup:
        """Return the group with some of its flows alone."""
        group = copy(self)
        group.trees = trees
        return group

    def members_of(self, view: Quotient) -> Bools:
        """Return the device classes of the ranks."""
        members = self.task.question.inside(view)
        for p, k in self.mark:
            members &= view.places[p] == k
        return members

    def _trees(self) -> list[Tree]:
        """Return the flows that the collective needs, for every class of ranks."""
        trees = []
        for rank_class in np.flatnonzero(self.members).tolist():
            mark = self.view.index[rank_class]
            # A root holds, or gets, all that it needs.
            if mark == self.root:
                continue
            view = self.task.quotient((mark,), fixed=self.fixed)
            group = int(self.view.classes.group[rank_class])
            # The class of the one device that the view marks.
            marked = int(np.flatnonzero((view.classes.group == group) & view.is_at(mark))[0])
            roots, paths = self.roots(view), self.task.paths
            holding = self.task.question.inside(view)
            trees += [
                tree_of(view, marked, roots, holding, paths=paths, is_inward=way) for way in self.task.ways
            ]
        return trees

    def marks(self, tree: Tree) -> tuple[Mark, ...]:
        """Return all devices that the view of a tree tells apart, in the order of its marks."""
        return (*self.fixed, tree.view.index[int(tree.moves.device[tree.rank])])

    def roots(self, view: Quotient) -> Bools:
        """Return the device classes of a view that may be roots."""
        members = self.members_of(view)
        if self.root is not None:
            return members & view.is_at(self.root)
        names = list(self.task.blueprint.groups)
        return members | np.isin(view.classes.group, [names.index(g) for g in self.task.reducing])

    @property
    def n_columns(self) -> int:
        """Columns of the program: weights of root classes, an envelope for each way, flows."""
        return self._first_flow + sum(len(t.moves.tail) for t in self.trees)

    @property
    def _first_flow(self) -> int:
        return self.n_root + len(self.task.ways) * self.n_link

    def equal(self, first: int, n: int) -> list[Rows]:
        """Return the rows that are 0: columns of the group begin at `first`, the rate is column ``n - 1``."""
        rows = [self._weights(first, n), self._conserve(first + self.n_root, n)]
        at = first + self._first_flow
        for tree in self.trees:
            rows.append(self._balance(tree, at, first, n))
            at += len(tree.moves.tail)
        return rows

    def within(self, first: int, n: int) -> list[Rows]:
        """Return the rows that are at most 0: flows stay within their part of the envelope."""
        rows = []
        at = first + self._first_flow
        for tree in self.trees:
            envelope = first + self.n_root + self.n_link * self.task.ways.index(tree.is_inward)
            rows.append(_inside(tree, at, envelope, n))
            at += len(tree.moves.tail)
        return rows

    def to_base(self) -> Ints:
        """Return the base class of every class of links of the group, or -1."""
        to_base = np.full(self.n_link, -1, dtype=np.int64)
        to_base[self.view.base] = self.base_link
        return to_base

    def shared(self, first: int, row_of: Ints) -> Entries:
        """Return what the group, with all like it, takes of every base class of links."""
        to_base = self.to_base()
        ids = np.flatnonzero(to_base >= 0)
        ids = ids[row_of[to_base[ids]] >= 0]
        rows = row_of[to_base[ids]]
        ways = [self.n_link * number + ids for number in range(len(self.task.ways))]
        # What flows inward over a link is what flows outward over its way back: both take of the link.
        if self.task.is_mirrored:
            ways.append(ids ^ 1)
        columns = first + self.n_root + np.concatenate(ways)
        return np.tile(rows, len(ways)), columns, np.full(len(columns), self.n_groups)

    def _balance(self, tree: Tree, at: int, first: int, n: int) -> Rows:
        """Return: what leaves a state beyond what enters is the weight of its roots, or the rate."""
        moves = tree.moves
        sign = -1.0 if tree.is_inward else 1.0
        roots = np.flatnonzero(tree.root >= 0)
        # The part of which the rank is itself the root stays where it is; that of no root weighs nothing.
        rate, own_weight = n - 1, first + tree.rank_class
        at_rank = np.array([tree.rank, tree.rank]), np.array([rate, own_weight]), np.array([sign, -sign])
        at_roots = tree.root[roots], first + tree.view.origin[roots], -sign * tree.view.size[roots]
        return assemble([*balance_entries(moves.tail, moves.head, at), at_roots, at_rank], moves.n_states, n)

    def _weights(self, first: int, n: int) -> Rows:
        """Return: the weights of the roots add up to the rate; equal where each rank holds a part."""
        roots = self.roots(self.view)
        size = np.bincount(self.view.origin[roots], self.view.size[roots], minlength=self.n_root)
        used, unused = np.flatnonzero(size), np.flatnonzero(size == 0)
        # Row 0: weights times devices, less the rate. Then one row for each class without roots: weight 0.
        rows = [np.zeros(len(used) + 1, np.int64), 1 + np.arange(len(unused))]
        columns = [np.append(first + used, n - 1), first + unused]
        values = [np.append(size[used], -1.0), np.ones(len(unused))]
        n_rows = 1 + len(unused)
        if self.task.collective in ("all-gather", "reduce-scatter"):
            # Each rank holds as much: the weight of every class is that of the first.
            later = used[1:]
            rows.append(n_rows + np.repeat(np.arange(len(later)), 2))
            columns.append(first + np.column_stack([later, np.full(len(later), used[0])]).ravel())
            values.append(np.tile([1.0, -1.0], len(later)))
            n_rows += len(later)
        return assemble(zip(rows, columns, values, strict=True), n_rows, n)

    def _conserve(self, first: int, n: int) -> Rows:
        """Return: what neither holds data nor reduces sends on as much as it takes in, in either envelope."""
        e, n_ways = self.view.classes, len(self.task.ways)
        names = list(self.task.blueprint.groups)
        # Ranks hold data and make copies of it, or add; so do switches that reduce.
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
            passing = np.flatnonzero(real & ~held[at])
            for number in range(n_ways):
                rows.append(n_ways * at[passing] + number)
                columns.append(first + number * self.n_link + self.view.base[passing])
                values.append(np.full(len(passing), sign))
        return assemble(zip(rows, columns, values, strict=True), n_ways * e.n_devices, n)


def _inside(tree: Tree, at: int, envelope: int, n: int) -> Rows:
    """Return: the flow on every class of links stays within its part of the envelope."""
    moves, view = tree.moves, tree.view
    on = np.flatnonzero(moves.link >= 0)
    links, row = np.unique(moves.link[on], return_inverse=True)
    flow = row.ravel(), at + on, np.ones(len(on))
    # The envelope is of a class of the group; a class of the view is a part of that.
    part = np.arange(len(links)), envelope + view.base[links], -tree.part[links]
    return assemble([flow, part], len(links), n)
