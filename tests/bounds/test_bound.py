"""Bounds of collectives: closed forms, laws, and a program on real links that is written out here."""

import itertools
import json
import random
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from scipy import optimize

from fabric.bounds import groups, packing
from fabric.bounds.bound import OPERATIONS, bound
from fabric.errors import LimitError, QuestionError
from fabric.flow import max_flow
from fabric.flow.certificate import Verdict
from fabric.flow.throughput import throughput
from fabric.graph import expand, fail, load, loads
from fabric.graph.exchange import from_networkx, to_networkx

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
N, RATE = 6, 40.0
STAR = """{fabric: star, axes: {i: 6}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
 links: [{between: [gpu, leaf], rate: 40Gb/s}]}"""
RING = """{fabric: ring, axes: {i: 6}, devices: {gpu: {kind: gpu, axes: [i], transit: all}},
 links: [{between: [gpu, gpu], ring: i, rate: 40Gb/s%s}]}"""

CLOSED = {
    "all-gather": RATE * N / (N - 1),
    "reduce-scatter": RATE * N / (N - 1),
    "all-reduce": RATE * N / (N - 1) / 2,
    "broadcast": RATE,
    "reduce": RATE,
    "all-to-all": RATE * N / (N - 1),
}


@pytest.mark.parametrize("operation", CLOSED)
def test_a_star(operation):
    found = bound(loads(STAR), operation, "1GB")
    assert found.algbw_gbps == pytest.approx(CLOSED[operation], rel=1e-9)
    assert found.time_s == pytest.approx(8 / CLOSED[operation], rel=1e-9)
    assert found.n_ranks == N
    assert found.binding == ("gpu-leaf",)
    assert found.busbw_gbps == pytest.approx(RATE, rel=1e-9)


@pytest.mark.parametrize(
    ("operation", "algbw"),
    [
        ("broadcast", 2 * RATE),
        ("reduce", 2 * RATE),
        ("all-gather", 2 * RATE * N / (N - 1)),
        ("all-reduce", RATE * N / (N - 1)),
    ],
)
def test_a_ring_uses_both_ways(operation, algbw):
    assert bound(loads(RING % ""), operation).algbw_gbps == pytest.approx(algbw, rel=1e-9)


@pytest.mark.parametrize("operation", ["broadcast", "reduce", "all-gather", "reduce-scatter"])
def test_a_ring_of_one_way_cables(operation):
    expected = RATE if operation in ("broadcast", "reduce") else RATE * N / (N - 1)
    found = bound(loads(RING % ", oneway: true"), operation)
    assert found.algbw_gbps == pytest.approx(expected, rel=1e-9)
    assert found.status == "upper bound"


UNEQUAL = """{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},
links: [
  {name: up, between: [%s], oneway: true, rate: 30Gb/s, count: {i: [1, 1, 1, 3]}},
  {name: down, between: [%s], oneway: true, rate: 50Gb/s, count: {i: [2, 1, 2, 1]}}]}"""


def test_a_reduce_scatter_is_an_all_gather_of_reversed_links():
    forward = loads(UNEQUAL % ("gpu, leaf", "leaf, gpu"))
    backward = loads(UNEQUAL % ("leaf, gpu", "gpu, leaf"))
    rates = {}
    for operation, other in (("all-gather", "reduce-scatter"), ("reduce", "broadcast")):
        for one, two in ((operation, other), (other, operation)):
            a = bound(forward, one, paths="any").algbw_gbps
            assert a == pytest.approx(bound(backward, two, paths="any").algbw_gbps, rel=1e-9)
            rates[one] = a
    # GPU 1 takes in 50 at most; three of four send 30.
    assert rates["all-gather"] != pytest.approx(rates["reduce-scatter"])


def test_a_broadcast_is_the_least_flow_to_any_other():
    text = """{fabric: a, axes: {x: 3, y: 3}, devices: {gpu: {kind: gpu, axes: [x, y], transit: all}}, links:
    [
      {name: x, between: [gpu, gpu], line: x, rate: 3Gb/s}, {name: y, between: [gpu, gpu], ring: y, rate:
      2Gb/s}]}"""
    fabric = loads(text)
    root = "x0/gpu1"
    others = [str(n) for n in expand(fabric).names if n != root]
    least = min(max_flow(fabric, root, other).value_gbps for other in others)
    assert bound(fabric, "broadcast", root=root).algbw_gbps == pytest.approx(least, rel=1e-9)
    assert bound(fabric, "reduce", root=root).algbw_gbps == pytest.approx(least, rel=1e-9)
    corner = bound(fabric, "broadcast", root="x1/gpu1")
    assert corner.status == "optimum"


# ---------------------------------------------------------------- the same on real links, written out


