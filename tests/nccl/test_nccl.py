"""NCCL's own model against worked values of its source, real logs, measurements, and laws.

Sources
-------
NCCL@5067397 : NVIDIA/nccl v2.30.7, src/graph/tuning.cc, search.cc, topo.h
    Worked values for 8 H100 on rings of 12 x 30 GB/s, by hand from the formulas there.
nccl#1197, nccl#1189, nccl#578 : issues of NVIDIA/nccl
    Lines that NCCL printed of its channel search: 8 H100 (2.19), 2 x 2 H20, A100 with NVSwitches.
weiziyang : https://weiziyang.wiki/posts/gpu-networking/llm-gpu-collective-communication-guide
    Log of 2 x 8 Hopper GPUs, each with a 400 Gb/s NIC, NCCL 2.28.9.
AZ, AWS, CW : Azure/AI-benchmarking-guide@8fd0c6e, aws-samples/awsome-distributed-training@7217859,
    coreweave/nccl-tests@cb86553
    Measured all-reduce.
"""

from dataclasses import replace
from functools import cache
from importlib import resources
from shutil import copytree

import pytest

from fabric.errors import PartError, QuestionError, UnitError
from fabric.nccl import (
    ALGORITHMS,
    COLLECTIVES,
    PROTOCOLS,
    ChannelGraph,
    Machine,
    Node,
    predict,
    tuning,
)
from fabric.nccl import machine as search_machine
from fabric.nccl.tables import load_tables, tables
from fabric.units import gbps_to_gbytes

H100 = Node(sm=90, n_gpus=8, n_nvlinks=18, n_nics=8, nic_gbps=400)
A100 = Node(
    sm=80, n_gpus=8, n_nvlinks=12, pcie_generation=4, n_nics=8, nic_gbps=200, cpu="amd", gpus_per_switch=2
)
P4DE = replace(A100, n_nics=4, nic_gbps=100, cpu="intel")
V100 = Node(sm=70, n_gpus=16, n_nvlinks=6, pcie_generation=3, n_nics=8, nic_gbps=100)
B200 = Node(sm=100, n_gpus=8, n_nvlinks=18, n_nics=8, nic_gbps=400)
B300 = Node(sm=103, n_gpus=8, n_nvlinks=18, pcie_generation=6, n_nics=8, nic_gbps=800)
NVL72 = Node(
    sm=100,
    n_gpus=72,
    n_nvlinks=18,
    cpu="arm",
    n_nics=72,
    nic_gbps=400,
    nic_path="P2C",
    gpus_per_switch=2,
)
SHARP = replace(H100, has_collnet=True)
LONELY = replace(H100, n_gpus=1, n_nics=1)
NODES = (H100, A100, V100, B200, B300, NVL72, SHARP, LONELY)
MACHINES = [(node, n) for node in NODES for n in (1, 2, 3, 16) if node.n_gpus * n > 1]
MIB, GIB = 2**20, 2**30

machine = cache(search_machine)


def busbw(machine_, size, algorithm):
    found = predict(machine_, "all-reduce", size)
    return gbps_to_gbytes(found.busbw_of(found.of(algorithm)))


def summary(graph):
    return graph.pattern, graph.n_channels, graph.bw_intra_gb_s, graph.bw_inter_gb_s, graph.type_inter


# Oracles: the search against what NCCL printed.


def test_search_finds_the_channels_of_nccl_1197():
    found = machine(H100)
    assert summary(found.ring) == ("ring", 12, 30.0, 30.0, "PIX")
    assert summary(found.tree) == ("balanced-tree", 12, 30.0, 30.0, "PIX")
    assert summary(found.nvls) == ("nvls", 8, 40.0, 60.0, "PIX")
    assert found.ring.type_intra == "NVL"
    assert found.ring.is_same_channels


def test_search_finds_the_channels_of_nccl_1189():
    # "System : maxBw 48.0 totalBw 370.8", then "Pattern 4, crossNic 1, nChannels 4, bw 24.0/24.0".
    pair = replace(H100, n_gpus=2, n_nics=2)
    assert pair.room(is_inter=True).channel_gb_s == 48.0
    assert pair.room(is_inter=True).total_gb_s == pytest.approx(370.8)
    ring = machine(pair, 2).ring
    assert (ring.n_channels, ring.bw_intra_gb_s, ring.bw_inter_gb_s) == (4, 24.0, 24.0)
    assert not ring.is_same_channels


