"""How unevenly flows are spread over cables of equal cost, by the routing.

An equal split is what ``ecmp`` counts with. A switch that hashes flows puts some cables under more of them,
and the collective waits for the slowest; one that sprays packets comes close to the equal split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabric.arguments import check_fields
from fabric.arrays import Floats
from fabric.errors import QuestionError
from fabric.job.ranks import Job
from fabric.routing.adaptive import spraying_efficiency
from fabric.routing.balls import SlowestFlow, hashed_factor
from fabric.schedule.tree import Pattern

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
        check_fields(self)
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
    """Return the slowdown of links where flows share a choice of cables.

    The cables of a rule at one lower switch, upwards or downwards, are one choice; the flows on them are what
    they carry over what one flow carries. The slowest flow of all choices that are alike counts.
    """
    links = job.links
    found = np.ones(len(load))
    chosen = np.flatnonzero(links.is_hashed & (load > 0))
    if not len(chosen):
        return found
    way = chosen % 2
    _, choice = np.unique(
        np.column_stack([links.lower[chosen], links.rule[chosen], way]), axis=0, return_inverse=True
    )
    choice = choice.ravel()
    n_switches = np.zeros(choice.max() + 1)
    n_switches[choice] = links.n_lower[chosen]
    per_byte = n_queue_pairs * _peers(job, pattern)
    n_links = np.maximum((np.bincount(choice, links.n_cables[chosen]) / n_switches).round(), 1)
    n_flows = np.maximum((np.bincount(choice, load[chosen]) / n_switches * per_byte).round(), 1)
    alike, kind = np.unique(
        np.column_stack([n_flows[choice], n_links[choice], links.rule[chosen], way]),
        axis=0,
        return_inverse=True,
    )
    kind = kind.ravel()
    first = np.unique(choice, return_index=True)[1]
    n_groups = np.bincount(kind[first], n_switches)
    slow = [
        value(hashed_factor(int(flows), int(cables), n_groups=round(groups))) if cables > 1 else 1.0
        for (flows, cables, *_), groups in zip(alike.tolist(), n_groups.tolist(), strict=True)
    ]
    found[chosen] = np.array(slow)[kind]
    return found


def _peers(job: Job, pattern: Pattern) -> int:
    """Return the flows that a rank's byte is cut into before queue pairs: one for each rank it goes to."""
    shape = job.shape
    if pattern.kind == "rotated-rings":
        return max(shape.sizes)
    if pattern.kind in ("pairwise", "from-root", "to-root"):
        return {"job": shape.n, "rail": shape.n_domains}.get(pattern.over, max(shape.sizes)) - 1 or 1
    return {"two-way-ring": 2, "tree-up": 2, "tree-down": 2}.get(pattern.kind, 1)
