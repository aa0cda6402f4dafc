"""Traffic patterns on classes against the same demands written out for every pair of real devices."""

import random
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from fabric.errors import LimitError, QuestionError
from fabric.flow import commodities, max_flow, question
from fabric.flow.by_refinement import REFINED_PATTERNS
from fabric.flow.question import Question, pose
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import expand, fail, loads, select
from fabric.graph.exchange import from_networkx
from tests.flow.drawn import (
    FAMILIES,
    PAIRS_OF_A_LEAF,
    PATHS,
    RATES,
    alive,
    demands_of,
    fabric_of,
    patterns,
)

ROOT = Path(__file__).parents[2]


def agree(fabric, traffic, paths, **more):
    """Assert that classes and real links give one rate, and return it."""
    found = throughput(fabric, traffic, paths=paths, method="axes", **more)
    more.pop("drop_unreachable", None)
    explicit = throughput(fabric, demands_of(fabric, traffic, **more), paths=paths)
    assert found.per_endpoint_gbps == pytest.approx(explicit.per_endpoint_gbps, rel=3e-9), (traffic, paths)
    cut_off = "cut off" if found.cut_off and not found.is_dropped else "optimal"
    assert (found.status, explicit.status) == (cut_off, cut_off), (traffic, found.certificate)
    if traffic.pattern in REFINED_PATTERNS and not traffic.over:
        refined = throughput(fabric, traffic, paths=paths, method="refinement", **more)
        assert refined.per_endpoint_gbps == pytest.approx(explicit.per_endpoint_gbps, rel=3e-9), (
            traffic,
            paths,
        )
        assert (refined.status, refined.method) == (cut_off, "refinement"), refined.certificate
        assert refined.n_endpoints == found.n_endpoints
    return found.per_endpoint_gbps


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=8)
@pytest.mark.parametrize("n_failed", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_patterns_equal_the_explicit_program(family, n_failed, seed):
    fabric, sizes, rng = fabric_of(family, (n_failed, seed), n_failed=n_failed)
    ends = alive(fabric)
    rates = [agree(fabric, traffic, rng.choice(PATHS)) for traffic in patterns(sizes, rng, rng.choice(ends))]
    assert len(rates) == 6


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=8)
@pytest.mark.parametrize("family", FAMILIES)
def test_part_of_the_endpoints(family, seed):
    fabric, sizes, rng = fabric_of(family, ("among", seed))
    axis = rng.choice([a for a, n in sizes.items() if n > 1])
    among = f"{axis}0-{rng.randint(1, sizes[axis] - 1)}"
    root = rng.choice([str(expand(fabric).names[v]) for v in np.flatnonzero(select(fabric, among))])
    rates = [
        agree(fabric, traffic, rng.choice(PATHS), among=among)
        for traffic in patterns(sizes, rng, root)
        if demands_of(fabric, traffic, among=among)  # a shift may lead out of the job
    ]
    assert len(rates) >= 5


def cut_off(fabric, paths, over):
    """Return the endpoints that no flow joins with the majority of their group."""
    ends = alive(fabric)
    e = expand(fabric)
    row = {str(e.names[v]): v for v in range(e.n_devices)}
    same = [
        c for a, c in e.coordinates.items() if over and a not in over and not fabric.blueprint.axes[a].parts
    ]

    def joined(s, t):
        return max_flow(fabric, s, t, paths=paths).value_gbps > 0

    gone = set()
    for s in ends:
        group = [t for t in ends if all(c[row[s]] == c[row[t]] for c in same)]
        seen = [t for t in group if t == s or (joined(s, t) and joined(t, s))]
        if 2 * len(seen) <= len(group):
            gone.add(s)
    return gone


