"""The class program: largest rate at which all demands can be met at once.

By averaging over the automorphisms there is an optimum in which the flow of one source is the image of the
flow of any other of its class. So one source for each class of endpoints suffices; its flow lives on the
classes that keep the source in place, and a class of links O carries::

    sum over sources s of  |class of s| * (flow of s through the parts of O)  <=  |O| * rate
"""

from __future__ import annotations

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.flow.commodities import MAX_MOVES, Commodity, ProgramSizeError, Solution
from fabric.flow.folding import fold_moves, settle, unfold_flow
from fabric.flow.generated import CommodityMoves, TreeProgram
from fabric.flow.lp import ALL_VARIABLES, Entries, LinearProgram, Rows, assemble, balance_entries, unit_of
from fabric.flow.span import span_of

_MET, NO_PART = 1e-9, 1e-7


def solve_commodities(capacity: Floats, commodities: list[Commodity]) -> Solution:
    """Return the largest rate at which all commodities can be met at once.

    Parameters
    ----------
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    commodities : list of Commodity

    Raises
    ------
    QuestionError
        If the program is not solved.
    """
    return ClassProgram(commodities, capacity).solve()


class ClassProgram:
    """The program of some commodities: its variables are their flows, then the rate, in a unit.

    Asked again, with links wider or narrower, or for what links can spare, it is not solved from scratch.

    Parameters
    ----------
    commodities : list of Commodity
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    enough_gbps : float
        A rate that need not be known any better.

    Raises
    ------
    EnoughError
        If a large program finds a solution of that rate, before it knows the best.

    Attributes
    ----------
    unit_gbps : float
        Of flows and rate [Gb/s].
    used : ndarray of int64
        Base classes of links that have a row in `load`.
    load : Rows
        Load over capacity of the used classes.
    """

    def __init__(
        self, commodities: list[Commodity], capacity: Floats, *, enough_gbps: float = np.inf
    ) -> None:
        self._commodities = commodities
        self._span = span_of(commodities, capacity)
        self._folds = [fold_moves(commodity).over(commodity, self._span.adds) for commodity in commodities]
        self._first = np.cumsum([0, *(len(fold.kept) for fold in self._folds)]).tolist()
        n_columns = self._first[-1] + 1
        self._capacity = capacity
        self.used = np.flatnonzero(self._span.limits)
        self.unit_gbps = unit_of(np.array([self._span.largest_gbps]))
        # A class without capacity has no row; a move on it would divide by nothing.
        row_of = np.full(len(capacity), -1)
        row_of[self.used] = np.arange(len(self.used))
        load: list[Entries] = []
        blocks: list[CommodityMoves] = []
        for commodity, fold, first in zip(commodities, self._folds, self._first, strict=False):
            moves, kept = commodity.moves, fold.kept
            supply = np.bincount(fold.state, commodity.supply, minlength=moves.n_states).astype(np.float64)
            blocks.append(CommodityMoves(moves.tail[kept], moves.head[kept], supply))
            on = np.flatnonzero(moves.link[kept] >= 0)
            base = commodity.view.base[moves.link[kept[on]]]
            on, base = on[row_of[base] >= 0], base[row_of[base] >= 0]
            load.append((row_of[base], first + on, commodity.n_alike * (self.unit_gbps / capacity[base])))
        self.load = assemble(load, len(self.used), n_columns)
        self._program = _program(
            blocks, self.load, enough_gbps / self.unit_gbps, is_far_apart=self._span.is_far_apart
        )

    def solve(self, wider: Floats | None = None) -> Solution:
        """Return the largest rate at which all commodities can be met at once.

        Parameters
        ----------
        wider : ndarray of float64, optional
            Factor of the capacity of every base class of links.

        Raises
        ------
        QuestionError
            If the program is not solved.
        """
        x, dual = self._maximize(wider)
        price = np.where(self._span.adds, 0.0, self._span.toll)
        price[self.used] = dual * self.unit_gbps / self._capacity[self.used]
        flows = self.flows(x)
        if self._span.is_far_apart:
            flows = self._within(flows, self._capacity * (1.0 if wider is None else wider))
        return Solution(float(x[-1]) * self.unit_gbps, flows, price, len(x))

    def rate_gbps(self, wider: Floats) -> float:
        """Return the rate that `solve` finds."""
        return float(self._maximize(wider)[0][-1]) * self.unit_gbps

    def _maximize(self, wider: Floats | None) -> tuple[Floats, Floats]:
        return self._program.maximize(None if wider is None else wider[self.used])

    def spare(self, rate_gbps: float, classes: Ints) -> tuple[float, Floats]:
        """Return the largest part of their capacity that some classes of links can lose at a rate.

        Parameters
        ----------
        rate_gbps : float
            That can be met [Gb/s].
        classes : ndarray of int64
            Base classes of links; all lose the same part.

        Returns
        -------
        spare : float
        use : ndarray of float64
            Load over capacity of every base class in a flow that leaves as much idle.
        """
        lost = np.isin(self.used, classes).astype(np.float64)
        if not lost.any():
            # Nothing that flows needs more than next to nothing of them.
            return 1.0, self.least_use(rate_gbps)
        x, part = self._program.relieve(self._met(rate_gbps), lost)
        return (part if part > NO_PART else 0.0), self._use(x)

    def least_use(self, rate_gbps: float) -> Floats:
        """Return load over capacity of every base class in a flow at a rate whose sum is least."""
        return self._use(self._program.least_load(self._met(rate_gbps)))

    def _met(self, rate_gbps: float) -> float:
        """Return a rate in units of the program, but for rounding."""
        return (1 - _MET) * rate_gbps / self.unit_gbps

    def _use(self, x: Floats) -> Floats:
        use = np.zeros(len(self._capacity))
        use[self.used] = self.load @ x
        return use

    def flows(self, x: Floats) -> tuple[Floats, ...]:
        """Return the flow of each commodity on every move [Gb/s]."""
        rate = float(x[-1])
        return tuple(
            self.unit_gbps * settle(commodity, unfold_flow(commodity, fold, x[a:b], rate), rate)
            for commodity, fold, a, b in zip(
                self._commodities, self._folds, self._first[:-1], self._first[1:], strict=True
            )
        )

    def _within(self, flows: tuple[Floats, ...], capacity: Floats) -> tuple[Floats, ...]:
        """Return flows within all capacities: what is rounding of large ones can overload small ones."""
        load = np.zeros(len(capacity) + 1)
        # The link of each move; turns inside a device have the one that is none.
        links = [np.append(c.view.base, len(capacity))[c.moves.link] for c in self._commodities]
        for commodity, link, flow in zip(self._commodities, links, flows, strict=True):
            load += np.bincount(link, commodity.n_alike * flow, minlength=len(load))
        # The certificate finds what is more than rounding: it is lost on the way.
        room = np.append(capacity, np.inf)
        part = np.divide(room, load, out=np.ones(len(load)), where=load > room)
        return tuple(flow * part[link] for link, flow in zip(links, flows, strict=True))


