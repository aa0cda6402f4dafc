"""What each class of links has to do with a throughput: share of the price, load, and what it can spare."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fabric.arrays import Floats
from fabric.flow.commodities import Commodities
from fabric.flow.slack import SpareCapacity

_NO_SHARE = 1e-9


@dataclass(frozen=True, slots=True)
class LinkPrice:
    """What one link class has to do with the answer.

    Parameters
    ----------
    link : str
        Rule.
    n_cables : int
        Cables of the class that are up.
    share : float
        Share of the price: the classes with a share bind, and the shares of all sum to 1.
    load : float
        Busiest direction: load over capacity, in the solution found.
    spare : float
        Part of its capacity that the class alone can lose at this rate, whatever the others then carry; 0
        where it binds.
    is_measured : bool
        Whether `spare` is all of that, by a program of its own; else it is at least so much.
    """

    link: str
    n_cables: int
    share: float
    load: float
    spare: float = 0.0
    is_measured: bool = True

    def __str__(self) -> str:
        """Return the class with its slack, such as ``gpu-leaf 12.5 %``."""
        return f"{self.link} {'' if self.is_measured else 'at least '}{100 * self.spare:.3g} %"


def rank_links(
    work: Commodities, worth: Floats, use: Floats, idle: SpareCapacity | None
) -> tuple[tuple[LinkPrice, ...], tuple[LinkPrice, ...]]:
    """Return the rules with a price, dearest first, and the others that the traffic needs, tightest first.

    Parameters
    ----------
    work : Commodities
    worth, use : ndarray of float64
        Capacity times price, and load over capacity, of every base class of links.
    idle : SpareCapacity or None
        What measures the spare part of the others; None where that would cost too much.
    """
    rows = _with_spare(work, idle, _prices(work, worth, use))
    # Equal but for rounding, they stay in the order of the file: on every machine the same.
    binding = sorted((r for r in rows if r.share > _NO_SHARE), key=lambda r: -round(r.share, 6))
    # What can spare all is not needed: whether one solution uses it is chance.
    spared = (r for r in rows if r.share <= _NO_SHARE < r.load and r.spare < 1 - _NO_SHARE)
    return tuple(binding), tuple(sorted(spared, key=lambda r: round(r.spare, 6)))


def _prices(work: Commodities, worth: Floats, use: Floats) -> list[LinkPrice]:
    """Return what every rule has to do with the answer, without what it can spare."""
    e = work.base.classes
    # From base classes to links: each link has its part of the price of its class.
    worth, busy = worth[work.base.base] * _fraction(work), use[work.base.base]
    # Shares of the whole: of capacity times price, summed over all links.
    total = float(worth.sum())
    rows = []
    for number, rule in enumerate(e.rules):
        of_rule = np.repeat(e.rule == number, 2)
        if of_rule.any():
            # Between peers the base lists a cable once for each direction.
            n_cables = int(e.count[e.rule == number].sum()) // work.n_listings(number)
            share = float(worth[of_rule].sum()) / total if total else 0.0
            rows.append(LinkPrice(rule.name, n_cables, share, min(float(busy[of_rule].max()), 1.0)))
    return rows


def _with_spare(work: Commodities, idle: SpareCapacity | None, rows: list[LinkPrice]) -> list[LinkPrice]:
    """Return `rows` with what each alone can spare; without a measure, what it does not carry anyway."""
    # What has a price cannot spare anything; what carries nothing can spare all.
    slack = [at for at, row in enumerate(rows) if row.share <= _NO_SHARE < row.load]
    priced = list(rows)
    # What it leaves idle in this solution is at least to spare.
    if idle is None:
        for at in slack:
            priced[at] = replace(rows[at], spare=1 - rows[at].load, is_measured=False)
        return priced
    # Rules of a graph can share a name: links of one name lose the same part together.
    names = np.array([rule.name for rule in work.base.classes.rules])[work.base.classes.rule]
    sets = [np.unique(work.base.base[np.repeat(names == rows[at].link, 2)]) for at in slack]
    for at, spare in zip(slack, idle.spares(sets), strict=True):
        priced[at] = replace(rows[at], spare=spare)
    return priced


def _fraction(work: Commodities) -> Floats:
    """Return for every link of the base its part of the capacity of its class."""
    link_gbps = np.repeat(work.base.classes.count * work.base.classes.rate_gbps, 2)
    class_gbps = work.capacity[work.base.base]
    return np.divide(link_gbps, class_gbps, out=np.zeros(len(link_gbps)), where=class_gbps > 0)
