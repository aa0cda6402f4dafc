"""The quotient by refinement: equal to the program on real links and to the axes, on any graph."""

import dataclasses
import random

import networkx as nx
import numpy as np
import pytest

from fabric.errors import LimitError
from fabric.flow import max_flow
from fabric.flow.by_refinement import EndpointTraffic, refined_program
from fabric.flow.commodities import capacities
from fabric.flow.concurrent import check_concurrent
from fabric.flow.program import solve_commodities
from fabric.flow.throughput import throughput
from fabric.flow.traffic import Traffic
from fabric.graph import expand, loads
from fabric.graph.exchange import from_networkx
from fabric.symmetry.refinement import coarsest, refine

FAMILIES = (
    "mesh x mesh",
    "ring x ring",
    "ring x mesh",
    "line",
    "line x ring",
    "line x mesh",
    "one-way rings",
    "relations between groups",
    "counts by index",
    "composed axes",
    "selectors as sides",
    "two includes",
    "clos",
)
DEAD = (((0, 0), (1, 0)), ((2, 0), (3, 0)))


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-7)


def fabric_of(graph, rate=1.0):
    nx.set_edge_attributes(graph, rate, "capacity")
    return from_networkx(graph)


def torus(*sizes, without=()):
    graph = nx.grid_graph(sizes[::-1], periodic=True)
    graph.remove_edges_from(without)
    return fabric_of(graph)


# ---- three ways to one number ---------------------------------------------------------------------


# As of `test_axes`: of the twelve seeds that are every transit and number of failures, half.
QUICK = (102, 107, 108)
SEEDS = [seed if seed in QUICK else pytest.param(seed, marks=pytest.mark.slow) for seed in range(100, 112)]


@pytest.mark.some(1)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_refinement_equals_axes_and_the_explicit_program(family, seed, constructs, explicit):
    fabric, paths = constructs.random_fabric(family, seed)
    rate = explicit.refined_rate(fabric, paths)
    assert rate == near(explicit.explicit_rate(fabric, paths))
    if seed % 3 == 0:
        assert rate == near(explicit.axes_rate(fabric, paths))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
@pytest.mark.parametrize("family", FAMILIES)
def test_three_ways_in_quota(family, chunk, constructs, explicit):
    for seed in range(200 + 12 * chunk, 212 + 12 * chunk):
        fabric, paths = constructs.random_fabric(family, seed)
        rate = explicit.refined_rate(fabric, paths)
        assert rate == near(explicit.explicit_rate(fabric, paths)), seed
        assert rate == near(explicit.axes_rate(fabric, paths)), seed


def twisted(rng, transit):
    """A twisted torus of chips, or of the routers of endpoints."""
    sizes = {"x": rng.randint(2, 4), "y": rng.randint(2, 4)}
    node = "gpu" if transit == "all" else "router"
    devices = f"gpu: {{kind: gpu, axes: [x, y], transit: {transit}}}, router: {{kind: switch, axes: [x, y]}}"
    links = [f"{{between: [gpu, router], rate: {rng.randint(1, 4)}Gb/s, count: {rng.randint(1, 2)}}}"]
    links.append(
        f"{{between: [{node}, {node}], name: a, ring: x, twist: {{y: {rng.randint(1, 2)}}}, rate: 1Gb/s}}"
    )
    links.append(f"{{between: [{node}, {node}], name: b, ring: y, rate: {rng.randint(1, 2)}Gb/s}}")
    return sizes, devices, links, node


def paired(rng, transit):
    """An arbitrary list of pairs, and a ring beside it."""
    n = rng.randint(4, 7)
    _, devices, links, node = twisted(rng, transit)
    chords = [[i, j] for i in range(n) for j in range(i + 2, n) if j - i < n - 1]
    pairs = [[i, (i + 1) % n] for i in range(n)] + [rng.choice(chords)]
    wiring = f"{{pattern: pairs, along: x, pairs: {pairs}}}"
    links[1] = f"{{between: [{node}, {node}], name: a, wiring: {wiring}, rate: 1Gb/s}}"
    return {"x": n, "y": 2}, devices, links, node


