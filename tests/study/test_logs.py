"""Logs against the model: what the model itself prints agrees, and a fit gives back what made the log."""

from dataclasses import replace
from pathlib import Path

import pytest

from fabric.costing import Overhead, calibration, cost, sweep
from fabric.costing.calibration import ProtocolCost, calibration_text
from fabric.errors import QuestionError
from fabric.graph import load, loads
from fabric.interop.nccl_tests import Log, format_log, parse_log, predicted_row, read_log
from fabric.study import logs as study_logs
from fabric.study.logs import calibrate, compare_log, compare_logs, describe

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/interop/data"
BASE = calibration("measured")


def measured(name):
    return load(ROOT / f"topologies/measured/{name}.fabric.yaml")


@pytest.fixture(scope="module")
def one_node():
    return measured("nd-h100-v5")


@pytest.fixture(scope="module")
def many_nodes():
    return measured("h100-12-node")


def truth(links, launch_s=6e-6):
    """Return the published calibration with other values for some classes, one protocol and a launch."""
    merged = {key: {**(BASE.links or {}).get(key, {}), **kinds} for key, kinds in links.items()}
    return replace(
        BASE,
        name="truth",
        links={**(BASE.links or {}), **merged},
        protocols=(ProtocolCost("Simple"),),
        launch_s=launch_s,
        gpus={},  # a fit tells one launch, and no protocols
        channel_counts={},
    )


def made(fabric, collective, known, *, name="made.log", first="1KiB", factor=8, slower=None, **asked):
    """Return the log that a run as fast as the model would print, read back from its text."""
    found = sweep(fabric, collective, f"{first}..8GiB", factor=factor, calibration=known, **asked).costs
    n = found[0].n_ranks
    times = [slower(c.size_bytes, c.time_s) if slower else c.time_s for c in found]
    rows = [
        predicted_row(collective, c.size_bytes, time, n_ranks=n) for c, time in zip(found, times, strict=True)
    ]
    (log,) = parse_log(format_log(Log(collective, n, tuple(rows))), name)
    return log


@pytest.mark.some(1)
@pytest.mark.parametrize("collective", ["all-reduce", "all-gather", "all-to-all", "broadcast"])
def test_a_log_of_the_model_agrees_with_it(many_nodes, collective):
    found = compare_log(made(many_nodes, collective, "measured"), many_nodes)
    assert found.is_passed
    assert found.diagnosis.text == "agrees, within 5 %"
    assert all(row.ratio == pytest.approx(1, abs=2e-3) for row in found.rows)
    assert {row.binding for row in found.rows} <= {"nic-leaf", "gpu-nvswitch", "NCCL channels"}


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "asked",
    [
        {"among": "node0-1", "routing": "rail-direct"},
        {"over": ("node",)},
        {"ranks": ("node0", "node5")},
        {"order": "(node slot) -> (dp tp=8)", "over": ("dp",)},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_the_question_is_that_of_the_log(many_nodes, asked):
    log = made(many_nodes, "all-to-all", "measured", **asked)
    found = compare_log(log, many_nodes, **asked)
    assert found.diagnosis.departure == "none"
    last = found.rows[-1]
    expected = cost(many_nodes, "all-to-all", last.size_bytes, calibration="measured", **asked)
    assert (last.predicted_s, last.binding) == (expected.time_s, expected.binding)


def test_slower_links_are_named(many_nodes):
    """Wires at 80 %: latency is as predicted, the bytes take a quarter longer."""

    def slower(size, time):
        return time + 0.25 * cost(many_nodes, "all-gather", size, calibration="wire").time_s

    log = made(many_nodes, "all-gather", "measured", slower=slower, factor=4)
    found = compare_log(log, many_nodes)
    assert found.diagnosis.departure == "bandwidth"
    wire, whole = (cost(many_nodes, "all-gather", "4GiB", calibration=c).time_s for c in ("wire", "measured"))
    assert found.diagnosis.factor == pytest.approx(1 + 0.25 * wire / whole, rel=0.01)
    assert not compare_log(log, many_nodes, threshold=0.9).is_passed
    assert compare_log(log, many_nodes, threshold=0.75).is_passed


def test_a_slower_whole_and_a_late_start_are_told_apart(one_node):
    whole = compare_log(made(one_node, "all-gather", "measured", slower=lambda _, t: 1.3 * t), one_node)
    assert (whole.diagnosis.departure, whole.is_passed) == ("whole", False)
    assert whole.diagnosis.factor == pytest.approx(1.3, rel=1e-3)
    late = compare_log(made(one_node, "all-gather", "measured", slower=lambda _, t: t + 40e-6), one_node)
    assert late.diagnosis.departure == "latency"
    assert late.diagnosis.extra_s == pytest.approx(40e-6, rel=1e-2)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "ask",
    [compare_log, lambda log, fabric: calibrate([log], fabric, name="x", date="2026-01-31")],
    ids=["compare", "calibrate"],
)
def test_another_number_of_ranks_is_one_clear_error(one_node, many_nodes, ask):
    log = made(one_node, "all-gather", "measured", name="logs/gather.log")
    complaint = r"^logs/gather\.log: 8 ranks by its numbers; the question has 96; choose with among=$"
    with pytest.raises(QuestionError, match=complaint):
        ask(log, many_nodes)
    assert compare_log(log, many_nodes, among="node3").is_passed


