"""Several jobs at once on one fabric: max-min fair rates, and what iterations take that overlap."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Bools, Floats
from fabric.costing.calibration import Calibration
from fabric.errors import LimitError, QuestionError
from fabric.flow.by_axes import ClassTraffic, axes_program, kept_by_all
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import Commodities
from fabric.flow.concurrent import check_concurrent
from fabric.flow.fair import FairProgram, Filling, level_bound, verdict
from fabric.flow.prices import LinkPrice, rank_links
from fabric.flow.question import Question, owed_of, pose
from fabric.graph import EXPAND_LIMIT, Fabric, Paths
from fabric.job.ranks import Routing
from fabric.results import CutOff
from fabric.symmetry import NoSymmetryError
from fabric.workload.apart import share_apart
from fabric.workload.job_file import load_job
from fabric.workload.phases import Company, best_offsets, random_phase
from fabric.workload.sharing import Fair, Neighbour, SharedJob, Sharing, StepSharing, TrafficJob
from fabric.workload.together import share_steps
from fabric.workload.workload import Workload
from fabric.workload.written import all_of

MAX_SHARING = 64
"""Jobs at once."""
MAX_PART_TIME = 6
"""Jobs that communicate part of the time: every company of them is a filling of its own."""
_DRAWN = 2_000
"""Endpoints of all jobs up to which every link is looked at in the proof; above that a sample."""
_ON_IT = 1e-9


@checked
def share(
    fabric: Fabric,
    jobs: Sequence[TrafficJob | Workload | str],
    *,
    fair: Fair = "rate",
    paths: Paths = "rules",
    drop_unreachable: bool = False,
    limit: int = EXPAND_LIMIT,
    routing: Routing = "ecmp",
    calibration: str | Calibration = "measured",
) -> Sharing | StepSharing:
    """Return the rates of jobs that run at once, each as fast as it can be without slowing a slower one.

    Of training jobs, what a step of each takes then.

    Parameters
    ----------
    fabric : Fabric
    jobs : sequence of TrafficJob, Workload or str
        Texts as `TrafficJob.read` has them, such as ``"a=rack0-3:all-to-all:over=rack"``, or job files:
        ``"a.job.yaml"``, ``"NAME=SELECTOR:a.job.yaml"`` for other endpoints than the file says.
    fair : {"rate", "slowdown"}
        Whether the rate of every endpoint is shared fairly, or the part that each has of its rate alone.
    paths : {"rules", "no-relay", "any"}
    drop_unreachable : bool
        Leave out endpoints that failures cut off; otherwise their job gets nothing.
    limit : int
        Of the expanded form, where axes do not say the symmetry.
    routing, calibration
        Of training jobs, as for `fabric.workload.train.train`.

    Returns
    -------
    Sharing or StepSharing
        Of patterns rates on the wires, with every path used as is best for all; of training jobs steps, by
        the algorithms and routes that `train` has.

    Raises
    ------
    QuestionError, SelectorError
        If a job does not fit the fabric.
    LimitError
        If even one job alone is too much.

    Notes
    -----
    Where the jobs are too much for one program each rate is an interval; see `fabric.workload.apart`.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {r: 2, i: 4}, devices: {gpu: {kind: gpu, axes: [r, i]}, leaf: {kind: "
    >>> text += "switch, axes: [r]}, top: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: "
    >>> text += "400Gb/s}, {between: [leaf, top], rate: 400Gb/s}]}"
    >>> answer = share(loads(text), ["a=gpu0-1", "b=gpu2-3"])
    >>> [(job.name, round(job.alone_gbps), round(job.rate_gbps)) for job in answer.jobs]
    [('a', 300, 150), ('b', 300, 150)]
    """
    works = read_works(jobs)
    if works:
        if paths != "rules" or drop_unreachable:
            msg = "paths and dropping are for patterns; job files have a routing"
            raise QuestionError(msg)
        return share_steps(fabric, works, fair=fair, routing=routing, calibration=calibration)
    asked = _read([job for job in jobs if not isinstance(job, Workload)])
    questions = [
        Question(fabric, job.traffic, job.among or None, (), paths, "auto", drop_unreachable, limit)
        for job in asked
    ]
    return _share_patterns(questions, asked, fair)


def _share_patterns(questions: Sequence[Question], asked: Sequence[TrafficJob], fair: Fair) -> Sharing:
    """Return the rates of patterns that run at once, each asked for as a question."""
    first, weights = questions[0], np.ones(len(asked))
    try:
        works, why = pose_together(questions)
        program = FairProgram(works, weights)
    except LimitError as error:
        return share_apart(questions, asked, fair, str(error))
    is_in = np.array([first.drop_unreachable or not work.cut_off for work in works])
    one = np.ones(1)
    fillings = [
        FairProgram([work], one).fill() if own else None for work, own in zip(works, is_in, strict=True)
    ]
    alone = np.array([0.0 if found is None else found.rate_gbps[0] for found in fillings])
    most = np.array(
        [
            1.0 if found is None else level_bound(found, work.capacity, one, 0)
            for work, found in zip(works, fillings, strict=True)
        ]
    )
    if fair == "slowdown":
        weights = np.where(is_in, alone, 1.0)
        program = FairProgram(works, weights)
    together = program.fill(is_in)
    stretch, offsets, best = _phases(asked, program, alone, together, is_in)
    # Of jobs whose rate alone is an interval, every one has at least this part of it.
    is_rough = fair == "slowdown" and bool((most > alone * (1 + _ON_IT))[is_in].any())
    least = alone * (together.rate_gbps / most)[is_in].min(initial=1.0) if is_rough else None
    rows = []
    for j, (job, work) in enumerate(zip(asked, works, strict=True)):
        binding, neighbours, proof = _held_by(asked, works, together, weights, j, float(most[j]))
        if least is not None:
            proof = replace(
                proof, lower_gbps=min(proof.lower_gbps, float(least[j])), upper_gbps=float(most[j])
            )
        rows.append(
            SharedJob(
                job.name,
                job.among,
                questions[j].name,
                round(work.n_endpoints),
                float(alone[j]),
                proof.lower_gbps,
                binding,
                neighbours,
                proof.status if is_in[j] else "cut off",
                proof,
                job.busy,
                job.every_s,
                float(stretch[j]),
                None if offsets is None else float(offsets[j]),
                None if best is None else float(best[j]),
                tuple(CutOff(who, round(n)) for who, n in work.cut_off),
            )
        )
    told = first.paths, works[0].method, why, first.drop_unreachable, program.n_variables
    return Sharing(first.fabric.name, fair, tuple(rows), *told)


_FILES = (".yaml", ".yml", ".json")
"""How the name of a job file ends."""


def read_works(jobs: Sequence[TrafficJob | Workload | str]) -> list[Workload]:
    """Return training jobs, files read; none where all are patterns.

    Raises
    ------
    QuestionError
        If only some of them are training jobs.
    TopologyError
        With every problem of a file at its line and column.
    """
    works = all_of(
        lambda job: job if isinstance(job, Workload) else _read_file(job),
        (job for job in jobs if not isinstance(job, TrafficJob)),
    )
    found = [work for work in works if work is not None]
    if found and len(found) < len(jobs):
        msg = (
            "jobs: patterns take the best routes, and job files those of the network: ask for the ones or "
            "the others"
        )
        raise QuestionError(msg)
    return found


def _read_file(text: str) -> Workload | None:
    """Return the job that a text names a file of: ``FILE``, ``NAME=FILE`` or ``NAME=SELECTOR:FILE``."""
    if not text.endswith(_FILES):
        return None
    name, equals, rest = text.rpartition("=")
    among, colon, path = rest.rpartition(":") if equals else ("", "", rest)
    work = load_job(path)
    if equals:
        work = replace(work, name=name)
    if colon and among != "*":
        work = replace(work, among=tuple(among.split(",")))
    return work


def _read(jobs: Sequence[TrafficJob | str]) -> list[TrafficJob]:
    """Return the jobs, texts read.

    Raises
    ------
    QuestionError
        If there is none, two have one name, or there are too many.
    """
    asked = [TrafficJob.read(job, i) if isinstance(job, str) else job for i, job in enumerate(jobs)]
    names = [job.name for job in asked]
    if not asked or len(asked) > MAX_SHARING:
        msg = f"jobs: {len(asked):,}; expected from 1 to {MAX_SHARING}"
        raise QuestionError(msg)
    if doubled := [name for name in names if names.count(name) > 1]:
        msg = f"jobs: {doubled[0]!r} is there twice"
        raise QuestionError(msg)
    if sum(job.busy < 1 for job in asked) > MAX_PART_TIME:
        msg = f"jobs: at most {MAX_PART_TIME} that communicate part of the time; give the others busy=1"
        raise QuestionError(msg)
    return asked


def pose_together(questions: Sequence[Question]) -> tuple[list[Commodities], str]:
    """Return questions as commodities on classes that keep all of them in place, and why so.

    Raises
    ------
    QuestionError, SelectorError
        If one does not fit the fabric.
    LimitError
        If the program is too large.

    Notes
    -----
    A permutation that moves one job's endpoints would average another's flow over links that only it loads.
    So all jobs are marks: each is posed on the classes of the permutations that keep every one of them. What
    no axis says is posed on real links.
    """
    blueprint = questions[0].fabric.blueprint
    traffics = [ask.traffic for ask in questions]
    why = "a fabric read from a graph has no axes" if blueprint is None else ""
    if any(traffic and traffic.pattern == "longest-matching" for traffic in traffics):
        why = "a longest matching has no symmetry"
    if blueprint is not None and not why:
        try:
            plans = [
                ClassTraffic(blueprint, traffic, ask.among, ask.paths)
                for ask, traffic in zip(questions, traffics, strict=True)
                if traffic is not None
            ]
            beside = kept_by_all(plans)
            works = [
                axes_program(
                    blueprint,
                    plan.traffic,
                    among=ask.among,
                    paths=ask.paths,
                    drop_unreachable=ask.drop_unreachable,
                    beside=beside,
                )
                for ask, plan in zip(questions, plans, strict=True)
            ]
        except NoSymmetryError as error:
            why = str(error)
        else:
            owed = [owed_of(ask) for ask in questions]
            return [replace(w, owed=o) for w, o in zip(works, owed, strict=True)], "the axes say the symmetry"
    try:
        return [pose(replace(ask, method="links"))[0] for ask in questions], why
    except LimitError as error:
        msg = f"{why}, and on real links: {error}"
        raise LimitError(msg) from None


def _held_by(
    jobs: Sequence[TrafficJob],
    works: Sequence[Commodities],
    filling: Filling,
    weights: Floats,
    j: int,
    most_gbps: float,
) -> tuple[tuple[LinkPrice, ...], tuple[Neighbour, ...], Verdict]:
    """Return what holds a job back, whose traffic that carries, and what is proven of its rate."""
    at = int(filling.level[j])
    if at < 0:
        return (), (), Verdict(0.0, 0.0)
    price, pays = filling.levels[at].price, filling.levels[at].pays
    work = works[j]
    use = sum(w.use(answer.flow) for w, answer in zip(works, filling.answers, strict=True))
    binding, _ = rank_links(work, work.capacity * price, np.asarray(use, dtype=np.float64), None)
    paid = filling.rate_gbps * pays
    part = paid / paid.sum()
    order = sorted(range(len(jobs)), key=lambda k: (-round(float(part[k]), 9), k))
    neighbours = tuple(Neighbour(jobs[k].name, float(part[k])) for k in order if part[k] > _ON_IT)
    is_drawn = sum(w.n_endpoints for w in works) > _DRAWN
    own = check_concurrent(work, filling.answers[j], is_drawn=is_drawn)
    return binding, neighbours, verdict(filling, weights, works, j, own, most_gbps=most_gbps)


def _phases(
    jobs: Sequence[TrafficJob], program: FairProgram, alone: Floats, together: Filling, is_in: Bools
) -> tuple[Floats, Floats | None, Floats | None]:
    """Return how long iterations get at random phase, the best offsets, and how long they get then."""
    n = len(jobs)
    busy = np.array([job.busy for job in jobs])
    always = frozenset(j for j in range(n) if busy[j] == 1 and is_in[j])
    part_time = [j for j in range(n) if busy[j] < 1 and is_in[j]]
    slow: dict[Company, Floats] = {}
    for size in range(len(part_time) + 1):
        for some in itertools.combinations(part_time, size):
            company = always | frozenset(some)
            if not company:
                continue
            inside = np.isin(np.arange(n), list(company))
            rate = (together if (inside == is_in).all() else program.fill(inside)).rate_gbps
            slow[company] = np.divide(alone, rate, out=np.zeros(n), where=inside & (rate > 0))
    stretch = np.where(is_in, random_phase(slow, busy), np.inf)
    if not part_time or not is_in.all():
        return stretch, None, None
    # What always communicates has no period of its own.
    every_s = [(job if job.busy < 1 else jobs[part_time[0]]).every_s for job in jobs]
    return stretch, *(best_offsets(slow, busy, every_s) or (None, None))
