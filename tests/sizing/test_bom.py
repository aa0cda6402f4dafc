"""A bill against the expanded fabric device by device, its laws, and published counts; prices are beside."""

import csv
import io
import json
import math
import random
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fabric.errors import PartError
from fabric.graph import expand, load, loads
from fabric.parts import find_part
from fabric.sizing.bom import FloorPlan, bom
from fabric.sizing.fittings import DATA, fittings, load_fittings
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import summarize
from fabric.text.markdown import escape
from fabric.units import format_power

ROOT = Path(__file__).parents[2]
TOPOLOGIES = ROOT / "topologies"
FILES = sorted(
    str(f.relative_to(TOPOLOGIES)) for f in TOPOLOGIES.rglob("*.fabric.yaml") if "systems" not in f.parts
)
# Those that can be written out; the others are a million GPUs, or eight planes of cables.
EXPANDED = [
    name
    for name in FILES
    if name.partition(".")[0].split("/")[-1]
    not in ("million", "aws-million-blackwell", "aws-million-rubin", "eight-planes")
]
CONSTRUCTS = (
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


@cache
def read(name):
    return load(TOPOLOGIES / name)


def of(name):
    return read(f"{name}.fabric.yaml")


def rail(part, leaf, more="", *, n=8, each=""):
    """Return `n` cards on one leaf, by cables of 400 Gb/s."""
    nic = f"{{part: {part}, axes: [i], endpoint: true}}"
    return loads(
        f"{{fabric: rail, axes: {{i: {n}}}, devices: {{nic: {nic}, leaf: {{part: {leaf}, axes: []}}}}, "
        f"links: [{{between: [nic, leaf], rate: 400Gb/s{more}}}]}}"
    )


def check_against(bill, e):
    """Assert devices, cables, ends and cages of `bill` device by device on the expanded form `e`."""
    devices = {i.where: i.n for i in bill.items if i.kind in ("gpu", "host", "nic", "switch chip", "switch")}
    expected = Counter(e.groups[g].name for g in e.group)
    assert devices == dict(expected)
    outside = {run.rule for run in bill.cables if not run.is_inside}
    cables, ends = Counter(), Counter()
    group = e.group.tolist()
    for tail, head, rule, count in zip(*(x.tolist() for x in (e.tail, e.head, e.rule, e.count)), strict=True):
        name = e.rules[rule].name
        cables[name] += count
        if name in outside:
            for v in (tail, head):
                ends[e.groups[group[v]].name] += count
    got = Counter()
    for run in bill.cables:
        got[run.rule] += run.n_cables
    assert got == cables
    plugged = Counter()
    for plug in bill.cages:
        plugged[plug.group] += plug.n_ends
    assert plugged == ends
    assert sum(plug.n_ends for plug in bill.cages) == 2 * bill.n_cables


# --- counts are those of the expanded fabric ---------------------------------------------------------


@pytest.mark.some(2)
@pytest.mark.parametrize("name", EXPANDED)
def test_files_count_as_their_expanded_form(name):
    fabric = read(name)
    check_against(bom(fabric), expand(fabric))


@pytest.mark.some(1)
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_random_fabrics_count_as_their_expanded_form(construct, constructs):
    assert set(CONSTRUCTS) == set(constructs.CONSTRUCTS)
    for seed in range(3):
        fabric, _ = constructs.random_fabric(construct, seed)
        check_against(bom(fabric), expand(fabric))


@pytest.mark.slow
@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_many_random_fabrics_count_as_their_expanded_form(construct, constructs):
    for seed in range(3, 200):
        fabric, _ = constructs.random_fabric(construct, seed)
        check_against(bom(fabric), expand(fabric))


def used_ports(e, blueprint):
    """Return the ports that cables take, device by device, by group and port class."""
    classes = {r.name: r.port_class for r in blueprint.rules}
    rates = dict(zip(e.rule.tolist(), e.rate_gbps.tolist(), strict=True))
    kinds = sorted({(classes[e.rules[rule].name], rate) for rule, rate in rates.items()})
    kind = np.array(
        [kinds.index((classes[r.name], rates[i])) if i in rates else 0 for i, r in enumerate(e.rules)]
    )
    # Cables of each kind at each device, and how many devices of a group have as many.
    key = np.concatenate([e.tail, e.head]) * len(kinds) + np.tile(kind[e.rule], 2)
    place, row = np.unique(key, return_inverse=True)
    number = np.bincount(row, np.tile(e.count, 2)).astype(np.int64)
    alike = np.stack([e.group[place // len(kinds)], place % len(kinds), number], axis=1)
    total = defaultdict(float)
    for (g, k, n), n_devices in zip(
        *(x.tolist() for x in np.unique(alike, axis=0, return_counts=True)), strict=True
    ):
        (name, rate), group = kinds[k], blueprint.groups[e.groups[g].name]
        port = next((p for p in group.part.ports if p.name == name), None) if group.part else None
        if port is None:
            continue
        in_cage = port.ports_per_cage or 1
        if rate == port.rate_gbps:
            needed = n
        elif port.modes:
            _, per = min((r, m / port.n_ports) for m, r in port.modes if r >= rate)
            needed = math.ceil(n / (per * in_cage)) * in_cage
        else:
            needed = n * rate / port.rate_gbps
        total[group.name, name] += needed * n_devices
    return total


@pytest.mark.some(10)
@pytest.mark.parametrize("name", EXPANDED)
def test_ports_used_and_free_are_all_ports(name):
    fabric = read(name)
    e = expand(fabric)
    used = used_ports(e, fabric.blueprint)
    groups = Counter(e.groups[g].name for g in e.group)
    bill = bom(fabric)
    for port in bill.ports:
        part = fabric.blueprint.groups[port.group].part
        (own,) = (p for p in part.ports if p.name == port.port_class)
        assert port.n_used == math.ceil(used[port.group, port.port_class] - 1e-6)
        assert port.n_used + port.n_free == groups[port.group] * own.n_ports
        assert port.n_free >= 0
    summary = {(g.name, p.name): (p.n_ports, p.n_used) for g in summarize(fabric).groups for p in g.ports}
    assert {(p.group, p.port_class): (p.n_ports, p.n_used) for p in bill.ports} == summary


@pytest.mark.parametrize("name", ["gb300-nvl72-1152", "superpod-h100-4su", "measured/h100-12-node"])
def test_cages_are_filled_device_by_device(name):
    """One medium and one rate on each device: its cages are its cables over those of a cage."""
    fabric = of(name)
    e, bill = expand(fabric), bom(fabric)
    outside = {run.rule for run in bill.cables if not run.is_inside}
    at = Counter()
    for tail, head, rule, count in zip(e.tail, e.head, e.rule, e.count, strict=True):
        if e.rules[rule].name in outside:
            at[tail] += int(count)
            at[head] += int(count)
    per_cage = {"cx8": 2, "sn5610": 2, "qm9700": 2, "cx7": 1, "": 1}
    cages = Counter()
    for v, n in at.items():
        group = e.groups[e.group[v]]
        # Two cards of a DGX H100 share a twin-port cage.
        shared = 2 if (name, group.name) == ("superpod-h100-4su", "nic") else 1
        cages[group.name] += math.ceil(n / per_cage[group.part]) / shared
    assert {plug.group: plug.n_cages for plug in bill.cages} == cages


# --- published counts --------------------------------------------------------------------------------


def network(bill):
    return {i.where: i.n for i in bill.items if i.kind == "switch"}, cables(bill)


def cables(bill):
    found = Counter()
    for run in bill.cables:
        if not run.is_inside:
            found[run.rule] += run.n_cables
    return dict(found)


def test_superpod_h100_of_four_units():
    """NVIDIA DGX SuperPOD H100, RA-11333-001 V11, table 4: 1,020 compute and UFM cables, 1,024 spine-leaf."""
    bill = bom(of("superpod-h100-4su"))
    assert (bill.n_gpus, bill.count("nic", "nic")) == (1016, 1016)
    switches, found = network(bill)
    assert switches == {"leaf": 32, "spine": 16}
    assert found == {"nic-leaf": 1016, "ufm-leaf": 4, "leaf-spine": 1024}
    assert bill.count("rack") == 127 // 4 + 1
    # Four twin-port cages for the eight cards of a server, and those of the switches; four leaves have a
    # cable of UFM where the absent node had its own.
    assert {(p.group, p.medium): (p.n_cages, p.n_ends) for p in bill.cages} == {
        ("nic", "opt_800_mm"): (508, 1016),
        ("ufm", "opt_400_mm"): (4, 4),
        ("leaf", "opt_800_mm"): (1024, 2044),
        ("spine", "opt_800_mm"): (512, 1024),
    }


SUPERPOD = """
fabric: superpod
include: {{fabric: {server}, over: {{su: {su}, {half}node: 32}}}}
axes: {{spine: {spine}}}
devices:
  leaf: {{part: {switch}, axes: [su, {half_axis}slot]}}
  spine: {{part: {switch}, axes: [spine]}}
links:
  - {{between: [nic, leaf], {cable}}}
  - {{between: [leaf, spine], rate: {rate}, count: {count}}}
"""


@pytest.mark.parametrize(
    ("server", "switch", "su", "half", "spine", "n_gpus", "leaf", "n_cables"),
    [
        ("hgx-h100", "qm9700", 4, 1, 16, 1024, 32, 1024),
        ("hgx-h100", "qm9700", 8, 1, 32, 2048, 64, 2048),
        ("hgx-b200", "qm9700", 2, 1, 8, 512, 16, 512),
        ("hgx-b300", "sn5600", 1, 2, 8, 512, 16, 512),
        ("hgx-b300", "sn5600", 2, 2, 16, 1024, 32, 1024),
        ("hgx-b300", "sn5600", 4, 2, 32, 2048, 64, 2048),
    ],
)
def test_superpods(server, switch, su, half, spine, n_gpus, leaf, n_cables):
    """NVIDIA DGX SuperPOD reference architectures H100 (table 3), B200, and B300 on Spectrum-X (table 3)."""
    text = SUPERPOD.format(
        server=server,
        switch=switch,
        su=su,
        spine=spine,
        half=f"half: {half}, " if half > 1 else "",
        half_axis="half, " if half > 1 else "",
        rate="NDR" if switch == "qm9700" else "800Gb/s",
        # A connection of 800 Gb/s of the table is two of 400: a ConnectX-8 has no 800G Ethernet on one port.
        cable="rate: NDR" if switch == "qm9700" else "rate: 400Gb/s, count: 2",
        count=n_cables // leaf // spine,
    )
    bill = bom(loads(text))
    assert bill.n_gpus == n_gpus
    per_card = 2 if server == "hgx-b300" else 1
    cables = {"nic-leaf": per_card * n_cables, "leaf-spine": n_cables}
    assert network(bill) == ({"leaf": leaf, "spine": spine}, cables)


def test_gb300_cluster_of_1152():
    bill = bom(of("gb300-nvl72-1152"))
    assert network(bill) == ({"leaf": 64, "spine": 18}, {"nic-leaf": 2304, "leaf-spine": 2304})
    assert (bill.n_gpus, bill.count("rack"), bill.count("nic")) == (1152, 16, 1152 + 288)
    # an SN5610 has 64 cages of 2 x 400G, a ConnectX-8 one
    assert {(p.group, p.medium): (p.n_cages, p.n_ends) for p in bill.cages} == {
        ("nic", "opt_800_sm"): (1152, 2304),
        ("leaf", "opt_800_sm"): (64 * 36, 64 * 72),
        ("spine", "opt_800_sm"): (18 * 64, 18 * 128),
    }
    # 16 racks with all that is in them, the optics of the cards too; then switches and their optics.
    assert bill.power_w == 16 * 142_000 + (64 + 18) * 940 + (64 * 36 + 18 * 64) * 17
    assert bill.power_unknown == ()
    (backplane,) = (run for run in bill.cables if run.rule == "gpu-nvswitch")
    assert (backplane.is_inside, backplane.n_cables) == (True, 1152 * 18)


def test_a_million_gpus_are_not_expanded():
    bill = bom(of("systems/million-scenario"))
    assert bill.n_gpus == 1_013_760
    switches, found = network(bill)
    assert switches == {"leaf": 7040, "spine": 7040, "core": 128 * 112}
    assert found == {"nic-leaf": 2_027_520, "leaf-spine": 901_120, "spine-core": 788_480}
    assert sum(plug.n_ends for plug in bill.cages) == 2 * bill.n_cables
    assert bill.count("rack") == 14_080


# --- laws --------------------------------------------------------------------------------------------


def totals(bill):
    found = Counter()
    for one in bill.items:
        found[one.kind, one.item, one.about] += one.n
    return found


@pytest.mark.parametrize("template", ["gb300-nvl72", "hgx-h100"])
def test_copies_double_every_number(template):
    text = "fabric: a\ninclude: {fabric: TEMPLATE, over: {copy: N, node: 4}}\nislands: N\n"
    text += "devices: {leaf: {part: sn5600, axes: [copy, slot]}}\n"
    text += "links: [{between: [nic, leaf], rate: 400Gb/s}]\n"
    one, two = (bom(loads(text.replace("TEMPLATE", template).replace("N", str(n)))) for n in (3, 6))
    assert totals(two) == Counter({key: 2 * n for key, n in totals(one).items()})
    assert two.power_w == pytest.approx(2 * one.power_w)
    assert [p.n_used for p in two.ports] == [2 * p.n_used for p in one.ports]


@pytest.mark.some(12)
@pytest.mark.parametrize("name", FILES)
def test_figures_of_each_times_their_number_are_the_whole(name):
    bill = bom(read(name), spares=3)
    whole = bill.to_dict()
    assert bill.n_endpoints > 0
    for one, n in (("gpu", bill.n_gpus), ("endpoint", bill.n_endpoints)):
        for row in bill.table():
            assert n * (row[f"n_per_{one}"] or 0) == (pytest.approx(row["n"]) if n else 0)
        sender = "gpu" if bill.n_gpus else "host"
        is_told = bill.power_w is not None and n and not any(i.kind == sender for i in bill.power_unknown)
        assert whole[f"power_w_per_{one}"] == (pytest.approx(bill.power_w / n) if is_told else None)
    if bill.power_w is not None:
        own = [r["power_w"] or 0.0 for r in whole["items"] if not r["power_in"]]
        assert bill.power_w == pytest.approx(sum(own))
    unknown = {(r["item"], r["where"]) for r in whole["power_unknown"]}
    alone = [r for r in whole["items"] if r["power_w"] is None and not r["power_in"]]
    assert unknown == {(r["item"], r["where"]) for r in alone}
    enclosing = ("rack", "network rack", "chassis")
    n_items = sum(r["n"] for r in whole["items"] if r["kind"] not in enclosing and r["power_w"] != 0)
    assert whole["power_unknown_share"] == pytest.approx(
        sum(r["n"] for r in alone) / n_items if n_items else 0.0
    )


def test_hosts_are_endpoints_too():
    text = "{fabric: a, axes: {i: 4}, links: [{between: [end, leaf], rate: 400Gb/s, length: 2m}],"
    text += " devices: {end: {KIND, axes: [i]}, leaf: {part: qm9700, axes: []}}, absent: [end3]}"
    hosts = bom(loads(text.replace("KIND", "kind: host, endpoint: true")))
    gpus = bom(loads(text.replace("KIND", "kind: gpu")))
    assert (hosts.n_gpus, hosts.n_endpoints) == (0, 3)
    assert (gpus.n_gpus, gpus.n_endpoints) == (3, 3)
    for bill, ends, one in ((hosts, "endpoints", "endpoint"), (gpus, "GPUs", "GPU")):
        # What each takes itself is not known: cables and switches over their number would be taken for it.
        assert f"\n3 {ends}, 1 switch, 3 cables, {format_power(bill.power_w)} known.\n" in str(bill)
        assert bill.to_markdown().count(f"| Per {one} |") == 2
    assert hosts.to_dict()["power_w_per_gpu"] is None
    nobody = bom(
        loads(text.replace("KIND", "kind: gpu").replace("absent: [end3]", "absent: [end], islands: 0"))
    )
    assert nobody.to_dict()["power_w_per_endpoint"] is None
    assert nobody.per_gpu(1.0) is nobody.per_endpoint(1.0) is None


def test_no_power_of_each_while_its_own_is_not_known():
    bill = bom(load(ROOT / "topologies/systems/tpu-v5e-pod.fabric.yaml"))
    assert bill.power_w is not None
    assert bill.to_dict()["power_w_per_gpu"] is None
    assert "W known.\nPower not known of 256 of 768 items that draw any (33.3 %), and not" in str(bill)
    known = bom(loads("{fabric: a, include: mi300x}"))
    assert known.to_dict()["power_w_per_gpu"] == pytest.approx(775)


def test_absent_devices_leave_their_cables_and_free_their_ports():
    whole = (TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml").read_text()
    full, part = bom(loads(whole)), bom(loads(whole + "absent: [rack14-15/*]\n"))
    assert cables(part)["nic-leaf"] == cables(full)["nic-leaf"] * 14 // 16
    assert part.count("rack") == 14
    leaf = {b: next(p for p in b.ports if p.group == "leaf") for b in (full, part)}
    assert leaf[part].n_ports == leaf[full].n_ports
    # eight leaves a block; of each, 36 cables of 400 Gb/s are 18 cages
    assert leaf[part].n_free - leaf[full].n_free == 8 * 18


def test_what_failed_was_bought():
    text = (TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml").read_text()
    broken = loads(text + "failed: [plane0/spine3, [rack2/tray5/nic, plane1/leaf]]\n")
    assert bom(broken) == bom(loads(text))


def test_a_bill_of_nothing_known_has_no_power():
    text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: 400Gb/s, medium: board}],"
    bill = bom(loads(text + " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"))
    assert bill.power_w is None
    assert [(one.where, one.n) for one in bill.power_unknown] == [("gpu", 2), ("leaf", 1)]
    assert "no power known" in str(bill)


def test_power_takes_the_typical_figure_and_optics_apart():
    bill = bom(of("superpod-h100-4su"))
    power = {(one.kind, one.where): one for one in bill.items}
    assert power["switch", "leaf"].power_w == 32 * find_part("qm9700").figures["power_typical_w"]
    assert power["switch", "leaf"].power_from == "power_typical_w, assumed (own)"
    assert power["transceiver", "leaf"].power_w == 1024 * 15
    assert power["cable", "leaf-spine"].power_from == "passive"


# --- what joins two cages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "leaf", "more", "expected"),
    [
        # one cable a cage at both ends
        ("cx7", "sn5400", ", length: 1m", ("dac_passive", "straight", 1, 8, 16)),
        ("cx7", "sn5400", ", length: 3m", ("acc", "straight", 3, 8, 16)),
        ("cx7", "sn5400", ", length: 3.5m", ("fibre", "straight", 5, 8, 16)),
        ("cx7", "sn5400", ", length: 50m", ("fibre", "straight", 50, 8, 16)),
        # twin-port cages: two cards on one splitter, or a fibre each
        ("cx7", "qm9700", ", length: 2m", ("dac_passive", "splitter", 2, 4, 12)),
        ("cx7", "qm9700", ", length: 20m", ("fibre", "straight", 20, 8, 16)),
        # two cables of a card to one leaf, 2 x 400G at both ends: one cable from cage to cage
        ("cx8", "sn5610", ", count: 2, length: 2m, medium: dac_passive", ("dac_passive", "trunk", 2, 8, 16)),
        # one connector for 2 x 400G at both ends
        ("cx8", "sn5610", ", count: 2, medium: opt_800_dr4, length: 2m", ("fibre", "trunk", 2, 8, 16)),
        # and to different leaves: a trunk from each of 8 cards and 4 cages of the leaf to a shuffle panel
        ("cx8", "sn5610", ", medium: opt_800_dr4, length: 2m", ("fibre", "shuffle", 2, 12, 24)),
        # named, though it joins no such cages
        ("cx8", "sn5610", ", medium: dac_passive, length: 2m", ("dac_passive", "shuffle", 2, 12, 24)),
        ("cx7", "sn5400", ", medium: aoc, length: 12m", ("aoc", "straight", 15, 8, 16)),
        ("cx7", "sn5400", ", medium: fibre, length: 1m", ("fibre", "straight", 1, 8, 16)),
    ],
)
def test_shapes_of_cables(part, leaf, more, expected):
    bill = bom(rail(part, leaf, more))
    (one,) = (i for i in bill.items if i.kind == "cable")
    assert (one.item, one.about or "straight", one.reach_m, one.n, one.n_ends) == expected
    assert sum(plug.n_ends for plug in bill.cages) == 2 * bill.n_cables


def test_copper_splitters_are_not_chosen_where_none_exists():
    (run,) = bom(rail("cx8", "sn5610", ", length: 1m")).cables
    assert (run.medium, run.is_named) == ("multimode", False)


def test_transceivers_follow_from_the_cage():
    bill = bom(rail("cx7", "sn5600", ", medium: opt_400_sm, length: 30m", n=5))
    assert [(p.group, p.medium, p.n_cages, p.n_ends) for p in bill.cages] == [
        ("nic", "opt_400_sm", 5, 5),
        ("leaf", "opt_800_sm", 3, 5),
    ]
    bill = bom(rail("cx7", "sn5600", ", medium: lpo_800, length: 30m"))
    assert [(i.item, i.power_w) for i in bill.items if i.kind == "transceiver"] == [
        ("400G linear", None),
        ("lpo_800", 4 * 9),
    ]


def test_co_packaged_optics_are_not_bought():
    bill = bom(rail("cx8", "sn6800", ", count: 2, length: 30m"), prices=indicative_prices())
    optics = {i.kind: i for i in bill.items if i.kind in ("transceiver", "built-in")}
    assert (optics["transceiver"].item, optics["transceiver"].n) == ("opt_800_dr4", 8)
    # 9 W for an end of 1.6 Tb/s
    assert (optics["built-in"].item, optics["built-in"].power_w) == ("cpo", 16 * 9 * 400 / 1600)
    assert optics["built-in"] not in bill.cost_unknown


def test_copper_and_optics_do_not_share_a_cage():
    text = "{fabric: a, axes: {i: 63, j: 63}, devices: {near: {part: cx7, axes: [i], endpoint: true},"
    text += " far: {part: cx7, axes: [j], endpoint: true}, leaf: {part: sn5600, axes: []}}, links: ["
    text += "{between: [near, leaf], rate: 400Gb/s, length: 1m},"
    text += "{between: [far, leaf], rate: 400Gb/s, length: 9m}]}"
    bill = bom(loads(text))
    (port,) = (p for p in bill.ports if p.group == "leaf")
    assert port.n_used == 63
    assert {p.medium: p.n_cages for p in bill.cages if p.group == "leaf"} == {
        "dac_passive": 32,
        "opt_800_mm": 32,
    }
    fuller = bom(loads(text.replace("63", "64").replace("j: 64", "j: 63")))
    assert not [n for n in fuller.notes if "cages" in n and "need" in n]
    tight = bom(loads(text.replace("i: 63", "i: 65").replace("j: 63", "j: 63")))
    assert "leaf: different media need 65 cages of a device that has 64" in tight.notes


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ("", "nic-leaf: no length is known for 8 cables, so their medium is not known"),
        (", length: 600m", "nic-leaf: nothing reaches 600 m for 8 cables, so their medium is not known"),
        (", length: 60m, medium: opt_400_mm", "nic-leaf: up to 60 m, but multimode surely reaches only 50 m"),
        (", length: 4m, medium: aec", "nic-leaf: up to 4 m, but aec surely reaches only 3 m"),
    ],
)
def test_what_cannot_be_is_said(more, match):
    bill = bom(rail("cx7", "sn5400", more))
    assert match in bill.notes
    assert bom(rail("cx7", "sn5400", ", length: 1m")).notes[0].startswith("Racks are not known")
    if "not known" in match:
        assert [(one.name, one.where) for one in bill.power_unknown][-1] == ("unknown medium", "nic-leaf")
        assert "unknown medium" in bill.to_markdown()


def test_named_copper_without_an_assembly_is_said():
    bill = bom(rail("cx8", "sn5610", ", medium: dac_passive, length: 2m"))
    assert "no dac_passive joins cages of 2 and 2 cables" in bill.notes[0]


SHARED = """{fabric: shared, axes: {i: %d}, devices: {gpu: {part: rubin_vr200, axes: [i], endpoint: true},
  leaf: {kind: switch, axes: []}},
  links: [{between: [gpu, leaf], link: nvlink6, rate: %d Gb/s, count: %d}]}"""


def test_ports_that_cables_share_are_those_of_exact_arithmetic():
    # 11 cables of a fifth of a port at each of 25 GPUs take 55 ports, and 55.00000000000001 in floats.
    rng = random.Random(6)
    drawn = [(rng.randint(1, 180), rng.choice((5, 10, 40)), 5 * rng.randint(1, 40)) for _ in range(40)]
    drawn += [(rng.randint(1, 180), rng.choice((5, 10, 40)), rng.randint(1, 200)) for _ in range(20)]
    n_past_whole = 0
    for n_cables, per_port, n in [(11, 5, 25), *drawn]:
        bill = bom(loads(SHARED % (n, 400 // per_port, n_cables)))
        (port,) = (port for port in bill.ports if port.port_class == "nvlink6")
        exact = Fraction(n_cables * n, per_port)
        assert port.n_used == math.ceil(exact), (n_cables, per_port, n)
        n_past_whole += exact.denominator == 1 and n_cables / per_port * n > exact
    assert n_past_whole > 1


# --- forms of print ----------------------------------------------------------------------------------


@pytest.mark.some(8)
@pytest.mark.parametrize(
    "prices",
    [pytest.param(None, id="plain", marks=pytest.mark.slow), pytest.param(indicative_prices(), id="priced")],
)
@pytest.mark.parametrize("name", FILES)
def test_all_forms_hold_every_item(name, prices):
    bill = bom(read(name), prices=prices, spares=1)
    rows = list(csv.DictReader(io.StringIO(bill.to_csv())))
    assert [int(row["n"]) for row in rows] == [one.n for one in bill.items]
    assert [row["cost_low_usd"] == "" for row in rows] == [one.cost_usd is None for one in bill.items]
    again = json.loads(json.dumps(bill.to_dict()))
    assert again == bill.to_dict()
    assert [row["n_cables"] for row in again["cables"]] == [run.n_cables for run in bill.cables]
    assert [row["cost_usd"] for row in again["items"]] == [
        one.cost_usd and list(one.cost_usd) for one in bill.items
    ]
    assert [port["n_free"] for port in again["ports"]] == [port.n_free for port in bill.ports]
    for table in re.findall(r"(?:^\|.*\n)+", bill.to_markdown(), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    for one in bill.items:
        assert f"{one.n:,}" in str(bill)
        assert f"| {one.kind} | {escape(one.name)}" in bill.to_markdown()


def test_import_is_light():
    code = "import sys, fabric.sizing.bom; print(*sorted({'scipy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "\n"


# --- the data beside the catalogue -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("acc,assembly", "acb,assembly", "acb: unknown medium 'acb'"),
        ("acc,assembly", "acc,cable", "acc: unknown form 'cable'"),
        ("acc,assembly,,,2", "acc,assembly,copper,,2", "acc: transceivers have a family"),
        (
            "opt_400_mm,transceiver,multimode",
            "opt_400_mm,transceiver,",
            "opt_400_mm: transceivers have a family",
        ),
        ("aec,assembly", "acc,assembly", "acc: acc stands twice"),
        ("nv-acc,published", "nv-acc,sure", "acc: unknown confidence 'sure'"),
        ("cpo,built-in,single-mode-200g,,5,nv-cpo-hc25,reported,", "#", "cells"),
    ],
)
def test_fittings_that_are_refused(old, new, match, tmp_path):
    text = DATA.joinpath("fittings.csv").read_text()
    assert text.count(old) == 1
    (tmp_path / "fittings.csv").write_text(text.replace(old, new))
    with pytest.raises(PartError, match=match):
        load_fittings(tmp_path)


def test_every_medium_has_a_fitting(tmp_path):
    shutil.copy(str(DATA.joinpath("fittings.csv")), tmp_path)
    assert load_fittings(tmp_path) == fittings()
    file = tmp_path / "fittings.csv"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("fibre")))
    with pytest.raises(PartError, match="no row for fibre, of the media"):
        load_fittings(tmp_path)


def test_floor_of_a_bill_is_the_one_given():
    plan = FloorPlan(racks_per_row=4)
    bill = bom(of("gb300-nvl72-1152"), floor=plan)
    assert bill.floor == plan
    assert any("4 racks a row" in note for note in bill.notes)


def test_a_chassis_stands_where_its_axis_numbers_it():
    text = "{fabric: a, islands: 4, include: {fabric: hgx-h100, over: {node: 4}}}"
    two = "{fabric: b, islands: 4, include: [{fabric: hgx-h100, over: {node: 2}, as: old}, "
    two += "{fabric: hgx-h100, over: {box: 2}, as: new}]}"
    for file, where in (
        (text, {"node"}),
        ("{fabric: c, include: gb200-nvl72}", {"alone"}),
        (two, {"old", "new"}),
    ):
        assert {item.where for item in bom(loads(file)).items if item.kind == "chassis"} == where
