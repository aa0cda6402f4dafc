"""Uniform all-to-all without symmetry, every device and cable in one linear program, and by quotients."""

from dataclasses import replace

import numpy as np
from scipy import optimize, sparse

from fabric.flow.commodities import Commodity, capacities
from fabric.flow.program import solve_commodities
from fabric.graph import expand, forwarding
from fabric.graph.forwarding import reachable
from fabric.symmetry import quotient
from fabric.symmetry.refinement import refine


def explicit_rate(fabric, paths="rules"):
    """Return what every endpoint that is up can send to all others alike [Gb/s].

    The variables are flows of each source on the moves that the path rules permit it, and theta, the rate of
    every pair; a link carries all of them.
    """
    e = expand(fabric)
    is_end = e.is_endpoint & ~e.failed
    n = int(is_end.sum())
    equal, shared, right = [], [], []
    capacity = np.repeat(e.alive * e.rate_gbps, 2)
    for source in np.flatnonzero(is_end).tolist():
        own = np.arange(e.n_devices) == source
        targets = is_end & ~own
        moves = forwarding(e, own, targets, paths=paths)
        start, ends = int(moves.source[source]), moves.target[targets]
        begin = np.arange(moves.n_states) == start
        useful = reachable(moves.n_states, moves.tail, moves.head, begin)
        if not useful[ends].all():
            return 0.0
        wanted = np.zeros(moves.n_states)
        wanted[ends] = 1.0
        useful &= reachable(moves.n_states, moves.head, moves.tail, wanted > 0)
        kept = useful[moves.tail] & useful[moves.head] & (moves.head != start)
        tail, head, link = moves.tail[kept], moves.head[kept], moves.link[kept]
        k = len(tail)
        flow = sparse.coo_matrix(
            (np.ones(k), (tail, np.arange(k))), shape=(moves.n_states, k)
        ) - sparse.coo_matrix((np.ones(k), (head, np.arange(k))), shape=(moves.n_states, k))
        rows = np.flatnonzero(useful & ~begin)
        equal.append(flow.tocsr()[rows])
        right.append(wanted[rows])
        on = link >= 0
        shared.append(
            sparse.coo_matrix((np.ones(on.sum()), (link[on], np.flatnonzero(on))), shape=(len(capacity), k))
        )
    balance = sparse.hstack([sparse.block_diag(equal), np.concatenate(right)[:, None]]).tocsr()
    load = sparse.hstack([*shared, sparse.coo_matrix((len(capacity), 1))]).tocsr()
    used = np.flatnonzero(np.diff(load.indptr))
    cost = np.zeros(balance.shape[1])
    cost[-1] = -1.0
    result = optimize.linprog(
        cost,
        A_ub=load[used],
        b_ub=capacity[used],
        A_eq=balance,
        b_eq=np.zeros(balance.shape[0]),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert result.status == 0, result.message
    return float(result.x[-1]) * (n - 1)


def axes_rate(fabric, paths="rules"):
    """Return the same by the quotient of the axes; several groups of endpoints are one job here."""
    base = quotient(fabric.blueprint)
    ends = np.flatnonzero(base.classes.is_endpoint)
    views = []
    for one in ends.tolist():
        view = quotient(fabric.blueprint, (base.index[one],))
        same = (view.classes.group == base.classes.group[one]).tolist()
        (own,) = (i for i in np.flatnonzero(same).tolist() if view.index[i] == base.index[one])
        assert view.size[own] == 1
        views.append((base.size[one], view, own))
    return rate_of(base, views, paths)


def refined_rate(fabric, paths="rules"):
    """Return the same by the quotient of refinement."""
    return rate_of(*refine(expand(fabric)), paths)


def rate_of(base, views, paths):
    """Return the rate by a base quotient and, for each class of sources, their number and the view of one."""
    n = float(base.size[base.classes.is_endpoint].sum())
    blocks = []
    for n_sources, view, own in views:
        is_end = view.classes.is_endpoint
        source = np.arange(len(view.size)) == own
        targets = np.flatnonzero(is_end & ~source)
        moves = forwarding(view.classes, source, is_end & ~source, paths=paths)
        supply = np.zeros(moves.n_states)
        np.add.at(supply, moves.target[targets], -view.size[targets] / (n - 1))
        supply[moves.source[own]] += 1.0
        blocks.append(Commodity(float(n_sources), view, moves, supply))
    return solve_commodities(capacities(base), blocks).rate_gbps


def with_one_link_class(q):
    """Return a quotient whose links are wrongly taken for alike."""
    # One class for each direction: the backward links of one-way cables carry nothing.
    return replace(q, base=q.base % 2)


def by_sources_alone(base, views):
    """Return the base and views with links merged whose ends are alike, whatever all sources see of them."""
    c = base.classes
    _, one = np.unique(np.column_stack([c.rule, c.tail, c.head]), axis=0, return_inverse=True)
    class_of = np.column_stack([2 * one.ravel(), 2 * one.ravel() + 1]).ravel()
    return replace(base, base=class_of[base.base]), [
        (n, replace(view, base=class_of[view.base]), own) for n, view, own in views
    ]


def class_of(q, e, marked):
    """Return the mark of each class: that of the device it is named after."""
    number = {str(name): i for i, name in enumerate(e.names)}
    return np.array([marked[number[str(name)]] for name in q.classes.names])


def flow_on_classes(q, sources, targets, paths):
    """Return the maximum flow between two sets of classes; a link of a class carries its share."""
    moves = forwarding(q.classes, sources, targets, paths=paths, through=False)
    k, n = len(moves.tail), moves.n_states
    arcs = np.arange(k)
    net = sparse.coo_matrix((np.ones(k), (moves.tail, arcs)), shape=(n, k)) - sparse.coo_matrix(
        (np.ones(k), (moves.head, arcs)), shape=(n, k)
    )
    starts = moves.source[np.flatnonzero(sources)]
    ends = moves.target[np.flatnonzero(targets)]
    inner = np.setdiff1d(np.arange(n), [*starts, *ends])
    on = np.flatnonzero(moves.link >= 0)
    load = sparse.coo_matrix(
        (np.ones(len(on)), (moves.link[on], on)), shape=(2 * q.classes.n_bundles, k)
    ).tocsr()
    if not k:
        return 0.0
    out = np.asarray(net.tocsr()[starts].sum(axis=0)).ravel()
    result = optimize.linprog(
        -out,
        A_ub=load,
        b_ub=moves.link_capacity(),
        A_eq=net.tocsr()[inner],
        b_eq=np.zeros(len(inner)),
        method="highs",
    )
    assert result.status == 0, result.message
    return -float(result.fun)
