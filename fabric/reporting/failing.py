"""What a failure leaves: a line for the summary, a picture, and a table that every kind of failure is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from fabric.costing import Cost
from fabric.reporting.answers import Hit, SwitchDown
from fabric.reporting.chart import chart
from fabric.reporting.document import Picture
from fabric.reporting.sheet import COLOURS, svg
from fabric.study.failures import FailureRow, Failures
from fabric.study.failures.table import part
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words
from fabric.units import format_bytes, format_rate, format_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTHING_LOST = 1 - 1e-6
_SHOWN = 14
"""Kinds of failures in the picture; the table has all."""


def _kept(row: FailureRow) -> float | None:
    """Return the part of all that was sent that is left: of those that go on, or after a restart."""
    return row.kept if row.goes_on else row.total_kept


def failing_title(answer: Failures) -> str:
    """Return what the worst failure leaves, of those that a job survives."""
    going = [row for row in answer.rows if row.goes_on and row.kept is not None]
    stopping = [row for row in answer.rows if not row.goes_on]
    fatal = next((row for row in stopping if not _kept(row) and row.kind != "place"), None)
    end = f"one {_named(fatal)} down leaves no node whole" if fatal else _stops(stopping)
    if not going:
        return f"Every single failure stops the job{f'; {end}' if fatal else ''}"
    # A device is told before the place that it alone makes up.
    worst = min(going, key=lambda row: (round(row.kept or 0.0, 6), row.kind == "place"))
    text = f"A job that goes on keeps at least {part(worst.kept)} of all-to-all (one {_named(worst)} down)"
    if (worst.kept or 0.0) >= _NOTHING_LOST:
        text = "No failure that a job survives costs it all-to-all bandwidth"
    return f"{text}; {end}"


def _stops(stopping: Sequence[FailureRow]) -> str:
    """Return in words how many kinds of failures stop a job."""
    n = len({row.name for row in stopping})
    if not n:
        return "no single failure stops it"
    return f"{counted(n, 'kind')} of failure{'s' * (n > 1)} stop{'s' * (n == 1)} it"


def _named(row: FailureRow) -> str:
    """Return what fails in words."""
    return f"whole {row.of}" if row.kind == "place" else row.name


def failing_line(answer: Failures) -> str:
    """Return for the summary which failures stop a job and what is left after the others, worst first."""
    stopping = [row for row in answer.rows if not row.goes_on and row.kind != "place"]
    stopping.sort(key=lambda row: 1.0 if row.total_kept is None else row.total_kept)
    stops = [
        f"{name} ({f'then {part(row.total_kept)}' if row.total_kept else 'no node is left whole'})"
        for name, row in _first(stopping)
    ]
    going = [row for row in answer.rows if row.goes_on and row.kept is not None]
    # A place that one device makes up tells nothing more than the device.
    alone = {(row.of, row.n, part(row.kept)) for row in going if row.kind != "place"}
    going = [row for row in going if row.kind != "place" or (row.of, row.n, part(row.kept)) not in alone]
    costs = [row for row in going if (row.kept or 0.0) < _NOTHING_LOST]
    costs.sort(key=lambda row: row.kept or 0.0)
    parts = [f"one {name} leaves **{part(row.kept)}**" for name, row in _first(costs)[:3]]
    free = _names(row for row in going if row not in costs)
    if free:
        many = len(free) > 1
        parts.append(f"{counted(len(free), 'kind')} of failure{'s' * many} cost{'s' * (not many)} nothing")
    if stops:
        parts.append(f"the job has to restart without what is lost after a {_or(stops)}")
    return f"One failure, of all-to-all: {'; '.join(parts)}."


def hit_lines(hits: Sequence[Hit], healthy: Cost | None) -> str:
    """Return in a line each what the worst failures that a job goes on with do to the collectives."""
    lines = []
    for row, cost in hits:
        if healthy is None or cost.status == "cut off":
            continue
        before, after = format_time(healthy.time_s), format_time(cost.time_s)
        change = f"takes {after} as before" if before == after else f"takes {after} instead of {before}"
        size = format_bytes(cost.size_bytes)
        lines.append(
            f"One {_named(row)} down: all-to-all keeps {part(row.kept)}; {cost.collective} of {size} "
            f"{change}, "
            f"{code(cost.binding)} bind{'' if ' ' in cost.binding else 's'}."
        )
    return bullets(lines)


def life_lines(answer: Failures) -> str:
    """Return how a job of all endpoints lives with failures of published rates."""
    if answer.life is None:
        return ""
    *_, lines = answer.life.to_markdown().split("\n\n")
    n = counted(answer.life.n_endpoints, "endpoint")
    return f"A job of {n}, at the rates at which parts were seen to fail:\n\n{lines}"


def life_table(answer: Failures) -> str:
    """Return what interrupts such a job, most often first."""
    return "" if answer.life is None else answer.life.to_markdown().split("\n\n")[1]


def spots_line(spots: Sequence[SwitchDown]) -> str:
    """Return the same for a fabric of which only single switches are asked."""
    if not spots:
        return ""
    told = [f"one {code(spot.group)} of {spot.n:,} leaves **{part(spot.kept)}**" for spot in spots]
    return f"One failure, of all-to-all: {join_words(told)}."


def spots_table(spots: Sequence[SwitchDown]) -> str:
    """Return what is left with one switch of each tier down."""
    if not spots:
        return ""
    rows = [[code(spot.group), f"{spot.n:,}", part(spot.kept)] for spot in spots]
    words = "All-to-all of every endpoint with the first switch of a tier down: solved, not proved anew."
    return f"{table(['Fails', '>Of them', '>Rate kept'], rows)}\n\n{words}"


def _or(names: Sequence[str]) -> str:
    shown = list(names[:4])
    more = [counted(len(names) - 4, "other kind")] if len(names) > 4 else []
    return " or ".join(filter(None, [", ".join([*shown, *more][:-1]), [*shown, *more][-1]]))


def _names(rows: Iterator[FailureRow]) -> list[str]:
    return list(dict.fromkeys(_named(row) for row in rows))


def _first(rows: Sequence[FailureRow]) -> list[tuple[str, FailureRow]]:
    """Return the worst row of each name."""
    found: dict[str, FailureRow] = {}
    for row in rows:
        found.setdefault(_named(row), row)
    return [(code(name), row) for name, row in found.items()]


def failing(name: str, answer: Failures) -> Picture:
    """Return the picture of what each kind of failure leaves."""
    title = failing_title(answer)
    return Picture(name, title, svg(lambda: _figure(title, answer), title))


def _figure(title: str, answer: Failures) -> Figure:
    rows = _alike(answer)
    shown = _worst(rows)
    left_out = (
        f" {len(rows) - _SHOWN:,} kinds that leave more are in the table alone." if len(rows) > _SHOWN else ""
    )
    made = chart(
        title,
        len(shown),
        span=(0.0, 100.0),
        label="All-to-all that is left, of the healthy one, both sums over all endpoints, one direction [%]",
        notes=[
            f"{answer.fabric}: one of each kind fails, solved exactly, once for all that are alike. "
            "Orange: the job "
            "stops; what is left after a restart without the nodes that lost a device. Blue: it goes on with "
            f"all endpoints. Few that are near may send more than all did: their bars end at 100 %.{left_out}"
        ],
    )
    for i, (row, n) in enumerate(shown):
        made.name(i, _named(row), f"{n:,} of them; the job {'goes on' if row.goes_on else 'stops'}")
        kept = 100 * (_kept(row) or 0.0)
        made.bar(i, 0.0, min(kept, 100.0), facecolor=COLOURS["scale-up" if row.goes_on else "scale-out"])
        after = "" if row.goes_on else f" by {row.n_after:,}"
        told = f"{part(_kept(row))}{after}" if kept else "nothing, no node is whole" * (not row.goes_on)
        made.say(i, min(kept, 100.0), told or part(0.0), fontweight="bold")
    return made.figure


def _alike(answer: Failures) -> list[tuple[FailureRow, int]]:
    """Return one row for failures that say the same, with their number: what stops a job first."""
    found: dict[tuple[object, ...], tuple[FailureRow, int]] = {}
    for row in answer.rows:
        if _kept(row) is not None:
            key = (_named(row), row.goes_on, row.n_after, part(_kept(row)))
            first, n = found.get(key, (row, 0))
            found[key] = first, n + row.n
    return sorted(found.values(), key=lambda pair: (pair[0].goes_on, round(_kept(pair[0]) or 0.0, 6)))


def _worst(rows: Sequence[tuple[FailureRow, int]]) -> list[tuple[FailureRow, int]]:
    """Return the rows of the picture: the worst of those that stop a job and of those that do not."""
    stopping = [pair for pair in rows if not pair[0].goes_on]
    going = [pair for pair in rows if pair[0].goes_on]
    n = max(_SHOWN // 2, _SHOWN - len(going))
    return stopping[:n] + going[: _SHOWN - min(n, len(stopping))]


def failing_table(answer: Failures) -> str:
    """Return every kind of failure, rows that say the same of one name together."""
    rows = []
    for _, alike in groupby(answer.rows, key=_told):
        same = list(alike)
        row, n = same[0], sum(r.n for r in same)
        lost = row.n_down + row.n_cut_off
        after = "" if row.goes_on else f"{row.n_after:,}: {part(row.total_kept)}" if row.n_after else "none"
        job = "goes on" if row.goes_on else "stops"
        binds = ", ".join(code(name) for name in row.binding)
        rows.append(
            [escape(_named(row)), f"{n:,}", job, f"{lost:,}" if lost else "", part(row.kept), after, binds]
        )
    head = ["Fails", ">Of them", "Job", ">Lost", ">Rate kept", ">After a restart", "Binds"]
    words = (
        f"While all is up {counted(answer.n_endpoints, 'endpoint')} send {format_rate(answer.rate_gbps)} "
        "each in "
        f"all-to-all; {join_words([code(name) for name in answer.binding]) or 'nothing'} "
        f"bind{'s' * (len(answer.binding) == 1)}. *Rate kept*: what each of those left sends; *after a "
        "restart*: "
        f"how many run on, without whole nodes ({escape(answer.node)}), and what part of all that was sent "
        "they send together. "
        "Exact: one "
        "solve for each class of failures that are alike."
    )
    return f"{table(head, rows)}\n\n{words}"


def _told(row: FailureRow) -> tuple[object, ...]:
    kept = (part(row.kept), part(row.total_kept), row.n_after, row.goes_on, row.binding)
    return (row.name, row.n_down, row.n_cut_off, *kept)
