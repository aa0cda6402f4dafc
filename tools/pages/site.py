"""The documentation as a site in .site/html, searchable where it is served.

``python -m tools.pages.site`` stages docs/ in .site/pages, builds that with Zensical in strict mode, and then
follows every link of every page. The pages are plain Markdown that reads as well where the repository is
browsed; so what lies beside docs/ and is linked from it comes along, as pages of their own.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = ROOT / "mkdocs.yml"
BESIDE = "repository"
"""Folder of the site for what lies beside docs/."""

QUIET = frozenset({"parts.md", "systems.md", "accuracy.md", "api.md"})
"""Long pages of reference, which a search lists last."""

_LINK = re.compile(r"(\]\(<?)([^)\s>]+)(>?\))")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class SiteError(Exception):
    """A page that is missing, or a link that leads nowhere."""


def nav_pages(nav: Iterable[Any], docs: Path = DOCS) -> Iterator[str]:
    """Yield the pages of a navigation in order; a folder stands for its pages."""
    for entry in nav:
        target = next(iter(entry.values())) if isinstance(entry, Mapping) else entry
        if isinstance(target, list):
            yield from nav_pages(target, docs)
        elif target.endswith("/"):
            yield from _in_folder(target, docs)
        else:
            yield target


def _in_folder(folder: str, docs: Path) -> list[str]:
    found = sorted(path.relative_to(docs).as_posix() for path in (docs / folder).rglob("*.md"))
    return sorted(found, key=lambda page: posixpath.basename(page) != "README.md")


def expanded(nav: Iterable[Any], docs: Path = DOCS) -> list[Any]:
    """Return a navigation with the pages of each folder in its place."""
    found: list[Any] = []
    for entry in nav:
        if not isinstance(entry, Mapping):
            found += _in_folder(entry, docs) if entry.endswith("/") else [entry]
            continue
        ((title, target),) = entry.items()
        if isinstance(target, list):
            found.append({title: expanded(target, docs)})
        else:
            found.append({title: _in_folder(target, docs) if target.endswith("/") else target})
    return found


def stage(pages: Path) -> None:
    """Copy docs/ to `pages`, and with it what its links reach beside it."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(DOCS, pages)
    for folder in ("decisions", "reports", "examples"):
        _list_folder(pages / folder, folder)
    found: set[str] = set()
    for page in sorted(pages.rglob("*.md")):
        place = page.relative_to(pages).as_posix()
        text = page.read_text(encoding="utf-8")
        text = _staged(text, f"docs/{place}", place, found)
        if place in QUIET:
            text = f"---\nsearch:\n  boost: 0.3\n---\n\n{text}"
        page.write_text(text, encoding="utf-8")
    waiting, done = sorted(found), set(found)
    while waiting:
        path = waiting.pop()
        more: set[str] = set()
        target = pages / _beside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_page_of(path, more), encoding="utf-8")
        waiting += sorted(more - done)
        done |= more


def _list_folder(folder: Path, name: str) -> None:
    """Write the list of the pages of a folder that has none of its own."""
    if not folder.is_dir() or (folder / "README.md").exists():
        return
    pages = [path for path in sorted(folder.rglob("*.md"))]
    rows = [f"- [{_title(path)}]({path.relative_to(folder).as_posix()})" for path in pages]
    (folder / "README.md").write_text("\n".join([f"# {name.capitalize()}", "", *rows, ""]), encoding="utf-8")


def _title(page: Path) -> str:
    heading = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1] if heading else page.stem


def _staged(text: str, source: str, place: str, found: set[str]) -> str:
    """Return a page with the links of the site; what they reach beside docs/ is added to `found`."""

    def moved(link: re.Match[str]) -> str:
        target, _, anchor = link[2].partition("#")
        if not target or urlsplit(target).scheme:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(target)))
        if path.startswith("docs/") or path == "docs":
            new = path.removeprefix("docs").lstrip("/")
            if (ROOT / path).is_dir():
                new = posixpath.join(new, "README.md")
        elif (ROOT / path).exists():
            found.add(path)
            new = _beside(path)
        else:
            return link[0]  # told of by the check of the links
        relative = posixpath.relpath(new, posixpath.dirname(place) or ".")
        return f"{link[1]}{relative}{'#' if anchor else ''}{anchor}{link[3]}"

    parts, at = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(moved, text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, _LINK.sub(moved, text[at:])])


