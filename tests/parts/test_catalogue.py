"""The catalogue: its checks, each with a row that breaks it, and its figures against published totals."""

import copy
import csv
import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from fabric.errors import PartError
from fabric.parts import (
    CONFIDENCES,
    PortClass,
    cables_per_port,
    catalogue,
    evidence,
    find_medium,
    find_part,
    find_protocol,
    load_catalogue,
)

ROOT = Path(__file__).parents[2]
DATA = ROOT / "fabric" / "parts" / "data"
PARTS, PROTOCOLS, MEDIA, SOURCES = (
    catalogue().parts,
    catalogue().protocols,
    catalogue().media,
    catalogue().sources,
)
OTHERS = {"Arista", "Cisco", "Juniper", "Dell", "Celestica", "Edgecore"}
PORTS = [(part, port) for part in PARTS.values() for port in part.ports]


def port(part, name):
    (found,) = (p for p in find_part(part).ports if p.name == name)
    return found


# --- every check fires -------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def edit(folder, file, name, **cells):
    """Overwrite cells of the first row of `file` whose first cell is `name`."""
    with (folder / file).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    row = next(r for r in rows if next(iter(r.values())) == name)
    assert set(cells) <= set(row)
    row.update(cells)
    write(folder / file, [row.keys(), *(r.values() for r in rows)])


