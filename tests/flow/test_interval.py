"""Intervals of what is too large to be solved: they hold the exact rate, and nothing else is proven."""

import random
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from fabric import fail, from_networkx, loads, throughput
from fabric.errors import QuestionError
from fabric.flow.by_links import pattern_demand
from fabric.flow.by_prices import Prices
from fabric.flow.interval import interval_of, left_over, network_of
from fabric.flow.logit import Logit, Routing
from fabric.flow.merged import keep_useful, merge, unlike
from fabric.flow.mirrored import mirrored, plain
from fabric.flow.streamed import check_interval, merging_faults
from fabric.flow.towards import forced_load
from fabric.flow.uniform import Uniform
from fabric.graph import expand, forwarding
from fabric.symmetry.mirrors import mirrors

SMALL_GAP = 1e-3


def graph_of(seed, *, oneway=False):
    """Return a random connected graph: some nodes are switches, cables differ, hosts hang on one node."""
    rng = random.Random(f"graph {seed}")
    n = rng.randrange(4, 9)
    core = nx.gnm_random_graph(n, rng.randrange(n, 2 * n), seed=rng.randrange(10**6), directed=oneway)
    nx.add_cycle(core, range(n))
    graph = nx.DiGraph(core) if oneway else nx.Graph(core)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    for v in range(n):
        graph.nodes[v]["kind"] = rng.choice(["gpu", "switch"]) if v > 1 else "gpu"
    for host in range(n, n + rng.randrange(0, 4)):
        at = rng.randrange(n)
        graph.add_edge(host, at)
        if oneway:
            graph.add_edge(at, host)
        graph.nodes[host]["kind"] = "gpu"
    for _, _, cable in graph.edges(data=True):
        cable["capacity"] = rng.choice([1.0, 2.0, 2.5, 10.0])
    return graph, rng


def demands_of(graph, rng):
    """Return all-to-all, or demands of different sizes between some of the endpoints."""
    ends = [v for v, data in graph.nodes(data=True) if data["kind"] == "gpu"]
    pairs = [(a, b) for a in ends for b in ends if a != b]
    if rng.random() < 0.3:
        return "all-to-all"
    some = rng.sample(pairs, rng.randrange(1, len(pairs) + 1))
    return {pair: rng.choice([0.1, 1.0, 3.0]) for pair in some}


def assert_holds(found, exact):
    """The interval holds the exact rate, and says where it comes from."""
    proof = found.certificate
    assert (found.method, found.cut_off, found.n_endpoints) == ("links", exact.cut_off, exact.n_endpoints)
    if exact.status == "cut off":
        assert (found.status, found.per_endpoint_gbps) == ("cut off", 0.0)
        return
    assert found.per_endpoint_gbps == proof.lower_gbps > 0
    assert proof.lower_gbps * (1 - 1e-9) <= exact.per_endpoint_gbps <= proof.upper_gbps * (1 + 1e-9)
    assert found.value_gbps == pytest.approx(
        exact.value_gbps * found.per_endpoint_gbps / exact.per_endpoint_gbps
    )


def said(fabric, traffic, **asked):
    """Return the answer, or why there is none."""
    try:
        return throughput(fabric, traffic, **asked)
    except QuestionError as error:
        return str(error)


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=4)
@pytest.mark.parametrize("oneway", [False, True])
def test_an_interval_holds_the_exact_rate_of_a_graph(oneway, seed):
    gaps = []
    for number in range(15 * seed, 15 * seed + 15):
        graph, rng = graph_of(number, oneway=oneway)
        fabric, traffic = from_networkx(graph), demands_of(graph, rng)
        paths = rng.choice(["rules", "any"])
        asked = {"paths": paths, "method": "links", "drop_unreachable": number % 2 == 0}
        exact, found = (said(fabric, traffic, gap=gap, **asked) for gap in (None, SMALL_GAP))
        if isinstance(exact, str):
            assert exact == found
            continue
        assert_holds(found, exact)
        gaps.append(found.certificate.gap)
    assert len(gaps) > 8
    assert np.mean(np.array(gaps) <= SMALL_GAP) > 0.9