def _beside(path: str) -> str:
    """Return the page of the site that shows a file or a folder of the repository.

    Examples
    --------
    >>> _beside("CHANGELOG.md"), _beside("topologies/a.fabric.yaml"), _beside("tools")
    ('repository/CHANGELOG.md', 'repository/topologies/a.fabric.yaml.md', 'repository/tools/README.md')
    """
    if (ROOT / path).is_dir():
        return f"{BESIDE}/{path}/README.md"
    return f"{BESIDE}/{path}{'' if path.endswith('.md') else '.md'}"


def _page_of(path: str, found: set[str]) -> str:
    """Return the page of something beside docs/; no search finds it, as it is not about anything."""
    quiet = "---\nsearch:\n  exclude: true\n---\n\n"
    file = ROOT / path
    if file.is_dir():
        inner = sorted(one for one in file.iterdir() if one.is_file() and not one.name.startswith("."))
        found |= {one.relative_to(ROOT).as_posix() for one in inner if one.suffix in (".yaml", ".csv", ".md")}
        rows = [f"- [{one.name}]({one.name}.md)" for one in inner if one.suffix in (".yaml", ".csv")]
        return f"{quiet}# {path}\n\n" + "\n".join(rows) + "\n"
    text = file.read_text(encoding="utf-8")
    if path.endswith(".md"):
        return quiet + _staged(text, path, _beside(path), found)
    language = {".yaml": "yaml", ".py": "python", ".json": "json"}.get(file.suffix, "text")
    fence = "`" * (3 + max(map(len, re.findall("`{3,}", text)), default=0))
    return f"{quiet}# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def configured(site: Path) -> str:
    """Return mkdocs.yml with the folders of the staged site, and every page in its navigation.

    Raises
    ------
    SiteError
        If a page of docs/ is in no place, or in two.
    """
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    listed = list(nav_pages(config["nav"], site / "pages"))
    there = {path.relative_to(site / "pages").as_posix() for path in (site / "pages").rglob("*.md")}
    there = {page for page in there if not page.startswith(f"{BESIDE}/")}
    if wrong := sorted(there ^ set(listed)) or sorted({page for page in listed if listed.count(page) > 1}):
        msg = f"mkdocs.yml: the navigation has each page of docs/ once; look at {', '.join(wrong)}"
        raise SiteError(msg)
    config |= {"nav": expanded(config["nav"], site / "pages"), "docs_dir": "pages", "site_dir": "html"}
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


class _Page(HTMLParser):
    """The targets and the anchors of a page, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in found:
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon") and "href" in found:
            self.loads.append(found["href"])


def faults(site: Path) -> list[str]:
    """Return the links of a built site that lead nowhere, and what its pages load from elsewhere."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are those of the root, wherever it is shown
            continue
        name = path.relative_to(site)
        found += [
            f"{name}: loads {load}" for load in page.loads if urlsplit(load).scheme in ("http", "https")
        ]
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{name}: {link}: no such page")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link}: no such chapter")
    return found


def build(site: Path) -> list[str]:
    """Build the site and return its faults.

    Raises
    ------
    SiteError
        If Zensical refuses it.
    """
    site.mkdir(parents=True, exist_ok=True)
    stage(site / "pages")
    (site / "mkdocs.yml").write_text(configured(site), encoding="utf-8")
    shutil.rmtree(site / "html", ignore_errors=True)
    tool = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run([*tool, "-f", "mkdocs.yml"], cwd=site, capture_output=True, text=True)
    if done.returncode:
        told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        raise SiteError(told)
    return faults(site / "html")


def main() -> None:
    """Build the site; the exit status is 1 where a link leads nowhere."""
    try:
        found = build(ROOT / ".site")
    except SiteError as error:
        sys.exit(f"site: {error}")
    for fault in found:
        print(f"site: {fault}", file=sys.stderr)
    if found:
        sys.exit(1)
    print("site: .site/html/index.html")


if __name__ == "__main__":
    main()
