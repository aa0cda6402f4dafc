"""Which tiers carry traffic between endpoints, and which lie on the shortest way out.

::

        spine                 nic-leaf, leaf-spine   steps of the shortest way
          |
        leaf                  gpu-grace, grace-nic   a detour: one more hop to the same NIC
          |
        nic ----- grace       grace-dpu              nothing turns or ends behind the DPU
          |      /     |
        gpu ----+     dpu
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fabric.reporting.summary import LinkSummary, Summary

Way = Literal["step", "detour", "none"]


def ways(summary: Summary) -> dict[str, Way]:
    """Return the role of every link rule for traffic between endpoints.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    dict of str to str
        By the name of the rule: ``step`` where it is on a way of fewest hops from an endpoint to a device
        that turns traffic or to another endpoint, ``detour`` where only longer ways use it, ``none`` where no
        permitted way does. Decided on groups, so an absent or failed device changes nothing; of several
        groups of endpoints, each has ways of its own, and the shortest of them counts.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.reporting.summary import summarize
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s},"
    >>> text += " {between: [ufm, leaf], rate: 400Gb/s}], devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}, ufm: {kind: host, endpoint: false, axes: []}}}"
    >>> ways(summarize(loads(text)))
    {'gpu-leaf': 'step', 'ufm-leaf': 'none'}
    """
    found: dict[str, Way] = {one.name: "none" for one in summary.links}
    for kind in (g.name for g in summary.groups if g.is_endpoint):
        used = _used(summary, kind, summary.links)
        hops = _hops(kind, used)
        shortest = [
            one
            for one in used
            if one.lower == one.upper or hops[one.upper] == hops[one.lower] + 1 or one.is_peer
        ]
        found |= {one.name: "detour" for one in used if found[one.name] == "none"}
        found |= {one.name: "step" for one in _used(summary, kind, shortest)}
    return found


def steps(summary: Summary) -> list[LinkSummary]:
    """Return the rules on the shortest way out, from the endpoints outward."""
    roles = ways(summary)
    return [one for one in summary.links if roles[one.name] == "step"]


def by_kind(summary: Summary) -> dict[str, Summary]:
    """Return the summary as the endpoints of each group see it, by its name: the rules and groups they use.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.reporting.summary import summarize
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, lpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}, low: {kind: switch, axes: []}}, links: ["
    >>> text += "{between: [gpu, leaf], rate: 400Gb/s}, {between: [lpu, low], rate: 100Gb/s},"
    >>> text += " {between: [low, leaf], rate: 400Gb/s}]}"
    >>> {kind: [one.name for one in found.links] for kind, found in by_kind(summarize(loads(text))).items()}
    {'gpu': ['gpu-leaf'], 'lpu': ['lpu-low', 'low-leaf']}
    """
    found = {}
    for kind in (g for g in summary.groups if g.is_endpoint and g.n_devices):
        groups = tuple(replace(g, is_endpoint=g.name == kind.name) for g in summary.groups)
        own = replace(summary, groups=groups, n_endpoints=kind.n_devices)
        roles = ways(own)
        links = tuple(x for x in own.links if roles[x.name] != "none")
        near = {kind.name} | _joined(links)
        found[kind.name] = replace(own, links=links, groups=tuple(g for g in groups if g.name in near))
    return found


def by_nobody(summary: Summary) -> Summary:
    """Return the summary of the rules and groups that the endpoints of no group use among themselves."""
    kinds = by_kind(summary).values()
    names, drawn = {x.name for own in kinds for x in own.links}, {g.name for own in kinds for g in own.groups}
    links = tuple(x for x in summary.links if x.name not in names)
    kept = _joined(links) | {g.name for g in summary.groups if g.name not in drawn}
    return replace(summary, links=links, groups=tuple(g for g in summary.groups if g.name in kept))


def _joined(links: Sequence[LinkSummary]) -> set[str]:
    return {name for one in links for name in (one.lower, one.upper)}


def _climbs(links: Sequence[LinkSummary]) -> dict[str, set[str]]:
    """Return the groups one hop up, or along, from each group."""
    found: dict[str, set[str]] = {}
    for one in links:
        found.setdefault(one.lower, set()).add(one.upper)
        if one.is_peer:
            found.setdefault(one.upper, set()).add(one.lower)
    return found


def _used(summary: Summary, kind: str, links: Sequence[LinkSummary]) -> list[LinkSummary]:
    """Return the rules that a way from the endpoints of `kind` climbs, to a group where it turns or ends."""
    above = _climbs(links)
    ends = {g.name for g in summary.groups if g.is_endpoint}
    forwards = {g.name for g in summary.groups if g.transit != "end"} | ends
    reached = _closure({kind}, above, forwards)
    useful = ends | {g.name for g in summary.groups if g.transit in ("turn", "all")}
    below: dict[str, set[str]] = {}
    for lower, uppers in above.items():
        for upper in uppers:
            below.setdefault(upper, set()).add(lower)
    useful = _closure(useful & reached, below, forwards)
    return [
        one
        for one in links
        if {one.lower, one.upper} <= reached
        and (one.upper in useful or (one.is_peer and one.lower in useful))
    ]


def _closure(start: set[str], near: dict[str, set[str]], through: set[str]) -> set[str]:
    found, front = set(start), list(start)
    while front:
        for other in near.get(front.pop(), ()):
            if other not in found and other in through:
                found.add(other)
                front.append(other)
    return found


def _hops(kind: str, links: Sequence[LinkSummary]) -> dict[str, int]:
    """Return the fewest hops from the endpoints of `kind` to each group."""
    above = _climbs(links)
    hops, front = {kind: 0}, [kind]
    for name in front:
        for other in sorted(above.get(name, ())):
            if other not in hops:
                hops[other] = hops[name] + 1
                front.append(other)
    return hops
