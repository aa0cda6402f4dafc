"""Ranks in any number and place: what patterns put on links on classes is what they put on every cable."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import pytest

from fabric import Fabric, design, loads
from fabric.errors import FabricError, QuestionError
from fabric.job import JobQuestion, job
from fabric.job.on_classes import MAX_VIEWS
from fabric.job.ranks import Job
from fabric.schedule.patterns import power
from fabric.schedule.tree import Pattern
from fabric.symmetry import NoSymmetryError

BASE = """
fabric: tail
axes: {pod: 3, rack: 4, slot: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rack, slot]}
  nv: {kind: switch, axes: [pod, rack]}
  nic: {kind: nic, axes: [pod, rack, slot]}
  leaf: {kind: switch, axes: [pod, slot]}
  sp: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nv], net: scale-up, rate: 900Gb/s}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, sp], rate: 400Gb/s}
"""
SHARED = """
fabric: shared
axes: {pod: 2, rack: 3, half: 2, g: 2, spine: 3}
devices:
  gpu: {kind: gpu, axes: [pod, rack, half, g]}
  nv: {kind: switch, axes: [pod, rack]}
  nic: {kind: nic, axes: [pod, rack, half]}
  leaf: {kind: switch, axes: [pod, rack]}
  sp: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nv], net: scale-up, rate: 900Gb/s}
  - {between: [gpu, nic], rate: 200Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, sp], rate: 200Gb/s}
  - {between: [sp, core], rate: 300Gb/s}
"""
PLAIN = """
fabric: plain
axes: {pod: 3, host: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, host]}
  leaf: {kind: switch, axes: [pod]}
  sp: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 100Gb/s}
  - {between: [leaf, sp], rate: 100Gb/s, count: 2}
"""
RELAYS = BASE.replace("axes: [pod, rack, slot]}", "axes: [pod, rack, slot], transit: relay}", 1)
FABRICS = {"rails": BASE, "shared cards": SHARED, "plain": PLAIN}

# Two kinds of racks: under one core; under the spines of a pod; on the same rails of a pod.
UNDER_CORE = """
fabric: under-core
axes: {ra: 3, sa: 4, rb: 4, sb: 2, core: 2}
devices:
  gpu: {kind: gpu, axes: [ra, sa], transit: relay}
  nv: {kind: switch, axes: [ra]}
  nic: {kind: nic, axes: [ra, sa]}
  leaf: {kind: switch, axes: [ra]}
  old: {kind: gpu, axes: [rb, sb]}
  bridge: {kind: switch, axes: [rb]}
  card: {kind: nic, axes: [rb]}
  top: {kind: switch, axes: [rb]}
  core: {kind: switch, axes: [core]}
links:
  - {between: [gpu, nv], net: scale-up, rate: 900Gb/s}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, core], rate: 600Gb/s}
  - {between: [old, bridge], net: scale-up, rate: 300Gb/s}
  - {between: [old, card], rate: 200Gb/s}
  - {between: [card, top], rate: 200Gb/s}
  - {between: [top, core], rate: 100Gb/s}
"""
IN_PODS = """
fabric: in-pods
axes: {pod: 2, ra: 2, sa: 4, rb: 3, sb: 2, spine: 2, core: 2}
devices:
  gpu: {kind: gpu, axes: [pod, ra, sa]}
  nv: {kind: switch, axes: [pod, ra]}
  nic: {kind: nic, axes: [pod, ra, sa]}
  leaf: {kind: switch, axes: [pod, sa]}
  old: {kind: gpu, axes: [pod, rb, sb]}
  top: {kind: switch, axes: [pod, rb]}
  sp: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nv], net: scale-up, rate: 900Gb/s}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, sp], rate: 400Gb/s}
  - {between: [old, top], rate: 100Gb/s}
  - {between: [top, sp], rate: 100Gb/s}
  - {between: [sp, core], rate: 300Gb/s}
