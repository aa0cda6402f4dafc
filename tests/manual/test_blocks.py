"""Every code block of README and manual is run, as a reader would: page by page, in the order of the page."""

import csv
import doctest
import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fabric
from fabric import cli
from fabric.blueprint.schema import FabricFile
from fabric.costing import calibration

_spec = importlib.util.spec_from_file_location("blocks_of_the_manual", Path(__file__).with_name("blocks.py"))
manual = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(manual)
ROOT = manual.ROOT
PAGES = {str(page): manual.blocks(page) for page in manual.pages()}
GIVEN = Path(__file__).parent / "given"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SHELL = re.compile(r"[|>;&$]")


class Reader:
    """Somebody who types what a page shows, in a folder with the topologies of the project."""

    def __init__(self, page, capfd):
        self.page, self.capfd = page, capfd
        self.names = {"__name__": "__main__"}
        (Path.cwd() / "topologies").symlink_to(ROOT / "topologies")
        given = GIVEN / Path(page).stem
        if given.is_dir():
            shutil.copytree(given, Path.cwd(), dirs_exist_ok=True)

    def read(self, block):
        """Run a block by its kind."""
        kinds = {"": "drawing", "text": "drawing", "sh": "sh", "console": "console", "python": "python"}
        getattr(self, kinds.get(block.language, block.language))(block)

    def glance(self, block):
        """Look at a block that takes long: the commands and names are there."""
        if block.language == "python":
            compile(block.text, self.page, "exec")
            assert set(re.findall(r"\bfabric\.([a-z_]+)\(", block.text)) <= set(fabric.__all__)
        for command in re.findall(r"^(?:\$ )?(fabtopo [a-z-]+[^\n|]*)", block.text, re.MULTILINE):
            assert_exists(command)

    def drawing(self, block):
        assert not re.search(r"^(\$|>>>) ", block.text, re.MULTILINE), "a session is console or python"

    def json(self, block):
        assert json.loads(block.text)

    def csv(self, block):
        """Rows of the catalogue, each behind the name of its file."""
        for line in block.text.splitlines():
            file, row = line.split(None, 1)
            with (ROOT / "fabric/parts/data" / file).open() as data:
                head = next(csv.reader(data))
            assert len(next(csv.reader([row]))) == len(head), line

    def yaml(self, block):
        found = yaml.safe_load(block.text)
        name = block.remarks.get("file", f"{found.get('fabric')}.fabric.yaml")
        if "fabric" in found:
            Path(name).write_text(block.text)
            fabric.load(name)
        elif "calibration" in found:
            Path("shown.calibration.yaml").write_text(block.text)
            assert calibration("shown.calibration.yaml").links
        elif set(found) <= set(FabricFile.model_fields):
            fabric.loads(f"fabric: part\nislands: 0\n{block.text}")
        else:  # a file of another tool, that calls ours
            for command in re.findall(r"(fabtopo [a-z-]+[^\n]*)", block.text):
                assert_exists(command)

    def python(self, block):
        if ">>>" not in block.text:
            exec(compile(block.text, f"{self.page}:{block.line}", "exec"), self.names)  # noqa: S102
            self.capfd.readouterr()
            return
        test = doctest.DocTestParser().get_doctest(block.text, self.names, self.page, self.page, block.line)
        done = doctest.DocTestRunner(optionflags=FLAGS).run(test, clear_globs=False)
        self.names.update(test.globs)
        assert done.failed == 0, self.capfd.readouterr().out

    def sh(self, block):
        for line in block.text.replace("\\\n", "").splitlines():
            if line.strip() and not line.startswith("#"):
                status, _, error = self.type(line)
                assert status in (0, 1), f"{line}\n{error}"

    def console(self, block):
        for command, shown in manual.commands(block.text):
            status, out, error = self.type(command)
            assert manual.is_as_shown(shown, out + error) or not shown, f"{command}\n{out}{error}"
            assert shown or status in (0, 1), f"{command}\n{error}"

    def type(self, command):
        """Return the exit status of a command and what it prints."""
        words = shlex.split(command, comments=True)
        if words[0] in ("make", "bash"):  # what it names is there; CI runs it
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert words[1] in targets if words[0] == "make" else (ROOT / words[1]).is_file(), command
            return 0, "", ""
        if words[0] == "fabtopo" and not SHELL.search(re.sub(r"'[^']*'", "", command)):
            spread = (sorted(map(str, Path().glob(w))) or [w] if "*" in w else [w] for w in words)
            sys.argv[:] = itertools.chain(*spread)
            with pytest.raises(SystemExit, match=r"^\d+$") as done:
                cli.main()
            printed = self.capfd.readouterr()
            return int(done.value.code), printed.out, printed.err
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr


