"""The ranks of a collective, and the same with one of them apart: on classes, or else on devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.blueprint.model import Blueprint
from fabric.blueprint.selector import selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError
from fabric.flow.by_axes import ClassTraffic
from fabric.flow.traffic import Traffic
from fabric.graph import Expanded, Fabric, Paths, expand, select
from fabric.symmetry import Mark, NoSymmetryError, Quotient, quotient


@dataclass(frozen=True, eq=False)
class TargetView:
    """A fabric, or its classes with one rank apart.

    Parameters
    ----------
    classes : Expanded
        n devices or classes of devices.
    size : ndarray of float64, shape (n,)
        Devices in each class.
    ranks : ndarray of bool, shape (n,)
    root, target : int
        Class of the one root and of the rank that is apart, -1 where there is none.
    """

    classes: Expanded
    size: Floats
    ranks: Bools
    root: int
    target: int = -1


def target_views(
    fabric: Fabric, rooted: bool, among: str | None, root: str, paths: Paths
) -> tuple[TargetView, Callable[[int], TargetView]]:
    """Return the ranks on classes where the axes say them, else on devices, and what sets one of them apart.

    Parameters
    ----------
    fabric : Fabric
    rooted : bool
        Whether there is a root.
    among, root : str
        Selectors of the ranks, and of the root; the first rank where that is empty.
    paths : {"rules", "no-relay", "any"}

    Raises
    ------
    QuestionError, SelectorError
        If there are fewer than two ranks, or the root is none of them.
    LimitError
        If the axes do not say the symmetry, and the fabric is too large to be expanded.
    """
    if fabric.blueprint is not None:
        try:
            return _on_classes(fabric.blueprint, rooted, among, root, paths)
        except NoSymmetryError:
            pass
    # No symmetry by axes: every device is a class of its own.
    e = expand(fabric)
    ranks = e.is_endpoint & ~e.failed
    if among:
        ranks &= select(fabric, among)
    # An empty selector of the root means the first rank.
    number = -1
    if rooted:
        chosen = np.flatnonzero(select(fabric, root) if root else ranks)
        number = int(chosen[0]) if len(chosen) == 1 or (len(chosen) and not root) else -1
    base = _check_ranks(TargetView(e, np.ones(e.n_devices), ranks, number), rooted, root)
    return base, lambda target: replace(base, target=target)


def _on_classes(
    blueprint: Blueprint, rooted: bool, among: str | None, root: str, paths: Paths
) -> tuple[TargetView, Callable[[int], TargetView]]:
    """Return the same on the classes of a blueprint."""
    question = ClassTraffic(blueprint, Traffic("all-to-all"), among, paths)
    # The first rank, where no root is named.
    first = int(np.flatnonzero(question.ends)[0])
    at, group = question.base.index[first], int(question.base.classes.group[first])
    if root:
        selector = read_selector(blueprint, root, needs_group=False)
        names = selected_groups(blueprint, selector)
        at = question.device(root)
        # The mark says the indices; the group of the root must be known too.
        group = next(
            (i for i, g in enumerate(blueprint.groups.values()) if g.is_endpoint and g.name in names), -1
        )

    def classes(*sources: Mark) -> Quotient:
        fixed = (at,) if rooted else ()
        return quotient(blueprint, sources, apart=question.apart, ties=question.ties, fixed=fixed)

    def view(classes_of: Quotient, target: int = -1) -> TargetView:
        number = _class_at(classes_of, at, group) if rooted else -1
        return TargetView(classes_of.classes, classes_of.size, question.inside(classes_of), number, target)

    def view_of(rank_class: int) -> TargetView:
        marked = classes(base.index[rank_class])
        return view(marked, _class_at(marked, base.index[rank_class], int(base.classes.group[rank_class])))

    base = classes()
    return _check_ranks(view(base), rooted, root), view_of


def _class_at(view: Quotient, mark: Mark, group: int) -> int:
    hits = np.flatnonzero((view.classes.group == group) & view.is_at(mark))
    return int(hits[0]) if len(hits) else -1


def _check_ranks(base: TargetView, rooted: bool, root: str) -> TargetView:
    """Return `base`; raise where there are too few ranks, or the root is none of them."""
    n = round(float(base.size[base.ranks].sum()))
    if n < 2:
        msg = f"{n} ranks that are up; a collective needs at least 2"
        raise QuestionError(msg)
    # The mark of a root that is down, or no rank, finds no class.
    if rooted and not (base.root >= 0 and base.ranks[base.root]):
        msg = f"root {root!r} must select exactly one rank that is up"
        raise QuestionError(msg)
    return base
