"""The question of a max-flow on classes: its size does not grow with the fabric.

One commodity needs no more than an equitable partition (Grohe, Kersting, Mladenov, Selman, "Dimension
Reduction via Colour Refinement", ESA 2014): a flow that is equal on all links of a class exists wherever any
does.
"""

from __future__ import annotations

import numpy as np

from fabric.blueprint.join import Bools
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import fits, parse_selector, selected_groups
from fabric.errors import QuestionError, SelectorError
from fabric.flow.problem import FlowProblem, problem_of
from fabric.graph import Paths
from fabric.symmetry import Quotient, as_mark, nesting, quotient


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
    sides = [_selectors(blueprint, parts) for parts in (source, target)]
    nest = nesting(blueprint)
    marks, cells = [], []
    for selector in (s for side in sides for s in side):
        mark = as_mark(blueprint, selector, nest)
        if mark is None:
            cells.append(selector)
        else:
            marks.append(mark)
    view = quotient(blueprint, apart=tuple(cells), fixed=tuple(dict.fromkeys(marks)))
    sources, targets = (_chosen(blueprint, view, side) for side in sides)
    both = np.flatnonzero(sources & targets)
    if len(both):
        n = round(float(view.size[both].sum()))
        name = view.classes.names[int(both[0])]
        msg = f"source and target share {n:,} {'device' if n == 1 else 'devices'}, such as {name}"
        raise QuestionError(msg)
    return problem_of(view.classes, sources, targets, paths)


def _selectors(blueprint: Blueprint, parts: tuple[object, ...]) -> list[Selector]:
    if not parts:
        msg = "an empty selection; name at least one device"
        raise QuestionError(msg)
    return [parse_selector(str(p), blueprint.axes, blueprint.groups, needs_group=False) for p in parts]


def _chosen(blueprint: Blueprint, view: Quotient, side: list[Selector]) -> Bools:
    """Return the classes that a side selects; a selector without a group means the endpoints there."""
    names = list(blueprint.groups)
    group = view.classes.group
    found = np.zeros(len(view.size), dtype=np.bool_)
    for selector in side:
        one = np.isin(group, [names.index(g) for g in selected_groups(blueprint, selector)])
        if selector.group is None and not selector.text.endswith("*"):
            one &= view.classes.is_endpoint
        for i in np.flatnonzero(one).tolist():
            one[i] = fits(blueprint, selector, dict(view.index[i]))
        # What has failed has no class; a selector that names only such devices is still a question.
        if not one.any() and not _names_failed(blueprint, selector):
            msg = f"selector {selector.text!r} matches no device of {blueprint.name}"
            raise SelectorError(msg)
        found |= one
    return found


def _names_failed(blueprint: Blueprint, selector: Selector) -> bool:
    groups = set(selected_groups(blueprint, selector))
    return any(groups & set(selected_groups(blueprint, f)) for f in blueprint.failed)
