"""Which devices of two classes meet: disjoint blocks in each of which all are joined with all.

::

    leaves   0 1 | 2 3       the two of a block are joined with the three below it, and with no other;
    nodes    a b c | d e f   a cable from a to 2, or none from b to 1, is a fault and no block
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fabric.arrays import Ints

_SWEEPS = 6
_SEED = 20_261_130


@dataclass(frozen=True, eq=False)
class CableBlocks:
    """Blocks of one rule.

    Parameters
    ----------
    n : int
    of : ndarray of int64, shape (number of devices,)
        The block of each device of the two classes; -1 of those in none.
    """

    n: int
    of: Ints


def blocks(x: Ints, y: Ints, weight: Ints, n: int) -> CableBlocks:
    """Return the blocks that edges between two classes make.

    Parameters
    ----------
    x, y : ndarray of int64, shape (m,)
        Devices of the one and of the other class.
    weight : ndarray of int64, shape (m,)
        Cables.
    n : int
        Number of devices, of all classes.

    Notes
    -----
    Devices of the second class that meet the same ones start with one label; then each side takes the label
    that most of its cables lead to, in turn. So a few cables more or less change no block.
    """
    words = np.random.default_rng(_SEED).integers(1, 2**62, size=n, dtype=np.uint64)
    met = np.zeros(n, dtype=np.uint64)
    np.add.at(met, y, words[x])
    ends = np.unique(y)
    _, kind, n_alike = np.unique(met[ends], return_inverse=True, return_counts=True)
    # Frequent labels have low numbers, and win where two are as good.
    rank = np.argsort(np.argsort(-n_alike, kind="stable"))
    label = np.full(n, -1, dtype=np.int64)
    label[ends] = rank[kind.ravel()]
    for _ in range(_SWEEPS):
        before = label.copy()
        label = _majority(x, label[y], weight, label)
        label = _majority(y, label[x], weight, label)
        if np.array_equal(label, before):
            break
    used = np.unique(label[label >= 0])
    compact = np.full(int(used.max(initial=-1)) + 1, -1, dtype=np.int64)
    compact[used] = np.arange(len(used))
    label[label >= 0] = compact[label[label >= 0]]
    return CableBlocks(len(used), label)


def _majority(at: Ints, label: Ints, weight: Ints, labels: Ints) -> Ints:
    """Return labels in which each device at an end has the one that most of its cables lead to."""
    width = int(label.max(initial=0)) + 1
    keys, inverse = np.unique(at * width + label, return_inverse=True)
    votes = np.bincount(inverse.ravel(), weights=weight)
    device, choice = np.divmod(keys, width)
    order = np.lexsort((choice, -votes, device))
    first = np.flatnonzero(np.diff(device[order], prepend=-1))
    chosen = labels.copy()
    chosen[device[order][first]] = choice[order][first]
    return chosen
