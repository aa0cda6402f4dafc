"""Commands about failures: what each costs, how often a job stops, and which tests find a slow card."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Annotated

import typer

from fabric.cli.options import (
    Among,
    Backend,
    Degraded,
    Failed,
    File,
    Json,
    Over,
    PathRule,
    Scheduler,
    SiteNames,
    StoreFile,
    fabric_of,
    form_of,
    in_words_of_site,
    one_from_standard_input,
    path_rule,
    print_answer,
    print_form,
    progress,
    words,
)
from fabric.text.reading import STANDARD, read_standard_input

if TYPE_CHECKING:
    from fabric.study.failures.rates import FailureRate


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("failures")(failures_command)
    app.command("probe")(probe_command)


def failures_command(
    file: File,
    among: Among = None,
    collective: Annotated[
        str,
        typer.Option(metavar="NAME", help="Beside all-to-all, such as all-reduce (the default with --over)."),
    ] = "",
    over: Over = "",
    paths: PathRule = "rules",
    node: Annotated[
        str, typer.Option(metavar="AXES", help="What restarts together, such as rack,tray.")
    ] = "",
    pairs: Annotated[bool, typer.Option("--pairs", help="Every pair of failures too.")] = False,
    rates: Annotated[
        str,
        typer.Option(metavar="NAME", help="How often things fail: parts, llama3, kokolis, or a CSV file."),
    ] = "",
    interval: Annotated[
        str, typer.Option(metavar="TIME", help="Between checkpoints, such as 60min; the best if left out.")
    ] = "",
    checkpoint: Annotated[
        str, typer.Option(metavar="TIME", help="That the job stands still for a checkpoint.")
    ] = "30s",
    restart: Annotated[
        str, typer.Option(metavar="TIME", help="From an interruption until the job runs again.")
    ] = "5min",
    availability: Annotated[float, typer.Option(help="Part of the time that spare nodes suffice.")] = 0.999,
    window: Annotated[
        str, typer.Option(metavar="TIME", help="Draw states at random over it by --rates, such as 30d.")
    ] = "",
    samples: Annotated[int, typer.Option(help="States that are drawn.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Processes that answer; -1 for one a core (needs joblib): so pairs and windows, 1 else.",
            show_default=False,
        ),
    ] = None,
    backend: Backend = "",
    scheduler: Scheduler = "",
    store: StoreFile = "",
    failed: Failed = None,
    degraded: Degraded = None,
    form: Annotated[str, typer.Option("--format", help="text (if left out), md, csv or json.")] = "",
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Every single failure, exactly: what it costs a job, and whether that goes on; worst first."""
    from fabric.study.failures import failures

    form = form_of(form, ("text", "md", "csv", "json"), as_json=as_json)
    one_from_standard_input(file, rates)
    table = _rates(rates)
    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    with progress("failures") as heard:
        answer = failures(
            fabric,
            among=among,
            collective=collective,
            over=words(over),
            paths=path_rule(paths),
            node=words(node),
            pairs=pairs,
            rates=table,
            interval=interval,
            checkpoint=checkpoint,
            restart=restart,
            availability=availability,
            window=window,
            samples=samples,
            seed=seed,
            jobs=_n_jobs(jobs, is_many=pairs or bool(window), is_elsewhere=bool(backend)),
            backend=backend,
            scheduler=scheduler,
            store=store,
            progress=heard,
        )
    answer = in_words_of_site(answer, fabric, site_names=site_names)
    texts = {
        "text": answer.__str__,
        "md": answer.to_markdown,
        "csv": answer.to_csv,
        "json": answer.to_json,
    }
    print_form(texts, form)


def _n_jobs(given: int | None, *, is_many: bool, is_elsewhere: bool) -> int:
    """Return how many processes answer: where it is not said, one a core for what takes long, with joblib."""
    if given is not None:
        return given
    has_joblib = is_many and not is_elsewhere and importlib.util.find_spec("joblib") is not None
    return -1 if has_joblib else 1


def _rates(name: str) -> str | tuple[FailureRate, ...]:
    """Return the failure rates of standard input for ``-``; a name or a file as it is."""
    from fabric.study.failures.rates import MAX_BYTES, parse_rates

    return parse_rates(read_standard_input(limit=MAX_BYTES), "<stdin>") if name == STANDARD else name


def probe_command(
    file: File,
    suspects: Annotated[
        str, typer.Option(metavar="NAME", help="A device group or a link rule; the NICs if left out.")
    ] = "",
    part: Annotated[
        str, typer.Option(metavar="PART", help="Of its rate that the bad one still has, such as 1/2.")
    ] = "1/2",
    answers: Annotated[
        str, typer.Option(metavar="LIST", help="What the first tests have shown, such as slow,sound.")
    ] = "",
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Tell in few tests which card or cable is slow: the shortest plan, and what each test shows."""
    from fabric.study.probe import probe

    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    with progress("tests") as heard:
        answer = probe(fabric, suspects, part=part, answers=words(answers), progress=heard)
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)
