"""Maximum flow, cuts and their certificates."""

from fabric.flow.certificate import Verdict, check_flow
from fabric.flow.maxflow import CutClass, MaxFlow, flow_network, max_flow

__all__ = ["CutClass", "MaxFlow", "Verdict", "check_flow", "flow_network", "max_flow"]
