"""Segments of nodes in blocks: how much of racks is usable when some of their nodes are down.

A scheduler places a job as segments of nodes that may not leave a block, such as a rack. A block of n nodes
of which k are up holds floor(k / s) segments of s nodes; the rest of it is stranded::

    block of 18 nodes, one down    s = 1    17 usable
                                   s = 4    16 usable, 1 stranded
                                   s = 16   16 usable, 1 stranded
                                   s = 18   none
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fabric.arrays import Floats
from fabric.errors import QuestionError

MAX_BLOCKS = 10_000_000
"""Blocks up to which as many are looked for as suffice."""


def usable_part(n_nodes: int, unavailability: float, segment: int) -> float:
    """Return the part of the nodes of a block that segments can use, on average.

    Parameters
    ----------
    n_nodes : int
        Of the block.
    unavailability : float
        Part of the time that a node is down, each independently of the others, 0 to 1.
    segment : int
        Nodes of a segment.

    Notes
    -----
    The sum over k nodes up of C(n, k) (1 - p)^k p^(n - k) floor(k / s) s / n.

    Examples
    --------
    >>> [round(usable_part(18, 0.01, s), 4) for s in (1, 4, 9, 16, 18)]
    [0.99, 0.8887, 0.9173, 0.8882, 0.8345]
    """
    held = held_segments(n_nodes, unavailability, segment)
    return float((held * np.arange(len(held))).sum()) * segment / n_nodes


def held_segments(n_nodes: int, unavailability: float, segment: int) -> Floats:
    """Return the chance that a block has room for m segments, for m from 0 to floor(n / s).

    Raises
    ------
    QuestionError
        If a number is out of range.
    """
    p = unavailability
    if n_nodes < 1 or segment < 1:
        msg = f"a block has nodes and a segment too; got {n_nodes:,} and {segment:,}"
        raise QuestionError(msg)
    if not 0 <= p <= 1:
        msg = f"unavailability: got {p:g}; expected a part of the time from 0 to 1, such as 0.01"
        raise QuestionError(msg)
    up = np.arange(n_nodes + 1)
    return np.asarray(np.bincount(up // segment, _binomial(n_nodes, 1 - p)), dtype=np.float64)


def _binomial(n: int, q: float) -> Floats:
    """Return the chance that k of n are up, each with chance q, shape (n + 1,)."""
    if q in (0.0, 1.0):
        return np.where(np.arange(n + 1) == round(q * n), 1.0, 0.0)
    # By logarithms: the coefficients of a thousand nodes are beyond any float.
    lg = np.array([math.lgamma(k + 1) for k in range(n + 1)])
    k = np.arange(n + 1)
    chance = np.exp(lg[n] - lg - lg[::-1] + k * math.log(q) + (n - k) * math.log1p(-q))
    return np.asarray(chance / chance.sum())


def chance_of_room(n_segments: int, blocks: Mapping[int, int], unavailability: float, segment: int) -> float:
    """Return the chance that blocks have room for some segments.

    Parameters
    ----------
    n_segments : int
    blocks : mapping of int to int
        How many blocks there are of each number of nodes.
    unavailability, segment
        As in `usable_part`.

    Examples
    --------
    Two racks of 18 trays hold two segments of 16 where neither has more than two down.

    >>> one = float(held_segments(18, 0.05, 16)[1])
    >>> round(chance_of_room(2, {18: 2}, 0.05, 16) - one**2, 12)
    0.0
    """
    held = {n: held_segments(n, unavailability, segment) for n in blocks}
    most = sum((len(held[n]) - 1) * count for n, count in blocks.items())
    if n_segments > most:
        return 0.0
    # The segments of independent blocks add up: their generating functions multiply.
    length = 1 << most.bit_length()
    product = np.ones(length // 2 + 1, dtype=np.complex128)
    for n, count in blocks.items():
        product *= np.fft.rfft(held[n], length) ** count
    total = np.fft.irfft(product, length)[: most + 1] if length > 1 else product.real
    return float(min(max(total[n_segments:].sum(), 0.0), 1.0))


def blocks_for(
    n_segments: int, n_nodes: int, unavailability: float, *, segment: int, availability: float
) -> int | None:
    """Return the fewest blocks that have room for some segments for a part of the time.

    Parameters
    ----------
    n_segments : int
    n_nodes : int
        Of every block.
    unavailability, segment
        As in `usable_part`.
    availability : float
        Part of the time, below 1.

    Returns
    -------
    int or None
        None where no number of blocks up to `MAX_BLOCKS` suffices.

    Examples
    --------
    >>> blocks_for(16, 18, 0.01, segment=16, availability=0.999)
    17
    """
    held = held_segments(n_nodes, unavailability, segment)
    mean = float(held @ np.arange(len(held)))
    if mean * MAX_BLOCKS < n_segments:
        return None

    def suffices(n: int) -> bool:
        return chance_of_room(n_segments, {n_nodes: n}, unavailability, segment) >= availability

    # One more block never takes room away: the least is found by halving.
    low, high = 0, max(1, -(-n_segments // (len(held) - 1)))
    while not suffices(high):
        low, high = high, 2 * high
        if high > MAX_BLOCKS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