"""
ON_RAILS = """
fabric: on-rails
axes: {pod: 2, ra: 2, rb: 3, rail: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, ra, rail], transit: relay}
  nv: {kind: switch, axes: [pod, ra]}
  nic: {kind: nic, axes: [pod, ra, rail]}
  old: {kind: gpu, axes: [pod, rb, rail]}
  bridge: {kind: switch, axes: [pod, rb]}
  card: {kind: nic, axes: [pod, rb, rail]}
  leaf: {kind: switch, axes: [pod, rail]}
  sp: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nv], net: scale-up, rate: 900Gb/s}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [old, bridge], net: scale-up, rate: 300Gb/s}
  - {between: [old, card], rate: 200Gb/s}
  - {between: [card, leaf], rate: 200Gb/s}
  - {between: [leaf, sp], rate: 400Gb/s}
"""
KINDS = {"under a core": UNDER_CORE, "in pods": IN_PODS, "on rails": ON_RAILS}

PATTERNS = [
    Pattern("pairwise", "job"),
    Pattern("ring", "job"),
    Pattern("two-way-ring", "job"),
    Pattern("shift", "job", by=3),
    Pattern("exchange", "job", by=2),
    Pattern("fold", "job"),
    Pattern("binomial", "job", by=2),
    Pattern("tree-up", "job"),
    Pattern("tree-down", "job"),
    Pattern("from-root", "job"),
    Pattern("to-root", "job"),
    Pattern("pairwise", "domain"),
    Pattern("ring", "domain"),
    Pattern("pairwise", "rail"),
    Pattern("ring", "rail"),
    Pattern("tree-up", "rail"),
]


def damaged(rng: random.Random, text: str, *, least: int = 1) -> str:
    """Return a fabric with some ranks absent, and some devices and cables down."""
    fabric = loads(text)
    assert fabric.blueprint is not None
    absent, failed = [], []
    for _ in range(rng.randint(least, 2)):
        group = rng.choice(["gpu", "old"]) if "old" in fabric.blueprint.groups else "gpu"
        absent.append(_selector(rng, fabric, group, depth=rng.randint(1, 3)))
    switches = ["sp", "core"] if text == SHARED else ["sp", "leaf"]
    if "old" in fabric.blueprint.groups:
        switches = [name for name in ("sp", "leaf", "core", "top") if name in fabric.blueprint.groups]
    for _ in range(rng.randint(0, 2)):
        failed.append(_selector(rng, fabric, rng.choice(switches)))
    lines = [f"absent: [{', '.join(absent)}]"] if absent else []
    lines += [f"failed: [{', '.join(failed)}]"] if failed else []
    return text + "\n".join(lines) + "\n"


def _selector(rng: random.Random, fabric: Fabric, group: str, depth: int = 9) -> str:
    """Return a selector of some devices of a group, with indices on its outer axes."""
    blueprint = fabric.axes_or_refuse("a test")
    axes = blueprint.groups[group].axes[:depth]
    words = []
    for axis in axes:
        n = blueprint.axes[axis].size
        lo = rng.randrange(n)
        hi = min(n - 1, lo + rng.choice([0, 0, 1]))
        words.append(f"{axis}{lo}" if lo == hi else f"{axis}{lo}-{hi}")
    return "/".join([*words, group])


def seconds_by_rule(work: Job, pattern: Pattern) -> np.ndarray:
    """Return how long the busiest link of each rule is busy with a pattern, shape (number of rules,)."""
    links = work.links
    load = work.loads(pattern).on_link
    busy = np.divide(load, links.capacity_gbps, out=np.zeros_like(load), where=links.capacity_gbps > 0)
    seconds = np.zeros(len(links.rules))
    np.maximum.at(seconds, links.rule, busy)
    return seconds


def compare(text: str, routing: str = "ecmp", among: str | None = None) -> int:
    """Hold classes to cables on a fabric, and return how many patterns were compared."""
    fabric = loads(text)
    on_links = job(fabric, JobQuestion(among=among, method="links", routing=routing))
    try:
        on_classes = job(fabric, JobQuestion(among=among, method="axes", routing=routing))
    except NoSymmetryError as error:
        # It may fit, or not.
        assert any(why in str(error) for why in ("kinds", "unequal", "several"))  # noqa: PT017
        return 0
    assert on_classes.shape == on_links.shape
    n = 0
    for pattern in PATTERNS:
        is_short = pattern.kind in ("exchange", "binomial") and pattern.by >= power(on_links.shape.n)
        if is_short or (pattern.over == "rail" and not on_links.shape.is_even):
            continue
        expected, answer = on_links.loads(pattern), on_classes.loads(pattern)
        # On average every byte passes the same links: the total on each rule is exact.
        np.testing.assert_allclose(answer.hops, expected.hops, atol=1e-9, err_msg=f"{pattern}")
        exact, classes = (seconds_by_rule(work, pattern) for work in (on_links, on_classes))
        rule_is_inner = np.zeros(len(on_links.links.rules), dtype=np.bool_)
        rule_is_inner[on_links.links.rule[on_links.links.is_inner]] = True
        # The cable of a rank or of a card carries what its ranks put on it. Between switches the average is
        # told, which is too kind where single cables are busier. Adaptive routes are searched for: on the
        # average, or cable by cable, a tree ends up to a fifth apart.
        near = classes[~rule_is_inner], exact[~rule_is_inner]
        np.testing.assert_allclose(*near, rtol=1e-9, atol=1e-12, err_msg=f"{pattern}")
        slack = 0.2 + 1e-3 if routing == "adaptive" else 1e-9
        assert (classes <= exact * (1 + slack) + 1e-12).all(), pattern
        n += 1
    return n


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", range(3))
def test_what_failed_cards_move_to_others_is_all_there(seed: int) -> None:
    rng = random.Random(f"cards {seed}")
    nics = [f"pod{rng.randrange(3)}/rack{rng.randrange(4)}/nic{rng.randrange(4)}" for _ in range(3 + seed)]
    fabric = loads(RELAYS + f"failed: [{', '.join(dict.fromkeys(nics))}]\n")
    on_links, on_classes = (job(fabric, JobQuestion(method=m)) for m in ("links", "axes"))
    inner = np.unique(on_links.links.rule[on_links.links.is_inner])
    for pattern in (
        Pattern(kind, over) for kind in ("pairwise", "ring", "tree-up") for over in ("job", "rail")
    ):
        expected, answer = on_links.loads(pattern), on_classes.loads(pattern)
        np.testing.assert_allclose(answer.hops, expected.hops, atol=1e-9, err_msg=f"{pattern}")
        exact, classes = (np.delete(seconds_by_rule(w, pattern), inner) for w in (on_links, on_classes))
        # Which mate relays for a rank without a card is averaged: 0.975 to 1.5 of the busiest cable.
        assert (classes >= 0.97 * exact).all(), pattern
        assert (classes <= 1.51 * exact).all(), pattern


@pytest.mark.slow
def test_the_million_with_ten_failed_cards_goes_by_classes() -> None:
    path = Path(__file__).parents[2] / "topologies" / "systems" / "million-scenario.fabric.yaml"
    rng = random.Random(10)
    sizes = {"pod": 55, "su": 4, "block": 8, "rack": 8, "tray": 18, "slot": 4}
    nics = [
        "/".join(f"{a if a != 'slot' else 'nic'}{rng.randrange(n)}" for a, n in sizes.items())
        for _ in range(10)
    ]
    work = job(loads(path.read_text() + f"failed: [{', '.join(nics)}]\n", base=path.parent))
    assert work.method == "axes"
    # All but ten of a million GPUs leave by a card and arrive by one: two cables between cards and leaves.
    hops = work.loads(Pattern("ring", "rail")).hops
    assert hops[work.links.rules.index("nic-leaf")] == pytest.approx(2, rel=1e-4)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("routing", ["ecmp", "rail"])
def test_classes_and_cables_agree(name: str, routing: str) -> None:
    n = 0
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        # Where ranks are cut off, or all are absent, there is nothing to compare.
        with contextlib.suppress(FabricError):
            n += compare(damaged(rng, FABRICS[name]), routing)
    assert n > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FABRICS)
@pytest.mark.parametrize("routing", ["ecmp", "adaptive", "rail", "rail-direct"])
def test_many_classes_and_cables_agree(name: str, routing: str) -> None:
    n = 0
    for seed in range(40):
        rng = random.Random(f"{name} {routing} {seed}")
        with contextlib.suppress(FabricError):
            n += compare(damaged(rng, FABRICS[name]), routing)
    assert n > 100


@pytest.mark.some(1)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("routing", ["ecmp", "adaptive"])
def test_kinds_of_racks_on_classes_are_those_on_cables(name: str, routing: str) -> None:
    assert compare(KINDS[name], routing, "*") >= 12


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("routing", ["ecmp", "adaptive", "rail-direct"])
def test_damaged_kinds_of_racks_on_classes_are_those_on_cables(name: str, routing: str) -> None:
    n = 0
    for seed in range(30):
        rng = random.Random(f"{name} {routing} {seed}")
        with contextlib.suppress(FabricError):
            n += compare(damaged(rng, KINDS[name], least=0), routing, "*")
    assert n > 60


def test_a_kind_of_racks_that_is_all_absent_has_no_ranks() -> None:
    asked = JobQuestion(among="*", method="axes")
    both, one = (job(loads(UNDER_CORE + more), asked) for more in ("", "absent: [old]\n"))
    assert (both.shape.sizes, one.shape.sizes) == ((4, 4, 4, 2, 2, 2, 2), (4, 4, 4))


def test_a_ring_over_two_kinds_of_racks_enters_each_rack_once() -> None:
    work = job(loads(UNDER_CORE), JobQuestion(among="*", method="axes"))
    hops = work.loads(Pattern("ring", "job")).hops
    # Of 20 messages 7 go from rack to rack, and each climbs to a core and comes down again.
    up = [hops[work.links.rules.index(rule)] * 20 for rule in ("leaf-core", "top-core")]
    assert sum(up) == pytest.approx(2 * 7)
    assert up == pytest.approx([2 * 3, 2 * 4])


class TestPartFilled:
    """A last block that is not full, as `design` leaves it."""

    def test_a_ring_leaves_a_leaf_as_often_as_its_ranks_say(self) -> None:
        # Racks of 4 hosts, the last of 2: each leaf sends on once, over 2 x 2 cables of 100 Gb/s.
        fabric = loads(PLAIN + "absent: [pod2/host2-3/gpu]\n")
        work = job(fabric, JobQuestion(method="axes"))
        assert work.shape.n == 10
        load = work.loads(Pattern("ring", "job"))
        inner = work.links.is_inner
        # One byte over 4 cables each way: half a byte on each of the two bundles of a leaf.
        np.testing.assert_allclose((load.on_link / work.links.n_cables)[inner], 1 / 4)
        np.testing.assert_allclose((load.on_link / work.links.n_cables)[~inner], 1.0)

    def test_ranks_of_a_leaf_with_fewer_mates_are_as_near_to_it(self) -> None:
        # Racks of 4 and of 2: what ranks of both send leaves by one uplink each, 2 bytes of 2 ranks at most.
        absent = "absent: [pod1-2/rack2-3/slot0-1/gpu, pod1-2/rack1/slot1-2/gpu]\nfailed: [spine1/sp]\n"
        work = job(loads(BASE + absent), JobQuestion(method="axes"))
        load = work.loads(Pattern("exchange", "job", by=2))
        uplinks = work.links.rule == work.links.rules.index("leaf-sp")
        assert (load.on_link / work.links.n_cables)[uplinks].max() == pytest.approx(2.0)

    def test_ranks_of_one_class_may_be_on_rails_with_others(self) -> None:
        # Slot 2 is told apart in pod 2 alone: in other pods only what is on its rail there tells it.
        assert compare(BASE + "absent: [pod2/rack2-3/slot2/gpu, pod2/rack2-3/gpu]\n") > 10

    def test_a_million_with_a_last_block_that_is_not_full(self) -> None:
        # 63 pods of 16 blocks of 14 racks of 72, of the last pod 13 blocks and 10 racks.
        fabric = design(gpus=1_013_760, rack="gb300-nvl72", leaf="sn6800").fabric
        work = job(fabric, JobQuestion(method="axes"))
        assert work.shape.sizes == (72,) * 14_080
        rules = work.links.rules
        ring = work.loads(Pattern("ring", "rail"))
        # Of the rings of 14,080 racks those links leave a block that end one of 14 racks or the last of 10:
        # 1,006 of 14,080, up and down; and those of 63 pods reach a core.
        assert ring.hops[rules.index("leaf-spine")] == pytest.approx(2 * 1_006 / 14_080)
        assert ring.hops[rules.index("spine-core")] == pytest.approx(2 * 63 / 14_080)
        # A rank of a domain sends its byte over 18 NVLinks.
        inside = work.loads(Pattern("pairwise", "domain")).on_link / work.links.n_cables
        np.testing.assert_allclose(inside[work.links.rule == rules.index("gpu-nvswitch")], 1 / 18)

    def test_ranks_beyond_what_can_be_told_apart_are_routed_on_cables(self) -> None:
        # Hosts with another number of cables to the leaf each, and one is absent: too many kinds of ranks.
        counts = ", ".join(str(i + 1) for i in range(MAX_VIEWS + 7))
        text = f"""
