"""NCCL's table of latencies and bandwidths, and what it chooses from it for a size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fabric.errors import QuestionError
from fabric.nccl.formulas import bandwidth_gb_s, latency_us
from fabric.nccl.model import ALGORITHMS, COLLECTIVES, X86, Machine, check_known
from fabric.nccl.tables import PROTOCOLS, VERSION, tables
from fabric.schedule.algorithms import busbw_factor
from fabric.units import format_bytes, format_rate, format_time, gbytes_to_gbps, parse_bytes

_BYTES_PER_US = 1000.0  # at 1 GB/s
_SECONDS_PER_US = 1e-6


@dataclass(frozen=True, slots=True)
class TunerRow:
    """One row of the table that NCCL makes when a communicator starts.

    Parameters
    ----------
    algorithm, protocol : str
    latency_us : float
        Time of no bytes [us].
    bandwidth_gb_s : float
        Of the algorithm, size over time [GB/s]; 0 if the row is disabled.
    """

    algorithm: str
    protocol: str
    latency_us: float
    bandwidth_gb_s: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """The whole table for one collective, as ``NCCL_DEBUG_SUBSYS=TUNING`` prints it.

    Parameters
    ----------
    collective : str
    lines : tuple of TunerRow
        Every algorithm with every protocol, in NCCL's order.
    """

    collective: str
    lines: tuple[TunerRow, ...]

    def __iter__(self) -> Iterator[TunerRow]:
        return iter(self.lines)

    def __getitem__(self, row: tuple[str, str]) -> TunerRow:
        """Return the line of (algorithm, protocol)."""
        return next(line for line in self.lines if (line.algorithm, line.protocol) == row)

    def __str__(self) -> str:
        """Return the rows that are enabled."""
        head = [f"NCCL {VERSION}, {self.collective}: latency us / bandwidth GB/s"]
        return "\n".join(
            head
            + [
                f"  {line.algorithm:<15}{line.protocol:<7}{line.latency_us:9.1f} /{line.bandwidth_gb_s:7.1f}"
                for line in self.lines
                if line.bandwidth_gb_s
            ]
        )

    def to_dict(self) -> dict[str, object]:
        """Return the table; disabled rows have bandwidth 0."""
        return {"collective": self.collective, "nccl": VERSION, "lines": [_as_dict(x) for x in self.lines]}


def tuning(machine: Machine, collective: str) -> Tuning:
    """Return NCCL's table of latencies and bandwidths.

    Parameters
    ----------
    machine : Machine
    collective : {"all-reduce", "all-gather", "reduce-scatter", "broadcast", "reduce"}

    Returns
    -------
    Tuning

    Raises
    ------
    QuestionError
        If the collective is unknown.

    References
    ----------
    NVIDIA/nccl@5067397, src/graph/tuning.cc, ncclTopoTuneModel.

    Examples
    --------
    >>> from fabric.nccl import Node, machine
    >>> ring = tuning(machine(Node(sm=90, n_gpus=8, n_nvlinks=18)), "all-reduce")["ring", "Simple"]
    >>> ring.latency_us, round(ring.bandwidth_gb_s, 1)
    (56.0, 205.7)
    """
    check_known("collective", collective, COLLECTIVES)
    return Tuning(
        collective,
        tuple(
            TunerRow(a, p, latency_us(machine, collective, a, p), bandwidth_gb_s(machine, collective, a, p))
            for a in ALGORITHMS
            for p in PROTOCOLS
        ),
    )


@dataclass(frozen=True, slots=True)
class Timed:
    """One row with its time for a size.

    Parameters
    ----------
    algorithm, protocol : str
    latency_us, bandwidth_gb_s : float
        With the corrections for the size [us], [GB/s].
    time_us : float
        Latency and size over bandwidth [us].
    """

    algorithm: str
    protocol: str
    latency_us: float
    bandwidth_gb_s: float
    time_us: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answer of `predict`.

    Parameters
    ----------
    collective : str
    size_bytes : int
        By the convention of nccl-tests.
    n_ranks, n_nodes : int
    rows : tuple of Timed
        All that NCCL chose from, in its order.
    chosen : Timed
        The one of least time.
    """

    collective: str
    size_bytes: int
    n_ranks: int
    n_nodes: int
    rows: tuple[Timed, ...]
    chosen: Timed

    @property
    def time_s(self) -> float:
        """Time of the chosen row [s]."""
        return self.chosen.time_us * _SECONDS_PER_US

    @property
    def algbw_gbps(self) -> float:
        """Algorithm bandwidth of the chosen row [Gb/s]."""
        return self.algbw_of(self.chosen)

    @property
    def busbw_gbps(self) -> float:
        """Bus bandwidth of the chosen row [Gb/s]."""
        return self.busbw_of(self.chosen)

    def algbw_of(self, row: Timed) -> float:
        """Return size over time of a row [Gb/s]."""
        return gbytes_to_gbps(self.size_bytes / row.time_us / _BYTES_PER_US)

    def busbw_of(self, row: Timed) -> float:
        """Return the bus bandwidth of a row as nccl-tests defines it [Gb/s]."""
        return self.algbw_of(row) * busbw_factor(self.collective, self.n_ranks)

    def of(self, algorithm: str) -> Timed:
        """Return the fastest row of one algorithm.

        Raises
        ------
        QuestionError
            If NCCL does not consider the algorithm here.
        """
        rows = [row for row in self.rows if row.algorithm == algorithm]
        if not rows:
            known = ", ".join(dict.fromkeys(row.algorithm for row in self.rows))
            msg = f"{algorithm!r} is not among the algorithms that NCCL chooses from here: {known}"
            raise QuestionError(msg)
        return min(rows, key=lambda row: row.time_us)

    def to_dict(self) -> dict[str, object]:
        """Return the answer with every row; times in s, rates in Gb/s."""
        rows = [
            {
                "algorithm": row.algorithm,
                "protocol": row.protocol,
                "time_s": row.time_us * _SECONDS_PER_US,
                "latency_s": row.latency_us * _SECONDS_PER_US,
                "algbw_gbps": self.algbw_of(row),
                "busbw_gbps": self.busbw_of(row),
            }
            for row in self.rows
        ]
        return {
            "collective": self.collective,
            "size_bytes": self.size_bytes,
            "n_ranks": self.n_ranks,
            "n_nodes": self.n_nodes,
            "nccl": VERSION,
            **rows[self.rows.index(self.chosen)],
            "rows": rows,
        }

    def __str__(self) -> str:
        """Return the table that was chosen from, the chosen row marked."""
        ranks = f"{self.n_ranks:,} ranks on {self.n_nodes:,} node{'s' if self.n_nodes > 1 else ''}"
        lines = [f"{self.collective} of {format_bytes(self.size_bytes)} among {ranks}, NCCL {VERSION}"]
        for row in self.rows:
            mark = "*" if row is self.chosen else " "
            lines.append(
                f"{mark} {row.algorithm:<15}{row.protocol:<7}"
                f"{format_time(row.time_us * _SECONDS_PER_US):>9}  busbw {format_rate(self.busbw_of(row))}"
            )
        return "\n".join(lines)


