"""The catalogue read from its data files, checked, and looked up by name.

One file per kind of part; ``ports.csv`` adds the ports of all of them. A row that is not sound stops
the load: better no catalogue than one with a figure of unknown origin.

A column that is not text is a figure, and ends in its unit. A range takes two: ``power_typical_w`` and
``power_max_w``, or ``x_min`` beside ``x``. An empty cell is an unknown, not a zero. Column ``exceptions``
lists the figures with other evidence than their row: ``power_max_w:assumed:own tdp_w:reported:a+b``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NoReturn, TypeVar

from fabric.errors import PartError, nearest
from fabric.parts.generic import generic_switch
from fabric.parts.model import NETWORK, SLACK, Frozen, Medium, Part, PortClass, Protocol, Source
from fabric.parts.rows import Row, exceptions, figures, grounds, read_rows

KIND_OF_FILE = {"gpus.csv": "gpu", "hosts.csv": "host", "nics.csv": "nic", "switches.csv": "switch"}
NETS = ("scale-up", "host", "scale-out")
LAYER = re.compile(r"([A-Za-z][\w-]*)(?::(\d+(?:\.\d+)?))?", re.ASCII)
MODE = re.compile(r"([1-9]\d*)x([1-9]\d*(?:\.\d+)?)")

_EVIDENCE = ("source", "confidence", "exceptions", "note")
_PART = ("id", "name", "vendor", "year", *_EVIDENCE)
_SWITCH = ("planes", "in_network_reduction")
_PORT = ("part", "port_class", "n_ports", "rate_gbps", "ports_per_cage", "modes", "layers", *_EVIDENCE)
_PROTOCOL = (
    "id", "aliases", "layer", "port_class", "rate_gbps", "net", "medium", "source", "confidence", "note",
)  # fmt: skip
_MEDIUM = ("id", "name", *_EVIDENCE)
_SOURCE = ("id", "title", "locator")

T = TypeVar("T")
_LISTED = 500  # characters of names that an error lists
_OFFERED = 4  # names that are like a wrong one
_MODEL = 4  # characters that tell a product apart within a longer name


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rows, by id and in the order of the files.

    Parameters
    ----------
    parts, protocols, media, sources : mapping
        From id to row. Protocols are listed once; `find_protocol` knows their aliases.
    """

    parts: Mapping[str, Part]
    protocols: Mapping[str, Protocol]
    media: Mapping[str, Medium]
    sources: Mapping[str, Source]
    aliases: Mapping[str, str]


@cache
def catalogue() -> Catalogue:
    """Return the catalogue that comes with the package, read once.

    Returns
    -------
    Catalogue
        All rows.

    Examples
    --------
    >>> [part.id for part in catalogue().parts.values() if part.kind == "host"]
    ['grace', 'vera', 'graviton4', 'graviton5']
    """
    return load_catalogue(resources.files("fabric.parts").joinpath("data"))


def find_part(name: str) -> Part:
    """Return a part.

    Parameters
    ----------
    name : str
        Its id, its printed name or a name that vendors use, in which case, spaces and punctuation do not
        matter, or ports and rate of a generic switch, such as ``64x400G``.

    Returns
    -------
    Part
        The row.

    Raises
    ------
    PartError
        If there is none; the message holds the nearest ids.

    Examples
    --------
    >>> find_part("nvlink5_switch").ports[0].n_ports, find_part("64x400G").vendor
    (72, 'generic')
    >>> find_part("Tomahawk 5").id
    'th5'
    """
    parts = catalogue().parts
    meant = [name] if name in parts else _part_names().get(plain(name), ())
    if len(meant) == 1:
        return parts[meant[0]]
    generic = generic_switch(name)
    if generic is None:
        _refuse("part", name, [*parts, *catalogue().aliases], alike=_pieces(plain(name)))
    return generic


