"""Sizing rules: how many leaves, spines and cores, in whole cables, as pure integer functions.

::

    core            planes of cores: core plane k joins spine k of every pod
     |
    spine           every leaf of a pod has the same whole number of cables to every spine of it
     |
    leaf            a block of racks on one leaf for each rail
     |
    NIC
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from fabric.sizing.rack import divisors, leading_products
from fabric.sizing.request import Request
from fabric.sizing.stripes import Stripe, stripe
from fabric.sizing.switch import add_rates


@dataclass(frozen=True, slots=True)
class Sizes:
    """Every number of one design; what is not built is 0.

    Parameters
    ----------
    tiers : int
    groups : int
        Groups of rails that have spines of their own; each is a network of its own in every plane.
    subgroups : int
        Parts of a group that have pods of their own, and meet at the cores.
    rails : int
        Leaves of a block in one plane and home.
    block, blocks : int
        Racks on the same leaves, and blocks.
    pod, pods : int
        Blocks under the same spines, and pods; one pod below three tiers.
    down, up : int
        Cables of a leaf to NICs and to spines.
    spines, spine_down, spine_up : int
        Spines of a pod, and cables of each of them; `spine_down` of the one that has the most.
    cores, core_down : int
        Cores of a core plane, and cables of each of them; `core_down` of the one that has the most.
    folds : int
        Spines of a pod that share a core plane: 1, unless uneven stripes save cores by it.
    networks : int
        Planes times groups.
    homes : int
        Leaves of one plane that each NIC is cabled to.
    """

    tiers: int
    groups: int
    subgroups: int
    rails: int
    block: int
    blocks: int
    pod: int
    pods: int
    down: int
    networks: int
    homes: int
    up: int = 0
    spines: int = 0
    spine_down: int = 0
    spine_up: int = 0
    cores: int = 0
    core_down: int = 0
    folds: int = 1

    @property
    def leaf_stripe(self) -> Stripe:
        """Leaves of a pod, by block, home and rail, under its spines."""
        rails = self.rails // (self.groups * self.subgroups)
        return Stripe((self.pod, self.homes, rails), self.up, self.spines)

    @property
    def spine_stripe(self) -> Stripe:
        """Spines of a core plane, by pod, part of the rails and place in the plane, under its cores."""
        return Stripe((self.pods, self.subgroups, self.folds), self.spine_up, self.cores)

    @property
    def leaves_of_pod(self) -> int:
        """Leaves under the same spines."""
        return self.pod * self.homes * self.rails // (self.groups * self.subgroups)

    @property
    def n_leaves(self) -> int:
        """Leaves of all blocks, planes and homes."""
        return self.networks // self.groups * self.homes * self.blocks * self.rails

    @property
    def n_spines(self) -> int:
        """Spines of all pods."""
        return self.networks * self.subgroups * self.pods * self.spines

    @property
    def n_cores(self) -> int:
        """Cores of all core planes."""
        return self.networks * (self.spines // self.folds) * self.cores

    @property
    def n_switches(self) -> int:
        """Switches of all tiers."""
        return self.n_leaves + self.n_spines + self.n_cores

    @property
    def n_uplinks(self) -> int:
        """Cables between switches."""
        return self.n_leaves * self.up + self.n_spines * self.spine_up


def uplinks(down: int, down_gbps: float, up_gbps: float, ratio: Fraction) -> int:
    """Count the uplinks of a switch whose oversubscription is at most `ratio`.

    Examples
    --------
    >>> uplinks(32, 400.0, 400.0, Fraction(1)), uplinks(192, 400.0, 400.0, Fraction(7))
    (32, 28)
    """
    # Exact fractions: the last bit of a float must not ask for an uplink more.
    share = _share(down_gbps, up_gbps, ratio.numerator, ratio.denominator)
    return -(-down * share.numerator // share.denominator)


@lru_cache(maxsize=256)
def _share(down_gbps: float, up_gbps: float, over: int, under: int) -> Fraction:
    """Return the uplinks, whole or not, that one downlink asks for."""
    return Fraction(down_gbps) * under / (over * Fraction(up_gbps))


def one_tier(request: Request, groups: int, most: float = math.inf) -> Iterator[Sizes]:
    """Yield the design on leaves alone, one for each group of rails, if its ports suffice.

    Notes
    -----
    Rails that were asked for have leaves of their own, which nothing joins: a matter of ``rail-only``, or of
    as many groups. Where nobody asks, the rails of ``rail-only`` that fit on one switch together share it.
    """
    n_rails = groups
    if request.layout == "rail-only" and "rails" not in request.given:
        # Groups that leading axes of the rack can tell apart; the fewest that fit.
        able = [g for g in leading_products(request.rack) if request.rails % g == 0]
        n_rails = next((g for g in able if _one_leaf_fits(request, g)), groups)
    if "rails" in request.given and request.rails != n_rails:
        return
    if _one_leaf_fits(request, n_rails):
        yield Sizes(
            tiers=1,
            groups=n_rails,
            subgroups=1,
            rails=n_rails,
            block=request.slots,
            blocks=1,
            pod=1,
            pods=1,
            down=request.slots * request.per_rack // n_rails * request.cables.per_leaf,
            networks=request.planes * n_rails,
            homes=request.homes,
        )


def _one_leaf_fits(request: Request, n_leaves: int) -> bool:
    # On leaves alone there is one block: another size that was asked for is none of these.
    if request.block not in (None, request.slots):
        return False
    down = request.slots * request.per_rack // n_leaves * request.cables.per_leaf
    return request.fits("leaf", {request.cables.nic_gbps: down})


def blocks(request: Request) -> Iterator[tuple[int, int, int]]:
    """Yield the racks that a leaf may serve, most first, with its downlinks and uplinks."""
    cables = request.cables
    per_rack = request.per_rack // request.rails * cables.per_leaf
    most = min(request.leaf.radix(cables.nic_gbps) // per_rack, request.slots)
    # Every size of a block is tried: a smaller one may stripe evenly where the largest does not.
    for block in range(most, 0, -1) if request.block is None else (request.block,):
        down = block * per_rack
        up = uplinks(down, cables.nic_gbps, cables.leaf_gbps, request.leaf_ratio)
        if request.fits("leaf", add_rates((cables.nic_gbps, down), (cables.leaf_gbps, up))):
            yield block, down, up


def _size_blocks(request: Request, groups: int, tiers: int) -> Iterator[Sizes]:
    """Yield leaves without what is above them, fewest leaves first."""
    for block, down, up in blocks(request):
        n = -(-request.slots // block)
        yield Sizes(
            tiers=tiers,
            groups=groups,
            subgroups=1,
            rails=request.rails,
            block=block,
            blocks=n,
            pod=n,
            pods=1,
            down=down,
            up=up,
            networks=request.planes * groups,
            homes=request.homes,
        )


def two_tiers(request: Request, groups: int, most: float = math.inf) -> Iterator[Sizes]:
    """Yield the designs of leaves and spines: for each size of a block the fewest spines."""
    capacity = request.capacity("spine", request.cables.leaf_gbps)
    for base in _size_blocks(request, groups, 2):
        # Every leaf reaches every spine: one number of spines for each size of a block.
        spines = stripe(base.leaves_of_pod, base.up, capacity, is_even=request.is_even)
        if spines:
            sizes = replace(base, spines=spines)
            yield replace(sizes, spine_down=sizes.leaf_stripe.most)


def three_tiers(request: Request, groups: int, most: float = math.inf) -> Iterator[Sizes]:
    """Yield the designs with cores: for each size of a block and of a pod the fewest spines, then cores.

    Notes
    -----
    Pods hold all rails of a group, as long as a spine has the ports for it; else the rails are dealt out to
    as few kinds of pods as need be.
    """
    able = [g for g in leading_products(request.rack) if request.rails // groups % g == 0]
    joined = request.capacity("core", request.cables.spine_gbps)
    # Fewest kinds of pods first: the first that can be built ends the search.
    for subgroups in able:
        is_found = False
        for base in _size_blocks(request, groups, 3):
            # Branch and bound: what the leaves alone rule out is never built up.
            if _at_least(request, base) >= most:
                continue
            # A core has a cable at least to every pod.
            least = -(-base.blocks * subgroups // joined) if joined else base.blocks
            for pod in range(least, base.blocks + 1) if request.pod is None else (request.pod,):
                sizes = replace(base, subgroups=subgroups, pod=pod, pods=-(-base.blocks // pod))
                # A spine has a cable at least to every leaf of its pod, and larger pods have more leaves.
                if sizes.leaves_of_pod > request.capacity("spine", request.cables.leaf_gbps):
                    break
                built = _with_cores(request, sizes)
                if built:
                    is_found, most = True, min(most, built.n_switches)
                    yield built
        if is_found:
            return


def _at_least(request: Request, base: Sizes) -> int:
    """Return a number of switches that no design on these leaves goes below, were every port used."""
    cables, total = request.cables, base.n_leaves * base.up
    ratio = request.spine_ratio
    # Uplinks of a spine for one downlink, as a fraction: rounding up would not be a lower bound.
    lift = _share(cables.leaf_gbps, cables.spine_gbps, ratio.numerator, ratio.denominator)
    # Ports of a spine that one downlink takes, with its share of the uplinks.
    per_downlink = Fraction(1, request.spine.per_port(cables.leaf_gbps))
    per_downlink += lift / request.spine.per_port(cables.spine_gbps)
    spines = total * per_downlink / request.budget("spine")
    # Cores have ports downwards alone.
    cores = total * lift / request.capacity("core", cables.spine_gbps)
    return base.n_leaves + math.ceil(spines) + math.ceil(cores)


def _with_cores(request: Request, base: Sizes) -> Sizes | None:
    built = _with_spines(request, base)
    if built is None:
        return None
    # A core plane has one spine of every pod, times the folds.
    below, up = built.pods * built.subgroups, built.spine_up
    capacity = request.capacity("core", request.cables.spine_gbps)
    best: Sizes | None = None
    # Uneven stripes may fold several spines of a pod into one core plane where that saves cores.
    for folds in (1,) if request.is_even else divisors(built.spines):
        cores = stripe(below * folds, up, capacity, is_even=request.is_even)
        if cores and (best is None or built.spines // folds * cores < best.spines // best.folds * best.cores):
            best = replace(built, folds=folds, cores=cores)
    return best and replace(best, core_down=best.spine_stripe.most)


def _with_spines(request: Request, base: Sizes) -> Sizes | None:
    """Return the fewest spines of a pod that have the ports for its leaves and for as many uplinks."""
    cables, uplinks_below = request.cables, base.leaves_of_pod * base.up

    def split(spines: int) -> tuple[int, int]:
        # The fullest spine of uneven stripes: rounded up.
        down = -(-uplinks_below // spines)
        return down, uplinks(down, cables.leaf_gbps, cables.spine_gbps, request.spine_ratio)

    def fits(spines: int) -> bool:
        down, up = split(spines)
        return request.fits("spine", add_rates((cables.leaf_gbps, down), (cables.spine_gbps, up)))

    # The more spines, the fewer cables of each.
    able = divisors(base.up) if request.is_even else range(1, base.up + 1)
    # Fitting is monotone in the spines, so the fewest are found by bisection.
    first = bisect.bisect_left(able, True, key=fits)
    if first == len(able):
        return None
    down, up = split(able[first])
    return replace(base, spines=able[first], spine_down=down, spine_up=up)


BUILDERS: Mapping[int, Callable[..., Iterator[Sizes]]] = {
    1: one_tier,
    2: two_tiers,
    3: three_tiers,
}


def preference(sizes: Sizes) -> tuple[int, ...]:
    """Return what is small in a good design: switches, cables between them, pods, then blocks."""
    return sizes.n_switches, sizes.n_uplinks, sizes.pods, sizes.blocks


def survey(request: Request, groups: int, tiers: int, most: float = math.inf) -> list[Sizes]:
    """Return the designs of so many tiers, best first; those of `most` switches or more may be left out."""
    return sorted(BUILDERS[tiers](request, groups, most), key=preference)
