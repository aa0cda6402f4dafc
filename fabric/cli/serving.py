"""The command about serving: what caches take from pool to pool, and how many requests links carry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fabric.cli.options import (
    Degraded,
    Failed,
    Json,
    PathRule,
    calibration_of,
    fabric_of,
    one_from_standard_input,
    path_rule,
    print_form,
)
from fabric.errors import QuestionError
from fabric.text.reading import STANDARD, read_standard_input


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("serve")(serve_command)


def serve_command(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Serving job, *.serve.yaml.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Instead of the one that the job names.")
    ] = None,
    paths: PathRule = "rules",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="Of the step of experts: measured, wire, or a file.")
    ] = "measured",
    failed: Failed = None,
    degraded: Degraded = None,
    form: Annotated[str, typer.Option("--format", help="text, md or json.")] = "text",
    as_json: Json = False,
) -> None:
    """Tell what serving by two pools asks: time of a cache by its way, load of links, the step of experts."""
    from fabric.blueprint.limits import MAX_BYTES
    from fabric.workload.serve import serve
    from fabric.workload.serving_job import load_serving, parse_serving

    if form not in ("text", "md", "json"):
        msg = f"format: text, md or json; got {form!r}"
        raise QuestionError(msg)
    one_from_standard_input(job, file or "", calibration)
    is_piped = str(job) == STANDARD
    asked = parse_serving(read_standard_input(limit=MAX_BYTES), "<stdin>") if is_piped else load_serving(job)
    known = calibration_of(calibration)
    if file is None and not asked.fabric:
        msg = f"serving job {asked.name} names no fabric; give a topology file"
        raise QuestionError(msg)
    fabric = fabric_of(file or Path(asked.fabric), failed, degraded)
    answer = serve(asked, fabric, paths=path_rule(paths), calibration=known)
    texts = {"text": answer.__str__, "md": answer.to_markdown, "json": answer.to_json}
    print_form(texts, "json" if as_json else form)
