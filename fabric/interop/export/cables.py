"""Formats that list nodes, ports and cables: CSV of cabling tools, DOT, NetBox, and software laboratories."""

from __future__ import annotations

import json
from collections.abc import Iterator

import yaml

from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.cables import CabledNode, PlannedCable
from fabric.text.spreadsheet import write_csv

Files = dict[str, str]

_P2P_ETHERNET = (
    "A-Rack", "A-U", "A-Node Name", "A-Type", "A-Port", "Z-Rack", "Z-RU", "Z-Node Name", "Z-Type", "Z-Port",
)  # fmt: skip
_P2P_INFINIBAND = ("Rack", "U", "Name", "HCA/Port", "Rack", "U", "Name", "Port")
_NETBOX_CABLES = (
    "side_a_device", "side_a_type", "side_a_name", "side_b_device", "side_b_type", "side_b_name",
    "type", "status", "profile", "label", "length", "length_unit",
)  # fmt: skip
# Families of media of the catalogue, as NetBox 4.6 calls kinds of cables.
_NETBOX_TYPES = {"dac": "dac-passive", "acc": "dac-active", "aec": "dac-active", "aoc": "aoc"}
_NETBOX_GLASS = {"multimode": "mmf-om4", "single-mode": "smf-os2"}
# Interface types of NetBox 4.6 by rate [Gb/s]: one of each, the usual cage of the rate.
_NETBOX_INTERFACES = {
    100: "100gbase-x-qsfp28", 200: "200gbase-x-qsfp56", 400: "400gbase-x-osfp", 800: "800gbase-x-osfp",
    1600: "1.6tbase-x-osfp1600",
}  # fmt: skip


def p2p_ethernet(plan: CablePlan) -> Files:
    """Return the point-to-point list of NVIDIA's cable validation for Ethernet."""
    switches = {node.name for node in plan.nodes() if node.is_switch}

    def rows() -> Iterator[list[object]]:
        for cable in plan.cables():
            row: list[object] = []
            for end in (cable.a, cable.z):
                kind = "Switch" if end.node in switches else "Host"
                row += [end.rack, end.unit or "", end.node, kind, end.port]
            yield row

    return {"": write_csv(_P2P_ETHERNET, rows())}


def p2p_infiniband(plan: CablePlan) -> Files:
    """Return the point-to-point list of NVIDIA's cable validation for InfiniBand."""
    rows = (
        [part for end in (cable.a, cable.z) for part in (end.rack, end.unit or "", end.node, end.port)]
        for cable in plan.cables()
    )
    return {"": write_csv(_P2P_INFINIBAND, rows)}


def dot(plan: CablePlan) -> Files:
    """Return ``topology.dot`` as PTM, the cable validation tool and NVIDIA Air read it."""
    lines = [f'graph "{plan.blueprint.name}" {{']
    for node in plan.nodes():
        role, system = _role(node)
        lines.append(f'  "{node.name}" [role="{role}" os="{system}"]')
    for cable in plan.cables():
        lines.append(f'  "{cable.a.node}":"{cable.a.port}" -- "{cable.z.node}":"{cable.z.port}"')
    return {"": "\n".join([*lines, "}"]) + "\n"}


def _role(node: CabledNode) -> tuple[str, str]:
    if not node.is_switch:
        return "host", "generic"
    return ("leaf", "spine", "super_spine")[min(max(node.level, 1), 3) - 1], "cumulus"


def netbox(plan: CablePlan) -> Files:
    """Return the CSV files that NetBox imports, in the order devices, interfaces, cables."""
    devices = [
        [node.name, node.group, "Generic", node.part or "generic", "active", plan.blueprint.name, node.rack]
        for node in plan.nodes()
    ]
    interfaces: dict[tuple[str, str], str] = {}
    cables = []
    for cable in plan.cables():
        for end in (cable.a, cable.z):
            interfaces[end.node, end.port] = _NETBOX_INTERFACES.get(round(cable.rate_gbps), "other")
        ends = [part for end in (cable.a, cable.z) for part in (end.node, "dcim.interface", end.port)]
        length = ["", ""] if cable.length_m is None else [f"{cable.length_m:g}", "m"]
        cables.append([*ends, _netbox_type(cable), "connected", "single-1c1p", cable.label, *length])
    return {
        "devices.csv": write_csv(
            ["name", "role", "manufacturer", "device_type", "status", "site", "rack"], devices
        ),
        "interfaces.csv": write_csv(
            ["device", "name", "type", "enabled"], [[*key, kind, "true"] for key, kind in interfaces.items()]
        ),
        "cables.csv": write_csv(_NETBOX_CABLES, cables),
    }


