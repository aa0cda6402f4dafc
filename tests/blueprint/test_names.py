"""Names that vendors use, and what an axis that was forgotten makes of a rule."""

import pytest

from fabric.blueprint import loads_blueprint
from fabric.errors import PartError, TopologyError
from fabric.graph import load, loads
from fabric.parts import catalogue, find_entry, find_part
from fabric.parts.catalogue import find_medium, find_protocol, plain
from fabric.sizing.rack import find_rack


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("tomahawk5", "th5"),
        ("Tomahawk 5", "th5"),
        ("BCM78900", "th5"),
        ("ConnectX-8", "cx8"),
        ("connectx-8 supernic", "cx8"),
        ("BlueField-3", "bf3"),
        ("QUANTUM-2 QM9700", "qm9700"),
        ("sn5600", "sn5600"),
    ],
)
def test_parts_by_the_names_of_vendors(name, part):
    assert find_part(name).id == find_entry(name).id == part
    if part in ("cx8", "bf3"):
        return
    text = "{fabric: a, axes: {x: 2}, devices: {gpu: {kind: gpu, axes: [x]},"
    text += f" sw: {{part: {name}, axes: []}}}},"
    blueprint = loads_blueprint(f"{text} links: [{{between: [gpu, sw], rate: 200Gb/s}}]}}")
    assert blueprint.groups["sw"].part.id == part


def test_aliases_are_plain_and_of_parts():
    assert set(catalogue().aliases.values()) <= set(catalogue().parts)
    assert all(plain(alias) == alias for alias in catalogue().aliases)
    assert not set(catalogue().aliases) & {plain(part) for part in catalogue().parts}


@pytest.mark.parametrize("spelt", [str.upper, str.title, lambda name: name.replace("_", " - ")])
def test_a_part_goes_by_its_id_and_its_printed_name_with_and_without_its_vendor(spelt):
    for part in catalogue().parts.values():
        for name in (part.id, part.name, f"{part.vendor} {part.name}"):
            assert find_part(spelt(name)) is part, name


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("SN5600", "sn5600"),
        ("NVIDIA H100", "h100_sxm5"),
        ("7060X6-64PE", "arista_7060x6_64pe"),
        ("DCS-7060X6-64PE", "arista_7060x6_64pe"),
        ("N9364E-SG2", "cisco_n9364e_sg2"),
        ("Thor 2", "thor2"),
    ],
)
def test_a_model_without_what_is_printed_around_it(name, part):
    assert find_part(name).id == part


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("QFX5240", "juniper_qfx5240_64od or juniper_qfx5240_64qd"),
        ("MQM9700-NS2F", "qm9700"),
        ("mellanox connectx-7", "cx7"),
        ("BCM57608", "thor2"),
    ],
)
def test_a_piece_of_a_name_is_offered_and_not_taken(name, offered):
    with pytest.raises(PartError, match=rf"unknown part '{name}'; did you mean {offered}\?"):
        find_part(name)


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("NVLink 5", "nvlink5"),
        ("PCIe Gen5", "pcie5_x16"),
        ("PCIe 6.0", "pcie6_x16"),
        ("InfiniBand NDR", "infiniband_ndr"),
    ],
)
def test_protocols_by_the_names_of_vendors(name, protocol):
    assert find_protocol(name).id == protocol


def test_media_by_their_names():
    for medium in catalogue().media.values():
        assert find_medium(medium.id.upper()) is find_medium(medium.name) is medium
    with pytest.raises(PartError, match=r"unknown medium 'DAC'; did you mean dac_passive\?"):
        find_medium("DAC")


def test_templates_by_their_printed_names():
    for name, template in {
        "DGX H100": "dgx-h100",
        "GB300 NVL72": "gb300-nvl72",
        "HGX_B200": "hgx-b200",
    }.items():
        there = loads(f"fabric: a\ninclude: {name}\n").blueprint
        assert there.groups.keys() == loads(f"fabric: a\ninclude: {template}\n").blueprint.groups.keys()
        assert find_rack(name).reference == template


