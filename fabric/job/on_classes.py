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

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats
from fabric.blueprint.reducing import reducing_groups
from fabric.errors import QuestionError
from fabric.flow.commodities import Commodity
from fabric.flow.traffic import Traffic
from fabric.graph import Paths, forwarding
from fabric.job.chosen import align
from fabric.job.differences import Mix, RankPlaces
from fabric.job.in_switch import Climb, reducing_switches, switch_loads
from fabric.job.placement import Placement, ring_axes, torus_of
from fabric.job.product import ProductTraffic, places_on_axes, sizes_on_axes
from fabric.job.ranks import Job, Loads, Routing, least, links_of
from fabric.job.views import Carrier, RankView, view_of
from fabric.routing import Progress
from fabric.routing.cards import cut_at_cards
from fabric.schedule.algorithms import Shape
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import Quotient
from fabric.units import seconds_to_send

# Shares that differ by less are the same.
_SAME = 1e-6
# Ways that are equal to so many digits are of one kind.
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class _Classes:
    """A job on classes; its methods are the `route`, `optimum` and `ways` of `Job`."""

    group: str
    places: RankPlaces
    base: Quotient
    views: tuple[RankView, ...]
    inside: Bools
    reducing: tuple[str, ...]
    routing: Routing
    paths: Paths
    _carriers: dict[tuple[int, bool], Carrier] = field(default_factory=dict)
    _reduced: dict[Over, tuple[tuple[Floats, Floats], Floats] | None] = field(default_factory=dict)

    @cached_property
    def n_ranks(self) -> float:
        """Ranks of all instances."""
        return sum(view.n_alike for view in self.views)

    def put(self, number: int, rows: Floats, *, is_sent: bool) -> Floats:
        """Return the bytes on every class of links of a view when one rank sends, or receives, some rows."""
        key = (number, is_sent)
        if key not in self._carriers:
            adapts = self.routing == "adaptive"
            others = self.views[number].others(self.places, is_sent=is_sent)
            self._carriers[key] = Carrier(
                self.views[number], others, self.places.mates, is_sent=is_sent, adapts=adapts
            )
        return self._carriers[key].put(rows)

    @cached_property
    def by_rail(self) -> RankPlaces:
        """How the ranks lie, with what goes to the right rail first; see `RankPlaces.relayed`."""
        relayed = ~self.places.mates
        if self.routing != "rail":
            for view, i in itertools.product(self.views, np.flatnonzero(relayed).tolist()):
                peers = view.sources[self.places.differences[i]].tolist()
                relayed[i] &= view.cards is not None and all(view.cards.has_relay(peer) for peer in peers)
        return replace(self.places, relayed=relayed) if relayed.any() else self.places

    def route(self, pattern: Pattern, progress: Progress | None = None) -> Loads:
        """Return the loads of `pattern`; see `Job`."""
        if pattern.kind in ("to-switches", "from-switches"):
            return self._reduction_loads(pattern)
        links = links_of(self.base.classes, self.base.base)
        mix = [(pattern, 1.0)]
        mean = self.by_rail.mean(mix)
        total = self._totals(mean[None])[0]
        sent = max(float(self.places.mean(mix).sum()) * self.n_ranks, 1e-300)
        hops = np.bincount(links.rule, total, minlength=len(links.rules)) / sent
        return Loads(self._peaks(mix, mean, total / self.n_cables) * self.n_cables, hops)

    def route_mix(self, mix: Mix) -> Floats:
        """Return the bytes on every link of some patterns at once; see `Job`."""
        mean = self.by_rail.mean(mix)
        return self._peaks(mix, mean, self._totals(mean[None])[0] / self.n_cables) * self.n_cables

    def ways(self, pattern: Pattern) -> Floats:
        """Return the links of each rule that messages of `pattern` pass; see `Job`."""
        is_mate = self.places.alike(self.places.axes(pattern)) > 0
        hops = []
        for number, view in enumerate(self.views):
            if self.routing == "rail":
                # What relays pass on is told by differences alone.
                load = self.put(number, self.by_rail.legs.toarray()[is_mate], is_sent=False)
            else:
                load = self._each(view, is_mate)
            rules = view.quotient.classes.rules
            on_rule = np.eye(len(rules))[np.repeat(view.quotient.classes.rule, 2)]
            hops.append(load @ on_rule)
        return np.unique(np.concatenate(hops).round(_DIGITS), axis=0)

    def _each(self, view: RankView, is_mate: Bools) -> Floats:
        """Return what a byte from each class of ranks at some differences puts on links of a view."""
        sources = [
            (d, c)
            for d, is_in in zip(self.places.differences, is_mate, strict=True)
            if is_in
            for c in view.sources[d].tolist()
        ]
        column = np.array([self.places.column[d] for d, _ in sources])
        shape = (len(view.inside), len(sources))
        others = sparse.csr_array(
            (np.ones(len(sources)), ([c for _, c in sources], np.arange(len(sources)))), shape=shape
        )
        return Carrier(view, others, self.places.mates[column]).put(np.eye(len(sources)))

    def _peaks(self, mix: Mix, mean: Floats, average: Floats) -> Floats:
        """Return what cables carry at most, by class of links."""
        every = {is_sent: self.by_rail.kinds(mix, is_sent=is_sent) for is_sent in (False, True)}
        if all(len(kinds) == 1 for kinds in every.values()):
            return average
        # What part of an average cable's bytes one rank of each class puts on it, and the largest such part.
        peak, best = average.copy(), np.zeros(len(average))
        shares = {}
        for is_sent in (False, True):
            for number, view in enumerate(self.views):
                base = view.quotient.base
                mean_load = self.put(number, mean[None], is_sent=is_sent)[0] / view.n_cables
                share = np.divide(mean_load, average[base], out=np.zeros(len(base)), where=average[base] > 0)
                np.maximum.at(best, base, share)
                shares[number, is_sent] = share
        for (number, is_sent), share in shares.items():
            view = self.views[number]
            base = view.quotient.base
            # The ranks that a link is nearest to are those with the largest share in what it carries.
            is_near = ~view.is_free & (share > (1 - _SAME) * best[base])
            pins, block = view.blocks(self.by_rail)
            sizes = np.array([self.n_ranks / math.prod(self.by_rail.size[a] for a in p) for p in pins])
            n_block = sizes[block]
            # A block whose parts add up to more than the cable carries is no block of this link.
            is_whole = is_near & (n_block * share <= 1 + _SAME)
            # Ranks beyond the block add what they do on average.
            beyond = np.maximum(1 - n_block * share, 0.0) * average[base]
            # Where no block is near, the busiest single rank.
            most = self.put(number, every[is_sent], is_sent=is_sent).max(axis=0) / view.n_cables
            for i in np.unique(block[is_whole]).tolist():
                links = is_whole & (block == i)
                rows = self.by_rail.blocks(mix, pins[i], is_sent=is_sent)
                block_load = self.put(number, rows, is_sent=is_sent).max(axis=0) / view.n_cables
                most[links] = (block_load + beyond)[links]
            np.maximum.at(peak, base, most)
        return peak

    def _totals(self, rows: Floats) -> Floats:
        """Return the bytes on every class of links when all ranks receive some rows."""
        totals = np.zeros((len(rows), len(self.n_cables)))
        for number, view in enumerate(self.views):
            loads = self.put(number, rows, is_sent=False)
            for total, load in zip(totals, loads, strict=True):
                total += view.n_alike * np.bincount(view.quotient.base, load, minlength=len(total))
        return totals

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
        return Loads(both_ways[pattern.kind == "from-switches"], hops)

    def joins(self, over: Over) -> bool:
        """Return whether switches that reduce join all ranks of a domain, or of a rail."""
        if not self._reducing(over).any():
            return False
        is_alone = not any(self.places.size[a] > 1 for a in self.places.axes(Pattern("to-switches", over)))
        return is_alone or self._in_switches(over) is not None

    @property
    def cards(self) -> Literal["none", "own", "shared"]:
        """Whose cards messages take; see `Job`."""
        by_view = [view.cards for view in self.views if view.cards is not None]
        if not by_view:
            return "none"
        return "shared" if any(cards.are_shared for cards in by_view) else "own"

    def _reducing(self, over: Over) -> Bools:
        return reducing_switches(self.base.classes, self.reducing, is_scale_up=over == "domain")

    def _in_switches(self, over: Over) -> tuple[tuple[Floats, Floats], Floats] | None:
        """Return what sums put on classes of links, and what comes back, and the hops; asked for once."""
        if over not in self._reduced:
            self._reduced[over] = self._reduce(over)
        return self._reduced[over]

    def _reduce(self, over: Over) -> tuple[tuple[Floats, Floats], Floats] | None:
        axes = self.places.axes(Pattern("to-switches", over))
        network, amount = self.base.classes, np.where(self.inside, self.base.size, 0.0)
        parts = [_with_mates(view, self.places, axes) for view in self.views]
        to_cards: list[tuple[Quotient, Floats]] = []
        climbs = [
            Climb(v.quotient.classes, part, self.paths) for v, part in zip(self.views, parts, strict=True)
        ]
        # Between domains bytes first go to the cards of each rank; from there they climb on the network.
        sides = cut_at_cards(network) if over != "domain" else None
        if sides is not None:
            network, amount = sides.network, np.zeros(len(amount))
            for number, (view, part) in enumerate(zip(self.views, parts, strict=True)):
                cards = view.cards
                assert cards is not None
                climbs[number] = Climb(cards.sides.network, cards.take(part), self.paths)
                card_bytes = climbs[number].part.toarray()[:, 0]
                np.add.at(amount, view.quotient.origin, view.n_alike * card_bytes)
                to_cards.append((view.quotient, view.n_alike * cards.way_out()))

        def sums(senders: Bools, targets: Bools) -> Floats:
            summed = np.zeros(len(self.base.size))
            for view, climb in zip(self.views, climbs, strict=True):
                origin = view.quotient.origin
                climb.advance(senders[origin], targets[origin])
                # The sum is as large as the parts that come in: the sum of their squares over their sum.
                rank_bytes, group_bytes = climb.part.toarray().T
                rank_bytes = np.divide(
                    rank_bytes**2, group_bytes, out=np.zeros(len(rank_bytes)), where=group_bytes > 0
                )
                np.add.at(summed, origin, view.n_alike * rank_bytes)
            return summed

        n_groups = self.n_ranks / math.prod(self.places.size[a] for a in axes)
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

    def optimum(self, patterns: Sequence[Pattern], amounts: Sequence[float]) -> tuple[float, Floats]:
        """Return the least time, and how long each link is busy; see `Job`.

        Notes
        -----
        Not less than what all ranks need together on average, nor than the busiest needs if it is alone.
        """
        sent = [seconds_to_send(a, 1.0) for a in amounts]
        mean, *most = (
            np.sum([s * row for s, row in zip(sent, part, strict=True)], axis=0)
            for part in (
                [self.places.mean([(p, 1.0)]) for p in patterns],
                [self._most(self.places.kinds([(p, 1.0)], is_sent=False)) for p in patterns],
                [self._most(self.places.kinds([(p, 1.0)], is_sent=True)) for p in patterns],
            )
        )
        # First what all ranks do on average, all at once; then the busiest rank, alone on the fabric.
        time_s, busy = least(self.base, [self._block(view, mean, is_sent=False) for view in self.views])
        for is_sent, row in zip((False, True), most, strict=True):
            if np.allclose(row, mean, rtol=1e-9, atol=0.0):
                continue  # all ranks do the same, and so did the program above
            for view in self.views:
                alone = replace(view.quotient, base=np.arange(len(view.quotient.base)))
                block = replace(self._block(view, row, is_sent=is_sent), n_alike=1.0, view=alone)
                alone_s, alone_busy = least(alone, [block])
                time_s = max(time_s, alone_s)
                np.maximum.at(busy, view.quotient.base, alone_busy)
        return time_s, busy

    def _most(self, kinds: Floats) -> Floats:
        """Return the row of the rank that has most to do, the farthest if there are several."""
        far = [sum(places > 0 for places in d) for d in self.places.differences]
        order = np.lexsort(((kinds @ np.array(far, dtype=np.float64)).round(9), kinds.sum(axis=1).round(9)))
        return np.asarray(kinds[order[-1]])

    def _block(self, view: RankView, row: Floats, *, is_sent: bool) -> Commodity:
        """Return what one rank receives, or sends, as a commodity."""
        classes, rank = view.quotient.classes, view.only
        sides = (rank, view.inside) if is_sent else (view.inside, rank)
        moves = forwarding(classes, *sides, paths=self.paths, bystanders=False)
        amount = view.others(self.places, is_sent=is_sent) @ row
        # Flow is conserved: the rank takes in, or gives, all that the others give, or take in.
        amount[view.rank] -= amount.sum()
        ends = np.flatnonzero(amount)
        sign = -1.0 if is_sent else 1.0
        state = np.where(sign * amount > 0, moves.source, moves.target)[ends]
        supply = np.zeros(moves.n_states)
        np.add.at(supply, state, sign * amount[ends])
        return Commodity(view.n_alike, view.quotient, moves, supply)


