"""Which links are near to which ranks: those carry what the busiest block of such ranks puts on them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats, Ints
from fabric.job.pairs import RankPairs
from fabric.job.product import ProductPairs
from fabric.job.shared import OfView, Shared
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
    is_near : dict of (int, bool) to ndarray of bool
        For each view, and whether its rank sends, which classes of its links.
    shared : tuple of Shared
    """

    is_near: dict[tuple[int, bool], Bools]
    shared: tuple[Shared, ...]


def near_links(
    pairs: Pairs, views: Sequence[RankView], loads: Mapping[tuple[int, bool], Floats], average: Floats
) -> NearLinks:
    """Return the links that ranks are nearest to.

    Parameters
    ----------
    pairs : ProductPairs or RankPairs
    views : sequence of RankView
    loads : mapping of (int, bool) to ndarray of float64, shape (links,)
        For each view, and whether its rank sends, what the rank puts on a cable where all ranks do the same.
    average : ndarray of float64, shape (classes of links,)
        What all ranks together put on a cable.
    """
    best, shares = np.zeros(len(average)), {}
    for (number, is_sent), load in loads.items():
        base = views[number].quotient.base
        # What part of an average cable's bytes one rank of the view puts on it.
        share = np.divide(load, average[base], out=np.zeros(len(base)), where=average[base] > 0)
        share[views[number].is_free] = 0.0
        np.maximum.at(best, base, share)
        shares[number, is_sent] = share
    is_near = _lie_nearest(pairs, views, shares, best)
    blocks: dict[tuple[frozenset[str], bool, int], dict[int, dict[int, list[int]]]] = {}
    for (number, is_sent), near in is_near.items():
        view = views[number]
        agrees = _agreement(view, pairs)
        for link in np.flatnonzero(near).tolist():
            pinned = frozenset(itertools.compress(pairs.order, agrees[link].tolist()))
            of_block = blocks.setdefault((pinned, is_sent, pairs.part_of(number)), {})
            of_view = of_block.setdefault(int(view.quotient.base[link]), {})
            of_view.setdefault(number, []).append(link)
    shared = []
    for (pinned, is_sent, _), links in blocks.items():
        whole = {}
        for base_link, of_views in links.items():
            sizes = dict(zip(of_views, pairs.block_sizes(tuple(of_views), pinned), strict=True))
            part = sum(n * shares[v, is_sent][of_views[v]].max() for v, n in sizes.items())
            # A block whose parts add up to more than the cable carries is no block of this link.
            if part <= 1 + _SAME:
                whole[base_link] = of_views, sizes
                continue
            for number, own in of_views.items():
                is_near[number, is_sent][own] = False
        if whole:
            shared.append(_shared(pinned, whole, is_sent=is_sent))
    return NearLinks(is_near, tuple(shared))


def _shared(
    pinned: frozenset[str],
    links: Mapping[int, tuple[Mapping[int, list[int]], Mapping[int, float]]],
    *,
    is_sent: bool,
) -> Shared:
    """Return the links that blocks share, from those of each view, and its ranks in a block, by class."""
    rows: dict[int, list[tuple[int, int, float]]] = {}
    for of, (of_views, sizes) in enumerate(links.values()):
        for number, own in of_views.items():
            rows.setdefault(number, []).extend((link, of, sizes[number]) for link in own)
    of_all = []
    for number, own_rows in rows.items():
        link, of_class, n_ranks = zip(*own_rows, strict=True)
        of_all.append(OfView(number, np.array(link), np.array(of_class), np.array(n_ranks)))
    return Shared(pinned, is_sent, np.array(list(links)), tuple(of_all))


def _lie_nearest(
    pairs: Pairs, views: Sequence[RankView], shares: Mapping[tuple[int, bool], Floats], best: Floats
) -> dict[tuple[int, bool], Bools]:
    """Return for each view, and whether its rank sends, which classes of links it is nearest to.

    The ranks that a link is nearest to are those with the largest share in what it carries, and those that
    lie to it as these do: ranks of a leaf with more mates send less over it, and are as near.
    """
    # The class of each link in the base, with the axes on which an end of it agrees with the rank.
    bits = 1 << np.arange(len(pairs.order))
    lies = [v.quotient.base * 2 ** len(bits) + _agreement(v, pairs) @ bits for v in views]
    nearest: dict[bool, list[Ints]] = {False: [], True: []}
    for (number, is_sent), share in shares.items():
        is_best = (share > 0) & (share > (1 - _SAME) * best[views[number].quotient.base])
        nearest[is_sent].append(lies[number][is_best])
    found = {}
    for (number, is_sent), share in shares.items():
        # Of the links of one class that lie so to the rank, those that it uses most.
        _, which = np.unique(lies[number], return_inverse=True)
        most = np.zeros(int(which.max(initial=-1)) + 1)
        np.maximum.at(most, which, share)
        is_used = (share > 0) & (share > (1 - _SAME) * most[which])
        found[number, is_sent] = is_used & np.isin(lies[number], np.concatenate(nearest[is_sent]))
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
