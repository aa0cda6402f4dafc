"""Who may forward: the states and moves against an oracle that judges whole paths by the words of the rules.

The words: paths climb, turn once and descend. A device that turns joins up to up, up to down and down to
down; one that passes never turns; peers keep the half. An end sends and receives only. A relay forwards
between its scale-up network and its way out: outward in the domain of the source, inward in that of the
target, never in a third. What is ``all`` forwards anything.

Four readings. The domain of the source is where the path is until it first leaves its scale-up network,
that of the target where it is once it has entered one for the last time: a path that comes back to where it
began meets strangers there, since the states of many sources cannot tell whose home it is. A path may cross
one device twice, once climbing and once descending: two GPUs on one NIC talk through their leaf. A relay or
an ``all`` holds the data, so a new climb may start there. Peers may be crossed while climbing or while
descending; a source that sends to a peer may mean either.
"""

import itertools
import random

import networkx as nx
import numpy as np
import pytest
from scipy import optimize

from fabric.flow import max_flow
from fabric.graph import expand, forwarding, loads, reachable
from fabric.graph.exchange import from_networkx, to_networkx

PASSING = {"nic": "pass", "host": "pass", "leaf": "turn", "spine": "turn", "nvswitch": "turn"}


def fabric_of(links, **transit):
    """Build a fabric from lines such as ``gpu0 nic0`` (lower, upper) or ``host0 = host1`` (peers).

    A line may end in ``scale-up``, ``oneway`` and a rate; letters before the digits give the kind.
    """
    graph = nx.MultiGraph()
    known = {"gpu": "end", **PASSING, **transit}
    for row, line in enumerate(links.strip().splitlines()):
        left, *rest = line.split()
        is_peer = rest[0] == "="
        right, *words = rest[is_peer:]
        for name in (left, right):
            kind = name.rstrip("0123456789")
            graph.add_node(name, kind=kind, transit=known[kind], endpoint=kind == "gpu")
        rate = next((float(w) for w in words if w.replace(".", "").isdigit()), 1.0)
        data = {"capacity": rate, "net": "scale-up" if "scale-up" in words else "scale-out"}
        if not is_peer:
            data["lower"] = left
        if "oneway" in words:
            data["tail"], data["head"] = left, right
        graph.add_edge(left, right, key=row, **data)
    return from_networkx(graph)


class Words:
    """The rules of forwarding, read from the graph alone."""

    def __init__(self, fabric):
        self.graph = to_networkx(fabric)
        scale_up = nx.Graph()
        scale_up.add_nodes_from(self.graph)
        scale_up.add_edges_from((u, v) for u, v, net in self.graph.edges(data="net") if net == "scale-up")
        self.domain = {v: i for i, part in enumerate(nx.connected_components(scale_up)) for v in part}
        self.endpoints = [v for v, ends in self.graph.nodes(data="endpoint") if ends]
        # The hops out of a device: next device, way, net, edge.
        self.hops = {v: list(self._out(v)) for v in self.graph}

    def _out(self, v):
        if self.graph.nodes[v]["failed"]:
            return
        for _, w, key, data in self.graph.edges(v, keys=True, data=True):
            if data["capacity"] == 0 or data.get("tail", v) != v:
                continue
            way = "peer" if "lower" not in data else "up" if data["lower"] == v else "down"
            yield w, way, data["net"] == "scale-up", (frozenset((v, w)), key)

    def permit(self, source, hops, target):
        """Judge a path: does it keep to the words?"""
        stretch, at = [], source
        for i, ((middle, way, inside, _), (_, _, then_inside, _)) in enumerate(itertools.pairwise(hops)):
            transit = self.graph.nodes[middle]["transit"]
            stretch.append((at, way))
            at = middle
            if transit == "end":
                return False
            if transit == "relay":
                domain = self.domain[source if inside else target]
                at_home = hops[: i + 1] if inside else hops[i + 1 :]
                if inside == then_inside or self.domain[middle] != domain or not all(h[2] for h in at_home):
                    return False
            if transit in ("relay", "all"):
                if not self._climbs_and_descends(stretch):
                    return False
                stretch = []
        stretch.append((at, hops[-1][1]))
        return self._climbs_and_descends(stretch)

    def _climbs_and_descends(self, stretch):
        ways = [way for _, way in stretch]
        for top in range(len(ways) + 1):
            turns = top in (0, len(ways)) or self.graph.nodes[stretch[top][0]]["transit"] == "turn"
            if turns and "down" not in ways[:top] and "up" not in ways[top:]:
                return True
        return False

    def simple_paths(self, source, target):
        """Yield all paths that visit no device twice, permitted or not."""

        def walk(at, seen, hops):
            for hop in self.hops[at]:
                if hop[0] == target:
                    yield (*hops, hop)
                elif hop[0] not in seen:
                    yield from walk(hop[0], seen | {hop[0]}, (*hops, hop))

        yield from walk(source, {source}, ())

    def permitted_paths(self, source, target):
        """Yield all permitted paths that cross a device at most twice and a link once."""

        def walk(at, visits, hops):
            for hop in self.hops[at]:
                more = (*hops, hop)
                if visits.count(hop[0]) == 2 or hop in hops or hop[0] == source:
                    continue
                if not self.permit(source, more, target):
                    continue
                if hop[0] == target:
                    yield more
                else:
                    yield from walk(hop[0], (*visits, hop[0]), more)

        yield from walk(source, (), ())

    def max_flow(self, source, target):
        """Return the most that fits on all permitted paths at once."""
        paths = list(self.permitted_paths(source, target))
        if not paths:
            return 0.0
        links = {}
        rows, columns = [], []
        for column, path in enumerate(paths):
            at = source
            for after, *_, (_, key) in path:
                rows.append(links.setdefault((at, after, key), len(links)))
                columns.append(column)
                at = after
        use = np.zeros((len(links), len(paths)))
        np.add.at(use, (rows, columns), 1.0)
        rates = [self.graph.edges[u, v, key]["capacity"] for u, v, key in links]
        return -optimize.linprog(-np.ones(len(paths)), A_ub=use, b_ub=rates).fun


