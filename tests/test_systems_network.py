"""Cards and switches at their port budgets, Clos ceilings, and reference designs of NVIDIA."""

import re

import numpy as np
import pytest

from fabric.blueprint import loads_blueprint
from fabric.blueprint.ports import layer_notes
from fabric.errors import TopologyError
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import expand, loads
from fabric.parts import catalogue, find_part
from fabric.sizing.summary import summarize
from tests.shipped_systems import SYSTEMS, read


def modes(kind):
    """Return every breakout of every network port of a kind of part: part, cables, rate of each [Gb/s]."""
    found = []
    for part in catalogue().parts.values():
        for port in part.ports:
            if part.kind == kind and port.name == "network":
                found += [(part.id, n, gbps) for n, gbps in port.modes]
    # Half a million endpoints and more: a second each.
    slow = [[pytest.mark.slow] if n > 512 else [] for _, n, _ in found]
    return [
        pytest.param(*row, id=f"{row[0]}-{row[1]}x{row[2]:g}", marks=marks)
        for row, marks in zip(found, slow, strict=True)
    ]


# --- cards and DPUs ----------------------------------------------------------------------------------------


def cards(part, n, gbps, leaf="kind: switch"):
    """Two servers, each with a card of n cables, one into each of n planes of one switch."""
    return f"""
    fabric: cards
    axes: {{side: 2, plane: {n}}}
    devices:
      gpu: {{kind: gpu, axes: [side]}}
      host: {{kind: host, axes: [side]}}
      nic: {{part: {part}, axes: [side]}}
      leaf: {{{leaf}, axes: [plane]}}
    links:
      - {{between: [gpu, host], rate: 10Tb/s, net: host, each: 1}}
      - {{between: [host, nic], link: {PCIE[part]}, each: 1}}
      - {{between: [nic, leaf], rate: {gbps}Gb/s, each: [{n}, 2]}}
    """


# What joins a card to its host, no slower than its port.
PCIE = {
    **dict.fromkeys(["cx8", "cx9", "bf4", "vulcano"], "pcie6"),
    **dict.fromkeys(["cx7", "bf3", "efa_v4", "thor2", "pollara400"], "pcie5"),
    **dict.fromkeys(["cx5", "cx6", "e810"], "pcie4"),
    **{"cx4": "pcie3", "efa_v1": "pcie3", "efa_v2": "pcie4_x8", "efa_v3": "pcie5_x8"},
}


@pytest.mark.some(12)
@pytest.mark.parametrize(("part", "n", "gbps"), modes("nic"))
def test_card_has_the_cables_of_its_mode_and_no_more(part, n, gbps):
    assert max_flow(loads(cards(part, n, gbps)), "gpu0", "gpu1").value_gbps == pytest.approx(n * gbps)
    with pytest.raises(TopologyError, match=f"port budget: nic0 .*{part}"):
        loads(cards(part, n + 1, gbps))


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("cx7", {(1, 400), (2, 200), (4, 100)}),
        ("cx8", {(1, 800), (2, 400), (8, 100)}),
        ("cx9", {(1, 800), (2, 400), (4, 200)}),
        ("bf3", {(1, 400), (2, 200), (2, 100)}),
        ("bf4", {(1, 800), (2, 400)}),
    ],
)
def test_modes_of_nvidia_cards(part, wanted):
    (port,) = (p for p in find_part(part).ports if p.name == "network")
    assert set(port.modes) == wanted


def test_connectx8_is_one_port_of_infiniband_or_two_of_ethernet():
    """800G on one port is InfiniBand; its notes say that no firmware read had it for Ethernet.

    A file is not refused for it, since NVIDIA's tables count both cables as one: it gets a note.
    """
    cx8 = find_part("cx8")
    (port,) = (p for p in cx8.ports if p.name == "network")
    assert "1x800 is InfiniBand; 2x400 is Ethernet" in port.note
    assert "800GbE on one port was not supported" in cx8.note
    for n, gbps, leaf in [(1, 800, "part: q3400"), (2, 400, "part: sn5600"), (1, 800, "part: sn5600")]:
        fabric = loads(cards("cx8", n, gbps, leaf))
        assert max_flow(fabric, "gpu0", "gpu1").value_gbps == pytest.approx(800)
        assert bool(layer_notes(fabric.blueprint)) == (gbps == 800 and "sn5600" in leaf)


