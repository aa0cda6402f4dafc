"""The verb `failures`: a list of questions, each answered by itself, and the table of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fabric.arguments import checked
from fabric.errors import QuestionError
from fabric.graph import Fabric, Paths
from fabric.study.failures.covers import pairs_of
from fabric.study.failures.evaluate import Kept, Outcome, evaluate, n_up
from fabric.study.failures.events import Event, group_events, single_events
from fabric.study.failures.life import HOUR, Interruptions, JobTime, Life, job_time, life_of, rates_for
from fabric.study.failures.network import FailingJob, job_of
from fabric.study.failures.pairs import PairEvent
from fabric.study.failures.rates import FailureRate, known_rates, read_rates
from fabric.study.failures.solving import StateAnswers, alike
from fabric.study.failures.states import State
from fabric.study.failures.table import FailureRow, Failures, PairRow, worst_first
from fabric.study.failures.window import (
    SAMPLES,
    SEED,
    Failing,
    KeptOverTime,
    Remains,
    check_window,
    draw,
    joined,
    known_part,
    over_time,
    part_there,
)
from fabric.study.sweeps import Crew
from fabric.study.sweeps.run import Progress
from fabric.units import parse_duration


@checked
def failures(
    fabric: Fabric,
    *,
    among: str | None = None,
    collective: str = "",
    over: Sequence[str] = (),
    paths: Paths = "rules",
    node: Sequence[str] = (),
    pairs: bool = False,
    rates: str | Path | tuple[FailureRate, ...] = "",
    interval: str = "",
    checkpoint: str = "30s",
    restart: str = "5min",
    availability: float = 0.999,
    window: str = "",
    samples: int = SAMPLES,
    seed: int = SEED,
    jobs: int = 1,
    backend: str = "",
    scheduler: str = "",
    store: str | Path = "",
    progress: Progress | None = None,
) -> Failures:
    """Return what every single failure costs a job, exactly, once for all failures that are alike.

    Parameters
    ----------
    fabric : Fabric
        What has failed in it already stays down.
    among : str, optional
        Selector of the endpoints of the job; left out, all, or the largest of several groups.
    collective : str
        Beside all-to-all, one that `fabric.cost` knows, such as ``"all-reduce"``; with `over` alone an
        all-reduce.
    over : sequence of str
        Axes that a group of the collective spans, such as those of data parallelism.
    paths : {"rules", "no-relay", "any"}
    node : sequence of str
        Axes that say the node of an endpoint, what a restart leaves out; left out, all but the last of the
        endpoint where something else is on its board, else the endpoint alone.
    pairs : bool
        Whether every pair of failures of devices and cables is told too.
    rates : str, Path or tuple of FailureRate
        How often things fail: ``"parts"`` (device by device), ``"llama3"`` or ``"kokolis"`` (of whole jobs),
        or a CSV file of your own; left out, the answer has no `life`.
    interval, checkpoint, restart : str
        Time between checkpoints, the best one if left out; that the job stands still for each; and from an
        interruption until it runs again.
    availability : float
        Part of the time that spare nodes suffice.
    window : str
        A time, such as ``"30d"``, over which states are drawn at random by `rates`, which have to be those
        of devices and cables, such as ``"parts"``; left out, none is.
    samples, seed : int
        How many states are drawn, and of which random numbers.
    jobs, backend, scheduler, store
        Who solves the states, and where the outcomes are kept; see `fabric.study.sweeps.Crew`.
    progress : callable, optional
        Given the states solved and all states.

    Returns
    -------
    Failures
        Numbers of devices and of cables sum to those that are up.

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    LimitError
        If it is too large to be answered.
    FileError
        If the store cannot be used.
    ExtraError
        If joblib or Dask is missing that `jobs` or `backend` need.

    Examples
    --------
    Two leaves on two planes: one of them down leaves half; a GPU down stops the job.

    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4, plane: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: "
    >>> text += "switch, axes: [plane]}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> for row in failures(loads(text)).rows:
    ...     print(row.name, row.n, row.goes_on, round(row.kept, 4), round(row.total_kept, 4))
    gpu 4 False 1.0 0.75
    leaf 2 True 0.5 0.5
    gpu-leaf cable 8 True 0.5 0.5
    """
    job = job_of(
        fabric,
        among,
        paths=paths,
        collective=collective or ("all-reduce" if over else ""),
        over=over,
        node=node,
    )
    time = job_time(interval=interval, checkpoint=checkpoint, restart=restart, availability=availability)
    crew = Crew(jobs, backend, scheduler, store)
    table = _rates(rates)
    healthy = evaluate(job, (), is_brief=False)
    if healthy.others.n < 2 or healthy.others.rate_gbps <= 0:
        msg = f"nothing is sent while all is up: {healthy.others.why or 'no rate'}"
        raise QuestionError(msg)
    if job.collective and healthy.kept.busbw_gbps is None:
        raise QuestionError(healthy.kept.why)
    singles = single_events(job)
    events = (*singles, *group_events(job))
    answers = StateAnswers(job, healthy, crew, progress)
    states = {(), *(event.state for event in events)}
    outcomes = answers.of(states)
    rows = [failure_row(event, outcomes[event.state], healthy.others) for event in events]
    asked = f"{job.collective}{' over ' + ', '.join(job.over) if job.over else ''}" if job.collective else ""
    named = "a table that was given" if isinstance(rates, tuple) else str(rates)
    rows_of_pairs: tuple[PairRow, ...] = ()
    if pairs:
        plain = answers.of_all_to_all()
        both = pairs_of(plain, singles)
        states |= {one.state for one in both}
        rows_of_pairs = pair_rows(both, plain.of(one.state for one in both), healthy.others)
    kept: KeptOverTime | None = None
    if window:
        kept = _over_window(answers.of_all_to_all(), table, rows, ask=(parse_duration(window), samples, seed))
    life = _life(job, named, table, rows, time) if table else None
    return Failures(
        fabric=fabric.name,
        among=job.among,
        n_endpoints=healthy.others.n,
        rate_gbps=healthy.others.rate_gbps,
        binding=healthy.others.binding,
        collective=asked,
        busbw_gbps=healthy.kept.busbw_gbps,
        node=_say_node(job),
        paths=paths,
        rows=tuple(sorted(rows, key=worst_first)),
        n_states=len(states),
        notes=_notes(job, among),
        certificate=healthy.others.certificate,
        life=life,
        pairs=rows_of_pairs,
        availability=second_order(job, table, rows, rows_of_pairs) if table and rows_of_pairs else None,
        over_time=kept,
    )


def pair_rows(
    pairs: Sequence[PairEvent], outcomes: dict[State, Outcome], healthy: Kept
) -> tuple[PairRow, ...]:
    """Return rows of pairs, those of one name that leave the same together, worst first."""
    found: dict[tuple[object, ...], tuple[PairEvent, int]] = {}
    for pair in pairs:
        others, after = outcomes[pair.state].others, outcomes[pair.state].kept
        stopped = sum(lost.n for lost in outcomes[pair.state].stopped)
        left = (others.n, float(f"{others.rate_gbps:.9g}"), after.n, float(f"{after.rate_gbps:.9g}"))
        key = (pair.first, pair.second, stopped, others.status, *left)
        known, n = found.get(key, (pair, 0))
        found[key] = known, n + pair.n_twice
    rows = []
    for pair, n_twice in found.values():
        outcome = outcomes[pair.state]
        one = failure_row(Event("device", "", 1, ", ".join(pair.examples), pair.state), outcome, healthy)
        names = [of if kind == "device" else f"{of} {kind}" for kind, of in (pair.first, pair.second)]
        rows.append(
            PairRow(
                names[0],
                names[1],
                n_twice // 2,
                ", ".join(pair.examples),
                one.goes_on,
                one.n_stopped,
                one.kept,
                one.kept_after,
                one.total_kept,
                one.n_after,
                one.binding,
                one.status,
                one.certificate,
                one.certificate_after,
            )
        )
    return tuple(sorted(rows, key=worst_first))


def second_order(
    job: FailingJob, rates: Sequence[FailureRate], rows: Sequence[FailureRow], pairs: Sequence[PairRow]
) -> tuple[float, float]:
    """Return bounds of what is there of the healthy all-to-all on average, as a part of it.

    Devices and cables are down independently, each for its part q of the time. With odds q / (1 - q) a state
    has the product of the odds of what is down in it, times the probability that all is up.
    """
    odds, log_up = {}, 0.0
    for row in rows:
        if row.kind in ("device", "cable"):
            each = rates_for(rates, row.of, kinds_of(job, row))
            odds[row.name] = sum(rate.per_hour * rate.repair_h for rate in each)
            log_up -= row.n * math.log1p(odds[row.name])
    up = math.exp(log_up)
    known, kept, open_ = up, up, 0.0
    weighed: list[tuple[FailureRow | PairRow, float]] = [
        *((row, row.n * odds[row.name]) for row in rows if row.kind in ("device", "cable")),
        *((pair, pair.n * odds[pair.first] * odds[pair.second]) for pair in pairs),
    ]
    for told, weight in weighed:
        # Of an interval the lower end is there; what is not solved may be there or not.
        total = part_there(told.total_kept)
        is_exact = told.total_kept is not None and told.certificate_after.status == "optimal"
        known, kept = known + up * weight, kept + up * weight * total
        open_ += 0.0 if is_exact else up * weight * max(0.0, 1 - total)
    return kept, min(1.0, kept + open_ + max(0.0, 1 - known))


def _over_window(
    answers: StateAnswers,
    table: Sequence[FailureRate],
    rows: Sequence[FailureRow],
    *,
    ask: tuple[float, int, int],
) -> KeptOverTime:
    """Return what is kept over a window.

    Parameters
    ----------
    ask : (float, int, int)
        Its length [s], the number of samples, and the seed.
    """
    job, (window_s, n_samples, seed) = answers.job, ask
    window_h = window_s / HOUR
    failing, single = [], []
    for row in rows:
        each = rates_for(table, row.of, kinds_of(job, row)) if row.kind in ("device", "cable") else []
        per_hour = sum(rate.per_hour for rate in each)
        if odds := sum(rate.per_hour * rate.repair_h for rate in each):
            failing.append(Failing(row.kind, row.of, row.n, per_hour, odds / per_hour))
            single.append(Remains(row.total_kept, row.goes_on))
    check_window(failing, window_h, n_samples)
    none, alone = known_part(failing, window_h)
    known = [(0, none, Remains(1.0, True)), *((1, p, seen) for p, seen in zip(alone, single, strict=True))]
    drawn, rest = draw(job, joined(failing), window_h=window_h, n_samples=n_samples, seed=seed)
    one_of = alike(job, (one.state for one in drawn))
    outcomes = answers.of(one_of.values())
    healthy = outcomes[()].others

    def seen_of(state: State) -> Remains:
        outcome = outcomes[one_of[state]]
        return Remains(_solved(outcome.kept, outcome.kept.total_gbps / healthy.total_gbps), outcome.goes_on)

    n_states = len(set(one_of.values()))
    return over_time(drawn, known, seen_of, window_h=window_h, rest=rest, seed=seed, n_states=n_states)


def _rates(rates: str | Path | tuple[FailureRate, ...]) -> tuple[FailureRate, ...]:
    if isinstance(rates, tuple):
        return rates
    if not rates:
        return ()
    is_file = isinstance(rates, Path) or "/" in rates or rates.endswith(".csv")
    return read_rates(rates) if is_file else known_rates(str(rates))


def _life(
    job: FailingJob, name: str, rates: Sequence[FailureRate], rows: Sequence[FailureRow], time: JobTime
) -> Life:
    """Return how the job lives with the failures that stop it, and with what rates say of nodes and ranks."""
    n_endpoints, n_nodes = sizes(job)
    found: dict[tuple[str, str], Interruptions] = {}
    wanted = [(row.of, row.n, kinds_of(job, row)) for row in rows if not row.goes_on]
    wanted += [("node", n_nodes, ()), ("endpoint", n_endpoints, ())]
    for of, n, kinds in wanted:
        for rate in rates_for(rates, of, kinds):
            known = found.get((of, rate.what))
            n_all = n + (known.n if known else 0)
            found[of, rate.what] = Interruptions(
                rate.what, of, n_all, 24 * n_all * rate.per_hour, rate.repair_h, rate.source, rate.confidence
            )
    return life_of(name, n_endpoints, n_nodes, found.values(), time)


def kinds_of(job: FailingJob, row: FailureRow) -> tuple[str, ...]:
    """Return what a rate may be of that is meant for a row: its kind, where it is of the network."""
    blueprint = job.whole.blueprint
    if blueprint is None or row.kind not in ("device", "cable"):
        return ()
    out = {g for rule in blueprint.rules if rule.net == "scale-out" for g in rule.groups}
    if row.kind == "cable":
        net = next(rule.net for rule in blueprint.rules if rule.name == row.of)
        return ("cable",) if net == "scale-out" else ()
    group = blueprint.groups[row.of]
    # What is counted of switches and cards is of those of the network.
    return () if group.kind in ("switch", "nic") and group.name not in out else (group.kind,)


def sizes(job: FailingJob) -> tuple[int, int]:
    """Return how many endpoints of the job are up, and how many nodes they are at least."""
    n_endpoints = n_up(job, job.fabric)
    blueprint = job.fabric.blueprint
    if blueprint is None:
        return n_endpoints, n_endpoints
    n_each = []
    for name, axes in job.node.items():
        inside = set(blueprint.groups[name].primitives) - set(axes)
        n_each.append(math.prod(blueprint.axes[p].size for p in inside))
    return n_endpoints, math.ceil(n_endpoints / max(n_each, default=1))


def failure_row(event: Event, outcome: Outcome, healthy: Kept) -> FailureRow:
    """Return the row of an event."""
    others, after = outcome.others, outcome.kept
    busbw = after.busbw_gbps
    whole = healthy.busbw_gbps
    return FailureRow(
        kind=event.kind,
        of=event.of,
        n=event.n,
        example=event.example,
        goes_on=outcome.goes_on,
        n_down=outcome.n_down,
        cut_off=outcome.cut_off,
        stopped=outcome.stopped,
        n_others=others.n,
        rate_gbps=_solved(others, others.rate_gbps),
        kept=_solved(others, others.rate_gbps / healthy.rate_gbps),
        n_after=after.n,
        rate_after_gbps=_solved(after, after.rate_gbps),
        kept_after=_solved(after, after.rate_gbps / healthy.rate_gbps),
        total_kept=_solved(after, after.total_gbps / healthy.total_gbps),
        busbw_gbps=busbw,
        busbw_kept=busbw / whole if busbw is not None and whole else None,
        binding=others.binding,
        status=others.status,
        certificate=others.certificate,
        certificate_after=after.certificate,
        why=others.why or after.why,
    )


def _solved(kept: Kept, value: float) -> float | None:
    return None if kept.status == "unsolved" else value


def _say_node(job: FailingJob) -> str:
    blueprint = job.whole.blueprint
    if blueprint is None:
        return "each endpoint"
    words = []
    for name, axes in job.node.items():
        is_own = set(axes) == set(blueprint.groups[name].primitives)
        words.append(f"each {name} alone" if is_own else f"{name} by {', '.join(axes) or 'no axis'}")
    return "; ".join(words)


def _notes(job: FailingJob, among: str | None) -> tuple[str, ...]:
    if among is None and job.among is not None:
        return (f"the job is {job.among}, the largest group of endpoints; among names others",)
    return ()
