"""What a fabric is made of: devices, ports, cables, capacity and oversubscription per tier.

Counted on the blueprint, so the summary of a million GPUs takes as long as that of a rack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.blueprint import Blueprint, Census, census
from fabric.blueprint.census import degrees
from fabric.blueprint.model import DeviceGroup, Relation
from fabric.blueprint.planes import box_notes
from fabric.blueprint.ports import cables_by_port, layer_notes, ports_needed
from fabric.graph import Fabric, degradations, failures
from fabric.results import DeviceText


@dataclass(frozen=True, slots=True)
class GroupPorts:
    """Ports of one class of a device group, all devices together.

    Parameters
    ----------
    name : str
        Port class.
    rate_gbps : float
        Of one port, per direction [Gb/s].
    n_ports, n_used : int
        Of all present devices; a breakout takes whole ports.
    most_used : float
        Ports that the busiest device needs.
    per_device : int
        Ports that one device has.
    """

    name: str
    rate_gbps: float
    n_ports: int
    n_used: int
    most_used: float
    per_device: int


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One device group.

    Parameters
    ----------
    name, kind, part : str
    axes : tuple of (str, int)
        Axes with their sizes.
    n_devices, n_absent : int
        Populated devices, and places never populated.
    is_endpoint : bool
    level : int
        Steps above the endpoints along the orientation of the rules.
    ports : tuple of GroupPorts
    transit : {"turn", "pass", "end", "relay", "all"}
        Who may forward; see `fabric.blueprint.DeviceGroup`.
    """

    name: str
    kind: str
    part: str
    axes: tuple[tuple[str, int], ...]
    n_devices: int
    n_absent: int
    is_endpoint: bool
    level: int
    ports: tuple[GroupPorts, ...]
    transit: str


@dataclass(frozen=True, slots=True)
class LinkSummary:
    """One link rule, which is one tier of the fabric.

    Parameters
    ----------
    name, lower, upper, net, medium : str
        Rule, its two groups, ``scale-up``, ``host`` or ``scale-out``, and the medium.
    n_cables : int
    rate_gbps : float
        Per cable and direction [Gb/s].
    capacity_gbps : float
        All cables together, per direction [Gb/s].
    per_lower, per_upper : tuple of (int, int)
        Fewest and most cables at one device of the two groups.
    per_endpoint_gbps : float
        Capacity over the endpoints from which the rule is on a way up, or all of them where it is on none,
        per direction [Gb/s]. A cable between two devices of one group counts for both, unless it is one-way.
    is_peer : bool
        Like with like: neither group is above the other.
    relation : str
        Which devices the rule joins where their axes do not say so alone, such as ``ring x, twist z+4``.
    """

    name: str
    lower: str
    upper: str
    net: str
    medium: str
    n_cables: int
    rate_gbps: float
    capacity_gbps: float
    per_lower: tuple[int, int]
    per_upper: tuple[int, int]
    per_endpoint_gbps: float
    is_peer: bool
    relation: str = ""


@dataclass(frozen=True, slots=True)
class TierSummary:
    """Oversubscription of one group of switches: downlink capacity over uplink capacity.

    Parameters
    ----------
    name : str
        The group.
    down_gbps, up_gbps : float
        All its devices together, per direction [Gb/s]; up is 0 at the top.
    ratio : float or None
        Down over up; None at the top.
    """

    name: str
    down_gbps: float
    up_gbps: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """A fabric in tables.

    Parameters
    ----------
    name : str
    n_endpoints : int
    groups : tuple of GroupSummary
    links : tuple of LinkSummary
        Scale-up first, then host, then scale-out, each from the endpoints up.
    tiers : tuple of TierSummary
    failed : tuple of str
        What is down, in the form of `fabric.fail`.
    degraded : tuple of str
        What is slow, in the form of `fabric.degrade`.
    notes, skipped : tuple of str
        What the files say about themselves, boxes of several chips, and the checks that were not run.
    """

    name: str
    n_endpoints: int
    groups: tuple[GroupSummary, ...]
    links: tuple[LinkSummary, ...]
    tiers: tuple[TierSummary, ...]
    failed: tuple[DeviceText, ...]
    degraded: tuple[DeviceText, ...]
    notes: tuple[str, ...]
    skipped: tuple[str, ...]


_NETS = ("scale-up", "host", "scale-out")


def summarize(fabric: Fabric) -> Summary:
    """Return the tables of `fabric`.

    Raises
    ------
    QuestionError
        If the fabric came from a graph and has no blueprint.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    >>> summarize(loads(text)).links[0].capacity_gbps
    800.0
    """
    blueprint = fabric.axes_or_refuse("a summary").whole
    counts = census(blueprint)
    levels = group_levels(blueprint)
    groups = tuple(_group(counts, g, levels[g.name]) for g in blueprint.groups.values())
    n_endpoints = sum(g.n_devices for g in groups if g.is_endpoint)
    numbers = {g.name: g.n_devices for g in groups}
    shared = (sum(numbers[g] for g in kinds) or n_endpoints for kinds in _kinds_below(blueprint))
    links = tuple(_link(counts, i, n) for i, n in enumerate(shared))
    links = tuple(
        sorted(links, key=lambda link: (_NETS.index(link.net), levels[link.lower], levels[link.upper]))
    )
    return Summary(
        blueprint.name,
        n_endpoints,
        groups,
        links,
        _tiers(groups, links),
        failures(fabric),
        degradations(fabric),
        (*blueprint.notes, *box_notes(blueprint), *layer_notes(blueprint)),
        fabric.skipped,
    )


