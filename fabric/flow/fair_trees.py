"""Levels of max-min filling in large programs, a tree of paths at a time.

As in `fabric.flow.generated` a tree is the cheapest way to meet a commodity at the prices of the moment; here
commodities are of several traffics, each with a rate of its own::

    t <= r_j           of every traffic j that rises
    r_j >= held        of every traffic that is held
    trees of b = r_j   of every commodity b of traffic j

Rates are in parts of the weight of their traffic, so that all that rise have one t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.generated import CommodityMoves, TreeGrowth
from fabric.flow.lp import Rows, run, start

MAX_ROUNDS = 200
"""Rounds of trees of one level, after which it is left at what it has reached; tens are needed."""
_PLANTED, _STEP = 10, 0.5
_MIXED, _NEAR = 0.5, 0.01
_PROVEN, _CHEAPER = 1e-11, 1e-10


class FairTrees:
    """A program of trees of several traffics in HiGHS.

    Parameters
    ----------
    blocks : sequence of CommodityMoves
        Each with a root.
    of : ndarray of int64, shape (b,)
        The traffic of each block, in order.
    weights : ndarray of float64, shape (j,)
    load : Rows
        Load over capacity, by move.
    """

    def __init__(self, blocks: Sequence[CommodityMoves], of: Ints, weights: Floats, load: Rows) -> None:
        scaled = [replace(b, supply=b.supply * weight) for b, weight in zip(blocks, weights[of], strict=True)]
        self._ways, self._n_rows = TreeGrowth(scaled, load), load.shape[0]
        self._of, self._weights, self._n_jobs = of, weights, len(weights)
        self._n_moves = sum(len(b.tail) for b in blocks)
        self._trees: list[tuple[Ints, Floats]] = []
        self._known: set[bytes] = set()
        self._unit, self._is_begun = 1.0, False
        self._highs = start(presolve=False)
        # t and the rates; then rows: trees of blocks, rates that rise, loads.
        none, nothing = np.zeros(0, np.int32), np.zeros(0)
        self._highs.addCol(-1.0, 0.0, np.inf, 0, none, nothing)
        for _ in range(self._n_jobs):
            self._highs.addCol(0.0, 0.0, np.inf, 0, none, nothing)
        for j in of.tolist():
            self._highs.addRow(0.0, 0.0, 1, np.array([1 + j], np.int32), -np.ones(1))
        for j in range(self._n_jobs):
            self._highs.addRow(0.0, np.inf, 2, np.array([0, 1 + j], np.int32), np.array([-1.0, 1.0]))
        for _ in range(self._n_rows):
            self._highs.addRow(-np.inf, 1.0, 0, none, nothing)

    def level(self, rising: Bools, held: Floats) -> tuple[Floats, Floats, bool]:
        """Return how far traffics rise together while others are held.

        Parameters
        ----------
        rising : ndarray of bool, shape (j,)
        held : ndarray of float64, shape (j,)
            What those that do not rise keep.

        Returns
        -------
        x : ndarray of float64
            Flow on every move, the rate of each traffic, and what weights are taken times.
        price : ndarray of float64
            Of the rows of `load`.
        is_best : bool
            Whether the prices prove that it is the most.
        """
        if not self._trees:
            self._plant(rising)
        kept = np.where(rising, 0.0, held / self._weights / self._unit)
        for j, least in enumerate(kept.tolist()):
            self._highs.changeColBounds(1 + j, least, np.inf)
            self._highs.changeRowBounds(len(self._of) + j, 0.0 if rising[j] else -np.inf, np.inf)
        asked = (rising | (held > 0))[self._of]
        best, proof = np.inf, np.ones(self._n_rows)
        for _ in range(MAX_ROUNDS):
            values, price, worth = self._solve()
            t = float(values[0])
            # Prices leap while trees are few: far from the end they are mixed with those that prove most.
            n_new, mixed = 0, _MIXED if best - t > _NEAR * t else 0.0
            for part in dict.fromkeys((mixed, 0.0)):
                tried = (1 - part) * price + part * proof * (price.sum() / proof.sum())
                n_new, cost = self._grow(tried, asked, np.where(asked, np.inf if part else worth, 0.0))
                paid = np.bincount(self._of, cost, minlength=self._n_jobs)
                left, rises = float(tried.sum() - kept @ paid), float(paid[rising].sum())
                if left < best * rises:
                    best, proof = left / rises, tried
                if n_new:
                    break
            if not n_new or best - t <= _PROVEN * t:
                return self._flows(values), price if not n_new else proof, True
        return self._flows(values), proof, False

    def _plant(self, rising: Bools) -> None:
        """Make some trees to begin with, each round clear of what those before have loaded most."""
        weight, best = np.ones(self._n_rows), np.inf
        rounds = []
        asked = rising[self._of]
        for _ in range(_PLANTED):
            price = weight / weight.sum()
            block, move, flow = self._ways.trees(price)
            on = asked[block]
            rounds.append((block, move, flow))
            load = self._ways.load(move[on], flow[on], self._n_rows)
            best = min(best, 1.0 / float(price @ load))
            weight *= np.exp(_STEP * load / load.max())
        # In this unit t is near 1.
        self._unit = best
        for found in rounds:
            self._add(*found, np.ones(len(self._of), dtype=np.bool_))

    def _solve(self) -> tuple[Floats, Floats, Floats]:
        """Return the values of all columns, the price of each row of load, and the worth of trees."""
        # The first trees share many links: the interior point method takes a tenth of the time there.
        methods = ("simplex", "ipm") if self._is_begun else ("ipm", "simplex")
        self._is_begun = True
        solution = run(self._highs, methods)
        dual = np.array(solution.row_dual)
        n = len(self._of)
        return np.array(solution.col_value), np.clip(-dual[n + self._n_jobs :], 0, None), dual[:n]

    def _grow(self, price: Floats, asked: Bools, worth: Floats) -> tuple[int, Floats]:
        """Add trees that cost less than they are worth; return how many, and what the cheapest cost."""
        block, move, flow = self._ways.trees(price)
        paid = self._unit * self._ways.cost(price)[move] * flow
        cost = np.bincount(block, paid, minlength=len(worth)).astype(np.float64)
        n_before = len(self._trees)
        self._add(block, move, flow, asked & (cost < worth * (1 - _CHEAPER)))
        return len(self._trees) - n_before, cost

    def _add(self, block: Ints, move: Ints, flow: Floats, is_wanted: Bools) -> None:
        """Add the trees of some commodities, but those that are there."""
        n, ends = len(self._of), np.searchsorted(block, np.arange(len(self._of) + 1)).tolist()
        for number in np.flatnonzero(is_wanted).tolist():
            some = slice(ends[number], ends[number + 1])
            name = move[some].tobytes() + flow[some].tobytes()
            if name in self._known:
                continue
            self._known.add(name)
            load = self._unit * self._ways.load(move[some], flow[some], self._n_rows)
            rows = np.flatnonzero(load)
            place = np.append(number, n + self._n_jobs + rows).astype(np.int32)
            self._trees.append((move[some], flow[some]))
            self._highs.addCol(0.0, 0.0, np.inf, len(place), place, np.append(1.0, load[rows]))

    def _flows(self, values: Floats) -> Floats:
        """Return the flow on every move, the rate of each traffic, and t."""
        x = np.zeros(self._n_moves + self._n_jobs + 1)
        n_first = 1 + self._n_jobs
        # Trees that were found since have no value.
        for value, (move, flow) in zip(values[n_first:].tolist(), self._trees, strict=False):
            if value > 0:
                np.add.at(x, move, self._unit * value * flow)
        x[self._n_moves : -1] = self._unit * values[1:n_first] * self._weights
        x[-1] = self._unit * values[0]
        return x
