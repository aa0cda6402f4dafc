"""Ranks in the order of their numbers, by their indices on axes: no list of devices is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.model import Blueprint, Selector
from fabric.blueprint.selector import quote
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import QuestionError, SelectorError
from fabric.flow.owed import is_selected
from fabric.job.domains import MAX_RANKS, Digits, every_place
from fabric.job.placement import check_over, dimension_sizes, read_order
from fabric.job.question import JobQuestion
from fabric.symmetry import NoSymmetryError

LISTED = "ranks"
"""Left side of an order of ranks that are listed one by one."""

FEW = 64
"""Selectors up to which a list of ranks is read as selectors, not as names of single devices."""


@dataclass(frozen=True, eq=False)
class RanksInOrder:
    """Ranks in the order of their numbers.

    Parameters
    ----------
    group : str
        Of endpoints.
    chosen : tuple of str
        Selectors of them; empty for all.
    index : mapping of str to ndarray of int64, shape (n,)
        Index of each rank on the primitive axes of the group.
    """

    group: str
    chosen: tuple[str, ...]
    index: Digits

    @property
    def n(self) -> int:
        """Ranks."""
        return len(next(iter(self.index.values()), ()))


def ranks_in_order(blueprint: Blueprint, asked: JobQuestion) -> RanksInOrder:
    """Return the ranks of a question in the order of their numbers, without a list of all devices.

    Raises
    ------
    QuestionError, SelectorError
        If a rank is none, has failed or is listed twice, or the order does not fit.
    NoSymmetryError
        If they are of several groups, or too many selectors.
    """
    chosen = asked.ranks or (() if asked.among is None else (asked.among,))
    if len(chosen) > FEW:
        msg = f"ranks are {len(chosen)} selectors; up to {FEW} are told apart"
        raise NoSymmetryError(msg)
    selectors = [read_selector(blueprint, t, needs_group=False) for t in chosen]
    ends = [g.name for g in blueprint.groups.values() if g.is_endpoint]
    if named := {s.group for s in selectors if s.group is not None}:
        if wrong := sorted(named - set(ends)):
            msg = f"{wrong[0]} is no endpoint"
            raise QuestionError(msg)
        ends = [name for name in ends if name in named]
    if len(ends) != 1:
        msg = f"the ranks are of several groups ({', '.join(ends)})"
        raise NoSymmetryError(msg)
    group = blueprint.groups[ends[0]]
    size = {a: blueprint.axes[a].size for a in group.primitives}
    n = math.prod(size.values())
    if n > MAX_RANKS:
        msg = f"{n:,} places of ranks, which are looked at up to {MAX_RANKS:,}"
        raise NoSymmetryError(msg)
    at = every_place(size)

    nothing = np.zeros(n, dtype=np.bool_)

    def names(*some: Selector) -> Bools:
        """Return the places that any of some selectors names."""
        chosen = [is_selected(blueprint, selector, group.name, at, n) for selector in some]
        return np.asarray(np.any([nothing, *chosen], axis=0))

    is_there, is_up = ~names(*blueprint.absent), ~names(*blueprint.failed)
    if asked.ranks:
        parts = [np.flatnonzero(names(selector) & is_there) for selector in selectors]
        for text, part in zip(chosen, parts, strict=True):
            if not len(part):
                msg = f"selector {quote(text)} matches no device of {blueprint.name}"
                raise SelectorError(msg)
        rows = np.concatenate(parts)
        _check_listed(group.name, rows, is_up, size)
    else:
        inside = names(*selectors) if selectors else ~nothing
        rows = np.flatnonzero(inside & is_there & is_up)
    if not len(rows):
        msg = f"{', '.join(chosen) or blueprint.name}: no endpoint"
        raise QuestionError(msg)
    index = {axis: digits[rows] for axis, digits in at.items()}
    return RanksInOrder(group.name, chosen, index)


def _check_listed(group: str, rows: Ints, is_up: Bools, size: dict[str, int]) -> None:
    """Raise where a rank has failed, or is listed twice."""

    def name(row: int) -> str:
        places = np.unravel_index(row, tuple(size.values()))
        *outer, last = (f"{axis}{int(i)}" for axis, i in zip(size, places, strict=True))
        return "/".join([*outer, group + last.removeprefix(list(size)[-1])])

    down = rows[~is_up[rows]]
    if len(down):
        example = name(int(down[0]))
        msg = f"{len(down):,} of the ranks that are listed have failed, such as {example}; leave them out"
        raise QuestionError(msg)
    twice = np.flatnonzero(np.bincount(rows) > 1)
    if len(twice):
        msg = f"ranks: {name(int(twice[0]))} is listed twice"
        raise QuestionError(msg)


def cut(asked: JobQuestion, n: int) -> tuple[Ints, Ints]:
    """Return the instance of each of n ranks, and its number in it, by the dimensions of an order.

    Raises
    ------
    QuestionError
        If the order does not fit.
    """
    _, right = read_order(asked.order)
    check_over(asked.over, right, asked.order)
    sizes = dimension_sizes(right, n, asked.order)
    number = np.arange(n)
    digits = dict(zip(sizes, np.unravel_index(number, tuple(sizes.values())), strict=True))
    over = asked.over or tuple(sizes)
    # Dimensions of `over` number the ranks of one instance, the others number the instances.
    flat = []
    for is_inside in (False, True):
        number = np.zeros(n, dtype=np.int64)
        for name, size in sizes.items():
            if (name in over) is is_inside:
                number = number * size + digits[name]
        flat.append(number)
    return flat[0], flat[1]


def numbers_of(blueprint: Blueprint, asked: JobQuestion, ranks: RanksInOrder) -> Ints:
    """Return the ranks in the order of their numbers."""
    left, _ = read_order(asked.order)
    if asked.ranks:
        if left != (LISTED,):
            way = f"({LISTED}) -> (dp tp=8)"
            msg = f"order {asked.order!r}: ranks are listed one by one; number them by {way}"
            raise QuestionError(msg)
        return np.arange(ranks.n)
    axes = [p for a in left for p in blueprint.primitives(a)]
    return np.lexsort([ranks.index[a] for a in reversed(axes)])
