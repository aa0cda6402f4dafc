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

from fabric.sizing.summary import LinkSummary, Summary

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
    >>> from fabric.sizing.summary import summarize
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s},"
    >>> text += " {between: [ufm, leaf], rate: 400Gb/s}], devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}, ufm: {kind: host, endpoint: false, axes: []}}}"
    >>> ways(summarize(loads(text)))
    {'gpu-leaf': 'step', 'ufm-leaf': 'none'}
    """
    way_of: dict[str, Way] = {link.name: "none" for link in summary.links}
    for kind in (g.name for g in summary.groups if g.is_endpoint):
        passed = _find_used(summary, kind, summary.links)
        hops = _hops(kind, passed)
        shortest = [
            link
            for link in passed
            if link.lower == link.upper or hops[link.upper] == hops[link.lower] + 1 or link.is_peer
        ]
        way_of |= {link.name: "detour" for link in passed if way_of[link.name] == "none"}
        way_of |= {link.name: "step" for link in _find_used(summary, kind, shortest)}
    return way_of


def steps(summary: Summary) -> list[LinkSummary]:
    """Return the rules on the shortest way out, from the endpoints outward."""
    roles = ways(summary)
    return [link for link in summary.links if roles[link.name] == "step"]


def by_kind(summary: Summary) -> dict[str, Summary]:
    """Return the summary as the endpoints of each group see it, by its name: the rules and groups they use.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> from fabric.sizing.summary import summarize
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, lpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}, low: {kind: switch, axes: []}}, links: ["
    >>> text += "{between: [gpu, leaf], rate: 400Gb/s}, {between: [lpu, low], rate: 100Gb/s},"
    >>> text += " {between: [low, leaf], rate: 400Gb/s}]}"
    >>> {kind: [link.name for link in part.links] for kind, part in by_kind(summarize(loads(text))).items()}
    {'gpu': ['gpu-leaf'], 'lpu': ['lpu-low', 'low-leaf']}
    """
    parts = {}
    for kind in (g for g in summary.groups if g.is_endpoint and g.n_devices):
        groups = tuple(replace(g, is_endpoint=g.name == kind.name) for g in summary.groups)
        part = replace(summary, groups=groups, n_endpoints=kind.n_devices)
        roles = ways(part)
        links = tuple(link for link in part.links if roles[link.name] != "none")
        near = {kind.name} | _ends_of(links)
        parts[kind.name] = replace(part, links=links, groups=tuple(g for g in groups if g.name in near))
    return parts


def by_nobody(summary: Summary) -> Summary:
    """Return the summary of the rules and groups that the endpoints of no group use among themselves."""
    kinds = by_kind(summary).values()
    names, drawn = (
        {link.name for part in kinds for link in part.links},
        {g.name for part in kinds for g in part.groups},
    )
    links = tuple(link for link in summary.links if link.name not in names)
    names_kept = _ends_of(links) | {g.name for g in summary.groups if g.name not in drawn}
    return replace(summary, links=links, groups=tuple(g for g in summary.groups if g.name in names_kept))


def _ends_of(links: Sequence[LinkSummary]) -> set[str]:
    return {name for link in links for name in (link.lower, link.upper)}


def _climbs(links: Sequence[LinkSummary]) -> dict[str, set[str]]:
    """Return the groups one hop up, or along, from each group."""
    above: dict[str, set[str]] = {}
    for link in links:
        above.setdefault(link.lower, set()).add(link.upper)
        if link.is_peer:
            above.setdefault(link.upper, set()).add(link.lower)
    return above


def _find_used(summary: Summary, kind: str, links: Sequence[LinkSummary]) -> list[LinkSummary]:
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
        link
        for link in links
        if {link.lower, link.upper} <= reached
        and (link.upper in useful or (link.is_peer and link.lower in useful))
    ]


def _closure(start: set[str], near: dict[str, set[str]], through: set[str]) -> set[str]:
    reached, front = set(start), list(start)
    while front:
        for group in near.get(front.pop(), ()):
            if group not in reached and group in through:
                reached.add(group)
                front.append(group)
    return reached


def _hops(kind: str, links: Sequence[LinkSummary]) -> dict[str, int]:
    """Return the fewest hops from the endpoints of `kind` to each group."""
    above = _climbs(links)
    hops, front = {kind: 0}, [kind]
    for name in front:
        for group in sorted(above.get(name, ())):
            if group not in hops:
                hops[group] = hops[name] + 1
                front.append(group)
    return hops
