"""Published times of collectives in whole chunks, from topologies that are written out here.

Sources: TACOS (github.com/astra-sim/tacos @1811f1f, tests/), whose GB/s are GiB/s; TE-CCL
(github.com/microsoft/TE-CCL @c128bf2, the outputs it comes with), whose sizes are decimal.
"""

import pytest

from fabric.bounds.bound import bound
from fabric.bounds.chunks import chunk_bound
from fabric.graph import expand, loads
from fabric.units import gbytes_per_second, parse_bytes

US = 1e-6


def grid(kind, sides, rates):
    """Chips joined directly: a ring or a line for each axis."""
    axes = "xyz"[: len(sides)]
    rules = ", ".join(
        f"{{between: [npu, npu], name: {a}, {kind}: {a}, rate: {rate}GiB/s}}"
        for a, rate in zip(axes, rates, strict=True)
    )
    sizes = ", ".join(f"{a}: {n}" for a, n in zip(axes, sides, strict=True))
    return loads(
        f"{{fabric: grid, axes: {{{sizes}}}, devices: {{npu: {{kind: gpu, axes: [{', '.join(axes)}], "
        f"transit: all}}}}, links: [{rules}]}}"
    )


# Kind, sides, GiB/s of every axis, us of latency, chunks of a rank, MiB, us expected. What TACOS calls a
# hypercube is a mesh of three dimensions without wrap.
TACOS = {
    "Torus 3x3x3": ("ring", (3, 3, 3), (50, 50, 50), 0.5, 1, 1024, 3706.20),
    "Torus 3x4x5": ("ring", (3, 4, 5), (50, 50, 50), 0.5, 2, 2048, 6676.67),
    "Mesh 5x5": ("line", (5, 5), (50, 50), 0.5, 1, 1024, 9606.0),
    "Mesh 10x10": ("line", (10, 10), (100, 100), 1, 2, 1024, 5049.0),
    "Mesh 7x12": ("line", (7, 12), (100, 100), 1, 3, 4096, 19966.27),
    "Hypercube 3x3x3": ("line", (3, 3, 3), (50, 50, 50), 0.5, 1, 1024, 6671.17),
    "Hypercube 3x4x5": ("line", (3, 4, 5), (50, 50, 50), 0.5, 2, 2048, 13353.33),
    "Hypercube 4x2x3": ("line", (4, 2, 3), (50, 50, 50), 0.5, 3, 3072, 19178.17),
    "Mesh 5x5, 50 and 75": ("line", (5, 5), (50, 75), 0.5, 1, 1024, 8005.0),
}


@pytest.mark.some(1)
@pytest.mark.parametrize("name", TACOS)
def test_tacos(name):
    kind, sides, rates, latency, n_chunks, size, expected = TACOS[name]
    fabric = grid(kind, sides, rates)
    # There a chunk holds its link for alpha + bytes * beta.
    how = {"n_chunks": n_chunks, "latency": latency * US, "pipelined": False}
    found = chunk_bound(fabric, "all-gather", f"{size}MiB", **how)
    assert found.time_s == pytest.approx(expected * US, rel=1e-5)
    assert found.ports_s == pytest.approx(found.time_s, rel=1e-12)
    assert found.n_targets == found.n_classes
    # Of what the published times are made up, neither whole chunks nor latency are in the fluid bound.
    assert bound(fabric, "all-gather", f"{size}MiB").time_s < found.time_s * (1 - 1e-4)


def test_tacos_fluid():
    found = bound(grid("ring", (3, 3, 3), (50, 50, 50)), "all-gather", "1024MiB")
    assert found.time_s == pytest.approx(3209.9 * US, rel=1e-5)


# Every GPU to the switch of its chassis; from each odd GPU one way to the even one of its pair in the other.
DGX2 = """
{fabric: dgx2-2-chassis, axes: {chassis: 2, pair: 8, parity: 2}, devices: {
  gpu: {kind: gpu, axes: [chassis, pair, parity], transit: all}, nvswitch: {kind: switch, axes: [chassis]}},
 links: [{between: [gpu, nvswitch], rate: 125GB/s, each: [1, 16]},
  {name: there, between: [chassis0/parity1/gpu, chassis1/parity0/gpu], rate: 12.5GB/s, oneway: true},
  {name: back, between: [chassis1/parity1/gpu, chassis0/parity0/gpu], rate: 12.5GB/s, oneway: true}]}
"""
ALPHA = {"gpu-nvswitch": "0.35us", "there": "2.6us", "back": "2.6us"}

