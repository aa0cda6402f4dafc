"""What a log of nccl-tests says, as values, and the same printed in the columns of nccl-tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fabric.errors import QuestionError, nearest
from fabric.units import gbps_to_gbytes, gbytes_per_second, gbytes_to_gbps

MICROSECOND = 1e-6
"""Seconds in the unit of the column "time"."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one binary of nccl-tests counts.

    Parameters
    ----------
    collective : str
        The name in this program.
    binary : str
        The name of the binary, without its ending ``_perf``.
    scale : int
        busbw is ``scale * (n - 1) / n`` times algbw among n ranks; 0 where the two are equal.
    is_reduction : bool or None
        Whether rows name an operation; None where they name one that is not carried out.
    is_rooted : bool
        Whether rows name a root.
    is_scattered : bool
        Whether the size is the count times the number of ranks, and not the count alone.

    References
    ----------
    NVIDIA nccl-tests, ``GetBw`` and ``GetCollByteCount`` in ``src/*.cu``; doc/PERFORMANCE.md.
    """

    collective: str
    binary: str
    scale: int
    is_reduction: bool | None
    is_rooted: bool
    is_scattered: bool

    def factor(self, n: int) -> float:
        """Return busbw / algbw among n ranks."""
        return self.scale * (n - 1) / n if self.scale else 1.0


KINDS = {
    kind.collective: kind
    for kind in (
        Kind("all-reduce", "all_reduce", 2, True, False, False),
        Kind("all-gather", "all_gather", 1, False, False, True),
        Kind("reduce-scatter", "reduce_scatter", 1, True, False, True),
        Kind("all-to-all", "alltoall", 1, False, False, True),
        Kind("broadcast", "broadcast", 0, False, True, False),
        Kind("reduce", "reduce", 0, True, True, False),
        Kind("send-recv", "sendrecv", 0, None, False, False),
        Kind("gather", "gather", 1, False, True, True),
        Kind("scatter", "scatter", 1, False, True, True),
    )
}
"""By collective."""


def kind_of(collective: str) -> Kind:
    """Return how nccl-tests counts a collective.

    Raises
    ------
    QuestionError
        If nccl-tests has no such collective.

    Examples
    --------
    >>> kind_of("all-reduce").factor(8)
    1.75
    """
    if collective not in KINDS:
        hint = nearest(collective, KINDS) or f"known are {', '.join(KINDS)}"
        msg = f"nccl-tests has no collective {collective!r}; {hint}"
        raise QuestionError(msg)
    return KINDS[collective]


@dataclass(frozen=True, slots=True)
class Rank:
    """One line of the list of devices.

    Parameters
    ----------
    rank, group, pid : int
        Group and process are 0 where an old version prints none.
    host : str
    device : int
        Index on its host.
    bus : str
        PCI address, as printed.
    name : str
        Of the GPU.
    """

    rank: int
    group: int
    pid: int
    host: str
    device: int
    bus: str
    name: str


@dataclass(frozen=True, slots=True)
class LoggedTiming:
    """What was measured for one size.

    Parameters
    ----------
    time_s : float
        Of one operation [s].
    algbw_gbps, busbw_gbps : float
        As nccl-tests defines them [Gb/s], not GB/s.
    n_wrong : int or None
        Elements that came out wrong; None where it was not checked, -1 where some did and were not counted.
    """

    time_s: float
    algbw_gbps: float
    busbw_gbps: float
    n_wrong: int | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether the results were checked and some are wrong, so that the time says nothing."""
        return bool(self.n_wrong)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the table.

    Parameters
    ----------
    size_bytes, count : int
        Bytes by the convention of nccl-tests, and elements.
    dtype, redop : str
        As printed; ``"none"`` where there is no operation.
    root : int
        -1 where there is none.
    out_of_place : LoggedTiming
    in_place : LoggedTiming or None
    line : int
        Of the file, from 1; 0 for a row that was not read. Not compared.
    """

    size_bytes: int
    count: int
    dtype: str
    redop: str
    root: int
    out_of_place: LoggedTiming
    in_place: LoggedTiming | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Log:
    """One run of one binary.

    Parameters
    ----------
    collective : str
        In the names of this program.
    n_ranks : int or None
        Ranks of one communicator, as the numbers of the rows have it; None where their digits do not tell,
        and nothing else does. Where the header says another number, `remarks` does.
    rows : tuple of LogRow
        At least one, in the order of the file.
    ranks : tuple of Rank
        Those that the header lists, which may be a part of them.
    remarks : tuple of str
        What a reader should know: a header that contradicts the rows, rows that were left out. Not compared.
    name : str
        The file. Not compared.
    line : int
        Of the first row. Not compared.
    """

    collective: str
    n_ranks: int | None
    rows: tuple[LogRow, ...]
    ranks: tuple[Rank, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)
    name: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def gpus(self) -> tuple[str, ...]:
        """Names of the GPUs in the list of devices, each once."""
        return tuple(dict.fromkeys(r.name for r in self.ranks))

    @property
    def factor(self) -> float:
        """Ratio busbw / algbw: of the rank count where it is known, else of the row of the largest busbw."""
        if self.n_ranks is not None:
            return kind_of(self.collective).factor(self.n_ranks)
        # The largest busbw has the most digits, so the least rounding.
        best = max((row.out_of_place for row in self.rows), key=lambda t: t.busbw_gbps)
        return best.busbw_gbps / best.algbw_gbps if best.algbw_gbps else 1.0


def predicted_row(
    collective: str, size_bytes: int, time_s: float, *, n_ranks: int, dtype: str = "float", n_bytes: int = 4
) -> LogRow:
    """Return the row that nccl-tests would print for a time that was computed.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    time_s : float
        Positive [s].
    n_ranks : int
    dtype : str
        Name of the element type, `n_bytes` bytes each.

    Raises
    ------
    QuestionError
        If nccl-tests has no such collective.

    Examples
    --------
    >>> row = predicted_row("all-reduce", 2**30, 5e-3, n_ranks=8)
    >>> row.count, round(row.out_of_place.busbw_gbps / 8, 2)
    (268435456, 375.81)
    """
    kind = kind_of(collective)
    algbw = gbytes_to_gbps(gbytes_per_second(size_bytes, time_s))
    count = size_bytes // n_bytes // (n_ranks if kind.is_scattered else 1)
    timing = LoggedTiming(time_s, algbw, algbw * kind.factor(n_ranks))
    redop = "none" if kind.is_reduction is False else "sum"
    return LogRow(size_bytes, count, dtype, redop, 0 if kind.is_rooted else -1, timing)


def format_rows(rows: Iterable[LogRow]) -> str:
    r"""Print rows in the columns of nccl-tests, under its header.

    Parameters
    ----------
    rows : iterable of Row
        The columns in place are printed if every row has them.

    Returns
    -------
    str
        Lines without the last line break, so that a predicted log can be compared with a measured one by
        ``diff``. Digits are those of nccl-tests: two decimals, fewer where the column is too narrow.

    References
    ----------
    NVIDIA nccl-tests 2.18, ``getFloatStr`` and ``writeResultHeader`` in src/util.cu.

    Examples
    --------
    >>> print(format_rows([predicted_row("all-reduce", 2**30, 5e-3, n_ranks=8)]).split("\n")[-1])
      1073741824     268435456     float     sum      -1  5000.00  214.75  375.81    N/A
    """
    table = list(rows)
    groups = 2 if table and all(row.in_place for row in table) else 1
    place = ("out-of-place", "in-place")[:groups]
    names = ("time", "algbw", "busbw", "#wrong")
    units = ("(us)", "(GB/s)", "(GB/s)", "")
    lead = f"# {'':>10}  {'':>12}  {'':>8}  {'':>6}  {'':>6}"
    lines = [
        lead + "".join(f"  {where:^31}" for where in place),
        f"# {'size':>10}  {'count':>12}  {'type':>8}  {'redop':>6}  {'root':>6}" + _group(names) * groups,
        f"# {'(B)':>10}  {'(elements)':>12}  {'':>8}  {'':>6}  {'':>6}" + _group(units) * groups,
    ]
    for row in table:
        text = f"{row.size_bytes:12d}  {row.count:12d}  {row.dtype:>8}  {row.redop:>6}  {row.root:6d}"
        for timing in (row.out_of_place, row.in_place)[:groups]:
            text += _timing(timing) if timing else ""
        lines.append(text)
    return "\n".join(line.rstrip() for line in lines)


def format_log(log: Log) -> str:
    """Print a log as nccl-tests does, so that `parse_log` gives it back as far as it was printed.

    A log without list of devices gets the line ``# Using 1024 ranks`` instead, which `parse_log` knows.
    """
    binary = f"{kind_of(log.collective).binary}_perf"
    lines = [f"# Collective test starting: {binary}", "#"]
    if log.ranks:
        lines.append("# Using devices")
        lines += [
            f"#  Rank {r.rank:2d} Group {r.group:2d} Pid {r.pid:6d} on {r.host:>10} device {r.device:2d} "
            f"[{r.bus}] {r.name}".rstrip()
            for r in log.ranks
        ]
    elif log.n_ranks is not None:
        lines.append(f"# Using {log.n_ranks} ranks")
    timings = [t for row in log.rows for t in (row.out_of_place, row.in_place) if t]
    average = sum(gbps_to_gbytes(t.busbw_gbps) for t in timings) / max(len(timings), 1)
    lines += [
        "#",
        format_rows(log.rows),
        "# Out of bounds values : 0 OK",
        f"# Avg bus bandwidth    : {average:g}",
        "#",
        f"# Collective test concluded: {binary}",
    ]
    return "\n".join(lines) + "\n"


def _group(words: Sequence[str]) -> str:
    return f"  {words[0]:>7}  {words[1]:>6}  {words[2]:>6}  {words[3]:>6}"


def _timing(timing: LoggedTiming) -> str:
    algbw, busbw = (_digits(gbps_to_gbytes(r), 6) for r in (timing.algbw_gbps, timing.busbw_gbps))
    # One space less than before a number: nccl-tests has it so.
    wrong = "    N/A" if timing.n_wrong is None else f"  {timing.n_wrong:6d}"
    return f"  {_digits(timing.time_s / MICROSECOND, 7):>7}  {algbw:>6}  {busbw:>6}{wrong}"


def _digits(value: float, width: int) -> str:
    """Print with two decimals, or as many as the column has room for."""
    for form in (".2f", ".1f", ".0f"):
        if len(text := f"{value:{form}}") <= width:
            return text
    return f"{value:{'.1e' if width >= 7 else '.0e'}}"
