"""The expanded form: every device and every cable bundle of a fabric as flat arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.census import census
from fabric.blueprint.grid import Grid, full_grid
from fabric.blueprint.join import join_parts
from fabric.blueprint.model import Blueprint, Kind, MarkedCables, Net, Selector, Transit
from fabric.blueprint.remembered import remembered
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.slowing import by_part, parts_of
from fabric.errors import LimitError

EXPAND_LIMIT = 2_500_000
"""Cable bundles (joined pairs) and devices that are listed unless a caller allows more."""


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """What the devices of one group have in common; see `fabric.blueprint.model.DeviceGroup`."""

    name: str
    kind: Kind | str
    part: str
    transit: Transit
    is_endpoint: bool
    axes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What the cables of one rule have in common; see `fabric.blueprint.model.Rule`."""

    name: str
    net: Net
    is_peer: bool
    is_oneway: bool
    medium: str = ""
    protocol: str = ""
    length_m: float | None = None
    key: Hashable = None


@dataclass(frozen=True, eq=False)
class Expanded:
    """A fabric as arrays; all of them read-only.

    Parameters
    ----------
    name : str
    groups : tuple of GroupInfo
    rules : tuple of RuleInfo
    group : ndarray of int32, shape (n,)
        ``group[v]`` is the group of device v.
    tail, head : ndarray of int64, shape (m,)
        Lower and upper device of each cable bundle; source and target where the rule is one-way.
    rule : ndarray of int32, shape (m,)
        Index into `rules`; rows of one rule are contiguous and ascending.
    rate_gbps : ndarray of float64, shape (m,)
        Per cable and direction [Gb/s]. Where cables of one pair run at several rates, each is a bundle.
    count : ndarray of int64, shape (m,)
        Parallel cables of the bundle.
    failed_count : ndarray of int64, shape (m,)
        How many of them are down, 0 to count; failed devices are in `failed`.
    failed : ndarray of bool, shape (n,)
        Devices that are down.
    names : sequence of hashable
        ``names[v]`` is the name of device v, made when asked for.
    coordinates : mapping of str to ndarray of int64, shape (n,)
        Index of every device on every axis that its group is placed on; -1 elsewhere. Made when asked for.
    """

    name: str
    groups: tuple[GroupInfo, ...]
    rules: tuple[RuleInfo, ...]
    group: npt.NDArray[np.int32]
    tail: Ints
    head: Ints
    rule: npt.NDArray[np.int32]
    rate_gbps: Floats
    count: Ints
    failed_count: Ints
    failed: Bools
    names: Sequence[Hashable]
    coordinates: Mapping[str, Ints]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for array in (
            self.group,
            self.tail,
            self.head,
            self.rule,
            self.rate_gbps,
            self.count,
            self.failed_count,
        ):
            array.setflags(write=False)
        self.failed.setflags(write=False)

    @property
    def n_devices(self) -> int:
        """Number of devices, failed ones included."""
        return len(self.group)

    @property
    def n_bundles(self) -> int:
        """Number of joined pairs; each may be several cables."""
        return len(self.tail)

    @property
    def n_cables(self) -> int:
        """Number of physical cables, failed ones included."""
        return int(self.count.sum())

    @property
    def is_endpoint(self) -> Bools:
        """Devices where traffic starts and ends, shape (n,)."""
        return np.array([g.is_endpoint for g in self.groups], dtype=np.bool_)[self.group]

    @property
    def alive(self) -> Ints:
        """Cables of each bundle that carry traffic, shape (m,)."""
        down = self.failed[self.tail] | self.failed[self.head]
        return np.where(down, 0, self.count - self.failed_count)


def let_forward(expanded: Expanded, who: Bools) -> Expanded:
    """Return the fabric with some devices, or classes of devices, forwarding anything.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    who : ndarray of bool, shape (n,)

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}}, islands: 2}"
    >>> e = let_forward(expand(loads_blueprint(text)), np.array([False, True]))
    >>> [e.groups[g].transit for g in e.group]
    ['end', 'all']
    """
    groups, group = list(expanded.groups), expanded.group
    # A group that is freed in part is split: its freed devices become a group of their own.
    for number in np.unique(expanded.group[who]).tolist():
        info = replace(groups[number], transit="all")
        if who[expanded.group == number].all():
            groups[number] = info
        else:
            group = np.where(who & (expanded.group == number), len(groups), group).astype(np.int32)
            groups.append(info)
    return replace(expanded, groups=tuple(groups), group=group)


