"""Which ranks form a group, against numpy's reshape, and what cannot be asked."""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fabric.errors import LimitError, QuestionError, SelectorError
from fabric.graph import Fabric, expand, loads
from fabric.graph.expanded import expand as expand_blueprint
from fabric.job import JobQuestion, job
from fabric.job.placement import placement, read_order, split_axes
from fabric.schedule import Pattern

TEXT = """
fabric: small
axes: {pod: 2, rack: 3, tray: 2, slot: 4, chip: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rack, tray, slot], transit: relay}
  nvswitch: {kind: switch, axes: [pod, rack, chip]}
  leaf: {kind: switch, axes: [pod, slot]}
  spine: {kind: switch, axes: []}
links:
  - {between: [gpu, nvswitch], rate: 800Gb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 100Gb/s}
  - {between: [leaf, spine], rate: 200Gb/s}
"""
SIZES = {"pod": 2, "rack": 3, "tray": 2, "slot": 4}


def groups_of(fabric: Fabric, **asked: Any) -> list[list[str]]:
    """Return the ranks of every group in their order."""
    work = job(fabric, JobQuestion(method="links", **asked))
    ranks = work.route.__self__.ranks  # type: ignore[attr-defined]
    return [[str(ranks.expanded.names[v]) for v in row] for row in ranks.devices]


def by_reshape(left: list[str], right: dict[str, int], over: tuple[str, ...]) -> list[list[str]]:
    """Return the same by numpy: number along the axes on the left, reshape, and bring `over` to the end."""
    names = np.empty([SIZES[a] for a in left], dtype=object)
    for index in np.ndindex(*names.shape):
        at = dict(zip(left, index, strict=True))
        names[index] = f"pod{at['pod']}/rack{at['rack']}/tray{at['tray']}/gpu{at['slot']}"
    cube = names.reshape(list(right.values()))
    outer = [d for d in right if d not in over]
    cube = cube.transpose([list(right).index(d) for d in (*outer, *(d for d in right if d in over))])
    return cube.reshape(math.prod(right[d] for d in outer), -1).tolist()


def domain_by_domain(group: list[str]) -> list[str]:
    """Return ranks with those of a rack after the first of it."""
    racks = list(dict.fromkeys(name.rsplit("/", 2)[0] for name in group))
    return [name for rack in racks for name in group if name.startswith(f"{rack}/")]


ORDERS = [
    ("(pod rack tray slot) -> (dp tp=8)", ["pod", "rack", "tray", "slot"], {"dp": 6, "tp": 8}),
    ("(pod rack tray slot) -> (dp pp=3 tp=4)", ["pod", "rack", "tray", "slot"], {"dp": 4, "pp": 3, "tp": 4}),
    ("(slot tray rack pod) -> (tp=4 dp)", ["slot", "tray", "rack", "pod"], {"tp": 4, "dp": 12}),
    (
        "(tray pod slot rack) -> (a=2 b=2 c=2 d=2 e)",
        ["tray", "pod", "slot", "rack"],
        {"a": 2, "b": 2, "c": 2, "d": 2, "e": 3},
    ),
    ("(pod rack tray slot) -> (dp=48)", ["pod", "rack", "tray", "slot"], {"dp": 48}),
    # Three and four do not divide one another: dimensions straddle axes.
    ("(pod rack tray slot) -> (dp tp=3)", ["pod", "rack", "tray", "slot"], {"dp": 16, "tp": 3}),
    ("(rack pod slot tray) -> (a=12 b)", ["rack", "pod", "slot", "tray"], {"a": 12, "b": 4}),
]


