"""Rings: bandwidth optimal, with as many steps as ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Move, Pattern, Phase, Pipe, Schedule

_ROUND = Pattern("rotated-rings", "job")


def ring_order(sizes: tuple[int, ...], turn: int) -> tuple[int, ...]:
    """Return the ranks of one ring in order.

    Ring `turn` enters a domain at the member with that number and leaves it at the member before, passing all
    others; the next domain is entered at the member where the last was left and passed the other way round,
    so that traffic between domains stays on its rail.

    ::

        domain 0     1 -> 2 -> 3 -> 0
                                    |        rail 0
        domain 1     1 <- 2 <- 3 <- 0
                     |                       rail 1
        domain 2     1 -> ...

    References
    ----------
    Alternating rings over rails: NCCL, ``NCCL_CROSS_NIC=2`` (NVIDIA NCCL documentation, environment
    variables).

    Examples
    --------
    >>> ring_order((4, 4), 1)
    (1, 2, 3, 0, 4, 7, 6, 5)
    """
    order: list[int] = []
    first = 0
    for domain, g in enumerate(sizes):
        inside = [(turn + i) % g for i in range(g)]
        if domain % 2:  # entered where the last was left, so passed the other way round
            inside.reverse()
        order += [first + i for i in inside]
        first += g
    return tuple(order)


def n_rings(shape: Shape) -> int:
    """Return the number of rings: one per member of the largest domain; a single domain has one cycle.

    Examples
    --------
    >>> n_rings(Shape((8, 8))), n_rings(Shape((8,)))
    (8, 1)
    """
    return max(shape.sizes) if shape.n_domains > 1 else 1


def ring(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the rotated ring: each of r rings carries S / r.

    A broadcast is a pipeline round every ring from rank 0, and a reduction one that ends there. Their
    patterns count the step that closes the ring as well, which they do not take: no link carries more for it
    than the other steps put on theirs.

    References
    ----------
    Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69(2), 2009.
    Broadcast and reduction: NVIDIA NCCL, src/device/broadcast.h and reduce.h.

    Examples
    --------
    >>> schedule = ring("all-gather", Shape((4,)), 1000.0)
    >>> schedule.bytes_per_endpoint, schedule.steps
    (750.0, 3)
    """
    if collective == "broadcast":
        return Phase("broadcast", _ROUND, size_bytes, shape.n - 1, "copy", _chain(shape, 0))
    if collective == "reduce":
        return Phase("reduce", _ROUND, size_bytes, shape.n - 1, "reduce", _chain(shape, 1))
    once = (shape.n - 1) / shape.n * size_bytes
    scatter = Phase("reduce-scatter", _ROUND, once, shape.n - 1, "reduce", _around(shape, 1))
    gather = Phase("all-gather", _ROUND, once, shape.n - 1, "copy", _around(shape, 0))
    forms: dict[str, Schedule] = {
        "all-reduce": Pipe((scatter, gather)),
        "all-gather": gather,
        "reduce-scatter": scatter,
    }
    return forms[collective]


def _around(shape: Shape, late: int) -> Callable[[int, int], Iterator[Move]]:
    def moves(n: int, step: int) -> Iterator[Move]:
        for turn in range(n_rings(shape)):
            order = ring_order(shape.sizes, turn)
            for place, rank in enumerate(order):
                # A chunk is named by its ring and its owner, which it left `step` places ago.
                yield rank, order[(place + 1) % n], (turn, order[(place - step - late) % n])

    return moves


def _chain(shape: Shape, late: int) -> Callable[[int, int], Iterator[Move]]:
    def moves(n: int, step: int) -> Iterator[Move]:
        for turn in range(n_rings(shape)):
            order = ring_order(shape.sizes, turn)
            # A pipeline from the root on, or if late by one, from behind it round to it.
            root = order.index(0)
            yield order[(root + step + late) % n], order[(root + step + late + 1) % n], (turn,)

    return moves
