"""Racks and cable lengths, against device-by-device arithmetic on the expanded form."""

import itertools
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fabric.errors import QuestionError
from fabric.graph import expand, load, loads
from fabric.sizing.bom import bom
from fabric.sizing.cabling import REACHES_M
from fabric.sizing.floor import FloorPlan, count_racks, enclosures, lay_out

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
PLANS = {
    "default": FloorPlan(),
    "small": FloorPlan(racks_per_row=3, rows_per_column=2, servers_per_rack=2, switches_per_rack=3),
    "end": FloorPlan(racks_per_row=4, network_racks="end", rack_pitch_m=1.25, row_pitch_m=2, in_rack_m=3),
    "flat": FloorPlan(rack_pitch_m=0, row_pitch_m=0, column_gap_m=0),
}
TORUS = """
fabric: torus-of-racks
axes: {rack: 6, slot: 2}
devices:
  gpu: {kind: gpu, axes: [rack, slot], transit: relay}
  chip: {part: nvswitch3, axes: [rack]}
  leaf: {kind: switch, axes: [rack]}
links:
  - {between: [gpu, chip], link: nvlink4}
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, leaf], ring: rack, rate: 400Gb/s}
"""
GENERIC = """
fabric: pod
axes: {pod: 2, rack: 3, slot: 4, spine: 2}
devices:
  gpu: {kind: gpu, axes: [pod, rack, slot]}
  leaf: {kind: switch, axes: [pod, rack]}
  spine: {kind: switch, axes: [pod, spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 800Gb/s}
  - {between: [spine, spine], mesh: pod, rate: 800Gb/s}
absent: [pod1/rack2/*]
"""
SERVERS_IN_RACKS = """
fabric: llama
include: {fabric: hgx-h100, over: {rack: 5, node: 2}}
axes: {spine: 2}
devices: {tor: {part: sn5600, axes: [rack]}, spine: {part: sn5600, axes: [spine]}}
links:
  - {between: [nic, tor], rate: 400Gb/s}
  - {between: [tor, spine], rate: 400Gb/s}
"""
# The axes that number enclosures, outermost first, and how many of them number racks; written by hand.
CASES = {
    "gb300-nvl72-1152": [(("block", "r"), 2)],
    "superpod-h100-4su": [(("su", "node"), None)],
    "measured/h100-12-node": [(("node",), None)],
    "measured/p5en-16-node": [(("node",), None)],
    TORUS: [(("rack",), 1)],
    GENERIC: [(("pod", "rack"), 2)],
    SERVERS_IN_RACKS: [(("rack", "node"), 1)],
}


@cache
def fabric_of(case):
    return loads(case) if "\n" in case else load(TOPOLOGIES / f"{case}.fabric.yaml")


