"""A fabric as arrays and as NetworkX graphs, and the rules of who may forward."""

from fabric.graph.expanded import EXPAND_LIMIT, Expanded, GroupInfo, RuleInfo, let_forward
from fabric.graph.fabric import Fabric, expand, load, loads, select
from fabric.graph.forwarding import (
    PATH_RULES,
    Forwarding,
    Paths,
    components,
    forwarding,
    on_the_way,
    reachable,
)
from fabric.graph.whatif import degradations, degrade, fail, fail_by_axes, failures, open_boxes, unnamed

__all__ = [
    "EXPAND_LIMIT",
    "PATH_RULES",
    "Expanded",
    "Fabric",
    "Forwarding",
    "GroupInfo",
    "Paths",
    "RuleInfo",
    "components",
    "expand",
    "degradations",
    "degrade",
    "fail",
    "fail_by_axes",
    "failures",
    "forwarding",
    "let_forward",
    "load",
    "loads",
    "open_boxes",
    "on_the_way",
    "reachable",
    "select",
    "unnamed",
]
