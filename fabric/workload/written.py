"""Faults of a job, each where its file says what is wrong, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fabric.blueprint.document import Document, Loc, dotted
from fabric.errors import FabricError, Problem, QuestionError, TopologyError
from fabric.workload.files import problem_at

One = TypeVar("One")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class AsWritten:
    """What a file says.

    Parameters
    ----------
    document : Document
    job : Workload or ServingJob
        As it was read: what has been changed since then stands nowhere in the file.
    """

    document: Document
    job: Any


class WrittenJob(Protocol):
    """A job that may be of a file."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def fabric(self) -> str:
        """Topology file, or empty."""

    @property
    def written(self) -> AsWritten | None:
        """Its file, if it is of one."""


class JobFaults:
    """What does not fit of a job, gathered to be told at once.

    Parameters
    ----------
    job : Workload or ServingJob
    """

    def __init__(self, job: WrittenJob) -> None:
        self._job = job
        self._problems: list[Problem] = []
        self._others: list[str] = []

    def say(self, loc: Loc, fault: str, todo: str = "") -> None:
        """Add a fault of what stands at a key."""
        written = self._job.written
        key = str(loc[0])
        if written and getattr(self._job, key, None) == getattr(written.job, key, None):
            self._problems.append(problem_at(written.document, loc, fault, todo))
        else:
            told = f"{fault}; {todo}" if todo else fault
            self._others.append(f"job {self._job.name}: {dotted(loc)}: {told}")

    @contextmanager
    def at(self, *loc: str | int) -> Iterator[None]:
        """Add what is refused inside as a fault of what stands at a key."""
        try:
            yield
        except FabricError as error:
            self.say(loc, str(error).removeprefix(f"{loc[0]}: "))

    def check(self) -> None:
        """Refuse a job that has faults.

        Raises
        ------
        TopologyError
            With their lines and columns.
        QuestionError
            If some of them stand in no file.
        """
        if self:
            raise self.error()

    def error(self) -> FabricError:
        """Return the error that tells them all."""
        if self._others:
            return QuestionError("\n".join((*self._others, *map(str, self._problems))))
        return TopologyError(self._problems)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._others or self._problems)


def all_of(read: Callable[[One], Other], jobs: Iterable[One]) -> list[Other]:
    """Return what is read of each of some jobs.

    Raises
    ------
    TopologyError
        With the problems of all their files.
    """
    found, wrong = list[Other](), list[Problem]()
    for job in jobs:
        try:
            found.append(read(job))
        except TopologyError as error:
            wrong += error.problems
    if wrong:
        raise TopologyError(wrong)
    return found


def fabric_file(job: WrittenJob) -> Path:
    """Return the topology file that a job names.

    Raises
    ------
    QuestionError
        If it names none.
    TopologyError
        If there is no such file, where the job says it.
    """
    if not job.fabric:
        msg = f"job {job.name} names no fabric; give a topology file"
        raise QuestionError(msg)
    path = Path(job.fabric)
    if not path.is_file():
        faults = JobFaults(job)
        faults.say(("fabric",), f"no file {job.fabric}", "a path is relative to the job file")
        raise faults.error()
    return path
