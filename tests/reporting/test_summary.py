from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fabric import from_networkx, to_networkx
from fabric.errors import QuestionError
from fabric.graph import expand, load, loads
from fabric.reporting.ways import by_nobody, ways
from fabric.sizing.summary import summarize

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
NAMES = ("gb300-nvl72", "gb300-nvl72-1152", "superpod-h100-4su")


@pytest.fixture(scope="module", params=["small", *NAMES])
def counted(request, small):
    """Return a fabric, its summary, and its expanded form as the second opinion."""
    fabric = small if request.param == "small" else load(TOPOLOGIES / f"{request.param}.fabric.yaml")
    return fabric, summarize(fabric), expand(fabric)


def test_cables_are_those_of_the_expanded_form(counted):
    _, summary, expanded = counted
    names = [rule.name for rule in expanded.rules]
    assert sorted(one.name for one in summary.links) == sorted(names)
    for one in summary.links:
        own = expanded.rule == names.index(one.name)
        assert one.n_cables == expanded.count[own].sum()
        assert one.capacity_gbps == pytest.approx((expanded.count * expanded.rate_gbps)[own].sum())
        assert one.per_endpoint_gbps == pytest.approx(one.capacity_gbps / expanded.is_endpoint.sum())


def test_devices_and_degrees_are_those_of_the_expanded_form(counted):
    _, summary, expanded = counted
    names = [rule.name for rule in expanded.rules]
    for i, group in enumerate(expanded.groups):
        (one,) = [g for g in summary.groups if g.name == group.name]
        assert one.n_devices == (expanded.group == i).sum()
        assert one.n_devices + one.n_absent == np.prod([size for _, size in one.axes])
    for one in summary.links:
        own = expanded.rule == names.index(one.name)
        for ends, span in ((expanded.tail, one.per_lower), (expanded.head, one.per_upper)):
            degree = np.bincount(ends[own], expanded.count[own], minlength=expanded.n_devices)
            assert (degree[degree > 0].min(), degree.max()) == span


def test_oversubscription_is_downlink_over_uplink_capacity(counted):
    _, summary, expanded = counted
    capacity = expanded.count * expanded.rate_gbps
    names = [group.name for group in expanded.groups]
    assert {tier.name for tier in summary.tiers} <= {*names}
    for tier in summary.tiers:
        i = names.index(tier.name)
        assert tier.down_gbps == pytest.approx(capacity[expanded.group[expanded.head] == i].sum())
        assert tier.up_gbps == pytest.approx(capacity[expanded.group[expanded.tail] == i].sum())
        assert tier.ratio == (pytest.approx(tier.down_gbps / tier.up_gbps) if tier.up_gbps else None)