@pytest.mark.seeds(1, of=6)
def test_what_failures_cut_off_is_named_and_left_out(seed):
    n_seen = 0
    for number in range(6 * seed, 6 * seed + 6):
        fabric, sizes, rng = fabric_of("uneven", ("lost", number), n_failed=2)
        gone = cut_off(fabric, "rules", ())
        ends = alive(fabric)
        if not gone or len(ends) - len(gone) < 2:
            continue
        n_seen += 1
        root = rng.choice([name for name in ends if name not in gone])
        for traffic in (Traffic(), Traffic("one-to-all", root=root), Traffic("all-to-one", root=root)):
            found = throughput(fabric, traffic)
            assert (found.per_endpoint_gbps, found.status) == (0.0, "cut off")
            assert sum(n for _, n in found.cut_off) == len(gone)
            assert {name for name, _ in found.cut_off} <= gone
            rest = throughput(fabric, traffic, drop_unreachable=True)
            wanted = throughput(fabric, demands_of(fabric, traffic, gone=gone))
            assert rest.per_endpoint_gbps == pytest.approx(wanted.per_endpoint_gbps, rel=3e-9)
            assert rest.n_endpoints == len(ends) - len(gone)
            assert rest.status == "optimal"
            for method in ("refinement", "links"):
                other = throughput(fabric, traffic, drop_unreachable=True, method=method)
                assert other.per_endpoint_gbps == pytest.approx(wanted.per_endpoint_gbps, rel=3e-9)
                assert sum(n for _, n in other.cut_off) == len(gone)
                assert (other.n_endpoints, other.status) == (rest.n_endpoints, "optimal")
            cut = throughput(fabric, traffic, method="refinement")
            assert (cut.per_endpoint_gbps, cut.n_endpoints) == (0.0, found.n_endpoints)
            assert {name for name, _ in cut.cut_off} <= gone
    assert n_seen >= 1


def test_a_shift_blames_the_one_that_is_cut_off():
    fabric = loads(PAIRS_OF_A_LEAF % (1, "leaf1/nic0"))
    found = throughput(fabric, Traffic("shift", ("leaf",)))
    assert found.cut_off == (("leaf1/gpu0", 1),)
    rest = throughput(fabric, Traffic("shift", ("leaf",)), drop_unreachable=True)
    # leaf0/gpu0 has no target left and leaf2/gpu0 still sends; leaf 2 sends and takes in two flows.
    assert rest.per_endpoint_gbps == pytest.approx(3.0)
    assert rest.n_endpoints == 5


def test_halves_without_a_majority_are_refused():
    fabric = loads(PAIRS_OF_A_LEAF % (1, "top"))
    assert sum(n for _, n in throughput(fabric).cut_off) == 6
    with pytest.raises(QuestionError, match="no majority of the endpoints is left: leaf0/gpu0 and others"):
        throughput(fabric, drop_unreachable=True)
    assert throughput(fabric, Traffic("all-to-all", ("i",))).per_endpoint_gbps == pytest.approx(4.0)


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("traffic", "match"),
    [
        (Traffic("one-to-all"), "needs a root"),
        (Traffic("one-to-all", root="gpu"), "must select exactly one device"),
        (Traffic("one-to-all", root="leaf0/nic0"), "is no endpoint"),
        (Traffic("all-to-one", root="leaf1/gpu1"), "cut off from most of the others"),
        (Traffic("shift", ("leaf",), by=3), "leads every endpoint to itself"),
        (Traffic("shift"), "needs over= with one plain axis"),
        (Traffic("halves", ("leaf", "i")), "needs over= with one plain axis"),
        (Traffic("all-to-all", ("rank",)), "no axis 'rank'"),
        (Traffic("all-to-all", ("leaf", "plane")), "over: gpu is not placed on plane"),
        ("all-to-al", "did you mean all-to-all"),
    ],
)
@pytest.mark.parametrize("method", ["axes", "links"])
def test_questions_that_do_not_fit(traffic, match, method):
    # An axis more, which no endpoint is placed on.
    text = PAIRS_OF_A_LEAF.replace("axes: {leaf: 3,", "axes: {plane: 1, leaf: 3,").replace(
        "axes: []", "axes: [plane]"
    )
    fabric = loads(text % (1, "leaf1/nic1"))
    with pytest.raises(QuestionError, match=match):
        throughput(fabric, traffic, drop_unreachable=True, method=method)


