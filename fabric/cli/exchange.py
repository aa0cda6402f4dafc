"""Commands that write a fabric for others: its cable plan, and the formats of other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fabric.cli.options import (
    File,
    Force,
    Json,
    fabric_of,
    form_of,
    one_from_standard_input,
    print_form,
    progress,
    say,
    tell,
    words,
)
from fabric.errors import QuestionError
from fabric.text.reading import STANDARD

if TYPE_CHECKING:
    from fabric.sizing.cable_plan import CablePlan
    from fabric.sizing.cables import CableBatch
    from fabric.text.writing import Piece

Out = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", metavar="PATH", help="File or folder to write; left out or -, it is printed."
    ),
]
_HEAD = (
    "a_rack", "a_unit", "a_node", "a_port", "z_rack", "z_unit", "z_node", "z_port", "rate_gbps", "medium",
    "length_m", "label", "rule", "a_device", "z_device",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("cables")(cables_command)
    app.command("export")(export_command)
    app.command("import")(import_command)
    app.command("audit")(audit_command)


def cables_command(
    file: File,
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="csv (if left out), md, json or xlsx.")
    ] = "",
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """List every cable that is bought: both ends with rack, unit, node and port, medium, length, label."""
    from fabric.sizing.cable_plan import CablePlan
    from fabric.text.writing import write_file

    writers: Mapping[str, Callable[[CablePlan], Iterable[Piece]]] = {
        "csv": _csv,
        "md": _markdown,
        "json": _json,
        "xlsx": _xlsx,
    }
    form = form_of(form, writers, as_json=as_json)
    if form == "xlsx" and out is None and sys.stdout.isatty():
        msg = "a workbook is nothing to read on a terminal; say -o FILE"
        raise QuestionError(msg)
    plan = CablePlan(fabric_of(file).axes_or_refuse("a cable plan"))
    pieces = writers[form](plan)
    if out is None or str(out) == STANDARD:
        write_file(STANDARD, pieces)
        return
    with progress("cables") as heard:
        write_file(out, _heard(pieces, plan, heard), force=force)


def _heard(
    pieces: Iterable[Piece], plan: CablePlan, heard: Callable[[int, int], None] | None
) -> Iterator[Piece]:
    """Yield pieces, and tell how many of the cables are listed."""
    total = plan.n_cables if heard else 0
    for piece in pieces:
        yield piece
        if heard:
            heard(min(plan.n_listed, total), total)


def _rows(plan: CablePlan) -> Iterator[list[object]]:
    for c in plan.cables():
        ends = [part for end in (c.a, c.z) for part in (end.rack, end.unit, end.node, end.port)]
        yield [*ends, c.rate_gbps, c.medium, c.length_m, c.label, c.rule, c.a.device, c.z.device]


def _csv(plan: CablePlan) -> Iterable[str]:
    from fabric.text.csv_columns import csv_columns

    return csv_columns(_HEAD, map(_columns_of, plan.batches()))


def _columns_of(batch: CableBatch) -> list[Sequence[object]]:
    a, z, n = batch.a, batch.z, len(batch.medium)
    ends = [part for end in (a, z) for part in (end.rack, end.unit, end.node, end.port)]
    rate, rule = [batch.rate_gbps] * n, [batch.rule] * n
    return [*ends, rate, batch.medium, batch.length_m, batch.labels(), rule, a.device, z.device]


def _xlsx(plan: CablePlan) -> Iterable[bytes]:
    from fabric.text.spreadsheet import xlsx_pieces

    return xlsx_pieces(_HEAD, _rows(plan), "cables")


def _markdown(plan: CablePlan) -> Iterable[str]:
    from fabric.text.markdown import escape, table

    rows = [["" if cell is None else escape(f"{cell}") for cell in row] for row in _rows(plan)]
    return [table(_HEAD, rows), "\n"]


def _json(plan: CablePlan) -> Iterator[str]:
    from fabric.text.as_json import to_json

    before = "[\n"
    for row in _rows(plan):
        yield before + to_json(dict(zip(_HEAD, row, strict=True)))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def export_command(
    file: File,
    form: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="Such as dot or slurm; left out, all are listed."),
    ] = "",
    what: Annotated[
        str,
        typer.Option("--trace", metavar="WHAT", help="For chakra: a collective, or a job file."),
    ] = "",
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of the collective of a trace.")] = "1GiB",
    algorithm: Annotated[str, typer.Option(metavar="NAME", help="Trace every message of an algorithm.")] = "",
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a fabric in a format of other tools; what the format cannot hold is told on standard error."""
    from fabric.interop.export import FORMATS, export
    from fabric.text.folder import write_folder
    from fabric.text.writing import write_file

    if not form:
        rows = [[entry.name, entry.about, entry.loss] for entry in FORMATS.values()]
        rows.append([*_CHAKRA])
        _list_formats(["format", "what it is", "what it cannot hold"], rows, out, as_json=as_json)
        return
    if form == _CHAKRA[0]:
        _write_trace(file, what, size, algorithm, out, force=force, as_json=as_json)
        return
    if what or algorithm:
        msg = f"--trace and --algorithm are for the format chakra, not for {form}"
        raise QuestionError(msg)
    answer = export(fabric_of(file), form)
    if as_json:
        write_file(out or STANDARD, f"{answer.to_json()}\n", force=force)
        return
    say(f"{form} does not hold {answer.loss}", err=True)
    names = list(answer.files)
    if out is None or str(out) == STANDARD:
        for name, text in answer.files.items():
            say(f"# {name}\n{text}" if name else text, nl=False)
    elif names == [""]:
        write_file(out, answer.files[""], force=force)
    else:
        write_folder(out, answer.files, is_ours=lambda path: path.name in names, force=force)


