"""Hashed and adaptive routing: what uneven flows cost, by hand and by law."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import numpy as np
import pytest

from fabric import costing
from fabric.costing import Spread
from fabric.costing.spread import slowdowns
from fabric.errors import QuestionError
from fabric.graph import fail, loads
from fabric.job import Job, JobQuestion, job
from fabric.job.on_links import demands
from fabric.routing import router, slowest_flow
from fabric.routing.balls import SlowestFlow, hashed_factor
from fabric.schedule import Pattern

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

S = 10**9
ALL = Pattern("pairwise", "job")


def mean_slowdown(work: Job, pattern: Pattern, spread: Spread, routing: str = "hashed") -> dict[str, float]:
    """Return the most that any link of each rule is slowed down."""
    (_, slowdown), *_ = slowdowns(work, routing, spread)
    assert slowdown is not None
    slow = slowdown(pattern, work.loads(pattern).on_link)
    found = np.zeros(len(work.links.rules))
    np.maximum.at(found, work.links.rule, slow)
    return dict(zip(work.links.rules, found.tolist(), strict=True))


@pytest.mark.parametrize("method", ["axes", "links"])
class TestByHand:
    """Four leaves of four GPUs, each leaf with 2 x u cables up."""

    @pytest.mark.parametrize(("uplinks", "n_queue_pairs"), [(1, 1), (2, 1), (2, 4), (3, 16)])
    def test_all_to_all(self, hand_made: ModuleType, method: str, uplinks: int, n_queue_pairs: int) -> None:
        # A leaf has 4 ranks with a flow, or some, for each of 12 ranks elsewhere; so have those that come in.
        work = job(hand_made.leaf_spine(uplinks), JobQuestion(method=method))
        slow = mean_slowdown(work, ALL, Spread(n_queue_pairs))
        expected = hashed_factor(4 * 12 * n_queue_pairs, 2 * uplinks, n_groups=8).slowdown
        assert slow == pytest.approx({"gpu-leaf": 1, "leaf-spine": expected})

    def test_a_shift_is_one_flow_a_rank(self, hand_made: ModuleType, method: str) -> None:
        # By four places every rank crosses: four flows on four cables of a leaf, and as many on the way down.
        work = job(hand_made.leaf_spine(2), JobQuestion(method=method))
        slow = mean_slowdown(work, Pattern("shift", "job", 4), Spread(1))
        assert slow["leaf-spine"] == pytest.approx(hashed_factor(4, 4, n_groups=8).slowdown)

    def test_the_cost_is_slowed_down_by_it(self, hand_made: ModuleType, method: str) -> None:
        # 4 x 12 / 16 S over 4 cables of 50 GB/s, times the slowest flow; or 15 / 16 S over the own cable.
        fabric = hand_made.leaf_spine(2)
        factor = hashed_factor(4 * 12 * 4, 4, n_groups=8)
        plain, own = 4 * 12 / 16 * S / 4 / 50e9, 15 / 16 * S / 50e9
        answer = cost(
            fabric,
            "all-to-all",
            S,
            routing="hashed",
            spread=Spread(4),
            method=method,
            algorithm="pairwise",
            calibration="wire",
        )
        assert answer.time_s == pytest.approx(max(own, plain * factor.slowdown))
        assert answer.binding == ("leaf-spine" if plain * factor.slowdown > own else "gpu-leaf")
        told = dict(answer.chosen.spread)
        assert told == pytest.approx(
            {"p50": max(own, plain / factor.p50), "p99": max(own, plain / factor.p99)}
        )

    def test_one_cable_is_no_choice(self, hand_made: ModuleType, method: str) -> None:
        work = job(hand_made.boxes(3, 2, uplinks=1), JobQuestion(method=method, routing="rail-direct"))
        assert set(mean_slowdown(work, ALL, Spread(1)).values()) == {1.0}

    def test_adaptive_is_the_equal_split_over_its_efficiency(
        self, hand_made: ModuleType, method: str
    ) -> None:
        work = job(hand_made.leaf_spine(1), JobQuestion(method=method))
        slow = mean_slowdown(work, ALL, Spread(spraying=0.8), "adaptive")
        assert slow == pytest.approx({"gpu-leaf": 1, "leaf-spine": 1 / 0.8})
        plain = cost(
            hand_made.leaf_spine(1), "all-to-all", S, method=method, algorithm="pairwise", calibration="wire"
        )
        sprayed = cost(
            hand_made.leaf_spine(1),
            "all-to-all",
            S,
            routing="adaptive",
            spread=Spread(spraying=0.8),
            method=method,
            algorithm="pairwise",
            calibration="wire",
        )
        assert plain.binding == "leaf-spine"
        assert sprayed.time_s == pytest.approx(plain.time_s / 0.8)
        assert sprayed.chosen.spread == ()


def test_more_queue_pairs_are_never_slower_on_average(hand_made: ModuleType) -> None:
    fabric = hand_made.leaf_spine(2)
    for collective in ("all-to-all", "all-reduce", "send-recv"):
        times = [
            cost(
                fabric, collective, S, routing="hashed", spread=Spread(n), among=None, calibration="wire"
            ).time_s
            for n in (1, 2, 16, 128)
        ]
        assert times == sorted(times, reverse=True)
        assert times[-1] >= cost(fabric, collective, S, calibration="wire").time_s * (1 - 1e-9)


def test_a_hashed_collective_is_never_faster(hand_made: ModuleType) -> None:
    for fabric in (hand_made.leaf_spine(1), hand_made.boxes(4, 3), hand_made.pairs(3)):
        for collective in ("all-reduce", "all-to-all", "broadcast", "scatter"):
            plain = {
                a.algorithm: a.time_s
                for a in cost(fabric, collective, S, algorithm="all", calibration="wire").algorithms
            }
            for one in cost(
                fabric, collective, S, algorithm="all", routing="hashed", calibration="wire"
            ).algorithms:
                assert one.time_s >= plain[one.algorithm] * (1 - 1e-9)
                told = dict(one.spread)
                assert told["p99"] >= told["p50"] * (1 - 1e-9) > 0


def test_bins_agree_on_every_route_to_the_loads(hand_made: ModuleType) -> None:
    # Switches that are alike are one class on the axes, and as many groups on every cable.
    for pattern in (ALL, Pattern("shift", "job", 4), Pattern("pairwise", "rail")):
        one, other = (
            mean_slowdown(job(hand_made.leaf_spine(2), JobQuestion(method=m)), pattern, Spread(2))
            for m in ("axes", "links")
        )
        assert one == pytest.approx(other)


# Pods of two leaves of eight GPUs, four spine cables a GPU pair, and cores.
THREE_TIERS = """
fabric: three
axes: {pod: 4, leaf: 2, n: 8, k: 2, c: 4}
devices:
  gpu: {kind: gpu, axes: [pod, leaf, n]}
  leafswitch: {kind: switch, axes: [pod, leaf]}
  spine: {kind: switch, axes: [pod, k]}
  core: {kind: switch, axes: [k, c]}