def test_search_finds_the_channels_of_two_hopper_nodes():
    # weiziyang: "Pattern 4, crossNic 2, nChannels 8, bw 48.0/48.0, type NVL/PIX", and 16 channels that run.
    found = machine(H100, 2)
    assert summary(found.ring) == ("ring", 8, 48.0, 48.0, "PIX")
    assert found.n_channels == 16


@pytest.mark.parametrize("n_gpus", [4, 8])
def test_search_finds_the_channels_of_nccl_578(n_gpus):
    # "Channel 00/24" on A100 with NVSwitches.
    found = machine(replace(A100, n_gpus=n_gpus))
    assert (found.ring.n_channels, found.ring.bw_intra_gb_s, found.n_channels) == (12, 20.0, 24)


@pytest.mark.parametrize(
    ("node", "n", "rate", "n_running"),
    [
        # Two of 22 fill 44 GB/s better than one of 42.
        (replace(H100, nic_gbps=352), 16, 22.0, 32),
        (replace(LONELY, nic_gbps=240), 2, 15.0, 4),  # one channel of 30 is split
        (replace(H100, n_gpus=4, n_nics=4), 8, 24.0, 16),  # four of 48 are split
        (replace(H100, n_gpus=5, n_nics=5), 5, 48.0, 20),  # five are many from Hopper on, and run four times
        (replace(H100, n_nics=32, nic_gbps=100), 32, 12.0, 64),  # as many as there may be
        (replace(V100, n_gpus=8), 8, 12.0, 16),
    ],
)
def test_search_by_hand_on_the_ladders_of_nccl_5067397(node, n, rate, n_running):
    found = machine(node, 2)
    assert (found.ring.n_channels, found.ring.bw_inter_gb_s, found.n_channels) == (n, rate, n_running)


@pytest.mark.parametrize(("rate", "n", "node"), [(45.0, 8, H100), (45.1, 16, NVL72)])
def test_ladders_hold_the_rates_that_fill_a_node(rate, n, node):
    # Why the ladders have 45 and 45.1: as many channels as fill the NVLinks of a GPU, to 3 %.
    room = node.room(is_inter=True)
    assert rate in room.ladder_gb_s
    assert room.nvlink_gb_s * 0.97 < n * rate <= room.nvlink_gb_s


# Oracles: the table against hand arithmetic on the source.

WORKED = [
    ("all-reduce", "ring", (15.0, 40.6, 56.0), (80.6, 189.3, 205.7)),
    ("all-reduce", "tree", (15.2, 31.5, 64.4), (43.6, 128.8, 165.6)),
    ("all-gather", "ring", (10.8, 27.3, 32.2), (161.1, 378.5, 411.4)),
    ("reduce-scatter", "ring", (10.8, 27.3, 32.2), (161.1, 378.5, 411.4)),
    # Identical channels pay one step: base 6.6, 14, 8.4 and ring 0.6, 1.9, 3.4.
    ("broadcast", "ring", (7.2, 15.9, 11.8), (141.0, 331.2, 360.0)),
    ("reduce", "ring", (7.2, 15.9, 11.8), (141.0, 331.2, 360.0)),
]


@pytest.mark.parametrize(("collective", "algorithm", "latency", "bandwidth"), WORKED)
def test_table_of_8_h100_is_that_of_nccl_5067397(collective, algorithm, latency, bandwidth):
    table = tuning(machine(H100), collective)
    lines = [table[algorithm, protocol] for protocol in PROTOCOLS]
    assert [round(line.latency_us, 1) for line in lines] == list(latency)
    assert [round(line.bandwidth_gb_s, 1) for line in lines] == list(bandwidth)


def test_nvls_of_8_h100_is_that_of_nccl_5067397():
    # 8 heads x 40 x 0.85 x 7/8 x 2 = 476 of busbw, x 8/14; maintainers say 480 and 275 (nccl-tests#212).
    line = tuning(machine(H100), "all-reduce")["nvls", "Simple"]
    assert (line.latency_us, round(line.bandwidth_gb_s, 6)) == (25.0, 272.0)


