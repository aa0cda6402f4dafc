"""Answers of the solvers in words and tables: the summary, flows, collectives, and what they hang on."""

from __future__ import annotations

from itertools import groupby

from fabric.costing import AlgorithmCost, Cost
from fabric.flow import MaxFlow
from fabric.flow.throughput import Throughput
from fabric.graph import Fabric
from fabric.reporting.answers import REFERENCE, Answers, FlowQuestion, JobAnswers
from fabric.reporting.evidence import doubts, unsure_rows
from fabric.reporting.tables import number
from fabric.sizing.summary import Summary
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words, noun
from fabric.units import (
    format_bytes,
    format_rate,
    format_rate_gbit,
    format_ratio,
    format_time,
    gbps_to_gbytes,
    parse_bytes,
)

_SUMMARIZED = ("all-reduce", "all-to-all")
_SIZE = format_bytes(parse_bytes(REFERENCE))
_TIE = 1e-9
"""Idle part below which a class is as busy as the one that binds; what is left is rounding."""
_FAR = 0.5
"""Part of the bound below which the algorithm is what limits."""


def headlines(fabric: Fabric, summary: Summary, answers: Answers) -> str:
    """Return the summary: some seven lines, each one finding, the bottleneck in bold."""
    lines = [_size(summary, answers)]
    for job in answers.jobs:
        # With several kinds of endpoints one line is enough for each.
        names = [name for name in _SUMMARIZED if job.at_reference(name)][: 1 + (len(answers.jobs) == 1)]
        lines += [_bottleneck(job, name) for name in names]
        if not job.at_reference("all-to-all") and job.spread is not None:
            lines.append(_spread_line(job, job.spread))
    # Seven lines in all: three more follow where something is missing, else two.
    n_flows = max(1, 5 - len(lines) - bool(answers.missing))
    lines += [_flow_line(question, flow) for question, flow in answers.flows[:n_flows]]
    if answers.missing:
        lines.append(
            f"Not answered: {join_words([escape(m.what) for m in answers.missing])}; the reasons are below."
        )
    lines.append(_state_oversubscription(summary))
    lines.append(_state_assumed(fabric))
    return bullets(lines)


def _size(summary: Summary, answers: Answers) -> str:
    ends = [counted(g.n_devices, g.name) for g in summary.groups if g.is_endpoint] or ["no endpoint"]
    switches = [counted(g.n_devices, g.name) for g in summary.groups if g.kind == "switch"]
    text = f"Size: {join_words(ends)}"
    cost = answers.jobs[0].at_reference("all-reduce") if len(answers.jobs) == 1 else None
    text += f" {_domains(cost)}" if cost else ""
    nets = {link.net for link in summary.links}
    net = next((n for n in ("scale-out", "scale-up", "host") if n in nets), "")
    cables = counted(sum(link.n_cables for link in summary.links if link.net == net), f"{net} cable".strip())
    return f"{text}, {join_words(switches) or 'no switch'}, {cables}."


def _domains(cost: Cost) -> str:
    if cost.n_domains == cost.n_ranks:
        return "with no scale-up network between them"
    return f"in {cost.n_domains:,} scale-up domain{'' if cost.n_domains == 1 else 's'}"


def _among(job: JobAnswers) -> str:
    return f" among {code(job.among)}" if job.among else ""


def _bottleneck(job: JobAnswers, collective: str) -> str:
    cost = job.at_reference(collective)
    if cost is None:
        return ""
    return (
        f"{collective.capitalize()} of {_SIZE}{_among(job)}: **{code(cost.binding)} binds**; "
        f"{format_time(cost.time_s)}, busbw {format_rate(cost.busbw_gbps)} by {cost.chosen.algorithm}; "
        f"{_next(cost.chosen)}.{_far(cost)}"
        + "".join(f" {note[0].upper()}{note[1:]}." for note in cost.notes)
    )


def _next(algorithm: AlgorithmCost) -> str:
    """Say what is as busy as the class that binds, or else what is next."""
    if not algorithm.slack:
        return "no other class is used"
    tied = [code(name) for name, idle in algorithm.slack if idle < _TIE]
    if tied:
        return f"as busy: {join_words(tied)}"
    name, idle = algorithm.slack[0]
    return f"{code(name)} is next, {100 * idle:.3g} % idle"