@cache
def _part_names() -> Mapping[str, Sequence[str]]:
    """Return the ids of the parts that each name means; a file may ask thousands of times.

    A part goes by its id and its printed name, with or without its vendor and what stands in brackets, and by
    its aliases.
    """
    found: dict[str, list[str]] = {}
    for i, part in catalogue().parts.items():
        names = {i, part.name, re.sub(r"\s*\(.*\)", "", part.name)}
        names |= {alias for alias, meant in catalogue().aliases.items() if meant == i}
        vendor = plain(part.vendor)
        bare = {plain(name).removeprefix(vendor) for name in names}
        for name in bare | {vendor + name for name in bare}:
            found.setdefault(name, []).append(i)
    return found


def _pieces(name: str) -> list[str]:
    """Return the ids of the parts whose model is in a longer name, or a name in a longer one of theirs."""
    if not any(c.isdigit() for c in name):
        return []
    known = [(text, ids) for text, ids in _part_names().items() if any(c.isdigit() for c in text)]
    for alike in (
        {i for text, ids in known if name in text for i in ids},
        {i for text, ids in known if len(text) >= _MODEL and text in name for i in ids},
    ):
        if alike:
            return sorted(alike)
    return []


def plain(text: str) -> str:
    """Return the letters and digits of `text`, in lower case.

    Examples
    --------
    >>> plain("ConnectX-8 SuperNIC")
    'connectx8supernic'
    """
    return re.sub(r"\W|_", "", text).casefold()


def find_protocol(name: str) -> Protocol:
    """Return a protocol.

    Parameters
    ----------
    name : str
        Its id or one of its aliases; case, spaces and punctuation do not matter.

    Returns
    -------
    Protocol
        The row.

    Raises
    ------
    PartError
        If there is none; the message holds the nearest names.

    Examples
    --------
    >>> find_protocol("pcie6").rate_gbps
    968.0
    """
    protocol = _protocol_names().get(plain(name))
    if protocol is None:
        ids = catalogue().protocols.values()
        _refuse("protocol", name, [alias for p in ids for alias in (p.id, *p.aliases)])
    return protocol


@cache
def _protocol_names() -> Mapping[str, Protocol]:
    """Return the protocols by each of their names, as `plain` gives it."""
    return {plain(name): p for p in catalogue().protocols.values() for name in (p.id, *p.aliases)}


def find_medium(name: str) -> Medium:
    """Return a medium.

    Parameters
    ----------
    name : str
        Its id or its printed name; case, spaces and punctuation do not matter.

    Returns
    -------
    Medium
        The row.

    Raises
    ------
    PartError
        If there is none; the message holds the nearest ids.

    Examples
    --------
    >>> find_medium("dac_passive").figures["power_w_per_end"]
    0.1
    """
    media = catalogue().media
    wanted = plain(name)
    medium = next((row for i, row in media.items() if wanted in (plain(i), plain(row.name))), None)
    if medium is None:
        _refuse("medium", name, media, alike=[i for i in media if wanted and wanted in plain(i)])
    return medium


def load_catalogue(directory: Traversable | Path) -> Catalogue:
    """Read and check a catalogue.

    Parameters
    ----------
    directory : Traversable or Path
        Folder with the data files.

    Returns
    -------
    Catalogue
        All rows.

    Raises
    ------
    PartError
        At the first row that is not sound, with file, line, row and what is wrong.

    Examples
    --------
    >>> load_catalogue(resources.files("fabric.parts").joinpath("data")) == catalogue()
    True
    """
    # In the order of reference: sources and media stand on nothing, ports on parts and protocols.
    sources: dict[str, Source] = {}
    for row in read_rows(directory, "sources.csv", _SOURCE):
        _add(sources, row, Source(row.text("id"), row.text("title"), row.text("locator")), row.cells["id"])
    media: dict[str, Medium] = {}
    for row in read_rows(directory, "media.csv", _MEDIUM):
        _add(media, row, _medium(row, sources), row.cells["id"])
    protocols = _protocols(directory, sources, media)
    part_rows = _part_rows(directory)
    ports = _ports(directory, sources, set(part_rows), protocols)
    parts = {name: _part(row, ports.get(name, {}), sources) for name, row in part_rows.items()}
    return Catalogue(
        Frozen(parts), Frozen(protocols), Frozen(media), Frozen(sources), Frozen(_aliases(directory, parts))
    )