def test_two_nodes_are_as_in_nccl_5067397():
    table = tuning(machine(H100, 2), "all-reduce")
    # Ring: 8 x 48 x 16/30. NVLSTree: the cap of 57.7 a channel binds, not 59.5 inside nor 2 x 48 outside.
    assert table["ring", "Simple"].bandwidth_gb_s == pytest.approx(384 * 16 / 30)
    assert table["nvls-tree", "Simple"].bandwidth_gb_s == pytest.approx(8 * 57.7 * 16 / 30)
    # Plain tree: min(384 x 0.92, 8 x 41.4) x 0.85 x 0.5.
    assert table["tree", "Simple"].bandwidth_gb_s == pytest.approx(8 * 41.4 * 0.85 * 0.5)
    # 28 steps of max(3.4, 3 x 1) inside, 2 of 14 between.
    assert table["ring", "Simple"].latency_us == pytest.approx(8.4 + 28 * 3.4 + 2 * 14)
    # NVLSTree: NVLink once, the network up and down one level.
    assert table["nvls-tree", "Simple"].latency_us == pytest.approx(25 + 2 * 20.9)
    # The LL cap between nodes is that of the processor.
    assert table["ring", "LL"].bandwidth_gb_s == pytest.approx(39.0 * 16 / 30)
    amd = tuning(machine(replace(H100, cpu="amd"), 2), "all-reduce")
    assert amd["ring", "LL"].bandwidth_gb_s == pytest.approx(22.5 * 16 / 30)
    assert amd["ring", "Simple"].latency_us == pytest.approx(8.4 + 28 * 6 + 2 * 14)


def test_one_gpu_a_node_is_as_in_nccl_5067397():
    lonely = replace(LONELY, nic_latency_us=1.5)
    table = tuning(machine(lonely, 4), "all-gather")
    # Rate between nodes 2 x 24, x 0.75 for PAT, x 0.85 for a plain tree.
    assert table["pat", "Simple"].bandwidth_gb_s == pytest.approx(48 * 0.75 * 0.85)
    # Simple waits for the NIC twice; the network figures are those of the tree for all algorithms.
    assert table["pat", "Simple"].latency_us == pytest.approx(8 + 2 * (14 + 2 * 1.5) / 3.5 + 4 * 2.8)
    assert table["ring", "LL"].latency_us == pytest.approx(6.6 + 3 * (5.0 + 1.5))


def test_collnet_is_as_in_nccl_5067397():
    table = tuning(machine(SHARP, 4), "all-reduce")
    # 8 GPUs for 8 NICs: factor 1; 384 x 0.85 x 0.5. Chain: 384 x 0.5. NVLS: the NIC binds.
    assert table["collnet-direct", "Simple"].bandwidth_gb_s == pytest.approx(384 * 0.85 / 2)
    assert table["collnet-chain", "Simple"].bandwidth_gb_s == pytest.approx(384 / 2)
    assert table["nvls", "Simple"].bandwidth_gb_s == pytest.approx(384 * 32 / 62)
    assert table["collnet-direct", "Simple"].latency_us == pytest.approx(2 * (3.7 + 7 * 0.4) + 31)
    assert table["collnet-chain", "Simple"].latency_us == pytest.approx(2 * 7 * 2.8 + 30)
    gather = tuning(machine(SHARP, 4), "all-gather")
    assert gather["collnet-direct", "Simple"].bandwidth_gb_s == pytest.approx(8 * 48 * 0.9)
    # Half the NICs: half the heads, and all-gather needs one a GPU.
    few = replace(SHARP, n_nics=4)
    assert tuning(machine(few, 4), "all-gather")["collnet-direct", "Simple"].bandwidth_gb_s == 0


