"""Cables as they were found, as arrays: what recovery works on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fabric.arrays import Floats, Ints
from fabric.interop.sources import FoundCable

_DIGITS = re.compile(r"(\d+)", re.ASCII)


@dataclass(frozen=True, eq=False)
class Dump:
    """Nodes, and how many cables join every two of them.

    Parameters
    ----------
    names : tuple of str
        n nodes, in the order in which people count: ``leaf2`` before ``leaf10``.
    kinds : tuple of str
        What the format says that each is, a kind of a device group; empty where it does not.
    tail, head : ndarray of int64, shape (m,)
        The two nodes of each bundle, the lesser first; bundles of one pair and different rates are several.
    count : ndarray of int64, shape (m,)
        Cables.
    rate_gbps : ndarray of float64, shape (m,)
        Per cable and direction [Gb/s]; NaN where the format does not say.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    tail: Ints
    head: Ints
    count: Ints
    rate_gbps: Floats

    @property
    def n(self) -> int:
        """Number of nodes."""
        return len(self.names)

    @property
    def n_cables(self) -> int:
        """Number of cables."""
        return int(self.count.sum())


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return the key by which names sort as people count.

    Examples
    --------
    >>> sorted(["leaf10", "leaf2", "gpu1-3"], key=natural)
    ['gpu1-3', 'leaf2', 'leaf10']
    """
    words = _DIGITS.split(name)
    return [(1, int(word), word) if word.isdigit() else (0, 0, word) for word in words]


def dump_of(cables: Iterable[FoundCable], kinds: Mapping[str, str]) -> Dump:
    """Return cables as arrays.

    Parameters
    ----------
    cables : iterable of FoundCable
    kinds : mapping of str to str
        What nodes are, as far as the format says; a node that no cable ends at is one too.

    Examples
    --------
    >>> dump = dump_of([FoundCable(("leaf", "1"), ("node10", "1"), "a.csv", 2, 400.0)], {"node10": "host"})
    >>> dump.names, dump.kinds, dump.tail.tolist(), dump.rate_gbps.tolist()
    (('leaf', 'node10'), ('', 'host'), [0], [400.0])
    """
    counted: dict[tuple[str, str, float | None], int] = {}
    for cable in cables:
        key = (cable.a[0], cable.z[0], cable.rate_gbps)
        counted[key] = counted.get(key, 0) + 1
    nodes = {node: None for a, z, _ in counted for node in (a, z)} | dict.fromkeys(kinds)
    names = sorted(nodes, key=natural)
    number = {name: i for i, name in enumerate(names)}
    ends = np.array([(number[a], number[z]) for a, z, _ in counted], dtype=np.int64).reshape(-1, 2)
    rates = [np.nan if rate is None else rate for _, _, rate in counted]
    return Dump(
        names=tuple(names),
        kinds=tuple(kinds.get(name, "") for name in names),
        tail=ends.min(axis=1, initial=len(names)),
        head=ends.max(axis=1, initial=0),
        count=np.array(list(counted.values()), dtype=np.int64),
        rate_gbps=np.array(rates, dtype=np.float64),
    )
