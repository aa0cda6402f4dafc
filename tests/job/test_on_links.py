"""Loads on every cable: bytes are conserved, rails are kept, and the best routes are the best."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import networkx as nx
import numpy as np
import pytest

from fabric.errors import LimitError, QuestionError
from fabric.graph import Fabric, expand, loads
from fabric.job import Job, JobQuestion, job
from fabric.job.on_links import ListedRanks, by_rail, demands, scale_up_domains
from fabric.routing import Demands
from fabric.schedule import Pattern, Shape

PATTERNS = [
    Pattern("pairwise", "job"),
    Pattern("pairwise", "domain"),
    Pattern("pairwise", "rail"),
    Pattern("ring", "rail"),
    Pattern("ring", "domain"),
    Pattern("two-way-ring", "job"),
    Pattern("shift", "job", 5),
    Pattern("shift", "job", -2),
    Pattern("rotated-rings", "job"),
]
LOPSIDED = [
    Pattern("tree-up", "rail"),
    Pattern("tree-down", "job"),
    Pattern("binomial", "job", 2),
    Pattern("from-root", "job"),
    Pattern("to-root", "job"),
    Pattern("fold", "job"),
    Pattern("exchange", "job", 2),
]


def listed(work: Job) -> Any:
    """Return the job on cables that is behind a job."""
    return work.route.__self__  # type: ignore[attr-defined]


def on_links(fabric: Fabric, **asked: object) -> Job:
    return job(fabric, JobQuestion(method="links", **asked))  # type: ignore[arg-type]


def out_and_in(work: Job, pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes that leave every device, and those that enter it."""
    e, load = listed(work).ranks.expanded, work.loads(pattern).on_link
    out, entering = np.zeros(e.n_devices), np.zeros(e.n_devices)
    np.add.at(out, e.tail, load[0::2])
    np.add.at(out, e.head, load[1::2])
    np.add.at(entering, e.head, load[0::2])
    np.add.at(entering, e.tail, load[1::2])
    return out, entering


@pytest.mark.some(12)
@pytest.mark.parametrize("pattern", [*PATTERNS, *LOPSIDED])
@pytest.mark.parametrize("routing", ["ecmp", "rail", "rail-direct"])
def test_bytes_are_conserved(hand_made: ModuleType, pattern: Pattern, routing: str) -> None:
    work = on_links(hand_made.boxes(3, 2), routing=routing)
    ranks = listed(work).ranks
    told = demands(ranks, pattern)
    n = ranks.expanded.n_devices
    net = np.bincount(told.source, told.amount, n) - np.bincount(told.target, told.amount, n)
    out, entering = out_and_in(work, pattern)
    np.testing.assert_allclose(out - entering, net, atol=1e-12)
    assert max(np.bincount(end, told.amount).max() for end in (told.source, told.target)) == pytest.approx(1)
    if pattern in PATTERNS:
        np.testing.assert_allclose(net, 0, atol=1e-12)
        np.testing.assert_allclose(np.bincount(told.source, told.amount, n)[ranks.devices], 1)
    # Hops are the links of a byte: all together they carry it.
    assert (work.loads(pattern).hops.sum() * told.amount.sum()) == pytest.approx(out.sum())


def test_a_pairwise_pattern_has_a_limit_before_it_is_listed(hand_made: ModuleType) -> None:
    # 1e10 pairs would take 240 GB.
    every = np.arange(100_000)
    many = ListedRanks(expand(hand_made.star(2)), every[None], Shape((100_000,)), every)
    with pytest.raises(QuestionError, match="pairwise phase of 9,999,900,000 pairs; 50,000,000 at most"):
        demands(many, Pattern("pairwise", "job"))


def test_ranks_are_numbered_domain_by_domain() -> None:
    # Slots are outside and boxes inside in the file, yet the ranks of a box follow each other.
    text = """
fabric: turned
axes: {slot: 3, box: 2}
devices: {gpu: {kind: gpu, axes: [slot, box], transit: relay}, nvswitch: {kind: switch, axes: [box]},
          leaf: {kind: switch, axes: [slot]}}
links:
  - {between: [gpu, nvswitch], rate: 900Gb/s, net: scale-up}
  - {between: [gpu, leaf], rate: 400Gb/s}
"""
    work = on_links(loads(text))
    ranks = listed(work).ranks
    assert [ranks.expanded.names[v] for v in ranks.devices[0]] == [
        f"slot{s}/gpu{b}" for b in (0, 1) for s in range(3)
    ]
    assert work.shape == Shape((3, 3))
    assert job(loads(text)).shape == Shape((3, 3))
    assert len(set(scale_up_domains(ranks.expanded)[ranks.devices[0]])) == 2


