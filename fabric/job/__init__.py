"""The job: which ranks a collective has, and what its traffic patterns load on every link class."""

from fabric.job.jobs import job
from fabric.job.question import JobQuestion
from fabric.job.ranks import Job

__all__ = ["JobQuestion", "Job", "job"]
