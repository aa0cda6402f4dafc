"""Bill of materials, power and cost of a fabric, counted on its blueprint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from fabric.arguments import checked
from fabric.blueprint import Blueprint, Census, Rule, census
from fabric.blueprint.ports import cables_by_port, layer_notes, ports_needed
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.parts import Evidence, Part, catalogue, evidence
from fabric.sizing.bill import KINDS, Bom, Item, PortUse
from fabric.sizing.cabling import Cabling, Plug, Run, cabling
from fabric.sizing.chassis import Boxed, find_boxes
from fabric.sizing.fittings import fittings
from fabric.sizing.floor import FloorPlan, RackLayout, count_racks, lay_out
from fabric.sizing.prices import GIVEN, Price, Prices, check_prices

__all__ = ["Bom", "FloorPlan", "bom"]

MAX_SPARES = 1000.0
"""Most spares [percent]."""

# Without optics, which are items of their own; the largest draw only where there is no other figure.
_POWER = ("tdp_w", "power_typical_w", "power_max_w")
# What a chassis feeds: its devices, and what is plugged into them.
_IN_CHASSIS = ("gpu", "host", "nic", "switch chip", "transceiver")


@checked
def bom(
    fabric: Fabric | Blueprint,
    *,
    floor: FloorPlan | None = None,
    prices: Prices | None = None,
    spares: float = 0.0,
) -> Bom:
    """Return what a fabric is made of, the power of it, and its cost where prices are given.

    Parameters
    ----------
    fabric : Fabric or Blueprint
        Absent devices are left out; failed ones were bought.
    floor : FloorPlan, optional
        Where racks stand, for the length of cables whose rule has none; by default ``FloorPlan()``.
    prices : mapping of str to Price or float, optional
        Price [USD] of parts, media, device groups, ``rack`` and ``network rack``; a group's goes before that
        of its part. None is assumed: see `fabric.sizing.prices.indicative_prices`.
    spares : float
        Spares of scale-out switches, NICs, transceivers and cables [percent], each line rounded up.

    Returns
    -------
    Bom

    Raises
    ------
    QuestionError
        If the fabric came from a graph, or `spares` is not a percentage.
    PartError
        If a price is not sound or of no item.
    LimitError
        If rings, lines and lists tell too many classes of devices apart.

    Notes
    -----
    Counts come from index classes, so that a million GPUs cost as much as a rack; only the floor is taken
    enclosure by enclosure. A medium that no rule names is the first in the order of `fittings` that surely
    reaches: the lower end of a range.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 8}, links: [{between: [nic, leaf], rate: NDR, length: 2m}],"
    >>> text += " devices: {nic: {part: cx7, axes: [i], endpoint: true}, leaf: {part: qm9700, axes: []}}}"
    >>> [(e.item, e.about, e.n, e.n_ends) for e in bom(loads(text)).items if e.kind == "cable"]
    [('dac_passive', 'splitter', 4, 12)]
    """
    blueprint = fabric.axes_or_refuse("a bill of materials") if isinstance(fabric, Fabric) else fabric
    blueprint = blueprint.whole
    if not 0 <= spares <= MAX_SPARES:
        msg = f"spares of {spares} percent; expected a number from 0 to {MAX_SPARES:g}"
        raise QuestionError(msg)
    price_of = check_prices(prices, blueprint.groups)
    plan = floor or FloorPlan()
    counts = census(blueprint)
    layout = lay_out(blueprint, plan)
    cables = cabling(layout, counts)
    lines = [*_racks(layout), *_devices(counts), *_optics(cables.plugs), *_cables(cables)]
    items = [_complete(item, price_of, spares) for item in lines if item.n]
    items = _with_chassis(counts, items, cables, price_of)
    return Bom(
        name=blueprint.name,
        n_gpus=sum(counts.present(g.name) for g in blueprint.groups.values() if g.kind == "gpu"),
        n_endpoints=sum(counts.present(g.name) for g in blueprint.groups.values() if g.is_endpoint),
        items=tuple(sorted(items, key=lambda item: KINDS.index(item.kind))),
        cables=cables.runs,
        cages=cables.plugs,
        ports=tuple(_ports(counts)),
        floor=plan,
        spares_percent=spares,
        notes=(*_notes(layout, counts, cables, spares), *_price_notes(items)),
    )


def _racks(layout: RackLayout) -> Iterator[Item]:
    racks = count_racks(layout)
    if racks is not None:
        for kind, n in zip(("rack", "network rack"), racks, strict=True):
            yield Item(
                kind=kind, item=kind, where="floor", n=n, power_w=0.0, power_from="its devices are listed"
            )


def _devices(counts: Census) -> Iterator[Item]:
    scale_out = [r for r in counts.grid.blueprint.rules if r.net == "scale-out"]
    network = {side.group for r in scale_out for side in (r.left, r.right)}
    for group in counts.grid.blueprint.groups.values():
        n = counts.present(group.name)
        watts, source = _device_power(group.part)
        total = None if watts is None else n * watts
        item = group.part.id if group.part else "generic"
        is_chip = group.kind == "switch" and group.name not in network
        kind = "switch chip" if is_chip else group.kind
        yield Item(kind=kind, item=item, where=group.name, n=n, power_w=total, power_from=source)


def _with_chassis(
    counts: Census, items: list[Item], cables: Cabling, prices: Mapping[str, Price]
) -> list[Item]:
    """Add the chassis to `items`, and say whose power and price is in theirs already.

    The figure of a chassis is taken where somebody states it, or where a part in it has none: a guess of the
    whole is no better than figures of all its parts.
    """
    fed: set[str] = set()
    for box in find_boxes(counts):
        chassis = box.chassis
        backing = chassis.evidence("power_w")
        inside = [i for i in items if i.where in box.groups and i.kind in _IN_CHASSIS]
        is_taken = backing.confidence != "assumed" or any(i.power_w is None for i in inside)
        total = box.n * chassis.figures["power_w"] if is_taken else 0.0
        grounds = _grounds("power_w", backing) if is_taken else "its devices are listed"
        line = Item(
            kind="chassis",
            item=chassis.template,
            where=box.where,
            n=box.n,
            power_w=total,
            power_from=grounds,
        )
        line = replace(line, price=_chassis_price(prices.get(chassis.template), inside))
        # What is in the chassis is in its figure: still a line, but not counted again.
        items = [_inside(i, box, is_taken, line.price is not None) for i in items]
        fed |= box.groups if is_taken else set()
        if box.n:
            items.append(line)
    return [_outside(i, fed, cables) for i in items]


def _chassis_price(price: Price | None, inside: list[Item]) -> Price | None:
    """Return the price of a chassis, unless it is others' and the reader gives that of a part in it."""
    is_given = [
        item.price.confidence == GIVEN for item in inside if item.price and item.kind != "transceiver"
    ]
    # A price that the reader gives for a part says more than one of others for the whole.
    return None if price and price.confidence != GIVEN and any(is_given) else price


