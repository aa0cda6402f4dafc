"""Cables as they were found, whatever tool wrote them down: each once, and what is wrong told all at once.

Sources are untrusted. A cable with one end, a port with two cables, a rate in an unknown unit are problems
with file and line. Nothing is guessed: what a format does not hold, such as a rate, stays open.
"""

from __future__ import annotations

from typing import NamedTuple

from fabric.blueprint.limits import Problems
from fabric.errors import FileError, Problem, UnitError
from fabric.units import parse_rate

MAX_BYTES = 512 * 2**20
"""Largest source [bytes]."""
MAX_CABLES = 4_000_000
"""Most cables that all sources together may list."""
MAX_DOUBLED = 10_000
"""Most second cables of ports that are kept."""
_MAX_NAME = 200

Port = tuple[str, str]
"""Node and port; the port is empty where the format has none."""
Ends = tuple[Port, Port]
"""The two ends of a cable, the lesser first."""
Place = tuple[str, int]
"""File and line."""

KINDS = ("gpu", "switch", "nic", "host")
"""What a node may be; see `fabric.blueprint.model.DeviceGroup`."""


class FoundCable(NamedTuple):
    """A cable that a source names.

    Parameters
    ----------
    a, z : tuple of (str, str)
        Node and port of the two ends, the lesser first.
    path : str
    line : int
        Where it stands.
    rate_gbps : float or None
        Per direction [Gb/s]; None where the source does not say.
    """

    a: Port
    z: Port
    path: str
    line: int
    rate_gbps: float | None = None


class Survey:
    """What sources say together; readers fill it.

    Parameters
    ----------
    is_strict : bool
        Whether a port with two cables is a problem; else the second ones are kept in `doubled`, up to
        `MAX_DOUBLED`.
    """

    def __init__(self, *, is_strict: bool = True) -> None:
        self.problems = Problems()
        self.kinds: dict[str, str] = {}
        self.doubled: list[FoundCable] = []
        self._is_strict = is_strict
        self._by_ends: dict[Ends, FoundCable] = {}
        self._loose: list[FoundCable] = []
        self._at: dict[Port, FoundCable] = {}
        self._n_listed = 0
        self._rates: dict[Port, tuple[float, Place]] = {}

    @property
    def cables(self) -> list[FoundCable]:
        """Every cable once."""
        return [*self._by_ends.values(), *self._loose]

    def problem(self, at: Place, where: str, fault: str, *, got: str = "", todo: str = "") -> None:
        """Note what is wrong at a line of a file."""
        self.problems.append(Problem(at[0], at[1], 1, where, fault, got, "", todo))

    def node(self, name: str, kind: str, at: Place) -> None:
        """Note what a node is; what is said twice must be the same."""
        known = self.kinds.get(name)
        if known == kind or not self._is_name(name, "", at):
            return
        if self.kinds.setdefault(name, kind) != kind:
            self.problem(at, "node", f"{name} is a {kind} here and a {self.kinds[name]} elsewhere")

    def cable(self, one: Port, other: Port, at: Place, rate_gbps: float | None = None) -> None:
        """Add a cable between two ports, unless it is there; a port that has two is a problem."""
        if not self._are_ends(one, other, at):
            return
        self._add(one, other, at, rate_gbps)

    def loose_or_ported(self, one: Port, other: Port, at: Place, rate_gbps: float | None) -> None:
        """Add a cable of a format in which only some nodes have ports."""
        are_names = all(self._is_name(*end, at) for end in (one, other))
        if are_names and self._are_ends((one[0], ""), (other[0], ""), at):
            self._add(one, other, at, rate_gbps)

    def _add(self, one: Port, other: Port, at: Place, rate_gbps: float | None) -> None:
        a, z = (one, other) if one <= other else (other, one)
        cable = FoundCable(a, z, *at, rate_gbps)
        self._n_listed += 1
        if self._n_listed > MAX_CABLES:
            raise FileError(at[0], f"more than {MAX_CABLES:,} cables in all", line=at[1], col=1)
        if not a[1] and not z[1]:
            self._loose.append(cable)
            return
        known = self._by_ends.get((a, z))
        if known is None:
            if self._take(cable):
                self._by_ends[a, z] = cable
        elif known.rate_gbps is None:
            self._by_ends[a, z] = known._replace(rate_gbps=rate_gbps)
        elif rate_gbps is not None and rate_gbps != known.rate_gbps:
            todo = f"{known.rate_gbps:g} Gb/s at {known.path}:{known.line}"
            self.problem(
                at, "cable", f"{a[0]} {a[1]} has {rate_gbps:g} Gb/s here and another rate there", todo=todo
            )

    def kind(self, name: str, kind: str, at: Place) -> None:
        """Note what a node is in a word that a source may have wrong."""
        if kind not in KINDS:
            self.problem(at, "kind", f"{name} is of an unknown kind", got=kind[:40], todo=", ".join(KINDS))
        else:
            self.node(name, kind, at)

    def rate_of_port(self, port: Port, rate_gbps: float, at: Place) -> None:
        """Note the rate of a port, whose cable another source names."""
        self._rates[port] = (rate_gbps, at)

    def finish(self) -> None:
        """Give cables the rates of their ports: of two that differ, the slower is what the cable runs at."""
        if not self._rates:
            return
        for ends, cable in self._by_ends.items():
            known = [self._rates[port][0] for port in ends if port in self._rates]
            for port in ends:
                if port not in self._rates:
                    fault = f"{port[0]} has no interface {port[1]}"
                    self.problem(
                        (cable.path, cable.line), "cable", fault, todo="the list of interfaces lacks it"
                    )
            if known and cable.rate_gbps is None:
                self._by_ends[ends] = cable._replace(rate_gbps=min(known))

    def _take(self, cable: FoundCable) -> bool:
        """Return whether both ports of a cable are free, and take them."""
        for port, far in ((cable.a, cable.z), (cable.z, cable.a)):
            first = self._at.setdefault(port, cable) if port[1] else cable
            if first is not cable:
                if not self._is_strict and len(self.doubled) < MAX_DOUBLED:
                    self.doubled.append(cable)
                    return False
                other = first.z if first.a == port else first.a
                what = f"{port[0]} {port[1]} has two cables, this one to {far[0]} {far[1]}".rstrip()
                todo = f"the first is to {other[0]} {other[1]}, at {first.path}:{first.line}"
                self.problem((cable.path, cable.line), "cable", what, todo=todo)
                return False
        return True

    def _are_ends(self, one: Port, other: Port, at: Place) -> bool:
        is_portless = not one[1] and not other[1]
        for end, far in ((one, other), (other, one)):
            if not end[0] or not (end[1] or is_portless):
                missing = "port" if end[0] else "node"
                known = " ".join(filter(None, far)) or "nothing"
                self.problem(at, "cable", f"an end without {missing}; the other is {known}")
                return False
            if not self._is_name(*end, at):
                return False
        if one[0] == other[0] and (is_portless or one == other):
            self.problem(at, "cable", f"{' '.join(filter(None, one))} is cabled to itself")
            return False
        return True

    def _is_name(self, node: str, port: str, at: Place) -> bool:
        if len(node) <= _MAX_NAME and len(port) <= _MAX_NAME and node.isprintable() and port.isprintable():
            return True
        self.problem(at, "cable", "a name is too long, or cannot be printed")
        return False

    def rate(self, text: str, at: Place) -> float | None:
        """Return a rate [Gb/s per direction]; None, and a problem, where its unit is unknown."""
        try:
            return parse_rate(text.strip())
        except UnitError as error:
            self.problem(at, "rate", str(error))
            return None
