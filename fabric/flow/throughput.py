"""Maximum concurrent flow of uniform all-to-all, exact on the quotient, at any size.

By averaging over the automorphisms there is an optimum in which the flow of one source is the image of the flow of
any other of its class. So one source for each class of endpoints suffices; its flow lives on the classes that
keep the source in place, and a class of links O carries::

    sum over sources s of  |class of s| * (flow of s through the parts of O)  <=  |O| * rate
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, sparse

from fabric.blueprint.join import Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.errors import QuestionError
from fabric.graph import Forwarding, Paths, forwarding
from fabric.symmetry import Quotient, quotient


@dataclass(frozen=True, eq=False)
class Block:
    """The flow of one source class.

    Parameters
    ----------
    n_sources : float
        Sources in the class.
    view : Quotient
        Classes with one of them marked.
    moves : Forwarding
        Permitted moves of its traffic.
    start : int
        State in which the source sends.
    wanted : ndarray of float64, shape (n_states,)
        Traffic that ends in each state when every endpoint sends at rate 1.
    """

    n_sources: float
    view: Quotient
    moves: Forwarding
    start: int
    wanted: Floats


def blocks(blueprint: Blueprint, *, paths: Paths = "rules") -> tuple[Quotient, list[Block]]:
    """Return the quotient of `blueprint` and one block for each class of endpoints.

    Raises
    ------
    QuestionError
        If there are fewer than two endpoints.
    """
    base = quotient(blueprint)
    ends = np.flatnonzero(base.classes.is_endpoint)
    n = float(base.size[ends].sum())
    if n < 2:
        msg = f"{blueprint.name}: uniform all-to-all needs at least 2 endpoints; it has {int(n)}"
        raise QuestionError(msg)
    found = []
    for one in ends.tolist():
        view = quotient(blueprint, (base.index[one],))
        is_end = view.classes.is_endpoint
        same = view.classes.group == base.classes.group[one]
        (own,) = (i for i in np.flatnonzero(same & is_end).tolist() if view.index[i] == base.index[one])
        source = np.zeros(len(view.size), dtype=np.bool_)
        source[own] = True
        moves = forwarding(view.classes, source, is_end & ~source, paths=paths)
        wanted = np.zeros(moves.n_states)
        targets = np.flatnonzero(is_end & ~source)
        np.add.at(wanted, moves.target[targets], view.size[targets] / (n - 1))
        found.append(Block(float(base.size[one]), view, moves, int(moves.source[own]), wanted))
    return base, found


def capacities(base: Quotient) -> Floats:
    """Return the capacity of every base class of links [Gb/s]."""
    found = np.zeros(int(base.base.max(initial=-1)) + 1)
    np.add.at(found, base.base, np.repeat(base.classes.count * base.classes.rate_gbps, 2))
    return found


@dataclass(frozen=True, eq=False)
class Concurrent:
    """Solution of the class program.

    Parameters
    ----------
    rate_gbps : float
        What every endpoint sends [Gb/s].
    flow : list of ndarray of float64
        For each block, flow of one source on every move [Gb/s].
    price : ndarray of float64
        Of every base class of links, so that the best rate is at most the sum of capacity times price.
    n_variables : int
    """

    rate_gbps: float
    flow: list[Floats]
    price: Floats
    n_variables: int


def solve_blocks(base: Quotient, parts: list[Block]) -> Concurrent:
    """Return the largest rate at which every endpoint can send to all others alike.

    Raises
    ------
    QuestionError
        If the program is not solved.
    """
    capacity = capacities(base)
    used = np.flatnonzero(capacity > 0)
    row_of = np.full(len(capacity), -1)
    row_of[used] = np.arange(len(used))
    equal, shared, right = [], [], []
    for part in parts:
        moves = part.moves
        k, n = len(moves.tail), moves.n_states
        arcs = np.arange(k)
        flow = sparse.coo_matrix((np.ones(k), (moves.tail, arcs)), shape=(n, k))
        flow = flow - sparse.coo_matrix((np.ones(k), (moves.head, arcs)), shape=(n, k))
        keep = np.arange(n) != part.start
        equal.append(flow.tocsr()[keep])
        right.append(part.wanted[keep])
        on = moves.link >= 0
        rows = row_of[part.view.base[moves.link[on]]]
        weight = np.full(on.sum(), part.n_sources) / capacity[used][rows]
        shared.append(sparse.coo_matrix((weight, (rows, arcs[on])), shape=(len(used), k)))
    balance = sparse.hstack([sparse.block_diag(equal), np.concatenate(right)[:, None]]).tocsr()
    load = sparse.hstack([*shared, sparse.coo_matrix((len(used), 1))]).tocsr()
    x, dual = _maximize(balance, load)
    edges = np.cumsum([0, *(len(p.moves.tail) for p in parts)])
    price = np.zeros(len(capacity))
    price[used] = dual / capacity[used]
    return Concurrent(float(x[-1]), [x[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)], price, len(x))


def _maximize(balance: sparse.csr_matrix, load: sparse.csr_matrix) -> tuple[Floats, Floats]:
    """Maximize the last variable subject to ``balance @ x = 0`` and ``load @ x <= 1``.

    Rows and columns are scaled by geometric means first: classes of one device and of a million meet in one program.
    """
    n_rows = balance.shape[0]
    matrix = sparse.vstack([balance, load]).tocsr()
    row, column = _equilibrate(matrix)
    scaled = sparse.diags(row) @ matrix @ sparse.diags(column)
    cost = np.zeros(matrix.shape[1])
    cost[-1] = -1.0
    result = optimize.linprog(
        cost,
        A_ub=scaled[n_rows:],
        b_ub=row[n_rows:],
        A_eq=scaled[:n_rows],
        b_eq=np.zeros(n_rows),
        method="highs",
    )
    if result.status != 0:
        msg = f"the class program was not solved: {result.message}"
        raise QuestionError(msg)
    return np.clip(result.x, 0, None) * column, np.clip(-result.ineqlin.marginals * row[n_rows:] * column[-1], 0, None)


def _equilibrate(matrix: sparse.csr_matrix) -> tuple[Floats, Floats]:
    """Return row and column factors that bring the entries of `matrix` near 1 (Ruiz, RAL-TR-2001-034)."""
    row, column = np.ones(matrix.shape[0]), np.ones(matrix.shape[1])
    logs = abs(matrix).tocoo()
    value = np.log(logs.data)
    r, c = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
    n_row = np.maximum(np.bincount(logs.row, minlength=len(r)), 1)
    n_column = np.maximum(np.bincount(logs.col, minlength=len(c)), 1)
    for _ in range(20):
        r = -np.bincount(logs.row, value + c[logs.col], minlength=len(r)) / n_row
        c = -np.bincount(logs.col, value + r[logs.row], minlength=len(c)) / n_column
    row, column = np.exp(r), np.exp(c)
    return row, column


