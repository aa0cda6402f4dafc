"""What the ranks of a training job send: which collective, how large, how often in a step, beside what.

Per layer and micro-batch tensor parallelism gathers and scatters activations, context parallelism exchanges
keys and values, experts get their tokens and give them back, and stages hand activations on; per step (or,
with ZeRO-3, per micro-batch) replicas add up gradients and share weights. Each formula has its source below
and in docs/workload.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fabric.schedule.algorithms import Moe, busbw_factor
from fabric.workload.workload import VALUE_BYTES, ParallelDimension, Workload

Span = Literal["micro-batch", "first forward", "last backward"]
"""Beside what part of a step something is sent."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One collective of a step, which all groups of a sort run at once.

    Parameters
    ----------
    group : str
        Sort of the groups, see `fabric.workload.layout.GROUPS`.
    collective : str
        Or ``dispatch`` and ``combine``.
    size_bytes : int
        As nccl-tests counts it; 0 for those of experts.
    times : float
        In the part of a step that it runs beside.
    span : {"micro-batch", "first forward", "last backward"}
    what : str
        In words.
    moe : Moe or None
        Tokens of a rank and their experts, for ``dispatch`` and ``combine``.
    """

    group: str
    collective: str
    size_bytes: int
    times: float
    span: Span
    what: str
    moe: Moe | None = None

    @property
    def dimension(self) -> ParallelDimension:
        """The parallel dimension whose overlap it has."""
        return "dp" if self.group == "edp" else self.group  # type: ignore[return-value]

    def sent_bytes(self, n: int) -> float:
        """Return what a rank of n sends each time, by the convention of busbw; 0 for those of experts."""
        return self.size_bytes * busbw_factor(self.collective, n) if self.moe is None else 0.0


def exchanges(work: Workload) -> Iterator[Exchange]:
    """Yield what the ranks of a job send, those of one rank a group left out.

    References
    ----------
    Tensor parallelism with the sequence between layers: Korthikanti et al., arXiv 2205.05198, section 4.2.2.
    Context: all-gather of keys and values, Llama 3, arXiv 2407.21783, section 3.3.2. Pipeline: arXiv
    2104.04473, section 4.1. Sharding: ZeRO, arXiv 1910.02054, section 7.
    """
    for found in (_tensor(work), _context(work), _experts(work), _pipeline(work), _replicas(work)):
        yield from found


def _passes(work: Workload) -> int:
    """Return how often a layer runs forward or backward for a micro-batch."""
    return 3 if work.recompute == "full" else 2


def _value(work: Workload) -> float:
    return VALUE_BYTES[work.precision.activations]


def _layers(work: Workload) -> float:
    """Return the layers of a stage, on average."""
    return work.model.layers / work.parallel.pp


def _tensor(work: Workload) -> Iterator[Exchange]:
    layout, model = work.parallel, work.model
    if layout.tp == 1:
        return
    # Attention and feed-forward layers, each gathers its input and scatters its output; experts that are
    # whole on one rank do neither.
    cut = 2 * model.layers - (model.moe_layers if layout.ep > 1 else 0)
    times = cut / layout.pp * _passes(work)
    size = round(work.micro_tokens / layout.cp * model.hidden * _value(work))
    yield Exchange("tp", "all-gather", size, times, "micro-batch", "input of a layer")
    yield Exchange("tp", "reduce-scatter", size, times, "micro-batch", "output of a layer")


def _context(work: Workload) -> Iterator[Exchange]:
    layout, model = work.parallel, work.model
    if layout.cp == 1:
        return
    # Latent vectors are unfolded before attention; tp shares heads of keys out as far as there are some.
    if model.kv_rank:
        values = model.heads * (model.key_dim + model.head_dim) / layout.tp
    else:
        values = 2 * model.kv_heads * model.head_dim / min(layout.tp, model.kv_heads)
    size = round(work.micro_tokens * values * _value(work))
    layers = _layers(work)
    yield Exchange("cp", "all-gather", size, layers * _passes(work), "micro-batch", "keys and values")
    yield Exchange("cp", "reduce-scatter", size, layers, "micro-batch", "their gradients")


def _experts(work: Workload) -> Iterator[Exchange]:
    layout, model = work.parallel, work.model
    if layout.ep == 1:
        return
    times = model.moe_layers / layout.pp * _passes(work)
    ways = (("dispatch", work.precision.dispatch), ("combine", work.precision.activations))
    for way, number in ways:
        moe = Moe(
            tokens=work.micro_tokens // (layout.cp * layout.tp),
            hidden=model.hidden,
            top_k=model.top_k,
            n_experts=model.experts,
            bytes_per_value=VALUE_BYTES[number],
            n_groups=model.groups,
            max_groups=model.group_limit,
        )
        what = "tokens to experts" if way == "dispatch" else "what experts make of them"
        yield Exchange("ep", way, 0, times, "micro-batch", what, moe)


def _pipeline(work: Workload) -> Iterator[Exchange]:
    layout = work.parallel
    if layout.pp == 1:
        return
    # Ranks of tp and cp each hand on their part of the sequence; forward and back, for every chunk.
    size = round(work.micro_tokens / (layout.tp * layout.cp) * work.model.hidden * _value(work))
    yield Exchange("pp", "send-recv", size, 2 * layout.vpp, "micro-batch", "activations and their gradients")


def _replicas(work: Workload) -> Iterator[Exchange]:
    layout, model = work.parallel, work.model
    routed = model.n_routed if layout.ep > 1 else 0
    dense = (model.n_parameters - routed) / (layout.tp * layout.pp)
    weight, gradient = (VALUE_BYTES[n] for n in (work.precision.weights, work.precision.gradients))
    parts = (
        ("dp", layout.dp * layout.cp, dense),
        ("edp", layout.tp * layout.cp * layout.dp // layout.ep, routed / (layout.ep * layout.pp)),
    )
    for group, n, own in parts:
        if n == 1 or not own:
            continue
        of_experts = " of experts" if group == "edp" else ""
        weights, gradients = f"weights{of_experts}", f"gradients{of_experts}"
        if work.sharding == "none":
            yield Exchange(group, "all-reduce", round(own * gradient), 1, "last backward", gradients)
        elif work.sharding == "zero-1":
            yield Exchange(group, "reduce-scatter", round(own * gradient), 1, "last backward", gradients)
            yield Exchange(group, "all-gather", round(own * weight), 1, "first forward", weights)
        else:
            # Weights are gathered for every pass, and gradients given away after every micro-batch.
            passes = _passes(work)
            yield Exchange(group, "all-gather", round(own * weight), passes, "micro-batch", weights)
            yield Exchange(group, "reduce-scatter", round(own * gradient), 1, "micro-batch", gradients)
