"""What the README and the manuals show is what the program prints."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import typer

import fabric
from fabric import cli
from fabric.cli.app import app
from fabric.costing import calibration
from fabric.schedule.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COLLECTIVES = (ROOT / "docs/collectives.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def printed(monkeypatch, capfd):
    """Return what a command prints, on standard output and on standard error, in a folder."""

    def run(command, folder=ROOT):
        _, *words = shlex.split(command.removeprefix("$ "))
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["fabtopo", *words])
        with pytest.raises(SystemExit, match=r"^\d+$"):
            cli.main()
        return capfd.readouterr()

    return run


@pytest.mark.parametrize("page", [README, COLLECTIVES], ids=["readme", "collectives"])
def test_console_blocks_are_real(page, printed):
    (block,) = blocks(page, "console")
    command, _, expected = block.partition("\n")
    assert printed(command) == (expected, "")


COMMANDS = [
    line
    for page in (README, COLLECTIVES)
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("fabtopo")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command):
    _, name, *words = shlex.split(command, comments=True)
    known = typer.main.get_command(app).commands[name].params
    options = {option for p in known for option in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= options


def test_glossary_has_each_word_once_in_order():
    page = (ROOT / "docs/glossary.md").read_text()
    words = [word.casefold() for word in re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)][1:]
    assert {"class", "view", "quotient", "commodity"} <= set(words)
    assert words == sorted(words)
    single = [word for entry in words for word in entry.split(", ")]
    assert len(single) == len(set(single))


def test_file_of_the_readme_is_the_one_in_topologies():
    (text,) = blocks(README, "yaml")
    written = fabric.loads(text)
    kept = fabric.load(ROOT / "topologies/gb300-nvl72-1152.fabric.yaml")
    assert written.blueprint.axes == kept.blueprint.axes
    assert [(r.name, r.rate_gbps, r.count) for r in written.blueprint.rules] == [
        (r.name, r.rate_gbps, r.count) for r in kept.blueprint.rules
    ]


def test_python_of_the_readme_names_what_exists():
    (code,) = blocks(README, "python")
    used = set(re.findall(r"fabric\.([a-z_]+)\(", code))
    assert used <= set(fabric.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(<?([^)#>]+)>?\)", page.read_text())
    inner = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in inner if not (page.parent / target).exists()] == []


def test_error_example_of_the_cli_page(tmp_path, printed):
    text = (ROOT / "docs/cli.md").read_text()
    (block,) = blocks(text, "console")
    expected = block.splitlines()[1]
    file = tmp_path / "broken.fabric.yaml"
    file.write_text(
        "fabric: broken\naxes: {slot: 2}\ndevices:\n  nic: {kind: nic, axes: [slot], endpoint: true}\n"
        "  leaf: {kind: switch, axes: []}\nlinks:\n  - {between: [nic, leaf], rate: 400}\n"
    )
    assert printed(f"fabtopo check {file.name}", tmp_path).err.strip() == expected


METHOD = (ROOT / "docs/method.md").read_text()


@pytest.mark.parametrize(
    ("file", "block"),
    list(zip(blocks(METHOD, "yaml"), blocks(METHOD, "console"), strict=True)),
    ids=["small", "damaged", "box"],
)
def test_worked_examples_of_the_method(file, block, tmp_path, printed):
    command, _, expected = block.partition("\n")
    (tmp_path / command.split()[3]).write_text(file)
    assert printed(command, tmp_path) == (expected, "")


def test_algorithms_of_the_manual_are_those_of_the_table():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in COLLECTIVES.splitlines()]
    first = rows.index(["algorithm", "does", "in short", "source"]) + 2
    listed = rows[first : rows.index([], first)]
    assert [(name, does, source) for name, does, _, source in listed] == [
        (a.name, ", ".join(a.collectives), a.source) for a in ALGORITHMS
    ]


def test_calibration_of_the_manual_is_one(tmp_path):
    (text,) = blocks(COLLECTIVES, "yaml")
    (tmp_path / "mine.yaml").write_text(text)
    one = calibration(tmp_path / "mine.yaml")
    published = calibration("measured")
    assert one.links.keys() <= published.links.keys()
    assert one.launch_s == published.launch_s
    assert set(one.algorithms) <= set(published.algorithms)
