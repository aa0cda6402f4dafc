"""Hold a measured log against a prediction, and say in words where it departs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np

from fabric.errors import QuestionError
from fabric.interop.nccl_log import Log, LoggedTiming, LogRow
from fabric.results import Result
from fabric.study.diagnosis import Diagnosis, diagnose
from fabric.study.hypotheses import Hypothesis
from fabric.text.columns import columns
from fabric.units import (
    format_bytes,
    format_time,
    gbps_to_gbytes,
    gbytes_per_second,
    gbytes_to_gbps,
)

Predict = Callable[[str, int], tuple[float, str, str]]
"""From collective and size [bytes] to time [s], what binds, and a note."""
Least = Callable[[str, int], float | None]
"""From collective and size [bytes] to the least ratio that passes, or None where nothing tells."""


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
        Whether the ratio reaches the least that passes, where there is one, and no result is wrong.
    least : float or None
        Least ratio that passes; None outside the evidence.
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
    least: float | None
    binding: str
    note: str


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    """Answer of `compare`.

    Parameters
    ----------
    name, collective : str
    n_ranks : int or None
    threshold : float or None
        The one for all sizes; None where every size has its own.
    rows : tuple of ComparedRow
        By size.
    diagnosis : Diagnosis
    hypotheses : tuple of Hypothesis
        What would explain the rows, the best first.
    remarks : tuple of str
        Of the log.
    """

    name: str
    collective: str
    n_ranks: int | None
    threshold: float | None
    rows: tuple[ComparedRow, ...]
    diagnosis: Diagnosis
    hypotheses: tuple[Hypothesis, ...] = ()
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
        several = len({kind_of_row(row) for row in self.rows}) > 1
        head = [">size", ">measured", ">predicted", ">busbw", ">predicted", ">ratio", "", "binding"]
        rows = []
        for row in self.rows:
            note = ", ".join(filter(None, [kind_of_row(row) if several else "", row.note]))
            rows.append(
                [
                    format_bytes(row.size_bytes),
                    format_time(row.time_s),
                    format_time(row.predicted_s),
                    f"{gbps_to_gbytes(row.busbw_gbps):.2f}",
                    f"{gbps_to_gbytes(row.predicted_busbw_gbps):.2f}",
                    f"{row.ratio:.3f}",
                    _verdict(row),
                    f"{row.binding}{f' ({note})' if note else ''}",
                ]
            )
        lines = [
            f"{self.collective}{ranks}: {self.name or 'measured'} against the prediction, busbw in GB/s",
            columns(head, rows, indent="  "),
        ]
        n = sum(row.is_passed for row in self.rows)
        unit = "rows" if several else "sizes"
        least = "what healthy runs reached" if self.threshold is None else f"{self.threshold:g}"
        lines.append(f"{n} of {len(self.rows)} {unit} reach {least} of the predicted busbw")
        if untold := sum(row.least is None for row in self.rows):
            lines.append(f"{untold} of them have no pass threshold: outside the evidence")
        lines.append(self.diagnosis.text)
        lines.extend(_ranked(self.hypotheses))
        lines.extend(f"remark: {remark}" for remark in self.remarks)
        return "\n".join(lines)


_SHOWN = 4
"""Hypotheses that are printed."""


def _ranked(found: Sequence[Hypothesis]) -> Iterator[str]:
    """Yield the first hypotheses by rank: those that the log does not tell from the first share its rank."""
    tied = [h for h in found if h.is_tied]
    for i, hypothesis in enumerate((*found[:1], *tied, *(h for h in found[1:] if not h.is_tied))):
        if i == _SHOWN:
            break
        yield f"{1 if i <= len(tied) else i + 1}. {hypothesis}"
    if len(tied) >= _SHOWN:
        yield f"{len(tied) + 1 - _SHOWN} more are as good as the first: this log cannot tell them apart"


def _verdict(row: ComparedRow) -> str:
    if not row.is_passed:
        return "FAIL"
    return "pass" if row.least is not None else ""


def compare(
    log: Log, predict: Predict, *, threshold: float | Least = 0.9, in_place: bool = False
) -> Comparison:
    """Hold a measured log against a prediction.

    Parameters
    ----------
    log : Log
        With any order of sizes; of rows of the same size, element type, operation and root the median counts.
    predict : callable
        ``predict(collective, size_bytes)`` gives time [s], what binds, and a note.
    threshold : float or callable
        Least ratio of measured to predicted busbw that passes, above 0; or for every size by itself,
        ``threshold(collective, size_bytes)``, None where nothing tells.
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
    Where it departs, and by how much: `fabric.study.diagnosis.diagnose`.

    Examples
    --------
    >>> from fabric.interop.nccl_log import predicted_row
    >>> sizes = [2**k for k in range(10, 30)]
    >>> rows = tuple(predicted_row("all-reduce", s, 3e-5 + 1.25 * s / 1e11, n_ranks=8) for s in sizes)
    >>> answer = compare(Log("all-reduce", 8, rows), lambda _, s: (3e-5 + s / 1e11, "gpu-nvswitch", ""))
    >>> answer.diagnosis.departure, round(answer.diagnosis.factor, 2), answer.is_passed
    ('bandwidth', 1.25, False)
    """
    if not callable(threshold) and not (threshold > 0 and math.isfinite(threshold)):
        msg = f"threshold {threshold!r}: must be positive, such as 0.9"
        raise QuestionError(msg)
    alike: dict[tuple[str, str, int, int], list[LogRow]] = {}
    for row in log.rows:
        alike.setdefault((row.dtype, row.redop, row.root, row.size_bytes), []).append(row)
    # Kinds of rows in the order of the log, of each the sizes ascending.
    order = {kind: i for i, kind in enumerate(dict.fromkeys(key[:3] for key in alike))}
    rows = []
    for (dtype, redop, root, size), logged in sorted(alike.items(), key=lambda a: (order[a[0][:3]], a[0][3])):
        # Wrong results fail a row wherever they are, in the columns that are not compared too.
        timings = [timing for row in logged for timing in (row.out_of_place, row.in_place) if timing]
        chosen = [(in_place and row.in_place) or row.out_of_place for row in logged]
        time_s = float(np.median([timing.time_s for timing in chosen]))
        predicted_s, binding, note = predict(log.collective, size)
        if not (predicted_s > 0 and math.isfinite(predicted_s)):
            msg = f"{log.collective} of {format_bytes(size)}: predicted time {predicted_s!r} is not positive"
            raise QuestionError(msg)
        busbw, predicted = (
            gbytes_to_gbps(gbytes_per_second(size, t)) * log.factor for t in (time_s, predicted_s)
        )
        ratio = predicted_s / time_s
        least = threshold(log.collective, size) if callable(threshold) else threshold
        # A log equal to the threshold passes, whatever float64 makes of the quotient.
        passed = least is None or ratio >= least * (1 - 1e-9)
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
                least=least,
                binding=binding,
                note="; ".join(filter(None, remarks)),
            )
        )
    return Comparison(
        name=log.name,
        collective=log.collective,
        n_ranks=log.n_ranks,
        threshold=None if callable(threshold) else threshold,
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


def _diagnose(rows: Sequence[ComparedRow]) -> Diagnosis:
    sizes, measured_s, predicted_s = (
        np.array([getattr(row, name) for row in rows], dtype=np.float64)
        for name in ("size_bytes", "time_s", "predicted_s")
    )
    return diagnose(sizes, measured_s, predicted_s)