fabric: ragged
axes: {{host: {MAX_VIEWS + 7}}}
devices:
  gpu: {{kind: gpu, axes: [host]}}
  leaf: {{kind: switch, axes: []}}
links: [{{between: [gpu, leaf], rate: 1Gb/s, count: {{host: [{counts}]}}}}]
absent: [gpu0]
"""
        fabric = loads(text)
        with pytest.raises(NoSymmetryError, match=f"{MAX_VIEWS + 6} kinds, at most {MAX_VIEWS}"):
            job(fabric, JobQuestion(method="axes"))
        assert job(fabric).method == "links"


def test_an_order_of_some_of_the_ranks_is_that_of_the_list() -> None:
    # Of slots 0 and 1 of three racks, numbered slot by slot: groups of three are those of one slot.
    fabric = loads(PLAIN)
    asked = JobQuestion(order="(host pod) -> (dp tp=3)", over=("tp",), among="host0-1/gpu", method="links")
    ordered = job(fabric, asked)
    assert ordered.shape.n == 3
    assert ordered.n_instances == 2
    for host in (0, 1):
        listed = job(fabric, JobQuestion(ranks=tuple(f"pod{p}/gpu{host}" for p in range(3))))
        # One group alone loads its own cables as it does beside the other one.
        pattern = Pattern("ring", "job")
        alone, beside = (work.loads(pattern).on_link for work in (listed, ordered))
        own = (alone > 0) & ~ordered.links.is_inner
        assert own.any()
        np.testing.assert_allclose(beside[own], alone[own])


def test_an_order_of_some_of_the_ranks_names_its_dimensions() -> None:
    asked = JobQuestion(order="(host pod) -> (dp tp=3)", over=("pp",), among="host0-1/gpu")
    with pytest.raises(QuestionError, match="over: no dimension 'pp'"):
        job(loads(PLAIN), asked)