class DeviceNames(Sequence[Hashable]):
    """Names of the devices of a blueprint, made one by one when asked for.

    Parameters
    ----------
    grid : Grid
        The full grid.
    groups : tuple of str
    first : ndarray of int64, shape (number of groups + 1,)
        First device of each group, ascending, and the number of devices.
    rows : ndarray of int64, shape (n,)
        Row of each device on the grid of its group.
    """

    def __init__(self, grid: Grid, groups: tuple[str, ...], first: Ints, rows: Ints) -> None:
        self._grid, self._groups, self._first, self._rows = grid, groups, first, rows

    def __len__(self) -> int:
        """Return the number of devices."""
        return len(self._rows)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        """Return the name of device `index`."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        group = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._grid.name(self._groups[group], int(self._rows[index]))

    def all(self) -> list[str]:
        """Return every name, much faster than one by one."""
        names: list[str] = []
        for i, group in enumerate(self._groups):
            rows = self._rows[self._first[i] : self._first[i + 1]]
            names += group_names(self._grid, group, rows)
        return names


class Coordinates(Mapping[str, Ints]):
    """Index of every device on every axis, composed and primitive, each made when it is first asked for.

    Parameters
    ----------
    grid : Grid
        The full grid.
    rows : mapping of str to ndarray of int64
        Rows of the devices of each group on the grid, in the order of the devices.
    """

    def __init__(self, grid: Grid, rows: Mapping[str, Ints]) -> None:
        self._grid, self._rows = grid, rows
        self._columns: dict[str, Ints] = {}

    def __getitem__(self, axis: str) -> Ints:
        """Return the index of every device on `axis`, -1 where its group is not placed on it."""
        if axis not in self._columns:
            primitives = set(self._grid.blueprint.primitives(axis))
            columns = [
                self._grid.index(group, rows, axis)
                if primitives <= set(self._grid.blueprint.groups[group].primitives)
                else np.full(len(rows), -1, dtype=np.int64)
                for group, rows in self._rows.items()
            ]
            column = np.concatenate([np.zeros(0, np.int64), *columns])
            column.setflags(write=False)
            self._columns[axis] = column
        return self._columns[axis]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the axes in the order of the blueprint."""
        return iter(self._grid.blueprint.axes)

    def __len__(self) -> int:
        """Return the number of axes."""
        return len(self._grid.blueprint.axes)


def group_names(grid: Grid, group: str, rows: Ints) -> list[str]:
    """Return the names of `rows` of `group`."""
    axes = grid.blueprint.groups[group].axes
    if not axes:
        return [group] * len(rows)
    columns = [[f"{axis}{i}" for i in range(grid.blueprint.axes[axis].size)] for axis in axes[:-1]]
    columns.append([f"{group}{i}" for i in range(grid.blueprint.axes[axes[-1]].size)])
    indices = [grid.index(group, rows, axis).tolist() for axis in axes]
    words = [[column[i] for i in index] for column, index in zip(columns, indices, strict=True)]
    return ["/".join(parts) for parts in zip(*words, strict=True)]


def expand(blueprint: Blueprint, *, limit: int = EXPAND_LIMIT) -> Expanded:
    """List every device and every cable bundle.

    Parameters
    ----------
    blueprint : Blueprint
    limit : int
        Refuse to list more devices, or more bundles, than this.

    Returns
    -------
    Expanded
        Absent devices are left out; failed ones are in and marked.

    Raises
    ------
    LimitError
        Naming the number that is too large.
    """
    _refuse_size(blueprint.name, "devices", sum(blueprint.n_devices(g) for g in blueprint.groups), limit)
    n_pairs = _count_pairs(blueprint)
    _refuse_size(blueprint.name, "joined pairs of devices", n_pairs, limit)
    return _expand(blueprint, limit, n_pairs)


def _count_pairs(blueprint: Blueprint) -> int:
    """Return the joined pairs, absent devices included; 0 where only `join_parts` can count them."""
    try:
        return int(sum(float(tally.n_pairs.sum()) for tally in census(blueprint).rules))
    except LimitError:
        return 0  # too irregular to be counted at once


def _refuse_size(name: str, items: str, n: int, limit: int) -> None:
    if n > limit:
        msg = (
            f"{name} has {n:,} {items}; the expanded form is limited to {limit:,}. In Python, raise "
            f"limit= if memory allows (about 100 bytes for each); else ask about a smaller file"
        )
        raise LimitError(msg)


def expand_sample(grid: Grid, *, limit: int = EXPAND_LIMIT) -> Expanded:
    """List the devices that are rows of `grid`, one of weights 1, and the cable bundles between them.

    Raises
    ------
    LimitError
        If these are more than `limit`, or the bundles are.
    """
    n = sum(grid.n_rows(g) for g in grid.blueprint.groups)
    if n > limit:
        msg = (
            f"{n:,} devices that rings, lines, patterns or counts tell apart; {limit:,} at most are looked at"
        )
        raise LimitError(msg)
    return _on_grid(grid, limit, 0)


