"""How unevenly flows are spread over cables of equal cost, by the routing.

An equal split is what ``ecmp`` counts with. A switch that hashes flows puts some cables under more of them,
and the collective waits for the slowest; one that sprays packets comes close to the equal split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fabric.arguments import check_fields
from fabric.arrays import Floats, Ints
from fabric.errors import QuestionError
from fabric.job.ranks import Job
from fabric.routing.adaptive import spraying_efficiency
from fabric.routing.balls import SlowestFlow, max_load
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
        return lambda pattern, load: _hash_slowdown(job, pattern, load, spread.n_queue_pairs, value)

    return [
        ("mean", of(lambda s: s.slowdown)),
        ("p50", of(lambda s: 1 / s.p50)),
        ("p99", of(lambda s: 1 / s.p99)),
    ]


def _hash_slowdown(
    job: Job, pattern: Pattern, load: Floats, n_queue_pairs: int, value: Callable[[SlowestFlow], float]
) -> Floats:
    """Return the slowdown of links where flows share a choice of cables.

    Every stage is one choice: the way up and the way down, of every tier. A collective waits for the slowest
    flow of all, so the links of the stage that is slowest by itself take as long as the slowest of all stages
    does, each drawn for itself.
    """
    links = job.links
    slowdown = np.ones(len(load))
    stages = _stages(job, pattern, n_queue_pairs * job.n_cards * _peers(job, pattern))
    if not stages:
        return slowdown
    # How long each link takes under an equal split, and how much longer the slowest flow of a stage alone.
    busy = np.divide(load, links.capacity_gbps, out=np.zeros(len(load)), where=links.capacity_gbps > 0)
    even = [(s, s.even) for s in stages]
    time = [base * value(SlowestFlow.of(*s.slowdown())) for s, base in even]
    for stage, slow in zip(stages, time, strict=True):
        slowdown[stage.links] = _last(slow, busy[stage.links])
    last = stages[int(np.argmax(time))]
    # The chip of a box, or the plane, that a flow goes in by is that which it comes out by: one draw.
    free = [(s, b) for s, b in even if links.is_inner[s.links[0]] or s.links[0] % 2 == last.links[0] % 2]
    base = max(b for _, b in even)
    together = base * value(SlowestFlow.of(*slowest([(s, b / base) for s, b in free])))
    slowdown[last.links] = np.maximum(slowdown[last.links], _last(together, busy[last.links]))
    return slowdown


def _last(slow: float, busy: Floats) -> Floats:
    """Return how much longer links take that wait for the slowest flow of their stage.

    Where a failure leaves some links more of an equal split than others, flows are drawn among all cables
    alike, and none has more of them than there are: the slowest flow is counted on the mean cable. No link
    is faster than its own share.
    """
    return np.maximum(slow / busy, 1.0)


@lru_cache(256)
def _fullest(n_flows: int, n_cables: int, n_choices: int) -> tuple[Ints, Floats]:
    """Return the flows on the fullest cable of all choices, and how probable they are."""
    return max_load(n_flows, n_cables, n_groups=n_choices)


@dataclass(frozen=True, eq=False)
class _Stage:
    """Choices of cables that are alike.

    Parameters
    ----------
    links : ndarray of int64, shape (k,)
    n_flows, n_cables : int
        Of each choice.
    n_choices : int
    even : float
        Bytes on its links over their rate, under an equal split.
    """

    links: Ints
    n_flows: int
    n_cables: int
    n_choices: int
    even: float

    def slowdown(self) -> tuple[Floats, Floats]:
        """Return what the slowest flow takes beside an equal split, and how probable that is."""
        flows, share = _fullest(self.n_flows, self.n_cables, self.n_choices)
        return flows / np.float64(self.n_flows / self.n_cables), share


def slowest(stages: Sequence[tuple[_Stage, float]]) -> tuple[Floats, Floats]:
    """Return the distribution of the slowest of stages that are drawn each for itself.

    Parameters
    ----------
    stages : sequence of (_Stage, float)
        And how long each takes under an equal split.
    """
    known = [(stage.slowdown(), base) for stage, base in stages if base > 0]
    # The slowest is below a time if all are: the distribution functions multiply.
    times = np.unique(np.concatenate([slow * base for (slow, _), base in known]))
    below = np.ones(len(times))
    for (slow, share), base in known:
        upto = np.concatenate([[0.0], np.cumsum(share)])
        below *= upto[np.searchsorted(slow * base, times, side="right")]
    return times, np.diff(below, prepend=0.0)


def _stages(job: Job, pattern: Pattern, flows_per_byte: float) -> list[_Stage]:
    """Return the stages at which flows choose among cables.

    The cables of a rule at one lower switch, upwards or downwards, are one choice; the flows on them are what
    they carry over what one flow carries. Where the lower switch has no endpoints, how many flows come to it
    is drawn too: there the cables of all such switches are one choice.
    """
    links, load, total = job.links, job.loads(pattern).on_link, job.loads(pattern).total
    chosen = np.flatnonzero(links.is_hashed & (load > 0))
    if not len(chosen):
        return []
    way = chosen % 2
    _, choice = np.unique(
        np.column_stack([links.lower[chosen], links.rule[chosen], way]), axis=0, return_inverse=True
    )
    # From here on one entry a choice: the cables of one rule, one way, at one class of lower switches.
    choice = choice.ravel()
    n_switches = np.zeros(choice.max() + 1)
    n_switches[choice] = links.n_lower[chosen]
    # Switches at the edge know their flows: those of their endpoints.
    edge = np.unique(links.upper[~links.is_hashed])
    is_edge = np.zeros(len(n_switches), dtype=np.bool_)
    is_edge[choice] = ~links.is_inner[chosen] | np.isin(links.lower[chosen], edge)
    n_links = np.bincount(choice, links.n_cables[chosen])
    on_choice, on_all = (np.bincount(choice, bytes_on[chosen]) for bytes_on in (load, total))
    n_flows = on_choice * flows_per_byte
    # Of a class in which few switches are busy, such as that of a root, only so many are choices.
    part = np.minimum(on_all / on_choice, 1.0)
    n_busy = n_switches * part
    rule, ways = np.zeros(len(n_switches)), np.zeros(len(n_switches))
    rule[choice], ways[choice] = links.rule[chosen], way
    stages = []
    traits = np.column_stack(
        [
            rule,
            ways,
            is_edge,
            np.where(is_edge, np.maximum((n_flows / n_switches).round(), 1), 0),
            np.where(is_edge, np.maximum((n_links / n_switches).round(), 1), 0),
        ]
    )
    # Choices of as many flows among as many cables are one stage; beyond the edge all of a rule are.
    kinds, kind = np.unique(traits, axis=0, return_inverse=True)
    kind = kind.ravel()
    for number, (_, _, at_edge, flows, cables) in enumerate(kinds.tolist()):
        of_kind = kind == number
        own = chosen[of_kind[choice]]
        if not at_edge:
            flows, cables = (max((n * part)[of_kind].sum().round(), 1) for n in (n_flows, n_links))
        if cables > 1:  # a single cable is no choice
            n_choices = max(round(n_busy[of_kind].sum()), 1) if at_edge else 1
            even = float(on_choice[of_kind].sum() / links.capacity_gbps[own].sum())
            stages.append(_Stage(own, int(flows), int(cables), n_choices, even))
    return stages


def _peers(job: Job, pattern: Pattern) -> int:
    """Return the flows that a rank's byte is cut into before queue pairs: one for each rank it goes to."""
    shape = job.shape
    if pattern.kind == "rotated-rings":
        return max(shape.sizes)
    if pattern.kind in ("pairwise", "from-root", "to-root"):
        return {"job": shape.n, "rail": shape.n_domains}.get(pattern.over, max(shape.sizes)) - 1 or 1
    return {"two-way-ring": 2, "tree-up": 2, "tree-down": 2}.get(pattern.kind, 1)
