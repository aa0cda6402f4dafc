"""The certificate of a class program: sound answers pass, and every way of breaking one is caught."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fabric.errors import ProofError, QuestionError
from fabric.flow import concurrent, lifted
from fabric.flow.commodities import capacities
from fabric.flow.concurrent import check_concurrent
from fabric.flow.held import Reading
from fabric.flow.program import solve_commodities
from fabric.flow.question import Question, pose
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import expand, loads
from fabric.symmetry import refinement

CLOS = """
{fabric: clos, axes: {pod: 2, rack: 2, slot: 2, k: 2}, devices: {gpu: {kind: gpu, axes: [pod, rack, slot]},
 leaf: {kind: switch, axes: [pod, rack]}, spine: {kind: switch, axes: [k]}},
 links: [{between: [gpu, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 3Gb/s}], failed: [%s]}
"""


def torus(x, y, z, failed=""):
    links = ", ".join(f"{{between: [chip, chip], name: {a}, ring: {a}, rate: 1Gb/s}}" for a in "xyz")
    return loads(
        f"{{fabric: torus, axes: {{x: {x}, y: {y}, z: {z}}}, links: [{links}], failed: [{failed}], "
        "devices: {chip: {kind: gpu, axes: [x, y, z], transit: all}}}"
    )


def solved(fabric, traffic=None, **more):
    work, _ = pose(Question(fabric, traffic or Traffic(), method="axes"))
    return work, solve_commodities(work.capacity, work.commodities)


@pytest.fixture(params=["all links", "a sample"])
def scope(request, monkeypatch):
    """Have all real links looked at, or a sample of them as in large fabrics."""
    if request.param == "a sample":
        monkeypatch.setattr(concurrent, "MANY_ENDPOINTS", 0)
    return request.param


@pytest.mark.some(3)
@pytest.mark.parametrize("failed", ["", "pod1/rack0/gpu0", "spine0"])
@pytest.mark.parametrize("pattern", ["all-to-all", "one-to-all", "all-to-one"])
def test_sound_answers_pass(failed, pattern, scope):
    root = "" if pattern == "all-to-all" else "pod0/rack0/gpu1"
    work, answer = solved(loads(CLOS % failed), Traffic(pattern, root=root))
    verdict = check_concurrent(work, answer)
    assert (verdict.status, verdict.faults) == ("optimal", ())
    assert verdict.lower_gbps == pytest.approx(answer.rate_gbps, rel=1e-9)
    n_links = {"": 32, "pod1/rack0/gpu0": 30, "spine0": 24}[failed]
    assert verdict.scope.startswith(f"on all {n_links} links" if scope == "all links" else "on a sample of ")


@pytest.mark.parametrize("limit", ["MANY_ENDPOINTS", "MANY_BUNDLES", "MANY_PAIRS"])
def test_what_is_large_is_looked_at_in_a_sample(limit, monkeypatch):
    monkeypatch.setattr(concurrent, limit, 7)
    verdict = check_concurrent(*solved(loads(CLOS % "")))
    assert verdict.status == "optimal"
    assert verdict.scope.startswith("on a sample of ")


def scaled_rate(work, answer):
    return work, replace(answer, rate_gbps=answer.rate_gbps * 1.01)


def lost_flow(work, answer):
    flow = answer.flow[0].copy()
    flow[int(flow.argmax())] *= 0.9
    return work, replace(answer, flow=(flow, *answer.flow[1:]))


def negative_flow(work, answer):
    flow = answer.flow[0].copy()
    flow[int(flow.argmin())] -= 1e-3
    return work, replace(answer, flow=(flow, *answer.flow[1:]))


def no_number(work, answer):
    flow = np.full_like(answer.flow[0], np.nan)
    return work, replace(answer, flow=(flow, *answer.flow[1:]))


def overloaded(work, answer):
    factor = 1.01
    return work, replace(
        answer, rate_gbps=answer.rate_gbps * factor, flow=tuple(f * factor for f in answer.flow)
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (scaled_rate, "flow lost or made inside a class"),
        (lost_flow, "flow lost or made inside a class"),
        (negative_flow, "a negative flow"),
        (no_number, "a flow that is no number"),
        (overloaded, "a class of links above its capacity"),
    ],
)
def test_a_wrong_flow_proves_nothing(change, fault):
    verdict = check_concurrent(*change(*solved(torus(3, 4, 4))))
    assert fault in verdict.faults
    assert (verdict.lower_gbps, verdict.status) == (0.0, "bounded")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p * 0,
        lambda p: p + p.max() / 9,
        lambda p: -p,
        lambda p: np.where(p > 0, np.nan, p),
        lambda p: p - 1,
    ],
)
def test_wrong_prices_prove_less(change):
    work, answer = solved(loads(CLOS % "spine0"))
    verdict = check_concurrent(work, replace(answer, price=change(answer.price)))
    assert verdict.upper_gbps > answer.rate_gbps * 1.001
    assert verdict.status == "bounded"
    assert verdict.lower_gbps == pytest.approx(answer.rate_gbps, rel=1e-9)


def test_prices_of_any_size_prove_the_same():
    work, answer = solved(loads(CLOS % "spine0"))
    verdict = check_concurrent(work, replace(answer, price=answer.price * 1e7))
    assert verdict.status == "optimal"


def merged(work):
    """Return `work` with all classes of links taken for one."""
    # Cables between peers are one-way in a quotient: the way back of each, every other link, is none.
    base = replace(work.base, base=np.arange(len(work.base.base)) % 2)
    blocks = [
        replace(b, view=replace(b.view, base=np.arange(len(b.view.base)) % 2)) for b in work.commodities
    ]
    return replace(work, base=base, capacity=capacities(base), commodities=blocks)


def test_links_of_a_class_that_the_program_lacks_prove_nothing():
    work, _ = solved(torus(3, 3, 5))
    e = expand(torus(3, 3, 5))
    reading = Reading(work, e, np.zeros(e.n_devices, dtype=np.bool_))
    n, rates = len(work.capacity), reading.capacity
    base = np.where(rates > 0, 0, -1)
    right = np.bincount(base[base >= 0], rates[base >= 0], minlength=n)
    reading = replace(reading, work=replace(work, capacity=right))
    assert reading.capacity_fault(base) == ""
    for wrong in (np.where(base == 0, n, -1), np.where(np.cumsum(base == 0) > 1, base, n)):
        assert reading.capacity_fault(wrong) == "capacities that are not those of the file"


@pytest.mark.parametrize(("sides", "link"), [((4, 4, 8), "z"), ((3, 3, 5), "z"), ((2, 3, 4), "x")], ids=str)
def test_an_overloaded_link_is_told_with_what_it_carries(sides, link):
    work, honest = solved(torus(*sides))
    work = merged(work)
    claimed = solve_commodities(work.capacity, work.commodities)
    # A flow that is so many times too large loads what binds as many times over.
    carried = claimed.rate_gbps / honest.rate_gbps
    assert carried > 1.1
    (fault,) = check_concurrent(work, claimed).faults
    assert fault == f"a {link} link carries {carried:.6g} of 1 Gb/s"


def test_links_that_are_not_alike_must_not_be_merged(scope):
    work, honest = solved(torus(4, 4, 8))
    assert honest.rate_gbps == pytest.approx(0.9921875, rel=1e-9)
    work = merged(work)
    answer = solve_commodities(work.capacity, work.commodities)
    # The sources of a torus are all alike; its links are not, and on classes alone the lie is consistent.
    assert answer.rate_gbps == pytest.approx(1.48828125, rel=1e-9)
    verdict = check_concurrent(work, answer)
    assert verdict.upper_gbps == pytest.approx(answer.rate_gbps, rel=1e-9)
    assert "carries" in verdict.faults[0]
    assert (verdict.lower_gbps, verdict.status) == (0.0, "bounded")


def test_sources_that_are_not_alike_must_not_be_merged(scope):
    text = """{fabric: a, axes: {rack: 3, i: 2}, devices: {gpu: {kind: gpu, axes: [rack, i]},
      leaf: {kind: switch, axes: [rack]}, top: {kind: switch, axes: []}},
      links: [{between: [gpu, leaf], rate: 8Gb/s}, {between: [leaf, top], rate: 4Gb/s, count: {rack: [1, 4,
      4]}}]}"""
    work, honest = solved(loads(text))

    # One source stands for all, and the links of one rule for each other.
    def alike(q):
        return 2 * np.repeat(q.classes.rule, 2) + np.arange(len(q.base)) % 2

    base = replace(work.base, base=alike(work.base))
    one = work.commodities[-1]
    one = replace(one, n_alike=work.n_endpoints, view=replace(one.view, base=alike(one.view)))
    wrong = replace(work, base=base, capacity=capacities(base), commodities=[one])
    answer = solve_commodities(wrong.capacity, wrong.commodities)
    assert answer.rate_gbps > honest.rate_gbps * 1.1
    verdict = check_concurrent(wrong, answer)
    assert "stand" in verdict.faults[0]
    assert verdict.lower_gbps == 0.0


def test_what_cannot_be_reached_gets_nothing():
    work, _ = solved(loads(CLOS % "pod0/rack0/leaf"))
    answer = solve_commodities(work.capacity, work.commodities)
    assert answer.rate_gbps == pytest.approx(0.0, abs=1e-12)
    verdict = check_concurrent(work, answer)
    assert (verdict.lower_gbps, verdict.upper_gbps) == (pytest.approx(0.0, abs=1e-12), 0.0)


def test_a_flow_is_of_its_own_fabric(scope):
    work, answer = solved(torus(3, 4, 4))
    slower = torus(3, 4, 4).blueprint
    rules = tuple(replace(r, rate_gbps=r.rate_gbps * (0.5 if r.name == "y" else 1)) for r in slower.rules)
    verdict = check_concurrent(replace(work, blueprint=replace(slower, rules=rules)), answer)
    assert verdict.faults[0] == "y at another rate than in the file"
    assert verdict.lower_gbps == 0.0


def turned_round(view):
    """Return a view in which the keys of its links stand in another order."""
    keys = view.keys.copy()
    for rule in np.unique(keys[:, 0]):
        rows = keys[:, 0] == rule
        keys[rows] = keys[rows][::-1]
    return replace(view, keys=keys)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda b: replace(b, view=turned_round(b.view)), "a device that is in two classes"),
        (
            lambda b: replace(b, view=replace(b.view, size=b.view.size + 1)),
            "chip in the classes, 48 in the file",
        ),
        (lambda b: replace(b, n_alike=b.n_alike - 1), "48 sources are alike, 47 stand in the program"),
    ],
)
def test_classes_are_not_taken_for_granted(change, fault):
    work, answer = solved(torus(3, 4, 4))
    work = replace(work, commodities=[change(b) for b in work.commodities])
    # A tenth of the flow, so that it fits even where it should not be.
    answer = replace(answer, rate_gbps=answer.rate_gbps / 10, flow=tuple(f / 10 for f in answer.flow))
    verdict = check_concurrent(work, answer)
    assert re.search(fault, "; ".join(verdict.faults))
    assert (verdict.lower_gbps, verdict.status) == (0.0, "bounded")


def test_a_flow_starts_at_its_own_source(monkeypatch):
    work, answer = solved(torus(3, 4, 4))
    monkeypatch.setattr(lifted, "singles", lambda block: [1])
    assert "is no source of its own flow" in check_concurrent(work, answer).faults[0]


CHIPS = torus(3, 3, 3, "[x0/y0/chip0, x1/y0/chip0], [x2/y1/chip2, x2/y2/chip2]")


def test_refined_flows_are_proved_on_links():
    for fabric in (torus(3, 2, 4), torus(3, 3, 2, "[x0/y0/chip0, x1/y0/chip0]")):
        found = throughput(fabric, method="refinement")
        assert (found.status, found.method) == ("optimal", "refinement")
        n_cables = int(expand(fabric).alive.sum())
        assert found.certificate.scope == f"on all {2 * n_cables} links"
        assert found.per_endpoint_gbps == pytest.approx(throughput(fabric, method="axes").per_endpoint_gbps)


def test_links_that_sources_tell_apart_must_not_be_merged(monkeypatch):
    monkeypatch.setattr(refinement, "alike_for_all", lambda graph, device, link, *_: (device, link * 0))
    with pytest.raises(ProofError, match=r"1\.488 Gb/s .* is not proven \(a . link carries"):
        throughput(torus(4, 4, 8), method="refinement")


ONE_AND_THREE = """
{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, left: {kind: switch, axes: []},
 right: {kind: switch, axes: []}, top: {kind: switch, axes: []}, root: {kind: gpu, axes: []}}, links: [
 {between: [root, left], rate: 1Gb/s}, {between: [root, right], rate: 1Gb/s},
 {between: [i0/gpu, left], rate: 1Gb/s}, {between: [i1-3/gpu, right], rate: 1Gb/s},
 {between: [left, top], rate: 0.1Gb/s}, {between: [right, top], rate: 0.1Gb/s}]}
