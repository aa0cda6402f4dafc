"""Equal split per hop against an oracle that lists every shortest permitted path.

The oracle knows physical walks only: it lists all walks of one length, judges each by the words of the path
rules, and splits every demand over the cables that go on from each beginning of a path.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import networkx as nx
import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.graph import Expanded, Fabric, expand, loads
from fabric.graph.exchange import from_networkx
from fabric.routing import Demands, ecmp, link_loads, router
from fabric.routing.ecmp import route_blocks

Walk = list[tuple[int, int]]
"""Links of a walk, each with the device that it leads to."""


SEEDS = [seed if seed in range(12) else pytest.param(seed, marks=pytest.mark.slow) for seed in range(60)]
"""Of random fabrics; of seed 17 there are very many walks."""


class Walks:
    """Shortest permitted walks between ranks, found by trying all of them."""

    def __init__(self, e: Expanded, ranks: np.ndarray) -> None:
        self.e = e
        self.transit = [e.groups[g].transit for g in e.group]
        stands_by = e.is_endpoint & ~ranks
        self.forwards = ~(e.failed | stands_by)
        self.out: dict[int, list[tuple[int, int]]] = defaultdict(list)
        plain = nx.DiGraph()
        plain.add_nodes_from(range(e.n_devices))
        for b in np.flatnonzero(e.alive > 0).tolist():
            tail, head = int(e.tail[b]), int(e.head[b])
            ways = [(2 * b, tail, head)] + [(2 * b + 1, head, tail)] * (not e.rules[e.rule[b]].is_oneway)
            for link, x, y in ways:
                self.out[x].append((link, y))
                plain.add_edge(x, y)
        self.hops = dict(nx.all_pairs_shortest_path_length(plain.reverse()))
        self.known: dict[tuple[int, int], list[Walk]] = {}

    def way(self, link: int) -> str:
        if self.e.rules[self.e.rule[link // 2]].is_peer:
            return "peer"
        return "down" if link % 2 else "up"

    def is_scale_up(self, link: int) -> bool:
        return self.e.rules[self.e.rule[link // 2]].net == "scale-up"

    def permitted(self, walk: Walk) -> bool:
        """Judge a walk by the devices between its ends."""
        halves = {"up", "down"}
        for i, ((entry, device), (leave, _)) in enumerate(zip(walk[:-1], walk[1:], strict=True)):
            transit = self.transit[device]
            if not self.forwards[device] or transit == "end":
                return False
            if self.way(entry) != "peer":
                halves = (
                    halves & {self.way(entry)} if i == 0 or halves != {"up", "down"} else {self.way(entry)}
                )
            if transit == "relay":
                if not self.relays(walk, i):
                    return False
                halves = {"up", "down"}
            elif transit == "all":
                halves = {"up", "down"}
            else:
                if transit == "turn" and "up" in halves:
                    halves = {"up", "down"}
                if self.way(leave) != "peer":
                    halves = halves & {self.way(leave)}
                if not halves:
                    return False
        return True

    def relays(self, walk: Walk, i: int) -> bool:
        """Judge a relay between links i and i + 1: outward from home, or inward at the target."""
        entry, leave = walk[i][0], walk[i + 1][0]
        if self.way(entry) == "up" or self.way(leave) == "down":
            return False
        before = [self.is_scale_up(link) for link, _ in walk[: i + 1]]
        after = [self.is_scale_up(link) for link, _ in walk[i + 1 :]]
        outward = all(before) and not after[0]
        inward = not before[-1] and all(after)
        return outward or inward

    def shortest(self, source: int, target: int) -> list[Walk]:
        """Return all permitted walks of the least length, up to the length at which none can be."""
        if (source, target) not in self.known:
            self.known[source, target] = self.searched(source, target)
        return self.known[source, target]

    def searched(self, source: int, target: int) -> list[Walk]:
        if source not in self.hops[target]:
            return []
        for length in range(self.hops[target][source], 2 * self.e.n_devices + 1):
            found = [w for w in self.walks(source, target, length) if self.permitted(w)]
            if found:
                return found
            if length > 12:
                break
        return []

    def walks(self, source: int, target: int, length: int) -> list[Walk]:
        """Return the walks of a length that only end in the target and whose beginnings are permitted."""
        front: list[tuple[int, Walk]] = [(source, [])]
        for left in range(length - 1, -1, -1):
            front = [
                (y, [*walk, (link, y)])
                for x, walk in front
                for link, y in self.out[x]
                if self.hops[target].get(y, length) <= left and (y != target or left == 0)
                if self.permitted([*walk, (link, y)])
            ]
        return [walk for _, walk in front]

    def loads(self, demands: Demands) -> np.ndarray:
        """Return the loads of all links, one demand at a time."""
        found = np.zeros(2 * self.e.n_bundles)
        for source, target, amount in zip(demands.source, demands.target, demands.amount, strict=True):
            walks = self.shortest(int(source), int(target))
            assert walks, f"{source} cannot reach {target}"
            self.split(walks, 0, float(amount), found)
        return found

    def split(self, walks: list[Walk], depth: int, amount: float, found: np.ndarray) -> None:
        """Split `amount` over the cables that follow `depth` links common to all `walks`."""
        if depth == len(walks[0]):
            return
        groups: dict[int, list[Walk]] = defaultdict(list)
        for walk in walks:
            groups[walk[depth][0]].append(walk)
        cables = {link: int(self.e.alive[link // 2]) for link in groups}
        for link, group in groups.items():
            share = amount * cables[link] / sum(cables.values())
            found[link] += share
            self.split(group, depth + 1, share, found)


def everyone(fabric: Fabric, seed: int = 0, skip: float = 0.0) -> tuple[Expanded, np.ndarray, Demands]:
    """Return the fabric, the ranks, and random traffic between every ordered pair of them."""
    e = expand(fabric)
    chance = np.random.default_rng(seed)
    ranks = e.is_endpoint & ~e.failed & (chance.random(e.n_devices) >= skip)
    ends = np.flatnonzero(ranks)
    source, target = np.repeat(ends, len(ends)), np.tile(ends, len(ends))
    other = source != target
    amount = chance.random(int(other.sum())) + 0.5
    return e, ranks, Demands(source[other], target[other], amount)


def matches_oracle(fabric: Fabric, seed: int = 0, skip: float = 0.0) -> None:
    e, ranks, traffic = everyone(fabric, seed, skip)
    walks = Walks(e, ranks)
    route = router(e, ranks)
    if skip or e.failed.any() or e.failed_count.any() or fabric.blueprint is None:
        reached = [
            bool(walks.shortest(int(s), int(t))) for s, t in zip(traffic.source, traffic.target, strict=True)
        ]
        for i in np.flatnonzero(~np.array(reached, dtype=np.bool_))[:3].tolist():
            lost = Demands(traffic.source[i : i + 1], traffic.target[i : i + 1], traffic.amount[i : i + 1])
            with pytest.raises(QuestionError, match="no permitted path from"):
                link_loads(route, lost)
        traffic = Demands(traffic.source[reached], traffic.target[reached], traffic.amount[reached])
    np.testing.assert_allclose(link_loads(route, traffic), walks.loads(traffic), rtol=1e-12, atol=1e-12)


TWO_TIER = """
fabric: two-tier
axes: {pod: 2, node: 3, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, node]}
  leaf: {kind: switch, axes: [pod]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: {spine: [1, 3]}}
