"""Who sends to whom, by pairs of ranks that permutations make alike: for ranks in any number and place.

A pattern among ranks is a weight on ordered pairs of them. Two pairs are alike where a permutation that keeps
the fabric, what is down and the job maps one onto the other. What a pattern puts on links, on average over
these permutations, depends only on how many of its messages are of which kind of pair::

    ring of racks of 4, 4 and 2 GPUs      3 + 3 messages go on within a full rack, 1 to the other full rack,
                                          1 to the last rack, 1 within it, and 1 comes back from there

So messages are numbered as arrays, each is labelled by the kind of its pair, and the weights are added up.
`fabric.job.product` is the case with a closed form: ranks that are a product of axes, and all alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.remembered import remembered
from fabric.graph import components
from fabric.job.blocks import Blocks, Joint, joint_of
from fabric.job.differences import Mix
from fabric.job.doings import Doings, Pairs, doings_of, first_of, products, rails_of
from fabric.job.domains import NumberedRanks
from fabric.job.mates import mates_of
from fabric.job.numbering import n_bytes, tables
from fabric.job.placement import Placement, ring_axes
from fabric.job.shared import Shared
from fabric.job.views import RankView
from fabric.schedule.algorithms import Shape
from fabric.schedule.patterns import unrotated
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import Lift, NoSymmetryError, Tie
from fabric.symmetry.labels import labels

# Patterns that are kept, labelled; mixes of them that are kept, as every view and block asks for them again.
_KEPT = 64


@dataclass(frozen=True, eq=False)
class RankPairs:
    """How the ranks of a job lie to each other.

    A column of rows stands for a class of ranks as seen from a rank of one class; those of the first view
    come first.

    Parameters
    ----------
    ranks : NumberedRanks
    views : sequence of RankView
        One for each class of ranks, all with the same ties.
    lift : Lift
        Of the question of the views.
    order : tuple of str
        Primitive axes, outermost first.
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ.
    is_by_rail : bool
        Whether traffic goes to the right rail first.
    uncut : RankPairs, optional
        The same ranks in one instance, where they are cut by number.
    """

    ranks: NumberedRanks
    views: Sequence[RankView]
    lift: Lift
    order: tuple[str, ...]
    domain: frozenset[str]
    is_by_rail: bool = False
    uncut: RankPairs | None = None
    _columns: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """Ranks of one instance."""
        return self.ranks.shape

    @property
    def n_instances(self) -> int:
        """Groups that run at the same time."""
        return self.ranks.n_instances

    @property
    def has_rails(self) -> bool:
        """Whether all domains are of one size."""
        return self.shape.is_even

    @cached_property
    def targets(self) -> tuple[Ints, ...]:
        """For every view the classes of other ranks, in the order of its columns."""
        found = []
        for view in self.views:
            is_other = view.inside.copy()
            is_other[view.rank] = False
            found.append(np.flatnonzero(is_other))
        return tuple(found)

    @cached_property
    def starts(self) -> Ints:
        """The first column of every view, and the number of all columns."""
        return np.cumsum([0, *(len(classes) for classes in self.targets)])

    def others(self, number: int, *, is_sent: bool) -> sparse.csr_array:
        """Return where a byte to, or from, each column of a view ends, shape (classes, columns)."""
        classes = self.targets[number]
        shape = (len(self.views[number].inside), len(classes))
        return sparse.csr_array((np.ones(len(classes)), (classes, np.arange(len(classes)))), shape=shape)

    def agree(self, number: int, axes: frozenset[str]) -> Bools:
        """Return which columns of a view are of ranks that agree with its rank on some axes.

        The axes that an axis is under must be among them, so that one device of a class tells of all.
        """
        view, own = self.views[number], self.targets[number]
        group, places = view.quotient.classes.group, view.quotient.places
        # Ranks of another group lie elsewhere, whatever their indices.
        is_same: Bools = group[own] == group[view.rank]
        for at in (places[axis] for axis in axes if axis in places):
            is_same = is_same & (at[own] == at[view.rank])
        return is_same

    def mates(self, number: int) -> Bools:
        """Return which columns of a view are of ranks of the rank's scale-up domain."""
        return self.agree(number, frozenset(self.order) - self.domain)

    def in_group(self, number: int, pattern: Pattern) -> Bools:
        """Return which columns of a view are of ranks that its rank hears from in a pattern."""
        own, parts = self.by_own_cards, self._parts([(pattern, 1.0)])
        total = np.sum([own._totals(part, is_sent=False) for part, _ in parts], axis=0)
        return self._of(total, number) > 0

    def group(self, number: int, over: Over) -> Floats:
        """Return how many others of the rank's group, of a domain or a rail, are in each class of a view."""
        n = np.zeros(len(self.views[number].inside))
        n[self.targets[number]] = self._of(self._groups(over), number)
        # Of those that have a group at all.
        of_members = int(self.n_of_kind[number]) / max(int(self.n_members[number]), 1)
        return np.asarray(of_members * n)

    def each(self, number: int, is_in: Bools) -> tuple[sparse.csr_array, Bools]:
        """Return where a byte of each class of ranks at some columns starts, and which are mates."""
        return self.others(number, is_sent=False)[:, np.flatnonzero(is_in)], self.mates(number)[is_in]

    def n_groups(self, over: Over) -> int:
        """Return the domains, or the rails, of all instances."""
        shape = self.ranks.shape
        return self.ranks.n_instances * (shape.n_domains if over == "domain" else shape.equal())

    def is_alone(self, over: Over) -> bool:
        """Return whether no rank has others in its domain, or on its rail."""
        sizes = self.ranks.shape.sizes
        return max(sizes) == 1 if over == "domain" else len(sizes) == 1

    @property
    def above(self) -> Mapping[str, tuple[str, ...]]:
        """The axes that each axis is under: an index says nothing to those that differ there."""
        return self.lift.nest.above

    def far(self, number: int) -> Floats:
        """Return on how many axes the ranks of each column of a view differ from its rank."""
        return np.asarray(
            np.sum([~self.agree(number, frozenset({a})) for a in self.order], axis=0), dtype=np.float64
        )

    def need_relays(self) -> bool:
        """Return whether all that changes rails goes by the cards of one mate, having no other way."""
        n_relayed = 0
        for number, view in enumerate(self.views):
            on_rail = self.agree(number, self.domain) | self.mates(number)
            for peer in self.targets[number][~on_rail].tolist():
                if view.cards is None or not view.cards.has_relay(peer):
                    return False
                n_relayed += 1
        return n_relayed > 0

    def legs(self, number: int, is_in: Bools) -> Floats:
        """Return the legs of messages of some columns of a view by rail, as rows: one, or two at once."""
        mates = np.flatnonzero(is_in & self.mates(number)).tolist()
        peers = np.flatnonzero(is_in & ~self.mates(number) & self.agree(number, self.domain)).tolist()
        rows = np.eye(len(is_in))
        both = [rows[i] + rows[j] for i in mates for j in peers]
        return np.array([*(rows[i] for i in (*mates, *peers)), *both]).reshape(-1, len(is_in))

    def n_bytes(self, pattern: Pattern) -> float:
        """Return what all ranks send of a pattern, one byte from the busiest."""
        return sum(amount * self._n_bytes(part) for part, amount in self._parts([(pattern, 1.0)]))

    def _n_bytes(self, pattern: Pattern) -> float:
        is_told = pattern.kind != "pairwise"
        is_told = is_told and self.ranks.number is None
        told = products(self.shape, pattern, self.n_instances) if is_told else None
        if told is None:
            return self.n_instances * n_bytes(self.shape, pattern)
        return sum(part.n_bytes for part in told)

    def means(self, mix: Mix, *, is_sent: bool) -> Floats:
        """Return what a rank of each view does on average, shape (columns,)."""
        total = np.zeros(self.starts[-1])
        for pattern, amount in self._parts(mix):
            total += amount * self._totals(pattern, is_sent=is_sent)
        return np.asarray(total / np.repeat(self.n_of_kind, np.diff(self.starts)))

    @remembered(_KEPT)
    def _totals(self, pattern: Pattern, *, is_sent: bool) -> Floats:
        """Return what all ranks of each view do together, shape (columns,)."""
        return joint_of(self.ranks, [(1.0, self._doings(pattern, is_sent=is_sent))]).totals()

    @cached_property
    def n_of_kind(self) -> Ints:
        """Ranks of each view."""
        n_domains = np.bincount(self.ranks.sort, minlength=len(self.ranks.size))
        n = np.bincount(self.ranks.kind, np.repeat(n_domains, self.ranks.size), minlength=len(self.views))
        return n.astype(np.int64)

    @cached_property
    def n_members(self) -> Ints:
        """Ranks of each view that are in an instance."""
        ranks = self.ranks
        if ranks.number is None:
            return self.n_of_kind
        kind = ranks.kind[ranks.place_of[ranks.number]]
        return np.bincount(kind, minlength=len(self.views)).astype(np.int64)

    def kinds(self, mix: Mix, *, is_sent: bool) -> tuple[sparse.csr_array, Ints]:
        """Return the different rows of ranks, shape (k, columns), view by view, and where each begins."""
        return self._joint(tuple(mix), is_sent=is_sent).kinds

    def busiest(self, mix: Mix, shared: Shared) -> Floats:
        """Return what the busiest block of ranks puts on links near to it, shape (classes of links,).

        Parameters
        ----------
        mix : sequence of (Pattern, float)
            Patterns that run at once, and what the busiest rank sends or receives in each.
        shared : Shared
            The links, and the axes on which the ranks of a block agree.
        """
        blocks = Blocks(self._joint(tuple(mix), is_sent=shared.is_sent), shared.pinned)
        return shared.together(blocks.rows() @ shared.on_cable)

    @remembered(_KEPT)
    def _joint(self, mix: tuple[tuple[Pattern, float], ...], *, is_sent: bool) -> Joint:
        parts = [(amount, self._doings(p, is_sent=is_sent)) for p, amount in self._parts(mix)]
        return joint_of(self.ranks, parts)

    def part_of(self, number: int) -> int:
        """Return what tells views apart whose ranks do not share a block: any may."""
        return 0

    @remembered(_KEPT)
    def block_sizes(self, numbers: tuple[int, ...], pinned: frozenset[str]) -> list[float]:
        """Return how many ranks of each of some views a block has, on average of those with any of them."""
        n_blocks = self._blocks(pinned).count(numbers)
        return [int(self.n_of_kind[number]) / n_blocks for number in numbers]

    @remembered(_KEPT)
    def _blocks(self, pinned: frozenset[str]) -> Blocks:
        return Blocks(joint_of(self.ranks, []), pinned)

    def telling(self, mix: Mix) -> tuple[RankPairs, Mix]:
        """Return patterns that tell which links are near to ranks: all send to all, by their own cards."""
        return self.uncut or self.by_own_cards, ((Pattern("pairwise", "job"), 1.0),)

    @cached_property
    def by_own_cards(self) -> RankPairs:
        """The same with messages straight from rank to rank."""
        return replace(self, is_by_rail=False) if self.is_by_rail else self

    def _of(self, row: Floats, number: int) -> Floats:
        return np.asarray(row[self.starts[number] : self.starts[number + 1]])

    def _parts(self, mix: Mix) -> list[tuple[Pattern, float]]:
        """Return patterns that are labelled: of equal domains, rings that turn are several at once."""
        shape, parts = self.shape, []
        for pattern, amount in mix:
            if pattern.kind == "rotated-rings" and shape.is_even:
                parts += [(part, amount * n) for part, n in unrotated(shape.sizes[0], shape.n_domains)]
            else:
                parts.append((pattern, amount))
        return parts

    @remembered(_KEPT)
    def _doings(self, pattern: Pattern, *, is_sent: bool) -> Doings:
        if pattern.kind == "pairwise" and self.ranks.number is not None and not self._crosses(pattern):
            return mates_of(self.ranks, pattern, self._label, self._salt, self.above)
        if pattern.kind == "pairwise" and self.ranks.number is None:
            is_rail = pattern.over == "rail"
            return rails_of(self.ranks, self._label, self._salt) if is_rail else self._all_pairs(pattern)
        is_by_rail = self.is_by_rail
        return doings_of(self.ranks, pattern, self._label, self._salt, is_sent=is_sent, is_by_rail=is_by_rail)

    def _crosses(self, pattern: Pattern) -> bool:
        """Return whether messages of a pattern go to the right rail first."""
        sizes = self.shape.sizes
        return self.is_by_rail and pattern.over == "job" and max(sizes) > 1 and len(sizes) > 1

    @cached_property
    def _salt(self) -> Floats:
        return np.asarray(np.random.default_rng(0).random(int(self.starts[-1])))

    def _all_pairs(self, pattern: Pattern) -> Doings:
        """Return what ranks do where each sends to all others of its group: any of a class tells of it."""
        shape, ranks = self.shape, self.ranks
        g, k = max(shape.sizes), shape.n_domains
        if self._crosses(pattern):
            # To every mate what is its own and what is for its rail; along the rail what the domain sends.
            rows = (self._groups("domain") * k + self._groups("rail") * g) / (shape.n - 1)
        else:
            most = {"job": shape.n, "domain": g, **dict(shape.torus)}
            # The busiest rank, of the largest group, sends one byte.
            rows = self._groups(pattern.over, pattern.axis) / max(most[pattern.axis or pattern.over] - 1, 1)
        # The row of each view lies on its own columns.
        view = np.repeat(np.arange(len(self.views)), np.diff(self.starts))
        table = sparse.csr_array((rows, (view, np.arange(len(rows)))), shape=(len(self.views), len(rows)))
        table.eliminate_zeros()
        sorts = np.arange(len(ranks.size))
        return Doings(ranks.sort, sorts, ranks.begin, ranks.kind, table, np.asarray(table @ self._salt))

    @remembered(_KEPT)
    def _groups(self, over: Over, axis: str = "") -> Floats:
        """Return how many of its group a rank of each view sees at each of its columns, shape (columns,)."""
        if over == "rail" or self.ranks.number is not None:
            # Ranks of one view may be in groups with other ranks: on average.
            most = {"job": self.shape.n, "domain": max(self.shape.sizes), "rail": self.shape.n_domains}[over]
            of_views = self.by_own_cards._totals(Pattern("pairwise", over), is_sent=True)
            return of_views * ((most - 1) / np.repeat(self.n_of_kind, np.diff(self.starts)))
        first = np.unique(self.ranks.kind, return_index=True)[1].tolist()
        found, weights = [], []
        for place in first:
            sort = int(np.searchsorted(self.ranks.begin, place, side="right")) - 1
            home = int(self.ranks.a_domain[sort])
            domain, at, n_alike = (
                self._along(home, place, axis) if over == "axis" else self._others_of(home, place, over)
            )
            found.append((np.full(len(domain), home), domain, np.full(len(domain), place), at))
            weights.append(n_alike)
        pairs = Pairs(*(np.concatenate(ends) for ends in zip(*found, strict=True)))
        column, n = self._label(pairs)[0], int(self.starts[-1])
        return np.bincount(column, np.concatenate(weights), minlength=n).astype(np.float64)

    def _others_of(self, home: int, place: int, over: Over) -> tuple[Ints, Ints, Ints]:
        """Return the others of the group of a rank: domain and place of each, and how many are as alike."""
        ranks, shape = self.ranks, self.shape
        instance = home // shape.n_domains * shape.n_domains
        domains = np.arange(instance, instance + shape.n_domains) if over != "domain" else np.array([home])
        # Domains that lie alike to the rank's count together.
        _, first, which = first_of(*ranks.domain_pairs(np.full(len(domains), home), domains))
        n_alike, domains = np.bincount(which), domains[first]
        begin = ranks.begin[ranks.sort[domains]]
        n_places = ranks.size[ranks.sort[domains]]
        domain = np.repeat(domains, n_places)
        step = np.arange(len(domain)) - np.repeat(np.cumsum(n_places) - n_places, n_places)
        at = np.repeat(begin, n_places) + step
        is_other = (domain != home) | (at != place)
        return domain[is_other], at[is_other], np.repeat(n_alike, n_places)[is_other]

    def _along(self, home: int, place: int, axis: str) -> tuple[Ints, Ints, Ints]:
        """Return the others of the group of a rank on an axis of a torus; see `_others_of`."""
        ranks, shape = self.ranks, self.shape
        rank = int(ranks.first_rank[home]) + place - int(ranks.begin[ranks.sort[home]])
        instance, number = divmod(rank, shape.n)
        groups = tables(shape, Pattern("pairwise", "axis", axis=axis))
        (group,) = [row for table in groups for row in table[(table == number).any(axis=1)]]
        others = group[group != number] + instance * shape.n
        return ranks.domain_of[others], ranks.place_of[others], np.ones(len(others), dtype=np.int64)

    def _label(self, pairs: Pairs) -> tuple[Ints, Ints]:
        """Return the columns of pairs, as seen from their sources and from their targets."""
        code, radix = self._code(pairs)
        codes, first, inverse = first_of(code, radix)
        new = [i for i, c in zip(first.tolist(), codes.tolist(), strict=True) if c not in self._columns]
        if new:
            some = pairs.some(np.array(new))
            ends = (some.source, some.source_place), (some.target, some.target_place)
            sent, received = self._columns_of(*ends), self._columns_of(*ends[::-1])
            columns = zip(sent.tolist(), received.tolist(), strict=True)
            self._columns.update(zip(code[new].tolist(), columns, strict=True))
        table = np.array([self._columns[c] for c in codes.tolist()], dtype=np.int64).reshape(-1, 2)
        return table[inverse, 0], table[inverse, 1]

    def _code(self, pairs: Pairs) -> tuple[Ints, int]:
        """Return one number for every pair: equal numbers are of pairs that permutations make alike.

        What labels say of a device beside a marked one, they say from its class, from the class of the marked
        one, and from the axes on which the two agree; on a ring or tied axes, from the places of both.
        """
        n, ranks = len(self.views), self.ranks
        radix = n * n * ranks.of_places.radix * ranks.of_domains.radix
        if radix >= 2**62:
            msg = "the ranks lie on too many rings for pairs of them to be numbered"
            raise NoSymmetryError(msg)
        code = ranks.kind[pairs.source_place] * n + ranks.kind[pairs.target_place]
        code = code * ranks.of_places.radix + ranks.of_places.code(pairs.source_place, pairs.target_place)
        code = code * ranks.of_domains.radix + ranks.of_domains.code(pairs.source, pairs.target)
        return code, radix

    def _columns_of(self, anchor: tuple[Ints, Ints], other: tuple[Ints, Ints]) -> Ints:
        """Return the columns of some ranks (domains, places), each as seen from another one, shape (k,)."""
        view, seen = (self.ranks.kind[end[1]] for end in (anchor, other))
        home, at = (self._places(*end) for end in (anchor, other))
        label = self._labels(view, self._group[seen], home, at)
        return np.array([self._by_label[row] for row in label], dtype=np.int64)

    def _places(self, domain: Ints, place: Ints) -> dict[str, Ints]:
        ranks = self.ranks
        return {axis: index[domain] for axis, index in ranks.digits.items()} | {
            axis: index[place] for axis, index in ranks.place_digits.items()
        }

    @cached_property
    def _group(self) -> Ints:
        """Group of the rank of each view."""
        return np.array([int(v.quotient.classes.group[v.rank]) for v in self.views], dtype=np.int64)

    def _labels(
        self, view: Ints, group: Ints, home: Mapping[str, Ints], at: Mapping[str, Ints]
    ) -> list[tuple[int, int, bytes]]:
        """Return what tells the columns of views apart, for each rank as seen from another one.

        That is the view, the group of the rank, and its label beside the other one: on the axes of both.
        """
        groups = list(self.lift.blueprint.groups.values())
        told = np.empty(len(view), dtype=object)
        for source, target in itertools.product(np.unique(self._group).tolist(), repeat=2):
            rows = np.flatnonzero((self._group[view] == source) & (group == target))
            ends = [
                {axis: index[axis][rows] for axis in groups[number].primitives}
                for index, number in ((home, source), (at, target))
            ]
            label = labels(self.lift.plain, self.lift.nest, [*self.lift.failed, ends[0]], [ends[1]])
            label = np.broadcast_to(label[: len(rows)], (len(rows), label.shape[1]))
            told[rows] = [row.tobytes() for row in np.ascontiguousarray(label)]
        return list(zip(view.tolist(), group.tolist(), told.tolist(), strict=True))

    @cached_property
    def _by_label(self) -> dict[tuple[int, int, bytes], int]:
        """The column of each label of ranks."""
        view = np.repeat(np.arange(len(self.views)), np.diff(self.starts))
        home = {axis: places[view] for axis, places in self._moved([[v.rank] for v in self.views]).items()}
        groups = [v.quotient.classes.group[own] for v, own in zip(self.views, self.targets, strict=True)]
        label = self._labels(view, np.concatenate(groups), home, self._moved(self.targets))
        return {row: i for i, row in enumerate(label)}

    def _moved(self, ranks: Sequence[Ints | list[int]]) -> dict[str, Ints]:
        """Return where some ranks of every view have been moved to, 0 on an axis that one is not on."""
        each = [(v.quotient, own) for v, own in zip(self.views, ranks, strict=True)]
        group = np.concatenate([view.classes.group[own] for view, own in each])
        index = {axis: np.concatenate([view.places[axis][own] for view, own in each]) for axis in self.order}
        found = {axis: np.zeros(len(group), dtype=np.int64) for axis in self.order}
        for number in np.unique(group).tolist():
            rows = np.flatnonzero(group == number)
            axes = tuple(self.lift.blueprint.groups.values())[number].primitives
            for axis, places in self.lift.marked.moved({a: index[a][rows] for a in axes}).items():
                found[axis][rows] = places
        return found


