"""What a comparison says of logs that depart from the model in a known way."""

import json
import random

import pytest

from fabric.errors import QuestionError
from fabric.interop.nccl_log import Log, predicted_row
from fabric.interop.nccl_tests import format_log, parse_log
from fabric.study.compare import compare

SIZES = [2**k for k in range(3, 34)]
LATENCY = 20e-6


def model(collective, size):
    return LATENCY + size / 200e9, "nic-leaf", "ring"


def log(time_of, sizes=SIZES):
    rows = [predicted_row("all-reduce", s, time_of(s), n_ranks=16) for s in sizes]
    return Log("all-reduce", 16, tuple(rows))


def diagnosis(time_of, sizes=SIZES, **options):
    return compare(log(time_of, sizes), model, **options).diagnosis


def test_log_equal_to_the_model_agrees():
    answer = compare(log(lambda s: model("", s)[0]), model)
    assert answer.is_passed
    assert (answer.diagnosis.departure, answer.diagnosis.dips) == ("none", ())
    assert answer.diagnosis.text == "agrees, within 5 %"
    assert all(row.ratio == 1 for row in answer.rows)


@pytest.mark.parametrize("factor", [0.8, 1.1, 1.25, 3.0])
def test_slower_bandwidth(factor):
    found = diagnosis(lambda s: LATENCY + factor * s / 200e9)
    assert (found.departure, found.from_bytes, found.dips) == ("bandwidth", None, ())
    assert found.factor == pytest.approx(factor, rel=0.01)
    assert ("wrong" in found.text) == (factor < 1)


@pytest.mark.parametrize("factor", [0.8, 1.1, 1.25, 3.0])
@pytest.mark.parametrize("first", [2**20, 2**26, 2**32])
def test_change_from_a_size_on(factor, first):
    found = diagnosis(lambda s: model("", s)[0] * (factor if s >= first else 1))
    assert (found.departure, found.from_bytes) == ("bandwidth", first)
    assert found.factor == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("factor", [0.8, 1.5])
def test_change_up_to_a_size(factor):
    found = diagnosis(lambda s: model("", s)[0] * (factor if s <= 2**14 else 1))
    assert (found.departure, found.to_bytes) == ("latency", 2**14)
    assert found.factor == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("extra", [-8e-6, 3e-6, 30e-6, 1e-3])
def test_added_latency(extra):
    found = diagnosis(lambda s: model("", s)[0] + extra)
    assert (found.departure, found.from_bytes, found.to_bytes) == ("latency", None, None)
    assert found.extra_s == pytest.approx(extra, rel=0.01)
    assert found.factor == 1


def test_added_latency_and_slower_bandwidth():
    found = diagnosis(lambda s: model("", s)[0] + 30e-6 + 0.4 * s / 200e9)
    assert found.departure == "both"
    assert found.extra_s == pytest.approx(30e-6, rel=0.01)
    assert found.factor == pytest.approx(1.4, rel=0.01)


@pytest.mark.parametrize("factor", [0.7, 1.2, 4.0])
def test_slower_over_the_whole(factor):
    found = diagnosis(lambda s: model("", s)[0] * factor)
    assert found.departure == "whole"
    assert found.factor == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("place", [0, 1, 12, 15, 29, 30])
def test_dip_is_named(place):
    answer = compare(log(lambda s: model("", s)[0] * (2.5 if s == SIZES[place] else 1)), model)
    assert answer.diagnosis.departure == "dip"
    assert answer.diagnosis.dips == ((SIZES[place], pytest.approx(2.5)),)
    assert "agrees except at" in answer.diagnosis.text
    assert [row.size_bytes for row in answer.rows if not row.is_passed] == [SIZES[place]]


def test_dip_beside_a_departure():
    found = diagnosis(lambda s: (model("", s)[0] + 30e-6) * (4 if s == 2**20 else 1))
    assert found.departure == "latency"
    assert found.extra_s == pytest.approx(30e-6, rel=0.01)
    assert [size for size, _ in found.dips] == [2**20]


