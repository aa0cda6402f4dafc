"""What was built, read from what tools say of it: a topology file, with axes where some explain cables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from fabric.arguments import checked
from fabric.blueprint.fields import is_label
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.interop.likeness import as_marks
from fabric.interop.recovery import dump_of, recover
from fabric.interop.sources import SOURCES, Progress, Survey, read_sources
from fabric.results import HIDDEN, Result
from fabric.units import parse_rate


@dataclass(frozen=True, slots=True, eq=False)
class AsBuilt(Result):
    """Answer of `read_cabling`.

    Parameters
    ----------
    name : str
    text : str
        The topology file.
    n_nodes, n_cables : int
        In the sources.
    n_missing, n_extra : int
        Cables that the axes say and the sources lack, and the other way round; marks of the file say so.
    n_absent : int
        Places on the axes at which nothing stands.
    status : {"axes", "listed", "design"}
        Whether axes explain the cables, every pair of nodes is listed, or the file is a design plus marks.
    devices : mapping of str to str
        What the file calls each node.
    notes : tuple of str
        What was guessed, and what the file does not say.
    fabric : Fabric
        The file, loaded.
    """

    name: str
    text: str
    n_nodes: int
    n_cables: int
    n_missing: int
    n_extra: int
    n_absent: int
    status: Literal["axes", "listed", "design"]
    devices: Mapping[str, str]
    notes: tuple[str, ...]
    fabric: Fabric = field(repr=False, metadata=HIDDEN)

    shown: ClassVar[tuple[str, ...]] = ()

    def table(self) -> list[dict[str, object]]:
        """Return one row for each node: its name in the sources, and that in the file."""
        return [{"node": node, "device": device} for node, device in self.devices.items()]

    def __str__(self) -> str:
        """Return what was read and how far axes explain it."""
        lines = [f"{self.name}: {self.n_cables:,} cables between {self.n_nodes:,} nodes"]
        if self.status != "listed":
            odd = [
                (self.n_missing, "cables missing"),
                (self.n_extra, "more"),
                (self.n_absent, "places empty"),
            ]
            left = ", ".join(f"{n:,} {what}" for n, what in odd if n)
            what = "axes explain all of them" if self.status == "axes" else "as designed"
            lines.append(f"  {what}{' but: ' + left if left else ''}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


@checked
def read_cabling(
    sources: Sequence[str | Path],
    format: str,  # noqa: A002 - the word of the field
    *,
    name: str = "as-built",
    rates: Mapping[str, str] | str | None = None,
    like: Fabric | None = None,
    folder: str | Path = ".",
    progress: Progress | None = None,
) -> AsBuilt:
    """Return what was built as a topology file, found in what tools say about its cables.

    Parameters
    ----------
    sources : sequence of str or path
        Files of one format.
    format : str
        A name of `fabric.interop.sources.SOURCES`.
    name : str
        Of the fabric.
    rates : mapping of str to str, or str, optional
        Rates that the format does not hold: one for all cables, or one for each rule, ``{"node-leaf":
        "400Gb/s"}``, with the empty name for all others.
    like : Fabric, optional
        The design: the file includes it, and says what differs.
    folder : str or path
        Where the file will stand; a design is included by its path from there.
    progress : callable, optional
        Called with the sources that are read so far and how many there are.

    Returns
    -------
    AsBuilt

    Raises
    ------
    TopologyError, FileError
        If a source cannot be read, with all that is wrong in all of them.
    QuestionError
        If there is no such format, or cables have no rate and none is given; with a design, if nodes can be
        found neither by names, nor by ports, nor by structure (`fabric.interop.identity`).
    LimitError
        If no axes explain the cables, and they are too many to be listed.

    Notes
    -----
    Nodes are put into classes by what the format and their names say, and by colour refinement, once exactly
    and once so that a few wrong cables change nothing; cables between two classes into blocks in which all
    are joined with all; blocks into axes (`fabric.interop.recovery.axes`). Each proposal is written as a
    file, loaded, expanded and compared with the sources cable for cable. What differs becomes ``absent``,
    ``failed`` and rules of single cables, and the shortest file is taken. Devices that an automorphism
    exchanges are numbered by their names, else as they sort.
    """
    if not is_label(name):
        msg = f"name: got {name!r}; a name holds letters, digits and ._- only, at most 80"
        raise QuestionError(msg)
    given = {"": rates} if isinstance(rates, str) else dict(rates or {})
    for rate in given.values():
        parse_rate(rate)
    if like is not None and given:
        msg = "rates come from the design; leave them out, or the design"
        raise QuestionError(msg)
    found = read_sources(sources, format, progress=progress)
    if like is not None:
        return _of_design(found, name, like, folder)
    cables = found.cables
    dump = dump_of(cables, found.kinds)
    head = (
        f"From {format}: {len(cables):,} cables between {dump.n:,} nodes.",
        f"Not said there: {SOURCES[format].lacks}.",
    )
    answer = recover(dump, name, given, head)
    notes = list(answer.notes)
    if given and all(cable.rate_gbps is not None for cable in cables):
        notes.append("the rates that were given are not used: the format has those of all cables")
    return AsBuilt(
        name,
        answer.text,
        dump.n,
        dump.n_cables,
        answer.n_missing,
        answer.n_extra,
        answer.n_absent,
        "axes" if answer.has_axes else "listed",
        answer.devices,
        tuple(notes),
        answer.fabric,
    )


def _of_design(found: Survey, name: str, design: Fabric, folder: str | Path) -> AsBuilt:
    marked = as_marks(design, found, name, folder)
    cables = found.cables
    n_nodes = len({node for cable in cables for node, _ in (cable.a, cable.z)})
    counts = marked.n_missing, marked.n_extra, marked.n_absent
    return AsBuilt(
        name,
        marked.text,
        n_nodes,
        len(cables),
        *counts,
        "design",
        marked.devices,
        marked.notes,
        marked.fabric,
    )
