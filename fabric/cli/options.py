"""Arguments and options that several commands share."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fabric.errors import FabricError, QuestionError, printable
from fabric.text.columns import fit
from fabric.text.reading import STANDARD, read_standard_input

if TYPE_CHECKING:
    from fabric.costing.calibration import Calibration
    from fabric.graph import Fabric, Paths
    from fabric.results import Result

Told = TypeVar("Told")
_AT_SITE: ContextVar[Fabric | None] = ContextVar("at_site", default=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="Topology file, *.fabric.yaml or *.fabric.json.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys (docs/cli.md).")]
Over = Annotated[
    str,
    typer.Option(
        metavar="AXES", help="Axes that a group spans, such as pod,rack; one group for each of the rest."
    ),
]
Among = Annotated[str | None, typer.Option(metavar="SELECTOR", help="The endpoints; all if left out.")]
PathRule = Annotated[str, typer.Option(metavar="RULE", help="rules (the file's), no-relay, or any.")]
MethodName = Annotated[
    str,
    typer.Option("--method", metavar="NAME", help="auto, axes, refinement, or links: how it is worked out."),
]
Gap = Annotated[
    float | None,
    typer.Option(
        metavar="PART",
        help="An interval as narrow as this is enough, such as 0.001, where real links would be solved.",
    ),
]
Failed = Annotated[
    list[str] | None,
    typer.Option(
        "--failed",
        metavar="WHAT",
        help="What if this fails too: leaf0, 'leaf0 - spine1', or 'leaf0 - spine1 x 2'; may be repeated.",
    ),
]
Degraded = Annotated[
    list[str] | None,
    typer.Option(
        "--degraded",
        metavar="WHAT",
        help="What if this is slow: 'nic0 at 1/2', 'leaf0 - spine1 at 200Gb/s', or "
        "'leaf0 - spine1 x 2 at 50%'; may be repeated.",
    ),
]
Backend = Annotated[
    str, typer.Option(metavar="NAME", help="Of joblib, such as dask; this machine's processes if left out.")
]
Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Of Dask, such as tcp://10.0.0.1:8786, with --backend dask.")
]
StoreFile = Annotated[
    str, typer.Option("--store", metavar="FILE", help="Keep answers in it, and go on from what is there.")
]
SiteNames = Annotated[
    bool, typer.Option("--site-names", help="Call devices as the site does, by names: of the file.")
]
Drop = Annotated[bool, typer.Option("--drop-unreachable", help="Leave out endpoints that failures cut off.")]
Root = Annotated[
    str,
    typer.Option(metavar="SELECTOR", help="The one endpoint of one-to-all, all-to-one, broadcast, reduce."),
]


def words(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def fabric_of(
    file: Path,
    failed: list[str] | None = None,
    degraded: list[str] | None = None,
    *,
    site_names: bool = False,
) -> Fabric:
    """Return the fabric of a file, or of standard input for ``-``, in which more has failed or is slow.

    Raises
    ------
    QuestionError
        If answers are to have names of the site and the file has none.
    """
    from fabric.graph import degrade, fail, load
    from fabric.graph.called import names_or_refuse

    fabric = _read_piped() if str(file) == STANDARD else load(file)
    if site_names:
        names_or_refuse(fabric)
        _AT_SITE.set(fabric)
    return degrade(fail(fabric, *(failed or ())), *(degraded or ()))


def _read_piped() -> Fabric:
    from fabric.blueprint.limits import MAX_BYTES
    from fabric.graph import loads

    return loads(read_standard_input(limit=MAX_BYTES), path="<stdin>")


def calibration_of(name: str) -> str | Calibration:
    """Return a calibration that comes in by standard input for ``-``; a name or a file as it is."""
    from fabric.blueprint.limits import MAX_BYTES
    from fabric.costing.calibration import parse_calibration

    if name == STANDARD:
        return parse_calibration(read_standard_input(limit=MAX_BYTES), "<stdin>")
    return name


def one_from_standard_input(*names: str | Path) -> None:
    """Refuse that two inputs are read from the same pipe.

    Raises
    ------
    QuestionError
        If several names are ``-``.
    """
    if sum(str(name) == STANDARD for name in names) > 1:
        msg = "standard input, -, can be read once; name a file for the others"
        raise QuestionError(msg)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text; what could steer a terminal is replaced, since names and texts of files get into it."""
    typer.echo(printable(text, kept="\n\t"), err=err, nl=nl)


