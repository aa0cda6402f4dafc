"""The constants of NCCL's tuner, read from the data files of this package.

Every row names the version and the file of NCCL that it was read in. No figure of NCCL stands in code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from fabric.parts.rows import Row, read_rows

PROTOCOLS = ("LL", "LL128", "Simple")
"""In the order of NCCL, which is the order of preference among equals."""
GENERATIONS = ("volta", "ampere", "hopper", "blackwell")
VERSION = "2.30.7"
"""The version of NCCL that all rows must be of."""

Triple = tuple[float, float, float]

_GROUND = ("version", "source")
_BY_PROTOCOL = ("ll", "ll128", "simple")
_BY_SCALE = ("one_node_gb_s", "two_nodes_gb_s", "more_nodes_gb_s")


@dataclass(frozen=True, slots=True)
class Tables:
    """All constants of one version.

    Parameters
    ----------
    latencies_us : mapping
        From (hardware, algorithm) to the latencies of LL, LL128 and Simple [us]; hardware ``base`` is the
        constant part, the rest is for one step.
    caps_gb_s : mapping
        From (cap, generation) to the bound on one, two, and more nodes [GB/s].
    factors : mapping
        Single figures; what each means stands in ``factors.csv``.
    correction : mapping
        From protocol to the share of a tree's bandwidth at 64 bytes times 2, 4, 8, ...
    nvlinks : tuple of (int, int, float)
        First and last compute capability, and the rate of one link [GB/s].
    pcie_lane_gb_s : mapping
        From generation to the rate of one lane [GB/s].
    ladders_gb_s : mapping
        From (``intra`` or ``inter``, generation) to the channel rates that the search tries, fastest first.
    gpus : mapping
        From the NVLink protocol of the catalogue to the compute capability of the GPUs that have it.
    """

    latencies_us: Mapping[tuple[str, str], Triple]
    caps_gb_s: Mapping[tuple[str, str], Triple]
    factors: Mapping[str, float]
    correction: Mapping[str, tuple[float, ...]]
    nvlinks: tuple[tuple[int, int, float], ...]
    pcie_lane_gb_s: Mapping[int, float]
    ladders_gb_s: Mapping[tuple[str, str], tuple[float, ...]]
    gpus: Mapping[str, int]


@cache
def tables() -> Tables:
    """Return the constants that come with the package, read once.

    Examples
    --------
    >>> tables().latencies_us["nvlink", "ring"]
    (0.6, 1.9, 3.4)
    """
    return load_tables(resources.files("fabric.nccl").joinpath("data"))


def load_tables(directory: Traversable | Path) -> Tables:
    """Read the constants from a directory.

    Parameters
    ----------
    directory : Traversable or Path
        Holds ``latencies.csv``, ``caps.csv``, ``factors.csv``, ``tree_correction.csv``, ``nvlinks.csv``,
        ``pcie.csv``, ``ladders.csv`` and ``gpus.csv``.

    Returns
    -------
    Tables

    Raises
    ------
    PartError
        If a file is missing or malformed, or a row is of another version or has no source.
    """
    by_us = tuple(f"{p}_us" for p in _BY_PROTOCOL)
    latencies = _rows(directory, "latencies.csv", ("hardware", "algorithm", *by_us))
    caps = _rows(directory, "caps.csv", ("cap", "generation", *_BY_SCALE))
    factors = _rows(directory, "factors.csv", ("factor", "value", "meaning"))
    correction = _rows(directory, "tree_correction.csv", ("n_doublings_of_64_bytes", *_BY_PROTOCOL))
    nvlinks = _rows(directory, "nvlinks.csv", ("from_sm", "to_sm", "link_gb_s"))
    pcie = _rows(directory, "pcie.csv", ("generation", "transfers_gt_s", "lane_gb_s"))
    ladders = _rows(directory, "ladders.csv", ("scope", "generation", "speeds_gb_s"))
    gpus = _rows(directory, "gpus.csv", ("nvlink", "sm"))
    return Tables(
        MappingProxyType({(r.text("hardware"), r.text("algorithm")): _triple(r, by_us) for r in latencies}),
        MappingProxyType(
            {(r.text("cap"), r.choice("generation", GENERATIONS)): _triple(r, _BY_SCALE) for r in caps}
        ),
        MappingProxyType({r.text("factor"): _factor(r) for r in factors}),
        MappingProxyType(
            {
                name: tuple(r.rate(column) for r in correction)
                for name, column in zip(PROTOCOLS, _BY_PROTOCOL, strict=True)
            }
        ),
        tuple((r.whole("from_sm"), r.whole("to_sm"), r.rate("link_gb_s")) for r in nvlinks),
        MappingProxyType({r.whole("generation"): r.rate("lane_gb_s") for r in pcie}),
        MappingProxyType(
            {(r.text("scope"), r.choice("generation", GENERATIONS)): _speeds(r) for r in ladders}
        ),
        MappingProxyType({r.text("nvlink"): r.whole("sm") for r in gpus}),
    )


def _rows(directory: Traversable | Path, file: str, columns: tuple[str, ...]) -> list[Row]:
    rows = read_rows(directory, file, (*columns, *_GROUND))
    for row in rows:
        row.choice("version", (VERSION,))
        row.text("source")
    return rows


def _triple(row: Row, columns: tuple[str, ...]) -> Triple:
    first, second, third = (row.number(c) for c in columns)
    return first, second, third


def _factor(row: Row) -> float:
    """Read a number, or a quotient such as 7/9 that no decimal is equal to."""
    try:
        return float(Fraction(row.text("value")))
    except (ValueError, ZeroDivisionError):
        row.refuse(f"value is {row.cells['value']!r}; expected a number or a quotient such as 7/9")


def _speeds(row: Row) -> tuple[float, ...]:
    try:
        speeds = tuple(float(word) for word in row.text("speeds_gb_s").split())
    except ValueError:
        speeds = ()
    if not speeds or min(speeds) <= 0 or sorted(set(speeds), reverse=True) != list(speeds):
        row.refuse("speeds_gb_s is no list of rates above 0, fastest first")
    return speeds
