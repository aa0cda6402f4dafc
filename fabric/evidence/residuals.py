"""How far measured times were from predictions made without them, by class of question.

A class is a collective, an algorithm, a band of sizes, and one box, two, few nodes or many. Of one with fewer
than `LEAST` residuals, or with those of one source alone, that of its parent is taken: first any algorithm,
then any number of nodes, then any collective. Outside the evidence the interval is the widest of the class
and its parents, as none of them was tried there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np

from fabric.evidence.points import points

LEAST = 10
MARGIN = 0.88
"""Of the lowest ratio that a healthy run had to its prediction: where a run passes."""
_CLOSE = 0.97
"""The least margin, where with more half of a healthy rate would pass."""
_REFITTED = 1.13
"""What the fit to all runs differs by from one without a run."""
_SPREAD = 1.7
"""Highest over lowest ratio of a class up to which half of a healthy rate is told from a healthy one."""
BANDS = ((64 << 10, "up to 64 KiB"), (1 << 20, "up to 1 MiB"), (64 << 20, "up to 64 MiB"))
"""The last size of a band and its name; beyond is ``"above 64 MiB"``."""
FEW_DOMAINS = 8


@dataclass(frozen=True, slots=True)
class Residual:
    """One point held against a fit that did not know its run.

    Parameters
    ----------
    collective, algorithm : str
        The algorithm is that of the prediction.
    size_bytes, domains : int
    ratio : float
        Predicted over measured time, which is measured over predicted busbw.
    is_fitted : bool
        Whether the calibration was made from it; what ran on another kind of network was not.
    ranks : int
        0 where they are not known.
    gpu : str
        Part of the ranks, if it is known.
    time_s : float
        Measured; 0 where it is not kept [s].
    source : str
        Name of an `EvidenceSource`; empty of a log of one's own.
    """

    collective: str
    algorithm: str
    size_bytes: int
    domains: int
    ratio: float
    is_fitted: bool = True
    ranks: int = 0
    gpu: str = ""
    time_s: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class ResidualClass:
    """The residuals that speak for a question.

    Parameters
    ----------
    name : str
    n : int
    low, high : float
        10th and 90th percentile of measured over predicted busbw.
    rows : tuple of Residual
        Those that the calibration was made from; all where it was made from none.
    """

    name: str
    n: int
    low: float
    high: float
    rows: tuple[Residual, ...]

    def least(self, gpu: str, ranks: int, domains: int, size_bytes: int) -> float:
        """Return the least ratio that passes: a little below the lowest of healthy runs of the kind.

        The kind is the widest in which a run at half of its healthy rate still fails: the class, its runs of
        the same GPU, of so many of them, of about the size.
        """
        same = tuple(r for r in self.rows if r.gpu == gpu)
        alike = tuple(r for r in same if (r.ranks, r.domains) == (ranks, domains))
        near = (
            tuple(r for r in alike if max(r.size_bytes, size_bytes) <= far * min(r.size_bytes, size_bytes))
            for far in (4, 2, 1)
        )
        kinds = [[r.ratio for r in rows] for rows in (self.rows, same, alike, *near) if rows]
        telling = (ratios for ratios in kinds if max(ratios) <= _SPREAD * min(ratios))
        ratios = next(telling, kinds[-1])
        # What is expected is enough, however much faster runs were.
        # The fit to all runs is a little off from those without one of them.
        lowest, half = min(1.0, *ratios), _REFITTED * max(ratios) / 2
        return min(max(MARGIN * lowest, half), _CLOSE * lowest)


def band_of(size_bytes: int) -> str:
    """Return the band of a size.

    Examples
    --------
    >>> band_of(65536), band_of(65537), band_of(2**30)
    ('up to 64 KiB', 'up to 1 MiB', 'above 64 MiB')
    """
    return next((name for last, name in BANDS if size_bytes <= last), "above 64 MiB")


def reach_of(domains: int) -> str:
    """Return one box, two, few nodes or many, in words.

    Two are a kind of their own: a tree of two sends every byte once each way, so that what a run shows is up
    to the channels of its library as much as to its cards.
    """
    if domains <= 2:
        return "one domain" if domains == 1 else "two domains"
    return "few domains" if domains <= FEW_DOMAINS else "many domains"


@cache
def residuals(calibration: str) -> tuple[Residual, ...]:
    """Return the residuals of a calibration that comes with the package; none of any other."""
    file = resources.files("fabric.evidence") / "data" / f"{calibration}.residuals.csv"
    if not file.is_file():
        return ()
    rows = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    gpus = {point.system: point.gpu for point in points()}
    return tuple(
        Residual(
            row["collective"],
            row["algorithm"],
            int(row["size_bytes"]),
            int(row["domains"]),
            float(row["ratio"]),
            row["fitted"] == "yes",
            int(row["ranks"]),
            gpus.get(row["system"], ""),
            source=row["source"],
        )
        for row in rows
    )


def residual_class(
    known: Iterable[Residual],
    collective: str,
    algorithm: str,
    size_bytes: int,
    domains: int,
    *,
    is_outside: bool = False,
) -> ResidualClass | None:
    """Return the residuals that speak for a question: those of its class, or of a parent.

    Parameters
    ----------
    known : iterable of Residual
    collective, algorithm : str
    size_bytes, domains : int
    is_outside : bool
        Whether the question leaves the evidence.

    Examples
    --------
    >>> found = residual_class(residuals("measured"), "all-reduce", "ring", 2**30, 1)
    >>> found.low < 1 < found.high
    True
    """
    band, reach = band_of(size_bytes), reach_of(domains)
    in_band = [r for r in known if band_of(r.size_bytes) == band]
    near = [r for r in in_band if reach_of(r.domains) == reach]
    of_collective = [r for r in near if r.collective == collective]
    levels = (
        (
            f"{collective}, {algorithm}, {band}, {reach}",
            [r for r in of_collective if r.algorithm == algorithm],
        ),
        (f"{collective}, {band}, {reach}", of_collective),
        (f"{collective}, {band}", [r for r in in_band if r.collective == collective]),
        (f"any collective, {band}", in_band),
    )
    found = [_class_of(name, rows) for name, rows in levels if _speak(rows)]
    if not found or not is_outside:
        return found[0] if found else None
    low, high = min(c.low for c in found), max(c.high for c in found)
    widest = f"widest of {found[0].name} and its parents" if len(found) > 1 else found[0].name
    return replace(found[0], name=widest, n=found[-1].n, low=low, high=high)


def _speak(rows: Sequence[Residual]) -> bool:
    """Return whether residuals speak for others: there are enough, and not all of one published source."""
    sources = {r.source for r in rows}
    return len(rows) >= LEAST and (len(sources) > 1 or "" in sources)


def _class_of(name: str, rows: Sequence[Residual]) -> ResidualClass:
    ratios = np.array([r.ratio for r in rows])
    low, high = np.quantile(ratios, (0.1, 0.9)).tolist()
    fitted = tuple(r for r in rows if r.is_fitted) or tuple(rows)
    return ResidualClass(name, len(rows), low, high, fitted)