@pytest.mark.some(2)
@pytest.mark.parametrize(("order", "left", "right"), ORDERS)
def test_order_is_reshape(order: str, left: list[str], right: dict[str, int]) -> None:
    fabric = loads(TEXT)
    for n in range(1, len(right) + 1):
        for over in itertools.combinations(right, n):
            expected = [domain_by_domain(group) for group in by_reshape(left, right, over)]
            racks = [[name.rsplit("/", 2)[0] for name in group] for group in expected]
            shapes = {tuple(len(list(run)) for _, run in itertools.groupby(group)) for group in racks}
            if len(shapes) > 1:
                with pytest.raises(QuestionError, match="groups lie in domains in different ways"):
                    groups_of(fabric, order=order, over=over)
                continue
            found = groups_of(fabric, order=order, over=over)
            assert sorted(map(tuple, found)) == sorted(map(tuple, expected))


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "order",
    [
        "(pod rack tray slot) -> (dp tp=8)",
        "(pod rack tray slot) -> (dp tp=2)",
        "(slot tray rack pod) -> (tp=4 dp)",
        "(slot tray rack pod) -> (a=2 b)",
        "(tray pod slot rack) -> (a=2 b=2 c=2 d=2 e)",
        "(pod rack tray slot) -> (dp=48)",
        "(rack tray slot pod) -> (a=6 b=4 c)",
    ],
)
def test_classes_know_the_same_groups(hand_made: ModuleType, order: str) -> None:
    fabric = loads(TEXT)
    for over in [(name,) for name in read_order(order)[1]]:
        one = job(fabric, JobQuestion(order=order, over=over, method="axes"))
        other = job(fabric, JobQuestion(order=order, over=over, method="links"))
        assert one.shape == other.shape
        assert one.n_instances == other.n_instances
        for pattern in (Pattern("pairwise", "job"), Pattern("pairwise", "rail")):
            a, b = one.loads(pattern), other.loads(pattern)
            assert hand_made.a_cable(one, a) == pytest.approx(hand_made.a_cable(other, b))
            np.testing.assert_allclose(a.hops, b.hops)


def test_over_spans_the_axes_it_names() -> None:
    fabric = loads(TEXT)
    for over in (("slot",), ("tray", "slot"), ("pod",), ("rack", "slot"), ("pod", "rack", "tray", "slot")):
        right = {a: SIZES[a] for a in SIZES}
        expected = [domain_by_domain(g) for g in by_reshape(list(SIZES), right, over)]
        assert sorted(map(tuple, groups_of(fabric, over=over))) == sorted(map(tuple, expected))
        one, other = (job(fabric, JobQuestion(over=over, method=m)) for m in ("axes", "links"))
        assert (one.shape, one.n_instances) == (other.shape, other.n_instances)


