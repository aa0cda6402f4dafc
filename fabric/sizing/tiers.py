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

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from fabric.sizing.rack import divisors, leading_products
from fabric.sizing.request import Request
from fabric.sizing.switch import mixed


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
        Spines of a pod, and cables of each of them.
    cores, core_down : int
        Cores of a core plane, of which there is one for each spine of a pod, and cables of each of them.
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
        return self.networks * self.spines * self.cores

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
    share = _share(down_gbps, up_gbps, ratio.numerator, ratio.denominator)
    return -(-down * share.numerator // share.denominator)


@lru_cache(maxsize=256)
def _share(down_gbps: float, up_gbps: float, over: int, under: int) -> Fraction:
    """Return the uplinks, whole or not, that one downlink asks for."""
    return Fraction(down_gbps) * under / (over * Fraction(up_gbps))


def stripe(n_below: int, up: int, capacity: int) -> int:
    """Count the switches above, so that every one below has the same whole number of cables to each.

    Parameters
    ----------
    n_below : int
        Switches below.
    up : int
        Uplinks of each of them.
    capacity : int
        Cables that a switch above has ports for.

    Returns
    -------
    int
        The smallest divisor s of `up` for which ``n_below * up / s`` cables fit; 0 if there is none.

    Notes
    -----
    NVIDIA's DGX SuperPOD reference architecture RA-11333-001, table 4: 24 leaves with 32 uplinks each need 12
    switches of 64 ports by their number, and have 16, since 32 uplinks do not stripe evenly over 12.

    Examples
    --------
    >>> stripe(16, 32, 64), stripe(24, 32, 64), stripe(64, 32, 64), stripe(65, 32, 64)
    (8, 16, 32, 0)
    """
    return next((s for s in divisors(up) if n_below * up // s <= capacity), 0)


def one_tier(request: Request, groups: int) -> Iterator[Sizes]:
    """Yield the design on leaves alone, one for each group of rails, if its ports suffice."""
    cables, n_rails = request.cables, groups
    if request.ask.layout == "rail-only":
        # Rails that fit on one switch together share it.
        able = [g for g in leading_products(request.rack) if request.rails % g == 0]
        n_rails = next((g for g in able if _one_leaf_fits(request, g)), groups)
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
            down=request.slots * request.per_rack // n_rails * cables.per_leaf,
            networks=request.ask.planes * n_rails,
            homes=request.ask.homes,
        )


def _one_leaf_fits(request: Request, n_leaves: int) -> bool:
    if request.ask.block not in (None, request.slots):
        return False
    down = request.slots * request.per_rack // n_leaves * request.cables.per_leaf
    return request.fits("leaf", {request.cables.nic_gbps: down})


def blocks(request: Request) -> Iterator[tuple[int, int, int]]:
    """Yield the racks that a leaf may serve, most first, with its downlinks and uplinks."""
    cables = request.cables
    per_rack = request.per_rack // request.rails * cables.per_leaf
    most = min(request.leaf.radix(cables.nic_gbps) // per_rack, request.slots)
    for block in range(most, 0, -1) if request.ask.block is None else (request.ask.block,):
        down = block * per_rack
        up = uplinks(down, cables.nic_gbps, cables.leaf_gbps, request.leaf_ratio)
        if request.fits("leaf", mixed((cables.nic_gbps, down), (cables.leaf_gbps, up))):
            yield block, down, up


def _blocked(request: Request, groups: int, tiers: int) -> Iterator[Sizes]:
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
            networks=request.ask.planes * groups,
            homes=request.ask.homes,
        )


def two_tiers(request: Request, groups: int) -> Iterator[Sizes]:
    """Yield the designs of leaves and spines: for each size of a block the fewest spines."""
    capacity = request.capacity("spine", request.cables.leaf_gbps)
    for base in _blocked(request, groups, 2):
        spines = stripe(base.leaves_of_pod, base.up, capacity)
        if spines:
            yield replace(base, spines=spines, spine_down=base.leaves_of_pod * base.up // spines)


def three_tiers(request: Request, groups: int) -> Iterator[Sizes]:
    """Yield the designs with cores: for each size of a block and of a pod the fewest spines, then cores.

    Notes
    -----
    Pods hold all rails of a group, as long as a spine has the ports for it; else the rails are dealt out to
    as few kinds of pods as need be.
    """
    able = [g for g in leading_products(request.rack) if request.rails // groups % g == 0]
    for subgroups in able:
        least = 0
        for base in _blocked(request, groups, 3):
            if least and _at_least(request, base) >= least:
                continue
            for pod in range(1, base.blocks + 1) if request.ask.pod is None else (request.ask.pod,):
                sizes = replace(base, subgroups=subgroups, pod=pod, pods=-(-base.blocks // pod))
                if sizes.leaves_of_pod > request.capacity("spine", request.cables.leaf_gbps):
                    break
                built = _with_cores(request, sizes)
                if built:
                    least = min(least or built.n_switches, built.n_switches)
                    yield built
        if least:
            return


def _at_least(request: Request, base: Sizes) -> int:
    """Return a number of switches that no design on these leaves goes below, were every port used."""
    cables, total = request.cables, base.n_leaves * base.up
    ratio = request.spine_ratio
    lift = _share(cables.leaf_gbps, cables.spine_gbps, ratio.numerator, ratio.denominator)
    # Ports of a spine that one downlink takes, with its share of the uplinks.
    each = Fraction(1, request.spine.per_port(cables.leaf_gbps))
    each += lift / request.spine.per_port(cables.spine_gbps)
    spines = total * each / request.budget("spine")
    cores = total * lift / request.capacity("core", cables.spine_gbps)
    return base.n_leaves + math.ceil(spines) + math.ceil(cores)


def _with_cores(request: Request, base: Sizes) -> Sizes | None:
    cables = request.cables
    for spines in divisors(base.up):
        down = base.leaves_of_pod * base.up // spines
        up = uplinks(down, cables.leaf_gbps, cables.spine_gbps, request.spine_ratio)
        if request.fits("spine", mixed((cables.leaf_gbps, down), (cables.spine_gbps, up))):
            break
    else:
        return None
    below = base.pods * base.subgroups
    cores = stripe(below, up, request.capacity("core", cables.spine_gbps))
    if not cores:
        return None
    return replace(
        base, spines=spines, spine_down=down, spine_up=up, cores=cores, core_down=below * up // cores
    )


BUILDERS: Mapping[int, Callable[[Request, int], Iterator[Sizes]]] = {
    1: one_tier,
    2: two_tiers,
    3: three_tiers,
}


def preference(sizes: Sizes) -> tuple[int, ...]:
    """Return what is small in a good design: switches, cables between them, pods, then blocks."""
    return sizes.n_switches, sizes.n_uplinks, sizes.pods, sizes.blocks


def survey(request: Request, groups: int, tiers: int) -> list[Sizes]:
    """Return the designs of so many tiers, best first."""
    return sorted(BUILDERS[tiers](request, groups), key=preference)
