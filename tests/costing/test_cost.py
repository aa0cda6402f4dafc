"""What collectives cost: closed forms worked out here, answers and questions, and laws."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fabric import costing
from fabric.costing import AlgorithmCost, Cost, evaluate
from fabric.costing.calibration import calibration
from fabric.costing.evaluate import Overheads
from fabric.errors import LimitError, QuestionError, SelectorError, UnitError
from fabric.graph import Fabric, load, loads
from fabric.job import job
from fabric.schedule import COLLECTIVES, Pattern, Shape, phases, schedules

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
S = 1_000_000_000
HALVES = ("all-reduce", "all-gather", "reduce-scatter")
Make = Callable[..., Fabric]


@pytest.fixture(scope="module")
def rack() -> Fabric:
    """72 GPUs of 18 x 50 GB/s NVLink."""
    return load(TOPOLOGIES / "gb300-nvl72.fabric.yaml")


@pytest.fixture(scope="module")
def racks() -> Fabric:
    """16 such racks; every GPU has 2 x 50 GB/s into the network, without oversubscription."""
    return load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")


@pytest.fixture(scope="module")
def superpod() -> Fabric:
    """127 nodes of 8 H100: 450 GB/s of NVLink and 50 GB/s of NIC a GPU."""
    return load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml")


def named(answer: Cost, algorithm: str) -> AlgorithmCost:
    return next(a for a in answer.algorithms if a.algorithm == algorithm)


def all_costs(fabric: Fabric, **question: Any) -> dict[tuple[str, str], AlgorithmCost]:
    return {
        (collective, one.algorithm): one
        for collective in COLLECTIVES
        for one in cost(fabric, collective, S, algorithm="all", **question, calibration="wire").algorithms
    }


class TestClosedForms:
    def test_all_reduce_in_one_rack(self, rack: Fabric) -> None:
        # Every GPU sends (and receives) 71/72 of the buffer twice, at 900 GB/s.
        answer = cost(rack, "all-reduce", S, calibration="wire")
        assert answer.time_s == pytest.approx(2 * 71 / 72 * S / 900e9)
        assert answer.busbw_gbps / 8 == pytest.approx(900)
        assert answer.algbw_gbps / 8 == pytest.approx(900 * 72 / (2 * 71))
        assert answer.binding == "gpu-nvswitch"
        assert answer.n_domains == 1
        # Inside one switch fabric both forms are equal; ties keep the order in which algorithms are named.
        assert [a.algorithm for a in answer.algorithms][:2] == ["hierarchical", "ring"]
        assert answer.algorithms[1].time_s == pytest.approx(answer.time_s)

    def test_switches_that_reduce_halve_it(self, rack: Fabric) -> None:
        # NVLS: S + S / 72 up and down each at 900 GB/s. It is asked for by name; wire rates do not choose it.
        answer = cost(rack, "all-reduce", S, algorithm="nvls", calibration="wire")
        assert answer.time_s == pytest.approx((1 + 1 / 72) * S / 900e9)
        assert answer.busbw_gbps / 8 == pytest.approx(900 * 2 * 71 / 73)
        assert "nvls" not in [a.algorithm for a in cost(rack, "all-reduce", S, calibration="wire").algorithms]

    def test_all_reduce_of_96_h100(self, superpod: Fabric) -> None:
        answer = cost(superpod, "all-reduce", S, among="su0/node0-11", calibration="wire")
        n, k = 96, 12
        # Ring: the 8 rings of a node cross 8 NICs of 50 GB/s, each with 2 (n - 1) / n of S / 8.
        ring = named(answer, "ring")
        assert ring.time_s == pytest.approx(2 * (n - 1) / n * S / 400e9)
        assert ring.busbw_gbps / 8 == pytest.approx(400)
        # Hierarchical: only 2 (k - 1) / k of S leaves a node, so busbw is 400 * (n - 1) / n * k / (k - 1).
        assert answer.chosen.algorithm == "hierarchical"
        assert answer.time_s == pytest.approx(2 * (k - 1) / k * S / 400e9)
        assert answer.busbw_gbps / 8 == pytest.approx(400 * (95 / 96) * (12 / 11))
        assert answer.busbw_gbps / 8 == pytest.approx(431.8, abs=0.05)
        assert answer.binding == "nic-leaf"
        # NVLink carries 2 * 7/8 of S at 450 GB/s meanwhile.
        idle = dict(answer.chosen.slack)["gpu-nvswitch"]
        assert idle == pytest.approx(1 - (2 * 7 / 8 / 450) / (2 * 11 / 12 / 400))
        # The rails of one SU meet in its leaves.
        assert "leaf-spine" not in dict(answer.chosen.slack)

    def test_all_reduce_of_two_nodes_is_bound_by_nvlink(self, superpod: Fabric) -> None:
        answer = cost(
            superpod, "all-reduce", S, among="su0/node0-1", algorithm="hierarchical", calibration="wire"
        )
        assert answer.time_s == pytest.approx(2 * 7 / 8 * S / 450e9)
        assert answer.binding == "gpu-nvswitch"

    def test_all_to_all_of_1152_gpus(self, racks: Fabric) -> None:
        # A rank sends S / 1152 to each of the 1,080 outside its rack, at 100 GB/s.
        answer = cost(racks, "all-to-all", S, algorithm="pairwise", calibration="wire")
        assert answer.time_s == pytest.approx(1080 / 1152 * S / 100e9)
        assert answer.busbw_gbps / 8 == pytest.approx(100 * 1151 / 1080)
        assert answer.binding == "nic-leaf"
        assert answer.n_domains == 16
        assert answer.chosen.steps == 1151

    def test_all_reduce_of_1152_gpus(self, racks: Fabric) -> None:
        answer = cost(racks, "all-reduce", S, calibration="wire")
        assert answer.binding == "gpu-nvswitch"
        assert named(answer, "hierarchical").time_s == pytest.approx(2 * 71 / 72 * S / 900e9)
        # Each ring leaves a rack on one hop of 72, so NVLink carries 71/72 of 2 (n - 1) / n S.
        assert named(answer, "ring").time_s == pytest.approx(2 * 1151 / 1152 * 71 / 72 * S / 900e9)
        # 15/16 of what is left after the rack, S / 72 a GPU, crosses the NIC, both ways of the reduction.
        idle = dict(named(answer, "hierarchical").slack)["nic-leaf"]
        assert idle == pytest.approx(1 - (2 * 15 / 16 / 72 / 100) / (2 * 71 / 72 / 900))

    @pytest.mark.parametrize(
        ("among", "algbw"),
        [
            ("su0/node0", 514),  # 8/7 of 450: the node
            ("su0/node0-1", 514),  # two nodes: the node still binds
            ("su0", 413),  # 32/31 of 400: the leaves of one SU
        ],
    )
    def test_all_gather_of_the_scaling_book(self, superpod: Fabric, among: str, algbw: float) -> None:
        # Austin et al., "How to Scale Your Model" (2025), chapter on GPUs, worked answers; to 1 %.
        answer = cost(superpod, "all-gather", S, among=among, algorithm="hierarchical", calibration="wire")
        assert answer.algbw_gbps / 8 == pytest.approx(algbw, rel=0.01)
        scatter = cost(
            superpod, "reduce-scatter", S, among=among, algorithm="hierarchical", calibration="wire"
        )
        assert scatter.time_s == pytest.approx(answer.time_s)

    def test_a_small_all_gather_of_the_scaling_book(self, superpod: Fabric) -> None:
        # AllGather of bf16[1024, 16384] on 8 H100: 65 us exactly (same chapter).
        answer = cost(superpod, "all-gather", 2 * 1024 * 16384, among="su0/node0", calibration="wire")
        assert answer.time_s == pytest.approx(65e-6, rel=0.01)

    @pytest.mark.parametrize("m", [4, 8, 32])
    def test_all_to_all_of_the_scaling_book(self, superpod: Fabric, m: int) -> None:
        # B (M - 1) / (M^2 400e9) over M nodes, with B the bytes of all ranks together (same chapter).
        answer = cost(superpod, "all-to-all", S, among=f"su0/node0-{m - 1}", calibration="wire")
        everything = 8 * m * S
        assert answer.time_s == pytest.approx(everything * (m - 1) / (m**2 * 400e9))

    def test_all_to_all_in_one_node_of_the_scaling_book(self, superpod: Fabric) -> None:
        answer = cost(superpod, "all-to-all", S, among="su0/node0", calibration="wire")
        assert answer.time_s == pytest.approx(8 * S * 7 / (64 * 450e9))

    @pytest.mark.parametrize("n", [2, 3, 7, 13, 72])
    def test_a_star_is_the_alpha_beta_model(self, hand_made: ModuleType, n: int) -> None:
        # (n - 1) / n S over the one cable, twice for all-reduce; S round the ring, or up a tree and down.
        found = all_costs(hand_made.star(n))
        once = (n - 1) / n * S / 50e9
        for collective, name, time_s, steps in (
            ("all-reduce", "ring", 2 * once, 2 * (n - 1)),
            ("all-reduce", "hierarchical", 2 * once, 2 * (n - 1)),
            ("all-gather", "ring", once, n - 1),
            ("reduce-scatter", "hierarchical", once, n - 1),
            ("all-to-all", "pairwise", once, n - 1),
            ("scatter", "direct", once, n - 1),
            ("gather", "direct", once, n - 1),
            ("broadcast", "ring", S / 50e9, n - 1),
            ("reduce", "ring", S / 50e9, n - 1),
            ("send-recv", "direct", S / 50e9, 1),
            ("broadcast", "binomial", (n - 1).bit_length() * S / 50e9, (n - 1).bit_length()),
            ("all-gather", "bruck", once, (n - 1).bit_length()),
        ):
            one = found[collective, name]
            assert one.time_s == pytest.approx(time_s), (collective, name)
            assert one.steps == steps
            assert one.binding == "gpu-leaf"
            assert one.slack == ()

    def test_domains_of_one_member_leave_the_ring_over_rails(self, hand_made: ModuleType) -> None:
        answer = cost(hand_made.star(6), "all-reduce", S, calibration="wire")
        assert answer.n_domains == 6
        assert {"hierarchical", "ring"} <= {a.algorithm for a in answer.algorithms}
        (only,) = {p.pattern for p in phases(schedules("all-gather", Shape((1,) * 6), 1.0)["hierarchical"])}
        assert only == Pattern("ring", "rail")

    def test_an_oversubscribed_spine_binds(self, hand_made: ModuleType) -> None:
        # All-to-all: 12 of 16 parts leave the leaf; 4 GPUs share 2 uplinks of the same rate (2:1).
        answer = cost(hand_made.leaf_spine(1), "all-to-all", S, algorithm="pairwise", calibration="wire")
        assert answer.time_s == pytest.approx(4 * 12 / 16 * S / 2 / 50e9)
        assert answer.binding == "leaf-spine"
        assert answer.chosen.slack == (("gpu-leaf", pytest.approx(1 - (15 / 16) / 1.5)),)
        # With two cables to each spine it is 1:1, and the GPU's own cable binds.
        answer = cost(hand_made.leaf_spine(2), "all-to-all", S, algorithm="pairwise", calibration="wire")
        assert answer.time_s == pytest.approx(15 / 16 * S / 50e9)
        assert answer.binding == "gpu-leaf"

    def test_a_ring_in_rank_order_crosses_each_leaf_once(self, hand_made: ModuleType) -> None:
        # One of four GPUs sends on to the next leaf: half a byte on either of two uplinks for a byte a GPU.
        for method in ("axes", "links"):
            answer = cost(
                hand_made.leaf_spine(1), "all-reduce", S, algorithm="ring", method=method, calibration="wire"
            )
            assert answer.time_s == pytest.approx(2 * 15 / 16 * S / 50e9)
            assert dict(answer.chosen.slack)["leaf-spine"] == pytest.approx(0.5)

    def test_two_ranks_in_two_boxes(self, hand_made: ModuleType) -> None:
        # 100 GB/s inside a box, but the two are in different boxes: one NIC of 50 GB/s each.
        answer = cost(hand_made.boxes(2, 3), "all-reduce", S, among="slot1/gpu", calibration="wire")
        assert (answer.n_ranks, answer.n_domains) == (2, 2)
        assert answer.time_s == pytest.approx(S / 50e9)
        # gpu-nic has twice the rate.
        assert answer.binding == "nic-leaf"
        assert dict(answer.chosen.slack) == {"gpu-nic": pytest.approx(0.5)}

    def test_equal_link_classes_bind_in_the_order_of_the_file(self) -> None:
        # Nothing but rounding tells gpu-nic from nic-leaf at one rate; the first of the file is named.
        text = """{fabric: chain, axes: {i: 7},
        devices: {gpu: {kind: gpu, axes: [i]}, nic: {kind: nic, axes: [i]},
        leaf: {kind: switch, axes: []}}, links: [{between: [nic, leaf], rate: 800Gb/s/3},
        {between: [gpu, nic], rate: 800Gb/s/3}]}"""
        for collective in COLLECTIVES:
            answer = cost(loads(text), collective, 12345, calibration="wire")
            assert answer.binding == "nic-leaf"
            assert answer.chosen.slack == (("gpu-nic", 0.0),)

    @pytest.mark.some(2)
    @pytest.mark.parametrize(
        ("k", "g"), [(1, 2), (1, 7), (2, 1), (5, 1), (2, 2), (3, 5), (5, 3), (4, 4), (7, 2), (2, 9)]
    )
    def test_any_number_of_boxes(self, hand_made: ModuleType, k: int, g: int) -> None:
        found = all_costs(hand_made.boxes(k, g))
        n = k * g
        inside, outside = (g - 1) / g / 100e9, (k - 1) / k / g / 50e9
        for collective, factor in (("all-reduce", 2), ("all-gather", 1), ("reduce-scatter", 1)):
            # Cho et al., "BlueConnect" (SysML 2019): (g - 1) / g S inside, (k - 1) / k S / g across.
            expected = factor * S * max(inside, outside)
            assert found[collective, "hierarchical"].time_s == pytest.approx(expected)
            if k > 1 and g > 1:
                serial = factor * S * (inside + outside)
                assert found[collective, "hierarchical-serial"].time_s == pytest.approx(serial)
            # No algorithm moves the bytes with less: each rank takes in (n - 1) / n S at 150 GB/s at most.
            floor = factor * (n - 1) / n * S / 150e9
            assert found[collective, "ring"].time_s >= floor * (1 - 1e-12)

    @pytest.mark.some(3)
    @pytest.mark.parametrize("n", [*range(2, 12), 31, 72, 73])
    def test_any_number_of_ranks_on_one_switch(self, hand_made: ModuleType, n: int) -> None:
        for collective in (*HALVES, "all-to-all"):
            found = cost(hand_made.star(n), collective, S, algorithm="all", calibration="wire")
            assert found.busbw_gbps == pytest.approx(400), collective
            assert all(one.busbw_gbps <= 400 * (1 + 1e-9) for one in found.algorithms)

    def test_some_of_the_gpus_of_a_rack(self, rack: Fabric) -> None:
        # 64 of 72 GPUs are a usual job; the others do not matter.
        answer = cost(rack, "all-reduce", S, among="tray0-15/gpu", calibration="wire")
        assert answer.n_ranks == 64
        assert answer.busbw_gbps / 8 == pytest.approx(900)


class TestQuestions:
    def test_unequal_domains_run_the_ring_only(self, hand_made: ModuleType) -> None:
        fabric = hand_made.boxes(3, 3, extra="absent: [box2/slot2/gpu, box2/slot2/nic]")
        answer = cost(fabric, "all-gather", S, algorithm="all", calibration="wire")
        assert "ring" in {a.algorithm for a in answer.algorithms}
        assert "hierarchical" in dict(answer.refused)
        assert answer.n_ranks == 8
        assert answer.method == "axes"
        on_links = cost(fabric, "all-gather", S, algorithm="all", method="links", calibration="wire")
        assert answer.time_s == pytest.approx(on_links.time_s, rel=1e-9)
        with pytest.raises(QuestionError, match="domains of equal size; this job has 2 to 3 ranks a domain"):
            cost(fabric, "all-reduce", S, algorithm="hierarchical", calibration="wire")
        with pytest.raises(QuestionError, match="no algorithm 'nvls' for all-to-all; known are auto"):
            cost(fabric, "all-to-all", S, algorithm="nvls", calibration="wire")

    def test_one_algorithm_can_be_chosen(self, hand_made: ModuleType) -> None:
        every = cost(hand_made.boxes(3, 2), "all-reduce", S, algorithm="all", calibration="wire")
        for one in every.algorithms:
            answer = cost(hand_made.boxes(3, 2), "all-reduce", S, algorithm=one.algorithm, calibration="wire")
            assert answer.algorithms == (one,)
            assert answer.chosen == one

    def test_auto_looks_at_what_the_calibration_names(self, hand_made: ModuleType) -> None:
        usual = set(calibration("wire").algorithms)
        for collective in COLLECTIVES:
            every = {
                a.algorithm
                for a in cost(
                    hand_made.boxes(3, 2), collective, S, algorithm="all", calibration="wire"
                ).algorithms
            }
            auto = {
                a.algorithm for a in cost(hand_made.boxes(3, 2), collective, S, calibration="wire").algorithms
            }
            assert auto == (every & usual)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"collective": "allreduce"}, "unknown collective 'allreduce'; did you mean all-reduce"),
            ({"algorithm": "three"}, "no algorithm 'three' for all-reduce; did you mean tree"),
            ({"algorithm": "torus"}, "torus cannot run: needs ranks that are a whole torus"),
            ({"routing": "idle"}, "routing: got 'idle'; .*did you mean ideal"),
            ({"among": "box0/gpu0"}, "at least 2 endpoints; the job has 1"),
            ({"among": "nic"}, "among='nic' selects no endpoint"),
            ({"calibration": "wires"}, "no calibration 'wires'; did you mean wire"),
        ],
    )
    def test_questions_that_do_not_fit(
        self, hand_made: ModuleType, changes: dict[str, Any], message: str
    ) -> None:
        question = {"collective": "all-reduce", "size": "1GB", **changes}
        with pytest.raises(QuestionError, match=message):
            cost(hand_made.boxes(2, 2), **question)

    def test_a_selector_that_matches_nothing(self, hand_made: ModuleType) -> None:
        with pytest.raises(SelectorError, match="box9"):
            cost(hand_made.boxes(2, 2), "all-reduce", S, among="box9", calibration="wire")

    def test_several_groups_of_endpoints_need_a_choice(self) -> None:
        text = """{fabric: mixed, axes: {i: 3},
        devices: {gpu: {kind: gpu, axes: [i]}, tpu: {kind: gpu, axes: [i]},
        leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s},
        {between: [tpu, leaf], rate: 200Gb/s}]}"""
        with pytest.raises(QuestionError, match=r"several groups \(gpu, tpu\); say .* such as among='gpu'"):
            cost(loads(text), "all-reduce", S, calibration="wire")
        assert cost(loads(text), "all-reduce", S, among="gpu", calibration="wire").binding == "gpu-leaf"
        assert cost(
            loads(text), "all-reduce", S, among="tpu", calibration="wire"
        ).busbw_gbps == pytest.approx(200)

    def test_failed_ranks_take_no_part(self, hand_made: ModuleType) -> None:
        fabric = hand_made.boxes(2, 3, extra="failed: [box0/gpu1, box1/gpu2]")
        found = cost(fabric, "all-reduce", S, calibration="wire")
        assert (found.n_ranks, found.n_failed, found.status) == (4, 2, "ok")
        # The same job, rank by rank.
        left = [f"box{i}/gpu{j}" for i in range(2) for j in range(3) if (i, j) not in ((0, 1), (1, 2))]
        listed = cost(fabric, "all-reduce", S, ranks=left, calibration="wire")
        assert found.time_s == pytest.approx(listed.time_s, rel=1e-9)
        assert cost(fabric, "all-reduce", S, among="slot0", calibration="wire").n_ranks == 2

    def test_a_failed_nic_is_gone_round(self, hand_made: ModuleType) -> None:
        # The GPU without a NIC sends through the NIC of another, which then carries twice as much.
        whole, broken = hand_made.boxes(2, 3), hand_made.boxes(2, 3, extra="failed: [box0/nic1]")
        assert (
            cost(broken, "all-to-all", S, calibration="wire").time_s
            > cost(whole, "all-to-all", S, calibration="wire").time_s
        )
        alone = cost(broken, "all-to-all", S, among="slot1/gpu", calibration="wire")
        assert (alone.status, alone.cut_off) == ("cut off", (("box0/gpu1", 1),))

    def test_a_fabric_without_endpoints(self) -> None:
        text = """{fabric: dark, islands: 0, axes: {i: 2}, links: [{between: [leaf, top], rate: 400Gb/s}],
        devices: {leaf: {kind: switch, axes: [i]}, top: {kind: switch, axes: []}}}"""
        with pytest.raises(QuestionError, match="dark has no endpoint"):
            cost(loads(text), "all-reduce", S, calibration="wire")

    def test_sizes_are_read_as_nccl_tests_prints_them(self, hand_made: ModuleType) -> None:
        fabric = hand_made.star(4)
        assert cost(fabric, "all-reduce", "1GiB", calibration="wire").size_bytes == 2**30
        assert cost(fabric, "all-reduce", "1GiB", calibration="wire") == cost(
            fabric, "all-reduce", 2**30, calibration="wire"
        )
        for wrong in ("1Gb", "lots", "-1GB", 0):
            with pytest.raises(UnitError, match=r".+"):
                cost(fabric, "all-reduce", wrong, calibration="wire")

    def test_the_expanded_form_has_a_limit_that_classes_have_not(self, hand_made: ModuleType) -> None:
        with pytest.raises(LimitError, match="limited to 3"):
            cost(hand_made.star(4), "all-reduce", S, limit=3, method="links", calibration="wire")
        assert cost(hand_made.star(4), "all-reduce", S, limit=3, calibration="wire").method == "axes"

    def test_the_answer_prints_and_converts(self, hand_made: ModuleType) -> None:
        answer = cost(hand_made.boxes(2, 2), "all-reduce", "1GB", algorithm="all", calibration="wire")
        text = str(answer)
        assert "all-reduce of 1 GB among 4 ranks in 2 scale-up domains, ecmp routing" in text
        assert f"\n* {answer.chosen.algorithm} " in text
        assert "Wire rates and zero latency" in text
        told = answer.to_dict()
        assert told["binding"] == told["chosen"]["binding"] == answer.binding  # type: ignore[index]
        assert told["time_s"] == answer.time_s
        assert told["busbw_gbps"] == answer.busbw_gbps
        assert [a["algorithm"] for a in told["algorithms"]] == [a.algorithm for a in answer.algorithms]  # type: ignore[attr-defined]
        listed = cost(
            hand_made.boxes(2, 2), "all-reduce", "1GB", ranks=("box0/gpu0", "box1/gpu1"), calibration="wire"
        )
        assert (listed.method, listed.why) == ("links", "ranks are listed one by one")

    def test_what_a_run_will_show_is_the_default_and_the_wires_stand_beside(
        self, hand_made: ModuleType
    ) -> None:
        for collective in COLLECTIVES:
            expected = costing.cost(hand_made.boxes(3, 2), collective, S)
            assert expected.calibration == "measured"
            assert expected == costing.cost(hand_made.boxes(3, 2), collective, S, calibration="measured")
            assert expected.chosen.latency_s > 0
            assert expected.wire is not None
            for one in expected.algorithms:
                plain = cost(
                    hand_made.boxes(3, 2), collective, S, calibration="wire", algorithm=one.algorithm
                )
                assert plain.chosen.latency_s == 0
                assert plain.wire is None
                assert one.most_gbps == pytest.approx(plain.busbw_gbps)
                assert one.busbw_gbps < one.most_gbps
            assert expected.wire.busbw_gbps == expected.chosen.most_gbps
            assert expected.wire.algorithm == expected.chosen.algorithm
            # Nothing that takes no latency is told as a time.
            assert "no run by it is faster" in " ".join(str(expected).split())


LAW_CASES = [
    pytest.param("boxes", (3, 3), {}, id="boxes"),
    pytest.param("boxes", (4, 2), {"uplinks": 1}, id="boxes-tapered"),
    pytest.param("boxes", (2, 5), {"extra": "absent: [box1/slot4/gpu, box1/slot4/nic]"}, id="unequal"),
]


@pytest.fixture
def make(request: pytest.FixtureRequest, hand_made: ModuleType) -> Make:
    """Return what makes one of the fabrics of the laws; keywords change it, or make it anew."""
    name, sizes, given = request.param
    kept = getattr(hand_made, name)
    return lambda *, anew=False, **more: (kept.__wrapped__ if anew else kept)(*sizes, **given, **more)


@pytest.mark.some(1)
@pytest.mark.parametrize("make", [pytest.param(p.values, id=p.id) for p in LAW_CASES], indirect=True)
class TestLaws:
    def test_time_is_linear_in_bytes(self, make: Make) -> None:
        fabric = make()
        for collective, factor in itertools.product(COLLECTIVES, (2, 1000)):
            once, more = (
                cost(fabric, collective, S, calibration="wire"),
                cost(fabric, collective, S * factor, calibration="wire"),
            )
            assert more.time_s == pytest.approx(factor * once.time_s)
            assert more.busbw_gbps == pytest.approx(once.busbw_gbps)
            assert (more.binding, [n for n, _ in more.chosen.slack]) == (
                once.binding,
                [n for n, _ in once.chosen.slack],
            )

    def test_time_is_inverse_to_all_rates(self, make: Make) -> None:
        slow, fast = all_costs(make(rate=400)), all_costs(make(rate=1000))
        for key, one in slow.items():
            assert fast[key].time_s == pytest.approx(one.time_s / 2.5)
            assert fast[key].binding == one.binding

    def test_no_link_is_busy_for_longer_than_the_collective(self, make: Make) -> None:
        work = job(make())
        known = calibration("wire")
        for collective in COLLECTIVES:
            for schedule in schedules(collective, work.shape, S).values():
                found = evaluate(work, schedule, Overheads(known, known.protocols[0]))
                assert (found.busy_s >= 0).all()
                assert found.busy_s.max() <= found.transfer_s * (1 + 1e-9)

    def test_slack_is_a_fraction_and_sorted(self, make: Make) -> None:
        for one in all_costs(make()).values():
            idle = [fraction for _, fraction in one.slack]
            assert idle == sorted(idle)
            assert all(0 <= fraction < 1 for fraction in idle)
            assert one.binding not in dict(one.slack)

    def test_algorithms_come_fastest_first(self, make: Make) -> None:
        for collective in COLLECTIVES:
            answer = cost(make(), collective, S, algorithm="all", calibration="wire")
            times = [float(f"{one.time_s:.9g}") for one in answer.algorithms]
            assert times == sorted(times)
            assert answer.chosen is answer.algorithms[0]

    def test_the_wire_rate_is_within_the_cable(self, make: Make) -> None:
        for one in all_costs(make()).values():
            assert 0 < one.wire_gbps <= 800 * (1 + 1e-9)

    def test_two_runs_give_one_answer(self, make: Make) -> None:
        # Two fabrics of one text share nothing that is remembered.
        for collective in ("all-reduce", "all-to-all", "scatter"):
            one, other = (cost(make(anew=True), collective, S, calibration="wire") for _ in range(2))
            assert one == other
            assert str(one) == str(other)


@pytest.mark.some(1)
@pytest.mark.parametrize("rule", ["nic, leaf", "leaf, spine", "gpu, nvswitch", "gpu, nic"])
def test_more_cables_of_a_rule_never_slow_it(rule: str) -> None:
    text = """
