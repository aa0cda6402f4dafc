"""Marks are colours: alike damage is one class, and what only looks alike is not."""

import itertools
import json

import numpy as np
import pytest

import fabric as f
from fabric.blueprint.selector import parse_selector
from fabric.errors import QuestionError
from fabric.flow.concurrent import check_concurrent, link_views
from fabric.flow.program import solve_commodities
from fabric.flow.question import Question, pose
from fabric.graph import expand, fail, loads
from fabric.symmetry import Lift, NoSymmetryError, quotient
from fabric.symmetry.marked import marked

FAMILIES = ("nested", "pods of rings", "grid", "cells", "crossing")


def all_to_all(fabric, method="axes", **more):
    return pose(Question(fabric, "all-to-all", method=method, **more))[0]


def audit(fabric, orbits):
    """Return what classes hold that no automorphism exchanges, or None where nothing was moved."""
    try:
        work = all_to_all(fabric, among="gpu", drop_unreachable=True)
    except (QuestionError, NoSymmetryError):
        return None
    if marked(fabric.blueprint, work.apart, work.ties).relabelling is None:
        return None
    lift = Lift(fabric.blueprint, work.apart, work.ties)
    return orbits.mismatches(expand(fabric), link_views(work, fabric.blueprint, lift), work.commodities)


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_is_an_orbit(family, marked_fabrics, orbits):
    found = [
        audit(marked_fabrics.marked_fabric(family, seed), orbits)
        for seed in range(4 if family == "grid" else 6)
    ]
    audited = [one for one in found if one is not None]
    assert audited
    assert not any(audited)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
@pytest.mark.parametrize("family", [*FAMILIES, "three axes"])
def test_every_class_is_an_orbit_in_quota(family, chunk, marked_fabrics, orbits):
    n_seen = 0
    for seed in range(100 + 100 * chunk, 200 + 100 * chunk):
        found = audit(marked_fabrics.marked_fabric(family, seed), orbits)
        assert not found, seed
        n_seen += found is not None
    assert n_seen


@pytest.mark.some(1)
@pytest.mark.parametrize("family", FAMILIES)
def test_classes_and_links_have_one_rate(family, marked_fabrics):
    assert sum(has_one_rate(marked_fabrics.marked_fabric(family, seed)) for seed in range(4)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(40))
@pytest.mark.parametrize("family", FAMILIES)
def test_classes_and_links_have_one_rate_in_quota(family, chunk, marked_fabrics):
    """10,000 fabrics in all: five families, forty chunks of fifty."""
    seeds = range(50 + 50 * chunk, 100 + 50 * chunk)
    assert sum(has_one_rate(marked_fabrics.marked_fabric(family, seed)) for seed in seeds) > 9


def has_one_rate(fabric):
    """Return whether there is a rate; check that it is proven on links, and that all routes have it.

    Axes, refinement and links say the same, and an interval by prices holds it.
    """
    try:
        work = all_to_all(fabric, among="gpu", drop_unreachable=True)
    except (QuestionError, NoSymmetryError):
        return False
    answer = solve_commodities(work.capacity, work.commodities)
    verdict = check_concurrent(work, answer)
    assert (verdict.status, verdict.faults) == ("optimal", ())
    for method in ("links", "refinement"):
        again = all_to_all(fabric, method, among="gpu", drop_unreachable=True)
        rate = solve_commodities(again.capacity, again.commodities).rate_gbps
        assert answer.rate_gbps == pytest.approx(rate, rel=1e-7), method
    asked = {"among": "gpu", "method": "links", "drop_unreachable": True}
    proof = f.throughput(fabric, gap=0.01, **asked).certificate
    lower, upper = proof.lower_gbps * (1 - 1e-9), proof.upper_gbps * (1 + 1e-9)
    assert lower <= answer.rate_gbps <= upper
    assert proof.faults == ()
    return True


