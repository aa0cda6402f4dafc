"""Declare, check and cost the network fabrics of accelerator clusters.

The names below are loaded when they are first used, so that ``import fabric`` and light commands stay fast.
The layers are ordinary modules below: ``fabric.graph``, ``fabric.flow``, ``fabric.costing`` and so on.
"""

from __future__ import annotations

import importlib
import sys

from fabtopo import refuse_rivals as _refuse_rivals

# Type checkers know the name; importing it from typing would be most of what this module costs.
TYPE_CHECKING = False

__version__ = "0.1.0"

_refuse_rivals(sys.path)

if TYPE_CHECKING:
    from fabric.bounds.bound import bound
    from fabric.bounds.chunks import chunk_bound
    from fabric.costing.cost import cost, moe_cost
    from fabric.costing.spread import Spread
    from fabric.costing.sweep import sweep
    from fabric.errors import (
        ExtraError,
        FabricError,
        GraphError,
        LimitError,
        LogError,
        PartError,
        Problem,
        QuestionError,
        SelectorError,
        TopologyError,
        UnitError,
    )
    from fabric.flow import flow_network, max_flow
    from fabric.flow.bottleneck import bottleneck
    from fabric.flow.throughput import throughput
    from fabric.flow.traffic import Traffic
    from fabric.graph import Fabric, expand, fail, load, loads, open_boxes
    from fabric.graph.exchange import from_networkx, to_networkx
    from fabric.interop.nccl_tests import read_log
    from fabric.reporting import report
    from fabric.schedule.algorithms import Moe
    from fabric.sizing import design
    from fabric.sizing.bom import bom
    from fabric.study.logs import calibrate, compare_log
    from fabric.study.scale import scale

__all__ = [
    "ExtraError",
    "Fabric",
    "FabricError",
    "GraphError",
    "LimitError",
    "LogError",
    "Moe",
    "PartError",
    "Problem",
    "QuestionError",
    "SelectorError",
    "Spread",
    "TopologyError",
    "Traffic",
    "UnitError",
    "bom",
    "bottleneck",
    "bound",
    "calibrate",
    "chunk_bound",
    "compare_log",
    "cost",
    "design",
    "expand",
    "fail",
    "flow_network",
    "from_networkx",
    "load",
    "loads",
    "max_flow",
    "moe_cost",
    "open_boxes",
    "read_log",
    "report",
    "scale",
    "sweep",
    "throughput",
    "to_networkx",
]

_HOME = {
    "bom": "fabric.sizing.bom",
    "bottleneck": "fabric.flow.bottleneck",
    "bound": "fabric.bounds.bound",
    "calibrate": "fabric.study.logs",
    "chunk_bound": "fabric.bounds.chunks",
    "compare_log": "fabric.study.logs",
    "cost": "fabric.costing",
    "design": "fabric.sizing",
    "expand": "fabric.graph",
    "fail": "fabric.graph",
    "Fabric": "fabric.graph",
    "flow_network": "fabric.flow",
    "from_networkx": "fabric.graph.exchange",
    "load": "fabric.graph",
    "loads": "fabric.graph",
    "max_flow": "fabric.flow",
    "Moe": "fabric.schedule",
    "moe_cost": "fabric.costing",
    "open_boxes": "fabric.graph",
    "read_log": "fabric.interop.nccl_tests",
    "report": "fabric.reporting",
    "scale": "fabric.study.scale",
    "Spread": "fabric.costing",
    "sweep": "fabric.costing",
    "throughput": "fabric.flow.throughput",
    "to_networkx": "fabric.graph.exchange",
    "Traffic": "fabric.flow.traffic",
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
