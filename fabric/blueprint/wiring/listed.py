"""Pairs that a file lists one by one."""

from __future__ import annotations

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.wiring.misfit import refuse


def listed(sizes: tuple[int, ...], *, pairs: list[tuple[list[int], list[int]]]) -> Ints:
    """Join what `pairs` says.

    ::

        pairs: [[0, 2], [1, 3]]       0     1     2     3
                                      |     +-----|-----+
                                      +-----------+

    Parameters
    ----------
    sizes : tuple of int
        Of the axes that the indices run over, last one fastest.
    pairs : list of (list of int, list of int)
        Left and right index of each pair, a number for each axis.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        The same, by flat indices.

    Raises
    ------
    MisfitError
        If an index is out of range, or has too few or too many numbers.

    Examples
    --------
    >>> listed((2, 3), pairs=[([0, 1], [1, 2])]).tolist()
    [[1, 5]]
    """
    flat = [[_flat(index, sizes, number) for index in pair] for number, pair in enumerate(pairs)]
    return np.array(flat, dtype=np.int64).reshape(-1, 2)


def _flat(digits: list[int], sizes: tuple[int, ...], number: int) -> int:
    got = str(digits) if len(digits) != 1 else str(digits[0])
    if len(digits) != len(sizes):
        fault = f"pairs[{number}]: an index needs one number for each axis of along"
        refuse(fault, got=got, expected=f"{len(sizes)} numbers")
    flat = 0
    for digit, size in zip(digits, sizes, strict=True):
        if digit >= size:
            refuse(f"pairs[{number}]: index out of range", got=got, expected=f"0 to {size - 1}")
        flat = flat * size + digit
    return flat


def check_listed(pairs: Ints, *, is_same: bool, is_ordered: bool) -> None:
    """Check that no pair is listed twice, and none joins a device with itself.

    Parameters
    ----------
    pairs : ndarray of int64, shape (m, 2)
    is_same : bool
        Whether both sides are one group.
    is_ordered : bool
        Whether (i, j) and (j, i) are two pairs.

    Raises
    ------
    MisfitError
        Naming the first pair that is wrong.
    """
    itself = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if is_same and len(itself):
        refuse(f"pairs[{itself[0]}] joins a device with itself")
    # Within one group a pair and its reverse are the same.
    ends = np.sort(pairs, axis=1) if is_same and not is_ordered else pairs
    _, first, kind = np.unique(ends, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[kind.ravel()] != np.arange(len(pairs)))
    if len(again):
        number = int(again[0])
        fault = f"pairs[{number}] is pairs[{first[kind.ravel()[number]]}] again"
        refuse(fault, todo="use count for parallel cables")
