"""The rack or server that a design repeats, and the axes that tell its rails apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from fabric.blueprint import Blueprint, load_blueprint, loads_blueprint, template_names
from fabric.blueprint.census import census
from fabric.blueprint.model import DeviceGroup
from fabric.blueprint.ports import cables_by_port, ports_needed
from fabric.blueprint.templates import OWN_FILE, as_template, other_template
from fabric.parts import NETWORK, PortClass
from fabric.parts.catalogue import plain
from fabric.sizing.switch import DesignError

Splits = dict[str, tuple[tuple[str, int], ...]]

# More GPUs than any server has: what is repeated is then a rack, and a node otherwise.
_MAX_NODE_GPUS = 16
_SLACK = 1e-9
# The one axis of a NIC that is no rail: servers that share one scale-up network.
_TRAY = "tray"


@dataclass(frozen=True, slots=True)
class Rack:
    """The rack or server that is repeated: what its template says.

    Parameters
    ----------
    reference : str
        Template or path, as the file includes it.
    name : str
        Name of that fabric.
    unit : str
        ``rack``, or ``node`` for a single server.
    n_gpus : int
    nic : str
        Group whose network ports are cabled: the GPUs themselves, where they have such ports and no NIC.
    nic_port : PortClass or None
        Those that are free; None for a generic NIC, which has no rate of its own.
    nic_part : str
        Its part, or its kind if it has none.
    per_rail : int
        NICs of one rail, where every NIC of a server is a rail of its own.
    rail_axes : tuple of str
        Axes of the NIC that tell the rails apart, as the template writes them.
    sizes : mapping of str to int
        Sizes of the primitive axes of `rail_axes`, in their order.
    parts : mapping of str to tuple of str
        The primitive axes of each of `rail_axes`.
    taken, groups : frozenset of str
        Axes and device groups that the template has.
    is_relay : bool
        Whether its GPUs pass on what comes over their own network, so that one may use the NIC of another.
    """

    reference: str
    name: str
    unit: str
    n_gpus: int
    nic: str
    nic_port: PortClass | None
    nic_part: str
    per_rail: int
    rail_axes: tuple[str, ...]
    sizes: Mapping[str, int]
    parts: Mapping[str, tuple[str, ...]]
    taken: frozenset[str]
    groups: frozenset[str]
    is_relay: bool

    @property
    def is_template(self) -> bool:
        """Whether it comes with the package, and is no file of a user's own."""
        return not _is_path(self.reference)

    @property
    def n_rails(self) -> int:
        """Rails if every NIC of a server has its own."""
        return math.prod(self.sizes.values())


def find_rack(reference: str, base: str | Path = ".") -> Rack:
    """Return the rack that a template or a file stands for.

    Parameters
    ----------
    reference : str
        Name of a template, or path of a topology file from `base`.
    base : str or Path

    Raises
    ------
    DesignError
        If there is no such template, or if it has no GPUs or no NICs, or more than one group that might be
        meant.

    Examples
    --------
    >>> rack = find_rack("gb300-nvl72")
    >>> rack.unit, rack.n_gpus, rack.n_rails, rack.per_rail
    ('rack', 72, 4, 18)
    """
    if _is_path(reference):
        return _rack(reference, load_blueprint(Path(base) / reference))
    return _template(as_template(reference) or reference)


def _is_path(reference: str) -> bool:
    return "/" in reference or reference.endswith((".yaml", ".yml", ".json"))


@lru_cache(maxsize=64)
def _template(name: str) -> Rack:
    templates = template_names()
    if name not in templates:
        within = ", ".join(n for n in templates if plain(name) and name in n)
        hint = f"{name!r} is in {within}; {OWN_FILE}" if within else other_template(name)
        msg = f"rack: no template {name!r}; {hint}"
        raise DesignError(msg)
    return _rack(name, loads_blueprint(f"fabric: one\ninclude: {name}\n", path="--rack"))


def _rack(reference: str, blueprint: Blueprint) -> Rack:
    groups = blueprint.groups
    gpus = [g for g in groups.values() if g.is_endpoint and g.kind == "gpu"]
    n_gpus = sum(blueprint.n_devices(g.name) for g in gpus)
    nics = [g for g in groups.values() if g.kind == "nic"]
    # A group named nic is the one meant where there are several; without any, GPUs may be cabled themselves.
    named = [g for g in nics if g.name == "nic"] or nics or [g for g in gpus if _free_ports(blueprint, g)]
    if not n_gpus or len(named) != 1:
        devices = f"{n_gpus} GPUs, NICs: {', '.join(g.name for g in nics) or 'none'}"
        expected = "GPUs and one group of NICs named nic, or GPUs with network ports that are free"
        msg = f"rack {reference} cannot be cabled; got {devices}; expected {expected}"
        raise DesignError(msg)
    (nic,) = named
    rail_axes = tuple(a for a in nic.axes if a != _TRAY)
    parts = {a: blueprint.primitives(a) for a in rail_axes}
    sizes = {p: blueprint.axes[p].size for a in rail_axes for p in parts[a]}
    return Rack(
        reference=reference,
        name=blueprint.name if _is_path(reference) else reference,
        unit="rack" if n_gpus > _MAX_NODE_GPUS else "node",
        n_gpus=n_gpus,
        nic=nic.name,
        nic_port=_free_ports(blueprint, nic),
        nic_part=nic.part.id if nic.part else "the NIC",
        per_rail=blueprint.n_devices(nic.name) // math.prod(sizes.values()),
        rail_axes=rail_axes,
        sizes=sizes,
        parts=parts,
        taken=frozenset(blueprint.axes),
        groups=frozenset(groups),
        is_relay=any(g.transit in ("relay", "all") for g in groups.values() if g.kind == "gpu"),
    )


