"""The commands that design a fabric and bill it, as a user runs them."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest

import fabric
from tests.cli.command import run

ROOT = Path(__file__).parents[2]
FILE = ROOT / "topologies/gb300-nvl72-1152.fabric.yaml"
SIZES = ("scale", "--gpus", "8..64", "--rack", "hgx-h100")
POD = ("design", "--gpus", 1000, "--rack", "hgx-h100", "--leaf", "qm9700")


def test_a_design_is_written_and_is_a_sound_file(tmp_path):
    file = tmp_path / "pod.fabric.yaml"
    done = run(*POD, "-o", file)
    assert (done.status, done.err) == (0, "")
    assert "1,000 GPUs (1,000 asked for); 32 leaf, 16 spine" in done.out
    pod = fabric.load(file)
    assert pod.blueprint.n_devices("leaf") == 32
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    assert run("check", file).status == 0


def test_a_design_is_printed_or_explained():
    text = run(*POD).out
    assert fabric.loads(text).blueprint.n_devices("spine") == 16
    explained = run(*POD, "--explain").out
    assert "spines: 16 for 32 leaves" in explained
    assert "fabric:" not in explained


def test_json_of_a_design():
    found = json.loads(run(*POD, "--json").out)
    assert found["switches"] == {"leaf": 32, "spine": 16}
    assert (found["asked"], found["gpus"], found["populated"], found["tiers"]) == (1000, 1000, 1000, 2)
    assert fabric.loads(found["text"]).name
    assert any("spines: 16" in line for line in found["explain"])


def test_options_of_a_design():
    wide = json.loads(run(*POD, "--oversubscription", "leaf=3", "--json").out)
    assert wide["cables"]["leaf-spine"] < wide["cables"]["nic-leaf"]
    part = json.loads(run(*POD, "--populated", 504, "--json").out)
    assert part["populated"] == 504
    assert json.loads(run("design", "--preset", "eight-planes", "--json").out)["gpus"] >= 131_072


@pytest.mark.some(8)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("design", "--gpus", 8), "--rack, --leaf missing; or give a --preset"),
        (("design", "--preset", "moon"), "moon"),
        ((*POD, "--oversubscription", "three"), "'three' is not such as leaf=..., of leaf, spine"),
        ((*POD, "--tiers", "many"), "--tiers: got 'many'; expected a whole number or auto"),
        ((*POD, "--tiers", "1"), "GPUs"),
        ((*POD, "--planes", "3"), "nearest that work: --planes 1; --planes 2; --planes 4"),
        (
            (
                "design",
                "--gpus",
                131_072,
                "--rack",
                "gb300-nvl72",
                "--leaf",
                "512x100G",
                "--planes",
                8,
                "--tiers",
                2,
            ),
            "nearest that work: --tiers 3; --rail-groups 2; --breakout leaf=50G; "
            "--oversubscription leaf=5:4; --gpus 129024",
        ),
        (
            ("design", "--gpus", 8, "--rack", "hgx", "--leaf", "sn5610"),
            "rack: no template 'hgx'; 'hgx' is in hgx-",
        ),
        ((*POD, "-o", "/nowhere/at/all.yaml"), "cannot be written"),
        (("bom", FILE, "--prices", "none.csv"), "none.csv: file not found"),
        (("bom", FILE, "--prices", ROOT), f"{ROOT}: is a directory, not a file"),
        ((*SIZES, "--leaf", "foo"), "unknown part 'foo'"),
        ((*SIZES, "--leaf", "64x400G", "--rack", "foo"), "rack: no template 'foo'"),
        ((*SIZES, "--leaf", "64x400G", "--spine", "foo"), "unknown part 'foo'"),
        ((*SIZES, "--leaf", "64x400G", "--core", "foo"), "unknown part 'foo'"),
        ((*SIZES, "--leaf", "64x400G", "--planes", "3"), "nearest that work: --planes 1"),
        ((*SIZES, "--leaf", "64x400G", "--gpus", "8.."), "range '8..': upper end missing"),
        (("bom", ROOT / "topologies/gb300-nvl72.fabric.yaml", "--format", "xml"), "text, md, csv or json"),
    ],
)
def test_what_cannot_be_is_one_error(arguments, message):
    done = run(*arguments)
    assert done.status == 2
    assert message in done.err
    assert "Errno" not in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    with_json = run(*arguments, "--json")
    assert (with_json.status, with_json.err) == (2, "")
    assert message in json.loads(with_json.out)["message"]


def test_bill_in_every_form():
    file = ROOT / "topologies/gb300-nvl72-1152.fabric.yaml"
    found = json.loads(run("bom", file, "--json").out)
    assert found == json.loads(run("bom", file, "--format", "json").out)
    assert "1,152 GPUs" in run("bom", file).out
    assert run("bom", file, "--format", "md").out.count("|") > 50
    rows = list(csv.reader(io.StringIO(run("bom", file, "--format", "csv").out)))
    assert len({len(row) for row in rows}) == 1
    spared = run("bom", file, "--spares", 5, "--prices", "indicative", "--racks-per-row", 8).out
    assert "USD" in spared


def test_scale():
    asked = ("scale", "--rack", "hgx-h100", "--leaf", "16x400G", "--gpus", "64,256")
    found = json.loads(run(*asked, "--json").out)
    assert [row["gpus"] for row in found["rows"]] == [64, 256]
    assert {"gpus": 136, "what": "tiers", "before": "2", "after": "3"} in found["knees"]
    assert (found["calibration"], "Published measurements" in found["about"]) == ("measured", True)
    assert [b["collective"] for b in found["rows"][0]["bounds"]] == ["all-gather", "all-reduce"]
    plain = run(*asked[:-1], "64", "--no-knees", "--format", "csv").out
    assert plain.splitlines()[0].startswith("gpus,tiers,")
    assert len(plain.splitlines()) == 2
    text = run(*asked[:-1], "64", "--no-knees", "--calibration", "wire").out
    assert re.search(r"^ *64 +2 ", text, re.MULTILINE)
    assert "| 64 | 2 |" in run(*asked[:-1], "64", "--no-knees", "--format", "md").out
    assert "\nCollectives of 1 GiB, calibration wire: Wire rates and zero latency" in text
    wrong = run(*asked, "--format", "xml")
    assert (wrong.status, wrong.err.strip()) == (2, "format: text, md, csv or json; got 'xml'")


def test_points_are_those_of_a_range():
    wanted = (
        *SIZES,
        "--leaf",
        "16x400G",
        "--collectives",
        "broadcast",
        "--no-knees",
        "--calibration",
        "wire",
        "--json",
    )
    assert [row["gpus"] for row in json.loads(run(*wanted, "--points", 2).out)["rows"]] == [8, 64]
    wrong = run(*("8,64" if word == "8..64" else word for word in wanted), "--points", 2)
    assert wrong.status == 2
    assert json.loads(wrong.out)["message"].startswith("points: a range of sizes has them")


def test_growth():
    asked = ("design", "--gpus", "2048", "--rack", "hgx-h100", "--leaf", "qm9700", "--grow", "512")
    first, last = json.loads(run(*asked, "--json").out)["phases"]
    assert (first["gpus"], last["gpus"]) == (512, 2048)
    assert (first["added_switches"], last["added_switches"]) == (
        {"leaf": 16, "spine": 32},
        {"leaf": 48, "spine": 0},
    )
    text = run(*asked).out
    assert "512 GPUs: 64 racks, 16 leaf, 32 spine more" in text
    assert "moves: none; sized alone it would move 384 leaf-spine" in text
    wrong = run(*asked[:-1], "512,256")
    assert (wrong.status, wrong.out) == (2, "")
    assert "expected rising numbers" in wrong.err


def test_the_million_is_as_its_own_command_writes_it():
    text = (ROOT / "topologies/million.fabric.yaml").read_text()
    (about,) = (note for note in fabric.loads(text).blueprint.notes if note.startswith("million: "))
    command = re.search(r"as written by: fabtopo (.*?)\. Assumed", about)[1].split()
    said = re.search(r"A scenario.*?on one leaf\.", about)[0]
    assert run(*command, "--about", said).out == text
    assert sum(json.loads(run(*command, "--json").out)["switches"].values()) == 9957


def test_values_by_tier_on_the_command_line():
    asked = (*POD, "--breakout", "leaf=200G,nic=400G", "--reserve", "leaf=4,spine=2", "--stripes", "uneven")
    found = json.loads(run(*asked, "--json").out)
    text = fabric.loads(found["text"]).blueprint
    rates = {rule.name: rule.rate_gbps for rule in text.rules if rule.net == "scale-out"}
    assert (rates["nic-leaf"], rates["leaf-spine"]) == (400, 200)
    explained = " ".join(found["explain"])
    assert "60 of 64 ports" in explained
    assert found["warnings"] == ["near a cliff: 40 GPUs fewer (960) need 48 switches, not 57"]


def test_warnings_are_on_standard_error_and_in_json():
    asked = ("design", "--gpus", 2056, "--rack", "hgx-h100", "--leaf", "qm9700", "--core", "qm9700")
    done = run(*asked)
    assert done.err == "warning: near a cliff: 8 GPUs fewer (2,048) need 96 switches, not 197\n"
    assert fabric.loads(done.out).name == "hgx-h100-2056"
    idle = json.loads(run(*POD, "--core", "q3400", "--json").out)["warnings"]
    assert idle == ["--core q3400 changes nothing: with 2 tiers there is nothing of it"]
    assert "without effect: --core q3400 changes nothing" in run(*POD, "--core", "q3400", "--explain").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "eight-planes", "--gpus", 8, "--rail-groups", 2), "got --gpus, --rail-groups too"),
        (
            (*POD[1:], "--grow", "512", "--populated", 64),
            "populated: the phases say what is installed",
        ),
        ((*POD[1:], "--breakout", "0x400G"), "breakout: nic: got 0x400G; no port there gives that"),
        ((*POD[1:], "--reserve", "leaf=64"), "reserve: leaf: got 64 of the 64 ports of qm9700"),
        ((*POD[1:], "--stripes", "odd"), "--stripes: got 'odd'; expected even or uneven"),
    ],
)
def test_nothing_is_overruled_without_a_word(arguments, message):
    done = run("design", *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_points_of_a_list_of_sizes_are_refused():
    done = run(*SIZES[:1], "--gpus", "8,16", *SIZES[3:], "--leaf", "64x400G", "--points", 3)
    assert (done.status, "points: a range of sizes has them" in done.err) == (2, True)


@pytest.mark.parametrize(
    "asked",
    [
        ("--gpus", "131072", "--rack", "gb300-nvl72", "--leaf", "512x100G", "--planes", "8", "--tiers", "2"),
        ("--gpus", "64", "--rack", "hgx-h100", "--leaf", "qm9700", "--rails", "8", "--tiers", "1"),
        ("--gpus", "1152", "--rack", "gb300-nvl72", "--leaf", "sn5610", "--planes", "4"),
    ],
)
def test_remedies_work_as_they_are_typed(asked):
    done = run("design", *asked)
    assert done.status == 2
    remedies = done.err.strip().partition("nearest that work: ")[2].split("; ")
    assert len(remedies) > 2
    for remedy in remedies:
        # In the place of what was asked, or beside it.
        more = shlex.split(remedy)
        options = dict(zip(asked[::2], asked[1::2], strict=True)) | dict(
            zip(more[::2], more[1::2], strict=True)
        )
        changed = run("design", *(word for pair in options.items() for word in pair))
        assert (changed.status, changed.out[:2]) == (0, "# ")
