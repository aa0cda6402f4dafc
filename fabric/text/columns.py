"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fabric.errors import printable


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns, a line each; a heading that starts with ``>`` is flush right.

    Parameters
    ----------
    head : sequence of str
        As for `fabric.text.markdown.table`.
    rows : iterable of sequence of str
        Cells, each on one line.

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
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, is_right, strict=True)
        ).rstrip()
        for line in lines
    )
