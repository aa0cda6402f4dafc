"""Links that blocks of ranks share: those that are near to all ranks which agree on some axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Floats, Ints

Put = Callable[[int, Floats], Floats]
"""Return the bytes on a cable of every link of a view when its rank does some rows, shape (k, links)."""


@dataclass(frozen=True, eq=False)
class OfView:
    """The links of a view that blocks share.

    Parameters
    ----------
    number : int
        The view.
    links : ndarray of int64, shape (n,)
        Links of the view.
    of : ndarray of int64, shape (n,)
        Which of the classes of links each is of.
    n_ranks : ndarray of float64, shape (n,)
        Ranks of the view in a block, on average of those that have any of the ranks of this class of links.
    """

    number: int
    links: Ints
    of: Ints
    n_ranks: Floats

    def most(self, loads: Floats, n: int) -> Floats:
        """Return the largest load of links of each of n classes; `loads` have these links last."""
        most = np.zeros((n, *loads.shape[:-1]))
        np.maximum.at(most, self.of, np.moveaxis(loads, -1, 0))
        return np.moveaxis(most, 0, -1)


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
        Classes of links in the base.
    of_views : tuple of OfView
        For each class of ranks, its links.
    """

    pinned: frozenset[str]
    is_sent: bool
    base: Ints
    of_views: tuple[OfView, ...]
