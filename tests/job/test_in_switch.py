"""Sums in switches: one from every switch, however many come in, until all are in one place."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import numpy as np
import pytest

from fabric import costing
from fabric.errors import QuestionError
from fabric.graph import Fabric, loads
from fabric.job import Job, JobQuestion, job, listing, on_classes
from fabric.schedule import Pattern
from fabric.schedule.algorithms import schedules
from fabric.schedule.tree import phases
from fabric.symmetry import NoSymmetryError

# Bounds have tests of their own.
cost = partial(costing.cost, is_bounded=False)

SHARP = "part: qm9700"
BOTH = ("scale-up", "scale-out")
UP, DOWN = Pattern("to-switches", "rail"), Pattern("from-switches", "rail")
METHODS = ("axes", "links")


def sums(fabric: Fabric, method: str = "axes", pattern: Pattern = UP, **asked: object) -> tuple[Job, dict]:
    """Return the job, and the most that a cable of each rule carries each way."""
    work = job(fabric, JobQuestion(method=method, reduces=BOTH, **asked))  # type: ignore[arg-type]
    links = work.links
    load = work.loads(pattern).on_link / np.maximum(links.n_cables, 1)
    found = {}
    for rule, name in enumerate(links.rules):
        on = np.flatnonzero(links.rule == rule)
        found[name] = (load[on[on % 2 == 0]].max(), load[on[on % 2 == 1]].max())
    return work, found


def clos(*, pods: int = 2, extra: str = "", core: str = SHARP) -> Fabric:
    """Return pods of 2 leaves of 3 GPUs, with 2 spines each, and 2 cores that meet each spine of all pods."""
    return loads(f"""
fabric: clos
axes: {{pod: {pods}, leaf: 2, i: 3, spine: 2, core: 2}}
devices:
  gpu: {{kind: gpu, axes: [pod, leaf, i]}}
  leaf: {{{SHARP}, axes: [pod, leaf]}}
  spine: {{{SHARP}, axes: [pod, spine]}}
  core: {{{core}, axes: [spine, core]}}
