"""What commands about a job file have in common: the job, its fabric, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from fabric.cli.options import one_from_standard_input, print_form
from fabric.errors import QuestionError
from fabric.text.reading import STANDARD, read_standard_input

FabricFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Instead of the one that the job names.")
]
Form = Annotated[str, typer.Option("--format", help="text (if left out), md or json.")]

FORMS = ("text", "md", "json")


class JobWithFabric(Protocol):
    """A job that may name its fabric."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def fabric(self) -> str:
        """Topology file, or empty."""


class AnswerInForms(Protocol):
    """An answer that prints as text, Markdown and JSON."""

    def to_markdown(self) -> str:
        """Return it for documents."""

    def to_json(self) -> str:
        """Return it for programs."""


Job = TypeVar("Job", bound=JobWithFabric)


def read_job(
    path: Path,
    file: Path | None,
    calibration: str,
    *,
    load: Callable[[Path], Job],
    parse: Callable[[bytes, str], Job],
) -> tuple[Job, Path]:
    """Return the job of a path, ``-`` for standard input, and the topology file that it is asked on.

    Raises
    ------
    QuestionError
        If two are read from the same pipe, or neither the job nor the command names a fabric.
    TopologyError
        With every problem of the file at its line and column.
    """
    from fabric.blueprint.limits import MAX_BYTES

    one_from_standard_input(path, file or "", calibration)
    is_piped = str(path) == STANDARD
    job = parse(read_standard_input(limit=MAX_BYTES), "<stdin>") if is_piped else load(path)
    if file is None and not job.fabric:
        msg = f"job {job.name} names no fabric; give a topology file"
        raise QuestionError(msg)
    return job, file or Path(job.fabric)


def print_in_form(answer: AnswerInForms, form: str) -> None:
    """Print an answer in one of its forms."""
    print_form({"text": answer.__str__, "md": answer.to_markdown, "json": answer.to_json}, form)
