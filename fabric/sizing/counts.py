"""What of a design is installed when only its first racks are: switches, cables, ports used and waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from fabric.sizing.request import TIERS, Request
from fabric.sizing.stripes import Stripe
from fabric.sizing.switch import add_rates
from fabric.sizing.tiers import Sizes


@dataclass(frozen=True, slots=True)
class Tier:
    """The switches of one tier that are installed.

    Parameters
    ----------
    name : str
        ``leaf``, ``spine`` or ``core``.
    part : str
        As asked for.
    switches : int
    used : int
        Ports with a cable, or lost to a breakout.
    free : int
        The others; used and free are all ports of the switches.
    stranded : int
        Free ports that are kept for racks or switches that are not installed.
    oversubscription : float
        Downlink over uplink capacity of a full switch; 0 where there is nothing above.
    """

    name: str
    part: str
    switches: int
    used: int
    free: int
    stranded: int
    oversubscription: float


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed.

    Parameters
    ----------
    gpus, racks : int
    tiers : tuple of Tier
        From the leaves up.
    cables : dict of str to int
        By rule of the file.
    """

    gpus: int
    racks: int
    tiers: tuple[Tier, ...]
    cables: dict[str, int]

    @property
    def switches(self) -> dict[str, int]:
        """Switches by tier."""
        return {t.name: t.switches for t in self.tiers}


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the first racks reach.

    Parameters
    ----------
    blocks, last_block : int
        Blocks with a rack, and places taken in the last of them.
    pods, last_pod : int
        Pods with a block, and blocks in the last of them.
    """

    blocks: int
    last_block: int
    pods: int
    last_pod: int


def extent(request: Request, sizes: Sizes, racks: int) -> Extent:
    """Return how far the first `racks` reach, with the place that UFM takes in the first block."""
    # Blocks and pods fill up in order, so the last of each alone is in part.
    places = racks + bool(request.ufm)
    blocks = -(-places // sizes.block)
    pods = -(-blocks // sizes.pod)
    return Extent(blocks, places - (blocks - 1) * sizes.block, pods, blocks - (pods - 1) * sizes.pod)


def count_installed(request: Request, sizes: Sizes, racks: int) -> Installed:
    """Count what is installed with the first `racks` racks of a design."""
    reach = extent(request, sizes, racks)
    faces = sizes.networks // sizes.groups * sizes.homes
    leaves = faces * sizes.rails * reach.blocks
    spines = sizes.networks * sizes.subgroups * reach.pods * sizes.spines
    cables = {f"{request.rack.nic}-leaf": racks * request.per_rack * faces * request.cables.per_leaf}
    if sizes.tiers > 1:
        cables["leaf-spine"] = leaves * sizes.up
    if sizes.tiers > 2:
        cables["spine-core"] = spines * sizes.spine_up
    if request.ufm:
        cables["ufm-leaf"] = request.ufm
    rows = (_leaf_rows, _spine_rows, _core_rows)[: sizes.tiers]
    ratios = (_leaf_ratio(request, sizes), _spine_ratio(request, sizes), 0.0)
    tiers = []
    for name, row, ratio in zip(TIERS, rows, ratios, strict=False):
        switch = request.switch(name)
        rows_of = list(row(request, sizes, racks))
        n = sum(k for k, _, _ in rows_of)
        # Switches times the ports that a row has taken; what waits is what more it will have.
        n_used = sum(k * used for k, used, _ in rows_of)
        stranded = sum(k * (full - used) for k, used, full in rows_of)
        tiers.append(Tier(name, switch.name, n, n_used, n * switch.port.n_ports - n_used, stranded, ratio))
    return Installed(racks * request.rack.n_gpus, racks, tuple(tiers), cables)


def _leaf_ratio(request: Request, sizes: Sizes) -> float:
    cables = request.cables
    return sizes.down * cables.nic_gbps / (sizes.up * cables.leaf_gbps) if sizes.up else 0.0


def _spine_ratio(request: Request, sizes: Sizes) -> float:
    cables = request.cables
    if not sizes.spine_up:
        return 0.0
    return sizes.spine_down * cables.leaf_gbps / (sizes.spine_up * cables.spine_gbps)


# Each yields, for switches that are alike: how many, ports taken now, and ports taken when all is built.
_Rows = Iterator[tuple[int, int, int]]


def _leaf_rows(request: Request, sizes: Sizes, racks: int) -> _Rows:
    reach, ufm = extent(request, sizes, racks), request.ufm
    leaves = sizes.networks // sizes.groups * sizes.homes * sizes.rails
    per_rack = sizes.down // sizes.block
    nic, up = request.cables.nic_gbps, (request.cables.leaf_gbps, sizes.up)

    def row(n: int, n_racks: int, n_full: int, extra: int = 0) -> tuple[int, int, int]:
        used, full = (
            request.ports("leaf", add_rates((nic, k * per_rack + extra), up)) for k in (n_racks, n_full)
        )
        return n, used, full

    size = sizes.block
    if ufm:
        # The first block has one rack less, and UFM on some of its leaves.
        n_racks = (size if reach.blocks > 1 else reach.last_block) - 1
        managed = min(ufm, leaves)
        yield row(managed, n_racks, size - 1, ufm // managed)
        yield row(leaves - managed, n_racks, size - 1)
    # Full blocks, then the last one, which may be in part.
    yield row(leaves * max(reach.blocks - 1 - bool(ufm), 0), size, size)
    if reach.blocks > 1 or not ufm:
        yield row(leaves, reach.last_block, size)


def _spine_rows(request: Request, sizes: Sizes, racks: int) -> _Rows:
    reach = extent(request, sizes, racks)
    n_parts = sizes.networks * sizes.subgroups
    leaf_gbps, up = request.cables.leaf_gbps, (request.cables.spine_gbps, sizes.spine_up)

    def ports(down: int) -> int:
        return request.ports("spine", add_rates((leaf_gbps, down), up))

    # Spines with equally many cables now and in the end are counted together.
    full = _cables_above(sizes.leaf_stripe, sizes.pod)
    for pods, n_blocks in ((reach.pods - 1, sizes.pod), (1, reach.last_pod)):
        n_installed = _cables_above(sizes.leaf_stripe, n_blocks)
        for (n_now, n_full), n in Counter(zip(n_installed, full, strict=True)).items():
            yield n_parts * pods * n, ports(n_now), ports(n_full)


def _core_rows(request: Request, sizes: Sizes, racks: int) -> _Rows:
    reach = extent(request, sizes, racks)
    rate = request.cables.spine_gbps
    n_installed, full = (_cables_above(sizes.spine_stripe, pods) for pods in (reach.pods, sizes.pods))
    for (n_now, n_full), n in Counter(zip(n_installed, full, strict=True)).items():
        planes = sizes.n_cores // sizes.cores
        yield planes * n, request.ports("core", {rate: n_now}), request.ports("core", {rate: n_full})


def _cables_above(stripe: Stripe, n_first: int) -> list[int]:
    """Return the cables of every switch above to the first so many units below."""
    # Uneven: the pairs are added up one by one.
    if stripe.extra:
        return [int(n) for n in stripe.cables(n_first).sum(axis=0)]
    return [stripe.n_below // stripe.below[0] * n_first * stripe.count] * stripe.above
