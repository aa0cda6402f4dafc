"""Fits give back the parameters that made the points."""

import math
import random
from pathlib import Path

import pytest

from fabric.errors import QuestionError
from fabric.study.fit import fit_model

SIZES = [2**k for k in range(3, 34)]
DATA = Path(__file__).parents[1] / "interop" / "data"


STEPS = {"all-reduce": 14, "all-gather": 7, "all-to-all": 7}


def wire(collective, size):
    pair, rate = (("nic", "pairwise"), 100e9) if collective == "all-to-all" else (("nvlink", "ring"), 450e9)
    return {pair: STEPS[collective]}, size / rate, pair


def made(collective, size, *, launch=6e-6):
    step, efficiency = (2e-6, 0.7) if collective == "all-to-all" else (1e-6, 0.8)
    return launch + STEPS[collective] * step + wire(collective, size)[1] / efficiency


def points(collectives=STEPS, sizes=SIZES, time_of=made):
    return [(c, s, time_of(c, s)) for c in collectives for s in sizes]


def test_one_set_of_parameters_over_all_logs():
    found = fit_model(points(), wire)
    assert found.efficiencies == {
        ("nic", "pairwise"): pytest.approx(0.7, rel=1e-5),
        ("nvlink", "ring"): pytest.approx(0.8, rel=1e-5),
    }
    assert found.link_latency_s == {
        ("nic", "pairwise"): pytest.approx(2e-6, rel=1e-4),
        ("nvlink", "ring"): pytest.approx(1e-6, rel=1e-4),
    }
    assert found.launch_s == pytest.approx(6e-6, rel=1e-4)
    assert (found.n_rows, found.remarks) == (3 * len(SIZES), ())
    assert max(map(abs, found.residuals)) < 1e-5


def test_links_that_bind_nowhere_keep_the_latency_that_is_known():
    def passing(collective, size):
        passed, wire_s, pair = wire(collective, size)
        return {**passed, ("pcie", "copy"): 2 * STEPS[collective]}, wire_s, pair

    table = [(c, s, t + 2 * STEPS[c] * 3e-6) for c, s, t in points()]
    found = fit_model(table, passing, {("pcie", "copy"): 3e-6})
    assert found.link_latency_s == pytest.approx(fit_model(points(), wire).link_latency_s, rel=1e-4)
    assert max(map(abs, found.residuals)) < 1e-5
    blind = fit_model(table, passing)
    assert blind.link_latency_s["nvlink", "ring"] == pytest.approx(7e-6, rel=1e-3)


def test_less_latency_than_is_known_of_other_links_is_the_same_part_of_all():
    """What was published for the cards took a rate of 100 % and no latency of the others to make up for."""

    def passing(collective, size):
        passed, wire_s, pair = wire(collective, size)
        return {**passed, ("pcie", "copy"): 2 * STEPS[collective]}, wire_s, pair

    known = {("pcie", "copy"): 14e-6, ("nvlink", "ring"): 2e-6}

    def third(collective, size):
        return STEPS[collective] * (2 * 14e-6 + 2e-6) / 3 + wire(collective, size)[1] / 0.8

    found = fit_model(points(["all-reduce", "all-gather"], time_of=third), passing, known)
    assert found.efficiencies["nvlink", "ring"] == pytest.approx(0.8, rel=1e-4)
    assert found.beside == pytest.approx(1 / 3, rel=1e-4)
    assert found.link_latency_s["nvlink", "ring"] == pytest.approx(2e-6 / 3, rel=1e-4)
    assert found.others == (("pcie", "copy"),)
    assert max(map(abs, found.residuals)) < 1e-5
    assert "all latencies count 33.3 % of that" in found.remarks[-1]
    assert "cannot tell apart: the latency of ring on nvlink; that of copy on pcie" in found.remarks[0]


def test_what_did_not_know_a_row_is_further_from_it():
    rng = random.Random(5)

    def noisy(collective, size):
        return made(collective, size) * rng.uniform(0.9, 1.1)

    found = fit_model(points(time_of=noisy), wire)
    known, unknown = (sum(map(abs, off)) for off in (found.residuals, found.cross_validated))
    assert len(found.cross_validated) == found.n_rows
    assert known < unknown < 1.5 * known
    exact = fit_model(points(), wire).cross_validated
    assert max(map(abs, exact)) < 1e-4
    # A row off all others is foretold as they are, not as it is.
    table = points(["all-gather"])
    table[20] = (*table[20][:2], 3 * table[20][2])
    assert fit_model(table, wire).cross_validated[20] == pytest.approx(-2 / 3, abs=1e-3)
    assert fit_model(points(["all-gather"], SIZES[:2]), wire).cross_validated == ()