"""
DUAL_PLANE = """
fabric: dual-plane
axes: {pod: 2, node: 2, plane: 2, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, node]}
  nic: {kind: nic, axes: [pod, node]}
  leaf: {kind: switch, axes: [plane, pod]}
  spine: {kind: switch, axes: [plane, spine]}
links:
  - {between: [gpu, nic], rate: 800Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
RELAY = """
fabric: relay
axes: {rack: 3, slot: 3, chip: 2}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  nvswitch: {kind: switch, axes: [rack, chip]}
  nic: {kind: nic, axes: [rack, slot]}
  leaf: {kind: switch, axes: [slot]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up}
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
"""
RELAY_SPINE = (
    RELAY
    + """  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""
)
RELAY_SPINE = RELAY_SPINE.replace("axes: {", "axes: {spine: 2, ").replace(
    "links:", "  spine: {kind: switch, axes: [spine]}\nlinks:"
)
PCIE = """
fabric: pcie
axes: {node: 2, socket: 2, slot: 2}
devices:
  gpu: {kind: gpu, axes: [node, socket, slot]}
  host: {kind: host, axes: [node, socket]}
  nic: {kind: nic, axes: [node, socket]}
  leaf: {kind: switch, axes: [socket]}
  top: {kind: switch, axes: []}
links:
  - {between: [gpu, host], rate: 128Gb/s}
  - {between: [host, host], mesh: socket, peer: true, name: sockets, rate: 200Gb/s}
  - {between: [host, nic], rate: 400Gb/s}
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, top], rate: 400Gb/s}
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
FULL_MESH = """
fabric: leaf-mesh
axes: {leaf: 4, node: 2}
devices:
  gpu: {kind: gpu, axes: [leaf, node]}
  switch: {kind: switch, axes: [leaf]}
  spine: {kind: switch, axes: []}
links:
  - {between: [gpu, switch], rate: 400Gb/s}
  - {between: [switch, switch], name: sideways, ring: leaf, peer: true, rate: 400Gb/s}
  - {between: [switch, spine], rate: 400Gb/s}
"""
PARALLEL = """
fabric: parallel-rules
axes: {node: 3}
devices:
  gpu: {kind: gpu, axes: [node]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, leaf], name: one, rate: 400Gb/s}
  - {between: [gpu, leaf], name: three, rate: 400Gb/s, count: 3}
"""
HAND_MADE = [TWO_TIER, DUAL_PLANE, RELAY, RELAY_SPINE, PCIE, TORUS, FULL_MESH, PARALLEL]
FAILURES = [
    TWO_TIER + "failed: [spine0]",
    TWO_TIER + "failed: [[pod0/leaf, spine1, 2], [pod1/leaf, spine0]]",
    DUAL_PLANE + "failed: [plane0/leaf0]",
    DUAL_PLANE + "failed: [[nic, plane0/pod0/leaf], [plane1/pod1/leaf, spine0, 1]]",
    RELAY + "failed: [rack0/nic1]",
    RELAY + "failed: [rack0/nic0-1, rack1/chip0/nvswitch, rack2/gpu1]",
    RELAY_SPINE + "failed: [slot0/leaf, [rack1/slot1/gpu, nvswitch]]",
    PCIE + "failed: [node0/socket0/nic]",
    TORUS + "failed: [[x0/y0/gpu, x1/y0/gpu], [x2/y1/gpu, x2/y2/gpu, 1]]",
    FULL_MESH + "failed: [spine]",
]


