"""The design that a topology file is like, and others of the same racks and switches beside it.

A file is *like* a design where its racks come from one template and its network is leaves, spines and cores
of the catalogue. What `fabric.design` then builds of the same racks, switches, planes and oversubscription
may have other numbers of switches than the file; `departs` says so.
"""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fabric.blueprint import Blueprint
from fabric.costing import cost
from fabric.errors import FabricError, LimitError, QuestionError
from fabric.flow.program import solve_commodities
from fabric.flow.question import Question, pose
from fabric.graph import Fabric, fail_by_axes
from fabric.sizing import Design, DesignOptions, design
from fabric.sizing.bom import bom
from fabric.sizing.prices import indicative_prices
from fabric.sizing.request import TIERS
from fabric.sizing.summary import Summary
from fabric.text.words import counted, join_words

_EVEN = 1.005
"""Oversubscription up to which a tier is taken as non-blocking: ports kept for management are no ratio."""
_FINEST = 1000


def options_of(fabric: Fabric, summary: Summary) -> DesignOptions:
    """Return the arguments of the design that a file is like.

    Parameters
    ----------
    fabric : Fabric
    summary : Summary

    Raises
    ------
    QuestionError
        If its racks or its network are none of those that `fabric.design` builds, with the reason.

    Examples
    --------
    >>> from fabric.sizing.summary import summarize
    >>> text = design(gpus=256, rack="hgx-h100", leaf="qm9700", oversubscription={"leaf": 2}).text
    >>> from fabric.graph import loads
    >>> options_of(loads(text), summarize(loads(text)))
    {'rack': 'hgx-h100', 'leaf': 'qm9700', 'oversubscription': {'leaf': '2:1'}}
    """
    blueprint = fabric.axes_or_refuse("a design that a file is like")
    rack = _rack(blueprint)
    switches = [t.name for t in summary.tiers if not blueprint.groups[t.name].template]
    if not 1 <= len(switches) <= len(TIERS) or len(switches) != len(summary.tiers):
        msg = f"its network has {len(switches)} tiers of switches of its own; a design has 1 to {len(TIERS)}"
        raise QuestionError(msg)
    parts = [blueprint.groups[name].part for name in switches]
    named = [part.id for part in parts if part]
    if len(named) < len(parts):
        msg = "a switch of it is none of the catalogue"
        raise QuestionError(msg)
    options: dict[str, object] = {"rack": rack, "leaf": named[0]}
    for i, tier in enumerate(TIERS[1 : len(named)], start=1):
        if named[i] != named[i - 1]:
            options[tier] = named[i]
    planes = _planes(blueprint, switches[0])
    if planes > 1:
        options["planes"] = planes
    rails = [_rails(blueprint, rack, name) for name in switches]
    if not rails[0]:
        options["layout"] = "tor"
    elif len(rails) > 1 and rails[1] == rails[0]:
        # Spines of their own for each rail: nothing joins the rails.
        options["layout"] = "rail-only"
    ratios = {
        tier: f"{round(t.ratio * _FINEST) / _FINEST:g}:1"
        for tier, t in zip(TIERS, summary.tiers, strict=False)
        if t.ratio is not None and t.ratio > _EVEN
    }
    if ratios:
        options["oversubscription"] = ratios
    return options  # type: ignore[return-value]  # keys are those of DesignOptions


def _rack(blueprint: Blueprint) -> str:
    """Return the template of all endpoints."""
    templates = {group.template for group in blueprint.groups.values() if group.is_endpoint}
    if len(templates) != 1 or not all(templates):
        msg = "its endpoints do not all come from one template of a rack or server"
        raise QuestionError(msg)
    return templates.pop()


def _carriers(blueprint: Blueprint, leaf: str) -> set[str]:
    """Return the primitive axes of what is cabled to the leaves and comes from the template."""
    below = [rule.groups for rule in blueprint.rules if leaf in rule.groups]
    names = {name for pair in below for name in pair if name != leaf and blueprint.groups[name].template}
    return {axis for name in names for axis in blueprint.groups[name].primitives}


def _planes(blueprint: Blueprint, leaf: str) -> int:
    """Return the leaves that share a card: the product of the axes that only the leaves have."""
    shared = _carriers(blueprint, leaf)
    own = [axis for axis in blueprint.groups[leaf].primitives if axis not in shared]
    return math.prod(blueprint.axes[axis].size for axis in own)


