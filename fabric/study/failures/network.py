"""The job that failures are asked for, and the network that it uses: what no path of it meets is left out.

Damage only takes paths away, so what carries nothing while all is up carries nothing in any state::

    gpu - grace - dpu        no permitted path between GPUs: left out, so that GPU 0 and GPU 2 are alike
    gpu - nic - leaf - spine the network of the job
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint, DeviceGroup, Selector
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, SelectorError, nearest
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.commodities import Commodity
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, Paths, expand, reachable
from fabric.symmetry import NoSymmetryError, quotient

FAR = 64
"""Hops of what has no way out; more than any device has."""


@dataclass(frozen=True, eq=False)
class FailingJob:
    """What is asked in every state: all-to-all among some endpoints, and a collective over some axes.

    Parameters
    ----------
    fabric : Fabric
        The network that the job uses.
    whole : Fabric
        The fabric as it was given.
    among : str or None
        Selector of the endpoints.
    paths : {"rules", "no-relay", "any"}
    collective : str
        Empty for none.
    over : tuple of str
        Axes that a group of the collective spans.
    node : mapping of str to tuple of str
        For each group of endpoints the primitive axes that say the node of one: what restarts together.
    hops_out : int
        Hops from the farthest endpoint to the nearest card of its own while all is up; 0 where one has none.
    """

    fabric: Fabric
    whole: Fabric
    among: str | None
    paths: Paths
    collective: str
    over: tuple[str, ...]
    node: dict[str, tuple[str, ...]]
    hops_out: int


def job_of(
    fabric: Fabric,
    among: str | None,
    *,
    paths: Paths,
    collective: str,
    over: Sequence[str],
    node: Sequence[str],
) -> FailingJob:
    """Return the job of a question about failures.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit the fabric.
    """
    blueprint = fabric.blueprint
    if blueprint is None:
        if collective or node:
            msg = "a collective over axes, and nodes, need axes; a fabric read from a graph has none"
            raise QuestionError(msg)
        return FailingJob(fabric, fabric, among, paths, "", (), {}, 0)
    among = _largest(blueprint) if among is None else among
    for name, axes in (("over", over), ("node", node)):
        _check_axes(blueprint, name, axes)
    network = replace(fabric, blueprint=used_part(replace(blueprint, closed=None), among, paths))
    groups = _endpoints(blueprint, among)
    nodes = {g.name: _node(blueprint, g, node) for g in groups}
    return FailingJob(
        network,
        fabric,
        among,
        paths,
        collective,
        tuple(over),
        nodes,
        _hops_out(network, [g.name for g in groups]),
    )


def bare(job: FailingJob) -> FailingJob:
    """Return a job without what was remembered of it, to be sent elsewhere."""
    fabrics = [
        fabric if fabric.blueprint is None else replace(fabric, blueprint=replace(fabric.blueprint))
        for fabric in (job.fabric, job.whole)
    ]
    return replace(job, fabric=fabrics[0], whole=fabrics[1])


def _check_axes(blueprint: Blueprint, name: str, axes: Sequence[str]) -> None:
    for axis in axes:
        if axis not in blueprint.axes:
            hint = nearest(axis, blueprint.axes) or f"axes are {', '.join(blueprint.axes)}"
            msg = f"{name}: no axis {axis!r}; {hint}"
            raise QuestionError(msg)


def _largest(blueprint: Blueprint) -> str | None:
    """Return the largest group of endpoints where there are several."""
    groups = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    return max(groups, key=blueprint.n_devices) if len(groups) > 1 else None


def _endpoints(blueprint: Blueprint, among: str | None) -> list[DeviceGroup]:
    groups = [g for g in blueprint.groups.values() if g.is_endpoint]
    if among is None:
        return groups
    chosen = selected_groups(blueprint, read_selector(blueprint, among, needs_group=False))
    return [g for g in groups if g.name in chosen]


def used_part(blueprint: Blueprint, among: str | None, paths: Paths) -> Blueprint:
    """Return `blueprint` without the rules that no path of all-to-all passes, and the groups left bare.

    Hosts that a failure takes endpoints with stay, to be told apart by their axes alone. Where axes do not
    say the symmetry all stays.
    """
    try:
        traffic = ClassTraffic(blueprint, Traffic(), among, paths)
    except NoSymmetryError:
        return blueprint
    used: set[int] = set()
    for commodity in traffic.commodities(np.ones(len(traffic.base.size), dtype=np.bool_)):
        links = _useful(commodity)
        used |= set(np.unique(commodity.view.classes.rule[links // 2]).tolist())
    rules = tuple(rule for number, rule in enumerate(blueprint.rules) if number in used)
    joined = {group for rule in rules for group in rule.groups}
    hosts = {g.name for g in blueprint.groups.values() if _is_host(blueprint, g, among)}
    kept = {n: g for n, g in blueprint.groups.items() if n in joined | hosts or g.is_endpoint}
    left = replace(blueprint, rules=rules, groups=kept)
    cables = tuple(c for c in blueprint.marked_cables if is_there(left, c.left) and is_there(left, c.right))
    return replace(
        left,
        absent=tuple(s for s in blueprint.absent if is_there(left, s)),
        failed=tuple(s for s in blueprint.failed if is_there(left, s)),
        marked_cables=cables,
    )


def is_there(blueprint: Blueprint, selector: Selector) -> bool:
    """Return whether a selector speaks of any group of a part of its fabric."""
    if selector.group is not None and selector.group not in blueprint.groups:
        return False
    try:
        return bool(selected_groups(blueprint, selector))
    except SelectorError:
        return False


def _is_host(blueprint: Blueprint, group: DeviceGroup, among: str | None) -> bool:
    return group.kind == "host" and bool(hosted(blueprint, group, among))


def hosted(blueprint: Blueprint, host: DeviceGroup, among: str | None) -> list[DeviceGroup]:
    """Return the groups of endpoints that a host takes with it when it fails: those inside its axes."""
    if host.is_endpoint or host.kind != "host" or not host.primitives:
        return []
    return [g for g in _endpoints(blueprint, among) if set(host.primitives) <= set(g.primitives)]


def _node(blueprint: Blueprint, group: DeviceGroup, given: Sequence[str]) -> tuple[str, ...]:
    """Return the primitive axes that say the node of an endpoint."""
    if given:
        named = {p for axis in given for p in blueprint.primitives(axis)}
        return tuple(p for p in group.primitives if p in named)
    # A box or a tray: something else inside is cabled to the endpoint, and the last index is that in it.
    has_board = any(
        rule.net != "scale-out" and len(set(rule.groups)) == 2 and group.name in rule.groups
        for rule in blueprint.rules
    )
    outer = group.axes[:-1] if has_board else group.axes
    return tuple(p for axis in outer for p in blueprint.primitives(axis))


def _useful(commodity: Commodity) -> Ints:
    """Return the directed links of a view on some walk from a source of a commodity to a target."""
    moves, supply = commodity.moves, commodity.supply
    near = reachable(moves.n_states, moves.tail, moves.head, supply > 0)
    far = reachable(moves.n_states, moves.head, moves.tail, supply < 0)
    return moves.link[(moves.link >= 0) & near[moves.tail] & far[moves.head]]


def _hops_out(fabric: Fabric, groups: Sequence[str]) -> int:
    """Return the most hops from an endpoint of some groups, all of which relay, to a card; 0 without one."""
    blueprint = fabric.axes_or_refuse("a way out")
    if not all(blueprint.groups[name].transit == "relay" for name in groups):
        return 0
    e = classes_of(fabric)
    numbers = [number for number, g in enumerate(e.groups) if g.name in groups]
    hops = ways_out(e)[np.isin(e.group, numbers) & ~e.failed]
    return int(hops.max(initial=0)) if (hops < FAR).all() else 0


def classes_of(fabric: Fabric) -> Expanded:
    """Return the classes of a fabric, or its devices where axes do not say the symmetry."""
    if fabric.blueprint is not None:
        try:
            return quotient(fabric.blueprint).classes
        except NoSymmetryError:
            pass
    return expand(fabric)


def ways_out(e: Expanded) -> Ints:
    """Return the hops of each device to its nearest scale-out cable over what passes traffic on, shape (n,).

    A GPU whose own card is down is farther than before, or at `FAR`, though its neighbours relay for it.
    """
    up = np.flatnonzero((e.alive > 0) & ~e.failed[e.tail] & ~e.failed[e.head])
    tail, head = e.tail[up], e.head[up]
    is_out = np.array([rule.net == "scale-out" for rule in e.rules], dtype=np.bool_)[e.rule[up]]
    passes = np.array([g.transit == "pass" for g in e.groups], dtype=np.bool_)[e.group]
    hops = np.full(e.n_devices, FAR, dtype=np.int64)
    hops[tail[is_out]] = 1
    for n in range(2, FAR):
        new = tail[(hops[head] == n - 1) & passes[head] & (hops[tail] == FAR)]
        if not len(new):
            break
        hops[new] = n
    return hops
