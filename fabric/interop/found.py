"""Cables as they were found: lists of cabling tools, LLDP neighbours, the sweep of an InfiniBand network.

Sources are untrusted. What is wrong in them is told all at once, each with file and line: a cable with one
end, a port with two cables. Nothing is guessed: what a format does not hold, such as a rate, stays open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fabric.errors import Problem, QuestionError, TopologyError, nearest
from fabric.text.reading import STANDARD, decode, read_bytes, read_standard_input
from fabric.text.spreadsheet import Cell, read_csv

MAX_BYTES = 512 * 2**20
"""Largest source [bytes]."""
_MAX_NAME = 200

Port = tuple[str, str]
"""Node and port."""

# Gb/s of one lane, nominal: InfiniBand Trade Association, roadmap.
_LANE_GBPS = {"SDR": 2.5, "DDR": 5, "QDR": 10, "FDR": 14, "EDR": 25, "HDR": 50, "NDR": 100, "XDR": 200}


class FoundCable(NamedTuple):
    """A cable that a source names.

    Parameters
    ----------
    a, z : tuple of (str, str)
        Node and port of the two ends, the lesser first.
    path : str
    line : int
        Where it stands.
    rate_gbps : float or None
        Per direction [Gb/s]; None where the source does not say.
    """

    a: Port
    z: Port
    path: str
    line: int
    rate_gbps: float | None = None


def read_sources(paths: Sequence[str | Path], form: str) -> list[FoundCable]:
    """Return the cables that sources name, each once.

    Parameters
    ----------
    paths : sequence of str or path
        ``-`` is standard input.
    form : str
        A name of `SOURCES`.

    Raises
    ------
    QuestionError
        If there is no such form.
    TopologyError
        With all problems of all sources, or if there is no cable in any of them.
    FileError
        If one cannot be read.
    """
    if form not in SOURCES:
        msg = f"no format {form!r} to read; {nearest(form, SOURCES) or 'formats are ' + ', '.join(SOURCES)}"
        raise QuestionError(msg)
    problems: list[Problem] = []
    cables: list[FoundCable] = []
    for path in paths:
        is_piped = str(path) == STANDARD
        data = read_standard_input(limit=MAX_BYTES) if is_piped else read_bytes(path, limit=MAX_BYTES)
        cables += SOURCES[form](decode(data, str(path)), str(path), problems)
    merged = _merge(cables, problems)
    if not merged and not problems:
        problems.append(Problem(str(paths[0]), 1, 1, "file", f"names no cable as {form} has it"))
    if problems:
        raise TopologyError(problems)
    return merged


def _merge(cables: Iterable[FoundCable], problems: list[Problem]) -> list[FoundCable]:
    """Return each cable once; a port that has two is a problem."""
    at: dict[Port, FoundCable] = {}
    merged: dict[tuple[Port, Port], FoundCable] = {}
    for cable in cables:
        ends = (cable.a, cable.z)
        if merged.get(ends):
            continue
        for port in ends:
            first = at.setdefault(port, cable)
            if first is not cable:
                other = first.z if first.a == port else first.a
                what = f"{port[0]} {port[1]} has two cables"
                todo = f"the first is to {other[0]} {other[1]}, at {first.path}:{first.line}"
                problems.append(Problem(cable.path, cable.line, 1, "cable", what, todo=todo))
                break
        else:
            merged[ends] = cable
    return list(merged.values())


def _cable(
    ends: tuple[Port, Port], at: tuple[str, int], problems: list[Problem], rate_gbps: float | None = None
) -> Iterator[FoundCable]:
    """Yield a cable, or nothing where it has no two ends."""
    path, line = at
    for node, port in ends:
        if not node or not port:
            missing = "node" if not node else "port"
            other = next((f"{n} {p}".strip() for n, p in ends if n and p), "nothing")
            problems.append(
                Problem(path, line, 1, "cable", f"an end without {missing}; the other is {other}")
            )
            return
        for word in (node, port):
            if len(word) > _MAX_NAME or not word.isprintable():
                problems.append(Problem(path, line, 1, "cable", "a name is too long, or cannot be printed"))
                return
    if ends[0] == ends[1]:
        problems.append(Problem(path, line, 1, "cable", f"{ends[0][0]} {ends[0][1]} is cabled to itself"))
        return
    a, z = sorted(ends)
    yield FoundCable(a, z, path, line, rate_gbps)


def _table(text: str, path: str, problems: list[Problem]) -> tuple[list[str], list[list[Cell]]]:
    rows = list(read_csv(text, path))
    if not rows:
        problems.append(Problem(path, 1, 1, "file", "is empty"))
        return [], []
    return [cell.text.strip() for cell in rows[0]], rows[1:]


def _column(
    head: Sequence[str], names: Sequence[str], path: str, problems: list[Problem]
) -> list[int] | None:
    """Return the columns of some headings; None, and a problem, where one is missing."""
    missing = [name for name in names if name not in head]
    if missing:
        fault = f"no column {missing[0]!r}"
        problems.append(Problem(path, 1, 1, "head", fault, todo=nearest(missing[0], [h for h in head if h])))
        return None
    return [head.index(name) for name in names]


def _of_columns(
    rows: Iterable[list[Cell]], at: Sequence[int], path: str, problems: list[Problem]
) -> Iterator[FoundCable]:
    for row in rows:
        words = [row[i].text.strip().removeprefix("'") if i < len(row) else "" for i in at]
        line = row[0].line if row else 1
        yield from _cable(((words[0], words[1]), (words[2], words[3])), (path, line), problems)


def p2p_ethernet(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the cables of a point-to-point list for Ethernet."""
    head, rows = _table(text, path, problems)
    names = ("A-Node Name", "A-Port", "Z-Node Name", "Z-Port")
    at = _column(head, names, path, problems) if head else None
    if at:
        yield from _of_columns(rows, at, path, problems)


