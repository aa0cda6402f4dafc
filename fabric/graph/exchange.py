"""The physical fabric as a `networkx.MultiGraph` and back, without loss."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeVar, cast, get_args

import networkx as nx
import numpy as np

from fabric.arguments import checked
from fabric.arrays import Ints
from fabric.blueprint.model import DEFAULT_TRANSIT, Net, Transit
from fabric.errors import GraphError, LimitError
from fabric.graph.expanded import EXPAND_LIMIT, Expanded, GroupInfo, RuleInfo
from fabric.graph.fabric import Fabric, expand

NETWORKX_LIMIT = 300_000
"""Devices, or cable bundles, that `to_networkx` puts into a graph unless asked for more (about 1 kB each)."""

TRANSITS: tuple[Transit, ...] = get_args(Transit)
NETS: tuple[Net, ...] = get_args(Net)
_Word = TypeVar("_Word", Transit, Net)


@checked
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
        ``rate_gbps`` per cable and direction, ``count``, ``failed_count``, ``capacity`` (per direction, of
        the cables that are up), ``net``, ``medium``, ``protocol``, ``length_m``, and ``lower``, the end
        nearer the endpoints, where the rule is oriented; ``tail`` and ``head`` where it is one-way. Where one
        rule joins a pair both ways by one-way cables, the second key is ``(key, "back")`` and its edge
        carries ``rule``, the key proper.

    Raises
    ------
    LimitError
        Naming the size and what to do.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> devices = "devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}"
    >>> links = "links: [{between: [gpu, leaf], rate: 400Gb/s}]"
    >>> graph = to_networkx(loads(f"{{fabric: a, axes: {{i: 2}}, {devices}, {links}}}"))
    >>> graph["gpu0"]["leaf"]["gpu-leaf"]["capacity"]
    400.0
    """
    e = expand(fabric, limit=max(limit, EXPAND_LIMIT))
    largest = max(e.n_devices, e.n_bundles)
    if largest > limit:
        msg = (
            f"{e.name} has {e.n_devices:,} devices and {e.n_bundles:,} cable bundles; a NetworkX graph is "
            f"limited to {limit:,}, about 1 kB each. Pass limit={largest} if memory allows, or work on "
            "fabric.expand(f)"
        )
        raise LimitError(msg)
    graph = nx.MultiGraph(name=e.name)
    names = node_names(e)
    columns = {axis: index.tolist() for axis, index in e.coordinates.items()}
    for v, (name, g, failed) in enumerate(zip(names, e.group.tolist(), e.failed.tolist(), strict=True)):
        info = e.groups[g]
        graph.add_node(
            name,
            kind=info.kind,
            part=info.part,
            group=info.name,
            transit=info.transit,
            endpoint=info.is_endpoint,
            failed=failed,
            coordinates={axis: columns[axis][v] for axis in info.axes},
        )
    shared = [_rule_attributes(rule) for rule in e.rules]
    rows = (e.tail, e.head, e.rule, e.rate_gbps, e.count, e.failed_count, e.alive * e.rate_gbps)
    for u, v, r, rate, count, down, capacity in zip(*(a.tolist() for a in rows), strict=True):
        rule = e.rules[r]
        data = {"rate_gbps": rate, "count": count, "failed_count": down, "capacity": capacity, **shared[r]}
        if not rule.is_peer:
            data["lower"] = names[u]
        if rule.is_oneway:
            data["tail"], data["head"] = names[u], names[v]
        key = rule.key
        if rule.is_oneway and graph.has_edge(names[u], names[v], key):
            key, data["rule"] = (key, "back"), key
        graph.add_edge(names[u], names[v], key=key, **data)
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


