"""Which collective, among how many ranks: what the printed digits of a table say.

busbw / algbw is a function of the rank count alone, so each row bounds it as tightly as its digits allow.
A header may be cut, edited, or belong to another run; the rows cannot lie about it without contradiction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fabric.errors import LogError
from fabric.interop.nccl_log import KINDS, Kind
from fabric.units import gbytes_per_second

_NUMBER_RE = re.compile(
    r"(?P<digits>[0-9]{1,20}(?:\.(?P<decimals>[0-9]{1,12}))?)(?:[eE](?P<power>[+-]?[0-9]{1,2}))?"
)
# Old versions print times in four significant digits, which is the rounding that every version stays within.
_TIME_ROUNDING = 5e-4
_SLACK = 1e-9  # of float64 arithmetic


@dataclass(frozen=True, slots=True)
class Printed:
    """A number with the half of a unit of its last digit."""

    value: float
    half: float

    @property
    def low(self) -> float:
        """Least value that is printed so."""
        return max(self.value - self.half, 0.0)

    @property
    def high(self) -> float:
        """Largest value that is printed so."""
        return self.value + self.half


def read_printed(text: str, power: int = 0) -> Printed | None:
    """Read a number that is not negative, in units of 10**power; None if it is none.

    Examples
    --------
    >>> read_printed("386.56"), read_printed("1.5e+04", -3), read_printed("N/A")
    (Printed(value=386.56, half=0.005), Printed(value=15.0, half=0.5), None)
    """
    match = _NUMBER_RE.fullmatch(text)
    if match is None:
        return None
    power += int(match["power"] or 0)
    # One rounding only, so that 1.5 ms and 1500 us are the same float.
    return Printed(float(f"{match['digits']}e{power}"), float(f"0.5e{power - len(match['decimals'] or '')}"))


@dataclass(frozen=True, slots=True)
class Digits:
    """The digits of one timing.

    Parameters
    ----------
    line, size_bytes : int
    time_s : Printed
        [s].
    algbw, busbw : Printed
        [GB/s].
    """

    line: int
    size_bytes: int
    time_s: Printed
    algbw: Printed
    busbw: Printed

    @property
    def ratio(self) -> tuple[float, float]:
        """Bounds of busbw / algbw."""
        low = self.busbw.low / self.algbw.high if self.algbw.high else 0.0
        return low, self.busbw.high / self.algbw.low if self.algbw.low else math.inf


def check_time(name: str, m: Digits) -> None:
    """Raise `LogError` unless algbw is size / time within rounding."""
    # Interval arithmetic: the size over all times that print so must meet all algbw that print so.
    slack = max(m.time_s.half, _TIME_ROUNDING * m.time_s.value)
    shortest, longest = m.time_s.value - slack, m.time_s.value + slack
    low = gbytes_per_second(m.size_bytes, longest) if longest > 0 else math.inf
    high = gbytes_per_second(m.size_bytes, shortest) if shortest > 0 else math.inf
    if low > m.algbw.high * (1 + _SLACK) or high < m.algbw.low * (1 - _SLACK):
        fault = (
            f"{m.size_bytes:,} bytes in {m.time_s.value:.6g} s are {low:.6g} to {high:.6g} GB/s, "
            f"and algbw is printed as {m.algbw.value:g}"
        )
        raise LogError(name, m.line, fault)


def guess(name: str, rows: Sequence[Digits], *, redop: str, root: int, per_rank: int | None) -> Kind:
    """Return the only kind of test that prints such rows.

    Parameters
    ----------
    rows : sequence of Digits
        At least one.
    redop, root
        Of the first row.
    per_rank : int or None
        Size over the bytes that the count of elements makes; None where rows differ in it.

    Raises
    ------
    LogError
        If several kinds do, such as all-gather and all-to-all, or none.
    """
    best = max(rows, key=lambda m: m.busbw.value)
    low, high = best.ratio
    # A kind fits if its ratio c (n - 1) / n, from n = 2 up to its limit c, meets that of the best row.
    fits = [
        kind
        for kind in KINDS.values()
        if kind.is_reduction in (None, redop != "none")
        and kind.is_rooted == (root >= 0)
        and (per_rank is None or kind.is_scattered == (per_rank > 1))
        and low <= (kind.scale or 1) * (1 + _SLACK)
        and high >= kind.factor(2) * (1 - _SLACK)
    ]
    if len(fits) == 1:
        return fits[0]
    among = (
        f"it may be {', '.join(k.collective for k in fits)}" if fits else "no test of nccl-tests prints such"
    )
    fault = (
        f"busbw / algbw is {low:.5g} to {high:.5g} with operation {redop} and root {root}: {among}; "
        "the log names no binary, so say which collective it is"
    )
    raise LogError(name, best.line, fault)


def rank_bounds(name: str, rows: Sequence[Digits], kind: Kind) -> tuple[int, int | None]:
    """Return the least and the largest number of ranks that all rows allow.

    Returns
    -------
    low : int
    high : int or None
        None where nothing bounds it.

    Raises
    ------
    LogError
        At the first row, by falling busbw, that contradicts those before it.

    Notes
    -----
    busbw / algbw = c (n - 1) / n gives n = c / (c - busbw / algbw), for which the interval of the quotient
    of two printed numbers is exact. Where busbw = algbw, rows are checked and say nothing about n.

    Examples
    --------
    >>> row = Digits(7, 2**33, Printed(43.98e-3, 5e-7), Printed(195.31, 0.005), Printed(386.56, 0.005))
    >>> rank_bounds("a.log", [row], KINDS["all-reduce"])
    (96, 96)
    """
    low, high = 1.0, math.inf
    best: Digits | None = None
    for m in sorted(rows, key=lambda m: -m.busbw.value):
        # Intersect the intervals of all rows, the best digits first.
        least, most = _ranks(m, kind)
        low, high = max(low, least), min(high, most)
        if low == math.inf or math.ceil(low * (1 - _SLACK)) > high * (1 + _SLACK):
            raise LogError(name, m.line, _contradiction(m, best, kind))
        best = best or m
    return math.ceil(low * (1 - _SLACK)), math.floor(high * (1 + _SLACK)) if high < math.inf else None


def _ranks(m: Digits, kind: Kind) -> tuple[float, float]:
    """Return bounds of the number of ranks, the lower above the upper where there is none."""
    low, high = m.ratio
    if not kind.scale:
        return (1.0, math.inf) if low <= 1 + _SLACK and high >= 1 - _SLACK else (math.inf, 1.0)
    # Nearer to c than float64 tells apart is no bound.
    if low > kind.scale * (1 + _SLACK):
        return math.inf, 1.0
    gap_low, gap_high = kind.scale - low, kind.scale - high
    least = kind.scale / gap_low if gap_low > _SLACK else 1 / _SLACK
    return least, kind.scale / gap_high if gap_high > _SLACK else math.inf


def _contradiction(m: Digits, best: Digits | None, kind: Kind) -> str:
    low, high = m.ratio
    fault = f"busbw {m.busbw.value:g} over algbw {m.algbw.value:g} is {low:.6g} to {high:.6g}"
    if best is None:
        form = f"{kind.scale} (n - 1) / n" if kind.scale else "1"
        return f"{fault}, which is {form} for no whole number n of ranks, as {kind.collective} would have it"
    low, high = best.ratio
    return f"{fault}, and line {best.line} has {low:.6g} to {high:.6g}: not the same number of ranks"
