"""Failures as a question: the same as in a file, and clear where they do not fit."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from fabric.blueprint.failures import as_failure
from fabric.blueprint.model import MarkedCables
from fabric.blueprint.selector import parse_selector
from fabric.errors import QuestionError, SelectorError
from fabric.flow import max_flow
from fabric.graph import expand, fail, failures, loads, open_boxes
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.symmetry import quotient

POD = """
fabric: pod
axes: {rack: 2, slot: 4, spine: 3}
devices:
  gpu:   {kind: gpu, axes: [rack, slot]}
  leaf:  {kind: switch, axes: [rack]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


def down(fabric):
    e = expand(fabric)
    pairs = zip(e.tail.tolist(), e.head.tolist(), e.failed_count.tolist(), strict=True)
    cables = {f"{e.names[a]} {e.names[b]}": n for a, b, n in pairs if n}
    return [str(e.names[v]) for v in np.flatnonzero(e.failed)], cables


@pytest.mark.parametrize(
    ("what", "devices", "cables"),
    [
        ("leaf0", ["leaf0"], {}),
        ("rack1/gpu2-3", ["rack1/gpu2", "rack1/gpu3"], {}),
        (("leaf0", "spine1"), [], {"leaf0 spine1": 2}),
        (["spine1", "leaf0", 1], [], {"leaf0 spine1": 1}),
        (("leaf0", "spine", 3), [], {"leaf0 spine0": 2, "leaf0 spine1": 1}),
        ("leaf0 - spine1", [], {"leaf0 spine1": 2}),
        (" leaf0 - spine x 3 ", [], {"leaf0 spine0": 2, "leaf0 spine1": 1}),
        ("rack0/slot0-1/gpu - leaf", [], {"rack0/gpu0 leaf0": 1, "rack0/gpu1 leaf0": 1}),
    ],
)
def test_what_fails(what, devices, cables):
    fabric = loads(POD)
    assert down(fail(fabric, what)) == (devices, cables)
    assert down(fabric) == ([], {})


@pytest.mark.parametrize("entry", ["leaf0", ["leaf0", "spine1"], ["leaf", "spine2", 3], "rack1/*"])
def test_it_is_what_a_file_says(entry):
    word = entry if isinstance(entry, str) else f"[{', '.join(map(str, entry))}]"
    said = loads(POD + f"failed: [spine0, {word}]\n")
    assert down(fail(loads(POD), "spine0", entry)) == down(said)
    assert down(fail(loads(POD + "failed: [spine0]\n"), entry)) == down(said)
    assert down(fail(fail(loads(POD), "spine0"), entry)) == down(said)


def test_cables_fail_one_after_the_other():
    twice = fail(loads(POD), ("leaf0", "spine1", 1), ("leaf0", "spine1", 1))
    assert down(twice)[1] == {"leaf0 spine1": 2}


def test_failures_are_read_as_they_are_told():
    asked = ("leaf0", "leaf1 - spine2 x 1", "rack0/gpu - leaf0")
    failed = fail(loads(POD), *asked)
    assert set(failures(failed)) == set(asked)
    assert down(fail(loads(POD), *failures(failed))) == down(failed)
    assert repr(failed).endswith("3 spine; failed: leaf0, leaf1 - spine2 x 1, rack0/gpu - leaf0>")


@pytest.mark.parametrize(
    ("what", "error", "match"),
    [
        ("leef0", SelectorError, "no device group 'leef'; did you mean leaf"),
        ("leaf7", SelectorError, "leaf7|rack7 is beyond the last index"),
        ("rack0/spine1", SelectorError, "spine has no axis rack"),
        ("asic1/leaf0", SelectorError, "no axis 'asic'; axes are .*; no part of pod is several chips"),
        (("leaf0", "spin1"), SelectorError, "no device group 'spin'; did you mean spine"),
        (("rack0/gpu", "spine1"), QuestionError, "no cable between rack0/gpu and spine1; name two"),
        ("leaf0 - leaf1", QuestionError, "no cable between leaf0 and leaf1"),
        (("leaf0", "spine1", 3), QuestionError, "more failed cables .*got 3; expected at most 2"),
        (("leaf0", "spine1", 0), QuestionError, "expected 1 or more cables; got 0"),
        (("leaf0", "spine1", "2"), QuestionError, "expected 1 or more cables; got '2'"),
        (("leaf0", "spine1", True), QuestionError, "expected 1 or more cables; got True"),
        ("leaf0 - spine1 x 0", QuestionError, "expected 1 or more cables; got 0"),
        (("leaf0",), QuestionError, "expected a selector"),
        (("leaf0", 4), QuestionError, "expected a selector"),
        (7, QuestionError, "expected a selector"),
    ],
)
def test_breakers(what, error, match):
    with pytest.raises(error, match=match):
        fail(loads(POD), what)


def test_forms():
    assert as_failure("a - b") == ("a", "b", None)
    assert as_failure("leaf0-3") == ("leaf0-3", None, None)
    assert as_failure("leaf0-3 - x1 x 12") == ("leaf0-3", "x1", 12)


def test_a_graph_fails_as_its_file():
    graph = from_networkx(to_networkx(loads(POD)))
    asked = ("leaf0", ("leaf1", "spine2"), ("leaf1", "spine1", 1))
    assert down(fail(graph, *asked)) == down(fail(loads(POD), *asked))
    assert failures(fail(graph, *asked)) == ("leaf0",)
    assert open_boxes(graph) is graph


def test_nodes_of_a_graph_come_before_pairs():
    grid = nx.grid_2d_graph(2, 2)
    nx.set_edge_attributes(grid, 100.0, "capacity")
    one = fail(from_networkx(grid), (0, 1))
    assert down(one) == (["(0, 1)"], {})
    pair = fail(from_networkx(grid), ((0, 0), (0, 1)))
    assert down(pair) == ([], {"(0, 0) (0, 1)": 1})
    assert to_networkx(pair)[(0, 0)][(0, 1)]["link"]["capacity"] == 0


@pytest.mark.parametrize(
    ("what", "error", "match"),
    [
        ("leef0", SelectorError, "no device 'leef0' in pod; did you mean leaf0"),
        (("leaf0", "rack1/gpu0"), QuestionError, "no cable between leaf0 and rack1/gpu0"),
        (("leaf0", "spine0", 3), QuestionError, "got 3; expected at most 2"),
        (("leaf0", "spine0", 0), QuestionError, "expected 1 or more cables"),
    ],
)
def test_breakers_of_a_graph(what, error, match):
    with pytest.raises(error, match=match):
        fail(from_networkx(to_networkx(loads(POD))), what)


def test_counted_failures_add_up_and_are_told_so():
    text = "{fabric: f, axes: {i: 2}, devices: {leaf: {kind: switch, axes: [i]}, gpu: {kind: gpu, axes: [i]},"
    text += " spine: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s},"
    text += " {between: [leaf, spine], rate: 1Gb/s, count: 4}]}"
    once = fail(loads(text), ("leaf0", "spine", 1))
    twice = fail(once, ("leaf0", "spine", 1))
    assert failures(twice) == ("leaf0 - spine x 2",)
    again = fail(loads(text), *failures(twice))
    assert expand(again).failed_count.tolist() == expand(twice).failed_count.tolist()
    assert int(expand(twice).failed_count.sum()) == 2
    every = fail(twice, ("leaf0", "spine"))
    assert failures(every) == ("leaf0 - spine",)
    with pytest.raises(QuestionError, match="expected 1 or more cables"):
        fail(loads(text), "leaf0 - spine x " + "9" * 5000)


def test_cables_of_a_graph_fail_from_either_end():
    graph = nx.Graph([("a", "b"), ("b", "c"), ("c", "a")])
    nx.set_edge_attributes(graph, 1.0, "capacity")
    fabric = from_networkx(graph)
    for pair in (("a", "b"), ("b", "a")):
        assert max_flow(fail(fabric, pair), "a", "b").value_gbps == 1.0


@pytest.mark.parametrize(("is_each", "down"), [(True, [1, 1, 1]), (False, [2, 0, 0])])
def test_cables_of_every_two_devices_are_down_on_links_as_on_classes(is_each, down):
    """Of a range of pairs the expansion had so many cables of all of them down, classes of each."""
    text = "{fabric: f, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},"
    fabric = loads(text + " links: [{between: [gpu, leaf], rate: 1Gb/s, count: 2}]}")
    b = fabric.blueprint
    ends = (parse_selector(name, b.axes, b.groups) for name in ("gpu0-2", "leaf"))
    mark = MarkedCables(*ends, 1 if is_each else 2, b.origin, is_each)
    marked = replace(fabric, blueprint=replace(b, marked_cables=(mark,)))
    assert expand(marked).failed_count.tolist() == [*down, 0]
    if is_each:
        view = quotient(marked.blueprint)
        assert float((view.classes.count * 1.0).sum()) == 8 - sum(down)
