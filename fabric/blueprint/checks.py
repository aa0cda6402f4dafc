"""Checks that need counting: `each`, port budgets, rules that join nothing, unequal rates, failed cables.

All of them run on the class grid, so a fabric of a million GPUs is checked as fast as a rack. Order, as the
grammar has it: `each` before absent devices are taken out, ports after, failures never.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice
from typing import cast

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.census import Census, RuleCensus, census, degrees
from fabric.blueprint.grid import Grid
from fabric.blueprint.limits import MAX_PROBLEMS
from fabric.blueprint.model import Blueprint, MarkedCables, Rule
from fabric.blueprint.ports import port_problems, unshared
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes, twist_axes
from fabric.blueprint.slowing import EVERY
from fabric.errors import LimitError, Problem
from fabric.units import MAX_COUNT, format_count, format_rate

MAX_SHARED = 2_000_000
"""Times that two rules are compared on a pair of classes that both join."""
MAX_FAILED = 50_000_000
"""Classes of devices and pairs that are compared with all failures of cables."""


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
    counted = census(blueprint)
    findings = chain(_sizes(counted), _each(counted), _rates(counted))
    problems = list(islice(findings, MAX_PROBLEMS))
    if is_whole and not problems:
        problems += port_problems(counted)
    return problems


def check_cables(blueprint: Blueprint, cables: tuple[MarkedCables, ...]) -> list[Problem]:
    """Return which marked cables do not exist.

    Raises
    ------
    LimitError
        As `check_numbers`.
    """
    if not cables:
        return []
    counted = census(blueprint, tuple(s for f in cables for s in (f.left, f.right)))
    n_looked = sum(len(tally.left) for tally in counted.rules) + sum(map(len, counted.absent.values()))
    if n_looked * len(cables) > MAX_FAILED:
        amount = f"{len(cables):,} marks on cables on {n_looked:,} classes of devices and of pairs"
        msg = f"{amount} are too many; expected at most {MAX_FAILED:,} in their product"
        raise LimitError(msg)
    # Slow cables of several rules are a mark for each of these, and one finding.
    found = {(id(own.origin), p.what): p for own in cables for p in _marked(counted, own)}
    return list(found.values())[:MAX_PROBLEMS]


def _sizes(counted: Census) -> Iterator[Problem]:
    for tally in counted.rules:
        origin, n_cables = tally.rule.origin, float(tally.n_cables.sum())
        if not len(tally.left):
            todo = "check the axes, selectors and counts of both sides"
            yield origin.problem(f"{tally.rule.name} joins nothing", key="between", todo=todo)
        elif n_cables > MAX_COUNT:
            fault = f"{tally.rule.name} has too many cables"
            yield origin.problem(fault, key="between", got=f"{n_cables:.3g}", expected="at most 2**53")


def _each(counted: Census) -> Iterator[Problem]:
    for tally in counted.rules:
        rule = tally.rule
        if rule.each is None or not len(tally.left):
            continue
        per_side = degrees(tally, counted.n_rows(tally.rule), present_only=False)
        for at, (side, degree, wanted) in enumerate(
            zip((rule.left, rule.right), per_side, rule.each, strict=True)
        ):
            group = cast(str, side.group)
            rows = counted.grid.rows(group, side)
            # Only the devices that the side selects are held to `each`.
            wrong = rows[degree[rows] != wanted]
            if len(wrong):
                fault = f"each: wrong number of cables at {counted.grid.name(group, int(wrong[0]))}"
                got, expected = format_count(int(degree[wrong[0]])), format_count(wanted)
                words = {"got": got, "expected": expected, "todo": _mend(counted.grid.blueprint, rule)}
                yield rule.origin.problem(fault, key=f"each[{at}]", **words)


def _mend(blueprint: Blueprint, rule: Rule) -> str:
    """Return where to look for the reason of a wrong degree."""
    if alone := unshared(blueprint, rule):
        return f"{alone}; give one an axis of the other, or check the count"
    if rule.relation is None:
        return f"check which axes {rule.left.group} and {rule.right.group} share, and the count"
    if rule.relation.kind == "pairs":
        return "check sizes, order of along and parameters of the pattern"
    return f"check the size of {'/'.join(rule.relation.axes)}, and the count"


def _rates(counted: Census) -> Iterator[Problem]:
    """Find pairs of devices that are there and that two rules join at different rates."""
    by_groups: dict[frozenset[str | None], list[RuleCensus]] = defaultdict(list)
    for tally in counted.rules:
        by_groups[frozenset((tally.rule.left.group, tally.rule.right.group))].append(tally)
    for rules in by_groups.values():
        for first, second in _sharing(counted.grid, rules):
            if first.rule.rate_gbps != second.rule.rate_gbps and _overlap(counted.grid, first, second):
                fault = f"two rules of unequal rate on one pair: {first.rule.name} and {second.rule.name}"
                got = f"{format_rate(first.rule.rate_gbps)} and {format_rate(second.rule.rate_gbps)}"
                key = "rate" if "rate" in second.rule.origin.keys else "link"
                todo = "give both one rate, or part them by selectors"
                yield second.rule.origin.problem(fault, key=key, got=got, todo=todo)


def _sharing(grid: Grid, rules: list[RuleCensus]) -> Iterator[tuple[RuleCensus, RuleCensus]]:
    """Yield the rules of unequal rate between the same groups that join two classes of devices in common.

    Raises
    ------
    LimitError
        If more than `MAX_SHARED` times two rules had to be compared there.
    """
    rates = np.array([tally.rule.rate_gbps for tally in rules])
    if (rates == rates[0]).all():
        return
    key = np.concatenate([_pair_keys(grid, tally, rules[0], is_ordered=False) for tally in rules])
    number = np.repeat(np.arange(len(rules)), [int(tally.present.sum()) for tally in rules])
    # Sorted by key, rules that share a pair of classes stand side by side: compare neighbours at 1, 2, ...
    order = np.lexsort((number, key))
    key, number = key[order], number[order]
    yielded: set[tuple[int, int]] = set()
    n_compared = 0
    for step in range(1, len(key)):
        at = np.flatnonzero(key[:-step] == key[step:])
        if not len(at):
            return
        n_compared += len(at)
        if n_compared > MAX_SHARED:
            between = f"{rules[0].rule.left.group} and {rules[0].rule.right.group}"
            msg = f"too many rules between {between}; {MAX_SHARED:,} shared pairs are compared at most"
            raise LimitError(msg)
        pairs = np.unique(number[at] * len(rules) + number[at + step])
        for i, j in zip(*(side.tolist() for side in np.divmod(pairs, len(rules))), strict=True):
            # The caller compares the two rules whole, once.
            if rates[i] != rates[j] and (i, j) not in yielded:
                yielded.add((i, j))
                n_compared += len(rules[i].left) + len(rules[j].left)
                yield rules[i], rules[j]


def _pair_keys(grid: Grid, tally: RuleCensus, like: RuleCensus, *, is_ordered: bool) -> Ints:
    """Return one number for each pair of classes that a rule joins, the sides in the order of rule `like`."""
    groups = like.rule.left.group, like.rule.right.group
    left, right = tally.left[tally.present], tally.right[tally.present]
    if tally.rule.left.group != groups[0]:
        left, right = right, left
    if groups[0] == groups[1] and not is_ordered:
        left, right = np.minimum(left, right), np.maximum(left, right)
    return np.asarray(left * grid.n_rows(cast(str, groups[1])) + right, dtype=np.int64)


def _overlap(grid: Grid, first: RuleCensus, second: RuleCensus) -> bool:
    """Return whether two rules between the same groups join a pair of devices in common."""
    groups = first.rule.left_group, first.rule.right_group
    is_ordered = first.rule.is_oneway and second.rule.is_oneway
    if is_ordered and second.rule.left.group != groups[0]:
        return False
    keys = [_pair_keys(grid, tally, first, is_ordered=is_ordered) for tally in (first, second)]
    left, right = np.divmod(np.intersect1d(keys[0], keys[1]), grid.n_rows(groups[1]))
    # Pairs of classes that both rules join; of devices within them a mesh may join others than its rival.
    ends = (groups[0], left), (groups[1], right)
    return bool((_may_differ(grid, first, second, ends) & _may_differ(grid, second, first, ends)).any())


def _may_differ(
    grid: Grid, mesh: RuleCensus, rival: RuleCensus, ends: tuple[tuple[str, Ints], tuple[str, Ints]]
) -> Bools:
    """Return in which pairs of classes that two rules join a pair of devices can fit the mesh of the first.

    A mesh wants two devices to differ on its axis; the other rule may want them equal there.
    """
    (left_group, left), (right_group, right) = ends
    if mesh.rule.relation is None or mesh.rule.relation.kind != "mesh":
        return np.ones(len(left), dtype=np.bool_)
    apart = np.zeros(len(left), dtype=np.bool_)
    for p in relation_axes(grid.blueprint, mesh.rule):
        if p not in agreeing_axes(grid.blueprint, rival.rule) or p in twist_axes(grid.blueprint, rival.rule):
            x, y = grid.digit(left_group, left, p), grid.digit(right_group, right, p)
            apart |= (x != y) | (grid.weights[p][x] > 1)
    return apart


def _marked(counted: Census, cables: MarkedCables) -> Iterator[Problem]:
    """Check that marked cables exist."""
    total = 0.0
    groups = counted.grid.blueprint.groups
    at, to = ({g: counted.grid.mask(g, (side,)) for g in groups} for side in (cables.left, cables.right))
    for tally in counted.rules:
        left, right = tally.rule.left_group, tally.rule.right_group
        if (at[left].any() and to[right].any()) or (to[left].any() and at[right].any()):
            # A mark is written either way round.
            hit = (at[left][tally.left] & to[right][tally.right]) | (
                to[left][tally.left] & at[right][tally.right]
            )
            total += float(tally.n_cables[hit & tally.present].sum())
    between = f"between {cables.left.text} and {cables.right.text}"
    if not total and cables.right == EVERY:
        yield cables.origin.problem(f"no cable at {cables.left.text}", todo="name a device that has cables")
    elif not total:
        todo = "name two selectors whose devices are joined"
        yield cables.origin.problem(f"no cable {between}", todo=todo)
    elif cables.n is not None and cables.n > total:
        fault = f"more {'degraded' if cables.part else 'failed'} cables than there are {between}"
        expected = f"at most {format_count(int(total))}"
        yield cables.origin.problem(fault, got=format_count(cables.n), expected=expected)
