"""What is absent, has failed or is of a side of a question, as marks: one for each device or pair of ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

from fabric.blueprint.model import Blueprint, MarkedCables, Rule, Selector, Term
from fabric.blueprint.rule_axes import agreeing_axes, twist_axes
from fabric.blueprint.selector import selected_groups
from fabric.symmetry.labels import Mark, as_mark
from fabric.symmetry.nesting import Nesting

FEW_DEVICES, FEWER_DEVICES = 256, 16
"""Devices of a range on several axes that are marked one by one; fewer where there are many ranges. Beyond,
such a range is cells of axes."""
MANY_MARKS = 2_000
"""Marks beyond which all are told apart: some seconds to put them in order."""

Sides = tuple[tuple[Selector, ...], ...]
"""What a question selects, such as sources and targets: alike within each."""
Side = tuple[str | None, tuple[Term, ...]]
"""A group, or None for all, and the terms of a selector that is no mark."""
Tag = tuple[str, int, tuple[Side, ...], frozenset[str], str, float]
"""What alike damage has in common: absent, failed, a side or cables; how many of the cables, 0 for all; its
sides; the axes on which all cables between the two agree; the rule of the cables, empty for any; and the part
that they still have of their rate."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A device, or the cables between two, that is absent, down or of a side of a question.

    Parameters
    ----------
    tag : Tag
    ends : tuple of Mark
        The device, or the two; of a side that is no mark, nothing.
    """

    tag: Tag
    ends: tuple[Mark, ...]


def damage_of(
    blueprint: Blueprint, nest: Nesting, sides: Sides = ()
) -> tuple[tuple[Damage, ...], tuple[Selector, ...]]:
    """Return what is absent, has failed or is of a side, and what only cells of axes can tell apart."""
    found: list[Damage] = []
    cells: list[Selector] = []
    few = _few_devices(blueprint, sides)

    def side(selector: Selector) -> tuple[Side, Mark]:
        mark = as_mark(blueprint, selector, nest)
        if mark is None:
            cells.append(selector)
        return (selector.group, selector.terms if mark is None else ()), mark or ()

    # What names no group means endpoints, unless it ends in a star.
    named = [
        (f"side {number} {'all' if one.text.endswith('*') else 'ends'}", (one,))
        for number, selectors in enumerate(sides)
        for one in selectors
    ]
    for word, selectors in (("absent", blueprint.absent), ("failed", blueprint.failed), *named):
        for selector in (one for several in selectors for one in _devices(several, few)):
            own, end = side(selector)
            found.append(Damage((word, 0, (own,), frozenset(), "", 0.0), (end,)))
    some: dict[tuple[tuple[Side, ...], frozenset[str], str, float, tuple[Mark, ...]], int] = {}
    for failure in blueprint.marked_cables:
        ends = (failure.left, failure.right)
        # The first cables of a range are at its first device.
        pairs = product(*(_devices(end, few) for end in ends)) if failure.n is None else [ends]
        agree = _agreeing(_joining(blueprint, failure), blueprint)
        for pair in pairs:
            # In no order: sides are sorted, so that those of alike cables are in the same.
            both = sorted(map(side, pair), key=lambda one: (one[0][0] or "", one[1]))
            of, marks = tuple(own for own, _ in both), tuple(end for _, end in both)
            if failure.n is None:
                found.append(Damage(("cables", 0, of, agree, failure.rule, failure.part), marks))
            else:
                # So many of a bundle, and so many more.
                bundle = of, agree, failure.rule, failure.part, marks
                some[bundle] = some.get(bundle, 0) + failure.n
    found += [
        Damage(("cables", n, of, agree, rule, part), marks)
        for (of, agree, rule, part, marks), n in some.items()
    ]
    partial = (s for c in blueprint.marked_cables if c.n is not None for s in (c.left, c.right))
    limits = (Term(t.axis, i, i) for s in partial for t in s.terms if t.lo < t.hi for i in (t.lo, t.hi))
    cells += [Selector("", None, (term,)) for term in limits]
    return tuple(dict.fromkeys(found)), tuple(dict.fromkeys(cells))


def _n_devices(selector: Selector) -> int:
    """Return how many devices a range on several axes is; one on a single axis is a cell of it."""
    sizes = [term.hi - term.lo + 1 for term in selector.terms]
    return 1 if len(sizes) == 1 else math.prod(sizes)


def _few_devices(blueprint: Blueprint, sides: Sides) -> int:
    """Return how many devices of a range are marked one by one."""
    n_marks = sum(map(_n_devices, (*blueprint.absent, *blueprint.failed, *chain(*sides))))
    n_marks += sum(_n_devices(c.left) * _n_devices(c.right) for c in blueprint.marked_cables)
    return FEW_DEVICES if n_marks <= MANY_MARKS else FEWER_DEVICES


def _devices(selector: Selector, few: int) -> list[Selector]:
    """Return a range of few indices on several axes as one selector for each, the same as a list of them.

    A range on one axis is a cell of it. With others it would cut each of them from end to end.
    """
    if not 1 < _n_devices(selector) <= few:
        return [selector]
    choices = product(*(range(term.lo, term.hi + 1) for term in selector.terms))
    return [
        replace(selector, terms=tuple(Term(t.axis, i, i) for t, i in zip(selector.terms, at, strict=True)))
        for at in choices
    ]


def _joining(blueprint: Blueprint, failure: MarkedCables) -> list[Rule]:
    """Return the rules that cables of a failure may be of."""
    x, y = (set(selected_groups(blueprint, s)) for s in (failure.left, failure.right))
    return [
        rule
        for rule in blueprint.rules
        if failure.may_be_of(rule.name)
        and any(a in x and b in y for a, b in (rule.groups, rule.groups[::-1]))
    ]


def _agreeing(rules: Sequence[Rule], blueprint: Blueprint) -> frozenset[str]:
    """Return the axes on which every cable of some rules agrees."""
    agree = [
        frozenset(agreeing_axes(blueprint, rule)) - frozenset(twist_axes(blueprint, rule)) for rule in rules
    ]
    return frozenset.intersection(*agree) if agree else frozenset()


def may_move(blueprint: Blueprint) -> bool:
    """Return whether a permutation maps all damage to damage.

    So many cables of several bundles are the first of them in the order of rules and devices, which no
    permutation keeps.
    """

    def is_device(selector: Selector) -> bool:
        if selector.group is None:
            return False
        axes = {p for t in selector.terms if t.lo == t.hi for p in blueprint.primitives(t.axis)}
        return axes == set(blueprint.groups[selector.group].primitives)

    return all(
        failure.n is None
        or (is_device(failure.left) and is_device(failure.right) and len(_joining(blueprint, failure)) == 1)
        for failure in blueprint.marked_cables
    )
