"""Load a topology file and all that it includes into one `Blueprint`.

Every error of every file is collected and raised at once as a `TopologyError`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import NoReturn

from fabric.blueprint.axes import AxisTable
from fabric.blueprint.checks import check_cables, check_numbers
from fabric.blueprint.document import Document
from fabric.blueprint.elements import (
    Damaged,
    Scope,
    build_group,
    build_rule,
    placement_problem,
    read_absent,
    read_damaged,
    read_risks,
)
from fabric.blueprint.expectation import Named, read_expectation
from fabric.blueprint.limits import MAX_ELEMENTS, MAX_FILES, MAX_LEVELS, Problems, Room
from fabric.blueprint.model import (
    Axis,
    Blueprint,
    DeviceGroup,
    Expectation,
    MarkedCables,
    Origin,
    Risk,
    Rule,
    Selector,
    Term,
)
from fabric.blueprint.parse import Loc, Parsed, parse
from fabric.blueprint.planes import form_of, refusal, with_marks
from fabric.blueprint.reader import read_file, read_text
from fabric.blueprint.schema import IncludeItem
from fabric.blueprint.selector import quote
from fabric.blueprint.site_names import read_names, read_port_names
from fabric.blueprint.templates import as_template, other_template
from fabric.errors import LimitError, Problem, QuestionError, TopologyError
from fabric.text.patterns import NamePattern

_SUFFIXES = (".fabric.yaml", ".fabric.yml", ".fabric.json")


@dataclass(slots=True)
class _Fragment:
    """A file with its includes, before the primitive axes are final.

    Parameters
    ----------
    is_whole : bool
        False where a rule, or part of it, was left out.
    is_countable : bool
        False where axes or devices are not what was meant; no number then means anything.
    is_lost : bool
        True where names are missing that the files may well have.
    """

    axes: AxisTable = field(default_factory=AxisTable)
    groups: dict[str, DeviceGroup] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    absent: list[Selector] = field(default_factory=list)
    damaged: Damaged = field(default_factory=Damaged)
    risks: list[Risk] = field(default_factory=list)
    site_names: Mapping[str, NamePattern] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    is_whole: bool = True
    is_countable: bool = True
    is_lost: bool = False


@dataclass(slots=True)
class _LoadRun:
    """State of one load: problems, what may still be read, and the files so far with their hash."""

    problems: Problems = field(default_factory=Problems)
    room: Room = field(default_factory=Room)
    digest: list[str] = field(default_factory=list)
    n_files: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """One file: its text, the folder of its relative paths, and its identity after those of its includers."""

    document: Document
    base: Path
    stack: tuple[str, ...]


def load_blueprint(path: str | Path) -> Blueprint:
    """Load a topology file.

    Parameters
    ----------
    path : str or Path
        A ``*.fabric.yaml`` file, or the same model as JSON.

    Returns
    -------
    Blueprint

    Raises
    ------
    TopologyError
        With every problem of the file and of its includes, each at its line and column.
    """
    run = _LoadRun()
    return _finish(read_file(path, is_strict=False, room=run.room), Path(path).parent, run)


def loads_blueprint(text: str | bytes, *, path: str = "<text>", base: str | Path = ".") -> Blueprint:
    """Load a topology from `text`, bytes in UTF-8; relative includes start at the folder `base`.

    Raises
    ------
    TopologyError
        As `load_blueprint`.

    Examples
    --------
    >>> text = '''
    ... fabric: pair
    ... axes: {slot: 2}
    ... devices:
    ...   gpu: {kind: gpu, axes: [slot]}
    ...   leaf: {kind: switch, axes: []}
    ... links: [{between: [gpu, leaf], rate: 400Gb/s}]
    ... '''
    >>> loads_blueprint(text).n_devices("gpu")
    2
    """
    run = _LoadRun()
    return _finish(read_text(text, path, is_strict=False, room=run.room), Path(base), run)


def _finish(document: Document, base: Path, run: _LoadRun) -> Blueprint:
    fragment, parsed = _resolve(_Place(document, base, (_identity(document.path),)), run)
    if parsed.file is None:
        raise TopologyError(run.problems)
    origin = parsed.origin()
    blueprint = Blueprint(
        name=parsed.file.fabric,
        axes=dict(fragment.axes.axes),
        groups=fragment.groups,
        rules=tuple(fragment.rules),
        absent=tuple(fragment.absent),
        risks=tuple(fragment.risks),
        islands=parsed.file.islands,
        site_names=fragment.site_names,
        notes=tuple(fragment.notes),
        path=document.path,
        sha256=hashlib.sha256("".join(run.digest).encode()).hexdigest(),
        origin=origin,
    )
    port_names, problems = read_port_names(
        parsed.file.ports, lambda group: parsed.origin("ports", group), blueprint.groups
    )
    run.problems += problems
    blueprint = replace(blueprint, port_names=port_names)
    blueprint = replace(blueprint, expectations=_expected(parsed, blueprint, run.problems))
    if fragment.is_countable:
        blueprint = _count(_damaged(blueprint, fragment.damaged, run.problems), fragment, run.problems)
    if run.problems:
        raise TopologyError(run.problems)
    return blueprint


def _expected(parsed: Parsed, blueprint: Blueprint, problems: Problems) -> tuple[Expectation, ...]:
    """Return what the file expects of the fabric; what is wrong with a line is noted."""
    named = Named(blueprint, [rule.name for rule in blueprint.rules])
    expectations = []
    for index, text in enumerate(parsed.file.expect if parsed.file else ()):
        if ("expect", index) not in parsed.broken:
            line = read_expectation(text, parsed.origin("expect", index), named)
            if isinstance(line, Problem):
                problems.append(line)
            else:
                expectations.append(line)
    return tuple(expectations)


def _count(blueprint: Blueprint, fragment: _Fragment, problems: Problems) -> Blueprint:
    """Return `blueprint` with what could not be checked of it, after counting; what is wrong is noted."""
    skipped = []
    try:
        problems += check_numbers(blueprint.whole, is_whole=fragment.is_whole)
    except LimitError as error:
        skipped.append(f"each, ports and rates: {error}")
    whole = blueprint.whole.marked_cables
    if fragment.is_whole:
        opened = blueprint.marked_cables if blueprint.closed else ()
        of_chips = {id(c.origin) for c in opened} - {id(c.origin) for c in whole}
        chips = tuple(c for c in opened if id(c.origin) in of_chips)
        at_risk = tuple(c for risk in blueprint.risks for c in risk.cables)
        for form, cables in ((blueprint.whole, (*whole, *at_risk)), (blueprint, chips)):
            try:
                problems += check_cables(form, cables)
            except LimitError as error:
                skipped.append(f"failed and degraded cables: {error}")
    return replace(blueprint, skipped=(*blueprint.skipped, *skipped)) if skipped else blueprint


def _damaged(blueprint: Blueprint, damaged: Damaged, problems: Problems) -> Blueprint:
    """Return `blueprint` with what has failed or is degraded, its boxes opened where chips of them have."""
    why = refusal(blueprint) if damaged.opens else ""
    slow: list[MarkedCables] = []
    for one in damaged.slow if not why else ():
        marks = one.marks(form_of(blueprint, *one.ends))
        if isinstance(marks, str):
            problems.append(one.origin.problem(marks))
        else:
            slow += marks
    if not why:
        try:
            return with_marks(blueprint, tuple(damaged.devices), (*damaged.cables, *slow))
        except QuestionError as error:
            why = str(error)
    problems.append((damaged.opens or blueprint.origin).problem(why))
    return blueprint


def _resolve(place: _Place, run: _LoadRun) -> tuple[_Fragment, Parsed]:
    """Return the fragment of one file; what is wrong goes to ``run.problems``."""
    # Limits come first: no work is done for a file that is one too many.
    _charge(place.document, run)
    run.problems += place.document.problems
    parsed = parse(place.document, run.problems)
    fragment = _Fragment()
    if parsed.file is None:
        fragment.is_whole = fragment.is_countable = False
        fragment.is_lost = True
        return fragment, parsed
    _leave_out(fragment, parsed)
    # Any problem from here on, those of the includes too, means that counts would be wrong.
    before = len(run.problems)
    for index, item in enumerate(parsed.file.include):
        is_list = isinstance(place.document.data.get("include"), list)
        loc: Loc = ("include", index) if is_list else ("include",)
        if loc not in parsed.broken:
            _include(place, item, parsed.origin(*loc), fragment, run)
    for name, spec in parsed.file.axes.items():
        fragment.axes.declare(name, spec, parsed.origin("axes", name), run.problems)
    fragment.axes.settle(run.problems, is_lost=fragment.is_lost)
    fragment.is_countable = fragment.is_countable and len(run.problems) == before
    _add_groups(parsed, fragment, run)
    # What is marked may be called as it is at the site; an include keeps its names to itself.
    fragment.site_names, misnamed = read_names(
        parsed.file.names, lambda key: parsed.origin("names", key), fragment.axes.axes, fragment.groups
    )
    _add_rules(parsed, fragment, run)
    fragment.is_whole = fragment.is_whole and len(run.problems) == before
    run.problems += misnamed
    # No number but those of the failures themselves hangs on them.
    _add_damaged(read_damaged(parsed, _scope(fragment, run)), fragment)
    _add_risks(read_risks(parsed, _scope(fragment, run)), fragment, run.problems)
    if parsed.file.about:
        fragment.notes.append(f"{parsed.file.fabric}: {' '.join(parsed.file.about.split())}")
    return fragment, parsed


def _charge(document: Document, run: _LoadRun) -> None:
    """Count a file in; raise a `TopologyError` if the files of this load have too many elements."""
    run.digest.append(document.sha256)
    run.n_files += 1
    for section, most in MAX_ELEMENTS.items():
        elements = document.data.get(section)
        run.room.elements[section] -= len(elements) if isinstance(elements, dict | list) else 0
        if run.room.elements[section] < 0:
            mark = document.locate((section,), key=True)
            got = f"{most - run.room.elements[section]:,} with those of includes"
            expected = f"at most {most:,}"
            fault = f"too many entries of {section}"
            raise TopologyError([Problem(document.path, *mark, section, fault, got, expected)])


def _leave_out(fragment: _Fragment, parsed: Parsed) -> None:
    """Note what of the file could not be read, so that it is not missed again."""
    sections = {loc[0] for loc in parsed.broken if loc}
    fragment.is_whole = not sections & {"include", "axes", "devices", "links", "absent"}
    fragment.is_countable = not sections & {"include", "axes"}
    fragment.is_lost = "include" in sections or any(
        loc in parsed.broken for loc in (("axes",), ("devices",), ())
    )
    fragment.broken |= {str(loc[1]) for loc in parsed.broken if len(loc) > 1 and loc[0] == "devices"}
    fragment.axes.broken |= {str(loc[1]) for loc in parsed.broken if len(loc) > 1 and loc[0] == "axes"}


def _scope(fragment: _Fragment, run: _LoadRun) -> Scope:
    names = fragment.site_names
    return Scope(
        fragment.axes, fragment.groups, fragment.broken, fragment.is_lost, run.problems, run.room, names
    )


def _add_groups(parsed: Parsed, fragment: _Fragment, run: _LoadRun) -> None:
    """Add the devices of the file itself, then resolve the axes of all devices to primitive ones."""
    scope = _scope(fragment, run)
    for name, item in parsed.file.devices.items() if parsed.file else ():
        origin = parsed.origin("devices", name)
        if name in fragment.groups:
            first = fragment.groups[name].origin
            todo = f"it comes from {first.path}:{first.line}; rename one, or include with as: prefix"
            run.problems.append(origin.problem(f"duplicate name {name!r}", todo=todo))
            fragment.is_countable = False
            continue
        group = build_group(name, item, origin, scope)
        if group is None:
            fragment.broken.add(name)
        else:
            fragment.groups[name] = group
    _settle_groups(parsed, fragment, run.problems)


def _settle_groups(parsed: Parsed, fragment: _Fragment, problems: Problems) -> None:
    """Resolve the axes of all devices to primitive ones; a file may have split those of its includes."""
    reported: set[tuple[int, int]] = set()
    for name, group in list(fragment.groups.items()):
        primitives = tuple(p for a in group.axes for p in fragment.axes.primitives(a))
        origin = group.origin
        if parsed.file and origin.path != parsed.document.path:
            # What was sound in its own file is at odds with an axis declared here, or with `over`.
            axis = next((a for a in fragment.axes.below(group.axes) if a in parsed.file.axes), None)
            origin = parsed.origin("include") if axis is None else parsed.origin("axes", axis)
        problem = placement_problem(replace(group, origin=origin), primitives, fragment.axes)
        if problem is None:
            fragment.groups[name] = replace(group, primitives=primitives)
            continue
        if (problem.line, problem.col) not in reported:
            problems.append(problem)
        reported.add((problem.line, problem.col))
        fragment.is_countable = False
        fragment.broken.add(name)
        del fragment.groups[name]


def _add_rules(parsed: Parsed, fragment: _Fragment, run: _LoadRun) -> None:
    """Add the links and the absent devices of the file itself."""
    scope = _scope(fragment, run)
    origins = {r.name: r.origin for r in fragment.rules}
    for index, link in enumerate(parsed.file.links if parsed.file else ()):
        if ("links", index) in parsed.broken:
            continue
        origin = parsed.origin("links", index)
        rule = build_rule(link, origin, scope)
        if rule is None:
            fragment.is_whole = False
        elif rule.name in origins:
            first = origins[rule.name]
            todo = f"the first is at {first.path}:{first.line}; give this rule a name:"
            run.problems.append(origin.problem(f"duplicate name {rule.name!r}", key="name", todo=todo))
        else:
            origins[rule.name] = origin
            fragment.rules.append(rule)
    fragment.absent += read_absent(parsed, scope)


def _include(place: _Place, item: IncludeItem, origin: Origin, into: _Fragment, run: _LoadRun) -> None:
    """Add the fragment that `item` of the file at `place` names."""
    try:
        inner = _open(item.fabric, place, origin, run)
    except TopologyError as error:
        run.problems += error.problems
        into.is_lost = True
        return
    fragment, _ = _resolve(inner, run)
    if item.prefix:
        fragment = _rename(fragment, item.prefix)
    # Replicas: the devices of the include stand on the axes of `over` too, outermost.
    over = {axis: size for axis, size in item.over.items() if axis not in fragment.axes}
    for axis in item.over:
        if axis not in over:
            fault = f"over: {item.fabric} already has an axis {axis!r}"
            todo = "take another axis name, or include with as: prefix"
            run.problems.append(origin.problem(fault, key="over", todo=todo))
    for axis, size in over.items():
        into.axes.inherit(Axis(axis, size), origin, run.problems)
    identity = inner.stack[-1]
    template = identity.strip("<>") if identity.startswith("<") else ""
    fragment.groups = {
        n: replace(g, axes=(*over, *g.axes), template=template or g.template)
        for n, g in fragment.groups.items()
    }
    # Each replica has its own.
    fragment.risks = [replace(r, axes=(*over, *r.axes)) for r in fragment.risks]
    _merge(fragment, item.fabric, origin, into, run.problems)


def _merge(fragment: _Fragment, name: str, origin: Origin, into: _Fragment, problems: Problems) -> None:
    """Add the fragment of the include `name`, renamed and placed, to that of the file that has it."""
    into.is_lost = into.is_lost or fragment.is_lost
    into.broken |= fragment.broken
    into.axes.inherit_all(fragment.axes, origin, problems)
    todo = "give one of them as: prefix"
    devices = sorted(set(fragment.groups) & set(into.groups))
    if devices:
        got = ", ".join(devices[:3]) + (f" and {len(devices) - 3} more" if len(devices) > 3 else "")
        fault = f"{name} brings devices that another include has"
        problems.append(origin.problem(fault, got=got, todo=todo))
        into.is_lost = True
        return
    rules = sorted({r.name for r in fragment.rules} & {r.name for r in into.rules})
    if rules:
        fault = f"{name} brings a rule {rules[0]!r} that another include has"
        problems.append(origin.problem(fault, todo=todo))
    into.groups |= fragment.groups
    into.rules += fragment.rules
    into.absent += fragment.absent
    _add_damaged(fragment.damaged, into)
    _add_risks(fragment.risks, into, problems)
    into.notes += fragment.notes


def _add_damaged(damaged: Damaged, into: _Fragment) -> None:
    into.damaged.devices += damaged.devices
    into.damaged.cables += damaged.cables
    into.damaged.slow += damaged.slow
    into.damaged.opens = into.damaged.opens or damaged.opens


def _add_risks(risks: list[Risk], into: _Fragment, problems: Problems) -> None:
    for risk in risks:
        if any(risk.name == known.name for known in into.risks):
            todo = "rename one, or include with as: prefix"
            problems.append(risk.origin.problem(f"duplicate risk {risk.name!r}", todo=todo))
        else:
            into.risks.append(risk)


def _identity(path: str) -> str:
    return path if path.startswith("<") else str(Path(path).resolve())


def _open(reference: str, place: _Place, origin: Origin, run: _LoadRun) -> _Place:
    """Return the file that `reference` names in the file at `place`."""
    if "/" not in reference and not reference.endswith(_SUFFIXES):
        template = as_template(reference)
        if not template:
            _refuse(f"no template {quote(reference)}", origin, todo=other_template(reference))
        identity, base = f"<{template}>", place.base
    else:
        if Path(reference).is_absolute() or not reference.endswith(_SUFFIXES):
            expected = "a template or a relative path to a .fabric.yaml or .fabric.json file"
            _refuse(f"cannot include {quote(reference)}", origin, expected=expected)
        identity, base = str((place.base / reference).resolve()), (place.base / reference).parent
    # A file among its own includers is a cycle; the same file twice side by side is not.
    if identity in place.stack:
        chain = [Path(p).name for p in (*place.stack[place.stack.index(identity) :], identity)]
        _refuse("include cycle", origin, got=" includes ".join(chain))
    if run.n_files >= MAX_FILES:
        _refuse("too many includes", origin, expected=f"at most {MAX_FILES} files in all")
    if len(place.stack) >= MAX_LEVELS:
        _refuse("includes nested too deep", origin, expected=f"at most {MAX_LEVELS} files in a chain")
    if identity.startswith("<"):
        file = resources.files("fabric") / "templates" / f"{identity[1:-1]}{_SUFFIXES[0]}"
        return _Place(read_text(file.read_bytes(), identity, room=run.room), base, (*place.stack, identity))
    if not os.path.exists(place.base / reference):
        _refuse(f"cannot include {quote(reference)}: no such file", origin)
    document = read_file(place.base / reference, is_strict=False, room=run.room)
    return _Place(document, base, (*place.stack, identity))


def _refuse(fault: str, origin: Origin, *, got: str = "", expected: str = "", todo: str = "") -> NoReturn:
    raise TopologyError([origin.problem(fault, key="fabric", got=got, expected=expected, todo=todo)])


def _rename(fragment: _Fragment, prefix: str) -> _Fragment:
    """Return `fragment` with its devices, axes and rules called ``prefix.name``."""

    def new(name: str) -> str:
        return f"{prefix}.{name}" if name else name

    def selector(old: Selector) -> Selector:
        # The axis of the chips of boxes is of no file, so that it keeps its name.
        terms = tuple(Term(new(t.axis) if t.axis in fragment.axes else t.axis, t.lo, t.hi) for t in old.terms)
        return Selector(old.text, new(old.group) if old.group else None, terms)

    def rule(old: Rule) -> Rule:
        relation = old.relation and replace(
            old.relation,
            axes=tuple(map(new, old.relation.axes)),
            twist=tuple((new(a), k) for a, k in old.relation.twist),
        )
        return replace(
            old,
            name=new(old.name),
            left=selector(old.left),
            right=selector(old.right),
            relation=relation,
            count_axis=new(old.count_axis),
        )

    def cables(old: MarkedCables) -> MarkedCables:
        return replace(old, left=selector(old.left), right=selector(old.right), rule=new(old.rule))

    def risk(old: Risk) -> Risk:
        devices, between = tuple(map(selector, old.devices)), tuple(map(cables, old.cables))
        return replace(
            old, name=new(old.name), axes=tuple(map(new, old.axes)), devices=devices, cables=between
        )

    groups = {
        new(g.name): replace(
            g, name=new(g.name), axes=tuple(map(new, g.axes)), primitives=tuple(map(new, g.primitives))
        )
        for g in fragment.groups.values()
    }
    damaged = Damaged(
        [selector(s) for s in fragment.damaged.devices],
        [cables(c) for c in fragment.damaged.cables],
        [s._replace(ends=tuple(map(selector, s.ends))) for s in fragment.damaged.slow],
        fragment.damaged.opens,
    )
    return replace(
        fragment,
        axes=fragment.axes.rename(new),
        broken=set(map(new, fragment.broken)),
        groups=groups,
        rules=[rule(r) for r in fragment.rules],
        risks=[risk(r) for r in fragment.risks],
        absent=[selector(s) for s in fragment.absent],
        damaged=damaged,
    )
