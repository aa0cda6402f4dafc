"""Permitted paths and what traffic puts on links."""

from fabric.routing.adaptive import Spraying, spraying_efficiency, sprayings
from fabric.routing.balls import SlowestFlow, busy_share, delivered_share, hashed_factor, max_load
from fabric.routing.ecmp import Demands, Progress, demand_hops, link_loads
from fabric.routing.hashed import HashedOutcome, cable_loads, flow_rates, hashed_loads, slowest_flow
from fabric.routing.messages import Leg, Messages, message_hops, message_loads
from fabric.routing.moves import Router, router

__all__ = [
    "Demands",
    "HashedOutcome",
    "Leg",
    "Messages",
    "Progress",
    "Router",
    "SlowestFlow",
    "Spraying",
    "busy_share",
    "cable_loads",
    "delivered_share",
    "demand_hops",
    "flow_rates",
    "hashed_factor",
    "hashed_loads",
    "link_loads",
    "max_load",
    "message_hops",
    "message_loads",
    "router",
    "slowest_flow",
    "spraying_efficiency",
    "sprayings",
]