@pytest.mark.some(1)
@pytest.mark.parametrize("calibrated", ["wire", "nccl"])
def test_other_calibrations_are_held_against_a_log(one_node, calibrated):
    log = made(one_node, "all-reduce", calibrated, first="1MiB")
    assert compare_log(log, one_node, calibration=calibrated).diagnosis.departure == "none"


# Each is bound by one class of links; the others keep the latency that is published.
RINGS = {
    "nd-h100-v5": ("nvlink4", "copy"),
    "nd-a100-v4": ("nvlink3", "copy"),
    "mi300x-8": ("xgmi_mi300", "copy"),
    "h100-12-node": ("scale-out", "copy"),
    "p5-2-node": ("EFA", "copy"),
}


@pytest.mark.some(1)
@pytest.mark.parametrize("name", RINGS)
def test_a_fit_gives_back_what_made_the_logs(tmp_path, name):
    fabric, (key, kind) = measured(name), RINGS[name]
    known = truth({key: {kind: Overhead(0.66, 7e-6)}})
    collectives = ("all-reduce", "all-gather")
    logs = [made(fabric, c, known, algorithm="ring") for c in collectives]
    found, fitted = calibrate(logs, fabric, name="fit", date="2026-01-31", algorithm="ring")
    assert set(fitted.link_latency_s) == {(key, kind)}
    assert found.links[key][kind].rate == pytest.approx(0.66, rel=0.01)
    assert found.links[key][kind].latency_s == pytest.approx(7e-6, rel=0.05)
    assert found.launch_s == pytest.approx(6e-6, rel=0.05)
    assert found.links[key][kind].source == "fitted to made.log"
    assert max(map(abs, fitted.residuals)) < 2e-3
    # Written and read again, it predicts the logs.
    file = tmp_path / "fit.calibration.yaml"
    file.write_text(calibration_text(found))
    for log in logs:
        for row in log.rows:
            one = cost(fabric, log.collective, row.size_bytes, algorithm="ring", calibration=file)
            assert one.time_s == pytest.approx(row.out_of_place.time_s, rel=3e-3)


def test_sums_in_switches_and_copies_have_values_of_their_own(one_node):
    """What is chosen by size, rings for small ones and NVLS for large ones, is fitted from one log."""
    values = {"copy": Overhead(0.8, 1.2e-6), "in-switch": Overhead(0.6, 9e-6)}
    known = truth({"nvlink4": values}, launch_s=0.0)
    log = made(one_node, "all-reduce", known)
    found, fitted = calibrate([log], one_node, name="fit", date="2026-01-31")
    assert found.links["nvlink4"]["in-switch"].rate == pytest.approx(0.6, rel=0.01)
    assert found.links["nvlink4"]["in-switch"].latency_s == pytest.approx(9e-6, rel=0.05)
    assert found.links["nvlink4"]["copy"].latency_s == pytest.approx(1.2e-6, rel=0.05)
    assert set(fitted.link_latency_s) == {("nvlink4", "copy"), ("nvlink4", "in-switch")}


def test_a_value_for_a_medium_is_the_one_that_is_fitted():
    """The published file has one for the backplane of a rack: a fit must not be hidden behind it."""
    fabric = loads("{fabric: rack, include: gb200-nvl72}")
    known = truth({"nvlink5/nvl72_backplane": {"in-switch": Overhead(0.5, 20e-6)}})
    logs = [made(fabric, c, known, algorithm="nvls") for c in ("all-reduce", "all-gather")]
    found, _ = calibrate(logs, fabric, name="fit", date="2026-01-31", algorithm="nvls")
    assert found.links["nvlink5/nvl72_backplane"]["in-switch"].rate == pytest.approx(0.5, rel=0.01)
    again = cost(fabric, "all-reduce", "8GiB", algorithm="nvls", calibration=found).time_s
    assert again == pytest.approx(
        cost(fabric, "all-reduce", "8GiB", algorithm="nvls", calibration=known).time_s, rel=0.01
    )