def test_other_lines_are_as_in_nccl_5067397():
    def line(node, n_nodes, collective, algorithm, protocol):
        return tuning(machine(node, n_nodes), collective)[algorithm, protocol]

    # 2 x 24 of one GPU: LL is half of it, under the cap of 39; LL128 on a plain tree 0.92 x 120/128 x 0.85.
    assert line(LONELY, 2, "all-reduce", "ring", "LL").bandwidth_gb_s == pytest.approx(24)
    tree = line(LONELY, 4, "all-reduce", "tree", "LL128")
    assert tree.bandwidth_gb_s == pytest.approx(48 * 0.92 * 120 / 128 * 0.85 / 2)
    # 8 heads x 80 of Blackwell, x 0.74, x 7/8 of the channels, x 7/8 of the GPUs.
    assert line(B200, 1, "all-gather", "nvls", "Simple").bandwidth_gb_s == pytest.approx(640 * 0.74 * 49 / 64)
    # Blackwell on two nodes: tree 8 x 42.8 x 0.85 / 2, LL128 8 x 31.67; ring LL128 8 x 40 of 0.92 x 384.
    assert line(B200, 2, "all-reduce", "tree", "Simple").bandwidth_gb_s == pytest.approx(342.4 * 0.85 / 2)
    assert line(B200, 2, "all-reduce", "tree", "LL128").bandwidth_gb_s == pytest.approx(253.36 * 0.85 / 2)
    assert line(B200, 2, "all-gather", "ring", "LL128").bandwidth_gb_s == pytest.approx(320 * 16 / 15)
    # A100, 12 x 20: LL under its cap of 87.7; LL128 0.92 x 240 = 220.8, under 12 x 20.
    assert line(A100, 1, "all-gather", "ring", "LL").bandwidth_gb_s == pytest.approx(87.7 * 8 / 7)
    assert line(A100, 1, "all-gather", "ring", "LL128").bandwidth_gb_s == pytest.approx(220.8 * 8 / 7)
    # Nothing before Hopper reduces in the switch, whatever the graph.
    for generation in ("volta", "ampere"):
        old = tuning(replace(machine(H100), generation=generation), "all-reduce")
        assert old["nvls", "Simple"].bandwidth_gb_s == 0
    # Steps of long rings take 1.9 times as long before Ampere.
    plain = line(V100, 2, "all-reduce", "ring", "Simple")
    rows = predict(machine(V100, 2), "all-reduce", GIB).rows
    slow = next(r for r in rows if (r.algorithm, r.protocol) == ("ring", "Simple"))
    assert slow.latency_us == pytest.approx(plain.latency_us * 1.9)


# Caps of the source, in GB/s on one node, two, and more: LL in all (between nodes that of Intel); per channel
# LL128 on rings, LL128 on trees, trees, and NVLSTree, which one node and old GPUs do not run.
CAPS = {
    "volta": ((39, 39, 20.4), (20, 20, 20), (20, 20, 20), (26.5, 18.5, 10), (0, 0, 0)),
    "ampere": ((87.7, 39, 20.4), (20, 20, 20), (20, 20, 20), (24, 23.6, 17.8), (0, 0, 0)),
    "hopper": ((141, 39, 20.4), (36.7, 36.7, 36.7), (36.7, 36.7, 29), (38.7, 41.4, 36), (0, 57.7, 45.5)),
    "blackwell": ((282, 39, 20.4), (40, 40, 40), (55.6, 31.67, 20), (70, 42.8, 24), (0, 96, 80)),
}


