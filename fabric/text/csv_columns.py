"""CSV of rows that come as columns, many at a time: a column of plain texts is written as it is.

A module of its own, so that those who only read CSV, such as the catalogue of parts, do without NumPy.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fabric.text.spreadsheet import FORMULA, harmless, write_csv

_BREAK, _DELETE = ord("\n"), 0x7F
_IS_ODD_START = np.zeros(256, dtype=np.bool_)
_IS_ODD_START[[ord(mark) for mark in (" ", *FORMULA) if mark.isascii()]] = True


def csv_columns(head: Sequence[str], batches: Iterable[Sequence[Sequence[object]]]) -> Iterator[str]:
    r"""Yield the text of `write_csv` for rows that come as columns, many at a time.

    Notes
    -----
    A column of plain texts is looked at as a whole and written as it is, which is what makes it fast.

    Examples
    --------
    >>> print("".join(csv_columns(["item", "n"], [[["leaf", "=1"], [1.5, None]]])), end="")
    item,n
    leaf,1.5
    '=1,
    """
    yield write_csv(head, [])
    for columns in batches:
        rows = zip(*map(_cell_texts, columns), strict=True)
        lines = "\n".join(map(",".join, rows))
        yield f"{lines}\n" if lines else ""


def _cell_texts(column: Sequence[object]) -> Sequence[str]:
    """Return a column as CSV has it."""
    try:
        # What is no text is found here.
        whole = "\n".join(column)  # type: ignore[arg-type]
    except TypeError:
        pass
    else:
        if _is_plain(whole, len(column)):
            return column  # type: ignore[return-value]
    shown = {cell: _shown(cell) for cell in set(column)}
    return [shown[cell] for cell in column]


def _is_plain(whole: str, n: int) -> bool:
    """Return whether n cells, a line each, are written as they are: by their bytes, which is fast."""
    if not whole.isascii() or '"' in whole or "," in whole:
        return False
    codes = np.frombuffer(f"{whole}\n".encode("ascii"), dtype=np.uint8)
    ends = np.flatnonzero(codes == _BREAK)
    if len(ends) != n or np.count_nonzero(codes < ord(" ")) != n or np.any(codes == _DELETE):
        return False
    return not bool(_IS_ODD_START[codes[np.append(0, ends[:-1] + 1)]].any())


def _shown(cell: object) -> str:
    sink = io.StringIO()
    # Beside another cell an empty one is written as nothing.
    csv.writer(sink, lineterminator="\n").writerow([harmless(cell), ""])
    return sink.getvalue()[:-2]
