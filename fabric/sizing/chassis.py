"""Servers and racks that are sold as one: power of the whole and cages of its NICs, as vendors print them.

A device belongs to the outermost template that brings it. Where ``chassis.csv`` has that template, a bill may
take the figure of the chassis for all that is in it: GPUs, CPUs, switch chips, NICs, the optics in their
cages, and what no topology file has, such as memory, fans and the loss of power supplies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from fabric.blueprint import Census, loads_blueprint, template_names
from fabric.blueprint.model import DeviceGroup
from fabric.errors import PartError
from fabric.parts import Evidence, Frozen, catalogue
from fabric.parts.rows import exceptions, figures, grounds, read_rows

DATA = resources.files("fabric.sizing").joinpath("data")
NIC = "nic"
"""Group of a template whose cards go to the cages of the chassis."""
_COLUMNS = ("template", "name", "source", "confidence", "exceptions", "note")


@dataclass(frozen=True, slots=True)
class Chassis:
    """A row of ``chassis.csv``.

    Parameters
    ----------
    template, name : str
        Template of its devices, and name in print.
    figures : mapping of str to float
        ``power_w`` at most [W], ``power_min_w`` where texts differ or there are two profiles, ``n_nic_cages``
        where cards share cages.
    source, confidence : tuple of str, str
    exceptions : mapping of str to Evidence
    note : str
    """

    template: str
    name: str
    figures: Mapping[str, float]
    source: tuple[str, ...]
    confidence: str
    exceptions: Mapping[str, Evidence]
    note: str

    def evidence(self, figure: str) -> Evidence:
        """Return what stands behind one figure."""
        return self.exceptions.get(figure, Evidence(self.confidence, self.source))


@dataclass(frozen=True, slots=True)
class Boxed:
    """All chassis of one kind in a fabric.

    Parameters
    ----------
    chassis : Chassis
    where : str
        The prefix of the include, so that two includes of a template stand apart; without one the axis that
        numbers its chassis, or ``alone``.
    groups : frozenset of str
        Device groups within.
    n : int
        Chassis of which something is present.
    """

    chassis: Chassis
    where: str
    groups: frozenset[str]
    n: int


@cache
def all_chassis() -> Mapping[str, Chassis]:
    """Return every known chassis by its template.

    Examples
    --------
    >>> all_chassis()["dgx-h100"].figures["power_w"]
    10200.0
    """
    return load_chassis(DATA)


@cache
def source_titles() -> Mapping[str, str]:
    """Return the titles of all sources that bills cite, by id: those of the catalogue and of this room."""
    titles = {s.id: s.title for s in catalogue().sources.values()}
    for row in read_rows(DATA, "sources.csv", ("id", "title", "locator")):
        titles[row.text("id")] = row.text("title")
    return Frozen(titles)


def load_chassis(directory: Traversable | Path) -> Mapping[str, Chassis]:
    """Read and check ``chassis.csv``.

    Raises
    ------
    PartError
        If a row is not sound, or of no template.
    """
    chassis: dict[str, Chassis] = {}
    for row in read_rows(directory, "chassis.csv", _COLUMNS):
        template = row.choice("template", template_names())
        columns = figures(row, _COLUMNS)
        if template in chassis:
            row.refuse(f"{template} stands twice")
        if "power_w" not in columns or columns.get("power_min_w", 0.0) > columns["power_w"]:
            row.refuse("expected power_w, and power_min_w at most as large")
        backing = grounds(row, source_titles())
        chassis[template] = Chassis(
            template,
            row.text("name"),
            columns,
            backing.source,
            backing.confidence,
            exceptions(row, source_titles()),
            row.cells["note"],
        )
    return Frozen(chassis)


@cache
def within(template: str) -> Mapping[str, int]:
    """Return the devices of one chassis, by the group of its template.

    Examples
    --------
    >>> within("dgx-h100")["nic"], within("gb300-nvl72")["gpu"]
    (8, 72)
    """
    blueprint = loads_blueprint(f"fabric: one\ninclude: {template}\n", path="chassis.csv")
    return Frozen({name: blueprint.n_devices(name) for name in blueprint.groups})


def cards_per_cage(group: DeviceGroup) -> int:
    """Return how many cards of `group` share a cage of their chassis; 1 where each has its own.

    Raises
    ------
    PartError
        If the cards do not fill the cages.
    """
    chassis = all_chassis().get(group.template)
    n_cages = int(chassis.figures.get("n_nic_cages", 0)) if chassis else 0
    if not n_cages or group.name.rpartition(".")[2] != NIC:
        return 1
    n_cards = within(group.template)[NIC]
    if n_cards % n_cages:
        msg = f"chassis.csv: {group.template}: {n_cards} cards do not fill {n_cages} cages"
        raise PartError(msg)
    return n_cards // n_cages


def find_boxes(counts: Census) -> Iterator[Boxed]:
    """Yield the chassis of a fabric, one line for each include of a template that has one."""
    groups = counts.grid.blueprint.groups
    members: dict[tuple[str, str], list[DeviceGroup]] = {}
    for group in groups.values():
        if group.template in all_chassis():
            members.setdefault((group.template, group.name.rpartition(".")[0]), []).append(group)
    for (template, prefix), devices in members.items():
        per_chassis = within(template)
        n = max(-(-counts.present(g.name) // per_chassis[g.name.rpartition(".")[2]]) for g in devices)
        # Axes of the template itself are not those of all its groups.
        shared = [axis for axis in devices[0].axes if all(axis in g.axes for g in devices)]
        where = prefix or (shared[-1] if shared else "alone")
        yield Boxed(all_chassis()[template], where, frozenset(g.name for g in devices), n)
