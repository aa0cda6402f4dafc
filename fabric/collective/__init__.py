"""Collective algorithms as schedules, and what they cost on a fabric."""

from fabric.collective.algorithms import COLLECTIVES, Moe, Shape, busbw_factor, schedules
from fabric.collective.answer import AlgorithmCost, Cost
from fabric.collective.ask import Asked, job
from fabric.collective.calibration import Calibration, Overhead, Protocol, calibration, calibration_names
from fabric.collective.cost import cost, moe_cost
from fabric.collective.evaluate import Overheads, Timing, evaluate
from fabric.collective.job import Job
from fabric.collective.schedule import Par, Pattern, Phase, Pipe, Schedule, Seq, phases
from fabric.collective.spread import Spread
from fabric.collective.sweep import Sweep, sweep

__all__ = [
    "COLLECTIVES",
    "AlgorithmCost",
    "Asked",
    "Calibration",
    "Cost",
    "Job",
    "Moe",
    "Overhead",
    "Overheads",
    "Par",
    "Pattern",
    "Phase",
    "Pipe",
    "Protocol",
    "Schedule",
    "Seq",
    "Shape",
    "Spread",
    "Sweep",
    "Timing",
    "busbw_factor",
    "calibration",
    "calibration_names",
    "cost",
    "evaluate",
    "job",
    "moe_cost",
    "phases",
    "schedules",
    "sweep",
]
