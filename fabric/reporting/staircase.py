"""The bandwidth staircase: what each endpoint has on each tier of the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fabric.reporting.chart import Chart, chart
from fabric.reporting.sheet import COLOURS, PALE, SOFT, put_line, put_text
from fabric.reporting.ways import steps, ways
from fabric.sizing.summary import LinkSummary, Summary
from fabric.text.words import counted, join_words, noun, span
from fabric.units import format_rate_gbit, format_ratio, gbps_to_gbytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PITCH, _ROOM, _RATIO = 0.56, 2.75, 7.85


def staircase_title(summary: Summary) -> str:
    """Return the finding of the staircase in one sentence.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
    """
    path = steps(summary)
    up = [step for step in path if step.net == "scale-up"]
    out = [step for step in path if step.net != "scale-up"]
    fabric = [step for step in out if step.net == "scale-out"]
    if not summary.n_endpoints:
        return f"{summary.name} has no endpoint: capacity of each tier as a whole"
    who = _endpoint(summary)
    if not path:
        return f"No link joins the {noun(who, 2)} of {summary.name}"
    if all(step.lower == step.upper for step in path):
        shares = [f"{_gbytes(step.per_endpoint_gbps)} of {step.name}" for step in path]
        total = _gbytes(sum(step.per_endpoint_gbps for step in path))
        in_all = f", {total} in all" if len(path) > 1 else ""
        return f"Each {noun(who)} has {join_words(shares)}{in_all}, with no switch between"
    if not fabric:
        return f"Each {noun(who)} has {_inside(up or out)}, and nothing leads out of it"
    fabric = _onward(fabric)
    into = _least([*(step for step in out if step.net == "host"), fabric[0]])
    if not up:
        top = fabric[-1:]
        return (
            f"Each {noun(who)} has {_gbytes(into)} into the fabric and {_gbytes(_least(top))} at its top: "
            f"{format_ratio(into / _least(top))}"
        )
    inside = _least(up)
    text = f"Each {noun(who)} has {_inside(up)}"
    text += f" and {_gbytes(into)} into the fabric: {format_ratio(inside / into)}"
    if _least(fabric) < 0.99 * into:
        text += f", then {_gbytes(_least(fabric))}"
    return text


def _endpoint(summary: Summary) -> str:
    names = [g.name for g in summary.groups if g.is_endpoint]
    return names[0] if len(names) == 1 else "endpoint"


def _least(links: Sequence[LinkSummary]) -> float:
    """Return what an endpoint has of the narrowest tier [Gb/s]: of all rules out of one group together."""
    least: dict[str, float] = {}
    for link in links:
        least[link.lower] = least.get(link.lower, 0.0) + link.per_endpoint_gbps
    return min(least.values())


def _inside(up: Sequence[LinkSummary]) -> str:
    """Return what an endpoint has into its domain, and what of it is left where the domain is narrower."""
    first, least = _together(up, up[0]), _least(up)
    then = f", {_gbytes(least)} of it at its narrowest" if least < 0.99 * first else ""
    return f"{_gbytes(first)} into its scale-up domain{then}"


def _together(path: Sequence[LinkSummary], link: LinkSummary) -> float:
    """Return what an endpoint has of a rule and of those beside it, out of the same group [Gb/s]."""
    side = (link.lower, link.net)
    return sum(other.per_endpoint_gbps for other in path if (other.lower, other.net) == side)


def _onward(fabric: Sequence[LinkSummary]) -> list[LinkSummary]:
    """Return the first rule and those above it: a network beside them is another way out."""
    path, reached = [fabric[0]], {fabric[0].upper}
    for link in fabric[1:]:
        if link.lower in reached:
            path.append(link)
            reached.add(link.upper)
    return path


def _gbytes(gbps: float) -> str:
    return f"{gbps_to_gbytes(gbps):,.4g} GB/s"


def staircase_figure(summary: Summary) -> Figure:
    """Return the figure of `staircase`; call it with the settings of `svg` in force."""
    roles = ways(summary)
    path, shown = steps(summary), drawn(summary)
    most = max((_value(summary, link) for link in shown), default=0.0) or 1.0
    title = f"Capacity per {noun(_endpoint(summary))}" if summary.n_endpoints else "Capacity of the tier"
    made = chart(
        staircase_title(summary),
        len(shown),
        span=(0.0, most),
        label=f"{title}, one direction [GB/s]",
        notes=[_foot(summary)],
        pitch=_PITCH,
        room=_ROOM,
    )
    following = [i for i in range(1, len(path)) if _follows(path, i)]
    for i, link in enumerate(shown):
        note = "" if roles[link.name] == "step" else _NOTES[roles[link.name]]
        _step(made, summary, link, i, note)
        if i in following:
            if i == following[0]:
                put_text(
                    made.axes, _RATIO - 0.12, made.y(i - 1) + 0.2, "Step to next", fontsize=8, color=SOFT
                )
            _ratio(made, summary, (path[i - 1], link), i)
    return made.figure


_NOTES = {"detour": "longer ways only", "none": "no traffic between endpoints"}


def drawn(summary: Summary) -> list[LinkSummary]:
    """Return the rules that are shown: the way out, then longer ways; all where there is neither."""
    roles = ways(summary)
    path = steps(summary)
    beside = [link for link in summary.links if roles[link.name] == "detour"]
    return [*path, *beside] or list(summary.links)


def step_ratio(summary: Summary, before: LinkSummary, after: LinkSummary) -> float | None:
    """Return what one tier has over the next: through a switch its oversubscription, the only ratio of it."""
    tier = next((t for t in summary.tiers if t.name == after.lower == before.upper), None)
    if tier is not None and tier.ratio is not None:
        return tier.ratio
    if not summary.n_endpoints:
        return _value(summary, before) / _value(summary, after) if _value(summary, after) else None
    path = steps(summary)
    following = _together(path, after)
    return _together(path, before) / following if following else None


def _follows(path: Sequence[LinkSummary], i: int) -> bool:
    """Return whether rule `i` is the next step after the one before it, not another way beside it."""
    before, after = path[i - 1], path[i]
    if before.lower != after.lower:
        return before.upper == after.lower
    return (
        before.net != after.net
        and sum((link.lower, link.net) == (before.lower, before.net) for link in path) == 1
    )


def _value(summary: Summary, link: LinkSummary) -> float:
    return gbps_to_gbytes(link.per_endpoint_gbps if summary.n_endpoints else link.capacity_gbps)


def _step(made: Chart, summary: Summary, link: LinkSummary, row: int, note: str = "") -> None:
    """Draw one bar; a `note` says why it is no step of the way out."""
    colour = PALE if note else COLOURS[link.net]
    detail = f"{link.net}: {span(link.per_lower)} × {format_rate_gbit(link.rate_gbps)} per {link.lower}"
    made.name(row, link.name, detail, SOFT if note else colour)
    value = _value(summary, link)
    made.bar(row, 0.0, value, facecolor="#d9d9d9" if note else colour)
    rate = link.per_endpoint_gbps if summary.n_endpoints else link.capacity_gbps
    told = f"{value:,.4g} GB/s ({format_rate_gbit(rate)})"
    if note:
        made.say(row - 0.15, value, told, color=SOFT)
        made.say(row + 0.15, value, note, fontsize=8, color=SOFT, style="italic")
    else:
        made.say(row, value, told, fontweight="bold")


def _ratio(made: Chart, summary: Summary, pair: tuple[LinkSummary, LinkSummary], row: int) -> None:
    """Draw a bracket from the row before to this one, with what the first has over the second."""
    top, bottom = made.y(row - 1) - 0.04, made.y(row) + 0.04
    xs = [_RATIO - 0.12, _RATIO, _RATIO, _RATIO - 0.12]
    put_line(made.axes, xs, [top, top, bottom, bottom], color=SOFT, lw=0.9)
    value = step_ratio(summary, *pair)
    if value is not None:
        middle = (top + bottom) / 2
        put_text(made.axes, _RATIO + 0.08, middle, format_ratio(value), fontsize=9, fontweight="bold")


def _foot(summary: Summary) -> str:
    per = f" / {counted(summary.n_endpoints, _endpoint(summary))}" if summary.n_endpoints else ""
    alike = [link.name for link in summary.links if per and link.lower == link.upper]
    twice = " (cables between two of one group count twice)" if alike else ""
    names = {link.name for link in drawn(summary)}
    beside = [link.name for link in summary.links if link.name not in names]
    left_out = f" Not shown, no traffic between endpoints: {', '.join(beside)}." if beside else ""
    rates = "wire rate, failures not deducted"
    return f"{summary.name}: rate × cables of the rule{per}{twice}; {rates}.{left_out}"