def test_a_latency_for_every_kind_of_transfer():
    """Sums in the switches come later than copies on the same links, and a ring passes the links of both."""

    def two(collective, size):
        kind = "in-switch" if size > 2**20 else "copy"
        passed = {("nvlink", "copy"): 14, ("nvlink", "in-switch"): 2 if size > 2**20 else 0}
        return passed, size / 400e9, ("nvlink", kind)

    times = [("all-reduce", s, 14 * 1e-6 + (s > 2**20) * 2 * 15e-6 + s / 320e9) for s in SIZES]
    found = fit_model(times, two)
    assert found.link_latency_s["nvlink", "copy"] == pytest.approx(1e-6, rel=1e-4)
    assert found.link_latency_s["nvlink", "in-switch"] == pytest.approx(15e-6, rel=1e-4)


def test_order_of_the_points_does_not_matter():
    table = points()
    one = fit_model(table, wire)
    random.Random(3).shuffle(table)
    other = fit_model(table, wire)
    assert other.efficiencies == pytest.approx(one.efficiencies, rel=1e-9)
    assert other.launch_s == pytest.approx(one.launch_s, rel=1e-6)


def test_noise_and_dips():
    rng = random.Random(11)

    def noisy(collective, size):
        return made(collective, size) * rng.uniform(0.98, 1.02) * (5 if rng.random() < 0.05 else 1)

    found = fit_model(points(time_of=noisy), wire)
    assert found.efficiencies["nvlink", "ring"] == pytest.approx(0.8, rel=0.02)
    assert found.efficiencies["nic", "pairwise"] == pytest.approx(0.7, rel=0.02)
    assert found.residuals[found.worst] == pytest.approx(-0.8, abs=0.05)


def test_launch_is_not_told_by_one_count_of_steps():
    found = fit_model(points(["all-reduce"]), wire)
    assert found.launch_s == 0
    assert found.link_latency_s["nvlink", "ring"] == pytest.approx((6e-6 + 14e-6) / 14, rel=1e-4)
    assert found.remarks == (
        "every row passes as many links: the launch cannot be told from them and counts as 0",
        "these logs cannot tell apart: the launch; the latency of ring on nvlink",
    )


def test_small_sizes_tell_no_efficiency():
    found = fit_model(points(["all-reduce"], [8, 64, 1024]), wire)
    assert found.efficiencies == {}
    assert any("no row is large enough to show the rate of ring on nvlink" in r for r in found.remarks)
    assert max(map(abs, found.residuals)) < 1e-3


def test_full_rate_is_efficiency_one():
    found = fit_model(points(["all-gather"], time_of=lambda c, s: 1e-6 + wire(c, s)[1] * (1 - 5e-4)), wire)
    assert found.efficiencies == {("nvlink", "ring"): 1.0}


def test_log_that_beats_the_wire_is_refused():
    faster = points(["all-gather"], time_of=lambda c, s: wire(c, s)[1] * 0.99 + 1e-6)
    with pytest.raises(
        QuestionError, match=r"all-gather of .*B: measured .* less than .* ring .* wire rate of nvlink\."
    ):
        fit_model(faster, wire)


@pytest.mark.parametrize(
    ("table", "model", "complaint"),
    [
        ([], wire, "no point to fit"),
        ([("all-gather", 8, -1.0)], wire, "both must be positive"),
        ([("all-gather", 8, 1.0)], lambda c, s: ({}, math.inf, ("a", "b")), "gives 0 links and inf s"),
        (
            [("all-gather", 8, 1.0)],
            lambda c, s: ({("a", "b"): -1}, 1.0, ("a", "b")),
            "the model gives -1 links",
        ),
        (
            [("all-gather", 8, 1.0)],
            lambda c, s: ({("a", "b"): 1}, 0.0, ("a", "b")),
            r"gives 1 links and 0\.0 s",
        ),
    ],
)
def test_models_that_fit_nothing(table, model, complaint):
    with pytest.raises(QuestionError, match=complaint):
        fit_model(table, model)
