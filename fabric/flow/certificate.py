"""Proof of an answer, checked by code that shares nothing with the solvers.

A flow proves a lower bound: it is checked link by link and state by state. Prices on links prove an upper
bound: if every path from source to target costs at least 1, then no flow exceeds the sum of capacity times
price (weak duality; with prices 0 and 1 this is the capacity of a cut). Where the two meet, both are optimal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints

GAP = 1e-9
"""Relative gap below which an answer is called optimal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a certificate proves.

    Parameters
    ----------
    lower_gbps, upper_gbps : float
        The flow that was checked, and the bound that the prices give [Gb/s].
    faults : tuple of str
        What the flow violates; empty for a valid one, else `lower_gbps` is 0.
    """

    lower_gbps: float
    upper_gbps: float
    faults: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """Relative distance of the two bounds."""
        return (self.upper_gbps - self.lower_gbps) / max(self.upper_gbps, 1e-300) if self.upper_gbps else 0.0

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
    """
    n = len(sources)
    net = np.bincount(tail, flow, minlength=n) - np.bincount(head, flow, minlength=n)
    value = float(net[sources].sum())
    slack = GAP * max(value, 1.0) if value else GAP
    on = link >= 0
    load = np.bincount(link[on], flow[on], minlength=len(capacity))
    inside = ~(sources | targets)
    faults = []
    if (flow < -slack).any():
        faults.append("a negative flow")
    if (load > capacity + slack).any():
        faults.append("a link above its capacity")
    if (np.abs(net[inside]) > slack).any():
        faults.append("flow lost or made inside the network")
    if (net[targets] > slack).any() or (net[sources] < -slack).any():
        faults.append("flow into a source or out of a target")
    return Verdict(0.0 if faults else value, _upper(tail, head, link, capacity, sources, targets, price), tuple(faults))


def _upper(
    tail: Ints, head: Ints, link: Ints, capacity: Floats, sources: Bools, targets: Bools, price: Floats
) -> float:
    """Return the bound that `price` proves: its cost over the length of the shortest path."""
    if (price < 0).any():
        return float("inf")
    length = np.where(link >= 0, price[link], 0.0)
    distance = np.where(sources, 0.0, np.inf)
    # Bellman-Ford; every round settles at least one more move of each shortest path.
    for _ in range(len(sources)):
        reached = distance[tail] + length
        if not (reached < distance[head]).any():
            break
        np.minimum.at(distance, head, reached)
    shortest = float(distance[targets].min()) if targets.any() else np.inf
    if not np.isfinite(shortest):
        return 0.0
    used = price > 0
    cost = float((capacity[used] * price[used]).sum())
    return cost / shortest if shortest > 0 else float("inf")
