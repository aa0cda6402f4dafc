"""Boxes of several chips, opened by an axis: who meets whom, at which rate, and who goes on seeing boxes."""

from dataclasses import replace

import numpy as np
import pytest

from fabric import Fabric, bom, cost, fail, load, loads, open_boxes
from fabric.blueprint import census
from fabric.blueprint.checks import check_numbers
from fabric.blueprint.planes import box_notes, boxes, open_chips
from fabric.errors import QuestionError, SelectorError, TopologyError
from fabric.graph import expand, failures
from fabric.parts import find_part
from fabric.sizing.summary import summarize

POD = """
fabric: pod
axes: {rack: 2, slot: 3, spine: 2}
devices:
  nic:   {part: cx8, axes: [rack, slot], endpoint: true}
  leaf:  {part: q3400, axes: [rack]}
  spine: {part: q3400, axes: [spine]}
  core:  {part: qm9700, axes: []}
links:
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 3]}
  - {between: [leaf, spine], rate: 800Gb/s, count: 2, each: [4, 4]}
  - {between: [spine, core], rate: 400Gb/s, each: [1, 2]}
"""


def links(fabric):
    e = expand(fabric)
    found = {}
    for a, b, rate, n, down in zip(
        e.tail.tolist(),
        e.head.tolist(),
        e.rate_gbps.tolist(),
        e.count.tolist(),
        e.failed_count.tolist(),
        strict=True,
    ):
        found[str(e.names[a]), str(e.names[b])] = (rate, n, down)
    return found


def down(fabric):
    e = expand(fabric)
    return sorted(str(e.names[v]) for v in np.flatnonzero(e.failed))


def test_chip_i_meets_chip_i_and_a_nic_meets_all():
    found = links(open_boxes(loads(POD)))
    nic = {pair for pair in found if pair[0] == "rack1/nic2"}
    assert nic == {("rack1/nic2", f"asic{i}/leaf1") for i in range(4)}
    up = {pair for pair in found if pair[0] == "asic3/leaf0"}
    assert up == {("asic3/leaf0", "asic3/spine0"), ("asic3/leaf0", "asic3/spine1")}
    assert {pair[1] for pair in found if pair[0].endswith("spine0")} == {"core"}
    rates = {pair[1].split("/")[-1].rstrip("012"): one[0] for pair, one in found.items()}
    assert rates == {"leaf": 200, "spine": 200, "core": 100}
    assert {one[1] for pair, one in found.items() if "leaf0" in pair[0]} == {2}
    assert len(found) == 6 * 4 + 4 * 4 + 2 * 4


def test_what_is_expected_of_each_stays_true():
    made = open_chips(loads(POD).blueprint)
    assert [r.each for r in made.rules] == [(4, 3), (4, 4), (1, 8)]
    assert all(r.each for r in made.rules)
    # Ports are those of boxes: a chip has not as many.
    assert check_numbers(replace(made, groups=_without_parts(made))) == []
    wrong = tuple(replace(r, each=(1, 1)) for r in made.rules)
    assert len(check_numbers(replace(made, groups=_without_parts(made), rules=wrong))) == 5


def _without_parts(blueprint):
    return {name: replace(g, part=None) for name, g in blueprint.groups.items()}


def test_relations_counts_selectors_and_absent_devices():
    # A ring of boxes, lists of cables and sides that are selectors: each chip of a box as the box.
    text = """
fabric: odd
axes: {x: 4, y: 2}
devices:
  gpu:  {kind: gpu, axes: [x, y]}
  leaf: {part: q3400, axes: [x]}
  top:  {part: q3400, axes: []}
links:
  - {between: [gpu, leaf], rate: 400Gb/s, count: {y: [1, 2]}}
  - {between: [leaf, leaf], ring: x, rate: 800Gb/s}
  - {between: [x0-2/leaf, top], rate: 800Gb/s}
  - {between: [leaf0, leaf2], name: across, rate: 800Gb/s, count: 3}
absent: [leaf3, x3/gpu]
islands: 1
"""
    closed, open_ = (links(f) for f in (loads(text), open_boxes(loads(text))))
    assert {one[0] for one in open_.values()} == {100, 200}
    merged = {}
    for (a, b), (rate, n, _) in open_.items():
        chips = {name.split("/")[0] for name in (a, b) if name.startswith("asic")}
        assert len(chips) <= 1
        pair = tuple(name.split("/", 1)[1] if name.startswith("asic") else name for name in (a, b))
        pair = tuple("top" if name.startswith("top") else name for name in pair)
        merged[pair] = merged.get(pair, 0) + rate * n
    assert merged == {pair: rate * n for pair, (rate, n, _) in closed.items()}


