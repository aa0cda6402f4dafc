"""A max-flow on classes is proven on the file: classes or answers that are changed by chance are refused."""

import random
from dataclasses import replace

import numpy as np
import pytest

from fabric.errors import FabricError, ProofError, QuestionError
from fabric.flow import classes, looked, maxflow
from fabric.flow.maxflow import max_flow
from fabric.graph import load, loads
from tests.wrong_views import let_through, recounted, rerated, resized

BOXES = """{fabric: boxes, axes: {node: 3, slot: 2}, devices: {
  gpu: {kind: gpu, axes: [node, slot], transit: %s}, nv: {kind: switch, axes: [node]},
  nic: {kind: nic, axes: [node, slot]}, leaf: {kind: switch, axes: [slot]}, spine: {kind: switch, axes: []}},
  failed: [%s], links: [{between: [gpu, nv], rate: 8Gb/s, net: scale-up}, {between: [gpu, nic], rate: 4Gb/s},
  {between: [nic, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 3Gb/s}]}"""
TORUS = """{fabric: torus, axes: {x: 4, y: 3}, devices: {c: {kind: gpu, axes: [x, y], transit: all}},
  failed: [%s], links: [{between: [c, c], name: x, ring: x, rate: 1Gb/s},
  {between: [c, c], name: y, ring: y, rate: 2Gb/s}]}"""
QUESTIONS = {
    "boxes": (loads(BOXES % ("end", "")), "node0", "node1"),
    "relays": (loads(BOXES % ("relay", "node0/nic1")), "node0/gpu0", "node2"),
    "torus": (loads(TORUS % ""), "x0/c0", "x2"),
    "a failed cable": (loads(TORUS % "[x0/c0, x1/c0]"), ["x0/c0", "x1/c1"], "x3"),
}


def rejoined(view, rng):
    e = view.classes
    head = e.head.copy()
    head[rng.randrange(len(head))] = rng.randrange(e.n_devices)
    return replace(view, classes=replace(e, head=head))


def merged(view, rng):
    """Two classes of devices of one group as one, with all their links."""
    e = view.classes
    pairs = [(a, b) for a in range(e.n_devices) for b in range(a) if e.group[a] == e.group[b]]
    if not pairs:
        return view
    gone, kept = rng.choice(pairs)
    size = view.size.copy()
    size[kept] += size[gone]
    tail, head = (np.where(end == gone, kept, end) for end in (e.tail, e.head))
    return replace(view, size=size, classes=replace(e, tail=tail, head=head))


CHANGES = (recounted, rerated, let_through, resized, rejoined, merged)


def other_capacity(problem, rng):
    capacity = problem.capacity.copy()
    capacity[rng.randrange(len(capacity))] *= rng.choice((0.0, 0.5, 2.0))
    return replace(problem, capacity=capacity)


def other_side(problem, rng):
    """One more state, or one less, where flow starts or ends."""
    name = rng.choice(("sources", "targets"))
    ends = problem.sources | problem.targets if rng.random() < 0.5 else np.ones(len(problem.sources), bool)
    states = getattr(problem, name).copy()
    at = rng.choice(np.flatnonzero(ends).tolist())
    states[at] = not states[at]
    return replace(problem, **{name: states})


def move_left_out(problem, rng):
    kept = np.arange(len(problem.tail)) != rng.randrange(len(problem.tail))
    return replace(problem, **{name: getattr(problem, name)[kept] for name in ("tail", "head", "link")})


def move_made_up(problem, rng):
    n = problem.moves.n_states
    more = {
        "tail": rng.randrange(n),
        "head": rng.randrange(n),
        "link": rng.randrange(-1, len(problem.capacity)),
    }
    return replace(problem, **{name: np.append(getattr(problem, name), x) for name, x in more.items()})


QUESTION_CHANGES = (other_capacity, other_side, move_left_out, move_made_up)


@pytest.fixture(params=["all links", "classes"])
def scope(request, monkeypatch):
    """Have all links looked at, or the classes walked as in large fabrics."""
    if request.param == "classes":
        monkeypatch.setattr(looked, "FEW_BUNDLES", 0)
    return request.param


