"""From a question to a job: on classes where the ranks are a product of axes, else on every cable."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, cast

import numpy as np

from fabric.arguments import Method, check_fields
from fabric.arrays import Bools, Ints
from fabric.blueprint.planes import open_chips, refusal
from fabric.blueprint.reducing import REDUCING_NETS, ReducingNet, reducing_groups
from fabric.blueprint.selector import parse_selector, selected_groups
from fabric.errors import LimitError, QuestionError, setting
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, Paths, expand, select
from fabric.job.on_classes import on_classes
from fabric.job.on_links import on_links, scale_up_domains
from fabric.job.placement import (
    Placement,
    dimension_sizes,
    placement,
    read_order,
    ring_axes,
    torus_of,
)
from fabric.job.ranks import Job, Routing
from fabric.parts import catalogue
from fabric.schedule.algorithms import Shape
from fabric.schedule.tree import Pattern
from fabric.symmetry import NoSymmetryError

MAX_MESH = 256
"""Ranks of the largest full mesh that is looked for; every rank of it has a cable to each other one."""


class JobOptions(TypedDict, total=False):
    """Keywords of a `JobQuestion`: which ranks, and how their traffic is routed; see there."""

    over: Sequence[str]
    among: str | None
    ranks: Sequence[str]
    order: str
    routing: Routing
    reduces: Sequence[ReducingNet]
    method: Method
    limit: int


@dataclass(frozen=True, slots=True)
class JobQuestion:
    """Which ranks, and how their traffic is routed.

    Parameters
    ----------
    over : tuple of str
        Axes, or dimensions of `order`, that one instance spans; empty for all.
    among : str, optional
        Selector of the ranks.
    ranks : tuple of str
        Devices in the order of the ranks, instead of `among` and `over`.
    order : str
        How ranks are numbered; see `fabric.job.placement`.
    routing : str
    reduces : tuple of str
        Networks whose switches may reduce, where their parts can: ``"scale-up"`` (NVLink SHARP, which
        libraries use unasked) and ``"scale-out"`` (SHARP, which must be switched on).
    method : {"auto", "axes", "links"}
        On classes, or on every cable. Refinement does not tell ranks apart, so it answers no collective.
    limit : int
        Of the expanded form.
    """

    over: tuple[str, ...] = ()
    among: str | None = None
    ranks: tuple[str, ...] = ()
    order: str = ""
    routing: Routing = "ecmp"
    reduces: tuple[ReducingNet, ...] = ("scale-up",)
    method: Method = "auto"
    limit: int = EXPAND_LIMIT

    @classmethod
    def of(cls, options: JobOptions) -> JobQuestion:
        """Return the question that some keywords ask."""
        return cls(**cast("Any", options))

    def __post_init__(self) -> None:
        """Check the names."""
        check_fields(self)
        if self.method == "refinement":
            msg = "refinement does not tell ranks apart, so it answers no collective: ask for axes or links"
            raise QuestionError(msg)
        if self.ranks and (self.over or self.among or self.order):
            msg = "ranks are listed one by one: leave over, among and order out"
            raise QuestionError(msg)

    @property
    def paths(self) -> Paths:
        """The path rule of the routing."""
        return "no-relay" if self.routing == "rail-direct" else "rules"


def job(fabric: Fabric, asked: JobQuestion | None = None) -> Job:
    """Return the job of a question.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit the fabric.
    NoSymmetryError
        If only axes were asked for, and they do not say the symmetry.
    LimitError
        If only every cable will do, and they are too many.
    """
    asked = asked or JobQuestion()
    blueprint = fabric.blueprint
    if asked.routing == "hashed" and blueprint is not None and not refusal(blueprint):
        # A flow that is hashed goes through one chip of every box.
        fabric = replace(fabric, blueprint=open_chips(blueprint))
    found = _job(fabric, asked)
    inside, across = (net in asked.reduces for net in REDUCING_NETS)
    shape = replace(
        found.shape,
        reduces_in_domain=found.shape.reduces_in_domain and inside,
        reduces_across=found.shape.reduces_across and across,
        is_mesh=_is_mesh(found),
        relays=asked.routing != "rail-direct",
    )
    return replace(found, shape=shape)


def _is_mesh(found: Job) -> bool:
    """Return whether the ranks are one domain, and a message between any two of them passes one cable."""
    shape = found.shape
    if shape.n_domains > 1 or not 2 <= shape.n <= MAX_MESH:
        return False
    try:
        return abs(float(found.loads(Pattern("pairwise", "domain")).hops.sum()) - 1) < 1e-9
    except QuestionError:
        return False


def _job(fabric: Fabric, asked: JobQuestion) -> Job:
    """Return the job of a question, with all switches that reduce."""
    blueprint = fabric.blueprint
    if asked.ranks:
        if asked.method == "axes":
            msg = "ranks that are listed one by one are no product of axes"
            raise QuestionError(msg)
        return _listed(fabric, asked)
    if blueprint is None:
        if asked.over or asked.order:
            msg = "over and order need axes; a fabric read from a graph has none; list the ranks"
            raise QuestionError(msg)
        return _every(_How(fabric, asked, "a fabric read from a graph has no axes"), (), ())
    why = "asked for"
    place: Placement | None = None
    try:
        place = placement(blueprint, over=asked.over, among=asked.among, order=asked.order)
        if asked.method != "links":
            return on_classes(place, asked.routing, asked.paths)
    except NoSymmetryError as error:
        if asked.method == "axes":
            raise
        why = str(error)
    how = _How(fabric, asked, why)
    if place is not None:
        return _placed(how, place)
    return _ordered(how) if asked.order else _every(how, (), ())


@dataclass(frozen=True, slots=True)
class _How:
    """What the jobs on every cable of one question have in common."""

    fabric: Fabric
    asked: JobQuestion
    why: str
    torus: tuple[tuple[str, int], ...] = ()

    def expanded(self) -> Expanded:
        """Return the fabric with every cable.

        Raises
        ------
        LimitError
            If it is too large, with why classes will not do.
        """
        try:
            return expand(self.fabric, limit=self.asked.limit)
        except LimitError as error:
            msg = f"{error}. Why every cable: {self.why}"
            raise LimitError(msg) from None


def ranks_group(fabric: Fabric, asked: JobQuestion) -> str:
    """Return the device group of the ranks.

    Raises
    ------
    QuestionError
        If they are of several groups.
    """
    e_groups = (
        {g.name for g in fabric.blueprint.groups.values() if g.is_endpoint} if fabric.blueprint else set()
    )
    if asked.among is not None and fabric.blueprint is not None:
        selector = parse_selector(
            asked.among, fabric.blueprint.axes, fabric.blueprint.groups, needs_group=False
        )
        e_groups &= set(selected_groups(fabric.blueprint, selector))
    if len(e_groups) != 1:
        names = ", ".join(sorted(e_groups)) or "none"
        msg = f"ranks of one group of endpoints are needed; these are of {names}"
        raise QuestionError(msg)
    return e_groups.pop()


def _placed(how: _How, place: Placement) -> Job:
    """Return the job of a placement, on every cable."""
    torus: tuple[tuple[str, int], ...] = ()
    if place.among is None:
        sizes = {a: place.blueprint.axes[a].size for a in place.spans}
        with contextlib.suppress(NoSymmetryError):
            torus = torus_of(place, sizes, ring_axes(place.blueprint, place.order))
    agree = tuple(a for a in place.order if a not in place.spans)
    whole = Fabric(how.fabric.name, place.blueprint)
    return _every(replace(how, fabric=whole, torus=torus), agree, place.order)


def _every(how: _How, agree: tuple[str, ...], order: tuple[str, ...]) -> Job:
    """Return the job of all ranks that `among` selects, on every cable.

    Parameters
    ----------
    how : _How
    agree, order : tuple of str
        Primitive axes on which the ranks of one instance agree, and those along which ranks are numbered.
    """
    e = how.expanded()
    devices = np.flatnonzero(_chosen(how.fabric, how.asked, e))
    at = {axis: index_on(how.fabric, e, axis)[devices] for axis in order}
    instance = _flat([at[a] for a in order if a in agree], len(devices))
    number = _flat([at[a] for a in order if a not in agree], len(devices)) if order else devices
    return _grouped(how, e, devices, instance, number)


def _ordered(how: _How) -> Job:
    """Return the job of ranks that an order numbers across axes."""
    asked, blueprint = how.asked, how.fabric.axes_or_refuse("an order of ranks")
    left, right = read_order(asked.order)
    e = how.expanded()
    devices = np.flatnonzero(_chosen(how.fabric, asked, e))
    axes = [p for a in left for p in blueprint.primitives(a)]
    number = _flat([index_on(how.fabric, e, axis)[devices] for axis in axes], len(devices))
    sizes = dimension_sizes(right, len(devices), asked.order)
    digits = dict(zip(sizes, np.unravel_index(number, tuple(sizes.values())), strict=True))
    over = asked.over or tuple(sizes)
    inside, outside = ([digits[n] for n in sizes if (n in over) is own] for own in (True, False))
    return _grouped(how, e, devices, _flat(outside, len(devices)), _flat(inside, len(devices)))


def _flat(columns: list[Ints], n: int) -> Ints:
    """Return one number for the rows of some columns, in their order, shape (n,)."""
    found = np.zeros(n, dtype=np.int64)
    for column in columns:
        found = found * (int(column.max(initial=0)) + 1) + column
    return found


def _grouped(how: _How, e: Expanded, devices: Ints, instance: Ints, number: Ints) -> Job:
    """Return the job of devices by instance, in each by domain and number."""
    domain = scale_up_domains(e)[devices]
    # In every group the domain of its first rank comes first.
    within = instance * (int(domain.max()) + 1) + domain
    first = _first_seen(np.unique(within, return_inverse=True)[1].ravel(), np.lexsort((number, instance)))
    order = np.lexsort((number, first, instance))
    _, counts = np.unique(instance, return_counts=True)
    if len(set(counts.tolist())) > 1:
        many = f"{counts.min()} to {counts.max()}"
        msg = f"groups over {', '.join(how.asked.over)} are of {many} ranks; they must be alike"
        raise QuestionError(msg)
    rows = devices[order].reshape(len(counts), -1)
    shapes = {_runs(row) for row in domain[order].reshape(rows.shape)}
    if len(shapes) > 1:
        msg = "groups lie in domains in different ways; choose other axes for over, or other ranks"
        raise QuestionError(msg)
    return _on_links(how, e, rows, shapes.pop())


def _first_seen(domain: Ints, order: Ints) -> Ints:
    """Return for every rank the place at which its domain first comes up in `order`."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    earliest = np.full(int(domain.max(initial=-1)) + 1, len(order))
    np.minimum.at(earliest, domain, place)
    return earliest[domain]