@pytest.mark.parametrize("apart", [1, 2, 5])
@pytest.mark.parametrize("place", [0, 3, 12, 24])
def test_two_dips_stand_alone(place, apart):
    slow = {SIZES[place], SIZES[place + apart]}
    found = diagnosis(lambda s: model("", s)[0] * (2.5 if s in slow else 1))
    # Of 31 sizes three may be dips, but not two neighbours.
    is_dip = apart > 1
    assert (found.departure == "dip") == is_dip
    assert {size for size, _ in found.dips} == (slow if is_dip else set())


def test_noise_of_repeated_runs_changes_no_diagnosis():
    rng = random.Random(5)
    noise = {s: rng.uniform(0.97, 1.03) for s in SIZES}
    assert diagnosis(lambda s: model("", s)[0] * noise[s]).departure == "none"
    found = diagnosis(lambda s: (LATENCY + 1.5 * s / 200e9) * noise[s])
    assert found.departure == "bandwidth"
    assert found.factor == pytest.approx(1.5, rel=0.03)
    found = diagnosis(lambda s: (model("", s)[0] + 40e-6) * noise[s])
    assert found.departure == "latency"
    assert found.extra_s == pytest.approx(40e-6, rel=0.06)


def test_what_has_no_simple_form_is_called_so():
    found = diagnosis(lambda s: model("", s)[0] * (3 if SIZES.index(s) % 4 < 2 else 1))
    assert found.departure == "other"
    assert "no simple way" in found.text


def test_few_sizes():
    assert diagnosis(lambda s: model("", s)[0], [2**30]).departure == "none"
    assert diagnosis(lambda s: model("", s)[0] * 2, [2**30]).departure == "whole"
    found = diagnosis(lambda s: model("", s)[0] * (2 if s > 2**29 else 1), [2**29, 2**30])
    assert found.departure == "other"


def test_median_of_a_size_that_is_there_several_times():
    once = log(lambda s: model("", s)[0])
    slow = log(lambda s: model("", s)[0] * 9)
    answer = compare(Log("all-reduce", 16, once.rows + slow.rows + once.rows), model)
    assert len(answer.rows) == len(SIZES)
    assert answer.diagnosis.departure == "none"


def test_threshold_is_met_by_its_own_value():
    measured = log(lambda s: model("", s)[0] / 0.9)
    assert compare(measured, model, threshold=0.9).is_passed
    assert not compare(measured, model, threshold=0.91).is_passed
    with pytest.raises(QuestionError, match=r"threshold 0: must be positive, such as 0\.9"):
        compare(measured, model, threshold=0)


def test_prediction_must_be_a_time():
    with pytest.raises(QuestionError, match=r"all-reduce of 8 B: predicted time 0\.0 is not positive"):
        compare(log(lambda s: 1.0), lambda c, s: (0.0, "", ""))


def test_in_place_columns():
    text = format_log(log(lambda s: model("", s)[0], [2**30, 2**32]))
    lines = [line + line[52:] if line.startswith("  ") else line for line in text.splitlines()]
    lines = [line + "     time   algbw   busbw  #wrong" if "  size" in line else line for line in lines]
    (measured,) = parse_log("\n".join(lines).replace("Avg", ""))
    assert measured.rows[0].in_place == measured.rows[0].out_of_place
    assert compare(measured, model, in_place=True).rows == compare(measured, model).rows


def test_print_and_dictionary():
    answer = compare(log(lambda s: LATENCY + 1.25 * s / 200e9), model)
    lines = str(answer).splitlines()
    assert lines[0] == "all-reduce among 16 ranks: measured against the prediction, busbw in GB/s"
    assert lines[-3].split() == [
        "8",
        "GiB",
        "53.71",
        "ms",
        "42.97",
        "ms",
        "299.89",
        "374.83",
        "0.800",
        "FAIL",
        "nic-leaf",
        "(ring)",
    ]
    assert (
        lines[-1]
        == "departs in the bandwidth part: 1.25 times the predicted time at the largest size, within 5 %"
    )
    found = json.loads(json.dumps(answer.to_dict()))
    assert found["is_passed"] is False
    assert found["diagnosis"]["departure"] == "bandwidth"
    assert len(found["rows"]) == len(SIZES)
    assert found["rows"][-1]["predicted_busbw_gbps"] == pytest.approx(
        found["rows"][-1]["busbw_gbps"] / found["rows"][-1]["ratio"]
    )
