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
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import NoPathError, QuestionError
from fabric.routing.fitting import carry_fitting, fitting_ways
from fabric.routing.moves import Router, firsts, ranges

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

    def some(self, rows: Ints | Bools) -> Demands:
        """Return those of some rows."""
        return Demands(self.source[rows], self.target[rows], self.amount[rows])


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
    for block, levels in route_blocks(route, demands, progress=progress):
        _route_block(route, block, levels, loads)
    return loads


def demand_hops(route: Router, demands: Demands) -> Floats:
    """Return the links of each rule that a byte of each demand passes on average, shape (k, rules).

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.
    """
    hops = np.zeros((len(demands.source), len(route.expanded.rules)))
    rule_of = route.expanded.rule[route.link // 2]
    for block, levels in route_blocks(route, demands):
        # Rule by rule, back from the targets: hops to go from each state, on average over its cables.
        for rule in np.unique(rule_of).tolist():
            on_rule = np.where(rule_of == rule, route.cables, 0.0)
            behind = np.zeros(levels[0].ways.shape)
            for nearer, level in pairwise(levels):
                moves, tail = ranges(route.first, level.states)
                moves, tail, head = select_leading(route, moves, tail, route.head[moves], nearer.states)
                is_nearer = (nearer.ways > 0).astype(np.float64)
                # What is still to come behind each move, and the move itself if it is of the rule.
                ahead = _gather(tail, head, route.cables[moves], behind, len(level.states))
                ahead += _gather(tail, head, on_rule[moves], is_nearer, len(level.states))
                behind = np.divide(ahead, level.ways, out=np.zeros(ahead.shape), where=level.ways > 0)
                numbers = block.number[level.demands]
                place = np.searchsorted(level.states, route.source[demands.source[numbers]])
                hops[numbers, rule] = behind[place, block.column[level.demands]]
    return hops


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
    for _ in route_blocks(route, demands, lost=lost):
        pass
    return lost


def route_blocks(
    route: Router,
    demands: Demands,
    *,
    progress: Progress | None = None,
    lost: Bools | None = None,
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
    # The second round takes what the first has put off, and puts nothing off.
    while len(number):
        late = []
        for block in _blocks(route, demands, number):
            levels, late_rows = _search(route, block, may_leave=may_leave, lost=lost)
            yield block, levels
            late.append(block.number[late_rows])
            n_done += len(block.targets) - len(np.unique(block.column[late_rows]))
            if progress:
                progress(n_done, n_targets)
        number = np.concatenate(late)
        may_leave = False


def _blocks(route: Router, demands: Demands, number: Ints) -> Iterator[Block]:
    """Yield some demands by blocks of destinations."""
    targets, column = np.unique(demands.target[number], return_inverse=True)
    order = np.argsort(column, kind="stable")
    # Demands of each target are side by side.
    edges = firsts(column[order], len(targets))
    width = int(np.clip(_CELLS // max(route.n_states, 1), 1, _COLUMNS))
    for begin in range(0, len(targets), width):
        end = min(begin + width, len(targets))
        rows = order[edges[begin] : edges[end]]
        numbers = number[rows]
        yield Block(
            targets[begin:end],
            numbers,
            demands.source[numbers],
            column[rows] - begin,
            demands.amount[numbers],
        )


def _check_ends(route: Router, demands: Demands) -> None:
    """Raise where an end of a demand is no rank of the router, or is down."""
    for devices, state in ((demands.source, route.source), (demands.target, route.target)):
        missing = devices[state[devices] < 0]
        if len(missing):
            msg = (
                f"{route.expanded.names[int(missing[0])]} has traffic, but is not among the ranks that are up"
            )
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
    fit : ndarray of float64, shape (k, columns), optional
        Where the split follows what is left: how much of its share each state can pass on, 0 to 1.
    """

    states: Ints
    ways: Floats
    demands: Ints
    fit: Floats | None = None


def _route_block(route: Router, block: Block, levels: list[Level], loads: Floats) -> None:
    """Add the loads of all demands of `levels` to `loads`."""
    rows, flow = np.zeros(0, dtype=np.int64), np.zeros((0, len(block.targets)))
    # From the farthest level down: what comes from farther away, and what starts here.
    for level, nearer in zip(levels[:0:-1], levels[-2::-1], strict=True):
        starts = np.searchsorted(level.states, route.source[block.source[level.demands]])
        busy = np.union1d(rows, starts)
        share = np.zeros((len(busy), len(block.targets)))
        share[np.searchsorted(busy, rows)] = flow
        places = np.searchsorted(busy, starts), block.column[level.demands]
        np.add.at(share, places, block.amount[level.demands])
        ways = level.ways[busy]
        # What each cable gets; the states of a column that lead nowhere have nothing.
        np.divide(share, ways, out=share, where=ways > 0)
        moves, tail = ranges(route.first, level.states[busy])
        moves, tail, head = select_leading(route, moves, tail, route.head[moves], nearer.states)
        if nearer.fit is not None:
            flow = carry_fitting(route, (moves, tail, head), nearer.fit, share, loads)
            rows = np.flatnonzero(flow.any(axis=1))
            flow = flow[rows]
            continue
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
    # Level 0: every target, in its own column.
    ways = np.zeros((n, n))
    ways[np.arange(n), order] = 1.0 if route.pull is None else np.inf
    reached = np.zeros((route.n_states, n), dtype=np.bool_)
    missing = np.arange(len(block.source))
    starts = route.source[block.source]
    states = ends[order]
    levels = []
    while True:
        is_new = ways > 0
        reached[states] |= is_new
        is_found = reached[starts[missing], block.column[missing]]
        levels.append(Level(states, ways, missing[is_found]))
        fit = is_new.astype(np.float64)
        missing = missing[~is_found]
        is_open = np.zeros(n, dtype=np.bool_)
        is_open[block.column[missing]] = True
        if not len(missing) or (may_leave and _FEW * is_open.sum() < n):
            return levels, missing
        # One hop back, to states that some column with sources to find has not reached.
        moves, place = ranges(route.into_first, states)
        moves = route.into[moves]
        before = _distinct(route.tail[moves], route.n_states)
        # Nothing leads to a source, so one without demands tells the search nothing.
        is_idle = route.into_first[before] == route.into_first[before + 1]
        is_idle[is_idle] = ~np.isin(before[is_idle], starts)
        before = before[~is_idle]
        # Back only to states that are new to a column which still has sources to find.
        is_wanted = is_open & ~reached[before]
        reaches_back = is_wanted.any(axis=1)
        before, is_wanted = before[reaches_back], is_wanted[reaches_back]
        if len(before):
            moves, place, tail = select_leading(route, moves, place, route.tail[moves], before)
            if route.pull is not None:
                ways, fit = fitting_ways(route, (moves, place, tail), (states, ways), is_wanted)
                levels[-1] = replace(levels[-1], fit=fit)
            else:
                ways = _spread(place, tail, route.cables[moves], len(before), fit)
            ways *= is_wanted
            reaches_back = ways.any(axis=1)
            before, ways = before[reaches_back], ways[reaches_back]
        # Nothing leads farther back: what is missing has no path.
        if not len(before) and lost is not None:
            lost[block.number[missing]] = True
            return levels, missing[:0]
        if not len(before):
            names = route.expanded.names
            source, target = block.source[missing[0]], block.targets[block.column[missing[0]]]
            msg = f"no permitted path from {names[int(source)]} to {names[int(target)]}"
            raise NoPathError(msg, str(names[int(source)]))
        states = before


def select_leading(
    route: Router, moves: Ints, near: Ints, far: Ints, states: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return the moves with a far end in `states`, their near ends, and the places of their far ends."""
    if _is_sparse(far, route.n_states):
        place_of_far = np.minimum(np.searchsorted(states, far), len(states) - 1)
        kept = states[place_of_far] == far
    else:
        # A table of all states is faster than a search where there are many to find.
        place = np.full(route.n_states, -1, dtype=np.int64)
        place[states] = np.arange(len(states))
        place_of_far = place[far]
        kept = place_of_far >= 0
    return moves[kept], near[kept], place_of_far[kept]


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


def _spread(near: Ints, far: Ints, cables: Floats, n: int, values: Floats) -> Floats:
    """Return `values` of the near ends, times cables, summed at the n far ends; `near` is ascending."""
    first = firsts(near, len(values))
    # Tails are sorted, so the moves are a sparse matrix as they stand.
    return np.asarray(sparse.csr_array((cables, far, first), shape=(len(values), n)).T @ values)


def _gather(near: Ints, far: Ints, cables: Floats, values: Floats, n: int) -> Floats:
    """Return `values` of the far ends, times cables, summed at the n near ends; `near` is ascending."""
    return np.asarray(sparse.csr_array((cables, far, firsts(near, n)), shape=(n, len(values))) @ values)
