"""The command about acceptance tests: what each of them should reach."""

from __future__ import annotations

from typing import Annotated

import typer

from fabric.cli.options import (
    File,
    Json,
    calibration_of,
    fabric_of,
    form_of,
    one_from_standard_input,
    print_form,
    words,
)


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("thresholds")(thresholds_command)


def thresholds_command(
    file: File,
    groups: Annotated[
        str, typer.Option("--for", metavar="LIST", help="Groups such as pair,node,rail,all; all if left out.")
    ] = "",
    collectives: Annotated[
        str, typer.Option(metavar="LIST", help="To test.")
    ] = "all-reduce,all-gather,reduce-scatter,all-to-all",
    sizes: Annotated[str, typer.Option(metavar="LIST", help="Of their buffers.")] = "1MiB,64MiB,1GiB,8GiB",
    calibration: Annotated[str, typer.Option(metavar="NAME", help="measured, or a file.")] = "measured",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="text (if left out), md, csv, sh (runs nccl-tests), superbench, readiness, or json.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Busbw that acceptance tests should reach, for each size of group; none outside the evidence."""
    from fabric.study.thresholds import thresholds

    form = form_of(form, ("text", "md", "csv", "sh", "superbench", "readiness", "json"), as_json=as_json)
    one_from_standard_input(file, calibration)
    found = thresholds(
        fabric_of(file),
        groups=words(groups),
        collectives=words(collectives),
        sizes=words(sizes),
        calibration=calibration_of(calibration),
    )
    texts = {
        "text": found.__str__,
        "md": found.to_markdown,
        "csv": found.to_csv,
        "sh": found.to_script,
        "superbench": found.to_superbench,
        "readiness": found.to_readiness,
        "json": found.to_json,
    }
    print_form(texts, form)
