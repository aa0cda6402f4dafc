"""Which link class binds a traffic pattern, what it costs, and what comes next.

Send and receive classes tie in balanced traffic, so one dual solution is arbitrary. A price here belongs to a
class of cables, both directions together, and is measured: the program of `throughput` goes on from its
solution with the class a little narrower and, where that costs something, a little wider, and 10 % wider and
narrower. Classes that lose when narrowed but gain nothing alone bind jointly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from fabric.arguments import Method, checked
from fabric.arrays import Bools, Floats, Ints
from fabric.errors import setting
from fabric.flow.between import Posed, between, hold_question
from fabric.flow.certificate import GAP
from fabric.flow.commodities import Commodities, ProgramSizeError, Solution, without
from fabric.flow.concurrent import price_bound
from fabric.flow.prices import LinkPrice
from fabric.flow.program import ClassProgram, solve_commodities
from fabric.flow.question import Question, pose
from fabric.flow.throughput import Throughput, answer_of
from fabric.flow.traffic import Traffic
from fabric.graph import EXPAND_LIMIT, Fabric, Paths
from fabric.results import CutOff, DeviceText, Result, say_damage, say_lost
from fabric.units import format_count, format_rate

STEP = 1e-4
"""Relative change of a capacity for the slopes; the program is piecewise linear."""
_BINDS, _NO_CHANGE, _SAME = 1e-3, 1e-9, 1e-8


@dataclass(frozen=True, slots=True)
class CablePrice(Result):
    """Price of one class of cables.

    Parameters
    ----------
    link : str
        Rule.
    where : str
        One cable of the class; empty where the rule is one class.
    n_cables : int
    up_slope, down_slope : float
        Relative gain of the rate per relative gain of capacity, and relative loss per relative loss.
    gain, loss : float
        Change of the rate when the class is 10 % wider, and 10 % narrower, as a fraction of the rate.
    share : float
        Mean of the two slopes over the sum of the means.
    """

    link: str
    where: DeviceText
    n_cables: int
    up_slope: float
    down_slope: float
    gain: float
    loss: float
    share: float

    shown: ClassVar[tuple[str, ...]] = ("is_joint",)

    @property
    def is_joint(self) -> bool:
        """Whether the class binds only together with others."""
        return self.down_slope > _BINDS >= self.up_slope

    def __str__(self) -> str:
        """Return the class with what widening and narrowing it does."""
        where = f" (such as {self.where})" if self.where else ""
        return (
            f"{self.link}{where}, {format_count(self.n_cables)} cables: "
            f"+10 % gives {100 * self.gain:+.3g} %, "
            f"-10 % gives {-100 * self.loss:+.3g} %, share {100 * self.share:.3g} %"
            + (", jointly" if self.is_joint else "")
        )


class Starving(NamedTuple):
    """Endpoints that hold back all: one, how many are alike, and the rate of the rest without them [Gb/s]."""

    endpoint: DeviceText
    n: int
    rest_gbps: float


@dataclass(frozen=True, slots=True)
class Bottleneck(Result):
    """Answer of `bottleneck`.

    Parameters
    ----------
    throughput : Throughput
    binding : tuple of CablePrice
        Classes whose loss lowers the rate, dearest first.
    joint_gain : float
        Change of the rate when all binding classes are 10 % wider at once.
    slack : tuple of LinkPrice
        Other rules that carry traffic, with what each alone can spare, as `throughput` says it.
    next_gbps : float
        Rate once the binding classes are widened without limit; infinite where nothing else binds.
    next_binding : tuple of str
        What binds then.
    starving : tuple of Starving
        Small classes of endpoints that hold back all.
    """

    throughput: Throughput
    binding: tuple[CablePrice, ...]
    joint_gain: float
    slack: tuple[LinkPrice, ...]
    next_gbps: float
    next_binding: tuple[str, ...]
    starving: tuple[Starving, ...]

    shown: ClassVar[tuple[str, ...]] = ("status", "cut_off")

    @property
    def status(self) -> Literal["optimal", "bounded", "cut off"]:
        """As of the throughput: with ``cut off`` there is nothing that binds."""
        return self.throughput.status

    @property
    def cut_off(self) -> tuple[CutOff, ...]:
        """Who cannot take part, as `throughput` says it."""
        return self.throughput.cut_off

    def picture(self) -> str:
        """Return how much of each kind of cable the traffic needs."""
        return self.throughput.picture()

    def table(self) -> list[dict[str, object]]:
        """Return the classes of cables that bind, dearest first."""
        return [price.to_dict() for price in self.binding]

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        first = self.throughput
        lines = [
            f"{first.traffic} among {format_count(first.n_endpoints)} endpoints: "
            f"{format_rate(first.per_endpoint_gbps)} each, per direction"
        ]
        lines += [f"  binds: {price}" for price in self.binding]
        if any(p.is_joint for p in self.binding):
            lines.append(f"  all of these 10 % wider: {100 * self.joint_gain:+.3g} %")
        if self.slack:
            lines.append(f"  slack, each alone: {', '.join(map(str, self.slack))}")
        if np.isfinite(self.next_gbps):
            lines.append(
                f"  next, once these are wide: {', '.join(self.next_binding)} "
                f"at {format_rate(self.next_gbps)} each"
            )
        for who, n, rate in self.starving:
            lines.append(
                f"  {format_count(n)} endpoints such as {who} hold back the rest, "
                f"who would get {format_rate(rate)}"
            )
        remedy = setting("drop_unreachable", True)
        lines += say_lost(first.cut_off, first.n_failed, remedy, is_dropped=first.is_dropped)
        lines += say_damage(first.damage)
        lines.append(f"  {first.status}, by {first.method}: {first.why}")
        return "\n".join(lines)


@checked
def bottleneck(
    fabric: Fabric,
    traffic: str | Traffic = "all-to-all",
    *,
    among: str | None = None,
    over: Sequence[str] = (),
    paths: Paths = "rules",
    method: Method = "auto",
    drop_unreachable: bool = False,
    limit: int = EXPAND_LIMIT,
) -> Bottleneck:
    """Return what binds a traffic pattern, what each class is worth, and the next bottleneck.

    Parameters
    ----------
    fabric, traffic, among, over, paths, method, drop_unreachable, limit
        As in `throughput`.

    Returns
    -------
    Bottleneck

    Raises
    ------
    QuestionError, SelectorError, LimitError
        As `throughput`.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> price = bottleneck(loads(text)).binding[0]
    >>> price.link, round(price.gain, 6), round(price.loss, 6)
    ('gpu-leaf', 0.1, 0.1)
    """
    begin = time.perf_counter()
    ask = Question(fabric, traffic, among, tuple(over), paths, method, drop_unreachable, limit)
    held = hold_question(ask, lambda posed: _Priced(posed, begin))
    if held is not None and held.is_met:
        more, less = held.more.answer, held.less.answer
        first = between(ask, more.throughput, less.throughput)
        if first is not None:
            n_cables = {row.link: row.n_cables for row in (*first.binding, *first.slack)}
            binding = tuple(replace(price, n_cables=n_cables[price.link]) for price in less.binding)
            return replace(less, throughput=first, binding=binding, slack=_slack(first, binding))
    work, why = pose(ask)
    # Posed and built once: all below scales capacities of this program.
    program = ClassProgram(work.commodities, work.capacity)
    return _price_classes(Posed(ask, work, program, why, 0.0), begin)


class _Priced:
    """A question that is posed and solved, priced where the answer with less damage is asked for.

    Parameters
    ----------
    posed : Posed
    begin : float
        When the question was put, by `time.perf_counter` [s].
    """

    def __init__(self, posed: Posed, begin: float) -> None:
        self.rate_gbps, self._posed, self._begin = posed.rate_gbps, posed, begin

    @cached_property
    def answer(self) -> Bottleneck:
        """The prices of all classes of cables."""
        return _price_classes(self._posed, self._begin)

    def meets(self, less: _Priced) -> bool:
        """Return whether all that is said of cables is the same with less damage.

        What wider or narrower cables change is between the two as well, if these are the same cables: so it
        is where all of a rule bind.
        """
        if self.rate_gbps < less.rate_gbps * (1 - GAP):
            return False
        own, other = self.answer, less.answer
        if own.starving or other.starving or any(p.where for p in (*own.binding, *other.binding)):
            return False
        prices = [{p.link: p for p in one.binding} for one in (own, other)]
        if prices[0].keys() != prices[1].keys() or own.next_binding != other.next_binding:
            return False
        pairs = [(own.joint_gain, other.joint_gain), (own.next_gbps, other.next_gbps)]
        for link, price in prices[0].items():
            again = prices[1][link]
            pairs += [(price.gain, again.gain), (price.loss, again.loss)]
            # Differences of rates over a small step.
            pairs += [(price.up_slope * STEP, again.up_slope * STEP)]
            pairs += [(price.down_slope * STEP, again.down_slope * STEP)]
        return all(math.isclose(a, b, rel_tol=_SAME, abs_tol=_SAME) for a, b in pairs)


def _price_classes(posed: Posed, begin: float) -> Bottleneck:
    """Return what each class of cables of a question is worth."""
    work, program = posed.work, posed.program
    first, answer = answer_of(posed.ask, work, program, why=posed.why, begin=begin)
    # No slope of a rate of 0: who is cut off is the whole answer.
    if not first.per_endpoint_gbps:
        return Bottleneck(first, (), 0.0, (), float("inf"), (), ())
    trial = Trial(work, program, answer)
    cables = _full_cables(work, work.use(answer.flow))
    # Only what is full in this solution can bind; of that, what costs something when narrower.
    priced = [(ids, price) for number, ids in cables if (price := _price(trial, ids, number))]
    binding = [price for _, price in priced]
    # At a kink the two slopes differ: the share is by their mean, so that what binds jointly counts too.
    total = sum(price.up_slope + price.down_slope for price in binding)
    binding = [replace(price, share=(price.up_slope + price.down_slope) / total) for price in binding]
    ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in priced)])
    next_rate, next_names = _next(trial, ids)
    return Bottleneck(
        throughput=first,
        binding=tuple(sorted(binding, key=lambda price: -round(price.share, 6))),
        joint_gain=trial.change(ids, 1.1),
        slack=_slack(first, binding),
        next_gbps=next_rate,
        next_binding=next_names,
        starving=_starving(work, answer),
    )


def _slack(first: Throughput, binding: Sequence[CablePrice]) -> tuple[LinkPrice, ...]:
    """Return the rules that carry traffic and do not bind."""
    names = {price.link for price in binding}
    return tuple(row for row in (*first.slack, *first.binding) if row.link not in names)


def _full_cables(work: Commodities, load: Floats) -> list[tuple[int, Ints]]:
    """Return each rule that has full cables, with the link classes of these, both directions.

    A cable is full where either direction is. What is not full in one best solution can be narrowed: it has
    no price.
    """
    e = work.base.classes
    full_cables = []
    for rule in range(len(e.rules)):
        ids = work.base.base.reshape(-1, 2)[e.rule == rule]
        # Cables that are down have no price.
        ids = ids[(work.capacity[ids] > 0).all(axis=1)]
        full = load[ids].max(axis=1, initial=0.0) > 1 - 1e-6
        if e.rules[rule].is_peer:
            # Cables between peers are listed once for each direction.
            full = full | np.isin(ids, _way_back(work, rule, ids[full, 0])).any(axis=1)
        if full.any():
            full_cables.append((rule, np.unique(ids[full])))
    return full_cables


def _way_back(work: Commodities, rule: int, full: Ints) -> Ints:
    """Return the link classes of the other direction of peers' cables."""
    e = work.base.classes
    rows = np.flatnonzero((e.rule == rule) & np.isin(work.base.base[0::2], full))
    # The same pair of classes, listed from the other end.
    ends = {(int(e.head[b]), int(e.tail[b])) for b in rows}
    back = [b for b in np.flatnonzero(e.rule == rule) if (int(e.tail[b]), int(e.head[b])) in ends]
    return work.base.base[0::2][back]


