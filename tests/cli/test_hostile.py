"""What is untrusted on the command line: pipes, names and texts that could steer a terminal, full disks."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fabric.cli import app as command_line

ROOT = Path(__file__).parents[2]
LOG = ROOT / "tests/interop/data/coreweave-h100.log"
CLUSTER = ROOT / "topologies/measured/h100-12-node.fabric.yaml"
WIRE = """{calibration: "wi\\e[31mre", about: "a\\u202eb", source: here, date: 2026-01-01}"""
SMALL = """
fabric: small
axes: {rack: 2, slot: 4}
devices:
  {gpu: {kind: gpu, axes: [rack, slot]}, leaf: {kind: switch, axes: [rack]}, top: {kind: switch, axes: []}}
links: [{between: [gpu, leaf], rate: 400Gb/s}, {between: [leaf, top], rate: 400Gb/s, count: 4}]
"""


class Piped(io.TextIOWrapper):
    def __init__(self, data):
        super().__init__(io.BytesIO(data))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder, and return its status and both outputs."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, piped=b""):
        monkeypatch.setattr(sys, "argv", ["fabtopo", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", Piped(piped))
        with pytest.raises(SystemExit, match=r"^\d+$") as stop:
            command_line.main()
        return stop.value.code, *capsys.readouterr()

    return call


def test_standard_input_is_read_by_every_command(run, tmp_path):
    small = SMALL.encode()
    file = tmp_path / "small.fabric.yaml"
    file.write_bytes(small)
    for arguments in (
        ["show"],
        ["max-flow", "--from", "rack0", "--to", "rack1"],
        ["throughput"],
        ["bottleneck"],
        ["bound", "--collective", "all-gather"],
        ["cost", "--collective", "all-reduce"],
        ["bom"],
    ):
        (command, *options) = arguments
        by_pipe = run(command, "-", *options, "--json", piped=small)
        assert by_pipe[0] == 0, by_pipe
        by_file = run(command, file, *options, "--json")
        assert [drop_times(by_pipe[1])] == [drop_times(by_file[1])]
    assert run("check", "-", piped=small)[:2] == (0, "-: ok: small: 8 gpu, 2 leaf, 1 top; 16 cables\n")
    lone = b"{fabric: lone, axes: {i: 1}, devices: {gpu: {kind: gpu, axes: [i]}}}"
    assert run("report", "-", "-o", "out", piped=lone)[0] == 0
    assert "`fabtopo report " in (tmp_path / "out" / "README.md").read_text()


def drop_times(text):
    return {key: value for key, value in json.loads(text).items() if key != "solve_s"}


def test_logs_prices_and_calibrations_are_piped_too(run, tmp_path):
    log = LOG.read_bytes()
    status, out, _ = run("compare", "-", CLUSTER, "--collective", "all-reduce", "--json", piped=log)
    assert status in (0, 1)
    assert len(json.loads(out)["runs"][0]["rows"]) == 5
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    status, out, _ = run(
        "bom", "a.fabric.yaml", "--prices", "-", "--json", piped=b"item,price_usd,source\nleaf,5,x\n"
    )
    assert (status, json.loads(out)["cost_usd"]) == (0, [10.0, 10.0])
    cost = ("cost", "a.fabric.yaml", "--collective", "all-reduce", "--calibration", "-")
    status, out, _ = run(*cost, piped=b"{calibration: mine, about: it, source: here, date: 2026-01-01}")
    assert status == 0
    assert "mine" in out
    status, out, err = run(*cost, piped=WIRE.encode())
    assert (status, out) == (2, "")
    assert "<stdin>:1:15: calibration: expected printable text; got wi" in err
    assert "<stdin>:1:36: about: expected printable text; got a" in err
    status, out, err = run("calibrate", "-", "--on", CLUSTER, piped=log)
    assert status == 0
    assert "5 rows" in err
    assert out.replace("<stdin>", LOG.name) == run("calibrate", LOG, "--on", CLUSTER)[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "-", "-"),
        ("bom", "-", "--prices", "-"),
        ("cost", "-", "--collective", "all-reduce", "--calibration", "-"),
        ("calibrate", "-", "--on", "-"),
        ("calibrate", "-", "-", "--on", CLUSTER),
        ("thresholds", "-", "--calibration", "-"),
        ("failures", "-", "--rates", "-"),
        ("audit", "-", "-", "--format", "dot"),
    ],
)
def test_standard_input_is_read_once(run, arguments):
    refused = "standard input, -, can be read once; name a file for the others\n"
    assert run(*arguments, piped=b"fabric: a\n")[0::2] == (2, refused)


@pytest.mark.parametrize("command", [("export", "a.fabric.yaml"), ("import", "found.dot")])
def test_formats_and_what_is_written_are_json_where_that_is_asked(run, tmp_path, command):
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    (tmp_path / "found.dot").write_text(run("export", "a.fabric.yaml", "--format", "dot")[1])
    status, out, _ = run(*command, "--json")
    listed = json.loads(out)["formats"]
    assert status == 0
    assert {"dot", "netbox"} <= {row["format"] for row in listed}
    status, _, err = run(*command, "-o", "b")
    assert (status, (tmp_path / "b").exists()) == (2, False)
    assert err.startswith("nothing is written to b without a format; say --format, one of ")
    asked = (*command, "--format", "dot", *(["--rate", "400Gb/s"] if command[0] == "import" else []))
    printed = run(*asked, "--json")[1]
    assert run(*asked, "--json", "-o", "b.json")[:2] == (0, "")
    assert json.loads((tmp_path / "b.json").read_text()) == json.loads(printed)
    # What stands there is replaced only if that is said.
    assert run(*asked, "--json", "-o", "b.json")[0] == 2


def test_failure_rates_are_piped_too(run, tmp_path):
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    table = b"of,events,devices,days,source\ngpu,10,1000,30,x\n"
    (tmp_path / "rates.csv").write_bytes(table)
    piped = run("failures", "a.fabric.yaml", "--rates", "-", "--format", "csv", piped=table)
    assert piped == run("failures", "a.fabric.yaml", "--rates", "rates.csv", "--format", "csv")
    assert piped[0] == 0
    status, out, err = run("failures", "a.fabric.yaml", "--rates", "-", piped=b"of,of\n")
    assert (status, out) == (2, "")
    assert err.startswith("<stdin>:1:1: column 'of' twice")


def test_cables_that_were_found_are_piped_too(run, tmp_path):
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    found = run("export", "a.fabric.yaml", "--format", "dot")[1]
    audit = ("audit", "a.fabric.yaml", "-", "--format", "dot")
    assert run(*audit, piped=found.encode())[0] == 0
    for nothing in (b"", b"what is no graph", b"graph {}", b"[[[[["):
        assert run(*audit, piped=nothing)[::2] == (2, "-:1:1: file: names no cable as dot has it\n")
    assert "save it as UTF-8" in run(*audit, piped=found.encode("utf-16"))[2]


def test_an_example_by_standard_output(run, tmp_path):
    status, out, _ = run("examples", "bcube", "-o", "-")
    assert (status, out) == (0, (ROOT / "topologies/patterns/bcube.fabric.yaml").read_text())
    status, out, err = run("examples", "patterns", "-o", "-")
    assert (status, out) == (2, "")
    assert "holds one file; 11 are meant" in err
    assert list(tmp_path.iterdir()) == []


def run_apart(*arguments, **options):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fabric.cli", *map(str, arguments)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        check=False,
        **options,
    )


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "arguments",
    [["show", CLUSTER], ["check", "none.yaml"], ["parts"], ["--help"]],
    ids=lambda words: words[0],
)
def test_standard_output_that_is_closed(arguments):
    done = run_apart(*arguments, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (2, "standard output is closed\n")


def test_standard_input_that_is_closed():
    done = run_apart("check", "-", stdout=subprocess.PIPE, preexec_fn=lambda: os.close(0))
    assert (done.returncode, done.stdout) == (2, "")
    assert "standard input is closed" in done.stderr


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="only the administrator reads it")
def test_a_file_that_has_nothing_yet(run):
    assert run("check", "/proc/kmsg")[0] == 2


def test_what_is_piped_is_refused_with_its_place(run):
    assert "<stdin>:2:1: fabric: duplicate key" in run("check", "-", piped=b"fabric: a\nfabric: b\n")[2]
    assert "<stdin>:1:9: file: file is not UTF-8" in run("check", "-", piped=b"fabric: \xff")[2]


def test_standard_output_by_name(run, tmp_path):
    design = ("design", "--gpus", "1152", "--rack", "gb300-nvl72", "--leaf", "sn5610")
    status, printed, _ = run(*design)
    assert (status, printed[:2]) == (0, "# ")
    assert run(*design, "-o", "-") == (0, printed, "")
    (tmp_path / "by-hand.yaml").write_text("mine")
    status, _, err = run(*design, "-o", "by-hand.yaml")
    assert (status, err) == (
        2,
        "by-hand.yaml: is there already; say --force to replace it, or name another\n",
    )
    assert run(*design, "-o", "by-hand.yaml", "--force")[0] == 0
    assert (tmp_path / "by-hand.yaml").read_text() == printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "a\x1b[31mb.yaml"],
        ["check", "\x1b]0;title\x07"],
        ["a\x9b31m"],
        ["check", "good.yaml", "--\x1b[2J"],
        ["cost", "good.yaml", "--collective", "\x1b[2J"],
        ["cost", "good.yaml", "--collective", "all-reduce", "--calibration", "wire.yaml"],
        ["cost", "good.yaml", "--collective", "all-reduce", "--calibration", "wire.yaml", "--json"],
        [
            "cost",
            "good.yaml",
            "--collective",
            "all-reduce",
            "--size",
            "1KiB..1MiB",
            "--calibration",
            "wire.yaml",
        ],
        ["max-flow", "good.yaml", "--from", "\u202erack0", "--to", "rack1"],
        ["bom", "good.yaml", "--prices", "prices.csv"],
        ["bom", "good.yaml", "--prices", "prices.csv", "--format", "md"],
        ["bom", "good.yaml", "--prices", "prices.csv", "--format", "csv"],
        ["bom", "good.yaml", "--prices", "bad.csv"],
        ["compare", "bad.log", "good.yaml"],
        ["check", "\x1b[2J.yaml"],
        ["design", "--gpus", "\x1b[2J", "--rack", "gb300-nvl72", "--leaf", "sn5610"],
        ["parts", "\x1b[2J"],
    ],
)
def test_nothing_steers_the_terminal(run, tmp_path, arguments):
    (tmp_path / "good.yaml").write_text(SMALL)
    (tmp_path / "\x1b[2J.yaml").write_text(SMALL)
    (tmp_path / "wire.yaml").write_text(WIRE)
    (tmp_path / "prices.csv").write_text('item,price_usd,source,note\nleaf,5,"\x1b[31m<b>x</b>",=1+1\x9b\n')
    (tmp_path / "bad.csv").write_text("item,price_usd,source\n\x1b[31mleaf,5,a\n")
    (tmp_path / "bad.log").write_text("  8 2 float sum -1 \x1b]0;x\x07 1 1 0 1 1 1 0\n")
    status, out, err = run(*arguments)
    assert status in (0, 2)
    assert out + err
    assert [hex(ord(c)) for c in out + err if not c.isprintable() and c not in "\n\t"] == []
    if "md" in arguments:
        assert "<b>" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "-o", "-"], "--out: a report is a folder of files; name one"),
        (["bound", "--collective", "all-gather", "--chunks", "5"], "chunks: kind cut does not count in"),
        (
            ["bound", "--collective", "all-gather", "--latency", "1us"],
            "latency: kind cut does not count in",
        ),
        (
            ["bound", "--collective", "all-gather", "--kind", "chunks", "--chunks", "1000000000"],
            "expected 1 to",
        ),
        (["bound", "--collective", "all-to-all", "--root", "rack0/gpu0"], "root: all-to-all has none"),
        (["throughput", "--root", "rack0/gpu0"], "root: all-to-all has none"),
        (["throughput", "--by", "3"], "by: all-to-all goes by no number of places"),
        (
            ["cost", "--collective", "dispatch", "--moe", "tokens=\u0663"],
            "moe: 'tokens=\u0663' is not one",
        ),
        (["cost", "--collective", "dispatch", "--moe", "bytes=1_0"], "moe: 'bytes=1_0' is not one of"),
        (["bom", "--spares", "1e308"], "spares of 1e+308 percent"),
        (["bom", "--spares", "nan"], "--spares: got nan"),
    ],
)
def test_arguments_that_say_nothing_are_refused(run, tmp_path, arguments, message):
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    (command, *options) = arguments
    status, out, err = run(command, "a.fabric.yaml", *options)
    assert (status, out) == (2, "")
    assert message.removeprefix("--") in err


@pytest.mark.some(1)
@pytest.mark.parametrize(
    "arguments", [["check", CLUSTER], ["show", CLUSTER, "--json"]], ids=lambda words: words[0]
)
def test_a_full_disk_is_told_by_name(arguments):
    with open("/dev/full", "w") as full:
        done = run_apart(*arguments, stdout=full)
    assert (done.returncode, done.stderr) == (2, "standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["check", "/dev/zero"], "not a regular file"),
        (["bom", CLUSTER, "--prices", "/dev/zero"], "/dev/zero: not a regular file"),
        (["compare", "/dev/zero", CLUSTER], "/dev/zero: not a regular file"),
        (["compare", "fifo", CLUSTER], "fifo: not a regular file"),
        (["bom", CLUSTER, "--prices", "fifo"], "fifo: not a regular file"),
        (["cost", CLUSTER, "--collective", "all-reduce", "--calibration", "fifo"], "not a regular file"),
        (["cost", CLUSTER, "--collective", "all-reduce", "--calibration", "/dev/zero"], "not a regular file"),
    ],
)
def test_no_reader_waits_or_fills_memory(run, tmp_path, arguments, what):
    os.mkfifo(tmp_path / "fifo")
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert what in err


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("bound", "--collective", "all-gather", "--kind", "chunks", "--chunks", "0"), "--chunks"),
        (("bound", "--collective", "all-gather", "--kind", "chunks", "--chunks", "9" * 30), "--chunks"),
        (
            ("cost", "--collective", "all-gather", "--routing", "hashed", "--queue-pairs", "9" * 30),
            "--queue-pairs",
        ),
    ],
)
def test_a_count_is_named_as_the_option_that_it_is(run, tmp_path, arguments, option):
    (tmp_path / "a.fabric.yaml").write_text(SMALL)
    status, _, err = run(arguments[0], "a.fabric.yaml", *arguments[1:])
    assert (status, err.partition(":")[0]) == (2, option)
