"""How long schedules take, made by hand on 3 boxes of 3: parts in a row, overlapped, and side by side."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import numpy as np
import pytest

from fabric import costing
from fabric.costing import Calibration, Overhead, Overheads, ProtocolCost, Timing, evaluate
from fabric.costing.evaluate import first_largest, peaks, steps_of
from fabric.job import Job, JobQuestion, job
from fabric.schedule import COLLECTIVES, Par, Pattern, Phase, Pipe, Schedule, Seq, schedules

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

GB = 1e9
WIRE = Overheads(Calibration("wire"), ProtocolCost("Simple"))
SLOW = Calibration(
    "slow",
    links={
        "scale-up": {"copy": Overhead(0.5, 1e-3), "all-to-all": Overhead(0.25, 0.0)},
        "nic-leaf": {"copy": Overhead(1.0, 2e-3)},
        "host": {"copy": Overhead(1.0, 4e-3)},
    },
)


def a(seconds: float, steps: int = 1) -> Phase:
    """Keep NVLink busy for some seconds."""
    return Phase("a", Pattern("pairwise", "domain"), seconds * 100 * GB, steps, "copy", lambda n, step: ())


def b(seconds: float, steps: int = 2) -> Phase:
    """Keep the NICs busy for some seconds."""
    return Phase("b", Pattern("ring", "rail"), seconds * 50 * GB, steps, "copy", lambda n, step: ())


@pytest.fixture(scope="module", params=["axes", "links"])
def work(request: pytest.FixtureRequest, hand_made: ModuleType) -> Job:
    return job(hand_made.boxes(3, 3), JobQuestion(method=request.param))


def timed(work: Job, schedule: Schedule, over: Overheads = WIRE) -> Timing:
    found = evaluate(work, schedule, over)
    assert found.busy_s.max() <= found.transfer_s * (1 + 1e-12)
    assert found.held_s.sum() == pytest.approx(found.transfer_s)
    assert found.time_s == found.latency_s + found.transfer_s
    return found


class TestTransfer:
    def test_a_phase_takes_its_slowest_link(self, work: Job) -> None:
        assert timed(work, a(3)).time_s == pytest.approx(3)
        assert timed(work, b(5)).time_s == pytest.approx(5)

    def test_seq_adds_times(self, work: Job) -> None:
        assert timed(work, Seq((a(3), b(5), a(1)))).time_s == pytest.approx(9)

    @pytest.mark.parametrize("kind", [Pipe, Par])
    def test_pipe_and_par_add_loads(self, work: Job, kind: type[Pipe] | type[Par]) -> None:
        assert timed(work, kind((a(3), b(5)))).time_s == pytest.approx(5)
        assert timed(work, kind((a(3), b(5), a(4)))).time_s == pytest.approx(7)

    @pytest.mark.parametrize("kind", [Pipe, Par, Seq])
    def test_one_part_is_the_part_itself(self, work: Job, kind: type[Pipe] | type[Par] | type[Seq]) -> None:
        assert timed(work, kind((Seq((a(3), b(5))),))).time_s == pytest.approx(8)

    def test_a_seq_inside_a_pipe_is_not_overlapped_with_itself(self, work: Job) -> None:
        # The stage needs 8 s; no link is busy for more than 6.
        assert timed(work, Pipe((Seq((a(3), b(5))), b(1)))).time_s == pytest.approx(8)
        # Two stages of 8 s run side by side, but the NICs need 10 s.
        twice = Seq((a(3), b(5)))
        assert timed(work, Par((twice, twice))).time_s == pytest.approx(10)

    def test_trees_of_any_depth(self, work: Job) -> None:
        deep = Seq((Pipe((a(1), Seq((b(2), a(1))))), Par((b(1), a(4)))))
        # The pipe: a 3 s stage against 2 s on either class of links.
        assert timed(work, deep).time_s == pytest.approx(3 + 4)

    @pytest.mark.parametrize(
        ("schedule", "held"),
        [
            # NVLink holds up 10 of 16 s, although the NICs are busy for 15.
            (Seq((Pipe((a(10), b(9))), b(6))), {"gpu-nvswitch": 10, "nic-leaf": 6}),
            (Seq((a(3), b(5), a(3))), {"gpu-nvswitch": 6, "nic-leaf": 5}),
            (Pipe((a(3), b(5), a(3))), {"gpu-nvswitch": 6}),
            # The stage of 9 s sets the pace, and 6 s of it are NVLink's.
            (Pipe((Seq((a(6), b(3))), b(4))), {"gpu-nvswitch": 6, "nic-leaf": 3}),
        ],
    )
    def test_who_holds_it_up(self, work: Job, schedule: Schedule, held: dict[str, float]) -> None:
        found = timed(work, schedule)
        told = dict(zip(work.links.rules, found.held_s.tolist(), strict=True))
        assert {name: s for name, s in told.items() if s} == pytest.approx(held)

    def test_rounding_does_not_choose_what_binds(self) -> None:
        assert first_largest(np.array([0.5, 1.0, 1.0 + 1e-12])) == 1
        assert first_largest(np.array([0.5, 1.0, 1.0 + 1e-6])) == 2

    def test_peaks_are_the_busiest_links(self, work: Job) -> None:
        found = timed(work, Pipe((a(3), b(5))))
        told = dict(zip(work.links.rules, peaks(work, found.busy_s).tolist(), strict=True))
        assert told == pytest.approx({"gpu-nvswitch": 3, "gpu-nic": 2.5, "nic-leaf": 5, "leaf-spine": 0})


class TestOverheads:
    over = Overheads(SLOW, ProtocolCost("LL", 0.5, 0.25))

    def test_rates_are_parts_of_the_wire(self, work: Job) -> None:
        # Half of the wire by the calibration, half of that by the protocol.
        assert timed(work, a(3), self.over).transfer_s == pytest.approx(12)
        assert timed(work, b(5), self.over).transfer_s == pytest.approx(10)

    def test_another_transfer_has_its_own(self, work: Job) -> None:
        phase = Phase(
            "c", Pattern("pairwise", "domain"), 100 * GB, 1, "copy", lambda n, step: (), "all-to-all"
        )
        # A protocol is for copies.
        assert timed(work, phase, self.over).transfer_s == pytest.approx(4)

    def test_latency_is_that_of_every_link_on_the_way(self, work: Job) -> None:
        # GPU, NVSwitch, GPU: two links a step. GPU, NIC, leaf, NIC, GPU: rule before network before nothing.
        plain = Overheads(SLOW, ProtocolCost("Simple"))
        assert timed(work, a(0.0, 3), plain).latency_s == pytest.approx(3 * 2 * 1e-3)
        assert timed(work, b(0.0, 2), plain).latency_s == pytest.approx(2 * 2 * 2e-3)
        assert timed(work, b(0.0, 2), self.over).latency_s == pytest.approx(2 * 2 * 2e-3 / 4)

    def test_latencies_of_a_pipe_add_and_those_side_by_side_do_not(self, work: Job) -> None:
        plain = Overheads(SLOW, ProtocolCost("Simple"))
        one, other = (timed(work, p, plain).latency_s for p in (a(1, 3), b(1, 4)))
        parts = (a(1, 3), b(1, 4))
        assert timed(work, Pipe(parts), plain).latency_s == pytest.approx(one + other)
        assert timed(work, Seq(parts), plain).latency_s == pytest.approx(one + other)
        assert timed(work, Par(parts), plain).latency_s == pytest.approx(max(one, other))
        assert (steps_of(Pipe(parts)), steps_of(Par(parts)), steps_of(parts[0])) == (7, 4, 3)

    def test_a_slowdown_multiplies_what_links_take(self, work: Job) -> None:
        over = Overheads(
            Calibration("wire"), ProtocolCost("Simple"), lambda pattern, load: np.full(len(load), 3.0)
        )
        assert timed(work, Pipe((a(3), b(5))), over).time_s == pytest.approx(15)


class TestIdeal:
    over = Overheads(Calibration("wire"), ProtocolCost("Simple"), is_ideal=True)

    @pytest.mark.some(1)
    def test_no_schedule_is_slower_than_by_an_equal_split(self, work: Job) -> None:
        for collective in COLLECTIVES:
            for schedule in schedules(collective, work.shape, GB).values():
                given, best = timed(work, schedule), timed(work, schedule, self.over)
                assert best.transfer_s <= given.transfer_s * (1 + 1e-9)

    def test_a_root_sends_over_all_its_cables(self, hand_made: ModuleType) -> None:
        # 8/9 of S over 2 x 50 GB/s of NVLink and 50 GB/s of NIC: mates relay what one NIC is too slow for.
        schedule = schedules("scatter", job(hand_made.boxes(3, 3)).shape, GB)["direct"]
        for method in ("axes", "links"):
            work = job(hand_made.boxes(3, 3), JobQuestion(method=method))
            assert timed(work, schedule, self.over).transfer_s == pytest.approx(8 / 9 * GB / 150e9, rel=1e-6)

    def test_two_ways_round_a_ring(self, hand_made: ModuleType) -> None:
        # Six chips send to the next. The best way sends x over one cable and 1 - x over five the other way:
        # x = 5 (1 - x).
        for method in ("axes", "links"):
            work = job(hand_made.torus(6), JobQuestion(method=method))
            schedule = schedules("send-recv", work.shape, 50 * GB)["direct"]
            assert timed(work, schedule).transfer_s == pytest.approx(1)
            assert timed(work, schedule, self.over).transfer_s == pytest.approx(5 / 6)

    @pytest.mark.some(1)
    @pytest.mark.parametrize("rule", ["nic0, leaf0", "leaf0, spine"])
    def test_a_failed_cable_never_speeds_it_up(self, hand_made: ModuleType, rule: str) -> None:
        left, right = rule.split(", ")
        box = "box0/" if left == "nic0" else ""
        whole = hand_made.boxes(2, 2)
        broken = hand_made.boxes(2, 2, extra=f"failed: [[{box}{left}, {right}, 1]]")
        for collective, method in (("all-gather", "axes"), ("all-to-all", "links"), ("gather", "axes")):
            before, after = (
                {
                    one.algorithm: one.time_s
                    for one in cost(
                        f,
                        collective,
                        10**9,
                        routing="ideal",
                        method=method,
                        algorithm="all",
                        calibration="wire",
                    ).algorithms
                }
                for f in (whole, broken)
            )
            for name, time_s in before.items():
                assert after[name] >= time_s * (1 - 1e-7), (collective, method, name)
