"""Hashed flows go through one chip of a box: worked out by hand, and drawn."""

from itertools import product

import numpy as np
import pytest

from fabric import Spread, cost, expand, loads, open_boxes
from fabric.routing import Demands, router, slowest_flow
from fabric.routing.hops import hops

# Two devices with a port of 800 Gb/s each on one box: four lanes of 200 Gb/s each.
TWO = """
fabric: two
axes: {slot: 2}
devices:
  gpu: {kind: gpu, axes: [slot]}
  leaf: {part: q3400, axes: []}
links:
  - {between: [gpu, leaf], rate: 800Gb/s}
"""
PAIR = """
fabric: pair
axes: {leaf: 2, slot: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [leaf, slot]}
  leaf: {part: q3400, axes: [leaf]}
  spine: {part: q3400, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 800Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2}
"""


def slowdown_by_hand(n_flows, n_lanes, n_devices):
    """Return the mean of the fullest lane of some devices, in even shares, over all draws."""
    most = [max(np.bincount(draw)) for draw in product(range(n_lanes), repeat=n_flows)]
    fullest = [max(some) for some in product(most, repeat=n_devices)]
    return np.mean(fullest) / (n_flows / n_lanes)


def test_the_hand_itself():
    # One flow has one lane of four. Two meet in a quarter of all draws: 2 x 3/4 + 4 x 1/4.
    assert slowdown_by_hand(1, 4, 1) == 4
    assert slowdown_by_hand(2, 4, 1) == 2.5
    # Two devices: neither collides in 9/16 of all draws.
    assert slowdown_by_hand(2, 4, 2) == pytest.approx(2 * 9 / 16 + 4 * 7 / 16)


@pytest.mark.some(1)
@pytest.mark.parametrize("n_queue_pairs", [1, 2, 3])
@pytest.mark.parametrize("method", ["axes", "links"])
def test_flows_of_a_ring_are_hashed_onto_chips(n_queue_pairs, method):
    fabric = loads(TWO)
    asked = {"algorithm": "ring", "method": method, "spread": Spread(n_queue_pairs)}
    even = cost(fabric, "all-gather", "1GB", **asked, calibration="wire")
    hashed = cost(fabric, "all-gather", "1GB", routing="hashed", **asked, calibration="wire")
    by_hand = slowdown_by_hand(n_queue_pairs, 4, 2)
    assert hashed.time_s / even.time_s == pytest.approx(by_hand, rel=1e-9)
    assert hashed.notes == (
        "a flow goes through one chip of each box, with its share of every port: leaf (4 ASICs)",
    )
    assert even.notes == ()
    again = cost(open_boxes(fabric), "all-gather", "1GB", routing="hashed", **asked, calibration="wire")
    assert (again.time_s, again.notes) == (hashed.time_s, hashed.notes)


def test_boxes_of_one_chip_do_not_choose():
    plain = loads(TWO.replace("{part: q3400,", "{kind: switch,"))
    asked = {"algorithm": "ring", "is_bounded": False}
    times = {
        cost(plain, "all-gather", "1GB", routing=r, **asked, calibration="wire").time_s
        for r in ("ecmp", "hashed")
    }
    assert len(times) == 1


def test_drawn_flows_are_as_slow_as_by_hand():
    e = expand(open_boxes(loads(TWO)))
    across = Demands(np.array([0]), np.array([1]), np.ones(1))
    for n_queue_pairs in (1, 2, 4):
        found = slowest_flow(
            router(e, e.is_endpoint), across, seed=3, n_trials=4_000, n_queue_pairs=n_queue_pairs
        )
        by_hand = slowdown_by_hand(n_queue_pairs, 4, 1)
        assert found.closed_form.slowdown == pytest.approx(by_hand, rel=1e-9)
        assert found.drawn.slowdown == pytest.approx(by_hand, rel=0.02)


def test_a_flow_stays_among_its_chips():
    e = expand(open_boxes(loads(PAIR)))
    source, target = np.arange(4), np.arange(4, 8)
    chips = {}
    route = router(e, e.is_endpoint)
    for hop in hops(route, Demands(source, target, np.ones(4)), seed=5, n_queue_pairs=8):
        for flow, link in zip(hop.flow.tolist(), (hop.link // 2).tolist(), strict=True):
            ends = (int(e.tail[link]), int(e.head[link]))
            chips.setdefault(flow, set()).update(
                c for c in e.coordinates["asic"][list(ends)].tolist() if c >= 0
            )
    assert len(chips) == 32
    assert {len(own) for own in chips.values()} == {1}
    assert set.union(*chips.values()) == {0, 1, 2, 3}


@pytest.mark.some(1)
@pytest.mark.parametrize("routing", ["ecmp", "adaptive", "ideal"])
def test_other_routing_spreads_over_chips(routing):
    one, other = (
        cost(f, "all-to-all", "1GB", routing=routing, calibration="wire")
        for f in (loads(PAIR), open_boxes(loads(PAIR)))
    )
    assert other.time_s == pytest.approx(one.time_s, rel=1e-9)
    assert not any("chip" in note for note in one.notes)