def _kinds_below(blueprint: Blueprint) -> list[set[str]]:
    """Return, for every rule, the groups of endpoints from which it is on a way up."""
    sides = [(r.left_group, r.right_group, r.is_peer) for r in blueprint.rules]
    below: list[set[str]] = [set() for _ in sides]
    ends = {g.name for g in blueprint.groups.values() if g.is_endpoint}
    for kind in ends:
        reached, front = {kind}, [kind]
        while front:
            group = front.pop()
            for number, (left, right, is_peer) in enumerate(sides):
                if group == left or (is_peer and group == right):
                    below[number].add(kind)
                    beyond = {left, right} - reached - ends
                    reached |= beyond
                    front += beyond
    return below


def group_levels(blueprint: Blueprint) -> dict[str, int]:
    """Return how far above the endpoints each group is: the longest chain of oriented rules below it."""
    below: dict[str, set[str]] = {name: set() for name in blueprint.groups}
    for rule in blueprint.rules:
        if not rule.is_peer:
            below[rule.right_group].add(rule.left_group)
    levels = dict.fromkeys(blueprint.groups, 0)
    # One round per group settles the longest chain; orientation that runs in a circle stops there too.
    for _ in blueprint.groups:
        levels = {name: max((levels[b] + 1 for b in below[name]), default=0) for name in blueprint.groups}
    return levels


def _group(counts: Census, group: DeviceGroup, level: int) -> GroupSummary:
    axes = counts.grid.blueprint.axes
    n = counts.n_devices[group.name]
    present = ~counts.absent[group.name]
    ports = []
    cables = cables_by_port(counts, group)
    for port in group.part.ports if group.part else ():
        needed = np.broadcast_to(ports_needed(port, cables.get(port.name, {})), n.shape)
        total = int(np.ceil((needed * n)[present].sum() - 1e-9))
        most = float(needed[present].max(initial=0.0))
        n_ports = int(n[present].sum()) * port.n_ports
        ports.append(GroupPorts(port.name, port.rate_gbps, n_ports, total, most, port.n_ports))
    return GroupSummary(
        group.name,
        group.kind,
        group.part.id if group.part else "",
        tuple((a, axes[a].size) for a in group.axes),
        int(n[present].sum()),
        int(n[~present].sum()),
        group.is_endpoint,
        level,
        tuple(ports),
        group.transit,
    )


def _link(counts: Census, index: int, n_endpoints: int) -> LinkSummary:
    joined = counts.rules[index]
    rule = joined.rule
    lower, upper = rule.left_group, rule.right_group
    spans = []
    of_sides = degrees(joined, counts.n_rows(rule), present_only=True)
    for side, degree in zip((rule.left, rule.right), of_sides, strict=True):
        group = cast(str, side.group)
        rows = counts.grid.rows(group, side)
        present = degree[rows[~counts.absent[group][rows]]]
        spans.append((int(present.min()), int(present.max())) if len(present) else (0, 0))
    capacity = joined.total * rule.rate_gbps
    # Both devices of a pair send into a cable between them.
    shared = capacity * (2 if lower == upper and not rule.is_oneway else 1)
    return LinkSummary(
        rule.name,
        lower,
        upper,
        rule.net,
        rule.medium,
        joined.total,
        rule.rate_gbps,
        capacity,
        spans[0],
        spans[1],
        shared / n_endpoints if n_endpoints else 0.0,
        rule.is_peer,
        _relation(rule.relation) if rule.relation else "",
    )


def _relation(relation: Relation) -> str:
    """Return what a relation says, in words."""
    if relation.kind != "pairs":
        shifts = ", ".join(f"{axis}{shift:+d}" for axis, shift in relation.twist)
        return f"{relation.kind} {relation.axes[0]}" + (f", twist {shifts}" if shifts else "")
    pattern, *terms = relation.said.split(", ")
    return ", ".join([f"{pattern or 'pairs'} along {', '.join(relation.axes)}", *terms])


def _tiers(groups: tuple[GroupSummary, ...], links: tuple[LinkSummary, ...]) -> tuple[TierSummary, ...]:
    tiers = []
    for group in sorted(groups, key=lambda g: g.level):
        if group.kind != "switch":
            continue
        down = sum(link.capacity_gbps for link in links if link.upper == group.name != link.lower)
        up = sum(link.capacity_gbps for link in links if link.lower == group.name != link.upper)
        if down and any(link.net == "scale-out" and group.name in (link.lower, link.upper) for link in links):
            tiers.append(TierSummary(group.name, down, up, down / up if up else None))
    return tuple(tiers)


def tree(summary: Summary) -> str:
    """Return the groups as a tree of axes.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    >>> print(tree(summarize(loads(text))))
    a
    ├─ leaf (switch)
    └─ i × 2
       └─ gpu (gpu): 2
    """
    root: dict[str, object] = {}
    for group in summary.groups:
        node = root
        for axis, size in group.axes:
            node = cast(dict[str, object], node.setdefault(f"{axis} × {size:,}", {}))
        total = f": {group.n_devices:,}" if group.axes else ""
        absent = f", {group.n_absent:,} absent" if group.n_absent else ""
        node[f"{group.name} ({group.part or group.kind}){total}{absent}"] = None
    return "\n".join([summary.name, *_branches(root)])


def _branches(node: dict[str, object]) -> list[str]:
    lines = []
    items = sorted(node.items(), key=lambda item: item[1] is not None)
    for i, (label, child) in enumerate(items):
        is_last = i == len(items) - 1
        lines.append(("└─ " if is_last else "├─ ") + label)
        if isinstance(child, dict):
            lines += [("   " if is_last else "│  ") + line for line in _branches(child)]
    return lines