class Moves:
    """The states and moves of `forwarding` for one pair."""

    def __init__(self, fabric, source, target, **options):
        e = expand(fabric)
        names = list(e.names)
        sides = [np.array([name == side for name in names]) for side in (source, target)]
        self.moves = forwarding(e, *sides, **options)
        self.start = self.moves.source[names.index(source)]
        self.end = self.moves.target[names.index(target)]
        self.after = {}
        for tail, head, link in zip(self.moves.tail, self.moves.head, self.moves.link, strict=True):
            row = link // 2
            ends = (names[e.tail[row]], names[e.head[row]])
            step = (*(ends if link % 2 == 0 else ends[::-1]), e.rules[e.rule[row]].key) if link >= 0 else None
            self.after.setdefault((tail, step), []).append(head)

    def accept(self, source, hops):
        """Return whether the moves follow these hops to the target."""
        states, at = {self.start}, source
        for name, *_, (_, key) in hops:
            states |= {t for s in states for t in self.after.get((s, None), ())}
            states = {t for s in states for t in self.after.get((s, (at, name, key)), ())}
            at = name
        return self.end in states

    def arrive(self):
        """Return whether the target is reached at all."""
        moves = self.moves
        start = np.zeros(moves.n_states, dtype=bool)
        start[self.start] = True
        return bool(reachable(moves.n_states, moves.tail, moves.head, start)[self.end])


def check(fabric, pairs=None):
    """Compare all paths between `pairs`, by default all endpoints; return how many are permitted."""
    words = Words(fabric)
    n_permitted = 0
    for source, target in pairs or itertools.permutations(words.endpoints, 2):
        if fabric.graph is not None and any(words.graph.nodes[v]["failed"] for v in (source, target)):
            continue
        for through in (True, False):
            moves = Moves(fabric, source, target, through=through)
            for hops in words.simple_paths(source, target):
                path = " ".join([source, *(hop[0] for hop in hops)])
                assert moves.accept(source, hops) == words.permit(source, hops, target), path
                n_permitted += words.permit(source, hops, target)
            assert moves.arrive() == any(True for _ in words.permitted_paths(source, target)), (
                source,
                target,
            )
    return n_permitted


#   gpu0   gpu1          rack 0: nvswitch0, leaf0; rack 1: nvswitch1, leaf0
#    | \   / |           own NICs; a relay goes out by the NIC of a neighbour
#   nic0 nvs nic1
TWO_RACKS = """
gpu0 nvswitch0 scale-up 9
gpu1 nvswitch0 scale-up 9
gpu2 nvswitch1 scale-up 9
gpu3 nvswitch1 scale-up 9
gpu0 nic0
gpu1 nic1
gpu2 nic2
gpu3 nic3
nic0 leaf0
nic2 leaf0
nic1 leaf1
nic3 leaf1
"""

