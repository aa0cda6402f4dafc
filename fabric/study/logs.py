"""Logs of nccl-tests held against a fabric, and calibrations fitted to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from fabric.collective import Calibration, Overhead, calibration, cost, job, schedules
from fabric.collective.ask import Asked, Options
from fabric.collective.schedule import Transfer, phases
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.interop.nccl_tests import Log
from fabric.study.compare import Comparison, compare
from fabric.study.fit import Fitted, fit_model


def compare_log(
    log: Log,
    fabric: Fabric,
    *,
    threshold: float = 0.9,
    in_place: bool = False,
    calibration: str | Path | Calibration = "measured",
    **asked: Unpack[Options],
) -> Comparison:
    """Hold a measured log against what the model predicts on a fabric.

    Parameters
    ----------
    log : Log
        As `fabric.interop.nccl_tests.read_log` gives it.
    fabric : Fabric
    threshold : float
        Least ratio of measured to predicted busbw that passes.
    in_place : bool
        Take the columns in place.
    calibration, **asked
        As for `fabric.collective.cost`.

    Raises
    ------
    QuestionError
        If the log has another number of ranks than the question, or the question does not fit the fabric.
    """
    _check_ranks(log, fabric, Asked.of(asked))

    def predict(collective: str, size_bytes: int) -> tuple[float, str, str]:
        one = cost(fabric, collective, size_bytes, calibration=calibration, **asked)
        return one.time_s, one.binding, f"{one.chosen.algorithm} {one.chosen.protocol}".strip()

    return compare(log, predict, threshold=threshold, in_place=in_place)


def calibrate(
    logs: Sequence[Log],
    fabric: Fabric,
    *,
    name: str,
    date: str,
    algorithm: str = "auto",
    **asked: Unpack[Options],
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
    **asked
        As for `fabric.collective.cost`.

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
    question = Asked.of(asked)
    for log in logs:
        _check_ranks(log, fabric, question)
    work = job(fabric, question)
    key = {
        rule: keys[-2] if len(keys) > 2 else keys[-1]
        for rule, keys in zip(work.links.rules, work.links.keys, strict=True)
    }

    def wire(collective: str, size_bytes: int) -> tuple[float, float, str, str]:
        published = cost(fabric, collective, size_bytes, algorithm=algorithm, calibration="measured", **asked)
        name = published.chosen.algorithm
        one = cost(fabric, collective, size_bytes, algorithm=name, **asked).chosen
        schedule = schedules(collective, work.shape, size_bytes)[name]
        rule = work.links.rules.index(one.binding)
        links = sum(p.steps * float(work.loads(p.pattern).hops[rule]) for p in phases(schedule))
        kinds = [p.transfer for p in phases(schedule) if work.loads(p.pattern).hops[rule] > 0]
        return links, one.transfer_s, key[one.binding], kinds[0]

    points = [(log.collective, row.size_bytes, row.out_of_place.time_s) for log in logs for row in log.rows]
    fitted = fit_model(points, wire)
    return _calibration(fitted, name, date, logs), fitted


def _check_ranks(log: Log, fabric: Fabric, asked: Asked) -> None:
    """Raise where a log is of another number of ranks than the question."""
    n = job(fabric, asked).shape.n
    if log.n_ranks is not None and log.n_ranks != n:
        msg = f"{log.name}: {log.n_ranks} ranks by its numbers; the question has {n}; choose with among"
        raise QuestionError(msg)


def _calibration(fitted: Fitted, name: str, date: str, logs: Iterable[Log]) -> Calibration:
    base = calibration("measured")
    links: dict[str, dict[Transfer, Overhead]] = {k: dict(v) for k, v in (base.links or {}).items()}
    source = "fitted to " + ", ".join(dict.fromkeys(Path(log.name).name for log in logs))
    told = {link for link, _ in fitted.efficiencies} | set(fitted.step_latency_s)
    for link in sorted(told):
        kinds = links.setdefault(link, {})
        for kind in ("copy", "in-switch", "all-to-all"):
            old = base.overhead((link,), kind)
            rate = fitted.efficiencies.get((link, kind))
            if rate is not None:
                kinds[kind] = Overhead(rate, fitted.step_latency_s.get(link, old.latency_s), source)
    about = (
        f"Fitted to {fitted.n_rows} rows; largest difference {100 * np.abs(fitted.residuals).max():.3g} %."
    )
    return Calibration(
        name, about, source, date, fitted.launch_s, links, base.protocols[-1:], base.algorithms
    )


def describe(fitted: Fitted) -> str:
    """Return what was fitted, in a few lines."""
    lines = [
        f"{link}, {kind}: {100 * rate:.4g} % of the wire rate"
        for (link, kind), rate in sorted(fitted.efficiencies.items())
    ]
    lines += [f"{link}: {1e6 * t:.4g} us a link" for link, t in sorted(fitted.step_latency_s.items())]
    lines.append(f"launch: {1e6 * fitted.launch_s:.4g} us")
    off = 100 * np.abs(fitted.residuals)
    lines.append(
        f"{fitted.n_rows} rows; differences: median {np.median(off):.3g} %, largest {off.max():.3g} %"
    )
    return "\n".join([*lines, *fitted.remarks])
