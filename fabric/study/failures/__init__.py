"""When things break: what every failure costs a job, how often it stops, and what is left of its time."""

from fabric.study.failures.ask import failures
from fabric.study.failures.table import FailureRow, Failures

__all__ = ["FailureRow", "Failures", "failures"]
