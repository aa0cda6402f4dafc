"""Tori of Google's TPUs, whole pods and slices: every link, published rates, and closed forms."""

import itertools
from collections import Counter
from math import prod

import networkx as nx
import numpy as np
import pytest

from fabric.bounds.bound import bound
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import expand, loads
from tests.shipped_systems import SYSTEMS, links, read

# Tori: their sides, the rate of a link [Gb/s], and the sides without a wrap.
TORI = {
    "tpu-v4": ((16, 16, 16), 360, ""),
    "tpu-v5e": ((16, 16), 400, ""),
    "tpu-v5p": ((16, 20, 28), 800, ""),
    "tpu-v6e": ((16, 16), 800, ""),
    "tpu-v7": ((16, 24, 24), 800, ""),
    "tpu-8t": ((20, 20, 24), 1600, ""),
    "tpu-v4-4x4x8": ((4, 4, 8), 360, ""),
    "tpu-v4-4x8x8": ((4, 8, 8), 360, ""),
    "tpu-v5e-4x8": ((4, 8), 400, "xy"),
    "tpu-v5e-8x16": ((8, 16), 400, "x"),
    "tpu-v6e-8x16": ((8, 16), 800, "x"),
    "tpu-v5p-2x2x2": ((2, 2, 2), 800, "xyz"),
    "tpu-v5p-8x8x16": ((8, 8, 16), 800, ""),
    "tpu-v5p-16x16x24": ((16, 16, 24), 800, ""),
    "tpu-v7-4x4x4": ((4, 4, 4), 800, ""),
}
TWISTED = {
    # sides, rate, what the wrap of each side adds
    "tpu-v4-4x4x8-twisted": ((4, 4, 8), 360, {0: (0, 0, 4), 1: (0, 0, 4)}),
    "tpu-v4-4x8x8-twisted": ((4, 8, 8), 360, {0: (0, 4, 4)}),
    "tpu-v5p-8x8x16-twisted": ((8, 8, 16), 800, {0: (0, 0, 8), 1: (0, 0, 8)}),
}
PODS = {f"tpu-{v}-pod": f"tpu-{v}" for v in ("v4", "v5e", "v5p", "v6e", "v7")}

# Both directions of a chip [GB/s]: Google Cloud docs, and 19.2 Tb/s of TPU 8t in its blog.
PER_CHIP = {
    "tpu-v4": 6 * 45 * 2,
    "tpu-v5e": 400,
    "tpu-v5p": 1200,
    "tpu-v6e": 800,
    "tpu-v7": 1200,
    "tpu-8t": 19_200 / 8,
}

# Seconds in all; the same solvers run on smaller tori beside them.
LARGE = {"tpu-v4", "tpu-v5p", "tpu-v7", "tpu-8t", "tpu-v5p-16x16x24", "tpu-v5p-8x8x16-twisted"}


def marked(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in names]


def cut(n, near, gbps):
    """Rate of each of n endpoints in all-to-all where `near` of them have `gbps` towards all others."""
    return gbps * (n - 1) / (near * (n - near))


