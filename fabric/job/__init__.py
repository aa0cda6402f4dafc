"""The job: which ranks a collective has, and what its traffic patterns load on every link class."""

from fabric.job.question import Asked, job
from fabric.job.ranks import Job

__all__ = ["Asked", "Job", "job"]
