"""The command that lists the catalogue and explains its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fabric.cli.options import Json, form_of, say, tell
from fabric.errors import QuestionError

if TYPE_CHECKING:
    from fabric.parts import Entry, Figure


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("parts")(parts_command)
    app.command("explain")(explain_command)


def parts_command(
    name: Annotated[
        str,
        typer.Argument(help="A part, protocol or medium to explain; a list if left out.", show_default=False),
    ] = "",
    kind: Annotated[str, typer.Option(help="Only gpu, host, nic, switch, protocol or medium.")] = "",
    vendor: Annotated[str, typer.Option(help="Only parts of this vendor, such as NVIDIA.")] = "",
    port_class: Annotated[
        str, typer.Option(metavar="CLASS", help="Only with ports such as nvlink5, pcie or network.")
    ] = "",
    layer: Annotated[str, typer.Option(help="Only what speaks this link layer, such as Ethernet.")] = "",
    confidence: Annotated[
        str, typer.Option(help="Only with a figure published, reported, derived or assumed.")
    ] = "",
    source: Annotated[str, typer.Option(metavar="ID", help="Only with a figure from this source.")] = "",
    planes: Annotated[str, typer.Option(metavar="N", help="Only switches of so many planes.")] = "",
    search: Annotated[str, typer.Option(metavar="WORDS", help="Only with all these words.")] = "",
    form: Annotated[str, typer.Option("--format", help="text (if left out), md, csv or json.")] = "",
    as_json: Json = False,
) -> None:
    """List the catalogue, or explain one row: every figure with its evidence and its sources."""
    from fabric.parts import find_entry, select
    from fabric.reporting.parts_page import explain_entry, parts_csv, parts_page
    from fabric.text.as_json import to_json

    form = form_of(form, ("text", "md", "csv", "json"), as_json=as_json)
    wanted = {
        "kind": kind,
        "vendor": vendor,
        "port_class": port_class,
        "layer": layer,
        "confidence": confidence,
        "source": source,
        "planes": planes,
    }
    if name and (search or any(wanted.values())):
        msg = "parts: a name explains one row and options choose several; give the one or the other"
        raise QuestionError(msg)
    rows = [find_entry(name)] if name else select(search=search, **wanted)
    if form == "json":
        say(to_json(explain_entry(rows[0]) if name else rows))
    elif form == "text":
        tell(_explain(rows[0]) if name else _list(rows))
    else:
        say({"md": parts_page, "csv": parts_csv}[form](rows).rstrip("\n"))


def explain_command(
    quantity: Annotated[
        list[str], typer.Argument(metavar="QUANTITY", help="Such as 1.8TB/s, 16MiB or 132kW.")
    ],
    as_json: Json = False,
) -> None:
    """Say what a quantity is, per direction and in both units, and what in the catalogue is as much."""
    from fabric.parts.explaining import explain

    answer = explain(" ".join(quantity))
    say(answer.to_json()) if as_json else tell(str(answer))


def _list(rows: Sequence[Entry]) -> str:
    """Return one line per row."""
    from fabric.parts import Part, Protocol, kind_of
    from fabric.text.columns import columns
    from fabric.units import format_rate

    cells = []
    for row in rows:
        ports = [f"{p.n_ports} x {format_rate(p.rate_gbps)} {p.name}" for p in getattr(row, "ports", ())]
        if isinstance(row, Protocol):
            ports = [f"{format_rate(row.rate_gbps)} {row.port_class}"]
        vendor = row.vendor if isinstance(row, Part) else ""
        cells.append(
            [row.id, kind_of(row), vendor, getattr(row, "name", ""), row.confidence, ", ".join(ports)]
        )
    head = ["id", "kind", "vendor", "name", "evidence", "ports (per direction)"]
    return columns(head, cells) if cells else "nothing in the catalogue meets all of this"


def _explain(row: Entry) -> str:
    """Return all that the catalogue knows of one row, each figure with its evidence."""
    from fabric.parts import Part, Protocol, catalogue, kind_of, protocols_of, sources_of
    from fabric.reporting.parts_page import templates_with
    from fabric.text.columns import columns

    facts = {"kind": kind_of(row)}
    if isinstance(row, Part):
        facts["vendor"] = row.vendor
    elif isinstance(row, Protocol):
        facts |= {"aliases": ", ".join(row.aliases), "layer": row.layer, "ports": row.port_class}
        facts |= {"net": row.net, "medium": row.medium}
    facts |= {"templates": ", ".join(templates_with(row)), "note": row.note}
    for port in row.ports if isinstance(row, Part) else ():
        named = ", ".join(protocol.id for protocol in protocols_of(port))
        facts[f"{port.name} ports"] = "; ".join(filter(None, [named and f"speak {named}", port.note]))
    lines = [f"{row.id}: {getattr(row, 'name', '') or 'link protocol'}"]
    lines += [f"  {key}: {text or 'none'}" for key, text in facts.items() if text or key == "templates"]
    figures = columns(["figure", "value", "evidence", "sources"], _figures(row), indent="  ")
    lines += ["", figures, ""]
    known = catalogue().sources
    lines += [f"  source {s}: {known[s].title} ({known[s].locator})" for s in sources_of(row)]
    return "\n".join(lines)


def _figures(row: Entry) -> Iterator[list[str]]:
    """Yield the figures of a row, those of its ports last and with their totals, as cells."""
    from fabric.parts import figures_of, label
    from fabric.units import format_rate

    n_ports = 0.0
    for figure in figures_of(row):
        words, _ = label(figure.name)
        proof = [figure.evidence.confidence, ", ".join(figure.evidence.source)]
        yield [f"{figure.port_class} {words}".strip(), _value(figure), *proof]
        # The number of ports comes before their rate, so that the total can follow it.
        if figure.name == "n_ports":
            n_ports = float(figure.value)
        if figure.port_class and figure.name == "rate_gbps":
            total = n_ports * float(figure.value)
            both = f"{format_rate(total)} per direction, {format_rate(2 * total)} for the sum of both"
            yield [f"{figure.port_class} in all", both, "the product", ""]


def _value(figure: Figure) -> str:
    """Return the value of a figure with its unit; breakouts as cables x rate."""
    from fabric.parts import label
    from fabric.units import format_rate

    if isinstance(figure.value, str):
        is_mode = figure.name == "modes"
        return (
            ", ".join(f"{m.replace('x', ' x ')}G" for m in figure.value.split()) if is_mode else figure.value
        )
    if figure.name == "rate_gbps":
        return f"{format_rate(figure.value)} per direction"
    text = f"{figure.value:.0f}" if figure.name == "year" else f"{figure.value:,.10g}"
    return f"{text} {label(figure.name)[1]}".rstrip()