@pytest.mark.parametrize("n_nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("generation", CAPS)
def test_caps_are_those_of_nccl_5067397(generation, n_nodes):
    wide = ChannelGraph("balanced-tree", 10, 1e6, 1e6)
    n = 8 * n_nodes
    found = Machine(generation, n, n_nodes, "intel", wide, wide, nvls=replace(wide, pattern="nvls"))
    table = tuning(found, "all-reduce")
    column = min(n_nodes, 3) - 1
    ll, ring_ll128, tree_ll128, tree, nvls_tree = (cap[column] for cap in CAPS[generation])
    ratio = n / (2 * n - 2)
    share = 7 / 9 if n_nodes == 1 else 120 / 128
    assert table["ring", "LL"].bandwidth_gb_s == pytest.approx(ll * ratio)
    assert table["ring", "LL128"].bandwidth_gb_s == pytest.approx(10 * ring_ll128 * ratio)
    assert table["tree", "LL"].bandwidth_gb_s == pytest.approx(min(10 * tree / 3.8, ll) / 2)
    assert table["tree", "LL128"].bandwidth_gb_s == pytest.approx(10 * min(tree * share, tree_ll128) / 2)
    assert table["tree", "Simple"].bandwidth_gb_s == pytest.approx(10 * tree / 2)
    assert table["nvls-tree", "Simple"].bandwidth_gb_s == pytest.approx(10 * nvls_tree * ratio)
    amd = tuning(replace(found, cpu="amd"), "all-reduce")["ring", "LL"]
    assert amd.bandwidth_gb_s == pytest.approx((ll, 22.5, 19)[column] * ratio)


def crossover(found, slower, faster):
    """Return the size [bytes] from which one line of a table beats another."""
    a, b = found["ring", slower], found["ring", faster]
    return (b.latency_us - a.latency_us) * 1000 / (1 / a.bandwidth_gb_s - 1 / b.bandwidth_gb_s)


@pytest.mark.parametrize(("slower", "faster", "mib"), [("LL", "LL128", 3.4), ("LL128", "Simple", 34.7)])
def test_protocols_change_where_nccl_5067397_changes_them(slower, faster, mib):
    eight = machine(H100)
    size = crossover(tuning(eight, "all-reduce"), slower, faster)
    assert round(size / MIB, 1) == mib
    # The lines of the table and the prediction must say the same.
    assert predict(eight, "all-reduce", int(size) - 1000).of("ring").protocol == slower
    assert predict(eight, "all-reduce", int(size) + 1000).of("ring").protocol == faster


def test_busbw_of_8_h100_rings_is_that_of_nccl_5067397():
    eight = machine(H100)
    assert busbw(eight, 256 * MIB, "ring") == pytest.approx(345, abs=0.5)
    assert busbw(eight, 8 * GIB, "ring") == pytest.approx(359.5, abs=0.05)


def test_sizes_correct_trees_and_long_rings_as_in_nccl_5067397():
    four = machine(H100, 4)
    plain = tuning(four, "all-reduce")

    def at(size, algorithm, protocol):
        rows = predict(four, "all-reduce", size).rows
        return next(r for r in rows if (r.algorithm, r.protocol) == (algorithm, protocol))

    for size, share in ((63, 1.0), (64, 0.9), (2**17 - 1, 0.6), (2**17, 0.5), (2**28, 0.9), (2**29, 1.0)):
        expected = plain["tree", "Simple"].bandwidth_gb_s * share
        assert at(size, "tree", "Simple").bandwidth_gb_s == pytest.approx(expected), size
    # 64 bytes for each of 16 channels and 32 ranks.
    for size, factor in ((64 * 16 * 32 - 1, 1.0), (64 * 16 * 32, 1.4)):
        expected = plain["ring", "Simple"].latency_us * factor
        assert at(size, "ring", "Simple").latency_us == pytest.approx(expected), size
        assert at(size, "ring", "LL128").latency_us == plain["ring", "LL128"].latency_us


def test_nvls_trees_are_corrected_on_blackwell_with_x86_only():
    for node, share in ((B200, 0.5), (replace(B200, cpu="arm"), 1.0), (H100, 1.0)):
        two = machine(node, 2)
        row = predict(two, "all-reduce", 2**18).of("nvls-tree")
        assert row.bandwidth_gb_s == pytest.approx(
            tuning(two, "all-reduce")["nvls-tree", "Simple"].bandwidth_gb_s * share
        )


# Measured all-reduce: no figure here was fitted.


@pytest.mark.parametrize(
    ("node", "n_nodes", "algorithm", "size", "measured", "tolerance"),
    [
        (H100, 1, "nvls", 8 * GIB, 478.87, 0.01),  # AZ, ND H100 v5
        (H100, 1, "nvls", 16 * GIB, 483.35, 0.02),  # AWS, p5
        (H100, 1, "ring", 16 * GIB, 367.2, 0.03),  # H200 in ml-engineering@744d01e
        (A100, 1, "ring", 8 * GIB, 231.58, 0.04),  # AZ, ND A100 v4
        (H100, 12, "ring", 8 * GIB, 386.6, 0.05),  # CW
        (H100, 2, "nvls-tree", 16 * GIB, 487.1, 0.06),  # AWS, p5
        (P4DE, 2, "tree", 2 * GIB, 78.33, 0.06),  # AWS, p4de
    ],
)
def test_large_all_reduce_is_near_what_was_measured(node, n_nodes, algorithm, size, measured, tolerance):
    found = predict(machine(node, n_nodes), "all-reduce", size)
    assert found.chosen.algorithm == algorithm or (n_nodes, algorithm) == (1, "ring")
    assert busbw(machine(node, n_nodes), size, algorithm) == pytest.approx(measured, rel=tolerance)


# Which rows are enabled.


def enabled(node, n_nodes, collective):
    table = tuning(machine(node, n_nodes), collective)
    return {(line.algorithm, line.protocol) for line in table if line.bandwidth_gb_s}


RINGS = {("ring", p) for p in PROTOCOLS}
TREES = {("tree", p) for p in PROTOCOLS}


@pytest.mark.parametrize(
    ("node", "n_nodes", "collective", "expected"),
    [
        (H100, 1, "all-reduce", RINGS | TREES | {("nvls", "Simple")}),
        (replace(H100, has_nvls=False), 1, "all-reduce", RINGS | TREES),
        (H100, 2, "all-reduce", RINGS | TREES | {("nvls-tree", "Simple")}),
        (A100, 1, "all-reduce", RINGS | TREES),
        (A100, 2, "all-reduce", RINGS | TREES),
        (H100, 1, "all-gather", RINGS | {("nvls", "Simple")}),
        (H100, 2, "all-gather", RINGS),
        (NVL72, 1, "all-reduce", RINGS | TREES | {("nvls", "Simple")}),
        (NVL72, 1, "all-gather", RINGS),  # more than 32 GPUs
        (LONELY, 8, "reduce-scatter", RINGS | {("pat", "Simple")}),
        (LONELY, 8, "all-reduce", RINGS | TREES),
        (SHARP, 1, "all-gather", RINGS | {("nvls", "Simple")}),
        (SHARP, 2, "all-gather", RINGS | {("nvls", "Simple"), ("collnet-direct", "Simple")}),
        # CollNet serves up to 8 GPUs of a node itself, but NVLS still uses it.
        (
            replace(SHARP, n_gpus=9),
            2,
            "all-reduce",
            RINGS | TREES | {("nvls", "Simple"), ("nvls-tree", "Simple")},
        ),
        (H100, 2, "broadcast", RINGS),
        (LONELY, 2, "reduce", RINGS),
    ],
)
def test_rows_are_enabled_as_in_nccl_5067397(node, n_nodes, collective, expected):
    assert enabled(node, n_nodes, collective) == expected


@pytest.mark.parametrize(
    ("node", "is_allowed"),
    [
        (A100, True),
        (replace(A100, gpus_per_switch=1), False),  # rings close by PXN: only from Hopper on
        (replace(H100, n_nics=1, gpus_per_switch=1), True),
        (replace(H100, nic_path="PHB"), False),  # through the processor
    ],
)
def test_ll128_needs_a_path_without_processor(node, is_allowed):
    assert (("ring", "LL128") in enabled(node, 2, "all-gather")) == is_allowed


def test_ll128_needs_nvlink_inside():
    ring = ChannelGraph("ring", 2, 12.0, 12.0, "PHB")
    tree = replace(ring, pattern="balanced-tree")
    host = Machine("ampere", 4, 1, "intel", ring, tree, has_nvswitch=False)
    table = tuning(host, "all-reduce")
    assert {line.protocol for line in table if line.bandwidth_gb_s} == {"LL", "Simple"}
    assert table["ring", "Simple"].latency_us == pytest.approx(8.4 + 6 * 5.7)  # PCI, not NVLink
    assert table["tree", "Simple"].latency_us == pytest.approx(8.4 + 6 * 4.0)
    assert table["ring", "LL"].latency_us == pytest.approx(6.6 + 6 * 1.0)
    assert table["tree", "LL"].latency_us == pytest.approx(6.8 + 6 * 1.0)
    power = tuning(replace(host, cpu="power"), "all-reduce")
    assert power["tree", "Simple"].latency_us == pytest.approx(8.4 + 6 * 5.7)


# Laws over all machines.


@pytest.mark.some(10)
@pytest.mark.parametrize(("node", "n_nodes"), MACHINES)
def test_channels_fit_the_node(node, n_nodes):
    found = machine(node, n_nodes)
    room = node.room(is_inter=n_nodes > 1)
    assert found.ring.n_channels == found.tree.n_channels <= 32
    assert found.ring.n_channels <= found.n_channels <= 64
    if node.n_gpus > 1:
        hops = found.ring.n_channels * (node.n_gpus - 1) * found.ring.bw_intra_gb_s
        assert hops <= node.n_gpus * node.nvlink_gb_s * (1 + 1e-9)
    if n_nodes > 1:
        leaving = found.ring.n_channels * found.ring.bw_inter_gb_s
        assert leaving <= node.n_nics * room.channel_gb_s * (1 + 1e-9)
        # A coarse ladder wastes something, but never half of the tighter of NICs and NVLinks.
        assert leaving > 0.5 * min(node.n_nics * room.channel_gb_s, max(node.nvlink_gb_s, room.pcie_gb_s))


@pytest.mark.some(16)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(("node", "n_nodes"), MACHINES)
def test_table_is_whole_and_predictions_follow_it(node, n_nodes, collective):
    found = machine(node, n_nodes)
    table = tuning(found, collective)
    assert [(x.algorithm, x.protocol) for x in table] == [(a, p) for a in ALGORITHMS for p in PROTOCOLS]
    last = {}
    for size in (1, 1000, 2**16, 2**20 + 1, 2**25, 2**33):
        answer = predict(found, collective, size)
        assert answer.chosen in answer.rows
        assert answer.chosen.time_us == min(row.time_us for row in answer.rows)
        assert [(r.algorithm, r.protocol) for r in answer.rows] == [
            (x.algorithm, x.protocol) for x in table if x.bandwidth_gb_s
        ]
        for row in answer.rows:
            assert row.time_us == pytest.approx(row.latency_us + size / 1000 / row.bandwidth_gb_s)
            # Shares by size make trees faster at some larger sizes; nothing else may be.
            if "tree" not in row.algorithm:
                assert row.time_us > last.get((row.algorithm, row.protocol), 0)
                last[row.algorithm, row.protocol] = row.time_us


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_more_nodes_never_help(collective):
    times = [predict(machine(H100, n), collective, "64MiB").chosen.time_us for n in (1, 2, 3, 4, 8, 64, 1024)]
    assert times == sorted(times)


def test_faster_nics_never_hurt():
    times = [
        predict(machine(replace(B300, nic_gbps=rate), 8), "all-reduce", "1GiB").chosen.time_us
        for rate in (10, 25, 50, 100, 200, 400, 800)
    ]
    assert times == sorted(times, reverse=True)


def test_predictions_of_one_rank_a_node_and_of_whole_racks_differ():
    # 144 GPUs: two NVL72 domains, or 36 trays that are wrongly taken for nodes.
    racks = machine(NVL72, 2)
    trays = machine(replace(NVL72, n_gpus=4, n_nics=4), 36)
    assert racks.n_ranks == trays.n_ranks == 144
    assert busbw(racks, GIB, "ring") > 3 * busbw(trays, GIB, "ring")


# Prints.


def test_prediction_prints_its_table_with_the_choice_marked():
    answer = predict(machine(H100), "all-reduce", "1GiB")
    lines = str(answer).split("\n")
    assert lines[0] == "all-reduce of 1 GiB among 8 ranks on 1 node, NCCL 2.30.7"
    assert len(lines) == 1 + len(answer.rows) == 8
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["nvls"]
    found = answer.to_dict()
    assert found["algorithm"] == "nvls"
    assert found["busbw_gbps"] == answer.busbw_gbps == answer.algbw_gbps * 1.75
    assert [row["time_s"] for row in found["rows"]] == [row.time_us * 1e-6 for row in answer.rows]
    assert found["time_s"] == answer.time_s == min(row["time_s"] for row in found["rows"])


def test_broadcast_has_the_same_algbw_and_busbw():
    answer = predict(machine(H100), "broadcast", "1GiB")
    assert answer.busbw_gbps == answer.algbw_gbps


def test_table_prints_its_enabled_rows():
    table = tuning(machine(H100), "all-reduce")
    assert "ring           Simple      56.0 /  205.7" in str(table)
    assert "pat" not in str(table)
    rows = table.to_dict()["lines"]
    assert len(rows) == len(ALGORITHMS) * len(PROTOCOLS)
    assert {r["bandwidth_gb_s"] for r in rows if r["algorithm"] == "pat"} == {0.0}


def test_machine_shows_its_graphs():
    found = machine(A100).to_dict()
    assert found["ring"]["n_channels"] == 12
    assert found["nvls"] is None
    assert found["n_ranks"] == 8


# Breakers.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_ranks": 0}, "n_ranks is 0; expected at least 2"),
        ({"n_nodes": 0}, "n_nodes is 0; expected at least 1"),
        ({"n_nodes": 3}, "n_ranks is 8; expected a multiple of the 3 nodes"),
        ({"generation": "hoper"}, "unknown generation 'hoper'; did you mean hopper"),
        ({"cpu": "6502"}, "unknown cpu '6502'; known are intel, amd"),
        ({"n_channels": 0}, "n_channels is 0"),
        (
            {"n_nodes": 2, "ring": ChannelGraph("ring", 1, 10.0, 0.0)},
            "bw_inter_gb_s is 0.0; expected a rate above 0",
        ),
    ],
)
def test_machine_refuses(change, message):
    with pytest.raises(QuestionError, match=message):
        replace(machine(H100), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pattern": "rign"}, "unknown pattern 'rign'; did you mean ring"),
        ({"n_channels": 0}, "n_channels is 0; expected at least 1"),
        ({"bw_intra_gb_s": 0.0}, "bw_intra_gb_s is 0.0; expected a finite positive figure"),
        ({"bw_inter_gb_s": float("nan")}, "bw_inter_gb_s is nan; expected a finite figure from 0 up"),
        ({"latency_us": -1.0}, "latency_us is -1.0"),
        ({"type_intra": "DIS"}, "unknown type_intra 'DIS'"),
        ({"type_inter": "PCI"}, "unknown type_inter 'PCI'"),
    ],
)
def test_graph_refuses(change, message):
    with pytest.raises(QuestionError, match=message):
        replace(ChannelGraph("ring", 1, 10.0, 10.0), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sm": 60}, "sm is 60; expected a compute capability of 70-79"),
        ({"n_gpus": 0}, "n_gpus is 0; expected at least 1"),
        ({"n_nvlinks": 0}, "n_nvlinks is 0; expected NVLinks to NVSwitches"),
        ({"n_nics": -1}, "n_nics is -1"),
        ({"nic_gbps": float("inf")}, "nic_gbps is inf"),
        ({"nic_latency_us": -1.0}, "nic_latency_us is -1.0"),
        ({"pcie_generation": 9}, "pcie_generation is 9; expected one of 1, 2, 3, 4, 5, 6"),
        ({"pcie_lanes": 0}, "pcie_lanes is 0"),
        ({"gpus_per_switch": 9}, "gpus_per_switch is 9; expected 1 to 8"),
        ({"nic_path": "SYS"}, "unknown nic_path 'SYS'"),
        ({"cpu": "arms"}, "unknown cpu 'arms'; did you mean arm"),
    ],
)
def test_node_refuses(change, message):
    with pytest.raises(QuestionError, match=message):
        replace(H100, **change)


