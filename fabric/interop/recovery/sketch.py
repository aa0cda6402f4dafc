"""From classes of nodes to device groups, axes and link rules: what the dump may be a fabric of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fabric.arrays import Bools, Ints
from fabric.interop.recovery.axes import FoundAxis, KeptTogether, find_axes
from fabric.interop.recovery.blocks import blocks
from fabric.interop.recovery.dump import Dump
from fabric.interop.recovery.factors import factors
from fabric.interop.recovery.roles import Role, roles
from fabric.interop.recovery.tokens import TokenColumns, Tokens, tokens_of

_FEW = 0.1
"""Part of the cables of both classes below which those between them are odd ones, and no rule."""
_SPARSE, _SPARE = 3, 16
"""A group has at most so many times as many places as devices, and some more."""
_OTHER_RATE = 0.1
"""Part of the cables of two classes above which those of another rate are a rule of their own."""


@dataclass(frozen=True, eq=False)
class FoundGroup:
    """A device group: what it is, its axes by number, and the place of every node on the product of them."""

    role: Role
    axes: tuple[int, ...]
    members: Ints
    place: Ints


@dataclass(frozen=True, eq=False)
class FoundRule:
    """A link rule.

    Parameters
    ----------
    lower, upper : int
        Groups.
    rate_gbps : float
        NaN where no cable says.
    count : int
    relation : {"", "mesh", "ring", "line", "pairs"}
    along : tuple of int
        Axes of the relation.
    pairs : ndarray of int64, shape (k, 2)
        Places of the two devices of each pair, for ``relation="pairs"``.
    """

    lower: int
    upper: int
    rate_gbps: float
    count: int
    relation: Literal["", "mesh", "ring", "line", "pairs"] = ""
    along: tuple[int, ...] = ()
    pairs: Ints = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Sketch:
    """Groups, axes and rules that a dump may be expanded from."""

    groups: tuple[FoundGroup, ...]
    axes: tuple[FoundAxis, ...]
    rules: tuple[FoundRule, ...]
    tokens: Tokens


@dataclass(frozen=True, eq=False)
class _Between:
    """Cable bundles between two groups, or within one."""

    lower: int
    upper: int
    x: Ints
    y: Ints
    count: Ints
    rate_gbps: float


def sketch(dump: Dump, group: Ints, *, is_loose: bool) -> Sketch | None:
    """Return what a dump may be a fabric of, given the class of each node; None if nothing fits.

    Parameters
    ----------
    dump : Dump
        n nodes.
    group : ndarray of int64, shape (n,)
    is_loose : bool
        Whether a few cables may be faults; else each is of a rule.
    """
    known = roles(dump, group)
    tokens = tokens_of(dump.names, group)
    rules: list[FoundRule] = []
    partitions: list[KeptTogether] = []
    kept: list[_Between] = []
    for bundles in _by_groups(dump, group, known, few=_FEW if is_loose else 0.0, odd=_OTHER_RATE):
        parts = _partitions(bundles, dump.n)
        kept += [bundles] * max(1, len(parts))
        partitions += parts or [_free(bundles, dump.n)]
    axes = find_axes(group, partitions, tokens)
    if axes is None:
        return None
    groups = _groups(known, group, axes, tokens)
    if groups is None:
        return None
    for number, (bundles, partition) in enumerate(zip(kept, partitions, strict=True)):
        rules.append(_rule(bundles, partition, number, axes, groups))
    return Sketch(groups, tuple(axes), tuple(rules), tokens)


def listed(dump: Dump, group: Ints) -> Sketch:
    """Return a dump as groups on one axis that says nothing, and every pair of devices that are joined.

    Parameters
    ----------
    dump : Dump
        n nodes.
    group : ndarray of int64, shape (n,)
    """
    known = roles(dump, group)
    place = np.zeros(dump.n, dtype=np.int64)
    groups = []
    for g, role in enumerate(known):
        members = np.flatnonzero(group == g)
        place[members] = np.arange(len(members))
        groups.append(FoundGroup(role, (0,), members, place[members]))
    size = int(place.max()) + 1
    axis = FoundAxis(frozenset(), frozenset(range(len(groups))), size, place)
    rules = []
    for bundles in _by_groups(dump, group, known):
        for count in np.unique(bundles.count).tolist():
            of = bundles.count == count
            pairs = np.stack([place[bundles.x[of]], place[bundles.y[of]]], axis=1)
            ends = bundles.lower, bundles.upper, bundles.rate_gbps, count
            rules.append(FoundRule(*ends, "pairs", (0,), pairs))
    return Sketch(tuple(groups), (axis,), tuple(rules), tokens_of(dump.names, group))


def _by_groups(
    dump: Dump, group: Ints, known: Sequence[Role], *, few: float = 0.0, odd: float = 0.0
) -> Iterator[_Between]:
    """Yield the bundles between every two groups, the lower first, by rate, without what few cables have."""
    level = np.array([role.level for role in known])
    ends = np.stack([group[dump.tail], group[dump.head]], axis=1)
    # Of two groups at one height the first stands below.
    is_turned = level[ends[:, 0]] * len(known) + ends[:, 0] > level[ends[:, 1]] * len(known) + ends[:, 1]
    x, y = np.where(is_turned, dump.head, dump.tail), np.where(is_turned, dump.tail, dump.head)
    n_ends = np.bincount(ends.ravel(), np.repeat(dump.count, 2), len(known))
    pairs, which = np.unique(np.stack([group[x], group[y]], axis=1), axis=0, return_inverse=True)
    which = which.ravel()
    order = sorted(range(len(pairs)), key=lambda k: (level[pairs[k]].tolist(), pairs[k].tolist()))
    for k in order:
        lower, upper = pairs[k].tolist()
        here = which == k
        if dump.count[here].sum() < few * min(n_ends[lower], n_ends[upper]):
            continue
        yield from _by_rate(dump, here, (lower, upper), (x, y), odd)


def _by_rate(
    dump: Dump, here: Bools, pair: tuple[int, int], ends: tuple[Ints, Ints], least: float
) -> Iterator[_Between]:
    rates, rate = np.unique(dump.rate_gbps[here], return_inverse=True, equal_nan=True)
    rate = rate.ravel()
    n_cables = np.bincount(rate, dump.count[here])
    main = np.flatnonzero(n_cables >= least * n_cables.sum())
    # Cables of an odd rate stand where those of the usual one would.
    usual = main[np.argmax(n_cables[main])]
    rate = np.where(np.isin(rate, main), rate, usual)
    x, y, count = ends[0][here], ends[1][here], dump.count[here]
    for r in main.tolist():
        of = rate == r
        yield _Between(*pair, x[of], y[of], count[of], float(rates[r]))


def _partitions(bundles: _Between, n: int) -> list[KeptTogether]:
    """Return what the bundles keep together: one partition, one for each axis within a group, or none."""
    groups = frozenset([bundles.lower, bundles.upper])
    if bundles.lower != bundles.upper:
        return [KeptTogether(groups, blocks(bundles.x, bundles.y, bundles.count, n).of)]
    members, ends = np.unique(np.concatenate([bundles.x, bundles.y]), return_inverse=True)
    u, v = ends.reshape(2, -1)
    found = factors(u, v, len(members)) or []
    made = []
    for factor in found:
        graph = csr_array(
            (np.ones(len(factor.edges)), (u[factor.edges], v[factor.edges])), shape=(len(members),) * 2
        )
        of, place = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
        of[members] = connected_components(graph, directed=False)[1]
        place[members] = factor.index
        made.append(KeptTogether(groups, of, factor.shape, place))
    return made


def _free(bundles: _Between, n: int) -> KeptTogether:
    """Return the partition of cables that follow no axis: everything is one part."""
    of = np.full(n, -1, dtype=np.int64)
    of[np.concatenate([bundles.x, bundles.y])] = 0
    return KeptTogether(frozenset([bundles.lower, bundles.upper]), of, "pairs")


def _groups(
    known: Sequence[Role], group: Ints, axes: Sequence[FoundAxis], tokens: Tokens
) -> tuple[FoundGroup, ...] | None:
    """Return the groups; None where there is no place for a device, or far more places than devices."""
    made = []
    for g, role in enumerate(known):
        members = np.flatnonzero(group == g)
        own = _as_named(
            [a for a, axis in enumerate(axes) if g in axis.groups], axes, members, tokens.columns[g]
        )
        shape = [axes[a].size for a in own]
        if math.prod(shape) > _SPARSE * len(members) + _SPARE:
            return None
        place = _placed([_index(axes[a], members, tokens.columns[g]) for a in own], shape, len(members))
        if place is None:
            return None
        made.append(FoundGroup(role, tuple(own), members, place))
    return tuple(made)


def _as_named(
    own: list[int], axes: Sequence[FoundAxis], members: Ints, columns: TokenColumns | None
) -> list[int]:
    """Return axes in the order in which names have them, the last one of the group alone."""
    if columns is None:
        return own
    at = {a: columns.column_of(axes[a].index[members]) for a in own}
    if any(found is None for found in at.values()):
        return own
    return sorted(own, key=lambda a: at[a] or (0, 0))


def _index(axis: FoundAxis, members: Ints, columns: TokenColumns | None) -> Ints:
    """Return indices on an axis: where most names have them, those of all names, whatever odd cables say."""
    index = axis.index[members]
    found = columns.column_of(index) if columns is not None else None
    if columns is None or found is None:
        return index
    named = columns.numbers[:, found[0]] - found[1]
    return np.where((named >= 0) & (named < axis.size), named, -1)


def _placed(indices: list[Ints], shape: list[int], n: int) -> Ints | None:
    """Return the place of each device; those without an index, and second ones, take what is free."""
    place = np.zeros(n, dtype=np.int64)
    is_lost = np.zeros(n, dtype=np.bool_)
    for index, size in zip(indices, shape, strict=True):
        place = place * size + index
        is_lost |= index < 0
    first = np.zeros(n, dtype=np.bool_)
    first[np.unique(np.where(is_lost, -1, place), return_index=True)[1]] = True
    is_lost |= ~first
    free = np.setdiff1d(np.arange(math.prod(shape), dtype=np.int64), place[~is_lost])
    n_lost = int(is_lost.sum())
    if n_lost > len(free):
        return None
    place[is_lost] = free[:n_lost]
    return place


def _rule(
    bundles: _Between,
    partition: KeptTogether,
    number: int,
    axes: Sequence[FoundAxis],
    groups: Sequence[FoundGroup],
) -> FoundRule:
    values, n = np.unique(bundles.count, return_counts=True)
    count = int(values[np.argmax(n)])
    ends = bundles.lower, bundles.upper, bundles.rate_gbps, count
    if bundles.lower != bundles.upper:
        return FoundRule(*ends)
    own = groups[bundles.lower].axes
    along = tuple(a for a in own if number not in axes[a].rules)
    # A ring or a mesh that no axis of the group runs along is no more than its pairs.
    if along and partition.relation and partition.relation != "pairs":
        return FoundRule(*ends, partition.relation, along)
    place = np.full(len(axes[0].index) if axes else 1, -1, dtype=np.int64)
    place[groups[bundles.lower].members] = groups[bundles.lower].place
    return FoundRule(*ends, "pairs", own, np.stack([place[bundles.x], place[bundles.y]], axis=1))
