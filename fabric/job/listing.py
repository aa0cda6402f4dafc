"""Jobs on every cable: which devices are the ranks of each instance, in their order, domain by domain."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.reducing import reducing_groups
from fabric.errors import LimitError, QuestionError, setting
from fabric.graph import Expanded, Fabric, Paths, expand, select
from fabric.job.in_order import FEW, LISTED, cut
from fabric.job.numbering import numbered_by_shape, runs
from fabric.job.on_links import ListedJob, ListedRanks, on_links, scale_up_domains
from fabric.job.placement import Placement, check_over, read_order, ring_axes, torus_of
from fabric.job.question import JobQuestion
from fabric.job.ranks import Job
from fabric.parts import catalogue
from fabric.routing.ecmp import Demands
from fabric.schedule.algorithms import Shape
from fabric.symmetry import NoSymmetryError


@dataclass(frozen=True, slots=True)
class Listing:
    """What the jobs on every cable of one question have in common.

    Parameters
    ----------
    fabric : Fabric
    asked : JobQuestion
    why : str
        Why not by axes.
    torus : tuple of (str, int)
        Ring axes of an instance with their sizes, outermost first; empty if it is no whole torus.
    """

    fabric: Fabric
    asked: JobQuestion
    why: str
    torus: tuple[tuple[str, int], ...] = ()

    def expand(self) -> Expanded:
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


def jobs_of_placement(listing: Listing, place: Placement) -> tuple[Job, ...]:
    """Return the jobs of a placement, on every cable."""
    if place.others:
        return jobs_of_all(listing, (), ())
    torus: tuple[tuple[str, int], ...] = ()
    if place.among is None:
        sizes = {a: place.blueprint.axes[a].size for a in place.spans}
        with contextlib.suppress(NoSymmetryError):
            torus = torus_of(place, sizes, ring_axes(place.blueprint, place.order))
    agree = tuple(a for a in place.order if a not in place.spans)
    split = Fabric(listing.fabric.name, place.blueprint)
    return jobs_of_all(replace(listing, fabric=split, torus=torus), agree, place.order)


def jobs_of_all(listing: Listing, agree: tuple[str, ...], order: tuple[str, ...]) -> tuple[Job, ...]:
    """Return the jobs of all ranks that `among` selects, on every cable.

    Parameters
    ----------
    listing : Listing
    agree, order : tuple of str
        Primitive axes on which the ranks of one instance agree, and those along which ranks are numbered.
    """
    e = listing.expand()
    devices = np.flatnonzero(_choose(listing.fabric, listing.asked, e))
    at = {axis: _index_on(listing.fabric, e, axis)[devices] for axis in order}
    instance = _flat([at[a] for a in order if a in agree], len(devices))
    number = _flat([at[a] for a in order if a not in agree], len(devices)) if order else devices
    return _group(listing, e, devices, instance, number)


def jobs_of_order(listing: Listing) -> tuple[Job, ...]:
    """Return the jobs of ranks that an order numbers across axes."""
    asked, blueprint = listing.asked, listing.fabric.axes_or_refuse("an order of ranks")
    left, right = read_order(asked.order)
    check_over(asked.over, right, asked.order)
    e = listing.expand()
    devices = np.flatnonzero(_choose(listing.fabric, asked, e))
    axes = [p for a in left for p in blueprint.primitives(a)]
    at = [_index_on(listing.fabric, e, axis)[devices] for axis in axes]
    # Numbers run on where endpoints are left out.
    return _cut_up(listing, e, devices[np.lexsort(at[::-1])])


def _cut_up(listing: Listing, e: Expanded, devices: Ints) -> tuple[Job, ...]:
    """Return the jobs of devices in the order of their ranks, cut into dimensions."""
    return _group(listing, e, devices, *cut(listing.asked, len(devices)))


def _flat(columns: list[Ints], n: int) -> Ints:
    """Return one number for the rows of some columns, in their order, shape (n,)."""
    number = np.zeros(n, dtype=np.int64)
    for column in columns:
        number = number * (int(column.max(initial=0)) + 1) + column
    return number


def _group(listing: Listing, e: Expanded, devices: Ints, instance: Ints, number: Ints) -> tuple[Job, ...]:
    """Return the jobs of devices by instance, in each by domain and number."""
    domain = scale_up_domains(e)[devices]
    found = numbered_by_shape(instance, number, domain)
    return tuple(
        _on_links(listing, e, devices[order].reshape(-1, shape.n), shape.sizes, devices)
        for order, shape in found
    )


def _index_on(fabric: Fabric, e: Expanded, axis: str) -> Ints:
    """Return the index of every device on a primitive axis, from those on the axes as written."""
    blueprint = fabric.axes_or_refuse("an order of ranks")
    if axis in e.coordinates:
        return e.coordinates[axis]
    index = np.full(e.n_devices, -1, dtype=np.int64)
    for name, written in e.coordinates.items():
        parts = blueprint.primitives(name)
        if axis in parts:
            # An axis as written is the product of its parts: one of them is a digit of its index.
            inner = math.prod(blueprint.axes[p].size for p in parts[parts.index(axis) + 1 :])
            index = np.where(written >= 0, written // inner % blueprint.axes[axis].size, index)
    return index


def jobs_of_list(listing: Listing) -> tuple[Job, ...]:
    """Return the jobs of explicit ranks."""
    fabric, asked = listing.fabric, listing.asked
    e = listing.expand()
    # The name of one device, or else a selector of several; where axes say names, a few are selectors too.
    is_few = fabric.blueprint is not None and len(asked.ranks) <= FEW
    number = {} if is_few else {str(name): i for i, name in enumerate(e.names)}
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
    if asked.order:
        left, _ = read_order(asked.order)
        if left != (LISTED,):
            way = f"({LISTED}) -> (dp tp=8)"
            msg = f"order {asked.order!r}: ranks are listed one by one; number them by {way}"
            raise QuestionError(msg)
        return _cut_up(listing, e, devices)
    sizes = runs(scale_up_domains(e)[devices])
    return (_on_links(listing, e, devices[None], sizes, devices),)


def _choose(fabric: Fabric, asked: JobQuestion, e: Expanded) -> Bools:
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
        # Of the devices of all groups at a place the endpoints are meant.
        if chosen[e.is_endpoint].any():
            chosen = chosen & e.is_endpoint
    # What has failed takes no part; the answer says how many.
    _check(e, np.flatnonzero(chosen & ~e.failed))
    return chosen & ~e.failed


def _check(e: Expanded, devices: Ints) -> None:
    """Raise where a rank is no endpoint or is down."""
    if not len(devices):
        msg = f"{e.name} has no endpoint"
        raise QuestionError(msg)
    no_ends = devices[~e.is_endpoint[devices]]
    if len(no_ends):
        msg = f"{e.names[int(no_ends[0])]} is no endpoint"
        raise QuestionError(msg)
    down = devices[e.failed[devices]]
    if len(down):
        example = e.names[int(down[0])]
        msg = f"{len(down):,} of the ranks that are listed have failed, such as {example}; leave them out"
        raise QuestionError(msg)


def _on_links(listing: Listing, e: Expanded, rows: Ints, sizes: tuple[int, ...], every: Ints) -> Job:
    blueprint, asked = listing.fabric.blueprint, listing.asked
    names = reducing_groups(blueprint) if blueprint is not None else _reducing(e)
    torus = listing.torus if math.prod(n for _, n in listing.torus) == sum(sizes) else ()
    index = _Indices(listing.fabric, e)
    return on_links(
        ListedRanks(e, rows, Shape(sizes, torus), every),
        (asked.routing, asked.paths),
        names,
        listing.why,
        index=index,
    )


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
        return _index_on(self._fabric, self._e, axis)

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)


def _reducing(e: Expanded) -> tuple[str, ...]:
    parts = catalogue().parts
    return tuple(g.name for g in e.groups if g.part in parts and parts[g.part].in_network_reduction)


def route_pairs(fabric: Fabric, expanded: Expanded, paths: Paths) -> Callable[[Demands], Floats]:
    """Return what tells the loads of messages between any endpoints, under equal split per hop.

    Parameters
    ----------
    fabric : Fabric
    expanded : Expanded
    paths : {"rules", "no-relay", "any"}

    Returns
    -------
    callable
        From demands to the load of every link, shape (2 * m,).
    """
    devices = np.flatnonzero(expanded.is_endpoint & ~expanded.failed)
    ranks = ListedRanks(expanded, devices[None, :], Shape((len(devices),)), devices)
    return ListedJob(ranks, "ecmp", paths, (), _Indices(fabric, expanded)).loads
