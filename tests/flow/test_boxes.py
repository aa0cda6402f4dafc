"""Boxes of several chips: ideal flow does not see them, a chip that fails takes its share of every port."""

from dataclasses import replace

import pytest

from fabric import Fabric, cost, fail, loads, max_flow, open_boxes, throughput
from fabric.graph import expand
from fabric.parts import find_part

# A leaf of 144 x 800G: 72 down, 72 up.
PAIR = """
fabric: pair
axes: {leaf: 2, slot: 72, spine: 72}
devices:
  nic: {part: cx8, axes: [leaf, slot], endpoint: true}
  leaf: {part: q3400, axes: [leaf]}
  spine: {part: q3400, axes: [spine]}
links:
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 72]}
  - {between: [leaf, spine], rate: 800Gb/s, each: [72, 2]}
"""
SINGLE = """
fabric: single
axes: {slot: 144}
devices:
  nic: {part: cx8, axes: [slot], endpoint: true}
  leaf: {part: q3400, axes: []}
links:
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 144]}
"""
SEEDS = [("clos", 0), ("clos", 1), ("clos", 7), ("ring x mesh", 3), ("selectors as sides", 2)]


def boxed(fabric):
    """Return a fabric whose switches are all boxes of four chips."""
    part = find_part("q3400")
    b = fabric.blueprint
    groups = {n: replace(g, part=part) if g.kind == "switch" else g for n, g in b.groups.items()}
    return Fabric(fabric.name, replace(b, groups=groups))


def test_one_chip_of_four_is_a_quarter_of_every_nic():
    # Each of the 144 NICs has lost one of its four lanes of 200 Gb/s.
    single = loads(SINGLE)
    assert throughput(single).per_endpoint_gbps == pytest.approx(800, rel=1e-9)
    assert throughput(fail(single, "asic2/leaf")).per_endpoint_gbps == pytest.approx(600, rel=1e-9)
    assert throughput(fail(single, "asic0-2/leaf")).per_endpoint_gbps == pytest.approx(200, rel=1e-9)


def test_a_chip_takes_its_plane_with_it_a_box_takes_all():
    pair = loads(PAIR)
    far = max_flow(pair, "leaf0", "leaf1").value_gbps
    assert far == 72 * 800
    assert max_flow(fail(pair, "asic1/leaf0"), "leaf0", "leaf1").value_gbps == far * 3 / 4
    # Chip 1 of one leaf and chip 2 of the other: two planes are left.
    both = fail(pair, "asic1/leaf0", "asic2/leaf1")
    assert max_flow(both, "leaf0", "leaf1").value_gbps == far / 2
    # One chip of one spine is 1/4 of the cables to one of 72 spines.
    one = max_flow(fail(pair, "asic1/spine5"), "leaf0", "leaf1").value_gbps
    assert one == pytest.approx(far * (1 - 1 / 288), rel=1e-12)
    assert max_flow(fail(open_boxes(pair), "leaf0"), "leaf0", "leaf1").value_gbps == 0


def test_a_closed_box_would_mend_what_planes_cannot():
    # All lanes of plane 1 down at one end and of plane 2 at the other: a box that moved traffic between its
    # chips would lose a quarter, four planes lose half.
    opened = open_boxes(loads(PAIR))
    both = fail(opened, "nic - asic1/leaf0", "nic - asic2/leaf1")
    assert max_flow(both, "leaf0/nic", "leaf1/nic").value_gbps == 72 * 400
    assert max_flow(fail(opened, "nic - asic1/leaf0"), "leaf0/nic", "leaf1/nic").value_gbps == 72 * 600


@pytest.mark.some(1)
@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_ideal_flow_is_the_same_open_and_closed(constructs, name, seed):
    fabric, paths = constructs.random_fabric(name, seed)
    closed = boxed(fabric)
    opened = open_boxes(closed)
    assert expand(opened).n_devices > expand(closed).n_devices
    e = expand(closed)
    up = [str(e.names[v]) for v in range(e.n_devices) if e.is_endpoint[v] and not e.failed[v]]
    for solve in (
        lambda f: max_flow(f, up[0], up[-1], paths=paths).value_gbps,
        lambda f: throughput(f, paths=paths, drop_unreachable=True).per_endpoint_gbps,
    ):
        assert solve(opened) == pytest.approx(solve(closed), rel=1e-9)


@pytest.mark.some(1)
@pytest.mark.parametrize("routing", ["ecmp", "ideal", "adaptive", "rail"])
@pytest.mark.parametrize("collective", ["all-reduce", "all-to-all"])
def test_an_equal_split_is_the_same_open_and_closed(routing, collective):
    closed = loads(
        PAIR.replace("slot: 72, spine: 72", "slot: 6, spine: 3")
        .replace("72", "6")
        .replace("each: [6, 2]", "count: 2, each: [6, 4]")
    )
    asked = {"routing": routing, "algorithm": "all", "is_bounded": False}
    one, other = (
        cost(f, collective, "1GB", **asked, calibration="wire") for f in (closed, open_boxes(closed))
    )
    assert [a.algorithm for a in other.algorithms] == [a.algorithm for a in one.algorithms]
    for a, b in zip(one.algorithms, other.algorithms, strict=True):
        assert b.time_s == pytest.approx(a.time_s, rel=1e-9)
        assert b.binding == a.binding


def test_switches_that_reduce_do_so_chip_by_chip():
    closed = loads(PAIR.replace("72", "4"))
    asked = {"algorithm": "all", "reduces": ("scale-up", "scale-out"), "is_bounded": False}
    one, other = (
        cost(f, "all-reduce", "1GB", **asked, calibration="wire") for f in (closed, open_boxes(closed))
    )
    times = [{a.algorithm: a.time_s for a in c.algorithms} for c in (one, other)]
    assert "collnet-direct" in times[0]
    assert times[1] == pytest.approx(times[0], rel=1e-9)
