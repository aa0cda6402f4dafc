"""The rows of the catalogue as one list: found by name, chosen by conditions, taken apart into figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from fabric.errors import PartError, nearest
from fabric.parts.catalogue import catalogue, plain
from fabric.parts.model import NETWORK, SLACK, Evidence, Medium, Part, PortClass, Protocol, evidence

Entry = Part | Protocol | Medium

_NAMED = 8  # names that an error lists before it counts the others


@dataclass(frozen=True, slots=True)
class Figure:
    """One statement of a row.

    Parameters
    ----------
    name : str
        Its column, such as ``tdp_w``.
    value : float or str
        What the row says; breakouts as the data file writes them.
    evidence : Evidence
        What stands behind it.
    port_class : str
        The ports that it is about; empty for the row itself.
    """

    name: str
    value: float | str
    evidence: Evidence
    port_class: str = ""


def entries() -> dict[str, Entry]:
    """Return all parts, protocols and media by id, in the order of the files.

    Examples
    --------
    >>> list(entries())[-1], entries()["cx8"].name
    ('lpx_backplane', 'ConnectX-8 SuperNIC')
    """
    known = catalogue()
    return {**known.parts, **known.protocols, **known.media}


def kind_of(entry: Entry) -> str:
    """Return ``gpu``, ``host``, ``nic``, ``switch``, ``protocol`` or ``medium``.

    Examples
    --------
    >>> kind_of(entries()["cx8"]), kind_of(entries()["pcie5_x16"])
    ('nic', 'protocol')
    """
    return entry.kind if isinstance(entry, Part) else type(entry).__name__.lower()


def find_entry(name: str) -> Entry:
    """Return the row that a name means.

    Parameters
    ----------
    name : str
        An id, an alias, or a piece that only one id has, or else only one printed name; case, spaces and
        punctuation do not matter in a piece.

    Raises
    ------
    PartError
        If no row has it, with the nearest ids; if several have it, with those.

    Examples
    --------
    >>> find_entry("pcie5").id, find_entry("ConnectX-8").id
    ('pcie5_x16', 'cx8')
    """
    rows = entries()
    short = {alias: row.id for row in rows.values() for alias in _aliases(row)}
    wanted = plain(name)
    if (exact := short.get(name) or catalogue().aliases.get(wanted, name)) in rows:
        return rows[exact]
    ids = {i: plain(i) for i in rows}
    names = {i: plain(getattr(row, "name", "")) for i, row in rows.items()}
    # Whole names win over pieces, ids over printed names.
    matches = [i for i in rows if wanted and wanted in (ids[i], names[i])]
    for texts in (ids, names):
        matches = matches or [i for i, text in texts.items() if wanted and wanted in text]
    if len(matches) == 1:
        return rows[matches[0]]
    if matches:
        msg = f"{name!r} is in {_few(matches)}; name one of them"
    else:
        hint = nearest(name, [*rows, *short, *catalogue().aliases]) or "fabtopo parts lists all"
        msg = f"unknown part {name!r}; {hint}"
    raise PartError(msg)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _aliases(entry: Entry) -> tuple[str, ...]:
    return entry.aliases if isinstance(entry, Protocol) else ()


def _ports(entry: Entry) -> tuple[PortClass, ...]:
    return entry.ports if isinstance(entry, Part) else ()


def _port_classes(entry: Entry) -> Collection[str]:
    return {entry.port_class} if isinstance(entry, Protocol) else {port.name for port in _ports(entry)}


def _layers(entry: Entry) -> Collection[str]:
    return (
        {entry.layer} if isinstance(entry, Protocol) else {name for p in _ports(entry) for name in p.layers}
    )


def _is_switch(entry: Entry) -> TypeGuard[Part]:
    return isinstance(entry, Part) and entry.kind == "switch"


# What a row can be chosen by, and its values of each.
_TRAITS: Mapping[str, Callable[[Entry], Collection[str]]] = {
    "kind": lambda entry: {kind_of(entry)},
    "vendor": lambda entry: {entry.vendor} if isinstance(entry, Part) else (),
    "port_class": _port_classes,
    "layer": _layers,
    "confidence": lambda entry: {mark.confidence for mark in _marks(entry)},
    "source": lambda entry: sources_of(entry),
    "planes": lambda entry: {str(entry.planes)} if _is_switch(entry) else (),
}


def select(*, search: str = "", **wanted: str) -> list[Entry]:
    """Return the rows that meet all of the given conditions.

    Parameters
    ----------
    search : str
        Words that all stand somewhere in the row's names, notes or ports, such as ``64x800G``.
    **wanted : str
        Values of ``kind``, ``vendor``, ``port_class``, ``layer``, ``confidence``, ``source`` and ``planes``;
        an empty one asks nothing. A row has the confidences and the sources of all its figures, those of its
        ports included.

    Raises
    ------
    PartError
        If no row at all has a value, with the nearest ones.

    Examples
    --------
    >>> [row.id for row in select(kind="switch", vendor="nvidia", planes="4", confidence="published")]
    ['q3400']
    >>> [row.id for row in select(search="dpu bluefield")]
    ['bf3', 'bf4']
    """
    rows = list(entries().values())
    chosen = rows
    for trait, asked in wanted.items():
        if asked:
            # Each condition narrows the rows; its value is looked for among all rows, so that a slip is told.
            value = _known_value(trait, asked, rows)
            chosen = [row for row in chosen if value in _TRAITS[trait](row)]
    words = search.casefold().split()
    return [row for row in chosen if all(word in _text(row) for word in words)] if words else chosen


def _known_value(trait: str, asked: str, rows: list[Entry]) -> str:
    known = dict.fromkeys(value for row in rows for value in sorted(_TRAITS[trait](row)))
    by_case = {value.casefold(): value for value in known}
    if asked.casefold() not in by_case:
        hint = nearest(asked.casefold(), by_case) or f"expected one of {_few(list(known))}"
        msg = f"unknown {trait.replace('_', '-')} {asked!r}; {hint}"
        raise PartError(msg)
    return by_case[asked.casefold()]


def _text(entry: Entry) -> str:
    """Return all that is searched, in lower case."""
    texts = [entry.id, kind_of(entry), getattr(entry, "name", ""), getattr(entry, "vendor", ""), entry.note]
    texts += _aliases(entry)
    texts += [f"{p.name} {p.n_ports}x{p.rate_gbps:g}G {p.note}" for p in _ports(entry)]
    return " ".join(texts).casefold()


def figures_of(entry: Entry) -> Iterator[Figure]:
    """Yield every figure of a row, those of its ports last.

    Examples
    --------
    >>> for figure in figures_of(entries()["cx4"]):
    ...     print(figure.port_class, figure.name, figure.value, figure.evidence.confidence)
     year 2015 published
     latency_ns 600.0 assumed
     power_typical_w 16.0 assumed
    network n_ports 1 published
    network rate_gbps 100.0 published
    network ports_per_cage 1 published
    network modes 1x100 published
    network layers Ethernet InfiniBand published
    pcie n_ports 1 published
    pcie rate_gbps 126.0 derived
    """
    if isinstance(entry, Protocol):
        yield Figure("rate_gbps", entry.rate_gbps, Evidence(entry.confidence, entry.source))
        return
    values: dict[str, float | str] = dict(entry.figures)
    if isinstance(entry, Part):
        values = {"year": entry.year, **values}
        if _is_switch(entry):
            values |= {"planes": entry.planes, "in_network_reduction": entry.in_network_reduction}
    for name, value in values.items():
        if value != "":
            yield Figure(name, value, evidence(entry, name))
    for port in _ports(entry):
        modes = " ".join(f"{n}x{rate:g}" for n, rate in port.modes)
        figures = {
            "n_ports": port.n_ports,
            "rate_gbps": port.rate_gbps,
            "ports_per_cage": port.ports_per_cage or "",
            "modes": modes,
            "layers": layers_text(port),
        }
        for name, value in figures.items():
            if value != "":
                yield Figure(name, value, evidence(port, name), port.name)


def layers_text(port: PortClass) -> str:
    """Write the link layers of a network port as its data file does; those of others are in their protocols.

    Examples
    --------
    >>> [layers_text(port) for port in catalogue().parts["cx8"].ports]
    ['Ethernet:400 InfiniBand', '']
    """
    if port.name != NETWORK:
        return ""
    rates = port.layers.items()
    return " ".join(name if gbps == port.rate_gbps else f"{name}:{gbps:g}" for name, gbps in rates)


def _marks(entry: Entry) -> Iterator[Evidence]:
    yield Evidence(entry.confidence, entry.source)
    yield from (figure.evidence for figure in figures_of(entry))


def sources_of(entry: Entry) -> tuple[str, ...]:
    """Return the ids of all sources of a row, its ports and its single figures included.

    Examples
    --------
    >>> sources_of(entries()["cx4"])
    ('nv-cx4', 'own', 'iitr-dgx1')
    """
    return tuple(dict.fromkeys(name for mark in _marks(entry) for name in mark.source))


def protocols_of(port: PortClass) -> list[Protocol]:
    """Return the protocols that name these ports: those of their class, at their rate in a layer they speak.

    Examples
    --------
    >>> [p.id for name in ("gb300_gpu", "cx8") for p in protocols_of(catalogue().parts[name].ports[0])]
    ['nvlink5', 'ethernet_400g', 'infiniband_xdr']
    """
    return [
        protocol
        for protocol in catalogue().protocols.values()
        if protocol.port_class == port.name
        and abs(protocol.rate_gbps - port.layers.get(protocol.layer, 0.0)) <= SLACK * protocol.rate_gbps
    ]


_COLUMN = re.compile(
    r"(?P<what>.+?)_(?P<unit>gb|tb|mb|tb_s|gbps|tflops|w|ns|m|usd)(?:_per_(?P<per>end|m|cage))?"
)
_UNITS = {"gb": "GB", "tb": "TB", "mb": "MB", "tb_s": "TB/s", "tflops": "TFLOPS", "w": "W", "usd": "USD"}
_WORDS = {
    "hbm": "memory",
    "bf16": "BF16",
    "fp8": "FP8",
    "fp4": "FP4",
    "tdp": "TDP",
    "n": "",
    "modes": "breakout",
    "layers": "link layers",
}


def label(column: str) -> tuple[str, str]:
    """Return what a column is about in words, and its unit.

    Examples
    --------
    >>> label("hbm_tb_s"), label("delay_ns_per_m"), label("rate_gbps"), label("n_ports")
    (('memory', 'TB/s'), ('delay', 'ns/m'), ('rate', 'Gb/s per direction'), ('ports', ''))
    """
    match = _COLUMN.fullmatch(column)
    subject = (match["what"] if match else column).replace("in_network", "in-network")
    words = " ".join(_WORDS.get(word, word) for word in subject.split("_"))
    unit = _UNITS.get(match["unit"], match["unit"]) if match else ""
    if match and match["unit"] == "gbps":
        unit = "Gb/s per direction"
    if match and match["per"]:
        unit += "/m" if match["per"] == "m" else f" per {match['per']}"
    return words.strip(), unit
