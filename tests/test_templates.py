"""What must hold of the templates and of the measured clusters, counted on their expanded links.

Cables, rates and degrees of all of them are in test_systems_links.py.
"""

import ast
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from fabric.blueprint.templates import template_names
from fabric.bounds.bound import bound
from fabric.errors import TopologyError
from fabric.flow import max_flow
from fabric.graph import expand, load, loads
from fabric.parts import find_part

MEASURED = Path(__file__).parents[1] / "topologies" / "measured"

# Published totals. GB200 and GB300: 1.8 TB/s a GPU, 130 TB/s a rack (rounded from 129.6), NVIDIA's GB200
# NVL72 page. Vera Rubin: 3.6 TB/s a GPU, 260 TB/s a rack (rounded from 259.2), NVIDIA Vera Rubin NVL72
# page; two NICs of 800 Gb/s a GPU, SemiAnalysis, "Vera Rubin - Extreme Co-Design", 25 Feb 2026. HGX H100:
# 900 GB/s a GPU, four NVSwitch chips with 5, 4, 4 and 5 links from each GPU, Hot Chips 34. Others: 600 GB/s
# an A100, 1.8 TB/s a B200 or B300 (data sheets), 400 GB/s an H800 (arXiv 2505.09343).
SCALE_UP = [
    # template, GPUs, links of a GPU, ports used on each chip, total of both directions [TB/s]
    ("gb200-nvl72", 72, 18, [72] * 18, 129.6),
    ("gb300-nvl72", 72, 18, [72] * 18, 129.6),
    ("vr-nvl72", 72, 36, [72] * 36, 259.2),
    ("hgx-h100", 8, 18, [40, 32, 32, 40], 7.2),
    ("hgx-h200", 8, 18, [40, 32, 32, 40], 7.2),
    ("hgx-h20", 8, 18, [40, 32, 32, 40], 7.2),
    ("hgx-h800", 8, 8, [16] * 4, 3.2),
    ("hgx-a100", 8, 12, [16] * 6, 4.8),
    ("hgx-b200", 8, 18, [72] * 2, 14.4),
    ("hgx-b300", 8, 18, [72] * 2, 14.4),
    ("aws-p4de", 8, 12, [16] * 6, 4.8),
    ("aws-p5", 8, 18, [40, 32, 32, 40], 7.2),
    ("aws-p5en", 8, 18, [40, 32, 32, 40], 7.2),
]
SCALE_OUT = [
    # template, NICs, rate of each, total of one direction [Tb/s]
    ("gb200-nvl72", 72, 400, 28.8),
    ("gb300-nvl72", 72, 800, 57.6),
    ("vr-nvl72", 144, 800, 115.2),
    ("hgx-h100", 8, 400, 3.2),
    ("hgx-h200", 8, 400, 3.2),
    ("hgx-h800", 8, 400, 3.2),
    ("hgx-a100", 8, 200, 1.6),
    ("hgx-b200", 8, 400, 3.2),
    ("hgx-b300", 8, 800, 6.4),
    ("dgx1-v100", 4, 100, 0.4),
    ("dgx2-v100", 8, 100, 0.8),
    ("mi300x", 8, 400, 3.2),
    ("aws-p4de", 4, 100, 0.4),
    ("aws-p5", 32, 100, 3.2),
    ("aws-p5en", 16, 200, 3.2),
]

# Scale-up of one GPU in both directions and of one pair of GPUs in one [GB/s]. V100 300, A100 600, H100 and
# H200 900, B200, B300 and GB200 1800, NVIDIA; H800 400, arXiv 2505.09343; MI300X 7 x 64 each way and 64 a
# pair, AMD. Switches give a pair all that a GPU has; in the cube mesh GPUs pass on what others send.
PER_GPU = {
    "dgx1-v100": (300, 150),
    "dgx2-v100": (300, 150),
    "hgx-a100": (600, 300),
    "aws-p4de": (600, 300),
    "hgx-h100": (900, 450),
    "hgx-h200": (900, 450),
    "aws-p5": (900, 450),
    "aws-p5en": (900, 450),
    "hgx-h20": (900, 450),
    "hgx-h800": (400, 200),
    "hgx-b200": (1800, 900),
    "hgx-b300": (1800, 900),
    "gb200-nvl72": (1800, 900),
    "gb300-nvl72": (1800, 900),
    "vr-nvl72": (3600, 1800),
    "mi300x": (896, 64),
    "mi325x": (896, 64),
    "pcie-gpu-box": (126, 63),
}