CONSTRUCTS = (
    "mesh x mesh", "ring x ring", "ring x mesh", "line", "line x ring", "one-way rings", "composed axes",
    "relations between groups", "counts by index", "selectors as sides", "two includes", "clos",
)  # fmt: skip


@pytest.mark.some(1)
@pytest.mark.seeds(1, of=6)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_an_interval_holds_the_exact_rate_of_a_file(constructs, construct, seed):
    """Path rules, relays, hosts, peers, failures, and endpoints that these cut off."""
    n_narrow = 0
    # Two seeds with another transit, path rule and number of failures each.
    for number in (seed, seed + 6):
        fabric, paths = constructs.random_fabric(construct, number)
        drop = number % 2 == 0
        asked = {"among": "gpu", "paths": paths, "drop_unreachable": drop}
        exact, found = (
            said(fabric, "all-to-all", method="links", gap=gap, **asked) for gap in (None, SMALL_GAP)
        )
        if isinstance(exact, str):
            assert exact == found
            n_narrow += 1
            continue
        assert_holds(found, exact)
        n_narrow += found.certificate.gap <= SMALL_GAP
    assert n_narrow >= 1


RAILS = """{fabric: rails, axes: {n: 3, s: 2, k: 2}, devices: {gpu: {kind: gpu, axes: [n, s], transit: relay},
  nv: {kind: switch, axes: [n]}, nic: {kind: nic, axes: [n, s]}, leaf: {kind: switch, axes: [s]},
  spine: {kind: switch, axes: [k]}}, failed: [[leaf0, spine1], n1/nic0],
 links: [{between: [gpu, nv], rate: 8Gb/s, net: scale-up}, {between: [gpu, nic], rate: 2Gb/s},
  {between: [nic, leaf], rate: 1Gb/s}, {between: [leaf, spine], rate: 1.5Gb/s}]}"""
CHIPS = """{fabric: chips, axes: {x: 4, y: 3}, devices: {c: {kind: gpu, axes: [x, y], transit: all}},
 failed: [[x0/c0, x1/c0]], links: [{between: [c, c], name: x, ring: x, rate: 1Gb/s},
  {between: [c, c], name: y, ring: y, rate: 2Gb/s}]}"""
HOSTS = """{fabric: hosts, axes: {l: 3, h: 3, s: 2}, devices: {gpu: {kind: gpu, axes: [l, h]},
  nic: {kind: nic, axes: [l, h]}, leaf: {kind: switch, axes: [l]}, spine: {kind: switch, axes: [s]}},
 failed: [[leaf0, spine1]], links: [{between: [gpu, nic], rate: 4Gb/s}, {between: [nic, leaf], rate: 4Gb/s},
  {between: [leaf, spine], rate: 2Gb/s}]}"""


class Posed:
    """A question with an answer that holds, to be changed by chance."""

    def __init__(self, text, paths="rules"):
        self.expanded = expand(loads(text))
        ends = self.expanded.is_endpoint & ~self.expanded.failed
        self.demand = pattern_demand(self.expanded, ends, None)
        self.net, self.traffic = network_of(self.expanded, self.demand, paths)
        self.forced = forced_load(self.net, self.demand)
        logit = Logit(self.traffic)
        found = Prices(logit, self.net.moves.link_capacity(), self.forced).narrow(SMALL_GAP)
        self.mix = [(part, list(logit.flows(routing))) for part, routing in found.mix]
        self.price = found.length
        self.potentials = list(logit.distances(self.price))
        self.exact = throughput(loads(text), method="links", paths=paths, drop_unreachable=True)

    def verdict(self, **changed):
        asked = {"mix": self.mix, "price": self.price, "potentials": self.potentials, **changed}
        net = asked.pop("net", self.net)
        return check_interval(net, plain(net, self.traffic), self.forced, **asked)[0]


