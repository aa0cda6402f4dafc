"""A fabric read from a graph as a blueprint: one axis that says nothing, and every cable listed.

::

    axes    at: 3                 groups  rank[at]   devices 0, 2, 3 of the graph
                                          via-b[at]  device 1; at1-2/via-b are absent
    rules   gpu-leaf              wiring: {pattern: pairs, along: at, pairs: [[0, 0], [1, 0], [2, 0]]}

Nothing is symmetric in it, so it is for questions that need a blueprint and no symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import (
    Axis,
    Blueprint,
    DeviceGroup,
    Kind,
    Origin,
    Relation,
    Rule,
    Selector,
    Term,
)
from fabric.graph.expanded import Expanded
from fabric.parts import catalogue, generic_switch

RANK = "rank"
"""Group of the endpoints that take part."""
_AXIS = "at"
_ORIGIN = Origin("<graph>", 1, 1, "graph")


@dataclass(frozen=True, eq=False)
class Listed:
    """A blueprint and what its devices and rules were called.

    Parameters
    ----------
    blueprint : Blueprint
    place : ndarray of int64, shape (n,)
        Index of every device within its group; -1 of those that are down.
    rule_of, group_of : mapping of str to str
        For every rule of the blueprint, the name of the rule that it is a part of; for every group but the
        ranks, the name of that group.
    """

    blueprint: Blueprint
    place: Ints
    rule_of: dict[str, str]
    group_of: dict[str, str]


def to_blueprint(e: Expanded, ranks: Bools) -> Listed:
    """Return what is up of a fabric as a blueprint.

    Parameters
    ----------
    e : Expanded
    ranks : ndarray of bool, shape (n,)
        Endpoints that take part; they become the group `RANK`.

    Returns
    -------
    Listed

    Examples
    --------
    >>> from fabric.graph import expand, loads
    >>> text = "{fabric: a, axes: {i: 3}, devices: {gpu: {kind: gpu, axes: [i]},"
    >>> text += " leaf: {kind: switch, axes: []}}, links: [{between: [gpu, leaf], rate: 4Gb/s}]}"
    >>> e = expand(loads(text))
    >>> answer = to_blueprint(e, e.is_endpoint)
    >>> list(answer.blueprint.groups), answer.blueprint.rules[0].relation.pairs.tolist()
    (['rank', 'via-b'], [[0, 0], [1, 0], [2, 0]])
    """
    part = _part_of(e, ranks)
    place = np.full(e.n_devices, -1, dtype=np.int64)
    groups: dict[int, DeviceGroup] = {}
    absent = []
    size = int(np.bincount(part[part >= 0]).max(initial=1))
    for number in np.unique(part[part >= 0]).tolist():
        members = np.flatnonzero(part == number)
        place[members] = np.arange(len(members))
        groups[number] = group = _group(e, number)
        if len(members) < size:
            absent.append(
                Selector(f"the rest of {group.name}", group.name, (Term(_AXIS, len(members), size - 1),))
            )
    rules, rule_of = _rules(e, part, place, groups, size)
    blueprint = Blueprint(
        e.name,
        {_AXIS: Axis(_AXIS, size)},
        {group.name: group for group in groups.values()},
        rules,
        absent=tuple(absent),
    )
    group_of = {group.name: e.groups[number - 1].name for number, group in groups.items() if number}
    return Listed(blueprint, place, rule_of, group_of)


def _part_of(e: Expanded, ranks: Bools) -> Ints:
    """Return 0 for ranks, and from 1 on the group of all else; -1 of what is down."""
    part = 1 + e.group.astype(np.int64)
    part[ranks & e.is_endpoint] = 0
    part[e.failed] = -1
    return part


def _group(e: Expanded, part: int) -> DeviceGroup:
    if part == 0:
        return DeviceGroup(RANK, "gpu", None, (_AXIS,), (_AXIS,), "all", True, _ORIGIN)
    info = e.groups[part - 1]
    # A name must not end in a digit, which would read as an index.
    name = f"via-{_letters(part - 1)}"
    part_row = catalogue().parts.get(info.part) or generic_switch(info.part)
    kind = cast(Kind, info.kind)
    return DeviceGroup(name, kind, part_row, (_AXIS,), (_AXIS,), info.transit, info.is_endpoint, _ORIGIN)


def _letters(number: int) -> str:
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def _rules(
    e: Expanded, part: Ints, place: Ints, groups: dict[int, DeviceGroup], size: int
) -> tuple[tuple[Rule, ...], dict[str, str]]:
    """Return rules of cables that are alike: of one rule, between the same groups, and as wide together."""
    up = np.flatnonzero(e.alive > 0)
    width = (e.alive * e.rate_gbps)[up]
    tail, head = e.tail[up], e.head[up]
    # Cables of one group that are oriented, or one-way, may join a pair both ways: they are rules apart.
    is_peer = np.array([r.is_peer and not r.is_oneway for r in e.rules], dtype=np.bool_)[e.rule[up]]
    is_back = ~is_peer & (part[tail] == part[head]) & (tail > head)
    _, width_id = np.unique(width, return_inverse=True)
    keys = np.column_stack([e.rule[up], part[tail], part[head], width_id.ravel(), is_back])
    kinds, kind = np.unique(keys, axis=0, return_inverse=True)
    rules: list[Rule] = []
    rule_of: dict[str, str] = {}
    for number, (rule, left, right, *_) in enumerate(kinds.tolist()):
        # Pairs joined by as many bundles are one rule of that many times the rate.
        rows = np.flatnonzero(kind.ravel() == number)
        pairs, again = _merge(e, up[rows], is_turned=left == right and bool(is_peer[rows[0]]))
        for copies in np.unique(again).tolist():
            indices = place[pairs[again == copies]]
            name = f"{e.rules[rule].name}, {len(rules)}"
            info = e.rules[rule]
            rule_of[name] = info.name
            rules.append(
                Rule(
                    name,
                    Selector(groups[left].name, groups[left].name),
                    Selector(groups[right].name, groups[right].name),
                    Relation("pairs", (_AXIS,), size, pairs=indices),
                    copies * float(width[rows[0]]),
                    1,
                    "",
                    None,
                    info.net,
                    info.is_peer,
                    info.is_oneway,
                    info.protocol,
                    "",
                    info.medium,
                    info.length_m,
                    "",
                    _ORIGIN,
                )
            )
    return tuple(rules), rule_of


def _merge(e: Expanded, bundles: Ints, *, is_turned: bool) -> tuple[Ints, Ints]:
    """Return every pair of devices once, and in how many bundles it is; either way round where turned."""
    pairs = np.column_stack([e.tail[bundles], e.head[bundles]])
    if is_turned:
        pairs.sort(axis=1)
    unique, again = np.unique(pairs, axis=0, return_counts=True)
    return unique, again
