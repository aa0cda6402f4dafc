"""Prices, each with what stands behind it; a bill has none unless its reader gives or accepts them."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fabric.errors import PartError, nearest
from fabric.parts import CONFIDENCES, catalogue
from fabric.parts.rows import grounds, read_rows
from fabric.sizing.fittings import DATA

GIVEN = "given"
"""Confidence of a price that the reader of the bill gives."""
RACKS = ("rack", "network rack")
"""Items beside the parts and media of the catalogue, and the device groups of the file."""
_SHIPPED = ("item", "source", "confidence", "note")
_COLUMNS = ("item", "price_usd", "price_min_usd", "price_max_usd", "source", "confidence", "note")


@dataclass(frozen=True, slots=True)
class Price:
    """What one item costs.

    Parameters
    ----------
    low_usd, high_usd : float
        Range; equal for a single price [USD].
    source : str
        Where it is from, in words.
    confidence : str
        One of `fabric.parts.CONFIDENCES`, or ``given``.
    note : str

    Raises
    ------
    PartError
        If the range is no range, or has no source or confidence.
    """

    low_usd: float
    high_usd: float
    source: str
    confidence: str
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a price that nobody can check."""
        if not 0 <= self.low_usd <= self.high_usd < math.inf:
            msg = f"price of USD {self.low_usd:g} to {self.high_usd:g}; expected a range from 0 up"
            raise PartError(msg)
        if not self.source:
            msg = f"price of USD {self.low_usd:g} to {self.high_usd:g} without a source"
            raise PartError(msg)
        if self.confidence not in (*CONFIDENCES, GIVEN):
            msg = f"price with confidence {self.confidence!r}; expected {', '.join((*CONFIDENCES, GIVEN))}"
            raise PartError(msg)


Prices = Mapping[str, "Price | float"]
"""Price, or the number [USD], of each part, medium, device group or rack."""


def indicative_prices() -> dict[str, Price]:
    """Return the prices that come with the package: press, trackers and guesses, no list price among them.

    Pass them to `fabric.sizing.bom.bom` to accept them, alone or below your own:
    ``{**indicative_prices(), "sn5600": 42_000}``.

    Examples
    --------
    >>> price = indicative_prices()["opt_1600"]
    >>> price.low_usd, price.high_usd, price.confidence
    (1300.0, 1500.0, 'reported')
    """
    sources = {s.id: s.title for s in catalogue().sources.values()}
    for row in read_rows(DATA, "sources.csv", ("id", "title", "locator")):
        sources[row.text("id")] = row.text("title")
    found = {}
    for row in read_rows(DATA, "prices.csv", _SHIPPED):
        behind = grounds(row, sources)
        found[row.text("item")] = Price(
            row.number("price_min_usd"),
            row.number("price_max_usd"),
            "; ".join(sources[s] for s in behind.source),
            behind.confidence,
            row.cells["note"],
        )
    return found


def read_prices(path: str | Path) -> dict[str, Price]:
    """Read a price list.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``item``, ``source``, and ``price_usd`` or both of ``price_min_usd`` and
        ``price_max_usd``; ``confidence`` (default ``given``) and ``note`` may be there.

    Returns
    -------
    dict of str to Price

    Raises
    ------
    PartError
        At the first line that is not sound, with its number.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        msg = f"{path}: cannot be read: {why}"
        raise PartError(msg) from None
    reader = csv.DictReader(text.splitlines())
    head = reader.fieldnames or []
    for column in head:
        if column not in _COLUMNS:
            msg = f"{path}:1: unknown column {column!r}; expected some of {', '.join(_COLUMNS)}"
            raise PartError(msg)
    found: dict[str, Price] = {}
    for row in reader:
        cells = {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)}
        where = f"{path}:{reader.line_num}: {cells.get('item') or '(no item)'}"
        if not cells.get("item") or cells["item"] in found:
            msg = f"{where}: expected an item, once"
            raise PartError(msg)
        try:
            found[cells["item"]] = _read(cells)
        except (PartError, ValueError) as error:
            msg = f"{where}: {error}"
            raise PartError(msg) from None
    return found


def _read(cells: Mapping[str, str]) -> Price:
    single, low, high = (cells.get(c, "") for c in ("price_usd", "price_min_usd", "price_max_usd"))
    if bool(single) == bool(low or high):
        msg = "expected price_usd, or price_min_usd and price_max_usd"
        raise PartError(msg)
    confidence = cells.get("confidence") or GIVEN
    note = cells.get("note", "")
    return Price(float(single or low), float(single or high), cells.get("source", ""), confidence, note)


def checked_prices(prices: Prices | None, groups: Collection[str]) -> dict[str, Price]:
    """Return `prices` with numbers as prices that the reader gives.

    Parameters
    ----------
    prices : mapping or None
    groups : collection of str
        Device groups, which may be priced by name.

    Raises
    ------
    PartError
        If an item is none, or a price is not sound.

    Examples
    --------
    >>> checked_prices({"leaf": 50_000}, ["leaf"])["leaf"].source
    'given by the reader of the bill'
    """
    known = {*catalogue().parts, *catalogue().media, *groups, *RACKS}
    found = {}
    for item, price in (prices or {}).items():
        if item not in known:
            hint = nearest(item, known) or "name a part, a medium, a device group, 'rack' or 'network rack'"
            msg = f"price of unknown item {item!r}; {hint}"
            raise PartError(msg)
        if not isinstance(price, Price):
            price = Price(float(price), float(price), "given by the reader of the bill", GIVEN)
        found[item] = price
    return found
