"""What ranks do in a pattern, domain by domain: a product of what domains and what places in them do.

A ring over the racks of a million GPUs is a ring of fourteen thousand domains, in which every place sends to
the same place of the next domain::

    messages among domains          messages among places       put together
    d -> d + 1                  x   j -> j                      a ring on every rail
    d -> d                      x   j -> j + 1                  a ring in every domain
    d -> d + q, d -> d + q + 1  x   j -> j + r, j -> j + r - g  a shift by q g + r ranks

Domains that do the same (`Doings.doing`) are few, so what each of their places does is worked out once. Other
patterns are messages between ranks; what domains do is then found by comparing their ranks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from fabric.arrays import Floats, Ints
from fabric.job.domains import NumberedRanks
from fabric.job.numbering import messages, rail_legs
from fabric.schedule.algorithms import Shape
from fabric.schedule.patterns import Edges, edges
from fabric.schedule.tree import Pattern
from fabric.symmetry.labels import equal_sets


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ordered pairs of ranks, each by its domain and its place.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
        Domains.
    source_place, target_place : ndarray of int64, shape (k,)
        Places, of all sorts.
    """

    source: Ints
    target: Ints
    source_place: Ints
    target_place: Ints

    def some(self, rows: Ints) -> Pairs:
        """Return some of the pairs."""
        return Pairs(self.source[rows], self.target[rows], self.source_place[rows], self.target_place[rows])


Label = Callable[[Pairs], tuple[Ints, Ints]]
"""Return the columns of pairs, as seen from their sources and from their targets."""


@dataclass(frozen=True, eq=False)
class Doings:
    """What each rank does in a pattern, sending or receiving.

    Parameters
    ----------
    doing : ndarray of int64, shape (number of domains,)
        What each domain does, as a number.
    sort : ndarray of int64, shape (number of doings,)
        Sort of the domains that do so.
    begin : ndarray of int64, shape (number of doings + 1,)
        Where the places of each doing begin in `row`.
    row : ndarray of int64, shape (number of places of all doings,)
        Row of the rank at each place.
    rows : sparse array, shape (number of different rows, columns)
        Bytes to, or from, each class of ranks as seen from the rank.
    mark : ndarray of float64, shape (number of different rows,)
        One random combination of each row, by which sums of rows are told apart.
    """

    doing: Ints
    sort: Ints
    begin: Ints
    row: Ints
    rows: sparse.csr_array
    mark: Floats


@dataclass(frozen=True, eq=False)
class _Product:
    """Messages from every source to its target, both domains, between places of both.

    Parameters
    ----------
    source, target : ndarray of int64, shape (k,)
        Domains.
    weight : ndarray of float64, shape (k,)
    places : Edges
        Messages between the places of two domains.
    """

    source: Ints
    target: Ints
    weight: Floats
    places: Edges

    def by_rail(self) -> list[_Product]:
        """Return the same with what crosses rails taken to the right rail first, in the sender's domain."""
        places, is_away = self.places, self.source != self.target
        crosses = places.source != places.target
        if not (is_away.any() and crosses.any()):
            return [self]
        changing, keeping = (_edges_of(places, rows) for rows in (crosses, ~crosses))
        arrived = replace(changing, source=changing.target)
        source, target, weight = self.source[is_away], self.target[is_away], self.weight[is_away]
        return [
            _Product(self.source[~is_away], self.target[~is_away], self.weight[~is_away], places),
            _Product(source, target, weight, keeping),
            _Product(source, source, weight, changing),
            _Product(source, target, weight, arrived),
        ]

    @property
    def n_bytes(self) -> float:
        """Bytes of all messages."""
        return float(self.weight.sum() * self.places.weight.sum())


def _edges_of(places: Edges, rows: Ints) -> Edges:
    return Edges(places.source[rows], places.target[rows], places.weight[rows])


def products(shape: Shape, pattern: Pattern, n_instances: int) -> list[_Product] | None:
    """Return a pattern as products of messages among domains and among places, or None if it is none."""
    n_domains = shape.n_domains
    first = n_domains * np.arange(n_instances)[:, None]
    if pattern.over == "domain":
        size = np.array(shape.sizes)
        own = {n: (first + np.flatnonzero(size == n)).ravel() for n in sorted(set(shape.sizes))}
        return [_Product(d, d, np.ones(len(d)), edges(pattern.kind, n, pattern.by)) for n, d in own.items()]
    if not shape.is_even:
        return None
    g = shape.sizes[0]

    def among_domains(messages: Edges, places: Edges) -> _Product:
        """Return the product of messages among the domains of every instance."""
        ends = (first + messages.source).ravel(), (first + messages.target).ravel()
        return _Product(*ends, np.tile(messages.weight, n_instances), places)

    every, place = np.arange(n_domains), np.arange(g)
    if pattern.over == "rail":
        return [among_domains(edges(pattern.kind, n_domains, pattern.by), Edges(place, place, np.ones(g)))]
    if pattern.kind == "closing" and pattern.by == g:
        back = Edges(every[-1:], every[:1], np.ones(1))
        return [among_domains(back, Edges(place, (place + 1) % g, np.ones(g)))]
    shifts = {"ring": {1: 1.0}, "shift": {pattern.by: 1.0}, "two-way-ring": {1: 0.5, -1: 0.5}}
    if pattern.over != "job" or pattern.kind not in shifts:
        return None
    found = []
    for by, part in shifts[pattern.kind].items():
        far, on = divmod(by % shape.n, g)
        # The last places of a domain reach one domain further.
        for further in (0, 1) if far or on else ():
            of = place[g - on :] if further else place[: g - on]
            hop = Edges(every, (every + far + further) % n_domains, np.full(n_domains, part))
            found.append(among_domains(hop, Edges(of, (of + on) % g, np.ones(len(of)))))
    return found