@pytest.mark.some(1)
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.seeds(2, of=200)
def test_flows_bounds_and_costs_are_those_of_devices_one_by_one(seed, is_slow, marked_fabrics):
    family = ("crossing", "nested", "crossing", "cells")[seed % 4]
    fabric = marked_fabrics.marked_fabric(family, seed, is_slow=is_slow)
    listed = f.from_networkx(f.to_networkx(fabric))
    e = expand(fabric)
    rng = np.random.default_rng(seed)
    names = [str(e.names[i]) for i in rng.permutation(np.flatnonzero(e.is_endpoint & ~e.failed))[:6]]
    asked = {
        "max-flow": lambda one, method: f.max_flow(one, names[1:], names[0], method=method).value_gbps,
        "rate": lambda one, method: f.throughput(one, among="gpu", method=method).per_endpoint_gbps,
        "cost": lambda one, method: (
            f.cost(
                one, "all-to-all", "1GiB", among="gpu", method=method, calibration="wire", is_bounded=False
            ).time_s
        ),
    }
    for name, ask in asked.items():
        try:
            found = ask(fabric, "axes")
        except (QuestionError, NoSymmetryError):
            continue
        assert found == pytest.approx(ask(fabric, "links"), rel=1e-7), name
    for collective in ("all-gather", "reduce-scatter", "all-reduce"):
        try:
            found = f.bound(fabric, collective, among="gpu").algbw_gbps
        except (QuestionError, NoSymmetryError):
            continue
        # There all devices are told apart.
        assert found == pytest.approx(f.bound(listed, collective).algbw_gbps, rel=1e-7), collective


LINE = """
fabric: line
axes: {pod: 4, x: 3}
devices: {gpu: {kind: gpu, axes: [pod, x]}, top: {kind: switch, axes: [pod]}, core: {kind: switch, axes: []}}
links:
  - {between: [gpu, gpu], name: round, line: pod, rate: 1Gb/s}
  - {between: [gpu, top], rate: 1Gb/s}
  - {between: [top, core], rate: 1Gb/s}
failed: [[gpu2, gpu2, 1]]
"""


def test_the_first_cable_of_a_line_is_not_its_last_turned_round():
    """Turned over, a line maps its last cable onto its first: only one of the two is down."""
    fabric = loads(LINE)
    with pytest.raises(NoSymmetryError, match="cannot say which"):
        f.throughput(fabric, among="gpu", method="axes")
    found, every = (f.throughput(fabric, among="gpu", method=m) for m in ("auto", "links"))
    assert found.status == every.status == "optimal"
    assert found.per_endpoint_gbps == pytest.approx(every.per_endpoint_gbps, rel=1e-9)


# ---- what was brute-forced -----------------------------------------------------------------------

LEAF_SPINE = """
fabric: two-by-two
axes: {leaf: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [leaf]}
  l: {kind: switch, axes: [leaf]}
  s: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, l], rate: 9Gb/s}
  - {between: [l, s], rate: 1Gb/s, count: 2}
"""


@pytest.mark.parametrize(
    ("failed", "rate"), [([["l0", "s0", 1], ["l1", "s1", 1]], 2), ([["l0", "s0", 1], ["l1", "s0", 1]], 3)]
)
def test_a_mark_of_cables_colours_the_pair(failed, rate):
    fabric = fail(loads(LEAF_SPINE), *map(tuple, failed))
    assert f.max_flow(fabric, "gpu0", "gpu1").value_gbps == pytest.approx(rate)
    assert f.throughput(fabric).per_endpoint_gbps == pytest.approx(rate)