def write(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def lines(path):
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def test_untouched_copy_loads(data):
    assert load_catalogue(data) == catalogue()
    edit(data, "gpus.csv", "h100_sxm5", tdp_w="650")
    assert load_catalogue(data).parts["h100_sxm5"].figures["tdp_w"] == 650
    assert load_catalogue(data) != catalogue()


@pytest.mark.some(16)
@pytest.mark.parametrize(
    ("file", "name", "cells", "match"),
    [
        ("gpus.csv", "h100_sxm5", {"source": ""}, r"gpus.csv:4: h100_sxm5: source is empty"),
        ("ports.csv", "sn5600", {"source": " "}, r"ports.csv:\d+: sn5600: source is empty"),
        ("protocols.csv", "nvlink5", {"source": ""}, r"protocols.csv:5: nvlink5: source is empty"),
        ("media.csv", "acc", {"source": ""}, r"media.csv:3: acc: source is empty"),
        (
            "nics.csv",
            "cx7",
            {"source": "nv-cx7-ocp nv-400sn"},
            r"nics.csv:5: cx7: .* 'nv-400sn'; did you mean nv-400sm",
        ),
        (
            "hosts.csv",
            "grace",
            {"confidence": "certain"},
            r"hosts.csv:2: grace: unknown confidence 'certain'",
        ),
        ("hosts.csv", "grace", {"confidence": ""}, r"grace: confidence is empty"),
        ("hosts.csv", "grace", {"source": "own"}, r"grace: confidence published without a text"),
        ("switches.csv", "sn5400", {"id": "sn5600"}, r"switches.csv:\d+: sn5600: sn5600 stands twice"),
        ("switches.csv", "sn5400", {"id": "cx7"}, r"switches.csv:\d+: cx7: cx7 stands twice"),
        ("switches.csv", "sn5400", {"id": ""}, r"\(no id\): id is empty"),
        ("media.csv", "aoc", {"id": "aec"}, r"media.csv:5: aec: aec stands twice"),
        ("sources.csv", "nv-bf3", {"id": "nv-xdr"}, r"sources.csv:\d+: nv-xdr: nv-xdr stands twice"),
        ("sources.csv", "nv-bf3", {"title": ""}, r"sources.csv:\d+: nv-bf3: title is empty"),
        ("sources.csv", "nv-bf3", {"locator": ""}, r"sources.csv:\d+: nv-bf3: locator is empty"),
        ("protocols.csv", "pcie5_x16", {"id": "pcie6_x16"}, r"pcie6_x16: pcie6_x16 stands twice"),
        ("protocols.csv", "pcie5_x16", {"aliases": "pcie5 pcie4"}, r"pcie5_x16: pcie4 stands twice"),
        ("protocols.csv", "pcie5_x16", {"aliases": "nvlink5"}, r"pcie5_x16: nvlink5 stands twice"),
        ("protocols.csv", "pcie5_x16", {"net": "scaleup"}, r"unknown net 'scaleup'; did you mean scale-up"),
        ("protocols.csv", "pcie5_x16", {"medium": "boards"}, r"unknown medium 'boards'; did you mean board"),
        ("protocols.csv", "pcie5_x16", {"rate_gbps": "0"}, r"rate_gbps is 0"),
        ("protocols.csv", "pcie5_x16", {"rate_gbps": ""}, r"pcie5_x16: rate_gbps is ''"),
        ("gpus.csv", "h100_sxm5", {"tdp_w": "700 W"}, r"gpus.csv:4: h100_sxm5: tdp_w is '700 W'"),
        ("gpus.csv", "h100_sxm5", {"tdp_w": "-700"}, r"h100_sxm5: tdp_w is '-700'"),
        ("gpus.csv", "h100_sxm5", {"tdp_w": "nan"}, r"h100_sxm5: tdp_w is 'nan'"),
        ("gpus.csv", "h100_sxm5", {"tdp_w": "inf"}, r"h100_sxm5: tdp_w is 'inf'"),
        ("gpus.csv", "h100_sxm5", {"year": "2022.5"}, r"year is 2022.5; expected a whole number"),
        ("switches.csv", "sn6800", {"planes": "0"}, r"planes is 0; expected a whole number from 1"),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdpw:assumed:own"}, r"exception for 'tdpw', which the row"),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdp_min_w:assumed:own"}, r"exception for 'tdp_min_w'"),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdp_w:reported:own"}, r"reported without a text to read"),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdp_w:reported"}, r"h100_sxm5: unknown source ''"),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdp_w:sure:own"}, r"h100_sxm5: unknown confidence 'sure'"),
        (
            "gpus.csv",
            "h100_sxm5",
            {"exceptions": "hbm_gb:derived:own+x tdp_w:assumed:own"},
            r"unknown source 'x'",
        ),
        ("gpus.csv", "h100_sxm5", {"exceptions": "tdp_w:assumed:own tdp_w:assumed:own"}, r"second exception"),
        (
            "ports.csv",
            "sn5600",
            {"part": "sn5601"},
            r"ports.csv:\d+: sn5601: unknown part 'sn5601'; did you mean",
        ),
        ("ports.csv", "sn5610", {"part": "sn5600"}, r"ports.csv:\d+: sn5600: network stands twice"),
        (
            "ports.csv",
            "sn5600",
            {"port_class": "netwerk"},
            r"unknown port_class 'netwerk'; did you mean network",
        ),
        ("ports.csv", "sn5600", {"n_ports": "0"}, r"n_ports is 0"),
        ("ports.csv", "sn5600", {"n_ports": "many"}, r"n_ports is 'many'"),
        ("ports.csv", "sn5600", {"rate_gbps": "0"}, r"rate_gbps is 0"),
        ("ports.csv", "sn5600", {"ports_per_cage": "0"}, r"ports_per_cage is 0"),
        ("ports.csv", "sn5600", {"ports_per_cage": "3"}, r"64 ports do not fill cages of 3"),
        ("ports.csv", "sn5600", {"layers": ""}, r"ports.csv:\d+: sn5600: layers is empty"),
        (
            "ports.csv",
            "sn5600",
            {"layers": "Etherent"},
            r"unknown link layer 'Etherent'; did you mean Ethernet",
        ),
        (
            "ports.csv",
            "sn5600",
            {"layers": "Ethernet:801"},
            r"link layer Ethernet:801: .* than the 800 Gb/s of",
        ),
        ("ports.csv", "sn5600", {"layers": "Ethernet:0"}, r"link layer Ethernet:0: not above 0"),
        ("ports.csv", "sn5600", {"layers": "Ethernet:fast"}, r"link layer 'Ethernet:fast'; expected a name"),
        ("ports.csv", "sn5600", {"layers": "Ethernet Ethernet:400"}, r"second link layer Ethernet"),
        (
            "ports.csv",
            "h100_sxm5",
            {"layers": "NVLink"},
            r"layers of a nvlink4 port are those of its protocols",
        ),
        ("protocols.csv", "pcie5_x16", {"layer": ""}, r"pcie5_x16: layer is empty"),
        ("ports.csv", "sn5600", {"modes": "64x800 128x401"}, r"mode 128x401 needs more than the 51200 Gb/s"),
        ("ports.csv", "sn5600", {"modes": "96x400"}, r"mode 96x400 does not give each of 64 ports"),
        ("ports.csv", "sn5600", {"modes": "64x800 64x800"}, r"second mode of 800 Gb/s"),
        ("ports.csv", "sn5600", {"modes": "64*800"}, r"mode '64\*800'; expected cables x Gb/s"),
        ("ports.csv", "sn5600", {"modes": "0x800"}, r"mode '0x800'"),
    ],
)
def test_broken_row(data, file, name, cells, match):
    edit(data, file, name, **cells)
    with pytest.raises(PartError, match=match):
        load_catalogue(data)


