"""Who may forward: the permitted moves of traffic as a graph of states.

A device that does not forward freely has an upward and a downward half, and traffic climbs, turns once and
descends::

          spine (turn)              up --> down
            |  ^                     ^       |
            v  |                     |       v
          leaf (turn)               up --> down
            |  ^                     ^       |
            v  |                     |       v
          nic (pass)                up      down          no turn: no hairpin
            |  ^                     ^       |
            v  |                     |       v
          gpu (end)               source   target

Relaying (``relay``) has three stages: *home*, inside the source's scale-up network; *away*; and *arrived*,
inside the target's. A relay takes traffic from home to away, or from away to arrived, and never otherwise, so
no traffic crosses a third domain.

A link may be open to several (state, state) moves; all of them share its capacity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.graph.expanded import Expanded

Paths = Literal["rules", "no-relay", "any"]

HOME, AWAY, ARRIVED = 0, 1, 2
# (role, stage); a role is how the device takes part in a path.
State = tuple[str, int]
_SOURCE, _TARGET = ("source", AWAY), ("target", AWAY)
_OUT, _IN = ("relay out", HOME), ("relay in", AWAY)


@dataclass(frozen=True, eq=False)
class Forwarding:
    """States of devices and the moves between them.

    Parameters
    ----------
    expanded : Expanded
    device : ndarray of int64, shape (n_states,)
        Device of each state.
    role : tuple of (str, int)
        Role and stage of each state, shape (n_states,).
    tail, head : ndarray of int64, shape (n_moves,)
        States of each move.
    link : ndarray of int64, shape (n_moves,)
        ``2 * bundle`` for a move from tail to head of the bundle, ``2 * bundle + 1`` for the way back; -1 for a
        turn inside a device.
    source, target : ndarray of int64, shape (n,)
        State in which device v sends and receives; -1 where it does neither.
    """

    expanded: Expanded
    device: Ints
    role: tuple[State, ...]
    tail: Ints
    head: Ints
    link: Ints
    source: Ints
    target: Ints

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.device)

    def link_capacity(self) -> Floats:
        """Return the capacity of every link that carries traffic [Gb/s], shape (2 * m,)."""
        e = self.expanded
        return np.repeat(e.alive * e.rate_gbps, 2)


def forwarding(
    expanded: Expanded,
    sources: Bools,
    targets: Bools,
    *,
    paths: Paths = "rules",
    through: bool = True,
    bystanders: bool = True,
) -> Forwarding:
    """Return the permitted moves for traffic from `sources` to `targets`.

    Parameters
    ----------
    expanded : Expanded
        n devices, m bundles.
    sources, targets : ndarray of bool, shape (n,)
    paths : {"rules", "no-relay", "any"}
        The transit of the file; the same without relaying; or everything forwards everything.
    through : bool
        Whether sources and targets may forward the traffic of others, as their transit says. A question with
        one commodity does not need it: what reaches a source may as well start there.
    bystanders : bool
        Whether endpoints that are neither source nor target may forward; the GPUs outside a job do not.

    Returns
    -------
    Forwarding
    """
    transit = _transits(expanded, paths)
    has_relay = "relay" in transit
    middle = ~expanded.failed
    if not through:
        middle &= ~(sources | targets)
    if not bystanders:
        middle &= ~expanded.is_endpoint | sources | targets
    roles = _Roles(expanded, transit, sources, targets, middle, has_relay=has_relay)
    moves = list(_moves(expanded, transit, roles, has_relay=has_relay))
    for up in [r for r in roles.number if r[0] == "up"]:
        turning = np.flatnonzero((roles.number[up] >= 0) & roles.turns)
        moves.append((roles.number[up][turning], roles.number["down", up[1]][turning], np.full(len(turning), -1)))
    tail, head, link = (np.concatenate([np.zeros(0, np.int64), *c]) for c in zip(*moves, strict=True)) if moves else (
        np.zeros(0, np.int64),
    ) * 3
    return Forwarding(
        expanded, roles.device, roles.role, tail, head, link, roles.number[_SOURCE], roles.number[_TARGET]
    )


def _transits(expanded: Expanded, paths: Paths) -> tuple[str, ...]:
    """Return the transit of each group under the path rule."""
    if paths == "any":
        return ("all",) * len(expanded.groups)
    if paths == "no-relay":
        return tuple("end" if g.transit == "relay" else g.transit for g in expanded.groups)
    return tuple(g.transit for g in expanded.groups)


class _Roles:
    """Number the states: which device has which role at which stage."""

    def __init__(
        self,
        expanded: Expanded,
        transit: tuple[str, ...],
        sources: Bools,
        targets: Bools,
        middle: Bools,
        *,
        has_relay: bool,
    ) -> None:
        codes = np.array(transit)[expanded.group]
        alive = ~expanded.failed
        self.turns = codes == "turn"
        halves = middle & ((codes == "turn") | (codes == "pass"))
        free = middle & (codes == "all")
        own = _touches(expanded, scale_up=True) if has_relay else alive
        wanted: dict[State, Bools] = {_SOURCE: sources & alive, _TARGET: targets & alive}
        for stage in (HOME, AWAY, ARRIVED) if has_relay else (AWAY,):
            here = own if stage != AWAY else alive
            wanted["up", stage] = halves & here
            wanted["down", stage] = halves & here
            wanted["free", stage] = free & here
        if has_relay:
            wanted[_OUT] = wanted[_IN] = middle & (codes == "relay")
        self.number: dict[State, Ints] = {}
        devices, roles = [], []
        first = 0
        for role, mask in wanted.items():
            found = np.flatnonzero(mask)
            self.number[role] = np.full(expanded.n_devices, -1, dtype=np.int64)
            self.number[role][found] = np.arange(first, first + len(found))
            first += len(found)
            devices.append(found)
            roles += [role] * len(found)
        self.device = np.concatenate(devices).astype(np.int64)
        self.role = tuple(roles)


def _touches(expanded: Expanded, *, scale_up: bool) -> Bools:
    """Return which devices have a cable of a scale-up rule."""
    rules = np.array([(r.net == "scale-up") == scale_up for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule]
    found = np.zeros(expanded.n_devices, dtype=np.bool_)
    found[expanded.tail[rows]] = True
    found[expanded.head[rows]] = True
    return found


def _moves(
    expanded: Expanded, transit: tuple[str, ...], roles: _Roles, *, has_relay: bool
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield (tail states, head states, links) for each rule, direction and pair of roles."""
    alive = expanded.alive > 0
    edges = np.searchsorted(expanded.rule, np.arange(len(expanded.rules) + 1))
    for number, rule in enumerate(expanded.rules):
        rows = np.arange(edges[number], edges[number + 1])
        rows = rows[alive[rows]]
        lower, upper = expanded.tail[rows], expanded.head[rows]
        is_scale_up = rule.net == "scale-up"
        ways = [("peer" if rule.is_peer else "up", lower, upper, 2 * rows)]
        if not rule.is_oneway:
            ways.append(("peer" if rule.is_peer else "down", upper, lower, 2 * rows + 1))
        for way, x, y, link in ways:
            for role in roles.number:
                left = roles.number[role][x]
                if (left < 0).all():
                    continue
                for other in _heads(role, way, is_scale_up=is_scale_up, has_relay=has_relay):
                    if other not in roles.number:
                        continue
                    right = roles.number[other][y]
                    both = (left >= 0) & (right >= 0)
                    if other[0] == "down" and way == "peer" and role[0] != "down":
                        # The upward half of a device that turns can do all that its downward half can.
                        both &= ~roles.turns[y]
                    if both.any():
                        yield left[both], right[both], link[both]


