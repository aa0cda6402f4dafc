"""The jobs that `share` takes, and its answer: the rate of each alone and together, and who holds it back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from fabric.arguments import check_fields
from fabric.errors import QuestionError, nearest
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.prices import LinkPrice
from fabric.flow.traffic import Traffic, TrafficPattern
from fabric.graph import PATH_RULES, Paths
from fabric.results import CutOff, DeviceText, Result, say_lost
from fabric.text.words import fold
from fabric.units import format_count, format_rate, format_time, parse_count, parse_number, parse_time

Fair = Literal["rate", "slowdown"]
"""What is shared fairly: the rate of every endpoint, or what part each has of its rate alone."""

_FORM = "NAME=SELECTOR:PATTERN:over=AXES:busy=PART:every=TIME"
_NAME = re.compile(r"[\w.+-]{1,60}")
_KEYS = ("over", "by", "root", "busy", "every")


@dataclass(frozen=True, slots=True)
class TrafficJob:
    """A job as the network sees it: who sends to whom, and for what part of the time.

    Parameters
    ----------
    name : str
    among : str
        Selector of its endpoints; empty for all.
    traffic : Traffic
    busy : float
        Part of an iteration that it communicates when alone, above 0 up to 1.
    every_s : float
        Length of an iteration when alone [s].
    """

    name: str
    among: str = ""
    traffic: Traffic = field(default_factory=Traffic)
    busy: float = 1.0
    every_s: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        if not 0 < self.busy <= 1 or not self.every_s > 0:
            msg = f"{self.name}: busy is a part of the time above 0 up to 1, and an iteration takes some time"
            raise QuestionError(msg)

    @classmethod
    def read(cls, text: str, number: int = 0) -> TrafficJob:
        """Return the job that a text says.

        Parameters
        ----------
        text : str
            ``SELECTOR`` or ``NAME=SELECTOR``, then, after colons, a pattern and any of ``over=rack,tray``,
            ``by=2``, ``root=rack0/gpu0``, ``busy=0.4``, ``every=1.5s``.
        number : int
            Names a job that has no name.

        Raises
        ------
        QuestionError, UnitError
            If it cannot be read.

        Examples
        --------
        >>> job = TrafficJob.read("gpt=pod0:all-to-all:over=slot:busy=0.4:every=1.53s")
        >>> job.name, job.among, job.traffic.over, job.busy, job.every_s
        ('gpt', 'pod0', ('slot',), 0.4, 1.53)
        """
        head, *words = text.split(":")
        name, equals, among = head.partition("=")
        if not equals:
            name, among = f"job{number}", head
        if not _NAME.fullmatch(name):
            msg = f"jobs: cannot read {text[:80]!r}; write {_FORM}"
            raise QuestionError(msg)
        given: dict[str, str] = {}
        pattern = "all-to-all"
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                pattern = word
            elif key in _KEYS and key not in given:
                given[key] = value
            else:
                hint = nearest(key, _KEYS) or f"keys are {', '.join(_KEYS)}, each once"
                msg = f"jobs: {name}: cannot read {word[:80]!r}; {hint}"
                raise QuestionError(msg)
        traffic = Traffic(
            _as_pattern(pattern),
            tuple(given["over"].split(",")) if given.get("over") else (),
            given.get("root", ""),
            parse_count(given.get("by", "1")),
        )
        busy, every_s = parse_number(given.get("busy", "1")), parse_time(given.get("every", "1s"))
        return cls(name, "" if among == "*" else among, traffic, busy, every_s)


def _as_pattern(text: str) -> TrafficPattern:
    return text  # type: ignore[return-value]  # `Traffic` checks it


class Neighbour(NamedTuple):
    """A job on the links that hold another one back, and its part of what they carry, 0 to 1."""

    job: str
    part: float


@dataclass(frozen=True, slots=True)
class SharedJob:
    """One of several jobs that run together.

    Parameters
    ----------
    name, among, traffic : str
    n_endpoints : int
    alone_gbps : float
        What each of its endpoints sends with no other job [Gb/s].
    rate_gbps : float
        With all of them communicating [Gb/s].
    binding : tuple of LinkPrice
        Link classes that hold it back, dearest first; not known of jobs that are too much for one program.
    neighbours : tuple of Neighbour
        Whose traffic these classes carry, itself among them, most first.
    status : {"optimal", "bounded", "cut off"}
    certificate : Verdict
        Flows of all jobs that fit together, and prices.
    busy, every_s : float
        As in `TrafficJob`.
    stretch : float
        How many times as long an iteration takes on average, where the jobs begin at random; at most, where
        the jobs are too much for one program.
    offset_s : float or None
        When it should begin to communicate after the first job [s]; None where periods drift.
    best_stretch : float or None
        How many times as long an iteration takes then.
    cut_off : tuple of CutOff
        Endpoints of it that cannot take part.
    """

    name: str
    among: DeviceText
    traffic: str
    n_endpoints: int
    alone_gbps: float
    rate_gbps: float
    binding: tuple[LinkPrice, ...]
    neighbours: tuple[Neighbour, ...]
    status: Literal["optimal", "bounded", "cut off"]
    certificate: Verdict
    busy: float
    every_s: float
    stretch: float
    offset_s: float | None
    best_stretch: float | None
    cut_off: tuple[CutOff, ...] = ()

    @property
    def slowdown(self) -> float:
        """How many times as slow it communicates as alone, while all do."""
        return self.alone_gbps / self.rate_gbps if self.rate_gbps else float("inf")


@dataclass(frozen=True, slots=True)
class Sharing(Result):
    """Answer of `share`.

    Parameters
    ----------
    fabric : str
    fair : {"rate", "slowdown"}
    jobs : tuple of SharedJob
        In the order of the question.
    paths : {"rules", "no-relay", "any"}
    method, why : str
        How the classes were found, and why so.
    is_dropped : bool
        Whether endpoints that are cut off were left out.
    n_variables : int
    """

    fabric: str
    fair: Fair
    jobs: tuple[SharedJob, ...]
    paths: Paths
    method: str
    why: DeviceText
    is_dropped: bool
    n_variables: int

    shown: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> str:
        """``optimal`` where every rate is proven, ``cut off`` where some job has none, else ``bounded``."""
        found = {job.status for job in self.jobs}
        return next((word for word in ("cut off", "bounded") if word in found), "optimal")

    def table(self) -> list[dict[str, object]]:
        """Return a record for each job."""
        return [
            {
                "job": job.name,
                "among": job.among,
                "traffic": job.traffic,
                "n_endpoints": job.n_endpoints,
                "alone_gbps": job.alone_gbps,
                "rate_gbps": job.rate_gbps,
                "binding": ", ".join(price.link for price in job.binding),
                "neighbours": ", ".join(one.job for one in job.neighbours if one.job != job.name),
                "status": job.status,
                "stretch": job.stretch,
                "offset_s": job.offset_s,
                "best_stretch": job.best_stretch,
            }
            for job in self.jobs
        ]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        lines = [
            f"sharing of {self.fabric}, {len(self.jobs)} jobs, max-min fair in {self.fair}; per direction"
        ]
        for job in self.jobs:
            lines += self._say(job)
        lines += [f"  paths: {PATH_RULES[self.paths]}", f"  method: {self.method} ({self.why})"]
        worst = max((job.certificate.gap for job in self.jobs), default=0.0)
        faults = list(dict.fromkeys(fault for job in self.jobs for fault in job.certificate.faults))
        scope = next((job.certificate.scope for job in self.jobs if job.certificate.scope), "")
        proof = "flows that fit together and prices meet" if worst <= GAP else f"{100 * worst:.2g} % apart"
        remarks = ", ".join([*faults, *([f"checked {scope}"] if scope and not faults else [])])
        return fold([*lines, f"  {self.status}: {proof} ({remarks}, {self.n_variables:,} variables)"])

    def _say(self, job: SharedJob) -> list[str]:
        where = f" among {job.among}" if job.among else ""
        lines = [f"  {job.name}: {job.traffic}{where}, {format_count(job.n_endpoints)} endpoints"]
        if job.status == "cut off":
            lost = say_lost(job.cut_off, 0, "dropping what is unreachable", is_dropped=False)
            return [*lines, *(f"  {line}" for line in lost)]
        rates = f"alone {format_rate(job.alone_gbps)} each, together {format_rate(job.rate_gbps)}"
        lines.append(f"    {rates} ({job.slowdown:.4g} x as slow)")
        if not job.binding:
            between = f"between {format_rate(job.rate_gbps)} and {format_rate(job.certificate.upper_gbps)}"
            lines[-1] = f"    alone {format_rate(job.alone_gbps)} each, together {between}"
        links = ", ".join(price.link for price in job.binding)
        others = [f"{one.job} {100 * one.part:.3g} %" for one in job.neighbours]
        if job.binding:
            lines.append(f"    held back by {links}, which carries {', '.join(others)}")
        if any(one.busy < 1 for one in self.jobs):
            part = f"communicates {100 * job.busy:.4g} % of {format_time(job.every_s)}"
            most = "" if job.binding else "at most "
            told = f"an iteration takes {most}{job.stretch:.4g} x as long at random phase"
            if job.best_stretch is not None and job.offset_s is not None:
                told += f", {job.best_stretch:.4g} x with offset {format_time(job.offset_s)}"
            lines.append(f"    {part}; {told}")
        return lines


@dataclass(frozen=True, slots=True)
class StepTogether:
    """A training job beside others.

    Parameters
    ----------
    name, model : str
    n_ranks : int
    alone_s : float
        A step with no other job [s].
    sending_s : float
        That it communicates in it beyond its scale-up domains [s].
    busy : float
        Part of the step that this is, 0 to 1.
    pace : float
        Part of its pace alone that it sends at while all jobs do.
    together_s : float
        A step while all others send all the time [s].
    random_s : float
        A step on average, where the jobs begin at random [s].
    offset_s : float or None
        When it should begin to communicate after the first job [s]; None where no offset lasts.
    best_s : float or None
        A step then [s].
    binding : str
        Class of links that holds it back while all send; empty where none does.
    neighbours : tuple of Neighbour
        Whose traffic that carries, itself among them, most first.
    is_once : bool
        Whether it sends once a step alone; with every micro-batch no offset lasts.
    """

    name: str
    model: str
    n_ranks: int
    alone_s: float
    sending_s: float
    busy: float
    pace: float
    together_s: float
    random_s: float
    offset_s: float | None
    best_s: float | None
    binding: str
    neighbours: tuple[Neighbour, ...]
    is_once: bool


@dataclass(frozen=True, slots=True)
class StepSharing(Result):
    """Answer of `share` about training jobs.

    Parameters
    ----------
    fabric : str
    fair : {"rate", "slowdown"}
    jobs : tuple of StepTogether
        In the order of the question.
    routing : str
    method, why : str
        On classes or on every cable, and why not on classes.
    status : {"optimal", "bounded"}
        Whether paces are proven max-min fair.
    """

    fabric: str
    fair: Fair
    jobs: tuple[StepTogether, ...]
    routing: str
    method: str
    why: DeviceText
    status: Literal["optimal", "bounded"]

    def table(self) -> list[dict[str, object]]:
        """Return a record for each job."""
        return [
            {
                "job": job.name,
                "model": job.model,
                "n_ranks": job.n_ranks,
                "alone_s": job.alone_s,
                "busy": job.busy,
                "pace": job.pace,
                "together_s": job.together_s,
                "random_s": job.random_s,
                "offset_s": job.offset_s,
                "best_s": job.best_s,
                "binding": job.binding,
                "neighbours": ", ".join(one.job for one in job.neighbours if one.job != job.name),
            }
            for job in self.jobs
        ]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        lines = [f"training jobs on {self.fabric}, {len(self.jobs)} at once, max-min fair in {self.fair}"]
        for job in self.jobs:
            lines += self._say(job)
        method = f"{self.method} ({self.why})" if self.why else self.method
        proof = "paces fit and each job is at full pace or on a full link on which none has more"
        lines += [f"  routing: {self.routing}; method: {method}"]
        return fold([*lines, f"  {self.status}: {proof if self.status == 'optimal' else 'not proven'}"])

    def _say(self, job: StepTogether) -> list[str]:
        lines = [f"  {job.name}: {job.model} on {format_count(job.n_ranks)}"]
        part = f"sends beyond its domains for {format_time(job.sending_s)} of it ({100 * job.busy:.3g} %)"
        lines.append(f"    alone a step takes {format_time(job.alone_s)}; {part}")
        if job.binding:
            carried = ", ".join(f"{one.job} {100 * one.part:.3g} %" for one in job.neighbours)
            lines.append(f"    while all send {100 * job.pace:.3g} % of its pace; held back by {job.binding}")
            lines.append(f"    which carries {carried}")
        else:
            lines.append("    while all send no other job slows it")
        ways = f"{format_time(job.together_s)} at worst, {format_time(job.random_s)} at random phase"
        if job.best_s is not None and job.offset_s is not None:
            ways += f", {format_time(job.best_s)} with offset {format_time(job.offset_s)}"
        lines.append(f"    a step beside the others: {ways}")
        if not job.is_once:
            lines.append("    it sends with every micro-batch, so that no offset lasts")
        return lines