def _rails(blueprint: Blueprint, rack: str, switch: str) -> set[str]:
    """Return the axes inside the rack or server that a switch stands on: it serves some rails of it."""
    of_rack = [set(g.primitives) for g in blueprint.groups.values() if g.template == rack]
    # What not all devices of a rack have tells places inside it apart.
    within = set().union(*of_rack) - _of_racks(blueprint, rack)
    return within & set(blueprint.groups[switch].primitives)


def _of_racks(blueprint: Blueprint, rack: str) -> set[str]:
    """Return the axes that tell racks or servers apart: those of all their devices."""
    return set.intersection(*(set(g.primitives) for g in blueprint.groups.values() if g.template == rack))


def _block(blueprint: Blueprint, rack: str, leaf: str) -> int:
    """Return the racks or servers on the same leaves."""
    apart = _of_racks(blueprint, rack) - set(blueprint.groups[leaf].primitives)
    return math.prod(blueprint.axes[axis].size for axis in apart)


def design_like(fabric: Fabric, summary: Summary) -> tuple[DesignOptions, Design]:
    """Return the arguments of the design that a file is like, and that design at the size of the file.

    Racks share leaves as in the file where only that is like it: the fewest switches may ask for others.

    Parameters
    ----------
    fabric : Fabric
    summary : Summary

    Raises
    ------
    FabricError
        If its racks or its network are none of those that `fabric.design` builds, with the reason.
    """
    options = options_of(fabric, summary)
    built = design(**options, gpus=summary.n_endpoints)
    if departs(summary, built):
        blueprint = fabric.axes_or_refuse("a design that a file is like")
        block = _block(blueprint, options["rack"], summary.tiers[0].name)
        with contextlib.suppress(FabricError):
            shaped: DesignOptions = {**options, "block": block}
            own = design(**shaped, gpus=summary.n_endpoints)
            if not departs(summary, own):
                return shaped, own
    return options, built


def command_of(verb: str, options: Mapping[str, object], more: str = "") -> str:
    """Return the command that asks `verb` with the arguments of a design.

    Examples
    --------
    >>> command_of("design", {"rack": "hgx-h100", "oversubscription": {"leaf": "3:1"}}, "--gpus 256")
    'fabtopo design --rack hgx-h100 --oversubscription leaf=3:1 --gpus 256'
    """
    words = ["fabtopo", verb]
    for name, value in options.items():
        shown = ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        words += [f"--{name.replace('_', '-')}", shlex.quote(shown)]
    return " ".join([*words, *([more] if more else [])])


def departs(summary: Summary, built: Design) -> str:
    """Return where a design of the same size has other numbers of switches than the file; empty where not."""
    own = {g.name: g.n_devices for g in summary.groups}
    told = [
        f"{counted(n, name)} where the file has {own[tier.name]:,}"
        for (name, n), tier in zip(built.switches.items(), summary.tiers, strict=False)
        if own[tier.name] != n
    ]
    return join_words(told)


REFERENCE = "1GiB"
"""Size at which designs are told apart by a collective, and of which reports tell most."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A design of the same racks beside others.

    Parameters
    ----------
    what : str
        In what it differs; ``as it is`` for the design that the file is like.
    command : str
        That makes it.
    n_switches, n_cables : int
        Of the network beyond the racks.
    rate_gbps : float
        Of every endpoint in uniform all-to-all [Gb/s per direction].
    busbw_gbps : float or None
        That an all-reduce of `REFERENCE` is expected to show; None where it has no cost.
    kept : float or None
        Part of the rate of all-to-all that is left with one leaf down, 0 where that cuts endpoints off; None
        where the question is too large.
    power_w : float or None
        Known power [W].
    cost_usd : (float, float) or None
        Of what has an indicative price [USD].
    """

    what: str
    command: str
    n_switches: int
    n_cables: int
    rate_gbps: float
    busbw_gbps: float | None
    kept: float | None
    power_w: float | None
    cost_usd: tuple[float, float] | None