def _outside(item: Item, fed: set[str], cables: Cabling) -> Item:
    """Return a cable with the power of the ends that no chassis feeds; other items as they are."""
    # Plugs of this assembly, by the group that they are in.
    ends = [p for p in cables.plugs if (p.rule, p.medium, p.form) == (item.where, item.item, "assembly")]
    n_fed = sum(p.n_cages for p in ends if p.group in fed)
    if item.kind != "cable" or not item.power_w or not n_fed:
        return item
    # An active cable draws at both its ends, evenly: the ends in a chassis are in its figure already.
    share = n_fed / sum(p.n_cages for p in ends)
    return replace(item, power_w=item.power_w * (1 - share), power_from=f"{item.power_from}, other ends")


def _inside(item: Item, box: Boxed, has_power: bool, has_price: bool) -> Item:
    """Return an item with the chassis that it is in: devices, and the optics in its cages."""
    template = box.chassis.template
    if item.where not in box.groups or item.kind not in _IN_CHASSIS:
        return item
    if has_power:
        item = replace(item, power_in=template)
    if has_price and item.kind != "transceiver":
        # Spares are bought beside the chassis.
        item = replace(item, price_in=template, price=item.price if item.n_spare else None)
    return item


def _device_power(part: Part | None) -> tuple[float | None, str]:
    for figure in _POWER:
        if part and figure in part.figures:
            return part.figures[figure], _grounds(figure, evidence(part, figure))
    return None, ""


def _grounds(figure: str, backing: Evidence) -> str:
    return f"{figure}, {backing.confidence} ({' '.join(backing.source)})"


def _optics(plugs: tuple[Plug, ...]) -> Iterator[Item]:
    """Yield the transceivers, and the optics that are built into switches."""
    for plug in plugs:
        if plug.form not in ("transceiver", "built-in"):
            continue
        watts, source = _end_power(plug.medium)
        total = None if watts is None else plug.n_cages * watts
        if plug.form == "built-in" and total is not None:
            # The figure is that of an end of another rate; optics draw by lanes.
            total *= plug.rate_gbps / fittings()[plug.medium].medium.figures["rate_gbps"]
            source += ", by rate"
        yield Item(
            kind=plug.form,
            item=plug.medium,
            where=plug.group,
            n=plug.n_cages,
            about="",
            n_ends=plug.n_ends,
            power_w=total,
            power_from=source,
        )


