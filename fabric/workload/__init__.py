"""The job on the fabric: from a model and a parallel layout to the traffic of a step, and what binds it."""

from fabric.workload.job_file import load_job, parse_job
from fabric.workload.models import Model, model, model_rows
from fabric.workload.workload import Assumption, Batch, Parallel, Precision, Workload

__all__ = [
    "Assumption",
    "Batch",
    "Model",
    "Parallel",
    "Precision",
    "Workload",
    "load_job",
    "model",
    "model_rows",
    "parse_job",
]
