"""Intervals of what is too large to be solved: they hold the exact rate, and nothing else is proven."""

import random

import networkx as nx
import numpy as np
import pytest

from fabric import from_networkx, throughput
from fabric.errors import QuestionError

SMALL_GAP = 1e-3


def graph_of(seed, *, oneway=False):
    """Return a random connected graph: some nodes are switches, cables differ, hosts hang on one node."""
    rng = random.Random(f"graph {seed}")
    n = rng.randrange(4, 9)
    core = nx.gnm_random_graph(n, rng.randrange(n, 2 * n), seed=rng.randrange(10**6), directed=oneway)
    nx.add_cycle(core, range(n))
    graph = nx.DiGraph(core) if oneway else nx.Graph(core)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    for v in range(n):
        graph.nodes[v]["kind"] = rng.choice(["gpu", "switch"]) if v > 1 else "gpu"
    for host in range(n, n + rng.randrange(0, 4)):
        at = rng.randrange(n)
        graph.add_edge(host, at)
        if oneway:
            graph.add_edge(at, host)
        graph.nodes[host]["kind"] = "gpu"
    for _, _, cable in graph.edges(data=True):
        cable["capacity"] = rng.choice([1.0, 2.0, 2.5, 10.0])
    return graph, rng


def demands_of(graph, rng):
    """Return all-to-all, or demands of different sizes between some of the endpoints."""
    ends = [v for v, data in graph.nodes(data=True) if data["kind"] == "gpu"]
    pairs = [(a, b) for a in ends for b in ends if a != b]
    if rng.random() < 0.3:
        return "all-to-all"
    some = rng.sample(pairs, rng.randrange(1, len(pairs) + 1))
    return {pair: rng.choice([0.1, 1.0, 3.0]) for pair in some}


def assert_holds(found, exact):
    """The interval holds the exact rate, and says where it comes from."""
    proof = found.certificate
    assert (found.method, found.cut_off, found.n_endpoints) == ("links", exact.cut_off, exact.n_endpoints)
    if exact.status == "cut off":
        assert (found.status, found.per_endpoint_gbps) == ("cut off", 0.0)
        return
    assert found.per_endpoint_gbps == proof.lower_gbps > 0
    assert proof.lower_gbps * (1 - 1e-9) <= exact.per_endpoint_gbps <= proof.upper_gbps * (1 + 1e-9)
    assert found.value_gbps == pytest.approx(
        exact.value_gbps * found.per_endpoint_gbps / exact.per_endpoint_gbps
    )


def said(fabric, traffic, **asked):
    """Return the answer, or why there is none."""
    try:
        return throughput(fabric, traffic, **asked)
    except QuestionError as error:
        return str(error)


@pytest.mark.parametrize("oneway", [False, True])
def test_an_interval_holds_the_exact_rate_of_a_graph(oneway):
    gaps = []
    for seed in range(60):
        graph, rng = graph_of(seed, oneway=oneway)
        fabric, traffic = from_networkx(graph), demands_of(graph, rng)
        paths = rng.choice(["rules", "any"])
        asked = {"paths": paths, "method": "links", "drop_unreachable": seed % 2 == 0}
        exact, found = (said(fabric, traffic, gap=gap, **asked) for gap in (None, SMALL_GAP))
        if isinstance(exact, str):
            assert exact == found
            continue
        assert_holds(found, exact)
        gaps.append(found.certificate.gap)
    assert len(gaps) > 40
    assert np.median(gaps) <= SMALL_GAP


CONSTRUCTS = (
    "mesh x mesh", "ring x ring", "ring x mesh", "line", "line x ring", "one-way rings", "composed axes",
    "relations between groups", "counts by index", "selectors as sides", "two includes", "clos",
)  # fmt: skip


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_an_interval_holds_the_exact_rate_of_a_file(constructs, construct):
    """Path rules, relays, hosts, peers, failures, and endpoints that these cut off."""
    n_narrow = 0
    for seed in range(12):
        fabric, paths = constructs.random_fabric(construct, seed)
        drop = seed % 2 == 0
        asked = {"among": "gpu", "paths": paths, "drop_unreachable": drop}
        exact, found = (
            said(fabric, "all-to-all", method="links", gap=gap, **asked) for gap in (None, SMALL_GAP)
        )
        if isinstance(exact, str):
            assert exact == found
            n_narrow += 1
            continue
        assert_holds(found, exact)
        n_narrow += found.certificate.gap <= SMALL_GAP
    assert n_narrow >= 8
