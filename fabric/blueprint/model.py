"""The blueprint: a fabric as its axes, device groups and link rules, tiny at any size.

::

    axes      rack: 16, tray: 18, slot: 4             names and sizes
    groups    gpu[rack, tray, slot]  leaf[slot]       parts placed on axes
    rules     gpu - leaf                              joined where shared axes agree

A *primitive* axis has a size of its own; a *composed* axis is a product of axes, last one fastest. All
meaning is on the primitive axes; names print the composed index.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from fabric.errors import Problem
from fabric.parts import Part
from fabric.text.patterns import NamePattern

Kind = Literal["gpu", "switch", "nic", "host"]
Net = Literal["scale-up", "host", "scale-out"]
Transit = Literal["turn", "pass", "end", "relay", "all"]
Unit = Literal["rate", "part", "time", "count", "ratio", "power", "price"]
Comparison = Literal[">=", "<=", ">", "<", "="]

DEFAULT_TRANSIT: Mapping[str, Transit] = {"switch": "turn", "nic": "pass", "host": "pass", "gpu": "end"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an element stands in its file, for errors that are found later.

    Parameters
    ----------
    path, line, col, where
        As in `fabric.errors.Problem`.
    keys : mapping of str to (int, int)
        Line and column of the value of each key of the element, and of the words in short lists, such as
        ``between[1]``.
    """

    path: str
    line: int
    col: int
    where: str
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def problem(
        self, fault: str, *, key: str = "", got: str = "", expected: str = "", todo: str = ""
    ) -> Problem:
        """Return the finding `fault` at this element, or at the value of its `key` where it has that."""
        whole = self.keys.get(key.partition("[")[0], (self.line, self.col))
        line, col = self.keys.get(key, whole)
        return Problem(self.path, line, col, self.where, fault, got, expected, todo)


@dataclass(frozen=True, slots=True)
class Axis:
    """One named axis.

    Parameters
    ----------
    name : str
    size : int
        Number of indices, at least 1.
    parts : tuple of str
        Axes whose product this is, last one fastest; empty for a primitive axis.
    """

    name: str
    size: int
    parts: tuple[str, ...] = ()


class WrongError(Exception):
    """One problem of an element; the element is left out and the others are still read.

    Parameters
    ----------
    problem : Problem or None
        None where what is wrong has been told elsewhere.
    """

    def __init__(self, problem: Problem | None) -> None:
        super().__init__()
        self.problem = problem


