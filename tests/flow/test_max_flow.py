"""Maximum flow: laws over many fabrics, networkx on the same question, and minimum cuts by brute force."""

import itertools
import random
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from networkx.algorithms.flow import edmonds_karp, preflow_push

from fabric.errors import LimitError, QuestionError, SelectorError
from fabric.flow import flow_network, max_flow
from fabric.flow.problem import flow_problem, network, parts_of, select_parts
from fabric.flow.solve import solve
from fabric.graph import expand, load, loads
from fabric.graph.exchange import from_networkx, to_networkx

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

NVL72 = """
fabric: small-nvl72
include: {fabric: gb300-nvl72, over: {rack: 4}}
axes: {block: 2, r: 2, rack: [block, r], plane: 2, spine: 3}
devices:
  leaf:  {part: sn5610, axes: [plane, block, slot]}
  spine: {part: sn5610, axes: [plane, spine]}
links:
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
absent: [tray2-17/*]
"""
SUPERPOD = """
fabric: small-superpod
include: {fabric: hgx-h100, over: {su: 2, node: 2}}
axes: {spine: 2}
devices:
  leaf:  {part: qm9700, axes: [su, slot]}
  spine: {part: qm9700, axes: [spine]}
  ufm:   {kind: host, endpoint: false, axes: []}
links:
  - {between: [nic, leaf], rate: NDR}
  - {between: [leaf, spine], rate: NDR}
  - {between: [ufm, su1/slot0-3/leaf], rate: NDR}
absent: [su1/node1/*]
failed: [su0/slot1/leaf, [su0/node0/slot2/nic, leaf]]
"""
RACK = """
fabric: small-rack
include: gb300-nvl72
absent: [tray2-17/*]
"""
TORUS = """
fabric: torus
axes: {x: 4, y: 3}
devices: {chip: {kind: gpu, axes: [x, y], transit: all}}
links:
  - {between: [chip, chip], name: x, ring: x, rate: 100Gb/s}
  - {between: [chip, chip], name: y, ring: y, rate: 8Tb/s/3}
"""


def random_clos(seed):
    """Write a two- or three-tier fabric at random."""
    rng = random.Random(seed)
    rate = [rng.choice(["100Gb/s", "400Gb/s", "8Tb/s/3", "0.3Gb/s"]) for _ in range(4)]
    text = f"""
    fabric: clos
    axes:
      pod: {rng.randint(1, 3)}
      rack: {rng.randint(1, 3)}
      slot: {rng.randint(2, 3)}
      plane: {rng.randint(1, 2)}
      k: {rng.randint(1, 3)}
    devices:
      gpu: {{kind: gpu, axes: [pod, rack, slot], transit: {rng.choice(["relay", "end"])}}}
      nvs: {{kind: switch, axes: [pod, rack]}}
      nic: {{kind: nic, axes: [pod, rack, slot]}}
      leaf: {{kind: switch, axes: [pod, plane, {rng.choice(["rack", "slot"])}]}}
      spine: {{kind: switch, axes: [plane, k]}}
    links:
      - {{between: [gpu, nvs], rate: {rate[0]}, net: scale-up, count: {rng.randint(1, 4)}}}
      - {{between: [gpu, nic], rate: {rate[1]}, net: host}}
      - {{between: [nic, leaf], rate: {rate[2]}}}
      - {{between: [leaf, spine], rate: {rate[3]}, count: {rng.randint(1, 3)}}}
    """
    return loads(text)


def random_graph(seed):
    """Build a regular, random or directed graph with capacities."""
    rng = random.Random(seed)
    kind = seed % 4
    if kind == 0:
        graph = nx.random_regular_graph(3, 10, seed=seed)
    elif kind == 1:
        graph = nx.gnp_random_graph(9, 0.4, seed=seed)
    elif kind == 2:
        graph = nx.gnp_random_graph(9, 0.3, seed=seed, directed=True)
    else:
        graph = nx.grid_2d_graph(3, 3, periodic=True)
    for *_, data in graph.edges(data=True):
        data["capacity"] = rng.choice([1.0, 2.0, 0.25, 8000 / 3, rng.random(), float(rng.randrange(10**9))])
    return graph


