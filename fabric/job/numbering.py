"""Numbers of ranks: by instance and domain, and who of them sends to whom in a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.errors import QuestionError
from fabric.schedule.algorithms import Shape, n_rings, ring_order
from fabric.schedule.patterns import edges
from fabric.schedule.tree import Pattern


def numbered(instance: Ints, rank: Ints, domain: Ints, *, along: Sequence[str]) -> tuple[Ints, Shape]:
    """Return the order of some ranks: instance by instance, in each domain by domain, by number in a domain.

    Domains come in the order of their first ranks.

    Parameters
    ----------
    instance, rank, domain : ndarray of int64, shape (n,)
        Instance, number in it, and scale-up domain of each rank.
    along : sequence of str
        Axes or dimensions that an instance spans, for messages.

    Raises
    ------
    UnlikeGroupsError
        If instances are of unequal size, or lie in domains in different ways.
    """
    found = numbered_by_shape(instance, rank, domain)
    if len(found) > 1:
        raise UnlikeGroupsError([shape for _, shape in found], along)
    return found[0]


class UnlikeGroupsError(QuestionError):
    """Groups of several kinds, where one kind is asked for.

    Parameters
    ----------
    shapes : sequence of Shape
        Of the kinds.
    along : sequence of str
        Axes or dimensions that a group spans.
    """

    def __init__(self, shapes: Sequence[Shape], along: Sequence[str]) -> None:
        n = sorted({shape.n for shape in shapes})
        if len(n) > 1:
            super().__init__(
                f"groups over {', '.join(along)} are of {n[0]} to {n[-1]} ranks; they must be alike"
            )
        else:
            super().__init__(
                "groups lie in domains in different ways; choose other axes for over, or other ranks"
            )


def numbered_by_shape(instance: Ints, rank: Ints, domain: Ints) -> list[tuple[Ints, Shape]]:
    """Return the order of some ranks as `numbered` does, by the kinds of their instances.

    Instances of one kind have as many ranks, which lie in domains in the same way. The kind of most
    ranks comes first, of as many the instances that come first.
    """
    within = instance * (int(domain.max(initial=0)) + 1) + domain
    first = _first_seen(np.unique(within, return_inverse=True)[1].ravel(), np.lexsort((rank, instance)))
    order = np.lexsort((rank, first, instance))
    _, counts = np.unique(instance, return_counts=True)
    begins, of = np.cumsum(counts) - counts, np.repeat(counts, counts)
    found = []
    for n in np.unique(counts).tolist():
        by_instance = order[of == n].reshape(-1, n)
        # Where a domain ends in an instance says how it lies.
        rows = domain[by_instance]
        ends = np.packbits(np.diff(rows) != 0, axis=1)
        alike: dict[bytes, list[int]] = {}
        for number, row in enumerate(ends):
            alike.setdefault(row.tobytes(), []).append(number)
        first = begins[counts == n]
        found += [
            (by_instance[some].ravel(), Shape(runs(rows[some[0]])), int(first[some[0]]))
            for some in alike.values()
        ]
    found.sort(key=lambda kind: (-len(kind[0]), kind[2]))
    return [(some, shape) for some, shape, _ in found]


def _first_seen(domain: Ints, order: Ints) -> Ints:
    """Return for every rank the place at which its domain first comes up in `order`."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    earliest = np.full(int(domain.max(initial=-1)) + 1, len(order))
    np.minimum.at(earliest, domain, place)
    return earliest[domain]


def runs(domain: Ints) -> tuple[int, ...]:
    """Return the lengths of the runs of equal numbers."""
    edges_at = np.flatnonzero(np.diff(domain)) + 1
    return tuple(np.diff([0, *edges_at.tolist(), len(domain)]).tolist())


def members(shape: Shape, pattern: Pattern) -> list[Ints]:
    """Return the groups of ranks of one instance that a pattern runs among, each in its order."""
    every = np.arange(shape.n)
    if pattern.over == "job":
        return [every]
    if pattern.over == "domain":
        return np.split(every, np.cumsum(shape.sizes)[:-1])
    if pattern.over == "rail":
        return list(every.reshape(-1, shape.equal()).T)
    sizes = [n for _, n in shape.torus]
    axis = [a for a, _ in shape.torus].index(pattern.axis)
    lines = np.moveaxis(every.reshape(sizes), axis, -1)
    return list(lines.reshape(-1, sizes[axis]))