def drafted(build, seed):
    rng = random.Random(f"{build.__name__} {seed}")
    sizes, devices, links, node = build(rng, ("end", "relay", "all")[seed % 3])
    text = f"fabric: f\naxes: {{{', '.join(f'{k}: {v}' for k, v in sizes.items())}}}\n"
    text += f"devices: {{{devices}}}\nlinks: [{', '.join(links)}]\n"
    e = expand(loads(text))
    rows = rng.sample(range(e.n_bundles), seed // 3 % 4)
    cables = [f"[{e.names[int(e.tail[r])]}, {e.names[int(e.head[r])]}]" for r in rows]
    return loads(text + f"failed: [{', '.join(cables)}]\n" if cables else text)


@pytest.mark.some(3)
@pytest.mark.seeds(3, of=12)
@pytest.mark.parametrize("build", [twisted, paired])
def test_what_axes_cannot_say(build, seed, explicit):
    fabric = drafted(build, seed)
    paths = ("rules", "no-relay", "any")[seed % 3]
    assert explicit.refined_rate(fabric, paths) == near(explicit.explicit_rate(fabric, paths))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
@pytest.mark.parametrize("build", [twisted, paired])
def test_what_axes_cannot_say_in_quota(build, chunk, explicit):
    for seed in range(12 + 12 * chunk, 24 + 12 * chunk):
        fabric = drafted(build, seed)
        for paths in ("rules", "no-relay", "any"):
            assert explicit.refined_rate(fabric, paths) == near(explicit.explicit_rate(fabric, paths)), seed


def random_graph(seed):
    """Switches at random with endpoints on some of them; rates and cables of a few kinds."""
    rng = random.Random(seed)
    graph = nx.random_regular_graph(3, 2 * rng.randint(2, 5), seed=seed)
    nx.set_node_attributes(graph, "switch", "kind")
    for v in list(graph):
        for i in range(rng.randint(0, 2)):
            graph.add_node((v, i), kind="gpu")
            graph.add_edge((v, i), v, lower=(v, i))
    graph.add_edge("last", 0, lower="last")
    graph.nodes["last"]["kind"] = "gpu"
    graph.add_edge("first", 1, lower="first")
    graph.nodes["first"]["kind"] = "gpu"
    for u, v in graph.edges:
        graph.edges[u, v].update(rate_gbps=rng.choice((1.0, 1.0, 8 / 3)), count=rng.choice((1, 1, 2)))
    return graph


@pytest.mark.seeds(4, of=20)
def test_graphs_from_networkx(seed, explicit):
    fabric = from_networkx(random_graph(seed))
    assert explicit.refined_rate(fabric) == near(explicit.explicit_rate(fabric))


# ---- published values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fabric", "per_pair"),
    [
        (fabric_of(nx.random_regular_graph(4, 14, seed=1)), 0.15),
        (fabric_of(nx.petersen_graph()), 0.2),
        (torus(4, 4, without=DEAD), 0.09375),
        (torus(4, 4, 8), 0.9921875 / 127),
    ],
    ids=["RRG(14,4)", "Petersen", "torus 4x4 with two dead cables", "torus 4x4x8"],
)
def test_rate_per_pair(fabric, per_pair, explicit):
    n = expand(fabric).n_devices
    assert explicit.refined_rate(fabric) / (n - 1) == near(per_pair)


@pytest.mark.parametrize(
    ("fabric", "wrong"),
    [(torus(4, 4, 8), 1.488), (torus(4, 4, without=DEAD), 15 * 0.109375)],
    ids=["torus 4x4x8", "torus 4x4 with two dead cables"],
)
def test_like_sources_do_not_make_like_links(fabric, wrong, explicit):
    """Merge links by the kinds of their ends: the trap that the multiset over all sources avoids."""
    base, views = refine(expand(fabric))
    if len(views) > 1:
        base, views = explicit.by_sources_alone(base, views)
    else:
        base = explicit.with_one_link_class(base)
        views = [(n, explicit.with_one_link_class(view), own) for n, view, own in views]
    assert explicit.rate_of(base, views, "rules") == pytest.approx(wrong, abs=5e-4)


