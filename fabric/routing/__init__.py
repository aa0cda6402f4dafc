"""Permitted paths and what traffic puts on links."""

from fabric.routing.ecmp import Demands, Router, link_loads, router

__all__ = ["Demands", "Router", "link_loads", "router"]
