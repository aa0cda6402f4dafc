"""What a job has in one state: as it is, and where the job stops without the nodes that it has lost.

Each of the two is a question that depends on no other. Many states end in one restart::

    GPU down   card down   cable between them down      three states, one node left out
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fabric.costing.cost import cost
from fabric.errors import FabricError, LimitError, QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import name_classes
from fabric.flow.question import Question
from fabric.flow.throughput import Throughput, answer_between, answer_interval, answer_question
from fabric.flow.traffic import Traffic
from fabric.graph import Fabric, expand, select
from fabric.results import CutOff
from fabric.study.failures.network import FailingJob
from fabric.study.failures.states import Down, State, in_state
from fabric.study.failures.stopping import left_by_restart, replicas, stopped_in
from fabric.symmetry import NoSymmetryError, devices_up
from fabric.symmetry.counting import count_named

NOTHING = Verdict(0.0, 0.0)
FEW_SOURCES, MANY_COLUMNS = 40, 400_000
"""Classes of sources up to which a state is always solved, and variables beyond which it is not."""
SLOW_COLUMNS = 20_000
"""The same of a torus, where most variables carry flow, and mirrors leave a small interval."""
MANY_CHIPS = 2_048
"""Chips of a torus beyond which no interval is looked for: its pairs are listed before mirrors join them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What some endpoints have among themselves.

    Parameters
    ----------
    n : int
        Endpoints that exchange traffic.
    rate_gbps : float
        What each sends in all-to-all, all at once [Gb/s per direction].
    busbw_gbps : float or None
        Of the collective that was asked for, by its fastest algorithm on the wire [Gb/s]; None without one,
        or where it has no answer.
    status : {"optimal", "bounded", "none", "unsolved"}
        Of the rate, the lower end of an interval where it is ``bounded``; ``none`` where nobody is left to
        send to, ``unsolved`` where the program is too large.
    binding : tuple of str
        Rules that bind it, dearest first.
    certificate : Verdict
        Flows and prices that prove the rate.
    why : str
        Why there is no rate, or no busbw.
    algorithm : str
        Of the collective.
    cut_off : tuple of CutOff
        Endpoints that are up and cut off from most of the others: one of each class, and how many.
    """

    n: int
    rate_gbps: float
    busbw_gbps: float | None
    status: str
    binding: tuple[str, ...]
    certificate: Verdict
    why: str = ""
    algorithm: str = ""
    cut_off: tuple[CutOff, ...] = ()

    @property
    def total_gbps(self) -> float:
        """What all of them send [Gb/s]."""
        return self.n * self.rate_gbps


@dataclass(frozen=True, slots=True)
class AtOnce:
    """What a job has in a state before anything is restarted.

    Parameters
    ----------
    others : Kept
        Those that still exchange traffic, as they are.
    n_down : int
        Endpoints that are down themselves, more than in the healthy fabric.
    stopped : tuple of CutOff
        Endpoints whose part of the job is over: down, cut off, or without a way out of their own. One of each
        class; the job goes on where there is none.
    rest : State
        What is down for the restart, beside the nodes of the stopped ones; of no use where the job goes on.
    """

    others: Kept
    n_down: int
    stopped: tuple[CutOff, ...]
    rest: State

    def outcome(self, restart: Kept | None) -> Outcome:
        """Return what a job has in this state, with what its restart has where it stops."""
        return Outcome(self.others, self.n_down, self.stopped, restart if self.stopped else None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has in a state.

    Parameters
    ----------
    others, n_down, stopped
        As in `AtOnce`.
    restart : Kept or None
        Those that are left without the nodes of the stopped ones, where the job stops.
    """

    others: Kept
    n_down: int
    stopped: tuple[CutOff, ...]
    restart: Kept | None

    @property
    def goes_on(self) -> bool:
        """Whether the job goes on."""
        return not self.stopped

    @property
    def cut_off(self) -> tuple[CutOff, ...]:
        """Endpoints that are up and cut off from most of the others."""
        return self.others.cut_off

    @property
    def kept(self) -> Kept:
        """What the job runs with: at once, or after its restart."""
        return self.others if self.restart is None else self.restart


