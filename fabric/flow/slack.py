"""Slack: what part of its capacity a class of links can lose while a rate is still met.

A flow that meets the rate says at least how much, and the least toll that all demands must pay says at most::

    sum(capacity of the class) * (1 - spare)  >=  rate * sum(demand * links of the class on its shortest way)

Where the two are equal, for any flow that is known, no program is solved.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fabric.arrays import Ints
from fabric.flow.commodities import Commodities, Solution
from fabric.flow.concurrent import price_bound
from fabric.flow.program import NO_PART, ClassProgram

_EQUAL = 1e-9


class SpareCapacity:
    """What the classes of links of a solved question can spare, each set alone.

    Parameters
    ----------
    work : Commodities
    program : ClassProgram
    answer : Solution
        Its rate is the one to be met.
    """

    def __init__(self, work: Commodities, program: ClassProgram, answer: Solution) -> None:
        self._work, self._program, self._rate_gbps = work, program, answer.rate_gbps
        # Load over capacity of every base class, in each flow that is known to meet the rate.
        self._uses = [work.use(answer.flow)]
        self._uppers: dict[bytes, float] = {}

    def spares(self, sets: Sequence[Ints]) -> list[float]:
        """Return the largest part of their capacity that the links of each of some sets can lose, each alone.

        Parameters
        ----------
        sets : sequence of ndarray of int64
            Base classes; all of one set lose the same part.
        """
        known = [self._known(classes) for classes in sets]
        if None not in known:
            return [part for part in known if part is not None]
        if known.count(None) > 1:
            # Of what goes no way round without need most sets carry the least.
            self._uses.append(self._program.least_use(self._rate_gbps))
        return [self._measure(classes) for classes in sets]

    def _measure(self, classes: Ints) -> float:
        """Return what a set can lose, by the program where no flow that is known shows it."""
        known = self._known(classes)
        if known is not None:
            return known
        spare, use = self._program.spare(self._rate_gbps, classes)
        # A flow that spares one set may spare the next as well.
        self._uses.append(use)
        return spare

    def _known(self, classes: Ints) -> float | None:
        """Return what a set can lose, where that is what some flow leaves idle, else None."""
        # Lower bound: the flow whose busiest link of the set is least busy. Upper bound: prices on the set.
        busy = min((use[classes] for use in self._uses), key=np.max)
        idle = 1.0 - float(busy.max())
        tight = classes[busy >= busy.max() - _EQUAL]
        # The busiest of the set first: mostly they are tight alone.
        if idle < self._upper(tight) - _EQUAL and idle < self._upper(classes) - _EQUAL:
            return None
        return idle if idle > NO_PART else 0.0

    def _upper(self, classes: Ints) -> float:
        """Return the part that some classes can lose at most: with a price on them alone."""
        key = classes.tobytes()
        if key not in self._uppers:
            price = np.zeros(len(self._work.capacity))
            price[classes] = 1.0
            self._uppers[key] = 1.0 - self._rate_gbps / price_bound(self._work, price)
        return self._uppers[key]
