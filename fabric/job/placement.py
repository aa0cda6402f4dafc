"""Which ranks a job has, how they are numbered, and which of them form a group.

Parallel dimensions are mapped onto axes as einops does it::

    (pod rack tray slot) -> (dp pp=4 tp=8)

numbers the ranks along the axes on the left, the last one fastest, and cuts the numbers into the dimensions
on the right; one of these may leave its size open. Where a dimension takes part of an axis, the axis is
split, and the fabric stays as symmetric as it is under such a split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from fabric.blueprint.model import Axis, Blueprint
from fabric.blueprint.remembered import remembered
from fabric.blueprint.rule_axes import relation_axes
from fabric.errors import QuestionError, nearest, setting
from fabric.flow.traffic import FittedTraffic, Traffic
from fabric.job.part import part_of
from fabric.symmetry import NoSymmetryError, devices_up

_ORDER_RE = re.compile(r"\s*\(?([\w.\s]{1,400})\)?\s*->\s*\(?([\w.=\s]{1,400})\)?\s*")


@dataclass(frozen=True, slots=True)
class Placement:
    """Which ranks, in which order.

    Parameters
    ----------
    blueprint : Blueprint
        With the axes that the order splits.
    group : str
        The endpoints.
    order : tuple of str
        Primitive axes of the group, outermost first: ranks are numbered with the last one fastest.
    spans : frozenset of str
        Primitive axes that one instance spans.
    among : str, tuple of str or None
        Selector of the ranks, or several of them.
    others : tuple of Placement
        Those of the other groups that the ranks are of, numbered after these.
    """

    blueprint: Blueprint
    group: str
    order: tuple[str, ...]
    spans: frozenset[str]
    among: str | tuple[str, ...] | None
    others: tuple[Placement, ...] = ()

    @property
    def parts(self) -> tuple[Placement, ...]:
        """The placement of each group."""
        return (self, *self.others)

    @property
    def axes(self) -> tuple[str, ...]:
        """Primitive axes of all groups."""
        return tuple(dict.fromkeys(axis for part in self.parts for axis in part.order))


def placement(blueprint: Blueprint, *, over: Sequence[str], among: str | None, order: str = "") -> Placement:
    """Return the placement of a job.

    Parameters
    ----------
    blueprint : Blueprint
    over : sequence of str
        Axes, or dimensions of `order`, that one instance spans; all of them if empty.
    among : str, optional
        Selector of the ranks.
    order : str
        Such as ``"(pod rack tray slot) -> (dp tp=8)"``; the order of the file if empty.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit the fabric.
    NoSymmetryError
        If ranks are of several groups, or a dimension straddles an axis.
    """
    if not order:
        question = FittedTraffic(blueprint, Traffic("all-to-all", tuple(over)), among)
        if not question.groups:
            none = f"{blueprint.name} has no endpoint"
            msg = f"{setting('among', among)} selects no endpoint" if among else none
            raise QuestionError(msg)
        first, *others = (
            Placement(blueprint, group, axes, question.spans or frozenset(axes), among)
            for group, axes in ((group, blueprint.groups[group].primitives) for group in question.groups)
        )
        if others and over:
            msg = f"the ranks are of several groups ({', '.join(question.groups)})"
            raise NoSymmetryError(msg)
        return replace(first, others=tuple(others))
    group, split, numbered, dimensions = _ordered(blueprint, among, order)
    check_over(over, dimensions, order)
    spans = frozenset(p for name in over or dimensions for p in dimensions[name])
    return Placement(split, group, numbered, spans, None)


@remembered(16)
def _ordered(
    blueprint: Blueprint, among: str | None, order: str
) -> tuple[str, Blueprint, tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the ranks, their fabric with axes cut by an order, these axes, and those of each dimension.

    The same for all groups of one order, so that what is known of the fabric is known to all of them.
    """
    # First as without an order, then numbered along its left side and cut by its right side. Some of the
    # endpoints are the part of the fabric that they have.
    left, right = read_order(order)
    unordered = placement(blueprint, over=(), among=among)
    if unordered.others:
        groups = ", ".join(part.group for part in unordered.parts)
        msg = f"the ranks are of several groups ({groups}), and an order is of one"
        raise NoSymmetryError(msg)
    numbered = left_axes(blueprint, unordered.group, left, order)
    part = blueprint if among is None else part_of(blueprint, among)
    n_places = math.prod(part.axes[a].size for a in numbered)
    if (n_ranks := devices_up(part, unordered.group)) < n_places:
        msg = f"{n_places:,} places have {n_ranks:,} ranks, whose numbers run on across gaps"
        raise NoSymmetryError(msg)
    split, dimensions = _cut(part, numbered, right, order)
    return unordered.group, split, tuple(p for a in numbered for p in split.primitives(a)), dimensions


