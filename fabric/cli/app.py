"""Commands: arguments, exit codes, printing. Every answer comes from the layers below.

Imports inside the commands keep ``fabtopo --help`` and ``fabtopo check`` free of solvers and plots.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

import typer

from fabric import __version__
from fabric.cli import (
    acceptance,
    collective,
    exchange,
    failing,
    parts,
    placing,
    serving,
    sharing,
    shipped,
    sizing,
    training,
)
from fabric.cli.job_files import FORMS, Form, print_in_form
from fabric.cli.options import (
    Among,
    Degraded,
    Drop,
    Failed,
    File,
    Gap,
    Json,
    MethodName,
    Over,
    PathRule,
    Root,
    SiteNames,
    errors_at_site,
    fabric_of,
    form_of,
    in_words_of_site,
    one_from_standard_input,
    path_rule,
    print_answer,
    progress,
    remarks,
    say,
    tell,
    words,
)
from fabric.errors import FabricError, QuestionError, TopologyError, command_line
from fabric.text.columns import terminal, width
from fabric.text.reading import STANDARD

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabric.arguments import Method
    from fabric.flow.traffic import TrafficPattern


class _Commands(typer.core.TyperGroup):
    """The commands, each with all of its first sentence; click cuts it off at the end of a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  of click, wherever it is
        """Write the section on the commands."""
        rows = [(name, command.get_short_help_str(limit=200)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    name="fabtopo",
    cls=_Commands,
    help="Declare, check and cost the network fabrics of GPU clusters.",
    epilog="A file is checked whole: every error with its line and column, exit status 2.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text is half the time: rich takes 0.1 s to be loaded and to draw
    context_settings={"help_option_names": ["-h", "--help"]},
)


# Typer brings its own click or depends on the package, and exports only what is derived from this class.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main() -> None:
    """Run the command line; a user's error is one message and exit status 2."""
    as_json = "--json" in sys.argv
    if sys.stdout is None:  # closed, as by >&-
        _fail(FabricError("standard output is closed"), as_json=False)
    try:
        with command_line(), remarks(), errors_at_site(), terminal(_columns()):
            status = _command()(standalone_mode=False) or 0
        sys.stdout.flush()  # a full disk is found here, where it can be told
        raise SystemExit(status)
    except _UsageError as error:
        _fail(FabricError(_usage(error, as_json=as_json)), as_json=as_json)
    except typer.Abort:
        raise SystemExit(1) from None
    except FabricError as error:
        _fail(error, as_json=as_json)
    except (BrokenPipeError, SystemExit) as stop:
        # The reader has gone, as with `| head`; nobody is left to tell. Typer makes status 1 of it.
        if not isinstance(stop.__context__ if isinstance(stop, SystemExit) else stop, BrokenPipeError):
            raise
        _drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        why = error.strerror or str(error)
        if error.filename:
            _fail(FabricError(f"{error.filename}: {why}"), as_json=as_json)
        _drop_output()
        _fail(FabricError(f"standard output: {why}"), as_json=False)


def _columns() -> int | None:
    """Return how wide the terminal is; None where output is a file or a pipe, which has no width."""
    is_terminal = sys.stdout.isatty()
    return max(40, shutil.get_terminal_size().columns) if is_terminal else width()


@functools.cache
def _command() -> Callable[..., int | None]:
    """Return the command line, made of the signatures of all commands once."""
    group = typer.main.get_command(app)
    for command in group.commands.values():  # type: ignore[attr-defined]  # Typer's own class of groups
        command.make_parser = functools.partial(_parser_of_once, command.make_parser)
    return group


def _parser_of_once(make_parser: Callable[[Any], Any], context: Any) -> Any:  # noqa: ANN401  of click, as above
    """Return a parser that refuses an option of one value given twice; click would take the last."""
    parser = make_parser(context)
    parse = parser.parse_args

    def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
        values, rest, order = parse(args=args)
        for param in dict.fromkeys(order):
            takes_one = param.param_type_name == "option" and not param.is_flag and not param.multiple
            if takes_one and order.count(param) > 1:
                msg = f"{max(param.opts, key=len)} is given {order.count(param)} times, and takes one value"
                raise _UsageError(msg, context)
        return values, rest, order

    parser.parse_args = parse_args
    return parser


def _usage(error: Exception, *, as_json: bool) -> str:
    """Return what is wrong with the options, and to people what there is."""
    fault: str = error.format_message()  # type: ignore[attr-defined]
    context: typer.Context | None = getattr(error, "ctx", None)
    about: str = getattr(getattr(error, "param", None), "help", None) or ""
    if fault.startswith("Missing option") and about:
        fault = f"{fault.rstrip('.')}: {about}"
    if as_json or context is None:
        return fault
    return f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\nError: {fault}"


def _drop_output() -> None:
    """Send what is still to be written to standard output nowhere, so that the interpreter ends in peace."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: FabricError, *, as_json: bool) -> NoReturn:
    message = str(error)
    if as_json:
        from fabric.text.as_json import to_json

        problems = error.problems if isinstance(error, TopologyError) else ()
        say(to_json({"status": "error", "message": message, "problems": problems}))
    else:
        say(message, err=True)
    raise SystemExit(2)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        say(f"fabtopo {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Topology files, *.fabric.yaml or *.fabric.json."),
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAME", help="text (if left out), json, github (annotations), or sarif."
        ),
    ] = "",
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Check topology files and what they expect; exit status 1 where it is not met, 2 where one is broken."""
    from fabric.cli.checking import FORMS as REPORTS
    from fabric.cli.checking import check_files

    one_from_standard_input(*files)
    if status := check_files(files, form_of(form, REPORTS, as_json=as_json), site_names=site_names):
        raise typer.Exit(status)


@app.command()
def show(file: File, site_names: SiteNames = False, as_json: Json = False) -> None:
    """Show the groups as a tree, capacity and oversubscription per tier, and ports."""
    from fabric.cli.text import summary_text
    from fabric.sizing.summary import summarize
    from fabric.text.as_json import to_json

    fabric = fabric_of(file, site_names=site_names)
    summary = in_words_of_site(summarize(fabric), fabric, site_names=site_names)
    say(to_json(summary)) if as_json else tell(summary_text(summary))


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Topology file.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Topology file.")],
    form: Form = "",
    as_json: Json = False,
) -> None:
    """Show what changed from one fabric to another; exit status 1 where anything did."""
    from fabric.study.changes import diff as find_changes

    one_from_standard_input(before, after)
    form = form_of(form, FORMS, as_json=as_json)
    changes = find_changes(fabric_of(before), fabric_of(after))
    print_in_form(changes, form)
    if changes.rows:
        raise typer.Exit(1)


