"""The exchange with NetworkX: nothing is lost in either direction, and what does not fit is named."""

import math
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

from fabric import cost, throughput
from fabric.errors import FabricError, GraphError, LimitError, QuestionError
from fabric.graph import expand, load, loads
from fabric.graph.exchange import from_networkx, to_networkx

EVERYTHING = """
fabric: everything
axes: {rack: 2, module: 2, die: 2, slot: [module, die], ring: 3}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  nic: {kind: nic, axes: [rack, slot]}
  host: {kind: host, axes: [rack, module]}
  leaf: {part: qm9700, axes: [slot]}
  spine: {kind: switch, axes: []}
  chip: {kind: gpu, axes: [ring], transit: all}
links:
  - {between: [gpu, nic], rate: 8Tb/s/3, count: 3, net: host}
  - {between: [gpu, nic], name: second, rate: 8Tb/s/3, net: host, length: 30cm}
  - {between: [nic, leaf], rate: 400Gb/s, medium: opt_800_sm, length: 30m}
  - {between: [leaf, spine], rate: 400Gb/s}
  - {between: [host, nic], rate: 100Gb/s, net: host}
  - {between: [host, host], rate: 50Gb/s, mesh: module, peer: true, net: host}
  - {between: [chip, chip], rate: 10Gb/s, ring: ring, oneway: true}
failed: [rack0/slot1/nic, [rack1/slot2/nic, leaf], [rack1/slot3/gpu, nic, 2]]
absent: [rack1/slot0/gpu]
islands: 2
"""

TOPOLOGIES = ["gb300-nvl72", "gb300-nvl72-1152", "superpod-h100-4su"]


def rows(fabric):
    """Return what a fabric says, by names and free of order."""
    e = expand(fabric)
    devices = {
        name: (
            e.groups[g],
            bool(failed),
            {a: int(c[i]) for a, c in e.coordinates.items() if a in e.groups[g].axes},
        )
        for i, (name, g, failed) in enumerate(zip(e.names, e.group, e.failed, strict=True))
    }
    bundles = []
    for i, (tail, head, rule) in enumerate(zip(e.tail, e.head, e.rule, strict=True)):
        info = e.rules[rule]
        ends = (e.names[tail], e.names[head])
        # Peers that carry traffic both ways have no first end.
        pair = frozenset(ends) if info.is_peer and not info.is_oneway else ends
        numbers = (float(e.rate_gbps[i]), int(e.count[i]), int(e.failed_count[i]))
        bundles.append((str(pair if isinstance(pair, tuple) else sorted(map(str, pair))), info, numbers))
    return e.name, devices, sorted(bundles, key=repr)


def edges(graph):
    """Return the edges of a graph, free of the order of their ends."""
    directed = graph.is_directed()
    listed = graph.edges(keys=True, data=True) if graph.is_multigraph() else graph.edges(data=True)
    return sorted(
        (repr((u, v) if directed else sorted((repr(u), repr(v)))), repr(rest[:-1]), sorted(rest[-1].items()))
        for u, v, *rest in listed
    )


