"""Colours of the devices of an expanded fabric: hashed neighbourhoods, for all or as seen from one endpoint.

Devices and links that are alike are merged before anything is coloured once for each endpoint, so a rack of
switch chips costs no more than one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fabric.arrays import Bools, Floats, Ints
from fabric.errors import LimitError
from fabric.graph import Expanded

if TYPE_CHECKING:
    from scipy import sparse

# Words per step: bounds memory, never the answer.
_CHUNK = 4_000_000
# The golden ratio and a second odd constant: what separates streams of hashes.
_ODD = np.uint64(0x9E3779B97F4A7C15)
_APART = np.uint64(0xD1B54A32D192ED03)
_ONE = np.uint64(1)
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class ColouredGraph:
    """Devices and links with those merged that are alike.

    Parameters
    ----------
    size : ndarray of float64, shape (n,)
        Devices of each node.
    first : ndarray of int64, shape (n,)
        One of them.
    node : ndarray of int64
        Node of every device; -1 for those that are down.
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
    node: Ints
    tail: Ints
    head: Ints
    rule: Ints
    twin: Ints
    label: Ints
    n_bundles: Ints
    n_cables: Ints
    rate_gbps: Floats


def merge_alike(expanded: Expanded, ends: Bools) -> ColouredGraph:
    """Return the fabric with those devices merged that stay alike when each of `ends` is told apart."""
    label = bundle_labels(expanded)
    start = expanded.group.astype(np.uint64)
    apart = np.flatnonzero(ends)
    # A colour of their own: only what is alike from all of them at once stays merged.
    start[apart] += mix(apart.astype(np.uint64) + _ONE)  # 0 is mixed to 0
    node = renumber(refine_colours(expanded, label, mix(start)), ~expanded.failed)
    return graph_of(expanded, label, node)


def bundle_labels(expanded: Expanded) -> Ints:
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


