"""Titles that say what is so: ties are told as ties, fatal failures as fatal, shares of what has a price."""

from dataclasses import replace

import pytest

from fabric.flow.bottleneck import bottleneck
from fabric.graph import load, loads
from fabric.reporting.billing import billing_line, billing_title
from fabric.reporting.failing import _worst, failing, failing_title
from fabric.reporting.growing import _free, _meets
from fabric.reporting.segments import segment_title
from fabric.reporting.sheet import wrap
from fabric.reporting.staircase import staircase_title, step_ratio
from fabric.reporting.tornado import tornado, tornado_title
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import summarize
from fabric.study.failures import failures
from fabric.workload.place import place

TORUS = """
fabric: torus
axes: {x: 4, y: 4}
devices: {chip: {kind: gpu, axes: [x, y], transit: all}}
links:
  - {name: y-ring, between: [chip, chip], ring: y, rate: 100Gb/s}
  - {name: x-ring, between: [chip, chip], ring: x, rate: 100Gb/s}
"""
RAILS = """
fabric: rails
axes: {domain: 4, slot: 2}
devices: {gpu: {kind: gpu, axes: [domain, slot], transit: relay}, nvswitch: {kind: switch, axes: [domain]},
          rail: {kind: switch, axes: [slot]}}
links: [{between: [gpu, nvswitch], rate: 3600Gb/s, net: scale-up}, {between: [gpu, rail], rate: 400Gb/s}]
"""


def test_upgrades_that_gain_the_same_are_all_named():
    answer = bottleneck(loads(TORUS))
    assert tornado_title(answer) == "Only x-ring and y-ring together give more all-to-all: +10 % for 10 %"
    each = tuple(replace(price, gain=0.05 - 1e-12 * i) for i, price in enumerate(answer.binding))
    answer = replace(answer, binding=each)
    assert tornado_title(answer).startswith("10 % more x-ring or y-ring gives +")
    svg = tornado("upgrades.svg", answer).svg
    assert svg.index(">x-ring<") < svg.index(">y-ring<")


def test_a_failure_that_leaves_nothing_is_told():
    answer = failures(loads(RAILS))
    assert failing_title(answer) == "Every single failure stops the job; one rail down leaves no node whole"
    svg = failing("failures.svg", answer).svg
    assert "nothing, no node is whole" in svg
    assert "0 % by 0" not in svg


def test_bars_end_where_all_is_left():
    # Of two nodes one goes on, and has more among its own than all had across the network.
    text = RAILS.replace("domain: 4", "domain: 2")
    answer = failures(loads(text))
    gpu = next(row for row in answer.rows if row.name == "gpu")
    assert gpu.total_kept > 1
    svg = failing("failures.svg", answer).svg
    assert ">100<" in svg
    assert ">150<" not in svg


def test_the_picture_has_the_worst_of_what_stops_a_job_and_of_what_does_not():
    class Row:
        def __init__(self, *, goes_on):
            self.goes_on = goes_on

    stops, goes = [(Row(goes_on=False), i) for i in range(20)], [(Row(goes_on=True), i) for i in range(9)]
    shown = _worst([*stops, *goes])
    assert shown == [*stops[:7], *goes[:7]]
    assert _worst([*stops, *goes[:2]]) == [*stops[:12], *goes[:2]]
    assert _worst(stops) == stops[:14]
    assert _worst(goes) == goes


def test_a_share_of_the_money_is_told_where_gpus_have_a_price():
    text = "{{fabric: a, axes: {{i: 2}}, devices: {{gpu: {{part: {}, axes: [i]}}, "
    text += "nic: {{part: cx7, axes: [i]}}}}, "
    text += "links: [{{between: [gpu, nic], link: pcie5, each: 1}}], islands: 2}}"
    priced, bare = (bom(loads(text.format(p)), prices=indicative_prices()) for p in ("h100_sxm5", "mi300x"))
    assert "% of the money goes to 2 × h100_sxm5" in billing_title(priced)
    assert "without mi300x, which has no price here" in billing_title(bare)
    assert "%" not in billing_title(bare)
    assert billing_line(priced).endswith(" at indicative prices.")
    assert " at indicative prices for 1 of 2 kinds of items, the others have no price here." in billing_line(
        bare
    )


def test_items_without_a_price_are_counted_beside_the_gpus():
    text = (
        "{fabric: a, axes: {i: 2}, devices: {gpu: {part: mi300x, axes: [i]}, leaf: {kind: switch, axes: []}, "
    )
    text += "nic: {part: cx7, axes: [i]}}, links: [{between: [gpu, nic], link: pcie5, each: 1}, "
    text += "{between: [nic, leaf], rate: 400Gb/s, medium: dac_passive}]}"
    title = billing_title(bom(loads(text), prices=indicative_prices()))
    assert title.endswith(" without mi300x and 1 other item, which have no price here")
    assert title.startswith("USD ")


def test_rules_beside_one_another_make_one_step():
    """Four chips of a server, each with a rule of its own out of it, carry half of 450 GB/s together."""
    summary = summarize(load("topologies/systems/h100-nvlink-256.fabric.yaml"))
    assert staircase_title(summary) == (
        "Each GPU has 450 GB/s into its scale-up domain, 225 GB/s of it at its narrowest, "
        "and nothing leads out of it"
    )
    inner = next(link for link in summary.links if link.name == "gpu-nvswitch")
    outer = [link for link in summary.links if link.name.startswith("chip-")]
    assert [step_ratio(summary, inner, link) for link in outer] == pytest.approx([2.0] * 4)


def test_a_segment_of_one_size_is_compared_with_nothing():
    boxes = place(loads("{fabric: a, islands: 8, include: {fabric: hgx-h100, over: {node: 8}}}"), ["2/1"])
    (row,) = boxes.curve
    alike = replace(boxes, curve=(row, replace(row, segment=2)))
    title = segment_title(alike)
    assert title.endswith(f": segments of 2 nodes can use {100 * row.expected:.3g} %")
    assert "only" not in title


@pytest.mark.parametrize("size", [0.2, 1.0, 2.0, 3.0])
def test_a_number_stays_with_its_unit(size):
    lines = wrap("of 3 only 75 % and 1.5 GB/s in 42 us.".split(), size, 12)
    assert " ".join(lines) == "of 3 only 75 % and 1.5 GB/s in 42 us."
    assert not [line for line in lines if line.startswith(("%", "GB/s", "us"))]


@pytest.mark.parametrize("far", [0.0, 0.05, 0.3])
def test_labels_of_points_that_are_close_stand_apart(far):
    at = [(2.0, 2.0), (2.0 + far, 2.0), (2.0 + 2 * far, 1.95)]
    labels = [["as it is", "rail-only"], ["eight planes"], ["two planes"]]
    taken = [(x - 0.07, y - 0.07, x + 0.07, y + 0.07) for x, y in at]
    for name, point in zip(labels, at, strict=True):
        _free(name, point, taken, (0.0, 9.0))
    boxes = taken[3:]
    for i, one in enumerate(boxes):
        assert not any(_meets(one, other) for other in boxes[:i])
    assert _meets((0, 0, 2, 2), (1, 1, 3, 3))
    assert not _meets((0, 0, 1, 1), (1, 0, 2, 1))
