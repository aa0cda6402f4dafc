"""Transfers that run at once: the rate of each when links are shared fairly, and when it is done.

Each goes by its paths in equal parts per hop. Rates are max-min fair: none can be raised but at the cost of
one that is no faster. They are found by progressive filling: all rise together until a link is full, what is
on it stays, the others rise on. When a transfer ends the others share what it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from fabric.arguments import checked
from fabric.arrays import Floats, Ints
from fabric.errors import QuestionError
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, Paths, expand, select
from fabric.job.listing import route_pairs
from fabric.results import DeviceText, Result
from fabric.routing.ecmp import Demands
from fabric.units import CABLE_S_PER_M, format_bytes, format_rate, format_time, parse_bytes, seconds_to_send

MAX_TRANSFERS = 20_000
"""Transfers at once."""
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One transfer.

    Parameters
    ----------
    source, target : str
    size_bytes : int
    rate_gbps : float
        While all run [Gb/s].
    alone_gbps : float
        With no other [Gb/s].
    time_s : float
        Until it is done, all having started together [s].
    flight_s : float
        Of these the flight through its cables, the mean over its ways [s].
    binding : str
        The link rule that is full and gives it no more.
    """

    source: DeviceText
    target: DeviceText
    size_bytes: int
    rate_gbps: float
    alone_gbps: float
    time_s: float
    flight_s: float
    binding: str