def test_split_axes_leave_the_fabric_as_it_is() -> None:
    fabric = loads(TEXT)
    split = split_axes(
        fabric.blueprint, {"slot": (("slot.1", 2), ("slot.0", 2)), "rack": (("rack.1", 3), ("rack.0", 1))}
    )
    one, other = expand(fabric), expand_blueprint(split)
    for name in ("tail", "head", "rule", "group", "count", "rate_gbps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert split.primitives("slot") == ("slot.1", "slot.0")
    # The placement of an order is on such axes.
    place = placement(fabric.blueprint, over=("tp",), among=None, order="(pod rack tray slot) -> (dp tp=2)")
    assert place.order == ("pod", "rack", "tray", "slot.1", "slot.0")
    assert place.spans == {"slot.0"}


class TestQuestionsThatDoNotFit:
    @pytest.mark.some(8)
    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"over": ("rak",)}, "over: no axis 'rak'; did you mean rack"),
            ({"over": ("chip",)}, "over: gpu is not placed on chip"),
            ({"among": "leaf"}, "among='leaf' selects no endpoint"),
            ({"among": "pod0/rack0/tray0/gpu0"}, "at least 2 endpoints; the job has 1"),
            ({"routing": "best"}, "routing: got 'best'; expected ecmp, ideal"),
            ({"routing": "hash"}, "routing: got 'hash'; .*did you mean hashed"),
            ({"method": "fast"}, "method: got 'fast'; expected auto, axes, refinement or links"),
            ({"ranks": ("pod0/rack0/tray0/gpu0",), "over": ("rack",)}, "leave over, among and order out"),
            ({"ranks": ("pod0/rack0/tray0/gpu0",), "method": "axes"}, "no product of axes"),
            ({"ranks": ("pod0/rack0/tray0/gpu0",) * 2}, "pod0/rack0/tray0/gpu0 is listed twice"),
            ({"ranks": ("pod0/rack0/tray0/gpu0", "tray0/gpu0")}, "pod0/rack0/tray0/gpu0 is listed twice"),
            ({"ranks": ("pod0/leaf0", "pod0/leaf1")}, "pod0/leaf0 is no endpoint"),
            ({"order": "pod rack"}, r"order 'pod rack': expected such as '\(pod rack"),
            ({"order": "(pod rack tray slot) -> (dp tp)"}, "one dimension at most may leave its size open"),
            ({"order": "(pod rack tray slot) -> (dp dp=2)"}, "'dp=2' is no new dimension with a size"),
            ({"order": "(pod rack tray slot) -> (dp tp=0)"}, "'tp=0' is no new dimension with a size"),
            ({"order": "(pod rack tray slot) -> (dp 4)"}, "'4' is no new dimension with a size"),
            (
                {"order": "(pod rack tray) -> (dp)"},
                "gpu is placed on pod rack tray slot; name each of them once",
            ),
            ({"order": "(pod rack tray slot slot) -> (dp)"}, "name each of them once"),
            ({"order": "(pod rack tray slt) -> (dp)"}, "order: no axis 'slt'; did you mean slot"),
            ({"order": "(pod rack tray slot) -> (dp tp=5)"}, "48 ranks on the left, 5 on the right"),
            ({"order": "(pod rack tray slot) -> (dp=2 tp=5)"}, "48 ranks on the left, 10 on the right"),
            ({"order": "(pod rack tray slot) -> (dp tp=8)", "over": ("pp",)}, "no dimension 'pp'"),
        ],
    )
    def test_are_refused(self, asked: dict[str, Any], message: str) -> None:
        with pytest.raises(QuestionError, match=message):
            job(loads(TEXT), JobQuestion(**asked))

    def test_a_selector_that_matches_nothing(self) -> None:
        for asked in ({"among": "pod7"}, {"ranks": ("pod7/rack0/tray0/gpu0",)}):
            with pytest.raises(SelectorError, match="pod7"):
                job(loads(TEXT), JobQuestion(**asked))  # type: ignore[arg-type]

    def test_several_groups_of_endpoints(self) -> None:
        text = """{fabric: mixed, axes: {i: 3}, devices: {gpu: {kind: gpu, axes: [i]},
        tpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
        links: [{between: [gpu, leaf], rate: 400Gb/s}, {between: [tpu, leaf], rate: 200Gb/s}]}"""
        for method in ("axes", "links"):
            with pytest.raises(
                QuestionError, match=r"several groups \(gpu, tpu\); say .* such as among='gpu'"
            ):
                job(loads(text), JobQuestion(method=method))
        assert job(loads(text), JobQuestion(among="tpu")).method == "axes"
        # Both together are listed; they are one job.
        both = job(loads(text), JobQuestion(ranks=("gpu", "tpu")))
        assert both.shape.n == 6
        assert both.why == "ranks are listed one by one"

    def test_what_straddles_is_cut_by_number(self) -> None:
        order = "(pod rack tray slot) -> (dp tp=3)"
        by_axes, by_links = (job(loads(TEXT), JobQuestion(order=order, method=m)) for m in ("axes", "links"))
        assert (by_axes.method, by_links.method, by_links.why) == ("axes", "links", "asked for")
        assert by_axes.shape == by_links.shape
        ring = Pattern("ring", "job")
        np.testing.assert_allclose(by_axes.loads(ring).hops, by_links.loads(ring).hops)

    def test_too_many_cables_say_why_they_are_needed(self) -> None:
        asked = JobQuestion(ranks=("pod0/rack0/tray0/gpu0", "pod1/rack0/tray0/gpu0"), limit=10)
        with pytest.raises(LimitError, match=r"limited to 10.* Why every cable: ranks are listed one by one"):
            job(loads(TEXT), asked)
        with pytest.raises(LimitError, match="Why every cable: asked for"):
            job(loads(TEXT), JobQuestion(method="links", limit=10))
        # Classes have no such limit.
        assert job(loads(TEXT), JobQuestion(limit=10)).method == "axes"

    def test_groups_of_different_sizes(self) -> None:
        fabric = loads(TEXT + "absent: [pod0/rack0/tray0/gpu0]")
        with pytest.raises(QuestionError, match="groups over slot are of 3 to 4 ranks; they must be alike"):
            job(fabric, JobQuestion(over=("slot",)))
        assert job(fabric, JobQuestion(over=("slot",), among="pod1/gpu")).n_instances == 6

    def test_a_fabric_without_axes(self) -> None:
        graph = Fabric("graph", None, expand(loads(TEXT)))
        work = job(graph)
        assert work.shape.n == 48
        assert "has no axes" in work.why
        with pytest.raises(QuestionError, match="over and order need axes"):
            job(graph, JobQuestion(over=("rack",)))
        listed = job(graph, JobQuestion(ranks=("pod0/rack0/tray0/gpu0", "pod1/rack0/tray0/gpu0")))
        assert listed.shape.sizes == (1, 1)


def test_reading_an_order() -> None:
    assert read_order("pod  slot->dp=12 tp") == (("pod", "slot"), {"dp": 12, "tp": None})