THIRD_RACK = """
gpu0 nvswitch0 scale-up 9
gpu1 nvswitch0 scale-up 9
gpu2 nvswitch1 scale-up 9
gpu3 nvswitch1 scale-up 9
gpu4 nvswitch2 scale-up 9
gpu5 nvswitch2 scale-up 9
gpu1 nic1
gpu2 nic2
gpu3 nic3
gpu4 nic4
nic1 leaf0
nic2 leaf0
nic3 leaf1
nic4 leaf1
"""

LEAF_SPINE = """
gpu0 nic0
gpu1 nic1
gpu2 nic2
nic0 leaf0
nic1 leaf1
nic2 leaf2
leaf0 spine0
leaf1 spine0
leaf1 spine1
leaf2 spine1
"""

#   cpu0 = cpu1     two sockets, one NIC and one GPU each
HOST_PEERS = """
gpu0 host0
gpu1 host1
host0 = host1 4
host0 nic0
host1 nic1
nic0 leaf0
nic1 leaf0
"""

LEAF_MESH = """
gpu0 leaf0
gpu1 leaf1
gpu2 leaf2
leaf0 = leaf1
leaf1 = leaf2
leaf0 = leaf2
leaf0 spine0
leaf1 spine0
leaf2 spine0
"""

DRAGONFLY = """
gpu0 leaf0
gpu1 leaf1
gpu2 leaf2
gpu3 leaf3
leaf0 = leaf1
leaf2 = leaf3
leaf1 = leaf2
leaf0 = leaf3
"""

ONEWAY = """
gpu0 leaf0 oneway
leaf1 = leaf0
gpu1 leaf1
gpu0 = gpu2 oneway
gpu2 leaf1 oneway
"""

RING = """
gpu0 = gpu1
gpu1 = gpu2
gpu2 = gpu3
gpu3 = gpu0
gpu1 leaf0
gpu3 leaf0
"""


@pytest.mark.parametrize(
    ("links", "gpu"),
    [
        pytest.param(TWO_RACKS, "relay", id="two racks with relays"),
        pytest.param(TWO_RACKS, "end", id="two racks without"),
        pytest.param(TWO_RACKS, "all", id="two racks that forward anything"),
        pytest.param(THIRD_RACK, "relay", id="a third rack between"),
        pytest.param(LEAF_SPINE, "end", id="leaf and spine"),
        pytest.param(HOST_PEERS, "end", id="host to host"),
        pytest.param(LEAF_MESH, "end", id="leaf mesh below a spine"),
        pytest.param(DRAGONFLY, "end", id="dragonfly"),
        pytest.param(ONEWAY, "end", id="one-way"),
        pytest.param(ONEWAY, "all", id="one-way chips"),
        pytest.param(RING, "all", id="ring of chips"),
    ],
)
def test_every_path_is_judged_by_the_words(links, gpu):
    assert check(fabric_of(links, gpu=gpu)) > 0


@pytest.mark.parametrize(
    ("links", "gpu", "path", "permitted"),
    [
        (TWO_RACKS, "relay", "gpu0 nvswitch0 gpu1", True),
        (TWO_RACKS, "relay", "gpu0 nvswitch0 gpu1 nic1 leaf1 nic3 gpu3", True),
        (TWO_RACKS, "relay", "gpu0 nvswitch0 gpu1 nic1 leaf1 nic3 gpu3 nvswitch1 gpu2", True),
        (TWO_RACKS, "end", "gpu0 nvswitch0 gpu1 nic1 leaf1 nic3 gpu3", False),
        (TWO_RACKS, "relay", "gpu0 nic0 leaf0 nic2 gpu2 nvswitch1 gpu3", True),
        (THIRD_RACK, "relay", "gpu0 nvswitch0 gpu1 nic1 leaf0 nic2 gpu2 nvswitch1 gpu3", True),
        (THIRD_RACK, "relay", "gpu1 nic1 leaf0 nic2 gpu2 nvswitch1 gpu3 nic3 leaf1 nic4 gpu4", False),
        (LEAF_SPINE, "end", "gpu0 nic0 leaf0 spine0 leaf1 nic1 gpu1", True),
        (LEAF_SPINE, "end", "gpu0 nic0 leaf0 spine0 leaf1 spine1 leaf2 nic2 gpu2", False),
        (HOST_PEERS, "end", "gpu0 host0 host1 gpu1", False),
        (HOST_PEERS, "end", "gpu0 host0 nic0 leaf0 nic1 host1 gpu1", True),
        (LEAF_MESH, "end", "gpu0 leaf0 leaf1 spine0 leaf2 gpu2", True),
        (LEAF_MESH, "end", "gpu0 leaf0 spine0 leaf1 leaf2 gpu2", True),
        (DRAGONFLY, "end", "gpu0 leaf0 leaf1 leaf2 leaf3 gpu3", True),
        (ONEWAY, "end", "gpu1 leaf1 leaf0 gpu0", False),
        (RING, "all", "gpu0 gpu1 leaf0 gpu3", True),
    ],
)
def test_named_paths(links, gpu, path, permitted):
    source, *names = path.split()
    fabric = fabric_of(links, gpu=gpu)
    hops, at = [], source
    for name in names:
        hop = next((h for h in Words(fabric).hops[at] if h[0] == name), (name, "", False, (None, None)))
        hops.append(hop)
        at = name
    assert Moves(fabric, source, at).accept(source, hops) == permitted