def primitives(axes: Mapping[str, Axis], name: str) -> tuple[str, ...]:
    """Return the primitive axes that axis `name` is the product of, last one fastest.

    Examples
    --------
    >>> axes = {"rack": Axis("rack", 16, ("block", "r")), "block": Axis("block", 8), "r": Axis("r", 2)}
    >>> primitives(axes, "rack"), primitives(axes, "r")
    (('block', 'r'), ('r',))
    """
    names: list[str] = []
    # Depth first, parts pushed in reverse so that they come out in their order.
    stack = [name]
    while stack:
        name = stack.pop()
        stack += reversed(axes[name].parts)
        if not axes[name].parts:
            names.append(name)
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Term:
    """One restriction of a selector: `axis` lies in ``lo..hi``, both included."""

    axis: str
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Selector:
    """Devices by group and index ranges; ``group`` is None where every group is meant.

    ``text`` is what the user wrote.
    """

    text: str
    group: str | None
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceGroup:
    """A part placed on axes.

    Parameters
    ----------
    name : str
    kind : {"gpu", "switch", "nic", "host"}
    part : Part or None
        Row of the catalogue; None is a generic device without port budget.
    axes : tuple of str
        As written; the last index is printed on the group's name.
    primitives : tuple of str
        The same axes resolved to primitive ones, outermost first.
    transit : {"turn", "pass", "end", "relay", "all"}
        Who may forward, see `fabric.routing`.
    is_endpoint : bool
        True where traffic starts and ends here.
    template : str
        Outermost template that brings the group, such as ``dgx-h100``; empty for one of the file itself.
    """

    name: str
    kind: Kind
    part: Part | None
    axes: tuple[str, ...]
    primitives: tuple[str, ...]
    transit: Transit
    is_endpoint: bool
    origin: Origin
    template: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """How two devices differ on one axis; compared by identity.

    Parameters
    ----------
    kind : {"mesh", "ring", "line", "pairs"}
    axes : tuple of str
        As written, last one fastest; a file that includes this one may split them.
    size : int
        Product of their sizes.
    twist : tuple of (str, int)
        Axes, as written, that the wrap cable of a ring shifts, and by how much.
    pairs : ndarray of int64, shape (m, 2), read-only
        Left and right index of every joined pair, for ``kind="pairs"``, listed or of a named pattern.
    said : str
        The pattern and the parameters given, such as ``jellyfish, degree 4``; empty where pairs are listed.
    """

    kind: Literal["mesh", "ring", "line", "pairs"]
    axes: tuple[str, ...]
    size: int
    twist: tuple[tuple[str, int], ...] = ()
    pairs: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    said: str = ""

    def __post_init__(self) -> None:
        self.pairs.flags.writeable = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One link rule: which devices are joined, by how many cables of which rate.

    Parameters
    ----------
    name : str
    left, right : Selector
        The lower and the upper side; both name a group.
    relation : Relation or None
    rate_gbps : float
        Per cable and direction [Gb/s].
    count : int or tuple of int
        Parallel cables a pair, or one number per index of `count_axis`.
    count_axis : str
        Empty where `count` is one number.
    each : tuple of (int, int) or None
        Cables that the writer expects per left and per right device.
    net : {"scale-up", "host", "scale-out"}
    is_peer : bool
        Like with like: neither side is above the other.
    is_oneway : bool
        Cables carry traffic from left to right only.
    protocol, port_class, medium : str
        Rows of the catalogue; empty where not said.
    length_m : float or None
        Cable length [m].
    """

    name: str
    left: Selector
    right: Selector
    relation: Relation | None
    rate_gbps: float
    count: int | tuple[int, ...]
    count_axis: str
    each: tuple[int, int] | None
    net: Net
    is_peer: bool
    is_oneway: bool
    protocol: str
    port_class: str
    medium: str
    length_m: float | None
    about: str
    origin: Origin

    @property
    def left_group(self) -> str:
        """The device group of the lower side."""
        return cast(str, self.left.group)

    @property
    def right_group(self) -> str:
        """The device group of the upper side."""
        return cast(str, self.right.group)

    @property
    def groups(self) -> tuple[str, str]:
        """The device groups of both sides, the lower one first."""
        return self.left_group, self.right_group


@dataclass(frozen=True, slots=True)
class MarkedCables:
    """Cables between two selectors that are down or slow: all of them, or the first `n` of their total.

    With `is_each` they are `n` of every two devices, which one rule joins. Where `rule` has the name of one,
    only cables of that rule are meant; else of any. They have a `part` of their rate, 0 where they are down;
    `said` is how the user wrote that.
    """

    left: Selector
    right: Selector
    n: int | None
    origin: Origin
    is_each: bool = False
    rule: str = ""
    part: float = 0.0
    said: str = ""

    def may_be_of(self, rule: str) -> bool:
        """Return whether cables of the rule of that name are meant."""
        return self.rule in ("", rule)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of ``expect:``.

    Parameters
    ----------
    text : str
        As the file has it.
    measure : str
        A name of `fabric.blueprint.expectation.MEASURES`, a collective, or a statement of its own there.
    of : tuple of str
        What it is measured of: a group, axes, the size of a collective, two selectors.
    options : mapping of str to tuple of str
        Such as ``over``: the axes of a group.
    figure : {"busbw", "algbw", "time", ""}
        Of a collective or a bound.
    relation : {">=", "<=", ">", "<", "="}
    demand : float
        In the unit: Gb/s per direction, a part of 1, s, a number, W or USD.
    unit : {"rate", "part", "time", "count", "ratio", "power", "price"}
    origin : Origin
    """

    text: str
    measure: str
    of: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]
    figure: str
    relation: Comparison
    demand: float
    unit: Unit
    origin: Origin = field(compare=False)


