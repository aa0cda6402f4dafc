"""Axes from blocks: each rule keeps some axes fixed, and which rules keep an axis is all that it is.

::

    node - leaf      blocks are (pod, su)         pod   kept by both rules: what both of them join
    leaf - spine     blocks are pod               su    kept by the first alone, within a pod
    spine - core     blocks are k                 k     kept by the third alone

What a set of rules joins falls into as many parts as the axes that all of them keep have places. So the
size of the axis that these rules keep, and no more, is that number over the sizes of those that more rules
keep; and the index of a part is its place among those of equal indices there. Nothing is searched for, and
names play no part but in the order of places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fabric.arrays import Bools, Ints
from fabric.interop.recovery.tokens import Tokens, numbered_by_name

MAX_RULES = 12
"""Rules beyond which no axes are looked for: sets of rules double with each."""


@dataclass(frozen=True, eq=False)
class KeptTogether:
    """What a rule keeps together.

    Parameters
    ----------
    groups : frozenset of int
        Of its two sides; one where it joins devices of one group.
    of : ndarray of int64, shape (n,)
        The part of each device; -1 of those of other groups, and of those that fit nowhere.
    relation : {"", "mesh", "ring", "line", "pairs"}
    place : ndarray of int64, shape (n,), or None
        Of a relation, the index of each device along it; None of pairs, which follow no axis.
    """

    groups: frozenset[int]
    of: Ints
    relation: Literal["", "mesh", "ring", "line", "pairs"] = ""
    place: Ints | None = None


@dataclass(frozen=True, eq=False)
class FoundAxis:
    """An axis.

    Parameters
    ----------
    rules : frozenset of int
        Those that keep it.
    groups : frozenset of int
        Those that are on it.
    size : int
    index : ndarray of int64, shape (n,)
        -1 of devices that are not on it.
    word : str
        What the names of nodes call it; empty where they do not.
    """

    rules: frozenset[int]
    groups: frozenset[int]
    size: int
    index: Ints
    word: str = ""


def find_axes(group: Ints, partitions: Sequence[KeptTogether], tokens: Tokens) -> list[FoundAxis] | None:
    """Return the axes that rules keep, those kept by most rules first, and last those of one group alone.

    Parameters
    ----------
    group : ndarray of int64, shape (n,)
        Devices in the order of their names.
    partitions : sequence of KeptTogether
    tokens : Tokens
        Numbers in the names.

    Returns
    -------
    list of FoundAxis, or None
        None if there are more than `MAX_RULES` rules. Strays have no index, and neither have those that are
        one too many where most have fewer.
    """
    if len(partitions) > MAX_RULES:
        return None
    axes: list[FoundAxis] = []
    is_stray = strays(group, partitions)
    for rules, groups in _kept_together(partitions):
        part = np.where(is_stray, -1, _joined(group, groups, [partitions[r] for r in rules]))
        order = _order(groups, partitions, rules, len(group))
        axis = _axis(rules, groups, part, order, axes, tokens)
        if axis is not None:
            axes.append(axis)
    for own in range(int(group.max()) + 1):
        members = np.flatnonzero((group == own) & ~is_stray)
        part = np.full(len(group), -1, dtype=np.int64)
        part[members] = np.arange(len(members))
        order = _order(frozenset([own]), partitions, frozenset(), len(group))
        above = [axis for axis in axes if own in axis.groups]
        axis = _axis(frozenset(), frozenset([own]), part, order, above, tokens)
        if axis is not None:
            axes.append(axis)
    return axes


def strays(group: Ints, partitions: Sequence[KeptTogether]) -> Bools:
    """Return which devices fit into no part of a rule that their group has."""
    is_stray = np.zeros(len(group), dtype=np.bool_)
    for partition in partitions:
        if not partition.relation:
            is_stray |= np.isin(group, list(partition.groups)) & (partition.of < 0)
    return is_stray


def _kept_together(partitions: Sequence[KeptTogether]) -> Iterator[tuple[frozenset[int], frozenset[int]]]:
    """Yield sets of rules that may keep an axis, with the groups on it, the largest sets first."""
    for n in range(len(partitions), 0, -1):
        for rules in combinations(range(len(partitions)), n):
            groups = frozenset().union(*(partitions[r].groups for r in rules))
            # Groups that both have an axis agree on it wherever a rule joins them, unless it runs along it.
            is_closed = all(
                r in rules or partition.relation
                for r, partition in enumerate(partitions)
                if partition.groups <= groups
            )
            if is_closed and _is_connected([partitions[r].groups for r in rules]):
                yield frozenset(rules), groups


def _is_connected(sets: Sequence[frozenset[int]]) -> bool:
    reached, left = sets[0], list(sets[1:])
    while left:
        near = [one for one in left if one & reached]
        if not near:
            return False
        reached = reached.union(*near)
        left = [one for one in left if not one & reached]
    return True


def _joined(group: Ints, groups: frozenset[int], partitions: Sequence[KeptTogether]) -> Ints:
    """Return the part of each device of some groups under several rules together."""
    n = len(group)
    tails, heads, size = [np.arange(n)], [np.arange(n)], n
    for partition in partitions:
        members = np.flatnonzero(partition.of >= 0)
        tails.append(members)
        heads.append(partition.of[members] + size)
        size += int(partition.of.max(initial=-1)) + 1
    edges = np.concatenate(tails), np.concatenate(heads)
    graph = csr_array((np.ones(len(edges[0])), edges), shape=(size, size))
    part = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    is_in = np.isin(group, list(groups))
    return np.where(is_in, part, -1)


def _order(groups: frozenset[int], partitions: Sequence[KeptTogether], rules: frozenset[int], n: int) -> Ints:
    """Return what places are ordered by: along a ring or a line as it runs, else by name."""
    for r, partition in enumerate(partitions):
        if partition.place is not None and r not in rules and partition.groups <= groups:
            return np.where(partition.of >= 0, partition.place, -1)
    return np.full(n, -1, dtype=np.int64)


def _axis(
    rules: frozenset[int],
    groups: frozenset[int],
    part: Ints,
    order: Ints,
    axes: Sequence[FoundAxis],
    tokens: Tokens,
) -> FoundAxis | None:
    """Return the axis that numbers parts among those of equal indices on the axes that more rules keep."""
    members = np.flatnonzero(part >= 0)
    if not len(members):
        return None
    parts, first, which = np.unique(part[members], return_index=True, return_inverse=True)
    which = which.ravel()
    first = members[first]
    along = np.full(len(parts), -1, dtype=np.int64)
    np.maximum.at(along, which, order[members])
    over = [axis for axis in axes if axis.rules > rules or (not rules and axis.groups & groups)]
    keys = np.stack([axis.index[first] for axis in over], axis=1) if over else np.zeros((len(parts), 1))
    _, key = np.unique(keys, axis=0, return_inverse=True)
    key = key.ravel()
    ranked = np.lexsort((first, along, key))
    start = np.flatnonzero(np.diff(key[ranked], prepend=-1))
    n_parts = np.diff(np.append(start, len(ranked)))
    rank = np.empty(len(parts), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked)) - np.repeat(start, n_parts)
    size = int(n_parts.max()) if rules else _usual(n_parts)
    if size == 1:
        return None
    named = numbered_by_name(tokens, members, which, key, groups)
    word = named.word if named else ""
    room = max(2 * size, size + 2) if named and named.is_own else size
    if named and (along < 0).all() and named.size <= room:
        rank, size = named.index, named.size
    index = np.full(len(part), -1, dtype=np.int64)
    index[members] = np.where(rank < size, rank, -1)[which]
    return FoundAxis(rules, groups, size, index, word)


def _usual(n: Ints) -> int:
    """Return the size of which the fewest fall short and, thrice as bad, the fewest devices are left over.

    Examples
    --------
    >>> _usual(np.array([32, 32, 32, 32, 33, 31])), _usual(np.array([4, 4, 8]))
    (32, 8)
    """
    sizes = np.unique(n)
    cost = [int((n < size).sum() + 3 * np.maximum(n - size, 0).sum()) for size in sizes]
    return int(sizes[np.argmin(cost)])
