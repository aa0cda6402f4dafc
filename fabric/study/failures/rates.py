"""How often things fail: rows of a table, each with what it was counted on, and tables of the user's own.

A rate is events over devices and days, as they were counted: 148 faulty GPUs among 16,384 in 54 days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NoReturn

from fabric.errors import FileError, PartError, UnitError, nearest
from fabric.parts import CONFIDENCES
from fabric.text.reading import decode, read_bytes
from fabric.text.spreadsheet import Cell, read_csv
from fabric.units import parse_number

MAX_BYTES = 2**20
"""Largest table."""
GIVEN = "given"
"""Confidence of a rate that the reader gives."""
KINDS = ("endpoint", "node", "gpu", "nic", "host", "switch", "cable")
"""What a rate may be of beside the groups, rules and shared risks of a file."""
_SHIPPED = ("set", "of", "what", "events", "devices", "days", "repair_h", "source", "confidence", "note")
_NEEDED = ("of", "events", "devices", "days")


@dataclass(frozen=True, slots=True)
class FailureRate:
    """How often something fails, and how long it is down.

    Parameters
    ----------
    of : str
        One of `KINDS`, or a group, rule or shared risk of the file, which comes before its kind.
    what : str
        In words.
    per_hour : float
        Events for each device or cable and hour; of a node or an endpoint for each of those.
    repair_h : float
        How long it is down [h]; 0 where a restart is all that it takes.
    source, confidence, note : str
    """

    of: str
    what: str
    per_hour: float
    repair_h: float
    source: str
    confidence: str
    note: str = ""


def known_rates(name: str) -> tuple[FailureRate, ...]:
    """Return a shipped table.

    Raises
    ------
    PartError
        If there is none of that name.

    Examples
    --------
    >>> rates = known_rates("llama3")
    >>> len(rates), round(1 / sum(16384 * r.per_hour for r in rates), 2)
    (18, 3.09)
    """
    data = (resources.files("fabric.study.failures") / "data" / "rates.csv").read_bytes()
    tables: dict[str, list[FailureRate]] = {}
    for table, rate in _parsed(data, "rates.csv", _SHIPPED):
        tables.setdefault(table, []).append(rate)
    if name not in tables:
        hint = nearest(name, tables)
        msg = f"rates: no table {name!r}; {hint or 'tables are ' + ', '.join(tables)}, or name a CSV file"
        raise PartError(msg)
    return tuple(tables[name])


def read_rates(path: str | Path) -> tuple[FailureRate, ...]:
    """Read a table of the user's own, which replaces the shipped ones.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``of``, ``events``, ``devices`` and ``days``; ``what``, ``repair_h`` (24 if left
        out), ``source``, ``confidence`` and ``note`` may be there.

    Raises
    ------
    PartError
        At the first cell that is not sound, with line and column.
    """
    try:
        return parse_rates(read_bytes(path, limit=MAX_BYTES), str(path))
    except FileError as error:
        raise PartError(str(error)) from None


def parse_rates(data: bytes, path: str) -> tuple[FailureRate, ...]:
    """Return the table that a text holds, as `read_rates` does; `path` names it in the errors."""
    return tuple(rate for _, rate in _parsed(data, path, _SHIPPED[1:]))


def _parsed(data: bytes, path: str, known: Sequence[str]) -> list[tuple[str, FailureRate]]:
    try:
        head, *rows = list(read_csv(decode(data, path), path)) or [[]]
    except FileError as error:
        raise PartError(str(error)) from None
    names = [cell.text.strip() for cell in head]
    for cell, name in zip(head, names, strict=True):
        if name not in known or names.count(name) > 1:
            problem = f"column {name!r} twice" if name in known else f"unknown column {name!r}"
            _refuse(path, cell, f"{problem}; expected some of {', '.join(known)}")
    if missing := [name for name in _NEEDED if name not in names]:
        msg = f"{path}:1:1: lacks column {missing[0]}; expected {', '.join(_NEEDED)}"
        raise PartError(msg)
    return [_row(path, names, row) for row in rows]


def _refuse(path: str, cell: Cell, fault: str) -> NoReturn:
    msg = f"{path}:{cell.line}:{cell.col}: {fault}"
    raise PartError(msg)


def _row(path: str, names: Sequence[str], row: Sequence[Cell]) -> tuple[str, FailureRate]:
    if len(row) != len(names):
        _refuse(path, row[-1], f"{len(row)} cells; expected {len(names)}; quote a text that holds a comma")
    cells = dict(zip(names, row, strict=True))
    texts = {name: cell.text.strip() for name, cell in cells.items()}
    numbers = {}
    for name in ("events", "devices", "days", "repair_h"):
        text = texts.get(name, "") or ("24" if name == "repair_h" else "")
        try:
            numbers[name] = parse_number(text)
        except UnitError:
            _refuse(path, cells.get(name, row[0]), f"{name} is {text!r}; expected a number from 0 up")
        if name in ("devices", "days") and numbers[name] <= 0:
            _refuse(path, cells[name], f"{name} is {text}; expected more than 0")
    if not texts["of"]:
        _refuse(path, cells["of"], f"of is empty; expected {', '.join(KINDS)}, or a name of the file")
    confidence = texts.get("confidence") or GIVEN
    if confidence not in (*CONFIDENCES, GIVEN):
        _refuse(path, cells["confidence"], f"confidence {confidence!r}; expected {', '.join(CONFIDENCES)}")
    per_hour = numbers["events"] / (numbers["devices"] * numbers["days"] * 24)
    if not per_hour * numbers["repair_h"] < 1e6:
        _refuse(path, cells["events"], f"{per_hour:g} events an hour each; expected fewer")
    return texts.get("set", ""), FailureRate(
        texts["of"],
        texts.get("what") or texts["of"],
        per_hour,
        numbers["repair_h"],
        texts.get("source") or "given by the reader",
        confidence,
        texts.get("note", ""),
    )
