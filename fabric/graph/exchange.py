"""The physical fabric as a `networkx.MultiGraph` and back, without loss."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, cast

import networkx as nx
import numpy as np

from fabric.blueprint.model import DEFAULT_TRANSIT, Net
from fabric.errors import GraphError, LimitError
from fabric.graph.expanded import Expanded, GroupInfo, RuleInfo
from fabric.graph.fabric import Fabric, expand

NETWORKX_LIMIT = 300_000
"""Devices, or cable bundles, that `to_networkx` puts into a graph unless asked for more (about 1 kB each)."""


def to_networkx(fabric: Fabric, *, limit: int = NETWORKX_LIMIT) -> nx.MultiGraph:
    """Return the physical fabric as a graph.

    Parameters
    ----------
    fabric : Fabric
    limit : int
        Refuse a graph with more nodes, or more edges, than this.

    Returns
    -------
    networkx.MultiGraph
        One node a device: ``kind``, ``part``, ``group``, ``transit``, ``endpoint``, ``failed`` and
        ``coordinates`` (a mapping of axis to index). One edge a cable bundle, keyed by the name of its rule:
        ``rate_gbps`` per cable and direction, ``count``, ``failed_count``, ``capacity`` (per direction, of the cables
        that are up), ``net``, ``medium``, ``protocol``, ``length_m``, and ``lower``, the end nearer the
        endpoints, where the rule is oriented; ``tail`` and ``head`` where it is one-way.

    Raises
    ------
    LimitError
        Naming the size and what to do.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},"
    >>> text += " links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> to_networkx(loads(text))["gpu0"]["leaf"]["gpu-leaf"]["capacity"]
    400.0
    """
    e = expand(fabric, limit=max(limit, 1))
    largest = max(e.n_devices, e.n_bundles)
    if largest > limit:
        msg = (
            f"{e.name} has {e.n_devices:,} devices and {e.n_bundles:,} cable bundles; a NetworkX graph is limited to "
            f"{limit:,}, about 1 kB each. Pass limit={largest} if memory allows, or work on fabric.expand(f)"
        )
        raise LimitError(msg)
    graph = nx.MultiGraph(name=e.name)
    names = node_names(e)
    placed = [g.axes for g in e.groups]
    columns = {axis: index.tolist() for axis, index in e.coordinates.items()}
    for v, (name, g) in enumerate(zip(names, e.group.tolist(), strict=True)):
        info = e.groups[g]
        graph.add_node(
            name,
            kind=info.kind,
            part=info.part,
            group=info.name,
            transit=info.transit,
            endpoint=info.is_endpoint,
            failed=bool(e.failed[v]),
            coordinates={a: columns[a][v] for a in placed[g]},
        )
    alive = e.alive
    shared = [_rule_attributes(rule) for rule in e.rules]
    rows = (e.tail, e.head, e.rule, e.rate_gbps, e.count, e.failed_count, alive * e.rate_gbps)
    for u, v, r, rate, count, failed, capacity in zip(*(a.tolist() for a in rows), strict=True):
        rule = e.rules[r]
        data = {"rate_gbps": rate, "count": count, "failed_count": failed, "capacity": capacity, **shared[r]}
        if not rule.is_peer:
            data["lower"] = names[u]
        if rule.is_oneway:
            data["tail"], data["head"] = names[u], names[v]
        graph.add_edge(names[u], names[v], key=rule.key, **data)
    return graph


def node_names(e: Expanded) -> list[Hashable]:
    """Return the names of all devices."""
    make = getattr(e.names, "all", None)
    return list(make() if make else e.names)


def _rule_attributes(rule: RuleInfo) -> dict[str, object]:
    found: dict[str, object] = {"net": rule.net}
    if rule.medium:
        found["medium"] = rule.medium
    if rule.protocol:
        found["protocol"] = rule.protocol
    if rule.length_m is not None:
        found["length_m"] = rule.length_m
    return found


def from_networkx(graph: nx.Graph, *, name: str = "", capacity: str = "capacity") -> Fabric:
    """Return a fabric from any graph whose edges have a capacity.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Edges carry `capacity` [Gb/s per direction], or ``rate_gbps`` and ``count``. Each arc of a directed graph
        becomes one one-way cable. Nodes may carry what `to_networkx` writes; a node without ``kind`` is an
        endpoint that forwards anything.
    name : str
        Name of the fabric; that of the graph by default.
    capacity : str
        Attribute to read.

    Returns
    -------
    Fabric
        Without a blueprint; its devices are named by the nodes, and its rules by the edge keys.

    Raises
    ------
    GraphError
        Naming the node or edge that does not fit.

    Examples
    --------
    >>> import networkx as nx
    >>> ring = nx.cycle_graph(4)
    >>> nx.set_edge_attributes(ring, 100.0, "capacity")
    >>> from_networkx(ring)
    <Fabric graph: 4 devices>
    """
    names = list(graph.nodes)
    number = {node: i for i, node in enumerate(names)}
    groups, group = _groups(graph)
    rules: dict[tuple[Any, ...], int] = {}
    rows = []
    for u, v, key, data in _edges(graph):
        tail, head, info = _oriented(graph, u, v, key, data)
        rate, count, failed = _numbers(u, v, data, capacity)
        # Keys of different types may print alike (0 and "0"); they stay different rules.
        rule = rules.setdefault((type(key), *_identity(info)), len(rules))
        rows.append((rule, number[tail], number[head], rate, count, failed, info))
    infos: list[RuleInfo] = [None] * len(rules)  # type: ignore[list-item]
    for rule, *_, info in rows:
        infos[rule] = info
    rows.sort(key=lambda row: row[0])
    columns = list(zip(*(row[:6] for row in rows), strict=True)) or [()] * 6
    axes = dict.fromkeys(a for _, d in graph.nodes(data=True) for a in d.get("coordinates", {}))
    coordinates = {
        axis: np.array([d.get("coordinates", {}).get(axis, -1) for _, d in graph.nodes(data=True)], dtype=np.int64)
        for axis in axes
    }
    title = name or str(graph.graph.get("name") or "graph")
    expanded = Expanded(
        name=title,
        groups=tuple(groups),
        rules=tuple(infos),
        group=np.array(group, dtype=np.int32),
        tail=np.array(columns[1], dtype=np.int64),
        head=np.array(columns[2], dtype=np.int64),
        rule=np.array(columns[0], dtype=np.int32),
        rate_gbps=np.array(columns[3], dtype=np.float64),
        count=np.array(columns[4], dtype=np.int64),
        failed_count=np.array(columns[5], dtype=np.int64),
        failed=np.array([bool(d.get("failed", False)) for _, d in graph.nodes(data=True)], dtype=np.bool_),
        names=tuple(names),
        coordinates=coordinates,
    )
    return Fabric(title, graph=expanded)


def _identity(info: RuleInfo) -> tuple[Any, ...]:
    return (info.key, info.net, info.is_peer, info.is_oneway, info.medium, info.protocol, info.length_m)


def _groups(graph: nx.Graph) -> tuple[list[GroupInfo], list[int]]:
    known: dict[GroupInfo, int] = {}
    group = []
    for node, data in graph.nodes(data=True):
        kind = data.get("kind")
        transit = data.get("transit", DEFAULT_TRANSIT.get(kind or "", "all"))
        if transit not in ("turn", "pass", "end", "relay", "all"):
            msg = f"node {node!r}: unknown transit {transit!r}; use turn, pass, end, relay or all"
            raise GraphError(msg)
        axes = tuple(data.get("coordinates", {}))
        ends = bool(data.get("endpoint", kind in (None, "gpu")))
        info = GroupInfo(str(data.get("group", kind or "node")), kind or "", data.get("part", ""), transit, ends, axes)
        group.append(known.setdefault(info, len(known)))
    return list(known), group


def _edges(graph: nx.Graph) -> list[tuple[Hashable, Hashable, Hashable, Mapping[str, Any]]]:
    if graph.is_multigraph():
        return list(graph.edges(keys=True, data=True))
    return [(u, v, "link", data) for u, v, data in graph.edges(data=True)]


def _oriented(
    graph: nx.Graph, u: Hashable, v: Hashable, key: Hashable, data: Mapping[str, Any]
) -> tuple[Hashable, Hashable, RuleInfo]:
    """Return lower (or source) end, upper (or target) end, and the rule of an edge."""
    if u == v:
        msg = f"edge {u!r} - {v!r}: a device is never joined with itself"
        raise GraphError(msg)
    is_oneway = graph.is_directed() or "tail" in data
    lower = data.get("tail", data.get("lower", u)) if not graph.is_directed() else u
    if lower not in (u, v):
        msg = f"edge {u!r} - {v!r}: its tail or lower end {lower!r} is neither of its nodes"
        raise GraphError(msg)
    info = RuleInfo(
        name=str(key),
        net=cast(Net, data.get("net", "scale-out")),
        is_peer="lower" not in data,
        is_oneway=is_oneway,
        medium=str(data.get("medium", "")),
        protocol=str(data.get("protocol", "")),
        length_m=data.get("length_m"),
        key=key,
    )
    return lower, v if lower == u else u, info


def _numbers(u: Hashable, v: Hashable, data: Mapping[str, Any], capacity: str) -> tuple[float, int, int]:
    """Return rate, count and failed count of an edge."""
    count, failed = int(data.get("count", 1)), int(data.get("failed_count", 0))
    if count < 1 or not 0 <= failed <= count:
        msg = f"edge {u!r} - {v!r}: count {count} with {failed} failed; expected 0 <= failed_count <= count"
        raise GraphError(msg)
    if "rate_gbps" in data and "count" in data:
        rate = float(data["rate_gbps"])
    elif capacity in data:
        rate = float(data[capacity]) / count
    else:
        msg = f"edge {u!r} - {v!r} has no {capacity!r}; set it with networkx.set_edge_attributes(G, 400.0, {capacity!r})"
        raise GraphError(msg)
    if not (math.isfinite(rate) and rate >= 0):
        msg = f"edge {u!r} - {v!r}: capacity must be finite and not negative; got {rate}"
        raise GraphError(msg)
    return rate, count, failed
