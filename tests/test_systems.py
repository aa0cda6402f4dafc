"""Systems of AWS, AMD, Microsoft and NVIDIA: what they carry in closed form.

Their links are in test_systems_links.py, tori of TPUs in test_systems_tori.py, published totals in
test_systems_published.py, switches, cards and reference designs in test_systems_network.py, clusters of
unlike chips in test_systems_mixed.py.
"""

import networkx as nx
import numpy as np
import pytest

from fabric.bounds.bound import bound
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import load
from tests.shipped_systems import SYSTEMS, links, read

GIB_S = 1024**3 * 8 / 1e9  # [Gb/s]

# Both directions of a chip in its scale-up network [GB/s], as published: AWS Neuron docs (Trn2 1,024 in the
# instance and 256 on z, Trn3 2,048 in the rack, Inf2 192 GiB/s); NVIDIA; AMD; LPX 2.5 TB/s at 112 Gb/s on the
# line. Microsoft gives one direction. Intel: 21 ports of 24 in the box (habana-net).
# Scenarios and Trn1: what they assume.
PER_CHIP = {
    "aws-trn1": 4 * 2 * 48 * GIB_S / 8,
    "aws-trn2": 1024,
    "aws-trn2-ultraserver": 1024 + 256,
    "aws-trn3-gen1": 2048 + 16 * 16,
    "aws-trn3-gen2": 2048 + 16 * 16,
    "trn3-gen2-320-lane": 2048 + 16 * 16,
    "aws-trn4-scenario": 3600,
    "trn4-144-scenario": 3600,
    "aws-inf2": 192 * 1.024**3,
    "aws-p6e-gb200": 1800,
    "aws-p6e-gb300": 1800,
    "h100-nvlink-256": 900,
    "mi350x": 1075.2,
    "mi355x": 1075.2,
    "helios": 3600,
    "maia100": 9 * 400 * 2 / 8,
    "gaudi2": 525,
    "gaudi3": 1050,
    "maia200": 8000 * 2 / 8,
    "hgx-rubin-nvl8": 3600,
    "rubin-ultra-scenario": 3600,
    "rubin-ultra-double-scenario": 7200,
    "nvl576-scenario": 3600,
    "b300-spectrum-8su": 1800,
    "hpn-pod": 400,
    "groq-lpx": 90 * 100 * 2 / 8,
}


def cut(n, near, gbps):
    """Rate of each of n endpoints in all-to-all where `near` of them have `gbps` towards all others."""
    return gbps * (n - 1) / (near * (n - near))


