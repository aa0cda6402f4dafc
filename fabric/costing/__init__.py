"""What a collective costs: schedules on a job, under a calibration."""

from fabric.costing.answer import AlgorithmCost, Cost
from fabric.costing.calibration import Calibration, Overhead, ProtocolCost, calibration, calibration_names
from fabric.costing.cost import CostOptions, cost
from fabric.costing.evaluate import Overheads, Timing, evaluate
from fabric.costing.moe import moe_cost
from fabric.costing.spread import Spread
from fabric.costing.sweep import Sweep, sweep

__all__ = [
    "AlgorithmCost",
    "Calibration",
    "Cost",
    "CostOptions",
    "Overhead",
    "Overheads",
    "ProtocolCost",
    "Spread",
    "Sweep",
    "Timing",
    "calibration",
    "calibration_names",
    "cost",
    "evaluate",
    "moe_cost",
    "sweep",
]
