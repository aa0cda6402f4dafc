"""The code blocks of README and manual, run as a reader would: page by page, in the order of the page.

``python -m tools.pages.manual [PAGE...]`` puts what the program prints now below the commands of console
blocks, where that is not what the page shows; of lines that are left out (``...``) none comes back. A block
whose lines are not found again in what is printed stays, and the tests name it.

A line ``<!-- KEY: WORDS -->`` above a block is a remark on it:

- ``not run: WHY``: it is shown, and nothing runs it;
- ``slow: WHY``: ``make stress`` runs it; else only its commands and options are looked up;
- ``file: NAME``: what a topology file is called where later blocks of the page name it.

A page may begin with files that its reader has: those of ``tests/manual/given``, in the folder of its name.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import doctest
import functools
import io
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer
import yaml

import fabric
from fabric import cli
from fabric.blueprint.schema import FabricFile
from fabric.cli.app import app
from fabric.costing import calibration
from fabric.text.columns import terminal
from fabric.workload.job_file import parse_job
from fabric.workload.serving_job import parse_serving

ROOT = Path(__file__).parents[2]
GIVEN = ROOT / "tests/manual/given"
WRITTEN = frozenset({"accuracy.md", "api.md", "file-reference.md", "parts.md", "systems.md"})
"""Pages that the code writes; what they show is what it printed."""

COLUMNS = 80
"""How wide the terminal is on which the outputs of the pages were printed."""

REMARKS = frozenset({"not run", "slow", "file"})
_FENCE = re.compile(
    r"(?P<remarks>(?:^<!--[^\n]*-->\n+)*)^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_JOBS: dict[str, Callable[[str], object]] = {"job": parse_job, "serve": parse_serving}
"""What reads the files that say what runs on a fabric, by their first key."""

_SHELL = re.compile(r"[|>;&$]")
_LEFT_OUT = re.compile(r"^ *\.\.\.\n", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: where it begins, what it is written in, its text, and the remarks on it."""

    line: int
    language: str
    text: str
    remarks: dict[str, str]


class WrongPageError(AssertionError):
    """What a page shows is not so."""


