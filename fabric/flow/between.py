"""Between more damage and less: where both have one rate, what is between them has it too.

Whoever can send a rate can send it with more cables. So a fabric carries no less than with every one of
its racks damaged as the worst of them is, and no more than with none. These two have few kinds of damage,
whatever the number of what is down::

    NICs down at random   in 50 racks, of 13 kinds        161 classes of sources
    the same in each      tray0/module0-1 in all racks      8
    none                                                    2

Both are answers of their own, with their own proofs. Damage of endpoints is what it is in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fabric.blueprint.model import Blueprint, FailedCables, Selector
from fabric.blueprint.selector import selected_groups
from fabric.errors import FabricError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.certificate import GAP, Verdict
from fabric.flow.question import FEW_VARIABLES, Question
from fabric.graph import Fabric
from fabric.symmetry import NoSymmetryError, Quotient
from fabric.symmetry.marked import Marked, marked

if TYPE_CHECKING:
    from fabric.flow.throughput import Throughput

_PATTERNS = ("all-to-all", "shift", "halves")
_SMALLER = 4
"""How many times smaller a program must be to be worth solving before the whole one."""


def answer_between(ask: Question, answer: Callable[[Question], Throughput]) -> Throughput | None:
    """Return an answer from more damage and from less, or None where nothing is gained by that.

    Parameters
    ----------
    ask : Question
    answer : callable
        Answers a question by one program.

    Returns
    -------
    Throughput or None
        ``optimal`` where the two meet; an interval where they do not.
    """
    blueprint, traffic = ask.fabric.blueprint, ask.traffic
    if blueprint is None or traffic is None or traffic.pattern not in _PATTERNS:
        return None
    if ask.method not in ("auto", "axes") or not (blueprint.failed or blueprint.failed_cables):
        return None
    try:
        question = ClassTraffic(blueprint, traffic, ask.among, ask.paths, is_holding=ask.is_holding)
        found = marked(blueprint, question.apart, question.ties)
    except NoSymmetryError:
        return None
    whole = _n_columns(question)
    if whole <= FEW_VARIABLES:
        return None
    unharmed = _without_damage(found.blueprint)
    if unharmed.failed == found.blueprint.failed and not found.blueprint.failed_cables:
        return None
    least = answer(_asked(ask, unharmed))
    if least.status != "optimal" or least.cut_off:
        return None
    most: Throughput | None = None
    for worse in _with_more_damage(found):
        harder = _asked(ask, worse)
        try:
            own = ClassTraffic(worse, traffic, ask.among, ask.paths, is_holding=ask.is_holding)
            if _n_columns(own) * _SMALLER > whole:
                break
            one = answer(harder)
        except FabricError:
            # Nobody is left, or some but not all cables of a class are down.
            continue
        # Who is cut off there, and left out, may not be where less is down.
        is_same = one.status == "optimal" and not one.cut_off
        if is_same and (most is None or one.per_endpoint_gbps > most.per_endpoint_gbps):
            most = one
        if most is not None and most.per_endpoint_gbps >= least.per_endpoint_gbps * (1 - GAP):
            break
    return None if most is None else _between(most, least, question.base, blueprint)


def _n_columns(question: ClassTraffic) -> int:
    """Return about how many columns the program of a question has: the base stands for each view."""
    return 2 * int(question.ends.sum()) * len(question.base.keys)


def _asked(ask: Question, blueprint: Blueprint) -> Question:
    return replace(ask, fabric=Fabric(ask.fabric.name, blueprint))


def _is_of_ends(blueprint: Blueprint, selector: Selector) -> bool:
    return any(blueprint.groups[g].is_endpoint for g in selected_groups(blueprint, selector))


def _without_damage(blueprint: Blueprint) -> Blueprint:
    """Return `blueprint` with nothing down but endpoints."""
    absent, failed = (
        tuple(s for s in selectors if _is_of_ends(blueprint, s))
        for selectors in (blueprint.absent, blueprint.failed)
    )
    return replace(blueprint, absent=absent, failed=failed, failed_cables=())


def _with_more_damage(found: Marked) -> Iterator[Blueprint]:
    """Yield the blueprint with its damage on all indices of the axes above, of fewer axes each time.

    Alike damage is side by side there, so it is the same in each of them.
    """
    axes = [axis for axis in found.nest.order if any(axis in mark for mark in found.marks)]
    last = found.blueprint
    for n in range(len(axes) - 1, 0, -1):
        spread = frozenset(axes[:n])
        blueprint = _spread(found.blueprint, spread)
        if (blueprint.failed, blueprint.failed_cables) != (last.failed, last.failed_cables):
            last = blueprint
            yield blueprint


def _spread(blueprint: Blueprint, axes: frozenset[str]) -> Blueprint:
    def wider(selector: Selector) -> Selector:
        terms = (t for t in selector.terms if not axes.intersection(blueprint.primitives(t.axis)))
        return Selector(selector.text, selector.group, tuple(terms))

    def devices(selectors: tuple[Selector, ...]) -> tuple[Selector, ...]:
        found = {
            (one.group, one.terms): one
            for one in (s if _is_of_ends(blueprint, s) else wider(s) for s in selectors)
        }
        return tuple(found.values())

    cables = {}
    for failure in blueprint.failed_cables:
        left, right = wider(failure.left), wider(failure.right)
        # All of them: so many of a bundle are no more.
        cables[left.group, left.terms, right.group, right.terms] = FailedCables(
            left, right, None, blueprint.origin
        )
    return replace(
        blueprint,
        absent=devices(blueprint.absent),
        failed=devices(blueprint.failed),
        failed_cables=tuple(cables.values()),
    )


def _between(most: Throughput, least: Throughput, base: Quotient, blueprint: Blueprint) -> Throughput:
    """Return the answer between those with most and with least damage."""
    proof = Verdict(
        most.certificate.lower_gbps,
        least.certificate.upper_gbps,
        (*most.certificate.faults, *least.certificate.faults),
        most.certificate.scope,
    )
    n_cables: dict[str, int] = {}
    for number, rule in enumerate(blueprint.rules):
        listings = 2 if rule.is_peer and not rule.is_oneway else 1
        count = int(base.classes.count[base.classes.rule == number].sum()) // listings
        n_cables[rule.name] = n_cables.get(rule.name, 0) + count
    binding = tuple(replace(one, n_cables=n_cables[one.link]) for one in least.binding)
    priced = {one.link for one in binding}
    slack = (one for one in (*most.binding, *most.slack) if one.link not in priced)
    kind = "no more with nothing down, and no less with as much down everywhere"
    return replace(
        most,
        status=proof.status,
        binding=binding,
        # With less damage there is as much to spare, or more.
        slack=tuple(replace(one, n_cables=n_cables[one.link], is_measured=False) for one in slack),
        why=kind if proof.status == "optimal" else f"{kind}, which is an interval",
        n_classes=most.n_classes + least.n_classes,
        n_variables=most.n_variables + least.n_variables,
        certificate=proof,
    )