@pytest.mark.some(4)
@pytest.mark.parametrize("file", [file.name for file in sorted(DATA.iterdir())])
def test_broken_file(data, file):
    header, *rows = lines(data / file)
    for cells, match in [
        ([header[1:], *(row[1:] for row in rows)], f"{file}:1: lacks column {header[0]}"),
        (
            [[*header, "power"], *([*row, "9"] for row in rows)],
            f"{file}:1: column 'power' does not end in a unit",
        ),
        (
            [[*header, header[0]], *([*row, row[0]] for row in rows)],
            f"{file}:1: has column {header[0]} twice",
        ),
        ([header, [*rows[0], "more"], *rows[1:]], rf"{file}:2: {rows[0][0]}: {len(header) + 1} cells"),
        ([header, rows[0][:-1], *rows[1:]], rf"{file}:2: {rows[0][0]}: {len(header) - 1} cells"),
        ([], f"{file}:1: lacks column"),
    ]:
        write(data / file, cells)
        with pytest.raises(PartError, match=match):
            load_catalogue(data)
    (data / file).write_text(",".join(header) + '\n"a"b,c\n')
    with pytest.raises(PartError, match=rf"{file}:2:4: .*a cell that is quoted in part"):
        load_catalogue(data)
    (data / file).unlink()
    with pytest.raises(PartError, match=f"{file}: file not found"):
        load_catalogue(data)


@pytest.mark.parametrize(
    ("find", "name", "match"),
    [
        (find_part, "sn5601", r"unknown part 'sn5601'; did you mean .*sn5600"),
        (find_part, "toaster", r"unknown part 'toaster'; fabtopo parts lists all$"),
        (find_protocol, "pcie7", r"unknown protocol 'pcie7'; did you mean pcie\d"),
        (find_medium, "fiber", r"unknown medium 'fiber'; did you mean fibre"),
    ],
)
def test_unknown_name(find, name, match):
    with pytest.raises(PartError, match=match):
        find(name)


# --- every figure has a source -----------------------------------------------------------------------


def test_sources_resolve():
    used = set()
    for row in [*PARTS.values(), *(p for _, p in PORTS), *PROTOCOLS.values(), *MEDIA.values()]:
        marks = [(row.confidence, row.source)]
        if not hasattr(row, "aliases"):
            marks += [(mark.confidence, mark.source) for mark in row.exceptions.values()]
        for confidence, source in marks:
            assert source
            assert confidence in CONFIDENCES
            assert confidence == "assumed" or set(source) - {"own"}
            used.update(source)
    assert used == set(SOURCES)


def test_locators():
    for source in SOURCES.values():
        missing = "none" if source.id == "own" else "address not recorded"
        assert source.locator.startswith(("https://", "http://")) or source.locator == missing
        assert source.title


def test_evidence_of_a_figure():
    sn5600 = find_part("sn5600")
    assert sn5600.confidence == "published"
    for figure in ("latency_ns", "power_max_w", "buffer_mb"):
        assert evidence(sn5600, figure).confidence == "assumed"
    assert evidence(sn5600, "power_typical_w").source == ("dc-survey",)
    assert evidence(sn5600, "optics_w_per_cage").confidence == "published"
    assert evidence(find_part("rubin_vr200"), "tdp_w").source == ("sa-vr",)
    assert evidence(find_part("q3400"), "planes").confidence == "reported"
    assert evidence(port("sn6800", "network"), "modes").confidence == "assumed"
    assert evidence(find_medium("opt_1600"), "price_max_usd").source == ("cn-bom",)


