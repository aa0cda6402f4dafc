"""Bounds in whole chunks: closed forms that schedules reach, laws, and schedules that are simulated here."""

import math
from dataclasses import fields

import networkx as nx
import numpy as np
import pytest

from fabric.bounds import chunk_times
from fabric.bounds.bound import bound
from fabric.bounds.chunks import CHUNKED, chunk_bound
from fabric.errors import FabricError
from fabric.graph import expand, loads
from fabric.graph.exchange import from_networkx, to_networkx

US = 1e-6
# A chunk of P seconds on a link of 8 Gb/s, which is 1 GB/s, with the latency A.
P, A = 100 * US, 7 * US


def ring(n, kind="ring", more=""):
    return loads(
        f"{{fabric: r, axes: {{i: {n}}}, devices: {{gpu: {{kind: gpu, axes: [i], transit: all}}}}, "
        f"links: [{{between: [gpu, gpu], {kind}: i, rate: 1GB/s{more}}}]}}"
    )


def star(n, switch="kind: switch", failed=""):
    devices = f"gpu: {{kind: gpu, axes: [i]}}, hub: {{{switch}, axes: []}}"
    return loads(
        f"{{fabric: s, axes: {{i: {n}}}, devices: {{{devices}}}, failed: [{failed}], "
        "links: [{between: [gpu, hub], rate: 1GB/s}]}"
    )


def size_of(n_ranks, n_chunks=1):
    """Bytes of a buffer whose chunks take P."""
    return round(n_ranks * n_chunks * P * 1e9)


def seconds(fabric, operation, size, **how):
    return chunk_bound(fabric, operation, size, **how).time_s


# ---------------------------------------------------------------- closed forms that a schedule reaches


@pytest.mark.parametrize("operation", ["all-gather", "reduce-scatter"])
@pytest.mark.parametrize(
    ("fabric", "n", "time"),
    [
        (ring(6, more=", oneway: true"), 6, 5 * (P + A)),
        (ring(8), 8, 4 * (P + A)),
        (ring(5, "line"), 5, 4 * (P + A)),
        (ring(5, "mesh"), 5, P + A),
        (star(5), 5, 4 * P + 2 * A),
    ],
    ids=["one-way ring", "ring", "line", "mesh", "star"],
)
def test_one_chunk_each(fabric, n, time, operation):
    assert seconds(fabric, operation, size_of(n), latency=A) == pytest.approx(time, rel=1e-12)


@pytest.mark.some(2)
@pytest.mark.parametrize("latency", [0.0, A, 100 * P])
@pytest.mark.parametrize(
    ("fabric", "n", "steps", "chunks"),
    [
        # Messages one after the other to the farthest, and chunks on the busiest link.
        (ring(6, more=", oneway: true"), 6, 5, 15),
        (ring(8), 8, 4, 8),
        (ring(5, "line"), 5, 4, 6),
        (ring(5, "mesh"), 5, 1, 1),
    ],
    ids=["one-way ring", "ring", "line", "mesh"],
)
def test_all_to_all(fabric, n, steps, chunks, latency):
    found = chunk_bound(fabric, "all-to-all", size_of(n), latency=latency)
    assert found.time_s == pytest.approx(max(steps * (P + latency), chunks * P), rel=1e-6)
    assert found.busbw_gbps == pytest.approx(found.algbw_gbps * (n - 1) / n)


def test_all_to_all_of_a_star():
    # Four chunks leave, and four come in, one after the other; the last is two links away.
    assert seconds(star(5), "all-to-all", size_of(5), latency=A) == pytest.approx(4 * P + 2 * A, rel=1e-9)


