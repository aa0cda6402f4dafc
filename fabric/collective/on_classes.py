"""Loads of traffic patterns on the quotient: what a job costs does not depend on its size.

A pattern is averaged over the automorphisms of the fabric: it runs once in every image of itself, each with an
equal part of the bytes. What is left of an edge is then only how its two ends differ on each axis: not at all,
or, on a ring, by how many places. So a pattern among a million ranks is a short list of differences, each with
its part of the bytes; one rank of each class receives them, and the classes that keep it in place carry them::

    ring of 3 pods x 4 racks     pod rack
                                  .    x     9 of 12 messages go to another rack of the pod
                                  x    x     3 of 12 go on to a rack of the next pod

Links at a rank carry what the busiest of all ranks sends or receives; links between switches carry the average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.collective.algorithms import Shape
from fabric.collective.in_switch import reduces, reducing_switches, switch_loads
from fabric.collective.job import Job, Loads, Routing, links_of
from fabric.collective.packing import reducing_groups
from fabric.collective.patterns import edges
from fabric.collective.placement import Placement, ring_axes, torus_of
from fabric.collective.schedule import Pattern
from fabric.errors import QuestionError
from fabric.flow.program import Block, capacities, solve_blocks
from fabric.flow.traffic import Question, Traffic
from fabric.graph import Paths, components, forwarding
from fabric.routing import Demands, Progress, Router, link_loads, router
from fabric.symmetry import NoSymmetryError, Quotient, Tie, quotient
from fabric.units import seconds_to_send

Difference = tuple[int, ...]
"""How two ranks differ on each axis of the job: 0 not at all; on a ring, by so many places; 1 elsewhere."""


@dataclass(frozen=True, eq=False)
class _View:
    """The classes that keep one rank in place.

    Parameters
    ----------
    quotient : Quotient
    own : int
        Class of the rank.
    n_alike : float
        Ranks that it stands for.
    sources : dict of tuple to ndarray of int64
        Classes of ranks by how they differ from it.
    route : Router
    inside : ndarray of bool
        Classes of ranks.
    """

    quotient: Quotient
    own: int
    n_alike: float
    sources: dict[Difference, Ints]
    route: Router
    inside: Bools

    def arriving(self, parts: dict[Difference, float]) -> tuple[Ints, Floats]:
        """Return the classes that send to the rank, and how much in all."""
        found = [(self.sources[d], part) for d, part in parts.items()]
        size = self.quotient.size
        amount = [part * size[c] / size[c].sum() for c, part in found]
        return np.concatenate([c for c, _ in found]), np.concatenate(amount)


@dataclass(frozen=True, eq=False)
class _Classes:
    """A job on classes; its methods are the `route` and `optimum` of `Job`."""

    place: Placement
    base: Quotient
    views: tuple[_View, ...]
    inside: Bools
    size: dict[str, int]
    turns: dict[str, int]
    domain: frozenset[str]
    reducing: tuple[str, ...]
    routing: Routing
    paths: Paths
    _units: dict[Difference, Floats] = field(default_factory=dict)

    def axes(self, pattern: Pattern) -> tuple[str, ...]:
        """Return the axes along which ranks of one group of `pattern` differ, outermost first."""
        place = self.place
        if pattern.over == "axis":
            return (pattern.axis,)
        across = tuple(a for a in place.order if a in place.spans - self.domain)
        inside = tuple(a for a in place.order if a in place.spans & self.domain)
        return {"job": across + inside, "rail": across, "domain": inside}[pattern.over]

    def rows(self, pattern: Pattern) -> tuple[tuple[Difference, ...], Floats, Floats]:
        """Return what ranks send, and receive, by difference.

        Returns
        -------
        differences : tuple of tuple
        mean : ndarray of float64, shape (number of differences,)
            Of all ranks.
        busy : ndarray of float64, shape (k, number of differences)
            Of the different kinds of ranks, sending or receiving.
        """
        if pattern.kind == "rotated-rings":
            inside = self._uniform(self.axes(Pattern("pairwise", "domain")), rings=True)
            across = self.rows(Pattern("ring", "rail"))
            g = math.prod(self.size[a] for a in self.axes(Pattern("ring", "domain")))
            parts = {d: part * (1 - 1 / g if across[0] else 1.0) for d, part in inside.items()}
            parts |= {d: part / g for d, part in zip(across[0], across[1].tolist(), strict=True)}
        elif pattern.kind == "pairwise":
            parts = self._uniform(self.axes(pattern))
        else:
            return self._of_edges(pattern)
        mean = np.array(list(parts.values()))
        return tuple(parts), mean, mean[None]

    def _uniform(self, axes: tuple[str, ...], *, rings: bool = False) -> dict[Difference, float]:
        """Return the part of every difference along some axes, of traffic to all others alike, or of rings.

        Rings in a domain that is a product of axes visit its members in the order of their numbers.
        """
        if rings:
            names, mean, _ = self._of_edges(Pattern("ring", "domain"))
            return dict(zip(names, mean.tolist(), strict=True))
        view = self.views[0]
        found = {}
        for difference, classes in view.sources.items():
            own = [a for a, d in zip(self.place.order, difference, strict=True) if d]
            if own and set(own) <= set(axes):
                found[difference] = float(view.quotient.size[classes].sum())
        n = sum(found.values())
        return {d: part / n for d, part in found.items()}

    def _of_edges(self, pattern: Pattern) -> tuple[tuple[Difference, ...], Floats, Floats]:
        axes = self.axes(pattern)
        m = math.prod(self.size[a] for a in axes)
        some = edges(pattern.kind, m, pattern.by)
        if not len(some.source):
            return (), np.zeros(0), np.zeros((1, 0))
        shape = [self.size[a] for a in axes]
        ends = [np.unravel_index(rank, shape) for rank in (some.source, some.target)]
        code = np.zeros(len(some.source), dtype=np.int64)
        for axis, a, b in zip(axes, *ends, strict=True):
            code = code * self.size[axis] + self._difference(axis, a, b)
        codes, column = np.unique(code, return_inverse=True)
        found = []
        for digits in np.stack(np.unravel_index(codes, shape), 1).tolist():
            own = dict(zip(axes, digits, strict=True))
            found.append(tuple(own.get(a, 0) for a in self.place.order))
        mean = np.bincount(column.ravel(), some.weight, minlength=len(codes)) / m
        busy = [_kinds(end, column.ravel(), some.weight, m, len(codes)) for end in (some.source, some.target)]
        return tuple(found), mean, np.concatenate(busy)

    def _difference(self, axis: str, a: Ints, b: Ints) -> Ints:
        if axis not in self.turns:
            return (a != b).astype(np.int64)
        places = (b - a) % self.size[axis]
        return np.minimum(places, self.size[axis] - places) if self.turns[axis] == 2 else places

    def unit(self, difference: Difference) -> Floats:
        """Return the bytes on every class of links when every rank receives one byte from so far away."""
        if difference not in self._units:
            legs = self._legs(difference)
            if legs == (difference,):
                load = np.zeros(int(self.base.base.max(initial=-1)) + 1)
                for view in self.views:
                    source, amount = view.arriving({difference: 1.0})
                    demand = Demands(source, np.full(len(source), view.own), amount)
                    own = link_loads(view.route, demand)
                    load += view.n_alike * np.bincount(view.quotient.base, own, minlength=len(load))
            else:
                load = np.sum([self.unit(leg) for leg in legs], axis=0)
            self._units[difference] = load
        return self._units[difference]

    def _legs(self, difference: Difference) -> tuple[Difference, ...]:
        """Return the ways that traffic takes one after the other: to the right rail first, if routed so."""
        is_in = [a in self.domain for a in self.place.order]
        own = tuple(d if i else 0 for d, i in zip(difference, is_in, strict=True))
        other = tuple(0 if i else d for d, i in zip(difference, is_in, strict=True))
        return (own, other) if self.routing == "rail" and any(own) and any(other) else (difference,)

    def route(self, pattern: Pattern, progress: Progress | None = None) -> Loads:
        """Return the loads of `pattern`; see `Job`."""
        links = links_of(self.base.classes, self.base.base)
        if pattern.kind in ("to-switches", "from-switches"):
            return self._switched(pattern, len(links.rule))
        differences, mean, busy = self.rows(pattern)
        if not differences:
            return Loads(np.zeros(len(links.rule)), np.zeros(len(links.rules)))
        units = []
        for i, difference in enumerate(differences):
            units.append(self.unit(difference))
            if progress:
                progress(i + 1, len(differences))
        average = mean @ np.stack(units)
        n_sent = float(mean.sum()) * sum(v.n_alike for v in self.views)
        hops = np.bincount(links.rule, average, minlength=len(links.rules)) / n_sent
        return Loads(np.where(links.is_inner, average, (busy @ np.stack(units)).max(axis=0)), hops)

    def _switched(self, pattern: Pattern, n: int) -> Loads:
        view, place = self.base, self.place
        chosen = reducing_switches(view.classes, self.reducing, is_scale_up=pattern.over == "domain")
        # Ranks of one reduction agree on these axes; a switch that is placed on all of them has one reduction.
        told = {a: self.size[a] for a in place.order if a not in self.axes(pattern)}
        groups = place.blueprint.groups.values()
        sums = [math.prod(n for a, n in told.items() if a not in g.primitives) for g in groups]
        n_sums = np.array(sums, dtype=np.float64)[view.classes.group]
        found = switch_loads(view.classes, view.size, self.inside, chosen, lambda _: n_sums, self.paths)
        if found is None:
            msg = f"no switch that reduces joins the ranks of {place.group}"
            raise QuestionError(msg)
        load, hops = found
        if pattern.kind == "from-switches":
            load = load.reshape(-1, 2)[:, ::-1].ravel()
        return Loads(np.bincount(view.base, load, minlength=n), hops)

    def _worst(self, pattern: Pattern) -> dict[Difference, float]:
        """Return what the rank whose links are the busiest sends or receives, by difference."""
        differences, _, busy = self.rows(pattern)
        loads = busy @ np.stack([self.unit(d) for d in differences])
        capacity = capacities(self.base)
        use = np.divide(loads, capacity, out=np.zeros_like(loads), where=capacity > 0).max(axis=1)
        row = busy[int(np.argmax(use))]
        return {d: part for d, part in zip(differences, row.tolist(), strict=True) if part}

    def optimum(self, patterns: Sequence[Pattern], amounts: Sequence[float]) -> tuple[float, Floats]:
        """Return the least time, and how long each link is busy; see `Job`."""
        capacity = capacities(self.base)
        blocks = []
        for view in self.views:
            moves = forwarding(
                view.quotient.classes,
                view.inside,
                _only(view.own, view.inside),
                paths=self.paths,
                bystanders=False,
            )
            supply = np.zeros(moves.n_states)
            for pattern, amount in zip(patterns, amounts, strict=True):
                source, part = view.arriving(self._worst(pattern))
                sent = part * seconds_to_send(amount, 1.0)
                np.add.at(supply, moves.source[source], sent)
                supply[moves.target[view.own]] -= sent.sum()
            blocks.append(Block(view.n_alike, view.quotient, moves, supply))
        answer = solve_blocks(capacity, blocks)
        load = np.zeros(len(capacity))
        for block, flow in zip(blocks, answer.flow, strict=True):
            on = block.moves.link >= 0
            own = block.view.base[block.moves.link[on]]
            load += np.bincount(own, block.n_alike * flow[on], minlength=len(load))
        return 1 / answer.rate_gbps, np.divide(
            load, capacity * answer.rate_gbps, where=capacity > 0, out=load
        )


def _kinds(end: Ints, column: Ints, weight: Floats, m: int, n: int) -> Floats:
    """Return the different rows of what m members send, or receive, of n kinds, shape (k, n)."""
    sums = np.bincount(end * n + column, weight, minlength=m * n).reshape(m, n)
    return np.unique(sums, axis=0)


def _only(one: int, like: Bools) -> Bools:
    found = np.zeros_like(like)
    found[one] = True
    return found


def on_classes(place: Placement, routing: Routing, paths: Paths) -> Job:
    """Return the job on classes.

    Raises
    ------
    NoSymmetryError
        If the ranks are no product of axes, or the axes do not say the symmetry.
    """
    blueprint = place.blueprint
    question = _Product(blueprint, Traffic(), place.among, paths)
    base = question.base
    inside = question.ends
    marks = [(one, base.index[one]) for one in np.flatnonzero(inside).tolist()]
    turns = ring_axes(blueprint, place.order)
    views = tuple(_view(question, place, mark, float(base.size[one]), turns, paths) for one, mark in marks)
    size = _sizes(place, views)
    domain = _domain(place, views)
    names = reducing_groups(blueprint)
    job = _Classes(place, base, views, inside, size, turns, domain, names, routing, paths)
    sizes = {a: size[a] for a in place.spans}
    g = math.prod(n for a, n in sizes.items() if a in domain)
    k = math.prod(n for a, n in sizes.items() if a not in domain)
    shape = Shape((g,) * k, torus_of(place, sizes, turns), *reduces(base.classes, names))
    n_instances = math.prod(size.values()) // math.prod(sizes.values())
    return Job(
        shape, n_instances, links_of(base.classes, base.base, base.size), job.route, job.optimum, "axes", ""
    )


class _Product(Question):
    """A question whose permutations keep every axis of the ranks apart: any pattern along axes is invariant."""

    def _ties(self, groups: tuple[str, ...]) -> tuple[Tie, ...]:
        return tuple(Tie(g, frozenset()) for g in groups)


def _view(
    question: _Product,
    place: Placement,
    mark: tuple[tuple[str, int], ...],
    n_alike: float,
    turns: dict[str, int],
    paths: Paths,
) -> _View:
    view = quotient(question.blueprint, (mark,), apart=question.apart, ties=question.ties)
    inside = question.inside(view)
    own = next(i for i in np.flatnonzero(inside).tolist() if view.index[i] == mark)
    found: dict[Difference, list[int]] = {}
    home = dict(mark)
    for i in np.flatnonzero(inside).tolist():
        at = dict(view.index[i])
        difference = []
        for axis in place.order:
            places = (home[axis] - at[axis]) % question.blueprint.axes[axis].size
            if axis in turns and turns[axis] == 2:
                places = min(places, question.blueprint.axes[axis].size - places)
            difference.append(places if axis in turns else int(places > 0))
        found.setdefault(tuple(difference), []).append(i)
    sources = {d: np.array(c, dtype=np.int64) for d, c in found.items()}
    return _View(view, own, n_alike, sources, router(view.classes, inside, paths=paths), inside)


def _sizes(place: Placement, views: tuple[_View, ...]) -> dict[str, int]:
    """Return how many indices of each axis the job takes up.

    Raises
    ------
    NoSymmetryError
        If the ranks are not the product of these.
    """
    found = {}
    counted = [{d: round(float(v.quotient.size[c].sum())) for d, c in v.sources.items()} for v in views]
    for i, axis in enumerate(place.order):
        along = [sum(n for d, n in one.items() if d[i] and not any(d[:i] + d[i + 1 :])) for one in counted]
        found[axis] = along[0] + 1
        if len(set(along)) > 1:
            msg = f"the ranks along {axis} are not the same everywhere"
            raise NoSymmetryError(msg)
    if any(one != counted[0] for one in counted[1:]) or sum(counted[0].values()) != math.prod(found.values()):
        msg = "the ranks are no product of axes"
        raise NoSymmetryError(msg)
    return found


def _domain(place: Placement, views: tuple[_View, ...]) -> frozenset[str]:
    """Return the axes along which ranks of one scale-up domain differ.

    Raises
    ------
    NoSymmetryError
        If domains are no product of axes.
    """
    found: frozenset[str] | None = None
    for view in views:
        e = view.quotient.classes
        rules = np.array([r.net == "scale-up" for r in e.rules], dtype=np.bool_)
        rows = rules[e.rule] & (e.alive > 0) if len(rules) else np.zeros(0, np.bool_)
        part = components(e.n_devices, e.tail[rows], e.head[rows])
        mates = [d for d, classes in view.sources.items() if (part[classes] == part[view.own]).all()]
        axes = frozenset(a for d in mates for a, own in zip(place.order, d, strict=True) if own)
        whole = [
            d for d in view.sources if all(a in axes for a, own in zip(place.order, d, strict=True) if own)
        ]
        if len(whole) != len(mates) or found not in (None, axes):
            msg = "the scale-up domains are not alike"
            raise NoSymmetryError(msg)
        found = axes
    return found or frozenset()