def test_a_root_that_is_down():
    fabric = loads(PAIRS_OF_A_LEAF % (1, "leaf1/gpu1"))
    with pytest.raises(QuestionError, match="down or absent"):
        throughput(fabric, Traffic("one-to-all", root="leaf1/gpu1"))


def test_the_root_may_be_named_without_its_group():
    fabric = loads(PAIRS_OF_A_LEAF % (1, ""))
    found = throughput(fabric, Traffic("one-to-all", root="leaf0/i1"))
    assert found.per_endpoint_gbps == pytest.approx(4 / 5)
    assert found.to_dict()["value_gbps"] == pytest.approx(4.0)  # of five others


def test_several_groups_of_endpoints():
    text = "{fabric: a, axes: {i: 2, j: 3}, devices: {a: {kind: gpu, axes: [i]}, b: {kind: gpu, axes: [j]},"
    text += " s: {kind: switch, axes: []}}, links:"
    text += " [{between: [a, s], rate: 2Gb/s}, {between: [b, s], rate: 1Gb/s}]}"
    fabric = loads(text)
    for method in ("axes", "links"):
        with pytest.raises(QuestionError, match="several groups"):
            throughput(fabric, method=method)
        assert throughput(fabric, among="a", method=method).per_endpoint_gbps == pytest.approx(2.0)
        assert throughput(fabric, among="b", method=method).n_endpoints == 3


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_too_large_gets_an_interval(family, monkeypatch):
    n_tight = 0
    for seed in range(8):
        fabric, sizes, rng = fabric_of(family, ("interval", seed))
        traffic = rng.choice(patterns(sizes, rng, rng.choice(alive(fabric))))
        paths = rng.choice(PATHS)
        exact = throughput(fabric, traffic, paths=paths, method="links")
        with monkeypatch.context() as patch:
            patch.setattr(commodities, "MAX_VARIABLES", 0)
            found = throughput(fabric, traffic, paths=paths, method="links")
        proof = found.certificate
        assert proof.lower_gbps * (1 - 1e-9) <= exact.per_endpoint_gbps <= proof.upper_gbps * (1 + 1e-9)
        assert found.per_endpoint_gbps == proof.lower_gbps > 0
        assert (found.method, found.n_endpoints) == ("links", exact.n_endpoints)
        assert found.to_dict()["value_gbps"] == pytest.approx(
            exact.to_dict()["value_gbps"] * found.per_endpoint_gbps / exact.per_endpoint_gbps
        )
        n_tight += found.status == "optimal" or proof.gap < 1e-6
    assert "more than 0 variables" in found.why
    assert n_tight >= 2


def test_an_interval_names_what_is_cut_off(monkeypatch):
    monkeypatch.setattr(commodities, "MAX_VARIABLES", 0)
    fabric = loads(PAIRS_OF_A_LEAF % (1, "leaf1/nic0"))
    found = throughput(fabric, method="links")
    assert (found.per_endpoint_gbps, found.cut_off) == (0.0, (("leaf1/gpu0", 1),))
    rest = throughput(fabric, method="links", drop_unreachable=True)
    assert rest.n_endpoints == 5
    assert rest.per_endpoint_gbps > 0


MILLION = """
fabric: million
axes: {pod: %d, su: 4, block: 8, rack: 8, tray: 18, rail: 4, chip: 18, spine: 128, core: 112}
devices:
  gpu: {kind: gpu, axes: [pod, su, block, rack, tray, rail], transit: %s}
  nvswitch: {kind: switch, axes: [pod, su, block, rack, chip]}
  nic: {kind: nic, axes: [pod, su, block, rack, tray, rail]}
  leaf: {kind: switch, axes: [pod, su, block, rail]}
  spine: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up, each: [18, 72]}
  - {between: [gpu, nic], rate: 800Gb/s, net: host, each: 1}
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 144]}
  - {between: [leaf, spine], rate: 800Gb/s}
  - {between: [spine, core], rate: 800Gb/s}
failed: [%s]
"""


