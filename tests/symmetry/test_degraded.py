"""Degraded cables are marks with a rate: classes, refinement and links agree on them, and proofs see them."""

import pytest

import fabric as f
from fabric.errors import QuestionError
from fabric.flow.concurrent import check_concurrent, link_views
from fabric.flow.posed import cable_faults
from fabric.flow.program import solve_commodities
from fabric.flow.question import Question, pose
from fabric.graph import expand, loads
from fabric.symmetry import Lift, NoSymmetryError, quotient

FAMILIES = ("nested", "pods of rings", "grid", "cells", "crossing", "three axes")


def all_to_all(fabric, method="axes", **more):
    return pose(Question(fabric, "all-to-all", method=method, among="gpu", drop_unreachable=True, **more))[0]


def agrees(fabric, orbits):
    """Return whether axes give a rate; check classes by brute force, and the rate on links and colours."""
    try:
        work = all_to_all(fabric)
    except (QuestionError, NoSymmetryError):
        return False
    lift = Lift(fabric.blueprint, work.apart, work.ties)
    assert not orbits.mismatches(expand(fabric), link_views(work, fabric.blueprint, lift), work.commodities)
    answer = solve_commodities(work.capacity, work.commodities)
    verdict = check_concurrent(work, answer)
    assert (verdict.status, verdict.faults) == ("optimal", ())
    for method in ("links", "refinement"):
        again = all_to_all(fabric, method)
        rate = solve_commodities(again.capacity, again.commodities).rate_gbps
        assert answer.rate_gbps == pytest.approx(rate, rel=1e-7), method
    return True


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_axes_refinement_and_links_have_one_rate(family, marked_fabrics, orbits):
    seeds = range(3)
    assert sum(agrees(marked_fabrics.marked_fabric(family, s, is_slow=True), orbits) for s in seeds) > 1


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("family", FAMILIES)
def test_axes_refinement_and_links_have_one_rate_in_quota(family, chunk, marked_fabrics, orbits):
    seeds = range(50 + 50 * chunk, 100 + 50 * chunk)
    assert sum(agrees(marked_fabrics.marked_fabric(family, s, is_slow=True), orbits) for s in seeds) > 9


# ---- named ones ----------------------------------------------------------------------------------

TWO = """
fabric: two
axes: {leaf: 2, node: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [leaf, node]}
  l: {kind: switch, axes: [leaf]}
  s: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, l], rate: 400Gb/s}
  - {between: [l, s], rate: 200Gb/s, count: 2}
"""


def rates(fabric):
    """Return the cables that are up at each rate, rule by rule."""
    e = expand(fabric)
    found = {}
    for rule, rate, n in zip(e.rule.tolist(), e.rate_gbps.tolist(), e.alive.tolist(), strict=True):
        if n:
            key = e.rules[rule].name, rate
            found[key] = found.get(key, 0) + n
    return found


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        ("degraded: [[l0, s0, 1, 1/2]]", {200.0: 7, 100.0: 1}),
        ("degraded: [[l0, s0, 1/2]]", {200.0: 6, 100.0: 2}),
        ("degraded: [[s0, l0, 1, 1/2], [l0, s0, 1, 1/4]]", {200.0: 6, 100.0: 1, 50.0: 1}),
        # A mark on all makes none faster, in whatever order marks stand.
        ("degraded: [[l0, s0, 1, 1/4], [l0, s0, 1/2]]", {200.0: 6, 100.0: 1, 50.0: 1}),
        ("degraded: [[l0, s0, 1/2], [l0, s0, 1, 1/4]]", {200.0: 6, 100.0: 1, 50.0: 1}),
        ("degraded: [[l0, s0, 1/2], [l, s, 3/4]]", {150.0: 6, 100.0: 2}),
        # Those that have failed are the first.
        ("failed: [[l0, s0, 1]], degraded: [[l0, s0, 1, 1/2]]", {200.0: 6, 100.0: 1}),
        ("failed: [[l0, s0]], degraded: [[l0, s0, 1/2]]", {200.0: 6}),
        # More marks than cables that are up: the slowest count.
        ("failed: [[l0, s0, 1]], degraded: [[l0, s0, 2, 1/2], [l0, s0, 1, 1/4]]", {200.0: 6, 50.0: 1}),
        # What has failed itself has no cable that is up.
        ("failed: [s0], degraded: [[l0, s0, 1/2]]", {200.0: 4}),
        ("degraded: [[l0, 1/2]]", {200.0: 4, 100.0: 4}),
        ("degraded: [[l, 1/2], [l0, s0, 60Gb/s]]", {100.0: 6, 60.0: 2}),
        # So many of all of them are the first, as where they fail.
        ("degraded: [[l, s, 3, 50%]]", {200.0: 5, 100.0: 3}),
    ],
)
def test_several_marks_on_cables(damage, wanted):
    parts = damage.split(", degraded")
    text = parts[0] if len(parts) == 1 else f"{parts[0]}\ndegraded{parts[1]}"
    fabric = loads(f"{TWO}{text}\n")
    assert {rate: n for (rule, rate), n in rates(fabric).items() if rule == "l-s"} == pytest.approx(wanted)
    try:
        base = quotient(fabric.blueprint)
    except NoSymmetryError:
        assert "l, s, 3" in damage
        return
    e = base.classes
    counted = {}
    for rate, n in zip(e.rate_gbps[e.rule == 1].tolist(), e.count[e.rule == 1].tolist(), strict=True):
        counted[rate] = counted.get(rate, 0) + n
    assert counted == wanted
    assert not list(cable_faults(base, fabric.blueprint))


