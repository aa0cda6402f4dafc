"""The report of a fabric: a Markdown page and its figures, written as a whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fabric.arguments import checked
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.reporting.answers import Answers, JobAnswers, Progress, ask
from fabric.reporting.billing import bill_notes, bill_table, billing, has_picture
from fabric.reporting.built import audited
from fabric.reporting.changes_page import changes_page
from fabric.reporting.collectives import cut_off_of, details, grounds_of, told
from fabric.reporting.document import PROVENANCE, Block, Folded, Page, Picture, Section
from fabric.reporting.evidence import assumptions, provenance, sources, unsure
from fabric.reporting.explorer import topology
from fabric.reporting.failing import failing, failing_table, hit_lines, life_lines, life_table, spots_table
from fabric.reporting.figures import staircase, wiring
from fabric.reporting.given import NOTHING, Given, read_given
from fabric.reporting.growing import curve, curve_table, pareto, pareto_table, size_rows
from fabric.reporting.html import page_html, require_parser
from fabric.reporting.placing import placing
from fabric.reporting.racks import lengths_table, orders_table, rack_rows, racks, racks_table
from fabric.reporting.results import SUMMARIZED, changes, flows, headlines, spread
from fabric.reporting.sheet import require_pen
from fabric.reporting.sizes import algorithm_map, regime_table
from fabric.reporting.staircase import staircase_title
from fabric.reporting.tables import cables, devices, media, oversubscription, ports
from fabric.reporting.tornado import tornado, tornado_table
from fabric.reporting.waterfall import waterfall, waterfall_table
from fabric.reporting.ways import by_kind, by_nobody
from fabric.reporting.window import window_blocks
from fabric.reporting.wiring import wiring_title
from fabric.reporting.workloads import jobs as job_pages
from fabric.sizing.bill import Bom
from fabric.sizing.summary import Summary, summarize
from fabric.study.changes import Changes, diff
from fabric.text.folder import write_folder
from fabric.text.markdown import code


@checked
def report(
    fabric: Fabric,
    out: str | Path,
    *,
    html: bool = False,
    before: Fabric | None = None,
    jobs: Sequence[str | Path] = (),
    places: Sequence[str] = (),
    window: str = "",
    built: Sequence[str | Path] = (),
    form: str = "",
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Write the report of a fabric, or of what changed to it from another.

    Parameters
    ----------
    fabric : Fabric
        Read from a file. Without endpoints, or too large for the solvers, it still gets its tables and
        figures, and the page says what is missing and why.
    out : str or Path
        Folder for ``README.md`` and its pictures, such as ``staircase.svg``; made if need be. Where there are
        several groups of endpoints, each has its own, such as ``staircase-lpu.svg``, and ``wiring.svg`` has
        the rest. The files are the same bytes on every run.
    html : bool
        Write ``report.html`` too: the same page as one file that needs no network, with the topology to
        explore.
    before : Fabric, optional
        Tell what changed from this one alone, as `fabric.diff` finds it; with nothing of the next five.
    jobs : sequence of str or Path
        Job files, ``*.job.yaml`` and ``*.serve.yaml``: what each takes on this fabric, whichever it names.
    places : sequence of str
        Jobs to be placed, ``"NODES/SEGMENT"`` and as else `fabric.place` reads them.
    window : str
        Such as ``"30d"``: what is there of all-to-all over it, drawn at random by the rates of the parts.
    built : sequence of str or Path
        Cables as they were found; what differs from the fabric, as `fabric.audit` finds it.
    form : str
        Format of those, such as ``"lldp"``.
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
        If the fabric came from a graph, or what is given beside it does not go together.
    ExtraError
        If matplotlib, or for HTML markdown-it-py, is not installed; nothing is solved or written then.
    FileError
        If the folder cannot be written, or holds what no report wrote; all is as it was then.
    """
    require_pen()
    if html:
        require_parser()
    given = read_given(jobs, places, window=window, built=built, form=form)
    if before is not None:
        if given != NOTHING:
            msg = (
                "before: a page on what changed has no jobs, places, window or built; give one or the others"
            )
            raise QuestionError(msg)
        return write_changes(before, fabric, diff(before, fabric), out, html=html, force=force)
    summary = summarize(fabric)
    answers = ask(fabric, summary, progress or (lambda done, total: None), given)
    sizes = size_rows(answers.growth) if html and answers.growth else []
    explored = topology(fabric, summary, answers) if html else None
    files = _files(compose(fabric, summary, answers, given), explored, sizes, is_html=html)
    return _write(files, out, force=force)


