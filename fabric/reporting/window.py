"""What is there of all-to-all over a window of time: how it is spread, and by how much is down at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fabric.reporting.chart import PALETTE
from fabric.reporting.document import Block, Folded, Picture
from fabric.reporting.plot import linear, plot
from fabric.reporting.sheet import put_text, svg
from fabric.study.failures import Failures
from fabric.study.failures.table import part
from fabric.study.failures.window import KeptOverTime
from fabric.text.markdown import bullets, table
from fabric.text.words import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    note = (
        "Devices and cables fail and are repaired independently, at the published rates of their kinds; "
        "states are drawn at random, stratified by how much is down. The line falls where states begin that "
        "have less."
    )
    # From the round value below what there is in nearly all of the time.
    least = 100 * max(math.floor(10 * min(kept.p99, kept.kept) - 0.5) / 10, 0.0)
    made = plot(
        title,
        linear("All-to-all that is there at least, of the healthy one [%]", least, 100.0),
        linear("Part of the time [%]", 0.0, 100.0),
        note=note,
        room=2.1,
    )
    places, times = [0.0], [kept.steps[0].time]
    for value, time in kept.steps:
        if value - places[-1] >= _FINEST or value == kept.steps[-1].kept:
            places += [places[-1], value]
            times += [time, time]
    places.append(places[-1])
    times.append(0.0)
    steps = [(max(100 * v, least), 100 * t) for v, t in zip(places, times, strict=True)]
    made.line(steps, color=PALETTE[0], lw=1.6)
    for level, value in ((0.99, kept.p99), (0.5, kept.p50)):
        made.mark(max(100 * value, least), 100 * level, 1, 6)
        words = f"{100 * level:g} % of the time: at least {part(value)}"
        put_text(made.axes, made.right + 0.1, made.y(100 * level), words, fontsize=8)
    return made.figure
