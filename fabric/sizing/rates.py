"""Rates of cables: what NICs and switches share, and what their ports break out to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fabric.errors import PartError, UnitError, setting
from fabric.parts import PortClass, cables_per_port
from fabric.sizing.arguments import DesignArguments
from fabric.sizing.rack import Rack
from fabric.sizing.reading import by_key, show
from fabric.sizing.switch import DesignError, Switch, fastest_common
from fabric.units import format_rate, parse_rate

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


def rates_allowed(
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
    wanted = _read_breakout(ask, rack, switches)
    nic, per_leaf = _nic_cables((planes, homes), rack, leaf, wanted.get("nic"))
    _check_rate(nic, leaf)
    # Every port is asked before any design is tried: a rate that fits none is refused by name.
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
    # The order is the preference: `solve` takes the first of equals.
    liked = _same_or_native(below, lower, upper)
    shared = common_rates(lower, upper)
    return (liked, *(rate for rate in shared if rate >= below * (1 - _SLACK) and rate != liked))


def common_rates(lower: Switch, upper: Switch) -> tuple[float, ...]:
    """Return the rates that ports of both switches are made for or break out to [Gb/s], fastest first.

    Examples
    --------
    >>> from fabric.sizing.switch import find_switch
    >>> common_rates(find_switch("sn5600"), find_switch("qm9700"))
    (400.0, 200.0)
    """
    rates = [{rate for _, rate in s.port.modes} | {s.port.rate_gbps} for s in (lower, upper)]
    return tuple(sorted(rates[0] & rates[1], reverse=True))


def _read_breakout(
    ask: DesignArguments, rack: Rack, switches: tuple[Switch, Switch, Switch]
) -> dict[str, float]:
    """Return the rates asked for [Gb/s], by the lower end of the cables."""
    breakout = ask.get("breakout", {})
    is_one = isinstance(breakout, str) and "=" not in breakout
    if is_one:
        breakout = dict.fromkeys(CABLES, str(breakout))
    rates = by_key("breakout", breakout, CABLES, _rate)
    leaf, spine, core = (s.port for s in switches)
    ends = {"nic": (rack.nic_port, leaf), "leaf": (leaf, spine), "spine": (spine, core)}
    is_split = {key: _is_split(*rates[key], [p for p in ends[key] if p]) for key in rates}
    # One text for all cables holds where it is said of the ports of one of the switches.
    wrong = (
        None
        if is_one and any(is_split.values())
        else next((k for k, fits in is_split.items() if not fits), None)
    )
    if wrong:
        n, rate = rates[wrong]
        modes = "; ".join(dict.fromkeys(_modes(p) for p in ends[wrong] if p))
        msg = f"breakout: {wrong}: got {n}x{rate:g}G; no port there gives that: {modes}"
        raise DesignError(msg)
    return {key: rate for key, (_, rate) in rates.items()}


def _rate(argument: str, value: object) -> tuple[int | None, float]:
    """Read a rate [Gb/s], and how many cables of it a port is broken out to where that is said."""
    match = _BREAKOUT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = f"{argument}: got {show(value)}; expected a rate such as 400G or 2x400G"
        raise DesignError(msg)
    try:
        return int(match[1]) if match[1] else None, parse_rate(match[2])
    except UnitError as error:
        msg = f"{argument}: {error}"
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
    # As asked, but faster than a common link layer carries: said as that, not as a missing port.
    most = fastest_common(rack.nic_part, port, leaf.name, leaf.port)
    if wanted and most * (1 + _SLACK) < wanted <= min(port.rate_gbps, leaf.port.rate_gbps):
        limit = f"{rack.nic_part} and {leaf.name} can be in a common link layer, {format_rate(most)}"
        msg = f"port speeds: a cable of {format_rate(wanted)} is faster than {limit}"
        raise DesignError(msg)
    rate, per_leaf = _share_nic(port, faces, most, wanted)
    if not per_leaf:
        words = ("plane", "planes") if homes == 1 else ("leaf", "leaves")
        share = f"{format_rate(_share(port, faces))} for each of {faces} {words[faces > 1]}"
        # Numbers of planes that this NIC can be shared by, as a hint.
        cables = port.n_ports * max(n for n, _ in port.modes)
        able = [n for n in range(1, cables + 1) if _share_nic(port, n * homes, most, wanted)[1]]
        near = "; nearest that work: " + "; ".join(setting("planes", n) for n in able) if able else ""
        msg = (
            f"port speeds: a NIC of {rack.nic_part} has {share}, which it cannot give in whole cables of "
            f"{format_rate(rate)}; it has {_modes(port)}{near}"
        )
        raise DesignError(msg)
    return rate, per_leaf


def _share(port: PortClass, faces: int) -> float:
    """Return the part of the rate of a NIC that each of its leaves gets [Gb/s]."""
    return port.n_ports * port.rate_gbps / faces


def _share_nic(port: PortClass, faces: int, most: float, wanted: float | None) -> tuple[float, int]:
    """Return the rate of the cables of a NIC, `most` at most, and how many go to each leaf; 0 if none can."""
    share = _share(port, faces)
    rate = min(share, most, port.rate_gbps) if wanted is None else wanted
    per_leaf = round(share / rate) if rate <= share * (1 + _SLACK) else 0
    try:
        able = port.n_ports * cables_per_port(port, rate)
    except PartError:
        return rate, 0
    # The cables make up the share exactly, and the NIC has ports for all of them.
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
        # Broken out, the port loses none of its rate.
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
