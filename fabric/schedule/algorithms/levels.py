"""Algorithms in two levels: inside the scale-up domain, and on every rail across domains."""

from __future__ import annotations

from typing import Literal

from fabric.schedule.algorithms.lines import gather_by_pairs, lines, mirror, ring_half, single
from fabric.schedule.algorithms.shape import Shape
from fabric.schedule.tree import Phase, Pipe, Schedule, Seq


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

    Examples
    --------
    >>> from fabric.schedule.tree import phases
    >>> for phase in phases(hierarchical("all-gather", Shape((4, 4)), 8.0)):
    ...     print(phase.name, phase.bytes_per_endpoint)
    all-gather on rail 1.0
    all-gather in domain 6.0
    """
    return single(_parts(collective, shape, size_bytes), Pipe)


def hierarchical_serial(collective: str, shape: Shape, size_bytes: float) -> Schedule:
    """Return the hierarchical form with one part after the other, for comparison: times add.

    Examples
    --------
    >>> type(hierarchical_serial("all-reduce", Shape((4, 4)), 8.0)).__name__
    'Seq'
    """
    return single(_parts(collective, shape, size_bytes), Seq)


def in_domain(shape: Shape, size_bytes: float) -> Phase:
    """Return the all-gather inside every domain of what its members have from all domains."""
    _, domain = lines(shape)
    return gather_by_pairs("all-gather in domain", domain, (0,), size_bytes / shape.n)


def _parts(collective: str, shape: Shape, size_bytes: float) -> tuple[Phase, ...]:
    rail, _ = lines(shape)
    down = in_domain(shape, size_bytes)

    def on_rail(action: Literal["copy", "reduce"]) -> Phase:
        return ring_half(rail, (), size_bytes / shape.n, action, "on rail")

    parts = {
        "all-reduce": (mirror(down), on_rail("reduce"), on_rail("copy"), down),
        "reduce-scatter": (mirror(down), on_rail("reduce")),
        "all-gather": (on_rail("copy"), down),
    }[collective]
    # Of a single domain, or of domains of one rank, one of the levels has no steps.
    return tuple(part for part in parts if part.steps)
