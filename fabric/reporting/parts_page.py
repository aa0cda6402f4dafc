"""The catalogue as a page of CommonMark, a table for each family of parts, and as CSV."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TypeVar

from fabric.blueprint import loads_blueprint, template_names
from fabric.parts import (
    CONFIDENCES,
    Entry,
    Evidence,
    Part,
    PortClass,
    Protocol,
    catalogue,
    entries,
    evidence,
    figures_of,
    kind_of,
    label,
    layers_text,
    protocols_of,
    sources_of,
)
from fabric.parts.model import NETWORK
from fabric.text.markdown import bullets, code, escape, link, table
from fabric.text.spreadsheet import write_csv
from fabric.text.words import number
from fabric.units import format_count, format_rate, format_rate_gbit

T = TypeVar("T")
Column = tuple[str, Callable[[T], str]]  # a heading, and the cell of a row
PartPort = tuple[Part, PortClass]

SCALE_UP, SCALE_OUT = "Switches for scale-up", "Switches for Ethernet and InfiniBand"
FAMILIES = {
    "gpu": "Accelerators",
    "host": "CPUs",
    "nic": "NICs and DPUs",
    "protocol": "Protocols",
    "medium": "Media",
}
_ORDER = ("Accelerators", "CPUs", SCALE_UP, SCALE_OUT, "NICs and DPUs", "Protocols", "Media")

# Columns of text by heading.
_NAMES = {
    "Name": "name",
    "Aliases": "aliases",
    "Link layer": "layer",
    "Vendor": "vendor",
    "Port class": "port_class",
    "Net": "net",
    "Medium": "medium",
}

_INTRO = """\
# Parts catalogue

All parts, protocols and media that a [topology file](topology-file.md) can name, with what stands behind each
figure. `make reports` writes this page by `fabtopo parts --format md` from the data files in
[fabric/parts/data](../fabric/parts/data); `fabtopo parts NAME` explains one row and says which templates use
it, `fabtopo parts --help` lists the filters, and `--format csv` has every figure on a line of its own.

## How to read it

- **Evidence** is that of all figures of a row. A figure with other evidence carries its letter:
  P *published* (a document of the vendor or of the standard states it), R *reported* (press, analysts and
  other third parties), D *derived* (arithmetic on the sources; the note has the rule), A *assumed* (recalled
  or guessed). **Sources** are those of the row, then those of figures that have others; the last chapter
  lists them.
- **Rates are per direction**, as marketed, in bits and in bytes. Vendors often print the sum of both
  directions, which has a column of its own.
- **Ports** are those of one part: a twin-port cage is two. *Breakout* is cables x rate over all ports; the
  ports of a board have none, since their lanes may be shared out freely. *Link layers* are those that a
  network port speaks, each with its fastest cable [Gb/s] where that is not the port's rate.
