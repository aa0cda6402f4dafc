r"""Which cards the messages of an endpoint take: the library chooses them, not the network.

A message is from one network card to one other. Of the cards that are up, cabled and equally near, the
fastest count, and of these those with the index of the endpoint first; endpoints that have the same cards
before them deal them out::

    near cards   0   1   2   3            0   1            0   1
                 |\ /     \ /|            |   |            |\ /|\        ceil(cards / endpoints) each;
    endpoints    0 (0 1)  1 (2 3)         0   1            0 1 2 3       they take turns with messages

References
----------
NVIDIA NCCL, src/graph/topo.cc, ncclTopoGetLocal: the fastest; ncclTopoGetLocalNet: ceil(near cards / near
GPUs) cards a GPU, by its number.
NCCL counts the GPUs that are ranks of the job; here those of the box count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.graph import Expanded, components
from fabric.routing.moves import Router, firsts
from fabric.routing.nearest import nearest

# Speeds nearer to each other than this part of them are one.
_SAME = 1e-9
NIC = "nic"
"""Kind of the groups whose devices are cards."""


@dataclass(frozen=True, eq=False)
class Sides:
    """A fabric cut at its network cards.

    Parameters
    ----------
    inside, network : Expanded
        Without the cables above cards, and without those below.
    is_card : ndarray of bool, shape (n,)
        Cards that are up and cabled on both sides.
    part : ndarray of int64, shape (n,)
        What the network joins, endpoints left out.
    speed_gbps : ndarray of float64, shape (n,)
        What the widest card of its group sends into the network [Gb/s]; 0 where that joins one box only.
    """

    inside: Expanded
    network: Expanded
    is_card: Bools
    part: Ints
    speed_gbps: Floats


def cut_at_cards(expanded: Expanded, size: Floats | None = None) -> Sides | None:
    """Return the two sides of a fabric, or None where it has no cards between endpoints and a network.

    Parameters
    ----------
    expanded : Expanded
        n devices, or classes of devices.
    size : ndarray of float64, shape (n,), optional
        Devices in each class; 1 by default.
    """
    nic = np.array([g.kind == NIC and not g.is_endpoint for g in expanded.groups], dtype=np.bool_)
    of_kind = nic[expanded.group] & ~expanded.failed
    alive = expanded.alive > 0
    # A cable is above a card where the card is its lower end.
    above = of_kind[expanded.tail]
    below = of_kind[expanded.head] & ~above
    cabled = []
    for cards in (expanded.tail[above & alive], expanded.head[below & alive]):
        is_cabled = np.zeros(expanded.n_devices, dtype=np.bool_)
        is_cabled[cards] = True
        cabled.append(is_cabled)
    is_card = of_kind & cabled[0] & cabled[1]
    if not is_card.any():
        return None
    inside, network = (_without(expanded, rows) for rows in (above, below))
    ends = expanded.is_endpoint
    # Endpoints join no parts of the network: they do not forward it there.
    kept = (network.alive > 0) & ~ends[expanded.tail] & ~ends[expanded.head]
    part = components(expanded.n_devices, expanded.tail[kept], expanded.head[kept])
    width = np.zeros(expanded.n_devices)
    rate_gbps = np.where(above, expanded.count * expanded.rate_gbps, 0.0)
    np.add.at(width, expanded.tail, rate_gbps)
    speed_gbps = np.zeros(len(expanded.groups))
    np.maximum.at(speed_gbps, expanded.group, width if size is None else width / size)
    # A card whose network joins no other box carries no message, however fast it is.
    up = inside.alive > 0
    box = components(expanded.n_devices, expanded.tail[up], expanded.head[up])
    pairs = np.unique(np.column_stack([part[is_card], box[is_card]]), axis=0)
    parts, n_boxes = np.unique(pairs[:, 0], return_counts=True)
    leaves = np.isin(part, parts[n_boxes > 1])
    return Sides(inside, network, is_card, part, np.where(leaves, speed_gbps[expanded.group], 0.0))


def _without(expanded: Expanded, cables: Bools) -> Expanded:
    return replace(expanded, failed_count=np.where(cables, expanded.count, expanded.failed_count))


@dataclass(frozen=True, eq=False)
class Near:
    """Pairs of endpoints and the nearest of some cards, those with the index of the endpoint first.

    Parameters
    ----------
    endpoint, card : ndarray of int64, shape (k,)
        Endpoints ascending, and cards of each.
    part : ndarray of float64, shape (k,)
        Part of the ways from the endpoint that end at the card; the sum over its cards is 1.
    hops : ndarray of int64, shape (k,)
    fastest : tuple of ndarray of int64, each of shape (j,)
        Endpoints, cards and hops of all nearest and fastest cards, those with another index too.
    """

    endpoint: Ints
    card: Ints
    part: Floats
    hops: Ints
    fastest: tuple[Ints, Ints, Ints]


def near_cards(
    route: Router, endpoints: Ints, cards: Bools, *, index: Mapping[str, Ints], speed_gbps: Floats
) -> Near:
    """Return the nearest cards of some endpoints: of these the fastest, and of those its own by index.

    Parameters
    ----------
    route : Router
        Of the side inside.
    endpoints : ndarray of int64, shape (m,)
        Devices, ascending.
    cards : ndarray of bool, shape (n,)
    index : mapping of str to ndarray of int64, shape (n,)
        Index of every device on axes; -1 where it is not on them.
    speed_gbps : ndarray of float64, shape (n,)
        See `Sides`.
    """
    ways = nearest(route, cards)
    state = route.source[endpoints]
    # Endpoints that reach a card, with one column of traffic each.
    reaching = endpoints[(state >= 0) & (ways.hops[state] > 0)]
    start = route.source[reaching]
    shape = (route.n_states, len(reaching))
    demand = sparse.csr_array((np.ones(len(reaching)), (start, np.arange(len(reaching)))), shape=shape)
    card = np.flatnonzero(cards & (route.target >= 0))
    # Where it ends, and what part of it: rows are cards.
    ends = sparse.csr_array(ways.at(demand)).tocsr()[route.target[card]].tocoo()
    kept = ends.data > 0
    row, column, part = ends.row[kept], ends.col[kept], ends.data[kept]
    # By endpoint, then by card.
    order = np.lexsort((card[row], reaching[column]))
    column, part = column[order], part[order]
    pairs = reaching[column], card[row[order]]
    speed = speed_gbps[pairs[1]]
    agrees, n_common = np.ones(len(column), dtype=np.bool_), np.zeros(len(column), dtype=np.int64)
    for places in index.values():
        a, b = (places[end] for end in pairs)
        agrees &= (a < 0) | (b < 0) | (a == b)
        n_common += (a >= 0) & (a == b)
    # Where no card has the index of the endpoint, all of them may serve it.
    rank = np.where(agrees, 1 + n_common, 0)
    is_fastest = _is_most(column, speed)
    serves = is_fastest & _is_most(column, np.where(is_fastest, rank, -1))
    hops = ways.hops[start[column]]
    total = np.bincount(column[serves], part[serves], minlength=len(reaching))
    return Near(
        pairs[0][serves],
        pairs[1][serves],
        part[serves] / total[column[serves]],
        hops[serves],
        (pairs[0][is_fastest], pairs[1][is_fastest], hops[is_fastest]),
    )


def _is_most(column: Ints, merit: Floats | Ints) -> Bools:
    """Return which entries have the most merit of their column."""
    most = np.zeros(int(column.max(initial=-1)) + 1)
    np.maximum.at(most, column, merit)
    return np.asarray(merit >= most[column] * (1 - _SAME))


@dataclass(frozen=True, eq=False)
class Dealt:
    """The cards of every device, in the order in which its messages take them.

    Parameters
    ----------
    first : ndarray of int64, shape (n + 1,)
        ``first[v]:first[v + 1]`` are the cards of device v; a device without has none.
    card : ndarray of int64, shape (k,)
    is_all : ndarray of bool, shape (n,)
        Devices that take all of their near cards.
    """

    first: Ints
    card: Ints
    is_all: Bools

    @property
    def n_cards(self) -> Ints:
        """Cards of every device, shape (n,)."""
        return np.diff(self.first)


def deal(near: Near, n_devices: int) -> Dealt:
    """Return near cards dealt out among the endpoints that have the same ones before them."""
    begin = np.flatnonzero(np.diff(near.endpoint, prepend=-1))
    n_near = np.diff([*begin.tolist(), len(near.endpoint)])
    leader, hops = near.card[begin], near.hops[begin]
    n_each = n_each_of(near, near.endpoint[begin], leader)
    # Endpoints with the same first card, as many cards and as far from them are told apart by their number.
    key = np.column_stack([leader, hops, n_near])
    _, kind = np.unique(key, axis=0, return_inverse=True)
    kind = kind.ravel()
    order = np.argsort(kind, kind="stable")
    # The number of an endpoint among those alike.
    place = np.empty(len(kind), dtype=np.int64)
    place[order] = np.arange(len(kind)) - firsts(kind[order], int(kind.max(initial=-1)) + 1)[kind[order]]
    which = np.repeat(np.arange(len(begin)), n_each)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(n_each) - n_each, n_each)
    # Card after card, from the place of the endpoint on, round and round.
    card = near.card[begin[which] + (place[which] * n_each[which] + turn) % n_near[which]]
    count = np.zeros(n_devices, dtype=np.int64)
    count[near.endpoint[begin]] = n_each
    is_all = np.ones(n_devices, dtype=np.bool_)
    is_all[near.endpoint[begin]] = n_each == n_near
    return Dealt(np.concatenate([[0], np.cumsum(count)]), card, is_all)


def n_each_of(near: Near, endpoints: Ints, leader: Ints, size: Floats | None = None) -> Ints:
    """Return how many cards some endpoints take, shape (k,).

    Parameters
    ----------
    near : Near
    endpoints, leader : ndarray of int64, shape (k,)
        Endpoints, and the first near card of each.
    size : ndarray of float64, optional
        Devices that each stands for; 1 by default.
    """
    end, card, hops = near.fastest
    n = 1 + max(int(column.max(initial=-1)) for column in (end, card))
    of_end, of_card = (np.ones(len(end)), np.ones(len(end))) if size is None else (size[end], size[card])
    # A card counts the endpoints that no other is nearer to it than, whether or not it is their own.
    least = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(least, card, hops)
    closest = hops == least[card]
    n_closest = np.bincount(card[closest], of_end[closest], minlength=n)[leader]
    n_fastest = np.bincount(end, of_card, minlength=n)[endpoints]
    own = np.ones(len(near.card)) if size is None else size[near.card]
    n_near = np.bincount(near.endpoint, own, minlength=n)[endpoints]
    return np.minimum(n_near, np.ceil(n_fastest / n_closest)).astype(np.int64)
