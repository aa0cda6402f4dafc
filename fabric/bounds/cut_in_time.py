"""How soon a rank can have whole chunks from others: cuts in space and time.

A chunk travels whole. It takes a link of rate B for chunk/B and arrives the latency of the link later; an
endpoint sends on what it holds whole, other devices may begin with the first byte. For a rank, the *target*,
that must get chunks of some others, the *sources*, give every device a time. A chunk is *early* at a device
before that time and *late* from then on::

    sources      devices before the cut       devices behind the cut           target
    late from    as early as any chunk        soon enough to be at the         done by T
    the start    of theirs can be there       target by tau
                       |                           |                             |
                       +------ links of the cut ---+---- ports of the target ----+

Chunks start late and end early, so each turns from late to early on some link. With these times none but
links of the cut and ports of the target can do that: anywhere else, what leaves late arrives late. Such a
link begins no sooner than the time at its tail and has delivered by the time at its head, so at most
floor(window / hold) chunks turn on it. No T can be met for which these sum up to less than the chunks. Any
choice of sources, cut and tau gives a bound; here

- the cut is the ports themselves: all that comes from far enough enters by them, the first no sooner than it
  can be there;
- or it is the minimum cut nearest the sources, and tau just before some of the last chunks can have crossed
  it: what is not behind the cut by then still has to enter by the ports, one after another.

Before the cut, a device has a chunk with its first byte, behind the cut with its last, so links of the cut
have the whole chunk inside their window. Such cuts are those of flows over time (Ford and Fulkerson,
"Constructing maximal dynamic flows from static flows", Operations Research 6, 1958), here for whole chunks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arguments import fitting
from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError, nearest
from fabric.flow.problem import FlowProblem, network
from fabric.flow.solve import solve
from fabric.graph import Expanded, Forwarding, Paths, RuleInfo, forwarding, reachable
from fabric.units import CABLE_S_PER_M, MAX_TIME_S, parse_time, seconds_to_send

# A time just before another: by this part of it.
_BEFORE = 1e-12
# Of the moments when chunks cross a cut, so many of the last are looked at.
_MOMENTS = 8


Latency = float | str | Mapping[str, float | str] | Callable[[RuleInfo], float]
"""Of every link [s], or by the name of its rule (0 for those not named), or from the rule."""


@dataclass(frozen=True, eq=False)
class ChunkTiming:
    """What a chunk costs on links.

    Parameters
    ----------
    chunk_bytes : float
    latency_s : ndarray of float64
        Of the links of every rule [s].
    pipelined : bool
        Whether a link takes the next chunk while the last is under way; else its latency holds it too.
    paths : {"rules", "no-relay", "any"}
    """

    chunk_bytes: float
    latency_s: Floats
    pipelined: bool
    paths: Paths


def latencies(rules: tuple[RuleInfo, ...], latency: Latency) -> Floats:
    """Return the latency of the links of every rule, and the flight through their cables [s].

    Raises
    ------
    QuestionError, UnitError
        If a name is no rule, or a latency is no time.

    Examples
    --------
    >>> rules = tuple(RuleInfo(name, "host", is_peer=False, is_oneway=False) for name in ("a-b", "b-c"))
    >>> latencies(rules, {"b-c": "500ns"}).tolist()
    [0.0, 5e-07]
    """
    if callable(latency):
        given = [fitting(latency(rule), float, f"latency of {rule.name}") for rule in rules]
    elif isinstance(latency, Mapping):
        names = [rule.name for rule in rules]
        for name in latency:
            if name not in names:
                msg = f"latency: no rule {name!r}; {nearest(name, names) or 'rules are ' + ', '.join(names)}"
                raise QuestionError(msg)
        given = [_seconds(latency.get(name, 0.0)) for name in names]
    else:
        given = [_seconds(latency)] * len(rules)
    for rule, value in zip(rules, given, strict=True):
        if not 0 <= value <= MAX_TIME_S:
            expected = f"a time that is not negative, at most {MAX_TIME_S:g} s"
            msg = f"latency of {rule.name}: {value!r}; expected {expected}"
            raise QuestionError(msg)
    # A cable of no known length takes no time.
    length_m = np.array([rule.length_m or 0.0 for rule in rules])
    return np.array(given, dtype=np.float64) + CABLE_S_PER_M * length_m


def _seconds(value: float | str) -> float:
    return parse_time(value) if isinstance(value, str) else float(value)


@dataclass(frozen=True, eq=False)
class Ways:
    """The permitted moves of chunks, in the direction in which time is counted, and what they cost.

    Parameters
    ----------
    moves : Forwarding
    start, end : ndarray of int64, shape (n,)
        State in which a device holds its chunks at first, and in which it is done; -1 where it is not.
    tail, head, link : ndarray of int64, shape (k,)
        As in `moves`; turned round where time runs backwards.
    stores : ndarray of bool, shape (n_states,)
        Where a chunk must be whole before it is sent on.
    send_s, lead_s, hold_s, latency_s : ndarray of float64, shape (2 * m,)
        Of each link: the bytes of a chunk; from its begin to its arrival beyond the time that it holds the
        link; how long it holds the link; the latency [s].
    count : ndarray of float64, shape (2 * m,)
        Links of each class that are up.
    """

    moves: Forwarding
    start: Ints
    end: Ints
    tail: Ints
    head: Ints
    link: Ints
    stores: Bools
    send_s: Floats
    lead_s: Floats
    hold_s: Floats
    latency_s: Floats
    count: Floats


def ways(
    classes: Expanded, sources: Bools, targets: Bools, timing: ChunkTiming, *, backwards: bool = False
) -> Ways:
    """Return the moves of chunks from `sources` to `targets`, shape (n,) each.

    Parameters
    ----------
    classes : Expanded
        Devices or classes of devices; endpoints forward freely here, because they hold the data.
    sources, targets : ndarray of bool, shape (n,)
    timing : ChunkTiming
    backwards : bool
        Whether chunks go from targets to sources, and time is counted from the end.
    """
    sides = (targets, sources) if backwards else (sources, targets)
    moves = forwarding(classes, *sides, paths=timing.paths)
    tail, head, link = moves.tail, moves.head, moves.link
    start, end = moves.source, moves.target
    if backwards:
        tail, head, start, end = head, tail, end, start
    if int(targets.sum()) == 1:
        # What has come to the one target is done: nothing comes through it.
        inside = np.isin(moves.device, np.flatnonzero(targets))
        kept = ~inside[head] | (head == end[targets])
        tail, head, link = tail[kept], head[kept], link[kept]
    count = np.repeat(classes.alive.astype(np.float64), 2)
    rate = np.repeat(classes.rate_gbps, 2)
    send = seconds_to_send(timing.chunk_bytes, 1.0) / np.where(rate > 0, rate, np.nan)
    latency = np.repeat(timing.latency_s[classes.rule], 2)
    lead, hold = (latency, send) if timing.pipelined else (np.zeros_like(latency), send + latency)
    stores = classes.is_endpoint[moves.device]
    return Ways(moves, start, end, tail, head, link, stores, send, lead, hold, latency, count)


def earliest(ways: Ways, starts: Bools) -> Floats:
    """Return when a chunk of any of `starts` can be at each state, whole where it is stored, else begun [s].

    Parameters
    ----------
    ways : Ways
    starts : ndarray of bool, shape (n_states,)
    """
    # A store-and-forward device has a chunk with its last byte, another with its first.
    return _spread(ways.tail, ways.head, _transit(ways, ways.head), starts)


def remaining(ways: Ways, end: int) -> Floats:
    """Return what a chunk whose last byte is at a state needs at least until it is whole at `end` [s]."""
    # The same backwards, from the end over moves turned round.
    return _spread(ways.head, ways.tail, _transit(ways, ways.tail), np.arange(ways.moves.n_states) == end)


def _transit(ways: Ways, storing: Ints) -> Floats:
    """Return the time of each move, with the bytes of the chunk where the state at `storing` stores."""
    has_link = ways.link >= 0
    transit = ways.latency_s[ways.link] + np.where(ways.stores[storing], ways.send_s[ways.link], 0.0)
    return np.where(has_link, transit, 0.0)


def _spread(tail: Ints, head: Ints, cost: Floats, starts: Bools) -> Floats:
    """Return the least sum of costs from any of `starts` to each state."""
    from scipy import sparse
    from scipy.sparse import csgraph

    n = len(starts)
    if not starts.any():
        return np.full(n, np.inf)
    order = np.argsort(tail, kind="stable")
    # Moves of no cost are entries all the same, and those of one pair stay apart.
    first = np.searchsorted(tail[order], np.arange(n + 1))
    graph = sparse.csr_matrix((cost[order], head[order], first), shape=(n, n))
    return np.asarray(csgraph.dijkstra(graph, indices=np.flatnonzero(starts), min_only=True))


@dataclass(frozen=True, eq=False)
class Windows:
    """Links that chunks turn early on, each with the time when it begins to.

    Parameters
    ----------
    link : ndarray of int64, shape (k,)
    begin_s : ndarray of float64, shape (k,)
        So that ``count * floor((T - begin_s) / hold_s)`` chunks can turn there by T [s].
    hold_s, count : ndarray of float64, shape (k,)
    """

    link: Ints
    begin_s: Floats
    hold_s: Floats
    count: Floats

    def n_by(self, time_s: float) -> float:
        """Return how many chunks can turn by `time_s`."""
        room = np.maximum(time_s - self.begin_s, 0.0)
        return float(self.count @ np.floor(room / self.hold_s))

    def full_by(self, n: float) -> float:
        """Return when `n` chunks can have turned: the least float of all that suffice."""
        if not len(self.begin_s):
            return math.inf
        # Any one class suffices by then; by `low` none has moved a chunk.
        low = float(self.begin_s.min())
        high = float((self.begin_s + self.hold_s * np.ceil(n / self.count)).min()) * (1 + _BEFORE)
        # Bisection down to neighbouring floats.
        while low < (middle := (low + high) / 2) < high:
            low, high = (low, middle) if self.n_by(middle) >= n else (middle, high)
        return high

    def last_by(self, time_s: float) -> Floats:
        """Return when links of each class turn their last chunk before or at `time_s`, ascending."""
        n = np.floor(np.maximum(time_s - self.begin_s, 0.0) / self.hold_s)
        return np.unique((self.begin_s + n * self.hold_s)[n > 0])


def windows(ways: Ways, rows: Ints, before: Floats, after: Floats | float = 0.0) -> Windows:
    """Return the windows of the links of some moves.

    Parameters
    ----------
    ways : Ways
    rows : ndarray of int64, shape (k,)
        Moves.
    before, after : ndarray of float64, shape (k,)
        When a chunk can begin, and how long before the end it must have arrived [s]. Where a link has several
        moves, its window is open from the first to the last.
    """
    links, index = np.unique(ways.link[rows], return_inverse=True)
    first, last = np.full(len(links), np.inf), np.full(len(links), np.inf)
    # The window of a link is that of all its moves together: wider, so the bound still holds.
    np.minimum.at(first, index.ravel(), before)
    np.minimum.at(last, index.ravel(), after)
    begin = first + last + ways.lead_s[links]
    kept = np.isfinite(begin)
    links = links[kept]
    return Windows(links, begin[kept], ways.hold_s[links], ways.count[links])


@dataclass(frozen=True, eq=False)
class Least:
    """Bound of one target and some sources: the time [s], and the links on which chunks turn."""

    time_s: float
    link: Ints


def at_ports(ways: Ways, end: int, soon: Floats, n: float) -> Least:
    """Return when `n` chunks can have entered by the ports of a target.

    Parameters
    ----------
    ways : Ways
    end : int
        State of the target.
    soon : ndarray of float64, shape (n_states,)
        As `earliest` says of the sources.
    n : float
    """
    ports = np.flatnonzero(ways.head == end)
    entering = windows(ways, ports, soon[ways.tail[ports]])
    return Least(entering.full_by(n), entering.link)


def past_cut(ways: Ways, end: int, side: Bools, soon: Floats, remaining_s: Floats, n: float) -> Least:
    """Return when `n` chunks can have crossed a cut and entered by the ports of a target.

    Parameters
    ----------
    ways, end, soon, n
        As in `at_ports`.
    side : ndarray of bool, shape (n_states,)
        The near side, with the sources.
    remaining_s : ndarray of float64, shape (n_states,)
        As `remaining` says of `end`.
    """
    crossing = np.flatnonzero((ways.link >= 0) & side[ways.tail] & ~side[ways.head])
    over = windows(ways, crossing, soon[ways.tail[crossing]], remaining_s[ways.head[crossing]])
    # No sooner than the cut alone lets all chunks pass.
    crossed = over.full_by(n)
    # What crosses into the target itself enters by a port.
    inner = crossing[ways.head[crossing] != end]
    behind = windows(ways, inner, soon[ways.tail[inner]], remaining_s[ways.head[inner]])
    ports = np.flatnonzero(ways.head == end)
    tail = ways.tail[ports]
    # Late at a device that passes chunks on is the last byte; the first may have left before.
    lead = remaining_s[tail] + np.where(ways.stores[tail], 0.0, ways.send_s[ways.link[ports]])
    time, links = crossed, over.link
    for tau in (over.last_by(crossed)[-_MOMENTS:] * (1 - _BEFORE)).tolist():
        # At tau: what is not behind the cut by then must still enter by the ports, from tau on.
        entering = windows(ways, ports, np.where(side[tail], soon[tail], tau - lead))
        links = np.union1d(links, entering.link)
        time = max(time, entering.full_by(n - behind.n_by(tau)))
    return Least(time, links)


def minimum_cut(ways: Ways, end: int, sources: Bools, soon: Floats) -> tuple[Bools, bool]:
    """Return the near side of the minimum cut nearest the sources, and whether it is narrower than the ports.

    Parameters
    ----------
    ways, end, soon
        As in `at_ports`.
    sources : ndarray of bool, shape (n_states,)

    Returns
    -------
    side : ndarray of bool, shape (n_states,)
        With `end` where no set of links is a minimum cut, as joint capacities allow.
    is_narrow : bool
    """
    n = ways.moves.n_states
    capacity = ways.moves.link_capacity()
    problem = FlowProblem(ways.moves, sources, np.arange(n) == end, ways.tail, ways.head, ways.link, capacity)
    net = network(problem)
    solution = solve(net, np.full(len(net.link), -1, dtype=np.int64))
    cut = np.zeros(len(capacity) + 1, dtype=np.bool_)  # one more for turns, whose link is -1
    cut[net.link[(net.link >= 0) & (solution.price > 0)]] = True
    # The near side is what the sources still reach without the links of the cut.
    kept = ~cut[ways.link]
    ports = np.unique(ways.link[(ways.head == end) & np.isfinite(soon[ways.tail])])
    # Ports that no chunk can come to count for nothing.
    is_narrow = solution.flow[net.head == net.target].sum() < capacity[ports].sum() * (1 - 1e-9)
    return reachable(n, ways.tail[kept], ways.head[kept], sources), bool(is_narrow)
