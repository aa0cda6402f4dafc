"""Designs at many sizes: every row is what the layers below say, and knees are where something changes."""

import csv
import io
import json
import sys

import pytest

from fabric.bounds import packing
from fabric.bounds.bound import bound
from fabric.costing import calibration, cost
from fabric.errors import ArgumentError, ExtraError, QuestionError, UnitError
from fabric.flow.throughput import throughput
from fabric.sizing import design
from fabric.sizing.switch import DesignError
from fabric.study import scale as scaling
from fabric.study.scale import _Measure, scale, space_sizes
from fabric.study.scale_table import FastAlgorithm, Knee, ScaleRow

HGX = {"rack": "hgx-h100", "leaf": "16x400G"}


@pytest.fixture(scope="module")
def table():
    return scale([128, 32, 64], **HGX, collectives=("all-reduce", "all-to-all"), calibration="wire")


def test_rows_are_what_the_layers_below_say(table):
    assert [row.gpus for row in table.rows] == [32, 64, 128]
    made = design(gpus=64, rack="hgx-h100", leaf="16x400G")
    row = table.rows[1]
    assert (row.tiers, row.switches) == (made.n_tiers, sum(made.switches.values()))
    assert row.cables == made.cables["nic-leaf"] + made.cables["leaf-spine"]
    answer = throughput(made.fabric)
    assert row.all_to_all_gbps == pytest.approx(answer.per_endpoint_gbps)
    assert row.all_to_all_binding == answer.binding[0].link
    assert row.all_to_all_share == answer.binding[0].share > 0
    assert row.costed_gpus == cost(made.fabric, "all-reduce", "1GiB").n_ranks == 64
    assert [name for name, *_ in row.bounds] == ["all-gather", "all-reduce", "all-to-all"]
    for name, rate, _ in row.bounds:
        assert rate == pytest.approx(bound(made.fabric, name).busbw_gbps)
    for told in row.times:
        one = cost(made.fabric, told.collective, "1GiB", calibration="wire")
        assert told.time_s == pytest.approx(one.time_s)
        assert (told.algorithm, told.binding) == (one.chosen.algorithm, one.binding)
        assert (told.busbw_gbps, told.latency_share, told.evidence) == (pytest.approx(one.busbw_gbps), 0, "")
    assert row.known_w > 0


def test_a_non_blocking_fabric_gives_every_gpu_its_nic(table):
    # By hand: n - 8 of n - 1 peers are across, over a NIC of 400 Gb/s.
    for row in table.rows:
        n = row.gpus
        assert row.all_to_all_gbps == pytest.approx(400 * (n - 1) / (n - 8))


def test_the_third_tier_comes_at_the_limit_of_two():
    # Two tiers of radix 16 hold 16 * 16 / 2 = 128 GPUs; the next node is the 17th.
    table = scale([128, 136], **HGX, collectives=(), has_bounds=False)
    assert Knee(136, "tiers", "2", "3") in table.knees
    below, above = (design(gpus=n, rack="hgx-h100", leaf="16x400G").n_tiers for n in (128, 136))
    assert (below, above) == (2, 3)


def test_a_knee_of_tiers_is_found_without_a_flow_or_a_cost(monkeypatch):
    solved = []

    def counted(name):
        verb = getattr(scaling, name)
        return lambda *args, **more: solved.append(name) or verb(*args, **more)

    for name in ("answer_question", "cost"):
        monkeypatch.setattr(scaling, name, counted(name))
    table = scale([64, 200], **HGX, has_bounds=False, calibration="wire")
    assert table.knees == (Knee(136, "tiers", "2", "3"),)
    # One of each for the two rows, and none for the sizes between them.
    assert sorted(solved) == ["answer_question"] * 2 + ["cost"] * 2


