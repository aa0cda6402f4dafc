"""A job: the ranks of a collective, and what its traffic patterns put on links.

Loads come from classes, at any size (`fabric.job.on_classes`), or from every cable
(`fabric.job.on_links`); costs do not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.planes import ASIC
from fabric.errors import NoPathError
from fabric.flow.commodities import MAX_VARIABLES, Commodity, ProgramSizeError, capacities
from fabric.flow.program import solve_commodities
from fabric.graph import Expanded
from fabric.graph.expanded import RuleInfo
from fabric.parts import catalogue
from fabric.routing import Progress
from fabric.schedule.algorithms import Shape
from fabric.schedule.tree import Pattern
from fabric.symmetry import Quotient
from fabric.units import seconds_to_send

Routing = Literal["ecmp", "ideal", "hashed", "adaptive", "rail", "rail-direct"]
ROUTINGS: tuple[Routing, ...] = get_args(Routing)

# Link layers that cards of several vendors speak, several of them on one port.
_STANDARD = frozenset({"Ethernet", "InfiniBand"})
# Times that differ by less are equal.
_SAME = 1e-9
# Parts that the progress of one pattern is told in.
_TOLD = 1000


@dataclass(frozen=True, eq=False)
class Loads:
    """What a pattern puts on links when the busiest rank sends one byte.

    Parameters
    ----------
    busiest : callable
        Returns `on_link`, the dearest of all: found when it is asked for.
    hops : ndarray of float64, shape (number of rules,)
        Links of each rule that a byte passes on average.
    total : ndarray of float64, shape (l,)
        Bytes on all links of a class together; at most `on_link`, as not all of them are the busiest.
    mean : float
        Bytes that a rank sends on average.
    """

    busiest: Callable[[], Floats]
    hops: Floats
    total: Floats
    mean: float = 1.0

    @cached_property
    def on_link(self) -> Floats:
        """Bytes on every link, or on all links of a class if each carries what the busiest of them does."""
        return self.busiest()


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best routes for some patterns at once.

    Parameters
    ----------
    time_s : float
        The least time [s].
    busy_s : ndarray of float64, shape (l,)
        How long every link is busy then [s].
    is_exact : bool
        Whether no run takes longer by these routes. On classes ranks that differ in what they do are
        averaged: then no run is faster, and it may take longer.
    """

    time_s: float
    busy_s: Floats
    is_exact: bool


@dataclass(frozen=True, eq=False)
class Links:
    """The links that loads are counted on: every cable bundle both ways, or classes of links.

    Parameters
    ----------
    rules : tuple of str
        Names of the link rules.
    keys : tuple of tuple of str
        For each rule, what a calibration may call it: its name, its protocol on its medium, its protocol, the
        transport of its cards where that is one of their own (``EFA``), its kind of network.
    length_m : ndarray of float64, shape (number of rules,)
        Of one cable of each rule; 0 where the file says none.
    rule : ndarray of int64, shape (l,)
    capacity_gbps : ndarray of float64, shape (l,)
        Of all cables that are up together.
    n_cables : ndarray of float64, shape (l,)
    lower : ndarray of int64, shape (l,)
        Class of devices at the lower end.
    upper : ndarray of int64, shape (l,)
        Class of devices at the upper end.
    n_lower : ndarray of float64, shape (l,)
        Devices in that class.
    is_inner : ndarray of bool, shape (l,)
        Between two switches.
    is_hashed : ndarray of bool, shape (l,)
        Where a switch hashes flows, a device does over the chips of an opened box, or a card over its ports.
    ends : tuple of ((str, str), (str, str))
        For each rule the group and the kind of the devices at its lower and at its upper end.
    """

    rules: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    length_m: Floats
    rule: Ints
    capacity_gbps: Floats
    n_cables: Floats
    lower: Ints
    upper: Ints
    n_lower: Floats
    is_inner: Bools
    is_hashed: Bools
    ends: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = ()

    @property
    def is_own(self) -> Bools:
        """Which rules are of cables that each rank or card has for itself, all alike on one kind of network.

        What such cables carry no split among equal ways changes.
        """
        n_rules, way = len(self.rules), np.arange(len(self.rule)) % 2
        nets = {net: i for i, net in enumerate(dict.fromkeys(keys[-1] for keys in self.keys))}
        net = np.array([nets[keys[-1]] for keys in self.keys], dtype=np.int64)[self.rule]
        _, device = np.unique(np.column_stack([self.lower, net, way]), axis=0, return_inverse=True)
        is_single = (np.bincount(device.ravel())[device.ravel()] == 1) & ~self.is_inner
        return np.asarray(np.bincount(self.rule, ~is_single, minlength=n_rules) == 0)


