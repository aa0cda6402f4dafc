"""Balls into bins against all placements, exact fractions, simulation and a published table."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.routing import balls, busy_share, delivered_share, hashed_factor, max_load


@pytest.mark.parametrize(
    ("n_flows", "n_links", "busy", "delivered", "mean_max", "slowest"),
    [
        (8, 8, 0.6564, 0.656, 2.60, 0.410),
        (32, 32, 0.6379, 0.638, 3.54, 0.295),
        (64, 64, 0.6350, 0.635, 3.96, 0.262),
        (64, 32, 0.8689, 0.734, 5.40, 0.381),
        (128, 32, 0.9828, 0.808, 8.64, 0.472),
        (512, 32, 1.0000, 0.902, 24.8, 0.650),
    ],
)
def test_hashed_ecmp(n_flows, n_links, busy, delivered, mean_max, slowest):
    """A table by simulation of 20,000 draws, its third column exact."""
    assert busy_share(n_flows, n_links) == pytest.approx(busy, abs=5e-5)
    assert delivered_share(n_flows, n_links) == pytest.approx(delivered, rel=0.01)
    load, share = max_load(n_flows, n_links)
    assert load @ share == pytest.approx(mean_max, rel=0.01)
    assert hashed_factor(n_flows, n_links).expected == pytest.approx(slowest, rel=0.01)


def test_one_flow_a_link_keeps_the_published_share_of_plain_ethernet_busy():
    # NVIDIA gives "about 60 %" as the effective bandwidth of Ethernet without adaptive routing.
    assert busy_share(10**6, 10**6) == pytest.approx(1 - 1 / math.e, abs=1e-6)
    assert delivered_share(10**6, 10**6) == pytest.approx(1 - 1 / math.e, abs=1e-6)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 1), (1, 4), (3, 2), (2, 5), (6, 3), (5, 4)])
def test_all_placements(n, m):
    placements = [Counter(p) for p in itertools.product(range(m), repeat=n)]
    even = n / m
    assert busy_share(n, m) == pytest.approx(np.mean([len(p) / m for p in placements]))
    delivered = np.mean([sum(min(k, even) for k in p.values()) / n for p in placements])
    assert delivered_share(n, m) == pytest.approx(delivered)
    largest = [max(p.values()) for p in placements]
    load, share = max_load(n, m)
    assert dict(zip(load.tolist(), share, strict=True)) == pytest.approx(
        {k: largest.count(k) / len(largest) for k in load.tolist()}, abs=1e-12
    )
    found = hashed_factor(n, m)
    assert found.expected == pytest.approx(np.mean([even / k for k in largest]))
    assert found.slowdown == pytest.approx(np.mean(largest) / even)


def exactly(n: int, m: int, k: int) -> float:
    """Return P(max <= k) by the power of the cut exponential series, in fractions."""
    series = [Fraction(1, math.factorial(j)) for j in range(k + 1)]
    power = [Fraction(1)]
    for _ in range(m):
        power = [
            sum((power[i - j] * series[j] for j in range(len(series)) if 0 <= i - j < len(power)), Fraction())
            for i in range(min(len(power) + k, n + 1))
        ]
    return float(power[n] * math.factorial(n) / Fraction(m) ** n) if len(power) > n else 0.0


@pytest.mark.some(1)
@pytest.mark.parametrize(("n", "m"), [(20, 30), (40, 3), (60, 7)])
def test_the_distribution_in_fractions(n, m):
    load, share = max_load(n, m)
    for k, upto in zip(load.tolist(), np.cumsum(share), strict=True):
        assert upto == pytest.approx(exactly(n, m, k), abs=1e-11)
    assert exactly(n, m, int(load[0]) - 1) < 1e-12


@pytest.mark.some(1)
@pytest.mark.parametrize(("n", "m"), [(5_000, 64), (100, 1_000), (20_000, 2)])
def test_simulation(n, m):
    drawn = np.random.default_rng(7).multinomial(n, np.full(m, 1 / m), size=4_000)
    load, share = max_load(n, m)
    largest = drawn.max(axis=1)
    error = largest.std() / math.sqrt(len(largest))
    assert load @ share == pytest.approx(largest.mean(), abs=4 * error)
    delivered = np.minimum(drawn, n / m).sum(axis=1) / n
    error = delivered.std() / math.sqrt(len(delivered))
    assert delivered_share(n, m) == pytest.approx(delivered.mean(), abs=4 * error)


def test_the_slowest_of_two_flows_on_two_links():
    # They meet in one draw of two: half of all draws reach the full rate, 99 % only half of it.
    found = hashed_factor(2, 2)
    assert (found.expected, found.p50, found.p99) == pytest.approx((0.75, 1.0, 0.5))
    assert found.slowdown == pytest.approx(1.5)


def test_independent_groups_are_slow_together():
    # Neither of two groups of two flows on two links collides in one draw of four.
    load, share = max_load(2, 2, n_groups=2)
    assert dict(zip(load.tolist(), share, strict=True)) == pytest.approx({1: 0.25, 2: 0.75})
    slower = [hashed_factor(64, 16, n_groups=g).expected for g in (1, 2, 50, 10_000)]
    assert slower == sorted(slower, reverse=True)


def test_many_queue_pairs_come_near_the_equal_split():
    rates = [hashed_factor(32 * q, 32).expected for q in (1, 4, 16, 64, 256, 10_000, 10**8)]
    assert rates == sorted(rates)
    assert rates[-1] > 0.999


@pytest.mark.some(1)
@pytest.mark.parametrize("m", [2, 3, 32, 1_000])
def test_links_as_independent_are_near_the_exact_distribution(monkeypatch, m):
    exact = hashed_factor(100_000, m)
    monkeypatch.setattr(balls, "EXACT_FLOWS", 0)
    near = hashed_factor(100_000, m)
    assert near != exact
    assert near.slowdown == pytest.approx(exact.slowdown, rel=1e-3)
    assert near.slowdown < exact.slowdown


def test_loads_beyond_the_table_are_rounded_up(monkeypatch):
    exact = hashed_factor(100_000, 2)
    monkeypatch.setattr(balls, "_LOADS", 100)
    load, share = max_load(100_000, 2)
    assert len(load) <= 100
    assert share.sum() == pytest.approx(1)
    step = (load[1] - load[0]) / 50_000
    assert 0 < hashed_factor(100_000, 2).slowdown - exact.slowdown < step


@pytest.mark.parametrize(("n", "m", "groups"), [(10**12, 64, 10**4), (10**10, 3, 1), (3, 10**9, 1)])
def test_numbers_of_any_size(n, m, groups):
    found = hashed_factor(n, m, n_groups=groups)
    assert 0 < found.p99 <= found.p50 <= 1
    assert 0 < found.expected <= 1 <= found.slowdown


@pytest.mark.parametrize("numbers", [(0, 4), (4, 0), (-1, 2)])
def test_nothing_to_hash_is_refused(numbers):
    for function in (busy_share, delivered_share, max_load, hashed_factor):
        with pytest.raises(QuestionError, match=f"1 link and 1 group or more, not {min(numbers)}"):
            function(*numbers)