@cache
def naive(case, plan):
    """Place every device by the words of the floor plan; return x, y, rack (-1: network) of each device."""
    e, kinds = expand(fabric_of(case)), CASES[case]
    racks, members, first = [], [], 0
    for axes, n_rack_axes in kinds:
        sizes = [int(e.coordinates[a].max()) + 1 for a in axes]
        for number, index in enumerate(itertools.product(*map(range, sizes))):
            in_rack = plan.servers_per_rack if n_rack_axes is None else int(np.prod(sizes[n_rack_axes:]))
            racks.append(first + number // in_rack)
            members.append(dict(zip(axes, index, strict=True)))
        first = racks[-1] + 1
    places = {}
    found = []
    numbered = {a: e.coordinates[a] for axes, _ in kinds for a in axes}
    for v in range(e.n_devices):
        own = tuple((a, int(c[v])) for a, c in numbered.items() if c[v] >= 0)
        if own not in places:
            places[own] = place(dict(own), racks, members, plan)
        found.append(places[own])
    return found


def place(own, racks, members, plan):
    pairs = zip(racks, members, strict=True)
    served = [r for r, m in pairs if all(own.get(a, i) == i for a, i in m.items())]
    at = []
    for rack in served:
        row, along = divmod(rack, plan.racks_per_row)
        column, row = divmod(row, plan.rows_per_column)
        start = column * (plan.racks_per_row * plan.rack_pitch_m + plan.column_gap_m)
        at.append((start + along * plan.rack_pitch_m, row * plan.row_pitch_m, start))
    x, y = np.mean([p[0] for p in at]), np.mean([p[1] for p in at])
    is_network = len(set(served)) > 1
    if is_network and plan.network_racks == "end":
        x = max(p[2] for p in at) + plan.racks_per_row * plan.rack_pitch_m
    return x, y, -1 if is_network else served[0]


def rounded_up(length_m):
    return next(r for r in REACHES_M if r >= length_m - 1e-9)


RACKS = """{fabric: a, axes: {rack: 16}, links: [{between: [gpu, leaf], rate: 400Gb/s}],
  devices: {gpu: {kind: gpu, axes: [rack]}, leaf: {kind: switch, axes: []}}}"""


@pytest.mark.parametrize(("pitch", "rise"), [(4, 5), (8, 5), (8, 25), (12, 16), (16, 15), (24, 32)])
def test_lengths_that_are_a_reach_need_no_longer_one(pitch, rise):
    # In tenths of a metre; in floating point one length of each plan is a last bit above a reach.
    fabric = loads(RACKS)
    expected = Counter()
    for rack in range(16):
        length = Fraction(2 * rise, 10) + abs(rack - Fraction(15, 2)) * Fraction(pitch, 10)
        expected[min(reach for reach in REACHES_M if reach >= length)] += 1
    plan = FloorPlan(rack_pitch_m=pitch / 10, rise_m=rise / 10)
    assert {run.reach_m: run.n_cables for run in bom(fabric, floor=plan).cables} == expected


@pytest.mark.some(2)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.strip().split("\n")[0])
def test_lengths_are_those_of_every_cable(case, plan):
    fabric = fabric_of(case)
    e = expand(fabric)
    at = naive(case, plan)
    expected = Counter()
    for tail, head, rule, count in zip(e.tail, e.head, e.rule, e.count, strict=True):
        (x, y, rack), (u, v, other) = at[tail], at[head]
        length = 2 * plan.rise_m + abs(x - u) + abs(y - v)
        length = plan.in_rack_m if rack == other >= 0 else length
        expected[e.rules[rule].name, rounded_up(length)] += int(count)
    bill = bom(fabric, floor=plan)
    outside = {run.rule for run in bill.cables if not run.is_inside}
    got = Counter()
    for run in bill.cables:
        if not run.is_inside:
            got[run.rule, run.reach_m] += run.n_cables
    assert got == {key: n for key, n in expected.items() if key[0] in outside}
    assert outside


