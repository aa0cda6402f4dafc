"""Hashed routing: every flow keeps to one path, drawn hop by hop by a hash, as plain ECMP does it.

Where `link_loads` splits a demand over all shortest permitted paths, here each demand is some flows (queue
pairs) and each flow takes one cable at every hop::

                          equal split         hashed: flows a and b meet
    leaf  ===4 cables==>  1/2 1/2 1/2 1/2     -  ab  -  -

A draw is uniform among the cables of all shortest next hops, independent from hop to hop and from flow to
flow, and fixed by the seed, the number of the demand and that of its queue pair. Averaged over seeds, loads
are those of the equal split.

Planes that a file lists as an axis are cables like others: the first device with a port in each draws one of
them for the flow, which stays in that plane. Boxes of several chips (``planes`` of their part) are so once
they are opened, see `fabric.graph.open_boxes`; a closed one is one device, over whose chips every flow counts
as spread. `fabric.cost` opens them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.routing.balls import SlowestFlow, hashed_factor
from fabric.routing.ecmp import Block, Demands, Level, link_loads, route_blocks, select_leading
from fabric.routing.moves import Router, firsts, ranges

Words = npt.NDArray[np.uint64]

# Flows that are moved on at once, and cells of the loads of several draws, to bound memory.
_FLOWS = 16_384
_CELLS = 20_000_000
# Times that differ by less are the same.
_SAME = 1e-9
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Hop:
    """One hop of some flows.

    Parameters
    ----------
    flow : ndarray of int64, shape (k,)
        Number of each: queue pair q of demand d in draw r is ``(r * n_demands + d) * n_queue_pairs + q``.
    state : ndarray of int64, shape (k,)
        Where it is; see `Router`.
    ways : ndarray of float64, shape (k,)
        Cables that it was drawn from.
    link, cable : ndarray of int64, shape (k,)
        What it takes; cables are numbered by `cable_firsts`.
    """

    flow: Ints
    state: Ints
    ways: Floats
    link: Ints
    cable: Ints


@dataclass(frozen=True, slots=True)
class HashedOutcome:
    """How hashed flows fare beside an equal split; see `slowest_flow`.

    Parameters
    ----------
    drawn : SlowestFlow
        Over all draws.
    closed_form : SlowestFlow or None
        By `hashed_factor`, where at each device that flows first choose at they are as many, of one size, and
        choose among as many cables, and these bind in every draw.
    n_trials, n_flows : int
        Draws, and flows in each.
    """

    drawn: SlowestFlow
    closed_form: SlowestFlow | None
    n_trials: int
    n_flows: int


def cable_firsts(route: Router) -> Ints:
    """Return the number of the first cable of each link that is up, and their count, shape (2 * m + 1,)."""
    return np.concatenate([[0], np.cumsum(np.repeat(route.expanded.alive, 2))])


def hashed_loads(route: Router, demands: Demands, *, seed: int, n_queue_pairs: int = 1) -> Floats:
    """Return what hashed flows put on every link, shape (2 * m,).

    Parameters
    ----------
    route : Router
    demands : Demands
        Each is one flow for each queue pair, with its share of the amount.
    seed : int
    n_queue_pairs : int
        Flows of each demand.

    Returns
    -------
    ndarray of float64
        As `link_loads` has them; `cable_loads` tells the cables of a link apart.

    Raises
    ------
    QuestionError
        If a source has no permitted path to its target.

    Examples
    --------
    Two switches on four cables, all in one link:

    >>> import numpy as np
    >>> from fabric.graph import expand, loads
    >>> from fabric.routing import router
    >>> e = expand(loads('''
    ... fabric: pair
    ... axes: {half: 2, node: 4}
    ... devices:
    ...   gpu: {kind: gpu, axes: [half, node]}
    ...   leaf: {kind: switch, axes: [half]}
    ... links:
    ...   - {between: [gpu, leaf], rate: 400Gb/s}
    ...   - {between: [leaf, leaf], mesh: half, peer: true, rate: 400Gb/s, count: 4}
    ... '''))
    >>> across = Demands(np.arange(4), np.arange(4, 8), np.ones(4))
    >>> route = router(e, e.is_endpoint)
    >>> hashed_loads(route, across, seed=1)[-2:].tolist()
    [4.0, 0.0]
    >>> cable_loads(route, across, seed=1)[0, -8:].tolist()
    [0.0, 1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    >>> outcome = slowest_flow(route, across, seed=1, n_trials=1_000)
    >>> round(outcome.drawn.expected, 2), round(outcome.closed_form.expected, 2)
    (0.51, 0.51)
    """
    loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs)[0]
    # Cables of a link stand side by side.
    link = np.repeat(np.arange(2 * route.expanded.n_bundles), np.diff(cable_firsts(route)))
    return np.bincount(link, loads, minlength=2 * route.expanded.n_bundles).astype(np.float64)


def cable_loads(
    route: Router, demands: Demands, *, seed: int, n_queue_pairs: int = 1, trials: range = range(1)
) -> Floats:
    """Return what hashed flows put on every cable and direction in each draw, shape (trials, cables).

    Parameters
    ----------
    route : Router
    demands : Demands
    seed : int
    n_queue_pairs : int
        Flows of each demand.
    trials : range
        Draws, by number; each is independent of the others.
    """
    n_cables = int(cable_firsts(route)[-1])
    n_flows = len(demands.source) * n_queue_pairs
    loads = np.zeros(len(trials) * n_cables)
    for hop in hops(route, demands, seed=seed, n_queue_pairs=n_queue_pairs, trials=trials):
        # The number of a flow says its draw and its demand; see `Hop.flow`.
        trial, flow = np.divmod(hop.flow, max(n_flows, 1))
        amount = demands.amount[flow // n_queue_pairs] / n_queue_pairs
        np.add.at(loads, (trial - trials.start) * n_cables + hop.cable, amount)
    return loads.reshape(len(trials), n_cables)


def flow_rates(route: Router, demands: Demands, *, seed: int, n_queue_pairs: int = 1) -> Floats:
    """Return the rate of every flow of the first draw [Gb/s], shape (k, n_queue_pairs).

    Parameters
    ----------
    route : Router
    demands : Demands
        k of them.
    seed : int
    n_queue_pairs : int

    Notes
    -----
    A cable is shared in proportion to the amounts that cross it, and a flow goes at the least of its shares.
    What stays on its device goes at an infinite rate.
    """
    n_flows = len(demands.source) * n_queue_pairs
    loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs)[0]
    # Shared in proportion to amounts, all flows of a cable end together: after its load over its rate.
    time = np.zeros(n_flows)
    for hop in hops(route, demands, seed=seed, n_queue_pairs=n_queue_pairs):
        np.maximum.at(time, hop.flow, loads[hop.cable] / route.expanded.rate_gbps[hop.link // 2])
    amount = np.repeat(demands.amount / n_queue_pairs, n_queue_pairs)
    rate = np.full(n_flows, np.inf)
    np.divide(amount, time, out=rate, where=time > 0)
    return rate.reshape(-1, n_queue_pairs)


def slowest_flow(
    route: Router, demands: Demands, *, seed: int, n_trials: int = 100, n_queue_pairs: int = 1
) -> HashedOutcome:
    """Return how the slowest hashed flow fares beside an equal split, by drawing often.

    Parameters
    ----------
    route : Router
    demands : Demands
    seed : int
    n_trials : int
        Draws.
    n_queue_pairs : int
        Flows of each demand.

    Returns
    -------
    HashedOutcome

    Raises
    ------
    QuestionError
        If nothing is sent, or a source has no permitted path to its target.

    Notes
    -----
    The slowest flow crosses the cable that takes longest, as every loaded cable carries some flow. Draws in
    which it is faster than the equal split count as its rate in `SlowestFlow.expected`.

    The closed form knows the first choice alone, such as that of the uplinks of a leaf. Where flows collide
    beyond it, as on the way down from the spines, there is none.
    """
    if n_trials < 1:
        msg = f"the slowest flow needs 1 draw or more, not {n_trials}"
        raise QuestionError(msg)
    expanded = route.expanded
    split = link_loads(route, demands)
    capacity = np.repeat(expanded.alive * expanded.rate_gbps, 2)
    # Time of the busiest link under an equal split: what a draw is measured by.
    ideal = np.divide(split, capacity, out=np.zeros_like(split), where=split > 0).max(initial=0.0)
    if ideal == 0:
        msg = "there is no slowest flow where nothing is sent; ask about devices that are apart"
        raise QuestionError(msg)
    first = cable_firsts(route)
    rate = np.repeat(np.repeat(expanded.rate_gbps, 2), np.diff(first))
    # So many draws at once that their loads fit into memory.
    step = max(1, _CELLS // max(int(first[-1]), len(demands.source) * n_queue_pairs))
    closed, is_first = _closed_form(route, demands, n_queue_pairs, float(ideal))
    chosen = np.flatnonzero(np.repeat(is_first, np.diff(first)))
    times = []
    for trials in (range(n_trials)[i : i + step] for i in range(0, n_trials, step)):
        loads = cable_loads(route, demands, seed=seed, n_queue_pairs=n_queue_pairs, trials=trials)
        times.append((loads / rate).max(axis=1))
        # Some cable beyond the first choice was slower in this draw: the closed form does not tell.
        if closed and (times[-1] > (loads[:, chosen] / rate[chosen]).max(axis=1) * (1 + _SAME)).any():
            closed = None
    slowdown = np.sort(np.concatenate(times)) / ideal
    drawn = SlowestFlow.of(slowdown, np.full(n_trials, 1.0 / n_trials))
    return HashedOutcome(drawn, closed, n_trials, len(demands.source) * n_queue_pairs)


def _closed_form(
    route: Router, demands: Demands, n_queue_pairs: int, ideal: float
) -> tuple[SlowestFlow | None, Bools]:
    """Return the closed form of the first choice of all flows, if it is alike everywhere and binds.

    Returns
    -------
    SlowestFlow or None
    ndarray of bool, shape (2 * m,)
        Links that the first choice is among.
    """
    is_first = np.zeros(2 * route.expanded.n_bundles, dtype=np.bool_)
    # Balls of different sizes have no such form.
    if np.ptp(demands.amount) > 0:
        return None, is_first
    choices = [np.zeros((0, 4))]
    for hop in hops(route, demands, seed=0, n_queue_pairs=n_queue_pairs):
        rate = route.expanded.rate_gbps[hop.link // 2]
        choices.append(np.column_stack([hop.flow, hop.state, hop.ways, rate])[hop.ways > 1])
    choice = np.concatenate(choices)
    # Later choices are not of so many flows each time.
    _, first = np.unique(choice[:, 0], return_index=True)
    _, n_flows = np.unique(choice[first, 1], return_counts=True)
    kinds = np.unique(choice[first, 2:], axis=0)
    if len(kinds) != 1 or np.ptp(n_flows):
        return None, is_first
    # All links that the devices of the first choice choose among.
    is_first[route.link[ranges(route.first, np.unique(choice[first, 1]).astype(np.int64))[0]]] = True
    n, (m, rate) = int(n_flows[0]), kinds[0].tolist()
    # Another link is the busiest of the equal split.
    if not np.isclose(ideal, n * demands.amount[0] / n_queue_pairs / (m * rate)):
        return None, is_first
    return hashed_factor(n, int(m), n_groups=len(n_flows)), is_first


def hops(
    route: Router, demands: Demands, *, seed: int, n_queue_pairs: int = 1, trials: range = range(1)
) -> Iterator[Hop]:
    """Yield the hops of all flows, a few flows at once; of one flow in the order of its path.

    Parameters
    ----------
    route : Router
    demands : Demands
    seed : int
    n_queue_pairs : int
        Flows of each demand.
    trials : range
        Draws, by number.
    """
    if n_queue_pairs < 1:
        msg = f"a demand needs 1 queue pair or more, not {n_queue_pairs}"
        raise QuestionError(msg)
    n_flows = len(demands.source) * n_queue_pairs
    # Numbers of the queue pairs of one demand in all draws; see `Hop.flow`.
    copies = np.add.outer(np.arange(trials.start, trials.stop) * n_flows, np.arange(n_queue_pairs)).ravel()
    salt = _mix(np.array([seed % 2**64], dtype=np.uint64))
    first_cable = cable_firsts(route)
    for block, levels in route_blocks(route, demands):
        flow = np.add.outer(block.number * n_queue_pairs, copies)
        yield from _walk(route, block, levels, flow, salt, first_cable)


@dataclass(frozen=True, eq=False)
class _Choices:
    """Moves that lead from the states of a level to the next.

    Parameters
    ----------
    first : ndarray of int64, shape (n + 1,)
        ``first[i]:first[i + 1]`` are the moves from state i.
    head : ndarray of int64, shape (k,)
        Place of each head among the rows of `is_nearer`.
    cables : ndarray of float64, shape (k,)
    is_nearer : ndarray of bool, shape (heads, columns)
        Whether a move to this head is open to traffic of a column.
    """

    first: Ints
    head: Ints
    cables: Floats
    is_nearer: Bools

    def draw(self, state: Ints, column: Ints, chance: Floats) -> tuple[Ints, Ints, Floats]:
        """Return the move of each flow, its cable on that link, and the number of cables it was drawn from.

        Parameters
        ----------
        state, column : ndarray of int64, shape (k,)
        chance : ndarray of float64, shape (k,)
            Uniform between 0 and 1, 1 itself left out.
        """
        move, flow = ranges(self.first, state)
        # Cables of moves that lead nearer to the target of the flow; of the others none.
        cables = self.cables[move] * self.is_nearer[self.head[move], column[flow]]
        # All choices stand in one row, those of a flow side by side; counts of cables are exact in float64.
        upto = np.cumsum(cables)
        end = upto[np.cumsum(self.first[state + 1] - self.first[state]) - 1]
        ways = np.diff(end, prepend=0.0)
        # The drawn cable, counted along the row.
        drawn = end - ways + np.floor(chance * ways)
        choice = np.searchsorted(upto, drawn, side="right")
        return move[choice], (drawn - upto[choice] + cables[choice]).astype(np.int64), ways


def _walk(
    route: Router, block: Block, levels: list[Level], flow: Ints, salt: Words, first_cable: Ints
) -> Iterator[Hop]:
    """Yield the hops of the flows of `levels`; row i of `flow` numbers those of demand i of `block`."""
    place, column, number = (np.zeros(0, dtype=np.int64) for _ in range(3))
    for level, nearer in zip(levels[:0:-1], levels[-2::-1], strict=True):
        start = np.searchsorted(level.states, route.source[block.source[level.demands]])
        # Flows that start here join those that come from farther away.
        place = np.concatenate([place, np.repeat(start, flow.shape[1])])
        column = np.concatenate([column, np.repeat(block.column[level.demands], flow.shape[1])])
        number = np.concatenate([number, flow[level.demands].ravel()])
        # Only moves from states with flows in them.
        busy, place = np.unique(place, return_inverse=True)
        moves, tail = ranges(route.first, level.states[busy])
        moves, tail, head = select_leading(route, moves, tail, route.head[moves], nearer.states)
        choices = _Choices(firsts(tail, len(busy)), head, route.cables[moves], nearer.ways > 0)
        for i in range(0, len(place), _FLOWS):
            part = slice(i, i + _FLOWS)
            state = level.states[busy[place[part]]]
            chance = _uniform(salt, number[part], state)
            drawn, cable, ways = choices.draw(place[part], column[part], chance)
            link = route.link[moves[drawn]]
            yield Hop(number[part], state, ways, link, first_cable[link] + cable)
            place[part] = head[drawn]


def _uniform(salt: Words, flow: Ints, state: Ints) -> Floats:
    """Return a number from 0 up to 1 for each flow in each state, the same whenever it is asked for."""
    # Counter-based: no state to carry, so draws do not depend on the order of flows.
    word = _mix(_mix(flow.view(np.uint64) * _GOLDEN + salt) + state.view(np.uint64) * _GOLDEN)
    # 52 bits, so that no product with a count of cables rounds up to it.
    return np.asarray((word >> np.uint64(12)) * 2.0**-52, dtype=np.float64)


def _mix(x: Words) -> Words:
    """Return hashed words: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    # Shifts and factors are those of the paper.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)