class Explicit:
    """One envelope of links for each group and direction, and in it a flow for every rank."""

    def __init__(self, fabric, groups, *, inward, outward):
        e = expand(fabric)
        self.links = [
            (a, b, c)
            for t, h, c in zip(
                e.tail.tolist(), e.head.tolist(), (e.alive * e.rate_gbps).tolist(), strict=True
            )
            for a, b in ((t, h), (h, t))
        ]
        self.n, self.groups = e.n_devices, groups
        self.ends = e.is_endpoint
        self.ways = [w for w, used in (("in", inward), ("out", outward)) if used]
        self.n_columns, self.equal, self.upper = 1, [], []

    def columns(self, n):
        first = self.n_columns
        self.n_columns += n
        return np.arange(first, first + n)

    def conserve(self, x, supply):
        """Add: out minus in is the supply, {node: [(column, factor)]}; a node without entry is free."""
        for v in range(self.n):
            if v not in supply:
                continue
            row = [(x[i], 1.0) for i, (a, _, _) in enumerate(self.links) if a == v]
            row += [(x[i], -1.0) for i, (_, b, _) in enumerate(self.links) if b == v]
            self.equal.append(row + [(c, -f) for c, f in supply[v]])

    def rate(self, *, free_roots):
        m = len(self.links)
        shared = [[] for _ in range(m)]
        for group in self.groups:
            weight = self.columns(len(group))
            self.equal.append([(w, 1.0) for w in weight] + [(0, -1.0)])
            if not free_roots:
                self.equal += [[(w, 1.0), (weight[0], -1.0)] for w in weight[1:]]
            for way in self.ways:
                u = self.columns(m)
                self.conserve(u, {v: [] for v in range(self.n) if not self.ends[v]})
                for i in range(m):
                    shared[i].append((u[i], 1.0))
                for k, rank in enumerate(group):
                    sign = 1.0 if way == "out" else -1.0
                    f = self.columns(m)
                    supply = {v: [] for v in range(self.n)}
                    for w, v in zip(weight, group, strict=True):
                        supply[v] = [(w, sign)]
                    supply[rank] = [(0, -sign), (weight[k], sign)]
                    self.conserve(f, supply)
                    self.upper += [([(f[i], 1.0), (u[i], -1.0)], 0.0) for i in range(m)]
        self.upper += [(row, self.links[i][2]) for i, row in enumerate(shared)]
        a_eq = np.zeros((len(self.equal), self.n_columns))
        a_ub = np.zeros((len(self.upper), self.n_columns))
        for r, row in enumerate(self.equal):
            for c, factor in row:
                a_eq[r, c] += factor
        for r, (row, _) in enumerate(self.upper):
            for c, factor in row:
                a_ub[r, c] += factor
        cost = np.zeros(self.n_columns)
        cost[0] = -1.0
        limits = np.array([limit for _, limit in self.upper])
        return optimize.linprog(cost, a_ub, limits, a_eq, np.zeros(len(a_eq)), method="highs").x[0]


PAIRS = """{fabric: a, axes: {rack: %d, i: %d}, devices: {gpu: {kind: gpu, axes: [rack, i], transit: all},
  box: {kind: switch, axes: [rack]}, rail: {kind: switch, axes: [i]}}, failed: [%s], links: [
  {between: [gpu, box], rate: 7Gb/s}, {between: [gpu, rail], rate: 3Gb/s}]}"""

SHARED = [
    (2, 2, "", ("rack",)),
    (3, 2, "", ("rack",)),
    (3, 2, "", ("i",)),
    (2, 3, "", ()),
    (2, 2, "[rack0/gpu0, rail0]", ()),
    (2, 3, "[rack0/gpu0, rail0]", ()),
    (3, 2, "[rack0/gpu0, rail0]", ("rack",)),
    (3, 2, "[rack0/gpu0, rail0]", ("i",)),
    (3, 3, "rack0/gpu0", ("i",)),
]


@pytest.mark.some(2)
@pytest.mark.parametrize(("n_racks", "n_each", "failed", "over"), SHARED)
@pytest.mark.parametrize("operation", ["all-gather", "reduce-scatter", "all-reduce"])
def test_groups_share_links(n_racks, n_each, failed, over, operation):
    fabric = loads(PAIRS % (n_racks, n_each, failed))
    e = expand(fabric)
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    rest = [a for a in ("rack", "i") if a not in over] if over else []
    keys = [tuple(int(e.coordinates[a][v]) for a in rest) for v in ends]
    groups = [[int(v) for v, k in zip(ends, keys, strict=True) if k == key] for key in dict.fromkeys(keys)]
    found = bound(fabric, operation, over=over, paths="any")
    ways = {"inward": operation != "all-gather", "outward": operation != "reduce-scatter"}
    explicit = Explicit(fabric, groups, **ways)
    assert found.n_ranks == max(map(len, groups))
    assert found.algbw_gbps == pytest.approx(explicit.rate(free_roots=operation == "all-reduce"), rel=1e-8)
    assert found.status == ("optimum" if not over and operation != "all-reduce" else "upper bound")


def lopsided(seed):
    """A twisted torus, or a list of pairs, with chips in every place that are alike or in a mesh."""
    rng = random.Random(seed)
    sizes = {"x": rng.randint(2, 3), "y": rng.randint(2, 3), "c": rng.randint(1, 2)}
    gpus = "gpu: {kind: gpu, axes: [x, y, c], transit: all}, router: {kind: switch, axes: [x, y]}"
    node = rng.choice(["gpu", "router"])
    chain = [[i, i + 1] for i in range(sizes["x"] - 1)]
    along_x = rng.choice(
        [
            f"ring: x, twist: {{y: {rng.randint(1, 2)}}}",
            f"wiring: {{pattern: pairs, along: x, pairs: {chain}}}",
        ]
    )
    links = [f"{{between: [gpu, router], rate: {rng.randint(1, 3)}Gb/s}}"]
    links.append(f"{{between: [{node}, {node}], name: a, {along_x}, rate: 1Gb/s}}")
    links.append(f"{{between: [{node}, {node}], name: b, ring: y, rate: {rng.randint(1, 2)}Gb/s}}")
    if sizes["c"] > 1 and rng.random() < 0.5:
        links.append("{between: [gpu, gpu], name: m, mesh: c, rate: 1Gb/s}")
    text = f"fabric: f\naxes: {sizes}\ndevices: {{{gpus}}}\nlinks: [{', '.join(links)}]\n"
    e = expand(loads(text))
    rows = rng.sample(range(e.n_bundles), rng.randint(0, 1))
    cables = [f"[{e.names[int(e.tail[r])]}, {e.names[int(e.head[r])]}]" for r in rows]
    return loads(text + f"failed: [{', '.join(cables)}]\n")


