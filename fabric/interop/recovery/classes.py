"""Which nodes of a dump are of one sort: colour refinement that a few wrong cables do not upset.

::

    round 0   what the format, or the stem of a name, says        node node node ... leaf leaf spine
    round k   and how many cables there are to each class         of a leaf: 31 to nodes, 16 to spines

A node that counts a cable more or less than many others do is taken for one of them with a fault. Where no
tolerance is asked for this is colour refinement.
"""

from __future__ import annotations

import numpy as np

from fabric.arrays import Ints
from fabric.interop.recovery.dump import Dump

MAX_CLASSES = 64
"""Classes beyond which nothing regular is looked for."""
_ROUNDS = 12
_RARE = 20
_MAX_LABELS = 4_000
# Labels are sums of random words, so that equal neighbourhoods have equal ones: 64 bits, seeded.
_SEED = 20_261_130


def classes(dump: Dump, start: Ints, slack: float) -> Ints | None:
    """Return the class of every node, numbered by first node; None if there are too many to mean anything.

    Parameters
    ----------
    dump : Dump
        n nodes.
    start : ndarray of int64, shape (n,)
        What tells nodes apart from the outset.
    slack : float
        Part of the cables of a node that may lead elsewhere than those of its class; 0 for none.

    Returns
    -------
    ndarray of int64, shape (n,), or None
    """
    _, rate = np.unique(dump.rate_gbps, return_inverse=True, equal_nan=True)
    at = np.concatenate([dump.tail, dump.head])
    other = np.concatenate([dump.head, dump.tail])
    rate = np.concatenate([rate, rate]).astype(np.int64)
    count = np.concatenate([dump.count, dump.count])
    n_rates = int(rate.max(initial=0)) + 1
    colour, n_colours = start, len(np.unique(start))
    for _ in range(_ROUNDS):
        seen = colour[other] * n_rates + rate
        colour = _refined(colour, at, seen, count, slack)
        n = int(colour.max(initial=-1)) + 1
        if n > MAX_CLASSES:
            return None
        if n == n_colours:
            return colour
        n_colours = n
    return colour


def _refined(colour: Ints, at: Ints, seen: Ints, count: Ints, slack: float) -> Ints:
    """Return colours that also tell apart how many cables there are to what is seen."""
    kinds, seen = np.unique(seen, return_inverse=True)
    words = np.random.default_rng(_SEED).integers(1, 2**62, size=len(kinds), dtype=np.uint64)
    label = np.zeros(len(colour), dtype=np.uint64)
    np.add.at(label, at, words[seen] * count.astype(np.uint64))
    pairs = np.stack([colour.astype(np.uint64), label], axis=1)
    _, first, kind = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    kind = kind.ravel()
    if slack and len(first) <= _MAX_LABELS:
        vectors = np.zeros((len(first), len(kinds)), dtype=np.int64)
        is_first = np.zeros(len(colour), dtype=np.bool_)
        is_first[first] = True
        ends = is_first[at]
        np.add.at(vectors, (kind[at[ends]], seen[ends]), count[ends])
        kind = _merged(colour[first], vectors, np.bincount(kind), slack)[kind]
    # Numbers in the order of first nodes, so that names decide nothing else.
    _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[kind.ravel()], dtype=np.int64)


def _merged(colour: Ints, vectors: Ints, n_nodes: Ints, slack: float) -> Ints:
    """Return for each label that of the nearest more frequent one, itself where none is near."""
    into = np.arange(len(colour), dtype=np.int64)
    prototypes: dict[int, list[int]] = {}
    for label in np.argsort(-n_nodes, kind="stable").tolist():
        own = prototypes.setdefault(int(colour[label]), [])
        if own:
            apart = np.abs(vectors[own] - vectors[label]).sum(axis=1)
            nearest = int(np.argmin(apart))
            # What is rare may be a node with one end of a cable elsewhere, which is two cables apart.
            is_rare = n_nodes[label] * _RARE <= n_nodes[own[nearest]]
            if apart[nearest] <= _allowed(int(vectors[own[nearest]].sum()), slack) + is_rare:
                into[label] = own[nearest]
                continue
        own.append(label)
    return into


def _allowed(degree: int, slack: float) -> int:
    """Return how many cables may differ at a node of some degree."""
    return 1 if degree < 4 else max(2, int(degree * slack))
