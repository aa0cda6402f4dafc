"""Cables of a plan and cables that were found, matched: what is missing, swapped, moved, or too much."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from fabric.interop.sources import FoundCable, Port
from fabric.sizing.cable_plan import PlannedCable

Kind = Literal["missing", "extra", "swapped", "moved", "wrong port", "wrong rate", "unknown node"]
KINDS: tuple[Kind, ...] = ("swapped", "moved", "missing", "extra", "wrong port", "wrong rate", "unknown node")


class Fault(NamedTuple):
    """One difference between plan and building.

    Parameters
    ----------
    kind : str
        One of `KINDS`. Two cables whose ends changed places are one fault.
    planned : tuple of str
        Cables of the plan that are not there, ``leaf0 swp3 - spine1 swp1``.
    found : tuple of str
        Cables that are there instead.
    where : str
        ``FILE:LINE`` of what was found; empty where nothing was.
    """

    kind: Kind
    planned: tuple[str, ...]
    found: tuple[str, ...]
    where: str


def _ends(cable: PlannedCable) -> tuple[Port, Port]:
    a, z = sorted(((cable.a.node, cable.a.port), (cable.z.node, cable.z.port)))
    return a, z


def show(ends: tuple[Port, Port]) -> str:
    """Return a cable in words.

    Examples
    --------
    >>> show((("leaf0", "swp3"), ("spine1", "swp1")))
    'leaf0 swp3 - spine1 swp1'
    """
    return " - ".join(" ".join(filter(None, port)) for port in ends)


class Matching:
    """Cables of the plan and cables that were found, by their ends.

    Parameters
    ----------
    planned : sequence of PlannedCable
    found : sequence of FoundCable
    """

    def __init__(self, planned: Sequence[PlannedCable], found: Sequence[FoundCable]) -> None:
        self.notes: list[str] = []
        nodes = {end.node for cable in planned for end in (cable.a, cable.z)}
        ports = {(end.node, end.port) for cable in planned for end in (cable.a, cable.z)}
        self.has_ports = any(end in ports for cable in found for end in (cable.a, cable.z))
        if found and not self.has_ports:
            self.notes.append("no port has a name of the plan, so that nodes alone are compared; see ports:")
        self.unknown = [cable for cable in found if any(end[0] not in nodes for end in (cable.a, cable.z))]
        known = [cable for cable in found if all(end[0] in nodes for end in (cable.a, cable.z))]
        self.planned: dict[tuple[Port, Port], list[PlannedCable]] = defaultdict(list)
        for cable in planned:
            self.planned[self._key(_ends(cable))].append(cable)
        self.found: dict[tuple[Port, Port], list[FoundCable]] = defaultdict(list)
        for there in known:
            self.found[self._key((there.a, there.z))].append(there)
        self.device = {self._port((end.node, end.port)): end.device for c in planned for end in (c.a, c.z)}
        self.n_of = Counter(end.node for cable in planned for end in (cable.a, cable.z))
        self.cable_of_text = {show(self._key(_ends(cable))): cable for cable in planned}
        self.ends_of_text = {show(key): key for key in self.found}

    def _port(self, port: Port) -> Port:
        return port if self.has_ports else (port[0], "")

    def _key(self, ends: tuple[Port, Port]) -> tuple[Port, Port]:
        a, z = sorted((self._port(ends[0]), self._port(ends[1])))
        return a, z

    def faults(self) -> list[Fault]:
        """Return what differs, each once: swaps, then wrong ports, moves, and what is left over."""
        lost: list[tuple[Port, Port]] = []
        odd: list[tuple[tuple[Port, Port], FoundCable]] = []
        faults: list[Fault] = []
        for key in dict.fromkeys((*self.planned, *self.found)):
            due, there = self.planned.get(key, []), self.found.get(key, [])
            lost += [key] * (len(due) - len(there))
            odd += [(key, cable) for cable in there[len(due) :]]
            for plan, cable in zip(due, there, strict=False):
                rate = plan.rate_gbps if cable.rate_gbps is None else cable.rate_gbps
                if not math.isclose(rate, plan.rate_gbps, rel_tol=0.01):
                    text = f"{show(key)} at {rate:g} Gb/s instead of {plan.rate_gbps:g}"
                    faults.append(Fault("wrong rate", (), (text,), _where(cable)))
        faults += _match(lost, odd)
        for cable in self.unknown:
            faults.append(Fault("unknown node", (), (show((cable.a, cable.z)),), _where(cable)))
        return faults


def _where(cable: FoundCable) -> str:
    return f"{cable.path}:{cable.line}"


Odd = tuple[tuple[Port, Port], FoundCable]


def _match(lost: list[tuple[Port, Port]], odd: list[Odd]) -> list[Fault]:
    """Return faults from cables of the plan that are not there, and those that are and should not be."""
    missing = Counter(lost)
    left = dict(enumerate(odd))
    faults = [*_swaps(missing, left), *_wrong_ports(missing, left), *_moved(missing, left)]
    faults += [Fault("missing", (show(key),), (), "") for key in missing.elements()]
    faults += [Fault("extra", (), (show(key),), _where(cable)) for key, cable in left.values()]
    return faults


def _wrong_ports(missing: Counter[tuple[Port, Port]], left: dict[int, Odd]) -> Iterable[Fault]:
    by_nodes: dict[tuple[str, ...], list[tuple[Port, Port]]] = defaultdict(list)
    for key in missing.elements():
        by_nodes[tuple(sorted(port[0] for port in key))].append(key)
    for number, (key, cable) in list(left.items()):
        due = by_nodes.get(tuple(sorted(port[0] for port in key)), [])
        if due:
            # Of several, the one that shares a port is meant.
            plan = max(due, key=lambda other: len(set(other) & set(key)))
            due.remove(plan)
            missing[plan] -= 1
            del left[number]
            yield Fault("wrong port", (show(plan),), (show(key),), _where(cable))


def _by_port(missing: Counter[tuple[Port, Port]]) -> dict[Port, list[tuple[Port, Port]]]:
    at: dict[Port, list[tuple[Port, Port]]] = defaultdict(list)
    for key in missing.elements():
        for port in key:
            at[port].append(key)
    return at


def _swaps(missing: Counter[tuple[Port, Port]], left: dict[int, Odd]) -> Iterable[Fault]:
    """Yield pairs of cables whose ends changed places: a-z and b-y were planned, a-y and b-z are there."""
    numbers: dict[tuple[Port, Port], list[int]] = defaultdict(list)
    for number, (key, _) in left.items():
        numbers[key].append(number)
    at = _by_port(missing)
    for number, ((x, y), cable) in list(left.items()):
        if number not in left:
            continue
        for one in at[x]:
            other_end = one[1] if one[0] == x else one[0]
            for two in at[y]:
                far_end = two[1] if two[0] == y else two[0]
                a, z = sorted((other_end, far_end))
                rest = [n for n in numbers.get((a, z), []) if n in left and n != number]
                if rest and missing[one] > 0 and missing[two] > (one == two):
                    back = left[rest[0]]
                    missing[one] -= 1
                    missing[two] -= 1
                    del left[number], left[rest[0]]
                    texts = show((x, y)), show(back[0])
                    yield Fault("swapped", (show(one), show(two)), texts, _where(cable))
                    break
            if number not in left:
                break


def _moved(missing: Counter[tuple[Port, Port]], left: dict[int, Odd]) -> Iterable[Fault]:
    at = _by_port(missing)
    for number, (key, cable) in list(left.items()):
        for port in key:
            due = next((plan for plan in at[port] if missing[plan] > 0), None)
            if due is not None:
                missing[due] -= 1
                del left[number]
                yield Fault("moved", (show(due),), (show(key),), _where(cable))
                break
