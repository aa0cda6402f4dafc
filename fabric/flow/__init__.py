"""Maximum flow, cuts and their certificates."""

from fabric.flow.certificate import Verdict, check_flow
from fabric.flow.cut import CutCables, CutClass
from fabric.flow.maxflow import MaxFlow, flow_network, max_flow

__all__ = ["CutCables", "CutClass", "MaxFlow", "Verdict", "check_flow", "flow_network", "max_flow"]
