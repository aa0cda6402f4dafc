"""What newcomers are told of the house is so: its layers, its places, and the walk of a rate."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "docs/architecture.md", "docs/extend.md")]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
TESTS = "\n".join(path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")))
# Named as what somebody may add.
NOT_THERE = {"fabric/templates/NAME.fabric.yaml"}


def test_picture_of_the_layers_is_the_one_that_imports_are_held_to():
    text = (ROOT / "tests/test_layers.py").read_text()
    (held,) = re.findall(r'^LAYERS = """\n(.*?)"""', text, re.MULTILINE | re.DOTALL)
    rooms = {path.stem for path in (ROOT / "fabric").iterdir()}
    bottom_up = [kept for line in held.splitlines() if (kept := [n for n in line.split() if n in rooms])]
    (picture,) = re.findall(r"^## In one picture\n.*?^```\n(.*?)^```", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    drawn = [re.split(r" {2,}", line)[0].split() for line in picture.splitlines()]
    assert [sorted(line) for line in drawn[::-1]] == [sorted(line) for line in bottom_up]


def rows_of(heading):
    chapter = ARCHITECTURE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in chapter.splitlines()
        if line.startswith("| `")
    ]


def test_walk_of_a_rate_says_what_stands_there():
    walk = rows_of("Where a rate of a cable becomes a number in the report")
    assert len(walk) >= 8
    for file, code, _ in walk:
        assert code.strip("`") in (ROOT / file.strip("`")).read_text(), file


def test_one_search_finds_every_place_that_the_walk_reads_a_rule_at():
    found = {path for path in (ROOT / "fabric").rglob("*.py") if "rule.rate_gbps" in path.read_text()}
    walk = [
        (ROOT / file.strip("`"), code)
        for file, code, _ in rows_of("Where a rate of a cable becomes a number in the report")
    ]
    assert {file for file, code in walk if "rule.rate_gbps" in code} <= found
    assert sum("rule.rate_gbps" in code for _, code in walk) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_and_tests_that_are_named_exist(page):
    text = page.read_text()
    paths = set(re.findall(r"`((?:fabric|tests|topologies|docs)/[\w/.-]+)`", text)) - NOT_THERE
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
    named = re.findall(r"`(test_[a-z_0-9]+)`", text)
    assert [name for name in named if f"def {name}(" not in TESTS] == []


def test_names_that_are_said_to_be_in_a_file_are_there():
    pairs = [
        (name, file)
        for page in PAGES
        for names, file in re.findall(
            r"((?:`[\w.]+`(?:, | and a field of | and )?)+) in\s`([\w/]+\.py)`", page.read_text()
        )
        for name in re.findall(r"`([\w.]+)`", names)
    ]
    assert len(pairs) > 8
    for name, file in pairs:
        text = (ROOT / file).read_text()
        assert all(re.search(rf"\b{part}\b", text) for part in name.split(".")), (name, file)


def test_targets_that_contributors_are_told_of_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
