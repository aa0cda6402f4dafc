"""Published figures, met by what the files expand to and by answers on it, never by a constant of our own.

Sources
-------
nvl72-rack : NVIDIA DGX SuperPOD reference architecture GB200, network fabrics
    18 compute trays of 4 GPUs, 9 switch trays of 2 chips, one NVLink 5 from every GPU to each of 18 chips,
    1.8 TB/s in both directions a GPU. The rack total is published as 130 TB/s, rounded from 129.6.
superpod-h100 : NVIDIA DGX SuperPOD reference architecture RA-11333-001 V11 (2023-09-22)
    Table 4, row of 4 SU.
gb300-1152 : no publication
    The arithmetic of its own file, 2 x 400 Gb/s a GPU without oversubscription.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from fabric.flow import max_flow
from fabric.graph import expand, load
from fabric.units import format_rate_gbit

TB = 8000.0
"""Gb/s in 1 TB/s."""


@cache
def arrays(name):
    return expand(load(f"topologies/{name}.fabric.yaml"))


@cache
def ask(name, source, target):
    return max_flow(load(f"topologies/{name}.fabric.yaml"), source, target)


def n_devices(name, group):
    e = arrays(name)
    return int((e.group == [g.name for g in e.groups].index(group)).sum())


def bundles(name, rule):
    """Return which bundles belong to a rule."""
    e = arrays(name)
    return e.rule == [r.name for r in e.rules].index(rule)


def n_cables(name, *rules):
    return sum(int(arrays(name).count[bundles(name, rule)].sum()) for rule in rules)


def capacity(name, rule):
    """Return what all cables of a rule carry in one direction [Gb/s]."""
    e, rows = arrays(name), bundles(name, rule)
    return float(e.count[rows] @ e.rate_gbps[rows])


def per_device(name, rule, side):
    """Return the number of cables that every device on a side of a rule has; it must be the same for all."""
    e, rows = arrays(name), bundles(name, rule)
    devices = getattr(e, side)[rows]
    counts = np.bincount(devices, e.count[rows])[np.unique(devices)]
    assert (counts == counts[0]).all()
    return int(counts[0])


RACK, POD, SUPERPOD = "gb300-nvl72", "gb300-nvl72-1152", "superpod-h100-4su"

CHECKS = {
    "nvl72-rack: GPUs": (lambda: n_devices(RACK, "gpu"), 72),
    "nvl72-rack: switch chips": (lambda: n_devices(RACK, "nvswitch"), 18),
    "nvl72-rack: NVLink cables": (lambda: n_cables(RACK, "gpu-nvswitch"), 1296),
    "nvl72-rack: NVLinks of a GPU": (lambda: per_device(RACK, "gpu-nvswitch", "tail"), 18),
    "nvl72-rack: ports used on a chip": (lambda: per_device(RACK, "gpu-nvswitch", "head"), 72),
    "nvl72-rack: total, both directions": (lambda: 2 * capacity(RACK, "gpu-nvswitch"), 129.6 * TB),
    "nvl72-rack: GPU to GPU": (lambda: ask(RACK, "tray0/gpu0", "tray17/gpu3").value_gbps, 0.9 * TB),
    "nvl72-rack: GPU to its neighbour": (lambda: ask(RACK, "tray0/gpu0", "tray0/gpu1").value_gbps, 0.9 * TB),
    "nvl72-rack: bisection": (lambda: ask(RACK, "tray0-8", "tray9-17").value_gbps, 36 * 0.9 * TB),
    "superpod-h100: nodes": (lambda: n_devices(SUPERPOD, "cpu") // 2, 127),
    "superpod-h100: GPUs": (lambda: n_devices(SUPERPOD, "gpu"), 1016),
    "superpod-h100: leaves": (lambda: n_devices(SUPERPOD, "leaf"), 32),
    "superpod-h100: spines": (lambda: n_devices(SUPERPOD, "spine"), 16),
    "superpod-h100: compute and UFM cables": (lambda: n_cables(SUPERPOD, "nic-leaf", "ufm-leaf"), 1020),
    "superpod-h100: compute cables": (lambda: n_cables(SUPERPOD, "nic-leaf"), 8 * 127),
    "superpod-h100: spine-leaf cables": (lambda: n_cables(SUPERPOD, "leaf-spine"), 1024),
    "superpod-h100: ports used on a spine": (lambda: per_device(SUPERPOD, "leaf-spine", "head"), 64),
    "superpod-h100: uplinks of a leaf": (lambda: per_device(SUPERPOD, "leaf-spine", "tail"), 32),
    "gb300-1152: GPUs": (lambda: n_devices(POD, "gpu"), 1152),
    "gb300-1152: leaves": (lambda: n_devices(POD, "leaf"), 64),
    "gb300-1152: spines": (lambda: n_devices(POD, "spine"), 18),
    "gb300-1152: NIC cables": (lambda: n_cables(POD, "nic-leaf"), 2304),
    "gb300-1152: leaf-spine cables": (lambda: n_cables(POD, "leaf-spine"), 2304),
    "gb300-1152: NIC cables of a leaf": (lambda: per_device(POD, "nic-leaf", "head"), 36),
    "gb300-1152: cables of a spine": (lambda: per_device(POD, "leaf-spine", "head"), 128),
    "gb300-1152: rack to rack": (lambda: ask(POD, "rack0", "rack1").value_gbps, 144 * 400.0),
    "gb300-1152: half to half": (lambda: ask(POD, "block0-3", "block4-7").value_gbps, 1152 * 400.0),
}


@pytest.mark.parametrize(("found", "published"), CHECKS.values(), ids=CHECKS)
def test_figures(found, published):
    assert found() == published


def test_nvl72_rack_has_one_link_from_every_gpu_to_every_chip():
    e, rows = arrays(RACK), bundles(RACK, "gpu-nvswitch")
    pairs = set(zip(e.tail[rows].tolist(), e.head[rows].tolist(), strict=True))
    assert len(pairs) == 72 * 18 == rows.sum()
    assert set(e.count[rows].tolist()) == {1}
    assert set(e.rate_gbps[rows].tolist()) == {400.0}


@pytest.mark.parametrize(
    "source", [f"tray{tray}/gpu{slot}" for tray, slot in [(3, 0), (7, 1), (11, 2), (16, 3)]]
)
def test_nvl72_rack_cut_is_the_own_nvlinks(source):
    answer = ask(RACK, source, "tray0/gpu0")
    assert [str(c) for c in answer.cut] == ["18 gpu-nvswitch cables, 7.2 Tb/s (900 GB/s)"]
    assert answer.status == "optimal"


@pytest.mark.some(1)
@pytest.mark.parametrize(
    ("source", "target", "cut", "tied"),
    [
        ("rack0", "rack1", "144 nic-leaf cables, 57.6 Tb/s (7.2 TB/s)", ()),
        ("rack0", "rack15", "144 nic-leaf cables, 57.6 Tb/s (7.2 TB/s)", ()),
        ("block0-3", "block4-7", "1,152 nic-leaf cables, 460.8 Tb/s (57.6 TB/s)", ("leaf-spine",)),
        ("block0", "block1", "288 nic-leaf cables, 115.2 Tb/s (14.4 TB/s)", ("leaf-spine",)),
    ],
)
def test_1152_gpus_cuts(source, target, cut, tied):
    answer = ask(POD, source, target)
    assert [str(c) for c in answer.cut] == [cut]
    assert answer.tied == tied
    assert answer.status == "optimal"


def test_superpod_h100_leaves_and_spines_are_joined_alike():
    e, rows = arrays(SUPERPOD), bundles(SUPERPOD, "leaf-spine")
    assert rows.sum() == 32 * 16
    assert set(e.count[rows].tolist()) == {2}
    down = bundles(SUPERPOD, "nic-leaf") | bundles(SUPERPOD, "ufm-leaf")
    # Slots 0-3 of the last unit: one node less, and UFM in its place; slots 4-7: one port free.
    leaves = e.head[down]
    ports = np.bincount(leaves, e.count[down])[np.unique(leaves)]
    assert Counter(ports.astype(int).tolist()) == {32: 28, 31: 4}


def test_superpod_h100_unit_to_unit():
    answer = ask(SUPERPOD, "su0", "su1")
    assert (answer.value_gbps, format_rate_gbit(answer.value_gbps)) == (8 * 32 * 400.0, "102.4 Tb/s")
    assert [(c.link, c.n_cables) for c in answer.cut] == [("nic-leaf", 256)]
    assert "leaf-spine" in answer.tied
