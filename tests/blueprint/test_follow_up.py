"""One slip is told once: nothing is said of what only hangs on it."""

import json

import pytest

from fabric.errors import TopologyError
from fabric.graph import loads

INNER = {
    "fabric": "inner",
    "axes": {"i": 2},
    "devices": {"gpu": {"kind": "gpu", "axes": ["i"]}, "leaf": {"kind": "switch", "axes": []}},
    "links": [{"between": ["gpu", "leaf"], "rate": "1Gb/s"}],
}
# Everything in the outer file hangs on something of the inner one.
OUTER = {
    "fabric": "outer",
    "include": "./inner.fabric.yaml",
    "axes": {"k": 2, "j": ["i", "k"]},
    "devices": {"spine": {"kind": "switch", "axes": ["k"]}, "nic": {"kind": "nic", "axes": ["i"]}},
    "links": [{"between": ["leaf", "spine"], "rate": "1Gb/s"}, {"between": ["nic", "leaf"], "rate": "1Gb/s"}],
    "absent": ["i1/gpu"],
    "failed": ["leaf", ["gpu", "leaf"]],
}
SLIPS = {
    "device": {"devices": INNER["devices"] | {"leaf": {"kind": "swich", "axes": []}}},
    "devices": {"devices": 3},
    "axis": {"axes": {"i": -1}},
    "axes": {"axes": [1]},
    "rule": {"links": [INNER["links"][0] | {"rate": "fast"}]},
    "links": {"links": 4},
    "include": {"include": "./nope.fabric.yaml"},
    "all": {"fabric": "inner", "extra": 1},
    "nothing": {},
}


@pytest.mark.some(8)
@pytest.mark.parametrize("prefix", ["", "in."])
@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_an_included_file_is_told_once(slip, prefix, tmp_path):
    (tmp_path / "inner.fabric.yaml").write_text(json.dumps(INNER | SLIPS[slip]))
    text = json.dumps(OUTER)
    if prefix:
        for name in ("i", "gpu", "leaf"):
            text = text.replace(f'"{name}"', f'"{prefix}{name}"')
        text = text.replace("i1/gpu", "in.i1/in.gpu")
        text = text.replace('"./inner.fabric.yaml"', '{"fabric": "./inner.fabric.yaml", "as": "in"}')
    try:
        loads(text, base=tmp_path)
        problems = []
    except TopologyError as error:
        problems = [str(problem) for problem in error.problems]
    assert len(problems) == (slip != "nothing"), problems
    assert [problem for problem in problems if "inner.fabric.yaml" not in problem] == []


def test_includes_that_clash_are_told_once(tmp_path):
    # The devices of the second are left out, so that nothing is said of what its rules and axes would join.
    other = INNER | {"devices": INNER["devices"] | {"box": {"kind": "switch", "axes": ["i"]}}}
    for name, inner in (("one", INNER), ("two", other)):
        (tmp_path / f"{name}.fabric.yaml").write_text(json.dumps(inner))
    outer = OUTER | {"include": ["./one.fabric.yaml", "./two.fabric.yaml"]}
    outer["links"] = [*OUTER["links"], {"between": ["box", "spine"], "rate": "1Gb/s"}]
    with pytest.raises(TopologyError, match="brings devices that another include has") as caught:
        loads(json.dumps(outer), base=tmp_path)
    assert len(caught.value.problems) == 1


# What counting finds wrong, and hangs on nothing of an include: more cables than ports, or than expected.
FULL = {
    "axes": {"k": 65},
    "devices": {"box": {"kind": "nic", "axes": ["k"]}, "full": {"part": "sn5600", "axes": []}},
    "links": [{"between": ["box", "full"], "rate": "800Gb/s"}],
}
COUNTED = {
    "port budget": FULL,
    "wrong number of cables": FULL | {"links": [FULL["links"][0] | {"each": [1, 64]}]},
}
UNCOUNTED = {name: slip for name, slip in SLIPS.items() if name != "nothing"} | {
    "text": "fabric: [",
    "over": None,
    "split": {"axes": {"i": 2, "j": ["i", "nope"]}},
}


@pytest.mark.some(10)
@pytest.mark.parametrize("n_between", [0, 1, 2])
@pytest.mark.parametrize("fault", COUNTED)
@pytest.mark.parametrize("slip", UNCOUNTED)
def test_nothing_is_counted_beside_a_slip_of_an_include(slip, fault, n_between, tmp_path):
    def write(name, document):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / f"{name}.fabric.yaml").write_text(text)

    def problems_with(slip):
        write("inner", slip if isinstance(slip, str) else INNER | (slip or {}))
        # At "over" a file on the way is replicated along an axis that it has.
        include = {"fabric": "./inner.fabric.yaml"} | ({"over": {"i": 2}} if slip is None else {})
        for level in range(n_between):
            write(level, {"fabric": "between", "include": include})
            include = {"fabric": f"./{level}.fabric.yaml"}
        with pytest.raises(TopologyError, match=r"fabric\.yaml|outer") as caught:
            loads(
                json.dumps(COUNTED[fault] | {"fabric": "outer", "include": include}),
                path="outer",
                base=tmp_path,
            )
        return [str(problem) for problem in caught.value.problems]

    (sound,) = problems_with({})
    assert fault in sound
    problems = problems_with(UNCOUNTED[slip])
    assert problems
    assert not any(fault in problem for problem in problems), problems


RISKS = """\
fabric: risky
axes: {rack: 2}
devices: {gpu: {kind: gpu, axes: [rack]}, leaf: {kind: switch, axes: []}}
links: [{between: [gpu, leaf], rate: 1Gb/s}]
risk: {feed: FEED, switch: {down: [leaf, [rack1/gpu, leaf]]}}
"""


def test_risks_are_read_beside_broken_ones_which_are_told_once():
    feed, switch = loads(RISKS.replace("FEED", "{over: [rack]}")).blueprint.risks
    assert (feed.name, feed.axes, feed.devices, feed.cables) == ("feed", ("rack",), (), ())
    assert ([s.text for s in switch.devices], len(switch.cables)) == (["leaf"], 1)
    # Of a broken entry nothing more is said, of a sound one beside it what is wrong there.
    with pytest.raises(TopologyError, match="expected a list of axes") as caught:
        loads(RISKS.replace("FEED", "{over: 5, down: [leef]}"))
    assert len(caught.value.problems) == 1
    with pytest.raises(TopologyError, match="no device group 'leef'; did you mean leaf") as caught:
        loads(RISKS.replace("FEED", "{over: 5}").replace("[leaf, [", "[leef, ["))
    assert len(caught.value.problems) == 2
