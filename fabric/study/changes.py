"""What changed from one fabric to another, as a review needs it: what it is made of, the bill, and rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from fabric.arguments import checked
from fabric.bounds.bound import bound
from fabric.errors import FabricError
from fabric.flow.throughput import throughput
from fabric.graph import Fabric
from fabric.results import Result
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.summary import Summary, summarize
from fabric.text.columns import columns
from fabric.text.markdown import code, escape, table
from fabric.text.words import span
from fabric.units import format_power, format_rate, format_ratio

Value = float | str | None
_CELL = 20  # characters; longer words stand below the table


class Fact(NamedTuple):
    """One number or word of a fabric."""

    value: Value
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that is not the same in both.

    Parameters
    ----------
    what : str
        Kind of the fact, such as ``devices`` or ``capacity``.
    of : str
        The group, link rule or item; empty for the whole fabric.
    before, after : float, str or None
        None where there is no such thing, or it is not known.
    unit : str
        ``Gb/s`` per direction, ``W``, ``USD``, ``ratio``; empty for counts and words.
    """

    what: str
    of: str
    before: Value
    after: Value
    unit: str

    @property
    def factor(self) -> float | None:
        """After over before, where both are numbers above zero."""
        if (
            isinstance(self.before, str)
            or isinstance(self.after, str)
            or not self.before
            or self.after is None
        ):
            return None
        return self.after / self.before


