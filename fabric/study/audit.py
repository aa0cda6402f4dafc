"""Whether what was built is what was designed: cables as found, the plan, and what it costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from fabric.arguments import checked
from fabric.graph import Fabric
from fabric.interop.identity import by_devices
from fabric.interop.matching import KINDS, Fault, Kind, Matching
from fabric.interop.sources import Progress, read_sources
from fabric.results import Result
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.floor import FloorPlan
from fabric.study.fault_costs import FaultCost, FaultCosts, WaysOn
from fabric.study.fault_places import FaultPlaces
from fabric.text.markdown import code, escape, table

MAX_PRICED = 60
"""Groups of faults whose cost is worked out, the largest first."""


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
    to, planned_to : str
        What the devices share at which cables of the node end, and those at which they should end, such as
        ``plane1/spine``; the first is empty where cables are missing, both where they say nothing.
    kept : float or None
        All-to-all with only these faults, as a part of that of the design; None where it was not worked out.
    cut_off : int
        Endpoints that they cut off.
    collectives : mapping of str to (float or None)
        Bus bandwidth of the collectives that were asked for, as parts of that of the design.
    ways : WaysOn or None
        The node with the fewest cables left that lead on from it; None where none is lost.
    faults : tuple of Fault
    """

    kind: Kind
    node: str
    n: int
    n_of: int
    to: str
    planned_to: str
    kept: float | None
    cut_off: int
    collectives: Mapping[str, float | None]
    ways: WaysOn | None
    faults: tuple[Fault, ...]

    @property
    def text(self) -> str:
        """The group in a line."""
        place = f" {self.place}" if self.place else ""
        head = f"{self.kind}: {self.n} of {self.n_of} cables of {self.node}{place}"
        return "; ".join([head, *self.costs])

    @property
    def place(self) -> str:
        """Where the cables go and should go, in words."""
        if not self.to:
            return f"to {self.planned_to}" if self.planned_to else ""
        return f"{'goes' if self.n == 1 else 'go'} to {self.to} instead of {self.planned_to}"

    @property
    def costs(self) -> list[str]:
        """What it costs, in words."""
        parts = {"all-to-all": self.kept} if "all-to-all" not in self.collectives else {}
        told = [
            f"{name} keeps {100 * part:.4g} %"
            for name, part in (parts | {**self.collectives}).items()
            if part is not None
        ]
        if self.cut_off:
            told.append(f"cuts off {self.cut_off:,} endpoints")
        if self.ways is not None and self.ways.left < self.ways.n_of:
            told.append(f"{self.ways.node} has {self.ways.left} of {self.ways.n_of} ways on")
        return told


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
            {
                "kind": g.kind,
                "node": g.node,
                "n": g.n,
                "n_of": g.n_of,
                "to": g.to,
                "planned_to": g.planned_to,
                "kept": g.kept,
                "cut_off": g.cut_off,
                **g.collectives,
                "ways_left": g.ways.left if g.ways else None,
            }
            for g in self.groups
        ]

    def to_markdown(self) -> str:
        """Return the groups and what mends them as Markdown, as for a pull request."""
        right = f"{self.n_right:,} of {self.n_planned:,} cables are as designed; {self.n_found:,} found"
        blocks = [f"**{escape(self.name)}**: {right}."]
        if self.groups:
            rows = [
                [
                    g.kind,
                    code(g.node),
                    " ".join(filter(None, [f"{g.n} of {g.n_of}", g.place])),
                    escape("; ".join(g.costs)),
                    _examples(g),
                ]
                for g in self.groups
            ]
            blocks.append(table(["fault", "at", "cables", "cost", "found, planned"], rows))
            more = len(self.moves) - _MOVES
            moves = [f"- [ ] {escape(move)}" for move in self.moves[:_MOVES]]
            blocks.append(
                "\n".join(["To mend it:", "", *moves, *([f"- and {more:,} more"] if more > 0 else [])])
            )
        blocks += [f"Note: {escape(note)}." for note in self.notes]
        return "\n\n".join(blocks) + "\n"

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


def _examples(group: FaultGroup) -> str:
    fault, more = group.faults[0], len(group.faults) - 1
    texts = [code(text) for text in (*fault.found, *fault.planned)]
    return ", ".join(texts) + (f", and {more:,} more" if more else "")


_SHOWN = 6
_MOVES = 40


