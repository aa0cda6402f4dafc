"""Hashed flows: one shortest path each, drawn evenly, and never better known than by many draws."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.graph import Expanded, expand, loads
from fabric.routing import (
    Demands,
    Messages,
    Router,
    cable_loads,
    ecmp,
    flow_rates,
    hashed_factor,
    hashed_loads,
    link_loads,
    message_loads,
    router,
    slowest_flow,
)
from fabric.routing.hops import cable_firsts, hops

STAR = """
fabric: star
axes: {node: 6}
devices:
  gpu: {kind: gpu, axes: [node]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
"""
LEAF_SPINE = """
fabric: leaf-spine
axes: {pod: 4, node: 8, spine: 4}
devices:
  gpu: {kind: gpu, axes: [pod, node]}
  nic: {kind: nic, axes: [pod, node]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
UNEVEN = """
fabric: uneven
axes: {pod: 3, node: 3, spine: 2, core: 3}
devices:
  gpu: {kind: gpu, axes: [pod, node]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [pod, spine]}
  core: {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s, count: {spine: [1, 3]}}
  - {between: [spine, core], rate: 400Gb/s, count: 2}
failed: [[pod0/spine1, core, 1]]
"""
RELAY = """
fabric: relay
axes: {rack: 3, slot: 3, chip: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  nvswitch: {kind: switch, axes: [rack, chip]}
  nic: {kind: nic, axes: [rack, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
failed: [rack0/nic1]
"""
TORUS = """
fabric: torus
axes: {x: 4, y: 3}
devices:
  gpu: {kind: gpu, axes: [x, y], transit: all}
links:
  - {between: [gpu, gpu], name: x, ring: x, rate: 100Gb/s}
  - {between: [gpu, gpu], name: y, ring: y, rate: 100Gb/s, count: 2}
"""
FABRICS = [STAR, LEAF_SPINE, UNEVEN, RELAY, TORUS]


def title(text: str) -> str:
    return text.split("fabric: ")[1].split("\n")[0]


def everyone(text: str, seed: int = 3) -> tuple[Expanded, Router, Demands]:
    """Return a fabric and traffic of any amounts between all of its endpoints, some pairs twice."""
    e = expand(loads(text))
    ranks = e.is_endpoint & ~e.failed
    ends = np.flatnonzero(ranks)
    source, target = (x.ravel() for x in np.meshgrid(ends, ends))
    chance = np.random.default_rng(seed)
    more = chance.integers(0, len(source), 20)
    source, target = np.append(source, source[more]), np.append(target, target[more])
    return e, router(e, ranks), Demands(source, target, chance.integers(1, 9, len(source)).astype(float))


def shift(e: Expanded, by: int) -> Demands:
    """Return one unit from every endpoint to the one so many places on."""
    ends = np.flatnonzero(e.is_endpoint)
    return Demands(ends, np.roll(ends, -by), np.ones(len(ends)))


@pytest.mark.parametrize("text", FABRICS, ids=title)
@pytest.mark.parametrize("n_queue_pairs", [1, 3])
def test_bytes_are_conserved(text, n_queue_pairs):
    """What leaves every device is what entered it, and what it sent less what it received."""
    e, route, traffic = everyone(text)
    found = hashed_loads(route, traffic, seed=1, n_queue_pairs=n_queue_pairs)
    balance = np.zeros(e.n_devices)
    np.add.at(balance, e.tail, found[0::2] - found[1::2])
    np.add.at(balance, e.head, found[1::2] - found[0::2])
    sent = np.bincount(traffic.source, traffic.amount, e.n_devices)
    received = np.bincount(traffic.target, traffic.amount, e.n_devices)
    np.testing.assert_allclose(balance, sent - received, atol=1e-9)
    assert not found[np.repeat(e.alive == 0, 2)].any()


@pytest.mark.some(1)
@pytest.mark.parametrize("text", FABRICS, ids=title)
def test_a_flow_takes_one_shortest_path(text):
    e, route, traffic = everyone(text)
    for i in np.flatnonzero(traffic.source != traffic.target)[::17].tolist():
        one = Demands(traffic.source[i : i + 1], traffic.target[i : i + 1], np.ones(1))
        split, found = link_loads(route, one), hashed_loads(route, one, seed=i)
        at = int(one.source[0])
        for hop in hops(route, one, seed=i):
            (link,) = hop.link.tolist()
            ends = (e.tail[link // 2], e.head[link // 2])
            assert ends[link % 2] == at
            at = int(ends[1 - link % 2])
        assert at == one.target[0]
        # All shortest paths have as many hops, and every link of one of them is open to the equal split.
        assert found.sum() == pytest.approx(split.sum())
        assert set(found.tolist()) <= {0.0, 1.0}
        assert (split[found > 0] > 0).all()


@pytest.mark.some(1)
@pytest.mark.parametrize("text", FABRICS, ids=title)
def test_the_mean_of_many_draws_is_the_equal_split(text):
    e, route, traffic = everyone(text)
    drawn = cable_loads(route, traffic, seed=5, trials=range(400))
    alive = np.repeat(e.alive, 2)
    split = np.repeat(link_loads(route, traffic) / np.maximum(alive, 1), alive)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - split) <= 4.5 * error + 1e-9).all()


def test_many_queue_pairs_come_near_the_equal_split():
    _, route, traffic = everyone(UNEVEN)
    split = link_loads(route, traffic)
    off = [
        np.abs(hashed_loads(route, traffic, seed=2, n_queue_pairs=n) - split).max() / split.max()
        for n in (1, 32, 1_024)
    ]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.01


def test_a_single_path_is_the_equal_split():
    e, route, traffic = everyone(STAR)
    np.testing.assert_allclose(hashed_loads(route, traffic, seed=9), link_loads(route, traffic))
    found = slowest_flow(route, traffic, seed=9, n_trials=3)
    assert found.drawn.expected == found.drawn.slowdown == pytest.approx(1.0)
    assert found.closed_form is None
    assert e.n_cables * 2 == cable_firsts(route)[-1]


def test_a_seed_is_one_placement(monkeypatch):
    _, route, traffic = everyone(LEAF_SPINE)
    found = cable_loads(route, traffic, seed=4, n_queue_pairs=2)
    np.testing.assert_array_equal(found, cable_loads(route, traffic, seed=4, n_queue_pairs=2))
    assert (found != cable_loads(route, traffic, seed=5, n_queue_pairs=2)).any()
    assert (found != cable_loads(route, traffic, seed=4, n_queue_pairs=1)).any()
    monkeypatch.setattr(ecmp, "_COLUMNS", 3)
    monkeypatch.setattr(sys.modules[hops.__module__], "_FLOWS", 5)
    np.testing.assert_allclose(found, cable_loads(route, traffic, seed=4, n_queue_pairs=2))


def test_draws_are_independent_of_what_else_is_drawn():
    _, route, traffic = everyone(UNEVEN)
    several = cable_loads(route, traffic, seed=4, trials=range(3))
    for i in range(3):
        alone = cable_loads(route, traffic, seed=4, trials=range(i, i + 1))
        np.testing.assert_allclose(several[i], alone[0])
    assert (several[0] != several[1]).any()


def test_switches_hash_independently():
    """A flow's spine says nothing about its core: hashes that agree at every hop would leave cores idle."""
    e, route, _ = everyone(UNEVEN)
    names = list(e.names)
    a, b = names.index("pod1/gpu0"), names.index("pod2/gpu0")
    n = 40_000
    flows = Demands(np.full(n, a), np.full(n, b), np.ones(n))
    found, split = (f[0::2] for f in (hashed_loads(route, flows, seed=1), link_loads(route, flows)))
    is_up = (e.rule == 2) & (split > 0)
    assert is_up.sum() == 6
    np.testing.assert_allclose(found[is_up], split[is_up], rtol=0.03)


def test_rates_share_a_cable_by_amount():
    e, route, _ = everyone(STAR)
    flows = Demands(np.array([0, 1, 2, 3, 4]), np.array([5, 5, 0, 1, 4]), np.array([3.0, 1.0, 1.0, 2.0, 1.0]))
    # 4 meet at gpu 5; gpus 0 and 1 receive alone; gpu 4 keeps its own.
    np.testing.assert_allclose(flow_rates(route, flows, seed=0)[:, 0], [300, 100, 400, 400, np.inf])
    np.testing.assert_allclose(flow_rates(route, flows, seed=0, n_queue_pairs=2)[0], [150, 150])


@pytest.mark.parametrize("text", FABRICS, ids=title)
def test_the_slowest_flow_crosses_the_slowest_cable(text):
    e, route, traffic = everyone(text)
    drawn = cable_loads(route, traffic, seed=6, n_queue_pairs=2)[0]
    rate = np.repeat(np.repeat(e.rate_gbps, 2), np.diff(cable_firsts(route)))
    times = traffic.amount[:, None] / 2 / flow_rates(route, traffic, seed=6, n_queue_pairs=2)
    assert times.max() == pytest.approx((drawn / rate).max())
    ideal = (link_loads(route, traffic) / np.repeat(np.maximum(e.alive, 1) * e.rate_gbps, 2)).max()
    found = slowest_flow(route, traffic, seed=6, n_trials=1, n_queue_pairs=2)
    assert found.drawn.slowdown == pytest.approx(times.max() / ideal)
    assert found.n_flows == 2 * len(traffic.source)


@pytest.mark.parametrize("n_queue_pairs", [1, 4])
def test_uplinks_of_leaves_are_balls_into_bins(n_queue_pairs):
    """Leaves 0 and 1 send a flow from each GPU, to leaves of which none receives more than it has uplinks."""
    text = LEAF_SPINE.replace("pod: 4", "pod: 18")
    e = expand(loads(text))
    route = router(e, e.is_endpoint)
    flows = Demands(np.arange(16), 16 + 8 * np.arange(16), np.ones(16))
    found = slowest_flow(route, flows, seed=8, n_trials=3_000, n_queue_pairs=n_queue_pairs)
    assert found.closed_form == hashed_factor(8 * n_queue_pairs, 8, n_groups=2)
    for name in ("expected", "p50", "slowdown"):
        assert getattr(found.drawn, name) == pytest.approx(getattr(found.closed_form, name), rel=0.02)


def test_collisions_on_the_way_down_count_as_groups_of_their_own():
    """From every leaf to the next: as many flows come down to a leaf, spread as evenly, as go up."""
    e, route, _ = everyone(LEAF_SPINE)
    found = slowest_flow(route, shift(e, 8), seed=8, n_trials=3_000)
    # The first choice alone would be too fast, and is not told.
    assert found.closed_form is None
    # Flows that meet on the way up are apart on the way down, or nearly so.
    both = hashed_factor(8, 8, n_groups=8)
    assert found.drawn.expected == pytest.approx(both.expected, rel=0.05)
    assert found.drawn.expected < 0.99 * hashed_factor(8, 8, n_groups=4).expected


def test_no_closed_form_where_choices_differ():
    e, route, traffic = everyone(LEAF_SPINE)
    some = np.array([0, 1, 8])
    cases = [
        Demands(traffic.source, traffic.target, traffic.amount),  # amounts
        Demands(some, some + 8, np.ones(3)),  # two flows of one leaf, one of another
        Demands(np.arange(3), np.full(3, 8), np.ones(3)),  # the cable of the receiver binds
    ]
    for flows in cases:
        assert slowest_flow(route, flows, seed=0, n_trials=2).closed_form is None
    e, route, _ = everyone(UNEVEN)
    assert slowest_flow(route, shift(e, 3), seed=0, n_trials=2).closed_form is None  # cables of gpus bind


def test_nothing_sent_has_no_slowest_flow():
    _, route, _ = everyone(STAR)
    stays = Demands(np.array([2]), np.array([2]), np.ones(1))
    assert not hashed_loads(route, stays, seed=0).any()
    with pytest.raises(QuestionError, match="no slowest flow where nothing is sent"):
        slowest_flow(route, stays, seed=0)


def test_questions_without_an_answer():
    _, route, traffic = everyone(STAR)
    with pytest.raises(QuestionError, match="1 queue pair or more, not 0"):
        hashed_loads(route, traffic, seed=0, n_queue_pairs=0)
    with pytest.raises(QuestionError, match="1 draw or more, not 0"):
        slowest_flow(route, traffic, seed=0, n_trials=0)


# Two GPUs and two cards a PCIe switch, a leaf a card, two spines.
TWO_CARDS = """
fabric: two-cards
axes: {node: 3, slot: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [node, slot]}
  psw: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node, slot]}
  leaf: {kind: switch, axes: [slot]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, psw], rate: 800Gb/s, net: host}
  - {between: [psw, nic], rate: 800Gb/s, net: host}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
# Four cards a GPU, each to a leaf of its own, and two spines.
FOUR_CARDS = """
fabric: four-cards
axes: {node: 3, g: 2, card: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [node, g], transit: relay}
  nv: {kind: switch, axes: [node]}
  nic: {kind: nic, axes: [node, g, card]}
  leaf: {kind: switch, axes: [card]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, nv], rate: 900GB/s, net: scale-up}
  - {between: [gpu, nic], rate: 63GB/s}
  - {between: [nic, leaf], rate: 100Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


class TestCards:
    """The library chooses the cards of a flow, hashing what is between them."""

    def on_cards(self, e: Expanded) -> Messages:
        return Messages(e, e.is_endpoint & ~e.failed, index=e.coordinates)

    @pytest.mark.parametrize("n_queue_pairs", [1, 8])
    def test_a_flow_is_on_the_card_of_its_gpu(self, n_queue_pairs):
        e = expand(loads(TWO_CARDS))
        names = list(e.names)
        ends = (np.array([names.index(f"node{n}/gpu0")]) for n in (0, 1))
        one = Demands(*ends, np.ones(1))
        for seed in range(20):
            found = hashed_loads(self.on_cards(e), one, seed=seed, n_queue_pairs=n_queue_pairs)
            used = {names[end] for b in np.flatnonzero(found) // 2 for end in (e.tail[b], e.head[b])}
            assert {name for name in used if "nic" in name} == {"node0/nic0", "node1/nic0"}
            assert found.sum() == pytest.approx(6)

    @pytest.mark.some(1)
    @pytest.mark.parametrize("text", [TWO_CARDS, FOUR_CARDS, RELAY], ids=title)
    def test_draws_are_the_equal_split_on_average(self, text):
        e = expand(loads(text))
        messages = self.on_cards(e)
        flows = shift(e, 1)
        split = message_loads(messages, flows)
        drawn = [hashed_loads(messages, flows, seed=seed, n_queue_pairs=4) for seed in range(100)]
        assert np.mean(drawn, axis=0) == pytest.approx(split, abs=0.2 * split.max())
        # On cards nothing is drawn.
        on_card = np.array([g.kind == "nic" for g in e.groups])[e.group]
        fixed = np.repeat(on_card[e.tail] | on_card[e.head], 2)
        assert fixed.any()
        np.testing.assert_allclose(drawn, np.where(fixed, split, drawn))

    def test_uplinks_of_leaves_are_balls_into_bins(self):
        """A flow a GPU over its card: of each leaf, eight on eight cables."""
        text = LEAF_SPINE.replace("pod: 4", "pod: 18")
        e = expand(loads(text))
        flows = Demands(np.arange(16), 16 + 8 * np.arange(16), np.ones(16))
        plain = slowest_flow(router(e, e.is_endpoint), flows, seed=8, n_trials=1_000)
        found = slowest_flow(self.on_cards(e), flows, seed=8, n_trials=1_000)
        assert found.closed_form == plain.closed_form == hashed_factor(8, 8, n_groups=2)
        assert found.drawn.expected == pytest.approx(plain.drawn.expected, rel=0.02)
        assert found.n_flows == plain.n_flows == 16

    def test_rates(self):
        e = expand(loads(FOUR_CARDS))
        # One message alone is a quarter on each of four cards of 100 Gb/s: no two meet, as leaves are theirs.
        found = flow_rates(self.on_cards(e), Demands(np.array([0]), np.array([2]), np.ones(1)), seed=3)
        assert found == pytest.approx(np.array([[400.0]]))
        assert slowest_flow(self.on_cards(e), shift(e, 2), seed=0, n_trials=1).n_flows == 4 * 6

    def test_what_has_no_path_is_told_by_its_ends(self):
        e = expand(loads(TWO_CARDS + "failed: [node1/nic]\n"))
        names = list(e.names)
        ends = (np.array([names.index(name)]) for name in ("node0/gpu0", "node1/gpu1"))
        with pytest.raises(QuestionError, match="no permitted path from node0/gpu0 to node1/gpu1"):
            hashed_loads(self.on_cards(e), Demands(*ends, np.ones(1)), seed=0)
