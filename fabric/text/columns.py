"""Tables on a terminal, and how wide it is."""

from __future__ import annotations

import contextlib
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar

from fabric.errors import printable

_GAP = 2
_LEAST = 12
"""Columns that a column of words keeps at least, unless it needs fewer."""

_WIDTH: ContextVar[int | None] = ContextVar("width", default=None)


@contextlib.contextmanager
def terminal(width: int | None) -> Iterator[None]:
    """Have tables and lines fit into so many columns; None for as wide as they are.

    Examples
    --------
    >>> with terminal(20):
    ...     print(columns(["part", "about"], [["sn5610", "a switch of 64 ports"]]))
    part    about
    sn5610  a switch of
            64 ports
    """
    before = _WIDTH.set(width)
    try:
        yield
    finally:
        _WIDTH.reset(before)


def width() -> int | None:
    """Return how many columns there are, None where nothing limits them."""
    return _WIDTH.get()


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> str:
    """Return aligned columns, a line each; a heading that starts with ``>`` is flush right.

    Where a terminal is too narrow, cells of words are folded, numbers never; where that is not enough, the
    columns come in several tables, each of which begins with the first column.

    Parameters
    ----------
    head : sequence of str
        As for `fabric.text.markdown.table`.
    rows : iterable of sequence of str
        Cells, each on one line.
    indent : str
        Before every line.

    Examples
    --------
    >>> print(columns(["part", ">ports"], [["sn5610", "64"], ["q3400", "144"]]))
    part    ports
    sn5610     64
    q3400     144
    """
    is_right = [heading.startswith(">") for heading in head]
    lines = [[printable(cell) for cell in row] for row in ([h.removeprefix(">") for h in head], *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    limit = None if _WIDTH.get() is None else max(1, (_WIDTH.get() or 0) - len(indent))
    if limit is None or _total(widths) <= limit:
        return _laid_out(lines, widths, is_right, indent)
    least = [
        wide if right else min(wide, max(_LEAST, _longest_word(column)), max(_LEAST, limit // 2))
        for column, wide, right in zip(zip(*lines, strict=True), widths, is_right, strict=True)
    ]
    tables = []
    for chosen in _groups(least, limit):
        part = _shrunk([widths[i] for i in chosen], [least[i] for i in chosen], limit)
        cells = [[row[i] for i in chosen] for row in lines]
        tables.append(_laid_out(cells, part, [is_right[i] for i in chosen], indent))
    return "\n\n".join(tables)


def fit(text: str) -> str:
    r"""Return a text whose long lines are folded into the terminal; what is in columns already stays.

    Examples
    --------
    >>> with terminal(24):
    ...     print(fit("  a line that is longer than that\nshort"))
      a line that is longer
          than that
    short
    """
    limit = _WIDTH.get()
    if limit is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _folded(line, limit))


def _folded(line: str, limit: int) -> list[str]:
    body = line.lstrip()
    # Two blanks inside are a drawing or a table: its columns have been fitted, or mean something as they are.
    if len(line) <= limit or re.search(r"\S  +\S", body):
        return [line]
    indent = line[: len(line) - len(body)]
    after = f"{indent}{'  ' if body.startswith('- ') else '    '}"
    if len(after) >= limit // 2:
        after = ""
    return textwrap.wrap(
        line, limit, subsequent_indent=after, break_long_words=False, break_on_hyphens=False
    ) or [line]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _longest_word(cells: Iterable[str]) -> int:
    return max((len(word) for cell in cells for word in cell.split()), default=0)


def _groups(least: Sequence[int], limit: int) -> list[list[int]]:
    """Return which columns stand in one table, at their least widths; the first in all."""
    groups = [[0]]
    for i in range(1, len(least)):
        if len(groups[-1]) > 1 and _total([least[j] for j in (*groups[-1], i)]) > limit:
            groups.append([0])
        groups[-1].append(i)
    return groups


def _shrunk(widths: Sequence[int], least: Sequence[int], limit: int) -> list[int]:
    """Return widths that fit, the widest columns narrowed first and none below its least."""
    found = list(widths)
    while _total(found) > limit:
        spare = [i for i in range(len(found)) if found[i] > least[i]]
        if not spare:
            break
        widest = max(spare, key=lambda i: found[i])
        found[widest] -= 1
    return found


def _laid_out(
    lines: Sequence[Sequence[str]], widths: Sequence[int], is_right: Sequence[bool], indent: str
) -> str:
    gap = " " * _GAP
    found = []
    for line in lines:
        # A cell without a break, as most are, is not looked at word by word.
        cells = [
            [cell] if len(cell) <= wide else textwrap.wrap(cell, wide, break_on_hyphens=False)
            for cell, wide in zip(line, widths, strict=True)
        ]
        for i in range(max(map(len, cells))):
            parts = (
                (cell[i] if i < len(cell) else "").rjust(wide)
                if right
                else (cell[i] if i < len(cell) else "").ljust(wide)
                for cell, wide, right in zip(cells, widths, is_right, strict=True)
            )
            found.append(f"{indent}{gap.join(parts)}".rstrip())
    return "\n".join(found)
