"""Islands and reachability, judged on a few devices of every class, against a search of all of them."""

import itertools
import json
import math
import random
import re

import networkx as nx
import numpy as np
import pytest

from fabric.blueprint import loads_blueprint
from fabric.errors import TopologyError
from fabric.graph import Fabric, expand, forwarding, loads, reach

# A random fabric as plain data, read here with nothing but loops.

TIERS = ("gpu", "nic", "leaf", "spine")
TRANSIT = {"nic": "pass", "leaf": "turn", "spine": "turn"}


def random_file(rng):
    axes = {a: rng.choice([1, 2, 2, 3, 4, 5]) for a in "abc"}
    devices, links = {}, []
    for tier in TIERS:
        place = [a for a in axes if rng.random() < 0.55]
        while math.prod(axes[a] for a in place) > 20:
            place.pop()
        transit = rng.choice(["end", "all", "all"]) if tier == "gpu" else TRANSIT[tier]
        devices[tier] = {"kind": "gpu" if tier == "gpu" else "switch", "axes": place, "transit": transit}
    for low, high in [*itertools.pairwise(TIERS), ("gpu", "leaf"), ("nic", "spine")]:
        if rng.random() < (0.85 if TIERS.index(high) == TIERS.index(low) + 1 else 0.2):
            pair = [low, high] if rng.random() < 0.85 else [high, low]
            link = {"between": [pinned(rng, devices, axes, g) for g in pair]}
            shared = sorted(set(devices[low]["axes"]) & set(devices[high]["axes"]))
            if shared and rng.random() < 0.3:
                link["mesh"] = rng.choice(shared)
            links.append(link)
    for tier in TIERS:
        if devices[tier]["axes"] and rng.random() < 0.25:
            kind = rng.choice(["mesh", "mesh", "ring", "line"])
            links.append({"between": [tier, tier], kind: rng.choice(devices[tier]["axes"])})
    for number, link in enumerate(links):
        link |= {"name": f"r{number}", "rate": "1Gb/s", "oneway": rng.random() < 0.07}
    absent = [pinned(rng, devices, axes, rng.choice(TIERS), 1) for _ in range(rng.choice([0, 0, 1, 2]))]
    file = {"fabric": "random", "axes": axes, "devices": devices, "links": links}
    return file | ({"absent": absent} if absent else {})


def pinned(rng, devices, axes, group, chance=0.1):
    """Return a selector of `group`, now and then of one index, or a range of them, of an axis."""
    if not devices[group]["axes"] or rng.random() > chance:
        return group
    axis = rng.choice(devices[group]["axes"])
    lo = rng.randrange(axes[axis])
    hi = rng.randrange(lo, axes[axis])
    return f"{axis}{lo}-{hi}/{group}" if hi > lo else f"{axis}{lo}/{group}"


