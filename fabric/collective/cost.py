"""What a collective costs: time, algbw, busbw, and the link class that binds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fabric.blueprint.join import Floats
from fabric.collective.algorithms import busbw_factor, schedules
from fabric.collective.job import Job, job
from fabric.collective.schedule import Phase, Schedule, Seq, phases
from fabric.errors import QuestionError
from fabric.graph import EXPAND_LIMIT, Fabric
from fabric.routing import Progress
from fabric.units import (
    format_bytes,
    format_rate,
    format_time,
    gbytes_per_second,
    gbytes_to_gbps,
    parse_bytes,
    seconds_to_send,
)

# Values equal to so many digits are equal: rounding does not choose between them, the order of the file does.
_DIGITS = 9
CALIBRATION = "wire rates, zero latency: a lower bound on time, not a prediction"


@dataclass(frozen=True, slots=True)
class AlgorithmCost:
    """Cost of one algorithm.

    Parameters
    ----------
    algorithm : str
    time_s : float
    algbw_gbps, busbw_gbps : float
        As nccl-tests defines them [Gb/s].
    steps : int
        Messages one after the other on the longest phase chain.
    binding : str
        The rule whose busiest link sets the time.
    slack : tuple of (str, float)
        Idle fraction of the busiest link of every other rule that carries traffic, least first.
    """

    algorithm: str
    time_s: float
    algbw_gbps: float
    busbw_gbps: float
    steps: int
    binding: str
    slack: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Answer of `cost`.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks, n_domains : int
        Ranks, and scale-up domains that they lie in.
    chosen : AlgorithmCost
    algorithms : tuple of AlgorithmCost
        All that were costed, fastest first.
    routing : str
    calibration : str
    """

    collective: str
    size_bytes: int
    n_ranks: int
    n_domains: int
    chosen: AlgorithmCost
    algorithms: tuple[AlgorithmCost, ...]
    routing: str
    calibration: str = CALIBRATION

    @property
    def time_s(self) -> float:
        """Time of the chosen algorithm [s]."""
        return self.chosen.time_s

    @property
    def algbw_gbps(self) -> float:
        """Algorithm bandwidth of the chosen algorithm [Gb/s]."""
        return self.chosen.algbw_gbps

    @property
    def busbw_gbps(self) -> float:
        """Bus bandwidth of the chosen algorithm [Gb/s]."""
        return self.chosen.busbw_gbps

    @property
    def binding(self) -> str:
        """The rule that binds the chosen algorithm."""
        return self.chosen.binding

    def to_dict(self) -> dict[str, object]:
        """Return the answer with the documented keys of ``--json``."""
        return {
            "collective": self.collective,
            "size_bytes": self.size_bytes,
            "n_ranks": self.n_ranks,
            "n_domains": self.n_domains,
            "routing": self.routing,
            "calibration": self.calibration,
            **_as_dict(self.chosen),
            "algorithms": [_as_dict(a) for a in self.algorithms],
        }

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        where = f"in {self.n_domains:,} scale-up domain{'s' if self.n_domains > 1 else ''}"
        if self.n_domains == self.n_ranks:
            where = "with no scale-up network between them"
        lines = [
            f"{self.collective} of {format_bytes(self.size_bytes)} among {self.n_ranks:,} ranks "
            f"{where}, {self.routing} routing"
        ]
        for one in self.algorithms:
            mark = "*" if one is self.chosen else " "
            lines.append(
                f"{mark} {one.algorithm}: {format_time(one.time_s)}, algbw {format_rate(one.algbw_gbps)}, "
                f"busbw {format_rate(one.busbw_gbps)}"
            )
            slack = (
                ", ".join(f"{name} {100 * idle:.3g} %" for name, idle in one.slack)
                or "no other class carries traffic"
            )
            lines.append(f"    binding: {one.binding}; slack: {slack}")
        lines.append(f"  {self.calibration}")
        return "\n".join(lines)


def _as_dict(one: AlgorithmCost) -> dict[str, object]:
    return {
        "algorithm": one.algorithm,
        "time_s": one.time_s,
        "algbw_gbps": one.algbw_gbps,
        "busbw_gbps": one.busbw_gbps,
        "steps": one.steps,
        "binding": [{"link": one.binding, "share": None}],
        "slack": [{"link": name, "idle": idle} for name, idle in one.slack],
    }


