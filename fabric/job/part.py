"""The part of a fabric that a job has, where it is some indices of plain axes: a smaller fabric by itself.

::

    pod 0 1 2 ... 61 | 62      among pod0-61: a fabric of 62 pods, on which ranks are numbered without gaps

Nothing of what the ranks load is lost: devices that are joined agree on such an axis or do not have it, so
traffic among the chosen indices passes no device at another, and switches without the axis keep all links up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from fabric.blueprint.model import Blueprint, MarkedCables, Selector, Term
from fabric.blueprint.rule_axes import relation_axes, twist_axes
from fabric.blueprint.site_selectors import read_selector
from fabric.symmetry import NoSymmetryError

Ranges = Mapping[str, tuple[int, int]]
"""First and last chosen index of primitive axes."""


def part_of(blueprint: Blueprint, among: str) -> Blueprint:
    """Return the fabric with the indices alone that `among` selects.

    Raises
    ------
    SelectorError
        If it cannot be read.
    NoSymmetryError
        If it chooses no indices of plain axes, or other cards would be nearest to a rank.

    Examples
    --------
    >>> from fabric.blueprint import loads_blueprint
    >>> text = "{fabric: a, axes: {pod: 4, i: 8}, devices: {gpu: {kind: gpu, axes: [pod, i]}, "
    >>> text += "leaf: {kind: switch, axes: [pod]}, spine: {kind: switch, axes: []}}, links: "
    >>> text += "[{between: [gpu, leaf], rate: 1Gb/s}, {between: [leaf, spine], rate: 8Gb/s}]}"
    >>> part = part_of(loads_blueprint(text), "pod1-3")
    >>> part.axes["pod"].size, part.n_devices("gpu")
    (3, 24)
    """
    selector = read_selector(blueprint, among, needs_group=False)
    chosen: dict[str, tuple[int, int]] = {}
    for term in selector.terms:
        chosen |= _plain(blueprint, term)
    cut = {a: range_ for a, range_ in chosen.items() if range_ != (0, blueprint.axes[a].size - 1)}
    _check(blueprint, cut)
    size = {a.name: a.size for a in blueprint.axes.values() if not a.parts}
    size |= {axis: last - first + 1 for axis, (first, last) in cut.items()}
    axes = {
        a.name: replace(a, size=math.prod(size[p] for p in blueprint.primitives(a.name)))
        for a in blueprint.axes.values()
    }
    absent, failed = (list(_inside(blueprint, of, cut)) for of in (blueprint.absent, blueprint.failed))
    cables: list[MarkedCables] = []
    for mark in blueprint.marked_cables:
        ends = list(_inside(blueprint, (mark.left, mark.right), cut))
        # Cables of which an end is left out load nothing of the job.
        if len(ends) == 2:
            cables.append(replace(mark, left=ends[0], right=ends[1]))
    return replace(
        blueprint,
        axes=axes,
        absent=tuple(absent),
        failed=tuple(failed),
        marked_cables=tuple(cables),
        # Indices begin at 0 again, so that names would be of others.
        site_names={},
    )


def _plain(blueprint: Blueprint, term: Term) -> dict[str, tuple[int, int]]:
    """Return the range on each primitive axis that a term stands for.

    Raises
    ------
    NoSymmetryError
        If a range of a composed axis is no product.
    """
    found: dict[str, tuple[int, int]] = {}
    lo, hi = term.lo, term.hi
    parts = blueprint.primitives(term.axis)
    for i, part in enumerate(parts):
        inner = math.prod(blueprint.axes[p].size for p in parts[i + 1 :])
        found[part] = (lo // inner, hi // inner)
        if lo // inner == hi // inner:
            lo, hi = lo % inner, hi % inner
        elif lo % inner or (hi + 1) % inner:
            msg = f"{term.axis}{term.lo}-{term.hi} is no product of {', '.join(parts)}"
            raise NoSymmetryError(msg)
        else:
            break
    return found


def _check(blueprint: Blueprint, cut: Ranges) -> None:
    """Raise where indices of a cut axis are not alike, or cards of those left out might be used.

    Raises
    ------
    NoSymmetryError
    """
    for rule in blueprint.rules:
        told = {*relation_axes(blueprint, rule), *twist_axes(blueprint, rule)}
        terms = [t.axis for t in (*rule.left.terms, *rule.right.terms)]
        told |= {p for axis in (*terms, rule.count_axis) if axis for p in blueprint.primitives(axis)}
        if told & set(cut):
            msg = f"{rule.name} tells the indices of {min(told & set(cut))} apart"
            raise NoSymmetryError(msg)
    for group in blueprint.groups.values():
        shared = set(cut) - set(group.primitives)
        if group.kind == "nic" and shared:
            msg = f"{group.name} is shared by endpoints along {min(shared)}"
            raise NoSymmetryError(msg)


def _inside(blueprint: Blueprint, marks: Iterable[Selector], cut: Ranges) -> Iterable[Selector]:
    """Yield what some selectors mean among the chosen indices, with these numbered from 0.

    Raises
    ------
    NoSymmetryError
        If one speaks of a composed axis of which a part is cut.
    """
    for mark in marks:
        terms: list[Term] | None = []
        for term in mark.terms:
            if term.axis not in cut:
                if set(blueprint.primitives(term.axis)) & set(cut):
                    msg = f"{mark.text} speaks of {term.axis}, of which the job has a part"
                    raise NoSymmetryError(msg)
                terms = terms if terms is None else [*terms, term]
                continue
            first, last = cut[term.axis]
            lo, hi = max(term.lo, first), min(term.hi, last)
            terms = None if terms is None or lo > hi else [*terms, Term(term.axis, lo - first, hi - first)]
        if terms is not None:
            yield replace(mark, terms=tuple(terms))
