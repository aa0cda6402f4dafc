"""Proof of an interval, checked sink by sink without any solver.

Lower bound: a mix of routings, whose flows are made anew and streamed through. Towards every sink what each
state sends on is what it takes in and is asked to send, over moves that the path rule permits, and the loads
of all sinks add up on every link. So the memory is that of the pairs and links, not of pairs times links.

Upper bound: prices on links, and for every sink a potential of each state, 0 at the sink. Where no move costs
less than the potential falls on it, no way costs less than the potential where it starts, and every unit of a
demand pays at least that (weak duality).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.merged import Merged, Step, moves_between, unlike
from fabric.flow.towards import BlockFlow, Towards

if TYPE_CHECKING:  # whoever checks an answer looks for no orbits
    from fabric.flow.mirrored import Mirrored

Mix = Sequence[tuple[float | Floats, Iterable[BlockFlow]]]
"""The part that each routing has of the traffic towards every sink, or of all; and its flows."""
Potentials = Iterable[tuple[slice, Floats]]
"""Blocks of sinks with the potential of every state, shape (sinks of the block, n_states)."""


def check_interval(
    net: Merged,
    alike: Mirrored,
    forced: Floats,
    mix: Mix,
    price: Floats,
    potentials: Potentials,
) -> tuple[Verdict, Floats]:
    """Check an interval.

    Parameters
    ----------
    net : Merged
        The permitted moves, merged anew from the question.
    alike : Mirrored
        Its demands, gathered anew, towards one sink of each kind.
    forced : ndarray of float64, shape (2 * m,)
        Load of every link where there is no choice, at unit rate.
    mix : sequence of (float or ndarray of float64, shape (t,), iterable of BlockFlow)
        Parts of the traffic towards every sink, which sum to 1, and flows at unit rate.
    price : ndarray of float64, shape (2 * m,)
        Of every link.
    potentials : iterable of (slice, ndarray)
        At these prices.

    Returns
    -------
    Verdict
    use : ndarray of float64, shape (2 * m,)
        Load over capacity of every link, at the lower rate.
    """
    capacity = net.moves.link_capacity()
    traffic = alike.traffic
    faults = list(merging_faults(net))
    load, lost = _mixed_load(traffic, mix, len(capacity))
    faults += lost
    load = alike.mean(load)
    use = _over(load + forced, capacity)
    busiest = float(use.max(initial=0.0))
    lower = 0.0 if faults or not busiest > 0 else 1.0 / busiest
    # What is paid towards one sink is paid towards its images if their links cost the same.
    is_alike = np.array_equal(price, price[alike.kind], equal_nan=True)
    upper = _upper(traffic, capacity, forced, price, potentials) if is_alike else float("inf")
    n_links = int((load + forced > 0).sum())
    scope = f"on {len(traffic.sink):,} sinks and {n_links:,} links"
    return Verdict(lower, upper, tuple(dict.fromkeys(faults)), scope), use * lower


def _over(load: Floats, capacity: Floats) -> Floats:
    """Return load over capacity; what has none carries nothing."""
    none = np.where(load > 0, np.inf, 0.0)
    return np.divide(load, capacity, out=none, where=capacity > 0)


def merging_faults(net: Merged) -> list[str]:
    """Return how moves between merged states differ from those that the path rule has."""
    faults = []
    rows = (net.tail, net.head, net.link)
    if not all(map(np.array_equal, rows, moves_between(net.moves, net.at))):
        faults.append("moves that are not those of the path rule")
    if len(unlike(net.moves, net.at)):
        faults.append("a merged state that does what one of its parts may not")
    for starts, ends, steps, tail, head in (
        (net.moves.source, net.entry, net.before, net.tail, net.head),
        (net.moves.target, net.exit, net.after, net.head, net.tail),
    ):
        at = np.where(starts >= 0, net.at[starts], -1)
        if not np.array_equal(_walk(at, steps, tail, head), ends):
            faults.append("a way without choice that is not one")
    return faults


def _walk(at: Ints, steps: Sequence[Step], tail: Ints, head: Ints) -> Ints:
    """Return where steps lead, or -2 where one is not the only move from where it begins."""
    n_moves = np.bincount(tail, minlength=int(at.max(initial=0)) + 1)
    for step in steps:
        goes = step >= 0
        is_only = (at == tail[step]) & (n_moves[tail[step]] == 1)
        at = np.where(goes, np.where(is_only, head[step], -2), at)
    return at


def _mixed_load(traffic: Towards, mix: Mix, n_links: int) -> tuple[Floats, list[str]]:
    """Return the load of every link under a mix of routings, and what is wrong with it."""
    load = np.zeros(n_links)
    faults: list[str] = []
    n_sinks = len(traffic.sink)
    parts = np.array([np.broadcast_to(part, n_sinks) for part, _ in mix]).reshape(len(mix), n_sinks)
    if not ((np.abs(parts.sum(axis=0) - 1.0) <= GAP).all() and (parts >= 0).all()):
        faults.append("parts of routings that do not make a whole")
    for part, (_, blocks) in zip(parts, mix, strict=True):
        seen = np.zeros(len(traffic.sink), dtype=np.int64)
        for block in blocks:
            seen[block.block] += 1
            wrong = _flow_faults(traffic, block)
            if wrong:
                faults += wrong
                continue
            sink, move = np.divmod(block.cell, traffic.n_moves)
            flow = part[block.block.start + sink] * block.flow
            link = traffic.link[move]
            on = link >= 0
            load += np.bincount(link[on], flow[on], minlength=n_links)
        if (seen != 1).any():
            faults.append("a demand that is left out")
    return load, faults


def _flow_faults(traffic: Towards, block: BlockFlow) -> list[str]:
    """Return what is wrong with the flows towards a block of sinks."""
    demand = traffic.sent(block.block)
    cell, flow = block.cell, block.flow
    n_sinks, n_states = demand.shape
    if not (np.isfinite(flow).all() and (flow >= 0).all()):
        return ["a flow that is negative or no number"]
    if len(cell) and not 0 <= cell.min() <= cell.max() < n_sinks * traffic.n_moves:
        return ["a flow on no move"]
    sink, move = np.divmod(cell, traffic.n_moves)
    out, into = (
        np.bincount(sink * n_states + ends[move], flow, minlength=demand.size).reshape(demand.shape)
        for ends in (traffic.tail, traffic.head)
    )
    wrong = np.abs(demand + into - out)
    wrong[np.arange(n_sinks), traffic.sink[block.block]] = 0.0
    # All that is lost on the way to a sink is next to nothing beside what is sent there.
    return ["flow lost or made on the way"] if (wrong.sum(axis=1) > GAP * demand.sum(axis=1)).any() else []


def _upper(
    traffic: Towards, capacity: Floats, forced: Floats, price: Floats, potentials: Potentials
) -> float:
    """Return the bound that prices and potentials prove; infinite if they prove nothing."""
    if not (np.isfinite(price).all() and (price >= 0).all()):
        return float("inf")
    paid = float(forced @ price)
    seen: Bools = np.zeros(len(traffic.sink), dtype=np.bool_)
    length = np.append(price, 0.0)[traffic.link]
    for block, potential in potentials:
        seen[block] = True
        sinks = np.arange(len(potential)), traffic.sink[block]
        falls = potential[:, traffic.tail] <= length + potential[:, traffic.head]
        if np.isnan(potential).any() or (potential[sinks] > 0).any() or not falls.all():
            return float("inf")
        paid += traffic.paid(potential, block)
    if not seen.all() or not paid > 0:
        return float("inf")
    return 0.0 if np.isinf(paid) else float(capacity @ price) / paid
