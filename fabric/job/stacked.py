"""The views of all kinds of ranks one after the other, so that what all of them do is one product.

::

    columns   view 0: others of a rank of class 0 | view 1: others of a rank of class 1 | ...
    links     view 0: classes that keep it        | view 1                              | ...

A rank does a row: bytes to, or from, each column of its view. What that puts on cables is the row times a
table, which is empty outside of the columns and links of one view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import NoPathError
from fabric.job.views import Carrier, RankView


@dataclass(frozen=True, eq=False)
class StackedLinks:
    """The links of all views.

    Parameters
    ----------
    begin : ndarray of int64, shape (number of views + 1,)
        First link of each view, and the number of all.
    view, base : ndarray of int64, shape (n,)
        View of each link, and its class in the base.
    n_cables : ndarray of float64, shape (n,)
        Cables of each.
    n_alike : ndarray of float64, shape (n,)
        Ranks that its view stands for.
    is_free : ndarray of bool, shape (n,)
        As `RankView.is_free`.
    """

    begin: Ints
    view: Ints
    base: Ints
    n_cables: Floats
    n_alike: Floats
    is_free: Bools


def stack_links(views: Sequence[RankView]) -> StackedLinks:
    """Return the links of all views."""
    n_links = [len(view.n_cables) for view in views]
    number = np.repeat(np.arange(len(views)), n_links)
    return StackedLinks(
        np.cumsum([0, *n_links]),
        number,
        np.concatenate([view.quotient.base for view in views]),
        np.concatenate([view.n_cables for view in views]),
        np.array([view.n_alike for view in views])[number],
        np.concatenate([view.is_free for view in views]),
    )


@dataclass(frozen=True, eq=False)
class StackedTable:
    """What a byte of each column of each view puts on each of its links.

    Parameters
    ----------
    on_cable : sparse array, shape (columns, links)
        Bytes on a cable.
    lost : ndarray of bool, shape (columns,)
        To or from which no path is permitted.
    names : sequence of str
        A rank of each view.
    starts : ndarray of int64, shape (number of views + 1,)
        First column of each view.
    """

    on_cable: sparse.csr_array
    lost: Bools
    names: Sequence[str]
    starts: Ints

    def put(self, rows: sparse.csr_array) -> sparse.csr_array:
        """Return the bytes on a cable of every link when ranks do some rows, shape (rows, links).

        Raises
        ------
        NoPathError
        """
        self.refuse(rows.indices[rows.data != 0])
        return rows @ self.on_cable

    def put_row(self, row: Floats) -> Floats:
        """Return the bytes on a cable of every link when a rank of each view does its part of a row.

        Raises
        ------
        NoPathError
        """
        self.refuse(np.flatnonzero(row))
        return np.asarray(row @ self.on_cable)

    def refuse(self, columns: Ints) -> None:
        """Raise where some of the columns that are used are lost.

        Raises
        ------
        NoPathError
        """
        lost = columns[self.lost[columns]]
        if len(lost):
            name = self.names[int(np.searchsorted(self.starts, lost.min(), side="right")) - 1]
            msg = f"no permitted path between {name} and other ranks"
            raise NoPathError(msg, name)


def table_of(carriers: Sequence[Carrier], links: StackedLinks) -> StackedTable:
    """Return what the columns of some views, sent or received, put on links."""
    starts = np.cumsum([0, *(len(carrier.lost) for carrier in carriers)])
    nothing = np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
    cells = [nothing]
    for carrier, column, link in zip(carriers, starts.tolist(), links.begin.tolist(), strict=False):
        cell = carrier.table.tocoo()
        cells.append((cell.data / carrier.view.n_cables[cell.col], cell.row + column, cell.col + link))
    data, row, col = (np.concatenate(parts) for parts in zip(*cells, strict=True))
    table = sparse.csr_array((data, (row, col)), shape=(int(starts[-1]), len(links.base)))
    lost = np.concatenate([carrier.lost for carrier in carriers])
    names = [str(c.view.quotient.classes.names[c.view.rank]) for c in carriers]
    return StackedTable(table, lost, names, starts)
