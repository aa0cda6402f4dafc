"""What nodes say of their neighbours: LLDP, and the sweep of an InfiniBand network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fabric.interop.sources.found import Port, Survey
from fabric.interop.sources.lists import LANE_GBPS

_MAX_LINE = 1_000  # characters


def lldp(text: str, path: str, found: Survey) -> None:
    """Read the neighbours that ``lldpcli show neighbors -f json0`` or ``-f json`` tells of one node.

    The node has the name of the file: ``leaf0.json``.
    """
    node = Path(path).name.split(".")[0]
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        found.problem((path, getattr(error, "lineno", 1)), "file", "is no JSON")
        return
    for interface in _each(_get(data, "lldp"), "interface"):
        name, entry = _keyed(interface)
        chassis = next(iter(_items(_get(entry, "chassis"))), None)
        far, inner = _keyed(chassis)
        port = next(iter(_items(_get(entry, "port"))), None)
        ports = [_text(_value(_get(one, "value"))) for one in _items(_get(port, "id"))]
        far = far or _text(_value(_get(inner, "name")))
        if not name and not ports:
            found.problem((path, 1), "cable", f"a neighbour of {node} without ports")
            continue
        found.cable((node, name), (far, ports[0] if ports else ""), (path, 1))


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


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
            return _text(_value(data["name"])), data
        if len(data) == 1 and "id" not in data:
            ((name, inner),) = data.items()
            return str(name), inner
    return "", data


def _value(data: object) -> object:
    """Return a value from ``[{"value": x}]``, ``{"value": x}`` or ``x``."""
    data = data[0] if isinstance(data, list) and data else data
    return data.get("value") if isinstance(data, Mapping) else data


# Each piece ends at a character that it cannot hold, so that no line is read twice.
_HEAD = re.compile(r'(?P<kind>Switch|Ca)\s+\d{1,9}\s+"[^"]+"\s*#\s*"(?P<name>[^"]*)"')
_PORT = re.compile(
    r"\[(?P<port>\d{1,9})\](?:\[ext \d{1,9}\])?(?:\([0-9a-fA-F]{1,32}\))?\s+"
    r'"[^"]+"\[(?P<far>\d{1,9})\](?:\[ext \d{1,9}\])?(?:\([0-9a-fA-F]{1,32}\))?\s*#(?P<rest>.*)'
)
_RATE = re.compile(r"(?P<width>\d{1,3})x(?P<speed>[A-Z]{3})\d{0,3}")
_CARD = re.compile(r"(?P<host>\S+) (?P<card>mlx\d{1,4}_\d{1,4}|HCA-\d{1,4})")
_KINDS = {"Switch": "switch", "Ca": "host"}


def ibnetdiscover(text: str, path: str, found: Survey) -> None:
    """Read a sweep by ibnetdiscover, with the rates of its cables."""
    node = ""
    for number, line in enumerate(text.splitlines(), start=1):
        line, at = line[:_MAX_LINE].strip(), (path, number)
        if line.startswith(("Switch", "Ca")):
            head = _HEAD.match(line)
            node = head["name"] if head else ""
            if head is None or not node:
                found.problem(at, "node", "a node that cannot be read, or without a name", got=line[:60])
            else:
                found.node(_end(node, "")[0], _KINDS[head["kind"]], at)
        elif line.startswith("["):
            match = _PORT.fullmatch(line)
            if match is None or not node:
                fault = "a port that cannot be read" if node else "a port before its node"
                found.problem(at, "port", fault, got=line[:60])
                continue
            # The name of the other node is the first text in quotes; width and speed are the last word.
            _, _, named = match["rest"].partition('"')
            far, _, told = named.partition('"')
            words = told.split()
            rate = _RATE.fullmatch(words[-1]) if words else None
            if rate is not None and rate["speed"] not in LANE_GBPS:
                found.problem(at, "rate", "an unknown speed", got=words[-1])
                continue
            gbps = None if rate is None else LANE_GBPS[rate["speed"]] * int(rate["width"])
            found.cable(_end(node, match["port"]), _end(far, match["far"]), at, gbps)


def _end(description: str, port: str) -> Port:
    """Return node and port: of a card by its name, where the description has host and card."""
    match = _CARD.fullmatch(description)
    return (match["host"], f"{match['card']}/{port}") if match else (description, port)
