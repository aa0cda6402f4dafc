"""Maximum flow between two selections, with its cut, its ties and its proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import networkx as nx
import numpy as np

from fabric.blueprint.join import Floats, Ints
from fabric.errors import LimitError, QuestionError
from fabric.flow.certificate import Verdict, check_flow
from fabric.flow.problem import FlowProblem, Network, Selection, flow_problem, network
from fabric.flow.solve import residual, solve
from fabric.graph import EXPAND_LIMIT, Fabric, Paths, expand
from fabric.graph.exchange import NETWORKX_LIMIT, node_names
from fabric.units import format_count, format_rate

PATH_RULES = {
    "rules": "up, one turn, down; relays as the file says",
    "no-relay": "up, one turn, down; no relaying",
    "any": "any path, every device forwards",
}


@dataclass(frozen=True, slots=True)
class CutClass:
    """Cables of one rule in a cut.

    Parameters
    ----------
    link : str
        Name of the rule.
    n_cables : int
        Cables that cross.
    capacity_gbps : float
        Together, in the direction of the question [Gb/s].
    """

    link: str
    n_cables: int
    capacity_gbps: float

    def __str__(self) -> str:
        """Return such as ``144 nic-leaf cables, 57.6 Tb/s (7.2 TB/s)``."""
        return f"{format_count(self.n_cables)} {self.link} cables, {format_rate(self.capacity_gbps)}"


@dataclass(frozen=True, slots=True)
class MaxFlow:
    """Answer of `max_flow`; all rates in one direction.

    Parameters
    ----------
    source, target : str
        The question.
    value_gbps : float
        Maximum flow [Gb/s].
    status : {"optimal", "bounded"}
        Whether the certificate closes the gap.
    cut : tuple of CutClass
        The minimum cut nearest the source, by rule; empty where nothing can flow.
    tied : tuple of str
        Rules that bind in another minimum cut.
    paths : {"rules", "no-relay", "any"}
        The path rule.
    without_relay_gbps : float or None
        The value with no relaying, where that differs.
    certificate : Verdict
    """

    source: str
    target: str
    value_gbps: float
    status: Literal["optimal", "bounded"]
    cut: tuple[CutClass, ...]
    tied: tuple[str, ...]
    paths: Paths
    without_relay_gbps: float | None
    certificate: Verdict = field(repr=False)

    def to_dict(self) -> dict[str, object]:
        """Return the answer with the documented keys of ``--json``."""
        return {
            "source": self.source,
            "target": self.target,
            "value_gbps": self.value_gbps,
            "status": self.status,
            "cut": [{"link": c.link, "n_cables": c.n_cables, "capacity_gbps": c.capacity_gbps} for c in self.cut],
            "tied": list(self.tied),
            "binding": [{"link": c.link, "share": None} for c in self.cut],
            "paths": self.paths,
            "without_relay_gbps": self.without_relay_gbps,
            "lower_gbps": self.certificate.lower_gbps,
            "upper_gbps": self.certificate.upper_gbps,
        }

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        proof = self.certificate
        lines = [f"max-flow {self.source} -> {self.target}: {format_rate(self.value_gbps)} per direction"]
        lines += [f"  binding: {cut}" for cut in self.cut] or ["  nothing can flow: no permitted path"]
        if self.tied:
            lines.append(f"  tied with: {', '.join(self.tied)}")
        lines.append(f"  paths: {PATH_RULES[self.paths]}")
        if self.without_relay_gbps is not None:
            lines.append(f"  without relaying: {format_rate(self.without_relay_gbps)}")
        lines.append(
            f"  {self.status}: a flow of {format_rate(proof.lower_gbps)} and a cut of {format_rate(proof.upper_gbps)}"
        )
        return "\n".join(lines)


def max_flow(
    fabric: Fabric, source: Selection, target: Selection, *, paths: Paths = "rules", limit: int = EXPAND_LIMIT
) -> MaxFlow:
    """Return the maximum flow from `source` to `target` and what binds it.

    Parameters
    ----------
    fabric : Fabric
    source, target : selector, or several
        Such as ``"rack0"``, ``"rack0/tray0/gpu0"`` or ``["block0-3"]``; a node for a fabric read from a graph.
    paths : {"rules", "no-relay", "any"}
        The path rule: the file's, the file's without relaying, or any path at all.
    limit : int
        Of the expanded form.

    Returns
    -------
    MaxFlow

    Raises
    ------
    SelectorError, QuestionError
        If a side matches nothing, or the sides overlap.
    LimitError
        If the fabric is too large to be expanded.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, devices: {gpu: {kind: gpu, axes: [i]}, leaf: {kind: switch, axes: []}},"
    >>> text += " links: [{between: [gpu, leaf], rate: 400Gb/s}]}"
    >>> print(max_flow(loads(text), "gpu0", "gpu1"))
    max-flow gpu0 -> gpu1: 400 Gb/s (50 GB/s) per direction
      binding: 1 gpu-leaf cables, 400 Gb/s (50 GB/s)
      tied with: gpu-leaf
      paths: up, one turn, down; relays as the file says
      optimal: a flow of 400 Gb/s (50 GB/s) and a cut of 400 Gb/s (50 GB/s)
    """
    problem = flow_problem(fabric, source, target, paths=paths, limit=limit)
    flow, price, in_some_cut = _solved(problem)
    proof = check_flow(
        problem.tail, problem.head, problem.link, problem.capacity, problem.sources, problem.targets, flow, price
    )
    cut = _cut(problem, price)
    relays = any(g.transit == "relay" for g in expand(fabric, limit=limit).groups)
    without = None
    if paths == "rules" and relays:
        plain = max_flow(fabric, source, target, paths="no-relay", limit=limit).value_gbps
        without = plain if abs(plain - proof.lower_gbps) > 1e-9 * max(plain, proof.lower_gbps) else None
    rules = problem.moves.expanded.rules
    here = _rules_of(problem, np.flatnonzero(price))
    tied = sorted({rules[r].name for r in _rules_of(problem, in_some_cut)} - {rules[r].name for r in here})
    return MaxFlow(
        str(source), str(target), proof.lower_gbps, proof.status, cut, tuple(tied), paths, without, proof
    )


def _solved(problem: FlowProblem) -> tuple[Floats, Floats, Ints]:
    """Return the flow on every move, the price of every link, and the links that are in some minimum cut."""
    net = network(problem)
    flow, arc_price = solve(net)
    link = np.full(len(net.tail), -1, dtype=np.int64)
    link[net.move >= 0] = problem.link[net.move[net.move >= 0]]
    # The capacity of a shared link sits on the arc at its node, which carries no move of its own.
    for node in np.unique(np.concatenate([net.tail, net.head])):
        if problem.moves.n_states <= node < net.source:
            around = np.flatnonzero((net.tail == node) | (net.head == node))
            link[around] = link[around].max()
    price = np.zeros(len(problem.capacity))
    if arc_price is not None:
        np.maximum.at(price, link[arc_price > 0], arc_price[arc_price > 0])
        tied = np.zeros(0, dtype=np.int64)
    else:
        near, in_some_cut = residual(net, flow)
        crossing = near[net.tail] & ~near[net.head] & np.isfinite(net.capacity) & (link >= 0)
        price[link[crossing]] = 1.0
        tied = link[in_some_cut & (link >= 0)]
    on_moves = np.zeros(len(problem.tail))
    kept = net.move >= 0
    on_moves[net.move[kept]] = flow[kept]
    return on_moves, price, tied


def _rules_of(problem: FlowProblem, links: Ints) -> set[int]:
    return set(problem.moves.expanded.rule[links // 2].tolist())


def _cut(problem: FlowProblem, price: Floats) -> tuple[CutClass, ...]:
    """Group the links that carry a price by rule, in the order of the file."""
    e = problem.moves.expanded
    links = np.flatnonzero((price > 0) & (problem.capacity > 0))
    found = []
    for rule in sorted(_rules_of(problem, links)):
        own = links[e.rule[links // 2] == rule]
        capacity = float((problem.capacity[own] * price[own]).sum())
        found.append(CutClass(e.rules[rule].name, int(e.alive[own // 2].sum()), capacity))
    return tuple(found)


def flow_network(
    fabric: Fabric, source: Selection, target: Selection, *, paths: Paths = "rules", limit: int = NETWORKX_LIMIT
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
        ``capacity`` [Gb/s] on arcs, none where only the neighbours limit. A device that does not forward freely
        is its upward half ``name`` and its downward half ``name:rx``; ``name~home`` and ``name~arrived`` are a
        device inside the scale-up network of the source and of the target.
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
    net = network(problem)
    if net.shared:
        e = problem.moves.expanded
        row = int(problem.link[net.shared[0][0][0]]) // 2
        msg = (
            f"{e.names[int(e.tail[row])]} - {e.names[int(e.head[row])]} shares its capacity between climbing and "
            "descending traffic of this question, which no directed graph expresses; use max_flow"
        )
        raise QuestionError(msg)
    labels = _labels(problem, net)
    graph = nx.DiGraph()
    for u, v, capacity in zip(net.tail.tolist(), net.head.tolist(), net.capacity.tolist(), strict=True):
        a, b = labels[u], labels[v]
        if graph.has_edge(a, b):
            graph[a][b]["capacity"] += capacity
        elif np.isfinite(capacity):
            graph.add_edge(a, b, capacity=capacity)
        else:
            graph.add_edge(a, b)
    graph.add_nodes_from(["<source>", "<target>"])
    return graph, "<source>", "<target>"


def _labels(problem: FlowProblem, net: Network) -> list[str]:
    """Return a name for every node of the network."""
    names = node_names(problem.moves.expanded)
    labels = []
    for device, (role, stage) in zip(problem.moves.device.tolist(), problem.moves.role, strict=True):
        label = str(names[device])
        if role in ("down", "relay in"):
            label += ":rx"
        if not role.startswith("relay"):
            label += {0: "~home", 1: "", 2: "~arrived"}[stage]
        labels.append(label)
    labels += [f"<link {i}>" for i in range(net.n_nodes - 2 - problem.moves.n_states)]
    return [*labels, "<source>", "<target>"]

