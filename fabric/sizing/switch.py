"""Switches of a design: rows of the catalogue, or generic ones such as ``64x400G``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fabric.errors import FabricError, PartError
from fabric.parts import NETWORK, PortClass, cables_per_port, find_part, generic_switch, shared_layers

_SLACK = 1e-9


class DesignError(FabricError, ValueError):
    """A fabric that cannot be built as it was asked for."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch of one tier.

    Parameters
    ----------
    name : str
        As asked for: a row of the catalogue, or ``64x400G``.
    is_generic : bool
        True where it is no row of the catalogue.
    port : PortClass
        Its network ports.
    """

    name: str
    is_generic: bool
    port: PortClass

    def per_port(self, rate_gbps: float) -> int:
        """Return the cables of one rate [Gb/s] that a port carries."""
        return int(cables_per_port(self.port, rate_gbps))

    def radix(self, rate_gbps: float) -> int:
        """Return the cables of one rate [Gb/s] that all ports carry."""
        return self.port.n_ports * self.per_port(rate_gbps)


def find_switch(name: str) -> Switch:
    """Return the switch that `name` means.

    Parameters
    ----------
    name : str
        A row of the catalogue with network ports, or ports and rate of a generic one.

    Raises
    ------
    DesignError
        If it is neither.

    Examples
    --------
    >>> find_switch("64x400G").port.n_ports, find_switch("sn5610").radix(400.0)
    (64, 128)
    """
    try:
        part = find_part(name)
    except PartError as error:
        msg = f"{error}; or give a generic switch as ports x rate, such as 64x400G"
        raise DesignError(msg) from None
    port = next((c for c in part.ports if c.name == NETWORK), None)
    if part.kind != "switch" or port is None:
        msg = f"{name} is no switch with network ports; fabtopo parts lists those that are"
        raise DesignError(msg)
    return Switch(part.id, generic_switch(name) is not None, port)


def fastest_common(lower: str, lower_port: PortClass, upper: str, upper_port: PortClass) -> float:
    """Return the rate of the fastest cable between two ports [Gb/s], in the best link layer that both speak.

    Raises
    ------
    DesignError
        If they speak none in common.

    Examples
    --------
    >>> card, leaf = find_part("cx8").ports[0], find_switch("sn5610").port
    >>> fastest_common("cx8", card, "sn5610", leaf)
    400.0
    """
    ends = ((lower, lower_port), (upper, upper_port))
    # Each common link layer has a rate of its own that it tops out at.
    common = shared_layers(lower_port, upper_port)
    if lower_port.layers and upper_port.layers and not common:
        spoken = (f"{name} speaks {' and '.join(port.layers)}" for name, port in ends)
        msg = f"link layers differ: {', '.join(spoken)}; take switches and NICs of one link layer"
        raise DesignError(msg)
    return min(lower_port.rate_gbps, upper_port.rate_gbps, max(common.values(), default=math.inf))


def ports_taken(port: PortClass, cables: Mapping[float, int]) -> int:
    """Count the ports that cables take, where slower cables of one rate fill whole cages.

    Parameters
    ----------
    port : PortClass
    cables : mapping of float to int
        Cables by rate [Gb/s].

    Returns
    -------
    int
        As `fabric.blueprint.ports.ports_needed` counts them for a topology file.

    Examples
    --------
    >>> ports_taken(find_switch("sn5610").port, {400.0: 3, 800.0: 62})
    64
    """
    total = 0
    for rate, n in cables.items():
        if abs(rate - port.rate_gbps) <= _SLACK * port.rate_gbps:
            total += n
        else:
            # A cage is broken out as a whole: cables of one rate fill whole cages.
            in_cage = port.ports_per_cage or 1
            total += -(-n // (int(cables_per_port(port, rate)) * in_cage)) * in_cage
    return total


def add_rates(*cables: tuple[float, int]) -> dict[float, int]:
    """Add up cables of equal rate.

    Examples
    --------
    >>> add_rates((400.0, 3), (400.0, 4), (800.0, 1))
    {400.0: 7, 800.0: 1}
    """
    n_cables: dict[float, int] = {}
    for rate, n in cables:
        n_cables[rate] = n_cables.get(rate, 0) + n
    return n_cables