def doings_of(
    ranks: NumberedRanks, pattern: Pattern, label: Label, salt: Floats, *, is_sent: bool, is_by_rail: bool
) -> Doings:
    """Return what ranks do in a pattern that has messages of its own.

    Parameters
    ----------
    ranks : NumberedRanks
    pattern : Pattern
    label : callable
    salt : ndarray of float64, shape (columns,)
        Random numbers.
    is_sent : bool
        Whether it is what they send, or what they receive.
    is_by_rail : bool
        Whether what crosses rails goes to the right rail first.
    """
    is_cut = ranks.number is not None
    parts = None if is_cut else products(ranks.shape, pattern, ranks.n_instances)
    if parts is None:
        return _of_messages(ranks, pattern, label, salt, is_sent=is_sent, is_by_rail=is_by_rail)
    if is_by_rail and pattern.over == "job":
        parts = [leg for part in parts for leg in part.by_rail()]
    parts = [part for part in parts if len(part.source) and len(part.places.source)]
    return _of_products(ranks, parts, label, salt, is_sent=is_sent)


def _of_products(
    ranks: NumberedRanks, parts: Sequence[_Product], label: Label, salt: Floats, *, is_sent: bool
) -> Doings:
    """Return what ranks do in products of messages."""
    told = [_Told(ranks, part, label, is_sent=is_sent) for part in parts]
    # Domains are told apart by a random combination of how many messages of which kind they have.
    random = np.random.default_rng(2)
    mark = random.random(len(ranks.size))[ranks.sort]
    for of_part in told:
        weight = of_part.weight * random.random(of_part.n_kinds)[of_part.kind]
        mark += np.bincount(of_part.anchor, weight, minlength=ranks.n_domains)
    return _rows_of(ranks, told, salt, *distinct(mark))


def _rows_of(ranks: NumberedRanks, told: Sequence[_Told], salt: Floats, first: Ints, doing: Ints) -> Doings:
    """Return what ranks do in messages, for the first domain of each doing and the doing of every domain."""
    sort = ranks.sort[first]
    begin = np.cumsum([0, *ranks.size[sort].tolist()])
    # One domain of each doing tells of all of them.
    at = np.full(ranks.n_domains, -1, dtype=np.int64)
    at[first] = np.arange(len(first))
    entries = [of_part.entries(at, begin) for of_part in told]
    nothing = np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
    data, row, column = (np.concatenate(c) for c in zip(nothing, *entries, strict=True))
    rows = sparse.csr_array((data, (row, column)), shape=(int(begin[-1]), len(salt)))
    return Doings(doing, sort, begin, np.arange(int(begin[-1])), rows, np.asarray(rows @ salt))


class _Told:
    """The messages of a product by the kinds of pairs of domains, each with the columns of its places."""

    def __init__(self, ranks: NumberedRanks, part: _Product, label: Label, *, is_sent: bool) -> None:
        self.anchor = part.source if is_sent else part.target
        self.weight, self._places = part.weight, part.places
        kinds, first, self.kind = first_of(*ranks.domain_pairs(part.source, part.target))
        self.n_kinds = len(kinds)
        source, target = part.source[first], part.target[first]
        n = len(part.places.source)
        begin = ranks.begin[ranks.sort]
        pairs = Pairs(
            np.repeat(source, n),
            np.repeat(target, n),
            (begin[source][:, None] + part.places.source).ravel(),
            (begin[target][:, None] + part.places.target).ravel(),
        )
        self._column = label(pairs)[0 if is_sent else 1].reshape(-1, n)
        self._at = part.places.source if is_sent else part.places.target

    def entries(self, at: Ints, begin: Ints) -> tuple[Floats, Ints, Ints]:
        """Return data, rows and columns of what the places of each doing do; `at` are domains that tell."""
        doing = at[self.anchor]
        is_in = doing >= 0
        data = self.weight[is_in][:, None] * self._places.weight
        row = begin[doing[is_in]][:, None] + self._at
        return data.ravel(), row.ravel(), self._column[self.kind[is_in]].ravel()


