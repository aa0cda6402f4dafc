"""NCCL's own cost model: what its tuner expects of a machine, and what it chooses."""

from fabric.collective.nccl.fabric import ABOUT, node_of
from fabric.collective.nccl.hardware import Node, machine
from fabric.collective.nccl.model import ALGORITHMS, COLLECTIVES, Graph, Machine
from fabric.collective.nccl.predict import Line, Prediction, Timed, Tuning, predict, tuning
from fabric.collective.nccl.tables import PROTOCOLS

__all__ = [
    "ABOUT",
    "ALGORITHMS",
    "COLLECTIVES",
    "PROTOCOLS",
    "Graph",
    "Line",
    "Machine",
    "Node",
    "Prediction",
    "Timed",
    "Tuning",
    "machine",
    "node_of",
    "predict",
    "tuning",
]
