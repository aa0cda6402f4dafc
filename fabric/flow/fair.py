"""Max-min fair rates of several traffics that share links: none can rise but at the cost of one no faster.

Progressive filling, level by level, on the class program. All that still rise get one rate t, as large as it
can be while those that are held keep theirs::

    maximize t    subject to    rate of j >= weight of j * t     for all j that rise
                                rate of k >= what k is held at   for all k that are held

Prices on the classes of links prove each level: with d_j what the demands of j pay at rate 1, every flow that
fits has ``sum of rate * d <= sum of capacity * price``, so that::

    t  <=  (sum of capacity * price - sum over k held of rate * d_k) / sum over j rising of weight * d_j

Where that is met, a j with d_j > 0 has exactly t in every best solution, whatever else it touches: it is held
from now on. One with d_j = 0 may rise on, though it crosses links that are full. D. Bertsekas and R.
Gallager, Data Networks, 2nd edition, section 6.5.2; D. Nace and M. Pioro, "Max-min fairness and its
applications to routing and load-balancing in communication networks", IEEE Communications Surveys 10(4),
2008, on flows that split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import (
    MAX_MOVES,
    MAX_TOGETHER,
    Commodities,
    Commodity,
    ProgramSizeError,
    Solution,
)
from fabric.flow.concurrent import toll
from fabric.flow.fair_trees import FairTrees
from fabric.flow.folding import Fold, fold_moves, settle, unfold_flow
from fabric.flow.generated import CommodityMoves
from fabric.flow.lp import Entries, LinearProgram, Rows, assemble, balance_entries, unit_of

_PAYS = 1e-6
"""Part of what all pay below which a price is taken for rounding."""
_SLACK = 1e-10
"""Part of its rate that a traffic that is held may lose to the tolerance of the solver."""


@dataclass(frozen=True, eq=False)
class FairLevel:
    """One level of filling.

    Parameters
    ----------
    price : ndarray of float64
        Of every base class of links.
    pays : ndarray of float64, shape (j,)
        What the demands of each traffic pay at rate 1.
    rising : ndarray of bool, shape (j,)
        Which rose to this level.
    held : ndarray of bool, shape (j,)
        Which are held from now on.
    is_best : bool
        Whether the prices prove that it is as high as can be; else all that rise are held at it.
    """

    price: Floats
    pays: Floats
    rising: Bools
    held: Bools
    is_best: bool = True


@dataclass(frozen=True, eq=False)
class Filling:
    """Max-min fair rates, and what proves them.

    Parameters
    ----------
    answers : tuple of Solution
        Rate, flows and prices of each traffic: the prices are those of its level.
    levels : tuple of FairLevel
    level : ndarray of int64, shape (j,)
        The level of each traffic, -1 of one that takes no part.
    """

    answers: tuple[Solution, ...]
    levels: tuple[FairLevel, ...]
    level: Ints

    @property
    def rate_gbps(self) -> Floats:
        """Rate of each [Gb/s], shape (j,)."""
        return np.array([answer.rate_gbps for answer in self.answers])


class FairProgram:
    """The program of several traffics on the same base classes of links.

    Parameters
    ----------
    works : sequence of Commodities
        One for each traffic; all on one base.
    weights : ndarray of float64, shape (j,)
        Rates rise in proportion to them.

    Raises
    ------
    ProgramSizeError
        If it has more than `MAX_TOGETHER` variables.

    Attributes
    ----------
    n_variables : int
    """

    def __init__(self, works: Sequence[Commodities], weights: Floats) -> None:
        self._works, self._capacity = works, works[0].capacity
        self._weights = weights
        self._parts = [[(c, fold_moves(c)) for c in work.commodities] for work in works]
        n_moves = sum(len(fold.kept) for part in self._parts for _, fold in part)
        if n_moves > MAX_TOGETHER:
            msg = f"a program of {n_moves:,} variables; at most {MAX_TOGETHER:,} are solved together"
            raise ProgramSizeError(msg)
        self._unit = unit_of(np.concatenate([c.view.classes.rate_gbps for p in self._parts for c, _ in p]))
        self._used = np.flatnonzero(self._capacity > 0)
        self.n_variables = n_moves + len(works) + 1
        blocks = [
            CommodityMoves(c.moves.tail[fold.kept], c.moves.head[fold.kept], _supply(c, fold))
            for part in self._parts
            for c, fold in part
        ]
        of = np.repeat(np.arange(len(works)), [len(part) for part in self._parts])
        load = self._load(n_moves)
        # Every commodity has a single end, so that trees can meet it.
        self._program = (
            FairTrees(blocks, of, weights, load) if n_moves > MAX_MOVES else self._by_moves(blocks, of, load)
        )

    def _load(self, n_moves: int) -> Rows:
        """Return load over capacity of the used classes, by move."""
        row_of = np.full(len(self._capacity), -1)
        row_of[self._used] = np.arange(len(self._used))
        load: list[Entries] = []
        first = 0
        for commodity, fold in (one for part in self._parts for one in part):
            on = np.flatnonzero(commodity.moves.link[fold.kept] >= 0)
            base = commodity.view.base[commodity.moves.link[fold.kept[on]]]
            load.append((row_of[base], first + on, commodity.n_alike * (self._unit / self._capacity[base])))
            first += len(fold.kept)
        return assemble(load, len(self._used), n_moves)

    def _by_moves(self, blocks: Sequence[CommodityMoves], of: Ints, load: Rows) -> LinearProgram:
        """Return the program: flows, then the rate of each traffic, then t."""
        n, (n_used, n_moves) = len(self._works), load.shape
        n_columns = n_moves + n + 1
        balance: list[Entries] = []
        first = n_rows = 0
        for block, j in zip(blocks, of.tolist(), strict=True):
            balance += balance_entries(n_rows + block.tail, n_rows + block.head, first)
            at = np.flatnonzero(block.supply)
            balance.append((n_rows + at, np.full(len(at), n_moves + j), -block.supply[at]))
            first, n_rows = first + len(block.tail), n_rows + len(block.supply)
        own, ones = np.arange(n), np.ones(n)
        # Two rows a traffic: weight * t - rate <= 0 while it rises, -rate <= -what it is held at.
        rises, holds = n_used + own, n_used + n + own
        rows = [(load.row, load.column, load.value)]
        rows += [(rises, np.full(n, n_columns - 1), self._weights), (rises, n_moves + own, -ones)]
        rows.append((holds, n_moves + own, -ones))
        return LinearProgram(
            assemble(balance, n_rows, n_columns).used(), assemble(rows, n_used + 2 * n, n_columns)
        )

    def fill(self, takes_part: Bools | None = None) -> Filling:
        """Return the max-min fair rates of those that take part, shape (j,); all if left out.

        Raises
        ------
        QuestionError
            If a program is not solved.
        """
        n = len(self._works)
        asked = np.ones(n, dtype=np.bool_) if takes_part is None else takes_part
        rising = asked.copy()
        held_gbps, level = np.zeros(n), np.full(n, -1)
        levels: list[FairLevel] = []
        x = np.zeros(self.n_variables)
        while rising.any():
            x, price, is_best = self._raise(rising, held_gbps)
            pays = np.array(
                [toll(w, price) if own else 0.0 for w, own in zip(self._works, asked, strict=True)]
            )
            worth = float((self._capacity * price).sum())
            # At least one of those that rise has a price, or t could rise for ever.
            held = rising & (pays * self._weights * float(x[-1]) * self._unit > _PAYS * worth)
            if not held.any():
                msg = "max-min rates: the program has no price for what rises; nothing bounds it"
                raise QuestionError(msg)
            held = held if is_best else rising.copy()
            levels.append(FairLevel(price, pays, rising.copy(), held, is_best))
            held_gbps[held] = self._weights[held] * float(x[-1]) * self._unit
            level[held] = len(levels) - 1
            rising &= ~held
        answers = tuple(
            Solution(rate, flow, levels[at].price if at >= 0 else np.zeros(len(self._capacity)), 0)
            for (rate, flow), at in zip(self._flows(x), level.tolist(), strict=True)
        )
        return Filling(answers, tuple(levels), level)

    def _raise(self, rising: Bools, held_gbps: Floats) -> tuple[Floats, Floats, bool]:
        """Return the variables at which t is largest, the prices, and whether these prove that it is."""
        kept = (1 - _SLACK) * held_gbps / self._unit
        if isinstance(self._program, FairTrees):
            x, dual, is_best = self._program.level(rising, kept)
        else:
            holds = np.where(rising, 0.0, -kept)
            bound = np.concatenate([np.ones(len(self._used)), np.where(rising, 0.0, np.inf), holds])
            (x, dual), is_best = self._program.maximize(bound), True
        price = np.zeros(len(self._capacity))
        price[self._used] = dual[: len(self._used)] * self._unit / self._capacity[self._used]
        return x, price, is_best

    def _flows(self, x: Floats) -> Iterator[tuple[float, tuple[Floats, ...]]]:
        """Yield rate and flows of each traffic [Gb/s]."""
        n, first = len(self._works), 0
        for j, part in enumerate(self._parts):
            rate = float(x[len(x) - n - 1 + j])
            flows = []
            for commodity, fold in part:
                own = x[first : first + len(fold.kept)]
                flows.append(self._unit * settle(commodity, unfold_flow(commodity, fold, own, rate), rate))
                first += len(fold.kept)
            yield rate * self._unit, tuple(flows)


def _supply(commodity: Commodity, fold: Fold) -> Floats:
    """Return what enters each state that stands for others."""
    return np.bincount(fold.state, commodity.supply, minlength=commodity.moves.n_states).astype(np.float64)


def level_bound(filling: Filling, capacity: Floats, weights: Floats, j: int) -> float:
    """Return what the prices of its level prove about the rate of a traffic [Gb/s].

    Parameters
    ----------
    filling : Filling
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    weights : ndarray of float64, shape (j,)
    j : int
        Of one that takes part.
    """
    level = filling.levels[int(filling.level[j])]
    if not level.is_best and level.rising.sum() > 1:
        return float("inf")  # prices of several bound the slowest of them, whichever that is
    before = ~level.rising & (filling.level >= 0)
    left = float((capacity * level.price).sum()) - float((filling.rate_gbps * level.pays)[before].sum())
    paying = float((weights * level.pays)[level.rising].sum())
    return weights[j] * left / paying if paying > 0 else float("inf")


def joint_overload(works: Sequence[Commodities], filling: Filling) -> float:
    """Return the largest load over capacity of a base class of links with all traffics on it, at least 1."""
    use = sum(work.use(answer.flow) for work, answer in zip(works, filling.answers, strict=True))
    return float(np.max(use, initial=1.0))


def verdict(
    filling: Filling, weights: Floats, works: Sequence[Commodities], j: int, own: Verdict, *, most_gbps: float
) -> Verdict:
    """Return what is proven of the rate of a traffic: flows that fit together, and the prices of its level.

    Parameters
    ----------
    filling : Filling
    weights : ndarray of float64, shape (j,)
    works : sequence of Commodities
    j : int
    own : Verdict
        Of its flows, each held to the file by `fabric.flow.concurrent.check_concurrent`.
    most_gbps : float
        What it can have at most alone, and so beside others [Gb/s].
    """
    lower, level = own.lower_gbps, filling.levels[int(filling.level[j])]
    if not level.is_best:
        # What rises has at least what all have reached; who could have more is not known.
        lower = min(lower, float(weights[j] * (filling.rate_gbps / weights)[level.rising].min()))
    lower /= joint_overload(works, filling)
    upper = min(level_bound(filling, works[j].capacity, weights, j), most_gbps)
    return Verdict(lower, upper, own.faults, own.scope)