def test_one_slow_cable_of_two_splits_their_class():
    fabric = f.degrade(loads(TWO), ("l0", "s0", 1, "1/2"))
    e = quotient(fabric.blueprint).classes
    rows = sorted(zip(e.rate_gbps[e.rule == 1].tolist(), e.count[e.rule == 1].tolist(), strict=True))
    assert rows == [(100.0, 1), (200.0, 1), (200.0, 2), (200.0, 2), (200.0, 2)]
    # 2 of 4 GPUs lie behind l0, each sends 2/3 of its rate out: 700 of 800 Gb/s are left there.
    assert f.throughput(fabric).per_endpoint_gbps == pytest.approx(min(400, 700 / (2 * 2 / 3)))
    assert f.max_flow(fabric, "leaf0", "leaf1").value_gbps == pytest.approx(700)
    assert f.max_flow(fabric, "leaf0", "leaf1", method="links").value_gbps == pytest.approx(700)


def test_ecmp_spreads_evenly_over_cables_so_that_the_slow_one_binds():
    healthy, slow = loads(TWO), f.degrade(loads(TWO), "l0 - s0 x 1 at 1/2")
    asked = {"calibration": "wire", "algorithm": "pairwise", "is_bounded": False}
    before, after = (f.cost(one, "all-to-all", "1GB", **asked) for one in (healthy, slow))
    # Four cables with a quarter each: at 100 Gb/s they last as long as 400 would.
    all_slow = f.cost(f.degrade(healthy, "l0 - s at 1/2"), "all-to-all", "1GB", **asked)
    assert after.time_s == pytest.approx(all_slow.time_s)
    assert after.time_s > 1.1 * before.time_s


@pytest.mark.slow
def test_a_slow_card_in_the_million():
    million = f.load("topologies/million.fabric.yaml")
    card = "pod0/block0/rack0/tray0/nic0"
    down, slow, healthy = (
        f.throughput(one).per_endpoint_gbps
        for one in (f.fail(million, card), f.degrade(million, f"{card} at 1/2"), million)
    )
    # 71.5 and 71 of 72 cards of its rack, by which all-to-all is bound there.
    assert slow == pytest.approx(800 * 71.5 / 72 * 1000007 / 999936, rel=1e-9)
    assert down == pytest.approx(800 * 71 / 72 * 1000007 / 999936, rel=1e-9)
    assert down < slow < healthy


def test_a_proof_refuses_cables_at_another_speed_than_in_the_file():
    slow, healthy = f.degrade(loads(TWO), "l0 - s0 at 1/2"), loads(TWO)
    assert not list(cable_faults(quotient(slow.blueprint), slow.blueprint))
    assert list(cable_faults(quotient(healthy.blueprint), slow.blueprint)) == [
        "8 l-s cables above 0.5 of their rate in the classes, 6 in the file"
    ]
    assert list(cable_faults(quotient(slow.blueprint), healthy.blueprint)) == [
        "l-s at another rate than in the file"
    ]