@pytest.mark.parametrize(
    ("node", "n_nodes", "message"),
    [
        (LONELY, 1, "n_nodes is 1; expected nodes with at least 2 GPUs in all"),
        (H100, 0, "n_nodes is 0"),
        (replace(H100, n_nics=0), 2, "n_nics is 0; expected at least one NIC with a rate"),
        (replace(H100, nic_gbps=0.0), 2, "n_nics is 8; expected at least one NIC with a rate"),
        (replace(H100, nic_gbps=0.5), 2, "no channel fits: NCCL's search stops at 0.12 GB/s"),
    ],
)
def test_machine_of_hardware_refuses(node, n_nodes, message):
    with pytest.raises(QuestionError, match=message):
        machine(node, n_nodes)


def test_unknown_questions_are_refused():
    eight = machine(H100)
    with pytest.raises(QuestionError, match="unknown collective 'all-reduc'; did you mean all-reduce"):
        tuning(eight, "all-reduc")
    with pytest.raises(QuestionError, match="unknown collective 'all-to-all'"):
        predict(eight, "all-to-all", 1)
    with pytest.raises(UnitError, match="zero; must be positive"):
        predict(eight, "all-reduce", 0)
    with pytest.raises(QuestionError, match="'pat' is not among the algorithms .* tree, ring, nvls"):
        predict(eight, "all-reduce", 1).of("pat")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("latencies.csv", "2.30.7", "2.18.5", "latencies.csv:2: base: unknown version '2.18.5'"),
        ("ladders.csv", "40 30 20", "30 40 20", "speeds_gb_s is no list of rates above 0, fastest first"),
        ("ladders.csv", "40 30 20", "40 30 fast", "speeds_gb_s is no list of rates above 0, fastest first"),
        ("factors.csv", "7/9", "7/0", "value is '7/0'; expected a number or a quotient"),
        ("caps.csv", "ll-total,volta", "ll-total,pascal", "unknown generation 'pascal'"),
        ("pcie.csv", "lane_gb_s", "lanes", "lacks column lane_gb_s"),
        ("nvlinks.csv", "NVIDIA/nccl@5067397 src/graph/topo.h SM70_NVLINK_BW", "", "source is empty"),
    ],
)
def test_unsound_tables_do_not_load(tmp_path, file, old, new, message):
    data = copytree(resources.files("fabric.nccl").joinpath("data"), tmp_path / "data")
    assert load_tables(data) == tables()
    text = (data / file).read_text()
    assert old in text
    (data / file).write_text(text.replace(old, new, 1))
    with pytest.raises(PartError, match=message):
        load_tables(data)
