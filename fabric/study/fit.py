"""Latency and efficiency from measured times: those of a model of the fabric, over all logs at once.

The fit is of least relative error, so that small and large messages count alike, and robust: single rows off
the model count little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linprog

from fabric.arrays import Floats
from fabric.errors import QuestionError
from fabric.units import format_bytes, format_time

Pair = tuple[str, str]
"""A link class and a kind of transfer."""
Wire = Callable[[str, int], tuple[Mapping[Pair, float], float, Pair]]
"""From collective and size [bytes] to the links that messages pass one after the other, the time at wire rate
[s], and the pair that binds."""

ROUNDING = 1e-3
"""Relative error of a printed time: four significant digits or more, and the same of the wire rate."""
_SHOWS_RATE = 0.2  # of the measured time must be on the wire in some row, for an efficiency to be told
FOLDS = 5
"""Parts that the rows are held against a fit to the others in."""


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
    beside : float
        Part of the known latency that the links which bind nowhere count with: 1 where the rows take it.
    others : tuple of Pair
        Those links.
    cross_validated : tuple of float
        The same of each point by a fit that did not know it; empty for fewer than three points.
    """

    efficiencies: dict[Pair, float]
    link_latency_s: dict[Pair, float]
    launch_s: float
    n_rows: int
    residuals: tuple[float, ...]
    worst: int
    remarks: tuple[str, ...] = ()
    beside: float = 1.0
    others: tuple[Pair, ...] = ()
    cross_validated: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class _Terms:
    """The terms of every row: n rows, p pairs of a link class and a kind of transfer.

    Parameters
    ----------
    pairs : list of Pair
        Those that bind somewhere.
    time : ndarray of float64, shape (n,)
        Measured [s].
    steps : ndarray of float64, shape (n, p)
        Links of each pair that messages pass one after the other.
    on_wire : ndarray of float64, shape (n, p)
        Time at wire rate, of the pair that binds [s].
    beside : ndarray of float64, shape (n,)
        Known latency of all other links [s].
    known : ndarray of float64, shape (p,)
        Known latency of a link of each pair [s].
    """

    pairs: list[Pair]
    time: Floats
    steps: Floats
    on_wire: Floats
    beside: Floats
    known: Floats

    def of(self, chosen: Floats) -> _Terms:
        """Return some of the rows."""
        parts = (self.time[chosen], self.steps[chosen], self.on_wire[chosen], self.beside[chosen])
        return _Terms(self.pairs, *parts, self.known)


@dataclass(frozen=True, eq=False)
class _Values:
    """Values of the terms; latency and slowness (one over the efficiency) by pair, shape (p,)."""

    launch_s: float
    latency_s: Floats
    slowness: Floats
    beside: float
    has_launch: bool
    is_told: Floats

    def times(self, rows: _Terms) -> Floats:
        """Return the time of every row [s]."""
        latency = rows.steps @ self.latency_s + self.beside * rows.beside
        return self.launch_s + latency + rows.on_wire @ self.slowness


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
    told from them, and counts as 0. Where the rows have less latency than what is known of the links that
    bind nowhere, all latencies are one part of what is known.

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
    rows = _terms([t for _, _, t in table], model, known or {})
    values = _fit(rows)
    residuals = values.times(rows) / rows.time - 1
    is_told_of = dict(zip(rows.pairs, values.is_told.tolist(), strict=True))
    slowness = dict(zip(rows.pairs, values.slowness.tolist(), strict=True))
    others = tuple(sorted({name for passed, _, _ in model for name in passed} - set(rows.pairs)))
    return Fitted(
        efficiencies={pair: 1 / slowness[pair] for pair in rows.pairs if is_told_of[pair]},
        link_latency_s=dict(zip(rows.pairs, values.latency_s.tolist(), strict=True)),
        launch_s=values.launch_s,
        n_rows=len(table),
        residuals=tuple(residuals.tolist()),
        worst=int(np.abs(residuals).argmax()),
        remarks=(
            *_name_untold(values.has_launch, is_told_of),
            *_name_alike(rows, others),
            *_name_beside(values.beside),
        ),
        beside=values.beside,
        others=others,
        cross_validated=_cross_validate(rows),
    )


def _terms(
    time: Sequence[float],
    model: Sequence[tuple[Mapping[Pair, float], float, Pair]],
    known: Mapping[Pair, float],
) -> _Terms:
    pairs = sorted({pair for _, _, pair in model})
    return _Terms(
        pairs,
        np.array(time),
        np.array([[passed.get(pair, 0.0) for pair in pairs] for passed, _, _ in model]),
        np.array([[w * (on == pair) for pair in pairs] for _, w, on in model]),
        np.array([_beside(passed, pairs, known) for passed, _, _ in model]),
        np.array([known.get(pair, 0.0) for pair in pairs]),
    )


def _fit(rows: _Terms) -> _Values:
    """Return the values of least relative error."""
    is_told = (rows.on_wire / rows.time[:, None]).max(axis=0) >= _SHOWS_RATE
    own = _fit_terms(rows, rows.steps, rows.beside, is_told)
    if own.latency_s.all() or not rows.beside.any():
        return own
    # Less latency than is known of other links: then of all the same part of what is known.
    joint = (rows.steps @ rows.known + rows.beside)[:, None]
    found = _fit_terms(rows, joint, np.zeros(len(rows.time)), is_told)
    part = float(found.latency_s[0])
    together = replace(found, latency_s=part * rows.known, beside=part)
    return min((together, own), key=lambda values: float(np.abs(values.times(rows) / rows.time - 1).sum()))


