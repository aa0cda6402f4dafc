"""Commands that design a fabric and list what it is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from fabric.cli.options import (
    File,
    Force,
    Json,
    calibration_of,
    fabric_of,
    form_of,
    one_from_standard_input,
    print_form,
    progress,
    say,
    tell,
    words,
)
from fabric.errors import QuestionError, option
from fabric.sizing.arguments import Argument, DesignArguments, DesignOptions, arguments_of
from fabric.text.reading import STANDARD, read_standard_input
from fabric.text.writing import write_file

if TYPE_CHECKING:
    from fabric.sizing.prices import Price

Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="FILE", help="File to write; left out or -, it is printed."),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("design")(design_command)
    app.command("scale")(scale_command)
    app.command("bom")(bom_command)


def with_arguments(arguments: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, whose first argument holds those of a design, an option for each of them.

    Parameters
    ----------
    arguments : type
        `DesignArguments` or `DesignOptions`; keys without a form on the command line are left out.
    """
    asks = {name: argument for name, argument in arguments_of(arguments).items() if argument.metavar}
    kinds = {name: _kinds(hint) for name, hint in get_type_hints(arguments).items()}

    def take(command: Callable[..., None]) -> Callable[..., None]:
        def run(**options: object) -> None:
            values = {name: options.pop(name) for name in asks}
            texts = {name: str(value) for name, value in values.items() if value is not None}
            command({name: _value(text, kinds[name]) for name, text in texts.items()}, **options)

        command_options = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        parameters = [*map(_parameter, asks, asks.values()), *command_options]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        # Typer reads the command line off signature and annotations.
        run.__doc__ = command.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return take


def _kinds(hint: object) -> tuple[object, ...]:
    """Return the types that an argument may be of."""
    return get_args(hint) or (hint,)


def _value(text: str, kinds: tuple[object, ...]) -> str | int:
    """Return a whole number where an argument is one and the text too; the design refuses other text."""
    is_whole = text.strip().removeprefix("-").isdecimal() and text.isascii()
    return int(text) if is_whole and int in kinds and str not in kinds else text


def _parameter(name: str, argument: Argument) -> inspect.Parameter:
    """Return an argument of a design as Typer reads it: an option whose text the design itself reads."""
    about = (
        f"{argument.about} Default: {argument.default}."
        if argument.default
        else f"{argument.about} Required."
    )
    flag = typer.Option(option(name), metavar=argument.metavar, help=about)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, flag]
    )


