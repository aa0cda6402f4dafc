"""Device groups, link rules and failures of one file, each checked where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, cast

import numpy as np

from fabric.blueprint.axes import AxisTable
from fabric.blueprint.grid import class_grid
from fabric.blueprint.limits import MAX_PAIRS, Room
from fabric.blueprint.model import (
    DEFAULT_TRANSIT,
    Blueprint,
    DeviceGroup,
    Kind,
    MarkedCables,
    Net,
    Origin,
    Relation,
    Risk,
    Rule,
    Selector,
    WrongError,
)
from fabric.blueprint.parse import Parsed, show_value
from fabric.blueprint.planes import names_chips, open_chips, refusal
from fabric.blueprint.ports import port_class
from fabric.blueprint.schema import DeviceItem, LinkItem, WiringItem
from fabric.blueprint.selector import UnknownNameError, parse_selector, pinned_axes, quote, selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.blueprint.slowing import SlowCables
from fabric.blueprint.templates import as_template
from fabric.blueprint.wiring import PATTERNS, MisfitError, check_listed, wire
from fabric.blueprint.wiring.misfit import refuse_many
from fabric.errors import PartError, Problem, SelectorError
from fabric.parts import Part, Protocol, find_medium, find_part, find_protocol
from fabric.text.patterns import NamePattern
from fabric.units import MAX_COUNT

Groups = tuple[DeviceGroup, DeviceGroup]


@dataclass(slots=True)
class Scope:
    """What the elements of a file may refer to, and the problems so far.

    Parameters
    ----------
    axes : AxisTable
    groups : dict of str to DeviceGroup
    broken : set of str
        Groups that were left out, with a problem noted.
    is_lost : bool
        True where a whole section or an include could not be read; an unknown name is then no finding.
    problems : list of Problem
    room : Room
        What the files may still ask for.
    site_names : mapping of str to NamePattern
        What the file calls the devices of its groups at the site.
    """

    axes: AxisTable
    groups: dict[str, DeviceGroup]
    broken: set[str]
    is_lost: bool
    problems: list[Problem]
    room: Room
    site_names: Mapping[str, NamePattern] = field(default_factory=dict)

    def view(self) -> Blueprint:
        """Return the axes and groups as a blueprint without rules."""
        return Blueprint("", self.axes.axes, self.groups, (), site_names=self.site_names)

    def excuses(self, name: str) -> bool:
        """Return whether `name` may be unknown for a reason that is told elsewhere."""
        return self.is_lost or name in self.broken or name in self.axes.broken


def build_group(name: str, item: DeviceItem, origin: Origin, scope: Scope) -> DeviceGroup | None:
    """Return the device group `item`, or None with its problems noted."""
    part: Part | None = None
    is_sound = True
    if item.part is not None:
        try:
            part = find_part(item.part)
        except PartError as error:
            template = as_template(item.part)
            todo = f"{template} is a template: include: {template}" if template else ""
            scope.problems.append(origin.problem(str(error), key="part", todo=todo))
            is_sound = False
    for index, axis in enumerate(item.axes):
        if axis not in scope.axes:
            is_sound = False
            if not scope.excuses(axis):
                scope.problems.append(scope.axes.unknown(axis, origin, f"axes[{index}]"))
    if not is_sound:
        return None
    kind = cast(Kind, part.kind if part else item.kind)
    return DeviceGroup(
        name=name,
        kind=kind,
        part=part,
        axes=tuple(item.axes),
        primitives=(),
        transit=item.transit or DEFAULT_TRANSIT[kind],
        is_endpoint=kind == "gpu" if item.endpoint is None else item.endpoint,
        origin=origin,
    )


def placement_problem(group: DeviceGroup, primitives: tuple[str, ...], axes: AxisTable) -> Problem | None:
    """Return what is wrong with the axes that `group` stands on, if anything is."""
    doubled = [p for p in primitives if primitives.count(p) > 1]
    size = math.prod(axes.axes[p].size for p in primitives)
    if doubled:
        fault = f"axis {doubled[0]!r} twice in device {group.name!r}"
        return group.origin.problem(fault, key="axes", got=show_value(list(group.axes)))
    if size > MAX_COUNT:
        fault = f"{group.name} has too many devices"
        return group.origin.problem(fault, key="axes", got=str(size), expected="at most 2**53")
    if group.name in axes and group.axes[-1:] != (group.name,):
        fault = f"group {group.name!r} has the name of an axis that is not its last"
        got = show_value(list(group.axes))
        return group.origin.problem(fault, key="axes", got=got, todo="rename the group or the axis")
    return None


def build_rule(item: LinkItem, origin: Origin, scope: Scope) -> Rule | None:
    """Return the link rule `item`, or None with a problem noted."""
    try:
        return _RuleBuilder(item, origin, scope).rule()
    except WrongError as wrong:
        if wrong.problem is not None:
            scope.problems.append(wrong.problem)
        return None


class _RuleBuilder:
    """One rule on its way from a link item; every method raises `WrongError` at what is wrong."""

    def __init__(self, item: LinkItem, origin: Origin, scope: Scope) -> None:
        self._item, self._origin, self._scope = item, origin, scope
        self._view = scope.view()

    def rule(self) -> Rule:
        item = self._item
        left, right = self._side(0), self._side(1)
        # In this order: each step raises at what is wrong, and leans on what those before it have checked.
        groups = self._view.groups[cast(str, left.group)], self._view.groups[cast(str, right.group)]
        protocol = self._protocol()
        relation = self._relation(groups)
        self._check_apart(left, right, relation)
        rate = item.rate if item.rate is not None else cast(Protocol, protocol).rate_gbps
        count, count_axis = self._count(left, right, relation)
        return Rule(
            name=item.name or f"{left.group}-{right.group}",
            left=left,
            right=right,
            relation=relation,
            rate_gbps=rate,
            count=count,
            count_axis=count_axis,
            each=item.each,
            net=cast(Net, item.net or (protocol.net if protocol else "scale-out")),
            is_peer=item.peer or left.group == right.group,
            is_oneway=item.oneway,
            protocol=protocol.id if protocol else "",
            port_class=port_class(protocol, [g.part for g in groups if g.part], rate, self._origin),
            medium=self._medium(protocol),
            length_m=item.length,
            about=item.about or "",
            origin=self._origin,
        )

    def _fail(
        self, fault: str, key: str = "", *, got: str = "", expected: str = "", todo: str = ""
    ) -> NoReturn:
        raise WrongError(self._origin.problem(fault, key=key, got=got, expected=expected, todo=todo))

    def _side(self, index: int) -> Selector:
        text, key = self._item.between[index], f"between[{index}]"
        try:
            selector = parse_selector(text, self._view.axes, self._view.groups)
            if selector.group is None:
                todo = "end it with the name of a group"
                self._fail(f"side {quote(text)} must name one device group", key, todo=todo)
            check_match(self._view, selector)
        except UnknownNameError as error:
            if self._scope.excuses(error.name):
                raise WrongError(None) from error
            self._fail(str(error), key)
        except SelectorError as error:
            self._fail(str(error), key)
        return selector

    def _protocol(self) -> Protocol | None:
        if self._item.link is None:
            return None
        try:
            return find_protocol(self._item.link)
        except PartError as error:
            self._fail(str(error), "link")

    def _medium(self, protocol: Protocol | None) -> str:
        if self._item.medium is None:
            return protocol.medium if protocol else ""
        try:
            return find_medium(self._item.medium).id
        except PartError as error:
            self._fail(str(error), "medium")

    def _primitives(self, axis: str, key: str) -> tuple[str, ...]:
        if axis not in self._scope.axes:
            is_excused = self._scope.excuses(axis)
            raise WrongError(None if is_excused else self._scope.axes.unknown(axis, self._origin, key))
        return self._view.primitives(axis)

    def _relation(self, groups: Groups) -> Relation | None:
        item = self._item
        if item.wiring is not None:
            return self._wiring(item.wiring, groups)
        if item.mesh is not None:
            return Relation("mesh", (item.mesh,), self._size("mesh", [item.mesh], groups))
        if item.line is not None:
            return Relation("line", (item.line,), self._size("line", [item.line], groups))
        if item.ring is not None:
            size = self._size("ring", [item.ring], groups)
            return Relation("ring", (item.ring,), size, self._twist(item.ring, groups))
        return None

    def _size(self, key: str, axes: list[str], groups: Groups) -> int:
        """Return the number of indices that a relation runs over, its axes checked."""
        primitives = [p for a in axes for p in self._primitives(a, key)]
        if len(set(primitives)) < len(primitives):
            self._fail(f"axis twice in {key}", key, got=show_value(axes))
        for group in groups:
            gone = [a for a in axes if not set(self._view.primitives(a)) <= set(group.primitives)]
            if gone:
                fault = f"relation axis {gone[0]!r} is not on both sides"
                self._fail(f"{fault}: {group.name} is placed on {', '.join(group.axes) or 'no axis'}", key)
        return math.prod(self._view.axes[p].size for p in primitives)

    def _wiring(self, wiring: WiringItem, groups: Groups) -> Relation:
        item, size = self._item, self._size("wiring", wiring.along, groups)
        sizes = tuple(self._view.axes[a].size for a in wiring.along)
        parameters = {
            key: getattr(wiring, key) for key in sorted(wiring.model_fields_set - {"pattern", "along"})
        }
        try:
            pairs = wire(wiring.pattern, sizes, parameters)
            self._scope.room.n_pairs -= len(pairs)
            if self._scope.room.n_pairs < 0:
                refuse_many(MAX_PAIRS - self._scope.room.n_pairs)
            if not PATTERNS[wiring.pattern].is_graph:
                check_listed(pairs, is_same=groups[0] is groups[1], is_ordered=item.oneway)
            elif item.oneway or item.between[0] != item.between[1]:
                # Elsewhere both orders of a pair are one cable.
                pairs = np.concatenate([pairs, pairs[:, ::-1]])
        except MisfitError as misfit:
            words = {"got": misfit.got, "expected": misfit.expected, "todo": misfit.todo}
            self._fail(misfit.fault, "wiring", **words)
        said = ", ".join([wiring.pattern, *(f"{key} {value}" for key, value in parameters.items())])
        said = said if PATTERNS[wiring.pattern].is_graph else ""
        return Relation("pairs", tuple(wiring.along), size, pairs=pairs, said=said)

    def _twist(self, ring: str, groups: Groups) -> tuple[tuple[str, int], ...]:
        used = set(self._view.primitives(ring))
        twist = self._item.twist or {}
        for axis in twist:
            primitives = set(self._primitives(axis, "twist"))
            # A twist shifts an axis on which both sides would agree; ring and twists may not share one.
            if primitives & used or not all(primitives <= set(g.primitives) for g in groups):
                fault = f"twist axis {axis!r} need not agree on the two sides"
                todo = "twist an axis that both sides have, other than the ring and the other twists"
                self._fail(fault, "twist", todo=todo)
            used |= primitives
        return tuple(twist.items())

    def _check_apart(self, left: Selector, right: Selector, relation: Relation | None) -> None:
        """Check that a rule within one group says how its devices differ."""
        view, both = self._view, pinned_axes(self._view, left) & pinned_axes(self._view, right)
        for axis, _ in relation.twist if relation else ():
            if both & set(view.primitives(axis)):
                fault = f"twist axis {axis!r} need not agree on the two sides"
                self._fail(fault, "twist", todo="both sides pin it to one index")
        if relation is None and left.group == right.group:
            # Without a relation only pins can tell the sides apart: some axis pinned to two indices.
            digits = [_pins(view, side) for side in (left, right)]
            if all(digits[0][p] == digits[1][p] for p in both):
                fault = f"{left.group} on both sides needs a relation, or sides pinned apart"
                todo = f"add mesh, ring, line or wiring, or write such as [{_apart_example(view, left)}]"
                self._fail(fault, "between", todo=todo)

    def _count(
        self, left: Selector, right: Selector, relation: Relation | None
    ) -> tuple[int | tuple[int, ...], str]:
        count, view = self._item.count, self._view
        if isinstance(count, int):
            return count, ""
        [(axis, numbers)] = count.items()
        primitives = set(self._primitives(axis, "count"))
        ruled = [*relation.axes, *(a for a, _ in relation.twist)] if relation else []
        if primitives & {p for a in ruled for p in view.primitives(a)}:
            self._fail(f"count list on {axis!r}, an axis of the relation", "count")
        sides = [primitives <= set(view.groups[cast(str, s.group)].primitives) for s in (left, right)]
        if not any(sides):
            self._fail(f"count list on {axis!r}, an axis of neither side", "count")
        if all(sides) and primitives & pinned_axes(view, left) & pinned_axes(view, right):
            self._fail(f"count list on {axis!r}, which both sides pin", "count")
        if len(numbers) != view.axes[axis].size:
            fault = f"count list of the wrong length for {axis!r}"
            self._fail(fault, "count", got=str(len(numbers)), expected=str(view.axes[axis].size))
        return numbers, axis


def _pins(view: Blueprint, selector: Selector) -> dict[str, int]:
    """Return the index on each primitive axis that `selector` pins."""
    pins = {}
    for term in selector.terms:
        index = term.lo
        # The index in mixed radix, fastest axis first; a range pins nothing.
        for p in reversed(view.primitives(term.axis) if term.lo == term.hi else ()):
            index, pins[p] = divmod(index, view.axes[p].size)
    return pins


def _apart_example(view: Blueprint, side: Selector) -> str:
    group = view.groups[cast(str, side.group)]
    axis = group.axes[0] if group.axes else "axis"
    return f"{axis}0/{group.name}, {axis}1/{group.name}"


def read_absent(parsed: Parsed, scope: Scope) -> list[Selector]:
    """Return the selectors of ``absent`` of the file itself."""
    selectors: list[Selector] = []
    done: set[str] = set()
    for index, text in enumerate(parsed.file.absent if parsed.file else ()):
        if ("absent", index) not in parsed.broken and text not in done:
            done.add(text)
            selectors += _selectors((text,), parsed.origin("absent", index), scope, scope.view())
    return selectors


@dataclass(slots=True)
class Damaged:
    """What has failed or is degraded, by the words of a file.

    Parameters
    ----------
    devices : list of Selector
    cables : list of MarkedCables
        Those that have failed.
    slow : list of SlowCables
    opens : Origin or None
        An entry that names chips of boxes.
    """

    devices: list[Selector] = field(default_factory=list)
    cables: list[MarkedCables] = field(default_factory=list)
    slow: list[SlowCables] = field(default_factory=list)
    opens: Origin | None = None


def read_damaged(parsed: Parsed, scope: Scope) -> Damaged:
    """Return what ``failed`` and ``degraded`` of the file itself say."""
    found, closed = Damaged(), scope.view()
    done: set[str] = set()

    def read(texts: tuple[str, ...], origin: Origin) -> list[Selector]:
        """Return selectors as far as they can be read."""
        if not names_chips(closed, *texts):
            return _selectors(texts, origin, scope, closed)
        if why := refusal(closed):
            scope.problems.append(origin.problem(why))
            return []
        # A chip is a device of the opened form only.
        found.opens = origin
        return _selectors(texts, origin, scope, open_chips(closed))

    for index, entry in enumerate(parsed.file.failed if parsed.file else ()):
        if ("failed", index) in parsed.broken or entry in done:
            continue
        if isinstance(entry, str):
            done.add(entry)
        origin = parsed.origin("failed", index)
        ends = read((entry,) if isinstance(entry, str) else entry[:2], origin)
        if isinstance(entry, str):
            found.devices += ends
        elif len(ends) == 2:
            found.cables.append(MarkedCables(ends[0], ends[1], entry[2], origin))
    slower: set[tuple[object, ...]] = set()
    for index, (texts, n, slow) in enumerate(parsed.file.degraded if parsed.file else ()):
        # All cables are slow once; so many, and so many more.
        if ("degraded", index) not in parsed.broken and (n is not None or (texts, slow) not in slower):
            slower.add((texts, slow))
            origin = parsed.origin("degraded", index)
            ends = read(texts, origin)
            found.slow += [SlowCables(tuple(ends), n, slow, origin)] if len(ends) == len(texts) else []
    return found


def read_risks(parsed: Parsed, scope: Scope) -> list[Risk]:
    """Return what ``risk`` of the file itself says."""
    found, view = [], scope.view()
    for name, item in parsed.file.risk.items() if parsed.file else ():
        if ("risk", name) in parsed.broken:
            continue
        origin = parsed.origin("risk", name)
        unknown = [axis for axis in item.over if axis not in scope.axes]
        for axis in unknown:
            if not scope.excuses(axis):
                scope.problems.append(scope.axes.unknown(axis, origin, "over"))
        if not item.over and not item.down:
            todo = "give axes, such as [rack], or what is down"
            scope.problems.append(origin.problem("a risk of nothing", todo=todo))
        devices: list[Selector] = []
        cables: list[MarkedCables] = []
        for entry in item.down:
            texts = (entry,) if isinstance(entry, str) else entry[:2]
            ends = _selectors(texts, origin, scope, view)
            if isinstance(entry, str):
                devices += ends
            elif len(ends) == 2:
                cables.append(MarkedCables(ends[0], ends[1], entry[2], origin))
        if not unknown:
            found.append(Risk(name, tuple(item.over), tuple(devices), tuple(cables), origin))
    return found


def _selectors(texts: tuple[str, ...], origin: Origin, scope: Scope, view: Blueprint) -> list[Selector]:
    selectors = []
    for text in texts:
        is_excused = False
        try:
            selector = read_selector(view, text)
            # Without a group, what it means may be among the devices that were left out.
            is_excused = selector.group is None and bool(scope.is_lost or scope.broken)
            check_match(view, selector)
            selectors.append(selector)
        except SelectorError as error:
            if not is_excused and not (isinstance(error, UnknownNameError) and scope.excuses(error.name)):
                scope.problems.append(origin.problem(str(error)))
    return selectors


def check_match(view: Blueprint, selector: Selector) -> None:
    """Raise a `SelectorError` if `selector` matches no device."""
    groups = selected_groups(view, selector)
    primitives = [p for term in selector.terms for p in view.primitives(term.axis)]
    if len(set(primitives)) < len(primitives):
        # Terms that share a digit, as of a composed axis and its part, may exclude each other.
        grid = class_grid(view, (selector,))
        if not any(len(grid.rows(g, selector)) for g in groups):
            msg = f"selector {quote(selector.text)} matches nothing: its terms exclude each other"
            raise SelectorError(msg)