# --- switches ----------------------------------------------------------------------------------------------


def two_tier(part, k, planes, gbps):
    """k^2 / 2 endpoints: k leaves with half of their k ports down, k / 2 spines, all of it on every plane."""
    return f"""
    fabric: clos
    axes: {{plane: {planes}, leaf: {k}, i: {k // 2}, spine: {k // 2}}}
    devices:
      nic: {{kind: gpu, axes: [leaf, i]}}
      leaf: {{part: {part}, axes: [plane, leaf]}}
      spine: {{part: {part}, axes: [plane, spine]}}
    links:
      - {{between: [nic, leaf], rate: {gbps}Gb/s, each: [{planes}, {k // 2}]}}
      - {{between: [leaf, spine], rate: {gbps}Gb/s, each: [{k // 2}, {k}]}}
    """


def three_tier(part, k, gbps):
    """k^3 / 4 endpoints: k pods of k / 2 leaves and as many spines, cores of k ports."""
    return f"""
    fabric: clos
    axes: {{pod: {k}, leaf: {k // 2}, i: {k // 2}, spine: {k // 2}, core: {k // 2}}}
    devices:
      nic: {{kind: gpu, axes: [pod, leaf, i]}}
      leaf: {{part: {part}, axes: [pod, leaf]}}
      spine: {{part: {part}, axes: [pod, spine]}}
      core: {{part: {part}, axes: [spine, core]}}
    links:
      - {{between: [nic, leaf], rate: {gbps}Gb/s, each: [1, {k // 2}]}}
      - {{between: [leaf, spine], rate: {gbps}Gb/s, each: [{k // 2}, {k // 2}]}}
      - {{between: [spine, core], rate: {gbps}Gb/s, each: [{k // 2}, {k}]}}
    """


@pytest.mark.parametrize(
    ("text", "endpoints", "wider"),
    [
        pytest.param(two_tier("q3400", 144, 1, 800), 10_368, ("leaf: 144", "leaf: 145"), id="q3400_two_tier"),
        pytest.param(
            two_tier("th5", 512, 8, 100), 131_072, ("leaf: 512", "leaf: 513"), id="multiplane_two_tier"
        ),
        pytest.param(three_tier("q3400", 144, 800), 746_496, ("pod: 144", "pod: 145"), id="q3400_three_tier"),
        pytest.param(
            three_tier("sn6800", 512, 800), 33_554_432, ("pod: 512", "pod: 513"), id="sn6800_three_tier"
        ),
    ],
)
def test_invariant_of_switches(text, endpoints, wider):
    assert loads_blueprint(text).n_devices("nic") == endpoints
    with pytest.raises(TopologyError, match="each: wrong number of cables"):
        loads_blueprint(text.replace(*wider))
    free = re.sub(r", each: \[.*\]", "", text)
    assert loads_blueprint(free).n_devices("nic") == endpoints
    with pytest.raises(TopologyError, match="port budget"):
        loads_blueprint(free.replace(*wider))


@pytest.mark.some(16)
@pytest.mark.parametrize(("part", "k", "gbps"), modes("switch"))
def test_two_tiers_of_every_switch_in_every_mode(part, k, gbps):
    """k^2 / 2 endpoints, and not one more leaf."""
    text = two_tier(part, k, 1, gbps)
    assert loads_blueprint(text).n_devices("nic") == k * k // 2
    more = re.sub(r", each: \[.*\]", "", text).replace(f"leaf: {k}", f"leaf: {k + 1}")
    with pytest.raises(TopologyError, match=f"port budget: plane0/spine0 .*{part}"):
        loads_blueprint(more)


# Of switches that are alike in a mode the first is quick.
MODES = modes("switch")
FIRST = {row.values[1:]: row for row in reversed(MODES)}
ALIKE = [
    pytest.param(
        *row.values, id=row.id, marks=[*row.marks] if FIRST[row.values[1:]] is row else [pytest.mark.slow]
    )
    for row in MODES
]


