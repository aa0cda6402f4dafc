"""The report of a fabric: a Markdown page and its figures, written as a whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from fabric.arguments import checked
from fabric.graph import Fabric
from fabric.reporting.answers import Progress, ask
from fabric.reporting.collectives import collectives
from fabric.reporting.evidence import assumptions, provenance, sources
from fabric.reporting.figures import staircase, wiring
from fabric.reporting.results import changes, flows, headlines, spread
from fabric.reporting.sheet import require_pen
from fabric.reporting.staircase import staircase_title
from fabric.reporting.tables import cables, devices, oversubscription, ports
from fabric.reporting.ways import by_kind, by_nobody
from fabric.reporting.wiring import wiring_title
from fabric.sizing.summary import summarize
from fabric.text.folder import write_folder
from fabric.text.markdown import escape


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
    pages = compose(fabric, progress or (lambda done, total: None))
    write_folder(out, pages, is_ours=_is_ours, force=force)
    return Path(out) / "README.md"


# The files that `compose` names, and the command that is on every page.
_FIGURE = re.compile(r"(?:staircase|wiring)(?:-[^/]*)?\.svg")
_COMMAND = b"`fabtopo report "


def _is_ours(file: Path) -> bool:
    """Return whether an earlier report wrote a file."""
    if file.is_symlink() or not file.is_file():
        return False
    if file.name == "README.md":
        return _COMMAND in file.read_bytes()
    return _FIGURE.fullmatch(file.name) is not None


def compose(fabric: Fabric, progress: Progress) -> dict[str, str]:
    """Return the text of every file of the report, by name."""
    summary = summarize(fabric)
    kinds = by_kind(summary)
    stairs, wirings = {"staircase.svg": summary}, {"wiring.svg": summary}
    if len(kinds) > 1:
        stairs = {f"staircase-{kind}.svg": part for kind, part in kinds.items()}
        wirings = {f"wiring-{kind}.svg": part for kind, part in kinds.items()}
        unreached = by_nobody(summary)
        wirings |= {"wiring.svg": unreached} if unreached.groups else {}
    figures = {name: staircase(part) for name, part in stairs.items()}
    figures |= {name: wiring(part) for name, part in wirings.items()}
    answers = ask(fabric, progress)
    blocks = [
        f"# {escape(fabric.name)}",
        "## Summary",
        headlines(fabric, summary, answers),
        "## Bandwidth per tier",
        *(f"![{escape(staircase_title(part))}]({name})" for name, part in stairs.items()),
        cables(summary),
        oversubscription(summary),
        "## Devices and wiring",
        *(f"![{escape(wiring_title(part))}]({name})" for name, part in wirings.items()),
        _ONE_EACH if len(kinds) > 1 else "",
        devices(summary),
        ports(fabric, summary),
        "## Maximum flow",
        flows(answers),
        "## All-to-all throughput",
        spread(answers),
        "## Collectives",
        collectives(answers),
        "## What would change the answer",
        changes(fabric, answers),
        "## Assumptions and notes",
        assumptions(fabric, summary),
        "## Sources",
        sources(fabric),
        "## Provenance",
        provenance(fabric, answers),
    ]
    return {**figures, "README.md": "\n\n".join(b for b in blocks if b) + "\n"}


_ONE_EACH = (
    "One figure for each kind of endpoints, with the rules that they use among themselves, and one for the "
    "rules that none uses so."
)