@pytest.mark.seeds(2, of=24)
def test_wiring_without_axis_symmetry(seed):
    fabric = lopsided(seed)
    operation = ("all-gather", "reduce-scatter")[seed % 2]
    ends = np.flatnonzero(expand(fabric).is_endpoint).tolist()
    ways = {"inward": operation != "all-gather", "outward": operation == "all-gather"}
    explicit = Explicit(fabric, [ends], **ways).rate(free_roots=False)
    assert bound(fabric, operation, paths="any").algbw_gbps == pytest.approx(explicit, rel=1e-8)


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", range(4))
def test_an_all_reduce_over_wiring_without_axis_symmetry(seed):
    """The program where it is small, and parts of the ranks where it is not, which bound it."""
    text = f"""{{fabric: f, axes: {{x: 3, y: 2}}, devices: {{gpu: {{kind: gpu, axes: [x, y], transit: all}}}},
      links: [{{between: [gpu, gpu], name: a, ring: x, twist: {{y: 1}}, rate: {1 + seed}Gb/s}},
              {{between: [gpu, gpu], name: b, ring: y, rate: 1Gb/s}}]}}"""
    fabric = loads(text)
    ends = np.flatnonzero(expand(fabric).is_endpoint).tolist()
    explicit = Explicit(fabric, [ends], inward=True, outward=True).rate(free_roots=True)
    assert bound(fabric, "all-reduce").algbw_gbps == pytest.approx(explicit, rel=1e-8)


def test_a_twisted_torus_has_one_class_of_chips_along_the_shifted_axis():
    text = """{fabric: t, axes: {x: 4, y: 8}, devices: {chip: {kind: gpu, axes: [x, y], transit: all}},
      links: [{between: [chip, chip], name: a, ring: x, twist: {y: 4}, rate: 10Gb/s},
              {between: [chip, chip], name: b, ring: y, rate: 10Gb/s}]}"""
    found = bound(loads(text), "all-gather")
    assert found.algbw_gbps == pytest.approx(40 * 32 / 31, rel=1e-12)
    assert found.status == "optimum"


# ---------------------------------------------------------------- other routes to the same number

# A line between groups and peers: links that climbing and descending traffic share.
JOINT = """{fabric: a, axes: {x: 2, y: 2}, devices: {gpu: {kind: gpu, axes: [x, y]},
  low: {kind: switch, axes: [x, y]}, high: {kind: switch, axes: [x]}, top: {kind: switch, axes: []}},
  failed: [x1/gpu1, [x1/low1, high1], [x0/low0, high1]], links: [
    {between: [gpu, low], rate: 2Gb/s}, {name: on, between: [low, high], line: x, rate: 2Gb/s},
    {name: peer, between: [low, high], rate: 1Gb/s, peer: true}, {between: [high, top], rate: 10Gb/s/3}]}"""
MANY = [STAR, RING % "", JOINT, *(PAIRS % (x, y, failed) for x, y, failed, over in SHARED if not over)]


def test_links_shared_by_climbing_and_descending_traffic_count_once():
    # x1/gpu0 takes in two thirds over one peer cable.
    assert bound(loads(JOINT), "all-gather").algbw_gbps == pytest.approx(1.5, rel=1e-9)
    assert bound(loads(JOINT), "broadcast", root="x0/gpu0").algbw_gbps == pytest.approx(1.0, rel=1e-9)


@pytest.mark.some(1)
@pytest.mark.parametrize("text", MANY)
def test_flows_and_mirror_images_give_what_the_whole_program_gives(text, monkeypatch):
    fabric = loads(text)
    quick = {operation: bound(fabric, operation) for operation in OPERATIONS[:-1]}
    has_peers = any(rule.is_peer for rule in fabric.blueprint.rules)
    # Cables that are not taken for even leave a program with flows for all that the operation needs.
    monkeypatch.setattr(groups.Task, "is_even", False)
    for operation, found in quick.items():
        whole = bound(fabric, operation)
        assert found.algbw_gbps == pytest.approx(whole.algbw_gbps, rel=1e-8)
        is_less = found.n_variables < whole.n_variables
        assert is_less == (operation != "all-reduce" or not has_peers)


REDUCING = """{fabric: rack, axes: {tray: 3, slot: 2, chip: 2}, devices: {
  gpu: {kind: gpu, axes: [tray, slot]}, nvs: {part: nvlink5_switch, axes: [chip]}},
  links: [{between: [gpu, nvs], rate: 50Gb/s}], failed: [%s]}"""


@pytest.mark.parametrize(
    ("text", "more", "algbw"),
    [
        (STAR, {}, CLOSED["all-reduce"]),
        (REDUCING % "", {}, 100.0),
        (REDUCING % "", {"reduces": ()}, 6 * 100 / (2 * 5)),
        # The tray with the failed cable may take in 150 of 200, its GPU 50 of 100.
        (REDUCING % "[tray0/gpu0, nvs0]", {}, 50.0),
        (REDUCING % "[tray0/gpu0, nvs0]", {"reduces": ()}, 50.0),
        (PAIRS % (3, 2, ""), {"paths": "any"}, 3 * 6 / (2 * 2)),
    ],
)
def test_an_all_reduce_by_what_parts_take_in(text, more, algbw, monkeypatch):
    fabric = loads(text)
    exact = bound(fabric, "all-reduce", **more)
    assert exact.why == ""
    monkeypatch.setattr(packing, "MANY_COLUMNS", 0)
    found = bound(fabric, "all-reduce", **more)
    assert found.algbw_gbps == pytest.approx(algbw, rel=1e-9)
    assert found.algbw_gbps >= exact.algbw_gbps * (1 - 1e-9)
    assert found.status == "upper bound"
    assert "by what parts of the ranks must take in: its program has" in str(found)
    assert found.to_dict()["why"] == found.why
    assert set(found.binding) <= {rule.name for rule in fabric.blueprint.rules}


