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

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fabric.blueprint.join import Bools, Floats, Ints
from fabric.errors import LimitError
from fabric.graph import Expanded
from fabric.symmetry.quotient import Quotient

REFINE_LIMIT = 20_000_000
"""Endpoints times classes of links, alike devices merged first, that `refine` colours: a minute, 1 GB."""

_CHUNK = 4_000_000
_ODD = np.uint64(0x9E3779B97F4A7C15)
_APART = np.uint64(0xD1B54A32D192ED03)
_ONE = np.uint64(1)
Words = npt.NDArray[np.uint64]


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
    label = _bundle_labels(expanded)
    start = expanded.group.astype(np.uint64) + _mix(np.asarray(marked).astype(np.int64).view(np.uint64))
    node = _dense(_stable(expanded, label, _mix(start)), ~expanded.failed)
    graph = _graph(expanded, label, node)
    every = np.arange(len(graph.size), dtype=np.int64)
    links = _order(graph, graph.label)
    return _quotient(expanded, graph, every, every, links, _names(expanded, graph))


def refine(
    expanded: Expanded, *, limit: int = REFINE_LIMIT
) -> tuple[Quotient, list[tuple[float, Quotient, int]]]:
    """Return the classes that are exact for traffic from every endpoint to all others alike.

    Parameters
    ----------
    expanded : Expanded
    limit : int
        Refuse more than this many endpoints times classes of links.

    Returns
    -------
    base : Quotient
        Classes of devices and links that no source tells apart.
    views : list of (float, Quotient, int)
        For each class of endpoints that are up: how many they are, the classes with one of them told apart,
        and the position of its own class there.

    Raises
    ------
    LimitError
        Naming the number that is too large.

    Notes
    -----
    A round takes time and memory in proportion to endpoints times classes of links. Devices that stay alike
    when every endpoint is told apart, such as the switch chips of a rack, are merged before.
    """
    graph = _merged(expanded)
    ends = np.flatnonzero(expanded.is_endpoint[graph.first])
    work = len(ends) * max(len(graph.tail), len(graph.size))
    if work > limit:
        msg = (
            f"{expanded.name}: refinement looks from {len(ends):,} endpoints at {len(graph.tail):,} classes "
            f"of links, {work:,} in all; at most {limit:,} are coloured. Declare the fabric by its axes, "
            "raise limit= (about 50 bytes each), or ask about a smaller one"
        )
        raise LimitError(msg)
    device, link = _dense(expanded.group[graph.first].astype(np.int64)), _dense(graph.label)
    while True:
        colours, seen = _views(graph, device, link, ends)
        finer_device, finer_link = _alike_for_all(graph, device, link, colours, seen)
        n_before = device.max(initial=-1), link.max(initial=-1)
        device, link = finer_device, finer_link
        if (device.max(initial=-1), link.max(initial=-1)) == n_before:
            break
    names = _names(expanded, graph)
    base_link = _order(graph, link)
    base = _quotient(expanded, graph, device, device, base_link, names)
    views = []
    _, first = np.unique(device[ends], return_index=True)
    for at in np.sort(first).tolist():
        node = _dense(colours[:, at])
        view = _quotient(expanded, graph, node, device, base_link, names)
        n_alike = float((device[ends] == device[ends[at]]).sum())
        views.append((n_alike, view, int(node[ends[at]])))
    return base, views


@dataclass(frozen=True, eq=False)
class _Graph:
    """Devices and links with those merged that are alike.

    Parameters
    ----------
    size : ndarray of float64, shape (n,)
        Devices of each node.
    first : ndarray of int64, shape (n,)
        One of them.
    tail, head, rule : ndarray of int64, shape (k,)
        Classes of links, one-way or up; links between peers are there for each direction.
    twin : ndarray of int64, shape (k,)
        The other direction of a class of links between peers; -1 for others.
    label : ndarray of int64, shape (k,)
        Equal for equal rule, rate and cables of a bundle.
    n_bundles, n_cables : ndarray of int64, shape (k,)
    rate_gbps : ndarray of float64, shape (k,)
    """

    size: Floats
    first: Ints
    tail: Ints
    head: Ints
    rule: Ints
    twin: Ints
    label: Ints
    n_bundles: Ints
    n_cables: Ints
    rate_gbps: Floats


def _merged(expanded: Expanded) -> _Graph:
    """Return the fabric with those devices merged that stay alike when every endpoint is told apart."""
    label = _bundle_labels(expanded)
    start = expanded.group.astype(np.uint64)
    ends = np.flatnonzero(expanded.is_endpoint)
    start[ends] += _mix(ends.astype(np.uint64))
    node = _dense(_stable(expanded, label, _mix(start)), ~expanded.failed)
    return _graph(expanded, label, node)