links:
  - {{between: [gpu, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s}}
  - {{between: [spine, core], rate: 400Gb/s}}
{extra}""")


def cards(gpus: int, n: int, *, extra: str = "", leaves: str = "c") -> Fabric:
    """Return three servers of some GPUs and 50 GB/s cards on one PCIe switch; leaves and spines reduce."""
    return loads(f"""
fabric: cards
axes: {{node: 3, g: {gpus}, c: {n}, spine: 2}}
devices:
  gpu: {{kind: gpu, axes: [node, g], transit: relay}}
  nv: {{kind: switch, axes: [node]}}
  psw: {{kind: switch, axes: [node], transit: pass}}
  nic: {{kind: nic, axes: [node, c]}}
  leaf: {{{SHARP}, axes: [{leaves}]}}
  spine: {{{SHARP}, axes: [spine]}}
links:
  - {{between: [gpu, nv], rate: 400GB/s, net: scale-up}}
  - {{between: [gpu, psw], rate: 200GB/s}}
  - {{between: [psw, nic], rate: 200GB/s}}
  - {{between: [nic, leaf], rate: 50GB/s}}
  - {{between: [leaf, spine], rate: 50GB/s, count: 2}}
{extra}""")


@pytest.mark.parametrize("method", METHODS)
class TestOnCards:
    """A message to a switch is on one card, as any other is."""

    def test_one_rank_beside_another_gpu_has_one_card(self, method: str) -> None:
        # Half on either card where the network chooses.
        _, up = sums(cards(2, 2), method, among="g0/gpu")
        assert up["nic-leaf"] == (1, 0)
        # Alone it has both, and takes turns: half a byte each, summed by two leaves, each up to two spines.
        _, up = sums(cards(1, 2, extra=""), method)
        assert up["nic-leaf"] == (0.5, 0)

    def test_cards_are_dealt_out(self, method: str) -> None:
        # Eight rails on two cards.
        _, up = sums(cards(8, 2), method)
        assert up["nic-leaf"] == (4, 0)
        assert up["psw-nic"] == (4, 0)

    def test_a_cable_that_is_down_above_moves_nothing(self, method: str) -> None:
        fabric = cards(2, 2, extra="failed: [[c0/leaf, spine0, 1]]")
        work, up = sums(fabric, method)
        assert up["nic-leaf"] == (1, 0)
        np.testing.assert_allclose(work.loads(UP).hops[1:4], [1, 1, 1])

    def test_a_card_that_is_down_loads_the_other(self, method: str) -> None:
        # On one leaf: with two, the rank would go to the leaf of the other rail, and its rail not be summed.
        _, up = sums(cards(2, 2, leaves="", extra="failed: [node0/nic1]"), method)
        assert up["nic-leaf"] == (2, 0)

    def test_what_it_costs(self, method: str) -> None:
        # S up and down over one card of 50 GB/s.
        answer = cost(
            cards(2, 2),
            "all-reduce",
            10**9,
            algorithm="collnet-direct",
            among="g0/gpu",
            reduces=BOTH,
            method=method,  # type: ignore[arg-type]
            calibration="wire",
        )
        assert answer.time_s == pytest.approx(10**9 / 50e9)


@pytest.mark.parametrize("method", METHODS)
class TestByHand:
    def test_one_switch(self, hand_made: ModuleType, method: str) -> None:
        _, up = sums(hand_made.star(5, switch=SHARP), method)
        assert up == {"gpu-leaf": (1, 0)}
        _, down = sums(hand_made.star(5, switch=SHARP), method, DOWN)
        assert down == {"gpu-leaf": (0, 1)}

    def test_two_tiers(self, hand_made: ModuleType, method: str) -> None:
        # A leaf sends one byte on, however many GPUs it has, split over two spines.
        for nodes in (2, 7):
            _, up = sums(hand_made.leaf_spine(nodes=nodes, switch=SHARP), method)
            assert up == {"gpu-leaf": (1, 0), "leaf-spine": (0.5, 0)}

    def test_one_leaf_keeps_its_sum(self, hand_made: ModuleType, method: str) -> None:
        # Four GPUs of one leaf are summed there; spines have nothing to do, nor have idle leaves.
        _, up = sums(hand_made.leaf_spine(switch=SHARP), method, among="pod0/gpu")
        assert up == {"gpu-leaf": (1, 0), "leaf-spine": (0, 0)}

    def test_three_tiers(self, method: str) -> None:
        # Leaves: a byte. Spines of a pod: half of it each. Each of 2 cores of a spine: half of that.
        _, up = sums(clos(), method)
        assert up == {"gpu-leaf": (1, 0), "leaf-spine": (0.5, 0), "spine-core": (0.25, 0)}
        # In one pod it ends in the spines, at one leaf in the leaf.
        _, up = sums(clos(), method, among="pod0/gpu")
        assert up == {"gpu-leaf": (1, 0), "leaf-spine": (0.5, 0), "spine-core": (0, 0)}

    def test_groups_at_once_have_sums_of_their_own(self, method: str) -> None:
        # One group for each GPU of a leaf: three sums of a byte go on from a leaf.
        work, up = sums(clos(), method, over=("pod", "leaf"))
        assert work.n_instances == 3
        assert up == {"gpu-leaf": (1, 0), "leaf-spine": (1.5, 0), "spine-core": (0.75, 0)}

    def test_two_planes_sum_half_a_byte_each(self, method: str) -> None:
        text = f"""
fabric: planes
axes: {{plane: 2, leaf: 2, i: 3, spine: 2}}
devices:
  gpu: {{kind: gpu, axes: [leaf, i]}}
  leaf: {{{SHARP}, axes: [plane, leaf]}}
  spine: {{{SHARP}, axes: [plane, spine]}}
links:
  - {{between: [gpu, leaf], rate: 400Gb/s}}
  - {{between: [leaf, spine], rate: 400Gb/s}}
"""
        _, up = sums(loads(text), method)
        assert up == {"gpu-leaf": (0.5, 0), "leaf-spine": (0.25, 0)}

    def test_two_gpus_that_share_two_nics(self, hand_made: ModuleType, method: str) -> None:
        # Half of each goes by either NIC. The leaf of a rail sums two halves, and nothing is left to do.
        _, up = sums(hand_made.pairs(3, switch=SHARP), method)
        assert up["nic-leaf"] == (1, 0)
        assert up["leaf-spine"] == (0, 0)

    def test_a_tier_that_does_not_reduce_is_passed(self, method: str) -> None:
        # Leaves reduce and spines do not: sums of a leaf go through them to the cores.
        text = """
fabric: gap
axes: {leaf: 2, i: 3}
devices: {gpu: {kind: gpu, axes: [leaf, i]}, leaf: {part: qm9700, axes: [leaf]},
          mid: {kind: switch, axes: [leaf]}, top: {part: qm9700, axes: []}}
links: [{between: [gpu, leaf], rate: 400Gb/s}, {between: [leaf, mid], rate: 400Gb/s},
        {between: [mid, top], rate: 400Gb/s}]"""
        _, up = sums(loads(text), method)
        assert up == {"gpu-leaf": (1, 0), "leaf-mid": (1, 0), "mid-top": (1, 0)}

    def test_switches_that_join_nobody(self, hand_made: ModuleType, method: str) -> None:
        # Every leaf has a sum of its own; the cores, which would join the pods, only forward.
        work = job(clos(core="kind: switch"), JobQuestion(method=method, reduces=BOTH))
        assert not work.shape.reduces_across
        with pytest.raises(QuestionError, match="the switches that reduce do not join the ranks"):
            work.loads(UP)
        assert job(
            clos(core="kind: switch"), JobQuestion(method=method, reduces=BOTH, among="pod0/gpu")
        ).shape.reduces_across
        # No switch reduces at all.
        assert not job(hand_made.leaf_spine(), JobQuestion(method=method, reduces=BOTH)).shape.reduces_across

    def test_the_way_counts_as_hops(self, method: str) -> None:
        # GPU, leaf, spine, core: one link of each rule.
        work, _ = sums(clos(), method)
        np.testing.assert_allclose(work.loads(UP).hops, [1, 1, 1])


def test_what_comes_down_is_what_goes_up(hand_made: ModuleType) -> None:
    for fabric in (clos(), clos(pods=3), hand_made.pairs(2, switch=SHARP)):
        _, up = sums(fabric)
        _, down = sums(fabric, pattern=DOWN)
        assert down == {name: way[::-1] for name, way in up.items()}


def test_cost_of_a_reduction_in_the_network(hand_made: ModuleType) -> None:
    # S up and S down over 50 GB/s each way, at once; a ring sends 2 (n - 1) / n S each way.
    fabric = hand_made.leaf_spine(uplinks=2, switch=SHARP)
    asked = {"algorithm": "collnet-direct", "reduces": BOTH, "calibration": "wire"}
    answer = costing.cost(fabric, "all-reduce", 10**9, **asked)
    assert answer.time_s == pytest.approx(10**9 / 50e9)
    assert cost(fabric, "all-reduce", 10**9, algorithm="ring", calibration="wire").time_s == pytest.approx(
        2 * 15 / 16 * 10**9 / 50e9
    )
    assert answer.chosen.bound_ratio == pytest.approx(1)


def run(
    constructs: ModuleType, hand_made: ModuleType, monkeypatch: pytest.MonkeyPatch, seeds: range
) -> tuple[int, int]:
    """Raise where classes and cables differ if all switches reduce; return how often these do, and do not."""

    def every(blueprint: object) -> tuple[str, ...]:
        return tuple(g.name for g in blueprint.groups.values() if g.kind == "switch")  # type: ignore[attr-defined]

    monkeypatch.setattr(on_classes, "reducing_groups", every)
    monkeypatch.setattr(listing, "reducing_groups", every)
    joined = apart = 0
    for construct in ("clos", "two includes", "composed axes", "relations between groups", "mesh x mesh"):
        for seed in seeds:
            fabric, _ = constructs.random_fabric(construct, seed)
            groups = [g.name for g in fabric.blueprint.groups.values() if g.is_endpoint]
            among = groups[0] if len(groups) > 1 else None
            try:
                one = job(fabric, JobQuestion(method="axes", among=among, reduces=BOTH))
            except (NoSymmetryError, QuestionError):
                continue
            other = job(fabric, JobQuestion(method="links", among=among, reduces=BOTH))
            assert one.shape == other.shape
            shape = one.shape
            for over, is_in, n in (
                ("domain", shape.reduces_in_domain, shape.sizes[0]),
                ("rail", shape.reduces_across, shape.n_domains),
            ):
                if n == 1 or not is_in:
                    apart += 1
                    continue
                for kind in ("to-switches", "from-switches"):
                    a, b = (w.loads(Pattern(kind, over)) for w in (one, other))  # type: ignore[arg-type]
                    assert hand_made.a_cable(one, a) == pytest.approx(hand_made.a_cable(other, b))
                    np.testing.assert_allclose(a.hops, b.hops, atol=1e-12)
                    joined += 1
    return joined, apart


def test_classes_and_cables_agree(
    constructs: ModuleType, hand_made: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, apart = run(constructs, hand_made, monkeypatch, range(1))
    assert joined > 0
    assert apart > 0


@pytest.mark.slow
def test_classes_and_cables_agree_on_many(
    constructs: ModuleType, hand_made: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, apart = run(constructs, hand_made, monkeypatch, range(1, 120))
    assert joined > 300
    assert apart > 300


def test_bytes_are_conserved_up_to_the_first_switch(hand_made: ModuleType) -> None:
    # Every rank sends one byte to the first switches, and each sum is one byte for each group.
    for method in METHODS:
        work = job(clos(), JobQuestion(method=method, reduces=BOTH))
        links, load = work.links, work.loads(UP).on_link
        way = np.arange(len(load)) % 2
        assert [load[(links.rule == r) & (way == 0)].sum() for r in range(3)] == pytest.approx([12, 4, 2])
        assert not load[way == 1].any()


def test_algorithms_say_what_they_lack(hand_made: ModuleType) -> None:
    answer = cost(
        clos(core="kind: switch"), "all-reduce", 10**6, algorithm="all", reduces=BOTH, calibration="wire"
    )
    assert "between domains" in dict(answer.refused)["collnet-direct"]
    shape = job(clos(), JobQuestion(reduces=BOTH)).shape
    kinds = {p.transfer for p in phases(schedules("all-reduce", shape, 1.0)["collnet-direct"])}
    assert kinds == {"in-switch"}
