"""Every command as a user runs it: output, documented JSON keys, exit status, one clear error."""

import importlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import typer

from fabric.cli import app as command_line
from fabric.errors import option
from fabric.flow import lp
from tests.cli.command import run

ROOT = Path(__file__).parents[2]
RACK = str(ROOT / "topologies/gb300-nvl72.fabric.yaml")
SMALL = """
fabric: small
axes: {rack: 2, slot: 4, spine: 2}
devices:
  gpu:   {kind: gpu, axes: [rack, slot]}
  leaf:  {kind: switch, axes: [rack]}
  spine: {kind: switch, axes: [spine]}
links:
  - {between: [gpu, leaf], rate: 400Gb/s, each: [1, 4]}
  - {between: [leaf, spine], rate: 400Gb/s, each: [2, 2]}
"""


def test_the_module_runs_as_a_command():
    command = [sys.executable, "-m", "fabric.cli", "check", RACK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "72 gpu" in done.stdout


def answer(*arguments):
    done = run(*arguments)
    assert done.status == 0, done.err
    assert done.err == ""
    return done.out


@pytest.fixture
def small(tmp_path):
    file = tmp_path / "small.fabric.yaml"
    file.write_text(SMALL)
    return file


def test_help_lists_every_command():
    text = answer("--help")
    for command in (
        "check",
        "show",
        "max-flow",
        "throughput",
        "bottleneck",
        "bound",
        "cost",
        "report",
        "parts",
        "schema",
    ):
        assert command in text
    assert answer() == text


def test_help_says_what_every_command_does_in_full():
    text = " ".join(answer("--help").split())
    for name, command in typer.main.get_command(command_line.app).commands.items():
        first = command.help.partition("\n\n")[0]
        assert f"{name} {' '.join(first.split())} " in text


def test_help_has_the_order_of_the_manual():
    rows = re.findall(r"^\| `([a-z-]+) ?", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
    commands = typer.main.get_command(command_line.app).commands
    assert [*commands] == [name for name in dict.fromkeys(rows) if name in commands]


def test_messages_name_options_that_exist():
    """Every argument that any message names, as the sources have it, is an option of a command."""
    commands = typer.main.get_command(command_line.app).commands.values()
    known = {text for command in commands for one in command.params for text in one.opts}
    named = set()
    for file in (ROOT / "fabric").rglob("*.py"):
        named |= set(re.findall(r"\bsetting\(\s*[\"'](\w+)[\"']", file.read_text()))
    assert {"among", "over", "drop_unreachable", "planes", "breakout"} <= named
    assert {option(name) for name in named} - known == {"--base"}, "base is Python's alone"


def test_messages_speak_the_language_of_the_command_line():
    file = ROOT / "topologies/systems/seven-chips.fabric.yaml"
    for command in (("throughput",), ("cost", "--collective", "all-gather")):
        done = run(*command[:1], file, *command[1:])
        assert done.status == 2
        assert done.err.endswith("say among which, such as --among vr.gpu\n")
        with_json = run(*command[:1], file, *command[1:], "--json")
        assert "such as --among vr.gpu" in json.loads(with_json.out)["message"]


def test_a_large_program_is_announced_on_a_terminal(small, monkeypatch):
    asked = ("throughput", small)
    assert run(*asked).err == ""
    monkeypatch.setattr(lp, "ALL_VARIABLES", 5)
    # What is as large is not solved again for its slack.
    monkeypatch.setattr(importlib.import_module("fabric.flow.throughput"), "MANY_VARIABLES", 5)
    assert run(*asked).err == ""
    monkeypatch.setattr(io, "StringIO", type("Terminal", (io.StringIO,), {"isatty": lambda _: True}))
    assert re.fullmatch(r"solving \d+ variables; --among makes it smaller\n", run(*asked).err)
    # A bottleneck solves the same program several times.
    lines = run("bottleneck", small).err.splitlines()
    assert len(lines) == len(set(lines)) >= 1
    monkeypatch.setattr(lp, "ALL_VARIABLES", 1000)
    assert run(*asked).err == ""


def test_version():
    assert re.fullmatch(r"fabtopo \d+\.\d+\.\d+\n", answer("--version"))


def test_check(small):
    assert answer("check", small) == f"{small}: ok: small: 8 gpu, 2 leaf, 2 spine; 12 cables\n"
    assert json.loads(answer("check", small, "--json")) == {
        "status": "ok",
        "name": "small",
        "devices": {"gpu": 8, "leaf": 2, "spine": 2},
        "cables": {"gpu-leaf": 8, "leaf-spine": 4},
        "skipped": [],
        "notes": [],
        "expectations": [],
    }


def test_check_says_what_it_skipped(tmp_path):
    file = tmp_path / "large.fabric.yaml"
    many = SMALL.replace("rack: 2", "rack: 10M").replace(", each: [2, 2]", "")
    file.write_text(many)
    assert (
        answer("check", file)
        == f"{file}: ok: small: 40,000,000 gpu, 10,000,000 leaf, 2 spine; 60,000,000 cables\n"
    )
    file.write_text(f"{many}  - {{between: [leaf, leaf], ring: rack, rate: 800Gb/s}}\n")
    text = answer("check", file)
    assert text.startswith(
        f"{file}: ok: small: 40,000,000 gpu, 10,000,000 leaf, 2 spine; cables not counted\n"
    )
    assert "not checked: islands and reachability: axis rack has 10,000,000 indices" in text


def test_show(small):
    text = answer("show", small)
    assert "└─ slot × 4" in text
    assert re.search(r"leaf +3\.2 Tb/s \(400 GB/s\) +1\.6 Tb/s \(200 GB/s\) +2:1", text)
    tables = json.loads(answer("show", small, "--json"))
    assert tables["n_endpoints"] == 8
    assert [(one["name"], one["n_cables"], one["capacity_gbps"]) for one in tables["links"]] == [
        ("gpu-leaf", 8, 3200.0),
        ("leaf-spine", 4, 1600.0),
    ]
    assert {t["name"]: t["ratio"] for t in tables["tiers"]} == {"leaf": 2.0, "spine": None}


def test_max_flow(small):
    assert "2 leaf-spine cables, 800 Gb/s (100 GB/s)" in answer(
        "max-flow", small, "--from", "rack0", "--to", "rack1"
    )
    found = json.loads(answer("max-flow", small, "--from", "rack0", "--to", "rack1", "--json"))
    assert found["value_gbps"] == 800.0
    assert found["status"] == "optimal"
    assert found["cut"] == [
        {"link": "leaf-spine", "n_cables": 2, "capacity_gbps": 800.0, "devices": [], "n_more": 0}
    ]
    assert set(found) == {
        "source", "target", "value_gbps", "status", "cut", "tied", "paths", "without_relay_gbps",
        "method", "why", "n_classes", "certificate", "n_failed", "cut_off", "damage",
    }  # fmt: skip


WIRE = ("--calibration", "wire")


def test_cost(small):
    found = json.loads(answer("cost", small, "--collective", "all-to-all", "--size", "1GB", *WIRE, "--json"))
    # 4 of 7 peers are across: 4 GPUs x 4/8 GB leave each leaf over 2 x 400 Gb/s.
    assert found["time_s"] == pytest.approx(4 * 4 / 8 * 8 / 800)
    assert found["busbw_gbps"] == pytest.approx(found["algbw_gbps"] * 7 / 8)
    assert found["binding"] == found["chosen"]["binding"] == "leaf-spine"
    assert found["chosen"]["slack"] == [
        {"link": "gpu-leaf", "idle": pytest.approx(1 - (7 / 8 * 8 / 400) / 0.02)}
    ]
    assert found["calibration"] == "wire"
    assert "zero latency" in found["about"]
    text = answer("cost", small, "--collective", "all-reduce", "--size", "1GiB", *WIRE)
    assert "* hierarchical" in text
    assert "ring" in text
    assert "zero latency" in text
    expected = answer("cost", small, "--collective", "all-reduce", "--size", "1GiB")
    assert "  expected: " in expected
    assert "  wires: busbw " in expected
    assert max(map(len, expected.splitlines())) <= 80


def test_cost_among_and_algorithm(small):
    found = json.loads(
        answer(
            "cost",
            small,
            "--collective",
            "all-reduce",
            "--size",
            "1GB",
            "--among",
            "rack0",
            "--algorithm",
            "ring",
            *WIRE,
            "--json",
        )
    )
    assert found["n_ranks"] == 4
    assert found["chosen"]["algorithm"] == "ring"
    assert found["time_s"] == pytest.approx(2 * 3 / 4 * 8 / 400)


def test_throughput(small):
    found = json.loads(answer("throughput", small, "--json"))
    # 4 of 7 peers are across: every leaf sends 4 x 4/7 of the rate over 2 x 400 Gb/s.
    assert found["per_endpoint_gbps"] == pytest.approx(800 * 7 / 16)
    assert found["status"] == "optimal"
    assert found["binding"][0]["link"] == "leaf-spine"
    assert found["method"] == "axes"
    assert {"n_classes", "n_variables", "certificate", "paths", "value_gbps"} <= set(found)
    text = answer("throughput", small, "--over", "slot")
    assert "400 Gb/s (50 GB/s) each" in text
    assert "binding: gpu-leaf" in text
    shifted = json.loads(answer("throughput", small, "--traffic", "shift", "--over", "rack", "--json"))
    assert shifted["per_endpoint_gbps"] == pytest.approx(200)


def test_bottleneck(small):
    found = json.loads(answer("bottleneck", small, "--json"))
    (price,) = found["binding"]
    assert price["link"] == "leaf-spine"
    assert price["share"] == pytest.approx(1)
    assert price["gain"] == pytest.approx(0.1)
    assert price["loss"] == pytest.approx(0.1)
    assert found["next_binding"] == ["gpu-leaf"]
    assert found["next_gbps"] == pytest.approx(400)
    assert found["throughput"]["per_endpoint_gbps"] == pytest.approx(350)


def test_bound(small):
    found = json.loads(answer("bound", small, "--collective", "all-gather", "--size", "1GB", "--json"))
    # A leaf takes in 4 of 8 parts over 2 x 400 Gb/s, a GPU 7 of 8 over 400 Gb/s: the GPU binds.
    assert found["algbw_gbps"] == pytest.approx(400 * 8 / 7)
    assert found["time_s"] == pytest.approx(8 * 7 / 8 / 400)
    assert "busbw at most" in answer("bound", small, "--collective", "all-reduce")


def test_failures_are_named(tmp_path):
    file = tmp_path / "failed.fabric.yaml"
    three = SMALL.replace("rack: 2", "rack: 3").replace("each: [2, 2]", "each: [2, 3]")
    file.write_text(three + "failed: [leaf0]\n")
    cut_off = "cut off: 4 endpoints such as rack0/gpu0; --drop-unreachable leaves them out\n"
    assert cut_off in answer("throughput", file)
    assert "leaves them out" not in answer("throughput", file, "--drop-unreachable")
    assert "350 Gb/s (43.75 GB/s) each" in answer("throughput", file, "--drop-unreachable")
    # One rule for every verb: what is cut off is named, the rate is 0, and that is an answer.
    assert cut_off in answer("bottleneck", file)


def test_report(small, tmp_path):
    out = tmp_path / "a" / "b"
    found = json.loads(answer("report", small, "-o", out, "--html", "--json"))
    names = {f.name for f in out.iterdir()}
    assert {
        "README.md",
        "report.html",
        "staircase.svg",
        "upgrades.svg",
        "failures.svg",
        "wiring.svg",
    } <= names
    assert found["files"] == sorted(str(out / name) for name in names)
    assert found["report"] == str(out / "README.md")
    assert "leaf-spine" in (out / "README.md").read_text()


def test_a_report_of_changes_tells_by_its_status(small, tmp_path):
    other = tmp_path / "other.fabric.yaml"
    other.write_text(small.read_text().replace("400Gb/s", "200Gb/s"))
    for before, status in ((small, 0), (other, 1)):
        done = run("report", "--diff", before, small, "-o", tmp_path / "changes", "--html")
        assert (done.status, done.err) == (status, "")
        page = (tmp_path / "changes" / "README.md").read_text()
        assert ("facts changed" in page) == bool(status)
        assert f"`fabtopo report --diff {before.name} {small.name} -o DIR`" in page
    assert (tmp_path / "changes" / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_schema_is_one():
    schema = json.loads(answer("schema"))
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.some(10)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "none.fabric.yaml"], r"none\.fabric\.yaml:1:1: .*not found"),
        (["check", "."], r"\.:1:1: .*"),
        (["show", "none.fabric.yaml"], r"not found"),
        (["max-flow", RACK, "--from", "rack0", "--to", "tray1"], r"no device group or axis 'rack'"),
        (["max-flow", RACK, "--from", "tray0", "--to", "tray0-1"], r"share 4 devices, such as tray0/gpu0"),
        (["max-flow", RACK, "--from", "tray0", "--to", "tray99"], r"tray99.* matches nothing"),
        (
            ["max-flow", RACK, "--from", "tray0", "--to", "tray1", "--paths", "all"],
            r"expected rules, no-relay or any",
        ),
        (["cost", RACK, "--collective", "all-reduce", "--size", "1"], r"^$|."),
        (
            ["cost", RACK, "--collective", "allreduce", "--size", "1GiB"],
            r"unknown collective 'allreduce'; did you mean all-reduce",
        ),
        (["cost", RACK, "--collective", "gossip"], r"send-recv; of a mixture .* dispatch and combine"),
        (["bound", RACK, "--collective", "allgather"], r"did you mean all-gather"),
        (["bound", RACK, "--collective", "allgather", "--kind", "chunks"], r"did you mean all-gather"),
        (
            ["cost", RACK, "--collective", "all-reduce", "--calibration", "foo"],
            r"known are measured, wire, nccl, or give a file",
        ),
        (["cost", RACK, "--collective", "all-reduce", "--calibration", "ncl"], r"did you mean nccl\?"),
        (["cost", RACK, "--collective", "all-reduce", "--size", "1GB.."], r"'1GB\.\.': upper end missing"),
        (["cost", RACK, "--collective", "all-reduce", "--size", "1 gib"], r"did you mean"),
        (
            ["cost", RACK, "--collective", "all-reduce", "--size", "1GiB", "--routing", "best"],
            r"routing: got .*; expected ecmp",
        ),
        (["cost", RACK, "--collective", "all-reduce", "--size", "1GiB", "--among", "nic"], r"no endpoint"),
        (["throughput", RACK, "--traffic", "gossip"], r"--traffic: got 'gossip'; expected all-to-all"),
        (["throughput", RACK, "--over", "trey"], r"no axis 'trey'; did you mean tray"),
        (["throughput", RACK, "--traffic", "one-to-all", "--root", "tray0"], r"exactly one device"),
        (["bound", RACK, "--collective", "scan"], r"unknown collective 'scan'"),
        (["parts", "sn5601"], r"unknown part 'sn5601'; did you mean"),
        (["parts", "--kind", "gpus"], r"unknown kind 'gpus'; did you mean gpu\?"),
        (["nonsense"], r"No such command"),
    ],
    ids=lambda value: "-".join(value)[:60] if isinstance(value, list) else None,
)
def test_errors_are_one_message_and_status_2(arguments, message):
    if arguments[-1] == "1":  # one byte is a size like any other
        assert run(*arguments).status == 0
        return
    done = run(*arguments)
    assert done.status == 2
    assert "Traceback" not in done.err + done.out
    assert re.search(message, done.err), done.err


