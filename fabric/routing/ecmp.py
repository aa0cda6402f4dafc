"""Link loads under ECMP: equal split per hop over the cables of all shortest permitted paths.

Destinations are routed in blocks, a column each. A search runs backwards from them and finds, level by level,
the states that are so many hops away and the cables that lead on from there; the traffic then runs down the
levels::

    hops to go       4         3          2         1         0
                   gpu0 ---> nic0 ---> leaf0 ---> nic1 ---> gpu1
                                 <--- search
                    traffic --->

A level holds only states that some destination of the block has in it, so sparse traffic costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import Expanded, Forwarding, forwarding, reachable

# Columns of a block: at most so many, and so many (state, column) cells, to bound memory.
_COLUMNS = 64
_CELLS = 8_000_000
# Moves whose rows are gathered at once, so that they stay in the cache.
_GATHER = 1_024

Progress = Callable[[int, int], None]
"""``progress(done, total)`` destinations."""


@dataclass(frozen=True, eq=False)
class Demands:
    """Traffic between devices.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
        Devices; a pair may appear more than once. Targets are routed in the order of their first appearance,
        fastest where neighbours in that order are neighbours in the fabric.
    amount : ndarray of float64, shape (k,)
        In any unit; loads come out in the same.
    """

    source: Ints
    target: Ints
    amount: Floats


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

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.first) - 1


def router(expanded: Expanded, ranks: Bools) -> Router:
    """Return a router for traffic among `ranks`, shape (n,); endpoints outside do not forward."""
    moves = _useful(forwarding(expanded, ranks, ranks, bystanders=False))
    inner = moves.link < 0
    up, down = moves.tail[inner], moves.head[inner]
    tail, head, link = _by_tail(moves.tail[~inner], moves.head[~inner], moves.link[~inner])
    # A turn is no hop: what leaves the downward half may leave the upward half as well.
    again, which = _ranges(_starts(tail, moves.n_states), down)
    tail, head, link = _by_tail(
        *(np.concatenate(c) for c in ((tail, up[which]), (head, head[again]), (link, link[again])))
    )
    is_target = np.zeros(moves.n_states, dtype=np.bool_)
    is_target[moves.target[moves.target >= 0]] = True
    tail, head, link, n_states = _join_halves(tail, head, link, is_target)
    into = np.argsort(head, kind="stable")
    cables = expanded.alive[link // 2].astype(np.float64)
    return Router(
        expanded,
        moves.source,
        moves.target,
        tail,
        head,
        link,
        cables,
        _starts(tail, n_states),
        into,
        _starts(head[into], n_states),
    )


def _useful(moves: Forwarding) -> Forwarding:
    """Return `moves` without those that no path from a source to a target takes."""
    ends = []
    for states, tail, head in (
        (moves.source, moves.tail, moves.head),
        (moves.target, moves.head, moves.tail),
    ):
        start = np.zeros(moves.n_states, dtype=np.bool_)
        start[states[states >= 0]] = True
        ends.append(reachable(moves.n_states, tail, head, start))
    kept = ends[0][moves.tail] & ends[1][moves.head]
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
    first = _starts(tail, n)
    joined: dict[int, int] = {}
    found = [(np.zeros(0, np.int64),) * 3]
    t, h, way = tail, head, link
    while len(t):
        order = np.lexsort((h, is_target[h], way, t))
        t, h, way = t[order], h[order], way[order]
        once = ~_repeats(t, way, h)
        t, h, way = t[once], h[once], way[once]
        second = np.flatnonzero(_repeats(t, way, is_target[h]))
        pairs, inverse = np.unique(h[second - 1] * n + h[second], return_inverse=True)
        fresh = np.array([pair for pair in pairs.tolist() if pair not in joined], dtype=np.int64)
        states = np.arange(n_states, n_states + len(fresh))
        joined.update(zip(fresh.tolist(), states.tolist(), strict=True))
        h[second - 1] = np.array([joined[pair] for pair in pairs.tolist()], dtype=np.int64)[inverse]
        found.append((np.delete(t, second), np.delete(h, second), np.delete(way, second)))
        # The joined state does what either half does.
        moves, which = _ranges(first, np.concatenate([fresh // n, fresh % n]))
        t, h, way = np.tile(states, 2)[which], head[moves], link[moves]
        n_states += len(fresh)
    return *_by_tail(*(np.concatenate(column) for column in zip(*found, strict=True))), n_states


def _repeats(*columns: Ints | Bools) -> Bools:
    """Return which rows equal the row before."""
    found = np.ones(len(columns[0]), dtype=np.bool_)
    found[:1] = False
    for column in columns:
        found[1:] &= column[1:] == column[:-1]
    return found


def _by_tail(tail: Ints, head: Ints, link: Ints) -> tuple[Ints, Ints, Ints]:
    order = np.argsort(tail, kind="stable")
    return tail[order], head[order], link[order]


def _starts(ascending: Ints, n: int) -> Ints:
    """Return where each of the numbers 0 to n starts in `ascending`, shape (n + 1,)."""
    return np.searchsorted(ascending, np.arange(n + 1))


def _ranges(first: Ints, which: Ints) -> tuple[Ints, Ints]:
    """Return the numbers ``first[i]`` to ``first[i + 1] - 1`` for each i of `which`, and its place there."""
    n = first[which + 1] - first[which]
    place = np.repeat(np.arange(len(which)), n)
    return np.arange(len(place)) + np.repeat(first[which] - np.cumsum(n) + n, n), place


def link_loads(route: Router, demands: Demands, *, progress: Progress | None = None) -> Floats:
    """Return what `demands` put on every link, shape (2 * m,).

    Parameters
    ----------
    route : Router
    demands : Demands
    progress : callable, optional
        Called with the destinations that are done and their number.

    Returns
    -------
    ndarray of float64
        Link ``2 * b`` is bundle b from tail to head, ``2 * b + 1`` the way back.

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.
    """
    _check_ends(route, demands)
    loads = np.zeros(2 * route.expanded.n_bundles)
    # What stays on its device loads no link.
    away = np.flatnonzero(demands.source != demands.target)
    targets = _by_appearance(demands.target[away], route.expanded.n_devices)
    column = np.zeros(route.expanded.n_devices, dtype=np.int64)
    column[targets] = np.arange(len(targets))
    column = column[demands.target[away]]
    order = np.argsort(column, kind="stable")
    edges = _starts(column[order], len(targets))
    width = int(np.clip(_CELLS // max(route.n_states, 1), 1, _COLUMNS))
    for begin in range(0, len(targets), width):
        end = min(begin + width, len(targets))
        rows = order[edges[begin] : edges[end]]
        block = _Block(
            targets[begin:end], demands.source[away[rows]], column[rows] - begin, demands.amount[away[rows]]
        )
        _route_block(route, block, loads)
        if progress:
            progress(end, len(targets))
    return loads


def _check_ends(route: Router, demands: Demands) -> None:
    """Raise where an end of a demand is no rank of the router, or is down."""
    for devices, state in ((demands.source, route.source), (demands.target, route.target)):
        other = devices[state[devices] < 0]
        if len(other):
            msg = f"{route.expanded.names[int(other[0])]} has traffic, but is not among the ranks that are up"
            raise QuestionError(msg)


def _by_appearance(devices: Ints, n: int) -> Ints:
    """Return the distinct devices, out of n, in the order of their first appearance."""
    first = np.full(n, len(devices))
    first[devices[::-1]] = np.arange(len(devices))[::-1]
    return np.argsort(first, kind="stable")[: int((first < len(devices)).sum())]


@dataclass(frozen=True, eq=False)
class _Block:
    """Some destinations and the demands towards them; a demand names its column in `targets`."""

    targets: Ints
    source: Ints
    column: Ints
    amount: Floats


@dataclass(frozen=True, eq=False)
class _Level:
    """States that are so many hops from some destination.

    Parameters
    ----------
    states : ndarray of int64, shape (k,)
        Ascending.
    ways : ndarray of float64, shape (k, columns)
        Cables that lead on from each state; 0 in the columns for which it is not in this level.
    demands : ndarray of int64
        Demands that start here, by number.
    """

    states: Ints
    ways: Floats
    demands: Ints


def _route_block(route: Router, block: _Block, loads: Floats) -> None:
    """Add the loads of all demands of `block` to `loads`."""
    levels = _search(route, block)
    flow = np.zeros_like(levels[-1].ways)
    for level, nearer in zip(levels[:0:-1], levels[-2::-1], strict=True):
        starts = np.searchsorted(level.states, route.source[block.source[level.demands]])
        np.add.at(flow, (starts, block.column[level.demands]), block.amount[level.demands])
        share = np.divide(flow, level.ways, out=flow, where=level.ways > 0)
        busy = np.flatnonzero(share.any(axis=1))
        moves, tail = _ranges(route.first, level.states[busy])
        moves, tail, head = _leading(route, moves, tail, route.head[moves], nearer.states)
        # A move counts in the columns in which its head is one hop nearer.
        is_nearer = (nearer.ways > 0).astype(np.float64)
        share = share[busy]
        flow = _spread(tail, head, route.cables[moves], len(nearer.states), share) * is_nearer
        for i in range(0, len(moves), _GATHER):
            part = slice(i, i + _GATHER)
            carried = np.einsum("ij,ij->i", share[tail[part]], is_nearer[head[part]])
            np.add.at(loads, route.link[moves[part]], route.cables[moves[part]] * carried)


def _search(route: Router, block: _Block) -> list[_Level]:
    """Return the levels of `block`, nearest first, up to the one that holds its last source."""
    n = len(block.targets)
    ends = route.target[block.targets]
    order = np.argsort(ends)
    ways = np.zeros((n, n))
    ways[np.arange(n), order] = 1.0
    reached = np.zeros((route.n_states, n), dtype=np.bool_)
    left = np.arange(len(block.source))
    starts = route.source[block.source]
    states = ends[order]
    levels = []
    while True:
        is_new = ways > 0
        reached[states] |= is_new
        here = reached[starts[left], block.column[left]]
        levels.append(_Level(states, ways, left[here]))
        left = left[~here]
        if not len(left):
            return levels
        # One hop back, to states that some column has not reached.
        moves, place = _ranges(route.into_first, states)
        moves = route.into[moves]
        is_before = np.zeros(route.n_states, dtype=np.bool_)
        is_before[route.tail[moves]] = True
        before = np.flatnonzero(is_before)
        before = before[~reached[before].all(axis=1)]
        moves, place, tail = _leading(route, moves, place, route.tail[moves], before)
        ways = _spread(place, tail, route.cables[moves], len(before), is_new.astype(np.float64))
        ways *= ~reached[before]
        some = np.flatnonzero(ways.any(axis=1))
        if not len(some):
            names = route.expanded.names
            source, target = block.source[left[0]], block.targets[block.column[left[0]]]
            msg = f"no permitted path from {names[int(source)]} to {names[int(target)]}"
            raise QuestionError(msg)
        states, ways = before[some], ways[some]


def _leading(route: Router, moves: Ints, here: Ints, there: Ints, states: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the moves with a far end in `states`, their near ends, and the places of their far ends."""
    place = np.full(route.n_states, -1, dtype=np.int64)
    place[states] = np.arange(len(states))
    far = place[there]
    kept = far >= 0
    return moves[kept], here[kept], far[kept]


def _spread(here: Ints, there: Ints, cables: Floats, n: int, values: Floats) -> Floats:
    """Return `values` of the near ends, times cables, summed at the n far ends; `here` is ascending."""
    first = _starts(here, len(values))
    return np.asarray(sparse.csr_array((cables, there, first), shape=(len(values), n)).T @ values)
