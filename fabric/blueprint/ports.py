"""Ports: which class a cable takes, how many ports of it, and whether a device has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fabric.arrays import Floats
from fabric.blueprint.census import Census, degrees
from fabric.blueprint.model import Blueprint, DeviceGroup, Origin, Rule, WrongError
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.errors import Problem
from fabric.parts import Part, PortClass, Protocol, cables_per_port, catalogue, shared_layers
from fabric.units import format_count, format_rate

# Rates such as 8000/3 come out of divisions; no budget is broken by the last bit of one.
_SLACK = 1e-9


def port_class(protocol: Protocol | None, parts: Sequence[Part], rate_gbps: float, origin: Origin) -> str:
    """Return the port class that the cables of a rule take.

    Parameters
    ----------
    protocol : Protocol or None
        That of the rule, if it names one.
    parts : sequence of Part
        Parts at the two ends; generic devices, which have no ports, are left out.
    rate_gbps : float
        Per cable and direction [Gb/s].
    origin : Origin
        The rule.

    Returns
    -------
    str
        Empty where no end has ports and no protocol is named.

    Raises
    ------
    WrongError
        If the class is unclear, a part has no ports, the cable is faster than a port, or the ends speak no
        link layer in common.

    Notes
    -----
    The class is the protocol's, else the one that both parts share. Against a generic device a part with
    several classes is taken at the only one that joins servers: that of the network.
    """
    name = protocol.port_class if protocol else ""
    if not parts:
        return name
    portless = next((part for part in parts if not part.ports), None)
    if portless is not None:
        todo = f"write kind: {portless.kind} instead of the part, as its ports are not known"
        raise WrongError(
            origin.problem(f"{portless.id} has no port in the catalogue", key="between", todo=todo)
        )
    if not protocol:
        # No protocol: the one port class of both ends.
        shared = set.intersection(*({c.name for c in p.ports} for p in parts))
        if len(parts) == 1 and len(shared) > 1:
            shared -= {p.port_class for p in catalogue().protocols.values() if p.net != "scale-out"}
        if len(shared) != 1:
            is_disjoint = len(parts) > 1 and not shared
            fault = "unclear port class: the parts share none" if is_disjoint else "unclear port class"
            got = " and ".join(f"{p.id} with {_classes(p)}" for p in parts)
            problem = origin.problem(fault, key="between", got=got, todo="name the protocol with link:")
            raise WrongError(problem)
        (name,) = shared
    ports = [_port(part, name, origin) for part in parts]
    for part, port in zip(parts, ports, strict=True):
        if rate_gbps > port.rate_gbps * (1 + _SLACK):
            fault = f"cable faster than the {name} port of {part.id}"
            got, expected = format_rate(rate_gbps), f"at most {format_rate(port.rate_gbps)}"
            key = "rate" if "rate" in origin.keys else "link"
            raise WrongError(origin.problem(fault, key=key, got=got, expected=expected))
    _check_layers(protocol, parts, ports, origin)
    return name


def _port(part: Part, name: str, origin: Origin) -> PortClass:
    port = next((c for c in part.ports if c.name == name), None)
    if port is None:
        fault = f"unclear port class: {part.id} has no {name} port"
        raise WrongError(origin.problem(fault, key="link", todo=f"its ports are {_classes(part)}"))
    return port


def _check_layers(
    protocol: Protocol | None, parts: Sequence[Part], ports: Sequence[PortClass], origin: Origin
) -> None:
    """Refuse a cable whose ends speak no link layer in common, or none that is its protocol's."""
    # Ports of no known layer, as of generic devices, are held to nothing.
    common = shared_layers(*ports)
    if common and (protocol is None or protocol.layer in common) or not any(port.layers for port in ports):
        return
    spoken = [
        f"{part.id} speaks {' and '.join(port.layers)}" for part, port in zip(parts, ports, strict=True)
    ]
    if protocol:
        spoken.append(f"{protocol.id} is {protocol.layer}")
    fault = f"link layers differ: {', '.join(dict.fromkeys(spoken))}"
    todo = "take parts that speak one link layer at both ends, or a gateway of kind: switch between them"
    raise WrongError(origin.problem(fault, key="link" if protocol else "between", todo=todo))


def layer_notes(blueprint: Blueprint) -> tuple[str, ...]:
    """Return the rules whose cable is faster than its ends can be on one port in a common link layer.

    The ports have the rate, so such a rule counts as one connection what is sold as several cables: NVIDIA's
    tables have one of 800 Gb/s between a ConnectX-8 and an Ethernet switch, which is two of 400.
    """
    notes = []
    for rule in blueprint.whole.rules:
        parts = [blueprint.whole.groups[side.group or ""].part for side in (rule.left, rule.right)]
        known = [part for part in parts if part]
        common = shared_layers(*(next(c for c in p.ports if c.name == rule.port_class) for p in known))
        fastest = max(common.values(), default=rule.rate_gbps)
        if rule.rate_gbps > fastest * (1 + _SLACK):
            able = " or ".join(f"{format_rate(gbps)} of {name}" for name, gbps in common.items())
            ends = " and ".join(dict.fromkeys(part.id for part in known))
            rate = format_rate(rule.rate_gbps)
            notes.append(f"{rule.name}: a cable between {ends} has at most {able}; {rate} are several")
    return tuple(notes)


