"""From classes back to every device and link of the expanded form, as seen from each source in turn.

What labels tell of a link, as seen from a source, they tell axis by axis: from the indices of both on that
axis, and from whether they agree on the axes above it. So all links are walked through from all sources at
once, axis by axis, as words that an automaton reads::

    axis       rack                tray                slot
    start --- of the source's --- of the source's --- another ---> class 3
         `--- another ----------- any --------------- any -------> class 7

Nothing here solves anything, and no class is taken for granted: a certificate uses it to add up real links.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Rule
from fabric.blueprint.slowing import parts_of
from fabric.graph import Expanded
from fabric.symmetry.labels import Mark, alike, label_tied, labels, link_keys, pack, pattern_axes
from fabric.symmetry.lifting import Lift
from fabric.symmetry.nesting import Nesting, TiedRange
from fabric.symmetry.quotient import Quotient

_CHUNK = 65_536
Place = Mapping[str, Ints]
"""Index of devices on each primitive axis of their group."""


class Unfolding:
    """All devices and links of a blueprint, with the class of each in the quotients of a question.

    Parameters
    ----------
    lift : Lift
    expanded : Expanded
        The same blueprint.
    """

    def __init__(self, lift: Lift, expanded: Expanded) -> None:
        self.lift, self.expanded = lift, expanded
        self._rows: dict[frozenset[str], list[_Rows]] = {}
        self._origin: Ints | None = None

    def origin(self) -> Ints:
        """Return the base class of every endpoint that is up, shape (n,); -1 for other devices."""
        if self._origin is None:
            e, lift = self.expanded, self.lift
            self._origin = np.full(e.n_devices, -1, dtype=np.int64)
            for number, group in enumerate(lift.blueprint.groups.values()):
                if group.is_endpoint:
                    devices = np.flatnonzero((e.group == number) & ~e.failed)
                    places = self._moved(devices, group.primitives)
                    # Labels by the failures alone, as in the base.
                    rows = labels(lift.plain, lift.nest, lift.failed, [places])[: len(devices)]
                    label_rows, label_of = np.unique(rows, axis=0, return_inverse=True)
                    numbers = [lift.number[group.name][row.tobytes()] for row in label_rows]
                    self._origin[devices] = np.array(numbers, dtype=np.int64)[label_of.ravel()]
        return self._origin

    def device(self, group: int, mark: Mark) -> int:
        """Return the device of a group at `mark`."""
        is_there = self.expanded.group == group
        for axis, i in mark:
            is_there &= self.expanded.coordinates[axis] == i
        (device,) = np.flatnonzero(is_there).tolist()
        return int(device)

    def places(self, devices: Ints, axes: tuple[str, ...]) -> dict[str, Ints]:
        """Return the index in the file of `devices` on primitive axes."""
        return {axis: self.expanded.coordinates[axis][devices] for axis in axes}

    def _moved(self, devices: Ints, axes: tuple[str, ...]) -> Place:
        """Return where `devices` are with alike damage side by side; on axes with all above them."""
        return self.lift.marked.moved(self.places(devices, axes))

    def rows(self, axes: frozenset[str]) -> list[_Rows]:
        """Return all links that are up; those that differ on none of `axes`, nor in labels, are one row."""
        # What is tied to an index of a source is told apart as that is.
        axes = axes.union(*((*tied.starts, *tied.above) for tied in self.lift.nest.tied))
        if axes not in self._rows:
            e, b = self.expanded, self.lift.blueprint
            up = e.alive > 0
            rows = []
            for number, rule in enumerate(b.rules):
                a, z = np.searchsorted(e.rule, [number, number + 1]).tolist()
                bundles = a + np.flatnonzero(up[a:z])
                if len(bundles):
                    rows.append(self._alike(number, bundles, axes, is_turned=False))
                    if rule.is_peer and not rule.is_oneway:
                        rows.append(self._alike(number, bundles, axes, is_turned=True))
            self._rows[axes] = rows
        return self._rows[axes]

    def _alike(self, number: int, bundles: Ints, axes: frozenset[str], *, is_turned: bool) -> _Rows:
        lift, b = self.lift, self.lift.blueprint
        rule = b.rules[number]
        groups = [b.groups[group].primitives for group in rule.groups]
        ends = [self.expanded.tail[bundles], self.expanded.head[bundles]]
        if is_turned:
            groups, ends = groups[::-1], ends[::-1]
        sides = tuple(dict(self._moved(end, group)) for end, group in zip(ends, groups, strict=True))
        pattern = np.zeros(len(bundles), dtype=np.int64)
        for i, p in enumerate(pattern_axes(b, rule)):
            pattern += (sides[0][p] != sides[1][p]) << i
        speed = self._speeds(rule, bundles)
        # Axes that no source is on: what labels say of them is the same from everywhere.
        no_source = replace(lift.nest, order=tuple(p for p in lift.nest.order if p not in axes), tied=())
        constant = labels(lift.plain, no_source, lift.failed, sides)
        columns = [side[p] for side in sides for p in side if p in axes]
        # Links that are equal in all of these look the same from every source: one row is walked for them.
        first, row = alike(np.column_stack([pattern, speed, *columns, *constant[: len(bundles)].T]))
        return _Rows(
            number,
            2 * bundles + is_turned,
            row,
            tuple({p: x[first] for p, x in side.items()} for side in sides),
            pattern[first],
            speed[first],
            is_turned=is_turned,
            is_two_way=not rule.is_peer and not rule.is_oneway,
        )

    def _speeds(self, rule: Rule, bundles: Ints) -> Ints:
        """Return which of the parts of its rate each of some bundles of a rule has."""
        parts = parts_of(self.lift.blueprint)
        # The same product as where the bundles were listed: equal to the last bit.
        rates = rule.rate_gbps * np.array(parts)
        order = np.argsort(rates)
        return np.asarray(order[np.searchsorted(rates[order], self.expanded.rate_gbps[bundles])])


@dataclass(frozen=True, eq=False)
class _Rows:
    """Links of one rule in one way, those once that no source tells apart.

    Parameters
    ----------
    rule : int
    link : ndarray of int64, shape (k,)
        Links of the expanded form, twice the bundle and 1 for the way back.
    row : ndarray of int64, shape (k,)
        Row of each, below p.
    sides : (mapping, mapping)
        Place of the two ends of each row, shape (p,) each.
    pattern, speed : ndarray of int64, shape (p,)
    is_turned : bool
        Whether tails are of the right side of the rule.
    is_two_way : bool
        Whether the way back of each link is of the same class of cables.
    """

    rule: int
    link: Ints
    row: Ints
    sides: tuple[dict[str, Ints], ...]
    pattern: Ints
    speed: Ints
    is_turned: bool
    is_two_way: bool


class AxisView:
    """All links as seen from each source of one class.

    Parameters
    ----------
    unfolding : Unfolding
    view : Quotient
        With one of the sources marked.
    sources : ndarray of int64, shape (s,)
        Devices of one group.
    marks : tuple of mapping of str to ndarray of int64, shape (s,)
        Places of the devices that are marked for each source: itself, and its one target if it has one.
    """

    def __init__(self, unfolding: Unfolding, view: Quotient, sources: Ints, marks: tuple[Place, ...]) -> None:
        self.expanded, self.view, self.sources = unfolding.expanded, view, sources
        self._lift = unfolding.lift
        moved = tuple(map(unfolding.lift.marked.moved, marks))
        self._parts = [
            _project(rows, moved, len(sources), unfolding.lift.nest)
            for rows in unfolding.rows(frozenset().union(*marks))
        ]

    @property
    def n_pairs(self) -> int:
        """Sources times links that are looked at, alike ones once."""
        return sum(len(part.n_alike) * len(part.rows.pattern) for part in self._parts)

    @cached_property
    def _walks(self) -> list[_Walk]:
        return [_Walk(self._lift, part.rows, part.marks, self.view.keys) for part in self._parts]

    def seen(self, source: int) -> Ints:
        """Return the class of every link as seen from a device of `sources`, shape (2 * m,); -1 for none."""
        at = int(np.flatnonzero(self.sources == source)[0])
        classes = np.full(2 * self.expanded.n_bundles, -1, dtype=np.int64)
        for part, walk in zip(self._parts, self._walks, strict=True):
            position = int(part.source[at])
            bundle = walk.bundle[walk.states(slice(position, position + 1))[0][part.rows.row]]
            for way in range(1 + part.rows.is_two_way):
                classes[part.rows.link + way] = np.where(bundle >= 0, 2 * bundle + way, -1)
        return classes

    def total(self, amount: Floats) -> Floats:
        """Return the sum, over all sources, of the `amount` of the class of every link.

        Parameters
        ----------
        amount : ndarray of float64
            For every directed link of the view.

        Returns
        -------
        ndarray of float64, shape (2 * m,)
        """
        sums = np.zeros(2 * self.expanded.n_bundles)
        for part, walk in zip(self._parts, self._walks, strict=True):
            rows = part.rows
            worth = [np.append(amount[way::2], 0.0)[walk.bundle] for way in range(1 + rows.is_two_way)]
            # Sources by chunks, which keeps the table of states small.
            step = max(1, _CHUNK // len(rows.pattern))
            for a in range(0, len(part.n_alike), step):
                state = walk.states(slice(a, a + step))
                n = part.n_alike[a : a + step]
                # No step depends on the source: one line of states stands for all, which are counted at once.
                if len(state) < len(n):
                    n = n.sum(keepdims=True)
                for way, of_way in enumerate(worth):
                    sums[rows.link + way] += (n @ of_way.take(state))[rows.row]
        return sums


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows, and the sources on their axes: those that agree there are one.

    Parameters
    ----------
    rows : _Rows
    marks : tuple of mapping of str to ndarray of int64, shape (t,)
    n_alike : ndarray of float64, shape (t,)
    source : ndarray of int64, shape (s,)
        Which of them each source is.
    """

    rows: _Rows
    marks: tuple[Place, ...]
    n_alike: Floats
    source: Ints


