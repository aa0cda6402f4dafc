"""The quotient of any expanded fabric by colour refinement, where no axis says its symmetry.

Colours are hashed neighbourhoods of the physical graph: rule, direction, rate as float bits and cables of
every bundle, and the colour at its other end, again and again until no round tells more devices apart.

A question with one commodity needs no more than that: the coarsest equitable partition [1]_, see `coarsest`.
For many commodities it is not enough that sources are alike; the links must be alike too. In a torus of
4 x 4 x 8 chips all sources are alike and all links look alike, and yet the long rings carry more than the
short ones. So `refine` colours the fabric once for each source, and puts two links in one class only if, over
all sources, they see the same multiset of (what the source sees, colour of the tail, colour of the head)::

    for each source s:   colours of the fabric with s told apart    [ 0 1 1 2 ... ]
    for each link:       what all sources see at its two ends       {(s-like, 0, 1), (s-like, 1, 2), ...}

What the links are told apart by is fed back as labels until nothing changes. Then a flow that is even on the
classes of each source is even on the classes of links: what a link carries is a sum over that multiset.

References
----------
.. [1] Grohe, Kersting, Mladenov, Selman, "Dimension Reduction via Colour Refinement", ESA 2014.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import LimitError
from fabric.graph import Expanded
from fabric.symmetry.colouring import (
    ColouredGraph,
    Words,
    alike_for_all,
    bundle_classes,
    bundle_labels,
    colours_from,
    graph_of,
    link_key,
    merge_alike,
    mix,
    refine_colours,
    renumber,
)
from fabric.symmetry.quotient import Quotient

REFINE_LIMIT = 20_000_000
"""Endpoints times classes of links, alike devices merged first, that `refine` colours: a minute, 1 GB."""


def coarsest(expanded: Expanded, marked: Ints | Bools) -> Quotient:
    """Return the coarsest equitable partition: enough for any question with one commodity.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    marked : ndarray of int64 or bool, shape (n,)
        Devices with different numbers are told apart, as sources from targets and from all others.

    Returns
    -------
    Quotient
        Devices that are down are in no class.

    Examples
    --------
    >>> import networkx as nx, numpy as np
    >>> from fabric.graph import expand
    >>> from fabric.graph.exchange import from_networkx
    >>> cube = nx.hypercube_graph(3)
    >>> nx.set_edge_attributes(cube, 100.0, "capacity")
    >>> coarsest(expand(from_networkx(cube)), np.arange(8) == 0).size.tolist()
    [1.0, 3.0, 3.0, 1.0]
    """
    return one_view(expanded, marked, -1).view


def one_view(expanded: Expanded, marked: Ints | Bools, source: int) -> ColourView:
    """Return `coarsest`, with the class of every link in it; `source` is the device that it is seen from."""
    # What a bundle is, hashed: the edge colour.
    label = bundle_labels(expanded)
    # Unmarked devices are mixed to 0 and keep the colour of their group.
    start = expanded.group.astype(np.uint64) + mix(np.asarray(marked).astype(np.int64).view(np.uint64))
    # Refined colours as numbers from 0; what is down has none.
    node = renumber(refine_colours(expanded, label, mix(start)), ~expanded.failed)
    graph = graph_of(expanded, label, node)
    all_nodes = np.arange(len(graph.size), dtype=np.int64)
    # One commodity: nothing is averaged over sources, and every class of links has its own capacity.
    link = np.arange(len(graph.label), dtype=np.int64)
    view = _quotient(expanded, graph, all_nodes, all_nodes, link, _names(expanded, graph))
    return ColourView(expanded, graph, view, link, np.array([source]), all_nodes[:, None], all_nodes)


def refine(
    expanded: Expanded, ends: Bools | None = None, *, limit: int = REFINE_LIMIT
) -> tuple[Quotient, list[tuple[float, Quotient, int]]]:
    """Return the classes that are exact for traffic from every endpoint to all others alike.

    Parameters
    ----------
    expanded : Expanded
        n devices.
    ends : ndarray of bool, shape (n,), optional
        Endpoints that take part; all that are up if left out.
    limit : int
        Refuse more than this many endpoints times classes of links.

    Returns
    -------
    base : Quotient
        Classes of devices and links that no source tells apart.
    views : list of (float, Quotient, int)
        For each class of endpoints that take part: how many they are, the classes with one of them told
        apart, and the position of its own class there.

    Raises
    ------
    LimitError
        Naming the number that is too large.

    Notes
    -----
    A round takes time and memory in proportion to endpoints times classes of links. Devices that stay alike
    when every endpoint is told apart, such as the switch chips of a rack, are merged before.

    Examples
    --------
    All nodes of a cube are alike; from one of them they are at a distance of 0 to 3.

    >>> import networkx as nx
    >>> from fabric.graph import expand
    >>> from fabric.graph.exchange import from_networkx
    >>> cube = nx.hypercube_graph(3)
    >>> nx.set_edge_attributes(cube, 100.0, "capacity")
    >>> base, [(n, view, source)] = refine(expand(from_networkx(cube)))
    >>> base.size.tolist(), n, view.size.tolist(), source
    ([8.0], 8.0, [1.0, 3.0, 3.0, 1.0], 0)
    """
    # Views are made all at once here; `colour_from_all` makes each when asked.
    colouring = colour_from_all(
        expanded, expanded.is_endpoint & ~expanded.failed if ends is None else ends, limit=limit
    )
    return colouring.base, [colouring.view(number) for number in range(colouring.n_views)]


def colour_from_all(expanded: Expanded, ends: Bools, *, limit: int = REFINE_LIMIT) -> Colouring:
    """Return what `refine` finds, each view made when it is asked for.

    Raises
    ------
    LimitError
        As `refine`.
    """
    graph = merge_alike(expanded, ends)
    nodes = np.flatnonzero(ends[graph.first])
    # Memory of `colours_from`: a word for every endpoint and node, and as much to read the links.
    work = len(nodes) * max(len(graph.tail), len(graph.size))
    if work > limit:
        msg = (
            f"{expanded.name}: refinement looks from {len(nodes):,} endpoints at {len(graph.tail):,} classes "
            f"of links, {work:,} in all; at most {limit:,} are coloured. Declare the fabric by its axes, "
            "raise limit= (about 50 bytes each), or ask about a smaller one"
        )
        raise LimitError(msg)
    # The coarsest start: devices differ by group and by whether they take part, links by their labels.
    device = renumber(2 * expanded.group[graph.first].astype(np.int64) + ends[graph.first])
    link = renumber(graph.label)
    while True:
        colours, seen = colours_from(graph, device, link, nodes)
        finer_device, finer_link = alike_for_all(graph, device, link, colours, seen)
        # Labels only get finer, so equal counts are the fixed point: nothing is left to feed back.
        n_before = device.max(initial=-1), link.max(initial=-1)
        device, link = finer_device, finer_link
        if (device.max(initial=-1), link.max(initial=-1)) == n_before:
            return Colouring(expanded, graph, nodes, device, link, colours)


@dataclass(frozen=True, eq=False)
class Colouring:
    """The colours of a fabric from every endpoint that takes part.

    Parameters
    ----------
    expanded : Expanded
    graph : ColouredGraph
        n nodes, k classes of links.
    ends : ndarray of int64, shape (s,)
        Nodes of the endpoints; each is one device.
    device, link : ndarray of int64, shapes (n,) and (k,)
        Base classes, of links in no order.
    colours : ndarray of uint64, shape (n, s)
    """

    expanded: Expanded
    graph: ColouredGraph
    ends: Ints
    device: Ints
    link: Ints
    colours: Words = field(repr=False)

    @property
    def n_views(self) -> int:
        """Number of classes of endpoints that take part."""
        return len(self._columns)

    @cached_property
    def base(self) -> Quotient:
        """Classes of devices and links that no source tells apart."""
        return _quotient(self.expanded, self.graph, self.device, self.device, self._base_link, self._names)

    @cached_property
    def ends_of_base(self) -> Bools:
        """Which base classes take part."""
        takes_part = np.zeros(len(self.base.size), dtype=np.bool_)
        takes_part[self.device[self.ends]] = True
        return takes_part

    @cached_property
    def _columns(self) -> list[Ints]:
        """Columns of `colours` of each class of endpoints, in the order of the first."""
        base_class = self.device[self.ends]
        _, first = np.unique(base_class, return_index=True)
        # In the order of first endpoints, so that views are numbered alike on every run.
        return [np.flatnonzero(base_class == base_class[at]) for at in np.sort(first).tolist()]

    @cached_property
    def _base_link(self) -> Ints:
        return _order(self.graph, self.link)

    @cached_property
    def _names(self) -> list[object]:
        return _names(self.expanded, self.graph)

    def view(self, number: int) -> tuple[float, Quotient, int]:
        """Return how many endpoints are of a class, the view of one, and its own class there."""
        columns = self._columns[number]
        # All sources of a class see the same multiset, so the first of them stands for all.
        node = renumber(self.colours[:, columns[0]])
        view = _quotient(self.expanded, self.graph, node, self.device, self._base_link, self._names)
        return float(len(columns)), view, int(node[self.ends[columns[0]]])

    def links(self, number: int, view: Quotient) -> ColourView:
        """Return all links as seen from each endpoint of a class, whose view is `view`."""
        columns = self._columns[number]
        sources = self.graph.first[self.ends[columns]]
        class_of = renumber(self.colours[:, columns[0]])
        colours = self.colours[:, columns]
        return ColourView(self.expanded, self.graph, view, self._base_link, sources, colours, class_of)

    def devices(self, classes: Bools) -> Bools:
        """Return which devices are of some base classes."""
        # A last class, of none, for devices that are down.
        return np.asarray(np.append(classes[self.device], False)[self.graph.node])


class ColourView:
    """All links as seen from each source of one class; see `fabric.symmetry.unfolding.AxisView`.

    Parameters
    ----------
    expanded : Expanded
        n devices, m bundles.
    graph : ColouredGraph
        c nodes, k classes of links.
    view : Quotient
        With the first of the sources told apart.
    link : ndarray of int64, shape (k,)
        Base class of links.
    sources : ndarray of int64, shape (s,)
    colours : ndarray of uint64 or int64, shape (c, s)
        Of every node as seen from each source.
    known : ndarray of int64, shape (c,)
        Class of each node in the view: that of its colour from the first source.
    """

    def __init__(
        self,
        expanded: Expanded,
        graph: ColouredGraph,
        view: Quotient,
        link: Ints,
        sources: Ints,
        colours: Words | Ints,
        known: Ints,
    ) -> None:
        self.expanded, self.view, self.sources = expanded, view, sources
        self._graph, self._link, self._colours = graph, link, colours
        # Colours are comparable between columns: the same word is the same class of the view.
        self._colour, first = np.unique(colours[:, 0], return_index=True)
        self._class = known[first]
        self._key = link_key(view.keys[:, 1], view.keys[:, 2], view.keys[:, 3], len(view.size))

    @cached_property
    def _bundle(self) -> Ints:
        return bundle_classes(self.expanded, self._graph)

    def _seen(self, at: int) -> Ints:
        """Return the bundle of the view of every class of links from one source, shape (k,); -1 for none."""
        colours = self._colours[:, at]
        # A colour that the first source does not see has no class; the search returns a neighbour then.
        place = np.minimum(np.searchsorted(self._colour, colours), len(self._colour) - 1)
        is_known = self._colour[place] == colours
        tail, head = self._graph.tail, self._graph.head
        key = link_key(self._link, self._class[place][tail], self._class[place][head], len(self.view.size))
        bundle = np.minimum(np.searchsorted(self._key, key), max(len(self._key) - 1, 0))
        return np.where((self._key[bundle] == key) & is_known[tail] & is_known[head], bundle, -1)

    @cached_property
    def _row(self) -> Ints:
        """Place of every link among the classes of links ahead, those back, and none."""
        rules, k = self.expanded.rules, len(self._link)
        bundle, rule = self._bundle, self.expanded.rule
        one_way = np.array([r.is_oneway for r in rules], dtype=np.bool_)[rule]
        peer = np.array([r.is_peer for r in rules], dtype=np.bool_)[rule]
        twin = np.append(self._graph.twin, -1)[bundle]
        # Back along a link between peers is a class of its own, its twin; elsewhere the same, other way.
        back = np.where(one_way, 2 * k, np.where(peer, twin, k + bundle))
        ways = np.column_stack([bundle, back])
        ways[bundle < 0] = 2 * k
        return ways.ravel()

    def classes(self, devices: Bools) -> Bools:
        """Return which classes of the view hold some of the devices, as seen from the first source."""
        is_held = np.zeros(len(self.view.size), dtype=np.bool_)
        # A device that is down is in no node.
        nodes = self._graph.node[devices]
        place = np.searchsorted(self._colour, self._colours[nodes[nodes >= 0], 0])
        is_held[self._class[place]] = True
        return is_held

    def devices(self, classes: Bools) -> Bools:
        """Return which devices are of some classes of the view, as seen from the first source."""
        is_asked = classes[self._class[np.searchsorted(self._colour, self._colours[:, 0])]]
        return np.asarray(np.append(is_asked, False)[self._graph.node])

    def seen(self, source: int) -> Ints:
        """Return the class of every link as seen from a device of `sources`, shape (2 * m,); -1 for none."""
        bundle = self._seen(int(np.flatnonzero(self.sources == source)[0]))
        ways = [np.where(bundle >= 0, 2 * bundle + way, -1) for way in (0, 1)]
        # Row 2 * k, which is appended, is what is down or has no way back.
        return np.concatenate([*ways, [-1]])[self._row]

    def total(self, amount: Floats) -> Floats:
        """Return the sum, over all sources, of the `amount` of the class of every link.

        Parameters
        ----------
        amount : ndarray of float64
            For every directed link of the view.

        Returns
        -------
        ndarray of float64, shape (2 * m,)
        """
        # Index -1, a link that no class of the view has, reads the 0 that is appended.
        ways = [np.append(amount[way::2], 0.0) for way in (0, 1)]
        sums = np.zeros((2, len(self._link)))
        # One source at a time: memory is that of a single view.
        for at in range(len(self.sources)):
            bundle = self._seen(at)
            for way, worth in enumerate(ways):
                sums[way] += worth[bundle]
        return np.append(sums.ravel(), 0.0)[self._row]


def _order(graph: ColouredGraph, link: Ints) -> Ints:
    """Return labels of links as numbers that ascend by rule, then by first class."""
    _, first, inverse = np.unique(link, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    # Inverse permutation of the sort.
    rank[np.lexsort((first, graph.rule[first]))] = np.arange(len(first))
    return rank[inverse.ravel()]


def _names(expanded: Expanded, graph: ColouredGraph) -> list[object]:
    return [expanded.names[v] for v in graph.first.tolist()]


def _quotient(
    expanded: Expanded, graph: ColouredGraph, node: Ints, origin: Ints, link: Ints, names: list[object]
) -> Quotient:
    """Return `graph` with the nodes of equal `node`, and the links of equal `link` between them, merged.

    Parameters
    ----------
    expanded : Expanded
    graph : ColouredGraph
        n nodes, k classes of links.
    node, origin : ndarray of int64, shape (n,)
        Class of each node here and in the base; numbered by first node.
    link : ndarray of int64, shape (k,)
        Base class of each class of links.
    names : list
        Of one device of each node.
    """
    _, first = np.unique(node, return_index=True)
    n = len(first)
    tail, head = node[graph.tail], node[graph.head]
    # Base classes ascend with the rule, so rows of one rule stay together.
    _, row, inverse = np.unique(link_key(link, tail, head, n), return_index=True, return_inverse=True)
    # Cables of links that become one add up; their rates are equal.
    n_cables = np.zeros(len(row), dtype=np.int64)
    np.add.at(n_cables, inverse.ravel(), graph.n_cables)
    # A class of a peer rule is listed once for each direction, as one-way links.
    return Quotient(
        classes=Expanded(
            name=expanded.name,
            groups=expanded.groups,
            rules=tuple(replace(r, is_oneway=r.is_oneway or r.is_peer) for r in expanded.rules),
            group=expanded.group[graph.first[first]],
            tail=tail[row],
            head=head[row],
            rule=graph.rule[row].astype(np.int32),
            rate_gbps=graph.rate_gbps[row],
            count=n_cables,
            failed_count=np.zeros(len(row), dtype=np.int64),
            failed=np.zeros(n, dtype=np.bool_),
            names=tuple(names[i] for i in first.tolist()),
            coordinates={},
        ),
        size=np.bincount(node, graph.size, minlength=n).astype(np.float64),
        places={},
        base=np.column_stack([2 * link[row], 2 * link[row] + 1]).ravel(),
        origin=origin[first],
        keys=np.column_stack([graph.rule[row], link[row], tail[row], head[row]]),
    )
