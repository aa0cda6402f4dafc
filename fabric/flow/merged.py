"""The permitted moves between many sources and many targets, with as few states as choices need.

A chip that forwards freely sends, forwards and receives in one state. And what has one way to go is no
choice: a host on one leaf is left out of the network, its traffic enters it at the leaf and leaves it there::

    source(host) --> up(leaf) ==> ... ==> down(leaf) --> target(host)
          before    entry         choices       exit    after

So a network of switches is as small with twenty hosts a switch as with none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.graph import Forwarding, reachable

Step = Ints
"""For each device the move that its traffic must take, or -1 where it has a choice, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Merged:
    """Moves between merged states.

    Parameters
    ----------
    moves : Forwarding
        The moves that some source and some target need, as the path rule has them.
    at : ndarray of int64, shape (moves.n_states,)
        Merged state of every state.
    tail, head, link : ndarray of int64, shape (k,)
        Moves between merged states, tails ascending; a turn has link -1.
    entry, exit : ndarray of int64, shape (n,)
        Merged state in which what each device sends has its first choice, and what it receives had its last;
        -1 where it sends or receives nothing.
    before, after : tuple of Step
        Moves that lead from the source to its entry, first ones first, and from its exit to the target, last
        ones first.
    """

    moves: Forwarding
    at: Ints
    tail: Ints
    head: Ints
    link: Ints
    entry: Ints
    exit: Ints
    before: tuple[Step, ...]
    after: tuple[Step, ...]

    @property
    def n_states(self) -> int:
        """Number of merged states."""
        return int(self.at.max(initial=-1)) + 1


def merge(moves: Forwarding) -> Merged:
    """Return `moves` between merged states."""
    moves = keep_useful(moves)
    at = _joined(moves)
    tail, head, link = moves_between(moves, at)
    n = int(at.max(initial=-1)) + 1
    ends = [np.where(side >= 0, at[side], -1) for side in (moves.source, moves.target)]
    is_sink = np.zeros(n, dtype=np.bool_)
    is_sink[ends[1][ends[1] >= 0]] = True
    entry, before = _walked(ends[0], tail, head, is_sink)
    is_entry = np.zeros(n, dtype=np.bool_)
    is_entry[entry[entry >= 0]] = True
    # A target where traffic of others enters has no way of its own.
    exit_, after = _walked(ends[1], head, tail, is_entry, may_leave=~is_entry)
    return Merged(moves, at, tail, head, link, entry, exit_, before, after)


def keep_useful(moves: Forwarding) -> Forwarding:
    """Return `moves` without those that no path from a source to a target takes."""
    found = np.ones(len(moves.tail), dtype=np.bool_)
    for ends, tail, head in (
        (moves.source, moves.tail, moves.head),
        (moves.target, moves.head, moves.tail),
    ):
        start = np.zeros(moves.n_states, dtype=np.bool_)
        start[ends[ends >= 0]] = True
        found &= reachable(moves.n_states, tail, head, start)[tail]
    return replace(moves, tail=moves.tail[found], head=moves.head[found], link=moves.link[found])


def moves_between(moves: Forwarding, at: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the tails, heads and links of `moves` between merged states, each once, in ascending order."""
    n, width = int(at.max(initial=0)) + 1, int(moves.link.max(initial=0)) + 2
    key = np.unique((at[moves.tail] * n + at[moves.head]) * width + moves.link + 1)
    ends, link = np.divmod(key, width)
    return ends // n, ends % n, link - 1


def unlike(moves: Forwarding, at: Ints) -> Ints:
    """Return the devices that cannot do in their merged state all that it can, for sources and for targets.

    Parameters
    ----------
    moves : Forwarding
    at : ndarray of int64, shape (n_states,)

    Notes
    -----
    Each move between merged states must be one between the states that forward; from each source that is
    merged into its tail; into each target that is merged into its head; and from the one to the other.
    """
    n = moves.n_states
    width = int(moves.link.max(initial=0)) + 2
    role = np.array([name for name, _ in moves.role])
    known = (moves.tail * n + moves.head) * width + moves.link + 1
    # A merged state's own state: that which forwards, or the only one.
    merged_ = (role == "source") | (role == "target")
    own = np.full(int(at.max(initial=-1)) + 1, -1, dtype=np.int64)
    for states in (np.flatnonzero(merged_), np.flatnonzero(~merged_)):
        own[at[states]] = states
    members = [np.full(len(own), -1, dtype=np.int64) for _ in range(2)]
    for side, name in zip(members, ("source", "target"), strict=True):
        states = np.flatnonzero((role == name) & (own[at] != np.arange(n)))
        side[at[states]] = states
    tail, head, link = moves_between(moves, at)
    found = [np.zeros(0, dtype=np.int64)]
    for tails in (own, members[0]):
        for heads in (own, members[1]):
            x, y = tails[tail], heads[head]
            both = (x >= 0) & (y >= 0)
            key = (x[both] * n + y[both]) * width + link[both] + 1
            lacking = np.flatnonzero(both)[~np.isin(key, known)]
            found += [moves.device[own[tail[lacking]]], moves.device[own[head[lacking]]]]
    return np.unique(np.concatenate(found))


def _joined(moves: Forwarding) -> Ints:
    """Return the merged state of every state."""
    role = np.array([name for name, _ in moves.role])
    n_devices = moves.expanded.n_devices
    free = np.flatnonzero(role == "free")
    forwards = np.full(n_devices, -1, dtype=np.int64)
    forwards[moves.device[free]] = free
    # With several stages a device forwards in several states; its source and target are beside none of them.
    forwards[np.bincount(moves.device[free], minlength=n_devices) > 1] = -1
    ends = np.flatnonzero((role == "source") | (role == "target"))
    while True:
        at = np.arange(moves.n_states)
        own = forwards[moves.device[ends]]
        at[ends[own >= 0]] = own[own >= 0]
        at = np.unique(at, return_inverse=True)[1].ravel()
        odd = unlike(moves, at)
        odd = odd[forwards[odd] >= 0]
        if not len(odd):
            return at
        forwards[odd] = -1


def _walked(
    start: Ints, tail: Ints, head: Ints, stops: Bools, *, may_leave: Bools | None = None
) -> tuple[Ints, tuple[Step, ...]]:
    """Return where the walk of each device from its state ends: where there is a choice, or at a stop.

    Parameters
    ----------
    start : ndarray of int64, shape (n,)
        -1 for none.
    tail, head : ndarray of int64, shape (k,)
    stops : ndarray of bool, shape (n_states,)
        Where no walk goes on.
    may_leave : ndarray of bool, shape (n_states,), optional
        Where a walk may begin; everywhere if left out.
    """
    n = len(stops)
    only = np.full(n, -1, dtype=np.int64)
    only[tail] = np.arange(len(tail))
    only[np.bincount(tail, minlength=n) != 1] = -1
    at, steps = start.copy(), []
    begins = np.ones(n, dtype=np.bool_) if may_leave is None else may_leave
    for _ in range(n):
        step = np.where((at >= 0) & begins[at], only[at], -1)
        if (step < 0).all():
            break
        steps.append(step)
        at = np.where(step >= 0, head[step], at)
        begins = ~stops
    return at, tuple(steps)
