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

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.join import full_grid
from fabric.blueprint.remembered import remembered
from fabric.flow.by_axes import ClassTraffic
from fabric.graph import components
from fabric.job.differences import MAX_KINDS, Mix
from fabric.job.numbering import messages, n_bytes, numbered, rail_legs, tables
from fabric.job.placement import Placement, ring_axes, torus_of
from fabric.job.views import RankView
from fabric.schedule.algorithms import Shape
from fabric.schedule.patterns import unrotated
from fabric.schedule.tree import Over, Pattern
from fabric.symmetry import Lift, NoSymmetryError, Tie, lay_ground
from fabric.symmetry.labels import labels
from fabric.symmetry.marked import marked

MAX_RANKS = 8_000_000
"""Ranks that are numbered one by one."""

# Patterns that are kept, labelled; blocks of ranks that are kept, as every size asks for them again.
_KEPT = 64


@dataclass(frozen=True, eq=False)
class NumberedRanks:
    """The ranks of a job one by one.

    Parameters
    ----------
    digits : mapping of str to ndarray of int64, shape (n_instances * n,)
        Index of every rank on each primitive axis, where what is down has been put side by side: instance by
        instance, in each in the order of the ranks, domain by domain.
    shape : Shape
        Of one instance.
    kind : ndarray of int64, shape (n_instances * n,)
        Position of the class of each rank among the classes of ranks.
    """

    digits: Mapping[str, Ints]
    shape: Shape
    kind: Ints

    @property
    def n_ranks(self) -> int:
        """Ranks of all instances."""
        return len(self.kind)

    @property
    def n_instances(self) -> int:
        """Groups that run at the same time."""
        return self.n_ranks // self.shape.n


def number_ranks(question: ClassTraffic, place: Placement, domain: frozenset[str]) -> NumberedRanks:
    """Return the ranks of a placement one by one.

    Parameters
    ----------
    question : ClassTraffic
        All-to-all among the ranks.
    place : Placement
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ.

    Raises
    ------
    NoSymmetryError
        If they are more than `MAX_RANKS`.
    QuestionError
        If instances are of unequal size, or lie in domains in different ways.
    """
    blueprint, group = question.blueprint, place.group
    grid = full_grid(blueprint)
    if grid.n_rows(group) > MAX_RANKS:
        msg = f"{grid.n_rows(group):,} places of ranks, which are numbered one by one up to {MAX_RANKS:,}"
        raise NoSymmetryError(msg)
    is_rank = ~grid.mask(group, (*blueprint.absent, *blueprint.failed))
    if question.among is not None:
        is_rank &= grid.mask(group, (question.among,))
    rows = np.flatnonzero(is_rank)
    digits = {axis: grid.digit(group, rows, axis) for axis in place.order}

    def number(axes: Sequence[str]) -> Ints:
        """Return one number for the places on some axes, the last one fastest."""
        flat = np.zeros(len(rows), dtype=np.int64)
        for axis in axes:
            flat = flat * blueprint.axes[axis].size + digits[axis]
        return flat

    instance = number([a for a in place.order if a not in place.spans])
    rank = number([a for a in place.order if a in place.spans])
    home = number([a for a in place.order if a not in domain])
    order, shape = numbered(instance, rank, home, along=[a for a in place.order if a in place.spans])
    if place.among is None:
        sizes = {a: blueprint.axes[a].size for a in place.spans}
        torus = torus_of(place, sizes, ring_axes(blueprint, place.order))
        if math.prod(n for _, n in torus) == shape.n:
            shape = replace(shape, torus=torus)
    ground = lay_ground(blueprint, apart=question.apart, ties=question.ties)
    moved = marked(blueprint, question.apart, question.ties).moved(digits)
    # A rank is in the class of its row of the class grid.
    row = np.zeros(len(rows), dtype=np.int64)
    for axis, stride in ground.grid.strides(group).items():
        row += stride * (np.searchsorted(ground.grid.reps[axis], moved[axis], side="right") - 1)
    kinds = np.flatnonzero(question.ends)
    kind = np.searchsorted(kinds, ground.device[group][row])
    return NumberedRanks({axis: moved[axis][order] for axis in place.order}, shape, kind[order])