def test_power_of_nics_and_switch_latency_are_not_claimed_as_published():
    for part in PARTS.values():
        if part.kind == "nic" and "power_typical_w" in part.figures:
            assert evidence(part, "power_typical_w").confidence == "assumed"
        if part.name.startswith("Spectrum"):
            assert evidence(part, "latency_ns").confidence == "assumed"


# --- what the catalogue must hold --------------------------------------------------------------------


def test_parts_by_kind():
    wanted = {
        "gpu": "v100_sxm a100_sxm80 h100_sxm5 h800_sxm h200_sxm h20_sxm b200_sxm b300_sxm gb200_gpu"
        " gb300_gpu rubin_vr200 mi300x mi325x tpu_v4 tpu_v5e tpu_v5p tpu_v6e tpu_v7 tpu_8t inferentia2"
        " trainium2 trainium3 trainium4 trainium1 inferentia1 mi350x mi355x mi455x maia100 maia200"
        " gaudi2 gaudi3 rubin_ultra groq3_lpu rubin_sxm",
        "host": "grace vera graviton4 graviton5",
        "nic": "cx4 cx5 cx6 cx7 cx8 cx9 bf3 bf4 efa_v1 efa_v2 efa_v3 efa_v4 vulcano acceleron thor2"
        " pollara400 e810",
        "switch": "nvswitch1 nvswitch2 nvswitch3 nvlink4_switch nvlink5_switch nvlink6_switch sn5600 sn5610"
        " sn5400 sn6600 sn6810 sn6800 qm8700 qm9700 q3400 q3200 q3450 nvlink7_switch neuronswitch_160"
        " neuronswitch_320 neuronswitch_32 neuronswitch_gen3 ualoe_th6 th5 th6 tomahawk_ultra"
        " arista_7060dx5_64s arista_7060x6_64pe arista_7060xe7_64ps arista_7060xe7_128pe arista_7280r3_24"
        " arista_7700r4c_38pe arista_7720r4_128pe cisco_n9364e_sg2 cisco_8122_64eh cisco_n9364e_sp2r"
        " cisco_n9364f_sg3 juniper_qfx5230_64cd juniper_qfx5240_64od juniper_qfx5240_64qd juniper_qfx5250"
        " dell_z9664f dell_z9864f dell_z9964f celestica_ds4101 celestica_ds5000 celestica_ds6000"
        " edgecore_as9737_32db edgecore_ais800_64o edgecore_ais800_64d",
    }
    for kind, names in wanted.items():
        assert [p.id for p in PARTS.values() if p.kind == kind] == names.split()


def test_ids_key_their_rows():
    for rows in (PARTS, PROTOCOLS, MEDIA, SOURCES):
        assert all(row.id == name for name, row in rows.items())


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("pcie3", "pcie3_x16"),
        ("pcie4", "pcie4_x16"),
        ("pcie5", "pcie5_x16"),
        ("pcie6", "pcie6_x16"),
        ("c2c-grace", "nvlink_c2c_grace"),
        ("c2c-vera", "nvlink_c2c_vera"),
        ("nvlink5", "nvlink5"),
    ],
)
def test_alias(alias, name):
    assert find_protocol(alias) is find_protocol(name) is PROTOCOLS[name]


def test_protocols_fit_ports():
    for protocol in PROTOCOLS.values():
        rates = [p.rate_gbps for _, p in PORTS if p.name == protocol.port_class]
        assert protocol.rate_gbps in rates
        # What joins servers has the medium of its reach.
        assert protocol.medium in MEDIA or (protocol.medium, protocol.net) == ("", "scale-out")
        assert (protocol.net == "host") == (protocol.port_class in {"pcie", "c2c"})


def test_lanes_of_pcie():
    """Half a slot is half the rate, and Gen3 is 8 GT/s on 16 lanes after 128b/130b."""
    for generation in (4, 5):
        half, whole = find_protocol(f"pcie{generation}_x8"), find_protocol(f"pcie{generation}")
        assert 2 * half.rate_gbps == whole.rate_gbps
    assert find_protocol("pcie3").rate_gbps == pytest.approx(8 * 16 * 128 / 130, rel=1e-3)


