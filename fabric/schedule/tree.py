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

Kind = Literal[
    "pairwise",
    "ring",
    "two-way-ring",
    "rotated-rings",
    "line",
    "closing",
    "shift",
    "exchange",
    "fold",
    "unfold",
    "binomial",
    "tree-up",
    "tree-down",
    "from-root",
    "to-root",
    "to-switches",
    "from-switches",
]
Over = Literal["job", "domain", "rail", "axis"]
Transfer = Literal["copy", "in-switch", "all-to-all", "tokens"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Who sends to whom, among the m members 0 to m - 1 of every group.

    Parameters
    ----------
    kind : str
        ``pairwise``: to every other member alike. ``ring``: to the next. ``two-way-ring``: half to the next
        and half to the one before. ``rotated-rings`` (of the job): along one ring per member of a domain,
        each turned by one, so that every NIC carries one of them. ``line``: to the next, but for the last.
        ``closing``: the last `by` members to the first `by`, each to the one after its own. ``shift``: to the
        member `by` places on, or back if negative. ``exchange``: with the member whose number differs in the
        bit `by`, among the largest power of two of members; ``fold`` and ``unfold``: the members beyond that
        power send to, and hear from, the first ones. ``binomial``: members below `by` to those `by` places
        on; if negative, the other way. ``tree-up`` and ``tree-down``: half to the parents, or the children,
        of each of two binary trees. ``from-root`` and ``to-root``: member 0 to all others alike, and back.
        ``to-switches`` and ``from-switches``: to and from the switches that reduce and multiply.
    over : {"job", "domain", "rail", "axis"}
        Among which ranks: all; those of a scale-up domain; those with the same place in every domain; those
        that differ along one axis only.
    by : int
    axis : str
        For ``over="axis"``.
    """

    kind: Kind
    over: Over
    by: int = 1
    axis: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """One traffic pattern.

    Parameters
    ----------
    name : str
    pattern : Pattern
    bytes_per_endpoint : float
        What the busiest rank sends, or receives if that is more.
    steps : int
        Rounds of messages, one after the other; of a pipelined tree or chain its depth.
    action : {"copy", "reduce", "multicast"}
        What happens to the bytes at the receiver.
    moves : callable
        ``moves(n, step)`` names source, target and chunk of every message of a step, 0 <= step < steps, among
        n ranks; negative numbers are switches. Costs ignore it; correctness tests run it.
    transfer : {"copy", "in-switch", "all-to-all", "tokens"}
        The kind of transfer, by which a calibration gives efficiencies; tokens are those of a mixture of
        experts, which kernels of their own move.
    is_at_once : bool
        Whether all messages of the algorithm are posted in this one step, so that the farthest sets the
        latency.
    """

    name: str
    pattern: Pattern
    bytes_per_endpoint: float
    steps: int
    action: Literal["copy", "reduce", "multicast"]
    moves: Callable[[int, int], Iterable[Move]]
    transfer: Transfer = "copy"
    is_at_once: bool = False


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
