"""Systems of Google, AWS, AMD, Microsoft and NVIDIA: their links, published totals and closed forms."""

import functools
import itertools
import re
from collections import Counter
from math import prod
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from fabric.blueprint import loads_blueprint
from fabric.collective.bound import bound
from fabric.errors import TopologyError
from fabric.flow import max_flow
from fabric.flow.throughput import throughput
from fabric.graph import expand, load, loads
from fabric.parts import find_part

SYSTEMS = Path(__file__).parents[1] / "topologies" / "systems"

# Cables of each rule, and their rate per direction [Gb/s].
SERVERS = {
    "aws-trn2": {"x-ring": (16, 1024), "y-ring": (16, 1024), "chip-nic": (16, 252)},
    "aws-trn2-ultraserver": {
        "x-ring": (64, 1024),
        "y-ring": (64, 1024),
        "z-ring": (64, 512),
        "chip-nic": (64, 252),
    },
    "aws-trn3-gen1": {
        "chip-neuronswitch": (64 * 8, 512),
        "in-a-tray": (2 * 16 * 8, 512),
        "across-racks": (32 * 2, 512),
        "chip-nic": (64, 252),
    },
    "trn3-gen1-320-lane": {
        "chip-neuronswitch": (64 * 8, 512),
        "in-a-tray": (2 * 16 * 8, 512),
        "across-racks": (32 * 2, 512),
        "chip-nic": (64, 252),
    },
    "aws-trn3-gen2": {
        "chip-neuronswitch": (144 * 8, 512),
        "chip-trayswitch": (144 * 8, 512),
        "across-racks": (72 * 2, 512),
        "chip-nic": (144, 252),
    },
    "aws-trn4-scenario": {"chip-nvswitch": (72 * 36, 400)},
    "aws-inf2": {"chip-chip": (12, 48 * 1024**3 * 8 / 1e9)},
    "aws-p6e-gb200": {
        "gpu-nvswitch": (72 * 18, 400),
        "gpu-grace": (72, 3600),
        "grace-nic": (72, 504),
    },
    "mi350x": {
        "gpu-gpu": (28, 614.4),
        "gpu-pcieswitch": (8, 504),
        "pcieswitch-nic": (8, 504),
        "pcieswitch-cpu": (4, 504),
    },
    "mi355x": {
        "gpu-gpu": (28, 614.4),
        "gpu-pcieswitch": (8, 504),
        "pcieswitch-nic": (8, 504),
        "pcieswitch-cpu": (4, 504),
    },
    "helios": {"gpu-th": (72 * 12 * 6, 200), "gpu-nic": (216, 968)},
    "maia100": {"chip-chip": (6 * 3, 400)},
    "maia200": {"chip-chip": (6, 8000 / 3)},
    "hgx-rubin-nvl8": {"gpu-nvswitch": (8 * 36, 400), "gpu-nic": (8, 968), "cpu-nic": (8, 504)},
    "rubin-ultra-scenario": {"gpu-nvswitch": (144 * 72, 200)},
    "groq-lpx": {
        "in-a-tray": (16 * 120 * 4, 100),
        "across-trays": (16 * 120 * 2, 100),
        "lpu-fpga": (256, 100),
        "fpga-fpga": (2 * 120, 100),
        "cpu-fpga": (32, 504),
        "cpu-dpu": (16, 504),
    },
}

