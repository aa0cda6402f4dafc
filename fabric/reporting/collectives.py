"""Collectives in a report: what a run will show first, beside it what the wires and no algorithm exceed."""

from __future__ import annotations

from collections.abc import Iterator

from fabric.costing import AlgorithmCost, Cost
from fabric.reporting.answers import GroupCost, JobAnswers
from fabric.reporting.document import Folded
from fabric.study.designs import REFERENCE
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words, number
from fabric.units import format_bytes, format_rate_gbyte, format_time, gbps_to_gbytes, parse_bytes

SIZE = format_bytes(parse_bytes(REFERENCE))
TIE = 1e-9
"""Idle part below which a class is as busy as the one that binds; what is left is rounding."""
_FAR = 0.5
"""Part of the bound below which the algorithm is what limits."""


def domains_of(cost: Cost) -> str:
    """Return the scale-up domains of a job in words."""
    if cost.n_domains == cost.n_ranks:
        return "with no scale-up network between them"
    return f"in {cost.n_domains:,} scale-up domain{'' if cost.n_domains == 1 else 's'}"


def among_of(job: JobAnswers) -> str:
    """Return in words among whom, where there are several groups."""
    return f" among {code(job.among)}" if job.among else ""


def headline(job: JobAnswers, collective: str) -> str:
    """Return what to expect of a collective in one line: time, busbw, how sure, and what binds."""
    cost = job.at_reference(collective)
    if cost is None:
        return ""
    if cost.status == "cut off":
        return f"{collective.capitalize()}{among_of(job)}: **never**; {cut_off_of(cost)}."
    binds = f"**{code(cost.binding)} bind{'' if ' ' in cost.binding else 's'}**"
    return (
        f"{collective.capitalize()} of {SIZE}{among_of(job)}: **{format_time(cost.time_s)}**, busbw "
        f"{format_rate_gbyte(cost.busbw_gbps)}{_sure(cost)} by {cost.chosen.name}; {binds}, "
        f"{_next(cost.chosen)}."
        f"{_most(cost)}{_far(cost)}"
    )


def cut_off_of(cost: Cost) -> str:
    """Return who is cut off from most of the others."""
    lost = [f"{one.n:,} such as {code(one.endpoint)}" for one in cost.cut_off]
    return f"failures cut off {join_words(lost)} from most of the others"


def _sure(cost: Cost) -> str:
    """Return how sure a prediction is."""
    if (support := cost.support) is None:
        return ""
    interval = f"{_interval(cost)} in 80 % of runs, " if support.high_gbps else ""
    return f" ({interval}*{support.standing}*)"


def _interval(cost: Cost) -> str:
    support = cost.support
    if support is None or not support.high_gbps:
        return "not known"
    return " to ".join(number(gbps_to_gbytes(rate)) for rate in (support.low_gbps, support.high_gbps))


def _next(algorithm: AlgorithmCost) -> str:
    """Say what is as busy as the class that binds, or else what is next."""
    if not algorithm.slack:
        return "no other class is used"
    tied = [code(name) for name, idle in algorithm.slack if idle < TIE]
    if tied:
        return f"as busy: {join_words(tied)}"
    name, idle = algorithm.slack[0]
    return f"{code(name)} is next, {100 * idle:.3g} % idle"


def _most(cost: Cost) -> str:
    if cost.wire is None:
        return ""
    most, fastest = cost.wire.busbw_gbps, max(cost.algorithms, key=lambda a: a.most_gbps)
    other = ""
    # The interval is of what a library does, which may choose another algorithm.
    if cost.support is not None and cost.support.high_gbps > most < fastest.most_gbps:
        other = f", {fastest.algorithm} {format_rate_gbyte(fastest.most_gbps)}"
    of = f" {cost.chosen.algorithm}" if other else ""
    return f" On the wires{of} at most {format_rate_gbyte(most)}{other}."