def _far(cost: Cost) -> str:
    """Say so where an algorithm gets less than half of what the fabric can."""
    if cost.bound is None or cost.chosen.bound_ratio >= _FAR:
        return ""
    return (
        f" That is {100 * cost.chosen.bound_ratio:.3g} % of the bound, {format_rate(cost.bound.busbw_gbps)}: "
        "the algorithm limits, not the fabric."
    )


def _spread_line(job: JobAnswers, spread: Throughput) -> str:
    binding = join_words([f"**{code(p.link)} binds**" for p in spread.binding]) or "nothing flows"
    rate = format_rate(spread.per_endpoint_gbps)
    return f"All-to-all{_among(job)} at its best: {binding}; {rate} for every endpoint."


def _flow_line(question: FlowQuestion, flow: MaxFlow) -> str:
    cut = " + ".join(
        f"**{c.n_cables:,} {code(c.link)} {noun('cable', c.n_cables)}**, {format_rate_gbit(c.capacity_gbps)}"
        for c in flow.cut
    )
    tied = f", tied with {join_words([code(t) for t in flow.tied])}" if flow.tied else ""
    head = f"Max-flow between {question.what}, {code(question.source)} to {code(question.target)}"
    return f"{head}: {format_rate(flow.value_gbps)}; cut {cut or 'empty: no way between them'}{tied}."


def _state_oversubscription(summary: Summary) -> str:
    ratios = [f"{t.name} {format_ratio(t.ratio)}" for t in summary.tiers if t.ratio is not None]
    if not ratios:
        return "Oversubscription: no tier of switches has both downlinks and uplinks."
    return f"Oversubscription (downlink capacity / uplink capacity): {', '.join(ratios)}."


def _state_assumed(fabric: Fabric) -> str:
    unsure = unsure_rows(fabric)
    assumed = sum(g.evidence.confidence == "assumed" for g in unsure)
    averages = (
        f"; of the catalogue {counted(assumed, 'figure')} assumed and {len(unsure) - assumed} only reported"
    )
    return (
        f"Assumed: wire rate, zero latency, equal split over paths{averages if unsure else ''} (see below)."
    )


def flows(answers: Answers) -> str:
    """Return the table of maximum flows."""
    rows = [
        [
            question.what,
            f"{code(question.source)} to {code(question.target)}",
            format_rate(flow.value_gbps),
            "; ".join(f"{c.n_cables:,} {code(c.link)}: {format_rate(c.capacity_gbps)}" for c in flow.cut)
            or "none",
            ", ".join(code(t) for t in flow.tied) or "none",
            format_rate(flow.without_relay_gbps) if flow.without_relay_gbps is not None else "the same",
            flow.status,
        ]
        for question, flow in answers.flows
    ]
    text = _missing(answers, "flows")
    if not rows:
        return text
    head = [
        "Between",
        "From, to",
        ">Maximum flow",
        "Minimum cut: cables of each rule",
        "Tied",
        ">Without relaying",
    ]
    words = (
        "Per direction. Paths climb, turn once and descend; an endpoint relays only where the file lets "
        "it. Of equal cuts the one nearest the source is shown; rules that bind in another are tied. "
        "*Optimal*: a flow and a cut of the same value were both checked."
    )
    return "\n\n".join(filter(None, [table([*head, "Status"], rows), words, text]))


