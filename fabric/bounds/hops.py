"""What hop distances alone allow on a given fabric, in its own rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fabric.bounds.topology import nodes_of, path_length_bound, tub_of
from fabric.errors import QuestionError
from fabric.graph import EXPAND_LIMIT, Fabric
from fabric.results import Result
from fabric.units import format_count, format_rate

HopKind = Literal["tub", "path-length"]
_WHAT = {
    "tub": "the worst permutation of {n} endpoints",
    "path-length": "all-to-all among {n} endpoints",
}
_HOLDS = {
    "tub": "holds for any routing; uniform all-to-all may be faster than the worst permutation",
    "path-length": "holds for any routing and any way to join as many {nodes} with as many neighbours",
}


@dataclass(frozen=True, slots=True)
class HopBound(Result):
    """Answer of `hop_bound`.

    Parameters
    ----------
    kind : {"tub", "path-length"}
    per_endpoint_gbps : float
        No endpoint can send more in the traffic in question, if all send alike [Gb/s]; the mean where their
        access rates differ.
    per_node_gbps : float
        The same for a node with all its endpoints; for ``path-length``, without what stays inside the node.
    throughput : float
        As in the papers: for ``tub`` the part of the access rate, which is that of the fastest link where no
        device is a switch; for ``path-length`` of a node, in rates of a link, the mean of all links.
    node : {"switch", "endpoint"}
        What counts as a node: a switch with its endpoints, or an endpoint where no device is a switch.
    n_nodes, n_endpoints : int
        Nodes with endpoints, and the endpoints.
    degree : int
        Most neighbours of a node.
    mean_hops : float
        Between nodes: of the matched pairs, or the least that the degree allows.
    """

    kind: HopKind
    per_endpoint_gbps: float
    per_node_gbps: float
    throughput: float
    node: Literal["switch", "endpoint"]
    n_nodes: int
    n_endpoints: int
    degree: int
    mean_hops: float

    shown: ClassVar[tuple[str, ...]] = ("collective", "status", "holds")
    collective: ClassVar[str] = "all-to-all"
    status: ClassVar[str] = "upper bound"

    @property
    def holds(self) -> str:
        """What the bound rests on."""
        return _HOLDS[self.kind].format(nodes=self._nodes)

    @property
    def _nodes(self) -> str:
        return "switches" if self.node == "switch" else "endpoints"

    def __str__(self) -> str:
        """Return the answer in a few lines."""
        traffic = _WHAT[self.kind].format(n=format_count(self.n_endpoints))
        nodes = f"{format_count(self.n_nodes)} {self._nodes}"
        unit = "of the access rate" if self.node == "switch" else "links' rate"
        why = {
            "tub": f"{self.throughput:.6g} {unit}: longest matching of {nodes}, "
            f"{self.mean_hops:.6g} hops on average",
            "path-length": f"{self.throughput:.6g} links' rate for each of {nodes} with at most "
            f"{self.degree} neighbours, at least {self.mean_hops:.6g} hops apart on average",
        }
        per_switch = f", {format_rate(self.per_node_gbps)} per switch" if self.node == "switch" else ""
        return "\n".join(
            [
                f"{traffic}: at most {format_rate(self.per_endpoint_gbps)} each{per_switch}",
                f"  {self.kind}: {why[self.kind]}",
                f"  {self.holds}",
            ]
        )


def hop_bound(fabric: Fabric, kind: HopKind, *, limit: int = EXPAND_LIMIT) -> HopBound:
    """Return what hop distances alone allow on `fabric`, under any routing.

    Parameters
    ----------
    fabric : Fabric
        Whose endpoints, with their NICs, hang on one switch each, or that has no switch.
    kind : {"tub", "path-length"}
        `tub`: a permutation of the endpoints, the worst for this fabric. `path_length_bound`: all-to-all,
        where every switch has as many endpoints; links may be unequal, as only their sum counts.
    limit : int
        Of the expanded form.

    Raises
    ------
    QuestionError
        If the bound is not known for such a fabric.
    LimitError
        If the fabric is too large to be expanded, or to be matched.

    Examples
    --------
    >>> import networkx as nx
    >>> from fabric.graph.exchange import from_networkx
    >>> graph = nx.petersen_graph()
    >>> nx.set_edge_attributes(graph, 1.0, "capacity")
    >>> print(hop_bound(from_networkx(graph), "path-length"))
    all-to-all among 10 endpoints: at most 1.8 Gb/s (225 MB/s) each
      path-length: 1.8 links' rate for each of 10 endpoints with at most 3 neighbours,
      at least 1.66667 hops apart on average
      holds for any routing and any way to join as many endpoints with as many neighbours
    """
    net = nodes_of(fabric, kind, limit)
    n_ends, n = int(net.n_ends.sum()), int((net.n_ends > 0).sum())
    # Neighbours count once, however many cables join them.
    pairs = np.unique(np.sort(np.column_stack([net.tail, net.head]), axis=1), axis=0)
    degree = int(np.bincount(pairs.ravel(), minlength=1).max())
    # Without a switch every endpoint is a node.
    node: Literal["switch", "endpoint"] = "switch" if net.has_switches else "endpoint"
    if kind == "tub":
        worst = tub_of(net)
        share, hops = worst.throughput, worst.matching_hops
        # The part holds for every access rate; the mean of all endpoints is given.
        total = share * float(net.access.sum())
        return HopBound(
            kind=kind,
            per_endpoint_gbps=total / n_ends,
            per_node_gbps=total / n,
            throughput=share,
            node=node,
            n_nodes=n,
            n_endpoints=n_ends,
            degree=degree,
            mean_hops=hops,
        )
    sizes = np.unique(net.n_ends)
    if len(sizes) > 1:
        msg = (
            f"path-length: switches of {fabric.name} have {sizes[0]} to {sizes[-1]} endpoints; the bound is "
            "known where every switch has as many (try kind tub)"
        )
        raise QuestionError(msg)
    # The best that any graph of so many nodes and neighbours can do (levels filled as in a Moore graph).
    least = path_length_bound(n, degree)
    # All capacity, over nodes and hops: what each can send if every unit takes the mean number of links.
    per_node = net.capacity_gbps / n / least.mean_hops
    # Of what an endpoint sends, (n - 1) * each of n * each - 1 parts leave the switch.
    leaving = float(sizes[0]) * (n - 1) / (n_ends - 1)
    return HopBound(
        kind=kind,
        per_endpoint_gbps=per_node / float(sizes[0]) / leaving,
        per_node_gbps=per_node,
        throughput=per_node / (net.capacity_gbps / net.n_links),
        node=node,
        n_nodes=n,
        n_endpoints=n_ends,
        degree=degree,
        mean_hops=least.mean_hops,
    )
