"""Numbers of every size: no integer wraps, fractions stay exact, and what is rounded says so."""

import itertools
import math
import random

import networkx as nx
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph

from fabric.flow import max_flow
from fabric.graph.exchange import from_networkx


def answer(edges, source="s", target="t"):
    graph = nx.DiGraph()
    for u, v, capacity in edges:
        graph.add_edge(u, v, capacity=float(capacity))
    return max_flow(from_networkx(graph), source, target)


def fan(rates):
    """Join s and t by one middle device for each rate."""
    return [edge for i, rate in enumerate(rates) for edge in (("s", i, rate), (i, "t", rate))]


BIG = {
    "total above 2**31": [2**30 - 1, 2**30 - 3, 2**30 - 5],
    "total above 2**33": [2**30 - 1 - 2 * i for i in range(11)],
    "one rate above 2**31": [2**31 + 11],
    "one rate above 2**32": [2**32 + 1, 2**32 + 15],
    "one rate above 2**33": [2**33 + 7, 3],
    "far apart": [2**40 + 1, 1],
    "largest": [2**47 - 115, 2**46 - 3, 1],
}


@pytest.mark.parametrize("rates", BIG.values(), ids=BIG)
def test_nothing_wraps(rates):
    found = answer(fan(rates))
    assert found.value_gbps == sum(rates)
    assert found.status == "optimal"
    assert found.cut[0].capacity_gbps == sum(rates)


@pytest.mark.parametrize("rate", [2**31 + 11, 2**32 + 1, 2**33 + 7])
def test_plain_int32_would_be_wrong_here(rate):
    capacity = np.zeros((2, 2), dtype=np.int64)
    capacity[0, 1] = rate
    with np.errstate(all="ignore"):
        naive = csgraph.maximum_flow(sparse.csr_matrix(capacity.astype(np.int32)), 0, 1).flow_value
    assert naive != rate
    assert answer([("s", "t", rate)]).value_gbps == rate


def test_both_ways_at_once_do_not_wrap():
    # The residual of one direction is the sum of both capacities.
    graph = nx.Graph()
    nx.add_path(graph, "sabt", capacity=float(2**31 - 1))
    graph.add_edge("s", "b", capacity=float(2**31 - 5))
    graph.add_edge("a", "t", capacity=float(2**31 - 7))
    fabric = from_networkx(graph)
    assert max_flow(fabric, "s", "t").value_gbps == 2**32 - 8
    assert max_flow(fabric, "t", "s").value_gbps == 2**32 - 8


@pytest.mark.some(1)
@pytest.mark.parametrize("bits", [8, 20, 31, 33, 40])
def test_random_large_whole_numbers_are_exact(bits):
    for seed in range(15):
        rng = random.Random(seed)
        graph = nx.gnp_random_graph(8, 0.5, seed=seed, directed=True)
        for *_, data in graph.edges(data=True):
            data["capacity"] = rng.randrange(1, 2**bits)
        fabric = from_networkx(graph)
        for source, target in itertools.islice(itertools.permutations(graph, 2), 0, None, 9):
            found = max_flow(fabric, source, target)
            assert found.value_gbps == nx.maximum_flow_value(graph, source, target)  # Python's own integers
            assert found.status == "optimal"


def test_thirds():
    rate = 8000 / 3
    assert answer(fan([rate] * 18)).value_gbps == pytest.approx(48000.0, rel=1e-15)
    mixed = answer([("s", "a", rate), ("s", "a2", 400.0), ("a", "t", 2500.0), ("a2", "t", rate)])
    assert mixed.value_gbps == pytest.approx(2900.0, rel=1e-15)
    assert mixed.status == "optimal"


def test_fractions_tie_as_they_should():
    # 0.1 + 0.2 is not 0.3 in binary, but it is the same capacity.
    graph = nx.MultiGraph()
    graph.add_edge("s", "m", key="near", capacity=0.3)
    graph.add_edge("m", "t", key="far", capacity=0.1)
    graph.add_edge("m", "t", key="other", capacity=0.2)
    found = max_flow(from_networkx(graph), "s", "t")
    assert [c.link for c in found.cut] == ["near"]
    assert set(found.tied) == {"far", "other"}


@pytest.mark.some(1)
@pytest.mark.parametrize("scale", [1e-9, 1.0, math.pi, 1e12])
def test_rates_without_a_common_unit(scale):
    for seed in range(10):
        rng = random.Random(seed)
        graph = nx.gnp_random_graph(9, 0.5, seed=seed)
        for *_, data in graph.edges(data=True):
            data["capacity"] = rng.random() * scale
        found = max_flow(from_networkx(graph), 0, 8)
        assert found.value_gbps == pytest.approx(nx.maximum_flow_value(graph, 0, 8), rel=1e-9)
        assert found.status == "optimal"


@pytest.mark.parametrize("huge", [1e9, 1e20, 1e300])
def test_large_rates_do_not_hide_small_ones(huge):
    found = answer([("s", "a", huge), ("a", "t", math.pi), ("s", "b", 1e-9), ("b", "t", huge)])
    assert found.value_gbps == pytest.approx(math.pi + 1e-9, rel=1e-12)
    assert found.status == "optimal"


def test_a_small_residue_is_not_full():
    # One unit is left on the first cable: 1e-10 of its capacity, but no tie.
    found = answer([("s", "a", 2**34), ("a", "t", 2**34 - 1)])
    assert found.value_gbps == 2**34 - 1
    assert found.cut[0].capacity_gbps == 2**34 - 1
