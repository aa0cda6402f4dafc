"""What collectives cost: closed forms worked out here, schedules made by hand, and laws."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from fabric.collective import (
    COLLECTIVES,
    AlgorithmCost,
    Cost,
    Job,
    Par,
    Pattern,
    Phase,
    Pipe,
    Schedule,
    Seq,
    Shape,
    cost,
    evaluate,
    job,
    phases,
    schedules,
)
from fabric.collective.cost import _cost, _first_largest
from fabric.collective.job import demands
from fabric.errors import LimitError, QuestionError, SelectorError, UnitError
from fabric.graph import Fabric, load, loads

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
S = 1_000_000_000
GB = 1e9


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


def star(n: int) -> Fabric:
    return loads(f"""
fabric: star
axes: {{i: {n}}}
devices: {{gpu: {{kind: gpu, axes: [i]}}, leaf: {{kind: switch, axes: []}}}}
links: [{{between: [gpu, leaf], rate: 400Gb/s}}]
""")


def boxes(k: int, g: int, *, rate: int = 400, extra: str = "", uplinks: int = 2) -> Fabric:
    """Return k boxes of g GPUs: 2 x `rate` inside, `rate` out, a leaf a rail, and one spine."""
    return loads(f"""
fabric: boxes
axes: {{box: {k}, slot: {g}, chip: 2}}
devices:
  gpu: {{kind: gpu, axes: [box, slot], transit: relay}}
  nvswitch: {{kind: switch, axes: [box, chip]}}
  nic: {{kind: nic, axes: [box, slot]}}
  leaf: {{kind: switch, axes: [slot]}}
  spine: {{kind: switch, axes: []}}
links:
  - {{between: [gpu, nvswitch], rate: {rate}Gb/s, net: scale-up}}
  - {{between: [gpu, nic], rate: {2 * rate}Gb/s}}
  - {{between: [nic, leaf], rate: {rate}Gb/s}}
  - {{between: [leaf, spine], rate: {rate}Gb/s, count: {uplinks}}}
{extra}""")


def leaf_spine(uplinks: int) -> Fabric:
    """Return 4 leaves of 4 GPUs and 2 spines, all of 50 GB/s a cable."""
    return loads(f"""
fabric: leaf-spine
axes: {{pod: 4, node: 4, spine: 2}}
devices:
  gpu: {{kind: gpu, axes: [pod, node]}}
  leaf: {{kind: switch, axes: [pod]}}
  spine: {{kind: switch, axes: [spine]}}
