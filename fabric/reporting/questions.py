"""The maximum flows that a report asks about, chosen from the axes of a fabric."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools
from fabric.blueprint import Axis, Blueprint, DeviceGroup
from fabric.blueprint.selector import range_word
from fabric.errors import LimitError, QuestionError
from fabric.graph import Expanded, Fabric, expand


@dataclass(frozen=True, slots=True)
class FlowQuestion:
    """A maximum flow: what it tells, and its two sides as selectors."""

    what: str
    source: str
    target: str


def questions(fabric: Fabric) -> list[FlowQuestion]:
    """Return the flows to ask about: between kinds of endpoints, two units, the halves, and two endpoints.

    Parameters
    ----------
    fabric : Fabric
        With a blueprint.

    Returns
    -------
    list of FlowQuestion
        A unit is an index of the outermost axis of the endpoints that has a size above 1; halves are of its
        first part where it is composed. Indices without an endpoint are left out.

    Raises
    ------
    QuestionError
        If there is no endpoint, or only one.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 5}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    >>> [(q.source, q.target) for q in questions(loads(text))]
    [('gpu0', 'gpu1'), ('i0-1', 'i2-4')]
    """
    blueprint = fabric.blueprint
    if blueprint is None or not any(g.is_endpoint for g in blueprint.groups.values()):
        msg = f"{fabric.name} has no endpoint, so nothing is sent"
        raise QuestionError(msg)
    kinds = [
        FlowQuestion("two kinds of endpoints", a, b)
        for a, b in itertools.combinations([g.name for g in blueprint.groups.values() if g.is_endpoint], 2)
    ]
    try:
        expanded = expand(fabric)
    except LimitError:
        return [*kinds, *_by_blueprint(blueprint)]
    up = expanded.is_endpoint & ~expanded.failed
    if up.sum() < 2:
        msg = f"{fabric.name} has {int(up.sum())} endpoints that are up; a flow needs two"
        raise QuestionError(msg)
    axis = _outermost(blueprint, expanded, up)
    if axis is None:
        first, second = np.flatnonzero(up)[:2].tolist()
        return [
            *kinds,
            FlowQuestion("two endpoints", str(expanded.names[first]), str(expanded.names[second])),
        ]
    return [*kinds, *_along(blueprint, expanded, up, axis)]


def _by_blueprint(blueprint: Blueprint) -> Iterator[FlowQuestion]:
    """Yield the same questions where the fabric is too large to look at each endpoint."""
    groups = [g for g in blueprint.groups.values() if g.is_endpoint]
    group = max(groups, key=lambda g: blueprint.n_devices(g.name))
    axis = next((blueprint.axes[a] for a in group.axes if blueprint.axes[a].size > 1), None)
    if axis is None:
        return
    units = (f"{axis.name}0", f"{axis.name}1")
    part = next((p for p in axis.parts if blueprint.axes[p].size > 1), axis.name)
    size = blueprint.axes[part].size
    halves = (range_word(part, 0, size // 2 - 1), range_word(part, size // 2, size - 1))
    if units != halves:
        yield FlowQuestion("two neighbouring units", *units)
    yield FlowQuestion("the two halves", *halves)
    first, second = ({a: 0 for a in group.axes} | {axis.name: i} for i in (0, 1))
    yield FlowQuestion("two endpoints of two units", _name_device(group, first), _name_device(group, second))


def _name_device(group: DeviceGroup, at: Mapping[str, int]) -> str:
    """Return the name of the device of `group` at an index on each of its axes."""
    above = [f"{axis}{at[axis]}" for axis in group.axes[:-1]]
    return "/".join([*above, f"{group.name}{at[group.axes[-1]]}"])


def _outermost(blueprint: Blueprint, expanded: Expanded, up: Bools) -> Axis | None:
    """Return the first axis, of the largest group of endpoints, with endpoints at two indices."""
    numbers = np.bincount(expanded.group[up], minlength=len(expanded.groups))
    group = blueprint.groups[expanded.groups[int(np.argmax(numbers))].name]
    for name in group.axes:
        if len(_indices(expanded, up, name)) > 1:
            return blueprint.axes[name]
    return None


def _indices(expanded: Expanded, up: Bools, axis: str) -> list[int]:
    indices = np.unique(expanded.coordinates[axis][up])
    return [int(i) for i in indices if i >= 0]


def _along(blueprint: Blueprint, expanded: Expanded, up: Bools, axis: Axis) -> Iterator[FlowQuestion]:
    low, high = _indices(expanded, up, axis.name)[:2]
    index = expanded.coordinates[axis.name]
    ends = [str(expanded.names[int(np.flatnonzero(up & (index == i))[0])]) for i in (low, high)]
    one_each = all(int((up & (index == i)).sum()) == 1 for i in (low, high))
    part = next((p for p in axis.parts if blueprint.axes[p].size > 1), axis.name)
    size = blueprint.axes[part].size
    middle = size // 2
    indices = _indices(expanded, up, part)
    has_halves = indices[0] < middle <= indices[-1]
    # Two units, one in each half, are the halves.
    is_both = has_halves and len(_indices(expanded, up, axis.name)) == 2
    if one_each:
        yield FlowQuestion("two neighbouring endpoints", *ends)
    elif not is_both:
        yield FlowQuestion("two neighbouring units", f"{axis.name}{low}", f"{axis.name}{high}")
    if has_halves and not (one_each and is_both):
        yield FlowQuestion(
            "the two halves", range_word(part, 0, middle - 1), range_word(part, middle, size - 1)
        )
    if not one_each:
        yield FlowQuestion("two endpoints of two units", *ends)
