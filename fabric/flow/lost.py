"""Who takes no part in a question: endpoints that have failed, and those that failures cut off.

One rule for every verb. What has failed itself is left out, and the answer says how many. What is up and
cannot exchange traffic with most of the others is cut off: the answer then is the status ``cut off`` with no
rate and no time, and says who, unless these are left out too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.remembered import remembered
from fabric.errors import LimitError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.commodities import name_classes
from fabric.flow.traffic import Traffic
from fabric.graph import (
    EXPAND_LIMIT,
    Expanded,
    Fabric,
    Paths,
    expand,
    fail_by_axes,
    failures,
    forwarding,
    let_forward,
    select,
)
from fabric.results import CutOff
from fabric.symmetry import Lift, NoSymmetryError, Unfolding, count_named, devices_up

_SOURCES = 128
"""Sources whose reach is worked out at once."""


def count_failed(fabric: Fabric, among: str | None = None) -> int:
    """Return how many endpoints that a question means have failed themselves.

    Parameters
    ----------
    fabric : Fabric
    among : str, optional
        Selector of those that it means.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], failed: [gpu0-1]}"
    >>> count_failed(loads(text)), count_failed(loads(text), "gpu1-3")
    (2, 1)
    """
    blueprint = fabric.blueprint
    if blueprint is None:
        e = expand(fabric)
        lost = e.failed & e.is_endpoint
        return int((lost if among is None else lost & select(fabric, among)).sum())
    if not blueprint.failed:
        return 0
    ends = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    if among is not None:
        return count_named(blueprint, (among,))[1]
    healthy = replace(blueprint, failed=())
    return sum(devices_up(healthy, g) - devices_up(blueprint, g) for g in ends)


def find_cut_off(
    fabric: Fabric,
    among: str | None = None,
    *,
    members: Bools | None = None,
    paths: Paths = "rules",
    limit: int = EXPAND_LIMIT,
) -> tuple[CutOff, ...]:
    """Return one endpoint of each class that is cut off from most of the others, and how many.

    Parameters
    ----------
    fabric : Fabric
    among : str, optional
        Selector of the endpoints that take part.
    members : ndarray of bool, shape (n,), optional
        Those that take part, where no selector says it.
    paths : {"rules", "no-relay", "any"}
    limit : int
        Of the expanded form, where classes do not say it.
    """
    if fabric.blueprint is not None and members is None:
        try:
            question = ClassTraffic(fabric.blueprint, Traffic(), among, paths)
            lost = question.lost(list(question.commodities(np.ones(len(question.base.size), np.bool_))))
            return tuple(CutOff(name, round(n)) for name, n in name_classes(question.base, lost))
        except NoSymmetryError:
            pass
    try:
        e = expand(fabric, limit=limit)
    except LimitError:
        return ()
    ends = e.is_endpoint & ~e.failed
    if members is not None:
        ends &= members
    elif among is not None:
        ends &= select(fabric, among, limit=limit)
    return tuple(CutOff(str(e.names[v]), 1) for v in lost_devices(e, ends, paths=paths).tolist())


@remembered(16)
def leave_out(
    fabric: Fabric,
    among: str | None = None,
    *,
    over: tuple[str, ...] = (),
    paths: Paths = "rules",
    is_holding: bool = False,
) -> tuple[Fabric, tuple[CutOff, ...]]:
    """Return a fabric in which endpoints that failures cut off have failed as well, and who they are.

    Parameters
    ----------
    fabric : Fabric
    among : str, optional
        Selector of the endpoints that take part.
    over : tuple of str
        Axes that a group of them spans.
    paths : {"rules", "no-relay", "any"}
    is_holding : bool
        Whether those that take part pass on whatever they hold.

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    LimitError
        If the fabric is too large to be expanded.
    """
    out: list[CutOff] = []
    # Without some, others may be cut off from most of the rest.
    while failures(fabric):
        found, devices = _cut_off_devices(fabric, among, over, paths, is_holding=is_holding)
        if not devices:
            break
        out += found
        fabric = fail_by_axes(fabric, *devices)
    return fabric, tuple(out)


def _cut_off_devices(
    fabric: Fabric, among: str | None, over: tuple[str, ...], paths: Paths, *, is_holding: bool
) -> tuple[list[CutOff], list[object]]:
    """Return one endpoint of each class that is cut off and how many are alike, and all of them."""
    e = expand(fabric)
    if fabric.blueprint is not None:
        try:
            traffic = Traffic("all-to-all", over)
            question = ClassTraffic(fabric.blueprint, traffic, among, paths, is_holding=is_holding)
            lost = question.lost(list(question.commodities(np.ones(len(question.base.size), np.bool_))))
            found = [CutOff(name, round(n)) for name, n in name_classes(question.base, lost)]
            lift = Lift(fabric.blueprint, question.apart, question.ties)
            is_lost = np.isin(Unfolding(lift, e).origin(), np.flatnonzero(lost))
            return found, [e.names[v] for v in np.flatnonzero(is_lost).tolist()]
        except NoSymmetryError:
            pass
    ends = e.is_endpoint & ~e.failed
    if among is not None:
        ends &= select(fabric, among)
    names = [e.names[v] for v in lost_devices(let_forward(e, ends) if is_holding else e, ends, paths=paths)]
    return [CutOff(str(name), 1) for name in names], list(names)


def lost_devices(expanded: Expanded, ends: Bools, *, paths: Paths = "rules") -> Ints:
    """Return the endpoints that exchange traffic with no majority of `ends`, themselves included."""
    own = np.flatnonzero(ends)
    return np.asarray(own[2 * exchanges(expanded, ends, paths=paths).sum(axis=1) <= len(own)])


def exchanges(expanded: Expanded, ends: Bools, *, paths: Paths = "rules") -> Bools:
    """Return which of `ends` exchange traffic with which, themselves included, shape (k, k)."""
    from scipy import sparse
    from scipy.sparse import csgraph

    moves = forwarding(expanded, ends, ends, paths=paths)
    shape = (moves.n_states, moves.n_states)
    graph = sparse.csr_matrix((np.ones(len(moves.tail)), (moves.tail, moves.head)), shape=shape)
    own = np.flatnonzero(ends)
    seen = np.zeros((len(own), len(own)), dtype=np.bool_)
    # Some at once, so that memory stays bounded.
    for begin in range(0, len(own), _SOURCES):
        part = own[begin : begin + _SOURCES]
        hops = csgraph.dijkstra(graph, indices=moves.source[part], unweighted=True)
        seen[begin : begin + len(part)] = np.isfinite(hops[:, moves.target[own]])
    np.fill_diagonal(seen, True)
    return np.asarray(seen & seen.T, dtype=np.bool_)
