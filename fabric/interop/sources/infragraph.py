"""InfraGraph: devices made of components, instances of devices, and edges between ranges of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from fabric.blueprint.document import Loc
from fabric.interop.sources.documents import Parts
from fabric.interop.sources.found import MAX_CABLES, Place, Survey
from fabric.interop.sources.schedulers import hosts

NODES = "nodes: "
"""What begins the description of an instance that says what its nodes are called, as Slurm's hostlists do."""
_KINDS = {"xpu": "gpu", "switch": "switch", "nic": "nic", "cpu": "host"}
_RANGE = re.compile(r"(?P<name>[^\[\]]{1,120})(?:\[(?P<slice>[0-9:-]{0,32})\])?")
_BOUND = re.compile(r"-?[0-9]{1,9}|")
# Factors to Gb/s.
_UNITS = {"gigabits_per_second": 1.0, "gigabytes_per_second": 8.0, "gigatransfers_per_second": 0.0}


class _Device:
    """One device: its components with kinds and counts, and which are ports of which."""

    def __init__(self, own: Mapping[str, Any], loc: Loc, tree: Parts) -> None:
        self.count: dict[str, int] = {}
        self.choice: dict[str, str] = {}
        self.edges: list[tuple[Mapping[str, Any], Loc]] = []
        self.links = _rates(own.get("links", []), (*loc, "links"), tree)
        for n, item in enumerate(tree.items(own.get("components", []), *loc, "components")):
            here = (*loc, "components", n)
            component = tree.mapping(item, *here)
            name = tree.text(component.get("name"), *here, "name")
            count = component.get("count", 1)
            if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_CABLES:
                tree.wrong((*here, "count"), "expected a whole number of at least 1", got=str(count))
                count = 1
            self.count[name], self.choice[name] = count, str(component.get("choice", ""))
            if self.choice[name] not in (*_KINDS, "port", "memory", "custom"):
                tree.wrong((*here, "choice"), "an unknown kind of component", got=self.choice[name])
        for n, edge in enumerate(tree.items(own.get("edges", []), *loc, "edges")):
            self.edges.append((tree.mapping(edge, *loc, "edges", n), (*loc, "edges", n)))
        # What has ports and one other component is that one with its ports, such as a switch.
        whole = [name for name, choice in self.choice.items() if choice != "port"]
        self.ported = whole[0] if len(whole) == 1 and len(self.choice) > 1 else ""
        # What is one component is that component, such as a card.
        self.alone = (
            whole[0] if len(self.choice) == 1 and self.count.get(whole[0] if whole else "") == 1 else ""
        )

    def node(self, instance: str, component: str, index: int) -> tuple[str, str]:
        """Return node and port of a component of an instance."""
        if self.choice[component] == "port" and self.ported:
            return instance, f"{component}[{index}]"
        if component in (self.ported, self.alone):
            return instance, ""
        return f"{instance}-{component}{index}", ""

    def kind(self, component: str) -> str:
        """Return the kind of a component: of one with ports, a switch."""
        choice = "switch" if component == self.ported else self.choice[component]
        return _KINDS.get(choice, "host")


class _Instances(NamedTuple):
    """Devices of one kind, and what each is called."""

    device: _Device
    nodes: list[str]


def _named(description: object, count: int, at: Place, found: Survey) -> list[str]:
    """Return what the description of instances calls each, as our export has it; else nothing."""
    if not isinstance(description, str) or not description.startswith(NODES):
        return []
    nodes = hosts(description.removeprefix(NODES), at, found)
    return nodes if len(set(nodes)) == len(nodes) == count else []


def _rates(links: object, loc: Loc, tree: Parts) -> dict[str, float | None]:
    rates: dict[str, float | None] = {}
    for n, item in enumerate(tree.items(links, *loc)):
        link = tree.mapping(item, *loc, n)
        name = tree.text(link.get("name"), *loc, n, "name")
        physical = link.get("physical")
        bandwidth = physical.get("bandwidth") if isinstance(physical, dict) else None
        rates[name] = None
        if isinstance(bandwidth, dict):
            unit = str(bandwidth.get("choice", ""))
            if not _UNITS.get(unit):
                tree.wrong((*loc, n), "an unknown unit of bandwidth", got=unit, todo=", ".join(_UNITS))
                continue
            value = tree.number(bandwidth.get(unit), *loc, n)
            rates[name] = None if value is None else value * _UNITS[unit]
    return rates


