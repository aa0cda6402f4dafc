"""Patterns of names with numbers in them, such as ``dc1-p{pod}-l{slot+1:02}``, read both ways.

::

    pattern = text | "{" field [("+" | "-") number] [":" width] "}"
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fabric.errors import QuestionError, nearest

_FIELD = re.compile(r"\{(?P<field>[^{}+:-]*)(?P<offset>[+-]\d{1,9})?(?::0?(?P<width>\d{1,2}))?\}")
_TEXT = re.compile(r"[A-Za-z0-9._/@ -]*")
_DIGITS = re.compile(r"\d+")
MAX_PATTERN = 120
"""Characters of a pattern."""


@dataclass(frozen=True, slots=True)
class NumberField:
    """One number of a name: an index, moved by an offset, with leading zeros up to a width."""

    name: str
    offset: int
    width: int

    def show(self, index: int) -> str:
        """Return the number for an index."""
        return f"{index + self.offset:0{self.width}d}"

    def show_range(self, lo: int, hi: int) -> str:
        """Return the number for one index, or ``[01-08]`` for several."""
        return self.show(lo) if lo == hi else f"[{self.show(lo)}-{self.show(hi)}]"

    def read(self, text: str) -> tuple[int, int]:
        """Return the first and last index that a number, or ``[01-08]``, stands for."""
        lo, _, hi = text.strip("[]").partition("-")
        return int(lo) - self.offset, int(hi or lo) - self.offset


@dataclass(frozen=True, slots=True)
class NamePattern:
    """How the devices, or the ports, of a group are called.

    Parameters
    ----------
    text : str
        As the file has it.
    parts : tuple of str or NumberField
        In order, text and numbers.
    """

    text: str
    parts: tuple[str | NumberField, ...]

    def show(self, index: Mapping[str, int]) -> str:
        """Return the name at the indices of all fields.

        Examples
        --------
        >>> read_pattern("dc1-l{slot+1:02}", ["slot"]).show({"slot": 8})
        'dc1-l09'
        """
        return "".join(p if isinstance(p, str) else p.show(index[p.name]) for p in self.parts)

    def read(self, name: str) -> dict[str, int] | None:
        """Return the indices that a name has; None if it is not of this pattern.

        Examples
        --------
        >>> pattern = read_pattern("dc1-l{slot+1:02}", ["slot"])
        >>> pattern.read("dc1-l09"), pattern.read("dc1-l9"), pattern.read("leaf9")
        ({'slot': 8}, None, None)
        """
        found = self.read_ranges(name)
        if found is None or "[" in name:
            return None
        return {field: lo for field, (lo, _) in found.items()}

    def read_ranges(self, name: str) -> dict[str, tuple[int, int]] | None:
        """Return the first and last index of every field of a name, or of many as ``dc1-l[01-08]``.

        Examples
        --------
        >>> pattern = read_pattern("dc1-l{slot+1:02}", ["slot"])
        >>> pattern.read_ranges("dc1-l[01-08]"), pattern.read_ranges("dc1-l09")
        ({'slot': (0, 7)}, {'slot': (8, 8)})
        """
        match = re.fullmatch(self._expression, name, re.ASCII)
        if match is None:
            return None
        found: dict[str, tuple[int, int]] = {}
        for number, part in enumerate(p for p in self.parts if isinstance(p, NumberField)):
            lo, hi = part.read(match[number + 1])
            # Only what the pattern writes is one of its names; a field that stands twice has one value.
            is_written = 0 <= lo <= hi and part.show_range(lo, hi) == match[number + 1]
            if not is_written or found.setdefault(part.name, (lo, hi)) != (lo, hi):
                return None
        return found

    def show_ranges(self, ranges: Mapping[str, tuple[int, int]]) -> str:
        """Return the names at the first to the last index of all fields.

        Examples
        --------
        >>> read_pattern("p{pod}-l{slot+1:02}", ["pod", "slot"]).show_ranges({"pod": (3, 3), "slot": (0, 7)})
        'p3-l[01-08]'
        """
        return "".join(p if isinstance(p, str) else p.show_range(*ranges[p.name]) for p in self.parts)

    @property
    def _expression(self) -> str:
        number = r"(\d{1,18}|\[\d{1,18}-\d{1,18}\])"
        return "".join(re.escape(p) if isinstance(p, str) else number for p in self.parts)

    def without(self, field: str) -> NamePattern:
        """Return the pattern without a number, and without the text between it and the number before.

        Examples
        --------
        >>> read_pattern("swp{n}s{lane}", ["n", "lane"]).without("lane").show({"n": 3})
        'swp3'
        """
        parts: list[str | NumberField] = []
        for part in self.parts:
            if isinstance(part, NumberField) and part.name == field:
                if len(parts) > 1 and isinstance(parts[-1], str):
                    parts.pop()
            else:
                parts.append(part)
        return NamePattern(self.text, tuple(parts))

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its numbers, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, NumberField))

    @property
    def shape(self) -> str:
        """The name with ``#`` for every run of digits; names of two shapes are never equal."""
        return _DIGITS.sub("#", "".join(p if isinstance(p, str) else "0" for p in self.parts))


def read_pattern(text: str, fields: Collection[str]) -> NamePattern:
    """Return a pattern.

    Parameters
    ----------
    text : str
    fields : collection of str
        Names that may stand in braces.

    Raises
    ------
    QuestionError
        If it cannot be read, names no such field, or two numbers stand side by side.
    """
    if len(text) > MAX_PATTERN:
        msg = f"a pattern has at most {MAX_PATTERN} characters"
        raise QuestionError(msg)
    parts: list[str | NumberField] = []
    at = 0
    for match in _FIELD.finditer(text):
        _add_text(parts, text[at : match.start()])
        name = match["field"]
        if name not in fields:
            known = f"fields are {', '.join(fields)}" if fields else "it has no fields"
            msg = f"no field {name!r} here; {nearest(name, list(fields)) or known}"
            raise QuestionError(msg)
        if parts and (isinstance(parts[-1], NumberField) or parts[-1][-1].isdigit()):
            msg = f"{{{name}}} stands right after a number; put a letter or a mark between them"
            raise QuestionError(msg)
        parts.append(NumberField(name, int(match["offset"] or 0), int(match["width"] or 0)))
        at = match.end()
    if at and at < len(text) and text[at].isdigit():
        msg = "a number stands right after a field; put a letter or a mark between them"
        raise QuestionError(msg)
    _add_text(parts, text[at:])
    return NamePattern(text, tuple(parts))


def _add_text(parts: list[str | NumberField], text: str) -> None:
    if not _TEXT.fullmatch(text):
        msg = f"{text!r}: expected letters, digits, ._-/@ and {{fields}} such as {{slot}} or {{slot+1:02}}"
        raise QuestionError(msg)
    if text:
        parts.append(text)