def check_over(over: Sequence[str], dimensions: Collection[str], order: str) -> None:
    """Raise where `over` names what is no dimension of an order.

    Raises
    ------
    QuestionError
    """
    for name in over:
        if name not in dimensions:
            hint = nearest(name, dimensions) or f"dimensions are {', '.join(dimensions)}"
            msg = f"over: no dimension {name!r} in {order!r}; {hint}"
            raise QuestionError(msg)


def read_order(order: str) -> tuple[tuple[str, ...], dict[str, int | None]]:
    """Return the axes on the left of an order, and the dimensions on its right with their sizes.

    Raises
    ------
    QuestionError
        If it cannot be read.

    Examples
    --------
    >>> read_order("(rack slot) -> (dp tp=4)")
    (('rack', 'slot'), {'dp': None, 'tp': 4})
    """
    match = _ORDER_RE.fullmatch(order)
    form = "expected such as '(pod rack tray slot) -> (dp pp=4 tp=8)'"
    if match is None:
        msg = f"order {order[:80]!r}: {form}"
        raise QuestionError(msg)
    dimensions: dict[str, int | None] = {}
    for word in match[2].split():
        name, equals, size = word.partition("=")
        is_good = name.isidentifier() and (not equals or (size.isdecimal() and 0 < int(size[:10]) < 10**9))
        if not is_good or name in dimensions:
            msg = f"order {order!r}: {word!r} is no new dimension with a size; {form}"
            raise QuestionError(msg)
        dimensions[name] = int(size) if equals else None
    if sum(size is None for size in dimensions.values()) > 1:
        msg = f"order {order!r}: one dimension at most may leave its size open"
        raise QuestionError(msg)
    return tuple(match[1].split()), dimensions


def left_axes(blueprint: Blueprint, group: str, left: Sequence[str], order: str) -> tuple[str, ...]:
    """Return the primitive axes on the left of an order, which must be those of the ranks, each once.

    Raises
    ------
    QuestionError
        If one is no axis, or they are not those of the group.
    """
    own = blueprint.groups[group].primitives
    for axis in left:
        if axis not in blueprint.axes:
            hint = nearest(axis, blueprint.axes) or f"axes of {group} are {', '.join(own)}"
            msg = f"order: no axis {axis!r}; {hint}"
            raise QuestionError(msg)
    axes = tuple(p for axis in left for p in blueprint.primitives(axis))
    if sorted(axes) != sorted(own):
        msg = f"order {order!r}: {group} is placed on {' '.join(own)}; name each of them once"
        raise QuestionError(msg)
    return axes


