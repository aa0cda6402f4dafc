"""The physical fabric as a `networkx.MultiGraph` and back, without loss."""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
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
from fabric.units import MAX_COUNT

NETWORKX_LIMIT = 300_000
"""Devices, or cable bundles, that `to_networkx` puts into a graph unless asked for more (about 1 kB each)."""

MAX_INDEX = 2**31 - 1
"""Largest index on an axis."""
MIN_RATE_GBPS, MAX_RATE_GBPS = 1e-300, 1e301
"""Least rate of a cable that has any, and largest of all cables together [Gb/s]."""
MAX_LENGTH_M = 1e9
"""Longest cable."""
_AXIS = "axis_"
"""What the name of an attribute begins with that holds a coordinate."""

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
        One node a device: ``kind``, ``part``, ``group``, ``transit``, ``endpoint``, ``failed``, and for every
        axis the index on it, ``axis_rack`` on axis ``rack``. One edge a cable bundle, keyed by the name of
        its rule: ``rate_gbps`` per cable and direction, ``count``, ``failed_count``, ``capacity`` (per
        direction, of the cables that are up), ``net``, ``medium``, ``protocol``, ``length_m``, and ``lower``,
        the end nearer the endpoints, where the rule is oriented; ``tail`` and ``head`` where it is one-way.
        ``rule`` is the key again, since not every file format keeps keys; where one rule joins a pair both
        ways by one-way cables, the second key is ``(key, "back")``, and where cables of a pair are slow,
        theirs is ``(key, rate)``. All are texts, numbers and truth values, so that `networkx.write_graphml`
        writes them, and `from_networkx` reads them back by ``read_graphml(file, force_multigraph=True)``
        without loss.

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
            **{f"{_AXIS}{axis}": columns[axis][v] for axis in info.axes},
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
        is_again = graph.has_edge(names[u], names[v], key)
        if is_again or isinstance(key, str | int | float):  # what every file format can hold
            data["rule"] = key
        if is_again and rule.is_oneway:
            key = (key, "back")
        # Cables of one rule between two devices may run at several rates.
        while graph.has_edge(names[u], names[v], key):
            key = (key, rate)
        graph.add_edge(names[u], names[v], key=key, **data)
    return graph


def node_names(e: Expanded) -> list[Hashable]:
    """Return the names of all devices."""
    make = getattr(e.names, "all", None)
    return list(make() if make else e.names)


def _rule_attributes(rule: RuleInfo) -> dict[str, object]:
    attributes: dict[str, object] = {"net": rule.net}
    if rule.medium:
        attributes["medium"] = rule.medium
    if rule.protocol:
        attributes["protocol"] = rule.protocol
    if rule.length_m is not None:
        attributes["length_m"] = rule.length_m
    return attributes


@checked
def from_networkx(graph: nx.Graph, *, name: str = "", capacity: str = "capacity") -> Fabric:
    """Return a fabric from any graph whose edges have a capacity.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Edges carry `capacity` [Gb/s per direction], or ``rate_gbps`` per cable; ``count`` cables, 1 by
        default. Each arc of a directed graph becomes a one-way bundle. Nodes and edges may carry whatever
        `to_networkx` writes, and that comes back from there; other attributes are not kept. A node without
        ``kind`` and ``endpoint`` is an endpoint that forwards anything, and the fabric's ``notes`` count
        them; an edge without ``lower`` joins peers.
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
    >>> nx.set_node_attributes(ring, "gpu", "kind")
    >>> from_networkx(ring)
    <Fabric graph: 4 devices>
    """
    number = {node: i for i, node in enumerate(graph.nodes)}
    groups, group, coordinates, failed_devices = _devices(graph)
    rules: dict[tuple[object, ...], int] = {}
    infos: list[RuleInfo] = []
    rows = []
    for u, v, key, data in _edges(graph):
        lower, upper, info = _orient(graph, u, v, key, data)
        # Keys of different types may be equal (1 and True); they stay different rules.
        # Edges whose attributes are alike are one rule.
        rule = rules.setdefault((type(info.key), info), len(rules))
        if rule == len(infos):
            infos.append(info)
        rows.append((rule, number[lower], number[upper], *_numbers(graph, u, v, data, capacity)))
    # A stable sort: rows of one rule are contiguous, edges within it keep their order.
    rows.sort(key=lambda row: row[0])
    rule_of, tail, head, rate, count, failed = zip(*rows, strict=True) if rows else [()] * 6
    if sum(map(operator.mul, rate, count)) > MAX_RATE_GBPS:
        msg = f"the capacities of all edges together are above {MAX_RATE_GBPS:g} Gb/s; choose a larger unit"
        raise GraphError(msg)
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
        failed=np.array(failed_devices, dtype=np.bool_),
        names=tuple(number),
        coordinates=coordinates,
    )
    return Fabric(title, graph=expanded, notes=_guess_note(graph))


_ENDPOINTS = ("", "gpu")
"""Kinds of nodes that are endpoints where nothing else is said."""
_NOBODY = "no node is an endpoint; set endpoint=True on those that send and receive, such as hosts"


