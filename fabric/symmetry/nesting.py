"""Which permutations of indices are automorphisms of a blueprint.

A plain axis may be permuted. Axis b is *under* axis a when every group that has b also has a, and every
rule both of whose sides have b makes them agree on a: then b may be permuted independently for each index of
a (rack 3 of pod 0 has nothing to do with rack 3 of pod 1). The axis of a ring has its rotations and
reflections, that of a line one reflection. Marks (a source, a failed leaf) keep the permutations that leave
them in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from fabric.blueprint.join import Ints, agreeing, relation_axes
from fabric.blueprint.model import Blueprint, Rule
from fabric.errors import FabricError


class NoSymmetryError(FabricError):
    """A construct whose symmetry the axes do not say; refinement of the graph finds it."""


@dataclass(frozen=True, slots=True)
class Nesting:
    """The automorphism group that the axes say.

    Parameters
    ----------
    order : tuple of str
        Primitive axes, each after those that it is under.
    above : dict of str to tuple of str
        The axes that each axis is under.
    permutations : dict of str to ndarray of int64, shape (k, n)
        For an axis of a ring or a line, every permutation that keeps all of them; other axes may be permuted
        at will inside their cells.
    """

    order: tuple[str, ...]
    above: dict[str, tuple[str, ...]]
    permutations: dict[str, Ints]


@dataclass(frozen=True, slots=True)
class Tie:
    """Traffic between endpoints that agree on some axes, which a permutation must respect as a rule does.

    Parameters
    ----------
    group : str
        The endpoints.
    agree : frozenset of str
        Primitive axes on which source and target agree.
    turned : frozenset of str
        Primitive axes on which the target is a fixed number of places on; only rotations keep that.
    """

    group: str
    agree: frozenset[str]
    turned: frozenset[str] = frozenset()


def nesting(blueprint: Blueprint, ties: tuple[Tie, ...] = ()) -> Nesting:
    """Return the symmetry of the axes of `blueprint` and of the traffic that `ties` describe.

    Raises
    ------
    NoSymmetryError
        If it has a twisted ring, a list of pairs, or a ring or line over a composed axis.
    """
    return _nesting(blueprint, ties)


@lru_cache(maxsize=64)
def _nesting(blueprint: Blueprint, ties: tuple[Tie, ...]) -> Nesting:
    for rule in blueprint.rules:
        relation = rule.relation
        if relation and (relation.kind == "pairs" or relation.twist):
            what = "list of pairs" if relation.kind == "pairs" else "twisted ring"
            msg = f"{rule.name}: a {what} has no axis symmetry"
            raise NoSymmetryError(msg)
        if relation and relation.kind in ("ring", "line") and len(relation_axes(blueprint, rule)) > 1:
            msg = f"{rule.name}: a {relation.kind} over a composed axis has no axis symmetry"
            raise NoSymmetryError(msg)
    names = [a.name for a in blueprint.axes.values() if not a.parts]
    used = [n for n in names if any(n in g.primitives for g in blueprint.groups.values())]
    under = {b: _above(blueprint, b, ties) - {b} for b in used}
    above = {
        b: tuple(a for a in used if a in under[b] and (b not in under[a] or used.index(a) < used.index(b)))
        for b in used
    }
    order = tuple(sorted(used, key=lambda b: (len(above[b]), used.index(b))))
    return Nesting(order, above, _permutations(blueprint, used, frozenset().union(*(t.turned for t in ties))))


def _above(blueprint: Blueprint, b: str, ties: tuple[Tie, ...]) -> set[str]:
    """Return the axes that `b` is under, and maybe itself."""
    groups = blueprint.groups
    shared = [set(t.agree) for t in ties if b in groups[t.group].primitives]
    shared += [set(g.primitives) for g in groups.values() if b in g.primitives]
    shared += [set(agreeing(blueprint, rule)) for rule in blueprint.rules if _on_both(blueprint, rule, b)]
    return set.intersection(*shared)


def _on_both(blueprint: Blueprint, rule: Rule, axis: str) -> bool:
    return all(axis in blueprint.groups[cast(str, s.group)].primitives for s in (rule.left, rule.right))


def _permutations(blueprint: Blueprint, used: list[str], turned: frozenset[str]) -> dict[str, Ints]:
    found: dict[str, Ints] = {}
    for axis in used:
        rules = [
            r
            for r in blueprint.rules
            if r.relation and r.relation.kind != "mesh" and axis in relation_axes(blueprint, r)
        ]
        if not rules and axis not in turned:
            continue
        n = blueprint.axes[axis].size
        index = np.arange(n, dtype=np.int64)
        is_line = any(r.relation and r.relation.kind == "line" for r in rules)
        moved = index[None] if is_line else (index + index[:, None]) % n
        if axis not in turned and all(_reads_backwards(r) for r in rules):
            moved = np.concatenate([moved, moved[:, ::-1]])
        found[axis] = moved
    return found


def _reads_backwards(rule: Rule) -> bool:
    """Return whether a ring or line is the same in the other direction: one group of peers, both ways."""
    is_alike = rule.left.group == rule.right.group and set(rule.left.terms) == set(rule.right.terms)
    return is_alike and rule.is_peer and not rule.is_oneway
