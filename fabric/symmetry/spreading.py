"""Fabrics with more damage than one, and with less: of few kinds, whatever the number of what is down.

Of more damage every sub-tree has what the worst of them has; of less only one of them has any, or none::

    NICs down at random   in 50 racks, of 13 kinds        161 classes of sources
    more                  tray0/nic in all racks            4
    less                  those of one rack                16
    none                                                    2

Damage of endpoints is what it is in all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from fabric.blueprint.model import Blueprint, MarkedCables, Selector, Term
from fabric.blueprint.selector import selected_groups
from fabric.symmetry.labels import Mark
from fabric.symmetry.marked import Marked

MANY_FABRICS = 5
"""With more damage, and with less, that are looked at."""

_MUCH = 0.3
"""Part of the indices of its axes above which damage mostly binds; such fabrics come last."""

Place = dict[str, int]
"""An index on some axes."""


def more_damaged(found: Marked) -> Iterator[Blueprint]:
    """Yield the blueprint with its damage on all indices of most of its axes, the least damage first.

    Alike damage is side by side there, so it is the same in each of them.
    """
    kept = _kept_axes(found)
    seen = {_damage(found.blueprint)}
    for axes in kept[:MANY_FABRICS]:
        blueprint = _spread(found.blueprint, axes)
        if _damage(blueprint) not in seen:
            seen.add(_damage(blueprint))
            yield blueprint


def _kept_axes(found: Marked) -> list[frozenset[str]]:
    """Return on which axes damage may stay as it is: on one, or on the last few, where it is the least."""
    axes = [axis for axis in found.nest.order if any(axis in mark for mark in found.marks)]
    part = {}
    for axis in axes:
        ends = [mark[axis] for mark in found.marks if axis in mark]
        marked = {i for at in ends for i in (range(at[0], at[1] + 1) if isinstance(at, tuple) else (at,))}
        part[axis] = len(marked) / found.plain.blueprint.axes[axis].size
    # The innermost first; sorting keeps the order of equals.
    some = (own for n in range(len(axes) - 1, 0, -1) for own in ((axes[n],), tuple(axes[n:])))
    order = sorted(dict.fromkeys(some), key=lambda own: math.prod(part[a] for a in own) > _MUCH)
    return list(map(frozenset, order))


def less_damaged(found: Marked) -> Iterator[Blueprint]:
    """Yield the blueprint with nothing down but endpoints, then with the damage of one sub-tree alone.

    That is the one where most is down, of every kind of what is down and at every depth, small ones first.
    """
    whole = found.blueprint
    none = _within(whole, None)
    yield none
    axes = [axis for axis in found.nest.order if any(axis in mark for mark in found.marks)]
    seen = {_damage(whole), _damage(none)}
    for depth in range(len(axes), 0, -1):
        for place in _worst_places(whole, axes[:depth]):
            blueprint = _within(whole, place)
            if len(seen) < MANY_FABRICS + 2 and _damage(blueprint) not in seen:
                seen.add(_damage(blueprint))
                yield blueprint


def _worst_places(blueprint: Blueprint, axes: list[str]) -> list[Place]:
    """Return the sub-tree in which most is down of every group, by its index on some axes."""
    n_down: dict[tuple[str | None, ...], dict[Mark, int]] = {}
    cables = [(c.left, c.right) for c in blueprint.marked_cables]
    for ends in [*((s,) for s in (*blueprint.absent, *blueprint.failed)), *cables]:
        if len(ends) == 1 and _is_of_ends(blueprint, ends[0]):
            continue
        terms = {_primitive(blueprint, term): term for end in ends for term in end.terms}
        # All indices of a range are alike: the first stands for them.
        place: Mark = tuple((axis, terms[axis].lo) for axis in axes if axis in terms)
        n = math.prod(t.hi - t.lo + 1 for axis, t in terms.items() if axis not in axes)
        own = n_down.setdefault(tuple(end.group for end in ends), {})
        own[place] = own.get(place, 0) + n
    return [dict(max(own.items(), key=lambda one: one[1])[0]) for own in n_down.values()]


def _primitive(blueprint: Blueprint, term: Term) -> str:
    """Return the axis of a term, or nothing where that is composed of several."""
    return term.axis if blueprint.primitives(term.axis) == (term.axis,) else ""


def _within(blueprint: Blueprint, place: Place | None) -> Blueprint:
    """Return `blueprint` with only what is down at some indices, nothing for None; and endpoints."""

    def narrowed(selector: Selector) -> Selector | None:
        terms = []
        for term in selector.terms:
            at = (place or {}).get(_primitive(blueprint, term), term.lo)
            if not term.lo <= at <= term.hi:
                return None
            terms.append(Term(term.axis, at, at) if term.axis in (place or {}) else term)
        return replace(selector, terms=tuple(terms))

    def devices(selectors: tuple[Selector, ...]) -> tuple[Selector, ...]:
        own = (s if _is_of_ends(blueprint, s) else narrowed(s) if place else None for s in selectors)
        return tuple(s for s in own if s is not None)

    cables = []
    for failure in blueprint.marked_cables if place else ():
        left, right = narrowed(failure.left), narrowed(failure.right)
        if left is None or right is None:
            continue
        # The first few of several bundles are others where there are fewer of these.
        if failure.n is None or failure.is_each or (left, right) == (failure.left, failure.right):
            cables.append(replace(failure, left=left, right=right))
    return replace(
        blueprint,
        absent=devices(blueprint.absent),
        failed=devices(blueprint.failed),
        marked_cables=tuple(cables),
    )


def _is_of_ends(blueprint: Blueprint, selector: Selector) -> bool:
    return any(blueprint.groups[g].is_endpoint for g in selected_groups(blueprint, selector))


def _damage(blueprint: Blueprint) -> object:
    cables = tuple((c.left, c.right, c.n, c.is_each, c.part) for c in blueprint.marked_cables)
    return blueprint.absent, blueprint.failed, cables


def _spread(blueprint: Blueprint, kept: frozenset[str]) -> Blueprint:
    """Return `blueprint` with its damage on all indices of the axes that are not kept."""

    def wider(selector: Selector) -> Selector:
        terms = (t for t in selector.terms if kept.issuperset(blueprint.primitives(t.axis)))
        return Selector(selector.text, selector.group, tuple(terms))

    def devices(selectors: tuple[Selector, ...]) -> tuple[Selector, ...]:
        found = {
            (one.group, one.terms): one
            for one in (s if _is_of_ends(blueprint, s) else wider(s) for s in selectors)
        }
        return tuple(found.values())

    cables = {}
    for failure in blueprint.marked_cables:
        left, right = wider(failure.left), wider(failure.right)
        # All of them: so many of a bundle are no more.
        cables[left.group, left.terms, right.group, right.terms, failure.rule, failure.part] = MarkedCables(
            left, right, None, blueprint.origin, rule=failure.rule, part=failure.part
        )
    return replace(
        blueprint,
        absent=devices(blueprint.absent),
        failed=devices(blueprint.failed),
        marked_cables=tuple(cables.values()),
    )
