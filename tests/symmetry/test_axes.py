"""The quotient by axes: equal to the program on real links, its classes orbits, and the published values."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from fabric.blueprint import loads_blueprint
from fabric.blueprint.grid import full_grid
from fabric.blueprint.join import join
from fabric.flow.throughput import throughput
from fabric.graph import expand, loads
from fabric.symmetry import NoSymmetryError, Tie, lopsided_axes, nesting, quotient
from fabric.symmetry.ground import RowPlaces, device_classes
from fabric.symmetry.marked import marked

FAMILIES = (
    "mesh x mesh",
    "ring x ring",
    "ring x mesh",
    "line",
    "line x ring",
    "line x mesh",
    "one-way rings",
    "relations between groups",
    "counts by index",
    "composed axes",
    "selectors as sides",
    "two includes",
    "clos",
)
MILLION = """
fabric: million
axes: {pod: 55, su: 4, block: 8, rack: 8, tray: 18, rail: 4, chip: 18, spine: 128, core: 112}
devices:
  gpu: {kind: gpu, axes: [pod, su, block, rack, tray, rail], transit: relay}
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
"""
DEAD_LEAF = "failed: [pod0/su0/block0/leaf0]\n"


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-7)


# ---- against the explicit program -----------------------------------------------------------------


# Twelve seeds are every transit with every number of failures; of these, each transit once with some.
QUICK = (2, 7, 9)
SEEDS = [seed if seed in QUICK else pytest.param(seed, marks=pytest.mark.slow) for seed in range(12)]


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_axes_equal_the_explicit_program(family, seed, constructs, explicit):
    fabric, paths = constructs.random_fabric(family, seed)
    assert explicit.axes_rate(fabric, paths) == near(explicit.explicit_rate(fabric, paths))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
@pytest.mark.parametrize("family", FAMILIES)
def test_axes_equal_the_explicit_program_in_quota(family, chunk, constructs, explicit):
    # 120 fabrics of each family: every transit, path rule and number of failures, three times and more.
    for seed in range(12 + 12 * chunk, 24 + 12 * chunk):
        fabric, paths = constructs.random_fabric(family, seed)
        assert explicit.axes_rate(fabric, paths) == near(explicit.explicit_rate(fabric, paths)), seed


@pytest.mark.some(2)
@pytest.mark.seeds(1, of=2)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_are_worth_asking(family, seed, constructs, explicit):
    # A family whose fabrics fail apart, or never fail, would prove little.
    drawn = [constructs.random_fabric(family, number) for number in range(6 * seed, 6 * seed + 6)]
    flowing = (True for fabric, paths in drawn if explicit.axes_rate(fabric, paths) > 0)
    assert len([*itertools.islice(flowing, 1)]) == 1
    assert sum(bool(f.blueprint.failed or f.blueprint.marked_cables) for f, _ in drawn) >= 4


# ---- traps that a plausible quotient falls into ---------------------------------------------------

CHIPS = "devices: {gpu: {kind: gpu, axes: [%s], transit: all}}\nlinks:\n"


def test_a_mesh_over_a_product_tells_near_from_far(explicit):
    # Links within a group of four and across groups are of one rule; only those within share the fat ones.
    text = "fabric: f\naxes: {g: 3, r: 2, slot: [g, r]}\n" + CHIPS % "slot"
    text += "  - {between: [gpu, gpu], name: all, mesh: slot, rate: 1Gb/s}\n"
    text += "  - {between: [gpu, gpu], name: own, mesh: r, rate: 5Gb/s}\n"
    fabric = loads(text.replace("name: own", "name: own, peer: true").replace("5Gb/s", "1Gb/s, count: 5"))
    base = quotient(fabric.blueprint)
    assert sorted(base.classes.count[base.classes.rule == 0].tolist()) == [6, 12, 12]
    assert explicit.axes_rate(fabric) == near(explicit.explicit_rate(fabric))


def test_a_one_way_ring_does_not_turn_round(explicit):
    text = "fabric: f\naxes: {x: 5}\n" + CHIPS % "x"
    text += "  - {between: [gpu, gpu], name: there, ring: x, oneway: true, rate: 3Gb/s}\n"
    fabric = loads(text)
    # Each of 5 chips sends 1/4 of its rate over 1, 2, 3 and 4 links: 10/4 of it on every link.
    assert explicit.axes_rate(fabric) == near(3 * 4 / 10)
    assert len(nesting(fabric.blueprint).permutations["x"]) == 5


def test_a_line_from_one_group_to_another_does_not_turn_round():
    text = (
        "{fabric: f, axes: {x: 4}, devices: {gpu: {kind: gpu, axes: [x]}, leaf: {kind: switch, axes: [x]}},"
    )
    text += " links: [{between: [gpu, leaf], rate: 1Gb/s}, {between: [leaf, leaf], ring: x, rate: 1Gb/s},"
    text += " {between: [gpu, leaf], name: next, line: x, rate: 1Gb/s}]}"
    assert nesting(loads(text).blueprint).permutations["x"].tolist() == [[0, 1, 2, 3]]


def test_peers_of_two_groups_do_not_change_sides():
    text = "{fabric: f, axes: {x: 2}, devices: {gpu: {kind: gpu, axes: [x]}, low: {kind: switch, axes: [x]},"
    text += " high: {kind: switch, axes: [x]}}, links: [{between: [gpu, low], rate: 1Gb/s},"
    text += (
        " {between: [low, high], peer: true, rate: 1Gb/s}, {between: [high, high], mesh: x, rate: 1Gb/s}]}"
    )
    e = quotient(loads(text).blueprint).classes
    ways = {
        (e.groups[e.group[t]].name, e.groups[e.group[h]].name) for t, h in zip(e.tail, e.head, strict=True)
    }
    assert ways == {("gpu", "low"), ("low", "high"), ("high", "low"), ("high", "high")}


BUNDLES = """{fabric: f, axes: {i: 4, k: 2},
 devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [k]}},
 links: [{between: [gpu, leaf], count: 2, rate: 1Gb/s}], failed: [[gpu0, %s, 1]]}"""


def test_some_cables_of_a_bundle(explicit):
    fabric = loads(BUNDLES % "leaf0")
    assert explicit.axes_rate(fabric) == near(explicit.explicit_rate(fabric)) == near(3.0)


def test_some_cables_of_two_bundles():
    # Which of the two leaves loses its cable no class of leaves can say.
    with pytest.raises(NoSymmetryError, match=r"1 of the cables between gpu0 and leaf\* are not alike"):
        quotient(loads(BUNDLES % "leaf*").blueprint)


def test_all_of_the_cables_by_number(explicit):
    text = "fabric: f\naxes: {i: 4, k: 2}\n"
    text += "devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: [k]}}\n"
    text += "links: [{between: [gpu, leaf], count: 2, rate: 1Gb/s}]\n"
    whole, counted = (loads(text + f"failed: [[gpu, leaf1{n}]]\n") for n in ("", ", 8"))
    assert explicit.axes_rate(whole) == explicit.axes_rate(counted) == near(2.0)


@pytest.mark.parametrize(
    ("link", "word"),
    [
        ("ring: x, twist: {y: 1}", "a twisted ring"),
        ("wiring: {pattern: pairs, along: x, pairs: [[0, 1], [1, 2], [2, 3], [3, 0]]}", "wiring"),
        ("wiring: {pattern: jellyfish, along: x, degree: 2, seed: 1}", "wiring"),
        ("ring: z", "a ring over a composed axis"),
        ("line: z", "a line over a composed axis"),
    ],
)
def test_no_axis_symmetry(link, word):
    text = "fabric: f\naxes: {x: 4, y: 2, z: [x, y]}\n" + CHIPS % "x, y"
    text += f"  - {{between: [gpu, gpu], name: odd, {link}, rate: 1Gb/s}}\n"
    text += "  - {between: [gpu, gpu], name: even, mesh: y, rate: 1Gb/s}\n"
    blueprint = loads(text).blueprint
    with pytest.raises(NoSymmetryError, match=f"odd: {word} has no axis symmetry"):
        quotient(blueprint)


@pytest.mark.parametrize(
    ("link", "kept", "n_classes", "above"),
    [
        ("ring: x, twist: {y: 1}", {"x"}, 4, {"w"}),
        ("ring: x, twist: {z: 1}", {"x", "y", "w"}, 32, set()),
        ("wiring: {pattern: pairs, along: x, pairs: [[0, 1], [1, 2], [2, 3], [3, 0]]}", {"x"}, 4, {"y", "w"}),
        ("ring: z", {"y", "w"}, 8, {"x"}),
    ],
)
def test_axes_without_symmetry_may_be_kept(link, kept, n_classes, above):
    """Then the others have theirs, and no axis is under one that a wrap cable shifts."""
    text = "fabric: f\naxes: {x: 4, y: 2, w: 4, z: [y, w], c: 3}\n" + CHIPS % "x, y, w, c"
    text += f"  - {{between: [gpu, gpu], name: odd, {link}, rate: 1Gb/s}}\n"
    text += "  - {between: [gpu, gpu], name: even, mesh: c, rate: 1Gb/s}\n"
    blueprint = loads_blueprint(text)
    assert lopsided_axes(blueprint) == kept
    tie = Tie("gpu", frozenset("xywc"), kept=frozenset(kept))
    assert len(quotient(blueprint, ties=(tie,)).size) == n_classes
    assert set(nesting(blueprint, (tie,)).above["c"]) & {"x", "y", "w"} == above


NODES = """{fabric: a, axes: {su: 4, node: 8, half: 2, lane: 4, slot: [half, lane]}, devices: {
  gpu: {kind: gpu, axes: [su, node, slot]}, box: {kind: switch, axes: [su, node]},
  leaf: {kind: switch, axes: [su, slot]}, top: {kind: switch, axes: []}}, links: [
    {between: [gpu, box], rate: 4Gb/s}, {between: [gpu, leaf], rate: 4Gb/s},
    {between: [leaf, top], rate: 4Gb/s}%s], %s}"""
MORE = ", {name: more, between: [%s, top], rate: 4Gb/s}"


def test_what_is_absent_is_told_apart_as_what_has_failed():
    absent, failed = (
        loads(NODES % ("", f"{word}: [su3/node7/*]")).blueprint for word in ("absent", "failed")
    )
    view = quotient(absent, ((("su", 1), ("node", 2), ("half", 0), ("lane", 3)),))
    # In the other units that node is like all others.
    assert quotient(absent).size.tolist() == quotient(failed).size.tolist()
    assert sorted(quotient(absent).size.tolist()) == [1.0, 7.0, 8.0, 24.0, 24.0, 7 * 8.0, 3 * 8 * 8.0]
    assert view.size[view.classes.is_endpoint].sum() == 4 * 8 * 8 - 8


def test_a_range_of_whole_units_tells_nothing_apart_below_them():
    halves = quotient(loads(NODES % (MORE % "slot0-3/leaf", "islands: 1")).blueprint)
    assert sorted(halves.size.tolist()) == [1.0, 16.0, 16.0, 32.0, 128.0, 128.0]
    # Slots 1 to 6 leave out one lane of each half, another one in each.
    inside = quotient(loads(NODES % (MORE % "slot1-6/leaf", "islands: 1")).blueprint)
    assert sorted(inside.size[inside.classes.is_endpoint].tolist()) == [32.0, 32.0, 32.0, 32.0, 64.0, 64.0]


# ---- the classes themselves -----------------------------------------------------------------------


def real_classes(blueprint, sources):
    """Return the class of every real device, -1 where it is down or absent, by the labels of the quotient."""
    found = marked(blueprint)
    drawn, known = found.blueprint, found.marks
    full = full_grid(drawn)
    up = {g: ~full.mask(g, (*drawn.absent, *drawn.failed)) for g in drawn.groups}
    places = RowPlaces(full, found, (known, [*known, *(dict(found.moved_mark(m)) for m in sources)]))
    rows, (_, size, _, origin) = device_classes(places, up)
    of = []
    for g in blueprint.groups:
        # Rows of the full grid are devices of the file: each has the class of the place that it is moved to.
        at = np.arange(full.n_rows(g))
        moved = found.moved({p: full.digit(g, at, p) for p in blueprint.groups[g].primitives})
        row = sum((moved[p] * step for p, step in full.strides(g).items()), np.zeros_like(at))
        of.append(rows[g][row][~full_grid(blueprint).mask(g, blueprint.absent)])
    return np.concatenate(of), size, origin


def degrees(tail, head, capacity, rule, of):
    """Return for every (rule, class of tail, class of head) what each tail sends and each head receives."""
    sent, received = {}, {}
    for t, h, c, r in zip(tail.tolist(), head.tolist(), capacity.tolist(), rule.tolist(), strict=True):
        key = (r, of[t], of[h])
        sent.setdefault(key, Counter())[t] += c
        received.setdefault(key, Counter())[h] += c
    return sent, received


@pytest.mark.some(9)
@pytest.mark.parametrize(
    "seed", [1, 6, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 2, 3, 4, 5, 7))]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_is_equitable(family, seed, constructs):
    fabric, _ = constructs.random_fabric(family, seed)
    blueprint, e = fabric.blueprint, expand(fabric)
    base = quotient(blueprint)
    ends = np.flatnonzero(base.classes.is_endpoint)
    source = base.index[int(ends[seed % len(ends)])]
    view = quotient(blueprint, (source,))
    for found, marks in ((base, ()), (view, (source,))):
        of, size, origin = real_classes(blueprint, marks)
        assert size.tolist() == found.size.tolist()
        assert origin.tolist() == found.origin.tolist()
        assert np.bincount(of[of >= 0], minlength=len(size)).tolist() == found.size.tolist()
        assert ((of < 0) == e.failed).all()
        both = np.array([r.is_peer and not r.is_oneway for r in e.rules])[e.rule]
        tail, head = np.concatenate([e.tail, e.head[both]]), np.concatenate([e.head, e.tail[both]])
        cables, rule = np.concatenate([e.alive, e.alive[both]]), np.concatenate([e.rule, e.rule[both]])
        some = cables > 0
        sent, received = degrees(tail[some], head[some], cables[some], rule[some], of.tolist())
        total = Counter()
        c = found.classes
        for r, t, h, n in zip(c.rule, c.tail, c.head, c.count, strict=True):
            total[int(r), int(t), int(h)] += int(n)
        assert total == Counter({key: sum(each.values()) for key, each in sent.items()})
        for key, each in sent.items():
            assert len(each) == size[key[1]], "every tail has such a link"
            assert len(set(each.values())) == 1, "and as many cables as the others"
        for key, each in received.items():
            assert len(each) == size[key[2]]
            assert len(set(each.values())) == 1


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", [6, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 5, 7))])
@pytest.mark.parametrize("family", FAMILIES)
def test_views_refine_the_base(family, seed, constructs):
    blueprint = constructs.random_fabric(family, seed)[0].blueprint
    base = quotient(blueprint)
    assert base.origin.tolist() == list(range(len(base.size)))
    for one in np.flatnonzero(base.classes.is_endpoint).tolist():
        view = quotient(blueprint, (base.index[one],))
        assert np.bincount(view.origin, view.size).tolist() == base.size.tolist()
        cables = np.repeat(view.classes.count, 2)
        own = np.bincount(view.base, cables, minlength=len(base.base))
        assert own.tolist() == np.bincount(base.base, np.repeat(base.classes.count, 2)).tolist()


@pytest.mark.parametrize(("n_marks", "n_classes"), [(1, 7), (2, 13), (3, 19)])
def test_marks_on_nested_axes_cost_six_classes_each(n_marks, n_classes):
    axes = [f"a{c}" for c in "bcdefg"]
    devices = {f"d{c}": {"kind": "switch", "axes": axes[: i + 1]} for i, c in enumerate("bcdef")}
    devices["gpu"] = {"kind": "gpu", "axes": axes}
    names = [*devices][:-1]
    links = [{"between": ["gpu", names[-1]], "rate": "1Gb/s"}]
    links += [
        {"between": [low, high], "rate": "1Gb/s"} for low, high in zip(names[1:], names[:-1], strict=True)
    ]
    devices["top"] = {"kind": "switch", "axes": []}
    links.append({"between": [names[0], "top"], "rate": "1Gb/s"})
    text = json.dumps({"fabric": "f", "axes": dict.fromkeys(axes, 9), "devices": devices, "links": links})
    blueprint = loads(text).blueprint
    # Marks in different outermost indices share nothing but the outside.
    marks = tuple(tuple((axis, i) for axis in axes) for i in (0, 4, 8)[:n_marks])
    found = quotient(blueprint, marks)
    assert (found.classes.group == list(blueprint.groups).index("gpu")).sum() == n_classes
    assert found.size.sum() == sum(9**k for k in range(1, 7)) + 1


# ---- published values -----------------------------------------------------------------------------


@pytest.mark.parametrize("transit", ["relay", "end", "all"])
def test_the_million(transit, explicit):
    text = MILLION.replace("transit: relay", f"transit: {transit}")
    assert explicit.axes_rate(loads(text)) == pytest.approx(633.744, abs=5e-4)
    assert explicit.axes_rate(loads(text.replace("pod: 55,", "pod: 55000,"))) == pytest.approx(
        622.234, abs=5e-4
    )


@pytest.mark.parametrize(("transit", "rate"), [("end", 718.8), ("all", 734.0), ("relay", 734.0)])
def test_one_pod_of_the_million(transit, rate, explicit):
    text = MILLION.replace("pod: 55,", "pod: 1,").replace("transit: relay", f"transit: {transit}")
    assert explicit.axes_rate(loads(text)) == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize(("transit", "rate"), [("end", 0.0), ("all", 533.6)])
def test_the_million_with_one_dead_leaf(transit, rate):
    answer = throughput(loads(MILLION.replace("transit: relay", f"transit: {transit}") + DEAD_LEAF))
    assert answer.per_endpoint_gbps == pytest.approx(rate, abs=0.05)
    assert [n for _, n in answer.cut_off] == ([144] if transit == "end" else [])
    assert answer.status == ("cut off" if answer.cut_off else "optimal")


def torus(*sizes, failed=""):
    axes = dict(zip("xyz", sizes, strict=False))
    text = f"fabric: torus\naxes: {json.dumps(axes)}\n" + CHIPS % ", ".join(axes)
    for axis in axes:
        text += f"  - {{between: [gpu, gpu], name: along-{axis}, ring: {axis}, rate: 1Gb/s}}\n"
    return loads(text + failed)


@pytest.mark.parametrize(("sizes", "rate"), [((4, 4, 8), 0.9921875), ((16, 16, 16), 0.499878)])
def test_tori(sizes, rate, explicit):
    assert explicit.axes_rate(torus(*sizes)) == pytest.approx(rate, abs=5e-7)


def test_a_torus_with_two_dead_cables(explicit):
    fabric = torus(4, 4, failed="failed: [[x0/gpu0, x1/gpu0], [x2/gpu0, x3/gpu0]]\n")
    assert explicit.axes_rate(fabric) == near(15 * 0.09375)
    # Merging the links that no single source tells apart would say 0.109.
    assert throughput(fabric).per_endpoint_gbps == near(15 * 0.09375)


# ---- the breaker: what a test above must not be blind to ------------------------------------------


def test_merged_links_give_another_value(explicit):
    """Put all links of the 4x4x8 torus in one class: the rate is 1.488, which is why classes are checked."""
    fabric = torus(4, 4, 8)
    base = quotient(fabric.blueprint)
    view = quotient(fabric.blueprint, (base.index[0],))
    own = int(np.flatnonzero((view.size == 1) & [i == base.index[0] for i in view.index])[0])
    merged = [explicit.with_one_link_class(q) for q in (base, view)]
    assert explicit.rate_of(merged[0], [(128.0, merged[1], own)], "rules") == pytest.approx(1.488, abs=5e-4)


def test_join_lists_what_classes_count(constructs):
    """The counts of every rule on classes against the pairs listed one by one."""
    for family in FAMILIES:
        blueprint = constructs.random_fabric(family, 0)[0].blueprint
        c = quotient(blueprint).classes
        grid = full_grid(blueprint)
        for number, rule in enumerate(blueprint.rules):
            ways = 2 if rule.is_peer and not rule.is_oneway else 1
            pairs = join(grid, rule)
            present = ~grid.mask(rule.left.group, blueprint.absent)[pairs.left]
            present &= ~grid.mask(rule.right.group, blueprint.absent)[pairs.right]
            assert c.count[c.rule == number].sum() == ways * pairs.count[present].sum()
