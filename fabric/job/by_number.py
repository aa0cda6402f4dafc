"""Jobs on classes whose ranks are cut into groups by number, wherever these lie.

::

    (rack slot) -> (dp tp=16)      racks of 72: one group of 16 in nine lies in two racks
    --over slot                    a rack has lost a tray: one group is smaller

Such groups are no product of axes, and may lie in domains in different ways. What the fabric looks like from
each rank, and what is near to it, is the same for all of them: it is found once, on the classes of all ranks
in one instance. Each pattern of each dimension is then messages between numbered ranks, by the kinds of
their pairs (`fabric.job.pairs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.blueprint.model import Blueprint
from fabric.blueprint.remembered import remembered
from fabric.graph import Paths
from fabric.job.at_once import mix_of_kinds
from fabric.job.differences import Mix
from fabric.job.domains import Digits
from fabric.job.in_order import cut, numbers_of, ranks_in_order
from fabric.job.numbering import numbered_by_shape
from fabric.job.on_classes import ClassedJob, of_pairs
from fabric.job.pairs import RankPairs
from fabric.job.placement import Placement
from fabric.job.question import JobQuestion
from fabric.job.ranks import GroupKinds, Job, Routing
from fabric.schedule.algorithms import Shape


def jobs_by_number(
    blueprint: Blueprint, asked: JobQuestion, place: Placement | None = None
) -> tuple[Job, ...]:
    """Return the jobs on classes of a question: one for each kind of groups.

    Parameters
    ----------
    blueprint : Blueprint
    asked : JobQuestion
        With an order, or else
    place : Placement
        with groups along axes.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit the fabric.
    NoSymmetryError
        If the axes do not say the symmetry, or the ranks are of too many kinds.
    """
    uncut, pairs, found = _kinds(blueprint, asked, place)
    every = [
        replace(
            pairs,
            ranks=replace(pairs.ranks, shape=shape, number=number, whole=pairs.ranks),
            uncut=pairs.by_own_cards,
        )
        for number, shape in found
    ]
    works = [replace(uncut, pairs=own, uncut=uncut, _reduced={}).as_job() for own in every]
    if len(works) == 1:
        return (works[0],)

    def at_once(mixes: Sequence[Mix]) -> Floats:
        return mix_of_kinds(uncut, every, mixes)

    return tuple(replace(work, kin=GroupKinds(n, len(works), at_once)) for n, work in enumerate(works))


def _kinds(
    blueprint: Blueprint, asked: JobQuestion, place: Placement | None
) -> tuple[ClassedJob, RankPairs, list[tuple[Ints, Shape]]]:
    """Return all ranks in one instance, how they lie, and for each kind of groups its ranks in order."""
    # What is worked out here is as long as the ranks are many, and goes before the next is.
    ranks = ranks_in_order(blueprint, asked)
    uncut = _uncut(blueprint, ranks.group, (ranks.chosen, asked.beside), asked.routing, asked.paths)
    pairs = uncut.pairs
    assert isinstance(pairs, RankPairs)
    order = numbers_of(blueprint, asked, ranks) if asked.order else np.arange(ranks.n)
    # Classes may be of a fabric of which axes are split.
    split = uncut.blueprint
    index = {p: digits for a, own in ranks.index.items() for p, digits in _on_primitives(split, a, own)}
    lying = pairs.ranks.at({a: digits[order] for a, digits in index.items()})
    instance, number = cut(asked, len(lying)) if place is None else _along(place, ranks.index)
    found = numbered_by_shape(instance, number, pairs.ranks.domain_of[lying])
    return uncut, pairs, [(lying[some], shape) for some, shape in found]


def _along(place: Placement, index: Digits) -> tuple[Ints, Ints]:
    """Return the instance of each rank, and its number in it, where instances span axes."""
    size = {a: place.blueprint.axes[a].size for a in place.order}
    instance, number = (
        np.ravel_multi_index(tuple(np.append(0, index[a]) for a in axes), tuple(size[a] for a in axes))[1:]
        if axes
        else np.zeros(len(next(iter(index.values()))), dtype=np.int64)
        for axes in (
            [a for a in place.order if a not in place.spans],
            [a for a in place.order if a in place.spans],
        )
    )
    return instance, number


def _on_primitives(blueprint: Blueprint, axis: str, index: Ints) -> list[tuple[str, Ints]]:
    """Return the indices on an axis as those on the primitive axes that it is made of."""
    parts = blueprint.primitives(axis)
    digits = np.unravel_index(index, tuple(blueprint.axes[p].size for p in parts))
    return list(zip(parts, digits, strict=True))


@remembered(8)
def _uncut(
    blueprint: Blueprint,
    group: str,
    chosen: tuple[tuple[str, ...], tuple[tuple[str, ...], ...]],
    routing: Routing,
    paths: Paths,
) -> ClassedJob:
    """Return all ranks of a job in one instance, on classes that keep rails whole."""
    axes = blueprint.groups[group].primitives
    own, beside = chosen
    place = Placement(blueprint, group, axes, frozenset(axes), own or None)
    return of_pairs(place, routing, paths, beside)
