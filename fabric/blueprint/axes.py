"""The axis table of a file: sizes, composed axes, and what an including file may redeclare.

A composed axis that is redeclared as another product is cut at both::

    slot 0..7       included  slot: [socket, lane]    socket . lane . .       2 x 4
                    here      slot: [group, r]        group  . .    r .       4 x 2
                    both                              socket   q    r         2 x 2 x 2

`socket` and `r` are digits of `slot` in both; `lane` becomes ``[q, r]``, and `group` ``[socket, q]``, where
the new axis q is called ``lane.group``. So whatever is placed on one of the four agrees with the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from fabric.blueprint.model import Axis, Origin, primitives
from fabric.blueprint.selector import near, quote
from fabric.errors import Problem
from fabric.units import MAX_COUNT


@dataclass(slots=True)
class AxisTable:
    """Axes by name.

    `inherit` takes the axes of a file's includes, `declare` its own; `settle` then computes the sizes of
    composed axes. Every axis in the table is sound, and those left out are named.

    Parameters
    ----------
    axes : dict of str to Axis
    broken : set of str
        Axes that were declared but left out, with a problem noted.
    """

    axes: dict[str, Axis] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    _composed: dict[str, tuple[list[str], Origin]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Return whether the axis is known."""
        return name in self.axes

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.axes)

    def inherit(self, axis: Axis, origin: Origin, problems: list[Problem]) -> None:
        """Add an axis of an include; the same name is the same axis."""
        known = self.axes.get(axis.name)
        if known is None or (known.size == axis.size and not known.parts):
            self.axes[axis.name] = axis
        elif known.size != axis.size or (axis.parts and axis.parts != known.parts):
            fault = f"axis {axis.name!r} comes from two includes with another {_difference(axis, known)}"
            got = f"{_shown(axis)} and {_shown(known)}"
            problems.append(origin.problem(fault, got=got, todo="give one of them as: prefix"))

    def inherit_all(self, table: AxisTable, origin: Origin, problems: list[Problem]) -> None:
        """Add every axis of `table`."""
        for axis in table.axes.values():
            self.inherit(axis, origin, problems)
        self.broken |= table.broken

    def declare(self, name: str, spec: int | list[str], origin: Origin, problems: list[Problem]) -> None:
        """Add an axis of the file itself; sizes of composed axes follow in `settle`."""
        known = self.axes.get(name)
        if isinstance(spec, int):
            if known is None:
                self.axes[name] = Axis(name, spec)
            elif known.size != spec:
                fault = f"axis {name!r} redeclared with another size"
                todo = "the same name is the same axis; take another name"
                problems.append(origin.problem(fault, got=str(spec), expected=str(known.size), todo=todo))
        else:
            self._composed[name] = (spec, origin)

    def settle(self, problems: list[Problem], *, is_lost: bool = False) -> None:
        """Compute composed axes in the order of their dependence.

        Parameters
        ----------
        problems : list of Problem
            What is wrong is added.
        is_lost : bool
            Whether axes are missing that the files may well have, so that an unknown one is no problem.
        """
        # Topological order (Kahn): a composed axis is ready when no part of it waits; cycles stay behind.
        waiting = {n: sum(p in self._composed for p in parts) for n, (parts, _) in self._composed.items()}
        needed_by: dict[str, list[str]] = defaultdict(list)
        for name, (parts, _) in self._composed.items():
            for p in parts:
                needed_by[p].append(name)
        ready = [n for n, number in waiting.items() if not number]
        for name in ready:
            parts, origin = self._composed.pop(name)
            problem = self._compose(name, parts, origin, is_lost=is_lost)
            if problem is not None:
                problems.append(problem)
            for product in needed_by[name]:
                waiting[product] -= 1
                if not waiting[product]:
                    ready.append(product)
        if self._composed:
            self._name_cycles(problems)

    def _name_cycles(self, problems: list[Problem]) -> None:
        """Give up on what is left, and tell which axes of it are part of themselves."""
        reported: set[str] = set()
        for name, (parts, origin) in self._composed.items():
            if name in reported:
                continue
            # Transitive closure of the parts.
            below: set[str] = set()
            more = set(parts)
            while more:
                below |= more
                more = {q for p in more if p in self._composed for q in self._composed[p][0]} - below
            if name in below:
                # Another cycle below this one is told when this one is mended.
                reported |= below
                fault = f"axis cycle: {name!r} is part of itself"
                problems.append(origin.problem(fault, got=_shown(Axis(name, 0, tuple(parts)))))
        self.broken |= set(self._composed)
        self._composed.clear()

    def _compose(self, name: str, parts: list[str], origin: Origin, *, is_lost: bool) -> Problem | None:
        known = self.axes.get(name)
        got = _shown(Axis(name, 0, tuple(parts)))
        unknown = [p for p in parts if p not in self.axes]
        if unknown:
            self.broken.add(name)
            missing = next((p for p in unknown if p not in self.broken), None)
            # An axis that is itself at fault has its own problem.
            return None if missing is None or is_lost else self.unknown(missing, origin)
        if known is not None and name in self.below(parts):
            self.broken.add(name)
            return origin.problem(f"axis cycle: {name!r} is part of itself", got=got)
        primitive = [q for p in parts for q in self.primitives(p)]
        if len(set(primitive)) < len(primitive):
            self.broken.add(name)
            twice = next(q for q in primitive if primitive.count(q) > 1)
            return origin.problem(f"axis {name!r} is a product with {twice!r} twice", got=got)
        size = math.prod(self.axes[p].size for p in parts)
        if known is not None and known.size != size:
            fault = f"axis {name!r} redeclared with a wrong product"
            return origin.problem(fault, got=f"{self._sizes(parts)} = {size}", expected=str(known.size))
        if size > MAX_COUNT:
            self.broken.add(name)
            return origin.problem(f"axis {name!r} is too large", got=str(size), expected="at most 2**53")
        if known is not None and known.parts:
            return self._recompose(known, parts, origin)
        self.axes[name] = Axis(name, size, tuple(parts))
        return None

    def _recompose(self, known: Axis, parts: list[str], origin: Origin) -> Problem | None:
        """Cut a composed axis where its new product does too; see the top of this module."""
        old, new = self._cuts(known.parts), self._cuts(parts)
        got, expected = (f"[{', '.join(side)}] of {self._sizes(side)}" for side in (parts, known.parts))
        moved = [p for p in old.keys() & new.keys() if old[p] != new[p]]
        if moved:
            fault = f"axis {known.name!r} redeclared with {min(moved)!r} at another place"
            return origin.problem(fault, got=got, expected=expected)
        points = sorted({point for side in (old, new) for ends in side.values() for point in ends})
        # The cuts of both products are digits of one axis only if each step divides the next.
        if any(high % low for low, high in pairwise(points)):
            fault = f"axis {known.name!r} redeclared with a product that cuts it elsewhere"
            todo = f"no split of the parts is in both; take another name than {known.name}"
            return origin.problem(fault, got=got, expected=expected, todo=todo)
        digits: dict[str, list[str]] = {}
        # Slowest digit first: each is a part that both products share, or a new axis under one part of each.
        for ends in reversed(list(pairwise(points))):
            over, under = _covering(old, ends), _covering(new, ends)
            digit = under if new[under] == ends else over if old[over] == ends else f"{over}.{under}"
            if digit not in (over, under):
                if digit in self.axes:
                    fault = (
                        f"axis {known.name!r} redeclared, with {digit!r} for what {over} and {under} share"
                    )
                    return origin.problem(fault, got=got, todo=f"rename the axis {digit}, which is another")
                self.axes[digit] = Axis(digit, ends[1] // ends[0])
            for p in {over, under}:
                digits.setdefault(p, []).append(digit)
        for p, pieces in digits.items():
            if pieces != [p]:
                self.axes[p] = Axis(p, self.axes[p].size, tuple(pieces))
        # Axes of one place say nothing of where they stand, but groups on this axis have them.
        unit_axes = [p for p in self.primitives(known.name) if p not in self.below(parts) and p not in digits]
        self.axes[known.name] = Axis(known.name, known.size, (*unit_axes, *parts))
        return None

    def _cuts(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return where each primitive axis of a product begins and ends: its step, and the next one's."""
        spans: dict[str, tuple[int, int]] = {}
        step = 1
        # From the fastest axis: the step of an axis is the product of the sizes after it.
        for p in reversed([p for name in names for p in self.primitives(name)]):
            if self.axes[p].size > 1:
                spans[p] = step, step * self.axes[p].size
                step *= self.axes[p].size
        return spans

    def _sizes(self, names: Iterable[str]) -> str:
        return " x ".join(str(self.axes[name].size) for name in names)

    def unknown(self, name: str, origin: Origin, key: str = "") -> Problem:
        """Return the problem that there is no axis `name`."""
        todo = near(name, self.axes, "axes are")
        return origin.problem(f"unknown axis {quote(name)}", key=key, todo=todo)

    def below(self, names: Iterable[str]) -> dict[str, None]:
        """Return `names` and all that they are made of, in that order."""
        parts = dict.fromkeys(names)
        stack = list(parts)[::-1]
        while stack:
            new = [p for p in self.axes[stack.pop()].parts if p not in parts]
            parts |= dict.fromkeys(new)
            stack += new
        return parts

    def primitives(self, name: str) -> tuple[str, ...]:
        """Return the primitive axes of `name`, last one fastest."""
        return primitives(self.axes, name)

    def rename(self, new: Callable[[str], str]) -> AxisTable:
        """Return the table with every name changed by `new`."""
        axes = {new(a.name): Axis(new(a.name), a.size, tuple(map(new, a.parts))) for a in self.axes.values()}
        return AxisTable(axes, {new(n) for n in self.broken})


def _covering(cuts: dict[str, tuple[int, int]], ends: tuple[int, int]) -> str:
    """Return the axis of a product that the digit between two steps is a part of."""
    return next(p for p, (low, high) in cuts.items() if low <= ends[0] and ends[1] <= high)


def _shown(axis: Axis) -> str:
    return f"[{', '.join(axis.parts)}]" if axis.parts else str(axis.size)


def _difference(first: Axis, second: Axis) -> str:
    return "size" if first.size != second.size else "product"
