from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fabric import from_networkx, to_networkx
from fabric.errors import QuestionError
from fabric.graph import expand, load, loads
from fabric.reporting.summary import summarize
from fabric.reporting.ways import ways

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
    summary = summarize(loads(small_text.replace("transit: relay}", "endpoint: false, transit: pass}")))
    assert summary.n_endpoints == 0
    assert {one.per_endpoint_gbps for one in summary.links} == {0.0}


def test_failures_are_named_and_not_deducted(small, small_text):
    summary = summarize(loads(small_text + "failed: [rack0/slot0/gpu, [leaf0, spine, 2]]"))
    assert summary.failed == ("rack0/slot0/gpu", "leaf0 - spine x 2")
    assert summary.links == summarize(small).links


def test_a_graph_has_no_summary(small):
    with pytest.raises(QuestionError, match="no blueprint"):
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


def test_peers_are_on_the_way():
    text = "{fabric: m, axes: {i: 3}, links: [{between: [chip, chip], mesh: i, rate: 100Gb/s, name: mesh}],"
    summary = summarize(loads(text + " devices: {chip: {kind: gpu, axes: [i], transit: all}}}"))
    assert ways(summary) == {"mesh": "step"}
