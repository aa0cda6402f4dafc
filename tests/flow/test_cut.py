"""The devices of a cut by name: real cables, all of them, and nothing flows without them."""

import networkx as nx
import numpy as np
import pytest

from fabric.blueprint.selector import parse_selector
from fabric.flow import cut, max_flow
from fabric.graph import expand, loads
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.graph.expanded import matching

PODS = """
fabric: pods
axes: {pod: 3, rack: [block, r], block: 2, r: 2, slot: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rack, slot]}
  leaf: {kind: switch, axes: [pod, block, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


def bundles_of(fabric, found):
    """Return the bundles of the expanded form that the ranges of a cut name, by rule."""
    e, blueprint = expand(fabric), fabric.blueprint
    named = []
    for one in found.devices:
        tail, head = (
            matching(blueprint, e, parse_selector(text, blueprint.axes, blueprint.groups))
            for text in (one.tail, one.head)
        )
        rule = next(i for i, r in enumerate(e.rules) if r.name == found.link)
        joined = tail[e.tail] & head[e.head]
        if not e.rules[rule].is_oneway:
            joined |= head[e.tail] & tail[e.head]
        joined &= (e.rule == rule) & (e.alive > 0)
        assert e.alive[joined].sum() == one.n_cables
        named += np.flatnonzero(joined).tolist()
    assert len(named) == len(set(named))
    return sorted(named)


def question(constructs, seed):
    """Return a random fabric, its path rule, and one endpoint against one other, or all others."""
    families = list(constructs.CONSTRUCTS)
    fabric, paths = constructs.random_fabric(families[seed % len(families)], seed)
    e = expand(fabric)
    ends = [str(e.names[v]) for v in np.flatnonzero(e.is_endpoint & ~e.failed)]
    order = np.random.default_rng(seed).permutation(len(ends)).tolist()
    source, *others = (ends[i] for i in order)
    return fabric, paths, source, others[:1] if seed % 2 else others


def check(constructs, seed):
    """Check the names of one cut by both methods; return how many ranges there are."""
    fabric, paths, source, target = question(constructs, seed)
    by_axes, by_links = (
        max_flow(fabric, source, target, paths=paths, method=m, devices=True) for m in ("axes", "links")
    )
    assert by_axes.value_gbps == pytest.approx(by_links.value_gbps, rel=1e-9)
    for answer in (by_axes, by_links):
        graph, e = to_networkx(fabric), expand(fabric)
        for found in answer.cut:
            assert found.n_more == 0
            for b in bundles_of(fabric, found):
                u, v, key = e.names[e.tail[b]], e.names[e.head[b]], found.link
                edge = graph.edges[u, v, key]
                if edge.get("tail", u) != u:
                    edge = graph.edges[u, v, (key, "back")]
                edge["failed_count"] = edge["count"]
        for *_, data in graph.edges(data=True):
            del data["capacity"]
        without = max_flow(from_networkx(graph), source, target, paths=paths)
        assert without.value_gbps == 0.0
    return sum(len(found.devices) for found in by_axes.cut)


@pytest.mark.seeds(3, of=26)
def test_named_cables_are_those_of_the_cut(seed, constructs):
    check(constructs, seed)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(8))
def test_named_cables_are_those_of_the_cut_in_quota(chunk, constructs):
    assert sum(check(constructs, seed) for seed in range(26 + 39 * chunk, 65 + 39 * chunk)) > 39


def test_ranges():
    answer = max_flow(loads(PODS), "pod0", "pod1-2", devices=True)
    (found,) = answer.cut
    # The pod has 16 cables to GPUs and 32 to spines, all of 400 Gb/s.
    (one,) = found.devices
    assert str(one) == "pod0/rack0-3/gpu0-3 -> pod0/block0-1/leaf0-3: 16 cables"
    text = str(answer)
    assert "binding: 16 gpu-leaf cables, 6.4 Tb/s (800 GB/s)\n    pod0/rack0-3/gpu0-3 -> pod0/" in text
    assert "more" not in text


@pytest.mark.parametrize("method", ["axes", "links"])
def test_a_composed_axis_with_gaps_is_named_by_its_parts(method):
    text = PODS + "failed: [[pod0/block0/r1/gpu, leaf], [pod0/block1/r1/gpu, leaf]]\n"
    (found,) = max_flow(loads(text), "pod0", "pod1", devices=True, method=method).cut
    (one,) = found.devices
    assert str(one) == "pod0/block0-1/r0/gpu0-3 -> pod0/block0-1/leaf0-3: 8 cables"


def test_names_point_away_from_the_source():
    fabric = loads(PODS)
    forth = max_flow(fabric, "pod0", "pod1/rack0/gpu1", devices=True)
    (one,) = forth.cut[0].devices
    assert (one.tail, one.head) == ("pod1/block0/leaf1", "pod1/rack0/gpu1")
    back = max_flow(fabric, "pod1/rack0/gpu1", "pod0", devices=True)
    (one,) = back.cut[0].devices
    assert (one.head, one.tail) == ("pod1/block0/leaf1", "pod1/rack0/gpu1")


def test_a_mesh_lists_both_ends():
    text = "{fabric: a, axes: {x: 6}, devices: {gpu: {kind: gpu, axes: [x], transit: all}}, links: ["
    fabric = loads(text + "{between: [gpu, gpu], mesh: x, rate: 1Gb/s}]}")
    (found,) = max_flow(fabric, "x0-1", "x2-5", devices=True).cut
    assert [str(one) for one in found.devices] == ["gpu0-1 -> gpu2-5: 8 cables"]


@pytest.mark.parametrize("method", ["axes", "links"])
def test_what_is_not_named_is_counted(method, monkeypatch):
    text = "{fabric: a, axes: {x: 64}, devices: {gpu: {kind: gpu, axes: [x], transit: all}}, links: ["
    fabric = loads(text + "{between: [gpu, gpu], ring: x, rate: 1Gb/s, count: 2}]}")
    sides = [[f"gpu{i}" for i in range(start, 64, 2)] for start in (0, 1)]
    answer = max_flow(fabric, *sides, devices=True, method=method)
    (found,) = answer.cut
    assert found.n_cables == 128
    assert len(found.devices) == cut.MAX_NAMED
    assert found.n_more == 128 - 2 * cut.MAX_NAMED
    assert str(answer).count("-> gpu") == cut.MAX_NAMED + 1
    assert f"    and {found.n_more} cables more\n" in str(answer)
    (shown,) = answer.to_dict()["cut"]
    assert shown["n_more"] == found.n_more
    assert shown["devices"][0] == {"tail": "gpu0", "head": "gpu1", "n_cables": 2}
    monkeypatch.setattr(cut, "MAX_MERGED", 3)
    (few,) = max_flow(fabric, *sides, devices=True, method=method).cut
    assert (len(few.devices), few.n_more) == (3, 122)


def test_nodes_of_a_graph_are_named_one_by_one():
    graph = nx.petersen_graph()
    nx.set_edge_attributes(graph, 1.0, "capacity")
    (found,) = max_flow(from_networkx(graph), 0, 7, devices=True).cut
    assert {(one.tail, one.head) for one in found.devices} == {("0", str(v)) for v in graph[0]}
    star = nx.star_graph(50)
    nx.set_edge_attributes(star, 1.0, "capacity")
    (found,) = max_flow(from_networkx(star), list(range(1, 26)), list(range(26, 51)), devices=True).cut
    assert (len(found.devices), found.n_more) == (cut.MAX_NAMED, 25 - cut.MAX_NAMED)


def test_only_on_request():
    answer = max_flow(loads(PODS), "pod0", "pod1")
    assert answer.cut[0].devices == ()
    assert "->" not in str(answer).partition("\n")[2]
    assert answer.to_dict()["cut"][0]["devices"] == []