# Cables of each device of a group, all rules together.
DEGREES = {
    "aws-trn2": {"chip": 5, "nic": 1},
    "aws-trn2-ultraserver": {"chip": 7, "nic": 1},
    "aws-trn3-gen1": {"chip": 8 + 8 + 2 + 1, "neuronswitch": 16, "nic": 2},
    "trn3-gen1-320-lane": {"chip": 8 + 8 + 2 + 1, "neuronswitch": 32, "nic": 2},
    "aws-trn3-gen2": {"chip": 8 + 8 + 2 + 1, "neuronswitch": 18, "trayswitch": 4, "nic": 2},
    "aws-trn4-scenario": {"chip": 36, "nvswitch": 72},
    "aws-inf2": {"chip": 2},
    "aws-p6e-gb200": {"gpu": 19, "nvswitch": 72, "grace": 4, "nic": 1},
    "mi350x": {"gpu": 8, "pcieswitch": 5, "cpu": 2, "nic": 1},
    "mi355x": {"gpu": 8, "pcieswitch": 5, "cpu": 2, "nic": 1},
    "helios": {"gpu": 75, "th": 432, "nic": 1},
    "maia100": {"chip": 9},
    "maia200": {"chip": 3},
    "hgx-rubin-nvl8": {"gpu": 37, "nvswitch": 72, "cpu": 4, "nic": 2},
    "rubin-ultra-scenario": {"gpu": 72, "nvswitch": 144},
    "groq-lpx": {"lpu": 60 + 30 + 1, "fpga": 8 + 15 + 1, "cpu": 3, "dpu": 1},
}