@dataclass(frozen=True, eq=False)
class GroupKinds:
    """The kinds of groups of one question, all of which run at once.

    Parameters
    ----------
    number : int
        Of the job among them.
    n : int
        Kinds.
    route_mixes : callable
        ``route_mixes(mixes)`` returns the bytes on every link of patterns at once, some for each kind.
    """

    number: int
    n: int
    route_mixes: Callable[[Sequence[Sequence[tuple[Pattern, float]]]], Floats]


@dataclass(frozen=True, eq=False)
class Job:
    """Ranks on a fabric.

    Parameters
    ----------
    shape : Shape
        Ranks of one instance, by domain.
    n_instances : int
        Groups that run at the same time.
    links : Links
    route : callable
        ``route(pattern, progress)`` returns the loads of a pattern.
    optimum : callable
        ``optimum(patterns, amounts)`` returns the best routes for patterns at once when the busiest rank
        sends that many bytes of each.
    ways : callable
        ``ways(pattern)`` returns the links of each rule that a message of the pattern passes, a row for each
        kind of message.
    method : str
        ``"axes"`` or ``"links"``.
    why : str
        Why not by axes.
    route_mix : callable, optional
        ``route_mix(mix)`` returns the bytes on every link of some patterns between ranks at once, as a
        rank that is busy in one of them need not be so in the next; else loads add.
    cards : {"none", "own", "shared"}
        Whether messages take cards, and whether some are near to endpoints that are no ranks, too.
    n_cards : float
        Cards that a rank takes turns with, on average.
    on_cables : callable, optional
        Returns the same job on every cable, or None where these are too many for the best routes.
    kin : GroupKinds, optional
        Where groups are of several kinds, on classes; on every cable their loads add.
    """

    shape: Shape
    n_instances: int
    links: Links
    route: Callable[[Pattern, Progress | None], Loads]
    optimum: Callable[[Sequence[Pattern], Sequence[float]], Optimum]
    ways: Callable[[Pattern], Floats]
    method: str
    why: str
    route_mix: Callable[[Sequence[tuple[Pattern, float]]], Floats] | None = None
    cards: Literal["none", "own", "shared"] = "none"
    n_cards: float = 1.0
    on_cables: Callable[[], Job | None] | None = None
    kin: GroupKinds | None = None
    _known_best: dict[tuple[tuple[Pattern, float], ...], Optimum] = field(default_factory=dict)
    _known: dict[Pattern, Loads] = field(default_factory=dict)
    _known_ways: dict[Pattern, Floats] = field(default_factory=dict)
    _known_mixes: dict[tuple[tuple[Pattern, float], ...], Floats] = field(default_factory=dict)

    def loads(self, pattern: Pattern, progress: Progress | None = None) -> Loads:
        """Return the loads of `pattern`; it is routed once and then remembered."""
        if pattern not in self._known:
            self._known[pattern] = self.route(pattern, progress)
        return self._known[pattern]

    def farthest_s(self, pattern: Pattern, latency_s: Floats) -> float:
        """Return the latency of the message of `pattern` that has most of it [s].

        Parameters
        ----------
        pattern : Pattern
        latency_s : ndarray of float64, shape (number of rules,)
            Of a link of each rule.
        """
        if not latency_s.any():
            return 0.0
        if pattern not in self._known_ways:
            self._known_ways[pattern] = self.ways(pattern)
        return float((self._known_ways[pattern] @ latency_s).max(initial=0.0))

    def together(self, mix: Sequence[tuple[Pattern, float]]) -> Floats:
        """Return the bytes on every link of patterns at once, of each so many from the busiest rank."""
        load = np.zeros(len(self.links.rule))
        joint = [part for part in mix if not part[0].kind.endswith("-switches")]
        # One pattern by itself, and those of switches, add as they are.
        if self.route_mix is None or len(joint) < 2:
            joint = []
        for pattern, amount in mix:
            if (pattern, amount) not in joint:
                load = load + amount * self.loads(pattern).on_link
        if self.route_mix is None or not joint:
            return load
        # The same patterns are asked for at many sizes.
        most = max(amount for _, amount in joint)
        parts = tuple((pattern, round(amount / most, 12)) for pattern, amount in joint)
        if parts not in self._known_mixes:
            self._known_mixes[parts] = self.route_mix(parts)
        return load + most * self._known_mixes[parts]

    def best(self, mix: Sequence[tuple[Pattern, float]]) -> Optimum:
        """Return the `optimum` of patterns at once, of each so many bytes from the busiest rank.

        One program serves all sizes.
        """
        most = max(amount for _, amount in mix)
        parts = tuple((pattern, round(amount / most, 12)) for pattern, amount in mix)
        if parts not in self._known_best:
            self._known_best[parts] = self._best(parts)
        best = self._known_best[parts]
        return Optimum(most * best.time_s, most * best.busy_s, best.is_exact)

    def _best(self, mix: tuple[tuple[Pattern, float], ...]) -> Optimum:
        patterns, amounts = zip(*mix, strict=True)
        best = self.optimum(patterns, amounts)
        # The equal split is a choice of routes as well: a program that is no faster needs no other.
        even = np.divide(
            seconds_to_send(1.0, 1.0) * self.together(mix),
            self.links.capacity_gbps,
            out=np.zeros(len(self.links.rule)),
            where=self.links.capacity_gbps > 0,
        )
        even_s = float(even.max(initial=0.0))
        if best.is_exact or best.time_s >= even_s * (1 - _SAME):
            return replace(best, is_exact=True)
        every = self.on_cables() if self.on_cables is not None else None
        if every is None:
            return best
        exact = every.optimum(patterns, amounts)
        # Which cable of a rule is busy is arbitrary: all classes of it get what its busiest has.
        peak = np.zeros(len(self.links.rules))
        np.maximum.at(peak, every.links.rule, exact.busy_s)
        return replace(exact, busy_s=peak[self.links.rule])

    def is_known_exactly(self, pattern: Pattern) -> bool:
        """Return whether all best routes with `pattern` that were asked for are those of every rank."""
        return all(
            best.is_exact
            for mix, best in self._known_best.items()
            if any(known == pattern for known, _ in mix)
        )

    def prepare(self, patterns: Sequence[Pattern], progress: Progress) -> None:
        """Route those of `patterns` that are not known; `progress` hears of all."""
        missing = [p for p in dict.fromkeys(patterns) if p not in self._known]
        for i, pattern in enumerate(missing):

            def tell(done: int, of: int, before: int = i) -> None:
                # Patterns go to different numbers of destinations; each counts as much.
                progress(before * _TOLD + done * _TOLD // of, len(missing) * _TOLD)

            self.loads(pattern, tell)
            tell(1, 1)


def load_of_kinds(mixes: Sequence[tuple[Job, Sequence[tuple[Pattern, float]]]]) -> Floats:
    """Return the bytes on every link of groups of several kinds at once, each with some patterns.

    Links near to ranks carry what the busiest block of ranks puts there, whichever kinds these are of.
    """
    first = mixes[0][0]
    if first.kin is None:
        return np.asarray(np.sum([job.together(mix) for job, mix in mixes], axis=0))
    joint: list[list[tuple[Pattern, float]]] = [[] for _ in range(first.kin.n)]
    load = np.zeros(len(first.links.rule))
    for job, mix in mixes:
        assert job.kin is not None
        for pattern, amount in mix:
            if pattern.kind.endswith("-switches"):  # of all members of a group alike
                load = load + amount * job.loads(pattern).on_link
            elif amount > 0:
                joint[job.kin.number].append((pattern, amount))
    if not any(joint):
        return load
    by_ranks = first.kin.route_mixes(joint)
    # A rank is in a group of one kind: what it has for itself carries what that does, not both.
    links = first.links
    of_ranks = np.array([kind not in ("nic", "switch") for (_, kind), _ in links.ends], dtype=np.bool_)
    return np.where((links.is_own & of_ranks)[links.rule], np.maximum(load, by_ranks), load + by_ranks)


def links_of(expanded: Expanded, base: Ints | None = None, size: Floats | None = None) -> Links:
    """Return the links of an expanded fabric, or of the classes of a quotient.

    Parameters
    ----------
    expanded : Expanded
        m bundles.
    base : ndarray of int64, shape (2 * m,), optional
        Class of each directed link; each link is its own class by default.
    size : ndarray of float64, shape (n,), optional
        Devices in each class; 1 by default.
    """
    m = expanded.n_bundles
    class_of = np.arange(2 * m) if base is None else base
    n = int(class_of.max(initial=-1)) + 1
    # The first link of each class: assigned last, as the last of equal indices wins.
    first = np.zeros(n, dtype=np.int64)
    first[class_of[::-1]] = np.arange(2 * m)[::-1]
    bundle = first // 2
    n_cables = np.bincount(class_of, np.repeat(expanded.alive, 2), minlength=n).astype(np.float64)
    inner = np.array([g.kind == "switch" for g in expanded.groups], dtype=np.bool_)[expanded.group]
    chips = np.array([ASIC in g.axes for g in expanded.groups], dtype=np.bool_)[expanded.group]
    card = np.array([g.kind == "nic" for g in expanded.groups], dtype=np.bool_)[expanded.group]
    lower, upper = expanded.tail[bundle], expanded.head[bundle]
    n_lower = np.ones(n) if size is None else size[lower]
    # Hashing is between switches; of an opened box also where its chips are chosen, and where a card has
    # ports in several planes, one of them for each flow.
    is_inner = inner[lower] & inner[upper]
    is_up = card[lower] & inner[upper] & (first % 2 == 0)
    n_ports = np.bincount(lower[is_up], (n_cables / n_lower)[is_up], minlength=expanded.n_devices)
    is_port = card[lower] & inner[upper] & (n_ports[lower] > 1)
    return Links(
        tuple(r.name for r in expanded.rules),
        tuple(_keys(r, own) for r, own in zip(expanded.rules, _transports(expanded), strict=True)),
        np.array([r.length_m or 0.0 for r in expanded.rules]),
        expanded.rule[bundle].astype(np.int64),
        n_cables * expanded.rate_gbps[bundle],
        n_cables,
        lower,
        upper,
        n_lower,
        is_inner,
        is_inner | is_port | chips[lower] | chips[upper],
        _ends(expanded),
    )


def _ends(expanded: Expanded) -> tuple[tuple[tuple[str, str], tuple[str, str]], ...]:
    """Return the group and kind of the lower and of the upper devices of every rule."""
    groups = [(g.name, g.kind) for g in expanded.groups]
    found = [(("", ""), ("", ""))] * len(expanded.rules)
    # Of each rule any bundle tells: it joins two groups.
    _, first = np.unique(expanded.rule, return_index=True)
    for bundle in first.tolist():
        at = (groups[int(expanded.group[side[bundle]])] for side in (expanded.tail, expanded.head))
        found[int(expanded.rule[bundle])] = next(at), next(at)
    return tuple(found)


def _keys(rule: RuleInfo, transports: tuple[str, ...]) -> tuple[str, ...]:
    protocols = (f"{rule.protocol}/{rule.medium}", rule.protocol) if rule.protocol else ()
    return (rule.name, *protocols, *transports, rule.net)


def _transports(expanded: Expanded) -> list[tuple[str, ...]]:
    """Return for every rule the link layers that are only those of the cards at its lower ends."""
    parts, n_groups = catalogue().parts, len(expanded.groups)
    ends = np.bincount(expanded.rule * n_groups + expanded.group[expanded.tail])
    found: list[tuple[str, ...]] = [()] * len(expanded.rules)
    for rule, group in (divmod(end, n_groups) for end in np.flatnonzero(ends).tolist()):
        part = parts.get(expanded.groups[group].part)
        if part is not None and expanded.rules[rule].net == "scale-out":
            network = (port.layers for port in part.ports if not _STANDARD.isdisjoint(port.layers))
            own = (layer for layers in network for layer in layers if layer not in _STANDARD)
            found[rule] = tuple(dict.fromkeys((*found[rule], *own)))
    return found


def least(base: Quotient, blocks: Iterable[Commodity]) -> tuple[float, Floats]:
    """Return the least time [s] for some commodities at once, and how long each class of links is busy [s].

    Raises
    ------
    QuestionError
        If there is no path.
    ProgramSizeError
        If the program is too large.
    """
    parts: list[Commodity] = []
    n_variables = 0
    for block in blocks:
        parts.append(block)
        n_variables += len(block.moves.tail)
        # Counted while they come, so that a program that is too large is never built.
        if n_variables > MAX_VARIABLES:
            msg = f"ideal routes are a program of more than {MAX_VARIABLES:,} variables here; use ecmp"
            raise ProgramSizeError(msg)
    capacity = capacities(base)
    try:
        answer = solve_commodities(capacity, parts)
    except ProgramSizeError as error:
        msg = f"ideal routes are {error}; use ecmp"
        raise ProgramSizeError(msg) from None
    if answer.rate_gbps <= 0:
        msg = "no permitted path between some of the ranks"
        raise NoPathError(msg, "")
    # The flow is that of one rank of each block, at the common rate; all ranks alike load the class.
    load = np.zeros(len(capacity))
    for block, flow in zip(parts, answer.flow, strict=True):
        on = block.moves.link >= 0
        link_class = block.view.base[block.moves.link[on]]
        load += np.bincount(link_class, block.n_alike * flow[on], minlength=len(load))
    busy = np.divide(load, capacity * answer.rate_gbps, where=capacity > 0, out=np.zeros(len(load)))
    return 1 / answer.rate_gbps, busy
