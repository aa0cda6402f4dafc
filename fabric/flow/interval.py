"""An interval for programs that are too large: what a mix of routings carries, and what prices forbid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import ProofError
from fabric.flow.by_links import DemandOf, demands_up
from fabric.flow.by_prices import Prices
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import nobody_left
from fabric.flow.logit import Logit
from fabric.flow.merged import Merged, merge
from fabric.flow.mirrored import mirrored
from fabric.flow.streamed import check_interval
from fabric.flow.towards import Towards, forced_load, gather
from fabric.flow.uniform import Uniform, list_pairs
from fabric.graph import Expanded, Paths, forwarding
from fabric.routing.ecmp import Demands
from fabric.symmetry.mirrors import mirrors

WANTED_GAP = 1e-3
"""Relative distance of the bounds at which the search ends, if nothing else is asked for."""


@dataclass(frozen=True, eq=False)
class Interval:
    """What is known of the largest rate of some demands.

    Parameters
    ----------
    proof : Verdict
        The bounds [Gb/s].
    use : ndarray of float64, shape (2 * m,)
        Load over capacity of every link under the routings, at the lower rate.
    price : ndarray of float64, shape (2 * m,)
        Of every link, in the bound that proves the upper rate.
    n_states : int
        In which traffic has a choice.
    """

    proof: Verdict
    use: Floats
    price: Floats
    n_states: int


def network_of(expanded: Expanded, demand: Demands | Uniform, paths: Paths) -> tuple[Merged, Towards]:
    """Return the merged states between the ends of `demand`, and the demands on them."""
    sides = [np.zeros(expanded.n_devices, dtype=np.bool_) for _ in range(2)]
    sides[0][demand.source] = sides[1][demand.target] = True
    net = merge(forwarding(expanded, *sides, paths=paths))
    return net, gather(net, list_pairs(net, demand).pairs)


def interval_of(
    expanded: Expanded, demand: Demands | Uniform, *, paths: Paths = "rules", gap: float = WANTED_GAP
) -> Interval:
    """Return the interval of the rate of `demand`.

    Parameters
    ----------
    expanded : Expanded
    demand : Demands or Uniform
        Between devices that can reach each other.
    paths : {"rules", "no-relay", "any"}
    gap : float
        Relative distance of the bounds at which the search ends.

    Raises
    ------
    ProofError
        If what was found does not stand the check.
    """
    net, traffic = network_of(expanded, demand, paths)
    capacity = net.moves.link_capacity()
    forced = forced_load(net, demand)
    images = mirrors(expanded)
    alike = mirrored(net, traffic, forced, images)
    use = np.divide(forced, capacity, out=np.zeros(len(forced)), where=capacity > 0)
    # The busiest link where there is no choice bounds all; where there is one, prices may prove less.
    price = np.zeros(len(capacity))
    price[use.argmax()] = 1.0
    mix, logit = [], Logit(alike.traffic)
    if len(traffic.sink):
        found = Prices(logit, capacity, forced, alike.kind).narrow(gap)
        mix = found.mix
        price = found.length if len(found.length) else price
    # Nothing of the search but prices and parts goes into the proof.
    net, traffic = network_of(expanded, demand, paths)
    forced = forced_load(net, demand)
    alike = mirrored(net, traffic, forced, images)
    flows = [(part, logit.flows(routing)) for part, routing in mix]
    proof, use = check_interval(net, alike, forced, flows, price, logit.distances(price))
    if proof.faults:
        msg = f"an interval that is not proven ({proof.faults[0]}): an error of fabtopo, please report it"
        raise ProofError(msg)
    return Interval(proof, use, price, traffic.n_states)


def left_over(
    expanded: Expanded,
    demand_of: DemandOf,
    probe_of: DemandOf | None,
    *,
    paths: Paths,
    drop_unreachable: bool,
    lost_of: Callable[[Bools], Ints] | None = None,
) -> tuple[Demands | Uniform, Bools]:
    """Return demands among those that reach most of one another, and the devices that do not.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    demand_of : callable
    probe_of : callable, optional
        Demands by which to find out who is cut off; `demand_of` if left out.
    paths : {"rules", "no-relay", "any"}
    drop_unreachable : bool
        Whether to leave them out; else they are only named.
    lost_of : callable, optional
        Who else is cut off, of the devices that are left, whatever the demands.

    Raises
    ------
    QuestionError
        If nobody is left.
    """
    lost = np.zeros(expanded.n_devices, dtype=np.bool_)
    while True:
        demand = demand_of(~lost)
        if not len(demand.source):
            raise nobody_left(str(expanded.names[int(np.flatnonzero(lost)[0])]) if lost.any() else "")
        # A matrix may name what has failed, which no pattern does.
        demand, down = demands_up(expanded, demand)
        fresh = _lost(expanded, demand, paths) if len(demand.source) else down
        # A permutation says little about who is cut off; all-to-all among the same devices does.
        if fresh.any() and probe_of is not None:
            fresh = _lost(expanded, probe_of(~lost), paths)
        fresh |= down
        if lost_of is not None:
            fresh[lost_of(~lost)] = True
        lost |= fresh
        if not fresh.any() or not drop_unreachable:
            return demand, lost


def _lost(expanded: Expanded, demand: Demands | Uniform, paths: Paths) -> Bools:
    """Return the devices that are cut off from most of those that they exchange traffic with."""
    net, traffic = network_of(expanded, demand, paths)
    listed = list_pairs(net, demand)
    pairs, n = listed.pairs, expanded.n_devices
    is_far = ~_reached(net, traffic, pairs)
    n_ends = [len(np.unique(side)) for side in (pairs.source, pairs.target)]
    sides = (pairs.source, pairs.target) if n_ends[0] <= n_ends[1] else (pairs.target, pairs.source)
    one, other = (side[is_far] for side in sides)
    n_far = np.bincount(one, listed.n_targets[is_far], minlength=n)
    n_others = np.bincount(sides[0], listed.n_targets, minlength=n)
    is_few = (2 * n_far < n_others + 1)[one]
    # Of a pair that has only each other the one that sends is named.
    is_pair = (n_others == 1)[one]
    lost = np.zeros(n, dtype=np.bool_)
    lost[other[is_few]] = lost[one[~is_few & ~is_pair]] = True
    lost[pairs.source[is_far][is_pair]] = True
    return lost[listed.like]


def _reached(net: Merged, traffic: Towards, pairs: Demands) -> Bools:
    """Return which pairs have a permitted way."""
    nothing = np.zeros(2 * net.moves.expanded.n_bundles)
    arrives = np.zeros((len(traffic.sink), traffic.n_states), dtype=np.bool_)
    for block, distance in Logit(traffic).distances(nothing):
        arrives[block] = np.isfinite(distance)
    entry, exit_ = net.entry[pairs.source], net.exit[pairs.target]
    starts, ends = (entry, exit_) if traffic.is_out else (exit_, entry)
    number = np.full(net.n_states + 1, -1, dtype=np.int64)
    number[traffic.state] = np.arange(traffic.n_states)
    row = np.searchsorted(traffic.sink, number[ends]).clip(max=max(len(traffic.sink) - 1, 0))
    is_inner = (entry != exit_) & (entry >= 0) & (exit_ >= 0)
    found: Bools = (entry == exit_) & (entry >= 0)
    found[is_inner] = arrives[row[is_inner], number[starts[is_inner]]]
    return found
