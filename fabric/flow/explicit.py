"""The same program on real devices and links, for fabrics whose symmetry no axis says."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import LimitError, QuestionError
from fabric.flow.program import Block, capacities
from fabric.flow.traffic import Asked, Commodities, unreached
from fabric.graph import Expanded, Paths, forwarding
from fabric.symmetry import Quotient

MAX_VARIABLES = 400_000
"""Flow variables of an explicit program: some minutes of HiGHS."""

Matrix = Mapping[tuple[Hashable, Hashable], float]


def trivial(expanded: Expanded) -> Quotient:
    """Return `expanded` as a quotient in which every class is one device or one link."""
    n, m = expanded.n_devices, 2 * expanded.n_bundles
    return Quotient(expanded, np.ones(n), ((),) * n, np.arange(m), np.arange(n), np.zeros((0, 1), np.int64))


def matrix_demand(expanded: Expanded, matrix: Matrix) -> Floats:
    """Return an explicit traffic matrix as an array, shape (n, n): demand by source and target.

    Raises
    ------
    QuestionError
        If a device is unknown, or a demand is not positive.
    """
    number = {name: i for i, name in enumerate(expanded.names)}
    for (source, target), amount in matrix.items():
        for name in (source, target):
            if name not in number:
                msg = f"traffic: no device {name!r} in {expanded.name}"
                raise QuestionError(msg)
        if not (amount > 0 and np.isfinite(amount)) or source == target:
            msg = f"traffic: {source!r} -> {target!r}: expected a positive demand between two devices; got {amount}"
            raise QuestionError(msg)
    if not matrix:
        msg = "traffic: an empty matrix"
        raise QuestionError(msg)
    demand = np.zeros((expanded.n_devices,) * 2)
    for (source, target), amount in matrix.items():
        demand[number[source], number[target]] = amount
    return demand


def pattern_demand(expanded: Expanded, ends: Bools, asked: Asked | None = None, root: int = -1) -> Floats:
    """Return a traffic pattern as an array, shape (n, n): demand by source and target.

    Parameters
    ----------
    expanded : Expanded
    ends : ndarray of bool, shape (n,)
        Endpoints that take part.
    asked : Asked, optional
        The pattern; uniform all-to-all if left out.
    root : int
        Device of one-to-all and all-to-one.
    """
    pattern = asked.traffic.pattern if asked else "all-to-all"
    others = np.flatnonzero(ends)
    demand = np.zeros((expanded.n_devices,) * 2)
    if pattern in ("one-to-all", "all-to-one"):
        others = others[others != root]
        demand[(root, others) if pattern == "one-to-all" else (others, root)] = 1.0
        return demand
    for s in others.tolist():
        targets = others[others != s]
        if asked is not None:
            targets = targets[_is_target(expanded, asked, s, targets)]
        demand[s, targets] = 1.0 / max(len(targets), 1)
    return demand


def _is_target(expanded: Expanded, asked: Asked, source: int, targets: Ints) -> Bools:
    """Return which devices a source sends to."""
    at = expanded.coordinates
    if asked.traffic.pattern == "halves":
        (axis,) = asked.spans
        half = asked.blueprint.axes[axis].size // 2
        return np.asarray((at[axis][targets] < half) != (at[axis][source] < half))
    found = expanded.group[targets] == expanded.group[source]
    if asked.shift is not None:
        axis, by, size = asked.shift
        found &= at[axis][targets] == (at[axis][source] + by) % size
    elif not asked.spans:
        return np.ones(len(targets), dtype=np.bool_)
    own = expanded.groups[int(expanded.group[source])].name
    for p in asked.blueprint.groups[own].primitives:
        if p not in asked.spans:
            found &= at[p][targets] == at[p][source]
    return np.asarray(found)


def explicit_program(
    expanded: Expanded,
    demand: Floats,
    *,
    paths: Paths = "rules",
    drop_unreachable: bool = False,
    probe: Floats | None = None,
) -> Commodities:
    """Return demands between real devices as commodities, one for each source (or target, if these are fewer).

    Parameters
    ----------
    expanded : Expanded
        n devices.
    demand : ndarray of float64, shape (n, n)
        By source and target, in any unit; the rate is its multiple.
    paths, drop_unreachable
        As in `throughput`.
    probe : ndarray of float64, shape (n, n), optional
        Demands by which to find out who is cut off; `demand` if left out.

    Raises
    ------
    QuestionError
        If nobody is left.
    LimitError
        If the program has more than `MAX_VARIABLES` variables.
    """
    view = trivial(expanded)
    lost = np.zeros(expanded.n_devices, dtype=np.bool_)
    blocks = _blocks(view, demand, paths)
    more = lost_of(view, blocks, probe, paths)
    while more.any():
        lost |= more
        if not drop_unreachable:
            break
        demand, probe = left_over(demand, lost), None if probe is None else left_over(probe, lost)
        blocks = _blocks(view, demand, paths)
        more = lost_of(view, blocks, probe, paths)
    if not blocks:
        what = f"{expanded.names[int(np.flatnonzero(lost)[0])]} and others cannot reach most of the rest"
        msg = f"no majority of the endpoints is left: {what}; choose with among"
        raise QuestionError(msg if lost.any() else "no endpoint has another one to send to")
    taking = (demand > 0).any(axis=0) | (demand > 0).any(axis=1)
    cut_off = tuple((str(expanded.names[i]), 1.0) for i in np.flatnonzero(lost).tolist())
    return Commodities(view, capacities(view), blocks, float(taking.sum()), cut_off, is_averaged=False)