@pytest.mark.parametrize("operation", ["broadcast", "reduce"])
def test_a_pipeline_along_a_line(operation):
    how = {"n_chunks": 9, "latency": A, "root": "gpu0"}
    found = chunk_bound(ring(5, "line"), operation, size_of(1, 9), **how)
    assert found.time_s == pytest.approx(4 * (P + A) + 8 * P, rel=1e-12)
    assert found.target == "gpu4"
    assert found.n_sources == 1
    # A link that is held for its latency takes the next chunk later.
    waiting = seconds(ring(5, "line"), operation, size_of(1, 9), pipelined=False, **how)
    assert waiting == pytest.approx(12 * (P + A), rel=1e-12)
    middle = seconds(ring(5, "line"), operation, size_of(1, 9), **(how | {"root": "gpu2"}))
    assert middle == pytest.approx(2 * (P + A) + 8 * P, rel=1e-12)


def test_whole_chunks_at_the_ports():
    # 5 chunks by 2 links: three rounds, where fluid takes two and a half.
    assert seconds(ring(6), "all-gather", size_of(6)) == pytest.approx(3 * P, rel=1e-12)
    fluid = bound(ring(6), "all-gather", size_of(6)).time_s
    assert fluid == pytest.approx(2.5 * P, rel=1e-9)
    # Finer chunks come close.
    fine = seconds(ring(6), "all-gather", size_of(6), n_chunks=1000)
    assert fluid * (1 - 1e-9) <= fine <= fluid * 1.001


THIN = """{fabric: thin, axes: {side: 2, i: %d}, devices: {gpu: {kind: gpu, axes: [side, i], transit: all},
 hub: {kind: switch, axes: [side]}}, links: [{between: [gpu, hub], rate: 1GB/s},
 {name: across, between: [%s], rate: 0.5GB/s}]}"""


def test_a_thin_link_between_switches():
    # Three chunks of 2 P on the one link across, then the last hop of the last of them: cut through.
    fabric = loads(THIN % (3, "side0/hub, side1/hub"))
    found = chunk_bound(fabric, "all-gather", size_of(6), latency=A, paths="any")
    assert found.time_s == pytest.approx(3 * 2 * P + 3 * A, rel=1e-9)
    assert "across" in found.binding
    assert found.n_sources == 3


def test_a_thin_link_between_ranks():
    # The last chunk over the link between the first GPUs of both sides is whole there, and goes on.
    fabric = loads(THIN % (3, "side0/i0/gpu, side1/i0/gpu"))
    found = chunk_bound(fabric, "all-gather", size_of(6), latency=A)
    assert found.time_s == pytest.approx(3 * 2 * P + A + P + 2 * A, rel=1e-9)


def test_chunks_of_the_last_round_enter_one_by_one():
    # Two links across hold one chunk of each GPU at a time: in the second round come two at once.
    text = THIN % (4, "side0/gpu, side1/gpu")
    fabric = loads(text.replace("0.5GB/s", "0.25GB/s, count: {i: [1, 1, 0, 0]}"))
    found = chunk_bound(fabric, "all-gather", size_of(8), latency=A)
    assert found.time_s == pytest.approx(2 * 4 * P + A + 2 * P + 2 * A, rel=1e-9)
    assert set(found.binding) == {"gpu-hub", "across"}


def test_all_reduce():
    # n pieces, 2 (n - 1) messages each, by n ports.
    for n in (2, 5):
        found = chunk_bound(star(n), "all-reduce", size_of(n), latency=A)
        assert found.time_s == pytest.approx(2 * (n - 1) * P + 2 * A, rel=1e-12)
        assert found.busbw_gbps < 8.0
    # Where a switch adds, or a bystander may, the whole buffer still comes in at every rank.
    adding = star(5, "part: nvlink5_switch")
    assert seconds(adding, "all-reduce", size_of(5), latency=A) == pytest.approx(5 * P + 2 * A, rel=1e-12)
    some = chunk_bound(star(5), "all-reduce", size_of(3), latency=A, among="gpu0-2")
    assert some.time_s == pytest.approx(3 * P + 2 * A, rel=1e-12)
    # And every piece comes from the farthest rank too.
    far = seconds(ring(5, "line"), "all-reduce", size_of(5), latency=A)
    assert far >= 4 * (P + A) + 4 * P - 1e-12


