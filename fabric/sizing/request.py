"""What a design is asked for, and what follows from it before anything is sized: racks, rates, ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from fabric.blueprint.fields import is_label
from fabric.sizing.arguments import AUTO, LAYOUTS, STRIPES, DesignArguments, Layout, Stripes
from fabric.sizing.rack import Rack, find_rack, leading_products
from fabric.sizing.rates import Cables, rates_allowed
from fabric.sizing.reading import by_key, choice, ratio, read_given, show, text, whole
from fabric.sizing.switch import DesignError, Switch, find_switch, ports_taken

TIERS = ("leaf", "spine", "core")
MAX_TIERS = 3
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, in whole racks, parts, rates and exact ratios.

    Parameters
    ----------
    given : DesignArguments
        The arguments that were given.
    layout, stripes, planes, homes, block, pod, ufm
        As in `DesignArguments`, with their defaults; None is free.
    reserve : mapping of str to int
        Ports of a switch that stay free, by tier.
    rack : Rack
    leaf, spine, core : Switch
    cables : Cables
        Rates of the design at hand; of those in `rates` the first, until sizes are known.
    rates : tuple of Cables
        Rates that the ports allow, the one liked best first.
    leaf_ratio, spine_ratio : Fraction
        Downlink over uplink capacity that is allowed.
    rails : int
        Leaves of a block that the NICs of a rack are spread over, without planes and homes.
    groups : tuple of int
        Numbers of groups of rails that may have spines of their own, the one liked best first.
    tiers : tuple of int
        Numbers of tiers that may be built, fewest first.
    gpus : int
        As asked for.
    racks, populated : int
        Racks (or nodes) to build for, and to install.
    """

    given: DesignArguments
    layout: Layout
    stripes: Stripes
    planes: int
    homes: int
    block: int | None
    pod: int | None
    ufm: int
    reserve: Mapping[str, int]
    rack: Rack
    leaf: Switch
    spine: Switch
    core: Switch
    cables: Cables
    rates: tuple[Cables, ...]
    leaf_ratio: Fraction
    spine_ratio: Fraction
    rails: int
    groups: tuple[int, ...]
    tiers: tuple[int, ...]
    gpus: int
    racks: int
    populated: int

    @property
    def slots(self) -> int:
        """Places for racks: one more than racks where a place is given to UFM."""
        return self.racks + bool(self.ufm)

    @property
    def is_even(self) -> bool:
        """Whether a switch has the same number of cables to every switch above."""
        return self.stripes == "even"

    @property
    def faces(self) -> int:
        """Leaves that each NIC is cabled to: one a plane and home."""
        return self.planes * self.homes

    @property
    def per_rack(self) -> int:
        """NICs of a rack."""
        return self.rack.per_rail * self.rack.n_rails

    def at(self, racks: int) -> Request:
        """Return the same for so many racks, all of them installed."""
        return replace(self, racks=racks, populated=racks, gpus=racks * self.rack.n_gpus)

    def rated(self, cables: Cables) -> Request:
        """Return the same with cables of other rates."""
        return replace(self, cables=cables)

    def switch(self, tier: str) -> Switch:
        """Return the switch of `tier`."""
        return {"leaf": self.leaf, "spine": self.spine, "core": self.core}[tier]

    def budget(self, tier: str) -> int:
        """Return the ports of a switch of `tier` that may be used."""
        return self.switch(tier).port.n_ports - self.reserve.get(tier, 0)

    def ports(self, tier: str, cables: Mapping[float, int]) -> int:
        """Return the ports that cables take at a switch of `tier`."""
        return ports_taken(self.switch(tier).port, cables)

    def capacity(self, tier: str, rate_gbps: float) -> int:
        """Return how many cables of one rate [Gb/s] a switch of `tier` takes."""
        switch = self.switch(tier)
        cage = switch.port.ports_per_cage or 1
        ports = self.budget(tier)
        is_native = abs(rate_gbps - switch.port.rate_gbps) <= _SLACK * rate_gbps
        return ports if is_native else ports // cage * cage * switch.per_port(rate_gbps)

    def fits(self, tier: str, cables: Mapping[float, int]) -> bool:
        """Return whether a switch of `tier` has the ports for cables."""
        return self.ports(tier, cables) <= self.budget(tier)