def _fit_terms(rows: _Terms, steps: Floats, beside: Floats, is_told: Floats) -> _Values:
    """Return the values of least relative error, for columns of latency [s or links] beside a known one."""
    n = steps.shape[1]
    columns = np.column_stack([np.ones(len(rows.time)), steps, rows.on_wire])
    has_launch = bool(np.linalg.matrix_rank(columns[:, : 1 + n]) > np.linalg.matrix_rank(steps))
    free = np.concatenate([[has_launch], np.ones(n, dtype=np.bool_), is_told])
    # Latency is at least 0 and efficiency at most 1; what is not told is held there.
    fitted = np.concatenate([np.zeros(1 + n), np.ones(len(rows.pairs))])
    residual = rows.time - beside - columns[:, ~free] @ fitted[~free]
    fitted[free] = _least(columns[:, free], rows.time, fitted[free], residual)
    latency = np.where(fitted[1 : 1 + n] > _NOISE_S, fitted[1 : 1 + n], 0.0)
    return _Values(float(fitted[0]), latency, fitted[1 + n :], 1.0, has_launch, is_told)


_NOISE_S = 1e-12
_MATTERS = 0.05
"""Part of a direction along which times hardly change that makes a term one of it."""


def _cross_validate(rows: _Terms) -> tuple[float, ...]:
    """Return fitted over measured time, less 1, of every row by a fit to the rows of the other folds."""
    n = len(rows.time)
    if n < 3:
        return ()
    fold = np.arange(n) % min(FOLDS, n)
    off = np.zeros(n)
    for k in range(int(fold.max()) + 1):
        out = fold == k
        off[out] = _fit(rows.of(~out)).times(rows.of(out)) / rows.time[out] - 1
    return tuple(off.tolist())


def _beside(passed: Mapping[Pair, float], fitted: Sequence[Pair], known: Mapping[Pair, float]) -> float:
    """Return the latency of the links whose own is not fitted [s]."""
    return sum(n * known.get(pair, 0.0) for pair, n in passed.items() if pair not in fitted)


def _name_untold(has_launch: bool, is_told_of: dict[Pair, bool]) -> Iterator[str]:
    if not has_launch:
        yield "every row passes as many links: the launch cannot be told from them and counts as 0"
    for (link, kind), is_told in is_told_of.items():
        if not is_told:
            yield f"no row is large enough to show the rate of {kind} on {link}; it counts as 1"


def _name_alike(rows: _Terms, others: Sequence[Pair]) -> Iterator[str]:
    """Yield the terms that no row tells apart: along which times change by less than their last digit."""
    latencies = [f"the latency of {kind} on {link}" for link, kind in rows.pairs]
    rates = [f"the rate of {kind} on {link}" for link, kind in rows.pairs]
    terms = [("the launch", np.ones(len(rows.time)))]
    terms += zip(latencies, rows.steps.T, strict=True)
    terms += [("that of " + ", ".join(f"{kind} on {link}" for link, kind in others), rows.beside)]
    terms += zip(rates, rows.on_wire.T, strict=True)
    shown = [(name, column / rows.time) for name, column in terms if column.any()]
    scaled = np.column_stack([column / np.abs(column).max() for _, column in shown])
    _, values, across = np.linalg.svd(scaled, full_matrices=scaled.shape[0] < scaled.shape[1])
    values = np.pad(values, (0, len(across) - len(values)))
    alike = across[values < ROUNDING * math.sqrt(len(rows.time))]
    parts = np.abs(alike).max(axis=0, initial=0.0)
    names = [name for (name, _), part in zip(shown, parts, strict=True) if part > _MATTERS]
    if names:
        yield "these logs cannot tell apart: " + "; ".join(names)


def _name_beside(part: float) -> Iterator[str]:
    if part != 1:
        yield f"the logs have less latency than is published: all latencies count {100 * part:.3g} % of that"


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


def _least(columns: Floats, time: Floats, lower: Floats, residual: Floats) -> Floats:
    """Return the x of least sum of |columns @ x - rest| / time with x >= lower.

    A linear program: the magnitude of each residual is the least t with -t <= residual <= t (Barrodale and
    Roberts, "An improved algorithm for discrete L1 linear approximation", SIAM J. Numer. Anal. 10, 1973).
    """
    rows, target = columns / time[:, None], residual / time
    n, k = rows.shape
    # Columns are seconds and bytes over rates: many powers of ten apart.
    scale = np.maximum(np.abs(rows).max(axis=0), np.finfo(np.float64).tiny)
    minus = -np.eye(n)
    solution = linprog(
        np.concatenate([np.zeros(k), np.ones(n)]),
        np.block([[rows / scale, minus], [-rows / scale, minus]]),
        np.concatenate([target, -target]),
        bounds=[*((low, None) for low in (lower * scale).tolist()), *[(0, None)] * n],
    )
    best = np.asarray(solution.x[:k], dtype=np.float64)
    return np.asarray(best / scale, dtype=np.float64)
