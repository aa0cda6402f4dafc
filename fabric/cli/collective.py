"""Commands about collectives: what they cost, what bounds them, and how logs compare."""

from __future__ import annotations

import contextlib
import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fabric.cli.options import (
    Among,
    Degraded,
    Drop,
    Failed,
    File,
    Force,
    Json,
    Over,
    PathRule,
    Root,
    SiteNames,
    calibration_of,
    fabric_of,
    one_from_standard_input,
    path_rule,
    print_answer,
    progress,
    say,
    tell,
    words,
)
from fabric.errors import QuestionError, UnitError, option
from fabric.text.reading import STANDARD, read_standard_input
from fabric.text.writing import write_file
from fabric.units import parse_count, parse_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fabric.interop.nccl_tests import Log
    from fabric.job.question import JobOptions
    from fabric.results import Result
    from fabric.schedule.algorithms import Moe

Collective = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="all-reduce, all-gather, reduce-scatter, broadcast, reduce, all-to-all, gather, scatter or "
        "send-recv; with --moe dispatch or combine.",
    ),
]
Algorithm = Annotated[
    str,
    typer.Option(metavar="NAME", help="auto, all, or a name such as ring, tree, hierarchical, nvls, pxn."),
]
Ranks = Annotated[
    str,
    typer.Option(metavar="LIST", help="Devices in the order of the ranks, with commas, instead of --among."),
]
Order = Annotated[
    str,
    typer.Option(metavar="MAP", help="Such as '(pod rack slot) -> (dp tp=8)'; --over then names dp or tp."),
]
RoutingName = Annotated[
    str, typer.Option(metavar="NAME", help="ecmp, ideal, hashed, adaptive, rail (with PXN) or rail-direct.")
]
Reduces = Annotated[
    str,
    typer.Option(
        metavar="NETS", help="Networks whose switches reduce: scale-up, scale-out (SHARP), or none."
    ),
]
CalibrationName = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="measured (what a run will show), nccl, wire (no overheads) or a file."
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="PART",
        help="Part of the predicted busbw that a run must reach; left out, what healthy ones reached.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("bound")(bound_command)
    app.command("cost")(cost_command)
    app.command("compare")(compare_command)
    app.command("calibrate")(calibrate_command)


def _options(
    over: str, among: str | None, ranks: str, order: str, routing: str, reduces: str = "scale-up"
) -> JobOptions:
    options: dict[str, object] = {
        "over": words(over),
        "ranks": words(ranks),
        "order": order,
        "routing": routing,
        "reduces": () if reduces == "none" else words(reduces),
    }
    return cast("JobOptions", options if among is None else {**options, "among": among})