@pytest.mark.some(8)
@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("paths", ["rules", "no-relay", "any"])
def test_sound_answers_pass(name, paths, scope):
    fabric, source, target = QUESTIONS[name]
    found = max_flow(fabric, source, target, paths=paths, method="axes")
    assert found.status in ("optimal", "cut off")
    right = max_flow(fabric, source, target, paths=paths, method="links").value_gbps
    assert found.value_gbps == pytest.approx(right, rel=1e-9)
    assert found.certificate.scope.startswith("on all " if scope == "all links" else "on classes")


@pytest.mark.parametrize("n", [16, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.some(1)
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_flow_on_changed_classes_is_refused(name, n, scope, monkeypatch):
    """Of so many each: none whose value is another is given out."""
    fabric, source, target = QUESTIONS[name]
    right = max_flow(fabric, source, target, method="axes").value_gbps
    true, n_refused = classes.quotient, 0
    for seed in range(n):
        change = CHANGES[seed % len(CHANGES)]
        known = {}

        def changed(*args, change=change, seed=seed, known=known, **more):
            view = true(*args, **more)
            if id(view) not in known:
                known[id(view)] = change(view, random.Random(f"{name} {seed}")), view
            return known[id(view)][0]

        with monkeypatch.context() as patch:
            patch.setattr(classes, "quotient", changed)
            try:
                found = max_flow(fabric, source, target, method="axes")
            except ProofError:
                n_refused += 1
            except (FabricError, ValueError, IndexError):
                continue  # no question at all
            else:
                assert found.value_gbps == pytest.approx(right, rel=1e-6), (change.__name__, seed)
    assert n_refused >= n // 8


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_flow_of_another_question_is_refused(name, method, scope, monkeypatch):
    """Of 60 each: none whose value is another is given out."""
    fabric, source, target = QUESTIONS[name]
    right = max_flow(fabric, source, target, method=method).value_gbps
    pose = "class_problem" if method == "axes" else "flow_problem"
    true, n_refused = getattr(maxflow, pose), 0
    for seed in range(60):
        change = QUESTION_CHANGES[seed % len(QUESTION_CHANGES)]

        def changed(*args, change=change, seed=seed, **more):
            return change(true(*args, **more), random.Random(f"{name} {seed}"))

        with monkeypatch.context() as patch:
            patch.setattr(maxflow, pose, changed)
            try:
                found = max_flow(fabric, source, target, method=method)
            except ProofError:
                n_refused += 1
            else:
                is_proven = found.status == "optimal"
                assert not is_proven or found.value_gbps == pytest.approx(right, rel=1e-6), (change, seed)
    assert n_refused >= 5


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_a_smaller_flow_or_cut_is_no_optimum(factor, monkeypatch):
    fabric, source, target = QUESTIONS["boxes"]
    true = maxflow.solve

    def less(*args):
        found = true(*args)
        return replace(found, flow=found.flow * factor)

    monkeypatch.setattr(maxflow, "solve", less)
    found = max_flow(fabric, source, target, method="axes")
    assert found.status == "bounded"
    assert found.certificate.upper_gbps == pytest.approx(found.value_gbps / factor)


@pytest.mark.parametrize("method", ["axes", "links"])
def test_a_device_on_both_sides_is_refused_up_or_failed(method):
    fabric = loads(BOXES % ("end", "node0/gpu1"))
    for target, n, name in (("node0/gpu1", 1, "node0/gpu1"), ("node0", 2, "node0/gpu0")):
        with pytest.raises(QuestionError, match=f"share {n} devices?, such as {name}"):
            max_flow(fabric, ["node0/gpu0", "node0/gpu1"], target, method=method)


def test_a_million_is_proven_in_no_more_than_its_classes():
    million = load("topologies/systems/million-scenario.fabric.yaml")
    ends = ("pod0/su0/block0/rack0/tray0/gpu0", "pod1/su0/block0/rack0/tray0/gpu0")
    found = max_flow(million, *ends)
    assert found.value_gbps == 8504.0
    told = "on classes whose cables are counted in the file and on all cables of 66 devices"
    assert found.certificate.scope == told
