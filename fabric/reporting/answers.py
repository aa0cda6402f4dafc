"""The questions that a report asks of a fabric, chosen from its axes, and their answers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools
from fabric.blueprint import Axis, Blueprint, DeviceGroup
from fabric.blueprint.selector import range_word
from fabric.costing import Cost, cost
from fabric.errors import FabricError, LimitError, QuestionError
from fabric.flow import MaxFlow, max_flow
from fabric.flow.throughput import Throughput, throughput
from fabric.graph import Expanded, Fabric, expand
from fabric.job.question import JobQuestion
from fabric.job.split import split_axes
from fabric.text.markdown import escape
from fabric.units import parse_bytes

Progress = Callable[[int, int], None]

SIZES = ("1MiB", "4MiB", "16MiB", "64MiB", "256MiB", "1GiB", "4GiB", "16GiB")
REFERENCE = "1GiB"
REPORTED = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")


@dataclass(frozen=True, slots=True)
class FlowQuestion:
    """A maximum flow: what it tells, and its two sides as selectors."""

    what: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A question without an answer: its section (flows, throughput, collectives), what it is, and why."""

    section: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class GroupCost:
    """An all-reduce of `REFERENCE` within groups: what they are, the axes that one spans, and its cost."""

    what: str
    over: tuple[str, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class JobAnswers:
    """What the endpoints of one group do among themselves.

    Parameters
    ----------
    among : str
        The group; empty where all endpoints are of one.
    costs : mapping of str to tuple of Cost
        By collective, one for each of `SIZES`.
    spread : Throughput or None
        The best rate of uniform all-to-all.
    groups : tuple of GroupCost
        The all-reduce of all of them, and those along the axes outside and inside a scale-up domain.
    """

    among: str
    costs: Mapping[str, tuple[Cost, ...]]
    spread: Throughput | None = None
    groups: tuple[GroupCost, ...] = ()

    def at_reference(self, collective: str) -> Cost | None:
        """Return the cost at `REFERENCE`, if there is one."""
        size = parse_bytes(REFERENCE)
        return next((c for c in self.costs.get(collective, ()) if c.size_bytes == size), None)


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that a report needs solvers for.

    Parameters
    ----------
    flows : tuple of (FlowQuestion, MaxFlow)
    jobs : tuple of JobAnswers
        One for each group of endpoints.
    missing : tuple of Missing
    """

    flows: tuple[tuple[FlowQuestion, MaxFlow], ...]
    jobs: tuple[JobAnswers, ...]
    missing: tuple[Missing, ...]

    def say_missing(self, section: str) -> str:
        """Say which questions of a section have no answer, and why."""
        left_out = [m for m in self.missing if m.section == section]
        return "\n\n".join(
            f"Missing here: {escape(m.what)}, because {escape(m.why.rstrip('.'))}." for m in left_out
        )


def ask(fabric: Fabric, progress: Progress) -> Answers:
    """Answer all questions of a report; one that the fabric cannot answer is noted, with the reason.

    Parameters
    ----------
    fabric : Fabric
    progress : callable
        Given the steps done and all steps, after each.

    Returns
    -------
    Answers
    """
    missing: list[Missing] = []
    flows: list[tuple[FlowQuestion, MaxFlow]] = []
    try:
        flow_questions = questions(fabric)
    except FabricError as error:
        why = str(error)
        return Answers(
            (), (), (Missing("flows", "max-flow", why), Missing("collectives", "collectives", why))
        )
    jobs = _jobs(fabric)
    steps = len(flow_questions) + len(jobs) * (len(REPORTED) + 1)
    counter = itertools.count()
    for question in flow_questions:
        progress(next(counter), steps)
        try:
            flows.append((question, max_flow(fabric, question.source, question.target)))
        except FabricError as error:
            missing.append(Missing("flows", f"max-flow {question.source} to {question.target}", str(error)))
    answered = tuple(_job(fabric, among, missing, lambda: progress(next(counter), steps)) for among in jobs)
    progress(steps, steps)
    return Answers(tuple(flows), answered, tuple(missing))


def _jobs(fabric: Fabric) -> list[str]:
    """Return the groups of endpoints with at least two places, or all endpoints as they are."""
    blueprint = fabric.axes_or_refuse("a report")
    groups = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    # One device has nobody of its kind to send to.
    several = [name for name in groups if blueprint.n_devices(name) > 1]
    return several if len(groups) > 1 else [""]


def _job(fabric: Fabric, among: str, missing: list[Missing], tick: Callable[[], None]) -> JobAnswers:
    """Answer what one group of endpoints does; what has no answer is added to `missing`."""
    of_them, axis = f" of {among}" if among else "", among or None
    costs: dict[str, tuple[Cost, ...]] = {}
    for collective in REPORTED:
        tick()
        try:
            costs[collective] = tuple(cost(fabric, collective, size, among=axis) for size in SIZES)
        except FabricError as error:
            missing.append(Missing("collectives", collective + of_them, str(error)))
    tick()
    spread = None
    try:
        spread = throughput(fabric, among=axis, drop_unreachable=True)
    except FabricError as error:
        missing.append(Missing("throughput", "all-to-all throughput" + of_them, str(error)))
    return JobAnswers(among, costs, spread, tuple(_groups(fabric, among, costs.get("all-reduce", ()))))


def _groups(fabric: Fabric, among: str, flat: Sequence[Cost]) -> Iterator[GroupCost]:
    """Yield the all-reduce of all ranks, and within groups outside and inside of a scale-up domain."""
    whole = next((c for c in flat if c.size_bytes == parse_bytes(REFERENCE) and c.status != "cut off"), None)
    if whole is None:
        return
    yield GroupCost("all ranks", (), whole)
    if not 1 < whole.n_domains < whole.n_ranks:
        return
    outer, inner = split_axes(fabric, JobQuestion(among=among or None))
    for what, over in (("one rank of each domain", outer), ("the ranks of a domain", inner)):
        if over:
            # Without such a group there is nothing to set beside the whole.
            with contextlib.suppress(FabricError):
                yield GroupCost(
                    what, over, cost(fabric, "all-reduce", REFERENCE, over=over, among=among or None)
                )


def questions(fabric: Fabric) -> list[FlowQuestion]:
    """Return the flows to ask about: between kinds of endpoints, two units, the halves, and two endpoints.

    Parameters
    ----------
    fabric : Fabric
        With a blueprint.

    Returns
    -------
    list of FlowQuestion
        A unit is an index of the outermost axis of the endpoints that has a size above 1; halves are of its
        first part where it is composed. Indices without an endpoint are left out.

    Raises
    ------
    QuestionError
        If there is no endpoint, or only one.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 5}, links: [{between: [gpu, leaf], rate: 400Gb/s}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}}}"
    >>> [(q.source, q.target) for q in questions(loads(text))]
    [('gpu0', 'gpu1'), ('i0-1', 'i2-4')]
    """
    blueprint = fabric.blueprint
    if blueprint is None or not any(g.is_endpoint for g in blueprint.groups.values()):
        msg = f"{fabric.name} has no endpoint, so nothing is sent"
        raise QuestionError(msg)
    kinds = [
        FlowQuestion("two kinds of endpoints", a, b)
        for a, b in itertools.combinations([g.name for g in blueprint.groups.values() if g.is_endpoint], 2)
    ]
    try:
        expanded = expand(fabric)
    except LimitError:
        return [*kinds, *_by_blueprint(blueprint)]
    up = expanded.is_endpoint & ~expanded.failed
    if up.sum() < 2:
        msg = f"{fabric.name} has {int(up.sum())} endpoints that are up; a flow needs two"
        raise QuestionError(msg)
    axis = _outermost(blueprint, expanded, up)
    if axis is None:
        first, second = np.flatnonzero(up)[:2].tolist()
        return [
            *kinds,
            FlowQuestion("two endpoints", str(expanded.names[first]), str(expanded.names[second])),
        ]
    return [*kinds, *_along(blueprint, expanded, up, axis)]


def _by_blueprint(blueprint: Blueprint) -> Iterator[FlowQuestion]:
    """Yield the same questions where the fabric is too large to look at each endpoint."""
    groups = [g for g in blueprint.groups.values() if g.is_endpoint]
    group = max(groups, key=lambda g: blueprint.n_devices(g.name))
    axis = next((blueprint.axes[a] for a in group.axes if blueprint.axes[a].size > 1), None)
    if axis is None:
        return
    units = (f"{axis.name}0", f"{axis.name}1")
    part = next((p for p in axis.parts if blueprint.axes[p].size > 1), axis.name)
    size = blueprint.axes[part].size
    halves = (range_word(part, 0, size // 2 - 1), range_word(part, size // 2, size - 1))
    if units != halves:
        yield FlowQuestion("two neighbouring units", *units)
    yield FlowQuestion("the two halves", *halves)
    first, second = ({a: 0 for a in group.axes} | {axis.name: i} for i in (0, 1))
    yield FlowQuestion(
        "two endpoints of neighbouring units", _name_device(group, first), _name_device(group, second)
    )


def _name_device(group: DeviceGroup, at: Mapping[str, int]) -> str:
    """Return the name of the device of `group` at an index on each of its axes."""
    above = [f"{axis}{at[axis]}" for axis in group.axes[:-1]]
    return "/".join([*above, f"{group.name}{at[group.axes[-1]]}"])


def _outermost(blueprint: Blueprint, expanded: Expanded, up: Bools) -> Axis | None:
    """Return the first axis, of the largest group of endpoints, with endpoints at two indices."""
    numbers = np.bincount(expanded.group[up], minlength=len(expanded.groups))
    group = blueprint.groups[expanded.groups[int(np.argmax(numbers))].name]
    for name in group.axes:
        if len(_indices(expanded, up, name)) > 1:
            return blueprint.axes[name]
    return None


def _indices(expanded: Expanded, up: Bools, axis: str) -> list[int]:
    indices = np.unique(expanded.coordinates[axis][up])
    return [int(i) for i in indices if i >= 0]


def _along(blueprint: Blueprint, expanded: Expanded, up: Bools, axis: Axis) -> Iterator[FlowQuestion]:
    low, high = _indices(expanded, up, axis.name)[:2]
    index = expanded.coordinates[axis.name]
    ends = [str(expanded.names[int(np.flatnonzero(up & (index == i))[0])]) for i in (low, high)]
    one_each = all(int((up & (index == i)).sum()) == 1 for i in (low, high))
    part = next((p for p in axis.parts if blueprint.axes[p].size > 1), axis.name)
    size = blueprint.axes[part].size
    middle = size // 2
    indices = _indices(expanded, up, part)
    has_halves = indices[0] < middle <= indices[-1]
    # Two units, one in each half, are the halves.
    is_both = has_halves and len(_indices(expanded, up, axis.name)) == 2
    if one_each:
        yield FlowQuestion("two neighbouring endpoints", *ends)
    elif not is_both:
        yield FlowQuestion("two neighbouring units", f"{axis.name}{low}", f"{axis.name}{high}")
    if has_halves and not (one_each and is_both):
        yield FlowQuestion(
            "the two halves", range_word(part, 0, middle - 1), range_word(part, middle, size - 1)
        )
    if not one_each:
        yield FlowQuestion("two endpoints of neighbouring units", *ends)
