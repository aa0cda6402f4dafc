"""Adaptive routing follows what capacity is left; plain ECMP does not, and says so."""

from __future__ import annotations

from types import ModuleType

import pytest

from fabric.costing import Spread, cost
from fabric.graph import loads

# 8 leaves of 16 GPUs, 4 spines, some cables between each leaf and spine.
SHAPE = {"pods": 8, "nodes": 16, "spines": 4}
S = 2**30


def seconds(hand_made: ModuleType, uplinks: int, failed: str, routing: str, method: str = "axes") -> float:
    fabric = hand_made.leaf_spine(uplinks, extra=failed and f"failed: {failed}", **SHAPE)
    asked = {"algorithm": "pairwise", "routing": routing, "method": method, "is_bounded": False}
    return cost(fabric, "all-to-all", S, spread=Spread(spraying=1.0), **asked).time_s


@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize(
    ("uplinks", "failed"),
    [
        (4, ""),
        (4, "[[pod0/leaf, spine0, 1]]"),
        (4, "[[pod0/leaf, spine0, 1], [pod1/leaf, spine0, 1]]"),
        (4, "[spine0]"),
        (5, "[spine0]"),
        (5, "[[pod0/leaf, spine0]]"),
        (5, "[[pod0/leaf, spine0, 2], [pod1/leaf, spine1, 3]]"),
    ],
)
def test_adaptive_is_as_good_as_any_route(
    hand_made: ModuleType, uplinks: int, failed: str, method: str
) -> None:
    adaptive = seconds(hand_made, uplinks, failed, "adaptive", method)
    assert adaptive == pytest.approx(seconds(hand_made, uplinks, failed, "ideal"), rel=0.002)


def test_plain_ecmp_keeps_the_effect(hand_made: ModuleType) -> None:
    # Each of 128 sends 16/128 S to leaf 0 over a quarter of its uplinks: 112 x 16/128 S / 4 over 3 cables of
    # 50 GB/s. With what is left in mind it is 1/15 of that a cable, and 127/128 S over the own cable binds.
    failed = "[[pod0/leaf, spine0, 1]]"
    assert seconds(hand_made, 4, failed, "ecmp") == pytest.approx(112 * 16 / 128 / 4 / 3 * S / 50e9)
    assert seconds(hand_made, 4, failed, "adaptive") == pytest.approx(127 / 128 * S / 50e9)


def test_the_answer_says_so(hand_made: ModuleType) -> None:
    fabric = hand_made.leaf_spine(4, extra="failed: [[pod0/leaf, spine0, 1]]", **SHAPE)
    asked = {"algorithm": "pairwise", "is_bounded": False}
    (note,) = cost(fabric, "all-to-all", S, **asked).notes
    assert note.startswith("plain ECMP: 17.6 % slower than adaptive routing here")
    assert cost(fabric, "all-to-all", S, routing="adaptive", **asked).notes == ()
    whole = hand_made.leaf_spine(4, **SHAPE)
    assert cost(whole, "all-to-all", S, **asked).notes == ()


def test_unequal_stripes(hand_made: ModuleType) -> None:
    # Leaf 0 has 3 + 2 cables to two spines and leaf 1 has 2 + 3: two ways of two cables, and not 2/5 over 3.
    fabric = loads("""
fabric: stripes
axes: {leaf: 2, n: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [leaf, n]}
  leafswitch: {kind: switch, axes: [leaf]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leafswitch], rate: 800Gb/s}
  - {between: [leafswitch, spine], rate: 400Gb/s, count: 3}
failed: [[leaf0/leafswitch, spine1, 1], [leaf1/leafswitch, spine0, 1]]
""")
    asked = {"algorithm": "pairwise", "is_bounded": False, "spread": Spread(spraying=1.0)}
    # 4 x 4/8 S cross each way; over four cables of 50 GB/s with what is left in mind.
    adaptive = cost(fabric, "all-to-all", S, routing="adaptive", **asked)
    assert adaptive.time_s == pytest.approx(2 * S / 200e9)
    # Equal splits by cables put 3/5 of it on the two that come down from spine 0.
    assert cost(fabric, "all-to-all", S, **asked).time_s == pytest.approx(2 * 3 / 5 * S / 100e9)