def _project(rows: _Rows, marks: tuple[Place, ...], n_sources: int, nest: Nesting) -> _Part:
    axes = frozenset().union(*rows.sides)
    axes = axes.union(*((*tied.starts, *tied.above) for tied in nest.tied if axes.intersection(tied.starts)))
    on_axes = [{p: x for p, x in mark.items() if p in axes} for mark in marks]
    columns = [np.zeros(n_sources, dtype=np.int64), *(x for mark in on_axes for x in mark.values())]
    # Sources that agree on every axis of the rule see its rows alike.
    first, source = alike(np.column_stack(columns))
    distinct_marks = tuple({p: x[first] for p, x in mark.items()} for mark in on_axes)
    return _Part(rows, distinct_marks, np.bincount(source).astype(np.float64), source)


@dataclass(frozen=True, eq=False)
class _AxisLabels:
    """What labels say of rows on one axis, from sources in every position.

    Parameters
    ----------
    source : ndarray of int64, shape (s,) or (1,)
        Position of every source on the axis, below s'.
    row : ndarray of int64, shape (p,)
        Kind of every row, below p'.
    columns : ndarray of int64, shape (2**c, s', p', w)
        Labels, by which of the c marks of `near` are near.
    near : tuple of int
        Marks on the axis, where there are axes above it.
    agree : ndarray of bool, shape (number of marks, s', p')
        Whether rows have the index of a mark.
    """

    source: Ints
    row: Ints
    columns: Ints
    near: tuple[int, ...]
    agree: Bools