links:
  - {{between: [gpu, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s, count: {uplinks}}}
""")


class TestClosedForms:
    def test_all_reduce_in_one_rack(self, rack: Fabric) -> None:
        # Every GPU sends (and receives) 71/72 of the buffer twice, at 900 GB/s.
        answer = cost(rack, "all-reduce", S)
        assert answer.time_s == pytest.approx(2 * 71 / 72 * S / 900e9)
        assert answer.busbw_gbps / 8 == pytest.approx(900)
        assert answer.algbw_gbps / 8 == pytest.approx(900 * 72 / (2 * 71))
        assert answer.binding == "gpu-nvswitch"
        assert answer.n_domains == 1
        # Inside one switch fabric both forms are equal; ties keep the order in which algorithms are named.
        assert [a.algorithm for a in answer.algorithms] == ["hierarchical", "ring"]
        assert answer.algorithms[1].time_s == pytest.approx(answer.time_s)

    def test_all_reduce_of_96_h100(self, superpod: Fabric) -> None:
        answer = cost(superpod, "all-reduce", S, among="su0/node0-11")
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
        answer = cost(superpod, "all-reduce", S, among="su0/node0-1", algorithm="hierarchical")
        assert answer.time_s == pytest.approx(2 * 7 / 8 * S / 450e9)
        assert answer.binding == "gpu-nvswitch"

    def test_all_to_all_of_1152_gpus(self, racks: Fabric) -> None:
        # A rank sends S / 1152 to each of the 1,080 outside its rack, at 100 GB/s.
        answer = cost(racks, "all-to-all", S)
        assert answer.time_s == pytest.approx(1080 / 1152 * S / 100e9)
        assert answer.busbw_gbps / 8 == pytest.approx(100 * 1151 / 1080)
        assert answer.binding == "nic-leaf"
        assert answer.n_domains == 16
        assert answer.chosen.steps == 1151

    def test_all_reduce_of_1152_gpus(self, racks: Fabric) -> None:
        answer = cost(racks, "all-reduce", S)
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
        answer = cost(superpod, "all-gather", S, among=among, algorithm="hierarchical")
        assert answer.algbw_gbps / 8 == pytest.approx(algbw, rel=0.01)
        scatter = cost(superpod, "reduce-scatter", S, among=among, algorithm="hierarchical")
        assert scatter.time_s == pytest.approx(answer.time_s)

    def test_a_small_all_gather_of_the_scaling_book(self, superpod: Fabric) -> None:
        # AllGather of bf16[1024, 16384] on 8 H100: 65 us exactly (same chapter).
        answer = cost(superpod, "all-gather", 2 * 1024 * 16384, among="su0/node0")
        assert answer.time_s == pytest.approx(65e-6, rel=0.01)

    @pytest.mark.parametrize("m", [4, 8, 32])
    def test_all_to_all_of_the_scaling_book(self, superpod: Fabric, m: int) -> None:
        # B (M - 1) / (M^2 400e9) over M nodes, with B the bytes of all ranks together (same chapter).
        answer = cost(superpod, "all-to-all", S, among=f"su0/node0-{m - 1}")
        everything = 8 * m * S
        assert answer.time_s == pytest.approx(everything * (m - 1) / (m**2 * 400e9))

    def test_all_to_all_in_one_node_of_the_scaling_book(self, superpod: Fabric) -> None:
        answer = cost(superpod, "all-to-all", S, among="su0/node0")
        assert answer.time_s == pytest.approx(8 * S * 7 / (64 * 450e9))

    @pytest.mark.parametrize("n", [2, 3, 7, 13])
    @pytest.mark.parametrize("collective", COLLECTIVES)
    def test_a_star_is_the_alpha_beta_model(self, n: int, collective: str) -> None:
        # Every algorithm sends (n - 1) / n S over the one cable, twice for all-reduce.
        answer = cost(star(n), collective, S)
        for one in answer.algorithms:
            assert one.time_s == pytest.approx(
                (2 if collective == "all-reduce" else 1) * (n - 1) / n * S / 50e9
            )
            assert one.busbw_gbps == pytest.approx(400)
            assert one.binding == "gpu-leaf"
            assert one.slack == ()
            assert one.steps == (2 if collective == "all-reduce" else 1) * (n - 1)

    def test_domains_of_one_member_leave_the_ring_over_rails(self) -> None:
        answer = cost(star(6), "all-reduce", S)
        assert answer.n_domains == 6
        assert [a.algorithm for a in answer.algorithms] == ["hierarchical", "ring"]
        (only,) = {p.pattern for p in phases(schedules("all-gather", Shape((1,) * 6), 1.0)["hierarchical"])}
        assert only == Pattern("ring", "rail")

    def test_an_oversubscribed_spine_binds(self) -> None:
        # All-to-all: 12 of 16 parts leave the leaf; 4 GPUs share 2 uplinks of the same rate (2:1).
        answer = cost(leaf_spine(1), "all-to-all", S)
        assert answer.time_s == pytest.approx(4 * 12 / 16 * S / 2 / 50e9)
        assert answer.binding == "leaf-spine"
        assert answer.chosen.slack == (("gpu-leaf", pytest.approx(1 - (15 / 16) / 1.5)),)
        # With two cables to each spine it is 1:1, and the GPU's own cable binds.
        answer = cost(leaf_spine(2), "all-to-all", S)
        assert answer.time_s == pytest.approx(15 / 16 * S / 50e9)
        assert answer.binding == "gpu-leaf"

    def test_a_ring_in_rank_order_crosses_each_leaf_once(self) -> None:
        answer = cost(leaf_spine(1), "all-reduce", S)
        assert answer.time_s == pytest.approx(2 * 15 / 16 * S / 50e9)
        assert dict(answer.chosen.slack)["leaf-spine"] == pytest.approx(0.5)

    def test_two_ranks_in_two_boxes(self) -> None:
        # 100 GB/s inside a box, but the two are in different boxes: one NIC of 50 GB/s each.
        answer = cost(boxes(2, 3), "all-reduce", S, among="slot1/gpu")
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
            answer = cost(loads(text), collective, 12345)
            assert answer.binding == "nic-leaf"
            assert answer.chosen.slack == (("gpu-nic", 0.0),)

    def test_rounding_does_not_choose_what_binds(self) -> None:
        assert _first_largest(np.array([0.5, 1.0, 1.0 + 1e-12])) == 1
        assert _first_largest(np.array([0.5, 1.0, 1.0 + 1e-6])) == 2


class TestQuestions:
    def test_unequal_domains_run_the_ring_only(self) -> None:
        fabric = boxes(3, 3, extra="absent: [box2/slot2/gpu, box2/slot2/nic]")
        answer = cost(fabric, "all-reduce", S)
        assert [a.algorithm for a in answer.algorithms] == ["ring"]
        assert answer.n_ranks == 8
        with pytest.raises(QuestionError, match="domains of equal size; this job has 2 to 3 ranks a domain"):
            cost(fabric, "all-reduce", S, algorithm="hierarchical")
        # All-to-all has no such form anywhere.
        with pytest.raises(QuestionError, match="no algorithm 'hierarchical' for all-to-all; known are auto"):
            cost(fabric, "all-to-all", S, algorithm="hierarchical")

    def test_one_algorithm_can_be_chosen(self) -> None:
        both = cost(boxes(3, 2), "all-reduce", S)
        for one in both.algorithms:
            answer = cost(boxes(3, 2), "all-reduce", S, algorithm=one.algorithm)
            assert answer.algorithms == (one,)
            assert answer.chosen == one

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"collective": "allreduce"}, "unknown collective 'allreduce'; known are all-reduce, all-gather"),
            ({"algorithm": "tree"}, "no algorithm 'tree' for all-reduce; known are auto, hierarchical, ring"),
            ({"routing": "ideal"}, "unknown routing 'ideal'; known is ecmp"),
            ({"among": "box0/gpu0"}, "all-reduce needs at least 2 ranks; the job has 1"),
            ({"among": "nic"}, "among='nic' selects box0/nic0, which is no endpoint"),
            ({"among": "box0/*"}, "selects box0/nvswitch0, which is no endpoint"),
        ],
    )
    def test_questions_that_do_not_fit(self, changes: dict[str, str], message: str) -> None:
        question = {"collective": "all-reduce", "size": "1GB", **changes}
        with pytest.raises(QuestionError, match=message):
            cost(boxes(2, 2), **question)  # type: ignore[arg-type]

    def test_a_selector_that_matches_nothing(self) -> None:
        with pytest.raises(SelectorError, match="box9"):
            cost(boxes(2, 2), "all-reduce", S, among="box9")

    def test_several_groups_of_endpoints_need_a_choice(self) -> None:
        text = """{fabric: mixed, axes: {i: 3},
        devices: {gpu: {kind: gpu, axes: [i]}, tpu: {kind: gpu, axes: [i]},
        leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s},
        {between: [tpu, leaf], rate: 200Gb/s}]}"""
        with pytest.raises(QuestionError, match=r"several groups \(gpu, tpu\); say .* such as among='gpu'"):
            cost(loads(text), "all-reduce", S)
        assert cost(loads(text), "all-reduce", S, among="gpu").binding == "gpu-leaf"
        assert cost(loads(text), "all-reduce", S, among="tpu").busbw_gbps == pytest.approx(200)

    def test_failed_ranks_are_named(self) -> None:
        fabric = boxes(2, 3, extra="failed: [box0/gpu1, box1/gpu2]")
        with pytest.raises(
            QuestionError, match="2 of the ranks are failed, such as box0/gpu1; leave them out"
        ):
            cost(fabric, "all-reduce", S)
        assert cost(fabric, "all-reduce", S, among="slot0").n_ranks == 2

    def test_a_failed_nic_is_gone_round(self) -> None:
        # The GPU without a NIC sends through the NIC of another, which then carries twice as much.
        whole, broken = boxes(2, 3), boxes(2, 3, extra="failed: [box0/nic1]")
        assert cost(broken, "all-to-all", S).time_s > cost(whole, "all-to-all", S).time_s
        with pytest.raises(QuestionError, match="no permitted path from box0/gpu1 to box1/gpu"):
            cost(broken, "all-to-all", S, among="slot1/gpu")

    def test_a_fabric_without_endpoints(self) -> None:
        text = """{fabric: dark, axes: {i: 2}, links: [{between: [leaf, top], rate: 400Gb/s}],
        devices: {leaf: {kind: switch, axes: [i]}, top: {kind: switch, axes: []}}}"""
        with pytest.raises(QuestionError, match="dark has no endpoint"):
            cost(loads(text), "all-reduce", S)

    def test_sizes_are_read_as_nccl_tests_prints_them(self) -> None:
        fabric = star(4)
        assert cost(fabric, "all-reduce", "1GiB").size_bytes == 2**30
        assert cost(fabric, "all-reduce", "1GiB") == cost(fabric, "all-reduce", 2**30)
        for wrong in ("1Gb", "lots", "-1GB", 0):
            with pytest.raises(UnitError, match=r".+"):
                cost(fabric, "all-reduce", wrong)

    def test_the_expanded_form_has_a_limit(self) -> None:
        with pytest.raises(LimitError, match="limited to 3"):
            cost(star(4), "all-reduce", S, limit=3)

    def test_a_pairwise_phase_has_a_limit_before_it_is_listed(self) -> None:
        # 1e10 pairs would take 240 GB.
        many = Job(None, np.arange(100_000), Shape((100_000,)), None)  # type: ignore[arg-type]
        with pytest.raises(QuestionError, match="pairwise phase of 9,999,900,000 pairs; 50,000,000 at most"):
            demands(many, Pattern("pairwise", "job"))

    def test_the_answer_prints_and_converts(self) -> None:
        answer = cost(boxes(2, 2), "all-reduce", "1GB")
        text = str(answer)
        assert "all-reduce of 1 GB among 4 ranks in 2 scale-up domains, ecmp routing" in text
        assert f"* {answer.chosen.algorithm}: " in text
        assert "wire rates, zero latency" in text
        told = answer.to_dict()
        assert told["binding"] == [{"link": answer.binding, "share": None}]
        assert told["time_s"] == answer.time_s
        assert told["busbw_gbps"] == answer.busbw_gbps
        assert [a["algorithm"] for a in told["algorithms"]] == ["hierarchical", "ring"]  # type: ignore[attr-defined]


class TestSchedules:
    """Schedules made by hand on 3 boxes of 3: `a` is busy on NVLink for x seconds, `b` on the NICs for y."""

    @pytest.fixture
    def work(self) -> Job:
        return job(boxes(3, 3))

    @staticmethod
    def a(seconds: float) -> Phase:
        return Phase("a", Pattern("pairwise", "domain"), seconds * 100 * GB, 1, "copy", lambda n, step: ())

    @staticmethod
    def b(seconds: float) -> Phase:
        return Phase("b", Pattern("ring", "rail"), seconds * 50 * GB, 2, "copy", lambda n, step: ())

    def time(self, work: Job, schedule: Schedule) -> float:
        seconds, busy = evaluate(work, schedule)
        assert busy.max() <= seconds * (1 + 1e-12)
        return seconds

    def test_a_phase_takes_its_slowest_link(self, work: Job) -> None:
        assert self.time(work, self.a(3)) == pytest.approx(3)
        assert self.time(work, self.b(5)) == pytest.approx(5)

    def test_seq_adds_times(self, work: Job) -> None:
        assert self.time(work, Seq((self.a(3), self.b(5), self.a(1)))) == pytest.approx(9)

    @pytest.mark.parametrize("kind", [Pipe, Par])
    def test_pipe_and_par_add_loads(self, work: Job, kind: type[Pipe] | type[Par]) -> None:
        assert self.time(work, kind((self.a(3), self.b(5)))) == pytest.approx(5)
        assert self.time(work, kind((self.a(3), self.b(5), self.a(4)))) == pytest.approx(7)

    @pytest.mark.parametrize("kind", [Pipe, Par, Seq])
    def test_one_part_is_the_part_itself(self, work: Job, kind: type[Pipe] | type[Par] | type[Seq]) -> None:
        inner = Seq((self.a(3), self.b(5)))
        assert self.time(work, kind((inner,))) == pytest.approx(8)

    def test_a_seq_inside_a_pipe_is_not_overlapped_with_itself(self, work: Job) -> None:
        # The stage needs 8 s; no link is busy for more than 6.
        assert self.time(work, Pipe((Seq((self.a(3), self.b(5))), self.b(1)))) == pytest.approx(8)
        # Two stages of 8 s run side by side, but the NICs need 10 s.
        twice = Seq((self.a(3), self.b(5)))
        assert self.time(work, Par((twice, twice))) == pytest.approx(10)

    def test_trees_of_any_depth(self, work: Job) -> None:
        deep = Seq((Pipe((self.a(1), Seq((self.b(2), self.a(1))))), Par((self.b(1), self.a(4)))))
        # The pipe: a 3 s stage against 2 s on either class of links.
        assert self.time(work, deep) == pytest.approx(3 + 4)

    @pytest.mark.parametrize(
        ("shape", "binding"),
        [
            # NVLink holds up 10 of 16 s, although the NICs are busy for 15.
            (lambda a, b: Seq((Pipe((a(10), b(9))), b(6))), "gpu-nvswitch"),
            (lambda a, b: Seq((a(3), b(5))), "nic-leaf"),
            (lambda a, b: Seq((a(3), b(5), a(3))), "gpu-nvswitch"),
            (lambda a, b: Pipe((a(3), b(5), a(3))), "gpu-nvswitch"),
            # The stage of 9 s sets the pace, and 6 s of it are NVLink's.
            (lambda a, b: Pipe((Seq((a(6), b(3))), b(4))), "gpu-nvswitch"),
        ],
    )
    def test_the_binding_class_accounts_for_most_of_the_time(
        self, work: Job, shape: object, binding: str
    ) -> None:
        schedule = shape(self.a, self.b)  # type: ignore[operator]
        told = _cost(work, "all-reduce", S, "hand-made", schedule)
        assert told.binding == binding
        assert binding not in dict(told.slack)
        assert all(0 <= idle <= 1 for _, idle in told.slack)


def all_costs(fabric: Fabric, **question: str) -> dict[tuple[str, str], AlgorithmCost]:
    return {
        (collective, one.algorithm): one
        for collective in COLLECTIVES
        for one in cost(fabric, collective, S, **question).algorithms  # type: ignore[arg-type]
    }


LAW_CASES = [
    pytest.param(lambda **k: boxes(3, 3, **k), id="boxes"),
    pytest.param(lambda **k: boxes(4, 2, uplinks=1, **k), id="boxes-tapered"),
    pytest.param(
        lambda **k: boxes(2, 5, extra="absent: [box1/slot4/gpu, box1/slot4/nic]", **k), id="unequal"
    ),
]


@pytest.mark.parametrize("make", LAW_CASES)
class TestLaws:
    def test_time_is_linear_in_bytes(self, make: object) -> None:
        fabric = make()  # type: ignore[operator]
        for collective, factor in itertools.product(COLLECTIVES, (2, 1000)):
            once, more = cost(fabric, collective, S), cost(fabric, collective, S * factor)
            assert more.time_s == pytest.approx(factor * once.time_s)
            assert more.busbw_gbps == pytest.approx(once.busbw_gbps)
            assert (more.binding, [n for n, _ in more.chosen.slack]) == (
                once.binding,
                [n for n, _ in once.chosen.slack],
            )

    def test_time_is_inverse_to_all_rates(self, make: object) -> None:
        slow, fast = all_costs(make(rate=400)), all_costs(make(rate=1000))  # type: ignore[operator]
        for key, one in slow.items():
            assert fast[key].time_s == pytest.approx(one.time_s / 2.5)
            assert fast[key].binding == one.binding

    def test_no_link_is_busy_for_longer_than_the_collective(self, make: object) -> None:
        work = job(make())  # type: ignore[operator]
        for collective in COLLECTIVES:
            for schedule in schedules(collective, work.shape, S).values():
                time_s, busy = evaluate(work, schedule)
                assert (busy >= 0).all()
                assert busy.max() == pytest.approx(time_s)

    def test_slack_is_a_fraction_and_sorted(self, make: object) -> None:
        for one in all_costs(make()).values():  # type: ignore[operator]
            idle = [fraction for _, fraction in one.slack]
            assert idle == sorted(idle)
            assert all(0 <= fraction < 1 for fraction in idle)
            assert one.binding not in dict(one.slack)

    def test_algorithms_come_fastest_first(self, make: object) -> None:
        for collective in COLLECTIVES:
            answer = cost(make(), collective, S)  # type: ignore[operator]
            times = [one.time_s for one in answer.algorithms]
            assert times == sorted(times)
            assert answer.chosen is answer.algorithms[0]

    def test_busbw_is_algbw_times_the_factor(self, make: object) -> None:
        # nccl-tests, doc/PERFORMANCE.md
        n = cost(make(), "all-gather", S).n_ranks  # type: ignore[operator]
        for (collective, _), one in all_costs(make()).items():  # type: ignore[operator]
            assert one.algbw_gbps == pytest.approx(8 * S / one.time_s / 1e9)
            assert one.busbw_gbps / one.algbw_gbps == pytest.approx(
                (1 + (collective == "all-reduce")) * (n - 1) / n
            )

    def test_two_runs_give_one_answer(self, make: object) -> None:
        # Two fabrics of one text share no cache of jobs.
        for collective in COLLECTIVES:
            assert cost(make(), collective, S) == cost(make(), collective, S)  # type: ignore[operator]
            assert str(cost(make(), collective, S)) == str(cost(make(), collective, S))  # type: ignore[operator]


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
        if one.binding == name:
            assert peak(after[key], name) < one.time_s


def peak(one: AlgorithmCost, rule: str) -> float:
    """Return the seconds that the busiest link of a rule is busy."""
    idle = {one.binding: 0.0, **dict(one.slack)}
    return one.time_s * (1 - idle.get(rule, 1.0))


@pytest.mark.parametrize("n", [*range(2, 41), 72, 73])
def test_any_number_of_ranks_on_one_switch(n: int) -> None:
    for (collective, _), one in all_costs(star(n)).items():
        assert one.busbw_gbps == pytest.approx(400), collective


@pytest.mark.parametrize(
    ("k", "g"), [(1, 2), (1, 7), (2, 1), (5, 1), (2, 2), (3, 5), (5, 3), (4, 4), (7, 2), (2, 9)]
)
def test_any_number_of_boxes(k: int, g: int) -> None:
    found = all_costs(boxes(k, g))
    assert {name for _, name in found} == {"hierarchical", "ring", "pairwise"}
    n = k * g
    inside, outside = (g - 1) / g / 100e9, (k - 1) / k / g / 50e9
    for collective, factor in (("all-reduce", 2), ("all-gather", 1), ("reduce-scatter", 1)):
        # Cho et al., "BlueConnect" (SysML 2019): (g - 1) / g S inside, (k - 1) / k S / g across; overlapped.
        expected = factor * S * max(inside, outside)
        assert found[collective, "hierarchical"].time_s == pytest.approx(expected)
        # No algorithm moves the bytes with less: each rank takes in (n - 1) / n S at 150 GB/s at most.
        floor = factor * (n - 1) / n * S / 150e9
        assert found[collective, "ring"].time_s >= floor * (1 - 1e-12)


def test_some_of_the_gpus_of_a_rack(rack: Fabric) -> None:
    # 64 of 72 GPUs are a usual job; the others do not matter.
    answer = cost(rack, "all-reduce", S, among="tray0-15/gpu")
    assert answer.n_ranks == 64
    assert answer.busbw_gbps / 8 == pytest.approx(900)


def test_a_job_is_routed_once_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["fabric.collective.job"]
    routed: list[Pattern] = []
    monkeypatch.setattr(
        module, "demands", lambda work, pattern: routed.append(pattern) or demands(work, pattern)
    )
    fabric = boxes(3, 3)
    told: list[tuple[int, int]] = []
    first = cost(fabric, "all-reduce", S, progress=lambda done, total: told.append((done, total)))
    # Two patterns of the hierarchical form and one of the ring, of nine destinations each.
    assert len(routed) == 3
    assert told[-1] == (27, 27)
    assert told == sorted(told)
    told.clear()
    again = cost(fabric, "all-reduce", 2 * S, progress=lambda done, total: told.append((done, total)))
    assert len(routed) == 3
    assert told == []
    assert again.time_s == pytest.approx(2 * first.time_s)
    hash(job(fabric))


def test_ranks_are_numbered_domain_by_domain() -> None:
    # Slots are outside and boxes inside in the file, yet the ranks of a box follow each other.
    text = """
