"""A collective algorithm is a schedule: a series-parallel tree of phases.

A phase says who sends to whom, how many bytes every rank sends, and in how many steps. ``Seq`` runs its parts
one after the other; ``Pipe`` overlaps them chunk by chunk and ``Par`` runs them side by side, so that both
add their loads on every link.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Move = tuple[int, int, Hashable]
"""Source rank, target rank, chunk."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Who sends to whom.

    Parameters
    ----------
    kind : {"pairwise", "ring", "rotated-rings"}
        To every other rank alike; to the next rank; or along one ring per member of a domain, each turned by
        one, so that every NIC carries one of them.
    over : {"job", "domain", "rail"}
        Among which ranks: all; those of a scale-up domain; those with the same place in every domain.
    """

    kind: Literal["pairwise", "ring", "rotated-rings"]
    over: Literal["job", "domain", "rail"]


@dataclass(frozen=True, slots=True)
class Phase:
    """One traffic pattern.

    Parameters
    ----------
    name : str
    pattern : Pattern
    bytes_per_endpoint : float
        What every rank sends in this phase.
    steps : int
        Messages that a rank sends one after the other.
    action : {"copy", "reduce", "multicast"}
        What happens to the bytes at the receiver.
    moves : callable
        ``moves(n, step)`` names source, target and chunk of every message of a step, 0 <= step < steps, among
        n ranks. Costs ignore it; correctness tests run it.
    in_switch : bool
        Whether switches reduce or multiply.
    """

    name: str
    pattern: Pattern
    bytes_per_endpoint: float
    steps: int
    action: Literal["copy", "reduce", "multicast"]
    moves: Callable[[int, int], Iterable[Move]]
    in_switch: bool = False


@dataclass(frozen=True, slots=True)
class Seq:
    """Parts one after the other: times add."""

    parts: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """Parts overlapped chunk by chunk: loads add, the slowest link sets the time."""

    parts: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True)
class Par:
    """Parts side by side on different data: loads add, the slowest link sets the time."""

    parts: tuple[Schedule, ...]


Schedule = Phase | Seq | Pipe | Par


def phases(schedule: Schedule) -> Iterator[Phase]:
    """Iterate over the phases of `schedule` in the order in which data passes through them."""
    if isinstance(schedule, Phase):
        yield schedule
    else:
        for part in schedule.parts:
            yield from phases(part)
