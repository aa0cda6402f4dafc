"""Linear programs of flow: how their rows are put together, and HiGHS, which solves them.

All of them maximize one rate, their last variable: what is sent and passed on balances at every state, and
what shares a link stays within its capacity.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import highspy
import numpy as np

from fabric.arrays import Floats, Ints
from fabric.errors import QuestionError, setting

_LOG = logging.getLogger(__name__)
MANY_VARIABLES, MANY_CAPACITIES, MANY_WAYS = 4_000, 100, 3
"""Variables, shared capacities and variables a balance row beyond which the interior point method solves a
program: 9,841, 480 and 6 in half the time of the simplex method, 15,343, 330 and 2 in twice the time."""
ALL_VARIABLES = 25_000
"""Variables beyond which it does whatever the ways: 28,861 in 1.5 s, not 9, and 115,321 in 19 s, not 256."""

FEW_CAPACITIES = 30
"""Shared capacities up to which presolving finds nothing: in a torus of 6 it is a tenth of the time."""

ROUNDING = 4 * float(np.finfo(np.float64).eps)
"""Part of the largest value of a solution below which another is no more than its rounding."""

FINER = 1e-5
"""Unit in which what a solver leaves over is asked again, where capacities are far apart."""

Entries = tuple[Ints, Ints, Floats]
"""Rows, columns and values of a part of a program."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a program by their entries; those of one place add up.

    Parameters
    ----------
    row, column : ndarray of int64, shape (k,)
    value : ndarray of float64, shape (k,)
    shape : (int, int)
        Rows and columns.
    """

    row: Ints
    column: Ints
    value: Floats
    shape: tuple[int, int]

    def __matmul__(self, x: Floats) -> Floats:
        """Return the value of every row."""
        total = np.bincount(self.row, self.value * x[self.column], minlength=self.shape[0])
        return total.astype(np.float64)

    def used(self) -> Rows:
        """Return the rows that have an entry."""
        rows, row = np.unique(self.row, return_inverse=True)
        return Rows(row.ravel(), self.column, self.value, (len(rows), self.shape[1]))


def assemble(parts: Iterable[Entries], n_rows: int, n_columns: int) -> Rows:
    """Return the rows of some entries."""
    # An empty part first: without any there are no entries, which is no error.
    columns = zip((np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)), *parts, strict=True)
    row, column, value = (np.concatenate(part) for part in columns)
    return Rows(row, column, value, (n_rows, n_columns))


def stack(blocks: Iterable[Rows]) -> Rows:
    """Return some rows below one another."""
    blocks = list(blocks)
    first = np.cumsum([0, *(block.shape[0] for block in blocks)]).tolist()
    parts = ((at + b.row, b.column, b.value) for at, b in zip(first, blocks, strict=False))
    return assemble(parts, first[-1], blocks[0].shape[1])


def unit_of(rates: Floats) -> float:
    """Return a unit, a power of two, in which the largest of some rates is between 1 and 2.

    In it no tolerance or least entry of a solver depends on whether a fabric is of b/s or of Eb/s.
    """
    return float(2.0 ** (np.frexp(rates.max(initial=0.0))[1] - 1))


def balance_entries(tail: Ints, head: Ints, first: int = 0) -> list[Entries]:
    """Return the entries of what leaves each state less what enters it.

    Parameters
    ----------
    tail, head : ndarray of int64, shape (k,)
        States of each move.
    first : int
        Column of the first move; the others follow.
    """
    columns, ones = first + np.arange(len(tail)), np.ones(len(tail))
    return [(tail, columns, ones), (head, columns, -ones)]


def maximize(
    balance: Rows, load: Rows, bound: Floats | None = None, *, is_far_apart: bool = False
) -> tuple[Floats, Floats]:
    """Return the solution of a `LinearProgram` that is asked nothing else."""
    return LinearProgram(balance, load, is_far_apart=is_far_apart).maximize(bound)


class _Highs(highspy.Highs):
    """HiGHS without its callbacks into Python, for which it prints a greeting."""

    def __init__(self) -> None:
        super(highspy.Highs, self).__init__()


def start(*, presolve: bool) -> highspy.Highs:
    """Return a solver that says nothing."""
    highs = _Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("presolve", "on" if presolve else "off")
    return highs


def run(highs: highspy.Highs, methods: tuple[str, str]) -> highspy.HighsSolution:
    """Return the solution of what a solver holds, by the first of two methods that finds it.

    Raises
    ------
    QuestionError
        If it is not solved.
    """
    first, second = methods
    # Tight tolerances first; where HiGHS cannot keep them, its own; the certificate says what that costs.
    for method, tolerance in ((first, 1e-10), (second, 1e-10), (first, 1e-7)):
        highs.setOptionValue("solver", method)
        highs.setOptionValue("primal_feasibility_tolerance", tolerance)
        highs.setOptionValue("dual_feasibility_tolerance", tolerance)
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            return highs.getSolution()
    msg = f"the linear program of this question was not solved: {highs.modelStatusToString(status)}"
    raise QuestionError(msg)


class LinearProgram:
    """A program in HiGHS; what is asked of it next is solved from where the last solution stands.

    Maximize the last variable, a rate, subject to ``balance @ x = 0``, ``load @ x <= bound`` and ``x >= 0``.

    Parameters
    ----------
    balance, load : Rows
    is_far_apart : bool
        Whether capacities differ so much that the tolerance of a solver for the large ones is no rounding of
        the small ones.

    Notes
    -----
    Rows and columns are scaled first: classes of one device and of a million meet in one program.
    """

    def __init__(self, balance: Rows, load: Rows, *, is_far_apart: bool = False) -> None:
        self._load, self._is_far_apart = load, is_far_apart
        n_balance, (n_load, n_columns) = balance.shape[0], load.shape
        entries = _merge(stack([balance, load]))
        row, self._column = _equilibrate(entries)
        self._load_row, self._load_at = row[n_balance:], n_balance + np.arange(n_load, dtype=np.int32)
        self._columns, self._bound = np.arange(n_columns, dtype=np.int32), np.ones(n_load)
        # Many shared capacities with many ways round slow the simplex method down far more than the other.
        many = min(max(MANY_VARIABLES, MANY_WAYS * n_balance), ALL_VARIABLES)
        is_many = n_columns > many and n_load > MANY_CAPACITIES
        self._methods = ("ipm", "simplex") if is_many else ("simplex", "ipm")
        self._highs = _Highs()
        self._highs.setOptionValue("output_flag", False)
        # The dual method from scratch and where bounds have changed, the primal one where the objective has:
        # 6.4 s of programs in the million with three failures become 1.9 s.
        self._highs.setOptionValue("simplex_strategy", 0)
        self._highs.setOptionValue("presolve", "on" if n_load > FEW_CAPACITIES else "off")
        program = highspy.HighsLp()
        program.num_row_, program.num_col_ = entries.shape
        program.row_lower_ = np.append(np.zeros(n_balance), np.full(n_load, -np.inf))
        program.row_upper_ = np.append(np.zeros(n_balance), self._load_row)
        program.col_lower_, program.col_upper_ = np.zeros(n_columns), np.full(n_columns, np.inf)
        program.col_cost_ = np.zeros(n_columns)
        program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        program.a_matrix_.start_ = np.searchsorted(entries.column, np.arange(n_columns + 1))
        program.a_matrix_.index_ = entries.row
        program.a_matrix_.value_ = entries.value * row[entries.row] * self._column[entries.column]
        self._highs.passModel(program)

    def maximize(self, bound: Floats | None = None) -> tuple[Floats, Floats]:
        """Return a solution and its prices.

        Parameters
        ----------
        bound : ndarray of float64, optional
            Of the rows of `load`; 1 where it is left out.

        Returns
        -------
        x : ndarray of float64
        dual : ndarray of float64
            Of the rows of `load`; with `bound` 1 it sums to the optimum.

        Raises
        ------
        QuestionError
            If the program is not solved.
        """
        # HiGHS minimizes.
        self._pose(np.append(np.zeros(len(self._columns) - 1), -1.0), 0.0, bound)
        x, dual = self._solve()
        # Back from the scaled rows and columns to those of the program.
        return x, np.clip(-dual[self._load_at] * self._load_row * self._column[-1], 0, None)

    def least_load(self, rate: float) -> Floats:
        """Return a solution of at least `rate` in which the sum of all loads is least."""
        total = np.bincount(self._load.column, self._load.value, minlength=len(self._columns))
        cost = total * self._column
        self._pose(cost / (cost.max(initial=0.0) or 1.0), rate)
        return self._solve()[0]

    def relieve(self, rate: float, part: Floats) -> tuple[Floats, float]:
        """Return a solution of at least `rate` after which rows of `load` have most room, and how much.

        Parameters
        ----------
        rate : float
        part : ndarray of float64
            Each row has this times the room.
        """
        self._pose(np.zeros(len(self._columns)), rate)
        at, rows = self._highs.getNumCol(), np.flatnonzero(part)
        value = part[rows] * self._load_row[rows]
        scale = float(np.exp(-np.log(value).mean()))
        # The room is one variable more, and nothing once it has been measured.
        self._highs.addCol(-1.0, 0.0, np.inf, len(rows), self._load_at[rows], value * scale)
        x, _ = self._solve()
        room = float(self._highs.getSolution().col_value[at]) * scale
        self._highs.changeColCost(at, 0.0)
        self._highs.changeColBounds(at, 0.0, 0.0)
        return x, room

    def _pose(self, cost: Floats, rate: float, bound: Floats | None = None) -> None:
        """Set the scaled costs, the least rate, and the bounds of the rows of `load`."""
        n = len(self._columns)
        self._highs.changeColsCost(n, self._columns, cost)
        self._highs.changeColBounds(n - 1, rate / self._column[-1], np.inf)
        bound = np.ones(len(self._bound)) if bound is None else bound
        for row in np.flatnonzero(bound != self._bound).tolist():
            self._highs.changeRowBounds(int(self._load_at[row]), -np.inf, bound[row] * self._load_row[row])
        self._bound = bound

    def _solve(self) -> tuple[Floats, Floats]:
        """Return the variables, and the scaled prices of all rows."""
        n = len(self._columns)
        if n > ALL_VARIABLES:
            _LOG.info("solving %s variables; %s makes it smaller", f"{n:,}", setting("among"))
        solution = run(self._highs, self._methods)
        x, dual = np.array(solution.col_value), np.array(solution.row_dual)
        if self._is_far_apart:
            x, dual = self._refine(x, np.array(solution.row_value), dual)
        else:
            # A class of millions makes much of a rounding once it is no longer scaled: a flow from nowhere.
            x[np.abs(x) < ROUNDING * np.abs(x).max(initial=0.0)] = 0.0
        return np.clip(x[:n], 0, None) * self._column, dual

    def _refine(self, x: Floats, value: Floats, dual: Floats) -> tuple[Floats, Floats]:
        """Return a solution and its prices with errors far below the tolerance of the solver.

        Notes
        -----
        What is left of all bounds is asked again in a finer unit, from the same basis (Gleixner, Steffy and
        Wolter, "Iterative refinement for linear programming", INFORMS J. Computing 28, 2016).
        """
        program = self._highs.getLp()
        columns = np.array(program.col_lower_), np.array(program.col_upper_)
        rows = np.array(program.row_lower_), np.array(program.row_upper_)
        # What balances does so but for the rounding of its largest flow.
        rounding = np.where(rows[0] == rows[1], ROUNDING * np.abs(x).max(initial=0.0), 0.0)
        left = [*((bound - x) / FINER for bound in columns)]
        left += [(rows[0] - value - rounding) / FINER, (rows[1] - value + rounding) / FINER]
        self._bounds(*left)
        try:
            solution = run(self._highs, self._methods)
        except QuestionError:  # rounding is all that is left: the certificate says whether it matters
            return x, dual
        finally:
            self._bounds(*columns, *rows)
        return x + FINER * np.array(solution.col_value), np.array(solution.row_dual)

    def _bounds(self, column_low: Floats, column_high: Floats, row_low: Floats, row_high: Floats) -> None:
        """Set the bounds of all columns and rows."""
        n = len(column_low)
        self._highs.changeColsBounds(n, np.arange(n, dtype=np.int32), column_low, column_high)
        for row, (low, high) in enumerate(zip(row_low.tolist(), row_high.tolist(), strict=True)):
            self._highs.changeRowBounds(row, low, high)


def _merge(rows: Rows) -> Rows:
    """Return `rows` with one entry for each place, none of them 0, by column."""
    n_rows = rows.shape[0]
    place, at = np.unique(rows.column * n_rows + rows.row, return_inverse=True)
    value = np.bincount(at.ravel(), rows.value, minlength=len(place)).astype(np.float64)
    place, value = place[value != 0], value[value != 0]
    return Rows(place % n_rows, place // n_rows, value, rows.shape)


def _equilibrate(rows: Rows) -> tuple[Floats, Floats]:
    """Return row and column factors that bring the entries near 1.

    Alternating geometric means (Fulkerson and Wolfe, "An algorithm for scaling matrices", SIAM Review 4,
    1962).
    """
    # On logarithms a product of factors is a sum, and a geometric mean a mean.
    value = np.log(np.abs(rows.value))
    row, column = np.zeros(rows.shape[0]), np.zeros(rows.shape[1])
    n_row = np.maximum(np.bincount(rows.row, minlength=len(row)), 1)
    n_column = np.maximum(np.bincount(rows.column, minlength=len(column)), 1)
    # Rows and columns in turn; a least-squares fit that settles in a few rounds.
    for _ in range(20):
        row = -np.bincount(rows.row, value + column[rows.column], minlength=len(row)) / n_row
        column = -np.bincount(rows.column, value + row[rows.row], minlength=len(column)) / n_column
    return np.exp(row), np.exp(column)