def _guess_note(graph: nx.Graph) -> tuple[str, ...]:
    """Say how many nodes were taken for endpoints that forward, since nothing says what they are."""
    unsaid = [(node, data) for node, data in graph.nodes(data=True) if "endpoint" not in data]
    unknown = [node for node, data in unsaid if not data.get("kind")]
    foreign = [node for node, data in unsaid if data.get("kind") and data["kind"] not in DEFAULT_TRANSIT]
    guesses = {
        "have neither kind nor endpoint: taken for endpoints that forward anything; set kind='switch' or "
        "endpoint=False on those that are none": unknown,
        f"have a kind that is none of {', '.join(DEFAULT_TRANSIT)}: taken for no endpoints; set "
        "endpoint=True on those that are some": foreign,
    }
    ends = [d.get("endpoint", d.get("kind", "") in _ENDPOINTS) for _, d in graph.nodes(data=True)]
    nobody = () if any(ends) or foreign else (_NOBODY,)
    return nobody + tuple(
        f"{len(nodes):,} of {len(graph):,} nodes, such as {', '.join(map(_shown, nodes[:3]))}, {guess}"
        for guess, nodes in guesses.items()
        if nodes
    )


def _devices(graph: nx.Graph) -> tuple[list[GroupInfo], list[int], dict[str, Ints], list[bool]]:
    """Return the groups, the group of each node, its index on every axis, and whether it failed."""
    group_ids: dict[GroupInfo, int] = {}
    group, places, failed = [], [], []
    for node, data in graph.nodes(data=True):
        where = f"node {_shown(node)}"
        if not _is_name(node):
            msg = f"{where}: cannot be printed; relabel it with networkx.relabel_nodes"
            raise GraphError(msg)
        place = _coordinates(where, data)
        places.append(place)
        failed.append(_truth(where, "failed", data, False))
        kind = _text(where, "kind", data, "")
        info = GroupInfo(
            name=_text(where, "group", data, kind or "node"),
            kind=kind,
            part=_text(where, "part", data, ""),
            transit=_one_of(
                where, "transit", data.get("transit", DEFAULT_TRANSIT.get(kind, "all")), TRANSITS
            ),
            is_endpoint=_truth(where, "endpoint", data, kind in _ENDPOINTS),
            axes=tuple(place),
        )
        group.append(group_ids.setdefault(info, len(group_ids)))
    axes = dict.fromkeys(axis for place in places for axis in place)
    columns = {axis: np.array([place.get(axis, -1) for place in places], dtype=np.int64) for axis in axes}
    return list(group_ids), group, columns, failed


def _coordinates(where: str, data: Mapping[Hashable, object]) -> dict[str, int]:
    """Return the coordinates of a node, checked."""
    place = {}
    for key, value in data.items():
        if isinstance(key, str) and key.startswith(_AXIS):
            index = _whole(value)
            if index is None or not 0 <= index <= MAX_INDEX:
                msg = f"{where}: {key} must be a whole number from 0 to {MAX_INDEX}; got {_shown(value)}"
                raise GraphError(msg)
            place[key.removeprefix(_AXIS)] = index
    return place


def _text(where: str, key: str, data: Mapping[Any, object], default: str) -> str:
    """Return an attribute that is a text; None and nothing stand for the default."""
    value = data.get(key)
    if value is None or isinstance(value, str):
        return value or default
    msg = f"{where}: {key} must be a text; got {_shown(value)}"
    raise GraphError(msg)


def _truth(where: str, key: str, data: Mapping[Any, object], default: bool) -> bool:
    """Return an attribute that is true or false, which some file formats write as 1 and 0."""
    value = data.get(key, default)
    if isinstance(value, bool | np.bool_) or _whole(value) in (0, 1):
        return bool(value)
    msg = f"{where}: {key} must be true or false; got {_shown(value)}"
    raise GraphError(msg)


def _shown(value: object) -> str:
    """Return a value as an error shows it: not its thousands of digits or items."""
    if isinstance(value, int) and abs(value) >= 10**60:
        return "a number of more than 60 digits"
    try:
        text = repr(value) if isinstance(value, str | int | float | tuple) else reprlib.repr(value)
    except ValueError:  # such a number is in it
        return f"a {type(value).__name__} with a number of too many digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _edges(graph: nx.Graph) -> Iterator[tuple[Hashable, Hashable, Hashable, Mapping[str, Any]]]:
    if graph.is_multigraph():
        yield from graph.edges(keys=True, data=True)
    else:
        yield from ((u, v, "link", data) for u, v, data in graph.edges(data=True))