@pytest.mark.parametrize("n", [None, 1])
@pytest.mark.parametrize(
    ("pairs", "spines", "counts"),
    [([(0, 0), (3, 0)], [1, 3], [2, 2, 6, 6]), ([(0, 0), (3, 1)], [2, 2], [2, 2, 4, 4, 4])],
)
def test_links_are_classes_of_pairs_where_ends_are_alike(pairs, spines, counts, n):
    fabric = loads(LEAF_SPINE.replace("leaf: 2, spine: 2", "leaf: 4, spine: 4"))
    failed = ((f"l{a}", f"s{b}") if n is None else (f"l{a}", f"s{b}", n) for a, b in pairs)
    base = quotient(fail(fabric, *failed).blueprint)
    names = [g.name for g in base.classes.groups]
    of = {group: sorted(base.size[base.classes.group == names.index(group)].tolist()) for group in ("l", "s")}
    assert of == {"l": [2, 2], "s": spines}
    # Two cables each but where some are down: all of those are one class.
    count = sorted(base.classes.count[base.classes.rule == 1].tolist())
    whole = [2 * n_pairs for n_pairs in counts]
    whole.remove(4)
    assert count == sorted([*whole, *([2] if n else [])])


def test_so_many_cables_and_so_many_more_of_a_bundle():
    fabric = loads(LEAF_SPINE.replace("count: 2", "count: 3"))
    several = fail(fabric, ("l0", "s0", 1), ("l0", "s0", 1), ("l1", "s0", 2))
    assert [m["leaf"] for m in marked(several.blueprint).marks if "leaf" in m] == [(0, 1)]
    assert f.max_flow(several, "gpu0", "gpu1").value_gbps == pytest.approx(4)


def test_the_first_of_the_cables_of_several_bundles_are_told_apart():
    # Of what order has to choose nothing is moved: the first two of four are both of spine 0.
    fabric = fail(loads(LEAF_SPINE), ("l0", "s", 2), ("l1", "s", 2))
    assert marked(fabric.blueprint).relabelling is None


def test_colours_of_ends_are_no_orbits_of_pairs():
    text = """
fabric: two-pods
axes: {pod: 2, i: 3}
devices:
  gpu: {kind: gpu, axes: [pod, i], transit: relay}
  nic: {kind: nic, axes: [pod, i]}
  nv: {kind: switch, axes: [pod]}
  top: {kind: switch, axes: []}
links:
  - {between: [gpu, nv], rate: 1Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 1Gb/s}
  - {between: [nic, top], rate: 1Gb/s}
failed: [pod0/nic0, pod1/nic2]
"""
    work = all_to_all(loads(text))
    assert [one.n_alike for one in work.commodities] == [2, 4]
    # Itself, and: another of its kind elsewhere, others here, others elsewhere; and one more from the others.
    assert [int(one.view.classes.is_endpoint.sum()) - 1 for one in work.commodities] == [3, 4]


FOUR_CYCLE = [(0, 0), (0, 1), (1, 0), (1, 1)]
SIX_CYCLE = [(2, 2), (2, 3), (3, 3), (3, 4), (4, 4), (4, 2)]


def test_rows_of_a_four_cycle_are_not_like_those_of_a_six_cycle(marked_fabrics):
    cells = [f"x{x}/gpu{y}" for x, y in FOUR_CYCLE + SIX_CYCLE]
    base = quotient(loads(json.dumps({**marked_fabrics.grid(), "failed": cells})).blueprint)
    names = [g.name for g in base.classes.groups]
    for group in ("row", "column"):
        at = [dict(base.index[i]) for i in np.flatnonzero(base.classes.group == names.index(group))]
        alike = [sorted(one.values())[0] < 2 for one in at]
        # The two of the four-cycle are one class; those of the six-cycle are in others.
        assert alike.count(True) == 1
        assert base.size[base.classes.group == names.index(group)][alike.index(True)] == 2


def test_a_pod_with_its_mark_on_another_rail_is_not_alike():
    text = """
fabric: rails
axes: {pod: 3, rail: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rail], transit: all}
  leaf: {kind: switch, axes: [rail]}
  nv: {kind: switch, axes: [pod]}
links: [{between: [gpu, leaf], rate: 1Gb/s}, {between: [gpu, nv], rate: 1Gb/s}]
failed: [pod0/gpu0, pod1/gpu1, pod2/gpu0]
"""
    base = quotient(loads(text).blueprint)
    pods = {
        tuple(sorted(dict(i).items())): n for i, n in zip(base.index, base.size, strict=True) if len(i) == 1
    }
    assert pods[("pod", 0),] == 2
    assert pods[("pod", 1),] == 1


