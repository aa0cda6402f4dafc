"""Which port and lane each cable takes at its two ends, by a rule that never changes."""

from __future__ import annotations

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import DeviceGroup, Rule
from fabric.parts import cables_per_port
from fabric.sizing.cable_sides import Side
from fabric.sizing.cables import Rows


def number_ports(
    rule: Rule, sides: tuple[Side, Side], rows: tuple[Rows, Rows], numbers: dict[str, Ints]
) -> list[tuple[Rows, Rows]]:
    """Return port and lane of each cable at its two ends, and count up `numbers`, the ports taken so far."""
    tail, head = rows
    if sides[0] is not sides[1]:
        return [
            _take_ports(rule, sides[0], tail, head, numbers),
            _take_ports(rule, sides[1], head, tail, numbers),
        ]
    # A device of one group is at the lower end of some cables and at the upper end of others.
    ends = np.concatenate([tail, head]), np.concatenate([head, tail])
    number, lane = _take_ports(rule, sides[0], *ends, numbers)
    n = len(tail)
    return [(number[:n], lane[:n]), (number[n:], lane[n:])]


def _take_ports(
    rule: Rule, side: Side, rows: Rows, partner: Rows, numbers: dict[str, Ints]
) -> tuple[Rows, Rows]:
    lanes = _lanes(rule, side.group)
    order = np.lexsort((partner, rows))  # stable, so that parallel cables keep their order
    n_cables = np.bincount(rows, minlength=len(numbers[side.group.name]))
    start = (np.cumsum(n_cables) - n_cables).astype(np.int32)
    rank = np.empty(len(rows), dtype=np.int32)
    rank[order] = np.arange(len(rows), dtype=np.int32)
    del order
    rank -= start[rows]
    lane = rank % np.int32(lanes) if lanes > 1 else np.broadcast_to(np.int32(-1), len(rows))
    rank //= np.int32(lanes)
    rank += (numbers[side.group.name] + 1).astype(np.int32)[rows]
    numbers[side.group.name] += -(-n_cables // lanes)
    return rank, lane


def _lanes(rule: Rule, group: DeviceGroup) -> int:
    """Return how many cables of a rule share a port of a device."""
    port = next((p for p in group.part.ports if p.name == rule.port_class), None) if group.part else None
    return int(cables_per_port(port, rule.rate_gbps) + 1e-9) if port is not None and port.modes else 1
