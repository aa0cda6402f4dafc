r"""The network cards that NCCL finds for the ranks of a node, from the cables of a fabric.

A card counts if it is up, cabled to a network that reaches cards of other nodes, as fast as any such card of
its node, and nearest to a rank. GPUs that have the same cards nearest share them::

    card 0   card 1     DPU          two cards for two GPUs: one each
         \   /           |           no cable to another node: does not count
        switch ------ processor
         /   \
      GPU 0  GPU 1

References
----------
NVIDIA/nccl@5067397, src/graph/topo.cc, ncclTopoGetLocal: the fastest way, and of those the nearest;
src/init.cc: the nodes agree on the least that one of them found.
aws/aws-ofi-nccl@f8e0ad9, src/nccl_ofi_topo.c: EFA cards that are nearest to a GPU are one card for NCCL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, components, expand, select
from fabric.parts import catalogue
from fabric.routing import router
from fabric.routing.cards import Sides, cut_at_cards, near_cards
from fabric.symmetry import Mark, NoSymmetryError, Quotient, quotient

MERGED_LAYER = "EFA"
"""Link layer of cards that their plugin joins."""
# Rates nearer to each other than this part of them are one.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards of the ranks of a node.

    Parameters
    ----------
    n : float
        As NCCL counts them.
    gbps : float
        What they send into the network together [Gb/s].
    n_ranks : float
        Of the node.
    """

    n: float
    gbps: float
    n_ranks: float

    def of(self, n_ranks: int) -> Cards:
        """Return the part of some of the ranks."""
        part = n_ranks / self.n_ranks
        return Cards(self.n * part, self.gbps * part, n_ranks)


def node_cards(blueprint: Blueprint, among: str | None) -> Cards:
    """Return the cards of the ranks of a node, of the node whose cards send least.

    Parameters
    ----------
    blueprint : Blueprint
    among : str, optional
        Selector of the ranks; all endpoints by default.

    Raises
    ------
    QuestionError, SelectorError
        If nobody is chosen.
    LimitError
        If the axes do not say the symmetry, and the fabric is too large to be listed.
    """
    try:
        nodes = list(_on_classes(ClassTraffic(blueprint, Traffic(), among, "rules")))
    except NoSymmetryError:
        nodes = list(_on_devices(blueprint, among))
    return min(nodes, key=lambda cards: cards.gbps)


def _on_classes(question: ClassTraffic) -> Iterator[Cards]:
    """Yield the cards of a node for every class of ranks."""
    base = question.base
    n, gbps = np.zeros(len(base.size)), np.zeros(len(base.size))
    # First the cards of one rank of each class; then those of its node, whose ranks are of some classes.
    views: list[tuple[Quotient, int]] = []
    for rank in np.flatnonzero(question.ends).tolist():
        view, home = _keep_in_place(question, (base.index[rank],))
        views.append((view, home))
        n[rank], gbps[rank] = _of_rank(question, view, home)
    for view, home in views:
        domain = _components(view.classes, ("scale-up",))
        mates = question.inside(view) & (domain == domain[home])
        # `origin` is the class of a mate where no rank is kept in place: there its cards are known.
        size, origin = view.size[mates], view.origin[mates]
        yield Cards(float(size @ n[origin]), float(size @ gbps[origin]), float(size.sum()))


def _keep_in_place(question: ClassTraffic, marks: tuple[Mark, ...]) -> tuple[Quotient, int]:
    """Return the classes that keep some devices in place, and the class of the rank at the first mark."""
    view = quotient(question.blueprint, marks, apart=question.apart, ties=question.ties)
    return view, int(np.flatnonzero(question.inside(view) & view.is_at(marks[0]))[0])


def _of_rank(question: ClassTraffic, view: Quotient, home: int) -> tuple[float, float]:
    """Return the cards of the rank of class `home`, and their rate [Gb/s]."""
    shares = _shares(view.classes, view.size, question.inside(view))
    leader = int(shares.leader[home])
    if leader >= 0 and view.size[leader] > 1:
        # Ranks are counted at one card.
        view, home = _keep_in_place(question, (view.index[home], view.index[leader]))
        shares = _shares(view.classes, view.size, question.inside(view))
    return float(shares.n[home]), float(shares.gbps[home])


def _on_devices(blueprint: Blueprint, among: str | None) -> Iterator[Cards]:
    """Yield the cards of every node."""
    fabric = Fabric(blueprint.name, blueprint)
    e = expand(fabric)
    ranks = (e.is_endpoint if among is None else select(fabric, among)) & ~e.failed
    if not ranks.any():
        msg = f"no ranks are left of {among or e.name}"
        raise QuestionError(msg)
    shares = _shares(e, np.ones(e.n_devices), ranks)
    domain = _components(e, ("scale-up",))[ranks]
    for number in np.unique(domain):
        in_node = domain == number
        n, gbps = (float(part[ranks][in_node].sum()) for part in (shares.n, shares.gbps))
        yield Cards(n, gbps, float(in_node.sum()))


