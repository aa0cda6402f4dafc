"""The path rule once more, cable by cable: what a proof holds the moves of a program to.

`fabric.graph.forwarding` lists the moves that solvers use; this states which there may be, from what the file
says of a cable and of the devices at its two ends, and shares no line with it. A path is a word of cables::

    climbs .. turns .. descends          halves: a device that does not forward freely has an upward and a
                                         downward one; a cable up has no downward half at either end, a cable
                                         down no upward half, and one between peers not one of each
    home .. away .. arrived              legs, where devices relay: over the source's scale-up network, on
                                         other cables, over the target's; a relay stands between two of them
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from fabric.graph.forwarding import ARRIVED, AWAY, HOME, State

Direction = Literal["up", "down", "peer"]

_RELAYS = ("relay out", "relay in")
_OPPOSITE = {"up": "down", "down": "up"}
_LEGS = {
    ("source", True): HOME,
    ("source", False): AWAY,
    ("relay out", False): AWAY,
    ("relay in", True): ARRIVED,
    (HOME, True): HOME,
    (HOME, False): AWAY,
    (AWAY, True): AWAY,
    (AWAY, False): AWAY,
    (ARRIVED, True): ARRIVED,
}
"""The leg that a cable is on, by where the path was and whether the cable is of a scale-up network; what is
not here does not exist."""


class CableWay(NamedTuple):
    """One direction of a cable, as the file says it: up, down or between peers, and of which network."""

    direction: Direction
    is_scale_up: bool


def states_of(transit: str, *, is_source: bool, is_target: bool, has_relay: bool) -> tuple[State, ...]:
    """Return the roles that a device may have in a path.

    Parameters
    ----------
    transit : {"turn", "pass", "end", "relay", "all"}
        Of the device, under the path rule of the question.
    is_source, is_target : bool
        Whether it sends, or receives.
    has_relay : bool
        Whether any device relays; without one there is a single leg.

    Examples
    --------
    >>> states_of("pass", is_source=False, is_target=False, has_relay=False)
    (('up', 1), ('down', 1))
    """
    legs = (HOME, AWAY, ARRIVED) if has_relay else (AWAY,)
    names = {"turn": ("up", "down"), "pass": ("up", "down"), "all": ("free",)}.get(transit, ())
    own = [(name, leg) for name in names for leg in legs]
    relays = [("relay out", HOME), ("relay in", AWAY)] if transit == "relay" else []
    ends = [("source", AWAY)] * is_source + [("target", AWAY)] * is_target
    return (*own, *relays, *ends)


def is_permitted(way: CableWay, tail: State, head: State, *, has_relay: bool) -> bool:
    """Return whether a path may go from one role over a cable to another.

    Examples
    --------
    >>> down = CableWay("down", False)
    >>> [is_permitted(down, (role, 1), ("down", 1), has_relay=False) for role in ("up", "down", "free")]
    [False, True, True]
    """
    names = {tail[0], head[0]}
    if tail[0] == "target" or head[0] == "source" or _OPPOSITE.get(way.direction, "") in names:
        return False
    # Between peers one stays in its half; relays have nothing below them.
    if names == {"up", "down"} or (way.direction, tail[0]) in [("down", relay) for relay in _RELAYS]:
        return False
    if head[0] in _RELAYS and way.direction == "up":
        return False
    if not has_relay:
        return True
    leg = _LEGS.get((tail[0] if tail[0] in ("source", *_RELAYS) else tail[1], way.is_scale_up))
    if leg is None or head[0] == "target":
        return leg is not None
    # A relay takes over where a leg ends: the first on scale-up cables, the second on others.
    return leg == head[1] and (head[0] not in _RELAYS or way.is_scale_up == (head[0] == "relay out"))


def is_turn(transit: str, tail: State, head: State) -> bool:
    """Return whether a device may pass from one role to another inside: switches turn, once."""
    return transit == "turn" and (tail[0], head[0]) == ("up", "down") and tail[1] == head[1]