class TestRails:
    """Two boxes of two GPUs, a leaf a rail and a spine: what goes where, by hand."""

    def loads_of(
        self, fabric: Fabric, routing: str, ranks: tuple[str, ...] = ()
    ) -> dict[tuple[str, str], float]:
        """Return the bytes from device to device of an all-to-all, 1/3 to each of three others."""
        work = on_links(fabric, routing=routing, ranks=ranks)
        e, load = listed(work).ranks.expanded, work.loads(Pattern("pairwise", "job")).on_link
        ends = [(e.tail, e.head), (e.head, e.tail)]
        return {
            (str(e.names[a[b]]), str(e.names[z[b]])): float(load[2 * b + way])
            for way, (a, z) in enumerate(ends)
            for b in range(e.n_bundles)
            if load[2 * b + way]
        }

    def test_pxn(self, hand_made: ModuleType) -> None:
        found = self.loads_of(hand_made.boxes(2, 2), "rail")
        # To its mate, and to its mate's rail: 1/3 each, over two chips.
        assert found["box0/gpu0", "box0/nvswitch0"] == pytest.approx(2 / 3 / 2)
        # What its mate and itself have for the other GPU of rail 0.
        assert found["box0/gpu0", "box0/nic0"] == pytest.approx(2 / 3)
        assert found["box0/nic0", "leaf0"] == pytest.approx(2 / 3)
        assert not any("spine0" in ends or "spine" in ends for ends in found)

    def test_without_relaying_the_spine_carries_what_changes_rails(self, hand_made: ModuleType) -> None:
        found = self.loads_of(hand_made.boxes(2, 2), "rail-direct")
        assert found["box0/gpu0", "box0/nvswitch0"] == pytest.approx(1 / 3 / 2)
        assert found["box0/nic0", "leaf0"] == pytest.approx(2 / 3)
        # Each GPU has 1/3 for the other rail of the other box; two GPUs are on a leaf.
        assert found["leaf0", "spine"] == pytest.approx(2 / 3)

    def test_legs_are_those_of_the_two_level_algorithm(self, hand_made: ModuleType) -> None:
        # Over the scale-up network to the rail of the target, then across: as the algorithm pxn does.
        fabric = hand_made.boxes(4, 3)
        work = on_links(fabric, routing="rail")
        plain = on_links(fabric)
        n, k, g = 12, 4, 3
        inside, across = plain.loads(Pattern("pairwise", "domain")), plain.loads(Pattern("pairwise", "rail"))
        # Of 11 parts, 8 go to another rail over the mate, and 9 to another box.
        expected = (g - 1) * k / (n - 1) * inside.on_link + (k - 1) * g / (n - 1) * across.on_link
        np.testing.assert_allclose(work.loads(Pattern("pairwise", "job")).on_link, expected, atol=1e-12)

    def test_demands_by_hand(self, hand_made: ModuleType) -> None:
        ranks = listed(on_links(hand_made.boxes(2, 2))).ranks
        (a0, a1, b0, b1) = ranks.devices[0].tolist()
        asked = Demands(
            np.array([a0, a0, a0, a0]), np.array([a1, b0, b1, b1]), np.array([1.0, 2.0, 3.0, 4.0])
        )
        told, _ = by_rail(ranks, asked)
        found: dict[tuple[int, int], float] = {}
        for source, target, amount in zip(told.source, told.target, told.amount, strict=True):
            found[int(source), int(target)] = found.get((int(source), int(target)), 0.0) + float(amount)
        assert found == {(a0, a1): 1 + 7, (a0, b0): 2, (a1, b1): 7}

    def test_unequal_domains(self, hand_made: ModuleType) -> None:
        # Ranks a0, a1, a2 and b0, b1: b0 has no mate on the rail of a2, and sends to it by its own card.
        work = on_links(hand_made.boxes(2, 3, extra="absent: [box1/slot2/gpu]"), routing="rail")
        ranks = listed(work).ranks
        assert ranks.shape.sizes == (3, 2)
        a0, a1, a2, b0, b1 = ranks.devices[0].tolist()
        asked = Demands(np.array([b0, a2, a0]), np.array([a2, b1, b0]), np.array([1.0, 2.0, 4.0]))
        told, _ = by_rail(ranks, asked)
        found = sorted(zip(told.source.tolist(), told.target.tolist(), told.amount.tolist(), strict=True))
        assert found == sorted([(b0, a2, 1.0), (a1, b1, 2.0), (a2, a1, 2.0), (a0, b0, 4.0)])
        assert work.loads(Pattern("pairwise", "job")).hops.sum() > 0


