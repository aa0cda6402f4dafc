"""Moves that a class program can do without: a device that forwards freely receives what it forwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.commodities import Commodity

CRUMB = 1e-9
"""Part of the rate below which a flow that begins or ends where none should is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Fold:
    """A commodity in which a device that forwards freely receives what it forwards, in one state.

    Parameters
    ----------
    kept : ndarray of int64
        Moves that are variables.
    state : ndarray of int64, shape (n_states,)
        State that stands for each state.
    twin : ndarray of int64, shape (number of other moves,)
        For each of the others, the move that is kept and leads over the same link to the device as it
        forwards.
    """

    kept: Ints
    state: Ints
    twin: Ints

    def over(self, commodity: Commodity, is_open: Bools) -> Fold:
        """Return the fold with variables for moves inside devices and over some base classes of links."""
        link = commodity.moves.link[self.kept]
        is_kept = link < 0
        is_kept[~is_kept] = is_open[commodity.view.base[link[~is_kept]]]
        return replace(self, kept=self.kept[is_kept])


def fold_moves(commodity: Commodity) -> Fold:
    """Return which moves can be left out: a torus has a target beside each of its forwarding states."""
    moves = commodity.moves
    n = moves.n_states
    state = np.arange(n)
    free = np.array([role[0] == "free" for role in moves.role], dtype=np.bool_)
    ends = np.flatnonzero(moves.target >= 0)
    by_device = np.full(moves.expanded.n_devices, -1, dtype=np.int64)
    # With several stages a device may forward in several states; the target is beside none of them.
    alone = free & (np.bincount(moves.device[free], minlength=len(by_device)) == 1)[moves.device]
    by_device[moves.device[alone]] = np.flatnonzero(alone)
    ends = ends[by_device[ends] >= 0]
    state[moves.target[ends]] = by_device[ends]
    width = int(moves.link.max(initial=0)) + 2
    # Each move as one number: tail, link and head, to find the twin of a move by search.
    key = (moves.tail * width + moves.link + 1) * n + moves.head
    order = np.argsort(key)
    into = np.flatnonzero(state[moves.head] != moves.head)
    wanted = (moves.tail[into] * width + moves.link[into] + 1) * n + state[moves.head[into]]
    place = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
    twin = order[place] if len(order) else place
    # A state with a move that has no twin is not folded.
    unlike = key[twin] != wanted
    if unlike.any():
        alone_again = np.isin(state, state[moves.head[into[unlike]]])
        state = np.where(alone_again, np.arange(n), state)
        folded = state[moves.head[into]] != moves.head[into]
        into, twin = into[folded], twin[folded]
    kept = np.ones(len(moves.tail), dtype=np.bool_)
    kept[into] = False
    return Fold(np.flatnonzero(kept), state, twin)


def unfold_flow(commodity: Commodity, fold: Fold, x: Floats, rate: float) -> Floats:
    """Return the flow on every move: of what enters a device over each link, the same part stays there."""
    moves = commodity.moves
    flow = np.zeros(len(moves.tail))
    flow[fold.kept] = x
    if not len(fold.twin):
        return flow
    is_folded = fold.state[moves.head] != moves.head
    entering = np.bincount(moves.head, flow, minlength=moves.n_states)
    # Part of what enters each folded device that it keeps: its demand over all that enters.
    stays = np.zeros(moves.n_states)
    folded = np.flatnonzero(fold.state != np.arange(moves.n_states))
    at = fold.state[folded]
    stays[at] = np.divide(
        -commodity.supply[folded] * rate, entering[at], out=np.zeros(len(at)), where=entering[at] > 0
    )
    share = np.minimum(stays[moves.head[fold.twin]], 1.0)
    flow[is_folded] = flow[fold.twin] * share
    flow[fold.twin] *= 1.0 - share
    return flow


def settle(commodity: Commodity, flow: Floats, rate: float) -> Floats:
    """Return `flow` without the crumbs that the tolerance of a solver leaves where next to nothing passes.

    What they leave out of balance is then at states with traffic of their own, where it is rounding.
    """
    moves, n = commodity.moves, commodity.moves.n_states
    # Each pass can leave new crumbs one state further.
    while True:
        out, into = (np.bincount(end, flow, minlength=n) for end in (moves.tail, moves.head))
        most = np.maximum(out, into)
        stuck = (commodity.supply == 0) & (most < CRUMB * rate) & (np.minimum(out, into) < most / 2)
        if not stuck.any():
            return flow
        flow = np.where(stuck[moves.tail] | stuck[moves.head], 0.0, flow)