def test_all_reduce_out_of_a_rank_with_a_thin_way_out():
    fabric = loads(
        """{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, hub: {kind: switch, axes: []}},
        links: [{name: up, between: [gpu, hub], oneway: true, rate: 0.25GB/s, count: {i: [1, 8, 8, 8]}},
          {name: down, between: [hub, gpu], oneway: true, rate: 8GB/s}]}"""
    )
    found = chunk_bound(fabric, "all-reduce", size_of(4), latency=A, paths="any")
    assert found.time_s == pytest.approx(4 * 4 * P + 2 * A, rel=1e-12)
    assert (found.target, found.is_out, found.binding) == ("gpu0", True, ("up",))
    assert "out of gpu0" in str(found)


def test_a_cut_of_ports_and_other_links():
    # Some links of the cut are ports of the target themselves, and the last moment is not the worst.
    assert check_schedules(95) == pytest.approx(1.0, rel=1e-9)


# ---------------------------------------------------------------- schedules, simulated


class Network:
    """Cables of a random graph; every direction of each is a link that is free from some time on."""

    def __init__(self, rng):
        n_ends, n_switches = int(rng.integers(2, 6)), int(rng.integers(0, 3))
        self.ends = [f"g{i}" for i in range(n_ends)]
        nodes = self.ends + [f"s{i}" for i in range(n_switches)]
        graph = nx.MultiGraph()
        for v in nodes:
            kind = "gpu" if v in self.ends else "switch"
            graph.add_node(v, kind=kind, transit="all", endpoint=kind == "gpu")
        self.latency, self.pipelined = {}, bool(rng.integers(2))
        self.links = {}
        pairs = [(u, v) for i, u in enumerate(nodes) for v in nodes[:i]]
        # A tree, and some more.
        chosen = [(v, nodes[int(rng.integers(i))]) for i, v in enumerate(nodes) if i]
        chosen += [p for p in pairs if rng.random() < 0.3]
        for key, (u, v) in enumerate(chosen):
            rate, count = float(rng.choice([8.0, 16.0, 24.0])), int(rng.integers(1, 3))
            graph.add_edge(u, v, key=str(key), rate_gbps=rate, count=count)
            self.latency[str(key)] = float(rng.choice([0.0, 10.0, 150.0])) * US
            for a, b in ((u, v), (v, u)):
                self.links.setdefault((a, b), []).extend(
                    [[8 * P / rate, self.latency[str(key)], 0.0]] * count
                )
        self.links = {pair: [list(link) for link in links] for pair, links in self.links.items()}
        self.fabric = from_networkx(graph)
        flat = nx.Graph(graph)
        self.hops = []
        for u in self.ends:
            for v in self.ends:
                if u != v:
                    inner = flat.subgraph([x for x in nodes if x not in self.ends or x in (u, v)])
                    self.hops += nx.all_simple_paths(inner, u, v)

    def send(self, path, ready, *, commit):
        """Return when a chunk is whole at the end of a path; switches begin with its first byte."""
        begin = whole = ready
        for i, pair in enumerate(zip(path, path[1:], strict=False)):
            link = min(self.links[pair], key=lambda one: max(one[2], begin) + one[0] + one[1])
            send, latency, free = link
            start = max(begin, free, whole - send if i else ready)
            if commit:
                link[2] = start + send + (0.0 if self.pipelined else latency)
            begin, whole = start + latency, start + send + latency
        return whole

    def gather(self, parts, rng):
        """Return the time of a greedy schedule in which everyone gets the parts, {chunk: owner}."""
        have = {(owner, chunk): 0.0 for chunk, owner in parts.items()}
        missing = {(v, chunk) for v in self.ends for chunk in parts} - set(have)
        while missing:
            ways = [
                (self.send(path, have[path[0], chunk], commit=False), rng.random(), path, chunk)
                for path in self.hops
                for chunk in parts
                if (path[-1], chunk) in missing and (path[0], chunk) in have
            ]
            _, _, path, chunk = min(ways)
            have[path[-1], chunk] = self.send(path, have[path[0], chunk], commit=True)
            missing.remove((path[-1], chunk))
        return max(have.values())