links:
  - {between: [gpu, leafswitch], rate: 50GB/s}
  - {between: [leafswitch, spine], rate: 50GB/s, count: 4}
  - {between: [spine, core], rate: 50GB/s, count: 2}
"""


@pytest.mark.some(1)
@pytest.mark.parametrize("n_queue_pairs", [1, 4])
@pytest.mark.parametrize("pattern", [ALL, Pattern("shift", "job", 16)])
@pytest.mark.parametrize("tiers", [2, 3])
def test_every_stage_is_drawn(
    hand_made: ModuleType, tiers: int, pattern: Pattern, n_queue_pairs: int
) -> None:
    """Flows drawn one by one over the whole fabric are as slow as stages that are drawn each for itself."""
    fabric = loads(THREE_TIERS) if tiers == 3 else hand_made.leaf_spine(4, pods=4, nodes=16, spines=4)
    work = job(fabric, JobQuestion(method="links"))
    ranks = work.route.__self__.ranks  # type: ignore[attr-defined]
    route = router(ranks.expanded, ranks.is_rank)
    drawn = slowest_flow(
        route, demands(ranks, pattern), seed=1, n_trials=40, n_queue_pairs=n_queue_pairs
    ).drawn
    load = work.loads(pattern).on_link
    busy = load / work.links.capacity_gbps
    (_, slowdown), *_ = slowdowns(work, "hashed", Spread(n_queue_pairs))
    assert slowdown is not None
    found = (busy * slowdown(pattern, load)).max() / busy.max()
    assert found == pytest.approx(drawn.slowdown, rel=0.08)
    # The first stage alone is faster than that.
    first = hashed_factor(16 * n_queue_pairs, 16, n_groups=4).slowdown
    assert pattern == ALL or found > 1.03 * first


# Four cards a GPU, as in an AWS p5, on one leaf a rack of two nodes.
FOUR_CARDS = """
fabric: racks
axes: {rack: 4, node: 2, g: 2, card: 4, k: 4}
devices:
  gpu: {kind: gpu, axes: [rack, node, g], transit: relay}
  nv: {kind: switch, axes: [rack, node]}
  nic: {kind: nic, axes: [rack, node, g, card]}
  leaf: {kind: switch, axes: [rack]}
  spine: {kind: switch, axes: [k]}
