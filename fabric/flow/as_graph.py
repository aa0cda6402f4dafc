"""A question of maximum flow as a NetworkX graph, for any other code to answer."""

from __future__ import annotations

import networkx as nx
import numpy as np

from fabric.arguments import checked
from fabric.errors import LimitError, QuestionError
from fabric.flow.problem import FlowProblem, Network, Selection, flow_problem, network
from fabric.graph import Fabric, Paths
from fabric.graph.exchange import NETWORKX_LIMIT, node_names
from fabric.graph.forwarding import ARRIVED, AWAY, HOME


@checked
def flow_network(
    fabric: Fabric,
    source: Selection,
    target: Selection,
    *,
    paths: Paths = "rules",
    limit: int = NETWORKX_LIMIT,
) -> tuple[nx.DiGraph, str, str]:
    """Return the question as a directed graph on which any max-flow code is right.

    Parameters
    ----------
    fabric : Fabric
    source, target, paths
        As in `max_flow`.
    limit : int
        Refuse a graph with more arcs than this.

    Returns
    -------
    D : networkx.DiGraph
        ``capacity`` [Gb/s] on arcs, none where only the neighbours limit. A device that does not forward
        freely is its upward half ``name`` and its downward half ``name:rx``; ``name~home`` and
        ``name~arrived`` are a device inside the scale-up network of the source and of the target;
        ``<link i>`` stands for a link that several arcs share.
    s, t : str
        So that ``nx.maximum_flow_value(D, s, t)`` is the answer of `max_flow`.

    Raises
    ------
    QuestionError
        If a link must share its capacity between climbing and descending traffic in a way that no directed
        graph expresses; `max_flow` answers such a question by a linear program.
    LimitError
        If the graph would be too large.
    """
    problem = flow_problem(fabric, source, target, paths=paths)
    if len(problem.tail) > limit:
        msg = (
            f"this question has {len(problem.tail):,} arcs; a NetworkX graph is limited to {limit:,}. "
            f"Pass limit={len(problem.tail)} if memory allows, or use max_flow, which needs no graph"
        )
        raise LimitError(msg)
    # Joint capacities have no graph: refused, with one pair of devices that share such a link.
    net = network(problem)
    if len(net.joint):
        e = problem.moves.expanded
        row = int(net.joint[0]) // 2
        msg = (
            f"{e.names[int(e.tail[row])]} - {e.names[int(e.head[row])]} shares its capacity between climbing "
            "and descending traffic of this question, which no directed graph expresses; use max_flow"
        )
        raise QuestionError(msg)
    labels = _labels(problem, net)
    graph = nx.DiGraph()
    graph.add_nodes_from(labels[-2:])
    for u, v, capacity in zip(net.tail.tolist(), net.head.tolist(), net.capacity.tolist(), strict=True):
        a, b = labels[u], labels[v]
        # A networkx arc without a capacity is unlimited; parallel arcs add up.
        if np.isinf(capacity):
            graph.add_edge(a, b)
        elif graph.has_edge(a, b):
            graph[a][b]["capacity"] += capacity
        else:
            graph.add_edge(a, b, capacity=capacity)
    return graph, labels[-2], labels[-1]


def _labels(problem: FlowProblem, net: Network) -> list[str]:
    """Return a name for every node of the network, all different."""
    names = node_names(problem.moves.expanded)
    wanted = []
    for device, (role, stage) in zip(problem.moves.device.tolist(), problem.moves.role, strict=True):
        # A device that turns is two nodes: one sends up, the other receives down.
        half = ":rx" if role in ("down", "relay in") else ""
        inside = "" if role.startswith("relay") else {HOME: "~home", AWAY: "", ARRIVED: "~arrived"}[stage]
        wanted.append(f"{names[device]}{half}{inside}")
    wanted += [f"<link {i}>" for i in range(net.n_nodes - 2 - problem.moves.n_states)]
    wanted += ["<source>", "<target>"]
    # Nodes of a graph can print alike, such as 0 and "0", or end in ":rx".
    labels: dict[str, None] = {}
    for label in wanted:
        while label in labels:
            label += "'"
        labels[label] = None
    return list(labels)