def _heads(role: State, way: str, *, is_scale_up: bool, has_relay: bool) -> list[State]:
    """Return the states that a move may end in: this table is the path rule.

    Parameters
    ----------
    role : (str, int)
        Role and stage of the tail.
    way : {"up", "down", "peer"}
        Direction of the link.
    is_scale_up : bool
        Whether the link belongs to a scale-up network.
    has_relay : bool
        Whether the fabric has relays; without them there is one stage.
    """
    name, stage = role
    if role == _TARGET or (way == "up" and name == "down") or (way == "down" and name in ("up", *_OUT, *_IN)):
        return []
    if role == _OUT and is_scale_up or role == _IN and not is_scale_up:
        return []
    after = AWAY
    if has_relay:
        after = _stage_after(role, is_scale_up=is_scale_up)
        if after < 0:
            return []
    found: list[State] = [_TARGET, ("free", after)]
    if way == "up" or (way == "peer" and name != "down"):
        found.append(("up", after))
    if way == "down" or (way == "peer" and name != "up"):
        found.append(("down", after))
    if has_relay and way != "up":
        if is_scale_up and after == HOME:
            found.append(_OUT)
        elif not is_scale_up and after == AWAY:
            found.append(_IN)
    return found


def _stage_after(role: State, *, is_scale_up: bool) -> int:
    """Return the stage after a move, or -1 where it is not permitted."""
    name, stage = role
    if name == "source":
        return HOME if is_scale_up else AWAY
    if role == _OUT:
        return AWAY
    if role == _IN:
        return ARRIVED
    if stage == HOME:
        return HOME if is_scale_up else AWAY
    if stage == ARRIVED:
        return ARRIVED if is_scale_up else -1
    return AWAY


def reachable(n_states: int, tail: Ints, head: Ints, start: Bools) -> Bools:
    """Return the states that moves lead to from `start`, itself included, shape (n_states,)."""
    seen = start.copy()
    while True:
        new = head[seen[tail] & ~seen[head]]
        if not len(new):
            return seen
        seen[new] = True


def components(n: int, tail: Ints, head: Ints) -> Ints:
    """Return the component of each of `n` nodes of an undirected graph, numbered by smallest node.

    Notes
    -----
    Least labels spread along edges and pointers are halved (Shiloach and Vishkin, J. Algorithms 3, 1982).
    """
    label = np.arange(n, dtype=np.int64)
    while True:
        old = label.copy()
        low = np.minimum(label[tail], label[head])
        np.minimum.at(label, label[tail], low)
        np.minimum.at(label, label[head], low)
        label = label[label]
        label = label[label]
        if (label == old).all():
            return label
