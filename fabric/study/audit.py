"""Whether what was built is what was designed: cables as found, the plan, and what it costs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import networkx as nx

from fabric.arguments import checked
from fabric.errors import FabricError, LimitError
from fabric.flow.throughput import throughput
from fabric.graph import Fabric, fail
from fabric.graph.exchange import from_networkx, to_networkx
from fabric.interop.sources import FoundCable, Port, read_sources
from fabric.results import Result
from fabric.sizing.cable_plan import CablePlan, PlannedCable
from fabric.sizing.floor import FloorPlan

Kind = Literal["missing", "extra", "swapped", "moved", "wrong port", "wrong rate", "unknown node"]
KINDS: tuple[Kind, ...] = ("swapped", "moved", "missing", "extra", "wrong port", "wrong rate", "unknown node")
MANY_DEVICES = 3_000
"""Devices up to which what was built is solved cable by cable."""


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


class FaultGroup(NamedTuple):
    """Faults of one kind at one place.

    Parameters
    ----------
    kind : str
    node : str
        The node that all of them are at.
    n : int
    n_of : int
        Cables that the node has in the plan.
    kept : float or None
        All-to-all with only these faults, as a part of that of the design; None where it was not worked out.
    cut_off : int
        Endpoints that they cut off.
    faults : tuple of Fault
    """

    kind: Kind
    node: str
    n: int
    n_of: int
    kept: float | None
    cut_off: int
    faults: tuple[Fault, ...]

    @property
    def text(self) -> str:
        """The group in a line."""
        cost = "" if self.kept is None else f"; all-to-all keeps {100 * self.kept:.4g} %"
        cost += f"; cuts off {self.cut_off:,} endpoints" if self.cut_off else ""
        return f"{self.kind}: {self.n} of {self.n_of} cables of {self.node}{cost}"


@dataclass(frozen=True, slots=True)
class Audit(Result):
    """Answer of `audit`.

    Parameters
    ----------
    name : str
        Of the design.
    n_planned, n_found, n_right : int
        Cables of the plan, in the sources, and those that are as planned.
    groups : tuple of FaultGroup
        Dearest first.
    moves : tuple of str
        What mends it, swaps first.
    notes : tuple of str
    """

    name: str
    n_planned: int
    n_found: int
    n_right: int
    groups: tuple[FaultGroup, ...]
    moves: tuple[str, ...]
    notes: tuple[str, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Literal["as designed", "differs"]:
        """Whether anything differs."""
        return "differs" if self.groups else "as designed"

    def table(self) -> list[dict[str, object]]:
        """Return the groups of faults."""
        return [
            {"kind": g.kind, "node": g.node, "n": g.n, "n_of": g.n_of, "kept": g.kept, "cut_off": g.cut_off}
            for g in self.groups
        ]

    def __str__(self) -> str:
        """Return the groups, their faults, and what mends them."""
        right = f"{self.n_right:,} of {self.n_planned:,} cables are as designed"
        lines = [f"{self.name}: {right}; {self.n_found:,} found"]
        for group in self.groups:
            lines.append(f"  {group.text}")
            for fault in group.faults[:_SHOWN]:
                lines += [f"    planned {cable}" for cable in fault.planned]
                lines += [f"    found   {cable} ({fault.where})" for cable in fault.found]
            if len(group.faults) > _SHOWN:
                lines.append(f"    and {len(group.faults) - _SHOWN} more")
        if self.moves:
            lines.append("  to mend it:")
            lines += [f"    {move}" for move in self.moves[:_MOVES]]
            if len(self.moves) > _MOVES:
                lines.append(f"    and {len(self.moves) - _MOVES} more")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


_SHOWN = 6
_MOVES = 40


@checked
def audit(
    design: Fabric,
    sources: Sequence[str | Path],
    format: str,  # noqa: A002 - the word of the field
    *,
    floor: FloorPlan | None = None,
) -> Audit:
    """Return how what was built differs from a design, and what that costs.

    Parameters
    ----------
    design : Fabric
    sources : sequence of str or path
        Cables as they were found.
    format : str
        A name of `fabric.interop.sources.SOURCES`.
    floor : FloorPlan, optional

    Returns
    -------
    Audit

    Raises
    ------
    TopologyError, FileError
        If a source cannot be read, with all that is wrong in all of them.
    QuestionError
        If there is no such format, or the design came from a graph.

    Notes
    -----
    Nodes are found by their names (`names:` of the file). Ports are compared where the source has names of
    the plan, else nodes alone. The cost of a group is that of its faults alone, all others mended: missing
    cables are failed cables of the design, so that any size is exact; what is cabled otherwise is solved
    cable by cable, up to `MANY_DEVICES` devices.
    """
    plan = CablePlan(design.axes_or_refuse("an audit"), floor)
    planned = list(plan.cables())
    found = read_sources(sources, format).cables
    comparison = _Comparison(planned, found)
    faults = comparison.faults()
    costs = _Costs(design, comparison)
    groups = [_priced(group, comparison, costs) for group in _grouped(faults)]
    groups.sort(key=lambda g: (-g.cut_off, 1.0 if g.kept is None else g.kept, KINDS.index(g.kind), g.node))
    n_wrong = sum(len(fault.planned) for fault in faults)
    return Audit(
        design.name,
        len(planned),
        len(found),
        len(planned) - n_wrong,
        tuple(groups),
        tuple(_moves(faults)),
        (*comparison.notes, *costs.notes),
    )


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


class _Comparison:
    """Cables of the plan and cables that were found, by their ends."""

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


def _nodes(fault: Fault) -> list[str]:
    texts = fault.planned or fault.found
    return list(dict.fromkeys(end.split(" ")[0] for text in texts for end in text.split(" - ")))


def _grouped(faults: Iterable[Fault]) -> list[tuple[Kind, str, list[Fault]]]:
    """Return faults by kind and by the node that most of them are at."""
    groups = []
    for kind in KINDS:
        left = [fault for fault in faults if fault.kind == kind]
        while left:
            count = Counter(node for fault in left for node in _nodes(fault))
            node = max(count, key=lambda name: (count[name], name))
            groups.append((kind, node, [fault for fault in left if node in _nodes(fault)]))
            left = [fault for fault in left if node not in _nodes(fault)]
    return groups


class _Costs:
    """What faults cost in all-to-all, beside the design as it is."""

    def __init__(self, design: Fabric, comparison: _Comparison) -> None:
        self._design, self._comparison = design, comparison
        self.notes: list[str] = []
        self._graph: nx.MultiGraph | None = None
        self._healthy: float | None = None

    def of(self, faults: Sequence[Fault]) -> tuple[float | None, int]:
        """Return the part of all-to-all that is kept with these faults alone, and the endpoints cut off."""
        try:
            if self._healthy is None:
                self._healthy = throughput(self._design).per_endpoint_gbps
            if all(not fault.found for fault in faults):
                answer = throughput(self._without(faults))
            else:
                answer = throughput(self._as_built(faults))
        except FabricError as error:
            self.notes.append(f"cost not worked out: {' '.join(str(error).split())}")
            return None, 0
        cut_off = sum(cut.n for cut in answer.cut_off)
        if not self._healthy:
            return None, cut_off
        return answer.per_endpoint_gbps / self._healthy, cut_off

    def _without(self, faults: Sequence[Fault]) -> Fabric:
        lost: Counter[tuple[str, str]] = Counter()
        for text in (text for fault in faults for text in fault.planned):
            cable = self._comparison.cable_of_text[text]
            lost[cable.a.device, cable.z.device] += 1
        return fail(self._design, *(f"{a} - {z} x {n}" for (a, z), n in lost.items()))

    def _as_built(self, faults: Sequence[Fault]) -> Fabric:
        if self._graph is None:
            self._graph = to_networkx(self._design)
        if self._graph.number_of_nodes() > MANY_DEVICES:
            n = self._graph.number_of_nodes()
            msg = f"{n:,} devices are more than {MANY_DEVICES:,}, up to which cables are solved one by one"
            raise LimitError(msg)
        graph = self._graph.copy()
        for fault in faults:
            plans = [self._comparison.cable_of_text[text] for text in fault.planned]
            for cable in plans:
                _take_out(graph, cable)
            for text in fault.found if plans else ():
                ends = self._comparison.ends_of_text[text]
                devices = [self._comparison.device.get(port) for port in ends]
                if all(devices) and fault.kind != "wrong port":
                    _put_in(graph, devices, plans[0])
                elif fault.kind == "wrong port":
                    _put_in(graph, [plans[0].a.device, plans[0].z.device], plans[0])
        return from_networkx(graph)


def _take_out(graph: nx.MultiGraph, cable: PlannedCable) -> None:
    data = graph[cable.a.device][cable.z.device][cable.rule]
    if data["count"] == 1:
        graph.remove_edge(cable.a.device, cable.z.device, cable.rule)
    else:
        data["count"] -= 1
        data["capacity"] -= cable.rate_gbps


def _put_in(graph: nx.MultiGraph, devices: Sequence[str | None], like: PlannedCable) -> None:
    """Add a cable like one of the plan; the end nearer the endpoints is that of the same group, if any is."""
    group = graph.nodes[like.a.device]["group"]
    lower, upper = devices if graph.nodes[devices[0]]["group"] == group else devices[::-1]
    rate = like.rate_gbps
    graph.add_edge(
        lower, upper, rate_gbps=rate, count=1, failed_count=0, capacity=rate, net="scale-out", lower=lower
    )


def _priced(group: tuple[Kind, str, list[Fault]], comparison: _Comparison, costs: _Costs) -> FaultGroup:
    kind, node, faults = group
    # What is not of the plan, or slower than it, carries nothing that the plan counts on.
    kept, cut_off = (None, 0) if kind in ("extra", "unknown node", "wrong rate") else costs.of(faults)
    return FaultGroup(kind, node, len(faults), comparison.n_of.get(node, 0), kept, cut_off, tuple(faults))


_MEND: Mapping[Kind, str] = {
    "moved": "move {found} to {planned}",
    "wrong port": "move {found} to {planned}",
    "missing": "add {planned}",
    "extra": "take out {found}",
    "wrong rate": "replace {found}",
    "unknown node": "name the node, or take out {found}",
}


def _moves(faults: Iterable[Fault]) -> Iterable[str]:
    """Yield the shortest list of moves that mends all: a swap is one, and so is everything else."""
    for fault in sorted(faults, key=lambda fault: KINDS.index(fault.kind)):
        planned, found = " and ".join(fault.planned), " and ".join(fault.found)
        if fault.kind == "swapped":
            yield f"swap the far ends of {found}: {planned}"
        else:
            yield _MEND[fault.kind].format(planned=planned, found=found)
