"""The pages of the documentation: each has its place, and every link of them leads somewhere."""

import functools
import re

import pytest
import yaml

from fabric.blueprint.schema import FabricFile
from tools.pages import api, file_reference, site

ROOT = site.ROOT
NAV = yaml.safe_load(site.CONFIG.read_text())["nav"]
SLUG = re.compile(r"[^\w\- ]")


def slug(heading):
    """Return the anchor of a heading as GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|\\(.)", lambda m: m[1] or m[2], heading)
    return SLUG.sub("", text.strip().lower()).replace(" ", "-")


@functools.cache
def anchors(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    return headings | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def test_every_page_is_in_the_navigation_once():
    listed = list(site.nav_pages(NAV))
    there = [page.relative_to(site.DOCS).as_posix() for page in site.DOCS.rglob("*.md")]
    # A folder without a list of its own gets one when the site is made.
    made = {"decisions/README.md", "reports/README.md"}
    assert sorted(listed) == sorted(set(there) - made), "a new page of docs/ has a line in mkdocs.yml"


def test_what_newcomers_need_comes_before_reference():
    order = list(site.nav_pages(NAV))
    first = [order.index(page) for page in ("tutorial.md", "how-to/limit.md", "topology-file.md")]
    assert first == sorted(first)
    assert max(first) < min(order.index(page) for page in ("systems.md", "parts.md", "api.md"))


def test_chapters_that_are_linked_exist():
    lost = []
    for page in site.DOCS.rglob("*.md"):
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        links = [link.partition("#") for link in re.findall(r"\]\(<?([^)\s>]+)>?\)", text)]
        inner = [
            (path, anchor) for path, _, anchor in links if anchor and not path.startswith(("http:", "https:"))
        ]
        lost += [
            f"{page}: {path}#{anchor}"
            for path, anchor in inner
            if anchor not in anchors((page.parent / path if path else page).resolve())
        ]
    assert lost == []


def test_what_lies_beside_the_docs_comes_along(tmp_path):
    site.stage(tmp_path)
    assert (
        "fabric: gb300-nvl72-1152"
        in (tmp_path / "repository/topologies/gb300-nvl72-1152.fabric.yaml.md").read_text()
    )
    systems = (tmp_path / "systems.md").read_text()
    assert "](repository/fabric/templates/hgx-h100.fabric.yaml.md)" in systems
    assert "](../" not in systems
    assert "](../repository/topologies/patterns/fat-tree.fabric.yaml.md)" in (
        tmp_path / "topology-file.md"
    ).read_text().replace("](repository", "](../repository")
    assert "search:\n  boost" in systems
    assert "0001" in (tmp_path / "decisions/README.md").read_text()


def test_a_page_without_a_place_is_refused(tmp_path):
    site.stage(tmp_path / "pages")
    assert "how-to/limit.md" in site.configured(tmp_path)
    (tmp_path / "pages/stray.md").write_text("# Stray\n")
    with pytest.raises(site.SiteError, match=r"stray\.md"):
        site.configured(tmp_path)


def test_faults_of_a_built_site_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<h1 id="x">A</h1><a href="b.html#y">b</a><a href="#x">x</a>')
    (tmp_path / "b.html").write_text('<h1 id="y">B</h1><a href="a.html">a</a>')
    assert site.faults(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<a href="a.html#z">a</a><img src="no.svg"><script src="https://x.y/z.js"></script>'
    )
    found = site.faults(tmp_path)
    assert len(found) == 4
    for part in (
        "b.html#y: no such chapter",
        "a.html#z: no such chapter",
        "no.svg: no such page",
        "https://x",
    ):
        assert any(part in fault for fault in found), part


@pytest.mark.slow
def test_the_site_is_whole(tmp_path):
    assert site.build(tmp_path) == []
    html = tmp_path / "html"
    assert (html / "search.json").stat().st_size > 100_000
    home = (html / "index.html").read_text()
    for page in ("tutorial.html", "how-to/limit.html", "api.html"):
        assert page in home
        assert (html / page).is_file()


def test_the_reference_has_every_key():
    text = file_reference.page()
    chapter = text.partition("## The topology file")[2].partition("### ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE)) == set(FabricFile.model_fields)
    job = text.partition("## The job file")[0]
    untold = re.findall(r"^\| (`\w+`) \|.*\|  \|$", job, re.MULTILINE)
    assert untold == [], "a key of the topology file says what it is, in fabric/blueprint/schema.py"


def test_the_library_has_every_name():
    import fabric

    text = api.page()
    headings = re.findall(r"^### (\w+)", text, re.MULTILINE)
    assert sorted(headings) == sorted(fabric.__all__)
    assert "fabric.max_flow(fabric, source, target, " in text
    assert {slug(line) for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)} >= {
        anchor for anchor in re.findall(r"\]\(#([\w-]+)\)", text)
    }


def test_words_of_docstrings_show_as_written():
    assert api.prose("x < y, `a*b` and *c*") == "x \\< y, `a*b` and \\*c\\*"
    (first, notes) = api.sections("Do.\n\nNotes\n-----\nWhy.\n")
    assert (first.text, notes) == ("Do.", ("Notes", "Why."))


def test_ci_builds_the_site_with_the_release_that_is_pinned():
    assert "\nzensical==" in (ROOT / "constraints.txt").read_text()
    assert "make site" in (ROOT / ".ci/run").read_text()
    assert "tools.pages.site" in (ROOT / "Makefile").read_text()