BOARD_OF = {f"dgx-{gpu}": f"hgx-{gpu}" for gpu in ("a100", "h100", "h200", "b200", "b300")}

# NVLinks between the GPUs of a DGX-1, SYNTHESIS.md of microsoft/msccl-tools@030a750.
CUBE_MESH = [
    [0, 2, 1, 1, 2, 0, 0, 0],
    [2, 0, 1, 2, 0, 1, 0, 0],
    [1, 1, 0, 2, 0, 0, 2, 0],
    [1, 2, 2, 0, 0, 0, 0, 1],
    [2, 0, 0, 0, 0, 2, 1, 1],
    [0, 1, 0, 0, 2, 0, 1, 2],
    [0, 0, 2, 0, 1, 1, 0, 2],
    [0, 0, 0, 1, 1, 2, 2, 0],
]

# Clusters: their servers, GPUs, and what each server has towards the others [Gb/s].
CLUSTERS = {
    "h100-12-node": (12, 96, 3200),
    "p5-2-node": (2, 16, 3200),
    "p5en-16-node": (16, 128, 3200),
    "p4de-2-node": (2, 16, 400),
    "dgx-a100-4-node": (4, 32, 1600),
    "b200-4-node": (4, 32, 3200),
    "h800-8-node": (8, 64, 3200),
}

# All-gather algbw [GB/s]. ForestColl (arXiv 2402.06787) gives the first six, with 8 GPUs a server and a NIC
# for each; the cluster of 16 servers of H200 is its H100 x 16, and 4 x 8 A100 its A100 x 4. TE-CCL (SIGCOMM
# 2024) finishes 1 GB on two chassis in 7.75 ms. The last two: what a server takes in of the parts of others.
ALL_GATHER = {
    "dgx1-v100": 171.428571,
    "nd-a100-v4": 342.857143,
    "nd-h100-v5": 514.285714,
    "mi300x-8": 512.0,
    "dgx-a100-4-node": 266.666667,
    "p5en-16-node": 426.666667,
    "dgx2-2-chassis": 1 / 7.75e-3,
    "h100-12-node": 96 * 400 / 88,
    "p4de-2-node": 16 * 50 / 8,
}


def rule(e, name):
    """Return tails, heads, counts and rates of the bundles of a rule."""
    rows = e.rule == [r.name for r in e.rules].index(name)
    return e.tail[rows], e.head[rows], e.count[rows], e.rate_gbps[rows]


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def ports(devices, ends, count):
    return np.bincount(ends, count, minlength=devices.max() + 1)[devices].astype(int).tolist()


def template(name):
    return expand(loads(f"{{fabric: one, include: {name}}}"))


@pytest.mark.parametrize(
    ("name", "n_gpus", "links", "used", "total"), SCALE_UP, ids=[row[0] for row in SCALE_UP]
)
def test_scale_up_ports_meet_on_both_sides(name, n_gpus, links, used, total):
    e = template(name)
    gpus, chips = members(e, "gpu"), members(e, "nvswitch")
    tail, head, count, rate = rule(e, "gpu-nvswitch")
    assert ports(gpus, tail, count) == [links] * n_gpus
    assert ports(chips, head, count) == used
    assert sum(used) == n_gpus * links == int(count.sum())
    assert 2 * float(count @ rate) / 8000 == pytest.approx(total, rel=1e-12)
    # Every GPU reaches every chip, once.
    assert len(set(zip(tail, head, strict=True))) == len(gpus) * len(chips) == len(tail)
    assert all(r.net == "scale-up" for r in e.rules if r.name == "gpu-nvswitch")
    assert {g.transit for g in e.groups if g.name == "gpu"} == {"relay"}


@pytest.mark.some(3)
@pytest.mark.parametrize(("name", "n_nics", "rate", "total"), SCALE_OUT, ids=[row[0] for row in SCALE_OUT])
def test_scale_out_is_what_the_nics_have_ports_for(name, n_nics, rate, total):
    text = """
    fabric: one
    include: {name}
    devices: {{leaf: {{part: sn5610, axes: [{axes}]}}}}
    links: [{{between: [nic, leaf], rate: {rate}Gb/s}}]
    """
    axes = "tray" if "nvl72" in name else ""
    if name in ("gb300-nvl72", "hgx-b300"):  # 800 Gb/s of a ConnectX-8 is one cable of InfiniBand only
        text = text.replace("sn5610", "q3400")
    e = expand(loads(text.format(name=name, axes=axes, rate=rate)))
    tail, _, count, rates = rule(e, "nic-leaf")
    assert sorted(tail.tolist()) == members(e, "nic").tolist()
    assert len(tail) == n_nics
    assert float(count @ rates) / 1000 == pytest.approx(total, rel=1e-12)
    with pytest.raises(TopologyError, match="nic-leaf"):
        loads(text.format(name=name, axes=axes, rate=2 * rate))


