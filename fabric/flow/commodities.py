"""Traffic as commodities on classes: what every program of flow is made of, and what its proof is held to.

Three ways lead here: by axes, by refinement, and link by link. A commodity is the traffic of one source, or
towards one target, on the classes that keep that one in place::

    classes of the source's view        itself 1    neighbours 3    far GPUs 4
    supply at unit rate                   + 1          - 3/7          - 4/7
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.model import Blueprint, Selector
from fabric.errors import LimitError, QuestionError, setting
from fabric.flow.owed import Owed
from fabric.graph import Expanded, Forwarding, Paths, forwarding, on_the_way, reachable
from fabric.symmetry import Mark, Quotient, Tie

MAX_VARIABLES = 400_000
"""Flow variables of a program: some seconds, where few trees of paths solve it."""
MAX_TOGETHER = 1_500_000
"""Flow variables of several questions at once, whose trees settle soon where axes say the classes: 675,918 in
16 CPU seconds and 400 MB."""
MAX_MOVES = 75_000
"""Flow variables that are solved move by move: some ten seconds of HiGHS; 115,321 take 19."""


class ProgramSizeError(LimitError):
    """A program that is too large to be solved; an interval can still be given."""


@dataclass(frozen=True, eq=False)
class Commodity:
    """One commodity: the traffic of one source, or towards one target, on the classes that keep it in place.

    Parameters
    ----------
    n_alike : float
        How many commodities this one stands for.
    view : Quotient
        Classes with the source or target marked.
    moves : Forwarding
        Permitted moves of its traffic.
    supply : ndarray of float64, shape (n_states,)
        What enters (positive) and leaves (negative) at each state at unit rate; sums to 0.
    origin : int
        Base class of the source, or -1 for a single commodity.
    """

    n_alike: float
    view: Quotient
    moves: Forwarding
    supply: Floats
    origin: int = -1


@dataclass(frozen=True, eq=False)
class Solution:
    """Solution of a class program.

    Parameters
    ----------
    rate_gbps : float
        The largest rate; every supply is met times this [Gb/s].
    flow : tuple of ndarray of float64
        For each commodity, the flow of one on every move [Gb/s].
    price : ndarray of float64
        Of every base class of links; the best rate is at most the sum of capacity times price.
    n_variables : int
    """

    rate_gbps: float
    flow: tuple[Floats, ...]
    price: Floats
    n_variables: int


class LinkView(Protocol):
    """All links as seen from each source of one class."""

    @property
    def expanded(self) -> Expanded:
        """The expanded form: n devices, m bundles."""

    @property
    def view(self) -> Quotient:
        """Classes with one of the sources told apart."""

    @property
    def sources(self) -> Ints:
        """Devices, shape (s,)."""

    def seen(self, source: int) -> Ints:
        """Return the class of every link as seen from one source, shape (2 * m,); -1 for none."""

    def total(self, amount: Floats) -> Floats:
        """Return the sum, over all sources, of the `amount` of the class of every link, shape (2 * m,)."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What a question asks of each commodity, to pose it again where an answer is checked.

    Parameters
    ----------
    demand : callable
        Of the view of a commodity and its own class: what each class of it exchanges with that, shape (c,).
    paths : {"rules", "no-relay", "any"}
    forwarders : callable
        The classes of a view with the transits of the question.
    is_out : bool
        Whether the one class sends.
    has_one_target : bool
        Whether each source has one: most moves then lie on no way to it, and are left out.
    """

    demand: Callable[[Quotient, int], Floats]
    paths: Paths
    forwarders: Callable[[Quotient], Expanded]
    is_out: bool = True
    has_one_target: bool = False

    def commodity(self, view: Quotient, end: int, n_alike: float = 1.0, origin: int = -1) -> Commodity:
        """Return the traffic of class `end` of a view."""
        return commodity_of(
            view,
            end,
            self.demand(view, end),
            paths=self.paths,
            forwarders=self.forwarders(view),
            n_alike=n_alike,
            origin=origin,
            is_out=self.is_out,
            is_narrow=self.has_one_target,
        )


@dataclass(frozen=True, eq=False)
class Commodities:
    """Traffic on a fabric: all commodities of a question, and the classes of links that they share.

    Parameters
    ----------
    base : Quotient
        With failures marked.
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    commodities : sequence of Commodity
    n_endpoints : float
        Endpoints that send or receive.
    cut_off : tuple of (str, float)
        Classes of endpoints that cannot take part: one device and how many.
    blueprint : Blueprint or None
        None where the axes say nothing.
    is_averaged : bool
        Whether one source stands for all of its class.
    apart, ties
        As given to `fabric.symmetry.quotient`.
    shift : tuple of (str, int, int) or None
        Axis, places and size, where every source has one target.
    root : Mark or None
        Where all traffic starts, or where it ends.
    asked : Asked or None
        What the commodities are held to.
    n_sources : float
        Devices that send, or receive where all commodities are of targets.
    views : tuple of LinkView
        Where refinement found the classes: all links as seen from the sources of each commodity.
    owed : Owed or None
        What the file says of who sends to whom; None where the demands are listed one by one.
    """

    base: Quotient
    capacity: Floats
    commodities: list[Commodity]
    n_endpoints: float
    cut_off: tuple[tuple[str, float], ...]
    blueprint: Blueprint | None = None
    is_averaged: bool = True
    apart: tuple[Selector, ...] = ()
    ties: tuple[Tie, ...] = ()
    shift: tuple[str, int, int] | None = None
    root: Mark | None = None
    asked: Asked | None = None
    n_sources: float = 0.0
    views: tuple[LinkView, ...] = ()
    owed: Owed | None = None

    @property
    def method(self) -> str:
        """How the classes were found."""
        return "axes" if self.blueprint is not None else "refinement" if self.views else "links"

    def n_listings(self, rule: int) -> int:
        """Return how often the base lists each cable of a rule: on classes, those between peers each way."""
        # Real cables stand in the expanded form once.
        if self.method == "links":
            return 1
        rules = self.views[0].expanded.rules if self.blueprint is None else self.blueprint.rules
        return 2 if rules[rule].is_peer and not rules[rule].is_oneway else 1

    @property
    def n_moves(self) -> int:
        """Moves of all commodities: what the program costs."""
        return sum(len(commodity.moves.tail) for commodity in self.commodities)

    def places(self, sources: Mapping[str, Ints]) -> tuple[Mapping[str, Ints], ...]:
        """Return the devices that are marked for each of `sources`: itself, and its one target if it has one.

        All by their index on each axis, shape (n,).
        """
        if self.shift is None:
            return (sources,)
        # A shift marks two devices in each view.
        axis, by, size = self.shift
        return sources, {p: (i + by) % size if p == axis else i for p, i in sources.items()}

    def load(self, flow: Iterable[Floats]) -> Floats:
        """Return what all commodities together put on every base class of links [Gb/s].

        Parameters
        ----------
        flow : iterable of ndarray of float64
            As `Solution.flow`.
        """
        load = np.zeros(len(self.capacity))
        for commodity, one_flow in zip(self.commodities, flow, strict=True):
            # Turns inside a device take no capacity.
            on = commodity.moves.link >= 0
            base = commodity.view.base[commodity.moves.link[on]]
            load += np.bincount(base, commodity.n_alike * one_flow[on], minlength=len(load))
        return load

    def use(self, flow: Iterable[Floats]) -> Floats:
        """Return load over capacity of every base class of links."""
        load = self.load(flow)
        return np.divide(load, self.capacity, out=np.zeros(len(load)), where=self.capacity > 0)


def capacities(base: Quotient) -> Floats:
    """Return the capacity of every base class of links [Gb/s]."""
    capacity = np.zeros(int(base.base.max(initial=-1)) + 1)
    # All cables of all bundles of a class together.
    np.add.at(capacity, base.base, np.repeat(base.classes.count * base.classes.rate_gbps, 2))
    return capacity


def trivial(expanded: Expanded) -> Quotient:
    """Return `expanded` as a quotient in which every class is one device or one link."""
    n, m = expanded.n_devices, 2 * expanded.n_bundles
    # What has failed is left out by its count, so that capacities are those of the cables that are up.
    up = replace(expanded, count=expanded.alive, failed_count=np.zeros(expanded.n_bundles, dtype=np.int64))
    return Quotient(up, np.ones(n), {}, np.arange(m), np.arange(n), np.zeros((0, 1), np.int64))


def commodity_of(
    view: Quotient,
    end: int,
    demand: Floats,
    *,
    paths: Paths,
    forwarders: Expanded | None = None,
    n_alike: float = 1.0,
    origin: int = -1,
    is_out: bool = True,
    is_narrow: bool = False,
) -> Commodity:
    """Return the traffic between one class and others as a commodity.

    Parameters
    ----------
    view : Quotient
    own : int
        The class of one device that sends, or receives.
    demand : ndarray of float64, shape (c,)
        What all devices of each class together receive from it, or send to it, at unit rate.
    paths : {"rules", "no-relay", "any"}
    forwarders : Expanded, optional
        The classes of `view` with other transits.
    n_alike, origin
        As in `Commodity`.
    is_out : bool
        Whether `end` sends.
    is_narrow : bool
        Whether moves on no way from the one to a partner are left out.
    """
    is_end, is_partner = np.arange(len(view.size)) == end, demand > 0
    sides = (is_end, is_partner) if is_out else (is_partner, is_end)
    moves = forwarding(view.classes if forwarders is None else forwarders, *sides, paths=paths)
    if is_narrow:
        moves = on_the_way(moves, *sides)
    # Where the class receives, all signs turn: the partners send.
    at, far, sign = (moves.source, moves.target, 1.0) if is_out else (moves.target, moves.source, -1.0)
    supply = np.zeros(moves.n_states)
    supply[far[is_partner]] = -sign * demand[is_partner]
    # What the partners take in all, so that the supply sums to 0.
    supply[at[end]] = sign * demand.sum()
    return Commodity(n_alike, view, moves, supply, origin)


def limit_moves(
    commodities: Iterable[Commodity], program: str, most: int | None = None
) -> Iterator[Commodity]:
    """Pass `commodities` on as long as they make a program that can be solved.

    Raises
    ------
    ProgramSizeError
        If together they have more than `most` moves, else `MAX_VARIABLES`; `program` says which that is.
    """
    most, n_variables = MAX_VARIABLES if most is None else most, 0
    # Counted while they are made: a program that is too large is never held whole.
    for commodity in commodities:
        n_variables += len(commodity.moves.tail)
        if n_variables > most:
            msg = f"{program} has more than {most:,} variables"
            raise ProgramSizeError(msg)
        yield commodity


def without_cut_off(
    build: Callable[[Bools], tuple[Commodities, Bools]], n: int, *, drop_unreachable: bool
) -> Commodities:
    """Return the traffic among those that reach most of one another.

    Parameters
    ----------
    build : callable
        Traffic among those that are kept, shape (n,), with the names of those of them that are cut off; and
        which these are.
    n : int
        Devices, or classes of them.
    drop_unreachable : bool
        Whether to leave out those that are cut off; else they are only named.

    Raises
    ------
    QuestionError
        If nobody has another one to send to.
    """
    kept = np.ones(n, dtype=np.bool_)
    cut_off: tuple[tuple[str, float], ...] = ()
    # Leaving some out can cut off others, whose majority they were.
    while True:
        work, lost = build(kept)
        cut_off += work.cut_off
        if not work.commodities:
            raise nobody_left(cut_off[0][0] if cut_off else "")
        if not lost.any() or not drop_unreachable:
            return replace(work, cut_off=cut_off)
        kept &= ~lost


def nobody_left(cut_off: str) -> QuestionError:
    """Return the error that nobody has another one to send to; `cut_off` is one who would have had."""
    if cut_off:
        reason = f"{cut_off} and others cannot reach most of the rest"
        msg = f"no majority of the endpoints is left: {reason}; choose with {setting('among')}"
        return QuestionError(msg)
    return QuestionError(f"no endpoint has another one to send to; choose other axes for {setting('over')}")


def unreached(commodity: Commodity) -> tuple[Ints, Ints]:
    """Return the device classes of the one source or target that is cut off, or else of those it misses."""
    moves, supply = commodity.moves, commodity.supply
    starts, ends = supply > 0, supply < 0
    # Several starts: one target, searched against the arrows.
    if int(starts.sum()) > 1:
        single, missed = ends, starts & ~reachable(moves.n_states, moves.head, moves.tail, ends)
        n_partners = float(commodity.view.size[moves.device[starts]].sum())
    else:
        single, missed = starts, ends & ~reachable(moves.n_states, moves.tail, moves.head, starts)
        n_partners = float(commodity.view.size[moves.device[ends]].sum())
    far, none = moves.device[missed], np.zeros(0, dtype=np.int64)
    n_far = float(commodity.view.size[far].sum())
    if not n_far:
        return none, none
    # The single end is cut off unless it reaches more than half, itself included.
    return (none, far) if 2 * n_far < n_partners + 1 else (moves.device[single], none)


def without(work: Commodities, lost: Bools) -> list[Commodity] | None:
    """Return averaged traffic when some base classes of endpoints neither send nor receive.

    Every source then sends as much as before, to the targets that are left; None where nothing is left.
    """
    commodities = []
    for commodity in work.commodities:
        # A source that is left out has no commodity.
        if commodity.origin < 0 or lost[work.base.origin == commodity.origin].any():
            continue
        supply = commodity.supply.copy()
        gone = lost[commodity.view.origin[commodity.moves.device]] & (supply < 0)
        supply[gone] = 0.0
        remaining = -supply[supply < 0].sum()
        if remaining > 0:
            # The rate of a source stays 1: its demands are dealt to the targets that are left.
            supply[supply < 0] /= remaining
            commodities.append(replace(commodity, supply=supply))
    return commodities or None


def name_classes(base: Quotient, lost: Bools) -> tuple[tuple[str, float], ...]:
    """Return one device of each class, and how many."""
    rows = np.flatnonzero(lost)
    return tuple((str(base.classes.names[i]), float(base.size[i])) for i in rows.tolist())