@dataclass(frozen=True, slots=True)
class Risk:
    """What fails at once, for each index of some axes.

    Parameters
    ----------
    name : str
    axes : tuple of str
        One such risk for each index of these; one in all where there is none.
    devices : tuple of Selector
        What is down there.
    cables : tuple of MarkedCables
        All, or so many, of the cables between two of them there. With neither, all that stands on the axes.
    origin : Origin
    """

    name: str
    axes: tuple[str, ...]
    devices: tuple[Selector, ...]
    cables: tuple[MarkedCables, ...]
    origin: Origin


@dataclass(frozen=True, eq=False)
class Blueprint:
    """A whole fabric in its smallest form; compared by identity.

    Parameters
    ----------
    name : str
    axes : mapping of str to Axis
    groups : mapping of str to DeviceGroup
        In the order of the file, included groups first.
    rules : tuple of Rule
    absent : tuple of Selector
        Devices never populated.
    failed : tuple of Selector
        Devices that are down.
    marked_cables : tuple of MarkedCables
        Cables that are down or slow.
    risks : tuple of Risk
        What fails at once.
    islands : int
        Physically separate parts with endpoints that are meant.
    expectations : tuple of Expectation
        What the file expects of the fabric; those of includes are about the include alone.
    site_names, port_names : mapping of str to NamePattern
        What devices and ports of a group are called at the site; servers by the axis that they are along.
    notes : tuple of str
        What the file and its includes say about themselves, assumptions above all.
    path : str
        The file.
    sha256 : str
        Hash over the file and every file that it includes.
    origin : Origin
        The top of the file.
    skipped : tuple of str
        Checks that were not run, and why.
    closed : Blueprint or None
        The same with boxes of several chips whole, where this one has them opened; see
        `fabric.blueprint.planes`.
    """

    name: str
    axes: Mapping[str, Axis]
    groups: Mapping[str, DeviceGroup]
    rules: tuple[Rule, ...]
    absent: tuple[Selector, ...] = ()
    failed: tuple[Selector, ...] = ()
    marked_cables: tuple[MarkedCables, ...] = ()
    risks: tuple[Risk, ...] = ()
    islands: int = 1
    expectations: tuple[Expectation, ...] = ()
    site_names: Mapping[str, NamePattern] = field(default_factory=dict)
    port_names: Mapping[str, NamePattern] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    path: str = "<text>"
    sha256: str = ""
    origin: Origin = Origin("<text>", 1, 1, "file")
    skipped: tuple[str, ...] = ()
    closed: Blueprint | None = None

    @property
    def cables_down(self) -> tuple[MarkedCables, ...]:
        """Marked cables that are down."""
        return tuple(cables for cables in self.marked_cables if not cables.part)

    @property
    def cables_slow(self) -> tuple[MarkedCables, ...]:
        """Marked cables that run at a part of their rate."""
        return tuple(cables for cables in self.marked_cables if cables.part)

    @property
    def whole(self) -> Blueprint:
        """The fabric as it is bought and cabled: with whole boxes."""
        return self.closed or self

    def primitives(self, axis: str) -> tuple[str, ...]:
        """Return the primitive axes that `axis` is the product of, last one fastest."""
        return primitives(self.axes, axis)

    def flat(self, axis: str, at: Mapping[str, int]) -> int:
        """Return the index on `axis`, which may be composed, of a device at its primitive indices."""
        index = 0
        for p in self.primitives(axis):
            index = index * self.axes[p].size + at[p]
        return index

    def n_devices(self, group: str) -> int:
        """Return the places of `group`, absent ones included."""
        return math.prod(self.axes[a].size for a in self.groups[group].primitives)