@with_arguments(DesignArguments)
def design_command(
    arguments: Mapping[str, Any],
    preset: Annotated[str, typer.Option(help="A described deployment, in place of all these.")] = "",
    grow: Annotated[
        str, typer.Option(metavar="LIST", help="GPUs after each phase of growth, such as 512,1024.")
    ] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Print how every number was chosen.")] = False,
    out: Out = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Design the fabric of a cluster from its size: a topology file with comments."""
    from fabric.sizing import design, find_preset, growth
    from fabric.text.as_json import to_json

    if preset:
        if arguments:
            named = ", ".join(option(name) for name in arguments)
            msg = f"design: --preset {preset} is a whole design; got {named} too; give one or the other"
            raise QuestionError(msg)
        described = find_preset(preset)
        arguments, answer = described.arguments, described.design()
    else:
        _check_needed(arguments, "design", "; or give a --preset")
        answer = design(**arguments)
    phases = growth(words(grow), **arguments) if grow else ()
    is_written = out is not None and str(out) != STANDARD
    if out is not None and is_written:
        write_file(out, answer.text, force=force)
    if as_json:
        record = {**answer.to_dict(), "phases": phases, "file": str(out or "")}
        say(to_json(record))
        return
    for warning in answer.warnings:
        say(f"warning: {warning}", err=True)
    if explain:
        tell(str(answer))
    for phase in phases:
        tell(str(phase))
    if is_written:
        switches = ", ".join(f"{n:,} {tier}" for tier, n in answer.switches.items())
        tell(f"wrote {out}: {answer.gpus:,} GPUs ({answer.asked:,} asked for); {switches}")
    elif not explain and not phases:
        say(answer.text, nl=False)


def _check_needed(arguments: Mapping[str, Any], command: str, remedy: str = "") -> None:
    """Refuse to design without the arguments that have no default."""
    kind = DesignArguments if command == "design" else DesignOptions
    needed = [name for name, argument in arguments_of(kind).items() if not argument.default]
    missing = [option(name) for name in needed if not arguments.get(name)]
    if missing:
        msg = f"{command}: {', '.join(missing)} missing{remedy}"
        raise QuestionError(msg)


def bom_command(
    file: File,
    prices: Annotated[
        str, typer.Option(metavar="FILE", help="CSV of prices, or indicative for those of the catalogue.")
    ] = "",
    spares: Annotated[float, typer.Option(metavar="PERCENT", help="Spares of what fails most.")] = 0.0,
    racks_per_row: Annotated[int | None, typer.Option(help="Of the floor plan.")] = None,
    rack_pitch: Annotated[float | None, typer.Option(metavar="METRES", help="Of the floor plan.")] = None,
    row_pitch: Annotated[float | None, typer.Option(metavar="METRES", help="Of the floor plan.")] = None,
    form: Annotated[str, typer.Option("--format", help="text (if left out), md, csv or json.")] = "",
    as_json: Json = False,
) -> None:
    """List what a fabric is made of: racks, switches, cables, transceivers, ports, kW, and $ where given."""
    from fabric.sizing.bom import bom
    from fabric.sizing.floor import FloorPlan
    from fabric.text.as_json import to_json

    form = form_of(form, ("text", "md", "csv", "json"), as_json=as_json)
    measures = {"racks_per_row": racks_per_row, "rack_pitch_m": rack_pitch, "row_pitch_m": row_pitch}
    given = {key: value for key, value in measures.items() if value is not None}
    one_from_standard_input(file, prices)
    price_list = _prices(prices)
    floor = FloorPlan(**given) if given else None  # type: ignore[arg-type]
    bill = bom(fabric_of(file), floor=floor, prices=price_list, spares=spares)
    texts = {
        "text": bill.__str__,
        "md": bill.to_markdown,
        "csv": bill.to_csv,
        "json": lambda: to_json(bill.to_dict()),
    }
    print_form(texts, form)


def _prices(name: str) -> dict[str, Price] | None:
    """Return the price list of a name or a file, or of standard input for ``-``."""
    from fabric.sizing.prices import MAX_BYTES, indicative_prices, parse_prices, read_prices

    if name == STANDARD:
        return parse_prices(read_standard_input(limit=MAX_BYTES), "<stdin>")
    return indicative_prices() if name == "indicative" else read_prices(name) if name else None


@with_arguments(DesignOptions)
def scale_command(
    arguments: Mapping[str, Any],
    gpus: Annotated[
        str, typer.Option(help="Sizes with commas, or a range such as 72..1000000, in --points steps.")
    ],
    collectives: Annotated[str, typer.Option(metavar="LIST", help="To cost at every size.")] = "all-reduce",
    size: Annotated[str, typer.Option(metavar="BYTES", help="Of their buffers.")] = "1GiB",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="measured, nccl, wire (no overheads) or a file.")
    ] = "measured",
    points: Annotated[
        int | None, typer.Option(help="Sizes of a range, evenly spaced on a log scale; 20 if left out.")
    ] = None,
    knees: Annotated[bool, typer.Option(help="Look for the sizes at which something changes.")] = True,
    form: Annotated[str, typer.Option("--format", help="text (if left out), md, csv or json.")] = "",
    as_json: Json = False,
) -> None:
    """Design a cluster at many sizes: throughput, bounds, costs, what binds, and where that changes."""
    from fabric.study.scale import scale, space_sizes

    form = form_of(form, ("text", "md", "csv", "json"), as_json=as_json)
    if points is not None and ".." not in gpus:
        msg = f"points: a range of sizes has them, such as 72..1000000; got the list {gpus!r}"
        raise QuestionError(msg)
    _check_needed(arguments, "scale")
    with progress("sizes") as heard:
        table = scale(
            space_sizes(gpus, 20 if points is None else points),
            collectives=words(collectives),
            size=size,
            calibration=calibration_of(calibration),
            has_knees=knees,
            progress=heard,
            **arguments,
        )
    texts = {"text": table.__str__, "md": table.to_markdown, "csv": table.to_csv, "json": table.to_json}
    print_form(texts, form)
