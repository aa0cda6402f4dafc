"""Cables of a plan and cables that were found, matched: what is missing, swapped, moved, or too much."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from fabric.errors import Problem, TopologyError
from fabric.interop.sources import FoundCable, Port
from fabric.sizing.cables import PlannedCable

Kind = Literal[
    "swapped", "moved", "missing", "extra", "wrong port", "wrong rate", "duplicate name", "unknown node"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_FIRST = 1_000
_MAX_TRIED = 2_000_000  # pairs of cables that are looked at for a shorter list of moves


class Fault(NamedTuple):
    """One difference between plan and building.

    Parameters
    ----------
    kind : str
        One of `KINDS`. Cables whose ends changed places in turn are one fault: two, or more in a circle.
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

    @property
    def n_moves(self) -> int:
        """Moves that mend it: of k cables in a circle k - 1 swaps."""
        return max(1, len(self.planned) - 1) if self.kind == "swapped" else 1


def _have_ports(planned: Sequence[PlannedCable], found: Sequence[FoundCable]) -> bool:
    """Return whether any port that was found is one of the plan; mostly one of the first ones is."""
    for some in (found[:_FIRST], found[_FIRST:]):
        wanted = {port for cable in some for port in (cable.a, cable.z)}
        if wanted and any((end.node, end.port) in wanted for c in planned for end in (c.a, c.z)):
            return True
    return False


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
    doubled : sequence of FoundCable
        Second cables of ports, as where two nodes answer to one name.
    """

    def __init__(
        self,
        planned: Sequence[PlannedCable],
        found: Sequence[FoundCable],
        doubled: Sequence[FoundCable] = (),
    ) -> None:
        self.notes: list[str] = []
        nodes = {end.node for cable in planned for end in (cable.a, cable.z)}
        self.plan = planned
        self.has_ports = _have_ports(planned, found)
        if found and not self.has_ports:
            self.notes.append("no port has a name of the plan, so that nodes alone are compared; see ports:")
        found, self._doubled = self._first_as_planned(planned, found, doubled)
        self.unknown = [cable for cable in found if any(end[0] not in nodes for end in (cable.a, cable.z))]
        known = [cable for cable in found if all(end[0] in nodes for end in (cable.a, cable.z))]
        self.planned: dict[tuple[Port, Port], list[PlannedCable]] = defaultdict(list)
        for cable in planned:
            self.planned[self._key(_ends(cable))].append(cable)
        self.found: dict[tuple[Port, Port], list[FoundCable]] = defaultdict(list)
        for there in known:
            self.found[self._key((there.a, there.z))].append(there)
        self.device: dict[Port, str] = {}
        self.n_of = Counter(end.node for cable in planned for end in (cable.a, cable.z))
        self.cable_of_text: dict[str, PlannedCable] = {}
        self.ends_of_text: dict[str, tuple[Port, Port]] = {}
        self.slower: dict[str, tuple[PlannedCable, float]] = {}

    def _first_as_planned(
        self, planned: Sequence[PlannedCable], found: Sequence[FoundCable], doubled: Sequence[FoundCable]
    ) -> tuple[Sequence[FoundCable], Sequence[FoundCable]]:
        """Return cables, and second ones of ports, those that are as planned among the first."""
        if not doubled:
            return found, doubled
        due = {self._key(_ends(cable)) for cable in planned}
        kept = {self._key((cable.a, cable.z)): cable for cable in found}
        at = {port: key for key in kept for port in key}
        second = []
        for cable in doubled:
            key = self._key((cable.a, cable.z))
            others = {at[port] for port in key if port in at} - due
            if key in due and len(others) == 1:
                (other,) = others
                second.append(kept.pop(other))
                kept[key] = cable
            else:
                second.append(cable)
        return list(kept.values()), second

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
            if len(due) > len(there):
                lost += [key] * (len(due) - len(there))
                self.cable_of_text[show(key)] = due[-1]
            elif len(there) > len(due):
                odd += [(key, cable) for cable in there[len(due) :]]
                self.ends_of_text[show(key)] = key
            for plan, cable in zip(due, there, strict=False):
                rate = plan.rate_gbps if cable.rate_gbps is None else cable.rate_gbps
                if not math.isclose(rate, plan.rate_gbps, rel_tol=0.01):
                    text = f"{show(key)} at {rate:g} Gb/s instead of {plan.rate_gbps:g}"
                    self.slower[text] = (plan, rate)
                    faults.append(Fault("wrong rate", (), (text,), _where(cable)))
        wanted = {port for key, _ in odd for port in key}
        for plan in self.plan if wanted else ():
            for end in (plan.a, plan.z):
                port = self._port((end.node, end.port))
                if port in wanted:
                    self.device[port] = end.device
        faults += self._duplicates(lost)
        faults += _match(lost, odd)
        for cable in self.unknown:
            faults.append(Fault("unknown node", (), (show((cable.a, cable.z)),), _where(cable)))
        return faults

    def _duplicates(self, lost: list[tuple[Port, Port]]) -> Iterable[Fault]:
        """Yield nodes that answer to the name of another, and take their cables out of what is lost.

        Raises
        ------
        TopologyError
            If a port has two cables for any other reason.
        """
        partner = {port: key for key in lost for port in key}
        problems: list[Problem] = []
        meant: dict[tuple[str, str], list[tuple[FoundCable, tuple[Port, Port]]]] = defaultdict(list)
        for cable in self._doubled:
            # The far port is planned with a node of which nothing was found there.
            for near, far in ((cable.a, cable.z), (cable.z, cable.a)):
                key = partner.get(far)
                other = next((port for port in key if port != far), None) if key else None
                if key and other is not None and other[0] != near[0] and other[1] == near[1]:
                    meant[near[0], other[0]].append((cable, key))
                    break
            else:
                what = f"{show((cable.a, cable.z))}: a port of it has another cable too"
                problems.append(Problem(cable.path, cable.line, 1, "cable", what))
        if problems:
            raise TopologyError(problems)
        for (name, node), pairs in meant.items():
            for _, key in pairs:
                lost.remove(key)
            planned = tuple(show(key) for _, key in pairs)
            yield Fault("duplicate name", planned, (f"{node} is called {name}",), _where(pairs[0][0]))


def _where(cable: FoundCable) -> str:
    return f"{cable.path}:{cable.line}"


Odd = tuple[tuple[Port, Port], FoundCable]


def _match(lost: list[tuple[Port, Port]], odd: list[Odd]) -> list[Fault]:
    """Return faults from cables of the plan that are not there, and those that are and should not be."""
    missing = Counter(lost)
    left = dict(enumerate(odd))
    steps = (_swaps, _circles, _moved)
    faults = [fault for step in steps for fault in step(missing, left)]
    faults += [Fault("missing", (show(key),), (), "") for key in missing.elements()]
    faults += [Fault("extra", (), (show(key),), _where(cable)) for key, cable in left.values()]
    return faults


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
        for one in dict.fromkeys(at[x]):
            other_end = one[1] if one[0] == x else one[0]
            for two in dict.fromkeys(at[y]):
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


def _circles(missing: Counter[tuple[Port, Port]], left: dict[int, Odd]) -> Iterable[Fault]:
    """Yield cables whose far ends went round: a-x, b-y, c-z were planned, a-y, b-z, c-x are there."""
    due = {port: key for key in missing.elements() for port in key if port[1]}
    number = {port: n for n, (key, _) in left.items() for port in key if port[1]}
    for start in list(left):
        if start not in left:
            continue
        (first, at), cable = left[start]
        planned, found, on = [], [start], at
        while on in due:
            planned.append(due[on])
            on = _other(due[on], on)
            if on == first or number.get(on) in (None, *found):
                break
            found.append(number[on])
            on = _other(left[number[on]][0], on)
        if on == first and len(planned) == len(found) > 1:
            texts = tuple(show(left[n][0]) for n in found)
            for key in planned:
                missing[key] -= 1
            for n in found:
                del left[n]
            yield Fault("swapped", tuple(map(show, planned)), texts, _where(cable))


def _other(key: tuple[Port, Port], port: Port) -> Port:
    return key[1] if key[0] == port else key[0]


def _moved(missing: Counter[tuple[Port, Port]], left: dict[int, Odd]) -> Iterable[Fault]:
    """Yield cables that are there instead of one of the plan: as many as there can be, each one move away."""
    due = list(missing.elements())
    instead = _Instead(due, {number: key for number, (key, _) in left.items()})
    for number, n in instead.pairs():
        plan, (key, cable) = due[n], left.pop(number)
        missing[plan] -= 1
        kind: Kind = "wrong port" if _nodes(plan) == _nodes(key) else "moved"
        yield Fault(kind, (show(plan),), (show(key),), _where(cable))


def _nodes(key: tuple[Port, Port]) -> tuple[str, ...]:
    return tuple(sorted(port[0] for port in key))


class _Instead:
    """Which cable stands for which of the plan: they share a port, or join the same two nodes."""

    def __init__(self, due: Sequence[tuple[Port, Port]], odd: Mapping[int, tuple[Port, Port]]) -> None:
        self._odd, self._due = odd, due
        self._at: dict[Port, list[int]] = defaultdict(list)
        self._between: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for n, key in enumerate(due):
            self._between[_nodes(key)].append(n)
            for port in key:
                self._at[port].append(n)
        self._of_due: dict[int, int] = {}
        self._of_odd: dict[int, int] = {}
        self._n_tried = 0

    def pairs(self) -> list[tuple[int, int]]:
        """Return a number of each pair of odd and due cables, as many as possible, the likeliest first."""
        # A port that stays says which cable it was; where both are new, only the two nodes do.
        for likely in (self._at_a_port_between_its_nodes, self._at_a_port, self._between_its_nodes):
            for number in self._odd:
                if number not in self._of_odd:
                    n = next((n for n in likely(number) if n not in self._of_due), None)
                    if n is not None:
                        self._of_odd[number], self._of_due[n] = n, number
        for number in self._odd:
            if number not in self._of_odd and self._n_tried < _MAX_TRIED:
                self._augment(number)
        return list(self._of_odd.items())

    def _at_a_port(self, number: int) -> Iterator[int]:
        return (n for port in self._odd[number] for n in self._at.get(port, ()))

    def _between_its_nodes(self, number: int) -> Iterator[int]:
        return iter(self._between.get(_nodes(self._odd[number]), ()))

    def _at_a_port_between_its_nodes(self, number: int) -> Iterator[int]:
        own = set(self._odd[number])
        return (n for n in self._between_its_nodes(number) if own & set(self._due[n]))

    def _augment(self, number: int) -> None:
        """Find a place for a cable by giving others that stand for something another one to stand for."""
        came_from: dict[int, int] = {}
        queue = deque([number])
        while queue:
            one = queue.popleft()
            for n in (*self._at_a_port(one), *self._between_its_nodes(one)):
                self._n_tried += 1
                if n in came_from:
                    continue
                came_from[n] = one
                if n in self._of_due:
                    queue.append(self._of_due[n])
                    continue
                while True:  # the path back, each cable taking the next place
                    one = came_from[n]
                    before = self._of_odd.get(one)
                    self._of_odd[one], self._of_due[n] = n, one
                    if before is None:
                        return
                    n = before