def check_schedules(seed):
    """Return how near a greedy schedule comes to the bound."""
    rng = np.random.default_rng(seed)
    net = Network(rng)
    n, c = len(net.ends), int(rng.integers(1, 4))
    how = {"n_chunks": c, "latency": net.latency, "pipelined": net.pipelined, "paths": "any"}
    if rng.integers(2):
        time = net.gather({(v, i): v for v in net.ends for i in range(c)}, rng)
        gather = seconds(net.fabric, "all-gather", size_of(n, c), **how)
        assert gather <= time * (1 + 1e-9)
        # Links are alike both ways, so time may run backwards.
        assert seconds(net.fabric, "reduce-scatter", size_of(n, c), **how) == pytest.approx(gather, rel=1e-9)
        assert seconds(net.fabric, "all-reduce", size_of(n, c), **how) <= 2 * time * (1 + 1e-9)
        return gather / time
    time = net.gather({i: net.ends[-1] for i in range(c)}, rng)
    spread = seconds(net.fabric, "broadcast", size_of(1, c), root=net.ends[-1], **how)
    assert spread <= time * (1 + 1e-9)
    reduced = seconds(net.fabric, "reduce", size_of(1, c), root=net.ends[-1], **how)
    assert reduced == pytest.approx(spread, rel=1e-9)
    return spread / time


def test_no_schedule_is_faster():
    near = [check_schedules(seed) for seed in range(12)]
    # Not for want of sharpness: most greedy schedules reach the bound.
    assert np.mean(np.array(near) > 1 - 1e-9) > 0.75


@pytest.mark.slow
def test_no_schedule_of_many_is_faster():
    for seed in (*range(12, 30), *range(1000, 2000)):
        check_schedules(seed)


# ---------------------------------------------------------------- laws

LEAVES = """{fabric: leaves, axes: {leaf: 3, i: 2, s: 2}, devices: {gpu: {kind: gpu, axes: [leaf, i]},
  sw: {kind: switch, axes: [leaf]}, top: {kind: switch, axes: [s]}}, failed: [%s], links: [
  {between: [gpu, sw], rate: 1GB/s}, {between: [sw, top], rate: 0.25GB/s}]}"""
LAW = {
    "leaves": lambda: loads(LEAVES % ""),
    "leaves, one down": lambda: loads(LEAVES % "[leaf0/sw, top0]"),
    "torus": lambda: loads(
        """{fabric: t, axes: {x: 3, y: 4}, devices: {gpu: {kind: gpu, axes: [x, y], transit: all}}, links: [
        {name: x, between: [gpu, gpu], ring: x, rate: 1GB/s}, {name: y, between: [gpu, gpu], line: y, rate:
        2GB/s, count: 2}]}"""
    ),
    "thin": lambda: loads(THIN % (3, "side0/i0/gpu, side1/i0/gpu")),
}


@pytest.mark.some(1)
@pytest.mark.parametrize("operation", CHUNKED)
@pytest.mark.parametrize("name", LAW)
def test_classes_and_devices_agree(name, operation):
    fabric = LAW[name]()
    n = int(expand(fabric).is_endpoint.sum())
    how = {"n_chunks": 3, "latency": A}
    on_classes = chunk_bound(fabric, operation, size_of(n, 3), **how)
    on_devices = chunk_bound(from_networkx(to_networkx(fabric)), operation, size_of(n, 3), **how)
    assert on_classes.time_s == pytest.approx(on_devices.time_s, rel=1e-9)
    assert on_classes.ports_s == pytest.approx(on_devices.ports_s, rel=1e-9)
    assert on_classes.n_targets == on_classes.n_classes <= on_devices.n_classes


