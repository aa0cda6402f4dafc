"""What recovered axes are called: as names of nodes have it, else by what they hold together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fabric.interop.recovery.axes import FoundAxis
from fabric.interop.recovery.sketch import FoundGroup, Sketch

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z])?")
# Of axes that endpoints are on, the outermost first, by how many there are.
_NESTED = {1: ("su",), 2: ("pod", "su"), 3: ("pod", "su", "block"), 4: ("site", "pod", "su", "block")}
_RELATED = ("x", "y", "z", "w")


def axis_names(drawn: Sketch) -> list[str]:
    """Return a name for every axis, no two alike."""
    groups = [group.role.name for group in drawn.groups]
    if len(drawn.axes) == 1 and len(drawn.axes[0].groups) == len(groups) > 1:
        return ["at"]
    names: list[str] = []
    nested = [
        a for a, axis in enumerate(drawn.axes) if len(axis.groups) > 1 and _holds_endpoints(axis, drawn)
    ]
    for a, axis in enumerate(drawn.axes):
        word = axis.word if _NAME.fullmatch(axis.word) else ""
        if word in groups and not _may_be_called(a, word, drawn):
            word = ""
        if not word or (word in groups and not axis.rules and len(axis.groups) == 1):
            word = _default(a, nested, drawn)
        names.append(_unused(word, names, groups, drawn, a))
    return names


def _may_be_called(a: int, word: str, drawn: Sketch) -> bool:
    """Return whether an axis may have the name of a group: it is the last one of that."""
    group = next(group for group in drawn.groups if group.role.name == word)
    return group.axes[-1:] == (a,)


def _holds_endpoints(axis: FoundAxis, drawn: Sketch) -> bool:
    return any(drawn.groups[g].role.is_endpoint for g in axis.groups)


def _default(a: int, nested: list[int], drawn: Sketch) -> str:
    axis = drawn.axes[a]
    related = [r.along for r in drawn.rules if r.relation in ("mesh", "ring", "line")]
    if (a,) in related and len(related) > 1:
        return _RELATED[min(list(dict.fromkeys(related)).index((a,)), 3)]
    if a in nested:
        known = _NESTED.get(len(nested), ("pod",) * len(nested))
        return "rack" if len(nested) == 1 and not _has_rails(drawn) else known[nested.index(a)]
    if len(axis.groups) > 1:
        return "plane" if any(drawn.groups[g].role.level == 1 for g in axis.groups) else "group"
    (own,) = axis.groups
    group = drawn.groups[own]
    return "rail" if group.role.level == 1 and _sees_several(drawn, own) else group.role.name


def _has_rails(drawn: Sketch) -> bool:
    return any(g.role.level == 1 and _sees_several(drawn, n) for n, g in enumerate(drawn.groups))


def _sees_several(drawn: Sketch, leaf: int) -> bool:
    """Return whether an endpoint has cables to several leaves of a group: it has an axis that they lack."""
    for rule in drawn.rules:
        if rule.upper == leaf and drawn.groups[rule.lower].role.is_endpoint and not rule.relation:
            return bool(set(drawn.groups[leaf].axes) - set(drawn.groups[rule.lower].axes))
    return False


def _unused(word: str, names: list[str], groups: list[str], drawn: Sketch, a: int) -> str:
    taken, letter = word, ord("b")
    while taken in names or (taken in groups and not _may_be_called(a, taken, drawn)):
        taken, letter = f"{word}.{chr(letter)}", letter + 1
    return taken


def group_axes(group: FoundGroup, names: Sequence[str]) -> str:
    """Return the axes of a group as the file has them.

    Examples
    --------
    >>> from fabric.interop.recovery.roles import Role
    >>> import numpy as np
    >>> empty = np.zeros(0, dtype=np.int64)
    >>> group_axes(FoundGroup(Role("leaf", "switch", False, False, 1), (0, 1), empty, empty), ["pod", "rail"])
    'pod, rail'
    """
    return ", ".join(names[a] for a in group.axes)
