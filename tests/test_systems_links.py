"""Links of every template and of every file of topologies/systems: cables, rates, degrees, and one piece.

Numbers are those of the sources that the files name, or what they say they assume. PCIe is that of the stated
generation: 16 lanes of 8 GT/s after 128b/130b, then 31, 63 and 121 GB/s (stas00/ml-engineering, network).
"""

from math import prod

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fabric.blueprint import census
from fabric.blueprint.templates import template_names
from fabric.graph import load
from tests.shipped_systems import SYSTEMS, links

GIB_S = 1024**3 * 8 / 1e9  # [Gb/s]
PCIE3, PCIE4, PCIE5, PCIE6 = 126, 31 * 8, 63 * 8, 121 * 8  # 16 lanes [Gb/s]
LARGE = {"rainier-scenario"}  # seconds to expand


def server(gpus, nics, gbps=PCIE5, dpus=0, switches=4):
    """Return the rules of two sockets with some switches, and the GPUs and cards below."""
    return {
        "gpu-pcieswitch": (gpus, gbps),
        "pcieswitch-nic": (nics, gbps),
        "pcieswitch-cpu": (switches, gbps),
        **({"cpu-dpu": (dpus, gbps)} if dpus else {}),
    }


def torus(sides, gbps, lines=""):
    """Return rules and degrees of a torus; the sides named in `lines` have no wraps."""
    rules, degree = {}, np.zeros(sides, dtype=int)
    for at, (axis, n) in enumerate(zip("xyz", sides, strict=False)):
        name, missing = (f"{axis}-line", prod(sides) // n) if axis in lines else (f"{axis}-ring", 0)
        rules[name] = (prod(sides) - missing, gbps)
        degree += 2
        if missing:
            np.moveaxis(degree, at, 0)[[0, -1]] -= 1
    return rules, {"tpu": degree.ravel().tolist()}


# A switch for each pair of a GPU and a card, and one for two such pairs.
HGX = {"gpu": 19, "pcieswitch": 3, "cpu": 5, "nic": 1, "dpu": 1}
MI = {"gpu": 8, "pcieswitch": 3, "cpu": 4, "nic": 1}
HOPPER = [40, 32, 32, 40]  # 8 x 5, 4, 4, 5 links
TRN3 = 8 + 8 + 2 + 1

# Cables of each rule and their rate per direction [Gb/s]; then cables of each device of a group, all rules
# together.
SERVERS = {
    # --- servers of NVIDIA and such with its GPUs
    "dgx1-v100": (
        # Six pairs a quad; then what makes it 24 links of two ends, six for each of eight GPUs.
        {
            "in-a-quad": (2 * 6, 200),
            "doubled": (4, 200),
            "doubled-inside": (2, 200),
            "across": (6, 200),
            **server(8, 4, PCIE3),
        },
        {"gpu": 6 + 1, "pcieswitch": 4, "cpu": 2, "nic": 1},
    ),
    "dgx2-v100": (
        {
            "gpu-nvswitch": (16 * 6, 200),
            "nvswitch-nvswitch": (6 * 8, 200),
            "gpu-pcieswitch": (16, PCIE3),
            "pcieswitch-nic": (8, PCIE3),
            "pcieswitch-cpu": (8, PCIE3),
        },
        {"gpu": 6 + 1, "nvswitch": 8 + 8, "pcieswitch": 4, "cpu": 4, "nic": 1},
    ),
    "hgx-a100": (
        {"gpu-nvswitch": (8 * 12, 200), **server(8, 8, PCIE4)},
        {"gpu": 12 + 1, "nvswitch": 8 * 2, "pcieswitch": 5, "cpu": 2, "nic": 1},
    ),
    "hgx-h100": (
        {"gpu-nvswitch": (8 * 18, 200), **server(8, 8, dpus=2, switches=8)},
        HGX | {"nvswitch": HOPPER},
    ),
    "hgx-h200": (
        {"gpu-nvswitch": (8 * 18, 200), **server(8, 8, dpus=2, switches=8)},
        HGX | {"nvswitch": HOPPER},
    ),
    "hgx-h20": (
        {"gpu-nvswitch": (8 * 18, 200), **server(8, 8, dpus=2, switches=8)},
        HGX | {"nvswitch": HOPPER},
    ),
    "hgx-h800": (
        {"gpu-nvswitch": (8 * 8, 200), **server(8, 8, dpus=2, switches=8)},
        HGX | {"gpu": 9, "nvswitch": 16},
    ),
    "hgx-b200": ({"gpu-nvswitch": (8 * 18, 400), **server(8, 8, dpus=2, switches=8)}, HGX | {"nvswitch": 72}),
    "hgx-b300": (
        {"gpu-nvswitch": (8 * 18, 400), "gpu-nic": (8, PCIE6), "cpu-nic": (8, PCIE5)},
        {"gpu": 18 + 1, "nvswitch": 72, "cpu": 4, "nic": 2},
    ),
    "hgx-rubin-nvl8": (
        {"gpu-nvswitch": (8 * 36, 400), "gpu-nic": (8, PCIE6), "cpu-nic": (8, PCIE5)},
        {"gpu": 36 + 1, "nvswitch": 72, "cpu": 4, "nic": 2},
    ),
    "pcie-gpu-box": (
        {**server(8, 4), "cpu-cpu": (3, 32 * 8)},
        {"gpu": 1, "pcieswitch": 4, "cpu": 2 + 3, "nic": 1},
    ),
    "aws-p4de": (
        {"gpu-nvswitch": (8 * 12, 200), **server(8, 4, PCIE3)},
        {"gpu": 12 + 1, "nvswitch": 16, "pcieswitch": 4, "cpu": 2, "nic": 1},
    ),
    "aws-p5": (
        # Bridges have 16 GT/s x16 towards the CPU, cards 16 GT/s x8.
        {
            "gpu-nvswitch": (8 * 18, 200),
            "gpu-pcieswitch": (8, PCIE5),
            "pcieswitch-nic": (32, PCIE4 / 2),
            "pcieswitch-cpu": (8, PCIE4),
        },
        {"gpu": 18 + 1, "nvswitch": HOPPER, "pcieswitch": 1 + 4 + 1, "cpu": 4, "nic": 1},
    ),
    "aws-p5en": (
        {
            "gpu-nvswitch": (8 * 18, 200),
            "gpu-pcieswitch": (8, PCIE5),
            "pcieswitch-nic": (16, PCIE5 / 2),
            "pcieswitch-cpu": (8, PCIE5),
        },
        {"gpu": 18 + 1, "nvswitch": HOPPER, "pcieswitch": 1 + 2 + 1, "cpu": 4, "nic": 1},
    ),
    # --- racks of NVIDIA. C2C: 900 GB/s of both directions with Grace, 1.8 TB/s with Vera.
    "gb200-nvl72": (
        {
            "gpu-nvswitch": (72 * 18, 400),
            "gpu-grace": (72, 3600),
            "grace-nic": (72, PCIE5),
            "grace-dpu": (2 * 18, PCIE5),
        },
        {"gpu": 18 + 1, "nvswitch": 72, "grace": 2 + 2 + 1, "nic": 1, "dpu": 1},
    ),
    "gb300-nvl72": (
        {
            "gpu-nvswitch": (72 * 18, 400),
            "gpu-grace": (72, 3600),
            "gpu-nic": (72, PCIE6),
            "grace-nic": (72, PCIE5),
            "grace-dpu": (18, PCIE5),
        },
        {"gpu": 18 + 1 + 1, "nvswitch": 72, "grace": [2 + 2 + 1, 2 + 2] * 18, "nic": 2, "dpu": 1},
    ),
    "vr-nvl72": (
        {
            "gpu-nvswitch": (72 * 36, 400),
            "gpu-vera": (72, 7200),
            "vera-nic": (2 * 72, PCIE6),
            "vera-dpu": (18, PCIE6),
        },
        {"gpu": 36 + 1, "nvswitch": 72, "vera": [2 + 4 + 1, 2 + 4] * 18, "nic": 1, "dpu": 1},
    ),
    "aws-p6e-gb200": (
        {"gpu-nvswitch": (72 * 18, 400), "gpu-grace": (72, 3600), "grace-nic": (72, PCIE5)},
        {"gpu": 18 + 1, "nvswitch": 72, "grace": 2 + 2, "nic": 1},
    ),
    "aws-p6e-gb300": (
        {"gpu-nvswitch": (72 * 18, 400), "gpu-grace": (72, 3600), "grace-nic": (72, PCIE5)},
        {"gpu": 18 + 1, "nvswitch": 72, "grace": 2 + 2, "nic": 1},
    ),
    "rubin-ultra-scenario": ({"gpu-nvswitch": (144 * 72, 200)}, {"gpu": 72, "nvswitch": 144}),
    "rubin-ultra-double-scenario": ({"gpu-nvswitch": (144 * 72 * 2, 200)}, {"gpu": 144, "nvswitch": 288}),
    "nvl576-scenario": (
        {"gpu-switch": (576 * 72, 200), "switch-trunk": (576 * 72, 200)},
        {"gpu": 72, "switch": 72 + 72, "trunk": 144},
    ),
    "groq-lpx": (
        {
            "in-a-tray": (16 * 120 * 4, 100),
            "across-trays": (16 * 120 * 2, 100),
            "lpu-fpga": (256, 100),
            "fpga-fpga": (2 * 120, 100),
            "cpu-fpga": (32, PCIE5),
            "cpu-dpu": (16, PCIE5),
        },
        {"lpu": 60 + 30 + 1, "fpga": 8 + 15 + 1, "cpu": 3, "dpu": 1},
    ),
    # --- AWS
    "aws-trn1": (
        {**{f"{a}-side": (8, 48 * GIB_S) for a in "abcd"}, "chip-nic": (16, PCIE4 / 4)},
        {"chip": 4 + 1, "nic": 2},
    ),
    "aws-trn2": (
        {"x-ring": (16, 1024), "y-ring": (16, 1024), "chip-nic": (16, PCIE5 / 2)},
        {"chip": 4 + 1, "nic": 1},
    ),
    "aws-trn2-ultraserver": (
        {"x-ring": (64, 1024), "y-ring": (64, 1024), "z-ring": (64, 512), "chip-nic": (64, PCIE5 / 2)},
        {"chip": 6 + 1, "nic": 1},
    ),
    **{
        name: (
            {
                "chip-neuronswitch": (64 * 8, 512),
                "in-a-tray": (2 * 16 * 8, 512),
                "across-racks": (32 * 2, 512),
                "chip-nic": (64, PCIE5 / 2),
            },
            {"chip": TRN3, "neuronswitch": ports, "nic": 2},
        )
        for name, ports in [("aws-trn3-gen1", 16), ("trn3-gen1-320-lane", 32)]
    },
    **{
        name: (
            {
                "chip-neuronswitch": (144 * 8, 512),
                "chip-trayswitch": (144 * 8, 512),
                "across-racks": (72 * 2, 512),
                "chip-nic": (144, PCIE5 / 2),
            },
            {"chip": TRN3, "neuronswitch": ports, "trayswitch": 4, "nic": 2},
        )
        for name, ports in [("aws-trn3-gen2", 18), ("trn3-gen2-320-lane", 36)]
    },
    "aws-trn4-scenario": ({"chip-nvswitch": (72 * 36, 400)}, {"chip": 36, "nvswitch": 72}),
    "trn4-144-scenario": ({"chip-nvswitch": (144 * 72, 200)}, {"chip": 72, "nvswitch": 144}),
    "aws-inf1": ({"chip-chip": (15, 8 * GIB_S)}, {"chip": [1, *[2] * 14, 1]}),
    "aws-inf2": ({"chip-chip": (12, 48 * GIB_S)}, {"chip": 2}),
    # --- AMD and Microsoft
    "mi300x": ({"gpu-gpu": (28, 512), **server(8, 8, switches=8)}, MI),
    "mi325x": ({"gpu-gpu": (28, 512), **server(8, 8, switches=8)}, MI),
    "mi350x": ({"gpu-gpu": (28, 614.4), **server(8, 8, switches=8)}, MI),
    "mi355x": ({"gpu-gpu": (28, 614.4), **server(8, 8, switches=8)}, MI),
    "helios": (
        {"gpu-th": (72 * 12 * 6, 200), "gpu-nic": (3 * 72, PCIE6)},
        {"gpu": 72 + 3, "th": 432, "nic": 1},
    ),
    "maia100": ({"chip-chip": (6 * 3, 400)}, {"chip": 9}),
    "gaudi2": ({"chip-chip": (28 * 3, 100), "chip-cpu": (8, 248)}, {"chip": 22, "cpu": 4}),
    "gaudi3": ({"chip-chip": (28 * 3, 200), "chip-cpu": (8, PCIE5)}, {"chip": 22, "cpu": 4}),
    "maia200": ({"chip-chip": (6, 8000 / 3)}, {"chip": 3}),
    # --- Google
    "tpu-v4": torus((16, 16, 16), 360),
    "tpu-v5e": torus((16, 16), 400),
    "tpu-v5p": torus((16, 20, 28), 800),
    "tpu-v6e": torus((16, 16), 800),
    "tpu-v7": torus((16, 24, 24), 800),
    "tpu-8t": torus((20, 20, 24), 1600),
    **{
        f"tpu-v4-{x}x{y}x{z}{kind}": torus((x, y, z), 360)
        for x, y, z in [(4, 4, 8), (4, 8, 8)]
        for kind in ("", "-twisted")
    },
    "tpu-v5e-4x8": torus((4, 8), 400, "xy"),
    "tpu-v5e-8x16": torus((8, 16), 400, "x"),
    "tpu-v6e-8x16": torus((8, 16), 800, "x"),
    "tpu-v5p-2x2x2": torus((2, 2, 2), 800, "xyz"),
    "tpu-v5p-8x8x16": torus((8, 8, 16), 800),
    "tpu-v5p-8x8x16-twisted": torus((8, 8, 16), 800),
    "tpu-v5p-16x16x24": torus((16, 16, 24), 800),
    "tpu-v7-4x4x4": torus((4, 4, 4), 800),
}

# Clusters: how many of which system, by the prefix of its names; rules that join them; degrees that are not
# those inside a system.
CLUSTERS = {
    "mi350x-8": ({"": (1, "mi350x")}, {}, {}),
    "mi355x-8": ({"": (1, "mi355x")}, {}, {}),
    **{f"tpu-{v}-pod": ({"": (1, f"tpu-{v}")}, {}, {}) for v in ("v4", "v5e", "v5p", "v6e", "v7")},
    "h100-nvlink-256": (
        {"": (32, "hgx-h100")},
        {f"chip-{c}-out": (32 * cages * 4, 200) for c, cages in zip("abcd", (5, 4, 4, 5), strict=True)},
        {"trunk": 128, "nvswitch": [40 + 20, 32 + 16, 32 + 16, 40 + 20] * 32},
    ),
    "b300-spectrum-8su": (
        {"": (512, "hgx-b300")},
        {"nic-leaf": (2 * 4096, 400), "leaf-spine": (128 * 32, 800)},
        {"nic": 2 + 2, "leaf": 64 + 32, "spine": 64},
    ),
    # 15 segments of 1,024 GPUs; 60 uplinks of each of 240 switches.
    "hpn-pod": (
        {"": (1920, "hgx-h800")},
        {"nic-tor": (2 * 15_360, 200), "tor-agg": (240 * 60, 400)},
        {"nic": 1 + 2, "tor": 128 + 60, "agg": 120},
    ),
    "superpod-gb200-su": (
        {"": (8, "gb200-nvl72")},
        {"nic-leaf": (576, 400), "leaf-spine": (32 * 18, 400)},
        {"nic": 2, "leaf": 36, "spine": 24},
    ),
    "superpod-gb300": (
        {"": (128, "gb300-nvl72")},
        {"nic-leaf": (9216, 800), "leaf-spine": (128 * 72, 800)},
        {"nic": 3, "leaf": 144, "spine": 128},
    ),
    "gb300-enterprise-8su": (
        {"": (8, "gb300-nvl72")},
        {"nic-leaf": (2 * 576, 400), "leaf-spine": (32 * 36, 400)},
        {"nic": 4, "leaf": 72, "spine": 96},
    ),
    "trn2-1024": (
        {"": (16, "aws-trn2-ultraserver")},
        {"nic-tor": (1024, 200), "tor-leaf": (32 * 16, 400)},
        {"nic": 2, "tor": 48, "leaf": 32},
    ),
    "trn3-gen2-576": (
        {"": (4, "aws-trn3-gen2")},
        {"nic-leaf": (2 * 288, 200), "leaf-spine": (16 * 18, 400)},
        {"nic": 4, "leaf": 54, "spine": 24},
    ),
    "rainier-scenario": (
        {"": (7680, "aws-trn2-ultraserver")},
        {"nic-tor": (491520, 200), **dict.fromkeys(("tor-leaf", "leaf-spine", "spine-core"), (245760, 400))},
        {"nic": 2, "tor": 48, "leaf": 64, "spine": 64, "core": 15},
    ),
    "p6e-gb200-8": (
        {"": (8, "aws-p6e-gb200")},
        {"nic-leaf": (2 * 576, 200), "leaf-spine": (16 * 36, 400)},
        {"nic": 3, "leaf": 108, "spine": 32},
    ),
    "helios-4": (
        {"": (4, "helios")},
        {"nic-leaf": (864, 800), "leaf-spine": (12 * 54, 800)},
        {"nic": 2, "leaf": 72 + 54, "spine": 24},
    ),
    "maia100-128": ({"": (32, "maia100")}, {"chip-leaf": (3 * 128, 400)}, {"chip": 12, "leaf": 128}),
    "maia200-6144": (
        {"": (1536, "maia200")},
        {"chip-tor": (8 * 6144, 400), "tor-spine": (4 * 128 * 32, 400)},
        {"chip": 11, "tor": 96 + 32, "spine": 128},
    ),
    "maia200-6144-full": (
        {"": (1536, "maia200")},
        {"chip-tor": (8 * 6144, 400), "tor-spine": (4 * 96 * 128, 400)},
        {"chip": 11, "tor": 128 + 128, "spine": 96},
    ),
    # A chain of racks: its ends have one neighbour.
    "lpx-4": (
        {"": (4, "groq-lpx")},
        {"across-racks": (3 * 256 * 2, 100)},
        {"lpu": [n for n in (93, 95, 95, 93) for _ in range(256)]},
    ),
    "seven-chips": (
        {"vr.": (4, "vr-nvl72"), "lpx.": (4, "groq-lpx")},
        {
            "vr.nic-back": (4 * 144, 800),
            "lpx.fpga-back": (4 * 32, 800),
            "across-racks": (3 * 256 * 2, 100),
            "vr.dpu-vr-front": (4 * 18, 800),
            "lpx.dpu-lpx-front": (4 * 16, 800),
            "vr-front-vault": (32, 800),
            "lpx-front-vault": (32, 800),
            "store-vault": (16, 800),
        },
        {
            "vr.nic": 2,
            "vr.dpu": 2,
            "lpx.fpga": 24 + 1,
            "lpx.dpu": 2,
            "lpx.lpu": [n for n in (93, 95, 95, 93) for _ in range(256)],
            "back": 288 + 64,
            "vr-front": 72 + 32,
            "lpx-front": 64 + 32,
            "vault": 32 + 32 + 16,
            "store": 1,
        },
    ),
    "vera-rubin-pod": (
        {"vr.": (16, "vr-nvl72"), "lpx.": (10, "groq-lpx")},
        {
            "vr.nic-leaf": (2 * 1152, 800),
            "lpx.fpga-lpx-leaf": (10 * 32, 800),
            # A leaf has as much up as down.
            "leaf-spine": (2 * 1152, 800),
            "lpx-leaf-spine": (10 * 32, 800),
            "across-racks": (2 * 4 * 256 * 2, 100),
            "cpu-cdpu": (2 * 256, 200),
            "svera-snic": (2 * 18 * 2, PCIE6),
            "vr.dpu-vr-front": (16 * 18, 800),
            "lpx.dpu-lpx-front": (10 * 16, 800),
            "cdpu-cpu-front": (2 * 64, 800),
            "snic-store-front": (2 * 18 * 2, 800),
            # 48 up from each of 4, 2, 2 and 1.
            **{
                f"{front}-front-fspine": (n * 48, 800)
                for front, n in zip(("vr", "lpx", "cpu", "store"), (4, 2, 2, 1), strict=True)
            },
        },
        {
            "vr.nic": 2,
            "vr.dpu": 2,
            "lpx.fpga": 24 + 1,
            "lpx.dpu": 2,
            "lpx.lpu": [n for n in (93, 95, 95, 95, 93) * 2 for _ in range(256)],
            "leaf": 144 + 144,
            "lpx-leaf": 160 + 160,
            "spine": 8 * 36 + 40,
            "cpu": 1,
            "cdpu": 4 + 1,
            "svera": 2,
            "snic": 2,
            "vr-front": 72 + 48,
            "lpx-front": 80 + 48,
            "cpu-front": 64 + 48,
            "store-front": 72 + 48,
            "fspine": 9 * 8,
        },
    ),
    "mixed-islands": (
        {"nv.": (2, "gb300-nvl72"), "lpx.": (1, "groq-lpx"), "trn.": (2, "aws-trn2-ultraserver")},
        {
            "nv.nic-nv-leaf": (2 * 144, 400),
            "lpx.fpga-lpx-leaf": (32, 800),
            "trn.nic-trn-leaf": (128, 200),
            "nv-leaf-spine": (2 * 48, 800),
            "lpx-leaf-spine": (24, 800),
            "trn-leaf-spine": (2 * 24, 800),
        },
        {
            "nv.nic": 2 + 2,
            "lpx.fpga": 24 + 1,
            "trn.nic": 2,
            "nv-leaf": 144 + 48,
            "lpx-leaf": 32 + 24,
            "trn-leaf": 64 + 24,
            "spine": 12 + 3 + 6,
        },
    ),
}


def wanted(name):
    """Return the rules and degrees of a system, from the tables alone."""
    if name in SERVERS:
        return SERVERS[name]
    systems, rules, degrees = CLUSTERS[name]
    inside, own = {}, {}
    for prefix, (n, system) in systems.items():
        inner, at_each = SERVERS[system]
        inside |= {prefix + rule: (n * cables, gbps) for rule, (cables, gbps) in inner.items()}
        own |= {prefix + group: d if isinstance(d, int) else d * n for group, d in at_each.items()}
    return inside | rules, own | degrees


def marked(names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in names]


# NVIDIA's own servers have the devices and links of their boards.
SERVERS |= {f"dgx-{gpu}": SERVERS[f"hgx-{gpu}"] for gpu in ("a100", "h100", "h200", "b200", "b300")}


def test_every_template_and_every_file_has_its_row():
    files = {path.name.removesuffix(".fabric.yaml") for path in SYSTEMS.glob("*.fabric.yaml")}
    files -= {"million-scenario"}  # too large to expand: `test_cables_of_the_million` counts it on classes
    assert set(SERVERS) | set(CLUSTERS) == files | set(template_names())
    assert not set(SERVERS) & set(CLUSTERS)


@pytest.mark.some(9)
@pytest.mark.parametrize("name", marked([*SERVERS, *CLUSTERS]))
def test_cables_and_rates_of_every_link_class(name):
    e = links(name)
    rules, _ = wanted(name)
    assert {r.name for r in e.rules} == set(rules)
    for number, rule in enumerate(e.rules):
        rows = e.rule == number
        n, gbps = rules[rule.name]
        assert int(e.count[rows].sum()) == n, rule.name
        assert e.rate_gbps[rows] == pytest.approx(gbps, rel=1e-12), rule.name


@pytest.mark.some(10)
@pytest.mark.parametrize("name", marked([*SERVERS, *CLUSTERS]))
def test_degree_of_every_device_and_one_piece(name):
    e = links(name)
    _, degrees = wanted(name)
    assert {g.name for g in e.groups} == set(degrees)
    found = np.bincount(np.concatenate([e.tail, e.head]), np.tile(e.count, 2), minlength=e.n_devices)
    for number, group in enumerate(e.groups):
        own = found[e.group == number]
        assert own.tolist() == np.broadcast_to(degrees[group.name], own.shape).tolist(), group.name
    joined = coo_array((np.ones(len(e.tail)), (e.tail, e.head)), shape=(e.n_devices, e.n_devices))
    assert connected_components(joined, directed=False, return_labels=False) == 1


def test_cables_of_the_million():
    """55 pods x 4 su x 8 blocks x 8 racks x 18 trays x 4 rails; 128 spines a pod, 112 cores a spine index."""
    counted = census(load(SYSTEMS / "million-scenario.fabric.yaml").blueprint)
    cables = {one.rule.name: (one.total, one.rule.rate_gbps) for one in counted.rules}
    gpus = 55 * 4 * 8 * 8 * 18 * 4
    assert cables["gpu-nvswitch"] == (18 * gpus, 400)
    assert cables["nic-leaf"] == (2 * gpus, 400)
    assert cables["leaf-spine"] == (55 * 4 * 8 * 4 * 128, 800)
    assert cables["spine-core"] == (55 * 128 * 112, 800)