@remembered(4)
def _expand(blueprint: Blueprint, limit: int, n_pairs: int) -> Expanded:
    return _on_grid(full_grid(blueprint), limit, n_pairs)


def _on_grid(grid: Grid, limit: int, n_pairs: int) -> Expanded:
    blueprint = grid.blueprint
    groups = tuple(blueprint.groups)
    present = {group: np.flatnonzero(~grid.mask(group, blueprint.absent)) for group in groups}
    first = np.cumsum([0, *(len(rows) for rows in present.values())], dtype=np.int64)
    all_rows = np.concatenate([np.zeros(0, np.int64), *present.values()])
    # Views of one array, which names and coordinates share.
    rows = {g: all_rows[first[i] : first[i + 1]] for i, g in enumerate(groups)}
    del present
    ids = {g: _ids(grid.n_rows(g), rows[g], int(start)) for g, start in zip(groups, first[:-1], strict=True)}
    bundles = _bundles(grid, ids, limit, n_pairs)
    failed = [grid.mask(g, blueprint.failed)[r] for g, r in rows.items()]
    expanded = Expanded(
        name=blueprint.name,
        groups=tuple(
            GroupInfo(g.name, g.kind, g.part.id if g.part else "", g.transit, g.is_endpoint, g.axes)
            for g in blueprint.groups.values()
        ),
        rules=tuple(
            RuleInfo(r.name, r.net, r.is_peer, r.is_oneway, r.medium, r.protocol, r.length_m, r.name)
            for r in blueprint.rules
        ),
        group=np.repeat(np.arange(len(groups), dtype=np.int32), np.diff(first)),
        tail=bundles.tail,
        head=bundles.head,
        rule=bundles.rule,
        rate_gbps=bundles.rate_gbps,
        count=bundles.count,
        # Untouched zeros take no memory.
        failed_count=np.zeros(len(bundles.tail), dtype=np.int64),
        failed=np.concatenate([np.zeros(0, np.bool_), *failed]),
        names=DeviceNames(grid, groups, first, all_rows),
        coordinates=Coordinates(grid, rows),
    )
    return _with_marked_cables(blueprint, expanded) if blueprint.marked_cables else expanded


@dataclass(slots=True)
class _Bundles:
    """Columns of the bundles that grow from the front; see `Expanded`."""

    tail: Ints
    head: Ints
    rule: npt.NDArray[np.int32]
    rate_gbps: Floats
    count: Ints

    @classmethod
    def empty(cls, n: int) -> _Bundles:
        """Return room for `n` bundles; memory is taken only where it is written."""
        tail, head, count = (np.empty(n, np.int64) for _ in range(3))
        return cls(tail, head, np.empty(n, np.int32), np.empty(n), count)

    def resize(self, n: int) -> None:
        """Cut, or make room for, `n` bundles; what was written stays."""
        for name in self.__slots__:
            column = getattr(self, name)
            if n > len(column):
                column = np.concatenate([column, np.empty(n - len(column), column.dtype)])
            setattr(self, name, column[:n])


def _bundles(grid: Grid, ids: Mapping[str, Ints | int], limit: int, n_pairs: int) -> _Bundles:
    """Return the bundles of all rules; `n_pairs` of them are expected."""
    bundles, stop = _Bundles.empty(n_pairs), 0
    for number, rule in enumerate(grid.blueprint.rules):
        left, right = (ids[group] for group in rule.groups)
        start = stop
        for part in join_parts(grid, rule, limit=limit - start):
            tail, head, count = _number(left, part.left), _number(right, part.right), part.count
            # Where no device is absent ids are an offset; else cables of absent devices are dropped.
            if not (isinstance(left, int) and isinstance(right, int)):
                present = (tail >= 0) & (head >= 0)
                tail, head, count = tail[present], head[present], count[present]
            at, stop = stop, stop + len(tail)
            # Grow by doubling where the count was not known before.
            if stop > len(bundles.tail):
                bundles.resize(max(stop, 2 * at))
            bundles.tail[at:stop], bundles.head[at:stop], bundles.count[at:stop] = tail, head, count
        bundles.rule[start:stop], bundles.rate_gbps[start:stop] = number, rule.rate_gbps
    bundles.resize(stop)
    return bundles


def _ids(n_rows: int, rows: Ints, first: int) -> Ints | int:
    """Return the device of every row of a group, -1 where absent, or the first if none is."""
    if len(rows) == n_rows:
        return first
    ids = np.full(n_rows, -1, dtype=np.int64)
    ids[rows] = np.arange(first, first + len(rows))
    return ids


