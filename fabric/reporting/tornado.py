"""What more of each class of cables is worth: the price of the program beside the program solved again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fabric.flow.bottleneck import Bottleneck, CablePrice
from fabric.reporting.chart import chart
from fabric.reporting.document import Picture
from fabric.reporting.sheet import COLOURS, INK, SOFT, put_line, svg
from fabric.reporting.tables import dollars
from fabric.sizing.bill import Bom
from fabric.sizing.summary import LinkSummary
from fabric.text.markdown import code, table
from fabric.text.words import join_words
from fabric.units import format_power, format_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MORE = 0.1
_SAME = 1e-6
"""Gains that differ by less are the same, and stand in the order of their names."""
_DIFFERS = 0.005
"""Gap between the slope and the program solved again from which on the slope alone would mislead."""


def tornado_title(answer: Bottleneck) -> str:
    """Return the upgrade that is worth most."""
    best = max(answer.binding, key=lambda price: price.gain)
    if best.gain > 0:
        alike = sorted(p.link for p in answer.binding if p.gain > best.gain - _SAME)
        each = "" if len(alike) == 1 else " each"
        names = " or ".join(alike)
        gain = f"10 % more {names} gives {100 * best.gain:+.3g} % of all-to-all{each}"
        return f"{gain}; nothing else alone gives more"
    names = join_words(sorted(price.link for price in answer.binding))
    return f"Only {names} together give more all-to-all: {100 * answer.joint_gain:+.3g} % for 10 %"


def tornado(name: str, answer: Bottleneck) -> Picture:
    """Return the picture of what 10 % more and less of each class does to all-to-all."""
    title = tornado_title(answer)
    return Picture(name, title, svg(lambda: _figure(title, answer), title))


def _figure(title: str, answer: Bottleneck) -> Figure:
    rows = sorted(answer.binding, key=lambda price: (-round(max(price.gain, price.loss), 6), price.link))
    most = max(max(price.gain, price.loss, _MORE * price.up_slope) for price in rows)
    spare = [row for row in answer.slack if row.link not in {p.link for p in rows}]
    made = chart(
        title,
        len(rows) + len(spare),
        span=(-100 * most, 100 * most),
        label="Change of the all-to-all rate of every endpoint, one direction [%]",
        notes=[
            "Blue: 10 % more of the class, and the question solved again. Orange: 10 % less. Line: what its "
            "price (the dual of the linear program) promises for 10 % more; where the bar ends before it, "
            "another class binds first."
        ],
        tick="{:+g}",
    )
    for row, price in enumerate(rows):
        made.name(row, price.link, price.where or f"{price.n_cables:,} cables")
        made.bar(row, 0.0, 100 * price.gain, facecolor=COLOURS["scale-up"])
        made.bar(row, 0.0, -100 * price.loss, facecolor=COLOURS["scale-out"])
        x = made.x(100 * _MORE * price.up_slope)
        y = made.y(row)
        put_line(made.axes, [x, x], [y - 0.17, y + 0.17], color=INK, lw=2.0)
        reach = 100 * max(price.gain, _MORE * price.up_slope)
        made.say(row, reach, f"{100 * price.gain:+.3g} %, less {-100 * price.loss:+.3g} %", fontweight="bold")
    for i, one in enumerate(spare):
        made.name(len(rows) + i, one.link, f"{one.n_cables:,} cables")
        made.say(len(rows) + i, 0.0, f"0 %: {100 * one.spare:.3g} % of it is spare", color=SOFT)
    return made.figure


def tornado_table(answer: Bottleneck, bill: Bom, links: Mapping[str, LinkSummary]) -> str:
    """Return the figures of the picture, and what 10 % more cables and optics cost and draw."""
    rows = [
        [
            code(price.link),
            f"{100 * price.gain:+.3g} %",
            f"{100 * _MORE * price.up_slope:+.3g} %{' *' * _differs(price)}",
            f"{-100 * price.loss:+.3g} %",
            *_costs(links[price.link], bill),
        ]
        for price in answer.binding
    ]
    for one in answer.slack:
        rows.append(
            [code(one.link), "0 %", "0 %", f"{100 * one.spare:.3g} % spare", *_costs(links[one.link], bill)]
        )
    head = ["Class", ">+10 %", ">By its price", ">-10 %", ">Cables, optics", ">Power"]
    shown = [[cell.replace("*", "\\*") if i == 2 else cell for i, cell in enumerate(row)] for row in rows]
    words = (
        "*+10 %*: all cables of the class 10 % faster, solved again. *By its price*: what the dual promises; "
        "`*` where the two differ, as another class binds before. *Cables, optics* and *Power*: what 10 % "
        "more of the cables and transceivers of the rule cost and draw, switches and cards not counted."
    )
    following = ""
    if answer.next_binding and answer.next_gbps < float("inf"):
        names = join_words([code(name) for name in answer.next_binding])
        binds = "binds" if len(answer.next_binding) == 1 else "bind"
        following = f" Once all that binds is wide, {names} {binds}, at {format_rate(answer.next_gbps)} each."
    joint = [code(price.link) for price in answer.binding if price.is_joint]
    if joint:
        following += f" All that binds 10 % wider at once: {100 * answer.joint_gain:+.3g} %."
    return f"{table(head, shown)}\n\n{words}{following}"


def _differs(price: CablePrice) -> bool:
    return abs(price.gain - _MORE * price.up_slope) > _DIFFERS


def _costs(link: LinkSummary, bill: Bom) -> list[str]:
    """Return what 10 % more of the cables of a rule and of the optics at their ends cost and draw."""
    of_media = {item.item: item for item in bill.items if item.kind == "transceiver"}
    low = high = watts = 0.0
    for item in bill.items:
        if item.kind == "cable" and item.where == link.name:
            watts += item.power_w or 0.0
            low, high = low + (item.cost_usd or (0, 0))[0], high + (item.cost_usd or (0, 0))[1]
    for plug in bill.cages:
        if plug.form != "transceiver" or plug.group not in (link.lower, link.upper):
            continue
        item = of_media[plug.medium]
        # Rules of a device may share its transceivers: those of this one, by the ends of its cables.
        n = plug.n_cages * link.n_cables / plug.n_ends
        watts += n * (item.power_w or 0.0) / item.n
        if item.price:
            low, high = low + n * item.price.low_usd, high + n * item.price.high_usd
    return [
        dollars(_MORE * low, _MORE * high) if high else "not known",
        format_power(_MORE * watts) if watts else "none known",
    ]
