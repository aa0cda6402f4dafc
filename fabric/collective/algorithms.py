"""Collective algorithms as schedules.

Ranks are numbered domain by domain: rank ``d * g + i`` is member i of domain d, with g ranks in each of k
scale-up domains, n = k * g in all. Sizes follow nccl-tests (doc/PERFORMANCE.md): S is the buffer of one rank
for all-reduce and all-to-all, and the whole gathered or scattered buffer for all-gather and reduce-scatter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from fabric.collective.schedule import Move, Pattern, Phase, Pipe, Schedule
from fabric.errors import QuestionError

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")


@dataclass(frozen=True, slots=True)
class Shape:
    """Ranks of a job by domain.

    Parameters
    ----------
    sizes : tuple of int
        Ranks in each scale-up domain, in the order of the ranks.
    """

    sizes: tuple[int, ...]

    @property
    def n(self) -> int:
        """Number of ranks."""
        return sum(self.sizes)

    @property
    def n_domains(self) -> int:
        """Number of domains."""
        return len(self.sizes)

    def equal(self) -> int:
        """Return the ranks per domain.

        Raises
        ------
        QuestionError
            If domains are of unequal size.
        """
        if len(set(self.sizes)) > 1:
            low, high = min(self.sizes), max(self.sizes)
            msg = (
                "the hierarchical form needs domains of equal size; "
                f"this job has {low} to {high} ranks a domain; use the ring, or leave ranks out with among"
            )
            raise QuestionError(msg)
        return self.sizes[0]


def busbw_factor(collective: str, n: int) -> float:
    """Return busbw / algbw of a collective among n ranks.

    References
    ----------
    NVIDIA nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth".

    Examples
    --------
    >>> busbw_factor("all-reduce", 8)
    1.75
    """
    return (2 if collective == "all-reduce" else 1) * (n - 1) / n


def schedules(collective: str, shape: Shape, size_bytes: float) -> dict[str, Schedule]:
    """Return the schedules of every algorithm that can run `collective` on `shape`, by name.

    Raises
    ------
    QuestionError
        If the collective is unknown or has fewer than two ranks.
    """
    if collective not in COLLECTIVES:
        msg = f"unknown collective {collective!r}; known are {', '.join(COLLECTIVES)}"
        raise QuestionError(msg)
    if shape.n < 2:
        msg = f"{collective} needs at least 2 ranks; the job has {shape.n}"
        raise QuestionError(msg)
    if collective == "all-to-all":
        return {"pairwise": pairwise(shape, size_bytes)}
    found = {"ring": ring(collective, shape, size_bytes)}
    if len(set(shape.sizes)) == 1:
        found = {"hierarchical": hierarchical(collective, shape, size_bytes), **found}
    return found


def pairwise(shape: Shape, size_bytes: float) -> Schedule:
    """Return the direct all-to-all: in step s every rank sends to the rank s + 1 places on.

    References
    ----------
    Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19(1),
    2005, section 4.4.
    """

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(n):
            target = (rank + step + 1) % n
            yield rank, target, (rank, target)

    n = shape.n
    return Phase("pairwise", Pattern("pairwise", "job"), (n - 1) / n * size_bytes, n - 1, "copy", moves)


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
    """
    order: list[int] = []
    first = 0
    for domain, g in enumerate(sizes):
        inside = [(turn + i) % g for i in range(g)]
        if domain % 2:
            inside.reverse()
        order += [first + i for i in inside]
        first += g
    return tuple(order)


def n_rings(shape: Shape) -> int:
    """Return the number of rings: one per member of the largest domain; a single domain has one cycle."""
    return max(shape.sizes) if shape.n_domains > 1 else 1


def ring(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the rotated ring: each of r rings carries S / r.

    References
    ----------
    Patarasuk, Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69(2), 2009.
    """
    n = shape.n
    rings = n_rings(shape)
    pattern = Pattern("rotated-rings", "job")
    once = (n - 1) / n * size_bytes

    def around(shift: int) -> Callable[[int, int], Iterator[Move]]:
        def moves(n: int, step: int) -> Iterator[Move]:
            for turn in range(rings):
                order = ring_order(shape.sizes, turn)
                for place, rank in enumerate(order):
                    chunk = order[(place - step + shift) % n]
                    yield rank, order[(place + 1) % n], (turn, chunk)

        return moves

    scatter = Phase("reduce-scatter", pattern, once, n - 1, "reduce", around(-1))
    gather = Phase("all-gather", pattern, once, n - 1, "copy", around(0))
    forms: dict[str, Schedule] = {
        "all-reduce": Pipe((scatter, gather)),
        "all-gather": gather,
        "reduce-scatter": scatter,
    }
    return forms[collective]


def hierarchical(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the hierarchical form: by pairs inside the scale-up domain, by a ring on every rail across.

    ::

        all-reduce = reduce-scatter in domain | reduce-scatter on rail
                                              | all-gather on rail | all-gather in domain

    The parts are piped, so the loads add and the slowest link sets the time: an H100 cluster is measured near
    the NIC limit, which a sum of phases would halve.

    References
    ----------
    Austin et al., "How to Scale Your Model", chapter on GPUs, 2025; Cho et al., "BlueConnect", SysML 2019.
    """
    g, k = shape.equal(), shape.n_domains
    n = shape.n
    block = size_bytes / n
    up, down = _in_domain(g, k, "reduce", block), _in_domain(g, k, "copy", block)
    scatter, gather = _on_rail(g, k, "reduce", block), _on_rail(g, k, "copy", block)
    parts = {
        "all-reduce": (up, scatter, gather, down),
        "reduce-scatter": (up, scatter),
        "all-gather": (gather, down),
    }[collective]
    useful = tuple(p for p in parts if p.steps)
    return useful[0] if len(useful) == 1 else Pipe(useful)


def _in_domain(g: int, k: int, action: Literal["reduce", "copy"], block: float) -> Phase:
    """Return one half of an all-reduce inside a domain; chunk c belongs to member c mod g."""

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(n):
            domain, member = divmod(rank, g)
            other = (member + step + 1) % g
            for place in range(k):
                yield rank, domain * g + other, place * g + (other if action == "reduce" else member)

    name = "reduce-scatter in domain" if action == "reduce" else "all-gather in domain"
    return Phase(name, Pattern("pairwise", "domain"), (g - 1) * k * block, g - 1, action, moves)


def _on_rail(g: int, k: int, action: Literal["reduce", "copy"], block: float) -> Phase:
    """Return one half of a ring all-reduce on every rail; chunk c ends at, or starts from, rank c."""
    shift = -1 if action == "reduce" else 0

    def moves(n: int, step: int) -> Iterator[Move]:
        for rank in range(n):
            domain, member = divmod(rank, g)
            chunk = (domain - step + shift) % k
            yield rank, (domain + 1) % k * g + member, chunk * g + member

    name = "reduce-scatter on rail" if action == "reduce" else "all-gather on rail"
    return Phase(name, Pattern("ring", "rail"), (k - 1) * block, k - 1, action, moves)
