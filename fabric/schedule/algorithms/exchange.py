"""All-to-all: every rank has S / n for every rank, itself included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from fabric.schedule.algorithms.doubling import distances
from fabric.schedule.algorithms.lines import Line, lines, single
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Move, Pattern, Phase, Pipe, Schedule, Seq


def pairwise(collective: str, shape: Shape, size_bytes: float) -> Phase:
    """Return the direct all-to-all: in step s every rank sends to the rank s + 1 places on.

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
    2005, section 4.4.

    Examples
    --------
    >>> schedule = pairwise("all-to-all", Shape((4,)), 8.0)
    >>> schedule.bytes_per_endpoint, schedule.steps
    (6.0, 3)
    """
    return _toward("pairwise", Line((shape.n,), 0, "job"), (), size_bytes)


def direct_exchange(collective: str, shape: Shape, size_bytes: float) -> Phase:
    """Return the all-to-all in which every rank posts its messages to all others at once.

    References
    ----------
    NVIDIA nccl-tests, src/alltoall.cu: all sends and receives are one group.

    Examples
    --------
    >>> schedule = direct_exchange("all-to-all", Shape((4,)), 8.0)
    >>> schedule.bytes_per_endpoint, schedule.steps, schedule.is_at_once
    (6.0, 1, True)
    """
    steps = pairwise(collective, shape, size_bytes)

    def moves(n: int, step: int) -> Iterator[Move]:
        # The messages of all steps of the pairwise form, in one.
        return chain.from_iterable(steps.moves(n, turn) for turn in range(steps.steps))

    return replace(steps, name="to all at once", steps=1, moves=moves, is_at_once=True)


def pxn(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-to-all over the scale-up network to the rail of the target, then across on that rail.

    ::

        (d, i) --- scale-up ---> (d, j) --- rail j ---> (e, j)

    References
    ----------
    NVIDIA NCCL 2.12, PXN; Mandakolathur, Jeaugey, "Doubling all2all Performance with NVIDIA Collective
    Communication Library 2.12", NVIDIA technical blog, 2022.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [(p.name, p.bytes_per_endpoint) for p in phases(pxn("all-to-all", Shape((4, 4)), 8.0))]
    [('to the rail', 6.0), ('on rail', 4.0)]
    """
    rail, domain = lines(shape)
    return Pipe(
        (_toward("to the rail", domain, (), size_bytes), _toward("on rail", rail, (domain.axis,), size_bytes))
    )


def rail_first(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-to-all across on the own rail, then over the scale-up network to the target.

    ::

        (d, i) --- rail i ---> (e, i) --- scale-up ---> (e, j)

    References
    ----------
    DeepSeek-AI, DeepEP (github.com/deepseek-ai/DeepEP), kernels between nodes.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [(p.name, p.bytes_per_endpoint) for p in phases(rail_first("all-to-all", Shape((4, 4)), 8.0))]
    [('on rail', 4.0), ('from the rail', 6.0)]
    """
    rail, domain = lines(shape)
    return Pipe(
        (_toward("on rail", rail, (), size_bytes), _toward("from the rail", domain, (rail.axis,), size_bytes))
    )


def _toward(name: str, line: Line, done: tuple[int, ...], size_bytes: float) -> Phase:
    """Return the moves along one axis, of everything, to where its target is on that axis.

    The data lie with ranks that agree with the target along the axes `done`, with the source along others.
    """
    ahead = tuple(axis for axis in range(len(line.grid)) if axis not in (line.axis, *done))

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(n):
            target = line.neighbour(rank, step + 1)
            # From every source whose data lie here, to every target that is reached through this rank.
            for first in line.alike(rank, done):
                for last in line.alike(target, ahead):
                    yield rank, target, (first, last)

    others = line.length - 1
    sent = others / line.length * size_bytes
    return Phase(name, line.pattern("pairwise"), sent, others, "copy", moves, "all-to-all")


def bruck_exchange(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return Bruck's all-to-all: what has j places to go moves d = 1, 2, 4, ... places if j has the bit d.

    References
    ----------
    Bruck, Ho, Kipnis, Upfal, Weathersby, "Efficient algorithms for all-to-all communications in multiport
    message-passing systems", IEEE TPDS 8(11), 1997.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(bruck_exchange("all-to-all", Shape((7,)), 7.0))]
    [3.0, 3.0, 3.0]
    """
    n = shape.n

    def onward(distance: int) -> Phase:
        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                for places in range(n):
                    if places & distance:
                        # The lower bits are done: the data have come that far from their source.
                        first = (rank - places % distance) % n
                        yield rank, (rank + distance) % n, (first, (first + places) % n)

        # Of 2 d numbers in a row, the last d have the bit d.
        rounds, tail = divmod(n, 2 * distance)
        count = rounds * distance + max(tail - distance, 0)
        pattern = Pattern("shift", "job", distance)
        return Phase(
            f"exchange at {distance}", pattern, count * size_bytes / n, 1, "copy", moves, "all-to-all"
        )

    return single(tuple(onward(d) for d in distances(n)), Seq)