@pytest.mark.some(2)
@pytest.mark.parametrize("operation", CHUNKED)
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "thin" else []) for n in LAW]
)
def test_laws(name, operation):
    fabric = LAW[name]()
    base = seconds(fabric, operation, "12MB", n_chunks=2, latency=A)
    assert seconds(fabric, operation, "36MB", n_chunks=2, latency=3 * A) == pytest.approx(3 * base, rel=1e-9)
    assert seconds(fabric, operation, "12MB", n_chunks=2, latency=2 * A) >= base * (1 - 1e-12)
    assert seconds(fabric, operation, "12MB", n_chunks=2, latency=A, pipelined=False) >= base * (1 - 1e-12)
    assert seconds(fabric, operation, "12MB", n_chunks=2, latency=A, paths="any") <= base * (1 + 1e-12)
    assert seconds(fabric, operation, "12MB", n_chunks=2, latency=A, limit=0) <= base * (1 + 1e-12)


def test_time_backwards_is_links_reversed():
    text = """{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, hub: {kind: switch, axes: []}},
    links: [{name: up, between: [%s], oneway: true, rate: 1GB/s, count: {i: [1, 1, 1, 3]}},
      {name: down, between: [%s], oneway: true, rate: 2GB/s, count: {i: [2, 1, 2, 1]}}]}"""
    ahead, back = loads(text % ("gpu, hub", "hub, gpu")), loads(text % ("hub, gpu", "gpu, hub"))
    pairs = (("all-gather", "reduce-scatter"), ("broadcast", "reduce"))
    for one, other in (*pairs, *(pair[::-1] for pair in pairs)):
        how = {"n_chunks": 5, "paths": "any"}
        late = {"up": A, "down": 3 * A}
        first = seconds(ahead, one, size_of(4, 5), latency=late, **how)
        assert first == pytest.approx(seconds(back, other, size_of(4, 5), latency=late, **how), rel=1e-12)


def test_latency_in_every_form():
    fabric = star(4)
    expected = 3 * P + 2 * A
    for latency in (A, "7us", {"gpu-hub": A}, {"gpu-hub": "7us"}, lambda rule: A if rule.name else 0.0):
        assert seconds(fabric, "all-gather", size_of(4), latency=latency) == pytest.approx(expected)
    assert seconds(fabric, "all-gather", size_of(4)) == pytest.approx(3 * P)


def test_a_million_ranks():
    racks = loads(
        """{fabric: racks, axes: {r: 13889, tray: 18, slot: 4, chip: 18}, devices: {
          gpu: {kind: gpu, axes: [r, tray, slot], transit: all}, chip: {kind: switch, axes: [r, chip]},
          rail: {kind: switch, axes: [slot]}}, links: [
          {between: [gpu, chip], rate: 50GB/s, net: scale-up}, {between: [gpu, rail], rate: 50GB/s}]}"""
    )
    n = 13_889 * 72
    found = chunk_bound(racks, "all-gather", n * 50_000, latency=A)
    # A chunk of 1 us; a rank has 19 ports, of which each takes a whole number of chunks.
    assert found.ports_s == pytest.approx(math.ceil((n - 1) / 19) * US + 2 * A, rel=1e-9)
    assert found.n_ranks == n
    assert found.n_classes == 1


def test_ranks_of_a_large_mesh():
    found = chunk_bound(ring(10_000, "line"), "all-gather", size_of(10_000), latency=A, limit=0)
    assert found.time_s == pytest.approx(9_999 * P + A, rel=1e-9)
    assert (found.n_targets, found.n_classes) == (0, 5000)
    assert "the way to 0 of 5,000 classes" in str(found)


def test_no_more_than_so_much_work(monkeypatch):
    whole = chunk_bound(ring(9, "line"), "all-gather", size_of(9), latency=A)
    monkeypatch.setattr(chunk_times, "MAX_WORK", 0)
    found = chunk_bound(ring(9, "line"), "all-gather", size_of(9), latency=A)
    assert (found.n_targets, whole.n_targets, found.n_classes) == (1, 5, 5)
    assert found.ports_s <= found.time_s <= whole.time_s