def clos_question(seed):
    """Ask from a third of the endpoints of a random file to the others."""
    fabric = random_clos(seed)
    e = expand(fabric)
    names = [name for name, ends in zip(e.names, e.is_endpoint, strict=True) if ends]
    third = max(1, len(names) // 3)
    return fabric, names[:third], names[third:]


def graph_question(seed):
    fabric = from_networkx(random_graph(seed))
    first, *_, last = expand(fabric).names
    return fabric, first, last


QUESTIONS = {
    "nvl72-same-block": lambda: (loads(NVL72), "rack0", "rack1"),
    "nvl72-blocks": lambda: (loads(NVL72), "block0", "block1"),
    "nvl72-same-rack": lambda: (loads(NVL72), "rack0/tray0/gpu0", "rack0/tray1/gpu2"),
    "nvl72-gpus": lambda: (loads(NVL72), "rack0/tray0/gpu0", "rack3/tray1/gpu2"),
    "nvl72-to-switches": lambda: (loads(NVL72), ["rack0/tray0", "rack2"], "rack3/nvswitch"),
    "superpod-units": lambda: (loads(SUPERPOD), "su0", "su1"),
    "superpod-gpus": lambda: (loads(SUPERPOD), "su0/node0/gpu1", "su0/node1/gpu7"),
    "superpod-ufm": lambda: (loads(SUPERPOD), "ufm", "su1"),
    "rack-trays": lambda: (loads(RACK), "tray0", "tray1"),
    "rack-gpus": lambda: (loads(RACK), "tray0/gpu0", "tray1/gpu3"),
    "torus": lambda: (loads(TORUS), "x0/chip0", "x2/chip1"),
    **{f"clos-{seed}": partial(clos_question, seed) for seed in range(12)},
    **{f"graph-{seed}": partial(graph_question, seed) for seed in range(16)},
}
# Of each drawn kind: four files, and a graph of each of four sorts.
FURTHER = re.compile(r"(clos|graph)-([4-9]|1\d)")


@pytest.fixture(
    params=[pytest.param(n, marks=[pytest.mark.slow] if FURTHER.fullmatch(n) else []) for n in QUESTIONS],
    scope="module",
)
def question(request):
    """Return (fabric, source, target): files at reduced size, random files, random graphs."""
    return QUESTIONS[request.param]()


def by_name(fabric, side):
    """Return the devices of a side by name, to ask the same question of a changed graph."""
    chosen = select_parts(fabric, parts_of(fabric, side))
    return [name for name, is_in in zip(expand(fabric).names, chosen, strict=True) if is_in]


def value(graph, source, target):
    return max_flow(from_networkx(graph), source, target).value_gbps


@pytest.mark.some(2)
def test_networkx_finds_the_same(question):
    fabric, source, target = question
    answer = max_flow(fabric, source, target)
    network, s, t = flow_network(fabric, source, target)
    assert answer.status == "optimal"
    for algorithm in (None, preflow_push, edmonds_karp):
        found = nx.maximum_flow_value(network, s, t, flow_func=algorithm)
        assert found == pytest.approx(answer.value_gbps, rel=1e-9, abs=1e-12)


@pytest.mark.some(3)
def test_flow_keeps_to_capacities_and_nothing_is_lost(question):
    fabric, source, target = question
    problem = flow_problem(fabric, source, target)
    net = network(problem)
    flow = solve(net, np.full(len(net.tail), -1)).flow
    e = expand(fabric)
    balance = defaultdict(float)
    through = defaultdict(float)
    load = defaultdict(float)
    for move, amount in zip(net.move.tolist(), flow.tolist(), strict=True):
        assert amount >= 0
        if move < 0:
            continue
        tail, head, link = problem.tail[move], problem.head[move], problem.link[move]
        balance[tail] -= amount
        balance[head] += amount
        through[head] += amount
        devices = problem.moves.device[tail], problem.moves.device[head]
        if link < 0:
            assert devices[0] == devices[1]
        else:
            ends = e.tail[link // 2], e.head[link // 2]
            assert devices == (ends if link % 2 == 0 else ends[::-1])
            load[link] += amount
    for link, amount in load.items():
        row = link // 2
        assert not e.failed[[e.tail[row], e.head[row]]].any()
        assert amount <= (e.count[row] - e.failed_count[row]) * e.rate_gbps[row] * (1 + 1e-12)
    inside = [v for v in balance if not problem.sources[v] and not problem.targets[v]]
    assert [v for v in inside if abs(balance[v]) > 1e-12 * through[v]] == []
    arrived = sum(balance[v] for v in balance if problem.targets[v])
    assert arrived == pytest.approx(max_flow(fabric, source, target).value_gbps, rel=1e-12)


@pytest.mark.some(3)
def test_the_cut_is_as_large_as_the_flow(question):
    fabric, source, target = question
    answer = max_flow(fabric, source, target)
    assert sum(c.capacity_gbps for c in answer.cut) == pytest.approx(answer.value_gbps, rel=1e-9)
    assert answer.certificate.lower_gbps == answer.value_gbps
    assert answer.certificate.upper_gbps == pytest.approx(answer.value_gbps, rel=1e-9)
    assert not answer.certificate.faults
    assert not set(answer.tied) & {c.link for c in answer.cut}


def test_no_flow_turns_in_a_device_that_does_not(question):
    fabric, source, target = question
    e = expand(fabric)
    network, s, t = flow_network(fabric, source, target)
    _, flow = nx.maximum_flow(network, s, t)
    for v, name in enumerate(e.names):
        transit = e.groups[e.group[v]].transit
        ups, downs = ([f"{name}{half}{stage}" for stage in ("", "~home", "~arrived")] for half in ("", ":rx"))
        if transit == "all":
            assert not any(network.has_node(down) for down in downs)
        elif transit in ("turn", "pass"):
            # What has come down never climbs again.
            assert not any(network.has_edge(down, up) for up in ups for down in downs)
        if transit == "pass":
            assert not any(network.has_edge(up, down) for up in ups for down in downs)
        for up in ups if transit == "end" else ():
            if network.has_node(up):
                inward = sum(flow[u][up] for u in network.pred[up] if u != s)
                outward = sum(f for u, f in flow[up].items() if u != t)
                assert min(inward, outward) == 0.0


def bare(fabric):
    """Return the graph of a fabric, free to be changed: without what follows from the rest."""
    graph = to_networkx(fabric)
    for *_, data in graph.edges(data=True):
        del data["capacity"]
    return graph


@pytest.mark.some(1)
def test_a_cable_more_never_lowers_and_a_failure_never_raises(question):
    fabric, source, target = question
    before = max_flow(fabric, source, target).value_gbps
    ends = by_name(fabric, source), by_name(fabric, target)
    graph = bare(fabric)
    rng = random.Random(1)
    listed = list(graph.edges(keys=True))
    for edge in rng.sample(listed, min(2, len(listed))):
        data = graph.edges[edge]
        for change in ("count", "failed_count"):
            data[change] += 1
            after = value(graph, *ends)
            if change == "count":
                assert after >= before * (1 - 1e-9)
            else:  # one more, and one of them down
                assert after == pytest.approx(before, rel=1e-9)
        data["failed_count"] = data["count"]
        assert value(graph, *ends) <= before * (1 + 1e-9)
        graph = bare(fabric)
    others = [v for v in graph if v not in ends[0] + ends[1]]
    for device in rng.sample(others, min(2, len(others))):
        graph.nodes[device]["failed"] = True
        after = value(graph, *ends)
        assert after <= before * (1 + 1e-9)
        before = after


@pytest.mark.some(1)
def test_relabelling_changes_nothing(question):
    fabric, source, target = question
    answer = max_flow(fabric, source, target)
    ends = by_name(fabric, source), by_name(fabric, target)
    graph = bare(fabric)
    order = list(graph)
    random.Random(2).shuffle(order)
    number = {v: i for i, v in enumerate(order)}
    mixed = nx.MultiGraph()
    mixed.add_nodes_from((number[v], graph.nodes[v]) for v in order)
    edges = list(graph.edges(keys=True, data=True))
    random.Random(3).shuffle(edges)
    for u, v, key, data in edges:
        where = {k: number[data[k]] for k in ("lower", "tail", "head") if k in data}
        mixed.add_edge(number[v], number[u], key=key, **{**data, **where})
    again = max_flow(from_networkx(mixed), *([number[v] for v in side] for side in ends))
    assert again.value_gbps == pytest.approx(answer.value_gbps, rel=1e-12)
    assert {(c.link, c.n_cables) for c in again.cut} == {(c.link, c.n_cables) for c in answer.cut}
    assert set(again.tied) == set(answer.tied)


@pytest.mark.some(2)
@pytest.mark.parametrize("factor", [2.0, 1 / 3, 1e7])
def test_scaling_scales(question, factor):
    fabric, source, target = question
    answer = max_flow(fabric, source, target)
    graph = bare(fabric)
    for *_, data in graph.edges(data=True):
        data["rate_gbps"] *= factor
    again = max_flow(from_networkx(graph), by_name(fabric, source), by_name(fabric, target))
    assert again.value_gbps == pytest.approx(factor * answer.value_gbps, rel=1e-9)
    assert again.status == "optimal"
    assert {(c.link, c.n_cables) for c in again.cut} == {(c.link, c.n_cables) for c in answer.cut}


@pytest.mark.some(1)
@pytest.mark.seeds(2, of=40)
def test_a_graph_gives_what_networkx_gives(seed):
    graph = random_graph(seed)
    fabric = from_networkx(graph)
    for source, target in itertools.islice(itertools.permutations(graph, 2), 0, None, 7):
        expected = nx.maximum_flow_value(graph, source, target)
        assert max_flow(fabric, source, target).value_gbps == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_petersen_and_hypercube(every):
    for graph, degree in ((nx.petersen_graph(), 3), (nx.hypercube_graph(4), 4)):
        nx.set_edge_attributes(graph, 100.0, "capacity")
        fabric = from_networkx(graph)
        for source, target in list(itertools.combinations(graph, 2))[::every]:
            assert max_flow(fabric, source, target).value_gbps == 100.0 * degree


def random_multigraph(rng, n):
    graph = nx.MultiGraph()
    graph.add_nodes_from(range(n))
    for u, v in itertools.combinations(range(n), 2):
        for key in "abc":
            if rng.random() < 0.3:
                graph.add_edge(
                    u, v, key=key, capacity=rng.choice([1.0, 1.0, 2.0, 3.0]), count=rng.choice([1, 2])
                )
    return graph


def minimum_cuts(graph, source, target):
    """Return the value and the source sides of all minimum cuts, by looking at every subset."""
    others = [v for v in graph if v not in (source, target)]
    sides = {}
    for n in range(len(others) + 1):
        for chosen in itertools.combinations(others, n):
            side = frozenset({source, *chosen})
            sides[side] = sum(
                d["capacity"] for u, v, d in graph.edges(data=True) if (u in side) != (v in side)
            )
    least = min(sides.values())
    return least, [side for side, size in sides.items() if size == least]


@pytest.mark.seeds(20, of=80)
def test_cut_and_ties_against_every_subset(seed):
    rng = random.Random(seed)
    graph = random_multigraph(rng, rng.randint(2, 7))
    answer = max_flow(from_networkx(graph), 0, 1)
    least, cuts = minimum_cuts(graph, 0, 1)
    assert answer.value_gbps == least
    nearest = frozenset.intersection(*cuts)
    assert nearest in cuts

    def crossing(side):
        return [(k, d) for u, v, k, d in graph.edges(keys=True, data=True) if (u in side) != (v in side)]

    expected = {}
    for key, data in crossing(nearest):
        cables, capacity = expected.get(key, (0, 0.0))
        expected[key] = (cables + data["count"], capacity + data["capacity"])
    assert {c.link: (c.n_cables, c.capacity_gbps) for c in answer.cut} == expected
    binding = {key for side in cuts for key, _ in crossing(side)}
    assert set(answer.tied) == binding - set(expected)
    assert list(answer.tied) == sorted(
        answer.tied, key=[r.name for r in expand(from_networkx(graph)).rules].index
    )


def test_failures():
    text = """
    fabric: a
    axes: {slot: 4, plane: 2}
    devices: {gpu: {kind: gpu, axes: [slot]}, leaf: {kind: switch, axes: [plane]}}
    links: [{between: [gpu, leaf], rate: 100Gb/s, count: 3}]
    failed: [gpu3, [gpu0, plane0/leaf, 2], [gpu1, leaf]]
    """
    fabric = loads(text)
    assert max_flow(fabric, "gpu0", "gpu2").value_gbps == 400.0
    assert max_flow(fabric, "gpu0", "gpu2").cut[0].n_cables == 4
    for target in ("gpu1", "gpu3"):
        answer = max_flow(fabric, "gpu0", target)
        assert (answer.value_gbps, answer.status, answer.cut, answer.tied) == (0.0, "cut off", (), ())
        assert "nothing can flow: no permitted path" in str(answer)
        network, s, t = flow_network(fabric, "gpu0", target)
        assert nx.maximum_flow_value(network, s, t) == 0
    assert max_flow(fabric, "gpu0", ["gpu2", "gpu3"]).value_gbps == 400.0


def test_relaying_is_told_apart():
    fabric = loads(NVL72)
    answer = max_flow(fabric, "rack0/tray0/gpu0", "rack2/tray0/gpu0")
    assert (
        answer.without_relay_gbps
        == max_flow(fabric, "rack0/tray0/gpu0", "rack2/tray0/gpu0", paths="no-relay").value_gbps
    )
    assert answer.without_relay_gbps < answer.value_gbps
    first = str(answer).splitlines()[0]
    assert first.index(" on its own, ") < first.index(" with others relaying, per direction")
    assert max_flow(fabric, "rack0", "rack1").without_relay_gbps is None
    free = max_flow(fabric, "rack0/tray0/gpu0", "rack2/tray0/gpu0", paths="any")
    assert free.value_gbps >= answer.value_gbps
    assert free.without_relay_gbps is None


def test_nodes_of_any_kind():
    grid = nx.grid_2d_graph(3, 4)
    nx.set_edge_attributes(grid, 10.0, "capacity")
    fabric = from_networkx(grid)
    answer = max_flow(fabric, (0, 1), (2, 3))
    assert (answer.value_gbps, answer.source, answer.target) == (20.0, "(0, 1)", "(2, 3)")
    assert max_flow(fabric, [(0, 0), (0, 1)], {(2, 3), (2, 2)}).value_gbps == 30.0
    assert max_flow(fabric, "(0, 1)", "(2, 3)").value_gbps == 20.0
    assert max_flow(fabric, iter([(0, 0), (0, 1)]), ((2, 3), (2, 2))).value_gbps == 30.0
    twins = nx.Graph(
        [(0, "x", {"capacity": 1.0}), ("x", "0", {"capacity": 2.0}), ("x", "x:rx", {"capacity": 4.0})]
    )
    twins.add_edge("<source>", "x", capacity=8.0)
    fabric = from_networkx(twins)
    assert max_flow(fabric, 0, "0").value_gbps == 1.0
    assert max_flow(fabric, "0", "x").value_gbps == 2.0
    assert max_flow(fabric, frozenset(["0", 0]), "x").value_gbps == 3.0
    assert nx.maximum_flow_value(*flow_network(fabric, [0, "0", "<source>"], "x:rx")) == 4.0
    keyed = nx.Graph([(frozenset({1}), 1, {"capacity": 5.0})])
    assert max_flow(from_networkx(keyed), frozenset({1}), 1).value_gbps == 5.0


def test_selections_of_a_file():
    fabric = loads(TORUS)
    assert max_flow(fabric, ["x0/chip0", "x1/chip0"], ("x2/chip1",)).source == "x0/chip0, x1/chip0"
    assert max_flow(fabric, (s for s in ["x0", "x1"]), "x2").value_gbps > 0


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        ("x0", "x0-1", QuestionError, "source and target share 3 devices, such as x0/chip0"),
        ("x0/chip0", "x0/chip0", QuestionError, "share 1 device, such as x0/chip0"),
        ([], "x0", QuestionError, "an empty selection; name at least one device"),
        ("x9", "x0", SelectorError, "x9"),
        (7, "x0", SelectorError, "7"),
        ([["x1"]], "x0", SelectorError, "x1"),
    ],
)
def test_questions_without_an_answer(source, target, error, message):
    for ask in (max_flow, flow_network):
        with pytest.raises(error, match=message):
            ask(loads(TORUS), source, target)


