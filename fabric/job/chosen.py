"""The cards of messages between one rank and the classes of others; see `fabric.routing.messages`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats
from fabric.blueprint.remembered import remembered
from fabric.graph import Paths
from fabric.job.placement import Placement, split_axes
from fabric.routing import Router, router
from fabric.routing.cards import Near, Sides, n_each_of, near_cards
from fabric.routing.nearest import nearest
from fabric.symmetry import Mark, NoSymmetryError, Quotient

Shares = list[tuple[int, float]]
"""Classes of cards, and the part of the messages on each."""

Choice = tuple[int, int, float]
"""Class of cards at the other rank, class at the one rank, and the part of the messages."""


@dataclass(frozen=True, slots=True)
class Dealing:
    """Endpoints that deal out the cards before them, by their numbers.

    Parameters
    ----------
    ranks, cards : tuple of str
        Primitive axes along which the endpoints, and the cards, may differ.
    n_ranks, n_cards : int
    """

    ranks: tuple[str, ...]
    cards: tuple[str, ...]
    n_ranks: int
    n_cards: int


def align(place: Placement, dealing: Dealing) -> Placement:
    """Return `place` with the ranks on the axis of the cards that are dealt to them; the fabric is the same.

    ::

        gpu 0 1 2 3 4 5 6 7 of axis g        nic 0 1 of axis c: gpu g takes nic g mod 2

    so that g is a product of two axes, the last of them c. Of more cards than endpoints c is a product, the
    first part of it g.

    Raises
    ------
    NoSymmetryError
        If that is no product, or a rule joins endpoints and cards without anything between.
    """
    blueprint = place.blueprint
    msg = "the GPUs of a box deal its cards out by their number"
    if len(dealing.ranks) != 1 or len(dealing.cards) != 1:
        raise NoSymmetryError(msg)
    (rank,), (card,) = dealing.ranks, dealing.cards
    n_rank, n_card = blueprint.axes[rank].size, blueprint.axes[card].size
    is_whole = (n_rank, n_card) == (dealing.n_ranks, dealing.n_cards)
    # On an axis that both have, a rule that joins ranks and cards directly would join equal indices only.
    ends = [
        [blueprint.groups[str(side.group)].primitives for side in (rule.left, rule.right)]
        for rule in blueprint.rules
    ]
    if (
        not is_whole
        or max(n_rank, n_card) % min(n_rank, n_card)
        or any(rank in a and card in b or rank in b and card in a for a, b in ends)
    ):
        raise NoSymmetryError(msg)
    # More cards than ranks: the card axis is split, its first part is the rank's own axis.
    if n_card > n_rank:
        split = split_axes(blueprint, {card: ((rank, n_rank), (f"{card}.each", n_card // n_rank))})
        return replace(place, blueprint=split)
    # More ranks than cards: rank g is (g // n, g % n), and the second is the number of its card.
    parts = ((f"{rank}.each", n_rank // n_card), (card, n_card))
    order = tuple(part for a in place.order for part in ([p for p, _ in parts] if a == rank else [a]))
    spans = place.spans - {rank} | ({p for p, _ in parts} if rank in place.spans else set())
    return replace(place, blueprint=split_axes(blueprint, {rank: parts}), order=order, spans=frozenset(spans))


@dataclass(frozen=True, eq=False)
class ClassCards:
    """Which cards take messages between one rank and others, on the classes that keep it in place.

    Parameters
    ----------
    view : Quotient
    sides : Sides
        Of its classes.
    rank : int
        Class of the rank.
    ranks : ndarray of bool
        Classes of ranks.
    axes : tuple of str
        Primitive axes of the ranks.
    paths : {"rules", "no-relay", "any"}
    mark_card : callable
        ``mark_card(card)`` returns the same with a card told apart.
    """

    view: Quotient
    sides: Sides
    rank: int
    ranks: Bools
    axes: tuple[str, ...]
    paths: Paths
    mark_card: Callable[[Mark], ClassCards]

    @cached_property
    def inside(self) -> Router:
        """The moves between ranks and cards, and between ranks without a card."""
        return router(self.sides.inside, self.ranks, switches=self.sides.is_card, paths=self.paths)

    @cached_property
    def network(self) -> Router:
        """The moves between cards."""
        return router(self.sides.network, self.ranks, switches=self.sides.is_card, paths=self.paths)

    @cached_property
    def _by_part(self) -> dict[int, dict[int, Shares]]:
        return {}

    def near(self, part: int = -1) -> dict[int, Shares]:
        """Return the cards of every class of ranks with the part of its messages on each.

        Parameters
        ----------
        part : int
            Part of the network that the cards are on; all by default.
        """
        if part not in self._by_part:
            near = self._pairs_near(part)
            cards_of: dict[int, Shares] = {}
            for end, card, share in zip(near.endpoint, near.card, near.part, strict=True):
                cards_of.setdefault(int(end), []).append((int(card), float(share)))
            self._by_part[part] = cards_of
        return self._by_part[part]

    @remembered(8)
    def _pairs_near(self, part: int) -> Near:
        cards = self.sides.is_card if part < 0 else self.sides.is_card & (self.sides.part == part)
        ends = self.view.classes.is_endpoint
        route = self.inside
        if (ends & ~self.ranks).any():
            route = router(self.sides.inside, ends, switches=self.sides.is_card, paths=self.paths)
        return near_cards(
            route, np.flatnonzero(ends), cards, index=self.view.places, speed_gbps=self.sides.speed_gbps
        )

    @property
    def are_shared(self) -> bool:
        """Whether a card that is near to the rank is so to endpoints that are no ranks."""
        ends = self.view.classes.is_endpoint
        if not (ends & ~self.ranks).any():
            return False
        route = router(self.sides.inside, ends, switches=self.sides.is_card, paths=self.paths)
        near = near_cards(
            route, np.flatnonzero(ends), self.sides.is_card, index={}, speed_gbps=self.sides.speed_gbps
        )
        rank_cards = near.card[near.endpoint == self.rank]
        return bool(np.isin(near.card[~self.ranks[near.endpoint]], rank_cards).any())

    @property
    def n_own(self) -> float:
        """Cards that the rank takes turns with; a rank without stands for its own."""
        own = self.near().get(self.rank)
        return float(sum(self.view.size[card] for card, _ in own)) if own else 1.0

    def dealing(self) -> Dealing | None:
        """Return how the rank and others deal out their near cards, or None where each takes them all."""
        near = self._pairs_near(-1)
        rank_cards = near.card[near.endpoint == self.rank]
        if not len(rank_cards):
            return None
        if self.view.size[rank_cards[0]] > 1:
            # Endpoints are counted at one card.
            return self.mark_card(self.view.index[rank_cards[0]]).dealing()
        n_near = self.view.size[rank_cards].sum()
        if n_each_of(near, np.array([self.rank]), rank_cards[:1], self.view.size)[0] >= n_near:
            return None
        # Ranks that share a card, and the axes on which they differ: along these cards are dealt.
        beside = near.endpoint[near.card == rank_cards[0]]
        places = self.view.places
        ranks = tuple(a for a in self.axes if (places[a][beside] != places[a][self.rank]).any())
        cards = tuple(a for a, at in places.items() if a not in self.axes and at[rank_cards[0]] >= 0)
        return Dealing(ranks, cards, round(float(self.view.size[beside].sum())), round(float(n_near)))

    def take(self, ranks: sparse.csr_array) -> sparse.csr_array:
        """Return some bytes of classes of ranks as those of the cards that they are on, shape (classes, k).

        A rank without cards stands for its own, as it has ports of its own.
        """
        ends = np.unique(ranks.tocoo().row).tolist()
        on = [(card, end, part) for end in ends for card, part in self.near().get(end, [(end, 1.0)])]
        card, end, part = (np.array(column) for column in zip(*on, strict=True))
        return sparse.csr_array((part, (card, end)), shape=(len(self.ranks),) * 2) @ ranks

    def way_out(self) -> Floats:
        """Return what a byte of the rank puts on links on its way to its cards, shape (2 * m,)."""
        load = np.zeros(2 * self.sides.inside.n_bundles)
        # To each of its cards by the nearest ways, as much as the card has of its messages.
        for card, part in self.near().get(self.rank, []):
            ways = nearest(self.inside, np.arange(len(self.ranks)) == card)
            start = np.zeros(self.inside.n_states)
            start[self.inside.source[self.rank]] = part
            load += ways.onto @ ways.at(start)
        return load

    def choices(self, peer: int, *, is_sent: bool) -> list[Choice]:
        """Return the cards of messages between a class of ranks and the rank; none where nothing joins them.

        Parameters
        ----------
        peer : int
        is_sent : bool
            Whether the rank sends them, and relays.
        """
        rank_cards, peer_cards, joined = self._pairs(peer)
        if joined:
            # Only the pairs with most axes in common: those of one rail, where there are rails.
            most = max(n for n, _ in joined)
            return list(_normal([choice for n, choice in joined if n == most]))
        # The sender goes by a relay, or else the receiver has a card on the network of the sender's.
        at_rank = [(b, a, p * w) for b, p in peer_cards for a, w in self._relays(self.rank, b)]
        at_peer = [(b, a, w * p) for a, w in rank_cards for b, p in self._relays(peer, a)]
        return at_rank or at_peer if is_sent else at_peer or at_rank

    def check_indices(self) -> None:
        """Refuse classes of cards that are compared by the index of one of them, and hold different ones.

        Raises
        ------
        NoSymmetryError
        """
        size = self.view.size
        # Cards that endpoints of one class have to themselves.
        near = self._pairs_near(-1)
        is_own = np.bincount(near.card, minlength=len(size)) == 1
        is_own[near.card] &= size[near.card] >= size[near.endpoint]
        for peer in np.flatnonzero(self.ranks).tolist():
            _, _, joined = self._pairs(peer)
            most = max((n for n, _ in joined), default=0)
            kept = [(b, a) for n, (b, a, _) in joined if n == most]
            # Where all pairs of cards are kept, no index told them apart.
            for b, a in kept if len(kept) < len(joined) else ():
                if is_own[a] and is_own[b] and round(size[a] * size[peer]) != round(size[b]):
                    msg = "cards of a box that are alike are not those that meet the cards of another"
                    raise NoSymmetryError(msg)

    def _relays(self, rank: int, facing: int) -> Shares:
        """Return the cards of a class of ranks on the network of a card that they face: those of its rail."""
        near = self.near(int(self.sides.part[facing])).get(rank, [])
        # Asked of the cards of the rank of the view, which are few: of the one, or of the other.
        is_own = rank == self.rank
        pairs = ((card, facing) if is_own else (facing, card) for card, _ in near)
        n_common = [self._agreeing(few)[other] for few, other in pairs]
        some = [one for one, n in zip(near, n_common, strict=True) if n == max(n_common)]
        total = sum(share for _, share in some)
        return [(card, share / total) for card, share in some]

    def _pairs(self, peer: int) -> tuple[Shares, Shares, list[tuple[int, Choice]]]:
        """Return the cards of the rank and of a peer, and those pairs on one network, by common axes."""
        near = self.near()
        rank_cards, peer_cards = (near.get(rank, [(rank, 1.0)]) for rank in (self.rank, peer))
        part, is_card = self.sides.part, self.sides.is_card
        # Pairs of cards on one network, or of which one end is no card at all.
        joined = [
            (self._agreeing(a)[b], (b, a, w * p))
            for a, w in rank_cards
            for b, p in peer_cards
            if part[a] == part[b] or not (is_card[a] and is_card[b])
        ]
        return rank_cards, peer_cards, joined

    def has_relay(self, peer: int) -> bool:
        """Return whether what the rank sends to a peer goes by the cards of one mate, having none there."""
        _, peer_cards, joined = self._pairs(peer)
        if joined or len(peer_cards) > 1:
            return False
        # Cards of one class are on rails of their own: one of them is told apart.
        card = peer_cards[0][0]
        group, mark = self.view.classes.group[card], self.view.index[card]
        one = self.mark_card(mark)
        cards = np.flatnonzero(one.sides.is_card & (one.view.classes.group == group)).tolist()
        is_marked = one.view.is_at(mark)
        relays = one._relays(one.rank, next(i for i in cards if is_marked[i]))
        if len(relays) == 1 and one.view.size[relays[0][0]] == 1:
            return True
        of_relays = {relay for relay, _ in relays}
        return any(
            one.view.size[mate] == 1 and {own for own, _ in shares} == of_relays
            for mate, shares in one.near().items()
        )

    @remembered(64)
    def _agreeing(self, card: int) -> list[int]:
        """Return on how many axes every class has the index of a card, such as that of its rail."""
        found = np.zeros(len(self.view.size), dtype=np.int64)
        for at in self.view.places.values():
            found += (at == at[card]) & (at >= 0)
        return [int(n) for n in found.tolist()]

    def loop(self, card: int) -> Floats:
        """Return what a byte puts on links that goes from a card to the next switch and back."""
        e = self.sides.network
        # Both ways of each cable up, as many bytes as it has a share of the capacity.
        up = np.flatnonzero((e.tail == card) & (e.alive > 0))
        load = np.zeros(2 * e.n_bundles)
        load[2 * up] = load[2 * up + 1] = e.alive[up] / e.alive[up].sum()
        return load


def _normal(choices: list[Choice]) -> Iterator[Choice]:
    total = sum(p for *_, p in choices)
    yield from ((b, a, p / total) for b, a, p in choices)