@app.command("max-flow")
def max_flow_command(
    file: File,
    source: Annotated[
        str, typer.Option("--from", metavar="SELECTOR", help="Such as rack0 or rack0/tray0/gpu0.")
    ],
    target: Annotated[str, typer.Option("--to", metavar="SELECTOR", help="Such as rack1 or block4-7.")],
    paths: Annotated[
        str,
        typer.Option(metavar="RULE", help="rules (the file's), no-relay, or any (every device forwards)."),
    ] = "rules",
    method: MethodName = "auto",
    devices: Annotated[bool, typer.Option("--devices", help="Name the devices that the cut parts.")] = False,
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Maximum flow between two selections, with the minimum cut by link class."""
    from fabric.flow import max_flow

    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    answer = max_flow(
        fabric, source, target, paths=path_rule(paths), method=cast("Method", method), devices=devices
    )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)


Pattern = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="all-to-all, one-to-all, all-to-one, shift, halves or longest-matching."
    ),
]
Places = Annotated[int, typer.Option(help="Places along the axis, for shift.")]


@app.command("throughput")
def throughput_command(
    file: File,
    traffic: Pattern = "all-to-all",
    over: Over = "",
    among: Among = None,
    root: Root = "",
    by: Places = 1,
    paths: PathRule = "rules",
    drop_unreachable: Drop = False,
    method: MethodName = "auto",
    gap: Gap = None,
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Rate that every endpoint can send in a traffic pattern, exact at any size, and what binds it."""
    from fabric.flow.throughput import throughput
    from fabric.flow.traffic import Traffic

    pattern = Traffic(cast("TrafficPattern", traffic), words(over), root, by)
    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    answer = throughput(
        fabric,
        pattern,
        among=among,
        paths=path_rule(paths),
        method=cast("Method", method),
        drop_unreachable=drop_unreachable,
        gap=gap,
    )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)


