"""Algorithms with a logarithmic number of steps: every step doubles what a rank knows."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.schedule.algorithms.lines import Line, compose, gather_by_pairs, mirror, reverse, single
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.patterns import power
from fabric.schedule.tree import Move, Pattern, Phase, Schedule, Seq


def halving_doubling(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return recursive halving, then doubling, along the axes of a hypercube.

    The all-reduce halves what it exchanges while the distance doubles, so that most bytes stay near. Ranks
    beyond the largest power of two fold their data into the first ones before it, and hear the result after.

    ::

        rank     0   1   2   3   4   5   6   7
                 |---|   |---|   |---|   |---|      S / 2
                 |-------|       |-------|          S / 4
                     |-------|       |-------|
                 |---------------|  ...             S / 8

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
    2005, section 4.5.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(halving_doubling("all-reduce", Shape((6,)), 8.0))]
    [8.0, 4.0, 2.0, 2.0, 4.0, 8.0]
    """
    p = power(shape.n)
    gather = _doubling(p, size_bytes / p, far_first=True)
    if shape.n == p:
        return compose(collective, gather, Seq)
    # Ranks beyond the power of two take part through a partner, before and after.
    fold = _fold(shape.n, size_bytes, p)
    return Seq((fold, *reverse(gather), *gather, mirror(fold)))


def recursive_doubling(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return recursive doubling: an exchange of all that a rank has at distances 1, 2, 4, ...

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
    2005, sections 4.1 and 4.5.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(recursive_doubling("all-reduce", Shape((8,)), 8.0))]
    [8.0, 8.0, 8.0]
    >>> [p.bytes_per_endpoint for p in phases(recursive_doubling("all-gather", Shape((8,)), 8.0))]
    [1.0, 2.0, 4.0]
    """
    p = power(shape.n)
    if collective == "all-gather":
        return single(_doubling(p, size_bytes / p, far_first=False), Seq)
    swaps = tuple(_swap(p, 1 << bit, size_bytes) for bit in range(p.bit_length() - 1))
    if shape.n == p:
        return single(swaps, Seq)
    fold = _fold(shape.n, size_bytes, 1)
    return Seq((fold, *swaps, mirror(fold)))


def _doubling(p: int, block_bytes: float, *, far_first: bool) -> tuple[Phase, ...]:
    """Return an all-gather among p = 2**l ranks, which are the corners of a cube."""
    cube = (2,) * (p.bit_length() - 1)
    # The first axis of the cube is the highest bit of the rank.
    axes = range(len(cube)) if far_first else reversed(range(len(cube)))
    gather: list[Phase] = []
    done: tuple[int, ...] = ()
    for axis in axes:
        distance = p >> (axis + 1)
        line = Line(cube, axis, "job")
        pattern = Pattern("exchange", "job", distance)
        gather.append(gather_by_pairs(f"all-gather at {distance}", line, done, block_bytes, pattern))
        done += (axis,)
    return tuple(gather)


def _swap(p: int, distance: int, size_bytes: float) -> Phase:
    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(p):
            yield rank, rank ^ distance, 0

    pattern = Pattern("exchange", "job", distance)
    return Phase(f"exchange at {distance}", pattern, size_bytes, 1, "reduce", moves)


def _fold(n: int, size_bytes: float, n_chunks: int) -> Phase:
    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(power(n), n):
            for chunk in range(n_chunks):
                yield rank, rank - power(n), chunk

    return Phase("fold", Pattern("fold", "job"), size_bytes, 1, "reduce", moves)


def bruck(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return Bruck's all-gather, or the reduce-scatter that it is backwards, among any number of ranks.

    At distance d = 1, 2, 4, ... every rank sends to the rank d before it what it has, at most d chunks.

    References
    ----------
    Bruck, Ho, Kipnis, Upfal, Weathersby, "Efficient algorithms for all-to-all communications in multiport
    message-passing systems", IEEE TPDS 8(11), 1997.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(bruck("all-gather", Shape((7,)), 7.0))]
    [1.0, 2.0, 3.0]
    """
    n = shape.n

    def nearer(distance: int) -> Phase:
        # All that a rank has, but no more than the one before it still lacks.
        count = min(distance, n - distance)

        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                for ahead in range(count):
                    yield rank, (rank - distance) % n, (rank + ahead) % n

        pattern = Pattern("shift", "job", -distance)
        sent = count * size_bytes / n
        return Phase(f"all-gather at {distance}", pattern, sent, 1, "copy", moves)

    return compose(collective, tuple(nearer(d) for d in distances(n)), Seq)


def pat(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return parallel aggregated trees: Bruck's distances, the farthest first, while there is little to send.

    Every chunk goes down a binomial tree of its own; all trees send at once. This is the form for buffers
    that fit the staging memory, in a logarithmic number of steps.

    References
    ----------
    Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter operations at scale", arXiv 2506.20252,
    2025.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [(p.pattern.by, p.bytes_per_endpoint) for p in phases(pat("all-gather", Shape((7,)), 7.0))]
    [(4, 1.0), (2, 2.0), (1, 3.0)]
    """
    n = shape.n

    def farther(distance: int) -> Phase:
        # Chunks have come so many places so far; those that would pass their own rank again stay.
        behind = range(0, n - distance, 2 * distance)

        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                for places in behind:
                    yield rank, (rank + distance) % n, (rank - places) % n

        pattern = Pattern("shift", "job", distance)
        sent = len(behind) * size_bytes / n
        return Phase(f"all-gather at {distance}", pattern, sent, 1, "copy", moves)

    return compose(collective, tuple(farther(d) for d in reversed(distances(n))), Seq)


def distances(n: int) -> list[int]:
    """Return the powers of two below n."""
    return [1 << bit for bit in range((n - 1).bit_length())]