def test_wiring_without_symmetry_is_looked_at_device_by_device():
    text = """{fabric: w, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i], transit: all}}, links: [
      {between: [gpu, gpu], rate: 1GB/s,
       wiring: {pattern: pairs, along: i, pairs: [[0, 2], [2, 1], [1, 3]]}}]}"""
    found = chunk_bound(loads(text), "all-gather", size_of(4), latency=A)
    assert found.time_s == pytest.approx(seconds(ring(4, "line"), "all-gather", size_of(4), latency=A))
    assert found.n_classes == 4


# ---------------------------------------------------------------- questions, names


def test_a_cut_off_rank_leaves_no_time():
    found = chunk_bound(star(4, failed="[gpu0, hub]"), "all-gather", "1MB")
    assert found.time_s == math.inf
    assert found.algbw_gbps == 0.0
    assert found.target == "gpu0"
    assert (found.status, found.cut_off) == ("cut off", (("gpu0", 1),))
    assert "cut off: 1 ranks such as gpu0" in str(found)


@pytest.mark.parametrize(
    ("operation", "how", "match"),
    [
        ("all-to-al", {}, "unknown collective 'all-to-al'; did you mean all-to-all"),
        ("all-gather", {"n_chunks": 0}, "expected 1 to"),
        ("all-gather", {"among": "gpu3"}, "at least 2"),
        ("broadcast", {"root": "gpu0-1"}, "exactly one"),
        ("broadcast", {"root": "hub"}, "exactly one"),
        ("broadcast", {"root": "gpu3", "among": "gpu0-1"}, "exactly one rank"),
        ("all-gather", {"latency": {"gpu-hup": 1.0}}, "did you mean gpu-hub"),
        ("all-gather", {"latency": -1.0}, "not negative"),
        ("all-gather", {"latency": {"gpu-hub": math.nan}}, "got nan; expected a finite number"),
        ("all-gather", {"latency": "7"}, "time"),
    ],
)
def test_questions_that_do_not_fit(operation, how, match):
    with pytest.raises(FabricError, match=match):
        chunk_bound(star(4), operation, "1MB", **how)


@pytest.mark.parametrize(
    ("operation", "how", "match"),
    [
        ("all-gather", {"among": "gpu3"}, "at least 2"),
        ("broadcast", {"root": "hub"}, "exactly one"),
        ("broadcast", {"root": "gpu3", "among": "gpu2"}, "at least 2"),
        ("broadcast", {"root": "gpu4"}, "no device 'gpu4'"),
    ],
)
def test_questions_that_do_not_fit_a_graph(operation, how, match):
    with pytest.raises(FabricError, match=match):
        chunk_bound(from_networkx(to_networkx(star(4))), operation, "1MB", **how)


def test_the_answer_prints_and_serialises():
    found = chunk_bound(star(4), "all-gather", size_of(4), latency=A)
    assert str(found).splitlines() == [
        "all-gather of 400 kB among 4 ranks in whole chunks of 100 kB: at least 314 us",
        "  algbw at most 10.19 Gb/s (1.274 GB/s), busbw at most 7.643 Gb/s (955.4 MB/s)",
        "  binding: gpu-hub (into gpu0, 3 ranks)",
        "  the ports of a rank alone: 314 us; a link takes its next chunk while the last is under way",
    ]
    answer = found.to_dict()
    assert answer["time_s"] == found.time_s
    assert (answer["binding"], answer["status"]) == (["gpu-hub"], "upper bound")
    assert {field.name for field in fields(found)} <= set(answer)
    assert "out of" in str(chunk_bound(star(4), "reduce-scatter", "1MB"))
    assert "carries one at a time" in str(chunk_bound(star(4), "all-reduce", "1MB", pipelined=False))