def title(text: str) -> str:
    return text.split("fabric: ")[1].split("\n")[0] + ("+failed" if "failed:" in text else "")


@pytest.mark.some(8)
@pytest.mark.parametrize("text", [*HAND_MADE, *FAILURES], ids=title)
def test_loads_are_those_of_all_shortest_permitted_paths(text: str) -> None:
    matches_oracle(loads(text))


@pytest.mark.parametrize("text", HAND_MADE, ids=title)
@pytest.mark.parametrize("seed", [1, 2])
def test_loads_of_a_job_on_some_of_the_endpoints(text: str, seed: int) -> None:
    matches_oracle(loads(text), seed, skip=0.3)


def random_fabric(seed: int) -> Fabric:
    """Return tiers of switches with missing, parallel, failed, one-way and sideways cables."""
    chance = random.Random(seed)
    graph = nx.MultiGraph()
    transit = chance.choice(["end", "end", "relay", "all"])
    tiers = {
        "gpu": (5, transit),
        "nic": (chance.choice([0, 3]), "pass"),
        "leaf": (3, "turn"),
        "top": (2, "turn"),
    }
    names = [[f"{kind}{i}" for i in range(n)] for kind, (n, _) in tiers.items() if n]
    chips = [f"chip{i}" for i in range(chance.choice([0, 2]))]
    for name in sum(names, chips):
        kind = name[:-1]
        how = tiers[kind][1] if kind in tiers else "turn"
        graph.add_node(name, kind=kind, transit=how, endpoint=kind == "gpu", group=kind)

    def join(u: str, v: str, **data: object) -> None:
        count = chance.choice([1, 1, 2, 3])
        failed = chance.choice([0, 0, 0, 1])
        graph.add_edge(u, v, f"{u[:-1]}-{v[:-1]}", rate_gbps=100.0, count=count, failed_count=failed, **data)

    for lower, upper in itertools.pairwise(names):
        for u in lower:
            for v in sorted(chance.sample(upper, chance.randint(1, len(upper)))):
                join(u, v, lower=u, **({"tail": u, "head": v} if chance.random() < 0.05 else {}))
        for u, v in itertools.pairwise(upper):
            if chance.random() < 0.3:
                join(u, v)
    for i, u in enumerate(names[0]):
        for v in chips[i // 3 : i // 3 + 1]:
            join(u, v, lower=u, net="scale-up")
    return from_networkx(graph)


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_loads_on_random_tiers(seed: int) -> None:
    matches_oracle(random_fabric(seed), seed, skip=0.2 * (seed % 2))


def peers_only(seed: int) -> Fabric:
    """Return a graph without orientation, where a link may lead to both halves of a device."""
    chance = random.Random(seed)
    graph = nx.MultiGraph(nx.gnm_random_graph(8, 13, seed=seed))
    for v in graph:
        kind, how = chance.choice(
            [("gpu", "end"), ("gpu", "all"), ("gpu", "end"), ("s", "turn"), ("n", "pass")]
        )
        graph.nodes[v].update(kind=kind, transit=how, endpoint=kind == "gpu", group=kind + how)
    for u, v, key, data in graph.edges(keys=True, data=True):
        data.update(rate_gbps=100.0, count=chance.choice([1, 2, 3]))
        if chance.random() < 0.4:
            data["lower"] = chance.choice([u, v])
        graph.edges[u, v, key]["medium"] = str(chance.random())
    return from_networkx(graph)


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_loads_on_random_peers(seed: int) -> None:
    matches_oracle(peers_only(seed), seed)


def test_a_peer_link_to_both_halves_counts_its_cables_once() -> None:
    # One cable leads from s to n, and one to m, and on to t. As n passes, a peer link reaches it climbing and
    # descending at once, while m turns; still half of the traffic takes each.
    graph = nx.MultiGraph()
    for name, how in (("s", "end"), ("t", "end"), ("n", "pass"), ("m", "turn")):
        graph.add_node(
            name, kind="gpu" if how == "end" else how, transit=how, endpoint=how == "end", group=name
        )
    for u, v in (("s", "n"), ("s", "m"), ("n", "t"), ("m", "t")):
        graph.add_edge(u, v, f"{u}{v}", rate_gbps=1.0, count=1)
    e, ranks, _ = everyone(from_networkx(graph))
    found = link_loads(router(e, ranks), Demands(np.array([0]), np.array([1]), np.array([1.0])))
    assert sorted(found[found > 0].tolist()) == [0.5, 0.5, 0.5, 0.5]


@pytest.mark.some(8)
@pytest.mark.parametrize("text", [*HAND_MADE, *FAILURES], ids=title)
def test_bytes_are_conserved(text: str) -> None:
    """What leaves every device is what entered it, and what it sent less what it received."""
    e, ranks, traffic = everyone(loads(text), skip=0.0)
    try:
        found = link_loads(router(e, ranks), traffic)
    except QuestionError:
        assert "failed" in text
        return
    balance = np.zeros(e.n_devices)
    np.add.at(balance, e.tail, found[0::2] - found[1::2])
    np.add.at(balance, e.head, found[1::2] - found[0::2])
    sent = np.bincount(traffic.source, traffic.amount, e.n_devices)
    received = np.bincount(traffic.target, traffic.amount, e.n_devices)
    np.testing.assert_allclose(balance, sent - received, atol=1e-9)
    assert not found[np.repeat(e.alive == 0, 2)].any()
    assert (found >= 0).all()


@pytest.mark.parametrize("text", [DUAL_PLANE, RELAY_SPINE, TORUS], ids=title)
def test_a_symmetric_fabric_has_one_load_per_rule_and_direction(text: str) -> None:
    e, ranks, traffic = everyone(loads(text))
    found = link_loads(
        router(e, ranks), Demands(traffic.source, traffic.target, np.ones(len(traffic.source)))
    )
    for r in range(len(e.rules)):
        ways = [found[0::2][e.rule == r], found[1::2][e.rule == r]]
        for way in ways:
            np.testing.assert_allclose(way, way[0])
        # Uniform traffic sends as much as it receives.
        assert ways[0].sum() == pytest.approx(ways[1].sum())


@pytest.mark.parametrize("text", [*HAND_MADE, *FAILURES[:3]], ids=title)
def test_loads_do_not_depend_on_names_and_order(text: str) -> None:
    e, ranks, traffic = everyone(loads(text))
    chance = np.random.default_rng(7)
    device, bundle = chance.permutation(e.n_devices), np.arange(e.n_bundles)
    for r in range(len(e.rules)):  # rows of a rule stay together
        bundle[e.rule == r] = chance.permutation(bundle[e.rule == r])
    old = np.argsort(device)
    fields = {name: getattr(e, name) for name in e.__dataclass_fields__}
    per_bundle = ("rule", "rate_gbps", "count", "failed_count")
    other = Expanded(
        **{
            **fields,
            **{name: fields[name][bundle] for name in per_bundle},
            "group": e.group[old],
            "failed": e.failed[old],
            "names": [e.names[i] for i in old.tolist()],
            "coordinates": {},
            "tail": device[e.tail][bundle],
            "head": device[e.head][bundle],
        }
    )
    moved = Demands(device[traffic.source][::-1], device[traffic.target][::-1], traffic.amount[::-1])
    found = link_loads(router(e, ranks), traffic).reshape(-1, 2)[bundle]
    np.testing.assert_allclose(link_loads(router(other, ranks[old]), moved).reshape(-1, 2), found, atol=1e-12)


@pytest.mark.parametrize("text", HAND_MADE, ids=title)
def test_loads_are_linear_in_demands(text: str) -> None:
    e, ranks, a = everyone(loads(text), seed=1)
    route = router(e, ranks)
    b = Demands(a.source, a.target, everyone(loads(text), seed=2)[2].amount)
    both = Demands(np.tile(a.source, 2), np.tile(a.target, 2), np.concatenate([3 * a.amount, b.amount]))
    np.testing.assert_allclose(
        link_loads(route, both), 3 * link_loads(route, a) + link_loads(route, b), rtol=1e-12
    )


def test_blocks_of_destinations_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    e, ranks, traffic = everyone(loads(RELAY_SPINE))
    route = router(e, ranks)
    whole = link_loads(route, traffic)
    for columns in (1, 2, 5):
        monkeypatch.setattr(ecmp, "_COLUMNS", columns)
        monkeypatch.setattr(ecmp, "_GATHER", columns)
        np.testing.assert_allclose(link_loads(route, traffic), whole, rtol=1e-12)


@pytest.mark.parametrize("text", [RELAY_SPINE, PCIE, TORUS], ids=title)
def test_destinations_with_far_sources_are_put_off(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    e, ranks, traffic = everyone(loads(text))
    route = router(e, ranks)
    monkeypatch.setattr(ecmp, "_FEW", np.inf)
    at_once = [block.number for block, _ in route_blocks(route, traffic)]
    whole = link_loads(route, traffic)
    monkeypatch.setattr(ecmp, "_FEW", 1)
    monkeypatch.setattr(ecmp, "_COLUMNS", 4)
    told: list[tuple[int, int]] = []
    later = [
        block.number[level.demands]
        for block, levels in route_blocks(route, traffic, progress=lambda *done: told.append(done))
        for level in levels
    ]
    # Every demand starts in one level, and the last destination is done at the end.
    assert sorted(np.concatenate(later).tolist()) == sorted(np.concatenate(at_once).tolist())
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == len(np.unique(traffic.target))
    np.testing.assert_allclose(link_loads(route, traffic), whole, rtol=1e-12)


@pytest.mark.parametrize("is_sparse", [True, False])
def test_states_are_found_by_search_or_by_mark(is_sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecmp, "_is_sparse", lambda *_: is_sparse)
    for text in HAND_MADE:
        matches_oracle(loads(text))
    e, ranks, traffic = everyone(loads(TWO_TIER + "failed: [spine0-1]"))
    with pytest.raises(QuestionError, match="no permitted path from"):
        link_loads(router(e, ranks), traffic)


@pytest.mark.parametrize("text", [TWO_TIER, RELAY_SPINE, TORUS], ids=title)
def test_states_that_lead_from_no_source_are_left_out(text: str) -> None:
    """Where two ranks of many send, the search goes past the others without a state for each."""
    e, ranks, traffic = everyone(loads(text))
    first, second, *_ = np.unique(traffic.source)
    some = np.isin(traffic.source, [first, second])
    few = Demands(traffic.source[some], traffic.target[some], traffic.amount[some])
    route = router(e, ranks)
    is_dead = route.into_first[:-1] == route.into_first[1:]
    is_dead[route.source[[first, second]]] = False
    reached = [level.states for _, levels in route_blocks(route, few) for level in levels[1:]]
    assert not is_dead[np.concatenate(reached)].any()
    # Loads say the same as those of all demands, less those of the others.
    rest = Demands(traffic.source[~some], traffic.target[~some], traffic.amount[~some])
    np.testing.assert_allclose(
        link_loads(route, few), link_loads(route, traffic) - link_loads(route, rest), rtol=1e-12, atol=1e-12
    )


def test_progress_counts_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecmp, "_COLUMNS", 4)
    e, ranks, traffic = everyone(loads(RELAY))
    told: list[tuple[int, int]] = []
    link_loads(router(e, ranks), traffic, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 9), (8, 9), (9, 9)]


