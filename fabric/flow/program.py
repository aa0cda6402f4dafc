"""The class program: largest rate at which all demands can be met at once.

By averaging over the automorphisms there is an optimum in which the flow of one source is the image of the
flow of any other of its class. So one source for each class of endpoints suffices; its flow lives on the
classes that keep the source in place, and a class of links O carries::

    sum over sources s of  |class of s| * (flow of s through the parts of O)  <=  |O| * rate
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from scipy import optimize, sparse

from fabric.arrays import Floats, Ints
from fabric.errors import LimitError, QuestionError, setting
from fabric.graph import Forwarding
from fabric.symmetry import Quotient

_LOG = logging.getLogger(__name__)
MANY_VARIABLES, MANY_CAPACITIES, MANY_WAYS = 4_000, 100, 3
"""Variables, shared capacities and variables a balance row beyond which the interior point method solves a
program: 9,841, 480 and 6 in half the time of the simplex method, 15,343, 330 and 2 in twice the time."""
ALL_VARIABLES = 25_000
"""Variables beyond which it does whatever the ways: 28,861 in 1.5 s, not 9, and 115,321 in 19 s, not 256."""

FEW_CAPACITIES = 30
"""Shared capacities up to which presolving finds nothing: in a torus of 6 it is a tenth of the time."""

CRUMB = 1e-9
"""Part of the rate below which a flow that begins or ends where none should is taken for rounding."""

MAX_VARIABLES = 400_000
"""Flow variables of a program: some minutes of HiGHS."""


class ProgramSizeError(LimitError):
    """A program of more than `MAX_VARIABLES` variables; an interval can still be given."""


@dataclass(frozen=True, eq=False)
class Commodity:
    """One commodity: the traffic of one source, or towards one target, on the classes that keep it in place.

    Parameters
    ----------
    n_alike : float
        How many commodities this one stands for.
    view : Quotient
        Classes with the source or target marked.
    moves : Forwarding
        Permitted moves of its traffic.
    supply : ndarray of float64, shape (n_states,)
        What enters (positive) and leaves (negative) at each state at unit rate; sums to 0.
    origin : int
        Base class of the source, or -1 for a single commodity.
    """

    n_alike: float
    view: Quotient
    moves: Forwarding
    supply: Floats
    origin: int = -1


@dataclass(frozen=True, eq=False)
class Solution:
    """Solution of a class program.

    Parameters
    ----------
    rate_gbps : float
        The largest rate; every supply is met times this [Gb/s].
    flow : tuple of ndarray of float64
        For each block, flow of one commodity on every move [Gb/s].
    price : ndarray of float64
        Of every base class of links; the best rate is at most the sum of capacity times price.
    n_variables : int
    """

    rate_gbps: float
    flow: tuple[Floats, ...]
    price: Floats
    n_variables: int


def capacities(base: Quotient) -> Floats:
    """Return the capacity of every base class of links [Gb/s]."""
    found = np.zeros(int(base.base.max(initial=-1)) + 1)
    np.add.at(found, base.base, np.repeat(base.classes.count * base.classes.rate_gbps, 2))
    return found


def solve_blocks(capacity: Floats, parts: list[Commodity]) -> Solution:
    """Return the largest rate at which all blocks can be met at once.

    Parameters
    ----------
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    parts : list of Commodity

    Raises
    ------
    QuestionError
        If the program is not solved.
    """
    used = np.flatnonzero(capacity > 0)
    row_of = np.full(len(capacity), -1)
    row_of[used] = np.arange(len(used))
    equal, shared, supplies = [], [], []
    folds = [_fold(part) for part in parts]
    for part, fold in zip(parts, folds, strict=True):
        moves, kept = part.moves, fold.kept
        k, n = len(kept), moves.n_states
        arcs, ones = np.arange(k), np.ones(k)
        flow = sparse.coo_matrix((ones, (moves.tail[kept], arcs)), shape=(n, k))
        equal.append((flow - sparse.coo_matrix((ones, (moves.head[kept], arcs)), shape=(n, k))).tocsr())
        supplies.append(np.bincount(fold.state, part.supply, minlength=n))
        link = moves.link[kept]
        on = link >= 0
        rows = row_of[part.view.base[link[on]]]
        weight = part.n_alike / capacity[used][rows]
        shared.append(sparse.coo_matrix((weight, (rows, arcs[on])), shape=(len(used), k)))
    supply = np.concatenate(supplies)
    some = np.diff(sparse.block_diag(equal).tocsr().indptr) > 0
    some |= supply != 0
    balance = sparse.hstack([sparse.block_diag(equal), -supply[:, None]]).tocsr()[some]
    load = sparse.hstack([*shared, sparse.coo_matrix((len(used), 1))]).tocsr()
    x, dual = maximize(balance, load)
    edges = np.cumsum([0, *(len(fold.kept) for fold in folds)])
    price = np.zeros(len(capacity))
    price[used] = dual / capacity[used]
    flows = tuple(
        _settled(part, _unfolded(part, fold, x[a:b], float(x[-1])), float(x[-1]))
        for part, fold, a, b in zip(parts, folds, edges[:-1], edges[1:], strict=True)
    )
    return Solution(float(x[-1]), flows, price, len(x))


@dataclass(frozen=True, eq=False)
class _Fold:
    """A block in which a device that forwards freely receives what it forwards, in one state.

    Parameters
    ----------
    kept : ndarray of int64
        Moves that are variables.
    state : ndarray of int64, shape (n_states,)
        State that stands for each state.
    twin : ndarray of int64, shape (number of other moves,)
        For each of the others, the move that is kept and leads over the same link to the device as it
        forwards.
    """

    kept: Ints
    state: Ints
    twin: Ints


def _fold(part: Commodity) -> _Fold:
    """Return which moves can be left out: a torus has a target beside each of its forwarding states."""
    moves = part.moves
    n = moves.n_states
    state = np.arange(n)
    free = np.array([role[0] == "free" for role in moves.role], dtype=np.bool_)
    ends = np.flatnonzero(moves.target >= 0)
    by_device = np.full(moves.expanded.n_devices, -1, dtype=np.int64)
    # With several stages a device may forward in several states; the target is beside none of them.
    alone = free & (np.bincount(moves.device[free], minlength=len(by_device)) == 1)[moves.device]
    by_device[moves.device[alone]] = np.flatnonzero(alone)
    ends = ends[by_device[ends] >= 0]
    state[moves.target[ends]] = by_device[ends]
    width = int(moves.link.max(initial=0)) + 2
    key = (moves.tail * width + moves.link + 1) * n + moves.head
    order = np.argsort(key)
    into = np.flatnonzero(state[moves.head] != moves.head)
    wanted = (moves.tail[into] * width + moves.link[into] + 1) * n + state[moves.head[into]]
    place = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
    twin = order[place] if len(order) else place
    unlike = key[twin] != wanted
    if unlike.any():
        alone_again = np.isin(state, state[moves.head[into[unlike]]])
        state = np.where(alone_again, np.arange(n), state)
        left = state[moves.head[into]] != moves.head[into]
        into, twin = into[left], twin[left]
    kept = np.ones(len(moves.tail), dtype=np.bool_)
    kept[into] = False
    return _Fold(np.flatnonzero(kept), state, twin)


def _unfolded(part: Commodity, fold: _Fold, x: Floats, rate: float) -> Floats:
    """Return the flow on every move: of what enters a device over each link, the same part stays there."""
    moves = part.moves
    flow = np.zeros(len(moves.tail))
    flow[fold.kept] = x
    if not len(fold.twin):
        return flow
    others = np.ones(len(flow), dtype=np.bool_)
    others[fold.kept] = False
    entering = np.bincount(moves.head, flow, minlength=moves.n_states)
    stays = np.zeros(moves.n_states)
    folded = np.flatnonzero(fold.state != np.arange(moves.n_states))
    at = fold.state[folded]
    stays[at] = np.divide(
        -part.supply[folded] * rate, entering[at], out=np.zeros(len(at)), where=entering[at] > 0
    )
    share = np.minimum(stays[moves.head[fold.twin]], 1.0)
    flow[others] = flow[fold.twin] * share
    flow[fold.twin] *= 1.0 - share
    return flow


def _settled(part: Commodity, flow: Floats, rate: float) -> Floats:
    """Return `flow` without the crumbs that the tolerance of a solver leaves where next to nothing passes.

    What they leave out of balance is then at states with traffic of their own, where it is rounding.
    """
    moves, n = part.moves, part.moves.n_states
    while True:
        out, into = (np.bincount(end, flow, minlength=n) for end in (moves.tail, moves.head))
        most = np.maximum(out, into)
        stuck = (part.supply == 0) & (most < CRUMB * rate) & (np.minimum(out, into) < most / 2)
        if not stuck.any():
            return flow
        flow = np.where(stuck[moves.tail] | stuck[moves.head], 0.0, flow)


def maximize(
    balance: sparse.csr_matrix, load: sparse.csr_matrix, bound: Floats | None = None
) -> tuple[Floats, Floats]:
    """Maximize the last variable subject to ``balance @ x = 0``, ``load @ x <= bound`` (1) and ``x >= 0``.

    Returns
    -------
    x : ndarray of float64
    dual : ndarray of float64
        Of the rows of `load`; sums to the optimum.

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
    cost[-1] = -1.0
    right = row[n_rows:] * (1.0 if bound is None else bound)
    # Many shared capacities with many ways round slow the simplex method down far more than the other.
    first, second = "highs-ds", "highs-ipm"
    many = min(max(MANY_VARIABLES, MANY_WAYS * n_rows), ALL_VARIABLES)
    if len(cost) > many and len(right) > MANY_CAPACITIES:
        first, second = second, first
    if len(cost) > ALL_VARIABLES:
        _LOG.info("solving %s variables; %s makes it smaller", f"{len(cost):,}", setting("among"))
    # Tight tolerances first; where HiGHS cannot keep them, its own; the certificate tells what that costs.
    for method, tolerance in ((first, 1e-10), (second, 1e-10), (first, 1e-7)):
        result = optimize.linprog(
            cost,
            A_ub=scaled[n_rows:],
            b_ub=right,
            A_eq=scaled[:n_rows],
            b_eq=np.zeros(n_rows),
            method=method,
            options={
                "presolve": len(right) > FEW_CAPACITIES,
                "primal_feasibility_tolerance": tolerance,
                "dual_feasibility_tolerance": tolerance,
            },
        )
        if result.status == 0:
            break
    else:
        msg = f"the class program was not solved: {result.message}"
        raise QuestionError(msg)
    dual = -result.ineqlin.marginals * row[n_rows:] * column[-1]
    return np.clip(result.x, 0, None) * column, np.clip(dual, 0, None)


def _equilibrate(matrix: sparse.csr_matrix) -> tuple[Floats, Floats]:
    """Return row and column factors that bring the entries of `matrix` near 1.

    Alternating geometric means (Fulkerson and Wolfe, "An algorithm for scaling matrices", SIAM Review 4,
    1962).
    """
    entries = abs(matrix).tocoo()
    value = np.log(entries.data)
    row, column = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    n_row = np.maximum(np.bincount(entries.row, minlength=len(row)), 1)
    n_column = np.maximum(np.bincount(entries.col, minlength=len(column)), 1)
    for _ in range(20):
        row = -np.bincount(entries.row, value + column[entries.col], minlength=len(row)) / n_row
        column = -np.bincount(entries.col, value + row[entries.row], minlength=len(column)) / n_column
    return np.exp(row), np.exp(column)
