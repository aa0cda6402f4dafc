"""The nodes of a fabric as a scheduler sees them: what one operating system runs on, and their blocks.

A node is a box or a tray, a block the nodes of one scale-up domain; where a domain is no larger than a node,
the nodes that share a leaf. Both are axes of the endpoints::

    gpu[pod, rack, tray, slot]    node = pod, rack, tray    block = pod, rack
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Ints
from fabric.blueprint.grid import full_grid
from fabric.blueprint.model import Blueprint
from fabric.blueprint.rule_axes import agreeing_axes
from fabric.blueprint.selector import range_word, selected_groups
from fabric.blueprint.site_selectors import read_selector
from fabric.errors import LimitError, QuestionError, SelectorError, nearest
from fabric.flow.traffic import FittedTraffic, Traffic
from fabric.graph import Fabric, fail_by_axes
from fabric.sizing.cable_plan import CablePlan

MAX_NODES = 4_000_000
"""Places of nodes that are looked at."""


@dataclass(frozen=True, eq=False)
class ClusterNodes:
    """The nodes of one group of endpoints.

    Parameters
    ----------
    fabric : Fabric
    group : str
        The endpoints.
    axes : tuple of str
        Primitive axes that say the node of an endpoint, outermost first.
    block_axes : tuple of str
        Those that say its block.
    is_there : ndarray of bool, shape (sizes of `axes`)
        Which places have a node.
    is_up : ndarray of bool, shape (sizes of `axes`)
        Of which no endpoint is down.
    is_by_leaf : bool
        Whether blocks are the nodes under one leaf.
    """

    fabric: Fabric
    group: str
    axes: tuple[str, ...]
    block_axes: tuple[str, ...]
    is_there: Bools
    is_up: Bools
    is_by_leaf: bool = False

    @cached_property
    def block(self) -> Ints:
        """Block of each place, shape (places,): its indices on the axes of blocks, the outermost slowest."""
        number = np.zeros(self.is_there.shape, dtype=np.int64)
        for at, axis in enumerate(self.axes):
            if axis in self.block_axes:
                along = np.arange(self._size(axis)).reshape((-1,) + (1,) * (len(self.axes) - at - 1))
                number = number * self._size(axis) + along
        return number.reshape(-1)

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Indices on the axes of blocks."""
        return tuple(self._size(axis) for axis in self.axes if axis in self.block_axes)

    @property
    def n_blocks(self) -> int:
        """Places of blocks."""
        return int(np.prod(self.block_shape, dtype=np.int64))

    def count(self, places: Bools) -> Ints:
        """Return how many of some places each block has, shape (blocks,)."""
        counted = np.bincount(self.block, places.reshape(-1), minlength=self.n_blocks)
        return counted.astype(np.int64)

    def names(self, places: Ints) -> tuple[str, ...]:
        """Return what schedulers call the nodes at some places, as `fabric.export` does."""
        grid = full_grid(self._blueprint)
        index = dict(zip(self.axes, np.unravel_index(places, self.is_there.shape), strict=True))
        rows = np.zeros(len(places), dtype=np.int64)
        for axis, stride in grid.strides(self.group).items():
            if axis in index:
                rows += index[axis] * stride
        return tuple(CablePlan(self._blueprint).side(self.group).node_names(rows))

    def alone(self, places: Ints) -> Fabric:
        """Return the fabric with no endpoint up but those of some nodes."""
        chosen = self._flags(places)
        others = [self._selector(terms, self.group) for terms in _boxes(~chosen & self.is_there, chosen)]
        # Other endpoints hold no rank: they neither send nor relay for a job that is not theirs.
        return fail_by_axes(self.fabric, *others)

    def selectors(self, places: Ints) -> tuple[str, ...]:
        """Return selectors that together name the endpoints of some nodes, in the order of the file."""
        chosen = self._flags(places)
        # Places without a node belong to whatever is convenient.
        return tuple(self._selector(box, self.group) for box in _boxes(chosen, ~chosen & self.is_there))

    def _flags(self, places: Ints) -> Bools:
        """Return which places are among some."""
        flags = np.zeros(self.is_there.size, dtype=np.bool_)
        flags[places] = True
        return flags.reshape(self.is_there.shape)

    def _selector(self, terms: Sequence[tuple[int, int, int]], group: str) -> str:
        words = [range_word(self.axes[at], lo, hi) for at, lo, hi in terms]
        return "/".join([*words, group])

    def _size(self, axis: str) -> int:
        return self._blueprint.axes[axis].size

    @property
    def _blueprint(self) -> Blueprint:
        return self.fabric.axes_or_refuse("a placement")


def _boxes(wanted: Bools, barred: Bools, at: int = 0) -> Iterator[tuple[tuple[int, int, int], ...]]:
    """Yield ranges of indices that together cover all places wanted and none barred: (axis, first, last)."""
    if not wanted.any():
        return
    if not barred.any():
        yield ()
        return
    # Runs of indices below which all is alike are said once.
    n = len(wanted)
    flat = np.concatenate([wanted.reshape(n, -1), barred.reshape(n, -1)], axis=1)
    starts = np.flatnonzero(np.append(True, (flat[1:] != flat[:-1]).any(axis=1)))
    for lo, end in zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True):
        if wanted.ndim == 1:
            if wanted[lo]:
                yield ((at, lo, end - 1),)
            continue
        for rest in _boxes(wanted[lo], barred[lo], at + 1):
            yield ((at, lo, end - 1), *rest) if end - lo < n else rest


