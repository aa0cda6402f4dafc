"""A backend of NetworkX for the values and sides of minimum cuts: ``backend="fabtopo"``.

A graph is made into arrays once, and kept by NetworkX with it; the second question of the same graph costs
what the solver does. Capacities are counted in their greatest common unit, so that whole numbers stay exact::

    nx.maximum_flow_value(graph, "a", "b", backend="fabtopo")

What it does not do is left to NetworkX: algorithms that are asked for by `flow_func`, and capacities that are
2**31 or more of their common unit.

References
----------
NetworkX, "Backends", https://networkx.org/documentation/stable/reference/backends.html. The solver is Dinic's
algorithm of `scipy.sparse.csgraph.maximum_flow`, of 32 bits: what is larger it would wrap in silence.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Bools, Ints

_MOST = 2**31 - 1
_PLAIN = 10**6
"""Largest denominator that is tried for a number such as 8000/3, before its bits are taken."""


class FlowGraph:
    """A graph as NetworkX hands it to a backend: its capacities as a sparse matrix.

    Parameters
    ----------
    graph : networkx.Graph or DiGraph
    capacity : str
        Attribute of edges; those without are unlimited, and those of 0 or less are none.
    """

    __networkx_backend__ = "fabtopo"

    def __init__(self, graph: nx.Graph, capacity: str = "capacity") -> None:
        self.graph = graph
        self.nodes: list[Hashable] = list(graph)
        self.number = {node: i for i, node in enumerate(self.nodes)}
        edges = [] if graph.is_multigraph() else graph.edges(data=capacity, default=math.inf)
        rows = [(self.number[u], self.number[v], c) for u, v, c in edges if u != v and c > 0]
        self.unit, self._is_whole, of = _unit({c for *_, c in rows if c != math.inf})
        total = sum(of.get(c, 0) for *_, c in rows if c != math.inf)
        # More than all that is limited: no cut that counts has such an edge.
        unlimited = total + 1
        self.is_small = bool(self.unit) and unlimited <= _MOST
        # Whole numbers of 32 bits, which is all that SciPy 1.13 takes for the places of a matrix of graphs.
        ends = np.array([row[:2] for row in rows], dtype=np.int32).reshape(-1, 2)
        # What would not fit is not asked for.
        count = [min(of.get(c, unlimited), _MOST) for *_, c in rows]
        units, free = np.array(count, dtype=np.int32), np.array([c == math.inf for *_, c in rows], np.bool_)
        if not graph.is_directed():
            ends, units, free = np.concatenate([ends, ends[:, ::-1]]), np.tile(units, 2), np.tile(free, 2)
        shape = len(self.nodes), len(self.nodes)
        self.units = sparse.csr_array((units, ends.T), shape=shape)
        self.unlimited = sparse.csr_array((units[free], ends[free].T), shape=shape)

    def is_directed(self) -> bool:
        """Return whether edges have one way."""
        return bool(self.graph.is_directed())

    def is_multigraph(self) -> bool:
        """Return whether two nodes may be joined more than once."""
        return bool(self.graph.is_multigraph())

    def value(self, units: int) -> int | float:
        """Return so many units of capacity as numbers of the graph: whole where all of these are."""
        amount = units * self.unit
        return int(amount) if self._is_whole else float(amount)


def _unit(capacities: Iterable[Any]) -> tuple[Fraction, bool, dict[Any, int]]:
    """Return the greatest unit of which all capacities are multiples, whether these are whole, and how many.

    The unit is 0 where some are no numbers that have one.
    """
    exact: dict[Any, Fraction] = {}
    for c in capacities:
        if isinstance(c, numbers.Rational):
            exact[c] = Fraction(int(c.numerator), int(c.denominator))
        elif isinstance(c, float | np.floating):
            near = Fraction(float(c)).limit_denominator(_PLAIN)
            exact[c] = near if float(near) == c else Fraction(float(c))
        else:
            return Fraction(0), False, {}
    is_whole = all(isinstance(c, numbers.Integral) for c in exact)
    denominator = math.lcm(*(c.denominator for c in exact.values()))
    unit = Fraction(math.gcd(*(int(c * denominator) for c in exact.values())), denominator) or Fraction(1)
    return unit, is_whole, {c: int(amount / unit) for c, amount in exact.items()}


def convert_from_nx(
    graph: nx.Graph, edge_attrs: Mapping[str, object] | None = None, **_: object
) -> FlowGraph:
    """Return a graph of NetworkX for the functions below."""
    return FlowGraph(graph, next(iter(edge_attrs or ()), "capacity"))


def convert_to_nx(result: object, **_: object) -> object:
    """Return what NetworkX is given back."""
    return result.graph if isinstance(result, FlowGraph) else result


def can_run(name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bool | str:
    """Return whether a call is of what this does, or why not."""
    # All of them take (graph, source, target, capacity, flow_func).
    flow_func = args[4] if len(args) > 4 else kwargs.get("flow_func")
    return "flow_func names an algorithm of NetworkX" if flow_func is not None else True


def maximum_flow_value(
    flow_graph: FlowGraph,
    source: Hashable,
    target: Hashable,
    capacity: str = "capacity",
    flow_func: object = None,
    **kwargs: object,
) -> int | float:
    """Return the value of a maximum flow; as `networkx.maximum_flow_value`."""
    return flow_graph.value(_solve(flow_graph, source, target, kwargs)[0])


def minimum_cut_value(
    flow_graph: FlowGraph,
    source: Hashable,
    target: Hashable,
    capacity: str = "capacity",
    flow_func: object = None,
    **kwargs: object,
) -> int | float:
    """Return the value of a minimum cut; as `networkx.minimum_cut_value`."""
    return flow_graph.value(_solve(flow_graph, source, target, kwargs)[0])


def minimum_cut(
    flow_graph: FlowGraph,
    source: Hashable,
    target: Hashable,
    capacity: str = "capacity",
    flow_func: object = None,
    **kwargs: object,
) -> tuple[int | float, tuple[set[Hashable], set[Hashable]]]:
    """Return the value and the two sides of a minimum cut, the far one least; as `networkx.minimum_cut`."""
    n_units, left = _solve(flow_graph, source, target, kwargs)
    far = _reached(left.T.tocsr(), flow_graph.number[target])
    sides: tuple[set[Hashable], set[Hashable]] = (set(), set())
    for node, is_far in zip(flow_graph.nodes, far.tolist(), strict=True):
        sides[is_far].add(node)
    return flow_graph.value(n_units), sides


def _solve(
    flow_graph: FlowGraph, source: Hashable, target: Hashable, kwargs: Mapping[str, object]
) -> tuple[int, sparse.csr_array]:
    """Return the units of a maximum flow, and what it leaves of every edge and way back.

    Raises
    ------
    networkx.NetworkXError, networkx.NetworkXUnbounded
        Where NetworkX does, in its words.
    NotImplementedError
        If capacities have no unit that fits; NetworkX then asks another backend.
    """
    if kwargs:
        msg = "You have to explicitly set a flow_func if you need to pass parameters via kwargs."
        raise nx.NetworkXError(msg)
    for node in (source, target):
        if node not in flow_graph.number:
            msg = f"node {node} not in graph"
            raise nx.NetworkXError(msg)
    if source == target:
        msg = "source and sink are the same node"
        raise nx.NetworkXError(msg)
    if flow_graph.is_multigraph():
        msg = "MultiGraph and MultiDiGraph not supported (yet)."
        raise nx.NetworkXError(msg)
    s, t = flow_graph.number[source], flow_graph.number[target]
    if _reached(flow_graph.unlimited, s)[t]:
        msg = "Infinite capacity path, flow unbounded above."
        raise nx.NetworkXUnbounded(msg)
    if not flow_graph.is_small:
        msg = "capacities have no common unit of which there are fewer than 2**31; leave backend= out"
        raise NotImplementedError(msg)
    found = csgraph.maximum_flow(flow_graph.units, s, t)
    return int(found.flow_value), sparse.csr_array(flow_graph.units - found.flow)


def _reached(matrix: sparse.csr_array, start: int) -> Bools:
    """Return which nodes are reached from one over the entries of a matrix that are not 0."""
    matrix.eliminate_zeros()
    order: Ints = csgraph.breadth_first_order(matrix, start, return_predecessors=False)
    is_reached = np.zeros(matrix.shape[0], dtype=np.bool_)
    is_reached[order] = True
    return is_reached
