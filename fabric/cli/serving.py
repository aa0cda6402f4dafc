"""The command about serving: what caches take from pool to pool, and how many requests links carry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.job_files import FORMS, FabricFile, Form, print_in_form, read_job
from fabric.cli.options import (
    Degraded,
    Failed,
    Json,
    PathRule,
    SiteNames,
    calibration_of,
    fabric_of,
    form_of,
    in_words_of_site,
    path_rule,
)


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("serve")(serve_command)


def serve_command(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Serving job, *.serve.yaml.")],
    file: FabricFile = None,
    paths: PathRule = "rules",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="Of the step of experts: measured, wire, or a file.")
    ] = "measured",
    failed: Failed = None,
    degraded: Degraded = None,
    form: Form = "",
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Tell what serving by two pools asks: time of a cache by its way, load of links, the step of experts."""
    from fabric.workload.serve import serve
    from fabric.workload.serving_job import load_serving, parse_serving

    form = form_of(form, FORMS, as_json=as_json)
    asked, topology = read_job(job, file, calibration, load=load_serving, parse=parse_serving)
    known = calibration_of(calibration)
    fabric = fabric_of(topology, failed, degraded, site_names=site_names)
    answer = serve(asked, fabric, paths=path_rule(paths), calibration=known)
    print_in_form(in_words_of_site(answer, fabric, site_names=site_names), form)
