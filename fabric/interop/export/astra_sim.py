"""The network of ASTRA-sim: a product of rings, full meshes and switches, one for each axis of endpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn

from fabric.blueprint.model import Blueprint, DeviceGroup, Rule
from fabric.blueprint.rule_axes import agreeing_axes, relation_axes
from fabric.errors import QuestionError
from fabric.graph import Fabric
from fabric.units import parse_rate

Files = dict[str, str]
DOMAIN_LATENCY_NS, CABLE_LATENCY_NS = 25.0, 500.0
"""Latency of a hop inside a scale-up domain and outside, of SimAI's examples [ns]; a file has none."""
_SHAPES = {"ring": "Ring", "mesh": "FullyConnected"}


@dataclass(frozen=True, slots=True)
class _Dimension:
    """What joins the endpoints along one axis.

    Parameters
    ----------
    shape : {"Ring", "FullyConnected", "Switch"}
    rate_gbps : float
        Of a link, of a switch that of all cables of an endpoint [Gb/s].
    is_inside : bool
        Whether it is a scale-up network.
    """

    shape: str
    rate_gbps: float
    is_inside: bool


def astra_sim(fabric: Fabric) -> Files:
    """Return the network file of ASTRA-sim's analytical backend, its innermost dimension first.

    Raises
    ------
    QuestionError
        If the fabric is no product of such dimensions, with what keeps it from being one.

    Notes
    -----
    ASTRA-sim reads ``bandwidth`` as GB/s and counts 2**30 bytes (common/network-parser/NetworkParser.cpp).
    """
    blueprint = fabric.axes_or_refuse("the format astra-sim").whole
    ends = [g for g in blueprint.groups.values() if g.is_endpoint]
    if len(ends) != 1:
        _refuse(f"there are {len(ends)} groups of endpoints, and it knows one kind")
    if blueprint.absent or blueprint.failed or blueprint.marked_cables:
        _refuse("something is absent, down or slow, and its dimensions are whole")
    found = _dimensions(blueprint, ends[0])
    axes = [p for p in reversed(ends[0].primitives) if blueprint.axes[p].size > 1]
    for axis in axes:
        if axis not in found:
            _refuse(f"nothing joins the endpoints along axis {axis} alone")
    own = [found[axis] for axis in axes]
    if not own:
        _refuse("there is one endpoint")
    gib = parse_rate("1GiB/s")
    rows = {
        "topology": [one.shape for one in own],
        "npus_count": [f"{blueprint.axes[axis].size}" for axis in axes],
        "bandwidth": [f"{one.rate_gbps / gib:.6g}" for one in own],
        "latency": [f"{DOMAIN_LATENCY_NS if one.is_inside else CABLE_LATENCY_NS:g}" for one in own],
    }
    lines = [
        f"# {blueprint.name}: dimensions are the axes {', '.join(axes)}; GB/s are 2**30 bytes, latencies ns"
    ]
    lines += [f"{key}: [ {', '.join(values)} ]" for key, values in rows.items()]
    return {"": "\n".join(lines) + "\n"}


def _refuse(why: str) -> NoReturn:
    msg = f"astra-sim: {why}; its networks are products of rings, full meshes and switches"
    raise QuestionError(msg)


def _dimensions(blueprint: Blueprint, end: DeviceGroup) -> dict[str, _Dimension]:
    """Return what joins the endpoints along each axis; processors, which are no network, are left out."""
    found: dict[str, _Dimension] = {}
    near = {end.name: math.inf}
    for rule in blueprint.rules:
        kinds = [blueprint.groups[group].kind for group in rule.groups]
        if "host" in kinds and end.name not in rule.groups:
            continue
        if not isinstance(rule.count, int) or rule.left.terms or rule.right.terms or rule.is_oneway:
            _refuse(f"{rule.name} is not the same everywhere")
        if rule.left_group == rule.right_group == end.name:
            _add(found, *_direct(blueprint, rule), rule)
        elif (card := _card_of(blueprint, end, rule)) is not None:
            # A card of its own passes on what its slower side does.
            near[card] = rule.rate_gbps * rule.count
        elif rule.left_group in near and kinds[1] == "switch":
            _add(found, *_switched(blueprint, end, rule, near[rule.left_group]), rule)
        elif kinds[1] != "host":
            _refuse(f"{rule.name} joins {rule.left_group} with {rule.right_group}, along no axis alone")
    return found


def _add(found: dict[str, _Dimension], axis: str, one: _Dimension, rule: Rule) -> None:
    if axis in found:
        _refuse(f"{rule.name} is the second network along axis {axis}")
    found[axis] = one


def _card_of(blueprint: Blueprint, end: DeviceGroup, rule: Rule) -> str | None:
    """Return the group of cards that a rule gives each endpoint one of, or None."""
    card = blueprint.groups[rule.right_group]
    is_own = rule.left_group == end.name and card.kind == "nic" and rule.relation is None
    return card.name if is_own and set(card.primitives) == set(end.primitives) else None


def _direct(blueprint: Blueprint, rule: Rule) -> tuple[str, _Dimension]:
    relation, axes = rule.relation, relation_axes(blueprint, rule)
    if relation is None or relation.kind not in _SHAPES or relation.twist or len(axes) != 1:
        _refuse(f"{rule.name} is no ring or full mesh along one axis")
    n = rule.count if isinstance(rule.count, int) else 1
    return axes[0], _Dimension(_SHAPES[relation.kind], rule.rate_gbps * n, rule.net == "scale-up")


def _switched(blueprint: Blueprint, end: DeviceGroup, rule: Rule, most_gbps: float) -> tuple[str, _Dimension]:
    """Return the axis along which a switch joins endpoints, which agree on all others."""
    switch = blueprint.groups[rule.right_group]
    apart = [
        p for p in end.primitives if p not in agreeing_axes(blueprint, rule) and blueprint.axes[p].size > 1
    ]
    if rule.relation is not None or len(apart) != 1:
        along = " and ".join(apart) or "no axis"
        _refuse(f"{rule.name} joins endpoints along {along}")
    n_switches = math.prod(blueprint.axes[p].size for p in switch.primitives if p not in end.primitives)
    n = rule.count if isinstance(rule.count, int) else 1
    rate = min(rule.rate_gbps * n * n_switches, most_gbps)
    return apart[0], _Dimension("Switch", rate, rule.net == "scale-up")