def test_attributes():
    graph = to_networkx(loads(EVERYTHING))
    assert graph.name == "everything"
    assert graph.nodes["leaf0"]["part"] == "qm9700"
    assert graph.nodes["rack0/nic1"] == {
        "kind": "nic",
        "part": "",
        "group": "nic",
        "transit": "pass",
        "endpoint": False,
        "failed": True,
        "axis_rack": 0,
        "axis_slot": 1,
    }
    assert graph["rack0/gpu2"]["rack0/nic2"]["gpu-nic"] == {
        "rate_gbps": 8000 / 3,
        "count": 3,
        "failed_count": 0,
        "capacity": 8000.0,
        "net": "host",
        "lower": "rack0/gpu2",
        "rule": "gpu-nic",
    }
    assert graph["rack0/gpu2"]["rack0/nic2"]["second"]["length_m"] == 0.3
    assert graph["rack1/gpu3"]["rack1/nic3"]["gpu-nic"]["failed_count"] == 2
    assert graph["rack1/gpu3"]["rack1/nic3"]["gpu-nic"]["capacity"] == 8000 / 3
    assert graph["rack1/nic2"]["leaf2"]["nic-leaf"]["capacity"] == 0.0
    assert graph["rack0/nic1"]["leaf1"]["nic-leaf"]["capacity"] == 0.0
    assert graph["rack0/nic1"]["leaf1"]["nic-leaf"]["medium"] == "opt_800_sm"
    assert "lower" not in graph["rack0/host0"]["rack0/host1"]["host-host"]
    assert {(d["tail"], d["head"]) for u, v, d in graph.edges(data=True) if "tail" in d} == {
        ("chip0", "chip1"),
        ("chip1", "chip2"),
        ("chip2", "chip0"),
    }


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(EVERYTHING, id="everything"),
        *(pytest.param(name, marks=[pytest.mark.slow] if "1152" in name else []) for name in TOPOLOGIES),
    ],
)
def test_a_fabric_comes_back(text):
    fabric = loads(text) if "\n" in text else load(f"topologies/{text}.fabric.yaml")
    graph = to_networkx(fabric)
    back = from_networkx(graph)
    assert rows(back) == rows(fabric)
    again = to_networkx(back)
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert edges(again) == edges(graph)


PLAIN = {
    "Graph": [("a", "b", {"capacity": 3.0}), ("b", "c", {"capacity": 8000 / 3})],
    "DiGraph": [("a", "b", {"capacity": 3.0}), ("b", "a", {"capacity": 2.0}), ("b", "c", {"capacity": 1.0})],
    "MultiGraph": [
        ("a", "b", 0, {"capacity": 3.0}),
        ("a", "b", "0", {"capacity": 2.0}),
        ("b", "c", 1, {"capacity": 1}),
    ],
    "MultiDiGraph": [
        ("a", "b", 0, {"capacity": 3.0}),
        ("b", "a", 0, {"capacity": 2.0}),
        ("a", "b", (1, 2), {"capacity": 1.5, "count": 3, "length_m": 2.0, "net": "scale-up"}),
    ],
}


@pytest.mark.parametrize("kind", PLAIN)
def test_every_kind_of_graph_comes_back(kind):
    graph = getattr(nx, kind)(name=kind)
    graph.add_nodes_from([("a", {"kind": "switch", "axis_x": 1}), ("z", {"failed": True})])
    graph.add_edges_from(PLAIN[kind])
    fabric = from_networkx(graph)
    out = to_networkx(fabric)
    assert list(out) == list(graph)
    assert out.nodes["a"]["transit"] == "turn"
    assert out.nodes["a"]["axis_x"] == 1
    assert out.nodes["b"] == {
        "kind": "",
        "part": "",
        "group": "node",
        "transit": "all",
        "endpoint": True,
        "failed": False,
    }
    assert out.nodes["z"]["failed"] is True
    # The way back to the kind of graph that came in, with nothing but the exported attributes.
    back = getattr(nx, kind)()
    for u, v, key, data in out.edges(keys=True, data=True):
        ends = (data["tail"], data["head"]) if graph.is_directed() else (u, v)
        kept = {k: data[k] for k in ("capacity", "count", "length_m", "net") if k in data}
        assert ("tail" in data) == graph.is_directed()
        if graph.is_multigraph():
            back.add_edge(*ends, key=data.get("rule", key), **kept)
        else:
            assert data.get("rule", key) == "link"
            back.add_edge(*ends, **kept)
    said = {"count": 1, "net": "scale-out"}
    for *_, data in graph.edges(data=True):
        data.update({**said, **data})
    assert edges(back) == edges(graph)
    assert rows(from_networkx(out)) == rows(fabric)


def test_a_rule_both_ways_keeps_both_arcs():
    text = """
    fabric: a
    axes: {i: 3}
    devices: {chip: {kind: gpu, axes: [i], transit: all}}
    links: [{between: [chip, chip], rate: 1Gb/s, mesh: i, oneway: true}]
    """
    fabric = loads(text)
    graph = to_networkx(fabric)
    assert graph.number_of_edges() == expand(fabric).n_bundles == 6
    assert {d.get("rule", key) for _, _, key, d in graph.edges(keys=True, data=True)} == {"chip-chip"}
    assert rows(from_networkx(graph)) == rows(fabric)