def cost(
    fabric: Fabric,
    collective: str,
    size: int | str,
    *,
    algorithm: str = "auto",
    among: str | None = None,
    routing: str = "ecmp",
    limit: int = EXPAND_LIMIT,
    progress: Progress | None = None,
) -> Cost:
    """Return what a collective costs on a fabric.

    Parameters
    ----------
    fabric : Fabric
    collective : {"all-reduce", "all-gather", "reduce-scatter", "all-to-all"}
    size : int or str
        Bytes, or text such as ``"1GiB"``, as nccl-tests counts them.
    algorithm : str
        ``"auto"`` for the fastest, or ``"hierarchical"``, ``"ring"``, ``"pairwise"``.
    among : str, optional
        Selector of the ranks; all endpoints by default.
    routing : {"ecmp"}
        Equal split per hop over the shortest permitted paths.
    limit : int
        Of the expanded form.
    progress : callable, optional
        Called with the destinations that are routed so far and their number, over all traffic patterns; not
        at all where an earlier question has routed them.

    Returns
    -------
    Cost
        At wire rates and zero latency.

    Raises
    ------
    QuestionError
        If the question does not fit the fabric.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> answer = cost(loads(text), "all-reduce", "1GB")
    >>> round(answer.time_s, 9), round(answer.busbw_gbps, 6), answer.binding
    (0.03, 400.0, 'gpu-leaf')
    """
    if routing != "ecmp":
        msg = f"unknown routing {routing!r}; known is ecmp"
        raise QuestionError(msg)
    size_bytes = parse_bytes(size)
    work = _job(fabric, among, limit)
    found = schedules(collective, work.shape, size_bytes)
    if algorithm not in ("auto", *found):
        if algorithm == "hierarchical" and "ring" in found:
            work.shape.equal()
        msg = f"no algorithm {algorithm!r} for {collective}; known are auto, {', '.join(found)}"
        raise QuestionError(msg)
    if algorithm != "auto":
        found = {algorithm: found[algorithm]}
    if progress:
        work.prepare((p.pattern for schedule in found.values() for p in phases(schedule)), progress)
    costs = [_cost(work, collective, size_bytes, name, schedule) for name, schedule in found.items()]
    costs.sort(key=lambda c: float(f"{c.time_s:.{_DIGITS}g}"))
    return Cost(collective, size_bytes, work.shape.n, work.shape.n_domains, costs[0], tuple(costs), routing)


@lru_cache(maxsize=8)
def _job(fabric: Fabric, among: str | None, limit: int) -> Job:
    return job(fabric, among, limit=limit)


def _cost(work: Job, collective: str, size_bytes: int, name: str, schedule: Schedule) -> AlgorithmCost:
    time_s, busy, held = _timed(work, schedule)
    algbw = gbytes_to_gbps(gbytes_per_second(size_bytes, time_s))
    peak = _peaks(work, busy)
    binding = _first_largest(held)
    others = [
        (round(max(1 - peak[r] / time_s, 0.0), _DIGITS), r)
        for r in np.flatnonzero(peak).tolist()
        if r != binding
    ]
    rules = work.expanded.rules
    return AlgorithmCost(
        name,
        time_s,
        algbw,
        algbw * busbw_factor(collective, work.shape.n),
        sum(p.steps for p in phases(schedule)),
        rules[binding].name,
        tuple((rules[r].name, float(idle)) for idle, r in sorted(others)),
    )


def evaluate(work: Job, schedule: Schedule) -> tuple[float, Floats]:
    """Return the time of a schedule and how long each link is busy.

    Returns
    -------
    time_s : float
    busy : ndarray of float64, shape (2 * m,)
        Seconds that each link needs for its bytes at wire rate.

    Notes
    -----
    ``Seq`` adds the times of its parts; ``Pipe`` and ``Par`` add their loads on every link and take the
    slowest link, or the slowest part where a ``Seq`` inside takes longer than any link. Latency is zero.
    """
    time_s, busy, _ = _timed(work, schedule)
    return time_s, busy


def _timed(work: Job, schedule: Schedule) -> tuple[float, Floats, Floats]:
    """Return the time, how long each link is busy, and for how long of that time each rule sets the pace."""
    if isinstance(schedule, Phase):
        busy = schedule.bytes_per_endpoint * work.loads(schedule.pattern) * _seconds_per_byte(work)
        return _paced(work, busy)
    parts = [_timed(work, part) for part in schedule.parts]
    busy = np.sum([part[1] for part in parts], axis=0)
    if isinstance(schedule, Seq):
        return sum(part[0] for part in parts), busy, np.sum([part[2] for part in parts], axis=0)
    slowest = max(parts, key=lambda part: part[0])
    together = _paced(work, busy)
    if slowest[0] > together[0]:
        return slowest[0], busy, slowest[2]
    return together


def _paced(work: Job, busy: Floats) -> tuple[float, Floats, Floats]:
    """Return what `_timed` does for links that are all busy at once."""
    time_s = float(busy.max())
    held = np.zeros(len(work.expanded.rules))
    held[_first_largest(_peaks(work, busy))] = time_s
    return time_s, busy, held


def _peaks(work: Job, busy: Floats) -> Floats:
    """Return how long the busiest link of each rule is busy, shape (number of rules,)."""
    peak = np.zeros(len(work.expanded.rules))
    np.maximum.at(peak, work.expanded.rule, np.maximum(busy[0::2], busy[1::2]))
    return peak


def _first_largest(values: Floats) -> int:
    """Return the place of the largest value; of those equal to nine digits, the first."""
    return int(np.argmax(values >= values.max() * (1 - 10.0**-_DIGITS)))


def _seconds_per_byte(work: Job) -> Floats:
    """Return the time of one byte on every link that is up, 0 elsewhere, shape (2 * m,)."""
    rate = np.repeat(work.expanded.alive * work.expanded.rate_gbps, 2)
    found = np.zeros(len(rate))
    np.divide(seconds_to_send(1, 1.0), rate, out=found, where=rate > 0)
    return found