@pytest.mark.parametrize(
    ("links", "pair"),
    [
        pytest.param(
            "gpu0 nic0\ngpu1 nic0\nnic0 leaf0\n", None, id="two GPUs on a NIC talk through the leaf"
        ),
        pytest.param("gpu0 nic0\ngpu1 nic0", ("gpu0", "gpu1"), id="no turn in a NIC"),
        pytest.param("gpu0 host0\ngpu1 host0", ("gpu0", "gpu1"), id="no turn in a host"),
        pytest.param(
            "gpu0 leaf0\nnic0 leaf0\nnic0 leaf1\ngpu1 leaf1", ("gpu0", "gpu1"), id="no leaf, NIC, other leaf"
        ),
        pytest.param(
            "gpu0 leaf0\ngpu2 leaf0\ngpu2 leaf1\ngpu1 leaf1", ("gpu0", "gpu1"), id="no way through a GPU"
        ),
    ],
)
def test_hairpins(links, pair):
    fabric = fabric_of(links)
    if pair is None:
        assert check(fabric) == 0  # no simple path
        assert max_flow(fabric, "gpu0", "gpu1").value_gbps == 1.0
    else:
        assert not Moves(fabric, *pair).arrive()
        assert max_flow(fabric, *pair).value_gbps == 0.0
        assert max_flow(fabric, *pair, paths="any").value_gbps == 1.0


def test_a_file_has_the_same_moves():
    text = """
    fabric: two-racks
    axes: {rack: 2, slot: 2, spine: 2}
    devices:
      gpu: {kind: gpu, axes: [rack, slot], transit: relay}
      nvswitch: {kind: switch, axes: [rack]}
      cpu: {kind: host, axes: [rack, slot]}
      nic: {kind: nic, axes: [rack, slot]}
      leaf: {kind: switch, axes: [slot]}
    links:
      - {between: [gpu, nvswitch], rate: 900GB/s, net: scale-up}
      - {between: [gpu, cpu], rate: 100Gb/s, net: host}
      - {between: [cpu, cpu], rate: 50Gb/s, net: host, mesh: slot, peer: true}
      - {between: [cpu, nic], rate: 400Gb/s, net: host}
      - {between: [nic, leaf], rate: 400Gb/s}
    """
    assert check(loads(text)) > 100


def random_fabric(seed):
    """Build a small fabric at random: GPUs of one transit or mixed, NICs, hosts, leaves, spines, peers."""
    rng = random.Random(seed)
    graph = nx.MultiGraph()
    layers = {
        "gpu": rng.randint(2, 4),
        "nic": rng.randint(0, 2),
        "host": rng.randint(0, 2),
        "leaf": rng.randint(1, 2),
        "spine": rng.randint(0, 1),
        "nvswitch": rng.randint(0, 1),
    }
    endpoint_rules = rng.choice([["end"], ["relay"], ["relay"], ["all"], ["end", "relay", "all"]])
    for kind, n in layers.items():
        for i in range(n):
            transit = rng.choice(endpoint_rules) if kind == "gpu" else PASSING[kind]
            graph.add_node(f"{kind}{i}", kind=kind, transit=transit, endpoint=kind == "gpu", failed=False)
    for lower, upper in itertools.combinations(graph, 2):
        kinds = [v.rstrip("0123456789") for v in (lower, upper)]
        inside = kinds == ["gpu", "nvswitch"] or (kinds == ["gpu", "gpu"] and rng.random() < 0.5)
        if ("nvswitch" in kinds and not inside) or rng.random() > (0.5 if kinds[0] != kinds[1] else 0.3):
            continue
        count = rng.randint(1, 3)
        data = {
            "rate_gbps": rng.choice([1.0, 2.0, 0.5, 8 / 3]),
            "count": count,
            "failed_count": rng.choice([0, 0, 0, 1]),
            "net": "scale-up" if inside else rng.choice(["host", "scale-out"]),
        }
        if kinds[0] != kinds[1]:
            data["lower"] = lower
        if rng.random() < 0.1:
            data["tail"], data["head"] = lower, upper
        graph.add_edge(lower, upper, key=rng.choice("ab"), **data)
    if rng.random() < 0.2:
        graph.nodes[rng.choice(list(graph))]["failed"] = True
    return from_networkx(graph)


