"""The same program on real devices and links, for fabrics whose symmetry no axis says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import LimitError, QuestionError, setting
from fabric.flow.commodities import (
    Asked,
    Commodities,
    Commodity,
    ProgramSizeError,
    capacities,
    limit_moves,
    name_classes,
    trivial,
    unreached,
    without_cut_off,
)
from fabric.flow.traffic import FittedTraffic, Matrix
from fabric.flow.uniform import MAX_PAIRS, Uniform
from fabric.graph import Expanded, Paths
from fabric.routing.ecmp import Demands
from fabric.symmetry import Quotient

DemandOf = Callable[[Bools], Demands | Uniform]
"""Demands among the devices that are kept, shape (n,)."""


def matrix_demand(expanded: Expanded, matrix: Matrix) -> Demands:
    """Return an explicit traffic matrix as arrays.

    Raises
    ------
    QuestionError
        If a device is unknown, or a demand is not positive.
    """
    # Devices of a graph can be named by any hashable.
    number = {name: i for i, name in enumerate(expanded.names)}
    for (source, target), amount in matrix.items():
        for name in (source, target):
            if name not in number:
                msg = f"traffic: no device {name!r} in {expanded.name}"
                raise QuestionError(msg)
        if not (amount > 0 and np.isfinite(amount)) or source == target:
            expected = "expected a positive demand between two devices"
            msg = f"traffic: {source!r} -> {target!r}: {expected}; got {amount}"
            raise QuestionError(msg)
    if not matrix:
        msg = "traffic: an empty matrix"
        raise QuestionError(msg)
    ends = np.array([(number[s], number[t]) for s, t in matrix], dtype=np.int64)
    return Demands(ends[:, 0], ends[:, 1], np.array(list(matrix.values()), dtype=np.float64))


def pattern_demand(
    expanded: Expanded, ends: Bools, asked: FittedTraffic | None, root: int = -1, pattern: str = "all-to-all"
) -> Demands | Uniform:
    """Return a traffic pattern as demands, pair by pair where these can be listed.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    ends : ndarray of bool, shape (n,)
        Endpoints that take part.
    asked : FittedTraffic or None
        What it says of axes; None where the fabric has none.
    root : int
        Device of one-to-all and all-to-one; for these the rate is that of each of the others.
    pattern : str

    Raises
    ------
    LimitError
        If there are more than `MAX_PAIRS` pairs, but in all-to-all among all.
    """
    endpoints = np.flatnonzero(ends)
    if pattern in ("one-to-all", "all-to-one"):
        endpoints = endpoints[endpoints != root]
        # Every endpoint but the root exchanges as much with it.
        sides = np.full(len(endpoints), root, dtype=np.int64), endpoints
        source, target = sides if pattern == "one-to-all" else sides[::-1]
        return Demands(source, target, np.ones(len(endpoints)))
    if len(endpoints) ** 2 > MAX_PAIRS:
        is_among_all = asked is None or (asked.traffic.pattern == "all-to-all" and not asked.spans)
        if pattern == "all-to-all" and is_among_all:
            return Uniform(endpoints)
        many = f"{len(endpoints):,} endpoints has more than {MAX_PAIRS:,} pairs"
        msg = f"{pattern} among {many}; choose fewer with {setting('among')}"
        raise LimitError(msg)
    # One row a source: its targets. Each source sends 1, in equal parts to all of them.
    rows = []
    for s in endpoints.tolist():
        targets = endpoints[endpoints != s]
        rows.append(targets if asked is None else targets[_is_target(expanded, asked, s, targets)])
    n_targets = np.array([len(row) for row in rows], dtype=np.int64)
    target = np.concatenate([np.zeros(0, np.int64), *rows])
    return Demands(
        np.repeat(endpoints, n_targets), target, np.repeat(1.0 / np.maximum(n_targets, 1), n_targets)
    )


def _is_target(expanded: Expanded, asked: FittedTraffic, source: int, targets: Ints) -> Bools:
    """Return which devices a source sends to."""
    at = expanded.coordinates
    if asked.traffic.pattern == "halves":
        (axis,) = asked.spans
        half = asked.blueprint.axes[axis].size // 2
        return np.asarray((at[axis][targets] < half) != (at[axis][source] < half))
    is_target = np.ones(len(targets), dtype=np.bool_)
    if asked.shift is not None:
        # One target, of the same group: the device `by` places on, round the axis.
        axis, by, size = asked.shift
        is_target &= expanded.group[targets] == expanded.group[source]
        is_target &= at[axis][targets] == (at[axis][source] + by) % size
    elif not asked.spans:
        return is_target
    group = expanded.groups[int(expanded.group[source])].name
    # On axes that are not spanned both ends are alike: traffic stays in its group.
    for p in asked.blueprint.groups[group].primitives:
        if p not in asked.spans:
            is_target &= at[p][targets] == at[p][source]
    return is_target


def links_program(
    expanded: Expanded,
    demand_of: DemandOf,
    *,
    paths: Paths = "rules",
    drop_unreachable: bool = False,
    probe_of: DemandOf | None = None,
    lost_of: Callable[[Bools], Ints] | None = None,
) -> Commodities:
    """Return demands between real devices as commodities: by source, or by target if these are fewer.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    demand_of : callable
        In any unit; the rate is a multiple of all demands.
    paths, drop_unreachable
        As in `throughput`.
    probe_of : callable, optional
        Demands by which to find out who is cut off; `demand_of` if left out.
    lost_of : callable, optional
        Who else is cut off, of the devices that are kept, whatever the demands.

    Raises
    ------
    QuestionError
        If nobody is left.
    ProgramSizeError
        If the program has more than `MAX_VARIABLES` variables.
    """
    view = trivial(expanded)

    def build(kept: Bools) -> tuple[Commodities, Bools]:
        # Posed again for those that are left, whenever some are left out.
        demand = _listed(demand_of(kept))
        n = float(len(np.union1d(demand.source, demand.target)))
        # A matrix may name what has failed, which no pattern does.
        demand, down = demands_up(expanded, demand)
        commodities = _commodities(view, demand, paths)
        probe = None if probe_of is None else lambda kept: _listed(probe_of(kept))
        lost = kept & (_lost(view, commodities, kept, probe, paths) | down)
        if lost_of is not None:
            lost[lost_of(kept)] = True
        names, asked = name_classes(view, lost), _ask(demand, paths)
        # One commodity for each end on the side with fewer of them.
        ends = demand.source if asked.is_out else demand.target
        work = Commodities(
            base=view,
            capacity=capacities(view),
            commodities=commodities,
            n_endpoints=n,
            cut_off=names,
            is_averaged=False,
            asked=asked,
            n_sources=float(len(np.unique(ends))),
        )
        return work, lost

    return without_cut_off(build, expanded.n_devices, drop_unreachable=drop_unreachable)


def _listed(demand: Demands | Uniform) -> Demands:
    """Return `demand` if its pairs are listed.

    Raises
    ------
    ProgramSizeError
        If they are too many.
    """
    if isinstance(demand, Uniform):
        n = len(demand.ends)
        pairs = f"{n * (n - 1):,} pairs; at most {MAX_PAIRS:,} are listed"
        msg = f"the explicit program of {n:,} endpoints has {pairs}"
        raise ProgramSizeError(msg)
    return demand


AnyDemands = TypeVar("AnyDemands", bound=Demands | Uniform)


def demands_up(expanded: Expanded, demand: AnyDemands) -> tuple[AnyDemands, Bools]:
    """Return the demands between devices that are up, and which of the others have some, shape (n,)."""
    ends = np.column_stack([demand.source, demand.target])
    is_up = np.asarray(~expanded.failed[ends].any(axis=1))
    down = np.zeros(expanded.n_devices, dtype=np.bool_)
    down[ends[expanded.failed[ends]]] = True
    return cast("AnyDemands", demand.some(is_up)), down


def _lost(
    view: Quotient,
    commodities: list[Commodity],
    kept: Bools,
    probe_of: Callable[[Bools], Demands] | None,
    paths: Paths,
) -> Bools:
    """Return the devices that are cut off from most of those that they exchange traffic with."""
    lost = np.zeros(len(kept), dtype=np.bool_)
    missing = [unreached(commodity) for commodity in commodities]
    # A permutation says little about who is cut off; all-to-all among the same devices does.
    if probe_of is not None and any(len(part) for pair in missing for part in pair):
        missing = [unreached(commodity) for commodity in _commodities(view, probe_of(kept), paths)]
    for pair in missing:
        for part in pair:
            lost[part] = True
    return lost


def _commodities(view: Quotient, demand: Demands, paths: Paths) -> list[Commodity]:
    asked = _ask(demand, paths)
    ends = np.unique(demand.source if asked.is_out else demand.target).tolist()
    commodities = (asked.commodity(view, end, origin=end) for end in ends)
    return list(limit_moves(commodities, f"the explicit program of {len(ends):,} commodities"))


def _ask(demand: Demands, paths: Paths) -> Asked:
    """Return demands by source, or by target if these are fewer."""
    n_sides = [len(np.unique(side)) for side in (demand.source, demand.target)]
    # As few commodities as possible: flows of one target can be averaged as well as those of one source.
    is_out = n_sides[0] <= n_sides[1]
    near, far = (demand.source, demand.target) if is_out else (demand.target, demand.source)
    # Rows of the demands of each end, in one sort.
    order = np.argsort(near, kind="stable")
    ends, starts = np.unique(near[order], return_index=True)
    rows = dict(zip(ends.tolist(), np.split(order, starts[1:]), strict=True)) if len(ends) else {}

    # On real links a class is a device, so demands by device are demands by class.
    def amount(view: Quotient, end: int) -> Floats:
        demanded = np.zeros(view.classes.n_devices)
        demanded[far[rows[end]]] = demand.amount[rows[end]]
        return demanded

    return Asked(amount, paths, lambda view: view.classes, is_out)