def with_flow(mix, rng, change):
    """Return a mix in which the flows of one block are changed."""
    routing = rng.randrange(len(mix))
    part, blocks = mix[routing]
    number = rng.randrange(len(blocks))
    block = blocks[number]
    cell, flow = block.cell.copy(), block.flow.copy()
    cell, flow = change(cell, flow, rng)
    blocks = [*blocks[:number], replace(block, cell=cell, flow=flow), *blocks[number + 1 :]]
    return [*mix[:routing], (part, blocks), *mix[routing + 1 :]]


def less(cell, flow, rng):
    at = rng.choice(np.flatnonzero(flow > 1e-3 * flow.max()).tolist())
    flow[at] *= rng.choice([0.0, 0.5, 0.99])
    return cell, flow


def elsewhere(cell, flow, rng):
    at = rng.choice(np.flatnonzero(flow > 1e-3 * flow.max()).tolist())
    cell[at] += rng.choice([-1, 1]) * (1 if 0 < cell[at] < cell.max() else 0) or 1
    return cell, flow


def negative(cell, flow, rng):
    at = rng.choice(np.flatnonzero(flow > 1e-3 * flow.max()).tolist())
    flow[at] = rng.choice([-flow[at], np.nan, np.inf])
    return cell, flow


def beyond(cell, flow, rng):
    cell[rng.randrange(len(cell))] = rng.choice([-1, 10**6])
    return cell, flow


QUESTIONS = [(RAILS, "rules"), (RAILS, "any"), (CHIPS, "rules"), (HOSTS, "rules")]


@pytest.mark.some(2)
@pytest.mark.parametrize(("text", "paths"), QUESTIONS)
def test_flows_that_are_changed_prove_nothing(text, paths):
    posed = Posed(text, paths)
    assert posed.verdict().faults == ()
    assert posed.verdict().lower_gbps == pytest.approx(posed.exact.per_endpoint_gbps, rel=2 * SMALL_GAP)
    rng = random.Random(f"flows {text} {paths}")
    for change in (less, elsewhere, negative, beyond):
        for _ in range(15):
            verdict = posed.verdict(mix=with_flow(posed.mix, rng, change))
            assert (verdict.lower_gbps, verdict.status, bool(verdict.faults)) == (0.0, "bounded", True), (
                change
            )


@pytest.mark.parametrize(("text", "paths"), QUESTIONS)
def test_demands_that_are_left_out_and_parts_of_more_than_a_whole_prove_nothing(text, paths):
    posed = Posed(text, paths)
    (part, blocks), *rest = posed.mix
    changed = [
        [(part, blocks[:-1]), *rest],
        [(part, [*blocks, blocks[0]]), *rest],
        [(part / 2, blocks), *rest],
        [(-part, blocks), (2 * part, blocks), *rest],
        rest if rest else [],
    ]
    for mix in changed:
        verdict = posed.verdict(mix=mix)
        assert (verdict.lower_gbps, bool(verdict.faults)) == (0.0, True)


@pytest.mark.some(2)
@pytest.mark.parametrize(("text", "paths"), QUESTIONS)
def test_prices_and_potentials_that_are_changed_never_prove_too_little(text, paths):
    posed = Posed(text, paths)
    rate = posed.exact.per_endpoint_gbps
    rng = random.Random(f"prices {text} {paths}")
    n_refused = 0
    for _ in range(40):
        price = posed.price.copy()
        potentials = [(block, values.copy()) for block, values in posed.potentials]
        block, values = rng.choice(potentials)
        if rng.random() < 0.5:
            price[rng.choice(np.flatnonzero(price > 0).tolist())] *= rng.choice([0.0, 0.5, 1.5, -1.0, np.nan])
        else:
            at = rng.randrange(len(values)), rng.randrange(values.shape[1])
            values[at] = rng.choice([values[at] * 1.01 + 1e-3, np.inf, np.nan, values[at] / 2])
        upper = posed.verdict(price=price, potentials=potentials).upper_gbps
        assert upper >= rate * (1 - 1e-9)
        n_refused += np.isinf(upper)
    assert n_refused >= 5
    assert posed.verdict(potentials=posed.potentials[:-1]).upper_gbps == np.inf


