"""Published totals of systems, against the sums of the links of their files.

Sources stand beside the figures in the templates. Ids are those of the totals, by the system they are of.
"""

import numpy as np
import pytest

from fabric.flow import max_flow
from fabric.parts import find_part
from tests.shipped_systems import links, read


def members(e, group):
    return np.flatnonzero(e.group == [g.name for g in e.groups].index(group))


def total(name, rule, of=None):
    """Return the cables of a rule times their rate, or times something else."""
    e = links(name)
    rows = e.rule == [r.name for r in e.rules].index(rule)
    return float((e.count[rows] * (e.rate_gbps[rows] if of is None else of)).sum())


def ports(name, group):
    """Return the cables of scale-up at all devices of a group."""
    e = links(name)
    rows = np.array([r.net == "scale-up" for r in e.rules])[e.rule]
    ends = np.concatenate([e.tail[rows], e.head[rows]])
    return int(np.bincount(ends, np.tile(e.count[rows], 2), minlength=e.n_devices)[members(e, group)].sum())


def scale_out(name, group="nic"):
    """Return what the cards of a system have ports for [Gb/s]."""
    fabric = read(name)
    (port,) = (p for p in fabric.blueprint.groups[group].part.ports if p.name == "network")
    return fabric.blueprint.n_devices(group) * port.n_ports * port.rate_gbps


def outward(name):
    """Return what all chips of a torus send, all rings together [Gb/s]."""
    e = links(name)
    return 2 * float(e.count @ e.rate_gbps)


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


EXACT = 1e-12

