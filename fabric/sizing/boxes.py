"""Boxes of a cable plan: the servers and trays whose boards are not cabled, and what they are called."""

from __future__ import annotations

from dataclasses import replace

from fabric.blueprint.model import Blueprint, Rule
from fabric.errors import QuestionError
from fabric.sizing.fittings import fittings
from fabric.sizing.floor import Enclosure, enclosures
from fabric.text.patterns import NamePattern

_BOX_AXES = ("node", "server", "tray", "host")
"""Axes whose indices are boxes, whatever boards are in them."""


def boxes(blueprint: Blueprint) -> tuple[Enclosure, ...]:
    """Return the servers and trays: what boards hold together, or else what an axis is called by."""
    boards = tuple(rule for rule in blueprint.rules if not _is_backplane(rule))
    boxes = (_as_called(blueprint, box) for box in enclosures(replace(blueprint, rules=boards)))
    return tuple(
        box
        for box in boxes
        # A rack is no box, and neither is a device alone.
        if box.n_rack_axes is None or box.n_rack_axes < len(box.axes)
        if len(box.groups) > 1 or any(set(blueprint.groups[g].primitives) > set(box.axes) for g in box.groups)
    )


def _as_called(blueprint: Blueprint, box: Enclosure) -> Enclosure:
    """Return a box that is all of a node or tray where the file has one: boards of one server are one box."""
    for axis in blueprint.axes if len(box.groups) > 1 else ():
        primitives = blueprint.primitives(axis)
        if axis.rpartition(".")[2] not in _BOX_AXES or not set(primitives) <= set(box.axes):
            continue
        axes = box.axes[: box.axes.index(primitives[-1]) + 1]
        if axes != box.axes and (box.n_rack_axes or 0) < len(axes):
            return replace(box, axes=axes)
    return box


def _is_backplane(rule: Rule) -> bool:
    return bool(rule.medium) and fittings()[rule.medium].form == "backplane"


def box_pattern(blueprint: Blueprint, box: Enclosure) -> NamePattern | None:
    """Return what boxes are called: by the axis that they are along, or as a group that each has one of.

    Raises
    ------
    QuestionError
        If the names do not tell them apart.
    """
    along = [axis for axis in blueprint.site_names if axis in blueprint.axes]
    for axis in along:
        primitives = set(blueprint.primitives(axis))
        if box.axes and box.axes[-1] in primitives and primitives <= set(box.axes):
            pattern = blueprint.site_names[axis]
            told = {p for name in pattern.fields for p in blueprint.primitives(name)}
            apart = [p for p in box.axes if blueprint.axes[p].size > 1 and p not in told]
            if apart or not told <= set(box.axes):
                wrong = apart[0] if apart else sorted(told - set(box.axes))[0]
                todo = f"add {{{wrong}}}" if apart else f"they are not on the axis {wrong}"
                msg = f"names of {axis}: {pattern.text!r} is no name of servers; {todo}"
                raise QuestionError(msg)
            return pattern
    for group in blueprint.groups.values():
        if group.name in box.groups and set(group.primitives) == set(box.axes):
            if group.name in blueprint.site_names:
                return blueprint.site_names[group.name]
    return None