@pytest.mark.parametrize("name", [(0, 1), 7, frozenset({1}), "a b", 2.5])
def test_any_node_name(name):
    graph = nx.Graph()
    graph.add_edge(name, "other", capacity=1.0)
    assert name in to_networkx(from_networkx(graph))


def test_numbers_of_all_kinds():
    graph = nx.Graph()
    graph.add_edge(0, 1, capacity=np.float32(2.0), count=np.int64(2), failed_count=np.int8(1), length_m=3)
    e = expand(from_networkx(graph))
    assert (e.rate_gbps[0], e.count[0], e.failed_count[0], e.rules[0].length_m) == (2.0, 2, 1, 3.0)
    assert expand(from_networkx(graph, name="other", capacity="capacity")).name == "other"
    graph.add_edge(0, 1, weight=5.0)
    assert expand(from_networkx(graph, capacity="weight")).rate_gbps[0] == 5.0
    assert expand(from_networkx(nx.Graph([(0, 1, {"rate_gbps": 4})]))).rate_gbps[0] == 4.0


def node(**data):
    graph = nx.Graph()
    graph.add_node("x", **data)
    return graph


def edge(cls=nx.Graph, **data):
    graph = cls()
    graph.add_edge("x", "y", **data)
    return graph


@pytest.mark.some(16)
@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (node(transit="fly"), "node 'x': unknown transit 'fly'; use turn, pass, end, relay, all"),
        (node(transit=["turn"]), "node 'x': unknown transit"),
        (node(axis_a=1.5), "node 'x': axis_a must be a whole number from 0 to 2147483647; got 1.5"),
        (node(axis_a=-1), "node 'x': axis_a must be"),
        (node(axis_a=[1]), "node 'x': axis_a must be"),
        (node(axis_a=2**63), "node 'x': axis_a must be .* got 9223372036854775808"),
        (node(axis_a=10**5000), "node 'x': axis_a must be .* got a number of more than 60 digits"),
        (node(axis_a=np.int64(2**62)), "node 'x': axis_a must be"),
        (node(kind={"a": 1}), r"node 'x': kind must be a text; got {'a': 1}"),
        (node(kind=["gpu"]), r"node 'x': kind must be a text; got \['gpu'\]"),
        (node(group=7), "node 'x': group must be a text; got 7"),
        (node(part=np.zeros(3)), "node 'x': part must be a text"),
        (node(transit=np.zeros(3)), "node 'x': unknown transit"),
        (node(endpoint=np.zeros(3)), "node 'x': endpoint must be true or false"),
        (node(endpoint="no"), "node 'x': endpoint must be true or false; got 'no'"),
        (node(failed=2), "node 'x': failed must be true or false; got 2"),
        (edge(capacity=10**400), "edge 'x' - 'y': capacity must be .* got a number of more than 60 digits"),
        (edge(capacity=Fraction(10**400)), "edge 'x' - 'y': capacity must be"),
        (edge(capacity=1e302), "edge 'x' - 'y': capacity must be"),
        (edge(capacity=1e-320), "edge 'x' - 'y': 1e-320 Gb/s a cable is too small"),
        (edge(capacity=1e-299, count=100), "a cable is too small"),
        (edge(rate_gbps=1e300, count=2**53), "capacities of all edges together are above"),
        (edge(capacity=1, count=2**64), "count 18446744073709551616 with 0 failed"),
        (edge(capacity=1, count=10**5000), "count a number of more than 60 digits with 0 failed"),
        (edge(capacity=1, count=np.zeros(2)), "expected whole numbers"),
        (edge(capacity=1, rule=["a"]), r"edge 'x' - 'y': rule must be a name; got \['a'\]"),
        (edge(capacity=1, rule=(["a"],)), "edge 'x' - 'y': rule must be a name"),
        (edge(capacity=1, rule=10**5000), "rule must be a name; got a number of more than 60 digits"),
        (edge(capacity=1, rule=(10**5000,)), "rule must be a name; got a tuple with a number of too many"),
        (nx.MultiGraph([("x", "y", 10**5000, {"capacity": 1})]), "rule must be a name; got a number of more"),
        (nx.Graph([("x", 10**5000, {"capacity": 1})]), "node a number of more than 60 digits: cannot be"),
        (nx.Graph([("x", (10**5000, 1), {"capacity": 1})]), "node a tuple with .*: cannot be printed"),
        (edge(capacity=1, lower=np.zeros(2)), "edge 'x' - 'y': lower must be one of its two ends"),
        (edge(capacity=1, tail=["x"], head="y"), "edge 'x' - 'y': tail must be one of its two ends"),
        (edge(capacity=1, medium=["fibre"]), "edge 'x' - 'y': medium must be a text"),
        (edge(capacity=1, protocol={}), "edge 'x' - 'y': protocol must be a text"),
        (edge(capacity=1, net=["host"]), "edge 'x' - 'y': unknown net"),
        (edge(capacity=1, length_m=1e300), "length_m must be a number of metres, at most"),
        (edge(), r"edge 'x' - 'y' has no 'capacity'; set it with networkx.set_edge_attributes\(G, 400.0"),
        (edge(nx.DiGraph), "edge 'x' -> 'y' has no 'capacity'"),
        (edge(capacity=math.nan), "edge 'x' - 'y': capacity must be a number .* got nan"),
        (edge(capacity=math.inf), "edge 'x' - 'y': capacity must be .* got inf"),
        (edge(capacity=-1), "edge 'x' - 'y': capacity must be .* got -1"),
        (edge(capacity="400Gb/s"), "edge 'x' - 'y': capacity must be .* got '400Gb/s'"),
        (edge(capacity=True), "capacity must be a number .* got True"),
        (edge(capacity=None), "edge 'x' - 'y': capacity must be .* got None"),
        (edge(rate_gbps="fast", count=1), "rate_gbps must be a number"),
        (edge(capacity=1, count=0), "count 0 with 0 failed; expected whole numbers"),
        (edge(capacity=1, count=1.5), "count 1.5"),
        (edge(capacity=1, count="2"), "count '2'"),
        (edge(capacity=1, failed_count=2), "count 1 with 2 failed"),
        (edge(capacity=0, failed_count=1), "edge 'x' - 'y' has no 'rate_gbps'"),
        (edge(capacity=1, rate_gbps=2.0), "capacity is 1.0, but 1 cables up of 2.0 Gb/s make 2.0"),
        (edge(capacity=1, net="wan"), "edge 'x' - 'y': unknown net 'wan'; use scale-up, host, scale-out"),
        (edge(capacity=1, length_m="long"), "length_m must be a number of metres, at most .* got 'long'"),
        (edge(capacity=1, length_m=-1), "length_m must be"),
        (edge(capacity=1, lower="z"), "lower must be one of its two ends; got 'z'"),
        (edge(capacity=1, tail="z", head="y"), "tail and head must be its two ends; got 'z' and 'y'"),
        (edge(capacity=1, tail="x"), "tail and head must be its two ends; got 'x' and None"),
        (edge(capacity=1, tail="x", head="x"), "tail and head must be its two ends"),
        (edge(capacity=1, tail="x", head="y", lower="y"), "a one-way cable starts at its lower end; got 'y'"),
        (edge(nx.DiGraph, capacity=1, lower="y"), "a one-way cable starts at its lower end; got 'y'"),
        (edge(nx.DiGraph, capacity=1, tail="y", head="x"), "edge 'x' -> 'y': tail and head must be"),
        (nx.Graph([("x", "x", {"capacity": 1})]), "edge 'x' - 'x': a device is never joined with itself"),
    ],
)
def test_unfriendly_graphs(graph, message):
    with pytest.raises(GraphError, match=message):
        from_networkx(graph)