def pages() -> list[Path]:
    """Return the pages that people write, below the root."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    inside = [page.relative_to(ROOT) for page in found]
    return [page for page in inside if page.name not in WRITTEN and page.parts[:2] != ("docs", "reports")]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(
            text.count("\n", 0, found.start("fence")) + 1,
            found["language"],
            found["text"],
            dict(re.findall(r"<!-- ([a-z ]+?)(?:: (.*?))? -->", found["remarks"])),
        )
        for found in _FENCE.finditer(text)
    ]


def commands(text: str) -> list[tuple[str, str]]:
    r"""Return the commands of a console block as they are written, each with what it prints.

    Examples
    --------
    >>> commands("$ a \\\n  b\nx\n$ c\n")
    [('a \\\n  b', 'x\n'), ('c', '')]
    """
    before, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if before:
        msg = f"a console block begins with a command, not with {before!r}"
        raise WrongPageError(msg)
    found = (re.match(r"((?:.*\\\n)*.*)\n?", part) for part in parts)
    return [(m[1], part[m.end() :]) for m, part in zip(found, parts, strict=True) if m]


def is_as_shown(shown: str, printed: str) -> bool:
    """Return whether a text is what is shown, in which a line of three dots stands for any lines."""
    pieces = map(re.escape, _LEFT_OUT.split(shown))
    return re.fullmatch("(?:.*\n)*?".join(pieces), printed) is not None


@functools.cache
def _commands() -> dict[str, Any]:
    """Return the commands, made of their signatures once."""
    return typer.main.get_command(app).commands  # type: ignore[attr-defined,no-any-return]


def look_up(command: str) -> None:
    """See that a command and its options are there.

    Raises
    ------
    WrongPageError
        If not.
    """
    _, name, *words = shlex.split(command, comments=True)
    known = _commands()
    if name not in known:
        msg = f"no command {name!r}: {command}"
        raise WrongPageError(msg)
    options = {option for p in known[name].params for option in (*p.opts, *p.secondary_opts)}
    if unknown := {word for word in words if word.startswith("--")} - options:
        msg = f"no option {sorted(unknown)}: {command}"
        raise WrongPageError(msg)


class Reader:
    """Somebody who types what a page shows, in a folder that has the topologies of the project."""

    def __init__(self, page: str) -> None:
        """Put the files that the reader of a page has into the working directory."""
        self.page = page
        self.names: dict[str, Any] = {"__name__": "__main__"}
        Path("topologies").symlink_to(ROOT / "topologies")
        if (given := GIVEN / Path(page).stem).is_dir():
            shutil.copytree(given, Path(), dirs_exist_ok=True)

    def read(self, block: Block) -> None:
        """Run a block by its kind.

        Raises
        ------
        WrongPageError
            If it is not as the page says.
        """
        kind = {"": "drawing", "text": "drawing"}.get(block.language, block.language)
        if (run := getattr(self, f"_{kind}", None)) is None:
            msg = f"nothing here runs a block of {kind}; give it the remark `not run`, or its kind"
            raise WrongPageError(msg)
        run(block)

    def glance(self, block: Block) -> None:
        """Look at a block that takes long: its commands, options and names are there."""
        if block.language == "python":
            compile(block.text, self.page, "exec")
            if unknown := set(re.findall(r"\bfabric\.([a-z_]+)\(", block.text)) - set(fabric.__all__):
                msg = f"fabric has no {sorted(unknown)}"
                raise WrongPageError(msg)
        for command in re.findall(r"^(?:\$ )?(fabtopo [a-z-]+[^\n|]*)", block.text, re.MULTILINE):
            look_up(command)

    def _drawing(self, block: Block) -> None:
        if re.search(r"^(\$|>>>) ", block.text, re.MULTILINE):
            msg = "a session is a block of console or python"
            raise WrongPageError(msg)

    def _json(self, block: Block) -> None:
        json.loads(block.text)

    def _csv(self, block: Block) -> None:
        """See rows of the catalogue, each behind the name of its file."""
        for line in block.text.splitlines():
            file, row = line.split(None, 1)
            with (ROOT / "fabric/parts/data" / file).open() as data:
                head = next(csv.reader(data))
            if len(next(csv.reader([row]))) != len(head):
                msg = f"{file} has {len(head)} columns: {line}"
                raise WrongPageError(msg)

    def _yaml(self, block: Block) -> None:
        found = yaml.safe_load(block.text)
        if kind := next((kind for kind in _JOBS if kind in found), ""):
            Path(f"{found[kind]}.{kind}.yaml").write_text(block.text)
            _JOBS[kind](block.text)
        elif "fabric" in found:
            name = block.remarks.get("file", f"{found['fabric']}.fabric.yaml")
            Path(name).write_text(block.text)
            fabric.load(name)
        elif "calibration" in found:
            Path("shown.calibration.yaml").write_text(block.text)
            calibration("shown.calibration.yaml")
        elif set(found) <= set(FabricFile.model_fields):
            fabric.loads(f"fabric: part\nislands: 0\n{block.text}")
        else:  # of another tool that calls ours
            for command in re.findall(r"(fabtopo [a-z-]+[^\n]*)", block.text):
                look_up(command)

    def _python(self, block: Block) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as told:
            if ">>>" not in block.text:
                exec(compile(block.text, f"{self.page}:{block.line}", "exec"), self.names)
                return
            parse = doctest.DocTestParser().get_doctest
            test = parse(block.text, self.names, self.page, self.page, block.line)
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            done = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
            self.names.update(test.globs)
        if done.failed:
            raise WrongPageError(told.getvalue())

    def _sh(self, block: Block) -> None:
        for line in block.text.replace("\\\n", "").splitlines():
            if line.strip() and not line.startswith("#"):
                status, _, error = self.type(line)
                if status not in (0, 1):
                    msg = f"{line}\n{error}"
                    raise WrongPageError(msg)

    def _console(self, block: Block) -> None:
        for command, shown in commands(block.text):
            status, out, error = self.type(command)
            if not self.is_right(command, shown, status, out + error):
                msg = f"{command}\n{out}{error}"
                raise WrongPageError(msg)

    def is_right(self, command: str, shown: str, status: int, printed: str) -> bool:
        """Return whether a command prints what is shown: on a terminal, or else into a pipe."""
        if not shown:
            return status in (0, 1)
        if is_as_shown(shown, printed):
            return True
        _, out, error = self.type(command, columns=None)
        return is_as_shown(shown, out + error)

    def type(self, command: str, *, columns: int | None = COLUMNS) -> tuple[int, str, str]:
        """Return the exit status of a command, and what it prints on a terminal of so many columns."""
        command = command.replace("\\\n", "")
        words = shlex.split(command, comments=True)
        if words[0] in ("make", "bash"):  # what it names is there; CI runs it
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            is_there = words[1] in targets if words[0] == "make" else (ROOT / words[1]).is_file()
            return (0, "", "") if is_there else (2, "", f"{words[1]}: not there")
        if words[0] != "fabtopo" or _SHELL.search(re.sub(r"'[^']*'", "", command)):
            path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
            env = {**os.environ, "PATH": path}
            done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr
        spread = (sorted(map(str, Path().glob(w))) or [w] if "*" in w else [w] for w in words)
        before, sys.argv = sys.argv, list(itertools.chain(*spread))
        out, error = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), terminal(columns):
                cli.main()
        except SystemExit as left:
            return int(left.code or 0), out.getvalue(), error.getvalue()
        finally:
            sys.argv = before
        return 0, out.getvalue(), error.getvalue()


def like(shown: str, printed: str) -> str:
    """Return what is printed without the lines that are left out; empty where the others are not found."""
    if not _LEFT_OUT.search(shown):
        return printed
    lines = printed.splitlines()
    near = [
        line if line.strip() == "..." else next(iter(difflib.get_close_matches(line, lines, n=1)), "")
        for line in shown.splitlines()
    ]
    text = "".join(f"{line}\n" for line in near)
    return text if is_as_shown(text, printed) else ""


def renewed(page: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line of each console block that is not as printed, its text, and what it should be."""
    reader = Reader(str(page))
    for block in blocks(page):
        if {"not run", "slow"} & set(block.remarks):
            continue
        if block.language != "console":
            reader.read(block)
            continue
        text = ""
        for command, shown in commands(block.text):
            status, out, error = reader.type(command)
            if shown and not reader.is_right(command, shown, status, out + error):
                whole = "".join(reader.type(command, columns=None)[1:])
                shown = next(filter(None, (like(shown, told) for told in (out + error, whole))), shown)
            text += f"$ {command}\n{shown}"
        if text != block.text:
            yield block.line, block.text, text


def main() -> None:
    """Renew pages, all of them unless some are named."""
    for page in map(Path, sys.argv[1:]) if sys.argv[1:] else pages():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            changes = list(renewed(page))
        text = (ROOT / page).read_text()
        for line, before, after in changes:
            text = text.replace(before, after)
            print(f"{page}:{line}: renewed")
        (ROOT / page).write_text(text)


if __name__ == "__main__":
    main()
