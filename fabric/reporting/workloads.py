"""Jobs on the fabric: what a step of training takes and where its bytes turn, and what serving asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fabric.reporting.chart import chart
from fabric.reporting.document import Block, Folded, Picture
from fabric.reporting.given import GivenAnswers
from fabric.reporting.heat import heat_map, heat_title
from fabric.reporting.sheet import COLOURS, INK, SOFT, svg
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words, number
from fabric.units import format_time
from fabric.workload.serving import Serving
from fabric.workload.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST = 5e-4
"""Part of a step below which a gain is not told."""
_TOLD = 2
"""Jobs that the summary tells."""


def workload_line(given: GivenAnswers) -> str:
    """Return for the summary how long steps take and how many requests can be served; empty without jobs."""
    lines = [
        f"a step of {code(t.job)} takes **{format_time(t.step_s)}**, MFU {100 * t.mfu:.3g} %, and "
        f"**{_binds(t.binding)}**"
        for t in given.trainings
    ]
    lines += [
        f"{code(s.job)} at most {number(s.most_requests_per_s)} requests/s, where "
        f"**{_binds(join_words([*s.binding]))}**"
        for s in given.servings
    ]
    if not lines:
        return ""
    more = len(lines) - _TOLD
    told = [*lines[:_TOLD], *([f"{counted(more, 'more job')} below"] if more > 0 else [])]
    return f"Jobs: {'; '.join(told)}."


def _binds(name: str) -> str:
    return f"{code(name)} bind{'' if ' ' in name else 's'}" if name else "nothing binds"


def jobs(given: GivenAnswers) -> Iterator[Block]:
    """Yield the pages of all jobs."""
    is_one = len(given.trainings) + len(given.servings) == 1
    for training in given.trainings:
        yield "" if is_one else f"### Training {code(training.job)}"
        yield from _training(training)
    for serving in given.servings:
        yield "" if is_one else f"### Serving {code(serving.job)}"
        yield from _serving(serving)


def _training(training: Training) -> Iterator[Block]:
    head, *tables = training.to_markdown().split("\n\n")
    yield head
    yield Picture(f"step-{training.job}.svg", step_title(training), step(training))
    yield _step_table(training)
    yield _gains(training)
    if training.turned:
        yield Picture(f"heat-{training.job}.svg", heat_title(training), heat_map(training))
        yield tables[1]
        yield tables[0]
        yield _DIMENSIONS
    yield Folded("How busy each class is over a step", _links(training))
    yield Folded("What was given and not worked out", _assumed(training))


_DIMENSIONS = (
    "*Sent*: by a GPU in a step; *time*: run alone; *hidden*: beside compute; *exposed*: what the step is "
    "longer for it. GB/s of one GPU, one direction."
)


def _parts(training: Training) -> list[tuple[str, str, float, float]]:
    """Return what makes a step: name, more about it, what the step is longer for it, and hidden [s]."""
    peak = f"MFU {100 * training.mfu:.3g} %, {training.tflops:.4g} TFLOPS a GPU"
    parts = [("compute", peak, training.compute_s, 0.0)]
    if training.bubble_s:
        parts.append(("bubble", f"pipeline of {training.n_micro:,} micro-batches", training.bubble_s, 0.0))
    parts += [
        (row.group, f"over {row.where}" if row.where else row.what, row.exposed_s, row.hidden_s)
        for row in training.dimensions
    ]
    return parts


def step_title(training: Training) -> str:
    """Return where the time of a step goes, and what binds it."""
    exposed = f"{100 * training.exposed_s / training.step_s:.3g} % transfers that nothing hides"
    bubble = f"{100 * training.bubble_s / training.step_s:.3g} % bubble, " if training.bubble_s else ""
    return (
        f"A step of {training.job} takes {format_time(training.step_s)}: "
        f"{100 * training.compute_s / training.step_s:.3g} % compute, {bubble}"
        f"{exposed if training.exposed_s else 'and all transfers are hidden'}"
    )


def step(training: Training) -> str:
    """Draw the parts of a step, one after the other.

    Parameters
    ----------
    training : Training

    Returns
    -------
    str
        SVG. Solid bars sum to the step; pale ones run beside what comes before.
    """
    return svg(lambda: _figure(training), step_title(training))


def _figure(training: Training) -> Figure:
    parts = _parts(training)
    made = chart(
        step_title(training),
        len(parts) + 1,
        span=(0.0, 1000 * training.step_s),
        label="Time of a step [ms]",
        room=3.3,
        notes=[
            f"{training.model} on {training.n_ranks:,} GPUs of {training.fabric}. Solid bars follow each "
            "other and sum to the step; pale ones are transfers that run beside the compute. "
            f"{training.routing} routing, calibration {training.calibration}."
        ],
    )
    begin = 0.0
    for row, (name, detail, time_s, hidden_s) in enumerate(parts):
        end = begin + 1000 * time_s
        colour = COLOURS["scale-up" if name == "compute" else "host" if name == "bubble" else "scale-out"]
        made.name(row, name, detail)
        if hidden_s:
            made.bar(row, max(begin - 1000 * hidden_s, 0.0), begin, facecolor=colour, alpha=0.25)
        made.bar(row, begin, end, facecolor=colour)
        words = f"{format_time(time_s)}, {100 * time_s / training.step_s:.3g} %" if time_s else "0"
        made.say(row, end, words + (f"; {format_time(hidden_s)} hidden" if hidden_s else ""))
        begin = end
    made.name(len(parts), "in all")
    made.bar(len(parts), 0.0, begin, facecolor=SOFT)
    made.say(len(parts), begin, format_time(training.step_s), fontweight="bold", color=INK)
    return made.figure


def _step_table(training: Training) -> str:
    rows = [
        [
            name,
            escape(detail),
            format_time(time_s) if time_s else "0",
            f"{100 * time_s / training.step_s:.3g} %",
            format_time(hidden_s) if hidden_s else "",
        ]
        for name, detail, time_s, hidden_s in _parts(training)
    ]
    rows.append(["**in all**", "", format_time(training.step_s), "100 %", ""])
    return table(["Part of a step", "", ">Time", ">Of all", ">Hidden"], rows)


def _gains(training: Training) -> str:
    gains = [f"{code(one.of)} {100 * one.saves:.2g} %" for one in training.gains if one.saves >= _LEAST]
    saved = f"A tenth more of one thing saves of the step: {', '.join(gains) or 'nothing'}."
    return (
        f"{saved} Ranks are numbered {code(training.order)}; `fabtopo train --order all` tries every order."
    )


def _links(training: Training) -> str:
    rows = [
        [code(one.link), f"{100 * one.share:.3g} %", f"{100 * one.busiest:.3g} %"] for one in training.links
    ]
    return table(["Class", ">Of its capacity", ">Busiest link, of the step"], rows) if rows else ""


def _assumed(training: Training) -> str:
    told = [
        f"{escape(of)}: {escape(value) if isinstance(value, str) else f'{value:.4g}'}, {escape(source)}"
        for of, value, source in training.assumed
    ]
    return bullets([*told, *map(escape, training.notes)])


def loads_title(serving: Serving) -> str:
    """Return at how many requests what is full."""
    asked = f"{number(serving.requests_per_s)} requests/s are asked"
    if not serving.binding:
        return f"{asked} of {serving.job}, and no link is loaded by them"
    full = f"{join_words([*serving.binding])} full at {number(serving.most_requests_per_s)} requests/s"
    return f"{serving.job}: {full}; {asked}"


def _serving(serving: Serving) -> Iterator[Block]:
    head, *rest = serving.to_markdown().strip().split("\n\n")
    yield head
    if serving.loads:
        title = loads_title(serving)
        yield Picture(f"load-{serving.job}.svg", title, svg(lambda: _loads(title, serving), title))
        yield _load_table(serving)
    yield from rest


def _load_table(serving: Serving) -> str:
    rows = [
        [code(one.link), f"{one.n_cables:,}", f"{100 * one.load:.3g} %", "yes" if one.is_binding else ""]
        for one in serving.loads
    ]
    return table(["Class", ">Cables", ">Busiest direction, of capacity", "Full first"], rows)


def _loads(title: str, serving: Serving) -> Figure:
    most = max(100.0, *(100 * one.load for one in serving.loads))
    made = chart(
        title,
        len(serving.loads),
        span=(0.0, most),
        label=f"Busiest direction of a class at {number(serving.requests_per_s)} requests/s, of capacity [%]",
        notes=[
            f"{serving.model} on {serving.fabric}: caches of {serving.prompt:,} tokens from every GPU of "
            f"prefill ({serving.n_prefill:,}) to every GPU of decode ({serving.n_decode:,}) alike."
        ],
    )
    for row, one in enumerate(serving.loads):
        made.name(row, one.link, counted(one.n_cables, "cable"))
        made.bar(row, 0.0, 100 * one.load, facecolor=COLOURS["scale-out" if one.is_binding else "scale-up"])
        first = ", full first" if one.is_binding else ""
        made.say(row, 100 * one.load, f"{100 * one.load:.3g} %{first}", fontweight="bold")
    return made.figure