def test_a_whole_box_fails_with_all_its_chips():
    for broken in (fail(open_boxes(loads(POD)), "leaf1"), open_boxes(fail(loads(POD), "leaf1"))):
        assert down(broken) == [f"asic{i}/leaf1" for i in range(4)]
        assert failures(broken) == ("leaf1",)
        assert broken.blueprint.closed.failed == broken.blueprint.failed


@pytest.mark.parametrize("text", ["leaf0 - spine x 3", "spine - leaf0 x 3"])
def test_cables_that_are_counted_fail_at_every_chip(text):
    wanted = {("leaf0", "spine0"): 2, ("leaf0", "spine1"): 1}
    for broken in (fail(open_boxes(loads(POD)), text), open_boxes(fail(loads(POD), text))):
        found = {pair: one[2] for pair, one in links(broken).items() if one[2]}
        assert found == {
            (f"asic{i}/{a}", f"asic{i}/{b}"): n for i in range(4) for (a, b), n in wanted.items()
        }
        assert failures(broken) == (text,)


def test_counted_cables_of_several_rules_are_refused():
    broken = fail(loads(POD), ("rack0/*", "*", 2))
    with pytest.raises(QuestionError, match=r"2 of the cables between rack0/\* and \* are of several rules"):
        open_boxes(broken)
    one_rule = open_boxes(fail(loads(POD), ("rack0/slot0/*", "*", 1)))
    assert {p: one[2] for p, one in links(one_rule).items() if one[2]} == {
        ("rack0/nic0", f"asic{i}/leaf0"): 1 for i in range(4)
    }


def test_a_chip_that_fails_opens_the_boxes():
    in_file = loads(POD + "failed: [asic1/leaf0, [asic2/rack0/leaf, spine1, 1], spine0]\n")
    asked = fail(loads(POD), "asic1/leaf0", ("asic2/rack0/leaf", "spine1", 1), "spine0")
    for fabric in (in_file, asked):
        assert down(fabric) == ["asic0/spine0", "asic1/leaf0", "asic1/spine0", "asic2/spine0", "asic3/spine0"]
        assert {p: one[2] for p, one in links(fabric).items() if one[2]} == {
            ("asic2/leaf0", "asic2/spine1"): 1
        }
        assert len(fabric.blueprint.closed.failed) == 1
        assert set(failures(fabric)) == {"spine0", "asic1/leaf0", "asic2/rack0/leaf - spine1 x 1"}
    # What has failed stays failed when more does.
    assert down(fail(in_file, "core")) == [
        "asic0/spine0",
        "asic1/leaf0",
        "asic1/spine0",
        "asic2/spine0",
        "asic3/spine0",
        "core",
    ]
    assert loads(POD + "failed: [leaf0]\n").blueprint.closed is None


def test_a_template_fails_chips_under_its_prefix(tmp_path):
    (tmp_path / "pod.fabric.yaml").write_text(POD.lstrip() + "failed: [asic1/leaf0]\n")
    whole = "{fabric: two, include: {fabric: ./pod.fabric.yaml, over: {site: 2}, as: a}, islands: 2}"
    assert down(loads(whole, base=tmp_path)) == ["asic1/site0/a.leaf0", "asic1/site1/a.leaf0"]
    taken = whole.replace("site: 2", "asic: 2").replace("islands: 2", "islands: 2, axes: {asic: 2}")
    with pytest.raises(
        TopologyError, match=r"pod.fabric.yaml:12:10: failed\[0\]: boxes .* has an axis of that"
    ):
        loads(taken, base=tmp_path)


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ("asic4/leaf0", r"failed\[0\]: .*asic4 is beyond the last index, asic3"),
        ("asic1/core", r"core has no axis asic"),
        ("asics1/leaf0", "no axis 'asics'; axes are"),
        ("[asic1/leaf0, asic2/spine0]", r"13:10: failed\[0\]: no cable between asic1/leaf0 and asic2/spine0"),
        ("[asic1/leaf0, spine0, 3]", r"more failed cables .*got 3; expected at most 2"),
    ],
)
def test_breakers_in_a_file(entry, match):
    with pytest.raises(TopologyError, match=match):
        loads(POD + f"failed: [{entry}]\n")


