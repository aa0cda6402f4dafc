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

from fabric.arrays import Floats, Ints
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

    @cached_property
    def of_view(self) -> tuple[Ints, ...]:
        """The ranks of each view."""
        order = np.argsort(self.kind, kind="stable")
        return tuple(np.split(order, np.cumsum(np.bincount(self.kind))[:-1]))

    def totals(self, n_views: int) -> Floats:
        """Return what all ranks of each view do together, shape (n_views, columns)."""
        weights = self.n_alike[self.of].astype(np.float64)
        return np.asarray(self._sums(self.kind, weights, n_views).toarray())

    def kinds(self, number: int) -> Floats:
        """Return the different rows of the ranks of a view, shape (k, columns)."""
        rows, begin = self._kinds
        return np.asarray(rows[begin[number] : begin[number + 1]].toarray())

    @cached_property
    def _kinds(self) -> tuple[sparse.csr_array, Ints]:
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
        n_kinds = np.bincount(self.kind[first])
        return self._sums(which, weights, len(first)), np.cumsum([0, *n_kinds.tolist()])

    @property
    def _each(self) -> zip[tuple[tuple[float, Doings], Ints]]:
        return zip(self.parts, self.rows, strict=True)

    def _sets(self, value: Floats) -> tuple[Ints, Ints]:
        """Return the first of each set of ranks of one view with equal values, view by view, and all sets."""
        n = len(self.of_view)
        first, which = distinct(value)
        _, first, which = first_of(self.kind * len(first) + which, n * len(first))
        return first, which

    def _sums(self, at: Ints, weights: Floats, n: int) -> sparse.csr_array:
        """Return weighted sums of rows of ranks at each number, shape (n, columns)."""
        used = np.flatnonzero(weights)
        total = sparse.csr_array((n, self.parts[0][1].rows.shape[1]))
        for (amount, doings), row in self._each:
            entries = amount * weights[used], (at[used], row[used])
            total = total + sparse.csr_array(entries, (n, doings.rows.shape[0])) @ doings.rows
        return total


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
        has_any = [self.sums(n, np.ones((len(self._joint.of_view[n]), 1)))[:, :, 0] > 0.5 for n in numbers]
        return int(self._n_alike @ np.count_nonzero(np.any(has_any, axis=0), axis=1))

    def sums(self, number: int, values: Floats) -> Floats:
        """Return sums over blocks of values of the ranks of a view.

        Parameters
        ----------
        number : int
        values : ndarray of float64, shape (ranks of the view in `Joint`, k)

        Returns
        -------
        ndarray of float64, shape (compositions, sets of places, k)
        """
        own = self._joint.of_view[number]
        k = values.shape[1]
        cell = self._joint.of[own] * self._n_places + self._place[own]
        n_cells = len(self._joint.n_alike) * self._n_places
        of_cell = np.empty((n_cells, k))
        for i in range(k):
            of_cell[:, i] = np.bincount(cell, values[:, i], minlength=n_cells)
        if self._domains is not None:
            of_cell = self._domains @ of_cell.reshape(len(self._joint.n_alike), -1)
        return np.asarray(of_cell.reshape(-1, self._n_places, k))


def _number(digits: Mapping[str, Ints], n: int) -> Ints:
    """Return a number of those that agree on all of some axes, shape (n,)."""
    number, n_numbers = np.zeros(n, dtype=np.int64), 1
    for index in digits.values():
        radix = int(index.max(initial=0)) + 1
        known, _, number = first_of(number * radix + index, n_numbers * radix)
        n_numbers = len(known)
    return number
