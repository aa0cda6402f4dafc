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

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import Expanded, Forwarding, Paths, forwarding, reachable

# Columns of a block: at most so many, and so many (state, column) cells, to bound memory.
_COLUMNS = 64
_CELLS = 16_000_000
# A block is left when less than one column in so many has sources to find.
_FEW = 4
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
        Devices; a pair may appear more than once. Targets are routed in the order of the devices, fastest
        where neighbours in that order are neighbours in the fabric.
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


def router(
    expanded: Expanded, ranks: Bools, *, switches: Bools | None = None, paths: Paths = "rules"
) -> Router:
    """Return a router for traffic among `ranks`, shape (n,); endpoints outside do not forward.

    Parameters
    ----------
    expanded : Expanded
    ranks : ndarray of bool, shape (n,)
    switches : ndarray of bool, shape (n,), optional
        Devices that send and receive beside the ranks: switches that reduce and multiply.
    paths : {"rules", "no-relay", "any"}
    """
    ends = ranks if switches is None else ranks | switches
    moves = _useful(forwarding(expanded, ends, ends, paths=paths, bystanders=False))
    inner = moves.link < 0
    up, down = moves.tail[inner], moves.head[inner]
    tail, head, link = _by_tail(moves.tail[~inner], moves.head[~inner], moves.link[~inner])
    # A turn is no hop: what leaves the downward half may leave the upward half as well.
    again, which = ranges(firsts(tail, moves.n_states), down)
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
        firsts(tail, n_states),
        into,
        firsts(head[into], n_states),
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
    first = firsts(tail, n)
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
        moves, which = ranges(first, np.concatenate([fresh // n, fresh % n]))
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


def firsts(ascending: Ints, n: int) -> Ints:
    """Return where each of the numbers 0 to n starts in `ascending`, shape (n + 1,)."""
    return np.searchsorted(ascending, np.arange(n + 1))


def ranges(first: Ints, which: Ints) -> tuple[Ints, Ints]:
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
    loads = np.zeros(2 * route.expanded.n_bundles)
    for block, levels in routed(route, demands, progress=progress):
        _route_block(route, block, levels, loads)
    return loads


@dataclass(frozen=True, eq=False)
class Block:
    """Some destinations and the demands towards them, which are routed at once.

    Parameters
    ----------
    targets : ndarray of int64, shape (n,)
        A column each.
    number : ndarray of int64, shape (k,)
        Which demands they are.
    source : ndarray of int64, shape (k,)
    column : ndarray of int64, shape (k,)
        Place of the target in `targets`.
    amount : ndarray of float64, shape (k,)
    """

    targets: Ints
    number: Ints
    source: Ints
    column: Ints
    amount: Floats


def unreached(route: Router, demands: Demands) -> Bools:
    """Return which demands have no permitted path, shape (k,)."""
    lost = np.zeros(len(demands.source), dtype=np.bool_)
    for _ in routed(route, demands, lost=lost):
        pass
    return lost


def routed(
    route: Router, demands: Demands, *, progress: Progress | None = None, lost: Bools | None = None
) -> Iterator[tuple[Block, list[Level]]]:
    """Yield `demands` by blocks of destinations, with the levels of each; see `link_loads`.

    What stays on its device is left out, and what has no path is marked in `lost` if that is given. A few
    columns whose sources are far away, in a block of others, are put off, and routed with such columns of
    other blocks.
    """
    _check_ends(route, demands)
    number = np.flatnonzero(demands.source != demands.target)
    n_done, n_targets = 0, len(np.unique(demands.target[number]))
    may_leave = True
    while len(number):
        late = []
        for block in _blocks(route, demands, number):
            levels, left = _search(route, block, may_leave=may_leave, lost=lost)
            yield block, levels
            late.append(block.number[left])
            n_done += len(block.targets) - len(np.unique(block.column[left]))
            if progress:
                progress(n_done, n_targets)
        number = np.concatenate(late)
        may_leave = False


def _blocks(route: Router, demands: Demands, number: Ints) -> Iterator[Block]:
    """Yield some demands by blocks of destinations."""
    targets, column = np.unique(demands.target[number], return_inverse=True)
    order = np.argsort(column, kind="stable")
    edges = firsts(column[order], len(targets))
    width = int(np.clip(_CELLS // max(route.n_states, 1), 1, _COLUMNS))
    for begin in range(0, len(targets), width):
        end = min(begin + width, len(targets))
        rows = order[edges[begin] : edges[end]]
        own = number[rows]
        yield Block(targets[begin:end], own, demands.source[own], column[rows] - begin, demands.amount[own])


def _check_ends(route: Router, demands: Demands) -> None:
    """Raise where an end of a demand is no rank of the router, or is down."""
    for devices, state in ((demands.source, route.source), (demands.target, route.target)):
        other = devices[state[devices] < 0]
        if len(other):
            msg = f"{route.expanded.names[int(other[0])]} has traffic, but is not among the ranks that are up"
            raise QuestionError(msg)


@dataclass(frozen=True, eq=False)
class Level:
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


def _route_block(route: Router, block: Block, levels: list[Level], loads: Floats) -> None:
    """Add the loads of all demands of `levels` to `loads`."""
    rows, flow = np.zeros(0, dtype=np.int64), np.zeros((0, len(block.targets)))
    for level, nearer in zip(levels[:0:-1], levels[-2::-1], strict=True):
        starts = np.searchsorted(level.states, route.source[block.source[level.demands]])
        busy = np.union1d(rows, starts)
        share = np.zeros((len(busy), len(block.targets)))
        share[np.searchsorted(busy, rows)] = flow
        places = np.searchsorted(busy, starts), block.column[level.demands]
        np.add.at(share, places, block.amount[level.demands])
        ways = level.ways[busy]
        np.divide(share, ways, out=share, where=ways > 0)
        moves, tail = ranges(route.first, level.states[busy])
        moves, tail, head = leading(route, moves, tail, route.head[moves], nearer.states)
        # A move counts in the columns in which its head is one hop nearer.
        is_nearer = (nearer.ways > 0).astype(np.float64)
        flow = _spread(tail, head, route.cables[moves], len(nearer.states), share) * is_nearer
        rows = np.flatnonzero(flow.any(axis=1))
        flow = flow[rows]
        for i in range(0, len(moves), _GATHER):
            part = slice(i, i + _GATHER)
            carried = np.einsum("ij,ij->i", share[tail[part]], is_nearer[head[part]])
            np.add.at(loads, route.link[moves[part]], route.cables[moves[part]] * carried)


def _search(route: Router, block: Block, *, may_leave: bool, lost: Bools | None) -> tuple[list[Level], Ints]:
    """Return the levels of `block`, nearest first, and the demands whose sources are in none of them.

    The last level holds the last source, or if the search `may_leave` some, the last before few columns have
    sources to find.
    """
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
        levels.append(Level(states, ways, left[here]))
        left = left[~here]
        is_open = np.zeros(n, dtype=np.bool_)
        is_open[block.column[left]] = True
        if not len(left) or (may_leave and _FEW * is_open.sum() < n):
            return levels, left
        # One hop back, to states that some column with sources to find has not reached.
        moves, place = ranges(route.into_first, states)
        moves = route.into[moves]
        before = _distinct(route.tail[moves], route.n_states)
        # Nothing leads to a source, so one without demands tells the search nothing.
        is_idle = route.into_first[before] == route.into_first[before + 1]
        is_idle[is_idle] = ~np.isin(before[is_idle], starts)
        before = before[~is_idle]
        is_wanted = is_open & ~reached[before]
        some = is_wanted.any(axis=1)
        before, is_wanted = before[some], is_wanted[some]
        if len(before):
            moves, place, tail = leading(route, moves, place, route.tail[moves], before)
            ways = _spread(place, tail, route.cables[moves], len(before), is_new.astype(np.float64))
            ways *= is_wanted
            some = ways.any(axis=1)
            before, ways = before[some], ways[some]
        if not len(before) and lost is not None:
            lost[block.number[left]] = True
            return levels, left[:0]
        if not len(before):
            names = route.expanded.names
            source, target = block.source[left[0]], block.targets[block.column[left[0]]]
            msg = f"no permitted path from {names[int(source)]} to {names[int(target)]}"
            raise QuestionError(msg)
        states = before


def leading(route: Router, moves: Ints, here: Ints, there: Ints, states: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the moves with a far end in `states`, their near ends, and the places of their far ends."""
    if _is_sparse(there, route.n_states):
        far = np.minimum(np.searchsorted(states, there), len(states) - 1)
        kept = states[far] == there
    else:
        place = np.full(route.n_states, -1, dtype=np.int64)
        place[states] = np.arange(len(states))
        far = place[there]
        kept = far >= 0
    return moves[kept], here[kept], far[kept]


def _distinct(numbers: Ints, n: int) -> Ints:
    """Return which of the numbers below n there are, ascending."""
    if _is_sparse(numbers, n):
        return np.unique(numbers)
    is_there = np.zeros(n, dtype=np.bool_)
    is_there[numbers] = True
    return np.flatnonzero(is_there)


def _is_sparse(numbers: Ints, n: int) -> bool:
    """Whether to search for numbers below n rather than to mark each of the n."""
    return 16 * len(numbers) < n


def _spread(here: Ints, there: Ints, cables: Floats, n: int, values: Floats) -> Floats:
    """Return `values` of the near ends, times cables, summed at the n far ends; `here` is ascending."""
    first = firsts(here, len(values))
    return np.asarray(sparse.csr_array((cables, there, first), shape=(len(values), n)).T @ values)
