"""Traffic patterns as commodities on the quotient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.blueprint.model import Blueprint, Selector, Term
from fabric.blueprint.rule_axes import relation_axes
from fabric.blueprint.selector import fitting, selected_groups
from fabric.errors import QuestionError
from fabric.flow.commodities import (
    MAX_TOGETHER,
    Asked,
    Commodities,
    Commodity,
    capacities,
    commodity_of,
    limit_moves,
    name_classes,
    unreached,
    without_cut_off,
)
from fabric.flow.traffic import FittedTraffic, Traffic, shift_mark
from fabric.graph import Expanded, Paths, let_forward
from fabric.symmetry import Mark, Quotient, Sides, Tie, devices_up, quotient


@dataclass(frozen=True, slots=True)
class KeptInPlace:
    """What the permutations of a question keep in place, as `fabric.symmetry.quotient` has it.

    Parameters
    ----------
    apart : tuple of Selector
    ties : tuple of Tie
    """

    apart: tuple[Selector, ...]
    ties: tuple[Tie, ...]


def kept_by_all(plans: Iterable[ClassTraffic]) -> KeptInPlace:
    """Return what permutations keep in place that keep every one of some questions in place."""
    plans = tuple(plans)
    apart = dict.fromkeys(selector for plan in plans for selector in (*plan.apart, *plan.root_place()))
    # What one tells apart along the axis of another's shift leaves no rotation of it.
    named = {p for s in apart for t in s.terms for plan in plans for p in plan.blueprint.primitives(t.axis)}
    for plan in plans:
        if plan.shift is not None and plan.shift[0] in named:
            apart.update(dict.fromkeys(plan.every_place()))
    return KeptInPlace(tuple(apart), tuple(dict.fromkeys(tie for plan in plans for tie in plan.ties)))


def axes_program(
    blueprint: Blueprint,
    traffic: Traffic,
    *,
    among: str | None = None,
    paths: Paths = "rules",
    drop_unreachable: bool = False,
    is_holding: bool = False,
    beside: KeptInPlace | None = None,
) -> Commodities:
    """Return `traffic` among the endpoints of `blueprint` as commodities on classes.

    With `beside`, on the classes of all questions that this one is asked beside; see `kept_by_all`.

    Raises
    ------
    QuestionError
        If the traffic does not fit the fabric, or nobody is left.
    SelectorError
        If a selector cannot be read.
    NoSymmetryError
        If the axes do not say the symmetry of a construct.
    ProgramSizeError
        If the program has more than `MAX_VARIABLES` variables.
    """
    plan = ClassTraffic(blueprint, traffic, among, paths, is_holding=is_holding, beside=beside)
    base = plan.base

    def build(kept: Bools) -> tuple[Commodities, Bools]:
        program = f"the program of {int((plan.ends & kept).sum()):,} classes of sources"
        most = None if beside is None else MAX_TOGETHER
        commodities = list(limit_moves(plan.commodities(kept), program, most))
        # What is left out changes the majorities: `without_cut_off` builds again until none is lost.
        lost = plan.lost(commodities)
        work = Commodities(
            base=base,
            capacity=capacities(base),
            commodities=commodities,
            n_endpoints=float(base.size[plan.ends & kept].sum()),
            cut_off=name_classes(base, lost),
            blueprint=blueprint,
            is_averaged=plan.root is None,
            apart=plan.apart,
            ties=plan.ties,
            shift=plan.shift,
            root=plan.root,
            asked=plan.asked(kept),
            n_sources=plan.n_sources(kept, commodities),
        )
        return work, lost

    return without_cut_off(build, len(base.size), drop_unreachable=drop_unreachable)


class ClassTraffic(FittedTraffic):
    """A question on the quotient: which classes take part, and the commodities of its traffic.

    Parameters
    ----------
    blueprint, traffic, among, paths
    kept : frozenset of str
        Primitive axes all of whose indices are told apart.
    is_holding : bool
        Whether those that take part pass on data whatever their transit, because they hold it.
    is_coloured : bool
        Whether those that take part are a colour, as damage is: a part here and a part there cut no axis from
        end to end.
    colours : sequence of sequence of str
        Those of several questions instead, this one among them, a colour each.
    beside : KeptInPlace, optional
        What all questions keep in place that this one is asked beside.

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
        among: str | Sequence[str] | None,
        paths: Paths,
        *,
        kept: frozenset[str] = frozenset(),
        is_holding: bool = False,
        is_coloured: bool = False,
        colours: Sequence[Sequence[str]] = (),
        beside: KeptInPlace | None = None,
    ) -> None:
        super().__init__(blueprint, traffic, among)
        self.paths, self.is_holding, self.beside = paths, is_holding, beside
        self.sides: Sides = (self.chosen,) if is_coloured and self.chosen else ()
        if colours:
            self.sides = tuple(FittedTraffic(blueprint, Traffic(), some).chosen for some in colours)
        self.apart = (*(() if is_coloured else self.chosen), *self._halves(), *self._places())
        self.ties = (*self._ties(self.groups), *self._kept_ties(kept))
        if beside is not None:
            self.apart, self.ties = beside.apart, beside.ties
        # A root is one commodity: it is kept in place in the base as well, unless all questions do so.
        fixed = () if self.root is None or beside is not None else (self.root,)
        self.base = quotient(blueprint, apart=self.apart, ties=self.ties, fixed=fixed, sides=self.sides)
        self.ends = self.inside(self.base)
        n = float(self.base.size[self.ends].sum())
        if n < 2:
            msg = f"traffic needs at least 2 endpoints; the job has {int(n)}"
            raise QuestionError(msg)

    def group_sizes(self) -> tuple[int, int]:
        """Return the ranks of the smallest and of the largest group of all-to-all."""
        if not self.spans:
            return (round(float(self.base.size[self.ends].sum())),) * 2
        sizes = []
        for source in np.flatnonzero(self.ends).tolist():
            # Ranks of one group: the targets of a source, and itself.
            view = quotient(self.blueprint, (self.base.index[source],), apart=self.apart, ties=self.ties)
            end = _class_of(view, self.base.index[source], int(self.base.classes.group[source]))
            sizes.append(round(float(self._weights(view, end, self.inside(view)).sum())) + 1)
        return min(sizes), max(sizes)

    def _halves(self) -> tuple[Selector, ...]:
        if self.traffic.pattern != "halves":
            return ()
        (axis,) = self.spans
        # The first half, told apart: the second is what is left.
        return (Selector("", None, (Term(axis, 0, self.blueprint.axes[axis].size // 2 - 1),)),)

    def _places(self) -> tuple[Selector, ...]:
        """Return every index of the axis of a shift, unless nothing but the shift tells two of them apart.

        Rotations alone keep a shift, so what a mesh, a selection or a failure tells apart no permutation
        brings back together; the sources are then told apart one by one.
        """
        if self.shift is None:
            return ()
        axis, b = self.shift[0], self.blueprint
        # All axes whose indices the file, the job or a failure tells apart.
        sides = (s for r in b.rules for s in (r.left, r.right))
        cables = (s for c in b.marked_cables for s in (c.left, c.right))
        axes_named = {t.axis for s in (*sides, *cables, *b.absent, *b.failed, *self.chosen) for t in s.terms}
        axes_named |= {
            a for r in b.rules if r.relation and r.relation.kind == "mesh" for a in relation_axes(b, r)
        }
        axes_named |= {r.count_axis for r in b.rules if r.count_axis}
        # Nothing does so on this axis: rotations along it make one class of its indices.
        if not any(axis in b.primitives(a) for a in axes_named):
            return ()
        return self.every_place()

    def every_place(self) -> tuple[Selector, ...]:
        """Return every index of the axis of a shift by itself; nothing of another pattern."""
        if self.shift is None:
            return ()
        axis, _, size = self.shift
        return tuple(Selector("", None, (Term(axis, i, i),)) for i in range(size))

    def root_place(self) -> tuple[Selector, ...]:
        """Return the place of the root, told apart; nothing of a pattern without one."""
        if self.root is None:
            return ()
        return (Selector("", None, tuple(Term(axis, i, i) for axis, i in self.root)),)

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        if self.traffic.pattern == "shift" or (self.traffic.pattern == "all-to-all" and self.spans):
            # A shift goes round its axis: permutations may turn it but not reverse it.
            turned = self.spans if self.traffic.pattern == "shift" else frozenset()
            return tuple(
                Tie(g, frozenset(self.blueprint.groups[g].primitives) - self.spans, turned) for g in groups
            )
        return ()

    def _kept_ties(self, kept: frozenset[str]) -> tuple[Tie, ...]:
        every = {g.name: frozenset(g.primitives) for g in self.blueprint.groups.values()}
        return tuple(Tie(g, every[g], kept=kept) for g in self.groups[:1]) if kept else ()

    def inside(self, view: Quotient) -> Bools:
        """Return which classes of `view` are endpoints of the job."""
        ends = view.classes.is_endpoint
        if not self.chosen:
            return ends
        names = list(self.blueprint.groups)
        inside = np.zeros(len(ends), dtype=np.bool_)
        # Classes are told apart by the job, so one index of each says it for all of it.
        for selector in self.chosen:
            groups = [names.index(group) for group in selected_groups(self.blueprint, selector)]
            rows = np.flatnonzero(ends & np.isin(view.classes.group, groups))
            at = {p: index[rows] for p, index in view.places.items()}
            inside[rows] |= fitting(self.blueprint, selector, at, len(rows))
        return inside

    def _forwarders(self, view: Quotient) -> Expanded:
        return let_forward(view.classes, self.inside(view)) if self.is_holding else view.classes

    def asked(self, kept: Bools) -> Asked:
        """Return what the question asks of the commodities among the base classes that are `kept`."""

        def averaged(view: Quotient, end: int) -> Floats:
            weight = self._weights(view, end, self.inside(view) & kept[view.origin])
            return weight / (weight.sum() or 1.0)

        def single(view: Quotient, end: int) -> Floats:
            partners = self.inside(view) & kept[view.origin] & (np.arange(len(view.size)) != end)
            return np.where(partners, view.size, 0.0)

        # All-to-one is one commodity towards its root, whose class receives.
        is_out = self.traffic.pattern != "all-to-one"
        return Asked(
            averaged if self.root is None else single,
            self.paths,
            self._forwarders,
            is_out,
            self.shift is not None,
        )

    def n_sources(self, kept: Bools, commodities: list[Commodity]) -> float:
        """Return how many devices send, or 1 for a root; where all send, counted in the file."""
        if self.root is not None or self.spans:
            return sum(commodity.n_alike for commodity in commodities)
        # Counted in the file, not in the classes: a check of these must not rest on them.
        n = sum(devices_up(self.blueprint, group, *self.chosen) for group in self.groups)
        return n - float(self.base.size[self.ends & ~kept].sum())

    def commodities(self, kept: Bools) -> Iterator[Commodity]:
        """Yield the commodities among the base classes that are `kept`."""
        asked = self.asked(kept)
        if self.root is not None:
            yield from self._single(asked, kept)
            return
        for source in np.flatnonzero(self.ends & kept).tolist():
            mark = self.base.mark(source)
            # A shift marks the one target as well, or its class would share what it alone receives.
            marks = (mark,) if self.shift is None else (mark, shift_mark(mark, *self.shift))
            view = quotient(self.blueprint, marks, apart=self.apart, ties=self.ties)
            end = _class_of(view, mark, int(self.base.classes.group[source]))
            commodity = asked.commodity(
                view, end, float(self.base.size[source]), int(self.base.origin[source])
            )
            if commodity.supply.any():
                yield commodity

    def _weights(self, view: Quotient, end: int, ends: Bools) -> Floats:
        """Return how many devices of each class are targets of the source."""
        weight = np.where(ends, view.size, 0.0)
        weight[end] = 0.0
        # What a target shares with the source, or differs in, is the pattern.
        if self.traffic.pattern == "halves":
            (axis,) = self.spans
            is_first = view.places[axis] < self.blueprint.axes[axis].size // 2
            weight *= is_first != is_first[end]
        elif self.traffic.pattern == "shift":
            group = view.classes.group
            there = shift_mark(view.mark(end), *self.shift) if self.shift else None
            weight *= view.is_at(there) & (group == group[end]) if there is not None else 0.0
        elif self.spans:
            weight *= _agree(view, end, self.spans)
        return weight

    def _single(self, asked: Asked, kept: Bools) -> Iterator[Commodity]:
        """Yield the one commodity of one-to-all or all-to-one; the rate is that of each of the others."""
        names = list(self.blueprint.groups)
        root = self.root or ()
        # Beside other questions the base is that of all of them.
        view = self.base
        if self.beside is not None:
            view = quotient(self.blueprint, (root,), apart=self.apart, ties=self.ties)
        end = _class_of(view, root, names.index(self._root_group()))
        if not kept[view.origin[end]]:
            msg = f"root {self.traffic.root!r} is cut off from most of the others"
            raise QuestionError(msg)
        commodity = asked.commodity(view, end)
        if commodity.supply.any():
            yield commodity

    def lost(self, commodities: list[Commodity]) -> Bools:
        """Return the base classes of endpoints that cannot exchange traffic with most of the others.

        Where a source reaches the majority, it counts itself too, what it does not reach is cut off;
        otherwise the source is.
        """
        lost = np.zeros(len(self.base.size), dtype=np.bool_)
        for commodity in commodities:
            # Only a commodity that misses something is looked at again.
            if any(len(part) for part in unreached(commodity)):
                # A source of a shift has one target, which says nothing about which of the two is cut off.
                along = commodity if self.shift is None else self._along_axis(commodity)
                for part in unreached(along):
                    lost[np.unique(along.view.origin[part])] = True
        return lost

    def _along_axis(self, commodity: Commodity) -> Commodity:
        """Return `commodity` with all endpoints along the axis of its shift as targets."""
        view = commodity.view
        end = int(commodity.moves.device[np.flatnonzero(commodity.supply > 0)[0]])
        # Classes on the same indices as the source, but for the axis of the shift.
        weight = np.where(self.inside(view) & _agree(view, end, self.spans), view.size, 0.0)
        weight[end] = 0.0
        forwarders = self._forwarders(view)
        demand = weight / weight.sum()
        return commodity_of(
            view, end, demand, paths=self.paths, forwarders=forwarders, origin=commodity.origin
        )


def _agree(view: Quotient, end: int, spans: frozenset[str]) -> Bools:
    """Return which classes have the index of a source on all of its axes but some, shape (c,)."""
    found = np.ones(len(view.size), dtype=np.bool_)
    for at in (at for p, at in view.places.items() if p not in spans and at[end] >= 0):
        found &= at == at[end]
    return found


def _class_of(view: Quotient, mark: Mark, group: int) -> int:
    # The marked device is a class of its own.
    hits = np.flatnonzero((view.classes.group == group) & view.is_at(mark) & (view.size == 1))
    if len(hits):
        return int(hits[0])
    where = "/".join(f"{axis}{i}" for axis, i in mark)
    msg = f"{view.classes.groups[group].name} at {where} is down or absent"
    raise QuestionError(msg)
