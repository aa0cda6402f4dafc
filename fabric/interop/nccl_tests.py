"""Read the output of nccl-tests and rccl-tests.

A log is untrusted and often wrapped: mpirun, Slurm and Kubernetes put a label before every line, Docker and
Ansible put every line into JSON (`fabric.interop.wrapped`), other output stands between the rows, several
runs follow one another, and what is pasted into a report has lost its header. So nothing is
expected at a fixed column::

    [1,0]<stdout>:  1048576   262144   float    sum     -1    164.3    6.38   11.17      0    187.7   ...
    '-- label ---'  size      count    type '-- lead --'   '-- out-of-place ---------'   '-- in-place --

A row is found by its type, with two whole numbers before it; the words after the type are told apart by what
they are; the measured columns by the header line above, which versions and options make differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fabric.arguments import checked
from fabric.errors import FileError, LogError
from fabric.interop.nccl_log import (
    KINDS,
    Kind,
    Log,
    LoggedTiming,
    LogRow,
    Rank,
    format_log,
    format_rows,
    kind_of,
    predicted_row,
)
from fabric.interop.nccl_ranks import guess, rank_bounds, read_printed
from fabric.interop.nccl_rows import (
    BINARY_RE,
    BY_BINARY,
    LoggedRun,
    add_row,
    check_wrong,
    columns_of,
    from_json,
    per_rank,
)
from fabric.interop.wrapped import is_wrapped, unwrap
from fabric.text.reading import read_bytes

__all__ = [
    "KINDS", "Kind", "Log", "Rank", "LogRow", "LoggedTiming", "decode_log",
    "format_log", "format_rows", "parse_log", "predicted_row", "read_log",
]  # fmt: skip

MAX_BYTES = 256 * 2**20
"""Largest file."""
MAX_LINE = 2**16
"""Longest line, in characters; a JSON report is one line and has no such limit."""

_ANSI_RE = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
_RANK_RE = re.compile(
    r"\bRank {1,9}(?P<rank>[0-9]{1,9}) {1,9}(?:Group {1,9}(?P<group>[0-9]{1,9}) {1,9})?"
    r"(?:Pid {1,9}(?P<pid>[0-9]{1,9}) {1,9})?on {1,99}(?P<host>[^ ]{1,255}) {1,9}"
    r"device {1,9}(?P<device>[0-9]{1,9}) {1,9}\[(?P<bus>[^\]]{1,64})\] ?(?P<name>.{0,127})"
)
_STATED_RE = re.compile(r"# Using ([0-9]{1,9}) ranks")  # ours, see `format_log`
_FOOTER_RE = re.compile(r"(Out of bounds values|Avg bus bandwidth) {1,9}: ([^ ]{1,32})")
_STARTS = ("Collective test starting", "minBytes", "ccl-tests version")


@checked
def read_log(path: str | Path, *, collective: str | None = None) -> tuple[Log, ...]:
    """Read a file that nccl-tests or rccl-tests wrote, on its standard output or with ``-J``.

    Parameters
    ----------
    path : str or Path
        Up to `MAX_BYTES`.
    collective : str, optional
        What every run in it measures, such as ``"all-gather"``; for logs that do not say it.

    Returns
    -------
    tuple of Log
        One per run, at least one.

    Raises
    ------
    LogError
        If it cannot be read, holds no row, or has a row that contradicts itself or the others.
    """
    name = str(path)
    try:
        data = read_bytes(path, limit=MAX_BYTES)
    except FileError as error:
        raise LogError(name, 0, "; ".join(filter(None, (error.what, error.todo)))) from None
    return decode_log(data, name, collective=collective)


def decode_log(data: bytes, name: str, *, collective: str | None = None) -> tuple[Log, ...]:
    """Read the bytes of a log, as `parse_log` its text.

    Raises
    ------
    LogError
        As `parse_log`; or if it is not in UTF-8.
    """
    if b"\0" in data:
        raise LogError(name, 0, "not a text, or one in UTF-16; save it as UTF-8")
    # A stray byte of another encoding hurts nothing outside a row, and inside one it is no number.
    return parse_log(data.decode("utf-8-sig", errors="replace"), name, collective=collective)


def parse_log(text: str, name: str = "<text>", *, collective: str | None = None) -> tuple[Log, ...]:
    r"""Read the output of nccl-tests or rccl-tests.

    Parameters
    ----------
    text : str
        As printed, or as written by ``-J``.
    name : str
        For the errors.
    collective : str, optional
        What every run in it measures; for logs that do not say it.

    Returns
    -------
    tuple of Log
        One per run, at least one.

    Raises
    ------
    LogError
        If a row cannot be read or has wrong elements; if its algbw is not size / time, or its busbw not the
        algbw times the factor of one number of ranks for all rows, within the rounding of the digits; if the
        collective cannot be told; if no row is found.
    QuestionError
        If nccl-tests has no such `collective`.

    Notes
    -----
    The collective is that of the binary, which the header or the command line names; else the only one that
    fits busbw / algbw, operation, root, and size over count. The number of ranks is what the rows say; the
    list of devices decides among several that they allow, and is only remarked upon where they exclude it.
    Rows of size 0, which stand for less than one element a rank, are left out.

    Examples
    --------
    >>> head = "# Collective test starting: all_reduce_perf\n"
    >>> row = "8589934592 2147483648 float sum -1 43980 195.31 386.56 0 44094 194.81 385.56 0"
    >>> (log,) = parse_log(head + row)
    >>> log.collective, log.n_ranks, log.rows[0].out_of_place.busbw_gbps
    ('all-reduce', 96, 3092.48)
    """
    if collective is not None:
        kind_of(collective)
    is_report = text.lstrip()[:1] == "{" and not is_wrapped(text)
    runs = [from_json(text, name)] if is_report else _runs(unwrap(text), name)
    measured = [run for run in runs if run.rows]
    if not measured:
        fault = "no row of nccl-tests: no line with size, count, type, time, algbw and busbw"
        raise LogError(name, 0, fault)
    for run in runs:
        if run.columns and not run.rows:
            measured[-1].remarks.append(f"a run of {run.binary or 'nccl-tests'} printed a header and no row")
    return tuple(_log(run, name, collective) for run in measured)


def _runs(lines: Iterable[tuple[int, str]], name: str) -> list[LoggedRun]:
    runs = [LoggedRun()]
    announced: str | None = None
    for number, raw in lines:
        if len(raw) > MAX_LINE:
            raise LogError(name, number, f"line longer than {MAX_LINE:,} characters")
        # Most lines of a large log are none of these; a look for a word is cheaper than a pattern.
        line = _ANSI_RE.sub("", raw) if "\x1b" in raw else raw
        run, words = runs[-1], line.split()
        header = columns_of(name, number, words) if "busbw" in line else None
        rank = _rank(line) if "Rank" in line else None
        binary = BINARY_RE.search(line) if "_perf" in line and "concluded" not in line else None
        is_start = header is not None or any(word in line for word in _STARTS)
        if run.rows and (is_start or rank) or run.columns and is_start:
            run, announced = LoggedRun(binary=announced), None
            runs.append(run)
        if binary and run.rows:  # a command line after the rows is that of the next run
            announced = binary[1]
        elif binary:
            run.binary = binary[1]
        if header:
            run.columns = header
        elif rank:
            run.ranks.append(rank)
        elif "# Using" in line and (stated := _STATED_RE.search(line)):
            run.stated = int(stated[1])
        elif " : " in line and (footer := _FOOTER_RE.search(line)):
            _footer(run, name, number, footer)
        else:
            add_row(run, name, number, words)
    return runs


def _rank(line: str) -> Rank | None:
    m = _RANK_RE.search(line)
    if m is None:
        return None
    group, pid = int(m["group"] or 0), int(m["pid"] or 0)
    return Rank(int(m["rank"]), group, pid, m["host"], int(m["device"]), m["bus"], m["name"].strip())


def _footer(run: LoggedRun, name: str, line: int, match: re.Match[str]) -> None:
    value = read_printed(match[2])
    if match[1] == "Avg bus bandwidth":
        run.average = (line, value) if value else None
    elif value is None:
        raise LogError(name, line, f"out of bounds values: {match[2]!r}, which is no number")
    else:
        check_wrong(run, name, line, value.value)


def _log(run: LoggedRun, name: str, collective: str | None) -> Log:
    """Check the rows of a run against each other and its header."""
    first, k = run.rows[0], per_rank(run.rows)
    named = collective or BY_BINARY.get(run.binary or "")
    if named:
        kind = KINDS[named]
    else:
        kind = guess(name, run.measured, redop=first.redop, root=first.root, per_rank=k)
    # Rows first, then size over count, then the header: the weaker word never overrules the stronger.
    low, high = rank_bounds(name, run.measured, kind)
    if kind.is_scattered and k:
        if k < low or (high is not None and k > high):
            fault = (
                f"size is {k} times the counted elements, so {k} ranks of {kind.collective}; "
                f"busbw / algbw says {_interval(low, high)}"
            )
            raise LogError(name, first.line, fault)
        low = high = k
    stated = _stated_ranks(run)
    is_allowed = stated is not None and low <= stated and (high is None or stated <= high)
    n_ranks = stated if is_allowed else low if low == high else None
    if n_ranks == 1:
        fault = "one rank: every process ran alone; build nccl-tests with MPI=1, or pass -g"
        raise LogError(name, first.line, fault)
    remarks = list(run.remarks)
    if stated is not None and not is_allowed:
        remarks.append(
            f"the header says {stated} ranks; the rows say {_interval(low, high)}, which is believed"
        )
    elif n_ranks is None:
        remarks.append(f"the number of ranks is not known; the rows say {_interval(low, high)}")
    remarks.extend(_gaps(run))
    shown = (tuple(run.rows), tuple(run.ranks), tuple(remarks))
    return Log(kind.collective, n_ranks, *shown, name, first.line)


def _stated_ranks(run: LoggedRun) -> int | None:
    """Return the number of ranks of one communicator by the header.

    Excerpts often show some of the list only, so the largest number counts; of several groups, which run at
    once, the first.
    """
    if not run.ranks:
        return run.stated
    if len({r.group for r in run.ranks}) > 1:
        return sum(r.group == run.ranks[0].group for r in run.ranks)
    return max(run.stated or 0, max(r.rank for r in run.ranks) + 1)


def _interval(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high else f"{low} to {high}"


def _gaps(run: LoggedRun) -> Iterator[str]:
    """Yield what tells that rows are missing."""
    if run.cut:
        yield f"line {run.cut[0]}: the last row is cut and left out"
    if run.average and run.busbw and not run.cut:
        line, average = run.average
        mean = sum(p.value for p in run.busbw) / len(run.busbw)
        slack = sum(p.half for p in run.busbw) / len(run.busbw) + average.half + 1e-5 * mean
        if abs(mean - average.value) > slack:
            yield (
                f"line {line}: the average busbw is printed as {average.value:g} GB/s and that of these rows "
                f"is {mean:.6g}; rows are missing"
            )
