"""Where the time of a collective goes: one bar after another up to the whole, and how busy each class is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fabric.costing import Cost
from fabric.reporting.chart import chart
from fabric.reporting.collectives import TIE
from fabric.reporting.document import Picture
from fabric.reporting.sheet import COLOURS, INK, SOFT, svg
from fabric.text.markdown import code, table
from fabric.units import format_bytes, format_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 6
"""Classes beside the binding one that are shown; the others are less busy."""
_LEAST = 0.01
"""Part of the time in percent below which no figure tells more."""


class Stage(NamedTuple):
    """A part of the time: what it is, more about it, and how long it takes [s]."""

    name: str
    detail: str
    time_s: float


def stages(cost: Cost) -> list[Stage]:
    """Return the parts of the time of a collective, one after the other; they sum to it.

    Examples
    --------
    >>> from fabric.costing import cost
    >>> from fabric.graph import loads
    >>> answer = cost(loads("{fabric: box, include: hgx-h100}"), "all-reduce", "1GiB")
    >>> abs(sum(stage.time_s for stage in stages(answer)) / answer.time_s - 1) < 1e-9
    True
    """
    run = cost.chosen
    steps = "1 step" if run.steps == 1 else f"{run.steps:,} steps, one after the other"
    parts = [
        Stage("start and steps", steps, run.latency_s),
        Stage(f"bytes over {run.binding}", "the busiest link of what binds", run.transfer_s),
        Stage("own part", "copied by each rank", run.own_s),
    ]
    return [part for part in parts if part.time_s > 0]


def waterfall_title(cost: Cost) -> str:
    """Return where most of the time goes."""
    parts = stages(cost)
    most = max(parts, key=lambda part: part.time_s)
    share = 100 * most.time_s / cost.time_s
    what = (
        f"{cost.collective.capitalize()} of {format_bytes(cost.size_bytes)} takes {format_time(cost.time_s)}"
    )
    return f"{what}, {share:.3g} % of it {most.name}"


def waterfall(name: str, cost: Cost) -> Picture:
    """Return the picture of the time of one collective."""
    title = waterfall_title(cost)
    return Picture(name, title, svg(lambda: _figure(title, cost), title))


def _busy(cost: Cost) -> list[Stage]:
    """Return how long the busiest link of each class sends, what binds first."""
    run = cost.chosen
    busy = [(run.binding, 0.0), *run.slack]
    return [Stage(link, _idle(idle), (1 - idle) * run.transfer_s) for link, idle in busy]


def _idle(idle: float) -> str:
    return "as busy" if idle < TIE else f"{100 * idle:.3g} % idle"


def _share(part: Stage, cost: Cost) -> str:
    percent = 100 * part.time_s / cost.time_s
    return f"{percent:.3g} %" if percent >= _LEAST or not percent else f"below {_LEAST:g} %"


def _figure(title: str, cost: Cost) -> Figure:
    parts, busy = stages(cost), _busy(cost)[: _ROWS + 1]
    made = chart(
        title,
        len(parts) + 1 + len(busy),
        span=(0.0, 1000 * cost.time_s),
        label="Time of one rank [ms]",
        notes=[
            f"Expected by {cost.chosen.name}, calibration {cost.calibration}. The upper bars follow each "
            "other "
            "and sum to the whole. The lower ones run while the bytes are sent: how long the busiest link of "
            "each class has something to send; framed: the class that binds."
        ],
    )
    begin = 0.0
    for row, part in enumerate(parts):
        end = begin + 1000 * part.time_s
        binds = part.name.startswith("bytes")
        colour = COLOURS["scale-out"] if binds else COLOURS["scale-up"]
        made.name(row, part.name, part.detail)
        made.bar(row, begin, end, facecolor=colour, edgecolor=INK, lw=1.2 if binds else 0)
        made.say(row, end, f"{format_time(part.time_s)}, {_share(part, cost)}", fontweight="bold")
        begin = end
    made.name(len(parts), "in all")
    made.bar(len(parts), 0.0, begin, facecolor=SOFT)
    made.say(len(parts), begin, format_time(cost.time_s), fontweight="bold")
    start = 1000 * cost.chosen.latency_s
    for i, one in enumerate(busy):
        row = len(parts) + 1 + i
        made.name(row, one.name, "binds" if not i else one.detail)
        width = 0 if i else 1.2
        made.bar(row, start, start + 1000 * one.time_s, facecolor="#d9d9d9", edgecolor=INK, lw=width)
        made.say(row, start + 1000 * one.time_s, format_time(one.time_s), color=SOFT)
    return made.figure


def waterfall_table(cost: Cost) -> str:
    """Return the figures of the picture."""
    rows = [[part.name, part.detail, format_time(part.time_s), _share(part, cost)] for part in stages(cost)]
    rows.append(["**in all**", "", format_time(cost.time_s), "100 %"])
    rows += [
        [f"{code(one.name)} busy", "binds" if not i else one.detail, format_time(one.time_s), ""]
        for i, one in enumerate(_busy(cost))
    ]
    return table(["Stage", "", ">Time", ">Of all"], rows)
