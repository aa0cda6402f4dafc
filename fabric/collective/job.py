"""A job: the ranks of a collective, their domains, and the link loads of their traffic patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fabric.blueprint.join import Floats, Ints
from fabric.collective.algorithms import Shape, n_rings, ring_order
from fabric.collective.schedule import Pattern
from fabric.errors import QuestionError
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, components, expand, select
from fabric.routing import Demands, Progress, Router, link_loads, router

# Pairs of a pairwise phase that are listed; a million GPUs need the symmetry engine.
MAX_PAIRS = 50_000_000


@dataclass(frozen=True, eq=False)
class Job:
    """Ranks on a fabric.

    Parameters
    ----------
    expanded : Expanded
    ranks : ndarray of int64, shape (n,)
        Devices in the order of the ranks: domain by domain, then by device.
    shape : Shape
        Ranks per domain.
    route : Router
    """

    expanded: Expanded
    ranks: Ints
    shape: Shape
    route: Router
    _loads: dict[Pattern, Floats] = field(default_factory=dict)

    def loads(self, pattern: Pattern, progress: Progress | None = None) -> Floats:
        """Return bytes on every link, shape (2 * m,), when every rank sends one byte in `pattern`.

        A pattern is routed once and then remembered; `progress` hears nothing where it is known.
        """
        if pattern not in self._loads:
            self._loads[pattern] = link_loads(self.route, demands(self, pattern), progress=progress)
        return self._loads[pattern]

    def prepare(self, patterns: Iterable[Pattern], progress: Progress) -> None:
        """Route those of `patterns` that are not known; `progress` hears of the destinations of all."""
        missing = [p for p in dict.fromkeys(patterns) if p not in self._loads]
        n = self.shape.n
        for i, pattern in enumerate(missing):

            def tell(done: int, of: int, before: int = i * n) -> None:
                progress(before + n * done // of, len(missing) * n)

            self.loads(pattern, tell)


def job(fabric: Fabric, among: str | None = None, *, limit: int = EXPAND_LIMIT) -> Job:
    """Return the job on the endpoints that `among` selects, or on all.

    Raises
    ------
    QuestionError
        If endpoints are of more than one group and `among` does not say which, if it selects something that
        is no endpoint, or if nothing is left.
    """
    expanded = expand(fabric, limit=limit)
    ends = expanded.is_endpoint
    if among is None:
        chosen = ends
        groups = sorted({expanded.groups[g].name for g in np.unique(expanded.group[ends])})
        if len(groups) > 1:
            several = ", ".join(groups)
            msg = f"endpoints are of several groups ({several}); say among which, such as among={groups[0]!r}"
            raise QuestionError(msg)
    else:
        chosen = select(fabric, among, limit=limit)
        other = np.flatnonzero(chosen & ~ends)
        if len(other):
            msg = f"among={among!r} selects {expanded.names[int(other[0])]}, which is no endpoint"
            raise QuestionError(msg)
    down = np.flatnonzero(chosen & expanded.failed)
    if len(down):
        some = expanded.names[int(down[0])]
        msg = f"{len(down):,} of the ranks are failed, such as {some}; leave them out with among"
        raise QuestionError(msg)
    devices = np.flatnonzero(chosen)
    if not len(devices):
        msg = f"{expanded.name} has no endpoint"
        raise QuestionError(msg)
    domain = _domains(expanded)[devices]
    order = np.lexsort((devices, domain))
    _, sizes = np.unique(domain, return_counts=True)
    return Job(expanded, devices[order], Shape(tuple(sizes.tolist())), router(expanded, chosen))


def _domains(expanded: Expanded) -> Ints:
    """Return the scale-up domain of every device: what rules of ``net: scale-up`` join."""
    rules = np.array([r.net == "scale-up" for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule] if len(rules) else np.zeros(0, np.bool_)
    return components(expanded.n_devices, expanded.tail[rows], expanded.head[rows])


def demands(work: Job, pattern: Pattern) -> Demands:
    """Return the traffic of `pattern` when every rank sends one byte.

    Raises
    ------
    QuestionError
        If a pairwise pattern has more than `MAX_PAIRS` pairs.
    """
    if pattern.kind == "rotated-rings":
        source, target, amount = _rotated(work.shape)
    elif pattern.kind == "ring":
        source, target, amount = _ring(_among(work.shape, pattern.over))
    else:
        source, target, amount = _pairwise(_among(work.shape, pattern.over))
    return Demands(work.ranks[source], work.ranks[target], amount)


def _among(shape: Shape, over: Literal["job", "domain", "rail"]) -> list[Ints]:
    """Return the groups of ranks that a pattern runs among, each in its order."""
    ranks = np.arange(shape.n)
    if over == "job":
        return [ranks]
    if over == "domain":
        return np.split(ranks, np.cumsum(shape.sizes)[:-1])
    return list(ranks.reshape(-1, shape.equal()).T)


def _pairwise(blocks: list[Ints]) -> tuple[Ints, Ints, Floats]:
    total = sum(len(b) * (len(b) - 1) for b in blocks)
    if total > MAX_PAIRS:
        msg = f"a pairwise phase of {total:,} pairs; {MAX_PAIRS:,} at most are routed; choose a smaller job"
        raise QuestionError(msg)
    source, target, amount = [], [], []
    for block in blocks:
        a, b = np.repeat(block, len(block)), np.tile(block, len(block))
        other = a != b
        source.append(a[other])
        target.append(b[other])
        amount.append(np.full(int(other.sum()), 1 / max(len(block) - 1, 1)))
    return np.concatenate(source), np.concatenate(target), np.concatenate(amount)


def _ring(groups: list[Ints]) -> tuple[Ints, Ints, Floats]:
    source = np.concatenate(groups)
    target = np.concatenate([np.roll(group, -1) for group in groups])
    order = np.argsort(source)
    return source[order], target[order], np.ones(len(source))


def _rotated(shape: Shape) -> tuple[Ints, Ints, Floats]:
    rings = n_rings(shape)
    orders = np.array([ring_order(shape.sizes, turn) for turn in range(rings)], dtype=np.int64)
    hops, count = np.unique(orders * shape.n + np.roll(orders, -1, axis=1), return_counts=True)
    return hops // shape.n, hops % shape.n, count / rings
