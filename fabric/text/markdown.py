"""Pieces of CommonMark, with every text from a file made harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fabric.errors import printable

_MARKS = re.compile(r"([\\`*_\[\]<>|~&#$@!])")
# Of a list, whose number has a space behind its point, or of the line under a heading.
_LEADING = re.compile(r"^(?:(\d{1,9})([.)])(?=\s|$)|()([-+=]))")


def escape(text: str) -> str:
    r"""Return free text as one line of CommonMark that renders as written: no markup, HTML or link.

    Examples
    --------
    >>> print(escape("a|b <b>\n# [x](http://y) `c`"))
    a\|b \<b\> \# \[x\](http:\//y) \`c\`
    """
    line = _line(text)
    line = _MARKS.sub(r"\\\1", line)
    # GitHub makes links of bare addresses.
    line = line.replace("://", ":\\//").replace("www.", "www\\.")
    return _LEADING.sub(r"\1\3\\\2\4", line)


def _line(text: str) -> str:
    """Return a text on one line, without what cannot be printed."""
    return " ".join(printable(text).replace("\ufffd", " ").split())


def code(text: str) -> str:
    r"""Return a name as code.

    Examples
    --------
    >>> print(code("nic-leaf"), code("a`b|c"))
    `nic-leaf` `a'b\|c`
    """
    line = _line(text).replace("`", "'").replace("|", "\\|")
    return f"`{line}`"


def link(title: str, target: str) -> str:
    """Return `title`, linked where `target` is a web address that can stand in angle brackets.

    A target ``none`` is no place to tell.

    Examples
    --------
    >>> print(link("manual", "https://a.b/c"), link("book", "page 3"), link("own", "none"))
    [manual](<https://a.b/c>) book (page 3) own
    """
    if re.fullmatch(r"https?://[^\s<>\\|]+", target):
        return f"[{escape(title)}](<{target}>)"
    return escape(title) + (f" ({escape(target)})" if target != "none" else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a heading that starts with ``>`` is flush right. Cells are CommonMark already.

    Examples
    --------
    >>> print(table(["tier", ">ratio"], [["leaf", "1:1"]]))
    | tier | ratio |
    | --- | ---: |
    | leaf | 1:1 |
    """
    lines = [[h.removeprefix(">") for h in head], ["---:" if h.startswith(">") else "---" for h in head]]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [*lines, *rows])


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)
