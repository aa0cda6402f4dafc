"""Bounds that others have published, reproduced from topologies that are written out here.

Sources: ForestColl (arXiv 2402.06787, README and program of the authors); NVIDIA GB200 NVL72; Llama 3 (arXiv
2407.21783, section 3.3.1); Cloud TPU documentation; TopoBench (SC'16, and its ETH continuation); Namyar et
al., SIGCOMM'21; Singla et al., NSDI'14.
"""

import networkx as nx
import numpy as np
import pytest

from fabric.bounds.bound import bound
from fabric.bounds.topology import path_length_bound, tub
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import loads
from fabric.graph.exchange import from_networkx


def boxes(n, nvlink, nic, failed=""):
    """Boxes of 8 GPUs with one switch in each, and two switches between them by the parity of the NIC."""
    scale_out = f"{{between: [gpu, ib], rate: {nic}GB/s}}" if n > 1 else ""
    return loads(
        f"""{{fabric: boxes, axes: {{box: {n}, half: 4, parity: 2}}, devices: {{
          gpu: {{kind: gpu, axes: [box, half, parity], transit: all}},
          nvs: {{kind: switch, axes: [box]}}, {"ib: {kind: switch, axes: [parity]}" if n > 1 else ""}}},
          failed: [{failed}], links: [
            {{between: [gpu, nvs], rate: {nvlink}GB/s, net: scale-up}}, {scale_out}]}}"""
    )


def nvl72(n):
    """Racks of 72 GPUs at 900 GB/s, and a switch for each of 4 rails at 50 GB/s."""
    scale_out = "{between: [gpu, rail], rate: 50GB/s}" if n > 1 else ""
    return loads(
        f"""{{fabric: racks, axes: {{r: {n}, tray: 18, slot: 4, chip: 18}}, devices: {{
          gpu: {{kind: gpu, axes: [r, tray, slot], transit: all}},
          chip: {{kind: switch, axes: [r, chip]}}, {"rail: {kind: switch, axes: [slot]}" if n > 1 else ""}}},
          links: [{{between: [gpu, chip], rate: 50GB/s, net: scale-up}}, {scale_out}]}}"""
    )


def direct(links, rate="1GB/s", **axes):
    """Chips joined directly: a ring, line or mesh for each axis."""
    rules = ", ".join(
        f"{{between: [gpu, gpu], name: {a}, {kind}: {a}, rate: {rate}}}" for a, kind in links.items()
    )
    sizes = ", ".join(f"{a}: {n}" for a, n in axes.items())
    return loads(
        f"{{fabric: direct, axes: {{{sizes}}}, devices: {{gpu: {{kind: gpu, axes: [{', '.join(axes)}], "
        f"transit: all}}}}, links: [{rules}]}}"
    )


# Position p is GPU 0, 1, 3, 2 of a quad: the hybrid cube mesh, six NVLinks of 25 GB/s a GPU.
DGX1 = """
{fabric: dgx1, axes: {quad: 2, p: 4}, devices: {gpu: {kind: gpu, axes: [quad, p], transit: all}}, links: [
  {between: [gpu, gpu], name: all-pairs, mesh: p, rate: 25GB/s},
  {between: [gpu, gpu], name: doubled, line: p, rate: 25GB/s},
  {between: [gpu, gpu], name: across, mesh: quad, rate: 25GB/s, count: {p: [2, 1, 1, 2]}}]}
"""

FORESTCOLL = {
    "A100 x 1": (lambda: boxes(1, 300, 25), 342.857143),
    "A100 x 2": (lambda: boxes(2, 300, 25), 346.666667),
    "A100 x 4": (lambda: boxes(4, 300, 25), 266.666667),
    "A100 x 8": (lambda: boxes(8, 300, 25), 228.571429),
    "H100 x 1": (lambda: boxes(1, 450, 50), 514.285714),
    "H100 x 2": (lambda: boxes(2, 450, 50), 533.333333),
    "H100 x 4": (lambda: boxes(4, 450, 50), 516.129032),
    "H100 x 16": (lambda: boxes(16, 450, 50), 426.666667),
    "NVL72 x 1": (lambda: nvl72(1), 912.676056),
    "NVL72 x 2": (lambda: nvl72(2), 956.643357),
    "DGX-1": (lambda: loads(DGX1), 171.428571),
    "MI300X": (lambda: direct({"i": "mesh"}, "64GB/s", i=8), 512.0),
    "torus 4x4x4": (lambda: direct(dict.fromkeys("xyz", "ring"), x=4, y=4, z=4), 6.095238),
    "torus 3x4x5": (lambda: direct(dict.fromkeys("xyz", "ring"), x=3, y=4, z=5), 6.101695),
    "mesh 5x5": (lambda: direct(dict.fromkeys("xy", "line"), x=5, y=5), 2.083333),
}


