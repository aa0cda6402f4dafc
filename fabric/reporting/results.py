"""Answers of the solvers in words and tables: the summary, flows, collectives, and what they hang on."""

from __future__ import annotations

from fabric.costing import Cost
from fabric.flow import MaxFlow
from fabric.flow.throughput import Throughput
from fabric.graph import Fabric
from fabric.reporting.answers import Answers, Growth, JobAnswers
from fabric.reporting.billing import billing_line
from fabric.reporting.collectives import SIZE, TIE, among_of, domains_of, headline
from fabric.reporting.evidence import doubts, unsure_rows
from fabric.reporting.failing import failing_line, spots_line
from fabric.reporting.growing import growing_line
from fabric.reporting.questions import FlowQuestion
from fabric.reporting.workloads import workload_line
from fabric.sizing.summary import Summary
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words, noun
from fabric.units import (
    format_rate,
    format_rate_gbyte,
    format_ratio,
    format_time,
)

SUMMARIZED = ("all-reduce", "all-to-all")


def headlines(fabric: Fabric, summary: Summary, answers: Answers) -> str:
    """Return the summary: at most seven lines, each one finding, the bottleneck in bold."""
    lines = [_size(summary, answers), billing_line(answers.bill)]
    told = [line for job in answers.jobs for line in _of_job(job, alone=len(answers.jobs) == 1)]
    workload = workload_line(answers.given)
    lines += [*told[: _MOST_JOBS - bool(workload)], *([workload] if workload else [])]
    if answers.failing is not None:
        lines.append(failing_line(answers.failing))
    elif answers.spots:
        lines.append(spots_line(answers.spots))
    lines.append(_state_growth(summary, answers.growth))
    lines.append(f"{_state_oversubscription(summary)} {_state_assumed(fabric)}{_unanswered(answers)}")
    return bullets(lines[:_LINES])


_LINES, _MOST_JOBS = 7, 2


def _of_job(job: JobAnswers, *, alone: bool) -> list[str]:
    """Return a line for a group of endpoints, two where it is the only one."""
    names = [name for name in SUMMARIZED if job.at_reference(name)][: 1 + alone]
    lines = [headline(job, name) for name in names]
    if not job.at_reference("all-to-all") and job.spread is not None:
        lines.append(_spread_line(job, job.spread))
    return lines


def _unanswered(answers: Answers) -> str:
    if not answers.missing:
        return ""
    return f" Not answered: {join_words([escape(m.what) for m in answers.missing])}; the reasons are below."


def _state_growth(summary: Summary, growth: Growth | None) -> str:
    """Return what room is left, and how far the same parts reach."""
    free = []
    for tier in summary.tiers:
        group = next(g for g in summary.groups if g.name == tier.name)
        n_free = sum(port.n_ports - port.n_used for port in group.ports)
        total = sum(port.n_ports for port in group.ports)
        if total:
            of_all = f"{n_free:,} of {total:,} {noun(tier.name)} ports"
            free.append(of_all if n_free else f"no {noun(tier.name)} port")
    parts = [f"{join_words(free)} free"] if free else []
    if growth is not None and growth.built:
        parts.append(growing_line(growth))
    return f"Growth: {'; '.join(parts) or 'no switch of the catalogue with ports to count'}."


def _size(summary: Summary, answers: Answers) -> str:
    ends = [counted(g.n_devices, g.name) for g in summary.groups if g.is_endpoint] or ["no endpoint"]
    switches = [counted(g.n_devices, g.name) for g in summary.groups if g.kind == "switch"]
    text = f"Size: {join_words(ends)}"
    cost = answers.jobs[0].at_reference("all-reduce") if len(answers.jobs) == 1 else None
    text += f" {domains_of(cost)}" if cost else ""
    return f"{text}, {join_words(switches) or 'no switch'}."


def _spread_line(job: JobAnswers, spread: Throughput) -> str:
    binding = join_words([f"**{code(p.link)} binds**" for p in spread.binding]) or "nothing flows"
    rate = format_rate(spread.per_endpoint_gbps)
    return f"All-to-all{among_of(job)} at its best: {binding}; {rate} for every endpoint."


def _state_oversubscription(summary: Summary) -> str:
    ratios = [f"{t.name} {format_ratio(t.ratio)}" for t in summary.tiers if t.ratio is not None]
    if not ratios:
        return "Oversubscription: no tier of switches has both downlinks and uplinks."
    return f"Oversubscription (downlink capacity / uplink capacity): {', '.join(ratios)}."


def _state_assumed(fabric: Fabric) -> str:
    unsure = unsure_rows(fabric)
    assumed = sum(g.evidence.confidence == "assumed" for g in unsure)
    if not unsure:
        return "Assumed: nothing of the catalogue."
    told = [f"{counted(assumed, 'figure')} of the catalogue"] if assumed else ["nothing of the catalogue"]
    reported = len(unsure) - assumed
    return f"Assumed: {'; '.join(told + [f'{reported} only reported'] * (reported > 0))}."


