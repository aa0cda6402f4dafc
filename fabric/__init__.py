"""Declare, check and cost the network fabrics of accelerator clusters.

The names below are loaded when they are first used, so that ``import fabric`` and light commands stay fast.
The layers are ordinary modules: ``import fabric.report`` gives the report layer, whose one verb is
``write_report``.
"""

from __future__ import annotations

import importlib
import sys

from fabric import _guard

# Type checkers know the name; importing it from typing would be most of what this module costs.
TYPE_CHECKING = False

__version__ = "0.1.0"

_guard.refuse_rivals(sys.path)

if TYPE_CHECKING:
    from fabric.collective import cost
    from fabric.errors import (
        FabricError,
        GraphError,
        LimitError,
        PartError,
        Problem,
        QuestionError,
        SelectorError,
        TopologyError,
        UnitError,
    )
    from fabric.flow import max_flow
    from fabric.graph import Fabric, expand, from_networkx, load, loads, to_networkx
    from fabric.report import write_report
    from fabric.routing import flow_network

__all__ = [
    "Fabric",
    "FabricError",
    "GraphError",
    "LimitError",
    "PartError",
    "Problem",
    "QuestionError",
    "SelectorError",
    "TopologyError",
    "UnitError",
    "cost",
    "expand",
    "flow_network",
    "from_networkx",
    "load",
    "loads",
    "max_flow",
    "to_networkx",
    "write_report",
]

_HOME = {
    "cost": "fabric.collective",
    "expand": "fabric.graph",
    "Fabric": "fabric.graph",
    "flow_network": "fabric.routing",
    "from_networkx": "fabric.graph",
    "load": "fabric.graph",
    "loads": "fabric.graph",
    "max_flow": "fabric.flow",
    "to_networkx": "fabric.graph",
    "write_report": "fabric.report",
}

# Hidden from type checkers, which would otherwise accept any misspelt name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name on first use (PEP 562)."""
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg, name=name, obj=sys.modules[__name__])
        value = getattr(importlib.import_module(_HOME.get(name, "fabric.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the lazy names beside those already loaded."""
    return sorted({*globals(), *__all__})