@dataclass(frozen=True, eq=False)
class _Doings:
    """What each rank does in a pattern, sending or receiving.

    Parameters
    ----------
    row : ndarray of int64, shape (number of ranks,)
        Row of each rank.
    rows : sparse array, shape (number of different rows, columns of all views)
        Bytes to, or from, each class of ranks as seen from the rank.
    mark : ndarray of float64, shape (number of different rows,)
        One random combination of each row, by which sums of rows are told apart.
    n_alike : ndarray of int64, shape (number of views, number of different rows)
        Ranks of each view with each row.
    """

    row: Ints
    rows: sparse.csr_array
    mark: Floats
    n_alike: Ints


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
    spans : frozenset of str
        Axes of one instance.
    is_by_rail : bool
        Whether traffic goes to the right rail first.
    """

    ranks: NumberedRanks
    views: Sequence[RankView]
    lift: Lift
    order: tuple[str, ...]
    domain: frozenset[str]
    spans: frozenset[str]
    is_by_rail: bool = False
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
        view = self.views[number]
        home = dict(view.quotient.index[view.rank])
        at = [dict(view.quotient.index[i]) for i in self.targets[number].tolist()]
        return np.array([all(place[a] == home[a] for a in axes) for place in at], dtype=np.bool_)

    def mates(self, number: int) -> Bools:
        """Return which columns of a view are of ranks of the rank's scale-up domain."""
        return self.agree(number, frozenset(self.order) - self.domain)

    def in_group(self, number: int, pattern: Pattern) -> Bools:
        """Return which columns of a view are of ranks of its rank's group in a pattern."""
        every = frozenset(self.order)
        beside = {
            "job": frozenset[str](),
            "domain": every - self.domain,
            "rail": self.domain,
            "axis": every - {pattern.axis},
        }
        return self.agree(number, every - self.spans | beside[pattern.over])

    def group(self, number: int, over: Over) -> Ints:
        """Return the classes of a view that hold the others of the rank's group, of a domain or a rail."""
        return self.targets[number][self.in_group(number, Pattern("to-switches", over))]

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
        parts = self._parts([(pattern, 1.0)])
        return self.n_instances * sum(amount * n_bytes(self.shape, part) for part, amount in parts)

    def mean(self, mix: Mix, number: int, *, is_sent: bool) -> Floats:
        """Return what a rank of a view does on average, shape (columns,)."""
        total = np.zeros(self.starts[-1])
        for pattern, amount in self._parts(mix):
            doings = self._doings(pattern, is_sent=is_sent)
            total += amount * np.asarray(doings.n_alike[number] @ doings.rows)
        return np.asarray(self._of(total[None], number)[0] / self.n_of_kind[number], dtype=np.float64)

    @cached_property
    def n_of_kind(self) -> Ints:
        """Ranks of each view."""
        return np.bincount(self.ranks.kind, minlength=len(self.views))

    def kinds(self, mix: Mix, number: int, *, is_sent: bool) -> Floats:
        """Return the different rows of the ranks of a view, shape (k, columns)."""
        parts = self._parts(mix)
        if len(parts) == 1:
            ((pattern, amount),) = parts
            doings = self._doings(pattern, is_sent=is_sent)
            used = np.flatnonzero(doings.n_alike[number])
            if len(used) <= MAX_KINDS:
                return self._of(amount * doings.rows[used].toarray(), number)
        return self._blocks_of(tuple(mix), number, frozenset(self.order), is_sent)[0]

    def blocks(
        self, mix: Mix, numbers: tuple[int, ...], pinned: frozenset[str], *, is_sent: bool
    ) -> tuple[list[Floats], Ints]:
        """Return what different blocks of ranks of some views do.

        Parameters
        ----------
        mix : sequence of (Pattern, float)
            Patterns that run at once, and what the busiest rank sends or receives in each.
        numbers : tuple of int
            Views.
        pinned : frozenset of str
            Axes on which the ranks of a block agree.
        is_sent : bool
            Whether it is what they send, or what they receive.

        Returns
        -------
        list of ndarray of float64, shape (k, columns)
            For each view the different rows of its ranks of a block.
        ndarray of int64, shape (number of different blocks, number of views)
            Which row it is; -1 where the block has no rank of the view.
        """
        n_blocks = int(self._block_of(pinned).max()) + 1
        rows, code, radix = [], np.zeros(n_blocks, dtype=np.int64), []
        for number in numbers:
            of_view, kind = self._blocks_of(tuple(mix), number, pinned, is_sent)
            rows.append(of_view)
            radix.append(len(of_view) + 1)
            code *= radix[-1]
            code[: len(kind)] += kind + 1
        # A block is told by the kinds of its parts: at most MAX_KINDS of each view.
        codes = _first_of(code, math.prod(radix))[0]
        kinds = np.empty((len(codes), len(numbers)), dtype=np.int64)
        for i in reversed(range(len(numbers))):
            codes, kinds[:, i] = np.divmod(codes, radix[i])
        return rows, kinds[(kinds > 0).any(axis=1)] - 1

    def part_of(self, number: int) -> int:
        """Return what tells views apart whose ranks do not share a block: any may."""
        return 0

    @remembered(_KEPT)
    def block_sizes(self, numbers: tuple[int, ...], pinned: frozenset[str]) -> list[float]:
        """Return how many ranks of each of some views a block has, on average of those with any of them."""
        is_in = np.isin(self.ranks.kind, numbers)
        n_blocks = np.count_nonzero(np.bincount(self._block_of(pinned)[is_in]))
        return [int(self.n_of_kind[number]) / n_blocks for number in numbers]

    def telling(self, mix: Mix) -> tuple[RankPairs, Mix]:
        """Return patterns that tell which links are near to ranks: all send to all, by their own cards."""
        return self._by_own_cards, ((Pattern("pairwise", "job"), 1.0),)

    @cached_property
    def _by_own_cards(self) -> RankPairs:
        return replace(self, is_by_rail=False) if self.is_by_rail else self

    @remembered(4 * _KEPT)
    def _blocks_of(
        self, mix: tuple[tuple[Pattern, float], ...], number: int, pinned: frozenset[str], is_sent: bool
    ) -> tuple[Floats, Ints]:
        """Return the different rows of blocks of the ranks of a view, and the row of each block, or -1."""
        own = self._of_view[number]
        block = self._block_of(pinned)[own]
        parts = [(amount, self._doings(p, is_sent=is_sent)) for p, amount in self._parts(mix)]
        rows_of = [doings.row[own] for _, doings in parts]
        n_blocks = int(block.max()) + 1
        kind, n_kinds = self._block_kinds(parts, rows_of, block, n_blocks)
        n_alike = np.bincount(kind[kind >= 0], minlength=n_kinds)[:, None]
        kind_of = kind[block]
        rows = np.zeros((n_kinds, self.starts[-1]))
        for (amount, doings), row in zip(parts, rows_of, strict=True):
            # How often the ranks of a block of each kind have each row.
            n_rows = len(doings.mark)
            n_each = np.bincount(kind_of * n_rows + row, minlength=n_kinds * n_rows).reshape(n_kinds, n_rows)
            rows += amount * ((n_each / n_alike) @ doings.rows)
        return self._of(rows, number), kind

    def _block_kinds(
        self, parts: list[tuple[float, _Doings]], rows_of: list[Ints], block: Ints, n_blocks: int
    ) -> tuple[Ints, int]:
        """Return the kind of each block, -1 of those without ranks, and how many kinds there are."""
        used = np.zeros(n_blocks, dtype=np.bool_)
        used[block] = True
        kind = np.full(n_blocks, -1, dtype=np.int64)
        if np.count_nonzero(used) == len(block):
            # Each block is one rank: of a million marks only those of different rows need be compared.
            which, n_kinds = _kinds_of_ranks(parts, rows_of)
            if n_kinds <= MAX_KINDS:
                kind[block] = which
                return kind, n_kinds
        mark = np.zeros(len(block))
        for (amount, doings), row in zip(parts, rows_of, strict=True):
            mark += (amount * doings.mark)[row]
        first, which = _distinct(_sums(block, mark, n_blocks)[used])
        if len(first) > MAX_KINDS:
            # Blocks with as much to do are then one kind.
            done = np.zeros(len(block))
            for (amount, doings), row in zip(parts, rows_of, strict=True):
                done += (amount * np.asarray(doings.rows.sum(axis=1)).ravel())[row]
            first, which = _distinct(_sums(block, done, n_blocks)[used])
        kind[used] = which
        return kind, len(first)

    @cached_property
    def _of_view(self) -> tuple[Ints, ...]:
        """The ranks of each view."""
        return tuple(np.flatnonzero(self.ranks.kind == number) for number in range(len(self.views)))

    @remembered(_KEPT)
    def _block_of(self, pinned: frozenset[str]) -> Ints:
        """Return the number of the block of each rank, of those that agree on some axes."""
        n = self.ranks.n_ranks
        if len(pinned) == len(self.order):
            return np.arange(n)
        code, radix = np.zeros(n, dtype=np.int64), 1
        for axis in self.order:
            if axis in pinned:
                size = self.lift.blueprint.axes[axis].size
                code, radix = code * size + self.ranks.digits[axis], radix * size
        return _first_of(code, radix)[2]

    def _of(self, rows: Floats, number: int) -> Floats:
        return np.asarray(rows[:, self.starts[number] : self.starts[number + 1]])

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
    def _doings(self, pattern: Pattern, *, is_sent: bool) -> _Doings:
        if pattern.kind == "pairwise":
            return self._all_pairs(pattern, is_sent=is_sent)
        source, target, weight = self._messages(pattern)
        anchor, column = source if is_sent else target, self._label(source, target)[0 if is_sent else 1]
        mark = _sums(anchor, weight * self._salt[column], self.ranks.n_ranks)
        first, row = _distinct(mark)
        # One rank of each kind tells of all of them.
        at = np.full(self.ranks.n_ranks, -1, dtype=np.int64)
        at[first] = np.arange(len(first))
        kind_of = at[anchor]
        is_in = kind_of >= 0
        shape = (len(first), int(self.starts[-1]))
        rows = sparse.csr_array((weight[is_in], (kind_of[is_in], column[is_in])), shape=shape)
        return _Doings(row, rows, mark[first], self._count(row, len(first)))

    @cached_property
    def _salt(self) -> Floats:
        return np.asarray(np.random.default_rng(0).random(int(self.starts[-1])))

    def _count(self, row: Ints, n_rows: int) -> Ints:
        """Return how many ranks of each view have each row, shape (number of views, n_rows)."""
        n = np.bincount(self.ranks.kind * n_rows + row, minlength=len(self.views) * n_rows)
        return n.reshape(len(self.views), n_rows)

    def _messages(self, pattern: Pattern) -> tuple[Ints, Ints, Floats]:
        """Return the messages of a pattern in all instances, by the numbers of ranks."""
        shape = self.ranks.shape
        source, target, weight = messages(shape, pattern)
        if self.is_by_rail and pattern.over == "job":
            legs = rail_legs(shape, source, target)
            source, target, weight = legs.source, legs.target, weight[legs.message]
        at = shape.n * np.arange(self.ranks.n_instances)[:, None]
        return (at + source).ravel(), (at + target).ravel(), np.tile(weight, len(at))

    def _all_pairs(self, pattern: Pattern, *, is_sent: bool) -> _Doings:
        """Return what ranks do where each sends to all others of its group: any of a class tells of it."""
        shape = self.ranks.shape
        if self.is_by_rail and pattern.over == "job" and max(shape.sizes) > 1 and shape.n_domains > 1:
            return self._all_pairs_by_rail(is_sent=is_sent)
        groups = tables(shape, pattern)
        table_of, row_of = np.empty((2, shape.n), dtype=np.int64)
        for i, table in enumerate(groups):
            table_of[table], row_of[table] = i, np.arange(len(table))[:, None]
        rows = sparse.lil_array((len(self.views), int(self.starts[-1])))
        for number in range(len(self.views)):
            (rank, *_) = np.flatnonzero(self.ranks.kind == number).tolist()
            instance, place = divmod(rank, shape.n)
            group = groups[table_of[place]][row_of[place]] + instance * shape.n
            mates = group[group != rank]
            if len(mates):
                ends = np.full(len(mates), rank), mates
                column = self._label(*(ends if is_sent else ends[::-1]))[0 if is_sent else 1]
                # The busiest rank, of the largest group, sends one byte.
                weight = 1 / (max(table.shape[1] for table in groups) - 1)
                n = np.bincount(column, minlength=int(self.starts[-1]))
                rows[[number], :] = n[None] * weight
        table = sparse.csr_array(rows)
        mark = np.asarray(table @ self._salt, dtype=np.float64)
        return _Doings(self.ranks.kind, table, mark, np.diag(self.n_of_kind))

    def _all_pairs_by_rail(self, *, is_sent: bool) -> _Doings:
        shape = self.ranks.shape
        g, k = shape.equal(), shape.n_domains
        inside = self._all_pairs(Pattern("pairwise", "domain"), is_sent=is_sent)
        across = self._all_pairs(Pattern("pairwise", "rail"), is_sent=is_sent)
        # To every mate what is its own and what is for its rail; along the rail what the domain sends.
        rows = inside.rows * ((g - 1) * k / (shape.n - 1)) + across.rows * ((k - 1) * g / (shape.n - 1))
        marks = inside.mark * ((g - 1) * k / (shape.n - 1)) + across.mark * ((k - 1) * g / (shape.n - 1))
        return _Doings(inside.row, sparse.csr_array(rows), marks, inside.n_alike)

    def _label(self, source: Ints, target: Ints) -> tuple[Ints, Ints]:
        """Return the columns of messages, as seen from their sources and from their targets."""
        code, radix = self._code(source, target)
        codes, first, inverse = _first_of(code, radix)
        new = [i for i, c in zip(first.tolist(), codes.tolist(), strict=True) if c not in self._columns]
        if new:
            ends = source[new], target[new]
            sent, received = self._columns_of(*ends), self._columns_of(*ends[::-1])
            pairs = zip(sent.tolist(), received.tolist(), strict=True)
            self._columns.update(zip(code[new].tolist(), pairs, strict=True))
        table = np.array([self._columns[c] for c in codes.tolist()], dtype=np.int64).reshape(-1, 2)
        return table[inverse, 0], table[inverse, 1]

    def _code(self, source: Ints, target: Ints) -> tuple[Ints, int]:
        """Return one number for every pair: equal numbers are of pairs that permutations make alike.

        What labels say of a device beside a marked one, they say from its class, from the class of the marked
        one, and from the axes on which the two agree; on a ring, from the places of both.
        """
        n = len(self.views)
        code, radix = self.ranks.kind[source] * n + self.ranks.kind[target], n * n
        packed, fields = self._packed
        differs = packed[source] ^ packed[target]
        for axis in self.order:
            size = self.lift.blueprint.axes[axis].size
            if axis in self.lift.nest.permutations:
                a, b = self.ranks.digits[axis][source], self.ranks.digits[axis][target]
                code, radix = (code * size + a) * size + b, radix * size * size
            else:
                code, radix = 2 * code + ((differs & fields[axis]) == 0), 2 * radix
        if radix >= 2**62:
            msg = "the ranks lie on too many rings for pairs of them to be numbered"
            raise NoSymmetryError(msg)
        return code, radix

    @cached_property
    def _packed(self) -> tuple[Ints, dict[str, int]]:
        """All indices of each rank in one number, and the bits of each axis there."""
        packed, fields, width = np.zeros(self.ranks.n_ranks, dtype=np.int64), {}, 0
        for axis in self.order:
            n_bits = max(self.lift.blueprint.axes[axis].size - 1, 1).bit_length()
            packed |= self.ranks.digits[axis] << width
            fields[axis] = ((1 << n_bits) - 1) << width
            width += n_bits
        return packed, fields

    def _columns_of(self, anchor: Ints, other: Ints) -> Ints:
        """Return the columns of some ranks, each as seen from another one, shape (k,)."""
        found = np.empty(len(anchor), dtype=np.int64)
        for number in np.unique(self.ranks.kind[anchor]).tolist():
            own = np.flatnonzero(self.ranks.kind[anchor] == number)
            home, at = (self._places(ranks[own]) for ranks in (anchor, other))
            label = self._labels(home, at, len(own))
            found[own] = [self._by_label[number][row.tobytes()] for row in label]
        return found

    def _places(self, ranks: Ints) -> dict[str, Ints]:
        return {axis: index[ranks] for axis, index in self.ranks.digits.items()}

    def _labels(self, home: Mapping[str, Ints], at: Mapping[str, Ints], n: int) -> Ints:
        label = labels(self.lift.plain, self.lift.nest, [*self.lift.failed, dict(home)], [dict(at)])
        return np.ascontiguousarray(np.broadcast_to(label[:n], (n, label.shape[1])))

    @cached_property
    def _by_label(self) -> tuple[dict[bytes, int], ...]:
        """For every view the column of each label of ranks."""
        found = []
        for view, classes, start in zip(self.views, self.targets, self.starts.tolist(), strict=False):
            index = [dict(view.quotient.index[i]) for i in classes.tolist()]
            at = {axis: np.array([place[axis] for place in index], dtype=np.int64) for axis in self.order}
            home = {a: np.full(len(index), i) for a, i in view.quotient.index[view.rank]}
            moved = self.lift.marked.moved
            label = (
                self._labels(moved(home), moved(at), len(index))
                if index
                else np.zeros((0, 1), dtype=np.int64)
            )
            found.append({row.tobytes(): start + i for i, row in enumerate(label)})
        return tuple(found)


