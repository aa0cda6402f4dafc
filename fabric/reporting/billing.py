"""What has to be bought, and what it draws and costs: a line, a picture and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fabric.reporting.chart import PALETTE, chart
from fabric.reporting.document import Picture
from fabric.reporting.sheet import svg
from fabric.reporting.tables import dollars
from fabric.sizing.bill import ENCLOSING, Bom, Item
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words
from fabric.units import format_count, format_power

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RACKS = ("rack", "network rack")
_FEW = 0.001
"""Part of the largest below which an item has no bar."""


def racks_of(bill: Bom) -> str:
    """Return the number of racks in words; empty where not known."""
    told = [counted(n, kind) for kind in _RACKS if (n := bill.count(kind))]
    return " and ".join(told)


def billing_line(bill: Bom) -> str:
    """Return for the summary what is to be bought, drawn and paid."""
    racks = racks_of(bill)
    parts = [f"{racks}, {counted(bill.n_cables, 'cable')}" if racks else counted(bill.n_cables, "cable")]
    if bill.power_w is None:
        parts.append("power not known")
    else:
        known = " known" if bill.power_unknown else ""
        per = f" ({format_power(each)} per GPU)" if (each := bill.power_w_per_gpu) else ""
        parts.append(f"**{format_power(bill.power_w)}**{known}{per}")
    if bill.cost_usd:
        n, bare = len({item.name for item in bill.items if item.cost_usd}), len(_unpriced(bill))
        some = f" for {n} of {n + bare} kinds of items, the others have no price here" if bare else ""
        parts.append(f"**{dollars(*bill.cost_usd)}** at indicative prices{some}")
    else:
        parts.append("no price known")
    return f"To buy: {'; '.join(parts)}."


def _unpriced(bill: Bom) -> set[str]:
    """Return what has no price, but for what only encloses what is listed."""
    return {item.name for item in bill.cost_unknown if item.kind not in ENCLOSING}


def _drawing(bill: Bom) -> list[Item]:
    """Return the items that the picture shows: those with a cost or a power of their own."""
    items = [i for i in bill.items if (i.cost_usd and sum(i.cost_usd)) or (i.power_w and not i.power_in)]
    most_usd = max((sum(i.cost_usd) for i in items if i.cost_usd), default=0.0)
    most_w = max((i.power_w or 0.0 for i in items if not i.power_in), default=0.0)
    return [
        i
        for i in items
        if (i.cost_usd and sum(i.cost_usd) > _FEW * most_usd)
        or (i.power_w and not i.power_in and i.power_w > _FEW * most_w)
    ]


def billing_title(bill: Bom) -> str:
    """Return what most of the money goes to."""
    priced = [item for item in bill.items if item.cost_usd]
    if not priced or not bill.cost_usd:
        power = (
            f"Known power is {format_power(bill.power_w)}"
            if bill.power_w
            else "No price and no power is known"
        )
        return f"{power}; no item of {bill.name} has a price"
    most = max(priced, key=lambda item: sum(item.cost_usd or (0.0, 0.0)))
    share = sum(most.cost_usd or (0.0, 0.0)) / sum(bill.cost_usd)
    power = f" and {format_power(bill.power_w)}" if bill.power_w else ""
    # Without a price of what costs most, a share of the rest would mislead.
    bare = [i.name for i in bill.items if i.kind == "gpu" and not i.cost_usd and not i.price_in]
    if bare:
        others = len(_unpriced(bill) - {*bare})
        bare += [counted(others, "other item")] if others else []
        has = "which has" if len(bare) == 1 else "which have"
        return f"{dollars(*bill.cost_usd)}{power} without {join_words(bare)}, {has} no price here"
    return (
        f"{dollars(*bill.cost_usd)}{power}: {100 * share:.3g} % of the money goes to {most.n:,} × {most.name}"
    )


def billing(name: str, bill: Bom) -> Picture:
    """Return the picture of the cost and power of the items."""
    title = billing_title(bill)
    return Picture(name, title, svg(lambda: _figure(title, bill), title))


def has_picture(bill: Bom) -> bool:
    """Return whether anything has a cost or a power."""
    return bool(_drawing(bill))


def _figure(title: str, bill: Bom) -> Figure:
    items = _drawing(bill)
    usd = bill.cost_usd[1] if bill.cost_usd else 0.0
    watts = bill.power_w or 0.0
    shares = [(_share(i.cost_usd[1] if i.cost_usd else 0.0, usd), _share(_watts(i), watts)) for i in items]
    made = chart(
        title,
        len(items),
        span=(0.0, 100 * max(max(pair) for pair in shares)),
        label="Share of the cost (upper end of its range), and of the known power [%]",
        notes=[
            "Upper bar: cost at indicative prices, without a vendor's list price among them. Lower bar: "
            "power. "
            "Items below a thousandth of the largest are in the table alone."
        ],
        room=2.6,
    )
    for row, (item, (cost, power)) in enumerate(zip(items, shares, strict=True)):
        made.name(row, item.name, f"{item.n:,} × {item.kind}, {_where(item)}")
        for up, share, colour, told in (
            (-0.17, cost, PALETTE[0], dollars(*item.cost_usd) if item.cost_usd else ""),
            (0.17, power, PALETTE[1], format_power(_watts(item)) if _watts(item) else ""),
        ):
            height = {"facecolor": colour}
            made.bar(row + up, 0.0, 100 * share, height=0.13, **height)
            if told:
                made.say(row + up, 100 * share, told, fontsize=8)
    return made.figure


def _where(item: Item) -> str:
    """Return where an item stands, a cable with how far it reaches: rules have cables of several."""
    return f"{item.where}, up to {item.reach_m:g} m" if item.kind == "cable" and item.reach_m else item.where


def _watts(item: Item) -> float:
    return 0.0 if item.power_in else item.power_w or 0.0


def _share(value: float, total: float) -> float:
    return value / total if total else 0.0


def bill_table(bill: Bom) -> str:
    """Return the items with their number for each GPU, power and cost, and the sums."""
    rows = [
        [
            item.kind,
            code(item.name),
            escape(_where(item)),
            format_count(item.n),
            _each(bill, item.n),
            _power(item),
            _cost(item),
        ]
        for item in bill.items
    ]
    total = dollars(*bill.cost_usd) if bill.cost_usd else "not known"
    power = format_power(bill.power_w) if bill.power_w is not None else "not known"
    rows.append(["**in all**", "", "", "", "", f"**{power}**", f"**{total}**"])
    whom = "GPU" if bill.n_gpus else "endpoint"
    head = ["Kind", "Item", "Where", ">Number", f">Per {whom}", ">Power", ">Cost"]
    return table(head, rows)


def bill_notes(bill: Bom) -> str:
    """Return where the figures of power and prices are from, and what was assumed."""
    told = [
        f"Power of {code(i.name)} ({escape(i.where)}): {escape(i.power_from)}."
        for i in bill.items
        if i.power_from
    ]
    prices = {
        i.name: f"Price of {code(i.name)}: {i.price.low_usd:,.0f} to {i.price.high_usd:,.0f} USD, "
        f"{i.price.confidence} ({escape(i.price.source)})."
        for i in bill.items
        if i.price and i.cost_usd
    }
    return bullets([*dict.fromkeys(told), *prices.values(), *map(escape, bill.notes)])


def _each(bill: Bom, n: int) -> str:
    per = bill.per_gpu(n) if bill.n_gpus else bill.per_endpoint(n)
    return "" if per is None else f"{per:.3g}"


def _power(item: Item) -> str:
    if item.power_in:
        return f"in {item.power_in}"
    if item.kind in ENCLOSING and not item.power_w:
        return ""
    return "not known" if item.power_w is None else format_power(item.power_w) if item.power_w else "none"


def _cost(item: Item) -> str:
    if item.price_in:
        return f"in {item.price_in}"
    return dollars(*item.cost_usd) if item.cost_usd else "not known"
