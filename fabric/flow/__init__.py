"""Maximum flow, throughput, bottlenecks, and their certificates.

The names below are loaded when they are first used: whoever checks an answer loads no solver.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False

if TYPE_CHECKING:
    from fabric.flow.as_graph import flow_network
    from fabric.flow.certificate import Verdict, check_flow
    from fabric.flow.cut import CutCables, CutClass
    from fabric.flow.maxflow import MaxFlow, max_flow

__all__ = ["CutCables", "CutClass", "MaxFlow", "Verdict", "check_flow", "flow_network", "max_flow"]

_HOME = {
    "CutCables": "fabric.flow.cut",
    "CutClass": "fabric.flow.cut",
    "MaxFlow": "fabric.flow.maxflow",
    "Verdict": "fabric.flow.certificate",
    "check_flow": "fabric.flow.certificate",
    "flow_network": "fabric.flow.as_graph",
    "max_flow": "fabric.flow.maxflow",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a name on first use (PEP 562)."""
        if name not in _HOME:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
