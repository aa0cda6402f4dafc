"""A bound is proven on the file: a program, a class or an answer that is changed by chance is refused."""

import random
from dataclasses import replace

import pytest

from fabric.bounds import groups, packing, proof
from fabric.bounds.bound import bound
from fabric.errors import FabricError, ProofError, QuestionError
from fabric.flow import looked
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
STAR = """{fabric: star, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
  links: [{between: [gpu, leaf], rate: 40Gb/s}]}"""
FABRICS = {
    "boxes": loads(BOXES % ("end", "")),
    "relays": loads(BOXES % ("relay", "node0/nic1")),
    "torus": loads(TORUS % ""),
    "a failed cable": loads(TORUS % "[x0/c0, x1/c0]"),
}
COLLECTIVES = ("all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all")
OVER = {"boxes": ("node",), "relays": ("slot",), "torus": ("x",), "a failed cable": ("y",)}


@pytest.fixture(params=["all links", "classes"])
def scope(request, monkeypatch):
    """Have all links looked at, or the classes walked as in large fabrics."""
    if request.param == "classes":
        monkeypatch.setattr(looked, "FEW_BUNDLES", 0)
    return request.param


@pytest.mark.some(2)
@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("paths", ["rules", "no-relay", "any"])
def test_every_bound_is_proven(name, collective, paths, scope):
    for over in ((), OVER[name]):
        found = bound(FABRICS[name], collective, over=over, paths=paths)
        own = found.certificate
        assert own.upper_gbps == pytest.approx(found.algbw_gbps, rel=1e-6), over
        assert own.faults == ()
        if found.status == "optimum":
            assert own.lower_gbps == pytest.approx(found.algbw_gbps, rel=1e-6)
        elif collective != "all-to-all":
            assert own.lower_gbps == 0.0
        if collective != "all-to-all":
            assert own.scope.startswith("on all " if scope == "all links" else "on classes")
            assert f"checked {own.scope}" in str(found)


def test_an_optimum_has_flows_below_it():
    found = bound(loads(STAR), "all-gather")
    assert (found.status, found.certificate.scope) == ("optimum", "on all 8 links")
    assert (
        found.certificate.lower_gbps == pytest.approx(found.certificate.upper_gbps) == pytest.approx(160 / 3)
    )
    assert "proven: flows and prices of 53.33 Gb/s" in str(found)


def test_a_million_is_proven_on_its_classes():
    million = load("topologies/systems/million-scenario.fabric.yaml")
    found = bound(million, "all-reduce", reduces=())
    # Parts of the ranks bind here, not the program: 531.5 GB/s, which is 1,063 of busbw.
    assert found.algbw_gbps / 8 == pytest.approx(531.5005, abs=1e-3)
    assert found.certificate.upper_gbps == pytest.approx(found.algbw_gbps, rel=1e-9)


CHANGES = (recounted, rerated, let_through, resized)


@pytest.mark.some(1)
@pytest.mark.parametrize("collective", ["all-gather", "all-reduce", "broadcast"])
@pytest.mark.parametrize("name", FABRICS)
def test_a_bound_on_changed_classes_is_refused(name, collective, scope, monkeypatch):
    """Of 24 each: whatever the program then says, none whose value is another is given out."""
    right = bound(FABRICS[name], collective).algbw_gbps
    true = groups.quotient
    n_refused = 0
    for seed in range(24):
        change = CHANGES[seed % len(CHANGES)]
        known = {}

        def changed(blueprint, sources=(), *, change=change, seed=seed, known=known, **more):
            view = true(blueprint, sources, **more)
            if id(view) not in known:
                known[id(view)] = change(view, random.Random(f"{name} {collective} {seed}")), view
            return known[id(view)][0]

        with monkeypatch.context() as patch:
            patch.setattr(groups, "quotient", changed)
            try:
                found = bound(FABRICS[name], collective)
            except ProofError:
                n_refused += 1
            except (FabricError, ValueError, IndexError, RuntimeWarning):
                continue  # no program at all
            else:
                same = found.algbw_gbps == pytest.approx(right, rel=1e-6) or found.status == "cut off"
                assert same, (change.__name__, seed, found.algbw_gbps, right)
    assert n_refused >= 3


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1])
def test_an_answer_that_is_not_the_programs_is_refused(factor, scope, monkeypatch):
    true_feed, true_maximize = packing.feed, packing.maximize

    def fed(*args):
        found = true_feed(*args)
        return replace(found, rate_gbps=found.rate_gbps * factor, flow=found.flow * factor)

    def maximized(*args, **more):
        x, dual = true_maximize(*args, **more)
        x[-1] *= factor
        return x, dual * factor

    monkeypatch.setattr(packing, "feed", fed)
    monkeypatch.setattr(packing, "maximize", maximized)
    n_refused = 0
    for name, collective in (("torus", "all-gather"), ("boxes", "broadcast"), ("torus", "all-reduce")):
        try:
            found = bound(FABRICS[name], collective)
        except ProofError:
            n_refused += 1
        else:
            # What a program says too high does not count where parts of the ranks say less.
            assert (bool(found.why), factor > 1) == (True, True)
    assert n_refused >= 1 + (factor < 1)


def test_prices_that_are_not_paid_prove_nothing(monkeypatch):
    monkeypatch.setattr(proof, "_is_paid", lambda *_: False)
    with pytest.raises(ProofError, match="tolls beyond the price of their links"):
        bound(FABRICS["torus"], "all-reduce")


def test_the_root_of_a_group_must_be_up():
    broken = loads(BOXES % ("end", "node0/gpu0"))
    with pytest.raises(QuestionError, match="the root of a group, at node0/slot0, is down or absent"):
        bound(broken, "broadcast", over=("node",))
    assert bound(broken, "broadcast", over=("node",), root="node1/gpu0").algbw_gbps > 0


@pytest.mark.some(1)
@pytest.mark.parametrize("many", [100, 200, 300, 500])
def test_a_program_of_some_ranks_bounds_what_is_too_large(many, monkeypatch):
    """It is never below the whole program, and never looser than what parts of the ranks must take in."""
    fabric = loads(BOXES % ("relay", "node0/nic1"))
    whole = bound(fabric, "all-reduce")
    with monkeypatch.context() as patch:
        patch.setattr(packing, "MANY_COLUMNS", 0)
        parts = bound(fabric, "all-reduce")
    with monkeypatch.context() as patch:
        patch.setattr(packing, "MANY_COLUMNS", many)
        some = bound(fabric, "all-reduce")
    assert whole.algbw_gbps * (1 - 1e-9) <= some.algbw_gbps <= parts.algbw_gbps * (1 + 1e-9)
    assert some.certificate.upper_gbps == pytest.approx(some.algbw_gbps, rel=1e-6)
    if "flows of ranks" in some.why:
        assert f"more than {many:,}" in some.why


def test_the_largest_classes_of_ranks_bound_a_million(monkeypatch):
    million = load("topologies/systems/million-scenario.fabric.yaml")
    found = {}
    for many in (0, 300, 8_000):
        with monkeypatch.context() as patch:
            patch.setattr(packing, "MANY_COLUMNS", many)
            found[many] = bound(million, "all-reduce")
    # 1,063 GB/s by parts, 1,038 by one flow of two, 987.3 by the whole program.
    assert [found[n].algbw_gbps / 8 for n in found] == pytest.approx([1063.0, 1038.001, 987.3249], rel=1e-5)
    assert found[300].why == "by 1 of 2 flows of ranks: its program has 442 variables, more than 300"
    assert found[8_000].why == ""
