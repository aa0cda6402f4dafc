"""The command about training: how long a step takes, and what binds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.options import (
    Degraded,
    Failed,
    Force,
    Json,
    calibration_of,
    fabric_of,
    one_from_standard_input,
    say,
)
from fabric.errors import QuestionError


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("train")(train_command)


def train_command(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Job file, *.job.yaml.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Instead of the one that the job names.")
    ] = None,
    order: Annotated[
        str,
        typer.Option(metavar="MAP", help="Of the ranks, such as 'dp pp cp tp'; all: the best of all orders."),
    ] = "",
    routing: Annotated[
        str, typer.Option(metavar="NAME", help="ecmp, hashed, adaptive, rail or rail-direct.")
    ] = "ecmp",
    calibration: Annotated[str, typer.Option(metavar="NAME", help="measured, wire, or a file.")] = "measured",
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write where the bytes turn there, as SVG.")
    ] = None,
    force: Force = False,
    failed: Failed = None,
    degraded: Degraded = None,
    form: Annotated[str, typer.Option("--format", help="text, md or json.")] = "text",
    as_json: Json = False,
) -> None:
    """Tell what a step of training takes on a fabric: by dimension, what binds, the best order of ranks."""
    from fabric.workload import load_job, parse_job
    from fabric.workload.train import train

    if form not in ("text", "md", "json"):
        msg = f"format: text, md or json; got {form!r}"
        raise QuestionError(msg)
    one_from_standard_input(job, file or "", calibration)
    work = parse_job(_piped(), "<stdin>") if str(job) == "-" else load_job(job)
    known = calibration_of(calibration)
    if file is None and not work.fabric:
        msg = f"job {work.name} names no fabric; give a topology file"
        raise QuestionError(msg)
    answer = train(
        work,
        fabric_of(file or Path(work.fabric), failed, degraded),
        order=order,
        calibration=known,
        routing=routing,  # type: ignore[arg-type]  # the verb refuses others
    )
    if figure is not None:
        from fabric.reporting.heat import heat_map
        from fabric.text.writing import write_file

        write_file(figure, heat_map(answer), force=force)
    texts = {"text": answer.__str__, "md": answer.to_markdown, "json": answer.to_json}
    say(texts["json" if as_json else form]().rstrip("\n"))


def _piped() -> bytes:
    from fabric.blueprint.limits import MAX_BYTES
    from fabric.text.reading import read_standard_input

    return read_standard_input(limit=MAX_BYTES)