@pytest.mark.some(1)
@pytest.mark.parametrize("name", FORESTCOLL)
def test_forestcoll(name):
    make, algbw = FORESTCOLL[name]
    fabric = make()
    gather = bound(fabric, "all-gather")
    assert gather.algbw_gbps / 8 == pytest.approx(algbw, rel=1e-8 if algbw > 300 else 1e-6)
    assert gather.status == "optimum"
    scatter = bound(fabric, "reduce-scatter")
    assert scatter.algbw_gbps == pytest.approx(gather.algbw_gbps, rel=1e-9)
    # Reduce-scatter then all-gather; on these, where all GPUs are alike, no other roots do better.
    both = bound(fabric, "all-reduce", reduces=())
    if name != "mesh 5x5":
        assert both.algbw_gbps == pytest.approx(gather.algbw_gbps / 2, rel=1e-6)
    assert both.algbw_gbps >= gather.algbw_gbps / 2 * (1 - 1e-9)


def test_one_failed_nic_of_four_boxes():
    found = bound(boxes(4, 300, 25, "[box0/half0/gpu0, ib0]"), "all-gather")
    # Seven NICs feed the 24 chunks of the other boxes: 32 * 175 / 24.
    assert found.algbw_gbps / 8 == pytest.approx(700 / 3, rel=1e-9)


def test_a_million_in_racks():
    found = bound(nvl72(13_889), "all-gather")
    assert found.n_ranks == 1_000_008
    # A rack of 72 NICs takes in everything but its own part.
    n = found.n_ranks
    assert found.algbw_gbps / 8 == pytest.approx(min(72 * 50 * n / (n - 72), 950 * n / (n - 1)), rel=1e-9)


def test_nvl72_rack():
    fabric = nvl72(1)
    e = fabric.blueprint.groups
    assert fabric.blueprint.n_devices("gpu") * 18 * 50 == pytest.approx(72 * 1800 / 2)
    assert len(e) == 2
    assert max_flow(fabric, "r0/tray0/gpu0", "r0/tray17/gpu3").value_gbps == 7200.0
    # Any half of the rack: 32.4 TB/s.
    half = max_flow(fabric, "tray0-8", "tray9-17")
    assert half.value_gbps / 8000 == pytest.approx(32.4)


def test_all_reduce_in_the_switches_of_a_rack():
    # Every GPU sends S and takes in S at 900 GB/s where the switches add; without, 72 * 900 / 71 / 2.
    text = """{fabric: rack, axes: {tray: 18, slot: 4, chip: 18}, devices: {
      gpu: {kind: gpu, axes: [tray, slot], transit: relay}, nvs: {part: nvlink5_switch, axes: [chip]}},
      links: [{between: [gpu, nvs], rate: 50GB/s, net: scale-up}]}"""
    fabric = loads(text)
    within = bound(fabric, "all-reduce")
    assert within.algbw_gbps / 8 == pytest.approx(900.0, rel=1e-9)
    assert within.reduces_in == ("nvs",)
    assert within.status == "upper bound"
    without = bound(fabric, "all-reduce", reduces=())
    assert without.algbw_gbps / 8 == pytest.approx(72 * 900 / 71 / 2, rel=1e-9)
    assert without.reduces_in == ()


# 16 GPUs a rack, 192 racks a pod, 8 pods; 1:7 at the aggregation layer.
LLAMA3 = """
{fabric: llama3, axes: {pod: 8, rack: 192, i: 16, agg: 16, core: 3}, devices: {
   gpu: {kind: gpu, axes: [pod, rack, i]}, tor: {kind: switch, axes: [pod, rack]},
   aggregation: {kind: switch, axes: [pod, agg]}, spine: {kind: switch, axes: [agg, core]}},
 links: [{between: [gpu, tor], rate: 400Gb/s}, {between: [tor, aggregation], rate: 400Gb/s},
   {between: [aggregation, spine], rate: 25600Gb/s/7}]}
"""


def test_llama3():
    fabric = loads(LLAMA3)
    assert fabric.blueprint.n_devices("gpu") == 24_576
    cut = max_flow(fabric, "pod0", "pod1-7", limit=10_000_000)
    assert cut.value_gbps / 8000 == pytest.approx(21.94, abs=0.005)
    assert cut.status == "optimal"
    assert [c.link for c in cut.cut] == ["aggregation-spine"]
    # Traffic between pods alone, every GPU with its like in another pod: 50/7 GB/s each.
    between = throughput(fabric, Traffic("shift", ("pod",)))
    assert between.per_endpoint_gbps / 8 == pytest.approx(50 / 7, rel=1e-9)
    assert [c.link for c in between.binding] == ["aggregation-spine"]
    # Half of the pods against the other half.
    halves = throughput(fabric, Traffic("halves", ("pod",)))
    assert halves.per_endpoint_gbps * 4 * 3072 / 8 == pytest.approx(4 * 3072 * 50 / 7, rel=1e-9)


@pytest.mark.parametrize(
    ("sides", "link", "bisection", "egress", "tolerance"),
    [
        ((16, 16), 50, 1.6, 51.2, 1e-9),
        ((16, 16), 100, 3.2, 102.4, 1e-9),
        ((16, 16, 16), 45, 24.0, 1106.0, 0.05),
    ],
)
def test_tpu_pods(sides, link, bisection, egress, tolerance):
    axes = dict(zip("xyz", sides, strict=False))
    fabric = direct(dict.fromkeys(axes, "ring"), f"{link}GB/s", **axes)
    # Bisections count one direction.
    found = max_flow(fabric, "x0-7", "x8-15")
    assert found.value_gbps / 8000 == pytest.approx(bisection, rel=tolerance)
    n = np.prod(sides)
    assert n * 2 * len(sides) * link / 1000 == pytest.approx(egress, rel=tolerance)


