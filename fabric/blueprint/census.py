"""Count devices, cables and degrees of a blueprint of any size, without listing them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.grid import Grid, class_grid
from fabric.blueprint.join import join, partners
from fabric.blueprint.model import Blueprint, Rule, Selector
from fabric.blueprint.remembered import remembered
from fabric.errors import LimitError

MAX_COUNTED = 3_000_000
"""Classes of devices and pairs of them that are looked at in all, the classes once for each rule."""


@dataclass(frozen=True, slots=True)
class RuleCensus:
    """What one rule joins, by classes of devices.

    Parameters
    ----------
    rule : Rule
    left, right : ndarray of int64, shape (m,)
        Class rows of the two groups.
    per_left, per_right : ndarray of float64, shape (m,)
        Cables of one left device towards the right class, and the other way; halves where the devices of a
        class are joined with one another, so that the degree of a device is always the sum of both.
    n_pairs, n_cables : ndarray of float64, shape (m,)
        Joined pairs of devices, and cables, between the two classes; exact below 2**53.
    present : ndarray of bool, shape (m,)
        False where either end is absent.
    """

    rule: Rule
    left: Ints
    right: Ints
    per_left: Floats
    per_right: Floats
    n_pairs: Floats
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

    def n_rows(self, rule: Rule) -> tuple[int, int]:
        """Return the class rows of the left and the right group of `rule`."""
        return self.grid.n_rows(rule.left_group), self.grid.n_rows(rule.right_group)

    def present(self, group: str) -> int:
        """Return the populated devices of `group`."""
        return int(self.n_devices[group][~self.absent[group]].sum())


@remembered(1)
def census(blueprint: Blueprint, extra: tuple[Selector, ...] = ()) -> Census:
    """Count a blueprint; cost depends on its marks, not on its size.

    Parameters
    ----------
    blueprint : Blueprint
    extra : tuple of Selector
        Devices to tell apart besides those that the blueprint tells apart.

    Returns
    -------
    Census

    Raises
    ------
    LimitError
        If its selectors and relations tell too many classes apart.
    """
    return census_on(class_grid(blueprint, extra))


def census_on(grid: Grid, rules: tuple[Rule, ...] | None = None) -> Census:
    """Count the blueprint of a grid that tells at least as much apart as `class_grid` does.

    Parameters
    ----------
    grid : Grid
    rules : tuple of Rule, optional
        Rules to count; all of them by default.

    Returns
    -------
    Census

    Raises
    ------
    LimitError
        As `census`.
    """
    blueprint = grid.blueprint
    wanted = blueprint.rules if rules is None else rules
    n_rows = {name: grid.n_rows(name) for name in blueprint.groups}
    room = MAX_COUNTED - sum(n_rows[r.left_group] + n_rows[r.right_group] for r in wanted)
    if room < 0:
        each = f"{len(wanted):,} rules on {sum(n_rows.values()):,} classes of devices"
        msg = f"{each} are too many; expected at most {MAX_COUNTED:,}, a class once for each rule"
        raise LimitError(msg)
    n_devices, absent = {}, {}
    for name, group in blueprint.groups.items():
        rows = np.arange(grid.n_rows(name), dtype=np.int64)
        n_devices[name] = grid.weight(name, rows, group.primitives)
        absent[name] = grid.mask(name, blueprint.absent)
    counted = []
    for rule in wanted:
        counted.append(_count(grid, rule, (n_devices, absent), room))
        room -= len(counted[-1].left)
    return Census(grid, n_devices, absent, tuple(counted))


def _count(
    grid: Grid, rule: Rule, devices: tuple[dict[str, Floats], dict[str, Bools]], room: int
) -> RuleCensus:
    n_devices, absent = devices
    left, right = rule.left_group, rule.right_group
    pairs = join(grid, rule, limit=room)
    n_left, n_right = partners(grid, rule, pairs)
    # The same pairs counted from either side; here from the left.
    n_pairs = n_right * n_devices[left][pairs.left]
    return RuleCensus(
        rule=rule,
        left=pairs.left,
        right=pairs.right,
        per_left=pairs.count * n_right,
        per_right=pairs.count * n_left,
        n_pairs=n_pairs,
        n_cables=pairs.count * n_pairs,
        present=~(absent[left][pairs.left] | absent[right][pairs.right]),
    )


def degrees(counted: RuleCensus, n_rows: tuple[int, int], *, present_only: bool) -> tuple[Floats, Floats]:
    """Return the cables of one rule at one device of each class row, for the left and the right group.

    Parameters
    ----------
    counted : RuleCensus
    n_rows : (int, int)
        Class rows of the left and the right group.
    present_only : bool
        Leave out the cables of absent devices.

    Returns
    -------
    left, right : ndarray of float64, shape (n_rows[0],) and (n_rows[1],)
        Where both sides are the same group, both are the whole degree of a device.
    """
    keep = counted.present if present_only else np.ones(len(counted.left), dtype=np.bool_)
    left = np.bincount(counted.left[keep], counted.per_left[keep], minlength=n_rows[0]).astype(np.float64)
    right = np.bincount(counted.right[keep], counted.per_right[keep], minlength=n_rows[1]).astype(np.float64)
    # A device of one group is a left end of some cables and a right end of others.
    if counted.rule.left.group == counted.rule.right.group:
        left = right = left + right
    return left, right