def _far(cost: Cost) -> str:
    """Say so where the wires of an algorithm reach less than half of what the fabric can."""
    if cost.bound is None or cost.wire is None or cost.wire.busbw_gbps >= _FAR * cost.bound.busbw_gbps:
        return ""
    share = 100 * cost.wire.busbw_gbps / cost.bound.busbw_gbps
    return (
        f" That is {share:.3g} % of the bound, {format_rate_gbyte(cost.bound.busbw_gbps)}: "
        "the algorithm limits, not the fabric."
    )


def told(job: JobAnswers, *, is_first: bool) -> str:
    """Return who takes part, and once what the words and figures mean."""
    first = next(iter(job.costs.values()))[0]
    ranks = f"{counted(first.n_ranks, 'rank')} {domains_of(first)}, {first.routing} routing."
    words = (
        f" **What a run will show, by calibration {first.calibration}**: {escape(first.about)} Times contain "
        "every latency; what the wires alone would give stands beside them as a rate, *at most*. The busbw "
        "of "
        "80 % of runs lies in the interval, which comes from runs that the calibration did not know. "
        "*Measured*: so many such GPUs were measured at such a size; *interpolated*: between measured ones; "
        "*extrapolated*: outside them. Sizes and bandwidths are those of "
        "[nccl-tests](<https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md>): busbw = size "
        "/ time × 2(n-1)/n for all-reduce and × (n-1)/n for the others, with n ranks."
    )
    return ranks + words * is_first


def details(job: JobAnswers) -> Iterator[Folded]:
    """Yield what a reader opens: every size, every algorithm, groups, and idle classes."""
    about = (
        "`*`: expected; `?`: a hypothesis, no library was seen to choose it here. *At most*: the same bytes "
        "at wire rate and zero latency, a rate that no run by it exceeds. *Bound*: a rate that no algorithm "
        "exceeds which reduces where this one does, in the endpoints alone or in switches too."
    )
    yield Folded("Every size, with the busbw that a healthy run must reach", _sizes(job))
    rates = "\n\n".join(filter(None, [about, _algorithms(job), _no_bounds(job)]))
    yield Folded(f"What each algorithm would give, {SIZE}", rates)
    groups = "\n\n".join(filter(None, [_groups(job), _reaches(job)]))
    yield Folded(f"One all-reduce or all-to-all over all ranks, or within groups, {SIZE}", groups)
    yield Folded(f"How busy each class is, {SIZE}", _slack(job))


def _sizes(job: JobAnswers) -> str:
    """Return a table for each collective, in the order of the columns of nccl-tests."""
    head = [">Size", ">Time", ">algbw", ">busbw", ">Passes from", ">80 % of runs", "Algorithm", "Evidence"]
    blocks = []
    for name, costs in job.costs.items():
        rows = [
            [
                format_bytes(cost.size_bytes),
                format_time(cost.time_s),
                number(gbps_to_gbytes(cost.algbw_gbps)),
                number(gbps_to_gbytes(cost.busbw_gbps)),
                _passes(cost),
                _interval(cost),
                cost.chosen.name,
                cost.support.standing if cost.support else "",
            ]
            for cost in costs
        ]
        blocks.append(f"{name.capitalize()}, algbw and busbw in GB/s:\n\n{table(head, rows)}")
    return "\n\n".join(blocks)


def _passes(cost: Cost) -> str:
    """Return the busbw that a healthy run must reach; nothing outside the evidence."""
    least = cost.support.pass_gbps if cost.support else None
    return "none" if least is None else number(gbps_to_gbytes(least))


def grounds_of(job: JobAnswers) -> str:
    """Return what the expectations at the reference size rest on."""
    known = [(c.collective, c.support) for name in job.costs if (c := job.at_reference(name))]
    return bullets(
        f"{name.capitalize()} of {SIZE}: {escape(support.basis)}; {escape(support.passing)}."
        for name, support in known
        if support
    )