def test_an_algorithm_that_is_hardly_faster_makes_no_knee(monkeypatch):
    """In the rack the hierarchical one is the fastest, across racks the ring, by less than 1 %."""
    racks = {"rack": "gb300-nvl72", "leaf": "sn6800"}
    asked = {**racks, "collectives": ("all-reduce",), "calibration": "wire", "has_bounds": False}
    table = scale([72, 144], **asked)
    assert [row.times[0][2] for row in table.rows] == ["hierarchical", "ring"]
    costs = {
        a.algorithm: a.time_s
        for a in cost(
            design(gpus=144, **racks).fabric, "all-reduce", "1GiB", calibration="wire", is_bounded=False
        ).algorithms
    }
    assert costs["ring"] < costs["hierarchical"] < 1.01 * costs["ring"]
    assert not [knee for knee in table.knees if "all-reduce" in knee.what]
    monkeypatch.setattr(scaling, "TIE", 0.0)
    assert Knee(144, "all-reduce by", "hierarchical", "ring") in scale([72, 144], **asked).knees


@pytest.mark.slow
def test_knees_show_where_steps_take_the_time_and_which_algorithm_takes_over():
    """More racks take longer: a ring has as many steps as ranks, until a tree is so much faster."""
    racks = {"rack": "gb300-nvl72", "leaf": "sn6800", "collectives": ["all-reduce"]}
    table = scale([72, 144, 1440, 14_400], **racks, size="512MiB")
    times = [row.times[0] for row in table.rows]
    # In one rack a ring and sums in switches are expected within a tenth of each other at this size, on two
    # a tree and one over their switches within a per cent.
    assert times[0].algorithm in ("nvls", "ring")
    assert times[1].algorithm in ("nvls-tree", "tree")
    assert times[2].algorithm == "ring"
    assert times[3].algorithm == "tree"
    assert times[0].time_s < times[1].time_s < times[2].time_s
    for row, told in zip(table.rows, times, strict=True):
        assert told.low_gbps < told.busbw_gbps < told.high_gbps
        # The rate of no algorithm stands beside what is expected, not in its place.
        assert told.busbw_gbps < next(b.busbw_gbps for b in row.bounds if b.collective == "all-reduce")
    knees = {(k.what, k.before, k.after): k.gpus for k in table.knees}
    steps = knees["all-reduce time goes to", "bytes", "steps"]
    assert 144 < steps <= knees["all-reduce by", "ring", "tree"] <= 14_400
    assert times[3].evidence == "extrapolated"
    assert times[2].latency_share > 0.5
    wire = scale([72, 14_400], **racks, has_knees=False, has_bounds=False, calibration="wire")
    assert wire.rows[0].times[0].time_s == pytest.approx(wire.rows[1].times[0].time_s, rel=0.01)


def test_what_slips_in_by_small_steps_makes_a_knee_in_the_end():
    ties = [
        [("x", "tree", "up"), ("x", "ring", "in")],
        [("x", "ring", "in"), ("x", "tree", "up")],
        [("x", "ring", "in")],
    ]
    rows = [
        ScaleRow(8 * i, 8 * i, ties=tuple(FastAlgorithm(*tie) for tie in one))
        for i, one in enumerate(ties, 1)
    ]
    measure = _Measure(HGX, ("x",), 1, "wire")
    assert [*measure.knees(rows)] == [Knee(24, "x by", "tree", "ring"), Knee(24, "x binds", "up", "in")]
    assert [*measure.knees(rows[:2])] == []


def test_the_calibration_stands_under_the_table(table):
    found = table.to_dict()
    assert (found["calibration"], found["about"]) == ("wire", calibration("wire").about)
    assert f"\nCollectives of 1 GiB, calibration wire: {found['about']}\n" in table.to_markdown()
    plain = scale([64], **HGX, collectives=(), has_knees=False, calibration="wire")
    assert "calibration" not in plain.to_markdown()


def test_bounds_are_rates(table):
    row, cells = table.rows[0], table.table()[0]
    for name, rate, _ in row.bounds:
        assert cells[f"{name.replace('-', '_')}_busbw_bound_gbps"] == rate
    assert not [name for name in cells if name.endswith("gbytes")]


@pytest.mark.parametrize("wrong", [{"rack": "foo"}, {"leaf": "foo"}, {"spine": "foo"}, {"core": "foo"}])
def test_an_unknown_name_is_an_error_and_no_row(wrong):
    with pytest.raises(DesignError, match="'foo'"):
        scale([8, 16], **HGX | wrong, calibration="wire")


