"""A bound of an all-reduce without a program: what every part of the ranks must take in.

Cut the ranks into k parts, and follow one element of the buffer. Before some rank of a first part holds its
sum, data of each of the k - 1 other parts has come together with that of the first: k - 1 messages at least
have entered parts. By then no other part holds the sum, so each of them takes in one more. In a time t no
more enters a part than t times the maximum flow into it from the other ranks, so for a buffer of S bytes::

    2 (k - 1) S  <=  t * sum over parts of (flow into the part)

Where switches add, one message may carry the data of many parts, and all that is left is that a part takes in
S at least, or else it knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.bounds.toll import Toll
from fabric.bounds.trees import price_cut
from fabric.flow.problem import network, problem_of
from fabric.flow.solve import solve
from fabric.graph import Paths, let_forward
from fabric.symmetry import Mark, Quotient


@dataclass(frozen=True, eq=False)
class RanksSeen:
    """The ranks as one of them sees them.

    Parameters
    ----------
    view : Quotient
        With that one marked.
    marked : int
        Its class in the view.
    members, holding : ndarray of bool, shape (c,)
        Classes of ranks of its group, and of all groups: they send on what they take in.
    n_alike : float
        Ranks of its base class.
    marks : tuple of Mark
        All that is told apart in the view.
    """

    view: Quotient
    marked: int
    members: Bools
    holding: Bools
    n_alike: float
    marks: tuple[Mark, ...]


def least_by_parts(
    ranks: list[RanksSeen], order: tuple[str, ...], adding: tuple[str, ...], *, paths: Paths
) -> tuple[float, Ints, int, Partition]:
    """Return the least bound by nested partitions, the links that limit it, the moves looked at, and whose.

    Parameters
    ----------
    ranks : list of RanksSeen
        One of every base class of ranks.
    order : tuple of str
        Primitive axes, each after those that it is under. Ranks that agree on the first, the first two, and
        so on, are a part.
    adding : tuple of str
        Device groups of switches that add; they send on what they take in, as ranks do.
    paths : {"rules", "no-relay", "any"}
        Of all other devices.
    """
    best, binding, n_moves = np.inf, np.zeros(0, dtype=np.int64), 0
    chosen = Partition((), 1.0)
    # From few large parts to many small ones.
    for n in range(1, len(order) + 1):
        parts = list(_parts(ranks, order[:n], adding, paths))
        n_moves += sum(part.n_moves for part in parts)
        n_parts = sum(part.n_alike for part in parts)
        if n_parts < 2:
            continue
        # Whoever adds, a part takes in the whole buffer: the narrowest part counts.
        tightest = min(parts, key=lambda part: part.gbps)
        rates = [(tightest.gbps, tightest.links, Partition((tightest,), 1.0))]
        # Ranks of other groups may add what passes them, as switches that add do.
        if not adding and not any((rank.holding & ~rank.members).any() for rank in ranks):
            # Where ranks alone add: 2 (k - 1) messages of the buffer's size enter the k parts together.
            entering = sum(part.n_alike * part.gbps for part in parts)
            messages = 2 * (n_parts - 1)
            links = np.unique(np.concatenate([p.links for p in parts]))
            rates.append((entering / messages, links, Partition(tuple(parts), messages)))
        for rate, links, partition in rates:
            if rate < best:
                best, binding, chosen = rate, links, partition
    return best, binding, n_moves, chosen


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts of the ranks, one of each kind, and the buffers that must enter all of them together.

    One part alone takes in one buffer; of k parts 2 (k - 1) enter them all.
    """

    parts: tuple[RankPart, ...]
    n_messages: float

    @property
    def n_parts(self) -> float:
        """How many parts are counted."""
        return 1.0 if self.n_messages == 1.0 else sum(part.n_alike for part in self.parts)


@dataclass(frozen=True, eq=False)
class RankPart:
    """A part of the ranks, how many are like it, and the most that flows into it, limited by which links."""

    n_alike: float
    gbps: float
    links: Ints
    n_moves: int
    toll: Toll | None


def _parts(
    ranks: list[RanksSeen], axes: tuple[str, ...], adding: tuple[str, ...], paths: Paths
) -> Iterator[RankPart]:
    """Yield the parts of ranks that agree on `axes`, alike ones once.

    Two parts that both have a rank of some base class are images of one another.
    """
    done: set[int] = set()
    for rank in ranks:
        view = rank.view
        origin = int(view.origin[rank.marked])
        if origin in done:
            continue
        part = rank.members.copy()
        for at in (view.places[p] for p in axes):
            part &= at == at[rank.marked]
        done |= set(view.origin[part].tolist())
        # Ranks of the base class, over those of them that are in this one part.
        n_alike = rank.n_alike / float(view.size[part & (view.origin == origin)].sum())
        outside = rank.members & ~part
        if outside.any():
            adds = np.array([g.name in adding for g in view.classes.groups], dtype=np.bool_)
            free = rank.holding | adds[view.classes.group]
            problem = problem_of(let_forward(view.classes, free), outside, part, paths)
            net = network(problem)
            answer = solve(net, np.full(len(net.tail), -1, dtype=np.int64))
            # The minimum cut into the part, and its worth: the maximum flow from the other ranks.
            gbps, links, of_link = price_cut(net, answer.price)
            price = np.zeros(2 * view.classes.n_bundles)
            price[links] = of_link
            toll = Toll(view, rank.marks, price, part, outside)
            yield RankPart(n_alike, gbps, view.base[links], len(problem.tail), toll)
        else:
            yield RankPart(n_alike, np.inf, np.zeros(0, dtype=np.int64), 0, None)