def rails_of(ranks: NumberedRanks, label: Label, salt: Floats) -> Doings:
    """Return what ranks do where each sends to all others of its rail.

    Domains do the same where they agree on the same axes with as many domains of each sort; how many agree on
    some axes at least says as much as how many agree on just these.
    """
    n_domains = ranks.shape.n_domains
    random = np.random.default_rng(2)
    of_sort = random.random(len(ranks.size))
    mark = of_sort[ranks.sort]
    instance = np.arange(ranks.n_domains) // n_domains
    for n in range(len(ranks.digits) + 1):
        for axes in itertools.combinations(ranks.digits, n):
            block = instance
            for axis in axes:
                code = block * ranks.sizes[axis] + ranks.digits[axis]
                _, _, block = first_of(code, (int(block.max()) + 1) * ranks.sizes[axis])
            mark = mark + random.random() * sums(block, of_sort[ranks.sort], 0)[block]
    for axis in ranks.rings & ranks.digits.keys():
        mark = mark + random.random(ranks.sizes[axis])[ranks.digits[axis]]
    first, doing = distinct(mark)
    source, target, weight = [], [], []
    for home in first.tolist():
        domains = instance[home] * n_domains + np.arange(n_domains)
        others = domains[domains != home]
        _, at, which = first_of(*ranks.domain_pairs(np.full(len(others), home), others))
        source.append(np.full(len(at), home))
        target.append(others[at])
        weight.append(np.bincount(which, minlength=len(at)) / max(n_domains - 1, 1))
    place = np.arange(ranks.shape.equal())
    every = Edges(place, place, np.ones(len(place)))
    part = _Product(np.concatenate(source), np.concatenate(target), np.concatenate(weight), every)
    told = [_Told(ranks, part, label, is_sent=True)] if len(part.source) else []
    return _rows_of(ranks, told, salt, first, doing)


def _of_messages(
    ranks: NumberedRanks, pattern: Pattern, label: Label, salt: Floats, *, is_sent: bool, is_by_rail: bool
) -> Doings:
    """Return what ranks do in messages that are listed one by one."""
    shape = ranks.shape
    source, target, weight = messages(shape, pattern)
    if is_by_rail and pattern.over == "job":
        legs = rail_legs(shape, source, target)
        source, target, weight = legs.source, legs.target, weight[legs.message]
    at = shape.n * np.arange(ranks.n_instances)[:, None]
    source, target = (ranks.lying((at + ends).ravel()) for ends in (source, target))
    weight = np.tile(weight, len(at))
    domain, place = ranks.domain_of, ranks.place_of
    columns = label(Pairs(domain[source], domain[target], place[source], place[target]))
    anchor, column = (source, columns[0]) if is_sent else (target, columns[1])
    first, row = distinct(sums(anchor, weight * salt[column], ranks.n_ranks))
    # One rank of each kind tells of all of them.
    which = np.full(ranks.n_ranks, -1, dtype=np.int64)
    which[first] = np.arange(len(first))
    is_in = which[anchor] >= 0
    shape_of = len(first), len(salt)
    rows = sparse.csr_array((weight[is_in], (which[anchor[is_in]], column[is_in])), shape=shape_of)
    return by_ranks(ranks, row, rows, salt)


def by_ranks(ranks: NumberedRanks, row: Ints, rows: sparse.csr_array, salt: Floats) -> Doings:
    """Return what domains do, by the row of every rank as they lie: what their places do."""
    domain, place = ranks.domain_of, ranks.place_of
    random = np.random.default_rng(2)
    own = random.random(rows.shape[0])[row] * random.random(int(ranks.begin[-1]))[place]
    of_domain, doing = distinct(sums(domain, own, ranks.n_domains))
    sort = ranks.sort[of_domain]
    begin = np.cumsum([0, *ranks.size[sort].tolist()])
    of = np.repeat(np.arange(len(sort)), ranks.size[sort])
    rank = ranks.first_rank[of_domain][of] + np.arange(int(begin[-1])) - begin[of]
    return Doings(doing, sort, begin, row[rank], rows, np.asarray(rows @ salt))


def sums(at: Ints, weight: Floats, n: int) -> Floats:
    """Return the sum of the weights at each number, shape (n,)."""
    return np.bincount(at, weight, minlength=n).astype(np.float64)


def distinct(mark: Floats) -> tuple[Ints, Ints]:
    """Return the first of each set of numbers that are equal but for rounding, and the set of each."""
    scale = max(float(np.abs(mark).max(initial=0.0)), 1e-300)
    _, first, which = np.unique((mark / scale).round(9), return_index=True, return_inverse=True)
    return first.astype(np.int64), which.ravel().astype(np.int64)


def first_of(code: Ints, radix: int) -> tuple[Ints, Ints, Ints]:
    """Return the distinct numbers below `radix`, the first place of each, and the set of every number."""
    first, which = equal_sets(code, radix)
    return code[first], first, which