def test_sizes_that_cannot_be_built_make_one_knee():
    racks = {"rack": "gb300-nvl72", "leaf": "sn5610", "planes": 2, "tiers": 1}
    table = scale([72, 720_000, 7_200_000], **racks, collectives=(), has_bounds=False, calibration="wire")
    assert [row.problem[:10] for row in table.rows] == ["", "no design ", "no design "]
    assert [k.what for k in table.knees if k.what == "design"] == ["design"]


def test_no_knee_where_nothing_changes():
    assert scale([64, 128], **HGX, calibration="wire").knees == ()


def test_a_size_that_cannot_be_built_says_why():
    asked = {"has_knees": False, "has_bounds": False, "collectives": (), "calibration": "wire"}
    table = scale([1152, 10_000_000], rack="gb300-nvl72", leaf="sn5610", **asked)
    assert table.rows[0].problem == ""
    assert "no design for 10000000 GPUs" in table.rows[1].problem
    assert "no design for 10000000 GPUs" in table.to_markdown()


def test_every_form_has_every_row(table):
    records = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [int(r["gpus"]) for r in records] == [32, 64, 128]
    found = json.loads(table.to_json())
    assert [r["gpus"] for r in found["rows"]] == [32, 64, 128]
    assert found["rows"][0]["times"] == [one._asdict() for one in table.rows[0].times]
    assert set(table.table()[0]) == set(records[0])
    knee = {"gpus": 40, "what": "all-reduce binds", "before": "gpu-nvswitch", "after": "nic-leaf"}
    assert knee in found["knees"]
    text = table.to_markdown()
    assert text.count("\n| ") == 4  # the line below the head, and the rows
    assert "from 40 GPUs: all-reduce binds: gpu-nvswitch -> nic-leaf" in text


def test_frames_need_their_library(table, monkeypatch):
    assert table.to_frame("pandas")["gpus"].tolist() == [32, 64, 128]
    assert table.to_frame("polars")["gpus"].to_list() == [32, 64, 128]
    with pytest.raises(ExtraError, match="no data frames of arrow; known are polars, pandas, pyarrow"):
        table.to_frame("arrow")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ExtraError, match="no data frames of polars"):
        table.to_frame("polars")
    for name in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraError, match="install one of polars, pandas, pyarrow"):
        table.to_frame()


def test_sizes():
    assert space_sizes("72..1000000", 20)[0] == 72
    assert space_sizes("72..1000000", 20)[-1] == 1_000_000
    assert len(space_sizes("72..1000000", 20)) == 20
    assert space_sizes("8,16") == (8, 16)
    with pytest.raises(QuestionError, match="a range runs up"):
        space_sizes("10..10")
    with pytest.raises(QuestionError, match=r"range '8\.\.': upper end missing"):
        space_sizes("8..")
    with pytest.raises(QuestionError, match="in 2 to 500 points"):
        space_sizes("1..10", 501)
    with pytest.raises(UnitError, match="many"):
        space_sizes("many")
    with pytest.raises(QuestionError, match="at least one size"):
        scale([], **HGX, calibration="wire")


def test_what_is_built_of_is_needed():
    with pytest.raises(ArgumentError, match="scale: rack and leaf missing"):
        scale([256], calibration="wire")


@pytest.mark.slow
def test_a_bound_that_is_not_by_its_program_says_so_in_its_row(monkeypatch):
    def rows():
        design = {"rack": "gb300-nvl72", "leaf": "sn5610"}
        return scale(
            gpus=[72, 144], collectives=["all-reduce"], has_knees=False, **design, calibration="wire"
        ).table()

    by_program = rows()
    assert not any("all_reduce_busbw_bound_by" in row for row in by_program)
    solved = [row["all_reduce_busbw_bound_gbps"] for row in by_program]
    monkeypatch.setattr(packing, "MANY_COLUMNS", 150)
    marked = rows()
    for row, right in zip(marked, solved, strict=True):
        # Where the program is too large the bound is by some flows or by parts: never below the program's.
        is_marked = bool(row["all_reduce_busbw_bound_by"])
        assert is_marked or row["all_reduce_busbw_bound_gbps"] == pytest.approx(right)
        assert row["all_reduce_busbw_bound_gbps"] >= right * (1 - 1e-9)
    assert any(row["all_reduce_busbw_bound_by"] for row in marked)
