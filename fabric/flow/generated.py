"""Large programs of flow, a tree of paths at a time.

Commodities share nothing but capacity. At given prices of the links the best way to meet one that starts or
ends at a single state is a tree of shortest paths, so a program of trees has a row for each commodity and
each class of links, and none for what balances at a state; trees are made as prices ask for them::

    by moves    128 commodities x 1,536 moves     33,536 rows     minutes
    by trees    128 commodities + 768 links          896 rows     a second or two, some 1,000 trees

References
----------
G. B. Dantzig and P. Wolfe, "Decomposition principle for linear programs", Operations Research 8, 1960; for
flows J. A. Tomlin, "Minimum-cost multicommodity network flows", Operations Research 14, 1966.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import FabricError
from fabric.flow.lp import Rows, run, start

ROUNDS, PATH_ROUNDS, _STEP = 10, 40, 0.5
"""Rounds of trees, and of paths, before the first program, and how much dearer the busiest link is then.
Between two GPUs of a rack are 18 NVLink chips, and the program asks for the paths of one pair at a time."""
MAX_ROUNDS = 1_000
"""Rounds of trees in one program; tens are needed."""
FEW_ENDS, FEW_ROUNDS = 4, 2
"""Trees of up to so many ends are paths, which settle in tens of rounds; larger ones settle in a few, where
much is alike, or not for long, as in a random graph of 80 devices."""
_MIXED, _NEAR = 0.5, 0.01
_PROVEN, _CHEAPER = 2e-10, 1e-10
_FREE = 1e-12
"""A link without a price counts as so much of the mean price, so that of equal ways the shortest is taken."""


@dataclass(frozen=True, eq=False)
class CommodityMoves:
    """A commodity as a program has it: numbers of states, moves and rows are those of the program.

    Parameters
    ----------
    tail, head : ndarray of int64, shape (k,)
        States of each move.
    supply : ndarray of float64, shape (n_states,)
        What enters (positive) and leaves (negative) at unit rate; on one side a single state.
    """

    tail: Ints
    head: Ints
    supply: Floats

    @property
    def is_out(self) -> bool:
        """Whether a single state sends; else a single one receives."""
        return int((self.supply > 0).sum()) == 1

    @property
    def has_root(self) -> bool:
        """Whether a single state sends or receives, and another does the other."""
        n = int((self.supply > 0).sum()), int((self.supply < 0).sum())
        return min(n) == 1


class TreeGrowth:
    """All commodities side by side in one graph, in which every tree grows from its root.

    Parameters
    ----------
    blocks : sequence of CommodityMoves
    load : Rows
        Load over capacity of each row, by move; the last column is the rate.
    """

    def __init__(self, blocks: Sequence[CommodityMoves], load: Rows) -> None:
        first = np.cumsum([0, *(len(b.supply) for b in blocks)])
        self.n_states, self.n_blocks = int(first[-1]), len(blocks)
        self.block = np.repeat(np.arange(len(blocks)), np.diff(first))
        self.amount = np.abs(np.concatenate([b.supply for b in blocks]))
        self.roots = np.array(
            [
                at + np.flatnonzero(b.supply > 0 if b.is_out else b.supply < 0)[0]
                for at, b in zip(first, blocks, strict=False)
            ]
        )
        self.amount[self.roots] = 0.0
        # Where a state receives, trees grow against the moves.
        near, far = (
            np.concatenate(
                [
                    at + ((b.tail if b.is_out else b.head) if is_near else (b.head if b.is_out else b.tail))
                    for at, b in zip(first, blocks, strict=False)
                ]
            )
            for is_near in (True, False)
        )
        # Each move has at most one row: the link that it passes.
        self.row, self.part = np.full(len(near), -1), np.zeros(len(near))
        on = load.column < len(near)
        self.row[load.column[on]], self.part[load.column[on]] = load.row[on], load.value[on]
        self._order = np.argsort(near * self.n_states + far, kind="stable")
        self._key, self._start = np.unique((near * self.n_states + far)[self._order], return_index=True)
        self._far = self._key % self.n_states
        self._indptr = np.searchsorted(self._key, np.arange(self.n_states + 1) * self.n_states)

    @cached_property
    def reaches(self) -> bool:
        """Whether every root reaches all that its commodity asks for."""
        price = np.ones(int(self.row.max(initial=-1)) + 1)
        return bool(np.isfinite(self._shortest(price)[0][self.amount > 0]).all())

    def _shortest(self, price: Floats) -> tuple[Floats, Ints, Ints]:
        """Return distances from the roots, the state before each, and the move that leads there."""
        from scipy import sparse  # slow to load, and only large programs need it
        from scipy.sparse import csgraph

        cost = self.cost(price)
        cost = np.maximum(cost, _FREE * (float(cost.mean()) or 1.0))[self._order]
        # Of parallel moves the cheapest, and of those the first.
        least = np.minimum.reduceat(cost, self._start)
        shape = (self.n_states, self.n_states)
        graph = sparse.csr_matrix((least, self._far, self._indptr), shape=shape)
        # Blocks do not meet: the nearest root is a state's own.
        far, before, _ = csgraph.dijkstra(graph, indices=self.roots, min_only=True, return_predecessors=True)
        some = np.flatnonzero(before >= 0)
        pair = np.searchsorted(self._key, before[some].astype(np.int64) * self.n_states + some)
        is_least = cost == np.repeat(least, np.diff(np.append(self._start, len(cost))))
        place = np.flatnonzero(is_least)
        cheapest = self._order[place[np.searchsorted(place, self._start[pair])]]
        move = np.full(self.n_states, -1)
        move[some] = cheapest
        return far, before, move

    def cost(self, price: Floats) -> Floats:
        """Return what each move costs at prices of the rows."""
        return np.asarray(np.append(price, 0.0)[self.row] * self.part)

    def load(self, move: Ints, flow: Floats, n_rows: int) -> Floats:
        """Return the load of each row."""
        on = self.row[move] >= 0
        return np.bincount(self.row[move[on]], self.part[move[on]] * flow[on], minlength=n_rows).astype(
            np.float64
        )

    def trees(self, price: Floats) -> tuple[Ints, Ints, Floats]:
        """Return the cheapest tree of every commodity: the block, the move and the flow of each branch."""
        _, before, move = self._shortest(price)
        depth, at = np.zeros(self.n_states, dtype=np.int64), before
        while (at >= 0).any():
            depth += at >= 0
            at = np.where(at >= 0, before[np.maximum(at, 0)], -1)
        flow = self.amount.copy()
        order = np.argsort(-depth, kind="stable")
        ends = np.flatnonzero(np.diff(depth[order], append=-1)) + 1
        # From the tips to the roots, all branches of one depth at a time.
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            level = order[begin:end]
            if depth[level[0]]:
                np.add.at(flow, before[level], flow[level])
        on = np.flatnonzero((move >= 0) & (flow > 0))
        return self.block[on], move[on], flow[on]


class EnoughError(FabricError):
    """A rate that is enough is met; what more there may be is not asked."""


class TreeProgram:
    """A program of trees in HiGHS; where it `settles` it answers as a `LinearProgram` of its moves does.

    Maximize a rate, the last variable, at which trees of all commodities together stay within a bound.

    Parameters
    ----------
    blocks : sequence of CommodityMoves
        Each with a root.
    load : Rows
        Load over capacity, by move; the last column is the rate.
    enough : float
        A rate at which `settles` ends in an `EnoughError`.
    """

    def __init__(self, blocks: Sequence[CommodityMoves], load: Rows, enough: float = np.inf) -> None:
        self._enough = enough
        self._ways, (self._n_rows, self._n_columns) = TreeGrowth(blocks, load), load.shape
        self._trees: list[tuple[Ints, Floats]] = []
        self._at: list[int] = []
        self._of: list[int] = []
        self._sums: list[float] = []
        self._known: set[bytes] = set()
        self._unit, self._load_cost, self._is_begun = 1.0, 0.0, False
        self._highs = start(presolve=False)
        # The rate, then a row for each commodity, at least as many trees as the rate, and one for each bound.
        none, nothing = np.zeros(0, np.int32), np.zeros(0)
        self._highs.addCol(-1.0, 0.0, np.inf, 0, none, nothing)
        for _ in range(self._ways.n_blocks):
            self._highs.addRow(0.0, np.inf, 1, np.zeros(1, np.int32), -np.ones(1))
        for _ in range(self._n_rows):
            self._highs.addRow(-np.inf, 1.0, 0, none, nothing)

    @cached_property
    def settles(self) -> bool:
        """Whether all that is asked for has a way, and few trees are enough to solve it."""
        if not self._ways.reaches:
            return False
        n_ends = int((self._ways.amount > 0).sum())
        is_few = n_ends <= FEW_ENDS * self._ways.n_blocks
        self._plant(PATH_ROUNDS if is_few else ROUNDS)
        n_rounds = MAX_ROUNDS if is_few else FEW_ROUNDS
        return self._climb(np.ones(self._n_rows), n_rounds, enough=self._enough)[2]

    def maximize(self, bound: Floats | None = None) -> tuple[Floats, Floats]:
        """Return a solution and its prices; see `LinearProgram`."""
        bound = np.ones(self._n_rows) if bound is None else bound
        values, proof, _ = self._climb(bound, MAX_ROUNDS)
        x = self._flows(values)
        return x, proof * (x[-1] / float(bound @ proof))

    def least_load(self, rate: float) -> Floats:
        """Return a solution of at least `rate` in which the sum of all loads is least."""
        self._pose(0.0, rate, load_cost=1.0)
        return self._flows(self._settle())

    def relieve(self, rate: float, part: Floats) -> tuple[Floats, float]:
        """Return a solution of at least `rate` after which rows have most room; see `LinearProgram`."""
        self._pose(0.0, rate)
        at, rows = self._highs.getNumCol(), np.flatnonzero(part)
        place = (self._ways.n_blocks + rows).astype(np.int32)
        self._highs.addCol(-1.0, 0.0, np.inf, len(rows), place, part[rows])
        values = self._settle()
        self._highs.changeColCost(at, 0.0)
        self._highs.changeColBounds(at, 0.0, 0.0)
        return self._flows(values), float(values[at])

    def _climb(self, bound: Floats, n_rounds: int, *, enough: float = np.inf) -> tuple[Floats, Floats, bool]:
        """Return the values and the prices that prove most, and whether they meet, after some rounds."""
        self._pose(-1.0, 0.0, bound=bound)
        best, proof = np.inf, 1 / np.maximum(bound, 1e-300)
        for _ in range(n_rounds):
            values, price, worth = self._solve()
            rate = float(values[0]) * self._unit
            if rate >= enough:
                msg = "a rate that is enough is met"
                raise EnoughError(msg)
            # Prices leap while trees are few: far from the end they are mixed with those that prove most.
            mixed = _MIXED if best - rate > _NEAR * rate else 0.0
            for part in dict.fromkeys((mixed, 0.0)):
                tried = (1 - part) * price + part * (proof * float(bound @ price) / float(bound @ proof))
                n_new, cost = self._grow(tried, np.full(len(worth), np.inf) if part else worth)
                # All capacity at these prices over the cheapest way to meet all demands.
                paid = float(bound @ tried)
                if paid < best * cost:
                    best, proof = paid / cost, tried
                if n_new:
                    break
            if best - rate <= _PROVEN * rate or not n_new:
                return values, proof, True
        return values, proof, False

    def _plant(self, n_rounds: int) -> None:
        """Make some trees to begin with, each round clear of what those before have loaded most."""
        weight, best = np.ones(self._n_rows), np.inf
        rounds = []
        for _ in range(n_rounds):
            price = weight / weight.sum()
            rounds.append(self._ways.trees(price))
            block, move, flow = rounds[-1]
            load = self._ways.load(move, flow, self._n_rows)
            best = min(best, 1.0 / float(price @ load))
            weight *= np.exp(_STEP * load / load.max())
        # In this unit the rate is near 1.
        self._unit = best
        for found in rounds:
            self._add(*found, np.ones(self._ways.n_blocks, dtype=np.bool_))

    def _settle(self) -> Floats:
        """Return the values of the best solution of what is posed."""
        for _ in range(MAX_ROUNDS):
            values, price, worth = self._solve()
            if not self._grow(price + self._load_cost, worth)[0]:
                break
        return values

    def _grow(self, price: Floats, worth: Floats) -> tuple[int, float]:
        """Add trees that cost less than they are worth; return how many, and what all of the cheapest cost.

        Parameters
        ----------
        price : ndarray of float64
            Of every row.
        worth : ndarray of float64
            Of a tree of each commodity.
        """
        block, move, flow = self._ways.trees(price)
        cost = np.bincount(block, self._ways.cost(price)[move] * flow, minlength=len(worth))
        n_before = len(self._trees)
        self._add(block, move, flow, self._unit * cost < worth * (1 - _CHEAPER))
        return len(self._trees) - n_before, float(cost.sum())

    def _add(self, block: Ints, move: Ints, flow: Floats, is_wanted: Bools) -> None:
        """Add the trees of some commodities, but those that are there."""
        ends = np.searchsorted(block, np.arange(self._ways.n_blocks + 1)).tolist()
        for number in np.flatnonzero(is_wanted).tolist():
            some = slice(ends[number], ends[number + 1])
            name = move[some].tobytes() + flow[some].tobytes()
            if name in self._known:
                continue
            self._known.add(name)
            load = self._unit * self._ways.load(move[some], flow[some], self._n_rows)
            rows = np.flatnonzero(load)
            place = np.append(number, self._ways.n_blocks + rows).astype(np.int32)
            self._at.append(self._highs.getNumCol())
            self._of.append(number)
            self._sums.append(float(load.sum()))
            self._trees.append((move[some], flow[some]))
            cost = self._sums[-1] * self._load_cost
            self._highs.addCol(cost, 0.0, np.inf, len(place), place, np.append(1.0, load[rows]))

    def _pose(self, gain: float, rate: float, *, load_cost: float = 0.0, bound: Floats | None = None) -> None:
        """Set the costs of the rate and of loads, the least rate, and the bounds of the rows."""
        self._load_cost = load_cost
        at = np.array(self._at, dtype=np.int32)
        self._highs.changeColsCost(len(at), at, load_cost * np.array(self._sums))
        self._highs.changeColCost(0, gain)
        self._highs.changeColBounds(0, rate / self._unit, np.inf)
        for row, most in enumerate((np.ones(self._n_rows) if bound is None else bound).tolist()):
            self._highs.changeRowBounds(self._ways.n_blocks + row, -np.inf, most)

    def _solve(self) -> tuple[Floats, Floats, Floats]:
        """Return the values of all columns, the price of each row, and the worth of a tree of each block."""
        # The first trees share many links: the interior point method takes a tenth of the time there.
        methods = ("simplex", "ipm") if self._is_begun else ("ipm", "simplex")
        self._is_begun = True
        solution = run(self._highs, methods)
        dual = np.array(solution.row_dual)
        n = self._ways.n_blocks
        return np.array(solution.col_value), np.clip(-dual[n:], 0, None), dual[:n]

    def _flows(self, values: Floats) -> Floats:
        """Return the flow on every move, and the rate."""
        x = np.zeros(self._n_columns)
        at, of = np.array(self._at), np.array(self._of)
        # Trees that were found since have no value.
        grown = np.flatnonzero(at < len(values))
        value = np.clip(values[at[grown]], 0, None)
        # The program asks for no fewer trees than the rate; a commodity with room to spare may have more.
        total = np.bincount(of[grown], value, minlength=self._ways.n_blocks)
        value *= np.minimum(1.0, values[0] / np.maximum(total, 1e-300))[of[grown]]
        for tree, times in zip(grown.tolist(), value.tolist(), strict=True):
            if times:
                move, flow = self._trees[tree]
                np.add.at(x, move, self._unit * times * flow)
        x[-1] = self._unit * values[0]
        return x
