"""Who sends to whom by how their places differ: all of a pattern that no relabelling of axes changes.

Two ranks differ on each axis not at all, or, on a ring, by some places one way round, or else just so. A
pattern among a million ranks is then a short row: what a rank sends to, or receives from, others by their
difference::

    ring of 3 pods x 4 racks     pod rack
                                  .    x     9 of 12 messages go to another rack of the pod
                                  x    x     3 of 12 go on to a rack of the next pod

Ranks have different rows, here two: those at the end of a pod, and the others. A link that several ranks use
carries the sum of their rows: a *block* of ranks is those that agree on some axes, such as the GPUs of a NIC,
and its row is that sum. One rank is the block that agrees on all axes, and all ranks are the one on none.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.remembered import remembered
from fabric.schedule.patterns import edges, unrotated
from fabric.schedule.tree import Pattern

Difference = tuple[int, ...]
"""On each axis of the ranks: 0 not at all; on a ring, by so many places; 1 elsewhere."""

Mix = Sequence[tuple[Pattern, float]]
"""Patterns that run at once, and what the busiest rank sends or receives in each."""

MAX_BLOCKS = 4_000_000
"""Blocks that are followed from pattern to pattern; of more, the busiest of each count as the same."""

MAX_KINDS = 64
"""Different rows of blocks that are told apart; of more, those of blocks with as much to do are averaged."""

# Rows of blocks that are kept, as every view of a rank asks for them, and messages of patterns.
_KEPT, _KEPT_EDGES = 256, 8


@dataclass(frozen=True, eq=False)
class RankPlaces:
    """How the ranks of a job lie on axes.

    Parameters
    ----------
    order : tuple of str
        Primitive axes, outermost first; their product are the ranks of all instances.
    size : dict of str to int
        Indices of each axis that the job takes up.
    rings : frozenset of str
        Axes on which places count.
    spans : frozenset of str
        Axes of one instance.
    domain : frozenset of str
        Axes along which ranks of one scale-up domain differ.
    n_alike : dict of tuple to float
        For each difference, the ranks that differ so from any one.
    relayed : ndarray of bool, shape (number of differences,), optional
        Messages of which differences go to the right rail first: inside the domain of the sender to the rank
        with the place of the receiver, and from there on its rail.
    """

    order: tuple[str, ...]
    size: dict[str, int]
    rings: frozenset[str]
    spans: frozenset[str]
    domain: frozenset[str]
    n_alike: dict[Difference, float]
    relayed: Bools | None = None
    _digits: dict[tuple[str, ...], list[Ints]] = field(default_factory=dict)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """All differences, in the order of columns."""
        return tuple(d for d in self.n_alike if any(d))

    @cached_property
    def mates(self) -> Bools:
        """Which differences are those of ranks of one scale-up domain."""
        inside = np.array([axis in self.domain for axis in self.order], dtype=np.bool_)
        return np.array([not any(np.array(d)[~inside]) for d in self.differences], dtype=np.bool_)

    @cached_property
    def column(self) -> dict[Difference, int]:
        """The column of each difference."""
        return {d: i for i, d in enumerate(self.differences)}

    @property
    def n_ranks(self) -> int:
        """Ranks of all instances."""
        return math.prod(self.size.values())

    def axes(self, pattern: Pattern) -> tuple[str, ...]:
        """Return the axes along which ranks of one group of `pattern` differ, outermost first."""
        if pattern.over == "axis":
            return (pattern.axis,)
        across = tuple(a for a in self.order if a in self.spans - self.domain)
        inside = tuple(a for a in self.order if a in self.spans & self.domain)
        return {"job": across + inside, "rail": across, "domain": inside}[pattern.over]

    def mean(self, mix: Mix) -> Floats:
        """Return what a rank sends on average, shape (number of differences,)."""
        return np.asarray(self.blocks(mix, frozenset(), is_sent=True)[0] / self.n_ranks)

    def kinds(self, mix: Mix, *, is_sent: bool) -> Floats:
        """Return the different rows of ranks, shape (k, number of differences)."""
        return self.blocks(mix, frozenset(self.order), is_sent=is_sent)

    def blocks(self, mix: Mix, pinned: frozenset[str], *, is_sent: bool) -> Floats:
        """Return the different rows of blocks, shape (k, number of differences).

        Parameters
        ----------
        mix : sequence of (Pattern, float)
            Patterns among ranks that run at once, and what the busiest sends or receives in each.
        pinned : frozenset of str
            Axes on which the ranks of a block agree.
        is_sent : bool
            Whether it is what they send, or what they receive.
        """
        return self._blocks(tuple(mix), pinned, is_sent)

    @remembered(_KEPT)
    def _blocks(
        self, mix: tuple[tuple[Pattern, float], ...], pinned: frozenset[str], is_sent: bool
    ) -> Floats:
        parts = [part for pattern, amount in mix for part in self._parts(pattern, amount)]
        rows = np.zeros((1, len(self.differences)))
        for joint in self._joint(parts, pinned):
            joint_rows = self._joint_rows(joint, pinned, is_sent=is_sent)
            # What a block does in one joint tells nothing of the next: each row goes with each.
            rows = (rows[:, None] + joint_rows[None]).reshape(-1, rows.shape[1])
        return rows

    def _parts(self, pattern: Pattern, amount: float) -> list[tuple[Pattern, float]]:
        """Return a pattern as patterns that have members of their own; rings that turn are several."""
        if pattern.kind != "rotated-rings":
            return [(pattern, amount)]
        g, k = (
            math.prod(self.size[a] for a in self.axes(Pattern("ring", over))) for over in ("domain", "rail")
        )
        return [(part, amount * share) for part, share in unrotated(g, k)]

    def _joint(self, mix: Mix, pinned: frozenset[str]) -> list[list[tuple[Pattern, float]]]:
        """Return patterns by what a block does in one of them tells of another; of a million blocks, none."""
        joints: list[tuple[set[str], list[tuple[Pattern, float]]]] = []
        for pattern, amount in mix:
            # Patterns along a common axis that tells blocks apart belong together.
            axes = {a for a in self.axes(pattern) if a in pinned and self.size[a] > 1}
            meets = [i for i, (joint_axes, _) in enumerate(joints) if joint_axes & axes]
            union = axes.union(*(joints[i][0] for i in meets))
            if math.prod(self.size[a] for a in union) > MAX_BLOCKS:
                meets, union = [], axes
            merged = [part for i in meets for part in joints[i][1]]
            apart = [joint for i, joint in enumerate(joints) if i not in meets]
            joints = [*apart, (union, [*merged, (pattern, amount)])]
        return [parts for _, parts in joints]

    def _joint_rows(self, mix: Mix, pinned: frozenset[str], *, is_sent: bool) -> Floats:
        """Return the different rows of blocks in all patterns of a mix."""
        if len(mix) == 1:
            ((pattern, amount),) = mix
            return np.asarray(amount * self._pattern_rows(pattern, pinned, is_sent=is_sent)[0])
        each_part = [
            (amount, *self._pattern_rows(p, pinned, is_sent=is_sent, is_listed=True)) for p, amount in mix
        ]
        salt = np.random.default_rng(1).random(len(self.differences))
        shape = np.broadcast_shapes(*(kind.shape for *_, kind in each_part))
        label = np.zeros(shape)
        for amount, rows, kind in each_part:
            label = label + (amount * (rows @ salt))[kind]
        # Blocks are told apart by one random combination of what they do.
        scale = max(float(np.abs(label).max()), 1e-300)
        _, first = np.unique((label / scale).round(9), return_index=True)
        return np.asarray(
            sum(
                amount * rows[np.broadcast_to(kind, shape).ravel()[first]] for amount, rows, kind in each_part
            )
        )

    def _pattern_rows(
        self, pattern: Pattern, pinned: frozenset[str], *, is_sent: bool, is_listed: bool = False
    ) -> tuple[Floats, Ints]:
        """Return the rows of blocks in one pattern, and which of them each block has if that `is_listed`.

        Returns
        -------
        ndarray of float64, shape (k, number of differences)
        ndarray of int64
            With an axis for each axis of the ranks, of one place where all blocks are alike.
        """
        axes = self.axes(pattern)
        beside = math.prod(self.size[a] for a in self.order if a not in axes and a not in pinned)
        alike = np.zeros((1,) * len(self.order), dtype=np.int64)
        if all(self.size[a] == 1 for a in axes):
            return np.zeros((1, len(self.differences))), alike
        # All pairs: a rank sends alike to all of its group, whatever the block.
        if pattern.kind == "pairwise":
            every = self.alike(axes)
            n_together = math.prod(self.size[a] for a in axes if a not in pinned)
            return (beside * n_together / every.sum() * (self.legs.T @ every))[None], alike
        # A shift by carrying digit by digit; its messages are listed only if other patterns run beside it.
        if pattern.kind in ("ring", "shift") and not is_listed:
            by = pattern.by if pattern.kind == "shift" else 1
            rows = self._shift_rows(axes, by, pinned)
            if self.relayed is None or not rows[:, self.relayed].any():
                return np.asarray(beside * rows), alike
        rows, kind = self._edge_rows(pattern, axes, pinned, is_sent=is_sent)
        # Members are numbered along the axes of the pattern, blocks along those of the ranks.
        block_axes = [a for a in axes if a in pinned]
        kind = kind.reshape([self.size[a] for a in block_axes])
        kind = kind.transpose([block_axes.index(a) for a in self.order if a in block_axes])
        return np.asarray(beside * rows), kind.reshape(
            [self.size[a] if a in block_axes else 1 for a in self.order]
        )

    def alike(self, axes: tuple[str, ...]) -> Floats:
        """Return the ranks at each difference along some axes, shape (number of differences,)."""
        is_in = [a in axes for a in self.order]
        return np.array(
            [
                self.n_alike[d] * all(is_along for is_along, places in zip(is_in, d, strict=True) if places)
                for d in self.differences
            ]
        )

    def opposite(self, difference: Difference) -> Difference:
        """Return how b differs from a, where a differs from b by `difference`."""
        return tuple(
            self._entry(a, -places) if places else 0 for a, places in zip(self.order, difference, strict=True)
        )

    @cached_property
    def legs(self) -> sparse.csr_array:
        """The ways of messages, shape (differences, differences).

        Row d has a 1 for every leg: inside the domain, and on the rail, where these are two.
        """
        row, column = [], []
        for i, difference in enumerate(self.differences):
            legs = [difference]
            if self.relayed is not None and self.relayed[i]:
                legs = [
                    tuple(
                        p if (a in self.domain) is is_inside else 0
                        for a, p in zip(self.order, difference, strict=True)
                    )
                    for is_inside in (True, False)
                ]
            for leg in filter(any, legs):
                row.append(i)
                column.append(self.column[leg])
        shape = (len(self.differences),) * 2
        return sparse.csr_array((np.ones(len(row)), (row, column)), shape=shape)

    def _entry(self, axis: str, places: int) -> int:
        """Return how a difference by some places, not a multiple of the size, is told on an axis."""
        return places % self.size[axis] if axis in self.rings else 1

    def _shift_rows(self, axes: tuple[str, ...], by: int, pinned: frozenset[str]) -> Floats:
        """Return the rows of a shift: the sum is carried from axis to axis, the last first.

        What ranks receive has the same rows, as a shift back carries as often.
        """
        shift = by % math.prod(self.size[a] for a in axes)
        # How many ranks of a block carry on, and how they differ so far from those they send to.
        none: Difference = (0,) * len(self.order)
        blocks: set[frozenset[tuple[tuple[int, Difference], int]]] = {frozenset({((0, none), 1)})}
        for axis in reversed(axes):
            n, at = self.size[axis], self.order.index(axis)
            shift, digit = divmod(shift, n)
            # At the last places of the axis all carry, before them those to whom something is carried.
            firsts_to_carry = [c for c, places in ((0, digit), (1, 1), (2, n - digit - 1)) if places]
            carried = set()
            for block, first in itertools.product(blocks, firsts_to_carry if axis in pinned else [0]):
                count: dict[tuple[int, Difference], int] = {}
                for (carry, so_far), n_alike in block:
                    # A place of the axis: the digit of the shift and the carry from the axes inside.
                    places = digit + carry
                    entry = self._entry(axis, places) if places % n else 0
                    difference = (*so_far[:at], entry, *so_far[at + 1 :])
                    # A pinned block carries as its place says; over a free axis n - places of n do not.
                    onward = {int(carry >= first): 1} if axis in pinned else {0: n - places, 1: places}
                    for carries, alike in onward.items():
                        if alike:
                            key = (carries, difference)
                            count[key] = count.get(key, 0) + n_alike * alike
                carried.add(frozenset(count.items()))
            blocks = carried
        rows = np.zeros((len(blocks), len(self.differences)))
        for row, block in zip(rows, blocks, strict=True):
            for (_, difference), n_alike in block:
                if any(difference):
                    row[self.column[difference]] += n_alike
        return np.unique(rows, axis=0)

    def _edge_rows(
        self, pattern: Pattern, axes: tuple[str, ...], pinned: frozenset[str], *, is_sent: bool
    ) -> tuple[Floats, Ints]:
        """Return the rows of a pattern by all of its messages in one group, and that of each block."""
        source, target, column, weight = self._messages(pattern, axes)
        fixed = [self.size[a] if a in pinned else 1 for a in axes]
        # The place of a rank is counted along the pinned axes alone.
        block = np.arange(math.prod(fixed)).reshape(fixed)
        block_of_message = np.broadcast_to(block, [self.size[a] for a in axes]).ravel()[
            source if is_sent else target
        ]
        shape = (math.prod(fixed), len(self.differences))
        return _rows(block_of_message, column, weight, shape)

    @remembered(_KEPT_EDGES)
    def _messages(self, pattern: Pattern, axes: tuple[str, ...]) -> tuple[Ints, Ints, Ints, Floats]:
        """Return source, target, column and weight of the messages of a pattern in one group, leg by leg."""
        sizes = [self.size[a] for a in axes]
        messages = edges(pattern.kind, math.prod(sizes), pattern.by)
        source, target, weight = messages.source, messages.target, messages.weight
        column = self._columns(axes, source, target)
        if self.relayed is None or not self.relayed[column].any():
            return source, target, column, weight
        ends = (np.unravel_index(end, sizes) for end in (source, target))
        place = [b if axis in self.domain else a for axis, a, b in zip(axes, *ends, strict=True)]
        relay = np.ravel_multi_index(place, sizes)
        changes = self.relayed[column] & (relay != source) & (relay != target)
        source, target = (
            np.concatenate(pair)
            for pair in (
                (np.where(changes, relay, source), source[changes]),
                (target, relay[changes]),
            )
        )
        return source, target, self._columns(axes, source, target), np.append(weight, weight[changes])

    def _columns(self, axes: tuple[str, ...], source: Ints, target: Ints) -> Ints:
        """Return the columns of the differences between members of one group, shape (k,)."""
        if axes not in self._digits:
            shape = [self.size[a] for a in axes]
            every = np.arange(math.prod(shape))
            ends = np.unravel_index(every, shape)
            # Narrow numbers: a million ranks are compared on every axis.
            self._digits[axes] = [d.astype(np.min_scalar_type(-n)) for d, n in zip(ends, shape, strict=True)]
        digits = dict(zip(axes, self._digits[axes], strict=True))
        # A difference as one number in mixed radix: places on a ring, else 0 or 1.
        radix = [self.size[a] if a in self.rings else 2 for a in self.order]
        code = np.zeros(len(source), dtype=np.min_scalar_type(-math.prod(radix)))
        for axis, n in zip(self.order, radix, strict=True):
            code *= n
            if axis not in digits:
                continue
            a, b = digits[axis][source], digits[axis][target]
            if axis in self.rings:
                code += ((b.astype(np.int64) - a) % n).astype(code.dtype)
            else:
                code += a != b
        known = np.zeros(math.prod(radix), dtype=np.int64)
        known[np.ravel_multi_index(np.array(self.differences).T, radix)] = np.arange(len(self.differences))
        return known[code]


def _rows(block: Ints, column: Ints, weight: Floats, shape: tuple[int, int]) -> tuple[Floats, Ints]:
    """Return the different rows of what m blocks send, or receive, in n columns, and the row of each."""
    m, n = shape
    # Rows are told apart by one random combination of their columns.
    salt = np.random.default_rng(0).random(n)
    label = np.bincount(block, weight * salt[column], minlength=m).round(9)
    values = np.unique(label)
    if len(values) > MAX_KINDS:
        # Too many kinds: blocks that send as much in all are averaged.
        label = np.bincount(block, weight, minlength=m).round(9)
        values = np.unique(label)
    kind = np.searchsorted(values, label)
    sums = np.bincount(kind[block] * n + column, weight, minlength=len(values) * n)
    return sums.reshape(-1, n) / np.bincount(kind)[:, None], kind
