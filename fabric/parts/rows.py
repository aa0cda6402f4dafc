"""Lines of the data files: read, typed, and refused with the place where they are wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NoReturn

from fabric.errors import FileError, PartError, UnitError, nearest
from fabric.parts.model import CONFIDENCES, Evidence, Frozen
from fabric.text.reading import decode, read_bytes
from fabric.text.spreadsheet import read_csv
from fabric.units import parse_number

MAX_BYTES = 16 * 2**20
"""Largest data file."""
RECALLED = "own"
"""The source of figures that nobody looked up."""

# The last word of a figure's name is its unit, and "per" what it counts; n_ marks a count.
UNIT = re.compile(r"n_\w+|\w+_(gb|tb|mb|tb_s|gbps|tflops|w|ns|m|usd)(_per_(end|m|cage))?")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a data file.

    Parameters
    ----------
    file : str
        Name of the file.
    line : int
        Line in it, from 1.
    cells : mapping of str to str
        Stripped text by column.
    """

    file: str
    line: int
    cells: Mapping[str, str]

    def refuse(self, fault: str) -> NoReturn:
        """Raise an error that names the file, the line and the row."""
        name = next(iter(self.cells.values())) or "(no id)"
        msg = f"{self.file}:{self.line}: {name}: {fault}"
        raise PartError(msg)

    def text(self, column: str) -> str:
        """Return the text of a cell that may not be empty."""
        if not self.cells[column]:
            self.refuse(f"{column} is empty")
        return self.cells[column]

    def number(self, column: str) -> float:
        """Return the number of a cell: finite and not negative."""
        try:
            return parse_number(self.cells[column])
        except UnitError:
            self.refuse(f"{column} is {self.cells[column]!r}; expected a number from 0 up")

    def rate(self, column: str) -> float:
        """Return the number of a cell that must be above 0."""
        value = self.number(column)
        if value == 0:
            self.refuse(f"{column} is 0; expected a rate above 0")
        return value

    def whole(self, column: str) -> int:
        """Return the whole number, at least 1, of a cell."""
        value = self.number(column)
        if value < 1 or value != int(value):
            self.refuse(f"{column} is {self.cells[column]}; expected a whole number from 1 up")
        return int(value)

    def choice(self, column: str, known: Collection[str]) -> str:
        """Return the text of a cell that must be one of `known`."""
        return self.known(self.text(column), column, known)

    def known(self, name: str, kind: str, known: Collection[str]) -> str:
        """Return `name` if it is one of `known`."""
        if name not in known:
            hint = nearest(name, known)
            self.refuse(f"unknown {kind} {name!r}" + (f"; {hint}" if hint else ""))
        return name


def read_rows(directory: Traversable | Path, file: str, columns: Collection[str]) -> list[Row]:
    """Read a data file.

    Parameters
    ----------
    directory : Traversable or Path
        Where the file is.
    file : str
        Its name.
    columns : collection of str
        Columns that the file must have; others are figures.

    Returns
    -------
    list of Row
        In the order of the file.

    Raises
    ------
    PartError
        If the file is not there, lacks a column, has one without a unit, or a line of another length.
    """
    try:
        place = directory.joinpath(file)  # in a zipped package it is no path
        data = read_bytes(place, limit=MAX_BYTES) if isinstance(place, Path) else place.read_bytes()
        head, *lines = list(read_csv(decode(data, file), file)) or [[]]
    except FileError as error:
        raise PartError(str(error)) from None
    header = [cell.text for cell in head]
    _check_header(file, header, columns)
    rows = []
    for cells in lines:
        row = Row(file, cells[0].line, dict(zip(header, (c.text.strip() for c in cells), strict=False)))
        if len(cells) != len(header):
            row.refuse(f"{len(cells)} cells; expected {len(header)}; quote a text that holds a comma")
        rows.append(row)
    return rows


def _check_header(file: str, header: list[str], columns: Collection[str]) -> None:
    missing = [f"lacks column {c}" for c in columns if c not in header]
    strange = [
        f"column {c!r} does not end in a unit" for c in header if c not in columns and not UNIT.fullmatch(c)
    ]
    twice = [f"has column {c} twice" for c in header if header.count(c) > 1]
    if wrong := missing + strange + twice:
        msg = f"{file}:1: {wrong[0]}"
        raise PartError(msg)


def figures(row: Row, columns: Collection[str]) -> Frozen[float]:
    """Return the figures of a row: the filled cells outside `columns`."""
    return Frozen({c: row.number(c) for c, text in row.cells.items() if text and c not in columns})


def grounds(row: Row, sources: Collection[str]) -> Evidence:
    """Return the evidence of a row; a row without a source does not load."""
    return _evidence(row, row.text("confidence"), row.text("source").split(), sources)


def exceptions(row: Row, sources: Collection[str]) -> Frozen[Evidence]:
    """Return the evidence of single figures, written ``figure:confidence:source+source``."""
    by_figure: dict[str, Evidence] = {}
    for entry in row.cells["exceptions"].split():
        figure, _, marks = entry.partition(":")
        confidence, _, ids = marks.partition(":")
        if not row.cells.get(figure):
            row.refuse(f"exception for {figure!r}, which the row does not fill")
        if figure in by_figure:
            row.refuse(f"second exception for {figure}")
        by_figure[figure] = _evidence(row, confidence, ids.split("+"), sources)
    return Frozen(by_figure)


def _evidence(row: Row, confidence: str, ids: list[str], sources: Collection[str]) -> Evidence:
    row.known(confidence, "confidence", CONFIDENCES)
    for name in ids:
        row.known(name, "source", sources)
    if ids == [RECALLED] and confidence != "assumed":
        row.refuse(f"confidence {confidence} without a text to read; expected assumed")
    return Evidence(confidence, tuple(ids))
