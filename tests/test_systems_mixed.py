"""Clusters of unlike chips: all seven chips of a generation, a whole POD, and islands on one Ethernet.

Their links are in test_systems_links.py.
"""

import functools
from math import floor

import numpy as np
import pytest

from fabric.bounds.bound import bound
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import loads
from tests.shipped_systems import SYSTEMS, links, read


def text(name):
    return (SYSTEMS / f"{name}.fabric.yaml").read_text()


@functools.cache
def without(name, failed):
    """Return a system some devices of which failed."""
    return loads(text(name) + f"failed: [{failed}]\n")


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def cut(n, near, gbps):
    """Rate of each of n endpoints in all-to-all where `near` of them have `gbps` towards all others."""
    return gbps * (n - 1) / (near * (n - near))


def capacity(e, *rules):
    """Return the sum of the cables of some rules times their rates, in one direction [Gb/s]."""
    rows = np.isin(e.rule, [i for i, r in enumerate(e.rules) if r.name in rules])
    return float((e.count * e.rate_gbps)[rows].sum())


# --- all seven chips ---------------------------------------------------------------------------------------


def test_seven_chips_are_all_there():
    e = links("seven-chips")
    parts = {g.part for g in e.groups}
    assert parts >= {"vera", "rubin_vr200", "nvlink6_switch", "cx9", "bf4", "groq3_lpu"}
    assert parts >= {"sn6600", "sn6810", "sn6800"}


@pytest.mark.slow
def test_flows_of_the_seven_chips():
    fabric, back_only = read("seven-chips"), without("seven-chips", "vr-front")
    # A rack has 144 cards on the back-end and 18 on the front-end.
    assert max_flow(fabric, "vrack0/vr.gpu", "vrack1/vr.gpu").value_gbps == pytest.approx((144 + 18) * 800)
    assert max_flow(back_only, "vrack0/vr.gpu", "vrack1/vr.gpu").value_gbps == pytest.approx(144 * 800)
    assert throughput(back_only, among="vr.gpu").per_endpoint_gbps == pytest.approx(cut(288, 72, 144 * 800))
    # 32 FPGAs a rack of LPUs; LPUs of the next rack pass on as much as the chain takes.
    assert max_flow(fabric, "vrack0/vr.gpu", "lpx.lpu").value_gbps == pytest.approx(4 * 32 * 800)
    assert max_flow(fabric, "vrack0/vr.gpu", "lrack0/lpx.lpu").value_gbps == pytest.approx(
        32 * 800 + 256 * 2 * 100
    )


def test_all_gather_of_the_seven_chips():
    # The GPU with least has the NVLinks and the four cards of its Vera; module 0 has a DPU too.
    inward = 14_400 + 4 * 800
    for fabric in (read("seven-chips"), without("seven-chips", "vr-front")):
        found = bound(fabric, "all-gather", among="vr.gpu")
        assert found.n_ranks == 288
        assert found.algbw_gbps == pytest.approx(inward * 288 / 287, rel=1e-9)


# --- a whole POD -------------------------------------------------------------------------------------------


def test_pod_has_the_published_chips():
    """NVIDIA: 1,152 GPUs, 256 CPUs a Vera rack, 10 PB/s of scale-up: both ways, at 112 Gb/s on LPU links.

    The 10 is without its fraction: 16 racks of 260 TB/s and 10 of 640 TB/s, as NVIDIA prints them, are 10.56.
    """
    e = links("vera-rubin-pod")
    n = {g.name: len(members(e, g.name)) for g in e.groups}
    assert (n["vr.gpu"], n["lpx.lpu"], n["cpu"]) == (1152, 10 * 256, 2 * 256)
    assert n["vr.vera"] == 16 * 36
    lpx = 2 * capacity(e, "lpx.in-a-tray", "lpx.across-trays") * 1.12  # a link has an LPU at both ends
    scale_up = 2 * (capacity(e, "vr.gpu-nvswitch") + lpx) / 8e6
    assert scale_up == pytest.approx((16 * 260 + 10 * 640) / 1e3, rel=0.005)
    assert floor(scale_up) == 10
    assert capacity(e, "vr.nic-leaf") == 2 * 1152 * 800


FIRST, LAST = "vblock0/vhalf0/vrack0/vr.gpu", "vblock1/vhalf1/vrack3/vr.gpu"


