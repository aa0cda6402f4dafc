"""Links that blocks of ranks share: those that are near to all ranks which agree on some axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Shared:
    """Links that are near to blocks of ranks, those that agree on some axes.

    Parameters
    ----------
    pinned : frozenset of str
        These axes.
    is_sent : bool
        Whether they carry what these ranks send, or what they receive.
    base : ndarray of int64, shape (k,)
        Classes of links in the base, ascending.
    links, view, of : ndarray of int64, shape (n,)
        Links of the views, one after the other, the view of each, and which of the classes it is of; classes
        ascend, and views of each.
    n_ranks : ndarray of float64, shape (n,)
        Ranks of the view in a block, on average of those that have any of the ranks of this class of links.
    on_cable : sparse array, shape (columns, n)
        What a byte of each column puts on a cable of them.
    """

    pinned: frozenset[str]
    is_sent: bool
    base: Ints
    links: Ints
    view: Ints
    of: Ints
    n_ranks: Floats
    on_cable: sparse.csr_array

    @cached_property
    def _group(self) -> Ints:
        """Number of the view and class of each link, ascending."""
        is_new = (np.diff(self.of) > 0) | (np.diff(self.view) != 0)
        return np.cumsum([0, *is_new.tolist()])

    @cached_property
    def _class(self) -> Ints:
        """The class of each of these."""
        return self.of[np.unique(self._group, return_index=True)[1]]

    def together(self, loads: sparse.csr_array) -> Floats:
        """Return what blocks put on a cable of each class at most, shape (k,).

        Of the links of a view that are of one class the busiest counts; views add up.

        Parameters
        ----------
        loads : sparse array, shape (blocks, n)
        """
        loads.sum_duplicates()  # sorts the links of each block as well
        row = np.repeat(np.arange(loads.shape[0]), np.diff(loads.indptr))
        group = row * (int(self._group[-1]) + 1) + self._group[loads.indices]
        most, at = _reduced(np.maximum, loads.data, group)
        of = self._class[self._group[loads.indices[at]]]
        total, at = _reduced(np.add, most, row[at] * len(self.base) + of)
        busiest = np.zeros(len(self.base))
        np.maximum.at(busiest, of[at], total)
        return busiest


def _reduced(how: np.ufunc, values: Floats, key: Ints) -> tuple[Floats, Ints]:
    """Return the values of each key, ascending, put together, and the first place of each."""
    if not len(key):
        return values, key
    is_first: Bools = np.concatenate([[True], np.diff(key) > 0])
    at = np.flatnonzero(is_first)
    return np.asarray(how.reduceat(values, at)), at
