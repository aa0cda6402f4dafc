"""The code blocks of the manual, and what stands above them.

A line ``<!-- KEY: WORDS -->`` above a block is a remark on it:

- ``not run: WHY``: it is shown, and nothing runs it;
- ``slow: WHY``: it is run by ``make stress``, as is what comes after it on the page and needs it;
- ``file: NAME``: what the block is called where later blocks of the page name it.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
GENERATED = {"accuracy.md", "api.md", "file-reference.md", "parts.md", "systems.md"}
"""Pages that the code writes; what they show is what it printed."""

REMARKS = {"not run", "slow", "file"}
_FENCE = re.compile(
    r"(?P<remarks>(?:^<!--[^\n]*-->\n+)*)^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block: where it begins, what it is written in, its text, and the remarks on it."""

    line: int
    language: str
    text: str
    remarks: dict[str, str]


def pages():
    """Return the pages that people write."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    inside = [page.relative_to(ROOT) for page in found]
    return [page for page in inside if page.name not in GENERATED and page.parts[:2] != ("docs", "reports")]


def blocks(page):
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


def commands(text):
    """Return the commands of a console block, each with what it prints."""
    parts = re.split(r"^\$ ", text.replace("\\\n", ""), flags=re.MULTILINE)
    assert parts[0] == "", "a console block begins with a command"
    return [(command, printed) for command, _, printed in (part.partition("\n") for part in parts[1:])]


def is_as_shown(shown, printed):
    """Return whether a text is what is shown, in which a line ``...`` stands for any lines."""
    pieces = re.split(r"^ *\.\.\.\n", shown, flags=re.MULTILINE)
    return re.fullmatch("(?:.*\n)*?".join(map(re.escape, pieces)), printed) is not None
