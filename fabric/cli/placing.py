"""The command about placement: who fits, and what the best and the worst placement is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fabric.cli.options import (
    Among,
    Degraded,
    Failed,
    File,
    Force,
    Json,
    SiteNames,
    calibration_of,
    fabric_of,
    form_of,
    in_words_of_site,
    one_from_standard_input,
    print_form,
    progress,
    words,
)

if TYPE_CHECKING:
    from fabric.workload.nodes import ClusterNodes


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command("place")(place_command)


def place_command(
    file: File,
    jobs: Annotated[
        list[str] | None,
        typer.Argument(metavar="JOB...", help="NODES/SEGMENT or NAME=NODES/SEGMENT, first ones first."),
    ] = None,
    down: Annotated[
        list[str] | None,
        typer.Option(metavar="SELECTOR", help="Nodes that are down, such as rack3/tray2; may be repeated."),
    ] = None,
    segment: Annotated[
        int, typer.Option(metavar="NODES", help="That may not leave a block, of jobs that say nothing.")
    ] = 1,
    unavailability: Annotated[
        float, typer.Option(metavar="PART", help="Of its time that a node is down.")
    ] = 0.01,
    availability: Annotated[
        float, typer.Option(metavar="PART", help="Of the time that spares suffice.")
    ] = 0.999,
    among: Among = None,
    node: Annotated[str, typer.Option(metavar="AXES", help="What say a node, such as rack,tray.")] = "",
    block: Annotated[str, typer.Option(metavar="AXES", help="What say a block, such as rack.")] = "",
    collective: Annotated[
        str, typer.Option(metavar="NAME", help="By which placements are ranked, among all of a job.")
    ] = "all-reduce",
    size: Annotated[str, typer.Option(metavar="SIZE", help="Of the collective.")] = "1GiB",
    calibration: Annotated[
        str, typer.Option(metavar="NAME", help="measured, wire, nccl, or a file.")
    ] = "measured",
    job: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="*.job.yaml: time its step in each placement."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the segment curve there, as SVG.")
    ] = None,
    force: Force = False,
    failed: Failed = None,
    degraded: Degraded = None,
    form: Annotated[
        str, typer.Option("--format", help="text (if left out), md, csv, slurm, slurm-block, kueue or json.")
    ] = "",
    site_names: SiteNames = False,
    as_json: Json = False,
) -> None:
    """Which jobs fit with nodes down, their best and worst placement, and what of racks segments can use."""
    from fabric.workload import load_job
    from fabric.workload.nodes import nodes_of
    from fabric.workload.place import place
    from fabric.workload.scheduling import kueue_jobs, slurm_blocks

    form = form_of(form, ("text", "md", "csv", "slurm", "slurm-block", "kueue", "json"), as_json=as_json)
    one_from_standard_input(file, calibration)
    known, fabric = calibration_of(calibration), fabric_of(file, failed, degraded, site_names=site_names)
    workload = None if job is None else load_job(job)
    with progress("place") as heard:
        answer = place(
            fabric,
            jobs or (),
            down=down or (),
            segment=segment,
            unavailability=unavailability,
            availability=availability,
            among=among,
            node=words(node),
            block=words(block),
            collective=collective,
            size=size,
            calibration=known,
            workload=workload,
            progress=heard,
        )
    if figure is not None:
        from fabric.reporting.segments import segment_curve
        from fabric.text.writing import write_file

        write_file(figure, segment_curve(answer), force=force)

    def nodes() -> ClusterNodes:
        return nodes_of(fabric, among=among, node=words(node), block=words(block), down=down or ())

    answer = in_words_of_site(answer, fabric, site_names=site_names)
    texts = {
        "text": answer.__str__,
        "md": answer.to_markdown,
        "csv": answer.to_csv,
        "slurm": answer.to_slurm,
        "slurm-block": lambda: slurm_blocks(nodes()),
        "kueue": lambda: kueue_jobs(answer, nodes()),
        "json": answer.to_json,
    }
    print_form(texts, form)
