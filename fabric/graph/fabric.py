"""The fabric: what `load` returns and every question is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint import load_blueprint, loads_blueprint
from fabric.blueprint.failures import failure_texts
from fabric.blueprint.join import class_grid
from fabric.blueprint.model import Blueprint
from fabric.blueprint.selector import parse_selector
from fabric.errors import LimitError, Problem, QuestionError, SelectorError, TopologyError, nearest
from fabric.graph.expanded import EXPAND_LIMIT, Expanded, matching
from fabric.graph.expanded import expand as expand_blueprint
from fabric.graph.forwarding import components, forwarding, reachable

# Moves looked at in all by the reachability check; a few seconds.
_REACH_BUDGET = 4_000_000_000


@dataclass(frozen=True, eq=False)
class Fabric:
    """A fabric: a blueprint, or arrays where it came from a graph.

    Parameters
    ----------
    name : str
    blueprint : Blueprint or None
        None for a fabric read from a graph.
    graph : Expanded or None
        None for a fabric read from a file; `expand` makes it.
    skipped : tuple of str
        Checks that were not run, and why.
    """

    name: str
    blueprint: Blueprint | None = None
    graph: Expanded | None = None
    skipped: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return a line that names the fabric and its size."""
        if self.blueprint is not None:
            groups = self.blueprint.groups
            sizes = ", ".join(f"{self.blueprint.n_devices(g):,} {g}" for g in groups)
            failed = ", ".join(failure_texts(self.blueprint))
            return f"<Fabric {self.name}: {sizes}{'; failed: ' if failed else ''}{failed}>"
        n = self.graph.n_devices if self.graph else 0
        return f"<Fabric {self.name}: {n:,} devices>"


def load(path: str | Path) -> Fabric:
    """Load and check a topology file.

    Parameters
    ----------
    path : str or Path
        A ``*.fabric.yaml`` file, or the same model as JSON.

    Returns
    -------
    Fabric
        Of any size; what only the expanded form can tell is checked up to its limit, see ``skipped``.

    Raises
    ------
    TopologyError
        With all problems at once, each with path, line and column.
    """
    return _checked(load_blueprint(path))


def loads(text: str, *, path: str = "<text>", base: str | Path = ".") -> Fabric:
    """Load and check a topology given as text; relative includes start at the folder `base`.

    Raises
    ------
    TopologyError
        As `load`.
    """
    return _checked(loads_blueprint(text, path=path, base=base))


def expand(fabric: Fabric, *, limit: int = EXPAND_LIMIT) -> Expanded:
    """Return every device and cable bundle of `fabric` as arrays.

    Raises
    ------
    LimitError
        If there are more than `limit`.
    """
    if fabric.graph is not None:
        return fabric.graph
    if fabric.blueprint is None:
        msg = "a Fabric has a blueprint or a graph"
        raise QuestionError(msg)
    return expand_blueprint(fabric.blueprint, limit=limit)


def select(fabric: Fabric, text: str, *, limit: int = EXPAND_LIMIT) -> Bools:
    """Return the devices that a selector means in a question, shape (n,).

    Parameters
    ----------
    fabric : Fabric
    text : str
        ``rack0/gpu``, ``gpu0-3``, or without a group, ``rack0``, for the endpoints there. A name of a device
        for a fabric that came from a graph.

    Raises
    ------
    SelectorError
        If it cannot be read or matches no device.
    """
    expanded = expand(fabric, limit=limit)
    if fabric.blueprint is None:
        return by_name(expanded, text)
    selector = parse_selector(text, fabric.blueprint.axes, fabric.blueprint.groups, needs_group=False)
    found = matching(fabric.blueprint, expanded, selector)
    if selector.group is None and not text.endswith("*"):
        found &= expanded.is_endpoint
    if not found.any():
        msg = f"selector {text!r} matches no device of {fabric.name}"
        raise SelectorError(msg)
    return found


def by_name(expanded: Expanded, text: object) -> Bools:
    """Return the one device of that name, or whose name reads so, shape (n,).

    Raises
    ------
    SelectorError
        If there is none, with the nearest names.
    """
    index = next((i for i, name in enumerate(expanded.names) if name == text or str(name) == text), None)
    if index is None:
        hint = nearest(str(text), [str(n) for n in islice(expanded.names, 10_000)])
        msg = f"no device {text!r} in {expanded.name}; {hint or 'a graph has no axes: name one of its nodes'}"
        raise SelectorError(msg)
    found = np.zeros(expanded.n_devices, dtype=np.bool_)
    found[index] = True
    return found


