"""Collectives on a torus that keep every link busy both ways."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fabric.schedule.algorithms.lines import Line, reverse, ring_moves
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Move, Par, Phase, Schedule, Seq


def torus(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the rings along every axis of a torus, one after the other, on d parts of the data at once.

    Each part starts along another axis, and half of it goes either way round, so that of equal sides all 2 d
    links of a rank are busy all the time and an all-reduce takes (2 (n - 1) / n S) / (2 d B).

    ::

        part 0:  reduce-scatter along z, y, x    all-gather along x, y, z
        part 1:                       x, z, y                     y, z, x
        part 2:                       y, x, z                     z, x, y

    References
    ----------
    Sack, Gropp, "Collective algorithms for multiported torus networks", ACM TOPC 1(2), 2015; Jain, Sabharwal,
    "Optimal bucket algorithms for large MPI collectives on torus interconnects", ICS 2010.

    Examples
    --------
    >>> schedule = torus("all-gather", Shape((16,), torus=(("x", 4), ("y", 4))), 16.0)
    >>> [[(phase.pattern.axis, phase.bytes_per_endpoint) for phase in part.parts] for part in schedule.parts]
    [[('x', 1.5), ('y', 6.0)], [('y', 1.5), ('x', 6.0)]]
    """
    axes = tuple((name, size) for name, size in shape.torus if size > 1)
    parts = []
    for part in range(len(axes)):
        gather = _gather(axes, part, size_bytes)
        parts.append(
            Seq(
                {
                    "all-gather": gather,
                    "reduce-scatter": reverse(gather),
                    "all-reduce": reverse(gather) + gather,
                }[collective]
            )
        )
    return Par(tuple(parts))


def _gather(axes: tuple[tuple[str, int], ...], part: int, size_bytes: float) -> tuple[Phase, ...]:
    """Return the all-gather of one part, which starts along the axis of its number."""
    d = len(axes)
    grid = tuple(size for _, size in axes)
    block_bytes = size_bytes / (d * math.prod(grid))
    # Part p starts along axis p, so that at any time each part is on an axis of its own.
    order = [(part + i) % d for i in range(d)]
    return tuple(
        _both_ways(Line(grid, axis, "axis", axes[axis][0]), tuple(order[:i]), part, block_bytes)
        for i, axis in enumerate(order)
    )


def _both_ways(line: Line, done: tuple[int, ...], part: int, block_bytes: float) -> Phase:
    ways = [ring_moves(line, done, way, 0) for way in (1, -1)]

    def moves(n: int, step: int) -> Iterator[Move]:
        for half, way in enumerate(ways):
            for source, target, chunk in way(n, step):
                yield source, target, (part, half, chunk)

    # Each half goes one way round: together what one ring would carry, over both directions of its links.
    sent = (line.length - 1) * line.n_alike(done) * block_bytes
    return Phase(
        f"all-gather along {line.name}", line.pattern("two-way-ring"), sent, line.length - 1, "copy", moves
    )
