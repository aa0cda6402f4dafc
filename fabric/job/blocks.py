"""What blocks of ranks do together: ranks that agree on some axes, such as those of a NIC or of a leaf.

A block is some domains, and in each of them some places. Domains count by what they do, so that blocks of as
many domains of each doing are one *composition*::

    15 pods of a ring      62 x "on to the same pod", 1 x "on to the next pod"      one composition
    the last pod           50 x "on to the same pod", 1 x "back to the first"       another one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.job.differences import MAX_KINDS
from fabric.job.doings import Doings, distinct, first_of, sums
from fabric.job.domains import NumberedRanks


@dataclass(frozen=True, eq=False)
class Joint:
    """What ranks do in some patterns that run at once: those at the places of one domain of each doing.

    Parameters
    ----------
    ranks : NumberedRanks
    doing : ndarray of int64, shape (number of domains,)
        What each domain does in all of them, as a number.
    n_alike : ndarray of int64, shape (number of doings,)
        Domains of each doing.
    of : ndarray of int64, shape (n,)
        The doing of each rank.
    place : ndarray of int64, shape (n,)
        Its place.
    parts : sequence of (float, Doings)
        Bytes of each pattern, and what is done in it.
    rows : sequence of ndarray of int64, shape (n,)
        For each pattern, the row of each rank.
    """

    ranks: NumberedRanks
    doing: Ints
    n_alike: Ints
    of: Ints
    place: Ints
    parts: Sequence[tuple[float, Doings]]
    rows: Sequence[Ints]

    @cached_property
    def kind(self) -> Ints:
        """View of each rank."""
        return self.ranks.kind[self.place]

    def totals(self) -> Floats:
        """Return what all ranks of each view do together, shape (columns,)."""
        weights = self.n_alike[self.of].astype(np.float64)
        rows = [a * (sums(row, weights, d.rows.shape[0]) @ d.rows) for (a, d), row in self._each]
        return np.asarray(np.sum(rows, axis=0))

    @cached_property
    def kinds(self) -> tuple[sparse.csr_array, Ints]:
        """The different rows of ranks, those of one view after those of another, and where each begins."""
        first, which = self._sets(np.sum([a * d.mark[row] for (a, d), row in self._each], axis=0))
        many = np.bincount(self.kind[first]) > MAX_KINDS
        weights = np.zeros(len(which))
        weights[first] = 1.0
        if many.any():
            # Ranks of a view with as much to do are then one kind, and averaged.
            done = [a * np.asarray(d.rows.sum(axis=1)).ravel()[row] for (a, d), row in self._each]
            first, which = self._sets(np.where(many[self.kind], np.sum(done, axis=0), which + 1.0))
            weights = self.n_alike[self.of] / sums(which, self.n_alike[self.of].astype(np.float64), 0)[which]
        used = np.flatnonzero(weights)
        onto = [
            sparse.csr_array((weights[used], (which[used], row[used])), (len(first), d.rows.shape[0]))
            for (_, d), row in self._each
        ]
        return self.rows_of(onto), np.cumsum([0, *np.bincount(self.kind[first]).tolist()])

    def rows_of(self, onto: Sequence[sparse.csr_array]) -> sparse.csr_array:
        """Return sums of rows, of which each pattern has so many, shape (n, columns).

        Parameters
        ----------
        onto : sequence of sparse arrays, shape (n, rows of a pattern)
        """
        parts = [m @ (amount * doings.rows) for m, (amount, doings) in zip(onto, self.parts, strict=True)]
        return sparse.csr_array(sum(parts[1:], start=parts[0]))

    @property
    def _each(self) -> zip[tuple[tuple[float, Doings], Ints]]:
        return zip(self.parts, self.rows, strict=True)

    def _sets(self, value: Floats) -> tuple[Ints, Ints]:
        """Return the first of each set of ranks of one view with equal values, view by view, and all sets."""
        n = int(self.kind.max(initial=0)) + 1
        first, which = distinct(value)
        _, first, which = first_of(self.kind * len(first) + which, n * len(first))
        return first, which


def joint_of(ranks: NumberedRanks, parts: Sequence[tuple[float, Doings]]) -> Joint:
    """Return what ranks do in some patterns at once, so many bytes of each; in none, by their sorts."""
    doing, first, n = ranks.sort, ranks.a_domain, len(ranks.size)
    for _, doings in parts:
        # Few combinations of doings are there: they are numbered anew each time.
        n_doings = len(doings.sort)
        _, first, doing = first_of(doing * n_doings + doings.doing, n * n_doings)
        n = len(first)
    size = ranks.size[ranks.sort[first]]
    begin = np.cumsum(size) - size
    of = np.repeat(np.arange(n), size)
    step = np.arange(len(of)) - begin[of]
    place = ranks.begin[ranks.sort[first]][of] + step
    rows = [d.row[d.begin[d.doing[first]][of] + step] for _, d in parts]
    return Joint(ranks, doing, np.bincount(doing, minlength=n), of, place, parts, rows)


class Blocks:
    """Blocks of ranks that agree on some axes: compositions of domains, and in them sets of places.

    Parameters
    ----------
    joint : Joint
        What ranks do.
    pinned : frozenset of str
        Axes on which the ranks of a block agree.
    """

    def __init__(self, joint: Joint, pinned: frozenset[str]) -> None:
        self._joint, ranks = joint, joint.ranks
        n_doings = len(joint.n_alike)
        self._domains: sparse.csr_array | None = None
        if ranks.digits.keys() <= pinned:
            # Each domain is a block of its own.
            self._n_alike = joint.n_alike
        else:
            block = _number({a: d for a, d in ranks.digits.items() if a in pinned}, ranks.n_domains)
            salt = np.random.default_rng(3).random(n_doings)
            first, composition = distinct(sums(block, salt[joint.doing], 0))
            # One block of each composition tells of all of them.
            at = np.full(len(composition), -1, dtype=np.int64)
            at[first] = np.arange(len(first))
            is_in = at[block] >= 0
            entries = np.ones(int(is_in.sum())), (at[block[is_in]], joint.doing[is_in])
            self._domains = sparse.csr_array(entries, shape=(len(first), n_doings))
            self._n_alike = np.bincount(composition)
        pins = {a: d for a, d in ranks.place_digits.items() if a in pinned}
        self._place = _number(pins, int(ranks.begin[-1]))[joint.place]
        self._n_places = int(self._place.max(initial=0)) + 1

    def count(self, numbers: tuple[int, ...]) -> int:
        """Return how many blocks have ranks of any of some views."""
        has_any = self._has[:, list(numbers)].any(axis=1).reshape(-1, self._n_places)
        return int(self._n_alike @ np.count_nonzero(has_any, axis=1))

    @cached_property
    def _has(self) -> Bools:
        """Whether blocks have ranks of each view, shape (compositions x sets of places, views)."""
        n_views = int(self._joint.ranks.kind.max(initial=0)) + 1
        return np.asarray(self._onto(self._joint.kind, n_views).toarray() > 0)

    def rows(self) -> sparse.csr_array:
        """Return what the ranks of blocks do together, shape (compositions x sets of places, columns)."""
        joint = self._joint
        every = zip(joint.parts, joint.rows, strict=True)
        return joint.rows_of([self._onto(row, d.rows.shape[0]) for (_, d), row in every])

    def _onto(self, number: Ints, n: int) -> sparse.csr_array:
        """Return how many ranks of each block have each number, for the number of each rank below n."""
        n_doings = len(self._joint.n_alike)
        cell = self._joint.of * self._n_places + self._place
        onto = sparse.csr_array((np.ones(len(cell)), (cell, number)), shape=(n_doings * self._n_places, n))
        if self._domains is None:
            return onto
        return sparse.kron(self._domains, sparse.eye_array(self._n_places), format="csr") @ onto


def _number(digits: Mapping[str, Ints], n: int) -> Ints:
    """Return a number of those that agree on all of some axes, shape (n,)."""
    number, n_numbers = np.zeros(n, dtype=np.int64), 1
    for index in digits.values():
        radix = int(index.max(initial=0)) + 1
        known, _, number = first_of(number * radix + index, n_numbers * radix)
        n_numbers = len(known)
    return number
