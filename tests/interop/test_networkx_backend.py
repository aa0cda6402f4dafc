"""The backend of NetworkX: its values are those of NetworkX, and NetworkX's own tests pass with it."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import fabric
from fabric.interop import networkx_backend as backend

ROOT = Path(__file__).parents[2]
ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["networkx.backends"]


def random_graph(seed):
    """Return a directed or undirected graph with whole, broken, unlimited and absent capacities."""
    rng = np.random.default_rng(seed)
    make = nx.DiGraph if seed % 2 else nx.Graph
    graph = nx.gnp_random_graph(int(rng.integers(4, 14)), 0.4, seed=seed, directed=bool(seed % 2))
    graph = make(graph)
    kinds = ([1, 2, 3, 7], [400.0, 800.0, 8000 / 3], [0.1, 0.2, 0.3], [-1, 0, 5, float("inf")])[seed // 2 % 4]
    for u, v in graph.edges:
        if rng.random() < 0.93:
            graph[u][v]["capacity"] = kinds[int(rng.integers(len(kinds)))]
    return graph


def answer(call):
    try:
        return call()
    except nx.NetworkXException as error:
        return type(error), str(error)


@pytest.mark.seeds(12, of=200)
def test_values_and_sides_are_those_of_networkx(seed):
    graph = random_graph(seed)
    own = backend.convert_from_nx(graph, {"capacity": float("inf")})
    for s, t in ((0, 1), (1, 0), (2, 2), (0, "none"), (3, 2)):
        right = answer(lambda s=s, t=t: nx.minimum_cut(graph, s, t))
        found = answer(lambda s=s, t=t: backend.minimum_cut(own, s, t))
        if isinstance(right[0], type):
            assert found == right
            assert answer(lambda s=s, t=t: backend.maximum_flow_value(own, s, t)) == right
            continue
        assert found[0] == pytest.approx(right[0], rel=1e-12)
        assert backend.maximum_flow_value(own, s, t) == backend.minimum_cut_value(own, s, t) == found[0]
        if seed // 2 % 4 in (0, 3):
            # In whole numbers the far side of NetworkX is the least one too.
            assert found == right
            assert isinstance(found[0], int)
        else:
            cut = [(u, v) for u, v in graph.edges if (u in found[1][0]) != (v in found[1][0])]
            cut = [(u, v) for u, v in cut if not graph.is_directed() or u in found[1][0]]
            assert sum(graph[u][v].get("capacity", 0) for u, v in cut) == pytest.approx(found[0])
            assert s in found[1][0]
            assert t in found[1][1]


@pytest.mark.parametrize("make", [nx.MultiGraph, nx.MultiDiGraph])
def test_several_edges_are_refused_as_networkx_does(make):
    graph = make([(0, 1, {"capacity": 1}), (0, 1, {"capacity": 2})])
    own = backend.convert_from_nx(graph, {"capacity": float("inf")})
    right = answer(lambda: nx.maximum_flow_value(graph, 0, 1))
    assert answer(lambda: backend.maximum_flow_value(own, 0, 1)) == right
    assert "not supported" in right[1]


@pytest.mark.parametrize("capacity", [2**40, 2**31 - 1, np.pi, "a number of its own"])
def test_what_has_no_unit_that_fits_is_left_to_networkx(capacity):
    graph = nx.DiGraph([(0, 1, {"capacity": 1}), (1, 2, {"capacity": 1})])
    graph[0][1]["capacity"] = _Number(3) if isinstance(capacity, str) else capacity
    own = backend.convert_from_nx(graph, {"capacity": float("inf")})
    with pytest.raises(NotImplementedError, match="no common unit of which there are fewer than 2"):
        backend.maximum_flow_value(own, 0, 2)


class _Number:
    """A number that only adds up."""

    def __init__(self, n):
        self.n = n

    def __gt__(self, other):
        return self.n > other


def test_a_flow_network_of_a_fabric_has_one_value():
    f = fabric.load(ROOT / "topologies/superpod-h100-4su.fabric.yaml")
    graph, s, t = fabric.flow_network(f, "su0/node0", "su1/node3")
    own = backend.convert_from_nx(graph, {"capacity": float("inf")})
    assert backend.maximum_flow_value(own, s, t) == pytest.approx(
        fabric.max_flow(f, "su0/node0", "su1/node3").value_gbps
    )


def test_can_run_leaves_algorithms_to_networkx():
    assert backend.can_run("maximum_flow_value", (None, 0, 1), {}) is True
    assert "flow_func" in backend.can_run("maximum_flow_value", (None, 0, 1), {"flow_func": print})
    assert "flow_func" in backend.can_run("minimum_cut", (None, 0, 1, "capacity", print), {})


@pytest.fixture
def installed(tmp_path):
    """Return the environment of a process in which the entry point of pyproject.toml is installed."""
    folder = tmp_path / "fabtopo_entry-0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: fabtopo-entry\nVersion: 0\n")
    lines = [f"{name} = {value}" for name, value in ENTRY.items()]
    (folder / "entry_points.txt").write_text("[networkx.backends]\n" + "\n".join(lines) + "\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "HERE": str(tmp_path)}


def test_networkx_finds_it_and_keeps_what_it_made(installed):
    code = """
import networkx as nx
graph = nx.DiGraph([("a", "b", {"w": 3}), ("b", "c", {"w": 2}), ("a", "c", {"w": 1})])
nx.config.warnings_to_ignore.add("cache")
print(nx.maximum_flow_value(graph, "a", "c", capacity="w", backend="fabtopo"))
print(nx.minimum_cut(graph, "a", "c", capacity="w", backend="fabtopo"))
print(len(graph.__networkx_cache__["backends"]["fabtopo"]))
graph["b"]["c"]["w"] = 1
graph.__networkx_cache__.clear()
print(nx.minimum_cut_value(graph, "a", "c", capacity="w", backend="fabtopo"))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env=installed, capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert lines[0] == "3"
    assert eval(lines[1]) == (3, ({"a", "b"}, {"c"}))
    assert lines[2:] == ["1", "2"]


def _own_tests(names, environment):
    """Run tests that NetworkX brings, with the backend for all that it does."""
    files = [f"networkx.algorithms.{name}" for name in names]
    try:
        found = [name for name in files if importlib.util.find_spec(name)]
    except ModuleNotFoundError:
        found = []
    if found != files:
        pytest.skip("this networkx comes without its tests")
    more = {"NETWORKX_TEST_BACKEND": "fabtopo", "NETWORKX_FALLBACK_TO_NX": "True"}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-c", os.devnull, "--rootdir", "/"]
    command = [sys.executable, "-m", "pytest", *options, "--pyargs", *files]
    run = subprocess.run(
        command, env=environment | more, cwd=environment["HERE"], capture_output=True, text=True, check=False
    )
    if "unrecognized arguments" in run.stderr or "nx_loopback" in run.stderr:
        pytest.skip(f"networkx's tests do not start here: {run.stderr.strip().splitlines()[-1]}")
    return run


@pytest.mark.slow
def test_tests_of_networkx_for_flows_pass(installed):
    run = _own_tests(["flow.tests.test_maxflow"], installed)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert " passed" in run.stdout


@pytest.mark.slow
def test_tests_of_networkx_for_all_that_rests_on_flows_pass(installed):
    names = ["flow.tests.test_maxflow_large_graph", "flow.tests.test_gomory_hu"]
    names += [f"connectivity.tests.test_{name}" for name in ("connectivity", "cuts", "edge_kcomponents")]
    run = _own_tests(names, installed)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
