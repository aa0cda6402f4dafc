"""What a rank of a training job does in a step, one thing after another, stage by stage of its pipeline.

::

    stage 0   F0 F1 F2 F3  B0 F4 B1 F5 B2 ...      one forward, one backward: as many forwards ahead
    stage 1      F0 F1  F2 B0 F3 B1 ...            as there are stages behind
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fabric.interop.export.chakra import TraceNode
from fabric.workload.exchanges import Exchange, exchanges
from fabric.workload.step import FORWARD, micro_compute_s
from fabric.workload.workload import Workload

_OVERLAPS = 0.5
"""Part of a transfer from which on it counts as one that overlaps."""


@dataclass(eq=False)
class Program:
    """The nodes of a stage, each with the sort of its groups, or which stage it sends to or hears from."""

    nodes: list[tuple[TraceNode, str]] = field(default_factory=list)

    def add(self, node: TraceNode, sort: str = "") -> tuple[int, ...]:
        """Add a node, and return its number."""
        self.nodes.append((node, sort))
        return (len(self.nodes) - 1,)


def programs(work: Workload, peak_tflops: float, sizes: Mapping[str, int]) -> Iterator[Program]:
    """Yield the program of each stage.

    Parameters
    ----------
    work : Workload
        With the size of dp.
    peak_tflops : float
        Of a GPU.
    sizes : mapping of str to int
        Ranks of a group of each sort.
    """
    for stage in range(work.parallel.pp):
        yield _Passes(work, peak_tflops, sizes, stage).program


class _Passes:
    """One stage of the pipeline."""

    def __init__(self, work: Workload, peak_tflops: float, sizes: Mapping[str, int], stage: int) -> None:
        self._work, self._sizes, self._stage = work, sizes, stage
        self._compute_us = 1e6 * micro_compute_s(work, peak_tflops)
        self._forward = FORWARD[work.recompute]
        self._sent = list(exchanges(work))
        self.program = Program()
        self._fill()

    def _fill(self) -> None:
        pp, m = self._work.parallel.pp, self._work.n_micro
        ahead = min(pp - 1 - self._stage, m)
        turns = [("forward", k) for k in range(ahead)]
        for k in range(m - ahead):
            turns += [("forward", ahead + k), ("backward", k)]
        turns += [("backward", k) for k in range(m - ahead, m)]
        after: tuple[int, ...] = ()
        for one in self._of_span("first forward"):
            after = self._send(one, after, is_waited=self._waits(one))
        for way, k in turns:
            start = after
            after = self._pass(way, k, after)
            if (way, k) == ("backward", m - 1):
                # What overlaps begins with the last pass, what does not when it is over.
                for one in self._of_span("last backward"):
                    waits = self._waits(one)
                    ended = self._send(one, after if waits else start, is_waited=waits)
                    after = ended if waits else after

    def _of_span(self, span: str) -> list[Exchange]:
        return [one for one in self._sent if one.span == span]

    def _waits(self, one: Exchange) -> bool:
        return self._work.overlap[one.dimension].value < _OVERLAPS

    def _pass(self, way: str, k: int, after: tuple[int, ...]) -> tuple[int, ...]:
        """Add the pass of a micro-batch: what comes in, computing and sending in turn, what goes out."""
        is_forward = way == "forward"
        near, far = ("before", "behind") if is_forward else ("behind", "before")
        here = {"before": self._stage > 0, "behind": self._stage + 1 < self._work.parallel.pp}
        pipes = [one for one in self._of_span("micro-batch") if one.group == "pp"]
        tag = 2 * k + (not is_forward)
        if pipes and here[near]:
            node = TraceNode(f"{way} {k}", "receive", after, size_bytes=pipes[0].size_bytes, tag=tag)
            after = (*after, *self.program.add(node, near))
        due = [
            (one, self._times(one, is_forward)) for one in self._of_span("micro-batch") if one.group != "pp"
        ]
        n_parts = max((n for one, n in due if self._waits(one)), default=1) or 1
        compute_us = self._compute_us * (self._forward if is_forward else 1 - self._forward)
        for part in range(n_parts):
            # Whole microseconds that add up to the pass.
            us = round(compute_us * (part + 1) / n_parts) - round(compute_us * part / n_parts)
            after = self.program.add(TraceNode(f"{way} {k}", "compute", after, duration_us=us))
            for one, n in due:
                for _ in range((part + 1) * n // n_parts - part * n // n_parts):
                    after = self._send(one, after, is_waited=self._waits(one))
        if pipes and here[far]:
            node = TraceNode(f"{way} {k}", "send", after, size_bytes=pipes[0].size_bytes, tag=tag)
            self.program.add(node, far)
        return after

    def _times(self, one: Exchange, is_forward: bool) -> int:
        """Return how often something is sent in a pass; gradients go in backward passes alone."""
        if "gradients" in one.what:
            return 0 if is_forward else round(one.times)
        passes = 3 if self._work.recompute == "full" else 2
        forward = round(one.times / passes)
        return forward if is_forward else round(one.times) - forward

    def _send(self, one: Exchange, after: tuple[int, ...], *, is_waited: bool) -> tuple[int, ...]:
        size = one.size_bytes
        if one.moe is not None:
            moe = one.moe
            size = round(moe.tokens * moe.top_k * moe.hidden * moe.bytes_per_value)
        collective = one.collective if one.moe is None else "all-to-all"
        if collective == "all-gather":
            size = -(-size // self._sizes[one.group])
        node = TraceNode(one.what, "collective", after, collective=collective, size_bytes=size)
        number = self.program.add(node, one.group)
        return number if is_waited else after