@dataclass(frozen=True, eq=False)
class _Shares:
    """Cards of every rank, where it stands for itself alone.

    Parameters
    ----------
    n, gbps : ndarray of float64, shape (n,)
        Its part of its nearest cards, as NCCL counts them, and of their rate [Gb/s].
    leader : ndarray of int64, shape (n,)
        The first of them; -1 where there is none.
    """

    n: Floats
    gbps: Floats
    leader: Ints


def _shares(e: Expanded, size: Floats, ranks: Bools) -> _Shares:
    shares = _Shares(np.zeros(e.n_devices), np.zeros(e.n_devices), np.full(e.n_devices, -1))
    sides = cut_at_cards(e, size)
    if sides is None:
        return shares
    # Rates of what is up; whether a card counts at all does not depend on what is down.
    rate = _rates(e, sides, e.alive)
    cards = _fastest(e, sides, _between_nodes(e, sides, ranks))
    ends = e.is_endpoint & ~e.failed
    route = router(sides.inside, ends, switches=sides.is_card)
    # Without an index: NCCL knows distances only.
    near = near_cards(route, np.flatnonzero(ends), cards, index={}, speed_gbps=sides.speed_gbps)
    # A card counts for the endpoints nearest to it, and is shared by those that are as near.
    least = np.full(e.n_devices, np.inf)
    np.minimum.at(least, near.card, near.hops)
    is_closest = near.hops == least[near.card]
    n_closest = np.bincount(near.card, size[near.endpoint] * is_closest, minlength=e.n_devices)
    # Pairs come endpoint by endpoint: where each begins, and its first card.
    begin = np.flatnonzero(np.diff(near.endpoint, prepend=-1))
    end, leader = near.endpoint[begin], near.card[begin]
    part = is_closest[begin] / np.maximum(n_closest[leader], 1.0)
    n = np.add.reduceat(size[near.card], begin) * part if len(begin) else part
    gbps = np.add.reduceat(rate[near.card], begin) * part if len(begin) else part
    # Cards that their plugin joins are one for NCCL, with the rate of all.
    merged = _is_merged(e)[leader]
    shares.n[end], shares.gbps[end], shares.leader[end] = (
        np.where(merged, np.minimum(n, 1.0), n),
        gbps,
        leader,
    )
    return shares


def _between_nodes(e: Expanded, sides: Sides, ranks: Bools) -> Bools:
    """Return the cards on a network that joins cards of several nodes with ranks."""
    box = _components(sides.inside, ("scale-up", "host"))
    card = np.flatnonzero(sides.is_card & np.isin(box, box[ranks]))
    # A network counts if it has cards of two boxes or more.
    pairs = np.unique(np.column_stack([sides.part[card], box[card]]), axis=0)
    parts, n_boxes = np.unique(pairs[:, 0], return_counts=True)
    return sides.is_card & np.isin(sides.part, parts[n_boxes > 1])


def _fastest(e: Expanded, sides: Sides, cards: Bools) -> Bools:
    """Return those of `cards` that are as fast as any of their node, whatever of their cables is down."""
    box = _components(sides.inside, ("scale-up", "host"))
    rate = np.where(cards, sides.speed_gbps, 0.0)
    most = np.zeros(e.n_devices)
    np.maximum.at(most, box, rate)
    return cards & (rate >= most[box] * (1 - _SAME))


def _rates(e: Expanded, sides: Sides, count: Ints) -> Floats:
    """Return what each class of cards sends into the network [Gb/s]."""
    # Cables below a card are down on the side of the network.
    is_above = (sides.network.alive > 0) & (sides.is_card[e.tail] | sides.is_card[e.head])
    rates = np.zeros(e.n_devices)
    amount = np.where(is_above, count * e.rate_gbps, 0.0)
    for end in (e.tail, e.head):
        np.add.at(rates, end[sides.is_card[end]], amount[sides.is_card[end]])
    return rates


def _components(e: Expanded, nets: tuple[str, ...]) -> Ints:
    """Return the component of every device on the cables of some networks that are up."""
    on = np.array([rule.net in nets for rule in e.rules], dtype=np.bool_)[e.rule] & (e.alive > 0)
    return components(e.n_devices, e.tail[on], e.head[on])


def _is_merged(e: Expanded) -> Bools:
    """Return which devices are cards that NCCL sees joined."""
    parts = catalogue().parts
    is_such = [
        g.part in parts and any(MERGED_LAYER in port.layers for port in parts[g.part].ports) for g in e.groups
    ]
    return np.array(is_such, dtype=np.bool_)[e.group]