"""


def test_a_partition_must_be_equitable(monkeypatch):
    def found():
        return throughput(
            loads(ONE_AND_THREE), Traffic("one-to-all", root="root"), among="*", method="refinement"
        )

    # Three GPUs take what the right switch gets, and what goes round over the top.
    assert found().per_endpoint_gbps == pytest.approx(1.1 / 3)
    assert found().status == "optimal"
    monkeypatch.setattr(refinement, "refine_colours", lambda e, label, colour: colour)
    # With all GPUs in one class, the first would hand on what it takes in too much.
    with pytest.raises(ProofError, match=r"500 Mb/s .* is not proven \(flow lost or made at a device\)"):
        found()


SOLVERS = ("scipy.optimize", "scipy.sparse.csgraph", "scipy.sparse.linalg", "networkx", "fabric.routing")
SOLVERS += tuple(
    f"fabric.flow.{name}" for name in ("lp", "program", "solve", "by_axes", "by_links", "matching")
)


def test_a_check_loads_no_solver():
    """Neither itself nor through anything that it imports."""
    modules = "certificate concurrent held lifted looked owed posed proof streamed walks".split()
    checks = {"fabric.bounds.fed", *(f"fabric.flow.{module}" for module in modules)}
    code = f"import sys, {', '.join(checks)}\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {*checks, "numpy"} <= loaded
    assert not loaded.intersection(SOLVERS)


PARTLY = """{fabric: f, axes: {x: 3}, devices: {gpu: {kind: gpu, axes: [x]}, sw: {kind: switch, axes: []}},
  links: [{between: [gpu, sw], rate: 1Gb/s, count: 2}], failed: [[gpu0, sw, 1]]}"""


@pytest.mark.parametrize("method", ["auto", "axes", "refinement", "links"])
def test_some_of_the_cables_of_a_pair_are_down(method):
    assert throughput(loads(PARTLY), method=method).per_endpoint_gbps == pytest.approx(1.0)
    assert throughput(loads(PARTLY), {("gpu0", "gpu1"): 1.0}).per_endpoint_gbps == pytest.approx(1.0)


def test_nobody_to_send_to_is_said_by_every_method():
    text = """{fabric: f, axes: {x: 3, y: 2}, devices: {gpu: {kind: gpu, axes: [x, y], transit: all}},
      links: [{between: [gpu, gpu], name: a, rate: 1Gb/s, %s},
              {between: [gpu, gpu], name: b, mesh: y, rate: 1Gb/s}]}"""
    for along in ("ring: x", "wiring: {pattern: pairs, along: x, pairs: [[0, 1], [1, 2]]}"):
        with pytest.raises(QuestionError, match="no endpoint has another one to send to"):
            throughput(loads(text % along), "all-to-all", over=["x"], among="x1/gpu")
