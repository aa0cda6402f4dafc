"""Real devices with all their cables, read off the rules: whether they are as their classes say.

A flow on classes is one on devices if these are equitable: each device of a class has as many cables into
every class as the others. Some devices are looked at, one of every class and others drawn at random; who is
at the other end of their cables is worked out from the rules, index by index, and not from any class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes
from fabric.blueprint.selector import fits
from fabric.symmetry.lifting import Lift, RealLink
from fabric.symmetry.quotient import Quotient

MANY_CABLES = 3_000
"""Joined pairs that are looked at in all."""
MANY_CLASSES = 256
"""Classes of which one device is looked at."""
_DRAWN = 64
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found on real devices.

    Parameters
    ----------
    fault : str
        What is wrong, or nothing.
    n_devices : int
        Devices that were looked at.
    """

    fault: str
    n_devices: int


def look_at_devices(lift: Lift, view: Quotient, seed: int) -> Looked:
    """Return whether real devices have the cables that their classes say.

    Parameters
    ----------
    lift : Lift
        Of the file.
    view : Quotient
        Of the same, without further marks.
    seed : int
        Of what is drawn.
    """
    # Of every device the class that it is said to be of, or -1, and its links, rule by rule, on each side.
    classes: list[int] = []
    found: dict[tuple[int, int], list[tuple[int, RealLink]]] = {}
    n_left, blueprint = MANY_CABLES, lift.blueprint
    told = [number for number, rule in enumerate(blueprint.rules) if _is_told(blueprint, rule)]
    for group, at, number in _devices(blueprint, view, seed):
        own = {key: cables_around(blueprint, *key, group, at) for key in product(told, (0, 1))}
        n_left -= sum(map(len, own.values()))
        if n_left < 0:
            break
        for key, links in own.items():
            found.setdefault(key, []).extend((len(classes), link) for link in links)
        classes.append(number)
    return Looked(_fault(lift, view, np.array(classes, dtype=np.int64), found), len(classes))


def _devices(blueprint: Blueprint, view: Quotient, seed: int) -> Iterator[tuple[str, Mapping[str, int], int]]:
    """Yield devices by group and index, with their class or -1: one of each class, and others at random."""
    rng = np.random.default_rng(seed)
    e, groups = view.classes, list(blueprint.groups.values())
    for number in rng.permutation(e.n_devices)[:MANY_CLASSES].tolist():
        yield e.groups[int(e.group[number])].name, dict(view.index[number]), number
    for _ in range(_DRAWN):
        group = groups[int(rng.integers(len(groups)))]
        yield group.name, {p: int(rng.integers(blueprint.axes[p].size)) for p in group.primitives}, -1


def _is_told(blueprint: Blueprint, rule: Rule) -> bool:
    """Return whether indices say which devices a rule joins, and not too many with one."""
    relation, axes = rule.relation, relation_axes(blueprint, rule)
    if relation is not None:
        is_next = relation.kind in ("ring", "line") and len(axes) == 1
        if not (is_next or relation.kind == "mesh") or relation.twist:
            return False
        if _is_one_cable(rule) and (rule.left.terms or rule.right.terms):
            return False
    # Of a range of cables it is not said which are marked.
    if any(cables.n is not None and cables.may_be_of(rule.name) for cables in blueprint.marked_cables):
        return False
    agree = agreeing_axes(blueprint, rule)
    free = [[p for p in blueprint.groups[g].primitives if p not in agree] for g in rule.groups]
    return all(math.prod(blueprint.axes[p].size for p in own) <= MANY_CABLES for own in free)


def _is_one_cable(rule: Rule) -> bool:
    """Return whether a pair of a mesh is one cable, whichever of its sides each device is on."""
    is_mesh = rule.relation is not None and rule.relation.kind == "mesh"
    return is_mesh and rule.groups[0] == rule.groups[1] and not rule.is_oneway


