"""The table of a design at many sizes: its rows, its knees, and every form they are printed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fabric.results import Result
from fabric.text.chart import curve
from fabric.text.columns import columns
from fabric.text.markdown import bullets, escape, table
from fabric.text.spreadsheet import write_csv
from fabric.units import format_bytes, format_count, gbps_to_gbytes

ALL_TO_ALL, TIERS = "all-to-all binds", "tiers"
"""Traits of a design: the link class that binds uniform all-to-all, and the tiers of switches."""


def traits_of(collective: str) -> tuple[str, str, str]:
    """Return the traits that the cost of a collective says.

    The algorithm that is expected, what binds it, and whether its time goes to bytes or to steps.
    """
    return f"{collective} by", f"{collective} binds", f"{collective} time goes to"


class BusbwBound(NamedTuple):
    """The busbw of a collective that no algorithm exceeds [Gb/s], and by what, where not by its program."""

    collective: str
    busbw_gbps: float
    why: str = ""


class CollectiveTime(NamedTuple):
    """Time of a collective [s], by which algorithm, and the link class that binds.

    Beside them its busbw; from low to high lies that of 80 % of runs, 0 where not known [Gb/s]; the part of
    the time that goes to steps; whether it is measured, interpolated or extrapolated, empty at wire rates.
    """

    collective: str
    time_s: float
    algorithm: str
    binding: str
    busbw_gbps: float = 0.0
    low_gbps: float = 0.0
    high_gbps: float = 0.0
    latency_share: float = 0.0
    evidence: str = ""


class FastAlgorithm(NamedTuple):
    """An algorithm as fast as the expected one, the link class that binds it, and what takes most time."""

    collective: str
    algorithm: str
    binding: str
    goes_to: str = "bytes"


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """One size.

    Parameters
    ----------
    asked, gpus : int
        GPUs asked for, and built: whole racks.
    tiers, switches, cables : int
        Tiers of switches, switches, and cables of the network beyond the racks.
    all_to_all_gbps : float
        Rate of every GPU in uniform all-to-all, exact [Gb/s].
    all_to_all_binding : str
        Link class with the largest share of its price, and that share.
    all_to_all_share : float
    bounds : tuple of BusbwBound
        Of an all-gather and each collective.
    known_w : float
        Power of the parts whose power is known [W].
    costed_gpus : int
        GPUs that the collectives are costed for: the design with its last block filled.
    times : tuple of CollectiveTime
        Of each collective.
    ties : tuple of FastAlgorithm
        For each collective the algorithms that are as fast but for 1 %, the chosen one first.
    problem : str
        Why there is no design of this size; then all else is zero or empty.
    """

    asked: int
    gpus: int = 0
    tiers: int = 0
    switches: int = 0
    cables: int = 0
    all_to_all_gbps: float = 0.0
    all_to_all_binding: str = ""
    all_to_all_share: float = 0.0
    bounds: tuple[BusbwBound, ...] = ()
    known_w: float = 0.0
    costed_gpus: int = 0
    times: tuple[CollectiveTime, ...] = ()
    ties: tuple[FastAlgorithm, ...] = ()
    problem: str = ""

    def signature(self) -> dict[str, tuple[str, ...]]:
        """Return what a knee is a change of: for each thing its value, and others that are as good."""
        if self.problem:
            return {"design": ("none",)}
        traits: dict[str, tuple[str, ...]] = {
            TIERS: (str(self.tiers),),
            ALL_TO_ALL: (self.all_to_all_binding,),
        }
        for name, *values in self.ties:
            for trait, value in zip(traits_of(name), values, strict=True):
                traits[trait] = (*traits.get(trait, ()), value)
        return traits

    def cells(self) -> dict[str, object]:
        """Return the columns of the table."""
        cells: dict[str, object] = {
            "gpus": self.gpus or self.asked,
            "tiers": self.tiers,
            "switches": self.switches,
            "cables": self.cables,
            "switches_per_1000_gpus": 1000 * self.switches / self.gpus if self.gpus else 0.0,
            "all_to_all_gbps": self.all_to_all_gbps,
            "all_to_all_binding": self.all_to_all_binding,
            "all_to_all_share": self.all_to_all_share,
            "known_kw_per_gpu": self.known_w / 1000 / self.gpus if self.gpus else 0.0,
            "costed_gpus": self.costed_gpus,
        }
        for name, rate, why in self.bounds:
            key = name.replace("-", "_")
            cells[f"{key}_busbw_bound_gbps"] = rate
            if why:
                cells[f"{key}_busbw_bound_by"] = why
        for name, *values in self.times:
            key = name.replace("-", "_")
            fields = ("s", "algorithm", "binding", *CollectiveTime._fields[4:])
            cells |= {f"{key}_{field}": value for field, value in zip(fields, values, strict=True)}
        return cells | {"problem": self.problem}


@dataclass(frozen=True, slots=True)
class Knee:
    """A size from which on something is different.

    Parameters
    ----------
    gpus : int
        The smallest size, in whole racks, that has the new value.
    what : str
    before, after : str
    """

    gpus: int
    what: str
    before: str
    after: str

    def say(self, shown: Callable[[str], str]) -> str:
        """Return the knee in a line, its words as `shown` writes them."""
        change = f"{shown(self.before)} -> {shown(self.after)}"
        return f"from {format_count(self.gpus)} GPUs: {shown(self.what)}: {change}"

    def __str__(self) -> str:
        """Return the knee in a line."""
        return self.say(str)


@dataclass(frozen=True, slots=True)
class ScaleTable(Result):
    """Answer of `scale`.

    Parameters
    ----------
    rows : tuple of ScaleRow
        By size.
    knees : tuple of Knee
    size_bytes : int
        Of the collectives.
    calibration, about : str
        Of their costs, and what it says of itself; empty where nothing was costed.
    """

    rows: tuple[ScaleRow, ...]
    knees: tuple[Knee, ...]
    size_bytes: int
    calibration: str = ""
    about: str = ""

    def table(self) -> list[dict[str, object]]:
        """Return the rows as records; every record has all columns."""
        records = [row.cells() for row in self.rows]
        names = list(dict.fromkeys(name for record in records for name in record))
        return [{name: record.get(name, "") for name in names} for record in records]

    def to_csv(self) -> str:
        """Return the rows as CSV."""
        records = self.table()
        return write_csv(list(records[0]), (list(record.values()) for record in records))

    def to_markdown(self) -> str:
        """Return rows, calibration and knees as Markdown."""
        head, cells = self._cells()
        blocks = [table(head, [[escape(cell) for cell in row] for row in cells])]
        if self.about:
            blocks.append(self._about(escape))
        if self.knees:
            blocks += ["Knees:", bullets(knee.say(escape) for knee in self.knees)]
        return "\n\n".join(blocks)

    def __str__(self) -> str:
        """Return rows, calibration and knees as text."""
        blocks = [columns(*self._cells())]
        if self.about:
            blocks.append(self._about(str))
        if self.knees:
            blocks.append("\n".join(["Knees:", *(f"  {knee.say(str)}" for knee in self.knees)]))
        return "\n\n".join(blocks)

    def picture(self) -> str:
        """Return the all-to-all rate of every GPU over the sizes."""
        built = [row for row in self.rows if not row.problem]
        if not built:
            return ""
        rates = [gbps_to_gbytes(row.all_to_all_gbps) for row in built]
        title = f"all-to-all of each GPU: {rates[0]:.4g} GB/s at {format_count(built[0].gpus)} GPUs"
        title += f", {rates[-1]:.4g} GB/s at {format_count(built[-1].gpus)}"
        return curve(title, "GB/s", [format_count(row.gpus) for row in built], {"each GPU": rates})

    def _about(self, write: Callable[[str], str]) -> str:
        about = write(f"calibration {self.calibration}: {self.about}")
        return f"Collectives of {format_bytes(self.size_bytes)}, {about}"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the heading and the rows as they are read."""
        records = self.table()
        names = [n for n in records[0] if n != "problem"]
        rows = []
        for record in records:
            shown = [_show(record[n]) for n in names]
            if record["problem"]:
                shown = [_show(record["gpus"]), f"no design: {record['problem']}", *[""] * (len(names) - 2)]
            rows.append(shown)
        return [f">{name}" for name in names], rows


def _show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return format_count(value) if isinstance(value, int) else str(value)