def test_the_certificate_is_not_deceived_by_like_sources(explicit):
    e = expand(torus(4, 4, without=DEAD))
    work = refined_program(e, EndpointTraffic(e.is_endpoint))
    honest = solve_commodities(work.capacity, work.commodities)
    assert check_concurrent(work, honest).status == "optimal"
    views = [(b.n_alike, b.view, 0) for b in work.commodities]
    base, views = explicit.by_sources_alone(work.base, views)
    blocks = [
        dataclasses.replace(b, view=view) for b, (_, view, _) in zip(work.commodities, views, strict=True)
    ]
    work = dataclasses.replace(work, base=base, commodities=blocks, capacity=capacities(base))
    answer = solve_commodities(work.capacity, blocks)
    assert answer.rate_gbps == pytest.approx(15 * 0.109375, rel=1e-9)
    verdict = check_concurrent(work, answer)
    assert "link carries" in verdict.faults[0]
    assert (verdict.lower_gbps, verdict.status) == (0.0, "bounded")


@pytest.mark.some(1)
@pytest.mark.parametrize("root", [0, 5])
@pytest.mark.parametrize("pattern", ["one-to-all", "all-to-one"])
def test_one_commodity_on_any_graph(pattern, root, explicit):
    for seed in range(6):
        fabric = from_networkx(random_graph(seed))
        e = expand(fabric)
        ends = np.flatnonzero(e.is_endpoint)
        root_name = str(e.names[int(ends[root % len(ends)])])
        traffic = Traffic(pattern, root=root_name)
        found = throughput(fabric, traffic, method="refinement")
        assert found.status == "optimal"
        want = throughput(fabric, traffic, method="links").per_endpoint_gbps
        assert found.per_endpoint_gbps == near(want)


# ---- classes --------------------------------------------------------------------------------------


def test_only_endpoints_that_take_part_are_told_apart():
    # A star: its leaves are alike until some of them are left out, which then are alike among themselves.
    e = expand(fabric_of(nx.star_graph(6)))
    base, views = refine(e, np.arange(7) < 3)
    assert sorted(base.size.tolist()) == [1, 2, 4]
    assert sorted(n for n, _, _ in views) == [1, 2]
    assert {tuple(sorted(view.size.tolist())) for _, view, _ in views} == {(1, 2, 4), (1, 1, 1, 4)}


def test_the_first_device_is_told_apart_too():
    # Its number is 0, and what is mixed of 0 is 0.
    e = expand(fabric_of(nx.complete_graph(5)))
    _, views = refine(e, np.arange(5) < 2)
    assert [(n, sorted(view.size.tolist())) for n, view, _ in views] == [(2, [1, 1, 3])]


def test_links_of_a_torus_fall_into_its_short_and_its_long_rings():
    base, ((n, view, own),) = refine(expand(torus(4, 4, 8)))
    assert sorted(base.classes.count.tolist()) == [256, 512]
    assert (n, view.size[own], view.size.sum()) == (128, 1, 128)


def relabelled(e, seed):
    """Return the same fabric with its devices, and the bundles of each rule, in another order."""
    rng = np.random.default_rng(seed)
    new = rng.permutation(e.n_devices)
    order = np.lexsort((rng.random(e.n_bundles), e.rule))
    old = np.argsort(new)
    return dataclasses.replace(
        e,
        group=e.group[old],
        failed=e.failed[old],
        names=tuple(e.names[i] for i in old.tolist()),
        tail=new[e.tail[order]],
        head=new[e.head[order]],
        rule=e.rule[order],
        rate_gbps=e.rate_gbps[order],
        count=e.count[order],
        failed_count=e.failed_count[order],
        coordinates={},
    )


