"""Prices of cable classes: measured slopes agree with solving a changed file, and who starves is named."""

import pytest

from fabric.errors import QuestionError
from fabric.flow.bottleneck import bottleneck
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import loads

CLOS = """
{fabric: clos, axes: {pod: 2, rack: 3, slot: 4, k: 2}, devices: {gpu: {kind: gpu, axes: [pod, rack, slot]},
 leaf: {kind: switch, axes: [pod, rack]}, spine: {kind: switch, axes: [k]}},
 links: [{between: [gpu, leaf], rate: %sGb/s}, {between: [leaf, spine], rate: %sGb/s}], failed: [%s]}
"""


def rate(access, uplink, failed=""):
    return throughput(loads(CLOS % (access, uplink, failed))).per_endpoint_gbps


@pytest.mark.parametrize(("access", "uplink"), [(4, 2), (4, 20), (1.5, 4), (7, 3)])
def test_gain_and_loss_are_those_of_a_changed_file(access, uplink):
    found = bottleneck(loads(CLOS % (access, uplink, "")))
    base = rate(access, uplink)
    changed = {"gpu-leaf": (1, 0), "leaf-spine": (0, 1)}
    for price in found.binding:
        a, u = changed[price.link]
        wide = rate(access * (1 + 0.1 * a), uplink * (1 + 0.1 * u))
        thin = rate(access * (1 - 0.1 * a), uplink * (1 - 0.1 * u))
        assert price.gain == pytest.approx(wide / base - 1, abs=1e-7)
        assert price.loss == pytest.approx(1 - thin / base, abs=1e-7)
    assert sum(p.share for p in found.binding) == pytest.approx(1.0, abs=1e-6)
    assert found.throughput.per_endpoint_gbps == pytest.approx(base)


def test_classes_that_bind_jointly():
    # 20 of 23 others are in other racks: 4 GPUs send 4 * 20 / 23 through uplinks of 2 * 40 / 23.
    text = (CLOS % (1, 1, "")).replace("spine], rate: 1Gb/s", "spine], rate: 40Gb/s/23")
    found = bottleneck(loads(text))
    assert {p.link for p in found.binding} == {"gpu-leaf", "leaf-spine"}
    assert all(p.is_joint for p in found.binding)
    assert all(p.gain == pytest.approx(0.0, abs=1e-6) for p in found.binding)
    assert all(p.loss == pytest.approx(0.1, abs=1e-6) for p in found.binding)
    assert found.joint_gain == pytest.approx(0.1, abs=1e-6)
    assert "jointly" in str(found)


def test_the_next_bottleneck():
    found = bottleneck(loads(CLOS % (4, 2, "")))
    assert [p.link for p in found.binding] == ["leaf-spine"]
    assert found.next_binding == ("gpu-leaf",)
    assert found.next_gbps == pytest.approx(4.0, rel=1e-6)
    assert [p.link for p in found.slack] == ["gpu-leaf"]


def test_a_small_class_that_starves_all():
    found = bottleneck(loads(CLOS % (4, 2, "[pod0/leaf1, spine0]")))
    ((who, n, rest),) = found.starving
    assert (who, n) == ("pod0/rack1/gpu0", 4)
    assert found.throughput.per_endpoint_gbps < rest <= rate(4, 2) * 1.2
    assert "hold back the rest" in str(found)
    assert "pod0/leaf1 - spine1" in found.binding[0].where


def test_cut_off_endpoints_are_named():
    fabric = loads(CLOS % (4, 2, "pod0/leaf1"))
    with pytest.raises(QuestionError, match="4 endpoints such as pod0/rack1/gpu0 are cut off"):
        bottleneck(fabric)
    found = bottleneck(fabric, drop_unreachable=True)
    assert found.throughput.n_endpoints == 20


def test_a_shift_within_racks_does_not_use_the_spines():
    found = bottleneck(loads(CLOS % (4, 2, "")), Traffic("shift", ("slot",)))
    assert [p.link for p in found.binding] == ["gpu-leaf"]
    assert found.next_gbps == float("inf")
    assert found.to_dict()["next"] == {"per_endpoint_gbps": None, "binding": []}
