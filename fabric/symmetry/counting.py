"""How many devices of a file are up, counted without classes: boxes of indices, put together and taken away.

A certificate holds the sizes of classes to this. Devices that a selector names are a box, a range on every
axis; of boxes that overlap what is common is counted once (inclusion and exclusion)::

    |A or B or C|  =  |A|  +  |B| - |B and A|  +  |C| - |(C and A) or (C and B)|
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector

Box = tuple[tuple[int, int], ...]
"""First and last index on every primitive axis of a group."""


def devices_up(blueprint: Blueprint, group: str, *among: Selector | None) -> int:
    """Return how many devices of a group are neither absent nor failed.

    Parameters
    ----------
    blueprint : Blueprint
    group : str
    *among : Selector
        Of what any of these names only; of all where there is none.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 3, j: 4}, devices: {gpu: {kind: gpu, axes: [i, j]}, leaf: {kind: "
    >>> text += "switch, axes: []}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], "
    >>> text += "failed: [i0/gpu, i0-1/gpu2]}"
    >>> devices_up(loads_blueprint(text), "gpu")
    7
    """
    primitives = blueprint.groups[group].primitives
    all_devices: Box = tuple((0, blueprint.axes[p].size - 1) for p in primitives)
    chosen = [selector for selector in among if selector is not None]
    inside = [box for selector in chosen for box in boxes_of(blueprint, group, selector)]
    inside = inside if chosen else [all_devices]
    down = [box for s in (*blueprint.absent, *blueprint.failed) for box in boxes_of(blueprint, group, s)]
    # Only what is down among those asked for is taken away.
    lost = [common for inner in inside for box in down if (common := meet(inner, box)) is not None]
    return union_size(inside) - union_size(lost)


def count_named(blueprint: Blueprint, texts: tuple[str, ...]) -> tuple[int, int]:
    """Return how many devices that any of some selectors names are up, and how many have failed.

    A selector without a group means the endpoints there, as in every question.
    """
    healthy = replace(blueprint, failed=())
    n_up = n_all = 0
    for name, group in blueprint.groups.items():
        own = []
        for text in texts:
            chosen = read_selector(blueprint, text, needs_group=False)
            is_any = chosen.group is not None or chosen.text.endswith("*")
            if (is_any or group.is_endpoint) and name in selected_groups(blueprint, chosen):
                own.append(chosen)
        n_up += devices_up(blueprint, name, *own) if own else 0
        n_all += devices_up(healthy, name, *own) if own else 0
    return n_up, n_all - n_up


def boxes_of(blueprint: Blueprint, group: str, selector: Selector) -> Iterator[Box]:
    """Yield the devices of a group that a selector names, as boxes."""
    if group not in (selected_groups(blueprint, selector) if selector.terms or selector.group else [group]):
        return
    primitives = blueprint.groups[group].primitives
    all_devices: Box = tuple((0, blueprint.axes[p].size - 1) for p in primitives)
    boxes = [all_devices]
    for term in selector.terms:
        parts_of_axis = blueprint.primitives(term.axis)
        sizes = [blueprint.axes[p].size for p in parts_of_axis]
        places = [primitives.index(p) for p in parts_of_axis]
        parts = []
        for part in _ranges(sizes, term.lo, term.hi):
            limits = list(all_devices)
            for place, limit in zip(places, part, strict=True):
                limits[place] = limit
            parts.append(tuple(limits))
        # Terms narrow one another: every box meets every range of the next term.
        boxes = [common for outer in boxes for part in parts if (common := meet(outer, part)) is not None]
    yield from boxes


def _ranges(sizes: Sequence[int], lo: int, hi: int) -> Iterator[list[tuple[int, int]]]:
    """Yield a range of a composed axis as ranges of its parts, the first the coarsest."""
    inner = math.prod(sizes[1:])
    if len(sizes) == 1:
        yield [(lo, hi)]
        return
    first, last = lo // inner, hi // inner
    if first == last:
        yield from ([(first, first), *finer] for finer in _ranges(sizes[1:], lo % inner, hi % inner))
        return
    # The range in three: the end of the first coarse index, the start of the last, and all between them.
    if lo % inner:
        yield from ([(first, first), *finer] for finer in _ranges(sizes[1:], lo % inner, inner - 1))
        first += 1
    if hi % inner != inner - 1:
        yield from ([(last, last), *finer] for finer in _ranges(sizes[1:], 0, hi % inner))
        last -= 1
    if first <= last:
        yield [(first, last), *((0, n - 1) for n in sizes[1:])]


def meet(first: Box, second: Box) -> Box | None:
    """Return what two boxes have in common, if anything."""
    # On every axis the later start and the earlier end.
    common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))
    return common if all(a <= b for a, b in common) else None


def _size(box: Box) -> int:
    return math.prod(b - a + 1 for a, b in box)


def union_size(boxes: Sequence[Box]) -> int:
    """Return how many devices are in any of the boxes."""
    total = 0
    counted: list[Box] = []
    for box in dict.fromkeys(boxes):
        # Inclusion and exclusion: what the box has in common with earlier ones is counted already.
        shared = [common for earlier in counted if (common := meet(earlier, box)) is not None]
        # Else an earlier box holds all of it.
        if box not in shared:
            total += _size(box) - union_size(shared)
            counted.append(box)
    return total
