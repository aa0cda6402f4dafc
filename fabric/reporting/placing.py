"""Where jobs fit: who fits beside whom, and what of the nodes segments of each size can use."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.reporting.document import Block, Folded, Picture
from fabric.reporting.given import GivenAnswers
from fabric.reporting.segments import segment_curve, segment_title
from fabric.text.markdown import table


def placing(given: GivenAnswers) -> Iterator[Block]:
    """Yield the segment curve with its table, and the jobs that were to be placed."""
    found = given.placements
    if found is None:
        return
    head, _, *jobs = found.to_markdown().strip().split("\n\n")
    yield head
    yield Picture("segments.svg", segment_title(found), segment_curve(found))
    yield (
        "The nodes of a segment may not leave a block, as in Slurm's `--segment`. That each node is down for "
        f"{100 * found.unavailability:.3g} % of the time, independently of the others, is assumed; "
        "`fabtopo place --unavailability` asks with another part."
    )
    rows = [
        [f"{row.segment:,}", f"{100 * row.expected:.2f} %", f"{100 * row.now:.2f} %"] for row in found.curve
    ]
    yield Folded("What segments of each size can use", table([">Segment", ">On average", ">Now"], rows))
    yield from jobs