def index_on(fabric: Fabric, e: Expanded, axis: str) -> Ints:
    """Return the index of every device on a primitive axis, from those on the axes as written."""
    blueprint = fabric.axes_or_refuse("an order of ranks")
    if axis in e.coordinates:
        return e.coordinates[axis]
    found = np.full(e.n_devices, -1, dtype=np.int64)
    for name, index in e.coordinates.items():
        parts = blueprint.primitives(name)
        if axis in parts:
            inner = math.prod(blueprint.axes[p].size for p in parts[parts.index(axis) + 1 :])
            found = np.where(index >= 0, index // inner % blueprint.axes[axis].size, found)
    return found


def _listed(fabric: Fabric, asked: JobQuestion) -> Job:
    """Return the job of explicit ranks."""
    how = _How(fabric, asked, "ranks are listed one by one")
    e = how.expanded()
    number = {str(name): i for i, name in enumerate(e.names)}
    rows = []
    for text in asked.ranks:
        if text in number:
            rows.append([number[text]])
        else:
            rows.append(np.flatnonzero(select(fabric, text, limit=asked.limit)).tolist())
    devices = np.array([d for row in rows for d in row], dtype=np.int64)
    _check(e, devices)
    if len(np.unique(devices)) < len(devices):
        twice = e.names[int(devices[np.flatnonzero(np.bincount(devices)[devices] > 1)[0]])]
        msg = f"ranks: {twice} is listed twice"
        raise QuestionError(msg)
    sizes = _runs(scale_up_domains(e)[devices])
    return _on_links(how, e, devices[None], sizes)


def _runs(domain: Ints) -> tuple[int, ...]:
    """Return the lengths of the runs of equal numbers."""
    edges = np.flatnonzero(np.diff(domain)) + 1
    return tuple(np.diff([0, *edges.tolist(), len(domain)]).tolist())


def _chosen(fabric: Fabric, asked: JobQuestion, e: Expanded) -> Bools:
    if asked.among is None:
        chosen = e.is_endpoint
        groups = sorted({e.groups[g].name for g in np.unique(e.group[chosen])})
        if len(groups) > 1:
            several = ", ".join(groups)
            such = setting("among", groups[0])
            msg = f"endpoints are of several groups ({several}); say among which, such as {such}"
            raise QuestionError(msg)
    else:
        chosen = select(fabric, asked.among, limit=asked.limit)
    _check(e, np.flatnonzero(chosen))
    return chosen


def _check(e: Expanded, devices: Ints) -> None:
    """Raise where a rank is no endpoint or is down."""
    if not len(devices):
        msg = f"{e.name} has no endpoint"
        raise QuestionError(msg)
    other = devices[~e.is_endpoint[devices]]
    if len(other):
        msg = f"{e.names[int(other[0])]} is no endpoint"
        raise QuestionError(msg)
    down = devices[e.failed[devices]]
    if len(down):
        some = e.names[int(down[0])]
        msg = f"{len(down):,} of the ranks are failed, such as {some}; leave them out with among"
        raise QuestionError(msg)


def _on_links(how: _How, e: Expanded, rows: Ints, sizes: tuple[int, ...]) -> Job:
    blueprint, asked = how.fabric.blueprint, how.asked
    names = reducing_groups(blueprint) if blueprint is not None else _reducing(e)
    torus = how.torus if math.prod(n for _, n in how.torus) == sum(sizes) else ()
    index = _Indices(how.fabric, e)
    return on_links(e, rows, Shape(sizes, torus), (asked.routing, asked.paths), names, how.why, index=index)


class _Indices(Mapping[str, Ints]):
    """Index of every device on every primitive axis, found when it is asked for."""

    def __init__(self, fabric: Fabric, e: Expanded) -> None:
        self._fabric, self._e = fabric, e
        blueprint = fabric.blueprint
        written = blueprint.axes.values() if blueprint is not None else ()
        self._axes = [a.name for a in written if not a.parts] or list(e.coordinates)

    def __getitem__(self, axis: str) -> Ints:
        if self._fabric.blueprint is None:
            return self._e.coordinates[axis]
        return index_on(self._fabric, self._e, axis)

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)


def _reducing(e: Expanded) -> tuple[str, ...]:
    parts = catalogue().parts
    return tuple(g.name for g in e.groups if g.part in parts and parts[g.part].in_network_reduction)
