"""Algorithms in which switches reduce and multiply."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from fabric.schedule.algorithms.levels import in_domain
from fabric.schedule.algorithms.lines import Line, lines, mirror, single
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.algorithms.trees import along_chains, up_trees
from fabric.schedule.tree import Move, Pattern, Phase, Pipe, Schedule

Chunks = Callable[[int], Iterable[Hashable]]
"""What a rank sends up, or what comes down to it."""


@dataclass(frozen=True, slots=True)
class _Switches:
    """The switches of all lines of one kind; line i has the number -1 - `first` - i."""

    line: Line
    first: int

    def of(self, rank: int) -> int:
        # Lines along the second axis are the domains, along the first the rails.
        domain, member = divmod(rank, self.line.grid[1])
        return -1 - self.first - (domain if self.line.axis else member)

    def up(self, chunks: Chunks, sent: float, action: Literal["copy", "reduce"]) -> Phase:
        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                for chunk in chunks(rank):
                    yield rank, self.of(rank), chunk

        name = f"{'reduce' if action == 'reduce' else 'shares'} in switches of {self.line.over}"
        pattern = Pattern("to-switches", self.line.over)
        return Phase(name, pattern, sent, 1, action, moves, "in-switch")

    def down(self, chunks: Chunks, received: float) -> Phase:
        def moves(n: int, step: int) -> Iterator[Move]:
            for rank in range(n):
                for chunk in chunks(rank):
                    yield self.of(rank), rank, chunk

        name = f"multicast in switches of {self.line.over}"
        pattern = Pattern("from-switches", self.line.over)
        return Phase(name, pattern, received, 1, "multicast", moves, "in-switch")


def _of(shape: Shape) -> tuple[_Switches, _Switches]:
    """Return the switches of rails, and those of domains."""
    rail, domain = lines(shape)
    return _Switches(rail, shape.n_domains), _Switches(domain, 0)


def _parts(shape: Shape, n_parts: int = 1) -> tuple[Chunks, Chunks]:
    """Return all chunks, and those that a member of a domain has in its care, as chunks of every rank."""
    g = shape.equal()
    every = [(part, member) for part in range(n_parts) for member in range(g)]
    return lambda rank: every, lambda rank: [(part, rank % g) for part in range(n_parts)]


def nvls(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the form in which the switches of the scale-up network reduce and multiply.

    ::

        member i reads its share from the switch, which      every rank up S, down S / g
        sums it over all members on the way;
        it writes the sum to the switch, which
        copies it to all members                              every rank up S / g, down S

    Between the two, an all-reduce over several domains runs through the switches of every rail.

    References
    ----------
    Klenk et al., "An in-network architecture for accelerating shared-memory multiprocessor collectives", ISCA
    2020; NVIDIA NCCL, src/device/all_reduce.h, algorithm NVLS.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(nvls("all-reduce", Shape((4,)), 8.0))]
    [8.0, 2.0, 2.0, 8.0]
    """
    across, _ = _of(shape)
    _, shard = _parts(shape)
    share = size_bytes / shape.equal()
    # Each member's share is a sum over its own domain only: the rails add it up across domains.
    between = (across.up(shard, share, "reduce"), across.down(shard, share)) if shape.n_domains > 1 else ()
    return _around(collective, shape, size_bytes, between, 1)


def nvls_tree(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-reduce in the switches of every domain, with two trees on every rail across.

    References
    ----------
    NVIDIA NCCL 2.18, src/device/all_reduce.h, algorithm NVLS_TREE.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(nvls_tree("all-reduce", Shape((4,) * 4), 8.0))]
    [8.0, 2.0, 2.0, 2.0, 2.0, 8.0]
    """
    rail, domain = lines(shape)
    up = up_trees(rail, size_bytes / domain.length)
    return _around(collective, shape, size_bytes, (up, mirror(up)), 2)


def _around(
    collective: str, shape: Shape, size_bytes: float, between: tuple[Phase, ...], n_parts: int
) -> Schedule:
    _, inside = _of(shape)
    every, shard = _parts(shape, n_parts)
    share = size_bytes / shape.equal()
    # Multimem load and store: reading makes the switch sum, writing makes it copy.
    scatter = (inside.up(every, size_bytes, "reduce"), inside.down(shard, share))
    gather = (inside.up(shard, share, "copy"), inside.down(every, size_bytes))
    parts = {
        "all-reduce": (*scatter, *between, *gather),
        "reduce-scatter": scatter,
        "all-gather": gather,
    }[collective]
    return single(parts, Pipe)


def collnet_direct(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-reduce by pairs inside domains, through switches that reduce on every rail.

    With one rank a domain this is the plain reduction in the network: every byte goes up once, and its sum
    comes down once.

    References
    ----------
    Graham et al., "Scalable hierarchical aggregation protocol (SHArP)", COMHPC 2016; NVIDIA NCCL,
    src/device/all_reduce.h, algorithm COLLNET_DIRECT.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.bytes_per_endpoint for p in phases(collnet_direct("all-reduce", Shape((4, 4)), 8.0))]
    [6.0, 2.0, 2.0, 6.0]
    """
    across, _ = _of(shape)
    g = shape.equal()
    share = size_bytes / g

    def shard(rank: int) -> Iterable[Hashable]:
        return range(rank % g, shape.n, g)

    # With one rank a domain there are no phases inside; they have no steps.
    down = in_domain(shape, size_bytes)
    parts = (mirror(down), across.up(shard, share, "reduce"), across.down(shard, share), down)
    return Pipe(tuple(part for part in parts if part.steps))


def collnet_chain(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-reduce along one chain per rail inside domains, through switches that reduce across.

    References
    ----------
    NVIDIA NCCL, src/device/all_reduce.h, algorithm COLLNET_CHAIN.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> [p.steps for p in phases(collnet_chain("all-reduce", Shape((4, 4)), 8.0))]
    [3, 1, 1, 3]
    """
    across, _ = _of(shape)
    _, domain = lines(shape)
    _, shard = _parts(shape)
    share = size_bytes / domain.length
    # Each chain ends at the member whose rail sums it; the way back is the same, mirrored.
    along = along_chains(domain, size_bytes, 1)
    return Pipe((along, across.up(shard, share, "reduce"), across.down(shard, share), mirror(along)))
