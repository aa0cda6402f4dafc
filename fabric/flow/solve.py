"""Solvers of single-commodity flow: whole units, or a linear program where links share a capacity."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from fabric.arrays import Bools, Floats, Ints
from fabric.flow.lp import assemble, balance_entries, maximize, unit_of
from fabric.flow.problem import Network
from fabric.flow.span import FAR_APART

# A residual of scipy's Dinic is the sum of two capacities and must stay below 2**31: it wraps silently.
_INT32_BITS = 30
# Units beyond which float64 no longer tells neighbours apart safely, and room for sums of them in int64.
_UNIT_BITS, _TOTAL_BITS = 48, 60
# How much less a class gets to see whether it binds; a class with less slack than this counts as binding.
_NUDGE = 1e-4


@dataclass(frozen=True, eq=False)
class FlowSolution:
    """A maximum flow and what limits it, on the arcs of a network.

    Parameters
    ----------
    flow : ndarray of float64, shape (k,)
        On each arc [Gb/s].
    price : ndarray of float64, shape (k,)
        What one more Gb/s of the capacity of the arc is worth: 1 on the minimum cut nearest the source, else
        0; fractions can occur where capacities are joint.
    binds : ndarray of bool, shape (k,)
        Arcs whose classes belong to some minimum cut.
    """

    flow: Floats
    price: Floats
    binds: Bools


def solve(net: Network, kind: Ints) -> FlowSolution:
    """Return a maximum flow on the arcs of `net`.

    Parameters
    ----------
    net : Network
    kind : ndarray of int64, shape (k,)
        Class of each arc, -1 for none; only joint capacities need it.

    Raises
    ------
    QuestionError
        If the linear program of joint capacities is not solved.
    """
    return _joint(net, kind) if len(net.joint) else _separate(net)


def _separate(net: Network) -> FlowSolution:
    """Solve a network in which every arc has its capacity to itself.

    Notes
    -----
    An arc is in some minimum cut exactly when it is full and its ends lie in different strong components of
    the residual network (Picard and Queyranne, Math. Programming Study 13, 1980).
    """
    # Unlimited arcs get more units than all limited ones together: they are in no finite cut.
    limited = np.isfinite(net.capacity)
    ends = net.tail == net.source, net.head == net.target
    bound = min(float(net.capacity[side].sum()) for side in ends)
    while True:
        capacity = np.minimum(net.capacity[limited], bound)
        unit, is_exact = whole_unit(capacity)
        units = np.zeros(len(net.tail), dtype=np.int64)
        # Whole units leave the division with an error far below 1/8. On a grid, which divides exactly, the
        # remainder is dropped.
        units[limited] = np.floor(capacity / unit + (0.125 if is_exact else 0.0))
        total = int(units.sum())
        units[~limited] = total + 1
        arcs = _Pairs(net, units)
        residual = _residual(arcs, net.source, net.target, total)
        is_open = residual > 0
        # The cut nearest the source: all that it still reaches.
        near = arcs.reach(is_open, net.source)
        crossing = near[net.tail] & ~near[net.head]
        # On a grid the cut may hold almost one unit more on every arc; twice that much limits no flow.
        above = 2 * float(units[crossing].sum() + crossing.sum()) * unit
        if is_exact or above == 0 or above > bound / 2:
            break
        bound = above
    flow = _deal(np.maximum(arcs.capacity - residual, 0), arcs.pair, units) * unit
    _, strong = csgraph.connected_components(arcs.graph(is_open), directed=True, connection="strong")
    # Full and not within one strong component: see Notes.
    full = limited & (units > 0) & ~is_open[arcs.pair]
    return FlowSolution(flow, crossing.astype(np.float64), full & (strong[net.tail] != strong[net.head]))


def whole_unit(rates: Floats) -> tuple[float, bool]:
    """Return a rate of which all `rates` are whole multiples and True, or else a fine grid and False.

    Examples
    --------
    >>> whole_unit(np.array([400.0, 600.0]))
    (200.0, True)
    >>> whole_unit(np.array([400.0, 8000 / 3])) == (400 / 3, True)
    True
    """
    unique = np.unique(rates[rates > 0])
    if not len(unique):
        return 1.0, True
    fractions = []
    for rate in unique.tolist():
        # Rates are decimals, or such over a small number: more digits are rounding.
        fraction = Fraction(rate).limit_denominator(10**6)
        if abs(float(fraction) - rate) > 1e-15 * rate:
            break
        fractions.append(fraction)
    largest, total = float(unique[-1]), float(rates.sum())
    if len(fractions) == len(unique):
        # The greatest common divisor of fractions, over their common denominator.
        lcm = math.lcm(*(f.denominator for f in fractions))
        unit = Fraction(math.gcd(*(int(f * lcm) for f in fractions)), lcm)
        if Fraction(largest) / unit < 2**_UNIT_BITS and Fraction(total) / unit < 2**_TOTAL_BITS:
            return float(unit), True
    # A power of two: rates that lie on the grid stay exact.
    bits = max(math.frexp(largest)[1] - _UNIT_BITS, math.frexp(total)[1] - _TOTAL_BITS)
    return math.ldexp(1.0, max(bits, -1000)), False


class _Pairs:
    """Arcs merged into one entry for each ordered pair of nodes; every entry has its reverse."""

    def __init__(self, net: Network, units: Ints) -> None:
        n = self.n_nodes = net.n_nodes
        ahead = net.tail * n + net.head
        self.key = np.unique(np.concatenate([ahead, net.head * n + net.tail]))
        self.pair = np.searchsorted(self.key, ahead)
        self.capacity = np.zeros(len(self.key), dtype=np.int64)
        np.add.at(self.capacity, self.pair, units)
        self._head = (self.key % n).astype(np.int32)
        self._first = np.searchsorted(self.key // n, np.arange(n + 1)).astype(np.int32)

    def matrix(self, data: npt.NDArray[np.int32]) -> sparse.csr_matrix:
        """Return a matrix of the nodes with `data` as entries."""
        return sparse.csr_matrix((data, self._head, self._first), shape=(self.n_nodes, self.n_nodes))

    def graph(self, kept: Bools) -> sparse.csr_matrix:
        """Return a matrix of the nodes with an entry for each pair that is `kept`."""
        graph = self.matrix(kept.astype(np.int32)).copy()
        graph.eliminate_zeros()  # in place, on arrays that would be shared
        return graph

    def reach(self, kept: Bools, start: int) -> Bools:
        """Return the nodes that `start` reaches over the pairs that are `kept`, itself included."""
        is_reached = np.zeros(self.n_nodes, np.bool_)
        is_reached[csgraph.breadth_first_order(self.graph(kept), start, return_predecessors=False)] = True
        return is_reached


def _residual(arcs: _Pairs, source: int, target: int, bound: int) -> Ints:
    """Return what a maximum flow leaves of each pair, in units; no flow exceeds `bound`.

    Notes
    -----
    scipy's Dinic counts in int32. Capacities above that are first solved in steps of `step` units, which
    leaves less than one step on every entry of some cut; what remains is solved in finer steps on the
    residual network, the last time in single units (Gabow, J. Comput. Syst. Sci. 31, 1985).
    """
    residual = arcs.capacity.copy()
    while True:
        step = 1 << max(0, bound.bit_length() - _INT32_BITS)
        graph = arcs.matrix((np.minimum(residual, bound) // step).astype(np.int32))
        flow = csgraph.maximum_flow(graph, source, target, method="dinic").flow.tocoo()
        # Flow on a pair takes from it and gives to its reverse: scipy lists both.
        entry = np.searchsorted(arcs.key, flow.row.astype(np.int64) * arcs.n_nodes + flow.col)
        residual[entry] -= step * flow.data.astype(np.int64)
        if step == 1:
            return residual
        bound = len(residual) * step


def _deal(entry: Ints, pair: Ints, units: Ints) -> Floats:
    """Deal the flow of each pair of nodes out to its parallel arcs, first arcs first."""
    flow = np.zeros(len(units))
    if not len(units):
        return flow
    order = np.argsort(pair, kind="stable")
    room = units[order]
    group = pair[order]
    is_first = np.concatenate([[True], group[1:] != group[:-1]])
    # Room of the parallel arcs before each: running sums that begin anew with every pair.
    before = np.cumsum(room) - room
    before -= before[np.flatnonzero(is_first)][np.cumsum(is_first) - 1]
    flow[order] = np.clip(entry[group] - before, 0, room)
    return flow


def _joint(net: Network, kind: Ints) -> FlowSolution:
    """Solve a network in which several arcs share the capacity of a link."""
    flow, price = _program(net)
    value = float(flow[net.head == net.target].sum())
    carried = np.bincount(net.link[net.link >= 0], flow[net.link >= 0], minlength=1)
    limited = net.link >= 0
    full = np.zeros(len(flow), dtype=np.bool_)
    full[limited] = carried[net.link[limited]] >= net.capacity[limited] * (1 - _NUDGE)
    binds = np.zeros(len(flow), dtype=np.bool_)
    for link_class in np.unique(kind[full & (kind >= 0)]).tolist() if value > 0 else []:
        # The value is concave in the capacity of a class, so a binding class shows in any cut of it.
        less = replace(net, capacity=np.where(kind == link_class, net.capacity * (1 - _NUDGE), net.capacity))
        fewer, _ = _program(less)
        if fewer[net.head == net.target].sum() < value * (1 - 1e-4 * _NUDGE):
            binds |= full & (kind == link_class)
    return FlowSolution(flow, price, binds)


def _largest_value(net: Network) -> float:
    """Return what all links at the source, or at the target, carry together; infinite without a limit.

    Beside the capacity of a spine layer a solver takes that of one GPU for rounding.
    """
    most = np.inf
    for side in (net.tail == net.source, net.head == net.target):
        if (net.link[side] >= 0).all():
            _, first = np.unique(net.link[side], return_index=True)
            most = min(most, float(net.capacity[side][first].sum()))
    return most


def _value_apart(net: Network) -> float:
    """Return the maximum flow were no capacity shared: the true one is no larger, nor smaller by orders."""
    apart = replace(net, joint=net.joint[:0])
    return float(_separate(apart).flow[net.head == net.target].sum())


def _program(net: Network) -> tuple[Floats, Floats]:
    """Return flow and price of each arc by a linear program."""
    if not _largest_value(net):
        # Nothing can leave, or nothing arrive: all links of that side are the cut.
        shut = [
            side for side in (net.tail == net.source, net.head == net.target) if not net.capacity[side].any()
        ]
        return np.zeros(len(net.tail)), shut[0].astype(np.float64)
    # What is down is left out: no capacity to divide by.
    is_open = (net.link < 0) | (net.capacity > 0)
    tail, head, link = (ends[is_open] for ends in (net.tail, net.head, net.link))
    capacity = net.capacity[is_open]
    value = len(tail)
    limited = np.flatnonzero(link >= 0)
    _, first, row = np.unique(link[limited], return_index=True, return_inverse=True)
    # No flow needs more on a link than all that there is; twice that leaves no doubt about what is cut.
    shared = np.minimum(capacity[limited][first], 2.0 * _value_apart(net))
    is_far_apart = bool(shared.min() * FAR_APART < shared.max())
    # The value leaves the source and enters the target: the last column.
    sent = np.array([net.source, net.target]), np.array([value, value]), np.array([-1.0, 1.0])
    balance = assemble([*balance_entries(tail, head), sent], net.n_nodes, value + 1)
    unit = unit_of(shared)
    load = assemble([(row.ravel(), limited, unit / shared[row.ravel()])], len(first), value + 1)
    x, dual = maximize(balance, load, is_far_apart=is_far_apart)
    flow, price = np.zeros((2, len(net.tail)))
    # What is rounding on large links overloads small ones; the certificate finds what is more than that.
    x[limited] /= np.maximum(load @ x, 1.0)[row.ravel()]
    flow[is_open] = x[:-1] * unit
    price[np.flatnonzero(is_open)[limited]] = (dual * (unit / shared))[row.ravel()]
    return flow, price