def test_a_report_that_cannot_be_written_is_one_error(tmp_path):
    lone = tmp_path / "lone.fabric.yaml"
    lone.write_text("{fabric: lone, axes: {i: 1}, devices: {gpu: {kind: gpu, axes: [i]}}}")
    done = run("report", lone, "-o", "/proc/none")
    assert done.status == 2
    assert re.fullmatch(r"/proc/none: cannot be written: .*\n", done.err), done.err


def test_errors_as_json(tmp_path):
    file = tmp_path / "bad.fabric.yaml"
    file.write_text(SMALL.replace("400Gb/s", "400", 1).replace("[spine]", "[spin]"))
    done = run("check", file, "--json")
    assert done.status == 2
    found = json.loads(done.out)
    assert found["status"] == "error"
    assert [(p["line"], p["where"]) for p in found["problems"]] == [
        (7, "devices.spine"),
        (9, "links.gpu-leaf.rate"),
    ]
    assert set(found["problems"][0]) == {"path", "line", "col", "where", "what", "got", "expected", "todo"}


def test_all_errors_of_a_file_at_once(tmp_path):
    file = tmp_path / "bad.fabric.yaml"
    file.write_text(
        SMALL.replace("400Gb/s", "400gbps", 1).replace("[spine]", "[spin]").replace("[1, 4]", "[1, 5]")
    )
    done = run("check", file)
    assert done.status == 2
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{file}:7:")
    assert "did you mean spine?" in lines[0]
    assert lines[1].startswith(f"{file}:9:")
    assert "800" not in lines[1]