def cables_around(
    blueprint: Blueprint, number: int, side: int, group: str, at: Mapping[str, int]
) -> list[RealLink]:
    """Return the links of a rule at one device on one side of it.

    Parameters
    ----------
    blueprint : Blueprint
    number : int
        Of the rule.
    side : int
        0 for the left one.
    group : str
    at : mapping of str to int
        Index of the device on each axis.
    """
    rule = blueprint.rules[number]
    own, other = (rule.left, rule.right)[:: 1 - 2 * side]
    if rule.groups[side] != group or not fits(blueprint, own, at):
        return []
    if side and _is_one_cable(rule):
        return []
    limits = _indices(blueprint, rule, side, at)
    axes = relation_axes(blueprint, rule)
    is_mesh = rule.relation is not None and rule.relation.kind == "mesh"
    here = tuple(sorted(at.items()))
    found = []
    for index in product(*limits.values()):
        there = dict(zip(limits, index, strict=True))
        if not fits(blueprint, other, there) or (is_mesh and all(there[p] == at[p] for p in axes)):
            continue
        ends = here, tuple(sorted(there.items()))
        # Between peers each end has links of its own; else the tail is on the left.
        is_turned = rule.is_peer and not rule.is_oneway and side == 1
        tail, head = ends if side == 0 or is_turned else ends[::-1]
        found.append(RealLink(number, tail, head, False, is_turned))
    return found


def _indices(blueprint: Blueprint, rule: Rule, side: int, at: Mapping[str, int]) -> dict[str, list[int]]:
    """Return the indices on each axis of the devices that a rule may join one with."""
    agree, relation, limits = agreeing_axes(blueprint, rule), rule.relation, {}
    for p in blueprint.groups[rule.groups[1 - side]].primitives:
        n = blueprint.axes[p].size
        limits[p] = [at[p]] if p in agree else list(range(n))
        if relation is not None and relation.kind != "mesh" and p in relation_axes(blueprint, rule):
            # The right side of a ring or line is the next index up; two are joined by one cable.
            step = at[p] + 1 - 2 * side
            wraps = relation.kind == "ring" and n > 2 - rule.is_oneway
            limits[p] = [step % n] if wraps or 0 <= step < n else []
    return limits


def _fault(
    lift: Lift, view: Quotient, known: Ints, found: Mapping[tuple[int, int], list[tuple[int, RealLink]]]
) -> str:
    """Return whether the cables of devices are not those of their classes, or nothing.

    Parameters
    ----------
    lift, view
        As in `look_at_devices`.
    known : ndarray of int64, shape (d,)
        Class that each device is said to be of, or -1.
    found : mapping
        For every rule and side the devices, below d, and their links.
    """
    e, n_devices = view.classes, len(known)
    two_way_peer = [rule.is_peer and not rule.is_oneway for rule in lift.blueprint.rules]
    # Cables of every device into each class of links, by the end of these at which it is.
    total = np.zeros((2, n_devices, e.n_bundles))
    for (rule, side), links in found.items():
        up = [(at, link, n) for at, bundle in links for link, n in lift.at_speeds(bundle)]
        if not up:
            continue
        seen = lift.link_class(view, [link for _, link, _ in up], np.arange(len(up)), ()) // 2
        if (seen < 0).any():
            return "links that are in no class"
        end = 0 if two_way_peer[rule] else side
        device, cables = np.array([at for at, _, _ in up]), np.array([n for _, _, n in up])
        np.add.at(total[end], (device, seen), cables)
        if two_way_peer[rule]:
            # The same cables as the other end lists them.
            back = [replace(x, tail=x.head, head=x.tail, is_turned=not x.is_turned) for _, x, _ in up]
            turned = lift.link_class(view, back, np.arange(len(back)), ()) // 2
            if (turned < 0).any() or (e.head[seen] != e.tail[turned]).any():
                return "cables whose two ends are not those of their class"
    own = known.copy()
    for end, at in enumerate((e.tail, e.head)):
        device, link = np.nonzero(total[end])
        own[device] = np.where(own[device] < 0, at[link], own[device])
        if (own[device] != at[link]).any():
            return "a device that is in two classes"
    some = np.flatnonzero(own >= 0)
    for end, at in enumerate((e.tail, e.head)):
        # Between peers every device lists what leaves it.
        listed = np.array([end == 0 or not is_twice for is_twice in two_way_peer], dtype=np.bool_)[e.rule]
        is_own = (at == own[some, None]) & listed
        wanted = np.where(is_own, e.count / view.size[own[some], None], 0.0)
        told = np.isin(e.rule, [rule for rule, _ in found])
        if not np.allclose(total[end][some][:, told], wanted[:, told], rtol=_ROUNDING, atol=_ROUNDING):
            return "a device with other cables than its class"
    return ""