@pytest.mark.some(10)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.strip().split("\n")[0])
def test_racks_are_those_that_hold_something(case, plan):
    fabric = fabric_of(case)
    e = expand(fabric)
    at = naive(case, plan)
    axes = {a for kind, _ in CASES[case] for a in kind}
    holders = {g for g in range(len(e.groups)) if e.groups[g].is_endpoint}
    racks = {at[v][2] for v in range(e.n_devices) if e.group[v] in holders}
    network = Counter()
    for v in range(e.n_devices):
        if at[v][2] < 0:
            network[
                tuple((a, int(e.coordinates[a][v])) for a in sorted(axes) if e.coordinates[a][v] >= 0)
            ] += 1
    n_network = sum(-(-n // plan.switches_per_rack) for n in network.values())
    assert count_racks(lay_out(fabric.blueprint, plan)) == (len(racks), n_network)


def test_enclosures_are_what_boards_and_backplanes_hold():
    for case, kinds in CASES.items():
        assert [(one.axes, one.n_rack_axes) for one in enclosures(fabric_of(case).blueprint)] == kinds
    (mi300x,) = enclosures(load(TOPOLOGIES / "measured/mi300x-8.fabric.yaml").blueprint)
    assert mi300x.axes == ()
    old, new = enclosures(
        loads(
            "{fabric: two, islands: 6, include: [{fabric: hgx-h100, over: {node: 4}, as: old}, "
            "{fabric: gb300-nvl72, over: {rack: 2}, as: new}]}"
        ).blueprint
    )
    assert (old.axes, old.n_rack_axes) == (("node",), None)
    assert (new.axes, new.n_rack_axes) == (("rack",), 1)


def test_kinds_of_enclosures_stand_one_after_another():
    text = """
fabric: two-kinds
include:
  - {fabric: hgx-h100, over: {node: 4}, as: old}
  - {fabric: gb300-nvl72, over: {rack: 2}, as: new}
devices:
  leaf: {part: sn5600, axes: [old.slot]}
  tor: {part: sn5600, axes: [rack]}
  top: {kind: switch, axes: []}
links:
  - {between: [old.nic, leaf], rate: 400Gb/s}
  - {between: [new.nic, tor], rate: 400Gb/s}
  - {between: [leaf, top], rate: 400Gb/s}
  - {between: [tor, top], rate: 400Gb/s}
"""
    plan = FloorPlan(rack_pitch_m=10, rise_m=0)
    runs = [r for r in bom(loads(text), floor=plan).cables if not r.is_inside]
    # four servers in a rack at 0 m, racks at 10 and 20 m; leaves and top serve all six, from 5 m
    assert [(r.rule, r.reach_m, r.n_cables) for r in runs] == [
        ("old.nic-leaf", 5, 32),
        ("new.nic-tor", 2, 144),
        ("leaf-top", 1, 8),
        ("tor-top", 5, 1),
        ("tor-top", 15, 1),
    ]


def test_a_length_in_the_file_goes_before_the_floor():
    text = GENERIC.replace("rate: 800Gb/s}", "rate: 800Gb/s, length: 42m}", 1)
    runs = {r.rule: r.reach_m for r in bom(loads(text)).cables}
    assert runs["leaf-spine"] == 50
    assert runs["gpu-leaf"] == 2


def test_wider_floors_never_shorten_a_cable():
    fabric = load(TOPOLOGIES / "superpod-h100-4su.fabric.yaml")
    sums = []
    for factor in (1, 2, 4):
        plan = FloorPlan(rack_pitch_m=0.6 * factor, row_pitch_m=3 * factor)
        sums.append(sum(r.n_cables * r.reach_m for r in bom(fabric, floor=plan).cables if r.reach_m))
    assert sums == sorted(set(sums))


def test_racks_may_not_be_known():
    text = "{fabric: t, axes: {x: 4}, devices: {gpu: {kind: gpu, axes: [x], transit: all}},"
    text += " links: [{between: [gpu, gpu], ring: x, rate: 400Gb/s}]}"
    layout = lay_out(loads(text).blueprint, FloorPlan())
    assert count_racks(layout) is None
    assert layout.why.startswith("no board or backplane")
    huge = "{fabric: t, include: {fabric: gb300-nvl72, over: {pod: 2000, rack: 1000}}, islands: 2000000}"
    assert "2,000,000 racks or servers are more" in lay_out(loads(huge).blueprint, FloorPlan()).why


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"racks_per_row": 0}, "racks_per_row is 0; expected at least 1"),
        ({"rows_per_column": -1}, "rows_per_column is -1"),
        ({"servers_per_rack": 0}, "servers_per_rack is 0"),
        ({"switches_per_rack": 0}, "switches_per_rack is 0"),
        ({"rack_pitch_m": -0.1}, "rack_pitch_m is -0.1; expected metres"),
        ({"row_pitch_m": float("nan")}, "row_pitch_m is nan"),
        ({"column_gap_m": float("inf")}, "column_gap_m is inf"),
        ({"rise_m": -1}, "rise_m is -1"),
        ({"in_rack_m": -1}, "in_rack_m is -1"),
        ({"network_racks": "roof"}, "network_racks is 'roof'; expected 'middle' or 'end'"),
    ],
)
def test_plans_that_cannot_be_built(change, match):
    with pytest.raises(QuestionError, match=match):
        FloorPlan(**change)