def test_flows_of_a_pod():
    fabric, back_only = read("vera-rubin-pod"), without("vera-rubin-pod", "vr-front")
    # A rack has 144 cards on the back-end and 18 on the front-end.
    assert max_flow(fabric, FIRST, LAST).value_gbps == pytest.approx((144 + 18) * 800)
    assert max_flow(back_only, FIRST, LAST).value_gbps == pytest.approx(144 * 800)
    # All FPGAs of the LPX racks; one rack has its own and its only neighbour in the chain.
    assert max_flow(fabric, "vr.gpu", "lpx.lpu").value_gbps == pytest.approx(10 * 32 * 800)
    assert max_flow(fabric, FIRST, "lpx.lpu").value_gbps == pytest.approx(144 * 800)
    one = max_flow(fabric, "vr.gpu", "chain0/lrack0/lpx.lpu")
    assert one.value_gbps == pytest.approx(32 * 800 + 256 * 2 * 100)
    # What leaves the rack is full; so are the cables of its FPGAs on either side: a cut takes one of these.
    assert sum(c.capacity_gbps for c in one.cut) == pytest.approx(one.value_gbps)
    links = {c.link for c in one.cut}
    assert "across-racks" in links <= {"lpx.fpga-lpx-leaf", "across-racks", "lpx.lpu-fpga"}


def test_collectives_of_a_pod():
    back_only = without("vera-rubin-pod", "vr-front")
    found = throughput(back_only, among="vr.gpu")
    assert found.per_endpoint_gbps == pytest.approx(cut(1152, 72, 144 * 800), rel=1e-9)
    assert found.status == "optimal"
    # A GPU takes in what the four cards of its Vera do.
    inward = 14_400 + 4 * 800
    assert bound(back_only, "all-gather", among="vr.gpu").algbw_gbps == pytest.approx(inward * 1152 / 1151)


# --- islands -----------------------------------------------------------------------------------------------


NV, LPX, TRN = "nv.gpu", "lpx.lpu", "trn.chip"


def test_links_of_islands():
    e = links("mixed-islands")
    assert capacity(e, "nv.nic-nv-leaf") == 144 * 800
    assert capacity(e, "lpx.fpga-lpx-leaf") == 32 * 800
    assert capacity(e, "trn.nic-trn-leaf") == 128 * 200


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("among", "rate", "inward"),
    [
        # Rack against rack; a tray of LPUs, whose FPGAs help, against the others; server against server.
        # A chip takes in what it has there, and what cards within reach add.
        (NV, cut(144, 72, 48 * 800), 7200 + 800 + 504),
        (LPX, 31 * 100 * 255 / 240, 91 * 100),
        (TRN, cut(128, 64, 64 * 200), 5120 + 200),
    ],
)
def test_collectives_in_an_island(among, rate, inward):
    fabric = read("mixed-islands")
    found = throughput(fabric, among=among)
    assert found.per_endpoint_gbps == pytest.approx(rate, rel=1e-9)
    n = found.n_endpoints
    assert bound(fabric, "all-gather", among=among).algbw_gbps == pytest.approx(
        inward * n / (n - 1), rel=1e-9
    )


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("source", "target", "gbps", "binds"),
    [
        # Trainium: 128 cards of 200G; LPX: 24 uplinks for 32 FPGAs; NVL72: 48 uplinks a rack for 72 cards.
        (NV, TRN, 128 * 200, "trn.nic-trn-leaf"),
        (NV, LPX, 24 * 800, "lpx-leaf-spine"),
        (LPX, TRN, 24 * 800, "lpx-leaf-spine"),
        ("server0/trn.chip", NV, 64 * 200, "trn.nic-trn-leaf"),
        ("nvrack0/nv.gpu", "nvrack1/nv.gpu", 48 * 800, "nv-leaf-spine"),
        ("nvrack0/nv.gpu", [LPX, TRN], 48 * 800, "nv-leaf-spine"),
        (NV, [LPX, TRN], 24 * 800 + 128 * 200, "lpx-leaf-spine trn.nic-trn-leaf"),
    ],
)
def test_flow_between_islands(source, target, gbps, binds):
    fabric = read("mixed-islands")
    for ends in [(source, target), (target, source)]:
        found = max_flow(fabric, *ends)
        assert found.value_gbps == pytest.approx(gbps, rel=1e-12)
        assert {c.link for c in found.cut} == set(binds.split())


def test_narrow_uplinks_move_the_limit_between_islands():
    narrow = loads(text("mixed-islands").replace("count: 3, each: [24, 6]", "count: 1, each: [8, 2]"))
    found = max_flow(narrow, NV, TRN)
    assert found.value_gbps == pytest.approx(2 * 8 * 800, rel=1e-12)
    assert {c.link for c in found.cut} == {"trn-leaf-spine"}
