"""The hosts of a fabric as NCCL sees them: which devices, PCIe, NVLinks and rails each has."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from fabric.blueprint.model import DeviceGroup
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.errors import LimitError, QuestionError
from fabric.graph import Fabric, RuleInfo
from fabric.interop.export.boxes import Boxes, boxes_of
from fabric.interop.export.nccl_host import ELSEWHERE, SWITCHES, HostUnit, HostWire, Medium, host_text
from fabric.parts import NETWORK, catalogue

Files = dict[str, str]

MAX_HOSTS = 20_000
"""Hosts that files are written for."""


def nccl_topology(fabric: Fabric) -> Files:
    """Return a file for each host with GPUs.

    Raises
    ------
    QuestionError
        If no server or tray holds a GPU.
    LimitError
        If there are more hosts than `MAX_HOSTS`.
    """
    boxes = boxes_of(fabric, "the format nccl-topo")
    e = boxes.expanded
    is_gpu = np.array([info.kind == "gpu" for info in e.groups])[e.group]
    hosts = np.unique(boxes.of[is_gpu & (boxes.of >= 0)]).tolist()
    if not hosts:
        msg = "nccl-topo: expected GPUs in servers or trays, joined by net: host or by boards; there are none"
        raise QuestionError(msg)
    if len(hosts) > MAX_HOSTS:
        msg = f"nccl-topo: {len(hosts):,} hosts; a file is written for each of {MAX_HOSTS:,} at most"
        msg += ", and hosts that are alike have the same: ask about a smaller file"
        raise LimitError(msg)
    units, wires = _units(boxes), _wires(boxes)
    return {f"{boxes.names[b]}.xml": host_text(units[b], wires[b]) for b in hosts}


def _medium(rule: RuleInfo) -> Medium:
    """Return what cables of a rule are to NCCL."""
    if not rule.protocol:
        return {"host": "pcie", "scale-up": "nvlink"}.get(rule.net, "")  # type: ignore[return-value]
    layer = catalogue().protocols[rule.protocol].layer
    return {"PCIe": "pcie", "NVLink": "nvlink", "NVLink-C2C": "c2c"}.get(layer, "")  # type: ignore[return-value]


def _wires(boxes: Boxes) -> list[tuple[HostWire, ...]]:
    """Return PCIe and C2C inside each box."""
    e = boxes.expanded
    media = [_medium(rule) for rule in e.rules]
    number = _numbers(boxes)
    return [
        tuple(
            HostWire(
                number[int(e.tail[k])], number[int(e.head[k])], medium, int(e.alive[k]), float(e.rate_gbps[k])
            )
            for k in bundles
            if (medium := media[e.rule[k]]) in ("pcie", "c2c")
        )
        for bundles in boxes.bundles
    ]


def _numbers(boxes: Boxes) -> dict[int, int]:
    return {v: n for devices in boxes.devices for n, v in enumerate(devices)}


def _units(boxes: Boxes) -> list[tuple[HostUnit, ...]]:
    """Return the devices of each box."""
    e = boxes.expanded
    nvlinks = _nvlinks(boxes)
    is_out = np.array([rule.net == "scale-out" for rule in e.rules], dtype=np.bool_)[e.rule]
    out_gbps = np.zeros(e.n_devices)
    for ends in (e.tail, e.head):
        out_gbps += np.bincount(ends[is_out], (e.rate_gbps * e.alive)[is_out], e.n_devices)
    groups = [boxes.blueprint.groups[info.name] for info in e.groups]
    rails = [_rails(boxes, group) for group in groups]
    of_part = [_part_gbps(group) for group in groups]
    told: list[tuple[HostUnit, ...]] = []
    for devices in boxes.devices:
        own = []
        for v in devices:
            g = int(e.group[v])
            rail = 0
            for axis, size in rails[g]:
                rail = rail * size + int(e.coordinates[axis][v])
            net = float(out_gbps[v]) or of_part[g]
            own.append(
                HostUnit(
                    e.groups[g].kind,
                    e.groups[g].part,
                    tuple((*key, n) for key, n in nvlinks.get(v, {}).items()),
                    net,
                    rail if rails[g] else -1,
                )
            )
        told.append(tuple(own))
    return told


def _nvlinks(boxes: Boxes) -> dict[int, Counter[tuple[int, float]]]:
    """Return how many NVLinks each GPU has, by what is at the other end (see `HostUnit`) and their rate."""
    e, number = boxes.expanded, _numbers(boxes)
    is_gpu = [e.groups[g].kind == "gpu" for g in e.group.tolist()]
    is_nvlink = np.array([_medium(rule) == "nvlink" for rule in e.rules], dtype=np.bool_)[e.rule]
    links: dict[int, Counter[tuple[int, float]]] = defaultdict(Counter)
    for k in np.flatnonzero(is_nvlink & (e.alive > 0)).tolist():
        ends = int(e.tail[k]), int(e.head[k])
        is_here = boxes.of[ends[0]] == boxes.of[ends[1]]
        for near, far in (ends, ends[::-1]):
            if is_gpu[near]:
                to = SWITCHES if not is_gpu[far] else number[far] if is_here else ELSEWHERE
                links[near][to, float(e.rate_gbps[k])] += int(e.alive[k])
    return links


def _rails(boxes: Boxes, group: DeviceGroup) -> list[tuple[str, int]]:
    """Return the axes on which cards of one box agree with the switches above them: these are its rails."""
    blueprint = boxes.blueprint
    for rule in blueprint.rules:
        if rule.net == "scale-out" and rule.left_group == group.name and group.kind == "nic":
            shared = agreeing_axes(blueprint, rule)
            own = [p for p in boxes.inner.get(group.name, ()) if p in shared]
            return [(p, blueprint.axes[p].size) for p in own if blueprint.axes[p].size > 1]
    return []


def _part_gbps(group: DeviceGroup) -> float:
    """Return what the network ports of a card could carry [Gb/s]; 0 without a part."""
    ports = group.part.ports if group.part and group.kind == "nic" else ()
    return float(sum(port.n_ports * port.rate_gbps for port in ports if port.name == NETWORK))
