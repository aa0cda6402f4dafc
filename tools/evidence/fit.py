"""Fit the values of the calibration ``measured`` to the evidence.

Every value stands for a generation of GPUs, a kind of transfer and a protocol, or for a class of links. They
are the least of a robust sum (soft L1, Huber 1964) of log(predicted / measured), each over the tolerance that
its size band is held to. Generations are fitted one by one on runs inside a domain, then what is between
domains on all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import least_squares

from fabric.arrays import Floats
from fabric.costing.overheads import (
    TRANSFERS,
    Calibration,
    ChannelCount,
    GpuOverhead,
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


def times(known: Calibration, run: Run, sizes: Floats, *, in_place: bool) -> tuple[Floats, list[str]]:
    """Return the time that a calibration gives a run at every size, as `fabric.costing.cost` does [s]."""
    best, by = np.full(len(sizes), np.inf), [""] * len(sizes)
    for way in run.ways:
        # What is a hypothesis at a size is none of its expectations.
        allowed = np.array([known.is_seen(way.algorithm, run.sizes, int(s)) for s in sizes])
        for protocol in known.protocols_of(way.transfer, run.keys):
            t = _times_by(known, run, way, protocol, sizes, in_place)
            for i in np.flatnonzero(allowed & (t < best)):
                best[i], by[i] = t[i], way.algorithm
    return best, by


def _times_by(
    known: Calibration, run: Run, way: Way, protocol: ProtocolCost, sizes: Floats, in_place: bool
) -> Floats:
    latency, busy = 0.0, np.zeros(way.busy.shape[1])
    for i, kind in enumerate(TRANSFERS):
        if not way.hops[i].any() and not way.busy[i].any():
            continue
        over = [known.overhead_by(keys, kind, protocol) for keys in run.keys]
        latency += float(way.hops[i] @ [o.latency_s for o in over])
        busy += way.busy[i] / np.array([o.rate for o in over])[way.rule]
    per_byte = float(busy.max(initial=0.0))
    count = known.channel_count(run.keys, way.algorithm)
    if count is not None and len(run.sizes) > 1:
        per_byte = max(per_byte, seconds_to_send(run.factor, count.n * count.rate_gbps * protocol.rate))
    elif known.channels and way.channels_gb_s:
        per_byte = max(per_byte, seconds_to_send(1.0, gbytes_to_gbps(way.channels_gb_s)))
    gpu = known.gpu(run.keys, way.transfer)
    start, own = known.launch_s, 0.0
    if gpu is not None:
        start = gpu.launch_s.get(protocol.name, known.launch_s) + gpu.rank_s * max(run.sizes)
        if gpu.own_gbps and not in_place:
            own = seconds_to_send(1 / run.n, gpu.own_gbps)
    return start + latency + (per_byte + own) * sizes


@dataclass(frozen=True, slots=True)
class Generation:
    """The GPUs on links of one kind, and what their values start from: a fit has several valleys.

    Parameters
    ----------
    keys : tuple of str
        Names of their scale-up links.
    launch_us, link_us, rate : tuple of float
        By protocol, of a copy.
    own : tuple of float
        Of a copy and of an all-to-all [GB/s].
    exchange : tuple of float
        Launch of LL and of Simple [us], rate of each, of an all-to-all.
    in_switch : tuple of float
        Launch [us], and for every rank [us]; empty where switches do not reduce.
    switch_rates : mapping of str to float
        By key.
    """

    keys: tuple[str, ...]
    launch_us: tuple[float, float, float] = (6.0, 12.0, 20.0)
    link_us: tuple[float, float, float] = (0.5, 0.4, 1.5)
    rate: tuple[float, float, float] = (0.2, 0.6, 0.8)
    own: tuple[float, float] = (800.0, 800.0)
    exchange: tuple[float, float, float, float] = (8.0, 14.0, 0.02, 0.72)
    in_switch: tuple[float, float] | tuple[()] = (10.0, 6.0)
    switch_rates: Mapping[str, float] = field(default_factory=dict)

    def start(self) -> dict[str, float]:
        """Return the values that a fit starts from, by name."""
        name = self.keys[0]
        values = {}
        for i, protocol in enumerate(PROTOCOLS):
            values[f"{name} copy {protocol} launch us"] = self.launch_us[i]
            values[f"{name} copy {protocol} link us"] = self.link_us[i]
            values[f"{name} copy {protocol} rate"] = self.rate[i]
        values[f"{name} copy own GB/s"], values[f"{name} all-to-all own GB/s"] = self.own
        for i, protocol in enumerate(("LL", "Simple")):
            values[f"{name} all-to-all {protocol} launch us"] = self.exchange[i]
            values[f"{name} all-to-all {protocol} rate"] = self.exchange[2 + i]
        if self.in_switch:
            values[f"{name} in-switch launch us"], values[f"{name} in-switch rank us"] = self.in_switch
            for key, rate in self.switch_rates.items():
                values[f"{key} in-switch rate"] = rate
        return values


GENERATIONS = (
    Generation(
        ("nvlink3",),
        launch_us=(8.9, 17.0, 29.0),
        link_us=(0.48, 0.25, 3.9),
        rate=(0.145, 0.44, 0.77),
        own=(480.0, 840.0),
        exchange=(13.0, 40.0, 0.24, 0.69),
        in_switch=(),
    ),
    Generation(
        ("nvlink4",),
        launch_us=(5.0, 15.5, 34.0),
        link_us=(0.41, 0.26, 0.95),
        rate=(0.27, 0.65, 0.81),
        own=(1020.0, 2100.0),
        exchange=(6.7, 13.0, 0.013, 0.69),
        in_switch=(10.8, 12.0),
        switch_rates={"nvlink4": 0.68},
    ),
    Generation(
        ("nvlink5",),
        launch_us=(7.9, 9.8, 17.0),
        link_us=(0.67, 0.56, 2.1),
        rate=(0.22, 0.32, 0.76),
        own=(1290.0, 680.0),
        exchange=(10.0, 17.0, 0.02, 0.72),
        in_switch=(10.0, 7.4),
        switch_rates={"nvlink5": 0.607},
    ),
    Generation(
        ("nvlink5/nvl72_backplane",),
        launch_us=(8.8, 18.4, 15.4),
        link_us=(0.53, 0.77, 2.4),
        rate=(0.23, 0.46, 0.73),
        own=(1290.0, 680.0),
        exchange=(9.7, 16.4, 0.01, 0.72),
        in_switch=(10.0, 10.0),
        switch_rates={"nvlink5/nvl72_backplane": 0.52},
    ),
    Generation(
        ("xgmi_mi300", "xgmi_mi350"),
        launch_us=(8.0, 12.0, 20.0),
        link_us=(0.3, 0.4, 1.5),
        rate=(0.2, 0.4, 0.72),
        exchange=(7.0, 13.0, 0.03, 0.6),
        in_switch=(),
    ),
)
HELD = (
    "nvlink5 all-to-all own GB/s",
    "nvlink5/nvl72_backplane all-to-all own GB/s",
    "nvlink5 all-to-all Simple rate",
    "nvlink5/nvl72_backplane all-to-all Simple rate",
    *(f"{g.keys[0]} copy own GB/s" for g in GENERATIONS[:4]),
    "nvlink5 in-switch rate",
    "scale-out copy rate",
    "scale-out all-to-all rate",
    "host Simple us",
)
"""Values that are stated and not fitted: own parts by the slopes of 64 to 512 MiB; switches on a board by
GTC25 S72583 (850 GB/s), as the one box of the table ran rings, and all-to-all by the same (640), where on
Blackwell the own part costs as much as a remote one; cards by GTC24 S62129 (24 of 25 GB/s, and 48 of 50) and
DeepEP (43 to 44 of 50); the steps of Simple between nodes midway between 12 nodes of H100, which show less
than 6 us a link, and runs in production, which show more than 30."""
BETWEEN = {
    "host LL us": 3.5,
    "host LL128 us": 9.0,
    "host Simple us": 14.0,
    "scale-out copy rate": 0.95,
    "scale-out all-to-all rate": 0.87,
    "channels nvlink4 tree GB/s": 450.0,
    "channels nvlink4 nvls-tree GB/s": 487.0,
    "channels nvlink5/nvl72_backplane nvls-tree GB/s": 760.0,
}
"""What is between domains."""
NET_LINK_US = 0.5
"""Of a cable and a switch of the network: a leaf, spine and leaf more take 0.9 us on InfiniBand and 2.0 on
RoCE (DeepSeek-AI, arXiv 2505.09343, table 5). The rest of a step between domains is the way to the card."""
HOSTS = ("pcie3_x16", "pcie4_x16", "pcie4_x8", "pcie5_x16", "pcie6_x16", "c2c_grace", "host")
RING_CHANNELS = (16, 30.0)
N_CHANNELS = {
    ("nvlink4", "tree"): 16,
    ("nvlink4", "nvls-tree"): 8,
    ("nvlink5/nvl72_backplane", "nvls-tree"): 16,
}
"""Of trees a channel for every card or head of a node, which is what the totals are divided by."""


def calibration_of(values: Mapping[str, float], base: Calibration) -> Calibration:
    """Return a calibration with fitted values in the place of those of `base`."""
    links = {key: dict(kinds) for key, kinds in (base.links or {}).items()}
    gpus: dict[str, dict[Transfer, GpuOverhead]] = {}
    for generation in GENERATIONS:
        name = generation.keys[0]
        of = {k.removeprefix(f"{name} "): v for k, v in values.items() if k.startswith(f"{name} ")}
        copies = {
            p: Overhead(min(of[f"copy {p} rate"], 1.0), of[f"copy {p} link us"] * US) for p in PROTOCOLS
        }
        exchanges = {p: Overhead(min(of[f"all-to-all {p} rate"], 1.0), 0.0) for p in ("LL", "Simple")}
        own = {kind: gbytes_to_gbps(of[f"{kind} own GB/s"]) for kind in ("copy", "all-to-all")}
        kinds: dict[Transfer, GpuOverhead] = {
            "copy": GpuOverhead({p: of[f"copy {p} launch us"] * US for p in PROTOCOLS}, 0.0, own["copy"]),
            "all-to-all": GpuOverhead(
                {p: of[f"all-to-all {p} launch us"] * US for p in ("LL", "Simple")}, 0.0, own["all-to-all"]
            ),
        }
        if generation.in_switch:
            launch = {"Simple": of["in-switch launch us"] * US}
            kinds["in-switch"] = GpuOverhead(launch, of["in-switch rank us"] * US)
        for key in generation.keys:
            plain, exchange = copies.pop("Simple"), exchanges.pop("Simple")
            kinds_of = links.setdefault(key, {})
            kinds_of["copy"] = replace(plain, protocols=dict(copies))
            kinds_of["all-to-all"] = replace(exchange, protocols=dict(exchanges))
            copies["Simple"], exchanges["Simple"] = plain, exchange
            gpus[key] = kinds
        for key in generation.switch_rates:
            links.setdefault(key, {})["in-switch"] = Overhead(min(values[f"{key} in-switch rate"], 1.0), 0.0)
    for key in HOSTS:
        known = links.get(key, {})
        by = {p: Overhead(_rate(known), values[f"host {p} us"] * US) for p in PROTOCOLS}
        plain = by.pop("Simple")
        links[key] = {**known, "copy": replace(plain, protocols=by)}
    net = values["scale-out copy rate"]
    links["scale-out"] = {
        "copy": Overhead(
            net,
            NET_LINK_US * US,
            protocols={
                "LL": Overhead(net * 0.5, NET_LINK_US * US),
                "LL128": Overhead(net * 120 / 128, NET_LINK_US * US),
            },
        ),
        "in-switch": (base.links or {})["scale-out"]["in-switch"],
        "all-to-all": Overhead(values["scale-out all-to-all rate"], NET_LINK_US * US),
    }
    counts: dict[str, dict[str, ChannelCount]] = {}
    for name, value in values.items():
        if name.startswith("channels "):
            _, key, algorithm, _ = name.split()
            n = N_CHANNELS[key, algorithm]
            counts.setdefault(key, {})[algorithm] = ChannelCount(n, gbytes_to_gbps(value / n))
    n, rate = RING_CHANNELS
    counts["nvlink5/nvl72_backplane"]["ring"] = ChannelCount(n, gbytes_to_gbps(rate))
    return replace(base, links=links, gpus=gpus, channel_counts=counts)


def _rate(kinds: Mapping[Transfer, Overhead]) -> float:
    return kinds["copy"].rate if "copy" in kinds else 0.95


def tolerance(point: Point) -> float:
    """Return the relative difference that a point is held to."""
    if point.domains > 1:
        return 0.15 if point.size_bytes > 64 << 20 else 0.25
    return 0.1 if point.size_bytes >= 128 << 20 else 0.2 if point.size_bytes > 64 << 10 else 0.25


def predicted(known: Calibration, points: Sequence[Point]) -> tuple[Floats, list[str]]:
    """Return the time of every point [s], and by which algorithm."""
    out, by = np.zeros(len(points)), [""] * len(points)
    for places in by_run(points).values():
        sizes = np.array([float(points[i].size_bytes) for i in places])
        first = points[places[0]]
        out[places], names = times(known, run_of(first), sizes, in_place=first.is_in_place)
        for i, name in zip(places, names, strict=True):
            by[i] = name
    return out, by


def fit(
    points: Sequence[Point], free: Sequence[str], values: Mapping[str, float], base: Calibration
) -> dict[str, float]:
    """Return the values with those named in `free` fitted to some points.

    Parameters
    ----------
    points : sequence of Point
    free : sequence of str
    values : mapping of str to float
        Those to start from, and all others.
    base : Calibration
    """
    measured = np.array([p.time_s for p in points])
    held = np.array([tolerance(p) for p in points])
    free = [name for name in free if name not in HELD]
    start = np.log([values[name] for name in free])
    # No part of a rate is above 1.
    most = np.array([0.0 if name.endswith(" rate") else np.inf for name in free])

    def off(x: Floats) -> Floats:
        tried = {**values, **dict(zip(free, np.exp(x).tolist(), strict=True))}
        # Beside the points a weak pull to the start, for what no point tells.
        return np.concatenate(
            [np.log(predicted(calibration_of(tried, base), points)[0] / measured) / held, 0.1 * (x - start)]
        )

    least = np.full(len(free), -np.inf)
    found = least_squares(
        off, start, bounds=(least, most + 1e-9), loss="soft_l1", f_scale=0.4, diff_step=1e-3, max_nfev=15
    )
    return {**values, **dict(zip(free, np.exp(found.x).tolist(), strict=True))}
