"""Whole files: those of the manual, the packaged ones, and a fabric of a million GPUs."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fabric.blueprint import census, template_names
from fabric.errors import LimitError, SelectorError
from fabric.graph import Fabric, expand, load, loads, select

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

# A server with eight B300: what the rail fabric below is built on.
HGX = """\
fabric: hgx-b300
axes: {slot: 8, chip: 2}
devices:
  gpu:      {part: b300_sxm, axes: [slot], transit: relay}
  nvswitch: {part: nvlink5_switch, axes: [chip]}
  nic:      {part: cx8, axes: [slot]}
links:
  - {between: [gpu, nvswitch], link: nvlink5, count: 9, each: [18, 72]}
  - {between: [gpu, nic], link: pcie6, each: 1}
"""

# 4,096 GPUs, 128 leaves, 64 spines; two disjoint rail groups.
RAILS = """\
fabric: b300-spectrum-8su
include: {fabric: ./hgx-b300.fabric.yaml, over: {su: 8, half: 2, node: 32}}
axes: {group: 2, r: 4, slot: [group, r], spine: 32}
devices:
  leaf:  {part: sn5600, axes: [su, half, slot]}
  spine: {part: sn5600, axes: [group, spine]}
links:
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 32]}
  - {between: [leaf, spine], rate: 800Gb/s, each: [32, 64]}
"""

RACK = """\
fabric: gb300-nvl72
axes: {tray: 18, module: 2, die: 2, slot: [module, die], switchtray: 9, chip: 2}
devices:
  gpu:      {part: gb300_gpu, axes: [tray, slot], transit: relay}
  nvswitch: {part: nvlink5_switch, axes: [switchtray, chip]}
  grace:    {part: grace, axes: [tray, module]}
  nic:      {part: cx8, axes: [tray, slot]}
  dpu:      {part: bf3, axes: [tray]}
links:
  - {between: [gpu, nvswitch], link: nvlink5, each: [18, 72]}
  - {between: [gpu, grace], link: c2c-grace}
  - {between: [gpu, nic], link: pcie6}
  - {between: [grace, nic], link: pcie5}
  - {between: [module0/grace, dpu], link: pcie5}
"""

CUBE_MESH = """\
fabric: dgx-v100
axes: {quad: 2, p: 4}
devices:
  gpu: {part: v100_sxm, axes: [quad, p], transit: all}
links:
  - {between: [gpu, gpu], name: all-pairs, mesh: p, link: nvlink2}
  - {between: [gpu, gpu], name: doubled, line: p, link: nvlink2}
  - {between: [gpu, gpu], name: across, mesh: quad, link: nvlink2, count: {p: [2, 1, 1, 2]}}
"""

MILLION = """\
fabric: million
axes: {pod: 55, su: 4, block: 8, rack: 8, tray: 18, slot: 4, chip: 18, spine: 128, core: 112}
devices:
  gpu:      {kind: gpu, axes: [pod, su, block, rack, tray, slot], transit: relay}
  nvswitch: {kind: switch, axes: [pod, su, block, rack, chip]}
  nic:      {kind: nic, axes: [pod, su, block, rack, tray, slot]}
  leaf:     {kind: switch, axes: [pod, su, block, slot]}
  spine:    {kind: switch, axes: [pod, spine]}
  core:     {kind: switch, axes: [spine, core]}
links:
  - {between: [gpu, nvswitch], rate: 400Gb/s, net: scale-up, each: [18, 72]}
  - {between: [gpu, nic], rate: 800Gb/s, net: host, each: 1}
  - {between: [nic, leaf], rate: 800Gb/s, each: [1, 144]}
  - {between: [leaf, spine], rate: 800Gb/s, each: [128, 128]}
  - {between: [spine, core], rate: 800Gb/s, each: [112, 55]}
