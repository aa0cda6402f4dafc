"""Bounds of a topology by hop distances alone: what no routing and no traffic of its kind can beat.

Every unit of traffic takes up as many units of links as it has hops, and there are only so many links::

    throughput  <=  capacity of all links / (traffic x hops)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import QuestionError
from fabric.flow.matching import refuse_many
from fabric.graph import EXPAND_LIMIT, Expanded, Fabric, components, expand
from fabric.results import Result
from fabric.units import format_count


@dataclass(frozen=True, slots=True)
class Tub(Result):
    """Answer of `tub`.

    Parameters
    ----------
    throughput : float
        No routing gives every permutation of the endpoints more than this part of their access rate.
    n_switches, n_tors : int
        Switches, and those with endpoints.
    matching_hops : float
        Mean distance of the matched pairs, weighted by what they exchange.
    """

    throughput: float
    n_switches: int
    n_tors: int
    matching_hops: float

    def __str__(self) -> str:
        """Return the answer in two lines."""
        return (
            f"throughput of the worst permutation: at most {self.throughput:.6g} of the access rate\n"
            f"  by longest matching of {format_count(self.n_tors)} of {format_count(self.n_switches)} "
            f"switches, {self.matching_hops:.4g} hops on average"
        )


@dataclass(frozen=True, slots=True)
class PathLength(Result):
    """Answer of `path_length_bound`.

    Parameters
    ----------
    n, degree : int
    mean_hops : float
        Least mean distance that any graph with these can have.
    throughput : float
        All-to-all rate of each node at most, in rates of a link.
    """

    n: int
    degree: int
    mean_hops: float
    throughput: float

    def __str__(self) -> str:
        """Return the answer in one line."""
        return (
            f"all-to-all among {format_count(self.n)} nodes of degree {self.degree}: at most "
            f"{self.throughput:.6g} links' rate each, "
            f"as the mean distance is at least {self.mean_hops:.6g} hops"
        )


def path_length_bound(n: int, degree: int) -> PathLength:
    """Return what no graph of `n` nodes with `degree` links each can exceed in all-to-all traffic.

    Parameters
    ----------
    n : int
        At least 2.
    degree : int
        At least 1; a connected graph of more than two nodes needs 2.

    Raises
    ------
    QuestionError
        If no connected graph has these.

    Notes
    -----
    From any node, at most ``degree * (degree - 1) ** (d - 1)`` others are d hops away.

    References
    ----------
    Cerf, Cowan, Mullin, Stanton, "A lower bound on the average shortest path length in regular graphs",
    Networks 4, 1974; Singla, Godfrey, Kolla, "High throughput data center topology design", NSDI 2014,
    section 4.

    Examples
    --------
    >>> print(path_length_bound(40, 10))
    all-to-all among 40 nodes of degree 10: at most 5.73529 links' rate each,
    as the mean distance is at least 1.74359 hops
    """
    if n < 2 or degree < 1 or (degree == 1 and n > 2):
        msg = f"no connected graph has {n} nodes of degree {degree}"
        raise QuestionError(msg)
    remaining, hops, distance, level = n - 1, 0, 0, degree
    # Fill the levels of the Moore tree, nearest first, until all nodes have a place.
    while remaining > 0:
        distance += 1
        n_level = min(level, remaining)
        hops += distance * n_level
        remaining -= n_level
        level *= degree - 1
    mean = hops / (n - 1)
    return PathLength(n, degree, mean, degree / mean)


def tub(fabric: Fabric, *, limit: int = EXPAND_LIMIT) -> Tub:
    """Return the throughput upper bound by the longest matching of switches.

    Parameters
    ----------
    fabric : Fabric
        Whose endpoints, with their NICs, hang on one switch each. Where no device is a switch, every endpoint
        is taken for a switch with endpoints that fill one link.
    limit : int
        Of the expanded form.

    Returns
    -------
    Tub

    Raises
    ------
    QuestionError
        If an endpoint hangs on several switches or none.
    LimitError
        If the fabric is too large to be matched.

    Notes
    -----
    The worst permutation sends each switch's traffic as far away as it can::

        2 * capacity between switches / sum over matched pairs of min(access rates) * distance

    References
    ----------
    Namyar, Supittayapornpong, Zhang, Yu, Govindan, "A throughput-centric view of the performance of
    datacenter topologies", SIGCOMM 2021, equation 1.

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {leaf: 4, i: 2, s: 2}, devices: {gpu: {kind: gpu, axes: [leaf, i]},"
    >>> text += " sw: {kind: switch, axes: [leaf]}, top: {kind: switch, axes: [s]}}, links:"
    >>> text += " [{between: [gpu, sw], rate: 4Gb/s}, {between: [sw, top], rate: 4Gb/s}]}"
    >>> tub(loads(text)).throughput
    1.0
    """
    return tub_of(nodes_of(fabric, "tub", limit))


@dataclass(frozen=True, eq=False)
class Nodes:
    """Switches, or endpoints where there is no switch, and the links between them.

    Parameters
    ----------
    tail, head : ndarray of int64
        Nodes of each bundle that is up.
    access, n_ends : ndarray, shape (n,)
        Rate at which endpoints hang on each node [Gb/s], and how many.
    capacity_gbps : float
        Of all links, both directions.
    n_links : int
        How many these are, cables each counted in each direction.
    """

    name: str
    has_switches: bool
    tail: Ints
    head: Ints
    access: Floats
    n_ends: Ints
    capacity_gbps: float
    n_links: int


def nodes_of(fabric: Fabric, kind: str, limit: int) -> Nodes:
    """Return the nodes of `fabric`; `kind` is the bound that wants them, for errors.

    Raises
    ------
    QuestionError
        If there are fewer than two with endpoints, some of them are not joined, or an endpoint hangs on
        several switches or none.
    """
    e = expand(fabric, limit=limit)
    alive = e.alive * e.rate_gbps
    is_switch = np.array([g.kind == "switch" for g in e.groups], dtype=np.bool_)[e.group] & ~e.failed
    has_switches = bool(is_switch.any())
    is_node = is_switch if has_switches else e.is_endpoint & ~e.failed
    inner = is_node[e.tail] & is_node[e.head] & (alive > 0)
    if has_switches:
        access, n_ends = _access(e, is_switch, alive, kind)
    else:
        # Endpoints that are nodes themselves fill one link, the fastest.
        access = is_node.astype(np.float64) * float(alive[inner].max(initial=0.0))
        n_ends = is_node.astype(np.int64)
    # Nodes numbered from 0, in the order of devices.
    row = np.cumsum(is_node) - 1
    tail, head = row[e.tail[inner]], row[e.head[inner]]
    has_ends = n_ends[is_node] > 0
    nodes = "switches with endpoints" if has_switches else "endpoints"
    if has_ends.sum() < 2:
        msg = f"{kind}: {e.name} has fewer than two {nodes}"
        raise QuestionError(msg)
    if len(np.unique(components(len(has_ends), tail, head)[has_ends])) > 1:
        msg = f"{kind}: some {nodes} of {e.name} are not joined"
        raise QuestionError(msg)
    # A one-way cable is one link, any other two.
    ways = np.where(np.array([r.is_oneway for r in e.rules], dtype=np.bool_)[e.rule[inner]], 1, 2)
    return Nodes(
        e.name,
        has_switches,
        tail,
        head,
        access[is_node],
        n_ends[is_node],
        float((alive[inner] * ways).sum()),
        int((e.alive[inner] * ways).sum()),
    )


def tub_of(net: Nodes) -> Tub:
    """Return what `tub` returns of the fabric that `net` is taken from."""
    from scipy import optimize, sparse  # the slowest of all to load
    from scipy.sparse import csgraph

    tors, n = np.flatnonzero(net.access > 0), len(net.access)
    refuse_many(len(tors))
    joined = sparse.coo_matrix((np.ones(len(net.tail)), (net.tail, net.head)), (n, n))
    hops = csgraph.shortest_path(joined.tocsr(), directed=False, unweighted=True, indices=tors)[:, tors]
    # A pair of switches can exchange what the slower access of the two takes.
    amount = np.minimum(net.access[tors][:, None], net.access[tors])
    # The assignment problem: the permutation whose traffic takes up most links.
    source, target = optimize.linear_sum_assignment(amount * hops, maximize=True)
    paid = float((amount * hops)[source, target].sum())
    # Capacity of all links, both directions, over what the permutation takes up of it at its full rate.
    return Tub(net.capacity_gbps / paid, n, len(tors), paid / float(amount[source, target].sum()))


def _access(e: Expanded, is_switch: Bools, alive: Floats, kind: str) -> tuple[Floats, Ints]:
    """Return the rate at which endpoints hang on every device, 0 where none does [Gb/s], and how many do."""
    below = ~is_switch & ~e.failed
    inside = below[e.tail] & below[e.head] & (alive > 0)
    # What hangs together below the switches, an endpoint with its NICs, is one part.
    part = components(e.n_devices, e.tail[inside], e.head[inside])
    # Cables that cross from below to a switch.
    edge = (below[e.tail] ^ below[e.head]) & (is_switch[e.tail] | is_switch[e.head]) & (alive > 0)
    low = np.where(below[e.tail], e.tail, e.head)[edge]
    high = np.where(below[e.tail], e.head, e.tail)[edge]
    # Which switches each part hangs on, each once.
    on = np.unique(np.column_stack([part[low], high]), axis=0)
    n_switches = np.bincount(on[:, 0], minlength=e.n_devices)
    ends = np.flatnonzero(e.is_endpoint & ~e.failed)
    # An endpoint on several switches has no one place in the matching.
    wrong = ends[n_switches[part[ends]] != 1]
    if len(wrong):
        n = int(n_switches[part[wrong[0]]])
        msg = (
            f"{kind}: {e.names[int(wrong[0])]} hangs on {n} switches; the bound is known for one switch each"
        )
        raise QuestionError(msg)
    has_end = np.zeros(e.n_devices, dtype=np.bool_)
    has_end[part[ends]] = True
    kept = has_end[part[low]]
    # Only parts with an endpoint count: a NIC alone sends nothing.
    rate: Floats = np.bincount(high[kept], alive[edge][kept], minlength=e.n_devices).astype(np.float64)
    switch = np.zeros(e.n_devices, dtype=np.int64)
    switch[on[:, 0]] = on[:, 1]
    return rate, np.bincount(switch[part[ends]], minlength=e.n_devices)