def nodes_of(
    fabric: Fabric,
    *,
    among: str | None = None,
    node: Sequence[str] = (),
    block: Sequence[str] = (),
    down: Sequence[str] = (),
) -> ClusterNodes:
    """Return the nodes of the endpoints of a fabric.

    Parameters
    ----------
    fabric : Fabric
    among : str, optional
        Selector of the endpoints whose nodes are meant; needed where there are several groups of them.
    node, block : sequence of str
        Axes that say a node, and its block; what boxes and scale-up domains say if left out.
    down : sequence of str
        Selectors of endpoints, or of what has their axes, whose nodes are down.

    Raises
    ------
    QuestionError, SelectorError
        If they do not fit the fabric.
    LimitError
        If there are more than `MAX_NODES`.
    """
    blueprint = fabric.axes_or_refuse("a placement")
    groups = FittedTraffic(blueprint, Traffic(), among).groups
    if len(groups) != 1:
        msg = f"nodes of one group of endpoints are placed; these are of {', '.join(groups) or 'none'}"
        raise QuestionError(msg)
    (group,) = groups
    own = blueprint.groups[group].primitives
    axes = _named(blueprint, group, "node", node) or node_axes(blueprint, group)
    inside = _named(blueprint, group, "block", block)
    if beyond := [axis for axis in inside if axis not in axes]:
        msg = f"block: {beyond[0]} tells no nodes apart; they are told by {', '.join(axes)}"
        raise QuestionError(msg)
    sizes = tuple(blueprint.axes[axis].size for axis in axes)
    if (n := int(np.prod(sizes, dtype=np.int64))) > MAX_NODES:
        msg = f"{blueprint.name} has {n:,} places of nodes; at most {MAX_NODES:,} are placed"
        raise LimitError(msg)
    chosen = () if among is None else (read_selector(blueprint, among, needs_group=False),)
    grid = full_grid(blueprint)

    def folded(rows: Bools) -> Bools:
        """Return at which places of nodes any of some endpoints is."""
        cube = rows.reshape(grid.shape(group))
        # Axes in the order of the group, those inside a node folded.
        return np.asarray(cube.any(axis=tuple(i for i, axis in enumerate(own) if axis not in axes)))

    is_endpoint = ~grid.mask(group, blueprint.absent)
    if chosen:
        is_endpoint &= grid.mask(group, chosen)
    is_there = folded(is_endpoint)
    is_down = grid.mask(group, blueprint.failed)
    for text in down:
        is_down |= _down_rows(blueprint, group, text)
    is_up = is_there & ~folded(is_down & is_endpoint)
    is_by_leaf = not inside and domain_axes(blueprint, group, axes) == axes
    inside = inside or _block_axes(blueprint, group, axes)
    return ClusterNodes(fabric, group, axes, inside, is_there, is_up, is_by_leaf)


def _named(blueprint: Blueprint, group: str, argument: str, axes: Sequence[str]) -> tuple[str, ...]:
    """Return the primitive axes of a group that an argument names."""
    own = blueprint.groups[group].primitives
    named: set[str] = set()
    for axis in axes:
        if axis not in blueprint.axes or not set(blueprint.primitives(axis)) <= set(own):
            hint = nearest(axis, own) or f"{group} is placed on {', '.join(own)}"
            msg = f"{argument}: no axis {axis!r} of {group}; {hint}"
            raise QuestionError(msg)
        named.update(blueprint.primitives(axis))
    return tuple(axis for axis in own if axis in named)


def node_axes(blueprint: Blueprint, group: str) -> tuple[str, ...]:
    """Return the axes of the box of an endpoint, or all of its own where it is in none."""
    box = CablePlan(blueprint).side(group).box
    own = blueprint.groups[group].primitives
    return own if box is None else tuple(axis for axis in own if axis in box.axes)


def domain_axes(blueprint: Blueprint, group: str, node: tuple[str, ...]) -> tuple[str, ...]:
    """Return which axes of the node of an endpoint say its scale-up domain; all where it is no larger."""
    domain = set(node).intersection(*_shared(blueprint, group, node, "scale-up"))
    return tuple(axis for axis in node if axis in domain)


def _block_axes(blueprint: Blueprint, group: str, node: tuple[str, ...]) -> tuple[str, ...]:
    """Return the axes of the scale-up domain of a node, or of its leaf where the domain is no larger."""
    domain = domain_axes(blueprint, group, node)
    if domain != node:
        return domain
    # Of several leaves the nearest one is meant.
    leaf = max(_shared(blueprint, group, node, "scale-out"), key=len, default=set(node))
    return tuple(axis for axis in node if axis in leaf)


def _shared(blueprint: Blueprint, group: str, node: tuple[str, ...], net: str) -> list[set[str]]:
    """Return on which axes of a node what is in it agrees with what each rule of a network joins it to."""
    box = CablePlan(blueprint).side(group).box
    inside = box.groups if box else frozenset({group})
    rules = (rule for rule in blueprint.rules if rule.net == net and inside & set(rule.groups))
    return [set(node) & set(agreeing_axes(blueprint, rule)) for rule in rules]


def _down_rows(blueprint: Blueprint, group: str, text: str) -> Bools:
    """Return which endpoints of a group are where a selector says that something is down."""
    selector = read_selector(blueprint, text, needs_group=False)
    own = set(blueprint.groups[group].primitives)
    speaks = selected_groups(blueprint, selector)
    if group not in speaks and not all(set(blueprint.primitives(t.axis)) <= own for t in selector.terms):
        msg = f"down: {text!r} is no place of nodes: {group} is placed on {', '.join(sorted(own))}"
        raise SelectorError(msg)
    # A board of a node takes the node with it, whatever its group.
    return full_grid(blueprint).mask(group, (replace(selector, group=None),))
