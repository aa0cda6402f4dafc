"""What would explain a measured curve: named hypotheses, each an evaluation of the model, ranked by fit.

First which algorithm, protocol and number of channels ran, whatever a library would choose; then what is
known to go wrong, under the choice of the library: a card of a node that is missing, a network of half its
rate, messages that bounce through the memory of the host, a network that answers late, no sums in the
switches, no relays over NVLink (PXN).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Floats
from fabric.costing import AlgorithmCost, Calibration, Spread, cost
from fabric.costing.overheads import ChannelCount, Overhead
from fabric.costing.run import CostRun, cost_algorithm, fastest_first, job_of
from fabric.errors import FabricError
from fabric.graph import Fabric
from fabric.job.question import JobOptions, JobQuestion
from fabric.schedule.algorithms import busbw_factor, schedules
from fabric.study.diagnosis import TOLERANCES

_LATE = 4.0
"""Times the latency to the card: TCP and EFA against InfiniBand, in the evidence of two nodes."""
_CHANNELS = (1, 2, 4, 8, 12, 16, 24, 32)
_NIC_OF_EIGHT = 7 / 8
_LIKELIER = 20
"""Times likelier that rows must be under one hypothesis than under another to tell them apart."""
_PER_CHOICE = 0.01
"""What a further free choice must gain: of many numbers of channels one fits noise by about so much."""
_BY_PROTOCOL = ("ring", "tree")
"""Algorithms that run by any protocol; sums in switches know Simple alone."""
_BOUNCE = 0.4
"""Of the rate of the card: copies to and from the memory of the host share the bus with the message."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One explanation of a curve.

    Parameters
    ----------
    what : str
    off : float
        Mean of |log(measured / predicted)| over the sizes: about the relative difference.
    worst : float
        The largest of them.
    is_tied : bool
        Whether the log does not tell it from the best one.
    """

    what: str
    off: float
    worst: float
    is_tied: bool = False

    def __str__(self) -> str:
        """Return the hypothesis with how well it fits."""
        fit = f"{100 * math.expm1(self.off):.3g} % off on average, at most {self._worst}"
        return f"{self.what}: {fit}{'; this log does not tell it from the first' if self.is_tied else ''}"

    @property
    def _worst(self) -> str:
        return f"{100 * math.expm1(self.worst):.3g} %"


Alternatives = tuple[tuple[str, Mapping[int, float]], ...]
"""By name what would explain times, and the time that it predicts for every size [s]."""


def alternatives(
    collective: str,
    sizes: Sequence[int],
    fabric: Fabric,
    known: Calibration,
    *,
    in_place: bool,
    options: JobOptions,
) -> Alternatives:
    """Return what times would be if something were otherwise than expected.

    Parameters
    ----------
    collective : str
    sizes : sequence of int
        Bytes.
    fabric : Fabric
    known : Calibration
        That the expectation is by.
    in_place : bool
    options : JobOptions
        Which ranks, and how they are routed.
    """
    found = []
    for what, algorithm, calibration, asked in _cases(collective, fabric, known, options, sizes):
        # What cannot run here explains nothing.
        with contextlib.suppress(FabricError):
            times = [_time_s(fabric, collective, n, algorithm, calibration, in_place, asked) for n in sizes]
            found.append((what, dict(zip(sizes, times, strict=True))))
    return tuple(found)


def hypotheses(times: Mapping[int, float], tried: Alternatives) -> tuple[Hypothesis, ...]:
    """Return what would explain measured times, the best first.

    Parameters
    ----------
    times : mapping of int to float
        Of every size [bytes] the time [s].
    tried : Alternatives
        For these sizes at least.

    Notes
    -----
    A hypothesis is tied with the best where it differs from it by no more than repeated runs do, or where the
    rows are less than `_LIKELIER` times likelier under the best, off by Laplace's law about as far as it is.
    """
    logs = {what: np.log([t / predicted[s] for s, t in times.items()]) for what, predicted in tried}
    usual = next(iter(logs.values()), np.zeros(0))
    # What changes nothing here is no explanation, nor is a further choice that changes nothing.
    plain: dict[tuple[float, ...], int] = {}
    for what, log in logs.items():
        plain.setdefault(_key(log), _choices(what))
        plain[_key(log)] = min(plain[_key(log)], _choices(what))
    told = {
        what: log
        for i, (what, log) in enumerate(logs.items())
        if not i or (_key(log) != _key(usual) and _choices(what) == plain[_key(log)])
    }
    order = sorted(told, key=lambda w: float(np.abs(told[w]).mean()) + _PER_CHOICE * _choices(w))
    return tuple(
        Hypothesis(
            what,
            float(np.abs(told[what]).mean()),
            float(np.abs(told[what]).max()),
            bool(i) and _is_tied(told[order[0]], told[what]),
        )
        for i, what in enumerate(order)
    )


def _key(log: Floats) -> tuple[float, ...]:
    return tuple(round(off, 9) for off in log.tolist())


def _is_tied(best: Floats, other: Floats) -> bool:
    """Return whether rows do not tell how far two predictions are off, as logarithms, from each other."""
    if np.abs(best - other).max() <= math.log1p(TOLERANCES[0]):
        return True
    usual = max(float(np.abs(best).mean()), math.log1p(TOLERANCES[0]) / 2)
    return bool((np.abs(other) - np.abs(best)).sum() <= usual * math.log(_LIKELIER))


def _choices(what: str) -> int:
    """Return how many things a hypothesis leaves free that others do not: protocol, then channels."""
    return what.count(" only") + 2 * what.count(" channels")


def _time_s(
    fabric: Fabric,
    collective: str,
    size_bytes: int,
    algorithm: str,
    known: Calibration,
    in_place: bool,
    options: JobOptions,
) -> float:
    """Return the time of an algorithm, or with ``auto`` of what a library would choose [s]."""
    question = JobQuestion.of(options)
    work = job_of(fabric, question)
    factor = busbw_factor(collective, work.shape.n)
    run = CostRun(fabric, question, work, collective, size_bytes, factor, known, Spread(), in_place)
    runnable = schedules(collective, work.shape, size_bytes)
    names = [name for name in runnable if name in known.algorithms] or list(runnable)
    names = names if algorithm == "auto" else [algorithm]
    return fastest_first([cost_algorithm(run, name, runnable[name]) for name in names])[0].time_s


def _cases(
    collective: str, fabric: Fabric, known: Calibration, options: JobOptions, sizes: Sequence[int]
) -> Iterator[tuple[str, str, Calibration, JobOptions]]:
    """Yield name, algorithm, calibration and options of every hypothesis."""
    first = cost(
        fabric, collective, sizes[-1], algorithm="all", calibration=known, is_bounded=False, **options
    )
    chosen = next(a for a in first.algorithms if _is_usual(a, known))
    yield f"as expected, {chosen.algorithm} at the largest size", "auto", known, options
    # What ran needs nobody to choose it.
    ran = replace(known, seen={})
    for algorithm in dict.fromkeys(a.algorithm for a in first.algorithms if _is_usual(a, known)):
        yield algorithm, algorithm, ran, options
        for protocol in known.protocols if algorithm in ("ring", "tree") else ():
            only = replace(ran, protocols=(protocol,))
            yield f"{algorithm}, {protocol.name} only", algorithm, only, options
            for n, calibration in _with_channels(only, algorithm) if first.n_domains > 1 else ():
                yield f"{algorithm}, {protocol.name} on {n} channels", algorithm, calibration, options
    if first.n_domains > 1:
        yield "one card of eight missing", "auto", _network(known, rate=_NIC_OF_EIGHT), options
        yield "leaves oversubscribed 2:1, or half of the cards", "auto", _network(known, rate=0.5), options
        yield (
            "bounce through the host (no GPUDirect)",
            "auto",
            _network(known, rate=_BOUNCE),
            options,
        )
        yield "a network that answers late (TCP, EFA)", "auto", _network(known, latency=_LATE), options
    runs_rings = any(a.algorithm in _BY_PROTOCOL for a in first.algorithms)
    for protocol in known.protocols if len(known.protocols) > 1 and runs_rings else ():
        only = replace(known, protocols=(protocol,), algorithms=_BY_PROTOCOL)
        yield f"{protocol.name} only, ring or tree", "auto", only, options
    if "reduces" not in options:
        yield "no sums in the switches (NVLS off)", "auto", known, {**options, "reduces": ()}
    if collective == "all-to-all" and options.get("routing", "ecmp") == "ecmp":
        yield "no relays over NVLink (PXN off)", "auto", known, {**options, "routing": "rail-direct"}


def _is_usual(algorithm: AlgorithmCost, known: Calibration) -> bool:
    return not known.algorithms or algorithm.algorithm in known.algorithms


def _with_channels(known: Calibration, algorithm: str) -> Iterator[tuple[int, Calibration]]:
    """Yield calibrations in which an algorithm has other numbers of channels, of the rate that is known."""
    rates = {
        key: counts[algorithm].rate_gbps
        for key, counts in known.channel_counts.items()
        if algorithm in counts and counts[algorithm].n > 1
    }
    for n in _CHANNELS if rates else ():
        counts = {
            key: {**row, algorithm: ChannelCount(n, rates[key])} if key in rates else row
            for key, row in known.channel_counts.items()
        }
        yield n, replace(known, channel_counts=counts)


def _network(known: Calibration, *, rate: float = 1.0, latency: float = 1.0) -> Calibration:
    """Return a calibration with another part of the rate, and other latency, on the way to other domains.

    The channels of trees go as the cards do, one for each of them.
    """

    def changed(o: Overhead) -> Overhead:
        protocols = {name: changed(p) for name, p in o.protocols.items()}
        return replace(
            o,
            rate=o.rate * rate,
            latency_s=o.latency_s * latency,
            once_s=o.once_s * latency,
            protocols=protocols,
        )

    links = {
        key: {kind: changed(o) for kind, o in kinds.items()} if _is_beyond(key) else kinds
        for key, kinds in (known.links or {}).items()
    }
    counts = {
        key: {
            name: count if name == "ring" else replace(count, rate_gbps=count.rate_gbps * rate)
            for name, count in row.items()
        }
        for key, row in known.channel_counts.items()
    }
    return replace(known, links=links, channel_counts=counts)


def _is_beyond(key: str) -> bool:
    """Return whether links of a name are on the way to other domains."""
    return key in ("host", "scale-out", "EFA") or key.startswith(("pcie", "c2c"))
