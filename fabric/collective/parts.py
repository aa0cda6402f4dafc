"""A bound of an all-reduce without a program: what every part of the ranks must take in.

Cut the ranks into k parts, and follow one element of the buffer. Before some rank of a first part holds its
sum, data of each of the k - 1 other parts has come together with that of the first: k - 1 messages at least
have entered parts. By then no other part holds the sum, so each of them takes in one more. In a time t no
more enters a part than t times the maximum flow into it from the other ranks, so for a buffer of S bytes::

    2 (k - 1) S  <=  t * sum over parts of (flow into the part)

Where switches add, one message may carry the data of many parts, and all that is left is that a part takes in
S at least, or else it knows nothing of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from fabric.blueprint.join import Bools, Ints
from fabric.collective.trees import Tree
from fabric.flow.problem import network, problem_of
from fabric.flow.solve import solve
from fabric.graph import Paths
from fabric.symmetry import Quotient


def nested(views: list[tuple[Quotient, int]], order: tuple[str, ...]) -> Iterator[list[Bools]]:
    """Yield partitions of ranks as classes of the view of each: those that agree on the first axes of `order`.

    Parameters
    ----------
    views : list of (Quotient, int)
        For every class of ranks, the view of one and its own class there.
    order : tuple of str
        Primitive axes, each after those that it is under.
    """
    for n in range(1, len(order) + 1):
        found = []
        for view, own in views:
            home = dict(view.index[own])
            places = (dict(index) for index in view.index)
            alike = [all(at.get(p) == home.get(p) for p in order[:n]) for at in places]
            found.append(np.array(alike, dtype=np.bool_))
        yield found