def assert_exists(command):
    """Assert that a command and its options are there."""
    import typer

    from fabric.cli.app import app

    _, name, *words = shlex.split(command, comments=True)
    known = typer.main.get_command(app).commands[name].params
    options = {option for p in known for option in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.fixture
def reader(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fabtopo"])
    return lambda page: Reader(page, capfd)


def run(page, reader, *, slow):
    someone = reader(page)
    for block in PAGES[page]:
        if "not run" in block.remarks:
            continue
        try:
            if "slow" in block.remarks and not slow:
                someone.glance(block)
            else:
                someone.read(block)
        except Exception as error:
            error.add_note(f"{page}:{block.line}")
            raise


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks])
def test_a_page_is_what_the_program_does(page, reader):
    run(page, reader, slow=False)
    assert PAGES[page]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p, blocks in PAGES.items() if any("slow" in b.remarks for b in blocks)]
)
def test_the_slow_blocks_too(page, reader):
    run(page, reader, slow=True)
    assert PAGES[page]


def test_what_is_not_run_says_why():
    remarks = [
        (page, b.line, *r) for page, blocks in PAGES.items() for b in blocks for r in b.remarks.items()
    ]
    assert remarks
    assert [r for r in remarks if r[2] not in manual.REMARKS or len(r[3]) < 4] == []


def test_helpers_see_a_difference():
    assert manual.is_as_shown("a\n  ...\nd\n", "a\nb\nc\nd\n")
    assert manual.is_as_shown("a\n...\n", "a\n")
    assert not manual.is_as_shown("a\n", "a\nb\n")
    assert not manual.is_as_shown("a\n...\nd\n", "a\nb\n")
    assert manual.commands("$ a \\\n  b\nx\n$ c\n") == [("a   b", "x\n"), ("c", "")]


@pytest.mark.parametrize(
    ("language", "text", "why"),
    [
        ("yaml", "fabric: x\naxes: {a: 0}\n", "axes.a"),
        ("yaml", "jobs: [{run: fabtopo check --nothing}]\n", "--nothing"),
        ("python", "fabric_is_not_imported.load()\n", "is not defined"),
        ("python", ">>> 1 + 1\n3\n", "1 == 0"),
        ("console", "$ fabtopo explain 1.8TB/s\nsomething else\n", "14.4 Tb/s"),
        ("console", "$ fabtopo check nothing.fabric.yaml\n", "file not found"),
        ("sh", "fabtopo check nothing.fabric.yaml\n", "file not found"),
        ("sh", "make nothing\n", "make nothing"),
        ("csv", "gpus.csv one,two\n", "one,two"),
        ("json", "{\n", "Expecting"),
        ("", "$ fabtopo explain 1.8TB/s\n", "a session is console or python"),
        ("nothing", "x\n", "nothing"),
    ],
)
def test_a_wrong_block_is_caught(language, text, why, reader):
    someone = reader("docs/nothing.md")
    with pytest.raises((AssertionError, AttributeError, NameError, ValueError), match=re.escape(why)):
        someone.read(manual.Block(1, language, text, {}))
