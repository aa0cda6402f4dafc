"""All-to-all towards one sink of those that mirrors map onto one another; loads are means over their images.

With a routing towards one sink its mirror image leads towards the image of the sink. So the flows towards one
sink of each kind say those towards all, and what they put on links that are images of one another is the same
in the mean of a routing and its images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Floats, Ints
from fabric.flow.merged import Merged
from fabric.flow.towards import Towards


@dataclass(frozen=True, eq=False)
class Mirrored:
    """Demands towards one sink of every kind.

    Parameters
    ----------
    traffic : Towards
        What goes to all sinks of a kind goes to its first.
    kind : ndarray of int64, shape (2 * m,)
        Kind of every link: those of one kind are images of one another, and carry the mean of their loads.
    """

    traffic: Towards
    kind: Ints

    def mean(self, load: Floats) -> Floats:
        """Return the mean over the links of its kind of what is on each link."""
        n = np.maximum(np.bincount(self.kind), 1)
        return np.asarray((np.bincount(self.kind, load) / n)[self.kind])


def plain(net: Merged, traffic: Towards) -> Mirrored:
    """Return demands as they are, every link by itself."""
    return Mirrored(traffic, np.arange(2 * net.moves.expanded.n_bundles))


def mirrored(net: Merged, traffic: Towards, forced: Floats, permutations: Sequence[Ints]) -> Mirrored:
    """Return demands towards one sink of each kind, by those permutations of devices that keep them.

    Parameters
    ----------
    net : Merged
    traffic : Towards
    forced : ndarray of float64, shape (2 * m,)
        Load of every link where there is no choice.
    permutations : sequence of ndarray of int64, shape (n,)
        Each is tried on every move; one that does not keep them is left out.
    """
    device = np.full(net.n_states, -1, dtype=np.int64)
    device[net.at] = net.moves.device
    device = device[traffic.state]
    n_sinks = len(traffic.sink)
    # Equal amounts from every sink to every other stay so if sinks are mapped onto sinks.
    is_even = (
        len(traffic.amount) == n_sinks * (n_sinks - 1) and np.ptp(traffic.amount) == 0 if n_sinks else False
    )
    is_single = len(np.unique(device)) == len(device)
    if not (
        permutations and is_even and is_single and np.array_equal(np.unique(traffic.source), traffic.sink)
    ):
        return plain(net, traffic)
    state = np.full(net.moves.expanded.n_devices, -1, dtype=np.int64)
    state[device] = np.arange(len(device))
    on = np.append(net.moves.link_capacity(), np.inf)[traffic.link], np.append(forced, 0.0)[traffic.link]
    pairs = [(np.arange(traffic.n_states), np.arange(traffic.n_moves))]
    for permutation in permutations:
        to = state[permutation[device]]
        moves = _moves_onto(traffic, to, on)
        if moves is not None and np.array_equal(np.sort(to[traffic.sink]), traffic.sink):
            pairs.append((to, moves))
    states, moves = (_orbits([pair[side] for pair in pairs]) for side in range(2))
    links = traffic.link >= 0
    kind = plain(net, traffic).kind.copy()
    # A link is of the kind of the first move over any of it.
    first = np.full(int(moves.max(initial=0)) + 1, len(kind), dtype=np.int64)
    np.minimum.at(first, moves[links], traffic.link[links])
    kind[traffic.link[links]] = first[moves[links]]
    return Mirrored(_one_of_each(traffic, states[traffic.sink]), kind)


def _moves_onto(traffic: Towards, to: Ints, on: Sequence[Floats]) -> Ints | None:
    """Return the move that each is mapped onto, with all that is `on` it, or None if there is none."""
    if (to < 0).any():
        return None
    new = [*on, to[traffic.head], to[traffic.tail]]
    old = [*on, traffic.head, traffic.tail]
    orders = [np.lexsort(columns) for columns in (new, old)]
    if any(not np.array_equal(a[orders[0]], b[orders[1]]) for a, b in zip(new, old, strict=True)):
        return None
    onto = np.empty(traffic.n_moves, dtype=np.int64)
    onto[orders[0]] = orders[1]
    return onto


def _orbits(maps: Sequence[Ints]) -> Ints:
    """Return which are images of one another, under any number of some permutations."""
    n = len(maps[0])
    rows, columns = np.tile(np.arange(n), len(maps)), np.concatenate(maps)
    graph = sparse.coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(n, n))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1]).astype(np.int64)


def _one_of_each(traffic: Towards, orbit: Ints) -> Towards:
    """Return what goes to all sinks of an orbit towards the first of them."""
    _, chosen, n_alike = np.unique(orbit, return_index=True, return_counts=True)
    order = np.argsort(chosen)
    chosen, n_alike = chosen[order], n_alike[order]
    n_each = np.diff(traffic.first)[chosen]
    first = np.concatenate([[0], np.cumsum(n_each)])
    own = np.repeat(traffic.first[chosen] - first[:-1], n_each) + np.arange(int(first[-1]))
    amount = traffic.amount[own] * np.repeat(n_alike, n_each)
    return replace(traffic, sink=traffic.sink[chosen], first=first, source=traffic.source[own], amount=amount)