# All-to-all: the rate of an endpoint by the cut that binds [Gb/s], and the cut. All-gather: what the endpoint
# with least takes in [Gb/s].
SOLVED = {
    # Half of a hypercube has one link a chip to the other.
    "aws-trn1": ("chip", cut(16, 8, 8 * 48 * GIB_S), 4 * 48 * GIB_S),
    # Two rings cut at each of four places.
    "aws-trn2": ("chip", cut(16, 8, 2 * 4 * 1024), 4 * 1024),
    # On z half as fast: half of the instances, two rings cut at 16 places.
    "aws-trn2-ultraserver": ("chip", cut(64, 32, 2 * 16 * 512), 4 * 1024 + 2 * 512),
    # Rack against rack; in the rack there is more.
    "aws-trn3-gen1": ("chip", cut(64, 32, 32 * 1024), 144 * 64),
    "trn3-gen1-320-lane": ("chip", cut(64, 32, 32 * 1024), 144 * 64),
    "aws-trn3-gen2": ("chip", cut(144, 72, 72 * 1024), 144 * 64),
    "trn3-gen2-320-lane": ("chip", cut(144, 72, 72 * 1024), 144 * 64),
    "aws-trn4-scenario": ("chip", 36 * 400, 36 * 400),
    "trn4-144-scenario": ("chip", 72 * 200, 72 * 200),
    # The middle of the row; its ends have one link.
    "aws-inf1": ("chip", cut(16, 8, 8 * GIB_S), 8 * GIB_S),
    "aws-inf2": ("chip", cut(12, 6, 2 * 48 * GIB_S), 2 * 48 * GIB_S),
    # Every GPU has all of its links to the switches, and these pass on all of them.
    "hgx-a100": ("gpu", 12 * 200, 12 * 200),
    "hgx-h100": ("gpu", 18 * 200, 18 * 200),
    "hgx-h200": ("gpu", 18 * 200, 18 * 200),
    "hgx-h20": ("gpu", 18 * 200, 18 * 200),
    "hgx-h800": ("gpu", 8 * 200, 8 * 200),
    "hgx-b200": ("gpu", 18 * 400, 18 * 400),
    "hgx-b300": ("gpu", 18 * 400, 18 * 400),
    "gb200-nvl72": ("gpu", 18 * 400, 18 * 400),
    "gb300-nvl72": ("gpu", 18 * 400, 18 * 400),
    "vr-nvl72": ("gpu", 36 * 400, 36 * 400),
    "aws-p6e-gb200": ("gpu", 18 * 400, 18 * 400),
    "aws-p6e-gb300": ("gpu", 18 * 400, 18 * 400),
    # 72 links of a node for the 144 inside.
    "h100-nvlink-256": ("gpu", cut(256, 8, 72 * 200), 18 * 200),
    # One rack against the rest. A GPU takes in what both cards of its Grace do; of GB300 its own card at full
    # rate, and the other as fast as the PCIe 5 of Grace.
    "superpod-gb200-su": ("gpu", cut(576, 72, 72 * 400), 7200 + 2 * 400),
    "superpod-gb300": ("gpu", cut(9216, 72, 72 * 800), 7200 + 800 + 504),
    "gb300-enterprise-8su": ("gpu", cut(576, 72, 72 * 800), 7200 + 800 + 504),
    # A pod against the rest: the uplinks of its spines, which are fewer than their downlinks.
    "million-scenario": ("gpu", cut(55 * 18_432, 18_432, 128 * 112 * 800), 7200 + 800 + 504),
    # A server against the rest: its eight cards, which bind its all-gather too; of HPN with its own.
    "b300-spectrum-8su": ("gpu", cut(4096, 8, 8 * 800), 8 * 800 * 4095 / 4088),
    "hpn-pod": ("gpu", cut(15360, 8, 8 * 400), 8 * 200 + 400),
    # UltraServer against the rest: its 64 cards. Chips of a server hand on what a card of theirs takes in.
    "trn2-1024": ("chip", cut(1024, 64, 64 * 200), 5120 + 200),
    "rainier-scenario": ("chip", cut(491520, 64, 64 * 200), 5120 + 200),
    # A chip takes in all that its PCIe carries, which is more than its share of the card.
    "trn3-gen2-576": ("chip", cut(576, 144, 144 * 200), 144 * 64 + 252),
    # A GPU takes in what both cards of its Grace do.
    "p6e-gb200-8": ("gpu", cut(576, 72, 72 * 400), 7200 + 2 * 400),
    # In a full mesh every link carries one pair.
    "mi300x": ("gpu", 7 * 512, 7 * 512),
    "mi325x": ("gpu", 7 * 512, 7 * 512),
    "mi350x": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi355x": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi350x-8": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi355x-8": ("gpu", 7 * 614.4, 7 * 614.4),
    "helios": ("gpu", 72 * 200, 72 * 200),
    "helios-4": ("gpu", cut(288, 72, 3 * 54 * 800), 72 * 200 + 3 * 800),
    "maia100": ("chip", 3600, 3600),
    "gaudi2": ("chip", 21 * 100, 21 * 100),
    "gaudi3": ("chip", 21 * 200, 21 * 200),
    "maia100-128": ("chip", cut(128, 4, 4 * 1200), 4800),
    "maia200": ("chip", 8000, 8000),
    "maia200-6144": ("chip", cut(6144, 48, 4 * 32 * 400), 11200),
    "maia200-6144-full": ("chip", cut(6144, 4, 4 * 3200), 11200),
    "hgx-rubin-nvl8": ("gpu", 36 * 400, 36 * 400),
    "rubin-ultra-scenario": ("gpu", 72 * 200, 72 * 200),
    "rubin-ultra-double-scenario": ("gpu", 144 * 200, 144 * 200),
    "nvl576-scenario": ("gpu", 72 * 200, 72 * 200),
    # What leaves a tray crosses the backplane: 240 of 255 parts, on 30 links.
    "groq-lpx": ("lpu", 30 * 100 * 255 / 240, 90 * 100),
    # The middle of the chain; an LPU at its end has two links less.
    "lpx-4": ("lpu", cut(1024, 512, 256 * 2 * 100), 92 * 100),
}


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def at_each(e, group, nets=("scale-up", "host", "scale-out"), weight=None):
    """Return what each device of a group has, in both roles, over the rules of the given nets."""
    rows = np.array([r.net in nets for r in e.rules])[e.rule]
    weight = e.count if weight is None else weight
    ends = np.concatenate([e.tail[rows], e.head[rows]])
    return np.bincount(ends, np.tile(weight[rows], 2), minlength=e.n_devices)[members(e, group)]


