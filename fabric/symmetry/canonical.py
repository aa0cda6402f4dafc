"""A canonical order of the places of marks: alike damage gets alike places in it.

Marks and the indices that they are on are the two sides of a graph. Its vertices are coloured until the
colours say no more (colour refinement); an index whose colour is its own is put down and falls out; what then
still hangs together are parts, which are ordered one by one and sorted by their codes::

    marks  pod3/nic5  pod7/nic1  pod9/leaf      parts   {pod3, nic5}  {pod7, nic1}  {pod9, leaf}
                                                codes        A             A             B

Two parts of equal code are mapped onto one another by their orders (the codes of trees of Aho, Hopcroft and
Ullman, with colour refinement where marks are no tree). An order is a proposal: it alone merges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

MANY_LOOKS = 400_000
"""Marks that are looked at, a second or two: then what is left is put down as it comes."""

Code = tuple[object, ...]
"""What is the same for two parts exactly if their orders map one onto the other."""


@dataclass(frozen=True, slots=True)
class Incidence:
    """Marks and the indices that they are on.

    Parameters
    ----------
    colour : sequence of int
        Of every index, such as its axis and cell.
    tag : sequence of int
        Of every mark, such as failed or absent.
    places : sequence of tuple of int
        The indices of every mark, those on the same axis in the same column; -1 where it is on none.
    spent : list of int
        Marks that were looked at so far, of at most `MANY_LOOKS`.
    alike : list of list of list of int
        Parts of equal code that were found, by their indices in order.
    """

    colour: Sequence[int]
    tag: Sequence[int]
    places: Sequence[tuple[int, ...]]
    spent: list[int] = field(default_factory=lambda: [0])
    alike: list[list[list[int]]] = field(default_factory=list)


def canonical_order(incidence: Incidence) -> tuple[list[int], int]:
    """Return the indices of all marks in an order that alike parts have alike, and how many kinds of parts.

    Each index is there once. Parts are what falls apart first.

    Notes
    -----
    Of indices that refinement cannot tell apart the first is taken. Where they are not alike either, which
    needs many marks on axes that cross, the order is one of several, and less is found to be alike. The same
    where very many marks form long chains, which take as many rounds as they are long.

    Examples
    --------
    Three pods 0, 1, 2 with one mark each, on the rails 3, 4 and 3: the pods of one rail are neighbours.

    >>> places = [(0, 3), (2, 4), (1, 3)]
    >>> canonical_order(Incidence([0, 0, 0, 1, 1], [0, 0, 0], places))
    ([2, 4, 3, 0, 1], 2)
    """
    whole = _MarkPart(incidence, range(len(incidence.tag)), {}, dict(enumerate(incidence.colour)))
    found = whole.parts_in_order()
    # What was not looked at has no code, and is like nothing.
    n_kinds = len({code for _, code in found if code}) + sum(not code for _, code in found)
    return [v for own, _ in found for v in own], n_kinds


class _MarkPart:
    """Some marks that hang together, and the indices that are put down already, by their place."""

    def __init__(
        self, whole: Incidence, marks: Sequence[int], down: Mapping[int, int], colour: Mapping[int, int]
    ) -> None:
        self._whole, self._marks, self._down = whole, marks, dict(down)
        indices = {v for m in marks for v in whole.places[m] if v >= 0}
        self._colour = {v: colour[v] for v in sorted(indices - down.keys())}

    def ordered(self) -> tuple[list[int], Code]:
        """Return the indices that were not put down yet in order, and the code of the part."""
        order: list[int] = []
        parts: list[list[int]] = [list(self._marks)]
        while self._colour and len(parts) == 1 and self._whole.spent[0] < MANY_LOOKS:
            self._refine()
            order += self._put_down()
            parts = self._parts()
        if self._whole.spent[0] >= MANY_LOOKS:
            return order + list(self._colour), ()
        if self._colour:
            order += [v for own, _ in self.parts_in_order() for v in own]
        return order, self._code(order)

    def parts_in_order(self) -> list[tuple[list[int], Code]]:
        """Return the indices of what hangs together, in order, and its code; parts of equal code in a row."""
        parts = (_MarkPart(self._whole, part, self._down, self._colour) for part in self._parts())
        found = sorted((part.ordered() for part in parts), key=lambda one: one[1])
        for code, equal in groupby(found, key=lambda one: one[1]):
            of_code = [own for own, _ in equal]
            if code and len(of_code) > 1:
                self._whole.alike.append(of_code)
        return found

    def _code(self, order: Sequence[int]) -> Code:
        # What was put down before has a place below 0, what is ordered here one from 0 on.
        place = {**self._down, **{v: i for i, v in enumerate(order)}, -1: _NOWHERE}
        tag, places = self._whole.tag, self._whole.places
        marks = sorted((tag[m], *(place[v] for v in places[m])) for m in self._marks)
        return tuple(self._whole.colour[v] for v in order), tuple(marks)

    def _refine(self) -> None:
        """Colour the indices by what their marks are on, until that tells no more apart."""
        tag, places = self._whole.tag, self._whole.places
        while self._whole.spent[0] < MANY_LOOKS:
            self._whole.spent[0] += len(self._marks)
            # What was put down has a colour of its own; no index has one below 0.
            known = {**self._colour, **self._down, -1: _NOWHERE}
            of_mark = {m: (tag[m], *(known[v] for v in places[m])) for m in self._marks}
            rank = {key: i for i, key in enumerate(sorted(set(of_mark.values())))}
            met: dict[int, list[tuple[int, int]]] = {v: [] for v in self._colour}
            for m in self._marks:
                for column, v in enumerate(places[m]):
                    if v in met:
                        met[v].append((column, rank[of_mark[m]]))
            of_index = {v: (self._colour[v], tuple(sorted(own))) for v, own in met.items()}
            colours = {key: i for i, key in enumerate(sorted(set(of_index.values())))}
            n_before = len(set(self._colour.values()))
            self._colour = {v: colours[key] for v, key in of_index.items()}
            if len(colours) == n_before:
                return

    def _put_down(self) -> list[int]:
        """Take out the indices whose colour is their own, or the first of those that are left."""
        of: dict[int, list[int]] = {}
        for v, colour in self._colour.items():
            of.setdefault(colour, []).append(v)
        alone = [own[0] for _, own in sorted(of.items()) if len(own) == 1]
        if not alone and len(self._parts()) == 1:
            alone = of[min(of)][:1]
        for v in alone:
            # Numbers below those of all that were put down before.
            self._down[v] = -1 - len(self._down)
            del self._colour[v]
        return alone

    def _parts(self) -> list[list[int]]:
        """Return the marks that hang together by an index that is not put down."""
        root: dict[int, int] = {v: v for v in self._colour}

        def find(v: int) -> int:
            while root[v] != v:
                root[v] = v = root[root[v]]
            return v

        free = {m: [v for v in self._whole.places[m] if v in root] for m in self._marks}
        for own in free.values():
            for v in own[1:]:
                root[find(v)] = find(own[0])
        parts: dict[int, list[int]] = {}
        for m, own in free.items():
            if own:
                parts.setdefault(find(own[0]), []).append(m)
        return list(parts.values())


_NOWHERE = -(10**9)