links:
  - {between: [gpu, nv], rate: 900GB/s, net: scale-up}
  - {between: [gpu, nic], rate: 100GB/s}
  - {between: [nic, leaf], rate: 12.5GB/s}
  - {between: [leaf, spine], rate: 12.5GB/s, count: 4}
"""


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize("n_queue_pairs", [1, 4])
@pytest.mark.parametrize("pattern", [ALL, Pattern("shift", "job", 4)])
def test_every_card_has_flows_of_its_own(method: str, pattern: Pattern, n_queue_pairs: int) -> None:
    """As one flow a message, a shift was 8.3 times the equal split and not 4."""
    fabric = loads(FOUR_CARDS)
    listed = job(fabric, JobQuestion(method="links")).route.__self__  # type: ignore[attr-defined]
    drawn = slowest_flow(
        listed.messages, demands(listed.ranks, pattern), seed=1, n_trials=40, n_queue_pairs=n_queue_pairs
    ).drawn
    work = job(fabric, JobQuestion(method=method, routing="hashed"))  # type: ignore[arg-type]
    load = work.loads(pattern).on_link
    busy = load / work.links.capacity_gbps
    (_, slowdown), *_ = slowdowns(work, "hashed", Spread(n_queue_pairs))
    assert slowdown is not None
    assert (busy * slowdown(pattern, load)).max() / busy.max() == pytest.approx(drawn.slowdown, rel=0.08)


def test_numbers_out_of_range() -> None:
    for n in (0, -1, 5000):
        with pytest.raises(QuestionError, match=f"queue pairs: from 1 to 4,096; got {n}"):
            Spread(n)
    assert Spread(4096).spraying == "spectrum-x"


def test_an_unknown_efficiency_is_refused(hand_made: ModuleType) -> None:
    with pytest.raises(QuestionError, match="spectrum"):
        cost(
            hand_made.leaf_spine(1),
            "all-to-all",
            S,
            routing="adaptive",
            spread=Spread(spraying="spectrumx"),
            calibration="wire",
        )


def test_values_are_those_asked_for(hand_made: ModuleType) -> None:
    found = slowdowns(job(hand_made.leaf_spine(1)), "hashed", Spread())
    assert [name for name, _ in found] == ["mean", "p50", "p99"]
    assert slowdowns(job(hand_made.leaf_spine(1)), "ecmp", Spread()) == [("mean", None)]
    assert isinstance(hashed_factor(8, 4), SlowestFlow)


RAILS = """\
fabric: rails
axes: {node: 2, slot: 2, spine: 2}
devices:
  gpu:   {kind: gpu, axes: [node, slot]}
  nic:   {kind: nic, axes: [node, slot]}
  leaf:  {kind: switch, axes: [node, slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nic], rate: 800Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


@pytest.mark.parametrize("n_queue_pairs", [1, 4])
@pytest.mark.parametrize(
    "failed", [[], ["node0/leaf0 - spine0 x 1"], ["leaf0 - spine0 x 1"], ["leaf0 - spine0 x 2"], ["spine0"]]
)
def test_a_lone_message_waits_for_no_other_whatever_has_failed(failed: list[str], n_queue_pairs: int) -> None:
    # All of it fits on one cable of a leaf: however it is drawn, the card is the slowest, at 50 GB/s.
    answer = cost(
        fail(loads(RAILS), *failed),
        "send-recv",
        S,
        ranks=["node0/gpu0", "node1/gpu0"],
        routing="hashed",
        spread=Spread(n_queue_pairs),
        calibration="wire",
    )
    assert answer.time_s == pytest.approx(S / 50e9)
    assert [time for _, time in answer.chosen.spread] == pytest.approx([S / 50e9] * 2)


# Cards of two ports, each in a plane of its own, under leaves that four spines a plane join.
PLANES = """
fabric: planes
axes: {plane: 2, block: 4, n: 8, k: 2}
devices:
  gpu: {kind: gpu, axes: [block, n]}
  nic: {kind: nic, axes: [block, n]}
  leaf: {kind: switch, axes: [plane, block]}
  spine: {kind: switch, axes: [plane, k]}
links:
  - {between: [gpu, nic], rate: 200GB/s, net: host}
  - {between: [nic, leaf], rate: 50GB/s}
  - {between: [leaf, spine], rate: 50GB/s, count: 4}
"""


@pytest.mark.some(2)
@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize("n_queue_pairs", [1, 4])
@pytest.mark.parametrize("pattern", [ALL, Pattern("shift", "job", 8)])
def test_the_plane_of_a_flow_is_drawn(method: str, pattern: Pattern, n_queue_pairs: int) -> None:
    """Cards spread flows over both their ports for nothing, as if a port were no cable."""
    fabric = loads(PLANES)
    listed = job(fabric, JobQuestion(method="links")).route.__self__  # type: ignore[attr-defined]
    drawn = slowest_flow(
        listed.messages, demands(listed.ranks, pattern), seed=1, n_trials=40, n_queue_pairs=n_queue_pairs
    ).drawn
    work = job(fabric, JobQuestion(method=method, routing="hashed"))  # type: ignore[arg-type]
    load = work.loads(pattern).on_link
    busy = load / work.links.capacity_gbps
    (_, slowdown), *_ = slowdowns(work, "hashed", Spread(n_queue_pairs))
    assert slowdown is not None
    found = (busy * slowdown(pattern, load)).max() / busy.max()
    assert found == pytest.approx(drawn.slowdown, rel=0.12)


@pytest.mark.parametrize("method", ["axes", "links"])
def test_one_flow_has_one_port_of_a_card(method: str) -> None:
    text = "{fabric: a, axes: {i: 8, p: N}, devices: {gpu: {kind: gpu, axes: [i]}, "
    text += "nic: {kind: nic, axes: [i]}, leaf: {kind: switch, axes: [p]}}, links: [{between: [gpu, nic], "
    text += "rate: 400GB/s, net: host}, {between: [nic, leaf], rate: 50GB/s}]}"

    def time_s(ports: int, **how: object) -> float:
        fabric = loads(text.replace("N", str(ports)))
        return cost(fabric, "send-recv", S, method=method, calibration="wire", **how).time_s  # type: ignore[arg-type]

    assert time_s(4) == pytest.approx(time_s(1) / 4)
    for ports in (1, 2, 4):
        assert time_s(ports, routing="hashed") == pytest.approx(time_s(1))
        assert time_s(ports, routing="adaptive") == pytest.approx(time_s(1) / ports)
    # Many flows are on both ports, nearly evenly.
    assert 1 < time_s(2, routing="hashed", spread=Spread(4096)) / time_s(2) < 1.05
