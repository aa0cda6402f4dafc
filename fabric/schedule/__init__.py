"""Collective algorithms as data: schedules of phases, each a traffic pattern."""

from fabric.schedule.algorithms import COLLECTIVES, Moe, Shape, busbw_factor, schedules
from fabric.schedule.tree import Par, Pattern, Phase, Pipe, Schedule, Seq, phases

__all__ = [
    "COLLECTIVES",
    "Moe",
    "Par",
    "Pattern",
    "Phase",
    "Pipe",
    "Schedule",
    "Seq",
    "Shape",
    "busbw_factor",
    "phases",
    "schedules",
]