def _with_mates(view: RankView, places: RankPlaces, axes: tuple[str, ...]) -> sparse.csr_array:
    """Return a byte of the rank, and one of each rank of its group along some axes, shape (classes, 2)."""
    bytes_at = np.zeros((len(view.inside), 2))
    bytes_at[view.rank] = 1.0
    for difference, n in zip(places.differences, places.alike(axes).tolist(), strict=True):
        if n:
            mates = view.sources[difference]
            bytes_at[mates, 1] = view.quotient.size[mates]
    return sparse.csr_array(bytes_at)


def on_classes(place: Placement, routing: Routing, paths: Paths) -> Job:
    """Return the job on classes.

    Raises
    ------
    NoSymmetryError
        If the ranks are no product of axes, or the axes do not say the symmetry.
    """
    blueprint = place.blueprint
    rings = ring_axes(blueprint, place.order)
    question = ProductTraffic(blueprint, Traffic(), place.among, paths)
    base = question.base
    inside = question.ends
    marks = [(rank, base.index[rank]) for rank in np.flatnonzero(inside).tolist()]
    # A block that is not full makes very many classes; two ranks far apart tell of it soonest.
    ends = tuple(view_of(question, place, marks[i][1], 1.0, rings, paths) for i in {0, len(marks) - 1})
    sizes_on_axes(place, ends, rings)
    views = tuple(
        view_of(question, place, mark, float(base.size[rank]), rings, paths) for rank, mark in marks
    )
    for view in views:
        dealing = view.cards.dealing() if view.cards is not None else None
        if dealing is not None:
            # Once the ranks lie on the axis of their cards, no view deals any more.
            return on_classes(align(place, dealing), routing, paths)
    places = places_on_axes(place, views, rings)
    work = _Classes(place.group, places, base, views, inside, reducing_groups(blueprint), routing, paths)
    sizes = {a: places.size[a] for a in place.spans}
    # Of one instance: k domains of g ranks.
    g = math.prod(n for a, n in sizes.items() if a in places.domain)
    k = math.prod(n for a, n in sizes.items() if a not in places.domain)
    shape = Shape((g,) * k, torus_of(place, sizes, rings), work.joins("domain"), work.joins("rail"))
    n_instances = math.prod(places.size.values()) // math.prod(sizes.values())
    links = links_of(base.classes, base.base, base.size)
    return Job(
        shape, n_instances, links, work.route, work.optimum, work.ways, "axes", "", work.route_mix, work.cards
    )