def _end_power(medium: str) -> tuple[float | None, str]:
    """Return the power of one end of a medium [W], and what stands behind it."""
    row = catalogue().media.get(medium)
    if row is None or "power_w_per_end" not in row.figures:
        return None, ""
    return row.figures["power_w_per_end"], _grounds("power_w_per_end", evidence(row, "power_w_per_end"))


def _cables(cables: Cabling) -> Iterator[Item]:
    for assembly in cables.assemblies:
        watts, source = (0.0, "passive") if assembly.medium == "fibre" else _end_power(assembly.medium)
        total = None if watts is None else watts * assembly.n_ends
        about = "" if assembly.shape == "straight" else assembly.shape
        yield Item(
            kind="cable",
            item=assembly.medium,
            where=assembly.rule,
            n=assembly.n,
            about=about,
            n_ends=assembly.n_ends,
            reach_m=assembly.reach_m,
            power_w=total,
            power_from=source,
        )


def _complete(item: Item, prices: Mapping[str, Price], spares: float) -> Item:
    """Return an item with its spares and its price."""
    is_swapped = item.kind in ("switch", "nic", "transceiver", "cable")
    n_spare = math.ceil(item.n * spares / 100 - 1e-9) if is_swapped else 0
    is_device = item.kind in ("gpu", "host", "nic", "switch chip", "switch")
    price = (prices.get(item.where) if is_device else None) or prices.get(item.item)
    return replace(item, n_spare=n_spare, price=None if item.kind == "built-in" else price)


def _ports(counts: Census) -> Iterator[PortUse]:
    for group in counts.grid.blueprint.groups.values():
        n = np.where(counts.absent[group.name], 0.0, counts.n_devices[group.name])
        cables = cables_by_port(counts, group)
        for port in group.part.ports if group.part else ():
            needed = np.broadcast_to(ports_needed(port, cables.get(port.name, {})), n.shape)
            n_used = int(np.ceil((needed * n).sum() - 1e-9))
            yield PortUse(group.name, port.name, port.rate_gbps, int(n.sum()) * port.n_ports, n_used)


def _notes(layout: RackLayout, counts: Census, cables: Cabling, spares: float) -> Iterator[str]:
    yield from cables.notes
    yield from layer_notes(layout.grid.blueprint)
    if not layout.enclosures:
        yield f"Racks are not known, nor lengths from the floor: {layout.why}."
    elif any(r.length_m is None and not run.is_inside for r, run in _runs(layout, cables)):
        yield f"Floor plan: {layout.plan}. Network racks take no place of their own in the rows."
    if any(run.medium and not run.is_named for run in cables.runs):
        yield (
            "Media that no rule names: the first of passive copper, active copper, multimode and single-mode "
            "that surely reaches (the lower end of a range) and fits both cages."
        )
    generic = [g.name for g in layout.grid.blueprint.groups.values() if g.part is None]
    if any(plug.group in generic for plug in cables.plugs):
        yield f"Generic devices have a cage for every cable: {', '.join(generic)}."
    if any(assembly.shape == "shuffle" for assembly in cables.assemblies):
        yield "Shuffle: each item runs from a device to a shuffle panel; the panels are not counted."
    for box in find_boxes(counts):
        yield f"{box.chassis.template}: {box.chassis.note}."
    yield (
        "Power is that of the parts in the file: GPUs at their limit, switches and NICs typical and without "
        "optics. Memory, fans, power conversion and storage are in that of a chassis, and in nothing else."
    )
    if spares:
        kinds = "scale-out switches, NICs, transceivers and cables"
        yield f"Spares: {spares:g} % of {kinds}, each line rounded up."


def _price_notes(items: list[Item]) -> Iterator[str]:
    for template in dict.fromkeys(item.price_in for item in items if item.price_in):
        groups = ", ".join(item.where for item in items if item.price_in == template)
        yield f"The price of {template} is that of all devices in it; prices of {groups} are left out."


def _runs(layout: RackLayout, cables: Cabling) -> Iterator[tuple[Rule, Run]]:
    rules = {r.name: r for r in layout.grid.blueprint.rules}
    return ((rules[run.rule], run) for run in cables.runs)
