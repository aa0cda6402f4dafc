"""What is there of a job over a window of time: states drawn at random, stratified by how much is down.

Devices and cables fail and are repaired independently, each at its rate (two-state Markov processes, all up
at the start): one with rate a and repair time r is down at time t with probability::

    q(t) = a r / (1 + a r) * (1 - exp(-(a + 1 / r) t))

A window is some moments (of Gauss and Legendre), and at each there is a stratum for every number of failures:
none and one are exact, more are drawn, half of the samples for all numbers alike, so that what is rare and
fatal is seen. States that a permutation maps to one another are one, and solved once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.errors import LimitError, QuestionError
from fabric.graph import Expanded, expand
from fabric.results import Result
from fabric.study.failures.events import state_in
from fabric.study.failures.network import FailingJob
from fabric.study.failures.states import Down, State, state_of
from fabric.study.sweeps.run import seed_of
from fabric.symmetry.orbits import Orbit
from fabric.text.columns import columns
from fabric.units import format_count

MOMENTS, RISE = 4, 6.0
"""Moments while what is down becomes more, and how many times of repair that takes."""
REST = 1e-9
"""Probability of more failures than the largest stratum has."""
MANY_DOWN, MAX_SAMPLES = 200, 1_000_000
SAMPLES, SEED = 1_000, 1


class Failing(NamedTuple):
    """Devices of a group, or cables of a rule, that fail alike.

    Parameters
    ----------
    kind : {"device", "cable"}
    of : str
    n : int
    per_hour : float
        Failures of one.
    repair_h : float
    """

    kind: str
    of: str
    n: int
    per_hour: float
    repair_h: float

    def down(self, hours: float) -> float:
        """Return the probability that one is down after some hours, all up at the start."""
        odds = self.per_hour * self.repair_h
        if not odds:
            return 0.0
        return odds / (1 + odds) * -math.expm1(-(self.per_hour + 1 / self.repair_h) * hours)


class Stratum(NamedTuple):
    """States with so many failures, over the whole window.

    Parameters
    ----------
    n_failures : int
    probability : float
    n_samples : int
        Drawn; 0 where all are told.
    kept : float
        Mean part of the healthy all-to-all.
    worst : float
        The least of those that were seen.
    """

    n_failures: int
    probability: float
    n_samples: int
    kept: float
    worst: float


class KeptStep(NamedTuple):
    """A part of the healthy all-to-all, and the part of the time in which at least so much is there."""

    kept: float
    time: float


@dataclass(frozen=True, slots=True)
class KeptOverTime(Result):
    """What is there of the healthy all-to-all at a moment of a window.

    Parameters
    ----------
    window_h : float
    kept : float
        Mean part, of all endpoints together, after the restart where the job stops.
    error : float
        Its standard error, of what was drawn.
    p50, p99 : float
        At least so much is there in 50 and in 99 % of the time.
    stopped : float
        Part of the time in which something is down that stops the job.
    nothing : float
        Part of the time in which nothing is left.
    strata : tuple of Stratum
    left_out : float
        Probability of more failures than any stratum has; counted as nothing left.
    unsolved : float
        Probability of states that were not solved; counted as nothing left.
    n_samples, n_states, seed : int
        Drawn, and how many of them differ.
    steps : tuple of KeptStep
        The distribution, least first, in steps of a hundredth of a percent.
    """

    window_h: float
    kept: float
    error: float
    p50: float
    p99: float
    stopped: float
    nothing: float
    strata: tuple[Stratum, ...]
    left_out: float
    unsolved: float
    n_samples: int
    n_states: int
    seed: int
    steps: tuple[KeptStep, ...] = ()

    def table(self) -> list[dict[str, object]]:
        """Return a record for each number of failures."""
        return [one._asdict() for one in self.strata]

    def __str__(self) -> str:
        """Return the answer in some lines."""
        rows = [
            [
                str(one.n_failures),
                f"{100 * one.probability:.4g} %",
                format_count(one.n_samples) if one.n_samples else "all",
                f"{100 * one.kept:.4g} %",
                f"{100 * one.worst:.4g} %",
            ]
            for one in self.strata
        ]
        lines = columns([">down", ">of the time", ">samples", ">kept", ">worst"], rows).split("\n")
        lines.append(
            f"{100 * self.kept:.6g} % of the healthy all-to-all is there, +- {100 * self.error:.2g} %"
        )
        lines.append(
            f"at least {100 * self.p50:.4g} % half of the time, {100 * self.p99:.4g} % in 99 % of it"
        )
        lines.append(
            f"a job is stopped {100 * self.stopped:.4g} % of the time; nothing {100 * self.nothing:.2g} %"
        )
        lines.append(f"{self.n_samples:,} samples in {self.n_states:,} different states, seed {self.seed}")
        lost = self.left_out + self.unsolved
        lines += [f"counted as nothing: {100 * lost:.2g} %, not solved or more"] if lost > REST else []
        return "\n".join([f"a window of {self.window_h:g} h:", *(f"  {line}" for line in lines)])


class Drawn(NamedTuple):
    """A state, of a stratum of one moment, and the part that it stands for of the time."""

    n_failures: int
    state: State
    weight: float


class Remains(NamedTuple):
    """What a state leaves of the healthy all-to-all, None where not solved, and whether the job goes on."""

    total_kept: float | None
    goes_on: bool


def part_there(total_kept: float | None) -> float:
    """Return how much of the healthy all-to-all is there: all at most, nothing where it is not known.

    Of two boxes one that is left sends by NVLink alone, several times what both sent over the network.
    """
    return min(1.0, total_kept or 0.0)


def draw(
    job: FailingJob, failing: Sequence[Failing], *, window_h: float, n_samples: int, seed: int
) -> tuple[list[Drawn], float]:
    """Return states of two failures and more, and the probability of more than any of them has.

    Raises
    ------
    LimitError
        If too much is down at once, or the fabric is too large to be drawn from.
    """
    places, strata, rest = _Places(job), [], 0.0
    for moment, part in _moments(failing, window_h):
        chances = [one.down(moment) for one in failing]
        n_down = _numbers([one.n for one in failing], chances)
        rest += part * max(0.0, 1 - float(n_down.sum()))
        strata += [(moment, n, part * float(p)) for n, p in enumerate(n_down) if n > 1 and p > 0]
    n_each = _allotted([p for *_, p in strata], n_samples)
    found = []
    for (moment, n_failures, p), n in zip(strata, n_each, strict=True):
        rng = seed_of(seed, moment, n_failures)
        chances = [one.down(moment) for one in failing]
        found += [
            Drawn(n_failures, places.state(failing, counts, rng), p / n)
            for counts in _compositions([one.n for one in failing], chances, n_failures, n, rng)
        ]
    return found, rest


def check_window(failing: Sequence[Failing], window_h: float, n_samples: int) -> None:
    """Refuse a window in which there is nothing to be drawn.

    Raises
    ------
    QuestionError
        If nothing fails, or the window or the samples are none.
    """
    if not (0 < window_h < math.inf) or not 1 <= n_samples <= MAX_SAMPLES:
        msg = f"window: some time, in 1 to {MAX_SAMPLES:,} samples; got {window_h:g} h in {n_samples:,}"
        raise QuestionError(msg)
    if not failing:
        msg = "window: nothing of the fabric has a rate of failures and a time of repair"
        raise QuestionError(msg)


def known_part(failing: Sequence[Failing], window_h: float) -> tuple[float, list[float]]:
    """Return the part of the time in which nothing is down, and in which one alone is, of each that fails."""
    none, one_alone = 0.0, [0.0] * len(failing)
    for moment, part in _moments(failing, window_h):
        chances = [one.down(moment) for one in failing]
        up = math.exp(sum(one.n * math.log1p(-q) for one, q in zip(failing, chances, strict=True)))
        none += part * up
        for at, (one, q) in enumerate(zip(failing, chances, strict=True)):
            one_alone[at] += part * up * one.n * q / (1 - q)
    return none, one_alone


def over_time(
    drawn: Sequence[Drawn],
    known: Sequence[tuple[int, float, Remains]],
    of: Callable[[State], Remains],
    *,
    window_h: float,
    rest: float,
    seed: int,
    n_states: int,
) -> KeptOverTime:
    """Return what is kept, of states that are known with their parts of the time, and of those drawn."""
    points = [(n, weight, seen, 0) for n, weight, seen in known]
    points += [(one.n_failures, one.weight, of(one.state), 1) for one in drawn]
    value = np.array([part_there(seen.total_kept) for _, _, seen, _ in points])
    weight = np.array([w for _, w, _, _ in points])
    number = np.array([n for n, *_ in points])
    variance, strata = 0.0, []
    for n in np.unique(number).tolist():
        own = number == n
        p = float(weight[own].sum())
        n_drawn = sum(is_drawn for k, _, _, is_drawn in points if k == n)
        mean = float(weight[own] @ value[own]) / p if p else 0.0
        if n_drawn > 1:
            variance += float((weight[own] ** 2) @ (value[own] - mean) ** 2) * n_drawn / (n_drawn - 1)
        strata.append(Stratum(n, p, n_drawn, mean, float(value[own].min())))
    order = np.argsort(-value, kind="stable")
    there = np.cumsum(weight[order])

    # The last of each value has all that have as much or more.
    steps = dict(zip(np.round(value[order], 4).tolist(), there.tolist(), strict=True))

    def at_least(part: float) -> float:
        at = int(np.searchsorted(there, part * (1 - 1e-12)))
        return float(value[order[at]]) if at < len(order) else 0.0

    stops = np.array([not seen.goes_on for _, _, seen, _ in points])
    unsolved = np.array([seen.total_kept is None for _, _, seen, _ in points])
    return KeptOverTime(
        window_h=window_h,
        kept=float(weight @ value),
        error=math.sqrt(variance),
        p50=at_least(0.5),
        p99=at_least(0.99),
        stopped=float(weight[stops].sum()),
        nothing=float(weight[(value == 0) & ~unsolved].sum()),
        strata=tuple(strata),
        left_out=rest,
        unsolved=float(weight[unsolved].sum()),
        n_samples=len(drawn),
        n_states=n_states,
        seed=seed,
        steps=tuple(KeptStep(*step) for step in reversed(steps.items())),
    )


def _moments(failing: Sequence[Failing], window_h: float) -> list[tuple[float, float]]:
    """Return moments of a window and what part of it each stands for.

    While what fails first is not repaired yet more and more is down, then as much as ever.
    """
    rise = min(window_h, RISE * max(one.repair_h for one in failing))
    found = []
    for begin, end, n in ((0.0, rise, MOMENTS), (rise, window_h, 1)):
        at, weight = np.polynomial.legendre.leggauss(n)
        moments = begin + (at + 1) / 2 * (end - begin)
        parts = weight / 2 * (end - begin) / window_h
        found += [(t, p) for t, p in zip(moments.tolist(), parts.tolist(), strict=True) if p]
    return found


def _binomial(n: int, q: float, most: int) -> Floats:
    """Return the probabilities of 0 to `most` of n."""
    k = np.arange(min(n, most) + 1)
    choose = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k.tolist()]
    if not q:
        return np.ones(1)
    found: Floats = np.exp(np.array(choose) + k * math.log(q) + (n - k) * math.log1p(-q))
    return found


def _numbers(sizes: Sequence[int], chances: Sequence[float]) -> Floats:
    """Return the probability of each number of failures, up to where the rest is `REST`."""
    total = np.ones(1)
    for n, q in zip(sizes, chances, strict=True):
        total = np.convolve(total, _binomial(n, q, MANY_DOWN))[: MANY_DOWN + 1]
    sums = np.cumsum(total)
    if 1 - sums[-1] > REST * 1e3:
        msg = (
            f"window: more than {MANY_DOWN} failures at once; ask about a smaller fabric, or a shorter repair"
        )
        raise LimitError(msg)
    return total[: int(np.searchsorted(sums, 1 - REST)) + 1]


def _allotted(parts: Sequence[float], n_samples: int) -> list[int]:
    """Return how many samples each stratum has, one at least: half alike, half by what they stand for."""
    whole = sum(parts) or 1.0
    return [max(1, round(n_samples * (0.5 / len(parts) + 0.5 * p / whole))) for p in parts]


def _compositions(
    sizes: Sequence[int], chances: Sequence[float], n_failures: int, n: int, rng: Random
) -> list[tuple[int, ...]]:
    """Return n draws of how many of each kind are down, given how many are in all.

    From the last kind to the first: of the kinds before it the probabilities of each sum are known.
    """
    own = [_binomial(size, q, n_failures) for size, q in zip(sizes, chances, strict=True)]
    before = [np.ones(1)]
    for one in own:
        before.append(np.convolve(before[-1], one)[: n_failures + 1])
    found = []
    for _ in range(n):
        left, counts = n_failures, []
        for at in range(len(own) - 1, -1, -1):
            weights = [
                float(p * before[at][left - i]) if left - i < len(before[at]) else 0.0
                for i, p in enumerate(own[at][: left + 1].tolist())
            ]
            counts.append(rng.choices(range(len(weights)), weights)[0])
            left -= counts[-1]
        found.append(tuple(reversed(counts)))
    return found


class _Places:
    """The devices and the cables of a job that are up, to be drawn from."""

    def __init__(self, job: FailingJob) -> None:
        self._job = job
        self._e: Expanded = expand(job.whole)
        self._in_network = _names_of(job)
        self._known: dict[tuple[str, str], tuple[Ints, Ints]] = {}

    def _of(self, kind: str, of: str) -> tuple[Ints, Ints]:
        """Return which devices or bundles are of a group or a rule, and the sum of what is up before each."""
        if (kind, of) not in self._known:
            e = self._e
            if kind == "device":
                number = [g.name for g in e.groups].index(of)
                own = np.flatnonzero((e.group == number) & ~e.failed)
                n = np.ones(len(own), dtype=np.int64)
            else:
                number = [r.name for r in e.rules].index(of)
                own = np.flatnonzero((e.rule == number) & (e.alive > 0))
                n = e.alive[own]
            self._known[kind, of] = own, np.cumsum(n)
        return self._known[kind, of]

    def state(self, failing: Sequence[Failing], counts: Sequence[int], rng: Random) -> State:
        """Return a state with so many of each kind down, no two the same."""
        down: list[Down] = []
        for one, n in zip(failing, counts, strict=True):
            if not n:
                continue
            own, until = self._of(one.kind, one.of)
            drawn = rng.sample(range(int(until[-1])), n)
            if one.of not in self._in_network:  # what no path meets changes nothing
                continue
            for at in own[np.searchsorted(until, np.array(drawn), side="right")].tolist():
                down += state_in(self._job, self._orbit(one, at))
        return state_of(down)

    def _orbit(self, one: Failing, at: int) -> Orbit:
        e = self._e
        ends = (at,) if one.kind == "device" else (int(e.tail[at]), int(e.head[at]))
        names = tuple(str(e.names[v]) for v in ends)
        return Orbit("device" if one.kind == "device" else "cable", one.of, 1, names, ends)


def _names_of(job: FailingJob) -> set[str]:
    if job.fabric.blueprint is None:
        e = expand(job.fabric)
        return {g.name for g in e.groups} | {r.name for r in e.rules}
    return {*job.fabric.blueprint.groups, *(r.name for r in job.fabric.blueprint.rules)}


def joined(failing: Iterable[Failing]) -> list[Failing]:
    """Return what fails by its name, whatever its failures do: drawn is from all of a group or a rule."""
    n: dict[Failing, int] = {}
    for one in failing:
        n[one._replace(n=0)] = n.get(one._replace(n=0), 0) + one.n
    return [one._replace(n=n_all) for one, n_all in n.items()]