@pytest.mark.some(1)
@pytest.mark.parametrize("arguments", [["parts"], ["parts", "--json"], ["--help"]], ids=" ".join)
def test_a_reader_that_leaves_is_no_error(arguments):
    command = [sys.executable, "-m", "fabric.cli", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        done.stdout.close()
        assert (done.wait(), done.stderr.read()) == (0, "")


def test_max_flow_names_devices(small):
    asked = ("max-flow", small, "--from", "rack0", "--to", "rack1")
    assert "\n    leaf0 -> spine0-1: 2 cables\n" in answer(*asked, "--devices")
    found = json.loads(answer(*asked, "--devices", "--json"))
    (cut,) = found["cut"]
    assert cut["devices"] == [{"tail": "leaf0", "head": "spine0-1", "n_cables": 2}]
    assert cut["n_more"] == 0


def test_bound_by_hops(small):
    asked = ("bound", small, "--collective", "all-to-all", "--kind")
    assert answer(*asked, "cut") == answer(*asked[:-1])
    # Two leaves with 2 x 400 Gb/s up and 4 GPUs each; every cable is passed twice.
    assert "at most 200 Gb/s (25 GB/s) each, 800 Gb/s (100 GB/s) per switch\n  tub: 0.5 of" in answer(
        *asked, "tub"
    )
    found = json.loads(answer(*asked, "tub", "--json"))
    assert (found["kind"], found["per_endpoint_gbps"], found["per_node_gbps"]) == ("tub", 200.0, 800.0)
    assert set(found) == {
        "collective", "status", "kind", "per_endpoint_gbps", "per_node_gbps", "throughput", "node", "n_nodes",
        "n_endpoints", "degree", "mean_hops", "holds",
    }  # fmt: skip
    done = run(*asked, "path-length")
    assert done.status == 2
    assert "have 0 to 4 endpoints" in done.err
    assert "unknown kind of bound 'hop'" in run(*asked, "hop").err


# Of these the format is that of another tool, and --json says what became of it.
OF_OTHER_TOOLS = {"export", "import", "audit"}
DESIGN = ("--gpus", "72..144", "--rack", "gb300-nvl72", "--leaf", "sn5610")


def commands_with_forms():
    """The commands whose answers have several forms, by their options."""
    commands = typer.main.get_command(command_line.app).commands
    both = {"--format", "--json"}
    return sorted(
        name
        for name, command in commands.items()
        if name not in OF_OTHER_TOOLS and both <= {word for one in command.params for word in one.opts}
    )


@pytest.mark.parametrize("command", commands_with_forms())
def test_two_forms_of_one_answer_are_refused(small, command):
    """An option that is given is never overruled by another: `--format csv --json` printed JSON or CSV."""
    files = {"diff": [str(small)] * 2, "parts": [], "scale": DESIGN}.get(command, [str(small)])
    form = {"check": "sarif"}.get(command, "md")
    done = run(command, *files, "--format", form, "--json")
    why = f"--json and --format {form} ask for two forms of one answer; give the one or the other"
    assert (done.status, json.loads(done.out)["message"]) == (2, why)


def test_the_same_form_twice_is_one_form(small):
    once = answer("bom", str(small), "--json")
    assert answer("bom", str(small), "--format", "json", "--json") == once
    assert answer("bom", str(small), "--format", "json") == once


def test_commands_with_forms_are_found():
    assert {"bom", "cables", "check", "diff", "failures", "place", "train"} <= set(commands_with_forms())


def test_an_option_of_one_value_given_twice_is_refused():
    """What the user gave is never overruled silently: click takes the last."""
    tried = 0
    for name, command in command_line._command().commands.items():
        for one in command.params:
            if one.param_type_name != "option" or one.is_flag or one.multiple:
                continue
            spelled = max(one.opts, key=len)
            with pytest.raises(command_line._UsageError, match=f"{spelled} is given 2 times, and takes one"):
                command.make_context(name, [spelled, "1", spelled, "2"])
            tried += 1
    assert tried > 150
    given = run("cost", "x.fabric.yaml", "--size", "1GiB", "--size", "2GiB", "--json")
    assert given.status == 2
    assert "--size is given 2 times" in given.out + given.err
