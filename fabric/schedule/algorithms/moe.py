"""Mixture of experts: tokens go to the ranks of their experts, and what these make of them comes back.

Every token chooses `top_k` different experts, all alike, and experts lie evenly on the ranks. So bytes are
expectations, exact for uniform choice. A balanced choice, as benchmarks of kernels draw it, puts the experts
of a token on as many ranks as there are for them, all alike again. A choice that is limited to some groups
of experts first draws these, all alike (DeepSeek-V3, arXiv 2412.19437, section 2.1.2: 4 of 8 groups).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from fabric.arguments import check_fields
from fabric.errors import QuestionError
from fabric.schedule.algorithms.lines import Line, gather_by_pairs, lines, reverse, single
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Move, Phase, Pipe, Schedule
from fabric.units import MAX_BYTES

Choice = Literal["uniform", "balanced"]


@dataclass(frozen=True, slots=True)
class Moe:
    """The experts of a layer and the tokens of a step.

    Parameters
    ----------
    tokens : int
        Of every rank.
    hidden : int
        Values of a token.
    top_k : int
        Experts that a token goes to.
    n_experts : int
        On all ranks together.
    bytes_per_value : float
        Scales included, where there are some: 1 + 4 / 128 for FP8 with a float for 128 values.
    n_groups : int
        Groups that the experts are divided into, in the order of their ranks.
    max_groups : int, optional
        Groups that the experts of one token may lie in; all by default.
    choice : {"uniform", "balanced"}
        Experts of a token all alike, or on different ranks as far as there are so many.
    """

    tokens: int
    hidden: int
    top_k: int
    n_experts: int
    bytes_per_value: float
    n_groups: int = 1
    max_groups: int | None = None
    choice: Choice = "uniform"

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        counts = ("tokens", "hidden", "top_k", "n_experts", "bytes_per_value", "n_groups")
        for name in counts:
            if not getattr(self, name) > 0:
                msg = f"Moe: {name}: got {getattr(self, name)}; expected a positive number"
                raise QuestionError(msg)
        if self.choice == "balanced" and self.n_groups > 1:
            msg = f"Moe: a balanced choice knows no groups of experts; got {self.n_groups} of them"
            raise QuestionError(msg)
        if not 1 <= self.token_bytes <= MAX_BYTES / self.tokens / self.top_k:
            size = f"{self.hidden} values of {self.bytes_per_value:g} bytes for {self.tokens} tokens"
            msg = f"Moe: {size}; expected a byte a token, and at most {MAX_BYTES} bytes in all"
            raise QuestionError(msg)

    @property
    def token_bytes(self) -> float:
        """Bytes of one token."""
        return self.hidden * self.bytes_per_value


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a token goes, on average, its own rank and domain included.

    Parameters
    ----------
    domains, ranks : float
        Different ones.
    experts : int
    """

    domains: float
    ranks: float
    experts: int


@dataclass(frozen=True, slots=True)
class LogicalBytes:
    """What a rank's tokens amount to by the count of DeepEP, to state bandwidths by.

    Parameters
    ----------
    between_domains : float
        One copy of a token for every domain that it goes to, also for its own: the "RDMA" bandwidth.
    to_ranks : float
        One copy for every rank, also for its own: the "NVLink" bandwidth.
    to_experts : float
        One copy for every expert: kernels of low latency, and the DeepSeek-V3 papers.
    """

    between_domains: float
    to_ranks: float
    to_experts: float


def moe_reach(shape: Shape, moe: Moe) -> Reach:
    """Return in how many domains and ranks the experts of one token lie on average.

    Notes
    -----
    Of N experts, K different ones miss a set of a with probability C(N - a, K) / C(N, K). If only M of G
    groups may be used, N is the number of experts in these; a set that is part of one group is reached only
    if that is among them, and of one that holds q groups some j are, with hypergeometric probability.

    Raises
    ------
    QuestionError
        If experts do not lie evenly on the ranks and in the groups, or if a token has fewer to choose from
        than it must.

    Examples
    --------
    >>> reach = moe_reach(Shape((8,) * 8), Moe(4096, 7168, 8, 256, 1.0, n_groups=8, max_groups=4))
    >>> round(reach.domains, 4), round(reach.ranks, 4), reach.experts
    (3.629, 7.3594, 8)
    >>> moe_reach(Shape((64,)), Moe(64, 7168, 8, 256, 2, choice="balanced")).ranks
    8.0
    """
    n = shape.n
    if moe.n_experts % n:
        msg = f"{moe.n_experts} experts do not lie evenly on {n} ranks; give a multiple of {n}"
        raise QuestionError(msg)
    per_rank = moe.n_experts // n
    used = moe.n_groups if moe.max_groups is None else moe.max_groups
    if moe.n_groups < 1 or moe.n_experts % moe.n_groups or not 1 <= used <= moe.n_groups:
        msg = f"{moe.n_experts} experts in {moe.n_groups} groups, of which a token uses {used}: not even"
        raise QuestionError(msg)
    # A token chooses among the experts of the groups that it may use, all alike.
    group = moe.n_experts // moe.n_groups
    choice = group * used
    if not 1 <= moe.top_k <= choice:
        msg = f"a token chooses 1 to {choice} of {choice} experts in {used} groups, not {moe.top_k}"
        raise QuestionError(msg)

    if moe.choice == "balanced":
        ranks = min(moe.top_k, n)
        missed = (math.comb(n - g, ranks) / math.comb(n, ranks) for g in shape.sizes)
        return Reach(sum(1 - part for part in missed), float(ranks), moe.top_k)

    def hit(size: int) -> float:
        experts = size * per_rank
        inside = min(experts, group)
        parts = experts // inside
        if moe.n_groups > 1 and (group % inside or experts % inside):
            msg = f"{experts} experts of a domain or rank straddle groups of {group}"
            raise QuestionError(msg)
        # Over how many of its groups are drawn (hypergeometric), the chance that all K experts miss the set.
        missed = 0.0
        for drawn in range(max(0, used - moe.n_groups + parts), min(parts, used) + 1):
            ways = math.comb(parts, drawn) * math.comb(moe.n_groups - parts, used - drawn)
            left = math.comb(choice - drawn * inside, moe.top_k) / math.comb(choice, moe.top_k)
            missed += ways / math.comb(moe.n_groups, used) * left
        return 1 - missed

    return Reach(sum(hit(g) for g in shape.sizes), n * hit(1), moe.top_k)


