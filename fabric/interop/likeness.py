"""What was built as its design plus marks: a file that includes the design and says what differs.

::

    include: {fabric: ./pod.fabric.yaml}
    links:  [cables that the design does not have]      absent: [nodes of which nothing was found]
    failed: [cables of the design that are not there]
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fabric.blueprint.limits import MAX_ELEMENTS
from fabric.blueprint.site_selectors import unmistakable
from fabric.errors import LimitError, QuestionError
from fabric.graph import Fabric, loads
from fabric.interop.identity import Identity, identify
from fabric.interop.matching import Fault, Matching
from fabric.interop.sources import FoundCable, Port, Survey
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.cables import PlannedCable

_SUFFIX = ".fabric.yaml"


@dataclass(frozen=True, eq=False)
class Likeness:
    """A design with marks.

    Parameters
    ----------
    text : str
    fabric : Fabric
    devices : mapping of str to str
        What the design calls each node that was found; of a box, the name of the box.
    n_missing, n_extra, n_absent : int
        Cables of the design that were not found, the other way round, and nodes of which nothing was found.
    notes : tuple of str
    """

    text: str
    fabric: Fabric
    devices: Mapping[str, str]
    n_missing: int
    n_extra: int
    n_absent: int
    notes: tuple[str, ...]


def as_marks(design: Fabric, survey: Survey, name: str, folder: str | Path) -> Likeness:
    """Return what was found as a design plus marks.

    Parameters
    ----------
    design : Fabric
        Loaded from a file.
    survey : Survey
    name : str
        Of the fabric.
    folder : str or path
        Where the file will stand: the design is included by a path from there.

    Raises
    ------
    QuestionError
        If the design came from no file, or nodes can be found neither by names nor by structure.
    LimitError
        If there is more to mark than a file may.
    """
    blueprint = design.axes_or_refuse("a likeness")
    if not blueprint.path.endswith((_SUFFIX, ".fabric.json")):
        msg = f"like: a design in a file that can be included; got {blueprint.path}"
        raise QuestionError(msg)
    plan = CablePlan(blueprint)
    planned = list(plan.cables())
    identity = identify(plan, planned, survey)
    renamed = [_renamed(cable, identity) for cable in survey.cables]
    # What joins two devices of one box is no cable of the plan.
    matching = Matching(planned, [cable for cable in renamed if cable.a[0] != cable.z[0]])
    marks = _Marks(plan, planned, matching, identity)
    marks.check_size()
    path = os.path.relpath(blueprint.path, folder)
    path = path if "/" in path else f"./{path}"
    head = f"# {blueprint.name} as it was found: {len(survey.cables):,} cables."
    text = "\n".join([head, f"fabric: {name}", f"include: {{fabric: {path}}}", *marks.lines(), ""])
    return Likeness(
        text,
        loads(text, base=folder),
        identity.node,
        sum(marks.lost.values()),
        len(marks.extra),
        len(marks.absent),
        (*identity.notes, *matching.notes, *marks.notes),
    )


def _renamed(cable: FoundCable, identity: Identity) -> FoundCable:
    ends = [(identity.node.get(node, node), port) for node, port in (cable.a, cable.z)]
    a, z = sorted(ends)
    return cable._replace(a=a, z=z)


class _Marks:
    """What differs from a design, in the words of a topology file."""

    def __init__(
        self, plan: CablePlan, planned: Sequence[PlannedCable], matching: Matching, identity: Identity
    ) -> None:
        self._plan, self._planned, self._matching = plan, planned, matching
        self.notes: list[str] = []
        self._of_node: dict[str, set[str]] = defaultdict(set)
        for cable in planned:
            for end in (cable.a, cable.z):
                self._of_node[end.node].add(end.device)
        self._level = {node.group: node.level for node in plan.nodes()}
        seen = set(identity.node.values())
        self.absent = sorted({self._selector(node) for node in self._of_node if node not in seen})
        gone = {device for node, own in self._of_node.items() if node not in seen for device in own}
        self.lost: Counter[tuple[str, str]] = Counter()
        self.slower: Counter[tuple[str, str, float]] = Counter()
        self.extra: list[str] = []
        self._more: list[tuple[str, str, float]] = []
        for fault in matching.faults():
            self._mark(fault, gone)
        self._settle()

    def _mark(self, fault: Fault, gone: set[str]) -> None:
        if fault.kind == "unknown node":
            told = ", ".join(fault.found)
            self.notes.append(f"{fault.kind}, which the file does not say: {told} ({fault.where})")
        if fault.kind == "wrong rate":
            self._mark_rate(fault)
        if fault.kind in ("unknown node", "wrong rate", "wrong port", "duplicate name"):
            return
        plans = [self._matching.cable_of_text[text] for text in fault.planned]
        for cable in plans:
            if not gone & {cable.a.device, cable.z.device}:
                self.lost[cable.a.device, cable.z.device] += 1
        for text in fault.found:
            self._add(self._matching.ends_of_text[text], plans, text)

    def _mark_rate(self, fault: Fault) -> None:
        cable, rate = self._matching.slower[fault.found[0]]
        if rate < cable.rate_gbps:
            self.slower[cable.a.device, cable.z.device, rate] += 1
        else:
            told = f"{fault.found[0]} ({fault.where})"
            self.notes.append(f"faster than planned, which the file does not say: {told}")

    def _add(self, ends: tuple[Port, Port], plans: Sequence[PlannedCable], text: str) -> None:
        devices = [self._device(port) for port in ends]
        if None in devices or devices[0] == devices[1]:
            self.notes.append(f"not in the file, since no port says which device it is: {text}")
            return
        lower, upper = sorted(filter(None, devices), key=lambda device: self._level.get(_group_of(device), 0))
        like = plans[0] if plans else self._near(ends)
        self._more.append((lower, upper, like.rate_gbps))

    def _settle(self) -> None:
        """Take out what is lost and found again between the same two devices: only ports differ there."""
        n_ports = 0
        for lower, upper, rate_gbps in self._more:
            pair = next((p for p in ((lower, upper), (upper, lower)) if self.lost[p]), None)
            if pair is None:
                rate = f"{rate_gbps:.12g}Gb/s"
                name = f"extra{len(self.extra)}"
                self.extra.append(f"{{between: [{lower}, {upper}], name: {name}, rate: {rate}}}")
            else:
                self.lost[pair] -= 1
                n_ports += 1
        self.lost = +self.lost
        if n_ports:
            self.notes.append(
                f"{n_ports:,} cables join the right devices by other ports, which the file does not say"
            )

    def _device(self, port: Port) -> str | None:
        """Return the device of a port of the plan, or the only one of its node."""
        known = self._matching.device.get(port)
        if known is not None and port[1]:
            return known
        own = self._of_node.get(port[0], set())
        return next(iter(own)) if len(own) == 1 else None

    def _near(self, ends: tuple[Port, Port]) -> PlannedCable:
        """Return a cable of the plan at one of two nodes, which says how fast one more there is."""
        nodes = {ends[0][0], ends[1][0]}
        both = (c for c in self._planned if nodes <= {c.a.node, c.z.node})
        return next(both, None) or next(c for c in self._planned if nodes & {c.a.node, c.z.node})

    def _selector(self, node: str) -> str:
        """Return the selector of all that stands in a node: of a box its axes, and everything there."""
        own = sorted(self._of_node[node])
        group = _group_of(own[0])
        box = self._plan.side(group).box
        if box is None:
            return own[0]
        blueprint = self._plan.blueprint
        axes = [a for a in blueprint.groups[group].axes[:-1] if set(blueprint.primitives(a)) <= set(box.axes)]
        terms = [term for term in own[0].split("/")[:-1] if term.rstrip("0123456789") in axes]
        last = blueprint.groups[group].axes[-1:]
        if last and set(blueprint.primitives(last[0])) <= set(box.axes):
            index = own[0].rpartition("/")[2].removeprefix(group)
            terms.append(f"{last[0]}{index}")
        return "/".join([*terms, "*"])

    def _told(self, selector: str) -> str:
        return unmistakable(self._plan.blueprint, selector)

    def check_size(self) -> None:
        """Refuse more marks than a file may have."""
        for what, n in (("links", len(self.extra)), ("failed", len(self.lost)), ("absent", len(self.absent))):
            if n > MAX_ELEMENTS[what] // 2:
                msg = f"{n:,} differences for {what}: that is not the design; import without one"
                raise LimitError(msg)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the file after its include."""
        blueprint = self._plan.blueprint
        if self.extra:
            yield from _items("links", self.extra)
        # What is marked is read by the names below as well.
        yield from _items("absent", map(self._told, self.absent))
        lost = [(*map(self._told, pair), n) for pair, n in sorted(self.lost.items())]
        yield from _items("failed", [f"[{a}, {z}, {n}]" for a, z, n in lost])
        slower = [(self._told(a), self._told(z), n, rate) for (a, z, rate), n in sorted(self.slower.items())]
        yield from _items("degraded", [f"[{a}, {z}, {n}, {rate:.12g}Gb/s]" for a, z, n, rate in slower])
        # Includes keep these to themselves.
        for key, patterns in (("names", blueprint.site_names), ("ports", blueprint.port_names)):
            if patterns:
                said = ", ".join(f'{group}: "{pattern.text}"' for group, pattern in patterns.items())
                yield f"{key}: {{{said}}}"
        if blueprint.islands != 1:
            yield f"islands: {blueprint.islands}"


def _items(key: str, items: Iterable[str]) -> Iterator[str]:
    listed = list(items)
    if listed:
        yield f"{key}:"
        yield from (f"  - {item}" for item in listed)


def _group_of(device: str) -> str:
    return device.rpartition("/")[2].rstrip("0123456789")
