"""Loads of traffic patterns on every cable: for explicit ranks, and where nothing is symmetric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.flow.commodities import Commodity, trivial
from fabric.graph import Expanded, Paths, components, forwarding
from fabric.job.differences import Mix
from fabric.job.in_switch import Climb, reducing_switches, switch_loads
from fabric.job.numbering import members, messages, rail_legs
from fabric.job.ranks import Job, Loads, Optimum, Routing, least, links_of
from fabric.routing import (
    Demands,
    Messages,
    Progress,
    Router,
    demand_hops,
    link_loads,
    message_hops,
    message_loads,
    router,
)
from fabric.routing.fitting import adapt
from fabric.routing.nearest import keeps_in
from fabric.schedule.algorithms import Shape
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import Quotient
from fabric.units import seconds_to_send

# Ways that are equal to so many digits are of one kind.
_DIGITS = 9
# Messages of a pattern that are listed; more need the symmetry of the axes.
MAX_PAIRS = 50_000_000


@dataclass(frozen=True, eq=False)
class ListedRanks:
    """Ranks on an expanded fabric.

    Parameters
    ----------
    expanded : Expanded
    devices : ndarray of int64, shape (instances, n)
        Devices of every instance in the order of the ranks, domain by domain.
    shape : Shape
        Of one instance.
    every : ndarray of int64, shape (k,)
        Devices of all ranks of the job, also of those whose instances lie in domains in another way.
    """

    expanded: Expanded
    devices: Ints
    shape: Shape
    every: Ints

    @property
    def is_rank(self) -> Bools:
        """Which devices are ranks of the job, shape (number of devices,)."""
        is_rank = np.zeros(self.expanded.n_devices, dtype=np.bool_)
        is_rank[self.every] = True
        return is_rank


@dataclass(frozen=True, eq=False)
class ListedJob:
    """A job on every cable; its methods are the `route`, `optimum` and `ways` of `Job`."""

    ranks: ListedRanks
    routing: Routing
    paths: Paths
    reducing: tuple[str, ...]
    index: Mapping[str, Ints]

    # Not slotted: routers take a while and costs may not need them.
    @cached_property
    def _in_switches(self) -> dict[Over, tuple[Floats, Floats] | None]:
        return {}

    @cached_property
    def messages(self) -> Messages:
        """How messages among the ranks go."""
        return Messages(self.ranks.expanded, self.ranks.is_rank, self.paths, self.index)

    @cached_property
    def inner(self) -> tuple[Router, Ints] | None:
        """The moves within scale-up domains alone, and the domain of every device, where ranks forward."""
        e = self.ranks.expanded
        if not keeps_in(e, self.ranks.is_rank):
            return None
        is_other = np.array([r.net != "scale-up" for r in e.rules], dtype=np.bool_)[e.rule]
        alone = replace(e, failed_count=np.where(is_other, e.count, e.failed_count))
        return router(alone, self.ranks.is_rank, paths=self.paths), scale_up_domains(e)

    def route(self, pattern: Pattern, progress: Progress | None = None) -> Loads:
        """Return the loads of `pattern`; see `Job`."""
        e = self.ranks.expanded
        if pattern.kind in ("to-switches", "from-switches"):
            return self._reduction_loads(pattern)
        demand = demands(self.ranks, pattern)
        total = max(float(demand.amount.sum()), 1e-300)
        if self.routing == "rail" and pattern.over == "job":
            demand, _ = by_rail(self.ranks, demand)
        load = self._adapted(demand) if self.routing == "adaptive" else self.loads(demand, progress)
        hops = np.bincount(np.repeat(e.rule, 2), load, minlength=len(e.rules)) / total
        return Loads(lambda: load, hops, load, total / self.ranks.devices.size)

    def route_mix(self, mix: Mix) -> Floats:
        """Return the bytes on every link of some patterns at once, under adaptive routing; see `Job`."""
        every = [demands(self.ranks, pattern) for pattern, _ in mix]
        source, target = (
            np.concatenate(ends) for ends in zip(*((d.source, d.target) for d in every), strict=True)
        )
        amount = np.concatenate([n * d.amount for d, (_, n) in zip(every, mix, strict=True)])
        return self._adapted(Demands(source, target, amount))

    def _adapted(self, demand: Demands) -> Floats:
        capacity_gbps = links_of(self.ranks.expanded).capacity_gbps
        return adapt(lambda pull: self.loads(demand, None, pull), capacity_gbps)

    def ways(self, pattern: Pattern) -> Floats:
        """Return the links of each rule that messages of `pattern` pass; see `Job`."""
        demand = demands(self.ranks, pattern)
        message = np.arange(len(demand.source))
        if self.routing == "rail" and pattern.over == "job":
            demand, message = by_rail(self.ranks, demand)
        hops = self._hops(demand)
        per_message = np.zeros((int(message.max(initial=-1)) + 1, hops.shape[1]))
        np.add.at(per_message, message, hops)
        return np.unique(per_message.round(_DIGITS), axis=0)

    def loads(self, demand: Demands, progress: Progress | None = None, pull: Floats | None = None) -> Floats:
        """Return what messages put on every link, shape (2 * m,)."""
        if self.inner is None:
            return message_loads(self.messages, demand, progress=progress, pull=pull)
        inner, domain = self.inner
        # What stays in a domain uses its cables alone; no router takes it out and back in.
        stays = domain[demand.source] == domain[demand.target]
        return link_loads(replace(inner, pull=pull), demand.some(stays)) + message_loads(
            self.messages, demand.some(~stays), progress=progress, pull=pull
        )

    def _hops(self, demand: Demands) -> Floats:
        if self.inner is None:
            return message_hops(self.messages, demand)
        inner, domain = self.inner
        stays = domain[demand.source] == domain[demand.target]
        hops = np.zeros((len(stays), len(self.ranks.expanded.rules)))
        hops[stays] = demand_hops(inner, demand.some(stays))
        hops[~stays] = message_hops(self.messages, demand.some(~stays))
        return hops

    def _reduction_loads(self, pattern: Pattern) -> Loads:
        reduction = self.in_switches(pattern.over)
        if reduction is None:
            msg = "the switches that reduce do not join the ranks"
            raise QuestionError(msg)
        load, hops = reduction
        # What switches multiply runs the same links the other way.
        if pattern.kind == "from-switches":
            load = load.reshape(-1, 2)[:, ::-1].ravel()
        return Loads(lambda: load, hops, load)

    def in_switches(self, over: Over) -> tuple[Floats, Floats] | None:
        """Return what `switch_loads` does, which is asked for once."""
        if over not in self._in_switches:
            self._in_switches[over] = self._reduce(over)
        return self._in_switches[over]

    def _reduce(self, over: Over) -> tuple[Floats, Floats] | None:
        e, devices = self.ranks.expanded, self.ranks.devices
        chosen = reducing_switches(e, self.reducing, is_scale_up=over == "domain")
        groups = members(self.ranks.shape, Pattern("to-switches", over))
        group_of = np.empty(self.ranks.shape.n, dtype=np.int64)
        for number, group in enumerate(groups):
            group_of[group] = number
        n_groups = len(groups) * len(devices)
        group = (np.arange(len(devices))[:, None] * len(groups) + group_of).ravel()
        every, n = np.arange(devices.size), devices.size
        # One column a rank, so that the parts of each can be squared before those of a group are summed.
        ones = np.ones(n)
        part = sparse.csr_array((ones, (devices.ravel(), every)), shape=(e.n_devices, n))
        amount, before = np.zeros(e.n_devices), np.zeros(2 * e.n_bundles)
        amount[devices.ravel()] = 1.0
        sides = self.messages.sides if over != "domain" else None
        if sides is not None:
            # Bytes start at the cards of the ranks; what they load on the way there is added at the end.
            taken = self.messages.taken
            ends = taken.target, taken.source
            to_cards = sparse.csr_array((taken.amount, ends), shape=(e.n_devices, e.n_devices))
            part, amount = to_cards @ part, to_cards @ amount
            own = np.isin(taken.source, devices)
            before = link_loads(self.messages.inside, taken.some(own))
            e = sides.network
        climb = Climb(e, part, self.paths)
        to_group = sparse.csr_array((ones, (every, group)), shape=(n, n_groups))

        def sums(senders: Bools, targets: Bools) -> Floats:
            climb.advance(senders, targets)
            # The parts that come in from a group are of one size: the sum of their squares over their sum.
            total, squares = climb.part @ to_group, climb.part.power(2) @ to_group
            total.data = 1 / total.data
            return np.asarray(squares.multiply(total).sum(axis=1)).ravel()

        reduction = switch_loads(e, amount, chosen, sums, n_groups, self.paths)
        if reduction is None:
            return None
        hops = np.bincount(np.repeat(e.rule, 2), before, minlength=len(e.rules)) / n
        return reduction[0] + before, reduction[1] + hops

    def joins(self, over: Over) -> bool:
        """Return whether switches that reduce join all ranks of a domain, or of a rail."""
        shape, e = self.ranks.shape, self.ranks.expanded
        if not reducing_switches(e, self.reducing, is_scale_up=over == "domain").any():
            return False
        if over == "rail" and not shape.is_even:
            return False
        return all(len(g) == 1 for g in members(shape, Pattern("to-switches", over))) or (
            self.in_switches(over) is not None
        )

    def optimum(self, patterns: Sequence[Pattern], amounts: Sequence[float]) -> Optimum:
        """Return the best routes; see `Job`."""
        view = trivial(self.ranks.expanded)
        time_s, busy = least(view, self._blocks(view, patterns, amounts))
        return Optimum(time_s, busy[view.base], is_exact=True)

    def _blocks(
        self, view: Quotient, patterns: Sequence[Pattern], amounts: Sequence[float]
    ) -> Iterator[Commodity]:
        """Yield what every rank receives as a commodity."""
        e = self.ranks.expanded
        all_of = [demands(self.ranks, p) for p in patterns]
        # One commodity a receiver: what it gets in all patterns flows in one program.
        source = np.concatenate([d.source for d in all_of])
        target = np.concatenate([d.target for d in all_of])
        sent = np.concatenate(
            [d.amount * seconds_to_send(a, 1.0) for d, a in zip(all_of, amounts, strict=True)]
        )
        for receiver in np.unique(target).tolist():
            moves = forwarding(
                e, self.ranks.is_rank, np.arange(e.n_devices) == receiver, paths=self.paths, bystanders=False
            )
            # What each sender gives, and the receiver takes: a rank's bytes to itself stay where they are.
            supply = np.zeros(moves.n_states)
            messages = np.flatnonzero((target == receiver) & (source != receiver))
            np.add.at(supply, moves.source[source[messages]], sent[messages])
            supply[moves.target[receiver]] -= sent[messages].sum()
            yield Commodity(1.0, view, moves, supply)


def on_links(
    ranks: ListedRanks,
    asked: tuple[Routing, Paths],
    reducing: tuple[str, ...],
    why: str,
    *,
    index: Mapping[str, Ints],
) -> Job:
    """Return the job on every cable.

    Parameters
    ----------
    ranks : ListedRanks
        Their shape as far as domains and a torus go.
    asked : (str, str)
        Routing and path rule.
    reducing : tuple of str
        Groups of switches that reduce.
    why : str
        Why not by axes.
    index : mapping of str to ndarray of int64, shape (n,)
        Index of every device on every primitive axis; -1 where it is not on it.
    """
    listed = ListedJob(ranks, *asked, reducing, index)
    shape = replace(
        ranks.shape, reduces_in_domain=listed.joins("domain"), reduces_across=listed.joins("rail")
    )
    cards: Literal["none", "own", "shared"] = "none"
    n_cards = 1.0
    if listed.messages.sides is not None:
        cards = "shared" if listed.messages.are_shared else "own"
        n_cards = len(listed.messages.taken.source) / len(ranks.every)
    links = links_of(ranks.expanded)
    return Job(
        shape,
        len(ranks.devices),
        links,
        listed.route,
        listed.optimum,
        listed.ways,
        "links",
        why,
        # Packets that adapt are spread by all that is under way; other routings add pattern by pattern.
        listed.route_mix if listed.routing == "adaptive" else None,
        cards=cards,
        n_cards=n_cards,
    )


def scale_up_domains(expanded: Expanded) -> Ints:
    """Return the scale-up domain of every device: what rules of ``net: scale-up`` join, shape (n,)."""
    rules = np.array([r.net == "scale-up" for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule] & (expanded.alive > 0) if len(rules) else np.zeros(0, np.bool_)
    return components(expanded.n_devices, expanded.tail[rows], expanded.head[rows])


def demands(ranks: ListedRanks, pattern: Pattern, *, is_by_rail: bool = False) -> Demands:
    """Return the traffic of `pattern` when the busiest rank sends one byte.

    Parameters
    ----------
    ranks : ListedRanks
    pattern : Pattern
    is_by_rail : bool
        Whether what crosses rails goes to a mate on the right rail first.

    Raises
    ------
    QuestionError
        If it has more than `MAX_PAIRS` messages, or needs coordinates that the ranks do not have.
    """
    shape, devices = ranks.shape, ranks.devices
    if pattern.kind == "pairwise":
        _check_pairs(sum(len(g) * (len(g) - 1) for g in members(shape, pattern)) * len(devices))
    source, target, amount = messages(shape, pattern)
    return Demands(devices[:, source].ravel(), devices[:, target].ravel(), np.tile(amount, len(devices)))


def by_rail(ranks: ListedRanks, demand: Demands) -> tuple[Demands, Ints]:
    """Return `demand` with what crosses rails taken over the scale-up network to the right rail first.

    Of the legs, also which demand each is of; see `fabric.job.numbering.by_rail`.
    """
    n, devices = ranks.shape.n, ranks.devices.ravel()
    # Number of each device among all ranks; its remainder is the number in the instance.
    number = np.full(ranks.expanded.n_devices, -1, dtype=np.int64)
    number[devices] = np.arange(ranks.devices.size)
    (instance, source), target = np.divmod(number[demand.source], n), number[demand.target] % n
    legs = rail_legs(ranks.shape, source, target)
    at = instance[legs.message] * n
    return (
        Demands(devices[at + legs.source], devices[at + legs.target], demand.amount[legs.message]),
        legs.message,
    )


def _check_pairs(total: int) -> None:
    if total > MAX_PAIRS:
        msg = f"a pairwise phase of {total:,} pairs; {MAX_PAIRS:,} at most are routed; choose a smaller job"
        raise QuestionError(msg)