@pytest.mark.some(1)
@pytest.mark.parametrize(("part", "k", "gbps"), ALIKE)
def test_two_tiers_carry_the_full_rate(part, k, gbps):
    fabric = loads(two_tier(part, k, 1, gbps))
    found = throughput(fabric)
    assert found.per_endpoint_gbps == pytest.approx(gbps, rel=1e-9)
    assert found.status == "optimal"
    assert max_flow(fabric, "leaf0/nic0", f"leaf{k - 1}/nic0").value_gbps == pytest.approx(gbps, rel=1e-12)


def test_the_switches_in_scope_are_in_the_catalogue():
    wanted = "sn5400 sn5600 sn5610 sn6600 sn6810 sn6800 qm9700 q3200 q3400 q3450 th5 th6 tomahawk_ultra"
    assert set(wanted.split()) <= {row.values[0] for row in modes("switch")}


# --- reference designs -------------------------------------------------------------------------------------


def sizes(name, *groups):
    return tuple(read(name).blueprint.n_devices(g) for g in groups)


def ports_of(name, group, below):
    """Return the cables from `below` at each device of a group; the same at all."""
    e = expand(read(name))
    rows = e.rule == [r.name for r in e.rules].index(f"{below}-{group}")
    at = np.flatnonzero(e.group == [g.name for g in e.groups].index(group))
    (n,) = set(np.bincount(e.head[rows], e.count[rows], minlength=e.n_devices)[at].tolist())
    return n


def test_superpod_gb200():
    """8 leaves and 6 spines a rail and SU of 576 GPUs: 18 down and 18 up, 24 down."""
    name = "superpod-gb200-su"
    assert sizes(name, "gpu", "leaf", "spine") == (576, 4 * 8, 4 * 6)
    assert (ports_of(name, "leaf", "nic"), ports_of(name, "spine", "leaf")) == (18, 24)
    # 4 x 18 x 50 GB/s leave a rack.
    assert max_flow(read(name), "rack0", "rack1-7").value_gbps / 8e3 == pytest.approx(3.6, rel=1e-12)


def test_superpod_gb300():
    """16 SUs of 8 racks: 128 leaves, 72 spines, 128 of the 144 ports of each."""
    name = "superpod-gb300"
    assert sizes(name, "gpu", "leaf", "spine") == (9216, 16 * 8, 72)
    assert (ports_of(name, "leaf", "nic"), ports_of(name, "spine", "leaf")) == (72, 128)


def test_enterprise_gb300_has_two_planes_that_never_meet():
    """Eight racks, every card with one cable in each plane; losing a plane halves a rack."""
    name = "gb300-enterprise-8su"
    assert sizes(name, "gpu") == (576,)
    whole = max_flow(read(name), "rack0", "rack7").value_gbps
    text = (SYSTEMS / f"{name}.fabric.yaml").read_text()
    one = loads(text + "failed: [plane0/leaf]\n")
    assert (whole, max_flow(one, "rack0", "rack7").value_gbps) == pytest.approx((57_600, 28_800))
    with pytest.raises(TopologyError, match="port budget: .*nic.*cx8"):
        loads(text.replace("plane: 2", "plane: 3").replace("[2, 36]", "[3, 36]"))


def test_nvlink_network_of_h100_is_tapered_two_to_one():
    """A node has half of the NVLink of its GPUs towards the others, and no GPU notices alone."""
    fabric = read("h100-nvlink-256")
    inside = 8 * max_flow(fabric, "node0/gpu0", "node0/gpu1-7").value_gbps
    outside = max_flow(fabric, "node0", "node1-31").value_gbps
    assert inside / outside == pytest.approx(2, rel=1e-12)
    assert outside * 2 / 8e3 == pytest.approx(3.6, rel=1e-12)
    assert max_flow(fabric, "node0/gpu0", "node1-31").value_gbps == pytest.approx(18 * 200)


@pytest.mark.parametrize("name", ["superpod-gb200-su", "superpod-gb300", "gb300-enterprise-8su"])
def test_leaves_are_not_oversubscribed(name):
    (leaf,) = (t for t in summarize(read(name)).tiers if t.name == "leaf")
    assert leaf.ratio == 1
