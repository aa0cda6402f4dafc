"""Lists of cables as CSV: point-to-point lists, NetBox, and plain edge lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fabric.errors import nearest
from fabric.interop.sources.found import Place, Survey
from fabric.text.spreadsheet import csv_rows
from fabric.units import parse_count

_KIND_OF_TYPE = {"host": "host", "switch": "switch"}
# NetBox names interface types by rate: 400gbase-x-osfp, 1.6tbase-x-osfp1600, infiniband-ndr.
_NETBOX_RATE = re.compile(r"(?P<n>\d{1,4}(?:\.\d{1,2})?)(?P<unit>g|t)base-.*")
# Infiniband types of NetBox are of one lane (netbox#23016); Gb/s, InfiniBand Trade Association, roadmap.
LANE_GBPS = {"SDR": 2.5, "DDR": 5, "QDR": 10, "FDR": 14, "EDR": 25, "HDR": 50, "NDR": 100, "XDR": 200}


Row = tuple[int, list[str]]
"""Line and cells."""


def _table(text: str, path: str, found: Survey) -> tuple[list[str], list[Row]]:
    rows = list(csv_rows(text, path))
    if not rows:
        found.problem((path, 1), "file", "is empty")
        return [], []
    return [cell.strip() for cell in rows[0][1]], rows[1:]


def _columns(head: Sequence[str], names: Sequence[str], path: str, found: Survey) -> list[int] | None:
    """Return the columns of some headings; None, and a problem, where one is missing."""
    missing = [name for name in names if name not in head]
    if missing:
        todo = nearest(missing[0], [h for h in head if h])
        found.problem((path, 1), "head", f"no column {missing[0]!r}", todo=todo)
        return None
    return [head.index(name) for name in names]


def _word(cells: Sequence[str], column: int) -> str:
    # An apostrophe before a formula is what a spreadsheet is told, and no part of a name.
    return cells[column].strip().removeprefix("'") if 0 <= column < len(cells) else ""


def _of_columns(rows: Iterable[Row], at: Sequence[int], path: str, found: Survey) -> None:
    for line, cells in rows:
        a, p, z, q = [_word(cells, column) for column in at]
        if not (p or q):
            # A portless cable is none here: each end names what it lacks.
            found.problem((path, line), "cable", f"both ends without port: {a} - {z}")
            continue
        found.cable((a, p), (z, q), (path, line))


def p2p_ethernet(text: str, path: str, found: Survey) -> None:
    """Read a point-to-point list for Ethernet."""
    head, rows = _table(text, path, found)
    names = ("A-Node Name", "A-Port", "Z-Node Name", "Z-Port")
    at = _columns(head, names, path, found) if head else None
    if at is None:
        return
    _of_columns(rows, at, path, found)
    for name, node in (("A-Type", at[0]), ("Z-Type", at[2])):
        if name in head:
            column = head.index(name)
            for line, cells in rows:
                _typed(_word(cells, node), _word(cells, column), (path, line), found)


def _typed(node: str, kind: str, at: Place, found: Survey) -> None:
    if kind and kind.lower() not in _KIND_OF_TYPE:
        found.problem(
            at, "type", f"{node} is of no type that the format has", got=kind, todo="Host or Switch"
        )
    elif kind and node:
        found.node(node, _KIND_OF_TYPE[kind.lower()], at)


def p2p_infiniband(text: str, path: str, found: Survey) -> None:
    """Read a point-to-point list for InfiniBand, whose headings stand twice."""
    head, rows = _table(text, path, found)
    if not head:
        return
    named = [i for i, word in enumerate(head) if word == "Name"]
    ported = [i for i, word in enumerate(head) if word in ("Port", "HCA/Port")]
    if len(named) != 2 or len(ported) != 2:
        fault = "expected two columns 'Name', and 'HCA/Port' and 'Port'"
        found.problem((path, 1), "head", fault, got=", ".join(head)[:80])
        return
    _of_columns(rows, (named[0], ported[0], named[1], ported[1]), path, found)


def netbox(text: str, path: str, found: Survey) -> None:
    """Read the cables of NetBox, or its interfaces, whose types say the rates."""
    head, rows = _table(text, path, found)
    if {"device", "name", "type"} <= set(head):
        at = [head.index(word) for word in ("device", "name", "type")]
        for line, cells in rows:
            device, name, kind = (_word(cells, column) for column in at)
            rate = _netbox_rate(kind)
            if rate is not None:
                found.rate_of_port((device, name), rate, (path, line))
        return
    if {"name", "device_type"} <= set(head):
        return  # devices: their roles are the site's own words
    names = ("side_a_device", "side_a_name", "side_b_device", "side_b_name")
    columns = _columns(head, names, path, found) if head else None
    if columns:
        _of_columns(rows, columns, path, found)


def _netbox_rate(kind: str) -> float | None:
    match = _NETBOX_RATE.fullmatch(kind)
    if match:
        return float(match["n"]) * (1000 if match["unit"] == "t" else 1)
    return None


def edges(text: str, path: str, found: Survey) -> None:
    """Read a list of edges: ``source,target`` and, where known, ports, ``rate``, ``count``."""
    head, rows = _table(text, path, found)
    if not head:
        return
    low = [word.lower() for word in head]
    at = {name: low.index(name) if name in low else -1 for name in _EDGE_COLUMNS}
    if at["source"] < 0 or at["target"] < 0:
        todo = "its first line is source,target, and source_port, target_port, rate, count where known"
        found.problem((path, 1), "head", "no columns source and target", got=", ".join(head)[:80], todo=todo)
        return
    unknown = [head[i] for i, word in enumerate(low) if word not in _EDGE_COLUMNS]
    if unknown:
        todo = nearest(unknown[0], _EDGE_COLUMNS) or f"columns are {', '.join(_EDGE_COLUMNS)}"
        found.problem((path, 1), "head", f"unknown column {unknown[0]!r}", todo=todo)
        return
    for line, cells in rows:
        word = {name: _word(cells, column) for name, column in at.items()}
        place = (path, line)
        rate = found.rate(word["rate"], place) if word["rate"] else None
        for _ in range(_count(word["count"], place, found)):
            ends = (word["source"], word["source_port"]), (word["target"], word["target_port"])
            found.cable(*ends, place, rate)
        for node, kind in (("source", "source_kind"), ("target", "target_kind")):
            if word[kind]:
                found.kind(word[node], word[kind], place)


_EDGE_COLUMNS = (
    "source", "target", "source_port", "target_port", "rate", "count", "source_kind", "target_kind",
)  # fmt: skip
_MAX_COUNT = 4_096


def _count(text: str, at: Place, found: Survey) -> int:
    if not text:
        return 1
    try:
        count = parse_count(text)
    except ValueError as error:
        found.problem(at, "count", str(error))
        return 0
    if count > _MAX_COUNT:
        found.problem(at, "count", f"more than {_MAX_COUNT:,} cables between two nodes", got=text[:20])
        return 0
    return count