def _kinds_of_ranks(parts: list[tuple[float, _Doings]], rows_of: list[Ints]) -> tuple[Ints, int]:
    """Return the kind of each rank by its row in every pattern, and how many kinds there are."""
    code, radix = np.zeros_like(rows_of[0]), 1
    for (_, doings), row in zip(parts, rows_of, strict=True):
        n = len(doings.mark)
        # Few combinations of rows are there: they are numbered anew before the next pattern.
        known, _, code = _first_of(code, radix)
        code, radix = code * n + row, len(known) * n
    _, first, code = _first_of(code, radix)
    mark = np.zeros(len(first))
    for (amount, doings), row in zip(parts, rows_of, strict=True):
        mark += amount * doings.mark[row[first]]
    kinds, which = _distinct(mark)
    return which[code], len(kinds)


def _sums(at: Ints, weight: Floats, n: int = 0) -> Floats:
    """Return the sum of the weights at each number, shape (n or more,)."""
    return np.bincount(at, weight, minlength=n).astype(np.float64)


def _distinct(mark: Floats) -> tuple[Ints, Ints]:
    """Return the first of each set of numbers that are equal but for rounding, and the set of each."""
    scale = max(float(np.abs(mark).max(initial=0.0)), 1e-300)
    _, first, which = np.unique((mark / scale).round(9), return_index=True, return_inverse=True)
    return first.astype(np.int64), which.ravel().astype(np.int64)