def test_an_axis_of_that_name_is_the_files_own():
    by_hand = POD.replace("spine: 2}", "spine: 2, asic: 2}").replace("axes: [spine]", "axes: [asic, spine]")
    by_hand = by_hand.replace("count: 2, each: [4, 4]", "each: [4, 2]").replace(
        "each: [1, 2]", "each: [1, 4]"
    )
    fabric = loads(by_hand + "failed: [asic1/spine0]\n")
    assert fabric.blueprint.closed is None
    assert down(fabric) == ["asic1/spine0"]
    with pytest.raises(QuestionError, match="opened by an axis asic, but the file has an axis of that name"):
        open_boxes(fabric)
    note = cost(loads(by_hand), "all-gather", "1GB", routing="hashed", calibration="wire").notes[0]
    assert note.endswith(
        "has an axis of that name; so they are whole, and every flow is spread over their chips"
    )
    with pytest.raises(TopologyError, match="leaf has no axis asic"):
        loads(by_hand + "failed: [asic1/leaf0]\n")


def test_boxes_of_four_and_of_two_chips_are_refused():
    blueprint = loads(POD).blueprint
    two = replace(blueprint.groups["spine"], part=replace(find_part("q3400"), planes=2))
    mixed = replace(blueprint, groups={**blueprint.groups, "spine": two})
    with pytest.raises(QuestionError, match="leaf with 4 ASICs and spine with 2 ASICs; which of them meet"):
        open_chips(mixed)
    with pytest.raises(QuestionError, match="different numbers of chips"):
        fail(Fabric("mixed", mixed), "asic1/leaf0")


def test_what_has_no_chips_stays_as_it_is():
    plain = loads(POD.replace("q3400", "sn5600").replace("qm9700", "sn5600").replace("400Gb/s", "800Gb/s"))
    assert boxes(plain.blueprint) == {}
    assert open_boxes(plain).blueprint is plain.blueprint
    with pytest.raises(SelectorError, match="no axis 'asic'.*no part of pod is several chips"):
        fail(plain, "asic1/leaf0")
    made = open_boxes(loads(POD))
    assert open_boxes(made).blueprint is made.blueprint


def test_an_endpoint_stays_one_device():
    text = POD.replace("q3400, axes: [rack]}", "q3400, axes: [rack], endpoint: true}").replace(
        "axes: [rack, slot], endpoint: true", "axes: [rack, slot]"
    )
    made = open_boxes(loads(text))
    assert boxes(made.blueprint) == {"spine": 4}
    assert {pair[1] for pair in links(made) if pair[0] == "leaf0"} == {
        f"asic{i}/spine{j}" for i in range(4) for j in range(2)
    }


def test_bills_summaries_and_counts_see_boxes():
    closed = loads(POD)
    made = fail(open_boxes(closed), "asic1/leaf0")
    assert bom(made).items == bom(closed).items
    assert census(made.blueprint.whole).present("leaf") == 2
    told = summarize(made)
    assert told.groups == summarize(closed).groups
    assert told.links == summarize(closed).links
    assert told.failed == ("asic1/leaf0",)


def test_a_note_says_where_chips_are_seen():
    (note,) = box_notes(loads(POD).blueprint)
    assert note.startswith(
        "boxes of several chips, each with a share of every port: leaf (4 ASICs), spine (4"
    )
    assert summarize(loads(POD)).notes == (note,)
    assert box_notes(open_boxes(loads(POD)).blueprint) == (note,)
    assert box_notes(load("topologies/gb300-nvl72.fabric.yaml").blueprint) == ()


def test_names_of_chips_can_be_asked_for():
    fabric = open_boxes(loads(POD))
    e = expand(fabric)
    for name in e.names:
        assert down(fail(fabric, str(name))) == [name]
