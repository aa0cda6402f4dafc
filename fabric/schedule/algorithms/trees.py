"""Double binary trees, with a chain inside every domain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fabric.schedule.algorithms.lines import Line, lines, mirror
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.patterns import two_trees
from fabric.schedule.tree import Move, Phase, Pipe, Schedule


def tree(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the all-reduce up and down two binary trees, each with half of the data.

    Every rank of a domain heads one chain through the domain, and the heads with the same place form two
    trees across; in one domain the chains are all there is. Ranks without a domain, or of domains of unequal
    size, form two trees by themselves.

    ::

        domain 0            domain 1            domain 2
        1 -> 2 -> 3 -> 0    1 -> 2 -> 3 -> 0    1 -> 2 -> 3 -> 0     chain of rail 0
                       |                   |                   |
                       +-- tree of rail 0 -+-------------------+

    NCCL's split and balanced trees let another member of the domain speak to the children. Over the chains of
    all rails that gives every NIC the same bytes, so one form stands for all.

    References
    ----------
    Sanders, Speck, Träff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", Parallel
    Computing 35(12), 2009; NVIDIA NCCL, src/graph/trees.cc and connect.cc.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> for phase in phases(tree("all-reduce", Shape((4,) * 8), 8.0)):
    ...     print(phase.name, phase.bytes_per_endpoint, phase.steps)
    reduce along chains 6.0 3
    reduce over trees 2.0 3
    broadcast over trees 2.0 3
    broadcast along chains 6.0 3
    """
    if not shape.is_even or shape.sizes[0] == 1:
        up = up_trees(Line((shape.n,), 0, "job"), size_bytes)
        return Pipe((up, mirror(up)))
    rail, domain = lines(shape)
    if shape.n_domains == 1:
        along = along_chains(domain, size_bytes, 1)
        return Pipe((along, mirror(along)))
    along, up = along_chains(domain, size_bytes, 2), up_trees(rail, size_bytes / domain.length)
    return Pipe((along, up, mirror(up), mirror(along)))


def along_chains(domain: Line, size_bytes: float, n_parts: int) -> Phase:
    """Return the reduction along one chain per member of a domain, to that member.

    Parameters
    ----------
    domain : Line
    size_bytes : float
        What every rank contributes to all chains.
    n_parts : int
        Chunks of one chain; chunk (t, i) is part t of the chain of member i.
    """
    g = domain.length

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(n):
            # The chain of a member starts at the next one; after `step` steps the data are here.
            member = (rank - 1 - step) % g
            for part in range(n_parts):
                yield rank, domain.neighbour(rank, 1), (part, member)

    sent = (g - 1) / g * size_bytes
    return Phase("reduce along chains", domain.pattern("ring"), sent, g - 1, "reduce", moves)


def up_trees(line: Line, size_bytes: float) -> Phase:
    """Return the reduction up two trees on every line, of half of `size_bytes` each.

    Chunk (t, i) goes up tree t on the line of the ranks r with i = r modulo the number of lines.
    """
    m = line.length
    n_lines = line.n // m
    depth = (m - 1).bit_length()

    def moves(n: int, step: int) -> Iterator[Move]:
        for part, parent in enumerate(two_trees(m)):
            # A member sends when all below it have: at the step of its height over the leaves.
            height = np.zeros(m, dtype=np.int64)
            for _ in range(depth):
                inner = parent >= 0
                np.maximum.at(height, parent[inner], height[inner] + 1)
            for member in np.flatnonzero((height == step) & (parent >= 0)).tolist():
                for at in range(n_lines):
                    yield member * n_lines + at, int(parent[member]) * n_lines + at, (part, at)

    # Of two members each sends in one tree only.
    sent = size_bytes if m > 2 else size_bytes / 2
    return Phase("reduce over trees", line.pattern("tree-up"), sent, depth, "reduce", moves)