def _program(
    blocks: list[CommodityMoves], load: Rows, enough: float = np.inf, *, is_far_apart: bool = False
) -> LinearProgram | TreeProgram:
    """Return the program of some commodities, whose moves are the columns, in order, before the rate.

    Raises
    ------
    ProgramSizeError
        If few trees do not solve it and it has more than `MAX_MOVES` variables.
    EnoughError
        If trees reach a rate that is `enough`.
    """
    n_columns = load.shape[1]
    if n_columns > ALL_VARIABLES and all(block.has_root for block in blocks):
        by_trees = TreeProgram(blocks, load, enough)
        if by_trees.settles:
            return by_trees
    if n_columns > MAX_MOVES:
        msg = f"a program of {n_columns:,} variables, of which {MAX_MOVES:,} at most are solved move by move"
        raise ProgramSizeError(msg)
    balance: list[Entries] = []
    n_rows, first = 0, 0
    for block in blocks:
        # The blocks of the commodities stand side by side; only the rows of capacity join them.
        balance += balance_entries(n_rows + block.tail, n_rows + block.head, first)
        at = np.flatnonzero(block.supply)
        # The rate is the last column: what it asks of each state.
        balance.append((n_rows + at, np.full(len(at), n_columns - 1), -block.supply[at]))
        n_rows, first = n_rows + len(block.supply), first + len(block.tail)
    # What leaves each state, less what enters it and what is sent there, is 0. States that nothing
    # enters, leaves or is asked of have no row.
    return LinearProgram(assemble(balance, n_rows, n_columns).used(), load, is_far_apart=is_far_apart)
