"""What README and manuals list is what there is; tests/manual runs what they show."""

import re
from pathlib import Path

import fabric
from fabric.schedule.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COLLECTIVES = (ROOT / "docs/collectives.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


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


def test_links_lead_somewhere():
    links = [(page, to) for page in PAGES for to in re.findall(r"\]\(<?([^)#>]+)>?\)", page.read_text())]
    inner = [(page, to) for page, to in links if not to.startswith(("http://", "https://"))]
    assert [(page, to) for page, to in inner if not (page.parent / to).exists()] == []


def test_algorithms_of_the_manual_are_those_of_the_table():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in COLLECTIVES.splitlines()]
    first = rows.index(["algorithm", "does", "in short", "source"]) + 2
    listed = rows[first : rows.index([], first)]
    assert [(name, does, source) for name, does, _, source in listed] == [
        (a.name, ", ".join(a.collectives), a.source) for a in ALGORITHMS
    ]