def test_an_unreachable_target_names_both_ends() -> None:
    e, ranks, traffic = everyone(loads(TWO_TIER + "failed: [spine0-1]"))
    with pytest.raises(QuestionError, match="no permitted path from pod./gpu. to pod./gpu."):
        link_loads(router(e, ranks), traffic)
    within = Demands(np.array([3, 0]), np.array([5, 4]), np.ones(2))
    with pytest.raises(QuestionError, match="from pod0/gpu0 to pod1/gpu1"):
        link_loads(router(e, ranks), within)


def test_endpoints_outside_the_job_never_forward() -> None:
    # Without the relays of the other slots, rails are the only way: two racks, slot 0 to slot 1, cannot talk.
    e = expand(loads(RELAY))
    names = list(e.names)
    a, b = names.index("rack0/gpu0"), names.index("rack1/gpu1")
    only = np.zeros(e.n_devices, dtype=np.bool_)
    only[[a, b]] = True
    traffic = Demands(np.array([a]), np.array([b]), np.ones(1))
    with pytest.raises(QuestionError, match="no permitted path from rack0/gpu0 to rack1/gpu1"):
        link_loads(router(e, only), traffic)
    only[names.index("rack0/gpu1")] = True
    assert link_loads(router(e, only), traffic).sum() == pytest.approx(6)


