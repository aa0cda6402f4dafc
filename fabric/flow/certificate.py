"""Proof of an answer, checked by code that shares nothing with the solvers.

A flow proves a lower bound: it is checked link by link and state by state. Prices on links prove an upper
bound: if every path from source to target costs at least 1, then no flow exceeds the sum of capacity times
price (weak duality; with prices 0 and 1 this is the capacity of a cut). Where the two meet, both are optimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fabric.arrays import Bools, Floats, Ints

GAP = 1e-9
"""Relative gap below which an answer is called optimal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a certificate proves.

    Parameters
    ----------
    lower_gbps, upper_gbps : float
        What the flow and the prices prove [Gb/s].
    faults : tuple of str
        What the flow violates by more than rounding; then it proves nothing and `lower_gbps` is 0.
    scope : str
        Where the flow was checked, such as ``on all 54,720 links``; empty where classes are no claim about
        links.
    """

    lower_gbps: float
    upper_gbps: float
    faults: tuple[str, ...] = ()
    scope: str = ""

    @property
    def gap(self) -> float:
        """Relative distance of the two bounds."""
        distance = abs(self.upper_gbps - self.lower_gbps)
        return distance / max(self.upper_gbps, self.lower_gbps) if distance else 0.0

    @property
    def status(self) -> Literal["optimal", "bounded"]:
        """``optimal`` where the bounds meet to `GAP`, else ``bounded``."""
        return "optimal" if self.gap <= GAP and not self.faults else "bounded"


def check_flow(
    tail: Ints,
    head: Ints,
    link: Ints,
    capacity: Floats,
    sources: Bools,
    targets: Bools,
    flow: Floats,
    price: Floats,
) -> Verdict:
    """Check a flow and prices.

    Parameters
    ----------
    tail, head : ndarray of int64, shape (k,)
        States of each move.
    link : ndarray of int64, shape (k,)
        Link of each move, -1 for a turn inside a device.
    capacity : ndarray of float64, shape (l,)
        Of every link [Gb/s].
    sources, targets : ndarray of bool, shape (n,)
        States where flow starts and ends.
    flow : ndarray of float64, shape (k,)
        On each move [Gb/s].
    price : ndarray of float64, shape (l,)
        Of every link, not negative.

    Returns
    -------
    Verdict

    Notes
    -----
    Rounding is paid for, not waved through: a flow that is lost on the way does not count, and one that
    overloads a link is scaled down until it fits. More than `GAP` of either is a fault.

    Examples
    --------
    A cable of 400 Gb/s with a flow of 400, and the price that proves that no more fits.

    >>> ends = np.array([True, False]), np.array([False, True])
    >>> one, zero = np.array([1]), np.array([0])
    >>> check_flow(zero, one, zero, np.array([400.0]), *ends, np.array([400.0]), np.array([1.0])).status
    'optimal'
    >>> check_flow(zero, one, zero, np.array([400.0]), *ends, np.array([401.0]), np.array([1.0])).faults
    ('a link above its capacity',)
    """
    upper = _upper(tail, head, link, capacity, sources, targets, price)
    if not np.isfinite(flow).all():
        return Verdict(0.0, upper, ("a flow that is no number",))
    n = len(sources)
    net = np.bincount(tail, flow, minlength=n) - np.bincount(head, flow, minlength=n)
    # What begins at the sources, less all that gets lost, has arrived: the value that is proven.
    begun = float(np.maximum(net[sources], 0.0).sum())
    lost = float(np.maximum(-net[~targets], 0.0).sum())
    made = float(np.maximum(net[~sources], 0.0).sum())
    on = link >= 0
    load = np.bincount(link[on], flow[on], minlength=len(capacity))
    # Where nothing flows no capacity is asked for.
    used = load > 0
    # Scaling by the worst overload makes the flow fit on every link.
    overload = float((load[used] / np.maximum(capacity[used], 1e-300)).max(initial=1.0))
    faults = []
    if flow.min(initial=0.0) < 0:
        faults.append("a negative flow")
    if overload > 1 + GAP:
        faults.append("a link above its capacity")
    if max(lost, made) > GAP * begun:
        faults.append("flow lost or made on the way")
    return Verdict(0.0 if faults else (begun - lost) / overload, upper, tuple(faults))


def _upper(
    tail: Ints, head: Ints, link: Ints, capacity: Floats, sources: Bools, targets: Bools, price: Floats
) -> float:
    """Return the bound that `price` proves: its cost over the length of the shortest path."""
    if not (price >= 0).all():
        return float("inf")
    # A turn inside a device (link -1) is free.
    length = np.append(price, 0.0)[link]
    # Weak duality: every unit of flow pays at least the shortest path, all together at most the cost.
    shortest = float(distances(tail, head, length, sources)[targets].min(initial=np.inf))
    if not np.isfinite(shortest):
        return 0.0
    used = price > 0
    cost = float(capacity[used] @ price[used])
    return cost / shortest if shortest > 0 else float("inf")


def distances(tail: Ints, head: Ints, length: Floats, starts: Bools) -> Floats:
    """Return the least length from any of `starts` to each state (Bellman-Ford)."""
    distance = np.where(starts, 0.0, np.inf)
    # Every round settles at least one more move of each shortest path.
    for _ in range(len(starts)):
        reached = distance[tail] + length
        if not (reached < distance[head]).any():
            break
        np.minimum.at(distance, head, reached)
    return distance
