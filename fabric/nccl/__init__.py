"""NCCL's own cost model: what its tuner expects of a machine, and what it chooses."""

from fabric.nccl.fabric import ABOUT, node_of
from fabric.nccl.formulas import channels_gb_s
from fabric.nccl.hardware import Node, machine
from fabric.nccl.model import ALGORITHMS, COLLECTIVES, ChannelGraph, Machine
from fabric.nccl.predict import Prediction, Timed, TunerRow, Tuning, predict, tuning
from fabric.nccl.tables import PROTOCOLS

__all__ = [
    "ABOUT",
    "ALGORITHMS",
    "COLLECTIVES",
    "PROTOCOLS",
    "ChannelGraph",
    "TunerRow",
    "Machine",
    "Node",
    "Prediction",
    "Timed",
    "Tuning",
    "channels_gb_s",
    "machine",
    "node_of",
    "predict",
    "tuning",
]
