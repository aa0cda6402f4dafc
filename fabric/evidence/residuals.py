"""How far measured times were from predictions made without them, by class of question.

A class is a collective, an algorithm, a band of sizes, and one box, two, few nodes or many. Who asks has a
machine of his own, so that an interval tells how sites differ, not how the points of one do: every residual
is of a fit that did not know its site, and every site counts alike, however many points it published. Of k
sites the next one lies below the lowest with a chance of one in k + 1, half to either side beyond them all
(split conformal prediction: Vovk, Gammerman, Shafer 2005); so a class of fewer than `LEAST_SITES` says
nothing, and that of its parent is taken: first any algorithm, then any number of nodes beyond one, then any
collective. Outside the evidence the interval is the widest of the class and its parents, and wider with every
doubling beyond it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from statistics import NormalDist

import numpy as np

from fabric.evidence.points import points

LEAST = 10
"""Points of a log of one's own from which its intervals are made."""
LEAST_SITES = 4
"""Sites of a class that speaks: of fewer none of eighty per cent is known."""
_PER_DOUBLING = 1.1
"""How much farther an interval reaches to either side for every doubling beyond all that was measured.

Three runs lie beyond all others of their GPU between domains: 128 nodes, 20 racks and 16 nodes are predicted
1.82, 0.94 and 0.99 times too slow at 3.4, 2.7 and 2.0 doublings, which is 1.19, 1.02 and 1.01 a doubling, and
1.10 in the root of the mean square."""
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
    ratio_site : float
        As `ratio`, by a fit that knew nothing of its site.
    is_forced : bool
        Whether the library was told what to run: that says nothing of what it runs unasked.
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
    ratio_site: float = 0.0
    is_forced: bool = False

    @property
    def site(self) -> tuple[str, str]:
        """One source's machines of one GPU."""
        return (self.source, self.gpu)

    @property
    def unknown(self) -> float:
        """The ratio by a fit that did not know the site; of one's own log that by a fit without the point."""
        return self.ratio_site or self.ratio


@dataclass(frozen=True, slots=True)
class ResidualClass:
    """The residuals that speak for a question.

    Parameters
    ----------
    name : str
    n : int
    sites : int
        That they are of; 0 of a log of one's own.
    low, high : float
        What measured over predicted busbw lies between at eight of ten sites.
    rows : tuple of Residual
        Those that the calibration was made from; all where it was made from none.
    """

    name: str
    n: int
    sites: int
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
            ratio_site=float(row.get("ratio_site") or row["ratio"]),
            is_forced=row.get("forced") == "yes",
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
    doublings: float = 0.0,
) -> ResidualClass | None:
    """Return the residuals that speak for a question: those of its class, or of a parent.

    Parameters
    ----------
    known : iterable of Residual
    collective, algorithm : str
    size_bytes, domains : int
    is_outside : bool
        Whether the question leaves the evidence.
    doublings : float
        How far it does: of ranks, domains and size together.

    Examples
    --------
    >>> found = residual_class(residuals("measured"), "all-reduce", "ring", 2**30, 1)
    >>> found.low < 1 < found.high
    True
    """
    band, reach = band_of(size_bytes), reach_of(domains)
    in_band = [
        r
        for r in known
        if not r.is_forced and band_of(r.size_bytes) == band and (r.domains > 1) == (domains > 1)
    ]
    of_collective = [r for r in in_band if r.collective == collective]
    near = [r for r in of_collective if reach_of(r.domains) == reach]
    where = "one domain" if domains == 1 else "several domains"
    levels = (
        (f"{collective}, {algorithm}, {band}, {reach}", [r for r in near if r.algorithm == algorithm]),
        (f"{collective}, {band}, {reach}", near),
        (f"{collective}, {band}, {where}", of_collective),
        (f"any collective, {band}, {where}", in_band),
    )
    found = [c for c in (_class_of(name, rows) for name, rows in levels) if c is not None]
    if not found or not is_outside:
        return found[0] if found else None
    wider = _PER_DOUBLING**doublings
    low, high = min(c.low for c in found) / wider, max(c.high for c in found) * wider
    widest = f"widest of {found[0].name} and its parents" if len(found) > 1 else found[0].name
    return replace(found[0], name=widest, n=found[-1].n, sites=found[-1].sites, low=low, high=high)


def _class_of(name: str, rows: Sequence[Residual]) -> ResidualClass | None:
    """Return the class of some residuals; None where they say nothing of another site."""
    by_site: dict[tuple[str, str], list[float]] = {}
    for r in rows:
        by_site.setdefault(r.site, []).append(r.unknown)
    is_own = any(not r.source for r in rows)
    if len(rows) < LEAST if is_own else len(by_site) < LEAST_SITES:
        return None
    if is_own:
        low, high = np.quantile([r.ratio for r in rows], (0.1, 0.9)).tolist()
    else:
        low, high = between_sites(list(by_site.values()))
    fitted = tuple(r for r in rows if r.is_fitted) or tuple(rows)
    return ResidualClass(name, len(rows), 0 if is_own else len(by_site), low, high, fitted)


def between_sites(ratios: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return what the ratio of a further site lies between with a chance of 80 %.

    Parameters
    ----------
    ratios : sequence of sequence of float
        Of every site; k of them.

    Returns
    -------
    low, high : float
        Where a tenth of the chance is left to either side, if every site counts alike and the next one may
        as well lie beyond them all: with the chance 1 / (k + 1), half of it to either side. Where that alone
        is more than a tenth, as of fewer than nine sites of one point each, the logarithm is taken to go on
        as a normal distribution does.

    Examples
    --------
    >>> low, high = between_sites([[0.9], [0.95], [1.0], [1.05], [1.1], [1.15], [1.2], [1.25], [1.3]])
    >>> round(low, 3), round(high, 3)
    (0.9, 1.3)
    """
    values = np.log(np.concatenate([np.asarray(own, dtype=np.float64) for own in ratios]))
    weight = np.concatenate([np.full(len(own), 1 / len(own)) for own in ratios])
    order = np.argsort(values, kind="stable")
    # The middle of the share of every value among all sites and the unknown one.
    share = (np.cumsum(weight[order]) - weight[order] / 2 + 0.5) / (len(ratios) + 1)
    inner = np.interp((0.1, 0.5, 0.9), share, values[order])
    low, middle, high = inner.tolist()
    low = middle + (low - middle) * max(_TENTH / _deviations(share[0]), 1.0)
    high = middle + (high - middle) * max(_TENTH / _deviations(1 - share[-1]), 1.0)
    return float(np.exp(low)), float(np.exp(high))


def _deviations(share: float) -> float:
    """Return how many standard deviations below the mean a share of a normal distribution lies."""
    return -NormalDist().inv_cdf(min(share, 0.45))


_TENTH = _deviations(0.1)
