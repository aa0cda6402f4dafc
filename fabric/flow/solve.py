"""Solvers of single-commodity flow: exact integers where they fit, a linear program else."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy import optimize, sparse
from scipy.sparse import csgraph

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.flow.problem import Network

_INT32 = 2**31 - 1


def solve(net: Network) -> tuple[Floats, Floats | None]:
    """Return a maximum flow on the arcs of `net`.

    Returns
    -------
    flow : ndarray of float64, shape (k,)
        On each arc [Gb/s].
    price : ndarray of float64, shape (k,) or None
        Price of the capacity of each arc, where a linear program gave one; None where the flow has no shared
        sets, so that its residual network holds the cut.

    Notes
    -----
    Rates are scaled to whole units of their greatest common divisor and given to scipy's Dinic, which works in
    int32 and would wrap silently above; a network that does not fit is solved as a linear program (HiGHS).
    """
    bounded = _bounded(net)
    unit = _unit(net.capacity[np.isfinite(net.capacity)])
    if not net.shared and unit is not None and bounded.max(initial=0.0) / unit <= _INT32:
        return _dinic(net, bounded, unit), None
    return _program(net, bounded)


def _bounded(net: Network) -> Floats:
    """Return capacities with each infinite one replaced by what its neighbourhood can carry."""
    finite = np.where(np.isfinite(net.capacity), net.capacity, 0.0)
    for arcs, limit in net.shared:
        finite[arcs] = limit
    # What enters or leaves a node over finite arcs; passed on once over infinite arcs in each round.
    bound = np.where(np.isfinite(net.capacity), net.capacity, np.inf)
    for arcs, limit in net.shared:
        bound[arcs] = limit
    for _ in range(4):
        free = ~np.isfinite(bound)
        if not free.any():
            break
        known = np.where(free, 0.0, bound)
        unknown_out = np.bincount(net.tail, free, minlength=net.n_nodes) > 0
        unknown_in = np.bincount(net.head, free, minlength=net.n_nodes) > 0
        out_sum = np.where(unknown_out, np.inf, np.bincount(net.tail, known, minlength=net.n_nodes))
        in_sum = np.where(unknown_in, np.inf, np.bincount(net.head, known, minlength=net.n_nodes))
        out_sum[net.target] = in_sum[net.source] = np.inf
        bound = np.where(free, np.minimum(out_sum[net.head], in_sum[net.tail]), bound)
    return np.where(np.isfinite(bound), bound, finite.sum())


def _unit(rates: Floats) -> float | None:
    """Return the greatest rate that all `rates` are whole multiples of, or None."""
    fractions = [Fraction(float(r)).limit_denominator(1000) for r in np.unique(rates) if r > 0]
    if not fractions:
        return 1.0
    if any(abs(float(f) - r) > 1e-15 * r for f, r in zip(fractions, np.unique(rates[rates > 0]), strict=True)):
        return None
    lcm = math.lcm(*(f.denominator for f in fractions))
    gcd = math.gcd(*(int(f * lcm) for f in fractions))
    return gcd / lcm


def _dinic(net: Network, bounded: Floats, unit: float) -> Floats:
    units = np.rint(bounded / unit).astype(np.int64)
    shape = (net.n_nodes, net.n_nodes)
    # Parallel arcs become one matrix entry; its flow is dealt out again below.
    total = sparse.coo_matrix((units, (net.tail, net.head)), shape=shape).tocsr()
    if total.nnz and total.data.max() > _INT32:
        return _program(net, bounded)[0]
    graph = sparse.csr_matrix((total.data.astype(np.int32), total.indices, total.indptr), shape=shape)
    graph.sum_duplicates()
    result = csgraph.maximum_flow(graph, net.source, net.target, method="dinic")
    merged = result.flow.tocsr()
    key = net.tail * net.n_nodes + net.head
    unique, inverse = np.unique(key, return_inverse=True)
    entry = np.asarray(merged[unique // net.n_nodes, unique % net.n_nodes]).ravel().astype(np.int64)
    return _dealt(np.maximum(entry, 0), inverse.ravel(), units) * unit


def _dealt(entry: Ints, inverse: Ints, units: Ints) -> Floats:
    """Deal the flow of each matrix entry out to its parallel arcs, first arcs first."""
    order = np.argsort(inverse, kind="stable")
    room = units[order]
    before = np.cumsum(room) - room
    group = inverse[order]
    first = np.concatenate([[True], group[1:] != group[:-1]]) if len(group) else np.zeros(0, np.bool_)
    before = before - np.maximum.accumulate(np.where(first, before, 0)) if len(group) else before
    flow = np.zeros(len(units))
    flow[order] = np.clip(entry[group] - before, 0, room)
    return flow


def _program(net: Network, bounded: Floats) -> tuple[Floats, Floats | None]:
    """Solve as a linear program; needed for shared sets and for rates beyond whole units of int32."""
    k = len(net.tail)
    scale = float(net.capacity[np.isfinite(net.capacity)].max(initial=1.0)) or 1.0
    inner = np.arange(net.n_nodes - 2)
    arcs = np.arange(k)
    incidence = sparse.coo_matrix((np.ones(k), (net.tail, arcs)), shape=(net.n_nodes, k))
    incidence = (incidence - sparse.coo_matrix((np.ones(k), (net.head, arcs)), shape=(net.n_nodes, k))).tocsr()
    single = np.flatnonzero(np.isfinite(net.capacity))
    rows = [(np.array([a]), net.capacity[a]) for a in single] + list(net.shared)
    row_of = np.repeat(np.arange(len(rows)), [len(a) for a, _ in rows])
    columns = np.concatenate([a for a, _ in rows]) if rows else np.zeros(0, np.int64)
    upper = sparse.coo_matrix((np.ones(len(columns)), (row_of, columns)), shape=(len(rows), k)).tocsr()
    limits = np.array([limit for _, limit in rows]) / scale
    cost = -(net.head == net.target).astype(np.float64)
    result = optimize.linprog(
        cost, A_ub=upper, b_ub=limits, A_eq=incidence[inner], b_eq=np.zeros(len(inner)), method="highs"
    )
    if result.status != 0:
        msg = f"the flow program was not solved: {result.message}"
        raise QuestionError(msg)
    flow = np.clip(result.x, 0.0, None) * scale
    if not net.shared:
        return flow, None
    price = np.zeros(k)
    for (arcs_of, _), dual in zip(rows, -result.ineqlin.marginals, strict=True):
        price[arcs_of] = max(dual, 0.0)
    return flow, price


def residual(net: Network, flow: Floats) -> tuple[Bools, Bools]:
    """Return what the residual network says about minimum cuts.

    Returns
    -------
    near : ndarray of bool, shape (n_nodes,)
        Nodes on the source's side of the minimum cut nearest the source.
    in_some_cut : ndarray of bool, shape (k,)
        Arcs of finite capacity that belong to at least one minimum cut.

    Notes
    -----
    An arc is in some minimum cut exactly when it is full and its ends lie in different strong components of the
    residual network (Picard and Queyranne, Math. Programming Study 13, 1980).
    """
    slack = 1e-9 * np.where(np.isfinite(net.capacity), net.capacity, 1.0)
    forward = ~np.isfinite(net.capacity) | (flow < net.capacity - slack)
    backward = flow > slack
    tail = np.concatenate([net.tail[forward], net.head[backward]])
    head = np.concatenate([net.head[forward], net.tail[backward]])
    graph = sparse.csr_matrix((np.ones(len(tail), np.int8), (tail, head)), shape=(net.n_nodes, net.n_nodes))
    near = np.zeros(net.n_nodes, np.bool_)
    near[csgraph.breadth_first_order(graph, net.source, return_predecessors=False)] = True
    _, strong = csgraph.connected_components(graph, directed=True, connection="strong")
    full = ~forward & (net.capacity > 0)
    return near, full & (strong[net.tail] != strong[net.head])