def test_moves_that_the_path_rule_has_not_are_a_fault():
    posed = Posed(RAILS)
    net = posed.net
    for name, wrong in (
        ("tail", net.tail[::-1]),
        ("head", np.roll(net.head, 1)),
        ("link", net.link ^ 1),
        ("at", np.zeros_like(net.at)),
        ("entry", np.where(net.entry >= 0, (net.entry + 1) % net.n_states, -1)),
        ("exit", np.where(net.exit >= 0, (net.exit + 1) % net.n_states, -1)),
    ):
        assert merging_faults(replace(net, **{name: wrong})), name
        assert posed.verdict(net=replace(net, **{name: wrong})).lower_gbps == 0.0
    assert merging_faults(net) == []


def test_a_chip_that_forwards_freely_is_one_state_and_a_host_on_one_leaf_none():
    chips, hosts, rails = Posed(CHIPS), Posed(HOSTS), Posed(RAILS)
    assert (chips.traffic.n_states, len(chips.traffic.sink)) == (12, 12)
    # Three leaves that climb, three that descend, and two spines that do both.
    assert (hosts.traffic.n_states, len(hosts.traffic.sink)) == (10, 3)
    # What a relay may do depends on the source's domain and the target's: nothing is merged.
    assert len(rails.traffic.sink) == 6


def test_a_state_that_may_not_do_all_is_not_merged():
    moves = keep_useful(forwarding(expand(loads(CHIPS)), *(np.ones(12, dtype=np.bool_),) * 2))
    is_first = np.array([name == "source" for name, _ in moves.role])
    # One move of a source is taken away: then the chip is no longer its source and its forwarder in one.
    one = np.flatnonzero(is_first[moves.tail])[0]
    kept = np.arange(len(moves.tail)) != one
    cut = replace(moves, tail=moves.tail[kept], head=moves.head[kept], link=moves.link[kept])
    whole, part = merge(moves), merge(cut)
    assert (whole.n_states, len(unlike(moves, whole.at))) == (12, 0)
    assert len(unlike(cut, whole.at)) > 0
    assert part.n_states > 12
    assert len(unlike(cut, part.at)) == 0


def hosts_of(rng):
    """Return a fabric in which some hosts are alike to the network, and what failed."""
    n_switches, n_hosts, n_spines = rng.randrange(3, 8), rng.randrange(1, 5), rng.randrange(1, 4)
    axes = f"s: {n_switches}, h: {n_hosts}, sp: {n_spines}, p: 2"
    ends = "gpu: {kind: gpu, axes: [s, h], transit: all}, leaf: {kind: switch, axes: [s, p]},"
    to_leaf = "{between: [gpu, leaf], rate: 1Gb/s}"
    if rng.random() < 0.5:
        ends = (
            "gpu: {kind: gpu, axes: [s, h]}, nic: {kind: nic, axes: [s, h]}, leaf: {kind: switch, axes: [s]},"
        )
        to_leaf = "{between: [gpu, nic], rate: 2Gb/s}, {between: [nic, leaf], rate: 2Gb/s}"
    above = rng.choice(["[p, sp]", "[sp]"]) if "transit" in ends else "[sp]"
    fabric = loads(
        f"{{fabric: a, axes: {{{axes}}}, devices: {{{ends} spine: {{kind: switch, axes: {above}}}}}, "
        f"links: [{to_leaf}, {{between: [leaf, spine], rate: 1Gb/s}}]}}"
    )
    some = [name for name in map(str, expand(fabric).names) if "nic" not in name]
    return fail(fabric, *rng.sample(some, rng.randrange(0, 4)))