def resolve(arguments: Mapping[str, object]) -> Request:
    """Read the arguments of a design.

    Parameters
    ----------
    arguments : mapping of str to object
        Those of `DesignArguments`.

    Raises
    ------
    DesignError
        If one is unknown, missing or out of range, or contradicts another.
    """
    ask = read_given(arguments)
    _check_texts(ask)
    layout = choice("layout", ask.get("layout", "rail"), LAYOUTS)
    planes, homes = (whole(argument, ask.get(argument, 1)) for argument in ("planes", "homes"))
    block, pod = (
        whole(argument, ask[argument]) if argument in ask else None for argument in ("block", "pod")
    )
    rack = find_rack(ask["rack"], Path(ask.get("base") or "."))
    leaf = find_switch(ask["leaf"])
    spine = find_switch(ask.get("spine") or ask["leaf"])
    core = find_switch(ask.get("core") or spine.name)
    gpus = whole("gpus", ask["gpus"])
    # Whole racks, rounded up.
    racks = -(-gpus // rack.n_gpus)
    ratios = by_key("oversubscription", ask.get("oversubscription", {}), TIERS[:2], ratio)
    rails = _rails(ask, layout, rack)
    # All rates that ports allow; the first is taken until the search has chosen.
    rates = tuple(rates_allowed(ask, planes, homes, rack, (leaf, spine, core)))
    return Request(
        given=ask,
        layout=layout,
        stripes=choice("stripes", ask.get("stripes", "even"), STRIPES),
        planes=planes,
        homes=homes,
        block=block,
        pod=pod,
        ufm=whole("ufm", ask.get("ufm", 0), 0),
        reserve=_reserve(ask, (leaf, spine, core)),
        rack=rack,
        leaf=leaf,
        spine=spine,
        core=core,
        cables=rates[0],
        rates=rates,
        leaf_ratio=ratios.get("leaf", Fraction(1)),
        spine_ratio=ratios.get("spine", Fraction(1)),
        rails=rails,
        groups=_groups(ask, layout, rack, rails),
        tiers=_tiers(ask, pod),
        gpus=gpus,
        racks=racks,
        populated=_populated(ask, rack, racks),
    )


def _check_texts(ask: DesignArguments) -> None:
    for argument in ("rack", "leaf", "spine", "core", "name", "about"):
        if argument in ask and not (argument == "about" and ask[argument] == ""):
            text(argument, ask[argument])
    if "name" in ask and not is_label(name := ask["name"] or ""):
        expected = "letters and digits, with . _ - between them, at most 80"
        msg = f"name: got {show(name)}; expected {expected}"
        raise DesignError(msg)


def _populated(ask: DesignArguments, rack: Rack, racks: int) -> int:
    if "populated" not in ask:
        return racks
    populated = -(-whole("populated", ask["populated"]) // rack.n_gpus)
    if populated > racks:
        most = f"at most the {racks * rack.n_gpus:,} built for"
        msg = f"populated: got {show(ask['populated'])} GPUs; expected {most}"
        raise DesignError(msg)
    return populated


def _reserve(ask: DesignArguments, switches: tuple[Switch, ...]) -> dict[str, int]:
    def read(argument: str, value: object) -> int:
        return whole(argument, value, 0)

    reserved = by_key("reserve", ask.get("reserve", {}), TIERS, read)
    for tier, switch in zip(TIERS, switches, strict=True):
        if reserved.get(tier, 0) >= switch.port.n_ports:
            msg = f"reserve: {tier}: got {reserved[tier]} of the {switch.port.n_ports} ports of {switch.name}"
            raise DesignError(msg)
    return reserved


def _rails(ask: DesignArguments, layout: Layout, rack: Rack) -> int:
    rails = whole("rails", ask["rails"]) if "rails" in ask else None
    if layout == "tor":
        # Rails are told apart by axes of the rack, so only products of these work.
        if rails not in (None, 1):
            msg = f"rails: got {rails} with layout tor, where all NICs of a rack share their leaves"
            raise DesignError(msg)
        return 1
    rails = rack.n_rails if rails is None else rails
    if rails not in leading_products(rack):
        able = ", ".join(map(str, leading_products(rack)))
        msg = f"rails: got {rails}; the NICs of {rack.name} can be spread over {able}"
        raise DesignError(msg)
    return rails


def _groups(ask: DesignArguments, layout: Layout, rack: Rack, rails: int) -> tuple[int, ...]:
    if layout == "rail-only":
        if "rail_groups" in ask:
            msg = "rail_groups: every rail is a group of its own with layout rail-only"
            raise DesignError(msg)
        return (rails,)
    # Groups must divide the rails, or one of them would be in two.
    able = tuple(g for g in leading_products(rack) if rails % g == 0)
    wanted = ask.get("rail_groups", 1)
    if wanted == AUTO:
        return able
    groups = whole("rail_groups", wanted)
    if groups not in able:
        msg = f"rail_groups: got {groups}; {rails} rails of {rack.name} make {', '.join(map(str, able))}"
        raise DesignError(msg)
    return (groups,)


def _tiers(ask: DesignArguments, pod: int | None) -> tuple[int, ...]:
    choices: tuple[int | Literal["auto"], ...] = (AUTO, *range(1, MAX_TIERS + 1))
    tiers = choice("tiers", ask.get("tiers", AUTO), choices)
    if tiers == AUTO:
        # Pods exist with three tiers alone.
        return tuple(range(MAX_TIERS if pod is not None else 1, MAX_TIERS + 1))
    if pod is not None and tiers != MAX_TIERS:
        msg = f"pod: pods are a matter of {MAX_TIERS} tiers; got tiers {tiers}"
        raise DesignError(msg)
    return (tiers,)