def _algorithms(job: JobAnswers) -> str:
    rows = [
        [
            cost.collective,
            c.name + ("*" if c is cost.chosen else "") + ("" if c.is_seen else " ?"),
            format_time(c.time_s),
            number(gbps_to_gbytes(c.busbw_gbps)),
            number(gbps_to_gbytes(c.most_gbps)),
            number(gbps_to_gbytes(c.busbw_gbps / c.bound_ratio)) if c.bound_ratio else "not known",
            f"{c.steps:,}",
            code(c.binding),
        ]
        for name in job.costs
        if (cost := job.at_reference(name))
        for c in cost.algorithms
    ]
    head = ["Collective", "Algorithm", ">Time", ">busbw [GB/s]", ">At most [GB/s]", ">Bound [GB/s]", ">Steps"]
    return table([*head, "Binding"], [[cell.replace("*", "\\*") for cell in row] for row in rows])


def _groups(job: JobAnswers) -> str:
    """Return the all-reduce of all ranks beside those along the axes that jobs split theirs by."""
    if len(job.groups) < 2:
        return ""
    words = (
        "Which all-reduce matters: one over all ranks at once, or, as jobs of several dimensions run it, "
        "groups along some axes (`--over`), all groups at the same time."
    )
    return f"{words}\n\n{table(_GROUP_HEAD, [_group_row(group) for group in job.groups])}"


_GROUP_HEAD = ["Groups", ">Of ranks", ">Time", ">busbw [GB/s]", ">80 % of runs", "By"]


def _group_row(group: GroupCost) -> list[str]:
    cost = group.cost
    return [
        group.what,
        f"{cost.n_instances:,} × {cost.n_ranks:,}",
        format_time(cost.time_s),
        number(gbps_to_gbytes(cost.busbw_gbps)),
        _interval(cost),
        cost.chosen.name + ("" if cost.chosen.is_seen else " ?"),
    ]


def _reaches(job: JobAnswers) -> str:
    """Return what all-to-all gives in groups of ever more domains."""
    if len(job.reaches) < 2:
        return ""
    words = (
        "What all-to-all costs, such as that of experts, once its groups leave a domain; all groups at the "
        "same time, every rank with the same share for each. *Leaves*: of the bytes of a rank, to other "
        "domains."
    )
    head = ["Groups", ">Of ranks", ">Leaves", ">Time", ">busbw [GB/s]", ">80 % of runs", "Binds"]
    rows = []
    for group in job.reaches:
        cost, row = group.cost, _group_row(group)
        out = (cost.n_ranks - cost.n_ranks / cost.n_domains) / (cost.n_ranks - 1)
        rows.append([*row[:2], f"{100 * out:.3g} %", *row[2:-1], code(cost.binding)])
    return f"{words}\n\n{table(head, rows)}"


def _no_bounds(job: JobAnswers) -> str:
    """Say why a bound is not known; one reason for all collectives that share it."""
    whys: dict[str, list[str]] = {}
    for name, costs in job.costs.items():
        if costs[0].bound is None:
            whys.setdefault(costs[0].no_bound.rstrip("."), []).append(name)
    return " ".join(f"No bound of {join_words(names)}: {escape(why)}." for why, names in whys.items())


def _slack(job: JobAnswers) -> str:
    """Return a row for each algorithm and class: which binds, and how idle the others are."""
    rows = [
        [
            cost.collective + (" `*`" if c is cost.chosen else ""),
            c.name,
            code(c.binding),
            ", ".join(f"{code(name)} {_idle(idle)}" for name, idle in c.slack[:_NEXT]) or "none",
        ]
        for name in job.costs
        if (cost := job.at_reference(name))
        for c in cost.algorithms
    ]
    return table(["Collective", "Algorithm", "Binds", "Next, idle part of its busiest link"], rows)


_NEXT = 2


def _idle(idle: float) -> str:
    return "as busy" if idle < TIE else f"{100 * idle:.3g} %"
