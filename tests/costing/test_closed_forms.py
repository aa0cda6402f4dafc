"""Steps and bytes of every algorithm against the closed forms of the literature.

Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
2005, unless said otherwise: a time is steps * alpha + bytes * beta.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest

from fabric.schedule.algorithms import COLLECTIVES, Shape, busbw_factor, schedules
from fabric.schedule.tree import Par, Schedule, phases

SIZE = 840.0


def built(collective: str, shape: Shape, name: str) -> Schedule:
    return schedules(collective, shape, SIZE)[name]


def alpha_beta(schedule: Schedule) -> tuple[int, float]:
    """Return the steps one after the other, and the bytes on one link that all phases share."""
    found = list(phases(schedule))
    return sum(p.steps for p in found), sum(p.bytes_per_endpoint for p in found)


class TestFlat:
    @pytest.mark.parametrize("n", [2, 7, 8, 64, 72, 1024])
    def test_rings(self, n: int) -> None:
        # Patarasuk and Yuan 2009: the least bytes without reducing switches.
        flat = Shape((1,) * n)
        once = (n - 1) / n * SIZE
        assert alpha_beta(built("all-reduce", flat, "ring")) == (2 * (n - 1), pytest.approx(2 * once))
        assert alpha_beta(built("all-gather", flat, "ring")) == (n - 1, pytest.approx(once))
        assert alpha_beta(built("reduce-scatter", flat, "ring")) == (n - 1, pytest.approx(once))

    @pytest.mark.parametrize("log2_n", [1, 2, 3, 6, 10])
    def test_halving_doubling_of_a_power_of_two(self, log2_n: int) -> None:
        n = 1 << log2_n
        flat = Shape((n,))
        once = (n - 1) / n * SIZE
        assert alpha_beta(built("all-reduce", flat, "halving-doubling")) == (
            2 * log2_n,
            pytest.approx(2 * once),
        )
        assert alpha_beta(built("all-reduce", flat, "recursive-doubling")) == (log2_n, log2_n * SIZE)
        for name in ("recursive-doubling", "halving-doubling", "bruck", "pat"):
            assert alpha_beta(built("all-gather", flat, name)) == (log2_n, pytest.approx(once))

    @pytest.mark.parametrize("n", [3, 7, 72, 96])
    def test_halving_doubling_of_other_numbers_folds_the_rest(self, n: int) -> None:
        log2_p = n.bit_length() - 1
        p = 1 << log2_p
        flat = Shape((n,))
        assert alpha_beta(built("all-reduce", flat, "halving-doubling")) == (
            2 * log2_p + 2,
            pytest.approx((2 * (p - 1) / p + 2) * SIZE),
        )
        assert alpha_beta(built("all-reduce", flat, "recursive-doubling")) == (
            log2_p + 2,
            (log2_p + 2) * SIZE,
        )

    @pytest.mark.parametrize("n", [2, 3, 7, 8, 13, 64, 72, 1000])
    def test_logarithmic_gathers_of_any_number(self, n: int) -> None:
        for collective in ("all-gather", "reduce-scatter"):
            for name in ("bruck", "pat"):
                assert alpha_beta(built(collective, Shape((n,)), name)) == (
                    math.ceil(math.log2(n)),
                    pytest.approx((n - 1) / n * SIZE),
                )

    @pytest.mark.parametrize("n", [3, 4, 7, 8, 72, 1024])
    def test_double_binary_tree(self, n: int) -> None:
        # Sanders, Speck and Träff 2009: up and down take log2 n steps each, and S each.
        steps, sent = alpha_beta(built("all-reduce", Shape((1,) * n), "tree"))
        assert steps == 2 * math.ceil(math.log2(n))
        assert sent == pytest.approx(2 * SIZE)

    def test_two_nodes_halve_the_bytes_of_a_tree(self) -> None:
        # Each of the two is the root of one tree: S / 2 up and S / 2 down cross in either direction.
        assert alpha_beta(built("all-reduce", Shape((1, 1)), "tree")) == (2, SIZE)

    @pytest.mark.parametrize("n", [2, 7, 8, 72])
    def test_rooted(self, n: int) -> None:
        log2_n = math.ceil(math.log2(n))
        flat = Shape((1,) * n)
        for collective in ("broadcast", "reduce"):
            assert alpha_beta(built(collective, flat, "binomial")) == (log2_n, log2_n * SIZE)
            assert alpha_beta(built(collective, flat, "ring")) == (n - 1, SIZE)
        steps = n - 1 + (log2_n if n == 1 << log2_n else n - 1)
        assert alpha_beta(built("broadcast", flat, "scatter-all-gather")) == (
            steps,
            pytest.approx(2 * (n - 1) / n * SIZE),
        )
        for collective in ("gather", "scatter"):
            assert alpha_beta(built(collective, flat, "direct")) == (n - 1, pytest.approx((n - 1) / n * SIZE))
        assert alpha_beta(built("send-recv", flat, "direct")) == (1, SIZE)

    @pytest.mark.parametrize("n", [2, 7, 8, 64, 72])
    def test_all_to_all(self, n: int) -> None:
        flat = Shape((n,))
        assert alpha_beta(built("all-to-all", flat, "pairwise")) == (
            n - 1,
            pytest.approx((n - 1) / n * SIZE),
        )
        # All messages posted at once: Open MPI's basic linear, and groups of sends in nccl-tests.
        assert alpha_beta(built("all-to-all", flat, "direct")) == (1, pytest.approx((n - 1) / n * SIZE))
        steps, sent = alpha_beta(built("all-to-all", flat, "bruck"))
        assert steps == math.ceil(math.log2(n))
        # What has j places to go is sent once for every bit of j.
        assert sent == pytest.approx(sum(j.bit_count() for j in range(n)) * SIZE / n)
        if n == 1 << steps:
            assert sent == pytest.approx(steps * SIZE / 2)


class TestTwoLevelsAndTorus:
    @pytest.mark.parametrize(("k", "g"), [(4, 8), (16, 72), (9, 3)])
    def test_hierarchical(self, k: int, g: int) -> None:
        # Cho et al. 2019: 2 (g - 1) / g S inside, 2 (k - 1) / k S / g across.
        found = Counter()
        for phase in phases(built("all-reduce", Shape((g,) * k), "hierarchical")):
            found[phase.pattern.over] += phase.bytes_per_endpoint
        assert found == {
            "domain": pytest.approx(2 * (g - 1) / g * SIZE),
            "rail": pytest.approx(2 * (k - 1) / k * SIZE / g),
        }

    @pytest.mark.parametrize(("k", "g"), [(4, 8), (16, 72), (9, 3)])
    def test_all_to_all_in_two_levels(self, k: int, g: int) -> None:
        for name in ("pxn", "hierarchical"):
            schedule = built("all-to-all", Shape((g,) * k), name)
            assert {p.pattern.over: p.bytes_per_endpoint for p in phases(schedule)} == {
                "domain": pytest.approx((g - 1) / g * SIZE),
                "rail": pytest.approx((k - 1) / k * SIZE),
            }
            assert alpha_beta(schedule)[0] == g - 1 + k - 1
            assert {p.transfer for p in phases(schedule)} == {"all-to-all"}

    @pytest.mark.parametrize("n", [2, 7, 64])
    def test_switches_that_reduce(self, n: int) -> None:
        # In the network every byte goes up once and its sum comes down once: S / B both ways, in two steps.
        sharp = list(phases(built("all-reduce", Shape((1,) * n, (), False, True), "collnet-direct")))
        assert [(p.pattern.kind, p.bytes_per_endpoint, p.steps) for p in sharp] == [
            ("to-switches", SIZE, 1),
            ("from-switches", SIZE, 1),
        ]
        # In the scale-up network shares are read and written by their owners: S + S / n both ways.
        sent = Counter()
        for phase in phases(built("all-reduce", Shape((n,), (), True), "nvls")):
            assert phase.transfer == "in-switch"
            sent[phase.pattern.kind] += phase.bytes_per_endpoint
        assert sent == dict.fromkeys(("to-switches", "from-switches"), pytest.approx(SIZE * (1 + 1 / n)))

    @pytest.mark.parametrize(("side", "d"), [(4, 1), (4, 2), (4, 3), (16, 3), (5, 4)])
    def test_torus_of_equal_sides_keeps_all_links_busy(self, side: int, d: int) -> None:
        n = side**d
        shape = Shape((n,), tuple((f"a{i}", side) for i in range(d)))
        schedule = built("all-reduce", shape, "torus")
        assert isinstance(schedule, Par)
        best = 2 * (n - 1) / n * SIZE / (2 * d)
        load = Counter()
        for phase in phases(schedule):
            load[phase.pattern.axis] += phase.bytes_per_endpoint / 2
        assert load == {f"a{i}": pytest.approx(best) for i in range(d)}
        # No part waits for another either: at every moment each has an axis of its own.
        for part in schedule.parts:
            assert sum(p.bytes_per_endpoint / 2 for p in phases(part)) == pytest.approx(best)
        in_step = zip(*(phases(part) for part in schedule.parts), strict=True)
        assert all(len({p.pattern.axis for p in now}) == d for now in in_step)


@pytest.mark.some(10)
@pytest.mark.parametrize("shape", [Shape((g,) * k) for g in range(1, 6) for k in range(1, 6) if g * k > 1])
def test_a_bandwidth_optimal_all_reduce_sends_what_the_ring_does(shape: Shape) -> None:
    sent = alpha_beta(built("all-reduce", shape, "hierarchical"))[1]
    assert sent == pytest.approx(alpha_beta(built("all-reduce", shape, "ring"))[1])


@pytest.mark.parametrize("n", [2, 3, 8, 72, 96])
def test_busbw_factors_are_those_of_nccl_tests(n: int) -> None:
    # github NVIDIA/nccl-tests @a0b82b2, doc/PERFORMANCE.md, and the getBw functions of src/*.cu
    factors = {c: busbw_factor(c, n) for c in COLLECTIVES}
    once = pytest.approx((n - 1) / n)
    assert factors == {
        "all-reduce": pytest.approx(2 * (n - 1) / n),
        **dict.fromkeys(("all-gather", "reduce-scatter", "all-to-all", "gather", "scatter"), once),
        **dict.fromkeys(("broadcast", "reduce", "send-recv"), 1.0),
    }
