"""One flow a rank at one rate: the same bound as rank by rank on classes, where nothing is alike."""

import random

import networkx as nx
import numpy as np
import pytest

from fabric.bounds import bound as room
from fabric.bounds import sinks
from fabric.bounds.bound import bound
from fabric.bounds.fed import is_fed
from fabric.bounds.sinks import slowest_rank
from fabric.graph import expand
from fabric.graph.exchange import from_networkx

COLLECTIVES = ("all-gather", "reduce-scatter", "broadcast", "reduce")


def clusters(seed):
    """Return two random clusters with few cables between them, some of odd rates."""
    rng = random.Random(f"clusters {seed}")
    sizes = rng.randrange(3, 6), rng.randrange(3, 6)
    parts = [nx.gnm_random_graph(n, 2 * n, seed=rng.randrange(10**6)) for n in sizes]
    graph = nx.disjoint_union(*parts)
    for n, first in zip(sizes, (0, sizes[0]), strict=True):
        nx.add_path(graph, range(first, first + n))
    for _ in range(rng.randrange(1, 3)):
        graph.add_edge(rng.randrange(sizes[0]), sizes[0] + rng.randrange(sizes[1]))
    for _, _, cable in graph.edges(data=True):
        cable["capacity"] = rng.choice([1.0, 2.0, 400.0, 8000 / 3, np.pi])
    nx.set_node_attributes(graph, "gpu", "kind")
    return graph, rng


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=4)
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_the_same_bound_as_rank_by_rank(collective, seed, monkeypatch):
    n_below = 0
    for number in range(5 * seed, 5 * seed + 5):
        graph, rng = clusters(number)
        fabric = from_networkx(graph)
        asked = {"root": str(rng.randrange(len(graph)))} if collective in ("broadcast", "reduce") else {}
        found = bound(fabric, collective, **asked)
        with monkeypatch.context() as patch:
            patch.setattr(room, "_pack_by_flows", lambda *_: None)
            expected = bound(fabric, collective, **asked)
        assert found.algbw_gbps == pytest.approx(expected.algbw_gbps, rel=1e-9)
        assert (found.status, found.n_ranks, found.binding) == (
            expected.status,
            expected.n_ranks,
            expected.binding,
        )
        n = len(graph)
        degree = min(d for _, d in graph.degree(weight="capacity"))
        n_below += found.algbw_gbps < degree * (n / (n - 1) if not asked.get("root") else 1) * (1 - 1e-9)
    # Mostly it is no rank's own links that bind, but those between the clusters.
    assert n_below >= 1


def test_a_random_regular_graph_is_bound_by_the_links_of_a_rank():
    graph = nx.random_regular_graph(6, 200, seed=3)
    nx.set_edge_attributes(graph, 400.0, "capacity")
    fabric = from_networkx(graph)
    e = expand(fabric)
    ranks = np.ones(200, dtype=np.bool_)
    slowest, proof = slowest_rank(e, ranks, np.arange(200), paths="rules", is_inward=False)
    assert (proof.lower_gbps, proof.faults) == (slowest.rate_gbps, ())
    assert proof.upper_gbps == pytest.approx(slowest.rate_gbps, rel=1e-12)
    assert slowest.rate_gbps == pytest.approx(2400 * 200 / 199, rel=1e-12)
    assert len(slowest.links) == 6
    assert len({int(e.tail[v // 2] if v % 2 else e.head[v // 2]) for v in slowest.links}) == 1


@pytest.mark.parametrize("factor", [-1, 2])
def test_a_rank_whose_flow_does_not_stand_is_no_proof(factor, monkeypatch):
    graph = nx.random_regular_graph(4, 20, seed=3)
    nx.set_edge_attributes(graph, 400.0, "capacity")
    e, ranks = expand(from_networkx(graph)), np.ones(20, dtype=np.bool_)
    right = sinks.csgraph.maximum_flow

    def wrong(network, source, state):
        found = right(network, source, state)
        # Of one rank alone, neither the first nor the last: the value is right, and what flows is not.
        found.flow.data *= factor if state == 7 else 1
        return found

    monkeypatch.setattr(sinks.csgraph, "maximum_flow", wrong)
    _, proof = slowest_rank(e, ranks, np.arange(20), paths="rules", is_inward=False)
    assert proof.lower_gbps == 0.0 < proof.upper_gbps


def test_a_mesh_of_switches_shares_links_up_and_down_and_is_no_plain_flow():
    graph = nx.complete_graph(4)
    nx.set_node_attributes(graph, "switch", "kind")
    for v in range(4):
        graph.add_node(f"gpu{v}", kind="gpu")
        graph.add_edge(v, f"gpu{v}")
    nx.set_edge_attributes(graph, 8.0, "capacity")
    fabric = from_networkx(graph)
    e = expand(fabric)
    roots = np.flatnonzero(e.is_endpoint)
    assert slowest_rank(e, e.is_endpoint, roots, paths="rules", is_inward=False) is None
    assert slowest_rank(e, e.is_endpoint, roots, paths="any", is_inward=False) is not None
    assert bound(fabric, "all-gather").algbw_gbps == pytest.approx(8 * 4 / 3)


def test_a_flow_that_is_lost_or_does_not_fit_feeds_nobody():
    #  0 -> 1 -> 3 and 0 -> 2 -> 3, all that starts at 0 is for 3
    tail, head = np.array([0, 0, 1, 2]), np.array([1, 2, 3, 3])
    flow, room, supply = (
        np.array([2.0, 1.0, 2.0, 1.0]),
        np.array([2.0, 1.5, 2.0, 1.0]),
        np.array([3.0, 0, 0, 0]),
    )
    assert is_fed(tail, head, flow, room, supply, 3)
    assert not is_fed(tail, head, flow, room, supply, 2)
    assert not is_fed(tail, head, flow, room * 0.9, supply, 3)
    assert not is_fed(tail, head, flow, room, supply * 1.1, 3)
    for at in range(4):
        less = flow.copy()
        less[at] *= 0.99
        assert not is_fed(tail, head, less, room, supply, 3)
    assert not is_fed(tail[::-1], head[::-1], -flow, room, -supply, 3)
