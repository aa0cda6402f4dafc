"""The edges of traffic patterns: who sends what part of its bytes to whom, among the members of one group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.schedule.tree import Kind, Pattern


@dataclass(frozen=True, eq=False)
class Edges:
    """Messages among members 0 to m - 1.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
    weight : ndarray of float64, shape (k,)
        Bytes for each byte of `fabric.schedule.tree.Phase.bytes_per_endpoint`: the member with most to
        do sends, or receives, 1.
    """

    source: Ints
    target: Ints
    weight: Floats


def edges(kind: Kind, m: int, by: int = 1) -> Edges:
    """Return the messages of a pattern among m members; see `fabric.schedule.tree.Pattern`.

    ``rotated-rings`` are two patterns at once, and switches are no members: both are not for this function.

    Examples
    --------
    >>> shift = edges("shift", 4, by=3)
    >>> shift.source.tolist(), shift.target.tolist(), shift.weight.tolist()
    ([0, 1, 2, 3], [3, 0, 1, 2], [1.0, 1.0, 1.0, 1.0])
    """
    if m < 2:
        none = np.zeros(0, dtype=np.int64)
        return Edges(none, none, np.zeros(0))
    return _EDGES[kind](m, by)


def _pairwise(m: int, by: int) -> Edges:
    source, target = np.divmod(np.arange(m * m), m)
    is_pair = source != target
    return Edges(source[is_pair], target[is_pair], np.full(m * (m - 1), 1 / (m - 1)))


def _shift(m: int, by: int) -> Edges:
    every = np.arange(m)
    moved = (every + by) % m
    stays = moved == every
    return Edges(every[~stays], moved[~stays], np.ones(m)[~stays])


def _ring(m: int, by: int) -> Edges:
    return _shift(m, 1)


def _line(m: int, by: int) -> Edges:
    every = np.arange(m - 1)
    return Edges(every, every + 1, np.ones(m - 1))


def _closing(m: int, by: int) -> Edges:
    every = np.arange(by)
    return Edges(m - by + every, (every + 1) % by, np.ones(by))


def _two_way_ring(m: int, by: int) -> Edges:
    every = np.arange(m)
    return Edges(np.tile(every, 2), np.concatenate([(every + 1) % m, (every - 1) % m]), np.full(2 * m, 0.5))


def unrotated(g: int, k: int) -> list[tuple[Pattern, float]]:
    """Return rings that turn, of k domains of g members each, as patterns with members of their own.

    In rings that visit every domain, each in another order, a member sends on along its domain in all of
    them but the one in which it ends the domain. With an odd number of domains, what closes a ring changes
    the rail.

    Returns
    -------
    list of (Pattern, float)
        Patterns at once, and the part of the bytes that the busiest member sends in each.
    """
    inside, across = Pattern("ring", "domain"), Pattern("ring", "rail")
    if g == 1 or k == 1:
        return [(across if g == 1 else inside, 1.0)]
    if k % 2 == 0:
        return [(inside, 1 - 1 / g), (across, 1 / g)]
    return [(inside, 1 - 1 / g), (Pattern("line", "rail"), 1 / g), (Pattern("closing", "job", by=g), 1 / g)]


def power(m: int) -> int:
    """Return the largest power of two that is at most m."""
    return 1 << (m.bit_length() - 1)


def _exchange(m: int, by: int) -> Edges:
    every = np.arange(power(m))
    return Edges(every, every ^ by, np.ones(len(every)))


def _fold(m: int, by: int) -> Edges:
    extra = np.arange(power(m), m)
    return Edges(extra, extra - power(m), np.ones(len(extra)))


def _unfold(m: int, by: int) -> Edges:
    return _turn(_fold(m, by))


def _binomial(m: int, by: int) -> Edges:
    # The first `by` members know already, and each tells the one `by` places on; negative, it hears from it.
    places = abs(by)
    target = np.arange(places, min(2 * places, m))
    down = Edges(target - places, target, np.ones(len(target)))
    return down if by > 0 else _turn(down)


def binary_tree(m: int) -> Ints:
    r"""Return the parent of each of m members, -1 for the root, shape (m,).

    A member whose number ends in l zero bits has the parent 2**l to one side: numbers that are odd are
    leaves, and 0 is the root with one child::

        0---------------8
                 ______/ \______
                4               12
              /   \            /  \
            2       6       10     14
           / \     / \     /  \   /  \
          1   3   5   7   9   11 13   15

    References
    ----------
    Sanders, Speck, Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", Parallel
    Computing 35(12), 2009; the numbering is that of NCCL, src/graph/trees.cc.
    """
    every = np.arange(m)
    # The lowest bit of the number is the level in the tree: 1 for leaves, and so on.
    low = every & -every
    up = (every ^ low) | (low << 1)
    # Where that place does not exist, the parent is the one below.
    return np.where(every == 0, -1, np.where(up < m, up, every ^ low))


def two_trees(m: int) -> tuple[Ints, Ints]:
    """Return the parents of each of m members in the two trees, -1 for a root, shape (m,) each.

    The second tree is the first, mirrored if m is even and shifted by one if it is odd, so that a leaf of one
    is inside the other.
    """
    first = binary_tree(m)
    every = np.arange(m)
    if m % 2 == 0:
        mirrored = first[m - 1 - every]
        return first, np.where(mirrored < 0, -1, m - 1 - mirrored)
    shifted = first[(every - 1) % m]
    return first, np.where(shifted < 0, -1, (shifted + 1) % m)


def _tree_up(m: int, by: int) -> Edges:
    trees = two_trees(m)
    # Every member but the root sends its half of the bytes to its parent in each tree.
    source = np.concatenate([np.flatnonzero(parent >= 0) for parent in trees])
    target = np.concatenate([parent[parent >= 0] for parent in trees])
    # Of two members each is the root of one tree, so neither sends in both.
    return Edges(source, target, np.full(len(source), 0.5 if m > 2 else 1.0))


def _tree_down(m: int, by: int) -> Edges:
    return _turn(_tree_up(m, by))


def _from_root(m: int, by: int) -> Edges:
    return Edges(np.zeros(m - 1, dtype=np.int64), np.arange(1, m), np.full(m - 1, 1 / (m - 1)))


def _to_root(m: int, by: int) -> Edges:
    return _turn(_from_root(m, by))


def _turn(messages: Edges) -> Edges:
    return Edges(messages.target, messages.source, messages.weight)


_EDGES: dict[str, Callable[[int, int], Edges]] = {
    "pairwise": _pairwise,
    "ring": _ring,
    "line": _line,
    "closing": _closing,
    "two-way-ring": _two_way_ring,
    "shift": _shift,
    "exchange": _exchange,
    "fold": _fold,
    "unfold": _unfold,
    "binomial": _binomial,
    "tree-up": _tree_up,
    "tree-down": _tree_down,
    "from-root": _from_root,
    "to-root": _to_root,
}