def shape(base, views):
    """Return what does not depend on the order of devices: classes by size, links by rule and cables."""

    def of(q):
        ends = q.size[q.classes.tail], q.size[q.classes.head]
        links = zip(
            q.classes.rule.tolist(), q.classes.count.tolist(), *(x.tolist() for x in ends), strict=True
        )
        return sorted(zip(q.classes.group.tolist(), q.size.tolist(), strict=True)), sorted(links)

    return of(base), sorted((n, of(view)) for n, view, _ in views)


@pytest.mark.some(3)
@pytest.mark.parametrize("family", FAMILIES)
def test_order_changes_nothing(family, constructs):
    e = expand(constructs.random_fabric(family, 105)[0])
    assert shape(*refine(relabelled(e, 1))) == shape(*refine(e))


@pytest.mark.some(5)
@pytest.mark.parametrize("family", FAMILIES)
def test_views_refine_the_base(family, constructs):
    e = expand(constructs.random_fabric(family, 107)[0])
    base, views = refine(e)
    ends = base.classes.is_endpoint
    assert sum(n for n, _, _ in views) == base.size[ends].sum() == (e.is_endpoint & ~e.failed).sum()
    assert base.base.tolist() == list(range(2 * base.classes.n_bundles))
    for n, view, own in views:
        assert view.size[own] == 1
        assert base.size[view.origin[own]] == n
        assert np.bincount(view.origin, view.size).tolist() == base.size.tolist()
        own_cables = np.bincount(view.base, np.repeat(view.classes.count, 2), minlength=len(base.base))
        assert own_cables.tolist() == np.repeat(base.classes.count, 2).tolist()
        assert (np.diff(view.classes.rule) >= 0).all()


def test_rates_are_told_apart_by_their_bits():
    graph = nx.path_graph(3)
    graph.edges[0, 1]["capacity"] = 0.3
    graph.edges[1, 2]["capacity"] = 0.1 + 0.2
    base, _ = refine(expand(from_networkx(graph)))
    assert base.classes.n_bundles == 4
    assert len(base.size) == 3


def test_chips_of_a_rack_are_merged_before_anything_is_coloured():
    # 72 endpoints times 72 x 18 cables would be above this limit; alike chips count once.
    text = "{fabric: r, axes: {i: 72, chip: 18}, devices: {gpu: {kind: gpu, axes: [i]},"
    e = expand(
        loads(text + " chip: {kind: switch, axes: [chip]}}, links: [{between: [gpu, chip], rate: 1Gb/s}]}")
    )
    base, ((n, view, _),) = refine(e, limit=72 * 73)
    assert base.size.tolist() == [72, 18]
    assert (n, view.size.tolist()) == (72, [1, 71, 18])
    with pytest.raises(LimitError, match=r"72 endpoints at 72 classes of links, 5,256 in all; at most 5,255"):
        refine(e, limit=72 * 73 - 1)


# ---- one commodity --------------------------------------------------------------------------------


@pytest.mark.some(3)
@pytest.mark.seeds(2, of=8)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_coarsest_partition_keeps_every_maximum_flow(family, seed, constructs, explicit):
    fabric, paths = constructs.random_fabric(family, seed)
    e = expand(fabric)
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(ends)
    cut = int(rng.integers(1, len(ends)))
    side = {1: chosen[:1], 2: chosen[cut:]} if seed % 2 else {1: chosen[:cut], 2: chosen[cut:]}
    marked = np.zeros(e.n_devices, dtype=np.int64)
    for number, devices in side.items():
        marked[devices] = number
    names = [[str(e.names[i]) for i in devices.tolist()] for devices in side.values()]
    want = max_flow(fabric, *names, paths=paths).value_gbps
    q = coarsest(e, marked)
    of = explicit.class_of(q, e, marked)
    assert explicit.flow_on_classes(q, of == 1, of == 2, paths) == near(want)
