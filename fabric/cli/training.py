"""The command about training: how long a step takes, and what binds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.job_files import FORMS, FabricFile, Form, print_in_form, read_job
from fabric.cli.options import (
    Degraded,
    Failed,
    Force,
    Json,
    calibration_of,
    fabric_of,
    form_of,
)


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("train")(train_command)


def train_command(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Job file, *.job.yaml.")],
    file: FabricFile = None,
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
    form: Form = "",
    as_json: Json = False,
) -> None:
    """Tell what a step of training takes on a fabric: by dimension, what binds, the best order of ranks."""
    from fabric.workload import load_job, parse_job
    from fabric.workload.train import train

    form = form_of(form, FORMS, as_json=as_json)
    work, topology = read_job(job, file, calibration, load=load_job, parse=parse_job)
    known = calibration_of(calibration)
    answer = train(
        work,
        fabric_of(topology, failed, degraded),
        order=order,
        calibration=known,
        routing=routing,  # type: ignore[arg-type]  # the verb refuses others
    )
    if figure is not None:
        from fabric.reporting.heat import heat_map
        from fabric.text.writing import write_file

        write_file(figure, heat_map(answer), force=force)
    print_in_form(answer, form)
