"""The axis table of a file: sizes, composed axes, and what an including file may redeclare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fabric.blueprint.model import Axis, Origin
from fabric.errors import Problem, nearest
from fabric.units import MAX_COUNT


@dataclass(slots=True)
class AxisTable:
    """Axes by name.

    `declare` takes the axes of a file, `inherit` those of its includes; `settle` then computes the sizes of
    composed axes and removes what is wrong, so that every axis left in the table is sound.
    """

    axes: dict[str, Axis] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    _own: dict[str, tuple[int | list[str], Origin]] = field(default_factory=dict)

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
            self.origins[axis.name] = origin
        elif known.size != axis.size or (axis.parts and axis.parts != known.parts):
            what = f"axis {axis.name!r} comes from two includes with another size or product"
            got = f"{_shown(axis)} and {_shown(known)}"
            problems.append(origin.problem(what, got=got, todo="give one of them as: prefix"))

    def inherit_all(self, table: AxisTable, origin: Origin, problems: list[Problem]) -> None:
        """Add every axis of `table`."""
        for axis in table.axes.values():
            self.inherit(axis, origin, problems)
        self.broken |= table.broken

    def declare(self, name: str, spec: int | list[str], origin: Origin, problems: list[Problem]) -> None:
        """Add an axis of the file itself; sizes of composed axes follow in `settle`."""
        known = self.axes.get(name)
        if isinstance(spec, int):
            if known is not None and known.size != spec:
                what = f"axis {name!r} redeclared with another size"
                problems.append(origin.problem(what, got=str(spec), expected=_shown(known)))
            elif known is None:
                self.axes[name] = Axis(name, spec)
                self.origins[name] = origin
        elif known is not None and known.parts and known.parts != tuple(spec):
            what = f"axis {name!r} redeclared with another product"
            problems.append(origin.problem(what, got=_shown(Axis(name, 0, tuple(spec))), expected=_shown(known)))
        elif known is None or not known.parts:
            self._own[name] = (spec, origin)

    def settle(self, problems: list[Problem]) -> None:
        """Compute composed axes in the order of their dependence."""
        while self._own:
            ready = [n for n, (parts, _) in self._own.items() if not any(p in self._own for p in parts)]
            if not ready:
                for name, (parts, origin) in self._own.items():
                    problems.append(origin.problem(f"axis cycle: {name!r} is part of itself", got=f"[{', '.join(parts)}]"))
                self.broken |= set(self._own)
                self._own.clear()
            for name in ready:
                self._compose(name, *self._own.pop(name), problems)

    def _compose(self, name: str, parts: list[str], origin: Origin, problems: list[Problem]) -> None:
        known = self.axes.get(name)
        unknown = [p for p in parts if p not in self.axes]
        if unknown:
            if not self.broken.issuperset(unknown):
                hint = nearest(unknown[0], self.axes) or f"axes are {', '.join(self.axes) or 'none'}"
                problems.append(origin.problem(f"unknown axis {unknown[0]!r} in {name!r}", todo=hint))
            self.broken.add(name)
            return
        if self._reaches(parts, name):
            problems.append(origin.problem(f"axis cycle: {name!r} is part of itself", got=f"[{', '.join(parts)}]"))
            self.broken.add(name)
            return
        primitive = [q for p in parts for q in self.primitives(p)]
        if len(set(primitive)) < len(primitive):
            problems.append(origin.problem(f"axis {name!r} has a part twice", got=f"[{', '.join(parts)}]"))
            self.broken.add(name)
            return
        size = math.prod(self.axes[p].size for p in parts)
        if known is not None and known.size != size:
            what = f"axis {name!r} redeclared with a wrong product"
            got = f"{' x '.join(str(self.axes[p].size) for p in parts)} = {size}"
            problems.append(origin.problem(what, got=got, expected=str(known.size)))
            return
        if size > MAX_COUNT:
            problems.append(origin.problem(f"axis {name!r} is too large", got=str(size), expected="at most 2**53"))
            self.broken.add(name)
            return
        self.axes[name] = Axis(name, size, tuple(parts))
        self.origins[name] = origin

    def _reaches(self, parts: list[str], name: str) -> bool:
        return any(p == name or self._reaches(list(self.axes[p].parts), name) for p in parts)

    def primitives(self, name: str) -> tuple[str, ...]:
        """Return the primitive axes of `name`, last one fastest."""
        parts = self.axes[name].parts
        return tuple(q for p in parts for q in self.primitives(p)) if parts else (name,)

    def renamed(self, new: Callable[[str], str]) -> AxisTable:
        """Return the table with every name changed by `new`."""
        axes = {new(a.name): Axis(new(a.name), a.size, tuple(map(new, a.parts))) for a in self.axes.values()}
        origins = {new(n): o for n, o in self.origins.items()}
        return AxisTable(axes, origins, {new(n) for n in self.broken})

    def final(self) -> dict[str, Axis]:
        """Return the axes by name."""
        return dict(self.axes)


def _shown(axis: Axis) -> str:
    return f"[{', '.join(axis.parts)}]" if axis.parts else str(axis.size)
