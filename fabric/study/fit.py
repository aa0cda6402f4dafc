"""Latency, bandwidth and efficiency from measured times.

Two fits, both of least relative error and both robust: a line through the points of one collective, which
needs no model; and one set of efficiencies and latencies for a model of the fabric, over all logs at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

from fabric.arrays import Floats
from fabric.errors import QuestionError
from fabric.units import format_bytes, format_time, gbytes_per_second, gbytes_to_gbps

Pair = tuple[str, str]
"""A link class and a kind of transfer."""
Wire = Callable[[str, int], tuple[Mapping[Pair, float], float, Pair]]
"""From collective and size [bytes] to the links that messages pass one after the other, the time at wire rate
[s], and the pair that binds."""

ROUNDING = 1e-3
"""Relative error of a printed time: four significant digits or more, and the same of the wire rate."""
_SHOWS_RATE = 0.2  # of the measured time must be on the wire in some row, for an efficiency to be told
_ROUNDS = 100
_LEAST_RESIDUAL = 1e-6  # below which rows weigh alike: more digits than any log has


@dataclass(frozen=True, slots=True)
class Fit:
    """Answer of `fit`: time = latency + size / bandwidth.

    Parameters
    ----------
    latency_s : float
        Not negative [s].
    bandwidth_gbps : float
        algbw for large sizes [Gb/s]; infinite where times do not grow with the size.
    residuals : tuple of float
        Fitted time / measured time - 1 of each point, in the order given.
    worst : int
        Place of the largest residual.
    """

    latency_s: float
    bandwidth_gbps: float
    residuals: tuple[float, ...]
    worst: int


@dataclass(frozen=True, slots=True)
class Fitted:
    """Answer of `fit_model`.

    Parameters
    ----------
    efficiencies : dict
        Of each (link class, kind of transfer): fraction of the wire rate, in (0, 1].
    link_latency_s : dict
        Of each (link class, kind of transfer) that binds: latency of a link that a message passes [s].
    launch_s : float
        Latency that every operation has once [s].
    n_rows : int
    residuals : tuple of float
        Fitted time / measured time - 1 of each point, in the order given.
    worst : int
        Place of the largest residual.
    remarks : tuple of str
        What the points could not tell.
    """

    efficiencies: dict[Pair, float]
    link_latency_s: dict[Pair, float]
    launch_s: float
    n_rows: int
    residuals: tuple[float, ...]
    worst: int
    remarks: tuple[str, ...] = ()


def fit(points: Iterable[tuple[float, float]]) -> Fit:
    """Return the line time = latency + size / bandwidth through the points of one collective.

    Parameters
    ----------
    points : iterable of (float, float)
        Size [bytes] and time [s], all positive; two sizes at least.

    Returns
    -------
    Fit

    Raises
    ------
    QuestionError
        If there are fewer than two sizes, or a number is not positive and finite.

    Notes
    -----
    Minimises the sum of |fitted / measured - 1| with neither parameter negative, so that small and large
    messages count alike and single rows off the line count little.

    Examples
    --------
    >>> line = fit([(s, 20e-6 + s / 50e9) for s in (8, 2**20, 2**30)])
    >>> round(line.latency_s * 1e6, 3), round(line.bandwidth_gbps, 3)
    (20.0, 400.0)
    """
    pairs = list(points)
    _positive(pairs)
    if len({size for size, _ in pairs}) < 2:
        msg = f"{len(pairs)} points of fewer than two sizes; latency and bandwidth need two"
        raise QuestionError(msg)
    size, time = np.array(pairs, dtype=np.float64).T
    found = _least(np.column_stack([np.ones(len(size)), size]), time, np.zeros(2), time)
    residuals = (found[0] + found[1] * size) / time - 1
    rate = gbytes_to_gbps(gbytes_per_second(1, float(found[1]))) if found[1] > 0 else math.inf
    return Fit(float(found[0]), rate, tuple(residuals.tolist()), int(np.abs(residuals).argmax()))


def fit_model(
    points: Iterable[tuple[str, int, float]], wire: Wire, known: Mapping[Pair, float] | None = None
) -> Fitted:
    """Return the efficiencies and latencies with which a model comes nearest to the measured times.

    Parameters
    ----------
    points : iterable of (str, int, float)
        Collective, size [bytes] and time [s], of all logs together.
    wire : callable
        ``wire(collective, size_bytes)`` gives the links passed one after the other of each link class by each
        kind of transfer, such as ``{("nvlink", "copy"): 14}``, the time at wire rate [s], and which binds.
    known : mapping, optional
        Latency of a link [s] of those that bind nowhere; 0 where it is not given.

    Returns
    -------
    Fitted

    Raises
    ------
    QuestionError
        If there is no point, if a number is not positive and finite, or if a measured time is less than that
        at wire rate: no efficiency makes a link faster than its wire, so rates, rank count or algorithm of
        the model are not those of the log.

    Notes
    -----
    Minimises the sum of |fitted / measured - 1| over launch, and latency and efficiency of what binds, in::

        time = launch + sum(links passed * latency) + wire time / efficiency

    An efficiency is told only where some row spends a fifth of its time on the wire; elsewhere it is taken
    as 1, left out, and remarked upon. Where every row of the logs passes as many links the launch cannot be
    told from them, and counts as 0.

    Examples
    --------
    >>> def wire(collective, size):
    ...     steps = 14 if collective == "all-reduce" else 7
    ...     return {("nvlink", "copy"): steps}, size / 400e9, ("nvlink", "copy")
    >>> points = [("all-reduce", 2**k, 5e-6 + 14e-6 + 2**k / 320e9) for k in range(10, 32)]
    >>> points += [("all-gather", 2**k, 5e-6 + 7e-6 + 2**k / 320e9) for k in range(10, 32)]
    >>> found = fit_model(points, wire)
    >>> round(found.efficiencies["nvlink", "copy"], 6), round(found.launch_s * 1e6, 3)
    (0.8, 5.0)
    """
    table = list(points)
    if not table:
        msg = "no point to fit; give the rows of one log at least"
        raise QuestionError(msg)
    _positive([(size, time) for _, size, time in table])
    model = [wire(collective, size) for collective, size, _ in table]
    _not_beaten(table, model)
    time = np.array([t for _, _, t in table])
    pairs = sorted({pair for _, _, pair in model})
    steps = np.array([[passed.get(pair, 0.0) for pair in pairs] for passed, _, _ in model])
    on_wire = np.array([[w * (own == pair) for pair in pairs] for _, w, own in model])
    columns = np.column_stack([np.ones(len(time)), steps, on_wire])
    beside = np.array([_beside(passed, pairs, known or {}) for passed, _, _ in model])
    has_launch = np.linalg.matrix_rank(columns[:, : 1 + len(pairs)]) > np.linalg.matrix_rank(steps)
    is_told = (on_wire / time[:, None]).max(axis=0) >= _SHOWS_RATE
    free = np.concatenate([[has_launch], np.ones(len(pairs), dtype=np.bool_), is_told])
    # Latency is at least 0 and efficiency at most 1; what is not told is held there.
    found = np.concatenate([np.zeros(1 + len(pairs)), np.ones(len(pairs))])
    rest = time - beside - columns[:, ~free] @ found[~free]
    found[free] = _least(columns[:, free], time, found[free], rest)
    residuals = (beside + columns @ found) / time - 1
    told = dict(zip(pairs, is_told.tolist(), strict=True))
    slowness = dict(zip(pairs, found[1 + len(pairs) :].tolist(), strict=True))
    return Fitted(
        {pair: 1 / slowness[pair] for pair in pairs if told[pair]},
        dict(zip(pairs, found[1 : 1 + len(pairs)].tolist(), strict=True)),
        float(found[0]),
        len(table),
        tuple(residuals.tolist()),
        int(np.abs(residuals).argmax()),
        tuple(_untold(bool(has_launch), told)),
    )


def _beside(passed: Mapping[Pair, float], fitted: Sequence[Pair], known: Mapping[Pair, float]) -> float:
    """Return the latency of the links whose own is not fitted [s]."""
    return sum(n * known.get(pair, 0.0) for pair, n in passed.items() if pair not in fitted)


def _untold(has_launch: bool, told: dict[Pair, bool]) -> Iterator[str]:
    if not has_launch:
        yield "every row passes as many links: the launch cannot be told from them and counts as 0"
    for (link, kind), is_told in told.items():
        if not is_told:
            yield f"no row is large enough to show the rate of {kind} on {link}; it counts as 1"


def _positive(pairs: Sequence[tuple[float, float]]) -> None:
    for size, time in pairs:
        if not (size > 0 and time > 0 and math.isfinite(size) and math.isfinite(time)):
            msg = f"size {size!r} and time {time!r}: both must be positive and finite"
            raise QuestionError(msg)


def _not_beaten(
    table: Sequence[tuple[str, int, float]], model: Sequence[tuple[Mapping[Pair, float], float, Pair]]
) -> None:
    """Raise where a row is faster than its wire."""
    for (collective, size, time), (passed, wire_s, (link, kind)) in zip(table, model, strict=True):
        n_links = min(passed.values(), default=0)
        if n_links < 0 or not (wire_s > 0 and math.isfinite(wire_s)):
            msg = f"{collective} of {size:,} bytes: the model gives {n_links} links and {wire_s!r} s"
            raise QuestionError(msg)
        if time < wire_s * (1 - ROUNDING):
            msg = (
                f"{collective} of {format_bytes(size)}: measured {format_time(time)}, less than the "
                f"{format_time(wire_s)} that {kind} takes at the wire rate of {link}. No efficiency explains "
                "that: the rate or the count of the links, the number of ranks or the algorithm is not that "
                "of the log (reduction in the switches and trees between two hosts send fewer bytes)"
            )
            raise QuestionError(msg)


def _least(columns: Floats, time: Floats, lower: Floats, rest: Floats) -> Floats:
    """Return the x of least sum of |columns @ x - rest| / time with x >= lower.

    Reweighted least squares: each round divides a row by the root of its residual, which turns the sum of
    squares into a sum of magnitudes; from equal weights on, for a fixed number of rounds or until x stands.
    """
    rows = columns / time[:, None]
    target = rest / time
    scale = np.maximum(np.abs(rows).max(axis=0), np.finfo(np.float64).tiny)
    weight = np.ones(len(time))
    x = lower.astype(np.float64)
    for _ in range(_ROUNDS):
        before = x
        solved = lsq_linear(
            rows / scale * weight[:, None], target * weight, (lower * scale, np.inf), method="bvls"
        )
        x = np.asarray(solved.x, dtype=np.float64) / scale
        off = np.abs(rows @ x - target)
        weight = 1 / np.sqrt(np.maximum(off, _LEAST_RESIDUAL))
        weight /= weight.max()
        if np.allclose(x, before, rtol=1e-12, atol=0.0):
            break
    return x