@pytest.mark.parametrize(
    ("n_pods", "transit", "rate", "link"),
    [
        (55, "all", 633.744, "spine-core"),
        (55, "end", 633.744, "spine-core"),
        (55, "relay", 633.744, "spine-core"),
        (55_000, "all", 622.234, "spine-core"),
        (1, "end", 718.8, "leaf-spine"),
        (1, "all", 734.0, "leaf-spine"),
    ],
)
def test_the_million(n_pods, transit, rate, link):
    found = throughput(loads(MILLION % (n_pods, transit, "")))
    assert found.per_endpoint_gbps == pytest.approx(rate, abs=0.05 if n_pods == 1 else 5e-4)
    assert found.n_endpoints == 18_432 * n_pods
    assert (found.status, found.method) == ("optimal", "axes")
    if n_pods > 1:
        # What leaves a pod, 128 x 112 cables for 18,432 GPUs; nothing else binds.
        n = found.n_endpoints
        assert found.per_endpoint_gbps == pytest.approx(
            128 * 112 * 800 / 18_432 * (n - 1) / (n - 18_432), rel=1e-9
        )
        assert [c.link for c in found.binding] == [link]


def test_the_million_with_a_failed_leaf():
    failed = "pod0/su0/block0/leaf0"
    found = throughput(loads(MILLION % (55, "all", failed)))
    assert found.per_endpoint_gbps == pytest.approx(533.6, abs=0.05)
    assert (found.status, found.binding[0].link) == ("optimal", "leaf-spine")
    # Without relaying the GPUs of that rail reach nobody outside their racks.
    fabric = loads(MILLION % (55, "end", failed))
    cut = throughput(fabric)
    assert cut.per_endpoint_gbps == 0.0
    assert cut.cut_off == (("pod0/su0/block0/rack0/tray0/gpu0", 144),)
    rest = throughput(fabric, drop_unreachable=True)
    assert rest.n_endpoints == 1_013_760 - 144
    assert rest.status == "optimal"
    assert "left out: 144 endpoints such as pod0/su0/block0/rack0/tray0/gpu0" in str(rest)


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["auto", "axes", "refinement", "links"])
def test_a_torus_with_two_failed_cables(method):
    text = """{fabric: t, axes: {x: 4, y: 4}, devices: {chip: {kind: gpu, axes: [x, y], transit: all}},
      failed: [[x0/chip0, x1/chip0], [x2/chip0, x3/chip0]], links: [
        {name: x, between: [chip, chip], ring: x, rate: 1Gb/s},
        {name: y, between: [chip, chip], ring: y, rate: 1Gb/s}]}"""
    found = throughput(loads(text), method=method)
    assert found.per_endpoint_gbps / 15 == pytest.approx(0.09375, rel=1e-9)
    assert (found.status, found.certificate.scope) == ("optimal", "on all 60 links")


TORUS = """
{fabric: torus, axes: {x: %d, y: %d, z: %d}, devices: {c: {kind: gpu, axes: [x, y, z], transit: all}},
 links: [{between: [c, c], name: x, ring: x, rate: 1Gb/s}, {between: [c, c], name: y, ring: y, rate: 1Gb/s},
 {between: [c, c], name: z, ring: z, rate: 1Gb/s}], failed: [%s]}
"""