class Search:
    """Every device and cable of a file, and the paths between devices."""

    def __init__(self, file):
        self.file = file
        self.devices = {
            (group, index)
            for group, item in file["devices"].items()
            for index in itertools.product(*(range(file["axes"][a]) for a in item["axes"]))
            if not any(self.fits((group, index), text) for text in file.get("absent", ()))
        }
        self.hops = {v: [] for v in self.devices}
        for link in file["links"]:
            for v, w in self.joined(link):
                is_peer = v[0] == w[0]
                self.hops[v].append((w, "peer" if is_peer else "up"))
                if not link["oneway"]:
                    self.hops[w].append((v, "peer" if is_peer else "down"))

    def at(self, device):
        return dict(zip(self.file["devices"][device[0]]["axes"], device[1], strict=True))

    def fits(self, device, text):
        *term, group = text.split("/")
        if group != device[0]:
            return False
        for axis, lo, hi in (re.fullmatch(r"([abc])(\d+)(?:-(\d+))?", t).groups() for t in term):
            if not int(lo) <= self.at(device)[axis] <= int(hi or lo):
                return False
        return True

    def joined(self, link):
        """Yield the pairs of devices that a rule joins."""
        sides = [[v for v in sorted(self.devices) if self.fits(v, text)] for text in link["between"]]
        kind = next((k for k in ("mesh", "ring", "line") if k in link), None)
        terms = [text.split("/")[0] if "/" in text else "" for text in link["between"]]
        pins = [{t[0]} if t and "-" not in t else set() for t in terms]
        for v, w in itertools.product(*sides):
            x, y = self.at(v), self.at(w)
            free = (pins[0] & pins[1]) | ({link[kind]} if kind else set())
            if v == w or any(x[a] != y[a] for a in x.keys() & y.keys() - free):
                continue
            i, j, n = (x[link[kind]], y[link[kind]], self.file["axes"][link[kind]]) if kind else (0, 0, 0)
            if kind is None or {"mesh": i != j, "ring": j == (i + 1) % n, "line": j == i + 1}[kind]:
                yield v, w

    def islands(self):
        """Return the islands that have an endpoint."""
        graph = nx.Graph()
        graph.add_nodes_from(self.devices)
        graph.add_edges_from((v, w) for v, hops in self.hops.items() for w, _ in hops)
        return [part for part in nx.connected_components(graph) if any(v[0] == "gpu" for v in part)]

    def reached(self, source):
        """Return the devices that a path from `source` ends at: it climbs, turns once and descends."""
        start = (source, "free")
        seen, stack = {start}, [start]
        while stack:
            at, half = stack.pop()
            transit = self.file["devices"][at[0]]["transit"] if (at, half) != start else "all"
            for to, way in self.hops[at]:
                halves = ["up", "down"] if way == "peer" else [way]
                if transit == "end" or (half == "down" and way == "up"):
                    continue
                if transit == "pass" and way != "peer" and way != half:
                    continue
                if way == "peer" and half != "free":
                    halves = [half]
                if self.file["devices"][to[0]]["transit"] == "all":
                    halves = ["free"]
                new = {(to, h) for h in halves} - seen
                seen |= new
                stack += new
        return {at for at, _ in seen - {start}}

    def lost(self):
        """Return the pairs of endpoints of one island of which one cannot reach the other."""
        found = set()
        for part in self.islands():
            ends = {v for v in part if v[0] == "gpu"}
            for v in ends:
                found |= {(v, w) for w in ends - {v} - self.reached(v)}
        return found

    def name(self, device):
        group, index = device
        words = [f"{a}{i}" for a, i in zip(self.file["devices"][group]["axes"], index, strict=True)]
        return "/".join([*words[:-1], f"{group}{index[-1] if index else ''}"])


def told(file, n_islands):
    """Return what is wrong with `file`, which says so many islands."""
    try:
        fabric = loads(json.dumps(file | {"islands": n_islands}))
    except TopologyError as error:
        return error.problems
    assert fabric.skipped == ()
    return ()


def is_of_reach(problem):
    return re.search("islands|cannot reach|endpoint", problem.what)


@pytest.mark.parametrize("block", [pytest.param(b, marks=[pytest.mark.slow] if b else []) for b in range(24)])
def test_all_devices_searched_one_by_one(block):
    n_lost = n_apart = n_sound = 0
    for seed in range(block * 20, block * 20 + 20):
        file = random_file(random.Random(seed))
        search = Search(file)
        n_islands = len(search.islands())
        problems = told(file, n_islands)
        if any(not is_of_reach(p) for p in problems):  # a rule that joins nothing
            continue
        lost = search.lost()
        assert bool(problems) == bool(lost), (seed, file, problems)
        if lost:
            (problem,) = problems
            source, target = re.fullmatch(r"(\S+) cannot reach (\S+) under.*", problem.what).groups()
            by_name = {(search.name(v), search.name(w)) for v, w in lost}
            assert (source, target) in by_name, seed
            assert problem.got == f"{sum(v == source for v, _ in by_name)} gpu out of reach", seed
        others = told(file, n_islands + 1)
        said = f"got {n_islands}; expected {n_islands + 1}" if n_islands else "absent"
        assert said in str(others[0]), seed
        n_lost, n_apart, n_sound = n_lost + bool(lost), n_apart + (n_islands > 1), n_sound + (not lost)
    assert block or min(n_lost, n_apart, n_sound) > 0  # of other twenty by chance all may be sound


