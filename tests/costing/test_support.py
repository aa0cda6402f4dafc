"""What a prediction says of itself: interval, nearest point, and where it leaves the evidence."""

import dataclasses
import itertools
import math

import pytest

from fabric.costing import calibration, cost, sweep
from fabric.evidence import fabric_text, points
from fabric.evidence.residuals import residual_class, residuals
from fabric.graph import Fabric, loads
from fabric.units import gbps_to_gbytes

RACKS = next(p for p in points() if p.domains == 20)


def cluster(template: str, n: int, rate: str = "400Gb/s") -> Fabric:
    text = f"fabric: x\ninclude: {{fabric: {template}, over: {{domain: {n}}}}}\n"
    text += "devices: {network: {kind: switch, axes: []}}\n"
    return loads(text + f"links: [{{between: [nic, network], rate: {rate}}}]")


def test_twenty_racks_are_measured_and_run_a_ring() -> None:
    answer = cost(loads(fabric_text(RACKS)), "all-reduce", "1GiB", calibration="measured", is_bounded=False)
    assert answer.support is not None
    assert answer.support.standing == "measured"
    assert answer.support.leaves == ()
    assert "20 racks" in answer.support.nearest
    assert answer.support.low_gbps < answer.busbw_gbps * 1.25
    assert answer.support.pass_gbps is not None
    # The measured run itself passes: 218.9 GB/s.
    assert answer.support.pass_gbps < 218.9 * 8
    assert answer.chosen.algorithm == "ring"
    others = {a.algorithm: a for a in answer.algorithms}
    assert not others["nvls-tree"].is_seen
    assert others["nvls-tree"].time_s < answer.time_s
    first = str(answer).split("\n")[1]
    assert first.startswith("  expected: ")
    assert "by ring (LL128)" in first
    assert "  nvls-tree ?" in str(answer)
    assert "? a hypothesis" in str(answer)


@pytest.mark.parametrize(
    ("fabric", "size", "leaves"),
    [
        (cluster("hgx-b300", 32, "800Gb/s"), "1GiB", ("domains",)),
        (cluster("gb200-nvl72", 40), "1GiB", ("domains",)),
        (cluster("hgx-h100", 2), "1TiB", ("size",)),
        (loads("fabric: x\ninclude: vr-nvl72"), "1GiB", ("hardware",)),
    ],
    ids=["B300", "40 racks", "1 TiB", "Rubin"],
)
def test_outside_the_evidence_there_is_no_pass_threshold(fabric, size, leaves) -> None:
    answer = cost(fabric, "all-reduce", size, calibration="measured", is_bounded=False)
    assert answer.support is not None
    assert answer.support.standing == "extrapolated"
    assert set(leaves) <= set(answer.support.leaves)
    assert answer.support.pass_gbps is None
    assert answer.support.low_gbps <= answer.support.high_gbps
    assert answer.support.high_gbps > 0
    assert "no pass threshold: extrapolated" in str(answer)


def test_between_measured_points_it_is_interpolated() -> None:
    answer = cost(cluster("hgx-h100", 6), "all-reduce", "1GiB", calibration="measured", is_bounded=False)
    assert answer.support is not None
    assert answer.support.standing == "interpolated"
    assert answer.to_dict()["support"]["standing"] == "interpolated"


def test_wire_rates_predict_nothing() -> None:
    answer = cost(cluster("hgx-h100", 2), "all-reduce", "1GiB", is_bounded=False, calibration="wire")
    assert answer.support is None
    table = sweep(cluster("hgx-h100", 2), "all-reduce", "1GiB..4GiB", calibration="wire")
    assert table.pass_gbps == (None, None, None)
    assert (
        sweep(cluster("hgx-h100", 2), "all-reduce", "1GiB", threshold=0.5, calibration="wire").pass_gbps[0]
        is not None
    )


def test_nccl_and_what_was_never_measured() -> None:
    answer = cost(cluster("hgx-h100", 2), "broadcast", "1GiB", calibration="measured", is_bounded=False)
    assert answer.support is not None
    assert answer.support.leaves == ("collective",)
    assert answer.support.nearest == ""
    by_nccl = cost(cluster("hgx-h100", 2), "all-reduce", "1GiB", calibration="nccl")
    assert by_nccl.support is not None
    assert by_nccl.support.standing == "measured"
    assert 0 < by_nccl.support.low_gbps < by_nccl.support.high_gbps
    assert by_nccl.support.residuals.startswith("all-reduce")
    # A calibration that nobody held against runs has no interval, and says so.
    plain = dataclasses.replace(calibration("measured"), name="mine", residuals=())
    by_hand = cost(cluster("hgx-h100", 2), "all-reduce", "1GiB", calibration=plain, is_bounded=False)
    assert by_hand.support is not None
    assert (by_hand.support.high_gbps, by_hand.support.pass_gbps) == (0, None)
    assert "no measured runs are held against" in str(by_hand)


