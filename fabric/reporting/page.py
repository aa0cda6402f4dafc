"""The report of a fabric: a Markdown page and its figures, written as a whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fabric.arguments import checked
from fabric.graph import Fabric
from fabric.reporting.answers import Answers, JobAnswers, Progress, ask
from fabric.reporting.billing import bill_notes, bill_table, billing, has_picture
from fabric.reporting.collectives import details, grounds_of, told
from fabric.reporting.document import PROVENANCE, Block, Folded, Page, Picture, Section
from fabric.reporting.evidence import assumptions, provenance, sources, unsure
from fabric.reporting.failing import failing, failing_table
from fabric.reporting.figures import staircase, wiring
from fabric.reporting.growing import curve, curve_table, pareto, pareto_table
from fabric.reporting.racks import lengths_table, rack_rows, racks, racks_table
from fabric.reporting.results import SUMMARIZED, changes, flows, headlines, spread
from fabric.reporting.sheet import require_pen
from fabric.reporting.sizes import algorithm_map, regime_table
from fabric.reporting.staircase import staircase_title
from fabric.reporting.tables import cables, devices, media, oversubscription, ports
from fabric.reporting.tornado import tornado, tornado_table
from fabric.reporting.waterfall import waterfall, waterfall_table
from fabric.reporting.ways import by_kind, by_nobody
from fabric.reporting.wiring import wiring_title
from fabric.sizing.bill import Bom
from fabric.sizing.summary import Summary, summarize
from fabric.text.folder import write_folder
from fabric.text.markdown import code


@checked
def report(fabric: Fabric, out: str | Path, *, progress: Progress | None = None, force: bool = False) -> Path:
    """Write the report of a fabric.

    Parameters
    ----------
    fabric : Fabric
        Read from a file. Without endpoints, or too large for the solvers, it still gets its tables and
        figures, and the page says what is missing and why.
    out : str or Path
        Folder for ``README.md``, ``staircase.svg`` and ``wiring.svg``; made if need be. Where there are
        several groups of endpoints, each has its own, such as ``staircase-lpu.svg`` and ``wiring-lpu.svg``,
        and ``wiring.svg`` has the rest. The files are the same bytes on every run.
    progress : callable, optional
        Given the steps done and all steps.
    force : bool
        Write into a folder that holds what no report wrote; all but a file of the same name stays.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    QuestionError
        If the fabric came from a graph.
    ExtraError
        If matplotlib is not installed; nothing is solved or written then.
    FileError
        If the folder cannot be written, or holds what no report wrote; all is as it was then.
    """
    require_pen()
    page = compose(fabric, progress or (lambda done, total: None))
    files = {picture.name: picture.svg for picture in page.pictures}
    write_folder(out, {**files, "README.md": page.to_markdown()}, is_ours=_is_ours, force=force)
    return Path(out) / "README.md"


# The files that `compose` names, and the command that is on every page.
_FIGURE = re.compile(
    r"(?:staircase|wiring|upgrades|time|algorithms|failures|sizes|designs|bill|racks)(?:-[^/]*)?\.svg"
)
_COMMAND = b"`fabtopo report "


def _is_ours(file: Path) -> bool:
    """Return whether an earlier report wrote a file."""
    if file.is_symlink() or not file.is_file():
        return False
    if file.name == "README.md":
        return _COMMAND in file.read_bytes()
    return _FIGURE.fullmatch(file.name) is not None


def compose(fabric: Fabric, progress: Progress) -> Page:
    """Return the report: its sections, with their pictures."""
    summary = summarize(fabric)
    answers = ask(fabric, summary, progress)
    return Page(
        fabric.name,
        (
            Section("Summary", (headlines(fabric, summary, answers),)),
            Section("Bandwidth per tier", tuple(_bandwidth(summary))),
            Section("All-to-all", tuple(_spread(answers, summary))),
            Section("Collectives", tuple(_collectives(answers))),
            Section("What a failure leaves", tuple(_failing(answers))),
            Section("Other sizes and designs", tuple(_growing(answers))),
            Section("To buy", tuple(_billing(answers.bill))),
            Section("Devices, wiring and racks", tuple(_wiring(fabric, summary, answers.bill))),
            Section("Maximum flow", (flows(answers),)),
            Section("Assumptions and notes", tuple(_assumed(fabric, summary))),
            Section("What would change the answer", (changes(fabric, answers),)),
            Section(PROVENANCE, (provenance(fabric, answers),)),
        ),
    )


def _name(picture: str, job: JobAnswers) -> str:
    """Return the file of a picture of one group of endpoints."""
    return f"{picture}-{job.among}.svg" if job.among else f"{picture}.svg"


def _bandwidth(summary: Summary) -> Iterator[Block]:
    kinds = by_kind(summary)
    parts = {f"staircase-{kind}.svg": part for kind, part in kinds.items()}
    for name, part in (parts if len(kinds) > 1 else {"staircase.svg": summary}).items():
        yield Picture(name, staircase_title(part), staircase(part))
    yield cables(summary)
    yield oversubscription(summary)
    yield Folded("Networks and media", media(summary) if summary.links else "")


def _spread(answers: Answers, summary: Summary) -> Iterator[Block]:
    yield spread(answers)
    links = {link.name: link for link in summary.links}
    for job in answers.jobs:
        if job.prices is not None and job.prices.binding:
            yield tornado(_name("upgrades", job), job.prices)
            yield tornado_table(job.prices, answers.bill, links)


def _collectives(answers: Answers) -> Iterator[Block]:
    for i, job in enumerate(job for job in answers.jobs if job.costs):
        yield f"### Among {code(job.among)}" if job.among else ""
        yield told(job, is_first=not i)
        for name in SUMMARIZED:
            cost = job.at_reference(name)
            if cost is not None and cost.status != "cut off":
                yield waterfall(_name(f"time-{name}", job), cost)
                yield waterfall_table(cost)
        if any(costs[0].status != "cut off" for costs in job.costs.values()):
            yield algorithm_map(_name("algorithms", job), job)
            yield regime_table(job)
        yield grounds_of(job)
        yield from details(job)
    yield answers.say_missing("collectives")


def _failing(answers: Answers) -> Iterator[Block]:
    if answers.failing is not None:
        yield failing("failures.svg", answers.failing)
        yield failing_table(answers.failing)
    yield answers.say_missing("failures")


def _growing(answers: Answers) -> Iterator[Block]:
    growth = answers.growth
    if growth is not None and growth.built:
        yield curve("sizes.svg", growth)
        yield curve_table(growth)
        if len(growth.designs) > 1 and all(d.cost_usd for d in growth.designs):
            yield pareto("designs.svg", growth)
        if growth.designs:
            yield pareto_table(growth)
    yield answers.say_missing("growth")


def _billing(bill: Bom) -> Iterator[Block]:
    if has_picture(bill):
        yield billing("bill.svg", bill)
    yield bill_table(bill)
    yield Folded("Cables by length", lengths_table(bill))
    yield Folded("Where power and prices are from, and what was assumed", bill_notes(bill))


def _wiring(fabric: Fabric, summary: Summary, bill: Bom) -> Iterator[Block]:
    kinds = by_kind(summary)
    parts = {"wiring.svg": summary}
    if len(kinds) > 1:
        parts = {f"wiring-{kind}.svg": part for kind, part in kinds.items()}
        unreached = by_nobody(summary)
        parts |= {"wiring.svg": unreached} if unreached.groups else {}
    for name, part in parts.items():
        yield Picture(name, wiring_title(part), wiring(part))
    yield _ONE_EACH if len(kinds) > 1 else ""
    yield devices(summary)
    yield Folded("Ports, used and free", ports(fabric, summary))
    rows = rack_rows(fabric, bill)
    if rows:
        yield racks("racks.svg", fabric, bill)
        yield racks_table(rows)


def _assumed(fabric: Fabric, summary: Summary) -> Iterator[Block]:
    yield assumptions(fabric, summary)
    yield Folded("Figures that no vendor document states", unsure(fabric))
    yield Folded("Sources of every figure of the catalogue in use", sources(fabric))


_ONE_EACH = (
    "One figure for each kind of endpoints, with the rules that they use among themselves, and one for the "
    "rules that none uses so."
)