@pytest.mark.parametrize("failed", ["", "[rack0/gpu0, rail0]", "rail1", "rack0/gpu0"])
def test_parts_take_in_what_a_reduce_scatter_and_an_all_gather_bring(failed, monkeypatch):
    monkeypatch.setattr(packing, "MANY_COLUMNS", 0)
    fabric = loads(PAIRS % (3, 2, failed))
    gather = bound(fabric, "all-gather", paths="any")
    assert gather.status == "optimum"
    assert bound(fabric, "all-reduce", paths="any").algbw_gbps >= gather.algbw_gbps / 2 * (1 - 1e-9)


def test_a_superpod_with_an_absent_node():
    fabric = load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml")
    # 127 nodes with eight NICs of 400 Gb/s each, summed by ranks or by switches.
    by_ranks = bound(fabric, "all-reduce", reduces=())
    assert by_ranks.algbw_gbps == pytest.approx(3200 * 127 / 252, rel=1e-9)
    found = bound(fabric, "all-reduce")
    assert found.algbw_gbps == pytest.approx(3200, rel=1e-9)
    assert found.n_variables < 2_000


# ---------------------------------------------------------------- laws and names


@pytest.mark.some(1)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_laws(operation):
    base = bound(loads(PAIRS % (3, 2, "")), operation).algbw_gbps
    double = loads((PAIRS % (3, 2, "")).replace("7Gb", "14Gb").replace("3Gb", "6Gb"))
    assert bound(double, operation).algbw_gbps == pytest.approx(2 * base, rel=1e-9)
    wider = loads((PAIRS % (3, 2, "")).replace("3Gb", "4Gb"))
    assert bound(wider, operation).algbw_gbps >= base * (1 - 1e-9)
    narrower = loads(PAIRS % (3, 2, "[rack1/gpu1, rail1]"))
    assert bound(
        narrower, operation, root="rack0/gpu0" if operation in ("broadcast", "reduce") else ""
    ).algbw_gbps <= base * (1 + 1e-9)
    any_path = bound(loads(PAIRS % (3, 2, "")), operation, paths="any").algbw_gbps
    assert any_path >= base * (1 - 1e-9)


def test_all_reduce_lies_between_half_and_the_whole_of_all_gather():
    for failed in ("", "[rack0/gpu0, rail0]", "rail1"):
        fabric = loads(PAIRS % (3, 2, failed))
        gather, both = (bound(fabric, op).algbw_gbps for op in ("all-gather", "all-reduce"))
        assert gather / 2 * (1 - 1e-9) <= both <= gather * (1 + 1e-9)


TWO_TIERS = """{fabric: a, axes: {leaf: 3, i: 2, s: 2}, devices: {gpu: {kind: gpu, axes: [leaf, i]},
  sw: {kind: switch, axes: [leaf]}, top: {kind: switch, axes: [s]}}, links: [
  {between: [gpu, sw], rate: 4Gb/s}, {between: [sw, top], rate: 4Gb/s}]}"""


BOXES = """{fabric: a, axes: {box: 2, slot: 3}, devices: {gpu: {kind: gpu, axes: [box, slot], transit: %s},
  chip: {kind: switch, axes: [box]}, leaf: {kind: switch, axes: []}}, links: [
  {between: [gpu, chip], rate: 4Gb/s, net: scale-up}, {between: [gpu, leaf], rate: 1Gb/s}]}"""
HUBS = """{fabric: a, axes: {i: 3}, islands: 1, devices: {gpu: {kind: gpu, axes: [i]},
  hub: {kind: %s, axes: [], transit: %s}, leaf: {kind: switch, axes: []}}, links: [
  {between: [%s], name: hub, rate: 4Gb/s}, {between: [gpu, leaf], rate: 1Gb/s}]}"""


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("text", "operation", "more", "kind"),
    [
        (STAR, "all-gather", {}, "optimum"),
        (STAR, "reduce-scatter", {}, "optimum"),
        (STAR, "broadcast", {}, "optimum"),
        (STAR, "all-reduce", {}, "upper bound"),
        (STAR, "all-to-all", {}, "optimum"),
        (TWO_TIERS, "all-gather", {}, "upper bound"),
        (TWO_TIERS, "all-gather", {"paths": "any"}, "optimum"),
        (TWO_TIERS, "all-gather", {"over": ("leaf",), "paths": "any"}, "upper bound"),
        (
            (RING % "")[:-2] + ", {between: [gpu, gpu], name: b, ring: i, oneway: true, rate: 40Gb/s}]}",
            "all-gather",
            {},
            "upper bound",
        ),
        # Endpoints outside the job: absent, or freely forwarding, or relays of the rules.
        (BOXES % "end", "all-gather", {"among": "slot0-1"}, "optimum"),
        (BOXES % "all", "all-gather", {"among": "slot0-1"}, "optimum"),
        (BOXES % "relay", "all-gather", {"among": "slot0-1"}, "upper bound"),
        (BOXES % "relay", "all-gather", {}, "optimum"),
        # What stands between endpoints turns, forwards freely, or does neither.
        (HUBS % ("switch", "turn", "gpu, hub"), "all-gather", {}, "optimum"),
        (HUBS % ("switch", "turn", "hub, gpu"), "all-gather", {}, "optimum"),
        (HUBS % ("nic", "all", "gpu, hub"), "all-gather", {}, "optimum"),
        (HUBS % ("nic", "pass", "gpu, hub"), "all-gather", {}, "upper bound"),
    ],
)
def test_optimum_is_said_only_where_an_algorithm_reaches_it(text, operation, more, kind):
    assert bound(loads(text), operation, **more).status == kind


