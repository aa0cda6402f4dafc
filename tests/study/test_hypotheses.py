"""Which algorithm a log ran, and what went wrong with it."""

import dataclasses
import math

import numpy as np
import pytest

from fabric.costing import calibration, cost
from fabric.evidence import fabric_text, points
from fabric.graph import loads
from fabric.interop.nccl_log import Log
from fabric.interop.nccl_tests import predicted_row
from fabric.study.hypotheses import _network, alternatives, hypotheses
from fabric.study.logs import compare_log

RACKS = [p for p in points() if p.domains == 20]


def log_of(times: dict[int, float], n: int) -> Log:
    rows = tuple(predicted_row("all-reduce", s, t, n_ranks=n) for s, t in times.items())
    return Log("all-reduce", n, rows, name="a log")


def test_it_finds_the_ring_in_the_log_of_twenty_racks_and_passes_it() -> None:
    fabric = loads(fabric_text(RACKS[0]))
    held = compare_log(log_of({p.size_bytes: p.time_s for p in RACKS}, 1440), fabric)
    assert held.is_passed
    best = held.hypotheses[0]
    assert "ring" in best.what
    algorithms = [h.what for h in held.hypotheses]
    assert algorithms.index("nvls-tree") > 0
    assert algorithms.index("tree") > 0
    assert best.off < 0.15
    assert best.what in str(held)
    # At half of its own curve it fails wherever the interval is narrow.
    half = compare_log(log_of({p.size_bytes: 2 * p.time_s for p in RACKS}, 1440), fabric)
    assert not any(row.is_passed for row in half.rows)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("what", "changes"),
    [("one card of eight missing", {"rate": 7 / 8}), ("a network that answers late", {"latency": 4.0})],
)
def test_it_names_what_was_done_to_the_network(what: str, changes: dict[str, float]) -> None:
    text = fabric_text(dataclasses.replace(RACKS[0], fabric="hgx-h100", domains=4))
    fabric = loads(text)
    broken = _network(calibration("measured"), **changes)
    times = {
        1 << k: cost(fabric, "all-reduce", 1 << k, calibration=broken, is_bounded=False).time_s
        for k in range(16, 34, 4)
    }
    held = compare_log(log_of(times, 32), fabric)
    assert what in held.hypotheses[0].what
    assert held.hypotheses[0].off == pytest.approx(0, abs=1e-4)


def test_outside_the_evidence_no_row_is_judged() -> None:
    text = fabric_text(dataclasses.replace(RACKS[0], fabric="hgx-b300", domains=4))
    held = compare_log(log_of({1 << 30: 1.0}, 32), loads(text))
    assert held.rows[0].least is None
    assert held.is_passed
    assert "no pass threshold" in str(held)
    assert not compare_log(log_of({1 << 30: 1.0}, 32), loads(text), threshold=0.9).is_passed


def test_what_a_log_does_not_tell_apart_shares_the_rank_of_the_first() -> None:
    """At 3 % of noise two predictions 1 % apart are as good as each other; one 30 % apart is not."""
    rng = np.random.default_rng(5)
    sizes = [1 << k for k in range(12, 36, 2)]
    expected = {s: 5e-5 + s / 3e11 for s in sizes}
    near = {s: 1.01 * t for s, t in expected.items()}
    far = {s: 1.3 * t for s, t in expected.items()}
    times = {s: t * math.exp(rng.normal(0, 0.03)) for s, t in expected.items()}
    found = hypotheses(times, (("as expected", expected), ("near", near), ("far", far)))
    by_name = {h.what: h for h in found}
    assert {h.what for h in found[:2]} == {"as expected", "near"}
    assert [h.is_tied for h in found] == [False, True, False]
    assert not by_name["far"].is_tied
    assert "does not tell it from the first" in str(found[1])


def test_two_faults_of_one_curve_are_both_named() -> None:
    times = {1 << k: 2e-5 * (k - 9) for k in range(10, 30)}
    usual = {s: t / 1.5 for s, t in times.items()}
    tried = (
        ("as expected", usual),
        ("changes nothing", usual),
        ("one fault", times),
        ("one fault, Simple only", times),
        ("another fault", times),
    )
    found = hypotheses(times, tried)
    assert [(h.what, h.is_tied) for h in found] == [
        ("one fault", False),
        ("another fault", True),
        ("as expected", False),
    ]


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", range(12))
def test_the_fault_of_a_synthetic_log_is_first_or_tied(seed: int) -> None:
    """Of every hypothesis a log with 3 % of noise: it is named first, or said to be as good as the first."""
    rng = np.random.default_rng(seed)
    fabric = loads(fabric_text(dataclasses.replace(RACKS[0], fabric="hgx-h100", domains=4)))
    sizes = [1 << k for k in range(12, 35, 2)]
    asked = ("all-to-all", sizes, fabric, calibration("measured"))
    tried = alternatives(*asked, in_place=False, options={})
    n_first = 0
    for what, predicted in tried:
        times = {s: t * math.exp(rng.normal(0, 0.03)) for s, t in predicted.items()}
        found = hypotheses(times, tried)
        # What makes no difference here is not named by itself.
        same = {name for name, other in tried if other == predicted}
        assert any(h.what in same for h in found if h is found[0] or h.is_tied), what
        n_first += found[0].what in same
        # A tie is no way out: most hypotheses stay apart.
        assert sum(h.is_tied for h in found) < len(tried) / 2
    assert n_first >= 0.9 * len(tried)


def test_three_sizes_far_off_are_no_tie() -> None:
    """A log that is by NVLS at its largest sizes alone is not taken for one of a ring, 32 % slower there."""
    times = {1 << k: 2e-5 * 1.5 ** (k - 10) for k in range(10, 31, 2)}
    ring = {s: t * (1.32 if s >= 1 << 26 else 1) for s, t in times.items()}
    found = hypotheses({s: 1.01 * t for s, t in times.items()}, (("nvls", times), ("ring", ring)))
    assert [(h.what, h.is_tied) for h in found] == [("nvls", False), ("ring", False)]