@app.command("bottleneck")
def bottleneck_command(
    file: File,
    traffic: Pattern = "all-to-all",
    over: Over = "",
    among: Among = None,
    root: Root = "",
    by: Places = 1,
    paths: PathRule = "rules",
    drop_unreachable: Drop = False,
    method: MethodName = "auto",
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Which link class binds a traffic pattern, what widening it gains, and what binds next."""
    from fabric.flow.bottleneck import bottleneck
    from fabric.flow.traffic import Traffic

    pattern = Traffic(cast("TrafficPattern", traffic), words(over), root, by)
    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    answer = bottleneck(
        fabric,
        pattern,
        among=among,
        paths=path_rule(paths),
        method=cast("Method", method),
        drop_unreachable=drop_unreachable,
    )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)


def report(
    file: File,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Folder to write README.md and figures to.")
    ],
    html: Annotated[
        bool, typer.Option("--html", help="Write report.html too: one file, no network, to explore.")
    ] = False,
    before: Annotated[
        Path | None,
        typer.Option(
            "--diff", metavar="BEFORE", help="Tell what changed from this file; 1 where anything did."
        ),
    ] = None,
    job: Annotated[
        list[Path] | None,
        typer.Option(metavar="JOB", help="*.job.yaml or *.serve.yaml: its page; may be repeated."),
    ] = None,
    placed: Annotated[
        list[str] | None,
        typer.Option("--place", metavar="JOB", help="NODES/SEGMENT: where it fits; may be repeated."),
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="TIME", help="What failures leave over it, drawn at random, such as 30d.")
    ] = "",
    built: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMAT=SOURCE",
            help="Cables as found, such as lldp=x.json: what differs; may be repeated.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds what no report wrote.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a fabric: Markdown and SVG, the same bytes on every run."""
    from fabric.reporting.sheet import require_pen

    require_pen()  # before all that a report needs is loaded
    from fabric.reporting import report as write

    if str(out) == STANDARD:
        msg = "out: a report is a folder of files; name one"
        raise QuestionError(msg)
    form, sources = _built(built or [])
    if before is not None and (job or placed or window or sources):
        msg = "diff: a page on what changed has no --job, --place, --window or --built; ask for two reports"
        raise QuestionError(msg)
    if before is not None:
        _report_changes(before, file, out, html=html, force=force, as_json=as_json)
        return
    fabric = fabric_of(file)
    with progress("report") as heard:
        page = write(
            fabric,
            out,
            html=html,
            jobs=job or (),
            places=placed or (),
            window=window,
            built=sources,
            form=form,
            progress=heard,
            force=force,
        )
    _say_written(page, as_json=as_json)


def _built(sources: list[str]) -> tuple[str, list[Path]]:
    """Return the format and the files of cables as they were found; all have one."""
    split = [source.partition("=") for source in sources]
    forms = list(dict.fromkeys(form for form, _, _ in split))
    if len(forms) > 1 or not all(form and path for form, _, path in split):
        msg = f"built: FORMAT=SOURCE, of one format, such as lldp=x.json; got {', '.join(sources)}"
        raise QuestionError(msg)
    return "".join(forms), [Path(path) for _, _, path in split]


def _report_changes(before: Path, after: Path, out: Path, *, html: bool, force: bool, as_json: bool) -> None:
    """Write the page on what changed; exit status 1 where anything did."""
    from fabric.reporting.page import write_changes
    from fabric.study.changes import diff as find_changes

    one_from_standard_input(before, after)
    old, new = fabric_of(before), fabric_of(after)
    changes = find_changes(old, new)
    _say_written(write_changes(old, new, changes, out, html=html, force=force), as_json=as_json)
    if changes.rows:
        raise typer.Exit(1)


def _say_written(page: Path, *, as_json: bool) -> None:
    from fabric.text.as_json import to_json

    files = sorted(str(f) for f in page.parent.iterdir() if f.is_file())
    say(to_json({"status": "ok", "report": str(page), "files": files}) if as_json else f"wrote {page}")


def schema(
    job: Annotated[bool, typer.Option("--job", help="That of a job file.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="That of a serving job.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The schema is JSON in any case.")] = False,
) -> None:
    """Print the JSON Schema (draft-07) of a topology file, of a job file or of a serving job, for editors."""
    from fabric.blueprint.schema import schema_text
    from fabric.workload.job_file import job_schema_text
    from fabric.workload.serving_job import serving_schema_text

    del as_json
    if job and serve:
        msg = "job, serve: one schema at a time"
        raise QuestionError(msg)
    text = job_schema_text() if job else serving_schema_text() if serve else schema_text()
    say(text, nl=False)


# In the order of docs/cli.md, as --help lists them.
collective.register(app)
acceptance.register(app)
failing.register(app)
placing.register(app)
training.register(app)
sharing.register(app)
serving.register(app)
sizing.register(app)
exchange.register(app)
app.command()(report)
parts.register(app)
shipped.register(app)
app.command()(schema)
