"""Collective algorithms as schedules, and what they cost on a fabric."""

from fabric.collective.algorithms import COLLECTIVES, Shape, busbw_factor, schedules
from fabric.collective.cost import AlgorithmCost, Cost, cost, evaluate
from fabric.collective.job import Job, job
from fabric.collective.schedule import Par, Pattern, Phase, Pipe, Schedule, Seq, phases

__all__ = [
    "COLLECTIVES",
    "AlgorithmCost",
    "Cost",
    "Job",
    "Par",
    "Pattern",
    "Phase",
    "Pipe",
    "Schedule",
    "Seq",
    "Shape",
    "busbw_factor",
    "cost",
    "evaluate",
    "job",
    "phases",
    "schedules",
]