@pytest.mark.parametrize("form", ["graph", "graphml"])
def test_slow_cables_pass_through_networkx(form, tmp_path):
    import networkx as nx

    fabric = f.degrade(loads(TWO), "l0 - s0 x 1 at 1/2", "leaf1/gpu0 at 100Gb/s")
    graph = f.to_networkx(fabric)
    assert sorted(d["capacity"] for _, _, d in graph.edges("l0", data=True) if d["rule"] == "l-s") == [
        100.0,
        200.0,
        400.0,
    ]
    if form == "graphml":
        nx.write_graphml(graph, tmp_path / "f.graphml")
        graph = nx.read_graphml(tmp_path / "f.graphml", force_multigraph=True)
    again = f.from_networkx(graph)
    assert rates(again) == rates(fabric)
    assert len(expand(again).rules) == 2
    assert f.throughput(again).per_endpoint_gbps == pytest.approx(f.throughput(fabric).per_endpoint_gbps)


def test_a_graph_is_degraded_by_its_nodes():
    graph = f.from_networkx(f.to_networkx(loads(TWO)))
    assert rates(f.degrade(graph, ("l0", "s0", 1, "1/2")))["l-s", 100.0] == 1
    assert rates(f.degrade(graph, "s0 at 50Gb/s"))["l-s", 50.0] == 4
    for what in ("l0 - s0 x 1 at 1/2", "leaf0/gpu0 at 25%"):
        one, other = (f.throughput(f.degrade(own, what)).per_endpoint_gbps for own in (graph, loads(TWO)))
        assert one == pytest.approx(other)
    with pytest.raises(QuestionError, match="no cable between l0 and l1"):
        f.degrade(graph, "l0 - l1 at 1/2")
    with pytest.raises(QuestionError, match="more degraded cables than there are between l0 and s0"):
        f.degrade(graph, "l0 - s0 x 3 at 1/2")
    with pytest.raises(QuestionError, match="0 cables are up and faster than 200Gb/s"):
        f.degrade(graph, "l0 - s0 at 200Gb/s")


def test_order_of_failing_and_degrading_does_not_matter():
    one = f.fail(f.degrade(loads(TWO), "l0 - s0 x 1 at 1/2"), "l0 - s0 x 1")
    other = f.degrade(f.fail(loads(TWO), "l0 - s0 x 1"), "l0 - s0 x 1 at 1/2")
    assert rates(one) == rates(other) == {("gpu-l", 400.0): 4, ("l-s", 200.0): 6, ("l-s", 100.0): 1}


def test_orbits_of_cables_tell_speeds_apart():
    from fabric.symmetry.orbits import orbits

    found = [o for o in orbits(f.degrade(loads(TWO), "l0 - s0 x 1 at 1/2")) if o.of == "l-s"]
    assert sorted(o.n for o in found) == [1, 1, 2, 2, 2]


def test_counts_by_index_and_boxes_of_chips():
    text = TWO.replace("count: 2", "count: {leaf: [3, 1]}")
    fabric = loads(f"{text}degraded: [[l, s0, 2, 1/2]]\n")
    assert rates(fabric) == {("gpu-l", 400.0): 4, ("l-s", 200.0): 6, ("l-s", 100.0): 2}
    boxes = loads(TWO.replace("s: {kind: switch", "s: {part: q3400").replace("200Gb/s", "800Gb/s"))
    # A port at half is four lanes at half; a lane at 100 Gb/s is one of them alone.
    whole = rates(f.open_boxes(f.degrade(boxes, "l0 - s0 x 1 at 400Gb/s")))
    assert {rate: n for (rule, rate), n in whole.items() if rule == "l-s"} == {200.0: 28, 100.0: 4}
    lane = rates(f.degrade(boxes, "l0 - asic1/s0 x 1 at 100Gb/s"))
    assert {rate: n for (rule, rate), n in lane.items() if rule == "l-s"} == {200.0: 31, 100.0: 1}


def test_an_include_brings_what_is_slow(tmp_path):
    (tmp_path / "part.fabric.yaml").write_text(
        f"{TWO}degraded: [[l0, 1, 150Gb/s]]\n".replace("[l0, 1,", "[l0,")
    )
    (tmp_path / "all.fabric.yaml").write_text(
        "fabric: all\ninclude: {fabric: ./part.fabric.yaml, as: p, over: {site: 3}}\naxes: {}\nislands: 3\n"
    )
    found = rates(f.load(tmp_path / "all.fabric.yaml"))
    assert found == {("p.gpu-l", 400.0): 6, ("p.gpu-l", 150.0): 6, ("p.l-s", 200.0): 12, ("p.l-s", 150.0): 12}
