"""Rows chosen and explained: every condition lets the right rows through and stops the others."""

import csv
from pathlib import Path

import pytest

from fabric.errors import PartError
from fabric.parts import catalogue, entries, figures_of, find_entry, label, protocols_of, select, sources_of

DATA = Path(__file__).parents[2] / "fabric" / "parts" / "data"
ROWS = entries()
FILES = {
    "gpus.csv": "gpu",
    "hosts.csv": "host",
    "nics.csv": "nic",
    "switches.csv": "switch",
    "protocols.csv": "protocol",
    "media.csv": "medium",
}


def read(file):
    with (DATA / file).open(newline="") as stream:
        return list(csv.DictReader(stream))


def ids(**conditions):
    return [row.id for row in select(**conditions)]


TEXTS = {"id", "name", "vendor", "aliases", "part", "port_class", "layer", "net", "medium"}
TEXTS |= {"source", "confidence", "exceptions", "note"}


def cells():
    """Yield row, port class, column, text and own evidence of every figure in the data files."""
    for file in (*FILES, "ports.csv"):
        for row in read(file):
            own = dict(entry.split(":", 1) for entry in row.get("exceptions", "").split())
            for column in row.keys() - TEXTS:
                if row[column]:
                    usual = f"{row['confidence']}:{'+'.join(row['source'].split())}"
                    where = (row["id"], "") if "id" in row else (row["part"], row["port_class"])
                    yield *where, column, row[column], own.get(column, usual)


# --- conditions, each against the data files read by hand ----------------------------------------------


def test_no_condition_is_all_rows():
    assert ids() == list(ROWS) == [row["id"] for file in FILES for row in read(file)]
    assert ids(kind="", vendor="", search=" ") == list(ROWS)


@pytest.mark.parametrize(("file", "kind"), FILES.items())
def test_by_kind(file, kind):
    assert ids(kind=kind) == [row["id"] for row in read(file)]


@pytest.mark.parametrize("vendor", ["NVIDIA", "AMD", "Google", "AWS", "Microsoft", "Broadcom", "Oracle"])
def test_by_vendor(vendor):
    wanted = [row["id"] for file in FILES for row in read(file) if row.get("vendor") == vendor]
    assert ids(vendor=vendor) == ids(vendor=vendor.lower()) == wanted
    assert wanted


@pytest.mark.parametrize("name", ["network", "pcie", "c2c", "nvlink6", "ualoe"])
def test_by_port_class(name):
    wanted = {row["part"] for row in read("ports.csv") if row["port_class"] == name}
    wanted |= {row["id"] for row in read("protocols.csv") if row["port_class"] == name}
    assert set(ids(port_class=name)) == wanted
    assert 1 < len(wanted) < len(ROWS)


@pytest.mark.parametrize("word", ["published", "reported", "derived", "assumed"])
def test_by_confidence(word):
    wanted = {row["id"] for file in FILES for row in read(file) if row["confidence"] == word}
    wanted |= {name for name, *_, proof in cells() if proof.startswith(word)}
    assert set(ids(confidence=word)) == wanted
    assert 1 < len(wanted) < len(ROWS)


@pytest.mark.parametrize("source", ["own", "sa-vr", "probsee", "aiwiki-vera"])
def test_by_source(source):
    wanted = {row["id"] for file in FILES for row in read(file) if source in row["source"].split()}
    wanted |= {name for name, *_, proof in cells() if source in proof.split(":")[1].split("+")}
    assert set(ids(source=source)) == wanted
    assert 1 <= len(wanted) < len(ROWS)


def test_by_planes():
    assert ids(planes="4") == ["sn6800", "q3400", "q3450"]
    assert set(ids(planes="1")) == {row["id"] for row in read("switches.csv")} - set(ids(planes="4"))


TH5 = [
    "arista_7060x6_64pe", "cisco_n9364e_sg2", "cisco_8122_64eh", "cisco_n9364e_sp2r", "juniper_qfx5240_64od",
    "juniper_qfx5240_64qd", "dell_z9864f", "celestica_ds5000", "edgecore_ais800_64o", "edgecore_ais800_64d",
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bluefield", ["bf3", "bf4"]),
        ("64x800G", ["sn5600", "sn5610", "tomahawk_ultra", "th5", *TH5]),  # ports
        ("pcie5", ["pcie5_x8", "pcie5_x16"]),
        ("PCIE6", ["pcie6_x16"]),  # an alias, and case
        ("twisted plum", []),
        ("linear 800g", ["lpo_800"]),  # all the words
        ("gearbox", ["graviton4"]),  # a note
        ("superchip nic", ["gb200_gpu"]),  # notes of ports
    ],
)
def test_by_words(words, found):
    assert sorted(ids(search=words)) == sorted(found)


def test_conditions_join():
    asked = {"kind": "switch", "vendor": "nvidia", "port_class": "network", "confidence": "assumed"}
    each = [set(ids(**{name: value})) for name, value in asked.items()]
    assert set(ids(**asked)) == set.intersection(*each)
    assert all(set(ids(**asked)) < rows for rows in each)
    assert ids(kind="gpu", planes="4") == []


