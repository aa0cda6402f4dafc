"""Where the boxes and bundles of the wiring diagram go, without any drawing.

A visibility drawing: a device group is a horizontal bar in the row of its level, a link rule a vertical
bundle in a column. Bundles meet only the bars of their own ends where that can be, and the numbers of each
stand beside it in the gap above its lower bar, where no other bar is.

::

    row 4             [spine]
    row 3             [leaf ]
    row 2             [  nic    ] [dpu]
    row 1  [nvswitch]    |   [  grace  ]
    row 0  [        gpu         ]
    column     0         1     2     3
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from fabric.reporting.ways import Way
from fabric.sizing.summary import LinkSummary, Summary

_FAULT = 1000.0
"""Two things in one place: no drawing."""
_BEHIND = 30.0
"""A bundle that passes behind a bar."""
_MOST_SEARCHED = 24
"""Rules up to which columns are searched for, some seconds."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A device group: its row, and its first and last column."""

    row: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A link rule: its column, and the group and row at each end; one group where it joins like with like."""

    name: str
    column: int
    lower: str
    upper: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """The diagram in rows and columns, counted from the bottom left."""

    bars: Mapping[str, Bar]
    bundles: tuple[Bundle, ...]
    n_rows: int
    n_columns: int


def layout(summary: Summary, roles: Mapping[str, Way]) -> Diagram:
    """Place the groups and rules of `summary`.

    Parameters
    ----------
    summary : Summary
    roles : mapping of str to str
        From `fabric.reporting.ways`; steps are drawn in one column where they can be.

    Returns
    -------
    Diagram

    Notes
    -----
    Columns come from a local search over single moves and swaps, from two starts that are fixed, to the least
    sum of faults, widths and bends. It is deterministic, and good enough for the few rules of a fabric. Where
    it leaves a fault, every bundle gets a column and every group a row of its own.
    """
    rows = _rows(summary)
    edges = _edges(summary, rows)
    by_net = [_start(link, roles[link.name]) for link in summary.links]
    trials = [_search(edges, start, roles) for start in (by_net, list(range(len(edges))))]
    columns = min(trials, key=lambda trial: _badness(edges, trial, roles))
    if _badness(edges, columns, roles) >= _FAULT:
        order = sorted(rows, key=lambda name: (rows[name], list(rows).index(name)))
        rows = {name: row for row, name in enumerate(order)}
        edges = _edges(summary, rows)
        columns = list(range(len(edges)))
    taken = sorted(set(columns))
    bundles = tuple(
        Bundle(e.name, taken.index(c), e.lower, e.upper, e.low, e.high)
        for e, c in zip(edges, columns, strict=True)
    )
    bars = _bars(bundles)
    n_columns = len(taken)
    for group in summary.groups:  # a group without a bundle gets a column of its own
        if group.name not in bars:
            bars[group.name] = Bar(rows[group.name], n_columns, n_columns)
            n_columns += 1
    return Diagram(bars, bundles, max(rows.values(), default=0) + 1, max(n_columns, 1))


def _edges(summary: Summary, rows: Mapping[str, int]) -> list[Bundle]:
    edges = []
    for link in summary.links:
        is_up = rows[link.lower] <= rows[link.upper]
        lower, upper = (link.lower, link.upper) if is_up else (link.upper, link.lower)
        edges.append(Bundle(link.name, 0, lower, upper, rows[lower], rows[upper]))
    return edges


def _rows(summary: Summary) -> dict[str, int]:
    """Return the row of each group: endpoints lowest, every bundle between two rows."""
    above: dict[str, set[str]] = {g.name: set() for g in summary.groups}
    for link in sorted(summary.links, key=lambda link: link.is_peer):
        if link.lower != link.upper:
            lower, upper = link.lower, link.upper
            if lower in _climb(above, upper):  # a rule against the order of the others hangs upside down
                lower, upper = upper, lower
            above[lower].add(upper)
    rows = dict.fromkeys(above, 0)
    for _ in above:
        for lower, uppers in above.items():
            for upper in uppers:
                rows[upper] = max(rows[upper], rows[lower] + 1)
    ends = {g.name for g in summary.groups if g.is_endpoint}
    entered = {upper for uppers in above.values() for upper in uppers}
    for name, uppers in above.items():
        if name not in ends | entered and uppers:
            rows[name] = min(rows[upper] for upper in uppers) - 1
    return rows


def _climb(above: Mapping[str, set[str]], start: str) -> set[str]:
    reached, front = {start}, [start]
    while front:
        new = above[front.pop()] - reached
        reached |= new
        front += sorted(new)
    return reached


def _start(link: LinkSummary, way: Way) -> int:
    """Return a first column: scale-up left, the way out in the middle, the rest right of it."""
    if link.net == "scale-up":
        return 0
    return 1 if way == "step" else 2


def _bars(bundles: Sequence[Bundle]) -> dict[str, Bar]:
    spans: dict[str, list[int]] = {}
    rows: dict[str, int] = {}
    for bundle in bundles:
        for name, row in ((bundle.lower, bundle.low), (bundle.upper, bundle.high)):
            spans.setdefault(name, []).append(bundle.column)
            rows[name] = row
    return {name: Bar(rows[name], min(ends), max(ends)) for name, ends in spans.items()}


def _search(edges: Sequence[Bundle], start: Sequence[int], roles: Mapping[str, Way]) -> list[int]:
    best = list(start)
    if len(edges) > _MOST_SEARCHED:
        return best
    least = _badness(edges, best, roles)
    while True:
        better = None
        for trial in _neighbours(best):
            badness = _badness(edges, trial, roles)
            if badness < least - 1e-9:
                least, better = badness, trial
        if better is None:
            return best
        best = better


def _neighbours(columns: list[int]) -> Iterator[list[int]]:
    """Yield the placements one change away: a bundle moved, put into a new column, or two columns swapped."""
    taken = sorted(set(columns))
    for i in range(len(columns)):
        for target in range(2 * len(taken) + 1):
            # Odd targets are existing columns, even ones the gaps around them.
            spread = [2 * taken.index(c) + 1 for c in columns]
            if spread[i] != target:
                spread[i] = target
                order = sorted(set(spread))
                yield [order.index(c) for c in spread]
    for a, b in combinations(taken, 2):
        yield [b if c == a else a if c == b else c for c in columns]


def _badness(edges: Sequence[Bundle], columns: Sequence[int], roles: Mapping[str, Way]) -> float:
    """Return how bad a placement is: faults first, then wide bars, many columns, and bends of the way out."""
    placed = [Bundle(e.name, c, e.lower, e.upper, e.low, e.high) for e, c in zip(edges, columns, strict=True)]
    bars = _bars(placed)
    total = 1.5 * len(set(columns))
    for name, bar in bars.items():
        total += bar.last - bar.first
        total += sum(
            _BEHIND for e in placed if e.low < bar.row < _top(e) and bar.first <= e.column <= bar.last
        )
        total += sum(
            _FAULT
            for beside, b in bars.items()
            if beside > name and b.row == bar.row and bar.first <= b.last and b.first <= bar.last
        )
    for a, b in combinations(placed, 2):
        if a.column == b.column and a.low < _top(b) and b.low < _top(a):
            total += _FAULT
        if a.upper == b.lower or b.upper == a.lower:
            are_steps = roles[a.name] == roles[b.name] == "step"
            total += (0.4 if are_steps else 0.1) * abs(a.column - b.column)
        # Rules of the same two groups in the order of the file.
        if (a.lower, a.upper) == (b.lower, b.upper) and a.column > b.column:
            total += 0.5
    # Of two mirror images the one with the steps on the left.
    return total + 0.01 * sum(e.column for e in placed if roles[e.name] == "step")


def _top(bundle: Bundle) -> int:
    """Return the row below which a bundle takes room; a relation inside a group loops above its bar."""
    return max(bundle.high, bundle.low + 1)
