"""Checks that need counting: `each`, port budgets, rules that join nothing, unequal rates.

All of them run on the class grid, so a fabric of a million GPUs is checked as fast as a rack. Order, as the
grammar has it: `each` before absent devices are taken out, ports after, failures never.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import cast

import numpy as np

from fabric.blueprint.census import Census, RuleCensus, census, degrees
from fabric.blueprint.join import Floats, Grid, agreeing, class_grid, join
from fabric.blueprint.model import Blueprint, DeviceGroup, FailedCables, Rule, Selector
from fabric.blueprint.selector import selected_groups
from fabric.errors import Problem
from fabric.parts import PortClass, cables_per_port
from fabric.units import MAX_COUNT, format_count, format_rate


def check_numbers(blueprint: Blueprint, *, is_whole: bool = True) -> list[Problem]:
    """Return what counting finds wrong.

    Parameters
    ----------
    blueprint : Blueprint
    is_whole : bool
        False where broken elements were left out; port budgets are then not judged.
    """
    counted = census(blueprint)
    problems = [*_sizes(counted), *_each(counted), *_rates(counted)]
    if is_whole and not problems:
        problems += port_problems(counted)
    for failure in blueprint.failed_cables:
        problems += _failed(blueprint, failure)
    return problems


def _sizes(counted: Census) -> Iterator[Problem]:
    for rule in counted.rules:
        origin = rule.rule.origin
        if not len(rule.left):
            what = f"{rule.rule.name} joins nothing"
            yield origin.problem(what, key="between", todo="check the axes, selectors and counts of both sides")
        elif rule.n_cables.sum() > MAX_COUNT:
            yield origin.problem("too many cables", key="between", got=f"{rule.n_cables.sum():.3g}", expected="at most 2**53")


def _n_rows(counted: Census, rule: Rule) -> tuple[int, int]:
    return counted.grid.n_rows(cast(str, rule.left.group)), counted.grid.n_rows(cast(str, rule.right.group))


def _each(counted: Census) -> Iterator[Problem]:
    for one in counted.rules:
        rule = one.rule
        if rule.each is None or not len(one.left):
            continue
        found = degrees(one, _n_rows(counted, rule), present_only=False)
        for side, degree, wanted in zip((rule.left, rule.right), found, rule.each, strict=True):
            group = cast(str, side.group)
            rows = counted.grid.rows(group, side)
            wrong = rows[degree[rows] != wanted]
            if len(wrong):
                device = counted.grid.name(group, int(wrong[0]))
                got = f"{format_count(int(degree[wrong[0]]))} at {device}"
                expected = f"{format_count(wanted)} per {group}"
                todo = "check which axes the two sides share"
                yield rule.origin.problem("each: broken", key="each", got=got, expected=expected, todo=todo)


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
                    yield second.rule.origin.problem(what, key="rate", got=got, todo="put a switch or a NIC between")


def _overlap(grid: Grid, first: RuleCensus, second: RuleCensus) -> bool:
    is_ordered = first.rule.is_oneway and second.rule.is_oneway
    found = []
    for one in (first, second):
        is_swapped = one.rule.left.group != first.rule.left.group
        n = max(grid.n_rows(cast(str, s.group)) for s in (one.rule.left, one.rule.right))
        left, right = (one.right, one.left) if is_swapped else (one.left, one.right)
        if is_swapped and is_ordered:
            return False
        if one.rule.left.group == one.rule.right.group and not is_ordered:
            left, right = np.minimum(left, right), np.maximum(left, right)
        found.append(left * n + right)
    return bool(np.intersect1d(*found).size)


def ports_needed(port: PortClass, cables: dict[float, Floats]) -> Floats:
    """Return the ports of one class that `cables` take at each device.

    Parameters
    ----------
    port : PortClass
    cables : dict of float to ndarray
        Cables at each device by rate [Gb/s].

    Notes
    -----
    A cable of the port's own rate takes one port. A slower one takes rate / port rate of a port; where the
    port is a cage, cables of one slower rate fill whole cages (two of 400 Gb/s an 800 Gb/s cage).
    """
    total = np.zeros(1)
    for rate, number in cables.items():
        if abs(rate - port.rate_gbps) <= 1e-9 * port.rate_gbps:
            total = total + number
        elif port.modes:
            in_cage = port.ports_per_cage or 1
            per_cage = cables_per_port(port, rate) * in_cage
            total = total + np.ceil(number / per_cage - 1e-9) * in_cage
        else:
            total = total + number / cables_per_port(port, rate)
    return total


def cables_by_port(counted: Census, group: DeviceGroup) -> dict[str, dict[float, Floats]]:
    """Return the present cables at each class row of `group`, by port class and rate."""
    found: dict[str, dict[float, Floats]] = defaultdict(dict)
    for one in counted.rules:
        sides = (one.rule.left.group, one.rule.right.group)
        if one.rule.port_class and group.name in sides:
            degree = degrees(one, _n_rows(counted, one.rule), present_only=True)[sides.index(group.name)]
            rates = found[one.rule.port_class]
            rates[one.rule.rate_gbps] = rates.get(one.rule.rate_gbps, 0.0) + degree
    return found


def port_problems(counted: Census) -> list[Problem]:
    """Return the devices with more cables than ports."""
    problems = []
    for group in counted.grid.blueprint.groups.values():
        if group.part is None:
            continue
        for name, cables in cables_by_port(counted, group).items():
            port = next(c for c in group.part.ports if c.name == name)
            needed = np.where(counted.absent[group.name], 0.0, ports_needed(port, cables))
            worst = int(np.argmax(needed))
            if needed[worst] > port.n_ports * (1 + 1e-9):
                problems.append(_port_problem(counted, group, port, cables, worst, float(needed[worst])))
    return problems


def _port_problem(
    counted: Census, group: DeviceGroup, port: PortClass, cables: dict[float, Floats], row: int, needed: float
) -> Problem:
    rules = [r.rule for r in counted.rules if group.name in (r.rule.left.group, r.rule.right.group)]
    last = [r for r in rules if r.port_class == port.name][-1]
    what = (
        f"port budget: {counted.grid.name(group.name, row)} needs {needed:.4g} {port.name} ports of "
        f"{format_rate(port.rate_gbps)}, {group.part.id if group.part else ''} has {port.n_ports}"
    )
    got = " + ".join(f"{int(n[row])} cables of {format_rate(rate)}" for rate, n in cables.items() if n[row])
    todo = "split the group over another axis, use fewer cables, or take a larger part"
    return last.origin.problem(what, key="between", got=got, todo=todo)


def _failed(blueprint: Blueprint, failure: FailedCables) -> Iterator[Problem]:
    """Check that failed cables exist."""
    grid = class_grid(blueprint, (failure.left, failure.right))
    sides = [set(selected_groups(blueprint, s)) for s in (failure.left, failure.right)]
    total = 0.0
    for rule in blueprint.rules:
        left, right = cast(str, rule.left.group), cast(str, rule.right.group)
        for a, b in ((0, 1), (1, 0)):
            if left in sides[a] and right in sides[b] and (a == 0 or left != right):
                total += _n_between(grid, rule, (failure.left, failure.right) if a == 0 else (failure.right, failure.left))
    text = f"{failure.left.text}, {failure.right.text}"
    if not total:
        yield failure.origin.problem(f"no cable between [{text}]")
    elif failure.n is not None and failure.n > total:
        yield failure.origin.problem(f"more failed cables than there are between [{text}]", got=str(failure.n), expected=f"at most {int(total)}")


def _n_between(grid: Grid, rule: Rule, sides: tuple[Selector, Selector]) -> float:
    left, right = cast(str, rule.left.group), cast(str, rule.right.group)
    pairs = join(grid, rule)
    masks = [grid.mask(g, (s,)) for g, s in zip((left, right), sides, strict=True)]
    keep = masks[0][pairs.left] & masks[1][pairs.right]
    if left == right:
        keep |= grid.mask(left, (sides[1],))[pairs.left] & grid.mask(right, (sides[0],))[pairs.right]
    primitives = grid.blueprint.groups[right].primitives
    own = tuple(p for p in primitives if p not in agreeing(grid.blueprint, rule))
    n = pairs.count * grid.weight(right, pairs.right, own) * grid.weight(left, pairs.left, grid.blueprint.groups[left].primitives)
    return float(n[keep].sum())
