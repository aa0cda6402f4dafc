"""The channel search of NCCL on a symmetric node: a ladder of rates, and how many channels of each fit.

NCCL places one channel after the other on a graph of the node and steps back where a link is full. On a node
whose GPUs all hang alike on NVSwitches the outcome is a count, and this module counts: each *way* to lay a
channel has a load on the busiest NVLink, on the NIC and on the PCIe of a GPU.

    ring, closed locally    NIC > GPU a > ... > GPU x > NIC       a and x share the PCIe switch of the NIC
    ring, closed by PXN     NIC > GPU a > ... > GPU x > a > NIC   over NVLink back to the GPU of the NIC
    ring, crossing NICs     NIC > GPU a > ... > GPU x > other NIC, and a second channel the other way
    balanced tree           NIC > GPU a > ... ; half goes out from a, half from its neighbour b
    tree                    NIC > GPU a > ... ; all goes out from a

Written from the facts of NVIDIA/nccl@5067397, src/graph/search.cc (ncclTopoCompute, ncclTopoCompareGraphs,
ncclTopoDupChannels). Left out: time limits of the search, and the eighth of a link that NICs take on the way
back from GPUs before Ampere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from fabric.nccl.tables import tables

# NCCL rounds what is left on a link to three digits, so that sums of rates fit as on paper.
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class ChannelRoom:
    """What a node offers to channels.

    Parameters
    ----------
    generation : str
    sm : int
        Compute capability, ten times.
    n_gpus, n_nics : int
    gpus_per_switch : int
        GPUs on the PCIe switch of a NIC.
    nvlink_gb_s, pcie_gb_s, nic_gb_s : float
        Of one GPU into the NVSwitches, between GPU and NIC, and of one NIC, per direction [GB/s].
    nic_path : str
        Kind of path between a GPU and its NIC.
    is_inter : bool
        Channels leave the node.
    """

    generation: str
    sm: int
    n_gpus: int
    n_nics: int
    gpus_per_switch: int
    nvlink_gb_s: float
    pcie_gb_s: float
    nic_gb_s: float
    nic_path: str
    is_inter: bool

    @property
    def total_gb_s(self) -> float:
        """What one GPU can send over the better of its links [GB/s]."""
        return max(self.nvlink_gb_s, self.pcie_gb_s)

    @property
    def channel_gb_s(self) -> float:
        """Most that one channel can carry [GB/s]."""
        return min(self.pcie_gb_s, self.nic_gb_s) if self.is_inter else self.nvlink_gb_s

    @property
    def ladder_gb_s(self) -> tuple[float, ...]:
        """Rates to try, fastest first [GB/s]."""
        return tables().ladders_gb_s["inter" if self.is_inter else "intra", self.generation]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to lay channels.

    Parameters
    ----------
    pattern : str
        As in `Graph`.
    type_inter : str
        Path between GPU and NIC that it needs.
    is_open : bool
        The last GPU of a channel sends nothing over NVLink.
    share : float
        Part of the rate between nodes that one GPU passes to another for its NIC.
    """

    pattern: str
    type_inter: str
    is_open: bool = True
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels that fit: how they lie, how many, and their rates [GB/s]."""

    way: Way
    n: int
    intra: float
    inter: float


def ring_ways(room: ChannelRoom) -> Iterator[Way]:
    """Yield the ways of rings in the order of the search."""
    if not room.is_inter:
        yield Way("ring", "PIX", is_open=False)
        return
    is_local = room.n_gpus == 1 or room.gpus_per_switch > 1
    yield Way("ring", room.nic_path if is_local else "PXN", is_open=is_local)
    if room.n_nics > 1 and not is_local:
        yield Way("ring", room.nic_path)


def tree_ways(room: ChannelRoom) -> Iterator[Way]:
    """Yield the ways of trees in the order of the search; from Hopper on a plain tree comes before PXN."""
    path = room.nic_path if room.is_inter else "PIX"
    is_local = not room.is_inter or room.gpus_per_switch > 1
    if room.n_gpus > 1 and is_local:
        yield Way("balanced-tree", path)
    if room.n_gpus == 1 or room.sm >= 90:
        yield Way("tree", path)
    if room.n_gpus > 1 and not is_local:
        yield Way("balanced-tree", "PXN", share=0.5)


def search(room: ChannelRoom, ways: tuple[Way, ...], n_min: int, n_max: int) -> Channels | None:
    """Return the channels that NCCL settles on.

    Parameters
    ----------
    room : ChannelRoom
    ways : tuple of Way
        In order of preference, of one purpose.
    n_min, n_max : int
        Channels to find at least and at most.

    Returns
    -------
    Channels or None
        None if not even the slowest rate fits `n_min` times.

    Notes
    -----
    First the rate goes down the ladder for the largest channels x rate, until the node is full, the channels
    run out, or the next rate is below 0.49 of the best. Then fast channels are split in two. Then rates go up
    again with the channels kept: of rings, of NVLS between nodes, of trees inside the node.
    """
    best = _descend(room, ways, n_min, n_max)
    return None if best is None else _climb(room, _split(room, best, n_max), n_max)


def _descend(room: ChannelRoom, ways: tuple[Way, ...], n_min: int, n_max: int) -> Channels | None:
    pattern = ways[0].pattern
    # Of n GPUs a tree has n - 1 hops where a ring has n, so more of it fits.
    total = room.total_gb_s
    if pattern != "ring" and room.n_gpus > 1:
        total *= room.n_gpus / (room.n_gpus - 1)
    best: Channels | None = None
    for rate in room.ladder_gb_s:
        if rate > room.channel_gb_s or rate * n_min > total:
            continue
        # Far slower channels are not tried once something fits.
        if best and rate / best.inter <= tables().factors["lower_ratio"]:
            break
        for way in ways:
            n = _most(room, way, rate, rate, n_max)
            if n >= max(1, n_min) and (best is None or _is_better(way, n, rate, best)):
                best = Channels(way, n, rate, rate)
                if n == n_max:
                    return best
            # The node is full.
            if best and best.n * best.inter >= room.total_gb_s:
                return best
    return best


def _is_better(way: Way, n: int, rate: float, best: Channels) -> bool:
    gain = n * rate - best.n * best.inter
    return gain > _ROUNDING or (way.pattern == "nvls" and n > best.n)


def _split(room: ChannelRoom, channels: Channels, n_max: int) -> Channels:
    """Split channels that are faster than one thread block likes."""
    factors = tables().factors
    is_many = channels.n > factors["double_hopper_many"]
    floor = factors["double_hopper_from_gb_s" if room.sm > 80 and is_many else "double_from_gb_s"]
    if channels.way.pattern == "nvls" or channels.intra < floor:
        return channels
    # Where the limit cuts the number, each of the old channels is still cut into whole parts.
    n = min(2 * channels.n, n_max)
    parts = math.ceil(n / channels.n)
    return replace(channels, n=n, intra=channels.intra / parts, inter=channels.inter / parts)


def _climb(room: ChannelRoom, channels: Channels, n_max: int) -> Channels:
    """Raise rates with the channels kept."""
    faster = [rate for rate in reversed(room.ladder_gb_s) if rate > channels.inter]
    for rate in faster:
        if channels.way.pattern == "ring":
            # A ring may still win at any faster rate; the others stop at the first that does not fit.
            n = _most(room, channels.way, rate, rate, n_max)
            if n >= channels.n and n * rate > channels.n * channels.intra:
                channels = replace(channels, n=n, intra=rate, inter=rate)
            continue
        is_nvls = channels.way.pattern == "nvls"
        # The rate that is raised stops at twice the other.
        if (channels.inter >= 2 * channels.intra) if is_nvls else (channels.intra >= 2 * channels.inter):
            break
        tried = replace(channels, inter=rate) if is_nvls else replace(channels, intra=rate)
        if _most(room, tried.way, tried.intra, tried.inter, n_max) < channels.n:
            break
        channels = tried
    return channels


def _most(room: ChannelRoom, way: Way, intra: float, inter: float, n_max: int) -> int:
    """Return how many channels of these rates fit."""
    return max((n for n in range(1, n_max + 1) if _fits(room, way, n, intra, inter)), default=0)


def _fits(room: ChannelRoom, way: Way, n: int, intra: float, inter: float) -> bool:
    if room.n_gpus > 1 and _nvlink_load(room, way, n, intra, inter) > room.nvlink_gb_s + _ROUNDING:
        return False
    if not room.is_inter:
        return True
    # Channels that fit on one NIC, and on the PCIe link of one GPU.
    per_nic = math.floor(room.channel_gb_s / inter + _ROUNDING)
    per_gpu = math.floor(room.pcie_gb_s / inter + _ROUNDING)
    if way.pattern in ("nvls", "collnet-direct"):  # one channel a GPU, each with a NIC of its own
        return per_nic > 0 and n <= min(room.n_gpus, room.n_nics)
    return n <= min(room.n_nics * per_nic, room.n_gpus * per_gpu)


def _nvlink_load(room: ChannelRoom, way: Way, n: int, intra: float, inter: float) -> float:
    """Return what the busiest GPU sends or receives over NVLink."""
    if way.pattern == "nvls":
        return (n + 1) * intra  # every channel reads from every GPU, and its head twice
    if way.pattern == "collnet-direct":
        return intra * (1 + (n - 1) / (room.n_gpus - 1))
    # A ring inside a node loads every NVLink with every channel; one that leaves it skips its last GPU.
    if not way.is_open:
        return n * intra
    return (n - n // room.n_gpus) * intra + math.ceil(n / room.n_gpus) * way.share * inter
