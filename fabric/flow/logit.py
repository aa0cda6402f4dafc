"""Routings made by prices: most traffic on the shortest ways, less on those that are little longer.

With a price on every link each state is at some distance from each sink. What is at a state is split over the
links that come nearer to the sink: of two ways whose lengths differ by ``1 / sharpness`` the longer one gets
1/e of the shorter (a logit split; Dial, "A probabilistic multipath traffic assignment model which obviates
path enumeration", Transportation Research 5, 1971)::

    distance     3        2         1        0
                 s --+--> a --+---> c ---> sink
                     +--> b --+

All sinks of a block are worked on at once, so that no loop runs over links; a block fits into the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Floats, Ints
from fabric.flow.towards import BlockFlow, Towards

_LEAST = 7.0
"""Ways that would get less than ``exp(-_LEAST)`` of the shortest get nothing."""


@dataclass(frozen=True, eq=False)
class Routing:
    """A way to route all demands, as a few numbers a link.

    Parameters
    ----------
    length : ndarray of float64, shape (2 * m,)
        Of every link, positive where it carries traffic.
    sharpness : float
        Of the split, in 1 over the unit of `length`.
    """

    length: Floats
    sharpness: float


class Logit:
    """Distances and flows of `Towards`.

    Parameters
    ----------
    net : Towards
    """

    def __init__(self, net: Towards) -> None:
        self.net = net
        # Moves in the order of a matrix from heads to tails; several between two states are one entry of it.
        self._order = np.lexsort((net.tail, net.head))
        key = net.head[self._order] * net.n_states + net.tail[self._order]
        self._first = np.flatnonzero(np.diff(key, prepend=-1))
        head, tail = np.divmod(key[self._first], net.n_states)
        first = np.searchsorted(head, np.arange(net.n_states + 1))
        shape = (net.n_states, net.n_states)
        self._back = sparse.csr_matrix((np.zeros(len(tail)), tail, first), shape=shape)
        # Where nodes pass on freely below switches, a turn down may lead back to where it is.
        moves = sparse.csr_matrix((np.ones(net.n_moves), (net.tail, net.head)), shape=shape)
        part = csgraph.connected_components(moves, connection="strong")[1]
        self._turns = (net.link < 0) & (part[net.tail] != part[net.head])
        self._turns_back = (net.link < 0) & ~self._turns

    def distance(self, length: Floats, block: slice) -> Floats:
        """Return the least length from each state to some sinks, shape (sinks of the block, n_states).

        Parameters
        ----------
        length : ndarray of float64, shape (2 * m,)
            Of every link, not negative.
        block : slice
        """
        own = np.append(length, 0.0)[self.net.link[self._order]]
        # A turn is an entry of 0, which is a way like any other.
        self._back.data = np.minimum.reduceat(own, self._first) if len(own) else own
        return np.asarray(csgraph.dijkstra(self._back, indices=self.net.sink[block]))

    def distances(self, length: Floats) -> Iterator[tuple[slice, Floats]]:
        """Yield the same for all sinks, a block at a time."""
        for block in self.net.blocks():
            yield block, self.distance(length, block)

    def paid(self, length: Floats) -> float:
        """Return the sum of demand times distance at unit rate; infinite if a demand has no way."""
        return sum(self.net.paid(distance, block) for block, distance in self.distances(length))

    def flows(self, routing: Routing) -> Iterator[BlockFlow]:
        """Yield the flows of a routing at unit rate, a block of sinks at a time."""
        for block, distance in self.distances(routing.length):
            cell, share = self._split(distance, routing)
            yield BlockFlow(block, cell, self._carry(block, cell, share), distance)

    def _split(self, distance: Floats, routing: Routing) -> tuple[Ints, Floats]:
        """Return which cells, sinks times moves, carry traffic, and the share of what is at their tails."""
        net = self.net
        ahead, here = distance[:, net.head], distance[:, net.tail]
        # A turn that no way leads back from may be taken even where it comes no nearer.
        is_way = (ahead < here) | self._turns | (self._turns_back & (ahead <= here))
        with np.errstate(invalid="ignore"):  # what leads nowhere is infinitely far at both ends
            ahead += np.append(routing.length, 0.0)[net.link]
            ahead -= here
            is_way &= ahead < _LEAST / routing.sharpness
        cell = np.flatnonzero(is_way)
        share = np.exp(-routing.sharpness * ahead.ravel()[cell])
        tail = self._places(cell, net.tail)
        share /= np.bincount(tail, share, minlength=1)[tail]
        return cell, share

    def _places(self, cell: Ints, ends: Ints) -> Ints:
        """Return sinks times states for sinks times moves."""
        sink, move = np.divmod(cell, self.net.n_moves)
        return np.asarray(sink * self.net.n_states + ends[move])

    def _carry(self, block: slice, cell: Ints, share: Floats) -> Floats:
        """Return what each cell carries."""
        net = self.net
        demand = net.sent(block)
        sinks = np.arange(len(demand)) * net.n_states + net.sink[block]
        tail, head = (self._places(cell, ends) for ends in (net.tail, net.head))
        first = np.searchsorted(tail, np.arange(demand.size + 1))
        onward = sparse.csr_matrix((share, head, first), shape=(demand.size, demand.size)).T
        wave, total = demand.ravel(), np.zeros(demand.size)
        # Every hop leads nearer, but for one turn: after as many hops as there are states all has arrived.
        for _ in range(2 * net.n_states):
            wave[sinks] = 0.0
            if not wave.any():
                break
            total += wave
            wave = onward @ wave
        return np.asarray(share * total[tail])
