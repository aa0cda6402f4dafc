"""Loads of traffic patterns on the quotient: what a job costs does not depend on its size.

A pattern is averaged over all ways to number the indices of axes anew, or to turn them on a ring: it runs
once in each of them, with an equal part of the bytes. What is left of it is how the ends of its messages
differ, see `fabric.job.differences`; one rank of each class receives them, and the classes that keep
it in place carry them.

A link that is nearest to some ranks, such as those of a NIC, of a socket or of a leaf, carries what the
busiest block of such ranks puts on it, all of them together. Other links carry the average over the images,
or what one rank alone puts on them if that is more.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats
from fabric.blueprint.model import Blueprint
from fabric.blueprint.reducing import reducing_groups
from fabric.blueprint.remembered import remembered
from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.commodities import Commodity
from fabric.flow.traffic import Traffic
from fabric.graph import Paths, forwarding
from fabric.job.chosen import align
from fabric.job.differences import Mix, RankPlaces
from fabric.job.domains import number_ranks, side_by_side
from fabric.job.in_switch import Climb, reducing_switches, switch_loads
from fabric.job.near import NearLinks, Pairs, near_links
from fabric.job.pairs import RankPairs, domain_axes, group_ties
from fabric.job.placement import Placement, ring_axes
from fabric.job.product import ProductPairs, ProductTraffic, places_on_axes
from fabric.job.ranks import Job, Loads, Optimum, Routing, least, links_of
from fabric.job.shared import Shared
from fabric.job.stacked import StackedLinks, StackedTable, stack_links, table_of
from fabric.job.views import Carrier, RankView, view_of
from fabric.routing import Progress
from fabric.routing.cards import cut_at_cards
from fabric.routing.fitting import adapt
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import Lift, NoSymmetryError, Quotient, Tie
from fabric.units import seconds_to_send

# What is known of links near to ranks is kept for so many mixes of patterns.
_KEPT = 16

# Ways that are equal to so many digits are of one kind.
_DIGITS = 9

MAX_VIEWS = 256
"""Classes of ranks that are looked at; more are routed on every cable."""

MAX_TIED_VIEWS = 64
"""Classes of ranks up to which rails are told apart; of more, patterns are averaged over their numbering."""

Telling = tuple[Pairs, Mix]
"""Patterns, and what ranks do in them, that tell which links are near to whom."""


@dataclass(frozen=True, eq=False)
class ClassedJob:
    """A job on classes; its methods are the `route`, `optimum` and `ways` of `Job`.

    With `uncut` the same ranks in one instance, which tell what is near to whom.
    """

    group: str
    pairs: Pairs
    base: Quotient
    views: tuple[RankView, ...]
    inside: Bools
    blueprint: Blueprint
    routing: Routing
    paths: Paths
    pull: Floats | None = None
    uncut: ClassedJob | None = None
    _tables: dict[bool, StackedTable] = field(default_factory=dict)
    _reduced: dict[Over, tuple[tuple[Floats, Floats], Floats] | None] = field(default_factory=dict)

    @cached_property
    def n_ranks(self) -> float:
        """Ranks of all instances."""
        return float(self.pairs.shape.n * self.pairs.n_instances)

    @cached_property
    def links(self) -> StackedLinks:
        """The links of all views."""
        return stack_links(self.views)

    def table(self, *, is_sent: bool) -> StackedTable:
        """Return what ranks put on these links when they send, or receive."""
        if is_sent not in self._tables:
            carriers = []
            for number, view in enumerate(self.views):
                pull = None if self.pull is None else self.pull[view.quotient.base]
                ends = self.pairs.others(number, is_sent=is_sent), self.pairs.mates(number)
                carriers.append(Carrier(view, *ends, is_sent=is_sent, pull=pull))
            self._tables[is_sent] = table_of(carriers, self.links)
        return self._tables[is_sent]

    def route(self, pattern: Pattern, progress: Progress | None = None) -> Loads:
        """Return the loads of `pattern`; see `Job`."""
        if pattern.kind in ("to-switches", "from-switches"):
            return self._reduction_loads(pattern)
        links = links_of(self.base.classes, self.base.base)
        mix = [(pattern, 1.0)]
        total = self._total(mix)
        sent = max(self.pairs.n_bytes(pattern), 1e-300)
        hops = np.bincount(links.rule, total, minlength=len(links.rules)) / sent
        return Loads(lambda: self.route_mix(mix), hops, total, sent / self.n_ranks)

    def route_mix(self, mix: Mix) -> Floats:
        """Return the bytes on every link of some patterns at once; see `Job`."""
        if self.routing == "adaptive" and self.pull is None:
            capacity = links_of(self.base.classes, self.base.base).capacity_gbps
            return adapt(lambda pull: self._under(pull).route_mix(mix), capacity)
        return self._peaks(mix, self._total(mix) / self.n_cables) * self.n_cables

    def _under(self, pull: Floats | None) -> ClassedJob:
        """Return the same with a split that follows what capacity is left, or an equal one."""
        if pull is None:
            return replace(self, routing="ecmp", _tables={})
        return replace(self, pull=pull, _tables={})

    def ways(self, pattern: Pattern) -> Floats:
        """Return the links of each rule that messages of `pattern` pass; see `Job`."""
        hops = []
        for number, view in enumerate(self.views):
            is_mate = self.pairs.in_group(number, pattern)
            if self.routing == "rail":
                # What relays pass on is told by columns alone.
                load = self._of_view(number, self.pairs.legs(number, is_mate))
            else:
                others, mates = self.pairs.each(number, is_mate)
                carrier = Carrier(view, others, mates)
                load = carrier.table.toarray()
            rules = view.quotient.classes.rules
            on_rule = np.eye(len(rules))[np.repeat(view.quotient.classes.rule, 2)]
            hops.append(load @ on_rule)
        return np.unique(np.concatenate(hops).round(_DIGITS), axis=0)

    def _of_view(self, number: int, rows: Floats) -> Floats:
        """Return the bytes on every class of links of a view when its rank receives some rows."""
        columns = np.arange(*self.pairs.starts[number : number + 2])
        first, last = self.links.begin[number : number + 2]
        cells = np.repeat(np.arange(len(rows)), len(columns)), np.tile(columns, len(rows))
        every = sparse.csr_array((rows.ravel(), cells), shape=(len(rows), int(self.pairs.starts[-1])))
        every.eliminate_zeros()
        on_cable = self.table(is_sent=False).put(every)[:, first:last]
        return np.asarray(on_cable.toarray() * self.views[number].n_cables)

    def _peaks(self, mix: Mix, average: Floats) -> Floats:
        """Return what cables carry at most, by class of links."""
        every = {is_sent: self.pairs.kinds(mix, is_sent=is_sent) for is_sent in (False, True)}
        if all(rows.shape[0] == len(self.views) for rows, _ in every.values()):
            return average
        peak, base = average.copy(), self.links.base
        near = self._near(self.pairs.telling(mix))
        for is_sent, (rows, _) in every.items():
            self.table(is_sent=is_sent).refuse(rows.indices[rows.data != 0])
            # Where no block is near, the busiest single rank.
            most = (rows @ near.far[is_sent]).max(axis=0).toarray().ravel()  # SciPy up to 1.14 keeps the axis
            np.maximum.at(peak, base, most)
        for shared in near.shared:
            busiest, mean = self._of_blocks(mix, shared)
            # Ranks beyond the block add what they do on average.
            beyond = np.maximum(average[shared.base] - mean, 0.0)
            peak[shared.base] = np.maximum(peak[shared.base], busiest + beyond)
        return peak

    @remembered(_KEPT)
    def _near(self, telling: Telling) -> NearLinks:
        """Return the links that ranks are nearest to, as told by what all of them do in some patterns."""
        if self.uncut is not None:
            return self.uncut._near(telling)
        pairs, mix = telling
        every = (False, True)
        loads = {is_sent: self._mean(telling, is_sent=is_sent, is_told=True) for is_sent in every}
        tables = {is_sent: self.table(is_sent=is_sent) for is_sent in every}
        average = self._total(mix, pairs, is_told=True) / self.n_cables
        return near_links(pairs, self.views, self.links, tables, loads=loads, average=average)

    def _of_blocks(self, mix: Mix, shared: Shared) -> tuple[Floats, Floats]:
        """Return what the busiest block of ranks puts on cables nearest to it, and what blocks do on average.

        Returns
        -------
        (ndarray of float64, ndarray of float64), shape (k,) each
            By class of the links that they share.
        """
        load = self._mean((self.pairs, tuple(mix)), is_sent=shared.is_sent)[shared.links]
        mean = shared.together(sparse.csr_array((shared.n_ranks * load)[None]))
        return self.pairs.busiest(mix, shared), mean

    @remembered(_KEPT)
    def _mean(self, telling: Telling, *, is_sent: bool, is_told: bool = False) -> Floats:
        """Return what the rank of each view puts on a cable of each link on average, shape (links,).

        Where it is no traffic, but tells where links lie, what has no path goes nowhere.
        """
        pairs, mix = telling
        row, table = pairs.means(mix, is_sent=is_sent), self.table(is_sent=is_sent)
        return table.put_row(np.where(table.lost, 0.0, row) if is_told else row)

    def _total(self, mix: Mix, pairs: Pairs | None = None, *, is_told: bool = False) -> Floats:
        """Return the bytes on every class of links when all ranks do what they do on average."""
        links = self.links
        telling = pairs or self.pairs, tuple(mix)
        load = self._mean(telling, is_sent=False, is_told=is_told) * links.n_cables * links.n_alike
        return np.bincount(links.base, load, minlength=len(self.n_cables)).astype(np.float64)

    @cached_property
    def n_cables(self) -> Floats:
        """Cables of every class of links."""
        return links_of(self.base.classes, self.base.base).n_cables

    def _reduction_loads(self, pattern: Pattern) -> Loads:
        reduction = self._in_switches(pattern.over)
        if reduction is None:
            msg = f"the switches that reduce do not join the ranks of {self.group}"
            raise QuestionError(msg)
        both_ways, hops = reduction
        # What switches multiply runs the same links the other way.
        load = both_ways[pattern.kind == "from-switches"]
        return Loads(lambda: load, hops, load)

    def joins(self, over: Over) -> bool:
        """Return whether switches that reduce join all ranks of a domain, or of a rail."""
        if not self._reducing(over).any():
            return False
        if over == "rail" and not self.pairs.has_rails:
            return False
        return self.pairs.is_alone(over) or self._in_switches(over) is not None

    @cached_property
    def cards(self) -> Literal["none", "own", "shared"]:
        """Whose cards messages take; see `Job`."""
        if self.uncut is not None:
            return self.uncut.cards
        by_view = [view.cards for view in self.views if view.cards is not None]
        if not by_view:
            return "none"
        return "shared" if any(cards.are_shared for cards in by_view) else "own"

    @cached_property
    def n_cards(self) -> float:
        """Cards that a rank takes turns with; see `Job`."""
        if self.uncut is not None:
            return self.uncut.n_cards
        n = sum(view.n_alike * view.cards.n_own for view in self.views if view.cards is not None)
        return n / self.n_ranks or 1.0

    def _reducing(self, over: Over) -> Bools:
        return reducing_switches(
            self.base.classes, reducing_groups(self.blueprint), is_scale_up=over == "domain"
        )

    def _in_switches(self, over: Over) -> tuple[tuple[Floats, Floats], Floats] | None:
        """Return what sums put on classes of links, and what comes back, and the hops; asked for once."""
        if over not in self._reduced:
            self._reduced[over] = self._reduce(over)
        return self._reduced[over]

    def _reduce(self, over: Over) -> tuple[tuple[Floats, Floats], Floats] | None:
        network, amount = self.base.classes, np.zeros(len(self.base.size))
        amount[self.inside] = self.pairs.n_members
        parts = [self._with_mates(number, over) for number in range(len(self.views))]
        to_cards: list[tuple[Quotient, Floats]] = []
        climbs = [
            Climb(v.quotient.classes, part, self.paths) for v, part in zip(self.views, parts, strict=True)
        ]
        # Between domains bytes first go to the cards of each rank; from there they climb on the network.
        sides = cut_at_cards(network, self.base.size) if over != "domain" else None
        if sides is not None:
            network, amount = sides.network, np.zeros(len(amount))
            for number, (view, part) in enumerate(zip(self.views, parts, strict=True)):
                cards = view.cards
                assert cards is not None
                climbs[number] = Climb(cards.sides.network, cards.take(part), self.paths)
                card_bytes = climbs[number].part.toarray()[:, 0]
                n = self.pairs.n_members[number]
                np.add.at(amount, view.quotient.origin, n * card_bytes)
                to_cards.append((view.quotient, n * cards.way_out()))

        def sums(senders: Bools, targets: Bools) -> Floats:
            summed = np.zeros(len(self.base.size))
            for n, view, climb in zip(self.pairs.n_members, self.views, climbs, strict=True):
                origin = view.quotient.origin
                climb.advance(senders[origin], targets[origin])
                # The sum is as large as the parts that come in: the sum of their squares over their sum.
                rank_bytes, group_bytes = climb.part.toarray().T
                rank_bytes = np.divide(
                    rank_bytes**2, group_bytes, out=np.zeros(len(rank_bytes)), where=group_bytes > 0
                )
                np.add.at(summed, origin, n * rank_bytes)
            return summed

        n_groups = self.pairs.n_groups(over)
        reduction = switch_loads(network, amount, self._reducing(over), sums, n_groups, self.paths)
        if reduction is None:
            return None
        load, hops = reduction
        for quotient, before in to_cards:
            rule = np.repeat(quotient.classes.rule, 2)
            hops += np.bincount(rule, before, minlength=len(hops)) / self.n_ranks
        return self._both_ways([(self.base, load), *to_cards]), hops

    def _both_ways(self, loads: Sequence[tuple[Quotient, Floats]]) -> tuple[Floats, Floats]:
        """Return loads of links of some quotients by class of links, as they are and the other way."""
        n = len(self.n_cables)
        onward, back = np.zeros(n), np.zeros(n)
        for quotient, load in loads:
            onward += np.bincount(quotient.base, load, minlength=n)
            back += np.bincount(quotient.base, load.reshape(-1, 2)[:, ::-1].ravel(), minlength=n)
        return onward, back

    def _with_mates(self, number: int, over: Over) -> sparse.csr_array:
        """Return a byte of the rank of a view, and one of each rank of its group, shape (classes, 2)."""
        bytes_at = np.zeros((len(self.views[number].inside), 2))
        bytes_at[:, 1] = self.pairs.group(number, over)
        bytes_at[self.views[number].rank] = 1.0
        return sparse.csr_array(bytes_at)

    def optimum(self, patterns: Sequence[Pattern], amounts: Sequence[float]) -> Optimum:
        """Return the best routes; see `Job`.

        Notes
        -----
        Not less than what all ranks need together on average, nor than the busiest needs if it is alone.
        """
        mix = tuple(zip(patterns, (seconds_to_send(a, 1.0) for a in amounts), strict=True))
        every = [(number, is_sent) for number in range(len(self.views)) for is_sent in (False, True)]
        # The best routes choose relays by themselves.
        pairs = self.pairs.by_own_cards
        rows = {is_sent: pairs.kinds(mix, is_sent=is_sent) for is_sent in (False, True)}
        own = {n: slice(*pairs.starts[n : n + 2]) for n in range(len(self.views))}
        means = {(n, is_sent): pairs.means(mix, is_sent=is_sent)[own[n]] for n, is_sent in every}
        # First what all ranks do on average, all at once; then the busiest rank, alone on the fabric.
        numbers = range(len(self.views))
        time_s, busy = least(self.base, [self._received(n, means[n, False]) for n in numbers])
        is_exact = True
        for (number, is_sent), mean in means.items():
            done, begin = rows[is_sent]
            kinds = done[begin[number] : begin[number + 1], own[number]].toarray()
            if np.allclose(kinds, mean, rtol=1e-9, atol=0.0):
                continue  # all ranks do the same, and so did the program above
            is_exact = False
            view = self.views[number]
            alone = replace(view.quotient, base=np.arange(len(view.quotient.base)))
            row = self._most(number, kinds)
            blocks = self._sent(number, row) if is_sent else [self._received(number, row)]
            alone_s, alone_busy = least(alone, [replace(b, n_alike=1.0, view=alone) for b in blocks])
            time_s = max(time_s, alone_s)
            np.maximum.at(busy, view.quotient.base, alone_busy)
        return Optimum(time_s, busy, is_exact)

    def _most(self, number: int, kinds: Floats) -> Floats:
        """Return the row of the rank that has most to do, the farthest if there are several."""
        order = np.lexsort(((kinds @ self.pairs.far(number)).round(9), kinds.sum(axis=1).round(9)))
        return np.asarray(kinds[order[-1]])

    def _received(self, number: int, row: Floats) -> Commodity:
        """Return what the rank of a view receives, as a commodity."""
        view = self.views[number]
        amount = self.pairs.others(number, is_sent=False) @ row
        amount[view.rank] -= amount.sum()
        return self._commodity(view, amount, view.only)

    def _sent(self, number: int, row: Floats) -> list[Commodity]:
        """Return what the rank of a view sends, a commodity for each class of receivers.

        Mates of the rank relay outward, and those of a receiver inward: so each has a program of its own.
        """
        view = self.views[number]
        amount = self.pairs.others(number, is_sent=True) @ row
        every = []
        for peer in np.flatnonzero(amount).tolist():
            is_peer = np.arange(len(amount)) == peer
            own = np.where(is_peer, -amount, 0.0)
            own[view.rank] += amount[peer]
            every.append(self._commodity(view, own, is_peer))
        return every

    def as_job(self) -> Job:
        """Return the job."""
        base, pairs = self.base, self.pairs
        in_domain, across = self.joins("domain"), self.joins("rail")
        shape = replace(pairs.shape, reduces_in_domain=in_domain, reduces_across=across)
        links = links_of(base.classes, base.base, base.size)
        verbs = self.route, self.optimum, self.ways
        return Job(
            shape, pairs.n_instances, links, *verbs, "axes", "", self.route_mix, self.cards, self.n_cards
        )

    def _commodity(self, view: RankView, amount: Floats, targets: Bools) -> Commodity:
        """Return what classes of ranks give, and if negative take in, as a commodity."""
        moves = forwarding(view.quotient.classes, view.inside, targets, paths=self.paths, bystanders=False)
        ends = np.flatnonzero(amount)
        state = np.where(amount > 0, moves.source, moves.target)[ends]
        supply = np.zeros(moves.n_states)
        np.add.at(supply, state, amount[ends])
        return Commodity(view.n_alike, view.quotient, moves, supply)


class TiedTraffic(ClassTraffic):
    """All-to-all whose permutations keep some traffic."""

    def __init__(
        self,
        blueprint: Blueprint,
        among: str | Sequence[str] | None,
        paths: Paths,
        ties: tuple[Tie, ...],
        beside: Sequence[Sequence[str]] = (),
    ) -> None:
        self._given = ties
        super().__init__(blueprint, Traffic(), among, paths, is_coloured=True, colours=beside)

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        return self._given


def on_classes(place: Placement, routing: Routing, paths: Paths) -> Job:
    """Return the job on classes.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry, or domains are no product of axes.
    """
    # Where nothing is missing, or what is tells no ranks apart, they are a product of axes, as a rule.
    blueprint = place.blueprint
    is_whole = not (blueprint.absent or blueprint.failed or blueprint.marked_cables or place.among)
    if place.others:
        # Of groups that are all absent or down there are no ranks.
        question = ClassTraffic(blueprint, Traffic(), place.among, paths)
        numbers = set(question.base.classes.group[question.ends].tolist())
        groups = {list(blueprint.groups)[number] for number in numbers}
        first, *others = (replace(part, others=()) for part in place.parts if part.group in groups)
        place = replace(first, others=tuple(others))
        return of_pairs(place, routing, paths).as_job() if others else on_classes(place, routing, paths)
    if is_whole or ClassTraffic(blueprint, Traffic(), place.among, paths).ends.sum() == 1:
        with contextlib.suppress(NoSymmetryError):
            return of_product(place, routing, paths).as_job()
    return of_pairs(place, routing, paths).as_job()


def of_product(place: Placement, routing: Routing, paths: Paths) -> ClassedJob:
    """Return the job of ranks that are a product of axes.

    Raises
    ------
    NoSymmetryError
        If they are not, or the axes do not say the symmetry.
    """
    rings = ring_axes(place.blueprint, place.order)
    question = ProductTraffic(place.blueprint, Traffic(), place.among, paths)
    views = _views(question, place, rings)
    dealt = _deal(place, views)
    if dealt is not None:
        return of_product(dealt, routing, paths)
    places = places_on_axes(place, views, rings)
    pairs = ProductPairs(places, _by_rail(places, views, routing), views, place)
    return _classed(question, place.group, pairs, views, (routing, paths))


def of_pairs(
    place: Placement, routing: Routing, paths: Paths, beside: Sequence[Sequence[str]] = ()
) -> ClassedJob:
    """Return the job of ranks in any number and place; `beside` are the jobs that its classes keep in place.

    Raises
    ------
    NoSymmetryError
        If the axes do not say the symmetry, or domains are no product of axes.
    """
    asked = place.blueprint, place.among, paths
    question = TiedTraffic(*asked, group_ties(place, frozenset()), beside)
    _limit(question)
    # One rank says what a domain is; that the others say the same is looked at in the views of all.
    domain, found = None, domain_axes(_views(question, place, frozenset(), n=1))
    while found != domain:
        domain = found
        # Rails are kept whole, as libraries choose cards by them, unless that makes too many kinds.
        n_kinds = int(question.ends.sum())
        if n_kinds <= MAX_TIED_VIEWS:
            tied = TiedTraffic(*asked, group_ties(place, domain), beside)
            n_kinds = int(tied.ends.sum())
        has_rails = n_kinds <= MAX_TIED_VIEWS
        question = tied if has_rails else question
        views = _views(question, place, frozenset())
        found = domain_axes(views)
    dealt = _deal(place, views)
    if dealt is not None:
        return of_pairs(dealt, routing, paths, beside)
    pairs = _pairs(question, place, found, views)
    if routing == "rail" or pairs.need_relays():
        if place.others or not (has_rails and pairs.has_rails):
            unlike = "several groups" if place.others else "unequal size"
            why = f"domains of {unlike} have" if has_rails else f"{n_kinds} kinds of ranks leave"
            msg = f"{why} no rails that all traffic can take"
            raise NoSymmetryError(msg)
        pairs = replace(pairs, is_by_rail=True)
    return _classed(question, place.group, pairs, views, (routing, paths))


def _limit(question: ClassTraffic) -> None:
    """Raise where ranks are of too many kinds.

    Raises
    ------
    NoSymmetryError
    """
    n_kinds = int(question.ends.sum())
    if n_kinds > MAX_VIEWS:
        msg = f"the ranks are of {n_kinds} kinds, at most {MAX_VIEWS} are told apart"
        raise NoSymmetryError(msg)


def _pairs(
    question: ClassTraffic, place: Placement, domain: frozenset[str], views: tuple[RankView, ...]
) -> RankPairs:
    lift = Lift(place.blueprint, question.apart, question.ties, question.sides)
    ranks = [number_ranks(question, part, domain) for part in place.parts]
    joined = side_by_side(ranks) if place.others else ranks[0]
    return RankPairs(joined, views, lift, place.axes, domain)


def _views(
    question: ClassTraffic, place: Placement, rings: frozenset[str], *, n: int | None = None
) -> tuple[RankView, ...]:
    """Return the view of one rank of each class, or of the first n of them."""
    base, ranks = question.base, np.flatnonzero(question.ends)[:n].tolist()
    part_of = {part.group: part for part in place.parts}
    parts = [part_of[base.classes.groups[base.classes.group[rank]].name] for rank in ranks]
    return tuple(
        view_of(question, part, base.index[rank], float(base.size[rank]), rings, question.paths)
        for part, rank in zip(parts, ranks, strict=True)
    )


def _by_rail(places: RankPlaces, views: tuple[RankView, ...], routing: Routing) -> RankPlaces:
    """Return how the ranks lie, with what goes to the right rail first; see `RankPlaces.relayed`."""
    relayed = ~places.mates
    if routing != "rail":
        for view, i in itertools.product(views, np.flatnonzero(relayed).tolist()):
            peers = view.sources[places.differences[i]].tolist()
            relayed[i] &= view.cards is not None and all(view.cards.has_relay(peer) for peer in peers)
    return replace(places, relayed=relayed) if relayed.any() else places


def _deal(place: Placement, views: tuple[RankView, ...]) -> Placement | None:
    """Return the placement with ranks on the axis of the cards that they deal out, if they do.

    Raises
    ------
    NoSymmetryError
        If that is no product, or cards meet by indices that classes of them do not have.
    """
    dealings = [view.cards.dealing() for view in views if view.cards is not None]
    dealt = list(dict.fromkeys(dealing for dealing in dealings if dealing is not None))
    if len({(one.ranks, one.cards) for one in dealt}) < len(dealt):
        # The cards that are left are dealt anew, whatever their numbers.
        msg = "boxes that lost cards deal out those that are left"
        raise NoSymmetryError(msg)
    if dealt:
        # Once the ranks lie on the axis of their cards, no view deals any more.
        return align(place, dealt[0])
    for view in views:
        if view.cards is not None:
            view.cards.check_indices()
    return None


def _classed(
    question: ClassTraffic,
    group: str,
    pairs: Pairs,
    views: tuple[RankView, ...],
    asked: tuple[Routing, Paths],
) -> ClassedJob:
    return ClassedJob(group, pairs, question.base, views, question.ends, question.blueprint, *asked)
