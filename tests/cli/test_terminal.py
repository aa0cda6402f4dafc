"""What is printed for people fits into their terminal, and every digit of it is there."""

import contextlib
import io
import logging
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fabric import cli, design
from fabric.cli import options
from fabric.cli.app import app
from fabric.text.columns import columns, fit, terminal

ROOT = Path(__file__).parents[2]
FILE = "topologies/patterns/fat-tree.fabric.yaml"
NVL = "topologies/gb300-nvl72.fabric.yaml"
BOX = "topologies/measured/nd-h100-v5.fabric.yaml"
POD = "tests/manual/given/as-built/pod.fabric.yaml"
ASKED = [
    f"check {NVL}",
    f"show {NVL}",
    "show topologies/systems/seven-chips.fabric.yaml",
    f"diff {FILE} {NVL}",
    f"max-flow {FILE} --from pod0 --to pod1 --devices",
    f"throughput {FILE}",
    f"bottleneck {FILE}",
    f"bound {FILE} --collective all-reduce",
    f"cost {BOX} --collective all-reduce",
    f"cost {BOX} --collective all-reduce --size 1KiB..1GiB --factor 64",
    f"compare tests/manual/given/collectives/all_reduce.log {BOX}",
    f"thresholds {BOX} --collectives all-reduce --sizes 1GiB",
    f"failures {FILE} --rates parts",
    f"place {FILE} 4/2 2 --calibration wire",
    f"share {FILE} a=pod0-1:busy=0.4 b=pod1-3",
    "serve topologies/jobs/mooncake-qwen3-8b.serve.yaml",
    f"bom {NVL}",
    f"export {NVL}",
    f"audit {POD} tests/manual/given/as-built/leaf0.json --format lldp",
    "scale --gpus 72,144 --rack gb300-nvl72 --leaf sn6800 --calibration wire",
    "parts --kind switch",
    "parts sn5610",
    "explain 1.8TB/s",
    "templates",
    "examples",
    "design --gpus 1152 --rack gb300-nvl72 --leaf sn5610 --planes 2 --explain",
]
WORD = re.compile(r"\S*(?:://|/)\S*")  # an address or a path, which is not cut


def printed(command, width, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["fabtopo", *shlex.split(command)])
    told = io.StringIO()
    with (
        contextlib.redirect_stdout(told),
        terminal(width),
        pytest.raises(SystemExit, match=r"^[01]$"),
    ):
        cli.main()
    return told.getvalue()


@pytest.mark.some(2)
@pytest.mark.parametrize("command", ASKED, ids=lambda command: command.split()[0])
def test_an_answer_fits_and_has_every_number(command, monkeypatch):
    whole = printed(command, None, monkeypatch)
    narrow = printed(command, 80, monkeypatch)
    assert [line for line in narrow.splitlines() if len(line) > 80 and not WORD.search(line)] == []
    # A table for a terminal may have fewer columns than the log of nccl-tests that a file gets.
    if "--size 1KiB.." not in command:
        numbers = re.compile(r"\d[\d,.]*")
        assert set(numbers.findall(whole)) <= set(numbers.findall(narrow))


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_table_of_any_shape_fits(width):
    rows = [[f"name-{i}", f"{10**i:,}", "some words that say more " * 3, f"{i}.5 GB/s"] for i in range(9)]
    with terminal(width):
        text = columns(["name", ">number", "about", ">rate"], rows, indent="  ")
    assert max(map(len, text.splitlines())) <= width
    for name, number, about, rate in rows:
        assert all(word in text for word in (name, number, rate, *about.split()))


def test_a_table_that_fits_is_left_alone():
    rows = [["a", "1"], ["b", "22"]]
    with terminal(80):
        narrow = columns(["x", ">n"], rows)
    assert narrow == columns(["x", ">n"], rows) == "x   n\na   1\nb  22"


def test_many_columns_come_in_several_tables_with_the_first_in_each():
    head = ["size", *(f">column-{i}" for i in range(8))]
    with terminal(40):
        text = columns(head, [["1 GiB", *map(str, range(8))]])
    parts = text.split("\n\n")
    assert len(parts) > 2
    assert all(part.startswith("size") and "1 GiB" in part for part in parts)
    assert [f"column-{i}" for i in range(8)] == re.findall(r"column-\d", text)


def test_a_drawing_is_not_folded():
    drawing = "gpu ---- leaf" + " " * 80 + "spine"
    with terminal(40):
        assert fit(drawing) == drawing
        assert fit("- " + "word " * 12).splitlines()[1].startswith("  word")


def test_formats_are_not_folded(monkeypatch):
    for form in ("--json", "--format csv", "--format md"):
        command = f"bom {NVL} {form}"
        assert printed(command, 40, monkeypatch) == printed(command, None, monkeypatch)


@pytest.mark.skipif(shutil.which("stty") is None, reason="asks a pseudo-terminal for its width")
def test_the_width_is_that_of_the_terminal():
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "60"], stdin=follower, check=True)
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.Popen(
        [sys.executable, "-m", "fabric.cli", "explain", "1.8TB/s"], stdout=follower, env=env, cwd=ROOT
    )
    assert done.wait() == 0
    os.close(follower)
    text = os.read(leader, 65536).decode()
    os.close(leader)
    assert 40 < max(map(len, text.splitlines())) <= 60


@pytest.mark.parametrize("name", [None, *sorted(typer.main.get_command(app).commands)])
def test_help_fits_into_eighty_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["fabtopo", *([name] if name else []), "--help"])
    told = io.StringIO()
    with contextlib.redirect_stdout(told), pytest.raises(SystemExit, match="^0$"):
        cli.main()
    lines = told.getvalue().splitlines()
    assert len(lines) > 4
    assert [line for line in lines if len(line) > 80] == []


def test_notebooks_and_rich_print_every_result():
    import rich.console

    answer = design(gpus=64, rack="hgx-h100", leaf="qm9700")
    out = io.StringIO()
    rich.console.Console(file=out, width=60).print(answer)
    assert max(map(len, out.getvalue().splitlines())) <= 60
    assert "[" not in out.getvalue() or "[" in str(answer)
    assert answer._repr_html_().startswith("<")


def test_remarks_leave_the_logger_as_it_was(monkeypatch):
    logger = logging.getLogger("fabric")
    before = logger.level, list(logger.handlers)
    heard = io.StringIO()
    heard.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", heard)
    with options.remarks():
        logger.info("twice the same")
        logger.info("twice the same")
    logger.info("and nothing after it")
    assert heard.getvalue() == "twice the same\n"
    assert (logger.level, list(logger.handlers)) == before
