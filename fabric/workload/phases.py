"""Jobs that communicate a part of their time: how long their iterations get, and when each should begin.

An iteration computes, then communicates. While it communicates, what others send at that moment takes its
share: in company S a job is alone / rate(S) times as slow. Its iteration, 1 long alone with a part b of it
communicating, takes ``1 - b + b * E``, with E the mean of that over its communication::

    a  ####----####----      b on one circle of time with a: where both are on, both are slow
    b  --####----####--      moved by half of the period they never meet

Time runs on the circles of the jobs alone: what is slow makes an iteration longer, but moves no other
(Rajasekaran et al., "CASSINI: Network-Aware Job Scheduling in Machine Learning Clusters", NSDI 2024, section
3). For two alike jobs of one period that is exact as long as each computes for as long as it is held up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from fabric.arrays import Floats

MAX_ITERATIONS = 2_000
"""Iterations of all jobs until their periods meet, above which no offset lasts."""
_QUANTUM = 10**9
"""Periods are told apart to this part of a second."""
_BETTER = 1e-12

Company = frozenset[int]
"""Jobs that communicate at one moment."""


def random_phase(slow: Mapping[Company, Floats], busy: Floats) -> Floats:
    """Return how many times as long the iterations get on average, each job beginning at random.

    Parameters
    ----------
    slow : mapping of frozenset of int to ndarray of float64, shape (j,)
        For each company, how many times as slow each of its jobs communicates as alone.
    busy : ndarray of float64, shape (j,)
        Part of its iteration that each job communicates, alone.

    Examples
    --------
    Two jobs that communicate half of the time and share one link: a quarter of the time they meet.

    >>> slow = {frozenset([0]): np.array([1.0, 0.0]), frozenset([1]): np.array([0.0, 1.0])}
    >>> slow[frozenset([0, 1])] = np.array([2.0, 2.0])
    >>> random_phase(slow, np.array([0.5, 0.5]))
    array([1.25, 1.25])
    """
    stretch = 1 - busy
    for company, factor in slow.items():
        for i in company:
            others = np.array([b if k in company else 1 - b for k, b in enumerate(busy.tolist()) if k != i])
            stretch[i] += busy[i] * others.prod() * factor[i]
    return stretch


def best_offsets(
    slow: Mapping[Company, Floats], busy: Floats, every_s: Sequence[float]
) -> tuple[Floats, Floats] | None:
    """Return when each job should begin to communicate, and how many times as long its iterations then get.

    Parameters
    ----------
    slow, busy
        As in `random_phase`.
    every_s : sequence of float
        Length of each iteration alone [s].

    Returns
    -------
    offset_s, stretch : ndarray of float64, shape (j,), or None
        Offsets of least mean stretch, that of the first job 0; None where the periods do not meet soon, so
        that jobs drift against one another.

    Notes
    -----
    Between two coincidences of edges the mean stretch is linear in each offset, so a best one has edges that
    coincide. Of two jobs all such offsets are tried; of more each in turn, until none gets better, from every
    order in which they are put on the circle (up to six): the best that is found.

    Examples
    --------
    >>> slow = {frozenset([0]): np.array([1.0, 0.0]), frozenset([1]): np.array([0.0, 1.0])}
    >>> slow[frozenset([0, 1])] = np.array([2.0, 2.0])
    >>> best_offsets(slow, np.array([0.5, 0.5]), [1.0, 1.0])
    (array([0. , 0.5]), array([1., 1.]))
    """
    ticks = [round(Fraction(t) * _QUANTUM) for t in every_s]
    if min(ticks) < 1:
        return None
    circle = math.lcm(*ticks)
    if sum(circle // t for t in ticks) > MAX_ITERATIONS:
        return None
    clock = _Circle(slow, busy, np.array(every_s), circle / _QUANTUM)
    orders = itertools.islice(itertools.permutations(range(1, len(ticks))), 6)
    found = [clock.settle((0, *order)) for order in orders]
    best = min(found, key=lambda offset: round(float(clock.stretch(offset).mean()), 12))
    return best, clock.stretch(best)


class _Circle:
    """Jobs on the circle on which all their periods meet."""

    def __init__(self, slow: Mapping[Company, Floats], busy: Floats, every: Floats, around: float) -> None:
        n = len(busy)
        self._busy, self._every, self._around = busy, every, around
        # By company as a number: bit i for job i.
        self._slow = np.zeros((1 << n, n))
        for company, factor in slow.items():
            self._slow[sum(1 << i for i in company)] = factor

    def stretch(self, offset: Floats, jobs: Sequence[int] | None = None) -> Floats:
        """Return how many times as long the iterations of some jobs get, shape (j,)."""
        chosen = list(range(len(self._busy))) if jobs is None else list(jobs)
        edges = np.unique(np.concatenate([self._edges(i, offset[i]) for i in chosen] + [np.zeros(1)]))
        length = np.diff(np.append(edges, self._around))
        middle = edges + length / 2
        on = np.zeros((len(self._busy), len(edges)), dtype=np.bool_)
        for i in chosen:
            on[i] = np.mod(middle - offset[i], self._every[i]) < self._busy[i] * self._every[i]
        company = ((1 << np.arange(len(self._busy)))[:, None] * on).sum(axis=0)
        lost = (self._slow[company].T * on * length).sum(axis=1) / self._around
        return np.asarray(1 - self._busy + lost, dtype=np.float64)

    def settle(self, order: Sequence[int]) -> Floats:
        """Return offsets that no job alone can better, put on the circle in some order."""
        offset = np.zeros(len(self._busy))
        for at in range(1, len(order)):
            self._move(offset, order[at], order[: at + 1])
        before = np.inf
        while (now := float(self.stretch(offset).mean())) < before - _BETTER:
            before = now
            for i in order[1:]:
                self._move(offset, i, order)
        return offset

    def _move(self, offset: Floats, i: int, jobs: Sequence[int]) -> None:
        """Put a job where the mean stretch of some is least: an edge of it on one of another."""
        others = np.concatenate([self._edges(k, offset[k]) for k in jobs if k != i])
        own = np.array([0.0, self._busy[i] * self._every[i]])
        places = np.unique(np.round(np.mod(others[:, None] - own, self._every[i]), 12).ravel())
        trial = offset.copy()
        best, least = offset[i], np.inf
        for place in places.tolist():
            trial[i] = place
            mean = float(self.stretch(trial, jobs).mean())
            if mean < least - _BETTER:
                best, least = place, mean
        offset[i] = best

    def _edges(self, i: int, offset: float) -> Floats:
        """Return when a job begins and ends to communicate on the circle."""
        begins = offset + self._every[i] * np.arange(round(self._around / self._every[i]))
        ends = begins + self._busy[i] * self._every[i]
        return np.asarray(np.mod(np.concatenate([begins, ends]), self._around), dtype=np.float64)