CABLES = ("[x0/y0/c0, x1/y0/c0]", "[x2/y1/c0, x2/y1/c1]")


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("failed", "method"),
    [
        ("", "axes"),  # a few classes
        (CABLES[0], "refinement"),  # the ends of the cable are alike, which the axes do not say
        ("x0/y0/c0", "axes"),
        ("x0/y0/c0, x2/y1/c3", "refinement"),
        (", ".join(CABLES), "axes"),  # nothing is alike
    ],
)
def test_auto_takes_the_smallest_exact_program(failed, method, monkeypatch):
    monkeypatch.setattr(question, "FEW_VARIABLES", 1_000)
    fabric = loads(TORUS % (4, 3, 4, failed))
    sizes = {m: pose(Question(fabric, "all-to-all", method=m))[0].n_moves for m in ("axes", "refinement")}
    work, why = pose(Question(fabric, "all-to-all"))
    assert (work.method, work.n_moves) == (method, min(sizes.values()))
    assert (
        why
        == {
            "axes": "the axes say the symmetry",
            "refinement": "refinement finds fewer classes than the axes say",
        }[method]
    )


@pytest.mark.slow
def test_a_torus_with_failures_is_exact_while_small_and_else_an_interval(monkeypatch):
    fabric = loads(TORUS % (4, 2, 4, CABLES[0]))
    exact = throughput(fabric, method="links").per_endpoint_gbps
    monkeypatch.setattr(commodities, "MAX_VARIABLES", 5_000)
    found = throughput(fabric)
    assert (found.method, found.status) == ("refinement", "optimal")
    assert found.why == "the program of 24 classes of sources has more than 5,000 variables"
    assert found.per_endpoint_gbps == pytest.approx(exact, rel=1e-9)
    monkeypatch.setattr(commodities, "MAX_VARIABLES", 1_000)
    found = throughput(fabric)
    assert (found.method, found.status) == ("links", "bounded")
    assert found.why.endswith("; the program of 12 refined classes of sources has more than 1,000 variables")
    proof = found.certificate
    assert proof.lower_gbps * (1 - 1e-9) <= exact <= proof.upper_gbps * (1 + 1e-9)
    assert proof.gap < 1e-3
    monkeypatch.setattr(question, "REFINE_LIMIT", 5)
    assert "refinement looks from 32 endpoints" in throughput(fabric).why


@pytest.mark.some(1)
@pytest.mark.parametrize("method", ["auto", "axes", "refinement", "links"])
def test_a_chip_without_cables(method):
    cables = ", ".join(
        f"[x0/y0/c0, {c}]" for c in ("x1/y0/c0", "x2/y0/c0", "x0/y1/c0", "x0/y0/c1", "x0/y0/c2")
    )
    fabric = loads(TORUS % (3, 2, 3, cables))
    cut = throughput(fabric, method=method)
    assert (cut.per_endpoint_gbps, cut.status, cut.cut_off) == (0.0, "cut off", (("x0/y0/c0", 1),))
    rest = throughput(fabric, method=method, drop_unreachable=True)
    assert (rest.n_endpoints, rest.status, rest.cut_off) == (17, "optimal", cut.cut_off)
    assert rest.per_endpoint_gbps == pytest.approx(
        throughput(loads(TORUS % (3, 2, 3, "x0/y0/c0"))).per_endpoint_gbps, rel=1e-9
    )
    for pattern in ("one-to-all", "all-to-one"):
        with pytest.raises(QuestionError, match=r"root 'x0/y0/c0' is cut off from most of the others"):
            throughput(fabric, Traffic(pattern, root="x0/y0/c0"), method=method, drop_unreachable=True)


def test_a_program_of_one_commodity_is_never_too_large_for_refinement():
    # No pair of endpoints is coloured, so the limit of all-to-all does not hold.
    fabric = loads(TORUS % (8, 8, 64, CABLES[0]))
    found = throughput(fabric, Traffic("one-to-all", root="x0/y0/c0"), method="refinement")
    assert (found.status, found.method) == ("optimal", "refinement")
    assert found.per_endpoint_gbps == pytest.approx(5 / (8 * 8 * 64 - 1), rel=1e-9)


