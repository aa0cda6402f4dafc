"""Formats that are documents in YAML or JSON: laboratories, ASTRA-sim, NetworkX, Cytoscape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from fabric.blueprint.document import Document, Loc
from fabric.blueprint.limits import Room
from fabric.blueprint.reader import read_text
from fabric.errors import TopologyError
from fabric.interop.sources.found import MAX_BYTES, MAX_CABLES, Place, Port, Survey
from fabric.units import parse_rate

_MAX_NODES = 20_000_000
"""Keys and values of a document."""
_KIND_OF_SYSTEM = {"cumulus-vx": "switch", "sonic-vs": "switch"}


class Parts:
    """A document whose parts are asked for with their types; what is not there is a problem at its line."""

    def __init__(self, text: str, path: str, found: Survey, *, n_before: int = 0) -> None:
        self._found, self._path = found, path
        self._n_before = n_before  # lines that were put before those of the file
        self.document: Document | None = None
        try:
            self.document = read_text(text, path, room=Room(n_bytes=MAX_BYTES, n_nodes=_MAX_NODES))
        except TopologyError as error:
            found.problems.extend(replace(p, line=max(1, p.line - n_before)) for p in error.problems)

    @property
    def data(self) -> Mapping[str, Any]:
        """The whole; empty where it cannot be read."""
        return self.document.data if self.document else {}

    def at(self, *loc: str | int) -> Place:
        """Return the file and the line of a part."""
        line = self.document.locate(loc).line if self.document else 1
        return self._path, max(1, line - self._n_before)

    def mapping(self, value: object, *loc: str | int) -> Mapping[str, Any]:
        """Return a value that must be a mapping."""
        if isinstance(value, dict):
            return value
        self.wrong(loc, "expected keys and values")
        return {}

    def items(self, value: object, *loc: str | int) -> list[Any]:
        """Return a value that must be a list."""
        if isinstance(value, list):
            return value
        self.wrong(loc, "expected a list")
        return []

    def text(self, value: object, *loc: str | int) -> str:
        """Return a value that must be a name, which may be a number."""
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
        self.wrong(loc, "expected a name")
        return ""

    def number(self, value: object, *loc: str | int) -> float | None:
        """Return a value that must be a number above zero."""
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
        self.wrong(loc, "expected a number above zero")
        return None

    def wrong(self, loc: Loc, fault: str, *, got: str = "", todo: str = "") -> None:
        """Note what is wrong at a part."""
        if self.document:
            where = ".".join(map(str, loc)) or "file"
            self._found.problem(self.at(*loc), where, fault, got=got[:60], todo=todo)


def containerlab(text: str, path: str, found: Survey) -> None:
    """Read a topology of containerlab; rates are labels of links, ``rate-gbps``, as our export has them."""
    tree = Parts(text, path, found)
    topology = tree.mapping(tree.data.get("topology", {}), "topology")
    nodes = tree.mapping(topology.get("nodes", {}), "topology", "nodes")
    for n, link in enumerate(tree.items(topology.get("links", []), "topology", "links")):
        loc = ("topology", "links", n)
        link = tree.mapping(link, *loc)
        if link.get("type", "veth") not in ("veth", "veth-stitch"):
            continue  # a way out of the laboratory, and no cable between two of its nodes
        ends = tree.items(link.get("endpoints"), *loc, "endpoints")
        if len(ends) != 2:
            tree.wrong((*loc, "endpoints"), "a link has two endpoints", got=str(len(ends)))
            continue
        ports = [_clab_end(end, tree, (*loc, "endpoints", i)) for i, end in enumerate(ends)]
        for i, (node, _) in enumerate(ports):
            if node and node not in nodes:
                tree.wrong((*loc, "endpoints", i), f"no node {node}", todo="a dangling end")
        labels = link.get("labels")
        rate = labels.get("rate-gbps") if isinstance(labels, dict) else None
        gbps = found.rate(f"{rate}Gb/s", tree.at(*loc, "labels")) if rate is not None else None
        if all(node in nodes for node, _ in ports):
            found.cable(ports[0], ports[1], tree.at(*loc), gbps)


def _clab_end(end: object, tree: Parts, loc: Loc) -> Port:
    if isinstance(end, dict):
        return tree.text(end.get("node"), *loc, "node"), tree.text(end.get("interface"), *loc, "interface")
    node, _, port = tree.text(end, *loc).partition(":")
    return node, port


def netlab(text: str, path: str, found: Survey) -> None:
    """Read a topology of netlab, with bandwidths in kb/s."""
    tree = Parts(text, path, found)
    nodes = tree.data.get("nodes", [])
    known = set(nodes if isinstance(nodes, dict) else map(str, tree.items(nodes, "nodes")))
    for n, link in enumerate(tree.items(tree.data.get("links", []), "links")):
        if isinstance(link, str):
            link = dict.fromkeys(link.split("-"), {})
        link = tree.mapping(link, "links", n)
        ends = [key for key in link if key in known]
        if len(ends) != 2:
            got = ", ".join(map(str, link))
            tree.wrong(
                ("links", n), "a link joins two of the nodes", got=got, todo="one of them is not listed"
            )
            continue
        ports = [_netlab_port(link[end]) for end in ends]
        kbps = tree.number(link["bandwidth"], "links", n, "bandwidth") if "bandwidth" in link else None
        gbps = None if kbps is None else kbps / 1e6
        if not all(ports):
            ports = ["", ""]
        found.cable((ends[0], ports[0]), (ends[1], ports[1]), tree.at("links", n), gbps)


def _netlab_port(end: object) -> str:
    name = end.get("ifname") if isinstance(end, dict) else None
    return name if isinstance(name, str) else ""


def nvidia_air(text: str, path: str, found: Survey) -> None:
    """Read a simulation of NVIDIA Air."""
    tree = Parts(text, path, found)
    content = tree.mapping(tree.data.get("content", {}), "content")
    nodes = tree.mapping(content.get("nodes", {}), "content", "nodes")
    for name, node in nodes.items():
        system = str(node.get("os", "")) if isinstance(node, dict) else ""
        kind = next((k for word, k in _KIND_OF_SYSTEM.items() if system.startswith(word)), "host")
        found.node(name, kind, tree.at("content", "nodes", name))
    for n, link in enumerate(tree.items(content.get("links", []), "content", "links")):
        loc = ("content", "links", n)
        ends = [tree.mapping(end, *loc, i) for i, end in enumerate(tree.items(link, *loc))]
        if len(ends) != 2:
            tree.wrong(loc, "a link has two ends", got=str(len(ends)))
            continue
        ports = [
            (
                tree.text(end.get("node"), *loc, i, "node"),
                tree.text(end.get("interface"), *loc, i, "interface"),
            )
            for i, end in enumerate(ends)
        ]
        unknown = [node for node, _ in ports if node and node not in nodes]
        if unknown:
            tree.wrong(loc, f"no node {unknown[0]}", todo="a dangling end")
        elif all(node and port for node, port in ports):
            found.cable(ports[0], ports[1], tree.at(*loc))


_BLOCKS: Mapping[str, Callable[[int], Iterator[tuple[int, int]]]] = {
    "Ring": lambda n: ((i, (i + 1) % n) for i in range(n if n > 2 else n - 1)),
    "FullyConnected": lambda n: ((i, j) for i in range(n) for j in range(i + 1, n)),
}


def astra_sim(text: str, path: str, found: Survey) -> None:
    """Read ``network.yml`` of ASTRA-sim's analytical network: a product of rings, full meshes and switches.

    Bandwidths are GiB/s of every link: the file says GB/s, and ASTRA-sim's code multiplies by 2**30
    (``common/network-parser``, ``congestion_aware`` topologies).
    """
    tree = Parts(text, path, found)
    words = {key: tree.items(tree.data.get(key), key) for key in ("topology", "npus_count", "bandwidth")}
    if len({len(own) for own in words.values()}) != 1:
        got = ", ".join(f"{len(own)} {key}" for key, own in words.items())
        tree.wrong((), "lists of different lengths", got=got)
        return
    dimensions = []
    for k, kind in enumerate(words["topology"]):
        size, rate = words["npus_count"][k], tree.number(words["bandwidth"][k], "bandwidth", k)
        if kind not in (*_BLOCKS, "Switch"):
            tree.wrong(
                ("topology", k), "an unknown block", got=str(kind), todo=", ".join((*_BLOCKS, "Switch"))
            )
        elif not isinstance(size, int) or isinstance(size, bool) or size < 2:
            tree.wrong(("npus_count", k), "expected a whole number of at least 2", got=str(size))
        elif rate is not None:
            dimensions.append((str(kind), size, parse_rate(f"{rate}GiB/s")))
    n = math.prod(size for _, size, _ in dimensions)
    if len(dimensions) != len(words["topology"]) or n > MAX_CABLES:
        if n > MAX_CABLES:
            tree.wrong(("npus_count",), f"more than {MAX_CABLES:,} NPUs", got=f"{n:,}")
        return
    _product(dimensions, n, tree.at("topology"), found)


def _product(dimensions: list[tuple[str, int, float]], n: int, at: Place, found: Survey) -> None:
    """Add the cables of a product; the first dimension is innermost."""
    step = 1
    for k, (kind, size, gbps) in enumerate(dimensions):
        for first in range(n):
            if first // step % size:
                continue
            # The NPUs along this dimension that are equal in all others.
            line = [first + i * step for i in range(size)]
            if kind == "Switch":
                switch = f"dim{k}-sw{first % step + first // (step * size) * step}"
                found.node(switch, "switch", at)
                for v in line:
                    found.cable((f"npu{v}", ""), (switch, ""), at, gbps)
                continue
            for i, j in _BLOCKS[kind](size):
                found.cable((f"npu{line[i]}", ""), (f"npu{line[j]}", ""), at, gbps)
        step *= size
    for v in range(n):
        found.node(f"npu{v}", "gpu", at)


def node_link(text: str, path: str, found: Survey) -> None:
    """Read node-link JSON of NetworkX, with our attributes where they are."""
    tree = Parts(text, path, found)
    key = "edges" if "edges" in tree.data else "links"
    for n, node in enumerate(tree.items(tree.data.get("nodes", []), "nodes")):
        _graph_node(tree.mapping(node, "nodes", n), tree, ("nodes", n), found)
    for n, edge in enumerate(tree.items(tree.data.get(key, []), key)):
        _graph_edge(tree.mapping(edge, key, n), tree, (key, n), found)


def cytoscape(text: str, path: str, found: Survey) -> None:
    """Read the JSON of Cytoscape."""
    tree = Parts(text, path, found)
    elements = tree.mapping(tree.data.get("elements", {}), "elements")
    for key, read in (("nodes", _graph_node), ("edges", _graph_edge)):
        for n, item in enumerate(tree.items(elements.get(key, []), "elements", key)):
            loc = ("elements", key, n, "data")
            data = tree.mapping(tree.mapping(item, *loc[:-1]).get("data"), *loc)
            read(data, tree, loc, found)


def _graph_node(node: Mapping[str, Any], tree: Parts, loc: Loc, found: Survey) -> None:
    name = tree.text(node.get("id"), *loc)
    if node.get("kind"):
        found.kind(name, str(node["kind"]), tree.at(*loc))


def _graph_edge(edge: Mapping[str, Any], tree: Parts, loc: Loc, found: Survey) -> None:
    ends = tree.text(edge.get("source"), *loc), tree.text(edge.get("target"), *loc)
    rate = tree.number(edge["rate_gbps"], *loc, "rate_gbps") if "rate_gbps" in edge else None
    edge_of(found, ends, tree.at(*loc), rate, edge.get("count", 1), edge.get("failed_count", 0))


def edge_of(
    found: Survey, ends: tuple[str, str], at: Place, rate: float | None, count: object, failed: object
) -> None:
    """Add the cables of an edge that are up."""
    whole = [n for n in (count, failed) if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 4096]
    if len(whole) != 2:
        found.problem(at, "edge", "count and failed_count are whole numbers up to 4,096", got=str(count)[:20])
        return
    for _ in range(whole[0] - whole[1]):
        found.cable((ends[0], ""), (ends[1], ""), at, rate)