@pytest.mark.seeds(1, of=12)
def test_random_paths_are_judged_by_the_words(seed):
    assert sum(check(random_fabric(25 * seed + i)) for i in range(25)) > 500


@pytest.mark.seeds(1, of=75)
def test_max_flow_is_what_fits_on_permitted_paths(seed):
    for number in range(4 * seed, 4 * seed + 4):
        fabric = random_fabric(1000 + number)
        words = Words(fabric)
        for source, target in itertools.islice(itertools.permutations(words.endpoints, 2), 4):
            answer = max_flow(fabric, source, target)
            expected = words.max_flow(source, target)
            assert answer.value_gbps == pytest.approx(expected, rel=1e-9, abs=1e-12), (number, source, target)
            # Two that failures cut off from one another are told so; two that no cable ever joined have 0.
            assert answer.status == "optimal" or (expected == 0 and answer.status == "cut off")


@pytest.mark.some(2)
@pytest.mark.parametrize("links", [TWO_RACKS, THIRD_RACK, LEAF_SPINE, HOST_PEERS, LEAF_MESH, DRAGONFLY, RING])
@pytest.mark.parametrize("gpu", ["end", "relay", "all"])
def test_max_flow_of_the_drawn_fabrics(links, gpu):
    fabric = fabric_of(links, gpu=gpu)
    words = Words(fabric)
    for source, target in itertools.permutations(words.endpoints, 2):
        answer = max_flow(fabric, source, target)
        assert answer.value_gbps == pytest.approx(words.max_flow(source, target), rel=1e-9)
        assert answer.status == "optimal"


def test_any_path_at_all():
    fabric = fabric_of(LEAF_SPINE)
    assert Moves(fabric, "gpu0", "gpu2", paths="rules").arrive() is False
    assert Moves(fabric, "gpu0", "gpu2", paths="any").arrive() is True


def test_bystanders_do_not_relay():
    fabric = fabric_of(TWO_RACKS, gpu="relay")
    e = expand(fabric)
    names = list(e.names)
    job = np.isin(names, ["gpu0", "gpu3"])
    for bystanders in (True, False):
        moves = forwarding(e, job, job, bystanders=bystanders)
        inside = {names[v] for v, (role, _) in zip(moves.device, moves.role, strict=True) if "relay" in role}
        assert inside == ({"gpu0", "gpu1", "gpu2", "gpu3"} if bystanders else {"gpu0", "gpu3"})


def test_links_without_capacity_and_failed_devices_have_no_moves():
    graph = nx.Graph()
    graph.add_node("x", failed=True)
    graph.add_edge("a", "b", capacity=0.0)
    graph.add_edge("a", "x", capacity=1.0)
    graph.add_edge("x", "b", capacity=1.0)
    graph.add_edge("a", "c", rate_gbps=1.0, count=2, failed_count=2)
    graph.add_edge("c", "b", rate_gbps=1.0, count=2, failed_count=1)
    e = expand(from_networkx(graph))
    everything = np.ones(e.n_devices, dtype=bool)
    moves = forwarding(e, everything, everything)
    used = {tuple(sorted((e.names[e.tail[i]], e.names[e.head[i]]))) for i in moves.link[moves.link >= 0] // 2}
    assert used == {("b", "c")}
    assert (moves.link_capacity()[moves.link[moves.link >= 0]] == 1.0).all()


def test_a_graph_without_edges_or_nodes():
    for graph in (nx.Graph(), nx.empty_graph(3)):
        e = expand(from_networkx(graph))
        everything = np.ones(e.n_devices, dtype=bool)
        assert len(forwarding(e, everything, everything).tail) == 0
