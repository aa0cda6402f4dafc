"""Traffic from one pool of endpoints to another, each of the first to all of the second alike, on classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import fitting, selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError
from fabric.flow.commodities import (
    Asked,
    Commodities,
    Commodity,
    capacities,
    limit_moves,
    name_classes,
    unreached,
)
from fabric.graph import Paths
from fabric.symmetry import Quotient, devices_up, quotient


def pools_program(blueprint: Blueprint, source: str, target: str, *, paths: Paths = "rules") -> Commodities:
    """Return the traffic from one selection of endpoints to another as commodities on classes.

    Parameters
    ----------
    blueprint : Blueprint
    source, target : str
        Selectors; every endpoint of the first sends to all of the second alike.
    paths : {"rules", "no-relay", "any"}

    Raises
    ------
    QuestionError, SelectorError
        If a pool has no endpoint, or they share one.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    ProgramSizeError
        If the program is too large.
    """
    chosen = tuple(read_selector(blueprint, text, needs_group=False) for text in (source, target))
    base = quotient(blueprint, apart=chosen)
    senders, receivers = (_inside(blueprint, base, selector) for selector in chosen)
    for text, pool in ((source, senders), (target, receivers)):
        if not pool.any():
            msg = f"{text!r} selects no endpoint that is up"
            raise QuestionError(msg)
    if (senders & receivers).any():
        shared = base.classes.names[int(np.flatnonzero(senders & receivers)[0])]
        msg = f"{source!r} and {target!r} share {shared}; a pool sends to another one"
        raise QuestionError(msg)

    def demand(view: Quotient, end: int) -> Floats:
        del end  # a sender receives nothing
        weight = np.where(_inside(blueprint, view, chosen[1]), view.size, 0.0)
        return np.asarray(weight / weight.sum())

    asked = Asked(demand, paths, lambda view: view.classes)

    def commodities() -> Iterator[Commodity]:
        for at in np.flatnonzero(senders).tolist():
            view = quotient(blueprint, (base.index[at],), apart=chosen)
            is_own = (view.classes.group == base.classes.group[at]) & (view.size == 1)
            own = int(np.flatnonzero(is_own & view.is_at(base.index[at]))[0])
            yield asked.commodity(view, own, float(base.size[at]), int(base.origin[at]))

    work = list(limit_moves(commodities(), f"the program of {int(senders.sum()):,} classes of sources"))
    lost = np.zeros(len(base.size), dtype=np.bool_)
    for commodity in work:
        for part in unreached(commodity):
            lost[np.unique(commodity.view.origin[part])] = True
    groups = selected_groups(blueprint, chosen[0])
    return Commodities(
        base=base,
        capacity=capacities(base),
        commodities=work,
        n_endpoints=float(base.size[senders | receivers].sum()),
        cut_off=name_classes(base, lost),
        blueprint=blueprint,
        apart=chosen,
        asked=asked,
        n_sources=float(
            sum(devices_up(blueprint, g, chosen[0]) for g in groups if blueprint.groups[g].is_endpoint)
        ),
    )


def _inside(blueprint: Blueprint, view: Quotient, selector: Selector) -> Bools:
    """Return which classes of endpoints a selector names."""
    names = list(blueprint.groups)
    groups = [names.index(g) for g in selected_groups(blueprint, selector)]
    inside = view.classes.is_endpoint & np.isin(view.classes.group, groups)
    return np.asarray(inside & fitting(blueprint, selector, view.places, len(inside)), dtype=np.bool_)
