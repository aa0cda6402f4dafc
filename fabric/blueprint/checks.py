"""Checks that need counting: `each`, port budgets, rules that join nothing, unequal rates, failed cables.

All of them run on the class grid, so a fabric of a million GPUs is checked as fast as a rack. Order, as the
grammar has it: `each` before absent devices are taken out, ports after, failures never.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import cast

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.census import Census, RuleCensus, census, degrees
from fabric.blueprint.join import Grid, agreeing, relation_axes, twist_axes
from fabric.blueprint.model import Blueprint, FailedCables, Rule
from fabric.blueprint.ports import port_problems
from fabric.errors import Problem
from fabric.units import MAX_COUNT, format_count, format_rate


def check_numbers(blueprint: Blueprint, *, is_whole: bool = True) -> list[Problem]:
    """Return what counting finds wrong.

    Parameters
    ----------
    blueprint : Blueprint
    is_whole : bool
        False where broken elements were left out; what needs all rules is then not judged.

    Returns
    -------
    list of Problem

    Raises
    ------
    LimitError
        If the blueprint tells too many classes of devices apart to be counted.
    """
    selectors = tuple(s for f in blueprint.failed_cables for s in (f.left, f.right))
    counted = census(blueprint, selectors)
    problems = [*_sizes(counted), *_each(counted), *_rates(counted)]
    if is_whole and not problems:
        problems += port_problems(counted)
    if is_whole:
        problems += (p for failure in blueprint.failed_cables for p in _failed(counted, failure))
    return problems


def check_cables(blueprint: Blueprint, cables: tuple[FailedCables, ...]) -> list[Problem]:
    """Return which failed cables do not exist.

    Raises
    ------
    LimitError
        As `check_numbers`.
    """
    if not cables:
        return []
    counted = census(blueprint, tuple(s for f in cables for s in (f.left, f.right)))
    return [p for failure in cables for p in _failed(counted, failure)]


def _sizes(counted: Census) -> Iterator[Problem]:
    for one in counted.rules:
        origin, n_cables = one.rule.origin, float(one.n_cables.sum())
        if not len(one.left):
            todo = "check the axes, selectors and counts of both sides"
            yield origin.problem(f"{one.rule.name} joins nothing", key="between", todo=todo)
        elif n_cables > MAX_COUNT:
            what = f"{one.rule.name} has too many cables"
            yield origin.problem(what, key="between", got=f"{n_cables:.3g}", expected="at most 2**53")


def _each(counted: Census) -> Iterator[Problem]:
    for one in counted.rules:
        rule = one.rule
        if rule.each is None or not len(one.left):
            continue
        found = degrees(one, counted.n_rows(one.rule), present_only=False)
        for at, (side, degree, wanted) in enumerate(
            zip((rule.left, rule.right), found, rule.each, strict=True)
        ):
            group = cast(str, side.group)
            rows = counted.grid.rows(group, side)
            wrong = rows[degree[rows] != wanted]
            if len(wrong):
                what = f"each: wrong number of cables at {counted.grid.name(group, int(wrong[0]))}"
                got, expected = format_count(int(degree[wrong[0]])), format_count(wanted)
                words = {"got": got, "expected": expected, "todo": _mend(rule)}
                yield rule.origin.problem(what, key=f"each[{at}]", **words)


def _mend(rule: Rule) -> str:
    """Return where to look for the reason of a wrong degree."""
    if rule.relation is None:
        return f"check which axes {rule.left.group} and {rule.right.group} share, and the count"
    if rule.relation.kind == "pairs":
        return "check sizes, order of along and parameters of the pattern"
    return f"check the size of {'/'.join(rule.relation.axes)}, and the count"


def _rates(counted: Census) -> Iterator[Problem]:
    """Find pairs that two rules join at different rates."""
    by_groups: dict[frozenset[str | None], list[RuleCensus]] = defaultdict(list)
    for one in counted.rules:
        by_groups[frozenset((one.rule.left.group, one.rule.right.group))].append(one)
    for rules in by_groups.values():
        for i, first in enumerate(rules):
            for second in rules[i + 1 :]:
                if first.rule.rate_gbps != second.rule.rate_gbps and _overlap(counted.grid, first, second):
                    what = f"two rules of unequal rate on one pair: {first.rule.name} and {second.rule.name}"
                    got = f"{format_rate(first.rule.rate_gbps)} and {format_rate(second.rule.rate_gbps)}"
                    key = "rate" if "rate" in second.rule.origin.keys else "link"
                    todo = "give both one rate, or part them by selectors"
                    yield second.rule.origin.problem(what, key=key, got=got, todo=todo)


def _overlap(grid: Grid, first: RuleCensus, second: RuleCensus) -> bool:
    """Return whether two rules between the same groups join a pair of devices in common."""
    groups = cast(str, first.rule.left.group), cast(str, first.rule.right.group)
    is_ordered = first.rule.is_oneway and second.rule.is_oneway
    n = max(grid.n_rows(g) for g in groups)
    keys = []
    for one in (first, second):
        is_swapped = one.rule.left.group != groups[0]
        if is_swapped and is_ordered:
            return False
        left, right = (one.right, one.left) if is_swapped else (one.left, one.right)
        if groups[0] == groups[1] and not is_ordered:
            left, right = np.minimum(left, right), np.maximum(left, right)
        keys.append(np.asarray(left * n + right, dtype=np.int64))
    common = np.intersect1d(keys[0], keys[1])
    left, right = common // n, common % n
    ends = (groups[0], common // n), (groups[1], common % n)
    return bool((_may_differ(grid, first, second, ends) & _may_differ(grid, second, first, ends)).any())


def _may_differ(
    grid: Grid, mesh: RuleCensus, other: RuleCensus, ends: tuple[tuple[str, Ints], tuple[str, Ints]]
) -> Bools:
    """Return in which pairs of classes that two rules join a pair of devices can fit the mesh of the first.

    A mesh wants two devices to differ on its axis; the other rule may want them equal there.
    """
    (left_group, left), (right_group, right) = ends
    if mesh.rule.relation is None or mesh.rule.relation.kind != "mesh":
        return np.ones(len(left), dtype=np.bool_)
    found = np.zeros(len(left), dtype=np.bool_)
    for p in relation_axes(grid.blueprint, mesh.rule):
        if p not in agreeing(grid.blueprint, other.rule) or p in twist_axes(grid.blueprint, other.rule):
            x, y = grid.digit(left_group, left, p), grid.digit(right_group, right, p)
            found |= (x != y) | (grid.weights[p][x] > 1)
    return found


def _failed(counted: Census, failure: FailedCables) -> Iterator[Problem]:
    """Check that failed cables exist."""
    total = 0.0
    for one in counted.rules:
        groups = cast(str, one.rule.left.group), cast(str, one.rule.right.group)
        a_left, a_right = (counted.grid.mask(g, (failure.left,)) for g in groups)
        b_left, b_right = (counted.grid.mask(g, (failure.right,)) for g in groups)
        hit = (a_left[one.left] & b_right[one.right]) | (b_left[one.left] & a_right[one.right])
        total += float(one.n_cables[hit & one.present].sum())
    between = f"{failure.left.text} and {failure.right.text}"
    if not total:
        todo = "name two selectors whose devices are joined"
        yield failure.origin.problem(f"no cable between {between}", todo=todo)
    elif failure.n is not None and failure.n > total:
        what = f"more failed cables than there are between {between}"
        expected = f"at most {format_count(int(total))}"
        yield failure.origin.problem(what, got=format_count(failure.n), expected=expected)