@pytest.mark.parametrize(
    ("conditions", "match"),
    [
        ({"kind": "gpus"}, r"unknown kind 'gpus'; did you mean gpu\?"),
        ({"vendor": "nvida"}, r"unknown vendor 'nvida'; did you mean nvidia\?"),
        ({"vendor": "zzz"}, r"unknown vendor 'zzz'; expected one of NVIDIA, AMD, Google, .*Oracle"),
        ({"port_class": "nvlnk5"}, r"unknown port-class 'nvlnk5'; did you mean .*nvlink5"),
        ({"confidence": "guessed"}, r"unknown confidence 'guessed'; expected one of .*assumed"),
        ({"source": "sa-vx"}, r"unknown source 'sa-vx'; did you mean .*sa-vr"),
        ({"source": "?"}, r"unknown source '\?'; expected one of .* and \d+ more$"),
        ({"planes": "3"}, r"unknown planes '3'; expected one of 1, 4"),
        ({"kind": "gpu", "vendor": "gpu"}, r"unknown vendor 'gpu'"),
    ],
)
def test_unknown_value(conditions, match):
    with pytest.raises(PartError, match=match):
        select(**conditions)


# --- one row by name -----------------------------------------------------------------------------------


def test_every_row_is_found_by_its_id():
    assert [name for name in ROWS if find_entry(name) is not ROWS[name]] == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("c2c-vera", "nvlink_c2c_vera"),
        ("ConnectX-8 SuperNIC", "cx8"),
        ("connectx 8", "cx8"),
        ("H100", "h100_sxm5"),  # in an id before in a name
        ("Ironwood", "tpu_v7"),
        ("Grace CPU", "grace"),
        ("Q3450-LD", "q3450"),
        ("7060X6-64PE", "arista_7060x6_64pe"),
        ("Z9864F-ON", "dell_z9864f"),
        ("QFX5240-64OD", "juniper_qfx5240_64od"),
        ("DS5000", "celestica_ds5000"),
        ("AIS800-64O", "edgecore_ais800_64o"),
        ("Pollara 400", "pollara400"),
        ("BCM57608", "thor2"),
        ("E810-CQDA2", "e810"),
    ],
)
def test_by_a_piece_of_a_name(name, found):
    assert find_entry(name).id == found


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("sn5601", r"unknown part 'sn5601'; did you mean .*sn5600"),
        ("toaster", r"unknown part 'toaster'; fabtopo parts lists all"),
        ("sn56", r"'sn56' is in sn5600, sn5610; name one of them"),
        ("trainium", r"'trainium' is in trainium2, .*trainium1; name one of them"),
        ("v", r"'v' is in v100_sxm, .* and \d+ more; name one of them"),
        ("-", r"unknown part '-'"),
        ("", r"unknown part ''"),
    ],
)
def test_no_row_or_several(name, match):
    with pytest.raises(PartError, match=match):
        find_entry(name)


# --- figures -------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_files():
    wanted = sorted(cells())
    found = sorted(
        (row.id, f.port_class, f.name, f"{f.value}", f"{f.evidence.confidence}:{'+'.join(f.evidence.source)}")
        for row in ROWS.values()
        for f in figures_of(row)
    )
    assert len(found) == len(wanted) > 600
    for one, other in zip(found, wanted, strict=True):
        assert (*one[:3], one[4]) == (*other[:3], other[4])
        assert one[3] == other[3] or float(one[3]) == float(other[3])


def test_every_figure_has_words_and_every_measure_a_unit():
    names = {column for *_, column, _, _ in cells()}
    bare = {name for name in names if not label(name)[1]}
    assert bare == {
        "year", "planes", "in_network_reduction", "n_ports", "n_cores", "n_cables", "modes", "layers",
        "ports_per_cage",
    }  # fmt: skip
    for row in ROWS.values():
        own = [f.name for f in figures_of(row) if not f.port_class]
        assert len({label(name) for name in own}) == len(own)
    assert "_" not in "".join(label(name)[0] for name in names)


def test_sources_are_all_those_behind_the_figures():
    used = {name for row in ROWS.values() for name in sources_of(row)}
    assert used == set(catalogue().sources)
    assert sources_of(ROWS["sn5600"]) == ("nv-sn5000", "own", "dc-survey", "tekdeeps-sn5600", "probsee")
    assert sources_of(ROWS["ici"]) == ("google-ocs",)  # without any figure


def test_protocols_of_ports():
    spoken = {
        (part.id, port.name): [p.id for p in protocols_of(port)]
        for part in catalogue().parts.values()
        for port in part.ports
    }
    assert spoken["gb300_gpu", "c2c"] == ["nvlink_c2c_grace"]
    assert spoken["vera", "c2c"] == ["nvlink_c2c_vera"]
    assert spoken["cx8", "pcie"] == ["pcie6_x16"]
    assert spoken["cx8", "network"] == ["ethernet_400g", "infiniband_xdr"]
    assert spoken["q3400", "network"] == ["infiniband_xdr"]
    assert spoken["efa_v3", "network"] == ["ethernet_200g", "efa_200g"]
    assert all(names for (_, name), names in spoken.items() if name != "network")


def test_by_link_layer():
    assert set(ids(layer="infiniband", kind="switch")) == {"qm8700", "qm9700", "q3400", "q3200", "q3450"}
    assert ids(layer="NVLink-C2C", kind="protocol") == ["nvlink_c2c_grace", "nvlink_c2c_vera"]
    assert ids(layer="EFA", kind="nic") == ["efa_v1", "efa_v2", "efa_v3", "efa_v4"]
