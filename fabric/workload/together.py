"""Training jobs at once: what each step takes alone, beside the others, and when each should begin.

A job sends by the schedules of its dimensions, on the routes that the network gives it, so what it puts on
every class of links is known: while it communicates it keeps link e busy for a part u(e) of the time. Jobs
that communicate together slow down until every link has at most all of its time to give::

    sum over jobs of  u_j(e) x_j  <=  1        x_j <= 1, the pace of job j

Paces are max-min fair: all rise together, weighted by what a rank sends or alike, and each is held by the
first full link that it uses. That it is so is checked by the condition of Bertsekas and Gallager, Data
Networks, 2nd edition, section 6.5.2: every job is at full pace, or on a full link on which none has more.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Floats
from fabric.costing.calibration import Calibration
from fabric.errors import FabricError, LimitError, QuestionError
from fabric.graph import Fabric
from fabric.job.in_order import ranks_in_order
from fabric.job.ranks import Links, Routing
from fabric.symmetry import NoSymmetryError
from fabric.workload.on_fabric import Site, asked_ranks, site, timed_exchanges
from fabric.workload.phases import Company, best_offsets, random_phase
from fabric.workload.sharing import Fair, Neighbour, StepSharing, StepTogether
from fabric.workload.step import TimedExchange, micro_compute_s, step_time
from fabric.workload.tiers import scale_up_turns, turns
from fabric.workload.workload import Workload
from fabric.workload.written import JobFaults, all_of

MAX_STEPS = 6
"""Jobs at once: every company of them has paces of its own."""
# Links that are full, and paces that are equal, but for rounding.
_FULL = 1e-9


@dataclass(frozen=True, eq=False)
class RunningJob:
    """A training job on the fabric, and what it sends beyond its scale-up domains.

    Parameters
    ----------
    at : Site
    timed : sequence of TimedExchange
        All that it sends.
    """

    at: Site
    timed: Sequence[TimedExchange]

    @property
    def links(self) -> Links:
        """The links, the same for all jobs."""
        return self.timed[0].paced.links

    def step_s(self, slow: float = 1.0) -> float:
        """Return what a step takes where what leaves its domains is so many times as slow [s]."""
        timed = [one.part(slow) if self._leaves(one) else one for one in self.timed]
        return step_time(self.at.work, micro_compute_s(self.at.work, self.at.peak_tflops), timed).total_s

    @cached_property
    def sending_s(self) -> float:
        """How long it communicates beyond its domains in a step, one exchange after another [s]."""
        return sum(self._times(one) * one.time_s for one in self.timed if self._leaves(one))

    @cached_property
    def busy(self) -> float:
        """Part of a step that it communicates so."""
        return min(self.sending_s / self.step_s(), 1.0)

    @cached_property
    def on_link(self) -> Floats:
        """Part of that time that it keeps every link busy, shape (l,)."""
        busy = np.zeros(len(self.links.rule))
        for one in self.timed:
            if self._leaves(one):
                busy += self._times(one) * one.busy_s
        return busy / self.sending_s if self.sending_s else busy

    @cached_property
    def sent_bytes_per_s(self) -> float:
        """What a rank sends in that time [B/s]."""
        sent = sum(self._times(one) * one.sent_bytes for one in self.timed if self._leaves(one))
        return sent / self.sending_s if self.sending_s else 0.0

    @property
    def is_once(self) -> bool:
        """Whether it sends beyond its domains once a step alone, and not with every micro-batch."""
        return self.at.work.n_micro == 1 or all(
            one.exchange.span != "micro-batch" for one in self.timed if self._leaves(one)
        )

    def _times(self, one: TimedExchange) -> float:
        return float(self.at.work.n_micro) if one.exchange.span == "micro-batch" else 1.0

    def _leaves(self, one: TimedExchange) -> bool:
        return bool(turns(one.paced).keys() - scale_up_turns(one.paced.links))


def share_steps(
    fabric: Fabric,
    works: Sequence[Workload],
    *,
    fair: Fair = "rate",
    routing: Routing = "ecmp",
    calibration: str | Calibration = "measured",
) -> StepSharing:
    """Return what a step of each of several jobs takes alone and beside the others.

    Parameters
    ----------
    fabric : Fabric
    works : sequence of Workload
        Each on endpoints of its own.
    fair : {"rate", "slowdown"}
        Whether what a rank sends is shared fairly, or the part that each job has of its pace alone.
    routing : str
        As for `fabric.workload.train.train`.
    calibration : str or Calibration

    Raises
    ------
    QuestionError
        If a job does not fit the fabric, two have an endpoint in common, or they are too many.
    """
    _check(works)
    taken: dict[int, str] = {}

    def placed(work: Workload) -> Site:
        _take(fabric, work, taken)
        return site(fabric, work, calibration, routing)

    jobs = _running(all_of(placed, works))
    used = np.array([job.on_link for job in jobs])
    weights = np.array([job.sent_bytes_per_s if fair == "rate" else 1.0 for job in jobs])
    sends = weights > 0
    busy = np.array([job.busy for job in jobs])
    slow: dict[Company, Floats] = {}
    for size in range(1, len(jobs) + 1):
        for some in itertools.combinations(np.flatnonzero(sends).tolist(), size):
            inside = np.isin(np.arange(len(jobs)), some)
            slow[frozenset(some)] = np.where(inside, 1 / paces(used, np.where(inside, weights, 0.0)), 0.0)
    together = paces(used, np.where(sends, weights, 0.0))
    is_proven = is_max_min(used, np.where(sends, weights, 0.0), together)
    at_random = _slowness(random_phase(slow, busy), busy)
    every_s = [job.step_s() for job in jobs]
    found = best_offsets(slow, busy, every_s) if all(job.is_once for job in jobs) and sends.all() else None
    rows = []
    for j, job in enumerate(jobs):
        binding, neighbours = _held_by(jobs, used, together, j)
        best = None if found is None else job.step_s(float(_slowness(found[1], busy)[j]))
        rows.append(
            StepTogether(
                name=job.at.work.name,
                model=job.at.work.model.name,
                n_ranks=job.at.work.parallel.n_ranks,
                alone_s=every_s[j],
                sending_s=job.sending_s,
                busy=float(busy[j]),
                pace=float(together[j]),
                together_s=job.step_s(1 / float(together[j])),
                random_s=job.step_s(float(at_random[j])),
                offset_s=None if found is None else float(found[0][j]),
                best_s=best,
                binding=binding,
                neighbours=neighbours,
                is_once=job.is_once,
            )
        )
    first = next((one.paced.job for job in jobs for one in job.timed), None)
    return StepSharing(
        fabric=fabric.name,
        fair=fair,
        jobs=tuple(rows),
        routing=routing,
        method=first.method if first else "axes",
        why=first.why if first else "",
        status="optimal" if is_proven else "bounded",
    )


def paces(used: Floats, weights: Floats) -> Floats:
    """Return the max-min fair paces of jobs, by progressive filling.

    Parameters
    ----------
    used : ndarray of float64, shape (j, l)
        Part of the time that each job at full pace keeps each link busy.
    weights : ndarray of float64, shape (j,)
        Paces times these rise alike; jobs of weight 0 take no part, and have pace 1.

    Examples
    --------
    Two jobs that need all of one link; the second one sends three times as much.

    >>> paces(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]))
    array([0.75, 0.25])
    """
    pace = np.ones(len(weights))
    rising = weights > 0
    pace[rising] = 0.0
    rise = np.divide(1.0, weights, out=np.zeros(len(weights)), where=rising)
    while rising.any():
        # How much further the level may rise: to a full link, or to a job at full pace.
        climbs = np.where(rising, rise, 0.0) @ used
        room = np.maximum(1.0 - np.where(weights > 0, pace, 0.0) @ used, 0.0)
        by_link = np.divide(room, climbs, out=np.full(len(climbs), np.inf), where=climbs > 0)
        by_job = np.where(rising, (1.0 - pace) * weights, np.inf)
        level = min(float(by_link.min(initial=np.inf)), float(by_job.min()))
        pace = np.where(rising, pace + level * rise, pace)
        full = by_link <= level * (1 + _FULL) + 1e-300
        held = (used[:, full] > 0).any(axis=1) | (by_job <= level * (1 + _FULL))
        rising = rising & ~held
    return np.minimum(pace, 1.0)


def is_max_min(used: Floats, weights: Floats, pace: Floats) -> bool:
    """Return whether paces fit, and every job is at full pace or on a full link on which none has more."""
    takes_part = weights > 0
    total = np.where(takes_part, pace, 0.0) @ used
    if (total > 1 + 1e-7).any():
        return False
    level = np.where(takes_part, pace * weights, 0.0)
    for j in np.flatnonzero(takes_part & (pace < 1 - 1e-9)).tolist():
        full = (total > 1 - 1e-7) & (used[j] > 0)
        most = np.where(used[:, full] > 0, level[:, None], 0.0).max(axis=0, initial=0.0)
        if not (level[j] >= most * (1 - 1e-7)).any():
            return False
    return True


def _slowness(stretch: Floats, busy: Floats) -> Floats:
    """Return how many times as slow jobs communicate on average, for how long iterations get."""
    # As `fabric.workload.phases` has it, where all that is sent makes an iteration longer.
    return np.divide(stretch - 1 + busy, busy, out=np.ones(len(busy)), where=busy > 0)


def _held_by(
    jobs: Sequence[RunningJob], used: Floats, pace: Floats, j: int
) -> tuple[str, tuple[Neighbour, ...]]:
    """Return the class of links that holds a job back, and whose traffic it carries; nothing at full pace."""
    if pace[j] >= 1 - _FULL:
        return "", ()
    carried = pace[:, None] * used
    total = carried.sum(axis=0)
    # Of the full links that it uses, that of which it has least.
    full = np.flatnonzero((total > 1 - 1e-7) & (used[j] > 0))
    at = int(full[np.argmin(carried[j, full])])
    links = jobs[j].links
    part = carried[:, at] / total[at]
    order = sorted(range(len(jobs)), key=lambda k: (-round(float(part[k]), 9), k))
    neighbours = tuple(Neighbour(jobs[k].at.work.name, float(part[k])) for k in order if part[k] > _FULL)
    return links.rules[links.rule[at]], neighbours


def _check(works: Sequence[Workload]) -> None:
    """Raise where jobs are too many, or two have one name."""
    if len(works) > MAX_STEPS:
        msg = f"jobs: {len(works)}; at most {MAX_STEPS} job files are worked out at once"
        raise QuestionError(msg)
    names = [work.name for work in works]
    if doubled := [name for name in names if names.count(name) > 1]:
        msg = f"jobs: {doubled[0]!r} is there twice; write NAME=FILE"
        raise QuestionError(msg)


def _take(fabric: Fabric, work: Workload, taken: dict[int, str]) -> None:
    """Note which endpoints a job has; raise where another one has one of them."""
    blueprint = fabric.axes_or_refuse("a job with parallel dimensions")
    try:
        ranks = ranks_in_order(blueprint, asked_ranks(work.among))
    except NoSymmetryError as error:
        msg = f"job {work.name}: {error}"
        raise QuestionError(msg) from None
    except FabricError:  # of the job alone, which `site` tells
        return
    sizes = tuple(blueprint.axes[axis].size for axis in ranks.index)
    for place in np.ravel_multi_index(tuple(ranks.index.values()), sizes).tolist():
        if (other := taken.setdefault(place, work.name)) != work.name:
            faults = JobFaults(work)
            todo = "give each endpoints of its own: among in the file, or NAME=SELECTOR:FILE"
            faults.say(("among",), f"{other} and {work.name} have endpoints in common", todo)
            raise faults.error()


def _running(sites: Sequence[Site]) -> list[RunningJob]:
    """Return the jobs, all on the same links: on classes that keep all of them in place, or on every cable.

    Raises
    ------
    QuestionError
        If a job does not fit, or only every cable will do, and they are too many.
    """
    beside = tuple(at.work.among for at in sites if at.work.among)
    why = ""
    try:
        jobs = [_run(replace(at, method="axes", beside=beside)) for at in sites]
    except QuestionError as error:
        why = str(error)
    else:
        if all(_are_same(jobs[0], job) for job in jobs[1:]):
            return jobs
        why = "jobs lie in domains along other axes"
    try:
        return [_run(replace(at, method="links")) for at in sites]
    except LimitError as error:
        msg = f"{why}, and on every cable: {error}"
        raise QuestionError(msg) from None


def _run(at: Site) -> RunningJob:
    _, timed = timed_exchanges(at)
    if not timed:
        msg = f"job {at.work.name} sends nothing, so that it shares nothing"
        raise QuestionError(msg)
    return RunningJob(at, timed)


def _are_same(one: RunningJob, other: RunningJob) -> bool:
    """Return whether the links of all exchanges of two jobs are the same classes."""
    first = one.links
    return all(
        np.array_equal(first.rule, links.rule)
        and np.array_equal(first.n_cables, links.n_cables)
        and np.array_equal(first.capacity_gbps, links.capacity_gbps)
        and np.array_equal(first.lower, links.lower)
        and np.array_equal(first.upper, links.upper)
        for links in (each.paced.links for each in (*one.timed, *other.timed))
    )