@pytest.mark.parametrize(
    ("traffic", "method", "match"),
    [
        (
            Traffic("shift", ("i",)),
            "refinement",
            "cannot be answered by refinement: it knows all-to-all",
        ),
        (Traffic("all-to-all", ("i",)), "refinement", "over no axes"),
        ({("leaf0/gpu0", "leaf1/gpu0"): 1.0}, "refinement", "a matrix tells endpoints apart"),
        ({("leaf0/gpu0", "leaf1/gpu0"): 1.0}, "axes", "cannot be answered by axes: a matrix has no symmetry"),
        (Traffic("longest-matching"), "axes", "a longest matching has no symmetry"),
        (Traffic("one-to-all"), "refinement", "needs a root"),
        (Traffic("all-to-one", root="leaf0/nic0"), "refinement", "is no endpoint"),
    ],
)
def test_a_method_that_does_not_fit(traffic, method, match):
    with pytest.raises(QuestionError, match=match):
        throughput(loads(PAIRS_OF_A_LEAF % (1, "")), traffic, method=method)


@pytest.mark.parametrize("method", ["axes", "refinement", "links"])
def test_one_way_cables_between_peers_are_counted_once(method):
    text = "{fabric: a, axes: {i: 5, j: 2}, devices: {c: {kind: gpu, axes: [i, j], transit: all}}, links: ["
    text += "{between: [c, c], name: one, ring: i, oneway: true, rate: 1Gb/s},"
    fabric = loads(text + "{between: [c, c], name: two, ring: j, rate: 0.1Gb/s}]}")
    for traffic in (Traffic(), Traffic("one-to-all", root="i0/c0")):
        found = throughput(fabric, traffic, method=method)
        assert {c.link: c.n_cables for c in (*found.binding, *found.slack)} == {"one": 10, "two": 5}


@pytest.mark.parametrize(
    ("graph", "per_pair"),
    [(nx.random_regular_graph(4, 14, seed=1), 0.15), (nx.petersen_graph(), 0.2)],
    ids=["RRG(14,4)", "Petersen"],
)
def test_graphs_without_axes(graph, per_pair):
    nx.set_edge_attributes(graph, 1.0, "capacity")
    found = throughput(from_networkx(graph))
    assert found.per_endpoint_gbps / (len(graph) - 1) == pytest.approx(per_pair, rel=1e-9)
    assert found.status == "optimal"


def shifted_clos(rng):
    """Return nodes under leaves and spines, a shift along the nodes, and its size, 4 or more."""
    n = rng.choice((4, 5, 6))
    sizes = {"pod": rng.choice((1, 2)), "node": n, "slot": rng.choice((1, 2)), "k": rng.choice((1, 2))}
    leaf = rng.choice(("pod, slot", "pod", "slot", "pod, node"))
    rates = [rng.choice(RATES) for _ in range(2)]
    failed = rng.choice(("", "", "pod0/node1/slot0/gpu", "node0-1/gpu", "k0/spine"))
    text = f"""{{fabric: shifted, axes: {sizes}, devices: {{gpu: {{kind: gpu, axes: [pod, node, slot]}},
      leaf: {{kind: switch, axes: [{leaf}]}}, spine: {{kind: switch, axes: [k]}}}},
      links: [{{between: [gpu, leaf], rate: {rates[0]}}}, {{between: [leaf, spine], rate: {rates[1]}}}]}}"""
    fabric = loads(text.replace("'", ""))
    return (fail(fabric, failed.replace("slot0/gpu", "gpu0")) if failed else fabric), n


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", range(12))
def test_a_shift_along_a_plain_axis_is_proven(seed):
    """All places but the two of a pair are alike, for every source: the rate and its proof agree."""
    rng = random.Random(f"shift {seed}")
    fabric, n = shifted_clos(rng)
    by = rng.choice([i for i in range(1, n) if 2 * i != n]) + rng.choice((0, n, -n, 10**6 * n))
    traffic = Traffic("shift", ("node",), by=by)
    answer = throughput(fabric, traffic, method="axes", drop_unreachable=True)
    right = throughput(fabric, traffic, method="links", drop_unreachable=True)
    assert answer.per_endpoint_gbps == pytest.approx(right.per_endpoint_gbps, rel=1e-9)
    assert (answer.status, right.status) == ("optimal", "optimal")
    again = throughput(fabric, Traffic("shift", ("node",), by=by % n), drop_unreachable=True)
    assert again.per_endpoint_gbps == pytest.approx(answer.per_endpoint_gbps, rel=1e-9)


