"""All-to-all among endpoints that are too many to be listed pair by pair.

Endpoints whose traffic has its first choice in one state, and its last in one, are alike to the network, as
twenty hosts behind one switch are. So what is listed is the pairs of such kinds, not of endpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import LimitError, setting
from fabric.flow.merged import Merged
from fabric.routing.ecmp import Demands

MAX_PAIRS = 20_000_000
"""Pairs, of endpoints or of kinds of them, that are listed."""


@dataclass(frozen=True, eq=False)
class Uniform:
    """All-to-all: every endpoint sends 1, in equal parts to all the others, and so takes in 1.

    Parameters
    ----------
    ends : ndarray of int64, shape (k,)
        The endpoints, each once; at least 2.
    """

    ends: Ints

    @property
    def source(self) -> Ints:
        """Who sends."""
        return self.ends

    @property
    def target(self) -> Ints:
        """Who takes in."""
        return self.ends

    @property
    def amount(self) -> Floats:
        """What each sends in all, and takes in."""
        return np.ones(len(self.ends))

    def some(self, rows: Ints | Bools) -> Uniform:
        """Return the traffic among some of the endpoints."""
        return Uniform(self.ends[rows])


@dataclass(frozen=True, eq=False)
class PairDemands:
    """Demands pair by pair, of devices or of kinds of them.

    Parameters
    ----------
    pairs : Demands
        Between devices, or the first of each kind; what kinds send in all.
    n_targets : ndarray of float64, shape (pairs,)
        To how many devices one source of the pair sends.
    like : ndarray of int64, shape (n,)
        The first of the kind of each device.
    """

    pairs: Demands
    n_targets: Floats
    like: Ints


def list_pairs(net: Merged, demand: Demands | Uniform) -> PairDemands:
    """Return `demand` pair by pair: all-to-all by kinds of endpoints, what is listed already as it is.

    Raises
    ------
    LimitError
        If there are more than `MAX_PAIRS` pairs of kinds.
    """
    like = np.arange(len(net.entry))
    if isinstance(demand, Demands):
        return PairDemands(demand, np.ones(len(demand.source)), like)
    ends = demand.ends
    key = net.entry[ends] * (net.n_states + 1) + net.exit[ends]
    _, first, kind, n_alike = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
    if len(first) ** 2 > MAX_PAIRS:
        n = f"{len(ends):,} endpoints at {len(first):,} places"
        msg = f"all-to-all among {n} has more than {MAX_PAIRS:,} pairs; choose fewer with {setting('among')}"
        raise LimitError(msg)
    like[ends] = ends[first[kind.ravel()]]
    # Each of a kind sends to all of the others, and to all of its own kind but itself.
    n_targets = np.tile(n_alike.astype(np.float64), (len(first), 1)) - np.eye(len(first))
    a, b = np.nonzero(n_targets)
    amount = n_alike[a] * n_targets[a, b] / (len(ends) - 1)
    return PairDemands(Demands(ends[first[a]], ends[first[b]], amount), n_targets[a, b], like)