def spread(answers: Answers) -> str:
    """Return the best rate of uniform all-to-all and what binds it."""
    spreads = [(job.among, job.spread) for job in answers.jobs if job.spread is not None]
    rows = [[code(among), *_spread_row(answer)] for among, answer in spreads]
    words = (
        "Every endpoint sends to all others alike, all at once, over the best split of permitted paths: no "
        "routing does better. Solved on classes of devices and cables that are alike; flows and prices were "
        "both checked."
    )
    if len(answers.jobs) > 1:
        words = words.replace("all others alike", "all others of its group alike, one group at a time")
    cut_off = [(n, who) for _, answer in spreads for who, n in answer.cut_off]
    lost = "".join(f" Cut off and left out: {n:,} endpoints such as {code(who)}." for n, who in cut_off)
    # One kind of endpoints needs no name.
    first = len(answers.jobs) == 1
    head = ["Among", ">Endpoints", ">Rate of each", "Binding, share of the price", "Status"]
    shown = f"{table(head[first:], [row[first:] for row in rows])}\n\n{words}{lost}" if rows else ""
    return "\n\n".join(filter(None, [shown, _missing(answers, "throughput")]))


def _spread_row(answer: Throughput) -> list[str]:
    binding = [f"{code(p.link)} ({p.n_cables:,} cables, {100 * p.share:.3g} %)" for p in answer.binding]
    rate = format_rate(answer.per_endpoint_gbps)
    return [f"{answer.n_endpoints:,}", rate, "; ".join(binding) or "none", answer.status]


def _missing(answers: Answers, section: str) -> str:
    """Say which questions of a section have no answer, and why."""
    left_out = [m for m in answers.missing if m.section == section]
    return "\n\n".join(
        f"Missing here: {escape(m.what)}, because {escape(m.why.rstrip('.'))}." for m in left_out
    )


def collectives(answers: Answers) -> str:
    """Return times over sizes, bandwidths, and the slack of every class, for each group of endpoints."""
    blocks: list[str] = []
    for job in answers.jobs:
        if job.costs:
            blocks += [f"### Among {code(job.among)}"] if job.among else []
            blocks += _collectives(job, is_first=not blocks or len(blocks) == 1)
    return "\n\n".join(filter(None, [*blocks, _missing(answers, "collectives")]))


def _collectives(job: JobAnswers, *, is_first: bool) -> list[str]:
    first = next(iter(job.costs.values()))[0]
    ranks = f"{counted(first.n_ranks, 'rank')} {_domains(first)}, {first.routing} routing."
    words = (
        " **Wire rate and zero "
        "latency: the least time of each algorithm, not a prediction.** Sizes and "
        "bandwidths are those of "
        "[nccl-tests](<https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md>): algbw = size "
        "/ time; busbw = algbw × 2(n-1)/n for all-reduce and algbw × (n-1)/n for the others, with n ranks. "
        "Where traffic spreads over several classes, busbw may exceed what any one of them carries. No "
        "algorithm beats the bound."
    )
    slack = (
        f"Busy and idle time of the busiest link of each class, {_SIZE} (`*`: the algorithm chosen above):"
    )
    return [ranks + words * is_first, _times(job), _bandwidths(job), _no_bounds(job), slack, _slack(job)]


def _times(job: JobAnswers) -> str:
    names = list(job.costs)
    columns = zip(*job.costs.values(), strict=True)
    rows = [[format_bytes(row[0].size_bytes), *(format_time(cost.time_s) for cost in row)] for row in columns]
    return table([">Size", *(f">{name}" for name in names)], rows)


def _bandwidths(job: JobAnswers) -> str:
    """Return one row for each run of sizes over which nothing printed changes."""
    rows = []
    for name, costs in job.costs.items():
        for cells, same in groupby(costs, key=_bandwidth):
            sizes = [format_bytes(cost.size_bytes) for cost in same]
            rows.append([name, " to ".join(dict.fromkeys([sizes[0], sizes[-1]])), *cells])
    head = ["Collective", "Sizes", "Algorithm", ">algbw [GB/s]", ">busbw [GB/s]", ">busbw [Gb/s]"]
    return table([*head, ">Bound busbw [GB/s]", ">% of bound", "Binding"], rows)


def _no_bounds(job: JobAnswers) -> str:
    """Say why a bound is not known; one reason for all collectives that share it."""
    whys: dict[str, list[str]] = {}
    for name, costs in job.costs.items():
        if costs[0].bound is None:
            whys.setdefault(costs[0].no_bound.rstrip("."), []).append(name)
    return " ".join(f"No bound of {join_words(names)}: {escape(why)}." for why, names in whys.items())