def _bundle_labels(expanded: Expanded) -> Ints:
    """Return a label for each bundle, equal for equal rule, rate and cables that are up; -1 for none."""
    label = expanded.alive
    # A rate is told apart by its bits, never by rounding.
    bits = expanded.rate_gbps.view(np.int64)
    n_labels = 0
    for number in range(len(expanded.rules)):
        a, b = np.searchsorted(expanded.rule, [number, number + 1]).tolist()
        cables, rate = label[a:b], bits[a:b]
        if b == a or (cables.min() == cables.max() and rate.min() == rate.max()):
            inverse = np.zeros(b - a, dtype=np.int64)
        else:
            inverse = np.unique(np.column_stack([rate, cables]), axis=0, return_inverse=True)[1].ravel()
        label[a:b] = np.where(cables > 0, n_labels + inverse, -1)
        n_labels += int(inverse.max(initial=-1)) + 1
    return label


def _two_way(expanded: Expanded) -> Bools:
    """Return which rules join peers in both directions."""
    return np.array([r.is_peer and not r.is_oneway for r in expanded.rules], dtype=np.bool_)


def _mix(x: Words) -> Words:
    """Return hashed words (the finalizer of SplitMix64; Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _factors(label: Ints, side: int) -> Words:
    """Return an odd random factor for each label, another one for each side of a link."""
    return _mix((label.view(np.uint64) + _ONE) * _ODD + np.uint64(side)) | _ONE


def _stable(expanded: Expanded, label: Ints, colour: Words) -> Words:
    """Refine the colours of devices, shape (n,), until no round tells more apart."""
    up = label >= 0
    every = bool(up.all())
    tail, head, label = (x if every else x[up] for x in (expanded.tail, expanded.head, label))
    known = np.arange(int(label.max(initial=-1)) + 1)
    rule = np.zeros(len(known), dtype=np.int64)
    rule[label] = expanded.rule if every else expanded.rule[up]
    up_factor = _factors(known, 1)
    two_way = _two_way(expanded)[rule] if len(known) else np.zeros(0, dtype=np.bool_)
    down_factor = np.where(two_way, up_factor, _factors(known, 2))
    n_colours = len(np.unique(colour))
    while True:
        word = _mix(colour + _ODD)
        total = np.zeros_like(colour)
        for a in range(0, len(label), _CHUNK):
            part = slice(a, a + _CHUNK)
            np.add.at(total, tail[part], up_factor[label[part]] * word[head[part]])
            np.add.at(total, head[part], down_factor[label[part]] * word[tail[part]])
        colour = _mix(colour * _ODD + total)
        n = len(np.unique(colour))
        if n == n_colours:
            return colour
        n_colours = n


def _dense(colour: Words | Ints, kept: Bools | None = None) -> Ints:
    """Return small numbers for colours, in the order of first devices; -1 for what is not kept."""
    found = np.full(len(colour), -1, dtype=np.int64)
    rows = np.arange(len(colour)) if kept is None else np.flatnonzero(kept)
    _, first, inverse = np.unique(colour[rows], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    found[rows] = rank[inverse.ravel()]
    return found


def _key(label: Ints, tail: Ints, head: Ints, n: int) -> Ints:
    """Return a number for each (label, tail, head); ascends with them.

    Raises
    ------
    LimitError
        If there are so many that 63 bits do not hold them.
    """
    if (int(label.max(initial=0)) + 1) * n * n > 2**63:
        msg = f"{int(label.max()) + 1:,} labels of links between {n:,} classes of devices are too many"
        raise LimitError(msg)
    return np.asarray((label * n + tail) * n + head, dtype=np.int64)


def _graph(expanded: Expanded, label: Ints, node: Ints) -> _Graph:
    """Return the classes of links between the `node` of every device, -1 for those that are down."""
    kept = np.flatnonzero(node >= 0)
    _, first = np.unique(node[kept], return_index=True)
    n = len(first)
    back = _two_way(expanded)
    found = []
    for a in range(0, max(1, len(label)), _CHUNK):
        up = a + np.flatnonzero(label[a : a + _CHUNK] >= 0)
        tail, head = node[expanded.tail[up]], node[expanded.head[up]]
        for turned, mine in ((0, up >= 0), (1, back[expanded.rule[up]])):
            ends = (head[mine], tail[mine]) if turned else (tail[mine], head[mine])
            key = _key(label[up[mine]], *ends, n)
            keys, at, n_each = np.unique(key, return_index=True, return_counts=True)
            found.append((keys, 2 * up[mine][at] + turned, n_each))
    every, at, n_each = (np.concatenate(column) for column in zip(*found, strict=True))
    keys, one, inverse = np.unique(every, return_index=True, return_inverse=True)
    n_bundles = np.zeros(len(keys), dtype=np.int64)
    np.add.at(n_bundles, inverse.ravel(), n_each)
    row, is_turned = at[one] // 2, at[one] % 2 == 1
    tail, head = (node[end[row]] for end in (expanded.tail, expanded.head))
    tail, head = np.where(is_turned, head, tail), np.where(is_turned, tail, head)
    rule = expanded.rule[row].astype(np.int64)
    twin = np.where(back[rule], np.searchsorted(keys, _key(label[row], head, tail, n)), -1)
    return _Graph(
        size=np.bincount(node[kept], minlength=n).astype(np.float64),
        first=kept[first],
        tail=tail,
        head=head,
        rule=rule,
        twin=twin.astype(np.int64),
        label=label[row],
        n_bundles=n_bundles,
        n_cables=n_bundles * (expanded.count[row] - expanded.failed_count[row]),
        rate_gbps=expanded.rate_gbps[row],
    )


def _views(graph: _Graph, device: Ints, link: Ints, ends: Ints) -> tuple[Words, Words]:
    """Colour the graph once for each endpoint.

    Parameters
    ----------
    graph : _Graph
        n nodes, k classes of links.
    device, link : ndarray of int64, shapes (n,) and (k,)
        Labels.
    ends : ndarray of int64, shape (s,)
        Nodes of endpoints.

    Returns
    -------
    colours : ndarray of uint64, shape (n, s)
        Comparable between columns: all of them have been through the same rounds.
    seen : ndarray of uint64, shape (s,)
        What each endpoint sees: equal where the colours are the same multiset.
    """
    matrix = _neighbours(graph, link)
    start = _mix(device.astype(np.uint64))
    colours = np.repeat(start[:, None], len(ends), axis=1)
    colours[ends, np.arange(len(ends))] = _mix(start[ends] ^ _APART)
    weight = graph.size.astype(np.uint64)[:, None]
    seen = np.zeros(len(ends), dtype=np.uint64)
    step = max(1, _CHUNK // max(1, len(start)))
    n_colours = 0
    while len(ends):
        for a in range(0, len(ends), step):
            part = np.ascontiguousarray(colours[:, a : a + step])
            part = _mix(part * _ODD + matrix @ _mix(part + _ODD))
            colours[:, a : a + step] = part
            seen[a : a + step] = (_mix(part ^ _APART) * weight).sum(axis=0)
        # Endpoints that see the same have the same colours, so one of each is enough to count them.
        _, one = np.unique(seen, return_index=True)
        n = len(np.unique(colours[:, one]))
        if n == n_colours:
            break
        n_colours = n
    return colours, seen


def _neighbours(graph: _Graph, link: Ints) -> sparse.csr_matrix:
    """Return the links of a device of each node, as random factors of their labels, shape (n, n)."""
    n = len(graph.size)
    has_twin = graph.twin >= 0
    # A device tells links apart by both directions: what it sends on, and what it receives on.
    both = (_factors(link, 1) + _mix(_factors(link[graph.twin], 2))) | _ONE
    out = np.where(has_twin, both, _factors(link, 3))
    alone = np.flatnonzero(~has_twin)
    own = np.concatenate([graph.tail, graph.head[alone]])
    other = np.concatenate([graph.head, graph.tail[alone]])
    factor = np.concatenate([out, _factors(link[alone], 4)])
    n_bundles = np.concatenate([graph.n_bundles, graph.n_bundles[alone]])
    degree = np.rint(n_bundles / graph.size[own]).astype(np.uint64)
    return sparse.coo_matrix((factor * degree, (own, other)), shape=(n, n)).tocsr()


def _alike_for_all(graph: _Graph, device: Ints, link: Ints, colours: Words, seen: Words) -> tuple[Ints, Ints]:
    """Return finer labels of nodes and links: equal only if all sources together see the same."""
    word = np.empty_like(colours)
    nodes = np.zeros(len(device), dtype=np.uint64)
    step = max(1, _CHUNK // max(1, len(seen)))
    for a in range(0, len(device), step):
        word[a : a + step] = _mix(colours[a : a + step] ^ _mix(seen + _ODD))
        nodes[a : a + step] = word[a : a + step].sum(axis=1)
    links = np.zeros(len(link), dtype=np.uint64)
    for a in range(0, len(link), step):
        part = slice(a, a + step)
        links[part] = _mix(word[graph.tail[part]] * _ODD + word[graph.head[part]]).sum(axis=1)
    found = []
    for label, told in ((device, nodes), (link, links)):
        found.append(_dense(_mix(told + _mix((label.astype(np.uint64) + _ONE) * _ODD))))
    return found[0], found[1]


def _order(graph: _Graph, link: Ints) -> Ints:
    """Return labels of links as numbers that ascend by rule, then by first class."""
    _, first, inverse = np.unique(link, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.lexsort((first, graph.rule[first]))] = np.arange(len(first))
    return rank[inverse.ravel()]


def _names(expanded: Expanded, graph: _Graph) -> list[object]:
    return [expanded.names[v] for v in graph.first.tolist()]


def _quotient(
    expanded: Expanded, graph: _Graph, node: Ints, origin: Ints, link: Ints, names: list[object]
) -> Quotient:
    """Return `graph` with the nodes of equal `node`, and the links of equal `link` between them, merged.

    Parameters
    ----------
    expanded : Expanded
    graph : _Graph
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
    _, row, inverse = np.unique(_key(link, tail, head, n), return_index=True, return_inverse=True)
    n_cables = np.zeros(len(row), dtype=np.int64)
    np.add.at(n_cables, inverse.ravel(), graph.n_cables)
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
        index=((),) * n,
        base=np.column_stack([2 * link[row], 2 * link[row] + 1]).ravel(),
        origin=origin[first],
        keys=np.column_stack([graph.rule[row], link[row], tail[row], head[row]]),
    )
