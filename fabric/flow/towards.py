"""Demands towards many sinks at once, on the states where there is a choice.

A commodity is the traffic to all targets behind one exit: so a network of switches has as many as it has
switches, with twenty hosts a switch or with none. Where fewer states send than receive all is turned round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.flow.merged import Merged, Step
from fabric.graph import reachable

if TYPE_CHECKING:  # whoever checks an answer loads no routing
    from fabric.flow.uniform import Uniform
    from fabric.routing.ecmp import Demands

CELLS = 1 << 19
"""Sinks times moves of a block."""


@dataclass(frozen=True, eq=False)
class Towards:
    """Demands towards sinks, on the states where there is a choice.

    Parameters
    ----------
    n_states : int
    tail, head, link : ndarray of int64, shape (k,)
        Moves that lead towards the sinks, tails ascending; a turn has link -1.
    sink : ndarray of int64, shape (t,)
        State of each sink.
    first : ndarray of int64, shape (t + 1,)
        ``first[i]:first[i + 1]`` are the demands towards sink i.
    source : ndarray of int64, shape (d,)
        State where each demand starts.
    amount : ndarray of float64, shape (d,)
        What it asks for at unit rate.
    state : ndarray of int64, shape (n_states,)
        Merged state of each state.
    is_out : bool
        Whether sinks are where traffic leaves; else all is turned round, and they are where it enters.
    """

    n_states: int
    tail: Ints
    head: Ints
    link: Ints
    sink: Ints
    first: Ints
    source: Ints
    amount: Floats
    state: Ints
    is_out: bool

    @property
    def n_moves(self) -> int:
        """Moves."""
        return len(self.tail)

    @property
    def n_at_once(self) -> int:
        """Sinks of a block."""
        return max(1, CELLS // max(self.n_moves, 1))

    def blocks(self) -> Iterator[slice]:
        """Yield the sinks, a block at a time."""
        for begin in range(0, len(self.sink), self.n_at_once):
            yield slice(begin, min(begin + self.n_at_once, len(self.sink)))

    def _cells(self, block: slice) -> tuple[Ints, Floats]:
        """Return the demands of a block, by sink times states, and their amounts."""
        own = slice(int(self.first[block.start]), int(self.first[block.stop]))
        row = np.repeat(
            np.arange(block.stop - block.start), np.diff(self.first[block.start : block.stop + 1])
        )
        return row * self.n_states + self.source[own], self.amount[own]

    def sent(self, block: slice) -> Floats:
        """Return what each state sends to the sinks of a block, shape (sinks of the block, n_states)."""
        cell, amount = self._cells(block)
        found = np.zeros((block.stop - block.start, self.n_states))
        found.ravel()[cell] = amount
        return found

    def paid(self, distance: Floats, block: slice) -> float:
        """Return the sum of demand times distance to the sinks of a block."""
        cell, amount = self._cells(block)
        return float(distance.ravel()[cell] @ amount)


@dataclass(frozen=True, eq=False)
class BlockFlow:
    """Flows towards a block of sinks at unit rate.

    Parameters
    ----------
    block : slice
        Of the sinks.
    cell : ndarray of int64, shape (c,)
        Number of the sink in the block times moves, plus the move.
    flow : ndarray of float64, shape (c,)
        What the move carries towards the sink, in the unit of the demands.
    distance : ndarray of float64, shape (sinks of the block, n_states)
        From each state to each sink.
    """

    block: slice
    cell: Ints
    flow: Floats
    distance: Floats


def gather(net: Merged, demand: Demands) -> Towards:
    """Return `demand` towards the exits of its targets, or, turned round, the entries if these are fewer."""
    entry, exit_ = net.entry[demand.source], net.exit[demand.target]
    # What has no state is cut off; what stays at one has no choice.
    inner = (entry != exit_) & (entry >= 0) & (exit_ >= 0)
    sides = [entry[inner], exit_[inner]]
    is_out = len(np.unique(sides[1])) <= len(np.unique(sides[0]))
    tail, head = (net.tail, net.head) if is_out else (net.head, net.tail)
    starts, ends = sides if is_out else sides[::-1]
    kept = np.ones(len(tail), dtype=np.bool_)
    for at, x, y in ((starts, tail, head), (ends, head, tail)):
        start = np.zeros(net.n_states, dtype=np.bool_)
        start[at] = True
        kept &= reachable(net.n_states, x, y, start)[x]
    order = np.flatnonzero(kept)[np.argsort(tail[kept], kind="stable")]
    state = np.unique(np.concatenate([tail[order], head[order], starts, ends]))
    number = np.full(net.n_states, -1, dtype=np.int64)
    number[state] = np.arange(len(state))
    sink, row = np.unique(number[ends], return_inverse=True)
    n = len(state)
    # Demands between the same two states are one.
    cell, inverse = np.unique(row.ravel() * n + number[starts], return_inverse=True)
    amount = np.bincount(inverse.ravel(), demand.amount[inner], minlength=len(cell)).astype(np.float64)
    first = np.searchsorted(cell // n, np.arange(len(sink) + 1)) if n else np.zeros(1, dtype=np.int64)
    ends_of = number[tail[order]], number[head[order]]
    return Towards(n, *ends_of, net.link[order], sink, first, cell % max(n, 1), amount, state, is_out)


def forced_load(net: Merged, demand: Demands | Uniform) -> Floats:
    """Return what `demand` puts on links where it has no choice, at unit rate, shape (2 * m,)."""
    load = np.zeros(2 * net.moves.expanded.n_bundles)
    for steps, ends in ((net.before, demand.source), (net.after, demand.target)):
        amount = np.bincount(ends, demand.amount, minlength=len(net.entry)).astype(np.float64)
        for step in steps:
            _add(load, net.link, step, amount)
    return load


def _add(load: Floats, link: Ints, step: Step, amount: Floats) -> None:
    some = np.flatnonzero(step >= 0)
    on = link[step[some]]
    np.add.at(load, on[on >= 0], amount[some[on >= 0]])
