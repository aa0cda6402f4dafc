"""Ranges of several axes at once: pod i has lost spine i, and a permutation moves pods and spines together.

Alike parts of the damage that are on several axes, none of which is under another, are alike only if all
their indices change places at once::

    failed    pod0/spine0, pod1/spine1, pod2/spine2        pods 0, 1 <-> 1, 0  and  spines 0, 1 <-> 1, 0

That two parts have equal codes is a proposal. Each exchange of neighbours is applied to the damage, and what
it does not leave as it was is no range. The exchanges of neighbours make all permutations of the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabric.symmetry.damage import Damage, Tag
from fabric.symmetry.labels import Mark
from fabric.symmetry.nesting import Nesting, TiedRange

Range = tuple[str, int, int]
"""An axis, with the first and the last of some of its indices."""
Part = list[tuple[str, Mark, int]]
"""The axis, the indices on the axes above, and the index of all places of a part of the damage."""

_Exchange = Mapping[str, Mapping[int, int]]


def tied_ranges(
    damage: Sequence[Damage],
    ranges: Sequence[tuple[Range, ...]],
    alike: Sequence[Sequence[Part]],
    nest: Nesting,
) -> tuple[TiedRange, ...]:
    """Return what of the damage is alike only by exchanges on several axes at once.

    Parameters
    ----------
    damage : sequence of Damage
        With alike damage at neighbouring indices.
    ranges : sequence of tuple of Range
        The same, put together as ranges.
    alike : sequence of sequence of Part
        Sets of parts of equal code, each part by its places in the same order.
    nest : Nesting
    """
    touching: dict[tuple[str, int], set[int]] = {}
    for number, one in enumerate(damage):
        for end in one.ends:
            for place in end:
                touching.setdefault(place, set()).add(number)
    all_keys = {_key(one.tag, one.ends) for one in damage}
    found: dict[object, TiedRange] = {}
    for parts in alike:
        layout = _layout(parts, nest)
        if layout is None:
            continue
        context, starts, widths = layout
        for number in range(len(parts) - 1):
            exchange = {
                axis: {
                    starts[axis] + w * (number + a) + i: starts[axis] + w * (number + 1 - a) + i
                    for a in (0, 1)
                    for i in range(w)
                }
                for axis, w in widths.items()
            }
            near = {m for axis, swap in exchange.items() for i in swap for m in touching.get((axis, i), ())}
            images = {
                _key(damage[m].tag, tuple(_image(end, exchange, context) for end in damage[m].ends))
                for m in near
            }
            if not images <= all_keys:
                break
        else:
            above = _above(context, starts, ranges)
            cells = {axis: _cells(axis, starts[axis], w, len(parts), ranges) for axis, w in widths.items()}
            tied = TiedRange(starts, widths, len(parts), above, cells)
            found[tuple(starts.items()), tuple(above.items())] = tied
    return tuple(found.values())


def _layout(parts: Sequence[Part], nest: Nesting) -> tuple[Mark, dict[str, int], dict[str, int]] | None:
    """Return the indices above, the first one on each axis, and how many of a part; None for no range."""
    tops: list[dict[str, list[int]]] = []
    contexts = set()
    for part in parts:
        own = {(axis, i) for axis, _, i in part}
        top: dict[str, list[int]] = {}
        for axis, above, i in part:
            if own.isdisjoint(above):
                contexts.add(above)
                top.setdefault(axis, []).append(i)
        tops.append(top)
    axes = list(tops[0])
    # Of one axis it is a range as it is; what a ring joins stays where it is.
    if len(axes) < 2 or len(contexts) > 1 or any(axis in nest.permutations for axis in axes):
        return None
    starts = {axis: min(tops[0][axis]) for axis in axes}
    widths = {axis: len(tops[0][axis]) for axis in axes}
    for number, top in enumerate(tops):
        wanted = {
            a: list(range(starts[a] + number * w, starts[a] + (number + 1) * w)) for a, w in widths.items()
        }
        if {axis: sorted(own) for axis, own in top.items()} != wanted:
            return None
    return next(iter(contexts)), starts, widths


def _image(end: Mark, exchange: _Exchange, context: Mark) -> Mark:
    at = dict(end)
    if any(at.get(axis) != i for axis, i in context):
        return end
    return tuple((axis, exchange.get(axis, {}).get(i, i)) for axis, i in end)


def _key(tag: Tag, ends: tuple[Mark, ...]) -> tuple[object, ...]:
    """Return what is the same for equal damage: cables between alike ends have these in no order."""
    sides = tag[2]
    return tag, tuple(sorted(ends)) if len(set(sides)) < len(sides) else ends


def _cells(
    axis: str, start: int, width: int, n_parts: int, ranges: Sequence[tuple[Range, ...]]
) -> tuple[int, ...]:
    """Return where in a part of a tied range others of its ranges begin: what is inside one is alike."""
    own = [(lo - start, hi + 1 - start) for end in ranges for a, lo, hi in end if a == axis]
    limits = {limit % width for ends in own for limit in ends if 0 <= limit < width * n_parts}
    return tuple(sorted({0, *limits}))


def _above(
    context: Mark, starts: Mapping[str, int], ranges: Sequence[tuple[Range, ...]]
) -> dict[str, tuple[int, int]]:
    """Return the ranges of the axes above: what is under all indices of these is the same."""
    for end in ranges:
        at = {axis: (lo, hi) for axis, lo, hi in end}
        is_on = any(axis in at and at[axis][0] <= start <= at[axis][1] for axis, start in starts.items())
        if is_on and all(axis in at and at[axis][0] <= i <= at[axis][1] for axis, i in context):
            return {axis: at[axis] for axis, _ in context}
    return {axis: (i, i) for axis, i in context}


def widened(end: tuple[Range, ...], tied: Sequence[TiedRange]) -> tuple[Range, ...]:
    """Return a range of damage as one of all parts of the tied range that it is in."""
    for one in tied:
        at = {axis: (lo, hi) for axis, lo, hi in end}
        if all(axis in at and lo <= at[axis][0] <= hi for axis, (lo, hi) in one.above.items()):
            end = tuple(
                (axis, one.starts[axis], one.last(axis))
                if axis in one.starts and one.starts[axis] <= lo <= one.last(axis)
                else (axis, lo, hi)
                for axis, lo, hi in end
            )
    return end
