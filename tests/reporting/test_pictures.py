"""Every picture of a report: small, plain, legible, and telling what the table beneath it tells."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fabric.costing import cost
from fabric.flow.bottleneck import bottleneck
from fabric.graph import expand, fail, load, loads
from fabric.reporting import answers, growing, report, tornado
from fabric.reporting.chart import chart, ticks
from fabric.reporting.failing import failing_line, failing_title
from fabric.reporting.page import compose
from fabric.reporting.plot import linear, plot
from fabric.reporting.sheet import svg
from fabric.sizing import design
from fabric.sizing.summary import summarize
from fabric.study.failures import failures
from fabric.study.scale import design_knees, scale
from fabric.text.words import number

TOPOLOGIES = Path(__file__).parents[2] / "topologies"


@pytest.fixture(scope="module")
def whole():
    """Return the page of a small designed cluster, with everything on it."""
    text = design(gpus=144, rack="gb300-nvl72", leaf="sn5610", planes=2, name="two").text
    fabric = loads(text, path="two.fabric.yaml")
    summary = summarize(fabric)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "LARGEST", 150)
        patch.setattr(answers, "SIZES", ("1MiB", "1GiB"))
        found = answers.ask(fabric, summary, lambda done, total: None)
    return compose(fabric, summary, found), found, fabric


def texts_of(svg):
    return [e.text or "" for e in ET.fromstring(svg).iter() if e.tag.endswith("}text")]


def test_pictures_are_small_plain_and_have_their_title(whole):
    page, *_ = whole
    names = {picture.name for picture in page.pictures}
    named = ("algorithms", "bill", "designs", "failures", "racks", "segments", "sizes", "staircase")
    assert names == {
        f"{name}.svg" for name in (*named, "time-all-reduce", "time-all-to-all", "upgrades", "wiring")
    }
    for picture in page.pictures:
        assert len(picture.svg) <= 60_000, picture.name
        tags = {e.tag.rpartition("}")[2] for e in ET.fromstring(picture.svg).iter()}
        assert not tags & {"script", "image", "a", "foreignObject", "date"}
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b|file:|@import|/tmp|/home|\son\w+=", picture.svg)
        shown = " ".join(texts_of(picture.svg))
        assert picture.title in " ".join(shown.split()), picture.name
        # A unit on every axis.
        assert re.search(r"\[(GB/s|ms|%|million USD)", shown) or picture.name in ("wiring.svg", "racks.svg")


def test_no_text_of_a_picture_overlaps_or_is_cut(whole, text_faults):
    page, *_ = whole
    assert {p.name: found for p in page.pictures if (found := text_faults(p.svg))} == {}


def test_a_legend_of_many_kinds_takes_another_line(text_faults):
    def draw(n):
        names = [f"kind-{i}-of-cables binds" for i in range(n)]
        return plot("A finding", linear("x [m]", 0, 9), linear("y [GB/s]", 0, 7), note="", legend=names)

    # At the right edge of the sheet the next one goes down a line.
    assert [text_faults(svg(lambda n=n: draw(n).figure, "A finding")) for n in (1, 4, 5, 8)] == [[]] * 4
    assert draw(8).figure.get_figheight() > draw(4).figure.get_figheight()


def test_what_stands_beside_a_long_bar_stays_on_the_sheet(text_faults):
    made = chart("A finding", 1, span=(0.0, 10.0), label="Time [ms]", room=0.2)
    made.bar(0, 0.0, 10.0)
    made.say(0, 10.0, "527.3 us, 0.0547 %; 7.909 ms hidden")
    assert text_faults(svg(lambda: made.figure, "A finding")) == []


def test_tables_fit_a_hundred_columns(whole):
    page, *_ = whole
    wide = [line for line in page.to_markdown().splitlines() if line.startswith("|") and len(line) > 100]
    assert wide == []


def test_the_last_two_sections_say_what_would_change_and_where_from(whole):
    page, *_ = whole
    assert [section.title for section in page.told][-2:] == ["What would change the answer", "Provenance"]
    assert len(page.told[0].filled[0].splitlines()) == 7


def test_upgrades_are_dual_and_solved_again(whole):
    _, found, fabric = whole
    prices = found.jobs[0].prices
    again = bottleneck(fabric)
    assert [p.gain for p in prices.binding] == pytest.approx([p.gain for p in again.binding])
    text = tornado.tornado_table(prices, found.bill, {x.name: x for x in summarize(fabric).links})
    for price in prices.binding:
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{price.link}`"))
        assert f"{100 * price.gain:+.3g} %" in row
        assert (r"\*" in row) == (abs(price.gain - 0.1 * price.up_slope) > 0.005)


def test_every_kind_of_failure_is_in_the_table(whole):
    page, found, fabric = whole
    (section,) = (s for s in page.told if s.title == "What a failure leaves")
    rows = [line.split(" | ") for line in section.filled[1].splitlines() if line.startswith("| ")][2:]
    n = sum(int(row[1].replace(",", "")) for row in rows if "cable" not in row[0] and "whole" not in row[0])
    assert n == found.failing.n_devices
    (leaf,) = (hit for hit in found.hits if hit.row.of == "leaf")
    # Wherever it stands: the worst of all leaves is told.
    names = [name for name in expand(fabric).names if name.rpartition("/")[2].startswith("leaf")]
    times = [cost(fail(fabric, name), "all-reduce", "1GiB", is_bounded=False).time_s for name in names]
    assert (len(times), leaf.cost.time_s) == (leaf.row.n, pytest.approx(max(times)))
    assert (
        f"- One leaf down: all-to-all keeps {100 * leaf.row.kept:.4g} %; all-reduce of 1 GiB takes "
        in page.to_markdown()
    )
    assert f"{100 * found.failing.life.effective:.4g} % of the time is effective" in page.to_markdown()


def test_a_failed_leaf_is_told_in_one_line():
    text = "{fabric: a, axes: {i: 4, plane: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    text += "axes: [plane]}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    answer = failures(loads(text))
    assert failing_title(answer) == (
        "A job that goes on keeps at least 50 % of all-to-all (one leaf down); 1 kind of failure stops it"
    )
    assert "One failure, of all-to-all: one `leaf` leaves **50 %**" in failing_line(answer)
    assert "after a `gpu` (then 75 %)." in failing_line(answer)


def test_sizes_change_where_the_table_says(whole):
    _, found, _ = whole
    growth = found.growth
    assert growth.departs == ""
    told = growing.changes(growth)
    rows = growth.built
    for low, high in zip(rows[:-1], rows[1:], strict=True):
        (*knees,) = (k for k in growth.knees if k.what == "tiers" and low.gpus < k.gpus <= high.gpus)
        assert len(knees) == (high.tiers != low.tiers)
        for knee in knees:
            # One rack fewer still has the tiers of before.
            sizes = [knee.gpus - 72, knee.gpus]
            assert [design(**growth.options, gpus=n).n_tiers for n in sizes] == [low.tiers, high.tiers]
            line = f"from {knee.gpus:,} GPUs on: tiers: {low.tiers}, then {high.tiers}"
            assert line in told
            assert f">{line.partition(':')[0].replace(' GPUs', '')}<" in growing.curve("c.svg", growth).svg
    assert [pairs[0] for pairs in growing.size_rows(growth)] == [("GPUs", f"{row.gpus:,}") for row in rows]


def test_designs_say_what_both_collectives_have(whole):
    _, found, _ = whole
    growth = found.growth
    own, *_ = growth.designs
    (row,) = (row for row in growth.built if row.gpus == 144)
    # By the size table and by the design alone.
    assert (own.rate_gbps, own.busbw_gbps) == pytest.approx((row.all_to_all_gbps, row.times[0].busbw_gbps))
    text = growing.pareto_table(growth)
    lines = [line.replace("*", "") for line in text.splitlines()]
    for one in growth.designs:
        (line,) = (line for line in lines if line.startswith(f"| {one.what} |"))
        rates = [number(rate / 8) for rate in (one.rate_gbps, one.busbw_gbps)]
        assert line.split(" | ")[3:5] == rates
    assert "has no way to another rail" in text


def test_what_binds_all_to_all_changes_where_the_knee_is():
    options = {"rack": "dgx-h100", "leaf": "qm9700"}
    table = scale([8, 64, 128], has_knees=False, has_bounds=False, collectives=[], **options)
    # As the search over all traits finds it, at many times the cost.
    whole = scale([8, 64, 128], has_bounds=False, collectives=[], **options).knees
    assert design_knees(table, **options) == whole
    assert [(k.gpus, k.after) for k in whole] == [(16, "nic-leaf"), (72, "2")]


@pytest.mark.parametrize(("low", "high"), [(0, 1e-9), (0, 1), (-3, 17), (87.2, 91.4), (0, 1e12)])
def test_ticks_are_round_and_within(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-9 <= value <= high * (1 + 1e-9) for value in found)


def test_changes_have_a_page_of_their_own(tmp_path):
    text = (TOPOLOGIES / "gb300-nvl72.fabric.yaml").read_text()
    one = loads(text, path="one.fabric.yaml")
    two = loads(text + "axes: {extra: 1}\nfailed: [tray0/gpu0]\n", path="two.fabric.yaml")
    page = report(two, tmp_path / "out", before=one, html=True).read_text()
    assert page.startswith("# one\\-gb300\\-nvl72 to") or page.startswith(
        "# one-gb300-nvl72 to one-gb300-nvl72\n"
    )
    assert "Command | `fabtopo report --diff one.fabric.yaml two.fabric.yaml -o DIR`" in page
    assert "failed" in page
    assert one.blueprint.sha256 in page
    assert two.blueprint.sha256 in page
    # Written again over what it wrote itself.
    report(one, tmp_path / "out", before=one)
    assert "No change in " in (tmp_path / "out" / "README.md").read_text()


def test_nothing_to_draw_is_no_picture():
    lone = loads("{fabric: lone, axes: {i: 1}, devices: {gpu: {kind: gpu, axes: [i]}}}")
    summary = summarize(lone)
    page = compose(lone, summary, answers.ask(lone, summary, lambda done, total: None))
    assert "staircase.svg" in {p.name for p in page.pictures}
    assert "Missing here" in page.to_markdown()


def test_a_report_of_the_example_is_read_from_its_file():
    fabric = load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")
    assert growing.command_of("scale", {"rack": "a b"}) == "fabtopo scale --rack 'a b'"
    assert fabric.blueprint.sha256


def test_what_is_cut_off_never_ends():
    text = (
        "{fabric: cut, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
    )
    fabric = loads(text + "failed: [leaf], links: [{between: [gpu, leaf], rate: 400Gb/s}]}")
    summary = summarize(fabric)
    page = compose(fabric, summary, answers.ask(fabric, summary, lambda done, total: None)).to_markdown()
    assert "- All-reduce: **never**; failures cut off " in page
    assert "inf" not in page.partition("## Assumptions")[0].replace("infinite", "")