fabric: boxes
axes: {box: 3, slot: 2}
devices:
  gpu: {kind: gpu, axes: [box, slot], transit: relay}
  nvswitch: {kind: switch, axes: [box]}
  nic: {kind: nic, axes: [box, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: []}
links:
  - {between: [gpu, nvswitch], rate: 100Gb/s, net: scale-up, count: 1}
  - {between: [gpu, nic], rate: 100Gb/s, count: 1}
  - {between: [nic, leaf], rate: 100Gb/s, count: 1}
  - {between: [leaf, spine], rate: 50Gb/s, count: 1}
"""
    before = all_costs(loads(text))
    head, tail = text.split(f"[{rule}]")
    after = all_costs(loads(f"{head}[{rule}]{tail.replace('count: 1', 'count: 3', 1)}"))
    # Others may slow down: the split goes by cables, so three to the NIC draw traffic from NVLink to spines.
    name = rule.replace(", ", "-")
    for key, one in before.items():
        assert peak(after[key], name) <= peak(one, name) * (1 + 1e-9)


def peak(one: AlgorithmCost, rule: str) -> float:
    """Return the seconds that the busiest link of a rule is busy."""
    idle = {one.binding: 0.0, **dict(one.slack)}
    return one.transfer_s * (1 - idle.get(rule, 1.0))


def test_a_job_is_routed_once_and_progress_is_told(hand_made: ModuleType) -> None:
    fabric = hand_made.boxes.__wrapped__(3, 3)  # of which nothing is remembered
    told: list[tuple[int, int]] = []
    first = cost(
        fabric, "all-reduce", S, progress=lambda done, total: told.append((done, total)), calibration="wire"
    )
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    told.clear()
    again = cost(
        fabric,
        "all-reduce",
        2 * S,
        progress=lambda done, total: told.append((done, total)),
        calibration="wire",
    )
    assert told == []
    assert again.time_s == pytest.approx(2 * first.time_s)
    hash(job(fabric))


def test_ranks_of_any_order_are_a_job(hand_made: ModuleType) -> None:
    # Listed in another order the ring crosses leaves at every hop, and its spines bind.
    fabric = hand_made.leaf_spine(1)
    names = [f"pod{p}/gpu{i}" for i in range(4) for p in range(4)]
    found = cost(fabric, "all-reduce", S, ranks=names, algorithm="ring", calibration="wire")
    assert found.binding == "leaf-spine"
    # Four GPUs of a leaf send a byte each up two cables.
    assert found.time_s == pytest.approx(2 * 2 * 15 / 16 * S / 50e9)


@pytest.mark.parametrize(("n", "is_known"), [(80, True), (82, False)])
def test_a_bound_that_would_take_long_is_left_out(n, is_known):
    fabric = loads(
        f"{{fabric: ring, axes: {{i: {n}}}, devices: {{gpu: {{kind: gpu, axes: [i], transit: all}}}}, "
        "links: [{between: [gpu, gpu], rate: 1Gb/s,"
        f" wiring: {{pattern: pairs, along: i, pairs: {[[k, (k + 1) % n] for k in range(n)]}}}}}]}}"
    )
    answer = costing.cost(fabric, "all-to-all", "1MiB", algorithm="pairwise", calibration="wire")
    assert (answer.bound is not None) == is_known
    assert ("places apart" in answer.no_bound) != is_known


MEASURED = """{fabric: a, axes: {box: 2, slot: 4}, devices: {gpu: {kind: gpu, axes: [box, slot]},
  chip: {kind: switch, axes: [box]}, leaf: {kind: switch, axes: []}}, links: [
  {between: [gpu, chip], %s}, {between: [gpu, leaf], rate: %s}]}"""


@pytest.mark.parametrize(
    ("up", "out", "binding", "is_default"),
    [
        # A scale-up network of a kind that no one measured, or that was measured.
        ("net: scale-up, rate: 200Gb/s", "20Tb/s", "gpu-chip", True),
        ("link: nvlink4", "20Tb/s", "gpu-chip", False),
        # The network behind GPUs of such a kind.
        ("net: scale-up, rate: 200Gb/s", "10Gb/s", "gpu-leaf", True),
        ("link: nvlink4", "10Gb/s", "gpu-leaf", False),
    ],
)
def test_an_expected_time_says_whether_such_links_were_measured(up, out, binding, is_default):
    found = cost(loads(MEASURED % (up, out)), "all-to-all", "1GB")
    assert found.binding == binding
    assert (f"{binding} {BY_DEFAULT}" in found.notes) == is_default


BY_DEFAULT = "is counted by the default of measured networks: no run on such links was measured"


@pytest.mark.parametrize("net", ["scale-up", "scale-out"])
def test_a_scale_up_network_of_an_unmeasured_kind_behind_a_measured_one_is_said(net):
    # A scale-out network was measured behind such GPUs; a second scale-up network was not.
    text = """{fabric: a, axes: {box: 2, slot: 4}, devices: {gpu: {kind: gpu, axes: [box, slot]},
      chip: {kind: switch, axes: [box]}, top: {kind: switch, axes: []}}, links: [
      {between: [gpu, chip], link: nvlink4}, {between: [chip, top], net: %s, rate: 10Gb/s}]}"""
    found = cost(loads(text % net), "all-to-all", "1GB")
    assert found.binding == "chip-top"
    assert (f"chip-top {BY_DEFAULT}" in found.notes) == (net == "scale-up")


def test_a_protocol_that_binds_is_told():
    fabric = load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")

    def told(size: str, **asked: Any) -> list[str]:
        return [
            note for note in cost(fabric, "all-reduce", size, **asked).notes if "the protocol binds" in note
        ]

    answer = cost(fabric, "all-reduce", "1GiB")
    (note,) = told("1GiB")
    assert note.startswith(f"{answer.chosen.protocol} moves ")
    assert f"of the wire rate of {answer.binding}, Simple " in note
    # Where steps take the time, on the wires, and where all of a link is used, no protocol binds.
    assert not told("64KiB")
    assert not told("1GiB", calibration="wire")
    assert not told("16GiB", algorithm="tree")
