"""Sweeps: many questions that do not depend on one another, on all cores or machines, kept as they come."""

from fabric.study.sweeps.run import Crew, run

__all__ = ["Crew", "run"]
