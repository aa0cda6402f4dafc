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
    assert all("inner.fabric.yaml" in problem for problem in problems)


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