@pytest.mark.parametrize(
    "text",
    [BOXES, *(HUBS % (*hub, "gpu, hub") for hub in (("switch", "turn"), ("nic", "all"), ("nic", "pass")))],
)
def test_an_optimal_broadcast_flows_on_permitted_paths(text):
    # Edmonds: what flows to all others at once, which pass it on, is the least that flows to any one of them.
    text = text.replace("transit: %s", "transit: end").replace("axes: [i]}", "axes: [i], transit: end}")
    fabric, passing = loads(text), loads(text.replace("transit: end", "transit: all"))
    e = expand(fabric)
    root, *others = (str(e.names[v]) for v in np.flatnonzero(e.is_endpoint))
    found = bound(fabric, "broadcast", root=root)
    least = min(max_flow(passing, root, other).value_gbps for other in others)
    assert least <= found.algbw_gbps * (1 + 1e-9)
    if found.status == "optimum":
        assert least == pytest.approx(found.algbw_gbps, rel=1e-9)


def test_part_of_the_gpus():
    found = bound(loads(STAR), "all-gather", among="i0-3")
    assert found.n_ranks == 4
    assert found.algbw_gbps == pytest.approx(RATE * 4 / 3, rel=1e-9)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_flows_where_every_cable_is_down(operation):
    found = bound(loads(STAR[:-1] + ", failed: [[gpu, leaf]]}"), operation)
    assert found.algbw_gbps == 0.0
    assert found.binding == ()


def test_a_broadcast_starts_at_the_first_rank():
    # The failed cable makes its GPU the first class, not the first rank.
    text = (RING % "")[:-1] + ", failed: [[gpu3, gpu4]]}"
    found = bound(loads(text), "broadcast")
    assert found.algbw_gbps == bound(loads(text), "broadcast", root="gpu0").algbw_gbps == RATE
    assert bound(loads((RING % "")[:-1] + ", failed: [gpu0]}"), "broadcast").n_ranks == N - 1


def test_a_cut_off_rank_leaves_no_bound():
    found = bound(loads(STAR[:-1] + ", failed: [[gpu0, leaf]]}"), "all-gather")
    assert found.algbw_gbps == pytest.approx(0.0, abs=1e-9)
    assert found.time_s == float("inf")
    assert "gpu0" in str(found)


@pytest.mark.parametrize(
    ("operation", "more", "match"),
    [
        ("all-gathr", {}, "unknown collective"),
        ("all-gather", {"among": "i3"}, "at least 2"),
        ("all-gather", {"over": ("j",)}, "no axis 'j'"),
        ("broadcast", {"root": "i0-1"}, "exactly one"),
        ("broadcast", {"root": "leaf"}, "endpoint"),
    ],
)
def test_questions_that_do_not_fit(operation, more, match):
    with pytest.raises(QuestionError, match=match):
        bound(loads(STAR), operation, **more)


def test_the_answer_prints_and_serialises():
    found = bound(loads(STAR), "all-gather", "1GB")
    assert "at least 166.7 ms" in str(found)
    assert "(optimum)" in str(found)
    assert found.to_dict()["algbw_gbps"] == found.algbw_gbps


# ---------------------------------------------------------------- fabrics that came from a graph

NVLS = """{fabric: a, axes: {box: 2, i: 4, chip: 2}, devices: {gpu: {part: b200_sxm, axes: [box, i]},
  sw: {part: nvlink5_switch, axes: [box, chip]}, leaf: {kind: switch, axes: []}},
  failed: [box1/gpu3], links: [
    {between: [gpu, sw], link: nvlink5, count: 9}, {between: [sw, leaf], link: nvlink5, count: 4}]}"""


@pytest.mark.some(3)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("text", [*MANY, TWO_TIERS, NVLS])
def test_a_graph_has_the_bound_of_its_file(text, operation):
    fabric = loads(text)
    graph = from_networkx(to_networkx(fabric))
    whole, again = bound(fabric, operation), bound(graph, operation)
    assert again.algbw_gbps == pytest.approx(whole.algbw_gbps, rel=1e-8)
    assert (again.n_ranks, again.status, again.reduces_in) == (whole.n_ranks, whole.status, whole.reduces_in)
    # Prices of a program may fall on other rules that bind as well.
    assert set(again.binding) == set(whole.binding) or (operation == "all-reduce" and again.binding)


def test_a_graph_of_nothing_but_capacities():
    wheel = nx.wheel_graph(6)
    nx.set_edge_attributes(wheel, 10.0, "capacity")
    # A node of the rim has three neighbours.
    found = bound(from_networkx(wheel), "all-gather")
    assert found.algbw_gbps == pytest.approx(30 * 6 / 5, rel=1e-12)
    assert found.binding == ("link",)
    assert found.status == "optimum"
    assert bound(from_networkx(wheel), "broadcast", root="3").algbw_gbps == pytest.approx(30.0, rel=1e-12)
    wheel.remove_edges_from([(3, v) for v in list(wheel[3])])
    lost = bound(from_networkx(wheel), "all-gather")
    assert lost.algbw_gbps == 0.0
    assert ("3", 1) in lost.cut_off