def cost_command(
    file: File,
    collective: Collective,
    size: Annotated[
        str,
        typer.Option(metavar="BYTES", help="Such as 1GiB, or 1KiB..16GiB for a table, as nccl-tests counts."),
    ] = "1GiB",
    algorithm: Algorithm = "auto",
    over: Over = "",
    among: Among = None,
    ranks: Ranks = "",
    order: Order = "",
    routing: RoutingName = "ecmp",
    reduces: Reduces = "scale-up",
    drop_unreachable: Drop = False,
    queue_pairs: Annotated[int, typer.Option(help="Queue pairs of every pair, for hashed routing.")] = 1,
    spraying: Annotated[
        str,
        typer.Option(
            metavar="PART", help="Efficiency of adaptive routing: spectrum-x, multi-plane, or 0 to 1."
        ),
    ] = "spectrum-x",
    calibration: CalibrationName = "measured",
    factor: Annotated[int, typer.Option(help="From one size of a table to the next.")] = 2,
    threshold: Threshold = None,
    moe: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="tokens=4096,hidden=7168,top_k=8,experts=256,bytes=1[,groups=8,max_groups=4].",
        ),
    ] = "",
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Time, algbw and busbw of a collective, what binds it, and how far it is from the best possible."""
    from fabric.costing import Spread, cost, moe_cost, sweep

    one_from_standard_input(file, calibration)
    is_moe, is_table = bool(moe) or collective in ("dispatch", "combine"), ".." in size
    _refuse_uncounted(
        {
            "queue_pairs": (
                queue_pairs != 1,
                routing == "hashed" and calibration != "nccl",
                "hashed routing",
            ),
            "spraying": (
                spraying != "spectrum-x",
                routing == "adaptive" and calibration != "nccl",
                "adaptive routing",
            ),
            "factor": (factor != 2, is_table, "a range of sizes, such as 1KiB..1GiB"),
            "threshold": (threshold is not None, is_table, "a range of sizes, such as 1KiB..1GiB"),
            "size": (size != "1GiB", not is_moe, "what is no mixture of experts, whose tokens say it"),
        }
    )
    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    loaded = calibration_of(calibration)
    options = _options(over, among, ranks, order, routing, reduces)
    options["drop_unreachable"] = drop_unreachable
    spread = Spread(queue_pairs, _number(spraying))
    with progress("routing") as heard:
        if is_moe:
            layer = _moe(moe)
            answer: Result = moe_cost(
                fabric,
                collective,
                layer,
                algorithm=algorithm,
                calibration=loaded,
                spread=spread,
                **options,
            )
        elif is_table:
            answer = sweep(
                fabric,
                collective,
                size,
                factor=factor,
                threshold=threshold,
                algorithm=algorithm,
                calibration=loaded,
                spread=spread,
                progress=heard,
                **options,
            )
        else:
            answer = cost(
                fabric,
                collective,
                size,
                algorithm=algorithm,
                calibration=loaded,
                spread=spread,
                progress=heard,
                **options,
            )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)


def _refuse_uncounted(options: Mapping[str, tuple[bool, bool, str]]) -> None:
    """Refuse options that were given and would not count.

    Parameters
    ----------
    options : mapping of str to (bool, bool, str)
        By argument: whether it was given, whether it counts, and of what it says something.
    """
    for argument, (is_given, counts, subject) in options.items():
        if is_given and not counts:
            msg = (
                f"{option(argument)}: says something of {subject} alone, which is not asked for; leave it out"
            )
            raise QuestionError(msg)


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _moe(text: str) -> Moe:
    """Return the mixture of experts that a list of names and values describes.

    Raises
    ------
    QuestionError
        If a name is unknown or missing, or a value is no positive number.
    """
    from fabric.schedule.algorithms import Moe

    names = {
        "tokens": "tokens",
        "hidden": "hidden",
        "top_k": "top_k",
        "experts": "n_experts",
        "bytes": "bytes_per_value",
        "groups": "n_groups",
        "max_groups": "max_groups",
    }
    fields: dict[str, float | str] = {}
    for word in words(text):
        name, _, value = (part.strip() for part in word.partition("="))
        if (name, value) in (("choice", "uniform"), ("choice", "balanced")):
            fields[name] = value
            continue
        number = math.nan
        with contextlib.suppress(UnitError):
            number = parse_number(value) if name == "bytes" else parse_count(value)
        if name not in names or not 0 < number < math.inf:
            msg = (
                f"moe: {word!r} is not one of {', '.join(names)} with a positive number, nor choice=balanced"
            )
            raise QuestionError(msg)
        if names[name] in fields:
            msg = f"moe: {name} stands twice in {text!r}"
            raise QuestionError(msg)
        fields[names[name]] = number
    missing = [n for n in ("tokens", "hidden", "top_k", "experts", "bytes") if names[n] not in fields]
    if missing:
        form = "tokens=4096,hidden=7168,top_k=8,experts=256,bytes=1"
        msg = f"moe: {', '.join(missing)} missing; write such as {form}"
        raise QuestionError(msg)
    return Moe(**fields)  # type: ignore[arg-type]


def bound_command(
    file: File,
    collective: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="all-gather, reduce-scatter, all-reduce, broadcast, reduce or all-to-all."
        ),
    ],
    size: Annotated[
        str, typer.Option(metavar="BYTES", help="Such as 1GiB, as nccl-tests counts them.")
    ] = "1GiB",
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cut; chunks, by whole chunks and latency; for all-to-all also tub or path-length.",
        ),
    ] = "cut",
    chunks: Annotated[int, typer.Option(help="Chunks of every rank, for --kind chunks.")] = 1,
    latency: Annotated[
        str, typer.Option(metavar="TIME", help="Of every link, such as 0.5us, for --kind chunks.")
    ] = "0us",
    over: Over = "",
    among: Among = None,
    root: Root = "",
    paths: PathRule = "rules",
    reduces: Reduces = "scale-up,scale-out",
    drop_unreachable: Drop = False,
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Bound a collective: what no algorithm can beat on this fabric."""
    from fabric.bounds.bound import bound
    from fabric.bounds.chunks import chunk_bound

    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    if kind == "chunks":
        if over:
            msg = "bounds by whole chunks are of one group: leave over out"
            raise QuestionError(msg)
        if drop_unreachable:
            msg = "bounds by whole chunks leave out nobody: choose ranks with --among"
            raise QuestionError(msg)
        by_chunks = chunk_bound(
            fabric,
            collective,
            size,
            n_chunks=chunks,
            latency=latency,
            among=among,
            root=root,
            paths=path_rule(paths),
        )
        print_answer(by_chunks, fabric, as_json=as_json, site_names=site_names)
        return
    for name, is_given in (("chunks", chunks != 1), ("latency", latency != "0us")):
        if is_given:
            msg = f"{name}: kind {kind} does not count in it; leave it out, or say --kind chunks"
            raise QuestionError(msg)
    answer = bound(
        fabric,
        collective,
        size,
        kind=kind,
        over=words(over),
        among=among,
        root=root,
        paths=path_rule(paths),
        reduces=cast("Any", () if reduces == "none" else words(reduces)),
        drop_unreachable=drop_unreachable,
    )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)


