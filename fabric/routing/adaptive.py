"""Adaptive routing: packets are sprayed over all shortest paths.

What reaches a link is worked out by `fabric.routing.fitting`; how near real switches and NICs come to it is
an efficiency of the rate, a figure of publications and of vendors. The figures stand in
``data/adaptive.csv`` with their sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from fabric.errors import QuestionError, UnitError, nearest
from fabric.parts.model import CONFIDENCES
from fabric.parts.rows import read_rows
from fabric.units import parse_number

LEAST_EFFICIENCY = 1e-3
"""Of what is still called a network."""
_COLUMNS = ("id", "efficiency", "confidence", "source", "locator", "note")


@dataclass(frozen=True, slots=True)
class Spraying:
    """A published efficiency of adaptive routing.

    Parameters
    ----------
    id : str
    efficiency : float
        Part of the rate under an equal split that is reached, above 0 and up to 1.
    confidence : str
        One of `fabric.parts.model.CONFIDENCES`.
    source, locator : str
        What says so, and where to read it.
    note : str
    """

    id: str
    efficiency: float
    confidence: str
    source: str
    locator: str
    note: str


@cache
def sprayings() -> Mapping[str, Spraying]:
    """Return the published efficiencies by name.

    Raises
    ------
    PartError
        If a row of the data file may not load.
    """
    by_id = {}
    for row in read_rows(resources.files("fabric.routing").joinpath("data"), "adaptive.csv", _COLUMNS):
        efficiency = row.rate("efficiency")
        if efficiency > 1:
            row.refuse(f"efficiency is {efficiency:g}; expected 1 at most")
        if row.text("id") in by_id:
            row.refuse("second row of this id")
        by_id[row.text("id")] = Spraying(
            row.text("id"),
            efficiency,
            row.choice("confidence", CONFIDENCES),
            row.text("source"),
            row.text("locator"),
            row.cells["note"],
        )
    return by_id


def spraying_efficiency(name_or_value: str | float) -> float:
    """Return the part of the rate under an equal split that adaptive routing reaches.

    Parameters
    ----------
    name_or_value : str or float
        Name of a published efficiency, see `sprayings`, or a number above 0 and up to 1.

    Raises
    ------
    QuestionError
        If the name is unknown or the number out of range.

    Examples
    --------
    >>> spraying_efficiency("spectrum-x"), spraying_efficiency(0.9)
    (0.95, 0.9)
    """
    if isinstance(name_or_value, str) and name_or_value in sprayings():
        return sprayings()[name_or_value].efficiency
    try:
        value = parse_number(name_or_value) if isinstance(name_or_value, str) else name_or_value
    except UnitError:
        # Neither a name nor a number: most likely a name misspelt.
        hint = nearest(str(name_or_value), sprayings())
        hint = hint or f"expected a number up to 1, or one of {', '.join(sprayings())}"
        msg = f"unknown adaptive routing {name_or_value!r}; {hint}"
        raise QuestionError(msg) from None
    if not LEAST_EFFICIENCY <= value <= 1:
        expected = f"a number from {LEAST_EFFICIENCY:g} to 1"
        msg = f"efficiency of adaptive routing is {name_or_value}; expected {expected}"
        raise QuestionError(msg)
    return value