TORI = {(4, 4, 8): 0.9921875, (4, 8, 8): 0.99609375, (8, 8, 16): 0.49951171875, (8, 8, 8): 0.998046875}


@pytest.mark.some(1)
@pytest.mark.parametrize("sides", TORI)
def test_tori(sides):
    axes = dict(zip("xyz", sides, strict=True))
    found = throughput(direct(dict.fromkeys(axes, "ring"), "1Gb/s", **axes))
    assert found.per_endpoint_gbps == pytest.approx(TORI[sides], rel=1e-9)
    n = np.prod(sides)
    assert found.per_endpoint_gbps == pytest.approx(8 / max(sides) * (n - 1) / n, rel=1e-9)
    assert found.status == "optimal"


def test_the_largest_torus():
    found = throughput(direct(dict.fromkeys("xyz", "ring"), "1Gb/s", x=16, y=16, z=16))
    assert found.per_endpoint_gbps == pytest.approx(0.499878, abs=5e-7)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("n", "degree", "hops", "rate"),
    [
        (40, 10, 1.743590, 5.735294),
        (128, 8, 2.433071, 3.288026),
        (120, 6, 2.647059, 2.266667),
        (200, 10, 2.447236, 4.086242),
        (1000, 24, 2.399399, 10.002503),
    ],
)
def test_path_length(n, degree, hops, rate):
    found = path_length_bound(n, degree)
    assert found.mean_hops == pytest.approx(hops, abs=5e-7)
    assert found.throughput == pytest.approx(rate, abs=5e-7)
    # The same asked of a fabric: a graph whose nodes are endpoints, and switches with two servers each.
    graph = nx.random_regular_graph(degree, n, seed=1)
    nx.set_edge_attributes(graph, 1.0, "capacity")
    for fabric in (from_networkx(graph), jellyfish(n, degree, 2, seed=1)):
        asked = bound(fabric, "all-to-all", kind="path-length")
        assert asked.per_node_gbps == pytest.approx(rate, abs=5e-7)
        assert (asked.n_nodes, asked.degree) == (n, degree)


def test_tub_of_a_clos():
    # Radix 32: 16 down and 16 up everywhere; 512 leaves, 512 spines, 256 cores.
    fabric = loads(
        """{fabric: clos, axes: {pod: 32, leaf: 16, i: 16, spine: 16, core: 16}, devices: {
          gpu: {kind: gpu, axes: [pod, leaf, i]}, leaf: {kind: switch, axes: [pod, leaf]},
          spine: {kind: switch, axes: [pod, spine]}, core: {kind: switch, axes: [spine, core]}},
          links: [{between: [gpu, leaf], rate: 1Gb/s, each: [1, 16]}, {between: [leaf, spine], rate: 1Gb/s,
          each: 16}, {between: [spine, core], rate: 1Gb/s, each: [16, 32]}]}"""
    )
    found = tub(fabric)
    assert (found.n_switches, found.n_tors) == (1280, 512)
    assert found.matching_hops == 4.0
    assert found.throughput == pytest.approx(1.0, rel=1e-12)
    asked = bound(fabric, "all-to-all", kind="tub")
    assert (asked.n_nodes, asked.n_endpoints, asked.mean_hops) == (512, 8192, 4.0)
    assert (asked.per_endpoint_gbps, asked.per_node_gbps) == pytest.approx((1.0, 16.0), rel=1e-12)


def jellyfish(n, degree, servers, seed):
    graph = nx.random_regular_graph(degree, n, seed=seed)
    nx.set_node_attributes(graph, "switch", "kind")
    for switch in range(n if servers else 0):
        for i in range(servers):
            graph.add_node((switch, i), kind="gpu")
            graph.add_edge((switch, i), switch, lower=(switch, i))
    nx.set_edge_attributes(graph, 1.0, "capacity")
    return from_networkx(graph)


@pytest.mark.slow
def test_tub_of_a_jellyfish():
    found = bound(jellyfish(1000, 24, 8, seed=1), "all-to-all", kind="tub")
    assert found.throughput == pytest.approx(0.999917, rel=0.01)
    assert found.mean_hops == pytest.approx(3.0, rel=0.01)


@pytest.mark.slow
def test_longest_matching_of_a_jellyfish():
    graph = nx.random_regular_graph(6, 120, seed=1)
    nx.set_edge_attributes(graph, 1.0, "capacity")
    found = throughput(from_networkx(graph), "longest-matching")
    # Six servers a switch share what the switch gets.
    assert found.per_endpoint_gbps / 6 == pytest.approx(0.232907, rel=0.03)
    assert found.status == "optimal"
    assert found.per_endpoint_gbps <= tub(from_networkx(graph)).throughput * (1 + 1e-9)