def test_link_layers():
    """What a vendor sells for one network speaks that alone; only NICs of NVIDIA speak both of two."""
    spoken = {part.id: dict(p.layers) for part, p in PORTS if p.name == "network"}
    for part, p in PORTS:
        if p.name == "network" and part.kind == "switch":
            is_quantum = part.name.startswith("Quantum")
            assert spoken[part.id] == {"InfiniBand" if is_quantum else "Ethernet": p.rate_gbps}
    both = {name for name, layers in spoken.items() if set(layers) == {"Ethernet", "InfiniBand"}}
    assert both == {"cx4", "cx5", "cx6", "cx7", "cx8", "cx9", "bf3", "bf4"}
    assert spoken["cx8"] == {"Ethernet": 400, "InfiniBand": 800}
    assert spoken["efa_v2"] == {"EFA": 100, "Ethernet": 100}
    assert port("gb300_gpu", "nvlink5").layers == {"NVLink": 400}
    assert {one.layer for one in PROTOCOLS.values()} == {
        "C2C", "EFA", "Ethernet", "ICI", "InfiniBand", "NVLink", "NVLink-C2C", "NeuronLink", "PCIe", "UALink",
        "xGMI",
    }  # fmt: skip


def test_breakout_and_cages():
    for part, p in PORTS:
        # The network port of a TPU is its share of the cards of its host.
        if p.name == "network" and "cards are in the host" not in p.note:
            assert (p.n_ports, p.rate_gbps) == p.modes[0]
            assert (p.ports_per_cage is None) == ("co-packaged" in p.note)
        else:
            assert p.modes == ()
            assert p.ports_per_cage is None
        assert part.kind == "switch" or part.planes == 1


# --- figures against published totals ----------------------------------------------------------------

BOTH_WAYS_TB_S = 2 / 8 / 1000  # from Gb/s in one direction to TB/s of both


@pytest.mark.some(16)
@pytest.mark.parametrize(
    ("part", "port_class", "total_tb_s"),
    [
        ("v100_sxm", "nvlink2", 0.3),
        ("a100_sxm80", "nvlink3", 0.6),
        ("h100_sxm5", "nvlink4", 0.9),
        ("h800_sxm", "nvlink4", 0.4),
        ("h200_sxm", "nvlink4", 0.9),
        ("h20_sxm", "nvlink4", 0.9),
        ("b200_sxm", "nvlink5", 1.8),
        ("b300_sxm", "nvlink5", 1.8),
        ("gb200_gpu", "nvlink5", 1.8),
        ("gb300_gpu", "nvlink5", 1.8),
        ("rubin_vr200", "nvlink6", 3.6),
        ("mi300x", "xgmi_mi300", 0.896),
        ("mi325x", "xgmi_mi300", 0.896),
        ("gaudi2", "network", 0.6),
        ("gaudi3", "network", 1.2),
        ("nvswitch1", "nvlink2", 0.9),
        ("nvswitch3", "nvlink4", 3.2),
        ("gb300_gpu", "c2c", 0.9),
        ("rubin_vr200", "c2c", 1.8),
        ("tpu_v4", "ici_v4", 0.54),
        ("tpu_v5e", "ici_v5e", 0.4),
        ("tpu_v5p", "ici_v5p", 1.2),
        ("tpu_v6e", "ici_v5p", 0.8),
        ("tpu_v7", "ici_v5p", 1.2),
        ("tpu_8t", "ici_8t", 2.4),
        ("inferentia2", "neuronlink2", 192 * 1.024**3 / 1000),
        ("trainium1", "neuronlink2", 4 * 2 * 48 * 1.024**3 / 1000),
        ("inferentia1", "neuronlink1", 32 * 1.024**3 / 1000),
        ("trainium2", "neuronlink3", 1.024),
        ("trainium2", "neuronlink3_z", 0.256),
        ("trainium3", "neuronlink4", 2.56),
        ("mi350x", "xgmi_mi350", 1.0752),
        ("mi355x", "xgmi_mi350", 1.0752),
        ("mi455x", "ualoe", 3.6),
        ("maia100", "network", 1.2),
        ("maia200", "maia200_quad", 2.0),
        ("maia200", "network", 0.8),
        ("rubin_sxm", "nvlink6", 3.6),
        ("rubin_ultra", "nvlink7", 3.6),
        ("groq3_lpu", "groq_c2c", 2.4),
        ("h100_sxm5", "pcie", 0.126),
        ("b300_sxm", "pcie", 0.242),
    ],
)
def test_total_of_both_directions(part, port_class, total_tb_s):
    p = port(part, port_class)
    assert p.n_ports * p.rate_gbps * BOTH_WAYS_TB_S == pytest.approx(total_tb_s, rel=1e-12)


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("part", "total_tbps"),
    [
        ("nvswitch1", 3.6),
        ("nvswitch2", 7.2),
        ("nvswitch3", 12.8),
        ("nvlink5_switch", 28.8),
        ("nvlink6_switch", 28.8),
        ("sn5600", 51.2),
        ("sn5610", 51.2),
        ("sn5400", 25.6),
        ("sn6600", 102.4),
        ("sn6810", 102.4),
        ("sn6800", 409.6),
        ("qm8700", 8.0),
        ("qm9700", 25.6),
        ("q3400", 115.2),
        ("q3450", 115.2),
        ("q3200", 28.8),
        ("nvlink4_switch", 25.6),
        ("tomahawk_ultra", 51.2),
        ("nvlink7_switch", 28.8),
        ("neuronswitch_160", 10.24),
        ("neuronswitch_320", 20.48),
        ("ualoe_th6", 102.4),
        ("th5", 51.2),
        ("th6", 102.4),
    ],
)
def test_total_of_a_switch(part, total_tbps):
    (p,) = find_part(part).ports
    assert p.n_ports * p.rate_gbps / 1000 == pytest.approx(total_tbps, rel=1e-12)