def infragraph(text: str, path: str, found: Survey) -> None:
    """Read an InfraGraph: each component of each instance is a node, but for ports of a switch."""
    tree = Parts(text, path, found)
    devices: dict[str, _Device] = {}
    for n, item in enumerate(tree.items(tree.data.get("devices", []), "devices")):
        own = tree.mapping(item, "devices", n)
        devices[tree.text(own.get("name"), "devices", n, "name")] = _Device(own, ("devices", n), tree)
    instances: dict[str, _Instances] = {}
    is_ours, n_components = True, 0
    for n, item in enumerate(tree.items(tree.data.get("instances", []), "instances")):
        own = tree.mapping(item, "instances", n)
        device, count = own.get("device"), own.get("count", 1)
        if device not in devices or not isinstance(count, int) or not 0 < count <= MAX_CABLES:
            tree.wrong(("instances", n), "no such device, or no count", got=str(device))
            continue
        name = tree.text(own.get("name"), "instances", n, "name")
        nodes = _named(own.get("description"), count, tree.at("instances", n), found) if is_ours else []
        # Hostlists of others are not expanded one after another.
        is_ours = bool(nodes)
        # Names that are too many are counted, not made; what has no component has a name all the same.
        n_components += count * max(1, sum(devices[device].count.values()))
        if n_components <= MAX_CABLES:
            instances[name] = _Instances(devices[device], nodes or [f"{name}{i}" for i in range(count)])
    if n_components > MAX_CABLES:
        told = f"more than {MAX_CABLES:,} components of all instances"
        tree.wrong(("instances",), told, got=f"{n_components:,}")
    if found.problems:
        return
    for one in instances.values():
        for node in one.nodes:
            _inside(node, one.device, tree, found)
    rates = _rates(tree.data.get("links", []), ("links",), tree)
    for n, item in enumerate(tree.items(tree.data.get("edges", []), "edges")):
        edge, loc = tree.mapping(item, "edges", n), ("edges", n)
        ends = [list(_outer(edge.get(key), instances, (*loc, key), tree)) for key in ("ep1", "ep2")]
        _join(edge, ends, rates, loc, tree, found)


def _inside(instance: str, device: _Device, tree: Parts, found: Survey) -> None:
    for component, count in device.count.items():
        for index in range(count):
            node, port = device.node(instance, component, index)
            if not port:
                found.node(node, device.kind(component), tree.at("devices"))
    for edge, loc in device.edges:
        ends = []
        for key in ("ep1", "ep2"):
            own = tree.mapping(edge.get(key), *loc, key)
            indices = _range(own.get("component"), device.count, (*loc, key), tree)
            ends.append([device.node(instance, name, i) for name, i in indices])
        # The ports of a switch are joined with it by what it is made of.
        if not any(port for one in ends for _, port in one):
            _join(edge, ends, device.links, loc, tree, found)


def _outer(
    end: object, instances: Mapping[str, _Instances], loc: Loc, tree: Parts
) -> Iterator[tuple[str, str]]:
    own = tree.mapping(end, *loc)
    counts = {name: len(one.nodes) for name, one in instances.items()}
    for name, i in _range(own.get("instance"), counts, loc, tree):
        device, nodes = instances[name]
        for component, index in _range(own.get("component"), device.count, loc, tree):
            yield device.node(nodes[i], component, index)


def _range(text: object, counts: Mapping[str, int], loc: Loc, tree: Parts) -> list[tuple[str, int]]:
    """Return what ``nic[0:2]``, ``nic[1]`` or ``nic`` names."""
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match["name"] not in counts:
        tree.wrong(loc, "a dangling end: no such instance or component", got=str(text))
        return []
    n = counts[match["name"]]
    bounds = [] if match["slice"] is None else match["slice"].split(":")
    if len(bounds) > 3 or not all(_BOUND.fullmatch(bound) for bound in bounds):
        tree.wrong(loc, "no slice", got=str(text), todo="such as [2], [0:4] or [::2]")
        return []
    given = [int(bound) if bound else None for bound in bounds]
    beyond = [k for k in given[:2] if k is not None and not -n <= k <= n]
    if len(given) == 1 and given[0] is not None:
        chosen = [given[0] % n] if -n <= given[0] < n else []
    else:
        chosen = [] if beyond or given[2:] == [0] else list(range(n))[slice(*(given or [None]))]
    if not chosen:
        tree.wrong(loc, f"an index beyond the {n:,} there are", got=str(text))
    return [(match["name"], i) for i in chosen]


def _join(
    edge: Mapping[str, Any],
    ends: list[list[tuple[str, str]]],
    rates: Mapping[str, float | None],
    loc: Loc,
    tree: Parts,
    found: Survey,
) -> None:
    link, scheme = str(edge.get("link", "")), edge.get("scheme", "many2many")
    if link not in rates:
        tree.wrong((*loc, "link"), "no such link", got=link)
        return
    if scheme not in ("one2one", "many2many"):
        tree.wrong((*loc, "scheme"), "an unknown scheme", got=str(scheme), todo="one2one or many2many")
        return
    if scheme == "one2one" and len(ends[0]) != len(ends[1]):
        tree.wrong(loc, "one2one needs as many on both sides", got=f"{len(ends[0])} and {len(ends[1])}")
        return
    if len(ends[0]) * len(ends[1]) > MAX_CABLES:
        tree.wrong(loc, f"more than {MAX_CABLES:,} cables")
        return
    pairs = zip(*ends, strict=True) if scheme == "one2one" else product(*ends)
    for one, other in pairs:
        if one[0] != other[0]:
            found.loose_or_ported(one, other, tree.at(*loc), rates[link])
