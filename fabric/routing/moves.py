"""The permitted moves of a job, as a graph that is ready to be routed on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.graph import Expanded, Forwarding, Paths, forwarding, reachable


@dataclass(frozen=True, eq=False)
class Router:
    """The permitted moves of a job, ready to be routed on.

    Parameters
    ----------
    expanded : Expanded
    source, target : ndarray of int64, shape (n,)
        State in which device v sends and receives, or -1.
    tail, head, link : ndarray of int64, shape (k,)
        Moves, tails ascending. Turns are folded in, so that every move is one hop, and a link leads from a
        state to one state, or one state beside the target.
    cables : ndarray of float64, shape (k,)
        Cables that are up on the link of each move: the weight of the split.
    first : ndarray of int64, shape (n_states + 1,)
        ``first[s]:first[s + 1]`` are the moves from state s.
    into, into_first : ndarray of int64, shapes (k,) and (n_states + 1,)
        ``into[into_first[s]:into_first[s + 1]]`` are the moves to state s.
    device : ndarray of int64, shape (n_states,)
        Device of each state.
    pull : ndarray of float64, shape (2 * m,), optional
        Where the split follows what capacity is left, the part of it that each link counts with; else the
        split is equal over cables. See `fabric.routing.fitting`.
    """

    expanded: Expanded
    source: Ints
    target: Ints
    tail: Ints
    head: Ints
    link: Ints
    cables: Floats
    first: Ints
    into: Ints
    into_first: Ints
    device: Ints
    pull: Floats | None = None

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.first) - 1

    @cached_property
    def room(self) -> Floats:
        """Capacity of each move that is up [Gb/s], shape (k,)."""
        return np.asarray(self.cables * self.expanded.rate_gbps[self.link // 2])

    @cached_property
    def width(self) -> Floats:
        """Capacity of all cables of every device when nothing is down [Gb/s], shape (n,)."""
        e = self.expanded
        ends, rate = np.concatenate([e.tail, e.head]), np.tile(e.count * e.rate_gbps, 2)
        return np.bincount(ends, rate, minlength=e.n_devices).astype(np.float64)

    @cached_property
    def built(self) -> Floats:
        """Capacity of each move when nothing is down [Gb/s], shape (k,)."""
        bundle = self.link // 2
        return np.asarray(self.expanded.count[bundle] * self.expanded.rate_gbps[bundle])


def router(
    expanded: Expanded,
    ranks: Bools,
    *,
    switches: Bools | None = None,
    paths: Paths = "rules",
    relays_in: bool = True,
) -> Router:
    """Return a router for traffic among `ranks`, shape (n,); endpoints outside do not forward.

    Parameters
    ----------
    expanded : Expanded
    ranks : ndarray of bool, shape (n,)
    switches : ndarray of bool, shape (n,), optional
        Devices that send and receive beside the ranks: switches that reduce and multiply.
    paths : {"rules", "no-relay", "any"}
    relays_in : bool
        Whether ranks also relay what comes in from beyond their scale-up domain, and not only what goes out.
    """
    ends = ranks if switches is None else ranks | switches
    moves = forwarding(expanded, ends, ends, paths=paths, bystanders=False)
    if not relays_in:
        is_in = np.array([name == "relay in" for name, _ in moves.role], dtype=np.bool_)
        moves = _keep(moves, ~is_in[moves.head])
    # Fewer moves: all that follows costs by them.
    moves = _useful(moves)
    inner = moves.link < 0
    up, down = moves.tail[inner], moves.head[inner]
    tail, head, link = _by_tail(moves.tail[~inner], moves.head[~inner], moves.link[~inner])
    # A turn is no hop: what leaves the downward half may leave the upward half as well.
    again, which = ranges(firsts(tail, moves.n_states), down)
    tail, head, link = _by_tail(
        *(np.concatenate(c) for c in ((tail, up[which]), (head, head[again]), (link, link[again])))
    )
    is_target = np.zeros(moves.n_states, dtype=np.bool_)
    # States where traffic ends.
    is_target[moves.target[moves.target >= 0]] = True
    tail, head, link, n_states = _join_halves(tail, head, link, is_target)
    into = np.argsort(head, kind="stable")
    cables = expanded.alive[link // 2].astype(np.float64)
    device = np.zeros(n_states, dtype=np.int64)
    device[: len(moves.device)] = moves.device
    # A joined state has no device yet; its links say which.
    device[head] = np.where(link % 2 == 0, expanded.head[link // 2], expanded.tail[link // 2])
    return Router(
        expanded,
        moves.source,
        moves.target,
        tail,
        head,
        link,
        cables,
        firsts(tail, n_states),
        into,
        firsts(head[into], n_states),
        device,
    )


def _useful(moves: Forwarding) -> Forwarding:
    """Return `moves` without those that no path from a source to a target takes."""
    ends = []
    # Forwards from the sources, backwards from the targets.
    for states, tail, head in (
        (moves.source, moves.tail, moves.head),
        (moves.target, moves.head, moves.tail),
    ):
        start = np.zeros(moves.n_states, dtype=np.bool_)
        start[states[states >= 0]] = True
        ends.append(reachable(moves.n_states, tail, head, start))
    return _keep(moves, ends[0][moves.tail] & ends[1][moves.head])


def _keep(moves: Forwarding, kept: Bools) -> Forwarding:
    fields = {name: getattr(moves, name) for name in moves.__dataclass_fields__}
    return Forwarding(**{**fields, **{name: fields[name][kept] for name in ("tail", "head", "link")}})


def _join_halves(tail: Ints, head: Ints, link: Ints, is_target: Bools) -> tuple[Ints, Ints, Ints, int]:
    """Return moves by tail, in which a link leads from a state to one state, and the number of states.

    Parameters
    ----------
    tail, head, link : ndarray of int64, shape (k,)
        Moves, tails ascending, turns folded in.
    is_target : ndarray of bool, shape (n_states,)
        A target leads nowhere, so it may stand beside another state of its device.

    Notes
    -----
    A peer link may lead to both halves of a device. A path need not choose between them on that link, which
    would count its cables twice: it goes on from the two joined, as far as either leads (the subset
    construction; Rabin, Scott, "Finite automata and their decision problems", IBM Journal 3(2), 1959).
    """
    n = n_states = len(is_target)
    first = firsts(tail, n)
    joined: dict[int, int] = {}
    rows = [(np.zeros(0, np.int64),) * 3]
    t, h, way = tail, head, link
    # Each round makes states of pairs that are new, and goes on from them.
    while len(t):
        order = np.lexsort((h, is_target[h], way, t))
        t, h, way = t[order], h[order], way[order]
        once = ~_repeats(t, way, h)
        t, h, way = t[once], h[once], way[once]
        # Two heads of one link from one state, side by side in this order.
        second = np.flatnonzero(_repeats(t, way, is_target[h]))
        pairs, inverse = np.unique(h[second - 1] * n + h[second], return_inverse=True)
        # Pairs that have no state yet.
        fresh = np.array([pair for pair in pairs.tolist() if pair not in joined], dtype=np.int64)
        states = np.arange(n_states, n_states + len(fresh))
        joined.update(zip(fresh.tolist(), states.tolist(), strict=True))
        h[second - 1] = np.array([joined[pair] for pair in pairs.tolist()], dtype=np.int64)[inverse]
        rows.append((np.delete(t, second), np.delete(h, second), np.delete(way, second)))
        # The joined state does what either half does.
        moves, which = ranges(first, np.concatenate([fresh // n, fresh % n]))
        t, h, way = np.tile(states, 2)[which], head[moves], link[moves]
        n_states += len(fresh)
    return *_by_tail(*(np.concatenate(column) for column in zip(*rows, strict=True))), n_states


def _repeats(*columns: Ints | Bools) -> Bools:
    """Return which rows equal the row before."""
    repeats = np.ones(len(columns[0]), dtype=np.bool_)
    repeats[:1] = False
    for column in columns:
        repeats[1:] &= column[1:] == column[:-1]
    return repeats


def _by_tail(tail: Ints, head: Ints, link: Ints) -> tuple[Ints, Ints, Ints]:
    order = np.argsort(tail, kind="stable")
    return tail[order], head[order], link[order]


def firsts(ascending: Ints, n: int) -> Ints:
    """Return where each of the numbers 0 to n starts in `ascending`, shape (n + 1,)."""
    return np.searchsorted(ascending, np.arange(n + 1))


def ranges(first: Ints, which: Ints) -> tuple[Ints, Ints]:
    """Return the numbers ``first[i]`` to ``first[i + 1] - 1`` for each i of `which`, and its place there."""
    return spans(first[which], first[which + 1])


def spans(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return the numbers ``begin[i]`` to ``end[i] - 1`` for each i, and i."""
    # All ranges in one array: a running number, less where its own range began in it.
    n = end - begin
    place = np.repeat(np.arange(len(n)), n)
    return np.arange(len(place)) + np.repeat(begin - np.cumsum(n) + n, n), place