def _netbox_type(cable: PlannedCable) -> str:
    return _NETBOX_GLASS.get(cable.medium) or next(
        (kind for word, kind in _NETBOX_TYPES.items() if cable.medium.startswith(word)), ""
    )


def containerlab(plan: CablePlan) -> Files:
    """Return a topology of containerlab, a Linux container for each node."""
    ports = _Interfaces()
    links = [
        {
            "endpoints": [f"{end.node}:{ports.of(end.node, end.port)}" for end in (cable.a, cable.z)],
            "labels": {"rate-gbps": f"{cable.rate_gbps:g}", "rule": cable.rule},
        }
        for cable in plan.cables()
    ]
    nodes = {node.name: {"kind": "linux", "labels": {"group": node.group}} for node in plan.nodes()}
    topology = {"kinds": {"linux": {"image": "alpine:3"}}, "nodes": nodes, "links": links}
    return {"": _yaml({"name": plan.blueprint.name, "topology": topology})}


def netlab(plan: CablePlan) -> Files:
    """Return a topology of netlab, with the bandwidth of every link in kb/s."""
    ports = _Interfaces()
    links = []
    for cable in plan.cables():
        ends = {end.node: {"ifname": ports.of(end.node, end.port)} for end in (cable.a, cable.z)}
        links.append({**ends, "bandwidth": round(cable.rate_gbps * 1e6)})
    names = [node.name for node in plan.nodes()]
    head = {"name": plan.blueprint.name[:12], "provider": "clab", "defaults.device": "linux"}
    return {"": _yaml({**head, "nodes": names, "links": links})}


def nvidia_air(plan: CablePlan) -> Files:
    """Return a simulation of NVIDIA Air."""
    nodes = {
        node.name: (
            {"cpu": 2, "memory": 2048, "storage": 10, "os": "cumulus-vx"}
            if node.is_switch
            else {"cpu": 1, "memory": 1024, "storage": 10, "os": "generic/ubuntu2404"}
        )
        for node in plan.nodes()
    }
    links = [
        [{"node": end.node, "interface": end.port} for end in (cable.a, cable.z)] for cable in plan.cables()
    ]
    content = {"nodes": nodes, "links": links, "oob": False}
    return {"": _json({"format": "JSON", "title": plan.blueprint.name, "content": content})}


def ibsim(plan: CablePlan) -> Files:
    """Return the network that ibsim simulates, so that the tools of InfiniBand can be run on it."""
    ports: dict[str, dict[str, tuple[str, str]]] = {node.name: {} for node in plan.nodes()}
    for cable in plan.cables():
        ports[cable.a.node][cable.a.port] = (cable.z.node, cable.z.port)
        ports[cable.z.node][cable.z.port] = (cable.a.node, cable.a.port)
    number = {(node, port): n for node, own in ports.items() for n, port in enumerate(own, start=1)}
    blocks = []
    for node in sorted(plan.nodes(), key=lambda node: not node.is_switch):
        own = ports[node.name]
        if own:
            word = "Switch" if node.is_switch else "Hca"
            lines = [f'{word}\t{len(own)} "{node.name}"']
            lines += [
                f'[{number[node.name, port]}]\t"{far}"[{number[far, to]}]' for port, (far, to) in own.items()
            ]
            blocks.append("\n".join(lines))
    return {"": "\n\n".join(blocks) + "\n"}


class _Interfaces:
    """Ports of each node as Linux calls its interfaces: eth1, eth2 and so on, in the order of the plan."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, str]] = {}

    def of(self, node: str, port: str) -> str:
        """Return the interface for a port; the same for the same port."""
        own = self._names.setdefault(node, {})
        return own.setdefault(port, f"eth{len(own) + 1}")


def _yaml(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110)


def _json(data: object) -> str:
    return json.dumps(data, indent=1) + "\n"
