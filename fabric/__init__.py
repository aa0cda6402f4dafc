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
    from fabric.bounds.answer import Bound
    from fabric.bounds.bound import bound
    from fabric.bounds.chunks import ChunkBound, chunk_bound
    from fabric.bounds.hops import HopBound
    from fabric.costing import Calibration, Cost, Sweep
    from fabric.costing.cost import CostOptions, cost
    from fabric.costing.moe import moe_cost
    from fabric.costing.spread import Spread
    from fabric.costing.sweep import sweep
    from fabric.costing.transfers import Transfers, transfer
    from fabric.errors import (
        ArgumentError,
        ExtraError,
        FabricError,
        FileError,
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
    from fabric.flow import MaxFlow, flow_network, max_flow
    from fabric.flow.bottleneck import Bottleneck, bottleneck
    from fabric.flow.throughput import Throughput, throughput
    from fabric.flow.traffic import Traffic
    from fabric.graph import Fabric, degrade, expand, fail, load, loads, open_boxes
    from fabric.graph.called import by_site_names
    from fabric.graph.exchange import from_networkx, to_networkx
    from fabric.interop.as_built import AsBuilt, read_cabling
    from fabric.interop.export import Export, export
    from fabric.interop.nccl_tests import Log, read_log
    from fabric.job.question import JobOptions
    from fabric.parts.explaining import Explanation, explain
    from fabric.reporting import report
    from fabric.results import Result
    from fabric.schedule.algorithms import Moe
    from fabric.sizing import Design, DesignArguments, DesignOptions, design
    from fabric.sizing.bill import Bom
    from fabric.sizing.bom import bom
    from fabric.study.audit import Audit, audit
    from fabric.study.changes import Changes, diff
    from fabric.study.compare import Comparison
    from fabric.study.expectations import Expectations, check
    from fabric.study.failures import Failures, failures
    from fabric.study.logs import calibrate, compare_log
    from fabric.study.probe import Probe, probe
    from fabric.study.scale import scale
    from fabric.study.scale_table import ScaleTable
    from fabric.study.thresholds import Thresholds, thresholds
    from fabric.workload import Workload, load_job
    from fabric.workload.place import place
    from fabric.workload.placements import Placements
    from fabric.workload.serve import serve
    from fabric.workload.serving import Serving
    from fabric.workload.serving_job import Pool, ServingJob, load_serving
    from fabric.workload.share import share
    from fabric.workload.sharing import Sharing, TrafficJob
    from fabric.workload.trace import ExecutionTrace, trace
    from fabric.workload.train import train
    from fabric.workload.training import Training

__all__ = [
    "ArgumentError",
    "AsBuilt",
    "Audit",
    "Bom",
    "Bottleneck",
    "Bound",
    "Calibration",
    "Changes",
    "ChunkBound",
    "Comparison",
    "Cost",
    "CostOptions",
    "Design",
    "DesignArguments",
    "DesignOptions",
    "ExecutionTrace",
    "Expectations",
    "Explanation",
    "Export",
    "ExtraError",
    "Fabric",
    "FabricError",
    "Failures",
    "FileError",
    "GraphError",
    "HopBound",
    "JobOptions",
    "LimitError",
    "Log",
    "LogError",
    "MaxFlow",
    "Moe",
    "PartError",
    "Placements",
    "Pool",
    "Probe",
    "Problem",
    "QuestionError",
    "Result",
    "ScaleTable",
    "SelectorError",
    "Serving",
    "ServingJob",
    "Sharing",
    "Spread",
    "Sweep",
    "Thresholds",
    "Throughput",
    "TopologyError",
    "Traffic",
    "Training",
    "TrafficJob",
    "Transfers",
    "UnitError",
    "Workload",
    "audit",
    "bom",
    "bottleneck",
    "bound",
    "by_site_names",
    "calibrate",
    "check",
    "chunk_bound",
    "compare_log",
    "cost",
    "degrade",
    "design",
    "diff",
    "expand",
    "explain",
    "export",
    "fail",
    "failures",
    "flow_network",
    "from_networkx",
    "load",
    "load_job",
    "load_serving",
    "loads",
    "max_flow",
    "moe_cost",
    "open_boxes",
    "place",
    "probe",
    "read_cabling",
    "read_log",
    "report",
    "scale",
    "serve",
    "share",
    "sweep",
    "thresholds",
    "throughput",
    "to_networkx",
    "trace",
    "train",
    "transfer",
]

_HOME = {
    "AsBuilt": "fabric.interop.as_built",
    "audit": "fabric.study.audit",
    "Audit": "fabric.study.audit",
    "bom": "fabric.sizing.bom",
    "Bom": "fabric.sizing.bill",
    "bottleneck": "fabric.flow.bottleneck",
    "Bottleneck": "fabric.flow.bottleneck",
    "bound": "fabric.bounds.bound",
    "by_site_names": "fabric.graph.called",
    "Bound": "fabric.bounds.answer",
    "calibrate": "fabric.study.logs",
    "Calibration": "fabric.costing",
    "Changes": "fabric.study.changes",
    "check": "fabric.study.expectations",
    "chunk_bound": "fabric.bounds.chunks",
    "ChunkBound": "fabric.bounds.chunks",
    "compare_log": "fabric.study.logs",
    "Comparison": "fabric.study.compare",
    "cost": "fabric.costing",
    "Cost": "fabric.costing",
    "CostOptions": "fabric.costing.cost",
    "design": "fabric.sizing",
    "Design": "fabric.sizing",
    "DesignArguments": "fabric.sizing",
    "DesignOptions": "fabric.sizing",
    "diff": "fabric.study.changes",
    "expand": "fabric.graph",
    "explain": "fabric.parts.explaining",
    "Explanation": "fabric.parts.explaining",
    "Expectations": "fabric.study.expectations",
    "Fabric": "fabric.graph",
    "export": "fabric.interop.export",
    "Export": "fabric.interop.export",
    "degrade": "fabric.graph",
    "fail": "fabric.graph",
    "Failures": "fabric.study.failures",
    "failures": "fabric.study.failures",
    "flow_network": "fabric.flow",
    "from_networkx": "fabric.graph.exchange",
    "HopBound": "fabric.bounds.hops",
    "JobOptions": "fabric.job.question",
    "load": "fabric.graph",
    "load_job": "fabric.workload",
    "loads": "fabric.graph",
    "Log": "fabric.interop.nccl_tests",
    "max_flow": "fabric.flow",
    "MaxFlow": "fabric.flow",
    "Moe": "fabric.schedule",
    "moe_cost": "fabric.costing",
    "open_boxes": "fabric.graph",
    "place": "fabric.workload.place",
    "Placements": "fabric.workload.placements",
    "read_cabling": "fabric.interop.as_built",
    "probe": "fabric.study.probe",
    "Probe": "fabric.study.probe",
    "read_log": "fabric.interop.nccl_tests",
    "report": "fabric.reporting",
    "Result": "fabric.results",
    "scale": "fabric.study.scale",
    "ScaleTable": "fabric.study.scale_table",
    "Pool": "fabric.workload.serving_job",
    "serve": "fabric.workload.serve",
    "Serving": "fabric.workload.serving",
    "ServingJob": "fabric.workload.serving_job",
    "load_serving": "fabric.workload.serving_job",
    "share": "fabric.workload.share",
    "Sharing": "fabric.workload.sharing",
    "Spread": "fabric.costing",
    "sweep": "fabric.costing",
    "Sweep": "fabric.costing",
    "thresholds": "fabric.study.thresholds",
    "Thresholds": "fabric.study.thresholds",
    "throughput": "fabric.flow.throughput",
    "Throughput": "fabric.flow.throughput",
    "to_networkx": "fabric.graph.exchange",
    "trace": "fabric.workload.trace",
    "ExecutionTrace": "fabric.workload.trace",
    "train": "fabric.workload.train",
    "Training": "fabric.workload.training",
    "transfer": "fabric.costing.transfers",
    "Transfers": "fabric.costing.transfers",
    "Traffic": "fabric.flow.traffic",
    "TrafficJob": "fabric.workload.sharing",
    "Workload": "fabric.workload",
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
