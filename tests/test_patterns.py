"""The well-known topologies of topologies/patterns: their links, classical counts and all-to-all rates.

Closed forms: Al-Fares et al., SIGCOMM 2008; Guo et al., SIGCOMM 2008 and 2009; Kim et al., ISCA 2008; Besta
and Hoefler, SC 2014; Wang et al., arXiv 2307.12169; Namyar et al., SIGCOMM 2021, and graphs of its authors;
TopoBench of ETH.
"""

import functools
import importlib.util
import re
from collections import Counter
from pathlib import Path

import jsonschema
import networkx as nx
import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from fabric.blueprint import json_schema
from fabric.blueprint.reader import read_file
from fabric.bounds.bound import bound
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import expand, load, loads

HERE = Path(__file__).parent
FOLDER = HERE.parent / "topologies" / "patterns"
FILES = sorted(FOLDER.iterdir())
GBPS = 400


def name_of(path):
    return path.name.removesuffix(".fabric.yaml")


def text_of(name):
    return (FOLDER / f"{name}.fabric.yaml").read_text()


def resized(name, old="", new="", **axes):
    """Return the file with axes of other sizes, and so without what it expects of each device."""
    text = re.sub(r",? *\n? *each: (\d+|\[.*?\])", "", text_of(name)).replace(old, new)
    for axis, size in axes.items():
        text, n = re.subn(rf"(axes: {{.*\b{axis}: )\d+", rf"\g<1>{size}", text, count=1)
        assert n == 1, axis
    return loads(text)


@functools.cache
def links(name):
    return expand(load(FOLDER / f"{name}.fabric.yaml"))


def at_each(e, group):
    """Return the cables at each device of a group, in both roles."""
    ends, count = np.concatenate([e.tail, e.head]), np.tile(e.count, 2)
    members = e.group == [g.name for g in e.groups].index(group)
    return np.bincount(ends, count, minlength=e.n_devices)[members].astype(int)


def hops(e, group):
    """Return the distances between all devices of a group, shape (n, n)."""
    joined = coo_matrix((np.ones(len(e.tail)), (e.tail, e.head)), shape=(e.n_devices, e.n_devices))
    members = np.flatnonzero(e.group == [g.name for g in e.groups].index(group))
    found = shortest_path(joined.tocsr(), directed=False, unweighted=True, indices=members)
    return found[:, members]


def numbers(fabric):
    """Return the devices of each group."""
    return {g: fabric.blueprint.n_devices(g) for g in fabric.blueprint.groups}


# --- every file ----------------------------------------------------------------------------------------

# Cables of each device, all rules together.
DEGREES = {
    "bcube": {"host": 2, "inner": 4, "outer": 4},
    "dcell": {"server": 2, "mini": 4},
    "dragonfly": {"gpu": 1, "router": 2 + 3 + 2},
    "dragonfly-plus": {"gpu": 1, "leaf": 4, "spine": 4},
    "fat-tree": {"gpu": 1, "edge": 4, "agg": 4, "core": 4},
    "hypercube": {"chip": 4},
    "hyperx": {"gpu": 1, "router": 4 + 3 + 3},
    "jellyfish": {"gpu": 1, "switch": 6},
    "rail-only": {"gpu": 5, "nvswitch": 8, "rail": 4},
    "slim-fly": {"gpu": 1, "router": 4 + 7},
    "xpander": {"gpu": 1, "switch": 6},
}


