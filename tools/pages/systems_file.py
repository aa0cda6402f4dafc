"""The file of systems: which there are, by family, and the figures that others published about them.

A row names a system and what is published about it; our number is asked for by the name of a quantity and
never stands in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn, cast

from fabric.blueprint import template_names
from fabric.blueprint.document import Document
from fabric.blueprint.reader import read_file
from fabric.errors import QuestionError, UnitError, nearest
from fabric.graph import Fabric, load, loads
from fabric.parts import CONFIDENCES, Source, catalogue
from fabric.units import parse_rate
from tools.pages.systems_quantities import RATES, arguments

_SUFFIX = ".fabric.yaml"
_SYSTEM = frozenset({"system", "also", "pairs", "checked"})
_NEEDED = frozenset({"what", "quantity", "published", "by", "source"})
_MAY = frozenset({"unit", "both_ways", "times", "tolerance", "why"})


@dataclass(frozen=True, slots=True)
class Check:
    """A published figure, and which of our numbers it is held against.

    Parameters
    ----------
    what : str
        In words.
    quantity : str
        One of `tools.pages.systems_quantities`.
    asked : mapping
        Its arguments.
    published : float
        As printed, in `unit`.
    unit : str
        A unit of rates, or what is counted.
    is_both_ways : bool
        Whether a rate was printed as the sum of both directions.
    times : float
        What our number is multiplied with, where the publication counts something else; `what` says it.
    tolerance : float
        Largest relative difference.
    by : str
        One of `fabric.parts.CONFIDENCES`: what kind of figure it is.
    source : tuple of str
        Ids of sources.
    why : str
        Why it is not held to its tolerance; empty where it is.
    where : str
        File and line of the row, for errors.
    """

    what: str
    quantity: str
    asked: Mapping[str, Any]
    published: float
    unit: str
    is_both_ways: bool
    times: float
    tolerance: float
    by: str
    source: tuple[str, ...]
    why: str
    where: str

    def in_unit(self, ours: float) -> float:
        """Return our number, a rate [Gb/s per direction] or a count, as the publication would print it."""
        ways = 2.0 if self.is_both_ways else 1.0
        unit = parse_rate(f"1{self.unit}") if self.quantity in RATES else 1.0
        return ours * self.times * ways / unit


@dataclass(frozen=True)  # without slots, so that `fabric` is kept where it was asked for
class System:
    """One system of the file; its topology is loaded when it is asked for.

    Parameters
    ----------
    name : str
        As written: a template, or a topology file relative to the data file, without suffix.
    is_template : bool
    path : Path or Traversable
        The topology file.
    also : tuple of str
        Topology files that hold the very same fabric.
    pairs : tuple of (str, str)
        Selections whose maximum flow is shown beside those of two devices.
    checks : tuple of Check
    """

    name: str
    is_template: bool
    path: Path | Traversable
    also: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]

    @property
    def id(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]

    @cached_property
    def fabric(self) -> Fabric:
        """The topology, loaded and checked."""
        if self.is_template:
            return loads(f"{{fabric: {self.name}, include: {self.name}}}")
        return load(cast(Path, self.path))

    def drawing(self) -> tuple[str, str]:
        """Return the first line of the comment at the head of the file, and the drawing below it."""
        head = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            head.append(line[1:].removeprefix(" ").rstrip())
        picture = head[1:]
        while picture and not picture[0]:
            picture.pop(0)
        return (head[0] if head else ""), "\n".join(picture)

    def notes(self) -> dict[str, str]:
        """Return what the file and those that it includes say about themselves, by name."""
        pairs = (note.partition(": ") for note in self.fabric.axes_or_refuse("a row of the page").notes)
        return {name: text for name, _, text in pairs}

    def about(self) -> str:
        """Return what the file says about itself."""
        return self.notes().get(self.fabric.name, "")


@dataclass(frozen=True, slots=True)
class Family:
    """Systems of one kind.

    Parameters
    ----------
    title : str
    systems : tuple of System
    """

    title: str
    systems: tuple[System, ...]


@dataclass(frozen=True, slots=True)
class SystemsFile:
    """The whole file.

    Parameters
    ----------
    families : tuple of Family
    sources : mapping of str to Source
        Those of the parts catalogue, and those of the file.
    """

    families: tuple[Family, ...]
    sources: Mapping[str, Source]

    def __iter__(self) -> Iterator[System]:
        """Yield all systems."""
        return (system for family in self.families for system in family.systems)


def read_systems(path: str | Path) -> SystemsFile:
    """Read a file of systems.

    Raises
    ------
    TopologyError
        If it cannot be read.
    QuestionError
        If a row lacks something or has something unknown, with file and line.
    """
    return _Reader(Path(path), read_file(path)).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    document: Document

    def read(self) -> SystemsFile:
        data = cast(dict[str, Any], self.document.data)
        self._keys((), data, frozenset({"families"}), frozenset({"sources"}))
        sources = dict(catalogue().sources)
        for name, item in data.get("sources", {}).items():
            if name in sources:
                self._refuse(("sources", name), f"source {name!r} is in the parts catalogue already")
            self._keys(("sources", name), item, frozenset({"title", "locator"}), frozenset())
            sources[name] = Source(name, item["title"], item["locator"])
        families = tuple(
            self._family(item, ("families", i), sources) for i, item in enumerate(data["families"])
        )
        return SystemsFile(families, sources)

    def _family(
        self, item: Mapping[str, Any], loc: tuple[str | int, ...], sources: Mapping[str, Source]
    ) -> Family:
        self._keys(loc, item, frozenset({"title", "systems"}), frozenset())
        rows = enumerate(item["systems"])
        return Family(
            item["title"], tuple(self._system(row, (*loc, "systems", i), sources) for i, row in rows)
        )

    def _refuse(self, loc: tuple[str | int, ...], problem: str) -> NoReturn:
        msg = f"{self._at(loc)}: {problem}"
        raise QuestionError(msg)

    def _at(self, loc: tuple[str | int, ...]) -> str:
        return f"{self.path}:{self.document.locate(loc, key=True).line}"

    def _keys(
        self, loc: tuple[str | int, ...], row: Mapping[str, Any], needed: frozenset[str], may: frozenset[str]
    ) -> None:
        for key in sorted(needed - set(row)):
            self._refuse(loc, f"{key} missing")
        for key in row:
            if key not in needed | may:
                hint = nearest(key, needed | may) or f"expected {', '.join(sorted(needed | may))}"
                self._refuse((*loc, key), f"unknown key {key!r}; {hint}")

    def _system(
        self, row: Mapping[str, Any], loc: tuple[str | int, ...], sources: Mapping[str, Source]
    ) -> System:
        self._keys(loc, row, frozenset({"system"}), _SYSTEM)
        name = row["system"]
        is_template = name in template_names()
        file: Traversable = resources.files("fabric") / "templates" / f"{name}{_SUFFIX}"
        if not is_template:
            file = self.path.parent / f"{name}{_SUFFIX}"
            if not file.is_file():
                self._refuse(loc, f"no template or file {name!r}; {nearest(name, template_names())}")
        checks = enumerate(row.get("checked", ()))
        return System(
            name,
            is_template,
            file,
            tuple(row.get("also", ())),
            tuple((source, target) for source, target in row.get("pairs", ())),
            tuple(self._check(check, (*loc, "checked", k), sources) for k, check in checks),
        )

    def _check(
        self, row: Mapping[str, Any], loc: tuple[str | int, ...], sources: Mapping[str, Source]
    ) -> Check:
        if "quantity" not in row:
            self._refuse(loc, "quantity missing")
        try:
            needed, may = arguments(row["quantity"])
        except QuestionError as error:
            self._refuse((*loc, "quantity"), str(error))
        self._keys(loc, row, _NEEDED | needed, _MAY | may)
        for name in ("published", "times", "tolerance"):
            if not isinstance(row.get(name, 1.0), int | float) or isinstance(row.get(name), bool):
                self._refuse((*loc, name), f"{name} {row[name]!r}; expected a number")
        if row["by"] not in CONFIDENCES:
            self._refuse((*loc, "by"), f"by {row['by']!r}; expected {', '.join(CONFIDENCES)}")
        ids = tuple(row["source"].split())
        for name in ids:
            if name not in sources:
                self._refuse((*loc, "source"), f"unknown source {name!r}; {nearest(name, sources)}")
        if row["quantity"] in RATES:
            try:
                parse_rate(f"1{row.get('unit', '')}")
            except UnitError as error:
                self._refuse((*loc, "unit"), str(error))
        return Check(
            row["what"],
            row["quantity"],
            {name: row[name] for name in row if name in needed | may},
            row["published"],
            row.get("unit", ""),
            row.get("both_ways", False),
            row.get("times", 1.0),
            row.get("tolerance", 0.0),
            row["by"],
            ids,
            row.get("why", ""),
            self._at(loc),
        )