SPINES = """
fabric: three-tiers
axes: {pod: 4, slot: 2, spine: 3, core: 2}
devices:
  gpu: {kind: gpu, axes: [pod, slot]}
  leaf: {kind: switch, axes: [pod]}
  s: {kind: switch, axes: [pod, spine]}
  c: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, leaf], rate: 9Gb/s}
  - {between: [leaf, s], rate: 2Gb/s}
  - {between: [s, c], rate: 1Gb/s}
"""


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "failed", [("pod0/s1", "pod3/s1"), ("pod0/s1", "pod3/s2"), ("pod1/s0", "pod2/s0", "pod3/s1")]
)
def test_spines_cross_pods(failed, orbits):
    fabric = fail(loads(SPINES), *failed)
    assert has_one_rate(fabric)
    assert not audit(fabric, orbits)
    base = quotient(fabric.blueprint)
    kinds = [i for i, at in enumerate(base.index) if [a for a, _ in at] == ["pod", "slot"]]
    # Pods are alike where it is the same spine that they have lost, or spines that change places with them.
    n_pods = {sum(other[-1] == name[-1] for other in failed) for name in failed}
    assert len(kinds) == len(n_pods) + 1


def test_spines_and_pods_change_places_together():
    # A pod that has lost a spine is told from the spine that another one has lost, not from the other one.
    fabric = fail(loads(SPINES), "pod0/s1", "pod3/s2")
    found = marked(fabric.blueprint)
    (tied,) = found.nest.tied
    assert (dict(tied.starts), tied.n_parts) == ({"pod": 0, "spine": 0}, 2)
    base = quotient(fabric.blueprint)
    spines = sorted(
        n for at, n in zip(base.index, base.size, strict=True) if [a for a, _ in at] == ["pod", "spine"]
    )
    # Two of twelve are down; of both pods: what the other has lost, what none has; the same elsewhere.
    assert spines == [2, 2, 2, 4]


@pytest.mark.parametrize("n", [2, 5, 12])
def test_classes_do_not_grow_with_spines_lost_by_different_pods(n):
    fabric = loads(SPINES.replace("pod: 4", "pod: 14").replace("spine: 3", "spine: 14"))
    work = all_to_all(fail(fabric, *(f"pod{i}/s{(5 * i) % 14}" for i in range(n))))
    assert [one.n_alike for one in work.commodities] == [2 * n, 2 * (14 - n)]
    assert work.n_moves < 300


@pytest.mark.parametrize("n", [None, 1])
def test_cables_of_different_pods_to_different_spines_are_alike(n, orbits):
    fabric = loads(SPINES.replace("[leaf, s], rate: 2Gb/s", "[leaf, s], rate: 1Gb/s, count: 2"))
    pairs = ((f"pod{i}/leaf", f"pod{i}/s{(i + 1) % 3}") for i in range(3))
    fabric = fail(fabric, *((*pair, n) if n else pair for pair in pairs))
    base = quotient(fabric.blueprint)
    leaves = [n for at, n in zip(base.index, base.size, strict=True) if [a for a, _ in at] == ["pod"]]
    assert sorted(leaves) == [1, 3]
    assert not audit(fabric, orbits)
    assert has_one_rate(fabric)


def test_racks_and_rails_of_one_pod_change_places_in_each_of_several(orbits):
    text = """
fabric: rails
axes: {pod: 2, rack: 3, rail: 3}
devices:
  gpu: {kind: gpu, axes: [pod, rack, rail], transit: all}
  nv: {kind: switch, axes: [pod, rack]}
  leaf: {kind: switch, axes: [pod, rail]}
  top: {kind: switch, axes: []}
links:
  - {between: [gpu, nv], rate: 1Gb/s}
  - {between: [gpu, leaf], rate: 1Gb/s, count: 2}
  - {between: [leaf, top], rate: 1Gb/s}
"""
    down = [["pod0/rack0/gpu2", "pod0/leaf2"], ["pod0/rack1/gpu0", "pod0/leaf0"]]
    down += [["pod1/rack2/gpu1", "pod1/leaf1"], ["pod1/rack0/gpu2", "pod1/leaf2"]]
    fabric = fail(loads(text), *map(tuple, down))
    (tied,) = marked(fabric.blueprint).nest.tied
    assert (sorted(tied.starts), tied.n_parts, dict(tied.above)) == (["rack", "rail"], 2, {"pod": (0, 1)})
    assert not audit(fabric, orbits)
    assert has_one_rate(fabric)


