r"""Loads of reductions in switches: every switch that reduces passes on one sum, however many come in.

::

            spine            one sum a leaf arrives
           /     \
        leaf     leaf        one byte a rank arrives
       / | \     / | \
      ranks      ranks

Bytes climb to the nearest switches that reduce, sums from there to the nearest above, until every byte of a
group is summed in one place. What switches multiply runs the same links the other way.

A message to a switch is on one card, as any other is: between domains bytes climb from the cards of the ranks
(`fabric.routing.cards`); what they put on links on the way to these is added.

A rank's bytes may take several ways, and those of all ranks of a group are cut alike: a byte that goes half
to either of two planes makes a sum of half a byte in each. So the parts that come in from a group are of one
size, and that is the size of their sum: the sum of their squares over their sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.graph import Expanded, Paths
from fabric.routing import router
from fabric.routing.nearest import nearest

Sums = Callable[[Bools, Bools], Floats]
"""``sums(senders, targets)`` moves all parts on and returns the bytes of the sums at each device, (n,)."""


def reducing_switches(expanded: Expanded, groups: tuple[str, ...], *, is_scale_up: bool) -> Bools:
    """Return the switches of `groups` that are up and on the scale-up network, or beyond it, shape (n,)."""
    # On the network that is meant, of a group that reduces, and up.
    rules = np.array([(r.net == "scale-up") == is_scale_up for r in expanded.rules], dtype=np.bool_)
    rows = rules[expanded.rule] & (expanded.alive > 0)
    is_joined = np.zeros(expanded.n_devices, dtype=np.bool_)
    is_joined[expanded.tail[rows]] = is_joined[expanded.head[rows]] = True
    named = np.array([g.name in groups for g in expanded.groups], dtype=np.bool_)[expanded.group]
    return np.asarray(is_joined & named & ~expanded.failed)


class Climb:
    """Parts of the bytes of some senders on their way up through switches.

    Parameters
    ----------
    expanded : Expanded
        n devices, or classes of devices, and m bundles.
    part : sparse array, shape (n, k)
        What starts at each device, of k demands; later what has come to it.
    paths : {"rules", "no-relay", "any"}
    """

    def __init__(self, expanded: Expanded, part: sparse.csr_array, paths: Paths) -> None:
        self.expanded, self.part, self.paths = expanded, part, paths
        self.is_first = True

    def advance(self, senders: Bools, targets: Bools) -> sparse.csr_array | None:
        """Move all parts on to the nearest targets, shape (n,); from switches only upwards.

        Returns
        -------
        sparse array, shape (2 * m, k)
            What that puts on links; None where a part reaches no target.
        """
        route = router(self.expanded, senders, switches=targets, paths=self.paths)
        ways = nearest(route, targets, climbs=not self.is_first)
        self.is_first = False
        start = route.source[self.part.tocoo().row]
        if ((start < 0) | (ways.hops[start] < 0)).any():
            return None
        at = ways.at(_move(self.part, route.source, route.n_states))
        # Parts now lie at the states of the targets; from there they are counted by device again.
        device = np.full(route.n_states, -1)
        ends = np.flatnonzero(targets & (route.target >= 0))
        device[route.target[ends]] = ends
        self.part = _move(at, device, len(targets))
        return ways.onto @ at


def _move(part: sparse.csr_array, place: Ints, n: int) -> sparse.csr_array:
    """Return `part` with its rows at other places of n; those at -1 are left out."""
    cells = part.tocoo()
    row = place[cells.row]
    kept = row >= 0
    return sparse.csr_array((cells.data[kept], (row[kept], cells.col[kept])), shape=(n, part.shape[1]))


def column(amount: Floats) -> sparse.csr_array:
    """Return one demand, shape (n, 1)."""
    return sparse.csr_array(amount[:, None])


def switch_loads(
    expanded: Expanded, amount: Floats, switches: Bools, sums: Sums, n_groups: float, paths: Paths
) -> tuple[Floats, Floats] | None:
    """Return what a reduction in switches puts on links.

    Parameters
    ----------
    expanded : Expanded
        n devices, or classes of devices, and m bundles: of cards, the network above them.
    amount : ndarray of float64, shape (n,)
        Bytes of the ranks, one of each, or of the cards that they are on.
    switches : ndarray of bool, shape (n,)
        That reduce.
    sums : callable
        As `Sums`; called once for each time that bytes are moved on.
    n_groups : float
        Groups of ranks that are summed each by itself.
    paths : {"rules", "no-relay", "any"}

    Returns
    -------
    load : ndarray of float64, shape (2 * m,)
    hops : ndarray of float64, shape (number of rules,)
        Links of each rule on the way of one byte.
    None
        If the switches do not join all ranks of a group.
    """
    rule = np.repeat(expanded.rule, 2)
    load, hops = np.zeros(len(rule)), np.zeros(len(expanded.rules))
    climb = Climb(expanded, column(amount), paths)
    senders, left = amount > 0, switches.copy()
    while (climbed := climb.advance(senders, left)) is not None:
        step_load = climbed.toarray()[:, 0]
        load += step_load
        hops += np.bincount(rule, step_load, minlength=len(hops)) / amount.sum()
        amount = sums(senders, left)
        # One byte a group is left: its sum is complete.
        if amount.sum() <= n_groups * (1 + 1e-9):
            return load, hops
        # The switches that summed are the senders of the next step, and no targets any more.
        senders = climb.part.toarray()[:, 0] > 0
        left = left & ~senders
        climb.part = column(amount)
    return None