def _orient(
    graph: nx.Graph, u: Hashable, v: Hashable, key: Hashable, data: Mapping[str, Any]
) -> tuple[Hashable, Hashable, RuleInfo]:
    """Return lower (or source) end, upper (or target) end, and the rule of an edge."""
    where = _edge(graph, u, v)
    if u == v:
        msg = f"{where}: a device is never joined with itself; leave the edge out"
        raise GraphError(msg)
    for name in ("tail", "head", "lower"):
        if name in data and not _is_name(data[name]):
            msg = f"{where}: {name} must be one of its two ends; got {_shown(data[name])}"
            raise GraphError(msg)
    rule = data.get("rule", key)
    if not _is_name(rule):
        msg = f"{where}: rule must be a name; got {_shown(rule)}"
        raise GraphError(msg)
    is_oneway = graph.is_directed() or "tail" in data or "head" in data
    first, last = (v, u) if data.get("lower", u) == v and not is_oneway else (u, v)
    if is_oneway:
        tail, head = (u, v) if graph.is_directed() else (None, None)
        first, last = data.get("tail", tail), data.get("head", head)
    if (first, last) != (u, v) and (graph.is_directed() or (first, last) != (v, u)):
        msg = f"{where}: tail and head must be its two ends; got {_shown(first)} and {_shown(last)}"
        raise GraphError(msg)
    if "lower" in data and data["lower"] != first:
        fault = (
            "a one-way cable starts at its lower end" if is_oneway else "lower must be one of its two ends"
        )
        msg = f"{where}: {fault}; got {_shown(data['lower'])}; leave lower out to join peers"
        raise GraphError(msg)
    info = RuleInfo(
        name=str(rule),
        net=_one_of(where, "net", data.get("net", "scale-out"), NETS),
        is_peer="lower" not in data,
        is_oneway=is_oneway,
        medium=_text(where, "medium", data, ""),
        protocol=_text(where, "protocol", data, ""),
        length_m=_length(where, data.get("length_m")),
        key=rule,
    )
    return first, last, info


def _numbers(
    graph: nx.Graph, u: Hashable, v: Hashable, data: Mapping[str, Any], capacity: str
) -> tuple[float, int, int]:
    """Return rate, count and failed count of an edge."""
    # The rate of one cable is given, or follows from the capacity of those that are up; both must agree.
    count, failed = _whole(data.get("count", 1)), _whole(data.get("failed_count", 0))
    if count is None or failed is None or not 1 <= count <= MAX_COUNT or not 0 <= failed <= count:
        got = f"count {_shown(data.get('count', 1))} with {_shown(data.get('failed_count', 0))} failed"
        expected = f"whole numbers, count from 1 to {MAX_COUNT} and 0 <= failed_count <= count"
        msg = f"{_edge(graph, u, v)}: {got}; expected {expected}"
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
        stated_gbps = _rate(graph, u, v, capacity, data)
        if not math.isclose(stated_gbps, up * rate, rel_tol=1e-9):
            msg = (
                f"{_edge(graph, u, v)}: {capacity} is {stated_gbps!r}, but {up} cables up of {rate!r} Gb/s "
                f"make {up * rate!r}; change rate_gbps, count or failed_count and leave {capacity} out"
            )
            raise GraphError(msg)
    if 0 < rate < MIN_RATE_GBPS:
        expected = f"0, or {MIN_RATE_GBPS:g} or more"
        msg = f"{_edge(graph, u, v)}: {rate!r} Gb/s a cable is too small; expected {expected}"
        raise GraphError(msg)
    return rate, count, failed


def _edge(graph: nx.Graph, u: Hashable, v: Hashable) -> str:
    return f"edge {_shown(u)} {'->' if graph.is_directed() else '-'} {_shown(v)}"


def _rate(graph: nx.Graph, u: Hashable, v: Hashable, key: str, data: Mapping[str, Any]) -> float:
    """Return the attribute `key` as a rate, checked."""
    rate = _real(data[key])
    if rate is None or not 0 <= rate <= MAX_RATE_GBPS:
        expected = f"a number [Gb/s], finite and not negative, at most {MAX_RATE_GBPS:g}"
        msg = f"{_edge(graph, u, v)}: {key} must be {expected}; got {_shown(data[key])}"
        raise GraphError(msg)
    return rate


def _length(where: str, value: object) -> float | None:
    """Return a cable length [m], checked; None stays None."""
    length = _real(value)
    if value is not None and (length is None or not 0 <= length <= MAX_LENGTH_M):
        msg = f"{where}: length_m must be a number of metres, at most {MAX_LENGTH_M:g}; got {_shown(value)}"
        raise GraphError(msg)
    return length


def _one_of(where: str, key: str, value: object, choices: tuple[_Word, ...]) -> _Word:
    """Return `value` if it is one of the `choices`."""
    for word in choices:
        if isinstance(value, str) and word == value:
            return word
    msg = f"{where}: unknown {key} {_shown(value)}; use {', '.join(choices)}"
    raise GraphError(msg)


def _real(value: object) -> float | None:
    """Return a number as float; None for what is no number, texts and truth values included."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not is_number:
        return None
    try:
        return float(cast(float, value))
    except (OverflowError, ZeroDivisionError):  # a whole number, or a fraction, that no float reaches
        return math.inf


def _whole(value: object) -> int | None:
    """Return a number as int; None for what is not whole."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)  # beyond 2**53 a float would round it
    real = _real(value)
    return int(real) if real is not None and real.is_integer() else None


def _is_name(value: object) -> bool:
    """Return whether a value can be told from others and printed, which numbers of 5,000 digits cannot."""
    try:
        hash(value)
        str(value)
    except (TypeError, ValueError):
        return False
    return True