def test_a_slip_in_an_alias():
    with pytest.raises(PartError, match="unknown part 'tomahwk5'; did you mean tomahawk5"):
        find_part("tomahwk5")


NAMES = {
    "part for a template": (
        "tomahawk5",
        "no template 'tomahawk5'; it is the part th5, not a template: write part: th5",
    ),
    "printed name for a template": ("Tomahawk 5", "no template 'Tomahawk 5'; it is the part th5"),
    "part of a name": (
        "nvl72",
        "did you mean aws-p6e-gb200 or|did you mean gb200-nvl72 or gb300-nvl72 or vr-nvl72",
    ),
    "slip": ("hgx-h10", "did you mean hgx-h100"),
    "nothing like it": ("zzz", "no template 'zzz'; templates are .* and .* more; a file of your own"),
}


@pytest.mark.parametrize(("name", "match"), NAMES.values(), ids=NAMES)
def test_templates_by_other_names(name, match):
    with pytest.raises(TopologyError, match=match):
        loads(f"fabric: a\ninclude: {name}\n")


def test_a_template_in_place_of_a_part():
    with pytest.raises(TopologyError, match="unknown part 'DGX-H100'; .*dgx-h100 is a template"):
        loads("fabric: a\ndevices: {x: {part: DGX-H100, axes: []}}\n")


FORGOTTEN = """\
fabric: f
include: {fabric: hgx-h100, over: {node: 32}}
axes: {plane: 2}
devices: {leaf: {part: sn5600, axes: [plane]}}
links: [{between: [nic, leaf], rate: 400Gb/s%s}]
"""


def test_sides_without_a_common_axis_are_said_to_be_all_joined():
    said = "nic and leaf share no axis, so that every nic is joined with every leaf"
    with pytest.raises(TopologyError, match=said) as caught:
        loads(FORGOTTEN % "")
    assert [p.what.partition(":")[0] for p in caught.value.problems] == ["port budget", "port budget"]
    assert all(said in p.todo for p in caught.value.problems)
    with pytest.raises(
        TopologyError, match=f"each: wrong number of cables at .*{said}; give one an axis of the other"
    ):
        loads(FORGOTTEN % ", each: [1, 32]")


def test_sides_with_a_common_axis_are_not():
    text = FORGOTTEN.replace("[plane]}}", "[plane, slot]}}") % ""
    with pytest.raises(TopologyError, match="node0/nic0 needs 2 network ports") as caught:
        loads(text)
    assert "share no axis" not in str(caught.value)


def test_a_file_whose_name_looks_like_that_of_a_template(tmp_path):
    (tmp_path / "<hgx-h100>.fabric.yaml").write_text(
        "fabric: b\naxes: {i: 2}\ndevices: {gpu: {kind: gpu, axes: [i]}}\n"
    )
    (tmp_path / "a.fabric.yaml").write_text("fabric: a\ninclude: <hgx-h100>.fabric.yaml\nislands: 2\n")
    assert load(tmp_path / "a.fabric.yaml").blueprint.n_devices("gpu") == 2


def test_a_budget_tells_nothing_of_rules_on_other_ports():
    text = """{fabric: f, axes: {node: 2, s: 2, f: 1}, devices: {nic: {part: cx8, axes: [node, s]},
      leaf: {kind: switch, axes: [s]}, far: {kind: host, axes: [f]}}, links: [
      {between: [nic, leaf], rate: 400Gb/s, count: 3}, {between: [nic, far], link: pcie6, each: [1, 4]}]}"""
    with pytest.raises(TopologyError, match="node0/nic0 needs 2 network ports") as caught:
        loads(text)
    # Every card is on the one far host, by a port of another kind.
    assert "share no axis" not in str(caught.value)
