"""Rack units of a cable plan: as racks are drawn, no two things at one, and none that nobody knows."""

from collections import defaultdict

import pytest

from fabric.graph import load, loads
from fabric.reporting.racks import rack_rows
from fabric.sizing.bom import bom
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.floor import FloorPlan
from fabric.sizing.heights import all_heights

SERVERS = """
fabric: servers
include: {fabric: dgx-h100, over: {node: 11}}
axes: {spine: 4}
devices: {leaf: {part: qm9700, axes: [slot]}, spine: {part: qm9700, axes: [spine]}}
links:
  - {between: [nic, leaf], rate: 400Gb/s}
  - {between: [leaf, spine], rate: 400Gb/s, count: 2}
"""


def ends_of(fabric, floor=None):
    """Return where every node of a plan stands: rack and units, each seen once."""
    units = defaultdict(set)
    for cable in CablePlan(fabric.blueprint, floor).cables():
        for end in (cable.a, cable.z):
            units[end.node].add((end.rack, end.unit))
    assert all(len(at) == 1 for at in units.values())
    return {node: at.pop() for node, at in units.items()}


@pytest.mark.some(2)
@pytest.mark.parametrize("servers_per_rack", [1, 3, 4])
@pytest.mark.parametrize("switches_per_rack", [1, 5, 16])
def test_no_two_things_stand_at_one_unit(servers_per_rack, switches_per_rack):
    floor = FloorPlan(servers_per_rack=servers_per_rack, switches_per_rack=switches_per_rack)
    fabric = loads(SERVERS)
    taken = set()
    for node, (rack, unit) in ends_of(fabric, floor).items():
        height = all_heights()["qm9700" if rack.startswith("net") else "dgx-h100"].height_u
        own = {(rack, unit + i) for i in range(height)}
        assert unit >= 1, node
        assert not own & taken, node
        taken |= own
    # From the top of what stands in a full rack down to its first unit.
    full = [row for row in rack_rows(fabric, bom(fabric, floor=floor)) if row.name == "rack"]
    assert max(u for rack, u in taken if rack.startswith("rack")) == full[0].most_u
    assert min(u for rack, u in taken if rack == "rack0") == 1


def test_trays_stand_in_the_rack_as_it_is_drawn():
    fabric = load("topologies/gb300-nvl72-1152.fabric.yaml")
    at = ends_of(fabric)
    # 18 trays of 1 U from the top of a rack of 48 U, then the switch trays, which no cable leaves.
    assert [at[f"rack3-tray{i}"] for i in (0, 1, 17)] == [("rack3", 48), ("rack3", 47), ("rack3", 31)]
    row = next(row for row in rack_rows(fabric, bom(fabric)) if row.name == "network rack")
    leaf = next(unit for rack, unit in at.values() if rack == "net0")
    assert leaf + row.shelves[0].each_u - 1 == row.most_u


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("part: qm9700, axes: [spine]", "kind: switch, axes: [spine]"),
        ("part: qm9700, axes: [spine]", "part: q3400, axes: [spine]"),
    ],
)
def test_a_unit_that_is_not_known_is_not_made_up(old, new):
    # Of switches of several heights in a rack, or of unknown ones, nobody said which stands where.
    at = ends_of(loads(SERVERS.replace(old, new)))
    assert {unit for rack, unit in at.values() if rack.startswith("net")} == {None}
    assert all(unit for rack, unit in at.values() if rack.startswith("rack"))


def test_a_switch_that_stands_with_servers_has_no_unit():
    text = SERVERS.replace("over: {node: 11}", "over: {rack: 3, node: 4}")
    text = text.replace("leaf: {part: qm9700, axes: [slot]}", "leaf: {part: qm9700, axes: [rack, slot]}")
    at = ends_of(loads(text))
    assert at["rack1-leaf2"] == ("rack1", None)
    assert at["rack1-node3"] == ("rack1", 1)


def test_an_absent_server_leaves_its_units_free():
    at = ends_of(loads(SERVERS + "absent: [node1/*]\n"))
    assert "node1" not in at
    assert [at[f"node{i}"] for i in (0, 2, 3, 4)] == [
        ("rack0", 25),
        ("rack0", 9),
        ("rack0", 1),
        ("rack1", 25),
    ]


def test_where_racks_are_not_known_there_are_no_units():
    text = (
        "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}, "
    )
    at = ends_of(loads(text + "links: [{between: [gpu, leaf], rate: 1Gb/s}]}"))
    assert set(at.values()) == {("", None)}