def evaluate(job: FailingJob, state: State, *, is_brief: bool = True) -> Outcome:
    """Return what a job has in a state.

    Parameters
    ----------
    job : FailingJob
    state : State
        Of its network.
    is_brief : bool
        Whether the proof may draw its links, as for one state of many.

    Raises
    ------
    LimitError
        If it is too large to be answered.
    """
    found = at_once(job, state, is_brief=is_brief)
    return found.outcome(restarted(job, found.rest, is_brief=is_brief) if found.stopped else None)


def at_once(job: FailingJob, state: State, *, is_brief: bool = True) -> AtOnce:
    """Return what a job has in a state before anything is restarted; see `evaluate`."""
    fabric = in_state(job.fabric, state)
    n_down = n_up(job, job.fabric) - n_up(job, fabric)
    others = _rate(job, fabric, is_brief=is_brief)
    stopped, places = stopped_in(job, fabric, state, others.cut_off)
    if not stopped:
        return AtOnce(_with_collective(job, others, state), n_down, (), ())
    return AtOnce(others, n_down, stopped, left_by_restart(job, state, places))


def restarted(job: FailingJob, rest: State, *, is_brief: bool = True) -> Kept:
    """Return what those have that a restart leaves; see `AtOnce`."""
    kept = _rate(job, in_state(job.fabric, rest), is_brief=is_brief)
    return _with_collective(job, kept, replicas(job, rest))


def told_at_once(job: FailingJob, state: State) -> str:
    """Return `at_once` of one state of many as a text, which a sweep can keep; see `at_once_of`."""
    return json.dumps(asdict(at_once(job, state)))


def told_restart(job: FailingJob, rest: State) -> str:
    """Return `restarted` of one state of many as a text, which a sweep can keep; see `kept_of`."""
    return json.dumps(asdict(restarted(job, rest)))


def at_once_of(text: str) -> AtOnce:
    """Return what a text tells.

    Examples
    --------
    >>> kept = Kept(4, 400.0, None, "optimal", ("gpu-leaf",), Verdict(400.0, 400.0))
    >>> some = AtOnce(kept, 0, (CutOff("gpu1", 1),), (Down("gpu1"),))
    >>> at_once_of(json.dumps(asdict(some))) == some
    True
    """
    found = json.loads(text)
    stopped, rest = (CutOff(*one) for one in found["stopped"]), (Down(*one) for one in found["rest"])
    return AtOnce(_kept(found["others"]), found["n_down"], tuple(stopped), tuple(rest))


def kept_of(text: str) -> Kept:
    """Return what a text tells."""
    return _kept(json.loads(text))


def _kept(found: dict[str, Any]) -> Kept:
    proof = found["certificate"]
    certificate = Verdict(**{**proof, "faults": tuple(proof["faults"])})
    cut_off = tuple(CutOff(*one) for one in found["cut_off"])
    return Kept(
        **{**found, "binding": tuple(found["binding"]), "certificate": certificate, "cut_off": cut_off}
    )


def n_up(job: FailingJob, fabric: Fabric) -> int:
    """Return how many endpoints of the job are up."""
    blueprint = fabric.blueprint
    if blueprint is None:
        e = expand(fabric)
        ends = e.is_endpoint & ~e.failed
        return int((ends if job.among is None else ends & select(fabric, job.among)).sum())
    if job.among is not None:
        return count_named(blueprint, (job.among,))[0]
    return sum(devices_up(blueprint, g.name) for g in blueprint.groups.values() if g.is_endpoint)


