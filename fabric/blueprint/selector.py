"""Selectors: devices by name, such as ``rack3/tray0-7/gpu``, ``leaf*`` or ``su3/node31/*``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Axis, Blueprint, DeviceGroup, Selector, Term
from fabric.errors import SelectorError, nearest

# A name of an axis or a group ends in a letter, so that an index can follow without a mark between.
NAME = r"[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z])?"
_TERM = re.compile(rf"(?P<name>{NAME})(?:(?P<lo>0|[1-9]\d{{0,15}})(?:-(?P<hi>0|[1-9]\d{{0,15}}))?|\*)?")


_MAX_SHOWN = 80


class UnknownNameError(SelectorError):
    """A selector names an axis or a group that is not there.

    Parameters
    ----------
    message : str
    name : str
        The word that is unknown.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


def parse_selector(
    text: str,
    axes: Mapping[str, Axis],
    groups: Mapping[str, DeviceGroup],
    *,
    needs_group: bool = True,
) -> Selector:
    """Read a selector.

    Parameters
    ----------
    text : str
        ``TERM/TERM/g``, ``g0-3`` or ``*`` at the end; a term is ``axis``, ``axis3``, ``axis0-7``, ``axis*``.
    axes : mapping of str to Axis
    groups : mapping of str to DeviceGroup
    needs_group : bool
        False in a question, where ``rack0`` means the endpoints there.

    Returns
    -------
    Selector

    Raises
    ------
    SelectorError
        Naming the word that cannot be read, with the nearest names; `UnknownNameError` if it is a name.

    Examples
    --------
    >>> axes = {"rack": Axis("rack", 16)}
    >>> parse_selector("rack0-7/*", axes, {}).terms
    (Term(axis='rack', lo=0, hi=7),)
    >>> parse_selector("rak3/*", axes, {})
    Traceback (most recent call last):
        ...
    fabric.blueprint.selector.UnknownNameError: selector 'rak3/*': no axis 'rak'; did you mean rack?
    """
    *heads, last = text.split("/")
    terms = [_axis_term(word, text, axes) for word in heads]
    group: str | None = None
    if last != "*":
        name, lo, hi = _split(last, text)
        # A group wins over an axis of the same name.
        if name in groups:
            group = name
            if lo is not None:
                terms.append(_group_term(groups[name], (lo, hi), text, axes))
        elif not needs_group and name in axes:
            terms.append(_axis_term(last, text, axes))
        elif name in axes:
            todo = f"{name} is an axis; write {quote(f'{text}/*')} for all devices there"
            msg = f"selector {quote(text)} names no device group: {todo}"
            raise UnknownNameError(msg, name)
        else:
            raise _unknown(name, text, groups, () if needs_group else axes)
    restrictions = [t for t in terms if t is not None]
    doubled = {t.axis for t in restrictions if sum(u.axis == t.axis for u in restrictions) > 1}
    if doubled:
        msg = f"selector {quote(text)}: axis {min(doubled)} is restricted twice"
        raise SelectorError(msg)
    return Selector(text, group, tuple(restrictions))


def range_word(name: str, lo: int, hi: int) -> str:
    """Return the word of a selector for the indices `lo` to `hi` of an axis or a group.

    Examples
    --------
    >>> range_word("rack", 3, 3), range_word("rack", 0, 7)
    ('rack3', 'rack0-7')
    """
    return f"{name}{lo}" if lo == hi else f"{name}{lo}-{hi}"


