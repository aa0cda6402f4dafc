"""Traffic that all goes to the nearest of some targets, by an equal split, for many demands at once.

`fabric.routing.link_loads` routes to many targets, each by itself. Here all demands have the same targets, so
the ways are found once, and what many different demands put on links are products with two sparse matrices::

    at    = demand + onward @ demand + onward @ onward @ demand + ...    bytes that pass every state
    loads = onto @ at                                                    bytes on every link
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.remembered import remembered
from fabric.graph import Expanded
from fabric.routing.fitting import fits, room_of
from fabric.routing.moves import Router, firsts, ranges, spans

Demand = tuple[Ints, Ints, Floats]
"""Places, columns and bytes."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Equal split per hop over the cables of all shortest permitted paths to the nearest target.

    Parameters
    ----------
    hops : ndarray of int64, shape (n_states,)
        Hops to the nearest target, -1 where none is reached.
    tail, head, link : ndarray of int64, shape (k,)
        Moves that lead nearer, tails ascending.
    share : ndarray of float64, shape (k,)
        Part of what is in the tail that takes each.
    n_links : int
    """

    hops: Ints
    tail: Ints
    head: Ints
    link: Ints
    share: Floats
    n_links: int

    @cached_property
    def onward(self) -> sparse.csr_array:
        """Part of what is in state x that goes on to state y, at ``onward[y, x]``."""
        return sparse.csr_array((self.share, (self.head, self.tail)), shape=(len(self.hops),) * 2)

    @cached_property
    def onto(self) -> sparse.csr_array:
        """Part of what is in state x that takes link l, at ``onto[l, x]``."""
        return sparse.csr_array((self.share, (self.link, self.tail)), shape=(self.n_links, len(self.hops)))

    def carry(self, state: Ints, column: Ints, amount: Floats) -> Demand:
        """Return what some demands put on links: link, column and bytes; those of one place add up.

        Parameters
        ----------
        state, column : ndarray of int64, shape (d,)
            Where each starts, and which column it is of.
        amount : ndarray of float64, shape (d,)

        Notes
        -----
        As ``onto @ at``, for demands that are far fewer than states: followed hop by hop, without a matrix.
        """
        n = int(column.max(initial=0)) + 1
        carried = []
        while len(state):
            # Moves from a state follow one another: from where it begins to where the next one would.
            begin, end = np.searchsorted(self.tail, np.stack([state, state + 1]))
            place, which = spans(begin, end)
            amount, column = amount[which] * self.share[place], column[which]
            carried.append((self.link[place], column, amount))
            # Ways that meet go on as one.
            met, at = np.unique(self.head[place] * n + column, return_inverse=True)
            amount = np.bincount(at.ravel(), amount, minlength=len(met)).astype(np.float64)
            state, column = np.divmod(met, n)
        empty = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        link, columns, bytes_ = (np.concatenate(parts) for parts in zip(empty, *carried, strict=True))
        return link, columns, bytes_

    def at(self, demand: Floats | sparse.csr_array) -> Floats | sparse.csr_array:
        """Return what passes every state, or ends there, shape (n_states, k).

        Parameters
        ----------
        demand : ndarray of float64 or sparse array, shape (n_states, k)
            What starts in each state; a column for each of k demands.
        """
        passed, moving = demand, demand
        # One hop a round; all has ended after the most hops.
        for _ in range(int(self.hops.max(initial=0))):
            moving = self.onward @ moving
            passed = passed + moving
        return passed


def nearest(
    route: Router, targets: Bools, *, climbs: bool = False, net: str = "", width: Floats | None = None
) -> Nearest:
    """Return the ways to the nearest of some targets.

    Parameters
    ----------
    route : Router
    targets : ndarray of bool, shape (n,)
        Devices.
    climbs : bool
        Whether only links up, away from the endpoints, and links between peers are taken.
    net : str
        Whose links alone are taken, or those of all if empty.
    width : ndarray of float64, shape (n,), optional
        Capacity of every device when nothing is down, if the split follows what is left of it; see
        `fabric.routing.fitting`.
    """
    n = route.n_states
    e = route.expanded
    is_open = np.ones(len(route.link), dtype=np.bool_)
    # Even links lead up, away from the endpoints; between peers there is no up.
    if climbs:
        is_peer = np.array([r.is_peer for r in e.rules], dtype=np.bool_)[e.rule]
        is_open = (route.link % 2 == 0) | is_peer[route.link // 2]
    if net:
        is_open &= np.array([r.net == net for r in e.rules], dtype=np.bool_)[e.rule][route.link // 2]
    # Breadth-first search back from the targets, all states of a level at once.
    hops = np.full(n, -1)
    ends = route.target[targets]
    hops[ends[ends >= 0]] = 0
    level = 0
    while True:
        before = is_open & (hops[route.head] == level) & (hops[route.tail] < 0)
        if not before.any():
            break
        level += 1
        hops[route.tail[before]] = level
    # Moves that lead one hop nearer.
    kept = np.flatnonzero(is_open & (hops[route.head] >= 0) & (hops[route.head] == hops[route.tail] - 1))
    cables = route.cables[kept] if width is None else _fitting(route, kept, hops, width)
    return _split(route, hops, kept, np.zeros_like(kept), cables)


def nearest_each(route: Router, targets: Ints) -> Nearest:
    """Return the ways to each of some devices by itself, all at once.

    Parameters
    ----------
    route : Router
    targets : ndarray of int64, shape (k,)

    Returns
    -------
    Nearest
        Of a copy of all states for each target: state s of copy i is ``i * route.n_states + s``.
    """
    n, n_moves = route.n_states, len(route.tail)
    hops = np.full(len(targets) * n, -1)
    ends = route.target[targets]
    # The same search in as many copies of the states as there are targets.
    front = (np.arange(len(targets)) * n + ends)[ends >= 0]
    hops[front] = 0
    level, ways = 0, [np.zeros(0, dtype=np.int64)]
    while len(front):
        level += 1
        copy, state = np.divmod(front, n)
        place, which = ranges(route.into_first, state)
        move, copy = route.into[place], copy[which]
        before = copy * n + route.tail[move]
        # The first level to reach a state in a copy is its nearest; others of this level are ways too.
        is_way = hops[before] < 0
        hops[before[is_way]] = level
        ways.append(copy[is_way] * n_moves + move[is_way])
        front = np.unique(before[is_way])
    copy, move = np.divmod(np.sort(np.concatenate(ways)), n_moves)
    return _split(route, hops, move, copy, route.cables[move])


def _split(route: Router, hops: Ints, move: Ints, copy: Ints, weight: Floats) -> Nearest:
    """Return the split over some moves, each in a copy of the states, by their weights."""
    n, first = len(hops), copy * route.n_states
    tail, head = first + route.tail[move], first + route.head[move]
    # Each weight over all weights that leave its state.
    share = weight / np.bincount(tail, weight, minlength=n)[tail]
    return Nearest(hops, tail, head, route.link[move], share, 2 * route.expanded.n_bundles)


def _fitting(route: Router, moves: Ints, hops: Ints, width: Floats) -> Floats:
    """Return the capacity of moves that what follows can pass on, shape (k,)."""
    tail, head = route.tail[moves], route.head[moves]
    ways, fit = np.zeros(route.n_states), np.where(hops == 0, 1.0, 0.0)
    room = np.zeros(len(moves))
    # From the targets out: what a level fits is known before those behind it ask.
    for level in range(1, int(hops.max(initial=0)) + 1):
        rows = np.flatnonzero(hops[tail] == level)
        room[rows] = room_of(route, moves[rows], fit[head[rows], None])[:, 0]
        np.add.at(ways, tail[rows], room[rows])
        states = np.flatnonzero(hops == level)
        fit[states] = fits(route, states, ways[states, None], width)[:, 0]
    return room


def keeps_in(expanded: Expanded, ranks: Bools) -> bool:
    """Return whether traffic between ranks of a scale-up domain stays in it: they forward all, as in a torus.

    By hops a card and a switch may be nearer than the far side of a torus, but no library takes that way.
    Ranks behind switches have no way as short as theirs, and those that do not forward may need another.
    """
    up = [r for r in expanded.rules if r.net == "scale-up"]
    transit = np.array([g.transit == "all" for g in expanded.groups], dtype=np.bool_)[expanded.group]
    # Only where ranks also have another way out, and where scale-up links lead both ways.
    is_both = 0 < len(up) < len(expanded.rules) and not any(r.is_oneway and not r.is_peer for r in up)
    return is_both and bool(transit[ranks].all())


@remembered(1)
def reverse_router(route: Router) -> Router:
    """Return the router of the same paths from their targets back; links keep the way in which they go."""
    # Moves by their heads, which now are tails; these are sorted already.
    tail, head = route.head[route.into], route.tail[route.into]
    into = np.argsort(head, kind="stable")
    return replace(
        route,
        source=route.target,
        target=route.source,
        tail=tail,
        head=head,
        link=route.link[route.into],
        cables=route.cables[route.into],
        first=route.into_first,
        into=into,
        into_first=firsts(head[into], route.n_states),
    )
