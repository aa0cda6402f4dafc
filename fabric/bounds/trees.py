"""The flow between the roots of a collective and one rank: its network, and the most that can flow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.problem import FlowProblem, Network, network
from fabric.flow.solve import solve
from fabric.graph import Forwarding, Paths, forwarding, let_forward, reachable
from fabric.symmetry import Quotient

MANY_STEPS = 100
"""Cuts that `feed` looks at; each is smaller than the one before, and a few are enough."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Flow between the roots and one rank, on the classes that keep that rank in place.

    Parameters
    ----------
    view : Quotient
        With the group and the rank marked; ``base`` and ``origin`` refer to the classes of the group.
    moves : Forwarding
        Those that lead from a root to the rank, or from the rank to a root.
    rank : int
        State in which the rank sends (inward) or receives (outward).
    rank_class : int
        Class of the rank among the classes of the group.
    root : ndarray of int64
        State in which each device class of the view takes part as a root, or -1.
    is_inward : bool
    """

    view: Quotient
    moves: Forwarding
    rank: int
    rank_class: int
    root: Ints
    is_inward: bool

    @property
    def part(self) -> Floats:
        """For every directed link of the view, its part of its class of the group."""
        link = np.repeat(self.view.classes.count.astype(np.float64), 2)
        link_class = np.bincount(self.view.base, link)[self.view.base]
        return np.divide(link, link_class, out=np.zeros(len(link)), where=link_class > 0)


def tree_of(
    view: Quotient, marked: int, roots: Bools, members: Bools, *, paths: Paths, is_inward: bool
) -> Tree:
    """Return the tree of a rank.

    Parameters
    ----------
    view : Quotient
    marked : int
        Class of the rank in `view`.
    roots : ndarray of bool, shape (c,)
        Classes that may be roots.
    members : ndarray of bool, shape (c,)
        Classes of ranks: they hold the data and pass it on whatever their transit.
    paths : {"rules", "no-relay", "any"}
        Of all other devices.
    is_inward : bool
    """
    rank = np.zeros(len(view.size), dtype=np.bool_)
    rank[marked] = True
    other_roots = roots & ~rank
    sides = (rank, other_roots) if is_inward else (other_roots, rank)
    moves = forwarding(let_forward(view.classes, members), *sides, paths=paths)
    # Moves between the states that are left once those of one device are joined.
    at = _meeting(moves)
    tail, head = at[moves.tail], at[moves.head]
    ends = [at[np.where(side >= 0, side, 0)] for side in (moves.source, moves.target)]
    rank_states, root_states = ends if is_inward else ends[::-1]
    rank_state = int(rank_states[marked])
    first = np.where(other_roots, root_states, -1)
    # What reaches the one end of all this flow stays there.
    kept = (tail != head) & ((head if is_inward else tail) != rank_state)
    # Only moves that lead from where data is sent to where it is taken.
    sent, taken = np.zeros((2, moves.n_states), dtype=np.bool_)
    sent[first[other_roots]] = True
    taken[rank_state] = True
    if is_inward:
        sent, taken = taken, sent
    useful = reachable(moves.n_states, tail[kept], head[kept], sent)
    useful &= reachable(moves.n_states, head[kept], tail[kept], taken)
    kept &= useful[tail] & useful[head]
    # Moves that are the same after joining count once.
    rows = np.unique(np.column_stack([tail, head, moves.link])[kept], axis=0)
    useful_moves = replace(moves, tail=rows[:, 0], head=rows[:, 1], link=rows[:, 2])
    return Tree(view, useful_moves, rank_state, int(view.origin[marked]), first, is_inward)


def _meeting(moves: Forwarding) -> Ints:
    """Return the state in which a device sends, or receives, and forwards: one is enough for both.

    What a device that turns sends may begin in its upward half and what it receives end in its downward
    half; where it forwards freely there is one state for all.
    """
    role = np.array([name for name, _ in moves.role])
    turns = np.zeros(moves.expanded.n_devices, dtype=np.bool_)
    turns[moves.device[moves.tail[moves.link < 0]]] = True
    meeting = np.arange(moves.n_states)
    for name, half in (("source", "up"), ("target", "down")):
        states = np.flatnonzero(role == name)
        for forwarding_role, able in (("free", ~turns), (half, turns)):
            forwarding_states = np.flatnonzero(role == forwarding_role)
            by_device = np.full(len(turns), -1, dtype=np.int64)
            by_device[moves.device[forwarding_states]] = forwarding_states
            # With several stages there are several such states.
            by_device[np.bincount(moves.device[forwarding_states], minlength=len(turns)) != 1] = -1
            # By way of the device: its one forwarding state, where it has one.
            place = np.where(able, by_device, -1)[moves.device[states]]
            meeting[states[place >= 0]] = place[place >= 0]
    return meeting


def price_cut(net: Network, price: Floats) -> tuple[float, Ints, Floats]:
    """Return what the links with a price are worth, these, and the price of each.

    Arcs that share a link have one capacity.
    """
    arcs = np.flatnonzero((net.link >= 0) & (price > 0))
    links, first = np.unique(net.link[arcs], return_index=True)
    of_link = price[arcs[first]]
    return float(of_link @ net.capacity[arcs[first]]), links, of_link


@dataclass(frozen=True, eq=False)
class Fed:
    """How fast a rank can be fed.

    Parameters
    ----------
    rate_gbps : float
    links : ndarray of int64
        Links of the view that limit it; none where it is only known to be as fast as was of interest.
    price : ndarray of float64
        Of each of these, in the cut that limits it.
    flow : ndarray of float64
        On every move of the tree at this rate [Gb/s].
    supply : ndarray of float64
        Of every state, for a rate of 1.
    """

    rate_gbps: float
    links: Ints
    price: Floats
    flow: Floats
    supply: Floats


def feed(tree: Tree, capacity: Floats, weight: Floats, own_weight: float, most: float) -> Fed:
    """Return the largest rate at which a rank can be fed, and what limits it.

    Parameters
    ----------
    tree : Tree
    capacity : ndarray of float64
        Of every class of links of the group, of which the tree has its part [Gb/s].
    weight : ndarray of float64, shape (c,)
        What each class of the view holds as roots, for a rate of 1.
    own_weight : float
        What the rank itself holds, for a rate of 1; less than 1.
    most : float
        Of no interest is how much faster the rank could be fed; no links limit it then [Gb/s].

    Notes
    -----
    The least, over all cuts, of capacity over what is needed through it, 1 less what the roots on the near
    side and the rank hold. A cut of a rate that is too high gives a lower one, until one is met (Dinkelbach,
    Management Science 13, 1967).
    """
    n = tree.moves.n_states
    starts, ends = np.zeros((2, n), dtype=np.bool_)
    root = np.flatnonzero((tree.root >= 0) & (weight > 0))
    held = np.bincount(tree.root[root], weight[root], minlength=n)
    starts[tree.root[root]] = True
    ends[tree.rank] = True
    if tree.is_inward:
        starts, ends = ends, starts
    moves = tree.moves
    share = capacity[tree.view.base] * tree.part
    net = network(FlowProblem(moves, starts, ends, moves.tail, moves.head, moves.link, share))
    side = net.head == net.target if tree.is_inward else net.tail == net.source
    part = np.zeros(len(side))
    # Arcs between the roots and the end beyond them: what each root holds, for a rate of 1.
    part[side] = held[(net.tail if tree.is_inward else net.head)[side]]
    # What roots hold is a capacity too, each its own.
    net = replace(net, link=np.where(side, len(share) + np.arange(len(side)), net.link))
    kind = np.full(len(side), -1, dtype=np.int64)
    # What the rank itself can take in, or send, is often all.
    limiting = np.unique(moves.link[(moves.tail if tree.is_inward else moves.head) == tree.rank])
    rate, price = float(share[limiting].sum()) / (1.0 - own_weight), np.ones(len(limiting))
    if most < rate:
        rate, limiting, price = most, limiting[:0], price[:0]
    for _ in range(MANY_STEPS):
        # At this rate, is the rank fed? The minimum cut says so.
        answer = solve(replace(net, capacity=np.where(side, rate * part, net.capacity)), kind)
        fixed, links, of_link = price_cut(net, np.where(side, 0.0, answer.price))
        # What must come through the links of the cut at rate 1: all that no root before it and no rank holds.
        needed = 1.0 - own_weight - float(answer.price[side] @ part[side])
        lower = fixed / needed if needed > 1e-12 else rate
        # The cut allows this rate: it is met.
        if lower >= rate * (1 - 1e-12):
            break
        rate, limiting, price = lower, links, of_link
    flow = np.zeros(len(moves.tail))
    flow[net.move[net.move >= 0]] = answer.flow[net.move >= 0]
    supply = np.asarray(held * (-1.0 if tree.is_inward else 1.0), dtype=np.float64)
    supply[tree.rank] = (1.0 - own_weight) * (1.0 if tree.is_inward else -1.0)
    return Fed(rate, limiting, price, flow, supply)
