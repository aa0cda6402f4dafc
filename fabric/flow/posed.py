"""Whether a program is that of its question: counted in the file, and posed again.

A flow that fits and prices that meet it prove nothing where the program asks for less than the question does:
half of the demands, a class of sources left out, a cable counted twice, a turn that no device makes. So what
was solved is held to what is asked, class by class, by code that solves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fabric.arrays import Floats
from fabric.blueprint.model import Blueprint
from fabric.blueprint.slowing import parts_of
from fabric.flow.commodities import Commodities, Commodity, capacities
from fabric.symmetry import Quotient, devices_up
from fabric.symmetry.cabling import cables_up

_ROUNDING = 1e-9


def posed_faults(work: Commodities) -> list[str]:
    """Return in what a program differs from its question; the first fault of each kind.

    Notes
    -----
    Sizes of classes add up to the devices of the file, group by group. Every view has the links of the base,
    class by class, and these carry what their cables do. The sources are as many as send. What a source sends
    reaches every class of targets by its size, over the moves of the path rule: both are worked out again.
    """
    return list(dict.fromkeys(_faults(work)))


def _faults(work: Commodities) -> Iterator[str]:
    if work.asked is None:
        yield "a program that does not say what it was asked"
        return
    n_up = _devices(work)
    yield from _size_faults(work.base, n_up)
    if not np.array_equal(work.capacity, capacities(work.base)):
        yield "capacities that are not those of the cables"
    if work.blueprint is not None:
        yield from cable_faults(work.base, work.blueprint)
    # Whoever has no commodity would send nothing, and the rest more.
    n = sum(commodity.n_alike for commodity in work.commodities)
    if n != work.n_sources:
        yield f"{n:,.0f} sources in the program, {work.n_sources:,.0f} in the fabric"
    for commodity in work.commodities:
        if commodity.view is not work.base:
            yield from _size_faults(commodity.view, n_up)
            yield from _link_faults(work, commodity.view)
        yield from _traffic_faults(work, commodity)


def _devices(work: Commodities) -> list[int] | None:
    """Return how many devices of each group are up, where classes stand for several; else None."""
    if work.blueprint is not None:
        return [devices_up(work.blueprint, group) for group in work.blueprint.groups]
    if not work.views:
        return None
    e = work.views[0].expanded
    # Counted on the real devices that the views are of.
    return [int(n) for n in np.bincount(e.group[~e.failed], minlength=len(e.groups))]


def _size_faults(view: Quotient, n_up: list[int] | None) -> Iterator[str]:
    if n_up is None:
        return
    # Sizes of classes, group by group: all that are up, each once.
    counted = np.bincount(view.classes.group, view.size, minlength=len(n_up))
    for group, n, wanted in zip(view.classes.groups, counted.tolist(), n_up, strict=True):
        if n != wanted:
            yield f"{n:,.0f} {group.name} in the classes, {wanted:,} in the file"


def cable_faults(view: Quotient, blueprint: Blueprint) -> Iterator[str]:
    """Yield whether the classes have other cables than the file, rule by rule."""
    e, parts = view.classes, parts_of(blueprint)
    for number, rule in enumerate(blueprint.rules):
        own = e.rule == number
        if not np.isin(e.rate_gbps[own], rule.rate_gbps * np.array(parts)).all():
            yield f"{rule.name} at another rate than in the file"
        # Between peers the classes list every cable each way.
        n_listings = 2 if rule.is_peer and not rule.is_oneway else 1
        for above in (0.0, *parts[1:]):
            is_faster = own & (e.rate_gbps > rule.rate_gbps * above)
            n, right = int(e.count[is_faster].sum()) // n_listings, cables_up(blueprint, rule, above)
            if right is not None and n != right:
                speed = f" above {above:g} of their rate" if above else ""
                yield f"{n:,} {rule.name} cables{speed} in the classes, {right:,} in the file"


def _link_faults(work: Commodities, view: Quotient) -> Iterator[str]:
    """Yield whether the links of a view are other than those of the base."""
    e = view.classes
    if view.base.min(initial=0) < 0 or view.base.max(initial=-1) >= len(work.capacity):
        yield "links of no class"
        return
    # Classes of the view folded onto those of the base must carry what these do.
    carried = np.zeros(len(work.capacity))
    np.add.at(carried, view.base, np.repeat(e.count * e.rate_gbps, 2))
    if not np.allclose(carried, work.capacity, rtol=_ROUNDING, atol=0.0):
        yield "links of a view that are not those of all"


def _traffic_faults(work: Commodities, commodity: Commodity) -> Iterator[str]:
    """Yield what a commodity is other than the traffic of its source as it is posed again."""
    asked, view, moves = work.asked, commodity.view, commodity.moves
    ends = np.flatnonzero(commodity.supply > 0 if asked and asked.is_out else commodity.supply < 0)
    if asked is None or len(ends) != 1:
        yield f"{len(ends):,} sources of one commodity"
        return
    end = int(moves.device[ends[0]])
    # One device is marked, of the class that the commodity says, and it stands for all of this class.
    alike = view.origin == commodity.origin
    if view.size[end] != 1 or (commodity.origin >= 0 and not alike[end]):
        yield f"{view.classes.names[end]} is no source of its own flow"
    elif commodity.origin >= 0 and commodity.n_alike != view.size[alike].sum():
        n = float(view.size[alike].sum())
        yield f"{n:,.0f} sources are alike, {commodity.n_alike:,.0f} stand in the program"
    if work.owed is not None:
        return  # `fabric.flow.held` works them out from the file
    # Posed again from the question alone, by the code that poses and not by what the program holds.
    again = asked.commodity(view, end)
    if not _same(commodity, again):
        yield "moves that are not those of the path rule"
    elif not _near(commodity.supply, again.supply):
        yield "demands that do not meet the targets"


def _same(commodity: Commodity, again: Commodity) -> bool:
    """Return whether two commodities have the same states and moves."""
    a, b = commodity.moves, again.moves
    pairs = ((a.tail, b.tail), (a.head, b.head), (a.link, b.link), (a.device, b.device))
    return a.role == b.role and all(np.array_equal(x, y) for x, y in pairs)


def _near(supply: Floats, again: Floats) -> bool:
    return supply.shape == again.shape and np.allclose(supply, again, rtol=_ROUNDING, atol=0.0)
