"""Paths on classes of links, as the file permits them: what a proof walks instead of the moves of a program.

A class of links, as a source sees it, holds real links of some kinds: the direction that the rule gives them,
its network, and the transits of the devices at both ends. Of each kind the path rule says between which roles
a path may go (`fabric.graph.permitted`), and no move of the program is taken for granted::

    class 3   of kind  (up, scale-out, pass, turn)      up --> up
    class 4   of kind  (down, scale-out, turn, pass)    down --> down
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.graph.forwarding import ARRIVED, AWAY, HOME, Forwarding, Paths, State
from fabric.graph.permitted import CableWay, Direction, is_permitted, is_turn, states_of

ROLES: tuple[State, ...] = (
    ("source", AWAY),
    ("target", AWAY),
    ("relay out", HOME),
    ("relay in", AWAY),
    *((name, leg) for name in ("up", "down", "free") for leg in (HOME, AWAY, ARRIVED)),
)
_NUMBER = {role: i for i, role in enumerate(ROLES)}
_DIRECTIONS: tuple[Direction, ...] = ("up", "down", "peer")
TRANSITS = ("turn", "pass", "end", "relay", "all")
_N = len(ROLES)
_ONE_LEG = frozenset(role for role in ROLES if role[1] == AWAY and role[0] != "relay in")


@cache
def _allowed(way: CableWay, tail: int, head: int, has_relay: bool) -> Bools:  # noqa: FBT001 - a key of the cache
    """Return between which roles a path goes over a cable, by the transits of its ends, shape (13, 13).

    Any device may be a source or a target here; paths start and end where a proof lets them.
    """
    tails, heads = (
        states_of(TRANSITS[t], is_source=True, is_target=True, has_relay=has_relay) for t in (tail, head)
    )
    found = np.zeros((_N, _N), dtype=np.bool_)
    for a in tails:
        for b in heads:
            found[_NUMBER[a], _NUMBER[b]] = is_permitted(way, a, b, has_relay=has_relay)
    return found


@cache
def _turns() -> Bools:
    """Return between which roles a switch turns, shape (13, 13)."""
    return np.array([[is_turn("turn", a, b) for b in ROLES] for a in ROLES], dtype=np.bool_)


@dataclass(frozen=True)
class PathRule:
    """What the file says of links and devices for their paths.

    Parameters
    ----------
    directed : tuple of (CableWay, CableWay)
        For every rule the way of its cables ahead and back.
    transit : ndarray of int64
        For every group the number of its transit, under the path rule of the question.
    """

    directed: tuple[tuple[CableWay, CableWay], ...]
    transit: Ints


def path_rule(rules: Iterable[object], transits: Iterable[str], paths: Paths) -> PathRule:
    """Return the path rule of a fabric under `paths`.

    Parameters
    ----------
    rules : iterable
        Of a blueprint or an expanded form, with ``net`` and ``is_peer``.
    transits : iterable of str
        Of its groups.
    paths : {"rules", "no-relay", "any"}
    """
    found = []
    for rule in rules:
        own = rule.net == "scale-up"  # type: ignore[attr-defined]
        is_peer = rule.is_peer  # type: ignore[attr-defined]
        names: tuple[Direction, Direction] = ("peer", "peer") if is_peer else ("up", "down")
        found.append((CableWay(names[0], own), CableWay(names[1], own)))
    meant = {"any": dict.fromkeys(TRANSITS, "all"), "no-relay": {"relay": "end"}}.get(paths, {})
    number = [TRANSITS.index(meant.get(t, t)) for t in transits]
    return PathRule(tuple(found), np.array(number, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Walks:
    """Kinds of the real links of a view.

    Parameters
    ----------
    rule : PathRule
    link : ndarray of int64, shape (k,)
        Directed link of the view.
    way : ndarray of int64, shape (k,)
        Twice the rule of the file, and 1 for the way back.
    transits : ndarray of int64, shape (k, 2)
        Numbers of the transits of tail and head.
    has_relay : bool
        Whether any device relays; without one there is a single leg.
    """

    rule: PathRule
    link: Ints
    way: Ints
    transits: Ints
    has_relay: bool

    @classmethod
    def of(cls, rule: PathRule, link: Ints, way: Ints, tail: Ints, head: Ints, *, has_relay: bool) -> Walks:
        """Return the kinds of some real links; `tail` and `head` are the transits of their ends."""
        n = len(TRANSITS)
        key = ((link * (2 * len(rule.directed)) + way) * n + tail) * n + head
        first = np.unique(key, return_index=True)[1]
        return cls(rule, link[first], way[first], np.column_stack([tail, head])[first], has_relay)

    def _allowed(self) -> tuple[Bools, Ints]:
        """Return the permitted pairs of roles of every sort of links, and the sort of each row."""
        n = len(TRANSITS)
        key = (self.way * n + self.transits[:, 0]) * n + self.transits[:, 1]
        _, first, sort = np.unique(key, return_index=True, return_inverse=True)
        found = np.zeros((len(first), _N, _N), dtype=np.bool_)
        for i, row in enumerate(first.tolist()):
            number, back = divmod(int(self.way[row]), 2)
            tail, head = self.transits[row].tolist()
            found[i] = _allowed(self.rule.directed[number][back], tail, head, self.has_relay)
        return found, sort.ravel()

    def fault(self, moves: Forwarding, flow: Floats, turning: Bools) -> str:
        """Return what is wrong with the moves that carry flow, or nothing.

        Parameters
        ----------
        moves : Forwarding
            On the classes of the view.
        flow : ndarray of float64
            On each move.
        turning : ndarray of bool
            Classes of devices that turn, as the file says.
        """
        number = {role: _NUMBER.get(role, -1) for role in set(moves.role)}
        role = np.array([number[r] for r in moves.role], dtype=np.int64)
        used = np.flatnonzero(flow > 0)
        inside = used[moves.link[used] < 0]
        tail, head = role[moves.tail[inside]], role[moves.head[inside]]
        at = moves.device[moves.tail[inside]]
        if not (_turns()[tail, head] & turning[at] & (at == moves.device[moves.head[inside]])).all():
            return "a turn that the path rule forbids"
        used = used[moves.link[used] >= 0]
        used = used[np.argsort(moves.link[used], kind="stable")]
        first, last = (np.searchsorted(moves.link[used], self.link, side=side) for side in ("left", "right"))
        row = np.repeat(np.arange(len(self.link)), last - first)
        own = used[np.arange(len(row)) - np.repeat(np.cumsum(last - first) - last, last - first)]
        allowed, sort = self._allowed()
        if not allowed[sort[row], role[moves.tail[own]], role[moves.head[own]]].all():
            return "a move that the path rule forbids"
        return ""

    def graph(self, ends: Ints, turning: Bools) -> tuple[Ints, Ints, Ints]:
        """Return all permitted moves between states, class times `ROLES`: tails, heads, and their links.

        Parameters
        ----------
        ends : ndarray of int64
            Class at the tail of every directed link of the view; that at its head is its neighbour's.
        turning : ndarray of bool
            Classes of devices that turn, as the file says.
        """
        allowed, sort = self._allowed()
        columns = []
        for i, matrix in enumerate(allowed):
            links = self.link[sort == i]
            a, b = np.nonzero(matrix)
            tail = (ends[links][:, None] * _N + a).ravel()
            head = (ends[links ^ 1][:, None] * _N + b).ravel()
            columns.append((tail, head, np.repeat(links, len(a))))
        inside = np.flatnonzero(turning)
        for a, b in zip(*np.nonzero(_turns()), strict=True):
            columns.append((inside * _N + a, inside * _N + b, np.full(len(inside), -1, dtype=np.int64)))
        tails, heads, links = (np.concatenate(column) for column in zip(*columns, strict=True))
        return tails, heads, links


def states(role: str, classes: Ints) -> Ints:
    """Return the states of some classes as sources or as targets."""
    return classes * _N + _NUMBER[role, AWAY]


def relays(roles: Iterable[State], transit: Ints) -> bool:
    """Return whether paths have several legs: by the roles of a program, or because a real device relays."""
    return bool((transit == TRANSITS.index("relay")).any()) or any(
        role not in _ONE_LEG for role in set(roles)
    )
