"""A state: what of a fabric is down, as the names of devices and cables; and the fabric in that state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fabric.blueprint.model import Blueprint, MarkedCables
from fabric.blueprint.selector import parse_selector
from fabric.graph import Expanded, Fabric
from fabric.graph.fabric import by_name


class Down(NamedTuple):
    """Something that is down: devices, or cables.

    Parameters
    ----------
    left : str
        A selector, or the name of a device of a graph.
    right, rule : str
        The other end of one cable, and its rule; empty where devices are down, or all cables between two.
    n : int
        Cables; 0 for all between two.
    """

    left: str
    right: str = ""
    rule: str = ""
    n: int = 1

    @property
    def text(self) -> str:
        """As ``failed`` of a file or of a question has it."""
        if not self.right:
            return self.left
        return f"{self.left} - {self.right}" + (f" x {self.n}" if self.n else "")


State = tuple[Down, ...]
"""What is down at once, sorted; nothing of a healthy fabric."""


def state_of(down: Iterable[Down]) -> State:
    """Return what is down as a state: the cables of one bundle together."""
    n: dict[tuple[str, str, str], int] = {}
    for left, right, rule, cables in down:
        n[left, right, rule] = n.get((left, right, rule), 0) + cables if right and cables else cables
    return tuple(sorted(Down(*key, cables if key[1] else 1) for key, cables in n.items()))


def in_state(fabric: Fabric, state: State) -> Fabric:
    """Return a fabric in which what a state names is down, beside what is down already.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 4}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: "
    >>> text += "[]}}, links: [{between: [gpu, leaf], rate: 1Gb/s, count: 2}]}"
    >>> in_state(loads(text), (Down("gpu1"), Down("gpu2", "leaf", "gpu-leaf")))
    <Fabric a: 4 gpu, 1 leaf; failed: gpu1, gpu2 - leaf x 1>
    """
    if not state:
        return fabric
    if fabric.blueprint is not None:
        return replace(fabric, blueprint=_failing(fabric.blueprint, state))
    return replace(fabric, graph=_failing_graph(fabric.graph, state)) if fabric.graph is not None else fabric


def _failing(b: Blueprint, state: State) -> Blueprint:
    devices = tuple(parse_selector(one.left, b.axes, b.groups) for one in state if not one.right)
    cables = tuple(
        MarkedCables(
            parse_selector(one.left, b.axes, b.groups),
            parse_selector(one.right, b.axes, b.groups),
            one.n or None,
            b.origin,
            rule=one.rule,
        )
        for one in state
        if one.right
    )
    return replace(b, failed=(*b.failed, *devices), marked_cables=(*b.marked_cables, *cables))


def _failing_graph(e: Expanded, state: State) -> Expanded:
    failed, down = e.failed.copy(), e.failed_count.copy()
    for one in state:
        left = by_name(e, one.left)
        if not one.right:
            failed |= left
            continue
        right = by_name(e, one.right)
        is_rule = np.array([rule.name == one.rule for rule in e.rules], dtype=np.bool_)[e.rule]
        hit = is_rule & ((left[e.tail] & right[e.head]) | (right[e.tail] & left[e.head]))
        room = np.where(hit, e.count - down, 0)
        down += np.clip(one.n - (np.cumsum(room) - room), 0, room)
    fields = {name: getattr(e, name) for name in e.__dataclass_fields__}
    return Expanded(**{**fields, "failed": failed, "failed_count": down})