def moe_logical_bytes(shape: Shape, moe: Moe) -> LogicalBytes:
    """Return the bytes of a dispatch or combine as DeepEP counts them, for one rank.

    References
    ----------
    DeepSeek-AI, DeepEP, tests/test_internode.py (`num_rdma_token_sent`, `recv_x`) and test_low_latency.py.

    Examples
    --------
    The all-to-all of a layer in the DeepSeek-V3 papers: 32 tokens, 9 experts, 1 + 2 bytes of 7,000 values.

    >>> sent = moe_logical_bytes(Shape((8,) * 9), Moe(32, 7000, 9, 288, 1 + 2))
    >>> round(sent.to_experts / 50e9 * 1e6, 2)
    120.96
    """
    reach = moe_reach(shape, moe)
    copy_bytes = moe.tokens * moe.token_bytes
    return LogicalBytes(copy_bytes * reach.domains, copy_bytes * reach.ranks, copy_bytes * reach.experts)


def moe_dispatch(shape: Shape, moe: Moe) -> dict[str, Schedule]:
    """Return the schedules that bring tokens to their experts, by name.

    ``hierarchical``, for domains of equal size: a token crosses to each other domain of its experts once, on
    the rail of its rank, and goes on over the scale-up network to every rank that has an expert of it.
    ``pairwise``: it goes to every expert by itself.

    References
    ----------
    DeepSeek-AI, "DeepSeek-V3 Technical Report", arXiv 2412.19437, section 3.2.2; DeepEP
    (github.com/deepseek-ai/DeepEP).

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> forms = moe_dispatch(Shape((4, 4)), Moe(1000, 1, 8, 8, 1.0))
    >>> {name: [p.bytes_per_endpoint for p in phases(schedule)] for name, schedule in forms.items()}
    {'hierarchical': [1000.0, 6000.0], 'pairwise': [7000.0]}
    """
    return {name: single(parts, Pipe) for name, parts in _dispatch(shape, moe).items()}


def moe_combine(shape: Shape, moe: Moe) -> dict[str, Schedule]:
    """Return the schedules that bring the results back and add them up: those of `moe_dispatch` backwards.

    Sums are formed in the domain of the experts, so one result for every domain crosses.

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> forms = moe_combine(Shape((4, 4)), Moe(1000, 1, 8, 8, 2.0))
    >>> [(p.name, p.bytes_per_endpoint) for p in phases(forms["hierarchical"])]
    [('combine in domain', 12000.0), ('combine on rail', 2000.0)]
    """
    return {name: single(reverse(parts), Pipe) for name, parts in _dispatch(shape, moe).items()}


def _dispatch(shape: Shape, moe: Moe) -> dict[str, tuple[Phase, ...]]:
    # Any token may go anywhere: in symbols a dispatch is an all-gather of all tokens, and of their bytes
    # every message carries the same part.
    reach = moe_reach(shape, moe)
    copy_bytes = moe.tokens * moe.token_bytes
    every = Line((shape.n,), 0, "job")
    forms: dict[str, tuple[Phase, ...]] = {
        "pairwise": (_among("dispatch", every, (), copy_bytes * reach.experts),)
    }
    # On the rail one copy for every domain, inside it one for every rank with an expert of the token.
    if shape.is_even and shape.sizes[0] > 1:
        rail, domain = lines(shape)
        across = _among("dispatch on rail", rail, (), copy_bytes * reach.domains)
        inside = _among("dispatch in domain", domain, (rail.axis,), copy_bytes * reach.ranks)
        forms = {"hierarchical": (across, inside) if shape.n_domains > 1 else (inside,), **forms}
    return forms


def _among(name: str, line: Line, free: tuple[int, ...], size_bytes: float) -> Phase:
    """Return the phase that sends `size_bytes` alike to all ranks of a line, of which the own part stays."""
    sent = (line.length - 1) / line.length * size_bytes
    turns = gather_by_pairs(name, line, free, 0.0)

    def moves(n: int, step: int) -> Iterator[Move]:
        # A kernel posts its messages to all ranks at once.
        return chain.from_iterable(turns.moves(n, turn) for turn in range(turns.steps))

    return replace(turns, bytes_per_endpoint=sent, steps=1, moves=moves, transfer="tokens", is_at_once=True)