def test_racks_close():
    """A rack's GPU ports are its switch ports: 72 x 18 = 18 x 72 and 72 x 36 = 36 x 72, 130 and 260 TB/s."""
    for gpu, switch, cls, n_switches, total_tb_s in [
        ("gb200_gpu", "nvlink5_switch", "nvlink5", 18, 130),
        ("gb300_gpu", "nvlink5_switch", "nvlink5", 18, 130),
        ("rubin_vr200", "nvlink6_switch", "nvlink6", 36, 260),
    ]:
        below, above = port(gpu, cls), port(switch, cls)
        assert 72 * below.n_ports == n_switches * above.n_ports
        assert 72 * below.n_ports * below.rate_gbps * BOTH_WAYS_TB_S == pytest.approx(total_tb_s, rel=0.01)


def test_cages_and_planes():
    cages = {
        name: port(name, "network").n_ports / port(name, "network").ports_per_cage
        for name in ("qm9700", "q3400")
    }
    assert cages == {"qm9700": 32, "q3400": 72}
    assert {p.id: p.planes for p in PARTS.values() if p.planes > 1} == {"sn6800": 4, "q3400": 4, "q3450": 4}
    assert port("q3400", "network").n_ports ** 2 / 2 == 10368  # endpoints of two levels, as published


# Capacity of a chip in one direction [Tb/s], as its maker names it; a box may have half of its ports.
CHIPS = {
    "Tomahawk 4": 25.6, "Tomahawk 4G": 25.6, "Tomahawk 5": 51.2, "Tomahawk 6": 102.4, "Jericho2": 9.6,
    "Silicon One G200": 51.2, "Silicon One P200": 51.2, "Silicon One G300": 102.4,
}  # fmt: skip
HALF = {"edgecore_as9737_32db"}


def test_boxes_of_others_have_the_capacity_of_their_chip():
    boxes = [part for part in PARTS.values() if part.kind == "switch" and part.vendor in OTHERS]
    assert {part.vendor for part in boxes} == OTHERS
    for part in boxes:
        name = part.name.partition("(")[2].rstrip(")")
        (network,) = part.ports
        if name in CHIPS:
            capacity = network.n_ports * network.rate_gbps / 1000 * (2 if part.id in HALF else 1)
            assert capacity == pytest.approx(CHIPS[name], rel=1e-12), part.id
            assert all(n * rate <= network.n_ports * network.rate_gbps for n, rate in network.modes)
        assert network.layers.keys() == {"Ethernet"}
    chips = " ".join(part.name for part in boxes)
    for chip in ("Tomahawk 4", "Tomahawk 5", "Tomahawk 6", "Jericho", "Silicon One"):
        assert chip in chips


