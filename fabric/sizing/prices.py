"""Prices, each with what stands behind it; a bill has none unless its reader gives or accepts them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fabric.errors import FileError, PartError, UnitError, nearest
from fabric.parts import CONFIDENCES, catalogue, generic_switch
from fabric.parts.rows import grounds, read_rows
from fabric.sizing.chassis import DATA, all_chassis, source_titles
from fabric.text.reading import decode, read_bytes
from fabric.text.spreadsheet import Cell, read_csv
from fabric.units import parse_number

MAX_BYTES = 2**20
"""Largest price list."""
MAX_USD = 1e12
"""Highest price of one item."""
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
        if not 0 <= self.low_usd <= self.high_usd <= MAX_USD:
            price = f"price of USD {self.low_usd:g} to {self.high_usd:g}"
            msg = f"{price}; expected a range from 0 to {MAX_USD:g}"
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
    sources = source_titles()
    prices = {}
    for row in read_rows(DATA, "prices.csv", _SHIPPED):
        backing = grounds(row, sources)
        prices[row.text("item")] = Price(
            row.number("price_min_usd"),
            row.number("price_max_usd"),
            "; ".join(sources[s] for s in backing.source),
            backing.confidence,
            row.cells["note"],
        )
    return prices


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
        At the first cell that is not sound, with line and column.
    """
    try:
        return parse_prices(read_bytes(path, limit=MAX_BYTES), str(path))
    except FileError as error:
        raise PartError(str(error)) from None


def parse_prices(data: bytes, path: str) -> dict[str, Price]:
    """Return the price list that a text holds; `path` names it in the errors.

    Raises
    ------
    PartError
        At the first cell that is not sound, with line and column.
    """
    try:
        head, *rows = list(read_csv(decode(data, path), path)) or [[]]
    except FileError as error:
        raise PartError(str(error)) from None
    if not head:
        msg = f"{path}:1:1: empty; expected a line with some of {', '.join(_COLUMNS)}"
        raise PartError(msg)
    names = [cell.text.strip() for cell in head]
    for name, cell in zip(names, head, strict=True):
        if name not in _COLUMNS or names.count(name) > 1:
            problem = f"column {name!r} twice" if name in _COLUMNS else f"unknown column {name!r}"
            msg = f"{path}:{cell.line}:{cell.col}: {problem}; expected some of {', '.join(_COLUMNS)}"
            raise PartError(msg)
    prices: dict[str, Price] = {}
    for row in rows:
        if len(row) > len(names):
            extra = row[len(names)]
            msg = f"{path}:{extra.line}:{extra.col}: a cell too many; quote a text that holds a comma"
            raise PartError(msg)
        cells = dict(zip(names, (cell._replace(text=cell.text.strip()) for cell in row), strict=False))
        item = cells.get("item", row[0])
        if not cells.get("item") or not item.text or item.text in prices:
            msg = f"{path}:{item.line}:{item.col}: expected an item, once; got {item.text!r}"
            raise PartError(msg)
        prices[item.text] = _price(cells, path)
    return prices


def _price(cells: Mapping[str, Cell], path: str) -> Price:
    """Return the price of a row, or raise at the cell that is not sound."""
    item = at = cells["item"]
    texts = {name: cell.text for name, cell in cells.items()}
    single, low, high = (bool(texts.get(c)) for c in ("price_usd", "price_min_usd", "price_max_usd"))
    try:
        if low != high or single == low:
            msg = "expected price_usd, or price_min_usd and price_max_usd"
            raise PartError(msg)
        at = cells["price_usd" if single else "price_min_usd"]
        low_usd = parse_number(at.text, MAX_USD)
        at = cells["price_usd" if single else "price_max_usd"]
        high_usd = parse_number(at.text, MAX_USD)
        at = item
        confidence = texts.get("confidence") or GIVEN
        return Price(low_usd, high_usd, texts.get("source", ""), confidence, texts.get("note", ""))
    except (PartError, UnitError) as error:
        msg = f"{path}:{at.line}:{at.col}: {item.text}: {error}"
        raise PartError(msg) from None


def check_prices(prices: Prices | None, groups: Collection[str]) -> dict[str, Price]:
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
    >>> check_prices({"leaf": 50_000}, ["leaf"])["leaf"].source
    'given by the reader of the bill'
    """
    priced = {*catalogue().parts, *catalogue().media, *groups, *RACKS, *all_chassis()}
    checked = {}
    for item, price in (prices or {}).items():
        if item not in priced and generic_switch(item) is None:
            hint = nearest(item, priced) or "name a part, a medium, a device group, a chassis or a rack"
            msg = f"price of unknown item {item!r}; {hint}"
            raise PartError(msg)
        if not isinstance(price, Price):
            price = Price(float(price), float(price), "given by the reader of the bill", GIVEN)
        checked[item] = price
    return checked
