"""Hops of hashed flows: one cable drawn at every hop, among those of all shortest ways."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.routing.ecmp import Block, Demands, Level, route_blocks, select_leading
from fabric.routing.messages import Leg, Messages
from fabric.routing.moves import Router, firsts, ranges

Words = npt.NDArray[np.uint64]

# Flows that are moved on at once, to bound memory.
_FLOWS = 16_384
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Hop:
    """One hop of some flows.

    Parameters
    ----------
    route : Router
        Of the leg.
    flow : ndarray of int64, shape (k,)
        Number of each: queue pair q of demand d in draw r is ``(r * n_demands + d) * n_queue_pairs + q``; the
        demands of all legs are counted.
    state : ndarray of int64, shape (k,)
        Where it is; see `Router`.
    ways : ndarray of float64, shape (k,)
        Cables that it was drawn from.
    link, cable : ndarray of int64, shape (k,)
        What it takes; cables are numbered by `cable_firsts`.
    """

    route: Router
    flow: Ints
    state: Ints
    ways: Floats
    link: Ints
    cable: Ints


def cable_firsts(route: Router | Messages) -> Ints:
    """Return the number of the first cable of each link that is up, and their count, shape (2 * m + 1,)."""
    return np.concatenate([[0], np.cumsum(np.repeat(route.expanded.alive, 2))])


def legs_of(route: Router | Messages, demands: Demands) -> list[Leg]:
    """Return the legs of demands: each is one where no cards are chosen."""
    if isinstance(route, Messages):
        return route.legs(demands)
    return [Leg(route, demands, np.arange(len(demands.source)))]


def hops(
    route: Router | Messages, demands: Demands, *, seed: int, n_queue_pairs: int = 1, trials: range = range(1)
) -> Iterator[Hop]:
    """Yield the hops of all flows, a few flows at once; of one flow in the order of its path.

    Parameters
    ----------
    route : Router or Messages
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
    legs = legs_of(route, demands)
    n_flows = sum(len(leg.message) for leg in legs) * n_queue_pairs
    # Numbers of the queue pairs of one demand in all draws; see `Hop.flow`.
    copies = np.add.outer(np.arange(trials.start, trials.stop) * n_flows, np.arange(n_queue_pairs)).ravel()
    salt = _mix(np.array([seed % 2**64], dtype=np.uint64))
    first_cable, before = cable_firsts(route), 0
    for leg in legs:
        told = route.told_by_ends(demands, leg) if isinstance(route, Messages) else contextlib.nullcontext()
        with told:
            for block, levels in route_blocks(leg.route, leg.demands):
                flow = np.add.outer((before + block.number) * n_queue_pairs, copies)
                yield from _walk(leg.route, block, levels, flow, salt, first_cable)
        before += len(leg.message)


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
            yield Hop(route, number[part], state, ways, link, first_cable[link] + cable)
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
