"""Collectives in a report: what a run will show first, beside it what the wires and no algorithm exceed."""

from __future__ import annotations

from fabric.costing import AlgorithmCost, Cost
from fabric.reporting.answers import REFERENCE, Answers, GroupCost, JobAnswers
from fabric.reporting.tables import number
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.words import counted, join_words
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
    """Return what to expect of a collective in one line: what binds, time, how sure, the rate of wires."""
    cost = job.at_reference(collective)
    if cost is None:
        return ""
    return (
        f"{collective.capitalize()} of {SIZE}{among_of(job)}: **{code(cost.binding)} "
        f"bind{'' if ' ' in cost.binding else 's'}**; expected {_expected(cost)}; {_next(cost.chosen)}."
        f"{_most(cost)}{_far(cost)}"
    )


def _expected(cost: Cost) -> str:
    """Return time, busbw, how sure both are, and by which algorithm."""
    text = f"{format_time(cost.time_s)}, busbw {format_rate_gbyte(cost.busbw_gbps)}"
    if (support := cost.support) is not None and support.high_gbps:
        text += f" (80 % of runs: {_interval(cost)} GB/s)"
    text += f" by {cost.chosen.name}"
    if support is None:
        return text
    leaves = f", {join_words(list(support.leaves))} outside the evidence" if support.leaves else ""
    return f"{text}, *{support.standing}*{leaves}"


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
    rate = format_rate_gbyte(cost.wire.busbw_gbps)
    return f" On the wires {cost.wire.algorithm} reaches {rate} at most: no run by it is faster."


def _far(cost: Cost) -> str:
    """Say so where the wires of an algorithm reach less than half of what the fabric can."""
    if cost.bound is None or cost.wire is None or cost.wire.busbw_gbps >= _FAR * cost.bound.busbw_gbps:
        return ""
    share = 100 * cost.wire.busbw_gbps / cost.bound.busbw_gbps
    return (
        f" That is {share:.3g} % of the bound, {format_rate_gbyte(cost.bound.busbw_gbps)}: "
        "the algorithm limits, not the fabric."
    )


def collectives(answers: Answers) -> str:
    """Return for each group of endpoints what to expect over sizes, of each algorithm, and the slack."""
    blocks: list[str] = []
    for job in answers.jobs:
        if job.costs:
            blocks += [f"### Among {code(job.among)}"] if job.among else []
            blocks += _collectives(job, is_first=not blocks or len(blocks) == 1)
    return "\n\n".join(filter(None, [*blocks, answers.say_missing("collectives")]))


def _collectives(job: JobAnswers, *, is_first: bool) -> list[str]:
    first = next(iter(job.costs.values()))[0]
    ranks = f"{counted(first.n_ranks, 'rank')} {domains_of(first)}, {first.routing} routing."
    words = (
        f" **What a run will show, by calibration {first.calibration}**: {escape(first.about)} "
        "The busbw of 80 % of runs lies in the interval, which comes from runs that the calibration did not "
        "know. *Measured*: so many such GPUs were measured at such a size; *interpolated*: between "
        "measured ones; *extrapolated*: outside them. Sizes and bandwidths are those of "
        "[nccl-tests](<https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md>): busbw = size "
        "/ time × 2(n-1)/n for all-reduce and × (n-1)/n for the others, with n ranks."
    )
    slack = (
        f"Busy and idle time of the busiest link of each class, {SIZE} (`*`: the algorithm that is expected):"
    )
    return [
        ranks + words * is_first,
        _sizes(job),
        _grounds(job),
        f"What each algorithm would give, {SIZE} (`*`: expected; `?`: a hypothesis, no library was seen to "
        "choose it here). *At most*: the same bytes at wire rate and zero latency, a rate that no run by it "
        "exceeds. *Bound*: a rate that no algorithm exceeds.",
        _algorithms(job),
        _no_bounds(job),
        _groups(job),
        slack,
        _slack(job),
    ]


def _sizes(job: JobAnswers) -> str:
    rows = [
        [
            name,
            format_bytes(cost.size_bytes),
            format_time(cost.time_s),
            number(gbps_to_gbytes(cost.busbw_gbps)),
            _interval(cost),
            cost.chosen.name,
            f"{100 * cost.chosen.latency_s / cost.time_s:.3g} %",
            code(cost.binding),
            cost.support.standing if cost.support else "",
        ]
        for name, costs in job.costs.items()
        for cost in costs
    ]
    head = ["Collective", ">Size", ">Time", ">busbw [GB/s]", ">80 % of runs [GB/s]", "Algorithm"]
    return table([*head, ">Latency", "Binding", "Evidence"], rows)


def _grounds(job: JobAnswers) -> str:
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
            number(gbps_to_gbytes(cost.bound.busbw_gbps)) if cost.bound else "not known",
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
        f"Which all-reduce matters, {SIZE}: one over all ranks at once, or, as jobs of several dimensions "
        "run it, groups along some axes (`--over`), all groups at the same time."
    )
    return f"{words}\n\n{table(_GROUP_HEAD, [_group_row(group) for group in job.groups])}"


_GROUP_HEAD = [
    "Groups",
    ">Ranks of one",
    ">Groups of them",
    ">Time",
    ">busbw [GB/s]",
    ">80 % of runs [GB/s]",
    "By",
]
_GROUP_HEAD += ["Binding", "Evidence"]


def _group_row(group: GroupCost) -> list[str]:
    cost = group.cost
    return [
        f"{group.what}, over {', '.join(map(code, group.over))}" if group.over else group.what,
        f"{cost.n_ranks:,}",
        f"{cost.n_instances:,}",
        format_time(cost.time_s),
        number(gbps_to_gbytes(cost.busbw_gbps)),
        _interval(cost),
        cost.chosen.name + ("" if cost.chosen.is_seen else " ?"),
        code(cost.binding),
        cost.support.standing if cost.support else "",
    ]


def _no_bounds(job: JobAnswers) -> str:
    """Say why a bound is not known; one reason for all collectives that share it."""
    whys: dict[str, list[str]] = {}
    for name, costs in job.costs.items():
        if costs[0].bound is None:
            whys.setdefault(costs[0].no_bound.rstrip("."), []).append(name)
    return " ".join(f"No bound of {join_words(names)}: {escape(why)}." for why, names in whys.items())


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
    return "as busy" if idle < TIE else f"{100 * idle:.3g} % idle"