def _rate(job: FailingJob, fabric: Fabric, *, is_brief: bool) -> Kept:
    """Return what those have that exchange traffic, and who is cut off from them."""
    n = n_up(job, fabric)
    if n < 2:
        return _none(f"{n} endpoints are left")
    ask = Question(fabric, "all-to-all", job.among, paths=job.paths, drop_unreachable=True, is_brief=is_brief)
    try:
        answer, why = _brief_answer(job, ask) if is_brief else (answer_question(ask), "")
    except LimitError as error:
        answer, why = None, str(error)
    except QuestionError as error:
        # Whoever is up is cut off: nobody has a majority. Anything else was told of the healthy fabric.
        return replace(_none(str(error)), cut_off=(CutOff(job.among or "every endpoint", n),))
    if answer is None:
        lost = _cut_off_from_one(job, fabric)
        return replace(_none(why), n=n - sum(one.n for one in lost), status="unsolved", cut_off=lost)
    return Kept(
        n=n - sum(lost.n for lost in answer.cut_off),
        rate_gbps=answer.per_endpoint_gbps,
        busbw_gbps=None,
        status=answer.status,
        binding=tuple(price.link for price in answer.binding),
        certificate=answer.certificate,
        why=answer.why if answer.status == "bounded" else "",
        cut_off=answer.cut_off,
    )


def _brief_answer(job: FailingJob, ask: Question) -> tuple[Throughput | None, str]:
    """Return the answer to one question of many, which may take some seconds; or None, and why."""
    blueprint = ask.fabric.blueprint
    # In a torus what is spread over an axis binds, so that there is nothing to hold an answer by.
    is_free = blueprint is not None and any(g.transit == "all" for g in blueprint.groups.values())
    is_torus = blueprint is not None and all(
        g.is_endpoint and g.transit == "all" for g in blueprint.groups.values()
    )
    why = _too_large(job, ask.fabric, SLOW_COLUMNS if is_torus else MANY_COLUMNS)
    if not why:
        return answer_question(ask), ""
    if is_torus and n_up(job, ask.fabric) <= MANY_CHIPS:
        return answer_interval(ask, why), ""
    return (None if is_free or blueprint is None else answer_between(ask)), why


def _too_large(job: FailingJob, fabric: Fabric, most: int) -> str:
    """Return why a state is not solved, or nothing: its program has more than so many variables."""
    if fabric.blueprint is not None:
        try:
            traffic = ClassTraffic(fabric.blueprint, Traffic(), job.among, job.paths)
        except QuestionError:
            return ""
        except NoSymmetryError:
            pass
        else:
            n_classes = int(traffic.ends.sum())
            if n_classes <= FEW_SOURCES:
                return ""
            first = next(traffic.commodities(np.ones(len(traffic.ends), dtype=np.bool_)))
            size = n_classes * len(first.moves.tail)
            return f"a program of some {size:,} variables" if size > most else ""
    n = n_up(job, fabric)
    size = n * 2 * expand(fabric).n_bundles
    return f"{n:,} endpoints without axes that say what is alike" if size > most else ""


def _cut_off_from_one(job: FailingJob, fabric: Fabric) -> tuple[CutOff, ...]:
    """Return who is cut off as one endpoint sees it, which costs the same at any size."""
    if fabric.blueprint is None:
        return ()
    try:
        traffic = ClassTraffic(fabric.blueprint, Traffic(), job.among, job.paths)
    except NoSymmetryError:
        return ()
    first = next(traffic.commodities(np.ones(len(traffic.ends), dtype=np.bool_)))
    lost = traffic.lost([first])
    return tuple(CutOff(name, round(n)) for name, n in name_classes(traffic.base, lost))


def _none(why: str) -> Kept:
    return Kept(0, 0.0, None, "none", (), NOTHING, why)


def _with_collective(job: FailingJob, kept: Kept, state: State) -> Kept:
    """Return what is kept with the busbw of the collective, on the whole fabric in that state."""
    if not job.collective or kept.n < 2:
        return kept
    try:
        answer = cost(
            in_state(job.whole, state),
            job.collective,
            "1GiB",  # the wire has no latency, so that busbw is that of any size
            over=job.over,
            among=job.among,
            is_bounded=False,
        )
    except FabricError as error:
        return replace(kept, why=str(error))
    return replace(kept, busbw_gbps=answer.busbw_gbps, algorithm=answer.chosen.algorithm)
