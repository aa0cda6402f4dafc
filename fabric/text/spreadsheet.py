"""CSV and workbooks, written so that no cell is a formula; CSV read with the place of every cell."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, count, islice
from typing import NamedTuple

from fabric.errors import ExtraError, FileError, printable

MAX_CELL = 10_000
"""Longest cell, in characters."""
MAX_CELLS = 1_000
"""Most cells in a row."""
_BATCH = 10_000  # rows
_SHEET = 1_048_576  # rows of a sheet of Excel, the head among them
_BLOCK = 1 << 20  # bytes

# A spreadsheet takes a cell that starts so for a formula, which may run programs, in full width too:
# OWASP, CSV Injection, https://owasp.org/www-community/attacks/CSV_Injection.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# RFC 4180, 2: a cell is quoted as a whole or has no quote. What does not fit is left to the complaint.
_CELL = re.compile(r'[ \t]*"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"[ \t]*|(?P<plain>[^",\r\n]*)')
_LINE_BREAK = re.compile("\r\n|\r|\n")


class Cell(NamedTuple):
    """A cell of a table and the place where it starts, line and column from 1."""

    text: str
    line: int
    col: int


def write_csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; an empty cell stands for None.

    Notes
    -----
    A text that a spreadsheet would run as a formula gets an apostrophe before it. Numbers stay as they are.

    Examples
    --------
    >>> print(write_csv(["item", "n"], [["leaf, new", -1], ["=1+1", None]]), end="")
    item,n
    "leaf, new",-1
    '=1+1,
    """
    return "".join(csv_pieces(head, rows))


def csv_pieces(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the text of `write_csv` in pieces, for tables that had better not be held in memory."""
    left = chain([head], rows)
    while batch := list(islice(left, _BATCH)):
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerows([harmless(cell) for cell in row] for row in batch)
        yield sink.getvalue()


def xlsx_pieces(head: Sequence[str], rows: Iterable[Sequence[object]], title: str) -> Iterator[bytes]:
    """Yield a workbook of Excel in pieces; rows beyond what a sheet holds go on in the next.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of sequences
        Texts, numbers, and None for an empty cell.
    title : str
        Of the sheet.

    Raises
    ------
    ExtraError
        If XlsxWriter is not installed.

    Notes
    -----
    Texts are cells of text, which no spreadsheet runs; what would be a formula if it were typed in has the
    mark of a quoted cell too, so that editing it does not make one. The same rows give the same bytes.
    """
    try:
        import xlsxwriter
    except ImportError:
        msg = "xlsx needs XlsxWriter: pip install 'fabtopo[xlsx]'"
        raise ExtraError(msg) from None
    left = iter(rows)
    with tempfile.TemporaryFile() as file:
        book = xlsxwriter.Workbook(file, {"constant_memory": True})
        book.set_properties({"created": datetime(2000, 1, 1)})
        quoted, bold = book.add_format({"quote_prefix": True}), book.add_format({"bold": True})
        for n in count(1):
            some = list(islice(left, 1))
            if n > 1 and not some:
                break
            sheet = book.add_worksheet(title if n == 1 else f"{title} {n}")
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(head) - 1, 16)
            sheet.write_row(0, 0, head, bold)
            for at, row in enumerate(chain(some, islice(left, _SHEET - 2)), start=1):
                for column, cell in enumerate(row):
                    if isinstance(cell, str):
                        text = printable(cell, kept="\n")
                        sheet.write_string(at, column, text, quoted if _is_formula(text) else None)
                    elif cell is not None:
                        sheet.write_number(at, column, cell)
        book.close()
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block


def _is_formula(text: str) -> bool:
    return text.lstrip().startswith(FORMULA)


def harmless(cell: object) -> object:
    """Return a cell that no spreadsheet runs and no terminal obeys."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell, kept="\n")
    return f"'{text}" if _is_formula(text) else text


def read_csv(text: str, path: str) -> Iterator[list[Cell]]:
    r"""Yield the rows of a CSV file, empty lines left out.

    Parameters
    ----------
    text : str
        Untrusted.
    path : str
        For the errors.

    Raises
    ------
    FileError
        At the place of a quote that is not closed, of a text beside a quoted one, of a cell longer than
        `MAX_CELL`, or of a row of more than `MAX_CELLS`.

    Examples
    --------
    >>> list(read_csv('item,note\n\nleaf,"a, ""b"" c"\n', "p.csv"))[1]
    [Cell(text='leaf', line=3, col=1), Cell(text='a, "b" c', line=3, col=6)]
    """
    row: list[Cell] = []
    at, line, line_start = 0, 1, 0
    while at < len(text) or row:
        match = _CELL.match(text, at)
        assert match is not None  # it matches the empty text
        row.append(_cell(match, line, at - line_start + 1, path))
        if len(row) > MAX_CELLS:
            raise FileError(path, f"a row of more than {MAX_CELLS:,} cells", "", line, at - line_start + 1)
        # A quoted cell may hold line breaks; columns count from the last of them.
        for end in _LINE_BREAK.finditer(match[0]):
            line, line_start = line + 1, at + end.end()
        at = match.end()
        mark = "\r\n" if text.startswith("\r\n", at) else text[at : at + 1]
        if mark not in (",", "\r\n", "\r", "\n", ""):
            fault = "a quote that is not closed, or a cell that is quoted in part"
            raise FileError(path, fault, 'write "" for a quote', line, at - line_start + 1)
        at += len(mark)
        if mark != ",":
            if len(row) > 1 or match[0].strip():
                yield row
            row, line, line_start = [], line + 1, at


def csv_rows(text: str, path: str) -> Iterator[tuple[int, list[str]]]:
    r"""Yield the lines and the cells of the rows of a CSV file, as `read_csv` does, without places of cells.

    Notes
    -----
    Ten times as fast where no cell is quoted.

    Examples
    --------
    >>> list(csv_rows('item,note\n\nleaf,new\n', "p.csv"))
    [(1, ['item', 'note']), (3, ['leaf', 'new'])]
    """
    if '"' in text or len(max(_LINE_BREAK.split(text), key=len)) > MAX_CELL:
        for cells in read_csv(text, path):
            yield cells[0].line, [cell.text for cell in cells]
        return
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        if line and not line.isspace():
            yield number, line.split(",")


def _cell(match: re.Match[str], line: int, col: int, path: str) -> Cell:
    quoted = match["quoted"]
    text = match["plain"] if quoted is None else quoted.replace('""', '"')
    if len(text) > MAX_CELL:
        fault = f"a cell of {len(text):,} characters; expected at most {MAX_CELL:,}"
        raise FileError(path, fault, line=line, col=col)
    return Cell(text, line, col)