_VARIANTS: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("as it is", {}),
    ("racks on the leaves of the fewest switches", {"block": None}),
    ("leaf 2:1", {"oversubscription": {"leaf": "2:1"}}),
    ("leaf 4:1", {"oversubscription": {"leaf": "4:1"}}),
    ("rail-only", {"layout": "rail-only"}),
    ("one plane", {"planes": 1}),
    ("two planes", {"planes": 2}),
    ("eight planes", {"planes": 8}),
)
"""Other designs that a reader may ask for, one argument changed in each."""
_DEFAULTS: Mapping[str, object] = {"planes": 1, "layout": "rail", "block": None}


def alternatives(options: DesignOptions, gpus: int) -> tuple[Alternative, ...]:
    """Return the design of `options` and others that can be built, each answered by itself.

    Parameters
    ----------
    options : DesignOptions
    gpus : int
    """
    found: list[Alternative] = []
    for what, change in _VARIANTS:
        arguments = {name: value for name, value in {**options, **change}.items() if value is not None}
        if change and {**_DEFAULTS, **arguments} == {**_DEFAULTS, **options}:
            continue
        with_command = command_of("design", arguments, f"--gpus {gpus}")
        try:
            built = design(**arguments, gpus=gpus)  # type: ignore[arg-type]
        except FabricError:
            # Such as a card that cannot be shared by so many planes: no alternative here.
            continue
        found.append(_alternative(what, with_command, built))
    return tuple(found)


def _alternative(what: str, command: str, built: Design) -> Alternative:
    rate_gbps = _rate_gbps(built.fabric)
    bill = bom(built.blueprint, prices=indicative_prices())
    return Alternative(
        what,
        command,
        sum(built.switches.values()),
        sum(n for name, n in built.cables.items() if _is_beyond(built.blueprint, name)),
        rate_gbps,
        _busbw_gbps(built.fabric),
        kept_without(built.fabric, TIERS[0], rate_gbps),
        bill.power_w,
        bill.cost_usd,
    )


def _is_beyond(blueprint: Blueprint, rule: str) -> bool:
    return any(r.name == rule and r.net == "scale-out" for r in blueprint.rules)


def _rate_gbps(fabric: Fabric) -> float:
    """Return the rate of every endpoint in all-to-all, 0 where some are cut off; solved, not proved anew."""
    work, _ = pose(Question(fabric, "all-to-all"))
    return 0.0 if work.cut_off else solve_commodities(work.capacity, work.commodities).rate_gbps


def _busbw_gbps(fabric: Fabric) -> float | None:
    """Return the busbw that an all-reduce of `REFERENCE` is expected to show."""
    try:
        return cost(fabric, "all-reduce", REFERENCE, is_bounded=False).busbw_gbps
    except FabricError:
        return None


def kept_without(fabric: Fabric, group: str, rate_gbps: float) -> float | None:
    """Return the part of the rate of all-to-all that is left with the first device of a group down.

    Parameters
    ----------
    fabric : Fabric
    group : str
    rate_gbps : float
        While all is up [Gb/s].

    Returns
    -------
    float or None
        0 where it cuts endpoints off; None where the question is too large. Solved, not proved anew.
    """
    one = fabric.axes_or_refuse("a failure").groups[group]
    try:
        return _rate_gbps(fail_by_axes(fabric, first_of(one.axes, one.name))) / rate_gbps
    except LimitError:
        return None


def first_of(axes: Sequence[str], name: str) -> str:
    """Return the name of the first device of a group.

    Examples
    --------
    >>> first_of(["plane", "block", "slot"], "leaf"), first_of([], "core")
    ('plane0/block0/leaf0', 'core')
    """
    return "/".join([*(f"{axis}0" for axis in axes[:-1]), f"{name}0" if axes else name])


def front(designs: Sequence[Alternative]) -> Iterator[Alternative]:
    """Yield those that no other beats: none has as much rate for less money, or more for as much."""
    for one in designs:
        if one.cost_usd is None:
            continue
        own = _merits(one)
        others = map(_merits, designs)
        if not any(all(a >= b for a, b in zip(o, own, strict=True)) and o != own for o in others):
            yield one


def _merits(one: Alternative) -> tuple[float, float, float]:
    """Return what more of is better: rate, what one leaf down leaves, and money kept."""
    return one.rate_gbps, one.kept or 0.0, -sum(one.cost_usd) if one.cost_usd else float("-inf")
