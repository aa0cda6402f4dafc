"""`fabtopo parts` as a user runs it."""

import csv
import io
import json

import pytest

from fabric.parts import catalogue, entries, figures_of, sources_of
from fabric.reporting.parts_page import parts_page
from tests.cli import command


def run(*arguments):
    return command.run("parts", *arguments)


def listed(*arguments):
    """Return the ids that a list shows."""
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")
    return [line.split()[0] for line in done.out.splitlines()[1:]]


def test_list():
    assert listed() == list(entries())
    assert "cx8" in run().out
    assert "3 x 968 Gb/s (121 GB/s) pcie" in run().out


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--kind", "host"), ["grace", "vera", "graviton4", "graviton5"]),
        (
            ("--vendor", "amd"),
            ["mi300x", "mi325x", "mi350x", "mi355x", "mi455x", "vulcano", "pollara400", "ualoe_th6"],
        ),
        (("--port-class", "nvlink2"), ["v100_sxm", "nvswitch1", "nvlink2"]),
        (("--source", "brcm-thu"), ["tomahawk_ultra"]),
        (("--planes", "4"), ["sn6800", "q3400", "q3450"]),
        (("--search", "fusion trainium4"), ["trainium4", "nvlink_fusion"]),
        (("--kind", "gpu", "--confidence", "reported", "--vendor", "Google"), ["tpu_8t"]),
    ],
)
def test_options_choose(options, found):
    assert sorted(listed(*options)) == sorted(found)
    assert [row["id"] for row in json.loads(run(*options, "--json").out)] == listed(*options)


def test_nothing_is_an_answer():
    asked = ("--kind", "gpu", "--planes", "4")
    assert run(*asked).out == "nothing in the catalogue meets all of this\n"
    assert json.loads(run(*asked, "--json").out) == []


@pytest.mark.parametrize("name", ["gb300_gpu", "sn5600", "q3400", "pcie5_x16", "opt_1600", "tpu_8t"])
def test_a_row_is_explained(name):
    text = run(name).out
    row = entries()[name]
    assert text.startswith(f"{name}: {getattr(row, 'name', 'link protocol')}\n")
    assert row.note in text
    for figure in figures_of(row):
        assert figure.evidence.confidence in text
        assert ", ".join(figure.evidence.source) in text
    for source in sources_of(row):
        known = catalogue().sources[source]
        assert f"  source {source}: {known.title} ({known.locator})\n" in text


def test_what_an_explanation_says():
    text = " ".join(run("cx8").out.split())
    for piece in (
        "year 2025 published nv-cx8-fw",
        "latency 600 ns assumed own",
        "power typical 50 W assumed own",
        "network rate 800 Gb/s (100 GB/s) per direction published",
        "network breakout 1 x 800G, 2 x 400G, 8 x 100G assumed own, nv-cx8-fw",
        "network link layers Ethernet:400 InfiniBand published nv-cx8-fw",
        "pcie ports 3 derived sa-vr",
        "pcie in all 2.904 Tb/s (363 GB/s) per direction, 5.808 Tb/s (726 GB/s) for the sum of both",
        "pcie ports: speak pcie6_x16; 48 lanes",
        "templates: dgx-b300, gb300-nvl72",
        "https://docs.nvidia.com",
    ):
        assert piece in text
    assert "planes 4 reported sa-vr" in " ".join(run("q3400").out.split())
    assert "templates: none" in run("acceleron").out
    assert run("pcie5").out == run("pcie5_x16").out
    assert run("connectx-8").out == run("cx8").out


def test_json_of_a_row():
    found = json.loads(run("cx8", "--json").out)
    assert found == json.loads(run("cx8", "--format", "json").out)
    assert (found["id"], found["kind"]) == ("cx8", "nic")
    assert found["protocols"] == {"network": ["ethernet_400g", "infiniband_xdr"], "pcie": ["pcie6_x16"]}
    assert "gb300-nvl72" in found["templates"]
    assert set(found["sources"]) == {"nv-cx8-fw", "own", "sa-vr"}
    assert found["sources"]["own"]["title"].startswith("Engineering knowledge")
    assert json.loads(run("nvlink5", "--json").out)["kind"] == "protocol"


def test_forms():
    assert run("--format", "md").out == parts_page(list(entries().values()))
    assert "## CPUs" not in run("--format", "md", "--kind", "nic").out
    lines = list(csv.DictReader(io.StringIO(run("--format", "csv", "--kind", "nic").out)))
    assert {line["kind"] for line in lines} == {"nic"}
    assert [line["id"] for line in csv.DictReader(io.StringIO(run("cx4", "--format", "csv").out))] == [
        "cx4"
    ] * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sn5601",), "unknown part 'sn5601'; did you mean"),
        (("sn56",), "'sn56' is in sn5600, sn5610; name one of them"),
        (("--vendor", "nvida"), "unknown vendor 'nvida'; did you mean nvidia?"),
        (("--port-class", "nvlnk5"), "unknown port-class 'nvlnk5'; did you mean"),
        (("cx8", "--kind", "nic"), "give the one or the other"),
        (("cx8", "--search", "nic"), "give the one or the other"),
        (("--format", "xml"), "format: text, md, csv or json; got 'xml'"),
    ],
)
def test_what_cannot_be_is_one_error(arguments, message):
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    as_json = run(*arguments, "--json")
    assert as_json.status == 2
    assert message in json.loads(as_json.out)["message"]