def flows(answers: Answers) -> str:
    """Return the table of maximum flows."""
    rows = [
        [
            question.what,
            format_rate_gbyte(
                flow.value_gbps if flow.without_relay_gbps is None else flow.without_relay_gbps
            ),
            "the same" if flow.without_relay_gbps is None else format_rate_gbyte(flow.value_gbps),
        ]
        for question, flow in answers.flows
    ]
    text = answers.say_missing("flows")
    if not rows:
        return text
    head = ["Between", ">On its own", ">Relayed by others"]
    cuts = bullets(_cut(question, flow) for question, flow in answers.flows)
    words = (
        "Per direction. *On its own*: no other endpoint passes anything on, so that each has what its own "
        "cards "
        "carry; *relayed by others*: what more there is where the file lets endpoints pass on traffic. Paths "
        "climb, turn once and descend. Of equal cuts the one nearest the source is shown; rules that bind in "
        "another are tied. *Optimal*: a flow and a cut of the same value were both checked."
    )
    return "\n\n".join(filter(None, [table(head, rows), cuts, words, text]))


def _cut(question: FlowQuestion, flow: MaxFlow) -> str:
    cut = " + ".join(
        f"{c.n_cables:,} {code(c.link)} {noun('cable', c.n_cables)} ({format_rate(c.capacity_gbps)})"
        for c in flow.cut
    )
    tied = f", tied with {join_words([code(t) for t in flow.tied])}" if flow.tied else ""
    ends = f"{code(question.source)} to {code(question.target)}"
    head = f"Cut between {question.what}, {ends}, {format_rate(flow.value_gbps)}"
    return f"{head}: {cut or 'empty, no way between them'}{tied}; {flow.status}."


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
    return "\n\n".join(filter(None, [shown, answers.say_missing("throughput")]))


def _spread_row(answer: Throughput) -> list[str]:
    binding = [f"{code(p.link)} ({p.n_cables:,} cables, {100 * p.share:.3g} %)" for p in answer.binding]
    rate = format_rate(answer.per_endpoint_gbps)
    return [f"{answer.n_endpoints:,}", rate, "; ".join(binding) or "none", answer.status]


def changes(fabric: Fabric, answers: Answers) -> str:
    """Return what the answers hang on: capacity, latency, efficiency, and unsure figures."""
    found = [(job, cost) for job in answers.jobs for n in SUMMARIZED if (cost := job.at_reference(n))]
    answered = [(job, cost) for job, cost in found if cost.status != "cut off"]
    costs = [cost for _, cost in answered]
    items = [_upgrade(job, cost) for job, cost in answered]
    items += [_latency(cost) for cost in costs[:1]]
    items.append(
        "Efficiency: protocols reach less than wire rate; what they reach rests on published measurements, "
        "one value for each class of links and kind of transfer."
    )
    items.append(
        "Routing: equal split over all shortest paths. Hashed flows collide, and the busiest link then "
        "carries more."
    )
    bound = {c.link: f"a cut of the max-flow between {q.what}" for q, flow in answers.flows for c in flow.cut}
    bound |= {c.binding: f"{c.collective}" for c in costs}
    items += [_doubt(fabric, name, bound[name]) for name in bound if doubts(fabric, name)]
    return bullets(items)


def _upgrade(job: JobAnswers, cost: Cost) -> str:
    head, effect = f"Capacity: more of {code(cost.binding)}", f"shortens {cost.collective}{among_of(job)}"
    if not cost.chosen.slack:
        return f"{head} {effect} without limit from another class, as no other carries traffic."
    name, idle = cost.chosen.slack[0]
    if idle < TIE:
        return f"{head} {effect} only together with {code(name)}, which is as busy."
    gain = 1 / (1 - idle)
    much = (
        f"{effect} up to {gain:.3g} times" if gain >= 1.01 else f"hardly {effect} ({100 * (gain - 1):.2g} %)"
    )
    return f"{head} {much}, where {code(name)} binds (same algorithm and paths)."


def _latency(cost: Cost) -> str:
    run = cost.chosen
    share = 100 * run.latency_s / run.time_s
    return (
        f"Latency: {cost.collective} of {SIZE} by {run.algorithm} takes {run.steps:,} steps, in which "
        f"{share:.3g} % of its time goes; each microsecond more per step adds "
        f"{format_time(run.steps * 1e-6)}."
    )


def _doubt(fabric: Fabric, name: str, where: str) -> str:
    doubtful = doubts(fabric, name)
    shown = join_words([f"{code(g.row)} {escape(g.what)} ({g.evidence.confidence})" for g in doubtful])
    return f"Figures behind {code(name)}, which binds {where}: {shown}."
