"""What the all-to-all of a mixture of experts costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from fabric.arguments import checked
from fabric.costing.answer import Cost
from fabric.costing.beside import add_wires
from fabric.costing.calibration import Calibration
from fabric.costing.calibration import calibration as read_calibration
from fabric.costing.notes import chip_notes
from fabric.costing.paced import Paced, beside, for_tokens, moe_schedules, slowest_first
from fabric.costing.run import (
    CostRun,
    answer_of,
    cost_algorithm,
    cut_off_answer,
    fastest_first,
    jobs_of,
    of_kinds,
    rest_of,
    say_dropped,
)
from fabric.costing.spread import Spread
from fabric.costing.support import support
from fabric.errors import NoPathError
from fabric.graph import Fabric
from fabric.job.question import JobOptions, JobQuestion
from fabric.schedule.algorithms import (
    Moe,
    moe_reach,
)


@checked
def moe_cost(
    fabric: Fabric,
    way: str,
    moe: Moe,
    *,
    algorithm: str = "auto",
    calibration: str | Path | Calibration = "measured",
    spread: Spread | None = None,
    **asked: Unpack[JobOptions],
) -> Cost:
    """Return what the all-to-all of a mixture of experts costs.

    Parameters
    ----------
    fabric : Fabric
    way : {"dispatch", "combine"}
        Tokens to their experts, or the results back.
    moe : Moe
        Tokens, experts, and how a token chooses.
    algorithm : str
        ``"hierarchical"``: once to each other domain by the rail, and on over the scale-up network;
        ``"pairwise"``: to every expert by itself; ``"auto"`` for the faster one.
    calibration, spread, **asked
        As for `cost`.

    Returns
    -------
    Cost
        Its size is logical, as DeepEP counts: a token for every domain that it goes to, its own included, or
        for every rank where there is one domain; algbw and busbw are that over the time.

    Raises
    ------
    QuestionError
        If the question does not fit the fabric.

    References
    ----------
    DeepSeek-AI, DeepEP (github.com/deepseek-ai/DeepEP), README.
    """
    question = JobQuestion.of(asked)
    whole = fabric
    fabric, dropped = rest_of(fabric, question)
    known = read_calibration(calibration)
    works = jobs_of(fabric, question)
    runs = [CostRun(fabric, question, work, way, 1, 1.0, known, spread or Spread()) for work in works]
    try:
        run, others, kinds = slowest_first(runs, moe, algorithm=algorithm)
        work = run.job
        chosen = moe_schedules(way, work.shape, moe, algorithm)
        costs = [cost_algorithm(run, name, schedule) for name, schedule in chosen.items()]
    except NoPathError as error:
        return cut_off_answer(for_tokens(runs[0], moe), error)
    costs = [beside(Paced(run, chosen[one.algorithm], one), others) for one in costs] if others else costs
    answer = of_kinds(answer_of(run, fastest_first(costs)), kinds)
    answer = say_dropped(answer, question, whole, dropped)
    if known.name != "wire":
        answer = replace(answer, support=support(fabric, question, answer, known))
        answer = add_wires(run, answer, chosen)
    reach = moe_reach(work.shape, moe)
    note = (
        f"a token goes to {reach.domains:.4g} domains and {reach.ranks:.4g} ranks; size and rates are logical"
    )
    return replace(
        answer, no_bound=f"no bound for {way}", notes=(note, *chip_notes(fabric, question.routing))
    )
