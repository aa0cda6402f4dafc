"""What a design is asked for, and what follows from it before anything is sized: racks, rates, ratios."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

from fabric.blueprint.schema import is_label
from fabric.errors import PartError, UnitError, setting
from fabric.parts import PortClass, cables_per_port
from fabric.sizing.arguments import AUTO, LAYOUTS, STRIPES, DesignArguments, Layout, Stripes
from fabric.sizing.rack import Rack, find_rack, leading_products
from fabric.sizing.reading import by_key, choice, given, ratio, shown, text, whole
from fabric.sizing.switch import DesignError, Switch, fastest_common, find_switch, ports_taken
from fabric.units import format_rate, parse_rate

TIERS = ("leaf", "spine", "core")
MAX_TIERS = 3
# By the name of their lower end.
CABLES = ("nic", "leaf", "spine")
_BREAKOUT = re.compile(r"\s*(?:([0-9]{1,4})\s*x\s*)?(.+)")
_SLACK = 1e-9


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
    ask = given(arguments)
    _check_texts(ask)
    layout = choice("layout", ask.get("layout", "rail"), LAYOUTS)
    planes, homes = (whole(what, ask.get(what, 1)) for what in ("planes", "homes"))
    block, pod = (whole(what, ask[what]) if what in ask else None for what in ("block", "pod"))
    rack = find_rack(ask["rack"], Path(ask.get("base") or "."))
    leaf = find_switch(ask["leaf"])
    spine = find_switch(ask.get("spine") or ask["leaf"])
    core = find_switch(ask.get("core") or spine.name)
    gpus = whole("gpus", ask["gpus"])
    racks = -(-gpus // rack.n_gpus)
    ratios = by_key("oversubscription", ask.get("oversubscription", {}), TIERS[:2], ratio)
    rails = _rails(ask, layout, rack)
    rates = tuple(_rates(ask, planes, homes, rack, (leaf, spine, core)))
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
    for what in ("rack", "leaf", "spine", "core", "name", "about"):
        if what in ask and not (what == "about" and ask[what] == ""):
            text(what, ask[what])
    if "name" in ask and not is_label(name := ask["name"] or ""):
        expected = "letters and digits, with . _ - between them, at most 80"
        msg = f"name: got {shown(name)}; expected {expected}"
        raise DesignError(msg)


def _populated(ask: DesignArguments, rack: Rack, racks: int) -> int:
    if "populated" not in ask:
        return racks
    populated = -(-whole("populated", ask["populated"]) // rack.n_gpus)
    if populated > racks:
        most = f"at most the {racks * rack.n_gpus:,} built for"
        msg = f"populated: got {shown(ask['populated'])} GPUs; expected {most}"
        raise DesignError(msg)
    return populated


def _reserve(ask: DesignArguments, switches: tuple[Switch, ...]) -> dict[str, int]:
    def read(what: str, value: object) -> int:
        return whole(what, value, 0)

    found = by_key("reserve", ask.get("reserve", {}), TIERS, read)
    for tier, switch in zip(TIERS, switches, strict=True):
        if found.get(tier, 0) >= switch.port.n_ports:
            msg = f"reserve: {tier}: got {found[tier]} of the {switch.port.n_ports} ports of {switch.name}"
            raise DesignError(msg)
    return found


def _rails(ask: DesignArguments, layout: Layout, rack: Rack) -> int:
    rails = whole("rails", ask["rails"]) if "rails" in ask else None
    if layout == "tor":
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
    able = tuple(g for g in leading_products(rack) if rails % g == 0)
    asked = ask.get("rail_groups", 1)
    if asked == AUTO:
        return able
    groups = whole("rail_groups", asked)
    if groups not in able:
        msg = f"rail_groups: got {groups}; {rails} rails of {rack.name} make {', '.join(map(str, able))}"
        raise DesignError(msg)
    return (groups,)


def _tiers(ask: DesignArguments, pod: int | None) -> tuple[int, ...]:
    known: tuple[int | Literal["auto"], ...] = (AUTO, *range(1, MAX_TIERS + 1))
    tiers = choice("tiers", ask.get("tiers", AUTO), known)
    if tiers == AUTO:
        return tuple(range(MAX_TIERS if pod is not None else 1, MAX_TIERS + 1))
    if pod is not None and tiers != MAX_TIERS:
        msg = f"pod: pods are a matter of {MAX_TIERS} tiers; got tiers {tiers}"
        raise DesignError(msg)
    return (tiers,)


def _rates(
    ask: DesignArguments, planes: int, homes: int, rack: Rack, switches: tuple[Switch, Switch, Switch]
) -> Iterator[Cables]:
    """Yield the rates that cables may have, the ones liked best first.

    Notes
    -----
    A NIC is shared evenly by its planes and homes, in cables as fast as the leaf takes. A cable above has any
    rate that both ends break out to and that is no slower than the cable below, so that whatever a NIC sends
    on one cable fits on one cable all the way; a slower one has to be asked for.
    """
    leaf, spine, core = switches
    wanted = _wanted(ask, rack, switches)
    nic, per_leaf = _nic_cables((planes, homes), rack, leaf, wanted.get("nic"))
    _check_rate(nic, leaf)
    for key, ends in (("leaf", (leaf, spine)), ("spine", (spine, core))):
        for switch in ends:
            if key in wanted:
                _check_rate(wanted[key], switch)
        fastest_common(ends[0].name, ends[0].port, ends[1].name, ends[1].port)
    for up in _above(nic, leaf, spine, wanted.get("leaf")):
        for top in _above(up, spine, core, wanted.get("spine")):
            yield Cables(nic, up, top, per_leaf)


def _above(below: float, lower: Switch, upper: Switch, wanted: float | None) -> tuple[float, ...]:
    """Return the rates of cables between two switches [Gb/s], the one liked best first.

    Notes
    -----
    Liked best is the rate of the cables below, where both ends break out to it without loss, for the largest
    radix; else the rate of the slower port. Then the fastest, which makes the fewest cables.
    """
    if wanted is not None:
        return (wanted,)
    liked = _same_or_native(below, lower, upper)
    shared = common_rates(lower, upper)
    return (liked, *(rate for rate in shared if rate >= below * (1 - _SLACK) and rate != liked))


def common_rates(lower: Switch, upper: Switch) -> tuple[float, ...]:
    """Return the rates that ports of both switches are made for or break out to [Gb/s], fastest first.

    Examples
    --------
    >>> common_rates(find_switch("sn5600"), find_switch("qm9700"))
    (400.0, 200.0)
    """
    rates = [{rate for _, rate in s.port.modes} | {s.port.rate_gbps} for s in (lower, upper)]
    return tuple(sorted(rates[0] & rates[1], reverse=True))


def _wanted(ask: DesignArguments, rack: Rack, switches: tuple[Switch, Switch, Switch]) -> dict[str, float]:
    """Return the rates asked for [Gb/s], by the lower end of the cables."""
    asked = ask.get("breakout", {})
    is_one = isinstance(asked, str) and "=" not in asked
    if is_one:
        asked = dict.fromkeys(CABLES, str(asked))
    found = by_key("breakout", asked, CABLES, _rate)
    leaf, spine, core = (s.port for s in switches)
    ends = {"nic": (rack.nic_port, leaf), "leaf": (leaf, spine), "spine": (spine, core)}
    told = {key: _is_split(*found[key], [p for p in ends[key] if p]) for key in found}
    # One text for all cables holds where it is said of the ports of one of the switches.
    wrong = None if is_one and any(told.values()) else next((k for k, fits in told.items() if not fits), None)
    if wrong:
        n, rate = found[wrong]
        modes = "; ".join(dict.fromkeys(_modes(p) for p in ends[wrong] if p))
        msg = f"breakout: {wrong}: got {n}x{rate:g}G; no port there gives that: {modes}"
        raise DesignError(msg)
    return {key: rate for key, (_, rate) in found.items()}


def _rate(what: str, value: object) -> tuple[int | None, float]:
    """Read a rate [Gb/s], and how many cables of it a port is broken out to where that is said."""
    match = _BREAKOUT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = f"{what}: got {shown(value)}; expected a rate such as 400G or 2x400G"
        raise DesignError(msg)
    try:
        return int(match[1]) if match[1] else None, parse_rate(match[2])
    except UnitError as error:
        msg = f"{what}: {error}"
        raise DesignError(msg) from None


def _is_split(n: int | None, rate: float, ports: list[PortClass]) -> bool:
    """Return whether a port, or a cage of several, is broken out to `n` cables of `rate` at either end."""
    if n is None:
        return True
    able = set()
    for port in ports:
        if rate <= port.rate_gbps * (1 + _SLACK):
            per_port = int(cables_per_port(port, rate))
            able |= {per_port, per_port * (port.ports_per_cage or 1)}
    # A rate that no port takes is told by that.
    return not able or n in able


def _modes(port: PortClass) -> str:
    return ", ".join(f"{n} x {format_rate(r)}" for n, r in port.modes)


def _nic_cables(sides: tuple[int, int], rack: Rack, leaf: Switch, wanted: float | None) -> tuple[float, int]:
    """Return the rate of the cables of a NIC, and how many go to each of its leaves, of planes and homes."""
    planes, homes = sides
    faces = planes * homes
    if rack.nic_port is None:
        if wanted is None:
            msg = f"{rack.name}: its NICs have no rate; give one, such as {setting('breakout', '400G')}"
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
        words = ("plane", "planes") if homes == 1 else ("leaf", "leaves")
        what = f"{format_rate(_share(port, faces))} for each of {faces} {words[faces > 1]}"
        cables = port.n_ports * max(n for n, _ in port.modes)
        able = [n for n in range(1, cables + 1) if _shared(port, n * homes, most, wanted)[1]]
        near = "; nearest that work: " + "; ".join(setting("planes", n) for n in able) if able else ""
        msg = (
            f"port speeds: a NIC of {rack.nic_part} has {what}, which it cannot give in whole cables of "
            f"{format_rate(rate)}; it has {_modes(port)}{near}"
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
        has = f"{switch.name}, which has {_modes(switch.port)}"
        msg = f"port speeds: a cable of {format_rate(rate)} fits no port of {has}"
        raise DesignError(msg) from None
