"""A file as plain data, with the line and column of every key and value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from fabric.errors import Problem

Loc: TypeAlias = tuple[str | int, ...]


class Mark(NamedTuple):
    """A position in the file, line and column from 1; columns count characters."""

    line: int
    col: int


# Line and column; and of each node the position of the value, that of its key, which the items of a
# list have not, and what is below. Plain tuples, since the garbage collector stops tracing those
# that hold numbers only: a large file is read in two thirds of the time that named tuples take.
Pos: TypeAlias = tuple[int, int]
Spot: TypeAlias = "tuple[Pos, Pos | None, Spots | None]"
Spots: TypeAlias = dict[str | int, Spot]


class Marks(Mapping[Loc, Mark]):
    """The marks of all values, or of all keys, as a mapping from path to mark."""

    __slots__ = ("_is_key", "_root")

    def __init__(self, root: Spot, is_key: bool) -> None:
        self._root = root
        self._is_key = is_key

    def __getitem__(self, loc: Loc) -> Mark:
        spot: Spot | None = self._root
        for step in loc:
            spot = spot[2].get(step) if spot and spot[2] else None
        pos = spot[self._is_key] if spot else None
        if pos is None:
            raise KeyError(loc)
        return Mark(*pos)

    def __iter__(self) -> Iterator[Loc]:
        stack: list[tuple[Loc, Spot]] = [((), self._root)]
        while stack:
            loc, (_, key_pos, below) = stack.pop()
            if key_pos or not self._is_key:
                yield loc
            stack.extend(((*loc, step), spot) for step, spot in reversed((below or {}).items()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class Document:
    """One topology file as plain data, with the position of every key and value.

    Parameters
    ----------
    path : str
        The file, as the user named it.
    data : dict
        Keys are str; values dict, list, str, int, float, bool or None. Aliased parts are copies.
    marks : Mapping
        From the path of each value, such as ``("links", 1, "rate")``, to its mark; ``()`` is the
        top. Inside an aliased part they are the marks of the anchor.
    key_marks : Mapping
        The same for the keys of mappings.
    sha256 : str
        Of the bytes of the file, in hexadecimal.
    problems : tuple of Problem
        Duplicate keys, the first of each kept, so that the rest of the file can be judged too.
    """

    path: str
    data: dict[str, object]
    marks: Mapping[Loc, Mark]
    key_marks: Mapping[Loc, Mark]
    sha256: str
    problems: tuple[Problem, ...] = ()

    def locate(self, loc: Loc, key: bool = False) -> Mark:
        r"""Return the mark of the longest known prefix of `loc`.

        Parameters
        ----------
        loc : tuple of str and int
            A path into `data`, as pydantic gives it; it may go on beyond the data.
        key : bool
            Give the mark of the key where the prefix ends in one.

        Examples
        --------
        >>> from fabric.blueprint.reader import read_text
        >>> doc = read_text("links:\n  - {rate: 1Gb/s}", "a.yaml")
        >>> doc.locate(("links", 0, "rate")), doc.locate(("links", 0, "rate"), key=True)
        (Mark(line=2, col=12), Mark(line=2, col=6))
        >>> doc.locate(("links", 0, "between"))
        Mark(line=2, col=5)
        """
        for end in range(len(loc), 0, -1):
            mark = (self.key_marks.get(loc[:end]) if key else None) or self.marks.get(loc[:end])
            if mark:
                return mark
        return self.marks[()]


def dotted(loc: Loc) -> str:
    """Write a path as problems show it.

    Examples
    --------
    >>> dotted(("links", 1, "rate")), dotted(())
    ('links[1].rate', 'file')
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{short(step)}" for step in loc)
    return text.removeprefix(".") or "file"


def short(text: str) -> str:
    """Return the beginning of a key, as problems show it."""
    return text if len(text) <= 60 else f"{text[:57]}..."
