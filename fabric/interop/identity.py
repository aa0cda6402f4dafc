"""Which node of a plan a node that was found is: by its name, by its ports, or by how it is cabled.

::

    names       leaf3 is leaf3                     where at least half of the nodes have names of the plan
    ports       what is at port 5 of leaf3         one node is tried; each then votes for those at its ports,
                is what the plan has there         sweep by sweep, so that a few wrong cables are outvoted
    structure   equal places on equal axes         the plan and what was found are both put on axes
                                                   (`fabric.interop.recovery`); true up to automorphisms
                as far from the same landmarks     else, whatever the plan is (`fabric.interop.landmarks`)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations

from fabric.errors import QuestionError
from fabric.interop.landmarks import by_landmarks, nodes_by_name, numbered
from fabric.interop.recovery.dump import Dump, dump_of
from fabric.interop.recovery.recover import sketches
from fabric.interop.recovery.sketch import FoundGroup, Sketch
from fabric.interop.sources import FoundCable, Port, Survey
from fabric.sizing.cable_plan import CablePlan
from fabric.sizing.cables import PlannedCable

_NAMED = 0.5
"""Part of the nodes that must have names of the plan for names to decide."""
_FITTING = 0.7
"""Part of the cables that must be as planned for ports to decide."""
_LIKE = 0.9
"""Part of the cables that must be as planned for structure to decide."""
_TRIED = 16
_SWEEPS = 12
_MAX_ORDERS = 5_000


@dataclass(frozen=True, eq=False)
class Identity:
    """What a plan calls each node that was found, and how that is known."""

    node: Mapping[str, str]
    notes: tuple[str, ...] = ()


def by_devices(plan: CablePlan, cables: Sequence[FoundCable]) -> Sequence[FoundCable]:
    """Return cables between the nodes of a plan where a source names devices, as our graphs do.

    A device in a box is that box, which has ports of other names, and what joins two of one box is no cable.
    """
    nodes = _NodesOfDevices(plan)
    names = {node for cable in cables for node, _ in (cable.a, cable.z)}
    node_of = {name: node for name in names if (node := nodes.of(name)) is not None}
    if not node_of:
        return cables
    renamed = []
    for cable in cables:
        (one, p), (other, q) = cable.a, cable.z
        a, z = sorted(((node_of.get(one, one), p), (node_of.get(other, other), q)))
        if a[0] != z[0]:
            renamed.append(cable._replace(a=a, z=z))
    return renamed


class _NodesOfDevices:
    """Nodes of a plan by their devices, called as in the file, or ``node3-nic0`` as of InfraGraph."""

    def __init__(self, plan: CablePlan) -> None:
        self._node_of = plan.nodes_of_devices()
        self._nodes = set(self._node_of.values())
        self._boxed = {group for group in plan.blueprint.groups if plan.side(group).box is not None}

    def of(self, name: str) -> str | None:
        """Return the node of a device; None of what is a node, or unknown."""
        if name in self._nodes:
            return None
        box, _, device = name.rpartition("-")
        is_inside = box in self._nodes and device.rstrip("0123456789") in self._boxed
        return self._node_of.get(name) or (box if is_inside else None)


def identify(plan: CablePlan, planned: Sequence[PlannedCable], survey: Survey) -> Identity:
    """Return which node of a plan each node that was found is.

    Raises
    ------
    QuestionError
        If neither names, nor ports, nor structure say so.
    """
    nodes = {end.node for cable in planned for end in (cable.a, cable.z)}
    cables = survey.cables
    found = {node for cable in cables for node, _ in (cable.a, cable.z)}
    if len(found & nodes) >= _NAMED * len(found):
        return Identity({node: node for node in found if node in nodes})
    devices = _NodesOfDevices(plan)
    node_of = {
        name: node for name in found if (node := name if name in nodes else devices.of(name)) is not None
    }
    if len(node_of) >= _NAMED * len(found):
        return Identity(node_of)
    by_ports = _by_ports(planned, cables)
    if by_ports is not None:
        unsaid = len(found) - len(by_ports)
        note = "nodes have no names of the plan: they were found by their ports"
        return Identity(by_ports, (note, *([f"{unsaid:,} nodes were not found by them"] if unsaid else [])))
    by_structure = _by_structure(plan, planned, survey)
    if by_structure is not None:
        return by_structure
    msg = (
        "nodes have no names of the plan, and neither ports nor how they are cabled say which they are; "
        "give the design the names of the site (names:)"
    )
    raise QuestionError(msg)


def _by_ports(planned: Sequence[PlannedCable], cables: Sequence[FoundCable]) -> dict[str, str] | None:
    """Return nodes by their ports; None where ports are not called as planned, or fit nowhere."""
    at: dict[Port, Port] = {}
    for plan in planned:
        one, other = (plan.a.node, plan.a.port), (plan.z.node, plan.z.port)
        at[one], at[other] = other, one
    names = {port for _, port in at}
    ends = [pair for cable in cables for pair in ((cable.a, cable.z), (cable.z, cable.a))]
    if sum(a[1] in names and z[1] in names for a, z in ends) < _FITTING * len(ends):
        return None
    ours, theirs = _seen_by(at.items()), _seen_by(ends)
    n_alike = Counter(map(frozenset, ours.values()))
    # The node that fewest of the plan look like: few are tried until one of them is right.
    root = min(
        theirs, key=lambda node: (n_alike[frozenset(theirs[node])] or len(ours), -len(theirs[node]), node)
    )
    order = sorted(ours, key=lambda node: (len(theirs[root] ^ ours[node]), node))
    best: dict[str, str] = {}
    most = 0
    for start in order[:_TRIED]:
        voted = _voted({root: start}, at, ends)
        fitting = sum(_fits(voted, at, a, z) for a, z in ends)
        if fitting > most:
            best, most = voted, fitting
        if most >= 0.9 * len(ends):
            break
    return _with_leftovers(best, ours, theirs) if most >= _FITTING * len(ends) else None


def _seen_by(ends: Iterable[tuple[Port, Port]]) -> dict[str, set[tuple[str, str]]]:
    """Return the ports of each node with the ports at the other end."""
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for a, z in ends:
        seen[a[0]].add((a[1], z[1]))
    return dict(seen)


def _with_leftovers(
    node: dict[str, str], ours: Mapping[str, set[tuple[str, str]]], theirs: Mapping[str, set[tuple[str, str]]]
) -> dict[str, str]:
    """Return nodes and, for those without a vote, what is left of the plan with the most equal ports."""
    free = sorted(set(ours) - set(node.values()))
    for far in sorted(set(theirs) - set(node)):
        own = {port for port, _ in theirs[far]}
        near = max(free, key=lambda one: len(own & {port for port, _ in ours[one]}), default=None)
        if near is not None and own & {port for port, _ in ours[near]}:
            node = {**node, far: near}
            free.remove(near)
    return node


def _fits(node: Mapping[str, str], at: Mapping[Port, Port], a: Port, z: Port) -> bool:
    return a[0] in node and z[0] in node and at.get((node[a[0]], a[1])) == (node[z[0]], z[1])


def _voted(
    node: dict[str, str], at: Mapping[Port, Port], ends: Sequence[tuple[Port, Port]]
) -> dict[str, str]:
    """Return nodes as most of their neighbours see them, from a few that are known."""
    for _ in range(_SWEEPS):
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for a, z in ends:
            seen = at.get((node[a[0]], a[1])) if a[0] in node else None
            if seen is not None and seen[1] == z[1]:
                votes[z[0]][seen[0]] += 1
        # Those with the most votes choose first, and no two are the same node.
        chosen: dict[str, str] = {}
        taken: set[str] = set()
        cast = ((n, far, one) for far, own in votes.items() for one, n in own.items())
        for _, far, one in sorted(cast, key=_by_votes):
            if far not in chosen and one not in taken:
                chosen[far] = one
                taken.add(one)
        # Nobody votes for a node whose neighbours are not known yet.
        for far, one in node.items():
            if far not in chosen and one not in taken:
                chosen[far] = one
                taken.add(one)
        if chosen == node:
            break
        node = chosen
    return node


def _by_votes(vote: tuple[int, str, str]) -> tuple[int, str, str]:
    return -vote[0], vote[1], vote[2]


def _by_structure(plan: CablePlan, planned: Sequence[PlannedCable], survey: Survey) -> Identity | None:
    """Return nodes by how they are cabled: on axes, else by landmarks; None where too few cables fit."""
    kinds = {node.name: "switch" if node.is_switch else "host" for node in plan.nodes()}
    said = {name: "switch" if kind == "switch" else "host" for name, kind in survey.kinds.items()}
    ours = dump_of(map(_as_found, planned), kinds if said else {})
    theirs = dump_of((cable._replace(rate_gbps=None) for cable in survey.cables), said)
    node, alike = _on_axes(ours, theirs)
    if node is None:
        by_number, fit = by_landmarks(ours, theirs, numbered((kinds, said), (ours, theirs)))
        if fit < _LIKE:
            return None
        node = nodes_by_name(ours, theirs, by_number)
        alike = "the nodes of the plan"
    notes = (
        "nodes have no names of the plan: they were found by how they are cabled",
        f"ambiguous: cables say who is near whom among {alike}, and not which one is which",
    )
    return Identity(node, notes)


def _on_axes(ours: Dump, theirs: Dump) -> tuple[dict[str, str] | None, str]:
    """Return nodes by equal places on equal axes, if enough cables fit then; and which of them are alike."""
    at = Counter[frozenset[str]]()
    for v, w, n in zip(ours.tail.tolist(), ours.head.tolist(), ours.count.tolist(), strict=True):
        at[frozenset((ours.names[v], ours.names[w]))] += n
    for mine, other in _drawn_alike(ours, theirs):
        equal = _equal(mine, other)
        if equal is None:
            continue
        pairs = [pair for g in range(len(mine.groups)) for pair in _places(mine, other, equal, g)]
        node = {theirs.names[v]: ours.names[w] for w, v in pairs}
        fitting = 0
        for v, w, n in zip(theirs.tail.tolist(), theirs.head.tolist(), theirs.count.tolist(), strict=True):
            fitting += min(n, at[frozenset((node.get(theirs.names[v], ""), node.get(theirs.names[w], "")))])
        if fitting < _LIKE * theirs.n_cables:
            continue
        alike = [
            f"{len(group.members):,} {group.role.name}" for group in mine.groups if len(group.members) > 1
        ]
        return node, ", ".join(alike)
    return None, ""


def _as_found(cable: PlannedCable) -> FoundCable:
    a, z = sorted(((cable.a.node, cable.a.port), (cable.z.node, cable.z.port)))
    return FoundCable(a, z, "plan", 1, None)


def _drawn_alike(ours: Dump, theirs: Dump) -> Iterator[tuple[Sketch, Sketch]]:
    mine = list(islice(sketches(ours), 1))
    return ((one, other) for one in mine for other in sketches(theirs))


def _shape(drawn: Sketch, group: FoundGroup) -> tuple[int, list[int]]:
    return group.role.level, sorted(drawn.axes[a].size for a in group.axes)


@dataclass(frozen=True)
class _Equal:
    """Which group and which axis of the one sketch is which of the other."""

    group: Mapping[int, int]
    axis: Mapping[int, int]


def _equal(mine: Sketch, other: Sketch) -> _Equal | None:
    """Return which group and axis is which, so that rules are equal too; None where they are not."""
    if len(mine.groups) != len(other.groups) or len(mine.axes) != len(other.axes):
        return None
    numbers = range(len(mine.groups))
    for order in islice(permutations(numbers), _MAX_ORDERS):
        pairs = ((mine.groups[g], other.groups[order[g]]) for g in numbers)
        if any(_shape(mine, one) != _shape(other, match) for one, match in pairs):
            continue
        joined = Counter(frozenset((order[r.lower], order[r.upper])) for r in mine.rules)
        if joined != Counter(frozenset((r.lower, r.upper)) for r in other.rules):
            continue
        left = dict(enumerate(other.axes))
        axis: dict[int, int] = {}
        for a, one in enumerate(mine.axes):
            groups = frozenset(order[g] for g in one.groups)
            match = next((b for b, far in left.items() if (far.groups, far.size) == (groups, one.size)), None)
            if match is None:
                break
            axis[a] = match
            del left[match]
        else:
            return _Equal(dict(enumerate(order)), axis)
    return None


def _places(mine: Sketch, other: Sketch, equal: _Equal, g: int) -> Iterator[tuple[int, int]]:
    """Yield the numbers of the nodes of a group that stand at equal places, ours and theirs."""
    group, match = mine.groups[g], other.groups[equal.group[g]]
    at = dict(zip(group.place.tolist(), group.members.tolist(), strict=True))
    for v, place in zip(match.members.tolist(), match.place.tolist(), strict=True):
        index: dict[int, int] = {}
        for b in reversed(match.axes):
            place, index[b] = divmod(place, other.axes[b].size)
        flat = 0
        for a in group.axes:
            flat = flat * mine.axes[a].size + index[equal.axis[a]]
        if flat in at:
            yield at[flat], v
