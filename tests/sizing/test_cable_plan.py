"""The cable plan: every cable of the bill once, ports used once, names of the site."""

import re
from collections import Counter, defaultdict

import pytest

from fabric.errors import LimitError, QuestionError, TopologyError
from fabric.graph import expand, load, loads
from fabric.sizing.bom import bom
from fabric.sizing.cable_plan import CablePlan
from tests.hgx_cluster import hgx_cluster

HGX = hgx_cluster(names="")
TORUS = """\
fabric: torus
axes: {x: 3, y: 2}
devices: {chip: {kind: gpu, axes: [x, y], transit: all}}
links:
  - {between: [chip, chip], ring: x, rate: 100Gb/s, name: x}
  - {between: [chip, chip], line: y, rate: 100Gb/s, name: y, count: 2}
"""
NAMES = """\
names: {leaf: "dc1-s{su}-l{slot+1:02}", spine: "dc1-sp{spine}", node: "gpu{su}-{node}"}
ports: {leaf: "swp{n}s{lane}", nic: "mlx5_{slot}"}
"""
FILES = [
    "topologies/gb300-nvl72-1152.fabric.yaml",
    "topologies/superpod-h100-4su.fabric.yaml",
    "topologies/measured/h100-12-node.fabric.yaml",
]


def listed(text):
    return list(CablePlan(loads(text).blueprint).cables())


@pytest.mark.some(1)
@pytest.mark.parametrize("file", FILES)
def test_sums_are_those_of_the_bill_and_of_every_cable(file):
    fabric = load(file)
    plan = CablePlan(fabric.blueprint)
    cables = list(plan.cables())
    bill = Counter()
    for run in bom(fabric).cables:
        if not run.is_inside:
            bill[run.rule, run.medium, run.reach_m] += run.n_cables
    assert Counter((c.rule, c.medium, c.length_m) for c in cables) == bill
    e = expand(fabric)
    rules = {rule.name for rule in plan.rules}
    ends = Counter()
    for t, h, r, n in zip(e.tail.tolist(), e.head.tolist(), e.rule.tolist(), e.count.tolist(), strict=True):
        if e.rules[r].name in rules:
            ends[e.rules[r].name, e.names[t], e.names[h]] += n
    assert Counter((c.rule, c.a.device, c.z.device) for c in cables) == ends


def test_a_length_of_the_file_is_that_of_its_cables_and_of_no_others():
    # Racks are known: 3 m is what the file says, and what it does not say is measured on the floor.
    without = {cable.label: cable for cable in listed(HGX)}
    cables = listed(HGX.replace("rate: 400Gb/s}", "rate: 400Gb/s, length: 3m}"))
    assert {c.length_m for c in cables if c.rule == "nic-leaf"} == {3.0}
    for cable in cables:
        if cable.rule != "nic-leaf":
            assert cable.length_m == without[cable.label].length_m > 0
    # A torus of chips in no box stands in no rack: only cables that the file gives a length have one.
    text = TORUS.replace("rate: 100Gb/s, name: x", "rate: 100Gb/s, name: x, length: 2m")
    assert {(c.rule, c.length_m) for c in listed(text)} == {("x", 2.0), ("y", None)}


@pytest.mark.parametrize("text", [HGX, HGX + NAMES, TORUS], ids=["hgx", "named", "torus"])
def test_no_port_is_used_twice(text):
    ends = [end for cable in listed(text) for end in (cable.a, cable.z)]
    assert len({(end.node, end.port) for end in ends}) == len(ends)
    assert len({(end.device, end.port) for end in ends}) == len(ends)


@pytest.mark.parametrize("file", FILES)
def test_ports_are_within_those_of_the_part(file):
    fabric = load(file)
    used = defaultdict(set)
    for cable in CablePlan(fabric.blueprint).cables():
        for end in (cable.a, cable.z):
            if "swp" in end.port:
                used[end.device].add(int(end.port.removeprefix("swp").partition("s")[0]))
    groups = fabric.blueprint.groups
    for device, ports in used.items():
        part = groups[device.rpartition("/")[2].rstrip("0123456789")].part
        assert max(ports) == len(ports)
        assert max(ports) <= max(port.n_ports for port in part.ports)