def test_a_class_that_is_not_published_gets_a_name_of_its_own():
    """A fit of a protocol without value is written under its name, not for all networks of its kind."""
    fabric = loads("{fabric: rack, include: vr-nvl72}")
    logs = [made(fabric, c, truth({}), algorithm="ring") for c in ("all-reduce", "all-gather")]
    found, _ = calibrate(logs, fabric, name="fit", date="2026-01-31", algorithm="ring")
    assert found.links["nvlink6"]["copy"].rate == pytest.approx(BASE.links["scale-up"]["copy"].rate, rel=0.01)
    assert found.links["scale-up"] == BASE.links["scale-up"]


def test_small_sizes_tell_a_latency_and_keep_the_published_rate(one_node):
    log = made(one_node, "all-gather", truth({"nvlink4": {"copy": Overhead(0.8, 4e-6)}}), algorithm="ring")
    small = replace(log, rows=log.rows[:4])
    found, fitted = calibrate([small], one_node, name="fit", date="2026-01-31", algorithm="ring")
    assert found.links["nvlink4"]["copy"].rate == BASE.links["nvlink4"]["copy"].rate
    assert found.links["nvlink4"]["copy"].latency_s == pytest.approx(4e-6 + 6e-6 / 14, rel=0.05)
    assert "nvlink4, copy: 4.4" in describe(fitted)
    assert "no row is large enough to show the rate of copy on nvlink4" in describe(fitted)


def test_a_log_that_beats_the_wire_fits_nothing(one_node):
    log = made(one_node, "all-gather", "wire", first="1MiB", slower=lambda _, t: 0.9 * t)
    with pytest.raises(QuestionError, match=r"less than the .* that copy takes at the wire rate of nvlink4"):
        calibrate([log], one_node, name="fit", date="2026-01-31")


def test_a_fit_says_what_it_found(many_nodes):
    (log,) = read_log(DATA / "coreweave-h100.log")
    found, fitted = calibrate([log], many_nodes, name="coreweave", date="2026-01-31")
    assert (found.name, found.date, found.source) == (
        "coreweave",
        "2026-01-31",
        "fitted to coreweave-h100.log",
    )
    text = describe(fitted)
    # Steps take less than is published, so that the cables get 98 % of their rate and not all of it.
    assert found.links["scale-out"]["copy"].rate == pytest.approx(0.982, abs=0.01)
    assert 0 < fitted.beside < 1
    assert found.links["pcie5_x16"]["copy"].latency_s == pytest.approx(
        fitted.beside * BASE.links["pcie5_x16"]["copy"].latency_s
    )
    assert found.launch_s == 0
    assert "5 rows; differences: median" in text
    assert "cross-validated" in text
    assert "the launch cannot be told" in text
    assert "these logs cannot tell apart: the launch; the latency of copy on scale-out" in " ".join(
        text.split()
    )
    compared = compare_log(log, many_nodes, calibration=found)
    assert all(row.ratio == pytest.approx(1, abs=0.03) for row in compared.rows)
    assert compared.is_passed


def test_a_fitted_calibration_says_how_sure_it_is(tmp_path, many_nodes, one_node):
    """By its own rows where ten and more of a class were foretold without them, else by published ones."""
    (log,) = read_log(DATA / "coreweave-h100.log")
    few, fitted = calibrate([log], many_nodes, name="few", date="2026-01-31")
    assert [r.ratio - 1 for r in few.residuals] == pytest.approx(list(fitted.cross_validated))
    file = tmp_path / "few.calibration.yaml"
    file.write_text(calibration_text(few))
    asked = {"calibration": file, "is_bounded": False}
    found = cost(many_nodes, "all-reduce", "1GiB", **asked).support
    assert (found.standing, found.leaves) == ("measured", ())
    assert "the run that calibration few was made from (96 GPUs)" in found.nearest
    assert found.residuals.startswith("of calibration measured, all-reduce")
    assert found.low_gbps < found.high_gbps
    assert found.pass_gbps is not None
    # Its rows are of one collective, of such GPUs on 12 nodes, from half a gigabyte on.
    other = cost(many_nodes, "all-gather", "1GiB", **asked).support
    assert (other.standing, other.leaves, other.pass_gbps) == ("extrapolated", ("collective",), None)
    assert cost(many_nodes, "all-reduce", "1MiB", **asked).support.leaves == ("size",)
    assert cost(one_node, "all-reduce", "1GiB", **asked).support.leaves == ("ranks",)

    many = made(one_node, "all-gather", "measured", slower=lambda size, t: t * (1.1 if size % 3 else 0.95))
    long = replace(many, rows=many.rows * 8)
    own, _ = calibrate([long], one_node, name="own", date="2026-01-31")
    held = cost(one_node, "all-gather", "4GiB", calibration=own, is_bounded=False).support
    assert held.residuals.startswith("all-gather, ")
    assert held.standing == "measured"
    assert compare_log(long, one_node, calibration=own).is_passed


