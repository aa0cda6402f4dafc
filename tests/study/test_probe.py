"""Plans of tests: every suspect, slow in turn, is found by what its tests show."""

import math
from functools import cache

import numpy as np
import pytest

import fabric as f
from fabric.errors import QuestionError
from fabric.graph import degrade, expand, loads

BOXES = """
fabric: boxes
axes: {rack: 3, slot: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  chip: {kind: switch, axes: [rack]}
  nic: {kind: nic, axes: [rack, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, chip], rate: 900Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 400Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s}
"""
STAR = """
fabric: star
axes: {i: 5}
devices: {gpu: {kind: gpu, axes: [i]}, nic: {kind: nic, axes: [i]}, leaf: {kind: switch, axes: []}}
links: [{between: [gpu, nic], rate: 400Gb/s}, {between: [nic, leaf], rate: 400Gb/s, count: 2}]
"""


@cache
def plan(text, suspects, answers):
    return f.probe(loads(text), suspects, answers=answers)


def shown(fabric, among):
    """Return what each endpoint sends in a test, worked out on the links of a fabric with the bad one."""
    asked = {"algorithm": "direct", "calibration": "wire", "is_bounded": False, "method": "links"}
    return f.cost(fabric, "all-to-all", "1GiB", among=among, **asked).algbw_gbps


def walk(text, suspects, bad):
    """Follow the plan by what tests show where `bad` is slow; return it, and the answers."""
    slow, answers = degrade(loads(text), bad), ()
    while len(answers) < len((own := plan(text, suspects, answers)).tests):
        test = own.tests[len(answers)]
        rate = shown(slow, test.among)
        # It shows the one or the other, and nothing between.
        assert min(abs(rate / test.sound_gbps - 1), abs(rate / test.slow_gbps - 1)) < 1e-6
        answers += ("slow" if rate < math.sqrt(test.sound_gbps * test.slow_gbps) else "sound",)
    return own, answers


def names(text, group):
    e = expand(loads(text))
    return [str(e.names[v]) for v in range(e.n_devices) if e.groups[int(e.group[v])].name == group]


@pytest.mark.parametrize("text", [STAR.replace("i: 5", "i: 4"), pytest.param(BOXES, marks=pytest.mark.slow)])
def test_every_card_is_found_by_a_pattern_of_its_own(text):
    patterns, cards = set(), names(text, "nic")
    for card in cards:
        own, answers = walk(text, "", (card, 0.5))
        assert own.n_left == 1
        assert own.found.split("/")[:-1] == _terms(card)
        patterns.add(answers)
    assert len(patterns) == len(cards) == own.n_suspects
    assert max(map(len, patterns)) <= own.n_fewest + 1


def _terms(name):
    """Return the terms of the name of a card, its last index by its axis."""
    *heads, last = name.split("/")
    return [*heads, f"{'slot' if heads else 'i'}{last.removeprefix('nic')}"]


@pytest.mark.slow
@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("card", "found", "n_asked"),
    [("rack2/nic3", "rack2/slot3/nic", 3), ("rack0/nic1", "rack0/slot1/nic", 4)],
)
def test_two_cards_of_several_boxes_are_found(card, found, n_asked):
    own, answers = walk(BOXES, "", (card, 0.5))
    assert (own.found, own.n_left, own.n_suspects, own.n_fewest) == (found, 1, 12, 4)
    assert len(answers) == n_asked


@pytest.mark.slow
def test_cables_of_many_boxes_that_traffic_is_spread_over_are_left_together():
    own, _ = walk(BOXES.replace("800Gb/s", "400Gb/s"), "leaf-spine", ("leaf2", "spine1", 0.5))
    assert (own.found, own.n_left, own.n_suspects, own.n_fewest) == ("slot2/leaf", 2, 8, 2)
    assert own.untold == ("spine: traffic is spread over it",)


def test_parallel_cables_that_traffic_is_spread_over_are_left_together():
    narrow = STAR.replace("leaf], rate: 400", "leaf], rate: 200")
    own, _ = walk(narrow, "nic-leaf", ("nic3", "leaf", 1, 0.5))
    assert (own.found, own.n_left, own.n_suspects) == ("i3/nic", 2, 10)


def test_what_no_test_shows_is_said():
    # One leaf of a tenth of what comes in: a card at half is never what binds.
    text = BOXES.replace("800Gb/s", "40Gb/s")
    own = f.probe(loads(text))
    assert own.tests == ()
    assert own.n_left == own.n_suspects == 12
    assert own.untold == (
        "rack: no test shows which of rack0-2 it is",
        "slot: no test shows which of slot0-3 it is",
    )
    assert "12 are left: nic" in str(own)


def test_the_text_is_a_plan_to_follow():
    text = str(f.probe(loads(STAR), part="1/4", answers=["sound"]))
    assert text.splitlines()[0] == "one of 5 nic at 1/4: 2 tests, all-to-all among"
    assert text.splitlines()[2].split() == [
        "1", "i0-2/gpu", "3", "600", "Gb/s", "(75", "GB/s)", "150", "Gb/s", "(18.75", "GB/s)", "sound",
    ]  # fmt: skip
    assert "if slow" in text.splitlines()[3]
    assert text.endswith("no plan of tests with two answers has fewer than 3; rates are those of wires")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"suspects": "nick"}, "no device group or link rule 'nick'; did you mean nic?"),
        ({"suspects": "gpu"}, "gpu are endpoints, which take part in every test"),
        ({"part": 1}, "part: a slow cable has a part between 0 and 1"),
        ({"part": "fast"}, "part: expected a part of its rate"),
        ({"answers": ["yes"]}, "answers: slow or sound; got 'yes'"),
        ({"answers": ["slow"] * 9}, "9 answers, but the plan has 3 tests"),
    ],
)
def test_what_is_no_plan_is_refused(asked, message):
    with pytest.raises(QuestionError, match=message.replace("?", r"\?")):
        f.probe(loads(STAR), **asked)


@pytest.mark.slow
def test_a_million_in_twenty_tests():
    own = f.probe(f.load("topologies/million.fabric.yaml"))
    assert (own.n_suspects, own.n_left, own.untold) == (1_000_008, 1, ())
    assert len(own.tests) <= own.n_fewest + 3
    assert own.n_fewest == 20
    ratios = np.array([test.slow_gbps / test.sound_gbps for test in own.tests])
    assert (ratios < 0.75).all()