def test_what_is_no_graph():
    with pytest.raises(FabricError, match="graph: got a dict; expected a Graph"):
        from_networkx({"x": ["y"]})


def test_both_directions_of_an_export_are_refused_and_not_misread():
    graph = nx.MultiDiGraph(to_networkx(loads(EVERYTHING)))
    with pytest.raises(GraphError, match="edge .* -> .*: a one-way cable starts at its lower end"):
        from_networkx(graph)


@pytest.mark.some(1)
@pytest.mark.parametrize("text", [pytest.param(EVERYTHING, id="everything"), *TOPOLOGIES[:1]])
@pytest.mark.parametrize("form", ["graphml", "gml"])
def test_a_graph_is_written_and_read_by_networkx(text, form, tmp_path):
    fabric = loads(text) if "\n" in text else load(f"topologies/{text}.fabric.yaml")
    graph, file = to_networkx(fabric), tmp_path / "a.xml"
    if form == "graphml":
        nx.write_graphml(graph, file)
        read = nx.read_graphml(file, force_multigraph=True)
    else:
        nx.write_gml(graph, file)
        read = nx.read_gml(file)
    back = from_networkx(read, name=fabric.name)
    assert back.notes == ()
    assert rows(back) == rows(fabric)


def test_a_fabric_says_what_it_guessed_about_a_foreign_graph():
    graph = nx.complete_bipartite_graph(4, 2)
    nx.set_edge_attributes(graph, 1.0, "capacity")
    fabric = from_networkx(graph)
    (note,) = fabric.notes
    assert note.startswith(
        "6 of 6 nodes, such as 0, 1, 2, have neither kind nor endpoint: taken for endpoints"
    )
    assert repr(fabric) == f"<Fabric {fabric.name}: 6 devices; {note}>"
    assert expand(fabric).is_endpoint.sum() == 6
    graph.nodes[4]["kind"], graph.nodes[5]["endpoint"] = "switch", 0
    fabric = from_networkx(graph)
    assert fabric.notes[0].startswith("4 of 6 nodes, such as 0, 1, 2, have")
    assert expand(fabric).is_endpoint.tolist() == [True] * 4 + [False] * 2
    nx.set_node_attributes(graph, "gpu", "kind")
    assert from_networkx(graph).notes == ()