def test_an_unknown_node():
    fabric = from_networkx(nx.Graph([("alpha", "beta", {"capacity": 1.0})]))
    with pytest.raises(SelectorError, match=r"no device 'alpa' in graph; did you mean alpha"):
        max_flow(fabric, "alpa", "beta")
    with pytest.raises(SelectorError, match=r"no device .*alpha"):
        max_flow(fabric, [["alpha"]], "beta")


def test_limits():
    fabric = loads(TORUS)
    size = flow_network(fabric, "x0", "x2")[0].number_of_edges()
    with pytest.raises(
        LimitError, match=r"arcs; a NetworkX graph is limited to 5\. Pass limit=\d+ .* or use max_flow"
    ):
        flow_network(fabric, "x0", "x2", limit=5)
    assert flow_network(fabric, "x0", "x2", limit=size)[0].number_of_edges() == size
    with pytest.raises(LimitError, match=r"torus has 12 devices; the expanded form is limited to 5"):
        max_flow(fabric, "x0", "x2", method="links", limit=5)
    assert max_flow(fabric, "x0", "x2", limit=5).method == "axes"


@pytest.mark.some(1)
@pytest.mark.parametrize("paths", ["rules", "no-relay", "any"])
@pytest.mark.parametrize(
    ("file", "source", "target"),
    [
        ("gb300-nvl72-1152", "rack0", "rack1"),
        ("gb300-nvl72-1152", "block0-3", "block4-7"),
        ("gb300-nvl72-1152", "rack0/tray0/gpu0", "rack5/tray3/gpu2"),
        ("gb300-nvl72-1152", "tray0", "tray1-3"),
        ("gb300-nvl72", "tray0/gpu0", "tray0/gpu1"),
        ("superpod-h100-4su", "su0", "su3"),
        ("superpod-h100-4su", "su0/node3/gpu1", "su3/node30"),
    ],
)
def test_classes_answer_as_real_devices_do(file, source, target, paths):
    fabric = load(TOPOLOGIES / f"{file}.fabric.yaml")
    by_axes = max_flow(fabric, source, target, paths=paths, method="axes")
    real = max_flow(fabric, source, target, paths=paths, method="links")
    assert by_axes.value_gbps == pytest.approx(real.value_gbps, rel=1e-12)
    assert (by_axes.cut, by_axes.tied, by_axes.status) == (real.cut, real.tied, real.status)
    assert by_axes.without_relay_gbps == real.without_relay_gbps
    assert by_axes.n_classes * 10 < real.n_classes