@dataclass(frozen=True, slots=True)
class Transfers(Result):
    """Answer of `transfer`.

    Parameters
    ----------
    rows : tuple of TransferRow
        In the order of the question.
    paths : {"rules", "no-relay", "any"}
    """

    rows: tuple[TransferRow, ...]
    paths: Paths

    shown: ClassVar[tuple[str, ...]] = ("time_s", "total_gbps")

    @property
    def time_s(self) -> float:
        """When the last one is done [s]."""
        return max((row.time_s for row in self.rows), default=0.0)

    @property
    def total_gbps(self) -> float:
        """What all move together while all run [Gb/s]."""
        return sum(row.rate_gbps for row in self.rows)

    def table(self) -> list[dict[str, object]]:
        """Return the transfers."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        """Return the slowest of them, and what all take."""
        n = len(self.rows)
        done = f"done after {format_time(self.time_s)} at wire rates"
        lines = [f"{n:,} transfers at once: {format_rate(self.total_gbps)} in all, {done}"]
        slowest = sorted(self.rows, key=lambda row: (row.rate_gbps, row.source, row.target))[:_SHOWN]
        for row in slowest:
            rates = f"{format_rate(row.rate_gbps)} of {format_rate(row.alone_gbps)} alone"
            what = f"{row.source} to {row.target}, {format_bytes(row.size_bytes)}"
            lines.append(f"  {what}: {rates}, {format_time(row.time_s)}; {row.binding} binds")
        return "\n".join([*lines, *([f"  and {n - _SHOWN:,} that are no slower"] if n > _SHOWN else [])])


_SHOWN = 10


@checked
def transfer(
    fabric: Fabric,
    pairs: Sequence[Sequence[str]],
    size: int | str | Sequence[int | str],
    *,
    paths: Paths = "rules",
    limit: int = EXPAND_LIMIT,
) -> Transfers:
    """Return how fast transfers between endpoints are that run at once, and how long each takes.

    Parameters
    ----------
    fabric : Fabric
    pairs : sequence of (str, str)
        Selectors of source and target, each of one endpoint, or both of as many: then the first goes to the
        first, and so on.
    size : int, str or sequence of them
        Bytes of each, or one size for all.
    paths : {"rules", "no-relay", "any"}
    limit : int
        Of the expanded form.

    Returns
    -------
    Transfers
        At wire rates; of latency only the flight through cables whose length the file says.

    Raises
    ------
    QuestionError, SelectorError
        If a pair is none, or has no path.
    LimitError
        If the fabric is too large to be expanded.

    Notes
    -----
    Routes are those of `cost` with ``ecmp``: the nearest card, then equal parts per hop. D. Bertsekas and R.
    Gallager, Data Networks, 2nd edition, section 6.5.2, on max-min fairness.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> answer = transfer(loads(text), [("gpu0", "gpu2"), ("gpu1", "gpu2")], "1GB")
    >>> [(row.rate_gbps, row.alone_gbps, row.binding) for row in answer.rows]
    [(200.0, 400.0, 'gpu-leaf'), (200.0, 400.0, 'gpu-leaf')]
    """
    e = expand(fabric, limit=limit)
    source, target = _ends(fabric, e, pairs)
    sizes = _sizes(size, len(source), len(pairs))
    loads = _loads(fabric, e, source, target, paths)
    capacity = np.repeat(e.rate_gbps * e.alive, 2)
    rate, link = fair_rates(loads, capacity)
    alone = np.array([_alone(loads[:, [i]], capacity) for i in range(len(source))])
    of_rule = CABLE_S_PER_M * np.array([rule.length_m or 0.0 for rule in e.rules])
    flight = loads.T @ np.repeat(of_rule[e.rule], 2)
    done = _finish(loads, capacity, rate, sizes) + flight
    binding = [e.rules[e.rule[b // 2]].name if b >= 0 else "" for b in link.tolist()]
    names = [[str(e.names[i]) for i in ends.tolist()] for ends in (source, target)]
    columns = [column.tolist() for column in (sizes, rate, alone, done, flight)]
    return Transfers(tuple(map(TransferRow, *names, *columns, binding)), paths)


def _ends(fabric: Fabric, e: Expanded, pairs: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
    """Return the devices that each transfer is from and to."""
    sources, targets = [], []
    for pair in pairs:
        if len(pair) != 2:
            msg = f"pairs: got {pair!r}; expected a source and a target"
            raise QuestionError(msg)
        ends = [np.flatnonzero(select(fabric, text) & e.is_endpoint & ~e.failed) for text in pair]
        if not len(ends[0]) or len(ends[0]) != len(ends[1]):
            found = f"{pair[0]} is {len(ends[0])} endpoints and {pair[1]} is {len(ends[1])}"
            msg = f"pairs: {found}; expected as many of both"
            raise QuestionError(msg)
        sources.append(ends[0])
        targets.append(ends[1])
    if not sources:
        msg = "pairs: expected at least one"
        raise QuestionError(msg)
    source, target = np.concatenate(sources), np.concatenate(targets)
    if (source == target).any():
        msg = f"pairs: {e.names[int(source[source == target][0])]} is source and target of one transfer"
        raise QuestionError(msg)
    if len(source) > MAX_TRANSFERS:
        msg = f"pairs: {len(source):,} transfers; at most {MAX_TRANSFERS:,} are routed"
        raise QuestionError(msg)
    return source, target


def _sizes(size: int | str | Sequence[int | str], n: int, n_pairs: int) -> Ints:
    """Return the bytes of each transfer."""
    if isinstance(size, int | str):
        return np.full(n, parse_bytes(size), dtype=np.int64)
    if len(size) != n or n_pairs != n:
        msg = f"size: {len(size)} sizes for {n} transfers; expected one for each, or one for all"
        raise QuestionError(msg)
    return np.array([parse_bytes(one) for one in size], dtype=np.int64)


def _loads(fabric: Fabric, e: Expanded, source: Ints, target: Ints, paths: Paths) -> sparse.csc_matrix:
    """Return the part of each transfer that every link carries, shape (2 * m, k)."""
    route = route_pairs(fabric, e, paths)
    columns: dict[tuple[int, int], sparse.csc_matrix] = {}
    for ends in zip(source.tolist(), target.tolist(), strict=True):
        if ends not in columns:
            demand = Demands(np.array(ends[:1]), np.array(ends[1:]), np.ones(1))
            columns[ends] = sparse.csc_matrix(route(demand)[:, None])
    return sparse.hstack(
        [columns[ends] for ends in zip(source.tolist(), target.tolist(), strict=True)], format="csc"
    )


def fair_rates(loads: sparse.csc_matrix, capacity: Floats) -> tuple[Floats, Ints]:
    """Return max-min fair rates by progressive filling, and the link that holds each back.

    Parameters
    ----------
    loads : sparse matrix of float64, shape (links, k)
        Part of each transfer on every link.
    capacity : ndarray of float64, shape (links,)
        [Gb/s].

    Returns
    -------
    rate : ndarray of float64, shape (k,)
        [Gb/s].
    link : ndarray of int64, shape (k,)
        One that is full; -1 where nothing holds a transfer back.

    Examples
    --------
    >>> loads = sparse.csc_matrix([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> fair_rates(loads, np.array([10.0, 4.0]))
    (array([8., 2., 2.]), array([0, 1, 1]))
    """
    n = loads.shape[1]
    rate, link, rises = np.zeros(n), np.full(n, -1), np.ones(n, dtype=np.bool_)
    room, rows = capacity.astype(np.float64), loads.tocsr()
    while rises.any():
        slope = rows @ rises.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(slope > _NEAR, room / slope, np.inf)
        least = float(step.min(initial=np.inf))
        if not np.isfinite(least):
            break
        rate[rises] += least
        room = room - slope * least
        # Full up to rounding; what is on a full link stays as it is.
        full = np.flatnonzero((slope > _NEAR) & (step <= least * (1 + _NEAR)))
        for at in full.tolist():
            held = rows.indices[rows.indptr[at] : rows.indptr[at + 1]]
            held = held[rises[held] & (rows.data[rows.indptr[at] : rows.indptr[at + 1]] > _NEAR)]
            link[held], rises[held] = at, False
        room[full] = 0.0
    return rate, link


def _alone(column: sparse.csc_matrix, capacity: Floats) -> float:
    """Return the rate of one transfer that nothing disturbs [Gb/s]."""
    return float((capacity[column.indices] / column.data).min(initial=np.inf))


def _finish(loads: sparse.csc_matrix, capacity: Floats, rate: Floats, sizes: Ints) -> Floats:
    """Return when each transfer is done [s], all having started together."""
    left = np.array([seconds_to_send(n, 1.0) for n in sizes.tolist()])  # seconds at 1 Gb/s
    done, runs, now = np.zeros(len(left)), np.arange(len(left)), 0.0
    while len(runs):
        step = float((left[runs] / rate).min())
        now += step
        left[runs] -= rate * step
        is_done = left[runs] <= _NEAR * step * rate
        done[runs[is_done]] = now
        runs = runs[~is_done]
        if len(runs):
            rate, _ = fair_rates(loads[:, runs], capacity)
    return done