def test_equal_parts_whose_exchange_is_none_stay_apart(orbits):
    # One of the two spines is lost by a third pod too: no exchange leaves that as it is.
    fabric = fail(loads(SPINES), "pod0/s0", "pod1/s1", "pod2/s1")
    found = marked(fabric.blueprint)
    assert not found.nest.tied
    assert not audit(fabric, orbits)


@pytest.mark.parametrize(
    ("failed", "n_kinds"),
    [
        (["pod0/s1"], 1),
        (["pod0/s1", "pod3/s2"], 1),
        (["pod0/s1", "pod1/s0", "pod1/s2"], 2),
        (["pod0/s1", ("pod0/leaf", "pod0/s2"), ("pod1/leaf", "pod1/s0")], 2),
        (["pod0-1/s1", ("pod2/leaf", "pod2/s0")], 2),
    ],
)
def test_answers_say_how_many_kinds_of_damage_there_are(failed, n_kinds):
    fabric = fail(loads(SPINES), *failed)
    n_marks = len(failed) + sum(isinstance(one, str) and "-" in one for one in failed)
    for answer in (
        f.throughput(fabric, drop_unreachable=True),
        f.max_flow(fabric, "pod3/gpu0", "pod2/gpu1"),
        f.bound(fabric, "all-gather"),
    ):
        assert answer.damage == (n_marks, n_kinds)
        assert answer.to_dict()["damage"] == {"n_marks": n_marks, "n_kinds": n_kinds}
        said = f"damage: {n_marks} marks of {n_kinds} kind"
        assert (said in str(answer)) == (n_marks > 1)
    assert f.throughput(loads(SPINES)).damage is None


COUNTED = """
fabric: counted
axes: {x: 6, k: 2}
devices:
  gpu: {kind: gpu, axes: [x], transit: all}
  top: {kind: switch, axes: [k]}
links:
  - {between: [gpu, top], rate: 1Gb/s, count: {x: COUNTS}}
"""
RINGED = COUNTED + "  - {between: [gpu, gpu], name: round, ring: x, rate: 1Gb/s}\n"


@pytest.mark.parametrize(
    ("text", "counts", "sizes"),
    [
        # Neighbours with as many cables are alike; on a ring all that a rotation or reflection exchanges.
        (COUNTED, [1, 1, 1, 2, 2, 2], [3, 3]),
        (COUNTED, [2, 2, 2, 2, 2, 2], [6]),
        (RINGED, [1, 2, 1, 2, 1, 2], [3, 3]),
        (RINGED, [1, 2, 2, 1, 2, 2], [2, 4]),
        (RINGED, [1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 1, 1]),
        (RINGED, [3, 1, 2, 2, 2, 1], [1, 1, 2, 2]),
    ],
)
def test_counts_are_colours(text, counts, sizes, orbits):
    fabric = loads(text.replace("COUNTS", str(counts)))
    base = quotient(fabric.blueprint)
    assert sorted(base.size[base.classes.is_endpoint].tolist()) == sizes
    assert has_one_rate(fabric)
    work = all_to_all(fabric)
    views = link_views(work, fabric.blueprint, Lift(fabric.blueprint, work.apart, work.ties))
    assert not orbits.mismatches(expand(fabric), views, work.commodities)