def test_traffic_does_not_go_round_where_chips_pass_on_below_a_switch():
    """Chips of a line that all reach a top may climb again: a turn down at the top leads back to it."""
    fabric = loads(
        "{fabric: lines, axes: {pod: 4, x: 3}, devices: {gpu: {kind: gpu, axes: [pod, x], transit: all}, "
        "top: {kind: switch, axes: [pod]}, core: {kind: switch, axes: []}}, links: [{between: [gpu, gpu], "
        "line: x, rate: 1Gb/s}, {between: [gpu, top], rate: 1Gb/s}, {between: [top, core], rate: 1Gb/s}], "
        "failed: [pod0/gpu1, pod0/gpu2]}"
    )
    found = throughput(fabric, method="links", gap=0.01)
    assert_holds(found, throughput(fabric, method="links"))
    assert found.gap < 0.01


@pytest.mark.seeds(6, of=200)
def test_all_to_all_by_kinds_of_endpoints_is_that_by_pairs(seed):
    rng = random.Random(f"kinds {seed}")
    e = expand(hosts_of(rng))
    ends = e.is_endpoint & ~e.failed

    def left(demand_of):
        return left_over(e, demand_of, None, paths="rules", drop_unreachable=True)

    try:
        listed, lost = left(lambda kept: pattern_demand(e, ends & kept, None))
    except QuestionError:
        with pytest.raises(QuestionError, match="majority|no endpoint has another"):
            left(lambda kept: Uniform(np.flatnonzero(ends & kept)))
        return
    alike, as_lost = left(lambda kept: Uniform(np.flatnonzero(ends & kept)))
    np.testing.assert_array_equal(as_lost, lost)
    (net, by_pairs), (_, by_kinds) = (network_of(e, demand, "rules") for demand in (listed, alike))
    for name in ("tail", "head", "link", "sink", "first", "source"):
        np.testing.assert_array_equal(getattr(by_kinds, name), getattr(by_pairs, name))
    np.testing.assert_allclose(by_kinds.amount, by_pairs.amount, rtol=1e-12)
    np.testing.assert_allclose(forced_load(net, alike), forced_load(net, listed), rtol=1e-12)


def test_more_hosts_than_pairs_can_be_listed_are_answered():
    def jellyfish(n_hosts):
        return loads(
            f"{{fabric: a, axes: {{s: 30, h: {n_hosts}}}, devices: {{gpu: {{kind: gpu, axes: [s, h]}}, "
            "sw: {kind: switch, axes: [s]}}, links: [{between: [gpu, sw], rate: 1Tb/s}, {between: [sw, sw], "
            "rate: 10Gb/s, wiring: {pattern: jellyfish, along: s, degree: 4}}]}"
        )

    few, many = (throughput(jellyfish(n), gap=0.01) for n in (1, 200))
    assert (many.status, many.n_endpoints) == ("bounded", 6_000)
    # Where a switch has 200 hosts, 199 of the 5,999 parts that each sends stay at home.
    ratio = 200 * (1 - 199 / 5_999)
    lower, upper = (getattr(many.certificate, f"{side}_gbps") * ratio for side in ("lower", "upper"))
    assert lower <= few.certificate.upper_gbps * (1 + 1e-9)
    assert upper >= few.certificate.lower_gbps * (1 - 1e-9)
    assert many.gap < 0.01


def test_every_host_with_a_choice_of_its_own_is_a_kind():
    e = expand(loads(RAILS.replace("failed: [[leaf0, spine1], n1/nic0],", "")))
    ends = np.flatnonzero(e.is_endpoint)
    by_pairs = interval_of(e, pattern_demand(e, e.is_endpoint, None))
    by_kinds = interval_of(e, Uniform(ends))
    assert by_kinds.proof.lower_gbps == pytest.approx(by_pairs.proof.lower_gbps, rel=1e-9)
    assert by_kinds.proof.upper_gbps == pytest.approx(by_pairs.proof.upper_gbps, rel=1e-9)


TORUS = """{fabric: t, axes: {x: 6, y: 6}, devices: {tpu: {kind: gpu, axes: [x, y], transit: all}},
  links: [{between: [tpu, tpu], name: a, ring: x, rate: 1Gb/s},
    {between: [tpu, tpu], name: b, ring: y, rate: 1Gb/s}]}"""