def test_ports_of_the_1152_gpu_cluster():
    summary = summarize(load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml"))
    ports = {(g.name, p.name): p for g in summary.groups for p in g.ports}
    # 36 + 36 cables of 400 Gb/s, two a port of 800 Gb/s
    assert (ports["leaf", "network"].n_used, ports["leaf", "network"].n_ports) == (64 * 36, 64 * 64)
    assert (ports["spine", "network"].n_used, ports["spine", "network"].most_used) == (18 * 64, 64)
    assert (ports["nic", "network"].n_used, ports["nic", "network"].n_ports) == (1152, 1152)
    assert ports["dpu", "network"].n_used == 0
    for group in summary.groups:
        for port in group.ports:
            assert port.n_used <= port.n_ports == group.n_devices * port.per_device


def test_tiers_of_the_published_fabrics():
    (leaf, spine) = summarize(load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")).tiers
    assert (leaf.name, leaf.down_gbps, leaf.ratio) == ("leaf", 2304 * 400, 1)
    assert (spine.name, spine.up_gbps, spine.ratio) == ("spine", 0, None)
    (leaf, _) = summarize(load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml")).tiers
    assert (leaf.down_gbps, leaf.up_gbps) == ((1016 + 4) * 400, 1024 * 400)
    assert summarize(load(TOPOLOGIES / "gb300-nvl72.fabric.yaml")).tiers == ()


def test_no_endpoint_means_no_capacity_per_endpoint(small_text):
    summary = summarize(
        loads(small_text.replace("transit: relay}", "endpoint: false, transit: pass}") + "islands: 0\n")
    )
    assert summary.n_endpoints == 0
    assert {one.per_endpoint_gbps for one in summary.links} == {0.0}


def test_failures_are_named_and_not_deducted(small, small_text):
    summary = summarize(loads(small_text + "failed: [rack0/slot0/gpu, [leaf0, spine, 2]]"))
    assert summary.failed == ("rack0/slot0/gpu", "leaf0 - spine x 2")
    assert summary.links == summarize(small).links


def test_a_graph_has_no_summary(small):
    with pytest.raises(QuestionError, match="a summary needs axes"):
        summarize(from_networkx(to_networkx(small)))


def test_ways_of_the_1152_gpu_cluster():
    assert ways(summarize(load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml"))) == {
        "gpu-nvswitch": "step",
        "gpu-grace": "detour",
        "gpu-nic": "step",
        "grace-nic": "detour",
        "grace-dpu": "none",
        "nic-leaf": "step",
        "leaf-spine": "step",
    }


def test_what_hangs_off_the_way_carries_nothing(small):
    roles = ways(summarize(small))
    assert [name for name, way in roles.items() if way == "none"] == ["gpu-cpu", "admin-leaf"]


def test_a_way_ends_where_nothing_turns(small):
    summary = summarize(small)
    groups = tuple(replace(g, transit="pass") if g.name == "spine" else g for g in summary.groups)
    roles = ways(replace(summary, groups=groups))
    assert (roles["nic-leaf"], roles["leaf-spine"]) == ("step", "none")


def test_kinds_at_different_depths_under_one_switch_each_have_their_own_shortest_way():
    text = """{fabric: two, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, nic: {kind: nic, axes: [i]},
      lpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, links: [
      {between: [lpu, leaf], rate: 100Gb/s}, {between: [gpu, nic], rate: 400Gb/s, net: host},
      {between: [nic, leaf], rate: 400Gb/s}]}"""
    assert ways(summarize(loads(text))) == {"gpu-nic": "step", "lpu-leaf": "step", "nic-leaf": "step"}
    roles = ways(summarize(load(TOPOLOGIES / "systems" / "seven-chips.fabric.yaml")))
    assert (roles["vr.nic-back"], roles["vr.vera-nic"], roles["lpx.fpga-back"]) == ("step",) * 3


def test_a_cable_between_two_kinds_is_a_way():
    text = """{fabric: two, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, lpu: {kind: gpu, axes: [i]}},
      islands: 4, links: [{between: [gpu, lpu], rate: 100Gb/s}]}"""
    summary = summarize(loads(text))
    assert ways(summary) == {"gpu-lpu": "step"}
    assert [x.name for x in by_nobody(summary).links] == ["gpu-lpu"]


ALIKE = """{fabric: a, axes: {i: 5, j: 3, k: 2}, devices: {chip: {kind: gpu, axes: [i, j, k], transit: all}},
  links: [{between: [chip, chip], ring: i, rate: 100Gb/s, count: 2, name: ring},
  {between: [chip, chip], line: j, rate: 10Gb/s, name: line},
  {between: [chip, chip], ring: k, rate: 1Gb/s, oneway: true, name: oneway}]}"""


def test_of_a_rule_between_two_alike_each_device_has_all_its_cables():
    fabric = loads(ALIKE)
    expanded, summary = expand(fabric), summarize(fabric)
    names = [rule.name for rule in expanded.rules]
    for one in summary.links:
        own = expanded.rule == names.index(one.name)
        sent = np.bincount(expanded.tail[own], expanded.count[own], minlength=30)
        if one.name != "oneway":
            sent += np.bincount(expanded.head[own], expanded.count[own], minlength=30)
        assert one.per_endpoint_gbps == pytest.approx(one.rate_gbps * sent.mean())
    assert {x.name: x.per_endpoint_gbps for x in summary.links} == pytest.approx(
        {"ring": 400, "line": 10 * 4 / 3, "oneway": 1}
    )


@pytest.mark.parametrize(
    ("words", "relation"),
    [
        ("mesh: i", "mesh i"),
        ("line: i", "line i"),
        ("ring: i, twist: {j: 2, k: 1}", "ring i, twist j+2, k+1"),
        (
            "wiring: {pattern: jellyfish, along: [i, j], degree: 4, seed: 1}",
            "jellyfish along i, j, degree 4, seed 1",
        ),
        ("wiring: {pattern: dragonfly, along: [i, j]}", "dragonfly along i, j"),
        ("wiring: {pattern: pairs, along: i, pairs: [[0, 2], [1, 3]]}", "pairs along i"),
    ],
)
def test_relations_are_told(words, relation):
    text = "{fabric: a, axes: {i: 5, j: 4, k: 2}, devices: {chip: {kind: gpu, axes: [i, j, k], transit: all},"
    text += " leaf: {kind: switch, axes: []}}, links: [{between: [chip, leaf], rate: 1Gb/s},"
    links = summarize(loads(text + f" {{between: [chip, chip], {words}, rate: 1Gb/s}}]}}")).links
    assert {one.name: one.relation for one in links} == {"chip-chip": relation, "chip-leaf": ""}


def test_a_rule_on_shared_axes_alone_has_no_relation(small):
    assert {one.relation for one in summarize(small).links} == {""}


def test_peers_are_on_the_way():
    text = "{fabric: m, axes: {i: 3}, links: [{between: [chip, chip], mesh: i, rate: 100Gb/s, name: mesh}],"
    summary = summarize(loads(text + " devices: {chip: {kind: gpu, axes: [i], transit: all}}}"))
    assert ways(summary) == {"mesh": "step"}
