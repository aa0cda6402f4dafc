"""What a report was given beside the fabric: jobs, places asked for, a window of time, and what was built.

Files are named one by one: a report that looked for jobs beside its fabric would change with the folder, and
its provenance could not say what it rests on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

from fabric.blueprint.limits import MAX_BYTES
from fabric.blueprint.reader import read_text
from fabric.errors import FabricError, QuestionError
from fabric.graph import Fabric
from fabric.interop.sources.found import MAX_BYTES as MAX_SOURCE_BYTES
from fabric.study.audit import Audit, audit
from fabric.text.reading import read_bytes
from fabric.workload import parse_job
from fabric.workload.place import place
from fabric.workload.placements import Placements
from fabric.workload.serve import serve
from fabric.workload.serving import Serving
from fabric.workload.serving_job import ServingJob, parse_serving
from fabric.workload.train import train
from fabric.workload.training import Training
from fabric.workload.workload import Workload


class InputFile(NamedTuple):
    """A file that a report was given: its option, its name without folders, and its checksum."""

    option: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Given:
    """What a report was given beside the fabric; files are read, nothing is solved.

    Parameters
    ----------
    trainings : tuple of Workload
    servings : tuple of ServingJob
    places : tuple of str
        Jobs to be placed, as `fabric.place` reads them.
    window : str
        Over which states of failures are drawn; empty for none.
    built : tuple of Path
        Cables as they were found.
    form : str
        Format of those, a name of `fabric.interop.sources.SOURCES`.
    files : tuple of InputFile
        All of them, in the order of the command.
    """

    trainings: tuple[Workload, ...] = ()
    servings: tuple[ServingJob, ...] = ()
    places: tuple[str, ...] = ()
    window: str = ""
    built: tuple[Path, ...] = ()
    form: str = ""
    files: tuple[InputFile, ...] = ()

    @property
    def options(self) -> str:
        """The options of the command line that give them, each after a space."""
        named = [(one.option, one.name) for one in self.files]
        named += [("--place", job) for job in self.places]
        named += [("--window", self.window)] if self.window else []
        return "".join(f" {option} {value}" for option, value in named)


NOTHING = Given()


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """What the fabric makes of it.

    Parameters
    ----------
    trainings : tuple of Training
    servings : tuple of Serving
    placements : Placements or None
        None where the fabric has no blocks of nodes.
    audit : Audit or None
    """

    trainings: tuple[Training, ...] = ()
    servings: tuple[Serving, ...] = ()
    placements: Placements | None = None
    audit: Audit | None = None


def read_given(
    jobs: Sequence[str | Path] = (),
    places: Sequence[str] = (),
    *,
    window: str = "",
    built: Sequence[str | Path] = (),
    form: str = "",
) -> Given:
    """Read the files that a report is given.

    Raises
    ------
    FabricError
        With every problem of a file at its line and column.
    QuestionError
        If two jobs have one name, or the format of what was built is not given.
    """
    if bool(built) != bool(form):
        msg = "built: sources and their format, or neither"
        raise QuestionError(msg)
    trainings, servings, files = list[Workload](), list[ServingJob](), list[InputFile]()
    for path in jobs:
        data = read_bytes(path, limit=MAX_BYTES)
        document = read_text(data, str(path))
        files.append(InputFile("--job", PurePath(path).name, document.sha256))
        # The first key of either file is its name.
        if "serve" in document.data:
            servings.append(parse_serving(data, str(path)))
        else:
            trainings.append(parse_job(data, str(path)))
    names = [job.name for job in trainings] + [job.name for job in servings]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        msg = f"job: two files name their job {twice}; a report has one page for each name"
        raise QuestionError(msg)
    for path in built:
        digest = hashlib.sha256(read_bytes(path, limit=MAX_SOURCE_BYTES)).hexdigest()
        files.append(InputFile("--built", f"{form}={PurePath(path).name}", digest))
    return Given(
        trainings=tuple(trainings),
        servings=tuple(servings),
        places=tuple(places),
        window=window,
        built=tuple(map(Path, built)),
        form=form,
        files=tuple(files),
    )


def answer_given(
    fabric: Fabric, given: Given, note: Callable[[str, str, str], None], tick: Callable[[], None]
) -> GivenAnswers:
    """Return what the fabric makes of what a report was given.

    Parameters
    ----------
    fabric : Fabric
    given : Given
    note : callable
        Given the section, the question and the reason of what has no answer.
    tick : callable
        Called before each question, of which there are as many as `n_questions` says.
    """
    trainings, servings = list[Training](), list[Serving]()
    for job in given.trainings:
        tick()
        try:
            trainings.append(train(job, fabric))
        except FabricError as error:
            note("jobs", f"job {job.name}", str(error))
    for asked in given.servings:
        tick()
        try:
            servings.append(serve(asked, fabric))
        except FabricError as error:
            note("jobs", f"serving {asked.name}", str(error))
    tick()
    placements, found = _placed(fabric, given, note), None
    if given.built:
        try:
            found = audit(fabric, given.built, given.form)
        except FabricError as error:
            note("built", "what was built", str(error))
    return GivenAnswers(tuple(trainings), tuple(servings), placements, found)


def n_questions(given: Given) -> int:
    """Return how many questions `answer_given` asks."""
    return len(given.trainings) + len(given.servings) + 1


def _placed(fabric: Fabric, given: Given, note: Callable[[str, str, str], None]) -> Placements | None:
    """Return who fits; what segments can use where nobody is to be placed, if there are blocks at all."""
    try:
        found = place(fabric, given.places)
    except FabricError as error:
        if given.places:
            note("places", "where jobs fit", str(error))
        return None
    # Endpoints that each are a node are no servers that a scheduler packs into blocks.
    blueprint = fabric.axes_or_refuse("places")
    n_endpoints = sum(blueprint.n_devices(g.name) for g in blueprint.groups.values() if g.is_endpoint)
    has_blocks = found.n_blocks > 1 and found.n_nodes < n_endpoints and len(found.curve) > 1
    return found if has_blocks or given.places else None