def _first_of(code: Ints, radix: int) -> tuple[Ints, Ints, Ints]:
    """Return the distinct numbers below `radix`, the first place of each, and the set of every number."""
    if radix > 4 * len(code):
        codes, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        return codes, first, inverse.ravel()
    first_of = np.full(radix, -1, dtype=np.int64)
    first_of[code[::-1]] = np.arange(len(code))[::-1]
    codes = np.flatnonzero(first_of >= 0)
    number = np.zeros(radix, dtype=np.int64)
    number[codes] = np.arange(len(codes))
    return codes, first_of[codes], number[code]


def domain_axes(order: tuple[str, ...], views: Sequence[RankView]) -> frozenset[str]:
    """Return the axes along which ranks of one scale-up domain differ; domains may be of unequal size.

    Parameters
    ----------
    order : tuple of str
        Primitive axes of the ranks.
    views : sequence of RankView

    Raises
    ------
    NoSymmetryError
        If agreeing on the other axes does not tell who is in the same domain.
    """
    axes: set[str] = set()
    others: list[tuple[dict[str, int], dict[str, int], bool]] = []
    for view in views:
        e, index = view.quotient.classes, view.quotient.index
        rules = np.array([r.net == "scale-up" for r in e.rules], dtype=np.bool_)
        rows = rules[e.rule] & (e.alive > 0) if len(rules) else np.zeros(0, np.bool_)
        part = components(e.n_devices, e.tail[rows], e.head[rows])
        for i in np.flatnonzero(view.inside).tolist():
            others.append((dict(index[view.rank]), dict(index[i]), bool(part[i] == part[view.rank])))
    for home, at, is_mate in others:
        axes |= {a for a in order if is_mate and at[a] != home[a]}
    for home, at, is_mate in others:
        if all(at[a] == home[a] for a in order if a not in axes) != is_mate:
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
    every = frozenset(place.order)
    rings = ring_axes(place.blueprint, place.order)
    ties = [Tie(place.group, every, rings)] if rings else []
    agreements = [axes for axes in (domain, every - place.spans) if axes and axes != every]
    return (*ties, *(Tie(place.group, axes) for axes in agreements))
