"""The commands that design a fabric and bill it, as a user runs them."""

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fabric
from fabric.cli import app as command_line

ROOT = Path(__file__).parents[2]
FILE = ROOT / "topologies/gb300-nvl72-1152.fabric.yaml"
SIZES = ("scale", "--gpus", "8..64", "--rack", "hgx-h100")
POD = ("design", "--gpus", 1000, "--rack", "hgx-h100", "--leaf", "qm9700")


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["fabtopo", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.main()
    except SystemExit as stop:
        return SimpleNamespace(status=stop.code or 0, out=out.getvalue(), err=err.getvalue())
    finally:
        sys.argv = before
    return SimpleNamespace(status=0, out=out.getvalue(), err=err.getvalue())


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
    assert (found["calibration"], "zero latency" in found["about"]) == ("wire", True)
    assert [b["collective"] for b in found["rows"][0]["bounds"]] == ["all-gather", "all-reduce"]
    plain = run(*asked[:-1], "64", "--no-knees", "--format", "csv").out
    assert plain.splitlines()[0].startswith("gpus,tiers,")
    assert len(plain.splitlines()) == 2
    text = run(*asked[:-1], "64", "--calibration", "measured").out
    assert "| 64 | 2 |" in text
    assert "\nCollectives of 1 GiB, calibration measured: Published measurements" in text
    wrong = run(*asked, "--format", "xml")
    assert (wrong.status, wrong.err.strip()) == (2, "format: md, csv or json; got 'xml'")


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