def _bandwidth(cost: Cost) -> tuple[str, ...]:
    return (
        cost.chosen.algorithm,
        number(gbps_to_gbytes(cost.algbw_gbps)),
        number(gbps_to_gbytes(cost.busbw_gbps)),
        number(cost.busbw_gbps),
        number(gbps_to_gbytes(cost.bound.busbw_gbps)) if cost.bound else "not known",
        f"{100 * cost.chosen.bound_ratio:.3g}" if cost.bound else "",
        code(cost.binding),
    )


def _slack(job: JobAnswers) -> str:
    costs = [c for name in job.costs if (c := job.at_reference(name))]
    columns = [(cost, c) for cost in costs for c in cost.algorithms]
    links = dict.fromkeys(name for _, c in columns for name in (c.binding, *(n for n, _ in c.slack)))
    head = [f">{cost.collective} {c.algorithm}{'*' * (c is cost.chosen)}" for cost, c in columns]
    rows = [["time", *(format_time(c.time_s) for _, c in columns)]]
    rows += [["busbw [GB/s]", *(number(gbps_to_gbytes(c.busbw_gbps)) for _, c in columns)]]
    rows += [[code(name), *(_idle(c, name) for _, c in columns)] for name in links]
    return table(["Class", *(escape(h).replace("\\>", ">", 1) for h in head)], rows)


def _idle(algorithm: AlgorithmCost, name: str) -> str:
    if name == algorithm.binding:
        return "**binds**"
    idle = dict(algorithm.slack).get(name)
    if idle is None:
        return "no traffic"
    return "as busy" if idle < _TIE else f"{100 * idle:.3g} % idle"


def changes(fabric: Fabric, answers: Answers) -> str:
    """Return what the answers hang on: capacity, latency, efficiency, and unsure figures."""
    answered = [(job, cost) for job in answers.jobs for n in _SUMMARIZED if (cost := job.at_reference(n))]
    costs = [cost for _, cost in answered]
    items = [_upgrade(job, cost) for job, cost in answered]
    items += [_latency(cost) for cost in costs[:1]]
    items.append(
        "Efficiency: protocols reach less than wire rate, as the expected figures of the summary show; they "
        "rest on published measurements, one value for each class of links and kind of transfer."
    )
    items.append(
        "Routing: equal split over all shortest paths. Hashed flows collide, and the busiest link then "
        "carries more."
    )
    bound = dict.fromkeys(
        [c.binding for c in costs] + [c.link for _, flow in answers.flows for c in flow.cut]
    )
    items += [_doubt(fabric, name) for name in bound if doubts(fabric, name)]
    return bullets(items)


def _upgrade(job: JobAnswers, cost: Cost) -> str:
    head, effect = f"Capacity: more of {code(cost.binding)}", f"shortens {cost.collective}{_among(job)}"
    if not cost.chosen.slack:
        return f"{head} {effect} without limit from another class, as no other carries traffic."
    name, idle = cost.chosen.slack[0]
    if idle < _TIE:
        return f"{head} {effect} only together with {code(name)}, which is as busy."
    gain = 1 / (1 - idle)
    much = (
        f"{effect} up to {gain:.3g} times" if gain >= 1.01 else f"hardly {effect} ({100 * (gain - 1):.2g} %)"
    )
    return f"{head} {much}, where {code(name)} binds (same algorithm and paths)."


def _latency(cost: Cost) -> str:
    run = cost.chosen
    per_us = run.steps * 1e-6
    even = format_bytes(float(f"{cost.size_bytes * per_us / run.time_s:.2g}"))
    return (
        f"Latency: {cost.collective} by {run.algorithm} takes {run.steps:,} steps; each microsecond per "
        f"step adds {format_time(per_us)}, as much as the wire time of {even}. At smaller sizes latency "
        "decides."
    )


def _doubt(fabric: Fabric, name: str) -> str:
    doubtful = doubts(fabric, name)
    shown = join_words([f"{code(g.row)} {escape(g.what)} ({g.evidence.confidence})" for g in doubtful])
    return f"Figures behind {code(name)}, which binds above: {shown}."