LogFile = Annotated[Path, typer.Argument(metavar="LOG", help="Output of nccl-tests or rccl-tests.")]
LogCollective = Annotated[
    str | None, typer.Option("--collective", metavar="NAME", help="What the log is of, if it does not say.")
]


def _log(log: Path, collective: str | None) -> tuple[Log, ...]:
    """Return the runs of a log, or of standard input for ``-``."""
    from fabric.interop.nccl_tests import MAX_BYTES, decode_log, read_log

    if str(log) == STANDARD:
        return decode_log(read_standard_input(limit=MAX_BYTES), "<stdin>", collective=collective)
    return read_log(log, collective=collective)


def compare_command(
    log: LogFile,
    file: File,
    collective: LogCollective = None,
    over: Over = "",
    among: Among = None,
    ranks: Ranks = "",
    order: Order = "",
    routing: RoutingName = "ecmp",
    calibration: CalibrationName = "measured",
    threshold: Threshold = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Take the columns in place.")] = False,
    as_json: Json = False,
) -> None:
    """Hold a log of nccl-tests against the model; exit status 1 where it does not reach what it must."""
    from fabric.study.logs import compare_logs
    from fabric.text.as_json import to_json

    one_from_standard_input(log, file, calibration)
    fabric = fabric_of(file)
    loaded = calibration_of(calibration)
    comparisons = compare_logs(
        _log(log, collective),
        fabric,
        threshold=threshold,
        in_place=in_place,
        calibration=loaded,
        **_options(over, among, ranks, order, routing),
    )
    if as_json:
        say(to_json({"runs": [comparison.to_dict() for comparison in comparisons]}))
    else:
        tell("\n\n".join(str(comparison) for comparison in comparisons))
    if not all(comparison.is_passed for comparison in comparisons):
        raise typer.Exit(1)


def calibrate_command(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Output of nccl-tests or rccl-tests.")],
    file: Annotated[
        Path, typer.Option("--on", metavar="FILE", help="Topology file of the fabric that the logs are of.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Calibration to write; left out or -, it is printed."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the calibration.")] = "fitted",
    collective: LogCollective = None,
    algorithm: Algorithm = "auto",
    over: Over = "",
    among: Among = None,
    ranks: Ranks = "",
    order: Order = "",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit a calibration to logs of nccl-tests: one value for each class of links and kind of transfer."""
    from fabric.costing.calibration import calibration_text
    from fabric.study.logs import calibrate, describe
    from fabric.text.as_json import to_json

    one_from_standard_input(*logs, file)
    runs = [run for log in logs for run in _log(log, collective)]
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    calibration, fitted = calibrate(
        runs,
        fabric_of(file),
        name=name,
        date=today,
        algorithm=algorithm,
        **_options(over, among, ranks, order, "ecmp"),
    )
    text = calibration_text(calibration)
    is_written = out is not None and str(out) != STANDARD
    if out is not None and is_written:
        write_file(out, text, force=force)
    if as_json:
        say(to_json({"calibration": text, "fitted": describe(fitted).split("\n"), "file": str(out or "")}))
    elif not is_written:
        say(text, nl=False)
        say(describe(fitted), err=True)
    else:
        tell(f"{describe(fitted)}\nwrote {out}")