# Tori: their sides, the rate of a link [Gb/s], and the sides without a wrap.
TORI = {
    "tpu-v4": ((16, 16, 16), 360, ""),
    "tpu-v5e": ((16, 16), 400, ""),
    "tpu-v5p": ((16, 20, 28), 800, ""),
    "tpu-v6e": ((16, 16), 800, ""),
    "tpu-v7": ((16, 24, 24), 800, ""),
    "tpu-v4-4x4x8": ((4, 4, 8), 360, ""),
    "tpu-v4-4x8x8": ((4, 8, 8), 360, ""),
    "tpu-v5e-4x8": ((4, 8), 400, "xy"),
    "tpu-v5e-8x16": ((8, 16), 400, "x"),
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

# Both directions of a chip in its scale-up network [GB/s], as published: Google Cloud docs; AWS Neuron docs
# (Trn2 1,024 in the instance and 256 on z, Trn3 2,048 in the rack, Inf2 192 GiB/s); NVIDIA; AMD; LPX 2.5 TB/s
# at 112 Gb/s on the line. Microsoft gives one direction. Scenarios: what they assume.
PER_CHIP = {
    "tpu-v4": 6 * 45 * 2,
    "tpu-v5e": 400,
    "tpu-v5p": 1200,
    "tpu-v6e": 800,
    "tpu-v7": 1200,
    "aws-trn2": 1024,
    "aws-trn2-ultraserver": 1024 + 256,
    "aws-trn3-gen1": 2048 + 16 * 16,
    "aws-trn3-gen2": 2048 + 16 * 16,
    "aws-trn4-scenario": 3600,
    "aws-inf2": 192 * 1.024**3,
    "aws-p6e-gb200": 1800,
    "mi350x": 1075.2,
    "mi355x": 1075.2,
    "helios": 3600,
    "maia100": 9 * 400 * 2 / 8,
    "maia200": 8000 * 2 / 8,
    "hgx-rubin-nvl8": 3600,
    "rubin-ultra-scenario": 3600,
    "groq-lpx": 90 * 100 * 2 / 8,
}


def cut(n, near, gbps):
    """Rate of each of n endpoints in all-to-all where `near` of them have `gbps` towards all others."""
    return gbps * (n - 1) / (near * (n - near))


def around(sides, gbps, longest=None):
    """All-to-all in a torus: half of the longest side, two rings cut at each place of the others."""
    side = longest or max(sides)
    return cut(prod(sides), prod(sides) // 2, 2 * prod(sides) // side * gbps)


# All-to-all: the rate of an endpoint by the cut that binds [Gb/s], and the cut. All-gather: what the endpoint
# with least takes in [Gb/s].
SOLVED = {
    **{name: ("tpu", around(*TORI[name][:2]), TORI[name][1] * 2 * len(TORI[name][0])) for name in TORI},
    # Without wraps half of the links of the cut, and corners have one link a side.
    "tpu-v5e-4x8": ("tpu", cut(32, 16, 4 * 400), 2 * 400),
    "tpu-v5e-8x16": ("tpu", around((8, 16), 400), 3 * 400),
    "tpu-v5p-2x2x2": ("tpu", cut(8, 4, 4 * 800), 3 * 800),
    "aws-trn2": ("chip", around((4, 4), 1024), 4 * 1024),
    # On z half as fast: half of the instances, two rings cut at 16 places.
    "aws-trn2-ultraserver": ("chip", cut(64, 32, 2 * 16 * 512), 4 * 1024 + 2 * 512),
    # Rack against rack; in the rack there is more.
    "aws-trn3-gen1": ("chip", cut(64, 32, 32 * 1024), 144 * 64),
    "trn3-gen1-320-lane": ("chip", cut(64, 32, 32 * 1024), 144 * 64),
    "aws-trn3-gen2": ("chip", cut(144, 72, 72 * 1024), 144 * 64),
    "aws-trn4-scenario": ("chip", 36 * 400, 36 * 400),
    "aws-inf2": ("chip", around((12,), 48 * 1024**3 * 8 / 1e9), 2 * 48 * 1024**3 * 8 / 1e9),
    "aws-p6e-gb200": ("gpu", 18 * 400, 18 * 400),
    # UltraServer against the rest: its 64 cards. Chips of a server hand on what a card of theirs takes in.
    "trn2-1024": ("chip", cut(1024, 64, 64 * 200), 5120 + 200),
    "rainier-scenario": ("chip", cut(491520, 64, 64 * 200), 5120 + 200),
    # A GPU takes in what both cards of its Grace do.
    "p6e-gb200-8": ("gpu", cut(576, 72, 72 * 400), 7200 + 2 * 400),
    # In a full mesh every link carries one pair.
    "mi350x": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi355x": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi350x-8": ("gpu", 7 * 614.4, 7 * 614.4),
    "mi355x-8": ("gpu", 7 * 614.4, 7 * 614.4),
    "helios": ("gpu", 72 * 200, 72 * 200),
    "helios-4": ("gpu", cut(288, 72, 3 * 54 * 800), 72 * 200 + 3 * 800),
    "maia100": ("chip", 3600, 3600),
    "maia100-128": ("chip", cut(128, 4, 4 * 1200), 4800),
    "maia200": ("chip", 8000, 8000),
    "maia200-6144": ("chip", cut(6144, 48, 4 * 32 * 400), 11200),
    "maia200-6144-full": ("chip", cut(6144, 4, 4 * 3200), 11200),
    "hgx-rubin-nvl8": ("gpu", 36 * 400, 36 * 400),
    "rubin-ultra-scenario": ("gpu", 72 * 200, 72 * 200),
    # What leaves a tray crosses the backplane: 240 of 255 parts, on 30 links.
    "groq-lpx": ("lpu", 30 * 100 * 255 / 240, 90 * 100),
    # The middle of the chain; an LPU at its end has two links less.
    "lpx-4": ("lpu", cut(1024, 512, 256 * 2 * 100), 92 * 100),
}


@functools.cache
def read(name):
    path = SYSTEMS / f"{name}.fabric.yaml"
    return load(path) if path.exists() else loads(f"{{fabric: one, include: {name}}}")


@functools.cache
def links(name):
    return expand(read(name))


def rules(e):
    """Return, of each rule, its cables and their rate."""
    found = {}
    for number, r in enumerate(e.rules):
        rows = e.rule == number
        (rate,) = set(e.rate_gbps[rows].tolist())
        found[r.name] = (int(e.count[rows].sum()), rate)
    return found


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def at_each(e, group, nets=("scale-up", "host", "scale-out"), weight=None):
    """Return what each device of a group has, in both roles, over the rules of the given nets."""
    rows = np.array([r.net in nets for r in e.rules])[e.rule]
    weight = e.count if weight is None else weight
    ends = np.concatenate([e.tail[rows], e.head[rows]])
    return np.bincount(ends, np.tile(weight[rows], 2), minlength=e.n_devices)[members(e, group)]


def graph(e):
    found = nx.Graph()
    found.add_nodes_from(range(e.n_devices))
    found.add_edges_from(zip(e.tail.tolist(), e.head.tolist(), strict=True))
    return found


# --- links ---------------------------------------------------------------------------------------------


def test_every_file_is_held_to_numbers():
    files = {path.name.removesuffix(".fabric.yaml") for path in SYSTEMS.iterdir()}
    assert files <= set(SOLVED) | set(TWISTED) | set(PODS) | {"seven-chips", "mixed-islands"}
    assert set(SERVERS) == set(DEGREES)


@pytest.mark.parametrize("path", sorted(SYSTEMS.iterdir()), ids=lambda path: path.name)
def test_file_loads_and_says_what_it_is(path):
    fabric = load(path)
    assert fabric.name == path.name.removesuffix(".fabric.yaml")
    said = [note for note in fabric.blueprint.notes if note.startswith(f"{fabric.name}: ")]
    assert len(said) == 1
    assert ("scenario, not a published design" in said[0]) == ("scenario" in fabric.name)
    assert (fabric.skipped != ()) == (fabric.name == "rainier-scenario")


@pytest.mark.parametrize("name", SERVERS)
def test_capacity_of_every_link_class(name):
    found = rules(links(name))
    assert set(found) == set(SERVERS[name])
    for rule, (n, gbps) in SERVERS[name].items():
        assert found[rule] == (n, pytest.approx(gbps, rel=1e-12)), rule


@pytest.mark.parametrize("name", DEGREES)
def test_degree_of_every_device(name):
    e = links(name)
    assert {g.name for g in e.groups} == set(DEGREES[name])
    for group, wanted in DEGREES[name].items():
        assert set(at_each(e, group).tolist()) == {wanted}, group
    assert nx.is_connected(graph(e))


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


@pytest.mark.parametrize("name", [*TORI, *TWISTED])
def test_torus_has_its_neighbours_and_wraps(name):
    sides, rate, rest = (TORI | TWISTED)[name]
    e = links(name)
    at = list(zip(*(e.coordinates[a].tolist() for a in "xyz"[: len(sides)]), strict=True))
    found = Counter(frozenset({at[i], at[j]}) for i, j in zip(e.tail, e.head, strict=True))
    wanted = lattice(sides, rest, {}) if name in TORI else lattice(sides, "", rest)
    assert found == dict.fromkeys(wanted, 1)
    assert {gbps for _, gbps in rules(e).values()} == {rate}
    if not rest or name in TWISTED:
        assert set(at_each(e, "tpu").tolist()) == {2 * len(sides)}


@pytest.mark.parametrize("name", PODS)
def test_pod_is_its_template(name):
    whole, part = links(name), links(PODS[name])
    assert (whole.n_devices, rules(whole)) == (part.n_devices, rules(part))


@pytest.mark.parametrize("name", PER_CHIP)
def test_scale_up_of_a_chip(name):
    e = links(name)
    gbps = at_each(e, next(g.name for g in e.groups if g.is_endpoint), ("scale-up",), e.count * e.rate_gbps)
    assert gbps * 2 / 8 == pytest.approx(PER_CHIP[name], rel=1e-12)


# --- published totals ------------------------------------------------------------------------------------


def total(name, rule, of=None):
    """Return the cables of a rule times their rate, or times something else."""
    n, gbps = rules(links(name))[rule]
    return n * (of or gbps)


def ports(name, group):
    e = links(name)
    return int(at_each(e, group, ("scale-up",)).sum())


def scale_out(name, group="nic"):
    """Return what the cards of a system have ports for [Gb/s]."""
    fabric = read(name)
    (port,) = (p for p in fabric.blueprint.groups[group].part.ports if p.name == "network")
    return fabric.blueprint.n_devices(group) * port.n_ports * port.rate_gbps


def trn3_ports():
    (port,) = (p for p in find_part("trainium3").ports if p.name == "neuronlink4")
    return port.n_ports * port.rate_gbps


def per_chip(name, *rest):
    """Return what a chip has on some rules, in one direction [Gb/s]."""
    e = links(name)
    rows = np.isin(e.rule, [i for i, r in enumerate(e.rules) if r.name in rest])
    ends = np.concatenate([e.tail[rows], e.head[rows]])
    gbps = np.bincount(ends, np.tile((e.count * e.rate_gbps)[rows], 2))[members(e, "chip")]
    assert gbps == pytest.approx(gbps[0], rel=1e-12)
    return gbps[0]


INVARIANTS = {
    # id: (computed from the links, published, unit)
    "nvl72_gb200_total": (lambda: total("gb200-nvl72", "gpu-nvswitch") * 2 / 8e3, 130),  # TB/s, both ways
    "nvl72_gb200_switch_side": (lambda: ports("gb200-nvl72", "nvswitch"), ports("gb200-nvl72", "gpu")),
    "vr_nvl72_total": (lambda: total("vr-nvl72", "gpu-nvswitch") * 2 / 8e3, 260),
    "vr_nvl72_switch_side": (lambda: ports("vr-nvl72", "nvswitch"), ports("vr-nvl72", "gpu")),
    "vr_nvl72_scale_out": (lambda: scale_out("vr-nvl72") / 1e3, 115.2),  # Tb/s, one way
    "gb200_scale_out": (lambda: scale_out("aws-p6e-gb200") / 1e3, 28.8),
    "kyber_switch_side": (lambda: ports("rubin-ultra-scenario", "nvswitch"), 144 * 72),
    # Two differential pairs each way a link.
    "nvl72_cables": (lambda: total("gb200-nvl72", "gpu-nvswitch", of=4), 9 * 8 * 72),
    "hgx_h100": (lambda: ports("hgx-h100", "nvswitch"), 40 + 32 + 32 + 40),
    "hgx_b200": (lambda: ports("hgx-b200", "nvswitch"), 144),
    "hgx_rubin": (lambda: ports("hgx-rubin-nvl8", "nvswitch"), 288),
    # 112 Gb/s on the line, both ways; every link has two ends.
    "lpx_rack": (
        lambda: 2 * (total("groq-lpx", "in-a-tray", 112) + total("groq-lpx", "across-trays", 112)) * 2 / 8e3,
        640,
    ),
    # A link is one differential pair each way.
    "lpx_backplane": (
        lambda: 2 * (total("groq-lpx", "across-trays", 1) + total("groq-lpx", "fpga-fpga", 1)),
        8160,
    ),
    "trn2_chip": (lambda: per_chip("aws-trn2-ultraserver", "x-ring", "y-ring", "z-ring") * 2 / 8, 1280),
    "trn3_chip_160": (lambda: trn3_ports() * 2 / 8, 2560),
    "trn3_chip_128": (
        lambda: per_chip("aws-trn3-gen2", "chip-neuronswitch", "chip-trayswitch") * 2 / 8,
        2048,
    ),
    "trn3_chip_128_gen1": (lambda: per_chip("aws-trn3-gen1", "chip-neuronswitch", "in-a-tray") * 2 / 8, 2048),
    "trn3_efa": (lambda: scale_out("aws-trn3-gen2"), 28_800),
    "v5p_chip": (lambda: 2 * total("tpu-v5p", "x-ring") * 3 * 2 / 8 / 8960, 1200),
    "v5e_bisection": (lambda: max_flow(read("tpu-v5e"), "x0-7", "x8-15").value_gbps / 8e3, 1.6),
    "v6e_bisection": (lambda: max_flow(read("tpu-v6e"), "x0-7", "x8-15").value_gbps / 8e3, 3.2),
    "v5e_allreduce": (lambda: 2 * (2 * total("tpu-v5e", "x-ring")) / 8e3, 51.2),
    "v6e_allreduce": (lambda: 2 * (2 * total("tpu-v6e", "x-ring")) / 8e3, 102.4),
    "v4_allreduce": (lambda: 2 * (3 * total("tpu-v4", "x-ring")) / 8e6, 1.1),  # PB/s
    "v5p_pod": (lambda: links("tpu-v5p").n_devices, 8960),
    "v7_pod": (lambda: links("tpu-v7").n_devices, 9216),
    "mi300x": (lambda: max_flow(read("mi300x"), "gpu0", "gpu1-7").value_gbps / 8, 448),
    "mi350x": (lambda: max_flow(read("mi350x"), "gpu0", "gpu1-7").value_gbps / 8 * 2, 1075),
    "helios_up": (lambda: total("helios", "gpu-th") * 2 / 8e3, 260),
    "helios_out": (lambda: scale_out("helios") * 2 / 8e3, 43),
    "maia200": (lambda: per_chip("maia200-6144", "chip-chip", "chip-tor") / 8e3, 1.4),
}


@pytest.mark.parametrize("name", INVARIANTS)
def test_invariant(name):
    computed, published = INVARIANTS[name]
    assert computed() == pytest.approx(published, rel=0.01)


def test_bisection_of_tpu_v4_is_the_published_one_within_the_doubt_of_its_link():
    # 45 GB/s a link give 23.0 TB/s, 50 give 25.6; the page prints 24.
    found = max_flow(read("tpu-v4"), "x0-7", "x8-15").value_gbps / 8e3
    assert found == pytest.approx(2 * 256 * 45 / 1e3, rel=1e-12)
    assert found == pytest.approx(24, rel=0.05)


@pytest.mark.parametrize(("name", "n_cubes"), [("tpu-v4", 64), ("tpu-v5p", 140), ("tpu-v7", 144)])
def test_a_circuit_switch_has_two_ports_a_cube(name, n_cubes):
    """Of 4 x 4 x 4 chips 96 links leave; 48 circuit switches take two of each cube (TPU v4, ISCA 2023)."""
    e = links(name)
    cube = np.stack([e.coordinates[a] // 4 for a in "xyz"])
    crossing = (cube[:, e.tail] != cube[:, e.head]).any(axis=0)
    assert len(set(map(tuple, cube.T.tolist()))) == n_cubes
    assert int(crossing.sum()) * 2 == n_cubes * 96 == 48 * 2 * n_cubes


def two_tier(part, k, planes, gbps):
    """k^2 / 2 endpoints: k leaves with half of their k ports down, k / 2 spines, all of it on every plane."""
    return f"""
    fabric: clos
    axes: {{plane: {planes}, leaf: {k}, i: {k // 2}, spine: {k // 2}}}
    devices:
      nic: {{kind: gpu, axes: [leaf, i]}}
      leaf: {{part: {part}, axes: [plane, leaf]}}
      spine: {{part: {part}, axes: [plane, spine]}}
    links:
      - {{between: [nic, leaf], rate: {gbps}Gb/s, each: [{planes}, {k // 2}]}}
      - {{between: [leaf, spine], rate: {gbps}Gb/s, each: [{k // 2}, {k}]}}
    """


def three_tier(part, k, gbps):
    """k^3 / 4 endpoints: k pods of k / 2 leaves and as many spines, cores of k ports."""
    return f"""
    fabric: clos
    axes: {{pod: {k}, leaf: {k // 2}, i: {k // 2}, spine: {k // 2}, core: {k // 2}}}
    devices:
      nic: {{kind: gpu, axes: [pod, leaf, i]}}
      leaf: {{part: {part}, axes: [pod, leaf]}}
      spine: {{part: {part}, axes: [pod, spine]}}
      core: {{part: {part}, axes: [spine, core]}}
    links:
      - {{between: [nic, leaf], rate: {gbps}Gb/s, each: [1, {k // 2}]}}
      - {{between: [leaf, spine], rate: {gbps}Gb/s, each: [{k // 2}, {k // 2}]}}
      - {{between: [spine, core], rate: {gbps}Gb/s, each: [{k // 2}, {k}]}}
    """


@pytest.mark.parametrize(
    ("text", "endpoints", "wider"),
    [
        pytest.param(two_tier("q3400", 144, 1, 800), 10_368, ("leaf: 144", "leaf: 145"), id="q3400_two_tier"),
        pytest.param(
            two_tier("th5", 512, 8, 100), 131_072, ("leaf: 512", "leaf: 513"), id="multiplane_two_tier"
        ),
        pytest.param(three_tier("q3400", 144, 800), 746_496, ("pod: 144", "pod: 145"), id="q3400_three_tier"),
        pytest.param(
            three_tier("sn6800", 512, 800), 33_554_432, ("pod: 512", "pod: 513"), id="sn6800_three_tier"
        ),
    ],
)
def test_invariant_of_switches(text, endpoints, wider):
    assert loads_blueprint(text).n_devices("nic") == endpoints
    with pytest.raises(TopologyError, match="each: wrong number of cables"):
        loads_blueprint(text.replace(*wider))
    free = re.sub(r", each: \[.*\]", "", text)
    assert loads_blueprint(free).n_devices("nic") == endpoints
    with pytest.raises(TopologyError, match="port budget"):
        loads_blueprint(free.replace(*wider))


# --- solved ------------------------------------------------------------------------------------------------


# Seconds in all; the same solvers run on smaller tori beside them.
LARGE = {"tpu-v4", "tpu-v5p", "tpu-v7", "tpu-v5p-16x16x24", "tpu-v5p-8x8x16-twisted"}


def marked(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in names]


@pytest.mark.parametrize("name", marked(SOLVED))
def test_all_to_all_and_all_gather(name):
    among, rate, inward = SOLVED[name]
    fabric = read(name)
    found = throughput(fabric, among=among)
    assert found.per_endpoint_gbps == pytest.approx(rate, rel=1e-9)
    assert found.status == "optimal"
    n = found.n_endpoints
    assert bound(fabric, "all-gather", among=among).algbw_gbps == pytest.approx(
        inward * n / (n - 1), rel=1e-9
    )


@pytest.mark.parametrize("name", marked(TWISTED))
def test_twist_makes_all_links_alike(name):
    """All-to-all then is what the links have over the mean distance, and better than with plain wraps."""
    sides, gbps, _ = TWISTED[name]
    fabric = read(name)
    hops = nx.single_source_shortest_path_length(graph(links(name)), 0)
    found = throughput(fabric)
    mean = sum(hops.values()) / (len(hops) - 1)
    assert found.per_endpoint_gbps == pytest.approx(6 * gbps / mean, rel=1e-9)
    assert found.per_endpoint_gbps > 1.3 * around(sides, gbps)


@pytest.mark.parametrize(
    ("name", "source", "target", "gbps"),
    [
        # What a chip has, over all its ways; a pair in a mesh that does not forward has its own link.
        ("tpu-v7", "x0/y0/z0/tpu", "x8/y12/z12/tpu", 6 * 800),
        ("tpu-v5e-4x8", "x0/y0/tpu", "x3/y7/tpu", 2 * 400),
        ("aws-trn2-ultraserver", "z0/x0/y0/chip", "z2/x2/y2/chip", 4 * 1024 + 2 * 512),
        ("aws-trn3-gen1", "rack0/tray0/plane0/chip", "rack0/tray5/plane1/chip", 144 * 64),
        ("aws-trn3-gen2", "rack0/tray0/plane0/chip", "rack1/tray5/plane3/chip", 144 * 64),
        ("aws-inf2", "chip0", "chip5", 2 * 412.316860416),
        ("mi355x", "gpu0", "gpu5", 614.4),
        ("helios", "tray0/gpu0", "tray17/gpu3", 72 * 200),
        ("hgx-rubin-nvl8", "gpu0", "gpu7", 36 * 400),
        ("groq-lpx", "tray0/lpu0", "tray9/lpu5", 90 * 100),
        # Between the systems of a cluster: the cards, or the uplinks of their leaf.
        ("helios-4", "rack0", "rack1", 3 * 54 * 800),
        ("trn2-1024", "pair0/server0", "pair5/server1", 64 * 200),
        ("p6e-gb200-8", "rack0", "rack7", 72 * 400),
        ("maia100-128", "tray0", "tray31", 4 * 1200),
        ("maia200-6144", "cluster0", "cluster127", 4 * 32 * 400),
        ("maia200-6144-full", "cluster0", "cluster95", 64 * 8 * 400),
        # Two links of every LPU to the next rack.
        ("lpx-4", "rack0", "rack3", 256 * 2 * 100),
        ("rainier-scenario", "hall0/pod0/pair0/server0", "hall14/pod31/pair7/server1", 64 * 200),
    ],
)
def test_max_flow(name, source, target, gbps):
    assert max_flow(read(name), source, target).value_gbps == pytest.approx(gbps, rel=1e-12)


# --- all seven chips, and islands of unlike chips ----------------------------------------------------------


def test_seven_chips_are_all_there():
    e = links("seven-chips")
    parts = {g.part for g in e.groups}
    assert parts >= {"vera", "rubin_vr200", "nvlink6_switch", "cx9", "bf4", "groq3_lpu"}
    assert parts >= {"sn6600", "sn6810", "sn6800"}
    degrees = {
        "vr.gpu": 37,
        "vr.nic": 2,
        "vr.nvswitch": 72,
        "lpx.fpga": 8 + 15 + 1 + 1,
        "back": 288 + 64,
        "vr-front": 72 + 32,
        "lpx-front": 64 + 32,
        "vault": 32 + 32 + 16,
        "store": 1,
    }
    for group, wanted in degrees.items():
        assert set(at_each(e, group).tolist()) == {wanted}, group
    racks = e.coordinates["lrack"][members(e, "lpx.lpu")]
    assert (at_each(e, "lpx.lpu") == np.where((racks == 0) | (racks == 3), 93, 95)).all()
    assert nx.is_connected(graph(e))


def test_flows_of_the_seven_chips():
    path = SYSTEMS / "seven-chips.fabric.yaml"
    fabric = read("seven-chips")
    back_only = loads(path.read_text() + "failed: [vr-front]\n")
    # A rack has 144 cards on the back-end and 18 on the front-end.
    assert max_flow(fabric, "vrack0/vr.gpu", "vrack1/vr.gpu").value_gbps == pytest.approx((144 + 18) * 800)
    assert max_flow(back_only, "vrack0/vr.gpu", "vrack1/vr.gpu").value_gbps == pytest.approx(144 * 800)
    assert throughput(back_only, among="vr.gpu").per_endpoint_gbps == pytest.approx(cut(288, 72, 144 * 800))
    # 32 FPGAs a rack of LPUs; LPUs of the next rack pass on as much as the chain takes.
    assert max_flow(fabric, "vrack0/vr.gpu", "lpx.lpu").value_gbps == pytest.approx(4 * 32 * 800)
    assert max_flow(fabric, "vrack0/vr.gpu", "lrack0/lpx.lpu").value_gbps == pytest.approx(
        32 * 800 + 256 * 2 * 100
    )


NV, LPX, TRN = "nv.gpu", "lpx.lpu", "trn.chip"


@pytest.mark.parametrize(
    ("source", "target", "gbps", "binds"),
    [
        # Trainium: 128 cards of 200G; LPX: 24 uplinks for 32 FPGAs; NVL72: 48 uplinks a rack for 72 cards.
        (NV, TRN, 128 * 200, "trn.nic-trn-leaf"),
        (NV, LPX, 24 * 800, "lpx-leaf-spine"),
        (LPX, TRN, 24 * 800, "lpx-leaf-spine"),
        ("server0/trn.chip", NV, 64 * 200, "trn.nic-trn-leaf"),
        ("nvrack0/nv.gpu", "nvrack1/nv.gpu", 48 * 800, "nv-leaf-spine"),
        ("nvrack0/nv.gpu", [LPX, TRN], 48 * 800, "nv-leaf-spine"),
        (NV, [LPX, TRN], 24 * 800 + 128 * 200, "lpx-leaf-spine trn.nic-trn-leaf"),
    ],
)
def test_flow_between_islands(source, target, gbps, binds):
    fabric = read("mixed-islands")
    for ends in [(source, target), (target, source)]:
        found = max_flow(fabric, *ends)
        assert found.value_gbps == pytest.approx(gbps, rel=1e-12)
        assert {c.link for c in found.cut} == set(binds.split())


def test_narrow_uplinks_move_the_limit_between_islands():
    text = (SYSTEMS / "mixed-islands.fabric.yaml").read_text()
    narrow = loads(text.replace("count: 3, each: [24, 6]", "count: 1, each: [8, 2]"))
    found = max_flow(narrow, NV, TRN)
    assert found.value_gbps == pytest.approx(2 * 8 * 800, rel=1e-12)
    assert {c.link for c in found.cut} == {"trn-leaf-spine"}
