"""What is there of all-to-all over a window of time: how it is spread, and by how much is down at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fabric.reporting.chart import PALETTE, WIDTH, ticks
from fabric.reporting.document import Block, Folded, Picture
from fabric.reporting.sheet import GRID, INK, SOFT, put_line, put_text, put_title, sheet, svg, wrap
from fabric.study.failures import Failures
from fabric.study.failures.table import part
from fabric.study.failures.window import KeptOverTime
from fabric.text.markdown import bullets, table
from fabric.text.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEFT, _WIDE, _HIGH = 0.9, 5.4, 2.4
_FINEST = 1 / 400
"""Of the axis; smaller steps are none in the picture."""


def window_title(kept: KeptOverTime) -> str:
    """Return what is there in nearly all of the time."""
    return (
        f"In 99 % of a window of {_hours(kept)}, at least {part(kept.p99)} of the healthy all-to-all is "
        f"there; on average {part(kept.kept)}"
    )


def _hours(kept: KeptOverTime) -> str:
    days = kept.window_h / 24
    return f"{days:.4g} days" if days >= 2 else f"{kept.window_h:.4g} h"


def window_blocks(answer: Failures) -> Iterator[Block]:
    """Yield the picture of the distribution and its table, where a window was asked for."""
    kept = answer.over_time
    if kept is None:
        return
    title = window_title(kept)
    yield Picture("window.svg", title, svg(lambda: _figure(title, kept), title))
    head = [">Part of the time", ">All-to-all at least"]
    levels = [(0.5, kept.p50), (0.99, kept.p99)]
    yield table(head, [[f"{100 * level:g} %", part(value)] for level, value in levels])
    lost = kept.left_out + kept.unsolved
    lines = [
        f"On average {100 * kept.kept:.6g} % of the healthy all-to-all is there, with a standard error of "
        f"{100 * kept.error:.2g} %: {counted(kept.n_samples, 'sample')} in {kept.n_states:,} different "
        f"states, seed {kept.seed}; none and one failure are exact.",
        f"Something is down that stops the job in {100 * kept.stopped:.4g} % of the time; what counts is "
        f"what is left after its restart, nothing in {100 * kept.nothing:.2g} %.",
    ]
    if lost > 0:
        lines.append(f"Counted as nothing, since not solved or not drawn: {100 * lost:.2g} % of the time.")
    yield bullets(lines)
    rows = [
        [
            f"{one.n_failures:,}",
            f"{100 * one.probability:.4g} %",
            f"{one.n_samples:,}" if one.n_samples else "all",
            part(one.kept),
            part(one.worst),
        ]
        for one in kept.strata
    ]
    head = [">Down at once", ">Of the time", ">Samples", ">All-to-all kept", ">Worst seen"]
    yield Folded("By how much is down at once", table(head, rows))


def _figure(title: str, kept: KeptOverTime) -> Figure:
    lines = wrap(title.split(), WIDTH - 0.4, 12, "bold")
    note = (
        "Devices and cables fail and are repaired independently, at the published rates of their kinds; "
        "states are drawn at random, stratified by how much is down. The line falls where states begin that "
        "have less."
    )
    small = wrap(note.split(), WIDTH - 0.4, 7.5)
    foot = 0.7 + 0.15 * len(small)
    height = 0.24 * len(lines) + 0.5 + _HIGH + foot
    figure, axes = sheet(WIDTH, height)
    put_title(axes, lines, height)

    # From the round value below what there is in nearly all of the time.
    least = max(math.floor(10 * min(kept.p99, kept.kept) - 0.5) / 10, 0.0)

    def x(share: float) -> float:
        return _LEFT + _WIDE * max(share - least, 0.0) / (1 - least)

    def y(time: float) -> float:
        return foot + _HIGH * time

    for percent in ticks(100 * least, 100.0):
        put_text(axes, x(percent / 100), foot - 0.15, f"{percent:g}", fontsize=8, color=SOFT, ha="center")
    for percent in ticks(0.0, 100.0):
        put_line(axes, [_LEFT, _LEFT + _WIDE], [y(percent / 100)] * 2, color=GRID, lw=0.8, zorder=0)
        put_text(axes, _LEFT - 0.08, y(percent / 100), f"{percent:g} %", fontsize=8, color=SOFT, ha="right")
    places, times = [0.0], [kept.steps[0].time]
    for value, time in kept.steps:
        if value - places[-1] >= _FINEST or value == kept.steps[-1].kept:
            places += [places[-1], value]
            times += [time, time]
    places.append(places[-1])
    times.append(0.0)
    put_line(axes, [x(v) for v in places], [y(t) for t in times], color=PALETTE[0], lw=1.6)
    for level, value in ((0.99, kept.p99), (0.5, kept.p50)):
        axes.plot([x(value)], [y(level)], marker="o", ms=6, color=PALETTE[1], mec="white", zorder=3)
        words = f"{100 * level:g} % of the time: at least {part(value)}"
        put_text(axes, _LEFT + _WIDE + 0.1, y(level), words, fontsize=8, color=INK)
    put_text(
        axes, _LEFT, foot - 0.38, "At least so much of the healthy all-to-all [%], in so much of the time"
    )
    for i, line in enumerate(small):
        put_text(axes, 0.2, foot - 0.64 - 0.15 * i, line, fontsize=7.5, color=SOFT)
    return figure
