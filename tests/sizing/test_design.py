"""Laws of every design: its file says what it counts, stripes are even, nothing is over its ports."""

import itertools
import re
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric import throughput
from fabric.blueprint import census
from fabric.blueprint.ports import cables_by_port, ports_needed
from fabric.errors import ArgumentError
from fabric.graph import expand, loads
from fabric.sizing import PRESETS, DesignError, design, find_preset, growth
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.rack import cut_rails, find_rack
from fabric.sizing.request import resolve
from fabric.sizing.stripes import stripe
from fabric.sizing.switch import find_switch, ports_taken
from fabric.sizing.tiers import survey

RACKS = (
    "hgx-h100",
    "hgx-b300",
    "gb200-nvl72",
    "gb300-nvl72",
    "vr-nvl72",
    "mi300x",
    "aws-p5",
    "dgx2-v100",
    "gaudi3",
)
SWITCHES = ("sn5600", "sn5610", "sn6600", "sn6800", "qm9700", "q3400", "64x400G", "40x800G", "128x100G")


@st.composite
def asks(draw):
    rack = draw(st.sampled_from(RACKS))
    n = draw(st.integers(1, 40 if rack.endswith("72") else 300)) * find_rack(rack).n_gpus
    ratio = st.sampled_from([1, "2:1", "16:15", 7, 1.5])
    return {
        "gpus": n,
        "rack": rack,
        "leaf": draw(st.sampled_from(SWITCHES)),
        "spine": draw(st.sampled_from((None, *SWITCHES))),
        "layout": draw(st.sampled_from(["rail", "tor", "rail-only"])),
        "planes": draw(st.sampled_from([1, 2, 4, 8])),
        "homes": draw(st.sampled_from([1, 1, 2])),
        "oversubscription": {"leaf": draw(ratio), "spine": draw(ratio)},
        "tiers": draw(st.sampled_from(["auto", "auto", 1, 2, 3])),
        "populated": draw(st.integers(1, n)),
        "reserve": draw(st.sampled_from([{}, {"leaf": 2, "spine": 3}])),
    }


def built(**arguments):
    """Return a design, or None if it cannot be built."""
    try:
        return design(**arguments)
    except DesignError:
        return None


def check_against_file(d):
    """Compare all counts of a design with those of its file, which are counted another way."""
    counted = census(d.blueprint)
    assert {g: counted.present(g) for g in d.switches} == d.switches
    cables = Counter()
    for one in counted.rules:
        if one.rule.net == "scale-out":
            cables[one.rule.left.group] += one.total
    assert cables == {name.split("-")[0]: n for name, n in d.cables.items()}
    (end,) = (g.name for g in d.blueprint.groups.values() if g.is_endpoint)
    assert counted.present(end) == d.populated <= d.gpus
    for tier in d.tiers:
        port = find_switch(tier.part).port
        assert tier.used + tier.free == tier.switches * port.n_ports
        assert tier.free >= tier.stranded >= 0
        ((_, cables),) = cables_by_port(counted, d.blueprint.groups[tier.name]).items()
        used = np.where(counted.absent[tier.name], 0.0, ports_needed(port, cables))
        assert used @ counted.n_devices[tier.name] == tier.used


@settings(max_examples=50)
@given(asks())
def test_counts_are_those_of_the_file(arguments):
    d = built(**arguments)
    if d is not None:
        check_against_file(d)


@pytest.mark.slow
@settings(max_examples=3000)
@given(asks())
def test_counts_are_those_of_the_file_at_length(arguments):
    d = built(**arguments)
    if d is not None:
        check_against_file(d)


@settings(max_examples=30)
@given(asks())
def test_oversubscription_is_that_asked_or_less_by_no_whole_cable(arguments):
    d = built(**arguments)
    if d is None:
        return
    r, sizes = d.request, d.sizes
    split = [
        (sizes.down * r.cables.nic_gbps, sizes.up, r.cables.leaf_gbps, r.leaf_ratio),
        (sizes.spine_down * r.cables.leaf_gbps, sizes.spine_up, r.cables.spine_gbps, r.spine_ratio),
    ]
    for down_gbps, up, rate, ratio in split[: sizes.tiers - 1]:
        assert Fraction(down_gbps) <= ratio * up * Fraction(rate)
        assert Fraction(down_gbps) > ratio * (up - 1) * Fraction(rate)


