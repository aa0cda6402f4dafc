"""Count devices, cables and degrees of a blueprint of any size, without listing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from fabric.blueprint.join import Bools, Floats, Grid, Ints, agreeing, class_grid, join
from fabric.blueprint.model import Blueprint, Rule


@dataclass(frozen=True, slots=True)
class RuleCensus:
    """What one rule joins, by classes of devices.

    Parameters
    ----------
    rule : Rule
    left, right : ndarray of int64, shape (m,)
        Class rows of the two groups.
    per_left, per_right : ndarray of float64, shape (m,)
        Cables of one left device towards the right class, and the other way.
    n_cables : ndarray of float64, shape (m,)
        Cables between the two classes; exact below 2**53.
    present : ndarray of bool, shape (m,)
        False where either end is absent.
    """

    rule: Rule
    left: Ints
    right: Ints
    per_left: Floats
    per_right: Floats
    n_cables: Floats
    present: Bools

    @property
    def total(self) -> int:
        """Cables that exist, absent devices left out."""
        return int(self.n_cables[self.present].sum())


@dataclass(frozen=True, slots=True)
class Census:
    """All counts of a blueprint.

    Parameters
    ----------
    grid : Grid
        The class grid that rows refer to.
    n_devices : mapping of str to ndarray of float64
        Devices in each class row, by group.
    absent : mapping of str to ndarray of bool
        Class rows that are never populated, by group.
    rules : tuple of RuleCensus
        In the order of the blueprint.
    """

    grid: Grid
    n_devices: dict[str, Floats]
    absent: dict[str, Bools]
    rules: tuple[RuleCensus, ...]

    def present(self, group: str) -> int:
        """Return the populated devices of `group`."""
        return int(self.n_devices[group][~self.absent[group]].sum())


def census(blueprint: Blueprint) -> Census:
    """Count a blueprint; cost depends on its marks, not on its size.

    Parameters
    ----------
    blueprint : Blueprint

    Returns
    -------
    Census

    Raises
    ------
    LimitError
        If its selectors and relations tell too many classes apart.
    """
    grid = class_grid(blueprint)
    n_devices, absent = {}, {}
    for name, group in blueprint.groups.items():
        rows = np.arange(grid.n_rows(name), dtype=np.int64)
        n_devices[name] = grid.weight(name, rows, group.primitives)
        absent[name] = grid.mask(name, blueprint.absent)
    rules = tuple(_count(grid, rule, n_devices, absent) for rule in blueprint.rules)
    return Census(grid, n_devices, absent, rules)


def _count(grid: Grid, rule: Rule, n_devices: dict[str, Floats], absent: dict[str, Bools]) -> RuleCensus:
    left, right = cast(str, rule.left.group), cast(str, rule.right.group)
    pairs = join(grid, rule)
    shared = agreeing(grid.blueprint, rule)
    own = [tuple(p for p in grid.blueprint.groups[g].primitives if p not in shared) for g in (left, right)]
    per_left = pairs.count * grid.weight(right, pairs.right, own[1])
    per_right = pairs.count * grid.weight(left, pairs.left, own[0])
    return RuleCensus(
        rule,
        pairs.left,
        pairs.right,
        per_left,
        per_right,
        per_left * n_devices[left][pairs.left],
        ~(absent[left][pairs.left] | absent[right][pairs.right]),
    )


def degrees(counted: RuleCensus, n_rows: tuple[int, int], *, present_only: bool) -> tuple[Floats, Floats]:
    """Return the cables of one rule at one device of each class row, for the left and the right group.

    Where both sides are the same group, both results are the whole degree of a device.
    """
    keep = counted.present if present_only else np.ones(len(counted.left), dtype=np.bool_)
    left = np.bincount(counted.left[keep], counted.per_left[keep], minlength=n_rows[0])
    right = np.bincount(counted.right[keep], counted.per_right[keep], minlength=n_rows[1])
    if counted.rule.left.group == counted.rule.right.group:
        left = right = left + right
    return left, right
