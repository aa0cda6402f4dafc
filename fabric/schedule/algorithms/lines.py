"""Ranks on a grid, what moves along its lines, and how parts of a collective are joined.

An all-gather that runs backwards in time is a reduce-scatter, a broadcast a reduction, a scatter a gather. So
algorithms are written once, for what spreads, and turned round by `mirror`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Kind, Move, Over, Pattern, Phase, Pipe, Schedule, Seq

_OTHER_WAY: dict[Kind, Kind] = {
    "tree-up": "tree-down",
    "tree-down": "tree-up",
    "fold": "unfold",
    "unfold": "fold",
    "from-root": "to-root",
    "to-root": "from-root",
    "ring": "shift",
}
_TURNS = ("ring", "shift", "binomial")
_BACKWARDS = {
    "all-gather": "reduce-scatter",
    "broadcast": "reduce",
    "scatter": "gather",
    "dispatch": "combine",
    "reduce": "broadcast",
    "fold": "unfold",
}


@dataclass(frozen=True, slots=True)
class Line:
    """Lines of ranks along one axis of a grid.

    Parameters
    ----------
    grid : tuple of int
        Sizes of the axes; ranks are numbered with the last one fastest.
    axis : int
    over : {"job", "domain", "rail", "axis"}
        What a pattern calls these lines.
    name : str
        Of the axis, for ``over="axis"``.
    """

    grid: tuple[int, ...]
    axis: int
    over: Over
    name: str = ""

    @property
    def length(self) -> int:
        """Ranks on a line."""
        return self.grid[self.axis]

    @property
    def n(self) -> int:
        """Ranks on the grid."""
        return math.prod(self.grid)

    def pattern(self, kind: Kind, by: int = 1) -> Pattern:
        """Return the pattern of a kind along the lines."""
        return Pattern(kind, self.over, by, self.name)

    def neighbour(self, rank: int, by: int) -> int:
        """Return the rank `by` places along the line, round its end."""
        # Ranks that are next to each other on the axis are as far apart as the axes inside it are large.
        stride = math.prod(self.grid[self.axis + 1 :])
        place = rank // stride % self.length
        return rank + ((place + by) % self.length - place) * stride

    def alike(self, rank: int, free: tuple[int, ...]) -> list[int]:
        """Return the ranks that differ from `rank` along the axes `free` only."""
        ranks = [rank]
        # The product of the axes, one after the other.
        for axis in free:
            line = Line(self.grid, axis, self.over)
            ranks = [line.neighbour(r, by) for r in ranks for by in range(line.length)]
        return ranks

    def n_alike(self, free: tuple[int, ...]) -> int:
        """Return the number of ranks that differ along the axes `free` only."""
        return math.prod(self.grid[axis] for axis in free)


def lines(shape: Shape) -> tuple[Line, Line]:
    """Return the rails and the domains of a job with domains of equal size."""
    grid = (shape.n_domains, shape.equal())
    return Line(grid, 0, "rail"), Line(grid, 1, "domain")


def gather_by_pairs(
    name: str, line: Line, free: tuple[int, ...], block_bytes: float, pattern: Pattern | None = None
) -> Phase:
    """Return an all-gather along lines in which every rank sends to every other one itself.

    Parameters
    ----------
    name : str
    line : Line
    free : tuple of int
        Axes that are gathered already: a rank has the chunks of those that differ from it along these.
    block_bytes : float
        Of one chunk; every rank owns the chunk of its number.
    pattern : Pattern, optional
        ``pairwise`` by default.
    """

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(line.n):
            target = line.neighbour(rank, step + 1)
            for chunk in line.alike(rank, free):
                yield rank, target, chunk

    others = line.length - 1
    # To every other rank of the line all that was gathered before.
    sent = others * line.n_alike(free) * block_bytes
    return Phase(name, pattern or line.pattern("pairwise"), sent, others, "copy", moves)


def ring_moves(
    line: Line, free: tuple[int, ...], way: int, late: int
) -> Callable[[int, int], Iterator[Move]]:
    """Return the messages of an all-gather round the lines, or of a reduce-scatter if `late` by one step.

    Parameters
    ----------
    line, free
        As in `gather_by_pairs`.
    way : {1, -1}
    late : {0, 1}
        A rank starts with its own chunk, or with that of the rank before, which comes home after all others.
    """

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(line.n):
            target = line.neighbour(rank, way)
            # What is passed on came so many places round; with `late`, it started one place further back.
            for chunk in line.alike(line.neighbour(rank, -way * (step + late)), free):
                yield rank, target, chunk

    return moves


def ring_half(
    line: Line, free: tuple[int, ...], block_bytes: float, action: Literal["copy", "reduce"], where: str
) -> Phase:
    """Return an all-gather (copy) or reduce-scatter (reduce) along lines, both the same way round."""
    name = f"{'all-gather' if action == 'copy' else 'reduce-scatter'} {where}"
    sent = (line.length - 1) * line.n_alike(free) * block_bytes
    moves = ring_moves(line, free, 1, int(action == "reduce"))
    return Phase(name, line.pattern("ring"), sent, line.length - 1, action, moves)


def mirror(phase: Phase) -> Phase:
    """Return `phase` backwards in time: what it copies is reduced, and what it reduces is copied."""

    def moves(n: int, step: int) -> Iterator[Move]:
        for source, target, chunk in phase.moves(n, phase.steps - 1 - step):
            yield target, source, chunk

    forward = phase.pattern
    # Messages go from target to source: patterns that have a direction turn, the others are their own.
    by = -forward.by if forward.kind in _TURNS else forward.by
    pattern = Pattern(_OTHER_WAY.get(forward.kind, forward.kind), forward.over, by, forward.axis)
    verb, *where = phase.name.split(" ")
    name = " ".join([_BACKWARDS[verb], *where])
    action: Literal["copy", "reduce"] = "copy" if phase.action == "reduce" else "reduce"
    return replace(phase, name=name, pattern=pattern, action=action, moves=moves)


def reverse(parts: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return phases turned round by `mirror`, last first."""
    return tuple(mirror(part) for part in reversed(parts))


def compose(collective: str, gather: tuple[Phase, ...], how: type[Seq] | type[Pipe]) -> Schedule:
    """Return an all-gather, a reduce-scatter or an all-reduce, of the phases of an all-gather."""
    parts = {
        "all-gather": gather,
        "reduce-scatter": reverse(gather),
        "all-reduce": reverse(gather) + gather,
    }[collective]
    return single(parts, how)


def single(parts: tuple[Phase, ...], how: type[Seq] | type[Pipe]) -> Schedule:
    """Return phases joined by `how`; one alone stays as it is."""
    return parts[0] if len(parts) == 1 else how(parts)
