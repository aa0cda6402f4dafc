"""Load a topology file and all that it includes into one `Blueprint`.

Every error of every file is collected and raised at once as a `TopologyError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from fabric.blueprint.axes import AxisTable
from fabric.blueprint.checks import check_numbers
from fabric.blueprint.elements import Scope, add_failures, build_group, build_rule, check_placement
from fabric.blueprint.model import Axis, Blueprint, DeviceGroup, FailedCables, Rule, Selector, Term
from fabric.blueprint.parse import Parsed, parse
from fabric.blueprint.reader import Document, read_file, read_text
from fabric.errors import Problem, TopologyError, nearest

_SUFFIXES = (".fabric.yaml", ".fabric.yml", ".fabric.json")
_MAX_INCLUDES = 64


@dataclass(slots=True)
class _Fragment:
    """A file with its includes, before the primitive axes are final."""

    axes: AxisTable = field(default_factory=AxisTable)
    groups: dict[str, DeviceGroup] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    absent: list[Selector] = field(default_factory=list)
    failed: list[Selector] = field(default_factory=list)
    failed_cables: list[FailedCables] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_whole: bool = True


@dataclass(slots=True)
class _Run:
    """State of one load: the problems found, the hash, and the files read so far."""

    problems: list[Problem] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)
    n_files: int = 0


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
    return _finish(read_file(path), Path(path).parent)


def loads_blueprint(text: str, *, path: str = "<text>", base: str | Path = ".") -> Blueprint:
    """Load a topology from `text`; relative includes start at the folder `base`.

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
    return _finish(read_text(text, path), Path(base))


def template_names() -> tuple[str, ...]:
    """Return the names of the rack and server templates that a file may include.

    Examples
    --------
    >>> "gb300-nvl72" in template_names()
    True
    """
    folder = resources.files("fabric") / "templates"
    return tuple(sorted(f.name.removesuffix(_SUFFIXES[0]) for f in folder.iterdir() if f.name.endswith(_SUFFIXES[0])))


def _finish(document: Document, base: Path) -> Blueprint:
    run = _Run()
    fragment, parsed = _resolve(document, base, (), run)
    blueprint = None
    if parsed is not None and parsed.file is not None:
        blueprint = Blueprint(
            parsed.file.fabric,
            fragment.axes.final(),
            fragment.groups,
            tuple(fragment.rules),
            tuple(fragment.absent),
            tuple(fragment.failed),
            tuple(fragment.failed_cables),
            parsed.file.islands,
            tuple(fragment.notes),
            document.path,
            hashlib.sha256("".join(run.digest).encode()).hexdigest(),
        )
        run.problems += check_numbers(blueprint, is_whole=fragment.is_whole and not run.problems)
    if run.problems or blueprint is None:
        raise TopologyError(run.problems)
    return blueprint


def _resolve(document: Document, base: Path, stack: tuple[str, ...], run: _Run) -> tuple[_Fragment, Parsed | None]:
    """Return the fragment of one file; what is wrong goes to ``run.problems``."""
    run.digest.append(document.sha256)
    run.n_files += 1
    before = len(run.problems)
    parsed = parse(document, run.problems)
    if parsed.file is None:
        return _Fragment(is_whole=False), None
    fragment = _Fragment()
    for index, item in enumerate(parsed.file.include):
        loc = ("include", index) if isinstance(_raw(document, "include"), list) else ("include",)
        if loc not in parsed.broken:
            _include(parsed, loc, item.fabric, item.over, item.prefix, base, stack, fragment, run)
    for name, spec in parsed.file.axes.items():
        fragment.axes.declare(name, spec, parsed.origin("axes", name), run.problems)
    fragment.axes.settle(run.problems)
    fragment.is_whole = fragment.is_whole and len(run.problems) == before
    _add_own(parsed, fragment, run.problems)
    fragment.is_whole = fragment.is_whole and len(run.problems) == before
    if parsed.file.about:
        fragment.notes.append(f"{parsed.file.fabric}: {' '.join(parsed.file.about.split())}")
    return fragment, parsed


def _raw(document: Document, key: str) -> object:
    return document.data.get(key) if isinstance(document.data, Mapping) else None


def _add_own(parsed: Parsed, fragment: _Fragment, problems: list[Problem]) -> None:
    """Add the devices, links and failures of the file itself, then settle primitive axes."""
    file = parsed.file
    if file is None:
        return
    broken_groups = {str(loc[1]) for loc in parsed.broken if len(loc) > 1 and loc[0] == "devices"}
    scope = Scope(fragment.axes, fragment.groups, broken_groups, problems)
    for name, item in file.devices.items():
        origin = parsed.origin("devices", name)
        if name in fragment.groups:
            first = fragment.groups[name].origin
            todo = f"it comes from {first.path}:{first.line}; rename one, or include with as: prefix"
            problems.append(origin.problem(f"duplicate name {name!r}", todo=todo))
            continue
        group = build_group(name, item, origin, scope)
        if group is None:
            broken_groups.add(name)
        else:
            fragment.groups[name] = group
    _settle_groups(fragment, broken_groups, problems)
    taken = {r.name: r.origin for r in fragment.rules}
    for index, link in enumerate(file.links):
        if ("links", index) in parsed.broken:
            continue
        origin = parsed.origin("links", index)
        rule = build_rule(link, origin, scope)
        if rule is None:
            fragment.is_whole = False
            continue
        if rule.name in taken:
            first = taken[rule.name]
            todo = f"the first is at {first.path}:{first.line}; give this rule a name:"
            problems.append(origin.problem(f"duplicate name {rule.name!r}", todo=todo))
            continue
        taken[rule.name] = origin
        fragment.rules.append(rule)
    add_failures(parsed, scope, fragment.absent, fragment.failed, fragment.failed_cables)


