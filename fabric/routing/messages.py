"""Messages between endpoints: out to a card of the sender, over the network, in from a card of the receiver.

::

    gpu --inside--> card --network--> card --inside--> gpu

Where nothing but the network joins two endpoints, the library chooses the cards of a message (see
`fabric.routing.cards`), and routing between the two is the network's. Endpoints that something else joins,
such as NVLink or the PCIe switches of a server, need no card, and where there are none nothing changes.

Where the network does not join the two cards, as on rails without a spine, the message goes to a relay of the
sender's scale-up domain first, and takes a card there (PXN). Relays are on the sender's side (nccl#836).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.remembered import remembered
from fabric.errors import NoPathError
from fabric.graph import Expanded, Paths, components
from fabric.routing.cards import Dealt, Near, Sides, cut_at_cards, deal, near_cards
from fabric.routing.ecmp import Demands, Progress, demand_hops, link_loads, unreached
from fabric.routing.moves import Router, firsts, ranges, router


@dataclass(frozen=True, eq=False)
class Leg:
    """A part of the way of some messages.

    Parameters
    ----------
    route : Router
    demands : Demands
    message : ndarray of int64, shape (k,)
        Which message each is of.
    """

    route: Router
    demands: Demands
    message: Ints


@dataclass(frozen=True, eq=False)
class Messages:
    """How messages among some ranks go.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    ranks : ndarray of bool, shape (n,)
    paths : {"rules", "no-relay", "any"}
    index : mapping of str to ndarray of int64, shape (n,)
        Index of every device on axes; -1 where it is not on them.
    """

    expanded: Expanded
    ranks: Bools
    paths: Paths = "rules"
    index: Mapping[str, Ints] = field(default_factory=dict)

    @cached_property
    def sides(self) -> Sides | None:
        """The fabric on both sides of its cards."""
        return cut_at_cards(self.expanded)

    @property
    def _has_relays(self) -> bool:
        return self.paths == "rules" and any(g.transit == "relay" for g in self.expanded.groups)

    @cached_property
    def whole(self) -> Router:
        """The moves of messages that nobody chooses a card for."""
        return router(self.expanded, self.ranks, paths=self.paths)

    @cached_property
    def outward(self) -> Router:
        """The same moves with relays on the sender's side only."""
        return router(self.expanded, self.ranks, paths=self.paths, relays_in=False)

    @cached_property
    def inside(self) -> Router:
        """The moves between ranks and cards, and between ranks without a card."""
        assert self.sides is not None
        return router(self.sides.inside, self.ranks, switches=self.sides.is_card, paths=self.paths)

    @cached_property
    def network(self) -> Router:
        """The moves between cards."""
        assert self.sides is not None
        return router(self.sides.network, self.ranks, switches=self.sides.is_card, paths=self.paths)

    @cached_property
    def cards(self) -> Dealt:
        """The cards of every rank."""
        assert self.sides is not None
        return deal(self._near_cards(self.sides.is_card), self.expanded.n_devices)

    @cached_property
    def taken(self) -> Demands:
        """A byte of every rank to its cards; one without stands for its own, as it has ports of its own."""
        ranks = np.flatnonzero(self.ranks)
        first, n, card = _or_itself(self.cards, ranks)
        which = np.repeat(np.arange(len(ranks)), n)
        turn = np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)
        return Demands(ranks[which], card[first[which] + turn], 1.0 / n[which])

    @cached_property
    def _on_part(self) -> dict[int, tuple[Dealt, Dealt]]:
        return {}

    @cached_property
    def are_shared(self) -> bool:
        """Whether a card that is near to a rank is so to an endpoint that is none."""
        ends = (self.expanded.is_endpoint & ~self.expanded.failed) | self.ranks
        if self.sides is None or not (ends & ~self.ranks).any():
            return False
        route = router(self.sides.inside, ends, switches=self.sides.is_card, paths=self.paths)
        # Nearest cards of all endpoints, those outside the job too.
        near = near_cards(
            route, np.flatnonzero(ends), self.sides.is_card, index={}, speed_gbps=self.sides.speed_gbps
        )
        is_rank = self.ranks[near.endpoint]
        return bool(np.isin(near.card[is_rank], near.card[~is_rank]).any())

    def _near_cards(self, cards: Bools) -> Near:
        """Return which of some cards are near to the endpoints of every box; those outside the job count."""
        assert self.sides is not None
        ends = self.expanded.is_endpoint & ~self.expanded.failed
        route = self.inside
        if (ends & ~self.ranks).any():
            route = router(
                self.sides.inside, ends | self.ranks, switches=self.sides.is_card, paths=self.paths
            )
        return near_cards(
            route,
            np.flatnonzero(ends | self.ranks),
            cards,
            index=self.index,
            speed_gbps=self.sides.speed_gbps,
        )

    @remembered(1)
    def legs(self, demands: Demands) -> list[Leg]:
        """Return the ways of messages, leg after leg.

        Raises
        ------
        QuestionError
            If a source has no permitted path to its target.
        """
        every = np.arange(len(demands.source))
        if self.sides is None:
            if not self._has_relays:
                return [Leg(self.whole, demands, every)]
            lost = unreached(self.outward, demands)
            return [
                Leg(route, demands.some(rows), rows)
                for route, rows in ((self.outward, every[~lost]), (self.whole, every[lost]))
            ]
        near, far = self._apart(demands)
        inner = Leg(self.inside, demands.some(near), near)
        message, a, b, part = self._choose_cards(demands, far)
        # A message is split over its cards; each part goes out, across, and in again.
        amount = demands.amount[message] * part
        out = Leg(self.inside, Demands(demands.source[message], a, amount), message)
        back = Leg(self.inside, Demands(b, demands.target[message], amount), message)
        across = Demands(a, b, amount)
        # Between a card and itself the network has no way to choose: see `_loops`.
        apart = np.flatnonzero(a != b)
        over = Leg(self.network, across.some(apart), message[apart])
        return [inner, out, over, *self._loops(across, message), back]

    def _loops(self, across: Demands, message: Ints) -> list[Leg]:
        """Return the ways of messages from a card to itself: to the devices next to it and back."""
        assert self.sides is not None
        e = self.sides.network
        rows = np.flatnonzero(across.source == across.target)
        if not len(rows):
            return []
        # Cables up from every card, its own side by side.
        up = np.flatnonzero(self.sides.is_card[e.tail] & (e.alive > 0))
        up = up[np.argsort(e.tail[up], kind="stable")]
        card = across.source[rows]
        which, row = ranges(firsts(e.tail[up], e.n_devices), card)
        link = up[which]
        # By cables, as an equal split does.
        share = e.alive[link] / np.bincount(row, e.alive[link])[row]
        next_to = np.zeros(e.n_devices, dtype=np.bool_)
        next_to[e.head[link]] = True
        route = router(e, self.ranks, switches=self.sides.is_card | next_to, paths=self.paths)
        amount, part_of = across.amount[rows][row] * share, message[rows][row]
        ways = (card[row], e.head[link]), (e.head[link], card[row])
        return [Leg(route, Demands(*ends, amount), part_of) for ends in ways]

    def _apart(self, demands: Demands) -> tuple[Ints, Ints]:
        """Return which messages need no card, and which do."""
        inside = self.inside.expanded
        up = inside.alive > 0
        part = components(inside.n_devices, inside.tail[up], inside.head[up])
        # What hangs together inside may still have no permitted path.
        maybe = np.flatnonzero(part[demands.source] == part[demands.target])
        lost = unreached(self.inside, demands.some(maybe))
        # A way inside that is permitted: no card.
        is_near = np.zeros(len(demands.source), dtype=np.bool_)
        is_near[maybe[~lost]] = True
        return np.flatnonzero(is_near), np.flatnonzero(~is_near)

    def _choose_cards(self, demands: Demands, far: Ints) -> tuple[Ints, Ints, Ints, Floats]:
        """Return the cards of messages: message, cards of sender and receiver, and the part on them.

        A rank without a card has its own ports on the network, and stands for its card.
        """
        assert self.sides is not None
        sender, receiver = (_or_itself(self.cards, ends[far]) for ends in (demands.source, demands.target))
        # Sender and receiver that take all of their cards may meet on any pair of them. Where cards are dealt
        # out they take turns: all pairs of turns, until both begin anew.
        n_sent, n_received = sender[1], receiver[1]
        is_free = self.cards.is_all[demands.source[far]] & self.cards.is_all[demands.target[far]]
        n_turns = np.where(is_free, n_sent * n_received, np.lcm(n_sent, n_received))
        which = np.repeat(np.arange(len(far)), n_turns)
        turn = np.arange(len(which)) - np.repeat(np.cumsum(n_turns) - n_turns, n_turns)
        turn_sent = np.where(is_free[which], turn // n_received[which], turn % n_sent[which])
        a = sender[2][sender[0][which] + turn_sent]
        b = receiver[2][receiver[0][which] + turn % n_received[which]]
        part = self.sides.part
        is_joined = (part[a] == part[b]) | ~(self.sides.is_card[a] & self.sides.is_card[b])
        # Cards that the network joins come first, and of all pairs of cards those with the same index, as on
        # one rail. Turns are taken as they come.
        n_common = self.n_common(a, b) * is_free[which] if len(which) > len(far) else 0
        rank = np.where(is_joined, 1 + n_common, 0)
        # Of each message only the pairs of the best rank are kept.
        best = np.zeros(len(far), dtype=np.int64)
        np.maximum.at(best, which, rank)
        kept = rank == best[which]
        which, a, b, is_joined = which[kept], a[kept], b[kept], is_joined[kept]
        share = 1.0 / np.bincount(which, minlength=len(far))[which]
        return self._with_relays(demands, (far[which], a, b, share), is_joined)

    def _with_relays(
        self, demands: Demands, chosen: tuple[Ints, Ints, Ints, Floats], is_joined: Bools
    ) -> tuple[Ints, Ints, Ints, Floats]:
        """Return chosen cards, those that the network does not join replaced.

        The sender goes by a relay with a card on the network of the receiver's card. Where it has none, as
        when that card is down, the receiver takes a card on that of the sender's.
        """
        if is_joined.all():
            return chosen
        message, a, b, share = chosen
        message, a, b, share = message[~is_joined], a[~is_joined], b[~is_joined], share[~is_joined]
        served = [tuple(column[is_joined] for column in chosen)]
        # A relay of the sender: any card of its box on the network of the receiver's card.
        row, card, card_share = self._on_parts(demands.source[message], b)
        served.append((message[row], card, b[row], share[row] * card_share))
        unserved = np.setdiff1d(np.arange(len(message)), row)
        # For what is left, the same on the side of the receiver.
        row, card, card_share = self._on_parts(demands.target[message[unserved]], a[unserved])
        served.append((message[unserved[row]], a[unserved[row]], card, share[unserved[row]] * card_share))
        lost = np.setdiff1d(unserved, unserved[row])
        if len(lost):
            raise self.no_path(demands, message[lost])
        columns = [np.concatenate(column) for column in zip(*served, strict=True)]
        return columns[0], columns[1], columns[2], columns[3]

    @contextlib.contextmanager
    def told_by_ends(self, demands: Demands, leg: Leg) -> Iterator[None]:
        """Tell of a leg without a path by the ends of the message, not by its own."""
        try:
            yield
        except NoPathError:
            lost = leg.message[unreached(leg.route, leg.demands)]
            raise self.no_path(demands, lost) from None

    def no_path(self, demands: Demands, lost: Ints) -> NoPathError:
        """Return the error that some messages have no path."""
        names = self.expanded.names
        source, target = (names[int(ends[lost[0]])] for ends in (demands.source, demands.target))
        return NoPathError(f"no permitted path from {source} to {target}", str(source))

    def _on_parts(self, ranks: Ints, facing: Ints) -> tuple[Ints, Ints, Floats]:
        """Return the cards of ranks on the network of those that they face: which rank, its card, its part.

        That is the one on the same rail, with the most indices in common. Where several have as many, they
        are dealt out as any are.
        """
        assert self.sides is not None
        served = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        parts = self.sides.part[facing]
        for part in np.unique(parts).tolist():
            if part not in self._on_part:
                near = self._near_cards(self.sides.is_card & (self.sides.part == part))
                first = firsts(near.endpoint, self.expanded.n_devices)
                every = Dealt(first, near.card, np.ones(self.expanded.n_devices, dtype=np.bool_))
                self._on_part[part] = every, deal(near, self.expanded.n_devices)
            every, dealt = self._on_part[part]
            rows = np.flatnonzero(parts == part)
            at, row = ranges(every.first, ranks[rows])
            n_common = self.n_common(every.card[at], facing[rows[row]])
            most = np.full(len(rows), -1)
            np.maximum.at(most, row, n_common)
            at, row = (column[n_common == most[row]] for column in (at, row))
            is_one = np.bincount(row, minlength=len(rows)) == 1
            alone = is_one[row]
            served.append((rows[row[alone]], every.card[at[alone]], np.ones(int(alone.sum()))))
            rows = rows[~is_one]
            at, row = ranges(dealt.first, ranks[rows])
            served.append((rows[row], dealt.card[at], 1.0 / dealt.n_cards[ranks[rows[row]]]))
        row, card, share = (np.concatenate(column) for column in zip(*served, strict=True))
        return row, card, share

    def n_common(self, a: Ints, b: Ints) -> Ints:
        """Return on how many axes pairs of devices have the same index, shape (k,)."""
        found = np.zeros(len(a), dtype=np.int64)
        for places in self.index.values():
            found += (places[a] == places[b]) & (places[a] >= 0)
        return found


def message_loads(
    messages: Messages, demands: Demands, *, progress: Progress | None = None, pull: Floats | None = None
) -> Floats:
    """Return what messages put on every link, shape (2 * m,); see `link_loads`.

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.
    """
    loads = np.zeros(2 * messages.expanded.n_bundles)
    legs = [leg for leg in messages.legs(demands) if len(leg.message)]
    longest = max((len(leg.message) for leg in legs), default=0)
    for leg in legs:
        # The longest leg, the first of those, stands for the progress of all.
        is_told = progress is not None and len(leg.message) == longest
        report = progress if is_told else None
        with messages.told_by_ends(demands, leg):
            loads += link_loads(replace(leg.route, pull=pull), _merge(leg.demands), progress=report)
        longest += is_told
    return loads


def message_hops(messages: Messages, demands: Demands) -> Floats:
    """Return the links of each rule that a byte of each message passes on average, shape (k, rules).

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.
    """
    hops = np.zeros((len(demands.source), len(messages.expanded.rules)))
    for leg in messages.legs(demands):
        part = leg.demands.amount / demands.amount[leg.message]
        with messages.told_by_ends(demands, leg):
            np.add.at(hops, leg.message, part[:, None] * demand_hops(leg.route, leg.demands))
    return hops


def _merge(demands: Demands) -> Demands:
    """Return demands with those of the same ends added up."""
    n = int(demands.target.max(initial=-1)) + 1
    # A pair of ends as one number.
    pair, inverse = np.unique(demands.source * n + demands.target, return_inverse=True)
    amount = np.bincount(inverse.ravel(), demands.amount, minlength=len(pair)).astype(np.float64)
    return Demands(pair // max(n, 1), pair % max(n, 1), amount)


def _or_itself(dealt: Dealt, ranks: Ints) -> tuple[Ints, Ints, Ints]:
    """Return where the cards of ranks are in a list, how many each has, and the list with the ranks."""
    n = dealt.n_cards[ranks]
    none = n == 0
    # Ranks without a card stand behind all cards of the list, in turn.
    first = np.where(none, len(dealt.card) + np.cumsum(none) - 1, dealt.first[ranks])
    return first, np.maximum(n, 1), np.concatenate([dealt.card, ranks[none]])