class _Walk:
    """An automaton that reads what is told of a row axis by axis, and ends in its bundle of a view.

    Its states are prefixes of the keys of the view, with the axes on which the row agrees with a mark.
    """

    def __init__(self, lift: Lift, rows: _Rows, marks: tuple[Place, ...], keys: Ints) -> None:
        self._lift, self._rows, self._marks = lift, rows, marks
        rule = lift.blueprint.rules[rows.rule]
        none = np.zeros((len(rows.pattern), 0), dtype=np.int64)
        front = link_keys(rule, rows.rule, none, rows.pattern, rows.speed, is_turned=rows.is_turned)
        column = front.shape[1]
        bundles = np.flatnonzero(keys[:, 0] == rows.rule)
        # Prefixes of the keys by number; one number more is for what no key begins with.
        prefix, self._start, n = _number_keys(keys[bundles, :column], front)
        order = [a for a in lift.nest.order if any(a in side for side in rows.sides)]
        steps = []
        for axis in order if len(bundles) else ():
            axis_labels = self._read_axis(axis)
            steps.append((axis, axis_labels, keys[bundles, column : column + axis_labels.columns.shape[-1]]))
            column += axis_labels.columns.shape[-1]
        for tied in lift.nest.tied if len(bundles) else ():
            tied_labels = self._read_tied(tied)
            if tied_labels is not None:
                # It depends on no axis that was read before.
                width = tied_labels.columns.shape[-1]
                steps.append((order[0], tied_labels, keys[bundles, column : column + width]))
                column += width
        # First those that say the same to all sources, which are worked out once.
        steps.sort(key=lambda t: len(t[1].source) > 1)
        # A state is (prefix, bits of the marks that agree so far); state n is the dead one.
        states = np.column_stack([np.arange(n + 1), np.zeros(n + 1, dtype=np.int64)])
        self._steps: list[tuple[Ints, Ints, Ints]] = []
        for axis, axis_labels, part in steps:
            states, prefix, n = self._add(axis, axis_labels, part, states, prefix, n)
        bundle = np.full(n + 1, -1, dtype=np.int64)
        # At the end of its walk a prefix is a whole key, and a key is one bundle of the view.
        bundle[prefix] = bundles
        self.bundle = bundle[states[:, 0]]

    def states(self, part: slice) -> Ints:
        """Return the last state of every row from some sources, shape (s, p) or (1, p)."""
        at = self._start[None]
        # A transition is one look-up in a flat table: row of the state plus the symbol that is read.
        for source, symbols, after in self._steps:
            at = after.take(at + symbols[source if len(source) == 1 else source[part]])
        return at

    def _read_axis(self, axis: str) -> _AxisLabels:
        nest, marks = self._lift.nest, self._marks
        above = nest.above[axis]
        ends = [side for side in self._rows.sides if axis in side]
        first, row = alike(np.column_stack([side[p] for side in ends for p in (axis, *above)]))
        on = [m for m, mark in enumerate(marks) if axis in mark]
        positions, source = np.zeros((2, 1), dtype=np.int64)
        if on:
            positions, source = alike(np.column_stack([marks[m][axis] for m in on]))
        n = len(positions) * len(first)
        sides = [{p: np.tile(side[p][first], len(positions)) for p in (axis, *above)} for side in ends]
        index = {m: np.repeat(marks[m][axis][positions], len(first)) for m in on}
        near = tuple(on) if above else ()
        columns = []
        for choice in range(2 ** len(near)):
            # A mark is near a row where it has the row's indices on all axes above, far where it has none.
            upper = [sides[0][p] for p in above], [np.full(n, -1)] * len(above)
            placed: list[Mapping[str, int | tuple[int, int] | Ints]] = [
                *self._lift.failed,
                *({} for _ in marks),
            ]
            for i, m in enumerate(on):
                placed[len(self._lift.failed) + m] = {
                    axis: index[m],
                    **dict(zip(above, upper[not choice >> i & 1], strict=True)),
                }
            one_axis = replace(nest, order=(axis,), tied=())
            columns.append(
                labels(self._lift.plain, one_axis, cast(list[Mapping[str, Ints]], placed), sides)[:n]
            )
        agree = np.zeros((len(marks), n), dtype=np.bool_)
        for m in on:
            agree[m] = index[m] == sides[0][axis]
        shape = len(positions), len(first)
        return _AxisLabels(
            source,
            row,
            np.reshape(columns, (len(columns), *shape, -1)),
            near,
            agree.reshape(-1, *shape),
        )

    def _read_tied(self, tied: TiedRange) -> _AxisLabels | None:
        """Return what labels say of rows by their parts of a tied range, or None where they are in none."""
        axes = (*tied.above, *tied.starts)
        sides = [{p: side[p] for p in axes if p in side} for side in self._rows.sides]
        columns = [x for side in sides if tied.starts.keys() & side for x in side.values()]
        if not columns:
            return None
        first, row = alike(np.column_stack(columns))
        marks = [{p: mark[p] for p in axes if p in mark} for mark in self._marks]
        positions, source = np.zeros((2, 1), dtype=np.int64)
        if any(marks):
            positions, source = alike(np.column_stack([x for mark in marks for x in mark.values()]))
        n = len(positions) * len(first)
        placed = [{p: np.repeat(x[positions], len(first)) for p, x in mark.items()} for mark in marks]
        ends = [{p: np.tile(x[first], len(positions)) for p, x in side.items()} for side in sides]
        told = np.column_stack(label_tied(tied, [*self._lift.failed, *placed], ends))[:n]
        shape = len(positions), len(first)
        nowhere = np.zeros((len(marks), *shape), dtype=np.bool_)
        return _AxisLabels(source, row, told.reshape(1, *shape, -1), (), nowhere)

    def _add(
        self, axis: str, axis_labels: _AxisLabels, keys: Ints, states: Ints, prefix: Ints, n: int
    ) -> tuple[Ints, Ints, int]:
        """Add the step of an axis, and return the states and the prefixes of the keys after it."""
        order, above = self._lift.nest.order, self._lift.nest.above[axis]
        n_choices, *shape, width = axis_labels.columns.shape
        key_number, code, n_codes = _number_keys(keys, axis_labels.columns.reshape(-1, width))
        # Sources and rows that are alike whichever marks are near give one symbol.
        agreement = axis_labels.agree.reshape(len(axis_labels.agree), math.prod(shape)).astype(np.int64)
        read = np.concatenate([code.reshape(n_choices, -1), agreement]).T
        # The alphabet: what can be read on this axis, by any source and row.
        first, symbol = alike(read)
        read = read[first]
        bits = [m * len(order) + order.index(axis) for m in range(len(axis_labels.agree))]
        # One bit for each mark and axis, set once the row agrees with the mark there.
        bit = (read[:, n_choices:] << np.array(bits, dtype=np.int64)).sum(axis=1)
        choice = np.zeros(len(states), dtype=np.int64)
        for i, m in enumerate(axis_labels.near):
            # A mark is near where it agreed on every axis above: then the labels of that choice are read.
            wanted = sum(1 << m * len(order) + order.index(a) for a in above)
            choice |= (states[:, 1] & wanted == wanted).astype(np.int64) << i
        # The tree of prefixes; what leads out of it stays out.
        reached, number = np.unique(prefix * (n_codes + 1) + key_number, return_inverse=True)
        tree = np.full((n + 1) * (n_codes + 1), len(reached), dtype=np.int64)
        tree[reached] = np.arange(len(reached))
        # Every state with every symbol: the product that is cut down to distinct states below.
        end = tree[states[:, :1] * (n_codes + 1) + read[:, choice].T]
        mask = np.where(end < len(reached), states[:, 1:] | bit, 0)
        all_states = np.column_stack([end.ravel(), mask.ravel()])
        first_state, after = alike(all_states)
        if self._steps:
            # States are numbered by where their transitions begin.
            self._steps[-1][2][:] *= len(first)
        else:
            self._start = self._start * len(first)
        symbols = symbol.reshape(shape)[:, axis_labels.row]
        self._steps.append((axis_labels.source, symbols, after))
        return all_states[first_state], number.ravel().astype(np.int64), len(reached)


def _number_keys(known: Ints, rows: Ints) -> tuple[Ints, Ints, int]:
    """Return numbers of known rows, of other rows, and how many; rows like no known one have that number."""
    code, _ = pack(np.concatenate([known, rows]))
    keys, number = np.unique(code[: len(known)], return_inverse=True)
    place = np.searchsorted(keys, code[len(known) :])
    is_known = np.append(keys, -1)[place] == code[len(known) :]
    return number.ravel().astype(np.int64), np.where(is_known, place, len(keys)).astype(np.int64), len(keys)