def tell(text: str) -> None:
    """Print what is read and not parsed; its long lines are folded into the terminal."""
    say(fit(text))


def form_of(form: str, forms: Collection[str], *, as_json: bool) -> str:
    """Return the form of an answer that the options say: the first of `forms` where they say none.

    Raises
    ------
    QuestionError
        If there is no such form, or ``--json`` and ``--format`` say two.
    """
    first, *more = forms
    form = form or ("json" if as_json else first)
    if form not in forms:
        msg = f"format: {', '.join((first, *more[:-1]))} or {more[-1]}; got {form!r}"
        raise QuestionError(msg)
    if as_json and form != "json":
        msg = f"--json and --format {form} ask for two forms of one answer; give the one or the other"
        raise QuestionError(msg)
    return form


def print_form(texts: Mapping[str, Callable[[], str]], form: str) -> None:
    """Print one of the forms of an answer; ``text`` is for people."""
    (tell if form == "text" else say)(texts[form]().rstrip("\n"))


@contextlib.contextmanager
def errors_at_site() -> Iterator[None]:
    """Let errors of a command call devices as the site does where its answers are asked to."""
    before = _AT_SITE.set(None)
    try:
        yield
    except FabricError as error:
        fabric = _AT_SITE.get()
        if fabric is None:
            raise
        from fabric.graph.called import called

        raise FabricError(called(fabric, str(error))) from error
    finally:
        _AT_SITE.reset(before)


def in_words_of_site(answer: Told, fabric: Fabric, *, site_names: bool) -> Told:
    """Return an answer with the names of the site where these are asked for."""
    from fabric.graph.called import called
    from fabric.results import spelled

    return spelled(answer, functools.partial(called, fabric)) if site_names else answer


def print_answer(answer: Result, fabric: Fabric, *, as_json: bool, site_names: bool = False) -> None:
    """Print an answer and what has failed or is slow in its fabric."""
    from fabric.graph import degradations, failures
    from fabric.graph.called import called
    from fabric.text.as_json import to_json

    damage = {"failed": failures(fabric), "degraded": degradations(fabric)}
    damage = {word: texts for word, texts in damage.items() if texts}
    answer = in_words_of_site(answer, fabric, site_names=site_names)
    if site_names:
        damage = {word: tuple(called(fabric, text) for text in texts) for word, texts in damage.items()}
    if as_json:
        say(to_json({**answer.to_dict(), **damage}))
        return
    tell("\n".join([str(answer), *(f"  {word}: {'; '.join(texts)}" for word, texts in damage.items())]))


def path_rule(text: str) -> Paths:
    """Return a path rule.

    Raises
    ------
    typer.BadParameter
        If there is no such rule.
    """
    if text in ("rules", "no-relay", "any"):
        return text  # type: ignore[return-value]
    msg = f"expected rules, no-relay or any; got {text!r}"
    raise typer.BadParameter(msg, param_hint="--paths")


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar, the rate and the time left on standard error; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.3g}/s" if speed else "")

        yield update


@contextlib.contextmanager
def remarks() -> Iterator[None]:
    """Print what the package logs on standard error, each remark once; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    logger, handler = logging.getLogger("fabric"), _Once(logging.INFO)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Once(logging.Handler):
    """Echo every remark, and none twice: a bottleneck solves one program often."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._echoed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._echoed:
            self._echoed.add(text)
            say(text, err=True)