def _classes(part: Part) -> str:
    return ", ".join(c.name for c in part.ports)


def ports_needed(port: PortClass, cables: dict[float, Floats]) -> Floats:
    """Return the ports of one class that `cables` take at each device.

    Parameters
    ----------
    port : PortClass
    cables : dict of float to ndarray of float64, shape (n,)
        Cables at each device by rate [Gb/s].

    Returns
    -------
    ndarray of float64, shape (n,)

    Notes
    -----
    A cable of the port's own rate takes one port. A slower one takes rate / port rate of a port; where the
    port can be broken out, cables of one slower rate fill whole cages (two of 400 Gb/s an 800 Gb/s cage).

    Examples
    --------
    >>> from fabric.parts import find_part
    >>> (network,) = find_part("sn5600").ports
    >>> ports_needed(network, {400.0: np.array([1.0, 2.0, 3.0]), 800.0: np.array([0.0, 0.0, 62.0])})
    array([ 1.,  1., 64.])
    """
    total = np.zeros(1)
    for rate, number in cables.items():
        if abs(rate - port.rate_gbps) <= _SLACK * port.rate_gbps:
            total = total + number
        elif port.modes:
            in_cage = port.ports_per_cage or 1
            # Broken-out cables fill cages: a cage begun is a cage taken.
            per_cage = cables_per_port(port, rate) * in_cage
            total = total + np.ceil(number / per_cage - _SLACK) * in_cage
        else:
            total = total + number / cables_per_port(port, rate)
    return total


def cables_by_port(counted: Census, group: DeviceGroup) -> dict[str, dict[float, Floats]]:
    """Return the present cables at each class row of `group`, by port class and rate [Gb/s]."""
    cables: dict[str, dict[float, Floats]] = defaultdict(dict)
    for tally in counted.rules:
        sides = (tally.rule.left.group, tally.rule.right.group)
        if tally.rule.port_class and group.name in sides:
            degree = degrees(tally, counted.n_rows(tally.rule), present_only=True)[sides.index(group.name)]
            rates = cables[tally.rule.port_class]
            rates[tally.rule.rate_gbps] = rates.get(tally.rule.rate_gbps, 0.0) + degree
    return cables


def port_problems(counted: Census) -> list[Problem]:
    """Return the devices with more cables than ports, one of each group and port class."""
    problems = []
    for group in counted.grid.blueprint.groups.values():
        if group.part is None:
            continue
        for name, cables in cables_by_port(counted, group).items():
            port = next(c for c in group.part.ports if c.name == name)
            needed = np.where(counted.absent[group.name], 0.0, ports_needed(port, cables))
            # One device speaks for its group: the one with the most.
            worst = int(np.argmax(needed))
            if needed[worst] > port.n_ports * (1 + _SLACK):
                problems.append(_port_problem(counted, group, port, cables, worst))
    return problems


def unshared(blueprint: Blueprint, rule: Rule) -> str:
    """Return that a rule joins all with all, since its sides share no axis, where both have some."""
    sides = [blueprint.groups[g] for g in (rule.left_group, rule.right_group)]
    left, right = (group.name for group in sides)
    if rule.relation is not None or agreeing_axes(blueprint, rule) or not all(group.axes for group in sides):
        return ""
    return f"{left} and {right} share no axis, so that every {left} is joined with every {right}"


def _port_problem(
    counted: Census, group: DeviceGroup, port: PortClass, cables: dict[float, Floats], row: int
) -> Problem:
    blueprint = counted.grid.blueprint
    rules = [r.rule for r in counted.rules if group.name in (r.rule.left.group, r.rule.right.group)]
    last = [r for r in rules if r.port_class == port.name][-1]
    at = 0 if last.left.group == group.name else 1
    needed = float(ports_needed(port, {rate: n[row : row + 1] for rate, n in cables.items()})[0])
    part = group.part.id if group.part else ""
    fault = f"port budget: {counted.grid.name(group.name, row)} needs {needed:,.4g} {port.name} ports"
    got = " and ".join(
        f"{format_count(int(n[row]))} {'cable' if n[row] == 1 else 'cables'} of {format_rate(rate)}"
        for rate, n in cables.items()
        if n[row]
    )
    expected = f"at most {port.n_ports} of {format_rate(port.rate_gbps)}, all that {part} has"
    todo = f"place {group.name} on another axis, use fewer cables, or take a larger part"
    alone = next((text for r in rules if r.port_class == port.name and (text := unshared(blueprint, r))), "")
    if alone:
        todo = f"{alone}; {todo}"
    return last.origin.problem(fault, key=f"between[{at}]", got=got, expected=expected, todo=todo)