def graph(e):
    found = nx.Graph()
    found.add_nodes_from(range(e.n_devices))
    found.add_edges_from(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    return found


# --- links ---------------------------------------------------------------------------------------------


def test_every_file_is_solved():
    mixed = {"seven-chips", "mixed-islands", "vera-rubin-pod"}
    found = {path.name.removesuffix(".fabric.yaml") for path in SYSTEMS.glob("*.fabric.yaml")}
    files = {name for name in found if not name.startswith("tpu-")} - mixed
    assert files <= set(SOLVED)


@pytest.mark.some(9)
@pytest.mark.parametrize("path", sorted(SYSTEMS.glob("*.fabric.yaml")), ids=lambda path: path.name)
def test_file_loads_and_says_what_it_is(path):
    fabric = load(path)
    assert fabric.name == path.name.removesuffix(".fabric.yaml")
    said = [note for note in fabric.blueprint.notes if note.startswith(f"{fabric.name}: ")]
    assert len(said) == 1
    assert ("scenario, not a published design" in said[0]) == ("scenario" in fabric.name)
    assert fabric.skipped == ()


def test_neighbours_of_trainium():
    """Those that neuron-ls prints: of chip 0 they are 12, 3, 4 and 1. The hypercube of Trn1 is this torus."""
    printed = nx.Graph()
    for i in range(16):
        row = i - i % 4
        printed.add_edges_from([(i, (i + 4) % 16), (i, row + (i + 1) % 4)])
    e = links("aws-trn2")
    chips = members(e, "chip")
    number = dict(
        zip(chips.tolist(), (4 * e.coordinates["y"] + e.coordinates["x"])[chips].tolist(), strict=True)
    )
    found = nx.relabel_nodes(graph(e).subgraph(chips.tolist()), number)
    assert nx.utils.graphs_equal(nx.Graph(found.edges), nx.Graph(printed.edges))
    e = links("aws-trn1")
    cube = graph(e).subgraph(members(e, "chip").tolist())
    assert nx.is_isomorphic(cube, printed)
    assert nx.is_isomorphic(cube, nx.hypercube_graph(4))


@pytest.mark.some(10)
@pytest.mark.parametrize("name", PER_CHIP)
def test_scale_up_of_a_chip(name):
    e = links(name)
    gbps = at_each(e, next(g.name for g in e.groups if g.is_endpoint), ("scale-up",), e.count * e.rate_gbps)
    assert gbps * 2 / 8 == pytest.approx(PER_CHIP[name], rel=1e-12)


# --- solved ------------------------------------------------------------------------------------------------


@pytest.mark.some(1)
@pytest.mark.parametrize("name", SOLVED)
def test_all_to_all_and_all_gather(name):
    among, rate, inward = SOLVED[name]
    fabric = read(name)
    found = throughput(fabric, among=among)
    assert found.per_endpoint_gbps == pytest.approx(rate, rel=1e-9)
    assert found.status == "optimal"
    n = found.n_endpoints
    assert bound(fabric, "all-gather", among=among).algbw_gbps == pytest.approx(
        inward * n / (n - 1), rel=1e-9
    )


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("name", "source", "target", "gbps"),
    [
        # What a chip has, over all its ways; a pair in a mesh that does not forward has its own link.
        ("aws-trn1", "a0/b0/c0/d0/chip", "a1/b1/c1/d1/chip", 4 * 48 * GIB_S),
        ("aws-trn2-ultraserver", "z0/x0/y0/chip", "z2/x2/y2/chip", 4 * 1024 + 2 * 512),
        ("aws-trn3-gen1", "rack0/tray0/plane0/chip", "rack0/tray5/plane1/chip", 144 * 64),
        ("aws-trn3-gen2", "rack0/tray0/plane0/chip", "rack1/tray5/plane3/chip", 144 * 64),
        ("trn3-gen2-320-lane", "rack0/tray0/plane0/chip0", "rack1/tray5/plane1/chip1", 144 * 64),
        ("aws-inf1", "chip3", "chip9", 8 * GIB_S),
        ("aws-inf2", "chip0", "chip5", 2 * 48 * GIB_S),
        ("mi355x", "gpu0", "gpu5", 614.4),
        ("helios", "tray0/gpu0", "tray17/gpu3", 72 * 200),
        ("hgx-rubin-nvl8", "gpu0", "gpu7", 36 * 400),
        ("groq-lpx", "tray0/lpu0", "tray9/lpu5", 90 * 100),
        ("nvl576-scenario", "rack0/tray0/gpu0", "rack7/tray17/gpu3", 72 * 200),
        ("h100-nvlink-256", "node0/gpu0", "node31/gpu7", 18 * 200),
        ("superpod-gb200-su", "rack0/tray0/gpu0", "rack7/tray17/gpu3", 7200 + 2 * 400),
        ("superpod-gb300", "su0/rack0/tray0/gpu0", "su15/rack7/tray3/gpu1", 7200 + 800 + 504),
        # Half of a system against the other: all that its GPUs have.
        ("hgx-h100", "gpu0-3", "gpu4-7", 4 * 3600),
        ("hgx-h200", "gpu0-3", "gpu4-7", 4 * 3600),
        ("hgx-b200", "gpu0-3", "gpu4-7", 4 * 7200),
        ("hgx-b300", "gpu0-3", "gpu4-7", 4 * 7200),
        ("hgx-rubin-nvl8", "gpu0-3", "gpu4-7", 4 * 14400),
        ("gb200-nvl72", "tray0-8", "tray9-17", 36 * 7200),
        ("gb300-nvl72", "tray0-8", "tray9-17", 36 * 7200),
        ("vr-nvl72", "tray0-8", "tray9-17", 36 * 14400),
        ("helios", "tray0-8", "tray9-17", 36 * 14400),
        # Between the systems of a cluster: the cards, or the uplinks of their leaf.
        ("h100-nvlink-256", "node0", "node31", 72 * 200),
        ("nvl576-scenario", "rack0", "rack7", 72 * 72 * 200),
        ("trn4-144-scenario", "rack0", "rack1", 72 * 72 * 200),
        ("b300-spectrum-8su", "su0", "su7", 512 * 800),
        # Two cards of 200 Gb/s a GPU on 16 switches, which have 60 uplinks each.
        ("hpn-pod", "seg0", "seg14", 16 * 60 * 400),
        ("superpod-gb200-su", "rack0", "rack7", 72 * 400),
        ("superpod-gb300", "su0/rack0", "su15/rack7", 72 * 800),
        ("gb300-enterprise-8su", "rack0", "rack7", 72 * 800),
        ("trn3-gen2-576", "server0", "server3", 144 * 200),
        ("helios-4", "rack0", "rack1", 3 * 54 * 800),
        ("trn2-1024", "pair0/server0", "pair5/server1", 64 * 200),
        ("p6e-gb200-8", "rack0", "rack7", 72 * 400),
        ("maia100-128", "tray0", "tray31", 4 * 1200),
        ("maia200-6144", "cluster0", "cluster127", 4 * 32 * 400),
        ("maia200-6144-full", "cluster0", "cluster95", 64 * 8 * 400),
        # Two links of every LPU to the next rack.
        ("lpx-4", "rack0", "rack3", 256 * 2 * 100),
        ("rainier-scenario", "hall0/pod0/pair0/server0", "hall14/pod31/pair7/server1", 64 * 200),
    ],
)
def test_max_flow(name, source, target, gbps):
    assert max_flow(read(name), source, target).value_gbps == pytest.approx(gbps, rel=1e-12)
