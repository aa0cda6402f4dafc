"""Which jobs fit into what is free of the blocks, all at once.

Where each size of segment divides the next one, filling blocks with the largest first finds room whenever
there is some: a segment takes as many of the smaller ones from one block as from any other. Otherwise an
integer program on *patterns* decides, the sets of segments that one block can hold (Gilmore and Gomory, "A
linear programming approach to the cutting-stock problem", Operations Research 9, 1961)::

    15 free, segments of 9 and 6 and 4     9 + 6 | 9 + 4 | 6 + 4 + 4 | 4 + 4 + 4 | ...
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fabric.arrays import Ints

MAX_PATTERNS = 20_000
"""Sets of segments that blocks can hold, beyond which only filling by size is tried."""

Segments = Mapping[int, int]
"""How many segments there are of each size."""


def pack(free: Ints, segments: Segments) -> tuple[list[Counter[int]] | None, bool]:
    """Return how many segments of each size every block takes.

    Parameters
    ----------
    free : ndarray of int64, shape (blocks,)
        Nodes of each block.
    segments : mapping of int to int
        How many of each number of nodes.

    Returns
    -------
    taken : list of Counter, or None
        None where no room was found for all.
    is_proven : bool
        Whether there is none where none was found.
    """
    filled = _fill(free, segments)
    if filled is not None:
        return filled, True
    sizes = sorted(size for size, n in segments.items() if n)
    if any(b % a for a, b in zip(sizes, sizes[1:], strict=False)) and _is_enough(free, segments):
        return _by_patterns(free, segments)
    return None, True


def _is_enough(free: Ints, segments: Segments) -> bool:
    """Return whether each size alone would fit, and all nodes in number."""
    alone = all(int((free // size).sum()) >= n for size, n in segments.items() if n)
    return alone and sum(size * n for size, n in segments.items()) <= int(free.sum())


def _fill(free: Ints, segments: Segments) -> list[Counter[int]] | None:
    """Return a packing with the largest segments first, each into the fullest block that still has room."""
    left = free.copy()
    taken: list[Counter[int]] = [Counter() for _ in range(len(free))]
    for size in sorted(segments, reverse=True):
        n = segments[size]
        # Those that leave least beside whole segments first: what they lose is of little use to others.
        room = left // size
        for block in np.lexsort((left, left - room * size)).tolist():
            if not n:
                break
            put = min(n, int(room[block]))
            if put:
                taken[block][size] += put
                left[block] -= put * size
                n -= put
        if n:
            return None
    return taken


def _by_patterns(free: Ints, segments: Segments) -> tuple[list[Counter[int]] | None, bool]:
    """Return a packing by an integer program, or that there is none."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    sizes = sorted((size for size, n in segments.items() if n), reverse=True)
    kinds, n_alike = np.unique(free, return_counts=True)
    patterns: list[tuple[int, tuple[int, ...]]] = []
    for kind, room in enumerate(kinds.tolist()):
        for pattern in _patterns(room, sizes, [segments[size] for size in sizes]):
            patterns.append((kind, pattern))
            if len(patterns) > MAX_PATTERNS:
                return None, False
    held = np.array([pattern for _, pattern in patterns]).T
    of_kind = np.array([[kind == own for kind, _ in patterns] for own in range(len(kinds))], dtype=np.float64)
    answer = milp(
        np.zeros(len(patterns)),
        integrality=np.ones(len(patterns)),
        bounds=Bounds(0, np.inf),
        # A maximal pattern may hold more than what is left to place.
        constraints=[
            LinearConstraint(held, [segments[size] for size in sizes], np.inf),
            LinearConstraint(of_kind, -np.inf, n_alike),
        ],
        options={"time_limit": 10.0},
    )
    if answer.x is None:
        return None, answer.status == 2  # noqa: PLR2004 - infeasible, as scipy counts
    return _dealt(free, segments, patterns, np.rint(answer.x).astype(np.int64)), True


def _dealt(
    free: Ints, segments: Segments, patterns: Sequence[tuple[int, tuple[int, ...]]], times: Ints
) -> list[Counter[int]]:
    """Return the packing in which each pattern is used so many times, without what is too much."""
    sizes = sorted((size for size, n in segments.items() if n), reverse=True)
    kinds = np.unique(free)
    blocks = [np.flatnonzero(free == room).tolist() for room in kinds.tolist()]
    left = dict(segments)
    taken: list[Counter[int]] = [Counter() for _ in range(len(free))]
    for (kind, pattern), n in zip(patterns, times.tolist(), strict=True):
        for _ in range(n):
            block = blocks[kind].pop()
            for size, held in zip(sizes, pattern, strict=True):
                put = min(held, left[size])
                taken[block][size] += put
                left[size] -= put
    return taken


def _patterns(room: int, sizes: Sequence[int], most: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the sets of segments that fit into a block and to which none can be added."""
    if len(sizes) == 1:
        yield (min(room // sizes[0], most[0]),)
        return
    for n in range(min(room // sizes[0], most[0]), -1, -1):
        rest = room - n * sizes[0]
        # With room for one more of the first size the set is not maximal.
        for more in _patterns(rest, sizes[1:], most[1:]):
            used = sum(size * count for size, count in zip(sizes[1:], more, strict=True))
            if n == most[0] or rest - used < sizes[0]:
                yield (n, *more)
