"""Logs of nccl-tests held against a fabric, and calibrations fitted to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Unpack, cast

import numpy as np

from fabric.arguments import checked
from fabric.costing import Calibration, Overhead, calibration, cost
from fabric.costing.answer import AlgorithmCost, Cost
from fabric.costing.calibration import TRANSFERS
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.overheads import GpuOverhead, Keys
from fabric.costing.run import job_of
from fabric.costing.support import part_of
from fabric.errors import QuestionError, setting
from fabric.evidence.residuals import Residual
from fabric.graph import Fabric
from fabric.interop.nccl_tests import Log
from fabric.job.question import JobOptions, JobQuestion
from fabric.job.ranks import Job
from fabric.schedule import schedules
from fabric.schedule.tree import Par, Phase, Schedule, Transfer
from fabric.study.compare import Comparison, compare
from fabric.study.fit import Fitted, Pair, fit_model
from fabric.study.hypotheses import Alternatives, alternatives, hypotheses
from fabric.text.words import fold

# What is left of a time that the cables alone take; the fit refuses it as faster than the wire.
_NO_TIME_S = 1e-12


@checked
def compare_log(
    log: Log,
    fabric: Fabric,
    *,
    threshold: float | None = None,
    in_place: bool = False,
    calibration: str | Path | Calibration = "measured",
    **options: Unpack[JobOptions],
) -> Comparison:
    """Hold a measured log against what the model predicts on a fabric.

    Parameters
    ----------
    log : Log
        As `fabric.interop.nccl_tests.read_log` gives it.
    fabric : Fabric
    threshold : float, optional
        Least ratio of measured to predicted busbw that passes; by default what healthy runs of the kind of
        each size reached, and none outside the evidence.
    in_place : bool
        Take the columns in place.
    calibration, **options
        As for `fabric.costing.cost`.

    Raises
    ------
    QuestionError
        If the log has another number of ranks than the question, or the question does not fit the fabric.
    """
    return compare_logs(
        (log,), fabric, threshold=threshold, in_place=in_place, calibration=calibration, **options
    )[0]


def compare_logs(
    logs: Iterable[Log],
    fabric: Fabric,
    *,
    threshold: float | None = None,
    in_place: bool = False,
    calibration: str | Path | Calibration = "measured",
    **options: Unpack[JobOptions],
) -> tuple[Comparison, ...]:
    """Hold measured logs against what the model predicts on a fabric, which it is asked once for all of them.

    A burn-in writes hundreds of runs of the same sizes. Arguments are those of `compare_log`.
    """

    @cache
    def answer_of(collective: str, size_bytes: int, is_in_place: bool) -> Cost:
        answer = cost(
            fabric,
            collective,
            size_bytes,
            calibration=calibration,
            in_place=is_in_place,
            is_bounded=False,
            **options,
        )
        return _running(answer)

    @cache
    def tried(collective: str, sizes: tuple[int, ...], is_in_place: bool) -> Alternatives:
        known = read_calibration(calibration)
        return alternatives(collective, sizes, fabric, known, in_place=is_in_place, options=options)

    def compared(log: Log) -> Comparison:
        _check_ranks(log, fabric, JobQuestion.of(options))
        # Out of place wherever a log has no other columns.
        is_in_place = in_place and all(row.in_place for row in log.rows)

        def predict(collective: str, size_bytes: int) -> tuple[float, str, str]:
            answer = answer_of(collective, size_bytes, is_in_place)
            how = f"{answer.chosen.algorithm} {answer.chosen.protocol}".strip()
            return answer.time_s, answer.binding, how

        def least(collective: str, size_bytes: int) -> float | None:
            answer = answer_of(collective, size_bytes, is_in_place)
            mark = answer.support.pass_gbps if answer.support else None
            return None if mark is None else mark / answer.busbw_gbps

        held = compare(log, predict, threshold=least if threshold is None else threshold, in_place=in_place)
        if calibration == "nccl":  # NCCL's own model has no values to try others of
            return held
        times = {row.size_bytes: row.time_s for row in held.rows}
        return replace(held, hypotheses=hypotheses(times, tried(log.collective, tuple(times), is_in_place)))

    return tuple(compared(log) for log in logs)


@checked
def calibrate(
    logs: Sequence[Log],
    fabric: Fabric,
    *,
    name: str,
    date: str,
    algorithm: str = "auto",
    **options: Unpack[JobOptions],
) -> tuple[Calibration, Fitted]:
    """Fit a calibration to logs: one efficiency and latency for each class of links and kind of transfer.

    Parameters
    ----------
    logs : sequence of Log
        Of runs on the fabric, of any collectives.
    fabric : Fabric
    name, date : str
        Of the calibration.
    algorithm : str
        That ran; ``"auto"`` for the one that the published calibration would choose at each size.
    **options
        As for `fabric.costing.cost`.

    Returns
    -------
    calibration : Calibration
        Classes of links that did not bind keep the values of the published calibration.
    fitted : Fitted
        With the residual of every row.

    Raises
    ------
    QuestionError
        If a log has another number of ranks than the question, or is faster than the wire.
    """
    question = JobQuestion.of(options)
    for log in logs:
        _check_ranks(log, fabric, question)
    base = calibration("measured")
    model = _Model(job_of(fabric, question), base)

    def on_wire(collective: str, size_bytes: int) -> AlgorithmCost:
        name = algorithm
        if name == "auto":
            name = _running(
                cost(fabric, collective, size_bytes, calibration=base, **options)
            ).chosen.algorithm
        wire = cost(fabric, collective, size_bytes, algorithm=name, calibration="wire", **options)
        return _running(wire).chosen

    def wire(collective: str, size_bytes: int) -> tuple[Mapping[Pair, float], float, Pair]:
        chosen = on_wire(collective, size_bytes)
        passed = model.passed(schedules(collective, model.job.shape, size_bytes)[chosen.algorithm])
        # A schedule moves its bytes over a class in one way.
        rule = model.job.links.rules.index(chosen.binding)
        pair = next(p for p in (model.pair(rule, kind) for kind in TRANSFERS) if p in passed)
        return passed, chosen.transfer_s, pair

    def at_no_distance(collective: str, size_bytes: int, time_s: float) -> tuple[str, int, float]:
        """Return a point without the flight through cables, which every cost adds by itself."""
        if model.job.links.length_m.any():
            time_s = max(time_s - on_wire(collective, size_bytes).latency_s, _NO_TIME_S)
        return collective, size_bytes, time_s

    points = [
        at_no_distance(log.collective, row.size_bytes, row.out_of_place.time_s)
        for log in logs
        for row in log.rows
        if not row.out_of_place.is_wrong  # a time of wrong results says nothing
    ]
    fitted = fit_model(points, wire, model.latencies())
    part, shape = part_of(fabric, question), model.job.shape
    held = tuple(
        Residual(c, on_wire(c, s).algorithm, s, shape.n_domains, 1 + off, True, shape.n, part, time_s)
        for (c, s, time_s), off in zip(points, fitted.cross_validated, strict=bool(fitted.cross_validated))
    )
    made = _calibration(fitted, base, (name, date), logs, model.job.links.keys)
    return replace(made, residuals=held), fitted


def _running(answer: Cost) -> Cost:
    """Return an answer that a log can be held against; raise where failures leave none."""
    if answer.cut_off:
        name, n = answer.cut_off[0]
        msg = f"nothing can run: {n:,} ranks such as {name} are cut off; choose with {setting('among')}"
        raise QuestionError(msg)
    return answer


def _check_ranks(log: Log, fabric: Fabric, question: JobQuestion) -> None:
    """Raise where a log is of another number of ranks than the question."""
    n = job_of(fabric, question).shape.n
    if log.n_ranks is not None and log.n_ranks != n:
        ranks = f"{log.name}: {log.n_ranks} ranks by its numbers; the question has {n}"
        msg = f"{ranks}; choose with {setting('among')}"
        raise QuestionError(msg)


@dataclass(frozen=True, eq=False)
class _Model:
    """A job in the terms of a fit.

    Parameters
    ----------
    job : Job
    base : Calibration
        Which classes of links there are, and their latencies.
    """

    job: Job
    base: Calibration

    def pair(self, rule: int, kind: Transfer) -> Pair:
        """Return the key under which a value for the links of a rule is looked up, and the kind."""
        *keys, net = self.job.links.keys[rule]
        known = (key for key in keys if kind in (self.base.links or {}).get(key, {}))
        return next(known, keys[-1] if len(keys) > 1 else net), kind

    def latencies(self) -> dict[Pair, float]:
        """Return what the calibration knows of the latency of a link [s]."""
        return {
            self.pair(rule, kind): self.base.overhead(keys, kind).latency_s
            for rule, keys in enumerate(self.job.links.keys)
            for kind in TRANSFERS
        }

    def passed(self, schedule: Schedule) -> dict[Pair, float]:
        """Return the links that messages pass one after the other; side by side, those of the latest part."""
        if isinstance(schedule, Phase):
            hops = schedule.steps * self.job.loads(schedule.pattern).hops
            rules = np.flatnonzero(hops).tolist()
            parts = [{self.pair(rule, schedule.transfer): float(hops[rule])} for rule in rules]
        else:
            parts = [self.passed(part) for part in schedule.parts]
        if isinstance(schedule, Par):
            known = self.latencies()
            return max(parts, key=lambda part: sum(n * known[pair] for pair, n in part.items()))
        n_links: dict[Pair, float] = {}
        for pair, n in (item for part in parts for item in part.items()):
            n_links[pair] = n_links.get(pair, 0.0) + n
        return n_links


def _gpus_beside(fitted: Fitted, base: Calibration, keys: Keys) -> dict[str, dict[Transfer, GpuOverhead]]:
    """Return what GPUs add to kinds of transfer that were not fitted: a fit has one launch for its own."""
    told = {kind for _, kind in fitted.link_latency_s}
    own = {key for rule in keys for key in rule}
    return {
        key: {kind: gpu for kind, gpu in kinds.items() if key not in own or kind not in told}
        for key, kinds in base.gpus.items()
    }


def _calibration(
    fitted: Fitted, base: Calibration, named: tuple[str, str], logs: Iterable[Log], keys: Keys
) -> Calibration:
    links = {k: dict(v) for k, v in (base.links or {}).items()}
    source = "fitted to " + ", ".join(dict.fromkeys(Path(log.name).name for log in logs))
    for pair, latency_s in fitted.link_latency_s.items():
        key, kind = pair[0], cast("Transfer", pair[1])
        rate = fitted.efficiencies.get(pair, base.overhead((key,), kind).rate)
        links.setdefault(key, {})[kind] = Overhead(rate, latency_s, source)
    if fitted.beside != 1:
        # What is published for the links that bind nowhere is more than these logs have.
        for key, name in fitted.others:
            kind = cast("Transfer", name)
            known = base.overhead((key,), kind)
            links.setdefault(key, {})[kind] = Overhead(known.rate, fitted.beside * known.latency_s, source)
    worst = 100 * np.abs(fitted.residuals).max()
    about = f"Fitted to {fitted.n_rows} rows; largest difference {worst:.3g} %."
    called, date = named
    fitted_to = (called, about, source, date, fitted.launch_s, links)
    return Calibration(
        *fitted_to,
        base.protocols[-1:],
        base.algorithms,
        base.channels,
        gpus=_gpus_beside(fitted, base, keys),
        # What was chosen by, and is fitted by, is what can be chosen again.
        channel_counts=base.channel_counts,
        seen=base.seen,
    )


def describe(fitted: Fitted) -> str:
    """Return what was fitted, in a few lines."""
    lines = []
    for (link, kind), latency_s in sorted(fitted.link_latency_s.items()):
        rate = fitted.efficiencies.get((link, kind))
        share = f"{100 * rate:.4g} % of the wire rate, " if rate is not None else ""
        lines.append(f"{link}, {kind}: {share}{1e6 * latency_s:.4g} us a link")
    lines.append(f"launch: {1e6 * fitted.launch_s:.4g} us")
    lines.append(f"{fitted.n_rows} rows; differences: {_off(fitted.residuals)}")
    if fitted.cross_validated:
        lines.append(f"by fits that did not know the row (cross-validated): {_off(fitted.cross_validated)}")
    else:
        lines.append("too few rows to cross-validate: the interval is that of calibration measured")
    return fold([*lines, *fitted.remarks])


def _off(differences: Sequence[float]) -> str:
    off = 100 * np.abs(differences)
    return f"median {np.median(off):.3g} %, largest {off.max():.3g} %"
