"""What one rank sends and receives, on the classes that keep it in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.remembered import remembered
from fabric.flow.by_axes import ClassTraffic
from fabric.graph import Paths
from fabric.job.chosen import ClassCards
from fabric.job.differences import Difference
from fabric.job.placement import Placement
from fabric.routing import Router, router
from fabric.routing.cards import cut_at_cards
from fabric.routing.nearest import Demand, keeps_in, nearest, nearest_each, reverse_router
from fabric.symmetry import Mark, Quotient, quotient

# Starts of ways to one of many targets up to which what they put on links is counted once for all of them.
_FEW = 64
# Cells of a table of columns and links up to which ways are followed hop by hop; of more, by products.
_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class RankView:
    """The classes that keep one rank in place.

    Parameters
    ----------
    quotient : Quotient
    rank : int
        Class of the rank.
    n_alike : float
        Ranks that it stands for.
    sources : dict of tuple to ndarray of int64
        Classes of ranks of its group by how it differs from them.
    inside : ndarray of bool
        Classes of ranks.
    axes : tuple of str
        Primitive axes of the ranks.
    mark_card : callable
        ``mark_card(card)`` returns the same with a card told apart.
    is_damaged : bool
        Whether anything is down, so that classes do not tell what there was.
    paths : {"rules", "no-relay", "any"}
    """

    quotient: Quotient
    rank: int
    n_alike: float
    sources: dict[Difference, Ints]
    inside: Bools
    axes: tuple[str, ...]
    paths: Paths
    mark_card: Callable[[Mark], RankView]
    is_damaged: bool = False

    # Not slotted: ways are found when they are first asked for.
    @cached_property
    def route(self) -> Router:
        """The permitted moves."""
        return router(self.quotient.classes, self.inside, paths=self.paths)

    @cached_property
    def outward(self) -> Router:
        """The permitted moves with relays on the sender's side only."""
        if not any(g.transit == "relay" for g in self.quotient.classes.groups):
            return self.route
        return router(self.quotient.classes, self.inside, paths=self.paths, relays_in=False)

    @cached_property
    def cards(self) -> ClassCards | None:
        """The cards of messages, or None where there are none."""
        sides = cut_at_cards(self.quotient.classes, self.quotient.size)
        if sides is None:
            return None
        return ClassCards(
            self.quotient, sides, self.rank, self.inside, self.axes, self.paths, self._with_card_apart
        )

    def _with_card_apart(self, card: Mark) -> ClassCards:
        cards = self.mark_card(card).cards
        assert cards is not None
        return cards

    @cached_property
    def only(self) -> Bools:
        """The class of the rank."""
        is_rank = np.zeros_like(self.inside)
        is_rank[self.rank] = True
        return is_rank

    @cached_property
    def width(self) -> Floats:
        """Capacity of every class of devices, as if each had what the widest of its group has [Gb/s]."""
        e, size = self.quotient.classes, self.quotient.size
        per_device = self.route.width / size
        widest = np.zeros(len(e.groups))
        np.maximum.at(widest, e.group, per_device)
        return np.asarray((widest[e.group] if self.is_damaged else per_device) * size)

    @cached_property
    def n_cables(self) -> Floats:
        """Cables of every class of links."""
        return np.repeat(self.quotient.classes.count, 2).astype(np.float64)

    @cached_property
    def is_free(self) -> Bools:
        """Classes of links between devices that pass on what comes from anywhere, as in a torus."""
        e = self.quotient.classes
        free = np.array([g.transit == "all" for g in e.groups], dtype=np.bool_)[e.group]
        return np.repeat(free[e.tail] & free[e.head], 2)

    @remembered(1)
    def agreement(self, order: tuple[str, ...]) -> Bools:
        """Return on which axes an end of every link agrees with the rank, shape (links, len(order))."""
        e, places = self.quotient.classes, self.quotient.places
        # On an axis that the rank is not on nothing agrees with it.
        every = [places[axis] for axis in order]
        agrees = np.column_stack([(at == at[self.rank]) & (at[self.rank] >= 0) for at in every])
        return np.repeat(agrees[e.tail] | agrees[e.head], 2, axis=0)