def test_the_smallest_shift_that_was_not_proven():
    text = """{fabric: f, axes: {node: 4, slot: 2}, devices: {gpu: {kind: gpu, axes: [node, slot]},
      leaf: {kind: switch, axes: [slot]}, spine: {kind: switch, axes: []}},
      links: [{between: [gpu, leaf], rate: 200Gb/s}, {between: [leaf, spine], rate: 800Gb/s}]}"""
    answer = throughput(loads(text), Traffic("shift", ("node",)))
    assert answer.per_endpoint_gbps == pytest.approx(200.0)
    assert (answer.status, answer.certificate.lower_gbps) == ("optimal", pytest.approx(200.0))


@pytest.mark.some(1)
@pytest.mark.parametrize("by", [9_223_372_036_854_775_807, -(2**62) - 4])
@pytest.mark.parametrize("method", ["axes", "links"])
def test_a_shift_by_a_large_number_is_one_by_its_rest(by, method):
    # Along a ring the distance is what counts; it must not wrap at 64 bits.
    fabric = loads(TORUS % (5, 2, 2, ""))
    found = [
        throughput(fabric, Traffic("shift", ("x",), by=places), method=method).per_endpoint_gbps
        for places in (by, by % 5, 1)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    assert found[0] != pytest.approx(found[2], rel=1e-3)


SMALL = """{fabric: small, axes: {rack: 2, slot: 4, spine: 2}, devices: {gpu: {kind: gpu, axes: [rack, slot]},
  leaf: {kind: switch, axes: [rack]}, spine: {kind: switch, axes: [spine]}},
 links: [{between: [gpu, leaf], rate: 1%s}, {between: [leaf, spine], rate: 1%s}]}"""


RELAYS = """{fabric: r, axes: {b: 2, n: 3, s: 2}, devices: {gpu: {kind: gpu, axes: [b, n, s], transit: relay},
  nv: {kind: switch, axes: [b, n]}, nic: {kind: nic, axes: [b, n, s]}, leaf: {kind: switch, axes: [b, s]},
  spine: {kind: switch, axes: []}},
 links: [{between: [gpu, nv], rate: 1%s, net: scale-up}, {between: [gpu, nic], rate: 1%s},
  {between: [nic, leaf], rate: 1%s}, {between: [leaf, spine], rate: 1%s}]}"""


@pytest.mark.some(1)
@pytest.mark.parametrize("unit", ["b/s", "kb/s", "Gb/s", "Tb/s", "000Pb/s"])
@pytest.mark.parametrize("method", ["axes", "links"])
@pytest.mark.parametrize(("text", "right"), [(SMALL, 7 / 8), (RELAYS, 11 / 18)])
def test_no_unit_of_rates_costs_the_proof(unit, method, text, right):
    fabric = loads(text % ((unit,) * text.count("%s")))
    found = throughput(fabric, method=method)
    unit_gbps = fabric.blueprint.rules[0].rate_gbps
    assert found.per_endpoint_gbps / unit_gbps == pytest.approx(right, rel=1e-9)
    assert found.status == "optimal"
    same = throughput(loads(text % (("Gb/s",) * text.count("%s"))), method=method)
    assert {r.link: r.spare for r in found.slack} == pytest.approx(
        {r.link: r.spare for r in same.slack}, abs=1e-6
    )


ASIDE = """{fabric: a, axes: {i: 3, j: 2}, devices: {gpu: {kind: gpu, axes: [i, j]},
  leaf: {kind: switch, axes: []}, spine: {kind: switch, axes: []}},
 links: [{between: [gpu, leaf], rate: 3%s}, {between: [leaf, spine], rate: 2%s},
  {between: [gpu, gpu], name: peers, line: i, rate: 1%s}]}"""


@pytest.mark.parametrize("unit", ["b/s", "Gb/s", "000Pb/s"])
@pytest.mark.parametrize("method", ["axes", "refinement", "links"])
def test_what_the_traffic_can_do_without_has_no_slack(unit, method):
    """Whether one solution goes by the spine is chance: all of it can be spared, and it is not named."""
    found = throughput(loads(ASIDE % ((unit,) * 3)), method=method)
    assert (found.status, {r.link for r in found.slack} & {"leaf-spine"}) == ("optimal", set())
    assert all(row.spare < 1 for row in found.slack)
    assert {row.link for row in (*found.binding, *found.slack)} == {"gpu-leaf", "peers"}


def test_a_range_of_failed_devices_is_a_list_of_them():
    text = """{fabric: f, axes: {pod: 4, rack: 3, slot: 3, k: 2}, failed: [%s],
      devices: {gpu: {kind: gpu, axes: [pod, rack, slot]}, nic: {kind: nic, axes: [pod, rack, slot]},
      leaf: {kind: switch, axes: [pod, slot]}, spine: {kind: switch, axes: [k]}},
      links: [{between: [gpu, nic], rate: 4Gb/s, count: 2}, {between: [nic, leaf], rate: 2Gb/s},
      {between: [leaf, spine], rate: 1Gb/s}]}"""
    each = ", ".join(f"[pod{i}/rack0/gpu1, pod{i}/rack0/nic1, 1]" for i in range(3))
    found = [
        throughput(loads(text % failed), method="axes")
        for failed in ("pod0-2/rack1/gpu0", "pod0/rack1/gpu0, pod1/rack1/gpu0, pod2/rack1/gpu0")
    ]
    assert found[0].per_endpoint_gbps == pytest.approx(found[1].per_endpoint_gbps, rel=1e-9)
    assert (found[0].n_variables, found[0].n_classes) == (found[1].n_variables, found[1].n_classes)
    assert throughput(loads(text % each), method="axes").status == "optimal"


def test_what_is_too_large_for_all_says_why_in_one_line(monkeypatch):
    monkeypatch.setattr(commodities, "MAX_VARIABLES", 5)
    with pytest.raises(LimitError, match="more than 5 variables.*nor an interval: .* devices") as caught:
        throughput(loads(SMALL % ("Gb/s", "Gb/s")), limit=5)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_endpoints_that_have_failed_are_counted_and_those_cut_off_are_named():
    text = """{fabric: clos, axes: {node: 2, slot: 2, k: 2}, devices: {gpu: {kind: gpu, axes: [node, slot]},
      leaf: {kind: switch, axes: [node, slot]}, spine: {kind: switch, axes: [k]}}, failed: [%s],
      links: [{between: [gpu, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 2Gb/s}]}"""
    found = throughput(loads(text % "node0/gpu"))
    assert (found.n_endpoints, found.n_failed, found.cut_off) == (2, 2, ())
    assert "left out: 2 endpoints that have failed" in str(found)
    assert (found.to_dict()["n_failed"], found.to_dict()["status"]) == (2, "optimal")
    lost = throughput(loads(text % "node0/leaf0"))
    assert (lost.n_failed, lost.cut_off) == (0, (("node0/gpu0", 1),))
    assert (lost.to_dict()["status"], lost.to_dict()["per_endpoint_gbps"]) == ("cut off", 0.0)
    rest = throughput(loads(text % "node0/leaf0"), drop_unreachable=True).to_dict()
    assert (rest["status"], rest["n_endpoints"]) == ("optimal", 3)