@pytest.mark.parametrize("name", [*(row[0] for row in SCALE_OUT), "pcie-gpu-box"])
def test_every_gpu_has_a_way_to_its_own_nics(name):
    e = template(name)
    joined = {}
    for tail, head in zip(e.tail.tolist(), e.head.tolist(), strict=True):
        joined.setdefault(tail, set()).add(head)
    nics = set(members(e, "nic").tolist())
    found = []
    for gpu in members(e, "gpu").tolist():
        ahead = {gpu}
        for _ in range(3):
            ahead |= {w for v in ahead for w in joined.get(v, ())}
        found.append(frozenset(ahead & nics))
    assert all(found)
    assert frozenset.union(*found) == nics


def at_each(e, group, rows):
    """Return the cables of each device of a group, both roles together, in the bundles `rows`."""
    ends = np.concatenate([e.tail[rows], e.head[rows]])
    return np.bincount(ends, np.tile(e.count[rows], 2), minlength=e.n_devices)[members(e, group)]


def systems_with_a_figure_per_chip(module):
    """Return the keys of the table PER_CHIP of another module of tests."""
    tree = ast.parse((Path(__file__).parent / module).read_text())
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PER_CHIP"
    )
    return {key.value for key in table.keys}


def test_every_template_is_held_to_a_published_rate_of_its_chip():
    held = set(PER_GPU).union(
        *map(systems_with_a_figure_per_chip, ("test_systems.py", "test_systems_tori.py"))
    )
    # The chips of Inferentia1 stand in a row: its ends have half. A DGX is the fabric of its board.
    assert held & set(template_names()) == set(template_names()) - {"aws-inf1", *BOARD_OF}


@pytest.mark.parametrize("name", BOARD_OF)
def test_a_dgx_is_the_fabric_of_its_board(name):
    e, board = template(name), template(BOARD_OF[name])
    assert e.names.all() == board.names.all()
    for field in ("tail", "head", "count", "rate_gbps", "rule"):
        assert np.array_equal(getattr(e, field), getattr(board, field)), field


@pytest.mark.some(1)
@pytest.mark.parametrize("name", PER_GPU)
def test_scale_up_of_a_gpu_and_of_a_pair(name):
    both_ways, pair = PER_GPU[name]
    e = template(name)
    up = np.array([r.net == "scale-up" for r in e.rules])[e.rule]
    (rate,) = set(e.rate_gbps[up & np.isin(e.tail, members(e, "gpu"))].tolist())
    assert set((at_each(e, "gpu", up) * rate * 2 / 8).tolist()) == {both_ways}
    gpus = [e.names[v] for v in members(e, "gpu")]
    fabric = loads(f"{{fabric: one, include: {name}}}")
    for other in {gpus[1], gpus[-1]}:
        assert max_flow(fabric, gpus[0], other).value_gbps / 8 == pytest.approx(pair, rel=1e-12)


def test_cube_mesh_is_the_published_one():
    e = template("dgx1-v100")
    up = np.array([r.net == "scale-up" for r in e.rules])[e.rule]
    links = np.zeros((8, 8), dtype=int)
    np.add.at(links, (e.tail[up], e.head[up]), e.count[up])
    assert [e.names[v] for v in members(e, "gpu")] == [f"gpu{i}" for i in range(8)]
    assert (links + links.T).tolist() == CUBE_MESH


def test_boards_of_a_dgx2_meet_chip_by_chip():
    e = template("dgx2-v100")
    tail, head, count, rate = rule(e, "nvswitch-nvswitch")
    chips = members(e, "nvswitch")
    assert sorted(zip(tail, head, strict=True)) == list(zip(chips[:6], chips[6:], strict=True))
    # NVIDIA: 2.4 TB/s of both directions between the boards.
    assert float(count @ rate) * 2 / 8000 == pytest.approx(2.4, rel=1e-12)
    fabric = loads("{fabric: one, include: dgx2-v100}")
    assert max_flow(fabric, "board0", "board1").value_gbps / 8 == pytest.approx(1200, rel=1e-12)