INVARIANTS = {
    # id: (computed from the links, published, by how much the publication rounds)
    "nvl72_gb200_total": (
        lambda: total("gb200-nvl72", "gpu-nvswitch") * 2 / 8e3,
        130,
        0.005,
    ),  # TB/s, both ways
    "nvl72_gb200_gpu_side": (lambda: ports("gb200-nvl72", "gpu"), 1296, EXACT),
    "nvl72_gb200_switch_side": (lambda: ports("gb200-nvl72", "nvswitch"), 1296, EXACT),
    "nvl72_gb300_total": (lambda: total("gb300-nvl72", "gpu-nvswitch") * 2 / 8e3, 130, 0.005),
    "vr_nvl72_total": (lambda: total("vr-nvl72", "gpu-nvswitch") * 2 / 8e3, 260, 0.005),
    "vr_nvl72_gpu_side": (lambda: ports("vr-nvl72", "gpu"), 2592, EXACT),
    "vr_nvl72_switch_side": (lambda: ports("vr-nvl72", "nvswitch"), 2592, EXACT),
    "vr_nvl72_scale_out": (lambda: scale_out("vr-nvl72") / 1e3, 115.2, EXACT),  # Tb/s, one way
    "gb200_scale_out": (lambda: scale_out("gb200-nvl72") / 1e3, 28.8, EXACT),
    "gb300_scale_out": (lambda: scale_out("gb300-nvl72") / 1e3, 57.6, EXACT),
    "p6e_gb200_scale_out": (lambda: scale_out("aws-p6e-gb200") / 1e3, 28.8, EXACT),
    "p6e_gb300_scale_out": (lambda: scale_out("aws-p6e-gb300") / 1e3, 28.8, EXACT),
    "kyber_gpu_side": (lambda: ports("rubin-ultra-scenario", "gpu"), 10_368, EXACT),
    "kyber_switch_side": (lambda: ports("rubin-ultra-scenario", "nvswitch"), 10_368, EXACT),
    # Two differential pairs each way a link; 9 trays of 8 connectors of 72.
    "nvl72_cables": (lambda: total("gb200-nvl72", "gpu-nvswitch", of=4), 5184, EXACT),
    "hgx_h100": (lambda: ports("hgx-h100", "nvswitch"), 40 + 32 + 32 + 40, EXACT),
    "hgx_b200": (lambda: ports("hgx-b200", "nvswitch"), 144, EXACT),
    "hgx_b300": (lambda: ports("hgx-b300", "nvswitch"), 144, EXACT),
    "hgx_rubin": (lambda: ports("hgx-rubin-nvl8", "nvswitch"), 288, EXACT),
    # 72 NVLinks leave each of 32 nodes: 3.6 TB/s of both directions where eight GPUs have 7.2.
    "h100_nvlink_network": (
        lambda: sum(total("h100-nvlink-256", f"chip-{c}-out") for c in "abcd") * 2 / 8e3 / 32,
        3.6,
        EXACT,
    ),
    "h100_nvlink_node": (lambda: total("h100-nvlink-256", "gpu-nvswitch") * 2 / 8e3 / 32, 7.2, EXACT),
    # 112 Gb/s on the line, both ways; every link has two ends: 645.1.
    "lpx_rack": (
        lambda: 2 * (total("groq-lpx", "in-a-tray", 112) + total("groq-lpx", "across-trays", 112)) * 2 / 8e3,
        640,
        0.01,
    ),
    # A link is one differential pair each way.
    "lpx_backplane": (
        lambda: 2 * (total("groq-lpx", "across-trays", 1) + total("groq-lpx", "fpga-fpga", 1)),
        8160,
        EXACT,
    ),
    "trn2_chip": (
        lambda: per_chip("aws-trn2-ultraserver", "x-ring", "y-ring", "z-ring") * 2 / 8,
        1280,
        EXACT,
    ),
    "trn3_chip_160": (lambda: trn3_ports() * 2 / 8, 2560, EXACT),
    "trn3_chip_128": (
        lambda: per_chip("aws-trn3-gen2", "chip-neuronswitch", "chip-trayswitch") * 2 / 8,
        2048,
        EXACT,
    ),
    "trn3_chip_128_gen1": (
        lambda: per_chip("aws-trn3-gen1", "chip-neuronswitch", "in-a-tray") * 2 / 8,
        2048,
        EXACT,
    ),
    "trn3_efa": (lambda: scale_out("aws-trn3-gen2"), 28_800, EXACT),
    "v5p_chip": (lambda: outward("tpu-v5p") * 2 / 8 / 8960, 1200, EXACT),
    "v5e_bisection": (lambda: max_flow(read("tpu-v5e"), "x0-7", "x8-15").value_gbps / 8e3, 1.6, EXACT),
    "v6e_bisection": (lambda: max_flow(read("tpu-v6e"), "x0-7", "x8-15").value_gbps / 8e3, 3.2, EXACT),
    "v5e_allreduce": (lambda: outward("tpu-v5e") / 8e3, 51.2, EXACT),
    "v6e_allreduce": (lambda: outward("tpu-v6e") / 8e3, 102.4, EXACT),
    "v4_allreduce": (lambda: outward("tpu-v4") / 8e6, 1.1, 0.01),  # PB/s; 4096 x 6 x 45 GB/s are 1.106
    "tpu8t_chip": (lambda: outward("tpu-8t") * 2 / 1e3 / 9600, 19.2, EXACT),
    "tpu8t_pod": (lambda: links("tpu-8t").n_devices, 9600, EXACT),
    "v5p_pod": (lambda: links("tpu-v5p").n_devices, 8960, EXACT),
    "v7_pod": (lambda: links("tpu-v7").n_devices, 9216, EXACT),
    "mi300x": (lambda: max_flow(read("mi300x"), "gpu0", "gpu1-7").value_gbps / 8, 448, EXACT),
    # 7 x 153.6 are 1075.2.
    "mi350x": (lambda: max_flow(read("mi350x"), "gpu0", "gpu1-7").value_gbps / 8 * 2, 1075, 0.0005),
    "helios_up": (lambda: total("helios", "gpu-th") * 2 / 8e3, 260, 0.005),
    "helios_out": (lambda: scale_out("helios") * 2 / 8e3, 43, 0.01),
    "maia200": (lambda: per_chip("maia200-6144", "chip-chip", "chip-tor") / 8e3, 1.4, EXACT),
}


@pytest.mark.some(8)
@pytest.mark.parametrize("name", INVARIANTS)
def test_invariant(name):
    computed, published, tolerance = INVARIANTS[name]
    assert computed() == pytest.approx(published, rel=tolerance)


def test_bisection_of_tpu_v4_is_the_published_one_within_the_doubt_of_its_link():
    # 45 GB/s a link give 23.0 TB/s, 50 give 25.6; the page prints 24.
    found = max_flow(read("tpu-v4"), "x0-7", "x8-15").value_gbps / 8e3
    assert found == pytest.approx(2 * 256 * 45 / 1e3, rel=1e-12)
    assert found == pytest.approx(24, rel=0.05)