def with_relays(rng, file):
    """Let GPUs relay between some rules that are scale-up and the others; part of them forward anything."""
    chip = [a for a in file["axes"] if rng.random() < 0.6]
    file["devices"]["chip"] = {"kind": "switch", "axes": chip, "transit": "turn"}
    file["devices"]["gpu"]["transit"] = "relay"
    file["links"].append({"between": ["gpu", "chip"], "name": "rc", "rate": "1Gb/s", "oneway": False})
    if rng.random() < 0.4:
        place = file["devices"]["gpu"]["axes"][:1]
        file["devices"]["tpu"] = {"kind": "gpu", "axes": place, "transit": rng.choice(["all", "end"])}
        for to in ("chip", "leaf"):
            file["links"].append({"between": ["tpu", to], "name": f"t{to}", "rate": "1Gb/s"})
    for link in file["links"]:
        if "chip" in link["between"] or rng.random() < 0.1:
            link["net"] = "scale-up"
    return file


def lost_on_all(text):
    """Return the pairs of endpoints that no move joins, of one group and island, by name."""
    e = expand(Fabric("a", loads_blueprint(text)))
    moves = forwarding(e, e.is_endpoint, e.is_endpoint)
    graph, cables = nx.DiGraph(), nx.Graph()
    graph.add_nodes_from(range(moves.n_states))
    graph.add_edges_from(zip(moves.tail.tolist(), moves.head.tolist(), strict=True))
    cables.add_nodes_from(range(e.n_devices))
    cables.add_edges_from(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    found = set()
    parts = [{v for v in part if e.is_endpoint[v]} for part in nx.connected_components(cables)]
    for ends in (part for part in parts if part):
        for v in ends:
            seen = nx.descendants(graph, int(moves.source[v]))
            alike = {w for w in ends - {v} if e.group[w] == e.group[v]}
            found |= {(e.names[v], e.names[w]) for w in alike if int(moves.target[w]) not in seen}
    return found, sum(map(bool, parts))


@pytest.mark.parametrize("block", [pytest.param(b, marks=[pytest.mark.slow] if b else []) for b in range(18)])
def test_relays_are_followed_as_on_all_devices(block):
    n_lost = n_sound = 0
    for seed in range(block * 20, block * 20 + 20):
        rng = random.Random(seed)
        file = with_relays(rng, random_file(rng))
        try:
            lost, n_islands = lost_on_all(json.dumps(file))
        except TopologyError:  # a rule that joins nothing
            continue
        problems = told(file, n_islands)
        assert bool(problems) == bool(lost), (seed, file, problems)
        for problem in problems:
            source, target = re.fullmatch(r"(\S+) cannot reach (\S+) under.*", problem.what).groups()
            assert (source, target) in lost, seed
            group = re.fullmatch(r"([\d,]+) [gt]pu out of reach", problem.got)
            assert int(group[1]) == sum(v == source for v, _ in lost), seed
        n_lost, n_sound = n_lost + bool(lost), n_sound + (not lost)
    assert block or min(n_lost, n_sound) > 0


# Named cases.

REVERSED = """\
fabric: b
axes: {box: %s}
devices:
  gpu:  {kind: gpu, axes: [box], transit: %s}
  nic:  {kind: nic, axes: [box]}
  leaf: {kind: switch, axes: []}
links:
  - {between: [gpu, nic], rate: 400Gb/s}
  - {between: [leaf, nic], rate: 400Gb/s}
"""


@pytest.mark.parametrize("transit", ["all", "end"])
@pytest.mark.parametrize("size", [2, 4, 1_000_000])
def test_a_rule_written_the_wrong_way_round(size, transit):
    text = REVERSED % (size, transit)
    with pytest.raises(TopologyError, match="gpu0 cannot reach gpu1 under the path rules") as caught:
        loads(text)
    assert caught.value.problems[0].got == f"{size - 1:,} gpu out of reach"
    assert loads(text.replace("leaf, nic", "nic, leaf")).skipped == ()


def test_a_torus_whose_chips_reach_one_another_by_the_network_only_one_way():
    text = "{fabric: t, axes: {x: 6}, devices: {gpu: {kind: gpu, axes: [x], transit: all}}, links: ["
    text += "{between: [gpu, gpu], %s: x, rate: 1Gb/s, oneway: true}]}"
    assert loads(text % "ring").skipped == ()
    with pytest.raises(TopologyError, match="gpu1 cannot reach gpu0 .*got 1 gpu out of reach"):
        loads(text % "line")


def test_islands_of_a_million_are_counted():
    pods = "{fabric: p, islands: %s, axes: {pod: 5000, rack: 20, slot: 10}, devices: {"
    pods += "gpu: {kind: gpu, axes: [pod, rack, slot]}, leaf: {kind: switch, axes: [pod, slot]}},"
    pods += "links: [{between: [gpu, leaf], rate: 1Gb/s}], absent: [pod0/slot0/gpu, pod1-7/leaf3]}"
    # A rail is an island, if it has GPUs; without its leaf each of its GPUs is one.
    n = 5000 * 10 - 1 - 7 + 7 * 20
    assert loads(pods % n).skipped == ()
    with pytest.raises(TopologyError, match=f"more islands than the file says; got {n}; expected 4; one end"):
        loads(pods % 4)


def test_a_mesh_between_two_groups_needs_three_places_to_be_one():
    text = "{fabric: m, islands: %s, axes: {x: %s}, devices: {gpu: {kind: gpu, axes: [x]},"
    text += "sw: {kind: switch, axes: [x]}}, links: [{between: [gpu, sw], mesh: x, rate: 1Gb/s}]}"
    assert (
        loads(text % (2, 2)).skipped == loads(text % (1, 3)).skipped == loads(text % (1, 10**6)).skipped == ()
    )


def test_the_moves_that_are_followed_are_limited(monkeypatch):
    monkeypatch.setattr(reach, "STEPS_LIMIT", 10)
    (missed,) = loads(REVERSED.replace("leaf, nic", "nic, leaf") % (4, "all")).skipped
    assert re.fullmatch(r"reachability: \d classes of endpoints on \d+ moves .* 10 steps .*", missed)


SWITCHES = "{fabric: s, axes: {i: 3}, devices: {%s}, links: [{between: [box, leaf], rate: 1Gb/s}]%s}"
BOX = "box: {kind: %s, axes: [i]}, leaf: {kind: switch, axes: []}"


def test_a_file_without_endpoints_says_so():
    text = SWITCHES % (BOX % "host", "")
    with pytest.raises(TopologyError, match="no device is an endpoint.*or say islands: 0") as caught:
        loads(text)
    assert caught.value.problems[0].col == text.index("{box") + 1
    with pytest.raises(TopologyError, match="no device is an endpoint"):
        loads("fabric: nothing\n")
    assert loads(SWITCHES % (BOX % "host", ", islands: 0")).skipped == ()


def test_a_file_whose_endpoints_are_all_absent_says_so():
    text = SWITCHES % (BOX % "gpu", ", absent: [box0-1, %s]")
    with pytest.raises(TopologyError, match="every endpoint is absent.*or say islands: 0") as caught:
        loads(text % "box2")
    assert caught.value.problems[0].col == text.index("[box0-1") + 1
    assert loads((text % "box2").replace("fabric: s", "fabric: s, islands: 0")).skipped == ()


def test_no_islands_where_there_are_endpoints():
    text = SWITCHES % (BOX % "gpu", ", islands: 0")
    with pytest.raises(TopologyError, match="more islands than the file says; got 1; expected 0"):
        loads(text)


def test_a_long_chain_is_checked_in_sources_that_start_alike(monkeypatch):
    """Each chip has one way on, to the same line of switches: 75,000 were too many, one is followed."""
    chain = """{fabric: chain, axes: {x: 6000}, devices: {gpu: {kind: gpu, axes: [x]},
      sw: {kind: switch, axes: [x]}}, links: [{between: %s, rate: 1Gb/s, name: own},
      {between: [sw, sw], line: x, rate: 1Gb/s}]}"""
    monkeypatch.setattr(reach, "STEPS_LIMIT", 200_000)
    assert loads(chain % "[gpu, sw]").skipped == ()
    with pytest.raises(TopologyError, match=r"gpu0 cannot reach gpu1 .*5,999 gpu out of reach"):
        loads(chain % "[sw, gpu]")


def test_single_ways_on_may_lead_round_in_a_ring():
    ring = np.array([0, 1, 2, 5]), np.array([1, 2, 0, 0])
    first, second = reach._onward(np.array([5, 4]), *ring).tolist()
    assert first in (0, 1, 2)
    assert second == 4