_CHAKRA = ["chakra", "Chakra traces of a collective or a job, a file an NPU", "the network"]


def _write_trace(
    file: Path, what: str, size: str, algorithm: str, out: Path | None, *, force: bool, as_json: bool
) -> None:
    from fabric.text.folder import write_folder
    from fabric.workload.trace import trace

    if not what:
        msg = "a trace of what? say --trace all-reduce, or a job file, with --size and --algorithm"
        raise QuestionError(msg)
    if not as_json and (out is None or str(out) == STANDARD):
        msg = "a trace is a folder of files, one for each NPU; say -o DIR"
        raise QuestionError(msg)
    answer = trace(fabric_of(file), what, size, algorithm=algorithm)
    if as_json:
        say(answer.to_json())
        return
    assert out is not None
    say(str(answer), err=True)
    write_folder(out, answer.files, is_ours=lambda path: path.name in answer.files, force=force)


def _list_formats(head: list[str], rows: list[list[str]], out: Path | None, *, as_json: bool) -> None:
    """Say which formats there are where none was named; a file to write wants one."""
    from fabric.text.as_json import to_json
    from fabric.text.columns import columns

    if out is not None:
        names = ", ".join(row[0] for row in rows)
        msg = f"nothing is written to {out} without a format; say --format, one of {names}"
        raise QuestionError(msg)
    keys = [name.replace(" ", "_") for name in head]
    listed = {"formats": [dict(zip(keys, row, strict=True)) for row in rows]}
    say(to_json(listed)) if as_json else tell(columns(head, rows))


def import_command(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="What tools say of the cables.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="Such as lldp or netbox; left out, all are listed."),
    ] = "",
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RATE",
            help="Rate that the format does not hold: 400Gb/s, or node-leaf=400Gb/s; may be repeated.",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="DESIGN", help="The design: the file includes it and says what differs."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the fabric.")] = "as-built",
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write what was built as a topology file: with axes where some explain it, or as a design plus marks."""
    from fabric.interop.as_built import read_cabling
    from fabric.interop.sources import SOURCES
    from fabric.text.writing import write_file

    if not form:
        rows = [[source.name, source.about, source.lacks] for source in SOURCES.values()]
        _list_formats(["format", "what it is", "what it does not say"], rows, out, as_json=as_json)
        return
    one_from_standard_input(*sources, *([like] if like else []))
    rates: dict[str, str] = {}
    for item in rate or ():
        rule, _, value = item.rpartition("=")
        rates[rule] = value
    folder = out.parent if out and str(out) != STANDARD else Path()
    design = fabric_of(like) if like else None
    with progress("cables") as heard:
        answer = read_cabling(
            sources, form, name=name, rates=rates, like=design, folder=folder, progress=heard
        )
    if as_json:
        write_file(out or STANDARD, f"{answer.to_json()}\n", force=force)
        return
    say(str(answer), err=True)
    write_file(out or STANDARD, answer.text, force=force)


def audit_command(
    design: Annotated[Path, typer.Argument(metavar="DESIGN", help="Topology file.")],
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Cables as they were found.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Such as lldp or netbox; a wrong one lists all.",
        ),
    ],
    collectives: Annotated[
        str, typer.Option(metavar="LIST", help="Price faults in these too, such as all-reduce.")
    ] = "",
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of their buffers.")] = "1GiB",
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown for a pull request.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare what was built with a design: what differs, what it costs; exit status 1 if anything does."""
    from fabric.study.audit import audit

    if as_markdown and as_json:
        msg = "--json and --markdown ask for two forms of one answer; give the one or the other"
        raise QuestionError(msg)
    one_from_standard_input(design, *sources)
    with progress("audit") as heard:
        answer = audit(
            fabric_of(design), sources, form, collectives=words(collectives), size=size, progress=heard
        )
    texts = {"text": answer.__str__, "md": answer.to_markdown, "json": answer.to_json}
    print_form(texts, "json" if as_json else "md" if as_markdown else "text")
    if answer.groups:
        raise typer.Exit(1)
