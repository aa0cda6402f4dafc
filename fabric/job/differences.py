"""Who sends to whom by how their places differ: all of a pattern that no relabelling of axes changes.

Two ranks differ on each axis not at all, or, on a ring, by some places one way round, or else just so. A
pattern among a million ranks is then a short row: what a rank sends to, or receives from, others by their
difference::

    ring of 3 pods x 4 racks     pod rack
                                  .    x     9 of 12 messages go to another rack of the pod
                                  x    x     3 of 12 go on to a rack of the next pod

Ranks have different rows, here two: those at the end of a pod, and the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.schedule.patterns import edges
from fabric.schedule.tree import Over, Pattern

Difference = tuple[int, ...]
"""On each axis of the ranks: 0 not at all; on a ring, by so many places; 1 elsewhere."""

MAX_KINDS = 64
"""Different rows of ranks that are told apart; of more, those of ranks with as much to do are averaged."""
# Domains times kinds that are counted at once.
_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Kinds:
    """The different rows of ranks, sending or receiving.

    Parameters
    ----------
    rows : ndarray of float64, shape (k, number of differences)
    mates : ndarray of bool, shape (k, k)
        Which kinds another rank in the scale-up domain of a rank of each kind may be of.
    """

    rows: Floats
    mates: Bools

    def most_of_mates(self, values: Floats) -> Floats:
        """Return the largest value of the kinds of mates, for each kind; 0 where there is no mate."""
        return np.stack([values[own].max(axis=0, initial=0.0) for own in self.mates])


@dataclass(frozen=True, eq=False)
class Rows:
    """What ranks send and receive by difference, when the busiest sends or receives one byte.

    Parameters
    ----------
    mean : ndarray of float64, shape (number of differences,)
        Of all ranks.
    sent, received : Kinds
    """

    mean: Floats
    sent: Kinds
    received: Kinds

    @classmethod
    def alike(cls, mean: Floats) -> Rows:
        """Return the rows of ranks that all do the same."""
        every = Kinds(mean[None], np.ones((1, 1), dtype=np.bool_))
        return cls(mean, every, every)


@dataclass(frozen=True, eq=False)
class RankPlaces:
    """How the ranks of a job lie on axes.

    Parameters
    ----------
    order : tuple of str
        Primitive axes, outermost first; their product are the ranks of all instances.
    size : dict of str to int
        Indices of each axis that the job takes up.
    rings : frozenset of str
        Axes on which places count.
    spans : frozenset of str
        Axes of one instance.
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ.
    n_alike : dict of tuple to float
        For each difference, the ranks that differ so from any one.
    """

    order: tuple[str, ...]
    size: dict[str, int]
    rings: frozenset[str]
    spans: frozenset[str]
    domain: frozenset[str]
    n_alike: dict[Difference, float]
    _digits: dict[tuple[str, ...], list[Ints]] = field(default_factory=dict)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """All differences, in the order of columns."""
        return tuple(d for d in self.n_alike if any(d))

    @cached_property
    def mates(self) -> Bools:
        """Which differences are those of ranks of one scale-up domain."""
        inside = np.array([axis in self.domain for axis in self.order], dtype=np.bool_)
        return np.array([not any(np.array(d)[~inside]) for d in self.differences], dtype=np.bool_)

    @cached_property
    def column(self) -> dict[Difference, int]:
        """The column of each difference."""
        return {d: i for i, d in enumerate(self.differences)}

    def axes(self, pattern: Pattern) -> tuple[str, ...]:
        """Return the axes along which ranks of one group of `pattern` differ, outermost first."""
        if pattern.over == "axis":
            return (pattern.axis,)
        across = tuple(a for a in self.order if a in self.spans - self.domain)
        inside = tuple(a for a in self.order if a in self.spans & self.domain)
        return {"job": across + inside, "rail": across, "domain": inside}[pattern.over]

    def rows(self, pattern: Pattern) -> Rows:
        """Return what ranks send and receive in a pattern among ranks."""
        axes = self.axes(pattern)
        if all(self.size[a] == 1 for a in axes):
            return Rows.alike(np.zeros(len(self.differences)))
        if pattern.kind == "rotated-rings":
            return self._rotated()
        if pattern.kind == "pairwise":
            mean = self.alike(axes)
            return Rows.alike(mean / mean.sum())
        if pattern.kind in ("ring", "shift"):
            return self._shifted(axes, pattern.by if pattern.kind == "shift" else 1, pattern.over)
        return self._of_edges(pattern, axes)

    def alike(self, axes: tuple[str, ...]) -> Floats:
        """Return the ranks at each difference along some axes, shape (number of differences,)."""
        is_in = [a in axes for a in self.order]
        return np.array(
            [
                self.n_alike[d] * all(own for own, places in zip(is_in, d, strict=True) if places)
                for d in self.differences
            ]
        )

    def opposite(self, difference: Difference) -> Difference:
        """Return how b differs from a, where a differs from b by `difference`."""
        return tuple(
            self._told(a, -places) if places else 0 for a, places in zip(self.order, difference, strict=True)
        )

    def legs(self) -> sparse.csr_array:
        """Return the ways of traffic that goes to the right rail first, shape (differences, differences).

        Row d has a 1 for every leg: inside the domain, and on the rail.
        """
        row, column = [], []
        for i, difference in enumerate(self.differences):
            for is_inside in (True, False):
                leg = tuple(
                    p if (a in self.domain) is is_inside else 0
                    for a, p in zip(self.order, difference, strict=True)
                )
                if any(leg):
                    row.append(i)
                    column.append(self.column[leg])
        shape = (len(self.differences),) * 2
        return sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)

    def _told(self, axis: str, places: int) -> int:
        """Return how a difference by some places, not a multiple of the size, is told on an axis."""
        return places % self.size[axis] if axis in self.rings else 1

    def _rotated(self) -> Rows:
        """Return the rows of rings that visit every domain, each in another order.

        A rank sends on along its domain in all of them but the one in which it ends the domain. With an odd
        number of domains, what closes a ring changes the rail; this is left out.
        """
        inside = self.rows(Pattern("ring", "domain"))
        across = self.rows(Pattern("ring", "rail"))
        if not (inside.mean.any() and across.mean.any()):
            return across if across.mean.any() else inside
        g = math.prod(self.size[a] for a in self.axes(Pattern("ring", "domain")))

        def both(a: Floats, b: Floats) -> Floats:
            return np.asarray((a[:, None] * (1 - 1 / g) + b[None] / g).reshape(-1, a.shape[1]))

        def kinds(a: Kinds, b: Kinds) -> Kinds:
            # All ranks of a domain go on to the same one.
            return Kinds(both(a.rows, b.rows), np.kron(a.mates, np.eye(len(b.rows), dtype=np.bool_)))

        mean = both(inside.mean[None], across.mean[None])[0]
        return Rows(mean, kinds(inside.sent, across.sent), kinds(inside.received, across.received))

    def _shifted(self, axes: tuple[str, ...], by: int, over: Over) -> Rows:
        """Return the rows of a shift: the sum is carried from axis to axis, the last first."""
        rest = by % math.prod(self.size[a] for a in axes)
        # Part of the ranks, by what is carried on, what was carried out of the domain, and the difference.
        parts: dict[tuple[int, int, Difference], float] = {(0, 0, (0,) * len(self.order)): 1.0}
        for axis in reversed(axes):
            n, at = self.size[axis], self.order.index(axis)
            rest, own = divmod(rest, n)
            found: dict[tuple[int, int, Difference], float] = {}
            for (carry, out, so_far), part in parts.items():
                places = own + carry
                told = self._told(axis, places) if places % n else 0
                difference = (*so_far[:at], told, *so_far[at + 1 :])
                for carries, alike in ((0, n - places), (1, places)):
                    key = (carries, carries if axis in self.domain else out, difference)
                    if alike:
                        found[key] = found.get(key, 0.0) + part * alike / n
            parts = found
        known: dict[tuple[int, Difference], float] = {}
        for (_, out, difference), part in parts.items():
            known[out, difference] = known.get((out, difference), 0.0) + part
        rows = np.zeros((len(known), len(self.differences)))
        for row, (_, difference) in zip(rows, known, strict=True):
            if any(difference):
                row[self.column[difference]] = 1.0
        every = self._kinds(rows, self._are_mates(list(known), by), over)
        return Rows(np.array(list(known.values())) @ rows, every, every)

    def _kinds(self, rows: Floats, mates: Bools, over: Over) -> Kinds:
        """Return rows with their mates: in one group, and those who run it alike beside it in the domain."""
        twins = np.eye(len(rows), dtype=np.bool_)
        if over in ("rail", "axis"):
            return Kinds(rows, twins)
        is_divided = any(self.size[a] > 1 for a in self.domain - self.spans)
        return Kinds(rows, mates | twins if is_divided else mates)

    def _are_mates(self, kinds: list[tuple[int, Difference]], by: int) -> Bools:
        """Return which kinds of ranks may be in one domain in a shift among all, shape (k, k).

        Parameters
        ----------
        kinds : list of (int, tuple)
            What is carried out of the domain, and the difference: ranks of a domain that carry out alike go
            on to the same domain.
        by : int
            The shift.
        """
        g = math.prod(self.size[a] for a in self.order if a in self.spans & self.domain)
        out = np.array([carry for carry, _ in kinds])
        across = [
            tuple(p for a, p in zip(self.order, d, strict=True) if a not in self.domain) for _, d in kinds
        ]
        number = {d: i for i, d in enumerate(dict.fromkeys(across))}
        to = np.array([number[d] for d in across])
        found = (out[:, None] != out) | (to[:, None] == to)
        alone = np.where(out == 1, by % g, g - by % g) < 2
        found[np.diag_indices(len(kinds))] &= ~alone
        return np.asarray(found)

    def _of_edges(self, pattern: Pattern, axes: tuple[str, ...]) -> Rows:
        """Return the rows of a pattern, by all of its messages in one group."""
        m = math.prod(self.size[a] for a in axes)
        some = edges(pattern.kind, m, pattern.by)
        column = self._columns(axes, some.source, some.target)
        n = len(self.differences)
        g = math.prod(self.size[a] for a in axes if a in self.domain)
        found = []
        for end in (some.source, some.target):
            rows, kind = _rows(end, column, some.weight, (m, n))
            found.append(self._kinds(rows, _together(kind, g), pattern.over))
        return Rows(np.bincount(column, some.weight, minlength=n) / m, *found)

    def _columns(self, axes: tuple[str, ...], source: Ints, target: Ints) -> Ints:
        """Return the columns of the differences between members of one group, shape (k,)."""
        if axes not in self._digits:
            shape = [self.size[a] for a in axes]
            every = np.arange(math.prod(shape))
            ends = np.unravel_index(every, shape)
            # Narrow numbers: a million ranks are compared on every axis.
            self._digits[axes] = [d.astype(np.min_scalar_type(-n)) for d, n in zip(ends, shape, strict=True)]
        digits = dict(zip(axes, self._digits[axes], strict=True))
        radix = [self.size[a] if a in self.rings else 2 for a in self.order]
        code = np.zeros(len(source), dtype=np.min_scalar_type(-math.prod(radix)))
        for axis, n in zip(self.order, radix, strict=True):
            code *= n
            if axis not in digits:
                continue
            a, b = digits[axis][source], digits[axis][target]
            if axis in self.rings:
                code += ((b.astype(np.int64) - a) % n).astype(code.dtype)
            else:
                code += a != b
        known = np.zeros(math.prod(radix), dtype=np.int64)
        known[np.ravel_multi_index(np.array(self.differences).T, radix)] = np.arange(len(self.differences))
        return known[code]


def _rows(end: Ints, column: Ints, weight: Floats, shape: tuple[int, int]) -> tuple[Floats, Ints]:
    """Return the different rows of what m members send, or receive, in n columns, and the row of each member.

    Returns
    -------
    ndarray of float64, shape (k, n)
    ndarray of int64, shape (m,)
    """
    m, n = shape
    # Rows are told apart by one random combination of their columns.
    salt = np.random.default_rng(0).random(n)
    label = np.bincount(end, weight * salt[column], minlength=m).round(9)
    values = np.unique(label)
    if len(values) > MAX_KINDS:
        label = np.bincount(end, weight, minlength=m).round(9)
        values = np.unique(label)
    kind = np.searchsorted(values, label)
    sums = np.bincount(kind[end] * n + column, weight, minlength=len(values) * n)
    return sums.reshape(-1, n) / np.bincount(kind)[:, None], kind


def _together(kind: Ints, g: int) -> Bools:
    """Return which kinds two different ranks of one domain may have, with g ranks a domain, shape (k, k)."""
    n = int(kind.max()) + 1
    found, twice = np.zeros((n, n)), np.zeros(n, dtype=np.bool_)
    step = max(_CELLS // n, 1) * g
    for first in range(0, len(kind) if g > 1 else 0, step):
        own = kind[first : first + step]
        count = np.bincount(np.arange(len(own)) // g * n + own, minlength=len(own) // g * n).reshape(-1, n)
        is_here = (count > 0).astype(np.float32)
        found += is_here.T @ is_here
        twice |= (count > 1).any(axis=0)
    np.fill_diagonal(found, twice)
    return found > 0