# From a point the others are 0 to 3 away on two axes that may be exchanged: 10 kinds with itself. From the
# middle of a cable they are half a step, 3 or 5 of these away along it.
@pytest.mark.parametrize(("failed", "n"), [("x1/y2/tpu", 10 - 1), ("x5/y0/tpu - x0/y0/tpu", 3 * 4)])
def test_mirrors_about_what_is_down_change_no_bound(failed, n):
    torus = fail(loads(TORUS), failed)
    e = expand(torus)
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    net, traffic = network_of(e, Uniform(ends), "rules")
    forced = forced_load(net, Uniform(ends))
    alike = mirrored(net, traffic, forced, mirrors(e))
    assert len(alike.traffic.sink) == n
    assert alike.traffic.amount.sum() == pytest.approx(traffic.amount.sum(), rel=1e-12)
    exact = throughput(torus).per_endpoint_gbps
    found = interval_of(e, Uniform(ends), gap=SMALL_GAP).proof
    assert not found.faults
    assert found.lower_gbps <= exact * (1 + 1e-9) <= found.upper_gbps * (1 + 2e-9)
    assert found.gap <= SMALL_GAP


def test_a_permutation_that_keeps_no_cable_is_not_taken():
    e = expand(fail(loads(TORUS), "x1/y2/tpu"))
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    net, traffic = network_of(e, Uniform(ends), "rules")
    forced = forced_load(net, Uniform(ends))
    wrong = np.arange(e.n_devices)
    wrong[[0, 5]] = wrong[[5, 0]]
    assert len(mirrored(net, traffic, forced, [wrong]).traffic.sink) == len(traffic.sink)
    # Nor is one that moves a link onto one of another load.
    (mirror, *_) = mirrors(e)
    assert len(mirrored(net, traffic, forced, [mirror]).traffic.sink) < len(traffic.sink)
    odd = forced + np.arange(len(forced))
    assert len(mirrored(net, traffic, odd, [mirror]).traffic.sink) == len(traffic.sink)


def test_prices_that_differ_between_images_prove_nothing():
    e = expand(fail(loads(TORUS), "x1/y2/tpu"))
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    net, traffic = network_of(e, Uniform(ends), "rules")
    forced = forced_load(net, Uniform(ends))
    alike = mirrored(net, traffic, forced, mirrors(e))
    logit, price = Logit(alike.traffic), np.ones(2 * e.n_bundles)
    routing = [(1.0, list(logit.flows(Routing(price, 1.0))))]
    sound, _ = check_interval(net, alike, forced, routing, price, logit.distances(price))
    assert 0 < sound.lower_gbps <= sound.upper_gbps < np.inf
    price[np.flatnonzero(net.moves.link_capacity() > 0)[0]] = 2.0
    odd, _ = check_interval(net, alike, forced, routing, price, logit.distances(price))
    assert odd.upper_gbps == np.inf


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("kind", "seed"), [("torus", 1), ("geometric", 2), ("torus", 2), ("geometric", 0), ("geometric", 1)]
)
def test_narrow_places_beside_wide_links_to_hosts_are_found(kind, seed):
    # Few links of 10 Gb/s join the parts of the network; those to hosts carry a hundred times as much.
    if kind == "geometric":
        core = nx.random_geometric_graph(110, 0.17, seed=seed)
        core = core.subgraph(max(nx.connected_components(core), key=len))
    else:
        core = nx.convert_node_labels_to_integers(nx.grid_graph([5, 5, 5], periodic=True))
        core.remove_edges_from(random.Random(seed).sample(sorted(core.edges), 3))
    graph = nx.Graph()
    for u, v in core.edges:
        graph.add_edge(f"s{u}", f"s{v}", capacity=10.0)
    nx.set_node_attributes(graph, "switch", "kind")
    for v in core:
        graph.add_node(f"h{v}", kind="gpu")
        graph.add_edge(f"s{v}", f"h{v}", capacity=1000.0)
    expanded = expand(from_networkx(graph))
    found = interval_of(expanded, pattern_demand(expanded, expanded.is_endpoint, None))
    assert found.proof.upper_gbps <= found.proof.lower_gbps * (1 + 2 * SMALL_GAP)
