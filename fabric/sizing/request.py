"""What a design is asked for, and what follows from it before anything is sized: racks, rates, ratios."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

from fabric.errors import PartError
from fabric.parts import PortClass, cables_per_port
from fabric.sizing.rack import Rack, find_rack, leading_products
from fabric.sizing.switch import DesignError, Switch, fastest_common, find_switch, ports_taken
from fabric.units import format_rate, parse_count, parse_rate, parse_ratio

Layout = Literal["rail", "tor", "rail-only"]
LAYOUTS: tuple[Layout, ...] = ("rail", "tor", "rail-only")
TIERS = ("leaf", "spine", "core")
MAX_TIERS = 3
# By the name of their lower end.
CABLES = ("nic", "leaf", "spine")
_BREAKOUT = re.compile(r"\s*(?:[0-9]+\s*x\s*)?(.+)")
# Ratios such as 16/15 are written as floats; nobody means a finer one.
_FINEST_RATIO = 10_000
_SLACK = 1e-9
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Ask:
    """The arguments of `fabric.sizing.design`, as given; see there."""

    gpus: int | str
    rack: str
    leaf: str
    spine: str | None = None
    core: str | None = None
    layout: Layout = "rail"
    oversubscription: Mapping[str, float | str | Fraction] = field(default_factory=dict)
    rails: int | None = None
    rail_groups: int | Literal["auto"] = 1
    planes: int = 1
    homes: int = 1
    tiers: int | Literal["auto"] = "auto"
    block: int | None = None
    pod: int | None = None
    populated: int | str | None = None
    breakout: str | Mapping[str, str] | None = None
    ufm: int = 0
    reserve: Mapping[str, int] = field(default_factory=dict)
    name: str = ""
    about: str = ""
    base: str | Path = "."


@dataclass(frozen=True, slots=True)
class Cables:
    """Rates of the cables, each named by its lower end.

    Parameters
    ----------
    nic_gbps, leaf_gbps, spine_gbps : float
        NIC to leaf, leaf to spine, spine to core [Gb/s].
    per_leaf : int
        Parallel cables from a NIC to each of its leaves.
    """

    nic_gbps: float
    leaf_gbps: float
    spine_gbps: float
    per_leaf: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, in whole racks, parts, rates and exact ratios.

    Parameters
    ----------
    ask : Ask
    rack : Rack
    leaf, spine, core : Switch
    cables : Cables
    leaf_ratio, spine_ratio : Fraction
        Downlink over uplink capacity that is allowed.
    rails : int
        Leaves of a block that the NICs of a rack are spread over, without planes and homes.
    groups : tuple of int
        Numbers of groups of rails that may have spines of their own, the one liked best first.
    tiers : tuple of int
        Numbers of tiers that may be built, fewest first.
    racks, populated : int
        Racks (or nodes) to build for, and to install.
    slots : int
        Places for racks: one more than racks where a place is given to UFM.
    """

    ask: Ask
    rack: Rack
    leaf: Switch
    spine: Switch
    core: Switch
    cables: Cables
    leaf_ratio: Fraction
    spine_ratio: Fraction
    rails: int
    groups: tuple[int, ...]
    tiers: tuple[int, ...]
    racks: int
    populated: int
    slots: int

    @property
    def faces(self) -> int:
        """Leaves that each NIC is cabled to: one a plane and home."""
        return self.ask.planes * self.ask.homes

    @property
    def per_rack(self) -> int:
        """NICs of a rack."""
        return self.rack.per_rail * self.rack.n_rails

    def budget(self, tier: str) -> int:
        """Return the ports of a switch of `tier` that may be used."""
        switch: Switch = getattr(self, tier)
        return switch.port.n_ports - self.ask.reserve.get(tier, 0)

    def ports(self, tier: str, cables: Mapping[float, int]) -> int:
        """Return the ports that cables take at a switch of `tier`."""
        switch: Switch = getattr(self, tier)
        return ports_taken(switch.port, cables)

    def capacity(self, tier: str, rate_gbps: float) -> int:
        """Return how many cables of one rate [Gb/s] a switch of `tier` takes."""
        switch: Switch = getattr(self, tier)
        cage = switch.port.ports_per_cage or 1
        ports = self.budget(tier)
        is_native = abs(rate_gbps - switch.port.rate_gbps) <= _SLACK * rate_gbps
        return ports if is_native else ports // cage * cage * switch.per_port(rate_gbps)

    def fits(self, tier: str, cables: Mapping[float, int]) -> bool:
        """Return whether a switch of `tier` has the ports for cables."""
        return self.ports(tier, cables) <= self.budget(tier)


