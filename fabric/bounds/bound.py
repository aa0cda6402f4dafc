"""What no algorithm can beat: bounds of collectives by cuts, on the quotient.

A collective moves data along trees whose roots hold, or gather, a part of the buffer each. Packing trees is
possible up to the smallest cut, so for an all-gather the rate is the largest x at which every endpoint, fed
by all others with x each, can take it all in (Edmonds, "Edge-disjoint branchings", 1973; ForestColl, arXiv
2402.06787, section 4). A reduce-scatter is the same on reversed links. An all-reduce reduces into roots and
spreads from them; both share the links, and the weights of the roots are free. A switch that reduces may be a
root itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast, get_args, overload

import numpy as np

from fabric.arguments import checked
from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint
from fabric.blueprint.reducing import REDUCING_NETS, ReducingNet, reducing_groups
from fabric.bounds.answer import Bound
from fabric.bounds.groups import Task
from fabric.bounds.hops import HopBound, HopKind, hop_bound
from fabric.bounds.packing import PROVEN, Packing, pack
from fabric.bounds.sinks import slowest_rank
from fabric.errors import ProofError, QuestionError, nearest
from fabric.flow.between import hold
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.certificate import Verdict
from fabric.flow.lost import count_failed, leave_out
from fabric.flow.question import Question
from fabric.flow.throughput import answer_question
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, Paths, expand, select
from fabric.graph.listed import RANK, to_blueprint
from fabric.results import CutOff
from fabric.schedule.algorithms import busbw_factor
from fabric.symmetry import Mark, lopsided_axes, quotient
from fabric.symmetry.marked import count_damage, marked
from fabric.units import format_rate, parse_bytes, seconds_to_send

FEW_COLUMNS = 10_000
"""Columns up to which a program is solved sooner than those of more and of less damage, which may not meet:
the million with a NIC, a leaf and a spine down has 7,920, with ten NICs 31,200."""

OPERATIONS = ("all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all")


@overload
def bound(
    fabric: Fabric,
    collective: str,
    size: int | str = ...,
    *,
    over: Sequence[str] = ...,
    among: str | None = ...,
    root: str = ...,
    paths: Paths = ...,
    reduces: Sequence[ReducingNet] = ...,
    drop_unreachable: bool = ...,
) -> Bound: ...


@overload
def bound(
    fabric: Fabric,
    collective: str,
    size: int | str = ...,
    *,
    kind: str,
    over: Sequence[str] = ...,
    among: str | None = ...,
    root: str = ...,
    paths: Paths = ...,
    reduces: Sequence[ReducingNet] = ...,
    drop_unreachable: bool = ...,
) -> Bound | HopBound: ...


@checked
def bound(
    fabric: Fabric,
    collective: str,
    size: int | str = "1GiB",
    *,
    kind: str = "cut",
    over: Sequence[str] = (),
    among: str | None = None,
    root: str = "",
    paths: Paths = "rules",
    reduces: Sequence[ReducingNet] = REDUCING_NETS,
    drop_unreachable: bool = False,
) -> Bound | HopBound:
    """Return the bound of a collective.

    Parameters
    ----------
    fabric : Fabric
        Of one that came from a graph every device is looked at by itself.
    collective : {"all-gather", "reduce-scatter", "all-reduce", "broadcast", "reduce", "all-to-all"}
    size : int or str
        Bytes by the convention of nccl-tests.
    kind : {"cut", "tub", "path-length"}
        By cuts; or, of all-to-all among all endpoints, by hop distances alone, see
        `fabric.bounds.hops.hop_bound`. These hold for every path rule and have no use for a size.
    over : sequence of str
        Axes that a group spans; one group for each index of the other axes, all at once on shared links.
    among : str, optional
        Selector of the ranks.
    root : str
        For broadcast and reduce: selector of one endpoint; the first rank if left out.
    paths : {"rules", "no-relay", "any"}
        Path rule of all devices but the ranks, which always pass data on, because they hold it.
    reduces : sequence of {"scale-up", "scale-out"}
        Networks whose switches add in an all-reduce where their part can; none if empty.
    drop_unreachable : bool
        Leave out ranks that failures cut off; otherwise the rate is then 0.

    Returns
    -------
    Bound or HopBound

    Raises
    ------
    QuestionError, SelectorError
        If the question does not fit the fabric.
    LimitError
        If the fabric is too large for bounds by hop distances.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 8}, devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 300GB/s}]}"
    >>> round(bound(loads(text), "all-gather").algbw_gbps / 8, 6)
    342.857143
    """
    size_bytes = parse_bytes(size)
    if collective not in OPERATIONS:
        hint = nearest(collective, OPERATIONS) or f"bounds are known for {', '.join(OPERATIONS)}"
        msg = f"unknown collective {collective!r}; {hint}"
        raise QuestionError(msg)
    if root and collective not in ("broadcast", "reduce"):
        msg = f"root: {collective} has none; leave it out"
        raise QuestionError(msg)
    if kind != "cut":
        return _by_hops(fabric, collective, kind, is_whole=not (over or among or root or drop_unreachable))
    ask = _BoundQuestion(collective, size_bytes, tuple(over), among, root, paths, tuple(reduces))
    n_failed, damage = count_failed(fabric, among), count_damage(fabric.blueprint)
    dropped: tuple[CutOff, ...] = ()
    if drop_unreachable:
        fabric, dropped = leave_out(fabric, among, over=tuple(over), paths=paths, is_holding=True)
    found = _of_graph(fabric, ask) if fabric.blueprint is None else _by_cuts(fabric.blueprint, ask)
    is_dropped = drop_unreachable and not found.cut_off
    lost = found.cut_off or dropped
    return replace(found, n_failed=n_failed, damage=damage, cut_off=lost, is_dropped=is_dropped)


@dataclass(frozen=True, slots=True)
class _BoundQuestion:
    """A question of `bound`."""

    collective: str
    size_bytes: int
    over: tuple[str, ...]
    among: str | None
    root: str
    paths: Paths
    reduces: tuple[ReducingNet, ...]


def _by_cuts(blueprint: Blueprint, ask: _BoundQuestion) -> Bound:
    collective, paths = ask.collective, ask.paths
    question = _question(blueprint, ask)
    # No data is copied or added: its bound is its throughput.
    if collective == "all-to-all":
        return _all_to_all(blueprint, question, ask)
    mark = None
    if collective in ("broadcast", "reduce"):
        mark = question.device(ask.root) if ask.root else _first(question)
        _check_root(question, mark, ask.root)
    # A reduce ends in one root, which takes in the sum once whether switches add or not.
    reducing = reducing_groups(blueprint, ask.reduces) if collective == "all-reduce" else ()
    packing = _pack_held(Task(blueprint, question, collective, mark, paths, reducing), ask)
    return _of_packing(blueprint, ask, packing, reducing)


def _pack_held(task: Task, ask: _BoundQuestion) -> Packing:
    """Return the best rate of a collective, from more damage and from less where that is less work."""
    blueprint, question = task.blueprint, task.question
    if _n_columns(question) <= FEW_COLUMNS:
        return pack(task)
    found = marked(blueprint, task.apart, question.ties, is_in_front=True)

    def packed(other: Blueprint, *, is_brief: bool = False) -> Packing | None:
        root = None if task.root is None else found.moved_mark(task.root)
        own = replace(task, blueprint=other, question=_question(other, ask), root=root)
        one = pack(own, is_brief=is_brief)
        return one if one.rate_gbps > 0 else None

    # Partitions of the ranks bound an all-reduce without a program: enough where more damage meets them.
    brief = partial(packed, is_brief=True) if ask.collective == "all-reduce" else None
    held = hold(
        found,
        _n_columns(question),
        lambda other: _n_columns(_question(other, ask)),
        answer=packed,
        at_most=brief,
    )
    if held is not None and held.is_met:
        return held.more.held_by(held.less)
    return pack(task)


def _n_columns(question: ClassTraffic) -> int:
    """Return about how many columns the program of a bound has: of all views the base tells."""
    return 2 * int(question.ends.sum()) * len(question.base.keys)


def _of_packing(
    blueprint: Blueprint, ask: _BoundQuestion, packing: Packing, reducing: tuple[str, ...] = ()
) -> Bound:
    """Return the bound that a packing says."""
    collective, paths, question = ask.collective, ask.paths, _question(blueprint, ask)
    # Rounding of the program can leave a little less than nothing.
    rate, n = max(packing.rate_gbps, 0.0), packing.n_ranks
    status = _status(blueprint, collective, question, paths) if rate > 0 else "cut off"
    proof = packing.proof
    if status == "optimum" and not (proof.lower_gbps or proof.faults):
        status = "upper bound"  # no flows were asked for
    if rate > 0:
        _refuse_unproven(f"{collective} on {blueprint.name}", rate, proof, is_reached=status == "optimum")
    factor = 1.0 if collective in ("broadcast", "reduce") else busbw_factor(collective, n)
    return Bound(
        collective=collective,
        size_bytes=ask.size_bytes,
        n_ranks=n,
        algbw_gbps=rate,
        busbw_gbps=rate * factor,
        time_s=seconds_to_send(ask.size_bytes, rate) if rate > 0 else float("inf"),
        status=status,
        paths=paths,
        reduces_in=reducing,
        binding=packing.binding,
        n_variables=packing.n_variables,
        cut_off=_cut_off(question) if rate <= 0 else (),
        why=packing.why,
        certificate=proof if status == "optimum" else replace(proof, lower_gbps=0.0),
    )


def _refuse_unproven(name: str, rate_gbps: float, proof: Verdict, *, is_reached: bool) -> None:
    """Raise where the proof of a bound fails: it is then an error of this program."""
    fault = "; ".join(proof.faults)
    if not fault and proof.upper_gbps > rate_gbps * (1 + PROVEN):
        fault = f"its prices prove no less than {format_rate(proof.upper_gbps)} on the links of the file"
    if not fault and is_reached and proof.lower_gbps < rate_gbps * (1 - PROVEN):
        fault = "no flows reach it"
    if fault:
        what = f"the bound of {name}, {format_rate(rate_gbps)}, is not proven ({fault})"
        msg = f"{what}: an error of fabtopo, please report it with the file"
        raise ProofError(msg)


def _of_graph(fabric: Fabric, ask: _BoundQuestion) -> Bound:
    """Return the bound of a fabric that came from a graph, its devices and cables listed one by one."""
    if ask.over:
        msg = "over needs axes; a fabric read from a graph has none"
        raise QuestionError(msg)
    e = expand(fabric)
    ranks = e.is_endpoint & ~e.failed
    if ask.among is not None:
        ranks &= select(fabric, ask.among)
    if ranks.sum() < 2:
        msg = f"{ask.collective} needs at least 2 ranks that are up; the job has {int(ranks.sum())}"
        raise QuestionError(msg)
    listed, devices = to_blueprint(e, ranks), np.flatnonzero(ranks)
    # Ranks of the listed fabric by the names that the user knows.
    names = {f"{RANK}{i}": str(e.names[v]) for i, v in enumerate(devices.tolist())}
    # A root counts where the collective has one; ranks are renumbered in the listed fabric.
    root, first = "", devices[:1]
    if ask.root and ask.collective in ("broadcast", "reduce"):
        (chosen,) = np.flatnonzero(select(fabric, ask.root)).tolist()
        if not ranks[chosen]:
            msg = f"root {ask.root!r} is no endpoint of the job that is up"
            raise QuestionError(msg)
        root, first = f"{RANK}{listed.place[chosen]}", np.array([chosen])
    roots = first if ask.collective in ("broadcast", "reduce") else devices
    packing = _pack_by_flows(e, ranks, roots, ask)
    if packing is not None:
        return _of_packing(listed.blueprint, replace(ask, among=RANK), packing)
    answer = _by_cuts(listed.blueprint, replace(ask, among=RANK, root=root))
    # Back from the groups and rules of the listed fabric to those of the graph.
    return replace(
        answer,
        reduces_in=tuple(dict.fromkeys(listed.group_of[name] for name in answer.reduces_in)),
        binding=tuple(dict.fromkeys(listed.rule_of[name] for name in answer.binding)),
        cut_off=tuple(CutOff(names[name], n) for name, n in answer.cut_off),
    )


def _pack_by_flows(e: Expanded, ranks: Bools, roots: Ints, ask: _BoundQuestion) -> Packing | None:
    """Return the best rate by one flow a rank, or None where that is no plain flow."""
    # Where data flows both ways, or cables do not, the program of all ranks together is needed.
    if ask.collective in ("all-reduce", "all-to-all") or any(r.is_oneway for r in e.rules):
        return None
    is_inward = ask.collective in ("reduce-scatter", "reduce")
    found = slowest_rank(e, ranks, roots, paths=ask.paths, is_inward=is_inward)
    # Of what is cut off the classes say who.
    if found is None or found[0].rate_gbps <= 0:
        return None
    slowest, proof = found
    rules = np.unique(e.rule[slowest.links // 2]).tolist()
    names = tuple(dict.fromkeys(e.rules[rule].name for rule in rules))
    return Packing(slowest.rate_gbps, names, int(ranks.sum()), 0, "", proof)


def _question(blueprint: Blueprint, ask: _BoundQuestion) -> ClassTraffic:
    """Return the ranks, told apart along the axes of wiring that has no axis symmetry."""
    traffic = Traffic("all-to-all", ask.over)
    # Along them nothing is permuted: every index is a class of its own.
    kept = lopsided_axes(blueprint)
    return ClassTraffic(blueprint, traffic, ask.among, ask.paths, kept=kept, is_holding=True)


def _by_hops(fabric: Fabric, collective: str, kind: str, *, is_whole: bool) -> HopBound:
    """Return the bound by hop distances, which is known for all endpoints together."""
    if kind not in get_args(HopKind):
        msg = f"unknown kind of bound {kind!r}; use cut, chunks, {' or '.join(get_args(HopKind))}"
        raise QuestionError(msg)
    if collective != "all-to-all" or not is_whole:
        msg = f"kind {kind} bounds all-to-all among all endpoints; leave the rest out, or use cut"
        raise QuestionError(msg)
    return hop_bound(fabric, cast(HopKind, kind))


def _cut_off(question: ClassTraffic) -> tuple[CutOff, ...]:
    """Return what keeps the rate at 0."""
    base = question.base
    # Posed once more, as traffic: who does not reach most of the others.
    lost = question.lost(list(question.commodities(np.ones(len(base.size), dtype=np.bool_))))
    return tuple(
        CutOff(str(base.classes.names[i]), round(float(base.size[i]))) for i in np.flatnonzero(lost).tolist()
    )


def _first(question: ClassTraffic) -> Mark:
    """Return the first rank in the order of devices."""
    base = question.base
    ends = np.flatnonzero(question.ends).tolist()
    groups = list(question.blueprint.groups.values())
    # The first group in the order of the file, then the first device of it.
    number = int(base.classes.group[ends].min())
    ranks = (base.index[i] for i in ends if base.classes.group[i] == number)
    return min(ranks, key=lambda mark: [dict(mark)[p] for p in groups[number].primitives])


def _check_root(question: ClassTraffic, root: Mark, text: str) -> None:
    """Raise where the root is no rank."""
    view = quotient(question.blueprint, (root,), apart=question.apart, ties=question.ties)
    # Among the ranks as they are seen with the root marked.
    inside = question.inside(view)
    if not any(inside[i] and index == root for i, index in enumerate(view.index)):
        msg = f"root {text!r} is no endpoint of the job that is up"
        raise QuestionError(msg)


def _status(
    blueprint: Blueprint, collective: str, question: ClassTraffic, paths: Paths
) -> Literal["optimum", "upper bound"]:
    """Return whether an algorithm is known to reach the bound."""
    # For these a packing of trees is known to meet the smallest cut (Edmonds); for others no theorem says so.
    is_known = collective in ("all-gather", "reduce-scatter", "broadcast", "reduce") and not question.spans
    one_way = any(r.is_oneway for r in blueprint.rules)
    return "optimum" if is_known and not one_way and _is_free(blueprint, question, paths) else "upper bound"


def _is_free(blueprint: Blueprint, question: ClassTraffic, paths: Paths) -> bool:
    """Return whether the path rule forbids nothing: switches between, joined with endpoints only."""
    if paths == "any":
        return True
    # Endpoints outside the job either forward anything or are as good as absent.
    outside = [g for g in blueprint.groups.values() if g.is_endpoint] if question.chosen else []
    if any(g.transit == "relay" for g in outside):
        return False
    # Every rule has an endpoint on one side: from switch to switch, where a turn could be forbidden, leads
    # none.
    ends = {g.name for g in blueprint.groups.values() if g.is_endpoint}
    between = (g for g in blueprint.groups.values() if not g.is_endpoint)
    return all(g.transit == "all" or g.kind == "switch" for g in between) and all(
        r.left.group in ends or r.right.group in ends for r in blueprint.rules
    )


def _all_to_all(blueprint: Blueprint, question: ClassTraffic, ask: _BoundQuestion) -> Bound:
    # Groups along axes may differ in size where devices are absent.
    least, most = question.group_sizes()
    if least < 2:
        msg = f"all-to-all needs at least 2 ranks; a group has {least}"
        raise QuestionError(msg)
    fabric = Fabric(blueprint.name, blueprint)
    answer = answer_question(Question(fabric, "all-to-all", ask.among, ask.over, ask.paths, is_holding=True))
    # Of an interval no routing beats the upper end.
    rate = answer.certificate.upper_gbps if answer.status == "bounded" else answer.per_endpoint_gbps
    # Ranks of a small group send less of their buffers: what all can send bounds these as well.
    algbw = rate * least / (least - 1)
    return Bound(
        collective="all-to-all",
        size_bytes=ask.size_bytes,
        n_ranks=most,
        algbw_gbps=algbw,
        busbw_gbps=algbw * (most - 1) / most,
        time_s=seconds_to_send(ask.size_bytes, algbw) if algbw > 0 else float("inf"),
        status=_of_traffic(answer.status, is_even=least == most),
        paths=ask.paths,
        reduces_in=(),
        binding=tuple(c.link for c in answer.binding),
        n_variables=answer.n_variables,
        cut_off=answer.cut_off,
        certificate=_scaled(answer.certificate, least / (least - 1)),
    )


def _scaled(proof: Verdict, factor: float) -> Verdict:
    lower, upper = proof.lower_gbps * factor, proof.upper_gbps * factor
    return replace(proof, lower_gbps=lower, upper_gbps=upper)


def _of_traffic(
    status: Literal["optimal", "bounded", "cut off"], *, is_even: bool
) -> Literal["optimum", "upper bound", "cut off"]:
    """Return the status of the bound of an all-to-all, which is the throughput of that traffic."""
    if status == "cut off":
        return status
    # Groups of different sizes send different parts of their buffers.
    return "optimum" if status == "optimal" and is_even else "upper bound"
