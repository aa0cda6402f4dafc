"""Selectors by the names of a site: ``dc1-p0-l03`` is ``pod0/leaf2`` where ``names:`` says so, to and fro.

::

    selector = as in `fabric.blueprint.selector`
             | {term "/"} device                     term: of an axis, as for a chip of a box
             | {term "/"} server {"/" term}          what is in a server, by the axes: gpu0-3/nic2
    device, server = a name by a pattern, or several: dc1-p0-l[01-08]

A text that means one thing by the axes and another by the names is refused: neither of the two wins. Names
that the program makes itself go by the axes, and are read by `parse_selector` alone.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from fabric.blueprint.model import Blueprint, DeviceGroup, Selector
from fabric.blueprint.planes import names_chips, open_chips
from fabric.blueprint.selector import UnknownNameError, parse_selector, quote, range_word
from fabric.errors import SelectorError
from fabric.text.patterns import NamePattern

_MAX_WORDS = 32
"""Words between slashes that are looked through for a name."""
_MAX_NAME = 200
"""Characters of a text that may be a name, or a slip of one."""
_CLOSE = 0.6
"""How alike a slip and a name are at least, as in `fabric.errors.nearest`."""
_NUMBER = re.compile(r"\d+")

Ranges = Mapping[str, tuple[int, int]]


def read_selector(blueprint: Blueprint, text: str, *, needs_group: bool = True) -> Selector:
    """Read a selector that a user wrote: by the axes, or by the names of the site.

    Parameters
    ----------
    blueprint : Blueprint
        With the axes, groups and site names that count.
    text : str
    needs_group : bool
        As in `parse_selector`.

    Returns
    -------
    Selector
        By the axes, whose text has no site names.

    Raises
    ------
    SelectorError
        If it cannot be read, with the nearest names, or if it means two things.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 4, s: 3}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: [s]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], "
    >>> a = loads_blueprint(text + "names: {leaf: 'l{s+1:02}', gpu: 'gpu{i+1}'}}")
    >>> read_selector(a, "l02").text, read_selector(a, "l[01-02]").text
    ('leaf1', 'leaf0-1')
    >>> read_selector(a, "gpu1")
    Traceback (most recent call last):
        ...
    fabric.errors.SelectorError: selector 'gpu1' is i1/gpu by its axes, i0/gpu by the site; write which
    """
    readings: list[Selector] = []
    try:
        readings.append(parse_selector(text, blueprint.axes, blueprint.groups, needs_group=needs_group))
    except SelectorError as error:
        readings += _by_names(blueprint, text, needs_group=needs_group)
        if not readings:
            raise _unknown(blueprint, text, error) from None
    else:
        readings += _by_names(blueprint, text, needs_group=needs_group)
    first, *others = readings
    for other in others:
        if _meaning(blueprint, other) != _meaning(blueprint, first):
            one, two = (_explicit(blueprint, reading) for reading in (first, other))
            how = "by its axes" if first.text == text else "by the site"
            msg = f"selector {quote(text)} is {one} {how}, {two} by the site; write which"
            raise SelectorError(msg)
    return first


def with_names(blueprint: Blueprint, site_names: Mapping[str, NamePattern]) -> Blueprint:
    """Return `blueprint`, opened or not, with other names of the site."""
    closed = blueprint.closed and replace(blueprint.closed, site_names=site_names)
    return replace(blueprint, site_names=site_names, closed=closed)


def unmistakable(blueprint: Blueprint, text: str) -> str:
    """Return a selector by the axes in words that are no site name of anything else.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], names: {gpu: 'gpu{i+1}'}}"
    >>> unmistakable(loads_blueprint(text), "gpu1"), unmistakable(loads_blueprint(text), "leaf")
    ('i1/gpu', 'leaf')
    """
    try:
        read_selector(blueprint, text)
    except SelectorError:
        return _explicit(blueprint, parse_selector(text, blueprint.axes, blueprint.groups))
    return text


def _explicit(blueprint: Blueprint, chosen: Selector) -> str:
    """Return a selector with every index on the name of its axis, none on the group."""
    if chosen.group is None:
        return chosen.text
    words = [range_word(term.axis, term.lo, term.hi) for term in chosen.terms]
    is_all = not words and bool(blueprint.groups[chosen.group].axes)
    return "/".join([*words, f"{chosen.group}*" if is_all else chosen.group])


def _meaning(blueprint: Blueprint, chosen: Selector) -> object:
    """Return what two selectors of the same devices have in common."""
    at = _Whereabouts(blueprint, {term.axis: (term.lo, term.hi) for term in chosen.terms})
    return chosen.group, at.index, {axis: span for axis, span in at.spans.items()}


class _Whereabouts:
    """Where devices stand: one index on each of some primitive axes, and ranges along other axes.

    Parameters
    ----------
    blueprint : Blueprint
    ranges : mapping of str to (int, int)
        First and last index, of axes that may be composed.
    """

    def __init__(self, blueprint: Blueprint, ranges: Ranges) -> None:
        self._blueprint = blueprint
        self.index: dict[str, int] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        self.is_sound = all(hi < blueprint.axes[axis].size for axis, (_, hi) in ranges.items())
        for axis, (lo, hi) in ranges.items():
            if lo != hi and (lo, hi) != (0, blueprint.axes[axis].size - 1):
                self.spans[axis] = lo, hi
            if lo != hi:
                continue
            flat = lo
            for p in reversed(blueprint.primitives(axis)):
                flat, i = divmod(flat, blueprint.axes[p].size)
                # A number that a composed axis tells, and its part tells too, is one number.
                self.is_sound &= self.index.setdefault(p, i) == i
        ranged = [p for axis in self.spans for p in blueprint.primitives(axis)]
        self.is_sound &= len(set(ranged)) == len(ranged) and not set(ranged) & set(self.index)

    def words(self, axes: tuple[str, ...]) -> list[str]:
        """Return terms for all of this on some axes, each as it stands there where it can."""
        said = self.said
        primitives = self._blueprint.primitives
        return [word for axis in axes if said & set(primitives(axis)) for word in self._of(axis)]

    def selector(self, group: DeviceGroup) -> list[str]:
        """Return the words for all of this on the axes of a group, the last one on the group itself."""
        last = self.along(group.axes[-1]) if group.axes else None
        words = [word for axis in group.axes for word in self._of(axis)]
        return [*words[:-1], range_word(group.name, *last)] if last else [*words, group.name]

    def _of(self, axis: str) -> Iterator[str]:
        along = self.along(axis)
        if along is not None:
            yield range_word(axis, *along)
            return
        primitives = set(self._blueprint.primitives(axis))
        yield from (range_word(p, i, i) for p, i in self.index.items() if p in primitives)
        inside = self._blueprint.primitives
        yield from (range_word(a, *span) for a, span in self.spans.items() if set(inside(a)) <= primitives)

    def along(self, axis: str) -> tuple[int, int] | None:
        """Return the range on an axis; None where it is not one, or where nothing is said."""
        if axis in self.spans:
            return self.spans[axis]
        sizes = self._blueprint.axes
        primitives = self._blueprint.primitives(axis)
        # Of an axis of one index there is nothing to say.
        if not any(p in self.index for p in primitives) and sizes[axis].size > 1:
            return None
        if all(p in self.index or sizes[p].size == 1 for p in primitives):
            flat = self._blueprint.flat(axis, {p: self.index.get(p, 0) for p in primitives})
            return flat, flat
        return None

    @property
    def said(self) -> set[str]:
        """Primitive axes that are restricted."""
        return {*self.index, *(p for axis in self.spans for p in self._blueprint.primitives(axis))}

    def without(self, axes: set[str]) -> _Whereabouts:
        """Return this without some primitive axes, of which ranges have none or all."""
        left = _Whereabouts(self._blueprint, {})
        left.index = {p: i for p, i in self.index.items() if p not in axes}
        inside = self._blueprint.primitives
        left.spans = {axis: span for axis, span in self.spans.items() if not set(inside(axis)) & axes}
        return left


def _by_names(blueprint: Blueprint, text: str, *, needs_group: bool) -> Iterator[Selector]:
    """Yield what a text may mean by the names of the site."""
    for key, at, (before, after) in _names_in(blueprint, text):
        found = _named(blueprint, key, at, after, needs_group=needs_group)
        if found is not None:
            own = "/".join([*before, *found])
            with contextlib.suppress(SelectorError):
                chosen = parse_selector(own, blueprint.axes, blueprint.groups, needs_group=needs_group)
                yield _as_called_by_axes(blueprint, chosen)


def _as_called_by_axes(blueprint: Blueprint, chosen: Selector) -> Selector:
    """Return a selector whose text, of one device, is the name that it has by the axes."""
    at = _Whereabouts(blueprint, {term.axis: (term.lo, term.hi) for term in chosen.terms})
    if chosen.group is None or not at.is_sound:
        return chosen
    return replace(chosen, text="/".join(at.selector(blueprint.groups[chosen.group])))


def _names_in(
    blueprint: Blueprint, text: str
) -> Iterator[tuple[str, _Whereabouts, tuple[list[str], list[str]]]]:
    """Yield the names in a text: their pattern, where that is, and the words before and after."""
    words = text.split("/")
    if len(words) > _MAX_WORDS or len(text) > _MAX_NAME:
        return
    for key, pattern in blueprint.site_names.items():
        n = 1 + pattern.text.count("/")
        for start in range(len(words) - n + 1):
            ranges = pattern.read_ranges("/".join(words[start : start + n]))
            if ranges is not None and (at := _Whereabouts(blueprint, ranges)).is_sound:
                yield key, at, (words[:start], words[start + n :])


def _named(
    blueprint: Blueprint, key: str, at: _Whereabouts, after: list[str], *, needs_group: bool
) -> list[str] | None:
    """Return the words for the device, or for what is in the server, of a name; None where that is no one."""
    group = blueprint.groups.get(key)
    if group is not None and not after:
        return at.selector(group)
    if group is None and _untold(blueprint, key):
        return None
    if group is None or group.kind == "host":
        axes = group.axes if group else tuple(dict.fromkeys(blueprint.site_names[key].fields))
        return [*at.words(axes), *(after or (["*"] if needs_group else []))]
    return None


def _untold(blueprint: Blueprint, axis: str) -> list[str]:
    """Return the primitive axes at and above a server that its name does not tell."""
    last = blueprint.primitives(axis)[-1]
    along = [g.primitives for g in blueprint.groups.values() if last in g.primitives]
    above = [set(own[: own.index(last) + 1]) for own in along]
    told = {p for field in blueprint.site_names[axis].fields for p in blueprint.primitives(field)}
    needed = set.intersection(*above) if above else set()
    return [p for p in blueprint.axes if p in needed - told and blueprint.axes[p].size > 1]


def site_text(blueprint: Blueprint, text: str) -> str:
    """Return a selector by the axes as the site calls what it names; itself where the site has no name.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {node: 4, slot: 2}, devices: {gpu: {kind: gpu, axes: [node, slot]}, leaf: "
    >>> text += "{kind: switch, axes: [slot]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], islands: 2, "
    >>> a = loads_blueprint(text + "names: {leaf: 'l{slot+1:02}', node: 'n{node}'}}")
    >>> [site_text(a, text) for text in ("leaf1", "node3/gpu1", "node0-2/gpu", "gpu1")]
    ['l02', 'n3/gpu1', 'n[0-2]/gpu', 'gpu1']
    """
    if names_chips(blueprint.whole, text):
        blueprint = open_chips(blueprint.whole)
    try:
        chosen = parse_selector(text, blueprint.axes, blueprint.groups, needs_group=False)
    except SelectorError:
        return text
    group = blueprint.groups.get(chosen.group or "")
    at = _Whereabouts(blueprint, {term.axis: (term.lo, term.hi) for term in chosen.terms})
    if group is not None and (at.said or not group.axes) and group.name in blueprint.site_names:
        name = _shown(blueprint, blueprint.site_names[group.name], at)
        if name is not None:
            return "/".join([*name[1].words(group.axes), name[0]])
    for key, pattern in blueprint.site_names.items():
        along = _server_axes(blueprint, key)
        is_there = group is None or along <= set(group.primitives)
        if along and is_there and along & at.said and (name := _shown(blueprint, pattern, at)) is not None:
            left = name[1]
            if group is None:
                axes = tuple(dict.fromkeys((*left.index, *left.spans)))
                return "/".join([name[0], *left.words(axes), *(["*"] if text.endswith("*") else [])])
            words = left.words(group.axes)
            last = left.along(group.axes[-1]) if words else None
            inner = [*words[:-1], range_word(group.name, *last)] if last else [*words, group.name]
            return "/".join([name[0], *inner])
    return text


_WORD = re.compile(r"[^\s,;:()]+")


def site_words(blueprint: Blueprint, text: str) -> str:
    """Return a text with every selector in it as `site_text` spells it, such as of the cables between two.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 4, s: 3}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: [s]}}, links: [{between: [gpu, leaf], rate: 1Gb/s}], names: {leaf: 'l{s+1:02}'}}"
    >>> site_words(loads_blueprint(text), "gpu3 - leaf1 x 2 at 1/2")
    'gpu3 - l02 x 2 at 1/2'
    """
    return _WORD.sub(lambda match: site_text(blueprint, match[0]), text)


def _server_axes(blueprint: Blueprint, key: str) -> set[str]:
    """Return the primitive axes of the servers that a pattern names; none where it names something else."""
    group = blueprint.groups.get(key)
    if group is not None:
        return set(group.primitives) if group.kind == "host" else set()
    return set(blueprint.primitives(key)) if not _untold(blueprint, key) else set()


def _shown(blueprint: Blueprint, pattern: NamePattern, at: _Whereabouts) -> tuple[str, _Whereabouts] | None:
    """Return the name by a pattern and what it leaves unsaid; None where no name of it says that."""
    ranges: dict[str, tuple[int, int]] = {}
    for field in pattern.fields:
        own = set(blueprint.primitives(field))
        along = at.along(field)
        if along is None and not own & at.said:
            along = 0, blueprint.axes[field].size - 1
        # A range in two places of a name would read as a product.
        if along is None or (along[0] < along[1] and pattern.fields.count(field) > 1):
            return None
        ranges[field] = along
    told = {p for field in ranges for p in blueprint.primitives(field)}
    halved = any(set(blueprint.primitives(axis)) & told and axis not in ranges for axis in at.spans)
    return None if halved else (pattern.show_ranges(ranges), at.without(told))


def _unknown(blueprint: Blueprint, text: str, error: SelectorError) -> SelectorError:
    """Return what is wrong with a text, with the nearest name in the form that it has."""
    for key, *_ in _names_in(blueprint, text):
        if key not in blueprint.groups and (untold := _untold(blueprint, key)):
            pattern = blueprint.site_names[key].text
            return SelectorError(f"names of {key}: {pattern!r} is the same for several; add {{{untold[0]}}}")
    near = _nearest_name(blueprint, text) if blueprint.site_names and len(text) <= _MAX_NAME else None
    if near is None or _alike(text, near) < max(_CLOSE, _likeness_by_axes(blueprint, text)):
        return error
    msg = f"no device of the site is called {quote(text)}; did you mean {near}?"
    return UnknownNameError(msg, error.name) if isinstance(error, UnknownNameError) else SelectorError(msg)


def _likeness_by_axes(blueprint: Blueprint, text: str) -> float:
    """Return how alike the words of a text and those of the file are, 1 where only an index is wrong."""
    *heads, last = (word.rstrip("*0123456789-") for word in text.split("/"))
    axes = list(blueprint.axes)
    slips = [(stem, axes) for stem in heads] + [(last, [*blueprint.groups, *axes])]
    return min(max((_alike(stem, name) for name in names), default=0.0) for stem, names in slips)


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one[:_MAX_NAME], other[:_MAX_NAME]).ratio()


def _nearest_name(blueprint: Blueprint, text: str) -> str | None:
    """Return the name that is most like a text, of its numbers as far as there are as many."""
    words = text.split("/")
    candidates = []

    def is_read(name: str) -> bool:
        return any(True for _ in _by_names(blueprint, name, needs_group=False))

    for n in range(1, min(len(words), _MAX_WORDS) + 1):
        head, tail = "/".join(words[:n]), words[n:]
        for key, pattern in blueprint.site_names.items():
            if not tail or _server_axes(blueprint, key):
                candidates.append("/".join([_filled(blueprint, pattern, head), *tail]))
    return max(filter(is_read, candidates), key=lambda name: _alike(text, name), default=None)


def _filled(blueprint: Blueprint, pattern: NamePattern, text: str) -> str:
    """Return the name of a pattern whose numbers are as near to those of a text as there are indices."""
    numbers = [int(number[:18]) for number in _NUMBER.findall(text)]
    # Numbers that the pattern has itself count as well.
    at, places = 0, {}
    for part in pattern.parts:
        if isinstance(part, str):
            at += len(_NUMBER.findall(part))
        else:
            number = numbers[at] - part.offset if len(numbers) == pattern.shape.count("#") else 0
            places[part.name] = min(max(number, 0), blueprint.axes[part.name].size - 1)
            at += 1
    return pattern.show(places)