@settings(max_examples=25)
@given(asks())
def test_a_tier_more_only_when_the_ports_force_it(arguments):
    d = built(**arguments | {"tiers": "auto"})
    if d is not None:
        for fewer in range(1, d.n_tiers):
            assert built(**arguments | {"tiers": fewer}) is None


@pytest.mark.some(16)
@pytest.mark.parametrize(
    ("n", "up", "capacity"), list(itertools.product([1, 5, 24, 64], [1, 6, 18, 32], [4, 36, 64]))
)
def test_stripe_is_the_smallest_that_is_even(n, up, capacity):
    able = [s for s in range(1, up + 1) if up % s == 0 and n * up <= capacity * s]
    assert stripe(n, up, capacity) == (able[0] if able else 0)


@pytest.mark.parametrize("name", SWITCHES)
def test_ports_taken_are_those_that_a_file_is_checked_by(name):
    port = find_switch(name).port
    rates = sorted({rate for _, rate in port.modes})
    for n, m in itertools.product(range(9), range(5)):
        for low, high in itertools.product(rates, rates):
            cables = {low: n, high: m}
            expected = ports_needed(port, {r: np.array([float(k)]) for r, k in cables.items()})
            assert ports_taken(port, cables) == expected[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"gpus": 1152, "rack": "gb300-nvl72", "leaf": "sn5610", "planes": 2},
        {"gpus": 1152, "rack": "gb300-nvl72", "leaf": "sn5610", "planes": 2, "layout": "rail-only"},
        {"gpus": 720, "rack": "gb300-nvl72", "leaf": "sn6800", "planes": 2, "layout": "tor"},
        {"gpus": 1000, "rack": "hgx-h100", "leaf": "qm9700", "populated": 300, "ufm": 4},
        {"gpus": 600, "rack": "hgx-h100", "leaf": "16x400G", "rail_groups": 2},
        {"gpus": 512, "rack": "hgx-h100", "leaf": "sn5600", "homes": 2},
        {"gpus": 48, "rack": "hgx-h100", "leaf": "qm9700"},
        {"gpus": 512, "rack": "hgx-h100", "leaf": "8x800G", "rails": 2},
    ],
)
def test_file_loads_whole_and_stripes_evenly(arguments):
    """Degrees on every device of the expanded graph, and one island that reaches itself."""
    d = design(**arguments)
    fabric = loads(d.text)
    assert fabric.skipped == ()
    e = expand(fabric)
    names = [r.name for r in e.rules]
    for name, up in (("leaf-spine", d.sizes.up), ("spine-core", d.sizes.spine_up)):
        if name in names:
            rows = e.rule == names.index(name)
            degree = np.bincount(e.tail[rows], e.count[rows])
            assert set(degree[degree > 0]) == {up}
            assert len(set(e.count[rows])) == 1


def test_throughput_never_falls_when_oversubscription_is_halved():
    rates = [
        throughput(
            design(
                gpus=1152, rack="gb300-nvl72", leaf="sn5610", planes=2, oversubscription={"leaf": ratio}
            ).fabric
        ).per_endpoint_gbps
        for ratio in (4, 2, 1)
    ]
    assert rates == sorted(rates)
    # Seven of eight blocks are behind the spines, at a quarter of the rate of the NICs.
    assert rates[0] < rates[2] / 2


def test_quotient_of_a_million_gpus_is_small():
    d = design(gpus=1_000_000, rack="gb300-nvl72", leaf="sn6800", planes=2)
    answer = throughput(d.fabric)
    assert answer.status == "optimal"
    # 800 Gb/s of the NICs, and what stays inside the rack besides.
    assert 800 < answer.per_endpoint_gbps < 800 * (1 + 72 / 1e6 * 2)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_they_say(name):
    preset = find_preset(name)
    d = preset.design()
    check_against_file(d)
    assert d.gpus >= d.asked > d.gpus - d.request.rack.n_gpus
    notes = " ".join(d.blueprint.notes)
    assert " ".join(preset.published.split()) in notes
    assert " ".join(preset.assumed.split()) in notes
    assert f"{preset.by}: {preset.published[:40]}" in notes
    drawn = re.findall(r"^#   (\w+)\[(.*?)\] +([\d,]+) ", d.text, re.MULTILINE)
    wanted = [(t, ", ".join(d.blueprint.groups[t].axes), f"{n:,}") for t, n in d.switches.items()]
    assert drawn == wanted[::-1]