def test_outside_the_evidence_the_interval_is_no_narrower() -> None:
    known = residuals("measured")
    for size in (1 << 12, 1 << 20, 1 << 30):
        for domains in (1, 4, 20):
            for collective in ("all-reduce", "all-to-all", "broadcast"):
                asked = (known, collective, "ring", size, domains)
                inside, outside = (residual_class(*asked, is_outside=at) for at in (False, True))
                assert inside is not None
                assert outside is not None
                assert outside.low <= inside.low < inside.high <= outside.high


def test_in_place_nobody_copies_his_own_part() -> None:
    box = loads("fabric: x\ninclude: hgx-h100")
    asked = {"among": "gpu0-1", "calibration": "measured", "is_bounded": False}
    out, within = (cost(box, "all-gather", "512MiB", in_place=at, **asked) for at in (False, True))
    # Half of 512 MiB, at the rate that the evidence has for it.
    own = calibration("measured").gpus["nvlink4"]["copy"].own_gbps
    assert 700 < gbps_to_gbytes(own) < 1300
    assert out.time_s - within.time_s == pytest.approx((256 << 20) / gbps_to_gbytes(own) / 1e9, rel=1e-6)
    assert out.chosen.own_s == pytest.approx(out.time_s - within.time_s)
    assert within.chosen.own_s == 0
    plain = {**asked, "calibration": "wire"}
    assert cost(box, "all-gather", "512MiB", **plain).chosen.own_s == 0


@pytest.mark.parametrize("algorithm", sorted(calibration("measured").seen))
def test_an_algorithm_is_doubted_only_beyond_all_that_was_seen(algorithm: str) -> None:
    known = calibration("measured")
    seen = known.seen[algorithm]
    large, late, beyond = seen.domain_ranks + 1, seen.size_bytes, seen.domains + 1
    assert known.doubt(algorithm, (large,) * seen.domains, late) == 1
    assert known.doubt(algorithm, (large,) * beyond, late) == (seen.doubt or math.inf) > 1
    # Smaller domains and smaller messages are not meant.
    assert known.doubt(algorithm, (seen.domain_ranks,) * beyond, late) == 1
    assert known.doubt(algorithm, (large,) * beyond, late - 1) == 1
    assert known.doubt("ring", (large,) * beyond, late) == 1


def test_the_doubt_of_a_tree_is_the_least_that_makes_the_ring_of_twenty_racks_right() -> None:
    known = calibration("measured")
    runs = [p for p in points() if p.domains == 20]
    asked = {"algorithm": "tree", "calibration": known, "is_bounded": False}
    trees = [cost(loads(fabric_text(p)), "all-reduce", p.size_bytes, **asked).chosen for p in runs]
    assert {tree.doubt for tree in trees} == {known.seen["tree"].doubt}
    # Of every size what the tree's bytes would have to take for its time to be that of the run.
    doubts = [1 + (p.time_s - t.time_s) / t.transfer_s for p, t in zip(runs, trees, strict=True)]
    assert max(doubts) == pytest.approx(1, rel=1e-3)


def test_the_interval_does_not_jump_where_the_expected_algorithm_does() -> None:
    """Beyond the evidence a library may choose what none was seen to: the interval reaches up to that."""
    ring, tree = (
        cost(
            cluster("gb300-nvl72", racks, "800Gb/s"),
            "all-reduce",
            "1GiB",
            calibration="measured",
            is_bounded=False,
        )
        for racks in (32, 256)
    )
    assert (ring.chosen.algorithm, tree.chosen.algorithm) == ("ring", "tree")
    assert ring.support is not None
    assert tree.support is not None
    fastest = max(a.hoped_gbps for a in ring.algorithms)
    assert ring.support.high_gbps >= fastest > ring.busbw_gbps
    assert ring.support.low_gbps < tree.busbw_gbps <= tree.support.high_gbps
    assert tree.support.low_gbps < ring.busbw_gbps <= ring.support.high_gbps
    assert "if a library chooses it" in ring.support.residuals
    assert "if a library stays with it" in tree.support.residuals
    assert tree.support.leaves[0] == "algorithm"
    assert "by links and channels" in str(tree)


@pytest.mark.parametrize("size", [1 << 26, 1 << 30, 1 << 34])
def test_what_is_expected_of_more_racks_falls_without_a_jump(size: int) -> None:
    """It rose from 123 to 424 GB/s at 1 GiB between 64 and 128 racks, where a tree was four times faster."""
    racks = [20, 32, 40, 48, 64, 128, 512]
    answers = [
        cost(cluster("gb200-nvl72", n), "all-reduce", size, calibration="measured", is_bounded=False)
        for n in racks
    ]
    rates = [a.busbw_gbps for a in answers]
    # Steps of a tree are a whole number of doublings: racks between two powers of two differ by rounding.
    assert all(b < 1.005 * a for a, b in itertools.pairwise(rates))
    for fewer, more, before, after in zip(racks, racks[1:], rates, rates[1:], strict=False):
        assert after > before * (fewer / more) ** 1.1
