"""How unevenly flows are spread over cables of equal cost, by the routing.

An equal split is what ``ecmp`` counts with. A switch that hashes flows puts some cables under more of them,
and the collective waits for the slowest; one that sprays packets comes close to the equal split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabric.blueprint.join import Floats
from fabric.collective.job import Job
from fabric.collective.schedule import Pattern
from fabric.errors import QuestionError
from fabric.routing.adaptive import spraying_efficiency
from fabric.routing.balls import SlowestFlow, hashed_factor

Slowdown = Callable[[Pattern, Floats], Floats]
"""How much longer each link takes than under an equal split, for a pattern and its loads on links."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Parameters of hashed and adaptive routing.

    Parameters
    ----------
    n_queue_pairs : int
        Flows that a rank's traffic to one other rank is cut into, hashed one by one.
    spraying : str or float
        Efficiency of adaptive routing: a part of the rate, or the name of a published one.
    """

    n_queue_pairs: int = 1
    spraying: str | float = "spectrum-x"

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.n_queue_pairs <= 4096:
            msg = f"queue pairs: from 1 to 4,096; got {self.n_queue_pairs}"
            raise QuestionError(msg)


def slowdowns(job: Job, routing: str, spread: Spread) -> list[tuple[str, Slowdown | None]]:
    """Return the mean slowdown, and for hashed routing those of the median and the 99th percentile."""
    if routing == "adaptive":
        part = spraying_efficiency(spread.spraying)
        return [("mean", lambda pattern, load: np.where(job.links.is_inner & (load > 0), 1 / part, 1.0))]
    if routing != "hashed":
        return [("mean", None)]

    def of(value: Callable[[SlowestFlow], float]) -> Slowdown:
        return lambda pattern, load: _hashed(job, pattern, load, spread.n_queue_pairs, value)

    return [
        ("mean", of(lambda s: s.slowdown)),
        ("p50", of(lambda s: 1 / s.p50)),
        ("p99", of(lambda s: 1 / s.p99)),
    ]


def _hashed(
    job: Job, pattern: Pattern, load: Floats, n_queue_pairs: int, value: Callable[[SlowestFlow], float]
) -> Floats:
    """Return the slowdown of links between switches, where flows share a choice of cables.

    The cables of a rule at one lower switch, upwards or downwards, are one choice; the flows on them are what
    they carry over what one flow carries. The slowest flow of all switches of a class counts.
    """
    links = job.links
    found = np.ones(len(load))
    per_rank = n_queue_pairs * _peers(job, pattern)
    way = np.arange(len(load)) % 2
    chosen = np.flatnonzero(links.is_inner & (load > 0))
    keys = np.column_stack([links.rule, links.lower, way])[chosen]
    _, inverse = np.unique(keys, axis=0, return_inverse=True)
    known: dict[tuple[int, int, int], float] = {}
    for choice in range(int(inverse.max(initial=-1)) + 1):
        own = chosen[inverse.ravel() == choice]
        n_switches = links.n_lower[own[0]]
        n_links = max(round(float(links.n_cables[own].sum() / n_switches)), 1)
        n_flows = max(round(float(load[own].sum() / n_switches * per_rank)), 1)
        key = (n_flows, n_links, round(float(n_switches)))
        if key not in known:
            known[key] = value(hashed_factor(n_flows, n_links, n_groups=key[2])) if n_links > 1 else 1.0
        found[own] = known[key]
    return found


def _peers(job: Job, pattern: Pattern) -> int:
    """Return the flows that a rank's byte is cut into before queue pairs: one for each rank it goes to."""
    shape = job.shape
    if pattern.kind == "rotated-rings":
        return max(shape.sizes)
    if pattern.kind == "pairwise":
        return {"job": shape.n, "rail": shape.n_domains}.get(pattern.over, max(shape.sizes)) - 1 or 1
    return {"two-way-ring": 2, "tree-up": 2, "tree-down": 2}.get(pattern.kind, 1)