def test_presets_meet_what_is_published():
    assert find_preset("aws-million-blackwell").design().built.racks == 13_889
    planes = find_preset("eight-planes").design()
    assert (planes.gpus, planes.n_tiers, planes.switches["leaf"]) == (131_072, 2, 8 * 512)
    assert planes.sizes.down == 256
    assert find_preset("colossus-like").design().n_tiers == 3


def test_accelerators_that_are_their_own_cards_are_cabled_by_the_ports_that_are_free():
    # The Next Platform, 9 April 2024: sixteen boxes of eight Gaudi 3 on three leaves, half of whose
    # 64 ports of 800G lead down.
    built = design(gpus=128, rack="gaudi3", leaf="celestica_ds5000", planes=3)
    (leaves,) = built.tiers
    assert (leaves.switches, leaves.used, leaves.free) == (3, 3 * 32, 3 * 32)
    # 9 of 12 ports of 400G are taken in the tray.
    rack = find_rack("maia100")
    assert (rack.nic, rack.nic_port.n_ports, rack.nic_port.rate_gbps) == ("chip", 3, 400)
    with pytest.raises(DesignError, match="4096 GPUs, NICs: none; expected .* network ports that are free"):
        find_rack("tpu-v4")


def test_rails_are_cut_by_splitting_a_plain_axis(tmp_path):
    (tmp_path / "d.fabric.yaml").write_text(
        "fabric: d\naxes: {slot: 12}\ndevices:\n  gpu: {kind: gpu, axes: [slot]}\n"
        "  nic: {kind: nic, axes: [slot]}\nlinks: [{between: [gpu, nic], rate: 400Gb/s, net: host}]\n"
    )
    rack = find_rack("d.fabric.yaml", tmp_path)
    assert cut_rails(rack, (2, 6, 12)) == (
        {1: (), 2: ("group",), 6: ("group", "part"), 12: ("slot",)},
        {"slot": (("group", 2), ("part", 3), ("r", 2))},
    )


def test_growth_adds_up_and_moves_nothing():
    phases = growth([512, 2048], gpus=4096, rack="hgx-h100", leaf="qm9700")
    whole = design(gpus=4096, rack="hgx-h100", leaf="qm9700")
    assert [p.gpus for p in phases] == [512, 2048, 4096]
    for tier, n in whole.switches.items():
        assert sum(p.added_switches[tier] for p in phases) == n
    for rule, n in whole.cables.items():
        assert sum(p.added_cables[rule] for p in phases) == n
    assert not any(n for p in phases for n in p.moved.values())
    # Sized alone, 512 GPUs have 8 spines of 4 cables a leaf, and 2,048 have 32 of one: 3 of 4 cables move.
    assert phases[1].moved_if_sized_alone["leaf-spine"] == 16 * 8 * 3
    # The third phase is another kind of fabric: everything is laid anew.
    assert phases[2].moved_if_sized_alone["leaf-spine"] == 2048
    assert phases[-1].stranded == {"leaf": 0, "spine": 0, "core": 0}


@pytest.mark.parametrize(
    ("phases", "match"),
    [
        ([512, 512], "phases: got .*; expected rising"),
        ([1024, 512], "phases: got .*; expected rising"),
        ([8192], "populated: got 8192 GPUs; expected at most the 4,096"),
    ],
)
def test_growth_refuses_what_does_not_rise(phases, match):
    with pytest.raises(DesignError, match=match):
        growth(phases, gpus=4096, rack="hgx-h100", leaf="qm9700")


def test_search_leaves_out_nothing_that_is_better():
    """Against every block and every pod, one by one."""
    ask = {"gpus": 3000, "rack": "hgx-h100", "leaf": "24x400G", "tiers": 3}
    best = design(**ask)
    others = [
        survey(resolve({**ask, "block": block, "pod": pod}), 1, 3)
        for block in range(1, 13)
        for pod in range(1, 13)
    ]
    assert min(o[0].n_switches for o in others if o) == best.sizes.n_switches


