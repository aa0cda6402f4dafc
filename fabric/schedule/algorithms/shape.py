"""How the ranks of a job lie: by scale-up domain, on a torus, at switches that reduce."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fabric.errors import QuestionError

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "broadcast",
    "reduce",
    "all-to-all",
    "gather",
    "scatter",
    "send-recv",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Ranks of one instance of a collective.

    Parameters
    ----------
    sizes : tuple of int
        Ranks in each scale-up domain, in the order of the ranks.
    torus : tuple of (str, int)
        Names and sizes of the ring axes, if the ranks are a whole torus; the last axis is the fastest.
    reduces_in_domain : bool
        Whether switches of the scale-up network reduce and multiply (NVLink SHARP).
    reduces_across : bool
        Whether switches between domains do (SHARP).
    is_mesh : bool
        Whether every two ranks of a domain are joined directly.
    relays : bool
        Whether a rank may take what is another's to its own card (PXN).

    Raises
    ------
    QuestionError
        If a domain is empty, or the torus has another number of ranks.
    """

    sizes: tuple[int, ...]
    torus: tuple[tuple[str, int], ...] = ()
    reduces_in_domain: bool = False
    reduces_across: bool = False
    is_mesh: bool = False
    relays: bool = True

    n: int = field(init=False, repr=False, compare=False)
    """Number of ranks."""
    is_even: bool = field(init=False, repr=False, compare=False)
    """Whether all domains are of one size, so that rails exist."""

    def __post_init__(self) -> None:
        # Worked out once: a million ranks may be a million domains.
        low, high = min(self.sizes, default=0), max(self.sizes, default=0)
        object.__setattr__(self, "n", sum(self.sizes))
        object.__setattr__(self, "is_even", low == high)
        if low < 1:
            msg = f"a job has ranks in every domain that it lists; got {self.sizes}"
            raise QuestionError(msg)
        if self.torus and math.prod(size for _, size in self.torus) != self.n:
            msg = f"the torus {self.torus} does not have the {self.n} ranks of the domains"
            raise QuestionError(msg)

    @property
    def n_domains(self) -> int:
        """Number of domains."""
        return len(self.sizes)

    @property
    def has_two_levels(self) -> bool:
        """Whether there are equal domains, several of them, of several ranks each."""
        return self.is_even and self.n_domains > 1 and self.sizes[0] > 1

    def equal(self) -> int:
        """Return the ranks per domain.

        Raises
        ------
        QuestionError
            If domains are of unequal size.
        """
        if not self.is_even:
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
    NVIDIA nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth"; for gather, scatter and send-recv, src/gather.cu,
    src/scatter.cu and src/sendrecv.cu.

    Examples
    --------
    >>> busbw_factor("all-reduce", 8)
    1.75
    """
    if collective in ("broadcast", "reduce", "send-recv"):
        return 1.0
    return (2 if collective == "all-reduce" else 1) * (n - 1) / n