def test_names_of_nodes_do_not_steer_a_terminal():
    graph = nx.Graph(name="\x1b[2J")
    graph.add_edge("a\x1b[31m", "b\u202e", capacity=1.0)
    graph.add_edge("b\u202e", "c\x9b", capacity=1.0)
    fabric = from_networkx(graph)
    answer = cost(fabric, "all-gather", "1MiB", calibration="wire")
    for shown in (repr(fabric), str(answer), answer.to_json()):
        assert shown
        assert [hex(ord(c)) for c in shown if not c.isprintable() and c != "\n"] == []


def test_limit():
    fabric = loads(EVERYTHING)
    n = expand(fabric).n_bundles
    assert to_networkx(fabric, limit=n).number_of_edges() == n
    with pytest.raises(
        LimitError, match=rf"everything has .* {n} cable bundles; .*limited to {n - 1}.*Pass limit={n}"
    ):
        to_networkx(fabric, limit=n - 1)


def test_kinds_of_others_are_told():
    graph = nx.star_graph(4)
    nx.set_edge_attributes(graph, 10.0, "capacity")
    nx.set_node_attributes(graph, {0: "router", 1: "gpu", 2: "gpu", 3: "acelerator", 4: "gpu"}, "kind")
    fabric = from_networkx(graph)
    assert fabric.notes == (
        "2 of 5 nodes, such as 0, 3, have a kind that is none of switch, nic, host, gpu: taken for no "
        "endpoints; set endpoint=True on those that are some",
    )
    assert throughput(fabric).n_endpoints == 3
    nx.set_node_attributes(graph, {0: False, 3: True}, "endpoint")
    assert from_networkx(graph).notes == ()


def test_a_graph_without_endpoints_says_so():
    graph = nx.star_graph(3)
    nx.set_edge_attributes(graph, 10.0, "capacity")
    nx.set_node_attributes(graph, {0: "switch", 1: "host", 2: "host", 3: "host"}, "kind")
    fabric = from_networkx(graph)
    assert fabric.notes == (
        "no node is an endpoint; set endpoint=True on those that send and receive, such as hosts",
    )
    with pytest.raises(QuestionError, match=r"traffic needs at least 2 endpoints; no device of graph is one"):
        throughput(fabric)
    nx.set_node_attributes(graph, {n: True for n in (1, 2, 3)}, "endpoint")
    assert (from_networkx(graph).notes, throughput(from_networkx(graph)).n_endpoints) == ((), 3)