@dataclass(frozen=True, slots=True)
class Changes(Result):
    """Answer of `diff`.

    Parameters
    ----------
    before, after : str
        Names of the two.
    rows : tuple of Change
    n_same : int
        Facts that are the same in both.
    notes : tuple of str
        What could not be compared, and why.
    """

    before: str
    after: str
    rows: tuple[Change, ...]
    n_same: int
    notes: tuple[str, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Literal["same", "changed"]:
        """Whether anything differs."""
        return "changed" if self.rows else "same"

    def table(self) -> list[dict[str, object]]:
        """Return the facts that differ."""
        return [
            {
                "what": r.what,
                "of": r.of,
                "before": r.before,
                "after": r.after,
                "unit": r.unit,
                "factor": r.factor,
            }
            for r in self.rows
        ]

    def to_markdown(self) -> str:
        """Return the changes as a comment on a change under review."""
        lines = [f"**{escape(self.before)}** to **{escape(self.after)}**: {self._told}"]
        if self.rows:
            rows = [
                [
                    escape(row.what) + (f" {code(row.of)}" if row.of else ""),
                    *map(escape, (show(row.before, row.unit), show(row.after, row.unit), by_factor(row))),
                ]
                for row in self.rows
            ]
            lines.append(table(["What", ">Before", ">After", ">Change"], rows))
        lines += [f"Not compared: {escape(note)}" for note in self.notes]
        return "\n\n".join(lines) + "\n"

    @property
    def _told(self) -> str:
        if not self.rows:
            return f"no change in {self.n_same} facts"
        return f"{len(self.rows)} facts changed, {self.n_same} are the same"

    def __str__(self) -> str:
        """Return one line for each change."""
        lines = [f"{self.before} to {self.after}: {self._told}"]
        cells = [
            # Eighty columns have room for one of the two units of a rate.
            [
                row.what,
                row.of,
                *(show(side, row.unit).partition(" (")[0] for side in (row.before, row.after)),
                by_factor(row),
            ]
            for row in self.rows
        ]
        short = [row for row in cells if max(map(len, row[2:4])) <= _CELL]
        if short:
            lines.append(columns(["what", "of", ">before", ">after", ">change"], short))
        lines += [f"{row[0]} {row[1]}: {row[2]} -> {row[3]}" for row in cells if row not in short]
        lines += [f"not compared: {note}" for note in self.notes]
        return "\n".join(lines)


def show(value: Value, unit: str) -> str:
    """Return one side of a change in words.

    Examples
    --------
    >>> show(800.0, "Gb/s"), show(1.5, "ratio"), show(64.0, ""), show(None, "W")
    ('800 Gb/s (100 GB/s)', '1.5:1', '64', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if unit == "Gb/s":
        return format_rate(value) if value else "0"
    if unit == "W":
        return format_power(value)
    if unit == "ratio":
        return format_ratio(value)
    return f"{value:,.0f}" + (f" {unit}" if unit else "")


def by_factor(row: Change) -> str:
    """Return how much more or less a number is; nothing where it is none, or came or went.

    Examples
    --------
    >>> by_factor(Change("devices", "gpu", 4.0, 8.0, "")), by_factor(Change("rate", "a", 4.0, 3.0, "Gb/s"))
    ('+4', '-25 %')
    """
    if isinstance(row.before, float) and isinstance(row.after, float) and not row.unit:
        return f"{row.after - row.before:+,.0f}"
    if row.factor is None:
        return ""
    return f"x {row.factor:.3g}" if row.factor >= 10 else f"{100 * (row.factor - 1):+.3g} %"


@checked
def diff(before: Fabric, after: Fabric) -> Changes:
    """Return what changed from one fabric to another.

    Parameters
    ----------
    before, after : Fabric
        Each from a topology file, with its failures if it has any.

    Returns
    -------
    Changes

    Raises
    ------
    QuestionError
        If one came from a graph.

    Notes
    -----
    Groups, link rules and items are compared by name: one that is renamed has gone, and another has come.
    Rates are of all-to-all among all endpoints, the bound is of all-reduce, prices are the indicative ones.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, "
    >>> text += "axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> changes = diff(loads(text), loads(text.replace("i: 4", "i: 8")))
    >>> [(row.what, row.of, row.before, row.after) for row in changes.rows][:2]
    [('devices', 'gpu', 4.0, 8.0), ('axes', 'gpu', 'i: 4', 'i: 8')]
    """
    notes: dict[str, None] = {}
    old, new = (dict(_facts(one, notes)) for one in (before, after))
    rows = []
    n_same = 0
    kinds = list(dict.fromkeys(what for what, _ in (*old, *new)))
    for key in sorted(dict.fromkeys((*old, *new)), key=lambda key: kinds.index(key[0])):
        one, other = old.get(key, Fact(None)), new.get(key, Fact(None))
        if _is_same(one.value, other.value):
            n_same += 1
        else:
            rows.append(Change(*key, one.value, other.value, one.unit or other.unit))
    return Changes(before.name, after.name, tuple(rows), n_same, tuple(notes))


def _is_same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-6 * max(abs(one), abs(other))
    return one == other


Facts = Iterator[tuple[tuple[str, str], Fact]]


def _facts(fabric: Fabric, notes: dict[str, None]) -> Facts:
    """Yield the facts of a fabric, in the order in which they are told."""
    yield from _answers(fabric, notes)
    yield from _made_of(summarize(fabric))
    yield from _bought(fabric)


def _made_of(summary: Summary) -> Facts:
    for group in summary.groups:
        yield ("devices", group.name), Fact(float(group.n_devices))
        yield ("axes", group.name), Fact(", ".join(f"{axis}: {size:,}" for axis, size in group.axes) or "one")
        yield ("part", group.name), Fact(group.part or group.kind)
        for port in group.ports:
            yield ("free ports", f"{group.name} {port.name}"), Fact(float(port.n_ports - port.n_used))
    for link in summary.links:
        yield ("cables", link.name), Fact(float(link.n_cables))
        yield ("rate", link.name), Fact(link.rate_gbps, "Gb/s")
        yield ("each", link.name), Fact(f"[{span(link.per_lower)}, {span(link.per_upper)}]")
        if link.relation:
            yield ("relation", link.name), Fact(link.relation)
        yield ("capacity", link.name), Fact(link.capacity_gbps, "Gb/s")
        yield ("per endpoint", link.name), Fact(link.per_endpoint_gbps, "Gb/s")
    for tier in summary.tiers:
        yield ("oversubscription", tier.name), Fact(tier.ratio, "ratio")
    yield ("failed", ""), Fact("; ".join(summary.failed) or "nothing")
    yield ("degraded", ""), Fact("; ".join(summary.degraded) or "nothing")


def _bought(fabric: Fabric) -> Facts:
    bill = bom(fabric, prices=indicative_prices())
    numbers: dict[str, float] = {}
    for item in bill.items:
        if item.kind != "built-in":
            numbers[item.name] = numbers.get(item.name, 0.0) + item.n
    for name, n in numbers.items():
        yield ("to buy", name), Fact(n)
    yield ("known power", ""), Fact(bill.power_w, "W")
    least, most = bill.cost_usd or (None, None)
    yield ("price at least", ""), Fact(least, "USD")
    yield ("price at most", ""), Fact(most, "USD")


def _answers(fabric: Fabric, notes: dict[str, None]) -> Facts:
    try:
        rate = throughput(fabric)
        yield ("all-to-all", "each endpoint"), Fact(rate.per_endpoint_gbps, "Gb/s")
        yield ("all-to-all", "binds"), Fact(", ".join(price.link for price in rate.binding) or "nothing")
    except FabricError as error:
        notes[f"all-to-all of {fabric.name}: {error}"] = None
    try:
        best = bound(fabric, "all-reduce")
        yield ("all-reduce, at most", "busbw"), Fact(best.busbw_gbps, "Gb/s")
        yield ("all-reduce, at most", "binds"), Fact(", ".join(best.binding) or "nothing")
    except FabricError as error:
        notes[f"bound of all-reduce of {fabric.name}: {error}"] = None
