"""Lines of ``expect:``: what they say, and what is wrong with them."""

import pytest

from fabric.blueprint.expectation import holds
from fabric.errors import TopologyError
from fabric.graph import loads

POD = """\
fabric: pod
axes: {pod: 2, i: 4, s: 2}
devices:
  gpu: {kind: gpu, axes: [pod, i]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [s]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s}
expect:
"""

SOUND = {
    "all-to-all >= 300Gb/s": ("all-to-all", (), "", ">=", 300.0, "rate"),
    "all-to-all>=0.75": ("all-to-all", (), "", ">=", 0.75, "part"),
    "bisection(pod) >= 75%": ("bisection", ("pod",), "", ">=", 0.75, "part"),
    "oversubscription leaf <= 3:2": ("oversubscription", ("leaf",), "", "<=", 1.5, "ratio"),
    "all-reduce(1GiB) > 350GB/s": ("all-reduce", ("1GiB",), "busbw", ">", 2800.0, "rate"),
    "all-gather(1MB).time < 2ms": ("all-gather", ("1MB",), "time", "<", 0.002, "time"),
    "bound(all-reduce).algbw >= 1Tb/s": ("bound", ("all-reduce",), "algbw", ">=", 1000.0, "rate"),
    "max-flow(pod0, pod1) = 1.6Tb/s": ("max-flow", ("pod0", "pod1"), "", "=", 1600.0, "rate"),
    "cables <= 20k": ("cables", (), "", "<=", 20_000.0, "count"),
    "leaf-spine = 4": ("count", ("leaf-spine",), "", "=", 4.0, "count"),
    "spine <= 2": ("count", ("spine",), "", "<=", 2.0, "count"),
    "power <= 2.5MW": ("power", (), "", "<=", 2.5e6, "power"),
    "price < $1000000": ("price", (), "", "<", 1e6, "price"),
    "survives any one spine": ("survives", ("spine",), "", ">", 0.0, "part"),
    "survives any one leaf - spine at 0.9": ("survives", ("leaf", "spine"), "", ">=", 0.9, "part"),
    "rails disjoint": ("rails disjoint", (), "", "=", 1.0, "part"),
}


@pytest.mark.parametrize("text", SOUND)
def test_a_line_says(text):
    (line,) = loads(f'{POD}  - "{text}"\n').blueprint.expectations
    assert (line.measure, line.of, line.figure, line.relation, line.demand, line.unit) == SOUND[text]
    assert (line.text, line.origin.line, line.origin.col) == (text, 11, 5)


def test_options_are_read():
    text = "all-to-all(over=[pod], among=pod0/gpu) >= 1Gb/s"
    (line,) = loads(f"{POD}  - {text}\n").blueprint.expectations
    assert line.options == {"over": ("pod",), "among": ("pod0/gpu",)}


BROKEN = {
    "all-to-al >= 300Gb/s": "nothing called 'all-to-al' to measure; did you mean all-to-all?",
    "all-to-all 300Gb/s": "cannot be read; a line is a measure, a relation and a quantity",
    "all-to-all >= 300": "'300' is no part of a whole",
    "all-to-all >= 300gb/s": "unknown unit 'gb/s'; did you mean 300Gb/s",
    "all-to-all >= __import__('os')": "cannot be read",
    "bisection(pods) >= 0.5": "no axis 'pods'; did you mean pod?",
    "bisection >= 0.5": "bisection needs one axis",
    "oversubscription laef <= 1": "no group 'laef'; did you mean leaf?",
    "all-reduce.busbw >= 1GB/s": "all-reduce needs one size",
    "all-reduce(1G) >= 1GB/s": "'G' may be decimal or binary",
    "all-reduce(1GiB, ovr=[pod]) >= 1GB/s": "all-reduce has no option 'ovr'; did you mean over?",
    "all-reduce(1GiB, over=[podd]) >= 1GB/s": "no axis 'podd'; did you mean pod?",
    "all-reduce(1GiB, over=[]) >= 1GB/s": "all-reduce: over: expected axes",
    "all-reduce(1GiB, among=[gpu, leaf]) >= 1GB/s": "all-reduce: among: expected one word",
    "all-reduce(1GiB, among=nix) >= 1GB/s": "nix",
    "cables.time <= 3": "cables has no .time",
    "cables(leaf) <= 3": "cables is measured of the whole fabric",
    "bound(all-redcue).busbw > 1GB/s": "no collective 'all-redcue'; did you mean all-reduce or reduce?",
    "max-flow(pod0) > 1Gb/s": "max-flow needs a source and a target",
    "survives any two spine": "only any one can be told",
    "survives any one spin": "no group 'spin'; did you mean spine?",
    "survives the night": "cannot be read",
    "survives any one spine at 9": "'9' is no part of a whole",
    "power <= 3m": "power",
}


@pytest.mark.some(8)
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_line_is_told_at_its_place(text):
    with pytest.raises(TopologyError, match=r"^pod.fabric.yaml:12:5: expect\[1\]: ") as caught:
        loads(f'{POD}  - leaf = 2\n  - "{text}"\n', path="pod.fabric.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.col, problem.where) == (12, 5, "expect[1]")
    assert BROKEN[text] in str(problem)


def test_all_broken_lines_come_at_once_and_with_other_problems():
    with pytest.raises(TopologyError, match=r"expect\[0\].*\n.*expect\[1\]") as caught:
        loads(POD.replace("rate: 800Gb/s", "rate: 800") + "  - a >= 1\n  - b >= 1\n  - 3\n")
    assert [problem.line for problem in caught.value.problems] == [9, 11, 12, 13]


@pytest.mark.parametrize(
    "text", ["(" * 350, "a" * 390 + " >= 1", "all-to-all" + " " * 300 + ">" * 40, "[" * 300]
)
def test_hostile_lines_are_refused_at_once(text):
    with pytest.raises(TopologyError, match=r"expect\[0\]"):
        loads(f'{POD}  - "{text}"\n')


def test_lines_of_an_include_are_about_it_alone(tmp_path):
    (tmp_path / "pod.fabric.yaml").write_text(f"{POD}  - leaf = 2\n")
    text = "fabric: two\ninclude: {fabric: ./pod.fabric.yaml, over: {hall: 2}}\naxes: {c: 2}\n"
    text += "devices: {core: {kind: switch, axes: [c]}}\nlinks: [{between: [spine, core], rate: 800Gb/s}]\n"
    (tmp_path / "two.fabric.yaml").write_text(text + "expect: [leaf = 4]\n")
    from fabric.graph import load

    assert [line.text for line in load(tmp_path / "two.fabric.yaml").blueprint.expectations] == ["leaf = 4"]


@pytest.mark.parametrize(
    ("relation", "values"),
    [(">=", (2, 3)), (">", (3,)), ("<=", (1, 2)), ("<", (1,)), ("=", (2,))],
)
def test_relations(relation, values):
    assert tuple(n for n in (1, 2, 3) if holds(relation, float(n), 2.0)) == values
    assert holds(relation, 2 * (1 + 1e-8), 2.0) == (2 in values)