def _aliases(directory: Traversable | Path, parts: Collection[str]) -> dict[str, str]:
    """Return the ids of parts by the names that vendors use, in plain letters and digits."""
    ids = {plain(part) for part in parts}
    aliases: dict[str, str] = {}
    for row in read_rows(directory, "aliases.csv", ("alias", "part")):
        alias = row.text("alias")
        if plain(alias) != alias or alias in ids:
            row.refuse(f"alias {alias!r} is not in plain letters and digits, or is the id of a part")
        _add(aliases, row, row.choice("part", parts), alias)
    return aliases


def _refuse(kind: str, name: str, names: Collection[str], alike: Sequence[str] = ()) -> NoReturn:
    """Raise on a name that no row has, and offer those that may be meant."""
    hint = f"did you mean {' or '.join(alike[:_OFFERED])}?" if alike else nearest(name, names)
    hint = hint or f"the catalogue holds {', '.join(names)}"
    msg = f"unknown {kind} {name!r}; {hint if len(hint) <= _LISTED else 'fabtopo parts lists all'}"
    raise PartError(msg)


def _add(rows: dict[str, T], row: Row, value: T, name: str) -> None:
    if name in rows:
        row.refuse(f"{name} stands twice in the catalogue")
    rows[name] = value


def _medium(row: Row, sources: Collection[str]) -> Medium:
    behind = grounds(row, sources)
    return Medium(
        id=row.text("id"),
        name=row.text("name"),
        figures=figures(row, _MEDIUM),
        source=behind.source,
        confidence=behind.confidence,
        exceptions=exceptions(row, sources),
        note=row.cells["note"],
    )


def _protocols(
    directory: Traversable | Path, sources: Collection[str], media: Collection[str]
) -> dict[str, Protocol]:
    protocols: dict[str, Protocol] = {}
    names: dict[str, str] = {}
    for row in read_rows(directory, "protocols.csv", _PROTOCOL):
        behind = grounds(row, sources)
        protocol = Protocol(
            id=row.text("id"),
            aliases=tuple(row.cells["aliases"].split()),
            layer=row.text("layer"),
            port_class=row.text("port_class"),
            rate_gbps=row.rate("rate_gbps"),
            net=row.choice("net", NETS),
            medium=row.choice("medium", media) if row.cells["medium"] else "",
            source=behind.source,
            confidence=behind.confidence,
            note=row.cells["note"],
        )
        protocols[protocol.id] = protocol
        for name in (protocol.id, *protocol.aliases):
            _add(names, row, protocol.id, name)
    return protocols


def _part_rows(directory: Traversable | Path) -> dict[str, Row]:
    part_rows: dict[str, Row] = {}
    for file, kind in KIND_OF_FILE.items():
        for row in read_rows(directory, file, (*_PART, *_SWITCH) if kind == "switch" else _PART):
            _add(part_rows, row, row, row.text("id"))
    return part_rows


def _part(row: Row, ports: Mapping[str, PortClass], sources: Collection[str]) -> Part:
    behind = grounds(row, sources)
    kind = KIND_OF_FILE[row.file]
    return Part(
        id=row.text("id"),
        kind=kind,
        name=row.text("name"),
        vendor=row.text("vendor"),
        year=row.whole("year"),
        planes=row.whole("planes") if kind == "switch" else 1,
        in_network_reduction=row.cells["in_network_reduction"] if kind == "switch" else "",
        figures=figures(row, (*_PART, *_SWITCH)),
        ports=tuple(ports.values()),
        source=behind.source,
        confidence=behind.confidence,
        exceptions=exceptions(row, sources),
        note=row.cells["note"],
    )