class Carrier:
    """What one rank puts on links, sending or receiving.

    What is sent is split equally from its far ends: there ways are found once for all of them.

    Parameters
    ----------
    view : RankView
    others : sparse array, shape (classes, k)
        Where a byte of each of k columns is from, or goes to.
    mates : ndarray of bool, shape (k,)
        Whether that is in the scale-up domain of the rank.
    is_sent : bool
    pull : ndarray of float64, optional
        Of every link of the view; see `fabric.routing.Router`.
    """

    def __init__(
        self,
        view: RankView,
        others: sparse.csr_array,
        mates: Bools,
        *,
        is_sent: bool = False,
        pull: Floats | None = None,
    ) -> None:
        self.view, self.is_sent, self.pull = view, is_sent, pull
        others = others.tocoo()
        n_columns = others.shape[1]
        self.lost = np.zeros(n_columns, dtype=np.bool_)
        # What each column alone puts on links: any row is then one product.
        self.carried: list[Demand] = []
        # Three kinds of demand: within the domain, by cards, and on the network as it is.
        stays = mates & keeps_in(view.quotient.classes, view.inside)
        cards = view.cards
        route = view.route if cards is None else cards.inside
        rows = others.row, others.col, others.data
        near = stays[others.col]
        if near.any():
            self._add(route, view.rank, [c[near] for c in rows], net="scale-up", n_columns=n_columns)
        far = [c[~near] for c in rows]
        if cards is not None:
            self._by_cards(cards, far, n_columns)
        else:
            # Relays are on the sender's side where that will do.
            outward = reverse_router(view.outward) if is_sent else view.outward
            is_out = nearest(outward, view.only).hops[outward.source[far[0]]] >= 0
            self._add(view.outward, view.rank, [c[is_out] for c in far], n_columns=n_columns)
            self._add(route, view.rank, [c[~is_out] for c in far], n_columns=n_columns)
        self.table = self._table(n_columns)

    def _table(self, n_columns: int) -> sparse.csr_array:
        """Return what of each column has been carried to links, shape (columns, links)."""
        nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        link, column, amount = (np.concatenate(parts) for parts in zip(nothing, *self.carried, strict=True))
        return sparse.csr_array((amount, (column, link)), shape=(n_columns, len(self.view.n_cables)))

    def _add(
        self, route: Router, target: int, demand: Sequence[np.ndarray], *, n_columns: int, net: str = ""
    ) -> None:
        """Add the ways of some demand (classes, columns, bytes) to a class of devices."""
        classes, columns, data = demand
        if not len(classes):
            return
        route = replace(reverse_router(route) if self.is_sent else route, pull=self.pull)
        only = np.arange(len(self.view.inside)) == target
        ways = nearest(route, only, net=net, width=None if self.pull is None else self.view.width)
        # A difference is lost if any of its classes has no state to start from, or no way.
        state = route.source[classes]
        self.lost[columns[(state < 0) | (ways.hops[state] < 0)]] = True
        is_in = state >= 0
        state, columns, data = state[is_in], columns[is_in], data[is_in]
        if len(classes) <= _FEW or len(self.view.n_cables) * n_columns <= _CELLS:
            self.carried.append(ways.carry(state, columns, data))
        else:
            start = sparse.csr_array((data, (state, columns)), shape=(route.n_states, n_columns))
            load = (ways.onto @ ways.at(start)).tocoo()
            self.carried.append((load.row, load.col, load.data))

    def _add_each(self, route: Router, legs: dict[int, list[tuple[int, int, float]]], n_columns: int) -> None:
        """Add the ways of some demand to each of some targets; where it is from few classes, all at once.

        Such as from ranks to each of many cards: of few columns, what they put on links is counted once.
        """
        few = [t for t, rows in legs.items() if len(rows) <= _FEW and self.pull is None]
        for target in sorted(legs.keys() - few):
            demand = [np.array(c) for c in zip(*legs[target], strict=True)]
            self._add(route, target, demand, n_columns=n_columns)
        route = reverse_router(route) if self.is_sent else route
        # Copies of the states, one a target, as many as the table may hold.
        n_at_once = max(1, _CELLS // route.n_states)
        for targets in (few[i : i + n_at_once] for i in range(0, len(few), n_at_once)):
            rows = [(i, *row) for i, target in enumerate(targets) for row in legs[target]]
            copy, classes, columns, data = (np.array(c) for c in zip(*rows, strict=True))
            ways = nearest_each(route, np.array(targets))
            first_state = route.source[classes]
            state = copy * route.n_states + first_state
            self.lost[columns[(first_state < 0) | (ways.hops[state] < 0)]] = True
            is_in = first_state >= 0
            self.carried.append(ways.carry(state[is_in], columns[is_in], data[is_in]))

    def _by_cards(self, cards: ClassCards, demand: Sequence[np.ndarray], n_columns: int) -> None:
        """Add the ways of some demand to the rank: as it is where no card is needed, else by cards."""
        route = reverse_router(cards.inside) if self.is_sent else cards.inside
        hops = nearest(route, self.view.only).hops[route.source[demand[0]]]
        self._add(cards.inside, self.view.rank, [c[hops >= 0] for c in demand], n_columns=n_columns)
        inside: dict[int, list[tuple[int, int, float]]] = {}
        network: dict[int, list[tuple[int, int, float]]] = {}
        for peer, column, data in zip(*(c[hops < 0].tolist() for c in demand), strict=True):
            choices = cards.choices(peer, is_sent=self.is_sent)
            self.lost[column] |= not choices
            # Three legs: from the peer to its card b, on the network to card a, and on to the rank.
            for b, a, part in choices:
                amount = data * part
                if b != peer:
                    inside.setdefault(b, []).append((peer, column, amount))
                if a == b:
                    # One card for both: the message turns at the next switch.
                    loop = cards.loop(a)
                    on = np.flatnonzero(loop)
                    self.carried.append((on, np.full(len(on), column), amount * loop[on]))
                else:
                    network.setdefault(a, []).append((b, column, amount))
                if a != self.view.rank:
                    inside.setdefault(self.view.rank, []).append((a, column, amount))
        self._add_each(cards.inside, inside, n_columns)
        self._add_each(cards.network, network, n_columns)


def view_of(
    question: ClassTraffic,
    place: Placement,
    mark: Mark,
    n_alike: float,
    rings: frozenset[str],
    paths: Paths,
) -> RankView:
    """Return the view of the rank at `mark`, of which there are `n_alike`."""
    return _view(question, place, (mark,), n_alike, rings=rings, paths=paths)


def _view(
    question: ClassTraffic,
    place: Placement,
    marks: tuple[Mark, ...],
    n_alike: float,
    *,
    rings: frozenset[str],
    paths: Paths,
) -> RankView:
    """Return the view of the rank at the first of some marks; the others are told apart too."""
    kept = question.apart, question.ties, question.sides
    view = quotient(question.blueprint, marks, apart=kept[0], ties=kept[1], sides=kept[2])
    inside = question.inside(view)
    names = [group.name for group in view.classes.groups]
    own = np.flatnonzero(inside & (view.classes.group == names.index(place.group)))
    rank = int(own[view.is_at(marks[0])[own]][0])
    # By how many places the rank differs from each class: exactly on rings, else whether.
    every = {axis: view.places[axis][rank] - view.places[axis][own] for axis in place.order}
    differences = [
        n % question.blueprint.axes[axis].size if axis in rings else (n != 0).astype(np.int64)
        for axis, n in every.items()
    ]
    classes_at: dict[Difference, list[int]] = {}
    for i, difference in zip(own.tolist(), zip(*(n.tolist() for n in differences), strict=True), strict=True):
        classes_at.setdefault(difference, []).append(i)
    sources = {d: np.array(c, dtype=np.int64) for d, c in classes_at.items()}

    def mark_card(card: Mark) -> RankView:
        return _view(question, place, (*marks, card), n_alike, rings=rings, paths=paths)

    is_damaged = bool(question.blueprint.failed or question.blueprint.marked_cables)
    return RankView(view, rank, n_alike, sources, inside, place.order, paths, mark_card, is_damaged)
