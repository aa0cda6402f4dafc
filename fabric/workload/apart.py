"""Jobs that are too much for one program: an interval of each rate, from what each has alone.

Flows that fit alone fit together where each job gets a part of its own, and the parts sum to 1. Parts that
go with 1 over the rates alone give all jobs the rate ``t = 1 / sum(1 / alone)``: so the lowest of the max-min
fair rates, and with it each of them, is at least t. No job is faster than alone. Shared by slowdown, each of
n jobs has an nth of its rate alone at least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fabric.arrays import Floats
from fabric.flow.question import Question
from fabric.flow.throughput import throughput
from fabric.workload.sharing import Fair, SharedJob, Sharing, TrafficJob


def share_apart(questions: Sequence[Question], asked: Sequence[TrafficJob], fair: Fair, why: str) -> Sharing:
    """Return intervals of the rates of jobs that run at once, each worked out alone.

    Parameters
    ----------
    questions : sequence of Question
    asked : sequence of TrafficJob
    fair : {"rate", "slowdown"}
    why : str
        Why they are not worked out together.

    Raises
    ------
    QuestionError, LimitError
        If a job cannot be answered alone either.
    """
    alone = [
        throughput(
            one.fabric,
            job.traffic,
            among=one.among,
            paths=one.paths,
            drop_unreachable=one.drop_unreachable,
            limit=one.limit,
        )
        for one, job in zip(questions, asked, strict=True)
    ]
    is_in = np.array([answer.status != "cut off" for answer in alone])
    least: Floats = np.zeros(len(alone))
    least[is_in] = _least(np.array([a.certificate.lower_gbps for a in alone])[is_in], fair)
    rows = []
    for job, answer, rate in zip(asked, alone, least.tolist(), strict=True):
        proof = replace(answer.certificate, lower_gbps=rate)
        is_lost = answer.status == "cut off"
        slow = proof.upper_gbps / rate if rate > 0 else float("inf")
        rows.append(
            SharedJob(
                name=job.name,
                among=job.among,
                traffic=answer.traffic,
                n_endpoints=answer.n_endpoints,
                alone_gbps=answer.per_endpoint_gbps,
                rate_gbps=rate,
                binding=(),
                neighbours=(),
                status="cut off" if is_lost else proof.status,
                certificate=proof,
                busy=job.busy,
                every_s=job.every_s,
                stretch=float("inf") if is_lost else 1 - job.busy + job.busy * slow,
                offset_s=None,
                best_stretch=None,
                cut_off=answer.cut_off,
            )
        )
    n_variables = sum(answer.n_variables for answer in alone)
    first = questions[0]
    told = first.paths, alone[0].method, why, first.drop_unreachable, n_variables
    return Sharing(first.fabric.name, fair, tuple(rows), *told)


def _least(alone: Floats, fair: Fair) -> Floats:
    """Return what each of some jobs has at least, for what they have alone at least."""
    if fair == "slowdown":
        return alone / max(len(alone), 1)
    with np.errstate(divide="ignore"):
        return np.full(len(alone), 1 / np.sum(1 / alone))
