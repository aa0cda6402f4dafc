"""Cables that run below their rate: what a file may say of them, and how many of a pair run at which part.

A mark on cables has a part, what they still have of their rate; of what has failed it is 0. Where several
marks are on one pair, those that have failed are the first of its cables, as many as are counted as slow are
the next ones, the slowest first, and a mark on all of them makes none faster::

    count: 4, failed: 1 of them, degraded: 1 at 1/2            down, 1/2, 1, 1
    and degraded: all at 3/4                                   down, 1/2, 3/4, 3/4
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fabric import units
from fabric.arrays import Bools, Floats
from fabric.blueprint.model import Blueprint, MarkedCables, Origin, Rule, Selector
from fabric.blueprint.selector import selected_groups
from fabric.errors import UnitError
from fabric.units import format_rate

_QUOTIENT = re.compile(r"(?P<over>[0-9]{1,9})[ ]*/[ ]*(?P<under>[0-9]{1,9})")
EVERY = Selector("*", None)
"""The other end of the cables of a device."""
LEAST_PART = 1e-12
"""Of its rate that a slow cable has: below it times are no numbers any more."""
_FORMS = "expected a part of its rate, such as 1/2, 50% or 0.5, or a rate, such as 200Gb/s"


class Slow(NamedTuple):
    """How fast a slow cable is.

    Parameters
    ----------
    said : str
        As the user wrote it.
    part : float
        Of its rate; 0 where a rate is said.
    rate_gbps : float
        Per direction [Gb/s]; 0 where a part is said.
    """

    said: str
    part: float = 0.0
    rate_gbps: float = 0.0

    def of(self, rate_gbps: float) -> float:
        """Return the part that a cable of a rate [Gb/s] has; 1 where it is no faster than what is said."""
        return self.part or min(self.rate_gbps / rate_gbps, 1.0)


def read_slow(value: object) -> Slow:
    """Read how fast a slow cable is: a part of its rate, or a rate.

    Raises
    ------
    ValueError
        If it is neither, or no part between 0 and 1.

    Examples
    --------
    >>> read_slow("1/4").part, read_slow("50%").part, read_slow(0.5).part, read_slow("200Gb/s").rate_gbps
    (0.25, 0.5, 0.5, 200.0)
    >>> read_slow("4/4")
    Traceback (most recent call last):
        ...
    ValueError: a slow cable has a part between 0 and 1 of its rate; got 4/4
    """
    said = value.strip() if isinstance(value, str) else value
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        raise ValueError(_FORMS)
    if isinstance(said, str):
        part = _part(said)
    else:
        # Whole numbers of any size, which no float holds, are finite.
        part = Fraction(str(said)) if isinstance(said, int) or math.isfinite(said) else None
    if part is None:
        try:
            return Slow(str(said), rate_gbps=units.parse_rate(said))
        except UnitError as error:
            msg = f"{_FORMS}; {error}"
            raise ValueError(msg) from None
    if part == 0:
        msg = "a cable that carries nothing has failed: write it in failed"
        raise ValueError(msg)
    if 0 < part < LEAST_PART:
        msg = f"a part of {said} is too small; expected at least {LEAST_PART:g}, or write it in failed"
        raise ValueError(msg)
    if not 0 < part < 1 or not 0 < float(part) < 1:
        msg = f"a slow cable has a part between 0 and 1 of its rate; got {said}"
        raise ValueError(msg)
    return Slow(f"{said}", part=float(part))


def _part(text: str) -> Fraction | None:
    """Return the part that a text says, or None where it is something else, such as a rate."""
    quotient = _QUOTIENT.fullmatch(text)
    if quotient:
        under = int(quotient["under"])
        return Fraction(int(quotient["over"]), under) if under else None
    whole = 100 if text.endswith("%") else 1
    try:
        return Fraction(units.parse_number(text.removesuffix("%").rstrip())) / whole
    except UnitError:
        return None


class SlowCables(NamedTuple):
    """Cables that are slow, before it is known which rules they are of.

    Parameters
    ----------
    ends : tuple of Selector
        Two, or one whose cables are all meant.
    n : int or None
        How many cables; None for all.
    slow : Slow
    origin : Origin
    """

    ends: tuple[Selector, ...]
    n: int | None
    slow: Slow
    origin: Origin

    def marks(self, blueprint: Blueprint) -> list[MarkedCables] | str:
        """Return what marks the cables of a whole blueprint, or what is wrong with it."""
        left, right = (*self.ends, EVERY)[:2]
        rules, said = _between(blueprint, left, right), self.slow.said
        slower = {rule.name: part for rule in rules if (part := self.slow.of(rule.rate_gbps)) < 1}
        if rules and not slower:
            own = " and ".join(format_rate(rate) for rate in sorted({rule.rate_gbps for rule in rules}))
            return f"not slower: {said}, where the cables are of {own}"
        mark = MarkedCables(left, right, self.n, self.origin, said=said)
        if self.slow.part or not rules:
            return [replace(mark, part=self.slow.part or 0.5)]
        if len(slower) == len(rules) and len(set(slower.values())) == 1:
            return [replace(mark, part=part) for part in set(slower.values())]
        if self.n is not None:
            of = f"{self.n} of the cables are of several rates"
            return f"{of}; say a part of them, such as 1/2, in place of {said}"
        return [replace(mark, rule=name, part=part) for name, part in slower.items()]


def _between(blueprint: Blueprint, left: Selector, right: Selector) -> list[Rule]:
    """Return the rules between groups that two selectors name."""
    a, b = (set(selected_groups(blueprint, side)) for side in (left, right))
    return [
        rule
        for rule in blueprint.rules
        if any(x in a and y in b for x, y in (rule.groups, rule.groups[::-1]))
    ]


def parts_of(blueprint: Blueprint) -> tuple[float, ...]:
    """Return the parts of their rate that cables have: the whole, then those of slow ones, ascending."""
    return (1.0, *sorted({cables.part for cables in blueprint.marked_cables if cables.part}))


def by_part(
    up: Floats, n_pairs: Floats, marks: Sequence[tuple[MarkedCables, Bools]], parts: Sequence[float]
) -> Floats:
    """Return how many cables of each pair of devices have which part of their rate.

    Parameters
    ----------
    up : ndarray of float64, shape (k,)
        Cables of a pair that are up.
    n_pairs : ndarray of float64, shape (k,)
        Pairs of devices that each stands for, all alike.
    marks : sequence of (MarkedCables, ndarray of bool, shape (k,))
        On slow cables, and which pairs are meant.
    parts : sequence of float, length p
        As `parts_of`.

    Returns
    -------
    ndarray of float64, shape (k, p)
    """
    table = np.zeros((len(up), len(parts)))
    table[:, 0] = up
    # So many cables are marked once each, however many marks there are; in an order that no name is in.
    for cables, hit in sorted((m for m in marks if m[0].n is not None), key=lambda m: m[0].part):
        room = np.where(hit, table[:, 0] * n_pairs, 0.0)
        n = n_pairs * (cables.n or 0) if cables.is_each else (cables.n or 0) - (np.cumsum(room) - room)
        taken = np.clip(n, 0, room) / np.maximum(n_pairs, 1.0)
        table[:, 0] -= taken
        table[:, parts.index(cables.part)] += taken
    for cables, hit in (m for m in marks if m[0].n is None):
        for column in (i for i, part in enumerate(parts) if part > cables.part):
            moved = np.where(hit, table[:, column], 0.0)
            table[:, column] -= moved
            table[:, parts.index(cables.part)] += moved
    return table