@dataclass(frozen=True, eq=False)
class Trial:
    """A solved question, to be asked again with some classes of links wider or narrower."""

    work: Commodities
    program: ClassProgram
    answer: Solution

    def wider(self, ids: Ints, factor: float) -> Floats:
        """Return the factor of the capacity of every base class of links."""
        factors = np.ones(len(self.work.capacity))
        factors[ids] = factor
        return factors

    def change(self, ids: Ints, factor: float) -> float:
        """Return the relative change of the rate, 0 where it is rounding."""
        rate_gbps = self.program.rate_gbps(self.wider(ids, factor))
        change = rate_gbps / self.answer.rate_gbps - 1
        return change if abs(change) > _NO_CHANGE else 0.0


def _price(trial: Trial, ids: Ints, rule: int) -> CablePrice | None:
    """Return the price of a class of full cables, or None where narrowing it costs nothing."""
    # One-sided slopes: at a kink narrowing costs where widening gains nothing.
    down = -trial.change(ids, 1 - STEP) / STEP
    if down <= _BINDS:
        return None
    # The rate is concave in the capacity: what gains nothing at first gains nothing later.
    up = trial.change(ids, 1 + STEP) / STEP
    gain, loss = trial.change(ids, 1.1) if up > 0 else 0.0, -trial.change(ids, 0.9)
    work, e = trial.work, trial.work.base.classes
    rows = np.isin(work.base.base[0::2], ids)
    example = int(np.flatnonzero(rows)[0])
    is_whole = rows.sum() == (e.rule == rule).sum()
    tail, head = (str(e.names[int(end[example])]) for end in (e.tail, e.head))
    # A class that is the whole rule needs no example. Two alike have one name, that of their class.
    where = "" if is_whole else f"{tail} - {head}" if tail != head else f"{tail} and one like it"
    n_cables = int(e.count[rows].sum()) // work.n_listings(rule)
    return CablePrice(
        link=e.rules[rule].name,
        where=where,
        n_cables=n_cables,
        up_slope=up,
        down_slope=down,
        gain=gain,
        loss=loss,
        share=0.0,
    )