- Units are decimal (1 GB is 1e9 bytes, 1 Tb/s is 1e12 bit/s) and TFLOPS dense. An empty cell is an unknown
  or does not apply. Numbers are rounded to four digits."""


def family(entry: Entry) -> str:
    """Return the chapter of a row.

    Examples
    --------
    >>> [family(catalogue().parts[name]) for name in ("cx8", "sn5600", "nvlink5_switch")]
    ['NICs and DPUs', 'Switches for Ethernet and InfiniBand', 'Switches for scale-up']
    """
    if isinstance(entry, Part) and entry.kind == "switch":
        return SCALE_OUT if any(port.name == NETWORK for port in entry.ports) else SCALE_UP
    return FAMILIES[kind_of(entry)]


def templates_with(entry: Entry) -> tuple[str, ...]:
    """Return the names of the templates that hold a part, or whose cables are of a protocol or a medium.

    Examples
    --------
    >>> templates_with(catalogue().parts["gb200_gpu"])[-1]
    'gb200-nvl72'
    """
    return tuple(name for name in template_names() if entry.id in _used_by(name))


@cache
def _used_by(template: str) -> set[str]:
    blueprint = loads_blueprint(f"fabric: one\ninclude: {template}\n")
    parts = {group.part.id for group in blueprint.groups.values() if group.part}
    return parts | {name for rule in blueprint.rules for name in (rule.protocol, rule.medium) if name}


def explain_entry(entry: Entry) -> dict[str, object]:
    """Return a row with its protocols, the templates that use it and its sources, for JSON."""
    row: dict[str, object] = {name: getattr(entry, name) for name in entry.__slots__}
    ports = entry.ports if isinstance(entry, Part) else ()
    titles = catalogue().sources
    return row | {
        "kind": kind_of(entry),
        "protocols": {port.name: [protocol.id for protocol in protocols_of(port)] for port in ports},
        "templates": templates_with(entry),
        "sources": {name: titles[name] for name in sources_of(entry)},
    }


def parts_csv(rows: Iterable[Entry]) -> str:
    """Return every figure of `rows` on a line of its own; rates are per direction."""
    lines = []
    for row in rows:
        name = "" if isinstance(row, Protocol) else row.name
        for figure in figures_of(row):
            cells = [
                figure.port_class,
                figure.name,
                str(figure.value).removesuffix(".0"),
                label(figure.name)[1],
            ]
            proof = [figure.evidence.confidence, " ".join(figure.evidence.source)]
            lines.append([row.id, kind_of(row), name, *cells, *proof])
    head = ["id", "kind", "name", "ports", "figure", "value", "unit", "confidence", "sources"]
    return write_csv(head, lines)


def parts_page(rows: Sequence[Entry]) -> str:
    """Return a page on `rows`: how to read it, how sure the figures are, a table for each family, sources.

    Parameters
    ----------
    rows : sequence of Part, Protocol or Medium

    Returns
    -------
    str
        CommonMark with raised letters and anchors in HTML; the same bytes for the same rows.
    """
    chapters = {name: [row for row in rows if family(row) == name] for name in _ORDER}
    blocks = [_INTRO, "## How sure the figures are", _summary(chapters)]
    for name, members in chapters.items():
        if members:
            blocks += [f"## {name}", *_chapter(members)]
    cited = {source for row in rows for source in sources_of(row)}
    titles = [source for name, source in sorted(catalogue().sources.items()) if name in cited]
    anchored = (f'<a id="{_anchor(s.id)}"></a>{code(s.id)}: {link(s.title, s.locator)}' for s in titles)
    return "\n\n".join([*blocks, "## Sources", bullets(anchored)]) + "\n"


def _summary(chapters: dict[str, list[Entry]]) -> str:
    """Return the table of figures by family and confidence."""
    lines = []
    total: Counter[str] = Counter()
    for name, members in chapters.items():
        counts = Counter(f.evidence.confidence for row in members for f in figures_of(row))
        total += counts
        if members:
            lines.append([name, f"{len(members)}", *_counts(counts)])
    lines.append(["All", f"{sum(map(len, chapters.values()))}", *_counts(total)])
    head = ["Family", ">Rows", *(f">{word}" for word in CONFIDENCES), ">Figures"]
    return f"{table(head, lines)}\n\nYears, planes, port counts, breakouts and link layers are figures too."


def _counts(counts: Counter[str]) -> list[str]:
    return [f"{counts[word]:,}" for word in CONFIDENCES] + [f"{counts.total():,}"]


def _chapter(rows: Sequence[Entry]) -> list[str]:
    """Return the tables of a family; accelerators by vendor, all by year."""
    parts = sorted((row for row in rows if isinstance(row, Part)), key=lambda part: part.year)
    if not parts:
        plain = [row for row in rows if not isinstance(row, Part)]
        return [_tabulate(_columns(plain), plain), *_notes(plain)]
    if parts[0].kind != "gpu":
        return _of_parts(parts)
    blocks = []
    for vendor in dict.fromkeys(row.vendor for row in rows if isinstance(row, Part)):
        blocks += [f"### {escape(vendor)}", *_of_parts([part for part in parts if part.vendor == vendor])]
    return blocks


def _of_parts(parts: Sequence[Part]) -> list[str]:
    ports = [(part, port) for part in parts for port in part.ports]
    blocks = [_tabulate(_columns(parts), parts)]
    if ports:
        blocks.append(_tabulate(_PORT_COLUMNS, ports))
    return blocks + _notes(parts)


def _tabulate(columns: Sequence[Column[T]], rows: Sequence[T]) -> str:
    """Return a table of the columns in which any row has something."""
    cells = {head: [cell(row) for row in rows] for head, cell in columns}
    filled = {head: texts for head, texts in cells.items() if any(texts)}
    return table(list(filled), zip(*filled.values(), strict=True))


def _columns(rows: Sequence[Entry]) -> list[Column[Entry]]:
    """Return the columns of the table of one family: names, figures in the order of the files, evidence."""
    named: list[Column[Entry]] = [("Id", lambda row: code(row.id))]
    named += [
        (head, partial(_texts, key=key))
        for head, key in _NAMES.items()
        if key != "vendor" or kind_of(rows[0]) != "gpu"  # those stand under their vendor
    ]
    # By all rows of the kind, so that the tables of all vendors agree.
    alike = [row for row in entries().values() if kind_of(row) == kind_of(rows[0])]
    names = {figure.name for row in rows for figure in figures_of(row)}
    order = [name for name in _merge(map(_names, alike)) if name in names]
    figures: list[Column[Entry]] = [(_head(name), partial(_cell, name=name)) for name in order]
    return [*named, *figures, ("Evidence", lambda row: row.confidence), ("Sources", _sources)]


def _names(row: Entry) -> list[str]:
    return [figure.name for figure in figures_of(row) if not figure.port_class]


def _texts(row: Entry, *, key: str) -> str:
    value: str | tuple[str, ...] = getattr(row, key, "")
    if key in ("name", "vendor"):
        return _inline(str(value))
    return ", ".join(map(code, (value,) if value and isinstance(value, str) else value))


def _inline(text: str) -> str:
    """Return text that starts no line, where a number and a point would make a list."""
    return escape(f": {text}").removeprefix(": ").removeprefix(":")


def _merge(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return all names in an order that keeps that of each list, as far as the lists agree."""
    order: list[str] = []
    for names in lists:
        at = len(order)
        for name in reversed(names):
            if name not in order:
                order.insert(at, name)
            at = order.index(name)
    return order


