"""What devices and ports are called at a site: ``dc1-p{pod}-l{slot+1:02}``, one pattern for each group.

A pattern for an axis, such as ``node``, is that of the servers along it.

A field is an axis of the group; of ports also ``n``, the number of the port, and ``lane``, the part of it.
Names are read back, so every axis of the group must stand in them, and no two groups may have names of one
shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fabric.blueprint.model import Axis, DeviceGroup, Origin
from fabric.errors import Problem, QuestionError, nearest
from fabric.text.patterns import NamePattern, NumberField, read_pattern

PORT_FIELDS = ("n", "lane")


def read_names(
    texts: Mapping[str, str],
    origin: Callable[[str], Origin],
    axes: Mapping[str, Axis],
    groups: Mapping[str, DeviceGroup],
) -> tuple[dict[str, NamePattern], list[Problem]]:
    """Return how devices are called at their site, by group, servers by axis, and what is wrong.

    Parameters
    ----------
    texts : mapping of str to str
        Patterns by group or axis.
    origin : callable
        Where the pattern of a group stands.
    axes : mapping of str to Axis
    groups : mapping of str to DeviceGroup
    """
    patterns: dict[str, NamePattern] = {}
    problems: list[Problem] = []
    shapes: dict[str, str] = {}
    for name, text in texts.items():
        group = groups.get(name)
        if group is None and name not in axes:
            known = nearest(name, [*groups, *axes])
            problems.append(origin(name).problem(f"no group or axis {name!r}", todo=known))
            continue
        try:
            # What an axis names are the servers along it, whichever axes they are on besides.
            pattern = read_pattern(text, fields_of(group) if group else list(axes))
        except QuestionError as error:
            problems.append(origin(name).problem(str(error), got=text))
            continue
        missing = _missing(pattern, group, axes) if group else []
        low = next((p for p in pattern.parts if isinstance(p, NumberField) and p.offset < 0), None)
        if low is not None:
            fault = f"names of {name}: index 0 of {low.name} would be called {low.show(0)}"
            problems.append(origin(name).problem(fault, got=text, todo="add a number instead"))
        elif not pattern.fields and text != name and text in (*groups, *axes):
            fault = f"names of {name}: {text!r} is a selector of other devices"
            problems.append(origin(name).problem(fault, todo="add a letter"))
        elif missing:
            fault = f"names of {name} are not told apart along {', '.join(missing)}"
            problems.append(origin(name).problem(fault, todo=f"add {{{missing[0]}}}"))
        elif pattern.shape in shapes:
            fault = f"names of {name} and of {shapes[pattern.shape]} may be the same"
            problems.append(origin(name).problem(fault, got=text, todo="add a letter to one of them"))
        else:
            shapes[pattern.shape] = name
            patterns[name] = pattern
    return patterns, problems


def read_port_names(
    texts: Mapping[str, str], origin: Callable[[str], Origin], groups: Mapping[str, DeviceGroup]
) -> tuple[dict[str, NamePattern], list[Problem]]:
    """Return how ports are called, by group, and what is wrong."""
    patterns: dict[str, NamePattern] = {}
    problems: list[Problem] = []
    for name, text in texts.items():
        if name not in groups:
            problems.append(origin(name).problem(f"no group {name!r}", todo=nearest(name, list(groups))))
            continue
        try:
            patterns[name] = read_pattern(text, [*PORT_FIELDS, *fields_of(groups[name])])
        except QuestionError as error:
            problems.append(origin(name).problem(str(error), got=text))
    return patterns, problems


def fields_of(group: DeviceGroup) -> tuple[str, ...]:
    """Return the axes that may stand in the names of a group: as it is placed, and the primitive ones."""
    return tuple(dict.fromkeys((*group.axes, *group.primitives)))


def _missing(pattern: NamePattern, group: DeviceGroup, axes: Mapping[str, Axis]) -> list[str]:
    """Return the axes of a group that its names do not tell."""
    told = {part.name for part in pattern.parts if isinstance(part, NumberField)}
    composed = {axis: set(_primitives(axes, axis)) for axis in told}
    all_told = set().union(*composed.values()) if composed else set()
    return [
        axis
        for axis in group.axes
        if any(axes[p].size > 1 and p not in all_told for p in _primitives(axes, axis))
    ]


def _primitives(axes: Mapping[str, Axis], axis: str) -> tuple[str, ...]:
    parts = axes[axis].parts
    return tuple(p for part in parts for p in _primitives(axes, part)) if parts else (axis,)
