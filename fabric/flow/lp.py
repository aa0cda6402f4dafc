"""Linear programs of flow: how their rows are put together, and the one call of HiGHS.

All of them maximize one rate, their last variable: what is sent and passed on balances at every state, and
what shares a link stays within its capacity.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
from scipy import optimize, sparse

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

Entries = tuple[Ints, Ints, Floats]
"""Rows, columns and values of a part of a program."""


def assemble(parts: Iterable[Entries], n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Return the matrix of some entries; those of one place add up."""
    # An empty part first: without any the matrix is empty, not an error.
    columns = zip((np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)), *parts, strict=True)
    row, column, value = (np.concatenate(part) for part in columns)
    return sparse.coo_matrix((value, (row, column)), shape=(n_rows, n_columns)).tocsr()


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
    balance: sparse.csr_matrix, load: sparse.csr_matrix, bound: Floats | None = None
) -> tuple[Floats, Floats]:
    """Maximize the last variable subject to ``balance @ x = 0``, ``load @ x <= bound`` (1) and ``x >= 0``.

    Returns
    -------
    x : ndarray of float64
    dual : ndarray of float64
        Of the rows of `load`; with `bound` 1 it sums to the optimum.

    Raises
    ------
    QuestionError
        If the program is not solved.

    Notes
    -----
    Rows and columns are scaled first: classes of one device and of a million meet in one program.
    """
    n_rows = balance.shape[0]
    matrix = sparse.vstack([balance, load]).tocsr()
    matrix.eliminate_zeros()
    row, column = _equilibrate(matrix)
    scaled = sparse.diags(row) @ matrix @ sparse.diags(column)
    cost = np.zeros(matrix.shape[1])
    # HiGHS minimizes.
    cost[-1] = -1.0
    bounds = row[n_rows:] * (1.0 if bound is None else bound)
    # Many shared capacities with many ways round slow the simplex method down far more than the other.
    first, second = "highs-ds", "highs-ipm"
    many = min(max(MANY_VARIABLES, MANY_WAYS * n_rows), ALL_VARIABLES)
    if len(cost) > many and len(bounds) > MANY_CAPACITIES:
        first, second = second, first
    if len(cost) > ALL_VARIABLES:
        _LOG.info("solving %s variables; %s makes it smaller", f"{len(cost):,}", setting("among"))
    # Tight tolerances first; where HiGHS cannot keep them, its own; the certificate tells what that costs.
    for method, tolerance in ((first, 1e-10), (second, 1e-10), (first, 1e-7)):
        result = optimize.linprog(
            cost,
            A_ub=scaled[n_rows:],
            b_ub=bounds,
            A_eq=scaled[:n_rows],
            b_eq=np.zeros(n_rows),
            method=method,
            options={
                "presolve": len(bounds) > FEW_CAPACITIES,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            },
        )
        if result.status == 0:
            break
    else:
        msg = f"the linear program of this question was not solved: {result.message}"
        raise QuestionError(msg)
    # Back from the scaled rows and columns to those of the program.
    dual = -result.ineqlin.marginals * row[n_rows:] * column[-1]
    return np.clip(result.x, 0, None) * column, np.clip(dual, 0, None)


def _equilibrate(matrix: sparse.csr_matrix) -> tuple[Floats, Floats]:
    """Return row and column factors that bring the entries of `matrix` near 1.

    Alternating geometric means (Fulkerson and Wolfe, "An algorithm for scaling matrices", SIAM Review 4,
    1962).
    """
    entries = abs(matrix).tocoo()
    # On logarithms a product of factors is a sum, and a geometric mean a mean.
    value = np.log(entries.data)
    row, column = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    n_row = np.maximum(np.bincount(entries.row, minlength=len(row)), 1)
    n_column = np.maximum(np.bincount(entries.col, minlength=len(column)), 1)
    # Rows and columns in turn; a least-squares fit that settles in a few rounds.
    for _ in range(20):
        row = -np.bincount(entries.row, value + column[entries.col], minlength=len(row)) / n_row
        column = -np.bincount(entries.col, value + row[entries.row], minlength=len(column)) / n_column
    return np.exp(row), np.exp(column)
