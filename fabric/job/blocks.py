"""What blocks of ranks do together: ranks that agree on some axes, such as those of a NIC or of a leaf.

A block is some domains, and in each of them some places. Domains count by what they do, so that blocks of as
many domains of each doing are one *composition*::

    15 pods of a ring      62 x "on to the same pod", 1 x "on to the next pod"      one composition
    the last pod           50 x "on to the same pod", 1 x "back to the first"       another one
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """What ranks do in some patterns that run at once.

    Parameters
    ----------
    ranks : NumberedRanks
    doing : ndarray of int64, shape (number of domains,)
        What each domain does in all of them, as a number.
    n_alike : ndarray of int64, shape (number of doings,)
        Domains of each doing.
    of : ndarray of int64, shape (n,)
        The doing of each of n ranks: those at the places of one domain of each doing.
    place : ndarray of int64, shape (n,)
        Their places.
    parts : sequence of (float, Doings, ndarray of int64)
        Bytes of each pattern, what is done in it, and the row of each of these ranks, shape (n,).
    """

    ranks: NumberedRanks
    doing: Ints
    n_alike: Ints
    of: Ints
    place: Ints
    parts: Sequence[tuple[float, Doings, Ints]]

    @cached_property
    def kind(self) -> Ints:
        """View of each rank."""
        return self.ranks.kind[self.place]

    @cached_property
    def mark(self) -> Floats:
        """One random combination of what each rank does, by which sums are told apart."""
        total = np.zeros(len(self.of))
        for amount, doings, row in self.parts:
            total += amount * doings.mark[row]
        return total

    @cached_property
    def done(self) -> Floats:
        """Bytes of each rank."""
        total = np.zeros(len(self.of))
        for amount, doings, row in self.parts:
            total += amount * np.asarray(doings.rows.sum(axis=1)).ravel()[row]
        return total

    def rows(self, ranks: Ints, weights: sparse.csr_array) -> Floats:
        """Return weighted sums of what some ranks do, shape (k, columns); `weights` are (k, len(ranks))."""
        total = np.zeros((weights.shape[0], self.parts[0][1].rows.shape[1]))
        for amount, doings, row in self.parts:
            used, which = np.unique(row[ranks], return_inverse=True)
            shape = len(ranks), len(used)
            picks = sparse.csr_array(
                (np.ones(len(ranks)), (np.arange(len(ranks)), which.ravel())), shape=shape
            )
            total += amount * ((weights @ picks) @ doings.rows[used]).toarray()
        return total

    def totals(self, n_views: int) -> sparse.csr_array:
        """Return what all ranks of each view do together, shape (n_views, columns)."""
        every = np.arange(len(self.of))
        shape = n_views, len(every)
        weights = sparse.csr_array(
            (self.n_alike[self.of].astype(np.float64), (self.kind, every)), shape=shape
        )
        return sparse.csr_array(self.rows(every, weights))

    def kinds(self, number: int) -> Floats:
        """Return the different rows of the ranks of a view, shape (k, columns)."""
        own = np.flatnonzero(self.kind == number)
        first, which = distinct(self.mark[own])
        if len(first) <= MAX_KINDS:
            picks = sparse.csr_array(
                (np.ones(len(first)), (np.arange(len(first)), first)), (len(first), len(own))
            )
            return self.rows(own, picks)
        # Ranks with as much to do are then one kind, and averaged.
        first, which = distinct(self.done[own])
        return self.rows(own, _means(which, self.n_alike[self.of[own]], len(first)))


def joint_of(ranks: NumberedRanks, parts: Sequence[tuple[float, Doings]]) -> Joint:
    """Return what ranks do in some patterns at once, so many bytes of each; in none, by their sorts."""
    doing, n = ranks.sort, len(ranks.size)
    first = ranks.a_domain
    for number, (_, doings) in enumerate(parts):
        n_doings = len(doings.sort)
        # A doing tells the sort; few combinations of doings are there: they are numbered anew each time.
        code, radix = (doing * n_doings + doings.doing, n * n_doings) if number else (doings.doing, n_doings)
        _, first, doing = first_of(code, radix)
        n = len(first)
    size = ranks.size[ranks.sort[first]]
    begin = np.cumsum(size) - size
    of = np.repeat(np.arange(n), size)
    step = np.arange(len(of)) - begin[of]
    place = ranks.begin[ranks.sort[first]][of] + step
    rows = [(amount, d, d.row[d.begin[d.doing[first]][of] + step]) for amount, d in parts]
    return Joint(ranks, doing, np.bincount(doing, minlength=n), of, place, rows)


def _means(which: Ints, weight: Ints, n: int) -> sparse.csr_array:
    """Return weights of a mean of each of n sets, shape (n, len(which))."""
    total = np.bincount(which, weight, minlength=n)
    part = weight / np.maximum(total[which], 1e-300)
    return sparse.csr_array((part, (which, np.arange(len(which)))), shape=(n, len(which)))


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
        self.joint, ranks = joint, joint.ranks
        n_doings = len(joint.n_alike)
        if ranks.digits.keys() <= pinned:
            # Each domain is a block of its own.
            self._domains, self._n_alike = sparse.eye_array(n_doings, format="csr"), joint.n_alike
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
        self._place = _number(
            {a: d for a, d in ranks.place_digits.items() if a in pinned}, int(ranks.begin[-1])
        )[joint.place]
        self._n_places = int(self._place.max(initial=0)) + 1

    def _sums(self, own: Ints, values: Floats) -> Floats:
        """Return sums over blocks of values of some ranks, shape (compositions, sets of places)."""
        shape = len(self.joint.n_alike), self._n_places
        cell = self.joint.of[own] * self._n_places + self._place[own]
        of_cells = sums(cell, values, shape[0] * shape[1]).reshape(shape)
        return np.asarray(self._domains @ of_cells)

    def count(self, numbers: tuple[int, ...]) -> int:
        """Return how many blocks have ranks of any of some views."""
        own = np.flatnonzero(np.isin(self.joint.kind, numbers))
        n_ranks = self._sums(own, np.ones(len(own)))
        return int(self._n_alike @ np.count_nonzero(n_ranks, axis=1))

    def of_view(self, number: int) -> tuple[Floats, Ints]:
        """Return the different rows of what blocks' ranks of a view do, and the row of each block, or -1.

        Returns
        -------
        ndarray of float64, shape (k, columns)
        ndarray of int64, shape (compositions, sets of places)
        """
        own = np.flatnonzero(self.joint.kind == number)
        is_used = self._sums(own, np.ones(len(own))) > 0.5
        first, which = distinct(self._sums(own, self.joint.mark[own])[is_used])
        if len(first) > MAX_KINDS:
            # Blocks with as much to do are then one kind, and averaged.
            first, which = distinct(self._sums(own, self.joint.done[own])[is_used])
        kind = np.full(is_used.shape, -1, dtype=np.int64)
        kind[is_used] = which
        composition, places = np.nonzero(is_used)
        mean = _means(which, self._n_alike[composition], len(first))
        # From kinds to blocks, from blocks to doings and sets of places, from these to ranks.
        every = sparse.csr_array(
            (np.ones(len(which)), (np.arange(len(which)), composition)), (len(which), len(self._n_alike))
        )
        cells = _spread(every @ self._domains, places, self._n_places)
        cell = self.joint.of[own] * self._n_places + self._place[own]
        members = sparse.csr_array(
            (np.ones(len(own)), (cell, np.arange(len(own)))), (cells.shape[1], len(own))
        )
        return self.joint.rows(own, (mean @ cells) @ members), kind


def _spread(rows: sparse.csr_array, places: Ints, n_places: int) -> sparse.csr_array:
    """Return rows over doings as rows over doings and sets of places, each at the set of its row."""
    rows = rows.tocoo()
    column = rows.col.astype(np.int64) * n_places + places[rows.row]
    return sparse.csr_array((rows.data, (rows.row, column)), shape=(rows.shape[0], rows.shape[1] * n_places))


def _number(digits: dict[str, Ints], n: int) -> Ints:
    """Return a number of those that agree on all of some axes, shape (n,)."""
    number = np.zeros(n, dtype=np.int64)
    for index in digits.values():
        radix = int(index.max(initial=0)) + 1
        _, _, number = first_of(number * radix + index, (int(number.max(initial=0)) + 1) * radix)
    return number
