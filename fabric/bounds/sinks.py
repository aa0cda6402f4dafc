"""How fast the slowest rank can be fed where nothing is alike: one maximum flow a rank, all at one rate.

What a rank can take in at all is known without a flow: the links into it. The least of that over all ranks is
a guess of the rate, and mostly right. At this rate every rank is looked at once; one that gets less names a
cut, and with it a lower rate, and the rest is looked at with that (Dinkelbach, Management Science 13, 1967)::

    all roots --rate * weight--> network --> rank      is the flow rate * all weights?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Bools, Floats, Ints
from fabric.bounds.fed import is_fed, most_fed
from fabric.flow.certificate import Verdict
from fabric.flow.merged import merge
from fabric.flow.problem import Network
from fabric.flow.solve import solve, whole_unit
from fabric.flow.streamed import merging_faults
from fabric.graph import Expanded, Paths, forwarding, let_forward

_INT32 = 2**31 - 1
_NEAR = 1e-12


@dataclass(frozen=True, eq=False)
class SlowestRank:
    """The rate at which every rank can be fed.

    Parameters
    ----------
    rate_gbps : float
    state : int
        Of a rank that can be fed no faster.
    links : ndarray of int64
        Of a cut that limits it.
    is_reached : bool
        Whether the flow to every rank stands its check.
    """

    rate_gbps: float
    state: int
    links: Ints
    is_reached: bool


def slowest_rank(
    expanded: Expanded, ranks: Bools, roots: Ints, *, paths: Paths, is_inward: bool
) -> tuple[SlowestRank, Verdict] | None:
    """Return the largest rate at which every rank can be fed by all roots, each with an equal part; proven.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    ranks : ndarray of bool, shape (n,)
        They hold the data and pass it on whatever their transit.
    roots : ndarray of int64
        Ranks that hold an equal part each; of what a rank holds itself it needs nothing.
    paths : {"rules", "no-relay", "any"}
        Of all other devices.
    is_inward : bool
        Whether ranks send to the roots instead.

    Returns
    -------
    SlowestRank, Verdict
        Or None where moves share a link's capacity, or a rank is several states: that is no plain flow.
    """
    moves = forwarding(let_forward(expanded, ranks), ranks, ranks, paths=paths)
    net = merge(moves)
    at = net.at[net.moves.source]
    members = np.flatnonzero(ranks)
    on = net.link[net.link >= 0]
    if (at[members] != net.at[net.moves.target][members]).any() or len(np.unique(on)) < len(on):
        return None
    tail, head = (net.head, net.tail) if is_inward else (net.tail, net.head)
    capacity = np.append(moves.link_capacity(), np.inf)[net.link]
    slowest = _Fed(tail, head, net.link, capacity, at[roots], net.n_states).least(at[members])
    (rank,) = members[at[members] == slowest.state].tolist()
    upper = most_fed(moves, slowest.links, roots, rank, is_inward=is_inward)
    faults = tuple(merging_faults(net))
    lower = slowest.rate_gbps if slowest.is_reached and not faults else 0.0
    return slowest, Verdict(lower, upper, faults, f"on all {len(members):,} ranks")


class _Fed:
    """Roots that feed one state after another.

    Parameters
    ----------
    tail, head, link : ndarray of int64, shape (k,)
    capacity : ndarray of float64, shape (k,)
    root : ndarray of int64
    n_states : int
    """

    def __init__(
        self, tail: Ints, head: Ints, link: Ints, capacity: Floats, root: Ints, n_states: int
    ) -> None:
        n = self._source = n_states
        self._n_moves = len(tail)
        # The source after the states, and an arc of its own to every root.
        self._tail = np.append(tail, np.full(len(root), n))
        self._head, self._link = np.append(head, root), np.append(link, np.full(len(root), -1))
        self._capacity = capacity
        self._weight = np.bincount(root, minlength=n) / len(root)
        self._part = self._weight[root]
        key = self._tail * (n + 1) + self._head
        self._pair, self._pair_of = np.unique(key, return_inverse=True)
        self._pair_of = self._pair_of.ravel()

    def least(self, states: Ints) -> SlowestRank:
        """Return the least rate at which each of some states can be fed."""
        states = states[self._weight[states] < 1.0]
        n = self._source
        into = np.bincount(self._head[: self._n_moves], self._capacity, minlength=n)
        guess = into[states] / (1.0 - self._weight[states])
        slowest, rate = int(states[guess.argmin()]), float(guess.min())
        links = self._link[: self._n_moves][self._head[: self._n_moves] == slowest]
        graph, sent = self._graph(rate)
        is_reached = True
        for state in states.tolist():
            if rate <= 0:
                break
            flow = None if graph is None else csgraph.maximum_flow(graph, n, state)
            if flow is not None and flow.flow_value == sent:
                is_reached &= self._stands(graph, flow.flow, state)
                continue
            lower, cut, stands = self._lower(state, rate)
            is_reached &= stands
            if lower < rate * (1 - _NEAR):
                slowest, rate, links = state, lower, cut
                graph, sent = self._graph(rate)
        return SlowestRank(rate, slowest, np.unique(links[links >= 0]), is_reached)

    def _stands(self, graph: sparse.csr_matrix, flow: sparse.csr_matrix, state: int) -> bool:
        """Return whether a flow in whole units brings all that roots send to a state, and fits."""
        n = self._source
        found = flow.tocoo()
        ahead = found.data > 0
        tail, head = found.row[ahead].astype(np.int64), found.col[ahead].astype(np.int64)
        room = np.asarray(graph[tail, head], dtype=np.float64).ravel()
        supply = np.zeros(n + 1)
        supply[n] = float(graph[n].sum())
        return is_fed(tail, head, found.data[ahead].astype(np.float64), room, supply, state)

    def _graph(self, rate: float) -> tuple[sparse.csr_matrix | None, int]:
        """Return the network in whole units and what the source sends, or None where they are too many."""
        n = self._source
        capacity = np.append(np.minimum(self._capacity, rate), rate * self._part)
        unit, is_exact = whole_unit(capacity)
        units = np.floor(capacity / unit + 0.125).astype(np.int64)
        if not is_exact or units.sum() > _INT32:
            return None, 0
        total = np.bincount(self._pair_of, units, minlength=len(self._pair)).astype(np.int32)
        tail, head = np.divmod(self._pair, n + 1)
        first = np.searchsorted(tail, np.arange(n + 2))
        return sparse.csr_matrix((total, head, first), shape=(n + 1, n + 1)), int(
            units[self._n_moves :].sum()
        )

    def _lower(self, state: int, rate: float) -> tuple[float, Ints, bool]:
        """Return the rate at which a state is fed, at most `rate`, links of a cut, and if flows reach it."""
        n = self._source
        links = np.zeros(0, dtype=np.int64)
        none = np.full(len(self._tail) + 1, -1, dtype=np.int64)
        kind, is_root = none, np.append(np.arange(len(self._tail)) >= self._n_moves, False)
        while True:
            capacity = np.concatenate([self._capacity, rate * self._part, [np.inf]])
            net = Network(
                n_nodes=n + 2,
                tail=np.append(self._tail, state),
                head=np.append(self._head, n + 1),
                capacity=capacity,
                link=np.where(np.isfinite(capacity), np.arange(len(capacity)), -1),
                move=none,
                joint=none[:0],
            )
            answer = solve(net, kind)
            cut = answer.price > 0
            fixed = float(capacity[cut & ~is_root].sum())
            needed = 1.0 - float(self._part[cut[self._n_moves : -1]].sum())
            lower = fixed / needed if needed > _NEAR else rate
            if lower >= rate * (1 - _NEAR):
                supply = np.zeros(n + 1)
                supply[n] = rate
                room = np.where(np.isfinite(capacity), capacity, rate)[:-1]
                return rate, links, is_fed(self._tail, self._head, answer.flow[:-1], room, supply, state)
            rate, links = lower, self._link[np.flatnonzero(cut[: self._n_moves])]