def test_traffic_of_a_device_outside_the_job_is_refused() -> None:
    e, ranks, _ = everyone(loads(TWO_TIER))
    ranks[1] = False
    for source, target in ((0, 1), (1, 0)):
        with pytest.raises(QuestionError, match="pod0/gpu1 has traffic, but is not among the ranks"):
            link_loads(router(e, ranks), Demands(np.array([source]), np.array([target]), np.ones(1)))


def test_traffic_that_stays_on_its_device_loads_nothing() -> None:
    e, ranks, _ = everyone(loads(TWO_TIER))
    stays = Demands(np.array([0, 2]), np.array([0, 2]), np.ones(2))
    assert not link_loads(router(e, ranks), stays).any()
    nothing = Demands(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    assert not link_loads(router(e, ranks), nothing).any()


def test_cables_weigh_the_split() -> None:
    # One cable to spine 0 and three to spine 1: a quarter and three quarters of what leaves the pod.
    e, ranks, traffic = everyone(loads(TWO_TIER))
    across = Demands(np.array([0]), np.array([4]), np.array([8.0]))
    found = link_loads(router(e, ranks), across)
    names = list(e.names)
    spine = {names[int(e.head[b])]: found[2 * b] for b in np.flatnonzero(e.rule == 1) if found[2 * b]}
    assert spine == {"spine0": 2.0, "spine1": 6.0}


@pytest.mark.parametrize("twist", [0, 1])
def test_the_average_distance_of_a_torus_is_the_load_per_byte(twist: int) -> None:
    """Every byte loads as many links as it has hops; distances by networkx."""
    n = 5
    rule = "ring: x" if not twist else "ring: x, twist: {y: 1}"
    text = TORUS.replace("x: 4, y: 3", f"x: {n}, y: {n}").replace("ring: x", rule)
    e, ranks, traffic = everyone(loads(text))
    graph = nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    hops = dict(nx.all_pairs_shortest_path_length(graph))
    total = sum(
        a * hops[s][t] for s, t, a in zip(traffic.source, traffic.target, traffic.amount, strict=True)
    )
    assert link_loads(router(e, ranks), traffic).sum() == pytest.approx(total)
