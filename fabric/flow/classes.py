"""The question of a max-flow on classes: its size does not grow with the fabric.

One commodity needs no more than an equitable partition (Grohe, Kersting, Mladenov, Selman, "Dimension
Reduction via Colour Refinement", ESA 2014): a flow that is equal on all links of a class exists wherever any
does.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from fabric.arrays import Bools
from fabric.blueprint.grid import class_grid
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import fitting, selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, SelectorError
from fabric.flow.problem import FlowProblem, problem_of
from fabric.graph import Paths
from fabric.symmetry import Ground, Quotient, Sides, devices_up, lay_ground, quotient


def class_problem(
    blueprint: Blueprint, source: tuple[object, ...], target: tuple[object, ...], *, paths: Paths = "rules"
) -> FlowProblem:
    """Return the network of the question on the classes that keep both sides in place.

    Parameters
    ----------
    blueprint : Blueprint
    source, target : tuple
        Selectors of the two sides.
    paths : {"rules", "no-relay", "any"}

    Raises
    ------
    SelectorError
        If a selector cannot be read or matches nothing.
    QuestionError
        If a side is empty or the sides share a device.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """
    view, sides = class_view(blueprint, source, target)
    sources, targets = (_select_classes(blueprint, view, side) for side in sides)
    _refuse_shared(blueprint, *sides)
    return problem_of(view.classes, sources, targets, paths)


def class_view(
    blueprint: Blueprint, source: tuple[object, ...], target: tuple[object, ...]
) -> tuple[Quotient, Sides]:
    """Return the quotient of the stabiliser of both sides, and these: no device moves into or out of one."""
    sides = tuple(_selectors(blueprint, parts) for parts in (source, target))
    return quotient(blueprint, sides=sides), sides


def _refuse_shared(blueprint: Blueprint, source: tuple[Selector, ...], target: tuple[Selector, ...]) -> None:
    """Refuse two sides that name a device that is there, up or failed."""
    healthy = replace(blueprint, failed=())
    shared: dict[str, list[Selector]] = {}
    for a, b in product(source, target):
        for group in {*_meant(blueprint, a)} & {*_meant(blueprint, b)}:
            shared.setdefault(group, []).append(Selector(a.text, group, (*a.terms, *b.terms)))
    n_each = {
        group: devices_up(healthy, group, *shared[group]) for group in blueprint.groups if group in shared
    }
    if not any(n_each.values()):
        return
    group = next(group for group, n in n_each.items() if n)
    one = next(both for both in shared[group] if devices_up(healthy, group, both))
    grid = class_grid(healthy, (one,))
    row = np.flatnonzero(grid.mask(group, (one,)) & ~grid.mask(group, healthy.absent))[0]
    n = sum(n_each.values())
    device = f"{n:,} {'device' if n == 1 else 'devices'}"
    msg = f"source and target share {device}, such as {grid.name(group, int(row))}"
    raise QuestionError(msg)


def _meant(blueprint: Blueprint, selector: Selector) -> list[str]:
    """Return the groups that a selector of a question means: those of endpoints, if it names none."""
    is_any = selector.group is not None or selector.text.endswith("*")
    return [g for g in selected_groups(blueprint, selector) if is_any or blueprint.groups[g].is_endpoint]


def class_ground(blueprint: Blueprint, source: tuple[object, ...], target: tuple[object, ...]) -> Ground:
    """Return what the classes of `class_problem` are made from, to name them by.

    Raises
    ------
    SelectorError, QuestionError, NoSymmetryError
        As `class_problem`.
    """
    sides = tuple(_selectors(blueprint, parts) for parts in (source, target))
    return lay_ground(blueprint, sides=sides, in_file=True)


def _selectors(blueprint: Blueprint, parts: tuple[object, ...]) -> tuple[Selector, ...]:
    if not parts:
        msg = "an empty selection; name at least one device"
        raise QuestionError(msg)
    return tuple(read_selector(blueprint, str(p), needs_group=False) for p in parts)


def _select_classes(blueprint: Blueprint, view: Quotient, side: tuple[Selector, ...]) -> Bools:
    """Return the classes that a side selects; a selector without a group means the endpoints there."""
    names = list(blueprint.groups)
    group = view.classes.group
    selected = np.zeros(len(view.size), dtype=np.bool_)
    for selector in side:
        matching = np.isin(group, [names.index(g) for g in selected_groups(blueprint, selector)])
        # As in the expanded form: without a group, only endpoints are meant.
        if selector.group is None and not selector.text.endswith("*"):
            matching &= view.classes.is_endpoint
        matching &= fitting(blueprint, selector, view.places, len(matching))
        # What has failed has no class; a selector that names only such devices is still a question.
        if not matching.any() and not _names_present(blueprint, selector):
            msg = f"selector {selector.text!r} matches no device of {blueprint.name}"
            raise SelectorError(msg)
        selected |= matching
    return selected


def _names_present(blueprint: Blueprint, selector: Selector) -> bool:
    """Return whether a side of a question names a device that is not absent, up or failed."""
    # On the class grid, which tells the selector and what has failed apart, and is as small as the file.
    grid = class_grid(blueprint, (selector,))
    return any(
        (grid.mask(g, (selector,)) & ~grid.mask(g, blueprint.absent)).any()
        for g in _meant(blueprint, selector)
    )