def test_the_log_of_coreweave_reaches_the_published_calibration(many_nodes):
    (log,) = read_log(DATA / "coreweave-h100.log")
    found = compare_log(log, many_nodes)
    assert found.is_passed
    # Half a gigabyte took 12 % less than expected, the rest within 6 %.
    assert found.diagnosis.departure in ("none", "latency")
    assert {row.binding for row in found.rows} <= {"nic-leaf", "NCCL channels"}
    assert found.rows[-1].ratio == pytest.approx(1, abs=0.05)


def test_the_log_of_superbench_reaches_the_published_calibration():
    """Eight A100 of Azure: large within 5.5 %; small ones take up to 2.3 times what others take since."""
    fabric = measured("nd-a100-v4")
    for log in read_log(DATA / "superbench-a100.log"):
        for row in compare_log(log, fabric).rows:
            assert row.ratio == pytest.approx(1, abs=0.055 if row.size_bytes > 2**30 else 0.57)


def test_the_scatter_of_aws_is_bound_by_the_cards_of_the_root():
    scatter, all_reduce = read_log(DATA / "aws-labels.log")
    fabric = measured("p5-2-node")
    rows = [row for row in compare_log(scatter, fabric).rows if row.size_bytes > 2**20]
    assert len(rows) == 2
    assert all(row.ratio == pytest.approx(0.98, abs=0.06) and row.binding == "nic-fabric" for row in rows)
    # The all-reduce is of an early driver, three times slower than others have measured since.
    assert compare_log(all_reduce, fabric).diagnosis.departure == "bandwidth"


TYPES = """\
# Collective test starting: all_reduce_perf
# size count type redop root time algbw busbw #wrong time algbw busbw #wrong
  8589934592 2147483648 float sum -1 31300 274.44 480.27 0 31300 274.44 480.27 0
  8589934592 4294967296 half sum -1 31400 273.56 478.74 0 31400 273.56 478.74 0
  8589934592 8589934592 f8e4m3 sum -1 46800 183.55 321.20 0 46800 183.55 321.20 0
"""


def test_rows_of_several_element_types_stand_apart():
    """One median of three types hid that sums of FP8, which no switch makes, take half as long again."""
    (log,) = parse_log(TYPES)
    found = compare_log(log, loads("include: hgx-h100\nfabric: box\n"))
    assert [(row.dtype, row.is_passed) for row in found.rows] == [
        ("float", True), ("half", True), ("f8e4m3", False),
    ]  # fmt: skip
    assert found.rows[2].ratio == pytest.approx(0.67, abs=0.01)
    assert "no sums of f8e4m3 in the switches" in found.rows[2].note
    assert not found.is_passed
    assert "f8e4m3 sum: departs" in found.diagnosis.text


def test_a_row_with_wrong_results_fails_alone():
    (log,) = parse_log(TYPES.replace("478.74 0 31400", "478.74 3 31400", 1))
    found = compare_log(log, loads("include: hgx-h100\nfabric: box\n"))
    assert [row.is_passed for row in found.rows] == [True, False, False]
    assert "3 wrong elements" in found.rows[1].note


@pytest.mark.parametrize("wrong", [("2", "0"), ("0", "2"), ("1", "1")])
@pytest.mark.parametrize("in_place", [False, True])
def test_wrong_results_fail_a_row_in_the_columns_that_are_not_compared_too(wrong, in_place, one_node):
    here, there = wrong
    text = f"""#  size count type redop root time algbw busbw #wrong time algbw busbw #wrong
   1073741824 268435456 float sum -1 4000 268.44 469.76 {here} 4000 268.44 469.76 {there}
   2147483648 536870912 float sum -1 8000 268.44 469.76 0 8000 268.44 469.76 0
"""
    (log,) = parse_log(text)
    found = compare_log(log, one_node, threshold=0.01, in_place=in_place)
    assert [row.is_passed for row in found.rows] == [False, True]
    assert "2 wrong elements" in found.rows[0].note


def test_many_runs_of_the_same_sizes_ask_the_model_once(monkeypatch, one_node):
    asked = []
    whole = study_logs.cost
    monkeypatch.setattr(study_logs, "cost", lambda *a, **k: asked.append(a[1:3]) or whole(*a, **k))
    run = made(one_node, "all-gather", "measured")
    slow = made(one_node, "all-gather", "measured", slower=lambda _, t: 1.3 * t)
    runs = compare_logs([run] * 40 + [slow], one_node)
    assert len(asked) == len(set(asked)) == len(run.rows)
    assert len(runs) == 41
    assert set(runs[:40]) == {compare_log(run, one_node)}
    assert runs[40] == compare_log(slow, one_node)
    assert runs[40] != runs[0]