def test_one_way_arcs_of_a_graph():
    circle = nx.cycle_graph(5, create_using=nx.DiGraph)
    nx.set_edge_attributes(circle, 8.0, "capacity")
    assert bound(from_networkx(circle), "all-gather").algbw_gbps == pytest.approx(8 * 5 / 4, rel=1e-12)
    assert bound(from_networkx(circle), "reduce-scatter").algbw_gbps == pytest.approx(8 * 5 / 4, rel=1e-12)


def test_parallel_edges_of_a_graph_add_up():
    graph = nx.MultiGraph([(0, 1), (0, 1), (1, 2), (2, 0)])
    nx.set_edge_attributes(graph, 4.0, "capacity")
    assert bound(from_networkx(graph), "all-gather").algbw_gbps == pytest.approx(8 * 3 / 2, rel=1e-12)
    graph = nx.MultiGraph()
    graph.add_edges_from([(0, 1, k, {"capacity": 4.0, "rule": "same"}) for k in range(3)])
    assert bound(from_networkx(graph), "broadcast").algbw_gbps == pytest.approx(12.0, rel=1e-12)


@pytest.mark.parametrize(
    ("operation", "more", "match"),
    [
        ("all-gather", {"over": ("i",)}, "over needs axes"),
        ("all-gather", {"among": "gpu0"}, "at least 2 ranks"),
        ("broadcast", {"root": "leaf"}, "no endpoint of the job"),
    ],
)
def test_questions_that_do_not_fit_a_graph(operation, more, match):
    graph = to_networkx(loads(STAR))
    with pytest.raises(QuestionError, match=match):
        bound(from_networkx(graph), operation, **more)


# ---------------------------------------------------------------- by hop distances alone


def random_switches(seed, *, spread=1):
    """Return switches joined at random, with 1 to 3 GPUs each; `spread` makes them differ in that."""
    rng = random.Random(seed)
    n, each = rng.randint(3, 6), rng.randint(1, 3)
    graph = nx.MultiGraph(nx.random_labeled_tree(n, seed=seed))
    for u, v in itertools.combinations(range(n), 2):
        if rng.random() < 0.4:
            graph.add_edge(u, v, key="more")
    nx.set_node_attributes(graph, "switch", "kind")
    for edge in graph.edges(keys=True):
        graph.edges[edge]["capacity"] = rng.choice([1.0, 2.0, 8 / 3])
    for switch in range(n):
        for i in range(each + (switch % spread)):
            graph.add_node((switch, i), kind="gpu")
            graph.add_edge((switch, i), switch, lower=(switch, i), capacity=100.0)
    return from_networkx(graph)


@pytest.mark.some(2)
@pytest.mark.parametrize("seed", range(8))
def test_no_routing_beats_hops(seed):
    fabric = random_switches(seed)
    spread = throughput(fabric, "all-to-all").per_endpoint_gbps
    assert 0 < spread <= bound(fabric, "all-to-all", kind="path-length").per_endpoint_gbps * (1 + 1e-9)
    worst = throughput(fabric, "longest-matching").per_endpoint_gbps
    assert 0 < worst <= bound(fabric, "all-to-all", kind="tub").per_endpoint_gbps * (1 + 1e-9)


@pytest.mark.parametrize("each", [1, 2, 3])
def test_hops_are_exact_in_a_complete_graph(each):
    # Every pair of switches is one hop apart, so only what leaves a switch counts.
    text = f"{{fabric: a, axes: {{x: 5, i: {each}}}, devices: {{gpu: {{kind: gpu, axes: [x, i]}}, "
    text += "sw: {kind: switch, axes: [x]}}, links: [{between: [gpu, sw], rate: 90Gb/s}, "
    fabric = loads(text + "{between: [sw, sw], mesh: x, rate: 2Gb/s}]}")
    exact = throughput(fabric, "all-to-all").per_endpoint_gbps
    found = bound(fabric, "all-to-all", kind="path-length")
    assert found.per_endpoint_gbps == pytest.approx(exact, rel=1e-9)
    assert (found.node, found.n_nodes, found.n_endpoints, found.degree) == ("switch", 5, 5 * each, 4)
    assert (found.per_node_gbps, found.throughput, found.mean_hops) == (8.0, 4.0, 1.0)


def test_hops_scale_and_say_what_they_bound():
    found = [
        bound(loads(TWO_TIERS.replace("4Gb/s", rate)), "all-to-all", kind="tub")
        for rate in ("4Gb/s", "12Gb/s")
    ]
    assert found[0].per_endpoint_gbps == 4.0
    assert found[1].per_endpoint_gbps == 12.0
    assert found[0].throughput == found[1].throughput == 1.0
    text = str(found[0])
    assert "the worst permutation of 6 endpoints: at most 4 Gb/s (500 MB/s) each, 8 Gb/s (1 GB/s) per" in text
    assert "tub: 1 of the access rate: longest matching of 3 switches, 2 hops on average" in text
    assert "uniform all-to-all may be faster" in text
    shown = found[0].to_dict()
    assert (shown["kind"], shown["status"], shown["per_node_gbps"]) == ("tub", "upper bound", 8.0)
    ring = str(bound(loads(RING % ""), "all-to-all", kind="path-length"))
    assert "all-to-all among 6 endpoints: at most 44.44 Gb/s (5.556 GB/s) each\n" in ring
    assert "1.11111 links' rate for each of 6 endpoints with at most 2 neighbours, at least 1.8 hops" in ring