fabric: turned
axes: {slot: 3, box: 2}
devices: {gpu: {kind: gpu, axes: [slot, box], transit: relay}, nvswitch: {kind: switch, axes: [box]},
          leaf: {kind: switch, axes: [slot]}}
links:
  - {between: [gpu, nvswitch], rate: 900Gb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 400Gb/s}
"""
    work = job(loads(text))
    names = [work.expanded.names[v] for v in work.ranks.tolist()]
    assert names == [f"slot{s}/gpu{b}" for b in range(2) for s in range(3)]
    assert work.shape == Shape((3, 3))


def test_bytes_of_a_pattern_are_conserved() -> None:
    # Every rank sends one byte, so what leaves all GPUs is one byte each, and as much arrives.
    work = job(boxes(3, 2))
    e = work.expanded
    for pattern in (
        Pattern("pairwise", "job"),
        Pattern("pairwise", "domain"),
        Pattern("pairwise", "rail"),
        Pattern("ring", "rail"),
        Pattern("ring", "domain"),
        Pattern("ring", "job"),
        Pattern("rotated-rings", "job"),
    ):
        told = demands(work, pattern)
        np.testing.assert_allclose(np.bincount(told.source, told.amount, e.n_devices)[work.ranks], 1)
        np.testing.assert_allclose(np.bincount(told.target, told.amount, e.n_devices)[work.ranks], 1)
        found = work.loads(pattern)
        balance = np.zeros(e.n_devices)
        np.add.at(balance, e.tail, found[0::2] - found[1::2])
        np.add.at(balance, e.head, found[1::2] - found[0::2])
        np.testing.assert_allclose(balance, 0, atol=1e-12)
        assert math.isfinite(found.sum())
