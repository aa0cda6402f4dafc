"""Numbers in the names of nodes, and which of them count the places of an axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints

_PIECES = re.compile(r"\d{1,9}", re.ASCII)
_LETTERS = re.compile(r"[A-Za-z](?:[A-Za-z._-]*[A-Za-z])?")
MOST = 0.8
"""Part of the names that must follow a pattern, for it to say where the others belong."""


@dataclass(frozen=True, eq=False)
class TokenColumns:
    """Names of one group: the words between numbers, and the numbers.

    Parameters
    ----------
    words : tuple of str
        One more than there are numbers.
    numbers : ndarray of int64, shape (k, number of numbers)
    widths : tuple of int
        Digits of each number where all have as many and one begins with 0; else 0.
    """

    words: tuple[str, ...]
    numbers: Ints
    widths: tuple[int, ...]

    def column_of(self, index: Ints) -> tuple[int, int] | None:
        """Return the column that has an index for most devices, and what is added to it there."""
        for column in range(self.numbers.shape[1]):
            offset, n = np.unique(self.numbers[:, column] - index, return_counts=True)
            if n.max() >= MOST * len(index):
                return column, int(offset[np.argmax(n)])
        return None

    def word(self, column: int) -> str:
        """Return what stands before a number, without what is no letter."""
        return "".join(_LETTERS.findall(self.words[column])[-1:])


@dataclass(frozen=True, eq=False)
class Tokens:
    """By group its columns, None where names are not alike, and the row of every device in them."""

    columns: tuple[TokenColumns | None, ...]
    row: Ints
    group: Ints

    def is_own(self, group: int) -> bool:
        """Return whether no other group has names of the same words, so that their numbers are its own."""
        columns = self.columns[group]
        return columns is not None and all(
            other is None or other.words != columns.words
            for g, other in enumerate(self.columns)
            if g != group
        )


@dataclass(frozen=True, eq=False)
class NamedIndex:
    """Indices that names give to parts, how many there may be, the word before, and whether it is its own."""

    index: Ints
    size: int
    word: str
    is_own: bool


def tokens_of(names: Sequence[str], group: Ints) -> Tokens:
    """Return the numbers in names, group by group.

    Examples
    --------
    >>> tokens = tokens_of(["su0-leaf1", "su0-leaf2", "x"], np.array([0, 0, 1]))
    >>> tokens.columns[0].words, tokens.columns[0].numbers.tolist(), tokens.columns[0].word(1)
    (('su', '-leaf', ''), [[0, 1], [0, 2]], 'leaf')
    """
    row = np.zeros(len(names), dtype=np.int64)
    columns = []
    for own in range(int(group.max(initial=-1)) + 1):
        members = np.flatnonzero(group == own)
        row[members] = np.arange(len(members))
        columns.append(_columns([names[i] for i in members.tolist()]))
    return Tokens(tuple(columns), row, group)


def _columns(names: Sequence[str]) -> TokenColumns | None:
    digits = [_PIECES.findall(name) for name in names]
    words = {tuple(_PIECES.split(name)) for name in names}
    if len(words) != 1 or not digits[0]:
        return None
    widths = []
    for column in zip(*digits, strict=True):
        lengths = {len(text) for text in column}
        is_padded = len(lengths) == 1 and any(text[0] == "0" and len(text) > 1 for text in column)
        widths.append(len(column[0]) if is_padded else 0)
    numbers = np.array([[int(text) for text in row] for row in digits], dtype=np.int64)
    return TokenColumns(words.pop(), numbers, tuple(widths))


def numbered_by_name(
    tokens: Tokens, members: Ints, which: Ints, key: Ints, groups: frozenset[int]
) -> NamedIndex | None:
    """Return the indices that names give to parts; None if no number in them tells the parts apart.

    Parameters
    ----------
    tokens : Tokens
    members : ndarray of int64, shape (k,)
        Devices.
    which : ndarray of int64, shape (k,)
        Their parts, numbered from 0.
    key : ndarray of int64, shape (number of parts,)
        Parts of equal keys need different indices.
    groups : frozenset of int
        Of the devices.
    """
    found: NamedIndex | None = None
    for own in sorted(groups):
        columns = tokens.columns[own]
        here = tokens.group[members] == own
        if columns is None or len(np.unique(which[here])) != len(key):
            continue
        for column in range(columns.numbers.shape[1]):
            number = _most_common(which[here], columns.numbers[tokens.row[members[here]], column])
            if number is not None and len(np.unique(np.stack([key, number], axis=1), axis=0)) == len(key):
                index = number - min(int(number.min()), 1)
                one = NamedIndex(index, int(index.max()) + 1, columns.word(column), tokens.is_own(own))
                # The last word of a name is that of its group; one before it is that of the axis.
                if column + 1 < columns.numbers.shape[1]:
                    return one
                found = found or one
    return found


def _most_common(part: Ints, number: Ints) -> Ints | None:
    """Return the number that most devices of each part have; None if too few have it."""
    pairs, n = np.unique(np.stack([part, number], axis=1), axis=0, return_counts=True)
    order = np.lexsort((-n, pairs[:, 0]))
    first = order[np.flatnonzero(np.diff(pairs[order, 0], prepend=-1))]
    return pairs[first, 1] if n[first].sum() >= MOST * len(part) else None