def test_a_million_gpus_need_no_expanded_form():
    fabric = load(TOPOLOGIES / "systems/million-scenario.fabric.yaml")
    answer = max_flow(fabric, "pod0", "pod1")
    # 128 spines of a pod with 112 cables of 800 Gb/s each.
    assert (answer.value_gbps, answer.status) == (128 * 112 * 800.0, "optimal")
    assert [(c.link, c.n_cables) for c in answer.cut] == [("spine-core", 128 * 112)]
    pair = max_flow(
        fabric, "pod0/su0/block0/rack0/tray0/gpu0", "pod1/su0/block0/rack0/tray0/gpu0", paths="no-relay"
    )
    assert pair.value_gbps == 800 + 504  # by its own NIC, and by Grace to the next


def test_json_keys():
    answer = max_flow(loads(TORUS), "x0", "x2").to_dict()
    assert answer["cut"] == [{"link": "x", "n_cables": 6, "capacity_gbps": 600.0, "devices": [], "n_more": 0}]
    assert (answer["value_gbps"], answer["status"], answer["tied"]) == (600.0, "optimal", [])
    assert answer["certificate"]["lower_gbps"] == answer["certificate"]["upper_gbps"] == 600.0


ABSENT = """
fabric: a
axes: {slot: 4}
devices: {gpu: {kind: gpu, axes: [slot]}, spare: {kind: gpu, axes: [slot]}, leaf: {kind: switch, axes: []}}
links:
  - {between: [gpu, leaf], rate: 100Gb/s}
  - {between: [spare, leaf], rate: 100Gb/s}
absent: [gpu3, spare]
failed: [gpu2]
"""


@pytest.mark.parametrize("method", ["axes", "links"])
def test_absent_devices_are_no_side_and_failed_ones_are(method):
    fabric = loads(ABSENT)
    assert max_flow(fabric, "gpu2", "gpu0", method=method).value_gbps == 0.0
    for nothing in ("gpu3", "slot3", "slot3/*", "spare"):
        with pytest.raises(SelectorError, match=f"{re.escape(nothing)}' matches no device of a"):
            max_flow(fabric, nothing, "gpu0", method=method)
    assert max_flow(fabric, "slot1-2", "gpu0", method=method).value_gbps == 100.0
