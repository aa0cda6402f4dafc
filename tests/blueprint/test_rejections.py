# A slip and its message are read side by side, however long.
# ruff: noqa: E501
"""Every rejection that the grammar names, each by a file that is sound but for one slip."""

import re

import pytest

from fabric.errors import TopologyError
from fabric.graph import loads
from tests.blueprint.slips import pod, unmarked
from tests.blueprint.slips_of_relations import AXES, REFERENCES, RELATIONS
from tests.blueprint.slips_of_wholes import PORTS, SWITCH, WHOLE
from tests.blueprint.slips_of_words import KEYS, NAMES, NUMBERS, RATES

SECTIONS = {
    "keys": KEYS,
    "names": NAMES,
    "numbers": NUMBERS,
    "rates": RATES,
    "references": REFERENCES,
    "axes": AXES,
    "relations": RELATIONS,
    "ports": PORTS,
    "whole": WHOLE,
}
CASES = [
    pytest.param(*case, id=f"{s}: {name}") for s, cases in SECTIONS.items() for name, case in cases.items()
]


@pytest.mark.some(24)
@pytest.mark.parametrize(("text", "match"), CASES)
def test_rejected(text, match):
    text, line, col = unmarked(text)
    with pytest.raises(TopologyError, match=rf"^<text>:{line}:{col}: .*(?:{match})") as caught:
        loads(text)
    assert len(caught.value.problems) == 1


def test_the_pod_without_a_slip_is_sound():
    assert loads(pod()).skipped == ()


def located(text, **options):
    """Return the places of all problems of `text`."""
    with pytest.raises(TopologyError, match=":") as caught:
        loads(text, **options)
    return [(p.line, p.col, p.what) for p in caught.value.problems]


def test_all_errors_at_once():
    text = """\
fabric: many
formt: 1
axes: {rack: 0, slot: 4, c: [slot, slt]}
devices:
  gpu: {kind: gpu, axes: [slot, ract]}
  nic: {part: cx88, axes: [slots]}
  host: {kind: host, axes: [slot]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [host, leaf], rate: 400}
  - {between: [host, lea], rate: 400Gb/s}
  - {between: [host, leaf], name: odd, rate: 400Gb/s, each: 1}
  - {between: [host, leaf], name: two, rate: 200Gb/s}
absent: [slot9/host]
failed: [[leef, host], [host, leaf, 0]]
islands: -1
"""
    assert located(text) == [
        (2, 1, "unknown key 'formt'"),
        (3, 14, "zero"),
        (3, 26, "unknown axis 'slt'"),
        (5, 33, "unknown axis 'ract'"),
        (6, 15, "unknown part 'cx88'; did you mean cx8?"),
        (6, 28, "unknown axis 'slots'"),
        (10, 35, "rate without unit"),
        (11, 22, "no device group 'lea'; did you mean leaf?"),
        (14, 10, "selector 'slot9/host' matches nothing: slot9 is beyond the last index, slot3"),
        (15, 10, "no device group 'leef'; did you mean leaf?"),
        (15, 24, "zero"),
        (16, 10, "negative"),
    ]


def test_errors_that_need_counting_at_once():
    text = pod(
        axes="rack: 2, slot: 65, spine: 2",
        down="{between: [gpu, leaf], rate: 400Gb/s, each: [2, 64]}",
        links="  - {between: [gpu, leaf], name: slow, rate: 200Gb/s}\n  - {between: [gpu, gpu], ring: slot, rate: 1Gb/s, each: 1}\n",
        tail="failed: [[gpu, top]]\n",
    )
    assert located(text) == [
        (8, 50, "each: wrong number of cables at rack0/gpu0"),
        (8, 53, "each: wrong number of cables at leaf0"),
        (10, 46, "two rules of unequal rate on one pair: gpu-leaf and slow"),
        (11, 58, "each: wrong number of cables at rack0/gpu0"),
        (12, 10, "no cable between gpu and top"),
    ]


ALONE = {
    "axis": (pod(axes="rack: @@0, slot: 4, spine: 2, c: [rack, slot]", tail="absent: [rack0/gpu0]\n")),
    "axis of a product": pod(
        axes="rack: 2, slot: 4, spine: 2, @@c: [rac, slot], d: [c]", gpu="{kind: gpu, axes: [d]}"
    ),
    "all axes": "fabric: a\naxes: @@[rack]\ndevices:\n  gpu: {kind: gpu, axes: [rack]}\n",
    "device": pod(leaf="{kind: @@swich, axes: [rack]}", tail="absent: [leaf0]\nfailed: [[gpu, leaf]]\n"),
    "device with a missing part": pod(leaf="{part: @@sn5601, axes: [rack]}", tail="absent: [rack0/*]\n"),
    "device on a broken axis": pod(axes="rack: @@-2, slot: 4, spine: 2"),
    "device of a broken placement": pod(leaf="{kind: switch, axes: @@[rack, rack]}"),
    "all devices": "fabric: a\naxes: {a: 2}\ndevices: @@[gpu]\nlinks:\n  - {between: [gpu, gpu], mesh: a, rate: 1Gb/s}\n",
    "include": "fabric: a\ninclude: @@hgx\nlinks:\n  - {between: [gpu, leaf], mesh: slot, rate: 1Gb/s}\nabsent: [slot1/*]\n",
    "over": "fabric: a\ninclude: {fabric: gb300-nvl72, over: {rack: @@0}}\naxes: {b: 2, rack: [b]}\nlinks:\n  - {between: [nic, nic], ring: rack, rate: 1Gb/s}\n",
    "rule": pod(leaf=SWITCH, down="{between: [gpu, leaf], rate: @@1}", tail="failed: [[gpu, leaf]]\n"),
    "absent": pod(
        axes="rack: 2, slot: 65, spine: 2",
        leaf=SWITCH,
        down="{between: [gpu, leaf], rate: 800Gb/s}",
        tail="absent: [@@slot65/gpu]\n",
    ),
    "redeclared axis": "fabric: a\ninclude: hgx-h100\naxes: {@@slot: 4}\ndevices:\n  leaf: {kind: switch, axes: [slot]}\n"
    "links:\n  - {between: [nic, leaf], rate: NDR, each: 1}\n",
    "placement of an included group": "fabric: a\ninclude: hgx-h100\naxes: {x: 4, chip: [x], y: 2, @@socket: [y], bank: [y]}\n",
}


@pytest.mark.parametrize("text", ALONE.values(), ids=ALONE)
def test_one_broken_element_is_one_problem(text):
    text, line, col = unmarked(text)
    assert [place[:2] for place in located(text)] == [(line, col)]


def test_no_message_has_python_or_pydantic_in_it():
    jargon = re.compile(r"Input should|pydantic|NoneType|\bdict\b|\bNone\b|\bstr\b|\\x|Traceback|\[type=")
    for text, _ in (case for cases in SECTIONS.values() for case in cases.values()):
        with pytest.raises(TopologyError, match=":") as caught:
            loads(unmarked(text)[0])
        assert not jargon.search(str(caught.value))
