"""The quantities that a data file of systems may ask for, by name.

Each is a function of a measured system; its parameters are what a row may say beside the name. None has a
number of its own: rates [Gb/s per direction] and counts come from the links or from a solver.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fabric.arrays import Floats
from fabric.errors import QuestionError, nearest
from tools.pages.systems_numbers import SystemAnswers, at_all, at_each, bisection, halving, rules_of, way_out

_SLACK = 1e-9


def _group(measured: SystemAnswers, name: str) -> str:
    """Return a group by name, by default the only one of endpoints."""
    groups = measured.blueprint.groups
    if name and name not in groups:
        msg = f"no group {name!r} in {measured.fabric.name}; {nearest(name, groups)}"
        raise QuestionError(msg)
    if not name and len(measured.endpoints) != 1:
        msg = f"{measured.fabric.name} has endpoints of {', '.join(measured.endpoints)}; say group:"
        raise QuestionError(msg)
    return name or measured.endpoints[0]


def _even(measured: SystemAnswers, per_device: Floats) -> float:
    """Return what every device has."""
    if np.ptp(per_device) > _SLACK * per_device.max():
        msg = f"{measured.fabric.name}: devices differ, {per_device.min():g} to {per_device.max():g}"
        raise QuestionError(msg)
    return float(per_device[0])


def _scale_up(measured: SystemAnswers, group: str = "", rules: Sequence[str] = ()) -> float:
    """Return what one device has into the scale-up network, or on some rules."""
    rates_gbps = at_each(measured, _group(measured, group), rules_of(measured, rules), is_rate=True)
    return _even(measured, rates_gbps)


def _scale_up_total(measured: SystemAnswers, group: str = "", rules: Sequence[str] = ()) -> float:
    """Return what all devices of a group have into the scale-up network, or on some rules."""
    return at_all(measured, _group(measured, group), rules_of(measured, rules), is_rate=True)


def _scale_up_ports(measured: SystemAnswers, group: str = "") -> float:
    """Return what the part of a device has in ports for scale-up links, cabled or not."""
    part = measured.blueprint.groups[_group(measured, group)].part
    classes = {r.port_class for r in rules_of(measured)}
    return sum(p.n_ports * p.rate_gbps for p in part.ports if p.name in classes) if part else 0.0


def _scale_out(measured: SystemAnswers, group: str = "") -> float:
    """Return what one device has into the scale-out network, on average."""
    return _scale_out_total(measured, group) / measured.counts.present(_group(measured, group))


def _scale_out_total(measured: SystemAnswers, group: str = "") -> float:
    """Return what all devices of a group have into the scale-out network."""
    uplink = way_out(measured, _group(measured, group))
    if uplink is None:
        msg = f"{measured.fabric.name}: {_group(measured, group)} has no way out"
        raise QuestionError(msg)
    return uplink.total_gbps


def _bisection(measured: SystemAnswers, group: str = "", axis: str = "") -> float:
    """Return the flow from half of an axis to the other half, or the least over all axes."""
    group = _group(measured, group)
    axes = measured.blueprint.groups[group].primitives
    if axis and axis not in axes:
        msg = f"{measured.fabric.name}: no axis {axis!r} of {group}; {nearest(axis, axes)}"
        raise QuestionError(msg)
    half = halving(measured, group, axis) if axis else bisection(measured, group)
    if half is None:
        msg = f"{measured.fabric.name}: {axis or group} has no halves: it has one index"
        raise QuestionError(msg)
    return half.flow.value_gbps


def _all_to_all(measured: SystemAnswers, group: str = "") -> float:
    """Return the rate of every device in uniform all-to-all."""
    return measured.all_to_all(_group(measured, group)).per_endpoint_gbps


def _all_gather(measured: SystemAnswers, group: str = "") -> float:
    """Return the algbw that no all-gather exceeds."""
    return measured.all_gather(_group(measured, group)).algbw_gbps


def _all_gather_inward(measured: SystemAnswers, group: str = "") -> float:
    """Return the busbw of that bound: what a device takes in."""
    return measured.all_gather(_group(measured, group)).busbw_gbps


def _pair_flow(measured: SystemAnswers, pair: Sequence[str]) -> float:
    """Return the maximum flow from one selection to another."""
    source, target = pair
    return measured.flow(source, target).value_gbps


def _devices(measured: SystemAnswers, group: str = "") -> float:
    """Return the populated devices of a group."""
    return float(measured.counts.present(_group(measured, group)))


def _cables(measured: SystemAnswers, rules: Sequence[str]) -> float:
    """Return the cables of some rules."""
    wanted = {r.name for r in rules_of(measured, rules)}
    return float(sum(c.total for c in measured.counts.rules if c.rule.name in wanted))


def _ports(measured: SystemAnswers, group: str = "", rules: Sequence[str] = ()) -> float:
    """Return the ends of scale-up cables, or of those of some rules, at all devices of a group."""
    return at_all(measured, _group(measured, group), rules_of(measured, rules), is_rate=False)


def _ports_per_device(measured: SystemAnswers, group: str = "", rules: Sequence[str] = ()) -> float:
    """Return the ends of scale-up cables, or of those of some rules, at one device of a group."""
    ends = at_each(measured, _group(measured, group), rules_of(measured, rules), is_rate=False)
    return _even(measured, ends)


RATES: Mapping[str, Callable[..., float]] = {
    "scale-up-per-device": _scale_up,
    "scale-up-total": _scale_up_total,
    "scale-up-ports-per-device": _scale_up_ports,
    "scale-out-per-device": _scale_out,
    "scale-out-total": _scale_out_total,
    "bisection": _bisection,
    "all-to-all": _all_to_all,
    "all-gather": _all_gather,
    "all-gather-busbw": _all_gather_inward,
    "pair-flow": _pair_flow,
}
"""Quantities in Gb/s of one direction."""

COUNTS: Mapping[str, Callable[..., float]] = {
    "devices": _devices,
    "cables": _cables,
    "cable-ends": _ports,
    "cable-ends-per-device": _ports_per_device,
}
"""Quantities that are numbers of things."""


def arguments(quantity: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the arguments that a quantity needs, and those that it may have.

    Raises
    ------
    QuestionError
        If the quantity is unknown.

    Examples
    --------
    >>> [sorted(names) for names in arguments("cable-ends")], [sorted(n) for n in arguments("pair-flow")]
    ([[], ['group', 'rules']], [['pair'], []])
    """
    quantities = {**RATES, **COUNTS}
    if quantity not in quantities:
        near = nearest(quantity, quantities) or f"known are {', '.join(quantities)}"
        msg = f"unknown quantity {quantity!r}; {near}"
        raise QuestionError(msg)
    parameters = list(inspect.signature(quantities[quantity]).parameters.values())[1:]
    needed = frozenset(p.name for p in parameters if p.default is p.empty)
    return needed, frozenset(p.name for p in parameters) - needed


def evaluate(measured: SystemAnswers, quantity: str, chosen: Mapping[str, Any]) -> float:
    """Return a quantity of a system: a rate [Gb/s per direction] or a number.

    Raises
    ------
    QuestionError
        If the system has no such group, rule or axis, or devices differ where one number is asked for.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> rack = SystemAnswers(loads("{fabric: rack, include: gb200-nvl72}"))
    >>> evaluate(rack, "scale-up-per-device", {}), evaluate(rack, "devices", {"group": "nvswitch"})
    (7200.0, 18.0)
    """
    return {**RATES, **COUNTS}[quantity](measured, **chosen)