# Cables of each rule; all of them of 400 Gb/s per direction, but NVLink of 900 in rail-only.
CABLES = {
    "bcube": {"host-inner": 16, "host-outer": 16},
    # One between every two of five cells.
    "dcell": {"server-mini": 5 * 4, "across": 10},
    # Six in each of nine groups, and one between every two groups.
    "dragonfly": {"gpu-router": 9 * 4 * 2, "local": 9 * 6, "global": 36},
    "dragonfly-plus": {"gpu-leaf": 5 * 2 * 2, "leaf-spine": 5 * 2 * 2, "global": 10},
    "fat-tree": {"gpu-edge": 16, "edge-agg": 16, "agg-core": 16},
    "hypercube": dict.fromkeys(("a-line", "b-line", "c-line", "d-line"), 8),
    # Six in each of four rows and of four columns.
    "hyperx": {"gpu-router": 64, "rows": 4 * 6, "columns": 4 * 6},
    "jellyfish": {"gpu-switch": 40, "random": 20 * 4 // 2},
    "rail-only": {"gpu-nvswitch": 32 * 4, "gpu-rail": 32},
    "slim-fly": {"gpu-router": 200, "mms": 50 * 7 // 2},
    # Four between every two of five metas.
    "xpander": {"gpu-switch": 40, "matchings": 10 * 4},
}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_says_what_it_is_and_expects_each_rule(path):
    fabric = load(path)
    assert (fabric.name, fabric.skipped) == (name_of(path), ())
    assert all(rule.each for rule in fabric.blueprint.rules)
    head, _, rest = path.read_text().partition(f"fabric: {fabric.name}\n")
    assert re.search(r"--|\|", head)
    assert rest.startswith("about:")
    assert re.search(r"\b(19|20)\d\d\b|arXiv", fabric.blueprint.notes[0])
    jsonschema.Draft7Validator(json_schema()).validate(read_file(path).data)


def test_every_file_is_held_to_numbers():
    names = {name_of(path) for path in FILES}
    assert names == set(DEGREES) == set(CABLES) == set(ALL_TO_ALL)


@pytest.mark.parametrize("name", DEGREES)
def test_degree_of_every_device(name):
    e = links(name)
    assert {g.name: set(at_each(e, g.name).tolist()) for g in e.groups} == {
        group: {degree} for group, degree in DEGREES[name].items()
    }
    assert len({frozenset(ends) for ends in zip(e.tail.tolist(), e.head.tolist(), strict=True)}) == len(
        e.tail
    )


@pytest.mark.parametrize("name", CABLES)
def test_cables_and_rates_of_every_link_class(name):
    e = links(name)
    assert {r.name for r in e.rules} == set(CABLES[name])
    for number, rule in enumerate(e.rules):
        rows = e.rule == number
        assert e.count[rows].sum() == CABLES[name][rule.name], rule.name
        assert set(e.rate_gbps[rows].tolist()) == {900 if rule.name == "gpu-nvswitch" else GBPS}, rule.name


# --- classical counts ----------------------------------------------------------------------------------


@pytest.mark.some(1)
@pytest.mark.parametrize("k", [2, 4, 6, 8, 10])
def test_fat_tree(k):
    h = k // 2
    fabric = resized("fat-tree", pod=k, edge=h, host=h, agg=h, core=h)
    found = numbers(fabric)
    assert found["gpu"] == k**3 // 4
    assert sum(found.values()) - found["gpu"] == 5 * k**2 // 4
    e = expand(fabric)
    for switch in ("edge", "agg", "core"):
        assert set(at_each(e, switch).tolist()) == {k}
    cut = max_flow(fabric, f"pod0-{h - 1}", f"pod{h}-{k - 1}")
    assert cut.value_gbps == pytest.approx(k**3 / 8 * GBPS, rel=1e-9)
    assert throughput(fabric).per_endpoint_gbps == pytest.approx(GBPS, rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_bcube_of_level_one(n):
    fabric = resized("bcube", i=n, j=n)
    assert numbers(fabric) == {"host": n**2, "inner": n, "outer": n}


@pytest.mark.parametrize(("n", "k"), [(2, 0), (2, 2), (3, 2), (4, 2), (2, 4)])
def test_bcube(n, k):
    digits = [f"{letter}-digit" for letter in "abcde"[: k + 1]]
    place = {d[0]: ", ".join(other for other in digits if other != d) for d in digits}
    switches = "".join(f", {name}: {{kind: switch, axes: [{axes}]}}" for name, axes in place.items())
    rules = ", ".join(f"{{between: [host, {name}], rate: 400Gb/s, each: [1, {n}]}}" for name in place)
    hosts = f"{{kind: host, axes: [{', '.join(digits)}], endpoint: true, transit: all}}"
    fabric = loads(
        f"{{fabric: bcube, axes: {{{', '.join(f'{d}: {n}' for d in digits)}}}, "
        f"devices: {{host: {hosts}{switches}}}, links: [{rules}]}}"
    )
    found = numbers(fabric)
    assert found.pop("host") == n ** (k + 1)
    assert sum(found.values()) == (k + 1) * n**k
    e = expand(fabric)
    assert set(at_each(e, "host").tolist()) == {k + 1}
    for group in found:
        assert set(at_each(e, group).tolist()) == {n}


def test_dragonfly_of_radix_64():
    p, a, h = 16, 32, 16
    fabric = resized("dragonfly", group=a * h + 1, router=a, t=p)
    found = numbers(fabric)
    assert found == {"gpu": a * p * (a * h + 1), "router": a * (a * h + 1)}
    assert found["gpu"] == 262_656
    e = expand(fabric)
    assert set(at_each(e, "router").tolist()) == {p + a - 1 + h} == {63}
    assert "reachability" in fabric.skipped[0]


@pytest.mark.parametrize("h", [1, 2, 3])
def test_balanced_dragonfly_has_three_hops(h):
    a, p = 2 * h, h
    fabric = resized("dragonfly", group=a * h + 1, router=a, t=p)
    e = expand(fabric)
    assert e.is_endpoint.sum() == a * p * (a * h + 1)
    g = nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    # Local, global, local; and one more at each end.
    assert nx.diameter(g) == 5


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_bisection_of_a_hypercube(n):
    axes = "abcdef"[:n]
    rules = ", ".join(
        f"{{between: [chip, chip], name: on-{a}, line: {a}, rate: 400Gb/s, each: 1}}" for a in axes
    )
    fabric = loads(
        f"{{fabric: cube, axes: {{{', '.join(f'{a}: 2' for a in axes)}}}, "
        f"devices: {{chip: {{kind: gpu, axes: [{', '.join(axes)}], transit: all}}}}, links: [{rules}]}}"
    )
    assert max_flow(fabric, "a0", "a1").value_gbps == pytest.approx(2 ** (n - 1) * GBPS, rel=1e-12)
    if n == 4:
        assert numbers(fabric)["chip"] == numbers(load(FOLDER / "hypercube.fabric.yaml"))["chip"]
        assert max_flow(load(FOLDER / "hypercube.fabric.yaml"), "a0", "a1").value_gbps == 2**3 * GBPS


def test_slim_fly_of_19():
    fabric = resized("slim-fly", x=19, y=19, t=15)
    assert numbers(fabric) == {"gpu": 10_830, "router": 722}
    e = expand(fabric)
    assert set(at_each(e, "router").tolist()) == {15 + 29}
    between = e.rule == [r.name for r in e.rules].index("mms")
    g = nx.Graph(zip(e.tail[between].tolist(), e.head[between].tolist(), strict=True))
    assert (len(g), nx.diameter(g)) == (722, 2)


def test_switches_of_rail_only():
    # 32,768 GPUs in NVLink domains of 256: 128 endpoints a rail, in one switch of radix 128.
    one = resized("rail-only", domain=128, slot=256)
    assert (numbers(one)["gpu"], numbers(one)["rail"]) == (32_768, 256)
    assert set(at_each(expand(one), "rail").tolist()) == {128}
    # Radix 256: two rails share a switch. Radix 64: four leaves and two spines a rail.
    text = re.sub(r", each: \[.*?\]", "", text_of("rail-only"))
    sizes = "domain: 128, two: 2, pair: 128, slot: [pair, two], chip: 1"
    two = text.replace("domain: 4, slot: 8, chip: 4", sizes)
    two = loads(two.replace("axes: [slot]}", "axes: [pair]}"))
    assert (numbers(two)["gpu"], numbers(two)["rail"]) == (32_768, 128)
    assert set(at_each(expand(two), "rail").tolist()) == {256}
    text = re.sub(r", each: \[.*?\]", "", text_of("rail-only"))
    text = text.replace(
        "domain: 4, slot: 8, chip: 4", "l: 4, d: 32, domain: [l, d], slot: 256, chip: 1, s: 2"
    )
    text = text.replace("axes: [slot]}", "axes: [slot, l]}\n  spine: {kind: switch, axes: [slot, s]}")
    six = loads(text + "  - {between: [rail, spine], rate: 400Gb/s, count: 16, each: [32, 64]}\n")
    assert numbers(six)["rail"] + numbers(six)["spine"] == 1_536
    assert set(at_each(expand(six), "rail").tolist()) == {64}


def dcell(n, level):
    """Return the text of a DCell: cells in cells, each level a dragonfly of those below."""
    t, sub = n, "server"
    axes, rules, place = f"server: {n}", "", []
    for at in range(1, level + 1):
        cell = "cell" + "s" * at
        axes += f", {cell}: {t + 1}, sub{'s' * at}: [{cell}, {sub}]"
        along = f"[{cell}, {sub}]"
        rules += (
            f", {{between: [server, server], name: level{at}, rate: 400Gb/s, each: 1, "
            f"wiring: {{pattern: dragonfly, along: {along}}}}}"
        )
        place, sub, t = [cell, *place], f"sub{'s' * at}", t * (t + 1)
    return f"""{{fabric: dcell, axes: {{{axes}}}, devices: {{
      server: {{kind: host, axes: [{", ".join([*place, "server"])}], endpoint: true, transit: all}},
      mini: {{kind: switch, axes: [{", ".join(place)}]}}}},
      links: [{{between: [server, mini], rate: 400Gb/s, each: [1, {n}]}}{rules}]}}"""


@pytest.mark.parametrize(("n", "level"), [(4, 0), (2, 1), (4, 1), (2, 2), (3, 2), (2, 3)])
def test_dcell(n, level):
    fabric = loads(dcell(n, level))
    t = n
    for _ in range(level):
        t *= t + 1
    assert numbers(fabric) == {"server": t, "mini": t // n}
    assert set(at_each(expand(fabric), "server").tolist()) == {level + 1}
    if (n, level) == (4, 1):
        mine, file = expand(fabric), links("dcell")
        pairs = [set(zip(e.tail.tolist(), e.head.tolist(), strict=True)) for e in (mine, file)]
        assert pairs[0] == pairs[1]


# --- all-to-all ----------------------------------------------------------------------------------------


def by_distance(n_nodes, degree, near, per=1):
    """Rate where all links share the load of shortest paths alike: `near` nodes at each number of hops."""
    assert sum(near) == n_nodes - 1
    units = per * sum((at + 1) * n for at, n in enumerate(near)) / (n_nodes * per - 1)
    return degree / per / units * GBPS


# Rate of each endpoint [Gb/s]; None: by the program on all real links, as the wiring is random.
ALL_TO_ALL = {
    # 6 of the 15 others are one switch away, 9 are two: 24 uses of the two ports of a host.
    "bcube": 2 * GBPS * 15 / 24,
    # Uses of the links with cell switches, two a server, if links between cells are free: two for each of the
    # three in the own cell and the three beside the one across; in each of the three other cells two for the
    # server that meets the own cell and for that which meets the cell across, four for the other two.
    "dcell": 2 * GBPS * 19 / (3 * 2 + 3 * 2 + 3 * (2 + 2 + 2 * 4)),
    # All that an endpoint has: the eight cables of a group would give its eight endpoints 400 * 71 / 64, and
    # the four of a group of dragonfly+ its four 400 * 19 / 16.
    "dragonfly": GBPS,
    "dragonfly-plus": GBPS,
    "fat-tree": GBPS,
    "hypercube": by_distance(16, 4, [4, 6, 4, 1]),
    "hyperx": by_distance(16, 6, [6, 9], per=4),
    "jellyfish": None,
    # A domain against the other three: 8 rails for 24 of 31 parts of the traffic.
    "rail-only": GBPS * 31 / 24,
    "slim-fly": by_distance(50, 7, [7, 42], per=4),
    "xpander": None,
}


def explicit_rate(fabric):
    place = HERE / "symmetry" / "explicit.py"
    spec = importlib.util.spec_from_file_location("patterns_explicit", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.explicit_rate(fabric)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", ALL_TO_ALL)
def test_all_to_all(name):
    fabric = load(FOLDER / f"{name}.fabric.yaml")
    wanted = ALL_TO_ALL[name] or explicit_rate(fabric)
    found = throughput(fabric)
    assert found.per_endpoint_gbps == pytest.approx(wanted, rel=1e-7)
    assert found.status == "optimal"


@pytest.mark.parametrize("name", ["jellyfish", "xpander"])
def test_random_wiring_stays_below_its_distances(name):
    """Two endpoints a switch, 40 cables both ways; no such graph has more than 4 and 12 at 1 and 2 hops."""
    pairs = 4 * hops(links(name), "switch").sum()
    found = throughput(load(FOLDER / f"{name}.fabric.yaml")).per_endpoint_gbps
    assert found <= 80 * GBPS * 39 / pairs <= by_distance(20, 4, [4, 12, 3], per=2)


@pytest.mark.parametrize(
    ("name", "group", "near"),
    [("slim-fly", "router", [7, 42]), ("hyperx", "router", [6, 9]), ("hypercube", "chip", [4, 6, 4, 1])],
)
def test_hops_of_the_closed_forms(name, group, near):
    e = links(name)
    g = nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    members = set(np.flatnonzero(e.group == [g.name for g in e.groups].index(group)).tolist())
    for source in members:
        hops = nx.single_source_shortest_path_length(g.subgraph(members), source)
        assert Counter(hops.values()) == Counter({0: 1} | dict(enumerate(near, 1)))


# Radix 32; random: 8 servers on each of 1,000 switches of degree 24. Bound, hops of the longest matching and
# mean hops between switches with servers, by the authors' program on the graphs that they ship (USC-NSL/TUB
# at 9d06f67: jf_R_32_H_8_N_8000, xp_R_32_H_8_N_8000, Clos_R_32_N_8192), and how far other graphs may be off.
TUB = {
    "jellyfish": ("switch", {"sw": 1000, "t": 8}, 0.999917, 3.0, 2.529215, 0.01),
    "xpander": ("switch", {"meta": 25, "sw": 40, "t": 8}, 0.999334, 3.002, 2.538368, 0.01),
    "fat-tree": (
        "edge",
        {"pod": 32, **dict.fromkeys(("edge", "host", "agg", "core"), 16)},
        1,
        4,
        3.941292,
        1e-6,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TUB)
def test_throughput_bound_of_large_ones(name):
    group, sizes, wanted, longest, mean, tolerance = TUB[name]
    fabric = resized(name, "degree: 4", "degree: 24", **sizes)
    e = expand(fabric)
    assert set(at_each(e, group).tolist()) == {32}
    found = bound(fabric, "all-to-all", kind="tub")
    assert found.throughput == pytest.approx(wanted, rel=tolerance)
    assert found.mean_hops == pytest.approx(longest, rel=tolerance)
    far = hops(e, group)
    assert far.sum() / (len(far) * (len(far) - 1)) == pytest.approx(mean, rel=tolerance)


@pytest.mark.slow
def test_all_to_all_of_an_xpander():
    """90 switches of degree 5 with 10 servers: 0.01839 of a link for every two switches (ndal-eth/topobench).

    Every two servers cannot be meant: 8,900 times that is far more than the five links of a switch have.
    """
    fabric = resized("xpander", meta=6, sw=15, t=10)
    assert set(at_each(expand(fabric), "switch").tolist()) == {15}
    found = throughput(fabric)
    assert found.status == "optimal"
    assert found.per_endpoint_gbps / GBPS * 10 * 10 / 899 == pytest.approx(0.01839, rel=0.03)
