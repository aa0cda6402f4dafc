"""Between more damage and less: where both have one rate, what is between them has it too.

Whoever can send a rate can send it with more cables. So a fabric carries no less than one with more damage,
and no more than one with less. `fabric.symmetry.spreading` makes such, of few kinds of damage. Both are
answers of their own, with their own proofs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from fabric.blueprint.model import Blueprint
from fabric.errors import FabricError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.commodities import Commodities
from fabric.flow.program import ClassProgram
from fabric.flow.question import Question, pose
from fabric.graph import Fabric
from fabric.symmetry import NoSymmetryError, Quotient
from fabric.symmetry.marked import Marked, count_damage, marked
from fabric.symmetry.spreading import less_damaged, more_damaged

if TYPE_CHECKING:
    from fabric.flow.throughput import Throughput

MANY_COLUMNS, MANY_BRIEF = 1_200, 20_000
"""Estimated columns of a program from which on it is worth trying to do without, for one answer with all that
is told of it and for one of many: pairs of failures in 1,152 GPUs took half as long again by trying."""

_PATTERNS = ("all-to-all", "shift", "halves")
_SMALLER = 3
"""How many times smaller a program must be to be worth solving before the whole one."""


class Rated(Protocol):
    """What has a rate."""

    @property
    def rate_gbps(self) -> float:
        """Rate [Gb/s]."""

    def meets(self, less: Self) -> bool:
        """Return whether all is the same with less damage."""


Answer = TypeVar("Answer", bound=Rated)


@dataclass(frozen=True, eq=False)
class Held(Generic[Answer]):
    """Answers of a fabric with more damage and of one with less.

    Parameters
    ----------
    more, less : Answer
        Between their rates is that of the fabric.
    is_met : bool
        Whether both say the same.
    """

    more: Answer
    less: Answer
    is_met: bool = False


def hold(
    found: Marked,
    whole: int,
    n_columns: Callable[[Blueprint], int],
    *,
    answer: Callable[[Blueprint], Answer | None],
    at_most: Callable[[Blueprint], Answer | None] | None = None,
) -> Held[Answer] | None:
    """Return the nearest answers from more damage and from less, or None where nothing is gained by that.

    Parameters
    ----------
    found : Marked
    whole : int
        About how many columns its program has.
    n_columns : callable
        The same of a blueprint.
    answer : callable
        Answers a question of a blueprint; None where that has no rate.
    at_most : callable, optional
        The same with less work, where the rate may come out too high: asked first of less damage.
    """
    if whole <= MANY_COLUMNS or not found.marks:
        return None

    def tried(other: Blueprint, how: Callable[[Blueprint], Answer | None] = answer) -> Answer | None:
        try:
            is_small = other is found.blueprint or n_columns(other) * _SMALLER <= whole
            return how(other) if is_small else None
        except FabricError:
            # Nobody is left, or some but not all cables of a class are down.
            return None

    more, less = more_damaged(found), less_damaged(found)
    least, best = tried(next(less)), None
    if least is None:
        return None
    # By turns: nobody knows which of the two is the farther off.
    some = list(less)
    ways = [(answer, other) for other in some]
    if at_most is not None:
        ways = [*((at_most, other) for other in (*some, found.blueprint)), *ways]
    for harder, easier in zip_longest(more, ways):
        one = None if harder is None else tried(harder)
        if one is not None and (best is None or one.rate_gbps > best.rate_gbps * (1 + GAP)):
            best = one
            if best.meets(least):
                return Held(best, least, is_met=True)
        # With nothing down it carries more: the damage binds. That of one sub-tree may be all that does.
        one = None if easier is None or best is None else tried(easier[1], easier[0])
        if one is not None and best is not None and one.rate_gbps < least.rate_gbps * (1 - GAP):
            least = one
            if best.meets(least):
                return Held(best, least, is_met=True)
    return None if best is None else Held(best, least)


@dataclass(frozen=True, eq=False)
class Posed:
    """A question with its program, solved.

    Parameters
    ----------
    ask : Question
    work : Commodities
    program : ClassProgram
    why : str
        As `pose` returns it.
    rate_gbps : float
    """

    ask: Question
    work: Commodities
    program: ClassProgram
    why: str
    rate_gbps: float

    def meets(self, less: Posed) -> bool:
        """Return whether the rate is the same with less damage."""
        return self.rate_gbps >= less.rate_gbps * (1 - GAP)


def hold_question(ask: Question, of: Callable[[Posed], Answer]) -> Held[Answer] | None:
    """Return what `of` makes of a question about more damage and about less, or None where nothing is gained.

    Parameters
    ----------
    ask : Question
    of : callable
        Answers a question that is posed and solved.
    """
    blueprint, traffic = ask.fabric.blueprint, ask.traffic
    if blueprint is None or traffic is None or traffic.pattern not in _PATTERNS:
        return None
    if ask.method not in ("auto", "axes") or not (blueprint.failed or blueprint.marked_cables):
        return None

    def classes(other: Blueprint) -> ClassTraffic:
        return ClassTraffic(other, traffic, ask.among, ask.paths, is_holding=ask.is_holding)

    def answered(other: Blueprint) -> Answer | None:
        asked = replace(ask, fabric=Fabric(ask.fabric.name, other))
        work, why = pose(asked)
        # Who is cut off, and left out, may not be where less is down.
        if work.cut_off:
            return None
        program = ClassProgram(work.commodities, work.capacity)
        return of(Posed(asked, work, program, why, program.solve().rate_gbps))

    def n_columns(other: Blueprint) -> int:
        question = classes(other)
        # The base stands for each view.
        return 2 * int(question.ends.sum()) * len(question.base.keys)

    try:
        question = classes(blueprint)
        if ask.is_brief and n_columns(blueprint) <= MANY_BRIEF:
            return None
        found = marked(blueprint, question.apart, question.ties, is_in_front=True)
        return hold(found, n_columns(blueprint), n_columns, answer=answered)
    except NoSymmetryError:
        return None


def between(ask: Question, more: Throughput, less: Throughput) -> Throughput | None:
    """Return the answer between those with more and with less damage, or None where one is not proven."""
    blueprint, traffic = ask.fabric.blueprint, ask.traffic
    if blueprint is None or traffic is None or {more.status, less.status} != {"optimal"}:
        return None
    base = ClassTraffic(blueprint, traffic, ask.among, ask.paths, is_holding=ask.is_holding).base
    proof = Verdict(
        more.certificate.lower_gbps,
        less.certificate.upper_gbps,
        (*more.certificate.faults, *less.certificate.faults),
        more.certificate.scope,
    )
    n_cables = _count_cables(base, blueprint)
    binding = tuple(replace(one, n_cables=n_cables[one.link]) for one in less.binding)
    priced = {one.link for one in binding}
    slack = (one for one in (*more.binding, *more.slack) if one.link not in priced)
    kind = "no more with less down, and no less with more"
    return replace(
        more,
        status=proof.status,
        binding=binding,
        # With less damage there is as much to spare, or more.
        slack=tuple(replace(one, n_cables=n_cables[one.link], is_measured=False) for one in slack),
        why=kind if proof.status == "optimal" else f"{kind}, which is an interval",
        n_classes=more.n_classes + less.n_classes,
        n_variables=more.n_variables + less.n_variables,
        certificate=proof,
        damage=count_damage(blueprint),
    )


def _count_cables(base: Quotient, blueprint: Blueprint) -> dict[str, int]:
    """Return the cables of every rule that are up."""
    n_cables: dict[str, int] = {}
    for number, rule in enumerate(blueprint.rules):
        listings = 2 if rule.is_peer and not rule.is_oneway else 1
        count = int(base.classes.count[base.classes.rule == number].sum()) // listings
        n_cables[rule.name] = n_cables.get(rule.name, 0) + count
    return n_cables
