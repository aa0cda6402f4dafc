"""Collective algorithms as schedules.

Ranks are numbered domain by domain: rank ``d * g + i`` is member i of domain d, with g ranks in each of k
scale-up domains, n = k * g in all. Sizes follow nccl-tests (doc/PERFORMANCE.md): S is the buffer of one rank
for all-reduce, all-to-all, broadcast, reduce and send-recv, and the whole gathered or scattered array for
all-gather, reduce-scatter, gather and scatter. The root is rank 0.
"""

from fabric.schedule.algorithms.exchange import pairwise
from fabric.schedule.algorithms.levels import hierarchical
from fabric.schedule.algorithms.moe import (
    LogicalBytes,
    Moe,
    Reach,
    moe_combine,
    moe_dispatch,
    moe_logical_bytes,
    moe_reach,
)
from fabric.schedule.algorithms.rings import n_rings, ring, ring_order
from fabric.schedule.algorithms.shape import COLLECTIVES, Shape, busbw_factor
from fabric.schedule.algorithms.table import ALGORITHMS, Algorithm, refusals, schedules

__all__ = [
    "ALGORITHMS",
    "COLLECTIVES",
    "Algorithm",
    "LogicalBytes",
    "Moe",
    "Reach",
    "Shape",
    "busbw_factor",
    "hierarchical",
    "moe_combine",
    "moe_dispatch",
    "moe_logical_bytes",
    "moe_reach",
    "n_rings",
    "pairwise",
    "refusals",
    "ring",
    "ring_order",
    "schedules",
]