NVLINK = PAIRS % (2, 2, "")
ALONE = """{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, sw: {kind: switch, axes: [i]}},
 islands: 2, links: [{between: [gpu, sw], rate: 4Gb/s}]}"""


@pytest.mark.parametrize(
    ("text", "kind", "match"),
    [
        (NVLINK, "tub", "tub: rack0/gpu0 hangs on 2 switches"),
        (NVLINK, "path-length", "path-length: rack0/gpu0 hangs on 2 switches"),
        (
            TWO_TIERS,
            "path-length",
            "have 0 to 2 endpoints; the bound is known where every switch has as many",
        ),
        (STAR, "tub", "fewer than two switches with endpoints"),
        (ALONE, "tub", "some switches with endpoints of a are not joined"),
        (STAR, "tubb", "unknown kind of bound 'tubb'; use cut, chunks, tub or path-length"),
    ],
)
def test_fabrics_without_bounds_by_hops(text, kind, match):
    with pytest.raises(QuestionError, match=match):
        bound(loads(text), "all-to-all", kind=kind)


def test_bounds_by_hops_are_of_all_endpoints():
    fabric = loads(RING % "")
    for operation, more in (("all-gather", {}), ("all-to-all", {"among": "i0-3"})):
        with pytest.raises(QuestionError, match="kind tub bounds all-to-all among all endpoints"):
            bound(fabric, operation, kind="tub", **more)
    with pytest.raises(QuestionError, match="have 3 to 5 endpoints"):
        bound(random_switches(1, spread=3), "all-to-all", kind="path-length")
    with pytest.raises(LimitError, match="limited to 2,500,000"):
        bound(loads((RING % "").replace("i: 6", "i: 3M")), "all-to-all", kind="path-length")


# ---------------------------------------------------------------- part of the endpoints

MESH = """{fabric: m, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]%s}},
 links: [{between: [gpu, gpu], mesh: i, rate: 64GB/s}]}"""


@pytest.mark.parametrize("operation", ["all-gather", "all-reduce", "broadcast", "all-to-all"])
def test_gpus_outside_the_job_forward_as_their_transit_says(operation):
    ends, chips = (
        bound(loads(MESH % t), operation, among="i0-1").busbw_gbps / 8 for t in ("", ", transit: all")
    )
    # Two of a full mesh have one link; chips of a torus would hand on what comes by the other two.
    assert ends == pytest.approx(64.0, rel=1e-9)
    assert chips == pytest.approx(192.0, rel=1e-9)
    assert bound(loads(MESH % ""), operation, among="i0-1", paths="any").busbw_gbps == pytest.approx(
        1536.0, rel=1e-9
    )


@pytest.mark.some(2)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("text", "among", "others"), [(MESH % "", "i0-1", "gpu2-3"), (TWO_TIERS, "leaf0-1", "leaf2/gpu")]
)
def test_gpus_outside_the_job_that_end_traffic_are_as_good_as_failed(text, among, others, operation):
    fabric = loads(text)
    without = fail(fabric, others)
    part = bound(fabric, operation, among=among)
    assert part.algbw_gbps == pytest.approx(bound(without, operation).algbw_gbps, rel=1e-9)
    graph = from_networkx(to_networkx(without))
    assert bound(graph, operation).algbw_gbps == pytest.approx(part.algbw_gbps, rel=1e-8)


def test_switches_add_only_in_the_networks_that_are_named():
    text = """{fabric: a, axes: {box: 4, i: 4, chip: 2}, devices: {gpu: {kind: gpu, axes: [box, i]},
      sw: {part: nvlink5_switch, axes: [box, chip]}, leaf: {part: q3400, axes: []}}, links: [
        {between: [gpu, sw], link: nvlink5}, {between: [gpu, leaf], rate: 200Gb/s}]}"""
    fabric = loads(text)
    both = bound(fabric, "all-reduce")
    inside = bound(fabric, "all-reduce", reduces=("scale-up",))
    none = bound(fabric, "all-reduce", reduces=())
    assert (both.reduces_in, inside.reduces_in, none.reduces_in) == (("sw", "leaf"), ("sw",), ())
    assert both.algbw_gbps > inside.algbw_gbps * (1 + 1e-6) > none.algbw_gbps
    with pytest.raises(QuestionError, match="reduces: got 'up'; expected scale-up or scale-out"):
        bound(fabric, "all-reduce", reduces=("up",))


UNEVEN = """{fabric: f, axes: {x: 2, y: 4}, devices: {gpu: {kind: gpu, axes: [x, y]},
  sw: {kind: switch, axes: []}}, links: [{between: [gpu, sw], rate: 1Gb/s}], failed: [%s]}"""


def test_all_to_all_in_groups_of_unequal_size():
    found = bound(loads(UNEVEN % "x0/gpu2, x0/gpu3"), "all-to-all", over=["y"])
    # A group of four sends 3/4 of its buffer, one of two 1/2; that of four could do 4/3 alone.
    assert found.algbw_gbps == pytest.approx(2.0)
    assert (found.n_ranks, found.status) == (4, "upper bound")
    assert found.busbw_gbps == pytest.approx(2.0 * 3 / 4)
    with pytest.raises(QuestionError, match="at least 2 ranks; a group has 1"):
        bound(loads(UNEVEN % "x0/gpu1, x0/gpu2, x0/gpu3"), "all-to-all", over=["y"])


