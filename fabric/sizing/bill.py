"""A bill of materials and how it prints: Markdown, CSV, plain data, and text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from fabric.errors import printable
from fabric.results import Result
from fabric.sizing.cabling import Plug, Run
from fabric.sizing.floor import FloorPlan
from fabric.sizing.prices import Price
from fabric.text.columns import columns
from fabric.text.markdown import bullets, escape, table
from fabric.text.spreadsheet import write_csv
from fabric.text.words import counted
from fabric.units import format_count, format_power, format_rate_gbit

KINDS = (
    "rack", "network rack", "chassis", "gpu", "host", "nic", "switch chip", "switch", "transceiver",
    "built-in", "cable",
)  # fmt: skip
"""Kinds of items in the order of a bill. A ``switch chip`` has no scale-out cable and comes with a server or
a rack; ``built-in`` optics are part of their switch; a ``chassis`` is a server or rack sold as one."""
ENCLOSING = ("rack", "network rack", "chassis")
"""Kinds that hold others, which are lines of their own."""
_Table = tuple[str, Sequence[str], list[list[str]]]


@dataclass(frozen=True, slots=True)
class Item(Result):
    """One line of a bill.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    item : str
        Part or medium of the catalogue, ``generic``, or what is known of it; empty for an unknown medium.
    where : str
        Device group or rule.
    n : int
        How many the file needs.
    about : str
        Shape of a cable that is more than straight.
    n_ends : int
        Ends of cables that a transceiver takes, or the plugs on a cable.
    reach_m : float or None
        Length to order [m].
    power_w : float or None
        Of all of them [W]; None where not known.
    power_from : str
        The figure, and what stands behind it.
    n_spare : int
    price : Price or None
        Of one.
    power_in, price_in : str
        Chassis whose power or price has that of the item in it already; else empty.
    """

    kind: str
    item: str
    where: str
    n: int
    about: str = ""
    n_ends: int = 0
    reach_m: float | None = None
    power_w: float | None = None
    power_from: str = ""
    n_spare: int = 0
    price: Price | None = None
    power_in: str = ""
    price_in: str = ""

    shown: ClassVar[tuple[str, ...]] = ("cost_usd",)

    @property
    def cost_usd(self) -> tuple[float, float] | None:
        """Lowest and highest cost with spares [USD]; None without a price."""
        if self.price is None:
            return None
        n = self.n_spare + (0 if self.price_in else self.n)
        return n * self.price.low_usd, n * self.price.high_usd

    @property
    def name(self) -> str:
        """The item in words."""
        return self.item or "unknown medium"


@dataclass(frozen=True, slots=True)
class PortUse(Result):
    """Ports of one class of a device group, all devices together.

    Parameters
    ----------
    group, port_class : str
    rate_gbps : float
        Of one port, per direction [Gb/s].
    n_ports, n_used : int
        A breakout takes whole cages.
    """

    group: str
    port_class: str
    rate_gbps: float
    n_ports: int
    n_used: int

    shown: ClassVar[tuple[str, ...]] = ("n_free",)

    @property
    def n_free(self) -> int:
        """Ports that no cable takes."""
        return self.n_ports - self.n_used


@dataclass(frozen=True, slots=True)
class Bom(Result):
    """Answer of `fabric.sizing.bom.bom`.

    Parameters
    ----------
    name : str
        Of the fabric.
    n_gpus : int
    n_endpoints : int
        Endpoints of any kind, GPUs, hosts or cards.
    items : tuple of Item
        What there is, by kind.
    cables : tuple of Run
        Every cable of the file, by rule, medium and reach.
    cages : tuple of Plug
        What the cages hold.
    ports : tuple of PortUse
    floor : FloorPlan
    spares_percent : float
    notes : tuple of str
        What was assumed, is not known, or cannot be.
    """

    name: str
    n_gpus: int
    n_endpoints: int
    items: tuple[Item, ...]
    cables: tuple[Run, ...]
    cages: tuple[Plug, ...]
    ports: tuple[PortUse, ...]
    floor: FloorPlan
    spares_percent: float
    notes: tuple[str, ...]

    shown: ClassVar[tuple[str, ...]] = (
        "n_cables", "power_w", "power_w_per_gpu", "power_w_per_endpoint",
        "power_unknown_share", "power_unknown", "cost_usd", "cost_unknown",
    )  # fmt: skip

    @property
    def n_cables(self) -> int:
        """Cables that are bought, those within servers and racks left out."""
        return sum(run.n_cables for run in self.cables if not run.is_inside)

    @property
    def power_w(self) -> float | None:
        """Power of all items whose power is known [W]; None if none is. `power_unknown` has the others."""
        total = sum(item.power_w for item in self.items if item.power_w is not None and not item.power_in)
        return total if total or not self.power_unknown else None

    @property
    def power_w_per_gpu(self) -> float | None:
        """Known power over the number of GPUs [W]; None where there is either none, or not their own."""
        return None if self._lacks_senders else self.per_gpu(self.power_w)

    @property
    def power_w_per_endpoint(self) -> float | None:
        """Known power over the number of endpoints [W]; None where there is either none, or not their own."""
        return None if self._lacks_senders else self.per_endpoint(self.power_w)

    @property
    def _lacks_senders(self) -> bool:
        """Whether the power of what sends is not known: the rest over their number would be taken for it."""
        senders = "gpu" if self.n_gpus else "host"
        return any(item.kind == senders for item in self.power_unknown)

    @property
    def power_unknown(self) -> tuple[Item, ...]:
        """Items that draw power which is not known."""
        return tuple(item for item in self.items if item.power_w is None and not item.power_in)

    @property
    def power_unknown_share(self) -> float:
        """Share of the items that draw power for which there is no figure, of their own or of a chassis."""
        total = _n_drawing(self)
        return sum(item.n for item in self.power_unknown) / total if total else 0.0

    @property
    def cost_usd(self) -> tuple[float, float] | None:
        """Lowest and highest cost of all items with a price [USD]; None if there is none."""
        costs = [item.cost_usd for item in self.items if item.cost_usd]
        return (sum(c[0] for c in costs), sum(c[1] for c in costs)) if costs else None

    @property
    def cost_unknown(self) -> tuple[Item, ...]:
        """Items to buy without a price."""
        return tuple(
            item
            for item in self.items
            if item.price is None and not item.price_in and item.kind != "built-in"
        )

    def count(self, kind: str, where: str = "") -> int:
        """Return the items of one kind, of one group or rule if named."""
        return sum(item.n for item in self.items if item.kind == kind and where in ("", item.where))

    def per_gpu(self, value: float | None) -> float | None:
        """Return `value` over the number of GPUs; None where there is either none."""
        return None if value is None or not self.n_gpus else value / self.n_gpus

    def per_endpoint(self, value: float | None) -> float | None:
        """Return `value` over the number of endpoints; None where there is either none."""
        return None if value is None or not self.n_endpoints else value / self.n_endpoints

    def table(self) -> list[dict[str, object]]:
        """Return a flat row for every item, with its number for each GPU and endpoint."""
        return [_row(self, item) for item in self.items]

    def to_csv(self) -> str:
        """Return the items as CSV, one line each; an empty cell is not known or does not apply."""
        rows = self.table()
        return write_csv(list(rows[0]) if rows else [], (list(row.values()) for row in rows))

    def to_markdown(self) -> str:
        """Return the bill as CommonMark."""
        blocks = [f"# Bill of materials: {escape(self.name)}", "\n".join(map(escape, _summary(self)))]
        for title, head, rows in _tables(self):
            blocks += [f"## {title}", table(head, ([escape(cell) for cell in row] for row in rows))]
        blocks += ["## Assumed, and not known", bullets(map(escape, self.notes))]
        return "\n\n".join(blocks).rstrip() + "\n"

    def __str__(self) -> str:
        """Return the bill as text."""
        lines = [f"Bill of materials: {self.name}", *_summary(self)]
        for title, head, rows in _tables(self):
            lines += ["", title, columns(head, rows)]
        return printable("\n".join([*lines, "", bullets(self.notes)]), kept="\n")


def _summary(bom: Bom) -> Iterator[str]:
    # Per GPU where there are any, else per endpoint.
    whom, power = _each(bom, None)[1], "no power known"
    if bom.power_w is not None:
        per = bom.power_w_per_gpu if bom.n_gpus else bom.power_w_per_endpoint
        known = " known" if bom.power_unknown else ""
        power = f"{format_power(bom.power_w)}{known}" + (f", {format_power(per)} per {whom}" if per else "")
    ends = (bom.n_gpus, "gpu") if bom.n_gpus else (bom.n_endpoints, "endpoint")
    counts = [counted(*ends), counted(bom.count("switch"), "switch")]
    yield ", ".join([*counts, counted(bom.n_cables, "cable"), power]) + "."
    for item in bom.items:
        if item.kind == "chassis" and item.power_w:
            total_power, unit_power = format_power(item.power_w), format_power(item.power_w / item.n)
            number = f"{item.n:,} {item.name} at {unit_power}"
            yield f"Of that, {total_power} are {number} with all that is in them."
    if bom.power_unknown:
        n, total = sum(item.n for item in bom.power_unknown), _n_drawing(bom)
        share = f"{n:,} of {total:,} items that draw any ({100 * bom.power_unknown_share:.3g} %)"
        yield f"Power not known of {share}, and not in that sum: {_list_items(bom.power_unknown)}."
    if bom.cost_usd:
        yield f"Cost of what has a price, spares included: {_dollars(bom.cost_usd)}."
        if bom.cost_unknown:
            yield f"Without a price, and not in that sum: {_list_items(bom.cost_unknown)}."


def _each(bom: Bom, value: float | None) -> tuple[float | None, str]:
    """Return `value` for each GPU, or where there is none for each endpoint, and which of them."""
    return (bom.per_gpu(value), "GPU") if bom.n_gpus else (bom.per_endpoint(value), "endpoint")


def _n_drawing(bom: Bom) -> int:
    """Return the number of items that draw power: devices, optics and cables with electronics."""
    return sum(item.n for item in bom.items if item.kind not in ENCLOSING and item.power_w != 0)


def _list_items(items: Iterable[Item]) -> str:
    """Return items with their numbers, one item of a group or rule once."""
    numbers: dict[str, int] = {}
    for item in items:
        name = f"{item.name} ({item.where})"
        numbers[name] = numbers.get(name, 0) + item.n
    return ", ".join(f"{n:,} {name}" for name, n in numbers.items())


def _tables(bom: Bom) -> Iterator[_Table]:
    yield _item_table(bom)
    if bom.cables:
        head = ("Rule", "Medium", "Chosen by", ">Order length", ">Cables", f">Per {_each(bom, None)[1]}")
        rows = [
            [run.rule, run.medium or "unknown", _chosen(run), _reach(run.reach_m), format_count(run.n_cables)]
            + [_ratio(_each(bom, run.n_cables)[0])]
            for run in bom.cables
        ]
        yield "Cables", head, rows
    if bom.cages:
        rows = [
            [plug.group, plug.medium or "unknown", format_rate_gbit(plug.rate_gbps)]
            + [format_count(plug.n_cages), format_count(plug.n_ends)]
            for plug in bom.cages
        ]
        yield "Cages", ("Group", "Holds", ">Rate of a cable", ">Cages filled", ">Ends of cables"), rows
    if bom.ports:
        rows = [
            [port.group, port.port_class, format_rate_gbit(port.rate_gbps)]
            + [format_count(n) for n in (port.n_ports, port.n_used, port.n_free)]
            for port in bom.ports
        ]
        yield "Ports", ("Group", "Class", ">Rate", ">Ports", ">Used", ">Free"), rows
    if priced := [item for item in bom.items if item.price and item.cost_usd]:
        rows = [
            [
                item.name,
                item.where,
                _dollars((item.price.low_usd, item.price.high_usd)),
                _dollars(item.cost_usd),
            ]
            + [item.price.confidence, "; ".join(filter(None, (item.price.source, item.price.note)))]
            for item in priced
            if item.price and item.cost_usd
        ]
        yield "Cost", ("Item", "Where", ">Price of one", ">Cost", "Confidence", "Source"), rows


def _item_table(bom: Bom) -> _Table:
    head = ["Kind", "Item", "Where", ">Order length", ">Number", f">Per {_each(bom, None)[1]}", ">Ends"]
    head += [">Spares"] * bool(bom.spares_percent) + [">Power [kW]", "Power from"]
    rows = []
    for item in bom.items:
        row = [item.kind, " ".join(filter(None, (item.name, item.about))), item.where, _reach(item.reach_m)]
        row += [format_count(item.n), _ratio(_each(bom, item.n)[0])]
        row.append(format_count(item.n_ends) if item.n_ends else "")
        if bom.spares_percent:
            row.append(format_count(item.n_spare) if item.n_spare else "")
        row += [_power(item), item.power_from]
        rows.append(row)
    return "Items", head, rows


def _power(item: Item) -> str:
    """Return the power of an item [kW], or whose it is part of."""
    if item.power_in:
        return f"in {item.power_in}"
    return "not known" if item.power_w is None else f"{item.power_w / 1000:,.2f}"


def _row(bom: Bom, item: Item) -> dict[str, object]:
    """Return an item as one flat row; what is not known is None."""
    cost, price = item.cost_usd, item.price
    return {
        "kind": item.kind,
        "item": item.item or None,
        "about": item.about or None,
        "where": item.where,
        "reach_m": item.reach_m,
        "n": item.n,
        "n_per_gpu": bom.per_gpu(item.n),
        "n_per_endpoint": bom.per_endpoint(item.n),
        "n_ends": item.n_ends or None,
        "n_spare": item.n_spare,
        "power_w": item.power_w,
        "power_from": item.power_from or None,
        "power_in": item.power_in or None,
        "price_low_usd": price.low_usd if price else None,
        "price_high_usd": price.high_usd if price else None,
        "cost_low_usd": cost[0] if cost else None,
        "cost_high_usd": cost[1] if cost else None,
        "price_in": item.price_in or None,
        "price_source": price.source if price else None,
        "price_confidence": price.confidence if price else None,
    }


def _chosen(run: Run) -> str:
    if run.is_inside:
        return "comes with server or rack"
    return "file" if run.is_named else "reach" if run.medium else "not known"


def _reach(reach_m: float | None) -> str:
    return f"{reach_m:g} m" if reach_m else ""


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _dollars(usd: tuple[float, float]) -> str:
    low, high = (f"{v:,.0f}" if v >= 100 else f"{v:,.2f}" for v in usd)
    return f"USD {low}" if low == high else f"USD {low} to {high}"