class TestOptimum:
    def test_of_one_switch_is_its_cable(self, hand_made: ModuleType) -> None:
        for method in ("axes", "links"):
            work = job(hand_made.star(5), JobQuestion(method=method, routing="ideal"))
            best = work.optimum([Pattern("pairwise", "job"), Pattern("ring", "job")], [1e9, 2e9])
            assert best.time_s == pytest.approx(3e9 / 50e9)
            assert best.busy_s.max() == pytest.approx(best.time_s)

    @pytest.mark.parametrize("pattern", [Pattern("from-root", "job"), Pattern("to-root", "job")])
    def test_of_a_root_is_a_flow(self, hand_made: ModuleType, pattern: Pattern) -> None:
        # A root that has 1/11 for each of the others: what links carry in that time is just enough.
        fabric = hand_made.torus(3, 4)
        work = on_links(fabric)
        e = expand(fabric)
        time_s = work.optimum([pattern], [1.0]).time_s
        graph = nx.DiGraph()
        for tail, head in zip(e.tail.tolist(), e.head.tolist(), strict=True):
            for a, b in ((tail, head), (head, tail)):
                graph.add_edge(a, b, capacity=0.0)
        for tail, head, rate in zip(e.tail.tolist(), e.head.tolist(), e.rate_gbps.tolist(), strict=True):
            for a, b in ((tail, head), (head, tail)):
                graph[a][b]["capacity"] += rate * 1e9 / 8 * time_s
        sink = "sink"
        for v in range(1, 12):
            graph.add_edge(v, sink, capacity=1 / 11)
        if pattern.kind == "to-root":
            graph = graph.reverse()
        ends = (0, sink) if pattern.kind == "from-root" else (sink, 0)
        assert nx.maximum_flow_value(graph, *ends) == pytest.approx(1)

    def test_has_a_limit(self, hand_made: ModuleType) -> None:
        work = on_links(hand_made.leaf_spine(pods=20, nodes=32))
        with pytest.raises(LimitError, match="ideal routes are a program of more than 400,000 variables"):
            work.optimum([Pattern("pairwise", "job")], [1.0])

    def test_without_a_path(self) -> None:
        fabric = loads("""{fabric: apart, islands: 2, axes: {pod: 2, i: 2},
        devices: {gpu: {kind: gpu, axes: [pod, i]}, leaf: {kind: switch, axes: [pod]}},
        links: [{between: [gpu, leaf], rate: 1Gb/s}]}""")
        with pytest.raises(QuestionError, match="no permitted path"):
            on_links(fabric).optimum([Pattern("pairwise", "job")], [1.0])


def test_progress_is_told_once_for_every_pattern(hand_made: ModuleType) -> None:
    for method in ("axes", "links"):
        work = job(hand_made.boxes(3, 3), JobQuestion(method=method))
        told: list[tuple[int, int]] = []
        work.prepare(PATTERNS, lambda done, of: told.append((done, of)))  # noqa: B023
        assert told == sorted(told)
        assert len({of for _, of in told}) == 1
        assert told[-1][0] == told[-1][1]
        told.clear()
        # Patterns are routed once and remembered.
        work.prepare(PATTERNS, lambda done, of: told.append((done, of)))  # noqa: B023
        assert told == []
        assert work.loads(PATTERNS[0]) is work.loads(PATTERNS[0])


def test_groups_of_over_are_explicit_lists_on_shared_links(hand_made: ModuleType) -> None:
    # The instances of a job run at once: what their lists put on links one by one adds up to its loads.
    fabric = hand_made.leaf_spine(2, pods=4, nodes=6)
    for over, lists in (
        (("pod",), [[f"pod{p}/gpu{i}" for p in range(4)] for i in range(6)]),
        (("node",), [[f"pod{p}/gpu{i}" for i in range(6)] for p in range(4)]),
    ):
        for pattern in (Pattern("pairwise", "job"), Pattern("ring", "rail"), Pattern("tree-up", "job")):
            together = on_links(fabric, over=over).loads(pattern).on_link
            apart = [on_links(fabric, ranks=tuple(names)).loads(pattern).on_link for names in lists]
            np.testing.assert_allclose(together, np.sum(apart, axis=0), atol=1e-12)


def test_ranks_in_another_order_move_the_loads_with_them(hand_made: ModuleType) -> None:
    # Pods change places, and so do their links; nothing else is different.
    fabric = hand_made.leaf_spine(1, pods=3, nodes=2)
    for order in itertools.permutations(range(3)):
        work = on_links(fabric, ranks=tuple(f"pod{p}/gpu{i}" for p in order for i in range(2)))
        plain = on_links(fabric)
        for pattern in (Pattern("shift", "job", 2), Pattern("tree-up", "job")):
            assert sorted(work.loads(pattern).on_link) == pytest.approx(sorted(plain.loads(pattern).on_link))
