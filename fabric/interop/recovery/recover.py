"""A dump becomes a topology file with axes, which is expanded again and held against the dump."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from fabric.arrays import Floats, Ints
from fabric.errors import LimitError, QuestionError, TopologyError
from fabric.graph import Fabric, expand, loads
from fabric.interop.recovery.classes import classes
from fabric.interop.recovery.dump import Dump
from fabric.interop.recovery.roles import kinds_as_colours, stems_as_colours
from fabric.interop.recovery.sketch import Sketch, listed, sketch
from fabric.interop.recovery.text import (
    Remainder,
    Written,
    device_name,
    may_be_mistaken,
    places_of,
    rate_text,
    rule_names,
    unmistaken,
    write_sketch,
)
from fabric.interop.recovery.words import axis_names

MAX_ODD, MIN_ODD = 0.1, 8
"""Part of the cables that may be otherwise than axes say, and so many in any case."""
MAX_LISTED = 30_000
"""Pairs that a file may list: it has at most 100,000 keys and values."""
MAX_MARKS = 900
"""Cables that may be."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """A dump as a fabric.

    Parameters
    ----------
    text : str
        Of the topology file.
    fabric : Fabric
    devices : mapping of str to str
        What the file calls each node.
    n_missing, n_extra : int
        Cables that axes say and the dump lacks, and the other way round.
    n_absent : int
        Places at which nothing stands.
    n_marks : int
        Lines that say so.
    notes : tuple of str
        What was guessed, and what the file does not say.
    has_axes : bool
        Whether axes explain the cables; else every pair is listed.
    """

    text: str
    fabric: Fabric
    devices: Mapping[str, str]
    n_missing: int
    n_extra: int
    n_absent: int
    n_marks: int
    notes: tuple[str, ...]
    has_axes: bool = True


def recover(dump: Dump, name: str, rates: Mapping[str, str], head: tuple[str, ...] = ()) -> Recovered:
    """Return the fabric that a dump is of, with axes where some explain it, else with every pair listed.

    Parameters
    ----------
    dump : Dump
    name : str
        Of the fabric.
    rates : mapping of str to str
        By rule, and under the empty name for all, where the dump has none.
    head : tuple of str
        Comments to begin the file with.

    Raises
    ------
    QuestionError
        If cables have no rate and none is given.
    LimitError
        If there are no axes, and more pairs than a file may list.
    """
    best: Recovered | None = None
    refused: QuestionError | None = None
    for group, is_loose in _proposals(dump):
        drawn = sketch(dump, group, is_loose=is_loose)
        try:
            found = _verified(dump, drawn, Written(name, head, rates)) if drawn is not None else None
        except QuestionError as error:
            refused, found = refused or error, None
        if found is not None and (best is None or _length(found) < _length(best)):
            best = found
    if best is None and refused is not None:
        raise refused
    return best or _as_listed(dump, Written(name, head, rates))


def sketches(dump: Dump) -> Iterator[Sketch]:
    """Yield what a dump may be a fabric of, whatever its nodes are called, the most likely first."""
    for slack in _SLACKS:
        group = classes(dump, kinds_as_colours(dump), slack)
        drawn = sketch(dump, group, is_loose=slack > 0) if group is not None else None
        if drawn is not None:
            yield drawn


def _as_listed(dump: Dump, how: Written) -> Recovered:
    if len(dump.tail) > MAX_LISTED:
        msg = (
            f"no axes explain these {dump.n_cables:,} cables, and {len(dump.tail):,} pairs of nodes are "
            f"more than the {MAX_LISTED:,} that a file may list"
        )
        raise LimitError(msg)
    stems, is_telling = stems_as_colours(dump)
    drawn = listed(dump, stems if is_telling else kinds_as_colours(dump))
    how = replace(how, rates=_rates_said(drawn, how), islands=_islands(dump, drawn))
    loaded = _load(drawn, how)
    if loaded is None:
        # What is listed is what there is: if it is refused, the user is told why.
        told = replace(how, transit="all", is_named=False)
        loaded = loads(write_sketch(drawn, told)), told
    notes = ("no axes explain the cables: every pair is listed", *_notes(drawn, loaded[1], 0))
    devices = _devices(dump, drawn)
    return Recovered(write_sketch(drawn, loaded[1]), loaded[0], devices, 0, 0, 0, 0, notes, has_axes=False)


_SLACKS = (0.0, 1 / 8, 1 / 3)


def _length(found: Recovered) -> int:
    # Lists of pairs are one line each.
    return found.text.count("\n") + len(found.text) // 200


def _proposals(dump: Dump) -> Iterator[tuple[Ints, bool]]:
    """Yield classes of nodes, and whether they allow for faults; the likely ones first, each once."""
    stems, is_telling = stems_as_colours(dump)
    starts = ([stems] if is_telling else []) + [kinds_as_colours(dump)]
    seen: list[Ints] = []
    for slack in _SLACKS:
        for start in starts:
            group = classes(dump, start, slack)
            if group is not None and not any(np.array_equal(group, one) for one in seen):
                seen.append(group)
                yield group, slack > 0


def _verified(dump: Dump, drawn: Sketch, how: Written) -> Recovered | None:
    """Return a sketch as a file that expands to the dump exactly; None where it is too far from it."""
    _rates_said(drawn, how)
    how = replace(how, islands=_islands(dump, drawn))
    loaded = _load(drawn, how)
    if loaded is None:
        return None
    fabric, how = loaded
    missing, extra, slower, n_faster = _differences(dump, drawn, fabric)
    n_missing, n_extra = int(missing[:, 2].sum()), int(extra[:, 2].sum())
    n_marks = len(missing) + len(extra) + len(slower)
    if n_missing + n_extra > max(MAX_ODD * dump.n_cables, MIN_ODD) or n_marks > MAX_MARKS:
        return None
    if n_marks:
        how = replace(how, remainder=_remainder(dump, drawn, (missing, extra, slower), how))
        again = _load(drawn, how)
        if again is None:
            return None
        fabric, how = again
        left = _differences(dump, drawn, fabric)
        if len(left[0]) or len(left[1]):
            return None
    devices = _devices(dump, drawn)
    n_places = sum(int(np.prod([drawn.axes[a].size for a in group.axes])) for group in drawn.groups)
    text = write_sketch(drawn, how)
    return Recovered(
        text,
        fabric,
        devices,
        n_missing,
        n_extra,
        n_places - dump.n,
        len(how.remainder.failed) + len(how.remainder.extra) + len(slower) + (n_places - dump.n),
        tuple(_notes(drawn, how, n_faster)),
    )


def _devices(dump: Dump, drawn: Sketch) -> dict[str, str]:
    names = axis_names(drawn)
    return {
        dump.names[v]: device_name(group, place, drawn, names)
        for group in drawn.groups
        for v, place in zip(group.members.tolist(), group.place.tolist(), strict=True)
    }


def _rates_said(drawn: Sketch, how: Written) -> Mapping[str, str]:
    """Return the rates that were given, which are enough.

    Raises
    ------
    QuestionError
        Naming the rules without one.
    """
    named = list(zip(rule_names(drawn), drawn.rules, strict=True))
    unsaid = [name for name, rule in named if not rate_text(rule, name, how.rates)]
    if unsaid:
        msg = f"cables of {', '.join(unsaid)} have no rate; give one for all, 400Gb/s, or {unsaid[0]}=400Gb/s"
        raise QuestionError(msg)
    unknown = [name for name in how.rates if name and name not in dict(named)]
    if unknown:
        msg = f"no rule {unknown[0]!r} was found; rules are {', '.join(name for name, _ in named)}"
        raise QuestionError(msg)
    return how.rates


def _load(drawn: Sketch, how: Written) -> tuple[Fabric, Written] | None:
    """Return the fabric of a sketch, whose endpoints pass traffic on if they must; None if it is refused.

    Names that a file cannot have, such as ``a,b``, are left out of it.
    """
    for is_named, transit in product((True, False), dict.fromkeys((how.transit, "all"))):
        tried = replace(how, transit=transit, is_named=is_named and how.is_named)
        try:
            return loads(write_sketch(drawn, tried)), tried
        except TopologyError:
            continue
    return None


def _islands(dump: Dump, drawn: Sketch) -> int:
    """Return how many physically separate parts with endpoints there are."""
    graph = csr_array((np.ones(len(dump.tail)), (dump.tail, dump.head)), shape=(dump.n, dump.n))
    _, part = connected_components(graph, directed=False)
    ends = [group.members for group in drawn.groups if group.role.is_endpoint]
    return len(np.unique(part[np.concatenate(ends)])) if ends else 0


def _differences(dump: Dump, drawn: Sketch, fabric: Fabric) -> tuple[Ints, Ints, Ints, int]:
    """Return cables that a fabric has and a dump lacks, the other way round, slower and faster ones.

    Returns
    -------
    missing, extra : ndarray of int64, shape (k, 3)
        Two nodes and how many cables.
    slower : ndarray of int64, shape (k,)
        Bundles of the dump.
    n_faster : int
        Cables.
    """
    said, rate = _pairs_of(dump, drawn, fabric)
    keys = dump.tail * dump.n + dump.head
    pairs, which = np.unique(keys, return_inverse=True)
    n = np.bincount(which.ravel(), dump.count).astype(np.int64)
    every, position = np.unique(np.concatenate([pairs, said[:, 0]]), return_inverse=True)
    balance = np.zeros(len(every), dtype=np.int64)
    np.add.at(balance, position.ravel(), np.concatenate([-n, said[:, 1]]))
    ends = np.stack([*np.divmod(every, dump.n), np.abs(balance)], axis=1)
    at = np.searchsorted(said[:, 0], keys).clip(max=max(0, len(said) - 1))
    is_said = said[at, 0] == keys if len(said) else np.zeros(len(keys), dtype=np.bool_)
    planned = rate[at] if len(said) else np.zeros(len(keys))
    is_odd = is_said & ~np.isnan(dump.rate_gbps) & ~np.isclose(planned, dump.rate_gbps)
    is_slow = is_odd & (dump.rate_gbps < planned)
    n_faster = int(dump.count[is_odd & ~is_slow].sum())
    return ends[balance > 0], ends[balance < 0], np.flatnonzero(is_slow), n_faster


def _pairs_of(dump: Dump, drawn: Sketch, fabric: Fabric) -> tuple[Ints, Floats]:
    """Return pairs of nodes, as one number each, with the cables that are up, and their rates."""
    e = expand(fabric)
    node = np.full(e.n_devices, -1, dtype=np.int64)
    number = {info.name: g for g, info in enumerate(e.groups)}
    names = axis_names(drawn)
    for group in drawn.groups:
        rows = np.flatnonzero(e.group == number[group.role.name])
        place = np.zeros(len(rows), dtype=np.int64)
        for a in group.axes:
            place = place * drawn.axes[a].size + e.coordinates[names[a]][rows]
        order = np.argsort(group.place)
        node[rows] = group.members[order][np.searchsorted(group.place[order], place)]
    ends = np.sort(np.stack([node[e.tail], node[e.head]], axis=1), axis=1)
    keys, first, which = np.unique(ends[:, 0] * dump.n + ends[:, 1], return_index=True, return_inverse=True)
    n = np.bincount(which.ravel(), e.alive, len(keys)).astype(np.int64)
    is_up = n > 0
    return np.stack([keys, n], axis=1)[is_up], e.rate_gbps[first][is_up]


def _remainder(dump: Dump, drawn: Sketch, odd: tuple[Ints, Ints, Ints], how: Written) -> Remainder:
    """Return what did not fit as items of the file: what is missing, what is too much, what is slower."""
    missing, extra, slower = odd
    names, place = axis_names(drawn), places_of(drawn)
    group_of = np.zeros(dump.n, dtype=np.int64)
    for g, group in enumerate(drawn.groups):
        group_of[group.members] = g

    def called(v: int) -> str:
        return device_name(drawn.groups[group_of[v]], int(place[v]), drawn, names)

    is_clear = not may_be_mistaken(drawn, names)

    def marked(v: int) -> str:
        return called(v) if is_clear else unmistaken(called(v), drawn.groups[group_of[v]], names)

    def upward(a: int, b: int) -> list[int]:
        return sorted((a, b), key=lambda v: (drawn.groups[group_of[v]].role.level, group_of[v]))

    failed = [f"[{', '.join(marked(v) for v in upward(a, b))}, {n}]" for a, b, n in missing.tolist()]
    items = []
    for number, (a, b, n) in enumerate(extra.tolist()):
        lower, upper = upward(a, b)
        rate = _rate_between(dump, drawn, (a, b), (int(group_of[lower]), int(group_of[upper])), how)
        count = f", count: {n}" if n > 1 else ""
        items.append(
            f"{{between: [{called(lower)}, {called(upper)}], name: extra{number}, rate: {rate}{count}}}"
        )
    degraded = []
    for k in slower.tolist():
        ends = ", ".join(marked(v) for v in upward(int(dump.tail[k]), int(dump.head[k])))
        degraded.append(f"[{ends}, {dump.count[k]}, {dump.rate_gbps[k]:.12g}Gb/s]")
    return Remainder(tuple(failed), tuple(degraded), tuple(items))


def _rate_between(
    dump: Dump, drawn: Sketch, ends: tuple[int, int], groups: tuple[int, int], how: Written
) -> str:
    """Return the rate of cables that no rule has: their own, that of the rule of their groups, or any."""
    here = (dump.tail == min(ends)) & (dump.head == max(ends))
    known = dump.rate_gbps[here & ~np.isnan(dump.rate_gbps)]
    if len(known):
        return f"{known[0]:.12g}Gb/s"
    texts = {
        (rule.lower, rule.upper): rate_text(rule, name, how.rates)
        for name, rule in zip(rule_names(drawn), drawn.rules, strict=True)
    }
    return texts.get(groups) or how.rates.get("") or next(iter(texts.values()))


def _notes(drawn: Sketch, how: Written, n_faster: int) -> Iterator[str]:
    guessed = [group.role.name for group in drawn.groups if group.role.is_guess and group.role.is_endpoint]
    if guessed:
        yield f"nothing says what {', '.join(guessed)} are: taken for endpoints, which have the fewest cables"
    if how.transit == "all":
        yield "endpoints pass traffic on (transit: all), else some would not reach others"
    if not how.is_named:
        yield "the nodes have names that a file cannot have: it calls them by their places"
    if n_faster:
        yield f"{n_faster:,} cables are faster than most of their rule; the file has the rate of most"
    for g, group in enumerate(drawn.groups):
        if drawn.tokens.columns[g] is None and len(group.members) > 1:
            yield f"names of {group.role.name} follow no pattern; the file numbers them as they sort"
