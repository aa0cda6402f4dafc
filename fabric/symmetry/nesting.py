"""Which permutations of indices are automorphisms of a blueprint.

A plain axis may be permuted. Axis b is *under* axis a when every group that has b also has a, and every
rule both of whose sides have b makes them agree on a: then b may be permuted independently for each index of
a (rack 3 of pod 0 has nothing to do with rack 3 of pod 1). The axis of a ring has its rotations and
reflections, that of a line one reflection. Marks (a source, a failed leaf) keep the permutations that leave
them in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints
from fabric.blueprint.model import Blueprint, Rule
from fabric.blueprint.remembered import remembered
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes, twist_axes
from fabric.errors import FabricError


class NoSymmetryError(FabricError):
    """A construct whose symmetry the axes do not say; refinement of the graph finds it."""


@dataclass(frozen=True, slots=True)
class TiedRange:
    """Parts of several axes that change places together: pod i has lost spine i, and so has every other.

    A permutation of the parts permutes their indices on all of the axes at once.

    Parameters
    ----------
    starts : mapping of str to int
        The axes, all under the same ones, with the first index on each.
    widths : mapping of str to int
        Neighbouring indices of one part on each axis.
    n_parts : int
    above : mapping of str to (int, int)
        Of the axes above, the first and the last index under which there are such parts.
    cells : mapping of str to tuple of int
        On each axis, where in a part indices begin that are marked as those before are not, 0 first.
    """

    starts: Mapping[str, int]
    widths: Mapping[str, int]
    n_parts: int
    above: Mapping[str, tuple[int, int]]
    cells: Mapping[str, tuple[int, ...]]

    def last(self, axis: str) -> int:
        """Return the last index of all parts on an axis."""
        return self.starts[axis] + self.widths[axis] * self.n_parts - 1


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
    tied : tuple of TiedRange
        Ranges of marked indices that are permuted on several axes at once only.
    """

    order: tuple[str, ...]
    above: dict[str, tuple[str, ...]]
    permutations: dict[str, Ints]
    tied: tuple[TiedRange, ...] = ()

    @property
    def listed(self) -> frozenset[str]:
        """Axes on which more counts of two indices than their labels and whether they are the same."""
        return frozenset(self.permutations).union(*(tied.starts for tied in self.tied))


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
    kept : frozenset of str
        Primitive axes that nothing permutes; what has no axis symmetry is then no obstacle.
    apart : frozenset of str
        Primitive axes that are permuted in one way everywhere, whatever the indices on the others.
    """

    group: str
    agree: frozenset[str]
    turned: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()


def lopsided_axes(blueprint: Blueprint) -> frozenset[str]:
    """Return the primitive axes that must be kept as they are for wiring, twists and the like.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {i: 3, j: 4}, devices: {gpu: {kind: gpu, axes: [i, j], transit: all}},"
    >>> text += " links: [{between: [gpu, gpu], name: a, ring: i, twist: {j: 1}, rate: 1Gb/s},"
    >>> text += " {between: [gpu, gpu], name: b, ring: j, rate: 1Gb/s}]}"
    >>> sorted(lopsided_axes(loads_blueprint(text)))
    ['i']
    """
    return frozenset().union(*(_lopsided(blueprint, rule)[1] for rule in blueprint.rules))


def nesting(blueprint: Blueprint, ties: tuple[Tie, ...] = ()) -> Nesting:
    """Return the symmetry of the axes of `blueprint` and of the traffic that `ties` describe.

    Raises
    ------
    NoSymmetryError
        If it has wiring, a twisted ring, or a ring or line over a composed axis, along axes that are not
        kept.
    """
    return _nesting(blueprint, ties)


def _lopsided(blueprint: Blueprint, rule: Rule) -> tuple[str, frozenset[str]]:
    """Return what of a rule has no axis symmetry, and along which axes; nothing of most."""
    relation, along = rule.relation, frozenset(relation_axes(blueprint, rule))
    if relation is None or relation.kind == "mesh":
        # A full mesh is kept by the whole symmetric group of its axes.
        return "", frozenset()
    if relation.kind == "pairs":
        return "wiring", along
    if relation.twist:
        # Rotations keep an axis that is shifted, unless it is a product.
        shifted = (blueprint.primitives(axis) for axis, _ in relation.twist)
        return "a twisted ring", along.union(*(primitives for primitives in shifted if len(primitives) > 1))
    return (f"a {relation.kind} over a composed axis", along) if len(along) > 1 else ("", frozenset())


@remembered(64)
def _nesting(blueprint: Blueprint, ties: tuple[Tie, ...]) -> Nesting:
    fixed_axes = frozenset().union(*(t.kept for t in ties))
    for rule in blueprint.rules:
        obstacle, along = _lopsided(blueprint, rule)
        if not along <= fixed_axes:
            msg = f"{rule.name}: {obstacle} has no axis symmetry"
            raise NoSymmetryError(msg)
    names = [a.name for a in blueprint.axes.values() if not a.parts]
    used = [n for n in names if any(n in g.primitives for g in blueprint.groups.values())]
    # The group is a wreath product: what stands under an axis is permuted anew for each of its indices.
    under = {b: _above(blueprint, b, ties) - {b} for b in used}
    # Two axes that are under each other (always used together) are a tie; the one named first is above.
    above = {
        b: tuple(a for a in used if a in under[b] and (b not in under[a] or used.index(a) < used.index(b)))
        for b in used
    }
    # Fewer axes above means higher up: a topological order, as `under` is transitive.
    order = tuple(sorted(used, key=lambda b: (len(above[b]), used.index(b))))
    twisted = frozenset().union(*(twist_axes(blueprint, r) for r in blueprint.rules))
    turned = frozenset().union(*(t.turned for t in ties))
    permutations = _permutations(blueprint, used, twisted, turned)
    fixed = {
        a: np.arange(blueprint.axes[a].size, dtype=np.int64)[None] for a in fixed_axes.intersection(used)
    }
    return Nesting(order, above, permutations | fixed)


def _above(blueprint: Blueprint, b: str, ties: tuple[Tie, ...]) -> set[str]:
    """Return the axes that `b` is under, and maybe itself."""
    groups = blueprint.groups
    # Two ends that agree on `b` must do so afterwards; where they need not, nothing holds its permutation.
    shared = [set(t.agree) for t in ties if b in t.agree]
    shared += [set() for t in ties if b in t.apart]
    shared += [set(g.primitives) for g in groups.values() if b in g.primitives]
    # The wrap cable of a twisted ring joins devices that differ on the axes of its twist.
    shared += [
        set(agreeing_axes(blueprint, rule)) - set(twist_axes(blueprint, rule))
        for rule in blueprint.rules
        if _on_both(blueprint, rule, b)
    ]
    # Only what all groups, rules and traffic share may vary independently of the rest.
    return set.intersection(*shared)


def _on_both(blueprint: Blueprint, rule: Rule, axis: str) -> bool:
    return all(axis in blueprint.groups[group].primitives for group in rule.groups)


def _permutations(
    blueprint: Blueprint, used: list[str], twisted: frozenset[str], turned: frozenset[str]
) -> dict[str, Ints]:
    """Return the permutations of every axis that may not be permuted at will.

    Traffic that is turned along a plain axis needs none: all pairs of indices are alike there, and no link
    has two. Along a ring only rotations keep it.
    """
    permutations: dict[str, Ints] = {}
    for axis in used:
        rules = [
            r
            for r in blueprint.rules
            # Rules that join index i with i + 1, not all with all.
            if r.relation and r.relation.kind != "mesh" and axis in relation_axes(blueprint, r)
        ]
        # A plain axis: the symmetric group, which needs no list.
        if not rules and axis not in twisted:
            continue
        n = blueprint.axes[axis].size
        index = np.arange(n, dtype=np.int64)
        is_line = any(r.relation and r.relation.kind == "line" for r in rules)
        # A ring has its n rotations; a line without its reflection nothing but the identity.
        moved = index[None] if is_line else (index + index[:, None]) % n
        if axis not in twisted | turned and all(_reads_backwards(r) for r in rules):
            # With reflections: the dihedral group of a ring, the two elements of a line.
            moved = np.concatenate([moved, moved[:, ::-1]])
        permutations[axis] = moved
    return permutations


def _reads_backwards(rule: Rule) -> bool:
    """Return whether a ring or line is the same in the other direction: one group of peers, both ways."""
    is_alike = rule.left.group == rule.right.group and set(rule.left.terms) == set(rule.right.terms)
    return is_alike and rule.is_peer and not rule.is_oneway
