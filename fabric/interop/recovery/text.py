"""A recovered fabric as a topology file: some ten lines, and what did not fit as marks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fabric.arrays import Ints
from fabric.interop.recovery.sketch import FoundGroup, FoundRule, Sketch
from fabric.interop.recovery.words import axis_names, group_axes
from fabric.text.patterns import NamePattern, NumberField

MAX_RANGES = 5_000
"""Selectors of absent devices."""


@dataclass(frozen=True)
class Remainder:
    """What a dump has less and more than its axes say, as lines of a file.

    Parameters
    ----------
    failed, degraded, extra : tuple of str
        Items of ``failed``, of ``degraded`` and of ``links``.
    """

    failed: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """How a sketch is written.

    Parameters
    ----------
    name : str
    head : tuple of str
        Comments.
    rates : mapping of str to str
        By rule, as the user said it, where no cable has one.
    transit : str
        Of endpoints; empty for the default.
    islands : int
    remainder : Remainder
    is_named : bool
        Whether the file has the names of the nodes, where it can.
    """

    name: str
    head: tuple[str, ...] = ()
    rates: Mapping[str, str] = field(default_factory=dict)
    transit: str = ""
    islands: int = 1
    remainder: Remainder = field(default_factory=Remainder)
    is_named: bool = True


def write_sketch(drawn: Sketch, how: Written) -> str:
    """Return the text of a topology file.

    Parameters
    ----------
    drawn : Sketch
    how : Written
    """
    names = axis_names(drawn)
    lines = [f"# {line}" for line in how.head]
    lines.append(f"fabric: {how.name}")
    composed = _composed(drawn, names)
    axes = [f"{name}: {axis.size}" for name, axis in zip(names, drawn.axes, strict=True)]
    axes += [f"{name}: [{', '.join(names[a] for a in parts)}]" for parts, name in composed.items()]
    if axes:
        lines.append(f"axes: {{{', '.join(axes)}}}")
    lines.append("devices:")
    width = max(len(group.role.name) for group in drawn.groups) + 1
    upward = sorted(drawn.groups, key=lambda group: group.role.level)
    for group in upward:
        lines.append(
            f"  {group.role.name + ':':<{width}} {{{_what(group, how)}, axes: [{group_axes(group, names)}]}}"
        )
    lines.append("links:" if drawn.rules or how.remainder.extra else "links: []")
    for rule, name in zip(drawn.rules, rule_names(drawn), strict=True):
        lines.append(f"  - {{{_rule(rule, name, drawn, names, composed, how)}}}")
    lines += [f"  - {item}" for item in how.remainder.extra]
    patterns = site_patterns(drawn, names)
    if patterns and how.is_named:
        said = ", ".join(f'{name}: "{pattern}"' for name, pattern in patterns.items())
        lines.append(f"names: {{{said}}}")
    absent = [(group, item) for group in upward for item in _absent(group, drawn, names)]
    is_clear = not absent or not may_be_mistaken(drawn, names)
    if absent:
        lines += [
            "absent:",
            *(f"  - {item if is_clear else unmistaken(item, group, names)}" for group, item in absent),
        ]
    if how.remainder.failed:
        lines += ["failed:", *(f"  - {item}" for item in how.remainder.failed)]
    if how.remainder.degraded:
        lines += ["degraded:", *(f"  - {item}" for item in how.remainder.degraded)]
    if how.islands != 1:
        lines.append(f"islands: {how.islands}")
    return "\n".join(lines) + "\n"


def rule_names(drawn: Sketch) -> list[str]:
    """Return the names of the rules, no two alike."""
    names: list[str] = []
    for rule in drawn.rules:
        base = f"{drawn.groups[rule.lower].role.name}-{drawn.groups[rule.upper].role.name}"
        name, n = base, 2
        while name in names:
            name, n = f"{base}-{n}", n + 1
        names.append(name)
    return names


def _what(group: FoundGroup, how: Written) -> str:
    role = group.role
    words = [f"kind: {role.kind}"]
    if role.is_endpoint != (role.kind == "gpu"):
        words.append(f"endpoint: {str(role.is_endpoint).lower()}")
    if role.is_endpoint and how.transit:
        words.append(f"transit: {how.transit}")
    return ", ".join(words)


def _composed(drawn: Sketch, names: Sequence[str]) -> dict[tuple[int, ...], str]:
    """Return names for the products of axes that relations run along."""
    made: dict[tuple[int, ...], str] = {}
    for rule in drawn.rules:
        if rule.relation in ("mesh", "ring", "line") and len(rule.along) > 1 and rule.along not in made:
            made[rule.along] = ".".join(names[a] for a in rule.along)
    return made


def _rule(
    rule: FoundRule,
    name: str,
    drawn: Sketch,
    names: Sequence[str],
    composed: Mapping[tuple[int, ...], str],
    how: Written,
) -> str:
    lower, upper = (drawn.groups[g].role.name for g in (rule.lower, rule.upper))
    words = [f"between: [{lower}, {upper}]"]
    if name != f"{lower}-{upper}":
        words.append(f"name: {name}")
    if rule.relation == "pairs":
        along = ", ".join(names[a] for a in rule.along)
        sizes = [drawn.axes[a].size for a in rule.along]
        pairs = ", ".join(f"[{_digits(i, sizes)}, {_digits(j, sizes)}]" for i, j in rule.pairs.tolist())
        words.append(f"wiring: {{pattern: pairs, along: [{along}], pairs: [{pairs}]}}")
    elif rule.relation:
        words.append(f"{rule.relation}: {composed.get(rule.along) or names[rule.along[0]]}")
    words.append(f"rate: {rate_text(rule, name, how.rates)}")
    if rule.count != 1:
        words.append(f"count: {rule.count}")
    return ", ".join(words)


def rate_text(rule: FoundRule, name: str, rates: Mapping[str, str]) -> str:
    """Return the rate of a rule: as found, else as said for it or for all; empty if nobody says."""
    if not math.isnan(rule.rate_gbps):
        return f"{rule.rate_gbps:.12g}Gb/s"
    return rates.get(name) or rates.get("", "")


def _digits(flat: int, sizes: Sequence[int]) -> str:
    digits = []
    for size in reversed(sizes):
        flat, digit = divmod(flat, size)
        digits.append(digit)
    return str(digits[0]) if len(sizes) == 1 else str(digits[::-1])


def device_name(group: FoundGroup, place: int, drawn: Sketch, names: Sequence[str]) -> str:
    """Return the name that the file gives to the device at a place."""
    words: list[str] = []
    for position, a in enumerate(reversed(group.axes)):
        place, index = divmod(place, drawn.axes[a].size)
        words.append(f"{names[a] if position else group.role.name}{index}")
    return "/".join(reversed(words)) or group.role.name


def unmistaken(device: str, group: FoundGroup, names: Sequence[str]) -> str:
    """Return a device, or a range, in words that are no site name of another: ``i3/leaf`` for ``leaf3``."""
    *words, last = device.split("/")
    index = last.removeprefix(group.role.name)
    return "/".join([*words, f"{names[group.axes[-1]]}{index}", group.role.name]) if index else device


def may_be_mistaken(drawn: Sketch, names: Sequence[str]) -> bool:
    """Return whether names of the site may be read as selectors."""
    own = {*names, *(group.role.name for group in drawn.groups)}
    stems = (re.split(r"[{0-9]", pattern, maxsplit=1)[0] for pattern in site_patterns(drawn, names).values())
    return any(stem in own for stem in stems)


def _absent(group: FoundGroup, drawn: Sketch, names: Sequence[str]) -> list[str]:
    """Return selectors of the places of a group at which nothing stands, runs of the last axis in one."""
    n = math.prod(drawn.axes[a].size for a in group.axes)
    empty = np.setdiff1d(np.arange(n, dtype=np.int64), group.place)
    if not len(empty):
        return []
    size = drawn.axes[group.axes[-1]].size
    is_new = (np.diff(empty, prepend=-2) != 1) | (empty % size == 0)
    starts = np.flatnonzero(is_new)
    ends = np.append(starts[1:], len(empty)) - 1
    items = []
    for first, last in zip(empty[starts].tolist(), empty[ends].tolist(), strict=True):
        name = device_name(group, first, drawn, names)
        items.append(name if first == last else f"{name}-{last % size}")
    return items


def site_patterns(drawn: Sketch, names: Sequence[str]) -> dict[str, str]:
    """Return patterns that name the nodes of a group as they were found, where the file alone does not."""
    patterns = {}
    for g, group in enumerate(drawn.groups):
        pattern = _pattern(g, group, drawn, names)
        if pattern is not None and not _is_default(pattern, group, names):
            patterns[group.role.name] = pattern.text
    return patterns


def _pattern(g: int, group: FoundGroup, drawn: Sketch, names: Sequence[str]) -> NamePattern | None:
    """Return the pattern of all names of a group; None if there is none."""
    columns = drawn.tokens.columns[g]
    if columns is None:
        return None
    parts: list[str | NumberField] = []
    told: set[int] = set()
    indices: dict[int, Ints] = {}
    left = group.place
    for a in reversed(group.axes):
        left, indices[a] = np.divmod(left, drawn.axes[a].size)
    for c, width in enumerate(columns.widths):
        if columns.words[c]:
            parts.append(columns.words[c])
        number = columns.numbers[:, c]
        for a, index in indices.items():
            offset = int(number[0] - index[0])
            if offset >= 0 and np.array_equal(number, index + offset):
                told.add(a)
                parts.append(NumberField(names[a], offset, width))
                break
        else:
            if len(np.unique(number)) != 1:
                return None
            parts.append(f"{number[0]:0{width}d}")
    parts.append(columns.words[-1])
    if told != set(group.axes):
        return None
    return NamePattern("".join(_shown(part) for part in parts), tuple(part for part in parts if part))


def _shown(part: str | NumberField) -> str:
    if isinstance(part, str):
        return part
    offset = f"{part.offset:+d}" if part.offset else ""
    return f"{{{part.name}{offset}{f':0{part.width}' if part.width else ''}}}"


def _is_default(pattern: NamePattern, group: FoundGroup, names: Sequence[str]) -> bool:
    """Return whether nodes are called so without a pattern: ``su0-leaf2``."""
    words = [f"{names[a]}{{{names[a]}}}" for a in group.axes[:-1]]
    words += [f"{group.role.name}{{{names[a]}}}" for a in group.axes[-1:]] or [group.role.name]
    return pattern.text == "-".join(words)


def places_of(drawn: Sketch) -> Ints:
    """Return the place of every node within its group."""
    place = np.full(len(drawn.tokens.row), -1, dtype=np.int64)
    for group in drawn.groups:
        place[group.members] = group.place
    return place
