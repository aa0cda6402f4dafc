"""A permutation of indices for each axis, anew for each index of the axes above it.

Only indices that marks are on are listed, with their new ones; the others of their cell keep their order::

    axis slot, under pod 3: 5 -> 0, 2 -> 1      0 1 2 3 4 5 6 7  ->  2 3 1 4 5 0 6 7
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from fabric.arrays import Ints

Moves = Mapping[tuple[int, ...], Mapping[int, int]]
"""By the indices on the axes above, which index becomes which."""


class Relabelling:
    """An automorphism of a fabric without marks, by the indices that it moves to the front of their cells.

    Parameters
    ----------
    above : mapping of str to tuple of str
        The axes above each axis, those that are above others first.
    sizes : mapping of str to int
    cells : mapping of str to ndarray of int64
        The first index of every cell of each axis.
    moves : mapping of str to Moves
        By axis, in the order of `above`. The new indices are the first ones of the cell of the old ones.

    Examples
    --------
    >>> cells = {"pod": np.array([0]), "slot": np.array([0])}
    >>> moves = {"slot": {(3,): {5: 0, 2: 1}}}
    >>> here = Relabelling({"slot": ("pod",)}, {"pod": 4, "slot": 8}, cells, moves)
    >>> old = {"pod": np.full(8, 3), "slot": np.arange(8)}
    >>> new = here.apply(old)
    >>> new["slot"].tolist(), here.undo(new)["slot"].tolist()
    ([2, 3, 1, 4, 5, 0, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7])
    """

    def __init__(
        self,
        above: Mapping[str, tuple[str, ...]],
        sizes: Mapping[str, int],
        cells: Mapping[str, Ints],
        moves: Mapping[str, Moves],
    ) -> None:
        self._axes = {
            axis: _Moved({a: sizes[a] for a in above[axis]}, sizes[axis], cells[axis], listed)
            for axis, listed in moves.items()
        }

    def apply(self, values: Mapping[str, Ints]) -> dict[str, Ints]:
        """Return the new indices of devices, given by their old ones on axes with all above them."""
        return {p: self._axes[p].apply(values, old) if p in self._axes else old for p, old in values.items()}

    def contexts(self, axes: Iterable[str], values: Mapping[str, Ints], n: int) -> Ints:
        """Return a number of each device, equal where some axes are moved alike below what `values` say.

        Parameters
        ----------
        axes : iterable of str
        values : mapping of str to ndarray of int64, shape (n,)
            Old indices on axes that may be above them; not all of those above need be among them.
        n : int
        """
        number = np.zeros(n, dtype=np.int64)
        for moved in (self._axes[axis] for axis in axes if axis in self._axes):
            own = moved.context(values, n)
            _, number = np.unique(number * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
        return number.ravel()

    def undo(self, values: Mapping[str, Ints]) -> dict[str, Ints]:
        """Return the old indices of devices, given by their new ones."""
        found = dict(values)
        # Moves are listed by old indices above: those are found first.
        for axis, moved in self._axes.items():
            if axis in found:
                found[axis] = moved.undo(found, found[axis])
        return found


class _Moved:
    """The permutations of one axis."""

    def __init__(self, above: Mapping[str, int], size: int, cells: Ints, moves: Moves) -> None:
        self._above, self._step = above, size + 1
        self._cells = np.append(cells, size)
        rows = [
            (np.ravel_multi_index(context, tuple(above.values())) if above else 0, old, new)
            for context, listed in moves.items()
            for old, new in listed.items()
        ]
        context, old, new = np.array(rows, dtype=np.int64).T
        self._contexts, number = np.unique(context, return_inverse=True)
        # Of one context after another: sorted by the old index, and by the new one.
        first = number.ravel() * self._step
        by_old, by_new = np.argsort(first + old), np.argsort(first + new)
        self._old, self._new_of = (first + old)[by_old], new[by_old]
        self._old_of = old[by_new]
        # Indices of the cell before each listed one that are not listed.
        begin, _, count = self._cell(first[by_old], old[by_old])
        self._free = self._old - (np.arange(len(old)) - begin)

    def _cell(self, first: Ints, index: Ints) -> tuple[Ints, Ints, Ints]:
        """Return where what is listed of the cell of each index begins, its first index, and how many are."""
        at = np.searchsorted(self._cells, index, side="right") - 1
        start, stop = self._cells[at], self._cells[at + 1]
        begin = np.searchsorted(self._old, first + start)
        return begin, start, np.searchsorted(self._old, first + stop) - begin

    def _listed(self, values: Mapping[str, Ints], n: int) -> tuple[Ints, Ints]:
        """Return which rows are in a context that is listed, and where what is listed of it begins."""
        code = np.zeros(n, dtype=np.int64)
        for axis, size in self._above.items():
            code = code * size + values[axis]
        at = np.minimum(np.searchsorted(self._contexts, code), len(self._contexts) - 1)
        rows = np.flatnonzero(self._contexts[at] == code)
        return rows, at[rows] * self._step

    def context(self, values: Mapping[str, Ints], n: int) -> Ints:
        """Return which indices above, of those for which moves are listed, devices have on some axes."""
        known = [axis for axis in self._above if axis in values]
        if not known:
            return np.zeros(n, dtype=np.int64)
        sizes = tuple(self._above.values())
        listed = dict(zip(self._above, np.unravel_index(self._contexts, sizes), strict=True))
        own, rows = (
            np.ravel_multi_index(tuple(at[axis] for axis in known), tuple(self._above[a] for a in known))
            for at in (listed, values)
        )
        contexts = np.unique(own)
        at = np.minimum(np.searchsorted(contexts, rows), len(contexts) - 1)
        # 0 is for all that have none of these.
        return np.where(contexts[at] == rows, at + 1, 0)

    def apply(self, values: Mapping[str, Ints], old: Ints) -> Ints:
        rows, first = self._listed(values, len(old))
        index = old[rows]
        begin, _, count = self._cell(first, index)
        at = np.searchsorted(self._old, first + index)
        is_listed = np.append(self._old, -1)[at] == first + index
        new = old.copy()
        # Those that are not listed come after all that are, in their order.
        new[rows] = np.where(is_listed, np.append(self._new_of, 0)[at], index + count - (at - begin))
        return new

    def undo(self, values: Mapping[str, Ints], new: Ints) -> Ints:
        rows, first = self._listed(values, len(new))
        index = new[rows]
        begin, start, count = self._cell(first, index)
        is_listed = index < start + count
        # The n-th index that is not listed comes after as many listed ones as have at most n of those before.
        n_before = np.searchsorted(self._free, first + index - count, side="right") - begin
        listed = self._old_of[np.where(is_listed, begin + index - start, 0)]
        old = new.copy()
        old[rows] = np.where(is_listed, listed, index - count + n_before)
        return old