def resolve(ask: Ask) -> Request:
    """Read the arguments of a design.

    Raises
    ------
    DesignError
        If one is out of range, contradicts another, or if NICs and switches share no rate.
    """
    _check(ask)
    rack = find_rack(ask.rack, ask.base)
    leaf = find_switch(ask.leaf)
    spine = find_switch(ask.spine) if ask.spine else leaf
    core = find_switch(ask.core) if ask.core else spine
    for tier, switch in zip(TIERS, (leaf, spine, core), strict=True):
        if not 0 <= ask.reserve.get(tier, 0) < switch.port.n_ports:
            got = f"got {ask.reserve[tier]} of the {switch.port.n_ports} ports of {switch.name}"
            msg = f"reserve: {tier}: {got}"
            raise DesignError(msg)
    racks = -(-parse_count(ask.gpus) // rack.n_gpus)
    populated = racks if ask.populated is None else -(-parse_count(ask.populated) // rack.n_gpus)
    if populated > racks:
        msg = f"populated: got {ask.populated} GPUs; expected at most the {racks * rack.n_gpus:,} built for"
        raise DesignError(msg)
    rails = _rails(ask, rack)
    return Request(
        ask=ask,
        rack=rack,
        leaf=leaf,
        spine=spine,
        core=core,
        cables=_cables(ask, rack, (leaf, spine, core)),
        leaf_ratio=_ratio(ask, "leaf"),
        spine_ratio=_ratio(ask, "spine"),
        rails=rails,
        groups=_groups(ask, rack, rails),
        tiers=_tiers(ask),
        racks=racks,
        populated=populated,
        slots=racks + bool(ask.ufm),
    )


def _check(ask: Ask) -> None:
    """Refuse numbers out of range and unknown words."""
    for what in ("planes", "homes"):
        _at_least_one(what, getattr(ask, what))
    for what in ("rails", "block", "pod"):
        if getattr(ask, what) is not None:
            _at_least_one(what, getattr(ask, what))
    _one_of("layout", ask.layout, LAYOUTS)
    _one_of("tiers", ask.tiers, ("auto", *range(1, MAX_TIERS + 1)))
    for what, known in (("oversubscription", TIERS[:2]), ("reserve", TIERS)):
        for key in getattr(ask, what):
            _one_of(what, key, known)
    if isinstance(ask.breakout, Mapping):
        for key in ask.breakout:
            _one_of("breakout", key, CABLES)
    if ask.ufm < 0:
        msg = f"ufm: got {ask.ufm}; expected the number of its cables, or 0"
        raise DesignError(msg)


def _at_least_one(what: str, n: int) -> None:
    if n < 1:
        msg = f"{what}: got {n}; expected at least 1"
        raise DesignError(msg)


def _one_of(what: str, got: V, known: tuple[V, ...]) -> None:
    if got not in known:
        msg = f"{what}: got {got}; expected one of {', '.join(map(str, known))}"
        raise DesignError(msg)


def _ratio(ask: Ask, tier: str) -> Fraction:
    """Return an oversubscription as it was meant: ``2``, ``"16:15"`` and 1.0667 alike."""
    given = ask.oversubscription.get(tier, 1)
    if isinstance(given, str):
        given = parse_ratio(given if ":" in given else f"{given}:1")
    ratio = Fraction(given).limit_denominator(_FINEST_RATIO)
    if ratio < 1:
        msg = f"oversubscription: {tier}: got {given}; expected 1 or more, downlink over uplink capacity"
        raise DesignError(msg)
    return ratio


def _rails(ask: Ask, rack: Rack) -> int:
    if ask.layout == "tor":
        if ask.rails not in (None, 1):
            msg = f"rails: got {ask.rails} with layout tor, where all NICs of a rack share their leaves"
            raise DesignError(msg)
        return 1
    rails = rack.n_rails if ask.rails is None else ask.rails
    if rails not in leading_products(rack):
        able = ", ".join(map(str, leading_products(rack)))
        msg = f"rails: got {rails}; the NICs of {rack.name} can be spread over {able}"
        raise DesignError(msg)
    return rails


def _groups(ask: Ask, rack: Rack, rails: int) -> tuple[int, ...]:
    if ask.layout == "rail-only":
        if ask.rail_groups != 1:
            msg = "rail_groups: every rail is a group of its own with layout rail-only"
            raise DesignError(msg)
        return (rails,)
    able = tuple(g for g in leading_products(rack) if rails % g == 0)
    if ask.rail_groups == "auto":
        return able
    if ask.rail_groups not in able:
        groups = ", ".join(map(str, able))
        msg = f"rail_groups: got {ask.rail_groups}; {rails} rails of {rack.name} make {groups}"
        raise DesignError(msg)
    return (ask.rail_groups,)


def _tiers(ask: Ask) -> tuple[int, ...]:
    if ask.tiers != "auto":
        if ask.pod is not None and ask.tiers != MAX_TIERS:
            msg = f"pod: pods are a matter of {MAX_TIERS} tiers; got tiers {ask.tiers}"
            raise DesignError(msg)
        return (int(ask.tiers),)
    return tuple(range(MAX_TIERS if ask.pod is not None else 1, MAX_TIERS + 1))


def _cables(ask: Ask, rack: Rack, switches: tuple[Switch, Switch, Switch]) -> Cables:
    """Choose the rate of every cable.

    Notes
    -----
    A NIC is shared evenly by its planes and homes, in cables as fast as the leaf takes. The cables above have
    the rate of those below where the switches at both ends break out to it without loss, which gives the
    largest radix; else the rate of the slower port.
    """
    given = ask.breakout or {}
    if isinstance(given, str):
        given = dict.fromkeys(CABLES, given)
    wanted = {key: parse_rate(_BREAKOUT.sub(r"\1", text)) for key, text in given.items()}
    leaf, spine, core = switches
    nic, per_leaf = _nic_cables(ask, rack, leaf, wanted.get("nic"))
    up = wanted.get("leaf") or _same_or_native(nic, leaf, spine)
    top = wanted.get("spine") or _same_or_native(up, spine, core)
    for rate, ends in ((nic, (leaf,)), (up, (leaf, spine)), (top, (spine, core))):
        for switch in ends:
            _check_rate(rate, switch)
        fastest_common(ends[0].name, ends[0].port, ends[-1].name, ends[-1].port)
    return Cables(nic, up, top, per_leaf)


def _nic_cables(ask: Ask, rack: Rack, leaf: Switch, wanted: float | None) -> tuple[float, int]:
    """Return the rate of the cables of a NIC, and how many go to each of its leaves."""
    faces = ask.planes * ask.homes
    if rack.nic_port is None:
        if wanted is None:
            msg = f"{rack.name}: its NICs have no rate; give one, such as breakout='400G'"
            raise DesignError(msg)
        return wanted, 1
    port = rack.nic_port
    most = fastest_common(rack.nic_part, port, leaf.name, leaf.port)
    if wanted and most * (1 + _SLACK) < wanted <= min(port.rate_gbps, leaf.port.rate_gbps):
        both = f"{rack.nic_part} and {leaf.name} can be in a common link layer, {format_rate(most)}"
        msg = f"port speeds: a cable of {format_rate(wanted)} is faster than {both}"
        raise DesignError(msg)
    rate, per_leaf = _shared(port, faces, most, wanted)
    if not per_leaf:
        modes = ", ".join(f"{n} x {format_rate(r)}" for n, r in port.modes)
        words = ("plane", "planes") if ask.homes == 1 else ("leaf", "leaves")
        what = f"{format_rate(_share(port, faces))} for each of {faces} {words[faces > 1]}"
        cables = port.n_ports * max(n for n, _ in port.modes)
        able = [n for n in range(1, cables + 1) if _shared(port, n * ask.homes, most, wanted)[1]]
        near = "; nearest that work: " + "; ".join(f"planes={n}" for n in able) if able else ""
        msg = (
            f"port speeds: a NIC of {rack.nic_part} has {what}, which it cannot give in whole cables of "
            f"{format_rate(rate)}; it has {modes}{near}"
        )
        raise DesignError(msg)
    return rate, per_leaf


def _share(port: PortClass, faces: int) -> float:
    """Return the part of the rate of a NIC that each of its leaves gets [Gb/s]."""
    return port.n_ports * port.rate_gbps / faces


def _shared(port: PortClass, faces: int, most: float, wanted: float | None) -> tuple[float, int]:
    """Return the rate of the cables of a NIC, `most` at most, and how many go to each leaf; 0 if none can."""
    share = _share(port, faces)
    rate = min(share, most) if wanted is None else wanted
    per_leaf = round(share / rate) if rate <= share * (1 + _SLACK) else 0
    try:
        able = port.n_ports * cables_per_port(port, rate)
    except PartError:
        return rate, 0
    is_whole = abs(per_leaf * rate - share) <= _SLACK * share and faces * per_leaf <= able
    return rate, per_leaf if is_whole else 0


def _same_or_native(below: float, lower: Switch, upper: Switch) -> float:
    if all(_is_lossless(below, s) for s in (lower, upper)):
        return below
    return min(lower.port.rate_gbps, upper.port.rate_gbps)


def _is_lossless(rate: float, switch: Switch) -> bool:
    native = switch.port.rate_gbps
    if rate > native * (1 + _SLACK):
        return False
    try:
        return abs(rate * switch.per_port(rate) - native) <= _SLACK * native
    except PartError:
        return False


def _check_rate(rate: float, switch: Switch) -> None:
    try:
        switch.per_port(rate)
    except PartError:
        modes = ", ".join(f"{n} x {format_rate(r)}" for n, r in switch.port.modes)
        msg = f"port speeds: a cable of {format_rate(rate)} fits no port of {switch.name}, which has {modes}"
        raise DesignError(msg) from None