def _cut(
    blueprint: Blueprint, numbered: tuple[str, ...], right: Mapping[str, int | None], order: str
) -> tuple[Blueprint, dict[str, tuple[str, ...]]]:
    """Return the blueprint with axes split where dimensions meet inside them, and the axes of each dimension.

    From the last axis and the last dimension on, the smaller of two sizes must divide the larger one, which
    goes on with the rest.
    """
    total = math.prod(blueprint.axes[a].size for a in numbered)
    sizes = dimension_sizes(right, total, order)
    factors: dict[str, list[tuple[str, int]]] = {a: [] for a in numbered}
    parts_of: dict[str, list[str]] = {name: [] for name in sizes}
    axes = list(reversed([(a, blueprint.axes[a].size) for a in numbered]))
    # Factors of axes and dimensions, the fastest first; `left` and `room` are what is still to place.
    axis, room = "", 1
    for name, size in reversed(sizes.items()):
        left = size
        while left > 1:
            while room == 1:  # an axis that is used up, or of one index
                axis, room = axes.pop(0)
            # The smaller of the two divides the other, or the dimension straddles the axis.
            step = min(left, room)
            if left % step or room % step:
                msg = f"order {order!r}: {name} ({size}) straddles {axis}"
                raise NoSymmetryError(msg)
            part = f"{axis}.{len(factors[axis])}"
            factors[axis].append((part, step))
            parts_of[name].append(part)
            left, room = left // step, room // step
    split = {a: parts for a, parts in factors.items() if len(parts) > 1}
    # An axis that went whole into one dimension keeps its name.
    unsplit = {parts[0][0]: a for a, parts in factors.items() if len(parts) == 1}
    dimensions = {n: tuple(unsplit.get(p, p) for p in reversed(parts)) for n, parts in parts_of.items()}
    return split_axes(blueprint, {a: tuple(reversed(parts)) for a, parts in split.items()}), dimensions


def dimension_sizes(right: Mapping[str, int | None], total: int, order: str) -> dict[str, int]:
    """Return the size of every dimension among `total` ranks.

    Raises
    ------
    QuestionError
        If their product is another number.
    """
    # One size at most is open: it is what the others leave.
    known = math.prod(size for size in right.values() if size is not None)
    is_open = None in right.values()
    if total % known or (not is_open and known != total):
        msg = f"order {order!r}: {total:,} ranks on the left, {known:,} on the right"
        raise QuestionError(msg)
    return {name: total // known if size is None else size for name, size in right.items()}


def split_axes(blueprint: Blueprint, parts: Mapping[str, tuple[tuple[str, int], ...]]) -> Blueprint:
    """Return `blueprint` with some primitive axes as products of new ones; the fabric is the same.

    Parameters
    ----------
    blueprint : Blueprint
    parts : mapping of str to tuple of (str, int)
        Names and sizes of the new axes, the last one fastest; their product is the size of the old one.
    """
    axes: dict[str, Axis] = {}
    for axis in blueprint.axes.values():
        if axis.name in parts:
            axes |= {name: Axis(name, size) for name, size in parts[axis.name]}
            axis = replace(axis, parts=tuple(name for name, _ in parts[axis.name]))
        axes[axis.name] = axis
    split = replace(blueprint, axes=axes)
    # Groups name the axes of the file; the primitive ones follow from the new parts.
    groups = {
        g.name: replace(g, primitives=tuple(p for a in g.axes for p in split.primitives(a)))
        for g in blueprint.groups.values()
    }
    return replace(split, groups=groups)


def ring_axes(blueprint: Blueprint, axes: Sequence[str]) -> frozenset[str]:
    """Return which of some axes are rings.

    Raises
    ------
    NoSymmetryError
        If one of them is a line, whose places are all different.
    """
    rings = set()
    for rule in blueprint.rules:
        if rule.relation is None or rule.relation.kind not in ("ring", "line"):
            continue
        along = set(relation_axes(blueprint, rule)) & set(axes)
        if along and rule.relation.kind == "line":
            msg = f"{rule.name}: the places on a line are all different"
            raise NoSymmetryError(msg)
        rings |= along
    return frozenset(rings)


def torus_of(place: Placement, sizes: Mapping[str, int], rings: Set[str]) -> tuple[tuple[str, int], ...]:
    """Return the ring axes of an instance with their sizes, if it is a whole torus; else nothing.

    Parameters
    ----------
    place : Placement
    sizes : mapping of str to int
        Indices of each axis that the instance takes up.
    rings : set of str
        As `ring_axes` returns them.
    """
    # Axes of one index close no ring and are left out.
    spanned = [a for a in place.order if a in place.spans and sizes[a] > 1]
    if any(a not in rings or sizes[a] != place.blueprint.axes[a].size for a in spanned):
        return ()
    return tuple((a, sizes[a]) for a in spanned)
