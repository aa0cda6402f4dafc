"""A cable of a plan with its two ends, one by one and as columns, and what cables end at."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
"""As `Ints`, of which the cables of a rule have several for each of millions."""


class CableEnd(NamedTuple):
    """One end of a cable.

    Parameters
    ----------
    node : str
        The box or the device, as it is called at the site or, without names, as in the file.
    port : str
    rack : str
        Empty where racks are not known.
    unit : int or None
        The lowest rack unit that it takes, from 1 at the bottom, as the floor plan stacks racks; None where
        that is not known.
    device : str
        The device in the words of the file.
    """

    node: str
    port: str
    rack: str
    unit: int | None
    device: str


class PlannedCable(NamedTuple):
    """One cable.

    Parameters
    ----------
    a, z : CableEnd
        The lower and the upper side of the rule.
    rule : str
    rate_gbps : float
        Per direction [Gb/s].
    medium : str
        Empty where not known.
    length_m : float or None
        To order [m].
    """

    a: CableEnd
    z: CableEnd
    rule: str
    rate_gbps: float
    medium: str
    length_m: float | None

    @property
    def label(self) -> str:
        """What stands on both ends of the cable."""
        return f"{self.a.node}:{self.a.port} - {self.z.node}:{self.z.port}"


class CableEnds(NamedTuple):
    """The same end of many cables, as columns; see `CableEnd`."""

    node: list[str]
    port: list[str]
    rack: list[str]
    unit: list[int | None]
    device: list[str]


class CableBatch(NamedTuple):
    """Many cables of one rule, as columns; see `PlannedCable`.

    Equal texts of a column are one object, so that what is done to each can be done once.
    """

    a: CableEnds
    z: CableEnds
    rule: str
    rate_gbps: float
    medium: list[str]
    length_m: list[float | None]

    def labels(self) -> list[str]:
        """Return what stands on both ends of each cable; see `PlannedCable.label`."""
        sides = zip(self.a.node, self.a.port, self.z.node, self.z.port, strict=True)
        return [f"{a}:{p} - {z}:{q}" for a, p, z, q in sides]

    def cables(self) -> Iterator[PlannedCable]:
        """Yield the cables one by one."""
        ends = (itertools.starmap(CableEnd, zip(*side, strict=True)) for side in (self.a, self.z))
        for a, z, medium, length_m in zip(*ends, self.medium, self.length_m, strict=True):
            yield PlannedCable(a, z, self.rule, self.rate_gbps, medium, length_m)


class CabledNode(NamedTuple):
    """A box, or a device in none, that cables end at.

    Parameters
    ----------
    name : str
    group : str
        Its device group; of a box the first of those in it that are cabled.
    is_switch : bool
    part : str
        Empty for a box, and where not known.
    rack : str
    level : int
        Steps above the lowest nodes, along the link rules.
    """

    name: str
    group: str
    is_switch: bool
    part: str
    rack: str
    level: int
