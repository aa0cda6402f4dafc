"""Throughput of a traffic pattern: the exact rate, what binds it, and the price of every class."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Literal, cast

import numpy as np

from fabric.arguments import Method, checked
from fabric.blueprint.model import Blueprint
from fabric.errors import FabricError, LimitError, ProofError, QuestionError, setting
from fabric.flow.along import permutations_along
from fabric.flow.between import Held, Posed, between, hold_question
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.commodities import Commodities, ProgramSizeError, Solution, capacities
from fabric.flow.concurrent import check_concurrent
from fabric.flow.lost import count_failed, find_cut_off
from fabric.flow.prices import LinkPrice, rank_links
from fabric.flow.program import ClassProgram
from fabric.flow.question import Question, find_unmatched, pose, write_out
from fabric.flow.slack import SpareCapacity
from fabric.flow.traffic import LONGEST, Matrix, Traffic
from fabric.graph import EXPAND_LIMIT, PATH_RULES, Fabric, Paths
from fabric.results import HIDDEN, CutOff, DamageCount, DeviceText, Result, say_damage, say_lost
from fabric.symmetry import count_named, devices_up
from fabric.symmetry.marked import count_damage
from fabric.text.chart import ChartBar, bars
from fabric.text.words import join_words
from fabric.units import format_count, format_rate

MANY_MATCHED = 1_000
"""Endpoints beyond which classes answer permutations along axes and no longest matching is looked for: 1,152
take a minute."""
MANY_VARIABLES = 12_000
"""Variables beyond which slack is what the one solution leaves idle: all measures cost ten answers."""


@dataclass(frozen=True, slots=True)
class Throughput(Result):
    """Answer of `throughput`; all rates in one direction.

    Parameters
    ----------
    traffic : str
    per_endpoint_gbps : float
        What every endpoint sends, all at once [Gb/s]; for one-to-all and all-to-one the rate of each of the
        others; for a matrix, the factor by which all its demands can be met.
    status : {"optimal", "bounded", "cut off"}
        ``cut off`` where some endpoints cannot take part and were not left out: the rate is then 0.
    binding : tuple of LinkPrice
        Link classes with a price, dearest first.
    slack : tuple of LinkPrice
        The others that the traffic cannot do without, with what each alone can spare, least first.
    n_endpoints : int
    n_senders : float
        Sum of all demands over the demand of one; the rate times this is what the fabric carries.
    paths : {"rules", "no-relay", "any"}
    method, why : str
        How the question was solved, and why so.
    cut_off : tuple of CutOff
        One endpoint of each class that cannot take part, and how many.
    is_dropped : bool
        Whether those were left out.
    n_classes, n_variables : int
        Size of the program.
    solve_s : float
        Wall time of the answer, certificate included [s].
    certificate : Verdict
    n_failed : int
        Endpoints of the job that have failed themselves; they are left out.
    damage : DamageCount or None
        How much is absent or down, and of how many kinds; None if nothing is, or the axes do not say.
    """

    traffic: str
    per_endpoint_gbps: float
    status: Literal["optimal", "bounded", "cut off"]
    binding: tuple[LinkPrice, ...]
    slack: tuple[LinkPrice, ...]
    n_endpoints: int
    n_senders: float
    paths: Paths
    method: str
    why: DeviceText
    cut_off: tuple[CutOff, ...]
    is_dropped: bool
    n_classes: int
    n_variables: int
    solve_s: float = field(compare=False, metadata=HIDDEN)
    certificate: Verdict = field(repr=False)
    n_failed: int = 0
    damage: DamageCount | None = None

    shown: ClassVar[tuple[str, ...]] = ("value_gbps", "gap")

    @property
    def value_gbps(self) -> float:
        """What the fabric carries in all [Gb/s]."""
        return self.per_endpoint_gbps * self.n_senders

    @property
    def gap(self) -> float:
        """How far the bounds of the proof are apart, as a part of the upper one."""
        return self.certificate.gap

    def table(self) -> list[dict[str, object]]:
        """Return the link classes that the traffic needs, those that bind first."""
        return [asdict(price) for price in (*self.binding, *self.slack)]

    def picture(self) -> str:
        """Return how much of each kind of cable the traffic needs."""
        kinds = [(one, True) for one in self.binding] + [(one, False) for one in self.slack]
        rows = [
            ChartBar(one.link, 1 - one.spare, f"{100 * (1 - one.spare):.3g} % is needed", binds)
            for one, binds in kinds
        ]
        names = join_words([one.link for one in self.binding])
        rate = format_rate(self.per_endpoint_gbps)
        return bars(f"{names} bind{'s' * (len(self.binding) == 1)}: {rate} each", rows if names else [])

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        lines = [
            f"throughput of {self.traffic} among {format_count(self.n_endpoints)} endpoints: "
            f"{format_rate(self.per_endpoint_gbps)} each, per direction"
        ]
        lines += [
            f"  binding: {c.link}, {format_count(c.n_cables)} cables, {100 * c.share:.4g} % of the price"
            for c in self.binding
        ]
        if self.slack:
            lines.append(f"  slack, each alone: {', '.join(map(str, self.slack))}")
        remedy = setting("drop_unreachable", True)
        lines += say_lost(self.cut_off, self.n_failed, remedy, is_dropped=self.is_dropped)
        lines += say_damage(self.damage)
        lines.append(f"  paths: {PATH_RULES[self.paths]}")
        lines.append(f"  method: {self.method} ({self.why})")
        proof = self.certificate
        scope = [f"checked {proof.scope}"] if proof.scope and not proof.faults else []
        size = [f"{self.n_variables:,} variables"] if self.n_variables else []
        remarks = ", ".join([*proof.faults, *scope, *size])
        values = f"flows of {format_rate(proof.lower_gbps)} and prices of {format_rate(proof.upper_gbps)}"
        values += f", {100 * self.gap:.2g} % apart"
        if self.status == "optimal":
            values = f"flows and prices of {format_rate(proof.lower_gbps)}"
        lines.append(f"  {self.status}: {values} ({remarks})" if remarks else f"  {self.status}: {values}")
        return "\n".join(lines)


@checked
def throughput(
    fabric: Fabric,
    traffic: str | Traffic | Matrix = "all-to-all",
    *,
    among: str | None = None,
    over: Sequence[str] = (),
    paths: Paths = "rules",
    method: Method = "auto",
    drop_unreachable: bool = False,
    limit: int = EXPAND_LIMIT,
    gap: float | None = None,
) -> Throughput:
    """Return the largest rate at which a traffic pattern can be met, and what binds it.

    Parameters
    ----------
    fabric : Fabric
    traffic : str, Traffic or mapping
        ``"all-to-all"`` or ``"longest-matching"``, the permutation with the most hops; a `Traffic` for other
        patterns; or a matrix, demands by (source, target) device.
    among : str, optional
        Selector of the endpoints; needed where there are several groups of them.
    over : sequence of str
        Axes that a group of all-to-all spans: one group for each index of the other axes, all at once.
    paths : {"rules", "no-relay", "any"}
    method : {"auto", "axes", "refinement", "links"}
        On classes, which costs the same at any size, or on real links.
    drop_unreachable : bool
        Leave out endpoints that failures cut off; otherwise the rate is then 0.
    limit : int
        Of the expanded form, for real links.
    gap : float, optional
        How far apart, as a part of the rate, an interval's bounds may be. Where one is given, real links are
        always answered by an interval; else only where their program is too large, and then 0.001 is aimed
        at. Classes are answered exactly.

    Returns
    -------
    Throughput

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    LimitError
        If only real links will do and the fabric is too large to be expanded. One that can be
        expanded but not solved gets status ``bounded``: the rate of a mix of routings, with an upper bound
        by prices. Both are proven; the gap is stated, and may be larger than the one aimed at.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> answer = throughput(loads(text))
    >>> round(answer.per_endpoint_gbps, 6), answer.binding[0].link, answer.status
    (400.0, 'gpu-leaf', 'optimal')
    """
    if gap is not None and not 0 < gap < 1:
        msg = f"gap: got {gap:g}; expected a part of the rate between 0 and 1, such as 0.001"
        raise QuestionError(msg)
    return answer_question(
        Question(fabric, traffic, among, tuple(over), paths, method, drop_unreachable, limit, gap=gap)
    )


def answer_question(ask: Question) -> Throughput:
    """Return the answer to a question of `throughput`.

    Raises
    ------
    QuestionError, SelectorError, LimitError, ProofError
        As `throughput`.
    """
    begin = time.perf_counter()
    held = hold_question(ask, lambda posed: posed)
    held_by: Throughput | None = None
    if held is not None and (held.is_met or ask.gap is not None):
        held_by = _answer_held(ask, held, begin)
        if held_by is not None and held_by.gap <= max(GAP, ask.gap or 0.0):
            return held_by
    try:
        return _answer_at_once(ask)
    except LimitError:
        # An interval is more than nothing.
        held_by = held_by or (_answer_held(ask, held, begin) if held is not None else None)
        if held_by is None:
            raise
    return held_by


def answer_between(ask: Question) -> Throughput | None:
    """Return the answer between more damage and less, exact or an interval, or None where there is none.

    What it costs does not grow with the kinds of damage, as a program of the question itself does.
    """
    begin = time.perf_counter()
    held = hold_question(ask, lambda posed: posed)
    return None if held is None else _answer_held(ask, held, begin)


def answer_interval(ask: Question, why: str) -> Throughput:
    """Return an interval of the rate on real links, or on those that mirrors leave of them.

    Parameters
    ----------
    ask : Question
    why : str
        Why no program answers it.

    Raises
    ------
    QuestionError, LimitError, ProofError
        As `throughput`.
    """
    return _bound_question(ask, why, time.perf_counter())


def _answer_held(ask: Question, held: Held[Posed], begin: float) -> Throughput | None:
    """Return the answer between those with more and with less damage, or None where one is not proven."""
    more, less = (
        answer_of(one.ask, one.work, one.program, why=one.why, begin=begin)[0]
        for one in (held.more, held.less)
    )
    return between(ask, more, less)


def _answer_at_once(ask: Question) -> Throughput:
    """Return the answer to a question by one program, or an interval where that is too large."""
    traffic = ask.traffic
    return _answer_one(ask) if traffic is None or traffic.pattern != LONGEST else _worst_permutation(ask)


def _answer_one(ask: Question) -> Throughput:
    """Return the answer to a question as it stands, by a program or as an interval."""
    begin = time.perf_counter()
    too_large = ""
    try:
        work, why = pose(ask)
        program = ClassProgram(work.commodities, work.capacity, enough_gbps=ask.enough_gbps)
    except ProgramSizeError as error:
        # Handled below, outside: an error there is no consequence of this one.
        too_large = str(error)
    if too_large:
        try:
            return _bound_question(ask, too_large, begin)
        except LimitError as error:
            msg = f"{too_large}; nor an interval: {error}"
            raise LimitError(msg) from None
    return answer_of(ask, work, program, why=why, begin=begin)[0]


def _worst_permutation(ask: Question) -> Throughput:
    """Return the answer to the longest matching, or to a permutation along one axis that gets less.

    The permutation that goes farthest need not be the worst. One along an axis is, where all that it joins
    has to cross the same few links. `halves` is a mean of permutations: one gets no more.
    Among many endpoints those along axes, which classes answer, stand alone.
    """
    begin, blueprint = time.perf_counter(), ask.fabric.blueprint
    n = 0 if blueprint is None else _n_meant(blueprint, ask.among)
    is_many = n > MANY_MATCHED and ask.method == "auto"
    worst = None if is_many else _answer_one(ask)
    if blueprint is None or (worst is not None and not worst.per_endpoint_gbps):
        return cast(Throughput, worst)
    for traffic, times in permutations_along(blueprint, ask.among):
        # Rounding is no worse pattern: less by more than the gap of a proof.
        enough = np.inf if worst is None else worst.per_endpoint_gbps * (1 - GAP)
        method: Method = "axes" if is_many else "auto"
        try:
            along = _answer_one(replace(ask, asked=traffic, method=method, enough_gbps=enough / times))
        except FabricError:  # too large, cut off, or no less than what is known
            continue
        if is_many and along.status == "cut off":
            lost = find_cut_off(ask.fabric, ask.among, paths=ask.paths)
            return replace(along, traffic=LONGEST, n_endpoints=n, cut_off=lost)
        if traffic.pattern == "halves" and along.n_endpoints < n:  # how unequal what is cut off makes them
            continue
        if 0 < times * along.per_endpoint_gbps < enough:
            why = f"{traffic.pattern} over {traffic.over[0]} "
            if times > 1:
                along = _scaled(along, times)
                why += f"(of unequal halves, a permutation gets up to {times:.4g} times the rate) "
            if is_many:
                why += f"is the worst along an axis; {n:,} endpoints are not matched"
            else:
                why += "gets less than the permutation that goes farthest"
            worst = replace(along, traffic=LONGEST, n_endpoints=worst.n_endpoints if worst else n, why=why)
    worst = _answer_one(ask) if worst is None else worst
    return replace(worst, solve_s=time.perf_counter() - begin)


def _scaled(answer: Throughput, times: float) -> Throughput:
    """Return an answer at so many times the rate."""
    proof = answer.certificate
    proof = replace(proof, lower_gbps=times * proof.lower_gbps, upper_gbps=times * proof.upper_gbps)
    return replace(answer, per_endpoint_gbps=times * answer.per_endpoint_gbps, certificate=proof)


def _n_meant(blueprint: Blueprint, among: str | None) -> int:
    ends = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    return (
        sum(devices_up(blueprint, g) for g in ends) if among is None else count_named(blueprint, (among,))[0]
    )


def answer_of(
    ask: Question, work: Commodities, program: ClassProgram, *, why: str, begin: float
) -> tuple[Throughput, Solution]:
    """Return the answer to a question as it is posed, and the solution that it is made of.

    Parameters
    ----------
    ask : Question
    work : Commodities
        As `pose` returns it.
    program : ClassProgram
        Of its commodities.
    why : str
        As `pose` returns it.
    begin : float
        When the question was put, by `time.perf_counter` [s].
    """
    if work.cut_off and not ask.drop_unreachable:
        # Endpoints that are cut off get nothing, and all must get the same: nothing is solved.
        flow = tuple(np.zeros(len(b.moves.tail)) for b in work.commodities)
        solution = Solution(0.0, flow, np.zeros(len(work.capacity)), 0)
        proof = Verdict(0.0, 0.0)
    else:
        solution = program.solve()
        # By code that shares nothing with the solver.
        proof = check_concurrent(work, solution, is_drawn=ask.is_brief)
        # An answer that its own check refuses is never given out.
        if proof.faults:
            rate = format_rate(solution.rate_gbps)
            claim = f"{ask.name} by {work.method}: {rate} is not proven ({proof.faults[0]})"
            todo = f"please report it with the file; {setting('method')} has other ways"
            msg = f"{claim}: an error of fabtopo, {todo}"
            raise ProofError(msg)
    is_measured = not ask.is_brief and 0 < solution.n_variables <= MANY_VARIABLES
    idle = SpareCapacity(work, program, solution) if is_measured else None
    binding, slack = rank_links(work, work.capacity * solution.price, work.use(solution.flow), idle)
    answer = Throughput(
        traffic=ask.name,
        per_endpoint_gbps=solution.rate_gbps,
        status="cut off" if work.cut_off and not ask.drop_unreachable else proof.status,
        binding=binding,
        slack=slack,
        n_endpoints=round(work.n_endpoints),
        n_senders=sum(b.n_alike * float(b.supply[b.supply > 0].sum()) for b in work.commodities),
        paths=ask.paths,
        method=work.method,
        why=why,
        cut_off=tuple(CutOff(who, round(n)) for who, n in work.cut_off),
        is_dropped=ask.drop_unreachable,
        n_classes=sum(len(b.view.size) for b in work.commodities)
        if work.is_averaged
        else len(work.base.size),
        n_variables=solution.n_variables,
        solve_s=time.perf_counter() - begin,
        certificate=proof,
        n_failed=count_failed(ask.fabric, ask.among) if ask.traffic is not None else 0,
        damage=count_damage(ask.fabric.blueprint),
    )
    return answer, solution


def _bound_question(ask: Question, why: str, begin: float) -> Throughput:
    """Return the answer to a question that is not solved on links: an interval."""
    from fabric.flow.commodities import trivial
    from fabric.flow.interval import WANTED_GAP, Interval, interval_of, left_over

    e, demand_of, probe_of = write_out(ask)
    drop = ask.drop_unreachable
    # What is cut off is left out, or the rate is 0; as where a program is solved.
    demand, lost = left_over(
        e, demand_of, probe_of, paths=ask.paths, drop_unreachable=drop, lost_of=find_unmatched(ask, e)
    )
    view = trivial(e)
    n = float(len(np.union1d(demand.source, demand.target)))
    work = Commodities(view, capacities(view), [], n, (), is_averaged=False)
    is_cut = bool(lost.any()) and not drop
    if is_cut:
        nothing = np.zeros(len(work.capacity))
        bounds = Interval(Verdict(0.0, 0.0), nothing, nothing, 0)
    else:
        bounds = interval_of(e, demand, paths=ask.paths, gap=WANTED_GAP if ask.gap is None else ask.gap)
    binding, slack = rank_links(work, work.capacity * bounds.price, bounds.use, None)
    return Throughput(
        traffic=ask.name,
        per_endpoint_gbps=bounds.proof.lower_gbps,
        status="cut off" if is_cut else bounds.proof.status,
        binding=binding,
        slack=slack,
        n_endpoints=round(work.n_endpoints),
        n_senders=float(demand.amount.sum()),
        paths=ask.paths,
        method="links",
        why=why,
        cut_off=tuple(CutOff(str(e.names[i]), 1) for i in np.flatnonzero(lost).tolist()),
        is_dropped=drop,
        n_classes=bounds.n_states,
        n_variables=0,
        solve_s=time.perf_counter() - begin,
        certificate=bounds.proof,
        n_failed=count_failed(ask.fabric, ask.among) if ask.traffic is not None else 0,
        damage=count_damage(ask.fabric.blueprint),
    )