def test_copies_of_a_template_do_not_change_places(tmp_path):
    (tmp_path / "pod.fabric.yaml").write_text(
        "{fabric: pod, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i], transit: all}, leaf: "
        "{kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}]}"
    )
    text = (
        "{fabric: two, include: [{fabric: ./pod.fabric.yaml, as: a}, {fabric: ./pod.fabric.yaml, as: b}],"
        " devices: {top: {kind: switch, axes: []}}, links: [{between: [a.leaf, top], rate: 1Gb/s},"
        " {between: [b.leaf, top], rate: 1Gb/s}], failed: [a.gpu0, b.gpu1]}"
    )
    try:
        base = quotient(loads(text, base=tmp_path).blueprint)
    except f.FabricError as error:
        pytest.fail(str(error))
    assert sorted(base.size.tolist()) == [1.0] * 5


def test_a_range_is_a_list():
    fabric = loads(SPINES)
    forms = ["pod0-2/gpu1"], [f"pod{i}/gpu1" for i in range(3)]
    one, other = (all_to_all(fail(fabric, *form)) for form in forms)
    assert one.n_moves == other.n_moves
    assert [c.n_alike for c in one.commodities] == [c.n_alike for c in other.commodities]


def test_sources_are_a_colour(marked_fabrics):
    n_seen = 0
    for family, seed in itertools.product(("nested", "pods of rings", "cells"), range(6)):
        fabric = marked_fabrics.marked_fabric(family, seed)
        e = expand(fabric)
        rng = np.random.default_rng(seed)
        names = [str(e.names[i]) for i in rng.permutation(np.flatnonzero(e.is_endpoint & ~e.failed))[:5]]
        sources, target = names[1:], names[0]
        try:
            one, other = (f.max_flow(fabric, sources, target, method=m) for m in ("axes", "links"))
        except (QuestionError, NoSymmetryError):
            continue
        n_seen += 1
        assert one.value_gbps == pytest.approx(other.value_gbps, rel=1e-9)
        assert one.status == other.status
    assert n_seen > 12


def test_a_star_selects_more_than_endpoints():
    fabric = loads(SPINES)
    one, other = (f.max_flow(fabric, ["pod0", "pod1/*"], "pod2/gpu0", method=m) for m in ("axes", "links"))
    assert one.value_gbps == other.value_gbps
    classes = quotient(fabric.blueprint, sides=((*_selectors(fabric, "pod0", "pod1/*"),),))
    pods = {dict(at)["pod"] for at in classes.index if [a for a, _ in at] == ["pod", "slot"]}
    assert len(pods) == 3


def _selectors(fabric, *texts):
    b = fabric.blueprint
    return [parse_selector(text, b.axes, b.groups, needs_group=False) for text in texts]


def test_many_sources_are_few_classes():
    fabric = loads(PODS)
    sizes = set()
    for k in (2, 10, 50):
        sources = _selectors(
            fabric, *(f"pod{i}/su{i % 4}/rack{i % 3}/tray{i % 4}/gpu{i % 2}" for i in range(k))
        )
        sizes.add(len(quotient(fabric.blueprint, sides=(tuple(sources),)).size))
    assert len(sizes) == 1


# ---- growth --------------------------------------------------------------------------------------

PODS = """
fabric: pods
axes: {pod: 60, su: 4, rack: 3, tray: 4, slot: 2, spine: 4, core: 2}
devices:
  gpu: {kind: gpu, axes: [pod, su, rack, tray, slot], transit: relay}
  nvswitch: {kind: switch, axes: [pod, su, rack]}
  nic: {kind: nic, axes: [pod, su, rack, tray, slot]}
  leaf: {kind: switch, axes: [pod, su, slot]}
  s: {kind: switch, axes: [pod, spine]}
  c: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 4Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 4Gb/s}
  - {between: [nic, leaf], rate: 4Gb/s}
  - {between: [leaf, s], rate: 4Gb/s}
  - {between: [s, c], rate: 4Gb/s}
"""