def quote(text: str) -> str:
    """Return `text` in quotes, cut where it is long."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def _unknown(name: str, text: str, groups: Collection[str], axes: Collection[str]) -> UnknownNameError:
    kind = "device group or axis" if axes else "device group"
    # A slip among groups is likelier than one among axes, which stand to the left.
    hint = near(name, [*groups, *axes], "groups are", groups)
    head = "" if text == name else f"selector {quote(text)}: "
    return UnknownNameError(f"{head}no {kind} {quote(name)}; {hint}", name)


def near(name: str, names: Collection[str], otherwise: str, listed: Collection[str] | None = None) -> str:
    """Return the names closest to `name`, or up to ten of all names, led by the words `otherwise`.

    Examples
    --------
    >>> near("lef", ["leaf", "gpu"], "groups are"), near("x", ["leaf", "gpu"], "groups are")
    ('did you mean leaf?', 'groups are leaf, gpu')
    """
    close = nearest(name[:_MAX_SHOWN], names)
    words = list(names if listed is None else listed)
    tail = f" and {len(words) - 10} more" if len(words) > 10 else ""
    return close or f"{otherwise} {', '.join(words[:10]) or 'none'}{tail}"


def _split(word: str, text: str) -> tuple[str, int | None, int]:
    """Return name, first and last index of a word; the first is None where all are meant."""
    match = _TERM.fullmatch(word)
    if not match:
        # A selector of one word is shown once.
        fault = f"cannot read {quote(word)}" + ("" if word == text else f" in selector {quote(text)}")
        msg = f"{fault}; write name, name3, name0-7 or name*, with / between and indices not padded"
        raise SelectorError(msg)
    if match["lo"] is None:
        return match["name"], None, 0
    return match["name"], int(match["lo"]), int(match["hi"] or match["lo"])


def _axis_term(word: str, text: str, axes: Mapping[str, Axis]) -> Term | None:
    name, lo, hi = _split(word, text)
    if name not in axes:
        msg = f"selector {quote(text)}: no axis {quote(name)}; {near(name, axes, 'axes are')}"
        raise UnknownNameError(msg, name)
    return None if lo is None else _term(axes[name], lo, hi, text)


def _group_term(group: DeviceGroup, index: tuple[int, int], text: str, axes: Mapping[str, Axis]) -> Term:
    if not group.axes:
        msg = f"selector {quote(text)}: {group.name} is one device and has no index"
        raise SelectorError(msg)
    return _term(axes[group.axes[-1]], *index, text)


def _term(axis: Axis, lo: int, hi: int, text: str) -> Term:
    if lo > hi:
        msg = f"selector {quote(text)}: range {lo}-{hi} of {axis.name} runs backwards"
        raise SelectorError(msg)
    if hi >= axis.size:
        fault = f"{axis.name}{hi} is beyond the last index, {axis.name}{axis.size - 1}"
        msg = f"selector {quote(text)}{'' if lo < axis.size else ' matches nothing'}: {fault}"
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
                    f"selector {quote(selector.text)}: {group.name} has no axis {term.axis}; "
                    f"it is placed on {', '.join(group.axes) or 'no axis'}"
                )
                raise SelectorError(msg)
        return (group.name,)
    groups = tuple(g.name for g in blueprint.groups.values() if needed <= set(g.primitives))
    if not groups:
        msg = f"selector {quote(selector.text)} matches nothing: no device group has all of its axes"
        raise SelectorError(msg)
    return groups


def fits(blueprint: Blueprint, selector: Selector, at: Mapping[str, int]) -> bool:
    """Return whether a device of a selected group, at an index on each primitive axis, is selected."""
    return all(t.lo <= blueprint.flat(t.axis, at) <= t.hi for t in selector.terms)


def fitting(blueprint: Blueprint, selector: Selector, at: Mapping[str, Ints], n: int) -> Bools:
    """Return which of `n` devices of a selected group are selected, by their index on each primitive axis."""
    found = np.ones(n, dtype=np.bool_)
    for term in selector.terms:
        index = np.zeros(n, dtype=np.int64)
        for p in blueprint.primitives(term.axis):
            index = index * blueprint.axes[p].size + at[p]
        found &= (term.lo <= index) & (index <= term.hi)
    return found


def pinned_axes(blueprint: Blueprint, selector: Selector) -> frozenset[str]:
    """Return the primitive axes that a term of `selector` restricts to one index.

    A range pins nothing, even where it leaves one index of a part of a composed axis.
    """
    pinned = [t.axis for t in selector.terms if t.lo == t.hi]
    return frozenset(p for axis in pinned for p in blueprint.primitives(axis)) if pinned else frozenset()