def test_explanation_tells_rule_numbers_and_what_was_rejected():
    text = str(design(gpus=760, rack="hgx-h100", leaf="qm9700", ufm=4))
    assert "not: 12: ports enough for 768 uplinks, but 32 do not divide by 12" in text
    assert "not: 1 tier: 768 cables of NICs on one leaf; qm9700 takes 64" in text
    assert "not: 33 nodes: 66 ports of a leaf, qm9700 has 64" in text
    text = str(design(gpus=4096, rack="hgx-h100", leaf="qm9700"))
    assert "not: 2 tiers: 128 leaves want a cable each to every spine; qm9700 takes 64" in text
    assert "not: 2 groups of rails on 2 tiers: 192 switches" in text
    text = str(design(gpus=1000, rack="gb300-nvl72", leaf="sn5610", planes=2, populated=500))
    assert "asked for 1000 GPUs, built 14 racks x 72 = 1,008, of which 504 are installed" in text
    assert "wait for what is absent" in text


@pytest.mark.parametrize(
    "ask",
    [
        {"gpus": 128, "rack": "hgx-h100", "leaf": "16x400G"},
        {"gpus": 160, "rack": "hgx-h100", "leaf": "sn5600"},
        {"gpus": 96, "rack": "hgx-h100", "leaf": "qm9700", "oversubscription": {"leaf": "2:1"}},
    ],
    ids=["full", "shared", "narrow"],
)
def test_the_ports_that_are_told_are_those_that_cables_take(ask):
    made = design(**ask)
    used = defaultdict(set)
    for cable in CablePlan(made.blueprint).cables():
        for end in (cable.a, cable.z):
            # Two cables of 400 Gb/s that share a port of 800 are its lanes, swp1s0 and swp1s1.
            used[end.device].add(re.sub(r"s\d+$", "", end.port))
    told = {decision.what: decision.numbers for decision in made.explain}
    for name, group in (("leaf", "leaf"), ("spines", "spine")):
        taken, has = re.search(r"; (\d+) of (\d+) ports$", told[name]).groups()
        switches = [ports for device, ports in used.items() if device.rpartition("/")[2].startswith(group)]
        assert int(taken) == max(map(len, switches)) <= int(has)


