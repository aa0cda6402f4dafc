"""Where measured times depart from predicted ones, in words.

A departure is described by the simplest form that explains the rows, t being measured and p predicted::

    agrees      t = p            whole       t = b p           from or up to a size    t = b p there, else p
    latency     t = p + a        bandwidth   t = p + c size    both                    t = p + a + c size

Rows that stand alone off such a form are dips; two neighbours are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from fabric.arrays import Floats
from fabric.units import format_bytes, format_time

Departure = Literal["none", "latency", "bandwidth", "both", "whole", "dip", "other"]

TOLERANCES = (0.05, 0.15)
"""Relative differences of times within which rows are explained: repeated runs differ by about the first,
small messages by up to the second, which is tried if no form explains the rows to the first."""
_DIP_SHARE = 0.1
_ROUNDS = 60


class Dip(NamedTuple):
    """A single size that is slower than its neighbours: measured over predicted time there."""

    size_bytes: int
    factor: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Where a log departs from the prediction.

    Parameters
    ----------
    departure : str
        ``"none"``, ``"latency"`` (small sizes), ``"bandwidth"`` (large sizes), ``"both"``, ``"whole"``,
        ``"dip"`` (single sizes only) or ``"other"`` (no simple form).
    factor : float
        Measured over predicted time where it departs: of the bandwidth part at the largest size, of all
        sizes, or of those beyond an abrupt change; 1 for latency alone.
    extra_s : float
        Time added at every size; 0 for bandwidth alone.
    from_bytes, to_bytes : int or None
        First or last size of an abrupt change, as where a protocol or an algorithm is switched.
    dips : tuple of Dip
        Single sizes, and measured over predicted time there.
    text : str
        The same in words.
    """

    departure: Departure
    factor: float
    extra_s: float
    from_bytes: int | None
    to_bytes: int | None
    dips: tuple[Dip, ...]
    text: str


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of departure with its parameters, and the times that it expects."""

    departure: Departure
    expected: Floats
    factor: float = 1.0
    extra_s: float = 0.0
    from_bytes: int | None = None
    to_bytes: int | None = None


def _forms(sizes: Floats, t: Floats, p: Floats) -> Iterator[_Form]:
    """Yield the forms, the simplest first; sizes ascend."""
    n = len(sizes)
    small, large = slice(0, (n + 1) // 2), slice(n // 2, n)
    yield _Form("none", p)
    factor = float(np.median(t / p))
    whole = _Form("whole", factor * p, factor)
    if n < 3:  # of which anything else explains every pair
        yield whole
        return
    # Latency shows where messages are small, bandwidth where they are large.
    extra = float(np.median((t - p)[small]))
    yield _Form("latency", p + extra, extra_s=extra)
    slope = float(np.median(((t - p) / sizes)[large]))
    yield _bandwidth("bandwidth", sizes, p, slope, 0.0)
    yield whole
    if n >= 4:
        yield _change(sizes, t, p, is_upper=True)
        yield _change(sizes, t, p, is_upper=False)
    # Each parameter from the half that shows it, given the other: a contraction, as small sizes are smaller.
    for _ in range(_ROUNDS):
        extra = float(np.median((t - p - slope * sizes)[small]))
        slope = float(np.median(((t - p - extra) / sizes)[large]))
    yield _bandwidth("both", sizes, p, slope, extra)


def _change(sizes: Floats, t: Floats, p: Floats, *, is_upper: bool) -> _Form:
    """Return the form that has one factor above, or below, the size that suits best."""
    changes = []
    # Every cut that leaves two rows on either side, by the least sum of what it does not explain.
    for cut in range(2, len(sizes) - 1):
        is_changed = (np.arange(len(sizes)) >= cut) == is_upper
        factor = float(np.median((t / p)[is_changed]))
        expected = np.where(is_changed, factor * p, p)
        changes.append((float(np.abs(np.log(t / expected)).sum()), cut, factor, expected))
    _, cut, factor, expected = min(changes, key=lambda f: f[:2])
    if is_upper:
        return _Form("bandwidth", expected, factor, from_bytes=int(sizes[cut]))
    return _Form("latency", expected, factor, to_bytes=int(sizes[cut - 1]))


def _bandwidth(departure: Departure, sizes: Floats, p: Floats, slope: float, extra: float) -> _Form:
    factor = 1 + slope * float(sizes[-1] / p[-1])
    return _Form(departure, p + extra + slope * sizes, factor, extra)


def diagnose(sizes: Floats, t: Floats, p: Floats) -> Diagnosis:
    """Return where times depart from the prediction.

    Parameters
    ----------
    sizes : ndarray of float64, shape (n,)
        Ascending [bytes].
    t, p : ndarray of float64, shape (n,)
        Measured and predicted times [s].

    Notes
    -----
    The forms of the head of this module are tried in the order none, latency, bandwidth, whole, from a size,
    up to a size, both. Of each the parameters are medians: of t - p over the smaller half of the sizes, of
    (t - p) / size over the larger half, of t / p over those concerned; the size of a change is where the sum
    of |log(t / expected)| is least, and leaves two rows at least on either side. The first form wins that
    explains all rows to the first of `TOLERANCES`, then the first that does so except for dips (a tenth of
    the rows, or one where there are four to nineteen), then the same with the second of `TOLERANCES`.
    """
    forms = list(_forms(sizes, t, p))
    # Without dips first: a form that explains all rows goes before a simpler one that leaves some out.
    for tolerance, is_strict in itertools.product(TOLERANCES, (True, False)):
        for form in forms:
            dips = _dips(t, form.expected, tolerance)
            if dips is not None and not (is_strict and dips):
                return _explain(form, tuple(Dip(int(sizes[i]), float(t[i] / p[i])) for i in dips), tolerance)
    # No form explains the rows: say what the halves show.
    half = (len(sizes) + 1) // 2
    extra, factor = float(np.median((t - p)[:half])), float(np.median((t / p)[-half:]))
    text = (
        f"departs in no simple way: {_more(extra)} in the smaller half of the sizes, and {factor:.3g} times "
        "the prediction in the larger half (medians)"
    )
    return Diagnosis(
        departure="other", factor=factor, extra_s=extra, from_bytes=None, to_bytes=None, dips=(), text=text
    )


def _explain(form: _Form, dips: tuple[Dip, ...], tolerance: float) -> Diagnosis:
    departure: Departure = "dip" if form.departure == "none" and dips else form.departure
    numbers = (form.factor, form.extra_s, form.from_bytes, form.to_bytes)
    return Diagnosis(departure, *numbers, dips, _words(form, dips, tolerance))


def _dips(t: Floats, expected: Floats, tolerance: float) -> list[int] | None:
    """Return the rows that stand alone off the expected times; None if the form does not explain the rest."""
    if np.any(expected <= 0):
        return None
    off = np.flatnonzero(np.abs(np.log(t / expected)) > math.log1p(tolerance))
    allowed = max(1, int(_DIP_SHARE * len(t))) if len(t) >= 4 else 0
    return off.tolist() if len(off) <= allowed and np.all(np.diff(off) > 1) else None


def _more(extra_s: float) -> str:
    return f"{format_time(abs(extra_s))} {'more' if extra_s >= 0 else 'less'} than predicted"


def _words(form: _Form, dips: tuple[Dip, ...], tolerance: float) -> str:
    pace = f"{form.factor:.3g} times the predicted time"
    if form.from_bytes is not None or form.to_bytes is not None:
        part, bound, size = "latency", "up to", form.to_bytes
        if form.from_bytes is not None:
            part, bound, size = "bandwidth", "from", form.from_bytes
        words = (
            f"departs in the {part} part: {pace} {bound} {format_bytes(size or 0)}, an abrupt change, "
            "as where a protocol or an algorithm is switched"
        )
    else:
        words = {
            "latency": f"departs in the latency part: {_more(form.extra_s)} at every size",
            "bandwidth": f"departs in the bandwidth part: {pace} at the largest size",
            "both": f"departs in latency, {_more(form.extra_s)}, and bandwidth, {pace} at the largest size",
            "whole": f"departs over the whole: {pace} at every size",
        }.get(form.departure, "agrees")
    if dips:
        words += " except at "
        words += ", ".join(
            f"{format_bytes(size)} ({factor:.3g} times the predicted time)" for size, factor in dips
        )
    words += f", within {100 * tolerance:g} %"
    if form.factor < 1 - tolerance:
        words += "; if the prediction is at wire rate, the file, the rank count or the algorithm is wrong"
    return words