def _checked(blueprint: Blueprint) -> Fabric:
    """Check what only the expanded form can tell, up to its limit."""
    skipped = blueprint.skipped
    try:
        expanded = expand_blueprint(blueprint)
    except LimitError as error:
        return Fabric(blueprint.name, blueprint, skipped=(*skipped, f"islands and reachability: {error}"))
    nominal = _nominal(expanded)
    island = components(nominal.n_devices, nominal.tail, nominal.head)
    problem = _island_problem(blueprint, nominal, island)
    if problem is not None:
        raise TopologyError([problem])
    problems, more = _reach_problems(blueprint, nominal, island)
    if problems:
        raise TopologyError(problems)
    return Fabric(blueprint.name, blueprint, skipped=(*skipped, *more))


def _reach_problems(
    blueprint: Blueprint, nominal: Expanded, island: Ints
) -> tuple[list[Problem], tuple[str, ...]]:
    """Return the endpoints that cannot reach others of their group and island, and what was skipped."""
    endpoints = nominal.is_endpoint
    transits = {g.transit for g in nominal.groups if g.is_endpoint}
    if transits <= {"all"} and not any(r.is_oneway for r in nominal.rules):
        return [], ()
    moves = forwarding(nominal, endpoints, endpoints)
    try:
        sources = _representatives(blueprint, nominal)
    except LimitError as error:
        return [], (f"reachability: {error}",)
    if len(sources) * len(moves.tail) * 8 > _REACH_BUDGET:
        what = f"{len(sources):,} classes of endpoints on {len(moves.tail):,} moves are too many"
        return [], (f"reachability: {what}",)
    problems = []
    told: set[int] = set()
    for source in sources.tolist():
        group = int(nominal.group[source])
        if group in told:
            continue
        start = np.zeros(moves.n_states, dtype=np.bool_)
        start[moves.source[source]] = True
        seen = reachable(moves.n_states, moves.tail, moves.head, start)
        alike = endpoints & (nominal.group == group) & (island == island[source])
        alike[source] = False
        others = np.flatnonzero(alike)
        lost = others[~seen[moves.target[others]]]
        if len(lost):
            told.add(group)
            problems.append(_lost_problem(blueprint, nominal, source, lost))
    return problems, ()


def _lost_problem(blueprint: Blueprint, nominal: Expanded, source: int, lost: Ints) -> Problem:
    group = blueprint.groups[nominal.groups[int(nominal.group[source])].name]
    what = f"{nominal.names[source]} cannot reach {nominal.names[int(lost[0])]} under the path rules"
    got = f"{len(lost):,} {group.name} out of reach"
    todo = "check which side of each rule stands first (lower, upper), and the transit of the devices between"
    if group.origin.path == blueprint.path:
        return group.origin.problem(what, got=got, todo=todo)
    # A template is rarely at fault; point at where it is included.
    return blueprint.origin.problem(what, key="include", got=got, todo=todo)


def _nominal(expanded: Expanded) -> Expanded:
    """Return `expanded` without its failures."""
    if not expanded.failed.any() and not expanded.failed_count.any():
        return expanded
    fields = {name: getattr(expanded, name) for name in expanded.__dataclass_fields__}
    zeros = np.zeros_like(expanded.failed_count)
    return Expanded(**{**fields, "failed": np.zeros_like(expanded.failed), "failed_count": zeros})


def _island_problem(blueprint: Blueprint, nominal: Expanded, island: Ints) -> Problem | None:
    """Return that the endpoints are in more or fewer islands than the file says, if they are."""
    ends = np.flatnonzero(nominal.is_endpoint)
    labels, first = np.unique(island[ends], return_index=True)
    if len(labels) == blueprint.islands or not len(ends):
        return None
    some = ", ".join(str(nominal.names[int(ends[i])]) for i in first[:3])
    if len(labels) > blueprint.islands:
        what = "endpoints in more islands than the file says"
        todo = f"one endpoint of each: {some}; join them, or say islands: {len(labels)}"
    else:
        what = "endpoints in fewer islands than the file says"
        todo = f"say islands: {len(labels)}, or check what joins them"
    got, expected = str(len(labels)), str(blueprint.islands)
    return blueprint.origin.problem(what, key="islands", got=got, expected=expected, todo=todo)


def _representatives(blueprint: Blueprint, expanded: Expanded) -> Ints:
    """Return one endpoint of every class that no rule and no absent device tells apart."""
    grid = class_grid(blueprint)
    keep = expanded.is_endpoint.copy()
    for name, axis in blueprint.axes.items():
        if not axis.parts:
            index = expanded.coordinates[name]
            keep &= (index < 0) | np.isin(index, grid.reps[name])
    return np.flatnonzero(keep)
