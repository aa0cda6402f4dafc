"""Rings and tori of nodes, as Slurm places jobs on them.

::

    x: 4, y: 3, z: 2      24 nodes, x fastest: node x + 4 (y + 3 z) has a neighbour at each side along
                          x, y and z, the last one beside the first

Axes say what the dimensions are. Whether nodes form such a torus is settled by their cables: each two nodes
that are joined are neighbours in it, and each two neighbours are joined.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NoReturn

import numpy as np

from fabric.blueprint.rule_axes import relation_axes
from fabric.errors import QuestionError
from fabric.sizing.cable_plan import CablePlan

MAX_RING = 16
"""Most nodes of a ring of Slurm (src/plugins/topology/ring/ring_record.h)."""
Cell = tuple[int, ...]


@dataclass(frozen=True)
class NodeTorus:
    """Nodes on a grid of up to three dimensions, each of which closes to a ring.

    Parameters
    ----------
    name : str
        What its nodes share: their indices on all other axes.
    sizes : tuple of int
    node : mapping of (int, int, int) to str
        By place; places of absent nodes are free.
    """

    name: str
    sizes: tuple[int, ...]
    node: Mapping[Cell, str]

    @property
    def is_whole(self) -> bool:
        """Whether a node stands at each place."""
        return len(self.node) == math.prod(self.sizes)

    def cells(self) -> Iterator[Cell]:
        """Yield the places, the first dimension fastest."""
        for cell in product(*map(range, reversed(self.sizes))):
            yield cell[::-1]

    def neighbours(self) -> Iterator[frozenset[str]]:
        """Yield each two nodes that stand side by side."""
        for cell, node in self.node.items():
            for d, size in enumerate(self.sizes):
                other = self.node.get((*cell[:d], (cell[d] + 1) % size, *cell[d + 1 :]), node)
                if other != node:
                    yield frozenset((node, other))

    def rows(self) -> Iterator[tuple[Cell, list[str]]]:
        """Yield the longest runs of nodes along the first dimension, and where each begins."""
        run: tuple[Cell, list[str]] | None = None
        for cell in self.cells():
            node = self.node.get(cell)
            if run is not None and (node is None or cell[0] == 0):
                yield run
                run = None
            if node is not None:
                run = run or (cell, [])
                run[1].append(node)
        if run is not None:
            yield run

    def placements(self) -> Iterator[Cell]:
        """Yield the shapes of jobs, the whole first: its longest side is cut into equal parts, and so on.

        Every one fits into those before it without a rest, so that jobs leave no holes that none can use.
        """
        shape = list(self.sizes)
        yield tuple(shape)
        while (longest := max(shape)) > 1:
            d = max(d for d, n in enumerate(shape) if n == longest)
            shape[d] //= next(p for p in range(2, longest + 1) if longest % p == 0)
            yield tuple(shape)


def tori(plan: CablePlan) -> list[NodeTorus]:
    """Return the rings or tori that the nodes of a plan form, which all have the same dimensions.

    Raises
    ------
    QuestionError
        If they form none, with what keeps them from it.
    """
    group, dimensions = _dimensions(plan)
    found = list(_placed(plan, group, dimensions))
    inside = {node for torus in found for node in torus.node.values()}
    cabled = {
        frozenset((cable.a.node, cable.z.node))
        for cable in plan.cables()
        if cable.a.node in inside and cable.z.node in inside and cable.a.node != cable.z.node
    }
    due = {pair for torus in found for pair in torus.neighbours()}
    for odd, what in ((cabled - due, "are joined, but do not"), (due - cabled, "are not joined, but")):
        if odd:
            one, other = min(sorted(pair) for pair in odd)
            _refuse(f"{one} and {other} {what} stand side by side")
    return found


def _refuse(why: str) -> NoReturn:
    msg = f"the nodes are no rings or tori: {why}"
    raise QuestionError(msg)


def _dimensions(plan: CablePlan) -> tuple[str, list[tuple[str, ...]]]:
    """Return the group whose devices are joined along axes, and the plain axes of each dimension of nodes."""
    blueprint = plan.blueprint
    direct = [r for r in plan.rules if all(blueprint.groups[g].kind != "switch" for g in r.groups)]
    groups = {group for rule in direct for group in rule.groups}
    if len(groups) != 1:
        _refuse("no cable joins two of them" if not groups else f"cables join {' and '.join(sorted(groups))}")
    (group,) = groups
    own = _axes_of_nodes(plan, group)
    along: dict[tuple[str, ...], None] = {}
    for rule in direct:
        if rule.relation is not None and rule.relation.twist:
            _refuse(f"the cables of {rule.name} that close its rings are shifted along another axis")
        axes = tuple(p for p in relation_axes(blueprint, rule) if p in own and blueprint.axes[p].size > 1)
        if axes:
            along[axes] = None
    if not along:
        _refuse(f"what {direct[0].name} joins is in one of them")
    if len(along) > len("xyz"):
        _refuse(f"they have {len(along)} dimensions, and Slurm knows one to three")
    if len({p for axes in along for p in axes}) < sum(map(len, along)):
        _refuse("two rules share an axis without being the same")
    return group, sorted(along, key=lambda axes: own.index(axes[0]))


def _axes_of_nodes(plan: CablePlan, group: str) -> tuple[str, ...]:
    side = plan.side(group)
    return side.box.axes if side.box else side.group.primitives


def _placed(plan: CablePlan, group: str, dimensions: Sequence[tuple[str, ...]]) -> Iterator[NodeTorus]:
    """Yield tori of all that agrees on the axes that are no dimension."""
    side, axes = plan.side(group), plan.blueprint.axes
    rows = np.flatnonzero(side.present)
    places = []
    for dimension in dimensions:
        place = np.zeros(len(rows), dtype=np.int64)
        for p in dimension:
            place = place * axes[p].size + side.index(p, rows)
        places.append(place.tolist())
    rest = set(_axes_of_nodes(plan, group)).difference(*dimensions)
    sizes = tuple(math.prod(axes[p].size for p in dimension) for dimension in dimensions)
    at: dict[str, dict[Cell, str]] = defaultdict(dict)
    named = zip(side.names_on(rest, rows), side.node_names(rows), *places, strict=True)
    for name, node, *cell in named:
        at[name][tuple(cell)] = node
    for name, node_at in at.items():
        yield NodeTorus(name, sizes, node_at)


def rings(found: list[NodeTorus]) -> list[NodeTorus]:
    """Return tori of one dimension as they are.

    Raises
    ------
    QuestionError
        If they have more, or are rings such as Slurm has not.
    """
    sizes = found[0].sizes if found else ()
    if len(sizes) > 1:
        _refuse(f"they are tori of {' x '.join(map(str, sizes))}, which slurm-torus3d writes")
    if sizes and sizes[0] > MAX_RING:
        _refuse(f"they have {sizes[0]:,} nodes, and Slurm at most {MAX_RING}; slurm-torus3d writes them")
    broken = next((ring.name for ring in found if not ring.is_whole), None)
    if broken is not None:
        _refuse(f"{broken} lacks a node, so that its two neighbours are not joined")
    return found


def toruses(found: Iterable[NodeTorus], hostlist: Callable[[Iterable[str]], str]) -> list[dict[str, object]]:
    """Return tori in the words of ``topology.yaml``.

    Parameters
    ----------
    found : iterable of NodeTorus
    hostlist : callable
        What writes names in their order.

    Notes
    -----
    Keys are those of Slurm 26.05 (src/plugins/topology/torus3d/torus3d_record.c): a torus with free places
    lists regions, and a job gets one of the shapes under ``placements``.
    """
    listed = []
    for torus in found:
        nodes: dict[str, object]
        if torus.is_whole:
            nodes = {"nodes": hostlist(torus.node[cell] for cell in torus.cells())}
        else:
            nodes = {
                "regions": [
                    {"anchor": _xyz(cell, 0), "dims": _xyz((len(row),), 1), "nodes": hostlist(row)}
                    for cell, row in torus.rows()
                ]
            }
        placements = [{"dims": _xyz(shape, 1)} for shape in torus.placements()]
        listed.append({"name": torus.name, "dims": _xyz(torus.sizes, 1), **nodes, "placements": placements})
    return listed


def _xyz(cell: Cell, rest: int) -> dict[str, int]:
    return dict(zip("xyz", (*cell, *[rest] * (3 - len(cell))), strict=True))
