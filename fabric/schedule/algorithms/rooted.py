"""Collectives with a root, which is rank 0, and messages to the next rank."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.schedule.algorithms.doubling import distances
from fabric.schedule.algorithms.lines import mirror, reverse, single
from fabric.schedule.algorithms.rings import n_rings, ring
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Move, Pattern, Phase, Schedule, Seq


def binomial(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the binomial tree: at distance d = 1, 2, 4, ... all who know tell the rank d places on.

    ::

        0 -> 1         0 -> 2         0 -> 4
                       1 -> 3         1 -> 5
                                      2 -> 6

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
    2005, sections 4.2 and 4.3.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.pattern.by for p in phases(binomial("reduce", Shape((7,)), 8.0))]
    [-4, -2, -1]
    """

    def tell(distance: int) -> Phase:
        def moves(n: int, step: int) -> Iterator[Move]:
            # The first `distance` ranks know; beyond the last rank there is nobody to tell.
            for rank in range(min(distance, n - distance)):
                yield rank, rank + distance, 0

        pattern = Pattern("binomial", "job", distance)
        return Phase(f"broadcast at {distance}", pattern, size_bytes, 1, "copy", moves)

    down = tuple(tell(distance) for distance in distances(shape.n))
    return single(down if collective == "broadcast" else reverse(down), Seq)


def scatter_all_gather(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the broadcast that scatters the buffer from the root, then gathers it round the rings.

    Among a power of two of ranks the scatter goes down a binomial tree; else the root sends every part
    itself, in more steps, but with no more bytes.

    References
    ----------
    Barnett et al., "Interprocessor collective communication library (InterCom)", SHPCC 1994; Thakur,
    Rabenseifner, Gropp, IJHPCA 19(1), 2005, section 4.2.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(scatter_all_gather("broadcast", Shape((8,)), 8.0))]
    [4.0, 2.0, 1.0, 7.0]
    """
    n, rings = shape.n, n_rings(shape)

    def part(distance: int) -> Phase:
        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(distance):
                # The subtree of a target are the ranks that agree with it in the bits up to this one.
                for owner in range(rank + distance, n, 2 * distance):
                    for turn in range(rings):
                        yield rank, rank + distance, (turn, owner)

        pattern = Pattern("binomial", "job", distance)
        return Phase(f"scatter at {distance}", pattern, size_bytes / (2 * distance), 1, "copy", moves)

    # Halves of halves need a power of two; else the root serves everyone in turn.
    is_power = n & (n - 1) == 0
    scatter = tuple(part(d) for d in distances(n)) if is_power else (_from_root(n, size_bytes, rings),)
    return Seq((*scatter, ring("all-gather", shape, size_bytes)))


def _from_root(n: int, size_bytes: float, rings: int) -> Phase:
    def moves(n: int, step: int) -> Iterator[Move]:
        for turn in range(rings):
            yield 0, step + 1, (turn, step + 1)

    pattern = Pattern("from-root", "job")
    return Phase("scatter", pattern, (n - 1) / n * size_bytes, n - 1, "copy", moves)


def direct(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return a scatter or gather in which the root speaks with every rank itself, or a send to the next rank.

    References
    ----------
    NVIDIA nccl-tests, src/gather.cu, src/scatter.cu and src/sendrecv.cu.

    Examples
    --------
    >>> direct("gather", Shape((4,)), 8.0).pattern.kind, direct("send-recv", Shape((4,)), 8.0).pattern.kind
    ('to-root', 'shift')
    """
    if collective == "send-recv":

        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                yield rank, (rank + 1) % n, (rank,)

        pattern = Pattern("shift", "job")
        return Phase("send to the next", pattern, size_bytes, 1, "copy", moves, is_at_once=True)
    scatter = _from_root(shape.n, size_bytes, 1)
    return scatter if collective == "scatter" else mirror(scatter)
