"""Hold a measured log against a prediction, and say in words where it departs.

A departure is described by the simplest form that explains the rows, t being measured and p predicted::

    agrees      t = p            whole       t = b p           from or up to a size    t = b p there, else p
    latency     t = p + a        bandwidth   t = p + c size    both                    t = p + a + c size

Rows that stand alone off such a form are dips; two neighbours are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from fabric.arrays import Floats
from fabric.errors import QuestionError
from fabric.interop.nccl_log import Log, LoggedTiming
from fabric.results import Result
from fabric.units import (
    format_bytes,
    format_time,
    gbps_to_gbytes,
    gbytes_per_second,
    gbytes_to_gbps,
)

Predict = Callable[[str, int], tuple[float, str, str]]
"""From collective and size [bytes] to time [s], what binds, and a note."""
Departure = Literal["none", "latency", "bandwidth", "both", "whole", "dip", "other"]

TOLERANCES = (0.05, 0.15)
"""Relative differences of times within which rows are explained: repeated runs differ by about the first,
small messages by up to the second, which is tried if no form explains the rows to the first."""
_DIP_SHARE = 0.1
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One size of one element type, operation and root.

    Parameters
    ----------
    size_bytes : int
    dtype, redop : str
        Element type and operation, as the log has them; ``"none"`` where there is no operation.
    root : int
        -1 where there is none.
    time_s, busbw_gbps : float
        Measured; the median where the log has the size several times.
    predicted_s, predicted_busbw_gbps : float
    ratio : float
        Measured over predicted busbw, from the times, of which small sizes have more digits.
    is_passed : bool
        Whether the ratio reaches the threshold, and no result is wrong.
    binding, note : str
        As the prediction gave them.
    """

    size_bytes: int
    dtype: str
    redop: str
    root: int
    time_s: float
    busbw_gbps: float
    predicted_s: float
    predicted_busbw_gbps: float
    ratio: float
    is_passed: bool
    binding: str
    note: str


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
class Comparison(Result):
    """Answer of `compare`.

    Parameters
    ----------
    name, collective : str
    n_ranks : int or None
    threshold : float
    rows : tuple of ComparedRow
        By size.
    diagnosis : Diagnosis
    remarks : tuple of str
        Of the log.
    """

    name: str
    collective: str
    n_ranks: int | None
    threshold: float
    rows: tuple[ComparedRow, ...]
    diagnosis: Diagnosis
    remarks: tuple[str, ...] = ()

    shown: ClassVar[tuple[str, ...]] = ("is_passed",)

    @property
    def is_passed(self) -> bool:
        """Whether every size reaches the threshold."""
        return all(row.is_passed for row in self.rows)

    def table(self) -> list[dict[str, object]]:
        """Return a row for every size."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        """Return a table, the verdict and the diagnosis."""
        ranks = f" among {self.n_ranks:,} ranks" if self.n_ranks else ""
        head = (
            "".join(f"{w:>12}" for w in ("size", "measured", "predicted", "busbw", "predicted")) + "   ratio"
        )
        lines = [
            f"{self.collective}{ranks}: {self.name or 'measured'} against the prediction, busbw in GB/s",
            head + "        binding",
        ]
        several = len({kind_of_row(row) for row in self.rows}) > 1
        for row in self.rows:
            note = ", ".join(filter(None, [kind_of_row(row) if several else "", row.note]))
            rates = (gbps_to_gbytes(row.busbw_gbps), gbps_to_gbytes(row.predicted_busbw_gbps))
            lines.append(
                f"{format_bytes(row.size_bytes):>12}{format_time(row.time_s):>12}"
                f"{format_time(row.predicted_s):>12}{rates[0]:12.2f}{rates[1]:12.2f}  {row.ratio:6.3f}  "
                f"{'pass' if row.is_passed else 'FAIL'}  {row.binding}{f' ({note})' if note else ''}"
            )
        n = sum(row.is_passed for row in self.rows)
        unit = "rows" if several else "sizes"
        lines.append(f"{n} of {len(self.rows)} {unit} reach {self.threshold:g} of the predicted busbw")
        lines.append(self.diagnosis.text)
        lines.extend(f"remark: {remark}" for remark in self.remarks)
        return "\n".join(lines)


def compare(log: Log, predict: Predict, *, threshold: float = 0.9, in_place: bool = False) -> Comparison:
    """Hold a measured log against a prediction.

    Parameters
    ----------
    log : Log
        With any order of sizes; of rows of the same size, element type, operation and root the median counts.
    predict : callable
        ``predict(collective, size_bytes)`` gives time [s], what binds, and a note.
    threshold : float
        Least ratio of measured to predicted busbw that passes, above 0.
    in_place : bool
        Take the columns in place; those out of place otherwise, and where there are no others.

    Returns
    -------
    Comparison

    Raises
    ------
    QuestionError
        If the threshold or a predicted time is not positive and finite.

    Notes
    -----
    The forms of the head of this module are tried in the order none, latency, bandwidth, whole, from a size,
    up to a size, both. Of each the parameters are medians: of t - p over the smaller half of the sizes, of
    (t - p) / size over the larger half, of t / p over those concerned; the size of a change is where the sum
    of |log(t / expected)| is least, and leaves two rows at least on either side. The first form wins that
    explains all rows to the first of `TOLERANCES`, then the first that does so except for dips (a tenth of
    the rows, or one where there are four to nineteen), then the same with the second of `TOLERANCES`.

    Examples
    --------
    >>> from fabric.interop.nccl_log import predicted_row
    >>> sizes = [2**k for k in range(10, 30)]
    >>> rows = tuple(predicted_row("all-reduce", s, 3e-5 + 1.25 * s / 1e11, n_ranks=8) for s in sizes)
    >>> answer = compare(Log("all-reduce", 8, rows), lambda _, s: (3e-5 + s / 1e11, "gpu-nvswitch", ""))
    >>> answer.diagnosis.departure, round(answer.diagnosis.factor, 2), answer.is_passed
    ('bandwidth', 1.25, False)
    """
    if not (threshold > 0 and math.isfinite(threshold)):
        msg = f"threshold {threshold!r}: must be positive, such as 0.9"
        raise QuestionError(msg)
    alike: dict[tuple[str, str, int, int], list[LoggedTiming]] = {}
    for row in log.rows:
        timing = row.in_place if in_place and row.in_place else row.out_of_place
        alike.setdefault((row.dtype, row.redop, row.root, row.size_bytes), []).append(timing)
    order = {kind: i for i, kind in enumerate(dict.fromkeys(key[:3] for key in alike))}
    rows = []
    for (dtype, redop, root, size), timings in sorted(
        alike.items(), key=lambda a: (order[a[0][:3]], a[0][3])
    ):
        time_s = float(np.median([timing.time_s for timing in timings]))
        predicted_s, binding, note = predict(log.collective, size)
        if not (predicted_s > 0 and math.isfinite(predicted_s)):
            msg = f"{log.collective} of {format_bytes(size)}: predicted time {predicted_s!r} is not positive"
            raise QuestionError(msg)
        busbw, predicted = (
            gbytes_to_gbps(gbytes_per_second(size, t)) * log.factor for t in (time_s, predicted_s)
        )
        ratio = predicted_s / time_s
        # A log equal to the threshold passes, whatever float64 makes of the quotient.
        passed = ratio >= threshold * (1 - 1e-9)
        remarks = [note, *_remarks(dtype, note, timings)]
        rows.append(
            ComparedRow(
                size_bytes=size,
                dtype=dtype,
                redop=redop,
                root=root,
                time_s=time_s,
                busbw_gbps=busbw,
                predicted_s=predicted_s,
                predicted_busbw_gbps=predicted,
                ratio=ratio,
                is_passed=passed and not any(timing.is_wrong for timing in timings),
                binding=binding,
                note="; ".join(filter(None, remarks)),
            )
        )
    return Comparison(
        name=log.name,
        collective=log.collective,
        n_ranks=log.n_ranks,
        threshold=threshold,
        rows=tuple(rows),
        diagnosis=_diagnosis(rows),
        remarks=log.remarks,
    )


# Types whose sums NVLink's switches do not make, so that NCCL takes a ring or a tree.
_NO_SUMS_IN_SWITCHES = {"int8", "uint8", "char", "f8e4m3", "f8e5m2", "fp8_e4m3", "fp8_e5m2"}


def _remarks(dtype: str, algorithm: str, timings: Sequence[LoggedTiming]) -> Iterator[str]:
    """Yield what explains a row beside its time."""
    wrong = sum(max(timing.n_wrong or 0, 0) for timing in timings)
    if any(timing.is_wrong for timing in timings):
        yield f"{wrong:,} wrong elements" if wrong else "wrong results"
    if dtype in _NO_SUMS_IN_SWITCHES and algorithm.startswith("nvls"):
        yield f"NCCL makes no sums of {dtype} in the switches"


def kind_of_row(row: ComparedRow) -> str:
    """Return element type, operation and root of a row in words."""
    operation = "" if row.redop == "none" else f" {row.redop}"
    return f"{row.dtype}{operation}" + (f", root {row.root}" if row.root >= 0 else "")


def _diagnosis(rows: Sequence[ComparedRow]) -> Diagnosis:
    """Return where the log departs: of several kinds of rows that of the worst, and in words that of each."""
    kinds: dict[str, list[ComparedRow]] = {}
    for row in rows:
        kinds.setdefault(kind_of_row(row), []).append(row)
    by_kind = {kind: _diagnose(rows_of_kind) for kind, rows_of_kind in kinds.items()}
    if len(by_kind) == 1:
        return next(iter(by_kind.values()))
    worst = min(kinds, key=lambda kind: min(row.ratio for row in kinds[kind]))
    return replace(
        by_kind[worst], text="\n".join(f"{kind}: {diagnosis.text}" for kind, diagnosis in by_kind.items())
    )


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
    for cut in range(2, len(sizes) - 1):
        there = (np.arange(len(sizes)) >= cut) == is_upper
        factor = float(np.median((t / p)[there]))
        expected = np.where(there, factor * p, p)
        changes.append((float(np.abs(np.log(t / expected)).sum()), cut, factor, expected))
    _, cut, factor, expected = min(changes, key=lambda f: f[:2])
    if is_upper:
        return _Form("bandwidth", expected, factor, from_bytes=int(sizes[cut]))
    return _Form("latency", expected, factor, to_bytes=int(sizes[cut - 1]))


def _bandwidth(departure: Departure, sizes: Floats, p: Floats, slope: float, extra: float) -> _Form:
    factor = 1 + slope * float(sizes[-1] / p[-1])
    return _Form(departure, p + extra + slope * sizes, factor, extra)


def _diagnose(rows: list[ComparedRow]) -> Diagnosis:
    sizes = np.array([r.size_bytes for r in rows], dtype=np.float64)
    t, p = np.array([r.time_s for r in rows]), np.array([r.predicted_s for r in rows])
    forms = list(_forms(sizes, t, p))
    # Without dips first: a form that explains all rows goes before a simpler one that leaves some out.
    for tolerance, is_strict in itertools.product(TOLERANCES, (True, False)):
        for form in forms:
            dips = _dips(t, form.expected, tolerance)
            if dips is not None and not (is_strict and dips):
                return _explain(form, tuple(Dip(int(sizes[i]), float(t[i] / p[i])) for i in dips), tolerance)
    half = (len(rows) + 1) // 2
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