def test_classes_do_not_grow_with_alike_damage():
    fabric = loads(PODS)
    n_moves = set()
    for k in (2, 3, 10, 50):
        # At any place of a pod: tray, slot and leaf are its own.
        failed = (f"pod{i}/su{i % 4}/rack{i % 3}/tray{i % 4}/nic{i % 2}" for i in range(k))
        n_moves.add(all_to_all(fail(fabric, *failed)).n_moves)
    assert len(n_moves) == 1


def test_classes_grow_with_the_kinds_of_damage():
    fabric = loads(PODS)
    kinds = [["su0/rack0/tray0/nic0"], ["su1/rack0/tray0/nic0", "su1/rack0/tray0/nic1"], ["s0"]]
    sizes = []
    for n in (1, 2, 3):
        failed = (f"pod{3 * i + k}/{place}" for k in range(n) for place in kinds[k] for i in range(4))
        base = quotient(fail(fabric, *failed).blueprint)
        sizes.append(len(base.size))
    assert sizes == sorted(set(sizes))
    again = quotient(fail(fabric, *(f"pod{i}/{p}" for i in range(9) for p in kinds[i % 3])).blueprint)
    assert len(again.size) == sizes[-1]


def test_where_each_damage_is_does_not_matter():
    fabric = loads(PODS)
    rng = np.random.default_rng(7)
    found = set()
    for _ in range(3):
        pods = rng.permutation(60)[:6]
        at = (rng.integers(0, n, 6) for n in (4, 3, 4, 2))
        failed = [f"pod{p}/su{s}/rack{r}/tray{t}/nic{i}" for p, s, r, t, i in zip(pods, *at, strict=True)]
        work = all_to_all(fail(fabric, *failed))
        found.add((work.n_moves, *sorted(one.n_alike for one in work.commodities)))
    assert len(found) == 1


def test_ranges_of_a_box_are_put_together():
    text = (
        "{fabric: b, axes: {x: 9, y: 9}, devices: {gpu: {kind: gpu, axes: [x, y], transit: all}, row: {kind: "
    )
    text += (
        "switch, axes: [x]}, column: {kind: switch, axes: [y]}}, links: [{between: [gpu, row], rate: 1Gb/s},"
    )
    fabric = loads(text + " {between: [gpu, column], rate: 1Gb/s}]}")
    cells = itertools.product((1, 4, 5), (0, 8))
    found = marked(fail(fabric, *(f"x{x}/gpu{y}" for x, y in cells)).blueprint)
    assert found.marks == ({"x": (0, 2), "y": (0, 1)},)


def test_cables_within_each_of_two_pods_are_none_between_them(orbits):
    # A mesh over pods and slots joins pods too: two cables inside pods are not the product of their ends.
    text = (
        "{fabric: m, axes: {pod: 3, x: 2, i: [pod, x]}, devices: {gpu: {kind: gpu, axes: [i], transit: all}},"
    )
    fabric = loads(text + " links: [{between: [gpu, gpu], mesh: i, rate: 1Gb/s}]}")
    fabric = fail(fabric, ("gpu0", "gpu1"), ("gpu2", "gpu3"))
    base = quotient(fabric.blueprint)
    assert base.classes.count.sum() == 2 * (15 - 2)
    assert not audit(fabric, orbits)
    assert has_one_rate(fabric)


def test_a_range_ends_where_its_cell_does(orbits):
    text = """
fabric: cells
axes: {pod: 4, k: 2}
devices:
  gpu: {kind: gpu, axes: [pod], transit: all}
  leaf: {kind: switch, axes: [pod]}
  top: {kind: switch, axes: [k]}
  more: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 1Gb/s}
  - {between: [leaf, top], rate: 1Gb/s}
  - {between: [gpu, top], rate: 1Gb/s}
  - {between: [pod0-1/gpu, more], rate: 1Gb/s}
"""
    fabric = loads(text)
    fabric = fail(fabric, "leaf0", "leaf1", "leaf2")
    found = marked(fabric.blueprint)
    assert found.marks == ({"pod": (0, 1)}, {"pod": 2})
    assert not audit(fabric, orbits)
    assert has_one_rate(fabric)