def _free_ports(blueprint: Blueprint, group: DeviceGroup) -> PortClass | None:
    """Return the network ports that the rack leaves free on each device of a group; None if it has none."""
    port = next((c for c in group.part.ports if c.name == NETWORK), None) if group.part else None
    if port is None:
        return None
    cables = cables_by_port(census(blueprint), group).get(NETWORK, {})
    n_free = int(port.n_ports - ports_needed(port, cables).max() + _SLACK)
    # Breakouts are of all ports together.
    modes = tuple((n * n_free // port.n_ports, gbps) for n, gbps in port.modes)
    return replace(port, n_ports=n_free, modes=modes) if n_free > 0 else None


def cut_rails(rack: Rack, cuts: tuple[int, ...]) -> tuple[dict[int, tuple[str, ...]], Splits]:
    """Name axes for the leading parts of the rails of a rack.

    Parameters
    ----------
    rack : Rack
    cuts : tuple of int
        Numbers of groups of rails, each of which divides the next.

    Returns
    -------
    axes : dict of int to tuple of str
        For each cut the axes whose product it is.
    splits : dict of str to tuple of (str, int)
        Axes of the template that have to be split, with the names and sizes of their parts.

    Raises
    ------
    DesignError
        If a cut is no product of leading parts.

    Examples
    --------
    >>> cut_rails(find_rack("hgx-h100"), (2, 8))
    ({1: (), 2: ('socket',), 8: ('slot',)}, {})
    """
    names = iter(n for n in ("group", "part", "r", "rail", "lane", "place") if n not in rack.taken)
    axes_of: dict[int, tuple[str, ...]] = {1: ()}
    splits: Splits = {}
    passed: list[str] = []
    product = 1
    for axis, size in rack.sizes.items():
        pieces: list[tuple[str, int]] = []
        remaining = size
        for cut in sorted(set(cuts)):
            # The cut falls inside this axis: its leading part makes up what `product` lacks.
            if (
                product < cut < product * remaining
                and cut % product == 0
                and remaining % (cut // product) == 0
            ):
                pieces.append((next(names), cut // product))
                product, remaining = cut, remaining * product // cut
                axes_of[cut] = (*passed, *(n for n, _ in pieces))
        if pieces:
            splits[axis] = (*pieces, (next(names), remaining))
        passed.append(axis)
        product *= remaining
        axes_of.setdefault(product, tuple(passed))
    missing = next((c for c in cuts if c not in axes_of), None)
    if missing is not None:
        able = ", ".join(map(str, leading_products(rack)))
        msg = (
            f"{missing} groups of rails are no leading part of the {rack.n_rails} of {rack.name}; try {able}"
        )
        raise DesignError(msg)
    return {c: _name_axes(rack, axes_of[c]) for c in sorted({1, *cuts})}, splits


@lru_cache(maxsize=4096)
def divisors(n: int) -> tuple[int, ...]:
    """Return all divisors of `n`, smallest first.

    Examples
    --------
    >>> divisors(12)
    (1, 2, 3, 4, 6, 12)
    """
    low = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return tuple(low + [n // d for d in reversed(low) if d * d != n])


def leading_products(rack: Rack) -> tuple[int, ...]:
    """Return the numbers of rail groups that leading parts of the rail axes can make, smallest first.

    Examples
    --------
    >>> leading_products(find_rack("gb300-nvl72"))
    (1, 2, 4)
    """
    products, product = {1}, 1
    for size in rack.sizes.values():
        # Whole axes in front, and a divisor of the next.
        products |= {product * d for d in divisors(size)}
        product *= size
    return tuple(sorted(products))


def _name_axes(rack: Rack, axes: tuple[str, ...]) -> tuple[str, ...]:
    """Write primitive axes by the names of the template where they make up whole axes of it."""
    written: list[str] = []
    at = 0
    for axis in rack.rail_axes:
        parts = rack.parts[axis]
        if axes[at : at + len(parts)] != parts:
            break
        written.append(axis)
        at += len(parts)
    return (*written, *axes[at:])