def mix(x: Words) -> Words:
    """Return hashed words (the finalizer of SplitMix64; Steele, Lea, Flood, OOPSLA 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _factors(label: Ints, side: int) -> Words:
    """Return an odd random factor for each label, another one for each side of a link."""
    # Odd, hence invertible modulo 2**64: no factor loses bits of the word that it multiplies.
    return mix((label.view(np.uint64) + _ONE) * _ODD + np.uint64(side)) | _ONE


def refine_colours(expanded: Expanded, label: Ints, colour: Words) -> Words:
    """Refine the colours of devices, shape (n,), until no round tells more apart."""
    up = label >= 0
    all_up = bool(up.all())
    tail, head, label = (x if all_up else x[up] for x in (expanded.tail, expanded.head, label))
    # A factor for each label, not for each bundle: labels are few.
    labels = np.arange(int(label.max(initial=-1)) + 1)
    rule = np.zeros(len(labels), dtype=np.int64)
    rule[label] = expanded.rule if all_up else expanded.rule[up]
    up_factor = _factors(labels, 1)
    two_way = _two_way(expanded)[rule] if len(labels) else np.zeros(0, dtype=np.bool_)
    # Between peers both directions are alike; elsewhere up and down are told apart.
    down_factor = np.where(two_way, up_factor, _factors(labels, 2))
    n_colours = len(np.unique(colour))
    # Colour refinement (1-dimensional Weisfeiler-Leman): a device is hashed with the multiset of neighbours.
    while True:
        word = mix(colour + _ODD)
        total = np.zeros_like(colour)
        for a in range(0, len(label), _CHUNK):
            part = slice(a, a + _CHUNK)
            # A sum modulo 2**64 does not depend on the order of neighbours, as a multiset must not.
            np.add.at(total, tail[part], up_factor[label[part]] * word[head[part]])
            np.add.at(total, head[part], down_factor[label[part]] * word[tail[part]])
        colour = mix(colour * _ODD + total)
        # Rounds only ever split classes: as many as before means the partition is equitable.
        n = len(np.unique(colour))
        if n == n_colours:
            return colour
        n_colours = n


def renumber(colour: Words | Ints, is_kept: Bools | None = None) -> Ints:
    """Return small numbers for colours, in the order of first devices; -1 for what is not kept."""
    numbers = np.full(len(colour), -1, dtype=np.int64)
    rows = np.arange(len(colour)) if is_kept is None else np.flatnonzero(is_kept)
    _, first, inverse = np.unique(colour[rows], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbers[rows] = rank[inverse.ravel()]
    return numbers


def link_key(label: Ints, tail: Ints, head: Ints, n: int) -> Ints:
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


def graph_of(expanded: Expanded, label: Ints, node: Ints) -> ColouredGraph:
    """Return the classes of links between the `node` of every device, -1 for those that are down."""
    devices = np.flatnonzero(node >= 0)
    _, first = np.unique(node[devices], return_index=True)
    n = len(first)
    # Rules whose bundles are listed once more, from head to tail.
    back = _two_way(expanded)
    parts = []
    for a in range(0, max(1, len(label)), _CHUNK):
        up = a + np.flatnonzero(label[a : a + _CHUNK] >= 0)
        tail, head = node[expanded.tail[up]], node[expanded.head[up]]
        for turned, exists in ((0, up >= 0), (1, back[expanded.rule[up]])):
            ends = (head[exists], tail[exists]) if turned else (tail[exists], head[exists])
            key = link_key(label[up[exists]], *ends, n)
            keys, at, n_each = np.unique(key, return_index=True, return_counts=True)
            # Which bundle stands for the class, and whether it was read from head to tail.
            parts.append((keys, 2 * up[exists][at] + turned, n_each))
    # Each part was made distinct by itself; this merges equal links of different parts.
    all_keys, at, n_each = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys, first_row, inverse = np.unique(all_keys, return_index=True, return_inverse=True)
    n_bundles = np.zeros(len(keys), dtype=np.int64)
    np.add.at(n_bundles, inverse.ravel(), n_each)
    row, is_turned = at[first_row] // 2, at[first_row] % 2 == 1
    tail, head = (node[end[row]] for end in (expanded.tail, expanded.head))
    tail, head = np.where(is_turned, head, tail), np.where(is_turned, tail, head)
    rule = expanded.rule[row].astype(np.int64)
    twin = np.where(back[rule], np.searchsorted(keys, link_key(label[row], head, tail, n)), -1)
    return ColouredGraph(
        size=np.bincount(node[devices], minlength=n).astype(np.float64),
        first=devices[first],
        node=node,
        tail=tail,
        head=head,
        rule=rule,
        twin=twin.astype(np.int64),
        label=label[row],
        n_bundles=n_bundles,
        n_cables=n_bundles * (expanded.count[row] - expanded.failed_count[row]),
        rate_gbps=expanded.rate_gbps[row],
    )


def bundle_classes(expanded: Expanded, graph: ColouredGraph) -> Ints:
    """Return the class of links of every bundle, from its first device to its second; -1 where it is down."""
    label = bundle_labels(expanded)
    classes = np.full(len(label), -1, dtype=np.int64)
    up = np.flatnonzero(label >= 0)
    n = len(graph.size)
    keys = link_key(graph.label, graph.tail, graph.head, n)
    ends = graph.node[expanded.tail[up]], graph.node[expanded.head[up]]
    classes[up] = np.searchsorted(keys, link_key(label[up], *ends, n))
    return classes


def colours_from(graph: ColouredGraph, device: Ints, link: Ints, ends: Ints) -> tuple[Words, Words]:
    """Colour the graph once for each endpoint.

    Parameters
    ----------
    graph : ColouredGraph
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
    start = mix(device.astype(np.uint64))
    colours = np.repeat(start[:, None], len(ends), axis=1)
    # Individualise: column s starts with endpoint s told apart from all that look like it.
    colours[ends, np.arange(len(ends))] = mix(start[ends] ^ _APART)
    weight = graph.size.astype(np.uint64)[:, None]
    seen = np.zeros(len(ends), dtype=np.uint64)
    step = max(1, _CHUNK // max(1, len(start)))
    n_colours = 0
    while len(ends):
        for a in range(0, len(ends), step):
            part = np.ascontiguousarray(colours[:, a : a + step])
            # One round of refinement for many endpoints at once: a sparse product modulo 2**64.
            part = mix(part * _ODD + matrix @ mix(part + _ODD))
            colours[:, a : a + step] = part
            # A hash of the multiset of colours of all devices, merged ones as often as they are.
            seen[a : a + step] = (mix(part ^ _APART) * weight).sum(axis=0)
        # Endpoints that see the same have the same colours, so one of each is enough to count them.
        _, samples = np.unique(seen, return_index=True)
        n = len(np.unique(colours[:, samples]))
        if n == n_colours:
            break
        n_colours = n
    return colours, seen


def _neighbours(graph: ColouredGraph, link: Ints) -> sparse.csr_matrix:
    """Return the links of a device of each node, as random factors of their labels, shape (n, n)."""
    from scipy import sparse  # not where only axes are asked for

    n = len(graph.size)
    has_twin = graph.twin >= 0
    # A device tells links apart by both directions: what it sends on, and what it receives on.
    both = (_factors(link, 1) + mix(_factors(link[graph.twin], 2))) | _ONE
    out = np.where(has_twin, both, _factors(link, 3))
    alone = np.flatnonzero(~has_twin)
    near_node = np.concatenate([graph.tail, graph.head[alone]])
    far_node = np.concatenate([graph.head, graph.tail[alone]])
    factor = np.concatenate([out, _factors(link[alone], 4)])
    n_bundles = np.concatenate([graph.n_bundles, graph.n_bundles[alone]])
    # Equitable: every device of a node has equally many bundles of a class of links.
    degree = np.rint(n_bundles / graph.size[near_node]).astype(np.uint64)
    return sparse.coo_matrix((factor * degree, (near_node, far_node)), shape=(n, n)).tocsr()


def alike_for_all(
    graph: ColouredGraph, device: Ints, link: Ints, colours: Words, seen: Words
) -> tuple[Ints, Ints]:
    """Return finer labels of nodes and links: equal only if all sources together see the same."""
    word = np.empty_like(colours)
    nodes = np.zeros(len(device), dtype=np.uint64)
    step = max(1, _CHUNK // max(1, len(seen)))
    for a in range(0, len(device), step):
        # A colour is only comparable among sources that see the same: what they see is hashed in.
        word[a : a + step] = mix(colours[a : a + step] ^ mix(seen + _ODD))
        # Over the sources too it is a multiset: which of two alike sources sees what does not matter.
        nodes[a : a + step] = word[a : a + step].sum(axis=1)
    links = np.zeros(len(link), dtype=np.uint64)
    for a in range(0, len(link), step):
        part = slice(a, a + step)
        links[part] = mix(word[graph.tail[part]] * _ODD + word[graph.head[part]]).sum(axis=1)
    finer = []
    for label, words in ((device, nodes), (link, links)):
        finer.append(renumber(mix(words + mix((label.astype(np.uint64) + _ONE) * _ODD))))
    return finer[0], finer[1]
