"""The job: which ranks a collective has, and what its traffic patterns load on every link class."""

from fabric.job.question import JobQuestion, job
from fabric.job.ranks import Job

__all__ = ["JobQuestion", "Job", "job"]
