"""Traffic patterns as commodities on the quotient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.blueprint.join import relation_axes
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.blueprint.selector import fits, selected_groups
from fabric.errors import QuestionError, setting
from fabric.flow.lifted import LinkView
from fabric.flow.program import MAX_VARIABLES, Commodity, ProgramSizeError, capacities
from fabric.flow.traffic import FittedTraffic, Traffic, moved
from fabric.graph import Expanded, Paths, forwarding, freed, reachable
from fabric.symmetry import Mark, Quotient, Tie, quotient


@dataclass(frozen=True, eq=False)
class Commodities:
    """Traffic on a blueprint.

    Parameters
    ----------
    base : Quotient
        With failures marked.
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    blocks : list of Commodity
    n_endpoints : float
        Endpoints that send or receive.
    cut_off : tuple of (str, float)
        Base classes of endpoints that cannot take part: one device and how many.
    blueprint : Blueprint or None
        None where classes are real devices and links.
    is_averaged : bool
        Whether one source stands for all of its class.
    apart, ties
        As given to `fabric.symmetry.quotient`.
    shift : tuple of (str, int, int) or None
        Axis, places and size, where every source has one target.
    root : Mark or None
        Where all traffic starts, or where it ends.
    views : tuple of LinkView
        Where refinement found the classes: all links as seen from the sources of each block.
    """

    base: Quotient
    capacity: Floats
    blocks: list[Commodity]
    n_endpoints: float
    cut_off: tuple[tuple[str, float], ...]
    blueprint: Blueprint | None = None
    is_averaged: bool = True
    apart: tuple[Selector, ...] = ()
    ties: tuple[Tie, ...] = ()
    shift: tuple[str, int, int] | None = None
    root: Mark | None = None
    views: tuple[LinkView, ...] = ()

    @property
    def method(self) -> str:
        """How the classes were found."""
        return "axes" if self.blueprint is not None else "refinement" if self.views else "links"

    def n_listings(self, rule: int) -> int:
        """Return how often the base lists each cable of a rule: on classes, those between peers each way."""
        if self.method == "links":
            return 1
        rules = self.views[0].expanded.rules if self.blueprint is None else self.blueprint.rules
        return 2 if rules[rule].is_peer and not rules[rule].is_oneway else 1

    @property
    def n_moves(self) -> int:
        """Moves of all blocks: what the program costs."""
        return sum(len(block.moves.tail) for block in self.blocks)

    def marks(self, source: Mark) -> tuple[Mark, ...]:
        """Return the devices that are marked for `source`: itself, and its one target if it has one."""
        return (source,) if self.shift is None else (source, moved(source, *self.shift))


def commodities(
    blueprint: Blueprint,
    traffic: Traffic,
    *,
    among: str | None = None,
    paths: Paths = "rules",
    drop_unreachable: bool = False,
    is_holding: bool = False,
) -> Commodities:
    """Return `traffic` among the endpoints of `blueprint` as commodities on classes.

    Raises
    ------
    QuestionError
        If the traffic does not fit the fabric.
    SelectorError
        If a selector cannot be read.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """
    plan = ClassTraffic(blueprint, traffic, among, paths, is_holding=is_holding)
    lost = np.zeros(len(plan.base.size), dtype=np.bool_)
    blocks = list(plan.blocks(~lost))
    more = plan.lost(blocks)
    while more.any():
        lost |= more
        if not drop_unreachable:
            break
        blocks = list(plan.blocks(~lost))
        more = plan.lost(blocks)
    if not blocks:
        raise QuestionError(_nothing(plan, lost))
    cut_off = tuple(
        (str(plan.base.classes.names[i]), float(plan.base.size[i])) for i in np.flatnonzero(lost).tolist()
    )
    ends = plan.ends & ~lost if drop_unreachable else plan.ends
    return Commodities(
        plan.base,
        capacities(plan.base),
        blocks,
        float(plan.base.size[ends].sum()),
        cut_off,
        blueprint,
        plan.root is None,
        plan.apart,
        plan.ties,
        plan.shift,
        plan.root,
    )


def _nothing(plan: ClassTraffic, lost: Bools) -> str:
    """Return why no endpoint has anything to send."""
    if not lost.any():
        alone = f"{plan.traffic.pattern}: no endpoint has another one to send to"
        return f"{alone}; choose other axes for {setting('over')}"
    who = plan.base.classes.names[int(np.flatnonzero(lost)[0])]
    what = f"{who} and others cannot reach most of the rest"
    return f"no majority of the endpoints is left: {what}; choose with {setting('among')}"


def without(work: Commodities, lost: Bools) -> list[Commodity] | None:
    """Return the blocks of averaged traffic when some base classes of endpoints neither send nor receive.

    Every source then sends as much as before, to the targets that are left; None where nothing is left.
    """
    found = []
    for block in work.blocks:
        if block.origin < 0 or lost[work.base.origin == block.origin].any():
            continue
        supply = block.supply.copy()
        gone = lost[block.view.origin[block.moves.device]] & (supply < 0)
        supply[gone] = 0.0
        left = -supply[supply < 0].sum()
        if left > 0:
            supply[supply < 0] /= left
            found.append(replace(block, supply=supply))
    return found or None


class ClassTraffic(FittedTraffic):
    """A question on the quotient: which classes take part, and the blocks of its traffic.

    Parameters
    ----------
    blueprint, traffic, among, paths
    kept : frozenset of str
        Primitive axes all of whose indices are told apart.
    is_holding : bool
        Whether those that take part pass on data whatever their transit, because they hold it.

    Raises
    ------
    QuestionError, SelectorError
        If it does not fit.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        traffic: Traffic,
        among: str | None,
        paths: Paths,
        *,
        kept: frozenset[str] = frozenset(),
        is_holding: bool = False,
    ) -> None:
        super().__init__(blueprint, traffic, among)
        self.paths, self.is_holding = paths, is_holding
        self.apart = tuple(s for s in (self.among, *self._halves(), *self._places()) if s is not None)
        self.ties = (*self._ties(self.groups), *self._kept(kept))
        # A root is one commodity: it is kept in place in the base as well.
        fixed = () if self.root is None else (self.root,)
        self.base = quotient(blueprint, apart=self.apart, ties=self.ties, fixed=fixed)
        self.ends = self.inside(self.base)
        n = float(self.base.size[self.ends].sum())
        if n < 2:
            msg = f"{traffic.pattern} needs at least 2 endpoints; the job has {int(n)}"
            raise QuestionError(msg)

    def group_sizes(self) -> tuple[int, int]:
        """Return the ranks of the smallest and of the largest group of all-to-all."""
        if not self.spans:
            return (round(float(self.base.size[self.ends].sum())),) * 2
        found = []
        for one in np.flatnonzero(self.ends).tolist():
            view = quotient(self.blueprint, (self.base.index[one],), apart=self.apart, ties=self.ties)
            own = _class_of(view, self.base.index[one], int(self.base.classes.group[one]))
            found.append(round(float(self._weights(view, own, self.inside(view)).sum())) + 1)
        return min(found), max(found)

    def _halves(self) -> tuple[Selector, ...]:
        if self.traffic.pattern != "halves":
            return ()
        (axis,) = self.spans
        return (Selector("", None, (Term(axis, 0, self.blueprint.axes[axis].size // 2 - 1),)),)

    def _places(self) -> tuple[Selector, ...]:
        """Return every index of the axis of a shift, unless nothing but the shift tells two of them apart.

        Rotations alone keep a shift, so what a mesh, a selection or a failure tells apart no permutation
        brings back together; the sources are then told apart one by one.
        """
        if self.shift is None:
            return ()
        axis, _, size = self.shift
        b = self.blueprint
        sides = (s for r in b.rules for s in (r.left, r.right))
        cables = (s for c in b.failed_cables for s in (c.left, c.right))
        job = () if self.among is None else (self.among,)
        named = {t.axis for s in (*sides, *cables, *b.absent, *b.failed, *job) for t in s.terms}
        named |= {a for r in b.rules if r.relation and r.relation.kind == "mesh" for a in relation_axes(b, r)}
        named |= {r.count_axis for r in b.rules if r.count_axis}
        if not any(axis in b.primitives(a) for a in named):
            return ()
        return tuple(Selector("", None, (Term(axis, i, i),)) for i in range(size))

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        if self.traffic.pattern == "shift" or (self.traffic.pattern == "all-to-all" and self.spans):
            turned = self.spans if self.traffic.pattern == "shift" else frozenset()
            return tuple(
                Tie(g, frozenset(self.blueprint.groups[g].primitives) - self.spans, turned) for g in groups
            )
        return ()

    def _kept(self, kept: frozenset[str]) -> tuple[Tie, ...]:
        every = {g.name: frozenset(g.primitives) for g in self.blueprint.groups.values()}
        return tuple(Tie(g, every[g], kept=kept) for g in self.groups[:1]) if kept else ()

    def inside(self, view: Quotient) -> Bools:
        """Return which classes of `view` are endpoints of the job."""
        ends = view.classes.is_endpoint
        if self.among is None:
            return ends
        groups = selected_groups(self.blueprint, self.among)
        names = list(self.blueprint.groups)
        ends &= np.isin(view.classes.group, [names.index(g) for g in groups])
        for i in np.flatnonzero(ends).tolist():
            at = dict(view.index[i])
            ends[i] = fits(self.blueprint, self.among, at)
        return ends

    def _forwarders(self, view: Quotient) -> Expanded:
        return freed(view.classes, self.inside(view)) if self.is_holding else view.classes

    def blocks(self, kept: Bools) -> Iterator[Commodity]:
        """Yield the commodities among the base classes that are `kept`."""
        if self.root is not None:
            yield self._single(kept)
            return
        n_variables = 0
        for one in np.flatnonzero(self.ends & kept).tolist():
            source = self.base.index[one]
            marks = (source,) if self.shift is None else (source, moved(source, *self.shift))
            view = quotient(self.blueprint, marks, apart=self.apart, ties=self.ties)
            own = _class_of(view, source, int(self.base.classes.group[one]))
            weight = self._weights(view, own, self.inside(view) & kept[view.origin])
            if weight.sum() > 0:
                block = self._block(view, own, weight, one)
                n_variables += len(block.moves.tail)
                if n_variables > MAX_VARIABLES:
                    n = int((self.ends & kept).sum())
                    msg = f"the program of {n:,} classes of sources has more than {MAX_VARIABLES:,} variables"
                    raise ProgramSizeError(msg)
                yield block

    def _block(self, view: Quotient, own: int, weight: Floats, one: int) -> Commodity:
        source = np.zeros(len(view.size), dtype=np.bool_)
        source[own] = True
        moves = forwarding(self._forwarders(view), source, weight > 0, paths=self.paths)
        supply = np.zeros(moves.n_states)
        targets = np.flatnonzero(weight > 0)
        np.add.at(supply, moves.target[targets], -weight[targets] / weight.sum())
        supply[moves.source[own]] += 1.0
        return Commodity(float(self.base.size[one]), view, moves, supply, int(self.base.origin[one]))

    def _weights(self, view: Quotient, own: int, ends: Bools) -> Floats:
        """Return how many devices of each class are targets of the source."""
        weight = np.where(ends, view.size, 0.0)
        weight[own] = 0.0
        home = dict(view.index[own])
        for i in np.flatnonzero(weight).tolist():
            at = dict(view.index[i])
            if self.traffic.pattern == "halves":
                (axis,) = self.spans
                half = self.blueprint.axes[axis].size // 2
                weight[i] *= (home[axis] < half) != (at[axis] < half)
            elif self.traffic.pattern == "shift":
                is_target = view.index[i] == moved(view.index[own], *self.shift) if self.shift else False
                weight[i] *= is_target and view.classes.group[i] == view.classes.group[own]
            elif self.spans:
                weight[i] *= all(at.get(p) == i_ for p, i_ in home.items() if p not in self.spans)
        return weight

    def _single(self, kept: Bools) -> Commodity:
        """Return the one commodity of one-to-all or all-to-one; the rate is that of each of the others."""
        view = self.base
        names = list(self.blueprint.groups)
        own = _class_of(view, self.root or (), names.index(self._root_group()))
        others = self.ends & kept
        others[own] = False
        if not kept[view.origin[own]]:
            msg = f"root {self.traffic.root!r} is cut off from most of the others"
            raise QuestionError(msg)
        root = np.zeros(len(view.size), dtype=np.bool_)
        root[own] = True
        is_out = self.traffic.pattern == "one-to-all"
        sides = (root, others) if is_out else (others, root)
        moves = forwarding(self._forwarders(view), *sides, paths=self.paths)
        supply = np.zeros(moves.n_states)
        chosen = np.flatnonzero(others)
        sign = -1.0 if is_out else 1.0
        np.add.at(supply, (moves.target if is_out else moves.source)[chosen], sign * view.size[chosen])
        supply[(moves.source if is_out else moves.target)[own]] -= sign * view.size[chosen].sum()
        return Commodity(1.0, view, moves, supply)

    def lost(self, blocks: list[Commodity]) -> Bools:
        """Return the base classes of endpoints that cannot exchange traffic with most of the others.

        Where a source reaches the majority, it counts itself too, what it does not reach is cut off;
        otherwise the source is.
        """
        found = np.zeros(len(self.base.size), dtype=np.bool_)
        for block in blocks:
            if any(len(part) for part in unreached(block)):
                # A source of a shift has one target, which says nothing about which of the two is cut off.
                whole = block if self.shift is None else self._whole(block)
                one, far = unreached(whole)
                found[np.unique(whole.view.origin[far])] = True
                found[np.unique(whole.view.origin[one])] = True
        return found

    def _whole(self, block: Commodity) -> Commodity:
        """Return `block` with all endpoints along the axis of its shift as targets."""
        view = block.view
        own = int(block.moves.device[np.flatnonzero(block.supply > 0)[0]])
        home = dict(view.index[own])
        near = [all(dict(i).get(p) == k for p, k in home.items() if p not in self.spans) for i in view.index]
        weight = np.where(self.inside(view) & np.array(near), view.size, 0.0)
        weight[own] = 0.0
        return self._block(view, own, weight, block.origin)


def unreached(block: Commodity) -> tuple[Ints, Ints]:
    """Return the device classes of the one source or target that is cut off, or else of those it misses."""
    moves = block.moves
    starts, ends = block.supply > 0, block.supply < 0
    if int(starts.sum()) > 1:
        one, others = ends, starts & ~reachable(moves.n_states, moves.head, moves.tail, ends)
        n_others = float(block.view.size[moves.device[starts]].sum())
    else:
        one, others = starts, ends & ~reachable(moves.n_states, moves.tail, moves.head, starts)
        n_others = float(block.view.size[moves.device[ends]].sum())
    far, none = moves.device[others], np.zeros(0, dtype=np.int64)
    n_far = float(block.view.size[far].sum())
    if not n_far:
        return none, none
    return (none, far) if 2 * n_far < n_others + 1 else (moves.device[one], none)


def _class_of(view: Quotient, mark: Mark, group: int) -> int:
    for i in np.flatnonzero(view.classes.group == group).tolist():
        if view.index[i] == mark and view.size[i] == 1:
            return i
    where = "/".join(f"{axis}{i}" for axis, i in mark)
    msg = f"{view.classes.groups[group].name} at {where} is down or absent"
    raise QuestionError(msg)