def _head(name: str) -> str:
    words, unit = label(name)
    words = words[:1].upper() + words[1:]
    if name == "rate_gbps":  # printed in bits and in bytes
        return f">{words} per direction"
    right = "" if name == "in_network_reduction" else ">"
    return f"{right}{words} [{unit}]" if unit else f"{right}{words}"


def _cell(row: Entry, *, name: str) -> str:
    """Return a figure, marked where its evidence is not that of the row."""
    figure = next((f for f in figures_of(row) if (f.port_class, f.name) == ("", name)), None)
    if figure is None:
        return ""
    text = escape(figure.value) if isinstance(figure.value, str) else number(figure.value)
    if name == "year":
        text = f"{figure.value}"
    if name == "rate_gbps":
        text = format_rate(float(figure.value))
    return text + _mark(figure.evidence, row.confidence)


def _mark(mark: Evidence, usual: str) -> str:
    return "" if mark.confidence == usual else f"<sup>{mark.confidence[0].upper()}</sup>"


def _port_cell(name: str, text: Callable[[PortClass], str]) -> Callable[[PartPort], str]:
    def cell(entry: PartPort) -> str:
        _, port = entry
        shown = text(port)
        return shown and shown + _mark(evidence(port, name), port.confidence)

    return cell


def _total(port: PortClass) -> float:
    return port.n_ports * port.rate_gbps


_PORT_COLUMNS: list[Column[PartPort]] = [
    ("Id", lambda entry: code(entry[0].id)),
    ("Port class", lambda entry: code(entry[1].name)),
    (">Ports", _port_cell("n_ports", lambda port: format_count(port.n_ports))),
    (">Rate of one, per direction", _port_cell("rate_gbps", lambda port: format_rate(port.rate_gbps))),
    (">All, per direction", lambda entry: format_rate(_total(entry[1]))),
    (">All, sum of both directions", lambda entry: format_rate(2 * _total(entry[1]))),
    (">Ports per cage", _port_cell("ports_per_cage", lambda port: f"{port.ports_per_cage or ''}")),
    (
        "Breakout",
        _port_cell(
            "modes", lambda port: ", ".join(f"{n:,} x {format_rate_gbit(rate)}" for n, rate in port.modes)
        ),
    ),
    ("Link layers", _port_cell("layers", layers_text)),
    ("Protocol", lambda entry: ", ".join(code(protocol.id) for protocol in protocols_of(entry[1]))),
    ("Evidence", lambda entry: entry[1].confidence),
    ("Sources", lambda entry: _sources(entry[1])),
]


def _sources(row: Entry | PortClass) -> str:
    """Return the sources of a row as links, then those of figures that have others."""
    texts = [_links(row.source)]
    exceptions = {} if isinstance(row, Protocol) else row.exceptions
    for source in dict.fromkeys(mark.source for mark in exceptions.values() if mark.source != row.source):
        names = [_head(name).removeprefix(">") for name, mark in exceptions.items() if mark.source == source]
        texts.append(f"{', '.join(names)}: {_links(source)}")
    return "; ".join(texts)


def _links(sources: Iterable[str]) -> str:
    return ", ".join(f"[{escape(name)}](#{_anchor(name)})" for name in sources)


def _anchor(source: str) -> str:
    return "source-" + re.sub(r"\W", "-", source)


def _notes(rows: Sequence[Entry]) -> list[str]:
    """Return a list of the notes on rows and on their ports, or nothing."""
    items = []
    for row in rows:
        ports = row.ports if isinstance(row, Part) else ()
        texts = [_inline(row.note)] if row.note else []
        texts += [f"{code(port.name)} ports: {_inline(port.note)}" for port in ports if port.note]
        if texts:
            items.append(f"{code(row.id)}: {'; '.join(texts)}.")
    return [bullets(items)] if items else []