def _number(ids: Ints | int, rows: Ints) -> Ints:
    return rows + ids if isinstance(ids, int) else ids[rows]


def _with_marked_cables(blueprint: Blueprint, expanded: Expanded) -> Expanded:
    """Return `expanded` with the failed and slow cables between selectors marked, first devices first."""
    down = np.zeros(expanded.n_bundles, dtype=np.int64)
    for failure in blueprint.cables_down:
        hit = _marked(blueprint, expanded, failure)
        down = failed_between(expanded, down, hit, failure.n, is_each=failure.is_each)
    expanded = replace(expanded, failed_count=down)
    slow = [(cables, _marked(blueprint, expanded, cables)) for cables in blueprint.cables_slow]
    if not slow:
        return expanded
    at = np.flatnonzero(np.any([hit for _, hit in slow], axis=0))
    parts, up = parts_of(blueprint), (expanded.count - down)[at].astype(np.float64)
    table = by_part(up, np.ones(len(at)), [(cables, hit[at]) for cables, hit in slow], parts)
    return split_bundles(expanded, at, expanded.rate_gbps[at, None] * np.array(parts), table)


def _marked(blueprint: Blueprint, expanded: Expanded, cables: MarkedCables) -> Bools:
    """Return which bundles marked cables are among, shape (m,)."""
    left, right = (matching(blueprint, expanded, s) for s in (cables.left, cables.right))
    # Either end may be the lower one.
    hit = (left[expanded.tail] & right[expanded.head]) | (right[expanded.tail] & left[expanded.head])
    of_rule = np.array([cables.may_be_of(rule.name) for rule in expanded.rules], dtype=np.bool_)
    return np.asarray(hit & of_rule[expanded.rule], dtype=np.bool_)


def split_bundles(expanded: Expanded, at: Ints, rate_gbps: Floats, n_up: Floats) -> Expanded:
    """Return `expanded` with the cables of some bundles that are up at several rates, a bundle for each.

    Parameters
    ----------
    expanded : Expanded
        m bundles.
    at : ndarray of int64, shape (k,)
        Bundles, ascending.
    rate_gbps, n_up : ndarray of float64, shape (k, p)
        Rates, and how many cables have each; those that are down stay with the first that has any.
    """
    n_rows = np.ones(expanded.n_bundles, dtype=np.int64)
    n_rows[at] = np.maximum((n_up > 0).sum(axis=1), 1)
    row = np.repeat(np.arange(expanded.n_bundles), n_rows)
    rate, count, down = expanded.rate_gbps[row], expanded.count[row], expanded.failed_count[row]
    one, column = np.nonzero(n_up > 0)
    # Rows of one bundle stand side by side, in the order of its rates.
    begin = np.cumsum(n_rows) - n_rows
    place = begin[at[one]] + np.arange(len(one)) - np.searchsorted(one, one)
    is_first = place == begin[at[one]]
    rate[place] = rate_gbps[one, column]
    down[place] = np.where(is_first, expanded.failed_count[at[one]], 0)
    count[place] = n_up[one, column].astype(np.int64) + down[place]
    return replace(
        expanded,
        tail=expanded.tail[row],
        head=expanded.head[row],
        rule=expanded.rule[row],
        rate_gbps=rate,
        count=count,
        failed_count=down,
    )


def failed_between(
    expanded: Expanded, down: Ints, hit: Bools, n: int | None, *, is_each: bool = False
) -> Ints:
    """Return how many cables of each bundle are down when more have failed, shape (m,).

    Parameters
    ----------
    expanded : Expanded
        m bundles.
    down : ndarray of int64, shape (m,)
        Those that are down before.
    hit : ndarray of bool, shape (m,)
        Bundles that the failure is among.
    n : int or None
        The first so many cables of them that are up; None for all.
    is_each : bool
        Whether they are so many of each bundle.
    """
    room = np.where(hit, expanded.count - down, 0)
    if n is not None and is_each:
        room = np.minimum(room, n)
    elif n is not None:
        # Fill bundles in order until n cables are spent: what those before take is the running sum.
        room = np.clip(n - (np.cumsum(room) - room), 0, room)
    return down + room


def matching(blueprint: Blueprint, expanded: Expanded, selector: Selector) -> Bools:
    """Return which devices `selector` matches, shape (n,)."""
    names = [g.name for g in expanded.groups]
    wanted = np.isin(expanded.group, [names.index(g) for g in selected_groups(blueprint, selector)])
    for term in selector.terms:
        index = expanded.coordinates[term.axis]
        wanted &= (index >= term.lo) & (index <= term.hi)
    return np.asarray(wanted, dtype=np.bool_)
