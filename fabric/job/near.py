"""Which links are near to which ranks: those carry what the busiest block of such ranks puts on them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fabric.arrays import Bools, Floats, Ints
from fabric.job.pairs import RankPairs
from fabric.job.product import ProductPairs
from fabric.job.shared import Shared
from fabric.job.stacked import StackedLinks, StackedTable
from fabric.job.views import RankView

Pairs = ProductPairs | RankPairs
"""What ranks do, by the classes of others as each sees them."""

# Shares that differ by less are the same.
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class NearLinks:
    """The links that ranks are nearest to.

    Parameters
    ----------
    far : dict of bool to sparse array, shape (columns, links)
        What a byte of each column puts on a cable of all others, sent or received.
    shared : tuple of Shared
    """

    far: dict[bool, sparse.csr_array]
    shared: tuple[Shared, ...]


def near_links(
    pairs: Pairs,
    views: Sequence[RankView],
    links: StackedLinks,
    tables: Mapping[bool, StackedTable],
    *,
    loads: Mapping[bool, Floats],
    average: Floats,
) -> NearLinks:
    """Return the links that ranks are nearest to.

    Parameters
    ----------
    pairs : ProductPairs or RankPairs
    views : sequence of RankView
    links : StackedLinks
        Of all views.
    tables : mapping of bool to StackedTable
        What ranks put on them, by whether they send.
    loads : mapping of bool to ndarray of float64, shape (links,)
        What the rank of each view puts on a cable where all ranks do the same, by whether it sends.
    average : ndarray of float64, shape (classes of links,)
        What all ranks together put on a cable.
    """
    best, shares = np.zeros(len(average)), {}
    for is_sent, load in loads.items():
        # What part of an average cable's bytes one rank of the view puts on it.
        on = average[links.base]
        share = np.divide(load, on, out=np.zeros(len(on)), where=(on > 0) & ~links.is_free)
        np.maximum.at(best, links.base, share)
        shares[is_sent] = share
    agrees = np.concatenate([_agreement(view, pairs) for view in views])
    pins = agrees @ (1 << np.arange(len(pairs.order)))
    is_near = _lie_nearest(links, pins, shares, best)
    part = np.array([pairs.part_of(number) for number in range(len(views))])[links.view]
    shared, far = [], {}
    for is_sent, near in is_near.items():
        own = np.flatnonzero(near)
        block = pins[own] * len(views) + part[own]
        for members in (own[block == number] for number in np.unique(block)):
            pinned = frozenset(itertools.compress(pairs.order, agrees[members[0]].tolist()))
            n_ranks = _ranks_in_blocks(pairs, pinned, links, members)
            # A block whose parts add up to more than the cable carries is no block of this link.
            is_whole = _parts_of_loads(links, members, n_ranks * shares[is_sent][members]) <= 1 + _SAME
            near[members[~is_whole]] = False
            if is_whole.any():
                whole = members[is_whole], n_ranks[is_whole]
                shared.append(_shared(pinned, links, *whole, tables[is_sent], is_sent=is_sent))
        far[is_sent] = tables[is_sent].on_cable @ sparse.diags_array((~near).astype(np.float64)).tocsr()
    return NearLinks(far, tuple(shared))


def _ranks_in_blocks(pairs: Pairs, pinned: frozenset[str], links: StackedLinks, members: Ints) -> Floats:
    """Return how many ranks of its view a block has at each link, shape (members,)."""
    found = np.empty(len(members))
    for base in np.unique(links.base[members]):
        of_class = np.flatnonzero(links.base[members] == base)
        numbers, which = np.unique(links.view[members[of_class]], return_inverse=True)
        sizes = pairs.block_sizes(tuple(numbers.tolist()), pinned)
        found[of_class] = np.array(sizes)[which]
    return found


def _parts_of_loads(links: StackedLinks, members: Ints, parts: Floats) -> Floats:
    """Return what part of its bytes a cable of the class of each link gets of blocks, shape (members,)."""
    classes, of = np.unique(links.base[members], return_inverse=True)
    most = np.zeros((len(classes), int(links.view.max(initial=0)) + 1))
    np.maximum.at(most, (of, links.view[members]), parts)
    return np.asarray(most.sum(axis=1)[of])


def _shared(
    pinned: frozenset[str],
    links: StackedLinks,
    members: Ints,
    n_ranks: Floats,
    table: StackedTable,
    *,
    is_sent: bool,
) -> Shared:
    """Return the links that blocks share, sorted as they ask."""
    order = np.lexsort((links.view[members], links.base[members]))
    members, n_ranks = members[order], n_ranks[order]
    base, of = np.unique(links.base[members], return_inverse=True)
    on_cable = table.on_cable.tocsc()[:, members].tocsr()
    return Shared(pinned, is_sent, base, members, links.view[members], of.ravel(), n_ranks, on_cable)


def _lie_nearest(
    links: StackedLinks, pins: Ints, shares: Mapping[bool, Floats], best: Floats
) -> dict[bool, Bools]:
    """Return, for what ranks send and what they receive, which links of its view each is nearest to.

    The ranks that a link is nearest to are those with the largest share in what it carries, and those that
    lie to it as these do: ranks of a leaf with more mates send less over it, and are as near.
    """
    # The class of each link in the base, with the axes on which an end of it agrees with the rank.
    lies = links.base * (int(pins.max(initial=0)) + 1) + pins
    _, of_view = np.unique(lies * (int(links.view.max(initial=0)) + 1) + links.view, return_inverse=True)
    found = {}
    for is_sent, share in shares.items():
        is_best = (share > 0) & (share > (1 - _SAME) * best[links.base])
        # Of the links of one class that lie so to the rank, those that it uses most.
        most = np.zeros(int(of_view.max(initial=-1)) + 1)
        np.maximum.at(most, of_view, share)
        is_used = (share > 0) & (share > (1 - _SAME) * most[of_view])
        found[is_sent] = is_used & np.isin(lies, lies[is_best])
    return found


def _agreement(view: RankView, pairs: Pairs) -> Bools:
    """Return on which axes of the ranks an end of every link is with the rank, shape (links, axes)."""
    agrees = view.agreement(pairs.order)
    # An index says where a device is only to those on the same indices of all axes above.
    of_axis = dict(zip(pairs.order, agrees.T, strict=True))
    is_told = [
        np.all([of_axis[a] for a in (axis, *pairs.above[axis]) if a in of_axis], axis=0)
        for axis in pairs.order
    ]
    return np.column_stack(is_told)