def test_by_hand():
    first, second, *_ = listed(HGX)
    assert first.label == "su0-node0:nic0p1 - su0-leaf0:swp1s0"
    assert (first.a.rack, first.a.device, first.rate_gbps) == ("rack0", "su0/node0/nic0", 400)
    assert second.a.port == "nic1p1"
    # Two of 400 Gb/s share a port of 800, and uplinks start at a new one: four nodes take two ports.
    leaf = [cable for cable in listed(HGX) if cable.z.node == "su1-leaf7"]
    assert [cable.z.port for cable in leaf] == ["swp1s0", "swp1s1", "swp2s0", "swp2s1"]
    up = [cable for cable in listed(HGX) if cable.a.node == "su1-leaf7"]
    assert [cable.a.port for cable in up] == [f"swp{n}" for n in range(3, 11)]
    assert [cable.z.node for cable in up] == [f"spine{n}" for n in (0, 0, 1, 1, 2, 2, 3, 3)]


def test_names_of_the_site():
    first = listed(HGX + NAMES)[0]
    assert first.label == "gpu0-0:mlx5_0 - dc1-s0-l01:swp1s0"
    assert first.a.device == "su0/node0/nic0"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("mlx5_{slot}", "mlx5", "ports of nic: 'mlx5' is the same for several; add {slot}"),
        ("swp{n}s{lane}", "swp{n}", "ports of leaf: 'swp{n}' is the same for several; add {lane}"),
        ("gpu{su}-{node}", "gpu{node}", "names of node: 'gpu{node}' is no name of servers; add {su}"),
        ("swp{n}s{lane}", "swp_s{lane}", "ports of leaf: 'swp_s{lane}' is the same for several; add {n}"),
    ],
)
def test_ports_that_cannot_be_told_apart_are_refused(old, new, fault):
    with pytest.raises(QuestionError, match=f"^{re.escape(fault)}$"):
        listed(HGX + NAMES.replace(old, new))


BROKEN = [
    ("l{slot+1:02}", "l{slo+1:02}", "names.leaf: no field 'slo' here; did you mean slot?"),
    ("-l{slot+1:02}", "-l", "names of leaf are not told apart along slot"),
    ("dc1-sp{spine}", "dc1-s{spine}-l1", "names of spine and of leaf may be the same"),
    ("s{su}-l{slot+1:02}", "s{su}{slot}", "{slot} stands right after a number"),
    ('leaf: "dc1', 'leef: "dc1', "no group or axis 'leef'; did you mean leaf?"),
    ("swp{n}", "swp{m}", "no field 'm' here; "),
    ("dc1-sp{spine}", "dc1<{spine}>", "expected letters, digits"),
    ("dc1-sp{spine}", "x" * 130, "a pattern has at most"),
]


@pytest.mark.parametrize(("old", "new", "fault"), BROKEN)
def test_broken_patterns_are_told_at_their_place(old, new, fault):
    text = HGX + NAMES
    assert old in text
    with pytest.raises(TopologyError, match=r"hgx.fabric.yaml:1[01]:\d+: (names|ports)\.") as caught:
        loads(text.replace(old, new, 1), path="hgx.fabric.yaml")
    assert fault in str(caught.value)


def test_absent_devices_have_no_cables():
    less = listed(HGX + "absent: [su1/node3/*]\n")
    assert len(less) == len(listed(HGX)) - 8
    assert not any(cable.a.device.startswith("su1/node3") for cable in less)


def test_a_torus_takes_both_ends_of_a_group():
    cables = listed(TORUS)
    assert len(cables) == 6 + 6
    ports = Counter(end.node for cable in cables for end in (cable.a, cable.z))
    assert set(ports.values()) == {4}


def test_a_limit_is_named():
    with pytest.raises(LimitError, match="more than 10 cables"):
        list(CablePlan(loads(HGX).blueprint, limit=10).cables())


def test_domains_are_boxes_or_racks():
    boxes = CablePlan(loads(HGX).blueprint).domains()
    assert boxes["su1-node3"] == "su1-node3"
    racks = CablePlan(load(FILES[0]).blueprint).domains()
    assert racks["rack3-tray17"] == "rack3"
    assert len(racks) == 288