"""


def degree(expanded, group, other):
    """Return the cables of each device of `group` to devices of `other`."""
    names = [g.name for g in expanded.groups]
    own, far = names.index(group), names.index(other)
    found = np.zeros(expanded.n_devices, dtype=np.int64)
    for x, y in ((expanded.tail, expanded.head), (expanded.head, expanded.tail)):
        rows = (expanded.group[x] == own) & (expanded.group[y] == far)
        np.add.at(found, x[rows], expanded.count[rows])
    return found[expanded.group == own]


def test_rails_of_two_disjoint_groups(tmp_path):
    (tmp_path / "hgx-b300.fabric.yaml").write_text(HGX)
    expanded = expand(
        loads(
            RAILS.replace("fabric: b300-spectrum-8su\n", "fabric: b300-spectrum-8su\nislands: 1\n"),
            base=tmp_path,
        )
    )
    sizes = Counter(expanded.groups[g].name for g in expanded.group)
    assert sizes == {"gpu": 4096, "nvswitch": 1024, "nic": 4096, "leaf": 128, "spine": 64}
    assert set(degree(expanded, "nic", "leaf")) == {1}
    assert set(degree(expanded, "leaf", "nic")) == {32}
    assert set(degree(expanded, "leaf", "spine")) == {32}
    assert set(degree(expanded, "spine", "leaf")) == {64}
    assert set(degree(expanded, "gpu", "nvswitch")) == {18}
    assert set(degree(expanded, "nvswitch", "gpu")) == {72}
    names = expanded.names.all()
    rule = [r.name for r in expanded.rules].index("leaf-spine")
    rows = expanded.rule == rule
    # The rails of slots 0 to 3 meet the spines of group 0, those of slots 4 to 7 the spines of group 1.
    slot, group = expanded.coordinates["slot"], expanded.coordinates["group"]
    assert (slot[expanded.tail[rows]] // 4 == group[expanded.head[rows]]).all()
    assert names[0] == "su0/half0/node0/gpu0"
    assert "group1/spine31" in names


def test_rack_of_the_manual_is_the_template():
    ours, packaged = expand(loads(RACK)), expand(load(TOPOLOGIES / "gb300-nvl72.fabric.yaml"))
    assert ours.names.all() == packaged.names.all()
    for key in ("tail", "head", "rule", "rate_gbps", "count"):
        np.testing.assert_array_equal(getattr(ours, key), getattr(packaged, key))


def test_rack_degrees():
    expanded = expand(loads(RACK))
    wanted = {
        ("gpu", "nvswitch"): {18}, ("nvswitch", "gpu"): {72}, ("gpu", "grace"): {1}, ("grace", "gpu"): {2},
        ("gpu", "nic"): {1}, ("nic", "gpu"): {1}, ("grace", "nic"): {2}, ("nic", "grace"): {1},
        ("dpu", "grace"): {1}, ("grace", "dpu"): {0, 1},
    }  # fmt: skip
    assert {pair: set(degree(expanded, *pair)) for pair in wanted} == wanted
    module = expanded.coordinates["module"][expanded.group == 2]
    np.testing.assert_array_equal(degree(expanded, "grace", "dpu"), module == 0)


def test_hybrid_cube_mesh():
    expanded = expand(loads(CUBE_MESH))
    gpu = [4 * quad + [0, 1, 3, 2][p] for quad in range(2) for p in range(4)]
    found = np.zeros((8, 8), dtype=int)
    for t, h, n in zip(expanded.tail, expanded.head, expanded.count, strict=True):
        found[gpu[t], gpu[h]] += n
        found[gpu[h], gpu[t]] += n
    # Six NVLinks each: four or five in the quad, two or one across.
    assert found.tolist() == [
        [0, 2, 1, 1, 2, 0, 0, 0],
        [2, 0, 1, 2, 0, 1, 0, 0],
        [1, 1, 0, 2, 0, 0, 2, 0],
        [1, 2, 2, 0, 0, 0, 0, 1],
        [2, 0, 0, 0, 0, 2, 1, 1],
        [0, 1, 0, 0, 2, 0, 1, 2],
        [0, 0, 2, 0, 1, 1, 0, 2],
        [0, 0, 0, 1, 1, 2, 2, 0],
    ]
    assert set(found.sum(axis=0)) == {6}


def test_a_million_gpus_are_counted_but_not_listed():
    fabric = loads(MILLION)
    counted = census(fabric.blueprint)
    assert {g: counted.present(g) for g in fabric.blueprint.groups} == {
        "gpu": 1_013_760,
        "nvswitch": 253_440,
        "nic": 1_013_760,
        "leaf": 7_040,
        "spine": 7_040,
        "core": 14_336,
    }
    assert [r.total for r in counted.rules] == [18_247_680, 1_013_760, 1_013_760, 901_120, 788_480]
    # One class for each group: nothing tells two GPUs apart, so the cost is that of a rack.
    assert sum(counted.grid.n_rows(g) for g in fabric.blueprint.groups) == 6
    assert fabric.skipped == ()
    limit = "million has 21,964,800 joined pairs of devices; the expanded form is limited to 2,500,000"
    with pytest.raises(LimitError, match=limit):
        expand(fabric)
    assert repr(fabric).startswith("<Fabric million: 1,013,760 gpu")


@pytest.mark.parametrize(
    "slip",
    ["su: 8", "block: 4", "rack: 9", "tray: 9", "slot: 8", "chip: 9", "spine: 64", "core: 56", "pod: 54"],
)
def test_a_slip_in_a_million_gpus_is_caught(slip):
    axis = slip.partition(":")[0]
    before, _, after = MILLION.partition(f"{axis}: ")
    text = before + slip + after.lstrip("0123456789")
    with pytest.raises(ValueError, match="each: wrong number of cables"):
        loads(text)


@pytest.mark.some(13)
@pytest.mark.parametrize("path", sorted(TOPOLOGIES.rglob("*.fabric.yaml")), ids=lambda p: p.name)
def test_topologies_load_and_nothing_is_skipped(path):
    fabric = load(path)
    assert fabric.skipped == ()
    assert fabric.name == fabric.blueprint.name
    assert len(fabric.blueprint.sha256) == 64
    assert path.name.removesuffix(".fabric.yaml") == fabric.name.removeprefix("one-")


@pytest.mark.some(3)
@pytest.mark.parametrize("name", template_names())
def test_templates_load_as_they_are_and_over_an_axis(name):
    alone = expand(loads(f"fabric: one\ninclude: {name}\n"))
    over = loads(f"fabric: many\ninclude: {{fabric: {name}, over: {{rack: 3}}, as: r}}\nislands: 3\n")
    assert expand(over).n_devices == 3 * alone.n_devices
    assert expand(over).n_cables == 3 * alone.n_cables
    assert "rack2/r.tray17/r.gpu3" in expand(over).names.all() or "nvl72" not in name


def test_json_is_the_same_model(tmp_path):
    file = {
        "fabric": "a",
        "axes": {"slot": 4},
        "devices": {"gpu": {"kind": "gpu", "axes": ["slot"]}, "sw": {"kind": "switch", "axes": []}},
        "links": [{"between": ["gpu", "sw"], "rate": "400Gb/s"}],
    }
    path = tmp_path / "a.fabric.json"
    path.write_text(json.dumps(file, indent=2))
    assert expand(load(path)).names.all() == ["gpu0", "gpu1", "gpu2", "gpu3", "sw"]


def test_scalars_are_what_they_look_like():
    text = "fabric: no\naxes: {no: 010, on: 2}\ndevices:\n  yes: {kind: gpu, axes: [no, on]}\n"
    text += "  y: {kind: switch, axes: []}\nlinks:\n  - {between: [yes, y], rate: 1Gb/s, peer: false}\n"
    fabric = loads(text)
    assert fabric.name == "no"
    assert fabric.blueprint.n_devices("yes") == 20
    assert expand(fabric).names[19] == "no9/yes1"


def test_a_name_is_one_device():
    text = "fabric: a\naxes: {rack: 2, slot: 3}\ndevices:\n  gpu: {kind: gpu, axes: [rack, slot]}\n"
    text += "  sw: {kind: switch, axes: []}\n  slot: {kind: switch, axes: [rack, slot]}\n"
    text += "links:\n  - {between: [gpu, sw], rate: 1Gb/s}\n"
    expanded = expand(loads(text))
    names = expanded.names.all()
    assert len(set(names)) == len(names) == expanded.n_devices
    assert "rack1/slot2" in names
    for index, name in enumerate(names):
        assert np.flatnonzero(select(loads(text), name)).tolist() == [index]


def test_a_question_without_a_group_means_the_endpoints():
    fabric = load(TOPOLOGIES / "gb300-nvl72-1152.fabric.yaml")
    assert select(fabric, "rack3").sum() == 72
    assert select(fabric, "rack0-7").sum() == 576
    assert select(fabric, "block1/r1").sum() == 72
    assert select(fabric, "rack3/*").sum() == 72 + 18 + 36 + 72 + 18
    with pytest.raises(SelectorError, match="rack16 is beyond the last index, rack15"):
        select(fabric, "rack16")
    with pytest.raises(SelectorError, match="no device group or axis 'rak'; did you mean rack"):
        select(fabric, "rak1")


def test_expanded_arrays_are_read_only():
    expanded = expand(loads(CUBE_MESH))
    with pytest.raises(ValueError, match="read-only"):
        expanded.count[0] = 7


def test_a_fabric_of_neither_kind_is_refused():
    with pytest.raises(ValueError, match="a Fabric has a blueprint or a graph"):
        expand(Fabric("a"))


@pytest.mark.parametrize(
    "word", ["<b>", "a\u202eb", "=1+1", "`id`", "$(id)", "a/b", "a;b", "a'b", 'a\\"b', "a\\nb", "|", "-a"]
)
@pytest.mark.parametrize("place", ["fabric", "axis", "device", "rule", "prefix"])
def test_no_name_can_inject_anything(word, place):
    names = {"fabric": "a", "axis": "x", "device": "gpu", "rule": "r", "prefix": "p"} | {place: word}
    text = """\
fabric: "{fabric}"
include: {{fabric: hgx-h100, as: "{prefix}"}}
axes: {{"{axis}": 2}}
devices:
  "{device}": {{kind: nic, axes: []}}
links:
  - {{between: [p.nic, gpu], name: "{rule}", rate: 1Gb/s}}
""".format(**names)
    with pytest.raises(ValueError, match="a name (starts and ends|must not end)"):
        loads(text)