def write_changes(
    before: Fabric, after: Fabric, changes: Changes, out: str | Path, *, html: bool, force: bool
) -> Path:
    """Write the page on changes that are known, as `report` does, and return it."""
    require_pen()
    if html:
        require_parser()
    return _write(_files(changes_page(before, after, changes), is_html=html), out, force=force)


def _write(files: dict[str, str], out: str | Path, *, force: bool) -> Path:
    write_folder(out, files, is_ours=_is_ours, force=force)
    return Path(out) / "README.md"


PAGE = "report.html"


def _files(
    page: Page,
    explored: dict[str, object] | None = None,
    sizes: Sequence[object] = (),
    *,
    is_html: bool,
) -> dict[str, str]:
    """Return the text of every file of a page, by name."""
    files = {picture.name: picture.svg for picture in page.pictures}
    files["README.md"] = page.to_markdown()
    return files | ({PAGE: page_html(page, explored, sizes)} if is_html else {})


# The files that `compose` names, and the command that is on every page.
_FIGURE = re.compile(
    r"(?:staircase|wiring|upgrades|time|algorithms|failures|sizes|designs|bill|racks"
    r"|step|heat|load|segments|window)(?:-[^/]*)?\.svg"
)
_COMMAND = b"`fabtopo report "


def _is_ours(file: Path) -> bool:
    """Return whether an earlier report wrote a file."""
    if file.is_symlink() or not file.is_file():
        return False
    if file.name == "README.md":
        return _COMMAND in file.read_bytes()
    if file.name == PAGE:
        return _COMMAND.strip(b"`") in file.read_bytes()
    return _FIGURE.fullmatch(file.name) is not None


def compose(fabric: Fabric, summary: Summary, answers: Answers, given: Given = NOTHING) -> Page:
    """Return the report: its sections, with their pictures."""
    return Page(
        fabric.name,
        (
            Section("Summary", (headlines(fabric, summary, answers),)),
            Section("Bandwidth per tier", tuple(_bandwidth(summary))),
            Section("All-to-all", tuple(_spread(answers, summary))),
            Section("Collectives", tuple(_collectives(answers))),
            Section("Jobs", (*job_pages(answers.given), answers.say_missing("jobs"))),
            Section("Where jobs fit", (*placing(answers.given), answers.say_missing("places"))),
            Section("What a failure leaves", tuple(_failing(answers))),
            Section("Other sizes and designs", tuple(_growing(answers))),
            Section("To buy", tuple(_billing(answers.bill))),
            Section("Devices, wiring and racks", tuple(_wiring(fabric, summary, answers.bill))),
            Section("What was built", (*audited(answers.given), answers.say_missing("built"))),
            Section("Maximum flow", (flows(answers),)),
            Section("Assumptions and notes", tuple(_assumed(fabric, summary))),
            Section("What would change the answer", (changes(fabric, answers),)),
            Section(PROVENANCE, (provenance(fabric, answers, given),)),
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
        first = next(iter(job.costs.values()))[0]
        if first.status == "cut off":
            yield f"No collective ends: {cut_off_of(first)}."
            continue
        for name in SUMMARIZED:
            cost = job.at_reference(name)
            if cost is not None:
                yield waterfall(_name(f"time-{name}", job), cost)
                yield waterfall_table(cost)
        yield algorithm_map(_name("algorithms", job), job)
        yield regime_table(job)
        yield grounds_of(job)
        yield from details(job)
    yield answers.say_missing("collectives")


def _failing(answers: Answers) -> Iterator[Block]:
    if answers.failing is not None:
        yield failing("failures.svg", answers.failing)
        yield failing_table(answers.failing)
        yield hit_lines(answers.hits, answers.jobs[0].at_reference("all-reduce") if answers.jobs else None)
        yield from window_blocks(answers.failing)
        yield life_lines(answers.failing)
        yield Folded("What interrupts a job, and how often", life_table(answers.failing))
    yield spots_table(answers.spots)
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
    yield orders_table(bill)
    yield Folded("The same by rule", lengths_table(bill))
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
