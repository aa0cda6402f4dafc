"""Which algorithm a log ran, and what went wrong with it."""

import dataclasses

import pytest

from fabric.costing import calibration, cost
from fabric.evidence import fabric_text, points
from fabric.graph import loads
from fabric.interop.nccl_log import Log
from fabric.interop.nccl_tests import predicted_row
from fabric.study.hypotheses import _network
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
