"""What a job has in one state: the answer to one question, which depends on no other.

A state is asked as it is, and where the job stops in it once more without the nodes that it has lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fabric.arrays import Bools
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import parse_selector, range_word, selected_groups
from fabric.costing.cost import cost
from fabric.errors import FabricError, LimitError, QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.certificate import Verdict
from fabric.flow.commodities import name_classes
from fabric.flow.lost import exchanges
from fabric.flow.question import Question
from fabric.flow.throughput import answer_question
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, Paths, expand, select
from fabric.results import CutOff
from fabric.study.failures.network import FailingJob, ways_out
from fabric.study.failures.states import Down, State, in_state, state_of
from fabric.symmetry import NoSymmetryError, devices_up, lay_ground
from fabric.symmetry.counting import count_named

NOTHING = Verdict(0.0, 0.0)
FEW_SOURCES, MANY_COLUMNS = 40, 400_000
"""Classes of sources up to which a state is always solved, and variables beyond which it is not."""


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
        Of the rate; ``none`` where nobody is left to send to, ``unsolved`` where the program is too large.
    binding : tuple of str
        Rules that bind it, dearest first.
    certificate : Verdict
        Flows and prices that prove the rate.
    why : str
        Why there is no rate, or no busbw.
    algorithm : str
        Of the collective.
    """

    n: int
    rate_gbps: float
    busbw_gbps: float | None
    status: str
    binding: tuple[str, ...]
    certificate: Verdict
    why: str = ""
    algorithm: str = ""

    @property
    def total_gbps(self) -> float:
        """What all of them send [Gb/s]."""
        return self.n * self.rate_gbps


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has in a state.

    Parameters
    ----------
    others : Kept
        Those that still exchange traffic, as they are.
    cut_off : tuple of CutOff
        Endpoints that are up and cut off from most of the others: one of each class, and how many.
    n_down : int
        Endpoints that are down themselves, more than in the healthy fabric.
    stopped : tuple of CutOff
        Endpoints whose part of the job is over: down, cut off, or without a way out of their own. One of each
        class; the job goes on where there is none.
    restart : Kept or None
        Those that are left without the nodes of the stopped ones, where the job stops.
    """

    others: Kept
    cut_off: tuple[CutOff, ...]
    n_down: int
    stopped: tuple[CutOff, ...]
    restart: Kept | None

    @property
    def goes_on(self) -> bool:
        """Whether the job goes on."""
        return not self.stopped

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
    fabric = in_state(job.fabric, state)
    n_down = n_up(job, job.fabric) - n_up(job, fabric)
    others, cut_off = _rate(job, fabric, is_brief=is_brief)
    stopped, places = _stopped(job, fabric, state, cut_off)
    if not stopped:
        return Outcome(_with_collective(job, others, state), cut_off, n_down, (), None)
    rest = state_of((*state, *places))
    restart, _ = _rate(job, in_state(job.fabric, rest), is_brief=is_brief)
    return Outcome(others, cut_off, n_down, stopped, _with_collective(job, restart, _replicas(job, rest)))


def told(job: FailingJob, state: State) -> str:
    """Return `evaluate` of one state of many as a text, which a sweep can keep; see `outcome_of`."""
    return json.dumps(asdict(evaluate(job, state)))


def outcome_of(text: str) -> Outcome:
    """Return the outcome that a text tells.

    Examples
    --------
    >>> kept = Kept(4, 400.0, None, "optimal", ("gpu-leaf",), Verdict(400.0, 400.0))
    >>> some = Outcome(kept, (CutOff("gpu1", 1),), 0, (), None)
    >>> outcome_of(json.dumps(asdict(some))) == some
    True
    """
    found = json.loads(text)
    stopped, cut_off = (tuple(CutOff(*one) for one in found[key]) for key in ("stopped", "cut_off"))
    restart = None if found["restart"] is None else _kept_of(found["restart"])
    return Outcome(_kept_of(found["others"]), cut_off, found["n_down"], stopped, restart)


def _kept_of(found: dict[str, Any]) -> Kept:
    proof = found["certificate"]
    certificate = Verdict(**{**proof, "faults": tuple(proof["faults"])})
    return Kept(**{**found, "binding": tuple(found["binding"]), "certificate": certificate})


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


def _rate(job: FailingJob, fabric: Fabric, *, is_brief: bool) -> tuple[Kept, tuple[CutOff, ...]]:
    """Return what those have that exchange traffic, and who is cut off from them."""
    n = n_up(job, fabric)
    if n < 2:
        return _none(f"{n} endpoints are left"), ()
    if is_brief and (why := _too_large(job, fabric, n)):
        lost = _cut_off_from_one(job, fabric)
        return replace(_none(why), n=n - sum(one.n for one in lost), status="unsolved"), lost
    ask = Question(fabric, "all-to-all", job.among, paths=job.paths, drop_unreachable=True, is_brief=is_brief)
    try:
        answer = answer_question(ask)
    except LimitError as error:
        lost = _cut_off_from_one(job, fabric)
        return replace(_none(str(error)), n=n - sum(one.n for one in lost), status="unsolved"), lost
    except QuestionError as error:
        # Whoever is up is cut off: nobody has a majority. Anything else was told of the healthy fabric.
        return _none(str(error)), (CutOff(job.among or "every endpoint", n),)
    kept = Kept(
        n=n - sum(lost.n for lost in answer.cut_off),
        rate_gbps=answer.per_endpoint_gbps,
        busbw_gbps=None,
        status=answer.status,
        binding=tuple(price.link for price in answer.binding),
        certificate=answer.certificate,
    )
    return kept, answer.cut_off


def _too_large(job: FailingJob, fabric: Fabric, n: int) -> str:
    """Return why a state is not solved, or nothing: one of many may take some seconds."""
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
            return f"a program of some {size:,} variables" if size > MANY_COLUMNS else ""
    size = n * 2 * expand(fabric).n_bundles
    return f"{n:,} endpoints without axes that say what is alike" if size > MANY_COLUMNS else ""


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


def _replicas(job: FailingJob, state: State) -> State:
    """Return a state with all endpoints down that stand where those do that are down, along `over`.

    A group of the collective that has lost one rank has none there in any other group: what restarts are
    groups that are alike, as many replicas of the model as are whole.
    """
    blueprint = job.fabric.blueprint
    if blueprint is None or not job.over:
        return state
    spans = {p for axis in job.over for p in blueprint.primitives(axis)}
    down = [one for one in state if not one.right and _is_of_ends(job, blueprint, one.left)]
    return state_of((*state, *_along(blueprint, job, down, spans)))


def _stopped(
    job: FailingJob, fabric: Fabric, state: State, cut_off: Sequence[CutOff]
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    """Return whose part of the job is over, and the nodes of these as what is down beside the state."""
    blueprint = fabric.blueprint
    if blueprint is not None:
        try:
            return _stopped_classes(job, blueprint, state, cut_off)
        except NoSymmetryError:
            pass
    return _stopped_devices(job, fabric, state)


def _stopped_classes(
    job: FailingJob, blueprint: Blueprint, state: State, cut_off: Sequence[CutOff]
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    down = [one for one in state if not one.right and _is_of_ends(job, blueprint, one.left)]
    try:
        traffic = ClassTraffic(blueprint, Traffic(), job.among, job.paths)
    except QuestionError:  # nobody is left to restart
        return (CutOff(job.among or "every endpoint", 1),), ()
    base = traffic.base
    kept = np.ones(len(base.size), dtype=np.bool_)
    # Leaving some out can cut off others, as in `without_cut_off`.
    while cut_off and (lost := traffic.lost(list(traffic.commodities(kept)))).any():
        kept &= ~lost
    lost = ~kept
    if job.hops_out:
        lost |= traffic.ends & (ways_out(base.classes) > job.hops_out)
    stopped = [CutOff(str(base.classes.names[i]), round(base.size[i])) for i in np.flatnonzero(lost).tolist()]
    nodes = [*_rows(job, blueprint, traffic.apart, lost), *_down_nodes(job, blueprint, down)]
    told = [CutOff(one.left, _n_named(job, one.left)) for one in down]
    return tuple(told + stopped), tuple(dict.fromkeys(nodes))


def _is_of_ends(job: FailingJob, blueprint: Blueprint, text: str) -> bool:
    chosen = parse_selector(text, blueprint.axes, blueprint.groups)
    return bool(set(selected_groups(blueprint, chosen)) & set(job.node))


def _n_named(job: FailingJob, text: str) -> int:
    """Return how many endpoints of the job a selector names that are up while all is up."""
    b = job.fabric.axes_or_refuse("a selector")
    chosen = parse_selector(text, b.axes, b.groups)
    return sum(devices_up(b, g, chosen) for g in job.node if _speaks_of(b, chosen, g))


def _speaks_of(b: Blueprint, chosen: Selector, group: str) -> bool:
    return group in selected_groups(b, chosen)


def _rows(job: FailingJob, blueprint: Blueprint, apart: tuple[Selector, ...], lost: Bools) -> list[Down]:
    """Return the nodes of some classes of endpoints, as selectors of ranges."""
    if not lost.any():
        return []
    ground = lay_ground(blueprint, apart=apart, in_file=True)
    grid, found = ground.grid, []
    for name, axes in job.node.items():
        device = ground.device[name]
        for row in np.flatnonzero((device >= 0) & lost[device]).tolist():
            terms = {}
            for p in axes:
                at = int(grid.digit(name, np.array([row]), p)[0])
                first, n = int(grid.reps[p][at]), int(grid.weights[p][at])
                # All indices of an axis need no word; as a range they may be told apart one by one.
                if n < blueprint.axes[p].size:
                    terms[p] = first, first + n - 1
            found.append(Down(_word(name, terms)))
    return found


def _down_nodes(job: FailingJob, blueprint: Blueprint, down: Sequence[Down]) -> list[Down]:
    """Return the nodes of endpoints that are down themselves."""
    return [
        node for name, axes in job.node.items() for node in _along(blueprint, job, down, set(axes), (name,))
    ]


def _along(
    blueprint: Blueprint, job: FailingJob, down: Sequence[Down], kept: set[str], groups: Sequence[str] = ()
) -> Iterator[Down]:
    """Yield the endpoints that agree with some that are down on the primitive axes that are `kept`."""
    for one in down:
        chosen = parse_selector(one.left, blueprint.axes, blueprint.groups)
        for name in set(selected_groups(blueprint, chosen)) & set(groups or job.node):
            terms = {}
            for term in chosen.terms:
                parts = blueprint.primitives(term.axis)
                if len(parts) == 1 and parts[0] in kept:
                    terms[parts[0]] = term.lo, term.hi
                elif set(parts) <= kept:
                    terms[term.axis] = term.lo, term.hi
                elif term.lo == term.hi:
                    # One index of a composed axis is one of each of its parts.
                    index = term.lo
                    for p in reversed(parts):
                        index, i = divmod(index, blueprint.axes[p].size)
                        if p in kept:
                            terms[p] = i, i
            yield Down(_word(name, terms))


def _word(group: str, terms: dict[str, tuple[int, int]]) -> str:
    return "/".join([*(range_word(axis, lo, hi) for axis, (lo, hi) in terms.items()), group])


def _exchanging(e: Expanded, ends: Bools, paths: Paths) -> Bools:
    """Return endpoints all of which exchange traffic with each other, without those that reach fewest."""
    own = np.flatnonzero(ends)
    seen = exchanges(e, ends, paths=paths)
    kept = np.ones(len(own), dtype=np.bool_)
    while len(own) and not seen[np.ix_(kept, kept)].all():
        n = np.where(kept, (seen & kept).sum(axis=1), len(own) + 1)
        kept[int(n.argmin())] = False
    exchanging = np.zeros(e.n_devices, dtype=np.bool_)
    exchanging[own[kept]] = True
    return exchanging


def _stopped_devices(
    job: FailingJob, fabric: Fabric, state: State
) -> tuple[tuple[CutOff, ...], tuple[Down, ...]]:
    e, before = expand(fabric), expand(job.fabric)
    ends = before.is_endpoint & ~before.failed
    if job.among is not None:
        ends &= select(job.fabric, job.among)
    lost = ends & e.failed
    lost |= ends & ~e.failed & ~_exchanging(e, ends & ~e.failed, job.paths)
    if job.hops_out:
        lost |= ends & (ways_out(e) > job.hops_out)
    stopped = tuple(CutOff(str(e.names[v]), 1) for v in np.flatnonzero(lost).tolist())
    node = np.arange(e.n_devices)
    if fabric.blueprint is not None:
        for number, group in enumerate(e.groups):
            axes = job.node.get(group.name)
            if axes is not None:
                own = np.flatnonzero(e.group == number)
                key = np.column_stack([np.zeros(len(own), np.int64), *(e.coordinates[p][own] for p in axes)])
                first, which = np.unique(key, axis=0, return_index=True, return_inverse=True)[1:]
                node[own] = own[first][which.ravel()]
    gone = ends & np.isin(node, node[lost])
    return stopped, tuple(Down(str(e.names[v])) for v in np.flatnonzero(gone & ~e.failed).tolist())
