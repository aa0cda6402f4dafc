"""Selectors: devices by name, such as ``rack3/tray0-7/gpu``, ``leaf*`` or ``su3/node31/*``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from fabric.blueprint.model import Axis, Blueprint, DeviceGroup, Selector, Term
from fabric.errors import SelectorError, nearest

# A name of an axis or a group ends in a letter, so that an index can follow without a mark between.
NAME = r"[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z])?"
_TERM = re.compile(rf"(?P<name>{NAME})(?:(?P<lo>0|[1-9]\d{{0,15}})(?:-(?P<hi>0|[1-9]\d{{0,15}}))?|\*)?")


def parse_selector(
    text: str,
    axes: Mapping[str, Axis],
    groups: Mapping[str, DeviceGroup] | Collection[str],
    *,
    needs_group: bool = True,
) -> Selector:
    """Read a selector.

    Parameters
    ----------
    text : str
        ``TERM/TERM/g``, ``g0-3`` or ``*`` at the end; a term is ``axis``, ``axis3``, ``axis0-7``, ``axis*``.
    axes : mapping of str to Axis
    groups : mapping or collection of str
        Names of the device groups; with a mapping the axes of the group are checked too.
    needs_group : bool
        False in a question, where ``rack0`` means the endpoints there.

    Returns
    -------
    Selector

    Raises
    ------
    SelectorError
        Naming the word that cannot be read, with the nearest names.
    """
    *heads, last = text.split("/")
    terms = [_axis_term(word, text, axes) for word in heads]
    group: str | None = None
    if last != "*":
        name, lo, hi = _split(last, text)
        if name in groups:
            group = name
            terms += _last_term(name, lo, hi, text, axes, groups)
        elif needs_group:
            hint = nearest(name, groups) or f"groups are {', '.join(sorted(groups))}"
            msg = f"selector {text!r}: no device group {name!r}; {hint}"
            raise SelectorError(msg)
        elif name in axes:
            terms.append(_axis_term(last, text, axes))
        else:
            hint = nearest(name, [*groups, *axes]) or f"groups are {', '.join(sorted(groups))}"
            msg = f"selector {text!r}: no device group or axis {name!r}; {hint}"
            raise SelectorError(msg)
    found = [t for t in terms if t is not None]
    doubled = {t.axis for t in found if sum(u.axis == t.axis for u in found) > 1}
    if doubled:
        msg = f"selector {text!r}: axis {min(doubled)} is restricted twice"
        raise SelectorError(msg)
    return Selector(text, group, tuple(found))


def _split(word: str, text: str) -> tuple[str, int | None, int | None]:
    match = _TERM.fullmatch(word)
    if not match:
        msg = f"selector {text!r}: cannot read {word!r}; write a name, name3, name0-7 or name*"
        raise SelectorError(msg)
    lo = None if match["lo"] is None else int(match["lo"])
    hi = lo if match["hi"] is None else int(match["hi"])
    return match["name"], lo, hi


def _axis_term(word: str, text: str, axes: Mapping[str, Axis]) -> Term | None:
    name, lo, hi = _split(word, text)
    if name not in axes:
        hint = nearest(name, axes) or f"axes are {', '.join(sorted(axes)) or 'none'}"
        msg = f"selector {text!r}: no axis {name!r}; {hint}"
        raise SelectorError(msg)
    return _term(axes[name], lo, hi, text)


def _last_term(
    group: str,
    lo: int | None,
    hi: int | None,
    text: str,
    axes: Mapping[str, Axis],
    groups: Mapping[str, DeviceGroup] | Collection[str],
) -> list[Term | None]:
    if lo is None or not isinstance(groups, Mapping):
        return []
    placed = groups[group].axes
    if not placed:
        msg = f"selector {text!r}: {group} is one device and has no index"
        raise SelectorError(msg)
    return [_term(axes[placed[-1]], lo, hi, text)]


def _term(axis: Axis, lo: int | None, hi: int | None, text: str) -> Term | None:
    if lo is None or hi is None:
        return None
    if lo > hi:
        msg = f"selector {text!r}: range {lo}-{hi} of {axis.name} runs backwards"
        raise SelectorError(msg)
    if hi >= axis.size:
        msg = f"selector {text!r} matches nothing beyond {axis.name}{axis.size - 1}; {axis.name} has {axis.size}"
        raise SelectorError(msg)
    return Term(axis.name, lo, hi)


def selected_groups(blueprint: Blueprint, selector: Selector) -> tuple[str, ...]:
    """Return the groups that `selector` speaks of: its own, or all that have every axis of its terms.

    Raises
    ------
    SelectorError
        If there is none, or if its group lacks an axis that a term names.
    """
    needed = {p for t in selector.terms for p in blueprint.primitives(t.axis)}
    if selector.group is not None:
        group = blueprint.groups[selector.group]
        for term in selector.terms:
            if not set(blueprint.primitives(term.axis)) <= set(group.primitives):
                msg = (
                    f"selector {selector.text!r}: {group.name} has no axis {term.axis}; "
                    f"it is placed on {', '.join(group.axes) or 'no axis'}"
                )
                raise SelectorError(msg)
        return (group.name,)
    found = tuple(g.name for g in blueprint.groups.values() if needed <= set(g.primitives))
    if not found:
        msg = f"selector {selector.text!r} matches nothing: no device group has all of these axes"
        raise SelectorError(msg)
    return found


def pinned(blueprint: Blueprint, selector: Selector) -> frozenset[str]:
    """Return the primitive axes that `selector` restricts to one index."""
    return frozenset(
        p for t in selector.terms for p in blueprint.primitives(t.axis) if t.lo == t.hi
    )