@checked
def from_networkx(graph: nx.Graph, *, name: str = "", capacity: str = "capacity") -> Fabric:
    """Return a fabric from any graph whose edges have a capacity.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Edges carry `capacity` [Gb/s per direction], or ``rate_gbps`` per cable; ``count`` cables, 1 by
        default. Each arc of a directed graph becomes a one-way bundle. Nodes and edges may carry whatever
        `to_networkx` writes, and that comes back from there; other attributes are not kept. A node without
        ``kind`` is an endpoint that forwards anything; an edge without ``lower`` joins peers.
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
    if not isinstance(graph, nx.Graph):
        msg = f"expected a networkx graph; got {type(graph).__name__}"
        raise GraphError(msg)
    number = {node: i for i, node in enumerate(graph.nodes)}
    groups, group, coordinates = _devices(graph)
    rules: dict[tuple[object, ...], int] = {}
    infos: list[RuleInfo] = []
    rows = []
    for u, v, key, data in _edges(graph):
        lower, upper, info = _oriented(graph, u, v, key, data)
        # Keys of different types may be equal (1 and True); they stay different rules.
        rule = rules.setdefault((type(key), info), len(rules))
        if rule == len(infos):
            infos.append(info)
        rows.append((rule, number[lower], number[upper], *_numbers(graph, u, v, data, capacity)))
    rows.sort(key=lambda row: row[0])
    rule_of, tail, head, rate, count, failed = zip(*rows, strict=True) if rows else [()] * 6
    title = name or str(graph.graph.get("name") or "graph")
    expanded = Expanded(
        name=title,
        groups=tuple(groups),
        rules=tuple(infos),
        group=np.array(group, dtype=np.int32),
        tail=np.array(tail, dtype=np.int64),
        head=np.array(head, dtype=np.int64),
        rule=np.array(rule_of, dtype=np.int32),
        rate_gbps=np.array(rate, dtype=np.float64),
        count=np.array(count, dtype=np.int64),
        failed_count=np.array(failed, dtype=np.int64),
        failed=np.array([bool(d.get("failed", False)) for _, d in graph.nodes(data=True)], dtype=np.bool_),
        names=tuple(number),
        coordinates=coordinates,
    )
    return Fabric(title, graph=expanded)


def _devices(graph: nx.Graph) -> tuple[list[GroupInfo], list[int], dict[str, Ints]]:
    """Return the groups, the group of each node, and its index on every axis."""
    known: dict[GroupInfo, int] = {}
    group = []
    places = []
    for node, data in graph.nodes(data=True):
        place = _coordinates(node, data.get("coordinates", {}))
        places.append(place)
        kind = data.get("kind") or ""
        info = GroupInfo(
            name=str(data.get("group", kind or "node")),
            kind=str(kind),
            part=str(data.get("part") or ""),
            transit=_one_of(
                f"node {node!r}",
                "transit",
                data.get("transit", DEFAULT_TRANSIT.get(str(kind), "all")),
                TRANSITS,
            ),
            is_endpoint=bool(data.get("endpoint", kind in ("", "gpu"))),
            axes=tuple(place),
        )
        group.append(known.setdefault(info, len(known)))
    axes = dict.fromkeys(axis for place in places for axis in place)
    columns = {axis: np.array([place.get(axis, -1) for place in places], dtype=np.int64) for axis in axes}
    return list(known), group, columns


def _coordinates(node: Hashable, value: object) -> dict[str, int]:
    """Return the coordinates of a node, checked."""
    if isinstance(value, Mapping) and all(isinstance(axis, str) for axis in value):
        place = {axis: _whole(index) for axis, index in value.items()}
        if all(index is not None and index >= 0 for index in place.values()):
            return cast(dict[str, int], place)
    msg = f"node {node!r}: coordinates must map axes to whole numbers from 0; got {value!r}"
    raise GraphError(msg)


def _edges(graph: nx.Graph) -> Iterator[tuple[Hashable, Hashable, Hashable, Mapping[str, Any]]]:
    if graph.is_multigraph():
        yield from graph.edges(keys=True, data=True)
    else:
        yield from ((u, v, "link", data) for u, v, data in graph.edges(data=True))


def _oriented(
    graph: nx.Graph, u: Hashable, v: Hashable, key: Hashable, data: Mapping[str, Any]
) -> tuple[Hashable, Hashable, RuleInfo]:
    """Return lower (or source) end, upper (or target) end, and the rule of an edge."""
    where = _edge(graph, u, v)
    if u == v:
        msg = f"{where}: a device is never joined with itself; leave the edge out"
        raise GraphError(msg)
    is_oneway = graph.is_directed() or "tail" in data or "head" in data
    first, last = (v, u) if data.get("lower", u) == v and not is_oneway else (u, v)
    if is_oneway:
        tail, head = (u, v) if graph.is_directed() else (None, None)
        first, last = data.get("tail", tail), data.get("head", head)
    if (first, last) != (u, v) and (graph.is_directed() or (first, last) != (v, u)):
        msg = f"{where}: tail and head must be its two ends; got {first!r} and {last!r}"
        raise GraphError(msg)
    if "lower" in data and data["lower"] != first:
        what = "a one-way cable starts at its lower end" if is_oneway else "lower must be one of its two ends"
        msg = f"{where}: {what}; got {data['lower']!r}; leave lower out to join peers"
        raise GraphError(msg)
    info = RuleInfo(
        name=str(data.get("rule", key)),
        net=_one_of(where, "net", data.get("net", "scale-out"), NETS),
        is_peer="lower" not in data,
        is_oneway=is_oneway,
        medium=str(data.get("medium", "")),
        protocol=str(data.get("protocol", "")),
        length_m=_length(where, data.get("length_m")),
        key=data.get("rule", key),
    )
    return first, last, info


def _numbers(
    graph: nx.Graph, u: Hashable, v: Hashable, data: Mapping[str, Any], capacity: str
) -> tuple[float, int, int]:
    """Return rate, count and failed count of an edge."""
    count, failed = _whole(data.get("count", 1)), _whole(data.get("failed_count", 0))
    if count is None or failed is None or count < 1 or not 0 <= failed <= count:
        got = f"count {data.get('count', 1)!r} with {data.get('failed_count', 0)!r} failed"
        msg = (
            f"{_edge(graph, u, v)}: {got}; expected whole numbers, count >= 1 and 0 <= failed_count <= count"
        )
        raise GraphError(msg)
    if "rate_gbps" in data:
        rate = _rate(graph, u, v, "rate_gbps", data)
    elif capacity in data and failed < count:
        rate = _rate(graph, u, v, capacity, data) / (count - failed)
    else:
        todo = f"set it with networkx.set_edge_attributes(G, 400.0, {capacity!r})"
        msg = f"{_edge(graph, u, v)} has no {capacity if failed < count else 'rate_gbps'!r}; {todo}"
        raise GraphError(msg)
    if capacity in data and "rate_gbps" in data:
        up = 0 if any(graph.nodes[end].get("failed", False) for end in (u, v)) else count - failed
        said = _rate(graph, u, v, capacity, data)
        if not math.isclose(said, up * rate, rel_tol=1e-9):
            msg = (
                f"{_edge(graph, u, v)}: {capacity} is {said!r}, but {up} cables up of {rate!r} Gb/s make "
                f"{up * rate!r}; change rate_gbps, count or failed_count and leave {capacity} out"
            )
            raise GraphError(msg)
    return rate, count, failed


def _edge(graph: nx.Graph, u: Hashable, v: Hashable) -> str:
    return f"edge {u!r} {'->' if graph.is_directed() else '-'} {v!r}"


def _rate(graph: nx.Graph, u: Hashable, v: Hashable, key: str, data: Mapping[str, Any]) -> float:
    """Return the attribute `key` as a rate, checked."""
    rate = _real(data[key])
    if rate is None or not 0 <= rate < math.inf:
        msg = (
            f"{_edge(graph, u, v)}: {key} must be a number [Gb/s], finite and not negative; got {data[key]!r}"
        )
        raise GraphError(msg)
    return rate


def _length(where: str, value: object) -> float | None:
    """Return a cable length [m], checked; None stays None."""
    length = _real(value)
    if value is not None and (length is None or not 0 <= length < math.inf):
        msg = f"{where}: length_m must be a number of metres; got {value!r}"
        raise GraphError(msg)
    return length


def _one_of(where: str, key: str, value: object, known: tuple[_Word, ...]) -> _Word:
    """Return `value` if it is one of the `known` words."""
    for word in known:
        if word == value:
            return word
    msg = f"{where}: unknown {key} {value!r}; use {', '.join(known)}"
    raise GraphError(msg)


def _real(value: object) -> float | None:
    """Return a number as float; None for what is no number, texts and truth values included."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    return float(cast(float, value)) if is_number else None


def _whole(value: object) -> int | None:
    """Return a number as int; None for what is not whole."""
    real = _real(value)
    return int(real) if real is not None and real.is_integer() else None
