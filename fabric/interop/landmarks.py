"""Which node of a plan a node that was found is, by distances to landmarks; a few wrong cables change little.

::

    plan      p ... q        landmarks p = a, q = b: what is 2 from p and 3 from q is 2 from a and 3 from b
    found     a ... b

One node of the plan after another is a landmark, as long as distances to those before leave several nodes
alike. Of the nodes that were found its match is the one from which as many nodes are as far as from it, all
landmarks taken together. What is still alike is paired as it comes, and then each node goes where most of its
neighbours see it, and two change places where more cables fit then. Where the first landmark was matched
wrongly few cables fit, and another match is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice, zip_longest

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from fabric.arrays import Ints
from fabric.interop.recovery.dump import Dump

MAX_NODES = 5_000
"""Nodes up to which landmarks are looked for."""
_ENOUGH = 0.97
"""Part of the cables that must fit for no more than `_AGAIN` matches of the first landmark to be tried."""
_AGAIN, _STARTS, _FIRSTS, _LANDMARKS, _CANDIDATES, _SWEEPS, _ODD = 12, 60, 4, 40, 48, 12, 60
_TRIED = 20_000  # nodes, over all matches of the first landmark


class _Graph:
    """Nodes and the cables between them, with distances."""

    def __init__(self, dump: Dump) -> None:
        self.n = dump.n
        ends = np.concatenate([dump.tail, dump.head]), np.concatenate([dump.head, dump.tail])
        n_cables = np.concatenate([dump.count, dump.count]).astype(np.int64)
        # A matrix has 32-bit indices, all that dijkstra of SciPy 1.13 takes; an array has those given.
        self.cables = csr_matrix((n_cables, ends), shape=(dump.n, dump.n))
        self.cables.sum_duplicates()
        self.degree: Ints = np.bincount(ends[0], n_cables, dump.n).astype(np.int64)
        self._from: dict[int, Ints] = {}

    def distances(self, v: int) -> Ints:
        """Return the distance of every node from one, in cables."""
        if v not in self._from:
            away = dijkstra(self.cables, indices=v, unweighted=True)
            self._from[v] = np.where(np.isfinite(away), away, self.n).astype(np.int64)
        return self._from[v]

    def neighbours(self, v: int) -> Mapping[int, int]:
        """Return the nodes next to one, and how many cables lead to each."""
        own = slice(self.cables.indptr[v], self.cables.indptr[v + 1])
        return dict(zip(self.cables.indices[own].tolist(), self.cables.data[own].tolist(), strict=True))


def by_landmarks(ours: Dump, theirs: Dump, kinds: tuple[Ints, Ints]) -> tuple[dict[int, int], float]:
    """Return which of our nodes each of theirs is, and the part of their cables that then fits.

    Parameters
    ----------
    ours, theirs : Dump
    kinds : tuple of ndarray of int64
        A number for each node, equal where nodes may be the same.

    Notes
    -----
    Seedless percolation as in Yartseva and Grossglauser, "On the performance of percolation graph matching"
    (COSN 2013), with landmarks in place of given seeds.
    """
    mine, other = _Graph(ours), _Graph(theirs)
    best: dict[int, int] = {}
    most = -1.0
    if max(mine.n, other.n) > MAX_NODES:
        return best, 0.0
    for n, first in enumerate(islice(_starts(mine, other, kinds), _STARTS), 1):
        node = _filled(_swept(_paired(mine, other, kinds, first), mine, other), kinds)
        node = _exchanged(node, mine, other)
        fit = _fit(node, mine, other)
        if fit > most:
            best, most = node, fit
        if most == 1 or (most >= _ENOUGH and n >= _AGAIN):
            break
    return best, most


def _starts(mine: _Graph, other: _Graph, kinds: tuple[Ints, Ints]) -> Iterator[tuple[int, int]]:
    """Yield first landmarks with what may match them, the likely ones first; few are like the very first."""
    keys = np.stack([kinds[0], mine.degree], axis=1)
    _, which, n_alike = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(n_alike[which.ravel()], kind="stable")
    # One of them may stand where something is cabled otherwise.
    firsts = order[np.linspace(0, mine.n - 1, _FIRSTS).astype(np.int64)].tolist()
    n_tried = max(1, _TRIED // (mine.n * _FIRSTS))
    matches = []
    for first in dict.fromkeys(firsts):
        like = np.flatnonzero(kinds[1] == kinds[0][first])
        likely = like[np.argsort(np.abs(other.degree[like] - mine.degree[first]), kind="stable")][:n_tried]
        views = [
            (_apart(mine, other, _seen_from(mine, other, kinds, (first, v))), v) for v in likely.tolist()
        ]
        matches.append([(first, v) for _, v in sorted(views)])
    for one_of_each in zip_longest(*matches):
        yield from filter(None, one_of_each)


def _seen_from(
    mine: _Graph, other: _Graph, alike: tuple[Ints, Ints], landmark: tuple[int, int]
) -> tuple[Ints, Ints]:
    """Return what is alike and as far from a landmark, numbered anew on both sides together."""
    to = mine.distances(landmark[0]), other.distances(landmark[1])
    size = int(max(away.max(initial=0) for away in to)) + 1
    keys = np.concatenate([own * size + away for own, away in zip(alike, to, strict=True)])
    _, which = np.unique(keys, return_inverse=True)
    return which.ravel()[: mine.n], which.ravel()[mine.n :]


def _apart(mine: _Graph, other: _Graph, alike: tuple[Ints, Ints]) -> int:
    """Return how many nodes have no partner that is like them and has neighbours that are like theirs."""
    rng = np.random.default_rng(1)
    word = rng.integers(1 << 62, size=int(max(own.max(initial=0) for own in alike)) + 1)
    near = [graph.cables @ word[own] for graph, own in zip((mine, other), alike, strict=True)]
    keys = np.concatenate([3 * word[own] + seen for own, seen in zip(alike, near, strict=True)])
    _, which = np.unique(keys, return_inverse=True)
    n = int(which.max(initial=0)) + 1
    counts = [np.bincount(own, minlength=n) for own in np.split(which.ravel(), [mine.n])]
    return int(np.abs(counts[0] - counts[1]).sum())


def _paired(mine: _Graph, other: _Graph, kinds: tuple[Ints, Ints], first: tuple[int, int]) -> dict[int, int]:
    """Return pairs of nodes that landmarks do not tell apart, one landmark after another."""
    alike = _seen_from(mine, other, kinds, first)
    done: set[int] = set()
    for _ in range(_LANDMARKS):
        landmark = _next(mine, alike[0], done)
        if landmark is None:
            break
        done.add(int(alike[0][landmark]))
        like = np.flatnonzero(alike[1] == alike[0][landmark])[:_CANDIDATES].tolist()
        if like:
            views = [_seen_from(mine, other, alike, (landmark, v)) for v in like]
            alike = min(views, key=lambda view: _apart(mine, other, view))
            done = set()
    node: dict[int, int] = {}
    ranked = [np.argsort(own, kind="stable") for own in alike]
    at = dict(_runs(alike[0], ranked[0]))
    for key, members in _runs(alike[1], ranked[1]):
        node |= zip(members, at.get(key, []), strict=False)
    return node


def _runs(own: Ints, ranked: Ints) -> Iterator[tuple[int, list[int]]]:
    values, start = np.unique(own[ranked], return_index=True)
    for value, members in zip(values.tolist(), np.split(ranked, start[1:]), strict=True):
        yield value, members.tolist()


def _next(graph: _Graph, alike: Ints, done: set[int]) -> int | None:
    """Return a node of the smallest class of several that are not joined with the same nodes, if any."""
    values, first, n = np.unique(alike, return_index=True, return_counts=True)
    for k in np.argsort(n, kind="stable").tolist():
        if n[k] > 1 and int(values[k]) not in done:
            members = np.flatnonzero(alike == values[k]).tolist()
            near = graph.neighbours(members[0])
            if any(graph.neighbours(v) != near for v in members[1:]):
                return int(first[k])
            done.add(int(values[k]))
    return None


def _swept(node: dict[int, int], mine: _Graph, other: _Graph) -> dict[int, int]:
    """Return nodes where most of their neighbours see them."""
    best, most = node, _fit(node, mine, other)
    for _ in range(_SWEEPS):
        before, node = node, _seen(node, mine, other)
        fit = _fit(node, mine, other)
        if fit > most:
            best, most = node, fit
        if node == before:
            break
    return best


def _filled(node: dict[int, int], kinds: tuple[Ints, Ints]) -> dict[int, int]:
    """Return nodes, and what is left on both sides of the same kind as it comes."""
    free: dict[int, list[int]] = {}
    for w in sorted({*range(len(kinds[0]))} - {*node.values()}, reverse=True):
        free.setdefault(int(kinds[0][w]), []).append(w)
    for v in sorted({*range(len(kinds[1]))} - {*node}):
        if free.get(int(kinds[1][v])):
            node[v] = free[int(kinds[1][v])].pop()
    return node


def _exchanged(node: dict[int, int], mine: _Graph, other: _Graph) -> dict[int, int]:
    """Return nodes after they changed places, or took free ones, as long as more cables fit: local search."""

    def n_fitting(v: int) -> int:
        due = mine.neighbours(node[v])
        return sum(min(n, due.get(node.get(u, -1), 0)) for u, n in other.neighbours(v).items())

    for _ in range(_SWEEPS):
        odd = [v for v in node if n_fitting(v) < other.degree[v] or n_fitting(v) < mine.degree[node[v]]][
            :_ODD
        ]
        is_better = False
        for v, u in combinations(odd, 2):
            before = n_fitting(v) + n_fitting(u)
            node[v], node[u] = node[u], node[v]
            if n_fitting(v) + n_fitting(u) > before:
                is_better = True
            else:
                node[v], node[u] = node[u], node[v]
        for w in sorted({*range(mine.n)} - {*node.values()})[:_ODD]:
            for v in odd:
                before, was = n_fitting(v), node[v]
                node[v] = w
                if n_fitting(v) > before:
                    is_better = True
                    break
                node[v] = was
        if not is_better:
            break
    return node


def _seen(node: Mapping[int, int], mine: _Graph, other: _Graph) -> dict[int, int]:
    votes: dict[tuple[int, int], int] = {}
    for far, near in node.items():
        seen = mine.neighbours(near)
        for v in other.neighbours(far):
            for w, n in seen.items():
                votes[v, w] = votes.get((v, w), 0) + n
    # Those with the most votes choose first; what a node is now goes before what it might be.
    cast = sorted(votes.items(), key=lambda vote: (-vote[1], node.get(vote[0][0]) != vote[0][1], vote[0]))
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for (v, w), _ in cast:
        if v not in chosen and w not in taken:
            chosen[v] = w
            taken.add(w)
    return chosen


def _fit(node: Mapping[int, int], mine: _Graph, other: _Graph) -> float:
    """Return the part of the cables that were found which the plan has too."""
    to = np.full(other.n, -1, dtype=np.int64)
    to[list(node)] = list(node.values())
    there = other.cables.tocoo()
    one, two = to[there.row], to[there.col]
    is_known = (one >= 0) & (two >= 0)
    due = np.asarray(mine.cables[one[is_known], two[is_known]]).ravel() if is_known.any() else np.zeros(0)
    return float(np.minimum(due, there.data[is_known]).sum() / max(there.data.sum(), 1.0))


def nodes_by_name(ours: Dump, theirs: Dump, node: Mapping[int, int]) -> dict[str, str]:
    """Return the names of nodes for their numbers."""
    return {theirs.names[v]: ours.names[w] for v, w in node.items()}


def numbered(kinds: Sequence[Mapping[str, str]], dumps: Sequence[Dump]) -> tuple[Ints, Ints]:
    """Return a number for the kind of each node of two dumps; all are the same where one says nothing."""
    words = sorted({kind for own in kinds for kind in own.values()})
    number = {kind: n for n, kind in enumerate(words, 1)} if all(kinds) else {}
    ours, theirs = (
        np.array([number.get(own.get(name, ""), 0) for name in dump.names], dtype=np.int64)
        for own, dump in zip(kinds, dumps, strict=True)
    )
    return ours, theirs
