"""The tables of `fabtopo show`."""

from __future__ import annotations

from collections.abc import Sequence

from fabric.reporting.tables import each
from fabric.sizing.summary import GroupSummary, Summary, tree
from fabric.text.columns import columns
from fabric.units import format_count, format_rate, format_ratio


def summary_text(summary: Summary) -> str:
    """Return the tables of `fabtopo show`."""
    links = [
        [
            link.name,
            link.net,
            format_count(link.n_cables),
            format_rate(link.rate_gbps),
            format_rate(link.capacity_gbps),
            format_rate(link.per_endpoint_gbps),
            ", ".join(each(link)),
            link.relation or "-",
        ]
        for link in summary.links
    ]
    head = ["link", "net", ">cables", ">per cable", ">capacity", ">per endpoint", ">each", "relation"]
    if not any(link.relation for link in summary.links):
        head, links = head[:-1], [row[:-1] for row in links]
    caption = "All rates per direction; capacity is all cables together."
    if any(link.lower == link.upper for link in summary.links):
        caption += " Per endpoint, a cable between two devices of one group counts for both of them."
    blocks = [
        tree(summary),
        f"{columns(head, links)}\n{caption}",
        _ports_text(summary.groups),
        _tiers_text(summary),
    ]
    if summary.failed:
        blocks.append("failed: " + "; ".join(summary.failed))
    if summary.degraded:
        blocks.append("degraded: " + "; ".join(summary.degraded))
    blocks += [f"note: {note}" for note in summary.notes]
    blocks += [f"not checked: {why}" for why in summary.skipped]
    return "\n\n".join(b for b in blocks if b)


def _ports_text(groups: Sequence[GroupSummary]) -> str:
    rows = [
        [
            group.name,
            group.part,
            port.name,
            format_rate(port.rate_gbps),
            f"{port.most_used:.4g} of {port.per_device}",
            format_count(port.n_used) if port.n_used else "0",
            format_count(port.n_ports - port.n_used) if port.n_ports > port.n_used else "0",
        ]
        for group in groups
        for port in group.ports
    ]
    return columns(["group", "part", "ports", ">rate", ">busiest", ">used", ">free"], rows) if rows else ""


def _tiers_text(summary: Summary) -> str:
    rows = [
        [
            tier.name,
            format_rate(tier.down_gbps),
            format_rate(tier.up_gbps) if tier.up_gbps else "-",
            format_ratio(tier.ratio) if tier.ratio else "top",
        ]
        for tier in summary.tiers
    ]
    if not rows:
        return ""
    head = ["tier", ">down", ">up", ">oversubscription"]
    return columns(head, rows) + "\nOversubscription is downlink capacity over uplink capacity of the tier."
