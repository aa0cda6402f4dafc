"""Fit the values of the calibration ``measured`` to the evidence.

Every value stands for a generation of GPUs, a kind of transfer and a protocol, or for a class of links. They
are the least of a robust sum (soft L1, Huber 1964) of log(predicted / measured), each over the tolerance that
its size band is held to. Generations are fitted one by one on runs inside a domain, then what is between
domains on all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from fabric.arrays import Floats
from fabric.costing.overheads import (
    Calibration,
    ChannelCount,
    GpuOverhead,
    Keys,
    Overhead,
    ProtocolCost,
)
from fabric.evidence import Point
from fabric.schedule.tree import Transfer
from fabric.units import gbytes_to_gbps, seconds_to_send
from tools.evidence.features import Run, Way, by_run, run_of

US = 1e-6
PROTOCOLS = ("LL", "LL128", "Simple")
_OWN = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all")


class Pricing:
    """Times of runs under one calibration; what its classes of links cost is looked up once.

    Parameters
    ----------
    known : Calibration
    """

    def __init__(self, known: Calibration) -> None:
        self.known = known
        self._links: dict[tuple[Keys, Transfer, str], tuple[Floats, Floats]] = {}

    def times(self, run: Run, sizes: Floats, *, in_place: bool, forced: str = "") -> tuple[Floats, list[str]]:
        """Return the time of a run at every size [s], as `fabric.costing.cost` does, and the algorithms."""
        best, chosen, by = np.full(len(sizes), np.inf), np.full(len(sizes), np.inf), [""] * len(sizes)
        algorithm, *protocols = forced.split() or ("",)
        ways = [way for way in run.ways if not algorithm or way.algorithm == algorithm]
        for way in ways:
            # What no library was seen to choose is none of its expectations, but where it is alone.
            doubt = np.ones(len(sizes))
            if len(ways) > 1:
                doubt = np.array([self.known.doubt(way.algorithm, run.sizes, int(s)) for s in sizes])
            for protocol in self.known.protocols_of(way.transfer, run.keys):
                if protocols and protocol.name not in protocols:
                    continue
                t = self._by(run, way, protocol, sizes, in_place)
                for i in np.flatnonzero(t * doubt < chosen):
                    best[i], chosen[i], by[i] = t[i], t[i] * doubt[i], way.algorithm
        return best, by

    def _by(self, run: Run, way: Way, protocol: ProtocolCost, sizes: Floats, in_place: bool) -> Floats:
        latency, busy = 0.0, np.zeros(len(way.rule))
        gpu = self.known.gpu(run.keys, way.transfer)
        inside = np.array([names[-1] == "scale-up" for names in run.keys])
        for kind, hops, load in way.parts:
            latency_s, rate = self._of(run.keys, kind, protocol)
            of_kind = self.known.gpu(run.keys, kind)
            crowding = np.where(inside, of_kind.crowding(kind, max(run.sizes)) if of_kind else 1.0, 1.0)
            latency += float(hops @ latency_s)
            busy += load * crowding[way.rule] / rate[way.rule]
        per_byte = float(busy.max(initial=0.0))
        count = self.known.channel_count(run.keys, way.algorithm)
        if count is not None and len(run.sizes) > 1:
            per_byte = max(per_byte, seconds_to_send(run.factor, count.n * count.rate_gbps * protocol.rate))
        elif self.known.channels and way.channels_gb_s:
            per_byte = max(per_byte, seconds_to_send(1.0, gbytes_to_gbps(way.channels_gb_s)))
        once_s = self.known.once_s(run.keys, way.transfer) if len(run.sizes) > 1 else 0.0
        start, own = self.known.launch_s + once_s, 0.0
        if gpu is not None and gpu.message_gbps and way.transfer == "all-to-all":
            per_byte = max(per_byte, seconds_to_send(1 / run.n, gpu.message_gbps))
        if gpu is not None:
            launch_s = gpu.launch_s.get(protocol.name, self.known.launch_s)
            start = launch_s + gpu.rank_s * max(run.sizes) + once_s
            if gpu.own_gbps and not in_place:
                own = seconds_to_send(1 / run.n, gpu.own_gbps)
        return start + latency + (per_byte + own) * sizes

    def _of(self, keys: Keys, kind: Transfer, protocol: ProtocolCost) -> tuple[Floats, Floats]:
        asked = (keys, kind, protocol.name)
        if asked not in self._links:
            over = [self.known.overhead_by(names, kind, protocol) for names in keys]
            self._links[asked] = np.array([o.latency_s for o in over]), np.array([o.rate for o in over])
        return self._links[asked]


@dataclass(frozen=True, slots=True)
class Generation:
    """The GPUs on links of one kind.

    Parameters
    ----------
    keys : tuple of str
        Names of their scale-up links; the first names the generation.
    has_switches : bool
        Whether switches between them add up.
    """

    keys: tuple[str, ...]
    has_switches: bool = True

    @property
    def name(self) -> str:
        """Name of its values."""
        return self.keys[0]

    def values(self, common: Mapping[str, float]) -> dict[str, float]:
        """Return what all generations have in common, as values of this one."""
        return {
            f"{self.name} {what}": common[f"{ALL} {what}"]
            for what in COMMON
            if self.has_switches or not what.startswith("in-switch")
        }


GENERATIONS = (
    Generation(("nvlink3",), has_switches=False),
    Generation(("nvlink4",)),
    Generation(("nvlink5",)),
    Generation(("nvlink5/nvl72_backplane",)),
    Generation(("xgmi_mi300",), has_switches=False),
    Generation(("xgmi_mi350",), has_switches=False),
)
ALL = "all"
COMMON = {
    **{f"copy {p} launch us": us for p, us in zip(PROTOCOLS, (7.0, 14.0, 25.0), strict=True)},
    **{f"copy {p} link us": us for p, us in zip(PROTOCOLS, (0.5, 0.5, 2.0), strict=True)},
    **{f"copy {p} rate": part for p, part in zip(PROTOCOLS, (0.2, 0.5, 0.77), strict=True)},
    "copy own GB/s": 1000.0,
    "all-to-all LL launch us": 9.0,
    "all-to-all Simple launch us": 16.0,
    "all-to-all LL rate": 0.02,
    "all-to-all Simple rate": 0.7,
    "all-to-all own GB/s": 1000.0,
    "all-to-all peers": 140.0,
    "all-to-all message GB/s": 400.0,
    "in-switch launch us": 10.0,
    "in-switch rank us": 8.0,
    "in-switch rate": 0.55,
}
"""Where the fit of what all generations have in common starts; each of them starts from what it finds."""
BETWEEN = {
    "host LL us": 1.0,
    "host LL128 us": 9.0,
    "host Simple us": 14.0,
    "host all-to-all us": 6.0,
    "network once us": 14.0,
    "EFA once us": 40.0,
    "EFA LL us": 5.0,
    "EFA Simple us": 8.0,
    "scale-out copy rate": 0.96,
    "scale-out all-to-all rate": 0.9,
    "channels nvlink4 tree GB/s": 450.0,
    "channels nvlink4 nvls-tree GB/s": 487.0,
    "channels nvlink5/nvl72_backplane nvls-tree GB/s": 760.0,
    "channels xgmi_mi350 mesh GB/s": 350.0,
}
"""What is between domains, where the fit of it starts. Of LL that is NCCL's own constant, to which it is held
where few runs of more than two domains tell a step from what is waited for once: 5.0 us for a step of a tree
between nodes (NVIDIA/nccl@5067397, ``tuning.cc``), which is four ways between GPU and card and two cables."""
NET_LINK_US = 0.5
"""Of a cable and a switch of the network: a leaf, spine and leaf more take 0.9 us on InfiniBand and 2.0 on
RoCE (DeepSeek-AI, arXiv 2505.09343, table 5). The rest of a step between domains is the way to the card."""
HOSTS = ("pcie3_x16", "pcie4_x16", "pcie4_x8", "pcie5_x16", "pcie6_x16", "c2c_grace", "host")
RING_CHANNELS = (16, 30.0)
N_CHANNELS = {
    ("nvlink4", "tree"): 16,
    ("nvlink4", "nvls-tree"): 8,
    ("nvlink5/nvl72_backplane", "nvls-tree"): 16,
    ("xgmi_mi350", "mesh"): 8,
}
"""Of trees a channel for every card or head of a node, which is what the totals are divided by."""


def calibration_of(values: Mapping[str, float], base: Calibration) -> Calibration:
    """Return a calibration with fitted values in the place of those of `base`."""
    links = {key: dict(kinds) for key, kinds in (base.links or {}).items()}
    gpus: dict[str, Mapping[Transfer, GpuOverhead]] = {}
    for generation in GENERATIONS:
        own, kinds = _of_generation(generation, values)
        for key in generation.keys:
            links.setdefault(key, {}).update(own)
            gpus[key] = kinds
    for key in HOSTS:
        rate = links[key]["copy"].rate if "copy" in links.get(key, {}) else 0.95
        links[key] = {
            **links.get(key, {}),
            "copy": _by_protocol(
                {p: Overhead(rate, values[f"host {p} us"] * US) for p in PROTOCOLS},
            ),
            "all-to-all": Overhead(rate, values["host all-to-all us"] * US),
        }
    links |= {"scale-out": {**links["scale-out"], **_network(values, "network", 0.0, 0.0)}}
    links |= {"EFA": _network(values, "EFA", values["EFA LL us"], values["EFA Simple us"])}
    counts: dict[str, dict[str, ChannelCount]] = {}
    for name, value in values.items():
        if name.startswith("channels "):
            _, key, algorithm, _ = name.split()
            n = N_CHANNELS[key, algorithm]
            counts.setdefault(key, {})[algorithm] = ChannelCount(n, gbytes_to_gbps(value / n))
    n, rate = RING_CHANNELS
    counts["nvlink5/nvl72_backplane"]["ring"] = ChannelCount(n, gbytes_to_gbps(rate))
    return replace(base, links=links, gpus=gpus, channel_counts=counts)


def _of_generation(
    generation: Generation, values: Mapping[str, float]
) -> tuple[dict[Transfer, Overhead], dict[Transfer, GpuOverhead]]:
    """Return what the links of a generation add, and its GPUs."""

    def of(what: str) -> float:
        return values.get(f"{generation.name} {what}", values.get(f"{ALL} {what}", COMMON[what]))

    copies = {p: Overhead(min(of(f"copy {p} rate"), 1.0), of(f"copy {p} link us") * US) for p in PROTOCOLS}
    exchanges = {p: Overhead(min(of(f"all-to-all {p} rate"), 1.0), 0.0) for p in ("LL", "Simple")}
    own: dict[Transfer, Overhead] = {"copy": _by_protocol(copies), "all-to-all": _by_protocol(exchanges)}
    launch = {kind: {p: of(f"{kind} {p} launch us") * US for p in known} for kind, known in _LAUNCHED.items()}
    kinds: dict[Transfer, GpuOverhead] = {
        "copy": GpuOverhead(launch["copy"], 0.0, gbytes_to_gbps(of("copy own GB/s"))),
        "all-to-all": GpuOverhead(
            launch["all-to-all"],
            own_gbps=gbytes_to_gbps(of("all-to-all own GB/s")),
            peers=of("all-to-all peers"),
            message_gbps=gbytes_to_gbps(of("all-to-all message GB/s")),
        ),
    }
    if generation.has_switches:
        own["in-switch"] = Overhead(min(of("in-switch rate"), 1.0), 0.0)
        kinds["in-switch"] = GpuOverhead(
            {"Simple": of("in-switch launch us") * US},
            rank_s=of("in-switch rank us") * US,
        )
    return own, kinds


_LAUNCHED = {"copy": PROTOCOLS, "all-to-all": ("LL", "Simple")}


def _network(
    values: Mapping[str, float], name: str, ll_us: float, simple_us: float
) -> dict[Transfer, Overhead]:
    """Return what the links of a network add, on cards that are so much later than others."""
    once_s = values[f"{name} once us"] * US
    net = values["scale-out copy rate"]
    # Half of the bytes of LL are flags, and 8 of 128 of LL128.
    parts = {"LL": (net * 0.5, ll_us), "LL128": (net * 120 / 128, simple_us), "Simple": (net, simple_us)}
    copies = {p: Overhead(rate, (NET_LINK_US + us) * US) for p, (rate, us) in parts.items()}
    exchange = Overhead(values["scale-out all-to-all rate"], (NET_LINK_US + ll_us) * US, once_s=once_s)
    return {"copy": replace(_by_protocol(copies), once_s=once_s), "all-to-all": exchange}


def _by_protocol(known: Mapping[str, Overhead]) -> Overhead:
    """Return an overhead that is the one of Simple, and names the others."""
    return replace(known["Simple"], protocols={p: o for p, o in known.items() if p != "Simple"})


def tolerance(point: Point) -> float:
    """Return the relative difference that a point is held to."""
    if point.domains > 1:
        return 0.15 if point.size_bytes > 64 << 20 else 0.25
    if point.source == "gtc":  # peaks of a maker's slides: nothing but a rate, one for many machines
        return 0.02
    return 0.1 if point.size_bytes >= 128 << 20 else 0.2 if point.size_bytes > 64 << 10 else 0.25


def predicted(known: Calibration, points: Sequence[Point]) -> tuple[Floats, list[str]]:
    """Return the time of every point [s], and by which algorithm."""
    return _predicted(known, points, _groups(points))


def _groups(points: Sequence[Point]) -> list[tuple[Run, list[int], Floats]]:
    return [
        (run_of(points[places[0]]), places, np.array([float(points[i].size_bytes) for i in places]))
        for places in by_run(points).values()
    ]


def _predicted(
    known: Calibration, points: Sequence[Point], groups: Sequence[tuple[Run, list[int], Floats]]
) -> tuple[Floats, list[str]]:
    out, by, pricing = np.zeros(len(points)), [""] * len(points), Pricing(known)
    for run, places, sizes in groups:
        first = points[places[0]]
        out[places], names = pricing.times(run, sizes, in_place=first.is_in_place, forced=first.forced)
        for i, name in zip(places, names, strict=True):
            by[i] = name
    return out, by


def fit(
    points: Sequence[Point],
    free: Sequence[str],
    values: Mapping[str, float],
    base: Calibration,
    *,
    max_tries: int = 30,
    loss: str = "soft_l1",
    alike: float = 1.0,
) -> dict[str, float]:
    """Return the values with those named in `free` fitted to some points.

    Parameters
    ----------
    points : sequence of Point
    free : sequence of str
    values : mapping of str to float
        Those to start from, and all others.
    base : Calibration
    max_tries : int
        Of the values, not counting those for the derivatives.
    alike : float
        How many points the start counts for, in latencies of small messages.
    loss : {"soft_l1", "cauchy"}
        The second finds where most are, however far the others.
    """
    measured = np.array([p.time_s for p in points])
    held = np.array([tolerance(p) for p in points])
    groups = _groups(points)
    start = np.log([values[name] for name in free])
    # No part of a rate is above 1.
    most = np.array([0.0 if name.endswith(" rate") else np.inf for name in free])
    pull = np.array([alike if " LL " in name and name.endswith(" us") else 1.0 for name in free])

    def off(x: Floats) -> Floats:
        tried = {**values, **dict(zip(free, np.exp(x).tolist(), strict=True))}
        # Beside the points a pull to the start, as of one point or a few, for what no point tells.
        return np.concatenate(
            [
                np.log(_predicted(calibration_of(tried, base), points, groups)[0] / measured) / held,
                pull * (x - start),
            ]
        )

    least = np.full(len(free), -np.inf)
    found = least_squares(
        off,
        start,
        bounds=(least, most + 1e-9),
        loss=loss,
        f_scale=0.4,
        diff_step=1e-3,
        max_nfev=max_tries,
    )
    return {**values, **dict(zip(free, np.exp(found.x).tolist(), strict=True))}
