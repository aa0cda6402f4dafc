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
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.graph.expanded import Expanded

Paths = Literal["rules", "no-relay", "any"]
PATH_RULES: dict[Paths, str] = {
    "rules": "climb, turn once, descend; relay or pass freely where the file says so",
    "no-relay": "climb, turn once, descend; no relaying",
    "any": "any path, every device forwards",
}

HOME, AWAY, ARRIVED = 0, 1, 2
# (role, stage); a role is how the device takes part in a path.
State = tuple[str, int]
_SOURCE, _TARGET = ("source", AWAY), ("target", AWAY)
_OUT, _IN = ("relay out", HOME), ("relay in", AWAY)
# What descends never climbs again, and what climbs turns before it descends; relays are lowest.
_NEVER = {("up", "down"), ("down", "up"), ("down", "relay out"), ("down", "relay in")}


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
        ``2 * bundle`` for a move from tail to head of the bundle, ``2 * bundle + 1`` for the way back; -1 for
        a turn inside a device.
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
    # Devices that may forward what is not their own.
    middle = ~expanded.failed
    if not through:
        middle &= ~(sources | targets)
    if not bystanders:
        middle &= ~expanded.is_endpoint | sources | targets
    roles = _Roles(expanded, transit, sources, targets, middle, has_relay=has_relay)
    # An empty first block keeps the concatenation typed where nothing may move.
    blocks = [(np.zeros(0, np.int64),) * 3, *_moves(expanded, roles, has_relay=has_relay), *_turns(roles)]
    tail, head, link = (np.concatenate(column) for column in zip(*blocks, strict=True))
    useful = ~_idle(expanded, roles, tail, head, link)
    return Forwarding(
        expanded,
        roles.device,
        roles.role,
        tail[useful],
        head[useful],
        link[useful],
        roles.number[_SOURCE],
        roles.number[_TARGET],
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
        codes = np.array(transit, dtype="U5")[expanded.group]
        alive = ~expanded.failed
        self.turns = codes == "turn"
        halves = middle & ((codes == "turn") | (codes == "pass"))
        free = middle & (codes == "all")
        on_scale_up = _on_scale_up(expanded) if has_relay else alive
        wanted: dict[State, Bools] = {_SOURCE: sources & alive, _TARGET: targets & alive}
        # A state for each device, role and stage; home and arrived exist on scale-up networks only.
        for stage in (HOME, AWAY, ARRIVED) if has_relay else (AWAY,):
            at_stage = on_scale_up if stage != AWAY else alive
            wanted["up", stage] = halves & at_stage
            wanted["down", stage] = halves & at_stage
            wanted["free", stage] = free & at_stage
        if has_relay:
            wanted[_OUT] = wanted[_IN] = middle & (codes == "relay")
        self.number: dict[State, Ints] = {}
        devices, roles = [], []
        first = 0
        for role, mask in wanted.items():
            members = np.flatnonzero(mask)
            self.number[role] = np.full(expanded.n_devices, -1, dtype=np.int64)
            self.number[role][members] = np.arange(first, first + len(members))
            first += len(members)
            devices.append(members)
            roles += [role] * len(members)
        self.device = np.concatenate(devices).astype(np.int64)
        self.role = tuple(roles)


def _on_scale_up(expanded: Expanded) -> Bools:
    """Return which devices have a cable of a scale-up rule."""
    rules = np.array([r.net == "scale-up" for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule]
    touched = np.zeros(expanded.n_devices, dtype=np.bool_)
    touched[expanded.tail[rows]] = True
    touched[expanded.head[rows]] = True
    return touched


def _moves(expanded: Expanded, roles: _Roles, *, has_relay: bool) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield (tail states, head states, links) for each kind of link and pair of roles."""
    kinds = [(r.net == "scale-up", r.is_peer, r.is_oneway) for r in expanded.rules]
    kind = np.array([kinds.index(k) for k in kinds], dtype=np.int64)[expanded.rule]
    alive = (expanded.alive > 0) & (expanded.rate_gbps > 0)
    # Links of one kind at once: the path rule is looked up by kind and role, never by link.
    for number in np.unique(kind).tolist():
        is_scale_up, is_peer, is_oneway = kinds[number]
        rows = np.flatnonzero(alive & (kind == number))
        lower, upper = expanded.tail[rows], expanded.head[rows]
        ways = [("peer" if is_peer else "up", lower, upper, 2 * rows)]
        if not is_oneway:
            ways.append(("peer" if is_peer else "down", upper, lower, 2 * rows + 1))
        for way, x, y, link in ways:
            for role, states in roles.number.items():
                left = states[x]
                if (left < 0).all():
                    continue
                for head_role in _heads(role, way, is_scale_up=is_scale_up, has_relay=has_relay):
                    right = roles.number[head_role][y]
                    both = (left >= 0) & (right >= 0)
                    if head_role[0] == "down" and way == "peer" and role[0] != "down":
                        # The upward half of a device that turns can do all that its downward half can.
                        both &= ~roles.turns[y]
                    yield left[both], right[both], link[both]


def _turns(roles: _Roles) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield the moves inside the devices that turn."""
    for role, up in roles.number.items():
        if role[0] == "up":
            turning = np.flatnonzero((up >= 0) & roles.turns)
            yield up[turning], roles.number["down", role[1]][turning], np.full(len(turning), -1, np.int64)


def _idle(expanded: Expanded, roles: _Roles, tail: Ints, head: Ints, link: Ints) -> Bools:
    """Return the moves between downward halves of peers that only traffic which has just turned would use.

    It may as well cross as climbing traffic and turn at the peer. Without these moves no link of a mesh of
    leaves carries both climbing and descending traffic, and questions about it stay plain flow.
    """
    descends = np.zeros(len(roles.device), dtype=np.bool_)
    for role, states in roles.number.items():
        if role[0] == "down":
            descends[states[states >= 0]] = True
    is_peer = np.array([r.is_peer for r in expanded.rules], dtype=np.bool_)[expanded.rule]
    sideways = descends[tail] & descends[head]
    # A turn has no link, and never joins two downward halves.
    sideways[sideways] = is_peer[link[sideways] // 2]
    entered = np.zeros(len(descends), dtype=np.bool_)
    # Downward halves that traffic enters from above, and those that peers pass it on to.
    entered[head[~sideways & (link >= 0)]] = True
    entered = reachable(len(descends), tail[sideways], head[sideways], entered & descends)
    return np.asarray(sideways & ~entered[tail] & roles.turns[roles.device[head]])


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
    name = role[0]
    if role == _TARGET or (way, name) in _NEVER:
        return []
    after = _stage_after(role, is_scale_up=is_scale_up) if has_relay else AWAY
    if after < 0:
        return []
    heads: list[State] = [_TARGET, ("free", after)]
    # Across a peer link climbing traffic stays climbing, descending stays descending.
    if way == "up" or (way == "peer" and name != "down"):
        heads.append(("up", after))
    if way == "down" or (way == "peer" and name != "up"):
        heads.append(("down", after))
    # A relay takes over at the end of the first scale-up leg, or at the start of the last one.
    if has_relay and way != "up" and is_scale_up and after == HOME:
        heads.append(_OUT)
    if has_relay and way != "up" and not is_scale_up and after == AWAY:
        heads.append(_IN)
    return heads


def _stage_after(role: State, *, is_scale_up: bool) -> int:
    """Return the stage after a move, or -1 where it is not permitted."""
    name, stage = role
    if name == "source":
        return HOME if is_scale_up else AWAY
    if role == _OUT:
        return -1 if is_scale_up else AWAY
    if role == _IN:
        return ARRIVED if is_scale_up else -1
    if stage == HOME:
        return HOME if is_scale_up else AWAY
    if stage == ARRIVED:
        return ARRIVED if is_scale_up else -1
    return AWAY


def on_the_way(moves: Forwarding, sources: Bools, targets: Bools) -> Forwarding:
    """Return the moves that lie on a way from a source to a target; states are as before.

    Parameters
    ----------
    moves : Forwarding
    sources, targets : ndarray of bool, shape (n,)
        Devices.
    """
    n = moves.n_states
    start, end = np.zeros((2, n), dtype=np.bool_)
    start[moves.source[sources & (moves.source >= 0)]] = True
    end[moves.target[targets & (moves.target >= 0)]] = True
    is_left = reachable(n, moves.tail, moves.head, start)
    is_right = reachable(n, moves.head, moves.tail, end)
    kept = is_left[moves.tail] & is_right[moves.head]
    return replace(moves, tail=moves.tail[kept], head=moves.head[kept], link=moves.link[kept])


def reachable(n_states: int, tail: Ints, head: Ints, start: Bools) -> Bools:
    """Return the states that moves lead to from `start`, itself included, shape (n_states,)."""
    reached = start.copy()
    while True:
        new = head[reached[tail] & ~reached[head]]
        if not len(new):
            return reached
        reached[new] = True


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
