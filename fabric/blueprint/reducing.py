"""Which switches of a fabric can reduce: those whose part does in-network reduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from fabric.blueprint.model import Blueprint

ReducingNet = Literal["scale-up", "scale-out"]
REDUCING_NETS: tuple[ReducingNet, ...] = get_args(ReducingNet)
"""Networks whose switches may reduce."""


def reducing_groups(blueprint: Blueprint, nets: Sequence[str] = REDUCING_NETS) -> tuple[str, ...]:
    """Return the device groups of switches whose part reduces, in some networks.

    A switch with a cable of the scale-up network belongs to that.
    """
    inside = {s.group for r in blueprint.rules if r.net == "scale-up" for s in (r.left, r.right)}
    return tuple(
        g.name
        for g in blueprint.groups.values()
        if g.kind == "switch"
        and g.part
        and g.part.in_network_reduction
        and ("scale-up" if g.name in inside else "scale-out") in nets
    )
