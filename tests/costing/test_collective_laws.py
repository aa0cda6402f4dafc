"""Laws that every algorithm keeps on every fabric, and what the million has in common with two pods."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fabric.costing import Calibration, Cost, Overhead, Spread, cost
from fabric.errors import FabricError
from fabric.graph import Fabric, load
from fabric.schedule import COLLECTIVES, busbw_factor

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
S = 10**9
BOTH = ("scale-up", "scale-out")
CONSTRUCTS = ("clos", "two includes", "ring x ring", "mesh x mesh", "composed axes", "line x mesh")


def times(fabric: Fabric, collective: str, size: int = S, **asked: Any) -> dict[str, float]:
    answer = cost(
        fabric, collective, size, algorithm="all", is_bounded=False, **{"calibration": "wire", **asked}
    )
    return {one.algorithm: one.time_s for one in answer.algorithms}


def by_hand(hand_made: ModuleType) -> Iterator[Fabric]:
    yield hand_made.star(7, switch="part: qm9700")
    yield hand_made.boxes(3, 4)
    yield hand_made.boxes(4, 2, uplinks=1)
    yield hand_made.boxes(2, 5, extra="absent: [box1/slot4/gpu, box1/slot4/nic]")
    yield hand_made.leaf_spine(1, switch="part: qm9700")
    yield hand_made.pairs(3, switch="part: qm9700")
    yield hand_made.torus(4, 2)
    yield hand_made.torus(3, 3, 2)


N_BY_HAND = 8


@pytest.fixture(params=range(N_BY_HAND))
def one_by_hand(request: pytest.FixtureRequest, hand_made: ModuleType) -> Fabric:
    """Return each of the fabrics that are made by hand."""
    (fabric,) = itertools.islice(by_hand(hand_made), request.param, request.param + 1)
    return fabric


def test_all_fabrics_by_hand_are_asked(hand_made: ModuleType) -> None:
    assert len([*by_hand(hand_made)]) == N_BY_HAND


def some(
    constructs: ModuleType, seeds: Iterable[int], kinds: tuple[str, ...] = CONSTRUCTS
) -> Iterator[tuple[Fabric, dict[str, Any]]]:
    """Yield random fabrics, and among which of their endpoints to ask."""
    for construct in kinds:
        for seed in seeds:
            fabric, _ = constructs.random_fabric(construct, seed)
            groups = [g.name for g in fabric.blueprint.groups.values() if g.is_endpoint]
            yield fabric, {"among": groups[0] if len(groups) > 1 else None}


def asked_of(fabric: Fabric, collective: str, **asked: Any) -> Cost | None:
    """Return the answer, or None where ranks are down or apart."""
    try:
        return cost(fabric, collective, S, algorithm="all", **asked, calibration="wire")
    except FabricError:
        return None


def check_bounds(answer: Cost) -> int:
    """Raise where an algorithm is faster than its bound; return how many have one."""
    for one in answer.algorithms:
        assert one.bound_ratio <= 1 + 1e-9, f"{answer.collective} by {one.algorithm} beats its bound"
    return sum(one.bound_ratio > 0 for one in answer.algorithms)


class TestBounds:
    @pytest.mark.some(1)
    @pytest.mark.parametrize("routing", ["ecmp", "hashed", "rail", "ideal"])
    def test_nothing_beats_its_bound(self, one_by_hand: Fabric, routing: str) -> None:
        n = 0
        for collective in COLLECTIVES:
            answer = asked_of(one_by_hand, collective, reduces=BOTH, routing=routing)
            n += 0 if answer is None else check_bounds(answer)
        assert n > 8

    def run(self, fabrics: Iterator[tuple[Fabric, dict[str, Any]]], *routings: str) -> int:
        n = 0
        for fabric, asked in fabrics:
            for collective in COLLECTIVES:
                for routing in routings:
                    answer = asked_of(fabric, collective, routing=routing, **asked)
                    n += 0 if answer is None else check_bounds(answer)
        return n

    @pytest.mark.slow
    def test_nor_on_random_fabrics(self, constructs: ModuleType) -> None:
        assert self.run(some(constructs, range(1), CONSTRUCTS[:3]), "ecmp") > 20

    @pytest.mark.slow
    def test_nor_on_many(self, constructs: ModuleType) -> None:
        assert self.run(some(constructs, range(13)), "ecmp", "ideal") > 1000

    def test_a_wrong_answer_is_caught(self, hand_made: ModuleType) -> None:
        # Twice the rate under the same bound.
        answer = cost(hand_made.star(4), "all-reduce", S, calibration="wire")
        wrong = cost(hand_made.star(4, rate=800), "all-reduce", S, calibration="wire")
        ratio = wrong.algbw_gbps / answer.bound.algbw_gbps  # type: ignore[union-attr]
        assert ratio == pytest.approx(2)
        object.__setattr__(wrong.algorithms[0], "bound_ratio", ratio)
        with pytest.raises(AssertionError, match="beats its bound"):
            check_bounds(wrong)

    @pytest.mark.parametrize("n", [2, 3, 8, 17])
    def test_one_switch_is_reached(self, hand_made: ModuleType, n: int) -> None:
        # Ring, pairs and the bound are one there; reductions in the switch take half of a large all-reduce.
        fabric = hand_made.star(n, switch="part: qm9700")
        for collective in ("all-reduce", "all-gather", "reduce-scatter"):
            answer = cost(fabric, collective, S, algorithm="all", reduces=BOTH, calibration="wire")
            told = {one.algorithm: one.bound_ratio for one in answer.algorithms}
            assert told["ring"] == pytest.approx(1)
            assert told["hierarchical"] == pytest.approx(1)
            if collective == "all-reduce":
                assert told["collnet-direct"] == pytest.approx(1)

    @pytest.mark.parametrize("sizes", [(4,), (4, 4), (3, 3, 3)])
    def test_a_torus_is_reached_by_its_own_algorithm(
        self, hand_made: ModuleType, sizes: tuple[int, ...]
    ) -> None:
        for collective in ("all-reduce", "all-gather", "reduce-scatter"):
            answer = cost(hand_made.torus(*sizes), collective, S, algorithm="torus", calibration="wire")
            assert answer.chosen.bound_ratio == pytest.approx(1)


class TestIdeal:
    def run(
        self, fabrics: Iterator[tuple[Fabric, dict[str, Any]]], collectives: tuple[str, ...] = COLLECTIVES
    ) -> int:
        n = 0
        for fabric, asked in fabrics:
            for collective in collectives:
                given = asked_of(fabric, collective, **asked)
                if given is None:
                    continue
                best = times(fabric, collective, routing="ideal", **asked)
                for one in given.algorithms:
                    assert best[one.algorithm] <= one.time_s * (1 + 1e-7)
                    n += 1
        return n

    @pytest.mark.slow
    def test_is_never_slower_than_an_equal_split(self, constructs: ModuleType) -> None:
        fabrics = some(constructs, range(4, 5), ("clos", "composed axes"))
        assert self.run(fabrics, ("all-gather", "all-to-all", "broadcast")) > 6

    @pytest.mark.slow
    def test_nor_on_many(self, constructs: ModuleType) -> None:
        assert self.run(some(constructs, (4, *range(13, 23)))) > 300

    def broken(self, constructs: ModuleType, seeds: range, kinds: tuple[str, ...] = CONSTRUCTS) -> int:
        """Raise where a failed cable speeds an algorithm up whose routes are all chosen together."""
        n = 0
        for construct in kinds:
            for seed in seeds:
                draft, failed, _ = constructs.random_draft(construct, seed)
                cables = [f for f in failed if not isinstance(f, str)]
                whole, damaged = constructs.load(draft), constructs.load(draft, cables)
                groups = [g.name for g in whole.blueprint.groups.values() if g.is_endpoint]
                among = groups[0] if len(groups) > 1 else None
                for collective, algorithm in (
                    ("all-to-all", "pairwise"),
                    ("all-gather", "bruck"),
                    ("broadcast", "binomial"),
                    ("gather", "direct"),
                    ("reduce-scatter", "ring"),
                ):
                    try:
                        before, after = (
                            cost(
                                f,
                                collective,
                                S,
                                algorithm=algorithm,
                                routing="ideal",
                                among=among,
                                method="links",
                                is_bounded=False,
                                calibration="wire",
                            )
                            for f in (whole, damaged)
                        )
                    except FabricError:
                        continue
                    # A cable may be all that made two ranks one domain; rings then have another order.
                    if before.n_domains == after.n_domains:
                        assert after.time_s >= before.time_s * (1 - 1e-7)
                        n += bool(cables)
        return n

    @pytest.mark.slow
    def test_a_failed_cable_never_speeds_it_up(self, constructs: ModuleType) -> None:
        assert self.broken(constructs, range(2, 4), ("clos",)) > 2

    @pytest.mark.slow
    def test_nor_on_many_fabrics(self, constructs: ModuleType) -> None:
        assert self.broken(constructs, range(1, 30)) > 100


class TestScale:
    def test_rates_and_bytes_together_change_nothing(self, hand_made: ModuleType) -> None:
        slow, fast = hand_made.boxes(3, 3, rate=100), hand_made.boxes(3, 3, rate=400)
        for collective in COLLECTIVES:
            one, other = times(slow, collective, S), times(fast, collective, 4 * S)
            assert one == pytest.approx(other)

    @pytest.mark.some(1)
    @pytest.mark.parametrize("routing", ["ecmp", "ideal", "rail", "hashed", "adaptive"])
    def test_time_is_linear_in_bytes_at_zero_latency(self, hand_made: ModuleType, routing: str) -> None:
        fabric = hand_made.boxes(2, 2)
        for collective in COLLECTIVES:
            one, other = (times(fabric, collective, n * S, routing=routing) for n in (1, 1000))
            assert {k: 1000 * t for k, t in one.items()} == pytest.approx(other)

    @pytest.mark.some(1)
    def test_time_never_falls_with_bytes(self, one_by_hand: Fabric) -> None:
        known = Calibration(
            "some",
            launch_s=3e-6,
            links={
                "scale-up": {"copy": Overhead(0.8, 1e-6), "all-to-all": Overhead(0.5, 2e-6)},
                "scale-out": {"copy": Overhead(0.9, 4e-6)},
            },
        )
        for collective in COLLECTIVES:
            found = [times(one_by_hand, collective, n, calibration=known) for n in (1, 1000, 10**6, 10**9)]
            for name in found[0]:
                own = [one[name] for one in found]
                assert own == sorted(own)
                assert own[0] >= 3e-6

    @pytest.mark.some(1)
    @pytest.mark.parametrize("make", ["boxes", "leaf_spine", "pairs"])
    def test_busbw_is_algbw_times_the_factor(self, hand_made: ModuleType, make: str) -> None:
        # NVIDIA nccl-tests, doc/PERFORMANCE.md: 2 (n - 1) / n, (n - 1) / n, or 1.
        fabric = {"boxes": hand_made.boxes(3, 2), "pairs": hand_made.pairs(2)}.get(
            make, hand_made.leaf_spine(1)
        )
        for collective in COLLECTIVES:
            answer = cost(fabric, collective, S, algorithm="all", calibration="wire")
            n = answer.n_ranks
            factor = {"all-reduce": 2 * (n - 1) / n, "broadcast": 1, "reduce": 1, "send-recv": 1}.get(
                collective, (n - 1) / n
            )
            assert busbw_factor(collective, n) == pytest.approx(factor)
            for one in answer.algorithms:
                assert one.algbw_gbps == pytest.approx(8 * S / one.time_s / 1e9)
                assert one.busbw_gbps == pytest.approx(one.algbw_gbps * factor)


class TestMethods:
    @pytest.mark.some(1)
    def test_symmetric_algorithms_cost_the_same_on_every_route(self, one_by_hand: Fabric) -> None:
        # Pairs and reductions in switches are the same for every order of the ranks.
        for collective, names in (
            ("all-to-all", ("pairwise", "pxn", "hierarchical")),
            ("all-reduce", ("nvls", "collnet-direct", "torus")),
        ):
            one, other = (times(one_by_hand, collective, reduces=BOTH, method=m) for m in ("auto", "links"))
            for name in set(names) & set(one):
                assert one[name] == pytest.approx(other[name])

    def test_an_order_and_over_are_asked_of_either(self, hand_made: ModuleType) -> None:
        fabric = hand_made.boxes(4, 4)
        for order, over in (("(box slot) -> (dp tp=2)", ("tp",)), ("(slot box) -> (a b=4)", ("b",))):
            one, other = (
                times(fabric, "all-to-all", order=order, over=over, method=m) for m in ("axes", "links")
            )
            assert one["pairwise"] == pytest.approx(other["pairwise"])


@pytest.fixture(scope="module")
def million() -> Fabric:
    return load(TOPOLOGIES / "systems/million-scenario.fabric.yaml")


class TestMillion:
    """What a pod, its two, and all 55 have in common: most links do not know how many there are."""

    def test_hierarchical_is_bound_by_the_rack(self, million: Fabric) -> None:
        # 71/72 of S out and in at 900 GB/s; the NIC has 1/72 of it to carry, at 100 GB/s.
        whole = cost(million, "all-reduce", S, algorithm="hierarchical", calibration="wire")
        two = cost(million, "all-reduce", S, algorithm="hierarchical", among="pod0-1/gpu", calibration="wire")
        assert whole.n_ranks == 1_013_760
        assert two.n_ranks == 2 * 18_432
        assert whole.time_s == pytest.approx(2 * 71 / 72 * S / 900e9)
        assert two.time_s == pytest.approx(whole.time_s)
        assert (whole.method, two.method) == ("axes", "axes")

    def test_groups_in_racks_are_one_rack(self, million: Fabric) -> None:
        answer = cost(million, "all-reduce", S, over=("tray", "slot"), algorithm="ring", calibration="wire")
        rack = cost(
            load(TOPOLOGIES / "gb300-nvl72.fabric.yaml"),
            "all-reduce",
            S,
            algorithm="ring",
            calibration="wire",
        )
        assert answer.n_instances == 14_080
        assert answer.time_s == pytest.approx(rack.time_s)

    def test_pairs_are_bound_by_the_tapered_spines(self, million: Fabric) -> None:
        # 54/55 of all leave a pod, over 128 spines x 112 cables of 800 Gb/s for 18,432 GPUs.
        answer = cost(million, "all-to-all", S, algorithm="pairwise", calibration="wire")
        assert answer.binding == "spine-core"
        assert answer.time_s == pytest.approx(54 / 55 * S * 18_432 / (128 * 112 * 100e9))

    @pytest.mark.some(1)
    @pytest.mark.parametrize(
        "collective",
        [
            pytest.param(c, marks=[] if c in ("all-reduce", "all-to-all", "scatter") else [pytest.mark.slow])
            for c in COLLECTIVES
        ],
    )
    def test_every_collective_has_an_answer(self, million: Fabric, collective: str) -> None:
        answer = cost(
            million, collective, S, algorithm="auto", routing="hashed", spread=Spread(16), calibration="wire"
        )
        assert answer.time_s > 0
        assert answer.chosen.bound_ratio <= 1 + 1e-9

    def test_a_ring_of_a_million_without_domains(self, hand_made: ModuleType) -> None:
        # 1,013,760 ranks on 40 spines and 1,408 leaves of 720: every rank sends to the next on its leaf.
        fabric = hand_made.leaf_spine(1, pods=1408, nodes=720, spines=40)
        answer = cost(fabric, "all-reduce", S, algorithm="ring", calibration="wire")
        n = 1_013_760
        assert (answer.n_ranks, answer.n_domains) == (n, n)
        assert answer.time_s == pytest.approx(2 * (n - 1) / n * S / 50e9)