def p2p_infiniband(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the cables of a point-to-point list for InfiniBand, whose headings stand twice."""
    head, rows = _table(text, path, problems)
    if not head:
        return
    named = [i for i, word in enumerate(head) if word == "Name"]
    ported = [i for i, word in enumerate(head) if word in ("Port", "HCA/Port")]
    if len(named) != 2 or len(ported) != 2:
        fault = "expected two columns 'Name', and 'HCA/Port' and 'Port'"
        problems.append(Problem(path, 1, 1, "head", fault, got=", ".join(head)[:80]))
        return
    yield from _of_columns(rows, (named[0], ported[0], named[1], ported[1]), path, problems)


def netbox(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the cables of a CSV file that NetBox imports or exports."""
    head, rows = _table(text, path, problems)
    names = ("side_a_device", "side_a_name", "side_b_device", "side_b_name")
    at = _column(head, names, path, problems) if head else None
    if at:
        yield from _of_columns(rows, at, path, problems)


# Quoted names hold no quotes and nothing is nested, so that one line is one edge.
_DOT_EDGE = re.compile(
    r'\s*"(?P<a>[^"]*)"\s*:\s*"(?P<p>[^"]*)"\s*--\s*"(?P<z>[^"]*)"\s*:\s*"(?P<q>[^"]*)"\s*(?:\[[^\]]*\])?\s*;?\s*'
)


def dot(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the edges of a ``topology.dot`` whose ends are ports."""
    for number, line in enumerate(text.splitlines(), start=1):
        if "--" not in line or line.lstrip().startswith(("#", "//")):
            continue
        match = _DOT_EDGE.fullmatch(line[:2000])
        if match is None:
            fault = "an edge that cannot be read"
            todo = 'write it as "leaf0":"swp1" -- "spine0":"swp3"'
            problems.append(Problem(path, number, 1, "edge", fault, got=line.strip()[:60], todo=todo))
            continue
        yield from _cable(((match["a"], match["p"]), (match["z"], match["q"])), (path, number), problems)


def lldp(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the neighbours that ``lldpcli show neighbors -f json0`` or ``-f json`` tells of one node.

    The node has the name of the file: ``leaf0.json``.
    """
    node = Path(path).name.split(".")[0]
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        problems.append(Problem(path, line, 1, "file", "is no JSON"))
        return
    for interface in _each(_get(data, "lldp"), "interface"):
        name, entry = _keyed(interface)
        chassis = next(iter(_items(_get(entry, "chassis"))), None)
        far, inner = _keyed(chassis)
        port = next(iter(_items(_get(entry, "port"))), None)
        ports = [str(_value(_get(one, "value"))) for one in _items(_get(port, "id"))]
        far = far or str(_value(_get(inner, "name")) or "")
        yield from _cable(((node, name), (far, ports[0] if ports else "")), (path, 1), problems)


def _get(data: object, key: str) -> object:
    data = data[0] if isinstance(data, list) and data else data
    return data.get(key) if isinstance(data, Mapping) else None


def _items(data: object) -> list[object]:
    return data if isinstance(data, list) else [] if data is None else [data]


def _each(data: object, key: str) -> Iterator[object]:
    """Yield the elements under a key; one mapping of several stands for a list of one each (``-f json``)."""
    for part in _items(data):
        for item in _items(_get(part, key)):
            if isinstance(item, Mapping) and "name" not in item and "via" not in item:
                yield from ({name: inner} for name, inner in item.items())
            else:
                yield item


def _keyed(data: object) -> tuple[str, object]:
    """Return the name of an element and what is in it, whether the name is its key or stands inside."""
    if isinstance(data, Mapping):
        if "name" in data:
            return str(_value(data["name"]) or ""), data
        if len(data) == 1 and "id" not in data:
            ((name, inner),) = data.items()
            return str(name), inner
    return "", data


def _value(data: object) -> object:
    """Return a value from ``[{"value": x}]``, ``{"value": x}`` or ``x``."""
    data = data[0] if isinstance(data, list) and data else data
    return data.get("value") if isinstance(data, Mapping) else data


_IB_HEAD = re.compile(r'(?P<kind>Switch|Ca)\s+\d+\s+"(?P<guid>[^"]+)"\s*#\s*"(?P<name>[^"]*)"')
_IB_PORT = r"(?:\[ext \d+\])?(?:\([0-9a-fA-F]+\))?"
_IB_LINE = re.compile(
    rf'\[(?P<port>\d+)\]{_IB_PORT}\s+"(?P<guid>[^"]+)"\[(?P<far>\d+)\]{_IB_PORT}\s*#\s*'
    r"(?:lid \d+ lmc \d+\s*)?"
    r'"(?P<name>[^"]*)"(?:.*?(?P<width>\d+)x(?P<speed>[A-Z]+))?.*'
)
_HCA = re.compile(r"(?P<host>\S+)\s+(?P<card>mlx\d+_\d+|HCA-\d+)")


def ibnetdiscover(text: str, path: str, problems: list[Problem]) -> Iterator[FoundCable]:
    """Yield the cables of a sweep by ibnetdiscover, with their rates."""
    node = ""
    for number, line in enumerate(text.splitlines(), start=1):
        line = line[:1000].strip()
        head = _IB_HEAD.match(line)
        if head:
            node = head["name"]
        elif line.startswith("["):
            match = _IB_LINE.fullmatch(line)
            if match is None or not node:
                fault = "a port that cannot be read" if node else "a port before its node"
                problems.append(Problem(path, number, 1, "port", fault, got=line[:60]))
                continue
            ends = _ib_end(node, match["port"]), _ib_end(match["name"], match["far"])
            lane = _LANE_GBPS.get(match["speed"] or "")
            rate = None if lane is None else lane * int(match["width"])
            yield from _cable(ends, (path, number), problems, rate)


def _ib_end(description: str, port: str) -> Port:
    """Return node and port: of a card by its name, where the description has host and card."""
    match = _HCA.fullmatch(description)
    return (match["host"], f"{match['card']}/{port}") if match else (description, port)


SOURCES: Mapping[str, Callable[[str, str, list[Problem]], Iterator[FoundCable]]] = {
    "p2p-ethernet": p2p_ethernet,
    "p2p-infiniband": p2p_infiniband,
    "netbox": netbox,
    "dot": dot,
    "lldp": lldp,
    "ibnetdiscover": ibnetdiscover,
}
"""Formats that can be read, by name."""
