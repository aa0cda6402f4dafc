"""The command about several jobs at once."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from fabric.cli.options import (
    Degraded,
    Drop,
    Failed,
    File,
    Json,
    PathRule,
    SiteNames,
    calibration_of,
    fabric_of,
    path_rule,
    print_answer,
)


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("share")(share_command)


def share_command(
    file: File,
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB...",
            help="NAME=SELECTOR, then after colons a pattern, over=AXES, by=N, busy=PART, every=TIME; or job "
            "files: FILE, NAME=FILE, NAME=SELECTOR:FILE.",
        ),
    ],
    fair: Annotated[
        str, typer.Option(metavar="NAME", help="rate, or slowdown: the part that each has of its rate alone.")
    ] = "rate",
    paths: PathRule = "rules",
    drop_unreachable: Drop = False,
    routing: Annotated[str, typer.Option(metavar="NAME", help="Of job files, as in train.")] = "ecmp",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="Of job files: measured, wire, or a file.")
    ] = "measured",
    failed: Failed = None,
    degraded: Degraded = None,
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Rates of jobs that run at once, max-min fair and proven, and the best offset of what comes and goes."""
    from fabric.workload.share import share
    from fabric.workload.sharing import Fair

    fabric = fabric_of(file, failed, degraded, site_names=site_names)
    answer = share(
        fabric,
        jobs,
        fair=cast("Fair", fair),
        paths=path_rule(paths),
        drop_unreachable=drop_unreachable,
        routing=routing,  # type: ignore[arg-type]  # the verb refuses others
        calibration=calibration_of(calibration),
    )
    print_answer(answer, fabric, as_json=as_json, site_names=site_names)