def test_cables_of_a_graph_keep_their_way_up():
    graph = nx.MultiGraph()
    graph.add_nodes_from(["spine", "leaf0", "leaf1"], kind="switch")
    graph.add_nodes_from(["gpu0", "gpu1"], kind="gpu")
    for i in (0, 1):
        graph.add_edge(f"gpu{i}", f"leaf{i}", capacity=1.0, lower=f"gpu{i}", key="down")
        graph.add_edge(f"leaf{i}", "spine", capacity=1.0, lower=f"leaf{i}", key="up")
    fabric = from_networkx(graph)
    assert max_flow(fabric, "gpu0", "gpu1").value_gbps == pytest.approx(1.0)
    for operation in ("all-gather", "broadcast"):
        assert bound(fabric, operation).algbw_gbps == pytest.approx(
            {"all-gather": 2.0, "broadcast": 1.0}[operation]
        )
    # Turned over, the way would go down and up again.
    valley = nx.MultiGraph(graph)
    for i in (0, 1):
        valley.edges[f"leaf{i}", "spine", "up"]["lower"] = "spine"
    assert max_flow(from_networkx(valley), "gpu0", "gpu1").value_gbps == 0.0
    assert bound(from_networkx(valley), "all-gather").algbw_gbps == 0.0
    # One rule may join a pair both ways.
    both = nx.MultiGraph(graph)
    both.add_edge("spine", "leaf0", capacity=2.0, lower="spine", key="again", rule="up")
    assert bound(from_networkx(both), "all-gather").algbw_gbps == pytest.approx(2.0)


def test_what_failed_of_a_graph_carries_nothing():
    whole = nx.MultiGraph()
    whole.add_nodes_from(range(3))
    whole.add_edges_from([(0, 1), (1, 2), (2, 0)], rate_gbps=4.0, count=3, failed_count=1)
    assert bound(from_networkx(whole), "all-gather").algbw_gbps == pytest.approx(16 * 3 / 2)
    whole.nodes[2]["failed"] = True
    found = bound(from_networkx(whole), "all-gather")
    assert (found.n_ranks, found.algbw_gbps) == (2, pytest.approx(8 * 2))
    assert bound(from_networkx(whole), "broadcast", root="1").n_ranks == 2


def test_ranks_of_other_groups_may_add(monkeypatch):
    text = """{fabric: s, axes: {x: 2, i: 3}, devices: {gpu: {kind: gpu, axes: [x, i]},
      sw: {kind: switch, axes: []}}, links: [{between: [gpu, sw], rate: 5Gb/s}], failed: [x1/gpu2]}"""
    fabric = loads(text)
    exact = bound(fabric, "all-reduce", over=["i"])
    monkeypatch.setattr(packing, "MANY_COLUMNS", 0)
    assert bound(fabric, "all-reduce", over=["i"]).algbw_gbps >= exact.algbw_gbps * (1 - 1e-9)


@pytest.mark.parametrize("among", ["pod0", "pod0-27"])
def test_the_spines_of_a_million_leave_no_room_for_rounding(among):
    """What a GPU sends is a millionth of what spines and cores carry together; relays make it a program."""
    fabric = load(TOPOLOGIES / "systems/million-scenario.fabric.yaml")
    found = {op: bound(fabric, op, among=among).busbw_gbps for op in ("all-gather", "reduce-scatter")}
    # 18 NVLinks of 400 Gb/s, the own NIC, and a mate's by way of the Grace between them.
    assert found["all-gather"] == pytest.approx(18 * 400 + 800 + 504, rel=1e-9)
    assert found["reduce-scatter"] == pytest.approx(18 * 400 + 800 + 504, rel=1e-9)


CUT_OFF = """{fabric: clos, axes: {node: 2, slot: 2, k: 2}, devices: {gpu: {kind: gpu, axes: [node, slot]},
  leaf: {kind: switch, axes: [node, slot]}, spine: {kind: switch, axes: [k]}}, failed: [node0/leaf0],
 links: [{between: [gpu, leaf], rate: 4Gb/s}, {between: [leaf, spine], rate: 2Gb/s}]}"""


@pytest.mark.parametrize(
    "collective", ["all-gather", "reduce-scatter", "all-reduce", "broadcast", "all-to-all"]
)
def test_who_is_cut_off_is_said_and_nothing_is_infinite_in_json(collective):
    found = bound(loads(CUT_OFF), collective)
    answer = found.to_dict()
    assert (answer["status"], answer["time_s"], answer["algbw_gbps"]) == ("cut off", None, 0.0)
    assert answer["cut_off"] == [{"endpoint": "node0/gpu0", "n": 1}]
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert "never" in str(found)
    assert "inf" not in str(found)


def test_the_bound_of_an_all_reduce_is_the_tighter_of_program_and_parts(monkeypatch):
    for text in (STAR, CUT_OFF.replace("failed: [node0/leaf0],", "")):
        fabric = loads(text)
        both = bound(fabric, "all-reduce").busbw_gbps
        with monkeypatch.context() as patch:
            patch.setattr(packing, "MANY_COLUMNS", 0)
            parts = bound(fabric, "all-reduce")
        assert parts.why.startswith("by what parts of the ranks must take in: its program has")
        assert both <= parts.busbw_gbps * (1 + 1e-9)
        with monkeypatch.context() as patch:
            known = 0.125, np.zeros(0, np.int64), 0, Verdict(0.0, 0.125)
            patch.setattr(packing, "_by_parts", lambda group, known=known: known)
            tighter = bound(fabric, "all-reduce")
        assert tighter.algbw_gbps == 0.125
        assert tighter.why == "by what parts of the ranks must take in"