@pytest.mark.parametrize(("generation", "pair"), [("pcie4", 31), ("pcie5", 63), ("pcie6", 121)])
def test_generation_of_the_pcie_box_is_one_word(generation, pair):
    text = (Path(__file__).parents[1] / "fabric/templates/pcie-gpu-box.fabric.yaml").read_text()
    fabric = loads(text.replace("link: pcie5", f"link: {generation}"))
    for other, limit in [("gpu1", pair), ("gpu3", pair), ("gpu4", min(pair, 96))]:
        assert max_flow(fabric, "gpu0", other).value_gbps / 8 == pytest.approx(limit, rel=1e-12)
    # All of a socket at once: two uplinks of its CPU against three links of 32 GB/s.
    across = max_flow(fabric, "socket0", "socket1").value_gbps / 8
    assert across == pytest.approx(min(2 * pair, 96), rel=1e-12)


# --- measured clusters -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(MEASURED.glob("*.fabric.yaml")), ids=lambda path: path.name)
def test_measured_file_loads_whole(path):
    fabric = load(path)
    assert fabric.skipped == ()
    assert fabric.name.removeprefix("one-") == path.name.removesuffix(".fabric.yaml")
    assert any(note.startswith(f"{fabric.name}: ") for note in fabric.blueprint.notes)


@pytest.mark.some(2)
@pytest.mark.parametrize("name", CLUSTERS)
def test_servers_of_a_cluster_keep_what_their_nics_have(name):
    n_nodes, n_gpus, node_gbps = CLUSTERS[name]
    fabric = load(MEASURED / f"{name}.fabric.yaml")
    e = expand(fabric)
    assert len(members(e, "gpu")) == n_gpus == 8 * n_nodes
    tail, _, count, rate = rule(e, next(r.name for r in e.rules if r.name.startswith("nic-")))
    assert sorted(tail.tolist()) == members(e, "nic").tolist()
    assert float(count @ rate) == n_nodes * node_gbps
    # Non-blocking: one server against one, and half of them against the other half.
    half = n_nodes // 2
    sides = [("node0", f"node{n_nodes - 1}", 1), (f"node0-{half - 1}", f"node{half}-{n_nodes - 1}", half)]
    for left, right, n in sides:
        assert max_flow(fabric, left, right).value_gbps == pytest.approx(n * node_gbps, rel=1e-12)


def test_two_chassis_are_the_graph_of_te_ccl():
    e = expand(load(MEASURED / "dgx2-2-chassis.fabric.yaml"))
    graph = nx.DiGraph()
    for tail, head, number, rate in zip(e.tail, e.head, e.rule, e.rate_gbps / 8, strict=True):
        graph.add_edge(int(tail), int(head), rate=rate)
        if not e.rules[number].is_oneway:
            graph.add_edge(int(head), int(tail), rate=rate)
    hubs = members(e, "switch").tolist()
    gpu = members(e, "gpu").reshape(2, 16).tolist()
    wanted = nx.DiGraph()
    for c in (0, 1):
        for i in range(16):
            wanted.add_edge(gpu[c][i], hubs[c], rate=125.0)
            wanted.add_edge(hubs[c], gpu[c][i], rate=125.0)
        for i in range(1, 16, 2):
            wanted.add_edge(gpu[c][i], gpu[1 - c][i - 1], rate=12.5)
    assert nx.utils.graphs_equal(graph, wanted)


@pytest.mark.some(2)
@pytest.mark.parametrize("name", ALL_GATHER)
def test_all_gather_of_measured_files(name):
    found = bound(load(MEASURED / f"{name}.fabric.yaml"), "all-gather")
    assert found.algbw_gbps / 8 == pytest.approx(ALL_GATHER[name], rel=1e-6)


def test_switches_that_add():
    """NVLS from NVSwitch 3 on, SHARP in Quantum switches, nothing at AWS, AMD and in older NVSwitch chips."""
    found = {}
    for path in MEASURED.glob("*.fabric.yaml"):
        for group in load(path).blueprint.groups.values():
            if group.part and find_part(group.part.id).in_network_reduction:
                found.setdefault(group.name, set()).add(path.name.removesuffix(".fabric.yaml"))
    infiniband = {"h100-12-node", "dgx-a100-4-node", "b200-4-node", "h800-8-node"}
    servers = {"p5-2-node", "p5en-16-node", "nd-h100-v5", "nd-h200-v5", "gb200-nvl72"}
    assert found == {
        "nvswitch": servers | infiniband - {"dgx-a100-4-node"},
        "leaf": infiniband,
        "spine": {"h100-12-node"},
    }