@checked
def audit(
    design: Fabric,
    sources: Sequence[str | Path],
    format: str,  # noqa: A002 - the word of the field
    *,
    collectives: Sequence[str] = (),
    size: str | int = "1GiB",
    floor: FloorPlan | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Return how what was built differs from a design, and what that costs.

    Parameters
    ----------
    design : Fabric
    sources : sequence of str or path
        Cables as they were found.
    format : str
        A name of `fabric.interop.sources.SOURCES`.
    collectives : sequence of str
        Whose bus bandwidth each group is priced by too, beside all-to-all throughput.
    size : str or int
        Of their buffers.
    floor : FloorPlan, optional
    progress : callable, optional
        Called with the sources that are read so far and how many there are, then with the groups of faults
        whose cost is worked out.

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
    survey = read_sources(sources, format, is_strict=False, progress=progress)
    found = by_devices(plan, survey.cables)
    comparison = Matching(planned, found, survey.doubled)
    faults = comparison.faults()
    costs = FaultCosts(design, plan, comparison, collectives, size)
    by_size = sorted(_grouped(faults), key=lambda group: -len(group[2]))
    largest = by_size[:MAX_PRICED]
    places = FaultPlaces(comparison, {node for _, node, _ in by_size})
    groups = []
    for n, group in enumerate(largest):
        if progress:
            progress(n, len(largest))
        groups.append(_priced(group, comparison, places, costs))
    if len(by_size) > MAX_PRICED:
        n_rest = len(by_size) - MAX_PRICED
        costs.notes.append(f"the cost of the {n_rest:,} smallest groups was not worked out")
        groups += [_unpriced(group, comparison, places) for group in by_size[MAX_PRICED:]]
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


_Group = tuple[Kind, str, list[Fault]]


def _nodes(fault: Fault) -> list[str]:
    texts = fault.planned or fault.found
    return list(dict.fromkeys(end.split(" ")[0] for text in texts for end in text.split(" - ")))


def _grouped(faults: Iterable[Fault]) -> list[_Group]:
    """Return faults by kind and by the node that most of them are at."""
    groups = []
    for kind in KINDS:
        at: dict[str, dict[int, Fault]] = defaultdict(dict)
        own = dict(enumerate(fault for fault in faults if fault.kind == kind))
        for number, fault in own.items():
            for node in _nodes(fault):
                at[node][number] = fault
        # A heap of counts that may be too high by now: those that are go back.
        heap = [(-len(there), _Last(node)) for node, there in at.items()]
        heapify(heap)
        while own:
            count, last = heappop(heap)
            here = at[last.name]
            if len(here) != -count:
                if here:
                    heappush(heap, (-len(here), last))
                continue
            groups.append((kind, last.name, list(here.values())))
            for number, fault in list(here.items()):
                del own[number]
                for node in _nodes(fault):
                    del at[node][number]
    return groups


class _Last(NamedTuple):
    """A name that comes the sooner the later it sorts."""

    name: str

    def __lt__(self, other: tuple[str, ...]) -> bool:
        return self.name > other[0]


def _priced(group: _Group, comparison: Matching, places: FaultPlaces, costs: FaultCosts) -> FaultGroup:
    kind, _, faults = group
    # What is not of the plan, or only called otherwise, takes nothing from what the plan counts on.
    is_free = kind in ("extra", "unknown node", "duplicate name")
    cost = FaultCost() if is_free else costs.of(faults)
    ways = None if is_free else costs.ways(faults)
    return _unpriced(group, comparison, places)._replace(**cost._asdict(), ways=ways)


def _unpriced(group: _Group, comparison: Matching, places: FaultPlaces) -> FaultGroup:
    kind, node, faults = group
    n = sum(fault.n_moves for fault in faults)
    place = places.of(node, faults) if kind in ("swapped", "moved", "missing") else ("", "")
    n_of = comparison.n_of.get(node, 0)
    return FaultGroup(kind, node, n, n_of, *place, None, 0, {}, None, tuple(faults))


_MEND: Mapping[Kind, str] = {
    "moved": "move {found} to {planned}",
    "wrong port": "move {found} to {planned}",
    "missing": "add {planned}",
    "extra": "take out {found}",
    "wrong rate": "replace {found}",
    "duplicate name": "give it its name: {found}",
    "unknown node": "name the node, or take out {found}",
}


def _moves(faults: Iterable[Fault]) -> Iterable[str]:
    """Yield the shortest list of moves that mends all: a swap is one, and so is everything else."""
    for fault in sorted(faults, key=lambda fault: KINDS.index(fault.kind)):
        planned, found = " and ".join(fault.planned), " and ".join(fault.found)
        if fault.kind == "swapped":
            yield from _swaps(fault)
        else:
            yield _MEND[fault.kind].format(planned=planned, found=found)


def _swaps(fault: Fault) -> Iterable[str]:
    """Yield swaps that mend cables whose far ends went round, one cable at a time."""
    odd = [set(text.split(" - ")) for text in fault.found]
    due = [set(text.split(" - ")) for text in fault.planned]
    if len(due) == 2:
        yield f"swap the far ends of {' and '.join(fault.found)}: {' and '.join(fault.planned)}"
        return
    (on,) = odd[0] & due[0]
    (first,) = odd[0] - {on}
    for k in range(len(due) - 1):
        (near,) = due[k] - {on}
        (far,) = odd[k + 1] - {near}
        yield f"swap the far ends of {first} - {on} and {near} - {far}: {fault.planned[k]}"
        on = far