GB300 = {"gpus": 1152, "rack": "gb300-nvl72", "leaf": "sn5610"}
B300 = {"gpus": 4096, "rack": "hgx-b300", "leaf": "sn5600"}
H100 = {"gpus": 4096, "rack": "hgx-h100", "leaf": "qm9700"}


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            GB300 | {"leaf": "32x400G", "planes": 2},
            r"radix: .*18 uplinks needs 36 ports; 32x400G has 32; .*oversubscription={'leaf': '4:3'}",
        ),
        (
            GB300 | {"planes": 4},
            r"port speeds: a NIC of cx8 has 200 Gb/s .* each of 4 planes.*; nearest that work: planes=1; "
            r"planes=2; planes=8$",
        ),
        (GB300 | {"planes": 3, "homes": 2}, r"for each of 6 leaves.*nearest that work: planes=1; planes=4$"),
        (GB300 | {"gpus": 10**6, "planes": 2}, r"more pods than the 128 that sn5610 joins; .*gpus=442368"),
        (GB300 | {"layout": "tor", "planes": 2}, r"nearest that work: .*layout='rail'"),
        (GB300 | {"leaf": "sn561"}, r"did you mean .*or give a generic switch"),
        (GB300 | {"leaf": "cx8"}, r"cx8 is no switch with network ports"),
        (
            H100 | {"tiers": 2},
            r"128 leaves want a cable each to every spine; .*tiers=3; .*rail_groups=2; .*gpus=2048",
        ),
        (B300 | {"tiers": 1}, r"8,192 cables of NICs on one leaf; sn5600 takes 128"),
        (
            H100 | {"spine": "sn5600"},
            r"^link layers differ: qm9700 speaks InfiniBand, sn5600 speaks Ethernet; take switches",
        ),
        (B300 | {"core": "q3400"}, r"^link layers differ: sn5600 speaks Ethernet, q3400 speaks InfiniBand"),
        (
            H100 | {"rack": "aws-p5"},
            r"^link layers differ: efa_v2 speaks EFA and Ethernet, qm9700 speaks Inf",
        ),
        (
            B300 | {"breakout": "800G"},
            r"port speeds: .* faster than cx8 and sn5600 can be in a common .*, 400 Gb/s",
        ),
        (B300 | {"pod": 99}, r"a pod of 99 su has no room on sn5600"),
        (B300 | {"block": 99}, r"radix: 99 nodes .* nearest that work: .*block=None"),
        (B300 | {"spine": "sn5400", "breakout": {"leaf": "1x800G"}}, r"800 Gb/s .* fits no port of sn5400"),
        (B300 | {"breakout": {"core": "400G"}}, r"breakout: got core; expected one of nic, leaf, spine"),
        (B300 | {"ufm": 9}, r"ufm: got 9 cables; expected 2 to 8"),
        (B300 | {"ufm": -1}, r"ufm: got -1"),
        (B300 | {"gpus": 56, "ufm": 4, "block": 1}, r"ufm: takes the place of a rack"),
        (B300 | {"rails": 3}, r"rails: got 3; .* 1, 2, 4, 8"),
        (B300 | {"rails": 2, "layout": "tor"}, r"rails: got 2 with layout tor"),
        (B300 | {"rail_groups": 2, "layout": "rail-only"}, r"rail_groups: every rail is a group"),
        (B300 | {"rail_groups": 3}, r"rail_groups: got 3; 8 rails of hgx-b300 make 1, 2, 4, 8"),
        (B300 | {"oversubscription": {"leaf": 0.5}}, r"oversubscription: leaf: got 0.5; expected 1 or more"),
        (
            B300 | {"oversubscription": {"core": 2}},
            r"oversubscription: got core; expected one of leaf, spine",
        ),
        (B300 | {"reserve": {"leaf": 64}}, r"reserve: leaf: got 64 of the 64 ports"),
        (B300 | {"populated": 5000}, r"populated: got 5000 GPUs; expected at most the 4,096"),
        (B300 | {"pod": 2, "tiers": 2}, r"pod: pods are a matter of 3 tiers"),
        (B300 | {"tiers": 4}, r"tiers: got 4; expected one of auto, 1, 2, 3"),
        (B300 | {"layout": "mesh"}, r"design: layout: got 'mesh'; expected rail, tor or rail-only"),
        (B300 | {"planes": 0}, r"planes: got 0; expected at least 1"),
        (B300 | {"block": 0}, r"block: got 0; expected at least 1"),
        (B300 | {"rack": "pcie-gpu-box"}, r"its NICs have no rate; give one, such as breakout='400G'"),
        (
            B300 | {"rack": "hgx"},
            r"^rack: no template 'hgx'; 'hgx' is in hgx-a100, .*hgx-rubin-nvl8; a file of",
        ),
        (B300 | {"rack": "hxg-b300"}, r"^rack: no template 'hxg-b300'; did you mean hgx-b300"),
        (B300 | {"rack": "moon"}, r"^rack: no template 'moon'; templates are aws-inf1, .* more; a file"),
    ],
)
def test_what_cannot_be_built_is_one_error(arguments, match):
    with pytest.raises((DesignError, ArgumentError), match=match) as error:
        design(**arguments)
    assert "\n" not in str(error.value)


def test_nearest_that_work_do_work():
    assert design(**H100 | {"tiers": 2, "rail_groups": 2}).n_tiers == 2
    assert (
        design(**GB300 | {"leaf": "32x400G", "planes": 2, "oversubscription": {"leaf": "4:3"}}).gpus == 1152
    )
    assert design(**GB300 | {"gpus": 442_368, "planes": 2}).gpus == 442_368
    with pytest.raises(DesignError, match="more pods"):
        design(**GB300 | {"gpus": 442_369, "planes": 2})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("  gpu: {kind: gpu, axes: [slot]}\n", "NICs: none; expected GPUs and one group of NICs"),
        (
            "  gpu: {kind: gpu, axes: [slot]}\n  leaf: {kind: nic, axes: [slot]}\n",
            "has leaf of its own; a design needs these names",
        ),
    ],
)
def test_rack_that_cannot_be_cabled(text, match, tmp_path):
    (tmp_path / "r.fabric.yaml").write_text(
        f"fabric: r\naxes: {{slot: 2}}\nislands: 2\ndevices:\n{text}"
        + ("links: [{between: [gpu, leaf], rate: 400Gb/s, net: host}]\n" if "nic" in text else "")
    )
    with pytest.raises(DesignError, match=match):
        design(gpus=8, rack="./r.fabric.yaml", base=tmp_path, leaf="64x400G", breakout="400G")


@pytest.mark.parametrize("name", PRESETS)
def test_deployments_are_as_designed(name):
    folder = Path(__file__).parents[2] / "topologies" / "deployments"
    assert (folder / f"{name}.fabric.yaml").read_text() == find_preset(name).design().text
    assert {p.name for p in folder.iterdir()} == {f"{n}.fabric.yaml" for n in PRESETS}
