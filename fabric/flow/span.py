"""Which classes of links matter to a program where rates are far apart.

Beside a cable of a terabit a solver takes a kilobit for rounding, and beside a kilobit a terabit for no
limit. Two bounds need no solver: what all demands get at least over the widest links that join them, and what
they get at most over those and the narrower ones, which they cannot do without::

    1 kb/s -- 8 Mb/s -- [6 Tb/s -- 6 Tb/s]      all demands are joined at 8 Mb/s: at a rate of some Mb/s the
      adds next to nothing     never full       terabits limit nothing, and the kilobit adds nothing to it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Bools, Floats
from fabric.flow.certificate import distances
from fabric.flow.commodities import Commodity

FAR_APART = 1e4
"""Largest rate over the smallest up to which a solver sees all of them."""
NEVER_FULL = 1e6
"""A link of so many times what flows at most limits nothing, not even where others are made far wider."""
_NEGLIGIBLE = 1e-11
"""Part of the rate that links may add together and be left out: a hundredth of the gap of a proof."""
_ROUNDING = 1e-14
"""Part of the rate of links that join all demands below which a link is the rounding of a float."""


@dataclass(frozen=True, eq=False)
class Span:
    """Classes of links that matter.

    Parameters
    ----------
    limits : ndarray of bool
        Base classes of links that can limit the rate.
    adds : ndarray of bool
        Those without which the rate is less by more than rounding.
    largest_gbps : float
        What flows on one link at most, or the largest rate of one [Gb/s].
    toll : float
        Price of a link that is left out, in rate per Gb/s: no path over one is cheaper than the others.
    is_far_apart : bool
        Whether rates are further apart than a solver sees.
    """

    limits: Bools
    adds: Bools
    largest_gbps: float
    toll: float = 0.0
    is_far_apart: bool = False


def span_of(commodities: Sequence[Commodity], capacity: Floats) -> Span:
    """Return which base classes of links matter.

    Parameters
    ----------
    commodities : sequence of Commodity
    capacity : ndarray of float64
        Of every base class of links [Gb/s].
    """
    rate = np.zeros(len(capacity))
    for commodity in commodities:
        rate[commodity.view.base] = np.repeat(commodity.view.classes.rate_gbps, 2)
    is_up = capacity > 0
    levels = np.unique(rate[is_up])
    if len(levels) < 2 or levels[-1] <= FAR_APART * levels[0]:
        return Span(is_up, is_up, float(levels.max(initial=0.0)))
    # The widest links that join all demands.
    low, high = 0, len(levels)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _are_joined(commodities, rate >= levels[middle]) else (low, middle)
    widest = float(levels[low])
    asked = min(c.n_alike * float(np.abs(c.supply[c.supply != 0]).min()) for c in commodities)
    total = sum(c.n_alike * float(c.supply[c.supply > 0].sum()) for c in commodities)
    # At worst all of it passes one link; at best all that is no wider than these is for the least demand.
    at_least = widest / total
    largest = total * float(capacity[is_up & (rate <= widest)].sum()) / asked
    # At best prices every demand pays its part of 1: twice that is dearer than any of its paths.
    toll = 2 / asked
    adds, order = np.zeros(len(rate), dtype=np.bool_), np.argsort(rate)
    adds[order] = np.cumsum(capacity[order]) * toll > _NEGLIGIBLE * at_least
    adds &= is_up & (rate >= _ROUNDING * widest)
    return Span(adds & (rate <= NEVER_FULL * largest), adds, largest, toll, is_far_apart=True)


def _are_joined(commodities: Sequence[Commodity], is_wide: Bools) -> bool:
    """Return whether all demands have a path over some classes of links."""
    for commodity in commodities:
        moves = commodity.moves
        is_open = moves.link < 0
        is_open[~is_open] = is_wide[commodity.view.base[moves.link[~is_open]]]
        near, far = commodity.supply > 0, commodity.supply < 0
        tail, head = moves.tail[is_open], moves.head[is_open]
        # From the end that is single; against the arrows where it is the target.
        if int(near.sum()) != 1:
            near, far, tail, head = far, near, head, tail
        if not np.isfinite(distances(tail, head, np.zeros(len(tail)), near)[far]).all():
            return False
    return True