def _ports(
    directory: Traversable | Path,
    sources: Collection[str],
    parts: Collection[str],
    protocols: Mapping[str, Protocol],
) -> dict[str, dict[str, PortClass]]:
    classes = {NETWORK, *(p.port_class for p in protocols.values())}
    ports: dict[str, dict[str, PortClass]] = {}
    for row in read_rows(directory, "ports.csv", _PORT):
        part, behind = row.choice("part", parts), grounds(row, sources)
        port = PortClass(
            name=row.choice("port_class", classes),
            n_ports=row.whole("n_ports"),
            rate_gbps=row.rate("rate_gbps"),
            ports_per_cage=row.whole("ports_per_cage") if row.cells["ports_per_cage"] else None,
            modes=_modes(row),
            layers=_layers(row, protocols),
            source=behind.source,
            confidence=behind.confidence,
            exceptions=exceptions(row, sources),
            note=row.cells["note"],
        )
        if port.n_ports % (port.ports_per_cage or 1):
            row.refuse(f"{port.n_ports} ports do not fill cages of {port.ports_per_cage}")
        _add(ports.setdefault(part, {}), row, port, port.name)
    return ports


def _modes(row: Row) -> tuple[tuple[int, float], ...]:
    """Read breakouts such as ``64x800 128x400``: cables over all ports, and the rate of each."""
    n_ports, rate_gbps = row.whole("n_ports"), row.rate("rate_gbps")
    modes: dict[float, int] = {}
    for text in row.cells["modes"].split():
        match = MODE.fullmatch(text)
        if match is None:
            row.refuse(f"mode {text!r}; expected cables x Gb/s, such as 128x400")
        n_cables, cable_gbps = int(match[1]), float(match[2])
        # A breakout divides the ports: no more rate than they have, and the same cables from each.
        if n_cables * cable_gbps > n_ports * rate_gbps * (1 + SLACK):
            row.refuse(f"mode {text} needs more than the {n_ports * rate_gbps:g} Gb/s of the ports")
        if n_cables % n_ports:
            row.refuse(f"mode {text} does not give each of {n_ports} ports the same number of cables")
        if cable_gbps in modes:
            row.refuse(f"second mode of {cable_gbps:g} Gb/s")
        modes[cable_gbps] = n_cables
    return tuple((n, rate) for rate, n in modes.items())


def _layers(row: Row, protocols: Mapping[str, Protocol]) -> Frozen[float]:
    """Read link layers such as ``Ethernet:400 InfiniBand``, where Ethernet has slower cables than the port.

    Only network ports have a choice; what other ports speak follows from the protocols of their class.
    """
    name, rate_gbps = row.cells["port_class"], row.rate("rate_gbps")
    if name != NETWORK:
        if row.cells["layers"]:
            row.refuse(f"layers of a {name} port are those of its protocols; leave the cell empty")
        return Frozen({p.layer: rate_gbps for p in protocols.values() if p.port_class == name})
    known = {p.layer for p in protocols.values() if p.port_class == NETWORK}
    layers: dict[str, float] = {}
    for text in row.text("layers").split():
        match = LAYER.fullmatch(text)
        if match is None:
            row.refuse(f"link layer {text!r}; expected a name, or name:Gb/s such as Ethernet:400")
        layer, fastest = row.known(match[1], "link layer", known), float(match[2] or rate_gbps)
        if layer in layers:
            row.refuse(f"second link layer {layer}")
        if not 0 < fastest <= rate_gbps * (1 + SLACK):
            row.refuse(f"link layer {text}: not above 0, or faster than the {rate_gbps:g} Gb/s of the port")
        layers[layer] = fastest
    return Frozen(layers)
