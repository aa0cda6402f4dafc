"""The answer of `failures`: a row for each kind of failure, worst first, and every form it is printed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fabric.errors import setting
from fabric.flow.certificate import Verdict
from fabric.graph import PATH_RULES, Paths
from fabric.results import CutOff, DeviceText, Result
from fabric.study.failures.life import Life
from fabric.study.failures.window import KeptOverTime
from fabric.text.chart import ChartBar, bars
from fabric.text.columns import columns
from fabric.text.markdown import bullets, code, escape, table
from fabric.text.spreadsheet import write_csv
from fabric.units import format_count, format_rate


@dataclass(frozen=True, slots=True)
class FailureRow:
    """Failures that are alike, and what a job has after one of them.

    Parameters
    ----------
    kind : {"device", "cable", "chip", "place", "risk"}
    of : str
        Device group, link rule, axis or shared risk.
    n : int
        How many of them there are.
    example : str
        One of them.
    goes_on : bool
        Whether the job goes on: no endpoint of it is down, cut off, or without its own card.
    n_down : int
        Endpoints that are down themselves.
    cut_off : tuple of CutOff
        Endpoints that are up and cut off: one of each class, and how many.
    stopped : tuple of CutOff
        Endpoints for which the job stops, those above included.
    n_others : int
        Endpoints that exchange traffic all the same.
    rate_gbps : float or None
        What each of these sends in all-to-all [Gb/s per direction]; None where it is not solved.
    kept : float or None
        Part of the rate of the healthy fabric.
    n_after : int
        Endpoints that the job runs on: all, or after a restart those without the nodes of the stopped ones.
    rate_after_gbps, kept_after : float or None
        Their rate, and the part that it is of the healthy one.
    total_kept : float or None
        What these send in all, as a part of what all endpoints send in the healthy fabric.
    busbw_gbps, busbw_kept : float or None
        Of the collective that was asked for, by its fastest algorithm on the wire [Gb/s], among these; after
        a restart among the replicas that are whole. And its part of the healthy one.
    binding : tuple of str
        Rules that bind `rate_gbps`, dearest first.
    status : {"optimal", "bounded", "none", "unsolved"}
    certificate : Verdict
        Of `rate_gbps`.
    certificate_after : Verdict
        Of `rate_after_gbps`.
    why : str
        Why there is no rate, or no busbw.
    """

    kind: str
    of: str
    n: int
    example: DeviceText
    goes_on: bool
    n_down: int
    cut_off: tuple[CutOff, ...]
    stopped: tuple[CutOff, ...]
    n_others: int
    rate_gbps: float | None
    kept: float | None
    n_after: int
    rate_after_gbps: float | None
    kept_after: float | None
    total_kept: float | None
    busbw_gbps: float | None
    busbw_kept: float | None
    binding: tuple[str, ...]
    status: str
    certificate: Verdict
    certificate_after: Verdict
    why: DeviceText = ""

    @property
    def n_cut_off(self) -> int:
        """Endpoints that are up and cut off."""
        return sum(lost.n for lost in self.cut_off)

    @property
    def n_stopped(self) -> int:
        """Endpoints for which the job stops."""
        return sum(lost.n for lost in self.stopped)

    @property
    def name(self) -> str:
        """What fails, in words."""
        return self.of if self.kind == "device" else f"{self.of} {self.kind}"


SHOWN_PAIRS = 20
"""Rows of pairs that a terminal is shown."""


def worst_first(row: FailureRow | PairRow) -> tuple[object, ...]:
    """Return what rows are sorted by: those that stop the job, then those that leave least."""
    # Equal but for rounding, they stay in the order of the file; what is not solved comes last of its kind.
    total, kept = (2.0 if value is None else round(value, 9) for value in (row.total_kept, row.kept))
    return row.goes_on, total, kept


@dataclass(frozen=True, slots=True)
class PairRow:
    """Pairs of failures that are alike, and what a job has after one of them.

    Parameters
    ----------
    first, second : str
        What fails, in words.
    n : int
        How many such pairs there are.
    example : str
    goes_on : bool
    n_stopped : int
        Endpoints for which the job stops.
    kept, kept_after, total_kept : float or None
        As in `FailureRow`.
    n_after : int
    binding : tuple of str
    status : str
    certificate, certificate_after : Verdict
        Of `kept`, and of `kept_after`; the same where the job goes on.
    """

    first: str
    second: str
    n: int
    example: DeviceText
    goes_on: bool
    n_stopped: int
    kept: float | None
    kept_after: float | None
    total_kept: float | None
    n_after: int
    binding: tuple[str, ...]
    status: str
    certificate: Verdict
    certificate_after: Verdict


@dataclass(frozen=True, slots=True)
class Failures(Result):
    """Answer of `failures`.

    Parameters
    ----------
    fabric : str
    among : str or None
        Selector of the endpoints of the job; None for all.
    n_endpoints : int
        Those that exchange traffic while nothing more fails.
    rate_gbps : float
        What each of them then sends in all-to-all [Gb/s per direction].
    binding : tuple of str
        Rules that bind that.
    collective : str
        The collective that was asked for, and over which axes; empty for none.
    busbw_gbps : float or None
        Its busbw while nothing more fails [Gb/s].
    node : str
        What restarts together, as the axes that say it.
    paths : {"rules", "no-relay", "any"}
    rows : tuple of FailureRow
        Every single failure, worst first.
    n_states : int
        Different states that were solved; equal ones are solved once.
    notes : tuple of str
        What was chosen where the question did not say it.
    certificate : Verdict
        Of `rate_gbps`.
    life : Life or None
        How often the job stops and what is left of its time, where rates were asked for.
    pairs : tuple of PairRow
        Every pair of failures of devices and cables, worst first, where they were asked for.
    availability : (float, float) or None
        Bounds of the part of the healthy all-to-all that is there on average, of pairs and rates: exact up to
        two failures at once, and between nothing and all where there are more.
    over_time : KeptOverTime or None
        What is there over a window of time, where one was asked for.
    """

    fabric: str
    among: DeviceText | None
    n_endpoints: int
    rate_gbps: float
    binding: tuple[str, ...]
    collective: str
    busbw_gbps: float | None
    node: str
    paths: Paths
    rows: tuple[FailureRow, ...]
    n_states: int
    notes: tuple[DeviceText, ...] = ()
    certificate: Verdict = field(default=Verdict(0.0, 0.0), repr=False)
    life: Life | None = None
    pairs: tuple[PairRow, ...] = ()
    availability: tuple[float, float] | None = None
    over_time: KeptOverTime | None = None

    shown: ClassVar[tuple[str, ...]] = ("n_devices", "n_cables")

    @property
    def n_devices(self) -> int:
        """Devices whose failures are told: all that are up."""
        return sum(row.n for row in self.rows if row.kind == "device")

    @property
    def n_cables(self) -> int:
        """Cables whose failures are told: all that are up."""
        return sum(row.n for row in self.rows if row.kind == "cable")

    def table(self) -> list[dict[str, object]]:
        """Return a record for each kind of failure."""
        return [_record(row) for row in self.rows]

    def to_csv(self) -> str:
        """Return the rows as CSV."""
        records = self.table()
        return write_csv(list(records[0]), (list(record.values()) for record in records))

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        head, rows = _cells(self, is_long=True)
        shown = [[code(row[0]), *map(escape, row[1:])] for row in rows]
        lines = [escape(line) for line in (self._head(), *self._remarks())]
        life = [self.life.to_markdown()] if self.life else []
        return "\n\n".join([lines[0], table(head, shown), bullets(lines[1:]), *life])

    def picture(self) -> str:
        """Return what all-to-all keeps under each single failure; those that stop the job are marked."""
        rows = [
            ChartBar(
                row.name,
                row.kept,
                f"{part(row.kept)}, {'goes on' if row.goes_on else 'stops'}",
                not row.goes_on,
            )
            for row in self.rows
            if row.kept is not None
        ]
        n = sum(not row.goes_on for row in self.rows)
        return bars(
            f"{n} of {len(self.rows)} kinds of failures stop the job; rate that the others keep", rows
        )

    def __str__(self) -> str:
        """Return the table for a terminal."""
        head, rows = _cells(self, is_long=False)
        more = (self.over_time, self.life)
        life = [*self._pair_lines(), *(str(one) for one in more if one is not None)]
        return "\n".join([self._head(), columns(head, rows, indent="  "), *_wrapped(self._remarks()), *life])

    def _pair_lines(self) -> list[str]:
        if not self.pairs:
            return []
        rows = [
            [
                f"{row.first}, {row.second}",
                format_count(row.n),
                "goes on" if row.goes_on else "stops",
                part(row.kept),
                "" if row.goes_on else f"{format_count(row.n_after)} at {part(row.kept_after)}",
            ]
            for row in self.pairs[:SHOWN_PAIRS]
        ]
        n = sum(row.n for row in self.pairs)
        lines = [f"every pair of failures: {n:,} pairs in {len(self.pairs):,} rows, the worst first"]
        head = ["fail together", ">pairs", "job", ">rate", ">after"]
        lines.append(columns(head, rows, indent="  "))
        if len(self.pairs) > SHOWN_PAIRS:
            lines.append(f"  and {len(self.pairs) - SHOWN_PAIRS:,} more rows")
        if self.availability:
            low, high = self.availability
            lines.append(
                f"  on average {100 * low:.6g} to {100 * high:.6g} % of the healthy all-to-all is there"
            )
        return lines

    def _head(self) -> str:
        among = f" of {self.among}" if self.among else ""
        text = f"failures of {self.fabric}: {format_count(self.n_endpoints)} endpoints{among}, "
        return text + f"all-to-all of {format_rate(self.rate_gbps)} each while all is up"

    def _remarks(self) -> list[str]:
        n = f"{self.n_devices:,} devices and {self.n_cables:,} cables"
        lines = [f"every single failure of {n}, in {self.n_states:,} different states"]
        lost = next((row for row in self.rows if row.cut_off), None)
        if lost is not None:
            who = ", ".join(f"{n:,} such as {name}" for name, n in lost.cut_off[:3])
            lines.append(f"cut off by {lost.example}: {who}")
        if self.collective:
            rate = (
                "no bound" if self.busbw_gbps is None else f"busbw of at most {format_rate(self.busbw_gbps)}"
            )
            lines.append(f"{self.collective}: {rate} while all is up")
        lines.append(f"a restart leaves out whole nodes ({self.node}); {setting('node')} names other axes")
        lines.append(f"paths: {PATH_RULES[self.paths]}")
        both = [row.certificate for row in self.rows]
        both += [row.certificate_after for row in self.rows if not row.goes_on]
        proof = [one for one in both if one.status == "bounded" and one.upper_gbps]
        worst = max((one.gap for one in proof), default=0.0)
        told = f"{len(proof):,} rates are intervals, the widest of {100 * worst:.2g} %"
        unsolved = [row for row in self.rows if row.status == "unsolved"]
        every = "every other row" if unsolved else "every row"
        lines.append(told if proof else f"optimal: flows and prices meet in {every}")
        if unsolved:
            lines.append(f"not solved: {len(unsolved):,} rows, such as {unsolved[0].name}: {unsolved[0].why}")
        return [*lines, *self.notes]


def _wrapped(lines: list[str]) -> list[str]:
    from textwrap import wrap

    return [part for line in lines for part in wrap(line, 78, initial_indent="  ", subsequent_indent="    ")]


def _record(row: FailureRow) -> dict[str, object]:
    return {
        "kind": row.kind,
        "of": row.of,
        "n": row.n,
        "example": row.example,
        "goes_on": row.goes_on,
        "n_down": row.n_down,
        "n_cut_off": row.n_cut_off,
        "n_stopped": row.n_stopped,
        "n_others": row.n_others,
        "rate_gbps": row.rate_gbps,
        "kept": row.kept,
        "n_after": row.n_after,
        "rate_after_gbps": row.rate_after_gbps,
        "kept_after": row.kept_after,
        "total_kept": row.total_kept,
        "busbw_gbps": row.busbw_gbps,
        "busbw_kept": row.busbw_kept,
        "binding": " ".join(row.binding),
        "status": row.status,
        "lower_gbps": row.certificate.lower_gbps,
        "upper_gbps": row.certificate.upper_gbps,
    }


def _cells(answer: Failures, *, is_long: bool) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows: what fails, how many, the job, who is lost, and what is kept."""
    has_busbw = bool(answer.collective)
    head = ["fails", ">of them", "job", ">lost", ">rate", ">after", *([">busbw"] if has_busbw else [])]
    head += ["such as"] if is_long else []
    rows = []
    for row in answer.rows:
        lost = row.n_down + row.n_cut_off
        after = _span(row.kept_after, row.certificate_after, answer.rate_gbps)
        after = "" if row.goes_on else f"{format_count(row.n_after)} at {after}"
        kept = _span(row.kept, row.certificate, answer.rate_gbps)
        cells = [row.name, format_count(row.n), "goes on" if row.goes_on else "stops"]
        cells += [format_count(lost) if lost else "", kept, after]
        cells += ["" if row.busbw_kept is None else part(row.busbw_kept)] if has_busbw else []
        rows.append([*cells, *([row.example] if is_long else []), ", ".join(row.binding)])
    return [*head, "binds"], rows


def _span(value: float | None, proof: Verdict, whole_gbps: float) -> str:
    """Return a part of the healthy rate in percent, of an interval both ends."""
    if value is None or proof.status == "optimal" or proof.faults or not proof.upper_gbps:
        return part(value)
    return f"{part(value)} to {part(proof.upper_gbps / whole_gbps)}"


def part(value: float | None) -> str:
    """Return a part of the healthy rate in percent, never rounded up to all of it.

    Examples
    --------
    >>> part(0.9375), part(1.0), part(0.9999999)
    ('93.75 %', '100 %', '99.99 %')
    """
    if value is None:
        return "not solved"
    percent = 100 * value
    if abs(percent - 100) > 1e-7 and abs(percent - 100) < 0.005:
        return "99.99 %" if percent < 100 else "100 %"
    return f"{percent:.4g} %"
