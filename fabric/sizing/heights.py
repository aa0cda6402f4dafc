"""How high servers, trays, racks and switches are, in rack units of 44.45 mm (EIA-310)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path

from fabric.blueprint import template_names
from fabric.parts import Evidence, Frozen, catalogue
from fabric.parts.rows import grounds, read_rows
from fabric.sizing.chassis import DATA, source_titles

_COLUMNS = ("of", "height_u", "source", "confidence", "note")


@dataclass(frozen=True, slots=True)
class Height:
    """A row of ``heights.csv``.

    Parameters
    ----------
    of : str
        Template of a server or a rack, ``TEMPLATE/AXIS`` of what stands on an axis of it, or part of a
        switch.
    height_u : int
        Rack units.
    evidence : Evidence
    note : str
    """

    of: str
    height_u: int
    evidence: Evidence
    note: str


@cache
def all_heights() -> Mapping[str, Height]:
    """Return every known height by what it is of.

    Examples
    --------
    >>> all_heights()["gb300-nvl72/tray"].height_u, all_heights()["qm9700"].height_u
    (1, 1)
    """
    return load_heights(DATA)


def load_heights(directory: Traversable | Path) -> Mapping[str, Height]:
    """Read and check ``heights.csv``.

    Raises
    ------
    PartError
        If a row is not sound, or of nothing that is known.
    """
    heights: dict[str, Height] = {}
    known = {*template_names(), *catalogue().parts}
    for row in read_rows(directory, "heights.csv", _COLUMNS):
        of = row.text("of")
        row.known(of.partition("/")[0], "template or part", known)
        if of in heights:
            row.refuse(f"{of} stands twice")
        heights[of] = Height(of, row.whole("height_u"), grounds(row, source_titles()), row.cells["note"])
    return Frozen(heights)
