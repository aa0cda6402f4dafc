"""How long a step takes: compute, what is sent beside it, and what is left over.

A *span* is a part of a step in which some transfers run beside some compute::

    span = max( compute + exposed transfers,  every stream of hidden ones,  busiest link of all of them )

so whatever overlaps shares links: their loads add before the busiest link is looked for. A step is

    step = m (1 + (p - 1) / (v m)) micro-batch  +  what the first forward and the last backward pass
                                                   take longer for weights and gradients
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fabric.arrays import Floats
from fabric.costing.paced import PacedGroups
from fabric.workload.exchanges import Exchange, Span
from fabric.workload.workload import Workload, bubble


@dataclass(frozen=True, eq=False)
class TimedExchange:
    """An exchange on the fabric.

    Parameters
    ----------
    exchange : Exchange
    paced : PacedGroups
    overlap : float
        Part that may run beside the compute.
    """

    exchange: Exchange
    paced: PacedGroups
    overlap: float

    @property
    def time_s(self) -> float:
        """Of all its times in a span, run alone [s]."""
        return self.paced.cost.time_s * self.exchange.times

    @property
    def busy_s(self) -> Floats:
        """How long every link is busy in a span [s]."""
        return self.paced.busy_s * self.exchange.times

    @property
    def sent_bytes(self) -> float:
        """What a rank sends in a span, by the convention of busbw; of tokens what it sends on too."""
        each = (
            self.paced.sent_bytes if self.exchange.moe else self.exchange.sent_bytes(self.paced.job.shape.n)
        )
        return each * self.exchange.times

    def part(self, of: float) -> TimedExchange:
        """Return a part of its times."""
        return replace(self, exchange=replace(self.exchange, times=self.exchange.times * of))


@dataclass(frozen=True, eq=False)
class SpanTime:
    """A part of a step.

    Parameters
    ----------
    total_s : float
    exposed_s : mapping of str to float
        By sort of groups, what its transfers make the span longer than its compute [s].
    """

    total_s: float
    exposed_s: Mapping[str, float]


def span_time(compute_s: float, beside: Sequence[TimedExchange]) -> SpanTime:
    """Return how long some compute takes with transfers beside it.

    Notes
    -----
    Not less than the compute and all that may not be hidden, one after the other; than the hidden transfers
    of one dimension, which follow each other; and than the busiest link needs for all of them. What the last
    two add is laid to the hidden transfers, each as long as it takes.
    """
    exposed: dict[str, float] = {}
    hidden: dict[str, float] = {}
    for timed in beside:
        name = timed.exchange.group
        exposed[name] = exposed.get(name, 0.0) + (1 - timed.overlap) * timed.time_s
        hidden[name] = hidden.get(name, 0.0) + timed.overlap * timed.time_s
    in_turn = compute_s + sum(exposed.values())
    streams: dict[str, float] = {}
    for timed in beside:
        stream = timed.exchange.dimension
        streams[stream] = streams.get(stream, 0.0) + timed.overlap * timed.time_s
    busiest = max((float(busy.max(initial=0.0)) for busy in _together(beside)), default=0.0)
    total_s = max(in_turn, busiest, *streams.values(), 0.0)
    late, every = total_s - in_turn, sum(hidden.values())
    if late > 0:
        # Where nothing may be hidden, the busiest link is that of what is sent in turn.
        weights = hidden if every > 0 else exposed
        whole = sum(weights.values())
        for name, part in weights.items():
            exposed[name] = exposed.get(name, 0.0) + late * part / whole
    return SpanTime(total_s, exposed)


def _together(beside: Iterable[TimedExchange]) -> Iterable[Floats]:
    """Yield how long links are busy with all transfers on the same links."""
    sums: dict[int, Floats] = {}
    for timed in beside:
        busy = timed.busy_s
        sums[len(busy)] = sums.get(len(busy), np.zeros(len(busy))) + busy
    yield from sums.values()


@dataclass(frozen=True, eq=False)
class StepTime:
    """A step, and what it is made of; the parts add up to it.

    Parameters
    ----------
    compute_s : float
        Of all micro-batches [s].
    bubble_s : float
        That a stage waits for others [s].
    exposed_s : mapping of str to float
        By sort of groups [s].
    """

    compute_s: float
    bubble_s: float
    exposed_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        """The step [s]."""
        return self.compute_s + self.bubble_s + sum(self.exposed_s.values())


# Part of the compute of a micro-batch that its forward pass is: backward passes are twice as long, and one
# that does the forward pass again three times.
FORWARD = {"none": 1 / 3, "full": 1 / 4}


def micro_compute_s(work: Workload, peak_tflops: float) -> float:
    """Return how long a stage computes for a micro-batch, forward and backward [s]."""
    layout = work.parallel
    flops = work.model.flops_per_token(work.batch.length) * work.micro_tokens / layout.n_fixed
    again = 4 / 3 if work.recompute == "full" else 1.0
    return again * flops / (peak_tflops * 1e12 * work.achieved.value)


def step_time(work: Workload, compute_s: float, timed: Sequence[TimedExchange]) -> StepTime:
    """Return how long a step takes.

    Parameters
    ----------
    work : Workload
        With the size of dp.
    compute_s : float
        Of a micro-batch [s].
    timed : sequence of TimedExchange

    Notes
    -----
    Gradients of a layer are ready while the last micro-batch passes back through it, and weights are needed
    as the first passes forward: transfers of a layer hide behind the compute of the others, so of what may
    overlap one layer of a stage stays (Megatron-LM, ``--overlap-grad-reduce``, ``--overlap-param-gather``;
    Rajbhandari et al., arXiv 1910.02054).
    """
    beside: dict[Span, list[TimedExchange]] = {"micro-batch": [], "first forward": [], "last backward": []}
    layers = max(work.model.layers / work.parallel.pp, 1.0)
    for one in timed:
        is_once = one.exchange.span != "micro-batch"
        beside[one.exchange.span].append(
            replace(one, overlap=one.overlap * (1 - 1 / layers)) if is_once else one
        )
    micro = span_time(compute_s, beside["micro-batch"])
    m, idle = work.n_micro, bubble(work.parallel, work.n_micro)
    exposed = {name: m * s for name, s in micro.exposed_s.items()}
    forward = FORWARD[work.recompute]
    for span, part in (("first forward", forward), ("last backward", 1 - forward)):
        once = beside[span]  # type: ignore[index]
        if not once:
            continue
        pass_ = [one.part(part) for one in beside["micro-batch"]]
        longer = span_time(part * compute_s, [*pass_, *once]).total_s - part * micro.total_s
        whole = sum(one.time_s for one in once)
        for one in once:
            name = one.exchange.group
            share = one.time_s / whole if whole else 0.0
            exposed[name] = exposed.get(name, 0.0) + max(longer, 0.0) * share
    return StepTime(m * compute_s, idle * m * micro.total_s, exposed)
