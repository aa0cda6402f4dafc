"""The cheapest design: every number of tiers, group of rails and rate of cables that the ports allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fabric.sizing.rates import Cables
from fabric.sizing.request import Request
from fabric.sizing.tiers import BUILDERS, Sizes, survey


@dataclass(frozen=True, slots=True)
class CheapestDesign:
    """The cheapest design, and what it was chosen from.

    Parameters
    ----------
    cables : Cables
        Its rates.
    looked_at : tuple of Sizes
        Every design of these rates and of as many tiers, best first.
    others : dict of Cables to Sizes
        Designs of as many tiers for other rates, none with fewer switches; where none could have fewer, none.
    """

    cables: Cables
    looked_at: tuple[Sizes, ...]
    others: dict[Cables, Sizes]

    @property
    def sizes(self) -> Sizes:
        """The design that was chosen."""
        return self.looked_at[0]


def solve(request: Request) -> CheapestDesign | None:
    """Return the design of the fewest tiers, then groups of rails, then switches; None if there is none.

    Notes
    -----
    Of rates that need as many switches the one liked best is taken: cables of one rate all the way up keep
    the largest radix and one kind of spare part.
    """
    # Lexicographic: the first number of tiers and of groups with any design wins, then switches decide.
    for tiers in request.tiers:
        for groups in request.groups:
            best: Cables | None = None
            tried: dict[Cables, list[Sizes]] = {}
            most = math.inf
            for cables in rates_of(request, tiers):
                tried[cables] = survey(request.rated(cables), groups, tiers, most)
                # Of equals the first, in the order of liking.
                if tried[cables] and tried[cables][0].n_switches < most:
                    best, most = cables, tried[cables][0].n_switches
            if best:
                others = {
                    cables: designs[0] for cables, designs in tried.items() if designs and cables != best
                }
                return CheapestDesign(best, tuple(tried[best]), others)
    return None


def rates_of(request: Request, tiers: int) -> Iterator[Cables]:
    """Yield the rates that differ on so many tiers, the one liked best first."""
    met = set()
    for cables in request.rates:
        # Rates above the top tier make no difference.
        key = (cables.leaf_gbps, cables.spine_gbps)[: tiers - 1]
        if key not in met:
            met.add(key)
            yield cables


def can_build(request: Request) -> bool:
    """Return whether there is a design at all."""
    return any(
        next(BUILDERS[tiers](request.rated(cables), groups), None)
        for tiers in request.tiers
        for groups in request.groups
        for cables in rates_of(request, tiers)
    )


def most_racks(request: Request) -> int:
    """Return the most racks below those asked for that can be built with all else as asked, by bisection."""
    # Bisection: `low` can be built, `high` cannot.
    low, high = 0, request.racks
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if can_build(request.at(middle)) else (low, middle)
    return low
