"""Device groups, link rules and failures of one file, each checked where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fabric.blueprint.axes import AxisTable
from fabric.blueprint.model import (
    DEFAULT_TRANSIT,
    Blueprint,
    DeviceGroup,
    FailedCables,
    Kind,
    Net,
    Origin,
    Relation,
    Rule,
    Selector,
)
from fabric.blueprint.parse import Parsed
from fabric.blueprint.schema import DeviceItem, LinkItem
from fabric.blueprint.selector import parse_selector, pinned, selected_groups
from fabric.errors import PartError, Problem, SelectorError, nearest
from fabric.parts import Part, Protocol, find_medium, find_part, find_protocol
from fabric.units import MAX_COUNT, format_rate


class _Wrong(Exception):
    """One problem of a rule; the rule is left out and the others are still read."""

    def __init__(self, what: str, key: str = "", **words: str) -> None:
        super().__init__(what)
        self.what, self.key, self.words = what, key, words


@dataclass(slots=True)
class Scope:
    """What an element may refer to: axes, groups so far, names that are broken, and the list of problems."""

    axes: AxisTable
    groups: dict[str, DeviceGroup]
    broken: set[str]
    problems: list[Problem]

    def view(self) -> Blueprint:
        """Return the axes and groups as a blueprint without rules."""
        return Blueprint("", self.axes.axes, self.groups, ())


def build_group(name: str, item: DeviceItem, origin: Origin, scope: Scope) -> DeviceGroup | None:
    """Return the device group `item`, or None with a problem noted."""
    part: Part | None = None
    if item.part is not None:
        try:
            part = find_part(item.part)
        except PartError as error:
            scope.problems.append(origin.problem(f"unknown part: {error}", key="part"))
            return None
    unknown = [a for a in item.axes if a not in scope.axes]
    if unknown:
        if not scope.axes.broken.issuperset(unknown):
            hint = nearest(unknown[0], scope.axes) or f"axes are {', '.join(scope.axes) or 'none'}"
            scope.problems.append(origin.problem(f"unknown axis {unknown[0]!r}", key="axes", todo=hint))
        return None
    kind = cast(Kind, part.kind if part else item.kind)
    is_endpoint = kind == "gpu" if item.endpoint is None else item.endpoint
    return DeviceGroup(name, kind, part, tuple(item.axes), (), item.transit or DEFAULT_TRANSIT[kind], is_endpoint, origin)


def check_placement(
    group: DeviceGroup, primitives: tuple[str, ...], axes: AxisTable, problems: list[Problem]
) -> bool:
    """Return whether `group` stands well on its axes; what is wrong is noted."""
    doubled = [p for p in primitives if primitives.count(p) > 1]
    size = math.prod(axes.axes[p].size for p in primitives)
    if doubled:
        what = f"axis {doubled[0]!r} twice in device {group.name!r}"
        problems.append(group.origin.problem(what, key="axes", got=f"[{', '.join(group.axes)}]"))
    elif size > MAX_COUNT:
        what = f"{group.name} has too many devices"
        problems.append(group.origin.problem(what, key="axes", got=str(size), expected="at most 2**53"))
    elif group.name in axes and group.axes[-1:] != (group.name,):
        what = f"group {group.name!r} has the name of an axis that is not its last"
        problems.append(group.origin.problem(what, key="axes", todo="rename the group or the axis"))
    else:
        return True
    return False


def build_rule(item: LinkItem, origin: Origin, scope: Scope) -> Rule | None:
    """Return the link rule `item`, or None with a problem noted."""
    try:
        return _rule(item, origin, scope)
    except _Wrong as wrong:
        if wrong.what:
            scope.problems.append(origin.problem(wrong.what, key=wrong.key, **wrong.words))
    except SelectorError as error:
        scope.problems.append(origin.problem(str(error), key="between"))
    return None


def _rule(item: LinkItem, origin: Origin, scope: Scope) -> Rule:
    view = scope.view()
    left, right = (_side(text, scope) for text in item.between)
    groups = view.groups[cast(str, left.group)], view.groups[cast(str, right.group)]
    protocol = _protocol(item)
    relation = _relation(item, groups, scope)
    _check_apart(left, right, relation, view)
    rate = item.rate if item.rate is not None else cast(Protocol, protocol).rate_gbps
    count, count_axis = _count(item, left, right, relation, view)
    medium = item.medium or (protocol.medium if protocol else "")
    if item.medium:
        try:
            find_medium(item.medium)
        except PartError as error:
            raise _Wrong(str(error), "medium") from error
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
        port_class=_port_class(protocol, groups, rate),
        medium=medium or "",
        length_m=item.length,
        about=item.about or "",
        origin=origin,
    )


def _side(text: str, scope: Scope) -> Selector:
    # A side that names a group which is itself broken is not a second problem.
    if any(text.split("/")[-1].startswith(name) for name in scope.broken) and scope.broken:
        try:
            parse_selector(text, scope.axes.axes, scope.groups)
        except SelectorError as error:
            raise _Wrong("") from error
    selector = parse_selector(text, scope.axes.axes, scope.groups)
    if selector.group is None:
        raise _Wrong(f"side {text!r} must name one device group", "between")
    selected_groups(scope.view(), selector)
    return selector


def _protocol(item: LinkItem) -> Protocol | None:
    if item.link is None:
        return None
    try:
        return find_protocol(item.link)
    except PartError as error:
        raise _Wrong(str(error), "link") from error


def _primitives(axis: str, key: str, scope: Scope) -> tuple[str, ...]:
    if axis not in scope.axes:
        if axis in scope.axes.broken:
            raise _Wrong("")
        hint = nearest(axis, scope.axes) or f"axes are {', '.join(scope.axes) or 'none'}"
        raise _Wrong(f"unknown axis {axis!r}", key, todo=hint)
    return scope.axes.primitives(axis)


def _relation(item: LinkItem, groups: tuple[DeviceGroup, DeviceGroup], scope: Scope) -> Relation | None:
    kind = next((k for k in ("mesh", "ring", "line", "wiring") if getattr(item, k) is not None), None)
    if kind is None:
        return None
    axes = item.wiring.along if item.wiring else [getattr(item, kind)]
    primitives = [p for a in axes for p in _primitives(a, kind, scope)]
    if len(set(primitives)) < len(primitives):
        raise _Wrong(f"axis twice in {kind}", kind)
    for group in groups:
        missing = set(primitives) - set(group.primitives)
        if missing:
            what = f"relation axis {'/'.join(axes)!r} is not on both sides"
            raise _Wrong(what, kind, got=f"{group.name} is placed on {', '.join(group.axes) or 'no axis'}")
    size = math.prod(scope.axes.axes[p].size for p in primitives)
    if item.wiring:
        if item.wiring.pattern != "pairs":
            raise _Wrong("unknown pattern", kind, got=repr(item.wiring.pattern), expected="pairs")
        sizes = [scope.axes.axes[a].size for a in axes]
        return Relation("pairs", tuple(axes), size, pairs=_pairs(item.wiring.pairs, sizes, groups[0] is groups[1]))
    return Relation(cast(Any, kind), tuple(axes), size, _twist(item, set(primitives), groups, scope))


def _pairs(pairs: list[Any] | None, sizes: list[int], is_same_group: bool) -> tuple[tuple[int, int], ...]:
    if not pairs:
        raise _Wrong("pattern pairs needs pairs: a list of [left index, right index]", "wiring")
    flat: list[tuple[int, int]] = []
    for number, pair in enumerate(pairs):
        if len(pair) != 2:
            raise _Wrong(f"pairs[{number}] is not [left index, right index]", "wiring", got=str(pair)[:60])
        i, j = (_flat_index(index, sizes, number) for index in pair)
        if is_same_group and i == j:
            raise _Wrong(f"pairs[{number}] joins a device with itself", "wiring", got=str(pair)[:60])
        flat.append((i, j))
    seen = {tuple(sorted(p)) if is_same_group else p for p in flat}
    if len(seen) < len(flat):
        raise _Wrong("a pair is listed twice", "wiring", todo="use count for parallel cables")
    return tuple(flat)


def _flat_index(index: int | list[int], sizes: list[int], number: int) -> int:
    digits = index if isinstance(index, list) else [index]
    if len(digits) != len(sizes):
        raise _Wrong(f"pairs[{number}]: one index per axis of along", "wiring", got=str(index)[:60])
    flat = 0
    for digit, size in zip(digits, sizes, strict=True):
        if isinstance(digit, bool) or not 0 <= digit < size:
            raise _Wrong(f"pairs[{number}]: index out of range", "wiring", got=str(index)[:60], expected=f"0-{size - 1}")
        flat = flat * size + digit
    return flat


def _twist(
    item: LinkItem, relation: set[str], groups: tuple[DeviceGroup, DeviceGroup], scope: Scope
) -> tuple[tuple[str, int], ...]:
    twist: Mapping[str, int] = item.twist or {}
    for axis in twist:
        primitives = _primitives(axis, "twist", scope)
        agrees = all(set(primitives) <= set(g.primitives) for g in groups) and not relation & set(primitives)
        if not agrees:
            raise _Wrong(f"twist axis {axis!r} need not agree on the two sides", "twist")
        if len(primitives) > 1:
            raise _Wrong(f"twist axis {axis!r} is composed", "twist", todo="twist its parts")
    return tuple((_primitives(a, "twist", scope)[0], k) for a, k in twist.items())


def _check_apart(left: Selector, right: Selector, relation: Relation | None, view: Blueprint) -> None:
    both = pinned(view, left) & pinned(view, right)
    if relation:
        axes = {p for a in relation.axes for p in view.primitives(a)} | {a for a, _ in relation.twist}
        if axes & both:
            raise _Wrong(f"both sides pin {min(axes & both)!r}, an axis of the relation", "between")
        return
    if left.group == right.group:
        apart = any(_index(view, left, p) != _index(view, right, p) for p in both)
        if not apart:
            what = f"{left.group} on both sides needs a relation (mesh, ring, line, wiring), or sides pinned apart"
            raise _Wrong(what, "between")


def _index(view: Blueprint, selector: Selector, primitive: str) -> int:
    """Return the index that `selector` pins `primitive` to."""
    for term in selector.terms:
        digits, rest = {}, term.lo
        for p in reversed(view.primitives(term.axis)):
            rest, digits[p] = divmod(rest, view.axes[p].size)
        if primitive in digits and term.lo == term.hi:
            return digits[primitive]
    msg = f"{selector.text} does not pin {primitive}"
    raise AssertionError(msg)


def _count(
    item: LinkItem, left: Selector, right: Selector, relation: Relation | None, view: Blueprint
) -> tuple[int | tuple[int, ...], str]:
    if isinstance(item.count, int):
        return item.count, ""
    [(axis, numbers)] = item.count.items()
    if axis not in view.axes:
        hint = nearest(axis, view.axes) or f"axes are {', '.join(view.axes) or 'none'}"
        raise _Wrong(f"unknown axis {axis!r}", "count", todo=hint)
    own = set(view.primitives(axis))
    if relation and own & ({p for a in relation.axes for p in view.primitives(a)} | {a for a, _ in relation.twist}):
        raise _Wrong(f"count list on {axis!r}, an axis of the relation", "count")
    sides = [own <= set(view.groups[cast(str, s.group)].primitives) for s in (left, right)]
    if not any(sides):
        raise _Wrong(f"count list on {axis!r}, an axis of neither side", "count")
    if all(sides) and own & pinned(view, left) & pinned(view, right):
        raise _Wrong(f"count list on {axis!r}, which both sides pin", "count")
    if len(numbers) != view.axes[axis].size:
        what = f"count list of the wrong length for {axis!r}"
        raise _Wrong(what, "count", got=str(len(numbers)), expected=str(view.axes[axis].size))
    return numbers, axis


def _port_class(protocol: Protocol | None, groups: tuple[DeviceGroup, DeviceGroup], rate: float) -> str:
    parts = [g.part for g in groups if g.part is not None]
    if not parts:
        return protocol.port_class if protocol else ""
    owned = [{c.name for c in p.ports} for p in parts]
    if protocol:
        name = protocol.port_class
        lacking = [p for p, names in zip(parts, owned, strict=True) if name not in names]
        if lacking:
            classes = ", ".join(c.name for c in lacking[0].ports) or "none"
            what = f"unclear port class: {lacking[0].id} has no {name} port for {protocol.id}"
            raise _Wrong(what, "link", todo=f"its port classes are {classes}")
    else:
        shared = set.intersection(*owned)
        if len(shared) != 1:
            got = " and ".join(f"{p.id} has {', '.join(sorted(n)) or 'none'}" for p, n in zip(parts, owned, strict=True))
            what = "unclear port class: the parts share none" if not shared else "unclear port class"
            raise _Wrong(what, "between", got=got, todo="name the protocol with link:")
        name = shared.pop()
    for part in parts:
        port = next(c for c in part.ports if c.name == name)
        if rate > port.rate_gbps * (1 + 1e-9):
            what = f"cable faster than the {name} port of {part.id}"
            raise _Wrong(what, "rate", got=format_rate(rate), expected=f"at most {format_rate(port.rate_gbps)}")
    return name


def add_failures(
    parsed: Parsed,
    scope: Scope,
    absent: list[Selector],
    failed: list[Selector],
    cables: list[FailedCables],
) -> None:
    """Read ``absent`` and ``failed`` of the file into the three lists."""
    file = parsed.file
    if file is None:
        return
    for index, text in enumerate(file.absent):
        if ("absent", index) not in parsed.broken:
            absent += _selectors([text], parsed.origin("absent", index), scope)
    for index, entry in enumerate(file.failed):
        if ("failed", index) in parsed.broken:
            continue
        origin = parsed.origin("failed", index)
        if isinstance(entry, str):
            failed += _selectors([entry], origin, scope)
        else:
            both = _selectors(entry[:2], origin, scope)
            if len(both) == 2:
                cables.append(FailedCables(both[0], both[1], entry[2], origin))


def _selectors(texts: list[str] | tuple[str, str], origin: Origin, scope: Scope) -> list[Selector]:
    found = []
    for text in texts:
        try:
            selector = parse_selector(text, scope.axes.axes, scope.groups)
            selected_groups(scope.view(), selector)
        except SelectorError as error:
            if not any(text.split("/")[-1].startswith(name) for name in scope.broken):
                scope.problems.append(origin.problem(str(error)))
        else:
            found.append(selector)
    return found
