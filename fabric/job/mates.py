"""What ranks do where each sends to all others of its group, for groups that are cut by number.

Ranks do the same where they have as many others of each class on the same axes: how many agree with a rank
on some axes at least, for every set of axes that says something, tells as much as how many agree on just
these. So ranks are told apart by sums over blocks of them, and pairs are listed for one rank of each kind::

    groups of 16 in racks of 72     4 whole groups in each rack, and one of 8 + 8 in every other pair of them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fabric.arrays import Floats, Ints
from fabric.job.doings import Doings, Label, Pairs, by_ranks, distinct, first_of, sums
from fabric.job.domains import NumberedRanks
from fabric.job.numbering import members
from fabric.schedule.tree import Pattern
from fabric.symmetry import NoSymmetryError

MAX_LISTED = 20_000_000
"""Pairs of ranks that are listed."""


def mates_of(
    ranks: NumberedRanks, pattern: Pattern, label: Label, salt: Floats, above: Mapping[str, tuple[str, ...]]
) -> Doings:
    """Return what ranks do where each sends to all others of its group as much, the busiest one byte.

    Parameters
    ----------
    ranks : NumberedRanks
        Cut by number.
    pattern : Pattern
        Pairwise; the groups.
    label : callable
    salt : ndarray of float64, shape (columns,)
        Random numbers.
    above : mapping of str to tuple of str
        The axes that each axis is under: an index says nothing to those that differ there.

    Raises
    ------
    NoSymmetryError
        If that takes more than `MAX_LISTED` pairs.
    """
    groups = members(ranks.shape, pattern)
    local = np.empty(ranks.shape.n, dtype=np.int64)
    for number, group in enumerate(groups):
        local[group] = number
    of = (np.arange(ranks.n_instances)[:, None] * len(groups) + local).ravel()
    rank = ranks.lying(np.arange(len(of)))
    domain, place = ranks.domain_of[rank], ranks.place_of[rank]
    # Half the memory of a million ranks: what is made of them is counted in the type of the blocks.
    digits = {
        axis: index.astype(np.int32)[at]
        for of_all, at in ((ranks.digits, domain), (ranks.place_digits, place))
        for axis, index in of_all.items()
        if index.any()
    }
    random = np.random.default_rng(4)
    of_kind = random.random(int(ranks.kind.max(initial=0)) + 1)[ranks.kind[place]]
    mark = 2.0 * of_kind
    for block in _blocks(of, digits, above):
        mark += random.random() * sums(block, of_kind, 0)[block]
    for axis in ranks.rings & digits.keys():
        mark += random.random(ranks.sizes[axis])[digits[axis]]
    first, kind = distinct(mark)
    # All of the groups of one rank of each kind.
    order = np.argsort(of, kind="stable")
    size = np.bincount(of)
    begin = np.cumsum(size) - size
    n = size[of[first]]
    if int(n.sum()) > MAX_LISTED:
        msg = (
            f"{int(n.sum()):,} pairs of ranks of {len(first):,} kinds, which are listed up to {MAX_LISTED:,}"
        )
        raise NoSymmetryError(msg)
    anchor = np.repeat(first, n)
    other = order[np.repeat(begin[of[first]], n) + np.arange(len(anchor)) - np.repeat(np.cumsum(n) - n, n)]
    row = np.repeat(np.arange(len(first)), n)
    is_other = anchor != other
    anchor, other, row = anchor[is_other], other[is_other], row[is_other]
    column = label(Pairs(domain[anchor], domain[other], place[anchor], place[other]))[0]
    part = np.full(len(row), 1 / max(int(size.max(initial=1)) - 1, 1))
    # Ranks that are in no group come last.
    rows = sparse.csr_array((part, (row, column)), shape=(len(first) + 1, len(salt)))
    of_rank = np.full(ranks.n_ranks, len(first), dtype=np.int64)
    of_rank[rank] = kind
    return by_ranks(ranks, of_rank, rows, salt)


def _blocks(
    of: Ints, digits: Mapping[str, NDArray[np.int32]], above: Mapping[str, tuple[str, ...]]
) -> Iterator[Ints]:
    """Yield the blocks of ranks of one group that agree on axes, for each set of axes that says something."""
    axes = list(digits)

    def split(block: Ints, on: frozenset[str], left: list[str]) -> Iterator[Ints]:
        if not left:
            yield block
            return
        axis, *others = left
        yield from split(block, on, others)
        # Agreement counts from above: without it on the axes that one is under, an index says nothing.
        if all(a in on for a in above[axis] if a in axes):
            radix = int(digits[axis].max()) + 1
            _, _, finer = first_of(block * radix + digits[axis], (int(block.max()) + 1) * radix)
            yield from split(finer, on | {axis}, others)

    # An axis comes after those that it is under.
    axes.sort(key=lambda axis: len(above[axis]))
    yield from split(of, frozenset(), axes)