def domain_axes(views: Sequence[RankView]) -> frozenset[str]:
    """Return the axes along which ranks of one scale-up domain differ; domains may be of unequal size.

    Parameters
    ----------
    views : sequence of RankView

    Raises
    ------
    NoSymmetryError
        If agreeing on the other axes does not tell who is in the same domain.
    """
    axes: set[str] = set()
    # Of every view, on which axes others of the rank's group differ from it, and which are its mates.
    others: list[tuple[dict[str, Bools], Bools]] = []
    for view in views:
        e, places = view.quotient.classes, view.quotient.places
        rules = np.array([r.net == "scale-up" for r in e.rules], dtype=np.bool_)
        rows = rules[e.rule] & (e.alive > 0) if len(rules) else np.zeros(0, np.bool_)
        part = components(e.n_devices, e.tail[rows], e.head[rows])
        is_mate = view.inside & (part == part[view.rank])
        is_own = view.inside & (e.group == e.group[view.rank])
        if (is_mate & ~is_own).any():
            msg = "a scale-up domain has ranks of several groups"
            raise NoSymmetryError(msg)
        differs = {a: (at != at[view.rank])[is_own] for a, at in places.items() if at[view.rank] >= 0}
        others.append((differs, is_mate[is_own]))
        axes |= {a for a, is_apart in differs.items() if (is_apart & is_mate[is_own]).any()}
    for differs, is_mate in others:
        beyond = [own for a, own in differs.items() if a not in axes]
        if (np.logical_or.reduce([np.zeros(len(is_mate), dtype=np.bool_), *beyond]) == is_mate).any():
            msg = "the scale-up domains are no product of axes"
            raise NoSymmetryError(msg)
    return frozenset(axes)


def group_ties(place: Placement, domain: frozenset[str]) -> tuple[Tie, ...]:
    """Return what keeps rings one way round, and rails and instances whole.

    Parameters
    ----------
    place : Placement
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ; empty if that is not known yet.

    Raises
    ------
    NoSymmetryError
        If the ranks lie on a line.
    """
    ties = []
    for part in place.parts:
        every = frozenset(part.order)
        rings = ring_axes(part.blueprint, part.order)
        ties += [Tie(part.group, every, rings)] if rings else []
        agreements = (axes for axes in (domain & every, every - part.spans) if axes and axes != every)
        ties += [Tie(part.group, axes) for axes in agreements]
    return tuple(ties)
