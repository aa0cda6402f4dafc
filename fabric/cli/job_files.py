"""What commands about a job file have in common: the job, its fabric, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from fabric.cli.options import one_from_standard_input, print_form
from fabric.text.reading import STANDARD, read_standard_input

if TYPE_CHECKING:
    from fabric.workload.written import WrittenJob

FabricFile = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Instead of the one that the job names.")
]
Form = Annotated[str, typer.Option("--format", help="text (if left out), md or json.")]

FORMS = ("text", "md", "json")


class AnswerInForms(Protocol):
    """An answer that prints as text, Markdown and JSON."""

    def to_markdown(self) -> str:
        """Return it for documents."""

    def to_json(self) -> str:
        """Return it for programs."""


Job = TypeVar("Job", bound="WrittenJob")


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
    from fabric.workload.written import fabric_file

    one_from_standard_input(path, file or "", calibration)
    is_piped = str(path) == STANDARD
    job = parse(read_standard_input(limit=MAX_BYTES), "<stdin>") if is_piped else load(path)
    return job, file or fabric_file(job)


def print_in_form(answer: AnswerInForms, form: str) -> None:
    """Print an answer in one of its forms."""
    print_form({"text": answer.__str__, "md": answer.to_markdown, "json": answer.to_json}, form)