def predict(machine: Machine, collective: str, size: int | str) -> Prediction:
    """Return the time that NCCL expects of every algorithm, and the one that it runs.

    Parameters
    ----------
    machine : Machine
    collective : {"all-reduce", "all-gather", "reduce-scatter", "broadcast", "reduce"}
    size : int or str
        Bytes, or text such as ``"1GiB"``, as nccl-tests counts them.

    Returns
    -------
    Prediction

    Raises
    ------
    QuestionError
        If the collective is unknown.
    UnitError
        If the size is none.

    Notes
    -----
    Of one operation alone, in a data type that every algorithm reduces.

    References
    ----------
    NVIDIA/nccl@5067397, src/graph/tuning.cc, ncclTopoGetAlgoTime.

    Examples
    --------
    >>> from fabric.nccl import Node, machine
    >>> prediction = predict(machine(Node(sm=90, n_gpus=8, n_nvlinks=18)), "all-reduce", "8GiB")
    >>> prediction.chosen.algorithm, round(prediction.busbw_gbps / 8, 1)
    ('nvls', 475.6)
    """
    size_bytes = parse_bytes(size)
    rows = tuple(
        _time_row(machine, collective, line, size_bytes)
        for line in tuning(machine, collective)
        if line.bandwidth_gb_s
    )
    chosen = min(rows, key=lambda row: row.time_us)  # the first among equals, as NCCL
    return Prediction(collective, size_bytes, machine.n_ranks, machine.n_nodes, rows, chosen)


def _time_row(machine: Machine, collective: str, line: TunerRow, size_bytes: int) -> Timed:
    latency, bandwidth = line.latency_us, line.bandwidth_gb_s
    if collective == "all-reduce":
        # Corrections that NCCL makes by size, of all-reduce only.
        bandwidth *= _correction(machine, line, size_bytes)
        latency *= _plateau(machine, line, size_bytes)
    time_us = latency + size_bytes / (_BYTES_PER_US * bandwidth)
    return Timed(line.algorithm, line.protocol, latency, bandwidth, time_us)


def _correction(machine: Machine, line: TunerRow, size_bytes: int) -> float:
    """Return the share of its bandwidth that a tree was measured to reach at that size."""
    shares = tables().correction[line.protocol]
    n_known = {"tree": len(shares) - 1}  # NCCL leaves out the last row here
    if machine.generation == "blackwell" and machine.cpu in X86:
        n_known["nvls-tree"] = len(shares)
    # Rows of the table are doublings of 64 bytes.
    step = (size_bytes >> 6).bit_length() - 1
    return shares[step] if 0 <= step < n_known.get(line.algorithm, 0) else 1.0


def _plateau(machine: Machine, line: TunerRow, size_bytes: int) -> float:
    """Return how much longer the steps of a long ring take between nodes."""
    factors = tables().factors
    # The plateau effect of rings, by the bytes of one rank on one channel.
    per_channel = size_bytes // (machine.n_channels * machine.n_ranks)
    is_long = machine.n_nodes > 1 and per_channel >= factors["plateau_bytes"]
    if (line.algorithm, line.protocol) != ("ring", "Simple") or not is_long:
        return 1.0
    return factors["plateau" if machine.is_since("ampere") else "plateau_volta"]


def _as_dict(line: TunerRow) -> dict[str, object]:
    return {name: getattr(line, name) for name in line.__dataclass_fields__}
