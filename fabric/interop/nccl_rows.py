"""Rows of the table of nccl-tests: finding their words, and checking each by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric.errors import LogError
from fabric.interop.nccl_log import KINDS, LoggedTiming, LogRow, Rank
from fabric.interop.nccl_ranks import Digits, Printed, check_time, read_printed
from fabric.units import gbytes_to_gbps

BY_BINARY = {kind.binary: kind.collective for kind in KINDS.values()}
# The longest first, so that all_reduce is not read as reduce. All quantifiers below are bounded.
BINARY_RE = re.compile(rf"(?<![A-Za-z_])({'|'.join(sorted(BY_BINARY, key=len, reverse=True))})_perf")

# Bytes of an element, by the names that nccl-tests and rccl-tests print.
_TYPES = {
    **dict.fromkeys(("int8", "uint8", "char", "f8e4m3", "f8e5m2", "fp8_e4m3", "fp8_e5m2"), 1),
    **dict.fromkeys(("half", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "int", "float"), 4),
    **dict.fromkeys(("int64", "uint64", "double"), 8),
}
_OPS = {"none", "sum", "prod", "max", "min", "avg", "mulsum", "all"}
_INNER_LABEL_RE = re.compile(r"\[[0-9]{1,7}\]")  # Intel MPI labels every write, also within a row
_SIZE_RE = re.compile(r"(?:^|[:>\]|])([0-9]{1,18})$")
_NUMBER_RE = re.compile(r"[-+]?[0-9][0-9.,_eE+]*")
_COUNT_RE = re.compile(r"[0-9]{1,18}")
_ROOT_RE = re.compile(r"-?[0-9]{1,9}")
_LARGEST = 10**18
_MICRO, _MILLI = -6, -3
_MEASURED = ("time", "algbw", "busbw")
_JSON_KEYS = ("time", "alg_bw", "bus_bw")
_ALIASES = {"error": "#error", "res": "#error", "wrong": "#wrong"}

NOT_COUNTED = -1
"""Elements that came out wrong, where a log marks the row and does not count them."""

# Stands in a row until its numbers are checked.
_NOTHING = LoggedTiming(0.0, 0.0, 0.0)
# Time [s], algbw and busbw [GB/s], wrong elements.
_Numbers = tuple[Printed, Printed, Printed, int | None]


@dataclass(frozen=True, slots=True)
class Columns:
    """The measured columns of a table.

    Parameters
    ----------
    groups : tuple of tuple of str
        Names out of place and, where they are printed, in place.
    n_words : int
        Words of a row in these columns; a time stamp has two.
    power : int
        Of ten, of the unit of the times [s].
    """

    groups: tuple[tuple[str, ...], ...] = ((*_MEASURED, "#wrong"),) * 2
    n_words: int = 8
    power: int = _MICRO


@dataclass(slots=True)
class LoggedRun:
    """What was read of one run so far.

    Parameters
    ----------
    busbw : list of Printed
        Also of rows of size 0, which the average of the footer counts.
    average : tuple of int and Printed, optional
        Line and value of the footer.
    cut : tuple of int and str, optional
        Line and complaint of a row whose end is missing.
    """

    binary: str | None = None
    ranks: list[Rank] = field(default_factory=list)
    stated: int | None = None
    columns: Columns | None = None
    rows: list[LogRow] = field(default_factory=list)
    measured: list[Digits] = field(default_factory=list)
    busbw: list[Printed] = field(default_factory=list)
    average: tuple[int, Printed] | None = None
    cut: tuple[int, str] | None = None
    remarks: list[str] = field(default_factory=list)


def columns_of(name: str, line: int, words: Sequence[str]) -> Columns | None:
    """Return the columns if these words are the line that names them.

    Raises
    ------
    LogError
        If the times are of the launch alone, or a group has no algbw or busbw.
    """
    if "algbw" not in words or "busbw" not in words or not {"size", "bytes"} & set(words):
        return None
    if "cputime" in words:
        raise LogError(name, line, "the column is cputime, of the launch alone; run without -C")
    starts = [i for i, word in enumerate(words) if word == "time"][:2]
    names = [_ALIASES.get(word, word) for word in words]
    bounds = [*starts, len(names)]
    groups = tuple(tuple(names[a:b]) for a, b in zip(bounds, bounds[1:], strict=False))
    if not groups or any(not set(_MEASURED) <= set(group) for group in groups):
        raise LogError(name, line, "a header of nccl-tests without time, algbw or busbw in each group")
    # The table of NCCL 2.4 and before has bytes, N, type, op, and times in milliseconds.
    power = _MICRO if "size" in words else _MILLI
    n_words = len(names) - starts[0] + (names[-1] == "timestamp")
    return Columns(groups, n_words, power)


def add_row(run: LoggedRun, name: str, line: int, words: list[str]) -> None:
    """Add the row that these words are, if they are one.

    Raises
    ------
    LogError
        If it has too many words, a word that is no number, or numbers that contradict each other; or if
        words were missing in the row before, which is forgiven in the last one only.
    """
    if _TYPES.keys().isdisjoint(words):
        return
    words = _INNER_LABEL_RE.sub(" ", " ".join(words)).split()
    # The type is the landmark: count and size stand before it, whatever a runner put in front.
    counts = (i - 1 for i in range(2, len(words)) if words[i] in _TYPES and _COUNT_RE.fullmatch(words[i - 1]))
    at = next(counts, None)
    if not at:
        return
    columns, cells = run.columns or Columns(), words[at + 2 :]
    redop = cells.pop(0) if cells and cells[0] in _OPS else "none"
    size = _SIZE_RE.search(words[at - 1])
    if size is None:
        if _NUMBER_RE.fullmatch(words[at - 1]) and len(cells) >= columns.n_words:
            raise LogError(name, line, f"size is {words[at - 1][:40]!r}, which is no number of bytes")
        return
    if run.cut:
        raise LogError(name, *run.cut)
    fault = f"a row with {len(cells)} words after type and operation, and {columns.n_words} measured columns"
    if run.columns is None:
        fault += "; the line that names the columns is missing above"
    if len(cells) < columns.n_words:
        run.cut = (line, fault)
        return
    # Some versions leave the root out of the header, and others out of the row.
    root = cells.pop(0) if len(cells) == columns.n_words + 1 else "-1"
    if len(cells) > columns.n_words or not _ROOT_RE.fullmatch(root):
        raise LogError(name, line, fault)
    groups, start = [], 0
    for names in columns.groups:
        fields = dict(zip(names, cells[start:], strict=False))
        groups.append(_numbers(name, line, fields, columns.power))
        start += len(names)
    _add(
        run,
        name,
        LogRow(int(size[1]), int(words[at]), words[at + 1], redop, int(root), _NOTHING, None, line),
        groups,
    )


def _numbers(name: str, line: int, fields: dict[str, str], power: int) -> _Numbers:
    numbers = []
    for column in _MEASURED:
        number = read_printed(fields[column], power if column == "time" else 0)
        if number is None:
            raise LogError(name, line, f"{column} is {fields[column][:40]!r}, which is no number")
        numbers.append(number)
    time, algbw, busbw = numbers
    wrong, error = fields.get("#wrong", "N/A"), fields.get("#error", "")
    count = Printed(0.0, 0.0) if wrong == "N/A" else read_printed(wrong)
    if count is None or count.value < 0:
        raise LogError(name, line, f"#wrong is {wrong[:40]!r}, which counts nothing")
    if "*" in error:  # a deviation, which rccl-tests marks where it is too large
        return time, algbw, busbw, NOT_COUNTED
    return time, algbw, busbw, None if wrong == "N/A" else round(count.value)


def _add(run: LoggedRun, name: str, row: LogRow, groups: Sequence[_Numbers]) -> None:
    """Check one row by itself and add it with its timings."""
    run.busbw += [busbw for _, _, busbw, _ in groups]
    if row.size_bytes == 0:
        return
    timings = []
    for time, algbw, busbw, n_wrong in groups:
        if not time.value:
            raise LogError(name, row.line, f"{row.size_bytes:,} bytes in no time")
        m = Digits(row.line, row.size_bytes, time, algbw, busbw)
        check_time(name, m)
        run.measured.append(m)
        timings.append(
            LoggedTiming(time.value, gbytes_to_gbps(algbw.value), gbytes_to_gbps(busbw.value), n_wrong)
        )
    lead = (row.size_bytes, row.count, row.dtype, row.redop, row.root)
    run.rows.append(LogRow(*lead, timings[0], timings[1] if len(timings) > 1 else None, row.line))


def per_rank(rows: Sequence[LogRow]) -> int | None:
    """Return size over the bytes of the counted elements, if it is one whole number for all rows."""
    quotients = {divmod(row.size_bytes, max(row.count * _TYPES[row.dtype], 1)) for row in rows}
    quotient, remainder = quotients.pop()
    return None if quotients or remainder or not quotient else quotient


def from_json(text: str, name: str) -> LoggedRun:
    """Return the run of a JSON report, as nccl-tests from 2.17 on writes it with ``-J``.

    Raises
    ------
    LogError
        If it is none, or `add_row` would raise for such a row.

    References
    ----------
    NVIDIA nccl-tests, src/util.cu, ``JSON_FILE_VERSION`` 3.
    """
    try:
        data: Any = json.loads(text)
        config = data.get("config", {})
        command = BINARY_RE.search(str((data.get("args") or [""])[0])[:4096])
        run = LoggedRun(binary=command[1] if command else None)
        # Of the devices of one process only the first is listed.
        listed = config.get("devices", [])
        run.stated = len(listed) * int(config.get("nthreads", 1)) * int(config.get("ngpus", 1)) or None
        for d in listed:
            numbers = int(d["rank"]), int(d["group"]), int(d["pid"]), str(d["hostname"]), int(d["device"])
            run.ranks.append(Rank(*numbers, str(d["device_hex"]), str(d["device_info"])))
        for result in data["results"]:
            _add_json(run, name, result)
        out_of_bounds = int(data.get("out_of_bounds", {}).get("count", 0))
    except LogError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        fault = f"a JSON text, but no report of nccl-tests: {type(error).__name__} {str(error)[:80]}"
        raise LogError(name, 1, fault) from None
    check_wrong(run, name, 1, out_of_bounds)
    return run


def check_wrong(run: LoggedRun, name: str, line: int, n: float) -> None:
    """Hold the footer, which counts what is out of bounds in all rows, to the rows.

    Raises
    ------
    LogError
        If no row is marked: then it is not known which one is wrong.
    """
    timings = [t for row in run.rows for t in (row.out_of_place, row.in_place) if t is not None]
    if n and not any(t.is_wrong for t in timings):
        fault = f"out of bounds values: {n:g}, and no row counts any; it is not known which results are wrong"
        raise LogError(name, line, fault)


def _add_json(run: LoggedRun, name: str, result: dict[str, Any]) -> None:
    size, count, dtype = int(result["size"]), int(result["count"]), str(result["type"])
    if dtype not in _TYPES or not 0 <= size < _LARGEST or not 0 <= count < _LARGEST:
        raise LogError(name, 1, f"a result of {str(size)[:20]} bytes of type {dtype[:40]!r}")
    groups = []
    for group in (result["out_of_place"], result.get("in_place")):
        if group is None:
            continue
        if "cpu_time" in group:
            raise LogError(name, 1, "the time is cpu_time, of the launch alone; run without -C")
        # The report has six decimals; readers of JSON drop the zeros among them.
        fields = {c: f"{float(group[key]):.6f}" for c, key in zip(_MEASURED, _JSON_KEYS, strict=True)}
        if group.get("nwrong") is not None:
            fields["#wrong"] = f"{float(group['nwrong']):.0f}"
        groups.append(_numbers(name, 1, fields, _MICRO))
    if not groups:
        raise LogError(name, 1, f"a result of {size:,} bytes without timing")
    redop, root = str(result.get("redop") or "none"), int(result.get("root", -1))
    _add(run, name, LogRow(size, count, dtype, redop, root, _NOTHING, None, 1), groups)
