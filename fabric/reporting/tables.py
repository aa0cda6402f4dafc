"""Tables of what a fabric is made of, counted on the blueprint."""

from __future__ import annotations

from fabric.blueprint import Blueprint
from fabric.graph import Fabric
from fabric.parts import PortClass, cables_per_port
from fabric.reporting.ways import ways
from fabric.sizing.summary import GroupSummary, LinkSummary, Summary
from fabric.text.markdown import code, table
from fabric.text.words import counted, number, span
from fabric.units import format_count, format_rate, format_rate_gbit, format_ratio

_ROLE = {"step": "shortest", "detour": "longer only", "none": "none"}


def dollars(low_usd: float, high_usd: float) -> str:
    """Return a range of costs, in words that fit a table.

    Examples
    --------
    >>> dollars(65.93e6, 116.1e6), dollars(1200, 1200), dollars(52e9, 92.4e9)
    ('USD 65.9 to 116 million', 'USD 1,200', 'USD 52 to 92.4 billion')
    """
    unit, word = next(((u, w) for u, w in _MONEY if high_usd >= u), (1.0, ""))
    low, high = (f"{value / unit:,.3g}" if word else f"{value / unit:,.0f}" for value in (low_usd, high_usd))
    return f"USD {low if low == high else f'{low} to {high}'}{word}"


_MONEY = ((1e9, " billion"), (1e6, " million"))


def cables(summary: Summary) -> str:
    """Return the table of link rules: what an endpoint has of each, per direction."""
    if not summary.links:
        return "The fabric has no cable."
    roles = ways(summary)
    head = ["Rule", ">Cables", ">Of [Gb/s]", "Cables of a device", ">Per endpoint", "Ways"]
    rows = [
        [
            code(link.name),
            format_count(link.n_cables),
            number(link.rate_gbps),
            ", ".join(each(link)),
            format_rate(link.per_endpoint_gbps) if summary.n_endpoints else "",
            _ROLE[roles[link.name]],
        ]
        for link in summary.links
    ]
    total = sum(link.n_cables for link in summary.links)
    nets = dict.fromkeys(link.net for link in summary.links)
    parts = [f"{_n_cables(summary, net):,} {net}" for net in nets]
    text = (
        f"All rates and capacities are per direction. {counted(total, 'cable')}: {', '.join(parts)}. "
        "*Ways*: which permitted ways between endpoints use the rule."
    )
    if any(link.lower == link.upper for link in summary.links):
        text += " *Per endpoint*: a cable between two devices of one group counts for both of them."
    return f"{table(head, rows)}\n\n{text}"


def media(summary: Summary) -> str:
    """Return the network, medium, relation and whole capacity of each rule."""
    related = any(link.relation for link in summary.links)
    rows = [
        [
            code(link.name),
            link.net,
            code(link.medium) if link.medium else "not given",
            format_rate(link.capacity_gbps),
            *([link.relation or "none"] if related else []),
        ]
        for link in summary.links
    ]
    return table(["Rule", "Net", "Medium", ">All of it", *(["Relation"] if related else [])], rows)


def each(link: LinkSummary) -> list[str]:
    """Return how many cables one device of either group has; once where the groups are the same."""
    ends = ((link.per_lower, link.lower), (link.per_upper, link.upper))
    return list(dict.fromkeys(f"{span(n)} per {name}" for n, name in ends))


def _n_cables(summary: Summary, net: str) -> int:
    return sum(link.n_cables for link in summary.links if link.net == net)


def oversubscription(summary: Summary) -> str:
    """Return the table of downlink over uplink capacity per tier of switches."""
    if not summary.tiers:
        return "No switch joins scale-out cables from below, so there is no oversubscription to state."
    rows = [
        [
            code(tier.name),
            format_rate(tier.down_gbps),
            format_rate(tier.up_gbps) if tier.up_gbps else "none",
            format_ratio(tier.ratio) if tier.ratio is not None else "top tier",
        ]
        for tier in summary.tiers
    ]
    text = (
        "Oversubscription is downlink capacity / uplink capacity of a tier, all cables of all its switches."
    )
    return f"{table(['Tier', '>Down', '>Up', '>Oversubscription'], rows)}\n\n{text}"


def devices(summary: Summary) -> str:
    """Return the table of device groups."""
    rows = [
        [
            code(group.name),
            group.kind + (", endpoint" if group.is_endpoint else ""),
            code(group.part) if group.part else "generic",
            ", ".join(f"{axis} × {size:,}" for axis, size in group.axes) or "one device",
            format_count(group.n_devices),
            format_count(group.n_absent),
        ]
        for group in summary.groups
    ]
    by_transit: dict[str, list[str]] = {}
    for group in summary.groups:
        by_transit.setdefault(group.transit, []).append(code(group.name))
    passing = "; ".join(f"*{transit}*: {', '.join(names)}" for transit, names in by_transit.items())
    head = ["Group", "Kind", "Part", "Axes", ">Devices", ">Absent"]
    return f"{table(head, rows)}\n\nWho passes on traffic (transit): {passing}."


def ports(fabric: Fabric, summary: Summary) -> str:
    """Return the table of ports, used and free."""
    rows = [
        [
            code(group.name),
            port.name,
            format_rate_gbit(port.rate_gbps),
            format_count(port.n_used),
            format_count(port.n_ports - port.n_used),
            f"{number(port.most_used)} of {port.per_device}",
            _breakout(fabric.blueprint.whole, summary, group, port.name) if fabric.blueprint else "",
        ]
        for group in summary.groups
        for port in group.ports
    ]
    if not rows:
        return "No part of the catalogue is used, so there are no ports to count."
    head = ["Group", "Ports", ">Rate", ">Used", ">Free", ">Busiest", "Slower cables"]
    generic = [code(g.name) for g in summary.groups if not g.ports]
    text = f"\n\nNot in the table, since without a part they have no port budget: {', '.join(generic)}."
    return table(head, rows) + (text if generic else "")


def _breakout(blueprint: Blueprint, summary: Summary, group: GroupSummary, name: str) -> str:
    """Say how cables slower than the port share it."""
    part = blueprint.groups[group.name].part
    port = next(p for p in part.ports if p.name == name) if part else None
    modes = dict.fromkeys(
        _sharing(port, link)
        for link in summary.links
        if port and group.name in (link.lower, link.upper) and _port_class(blueprint, link) == name
    )
    return ", ".join(filter(None, modes))


def _port_class(blueprint: Blueprint, link: LinkSummary) -> str:
    return next(rule.port_class for rule in blueprint.rules if rule.name == link.name)


def _sharing(port: PortClass, link: LinkSummary) -> str:
    if link.rate_gbps >= port.rate_gbps * (1 - 1e-9):
        return ""
    if not port.modes:
        return f"{format_rate_gbit(link.rate_gbps)} on a share of the lanes"
    return (
        f"breakout: {cables_per_port(port, link.rate_gbps):.4g} × {format_rate_gbit(link.rate_gbps)} a port"
    )
