"""Permitted paths and what traffic puts on links."""

from fabric.routing.ecmp import Demands, Progress, Router, link_loads, router

__all__ = ["Demands", "Progress", "Router", "link_loads", "router"]