def _next(trial: Trial, ids: Ints) -> tuple[float, tuple[str, ...]]:
    """Return the rate and the rules that bind once the classes `ids` are far wider than anything else."""
    if not len(ids):
        return float("inf"), ()
    # Far wider than any ratio of rates in a fabric, yet harmless to the solver.
    wider = trial.wider(ids, 1e4)
    answer = trial.program.solve(wider)
    # Complementary slackness: what has a price in the wider program binds there.
    work, e = trial.work, trial.work.base.classes
    worth = wider * work.capacity * answer.price
    bound = np.flatnonzero(worth > 1e-6 * worth.sum())
    rules = {int(r) for r in e.rule[np.isin(work.base.base, bound).reshape(-1, 2).any(axis=1)]}
    widened = {int(r) for r in e.rule[np.isin(work.base.base, ids).reshape(-1, 2).any(axis=1)]}
    # Nothing else limits, or only what is left of the widened classes.
    if answer.rate_gbps > 1e3 * trial.answer.rate_gbps or rules <= widened:
        return float("inf"), ()
    return answer.rate_gbps, tuple(e.rules[r].name for r in sorted(rules))


def _starving(work: Commodities, answer: Solution) -> tuple[Starving, ...]:
    """Return small classes of endpoints without which the rest would get far more."""
    # Where nothing is averaged no class of sources can be left out.
    if not work.is_averaged or len(work.commodities) < 2:
        return ()
    starving = []
    for commodity in work.commodities:
        lost: Bools = work.base.origin == commodity.origin
        n = float(work.base.size[lost].sum())
        # Those left send as before to the targets that are left.
        remaining = without(work, lost)
        if n * 2 >= work.n_endpoints or remaining is None:
            continue
        # Fewer endpoints always get more; a class that starves all holds back more than its own part.
        much = answer.rate_gbps * (1 + max(0.01, n / (work.n_endpoints - n)))
        # The prices of all bound the rate of the rest too: mostly they say that it is no such class.
        if price_bound(replace(work, commodities=remaining), answer.price) <= much:
            continue
        try:
            better = solve_commodities(work.capacity, remaining).rate_gbps
        except ProgramSizeError:  # larger than the question itself, which was solved: nothing is said
            continue
        if better > much:
            where = int(np.flatnonzero(lost)[0])
            starving.append(Starving(str(work.base.classes.names[where]), round(n), better))
    return tuple(sorted(starving, key=lambda row: -row.rest_gbps))
