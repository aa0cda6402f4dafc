"""The table of measured points, and the fabrics that they were measured on.

``points.csv`` has one row for every point: system, fabric, ranks, collective, size, time, in or out of place,
library, source. A fabric is a template of one scale-up domain; where there are several, one switch that
blocks nothing stands for the network between them, as published runs do not say what theirs was.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

_NOT_IN_SWITCHES = frozenset({"int8", "uint8", "f8e4m3", "f8e5m2"})
"""Types that NVSwitches do not add up (NVIDIA/nccl@5067397, ``ncclNvlsSupported``)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measured time.

    Parameters
    ----------
    system : str
        What was measured, in a few words.
    fabric : str
        Template of one scale-up domain, such as ``hgx-h100``.
    gpu : str
        Part of the ranks.
    nic_gbps : float
        Of each card of the template; 0 where no message leaves the domain [Gb/s].
    among : str
        Selector of the ranks, of every domain alike; empty for all.
    ranks, domains : int
        GPUs that took part, and scale-up domains that they lay in, equally many in each.
    collective : str
    dtype : str
        As the log has it.
    size_bytes : int
        By the convention of nccl-tests.
    time_s : float
    forced : str
        Algorithm that the run was made to use, and the protocol behind it where that was too; else empty.
    is_in_place : bool
    library : str
        With its version, where that is known.
    source : str
        Name of a `EvidenceSource`.
    """

    system: str
    fabric: str
    gpu: str
    nic_gbps: float
    among: str
    ranks: int
    domains: int
    collective: str
    dtype: str
    size_bytes: int
    time_s: float
    forced: str
    is_in_place: bool
    library: str
    source: str

    @property
    def curve(self) -> tuple[str, ...]:
        """What the points of one run have in common."""
        return (self.system, self.collective, self.dtype, str(self.ranks), self.forced, self.source)

    @property
    def site(self) -> tuple[str, str]:
        """One source's machines of one GPU."""
        return (self.source, self.gpu)

    @property
    def is_added_in_switches(self) -> bool:
        """Whether NVSwitches add up the type."""
        return self.dtype not in _NOT_IN_SWITCHES


@dataclass(frozen=True, slots=True)
class EvidenceSource:
    """Where points come from.

    Parameters
    ----------
    name, title, url, licence, note : str
    """

    name: str
    title: str
    url: str
    licence: str
    note: str


@cache
def points() -> tuple[Point, ...]:
    """Return every measured point.

    Examples
    --------
    >>> from fabric.evidence import points
    >>> max(point.ranks for point in points())
    1440
    """
    return points_of(_text("points.csv"))


def points_of(text: str) -> tuple[Point, ...]:
    """Return the points of a table such as ``points.csv``."""
    return tuple(
        Point(
            system=row["system"],
            fabric=row["fabric"],
            gpu=row["gpu"],
            nic_gbps=float(row["nic_gbps"]),
            among=row["among"],
            ranks=int(row["ranks"]),
            domains=int(row["domains"]),
            collective=row["collective"],
            dtype=row["dtype"],
            size_bytes=int(row["size_bytes"]),
            time_s=float(row["time_us"]) * 1e-6,
            forced=row["forced"],
            is_in_place=row["place"] == "in",
            library=row["library"],
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


@cache
def sources() -> dict[str, EvidenceSource]:
    """Return the sources of the points by name."""
    return {row["name"]: EvidenceSource(**row) for row in _rows("sources.csv")}


@dataclass(frozen=True, slots=True)
class TokenPoint:
    """One measured time of tokens on their way to experts, or back, inside one scale-up domain.

    Parameters
    ----------
    system, fabric, gpu, among, ranks, source
        As of a `Point`.
    way : {"dispatch", "combine"}
    choice : str
        How a token chooses its experts; see `fabric.schedule.Moe`.
    hidden, top_k, experts, tokens : int
    bytes_per_value : float
    time_s : float
    """

    system: str
    fabric: str
    gpu: str
    among: str
    ranks: int
    way: str
    choice: str
    hidden: int
    top_k: int
    experts: int
    bytes_per_value: float
    tokens: int
    time_s: float
    source: str


@cache
def token_points() -> tuple[TokenPoint, ...]:
    """Return every measured time of a mixture of experts."""
    texts = ("system", "fabric", "gpu", "among", "way", "choice", "source")
    counts = ("ranks", "hidden", "top_k", "experts", "tokens")
    return tuple(
        TokenPoint(
            **{name: row[name] for name in texts},  # type: ignore[arg-type]
            **{name: int(row[name]) for name in counts},  # type: ignore[arg-type]
            bytes_per_value=float(row["bytes_per_value"]),
            time_s=float(row["time_us"]) * 1e-6,
        )
        for row in _rows("tokens.csv")
    )


def _text(file: str) -> str:
    return (resources.files("fabric.evidence") / "data" / file).read_text(encoding="utf-8")


def _rows(file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(file).splitlines()))


def fabric_text(point: Point) -> str:
    """Return a topology file of what a point was measured on.

    Examples
    --------
    >>> from fabric.evidence import points
    >>> print(fabric_text(next(p for p in points() if p.domains == 20)))
    fabric: gb200-nvl72-x20
    include: {fabric: gb200-nvl72, over: {domain: 20}}
    devices: {network: {kind: switch, axes: []}}
    links: [{between: [nic, network], rate: 400Gb/s}]
    """
    if point.domains == 1:
        return f"fabric: one-{point.fabric}\ninclude: {point.fabric}"
    return "\n".join(
        [
            f"fabric: {point.fabric}-x{point.domains}",
            f"include: {{fabric: {point.fabric}, over: {{domain: {point.domains}}}}}",
            "devices: {network: {kind: switch, axes: []}}",
            f"links: [{{between: [nic, network], rate: {point.nic_gbps:g}Gb/s}}]",
        ]
    )
