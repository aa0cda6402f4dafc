"""What the ends of a cable plug into, and which media join two of them: data beside the catalogue.

::

    board, backplane     comes with the server or the rack; nothing is bought
    assembly             both ends attached (DAC, ACC, AEC, AOC): one item
    transceiver          an item in the cage at each end, fibre between; twin-port ones have two connectors
    built-in             fibre goes straight into a switch with co-packaged optics
    fibre                glass alone; the transceivers follow from the cages

Transceivers of one *family* understand each other, whatever the rate of their cage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from fabric.arrays import Floats
from fabric.blueprint.model import DeviceGroup, Rule
from fabric.errors import PartError
from fabric.parts import NETWORK, Frozen, Medium, cables_per_port, catalogue
from fabric.parts.rows import grounds, read_rows
from fabric.sizing.chassis import DATA, cards_per_cage

FORMS = ("board", "backplane", "assembly", "transceiver", "built-in", "fibre")
_SLACK = 1e-9
_COLUMNS = ("medium", "form", "family", "n_connectors", "rank", "source", "confidence", "note")


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a medium is plugged in.

    Parameters
    ----------
    medium : Medium
        Row of the catalogue.
    form : str
        One of `FORMS`.
    family : str
        Of transceivers, else empty.
    n_connectors : int
        Fibre connectors of a transceiver; else 1.
    rank : int or None
        Order in which media are tried where a file names none; None is never taken unasked.
    """

    medium: Medium
    form: str
    family: str
    n_connectors: int
    rank: int | None


@dataclass(frozen=True, slots=True)
class Cage:
    """What one end of a rule's cables plugs into.

    Parameters
    ----------
    rate_gbps : float
        Of the whole cage [Gb/s per direction].
    n_cables : int
        Cables of the rule that one cage takes.
    form : {"cage", "bare", "generic"}
        ``bare`` is a port without cage, as of co-packaged optics; ``generic`` a device without part, taken
        to have one cage for each cable.
    n_devices : int
        Devices that share it: two cards in the twin-port cages of a DGX H100.
    """

    rate_gbps: float
    n_cables: int
    form: str
    n_devices: int = 1

    def count_filled(self, cables: Floats, fan: int) -> Floats:
        """Return how many ends of `fan` cables fill the part of the cage that one device has.

        Parameters
        ----------
        cables : ndarray of float64
            Cables at each device.
        fan : int
            Cables of one end: at most those of the cage.

        Returns
        -------
        ndarray of float64
            Whole numbers, or shares of ends that other devices fill too: a card takes half of a twin-port
            cage that two cards share, with one cable or with two of half the rate.
        """
        per_device = self.n_cables // self.n_devices
        shared = -(-fan // per_device)
        return ceil(cables / (fan // shared)) / shared


def ceil(values: Floats) -> Floats:
    """Return the next whole numbers; the last bit of a quotient pushes none up."""
    return np.asarray(np.ceil(values - _SLACK), dtype=np.float64)


@cache
def fittings() -> Mapping[str, Fitting]:
    """Return the fitting of every medium of the catalogue, by its id.

    Examples
    --------
    >>> [name for name, f in fittings().items() if f.family == "multimode"]
    ['opt_400_mm', 'opt_800_mm']
    """
    return load_fittings(DATA)


def load_fittings(directory: Traversable | Path) -> Mapping[str, Fitting]:
    """Read and check ``fittings.csv``.

    Raises
    ------
    PartError
        If a row is not sound, or a medium of the catalogue has none.
    """
    media, sources = catalogue().media, catalogue().sources
    rows_of: dict[str, Fitting] = {}
    for row in read_rows(directory, "fittings.csv", _COLUMNS):
        grounds(row, sources)
        name = row.choice("medium", media)
        form = row.choice("form", FORMS)
        if name in rows_of:
            row.refuse(f"{name} stands twice")
        if (form in ("transceiver", "built-in")) != bool(row.cells["family"]):
            row.refuse("transceivers have a family, and nothing else has")
        rows_of[name] = Fitting(
            media[name],
            form,
            row.cells["family"],
            row.whole("n_connectors") if row.cells["n_connectors"] else 1,
            row.whole("rank") if row.cells["rank"] else None,
        )
    if missing := media.keys() - rows_of.keys():
        msg = f"fittings.csv: no row for {', '.join(sorted(missing))}, of the media of the catalogue"
        raise PartError(msg)
    return Frozen(rows_of)


def is_inside(rule: Rule) -> bool:
    """Return whether the cables of `rule` come with a server or a rack, so that none is bought.

    Without a medium those of ``net: host`` do, since they are lanes of a board.
    """
    if not rule.medium:
        return rule.net == "host"
    return fittings()[rule.medium].form in ("board", "backplane")


def cage(group: DeviceGroup, rule: Rule) -> Cage:
    """Return what the cables of `rule` plug into at a device.

    Parameters
    ----------
    group : DeviceGroup
        That of the device; one without part is generic.
    rule : Rule

    Returns
    -------
    Cage

    Examples
    --------
    >>> from fabric.graph import loads
    >>> text = "{fabric: a, axes: {i: 2}, links: [{between: [gpu, leaf], rate: NDR}],"
    >>> text += " devices: {gpu: {kind: gpu, axes: [i]}, leaf: {part: qm9700, axes: []}}}"
    >>> blueprint = loads(text).blueprint
    >>> cage(blueprint.groups["leaf"], blueprint.rules[0])
    Cage(rate_gbps=800.0, n_cables=2, form='cage', n_devices=1)
    """
    ports = group.part.ports if group.part else ()
    port = next((p for p in ports if p.name == rule.port_class), None)
    if port is None:
        return Cage(rule.rate_gbps, 1, "generic")
    per_port = int(cables_per_port(port, rule.rate_gbps) + 1e-9) if port.modes else 1
    form = "cage" if port.ports_per_cage else "bare"
    n_devices = cards_per_cage(group) if port.ports_per_cage and port.name == NETWORK else 1
    in_cage = (port.ports_per_cage or 1) * n_devices
    return Cage(port.rate_gbps * in_cage, per_port * in_cage, form, n_devices)
