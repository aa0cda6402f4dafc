"""Loads of reductions in switches: every switch that reduces passes on one sum, however many come in.

::

            spine            one sum a leaf arrives
           /     \\
        leaf     leaf        one byte a rank arrives
       / | \\     / | \\
      ranks      ranks

What switches multiply runs the same links the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.graph import Expanded, Paths
from fabric.routing import Router, router


def reducing_switches(expanded: Expanded, groups: tuple[str, ...], *, is_scale_up: bool) -> Bools:
    """Return the switches of `groups` that are up and on the scale-up network, or beyond it, shape (n,)."""
    rules = np.array([(r.net == "scale-up") == is_scale_up for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule] & (expanded.alive > 0)
    found = np.zeros(expanded.n_devices, dtype=np.bool_)
    found[expanded.tail[rows]] = found[expanded.head[rows]] = True
    named = np.array([g.name in groups for g in expanded.groups], dtype=np.bool_)[expanded.group]
    return np.asarray(found & named & ~expanded.failed)


def reduces(expanded: Expanded, groups: tuple[str, ...]) -> tuple[bool, bool]:
    """Return whether switches of `groups` reduce on the scale-up network, and whether some do beyond it."""
    inside, outside = (reducing_switches(expanded, groups, is_scale_up=up).any() for up in (True, False))
    return bool(inside), bool(outside)


def switch_loads(
    expanded: Expanded,
    size: Floats,
    ranks: Bools,
    switches: Bools,
    n_sums: Callable[[Flow], Floats],
    paths: Paths,
) -> tuple[Floats, Floats] | None:
    """Return what one byte from every rank to the switches puts on links.

    Parameters
    ----------
    expanded : Expanded
        n devices, or classes of devices, and m bundles.
    size : ndarray of float64, shape (n,)
        Devices in each class.
    ranks, switches : ndarray of bool, shape (n,)
        Who sends, and which switches reduce.
    n_sums : callable
        From the flow of the ranks to the nearest switches to the number of different sums that each device
        forms, shape (n,).
    paths : {"rules", "no-relay", "any"}

    Returns
    -------
    load : ndarray of float64, shape (2 * m,)
    hops : ndarray of float64, shape (number of rules,)
        Links of each rule on the way of one byte.
    None
        If a rank reaches no such switch.

    Notes
    -----
    Bytes go to the nearest switches that reduce; from there on to the others that do, if there are any.
    """
    near = _to_nearest(
        router(expanded, ranks, switches=switches, paths=paths), np.where(ranks, size, 0.0), switches
    )
    if near is None:
        return None
    n_rules = len(expanded.rules)
    rule = np.repeat(expanded.rule, 2)
    load = near.load
    hops = np.bincount(rule, load, minlength=n_rules) / size[ranks].sum()
    active = near.arrived > 0
    others = switches & ~active
    if others.any():
        sums = np.where(active, np.minimum(near.arrived, size * n_sums(near)), 0.0)
        onward = _to_nearest(router(expanded, active, switches=others, paths=paths), sums, others)
        if onward is not None:
            load = load + onward.load
            hops = hops + np.bincount(rule, onward.load, minlength=n_rules) / sums.sum()
    return load, hops


@dataclass(frozen=True, eq=False)
class Flow:
    """What goes to the nearest of some targets.

    Parameters
    ----------
    route : Router
    targets : ndarray of bool, shape (n,)
    nearer : ndarray of bool, shape (k,)
        Moves of the router that lead one hop nearer.
    load : ndarray of float64, shape (2 * m,)
    arrived : ndarray of float64, shape (n,)
        At each target.
    """

    route: Router
    targets: Bools
    nearer: Bools
    load: Floats
    arrived: Floats

    def n_arriving(self, group: Ints) -> Floats:
        """Return from how many groups of devices something arrives at each target, shape (n,).

        Parameters
        ----------
        group : ndarray of int64, shape (n,)
            Group of each device that sends, -1 for the others.
        """
        route, n = self.route, self.route.n_states
        senders = np.flatnonzero(group >= 0)
        shape = (n, int(group.max()) + 1)
        here = sparse.csr_array((np.ones(len(senders)), (route.source[senders], group[senders])), shape=shape)
        moves = np.flatnonzero(self.nearer)
        step = sparse.csr_array((np.ones(len(moves)), (route.head[moves], route.tail[moves])), shape=(n, n))
        found = np.zeros(len(self.targets))
        ends = np.flatnonzero(self.targets)
        ends = ends[route.target[ends] >= 0]
        while here.nnz:
            here = step @ here
            here.data[:] = 1.0
            found[ends] = np.maximum(found[ends], np.diff(here[route.target[ends]].indptr))
        return found


def _to_nearest(route: Router, amount: Floats, targets: Bools) -> Flow | None:
    """Return what happens when all goes to the nearest targets.

    Equal split per hop over the cables of all shortest permitted paths; None where there is no path.
    """
    n = route.n_states
    hops = np.full(n, -1)
    ends = route.target[targets]
    hops[ends[ends >= 0]] = 0
    level = 0
    while True:
        before = (hops[route.head] == level) & (hops[route.tail] < 0)
        if not before.any():
            break
        level += 1
        hops[route.tail[before]] = level
    flow = np.zeros(n)
    senders = np.flatnonzero(amount)
    starts = route.source[senders]
    if (hops[starts] < 0).any():
        return None
    np.add.at(flow, starts, amount[senders])
    load = np.zeros(2 * route.expanded.n_bundles)
    nearer = hops[route.head] == hops[route.tail] - 1
    nearer &= hops[route.head] >= 0
    ways = np.bincount(route.tail[nearer], route.cables[nearer], minlength=n)
    for step in range(level, 0, -1):
        moves = np.flatnonzero(nearer & (hops[route.tail] == step))
        share = flow[route.tail[moves]] * route.cables[moves] / ways[route.tail[moves]]
        np.add.at(load, route.link[moves], share)
        np.add.at(flow, route.head[moves], share)
    arrived = np.zeros(len(targets))
    found = np.flatnonzero(targets)
    found = found[route.target[found] >= 0]
    arrived[found] = flow[route.target[found]]
    return Flow(route, targets, nearer, load, arrived)
