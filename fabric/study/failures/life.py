"""How often a job stops, what is left of its time, and how many spares it wants.

Interruptions of independent devices are a Poisson process: rates add up. An interruption costs the restart
and, on average, half of what is done between two checkpoints, so that in first order in the rate::

    effective part of the time = 1 - checkpoint / interval - (restart + interval / 2) / mean time between

(Kokolis et al., HPCA 2025, section on the effective training time ratio, with the writing of a checkpoint.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from fabric.errors import QuestionError
from fabric.results import Result
from fabric.study.failures.rates import FailureRate
from fabric.text.columns import columns
from fabric.text.markdown import bullets, escape, table
from fabric.text.words import counted, number
from fabric.units import format_count, format_time, parse_duration

HOURS_A_MONTH = 730.5
"""A twelfth of 365.25 days."""
HOUR = 3600.0
MANY_DOWN, MAX_SPARES = 500, 1_000_000


class Interruptions(NamedTuple):
    """How often a class of failures stops a job.

    Parameters
    ----------
    what : str
        The rate, in words.
    of : str
        What fails.
    n : int
        How many of those there are whose failure stops the job.
    per_day : float
    repair_h : float
    source, confidence : str
    """

    what: str
    of: str
    n: int
    per_day: float
    repair_h: float
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class JobTime:
    """What is asked of the time of a job.

    Parameters
    ----------
    interval_s : float
        Between checkpoints; 0 for the best one [s].
    checkpoint_s : float
        That the job stands still while one is written [s].
    restart_s : float
        From an interruption until the job runs again [s].
    availability : float
        Part of the time that spares suffice, below 1.
    """

    interval_s: float = 0.0
    checkpoint_s: float = 30.0
    restart_s: float = 300.0
    availability: float = 0.999

    def __post_init__(self) -> None:
        """Refuse what is no time of a job."""
        times = (self.interval_s, self.checkpoint_s, self.restart_s)
        if not all(math.isfinite(t) and t >= 0 for t in times) or not 0 < self.availability < 1:
            msg = "times of a job are from 0 up, and an availability is between 0 and 1, such as 0.999"
            raise QuestionError(msg)


@dataclass(frozen=True, slots=True)
class Life(Result):
    """How a job lives with failures.

    Parameters
    ----------
    rates : str
        The table of rates.
    n_endpoints, n_nodes : int
    classes : tuple of Interruptions
        What stops the job, most often first.
    per_day : float
        Interruptions.
    mean_time_s : float
        Between two of them [s]; infinite where nothing stops the job.
    interval_s : float
        Between checkpoints, as asked, or the best one [s].
    is_best : bool
        Whether it is the best one.
    effective : float
        Part of the time that is spent on what is kept, 0 to 1.
    lost_gpu_hours : float
        Of a month of 730.5 hours.
    spares : int
        Nodes that suffice for the part of the time that was asked for.
    availability : float
    ask : JobTime
    """

    rates: str
    n_endpoints: int
    n_nodes: int
    classes: tuple[Interruptions, ...]
    per_day: float
    mean_time_s: float
    interval_s: float
    is_best: bool
    effective: float
    lost_gpu_hours: float
    spares: int
    availability: float
    ask: JobTime

    def table(self) -> list[dict[str, object]]:
        """Return a record for each class of interruptions, most often first."""
        return [one._asdict() for one in self.classes]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        head, rows = self._cells()
        found = [columns(head, rows, indent="  ")] if rows else []
        return "\n".join([self._title(), *found, *(f"  {line}" for line in self._lines())])

    def to_markdown(self) -> str:
        """Return the answer as Markdown."""
        head, rows = self._cells()
        shown = [[escape(cell) for cell in row] for row in rows]
        return "\n\n".join([escape(self._title()), table(head, shown), bullets(map(escape, self._lines()))])

    def _title(self) -> str:
        return f"job of {format_count(self.n_endpoints)} endpoints, rates {self.rates}:"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [one.what, one.of, format_count(one.n), number(one.per_day), one.confidence]
            for one in self.classes
        ]
        return ["stops the job", "of", ">of them", ">a day", "confidence"], rows

    def _lines(self) -> list[str]:
        if not self.per_day:
            return ["nothing that has a rate stops it"]
        every = f"every {long_time(self.interval_s)} ({'the best' if self.is_best else 'asked for'})"
        return [
            f"{number(self.per_day)} interruptions a day, one in {long_time(self.mean_time_s)}",
            f"checkpoints {every}: {100 * self.effective:.4g} % of the time is effective",
            f"{self.lost_gpu_hours:,.0f} GPU-hours a month are lost",
            f"{counted(self.spares, 'spare node')} suffice{'s' * (self.spares == 1)} "
            f"{100 * self.availability:.4g} % of the time",
        ]


def effective_part(mean_time_s: float, interval_s: float, *, checkpoint_s: float, restart_s: float) -> float:
    """Return the part of its time that a job spends on what it keeps, in first order; never below 0.

    Parameters
    ----------
    mean_time_s : float
        Between interruptions [s].
    interval_s : float
        Between checkpoints [s].
    checkpoint_s, restart_s : float
        As in `JobTime`.

    References
    ----------
    Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters", HPCA 2025,
    arXiv 2410.21680, the expected effective training time ratio.

    Examples
    --------
    16,000 GPUs, 6.50e-3 failures a node and day, a restart of 5 minutes: checkpoints of 60 and of 5 minutes.

    >>> mean = 86400 / (2000 * 6.50e-3)
    >>> [round(effective_part(mean, m * 60, checkpoint_s=0, restart_s=300), 3) for m in (60, 5)]
    [0.684, 0.932]
    """
    if math.isinf(mean_time_s):
        return 1.0 - (checkpoint_s / interval_s if interval_s else 0.0)
    standing = checkpoint_s / interval_s if interval_s else 0.0
    return max(0.0, 1.0 - standing - (restart_s + interval_s / 2) / mean_time_s)


def best_interval_s(mean_time_s: float, checkpoint_s: float) -> float:
    """Return the best time between checkpoints [s].

    Notes
    -----
    ``sqrt(2 C M) (1 + sqrt(C / (2 M)) / 3 + (C / (2 M)) / 9) - C`` for a checkpoint C below twice the mean
    time M between interruptions, else M (Daly, "A higher order estimate of the optimum checkpoint interval
    for restart dumps", FGCS 22, 2006, eq. 37); its first term is Young's (CACM 17(9), 1974). With a
    checkpoint that costs nothing there is no best: the interval is 0.

    Examples
    --------
    >>> round(best_interval_s(3 * 3600, 30))
    785
    """
    if checkpoint_s >= 2 * mean_time_s:
        return mean_time_s
    x = checkpoint_s / (2 * mean_time_s)
    return math.sqrt(2 * checkpoint_s * mean_time_s) * (1 + math.sqrt(x) / 3 + x / 9) - checkpoint_s


def spare_nodes(mean_down: float, availability: float) -> int:
    """Return how many nodes are down at most, for a part of the time.

    Parameters
    ----------
    mean_down : float
        Nodes that are down on average; their number is of Poisson's law, as repairs do not wait.
    availability : float

    Examples
    --------
    >>> spare_nodes(5.0, 0.999), spare_nodes(0.0, 0.999)
    (13, 0)
    """
    if mean_down > MANY_DOWN:  # where Poisson's law is near to the normal one
        return math.ceil(mean_down + NormalDist().inv_cdf(availability) * math.sqrt(mean_down))
    term = total = math.exp(-mean_down)
    n = 0
    while total < availability and n < MAX_SPARES:
        n += 1
        term *= mean_down / n
        total += term
    return n


def long_time(seconds: float) -> str:
    """Return a time of people, in seconds up to days.

    Examples
    --------
    >>> long_time(90), long_time(785), long_time(3.09 * 3600), long_time(9e5)
    ('90 s', '13.1 min', '3.09 h', '10.4 d')
    """
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return format_time(seconds)


def job_time(*, interval: str, checkpoint: str, restart: str, availability: float) -> JobTime:
    """Return what is asked of the time of a job, its times as texts; no interval for the best.

    Raises
    ------
    UnitError, QuestionError
        If one is no time.
    """
    return JobTime(
        parse_duration(interval) if interval else 0.0,
        parse_duration(checkpoint),
        parse_duration(restart),
        availability,
    )


def life_of(
    rates: str, n_endpoints: int, n_nodes: int, classes: Iterable[Interruptions], ask: JobTime
) -> Life:
    """Return how a job lives with what stops it."""
    own = tuple(sorted((one for one in classes if one.per_day > 0), key=lambda one: -one.per_day))
    per_day = sum(one.per_day for one in own)
    mean_s = 24 * HOUR / per_day if per_day else math.inf
    is_best = not ask.interval_s
    interval = ask.interval_s
    if is_best and per_day:
        interval = best_interval_s(mean_s, ask.checkpoint_s)
    part = effective_part(mean_s, interval, checkpoint_s=ask.checkpoint_s, restart_s=ask.restart_s)
    return Life(
        rates,
        n_endpoints,
        n_nodes,
        own,
        per_day,
        mean_s,
        interval,
        is_best,
        part,
        (1 - part) * n_endpoints * HOURS_A_MONTH,
        spare_nodes(sum(one.per_day / 24 * one.repair_h for one in own), ask.availability),
        ask.availability,
        ask,
    )


def rates_for(rates: Sequence[FailureRate], of: str, kinds: Sequence[str]) -> list[FailureRate]:
    """Return the rates of something: those of its own name, else those of the first kind that has any."""
    for name in (of, *kinds):
        found = [rate for rate in rates if rate.of == name]
        if found:
            return found
    return []