def test_no_power_of_a_switch_with_cages_has_its_optics_in_it():
    """A maximum has them, and a bill counts them beside: it takes a typical power without."""
    for part, p in PORTS:
        if part.kind == "switch" and p.ports_per_cage and "power_max_w" in part.figures:
            assert part.figures["power_typical_w"] <= part.figures["power_max_w"], part.id


def test_reduction_in_the_network():
    found = {p.id: p.in_network_reduction for p in PARTS.values() if p.in_network_reduction}
    assert found == {
        "nvswitch3": "NVLS",
        "nvlink4_switch": "NVLS",
        "nvlink5_switch": "NVLS",
        "nvlink6_switch": "NVLS",
        "nvlink7_switch": "NVLS",
        "qm8700": "SHARPv2",
        "qm9700": "SHARPv3",
        "q3400": "SHARPv4",
        "q3450": "SHARPv4",
        "q3200": "SHARPv4",
        "tomahawk_ultra": "in-network collectives",
    }


# --- cables per port ---------------------------------------------------------------------------------


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("part", "port_class", "rate_gbps", "cables"),
    [
        ("sn5610", "network", 800, 1),
        ("sn5610", "network", 400, 2),
        ("sn5610", "network", 200, 2),  # no slower mode: a 200G cable takes half a port
        ("sn5600", "network", 200, 4),
        ("sn5600", "network", 100, 4),
        ("sn5600", "network", 50, 4),
        ("sn5600", "network", 300, 2),
        ("sn6800", "network", 200, 4),
        ("qm9700", "network", 400, 1),
        ("qm9700", "network", 200, 2),
        ("q3400", "network", 400, 1),  # cannot be split
        ("cx8", "network", 100, 8),
        ("cx8", "network", 400, 2),
        ("cx8", "pcie", 504, 968 / 504),
        ("cx9", "pcie", 968, 1),
        ("nvlink5_switch", "nvlink5", 400, 1),
        ("nvlink5_switch", "nvlink5", 200, 2),
        ("mi300x", "xgmi_mi300", 512, 1),
    ],
)
def test_cables_per_port(part, port_class, rate_gbps, cables):
    assert cables_per_port(port(part, port_class), rate_gbps) == cables


def test_last_bit_does_not_make_a_cable_too_fast():
    p = dataclasses.replace(port("sn5600", "network"), rate_gbps=8000 / 3, modes=((64, 8000 / 3),))
    assert cables_per_port(p, (8000 / 3) * (1 + 1e-15)) == 1


@pytest.mark.parametrize("rate_gbps", [800.1, 1600, 0, -400, float("nan"), float("inf")])
def test_cable_that_does_not_fit(rate_gbps):
    with pytest.raises(
        PartError, match=r"network port: cable of .* Gb/s; expected more than 0 and at most 800"
    ):
        cables_per_port(port("sn5600", "network"), rate_gbps)


def test_cable_faster_than_every_mode():
    p = PortClass("network", 1, 800, 1, ((2, 400.0),), {"Ethernet": 800}, ("own",), "assumed", {}, "")
    assert cables_per_port(p, 400) == 2
    with pytest.raises(PartError, match=r"no breakout mode carries a cable of 600 Gb/s"):
        cables_per_port(p, 600)


# --- the object and the import -----------------------------------------------------------------------


def test_rows_are_read_only():
    part = find_part("sn5600")
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        part.year = 1999
    with pytest.raises(TypeError, match="does not support item assignment"):
        part.figures["latency_ns"] = 0.0
    with pytest.raises(TypeError, match="does not support item assignment"):
        PARTS["sn5600"] = part


def test_rows_copy_and_compare():
    part = find_part("sn5600")
    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert twin == part
        assert hash(twin) == hash(part)
    assert dataclasses.replace(part, figures={}) != part
    assert dict(dataclasses.asdict(part)["figures"]) == dict(part.figures)
    assert catalogue() is catalogue()


def test_installed_data_is_the_data():
    assert {f.name for f in resources.files("fabric.parts").joinpath("data").iterdir()} == {
        f.name for f in DATA.iterdir()
    }


def test_import_is_light():
    program = (
        "import json, sys, fabric.parts; fabric.parts.catalogue(); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert "fabric" in loaded
    assert not loaded & {"numpy", "scipy", "pydantic", "networkx", "yaml", "matplotlib"}