# Output buffer, GB/s of it as published, tolerance.
TE_CCL = {
    "1GB": (129.032, 0.01),
    "256MB": (129.032, 0.01),
    "64MB": (129.032, 0.01),
    "16MB": (129.032, 0.01),
    "4MB": (121.212, 0.05),
    "1MB": (93.0233, 0.05),
    "256kB": (47.6190, 0.05),
    "64kB": (14.8148, 0.05),
    "16kB": (3.9177, 0.05),
    "4kB": (0.9921, 0.05),
    "1kB": (0.2496, 0.05),
}


def test_te_ccl_dgx2_topology():
    e = expand(loads(DGX2))
    between = [r.is_oneway for r in e.rules]
    pairs = {(e.names[t], e.names[h]) for t, h, r in zip(e.tail, e.head, e.rule, strict=True) if between[r]}
    assert pairs == {
        (f"chassis{c}/pair{p}/gpu1", f"chassis{1 - c}/pair{p}/gpu0") for c in (0, 1) for p in range(8)
    }


@pytest.mark.some(1)
@pytest.mark.parametrize("size", TE_CCL)
def test_te_ccl_dgx2(size):
    algbw, tolerance = TE_CCL[size]
    fabric = loads(DGX2)
    found = chunk_bound(fabric, "all-gather", size, latency=ALPHA)
    assert found.n_ranks == 32
    assert gbytes_per_second(parse_bytes(size), found.time_s) == pytest.approx(algbw, rel=tolerance)
    # Published times are whole epochs. From 16 MB on an epoch is a chunk on an NVLink and its latency rounds
    # to none, so there the bound, which has it once, lies above by 0.7 us; elsewhere it lies below.
    published = parse_bytes(size) / (algbw * 1e9)
    assert found.time_s < published * (1 + 1e-4) + (0.7 * US if tolerance == 0.01 else 0.0)
    assert bound(fabric, "all-gather", size).time_s < found.time_s


def test_te_ccl_dgx2_by_hand():
    def by(size):
        return chunk_bound(loads(DGX2), "all-gather", size, latency=ALPHA)

    nvlink, between = 1 / 125e9, 1 / 12.5e9
    # All 31 chunks by one port.
    assert by("32MB").time_s == pytest.approx(0.7 * US + 31e6 * nvlink, rel=1e-12)
    # 16 chunks in two rounds on the links between; those of the last round then by one port.
    b = 1e6 / 32
    assert by("1MB").time_s == pytest.approx(3.3 * US + 2 * b * between + 8 * b * nvlink, rel=1e-9)
    assert set(by("1MB").binding) > {"gpu-nvswitch"}
    # The chunks of the 8 far GPUs that have no link between: over an NVLink, between, and by one port.
    assert by("32kB").time_s == pytest.approx(4.0 * US + 1e3 * between + 9e3 * nvlink, rel=1e-12)
    assert by("32kB").n_sources == 8


def test_dgx2_all_to_all_by_hand():
    """From an odd GPU to an odd one of the other chassis: over an NVLink, between, and over an NVLink."""
    nvlink, between = 1 / 125e9, 1 / 12.5e9

    def by(size):
        return chunk_bound(loads(DGX2), "all-to-all", size, latency=ALPHA)

    # The chunks of the 8 GPUs without a link between are the last, by one port.
    assert by("32kB").time_s == pytest.approx(4.0 * US + 1e3 * between + 9e3 * nvlink, rel=1e-12)
    # Each of 16 GPUs has 16/32 of its buffer for the other chassis, over 8 links.
    assert by("1GB").time_s == pytest.approx(16 * 0.5e9 / (8 * 12.5e9), rel=1e-6)
    assert set(by("1GB").binding) <= {"there", "back"}
