"""What a calibration says: how much of the wire rate a kind of transfer gets, and how late it comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from fabric.evidence.residuals import Residual
from fabric.schedule.tree import Transfer

Keys = tuple[tuple[str, ...], ...]
"""Of every rule the names by which its links are known, the most particular first."""
_Known = TypeVar("_Known")
TRANSFERS: tuple[Transfer, ...] = ("copy", "in-switch", "all-to-all", "tokens")
_STANDS_FOR: dict[Transfer, Transfer] = {"tokens": "all-to-all"}
"""What a kind of transfer is like where nothing is known of it."""


@dataclass(frozen=True, slots=True)
class ProtocolCost:
    """How a library moves data: low latency at part of the rate, or the full rate later.

    Parameters
    ----------
    name : str
        Such as ``LL``, ``LL128`` or ``Simple``.
    rate : float
        Part of the rate of the links, 0 < rate <= 1.
    latency : float
        Part of their latency.
    source : str
    """

    name: str
    rate: float = 1.0
    latency: float = 1.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Overhead:
    """What a class of links adds to a kind of transfer.

    Parameters
    ----------
    rate : float
        Part of the wire rate that the buffer's bytes get, 0 < rate <= 1.
    latency_s : float
        Of every link that a message passes [s].
    source : str
        Where the values come from.
    protocols : mapping of str to Overhead
        Of protocols that were measured on this class by themselves.
    once_s : float
        Of every collective between domains over the class, however many steps it takes: the host's threads
        that drive the cards wake up [s].
    """

    rate: float = 1.0
    latency_s: float = 0.0
    source: str = ""
    protocols: Mapping[str, Overhead] = field(default_factory=dict)
    once_s: float = 0.0


@dataclass(frozen=True, slots=True)
class GpuOverhead:
    """What the GPUs on a class of scale-up links add to a kind of transfer.

    Parameters
    ----------
    launch_s : mapping of str to float
        By protocol: of every collective [s].
    rank_s : float
        For every rank of a domain beside: the switches serve a part of the buffer for each [s].
    own_gbps : float
        Rate at which a rank copies its own part of the buffer, out of place; 0 where that costs nothing
        [Gb/s].
    peers : float
        Ranks of a domain at which the links take twice as long, growing as their square; 0 where the number
        does not matter.
    message_gbps : float
        What a message from rank to rank gets at most, as a library lays few channels between two ranks; 0
        where that is no limit [Gb/s].
    source : str
    """

    launch_s: Mapping[str, float] = field(default_factory=dict)
    rank_s: float = 0.0
    own_gbps: float = 0.0
    peers: float = 0.0
    message_gbps: float = 0.0
    source: str = ""

    def crowding(self, transfer: Transfer, n_ranks: int) -> float:
        """Return how much longer the links take among so many ranks of a domain.

        Sums in switches take what the buffer does, whatever the number of ranks: 438, 439 and 425 GB/s of it
        on 4, 32 and 72 GPUs of GB200. The part of a rank that is written beside it, 1 / n, costs nothing.
        """
        crowded = 1 + (n_ranks / self.peers) ** 2 if self.peers else 1.0
        return crowded * n_ranks / (n_ranks + 1) if transfer == "in-switch" else crowded


@dataclass(frozen=True, slots=True)
class ChannelCount:
    """The channels on which a library was seen to run an algorithm between domains.

    Parameters
    ----------
    n : int
    rate_gbps : float
        Of one channel at the full rate of its protocol, as busbw counts it [Gb/s].
    source : str
    """

    n: int
    rate_gbps: float
    source: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Up to where a library was seen to choose an algorithm; beyond, that it would is a hypothesis.

    Parameters
    ----------
    domains : int
        Most scale-up domains.
    domain_ranks : int
        Only domains of more ranks than these are meant.
    size_bytes : int
        Only from this size on.
    doubt : float
        Times that its bytes take longer there than the links and channels say, at least, if the library that
        was seen to run another algorithm chose the faster one; 0 where no library is taken to choose it.
    source : str
    """

    domains: int
    domain_ranks: int = 0
    size_bytes: int = 0
    doubt: float = 0.0
    source: str = ""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Overheads of all classes of links.

    Parameters
    ----------
    name : str
    about, source, date : str
    launch_s : float
        Of every collective, where the GPUs do not say [s].
    links : mapping of str to mapping of str to Overhead
        By rule, protocol with its medium, protocol, or network (``scale-up``, ``host``, ``scale-out``), in
        that order of preference; then by kind of transfer.
    protocols : tuple of ProtocolCost
        A copy takes the fastest; switches go by the last, and so does an all-to-all where no class says
        otherwise.
    algorithms : tuple of str
        What ``auto`` chooses among: the algorithms that the libraries measured here run unasked.
    channels : str
        Whose channels limit trees beside the links: ``"nccl"``, or empty for nobody's.
    gpus : mapping of str to mapping of str to GpuOverhead
        By the same keys of the ranks' scale-up links, then by kind of transfer.
    channel_counts : mapping of str to mapping of str to ChannelCount
        By those keys, then by algorithm, between domains.
    seen : mapping of str to Seen
        By algorithm.
    residuals : tuple of Residual
        How far measured times were from predictions by a fit that did not know them; none where nothing was
        held against it.
    """

    name: str
    about: str = ""
    source: str = ""
    date: str = ""
    launch_s: float = 0.0
    links: Mapping[str, Mapping[Transfer, Overhead]] | None = None
    protocols: tuple[ProtocolCost, ...] = (ProtocolCost("Simple"),)
    algorithms: tuple[str, ...] = ()
    channels: str = ""
    gpus: Mapping[str, Mapping[Transfer, GpuOverhead]] = field(default_factory=dict)
    channel_counts: Mapping[str, Mapping[str, ChannelCount]] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    residuals: tuple[Residual, ...] = ()

    def overhead(self, keys: tuple[str, ...], transfer: Transfer) -> Overhead:
        """Return the overhead of a class of links: of the first of its keys that is known."""
        for key in keys:
            kinds = (self.links or {}).get(key, {})
            for kind in (transfer, _STANDS_FOR.get(transfer, transfer)):
                if kind in kinds:
                    return kinds[kind]
        return Overhead()

    def overhead_by(self, keys: tuple[str, ...], transfer: Transfer, protocol: ProtocolCost) -> Overhead:
        """Return the overhead of a class of links with a protocol: its own, or the protocol's part of all.

        Protocols are the ways to copy; switches and all-to-all have only those that are stated.
        """
        known = self.overhead(keys, transfer)
        if protocol.name in known.protocols:
            return known.protocols[protocol.name]
        if transfer != "copy":
            return known
        return Overhead(known.rate * protocol.rate, known.latency_s * protocol.latency, known.source)

    def once_s(self, links: Keys, transfer: Transfer) -> float:
        """Return what the networks that a collective passes add to it once [s]."""
        return max((self.overhead(keys, transfer).once_s for keys in links), default=0.0)

    def protocols_of(self, transfer: Transfer, links: Keys) -> tuple[ProtocolCost, ...]:
        """Return the protocols that a transfer over classes of links may take."""
        if transfer == "copy":
            return self.protocols
        stated = {name for keys in links for name in self.overhead(keys, transfer).protocols}
        return (*(p for p in self.protocols[:-1] if p.name in stated), self.protocols[-1])

    def gpu(self, links: Keys, transfer: Transfer) -> GpuOverhead | None:
        """Return what the GPUs of a job add, by the keys of its links; None where they are not known."""
        kinds = self._of_gpus(self.gpus, links) or {}
        return kinds.get(transfer) or kinds.get(_STANDS_FOR.get(transfer, transfer))

    def channel_count(self, links: Keys, algorithm: str) -> ChannelCount | None:
        """Return the channels of an algorithm between domains; None where they are not known."""
        counts = self._of_gpus(self.channel_counts, links)
        return counts.get(algorithm) if counts else None

    def doubt(self, algorithm: str, sizes: tuple[int, ...], size_bytes: int) -> float:
        """Return how many times longer the bytes of an algorithm are held to take than links say.

        Parameters
        ----------
        algorithm : str
        sizes : tuple of int
            Ranks in each domain.
        size_bytes : int

        Returns
        -------
        float
            1 where libraries were seen to choose it by its time; infinite where they are not taken to.
        """
        seen = self.seen.get(algorithm)
        if seen is None or len(sizes) <= seen.domains:
            return 1.0
        if max(sizes) <= seen.domain_ranks or size_bytes < seen.size_bytes:
            return 1.0
        return seen.doubt or math.inf

    def is_seen(self, algorithm: str, sizes: tuple[int, ...], size_bytes: int) -> bool:
        """Return whether a library would choose an algorithm for all that was seen; see `doubt`."""
        return self.doubt(algorithm, sizes, size_bytes) == 1

    @staticmethod
    def _of_gpus(known: Mapping[str, _Known], links: Keys) -> _Known | None:
        # GPUs are known by the network that joins them.
        keys = (key for rule in links if rule[-1] == "scale-up" for key in rule)
        return next((known[key] for key in keys if key in known), None)