def messages(shape: Shape, pattern: Pattern) -> tuple[Ints, Ints, Floats]:
    """Return source, target and bytes of the messages of a pattern in one instance.

    The busiest rank sends, or receives, one byte.
    """
    if pattern.kind == "rotated-rings":
        n = n_rings(shape)
        orders = np.array([ring_order(shape.sizes, turn) for turn in range(n)], dtype=np.int64)
        hops, count = np.unique(orders * shape.n + np.roll(orders, -1, axis=1), return_counts=True)
        return hops // shape.n, hops % shape.n, count / n
    source, target, weight = [], [], []
    every = tables(shape, pattern)
    most = max(table.shape[1] for table in every)
    for table in every:
        # Groups of one size have the same edges among their members.
        size = table.shape[1]
        of_group = edges(pattern.kind, size, pattern.by)
        # All pairs have as much, so that who is of the largest group sends one byte.
        part = (size - 1) / max(most - 1, 1) if pattern.kind == "pairwise" else 1.0
        source.append(table[:, of_group.source].ravel())
        target.append(table[:, of_group.target].ravel())
        weight.append(np.tile(part * of_group.weight, len(table)))
    return np.concatenate(source), np.concatenate(target), np.concatenate(weight)


def n_bytes(shape: Shape, pattern: Pattern) -> float:
    """Return what all ranks of one instance send of a pattern, one byte from the busiest."""
    if pattern.kind == "rotated-rings":
        return float(messages(shape, pattern)[2].sum())
    groups = [table.shape for table in tables(shape, pattern)]
    if pattern.kind == "pairwise":
        most = max(size for _, size in groups)
        return float(sum(n * size * (size - 1) for n, size in groups) / max(most - 1, 1))
    return float(sum(n * edges(pattern.kind, size, pattern.by).weight.sum() for n, size in groups))


def tables(shape: Shape, pattern: Pattern) -> list[Ints]:
    """Return the groups of ranks of one instance that a pattern runs among, those of one size in a table.

    Returns
    -------
    list of ndarray of int64, shape (number of groups, members)
        Members in their order.
    """
    every = np.arange(shape.n)
    if pattern.over == "job":
        return [every[None]]
    if shape.is_even and pattern.over in ("domain", "rail"):
        by_domain = every.reshape(shape.n_domains, -1)
        return [by_domain if pattern.over == "domain" else by_domain.T]
    by_size: dict[int, list[Ints]] = {}
    for group in members(shape, pattern):
        by_size.setdefault(len(group), []).append(group)
    return [np.array(groups) for groups in by_size.values()]


@dataclass(frozen=True, eq=False)
class Legs:
    """The legs of messages of one instance, by the numbers of ranks.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
    message : ndarray of int64, shape (k,)
        The message that each leg is of.
    """

    source: Ints
    target: Ints
    message: Ints


def rail_legs(shape: Shape, source: Ints, target: Ints) -> Legs:
    """Return messages with what crosses rails taken over the scale-up network to the right rail first.

    The relay is the rank of the sender's domain with the place that the receiver has in its own. Where
    domains are of unequal size there may be none: the sender then goes by its own card.

    References
    ----------
    PXN: NVIDIA NCCL documentation, ``NCCL_PXN_DISABLE``; introduced with NCCL 2.12.
    """
    sizes = np.array(shape.sizes)
    begin, domain = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)
    home = domain[source]
    # The rank of the sender's domain with the place that the target has in its own.
    place = target - begin[domain[target]]
    mate = begin[home] + place
    crosses = (home != domain[target]) & (place < sizes[home]) & (mate != source)
    relay = np.where(crosses, mate, source)
    return Legs(
        np.concatenate([relay, source[crosses]]),
        np.concatenate([target, relay[crosses]]),
        np.concatenate([np.arange(len(source)), np.flatnonzero(crosses)]),
    )
