"""What no algorithm can beat: bounds of collectives by cuts, on the quotient.

A collective moves data along trees whose roots hold, or gather, a part of the buffer each. Packing trees is possible
up to the smallest cut, so for an all-gather the rate is the largest x at which every endpoint, fed by all others
with x each, can take it all in (Edmonds, "Edge-disjoint branchings", 1973; ForestColl, arXiv 2402.06787, section 4).
A reduce-scatter is the same on reversed links. An all-reduce reduces into roots and spreads from them; both share the
links, and the weights of the roots are free. A switch that reduces may be a root itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.collective.algorithms import busbw_factor
from fabric.errors import QuestionError
from fabric.flow.program import capacities, maximize
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Question, Traffic
from fabric.graph import Fabric, Forwarding, Paths, forwarding
from fabric.parts import catalogue
from fabric.symmetry import Mark, Quotient, quotient
from fabric.units import format_bytes, format_rate, format_time, parse_bytes, seconds_to_send

OPERATIONS = ("all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all")


@dataclass(frozen=True, slots=True)
class Bound:
    """Answer of `bound`.

    Parameters
    ----------
    operation : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks : int
        In one group.
    algbw_gbps, busbw_gbps : float
        No algorithm exceeds them [Gb/s].
    time_s : float
        No algorithm is faster [s].
    kind : {"optimum", "upper bound"}
        ``optimum`` where an algorithm is known to reach it: trees over freely forwarding devices on links of equal
        rate both ways.
    paths : str
    reduces_in : tuple of str
        Device groups whose switches reduce, and may be roots.
    binding : tuple of str
        Rules with a price in the program.
    n_variables : int
    """

    operation: str
    size_bytes: int
    n_ranks: int
    algbw_gbps: float
    busbw_gbps: float
    time_s: float
    kind: Literal["optimum", "upper bound"]
    paths: Paths
    reduces_in: tuple[str, ...]
    binding: tuple[str, ...]
    n_variables: int

    def to_dict(self) -> dict[str, object]:
        """Return the answer with the documented keys of ``--json``."""
        return {
            "collective": self.operation,
            "size_bytes": self.size_bytes,
            "n_ranks": self.n_ranks,
            "status": self.kind,
            "algbw_gbps": self.algbw_gbps,
            "busbw_gbps": self.busbw_gbps,
            "time_s": self.time_s,
            "paths": self.paths,
            "reduces_in": list(self.reduces_in),
            "binding": [{"link": name, "share": None} for name in self.binding],
            "variables": self.n_variables,
        }

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        where = f", reducing in {', '.join(self.reduces_in)}" if self.reduces_in else ""
        return "\n".join(
            [
                f"{self.operation} of {format_bytes(self.size_bytes)} among {self.n_ranks:,} ranks{where}: "
                f"at least {format_time(self.time_s)}",
                f"  algbw at most {format_rate(self.algbw_gbps)}, busbw at most {format_rate(self.busbw_gbps)} ({self.kind})",
                f"  binding: {', '.join(self.binding)}",
            ]
        )


def bound(
    fabric: Fabric,
    operation: str,
    size: int | str = "1GiB",
    *,
    over: Sequence[str] = (),
    among: str | None = None,
    root: str = "",
    paths: Paths = "rules",
    in_network: bool = True,
) -> Bound:
    """Return the bound of a collective.

    Parameters
    ----------
    fabric : Fabric
        Declared by axes.
    operation : {"all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all"}
    size : int or str
        Bytes by the convention of nccl-tests.
    over : sequence of str
        Axes that a group spans; one group for each index of the other axes, all at once on shared links.
    among : str, optional
        Selector of the ranks.
    root : str
        For broadcast and reduce: selector of one endpoint.
    paths : {"rules", "no-relay", "any"}
        Path rule of the devices between; endpoints always pass data on, because they hold it.
    in_network : bool
        Whether switches whose part reduces may do so (all-reduce and reduce).

    Returns
    -------
    Bound

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 8}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},"
    >>> text += " links: [{between: [gpu, leaf], rate: 300GB/s}]}"
    >>> round(bound(loads(text), "all-gather").algbw_gbps / 8, 6)
    342.857143
    """
    size_bytes = parse_bytes(size)
    if operation not in OPERATIONS:
        msg = f"unknown collective {operation!r}; bounds are known for {', '.join(OPERATIONS)}"
        raise QuestionError(msg)
    if fabric.blueprint is None:
        msg = "bounds of collectives need a fabric declared by axes"
        raise QuestionError(msg)
    if operation == "all-to-all":
        return _all_to_all(fabric, size_bytes, over, among, paths)
    question = Question(fabric.blueprint, Traffic("all-to-all", tuple(over)), among, paths)
    program = _Program(fabric.blueprint, question, operation, root, paths, in_network)
    rate, prices, n_variables = program.solve()
    n = program.n_ranks
    factor = 1.0 if operation in ("broadcast", "reduce") else busbw_factor(operation, n)
    return Bound(
        operation,
        size_bytes,
        n,
        rate,
        rate * factor,
        seconds_to_send(size_bytes, rate) if rate > 0 else float("inf"),
        program.kind(),
        paths,
        program.reducing,
        prices,
        n_variables,
    )


def _all_to_all(
    fabric: Fabric, size_bytes: int, over: Sequence[str], among: str | None, paths: Paths
) -> Bound:
    answer = throughput(fabric, "all-to-all", among=among, over=over, paths=paths)
    question = Question(fabric.blueprint, Traffic("all-to-all", tuple(over)), among, paths)  # type: ignore[arg-type]
    n = question.group_size()
    rate = answer.per_endpoint_gbps
    algbw = rate * n / (n - 1)
    names = tuple(c.link for c in answer.binding)
    time_s = seconds_to_send(size_bytes, algbw)
    kind: Literal["optimum", "upper bound"] = "optimum" if answer.status == "optimal" else "upper bound"
    return Bound("all-to-all", size_bytes, n, algbw, rate, time_s, kind, paths, (), names, answer.n_variables)


@dataclass(frozen=True, eq=False)
class _Trees:
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


class _Program:
    """Linear program: weights of roots, an envelope of capacity inward and outward, and a flow for every rank class."""

    def __init__(
        self,
        blueprint: Blueprint,
        question: Question,
        operation: str,
        root: str,
        paths: Paths,
        in_network: bool,
    ) -> None:
        self.blueprint, self.question, self.operation, self.paths = blueprint, question, operation, paths
        base = question.base
        first = int(np.flatnonzero(question.ends)[0])
        home = base.index[first]
        free = {p for p, _ in home} if not question.spans else set(question.spans)
        self.group_mark: tuple[Mark, ...] = (
            (tuple((p, i) for p, i in home if p not in free),) if question.spans else ()
        )
        self.fixed = self.group_mark
        self.root_mark: Mark | None = None
        if operation in ("broadcast", "reduce"):
            self.root_mark = question.one(root) if root else home
            self.fixed = (*self.group_mark, self.root_mark)
        self.capacity = capacities(base)
        self.group = quotient(blueprint, self.fixed, apart=question.apart, ties=question.ties)
        self.view = quotient(blueprint, apart=question.apart, ties=question.ties, fixed=self.fixed)
        self.members = self._members(self.view)
        self.n_ranks = round(float(self.view.size[self.members].sum()))
        total = float(base.size[question.ends].sum())
        self.n_groups = total / self.n_ranks
        if self.n_ranks < 2:
            msg = f"{operation} needs at least 2 ranks; a group has {self.n_ranks}"
            raise QuestionError(msg)
        self.reducing = self._reducing() if in_network and operation in ("all-reduce", "reduce") else ()

    def _reducing(self) -> tuple[str, ...]:
        parts = catalogue().parts
        groups = self.blueprint.groups.values()
        able = [
            g.name for g in groups if g.kind == "switch" and g.part and parts[g.part.id].in_network_reduction
        ]
        return tuple(able) if self.operation == "all-reduce" else ()

    def _members(self, view: Quotient) -> Bools:
        """Return the device classes of the ranks of the one group."""
        found = self.question.inside(view)
        for mark in self.group_mark:
            for i in np.flatnonzero(found).tolist():
                at = dict(view.index[i])
                found[i] = all(at.get(p) == k for p, k in mark)
        return found

    def kind(self) -> Literal["optimum", "upper bound"]:
        """Return whether an algorithm is known to reach the bound."""
        one_way = any(r.is_oneway for r in self.blueprint.rules)
        is_free = self.paths == "any" or all(
            g.transit == "all" or g.kind == "switch" for g in self._between()
        )
        is_known = (
            self.operation in ("all-gather", "reduce-scatter", "broadcast", "reduce") and not self.group_mark
        )
        return "optimum" if is_known and is_free and not one_way and self._is_single_tier() else "upper bound"

    def _between(self) -> list:  # type: ignore[type-arg]
        return [g for g in self.blueprint.groups.values() if not g.is_endpoint]

    def _is_single_tier(self) -> bool:
        """Return whether the path rule forbids nothing: every switch is joined with endpoints only."""
        if self.paths == "any":
            return True
        ends = {g.name for g in self.blueprint.groups.values() if g.is_endpoint}
        return all(r.left.group in ends or r.right.group in ends for r in self.blueprint.rules)

    def trees(self) -> list[_Trees]:
        """Return the flows that the operation needs: outward, inward, or both, for every class of ranks."""
        inward = {
            "all-gather": (False,),
            "broadcast": (False,),
            "reduce-scatter": (True,),
            "reduce": (True,),
        }.get(self.operation, (False, True))
        found = []
        for one in np.flatnonzero(self.members).tolist():
            mark = self.view.index[one]
            if mark == self.root_mark:
                continue
            view = quotient(
                self.blueprint, (mark,), apart=self.question.apart, ties=self.question.ties, fixed=self.fixed
            )
            own = next(
                i
                for i, index in enumerate(view.index)
                if index == mark and int(view.classes.group[i]) == int(self.view.classes.group[one])
            )
            found += [self._tree(view, own, is_inward=way) for way in inward]
        return found

    def _tree(self, view: Quotient, own: int, *, is_inward: bool) -> _Trees:
        ends = {g.name for g in self.blueprint.groups.values() if g.is_endpoint}
        free = tuple(replace(g, transit="all") if g.name in ends else g for g in view.classes.groups)
        classes = replace(view.classes, groups=free)
        roots = self._roots(view)
        rank = np.zeros(len(view.size), dtype=np.bool_)
        rank[own] = True
        roots[own] = False
        moves = forwarding(
            classes, rank if is_inward else roots, roots if is_inward else rank, paths=self.paths
        )
        at = moves.source if is_inward else moves.target
        root = moves.target if is_inward else moves.source
        return _Trees(view, moves, int(at[own]), int(view.origin[own]), np.where(roots, root, -1), is_inward)

    def _roots(self, view: Quotient) -> Bools:
        if self.root_mark is not None:
            group = int(self.view.classes.group[self._class_of_root()])
            hits = [
                index == self.root_mark and int(g) == group
                for index, g in zip(view.index, view.classes.group, strict=True)
            ]
            return np.array(hits, dtype=np.bool_)
        found = self._members(view)
        names = list(self.blueprint.groups)
        return found | np.isin(view.classes.group, [names.index(g) for g in self.reducing])

    def _class_of_root(self) -> int:
        return next(
            i for i, index in enumerate(self.view.index) if index == self.root_mark and self.members[i]
        )

    def solve(self) -> tuple[float, tuple[str, ...], int]:
        """Return the best rate [Gb/s], the rules with a price, and the size of the program."""
        trees = self.trees()
        n_root = int(self.view.origin.max()) + 1
        n_link = int(self.view.base.max(initial=-1)) + 1
        # Columns: weights of root classes, envelope outward, envelope inward, flows, rate.
        flow_at = np.cumsum([n_root + 2 * n_link, *(len(t.moves.tail) for t in trees)])
        n = int(flow_at[-1]) + 1
        equal, upper = [], []
        for tree, at in zip(trees, flow_at[:-1].tolist(), strict=True):
            equal.append(self._balance(tree, at, n))
            upper.append(self._within(tree, at, n, n_root + (n_link if tree.is_inward else 0)))
        equal += [self._weights(n_root, n), self._carried(n_root, n_link, n)]
        shared, limit = self._shared(n_root, n_link, n)
        bounds = np.concatenate([*(np.zeros(u.shape[0]) for u in upper), limit])
        x, dual = maximize(sparse.vstack(equal).tocsr(), sparse.vstack([*upper, shared]).tocsr(), bounds)
        paid = dual[-len(limit) :]
        e = self.question.base.classes
        used = np.flatnonzero(self.capacity > 0)[paid > 1e-9 * max(float(paid.max(initial=0.0)), 1e-300)]
        rows = np.isin(self.question.base.base.reshape(-1, 2), used).any(axis=1)
        names = tuple(e.rules[r].name for r in sorted({int(r) for r in e.rule[rows]}))
        return float(x[-1]), names, n

    def _balance(self, tree: _Trees, at: int, n: int) -> sparse.coo_matrix:
        """Return: what leaves minus what enters a state is the weight of roots there, or the rate at the rank."""
        moves = tree.moves
        k = len(moves.tail)
        sign = -1.0 if tree.is_inward else 1.0
        rows = [moves.tail, moves.head]
        columns = [at + np.arange(k), at + np.arange(k)]
        values = [np.ones(k), -np.ones(k)]
        roots = np.flatnonzero(tree.root >= 0)
        rows.append(tree.root[roots])
        columns.append(tree.view.origin[roots])
        values.append(-sign * tree.view.size[roots])
        # The part of which the rank is itself the root stays where it is.
        own = 1.0 if self._roots(self.view)[self.view.origin == tree.rank_class].any() else 0.0
        rows.append(np.array([tree.rank, tree.rank]))
        columns.append(np.array([n - 1, tree.rank_class]))
        values.append(np.array([sign, -sign * own]))
        shape = (moves.n_states, n)
        return sparse.coo_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape
        )

    def _within(self, tree: _Trees, at: int, n: int, envelope: int) -> sparse.coo_matrix:
        """Return: the flow on every class of links stays within its part of the envelope."""
        moves, view = tree.moves, tree.view
        on = np.flatnonzero(moves.link >= 0)
        links, row = np.unique(moves.link[on], return_inverse=True)
        whole = np.zeros(int(view.base.max()) + 1)
        own = np.repeat(view.classes.count.astype(np.float64), 2)
        np.add.at(whole, view.base, own)
        part = own[links] / whole[view.base[links]]
        rows = np.concatenate([row.ravel(), np.arange(len(links))])
        columns = np.concatenate([at + on, envelope + view.base[links]])
        return sparse.coo_matrix(
            (np.concatenate([np.ones(len(on)), -part]), (rows, columns)), shape=(len(links), n)
        )

    def _weights(self, n_root: int, n: int) -> sparse.coo_matrix:
        """Return: the weights of the roots add up to the rate; equal for all ranks where each holds its own part."""
        roots = self._roots(self.view)
        size = np.bincount(self.view.origin[roots], self.view.size[roots], minlength=n_root)
        used = np.flatnonzero(size)
        rows, columns, values = (
            [np.zeros(len(used) + 1)],
            [np.append(used, n - 1)],
            [np.append(size[used], -1.0)],
        )
        n_rows = 1
        unused = np.setdiff1d(np.arange(n_root), used)
        rows.append(n_rows + np.arange(len(unused)))
        columns.append(unused)
        values.append(np.ones(len(unused)))
        n_rows += len(unused)
        if self.operation in ("all-gather", "reduce-scatter"):
            rest = used[1:]
            rows.append(n_rows + np.repeat(np.arange(len(rest)), 2))
            columns.append(np.column_stack([rest, np.full(len(rest), used[0])]).ravel())
            values.append(np.tile([1.0, -1.0], len(rest)))
            n_rows += len(rest)
        shape = (n_rows, n)
        return sparse.coo_matrix(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape
        )

    def _carried(self, n_root: int, n_link: int, n: int) -> sparse.coo_matrix:
        """Return: what neither holds data nor reduces sends on as much as it takes in, in either envelope."""
        e = self.view.classes
        held = e.is_endpoint | np.isin(e.group, [list(self.blueprint.groups).index(g) for g in self.reducing])
        tail = np.column_stack([e.tail, e.head]).ravel()
        head = np.column_stack([e.head, e.tail]).ravel()
        # One-way cables have no way back; peers are listed once for each direction, one-way.
        real = np.column_stack([np.ones(e.n_bundles, np.bool_), ~np.array([r.is_oneway for r in e.rules])[e.rule]]).ravel()
        rows, columns, values = [], [], []
        for at, sign in ((tail, 1.0), (head, -1.0)):
            own = np.flatnonzero(real & ~held[at])
            for number, first in enumerate((n_root, n_root + n_link)):
                rows.append(2 * at[own] + number)
                columns.append(first + self.view.base[own])
                values.append(np.full(len(own), sign))
        shape = (2 * e.n_devices, n)
        return sparse.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)

    def _shared(self, n_root: int, n_link: int, n: int) -> tuple[sparse.coo_matrix, Floats]:
        """Return: the envelopes of all groups fit into every base class of links."""
        to_base = np.full(n_link, -1)
        to_base[self.view.base] = self._base_of_view()
        used = np.flatnonzero(self.capacity > 0)
        row_of = np.full(len(self.capacity), -1)
        row_of[used] = np.arange(len(used))
        ids = np.flatnonzero(to_base >= 0)
        ids = ids[row_of[to_base[ids]] >= 0]
        rows = row_of[to_base[ids]]
        columns = np.concatenate([n_root + ids, n_root + n_link + ids])
        values = np.full(2 * len(ids), self.n_groups)
        matrix = sparse.coo_matrix((values, (np.tile(rows, 2), columns)), shape=(len(used), n))
        return matrix, self.capacity[used]

    def _base_of_view(self) -> Ints:
        """Return the base class of every link of the view of the group."""
        # Both quotients have the same marks, so their bundles come in the same order.
        return self.group.base
