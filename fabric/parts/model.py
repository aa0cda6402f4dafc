"""What the catalogue holds: parts with their ports, protocols, media, and where each figure comes from.

Rates are Gb/s in one direction, as marketed. A figure's name ends in its unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from fabric.errors import PartError

NETWORK = "network"
"""Name of the port class of Ethernet and InfiniBand, which belongs to no protocol."""
CONFIDENCES = ("published", "reported", "derived", "assumed")
"""How far to trust a figure.

published: a document of the vendor or of the standard states it, read there or in a text that quotes it.
reported: press, analysts and other third parties. derived: arithmetic on the sources, rule in the note.
assumed: recalled or guessed.
"""

# Rates such as 8000/3 Gb/s come out of divisions; a cable is not too fast for the last bit of one.
SLACK = 1e-9

V = TypeVar("V")


class Frozen(Mapping[str, V], Generic[V]):
    """A read-only mapping that, unlike ``types.MappingProxyType``, can be copied and pickled.

    Parameters
    ----------
    values : mapping of str
        Copied.

    Examples
    --------
    >>> Frozen({"tdp_w": 700.0})["tdp_w"]
    700.0
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, V]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> V:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Frozen({self._values!r})"


@dataclass(frozen=True, slots=True)
class Source:
    """A text that figures come from.

    Parameters
    ----------
    id, title : str
        Short name used by the rows; title, with what was read in it.
    locator : str
        URL, or why there is none.
    """

    id: str
    title: str
    locator: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind a figure.

    Parameters
    ----------
    confidence : str
        One of `CONFIDENCES`.
    source : tuple of str
        Ids of sources, at least one.
    """

    confidence: str
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PortClass:
    """The ports of one kind on a part.

    Parameters
    ----------
    name : str
        ``network`` for Ethernet and InfiniBand, else the port class of a protocol, such as ``nvlink5``.
    n_ports : int
        Ports of the part; for twin-port cages, the ports and not the cages.
    rate_gbps : float
        Rate of one port [Gb/s per direction].
    ports_per_cage : int or None
        None where no cage is: on boards, on backplanes, and on co-packaged optics.
    modes : tuple of (int, float)
        Breakouts: so many cables of so many Gb/s over all ports; empty where a port cannot be split.
    layers : mapping of str to float
        Link layers that a port speaks, such as ``Ethernet``, and its fastest cable in each [Gb/s per
        direction]; empty for a generic port, which speaks any.
    source, confidence : tuple of str, str
        Evidence for all figures except those in `exceptions`.
    exceptions : mapping of str to Evidence
        Figures whose evidence is another.
    note : str
        Anything a reader must know.
    """

    name: str
    n_ports: int
    rate_gbps: float
    ports_per_cage: int | None
    modes: tuple[tuple[int, float], ...]
    layers: Mapping[str, float]
    source: tuple[str, ...]
    confidence: str
    exceptions: Mapping[str, Evidence]
    note: str


@dataclass(frozen=True, slots=True)
class Part:
    """A row of the catalogue.

    Parameters
    ----------
    id, name, vendor : str
        Name in topology files, name in print, and who makes it.
    kind : str
        ``gpu``, ``host`` (CPU), ``nic`` (DPUs too) or ``switch``.
    year : int
        First shipment, or the year announced for it.
    planes : int
        ASICs that work side by side inside a switch, each with a share of every port; else 1.
    in_network_reduction : str
        Such as ``NVLS``; empty for none.
    figures : mapping of str to float
        Known figures only; each name ends in its unit.
    ports : tuple of PortClass
        In the order of the data file.
    source, confidence : tuple of str, str
        Evidence for all figures except those in `exceptions`.
    exceptions : mapping of str to Evidence
        Figures whose evidence is another.
    note : str
        Anything a reader must know.
    """

    id: str
    kind: str
    name: str
    vendor: str
    year: int
    planes: int
    in_network_reduction: str
    figures: Mapping[str, float]
    ports: tuple[PortClass, ...]
    source: tuple[str, ...]
    confidence: str
    exceptions: Mapping[str, Evidence]
    note: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """A kind of link, by which a topology file names port class and rate at once.

    Parameters
    ----------
    id : str
        Such as ``pcie5_x16``.
    aliases : tuple of str
        Shorter names, such as ``pcie5``.
    layer : str
        Link layer, such as ``Ethernet``, ``InfiniBand`` or ``NVLink``; the ports at both ends must speak it.
    port_class : str
        Class of the ports at both ends.
    rate_gbps : float
        Rate of one cable [Gb/s per direction].
    net : str
        ``scale-up``, ``host`` or ``scale-out``.
    medium : str
        Medium unless a file says otherwise; empty where reach decides.
    source, confidence, note : tuple of str, str, str
        Evidence for the rate, and anything a reader must know.
    """

    id: str
    aliases: tuple[str, ...]
    layer: str
    port_class: str
    rate_gbps: float
    net: str
    medium: str
    source: tuple[str, ...]
    confidence: str
    note: str


@dataclass(frozen=True, slots=True)
class Medium:
    """What a cable is made of: copper, fibre, or the transceiver at each end.

    Parameters
    ----------
    id, name : str
        Name in topology files and in print.
    figures : mapping of str to float
        Known figures only. Power is per end at `rate_gbps`; ``_min`` marks the lower end of a range.
    source, confidence : tuple of str, str
        Evidence for all figures except those in `exceptions`.
    exceptions : mapping of str to Evidence
        Figures whose evidence is another.
    note : str
        Anything a reader must know.
    """

    id: str
    name: str
    figures: Mapping[str, float]
    source: tuple[str, ...]
    confidence: str
    exceptions: Mapping[str, Evidence]
    note: str


def evidence(row: Part | PortClass | Medium, figure: str) -> Evidence:
    """Say what stands behind one figure of a row.

    Parameters
    ----------
    row : Part, PortClass or Medium
        A row of the catalogue.
    figure : str
        Name of a figure, such as ``tdp_w``, or of another column, such as ``planes``.

    Returns
    -------
    Evidence
        That of the figure if it has its own, else that of the row.

    Examples
    --------
    >>> from fabric.parts import find_part
    >>> evidence(find_part("sn5600"), "power_max_w")
    Evidence(confidence='assumed', source=('own',))
    """
    return row.exceptions.get(figure, Evidence(row.confidence, row.source))


def cables_per_port(port_class: PortClass, rate_gbps: float) -> float:
    """Count the cables of one rate that one port carries.

    Parameters
    ----------
    port_class : PortClass
        The ports.
    rate_gbps : float
        Rate of the cable [Gb/s per direction].

    Returns
    -------
    float
        With breakout modes a whole number, at least 1: that of the slowest mode which is fast enough.
        Without, the ratio of the rates, since lanes of a board may be shared out freely.

    Raises
    ------
    PartError
        If the rate is not positive, or the cable is faster than the port.

    Examples
    --------
    >>> from fabric.parts import find_part
    >>> (network,) = find_part("sn5600").ports
    >>> [cables_per_port(network, rate) for rate in (800, 400, 100)]
    [1.0, 2.0, 4.0]
    """
    if not 0 < rate_gbps <= port_class.rate_gbps * (1 + SLACK):
        msg = (
            f"{port_class.name} port: cable of {rate_gbps:g} Gb/s; expected more than 0 and at most "
            f"{port_class.rate_gbps:g}, the rate of the port"
        )
        raise PartError(msg)
    if not port_class.modes:
        return port_class.rate_gbps / rate_gbps
    fast_enough = [mode for mode in port_class.modes if rate_gbps <= mode[1] * (1 + SLACK)]
    if not fast_enough:
        msg = f"{port_class.name} port: no breakout mode carries a cable of {rate_gbps:g} Gb/s"
        raise PartError(msg)
    n_cables, _ = min(fast_enough, key=lambda mode: mode[1])
    return n_cables / port_class.n_ports


def shared_layers(*ports: PortClass) -> Mapping[str, float]:
    """Return the link layers that all of the ports speak, and the fastest cable of each [Gb/s per direction].

    Parameters
    ----------
    *ports : PortClass
        At least one. A generic port speaks any layer.

    Examples
    --------
    >>> from fabric.parts import find_part
    >>> card, ethernet, infiniband = (find_part(name).ports[0] for name in ("cx8", "sn5610", "q3400"))
    >>> shared_layers(card, ethernet), shared_layers(card, infiniband), shared_layers(ethernet, infiniband)
    ({'Ethernet': 400.0}, {'InfiniBand': 800.0}, {})
    """
    speaking = [port.layers for port in ports if port.layers]
    # At the rate of the slowest port in each layer that all speak.
    common = [layer for layer in speaking[0] if all(layer in rates for rates in speaking)] if speaking else []
    return {layer: min(rates[layer] for rates in speaking) for layer in common}