def around(sides, gbps):
    """All-to-all in a torus: half of the longest side, two rings cut at each place of the others."""
    return cut(prod(sides), prod(sides) // 2, 2 * prod(sides) // max(sides) * gbps)


# All-to-all by the cut that binds [Gb/s], and what the chip with least takes in in an all-gather [Gb/s].
SOLVED = {
    **{name: (around(sides, gbps), gbps * 2 * len(sides)) for name, (sides, gbps, _) in TORI.items()},
    # Without wraps half of the links of the cut, and corners have one link a side.
    "tpu-v5e-4x8": (cut(32, 16, 4 * 400), 2 * 400),
    "tpu-v5p-2x2x2": (cut(8, 4, 4 * 800), 3 * 800),
    # The side without wraps is half as long, and its cut as narrow.
    "tpu-v5e-8x16": (around((8, 16), 400), 3 * 400),
    "tpu-v6e-8x16": (around((8, 16), 800), 3 * 800),
}


def rates(e):
    return {r.name: set(e.rate_gbps[e.rule == i].tolist()) for i, r in enumerate(e.rules)}


def degrees(e):
    return np.bincount(np.concatenate([e.tail, e.head]), np.tile(e.count, 2), minlength=e.n_devices).astype(
        int
    )


def test_every_file_is_held_to_numbers():
    files = {path.name.removesuffix(".fabric.yaml") for path in SYSTEMS.glob("tpu-*.fabric.yaml")}
    assert files <= set(TORI) | set(TWISTED) | set(PODS)


def lattice(sides, lines, shift):
    """Return the links of a torus: neighbours on each side, and wraps that add `shift`."""
    found = set()
    for here in itertools.product(*map(range, sides)):
        for side, n in enumerate(sides):
            there = list(here)
            there[side] += 1
            if there[side] == n:
                if "xyz"[side] in lines or n == 2:
                    continue
                there = [a + b for a, b in zip(there, shift.get(side, (0, 0, 0)), strict=False)]
            found.add(frozenset({here, tuple(a % m for a, m in zip(there, sides, strict=True))}))
    return found


@pytest.mark.some(3)
@pytest.mark.parametrize("name", [*TORI, *TWISTED])
def test_torus_has_its_neighbours_and_wraps(name):
    sides, rate, rest = (TORI | TWISTED)[name]
    e = links(name)
    at = list(zip(*(e.coordinates[a].tolist() for a in "xyz"[: len(sides)]), strict=True))
    found = Counter(frozenset({at[i], at[j]}) for i, j in zip(e.tail, e.head, strict=True))
    wanted = lattice(sides, rest, {}) if name in TORI else lattice(sides, "", rest)
    assert found == dict.fromkeys(wanted, 1)
    assert set(e.rate_gbps.tolist()) == {rate}
    if not rest or name in TWISTED:
        assert set(degrees(e).tolist()) == {2 * len(sides)}


@pytest.mark.parametrize(
    ("name", "sides", "diameter", "mean"),
    [
        ("tpu-v4-4x4x8", (4, 4, 8), 8, 4.031496),
        ("tpu-v4-4x8x8", (4, 8, 8), 10, 5.019608),
        ("tpu-v5p-8x8x16", (8, 8, 16), 16, 8.007820),
        ("tpu-v5p-8x8x16", (8, 8, 8), 12, 6.011742),
        ("tpu-v4", (16, 16, 16), 24, 12.002930),
    ],
)
def test_distances_in_a_torus(name, sides, diameter, mean):
    fabric = read(name)
    if sides != TORI[name][0]:
        fabric = loads((SYSTEMS / f"{name}.fabric.yaml").read_text().replace("z: 16", f"z: {sides[2]}"))
    e = expand(fabric)
    assert e.n_devices == prod(sides)
    # All chips are alike.
    joined = nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    hops = nx.single_source_shortest_path_length(joined, 0)
    assert max(hops.values()) == diameter
    assert sum(hops.values()) / (e.n_devices - 1) == pytest.approx(mean, abs=5e-7)


@pytest.mark.parametrize("name", PODS)
def test_pod_is_its_template(name):
    whole, part = links(name), links(PODS[name])
    assert (whole.n_devices, rates(whole)) == (part.n_devices, rates(part))
    assert degrees(whole).tolist() == degrees(part).tolist()


@pytest.mark.parametrize("name", PER_CHIP)
def test_links_of_a_chip(name):
    e = links(name)
    both = degrees(e) * e.rate_gbps[0] * 2 / 8
    assert both == pytest.approx(PER_CHIP[name], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "n_cubes"), [("tpu-v4", 64), ("tpu-v5p", 140), ("tpu-v7", 144), ("tpu-8t", 150)]
)
def test_a_circuit_switch_has_two_ports_a_cube(name, n_cubes):
    """Of 4 x 4 x 4 chips 96 links leave; 48 circuit switches take two of each cube (TPU v4, ISCA 2023)."""
    e = links(name)
    cube = np.stack([e.coordinates[a] // 4 for a in "xyz"])
    crossing = (cube[:, e.tail] != cube[:, e.head]).any(axis=0)
    assert len(set(map(tuple, cube.T.tolist()))) == n_cubes
    assert int(crossing.sum()) * 2 == n_cubes * 96 == 48 * 2 * n_cubes


@pytest.mark.some(1)
@pytest.mark.parametrize("name", marked(SOLVED))
def test_all_to_all_and_all_gather(name):
    rate, inward = SOLVED[name]
    fabric = read(name)
    found = throughput(fabric)
    assert found.per_endpoint_gbps == pytest.approx(rate, rel=1e-9)
    assert found.status == "optimal"
    n = found.n_endpoints
    assert bound(fabric, "all-gather").algbw_gbps == pytest.approx(inward * n / (n - 1), rel=1e-9)


@pytest.mark.some(1)
@pytest.mark.parametrize("name", marked(TWISTED))
def test_twist_makes_all_links_alike(name):
    """All-to-all then is what the links have over the mean distance, and better than with plain wraps.

    An all-gather is bound by what a chip takes in, as without a twist.
    """
    sides, gbps, _ = TWISTED[name]
    fabric, e = read(name), links(name)
    hops = nx.single_source_shortest_path_length(
        nx.Graph(zip(e.tail.tolist(), e.head.tolist(), strict=True)), 0
    )
    found = throughput(fabric)
    mean = sum(hops.values()) / (len(hops) - 1)
    assert found.per_endpoint_gbps == pytest.approx(6 * gbps / mean, rel=1e-9)
    assert found.per_endpoint_gbps > 1.3 * around(sides, gbps)
    n = prod(sides)
    assert bound(fabric, "all-gather").algbw_gbps == pytest.approx(n / (n - 1) * 6 * gbps, rel=1e-9)


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("name", "source", "target", "gbps"),
    [
        # What a chip has, over all its ways.
        ("tpu-v5e", "x0/y0/tpu", "x8/y8/tpu", 4 * 400),
        ("tpu-v5p", "x0/y0/z0/tpu", "x8/y10/z14/tpu", 6 * 800),
        ("tpu-v6e", "x0/y0/tpu", "x8/y8/tpu", 4 * 800),
        ("tpu-v7", "x0/y0/z0/tpu", "x8/y12/z12/tpu", 6 * 800),
        ("tpu-8t", "x0/y0/z0/tpu", "x10/y10/z12/tpu", 6 * 1600),
        ("tpu-v4-4x4x8-twisted", "x0/y0/z0/tpu", "x2/y2/z4/tpu", 6 * 360),
        ("tpu-v5e-4x8", "x0/y0/tpu", "x3/y7/tpu", 2 * 400),
        ("tpu-v6e-8x16", "x0/y0/tpu", "x7/y8/tpu", 3 * 800),
        # Half of a pod against the other: two cuts of every ring along the longest side.
        ("tpu-v5p", "z0-13", "z14-27", 2 * 16 * 20 * 800),
        ("tpu-v7", "z0-11", "z12-23", 2 * 16 * 24 * 800),
        ("tpu-8t", "z0-11", "z12-23", 2 * 20 * 20 * 1600),
    ],
)
def test_max_flow(name, source, target, gbps):
    assert max_flow(read(name), source, target).value_gbps == pytest.approx(gbps, rel=1e-12)