def _settle_groups(fragment: _Fragment, broken: set[str], problems: list[Problem]) -> None:
    """Resolve every group's axes to primitive ones, which an including file may have split."""
    for name, group in list(fragment.groups.items()):
        primitives = tuple(p for a in group.axes for p in fragment.axes.primitives(a))
        if check_placement(group, primitives, fragment.axes, problems):
            fragment.groups[name] = replace(group, primitives=primitives)
        else:
            broken.add(name)
            del fragment.groups[name]


def _include(
    parsed: Parsed,
    loc: tuple[str | int, ...],
    reference: str,
    over: Mapping[str, int],
    prefix: str | None,
    base: Path,
    stack: tuple[str, ...],
    into: _Fragment,
    run: _Run,
) -> None:
    origin = parsed.origin(*loc)
    stack = stack or (_identity(parsed.document.path),)
    try:
        document, folder = _open(reference, base)
        identity = _identity(document.path)
        if identity in stack:
            raise _IncludeError(f"include cycle: {reference} includes itself")  # noqa: EM102, TRY301
        if run.n_files >= _MAX_INCLUDES:
            raise _IncludeError(f"more than {_MAX_INCLUDES} files included")  # noqa: EM102, TRY301
    except _IncludeError as error:
        run.problems.append(origin.problem(str(error), key="fabric"))
        into.is_whole = False
        return
    except TopologyError as error:
        run.problems += error.problems
        into.is_whole = False
        return
    fragment, _ = _resolve(document, folder, (*stack, identity), run)
    if prefix:
        fragment = _renamed(fragment, prefix)
    for axis in over:
        if axis in fragment.axes:
            what = f"over: {reference} already has an axis {axis!r}"
            run.problems.append(origin.problem(what, key="over", todo="take another axis name, or include with as: prefix"))
            into.is_whole = False
            return
    into.is_whole = into.is_whole and fragment.is_whole
    for axis, size in over.items():
        into.axes.inherit(Axis(axis, size), origin, run.problems)
    into.axes.inherit_all(fragment.axes, origin, run.problems)
    for name, group in fragment.groups.items():
        if name in into.groups:
            what = f"device {name!r} comes from two includes"
            run.problems.append(origin.problem(what, todo="give one of them as: prefix"))
            into.is_whole = False
            return
        into.groups[name] = replace(group, axes=(*over, *group.axes))
    into.rules += fragment.rules
    into.absent += fragment.absent
    into.failed += fragment.failed
    into.failed_cables += fragment.failed_cables
    into.notes += fragment.notes


def _identity(path: str) -> str:
    return path if path.startswith("<") else str(Path(path).resolve())


class _IncludeError(Exception):
    """An include that cannot be followed; becomes a problem at its place."""


def _open(reference: str, base: Path) -> tuple[Document, Path]:
    """Return the document that `reference` names, and the folder of its own includes."""
    if "/" not in reference and not reference.endswith(_SUFFIXES):
        if reference not in template_names():
            hint = nearest(reference, template_names()) or f"templates are {', '.join(template_names())}"
            msg = f"no template {reference!r}; {hint}; a file of your own is named by its path, such as ./a.fabric.yaml"
            raise _IncludeError(msg)
        text = (resources.files("fabric") / "templates" / f"{reference}{_SUFFIXES[0]}").read_text("utf-8")
        return read_text(text, f"<{reference}>"), base
    full = base / reference
    if Path(reference).is_absolute() or not reference.endswith(_SUFFIXES):
        msg = f"an include is a template or a relative path to a {_SUFFIXES[0]} or {_SUFFIXES[2]} file; got {reference!r}"
        raise _IncludeError(msg)
    if not full.exists():
        msg = f"cannot include {reference!r}: no such file"
        raise _IncludeError(msg)
    return read_file(full), full.parent


def _renamed(fragment: _Fragment, prefix: str) -> _Fragment:
    """Return `fragment` with its devices, axes and rules called ``prefix.name``."""

    def new(name: str) -> str:
        return f"{prefix}.{name}" if name else name

    def selector(old: Selector) -> Selector:
        terms = tuple(Term(new(t.axis), t.lo, t.hi) for t in old.terms)
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

    groups = {
        new(g.name): replace(
            g, name=new(g.name), axes=tuple(map(new, g.axes)), primitives=tuple(map(new, g.primitives))
        )
        for g in fragment.groups.values()
    }
    cables = [replace(c, left=selector(c.left), right=selector(c.right)) for c in fragment.failed_cables]
    return replace(
        fragment,
        axes=fragment.axes.renamed(new),
        groups=groups,
        rules=[rule(r) for r in fragment.rules],
        absent=[selector(s) for s in fragment.absent],
        failed=[selector(s) for s in fragment.failed],
        failed_cables=cables,
    )
